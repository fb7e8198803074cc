# SPDX-License-Identifier: Apache-2.0
"""The real TensorBoard reads the events of a run that was killed and continued as those of a run
that nothing disturbed, each step once: its two accumulators, and the server with the fast and with
the slow loader, also one that was following the folder while the run was killed. A run that Model
Garden began goes on in files of its own; what it began with stays as it is."""
import glob
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import jobs  # noqa: E402
import mutant  # noqa: E402
import png  # noqa: E402
from jobs import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
OVERRIDE = ('trainer.train_steps=300,trainer.steps_per_loop=5,trainer.summary_interval=5,'
            'trainer.checkpoint_interval=50,trainer.validation_interval=30,trainer.max_to_keep=2,'
            'trainer.optimizer_config.learning_rate.polynomial.decay_steps=300')
PATIENCE = e2e.TIMEOUT


def get_python():
    """TensorBoard's Python, which a script installs into the build folder; or why not."""
    done = subprocess.run([os.path.join(HERE, 'get_tensorboard.sh'), e2e.BUILD],
                          capture_output=True, text=True, timeout=600)
    return (done.stdout.strip(), '') if done.returncode == 0 else (None, done.stderr.strip())


PYTHON, WHY_NOT = get_python()


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def read_bytes(path):
    with open(path, 'rb') as source:
        return source.read()


class Server:
    """tensorboard --logdir, asked over HTTP."""

    def __init__(self, folder, fast):
        self.log = open(os.path.join(folder, '..', 'tensorboard-%s.log' % fast), 'w+b')
        self.process = subprocess.Popen(
            [PYTHON, '-m', 'tensorboard.main', '--logdir', folder, '--port', '0', '--bind_all',
             '--load_fast', 'true' if fast else 'false', '--reload_interval', '1'],
            stdout=self.log, stderr=self.log)
        self.port = self.wait_for(self.find_port)

    def find_port(self):
        with open(self.log.name, 'rb') as source:
            text = source.read().decode('utf-8', 'replace')
        assert self.process.poll() is None, text
        found = re.search(r'http://\S*?:(\d+)/', text)
        return found and int(found.group(1))

    @staticmethod
    def wait_for(ask):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            got = ask()
            if got:
                return got
            time.sleep(0.2)
        return ask()

    def get(self, run, tag):
        """[[step, value]], or []"""
        where = 'http://127.0.0.1:%d/data/plugin/scalars/scalars?' % self.port
        try:
            with urllib.request.urlopen(where + urllib.parse.urlencode(
                    {'run': run, 'tag': tag}), timeout=e2e.TIMEOUT) as reply:
                return [[step, value] for _time, step, value in json.load(reply)]
        except OSError:
            return []

    def until(self, run, tag, want):
        """What it says in the end, given time to come to what is wanted."""
        self.wait_for(lambda: self.get(run, tag) == want)
        return self.get(run, tag)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(e2e.TIMEOUT)
        self.log.close()


