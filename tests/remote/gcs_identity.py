# SPDX-License-Identifier: Apache-2.0
"""gs:// with the identities that jobs have in the cloud: another provider's token that is changed for
Google's, service accounts that are acted as, the metadata server. Judged by PyPI's google-auth, which
sends the same requests for the same files. No secret is ever shown."""
import json
import os
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
import store_server  # noqa: E402
from remote_case import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SCOPE = 'https://www.googleapis.com/auth/devstorage.read_write'
SECRETS = ('SUBJ3CT', 'CLI3NT', 'R3FRESH', 'H3ADER', 'token-', 'own-t0ken')


class Handler(store_server.Handler):
    """The store, and beside it STS, IAM and a place that gives subject tokens."""

    def route(self, path):
        sent = {'path': path, 'authorization': self.headers.get('Authorization'),
                'type': self.headers.get('Content-Type')}
        seen = self.store.seen
        if path == '/sts':
            sent['form'] = dict(urllib.parse.parse_qsl(self.body.decode()))
            seen.append(sent)
            if self.store.refuse:
                return self.json({'error': 'invalid_grant', 'error_description': 'cannot take ' +
                                  sent['form'].get('subject_token', '?')}, 400)
            if 'acts' in sent['form'].get('scope', ''):
                return self.fail(400, 'scope')
            self.store.token = 'own-t0ken-%d' % len(seen)
            return self.json({'access_token': self.store.token, 'token_type': 'Bearer',
                              'issued_token_type': 'urn:ietf:params:oauth:token-type:access_token',
                              'expires_in': self.store.token_seconds})
        if path.endswith(':generateAccessToken'):
            sent['json'] = json.loads(self.body)
            seen.append(sent)
            if sent['authorization'] != 'Bearer ' + self.store.token:
                return self.fail(401, 'not you')
            self.store.token = 'token-%d' % len(seen)
            return self.json({'accessToken': self.store.token, 'expireTime': time.strftime(
                '%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + self.store.token_seconds))})
        if path.startswith('/subject'):
            sent['header'] = self.headers.get('X-Secret')
            seen.append(sent)
            if path == '/subject.json':
                return self.json({'value': 'SUBJ3CT-of-url'})
            return self.answer(200 if path == '/subject' else 403, b'SUBJ3CT-of-url')
        return super().route(path)


class IdentityCase(remote_case.RemoteCase):
    handler = Handler

    def setUp(self):
        super().setUp()
        self.env.update(STORAGE_EMULATOR_HOST='', NO_GCE_CHECK='',
                        CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=self.server.url,
                        GOOGLE_APPLICATION_CREDENTIALS=self.path('cred.json'))
        self.store.seen, self.store.refuse = [], False
        self.store.token = 'none was given yet'
        self.store.on_token = None
        self.store.put('bucket', 'vocab.txt', b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n')
        self.write('subject', 'SUBJ3CT-of-file')
        self.write('subject.json', json.dumps({'value': 'SUBJ3CT-of-json'}))

    def external(self, source=None, **more):
        return dict({'type': 'external_account', 'token_url': self.server.url + '/sts',
                     'audience': '//iam.googleapis.com/projects/1/locations/global/'
                                 'workloadIdentityPools/p/providers/x',
                     'subject_token_type': 'urn:ietf:params:oauth:token-type:jwt',
                     'credential_source': source or {'file': self.path('subject')}}, **more)

    def impersonation(self):
        return self.server.url + '/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com' \
            ':generateAccessToken'

    def files(self):
        """What is served, by name."""
        user = {'type': 'authorized_user', 'client_id': 'id', 'client_secret': 'CLI3NT',
                'refresh_token': 'R3FRESH', 'token_uri': self.server.url + '/sts'}
        url = self.server.url + '/subject'
        return {
            'file': self.external(),
            'file, as text': self.external({'file': self.path('subject'),
                                            'format': {'type': 'text'}}),
            'file, as json': self.external({'file': self.path('subject.json'), 'format': {
                'type': 'json', 'subject_token_field_name': 'value'}}),
            'url': self.external({'url': url, 'headers': {'X-Secret': 'H3ADER'}}),
            'url, as json': self.external({'url': url + '.json', 'format': {
                'type': 'json', 'subject_token_field_name': 'value'}}),
            'client': self.external(client_id='me', client_secret='CLI3NT'),
            'workforce': self.external(
                audience='//iam.googleapis.com/locations/global/workforcePools/p/providers/x',
                workforce_pool_user_project='my "project"'),
            'acting': self.external(service_account_impersonation_url=self.impersonation()),
            'acting shortly': self.external(
                service_account_impersonation_url=self.impersonation(),
                service_account_impersonation={'token_lifetime_seconds': 2800}),
            'impersonated': {'type': 'impersonated_service_account', 'source_credentials': user,
                             'delegates': ['c@d.e'],
                             'service_account_impersonation_url': self.impersonation()},
            'external user': {'type': 'external_account_authorized_user', 'client_id': 'id',
                              'client_secret': 'CLI3NT', 'refresh_token': 'R3FRESH',
                              'token_url': self.server.url + '/sts', 'audience': 'x'},
        }

    def read(self, credentials, expect=0):
        self.write('cred.json', json.dumps(credentials))
        self.store.seen.clear()
        result = e2e.run(['--vocab_file=gs://bucket/vocab.txt'], name='bert-tokenize',
                         env=self.env, stdin=b'hello\n')
        self.safe(result)
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def safe(self, result):
        for secret in SECRETS:
            self.assertNotIn(secret, result.stderr + result.stdout)


class Identities(IdentityCase):
    def test_each_kind(self):
        for name, credentials in self.files().items():
            result = self.read(credentials)
            self.assertEqual(result.stdout, 'hello\n', name)
            wanted = 1 + ('acting' in name or name == 'impersonated') + ('url' in name)
            self.assertEqual(len(self.store.seen), wanted, (name, self.store.seen))

    def test_a_job(self):
        """Renewed while it runs, from a subject token that is renewed as well; nothing is shown."""
        self.store.token_seconds = 0.6
        self.write('cred.json', json.dumps(self.files()['acting']))
        self.train(model_dir='local')
        n = [0]

        def renew(line):
            n[0] += 1
            if n[0] % 20 == 0:
                self.write('subject', 'SUBJ3CT-%d' % n[0])
                time.sleep(0.7)  # a fast machine's job must outlive several tokens, too
        self.store.on_request = renew
        result = self.remote_train(more=['--verbosity=1'])
        self.safe(result)
        subjects = {s['form']['subject_token'] for s in self.store.seen if 'form' in s}
        self.assertGreater(len(subjects), 2, subjects)
        out = self.fetch('out', 'fetched')
        self.same_values(self.path('local', 'ckpt-20'), os.path.join(out, 'ckpt-20'))
        with open(os.path.join(out, 'params.yaml'), encoding='utf-8') as source:
            self.assertEqual([s for s in SECRETS if s in source.read()], [])

    def test_what_is_refused(self):
        base = self.external()
        rows = [
            (self.external({'environment_id': 'aws1', 'region_url': 'x'}), 'environment_id'),
            (self.external({'executable': {'command': '/bin/touch ' + self.path('ran')}}), 'executable'),
            (self.external({'certificate': {}}), 'certificate'),
            (self.external({'file': 'x', 'format': {'type': 'xml'}}), "'xml'"),
            (self.external({'file': 'x', 'format': {'type': 'json'}}), 'subject_token_field_name'),
            (self.external({'url': 'http://example.com/x'}), 'credential_source.url'),
            (self.external({'url': 'https://me:CLI3NT@example.com/x'}), 'credential_source.url'),
            (self.external({'url': 'https://example.com', 'headers': {'a': 'b\r\nc: d'}}), 'headers'),
            (dict(base, token_url='http://example.com/x'), 'token_url'),
            (dict(base, service_account_impersonation_url='http://example.com/'),
             'service_account_impersonation_url'),
            (dict(base, service_account_impersonation_url='https://x/', service_account_impersonation={
                'token_lifetime_seconds': 5}), 'token_lifetime_seconds'),
            ({k: v for k, v in base.items() if k != 'audience'}, 'audience'),
            ({k: v for k, v in base.items() if k != 'credential_source'}, 'no url'),
            ({'type': 'impersonated_service_account', 'service_account_impersonation_url':
              'https://x/'}, 'source_credentials'),
            ({'type': 'impersonated_service_account', 'service_account_impersonation_url':
              'https://x/', 'source_credentials': {'type': 'impersonated_service_account'}},
             "source credentials of type 'impersonated_service_account'"),
            ({'type': 'gdch_service_account'}, "'gdch_service_account'")]
        for credentials, words in rows:
            result = self.read(credentials, expect=2)
            self.assertIn(words, self.one_error(result, 'bert-tokenize'))
            self.assertIn('cred.json', self.one_error(result, 'bert-tokenize'))
            self.assertEqual(self.store.seen, [])
        os.environ.pop('GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES', None)
        self.env['GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES'] = '1'
        self.read(rows[1][0], expect=2)
        self.assertFalse(os.path.exists(self.path('ran')))

    def test_tokens_that_are_not_to_be_had(self):
        self.write('empty', '\n')
        for source, words, code in (
                ({'file': self.path('none')}, 'none: no such file', 3),
                ({'file': self.path('empty')}, 'there is no token in it', None),
                ({'file': self.path('subject'), 'format': {
                    'type': 'json', 'subject_token_field_name': 'value'}}, "the text 'value'", None),
                ({'url': self.server.url + '/subject.none?SUBJ3CT'}, 'answers 403', 4)):
            result = self.read(self.external(source), expect=code)
            self.assertNotEqual(result.code, 0)
            self.assertIn(words, self.one_error(result, 'bert-tokenize'))
        self.store.refuse = True
        result = self.read(self.external(), expect=4)
        self.assertIn('400: cannot take ...', self.one_error(result, 'bert-tokenize'))
        self.write('subject', 'SUBJ3CT' + 'x' * 600)
        self.assertIn('cannot take ...', self.one_error(self.read(self.external(), expect=4),
                                                        'bert-tokenize'))


class Metadata(IdentityCase):
    def setUp(self):
        super().setUp()
        self.env.update(GOOGLE_APPLICATION_CREDENTIALS='',
                        GCE_METADATA_HOST=self.server.url[len('http://'):])

    def run_it(self):
        result = e2e.run(['--vocab_file=gs://bucket/vocab.txt'], name='bert-tokenize',
                         env=self.env, stdin=b'hello\n')
        self.safe(result)
        return result

    def test_the_flavor_is_said_both_ways(self):
        self.assertEqual(self.run_it().code, 0)
        asked = [line for line in self.store.log if 'computeMetadata' in line]
        self.assertEqual(asked, ['GET /computeMetadata/v1/instance/service-accounts/default/token'])

        class Mute(Handler):
            def send_header(self, name, value):
                if name != 'Metadata-Flavor':
                    super().send_header(name, value)
        self.server.RequestHandlerClass = Mute
        result = self.run_it()
        self.assertEqual(result.code, 3, str(result))
        self.assertIn("without 'Metadata-Flavor: Google'", result.stderr)

    def test_one_that_comes_up_late(self):
        """On GKE it starts beside the container."""
        self.store.faults = [store_server.Fault('503', when='computeMetadata', times=2),
                             store_server.Fault('reset', when='computeMetadata')]
        self.assertEqual(self.run_it().code, 0)

    def test_one_that_has_no_account(self):
        self.store.on_token = lambda handler: False
        result = self.run_it()
        self.assertEqual(result.code, 3)
        self.assertIn("no credentials of this machine's account", result.stderr)
        self.store.token = None  # a public bucket
        self.assertEqual(self.run_it().code, 0)


class Judge(IdentityCase):
    def test_the_same_requests_as_google_auth(self):
        got = subprocess.run([os.path.join(HERE, 'get_python.sh'), e2e.BUILD, 'google_auth',
                              'google-auth', 'requests'], capture_output=True, text=True,
                             check=False)
        if got.returncode != 0:
            self.skipTest(got.stderr.strip().splitlines()[-1])
        # it takes neither a user's token_uri nor an impersonation's host from the file
        program = ('import google.auth, google.oauth2.credentials as u, google.auth.iam as i\n'
                   'i._IAM_ENDPOINT = "%s/v1/projects/-/serviceAccounts/{}:generateAccessToken"\n'
                   'import google.auth.transport.requests as t\n'
                   'u._GOOGLE_OAUTH2_TOKEN_ENDPOINT = "%s/sts"\n' % (self.server.url, self.server.url) +
                   'c, _ = google.auth.default(scopes=[%r])\nc.refresh(t.Request())\n' % SCOPE)
        env = dict(os.environ, PYTHONPATH=got.stdout.strip(), HOME=self.folder, GOOGLE_CLOUD_PROJECT='p',
                   GOOGLE_APPLICATION_CREDENTIALS=self.path('cred.json'))
        for name, credentials in self.files().items():
            self.read(credentials)
            ours = list(self.store.seen)
            self.store.seen.clear()
            done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                                  check=False, env=env)
            self.assertEqual(done.returncode, 0, (name, done.stderr[-2000:]))
            theirs = list(self.store.seen)
            for seen in ours + theirs:
                seen['type'] = (seen['type'] or '').split(';')[0]
                if 'json' in seen:
                    seen['json']['delegates'] = seen['json']['delegates'] or []
                if name in ('impersonated', 'external user') and 'form' in seen:
                    seen['form'].pop('scope', None)
            self.assertEqual(ours, theirs, name)


if __name__ == '__main__':
    remote_case.main()
