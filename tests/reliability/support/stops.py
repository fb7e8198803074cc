# SPDX-License-Identifier: Apache-2.0
"""Programs that are asked to stop: held in a phase by a preloaded slow disk (slow_files.c), by many rows
or by a server that stalls, told, and judged by what they say, how soon they end and what they leave."""
import atexit
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../remote/support'))
import raw_server  # noqa: E402
import remote_case  # noqa: E402
import store_server  # noqa: E402

SLOW_LIBRARY = os.path.join(e2e.BUILD, 'tests/reliability/libslow_files.so')
SLOW = e2e.SLOW
AGAIN = '; again to stop now\n'
ALL = ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU', 'SIGXFSZ')
VOCAB = os.path.join(e2e.SOURCE, 'tests/goldens/text/vocab.txt')
HELD_MS = 20000
SHARED = tempfile.mkdtemp(prefix='bt-stops-shared-')
atexit.register(shutil.rmtree, SHARED, ignore_errors=True)
TRAINED = os.path.join(SHARED, 'trained')
FOR_EVER = 'trainer.train_steps=10000000,trainer.checkpoint_interval=1000000,' \
           'trainer.validation_interval=10000000'


def heed_all():
    """What is ignored stays ignored, and a shell's background jobs ignore some."""
    for name in ALL:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


class Program:
    """One that runs; its standard error is read as it comes."""

    def __init__(self, case, command, env=None, before=None, stdin=subprocess.DEVNULL, stdout=None):
        self.case = case
        self.err = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            command, cwd=case.folder, env=dict(os.environ, **(env or {})), stdin=stdin,
            stdout=stdout or subprocess.DEVNULL, stderr=self.err,
            preexec_fn=lambda: (heed_all(), before and before()))
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

    def makes_steps(self):
        """Until there are steps after its only save, so that it is asked in none."""
        self.until(lambda: re.search(r'saved checkpoint(?s:.)* train \| step ', self.stderr()))

    def ended(self, seconds):
        """Its exit code; it must come within that time."""
        try:
            return self.child.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            return self.case.fail('still running\n%s' % self.stderr())

    def stop(self, name, expect, within=1.0, words='stopping'):
        """Sends the signal; the line must come at once, the end within the bound."""
        number = getattr(signal, name)
        sent = time.monotonic()
        self.child.send_signal(number)
        while AGAIN not in self.stderr() and self.child.poll() is None and \
                time.monotonic() < sent + 10 * SLOW:
            time.sleep(0.002)
        told = time.monotonic() - sent
        code = self.ended(10 + within)
        took = time.monotonic() - sent
        text = self.stderr()
        expect = 128 + number if expect is None else expect
        self.case.assertEqual(code, expect, text)
        self.case.assertIn('%s: %s' % (name, words), text)
        self.case.assertEqual(text.count(AGAIN), 1, text)
        self.case.assertNotIn('error', text)
        self.case.assertRegex(text, 'stopped by %s' % name)
        self.case.assertLess(told, 0.6 * SLOW, 'the line came late')
        self.case.assertLess(took, (1 + within) * SLOW, text)
        return text


