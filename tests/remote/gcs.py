# SPDX-License-Identifier: Apache-2.0
"""gs:// paths against a store over loopback: the whole job, what each fault leads to, tokens."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402
from store_server import Fault  # noqa: E402


class Job(remote_case.RemoteCase):
    def test_a_job_is_the_same_as_with_local_files(self):
        self.train(model_dir='local')
        result = self.remote_train()
        self.assertEqual(result.errors(), [])
        out = self.fetch('out', 'fetched')
        self.same_values(self.path('local', 'ckpt-20'), os.path.join(out, 'ckpt-20'))
        self.assertEqual(e2e.read_state_file(out), e2e.read_state_file(self.path('local')))
        self.assertEqual(e2e.names_in(out), e2e.names_in(self.path('local')))
        self.assertEqual(sorted(os.listdir(os.path.join(out, 'best_ckpt'))),
                         sorted(os.listdir(self.path('local', 'best_ckpt'))))
        for folder in ('train', 'validation'):
            want = e2e.read_event_folder(self.path('local', folder))
            got = e2e.read_event_folder(os.path.join(out, folder))
            self.assertEqual([[e[:2] for e in f] for f in got], [[e[:2] for e in f] for f in want])
        records = [(r['kind'], r['step']) for r in e2e.read_jsonl(self.path('local'))]
        self.assertEqual([(r['kind'], r['step']) for r in e2e.read_jsonl(out)], records)

    def test_a_job_goes_on(self):
        self.train(model_dir='local')
        self.remote_train(override='trainer.train_steps=10', mode='train')
        self.remote_train()
        self.same_values(self.path('local', 'ckpt-20'),
                         os.path.join(self.fetch('out', 'fetched'), 'ckpt-20'))

    def test_config_files_and_weights_may_be_there_too(self):
        self.remote_train(model_dir='gs://bucket/first')
        result = self.remote_train(
            files=('gs://bucket/data/model.yaml', 'gs://bucket/data/run.yaml'),
            override='task.init_checkpoint=gs://bucket/first')
        self.assertIn('init_checkpoint gs://bucket/first/ckpt-20: loaded 39', result.stderr)

    def test_old_checkpoints_go(self):
        self.remote_train(override='trainer.max_to_keep=1,trainer.checkpoint_interval=5')
        names = [n for n in self.store.names('out/ckpt-')]
        self.assertEqual(names, ['out/ckpt-20.data-00000-of-00001', 'out/ckpt-20.index'])

    def test_files_in_many_pages_and_names_with_strange_letters(self):
        self.store.page = 2
        data = self.store.get('data/train.tf_record')
        for name in ('a b', 'ü', 'a%2F', 'x+y'):
            self.store.put('bucket', 'odd/%s.tf_record' % name, data)
        result = self.remote_train(
            mode='train', override='task.train_data.input_path=gs://bucket/odd/*.tf_record')
        self.assertEqual(result.errors(), [])
        asked = [line for line in self.store.log if 'alt=media' in line and '/odd' in line]
        self.assertEqual(len(asked), 4, asked)

    def test_two_jobs_in_one_folder_are_noticed(self):
        def interfere(line):
            if 'name=out%2Fckpt-20.index' in line and not self.interfered:
                self.interfered = True
                self.store.put('bucket', 'out/checkpoint', self.store.get('out/checkpoint'))
        self.interfered = False
        self.store.on_request = interfere
        result = self.remote_train(mode='train')
        self.assertIn('gs://bucket/out/checkpoint was changed by another process', result.stderr)
        self.assertTrue(self.interfered)

    def test_missing_things_are_said(self):
        result = self.remote_train(override='task.train_data.input_path=gs://bucket/no/*', expect=3)
        self.assertIn("'gs://bucket/no/*' does not match any files", self.one_error(result))
        result = self.remote_train(override='task.train_data.input_path=gs://bucket/no.tf_record',
                                   expect=3)
        self.assertIn('gs://bucket/no.tf_record: no such file', self.one_error(result))
        result = self.remote_train(override='task.init_checkpoint=gs://bucket/nothing', expect=3)
        self.assertIn('gs://bucket/nothing: no such checkpoint', self.one_error(result))
        result = self.remote_train(model_dir='gs://other/out', expect=3)
        self.assertIn('there is no bucket other', self.one_error(result))
        result = self.remote_train(model_dir='gs:///out', expect=2)
        self.assertIn('name of a bucket', self.one_error(result))

    def test_the_tools_take_them(self):
        self.remote_train()
        result = e2e.run(['verify', 'gs://bucket/out'], name='bert-checkpoint', env=self.env)
        self.assertEqual(result.code, 0, str(result))
        self.store.put('bucket', 'vocab.txt', b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n##s\n')
        result = e2e.run(['--vocab_file=gs://bucket/vocab.txt'], name='bert-tokenize',
                         env=self.env, stdin=b'hellos\n')
        self.assertEqual(result.stdout, 'hello ##s\n', str(result))


class Faults(remote_case.RemoteCase):
    """Each fault that passes is survived, with the same bits; each that stays is one sentence."""

    def survives(self, faults, n_left=0):
        self.train(model_dir='local', mode='train')
        self.store.faults = faults
        result = self.remote_train(mode='train')
        self.store.faults, left = [], [f for f in faults if f.times > n_left]
        self.assertEqual([f.what for f in left], [], 'faults that never came')
        self.same_values(self.path('local', 'ckpt-20'),
                         os.path.join(self.fetch('out', 'fetched'), 'ckpt-20'))
        return result

    def test_statuses_that_pass(self):
        self.survives([Fault(str(s), when=w) for s in (408, 429, 500, 502, 503, 504)
                       for w in ('GET .*/data', 'POST ', 'DELETE|GET')])

    def test_broken_connections(self):
        self.survives([Fault('reset', when='GET .*alt=media'), Fault('reset', when='POST .*index'),
                       Fault('reset', when='GET .*prefix=')])

    def test_half_bodies(self):
        self.survives([Fault('truncate', when='GET .*alt=media', times=2),
                       Fault('truncate', when='POST .*params')])

    def test_stalls(self):
        self.server.stall_seconds = 3
        self.survives([Fault('stall', when='GET .*alt=media'),
                       Fault('stall', when='POST .*checkpoint')])

    def test_lost_answers(self):
        """What was done is not done twice, and not taken for another's doing."""
        self.survives([Fault('lose', when='POST .*%s' % name)
                       for name in ('ckpt-15.index', 'ckpt-15.data', 'Fcheckpoint', 'params',
                                    'metrics')])

    def test_damage_on_the_way(self):
        result = self.survives([Fault('damage', when='GET .*alt=media', times=2)])
        self.assertEqual(result.errors(), [])

    def test_damage_that_stays(self):
        self.store.faults = [Fault('damage', when='GET .*data%2Ftrain.*alt=media', times=100)]
        result = self.remote_train(expect=3)
        self.assertIn('damaged on the way', self.one_error(result))

    def test_a_store_that_keeps_other_bytes(self):
        self.store.faults = [Fault('hash', when='POST .*index', times=100)]
        result = self.remote_train(expect=4, mode='train')
        self.assertIn('kept other bytes than were sent', self.one_error(result))

    def test_a_store_that_is_away(self):
        self.env['BERT_TRAIN_RETRY_SECONDS'] = '1'
        self.store.faults = [Fault('503', times=10000)]
        result = self.remote_train(expect=4)
        self.assertIn('503', self.one_error(result))
        self.assertRegex(self.one_error(result), r'after \d+ tries')

    def test_no_server_at_all(self):
        self.env.update(BERT_TRAIN_RETRY_SECONDS='1', STORAGE_EMULATOR_HOST='http://127.0.0.1:9')
        result = self.remote_train(expect=4)
        self.assertIn('127.0.0.1', self.one_error(result))

    def test_a_file_that_changes(self):
        def change(line):
            if 'alt=media' in line and 'train' in line:
                self.store.put('bucket', 'data/train.tf_record', b'other')
        self.store.on_request = change
        result = self.remote_train(expect=3)
        self.assertIn('replaced or removed while it was read', self.one_error(result))

    def replaced_at_requests(self, n_times):
        """A configuration that is another one each time it is asked for."""
        text = self.store.get('data/run.yaml')
        self.n_left = n_times

        def change(line):
            if 'alt=media' in line and 'run.yaml' in line and self.n_left > 0:
                self.n_left -= 1
                self.store.put('bucket', 'data/run.yaml', text + b'# %d left\n' % self.n_left)
        self.store.on_request = change
        return self.remote_train(expect=None, files=('gs://bucket/data/model.yaml', 'gs://bucket/data/run.yaml'))

    def test_a_whole_file_that_changes(self):
        """What is there after a few changes is read; what changes for ever is an error."""
        result = self.replaced_at_requests(4)
        self.assertEqual((result.code, self.n_left), (0, 0), str(result))
        result = self.replaced_at_requests(1000)
        self.assertEqual(result.code, 3, str(result))
        self.assertIn('run.yaml: it was replaced or removed while it was read', self.one_error(result))

    def test_a_size_that_cannot_be(self):
        self.store.faults = [Fault('huge', when='GET .*data%2Ftrain', times=1000)]
        result = self.remote_train(expect=3, mode='train')
        self.assertIn('data/train.tf_record: the server says that it has %d bytes' % (1 << 62),
                      self.one_error(result))

    def test_answers_that_are_no_json(self):
        for body in (b'', b'[]', b'{"size": "-1", "generation": "5"}', b'{"size": "1"', b'<html>'):
            self.store.answer_with = body
            result = self.remote_train(expect=3)
            self.assertIn('gs://bucket/', self.one_error(result))


