# SPDX-License-Identifier: Apache-2.0
"""runtime.precision=int8: an evaluation tells and records the metrics in float32 and in 8 bits, a prediction how far the
first rows' results move, for each task; the numbers are near float32's and the same for any number of threads; and
where nothing is computed in 8 bits it is refused."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

INT8 = 'runtime.precision=int8'
METRIC = {'sentence': 'cls_accuracy', 'squad': 'final_f1', 'tagging': 'f1', 'pairs': 'validation_loss'}
MEANT = {'sentence': 'a probability', 'squad': 'a score', 'tagging': 'a probability', 'pairs': 'the cosine'}
COST = r'^bert-train: %s on the validation data: (\S+) in %s, (\S+) in int8 \((\S+)\)$'


def setUpModule():
    """One run of each task, which the tests only read."""
    Int8.models = e2e.tempfile.mkdtemp(prefix='bt-int8-')
    jobs.make(Int8.models)
    for task in jobs.TASKS:
        trained = e2e.run(jobs.args(task, task, 'trainer.train_steps=20', 'train'), cwd=Int8.models)
        assert trained.code == 0, str(trained)


def tearDownModule():
    e2e.shutil.rmtree(Int8.models)


class Int8(e2e.Case):
    models = ''

    def start(self, task, mode, override=INT8, code=0, more=()):
        done = e2e.run(jobs.args(task, task, override, mode, more), cwd=self.models)
        self.assertEqual(done.code, code, str(done))
        return done

    def cost(self, told, metric, exact='float32'):
        found = re.findall(COST % (re.escape(metric), exact), told.stderr, re.M)
        self.assertEqual(len(found), 1, told.stderr)
        return [float(x) for x in found[0]]

    def evaluated(self, task):
        records = e2e.read_jsonl(os.path.join(self.models, task))
        return [record for record in records if record['kind'] == 'validation'][-1]

    def test_evaluations_tell_both(self):
        for task in jobs.TASKS:
            self.start(task, 'eval', '')
            exact = self.evaluated(task)
            told = self.start(task, 'eval', more=['--result_json=result.json'])
            record = self.evaluated(task)
            self.assertIn(': the encoder\'s weights take ', told.stderr)
            for name in (METRIC[task], 'validation_loss'):
                if name not in exact:
                    continue
                float32, int8, lost = self.cost(told, name)
                self.assertEqual(record['float32/' + name], exact[name], task)
                self.assertAlmostEqual(float32, exact[name], delta=1e-5 * abs(exact[name]))
                self.assertAlmostEqual(int8, record[name], delta=1e-5 * abs(record[name]) + 1e-9)
                self.assertAlmostEqual(int8 - float32, lost, delta=1e-3 * (1 + abs(float32)))
            with open(os.path.join(self.models, 'result.json'), encoding='utf-8') as result:
                self.assertIn('float32/' + METRIC[task], result.read())
            if 'validation_loss' in exact:
                self.assertNotEqual(record['validation_loss'], exact['validation_loss'])
                self.assertAlmostEqual(record['validation_loss'], exact['validation_loss'], delta=0.05)
            self.assertFalse(any('best' in name for name in record), 'it decides no best checkpoint')

    def test_without_a_comparison(self):
        """The same values in 8 bits, and none in floats: not told, not recorded, no limit of --fail_below."""
        alone = INT8 + ',runtime.precision_compared=false'
        for task in jobs.TASKS:
            self.start(task, 'eval')
            both = self.evaluated(task)
            told = self.start(task, 'eval', alone)
            record = self.evaluated(task)
            self.assertIn(': the encoder\'s weights take ', told.stderr)
            self.assertIn(', in the encoder int8; seed', told.stderr)
            for word in ('then in the encoder', 'evaluating in float32 first', 'in int8 (', 'float32/'):
                self.assertNotIn(word, told.stderr)
            self.assertEqual([name for name in record if name.startswith('float32/')], [])
            self.assertEqual(record[METRIC[task]], both[METRIC[task]])
            self.assertEqual(record['computed_in'], both['computed_in'])
            usual, _told = self.predictions(task, INT8)
            rows, told = self.predictions(task, alone)
            self.assertEqual(rows, usual, task)
            self.assertNotIn('int8 beside float32', told)
        told = self.start('sentence', 'eval', alone, code=2, more=['--fail_below=float32/cls_accuracy=0'])
        self.assertIn('float32/cls_accuracy', told.stderr)
        asked = [e2e.program(), 'predict', '--model_dir=sentence', '--top_k=0', '--params_override=']
        lines = [subprocess.run(asked[:-1] + [asked[-1] + keys], cwd=self.models, input=b'das bin\n', check=True,
                                capture_output=True, timeout=e2e.TIMEOUT).stdout for keys in (INT8, alone)]
        self.assertEqual(lines[0], lines[1])

    def test_beside_bfloat16(self):
        told = self.start('sentence', 'eval', INT8 + ',runtime.mixed_precision_dtype=bfloat16')
        self.cost(told, 'cls_accuracy', 'bfloat16')

    def predictions(self, task, override):
        name = {'squad': 'answers', 'pairs': 'vectors.npy'}.get(task, 'out.jsonl')
        path = self.path(name)
        told = self.start(task, 'predict', override, more=['--output_path=' + path])
        if task == 'pairs':  # which are near to each other the BLAS decides, and rounds otherwise with more threads
            path = os.path.join(self.models, task, 'left_vectors.npy')
        path = os.path.join(path, 'nbest_predictions.json') if task == 'squad' else path
        with open(path, 'rb') as source:
            return source.read(), told.stderr

    def test_predictions_of_each_task(self):
        for task in jobs.TASKS:
            exact, told = self.predictions(task, '')
            self.assertNotIn('int8', told)
            one, told = self.predictions(task, INT8)
            self.assertRegex(told, 'int8 beside float32, on the first [0-9]+ rows: the largest difference of %s'
                             % MEANT[task])
            self.assertNotEqual(one, exact)
            three, told = self.predictions(task, INT8 + ',runtime.threads=3')
            self.assertEqual(one, three, task)

    def test_instruction_sets_agree(self):
        """The products have the same bits, what is between them is rounded otherwise."""
        rows = []
        for isa in e2e.instruction_sets():
            text, _told = self.predictions('sentence', INT8 + ',runtime.isa=' + isa)
            rows.append([list(json.loads(line)['probabilities'].values()) for line in text.splitlines()])
        for other in rows[1:]:
            for a, b in zip(rows[0], other):
                self.assertAlmostEqual(a[0], b[0], delta=1e-3)

    def test_a_filter_tells_with_its_first_rows(self):
        lines = ''.join('das bin\n' for _ in range(5)).encode()
        asked = [e2e.program(), 'predict', '--model_dir=sentence', '--batch_size=2', '--top_k=0']
        told = subprocess.run(asked + ['--params_override=' + INT8], cwd=self.models, input=lines, check=True,
                              capture_output=True, timeout=e2e.TIMEOUT)
        self.assertEqual(told.stdout.count(b'\n'), 5)
        self.assertEqual(told.stderr.count(b'int8 beside float32, on the first 2 rows'), 1, told.stderr)
        plain = subprocess.run(asked, cwd=self.models, input=lines, check=True, capture_output=True,
                               timeout=e2e.TIMEOUT)
        self.assertNotEqual(plain.stdout, told.stdout)
        self.assertEqual(len(set(told.stdout.splitlines())), 1)

    def test_refusals(self):
        rows = [(mode, '', r"mode '%s' is none that computes in 8 bits: eval and predict do" % mode) for mode in (
            'train', 'train_and_eval', 'train_and_post_eval', 'continuous_eval', 'continuous_train_and_eval')]
        for mode in ('eval', 'predict'):
            rows += [(mode, ',runtime.mixed_precision_dtype=float16', 'not in float16'),
                     (mode, ',runtime.num_gpus=1', 'devices compute in what runtime.mixed_precision_dtype says'),
                     (mode, ',runtime.distribution_strategy=tpu', 'devices compute in what'),
                     (mode, ',runtime.pjrt_plugin=/nowhere.so', 'devices compute in what'),
                     (mode, '4', "'int84'")]
        for mode in ('eval', 'predict', 'train'):
            told = self.start('sentence', mode, 'runtime.precision_compared=false', code=2, more=['--dry_run'])
            self.assertIn('nothing is computed in 8 bits: set runtime.precision to int8', self.one_error(told))
        for task in jobs.TASKS:
            for mode, more, why in rows:
                told = self.start(task, mode, INT8 + more, code=2, more=['--dry_run'])
                self.assertRegex(self.one_error(told), why)
                self.assertIn('runtime.precision', told.stderr)
            told = e2e.run(['--mode=export', '--model_dir=' + task, '--export_format=onnx', '--params_override=' + INT8,
                            '--output_path=' + self.path('onnx')], cwd=self.models)
            self.assertEqual(told.code, 2, str(told))
            self.assertIn('--export_precision', self.one_error(told))
            self.assertFalse(os.path.exists(self.path('onnx')))
        for more, why in ((['--benchmark'], '--benchmark measures the steps of a training'), (['--seeds=1,2'], '--seeds trains'),
                          (['--compile_only=h100'], 'leave runtime.precision out')):
            self.assertIn(why, self.one_error(self.start('sentence', 'eval', code=2, more=more)))

    def test_what_it_goes_with(self):
        """Keys that say how the rest is computed are obeyed: the words name both, the numbers are those of 8 bits."""
        self.start('sentence', 'eval')
        usual = self.evaluated('sentence')
        for keys, word in (('runtime.isa=ref', ', ref, '), ('runtime.matmul=blas', 'BLAS'), ('runtime.distribution_strategy=mirrored', 'float32'),
                           ('runtime.distribution_strategy=multi_worker_mirrored', 'float32'), ('runtime.recompute=true', 'float32'),
                           ('trainer.gradient_accumulation_steps=2', 'float32'), ('runtime.threads=9', '9 threads')):
            told = self.start('sentence', 'eval', INT8 + ',' + keys, more=['--result_json=with.json'])
            self.assertIn(word, next(line for line in told.stderr.splitlines() if ', then in the encoder int8' in line))
            with open(os.path.join(self.models, 'with.json'), encoding='utf-8') as result:
                got = json.load(result)
            self.assertIn('matmul: int8', got['machine']['engine'])
            for name in ('validation_loss', 'float32/validation_loss'):
                self.assertAlmostEqual(got['values'][name], usual[name], delta=1e-4)

    def test_the_run_tells_its_precision(self):
        """Before, in the file of the result and in the records: the numbers there are those of 8 bits."""
        told = self.start('sentence', 'eval', more=['--result_json=engine.json'])
        self.assertRegex(told.stderr, r'matmul: float32[^;\n]*, then in the encoder int8; seed ')
        with open(os.path.join(self.models, 'engine.json'), encoding='utf-8') as result:
            self.assertRegex(json.load(result)['machine']['engine'], r'matmul: int8[^,]* in the encoder, elsewhere float32')
        self.assertEqual(self.evaluated('sentence')['computed_in'], 'int8')
        told = self.start('sentence', 'eval', '', more=['--result_json=engine.json'])
        self.assertNotIn('int8', told.stderr)
        with open(os.path.join(self.models, 'engine.json'), encoding='utf-8') as result:
            self.assertNotIn('int8', json.load(result)['machine']['engine'])
        self.assertIn('then in the encoder int8', self.start('sentence', 'predict', more=['--dry_run']).stderr)

    def test_limits_of_what_it_tells(self):
        """Also of the metrics in float32, which have no best checkpoint; what cannot be is refused before any work."""
        self.start('sentence', 'eval', more=['--fail_below=float32/cls_accuracy=0,cls_accuracy=0'])
        told = self.start('sentence', 'eval', code=8, more=['--fail_below=float32/cls_accuracy=1.5'])
        self.assertIn('float32/cls_accuracy', told.stderr)
        records = len(e2e.read_jsonl(os.path.join(self.models, 'sentence')))
        for override, name, why in ((INT8, 'best_cls_accuracy', 'ends without a value'),
                                    (INT8, 'float32/best_cls_accuracy', 'ends without a value'),
                                    (INT8, 'float32/cls_acuracy', "did you mean 'float32/cls_accuracy'"),
                                    (INT8, 'bfloat16/cls_accuracy', 'metrics before runtime.precision have float32/ before them'),
                                    ('', 'float32/cls_accuracy', 'ends without a value'),
                                    (INT8 + ',runtime.mixed_precision_dtype=bfloat16', 'float32/cls_accuracy', 'bfloat16/')):
            told = self.start('sentence', 'eval', override, code=2, more=['--fail_below=%s=0' % name])
            self.assertIn(why, told.stderr)
        self.assertEqual(len(e2e.read_jsonl(os.path.join(self.models, 'sentence'))), records)
        self.start('sentence', 'eval', INT8 + ',runtime.mixed_precision_dtype=bfloat16', more=['--fail_below=bfloat16/cls_accuracy=0'])

    def test_as_many_metrics_as_there_may_be(self):
        """Each has its value in float32 beside it, long names of classes too."""
        names = ['class %d of a very long name that is' % i for i in range(20)]
        kinds = ('precision/', 'recall/', 'f1/', 'average_precision/', 'roc_auc/')
        keys = 'task.model.num_classes=20,task.label_names=%s,task.metrics=%s' % (json.dumps(names), json.dumps([kind + '*' for kind in kinds]))
        folder = self.path('many')
        trained = e2e.run(jobs.args('sentence', folder, keys + ',trainer.train_steps=5', 'train'), cwd=self.models)
        self.assertEqual(trained.code, 0, str(trained))
        told = e2e.run(jobs.args('sentence', folder, keys + ',' + INT8, 'eval', ['--result_json=many.json']), cwd=self.models)
        self.assertEqual(told.code, 0, str(told))
        with open(os.path.join(self.models, 'many.json'), encoding='utf-8') as result:
            values = json.load(result)['values']
        of_classes = [name for name in values if name.startswith(kinds)]
        self.assertEqual(len(of_classes), 100)
        self.assertEqual([name for name in of_classes if 'float32/' + name not in values], [])


if __name__ == '__main__':
    e2e.main()