class Case(unittest.TestCase):
    """Each check in a folder of its own, with the jobs. `before`: the names there when the program was
    started; `second`: calls on the slow disk take so long that only a second signal ends them."""

    def setUp(self):
        self.fresh()

    def fresh(self):
        self.folder = tempfile.mkdtemp(prefix='bt-stops-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server, self.second, self.env, self.before = None, None, {}, []
        jobs.make(self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, data, how='wb'):
        with open(self.path(name), how) as out:
            out.write(data)

    def slow(self, path, op=None, ms=100, skip=0):
        """Environment of a program for which that file is on a slow disk."""
        env = {'LD_PRELOAD': SLOW_LIBRARY, 'BT_SLOW_PATH': path,
               'BT_SLOW_MS': str(HELD_MS if self.second else ms), 'BT_SLOW_SKIP': str(skip),
               'BT_SLOW_MARK': self.path('mark'), 'TMPDIR': self.folder}
        if e2e.SANITIZED:  # the preloaded library comes before the sanitizer's
            env['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'
        return dict(env, BT_SLOW_OP=op) if op else env

    def marked(self):
        return os.path.exists(self.path('mark'))

    def repeat(self, name, times, head=0, whole=False):
        """A file's lines many times over."""
        with open(self.path(name), 'rb') as source:
            lines = [source.read()] if whole else source.read().splitlines(keepends=True)
        with open(self.path('big-' + name), 'wb') as out:
            out.write(b''.join(lines[:head]))
            for _ in range(times):
                out.write(b''.join(lines[head:]))
        return 'big-' + name

    def pipe(self):
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        return ends

    # programs

    def tool(self, words, env=None, **how):
        self.before = self.names()
        return Program(self, [e2e.program(words[0])] + words[1:], env, **how)

    def train(self, task='sentence', override='', mode='train_and_eval', more=(), env=None,
              model_dir='made/out', **how):
        return self.tool(['bert-train'] + jobs.args(task, model_dir, override, mode, more), env, **how)

    def data_tool(self, out='made/data', n_rows=200000, env=None):
        os.makedirs(self.path('cola'), exist_ok=True)
        for name in ('train', 'dev', 'test'):
            head = 'index\tsentence\n' if name == 'test' else ''
            row = '%d\tthe cat sat\n' if name == 'test' else 'gj04\t%d\t\tthe cat sat\n'
            text = head + ''.join(row % (i % 2) for i in range(n_rows))
            self.write('cola/%s.tsv' % name, text.encode())
        return self.tool(
            ['create-finetuning-data', '--fine_tuning_task_type=classification',
             '--classification_task_name=COLA', '--input_data_dir=cola', '--vocab_file=' + VOCAB,
             '--train_data_output_path=%s/train' % out, '--eval_data_output_path=%s/eval' % out,
             '--test_data_output_path=%s/test' % out, '--num_threads=2',
             '--meta_data_file_path=%s/meta' % out], env)

    def squad_tool(self, path, env=None, **how):
        return self.tool(
            ['create-finetuning-data', '--fine_tuning_task_type=squad', '--squad_data_file=' + path,
             '--vocab_file=vocab.txt', '--max_seq_length=32', '--doc_stride=8',
             '--max_query_length=8', '--train_data_output_path=made/data/train',
             '--meta_data_file_path=made/data/meta'], env, **how)

    def trained(self, name):
        """A run of five steps, made once."""
        if not os.path.isdir(TRAINED):
            made = e2e.run(jobs.args('sentence', TRAINED + '.part', 'trainer.train_steps=5', 'train'),
                           cwd=self.folder)
            assert made.code == 0, str(made)
            os.rename(TRAINED + '.part', TRAINED)
        shutil.copytree(TRAINED, self.path(name))

    # places elsewhere

    def gone(self):
        """gs:// leads to a port where nobody listens, and there is time."""
        self.env = dict(remote_case.CLEAN, HOME=self.folder, NO_GCE_CHECK='true',
                        STORAGE_EMULATOR_HOST='http://127.0.0.1:%d' % raw_server.closed_port(),
                        BERT_TRAIN_RETRY_SECONDS='300', BERT_TRAIN_STALL_SECONDS='100')

    def store(self, folder='.'):
        """A store with the files of the folder, at gs://."""
        server = store_server.Server()
        server.__enter__()
        self.addCleanup(server.__exit__)
        server.stall_seconds = 60
        self.gone()
        self.server = server
        self.env.update(STORAGE_EMULATOR_HOST=server.url)
        for name in os.listdir(self.path(folder)):
            if os.path.isfile(self.path(folder, name)):
                with open(self.path(folder, name), 'rb') as source:
                    server.store.put('bucket', os.path.normpath(os.path.join(folder, name)),
                                     source.read())

    def stall(self, when):
        self.server.store.faults.append(store_server.Fault('stall', when=when, times=1 << 30))

    def asked(self, when):
        return lambda: any(re.search(when, line) for line in self.server.store.log
                           if 'lock' not in line)

    # what is there

    def names(self):
        """All that is below the folder, and in the store."""
        found = sorted(os.path.relpath(os.path.join(where, n), self.folder)
                       for where, folders, files in os.walk(self.folder) for n in folders + files
                       if n != 'mark')
        return found + ['store: ' + n for n in (self.server.store.names() if self.server else [])]


def waits_in(pid):
    """Where the kernel has it wait; with " poll" where it polls."""
    try:
        with open('/proc/%d/wchan' % pid, encoding='utf-8') as source:
            where = source.read()
        with open('/proc/%d/syscall' % pid, encoding='utf-8') as source:
            call = source.read().split()[0]
        return where + (' poll' if call in ('7', '271') else '')
    except OSError:
        return ''


def is_full(fd):
    """Is there no room in the pipe?"""
    return not select.select([], [fd], [], 0)[1]