class Chunks(remote_case.RemoteCase):
    """Files that go up in chunks, and what may happen to each."""

    def setUp(self):
        super().setUp()
        self.env['BERT_TRAIN_CHUNK_BYTES'] = str(1 << 18)
        self.model = ('task.model.encoder.bert.vocab_size=2000,trainer.train_steps=10,'
                      'trainer.checkpoint_interval=10')
        self.train(model_dir='local', mode='train', override=self.model)

    def same(self):
        result = self.remote_train(mode='train', override=self.model)
        self.same_values(self.path('local', 'ckpt-10'),
                         os.path.join(self.fetch('out', 'fetched'), 'ckpt-10'))
        return result

    def test_chunks(self):
        self.same()
        puts = [line for line in self.store.log if line.startswith('PUT')]
        self.assertGreaterEqual(len(puts), 4)

    def test_faults(self):
        self.store.faults = [Fault(what, when='PUT .*upload_id')
                             for what in ('503', 'reset', 'lose', 'half', '429', 'truncate')]
        result = self.same()
        self.assertEqual([f.what for f in self.store.faults if f.times], [])
        self.assertNotIn('trying again', result.stderr)

    def test_a_lost_last_answer(self):
        n_puts = 0
        self.same()
        n_puts = len([line for line in self.store.log if line.startswith('PUT')])
        for name in self.store.names('out/'):
            del self.store.buckets['bucket'][name]
        # two checkpoints, each as many chunks
        self.store.faults = [Fault('lose', when='PUT .*upload_id', skip=n_puts // 2 - 1)]
        result = self.same()
        self.assertEqual(self.store.faults[0].times, 0)
        self.assertNotIn('trying again', result.stderr)

    def test_a_lost_last_answer_of_a_store_that_forgets(self):
        """412 for what is there already: it is ours, by its bytes; also without a checksum."""
        self.store.faults = [Fault('lose', when='POST .*params')]
        self.store.forgets, self.store.hides_crc = 1, True
        self.model += ',trainer.checkpoint_retry=0'  # the save itself must go well
        self.same()
        self.assertEqual((self.store.forgets, self.store.faults[0].times), (0, 0))

    def test_damage_is_not_left(self):
        self.store.faults = [Fault('damage', when='PUT .*upload_id', times=1000)]
        result = self.remote_train(mode='train', override=self.model + ',trainer.checkpoint_retry=0',
                                   expect=4)
        self.assertIn('removed again', self.one_error(result))
        self.assertEqual(self.store.names('out/ckpt'), [])


class Tokens(remote_case.RemoteCase):
    """The usual places, in the usual order; renewed in time; never printed."""

    def setUp(self):
        super().setUp()
        del self.env['STORAGE_EMULATOR_HOST']
        self.env.update(STORAGE_EMULATOR_HOST='',
                        CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE=self.server.url)
        self.store.token = 'none was given yet'

    def user_file(self, name):
        return self.write(name, json.dumps({
            'type': 'authorized_user', 'client_id': 'id', 'client_secret': 'S3CRET',
            'refresh_token': 'R3FRESH', 'token_uri': self.server.url + '/token'}))

    def safe(self, result):
        for secret in ('S3CRET', 'R3FRESH', 'token-', 'PRIVATE'):
            self.assertNotIn(secret, result.stderr + result.stdout)
        return result

    def test_a_user(self):
        self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.user_file('user.json')
        self.safe(self.remote_train(more=['--verbosity=1']))
        self.assertEqual(self.store.tokens_given, 1)

    def test_gclouds_file(self):
        os.makedirs(self.path('.config/gcloud'))
        self.user_file('.config/gcloud/application_default_credentials.json')
        self.safe(self.remote_train())
        self.assertEqual(self.store.tokens_given, 1)

    def test_the_metadata_server(self):
        self.env.update(NO_GCE_CHECK='', GCE_METADATA_HOST=self.server.url[len('http://'):])
        self.remote_train()
        self.assertGreaterEqual(self.store.tokens_given, 1)

    def test_a_service_account(self):
        key = subprocess.run(['openssl', 'genrsa', '2048'], capture_output=True, check=False)
        if key.returncode != 0:
            self.skipTest('there is no openssl')
        self.write('key.pem', key.stdout)
        public = subprocess.run(['openssl', 'rsa', '-in', self.path('key.pem'), '-pubout', '-out',
                                 self.path('public.pem')], capture_output=True, check=False)
        self.assertEqual(public.returncode, 0)
        self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.write('service.json', json.dumps({
            'type': 'service_account', 'client_email': 'a@b.c', 'private_key': key.stdout.decode(),
            'private_key_id': 'abc123', 'token_uri': self.server.url + '/token'}))
        self.claims = []
        self.store.on_token = self.check_jwt
        self.safe(self.remote_train())
        self.assertEqual(len(self.claims), 1)
        self.assertEqual(self.claims[0]['iss'], 'a@b.c')
        self.assertEqual(self.claims[0]['aud'], self.server.url + '/token')
        self.assertLessEqual(self.claims[0]['exp'] - self.claims[0]['iat'], 3600)

    def check_jwt(self, handler):
        import base64
        import urllib.parse
        form = dict(urllib.parse.parse_qsl(handler.body.decode()))
        if form['grant_type'] != 'urn:ietf:params:oauth:grant-type:jwt-bearer':
            return False
        head, claims, signature = form['assertion'].split('.')

        def decode(text):
            return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
        self.write('signed', head + '.' + claims)
        self.write('signature', decode(signature))
        done = subprocess.run(['openssl', 'dgst', '-sha256', '-verify', self.path('public.pem'),
                               '-signature', self.path('signature'), self.path('signed')],
                              capture_output=True, check=False)
        self.claims.append(json.loads(decode(claims)))
        return done.returncode == 0 and json.loads(decode(head))['kid'] == 'abc123'

    def test_tokens_that_run_out_are_renewed(self):
        self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.user_file('user.json')
        self.store.token_seconds = 0  # every request needs a new one
        self.safe(self.remote_train(mode='train'))
        self.assertGreater(self.store.tokens_given, 5)

    def test_a_token_that_is_refused_is_renewed(self):
        self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.user_file('user.json')

        def expire(line):
            self.n_requests += 1
            if self.n_requests in (5, 15, 25) and '/token' not in line:
                self.store.token = 'another'
        self.n_requests = 0
        self.store.on_request = expire
        self.safe(self.remote_train(mode='train'))
        self.assertGreater(self.store.tokens_given, 2)

    def test_wrong_credentials_are_said(self):
        self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.user_file('user.json')
        self.store.on_token = lambda handler: False
        result = self.safe(self.remote_train(expect=4))
        self.assertIn('bad grant', self.one_error(result))
        for text, words in (('{', 'not JSON'), ('{"type": "external_account"}', 'audience'),
                            ('{"type": "api_key"}', "'api_key'"),
                            ('{"type": "authorized_user"}', 'client_id'),
                            ('{"type": "authorized_user", "token_uri": "http://example.com"}',
                             'https://')):
            self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.write('bad.json', text)
            result = self.remote_train(expect=None)
            self.assertIn(result.code, (2, 3))
            self.assertIn(words, self.one_error(result))
        self.env['GOOGLE_APPLICATION_CREDENTIALS'] = self.path('none.json')
        self.assertIn('none.json: no such file', self.one_error(self.remote_train(expect=3)))

    def test_without_any(self):
        self.env['NO_GCE_CHECK'] = 'true'
        result = self.remote_train(expect=3)
        self.assertIn('no credentials found', result.stderr)
        self.assertIn('401', self.one_error(result))

    def test_a_public_bucket(self):
        self.store.token = None
        self.remote_train(model_dir='out')

    def test_tokens_go_over_tls_only(self):
        self.env.update(CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE='http://example.com')
        result = self.remote_train(expect=2)
        self.assertIn('https://', self.one_error(result))


if __name__ == '__main__':
    remote_case.main()
