# SPDX-License-Identifier: Apache-2.0
"""s3:// paths against a store over loopback that is as strict as Amazon's (support/s3_part.py): what is
signed and sent, what the store kept, parts, conditions, clocks and regions."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402
from store_server import Fault  # noqa: E402

VOCAB = b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n##s\n'
ODD = ('a b', 'ü', 'x+y', 'a&b=c', '100%', '%41', '~t', '日本', "q'(1)*", 'a//b', 'c:d;e,f', 'h#?',
       '@$!', 'x/../y', './z', 'tab\tnew\nline')


class S3Case(remote_case.RemoteCase):
    def setUp(self):
        super().setUp()
        self.env.update(AWS_ENDPOINT_URL=self.server.url, AWS_ACCESS_KEY_ID='AKID',
                        AWS_SECRET_ACCESS_KEY='S3CRET', AWS_REGION='eu-central-1')
        self.store.s3_keys = {'AKID': ('S3CRET', None)}
        self.store.put('bucket', 'vocab.txt', VOCAB)

    def s3_train(self, **how):
        return self.remote_train(**dict(dict(scheme='s3', model_dir='s3://bucket/out'), **how))

    def tokenize(self, name='vocab.txt', expect=0, more=()):
        result = e2e.run(['--vocab_file=s3://bucket/' + name, *more], name='bert-tokenize',
                         env=self.env, stdin=b'hellos\n')
        self.assertEqual(result.code, expect, str(result))
        if expect == 0:
            self.assertEqual(result.stdout, 'hello ##s\n')
        for secret in ('S3CRET', 'T0KEN'):
            self.assertNotIn(secret, result.stderr + result.stdout)
        return result

    def same_as_local(self, step):
        self.same_values(self.path('local', 'ckpt-%d' % step),
                         os.path.join(self.fetch('out', 'fetched'), 'ckpt-%d' % step))


class Requests(S3Case):
    def test_a_job(self):
        self.store.page = 2
        self.train(model_dir='local')
        self.s3_train()
        self.same_as_local(20)

    def test_names(self):
        """Each byte of a name is signed and sent as the store wants it, read and written."""
        for name in ODD:
            self.store.put('bucket', 'odd/' + name, VOCAB)
            self.tokenize('odd/' + name)
        for name in ODD[:3]:
            self.s3_train(mode='train', model_dir='s3://bucket/odd dir/' + name,
                          override='trainer.train_steps=1')
            self.assertIn('odd dir/%s/checkpoint' % name, self.store.names())

    def test_patterns_over_odd_names(self):
        data = self.store.get('data/train.tf_record')
        for name in ODD:
            self.store.put('bucket', 'many/%s.tf_record' % name.replace('/', '_'), data)
        self.store.page = 3
        self.s3_train(mode='train', model_dir='out',
                      override='task.train_data.input_path=s3://bucket/many/*.tf_record')
        read = {line for line in self.store.log if line.startswith('GET /bucket/many/')}
        self.assertEqual(len(read), len(ODD) - 1)  # a star matches no dot at the beginning

    def test_a_wrong_key(self):
        self.env['AWS_SECRET_ACCESS_KEY'] = 'other'
        result = self.s3_train(model_dir='out', expect=3)
        self.assertIn('403', self.one_error(result))
        self.assertNotIn('other', result.stderr)

    def test_a_session(self):
        self.store.s3_keys['AKID'] = ('S3CRET', 'T0KEN/+==')
        self.tokenize(expect=3)
        self.env['AWS_SESSION_TOKEN'] = 'T0KEN/+=='
        self.tokenize()

    def test_no_key(self):
        """A public bucket; with keys that are needed, a sentence."""
        self.env.update(AWS_ACCESS_KEY_ID='', AWS_SECRET_ACCESS_KEY='')
        self.assertIn('403', self.tokenize(expect=3).stderr)
        self.store.s3_keys = {}
        self.tokenize()
        self.assertIsNone(self.store.seen_authorization[-1])

    def test_the_credentials_file(self):
        self.env.update(AWS_ACCESS_KEY_ID='', AWS_PROFILE='mine')
        os.makedirs(self.path('.aws'))
        self.write('.aws/credentials', '[default]\naws_access_key_id = no\n'
                   '[mine]\naws_access_key_id = AKID\naws_secret_access_key=S3CRET\n')
        self.tokenize()

    def test_clocks(self):
        """Off by an hour either way: corrected from the store's Date, once."""
        for offset in (3600.0, -3600.0):
            self.store.s3_clock = offset
            result = self.tokenize()
            self.assertRegex(result.stderr, "clock differs from the store's by 3(600|599|601|602) seconds")
            self.assertEqual(result.stderr.count('clock differs'), 1)
            self.assertEqual(len(self.store.log), len(self.store.s3_seen) + 1)
            self.store.log.clear()
            self.store.s3_seen.clear()

    def test_regions(self):
        """The answer says which; asked there, and remembered."""
        self.store.s3_region = 'ap-south-1'
        self.s3_train(mode='train', override='trainer.train_steps=1')
        self.assertEqual(len(self.store.log), len(self.store.s3_seen) + 1)
        self.store.s3_region = 'no_such_region/..'
        self.assertIn('400', self.tokenize(expect=3).stderr)


