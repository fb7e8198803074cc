# SPDX-License-Identifier: Apache-2.0
"""A loss that is too large takes the run back to its newest checkpoint, a number of times
(trainer.recovery_max_trials). A job that is killed meanwhile and given again recovers as often as
one that nothing disturbed, and comes to the same; a newest checkpoint that is damaged is passed over
then, too, and that is said."""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import jobs  # noqa: E402
import mutant  # noqa: E402
from jobs import e2e  # noqa: E402

STEPS = 300
STOPS = 60 if e2e.LONG else 8
JOB = ('trainer.train_steps=%d,trainer.checkpoint_interval=20,trainer.validation_interval=60,'
       'trainer.optimizer_config.learning_rate.polynomial.decay_steps=%d' % (STEPS, STEPS))
BOUND = ',trainer.loss_upper_bound=%r,trainer.recovery_begin_steps=30,trainer.recovery_max_trials=%d'
DATA = '.data-00000-of-00001'


class Recovery(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)
        self.name = 'bert-train'

    def run_job(self, model_dir, override, expect=0, **how):
        result = e2e.run(jobs.args('sentence', model_dir, override), cwd=self.folder,
                         name=self.name, **how)
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def find_bound(self):
        """A bound that the job goes beyond between different saves, and the number of times."""
        self.run_job('plain', JOB)
        losses = sorted((r['training_loss'] for r in e2e.read_jsonl(self.path('plain'))
                         if r['kind'] == 'train' and r['step'] > 30), reverse=True)
        for bound in (losses[i] * 0.9999 for i in range(2, 20)):
            shutil.rmtree(self.path('straight'), ignore_errors=True)
            result = self.run_job('straight', JOB + BOUND % (bound, 50), expect=None)
            steps = re.findall(r'recovered the model .* at step (\d+)', result.stderr)
            if result.code == 0 and len(set(steps)) >= 2:
                return bound, len(steps)
        self.fail('no loss of the job is far above the others')
        return None

    def recoveries_and_stops(self, override):
        """Stops the job STOPS times after a recovery: by kill -9 at once, after the next save, by
        SIGTERM soon, after the next record, in turn; then it runs to its end. Its exit status, the
        number of stops, and all lines."""
        said = ''
        n_stops = 0
        rng = random.Random(n_stops)
        for i in range(STOPS + 1):
            def is_time(last=i == STOPS, then=('', 'saved', '', 'train |')[i % 4]):
                text = compare.read_text(self.path('log')) or ''
                return not last and re.search('(?s)recovered the model.*' + then, text)
            with open(self.path('log'), 'w', encoding='utf-8') as log:
                pace = e2e.Pace(log)
                child = subprocess.Popen(
                    [e2e.program(self.name)] + jobs.args('sentence', 'out', override),
                    cwd=self.folder, stdout=subprocess.DEVNULL, stderr=pace.sink)
                pace.started()
                while child.poll() is None and not is_time():
                    pace.look()
                    time.sleep(0.0005)
                if child.poll() is None:
                    time.sleep(0.01 * rng.random())
                    child.send_signal((signal.SIGKILL, signal.SIGTERM)[i % 4 // 2])
                pace.let_go()
                code = child.wait(e2e.TIMEOUT)
                pace.end()
            said += compare.read_text(self.path('log'))
            if code in (0, 6):
                return code, n_stops, said
            n_stops += 1
        self.fail('it does not come to its end')
        return None

    def check_ends_alike(self):
        """Differences between a job that is stopped again and again and a straight one: with as many
        trials as are needed, and with one less, which ends both with the same sentence."""
        bound, n = self.find_bound()
        override = JOB + BOUND % (bound, n)
        code, n_stops, said = self.recoveries_and_stops(override)
        self.assertGreater(n_stops, 1)
        out = [] if code == 0 else ['exit %d' % code]
        if code == 0:
            out += [d for d in compare.differences(self.path('straight'), self.path('out'))
                    # their recovery_max_trials is another
                    if not d.startswith(('params.yaml', 'params_ours.yaml', 'run_facts.json'))]
        if 'trial %d of %d' % (n, n) not in said:
            out.append('there was no last trial')
        shutil.rmtree(self.path('out'))
        shutil.rmtree(self.path('straight'))
        override = JOB + BOUND % (bound, n - 1)
        straight = self.run_job('straight', override, expect=6)
        code, n_stops, said = self.recoveries_and_stops(override)
        error = self.one_error(straight).split('error: ')[1]
        if code != 6 or error not in said:
            out.append('%r, not %r' % (said[-300:], error))
        return out

    def test_counts_all_trials(self):
        self.assertEqual(self.check_ends_alike(), [])

    def test_the_loop_can_fail(self):
        """With a mistake in the program: what the checkpoint says of trials is not taken."""
        if not e2e.LONG:
            self.skipTest('compiles the program anew: BT_LONG_TESTS=1')
        self.name = mutant.build(self.folder, 'src/train/course.c', [
            ('    run->course.recovery_trials = state.course.recovery_trials;\ndone:', 'done:')])
        self.assertNotEqual(self.check_ends_alike(), [])

    def test_newest_is_damaged_then(self):
        """Meanwhile: the one before is taken, which is said, and the damaged one is kept aside."""
        override = ('trainer.train_steps=4000,trainer.checkpoint_interval=1500,'
                    'trainer.steps_per_loop=10,trainer.summary_interval=10,'
                    'trainer.validation_interval=4000,trainer.max_to_keep=5,'
                    'trainer.loss_upper_bound=0.000001,trainer.recovery_begin_steps=2500,'
                    'trainer.recovery_max_trials=1')
        out = self.path('out')
        with open(self.path('log'), 'w', encoding='utf-8') as log:
            pace = e2e.Pace(log)
            child = subprocess.Popen([e2e.program()] + jobs.args('sentence', 'out', override),
                                     cwd=self.folder, stdout=subprocess.DEVNULL, stderr=pace.sink)
            pace.started()
            self.addCleanup(lambda: child.poll() is None and child.kill())
            while child.poll() is None and not (
                    os.path.isdir(out) and e2e.read_state_file(out)[0] == 'ckpt-1510'):
                pace.look()
                time.sleep(0.0005)
            child.send_signal(signal.SIGSTOP)
            with open(os.path.join(out, 'ckpt-1510' + DATA), 'r+b') as data:
                data.seek(20000)
                data.write(b'\xff' * 64)
            child.send_signal(signal.SIGCONT)
            pace.let_go()
            self.assertEqual(child.wait(e2e.TIMEOUT), 6)
            pace.end()
        said = compare.read_text(self.path('log'))
        self.assertRegex(said, 'names ckpt-1510, which cannot be used (.*): ckpt-10, the newest '
                               'whole one before it, is taken')
        self.assertRegex(said, r'recovered the model from the latest checkpoint at step 10 \(trial 1 '
                               r'of 1\)')
        self.assertRegex(said, r'error: step 2500: training loss .* time number 2')
        self.assertTrue(os.path.exists(out + '/ckpt-1510.index.kept-1'))
        self.assertTrue(os.path.exists(out + '/ckpt-1510.index'))  # made again
        again = self.run_job('out', override, expect=6)
        self.assertIn('time number 2', self.one_error(again))


if __name__ == '__main__':
    e2e.main()
