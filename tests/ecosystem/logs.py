# SPDX-License-Identifier: Apache-2.0
"""tools/to_mlflow.py and tools/to_wandb.py with the real packages: each value, key, result and file of
a run is there once, however often and at whatever moment of the run they were called."""
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'support'))
sys.path.insert(0, os.path.join(HERE, '../reliability/support'))
import ecosystem  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

TOOLS = os.path.join(e2e.SOURCE, 'tools')
KINDS = ('train', 'validation')
NO_VALUES = ('kind', 'step', 'wall_time_seconds', 'stopped')


@ecosystem.needs('logs')
class Logs(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, override='trainer.train_steps=60', **how):
        more = how.pop('more', ())
        return e2e.run(jobs.args('sentence', 'out', override, more=more), cwd=self.folder, **how)

    def call(self, tool, *args, expect=0):
        # MLflow keeps its store of files in maintenance and wants to be asked for it
        env = dict(os.environ, MLFLOW_ALLOW_FILE_STORE='true', WANDB_SILENT='true', WANDB_API_KEY='')
        done = subprocess.run([ecosystem.python_of('logs'), os.path.join(TOOLS, tool), *args], cwd=self.folder,
                              env=env, capture_output=True, text=True, timeout=10 * e2e.TIMEOUT, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout if expect == 0 else done.stderr

    def wanted(self, folder):
        """{kind/name: [[step, value]]} of metrics.jsonl"""
        out = {}
        for record in e2e.read_jsonl(self.path(folder)):
            for name in record:
                if record['kind'] in KINDS and name not in NO_VALUES and record[name] is not None:
                    out.setdefault('%s/%s' % (record['kind'], name), []).append([record['step'], record[name]])
        return out

    def stop_at(self, step):
        result = e2e.run(
            jobs.args('sentence', 'out', 'trainer.train_steps=100000000,trainer.checkpoint_interval=500,'
                      'trainer.validation_interval=500,trainer.steps_per_loop=50,trainer.summary_interval=50'),
            cwd=self.folder, stop_when=(lambda: any(r['step'] >= step for r in self.lines()), signal.SIGTERM))
        self.assertEqual(result.code, 75, str(result))

    def lines(self):
        try:
            return e2e.read_jsonl(self.path('out'))
        except AssertionError:  # it is being written
            return []


class Mlflow(Logs):
    def ask(self):
        os.environ['MLFLOW_ALLOW_FILE_STORE'] = 'true'
        return ecosystem.ask('logs', 'logs_judge.py', {
            'what': 'mlflow', 'uri': 'file:' + self.path('mlruns'), 'experiment': 'mine'})['runs']

    def hand_over(self):
        return self.call('to_mlflow.py', '--tracking_uri=file:' + self.path('mlruns'), '--experiment=mine', 'out')

    def check_curves(self, run, folder):
        curves = {name: [[step, value] for step, value, _ in rows] for name, rows in run['curves'].items()
                  if name.split('/')[0] in KINDS}
        self.assertEqual(curves, self.wanted(folder))

    def test_seeds(self):
        self.assertEqual(self.run_job(more=['--seeds=3,5']).code, 0)
        for _ in range(2):
            self.hand_over()
            runs = self.ask()
            self.assertEqual([run['name'] for run in runs], ['out/seed_3', 'out/seed_5'])
            for run, seed in zip(runs, ('3', '5')):
                folder = 'out/seed_' + seed
                self.check_curves(run, folder)
                self.assertEqual((run['status'], run['tags']['bert_train.group']), ('FINISHED', 'out'))
                self.assertEqual((run['params']['task.train_data.seed'], run['params']['task.train_data.vocab_file'],
                                  run['params']['trainer.train_steps']), (seed, 'vocab.txt', '60'))
                final = e2e.read_jsonl(self.path(folder))[-1]
                self.assertEqual([v for _, v, _ in run['curves']['final/cls_accuracy']], [final['cls_accuracy']])
                self.assertIn('best/best_ckpt_global_step', run['curves'])
                self.assertLessEqual({'params.yaml', 'params_ours.yaml', 'metrics.jsonl', 'best_ckpt'}, set(run['files']))
        self.assertIn(', 0 values added', self.hand_over())

    def test_a_run_that_goes_on(self):
        for step in (1000, 3000):
            self.stop_at(step)
            self.hand_over()
            run, = self.ask()
            self.check_curves(run, 'out')
            self.assertEqual(run['status'], 'RUNNING')

    def test_what_is_no_run(self):
        os.makedirs(self.path('empty'))
        told = self.call('to_mlflow.py', '--tracking_uri=file:' + self.path('mlruns'), 'empty', expect=1)
        self.assertIn('to_mlflow.py: error: empty: no metrics.jsonl here', told)


class Wandb(Logs):
    def ask(self):
        return ecosystem.ask('logs', 'logs_judge.py', {'what': 'wandb', 'folder': self.path('runs')})['sessions']

    def hand_over(self):
        return self.call('to_wandb.py', '--dir=runs', '--project=mine', 'out')

    def check_rows(self, sessions, folder, last=None):
        got = {}
        for session in sessions:
            for row in session['rows']:
                for name, value in row.items():
                    if not name.startswith('_'):
                        got.setdefault(name, []).append([row['_step'], value])
        want = {name: [r for r in rows if last is None or r[0] <= last] for name, rows in self.wanted(folder).items()}
        self.assertEqual(got, {name: rows for name, rows in want.items() if rows})

    def test_seeds(self):
        self.assertEqual(self.run_job(more=['--seeds=3,5']).code, 0)
        for _ in range(2):
            self.hand_over()
            sessions = {s['config']['task.train_data.seed']: s for s in self.ask()}
            self.assertEqual((sorted(sessions), len(self.ask())), ([3, 5], 2))
            for seed, session in sessions.items():
                folder = 'out/seed_%d' % seed
                self.check_rows([session], folder)
                self.assertEqual((session['project'], session['group'], session['exit']), ('mine', 'out', 0))
                self.assertEqual(session['config']['task.train_data.vocab_file'], 'vocab.txt')
                final = e2e.read_jsonl(self.path(folder))[-1]
                self.assertEqual(session['summary']['final/cls_accuracy'], final['cls_accuracy'])
                self.assertIn('best/best_ckpt_global_step', session['summary'])
                self.assertLessEqual({'params.yaml', 'metrics.jsonl', 'best_ckpt/info.json'}, set(session['files']))
        self.assertIn(', 0 steps added', self.hand_over())

    def test_a_run_that_goes_on(self):
        """The last step waits for what may still be said of it."""
        for n, step in enumerate((1000, 3000), 1):
            self.stop_at(step)
            self.hand_over()
            sessions = self.ask()
            self.assertEqual((len(sessions), len({s['id'] for s in sessions})), (n, 1))
            last = max(row['_step'] for row in sessions[-1]['rows'])
            self.check_rows(sessions, 'out', last)
            steps = sorted({r['step'] for r in self.lines()})
            self.assertEqual(last, steps[-2])


if __name__ == '__main__':
    e2e.main()
