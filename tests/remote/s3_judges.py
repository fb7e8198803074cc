# SPDX-License-Identifier: Apache-2.0
"""s3:// against others, all from PyPI: moto, an Amazon of its own that checks signatures and the rights
of users and roles; OpenStack Swift, a store that speaks S3 and checks the payload's hash too; and boto3,
which reads back every byte and says which credentials it would take in the same environments. Skipped,
with a reason, where they cannot be installed."""
import concurrent.futures
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest.mock
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import aws  # noqa: E402
import relay  # noqa: E402
import remote_case  # noqa: E402
import ranks  # noqa: E402 (found through remote_case)
from remote_case import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n##s\n'
POLICY = json.dumps({'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Action': '*', 'Resource': '*'}]})
ANYBODY = json.dumps({'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Action': 'sts:AssumeRole', 'Principal': {'AWS': '*'}}]})


def get_judge(name):
    """The folder of moto and boto3, or of Swift; or why not. boto3 can then be imported."""
    got = subprocess.run([os.path.join(HERE, 'get_judge.sh'), e2e.BUILD, name], capture_output=True,
                         text=True, check=False)
    if got.returncode != 0:
        return None, (got.stderr.strip().splitlines() or ['no pip'])[-1]
    if name == 'moto' and got.stdout.strip() not in sys.path:
        sys.path.append(got.stdout.strip())
    return got.stdout.strip(), ''


