# SPDX-License-Identifier: Apache-2.0
"""The power goes: from every state that POSIX allows a disk to hold then, the same command ends as a
run that nothing disturbed, and no checkpoint is lost of which the program had said that it is saved.

A run is recorded once (writes, syncs, names: file_faults.c), then cut after its operations; support/disk.py
says what may be on the disk then. BT_LONG_TESTS=1 cuts after every operation, with more states."""
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import disk  # noqa: E402
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

N_CUTS = int(os.environ.get('BT_SAMPLE', '12'))
N_RANDOM = 6 if e2e.LONG else 1
EMA = ('trainer.optimizer_config.ema.average_decay=0.9,trainer.gradient_accumulation_steps=2,'
       'trainer.checkpoint_interval=15,trainer.validation_interval=25')


def saved_step(said):
    steps = re.findall(r'saved checkpoint to %s/ckpt-(\d+)' % faults.VICTIM, ''.join(said))
    return int(steps[-1]) if steps else 0


def restored_step(result):
    found = re.search(r'restored step (\d+)', result.stderr)
    return int(found.group(1)) if found else 0


class PowerLoss(faults.EachTask, faults.FaultCase):
    def record(self, task, override=''):
        self.assertEqual(self.run_job(task, 'straight', override).code, 0)
        result = self.suffer(task, override, sync=True, RECORD=self.path('record'))
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(compare.differences(self.path('straight'), self.path(faults.VICTIM)), [])
        return disk.read_record(self.path('record'))

    def goes_on(self, task, override, cut, said, name):
        result = self.run_job(task, faults.VICTIM, override)
        where = 'cut after operation %d, %s' % (cut, name)
        self.assertEqual(result.code, 0, '%s\n%s' % (where, result))
        self.assertEqual(compare.differences(self.path('straight'), self.path(faults.VICTIM)), [],
                         '%s\n%s' % (where, result))
        self.assertGreaterEqual(restored_step(result), saved_step(said), where)

    def check(self, task, override=''):
        operations = self.record(task, override)
        rng = random.Random(task + override)
        stride = 1 if e2e.LONG else max(1, len(operations) // N_CUTS)
        played = disk.Disk(self.folder)
        n_states = 0
        for i, operation in enumerate(operations):
            played.play(operation)
            if (i + rng.randrange(stride)) % stride != 0 or operation[1][0] == '<stderr>':
                continue
            states = list(played.states(rng, N_RANDOM))
            for name, names_of, bytes_of in states if e2e.LONG else [rng.choice(states)]:
                played.write(self.folder, names_of, bytes_of)
                self.goes_on(task, override, i + 1, played.said, name)
                n_states += 1
        print('%s: %d operations, %d states' % (task, len(operations), n_states))
        self.assertGreater(n_states, 3)

    def test_sentence_with_average_and_accumulation(self):
        self.check('sentence', EMA)


if __name__ == '__main__':
    faults.require()
    e2e.main()