class Uploads(S3Case):
    """What the store kept is what was sent, or the run says that it is not."""

    def survives(self, faults):
        self.train(model_dir='local', mode='train')
        self.store.faults = faults
        result = self.s3_train(mode='train')
        self.assertEqual([f.what for f in faults if f.times], [], 'faults that never came')
        self.same_as_local(20)
        return result

    def test_what_is_sent(self):
        seen = []
        put = self.server.RequestHandlerClass.s3_write
        self.addCleanup(setattr, self.server.RequestHandlerClass, 's3_write', put)

        def look(handler, bucket, name):
            seen.append(handler.headers)
            return put(handler, bucket, name)
        self.server.RequestHandlerClass.s3_write = look
        self.s3_train(mode='train', override='trainer.train_steps=1')
        self.assertGreater(len(seen), 4)
        for headers in seen:
            self.assertEqual(headers['Content-Type'], 'application/octet-stream')
            self.assertIsNone(headers['Expect'])
            self.assertIsNotNone(headers['Content-MD5'])

    def test_faults_that_pass(self):
        self.survives([Fault('503', when='PUT .*index'), Fault('reset', when='PUT .*data-0'),
                       Fault('truncate', when='GET .*train'), Fault('lose', when='PUT .*/check'),
                       Fault('lose', when='PUT .*/metrics')])

    def test_a_size_that_cannot_be(self):
        self.store.faults = [Fault('huge', when='HEAD .*vocab.txt', times=1000)]
        result = self.tokenize(expect=3)
        self.assertIn('s3://bucket/vocab.txt: the server says that it has %d bytes' % (1 << 62),
                      self.one_error(result, 'bert-tokenize'))

    def test_damage_that_passes(self):
        """Whatever the tags and checksums of the store are good for."""
        for etags in ('md5', 'opaque', 'kms', 'random'):
            for checksums in ((etags in ('opaque', 'random'),) if not e2e.LONG else (True, False)):
                self.store.s3_etags, self.store.s3_checksums = etags, checksums
                result = self.survives([Fault('damage', when='PUT .*index'),
                                        Fault('shorten', when='PUT .*data-0'),
                                        Fault('damage', when='PUT .*/checkpoint')]
                                       if etags in ('md5', 'random') or not checksums else
                                       [Fault('shorten', when='PUT .*data-0')])
                self.assertIn('kept other bytes than were sent', result.stderr)
                for name in self.store.names('out/'):
                    del self.store.buckets['bucket'][name]

    def test_damage_that_stays(self):
        for what in ('damage', 'shorten'):
            self.store.faults = [Fault(what, when='PUT .*index', times=1000)]
            result = self.s3_train(mode='train', expect=4, override='trainer.checkpoint_retry=0')
            self.assertIn('kept other bytes than were sent', self.one_error(result))
            self.assertIn('removed again', self.one_error(result))
            self.assertEqual(self.store.names('out/ckpt-5.index'), [])

    def test_another_writer(self):
        """The store is asked to check what is replaced; it is looked at as well."""
        for conditions in ('kept', 'ignored'):
            done = []

            def interfere(line, conditions=conditions, done=done):
                # between the look and the write, or before the look
                when = 'checkpoint' if conditions == 'kept' else 'ckpt-10.index'
                before = self.store.get('out/checkpoint')
                if line.startswith('PUT /bucket/out/' + when) and before and not done:
                    done.append(self.store.put('bucket', 'out/checkpoint', before + b'\n'))
            self.store.s3_conditions = conditions
            self.store.on_request = interfere
            result = self.s3_train(mode='train', override='trainer.checkpoint_interval=5')
            self.store.on_request = None
            self.assertIn('s3://bucket/out/checkpoint was changed by another process', result.stderr)
            for name in self.store.names('out/'):
                del self.store.buckets['bucket'][name]

    def test_a_store_without_conditions(self):
        self.store.s3_conditions = 'unknown'
        self.train(model_dir='local')
        self.s3_train()
        self.same_as_local(20)


