# SPDX-License-Identifier: Apache-2.0
"""Where jobs get the credentials of s3://, each place against a stand-in over loopback
(support/aws_part.py): found in boto3's order, renewed before they run out and when they are refused,
and shown nowhere."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import aws_part  # noqa: E402
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402

VOCAB = b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n##s\n'


class AwsCase(remote_case.RemoteCase):
    def setUp(self):
        super().setUp()
        self.env.update(AWS_ENDPOINT_URL=self.server.url, AWS_REGION='eu-central-1')
        self.store.s3_keys = {'AKIDKEY': ('S3CRET-0', None), 'AKIDOTHER': ('S3CRET-other', None)}
        self.store.put('bucket', 'vocab.txt', VOCAB)
        os.makedirs(self.path('.aws'))

    def keys(self, key='AKIDKEY'):
        return 'aws_access_key_id = %s\naws_secret_access_key = %s\n' % (key, self.store.s3_keys[key][0])

    def used(self, expect=0, scheme='s3'):
        """Reads a file; which key did the requests have?"""
        self.store.s3_seen.clear()
        result = e2e.run(['--vocab_file=%s://bucket/vocab.txt' % scheme], name='bert-tokenize',
                         env=self.env, stdin=b'hellos\n')
        self.assertEqual(result.code, expect, str(result))
        self.safe(result)
        if expect:
            return self.one_error(result, 'bert-tokenize')
        self.assertEqual(result.stdout, 'hello ##s\n')
        seen = {key for key, _, _ in self.store.s3_seen}
        self.assertEqual(len(seen), 1, seen)
        return seen.pop()

    def safe(self, result):
        for secret in aws_part.SECRETS:
            self.assertNotIn(secret, result.stderr + result.stdout)
        for name in self.store.names('out/'):
            for secret in aws_part.SECRETS:
                self.assertNotIn(secret.encode(), self.store.get(name))

    def refused(self, words, code=2):
        text = self.used(expect=code)
        self.assertIn(words, text)
        return text

    def web(self, token=None):
        self.env.update(AWS_WEB_IDENTITY_TOKEN_FILE=self.path('token'),
                        AWS_ROLE_ARN='arn:aws:iam::1:role/r+x')
        self.write('token', self.store.aws_web_token if token is None else token)

    def container(self):
        self.env.update(AWS_CONTAINER_CREDENTIALS_FULL_URI=self.server.url + '/container/creds',
                        AWS_CONTAINER_AUTHORIZATION_TOKEN=self.store.aws_container_token)

    def machine(self):
        self.env.update(AWS_EC2_METADATA_DISABLED='', AWS_EC2_METADATA_SERVICE_ENDPOINT=self.server.url)

    def process(self, output, profile='default'):
        script = self.write('give it.py', 'import os, sys\nopen(%r, "w").write(repr(sys.argv[1:]))\n'
                            'sys.stderr.write("S3CRET-stderr")\nprint(%r)\n'
                            % (self.path('argv'), output if isinstance(output, str)
                               else json.dumps(output)))
        self.write('.aws/config', '[%s]\ncredential_process = %s "%s" \'a b\' c\\ d $HOME\n'
                   % (profile, sys.executable, script))


class Places(AwsCase):
    def test_the_environment(self):
        self.env.update(AWS_ACCESS_KEY_ID='AKIDKEY', AWS_SECRET_ACCESS_KEY='S3CRET-0')
        self.web()
        self.container()
        self.machine()
        self.write('.aws/credentials', '[default]\n' + self.keys('AKIDOTHER'))
        self.assertEqual(self.used(), 'AKIDKEY')
        self.env['AWS_SECRET_ACCESS_KEY'] = ''
        self.refused('AWS_SECRET_ACCESS_KEY is not')

    def test_web_identity(self):
        self.web(self.store.aws_web_token + '\n')
        self.write('.aws/credentials', '[default]\n' + self.keys('AKIDOTHER'))
        self.assertEqual(self.used(), 'ASIAWEB1')
        form = self.store.aws_given[0][1]
        self.assertEqual(form['RoleArn'], 'arn:aws:iam::1:role/r+x')
        self.assertRegex(form['RoleSessionName'], r'^[\w+=,.@-]{2,64}$')
        self.env['AWS_ROLE_SESSION_NAME'] = 'my-job'
        self.assertEqual(self.used(), 'ASIAWEB2')
        self.assertEqual(self.store.aws_given[1][1]['RoleSessionName'], 'my-job')

    def test_web_identity_that_fails(self):
        self.web('WEB-1D.wrong')
        self.refused('InvalidIdentityToken')
        self.web('')
        self.refused('is empty')
        os.unlink(self.path('token'))
        self.refused('token', code=3)
        self.web()
        self.env['AWS_ROLE_ARN'] = ''
        self.refused('AWS_ROLE_ARN')
        self.web()
        self.env.update(AWS_ENDPOINT_URL_STS='http://example.com/')
        self.refused('https://')

    def test_web_identity_of_a_profile(self):
        self.write('token', self.store.aws_web_token)
        self.write('.aws/config', '[profile p]\nweb_identity_token_file = %s\nrole_arn=arn:r\n'
                   'role_session_name = s\n' % self.path('token'))
        self.env.update(AWS_PROFILE='p', AWS_ENDPOINT_URL='', AWS_ENDPOINT_URL_S3=self.server.url,
                        AWS_ENDPOINT_URL_STS=self.server.url)
        self.assertEqual(self.used(), 'ASIAWEB1')

    def test_containers(self):
        self.container()
        self.machine()
        self.assertEqual(self.used(), 'ASIACONTAINER1')
        self.env.update(AWS_CONTAINER_AUTHORIZATION_TOKEN='wrong',
                        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=self.write(
                            'auth', self.store.aws_container_token + '\n'))
        self.assertEqual(self.used(), 'ASIACONTAINER2')
        self.env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] = ''
        self.refused('401')
        for url in ('http://example.com/creds', 'http://169.254.170.4/', 'http://10.0.0.1/x', 'ftp://a/'):
            self.env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = url
            self.refused('AWS_CONTAINER_CREDENTIALS_FULL_URI')

    def test_machines(self):
        self.machine()
        self.assertEqual(self.used(), 'ASIAMACHINE1')
        asked = [line for line in self.store.log if '/latest/' in line]
        self.assertEqual(asked[0], 'PUT /latest/api/token')
        self.env['AWS_EC2_METADATA_DISABLED'] = 'true'
        self.assertIn('403', self.used(expect=3))
        self.env['AWS_EC2_METADATA_DISABLED'] = 'false'
        for self.store.aws_metadata in ('v1', 'none'):
            self.assertIn('403', self.used(expect=3))
        self.store.aws_metadata = 'v2'
        self.env['http_proxy'] = 'http://127.0.0.1:9'  # is not asked
        self.env['no_proxy'] = '127.0.0.1'
        self.assertEqual(self.used(), 'ASIAMACHINE2')

    def test_nobody(self):
        """A public bucket, without waiting for a metadata server that is not there."""
        self.env.update(AWS_EC2_METADATA_DISABLED='',
                        AWS_EC2_METADATA_SERVICE_ENDPOINT='http://127.0.0.1:9')
        self.store.s3_keys = {}
        result = e2e.run(['--vocab_file=s3://bucket/vocab.txt'], name='bert-tokenize', env=self.env,
                         stdin=b'hellos\n', timeout=20)
        self.assertEqual(result.code, 0, str(result))
        self.assertIn('no credentials found', result.stderr)


class Profiles(AwsCase):
    def test_both_files(self):
        self.write('.aws/config', '# a comment\n[default]\nregion=eu-west-3\ns3 =\n'
                   '    addressing_style = path\noutput = json\n[profile "a b"]\n' + self.keys() +
                   '[profile c]\nAWS_ACCESS_KEY_ID : AKIDKEY\naws_secret_access_key=S3CRET-0\n'
                   '[profile d]\n' + self.keys('AKIDOTHER'))
        self.write('.aws/credentials', '[default]\r\n' + self.keys('AKIDOTHER').replace('\n', '\r\n') +
                   '[d]\n' + self.keys('AKIDKEY') + '[s]\n' + self.keys() + 'aws_session_token = T0KEN-s\n')
        self.store.s3_keys['AKIDKEY'] = ('S3CRET-0', None)
        self.assertEqual(self.used(), 'AKIDOTHER')
        for self.env['AWS_PROFILE'] in ('a b', 'c', 'd'):
            self.assertEqual(self.used(), 'AKIDKEY')
        self.env['AWS_PROFILE'] = 's'
        self.store.s3_keys['AKIDKEY'] = ('S3CRET-0', 'T0KEN-s')
        self.assertEqual(self.used(), 'AKIDKEY')
        self.env['AWS_PROFILE'] = 'no'
        self.refused('AWS_PROFILE=no')

    def test_other_files(self):
        self.write('.aws/mine', '[profile x]\n' + self.keys())
        self.env.update(AWS_CONFIG_FILE='~/.aws/mine', AWS_PROFILE='x')
        self.assertEqual(self.used(), 'AKIDKEY')
        self.write('keys', '[x]\n' + self.keys('AKIDOTHER'))
        self.env['AWS_SHARED_CREDENTIALS_FILE'] = self.path('keys')
        self.assertEqual(self.used(), 'AKIDOTHER')

    def test_files_that_are_damaged(self):
        for text in ('[default\nS3CRET-0\n', 'aws_access_key_id = S3CRET-0\n', '[default]\nS3CRET-0\n'):
            self.write('.aws/credentials', text)
            self.refused('.aws/credentials:')
        self.write('.aws/credentials', '[default]\naws_access_key_id = AKIDKEY\n')
        self.refused('no aws_secret_access_key')

    def test_region_and_endpoint(self):
        self.env.update(AWS_REGION='', AWS_ENDPOINT_URL='')
        self.store.s3_region = 'ap-south-2'
        for text in ('[default]\nregion = ap-south-2\nendpoint_url = %s\n',
                     '[default]\nregion = ap-south-2\nservices = mine\n[services mine]\ns3 =\n'
                     '  endpoint_url = %s/\nsts =\n  endpoint_url = http://127.0.0.1:9\n'):
            self.write('.aws/config', text % self.server.url + '\n')
            self.write('.aws/credentials', '[default]\n' + self.keys())
            self.assertEqual(self.used(), 'AKIDKEY')
            self.assertEqual(len(self.store.log), len(self.store.s3_seen))
            self.store.log.clear()
        self.env['AWS_DEFAULT_REGION'] = 'ap-south-2'
        self.assertEqual(self.used(), 'AKIDKEY')

    def test_virtual_hosts(self):
        """bucket.localhost: the name of the bucket is in that of the host, and signed."""
        self.write('.aws/config', '[default]\ns3 =\n  addressing_style = virtual\n')
        self.write('.aws/credentials', '[default]\n' + self.keys())
        self.env['AWS_ENDPOINT_URL'] = self.server.url.replace('127.0.0.1', 'localhost')
        self.store.s3_hosts = 'localhost'
        self.assertEqual(self.used(), 'AKIDKEY')
        self.assertTrue(all(line.split()[1].startswith('/vocab.txt') for line in self.store.log))

    def test_a_role(self):
        self.write('.aws/config', '[profile r]\nrole_arn = arn:one\nsource_profile = base\n'
                   'external_id = e x\nduration_seconds = 900\nrole_session_name = me\n'
                   '[profile rr]\nrole_arn = arn:two\nsource_profile = r\n'
                   '[profile self]\nrole_arn = arn:three\nsource_profile = self\n' + self.keys())
        self.write('.aws/credentials', '[base]\n' + self.keys())
        self.env['AWS_PROFILE'] = 'r'
        self.assertEqual(self.used(), 'ASIAROLE1')
        form = self.store.aws_given[0][1]
        self.assertEqual([form[k] for k in ('RoleArn', 'ExternalId', 'DurationSeconds',
                                            'RoleSessionName')], ['arn:one', 'e x', '900', 'me'])
        self.env['AWS_PROFILE'] = 'rr'
        self.assertEqual(self.used(), 'ASIAROLE3')
        self.env['AWS_PROFILE'] = 'self'
        self.assertEqual(self.used(), 'ASIAROLE4')

    def test_roles_from_elsewhere(self):
        self.container()
        self.machine()
        for source, place in (('EcsContainer', 'container'), ('Ec2InstanceMetadata', 'machine')):
            self.write('.aws/config', '[default]\nrole_arn = arn:one\ncredential_source = %s\n' % source)
            self.assertRegex(self.used(), 'ASIAROLE')
            self.assertEqual([p for p, _ in self.store.aws_given], [place, 'role'])
            self.store.aws_given.clear()

    def test_roles_that_lead_nowhere(self):
        for text, words in (
                ('[default]\nrole_arn = r\n', 'source_profile or credential_source'),
                ('[default]\nrole_arn = r\nsource_profile = no\n', 'does not exist'),
                ('[default]\nrole_arn = r\nsource_profile = default\n', 'has no credentials'),
                ('[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nrole_arn = s\n'
                 'source_profile = default\n', 'leads back to itself'),
                ('[default]\nrole_arn = r\ncredential_source = Moon\n', 'Moon'),
                ('[default]\nrole_arn = r\nsource_profile = a\nmfa_serial = m\n[profile a]\n' +
                 self.keys(), 'mfa_serial'),
                ('[default]\nsso_session = s\n', 'sso_session'),
                ('[default]\nsso_start_url = https://x\n', 'sso_start_url'),
                ('[default]\nlogin_session = s\n', 'login_session')):
            self.write('.aws/config', text)
            self.refused(words)

    def test_a_process(self):
        """Run without a shell; what it says on stderr is not shown."""
        given = {'Version': 1, 'AccessKeyId': 'AKIDKEY', 'SecretAccessKey': 'S3CRET-0'}
        self.process(given)
        self.assertEqual(self.used(), 'AKIDKEY')
        with open(self.path('argv'), encoding='utf-8') as source:
            self.assertEqual(source.read(), repr(['a b', 'c d', '$HOME']))
        self.store.s3_keys['AKIDKEY'] = ('S3CRET-0', 'T0KEN-p')
        self.process(dict(given, SessionToken='T0KEN-p', Expiration='2099-01-01T00:00:00+02:00'))
        self.assertEqual(self.used(), 'AKIDKEY')

    def test_a_process_that_fails(self):
        given = {'Version': 1, 'AccessKeyId': 'AKIDKEY', 'SecretAccessKey': 'S3CRET-0'}
        for output in (dict(given, Version=2), {'Version': 1}, 'no JSON S3CRET-0',
                       dict(given, Expiration='tomorrow'), dict(given, SecretAccessKey='S3CRET-\n')):
            self.process(output)
            self.refused('credential_process of the profile default')
        self.process('x' * 70000)
        self.refused('more than 65536', code=3)
        for command, words in (('/no/such/program', 'cannot run'), ('/bin/false', 'exit code 1'),
                               ('sh -c "kill -9 $$"', 'credential_process'), ('"', 'open quote')):
            self.write('.aws/config', '[default]\ncredential_process = %s\n' % command)
            self.refused(words)

    def test_a_process_that_does_not_end(self):
        """It has closed its output: its end is waited for no longer than its output, and not deaf."""
        self.write('.aws/config', '[default]\ncredential_process = sh -c "echo $$ > \'%s\'; '
                   'exec sleep 100 >&-"\n' % self.path('pid'))
        child = subprocess.Popen([e2e.program('bert-tokenize'), '--vocab_file=s3://bucket/vocab.txt'],
                                 env=dict(os.environ, **self.env), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (child.kill(), child.wait()))
        while child.poll() is None and not (os.path.exists(self.path('pid')) and
                                            os.path.getsize(self.path('pid'))):
            time.sleep(0.01)
        time.sleep(0.3)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual(child.returncode, 128 + signal.SIGTERM, said)
        with open(self.path('pid'), encoding='utf-8') as source:
            self.assertRaises(ProcessLookupError, os.kill, int(source.read()), 0)


class Renewal(AwsCase):
    def job(self, **how):
        result = self.remote_train(mode='train', model_dir='s3://bucket/out', scheme='s3',
                                   override='trainer.checkpoint_interval=5',
                                   more=['--verbosity=1'], **how)
        self.safe(result)
        return result

    def outlives(self, **ages):
        """Holds the job at its checkpoints until the first keys are so many seconds old, so that it takes long
        enough on any machine, and need not be quick to renew them on a slow one."""
        given = []

        def hold(line):
            if self.store.aws_given and not given:
                given.append(time.monotonic())
            for name, age in ages.items():
                if name.replace('_', '-') + '.index' in line:
                    time.sleep(max(0.0, given[0] + age - time.monotonic()))
        return hold

    def test_before_they_run_out(self):
        for place in (self.web, self.container, self.machine) if e2e.LONG else (self.machine,):
            self.store.aws_given.clear()
            self.env.update({n: '' for n in ('AWS_WEB_IDENTITY_TOKEN_FILE',
                                             'AWS_CONTAINER_CREDENTIALS_FULL_URI')})
            place()
            self.store.aws_seconds, self.store.latency = 10, 0.02
            self.store.on_request = self.outlives(ckpt_10=6)
            self.job()
            self.assertGreater(len(self.store.aws_given), 1, place)
            self.assertEqual(self.store.s3_late, [])
            for name in self.store.names('out/'):
                del self.store.buckets['bucket'][name]

    def test_when_they_are_refused(self):
        """Once, in the middle of a run: a key that was taken back."""
        def revoke(line):
            if 'ckpt-10.index' in line and len(self.store.aws_given) == 1:
                self.store.s3_expired.add('ASIAWEB1')
        self.web()
        self.store.on_request = revoke
        self.job()
        self.assertEqual(len(self.store.aws_given), 2)
        self.assertEqual({k for k, _, _ in self.store.s3_seen}, {'ASIAWEB1', 'ASIAWEB2'})

    def test_a_file_that_another_program_renews(self):
        self.write('.aws/credentials', '[default]\n' + self.keys('AKIDOTHER'))

        def renew(line):
            if 'ckpt-10.index' in line:
                self.store.s3_keys.pop('AKIDOTHER', None)
                self.write('.aws/credentials', '[default]\n' + self.keys('AKIDKEY'))
        self.store.on_request = renew
        self.job()
        self.assertEqual({k for k, _, _ in self.store.s3_seen}, {'AKIDOTHER', 'AKIDKEY'})

    def test_a_place_that_is_away_for_a_while(self):
        """What still holds is used."""
        asked = []
        hold = self.outlives(ckpt_10=7, ckpt_15=12.5)

        def away(line):
            # they hold 12 s: given, refused when half of that is over, and given again when it all is
            if '/container/creds' in line:
                asked.append(line)
                self.store.aws_fail = 404 if len(asked) == 2 else None
            hold(line)
        self.container()
        self.store.on_request = away
        self.store.aws_seconds, self.store.latency = 12, 0.02
        result = self.job()
        self.assertGreater(len(self.store.aws_given), 1)
        self.assertIn('the credentials in use are valid for another', result.stderr)


if __name__ == '__main__':
    remote_case.main()
