# SPDX-License-Identifier: Apache-2.0
"""Every program is asked to stop in every phase: a line at once, then saved and exit 75, or 128 + N
where nothing was to be saved and nothing is left behind; a second signal ends it at once. Phases are
made long by a preloaded slow disk (slow_files.c) and by many rows. Servers that stall are in
tests/remote/waits.py."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
import jobs  # noqa: E402
import e2e  # noqa: E402

SLOW_LIBRARY = os.path.join(e2e.BUILD, 'tests/reliability/libslow_files.so')
# Times are bounds of a quiet machine; BT_TEST_SLOW stretches them.
SLOW = float(os.environ.get('BT_TEST_SLOW', '4')) * (5 if e2e.SANITIZED else 1)
AGAIN = '; again to stop now\n'
ALL = ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU', 'SIGXFSZ')
VOCAB = os.path.join(e2e.SOURCE, 'tests/goldens/text/vocab.txt')
FOR_EVER = 'trainer.train_steps=10000000,trainer.checkpoint_interval=1000000,' \
           'trainer.validation_interval=10000000'


class Program:
    """One that runs; its standard error is read as it comes."""

    def __init__(self, case, command, env=None, before=None, stdin=subprocess.DEVNULL, stdout=None):
        self.case = case
        self.err = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            command, cwd=case.folder, env=dict(os.environ, **(env or {})), stdin=stdin,
            stdout=stdout or subprocess.DEVNULL, stderr=self.err, preexec_fn=before)
        case.addCleanup(self.end)

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self.err):
            if stream is not None:
                stream.close()

    def stderr(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode('utf-8', 'replace')

    def until(self, there, seconds=60):
        end = time.monotonic() + seconds * SLOW
        while not there():
            if self.child.poll() is not None or time.monotonic() > end:
                self.case.fail('%s came to no such phase\n%s' % (
                    'it ended with %s and' % self.child.poll() if self.child.poll() is not None
                    else 'it', self.stderr()))
            time.sleep(0.005)

    def says(self, text):
        self.until(lambda: text in self.stderr())

    def stop(self, name, expect, within=1.0, words='stopping'):
        """Sends the signal; the line must come at once, the end within the bound."""
        number = getattr(signal, name)
        sent = time.monotonic()
        self.child.send_signal(number)
        self.until(lambda: AGAIN in self.stderr() or self.child.poll() is not None)
        told = time.monotonic() - sent
        try:
            code = self.child.wait(60 * SLOW)
        except subprocess.TimeoutExpired:
            self.case.fail('%s: still running\n%s' % (name, self.stderr()))
        took = time.monotonic() - sent
        text = self.stderr()
        expect = 128 + number if expect is None else expect
        self.case.assertEqual(code, expect, text)
        self.case.assertIn('%s: %s' % (name, words), text)
        self.case.assertEqual(text.count(AGAIN), 1, text)
        self.case.assertNotIn('error', text)
        self.case.assertRegex(text, 'stopped by %s' % name)
        self.case.assertLess(told, 0.25 * SLOW, 'the line came late')
        self.case.assertLess(took, within * SLOW, text)
        return text


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bt-signals-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        jobs.make(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def slow(self, path, op=None, ms=100, skip=0):
        """Environment of a program for which that file is on a slow disk."""
        env = {'LD_PRELOAD': SLOW_LIBRARY, 'BT_SLOW_PATH': path, 'BT_SLOW_MS': str(ms),
               'BT_SLOW_SKIP': str(skip), 'BT_SLOW_MARK': self.path('mark'),
               'TMPDIR': self.folder}
        if e2e.SANITIZED:  # the preloaded library comes before the sanitizer's
            env['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'
        return dict(env, BT_SLOW_OP=op) if op else env

    def marked(self):
        return os.path.exists(self.path('mark'))

    def repeat(self, name, times, head=0):
        """A file's lines many times over."""
        with open(self.path(name), 'rb') as source:
            lines = source.read().splitlines(keepends=True)
        with open(self.path('big-' + name), 'wb') as out:
            out.write(b''.join(lines[:head]))
            for _ in range(times):
                out.write(b''.join(lines[head:]))
        return 'big-' + name

    def train(self, task='sentence', override='', mode='train_and_eval', more=(), env=None, **how):
        command = [e2e.program()] + jobs.args(task, 'made/out', override, mode, more)
        return Program(self, command, env, **how)

    def in_training(self, program):
        """Behind the first save, which comes at the end of the first chunk."""
        program.says('saved checkpoint')
        time.sleep(0.1)

    def finished(self, task='sentence', override='', mode='train_and_eval', more=(), expect=0):
        result = e2e.run(jobs.args(task, 'made/out', override, mode, more), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def names(self):
        """All that is below the folder, and the temporary files of the system's own folder."""
        return sorted(os.path.relpath(os.path.join(where, n), self.folder)
                      for where, folders, files in os.walk(self.folder) for n in folders + files
                      if n != 'mark')

    def nothing_left(self, before):
        self.assertEqual(self.names(), before)


class Input(Case):
    """Nothing is to be saved: 128 + N within a second, and nothing is left behind."""

    def check(self, env, names=('SIGTERM',), override='', **how):
        for name in names:
            with self.subTest(name):
                if self.marked():
                    os.remove(self.path('mark'))
                before = self.names()
                program = self.train(override=override, env=env, **how)
                program.until(self.marked)
                program.stop(name, None)
                self.nothing_left(before)

    def test_scanning_a_table(self):
        big = self.repeat('train.tsv', 3000, 1)
        self.check(self.slow(big), ALL, override='task.train_data.input_path=' + big)

    def test_scanning_lines(self):
        big = [self.repeat(name, 3000) for name in ('left.txt', 'right.txt')]
        self.check(self.slow('big-'), task='pairs', override='task.train_data.input_path=%s,'
                   'task.train_data.right_input_path=%s' % tuple(big))

    def test_indexing_records(self):
        with open(self.path('train.tf_record'), 'rb') as source:
            data = source.read()
        with open(self.path('big.tf_record'), 'wb') as out:
            for _ in range(200):
                out.write(data)
        self.check(self.slow('big.tf_record'), ('SIGTERM', 'SIGHUP'), task='tagging',
                   override='task.train_data.input_path=big.tf_record')

    def test_counting_class_weights(self):
        self.check(self.slow('train.tsv', 'pread'), override='task.class_weights=balanced')

    def test_reading_the_vocabulary(self):
        with open(self.path('vocab.txt'), 'ab') as out:
            out.write(b''.join(b'x%d\n' % i for i in range(300000)))
        self.check(self.slow('vocab.txt', ms=3000, skip=1))

    def test_reading_questions(self):
        self.check(self.slow('train.json'), task='squad')

    def test_loading_weights(self):
        self.finished(mode='train', override='trainer.train_steps=5')
        os.rename(self.path('made'), self.path('pre'))
        self.check(self.slow('.data-', 'pread', ms=300),
                   override='task.init_checkpoint=pre/out/ckpt-5')

    def test_a_dry_run(self):
        big = self.repeat('train.tsv', 3000, 1)
        self.check(self.slow(big), override='task.train_data.input_path=' + big, more=['--dry_run'])

    def test_restoring_a_checkpoint(self):
        self.finished(mode='train', override='trainer.train_steps=5')
        self.check(self.slow('.data-', 'pread', ms=300), mode='eval')

    def test_prediction(self):
        self.finished(mode='train', override='trainer.train_steps=5')
        big = self.repeat('dev.tsv', 5000, 1)
        before = self.names()
        program = self.train(mode='predict',
                             override='task.validation_data.input_path=' + big)
        program.until(lambda: any('predictions' in name for name in self.names()))
        program.stop('SIGUSR1', None)
        self.nothing_left(before)

    def test_evaluation_of_a_new_model_dir(self):
        """Weights from elsewhere: before the first record nothing is there."""
        self.finished(mode='train', override='trainer.train_steps=5')
        os.rename(self.path('made'), self.path('pre'))
        big = self.repeat('dev.tsv', 5000, 1)
        before = self.names()
        program = self.train(mode='eval', override='task.init_checkpoint=pre/out/ckpt-5,'
                             'task.init_head=true,task.validation_data.input_path=' + big)
        program.until(lambda: os.path.exists(self.path('made/out/.bert-train-eval.lock')))
        time.sleep(0.3)
        program.stop('SIGTERM', None)
        self.nothing_left(before)

    def test_continuous_evaluation_waits(self):
        self.finished(mode='train', override='trainer.train_steps=5')
        program = self.train(mode='continuous_eval')
        program.says('waiting for a new checkpoint')
        text = program.stop('SIGTERM', None)
        self.assertIn('trainer.continuous_eval_timeout', text)


class Saved(Case):
    """There is state: it is saved, 75, within a step and the save."""

    def check(self, program, name, within=3.0, words='stopping after this'):
        program.stop(name, 75, within, words)
        self.assertFalse([n for n in self.names() if '.tmp' in n or n.endswith('.lock')])
        step = int(e2e.read_state_file(self.path('made/out'))[0].rsplit('-')[-1])
        self.assertRegex(program.stderr(), r'stopped by %s at step %d of .*everything saved in '
                         'made/out; the same command continues' % (name, step))
        return step

    def test_training(self):
        for name in ALL:
            with self.subTest(name):
                program = self.train(override=FOR_EVER)
                self.in_training(program)
                self.check(program, name, words='stopping after this step')
                shutil.rmtree(self.path('made'))

    def test_evaluation(self):
        big = self.repeat('dev.tsv', 5000, 1)
        program = self.train(override='trainer.validation_interval=10,'
                                      'task.validation_data.input_path=' + big)
        program.until(lambda: 'saved checkpoint' in program.stderr())
        time.sleep(0.3)
        self.assertEqual(self.check(program, 'SIGINT', words='stopping after this batch'), 10)

    def test_saving(self):
        program = self.train(override=FOR_EVER.replace('interval=1000000', 'interval=50'),
                             env=self.slow('ckpt-', 'fsync', ms=1500))
        program.until(self.marked)
        self.check(program, 'SIGHUP', within=6.0)

    def test_seeds(self):
        program = self.train(override=FOR_EVER.replace('train_steps=10000000', 'train_steps=60'),
                             more=['--seeds=1..400'])
        program.says('seed 3: ')
        program.stop('SIGTERM', 75, within=3.0)
        self.assertTrue(os.path.exists(self.path('made/out/seeds.json')))

    def test_stopped_again_at_once(self):
        """In the input phase of a run that goes on from a checkpoint nothing is new, nor lost."""
        program = self.train(override=FOR_EVER)
        self.in_training(program)
        self.check(program, 'SIGTERM')
        before = self.names()
        again = self.train(override=FOR_EVER, env=self.slow('train.tsv', ms=3000))
        again.until(self.marked)
        again.stop('SIGTERM', None, within=4.0)
        self.nothing_left(before)


class Other(Case):
    def test_a_second_signal_ends_at_once(self):
        big = self.repeat('train.tsv', 3000, 1)
        for second in ('SIGTERM', 'SIGINT', 'SIGUSR2'):
            if self.marked():
                os.remove(self.path('mark'))
            program = self.train(override='task.train_data.input_path=' + big,
                                 env=self.slow(big, ms=20000))
            program.until(self.marked)
            program.child.send_signal(signal.SIGTERM)
            program.says(AGAIN)
            time.sleep(0.1)
            sent = time.monotonic()
            program.child.send_signal(getattr(signal, second))
            self.assertEqual(program.child.wait(60), -getattr(signal, second))
            self.assertLess(time.monotonic() - sent, 0.5 * SLOW)

    def test_timeout_sends_its_signal_twice(self):
        program = Program(self, ['timeout', '--preserve-status', '-s', 'TERM', '3', e2e.program()] +
                          jobs.args('sentence', 'made/out', FOR_EVER))
        self.assertEqual(program.child.wait(60 * SLOW), 75, program.stderr())

    def test_what_was_ignored_stays_ignored(self):
        def nohup():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        program = self.train(override=FOR_EVER, before=nohup)
        self.in_training(program)
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
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        program = self.train(override='trainer.train_steps=100,trainer.checkpoint_retry=0',
                             before=limit)
        self.assertEqual(program.child.wait(60 * SLOW), 4, program.stderr())
        self.assertIn('File too large', program.stderr())

    def test_processor_time(self):
        def limit():
            import resource
            resource.setrlimit(resource.RLIMIT_CPU, (2, 30))
        program = self.train(override=FOR_EVER, before=limit)
        self.assertEqual(program.child.wait(60 * SLOW), 75, program.stderr())
        self.assertIn('SIGXCPU: stopping after this step', program.stderr())


class Tools(Case):
    def check(self, command, env, names=('SIGTERM',), **how):
        for name in names:
            with self.subTest(name):
                if self.marked():
                    os.remove(self.path('mark'))
                before = self.names()
                program = Program(self, command, env, **how)
                program.until(self.marked)
                program.stop(name, None)
                self.nothing_left(before)

    def data_tool(self, out='made/data'):
        os.makedirs(self.path('cola'), exist_ok=True)
        for name in ('train', 'dev', 'test'):
            head = 'index\tsentence\n' if name == 'test' else ''
            row = '%d\tthe cat sat\n' if name == 'test' else 'gj04\t%d\t\tthe cat sat\n'
            with open(self.path('cola', name + '.tsv'), 'w') as f:
                f.write(head + ''.join(row % (i % 2) for i in range(200000)))
        return [e2e.program('create-finetuning-data'), '--fine_tuning_task_type=classification',
                '--classification_task_name=COLA', '--input_data_dir=cola', '--vocab_file=' + VOCAB,
                '--train_data_output_path=%s/train' % out, '--eval_data_output_path=%s/eval' % out,
                '--test_data_output_path=%s/test' % out, '--num_threads=2',
                '--meta_data_file_path=%s/meta' % out]

    def test_data_tool_reads(self):
        self.check(self.data_tool(), self.slow('dev.tsv', ms=300), ALL)

    def test_data_tool_writes(self):
        self.check(self.data_tool(), self.slow('train.tsv', ms=100, skip=3))

    def test_tokenizer_waits_for_lines(self):
        source, sink = os.pipe()
        self.addCleanup(os.close, sink)
        self.addCleanup(os.close, source)
        for name in ALL:
            program = Program(self, [e2e.program('bert-tokenize'), '--vocab_file=' + VOCAB],
                              stdin=source)
            program.until(lambda: '/pipe' in waits_in(program.child.pid) or
                          'poll' in waits_in(program.child.pid))
            program.stop(name, None)

    def test_tokenizer_waits_for_its_reader(self):
        source, sink = os.pipe()
        self.addCleanup(os.close, source)
        self.repeat('train.tsv', 300)
        program = Program(self, [e2e.program('bert-tokenize'), '--vocab_file=vocab.txt',
                                 'big-train.tsv'], stdout=sink)
        os.close(sink)
        program.until(lambda: 'poll' in waits_in(program.child.pid))
        program.stop('SIGINT', None)

    def test_tokenizer_loses_its_reader(self):
        self.repeat('train.tsv', 300)
        result = subprocess.run(
            ['bash', '-c', '%s --vocab_file=vocab.txt big-train.tsv | head -1; echo ${PIPESTATUS[0]}'
             % e2e.program('bert-tokenize')], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual((result.stdout.splitlines()[-1], result.stderr), ('141', ''))

    def test_checkpoints(self):
        self.finished(mode='train', override='trainer.train_steps=5')
        for words in (['verify', 'made/out/ckpt-5'],
                      ['convert', 'made/out/ckpt-5', 'x.safetensors'],
                      ['convert', 'made/out/ckpt-5', 'y'],
                      ['diff', 'made/out/ckpt-5', 'made/out/ckpt-5']):
            with self.subTest(words):
                self.check([e2e.program('bert-checkpoint')] + words,
                           self.slow('.data-', 'pread', ms=300), ('SIGTERM', 'SIGHUP'))


def waits_in(pid):
    try:
        with open('/proc/%d/wchan' % pid, encoding='utf-8') as source:
            where = source.read()
        with open('/proc/%d/syscall' % pid, encoding='utf-8') as source:
            call = source.read().split()[0]
        return where + (' poll' if call in ('7', '271') else '')
    except OSError:
        return ''


if __name__ == '__main__':
    e2e.main()
