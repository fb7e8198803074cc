# SPDX-License-Identifier: Apache-2.0
"""report.html: a page that is well formed, fetches nothing, and says what metrics.jsonl says; of a run,
of one that was stopped, of several side by side; at the end of a run and by `bert-train report`."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import page  # noqa: E402

# titles of charts -> the values of a training and a validation that they show
CHARTS = {'loss': ('training_loss', 'validation_loss'), 'cls accuracy': ('cls_accuracy',) * 2,
          'learning rate': ('learning_rate', None), 'gradient norm': ('grad_norm', None),
          'throughput': ('examples_per_second', None)}


class Case(e2e.Case):
    def page(self, *names):
        found = page.read(self.path(*names))
        self.assertEqual(found.problems, [])
        return found

    def report(self, *args, expect=0):
        result = e2e.run(['report'] + list(args), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def bytes(self, *names):
        with open(self.path(*names), 'rb') as source:
            return source.read()


def series(records, kind, name):
    return {str(r['step']): r[name] for r in records if r['kind'] == kind and name in r}


class OneRun(Case):
    def check_charts(self, found, records):
        for title, names in CHARTS.items():
            rows = found.table(title)
            for column, (kind, name) in enumerate(
                    [(k, n) for k, n in zip(('train', 'validation'), names) if n is not None], 1):
                shown = {row[0]: float(row[column]) for row in rows[1:] if row[column]}
                self.assertEqual(shown, series(records, kind, name), title)

    def test_it_says_what_the_records_say(self):
        self.train()
        records = e2e.read_jsonl(self.path('out'))
        found = self.page('out', 'report.html')
        self.check_charts(found, records)
        last = [r for r in records if r['kind'] == 'validation'][-1]
        results = {row[0].split(' chose')[0]: row for row in found.table('results of the evaluations')}
        self.assertEqual(float(results['cls accuracy'][1]), last['cls_accuracy'])
        self.assertEqual(float(results['validation loss'][1]), last['validation_loss'])
        self.assertIn('finished at step 20', found.root.text())
        best = max(r['cls_accuracy'] for r in records if r['kind'] == 'validation')
        self.assertIn('chose the best checkpoint', results_text(found))
        self.assertEqual(float([r for r in found.table('results of the evaluations')
                                if r[0].startswith('cls accuracy')][0][2]), best)

    def test_intervals(self):
        self.train(override='task.bootstrap_samples=200')
        last = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]
        rows = self.page('out', 'report.html').table('results of the evaluations')
        self.assertEqual(rows[0][2], '95 % interval')
        values = {row[0].split(' chose')[0]: row[2] for row in rows[1:]}
        shown = [float(x) for x in values['cls accuracy'].split(' to ')]
        wanted = [last['cls_accuracy_ci_low'], last['cls_accuracy_ci_high']]
        for a, b in zip(shown, wanted):
            self.assertAlmostEqual(a, b, places=5)
        self.assertNotIn('cls accuracy ci low', values)

    def test_what_was_asked_and_where(self):
        override = "trainer.optimizer_config.warmup.polynomial.warmup_steps=3"
        self.train(override=override)
        found = self.page('out', 'report.html')
        rows = {row[0]: row[1:] for row in found.table('settings that differ from the defaults')}
        key = 'trainer.optimizer_config.warmup.polynomial.warmup_steps'
        self.assertEqual(rows[key][0], '3')
        self.assertTrue(rows[key][2].startswith('--params_override'), rows[key])
        self.assertTrue(rows['task.train_data.global_batch_size'][2].startswith('run.yaml:'), rows)
        command = found.root.all('pre')[0].text()
        self.assertEqual(command, 'bert-train ' + ' '.join(self.args(override=override)))
        facts = found.root.all('dl', class_='facts')[0].text()
        for word in ('processor', 'memory', 'engine', 'bert-train'):
            self.assertIn(word, facts)

    def test_made_again_it_is_the_same(self):
        self.train()
        first = self.bytes('out', 'report.html')
        os.remove(self.path('out', 'report.html'))
        self.report('out')
        self.assertEqual(self.bytes('out', 'report.html'), first)
        self.report('out', '--output_path=elsewhere.html')
        self.assertEqual(self.bytes('elsewhere.html'), first)

    def test_a_run_that_was_stopped_and_went_on(self):
        override = 'trainer.train_steps=400,trainer.checkpoint_interval=20,trainer.validation_interval=100'
        self.train(override=override, model_dir='straight')
        records = self.path('out', 'metrics.jsonl')

        def is_on_its_way():
            return os.path.exists(records) and os.path.getsize(records) > 3000
        e2e.run(self.args(override=override), cwd=self.folder,
                stop_when=(is_on_its_way, signal.SIGTERM))
        self.train(override=override)
        pages = [self.page(name, 'report.html') for name in ('straight', 'out')]
        self.assertEqual(pages[0].sections(), pages[1].sections())
        for title in CHARTS:
            if title != 'throughput':
                self.assertEqual(pages[0].table(title), pages[1].table(title), title)
        facts = [json.loads(self.bytes(name, 'run_facts.json')) for name in ('straight', 'out')]
        self.assertEqual(facts[0].pop('command').replace('straight', 'out'), facts[1].pop('command'))
        self.assertEqual(*facts)

    def test_a_rest_is_marked(self):
        self.train()
        self.assertNotIn('continued here', self.page('out', 'report.html').root.text())
        lines = []
        for record in e2e.read_jsonl(self.path('out')):
            record['wall_time_seconds'] += 7260 if record['step'] > 10 else 0
            lines.append(json.dumps(record) + '\n')
        self.write('out/metrics.jsonl', ''.join(lines))
        self.report('out')
        self.assertRegex(self.page('out', 'report.html').root.text(), 'continued here after 2 h [01] min')

    def test_a_run_that_is_not_over(self):
        self.train()
        lines = self.bytes('out', 'metrics.jsonl').splitlines(keepends=True)
        self.write('out/metrics.jsonl', b''.join(lines[:3]) + b'{"kind": "train", "ste')
        self.report('out')
        self.assertIn('not finished', self.page('out', 'report.html').root.text())

    def test_only_an_evaluation(self):
        self.train()
        os.mkdir(self.path('eval'))
        self.train(mode='eval', model_dir='eval',
                   more=['--checkpoint=' + self.path('out', 'ckpt-20')])
        found = self.page('eval', 'report.html')
        record = e2e.read_jsonl(self.path('eval'))[0]
        rows = {row[0]: row for row in found.table('results of the evaluations')}
        self.assertEqual(float(rows['cls accuracy'][1]), record['cls_accuracy'])

    def test_switched_off(self):
        self.train(override='trainer.report=false')
        names = set(os.listdir(self.path('out')))
        self.assertEqual(names & {'report.html', 'run_facts.json', 'eval_details.json'}, set())
        self.report('out')
        self.assertNotIn('settings', self.page('out', 'report.html').sections())


def results_text(found):
    return ' '.join(row[0] for row in found.table('results of the evaluations'))


class Several(Case):
    def test_seeds(self):
        self.train(more=['--seeds=1,2,3'])
        found = self.page('out', 'report.html')
        rows = found.table('the last value of each run')
        runs = [e2e.read_jsonl(self.path('out', 'seed_%d' % seed)) for seed in (1, 2, 3)]
        wanted = [[r for r in run if r['kind'] == 'validation'][-1]['validation_loss'] for run in runs]
        column = rows[0].index('validation_loss')
        self.assertEqual([float(row[column]) for row in rows[1:4]], wanted)
        self.assertEqual([row[0] for row in rows[1:]], ['A', 'B', 'C', 'mean', 'standard deviation'])
        with open(self.path('out', 'seeds.json'), encoding='utf-8') as source:
            sums = json.load(source)['metrics']['validation_loss']
        self.assertAlmostEqual(float(rows[4][column - 2]), sums['mean'], places=12)
        self.assertAlmostEqual(float(rows[5][column - 2]), sums['stddev'], places=12)
        differing = [row[0] for row in found.table('keys that differ between the runs')[1:] if row[0]]
        self.assertEqual(differing, ['task.train_data.seed'])

    def test_two_folders(self):
        self.train(model_dir='a')
        self.train(model_dir='b', override='task.model.encoder.bert.dropout_rate=0.0')
        self.report('a', 'b', '--output_path=both.html')
        found = self.page('both.html')
        rows = found.table('keys that differ between the runs')
        self.assertEqual(rows[1:], [['task.model.encoder.bert.dropout_rate', '0.1', '0.0']])
        self.assertEqual([n.text() for n in found.root.all('text', class_='name')][:2], ['A', 'B'])

    def test_of_many_one_is_damaged(self):
        """The others are shown whole, of this one the records; the exit code says that something is missing."""
        for name in ('a', 'b'):
            self.train(model_dir=name, override='trainer.train_steps=5')
        for file in ('run_facts.json', 'eval_details.json'):
            with open(self.path('a', file), 'rb+') as damaged:
                whole = damaged.read()
                damaged.truncate(len(whole) // 2)
            said = self.one_error(self.report('a', 'b', '--output_path=both.html', expect=3), 'bert-train report')
            self.assertIn('a/' + file, said)
            self.assertIn('with the records alone of 1 of its 2 runs', said)
            found = self.page('both.html')
            self.assertEqual([n.text() for n in found.root.all('text', class_='name')][:2], ['A', 'B'])
            self.write('a/' + file, whole.decode())
        self.report('a', 'b', '--output_path=both.html')

    def test_what_cannot_be(self):
        self.train(model_dir='a', override='trainer.train_steps=5')
        os.mkdir(self.path('empty'))
        for args, code, word in ((['a', 'a'], 2, '--output_path'), ([], 2, 'of which run'),
                                 (['nowhere'], 3, 'nowhere'), (['empty'], 3, 'no run is there'),
                                 (['a', '--output_path=nowhere/x.html'], 4, 'nowhere'),
                                 (['a', '--output_path=a/metrics.jsonl'], 2, 'written over'),
                                 (['.', '--output_path=./a/ckpt-5.index'], 2, 'written over')):
            self.assertIn(word, self.one_error(self.report(*args, expect=code), 'bert-train report'), args)
        self.report('a', '--output_path=a/report.html')


if __name__ == '__main__':
    e2e.main()
