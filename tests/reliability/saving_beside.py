# SPDX-License-Identifier: Apache-2.0
"""Checkpoints are written while the steps go on. What comes out is the same as when they are written
between the steps, whatever happens to the save that is under way: a kill, a full disk, a stop."""
import os
import re
import resource
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import faults  # noqa: E402
import mutant  # noqa: E402
from faults import VICTIM, e2e  # noqa: E402

BETWEEN = ['--enable_async_checkpointing=false']
SLOW = 120  # milliseconds of each fsync of a checkpoint's file
KILLS = 20 if e2e.LONG else 3
EMA = 'trainer.optimizer_config.ema.average_decay=0.95'
ENOSPC = 28


class Beside(faults.FaultCase):
    def slow(self, name, delay=SLOW, **more):
        """Files of that checkpoint are slow to come to the disk, or fail."""
        return self.environment(root=name, sync=True, DELAY=delay, **more)

    def straight(self, task='sentence', override=''):
        result = self.run_job(task, 'straight', override, more=BETWEEN)
        self.assertEqual(result.code, 0, str(result))
        self.assertNotIn('the copy that is saved', result.stderr)
        return result

    def ends(self):
        """The victim given again comes to the same end as the straight run."""
        result = self.run_job('sentence', VICTIM)
        self.assertEqual(result.code, 0, str(result))
        found = compare.differences(self.path('straight'), self.path(VICTIM))
        self.assertEqual(found, [])

    def last_step(self):
        return max([step for (kind, step), _ in compare.records(self.path(VICTIM)) if kind != 'torn'] or [0])

    # the same bits

    def check_same(self, task, override=''):
        straight = self.straight(task, override)
        env = self.slow(VICTIM + '/ckpt-', 30)
        result = self.run_job(task, VICTIM, override, env)
        self.assertEqual(result.code, 0, str(result))
        self.assertIn('the copy that is saved', result.stderr)
        self.assertEqual([line for line in result.stdout.splitlines() if 'second' not in line],
                         [line for line in straight.stdout.splitlines() if 'second' not in line])
        self.assertEqual(compare.differences(self.path('straight'), self.path(VICTIM), True), [])
        for name in e2e.read_state_file(self.path(VICTIM))[1]:
            self.same_values(self.path('straight', name), self.path(VICTIM, name))

    def test_averages(self):
        self.check_same('sentence', EMA)

    def test_accumulation(self):
        self.check_same('tagging', 'trainer.gradient_accumulation_steps=2,runtime.threads=2')

    def test_questions(self):
        self.check_same('squad')

    def test_pairs(self):
        self.check_same('pairs', 'runtime.mixed_precision_dtype=float16')

    def test_another_optimizer(self):
        self.check_same('sentence', 'trainer.optimizer_config.optimizer.type=sgd')

    # beside, and in order

    def order(self, env, **how):
        result = self.run_job('sentence', VICTIM,
                              'trainer.steps_per_loop=10,trainer.summary_interval=10', env, **how)
        self.assertEqual(result.code, 0, str(result))
        lines = result.stderr.splitlines()

        def place(words):
            return next(i for i, line in enumerate(lines) if re.search(words, line))
        saved = [place(r'saved checkpoint to \S*/ckpt-%d$' % n) for n in range(10, 61, 10)]
        self.assertEqual(saved, sorted(saved))
        return place, saved, result

    def test_steps_go_on(self):
        def opens_gate():
            if self.last_step() >= 20:
                self.write('gate', '')
            return False
        place, saved, result = self.order(self.slow(VICTIM + '/ckpt-', UNTIL=self.path('gate')),
                                          stop_when=(opens_gate, signal.SIGKILL))
        self.assertGreater(saved[0], place(r'train \| step +20 '))
        # an evaluation's record and the best checkpoint come after the step's own checkpoint
        for step in (20, 40, 60):
            self.assertGreater(place(r'eval  \| step +%d ' % step), saved[step // 10 - 1])
        self.assertIn('the copy that is saved', result.stderr)

    def test_switched_off(self):
        place, saved, result = self.order(self.slow(VICTIM + '/ckpt-'), more=BETWEEN)
        self.assertLess(saved[0], place(r'train \| step +20 '))
        self.assertNotIn('the copy that is saved', result.stderr)

    # whatever happens to it

    def test_killed(self):
        """In the middle of a save, when the steps are beyond it."""
        self.straight()
        n_killed = 0
        for i in range(KILLS):
            def is_beyond(step=15 + 10 * (i % 3)):
                return self.last_step() > step
            result = self.run_job('sentence', VICTIM, '', self.slow(VICTIM + '/ckpt-', 200),
                                  stop_when=(is_beyond, signal.SIGKILL), may_die=True)
            n_killed += result.code == -signal.SIGKILL
        self.assertGreater(n_killed, 0)
        self.ends()

    def test_stopped(self):
        """The save that is under way and the one of the stop are both whole; exit 75."""
        self.straight()
        result = self.run_job('sentence', VICTIM, '', self.slow(VICTIM + '/ckpt-', 300), stop_when=(
            lambda: self.last_step() >= 10, signal.SIGTERM))
        self.assertEqual(result.code, 75, str(result))
        saved = re.findall(r'saved checkpoint to \S*/(ckpt-\d+)', result.stderr)
        latest, names = e2e.read_state_file(self.path(VICTIM))
        self.assertEqual(saved[-1], latest)
        self.assertEqual(saved[0], 'ckpt-5')
        self.assertEqual(saved[-2:], names)
        self.assertIn('everything saved', result.stderr)
        self.ends()

    def test_full_disk_for_a_moment(self):
        self.straight()
        env = self.slow(VICTIM + '/ckpt-15', 0, ERRNO=ENOSPC)
        env.update({'BT_FAULT_AT': '2', 'BT_FAULT_ACTION': 'errno'})
        result = self.run_job('sentence', VICTIM, '', env)
        self.assertEqual(result.code, 0, str(result))
        self.assertIn('trying again in 0.5 seconds (1 of 3)', result.stderr)
        self.assertEqual(compare.differences(self.path('straight'), self.path(VICTIM), True), [])

    def test_full_disk(self):
        """The run ends at once with the save's error, and what was saved before is whole."""
        self.straight()
        env = self.slow(VICTIM + '/ckpt-15', 0, ERRNO=ENOSPC, ONWARD=1)
        env.update({'BT_FAULT_AT': '2', 'BT_FAULT_ACTION': 'errno'})
        result = self.run_job('sentence', VICTIM, 'trainer.checkpoint_retry=0', env)
        self.assertEqual(result.code, 4, str(result))
        self.assertRegex(self.one_error(result), r'victim/ckpt-15\S*: .*[Nn]o space')
        self.assertLessEqual(self.last_step(), 25)
        self.assertEqual(e2e.read_state_file(self.path(VICTIM))[0], 'ckpt-5')
        self.ends()

    def test_stopped_while_the_disk_is_full(self):
        """The save of the stop is another try; it finds room, so everything is saved."""
        self.straight()
        env = self.slow(VICTIM + '/ckpt-15', 0, ERRNO=ENOSPC, ONWARD=1)
        env.update({'BT_FAULT_AT': '2', 'BT_FAULT_ACTION': 'errno'})
        result = self.run_job('sentence', VICTIM, '', env, stop_when=(
            lambda: self.last_step() >= 20, signal.SIGTERM))
        self.assertEqual(result.code, 75, str(result))
        self.assertRegex(result.stderr, r'warning: .*victim/ckpt-15.*[Nn]o space')
        self.assertNotIn('saved checkpoint to victim/ckpt-15', result.stderr)
        latest = e2e.read_state_file(self.path(VICTIM))[0]
        self.assertGreater(int(latest.split('-')[1]), 15)
        self.ends()

    # the test of the tests

    def test_mutation(self):
        """Without the copy the steps change what is being written."""
        if e2e.SANITIZED:
            self.skipTest('a mutant is linked without the sanitizer')
        self.straight()
        program = mutant.build(self.folder, 'src/train/saver.c', [
            ('    copy_all(s, &order->view);\n', '')])
        result = self.run_job('sentence', VICTIM, '', self.slow(VICTIM + '/ckpt-'), name=program)
        self.assertEqual(result.code, 0, str(result))
        names = e2e.read_state_file(self.path('straight'))[1]
        differ = [name for name in names if e2e.trained_values(self.path('straight', name)) !=
                  e2e.trained_values(self.path(VICTIM, name))]
        self.assertTrue(differ)


@unittest.skipIf(e2e.SANITIZED, 'a sanitizer takes more address space than any limit leaves')
class Memory(e2e.Case):
    """A model of 19 million parameters: 293 MiB with gradients and slots, and 220 MiB for a copy."""
    MODEL = ('task.model.encoder.bert.vocab_size=60000,task.model.encoder.bert.hidden_size=256,'
             'task.model.encoder.bert.num_attention_heads=4,'
             'task.model.encoder.bert.intermediate_size=1024,task.model.encoder.bert.num_layers=4,'
             'runtime.threads=1,task.train_data.global_batch_size=8,trainer.train_steps=3,'
             'trainer.steps_per_loop=1,trainer.summary_interval=1,trainer.checkpoint_interval=1')

    def limited(self, mib):
        def before():
            resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))
        start = time.monotonic()
        result = self.train(mode='train', override=self.MODEL, model_dir='at%d' % mib,
                            run_how={'before': before})
        print('ulimit -v %d MiB: %.1f s' % (mib, time.monotonic() - start))
        self.assertEqual(e2e.read_state_file(self.path('at%d' % mib))[0], 'ckpt-3')
        return result

    def test_room(self):
        with_copy = self.limited(1200)
        self.assertRegex(with_copy.stderr, r'the copy that is saved 2\d\d\.\d MiB: up to ')
        without = self.limited(480)
        self.assertRegex(without.stderr, r'checkpoints are written between the steps, not during them: the copy of the state that this takes is 2\d\d\.\d MiB, and '
                         r'[\d.]+ MiB are left')
        self.same_values(self.path('at1200', 'ckpt-2'), self.path('at480', 'ckpt-2'))


if __name__ == '__main__':
    faults.require()
    e2e.main()