class Jobs(e2e.Case):
    def setUp(self):
        if PYTHON is None:
            self.skipTest(WHY_NOT)
        super().setUp()
        jobs.make(self.folder)
        self.name = 'bert-train'

    def run_job(self, model_dir, override=OVERRIDE, **how):
        return e2e.run(jobs.args('sentence', model_dir, override), name=self.name,
                       cwd=self.folder, **how)

    def serve(self, fast, name='out'):
        os.makedirs(self.path(name), exist_ok=True)
        server = Server(self.path(name), fast)
        self.addCleanup(server.close)
        return server

    def events(self, model_dir, folder):
        """{tag: [[step, value]]} of scalars, without TensorBoard, of a run that nothing disturbed."""
        out = {}
        for (step, tag), values in sorted(compare.events(self.path(model_dir), folder).items()):
            self.assertEqual(len(values), 1)
            if isinstance(values[0], float):
                out.setdefault(tag, []).append([step, values[0]])
        return out

    def accumulated(self, folder, which):
        done = subprocess.run([PYTHON, os.path.join(HERE, 'support/read_tensorboard.py'),
                               self.path('out', folder), which],
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn('rror', done.stderr)
        return json.loads(done.stdout)

    def kill_at(self, step, override=OVERRIDE, watch=None):
        """kill -9 soon after a step after a checkpoint; what watch() says comes first."""
        def there():
            text = compare.read_text(self.path('out/metrics.jsonl')) or ''
            return any(int(s) >= step for s in re.findall(r'"train", "step": (\d+)', text))

        def is_time():
            if not there():
                return False
            os.kill(self.child, signal.SIGSTOP)
            if watch is not None:
                watch()
            return True
        with open(self.path('log'), 'wb') as log:
            pace = e2e.Pace(log)
            process = subprocess.Popen([e2e.program(self.name)] + jobs.args('sentence', 'out', override),
                                       cwd=self.folder, stdout=subprocess.DEVNULL, stderr=pace.sink)
            pace.started()
            self.child = process.pid
            while process.poll() is None and not is_time():
                pace.look()
                time.sleep(0.001)
            process.kill()
            process.wait()
            pace.end()
        self.assertEqual(process.returncode, -signal.SIGKILL)


class TensorBoard(Jobs):
    def tear(self):
        """The last event of the newest file as a full disk leaves it."""
        newest = max(glob.glob(self.path('out/train/*tfevents*')))
        os.truncate(newest, os.path.getsize(newest) - 7)

    def test_killed_and_continued(self):
        self.assertEqual(self.run_job('straight').code, 0)
        following = {fast: self.serve(fast) for fast in (True, False)}
        want = {folder: self.events('straight', folder) for folder in ('train', 'validation')}

        def seen(server):
            self.assertTrue(server.wait_for(lambda: [
                step for step, _ in server.get('train', 'training_loss') or [] if step > 100]))
        for i, step in enumerate((130, 230)):
            self.kill_at(step, watch=(lambda: [seen(s) for s in following.values()])
                         if i == 0 else None)
            self.tear()
        result = self.run_job('out')
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(compare.event_differences(self.path('straight'), self.path('out')), [])
        for folder in want:
            for which in ('plugin', 'old'):
                got = self.accumulated(folder, which)
                self.assertEqual(sorted(got), sorted(want[folder]))
                for tag in got:
                    if not compare.is_time(tag):
                        self.assertEqual(got[tag], want[folder][tag], (which, tag))
        late = {fast: self.serve(fast) for fast in (True, False)}
        for name, servers in (('late', late), ('following', following)):
            for fast, server in servers.items():
                for folder, tag in (('train', 'training_loss'), ('validation', 'cls_accuracy')):
                    self.assertEqual(server.until(folder, tag, want[folder][tag]),
                                     want[folder][tag], (name, fast, tag))

    def test_it_can_fail(self):
        """A follower that is not told what is void shows it twice."""
        self.name = mutant.build(self.folder, 'src/train/run_log.c', [
            ('if (folder->restart >= 0) {', 'if (false) {')])
        self.run_job('straight')
        want = self.events('straight', 'train')['training_loss']
        server = self.serve(False)
        self.kill_at(130, watch=lambda: server.wait_for(
            lambda: any(step > 100 for step, _ in server.get('train', 'training_loss'))))
        self.run_job('out')
        server.wait_for(lambda: any(step == 300 for step, _ in server.get('train',
                                                                          'training_loss')))
        self.assertNotEqual(server.get('train', 'training_loss'), want)

    def test_model_garden_began_it(self):
        """Its event files have another extension, and none of its bytes change; TensorBoard is told
        that what they say of the steps made again is void."""
        self.assertEqual(self.run_job('out').code, 0)
        for path in glob.glob(self.path('out/*/*tfevents*')):
            os.rename(path, path.replace('.bert-train.v2', '.v2'))
        theirs = {path: read_bytes(path) for path in glob.glob(self.path('out/*/*.v2'))}
        name = e2e.read_state_file(self.path('out'))[1][0]
        self.write('out/checkpoint', 'model_checkpoint_path: "%s"\n'
                   'all_model_checkpoint_paths: "%s"\n' % (name, name))
        want = self.events('out', 'train')['training_loss']
        self.assertEqual(self.run_job('out').code, 0)
        for path, content in theirs.items():
            self.assertEqual(read_bytes(path), content)
        # the older accumulator, which the server does not use, voids no tensors
        self.assertEqual(self.accumulated('train', 'plugin')['training_loss'], want)
        for fast in (True, False):
            server = self.serve(fast)
            self.assertEqual(server.until('train', 'training_loss', want), want, fast)

    def test_a_clock_that_runs_backwards(self):
        """The file of the run that goes on is the last one all the same."""
        self.kill_at(130)
        for path in glob.glob(self.path('out/*/*tfevents*')):
            os.rename(path, re.sub(r'tfevents\.\d+', 'tfevents.4000000000', path))
        self.assertEqual(self.run_job('out').code, 0)
        self.assertEqual(self.run_job('straight').code, 0)
        want = self.events('straight', 'train')['training_loss']
        self.assertEqual(self.accumulated('train', 'plugin')['training_loss'], want)
        server = self.serve(True)
        self.assertEqual(server.until('train', 'training_loss', want), want)


class Plugins(Jobs):
    """What the tabs beside the scalars show, asked of the server."""

    def ask(self, server, what, query=None):
        request = urllib.request.Request(
            'http://127.0.0.1:%d/data/plugin/%s' % (server.port, what),
            data=None if query is None else json.dumps(query).encode(),
            headers={} if query is None else {'Content-Type': 'application/json'})
        with urllib.request.urlopen(request, timeout=e2e.TIMEOUT) as reply:
            return json.load(reply)

    def sessions(self, server, n):
        """{name: (hparams, status, {(group, tag): value})}"""
        query = {'experimentName': '', 'startIndex': 0, 'sliceSize': 50,
                 'allowedStatuses': ['STATUS_UNKNOWN', 'STATUS_SUCCESS', 'STATUS_RUNNING']}

        def groups():
            try:
                metrics = self.ask(server, 'hparams/experiment', {'experimentName': ''})['metricInfos']
                query['colParams'] = [{'metric': m['name']} for m in metrics]
                found = self.ask(server, 'hparams/session_groups', query)['sessionGroups']
            except (OSError, KeyError):
                return None
            return found if len(found) == n and all(g.get('metricValues') for g in found) else None
        return {g['name']: (g['hparams'], g['sessions'][0].get('status'), {
            (v['name']['group'], v['name']['tag']): v['value'] for v in g['metricValues']})
                for g in server.wait_for(groups)}

    def seeds(self, override=OVERRIDE, **how):
        return e2e.run(jobs.args('sentence', 'out', override, more=['--seeds=3,5']), cwd=self.folder, **how)

    def test_seeds_are_sessions_with_their_parameters_and_metrics(self):
        self.assertEqual(self.seeds().code, 0)
        os.unlink(self.path('out/best_seed'))  # a link: it would be a third
        server = self.serve(False)
        sessions = self.sessions(server, 2)
        for seed in (3, 5):
            params, status, metrics = sessions['seed_%d' % seed]
            self.assertEqual((params['seed'], params['batch_size'], params['optimizer'], status),
                             (seed, 12, 'adamw', 'STATUS_SUCCESS'))
            self.assertAlmostEqual(params['learning_rate'], 0.002)
            last = [r for r in e2e.read_jsonl(self.path('out/seed_%d' % seed))
                    if r['kind'] == 'validation'][-1]
            self.assertAlmostEqual(metrics['validation', 'cls_accuracy'], last['cls_accuracy'], 6)
            for tag in ('grad_norm', 'examples_per_second', 'steps_per_second', 'input_wait'):
                self.assertIn(('train', tag), metrics)
            text, = self.ask(server, 'text/text?run=seed_%d&tag=configuration' % seed)
            for line in ('<pre><code>runtime:', 'seed: %d\n' % seed, 'vocab_file: vocab.txt\n'):
                self.assertIn(line, text['text'])
            text, = self.ask(server, 'text/text?run=seed_%d&tag=command' % seed)
            self.assertIn('--seeds=3,5', text['text'])

    def test_a_run_that_was_killed_is_one_session(self):
        """Torn in the middle of it, too; and one that is at its end is left as it is."""
        self.kill_at(130)
        path, = glob.glob(self.path('out/*tfevents*'))
        size = os.path.getsize(path)
        for cut in (0, 7, size // 2, size - 1):
            os.truncate(path, max(os.path.getsize(path) - cut, 0))
            result = self.run_job('out')
            self.assertEqual(result.code, 0, str(result))
        files = {p: read_bytes(p) for p in glob.glob(self.path('out/*tfevents*'))}
        self.run_job('out')
        self.assertEqual(files, {p: read_bytes(p) for p in glob.glob(self.path('out/*tfevents*'))})
        os.makedirs(self.path('runs'))
        os.rename(self.path('out'), self.path('runs/out'))  # of the folder '.' it finds no metrics
        _, status, metrics = self.sessions(self.serve(False, 'runs'), 1)['out']
        self.assertEqual(status, 'STATUS_SUCCESS')
        self.assertIn(('validation', 'cls_accuracy'), metrics)

    def figures(self, server, run, tag):
        """{step: curve} as the PR Curves tab draws it."""
        found = server.wait_for(lambda: self.try_to_ask(server, 'pr_curves/pr_curves', run=run, tag=tag))
        return {entry['step']: entry for entry in found[run]}

    def try_to_ask(self, server, what, **query):
        try:
            return self.ask(server, what + '?' + urllib.parse.urlencode(query))
        except OSError:
            return None

    def name_classes(self, names):
        """The tables' classes 0 and 1, and a third that only training rows have, get names."""
        for path, n_others in (('train.tsv', 9), ('dev.tsv', 0)):
            with open(self.path(path), encoding='utf-8') as source:
                head, *rows = [line.split('\t') for line in source.read().splitlines()]
            for i, row in enumerate(rows):
                row[1] = names[0 if i < n_others else 1 + int(row[1])]
            self.write(path, '\n'.join('\t'.join(row) for row in [head] + rows) + '\n')

    def rows(self, override):
        """[(label, probabilities as float32)] of dev.tsv under the last checkpoint."""
        done = e2e.run(jobs.args('sentence', 'out', override, mode='predict',
                                 more=['--output_path=p.jsonl', '--output_format=jsonl']), cwd=self.folder)
        self.assertEqual(done.code, 0, str(done))
        with open(self.path('dev.tsv'), encoding='utf-8') as source:
            labels = [line.split('\t')[1] for line in source.read().splitlines()[1:]]
        with open(self.path('p.jsonl'), encoding='utf-8') as source:
            found = [json.loads(line) for line in source]
        self.assertEqual(len(labels), len(found))
        return list(zip(labels, [row['probabilities'] for row in found]))

    def test_curves_and_the_picture_of_an_evaluation(self):
        """Of three classes, one that no row has; counted anew from the predictions."""
        names = (']', "it's", 'n/o')  # sorted, as the labels of a table are
        self.name_classes(names)
        override = OVERRIDE + ',task.model.num_classes=3'
        self.kill_at(130, override)
        self.assertEqual(self.run_job('out', override).code, 0)
        rows = [(names.index(label), [p[name] for name in names]) for label, p in self.rows(override)]
        for fast in (True, False):
            server = self.serve(fast)
            for c, name in enumerate(('_', 'it_s', 'n_o')):
                curves = self.figures(server, 'validation', 'pr_curve/' + name)
                self.assertEqual(sorted(curves), list(range(30, 301, 30)))
                hits, misses = (curves[300][key] for key in ('true_positives', 'false_positives'))
                self.assertGreater(len(hits), 10)
                for i in range(101):  # the tab leaves out those at the end which find nothing
                    found = [label == c for label, p in rows if math.floor(f32(f32(p[c]) * 100)) >= i]
                    self.assertEqual((hits[i], misses[i]) if i < len(hits) else (0, 0),
                                     (sum(found), len(found) - sum(found)), (name, i))
            self.check_picture(server, rows)

    def check_picture(self, server, rows):
        """As many pictures as evaluations; the shade of each cell is its share of its row."""
        where = 'run=validation&tag=confusion_matrix&sample=0'
        found = server.wait_for(lambda: self.try_to_ask(
            server, 'images/images', run='validation', tag='confusion_matrix', sample=0))
        self.assertEqual([entry['step'] for entry in found], list(range(30, 301, 30)), where)
        with urllib.request.urlopen('http://127.0.0.1:%d/data/plugin/images/individualImage?%s' % (
                server.port, found[-1]['query']), timeout=e2e.TIMEOUT) as reply:
            self.assertEqual(reply.headers['Content-Type'], 'image/png')
            width, height, pixels = png.decode(reply.read())
        self.assertEqual(((width - 74) % 3, height), (0, 150))
        wide = (width - 74) // 3
        predicted = [(label, max(range(3), key=lambda c: p[c])) for label, p in rows]  # the first of equals
        for label in range(3):
            n = sum(a == label for a, _ in predicted)
            for c in range(3):
                share = predicted.count((label, c)) / n if n else 0
                self.assertEqual(pixels[(60 + label * 30 + 4) * width + 74 + c * wide + 4],
                                 int(255 - share * 110), (label, c))

    def test_without(self):
        self.assertEqual(self.run_job('out', OVERRIDE + ',trainer.summary_extras=false').code, 0)
        self.assertEqual(glob.glob(self.path('out/*tfevents*')), [])
        self.assertEqual([tag for _, tag in compare.events(self.path('out'), 'validation')
                          if tag.startswith(('pr_curve', 'confusion'))], [])
        self.assertNotIn('grad_norm', self.events('out', 'train'))


if __name__ == '__main__':
    e2e.main()
