# SPDX-License-Identifier: Apache-2.0
"""remote_faults (the C program beside this file) against each kind of store, on loopback: memory and
local file operations fail at every place of reading, writing, moving and locking."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import aws  # noqa: E402
import gcs_identity  # noqa: E402
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402
from hub_server import Hub  # noqa: E402
import store_server  # noqa: E402

BIG = bytes((i * 7 + i // 251) & 255 for i in range(700000))
FILES = {'lines.txt': b'first\nsecond', 'big': BIG, 'folder/a': b'a', 'folder/deep/b': b'b'}


class AnyFolder(dict):
    """Files that are in the folders 0/, 1/, ... as well."""

    def get(self, name):
        return super().get(re.sub(r'^\d+/', '', name))


def attack(case, root, least, **env):
    program = os.path.join(e2e.BUILD, 'tests/remote/remote_faults')
    result = subprocess.run([program], env={**os.environ, **case.env, **env, 'BT_FAULTS_AT': root},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=10 * e2e.TIMEOUT)
    text = result.stdout.decode(errors='replace')
    case.assertEqual(result.returncode, 0, text[-4000:])
    counts = re.findall(r'^(.*): (\d+) faults$', text, re.M)
    print(root.split(':')[0], ', '.join('%s %s' % c for c in counts))
    case.assertGreater(sum(int(n) for _, n in counts), least, text[-2000:])


class Faults(e2e.Case):
    def setUp(self):
        super().setUp()
        self.env = dict(remote_case.CLEAN, HOME=self.folder, TMPDIR=self.folder,
                        BERT_TRAIN_RETRY_SECONDS='2', BERT_TRAIN_STALL_SECONDS='2',
                        BERT_TRAIN_CHUNK_BYTES='262144', NO_GCE_CHECK='true')

    def store(self):
        server = store_server.Server()
        server.__enter__()
        self.addCleanup(server.__exit__)
        server.store.s3_keys = {'AKID': ('SECRET', None)}
        for name, data in FILES.items():
            server.store.put('bucket', 'x/' + name, data)
        return server

    def hub(self):
        hub = Hub()
        self.addCleanup(hub.close)
        commit = hub.commit(FILES)
        hub.repositories['owner/name']['commits'][commit] = AnyFolder(FILES)
        return hub

    def test_gs(self):
        attack(self, 'gs://bucket/x', 500, STORAGE_EMULATOR_HOST=self.store().url)

    def test_s3(self):
        attack(self, 's3://bucket/x', 500, AWS_ENDPOINT_URL=self.store().url, AWS_REGION='eu-west-1',
                    AWS_ACCESS_KEY_ID='AKID', AWS_SECRET_ACCESS_KEY='SECRET')

    def test_hf(self):
        attack(self, 'hf://owner/name', 100, HF_ENDPOINT=self.hub().url, HF_HOME=self.path('hf'))


class AwsCredentials(aws.AwsCase):
    def attack(self):
        self.env.update(BERT_TRAIN_RETRY_SECONDS='2')
        self.store.put('bucket', 'x/lines.txt', FILES['lines.txt'])
        attack(self, 's3://bucket/x', 20, BT_FAULTS_OF_CREDENTIALS='1')

    def test_profile(self):
        self.write('.aws/credentials', '[default]\n' + self.keys())
        self.attack()

    def test_web_identity(self):
        self.web()
        self.attack()

    def test_container(self):
        self.container()
        self.attack()

    def test_machine(self):
        self.machine()
        self.attack()

    def test_process(self):
        self.process({'Version': 1, 'AccessKeyId': 'AKIDKEY', 'SecretAccessKey': 'S3CRET-0'})
        self.attack()


class GcsCredentials(gcs_identity.IdentityCase):
    def test_each_kind(self):
        self.store.put('bucket', 'x/lines.txt', FILES['lines.txt'])
        for name, credentials in self.files().items():
            if name in ('file', 'url, as json', 'acting', 'impersonated', 'external user'):
                self.write('cred.json', json.dumps(credentials))
                self.env.update(BERT_TRAIN_RETRY_SECONDS='2')
                attack(self, 'gs://bucket/x', 20, BT_FAULTS_OF_CREDENTIALS='1')


if __name__ == '__main__':
    remote_case.main()