class JudgedCase(e2e.Case):
    """A bucket in somebody else's store, and boto3 to look into it."""
    bucket = 'my-bucket'

    @classmethod
    def start(cls, name, command, **env):
        """A server on cls.url, until the class is done."""
        folder, why = get_judge(name)
        if folder is None or get_judge('moto')[0] is None:
            raise unittest.SkipTest(why or 'no boto3')
        cls.url = 'http://127.0.0.1:%d' % ranks.free_ports(1)[0]
        cls.server = subprocess.Popen(
            [sys.executable, '-B', '-W', 'ignore'] + command + [cls.url.rsplit(':', 1)[1]],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, PYTHONPATH=folder, **env))
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.kill)
        for _ in range(1200):
            if cls.server.poll() == 4:
                raise unittest.SkipTest('no extended attributes in ' + tempfile.gettempdir())
            try:
                urllib.request.urlopen(cls.url + '/moto-api/', timeout=1).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(name + ' does not answer')

    @classmethod
    def client(cls, service, key, secret):
        import boto3
        return boto3.client(service, endpoint_url=cls.url, region_name='us-east-1',
                            aws_access_key_id=key, aws_secret_access_key=secret)

    def setUp(self):
        super().setUp()
        self.env = dict(remote_case.CLEAN, HOME=self.folder, AWS_ENDPOINT_URL=self.url,
                        AWS_REGION='us-east-1', AWS_ACCESS_KEY_ID=self.key[0],
                        AWS_SECRET_ACCESS_KEY=self.key[1], BERT_TRAIN_RETRY_SECONDS='10')

    def put(self, name, data):
        self.s3.put_object(Bucket=self.bucket, Key=name, Body=data)

    def get(self, name):
        """What boto3 reads; length, tag and kind must be those of these bytes."""
        answer = self.s3.get_object(Bucket=self.bucket, Key=name)
        data = answer['Body'].read()
        self.assertEqual(answer['ContentLength'], len(data))
        self.assertIn(answer['ContentType'], ('application/octet-stream', 'binary/octet-stream'))
        if '-' not in answer['ETag']:
            self.assertEqual(answer['ETag'], '"%s"' % hashlib.md5(data).hexdigest())
        return data

    def names(self, prefix):
        pages = self.s3.get_paginator('list_objects_v2').paginate(Bucket=self.bucket, Prefix=prefix)
        return sorted(o['Key'] for page in pages for o in page.get('Contents', ()))

    def fetch(self, prefix):
        for name in self.names(prefix + '/'):
            path = self.path('fetched', name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as out:
                out.write(self.get(name))
        return self.path('fetched', prefix)

    def at(self, name):
        return 's3://%s/%s' % (self.bucket, name)

    def tokenize(self, name='vocab.txt', expect=0):
        result = e2e.run(['--vocab_file=' + self.at(name)], name='bert-tokenize', env=self.env,
                         stdin=b'hellos\n')
        self.assertEqual(result.code, expect, str(result))
        return result


class Jobs:
    """What each of them must take."""
    n_names = 1100

    def test_right_and_wrong_keys(self):
        self.put('vocab.txt', VOCAB)
        self.assertEqual(self.tokenize().stdout, 'hello ##s\n')
        for name, value in (('AWS_SECRET_ACCESS_KEY', 'wrong'), ('AWS_ACCESS_KEY_ID', 'AKIAOTHER')):
            with unittest.mock.patch.dict(self.env, {name: value}):
                self.assertIn('403', self.tokenize(expect=3).stderr)

    def test_a_whole_job(self):
        """Killed, continued, predicted: the bytes of a local job."""
        for name in ('train.tf_record', 'eval.tf_record', 'model.yaml', 'run.yaml'):
            with open(self.path(name), 'rb') as source:
                self.put('data/' + name, source.read())
        self.train(model_dir='local', override='trainer.checkpoint_interval=5')
        local = self.train(mode='predict', model_dir='local', more=['--output_path=p.tsv'])
        override = ('trainer.checkpoint_interval=5,task.train_data.input_path=%s,'
                    'task.validation_data.input_path=%s'
                    % (self.at('data/train*'), self.at('data/eval.tf_record')))
        args = self.args(model_dir=self.at('job/out'), override=override,
                         files=(self.at('data/model.yaml'), self.at('data/run.yaml')))
        child = subprocess.Popen([e2e.program()] + args, cwd=self.folder, stderr=subprocess.PIPE,
                                 env=dict(os.environ, **self.env), text=True)
        for line in child.stderr:
            if 'saved checkpoint' in line:
                break
        child.send_signal(signal.SIGKILL)
        child.stderr.close()
        self.assertEqual(child.wait(), -signal.SIGKILL)
        self.assertNotIn('job/out/ckpt-20.index', self.names('job/out/'))
        result = e2e.run(args, cwd=self.folder, env=self.env)
        self.assertEqual(result.code, 0, str(result))
        out = self.fetch('job/out')
        self.same_values(self.path('local', 'ckpt-20'), os.path.join(out, 'ckpt-20'))
        self.assertEqual(e2e.read_state_file(out), e2e.read_state_file(self.path('local')))
        self.assertEqual([r['step'] for r in e2e.read_jsonl(out)],
                         [r['step'] for r in e2e.read_jsonl(self.path('local'))])
        self.train(mode='predict', model_dir=self.at('job/out'), override=override,
                   more=['--output_path=' + self.at('job/new/p.tsv')], run_how={'env': self.env})
        with open(self.path('p.tsv'), 'rb') as source:
            self.assertEqual(self.get('job/new/p.tsv'), source.read(), str(local))

    def test_the_data_tool(self):
        rows = ['sentence\tlabel'] + ['%s\t%d' % ('good bad fun '[i % 5:], i % 2) for i in range(30)]
        os.makedirs(self.path('SST-2'))
        for name in ('train', 'dev'):
            self.write('SST-2/%s.tsv' % name, '\n'.join(rows) + '\n')
            self.put('glue/SST-2/%s.tsv' % name, '\n'.join(rows).encode() + b'\n')
        self.write('vocab.txt', '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfun\n')
        for source, target in (('SST-2', '.'), (self.at('glue/SST-2'), self.at('made/deep'))):
            made = e2e.run(['--input_data_dir=' + source, '--vocab_file=vocab.txt',
                            '--train_data_output_path=%s/t.tf_record' % target,
                            '--eval_data_output_path=%s/e.tf_record' % target,
                            '--meta_data_file_path=%s/meta' % target, '--max_seq_length=16',
                            '--fine_tuning_task_type=classification',
                            '--classification_task_name=SST-2'], name='create-finetuning-data',
                           cwd=self.folder, env=self.env)
            self.assertEqual(made.code, 0, str(made))
        for name in ('t.tf_record', 'e.tf_record', 'meta'):
            with open(self.path(name), 'rb') as file:
                self.assertEqual(self.get('made/deep/' + name), file.read())

    def first_step(self, model_dir, data_index, home):
        """Two steps on the large table, on a machine with that home: the bytes of the store's answers before step 0."""
        between = relay.Relay(self.url)
        self.addCleanup(between.close)
        os.makedirs(self.path(home), exist_ok=True)
        env = dict(os.environ, **dict(self.env, HOME=self.path(home), AWS_ENDPOINT_URL=between.url, BERT_TRAIN_INDEX_BYTES='1000000'))
        override = ('runtime.threads=1,runtime.data_index=%s,task.train_data.input_path=%s,task.train_data.text_fields=[sentence],'
                    'task.train_data.vocab_file=vocab.txt,task.train_data.global_batch_size=2,task.validation_data.input_path=null,'
                    'trainer.validation_interval=0,trainer.train_steps=2,trainer.steps_per_loop=1,trainer.checkpoint_interval=2'
                    % (data_index, self.at('big/*.tsv') if data_index != 'none' else 'big*.tsv'))
        child = subprocess.Popen([e2e.program()] + self.args(mode='train', model_dir=model_dir, override=override), cwd=self.folder,
                                 stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env, text=True)
        said, n_before = '', None
        for line in child.stderr:
            said += line
            n_before = between.n_bytes if 'ready for the first step' in line else n_before
        child.stderr.close()
        self.assertEqual(child.wait(), 0, said)
        return said, n_before

    def test_the_first_step_on_another_machine(self):
        """One machine reads a large input through and keeps its index in the store; another, that has never seen it, starts
        with that index and the blocks of the first rows. Both train to the bits of local files."""
        words = 'the film was good bad great awful a plot actors and boring fun no idea'.split()
        self.write('vocab.txt', '\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + words) + '\n')
        n_all = 0
        for part in range(4):
            block = ''.join('%s\t%d\n' % (' '.join(words[(i * 7 + k * k + part) % 15] for k in range(12)), i % 2) for i in range(1000))
            table = b'sentence\tlabel\n' + block.encode() * 120
            self.write('big%d.tsv' % part, table)
            self.put('big/%d.tsv' % part, table)
            n_all += len(table)
        self.first_step('local', 'none', 'home')
        said, n_first = self.first_step('first', self.at('kept'), 'home1')
        self.assertIn('is kept in s3://', said)
        self.assertGreaterEqual(n_first, n_all)
        self.assertEqual(len(self.names('kept/')), 1)
        said, n_second = self.first_step('second', self.at('kept'), 'home2')
        self.assertIn('rows are is known from s3://', said)
        self.assertLess(n_second, n_all / 2)
        print('before step 0: %d of %d bytes, then %d' % (n_first, n_all, n_second))
        for folder in ('first', 'second'):
            self.same_values(self.path('local', 'ckpt-2'), self.path(folder, 'ckpt-2'))
        self.put('big/2.tsv', table.replace(b'good', b'fun '))  # of the same size: its list tells
        said, n_third = self.first_step('third', self.at('kept'), 'home3')
        self.assertNotIn('rows are is known from', said)
        self.assertGreaterEqual(n_third, n_all)

    def test_parts(self):
        """They want parts of 5 MiB, and check their tags."""
        self.env['BERT_TRAIN_CHUNK_BYTES'] = str(5 << 20)
        override = 'task.model.encoder.bert.vocab_size=60000,trainer.train_steps=2'
        self.train(mode='train', model_dir='local', override=override)
        self.train(mode='train', model_dir=self.at('parts'), override=override,
                   run_how={'env': self.env})
        head = self.s3.head_object(Bucket=self.bucket, Key='parts/ckpt-2.data-00000-of-00001')
        self.assertRegex(head['ETag'], r'^"[0-9a-f]{32}-[2-9]"$')
        self.same_values(self.path('local', 'ckpt-2'), os.path.join(self.fetch('parts'), 'ckpt-2'))
        self.assertNotIn('Uploads', self.s3.list_multipart_uploads(Bucket=self.bucket))
        read = e2e.run(['verify', self.at('parts')], name='bert-checkpoint', env=self.env)
        self.assertEqual(read.code, 0, str(read))

    def test_many_names(self):
        """More than a page of 1,000, and those that match on each page."""
        with open(self.path('train.tf_record'), 'rb') as source:
            data = source.read()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: self.put('many/%04d.%s' % (i, 'hit' if i % 500 == 7 else 'x'),
                                             data if i % 500 == 7 else b''), range(self.n_names)))
        result = self.train(mode='train', model_dir='out', run_how={'env': self.env}, override=(
            'trainer.train_steps=2,task.train_data.input_path=' + self.at('many/*.hit')))
        self.assertEqual(result.errors(), [])
        for text in (self.at('many/*.no'), self.at('none/*')):
            result = self.train(mode='train', model_dir='out2', expect=3,
                                run_how={'env': self.env},
                                override='task.train_data.input_path=' + text)
            self.assertIn('does not match any files', self.one_error(result))

    def test_odd_names(self):
        """boto3 writes, we read; we write, boto3 reads."""
        for name in ('a b', 'ü', 'x+y', 'a&b=c', '100%', '%41', '~t', '日本', "q'(1)*", 'a//b',
                     'c:d;e,f', 'h#?', '@$!'):
            self.put('odd/' + name, VOCAB)
            self.tokenize('odd/' + name)
        for name in ('a b/ü', 'x+y/%41~', 'q\'(1)*/c;d'):
            self.train(mode='train', model_dir=self.at('odd out/' + name), run_how={'env': self.env},
                       override='trainer.train_steps=1')
            self.assertIn('odd out/%s/checkpoint' % name, self.names('odd out/'))
            self.assertIn(b'ckpt-1"', self.get('odd out/%s/checkpoint' % name))

    def test_old_ones_go(self):
        self.train(mode='train', model_dir=self.at('few'), run_how={'env': self.env},
                   override='trainer.max_to_keep=1,trainer.checkpoint_interval=5')
        self.assertEqual(self.names('few/ckpt-'), ['few/ckpt-20.data-00000-of-00001',
                                                   'few/ckpt-20.index'])


