# SPDX-License-Identifier: Apache-2.0
"""kill -9 and SIGTERM at random instants of runs on devices (the CPU plug-in's), with steps sent
ahead; on two devices, from parts, with a moving average. What is there at the end equals what an
undisturbed run on the same devices leaves, to the bit, and no start compiles what was compiled.

8 stops; BT_LONG_TESTS=1: 200, and BT_KILLS=N as many as that."""
import os
import random
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402
import plugins  # noqa: E402

N_KILLS = int(os.environ.get('BT_KILLS', '200' if e2e.LONG else '8'))
STEPS = 60 if not e2e.LONG else 300
RUN = ('trainer.train_steps=%d,trainer.steps_per_loop=10,trainer.summary_interval=10,'
       'trainer.checkpoint_interval=20,trainer.validation_interval=30,'
       'trainer.optimizer_config.learning_rate.polynomial.decay_steps=%d,' % (STEPS, STEPS))
TWO = ('runtime.distribution_strategy=mirrored,runtime.num_gpus=2,'
       'trainer.gradient_accumulation_steps=2,trainer.optimizer_config.ema.average_decay=0.9,')


class DeviceStops(faults.StopCase):
    def setUp(self):
        super().setUp()
        if plugins.fetched('cpu') is None or 'plug-ins: PJRT' not in e2e.run(['--version']).stdout:
            self.skipTest('SKIPPED: no CPU plug-in, or a build without (tools/get_pjrt.sh cpu)')
        self.cache = tempfile.mkdtemp(prefix='bt-programs-')
        self.addCleanup(shutil.rmtree, self.cache, ignore_errors=True)
        self.env = {'XLA_FLAGS': plugins.QUICK, 'BERT_TRAIN_PJRT_DIR': self.cache}
        rng = random.Random(1)
        for name, n in (('train.tsv', 120), ('dev.tsv', 36)):  # as long as each other: few shapes
            with open(self.path('vocab.txt'), encoding='utf-8') as source:
                words = source.read().split()[-50:]
            rows = [' '.join(rng.choice(words) for _ in range(6)) for _ in range(n)]
            jobs.write(self.folder, name, 'sentence\tlabel\n' + ''.join(
                '%s\t%d\n' % (row, row.count('a') > row.count('e')) for row in rows))

    def programs(self):
        return sorted(os.listdir(os.path.join(self.cache, 'programs')))

    def stop(self, override):
        override = RUN + override + 'runtime.pjrt_plugin=' + plugins.fetched('cpu')
        self.assertEqual(self.run_job('sentence', 'first', override, self.env, timeout=200).code, 0)
        compiled = self.programs()
        self.assertGreater(len(compiled), 1)
        codes = self.check(('sentence', override, ()), N_KILLS // 2, random.Random(N_KILLS),
                           self.same_run)
        self.assertEqual(self.programs(), compiled)
        print('stopped with %s' % codes)

    def test_one_device(self):
        self.stop('')

    def test_two_devices(self):
        self.stop(TWO)


if __name__ == '__main__':
    e2e.main()
