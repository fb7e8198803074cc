# SPDX-License-Identifier: Apache-2.0
"""One process writes a model_dir: a second one is refused at once and told who is there; a lock that a
killed run left is taken over and that is said; every orderly end gives the lock back. Judged from
outside: real second processes, and flock(1) for whether the kernel sees the lock."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402

LOCK = '.bert-train.lock'
EVAL_LOCK = '.bert-train-eval.lock'
ENDLESS = ('trainer.train_steps=1000000,trainer.steps_per_loop=10,trainer.checkpoint_interval=500,'
           'trainer.validation_interval=500,trainer.max_to_keep=2')


# AddressSanitizer takes SIGSEGV for a finding of its own
CRASH = signal.SIGABRT if e2e.SANITIZED else signal.SIGSEGV


class OneWriter(e2e.Case):
    def setUp(self):
        super().setUp()
        self.children = []
        self.addCleanup(self.end_children)

    def end_children(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.communicate()

    def start(self, **how):
        child = subprocess.Popen([e2e.program()] + self.args(**how), cwd=self.folder, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.children.append(child)
        return child

    def until(self, is_so, child=None, what=''):
        end = time.monotonic() + e2e.TIMEOUT
        while not is_so():
            if child is not None and child.poll() is not None:
                self.fail('it ended: %s' % child.communicate()[1])
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def await_file(self, *names, child=None):
        path = self.path(*names)
        self.until(lambda: os.path.exists(path), child, path)
        return path

    def owner(self):
        """Of the lock: the number of its process, which may be one that was killed; None: it is being taken over."""
        try:
            with open(self.path('out', LOCK), encoding='utf-8') as source:
                return json.load(source)['pid']
        except FileNotFoundError:
            return None

    def started(self, lock=LOCK, **how):
        """A process that holds the lock, and what the lock says."""
        child = self.start(**how)
        path = self.await_file('out', lock, child=child)
        with open(path, encoding='utf-8') as source:
            entry = json.load(source)
        self.assertEqual(entry['pid'], child.pid)
        self.assertEqual(entry['host'], os.uname().nodename)
        self.assertAlmostEqual(entry['since_unix'], time.time(), delta=60)
        return child, entry

    def is_held(self, lock=LOCK):
        return subprocess.run(['flock', '--nonblock', self.path('out', lock), 'true'],
                              check=False).returncode != 0

    def end(self, child, number, code):
        child.send_signal(number)
        said = child.communicate(timeout=e2e.TIMEOUT)[1]
        # asked to stop before the first step there is nothing to save: 143
        self.assertIn(child.returncode, (code, 143) if code == 75 else (code,), said)

    def refused(self, child, seconds=5.0, lock=LOCK, **how):
        begin = time.monotonic()
        result = self.train(expect=4, **how)
        self.assertLess(time.monotonic() - begin, seconds * e2e.SLOW)
        self.assertEqual(len(result.errors()), 1, str(result))
        self.assertIn('out is in use: bert-train --mode=', result.errors()[0])
        self.assertIn(', process %d on host %s, since 2' % (child.pid, os.uname().nodename),
                      result.errors()[0])
        self.assertIn('(%s)' % lock, result.errors()[0])

    def test_training(self):
        child, entry = self.started(override=ENDLESS)
        self.assertEqual(entry['what'], 'bert-train --mode=train_and_eval')
        self.assertTrue(self.is_held())
        self.await_file('out', 'metrics.jsonl', child=child)
        before = sorted(os.listdir(self.path('out')))
        for mode in ('train', 'train_and_eval', 'train_and_post_eval'):
            self.refused(child, mode=mode, override=ENDLESS)
        for mode in ('eval', 'continuous_eval'):
            self.refused(child, mode=mode, lock=EVAL_LOCK)
        self.assertLessEqual(set(before), set(os.listdir(self.path('out'))))
        self.assertTrue(self.is_held())
        self.end(child, signal.SIGTERM, 75)
        self.assertFalse(os.path.exists(self.path('out', LOCK)))
        self.assertFalse(os.path.exists(self.path('out', EVAL_LOCK)))

    def test_seeds(self):
        child = self.start(override=ENDLESS, more=['--seeds=1,2'])
        self.await_file('out', 'seed_1', LOCK, child=child)
        result = self.train(expect=4, override=ENDLESS, more=['--seeds=2,1'])
        self.assertIn('out is in use: bert-train --seeds, process %d' % child.pid, str(result))
        result = self.train(expect=4, override=ENDLESS)
        self.assertIn('out is in use: bert-train --seeds, process %d' % child.pid, str(result))
        result = self.train(expect=4, override=ENDLESS, model_dir='out/seed_1')
        self.assertIn('out/seed_1 is in use: bert-train --mode=train_and_eval, process %d'
                      % child.pid, str(result))
        self.end(child, signal.SIGTERM, 75)
        left = [n for _f, _d, names in os.walk(self.path('out')) for n in names if '.lock' in n]
        self.assertEqual(left, [])

    def test_killed(self):
        for number in (signal.SIGKILL, CRASH):
            child, _entry = self.started(override=ENDLESS)
            self.await_file('out', 'checkpoint', child=child)
            self.end(child, number, -number)
            self.assertTrue(os.path.exists(self.path('out', LOCK)))
            self.assertFalse(self.is_held())
            result = self.train(override='trainer.train_steps=1')
            self.assertIn('its lock was left from bert-train --mode=train_and_eval, process %d on'
                          % child.pid, result.stderr)
            self.assertIn('its process has ended; it is taken over', result.stderr)
            self.assertFalse(os.path.exists(self.path('out', LOCK)))
            shutil.rmtree(self.path('out'))

    def test_stopped_process(self):
        """SIGSTOP is not an end: the lock stays."""
        child, _entry = self.started(override=ENDLESS)
        child.send_signal(signal.SIGSTOP)
        self.refused(child, override=ENDLESS)
        child.send_signal(signal.SIGCONT)
        self.end(child, signal.SIGTERM, 75)

    def test_ends_with_an_error(self):
        os.makedirs(self.path('out'))
        self.train(expect=2, override='trainer.train_steps=null')
        self.train(expect=3, override='task.train_data.input_path=missing')
        self.assertEqual(os.listdir(self.path('out')), [])
        self.write('train.tf_record', b'torn')
        self.train(expect=3)
        self.assertEqual(os.listdir(self.path('out')), [])

    def test_at_the_same_instant(self):
        """Of six that start together one trains, and its result is that of a run alone."""
        self.train(model_dir='alone')
        for made in (False, True):
            if made:
                os.makedirs(self.path('out'))
            together = [self.start() for _ in range(6)]
            ends = [(c, c.communicate(timeout=e2e.TIMEOUT)) for c in together]
            codes = sorted(c.returncode for c, _end in ends)
            # who comes late may find a finished run, which says its result again
            self.assertEqual(set(codes) - {0, 4}, set(), ends)
            self.assertGreaterEqual(codes.count(4), 1, ends)
            for child, (_out, said) in ends:
                if child.returncode == 4:
                    self.assertIn('out is in use: bert-train --mode=train_and_eval', said)
            self.assertEqual(e2e.read_state_file(self.path('out')),
                             e2e.read_state_file(self.path('alone')))
            self.assertEqual(e2e.trained_values(self.path('out/ckpt-20')),
                             e2e.trained_values(self.path('alone/ckpt-20')))
            steps = [(r['kind'], r['step']) for r in e2e.read_jsonl(self.path('out'))
                     if r['kind'] != 'final']
            self.assertEqual(len(steps), len(set(steps)))
            shutil.rmtree(self.path('out'))

    def test_evaluation_beside_training(self):
        """Who evaluates has a lock of its own: beside --mode=train it runs, a second one does not."""
        child, _entry = self.started(mode='train', override=ENDLESS)
        self.await_file('out', 'checkpoint', child=child)
        self.train(mode='eval')
        beside, entry = self.started(mode='continuous_eval', override=ENDLESS, lock=EVAL_LOCK)
        self.assertEqual(entry['what'], 'bert-train --mode=continuous_eval')
        self.refused(beside, mode='eval', lock=EVAL_LOCK)
        self.refused(child, mode='train', override=ENDLESS)
        self.end(child, signal.SIGTERM, 75)
        self.train(mode='train', override='trainer.train_steps=1')
        self.refused(beside, override='trainer.train_steps=1', lock=EVAL_LOCK)
        beside.send_signal(signal.SIGTERM)
        beside.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual([n for n in os.listdir(self.path('out')) if 'lock' in n], [])

    def lines(self, name):
        path = self.path('out', name)
        if not os.path.exists(path):
            return []
        with open(path, encoding='utf-8') as source:
            text = source.read()
        self.assertTrue(text == '' or text.endswith('\n'), name)
        return [json.loads(line) for line in text.splitlines()]

    def test_records_beside_training(self):
        """While a training has metrics.jsonl an evaluation writes metrics-eval.jsonl, else that one."""
        child, _entry = self.started(mode='train', override=ENDLESS)
        self.await_file('out', 'checkpoint', child=child)
        result = self.train(mode='eval')
        self.assertIn('records go to out/metrics-eval.jsonl', result.stderr)
        beside = self.lines('metrics-eval.jsonl')
        self.assertEqual([r['kind'] for r in beside], ['validation', 'final'])
        self.end(child, signal.SIGTERM, 75)
        self.assertFalse([r for r in self.lines('metrics.jsonl') if 'mode' in r])
        for _ in range(2):
            self.train(mode='eval')
        added = [r for r in self.lines('metrics.jsonl') if 'mode' in r]
        self.assertEqual([(r['kind'], r['mode']) for r in added],
                         [('validation', 'eval'), ('final', 'eval')])
        self.assertEqual(self.lines('metrics-eval.jsonl'), beside)

    def has_evaluation(self):
        """Is there a record of the evaluation, whole or not yet?"""
        found = b''
        for name in ('metrics.jsonl', 'metrics-eval.jsonl'):
            if os.path.exists(self.path('out', name)):
                with open(self.path('out', name), 'rb') as source:
                    found += source.read()
        return b'"mode"' in found

    def test_records_of_killed_trainings(self):
        """A training that is killed and given again, five times, beside an evaluation that goes on."""
        child, _entry = self.started(mode='train', override=ENDLESS)
        self.await_file('out', 'checkpoint', child=child)
        beside, _entry = self.started(mode='continuous_eval', override=ENDLESS, lock=EVAL_LOCK)
        for i in range(5):
            time.sleep(0.4)
            self.assertIsNone(child.poll())
            self.end(child, signal.SIGKILL, -signal.SIGKILL)
            time.sleep(0.3 if i % 2 else 0.0)
            child = self.start(mode='train', override=ENDLESS)
        self.until(lambda: self.owner() == child.pid, child)
        self.until(self.has_evaluation, beside)
        self.end(child, signal.SIGTERM, 75)
        beside.send_signal(signal.SIGTERM)
        beside.communicate(timeout=e2e.TIMEOUT)
        records = self.lines('metrics.jsonl') + self.lines('metrics-eval.jsonl')
        keys = [(r['kind'], r['step'], r.get('mode')) for r in records]
        self.assertEqual(len(keys), len(set(keys)))
        self.assertTrue(any(k[2] for k in keys))

    def test_another_host(self):
        """BERT_TRAIN_LOCK_SHARED=1: as on a file server. An entry of another host is not proven dead."""
        child, entry = self.started(override=ENDLESS)
        self.end(child, signal.SIGKILL, -signal.SIGKILL)
        entry.update(host='far', boot='another start')
        self.write('out/' + LOCK, json.dumps(entry))
        how = {'env': {'BERT_TRAIN_LOCK_SHARED': '1'}}
        result = self.train(expect=4, run_how=how, override='trainer.train_steps=1')
        self.assertRegex(result.errors()[0], 'out is in use: .* on host far, .* heard from .* after '
                                             'removing out/' + LOCK)
        then = time.time() - 190
        os.utime(self.path('out', LOCK), (then, then))
        result = self.train(run_how=how, override='trainer.train_steps=1')
        self.assertIn('it was not heard from for too long; it is taken over', result.stderr)


if __name__ == '__main__':
    e2e.main()