class Moto(Jobs, JudgedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # the first requests make the user; from then on every signature and right is checked
        cls.start('moto', ['-c', 'from moto.server import main; main()', '-H', '127.0.0.1', '-p'],
                  INITIAL_NO_AUTH_ACTION_COUNT='6')
        iam = cls.client('iam', 'a', 'b')
        iam.create_user(UserName='u')
        iam.put_user_policy(UserName='u', PolicyName='p', PolicyDocument=POLICY)
        iam.create_role(RoleName='r', AssumeRolePolicyDocument=ANYBODY)
        iam.put_role_policy(RoleName='r', PolicyName='p', PolicyDocument=POLICY)
        key = iam.create_access_key(UserName='u')['AccessKey']
        cls.key = key['AccessKeyId'], key['SecretAccessKey']
        cls.client('s3', 'a', 'b').create_bucket(Bucket=cls.bucket)
        cls.s3 = cls.client('s3', *cls.key)

    def test_roles(self):
        """moto checks that what it gave is what signs. (It answers 500 to what is not signed, and so to
        a web identity: there boto3 judges, below.)"""
        self.put('vocab.txt', VOCAB)
        arn = 'arn:aws:iam::123456789012:role/r'
        os.makedirs(self.path('.aws'))
        self.write('.aws/credentials', '[base]\naws_access_key_id=%s\naws_secret_access_key=%s\n' % self.key)
        self.write('.aws/config', '[profile role]\nrole_arn=%s\nsource_profile=base\n' % arn)
        self.env.update(AWS_ACCESS_KEY_ID='', AWS_SECRET_ACCESS_KEY='')
        self.env['AWS_PROFILE'] = 'role'
        self.tokenize()


class Swift(Jobs, JudgedCase):
    n_names = 1100 if e2e.LONG else 20  # it waits for the disk with each

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.mkdtemp(prefix='bt-swift-')
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.start('swift', [os.path.join(HERE, 'support/swift_server.py'), folder])
        cls.key = 'test:tester', 'testing'
        cls.s3 = cls.client('s3', *cls.key)
        cls.s3.create_bucket(Bucket=cls.bucket)

    def test_it_checks_the_payload(self):
        """Else it would not be a judge of that."""
        import botocore.awsrequest
        import botocore.auth
        import botocore.credentials
        request = botocore.awsrequest.AWSRequest('PUT', '%s/%s/x' % (self.url, self.bucket), data=b'a')
        botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(*self.key), 's3',
                                  'us-east-1').add_auth(request)
        sent = urllib.request.Request(request.url, data=b'b', method='PUT',
                                      headers=dict(request.headers))
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(sent, timeout=20)
        self.assertIn(caught.exception.code, (400, 403))
        caught.exception.close()


