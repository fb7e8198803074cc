# SPDX-License-Identifier: Apache-2.0
"""Being asked to stop, beside the table of stop_phases.py: what is said and where a run goes on, signals
twice, ignored and from limits, a log's reader that goes away."""
import os
import resource
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
import jobs  # noqa: E402
import stops  # noqa: E402
from stops import FOR_EVER, SLOW, Program, e2e  # noqa: E402


class Saved(stops.Case):
    """There is state: it is saved, 75, and where is said."""

    def check(self, program, name, within=3.0, words='stopping after this'):
        program.stop(name, 75, within, words)
        step = int(e2e.read_state_file(self.path('made/out'))[0].rsplit('-')[-1])
        self.assertRegex(program.stderr(), r'stopped by %s at step %d of .*everything saved in '
                         'made/out; the same command continues' % (name, step))
        return step

    def test_training(self):
        program = self.train(override=FOR_EVER)
        program.makes_steps()
        self.check(program, 'SIGHUP', words='stopping after this step')

    def test_evaluation(self):
        big = self.repeat('dev.tsv', 5000, 1)
        program = self.train(override='trainer.validation_interval=10,'
                                      'task.validation_data.input_path=' + big,
                             env=self.slow('dev.tsv', 'pread', skip=5))
        program.until(self.marked)
        self.assertEqual(self.check(program, 'SIGINT', words='stopping after this batch'), 10)

    def test_stopped_again_at_once(self):
        """In the input phase of a run that goes on from a checkpoint nothing is new, nor lost."""
        program = self.train(override=FOR_EVER)
        program.says('saved checkpoint')
        self.check(program, 'SIGTERM')
        before = self.names()
        again = self.train(override=FOR_EVER, env=self.slow('train.tsv', ms=3000))
        again.until(self.marked)
        again.stop('SIGTERM', None, within=4.0)
        self.assertEqual(self.names(), before)

    def test_continuous_evaluation_waits(self):
        self.trained('made/out')
        program = self.train(mode='continuous_eval')
        program.says('waiting for a new checkpoint')
        self.assertIn('trainer.continuous_eval_timeout', program.stop('SIGTERM', None))


class Other(stops.Case):
    def test_timeout_sends_its_signal_twice(self):
        """When its time is over, and when it is itself asked to stop: to the process and to the group."""
        program = Program(self, ['timeout', '--preserve-status', '-s', 'TERM', '1h', e2e.program()] +
                          jobs.args('sentence', 'made/out', FOR_EVER))
        program.says('saved checkpoint')
        program.child.send_signal(signal.SIGTERM)
        self.assertEqual(program.child.wait(60 * SLOW), 75, program.stderr())

    def test_what_was_ignored_stays_ignored(self):
        def nohup():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        program = self.train(override=FOR_EVER, before=nohup)
        program.says('saved checkpoint')
        program.child.send_signal(signal.SIGHUP)
        program.child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(program.child.poll())
        program.stop('SIGTERM', 75, within=3.0)

    def test_standard_error_goes_away(self):
        """A log's reader that dies must not take the run with it."""
        read_end, write_end = os.pipe()
        child = subprocess.Popen(
            [e2e.program()] + jobs.args('sentence', 'made/out', 'trainer.train_steps=100'),
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=write_end)
        os.close(write_end)
        os.close(read_end)
        self.assertEqual(child.wait(60 * SLOW), 0)
        self.assertEqual(e2e.read_state_file(self.path('made/out'))[0], 'ckpt-100')

    def test_file_size_limit(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        program = self.train(override='trainer.train_steps=100,trainer.checkpoint_retry=0',
                             before=limit)
        self.assertEqual(program.child.wait(60 * SLOW), 4, program.stderr())
        self.assertIn('File too large', program.stderr())

    def test_processor_time(self):
        program = self.train(override=FOR_EVER)
        program.makes_steps()
        resource.prlimit(program.child.pid, resource.RLIMIT_CPU, (1, 60))
        self.assertEqual(program.child.wait(60 * SLOW), 75, program.stderr())
        self.assertIn('SIGXCPU: stopping after this step', program.stderr())

    def test_tokenizer_loses_its_reader(self):
        self.repeat('train.tsv', 300)
        result = subprocess.run(
            ['bash', '-c', '%s --vocab_file=vocab.txt big-train.tsv | head -1; echo ${PIPESTATUS[0]}'
             % e2e.program('bert-tokenize')], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual((result.stdout.splitlines()[-1], result.stderr), ('141', ''))


if __name__ == '__main__':
    e2e.main()
