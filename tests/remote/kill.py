# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of everything: at every request that a small job on gs:// makes, and at
random instants; what is in the store is then always a folder from which the job goes on, to the same
bits as a run that was never killed.

BT_LONG_TESTS=1 kills at each request (otherwise at a sample) and 25 times at random."""
import os
import random
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import compare  # noqa: E402
from remote_case import e2e  # noqa: E402

JOB = ('trainer.train_steps=60,trainer.checkpoint_interval=10,trainer.validation_interval=20,'
       'trainer.max_to_keep=2,trainer.optimizer_config.learning_rate.polynomial.decay_steps=60')
LAST = 'ckpt-60'


class Kill(remote_case.RemoteCase):
    def setUp(self):
        super().setUp()
        self.train(model_dir='straight', override=JOB)

    def killed_at(self, request, before):
        """Starts the job and kills it when it makes that request (from 1): before the store has
        done it, or after. False: it made fewer."""
        def stop(line):
            if '/out' not in line and 'out%2F' not in line:
                return
            self.n_requests += 1
            if self.n_requests == request:
                if before:
                    self.child.kill()
                    self.child.wait()
                else:
                    self.victim = True
        self.n_requests, self.victim = 0, False
        self.store.on_request = stop
        command = [e2e.program()] + self.args(override=(
            JOB + ',task.train_data.input_path=gs://bucket/data/train.tf_record,'
            'task.validation_data.input_path=gs://bucket/data/eval.tf_record'),
            model_dir='gs://bucket/out')
        self.child = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, env=dict(os.environ, **self.env))
        while self.child.poll() is None and not self.victim:
            try:
                self.child.wait(0.002)
            except subprocess.TimeoutExpired:
                pass
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.store.on_request = None
        return self.child.returncode == -signal.SIGKILL

    def whole(self):
        """What `checkpoint` names is there, byte for byte readable."""
        out = self.fetch('out', 'fetched')
        for folder in (out, os.path.join(out, 'best_ckpt')):
            latest, _ = e2e.read_state_file(folder)
            if latest:
                self.assertGreater(len(e2e.trained_values(os.path.join(folder, latest))), 40)

    def goes_on(self):
        self.remote_train(override=JOB)
        out = self.fetch('out', 'fetched')
        self.assertEqual(e2e.read_state_file(out)[0], LAST)
        self.same_values(self.path('straight', LAST), os.path.join(out, LAST))
        straight = self.path('straight')
        self.assertEqual(compare.record_differences(straight, out) +
                         compare.event_differences(straight, out) +
                         compare.best_differences(straight + '/best_ckpt', out + '/best_ckpt'), [])

    def wipe(self):
        for name in self.store.names('out/'):
            del self.store.buckets['bucket'][name]
        subprocess.run(['rm', '-rf', self.path('fetched')], check=True)

    def test_at_every_request(self):
        request, n_killed = 1, 0
        stride = 1 if e2e.LONG else 17
        while self.killed_at(request, before=request % 2 == 0):
            n_killed += 1
            self.whole()
            self.goes_on()
            self.wipe()
            request += stride
        self.assertGreater(n_killed, 5)

    def test_at_random_instants(self):
        """One folder, killed again and again, then finished."""
        rng = random.Random(7)
        n_killed = 0
        for _ in range(25 if e2e.LONG else 6):
            n_killed += self.killed_at(rng.randint(5, 60), before=rng.random() < 0.5)
            self.whole()
        self.assertGreater(n_killed, 2)
        self.goes_on()


if __name__ == '__main__':
    remote_case.main()