class Parts(S3Case):
    """Files that go up in parts, and what may happen to each."""

    def setUp(self):
        super().setUp()
        self.env['BERT_TRAIN_CHUNK_BYTES'] = str(1 << 18)
        self.model = ('task.model.encoder.bert.vocab_size=2000,trainer.train_steps=10,'
                      'trainer.checkpoint_interval=10')
        self.train(model_dir='local', mode='train', override=self.model)

    def same(self, *faults):
        self.store.faults = list(faults)
        result = self.s3_train(mode='train', override=self.model)
        self.assertEqual([f.what for f in faults if f.times], [], 'faults that never came')
        self.same_as_local(10)
        self.assertEqual(self.store.uploads, {})
        for name in self.store.names('out/'):
            del self.store.buckets['bucket'][name]
        return result

    def test_faults_that_pass(self):
        self.same(*[Fault(what, when='PUT .*partNumber')
                    for what in ('503', 'reset', 'lose', 'damage', 'shorten', '429')])
        self.same(Fault('late', when='POST .*uploadId'), Fault('reset', when='POST .*uploads'),
                  Fault('503', when='POST .*uploadId'))

    def test_a_lost_last_answer(self):
        self.same(Fault('lose', when='POST .*uploadId'))

    def test_all_kinds_of_tags(self):
        for self.store.s3_etags in ('md5', 'opaque', 'kms', 'random'):
            self.same()

    def test_damage_that_stays(self):
        """Also where the tags say nothing: it is read back."""
        faults = (('damage', 'PUT .*partNumber=2&'), ('forget', 'POST .*uploadId'))
        for i, etags in enumerate(('md5', 'opaque', 'kms', 'random')):
            for what, when in faults if e2e.LONG else (faults[i % 2],):
                self.store.s3_etags = etags
                self.store.faults = [Fault(what, when=when, times=1000)]
                result = self.s3_train(mode='train', expect=4,
                                       override=self.model + ',trainer.checkpoint_retry=0')
                self.assertIn('kept other bytes than were sent', self.one_error(result))
                self.assertEqual(self.store.names('out/ckpt'), [])
                self.assertEqual(self.store.uploads, {})

    def test_an_upload_that_fails_is_given_up(self):
        self.env['BERT_TRAIN_RETRY_SECONDS'] = '1'
        self.store.faults = [Fault('503', when='PUT .*partNumber=2', times=1000)]
        result = self.s3_train(mode='train', override=self.model + ',trainer.checkpoint_retry=0',
                               expect=4)
        self.assertIn('503', self.one_error(result))
        self.assertEqual(self.store.uploads, {})
        self.assertTrue([line for line in self.store.log if line.startswith('DELETE')])


class Runs(S3Case):
    """Two at once, asked to stop, killed."""

    def start(self, model_dir='s3://bucket/out', override=''):
        command = [e2e.program()] + self.args(mode='train', model_dir=model_dir, override=(
            'task.train_data.input_path=s3://bucket/data/train.tf_record' +
            (',' + override if override else '')))
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, env=dict(os.environ, **self.env))

    def test_two_at_once(self):
        """One goes on, the other is told by whom the folder is used; also where conditions are
        ignored or unknown."""
        self.store.latency = 0.03
        for self.store.s3_conditions in ('kept', 'ignored', 'unknown'):
            both = [self.start() for _ in range(2)]
            said = [child.communicate(timeout=e2e.TIMEOUT)[1] for child in both]
            codes = [child.returncode for child in both]
            self.assertEqual(sorted(codes), [0, 4], said)
            self.assertIn('.bert-train.lock', said[codes.index(4)])
            self.assertEqual([n for n in self.store.names('out/') if 'lock' in n], [])
            for name in self.store.names('out/'):
                del self.store.buckets['bucket'][name]

    def test_asked_to_stop_while_parts_go_up(self):
        """It is saved, whole, and no upload is left."""
        self.env['BERT_TRAIN_CHUNK_BYTES'] = str(1 << 18)
        override = ('task.model.encoder.bert.vocab_size=2000,trainer.train_steps=100000,'
                    'trainer.checkpoint_interval=20')

        def ask(line):
            if 'partNumber=2' in line and self.child.poll() is None:
                self.child.send_signal(signal.SIGTERM)
                self.store.on_request = None
        self.store.on_request = ask
        self.child = self.start(override=override)
        said = self.child.communicate(timeout=e2e.TIMEOUT)[1]
        self.assertEqual(self.child.returncode, 75, said)
        self.assertEqual(self.store.uploads, {})
        out = self.fetch('out', 'fetched')
        latest, _ = e2e.read_state_file(out)
        self.assertGreater(len(e2e.trained_values(os.path.join(out, latest))), 40)

    def test_killed_at_requests(self):
        """What `checkpoint` names is whole, whenever; and the job goes on to the same bits."""
        self.train(model_dir='local', mode='train')
        self.env.update(BERT_TRAIN_LOCK_SECONDS='1')
        n_killed = 0
        for at in range(1, 1000, 1 if e2e.LONG else 41):
            self.left = at

            def stop(line):
                if '/out/' in line or 'prefix=out' in line:
                    self.left -= 1
                    if self.left <= 0:
                        self.child.kill()
            self.store.on_request = stop
            self.child = self.start(override='trainer.checkpoint_interval=5')
            self.child.communicate(timeout=e2e.TIMEOUT)
            self.store.on_request = None
            if self.child.returncode == 0:
                break
            n_killed += 1
            out = self.fetch('out', 'fetched%d' % at)
            latest, _ = e2e.read_state_file(out)
            if latest:
                self.assertGreater(len(e2e.trained_values(os.path.join(out, latest))), 40)
            self.s3_train(mode='train', override='trainer.checkpoint_interval=5')
            out = self.fetch('out', 'gone on%d' % at)
            self.same_values(self.path('local', 'ckpt-20'), os.path.join(out, 'ckpt-20'))
            for name in self.store.names('out/'):
                del self.store.buckets['bucket'][name]
        self.assertGreater(n_killed, 2)


if __name__ == '__main__':
    remote_case.main()
