# SPDX-License-Identifier: Apache-2.0
"""What the tests of remote files share: a tiny job whose files are in a store over loopback, and
getting what is in the store back into a folder, where the end-to-end tests' readers read it."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../e2e/support'))
sys.path.insert(0, HERE)
import e2e  # noqa: E402
import store_server  # noqa: E402

# no credentials or endpoints of the machine that runs the tests
CLEAN = {name: '' for name in (
    'GOOGLE_APPLICATION_CREDENTIALS', 'CLOUDSDK_CONFIG', 'STORAGE_EMULATOR_HOST', 'GCE_METADATA_HOST',
    'CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN', 'AWS_PROFILE', 'AWS_DEFAULT_PROFILE', 'AWS_REGION', 'AWS_DEFAULT_REGION',
    'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL_STS', 'AWS_CONFIG_FILE',
    'AWS_SHARED_CREDENTIALS_FILE', 'AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN',
    'AWS_ROLE_SESSION_NAME', 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
    'AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_CONTAINER_AUTHORIZATION_TOKEN',
    'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', 'AWS_EC2_METADATA_SERVICE_ENDPOINT', 'HF_TOKEN',
    'HF_ENDPOINT', 'TFHUB_CACHE_DIR', 'TFHUB_MODEL_LOAD_FORMAT', 'http_proxy', 'https_proxy',
    'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE',
    'SSL_CERT_DIR', 'REQUESTS_CA_BUNDLE')}
CLEAN['AWS_EC2_METADATA_DISABLED'] = 'true'


def has_remote():
    """Is libcurl built in?"""
    return 'remote files: not built in' not in e2e.run(['--version']).stdout


def main():
    if os.path.exists(e2e.program()) and not has_remote():
        print('SKIPPED: built without libcurl')
        sys.exit(77)
    e2e.main()


class RemoteCase(e2e.Case):
    """e2e.Case plus a store; self.env makes gs:// and s3:// paths lead there."""

    handler = store_server.Handler

    def setUp(self):
        super().setUp()
        server = store_server.Server(handler=self.handler)
        server.__enter__()
        self.addCleanup(server.__exit__)
        self.server, self.store = server, server.store
        self.env = dict(CLEAN, HOME=self.folder, STORAGE_EMULATOR_HOST=server.url,
                        BERT_TRAIN_RETRY_SECONDS='10', BERT_TRAIN_STALL_SECONDS='1',
                        NO_GCE_CHECK='true')
        for name in ('train.tf_record', 'eval.tf_record', 'model.yaml', 'run.yaml'):
            with open(self.path(name), 'rb') as source:
                self.store.put('bucket', 'data/' + name, source.read())

    def remote_train(self, model_dir='gs://bucket/out', override='', expect=0, scheme='gs',
                     run_how=None, **how):
        paths = ('task.train_data.input_path=%s://bucket/data/train*,'
                 'task.validation_data.input_path=%s://bucket/data/eval.tf_record' % (scheme, scheme))
        return self.train(model_dir=model_dir, override=paths + (',' + override if override else ''),
                          expect=expect, run_how=dict(run_how or {}, env=self.env), **how)

    def fetch(self, prefix, folder):
        """The objects below prefix as files below folder."""
        for name in self.store.names(prefix + '/'):
            path = self.path(folder, name[len(prefix) + 1:])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as out:
                out.write(self.store.get(name))
        return self.path(folder)
