# SPDX-License-Identifier: Apache-2.0
"""A run that was stopped and continued, wherever that was, is the run that nothing disturbed:
evaluations at the same steps, best checkpoint, `best_*`, early stopping, last values. Intervals
that do not divide each other, so that a run goes on from steps where nothing else happens."""
import os
import random
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import jobs  # noqa: E402
import mutant  # noqa: E402
from jobs import e2e  # noqa: E402

STEPS = 300
STOPS = 30 if e2e.LONG else 4
LOWER = (',trainer.best_checkpoint_eval_metric=validation_loss,'
         'trainer.best_checkpoint_metric_comp=lower')
UNALIGNED = ('trainer.train_steps=%d,trainer.steps_per_loop=7,trainer.summary_interval=7,'
             'trainer.checkpoint_interval=30,trainer.validation_interval=20,trainer.max_to_keep=2,'
             'trainer.optimizer_config.learning_rate.polynomial.decay_steps=300' % STEPS)


class SameRun(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)
        self.name = 'bert-train'

    def run_job(self, task, model_dir, override, mode='train_and_eval', **how):
        return e2e.run(jobs.args(task, model_dir, override, mode), name=self.name,
                       cwd=self.folder, **how)

    def at_step(self, step, delay):
        """A function: has metrics.jsonl come to that step? Then it waits a bit."""
        def there():
            text = compare.read_text(self.path('out/metrics.jsonl')) or ''
            if not any(int(s) >= step for s in re.findall(r'"step": (\d+)', text)):
                return False
            time.sleep(delay)
            return True
        return there

    def interrupt(self, task, override, mode, numbers):
        """Stops, by turns with each of the signals, further and further on. How many there were."""
        rng = random.Random('%s %s' % (task, override))
        n_stopped = 0
        for i in range(STOPS):
            number = numbers[i % len(numbers)]
            result = self.run_job(task, 'out', override, mode, stop_when=(
                self.at_step(STEPS * i // (STOPS + 1), rng.random() * 0.02), number))
            self.assertIn(result.code, (0, 75, 128 + number, -number), str(result))
            n_stopped += result.code != 0
        return n_stopped

    def check(self, task, override, mode='train_and_eval',
              numbers=(signal.SIGKILL, signal.SIGTERM)):
        straight = self.run_job(task, 'straight', override, mode)
        self.assertEqual(straight.code, 0, str(straight))
        self.assertGreater(self.interrupt(task, override, mode, numbers), 0)
        result = self.run_job(task, 'out', override, mode)
        self.assertEqual(result.code, 0, str(result))
        self.same(result, straight)

    def same(self, result, straight):
        def timeless(text):
            return [line for line in text.splitlines() if 'second' not in line]
        self.assertEqual(timeless(result.stdout), timeless(straight.stdout))
        found = compare.differences(self.path('straight'), self.path('out'))
        self.assertEqual(found, [])

    def test_sentences(self):
        self.check('sentence', UNALIGNED + LOWER +
                   ',trainer.optimizer_config.ema.average_decay=0.95')

    def test_early_stopping(self):
        self.check('sentence', UNALIGNED + LOWER + ',trainer.early_stopping_patience=4,'
                   'trainer.gradient_accumulation_steps=2')

    def test_questions(self):
        self.check('squad', UNALIGNED)

    def test_tags_with_accumulation(self):
        self.check('tagging', UNALIGNED + ',trainer.gradient_accumulation_steps=4')

    def test_pairs(self):
        self.check('pairs', UNALIGNED)

    def test_killed_only(self):
        """The same checkpoints are kept as well."""
        self.check('sentence', UNALIGNED + LOWER, numbers=(signal.SIGKILL,))
        self.assertEqual(e2e.read_state_file(self.path('out')),
                         e2e.read_state_file(self.path('straight')))

    def test_training_alone(self):
        self.check('tagging', UNALIGNED, mode='train')

    def test_evaluation_at_the_end(self):
        self.check('sentence', UNALIGNED, mode='train_and_post_eval')

    def goes_red(self, word, *mutation):
        """Does it go red, with that word in what was found? A kill right after a checkpoint has
        nothing to make again, and where kills land is the machine's: so up to ten times."""
        self.name = mutant.build(self.folder, *mutation)
        for _ in range(10):
            try:
                self.check('sentence', UNALIGNED + LOWER, numbers=(signal.SIGKILL,))
            except AssertionError as red:
                if word in str(red):
                    return True
            finally:
                for name in ('straight', 'out'):
                    shutil.rmtree(self.path(name), ignore_errors=True)
        return False

    def test_the_loop_can_fail(self):
        """With evaluations that count from where the run was restored, and with records of steps
        that are made again left in the file, as it was."""
        self.assertTrue(self.goes_red('validation', 'src/train/run_config.c', [
            ('const int64_t n_done = step / interval.value;',
             'static int64_t base = -1; base = base < 0 ? step : base;'
             'const int64_t n_done = (step - base) / interval.value;'),
            ('n_done >= end / interval.value ? end : (n_done + 1) * interval.value;',
             'n_done >= (end - base) / interval.value ? end : base + (n_done + 1) * '
             'interval.value;')]))
        self.assertTrue(self.goes_red('twice', 'src/train/records.c', [
            ('BT_TRY(records_cut(r->path, cut, n_cut, err));', '')]))


if __name__ == '__main__':
    e2e.main()
