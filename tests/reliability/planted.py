# SPDX-License-Identifier: Apache-2.0
"""What others put in the way: links under the names of temporary files, pipes and sockets in place of
files that are read or written, left-over temporaries of killed runs beside files of the user. Nothing is
written through a link, nothing waits, nothing of the user's is removed."""
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

SHORT = 'trainer.train_steps=10,trainer.checkpoint_interval=5,trainer.validation_interval=5'


def tree(folder):
    return sorted(os.path.relpath(os.path.join(where, n), folder)
                  for where, _folders, names in os.walk(folder) for n in names)


class Planted(e2e.Case):
    def job(self, expect=0, model_dir='out', override=SHORT, timeout=None, **how):
        result = e2e.run(jobs.args('sentence', model_dir, override, **how), cwd=self.folder,
                         timeout=timeout)
        self.assertEqual(result.code, expect, str(result))
        return result

    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def test_links_under_guessed_names(self):
        """A program that knows the number of the process makes links for every counter beside every
        file: nothing is written through them, and what appears is not a link."""
        self.job()
        victim = self.write('victim', 'precious\n')
        self.job(model_dir='other')
        names = tree(self.path('other')) + ['pred.tsv', 'best_ckpt/info.json']

        def plant(folder):
            def before():
                for name in names:
                    path = self.path(folder, name)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    for n in range(4):
                        try:
                            os.symlink(victim, '%s.tmp-%d-%d' % (path, os.getpid(), n))
                        except OSError:
                            pass
            return before

        for mode, more in (('train_and_eval', ()), ('predict', ('--output_path=out/pred.tsv',))):
            result = e2e.run(jobs.args('sentence', 'out', SHORT + ',trainer.train_steps=15',
                                       mode=mode, more=more), cwd=self.folder, before=plant('out'))
            self.assertEqual(result.code, 0, str(result))
        with open(victim, encoding='utf-8') as source:
            self.assertEqual(source.read(), 'precious\n')
        for name in tree(self.path('out')):
            if '.tmp-' not in name:
                self.assertFalse(os.path.islink(self.path('out', name)), name)

    def test_links_under_seen_names(self):
        """One that looks at the folder all the time cannot put a link where a file is being made
        either: it would have to remove it first, and the name is new each time."""
        seen = set()
        stop = threading.Event()

        def watch():
            while not stop.is_set():
                for where, _folders, names in os.walk(self.path('out')):
                    seen.update(os.path.join(where, n) for n in names if '.tmp-' in n)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for _ in range(3):
            self.job(override='trainer.train_steps=40,trainer.checkpoint_interval=5')
        stop.set()
        watcher.join()
        tails = [name.rsplit('.tmp-', 1)[1] for name in seen]
        self.assertEqual(len(tails), len(set(tails)))
        self.assertTrue(all(len(t) == 16 and int(t, 16) >= 0 for t in tails), tails)

    def test_left_over(self):
        """Killed while it saves, again and again; the next run sweeps, and keeps the user's files."""
        self.job()
        mine = ['ckpt-5.tmp-1-0', 'notes.tmp', 'params.yaml.tmp-0123456789abcdeX',
                'best_ckpt/mine.tmp-abc']
        for name in mine:
            self.write('out/' + name, 'precious')
        planted = ['ckpt-5.index', 'checkpoint', 'params.yaml', 'labels.json', 'best_ckpt/info.json',
                   'best_ckpt/best_ckpt-1.index', 'ckpt-7.data-00000-of-00001', '.bert-train.lock']
        for name in planted:
            self.write('out/%s.tmp-0123456789abcdef' % name, 'torn')
        self.job()
        left = [n for n in tree(self.path('out')) if '.tmp' in n]
        self.assertEqual(left, sorted(mine))
        for _ in range(6 if not e2e.LONG else 60):
            child = subprocess.Popen(
                [e2e.program()] + jobs.args('sentence', 'out', 'trainer.train_steps=100000,'
                                            'trainer.checkpoint_interval=5'),
                cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            end = time.monotonic() + e2e.TIMEOUT
            while not [n for n in tree(self.path('out')) if '.tmp-' in n and n not in mine]:
                self.assertLess(time.monotonic(), end)
            child.send_signal(signal.SIGKILL)
            child.wait()
        self.job(mode='eval')
        self.assertEqual([n for n in tree(self.path('out')) if '.tmp' in n], sorted(mine))

    def test_predictions_and_records(self):
        self.job()
        for name in ('pred.tsv', 'other.tsv'):
            self.write(name + '.tmp-0123456789abcdef', 'torn')
        self.job(mode='predict', more=['--output_path=pred.tsv'])
        self.assertFalse(os.path.exists(self.path('pred.tsv.tmp-0123456789abcdef')))
        self.assertTrue(os.path.exists(self.path('other.tsv.tmp-0123456789abcdef')))

    def test_no_files(self):
        """Pipes and sockets in place of everything that is read: exit 2 or 3 at once, one sentence."""
        self.job()
        rows = [('train.tsv', {}), ('dev.tsv', {}), ('vocab.txt', {}), ('model.yaml', {}),
                ('sentence.yaml', {}), ('out/checkpoint', {}), ('out/metrics.jsonl', {}),
                ('out/labels.json', {}), ('out/params.yaml', {}), ('out/best_ckpt/info.json', {}),
                ('out/best_ckpt/checkpoint', {}), ('out/ckpt-10.index', {}),
                ('out/ckpt-10.data-00000-of-00001', {}),
                ('vocab.txt', {'mode': 'predict', 'more': ['--output_path=p.tsv']}),
                ('out/ckpt-10.index', {'mode': 'predict', 'more': ['--output_path=p.tsv']})]
        for name, how in rows:
            for make in ('pipe', 'socket'):
                path = self.path(name)
                os.rename(path, self.path('kept'))
                if make == 'pipe':
                    os.mkfifo(path)
                else:
                    where = os.getcwd()
                    os.chdir(os.path.dirname(path))
                    with socket.socket(socket.AF_UNIX) as server:
                        server.bind(os.path.basename(path))
                    os.chdir(where)
                begin = time.monotonic()
                result = e2e.run(jobs.args('sentence', 'out', SHORT, **how), cwd=self.folder,
                                 timeout=20)
                seconds = time.monotonic() - begin
                os.unlink(path)
                os.rename(self.path('kept'), path)
                with self.subTest(name=name, make=make):
                    self.assertIn(result.code, (0, 2, 3, 4), str(result))
                    if result.code != 0:
                        self.assertEqual(len(result.errors()), 1, str(result))
                    self.assertRegex(result.stderr, 'pipe|socket|regular file')
                    self.assertLess(seconds, 15 * e2e.SLOW)

    def test_pipes_on_purpose(self):
        """A shell's <(...) and /dev/stdin are read."""
        base = jobs.args('sentence', 'out', SHORT)
        text = ' '.join([e2e.program()] + base).replace('--config_file=model.yaml',
                                                        '--config_file=<(cat model.yaml)')
        done = subprocess.run(['bash', '-c', text], cwd=self.folder, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path('sentence.yaml'), 'rb') as source:
            args = [a.replace('sentence.yaml', '/dev/stdin') for a in base]
            result = e2e.run(args, cwd=self.folder, stdin=source.read())
        self.assertEqual(result.code, 0, str(result))
        result = self.job(mode='predict', more=['--output_path=/dev/stdout'])
        self.assertGreater(len(result.stdout.splitlines()), 50)


if __name__ == '__main__':
    e2e.main()
