# SPDX-License-Identifier: Apache-2.0
"""--mode=export --export_format=onnx and saved_model through the program: which files there are, what the model says of
itself, what its precision costs, what is refused. (What it computes: tests/unit/export/onnx_files.py, and the real ONNX
Runtime and TensorFlow in tests/ecosystem and tests/tensorflow.)"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, 'support'), os.path.join(HERE, '../unit/export')]
import e2e  # noqa: E402
from export import CONFIG, DATA, Export, HF  # noqa: E402
from onnx_reader import Model, SavedModel  # noqa: E402

FILES = sorted([name for name in HF if name != 'model.safetensors'] + ['model.onnx'])


class Onnx(Export):
    def precision(self, name, *more, **how):
        return self.export('onnx', name, '--export_precision=' + name, *more, **how)

    def costs(self, result, name):
        """{metric: (in float32, as exported)}"""
        found = re.findall(r'^bert-train: (\w+) on the validation data: (\S+) in float32, (\S+) in %s \(\S+\)$' % name,
                           result.stderr, re.M)
        return {metric: (float(exact), float(rounded)) for metric, exact, rounded in found}

    def test_files_and_what_they_say(self):
        self.train()
        self.export('onnx')
        self.assertEqual(sorted(os.listdir(self.path('out'))), FILES)
        model = Model(self.path('out/model.onnx'))
        self.assertEqual(model.outputs, [('logits', ['batch_size', 2])])
        facts = dict(model.facts)
        self.assertRegex(facts.pop('made_by'), r'^bert-train \d')
        self.assertEqual(facts, {'task': 'text-classification', 'labels': '["bad", "good"]', 'precision': 'float32',
                                 'max_length': '96', 'experiment': 'bert/sentence_prediction', 'checkpoint': 'ckpt-3',
                                 'step': '3', 'weights': 'as trained'})
        self.export('hf', 'hf')
        for name in FILES:
            if name not in ('model.onnx', 'README.md'):
                self.assertEqual(self.text('out', name), self.text('hf', name))
        self.assertIn('onnxruntime.InferenceSession("FOLDER/model.onnx")', self.text('out/README.md'))
        self.export('saved_model', 'served')
        self.assertEqual(sorted(os.listdir(self.path('served'))),
                         sorted(['1'] + [name for name in FILES if name != 'model.onnx']))
        self.assertEqual(os.listdir(self.path('served/1')), ['saved_model.pb'])
        self.assertEqual(SavedModel(self.path('served/1/saved_model.pb')).outputs, {'logits': 'logits:0'})

    def test_what_a_precision_costs(self):
        self.train()
        known = [r for r in e2e.read_jsonl(self.path('run')) if r['kind'] == 'validation'][-1]
        for name in ('float16', 'int8'):
            costs = self.costs(self.precision(name), name)
            self.assertLessEqual({'cls_accuracy', 'validation_loss'}, set(costs))
            for metric, (exact, rounded) in costs.items():
                self.assertAlmostEqual(exact, known[metric], delta=1e-5)
                self.assertAlmostEqual(exact, rounded, delta=0.2)
            facts = Model(self.path(name, 'model.onnx')).facts
            self.assertEqual(facts['precision'], name)
            said = json.loads(facts['evaluation'])
            for metric, (exact, rounded) in costs.items():
                self.assertAlmostEqual(said['float32'][metric], exact, delta=1e-5)
                self.assertAlmostEqual(said[name][metric], rounded, delta=1e-5)
            self.assertNotEqual(said['float32']['validation_loss'], said[name]['validation_loss'])
            self.assertIn('| cls_accuracy |', self.text(name, 'README.md'))
        # other rows: one that the run did not see, with a label that it has
        self.write('other.tsv', 'sentence1\tlabel\tsentence2\nthe cat\tbad\ta dog\n')
        costs = self.costs(self.export('onnx', 'other', '--export_precision=int8', '--eval=other.tsv'), 'int8')
        self.assertIn(costs['cls_accuracy'], ((0, 0), (1, 1)))

    def test_without_data_nothing_is_measured(self):
        self.train()
        before = e2e.read_tree(self.path('run'))
        result = self.export('onnx', 'a', '--export_precision=int8', "--params_override=task.validation_data.input_path=''")
        self.assertIn('what int8 costs was not measured: the run has no validation data', result.stderr)
        os.remove(self.path('rows.tsv'))
        result = self.precision('int8')
        self.assertIn('what int8 costs was not measured, the validation data cannot be read: ', result.stderr)
        self.assertIn('rows.tsv', result.stderr)
        self.assertEqual(self.costs(result, 'int8'), {})
        self.assertNotIn('evaluation', Model(self.path('int8/model.onnx')).facts)
        self.assertEqual(e2e.read_tree(self.path('run')), before)

    def test_models_that_transformers_has_not(self):
        keys = (',task.model.encoder.type=bert,task.model.encoder.bert.num_layers=1,task.model.encoder.bert.hidden_size=8,'
                'task.model.encoder.bert.num_attention_heads=2,task.model.encoder.bert.intermediate_size=16,'
                'task.model.encoder.bert.vocab_size=60,task.model.encoder.bert.norm_first=true')
        self.go('--experiment=bert/sentence_prediction', '--mode=train', '--model_dir=run', '--train=rows.tsv',
                '--params_override=trainer.train_steps=2,trainer.checkpoint_interval=2,'
                'task.train_data.global_batch_size=4,task.train_data.vocab_file=weights/vocab.txt' + keys)
        result = self.export('onnx')
        self.assertIn('config.json is left out: task.model.encoder.*.norm_first is true', result.stderr)
        self.assertEqual(sorted(os.listdir(self.path('out'))), [name for name in FILES if name != 'config.json'])

    def test_refused(self):
        self.train()
        for form, name, text in (('onnx', 'int4', "--export_precision=int4: expected one of 'float32', 'float16', 'int8'"),
                                 ('hf', 'int8', '--export_precision=int8: --export_format=hf keeps float32'),
                                 ('saved_model', 'float16', '--export_format=saved_model keeps float32')):
            for more in ((), ('--dry_run',)):
                result = self.export(form, 'out', '--export_precision=' + name, *more, expect=CONFIG)
                self.assertIn(text, self.one_error(result))
        result = self.precision('int8', '--eval=none.tsv', expect=DATA)
        self.assertIn('none.tsv: no such file', self.one_error(result))
        result = self.go('--mode=eval', '--model_dir=run', '--export_precision=int8', expect=CONFIG)
        self.assertIn('--export_precision=int8 is for --mode=export', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')) or os.path.exists(self.path('int8')))


if __name__ == '__main__':
    e2e.main()
