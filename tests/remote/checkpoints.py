# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in stores whose `checkpoint` is lost or whose newest one is damaged: the same rules as
in a folder (tests/reliability/checkpoints.py), from listings; going back keeps what is newer."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
import store_server  # noqa: E402
from remote_case import e2e  # noqa: E402
from store_server import Fault  # noqa: E402

FIVE = 'trainer.checkpoint_interval=5,trainer.max_to_keep=5'
DATA = 'data-00000-of-00001'


class Checkpoints(remote_case.RemoteCase):
    scheme = 'gs'

    def go(self, steps, expect=0, **how):
        return self.remote_train(model_dir=self.scheme + '://bucket/out', scheme=self.scheme,
                                 mode='train', expect=expect,
                                 override='trainer.train_steps=%d,%s' % (steps, FIVE), **how)

    def ends_well(self, says, result):
        self.assertRegex(result.stderr, says)
        self.train(mode='train', model_dir='local', override='trainer.train_steps=20,' + FIVE)
        self.same_values(self.path('local', 'ckpt-20'),
                         os.path.join(self.fetch('out', 'fetched'), 'ckpt-20'))

    def names(self):
        return [n[len('out/'):] for n in self.store.names('out/ckpt-')]

    def test_state_lost(self):
        self.go(15)
        with self.store.lock:
            del self.store.buckets['bucket']['out/checkpoint']
        self.ends_well('has no file `checkpoint`: ckpt-15, the newest whole checkpoint', self.go(20))

    def another_host(self):
        entry = json.dumps({'lock': 'bert-train', 'what': 'bert-train --mode=train', 'host': 'far', 'pid': 7,
                            'since_unix': 1, 'process_started': 1, 'boot': 'other', 'pid_namespace': 1,
                            'lease_seconds': 180, 'token': 'ab' * 16}).encode()
        return self.store.put('bucket', 'out/.bert-train.lock', entry)

    def test_a_dry_run_looks_at_the_lock(self):
        lock = self.another_host()
        lock.updated -= 10
        before = {n: self.store.get(n) for n in self.store.names('')}
        dry = self.one_error(self.go(5, expect=4, more=['--dry_run']))
        run = self.one_error(self.go(5, expect=4))
        self.assertRegex(dry, r'process 7 on host far.*heard from \d+ s ago')
        self.assertEqual(re.sub(r'\d+ s\b', 'N s', dry), re.sub(r'\d+ s\b', 'N s', run))
        lock.updated -= 200
        self.go(5, more=['--dry_run'])
        self.assertEqual({n: self.store.get(n) for n in self.store.names('')}, before)

    def test_lock_of_another_host(self):
        """It is void by the store's clock: this host's may be wrong."""
        store_server.CLOCK_BEHIND = 1000
        self.addCleanup(setattr, store_server, 'CLOCK_BEHIND', 0)
        lock = self.another_host()
        lock.updated -= 10
        self.assertRegex(self.one_error(self.go(5, expect=4)),
                         r'process 7 on host far.*heard from 1\d s ago')
        lock.updated -= 200
        self.assertRegex(self.go(5).stderr, 'was left from .*process 7 on host far.*it is taken over')
        self.assertEqual([n for n in self.store.names('out/') if 'lock' in n], [])

    def test_newest_damaged(self):
        self.go(15)
        cut = self.store.get('out/ckpt-15.' + DATA)[:1000]
        self.store.put('bucket', 'out/ckpt-15.' + DATA, cut)
        self.ends_well(r'names ckpt-15, which cannot be used \(.*ckpt-10, the newest whole one',
                       self.go(20))
        self.assertEqual(self.store.get('out/ckpt-15.%s.kept-1' % DATA), cut)
        self.assertIn('ckpt-15.index', self.names())

    def test_newest_cannot_be_reached(self):
        """A store that has a bad time damages nothing: no going back to an older one."""
        self.go(15)
        before = self.names()
        self.env['BERT_TRAIN_RETRY_SECONDS'] = '1'
        for status in ('500', '503', '429'):
            with self.subTest(status):
                self.store.faults = [Fault(status, when='ckpt-15.' + DATA, times=1 << 30)]
                line = self.one_error(self.go(20, expect=4))
                self.assertRegex(line, 'ckpt-15.* the server answers ' + status)
                self.assertEqual(self.names(), before)
        self.store.faults = []
        self.ends_well('restored step 15', self.go(20))

    def test_none_is_whole(self):
        self.go(10)
        for name in self.names():
            if name.endswith('.index'):
                self.store.put('bucket', 'out/' + name, b'')
        before = self.names()
        line = self.one_error(self.go(20, expect=3))
        self.assertIn('2 checkpoints there, and none can be used', line)
        self.assertEqual(self.names(), before)

    def test_going_back_and_copies(self):
        self.go(15)
        for ending in ('index', DATA):
            self.store.put('bucket', 'out/ckpt-150000.' + ending,
                           self.store.get('out/ckpt-10.' + ending))
        newest = self.store.get('out/ckpt-15.' + DATA)
        self.store.put('bucket', 'out/checkpoint', b'model_checkpoint_path: "ckpt-10"\n'
                                                   b'all_model_checkpoint_paths: "ckpt-10"\n')
        self.ends_well(r'going on from ckpt-10; what is newer \(ckpt-15\)', self.go(20))
        self.assertEqual(self.store.get('out/ckpt-15.%s.kept-1' % DATA), newest)
        self.assertIn('ckpt-150000.index', self.names())
        self.assertIn('ckpt-150000.' + DATA, self.names())


class InS3(Checkpoints):
    scheme = 's3'

    def setUp(self):
        super().setUp()
        self.env.update(AWS_ENDPOINT_URL=self.server.url, AWS_ACCESS_KEY_ID='AKID',
                        AWS_SECRET_ACCESS_KEY='S3CRET', AWS_REGION='eu-central-1')
        self.store.s3_keys = {'AKID': ('S3CRET', None)}


if __name__ == '__main__':
    remote_case.main()