class Judge(aws.AwsCase):
    """boto3's chain and ours, in the same environments and before the same stand-ins."""

    PLACES = ('env', 'web', 'file', 'role', 'process', 'config', 'container', 'machine')

    def setUp(self):
        super().setUp()
        folder, why = get_judge('moto')
        if folder is None:
            self.skipTest(why)

    def place(self, places):
        """Sets all of these up."""
        config, credentials = '[default]\nregion = eu-central-1\n', ''
        if 'env' in places:
            self.env.update(AWS_ACCESS_KEY_ID='AKIDKEY', AWS_SECRET_ACCESS_KEY='S3CRET-0')
        if 'web' in places:
            self.web()
        if 'container' in places:
            self.container()
        if 'machine' in places:
            self.machine()
        if 'file' in places:
            credentials += '[default]\n' + self.keys('AKIDOTHER')
        if 'process' in places:
            given = {'Version': 1, 'AccessKeyId': 'AKIDPROCESS', 'SecretAccessKey': 'S3CRET-p'}
            script = self.write('p.py', 'print(%r)\n' % json.dumps(given))
            config += 'credential_process = %s "%s"\n' % (sys.executable, script)
        if 'config' in places:
            config += 'aws_access_key_id = AKIDCONFIG\naws_secret_access_key = S3CRET-c\n'
        if 'role' in places:
            config += 'role_arn = arn:aws:iam::1:role/a\nsource_profile = base\n'
            credentials += '[base]\n' + self.keys('AKIDKEY')
        self.store.s3_keys.update(AKIDPROCESS=('S3CRET-p', None), AKIDCONFIG=('S3CRET-c', None))
        self.write('.aws/config', config)
        self.write('.aws/credentials', credentials)

    def boto(self):
        """The key that boto3's requests have; '' where it finds none."""
        import boto3
        import botocore.exceptions
        self.store.s3_seen.clear()
        with unittest.mock.patch.dict(os.environ, {k: v for k, v in self.env.items() if v}):
            for name in [n for n, v in self.env.items() if not v]:
                os.environ.pop(name, None)
            try:
                boto3.Session().client('s3').get_object(Bucket='bucket', Key='vocab.txt')['Body'].read()
            except botocore.exceptions.NoCredentialsError:
                return ''
        return self.store.s3_seen[-1][0]

    def ours(self, places):
        return '' if not places else self.used()

    def test_every_choice(self):
        clean = dict(self.env)
        choices = [c for n in range(len(self.PLACES) + 1)
                   for c in itertools.combinations(self.PLACES, n)]
        few = [c for c in choices if len(c) <= 1]
        rest = random.Random(5).sample([c for c in choices if len(c) > 1], 30)
        for places in choices if e2e.LONG else few + rest:
            self.env.clear()
            self.env.update(clean)
            self.place(places)
            want, got = self.boto().rstrip('0123456789'), self.ours(places).rstrip('0123456789')
            self.assertEqual(got, want, places)


if __name__ == '__main__':
    remote_case.main()
