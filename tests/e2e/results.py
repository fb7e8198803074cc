# SPDX-License-Identifier: Apache-2.0
"""--fail_below, --fail_above, --result_json, --result_junit and --result_markdown: limits and their
exit code, the files of runs that end well, badly and not at all, and the table at the end."""
import json
import os
import re
import shutil
import signal
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

FILES = ['--result_json=r/result.json', '--result_junit=r/result.xml', '--result_markdown=r/result.markdown']
NULL = type(None)
MEMBERS = {'schema_version': int, 'program': str, 'version': str, 'status': str, 'exit_code': int,
           'error': (str, NULL), 'started': str, 'finished': str, 'seconds': float, 'mode': (str, NULL),
           'experiment': (str, NULL), 'model_dir': (str, NULL), 'step': (int, NULL), 'values': dict,
           'checkpoint': (str, NULL), 'best': (dict, NULL), 'seeds': (dict, NULL), 'limits': list,
           'machine': dict, 'inputs': list}


class Results(e2e.Case):
    def run_it(self, expect, *more, **how):
        return self.train(expect=expect, more=FILES + list(more), **how)

    def json(self):
        with open(self.path('r/result.json'), encoding='utf-8') as source:
            result = json.load(source, parse_constant=self.fail)
        self.assertEqual(sorted(result), sorted(MEMBERS))
        for name, kind in MEMBERS.items():
            self.assertIsInstance(result[name], kind, name)
        return result

    def junit(self):
        """The cases as (name, outcome), held to what readers ask for."""
        root = xml.etree.ElementTree.parse(self.path('r/result.xml')).getroot()
        self.assertEqual(root.tag, 'testsuites')
        (suite,) = root
        self.assertRegex(suite.get('timestamp'), r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$')
        cases = []
        for case in suite.findall('testcase'):
            self.assertTrue(case.get('name') and case.get('classname'))
            float(case.get('time'))
            kinds = [child.tag for child in case]
            self.assertLessEqual(len(kinds), 1)
            cases.append((case.get('name'), (kinds + ['passed'])[0]))
        for name, kind in (('failures', 'failure'), ('errors', 'error'), ('skipped', 'skipped')):
            self.assertEqual(int(suite.get(name)), [k for _n, k in cases].count(kind))
        self.assertEqual(int(suite.get('tests')), len(cases))
        return cases

    def markdown(self):
        with open(self.path('r/result.markdown'), encoding='utf-8') as source:
            text = source.read()
        rows = [re.split(r'(?<!\\)\|', line) for line in text.splitlines() if line.startswith('|')]
        self.assertEqual(len({len(row) for row in rows} | {0}), 2 if rows else 1)
        return text

    def test_kept(self):
        result = self.run_it(0, '--fail_below=cls_accuracy=0', '--fail_above=validation_loss=100,cls_accuracy=1')
        said = dict(line.split() for line in result.stdout.splitlines())
        got = self.json()
        self.assertEqual((got['status'], got['exit_code'], got['error']), ('ok', 0, None))
        self.assertEqual({k: float(v) for k, v in said.items() if k != 'step'}, got['values'])
        self.assertEqual(str(got['step']), said['step'])
        self.assertEqual([limit['passed'] for limit in got['limits']], [True] * 3)
        for prefix in (got['checkpoint'], got['best']['checkpoint']):
            self.assertTrue(os.path.exists(self.path(prefix + '.index')), prefix)
        with open(self.path('out/best_ckpt/info.json'), encoding='utf-8') as source:
            info = json.load(source)
        self.assertEqual(got['best']['step'], info.pop('best_ckpt_global_step'))
        self.assertEqual(sorted(got['best']['values']), sorted(info))
        inputs = {i['path']: i for i in got['inputs']}
        self.assertEqual(inputs['train.tf_record']['bytes'], os.path.getsize(self.path('train.tf_record')))
        self.assertEqual([kind for _n, kind in self.junit()], ['passed'] * 4)
        self.assertIn('kept |', self.markdown())
        # a finished run that is started again is judged as it was; its files stay as they are
        before = e2e.read_tree(self.path('out'))
        self.run_it(8, '--fail_below=cls_accuracy=2')
        self.assertEqual(self.json()['values'], got['values'])
        self.assertEqual(e2e.read_tree(self.path('out')), before)

    def test_not_kept(self):
        result = self.run_it(8, '--fail_below=cls_accuracy=1.5,best_cls_accuracy=0', '--fail_above=validation_loss=-1')
        error = self.one_error(result)
        self.assertRegex(error, r'step 20: cls_accuracy \S+ is below 1.5 \(--fail_below\), '
                                r'validation_loss \S+ is above -1.0 \(--fail_above\)')
        self.assertTrue(os.path.exists(self.path('out/ckpt-20.index')))
        got = self.json()
        self.assertEqual((got['exit_code'], got['status']), (8, 'beyond a limit'))
        self.assertEqual([limit['passed'] for limit in got['limits']], [False, True, False])
        self.assertEqual([kind for _n, kind in self.junit()], ['passed', 'failure', 'passed', 'failure'])
        self.assertEqual(self.markdown().count('**not kept**'), 2)
        for mode in ('eval', 'train', 'train_and_post_eval'):
            self.run_it(8, '--fail_below=cls_accuracy=1.5', mode=mode, model_dir='out')
        self.assertEqual(self.json()['mode'], 'train_and_post_eval')

    def test_equal_is_not_below(self):
        result = self.train()
        value = dict(line.split() for line in result.stdout.splitlines())['validation_loss']
        for flag in ('--fail_below=', '--fail_above='):
            self.train(more=[flag + 'validation_loss=' + value])

    def test_not_a_number_fails(self):
        rows = e2e.make_rows(6, n_classes=1, label=[1.0])
        for name in ('train', 'eval'):
            e2e.write_records(self.path(name + '.tf_record'), rows)
        override = ('task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                    'task.train_data.label_type=float,task.validation_data.label_type=float,'
                    'trainer.best_checkpoint_eval_metric=pearson_spearman_corr')
        for flag in ('--fail_below=pearson_spearman_corr=-9', '--fail_above=pearson_spearman_corr=9'):
            result = self.run_it(8, flag, override=override)
            self.assertIn('not a number', self.one_error(result))
            self.assertIsNone(self.json()['values']['pearson_spearman_corr'])

    def test_seeds(self):
        result = self.run_it(8, '--seeds=1,2', '--fail_below=cls_accuracy=1.5')
        mean = next(line.split()[1] for line in result.stdout.splitlines() if line.startswith('cls_accuracy '))
        self.assertIn('mean of 2 seeds: cls_accuracy %s is below 1.5' % mean, self.one_error(result))
        got = self.json()
        self.assertEqual((got['seeds']['n'], got['seeds']['mean']['cls_accuracy']), (2, float(mean)))
        self.assertIn('| mean of 2 seeds |', self.markdown())

    def test_refused_before_training(self):
        rows = [('--fail_below=cls_acuracy=0.9', "did you mean 'cls_accuracy'?"),
                ('--fail_below=cls_accuracy', 'is not NAME=NUMBER'),
                ('--fail_below=f1/' + 77 * 'x' + '=0.5', 'is longer than 79 bytes'),
                ('--fail_below=cls_accuracy=high', "'high' is not a number"),
                ('--fail_below=cls_accuracy=nan', "'nan' is not a number"),
                ('--fail_above=cls_accuracy=1,cls_accuracy=2', 'has two limits'),
                ('--fail_below=,', 'is not NAME=NUMBER')]
        for flag, words in rows:
            result = self.run_it(2, flag)
            self.assertIn(words, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))
            got = self.json()
            self.assertEqual((got['exit_code'], got['step']), (2, None))
            self.assertIn(words, got['error'])
            self.assertEqual(self.junit()[0][1], 'error')
        # a dry run says the same, and writes nothing
        os.unlink(self.path('r/result.json'))
        self.assertIn('did you mean', self.one_error(self.run_it(2, '--dry_run', rows[0][0])))
        self.run_it(0, '--dry_run', '--fail_below=cls_accuracy=0.9')
        self.assertFalse(os.path.exists(self.path('r/result.json')))
        self.assertIn('use --mode=eval', self.one_error(self.run_it(2, '--fail_below=cls_accuracy=1', mode='predict')))
        self.assertIn('--benchmark makes none', self.one_error(
            e2e.run(self.args(mode='train', more=['--benchmark', '--result_json=x.json']), cwd=self.folder)))

    def test_outputs_that_are_something_else(self):
        for path in ('train.tf_record', './eval.tf_record', 'run.yaml', 'out/metrics.jsonl', 'out/params.yaml'):
            before = e2e.read_tree(self.folder)
            self.train(expect=2, more=['--result_json=' + path])
            self.train(expect=2, more=['--result_json=' + path, '--fail_below=x'])
            result = self.train(expect=2, more=['--result_json=' + path], override='trainer.train_steps=-1')
            self.assertIn('is not written', result.stderr)
            self.assertEqual(e2e.read_tree(self.folder), before)
        self.train(expect=2, more=['--result_json=a', '--result_junit=./a'])
        self.train(expect=2, more=['--result_json=-', '--result_junit=-'])
        self.train(expect=4, more=['--result_json=run.yaml/x.json'])

    def test_failures_are_written(self):
        self.run_it(2, override='trainer.train_steps=-1')
        self.assertIn('trainer.train_steps', self.json()['error'])
        self.run_it(3, override='task.train_data.input_path=none')
        self.assertIn('none', self.json()['error'])
        self.assertEqual([kind for _n, kind in self.junit()], ['error'])
        self.assertIn('exit code 3', self.markdown())

    def test_a_stop_is_written(self):
        seen = lambda: os.path.exists(self.path('out/metrics.jsonl'))  # noqa: E731
        self.run_it(75, '--fail_below=cls_accuracy=0', override='trainer.train_steps=1000000',
                    run_how={'stop_when': (seen, signal.SIGTERM)})
        got = self.json()
        self.assertEqual((got['status'], got['exit_code']), ('interrupted', 75))
        self.assertIn('the same command continues', got['error'])
        self.assertEqual([kind for _n, kind in self.junit()], ['error', 'skipped'])

    def test_a_kill_leaves_no_result_of_another(self):
        self.run_it(0)
        seen = lambda: os.path.exists(self.path('m/metrics.jsonl'))  # noqa: E731
        self.run_it(-9, model_dir='m', override='trainer.train_steps=1000000',
                    run_how={'stop_when': (seen, signal.SIGKILL)})
        self.assertEqual(os.listdir(self.path('r')), [])

    def test_standard_output(self):
        result = self.train(more=['--result_json=-'])
        self.assertEqual(json.loads(result.stdout)['exit_code'], 0)

    def test_text_that_xml_and_markdown_would_read(self):
        result = self.run_it(None, model_dir='a<b>&"|*\x01\udce9', override='task.train_data.input_path=<|>')
        self.assertNotEqual(result.code, 0)
        self.assertEqual([kind for _n, kind in self.junit()], ['error'])
        self.assertIn('\\<', self.markdown())

    def test_the_table_at_the_end(self):
        result = self.train(model_dir="it's here")
        text = result.stderr[result.stderr.index('finished at step 20'):]
        self.assertRegex(text, r'value +step 20 +best, step \d+\n')
        self.assertRegex(text, r'cls_accuracy +[\d.]+ +[\d.]+\n')
        self.assertIn("checkpoint  it's here/ckpt-20\n", text)
        command = re.search(r"  (bert-train --mode=eval .*) --eval=FILE ", text).group(1)
        self.assertNotIn('bert-train predict ', text)  # it was trained on tokens
        # what it says can be done
        words = re.sub(r"'\\''", "\x00", command).replace("'", '').replace('\x00', "'")
        self.assertEqual(words, "bert-train --mode=eval --model_dir=it's here --checkpoint=best")
        e2e.run(['--mode=eval', "--model_dir=it's here", '--checkpoint=best', '--eval=eval.tf_record'],
                cwd=self.folder)


