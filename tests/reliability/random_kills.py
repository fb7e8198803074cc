# SPDX-License-Identifier: Apache-2.0
"""kill -9 and SIGTERM at random instants, again and again, of jobs of all four tasks: with a moving
average, accumulation, best export, early stopping, bfloat16 and float16, with several seeds, and with
a second process that tries the same model_dir. What is there at the end equals what an undisturbed
run leaves, in everything.

30 stops; BT_LONG_TESTS=1: 500, and BT_KILLS=N as many as that."""
import fcntl
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

N_KILLS = int(os.environ.get('BT_KILLS', '500' if e2e.LONG else '30'))
F_SETPIPE_SZ = 1031  # of <fcntl.h>; Python 3.10 has a name for it
STEPS = 300 if not e2e.SANITIZED else 60


def intervals(loop, checkpoint, validation):
    return ('trainer.train_steps=%d,trainer.steps_per_loop=%d,trainer.summary_interval=%d,'
            'trainer.checkpoint_interval=%d,trainer.validation_interval=%d,trainer.max_to_keep=2,'
            'trainer.optimizer_config.learning_rate.polynomial.decay_steps=%d'
            % (STEPS, loop, loop, checkpoint, validation, STEPS))


LOWEST_LOSS = (',trainer.best_checkpoint_eval_metric=validation_loss,'
               'trainer.best_checkpoint_metric_comp=lower')
VARIANTS = (
    ('sentence', intervals(5, 15, 50) + LOWEST_LOSS +
     ',trainer.optimizer_config.ema.average_decay=0.95'),
    ('squad', intervals(5, 15, 50)),
    ('tagging', intervals(7, 20, 33) + ',trainer.gradient_accumulation_steps=4'),
    ('pairs', intervals(5, 15, 50) + ',trainer.optimizer_config.ema.average_decay=0.9'),
    ('sentence', intervals(5, 15, 20) + LOWEST_LOSS + ',trainer.early_stopping_patience=3,'
     'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.01'),
    ('sentence', intervals(30, 30, 30) + ',runtime.mixed_precision_dtype=bfloat16'),
    ('sentence', intervals(5, 15, 50) + ',runtime.mixed_precision_dtype=float16'),
    ('tagging', intervals(5, 15, 50) + ',task.train_data.cycle_length=1'),
)


class RandomKills(faults.StopCase):
    def test_variants(self):
        rng = random.Random(N_KILLS)
        n_each = max(1, N_KILLS // (len(VARIANTS) + 1))
        n = 0
        for task, override in VARIANTS:
            with self.subTest(task + ' ' + override[-60:]):
                n += len(self.check((task, override, ()), n_each, rng, self.same_run))
        print('%d stops of %d variants' % (n, len(VARIANTS)))

    def same_seeds(self, straight, victim, where):
        for seed in (1, 2, 3):
            name = 'seed_%d' % seed
            self.same_run(os.path.join(straight, name), os.path.join(victim, name), where)
        self.assertEqual(sorted(os.listdir(straight)), sorted(os.listdir(victim)), where)
        self.assertEqual(os.readlink(os.path.join(straight, 'best_seed')),
                         os.readlink(os.path.join(victim, 'best_seed')), where)

    def test_seeds(self):
        job = ('sentence', intervals(5, 15, 50).replace('=%d,' % STEPS, '=60,', 1),
               ('--seeds=1..3',))
        codes = self.check(job, max(2, N_KILLS // 9), random.Random(3), self.same_seeds)
        print('%d stops of three seeds' % len(codes))

    def test_stopped_before_the_first_save_is_due(self):
        """What a stop saves inside the first chunk is taken by the next start."""
        never = ('trainer.train_steps=1000000,trainer.steps_per_loop=1000000,'
                 'trainer.summary_interval=1000000,trainer.checkpoint_interval=1000000,'
                 'trainer.validation_interval=1000000')
        for start in range(3):
            child = self.start('sentence', never, ())
            said = b''
            while b'ready for the first step' not in said and child.poll() is None:
                said += child.stderr.readline()
            ready = e2e.processor_seconds(child.pid)
            while e2e.processor_seconds(child.pid) < ready + 0.3:  # of many steps
                time.sleep(0.01)
            child.send_signal(signal.SIGTERM)
            said += child.communicate(timeout=e2e.TIMEOUT)[1]
            self.assertEqual(child.returncode, 75, said.decode())
            if start > 0:
                self.assertIn(b'restored step ', said)

    def test_two_processes(self):
        """The second one is refused at once and changes nothing, whichever it is."""
        task, override = VARIANTS[0]
        self.assertEqual(self.run_job(task, 'straight', override).code, 0)
        rng = random.Random(5)
        n_refused = 0
        for i in range(20 if e2e.LONG else 3):
            self.wipe()
            first = self.start(task, override, ())
            fcntl.fcntl(first.stderr, F_SETPIPE_SZ, 4096)
            while i == 0 and not os.path.exists(self.path(faults.VICTIM, '.bert-train.lock')):
                time.sleep(0.001)
            time.sleep(rng.random() * 0.1)
            second = self.start(task, override + ',task.train_data.seed=7', ())
            fcntl.fcntl(second.stderr, F_SETPIPE_SZ, 4096)
            while first.poll() is None and second.poll() is None:
                time.sleep(0.01)  # whoever trains says more than a pipe holds, and nobody reads it yet
            said = [child.communicate(timeout=e2e.TIMEOUT)[1].decode() for child in (first, second)]
            codes = (first.returncode, second.returncode)
            if codes == (0, 4):
                n_refused += 1
                self.assertIn('process %d on' % first.pid, said[1])
                self.same_run(self.path('straight'), self.path(faults.VICTIM), said[1])
            else:
                self.assertEqual(codes, (4, 0), said)
        self.assertGreater(n_refused, 0)


if __name__ == '__main__':
    e2e.main()
