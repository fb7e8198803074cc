# SPDX-License-Identifier: Apache-2.0
"""kill -9 before, after and in the middle of the k-th change that a job makes to its files, in all
four tasks; then the same command must end as a run that nothing disturbed: checkpoints, best
checkpoint, info.json, every record and event, no litter.

BT_LONG_TESTS=1 takes every k; otherwise a sample that differs from kind to kind of kill."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import faults  # noqa: E402
from jobs import e2e  # noqa: E402

N_SAMPLE = int(os.environ.get('BT_SAMPLE', '2'))
ACTIONS = ('kill', 'kill_after', 'tear')
UNALIGNED = ('trainer.steps_per_loop=4,trainer.summary_interval=4,trainer.checkpoint_interval=9,'
             'trainer.validation_interval=14')
VARIANTS = {
    'average': ('sentence', UNALIGNED + ',trainer.optimizer_config.ema.average_decay=0.9'),
    'accumulation': ('tagging', UNALIGNED + ',trainer.gradient_accumulation_steps=3'),
    'early_stopping': ('sentence', UNALIGNED + ',trainer.early_stopping_patience=2,'
                       'trainer.best_checkpoint_eval_metric=validation_loss,'
                       'trainer.best_checkpoint_metric_comp=lower'),
}


class KillPoints(faults.EachTask, faults.FaultCase):
    def check(self, task, override=''):
        self.assertEqual(self.run_job(task, 'straight', override).code, 0)
        self.assertEqual(self.suffer(task, override).code, 0)
        n = len(self.operations())
        self.assertGreater(n, 50)
        n_kills = 0
        bad = []
        for i, action in enumerate(ACTIONS):
            stride = 1 if e2e.LONG else n // N_SAMPLE
            for k in range(1 + (stride * (i + 1)) // 4, n + 1, stride):
                result = self.suffer(task, override, k, action)
                if result.code == 0 and action == 'kill':
                    continue  # the order of a thread's calls: this run made fewer
                self.assertIn(result.code, (-signal.SIGKILL, 0), str(result))
                n_kills += result.code != 0
                last = ' '.join(self.operations()[-1])
                bad += ['%s at %d (%s): %s' % (action, k, last, d)
                        for d in self.differences_after(task, override)]
        print('%s %s: %d kills' % (task, override[-40:], n_kills))
        self.assertEqual(bad, [])
        self.assertGreater(n_kills, 0)

    def differences_after(self, task, override):
        result = self.run_job(task, faults.VICTIM, override)
        if result.code != 0:
            return ['exit %d: %s' % (result.code, result.errors())]
        return compare.differences(self.path('straight'), self.path(faults.VICTIM))

    def test_variants(self):
        for name, (task, override) in VARIANTS.items():
            with self.subTest(name):
                self.wipe('straight')
                self.check(task, override)


if __name__ == '__main__':
    faults.require()
    e2e.main()
