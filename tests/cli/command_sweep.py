# SPDX-License-Identifier: Apache-2.0
"""bert-train sweep: what is tried and in which order, what is refused before anything runs, that the same command
goes on where one was stopped or killed and comes to the same bytes, that no child outlives it, halving and folds."""
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402
import weights  # noqa: E402

RATE = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate'
DROPOUT = 'task.model.head_dropout'
METRIC = ['--metric=cls_accuracy', '--goal=max']
WORDS = ['good', 'bad', 'film', 'fine', 'dull', 'the', 'a', 'plot', 'very', 'is']


def weights_of(folder):
    """The newest checkpoint's step and all that it has of floats: variables, slots, averages."""
    steps = [int(found.group(1)) for found in (re.fullmatch(r'ckpt-(\d+)\.index', n) for n in os.listdir(folder)) if found]
    return max(steps), e2e.trained_values(os.path.join(folder, 'ckpt-%d' % max(steps)))


class Sweep(e2e.Case):
    def setUp(self):
        super().setUp()
        rng = random.Random(3)
        rows = ['text,label']
        for _ in range(90):
            kind = rng.random() < 0.5
            words = [rng.choice(WORDS) for _ in range(4)] + [rng.choice(('good', 'fine') if kind else ('bad', 'dull'))]
            rows.append('%s,%s' % (' '.join(words), 'pos' if kind else 'neg'))
        self.write('t.csv', '\n'.join(rows) + '\n')
        weights.write_folder(self.path('w'), WORDS)

    def command(self, folder, *args, steps=8, override='', report=False):
        overrides = ['task.train_data.global_batch_size=16', 'trainer.train_steps=%d' % steps,
                     'trainer.report=%s' % str(report).lower()] + ([override] if override else [])
        return ['sweep', '--experiment=bert/sentence_prediction_text', '--init=w', '--train=t.csv',
                '--model_dir=' + folder, '--params_override=' + ','.join(overrides)] + METRIC + list(args)

    def sweep(self, folder, *args, code=0, **how):
        result = e2e.run(self.command(folder, *args, **how), cwd=self.folder)
        self.assertEqual(result.code, code, str(result))
        return result

    def state(self, folder):
        with open(self.path(folder, 'sweep.json'), encoding='utf-8') as source:
            return json.load(source)

    def start(self, folder, *args, **how):
        with open(self.path('sweep.log'), 'wb') as log:
            return subprocess.Popen([e2e.program()] + self.command(folder, *args, **how), cwd=self.folder,
                                    stdout=log, stderr=log)

    def children_of(self, pid):
        with open('/proc/%d/task/%d/children' % (pid, pid), encoding='utf-8') as source:
            return [int(word) for word in source.read().split()]

    def until(self, condition):
        end = time.monotonic() + e2e.TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)

    def test_a_class_is_named_as_in_the_data(self):
        with open(self.path('t.csv'), encoding='utf-8') as source:
            self.write('u.csv', source.read().replace(',pos', ',very pos'))
        grid = '--grid=%s=0.0' % DROPOUT
        more = [grid, '--train=u.csv', '--format=json']
        told = json.loads(self.sweep('out', *more, '--metric=f1/very pos', steps=2, override='task.metrics=[per_class]').stdout)
        self.assertEqual(told['metric'], 'f1/very_pos')
        self.assertEqual(told, json.loads(self.sweep('out', *more, '--metric=f1/very_pos', steps=2,
                                                     override='task.metrics=[per_class]').stdout))
        self.assertIsInstance(told['trials'][0]['mean'], float)
        result = self.sweep('no', *more, '--metric=f1/nobody', override='task.metrics=[per_class]', code=2)
        self.assertRegex(result.stderr, "--metric: no value .*'f1/nobody'.*'f1/very_pos'")

    def test_a_class_with_a_long_name(self):
        """Which its values call by its number; and a class in two spellings is one metric, whose goal is known."""
        name = 'pos' + '_' * 90
        with open(self.path('t.csv'), encoding='utf-8') as source:
            self.write('u.csv', source.read().replace(',pos', ',' + name).replace(',neg', ',so bad'))
        grid = ['--grid=%s=0.0' % DROPOUT, '--train=u.csv']
        told = json.loads(self.sweep('out', *grid, '--format=json', '--metric=f1/' + name, steps=2,
                                     override='task.metrics=[per_class]').stdout)
        self.assertRegex(told['metric'], r'^f1/number/[01]$')
        self.assertIsInstance(told['trials'][0]['mean'], float)
        for metric, code in (('f1/so_bad', 0), ('best_f1/so bad', 0), ('recall/so_bad', 2)):
            flags = [flag for flag in self.command('none', *grid, '--metric=' + metric, '--dry_run', override=(
                'task.metrics=[per_class],trainer.best_checkpoint_export_subdir=best,'
                'trainer.best_checkpoint_eval_metric=f1/so bad')) if not flag.startswith('--goal')]
            result = e2e.run(flags, cwd=self.folder)
            self.assertEqual((result.code, '--goal=max' in result.stderr), (code, code == 2), str(result))

    def test_grid(self):
        """All combinations in order, with all seeds; means, deviations and the best; files beside the runs."""
        grid = '--grid=%s=1e-6,1e-2;%s=0.0,0.2' % (RATE, DROPOUT)
        told = json.loads(self.sweep('out', grid, '--seeds=2', '--format=json', report=True, steps=30).stdout)
        state = self.state('out')
        self.assertEqual([(r['run'], r['values'][RATE], r['values'][DROPOUT], r['seed']) for r in state['runs']],
                         [('run_%03d_seed_%d' % (2 * i + j + 1, seed), rate, dropout, seed)
                          for i, rate in enumerate(('1e-6', '1e-2')) for j, dropout in enumerate(('0.0', '0.2'))
                          for seed in (1, 2)])
        scores = {}
        for run in state['runs']:
            with open(self.path('out', run['run'] + '.json'), encoding='utf-8') as source:
                result = json.load(source)
            self.assertEqual(run['scores'], [result['values']['cls_accuracy']])
            self.assertEqual(run['step'], 30)
            scores.setdefault(run['trial'], []).append(run['scores'][0])
            with open(self.path('out', run['run'], 'params.yaml'), encoding='utf-8') as source:
                params = source.read()
            self.assertIn('seed: %d\n' % run['seed'], params)
            self.assertEqual(float(re.search(r'initial_learning_rate: (\S+)', params).group(1)), float(run['values'][RATE]))
        self.assertGreater(len({statistics.mean(s) for s in scores.values()}), 1, 'the values make no difference')
        order = sorted(scores, key=lambda t: (-statistics.mean(scores[t]), t))
        self.assertEqual([row['trial'] for row in told['trials']], order)
        self.assertEqual(told['best_trial'], order[0])
        for row in told['trials']:
            self.assertAlmostEqual(row['mean'], statistics.mean(scores[row['trial']]), 12)
            self.assertAlmostEqual(row['stddev'], statistics.stdev(scores[row['trial']]), 12)
        with open(self.path('out', 'sweep.md'), encoding='utf-8') as source:
            rows = [line.split('|')[1].strip() for line in source if re.match(r'\| +\d', line)]
        self.assertEqual(rows, [str(t) for t in order])
        with open(self.path('out', 'report.html'), encoding='utf-8') as source:
            page = source.read()
        for run in state['runs']:
            self.assertIn(run['run'], page)
        before = e2e.read_tree(self.path('out'))
        again = self.sweep('out', grid, '--seeds=2', '--jobs=3', report=True, steps=30)
        self.assertEqual(before, e2e.read_tree(self.path('out')), 'finished runs were run again')
        self.assertIn('use it: bert-train predict --model_dir=out/%s\n' % told['trials'][0]['best_run'], again.stdout)
        self.sweep('out2', grid, '--seeds=2', '--jobs=2', steps=30)
        for run in state['runs']:
            self.assertEqual(weights_of(self.path('out', run['run'])), weights_of(self.path('out2', run['run'])))
        self.assertEqual(state['runs'], self.state('out2')['runs'])

    def test_random(self):
        """What is drawn lies in its range, follows from the seed, and its logarithm is spread evenly."""
        def drawn(seed, n=40):
            out = self.sweep('none', '--random=%s=log:1e-5..1e-3;%s=uniform:0..0.5;trainer.max_to_keep=int:1..3;'
                             'task.label_smoothing=0.0,0.1' % (RATE, DROPOUT), '--trials=%d' % n,
                             '--sweep_seed=%d' % seed, '--dry_run').stdout
            return [[float(re.search(re.escape(key) + r'=([^,\s\']+)', line).group(1))
                     for key in (RATE, DROPOUT, 'trainer.max_to_keep', 'task.label_smoothing')]
                    for line in out.splitlines()]
        rows = drawn(1)
        self.assertEqual(len(rows), 40)
        self.assertNotEqual(rows, drawn(2))
        self.assertEqual(rows[:3], drawn(1, 3), 'more trials change the first ones')
        rates, dropouts, kept, smoothing = zip(*rows)
        self.assertTrue(all(1e-5 <= r <= 1e-3 for r in rates) and all(0 <= d <= 0.5 for d in dropouts))
        self.assertTrue(10 <= sum(r < 1e-4 for r in rates) <= 30, rates)
        self.assertEqual((set(kept), set(smoothing)), ({1.0, 2.0, 3.0}, {0.0, 0.1}))
        self.assertFalse(os.path.exists(self.path('none')))

    def test_a_value_that_is_none(self):
        """The area under a curve of one class is not a number: no trial is the best, and that is told."""
        self.write('one.csv', 'text,label\ngood film,pos\n')
        result = self.sweep('out', '--grid=%s=0.0,0.2' % DROPOUT, '--metric=roc_auc', '--eval=one.csv', code=3)
        self.assertIn('no trial has a value in all of its runs', result.stdout)
        self.assertIn('error: roc_auc of out/run_001 is not a number', result.stderr)

    def test_refusals(self):
        """Before anything is run, in one sentence."""
        for args, words in (
                ([], 'what is to be tried?'),
                (['--grid=%s=0.1' % DROPOUT, '--random=a=b', '--trials=1'], '--grid and --random: one of them'),
                (['--grid=task.model.head_dropot=0.1'], "did you mean 'task.model.head_dropout'?"),
                (['--grid=%s=0.1,much' % DROPOUT], 'trial 2 (task.model.head_dropout=much) is refused'),
                (['--grid=%s=0.1,0.1' % DROPOUT], "has the value '0.1' twice"),
                (['--grid=%s=0.1;%s=0.2' % (DROPOUT, DROPOUT)], 'appears twice'),
                (['--grid=%s' % DROPOUT], 'expected KEY=V1,V2'),
                (['--grid=%s=,1' % DROPOUT], 'an empty value'),
                (['--random=%s=log:0..1' % DROPOUT, '--trials=2'], 'is not a range'),
                (['--random=%s=0.1' % DROPOUT], '--trials=N'),
                (['--seeds=2', '--grid=task.train_data.seed=1,2'], 'one of them'),
                (['--seeds=x'], "'x' is neither a number"),
                (['--seeds=0'], '--seeds=0: that names no seed'),
                (['--grid=runtime.threads=1,99999999'], 'trial 2 (runtime.threads=99999999) is refused'),
                (['--seeds=2', '--metric=cls_acuracy'], "did you mean 'cls_accuracy'?"),
                (['--seeds=2', '--mode=eval'], '--mode=eval: a sweep trains'),
                (['--jobs=0', '--seeds=2'], '--jobs=0: expected 1 to'),
                (['--seeds=2', '--params_override={task: {train_data: {global_batch_size: 16}}}'],
                 'of a sweep write it as KEY=VALUE')):
            with self.subTest(args=args):
                self.assertIn(words, self.sweep('none', *args, code=2).stderr)
                self.assertFalse(os.path.exists(self.path('none')))
        self.sweep('out', '--grid=%s=0.1' % DROPOUT, steps=2)
        for args, how, words in (
                (['--grid=%s=0.2' % DROPOUT], {'steps': 2}, '--grid was task.model.head_dropout=0.1 and is'),
                (['--grid=%s=0.1' % DROPOUT, '--seeds=2'], {'steps': 2}, '--seeds was not given and is 2'),
                (['--grid=%s=0.1' % DROPOUT], {'steps': 3}, "'  train_steps: 2' and is '  train_steps: 3'")):
            self.assertIn(words, self.sweep('out', *args, code=2, **how).stderr)

    def test_a_trial_that_fails(self):
        """The others are run, the failure is named, and the exit code is its own; the next start tries it again."""
        grid = '--grid=%s=1e-3,1e30' % RATE
        bad = self.sweep('out', grid, code=6)
        self.assertIn('run_002 (%s=1e30): exit code 6: ' % RATE, bad.stderr)
        self.assertRegex(bad.stdout, r'(?m)^1 .* run_001$[\s\S]*^2 +1e30 +failed')
        self.assertIn('best: trial 1', bad.stdout)
        first, second = self.state('out')['runs']
        self.assertEqual((first['status'], second['status'], second['exit_code']), ('finished', 'failed', 6))
        self.assertTrue(second['error'])
        before = weights_of(self.path('out', 'run_001'))
        again = self.sweep('out', grid, code=6)
        self.assertIn('run_002', again.stderr)
        self.assertNotIn('run_001 (', again.stderr)
        self.assertEqual(before, weights_of(self.path('out', 'run_001')))

    def test_halving(self):
        """Each rung keeps the best of the one before, by what an evaluation of a whole run has there; the rate is that
        of the whole run, so the last one ends with the same bytes."""
        args = ['--grid=%s=1e-4,1e-3,1e-2,3e-2,6e-2,1e-1' % RATE]
        how = {'steps': 16, 'override': 'trainer.validation_interval=4,trainer.warmup_fraction=0.25'}
        self.sweep('whole', *args, **how)
        told = json.loads(self.sweep('out', *args, '--halving', '--eta=2', '--min_steps=3', '--format=json',
                                     '--jobs=2', **how).stdout)
        evaluated = []
        for run in self.state('whole')['runs']:
            with open(self.path('whole', run['run'], 'metrics.jsonl'), encoding='utf-8') as source:
                records = [json.loads(line) for line in source]
            evaluated.append({r['step']: r['cls_accuracy'] for r in records if 'validation_loss' in r})
        left, runs = list(range(6)), self.state('out')['runs']
        for rung, (n, step) in enumerate(((6, 4), (3, 8), (1, 16))):
            left = sorted(left, key=lambda i, s=step // 2: (-evaluated[i].get(s, 0), i))[:n]
            self.assertEqual(sorted(left), [i for i, run in enumerate(runs) if len(run['scores']) > rung])
            for i in left:
                self.assertAlmostEqual(runs[i]['scores'][rung], evaluated[i][step], 6)
        self.assertEqual([run['step'] for i, run in enumerate(runs) if i in left], [16])
        self.assertEqual(told['best_trial'], left[0] + 1)
        self.assertEqual([row['rung'] for row in told['trials']], [3, 2, 2, 1, 1, 1])
        name = runs[left[0]]['run']
        self.assertEqual(weights_of(self.path('out', name)), weights_of(self.path('whole', name)))
        self.assertIn('leave nothing to stop early', self.sweep('none', *args, '--halving', '--eta=7', code=2).stderr)

    def test_folds(self):
        """Each row is evaluated once; what belongs to folds alone is refused elsewhere."""
        told = json.loads(self.sweep('out', '--folds=3', '--grid=%s=1e-3,3e-2' % RATE, '--format=json').stdout)
        runs = self.state('out')['runs']
        self.assertEqual([r['run'] for r in runs], ['run_%03d_fold_%d' % (t, f) for t in (1, 2) for f in range(3)])
        with open(self.path('t.csv'), encoding='utf-8') as rows:
            kinds = [line.strip().split(',')[1] for line in rows][1:]
        held = []
        for run in runs[:3]:
            with open(self.path('out', run['run'] + '.log'), encoding='utf-8') as log:
                text = log.read()
            found = re.search(r'task.validation_data: (\d+) of 90 rows, only .*?; held out of each class: (\d+) of (\d+), '
                              r'(\d+) of (\d+)', text)
            self.assertIn('task.train_data: %d of 90 rows, without' % (90 - int(found.group(1))), text)
            self.assertEqual(sorted((found.group(3), found.group(5))),
                             sorted((str(kinds.count('pos')), str(kinds.count('neg')))))
            held.append((int(found.group(2)), int(found.group(4))))
        self.assertEqual(sum(map(sum, held)), 90)
        for counts in zip(*held):
            self.assertLessEqual(max(counts) - min(counts), 1)
        for row in told['trials']:
            scores = [r['scores'][0] for r in runs if r['trial'] == row['trial']]
            self.assertAlmostEqual(row['mean'], statistics.mean(scores), 12)
            self.assertEqual(row['n'], 3)
        with open(self.path('t.csv'), 'a', encoding='utf-8') as rows:
            rows.write('a film,rare\na plot,rare\n')
        self.sweep('rare', '--folds=3', steps=2)
        warned = []
        for fold in range(3):
            with open(self.path('rare', 'run_001_fold_%d.log' % fold), encoding='utf-8') as log:
                warned += re.findall(r'warning: task.validation_data: class 2 \(2 rows in all\) has no row in this part', log.read())
        self.assertEqual(len(warned), 1)
        self.write('t2.csv', 'text,label\na film,pos\n')
        self.assertIn('leave out --eval', self.sweep('none', '--folds=3', '--eval=t2.csv', code=2).stderr)
        self.assertIn('--folds=1: expected 2 to', self.sweep('none', '--folds=1', code=2).stderr)

    def test_stops(self):
        """A request is handed on, and waited for; a kill takes the children along; the same command goes on to the
        same bytes."""
        args = ['--grid=%s=1e-3,1e-2,2e-2' % RATE, '--jobs=2']
        how = {'steps': 100, 'override': 'trainer.checkpoint_interval=5,trainer.validation_interval=5'}
        self.sweep('whole', *args, **how)
        for number, code in ((signal.SIGTERM, 75), (signal.SIGKILL, -signal.SIGKILL)):
            folder = 'out%d' % number
            program = self.start(folder, *args, **how)
            self.until(lambda p=program, f=folder: p.poll() is not None or
                       os.path.exists(self.path(f, 'run_001', 'checkpoint')))
            self.assertIsNone(program.poll(), 'too fast to be stopped')
            children = self.children_of(program.pid)
            self.assertTrue(children)
            program.send_signal(number)
            self.assertEqual(program.wait(e2e.TIMEOUT), code)
            if number == signal.SIGKILL:
                self.until(lambda c=children: not any(os.path.exists('/proc/%d' % pid) for pid in c))
            else:
                self.assertFalse(any(os.path.exists('/proc/%d' % pid) for pid in children))
                with open(self.path('sweep.log'), encoding='utf-8') as log:
                    self.assertIn('the same command continues the sweep', log.read())
            runs = self.state(folder)['runs']
            self.assertTrue(any(r['status'] == 'not finished' for r in runs), runs)
            self.assertFalse(any(r['status'] == 'failed' for r in runs), runs)
            self.sweep(folder, *args, **how)
            for run in self.state('whole')['runs']:
                self.assertEqual(weights_of(self.path('whole', run['run'])), weights_of(self.path(folder, run['run'])))
            self.assertEqual(self.state('whole')['runs'], self.state(folder)['runs'])


if __name__ == '__main__':
    e2e.main()