LABELS = r'experiment="[^"]+",mode="[^"]+",model_dir="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r'(bert_train_[a-z_]+)\{(' + LABELS + r')(?:,name="([a-z0-9_@]+)")?\} (\S+)')


def read_gauges(path):
    """{(metric, name): value} of a file in Prometheus' text format, which must be as it asks."""
    with open(path, encoding='utf-8') as source:
        text = source.read()
    assert text.endswith('\n')
    values, known = {}, []
    for line in text.splitlines():
        if line.startswith('# HELP '):
            known.append(line.split()[2])
        elif line.startswith('# TYPE '):
            assert line == '# TYPE %s gauge' % known[-1], line
        else:
            metric, _labels, name, value = SAMPLE.fullmatch(line).groups()
            assert metric == known[-1] and (metric, name) not in values, line
            values[metric[len('bert_train_'):], name] = float(value)
    assert len(set(known)) == len(known)
    return values


class Prometheus(e2e.Case):
    def test_the_state_at_the_end(self):
        self.train(model_dir='a "dir"\\', more=['--prometheus_file=p/run.prom'])
        got = read_gauges(self.path('p/run.prom'))
        records = e2e.read_jsonl(self.path('a "dir"\\'))
        self.assertEqual(got['running', None], 0)
        self.assertEqual(got['exit_code', None], 0)
        self.assertEqual((got['step', None], got['train_steps', None], got['evaluation_step', None]), (20, 20, 20))
        for metric, kind in (('training', 'train'), ('evaluation', 'validation')):
            record = [r for r in records if r['kind'] == kind][-1]
            for name in [name for m, name in got if m == metric]:
                self.assertAlmostEqual(got[metric, name], record[name], places=6)
            self.assertGreater(len([name for m, name in got if m == metric]), 4)
        self.assertEqual(os.listdir(self.path('p')), ['run.prom'])

    def test_while_it_runs(self):
        path = self.path('run.prom')
        seen = lambda: os.path.exists(path) and ('evaluation_step', None) in read_gauges(path)  # noqa: E731
        self.train(expect=75, more=['--prometheus_file=run.prom'], override='trainer.train_steps=1000000',
                   run_how={'stop_when': (seen, signal.SIGTERM)})
        got = read_gauges(path)
        self.assertEqual((got['running', None], got['exit_code', None]), (0, 75))
        self.train(expect=-9, model_dir='m', more=['--prometheus_file=run.prom'],
                   override='trainer.train_steps=1000000',
                   run_how={'stop_when': (lambda: os.path.exists(self.path('m/metrics.jsonl')), signal.SIGKILL)})
        got = read_gauges(path)
        self.assertEqual((got['running', None], ('exit_code', None) in got), (1, False))

    def test_refused(self):
        for path in ('train.tf_record', 'out/params.yaml', 'gs://bucket/x.prom'):
            self.train(expect=2, more=['--prometheus_file=' + path])
        self.train(expect=2, more=['--prometheus_file=a', '--result_json=a'])
        self.train(expect=2, mode='predict', more=['--prometheus_file=a'])
        self.assertFalse(os.path.exists(self.path('out')))

    def test_a_place_that_goes_away(self):
        """It is told once, and ends nothing."""
        def gone():
            if os.path.exists(self.path('p/run.prom')):
                shutil.rmtree(self.path('p'), ignore_errors=True)
            if not os.path.exists(self.path('out/metrics.jsonl')) or os.path.exists(self.path('p')):
                return False
            with open(self.path('out/metrics.jsonl'), encoding='utf-8') as source:
                return source.read().count('"validation"') > 3
        result = self.train(expect=75, more=['--prometheus_file=p/run.prom'],
                            override='trainer.train_steps=1000000', run_how={'stop_when': (gone, signal.SIGTERM)})
        self.assertEqual(result.stderr.count('warning: --prometheus_file: '), 1, result)


if __name__ == '__main__':
    e2e.main()
