# SPDX-License-Identifier: Apache-2.0
"""The ONNX files of models of every kind and precision, without ONNX: each is whole and well formed, and what it computes
is what ONNX Runtime was shown to compute as the engine here does: the digests in tests/goldens/onnx/judged.json are of
files that onnx.checker and ONNX Runtime took (tests/make_goldens/make_onnx_judged.py; the ecosystem test
onnx_models.py runs them anew)."""
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

from onnx_reader import Model, SavedModel

SOURCE = os.environ['BT_SOURCE_DIR']
PROGRAM = sys.argv.pop(1)
PRECISIONS = ('float32', 'float16', 'int8')
BATCH, SEQUENCE = 'batch_size', 'sequence_length'


def write_cases(folder, *options):
    done = subprocess.run([PROGRAM, folder, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


class OnnxFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.split = tempfile.TemporaryDirectory()
        write_cases(cls.folder.name)
        write_cases(cls.split.name, '1')
        cls.names = sorted(os.listdir(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()
        cls.split.cleanup()

    def models(self, *folders):
        for folder in folders or (self.folder.name,):
            for name in self.names:
                for precision in PRECISIONS:
                    yield name, precision, Model(os.path.join(folder, name, precision, 'model.onnx'))

    def test_judged(self):
        with open(os.path.join(SOURCE, 'tests/goldens/onnx/judged.json'), encoding='utf-8') as golden:
            judged = json.load(golden)['digests']
        ours = {name + '/' + precision: model.digest() for name, precision, model in self.models()}
        self.assertEqual(ours, judged, 'what is written has changed: tests/make_goldens/make_onnx_judged.py asks ONNX '
                                       'Runtime whether it still computes what it should')

    def test_whole(self):
        for name, precision, model in self.models(self.folder.name, self.split.name):
            with self.subTest(name + '/' + precision):
                known = {name for name, _ in model.inputs}
                for tensor in model.tensors:
                    self.assertNotIn(tensor.name, known)
                    self.assertEqual(len(tensor.raw), tensor.n_bytes(), tensor.name)
                    known.add(tensor.name)
                for node in model.nodes: # in an order in which they can be computed, each value once
                    self.assertEqual([i for i in node.inputs if i not in known], [], node.name)
                    self.assertEqual([o for o in node.outputs if o in known], [], node.name)
                    known.update(node.outputs)
                self.assertEqual([o for o, _ in model.outputs if o not in known], [])
                used = {i for node in model.nodes for i in node.inputs} | {o for o, _ in model.outputs}
                self.assertEqual([t.name for t in model.tensors if t.name not in used], [])
                self.assertEqual(model.opsets, [('', 17)])
                self.assertEqual(model.facts, {'task': 'a test', 'labels': '["no","yes"]'})

    def test_names(self):
        names = {'sentence': [('logits', [BATCH, 3])], 'regression': [('logits', [BATCH, 1])],
                 'tags': [('logits', [BATCH, SEQUENCE, 5])],
                 'span': [('start_logits', [BATCH, SEQUENCE]), ('end_logits', [BATCH, SEQUENCE])],
                 'vector_mean': [('last_hidden_state', [BATCH, SEQUENCE, 16]), ('sentence_embedding', [BATCH, 16])],
                 'vector_pooler': [('last_hidden_state', [BATCH, SEQUENCE, 16]), ('pooler_output', [BATCH, 16]),
                                   ('sentence_embedding', [BATCH, 16])]}
        for name, precision, model in self.models():
            self.assertEqual(model.inputs, [(i, [BATCH, SEQUENCE])
                                            for i in ('input_ids', 'attention_mask', 'token_type_ids')])
            self.assertEqual(model.outputs, names.get(name, model.outputs))

    def test_second_file(self):
        for name, precision, model in self.models(self.split.name):
            with self.subTest(name + '/' + precision):
                outside = [t for t in model.tensors if t.place]
                self.assertTrue(outside)
                self.assertTrue(all(t.place['location'] == 'model.onnx_data' and int(t.place['offset']) % 4096 == 0
                                    for t in outside))
                end = max(int(t.place['offset']) + t.n_bytes() for t in outside)
                self.assertEqual(os.path.getsize(model.path + '_data'), end)
                whole = Model(os.path.join(self.folder.name, name, precision, 'model.onnx'))
                self.assertEqual([t.raw for t in model.tensors], [t.raw for t in whole.tensors])

    def test_precisions(self):
        for name, precision, model in self.models():
            kinds = {t.name: t.type for t in model.tensors}
            word = {'float32': 'float32', 'float16': 'float16', 'int8': 'int8'}[precision]
            self.assertEqual(kinds['word_embeddings/embeddings'], word)
            kernel = {'float32': 'float32', 'float16': 'float16', 'int8': 'uint8'}[precision]
            query = [kind for key, kind in kinds.items() if key.endswith('query/kernel')]
            self.assertEqual(set(query), {kernel})
            self.assertEqual(len(query), 1 if 'albert' in name or name == 'vector_max' else 3) # shared layers
            norms = [kind for key, kind in kinds.items() if key.endswith(('gamma', 'beta', 'bias'))]
            self.assertEqual(set(norms), {'float32'})

    def saved(self):
        for name in self.names:
            yield name, SavedModel(os.path.join(self.folder.name, name, 'float32/1/saved_model.pb'))

    def test_saved_models_are_judged(self):
        with open(os.path.join(SOURCE, 'tests/goldens/onnx/served.json'), encoding='utf-8') as golden:
            judged = json.load(golden)['digests']
        self.assertEqual({name: model.digest() for name, model in self.saved()}, judged,
                         'what is written has changed: tests/tensorflow/serve_models.py --golden asks TensorFlow whether it '
                         'still computes what it should')

    def test_saved_models_are_whole(self):
        sizes = {'float32': 4, 'int32': 4, 'int64': 8}
        for name, model in self.saved():
            with self.subTest(name):
                known = set()
                for node in model.nodes:
                    self.assertRegex(node.name, r'^[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*$')
                    self.assertNotIn(node.name, known)
                    self.assertEqual([i for i in node.inputs if i not in known], [], node.name)
                    known.add(node.name)
                    if node.op == 'Const':
                        kind, dims, content = node.constant()
                        self.assertEqual(len(content), sizes[kind] * math.prod(dims), node.name)
                self.assertEqual((model.schema, model.tags, model.signature, model.method),
                                 (1, ['serve'], 'serving_default', 'tensorflow/serving/predict'))
                onnx = Model(os.path.join(self.folder.name, name, 'float32/model.onnx'))
                self.assertEqual(model.inputs, {i: i + ':0' for i, _ in onnx.inputs})
                self.assertEqual(model.outputs, {o: o + ':0' for o, _ in onnx.outputs})
                self.assertLessEqual({t.name for t in onnx.tensors if '/' in t.name}, known)


if __name__ == '__main__':
    unittest.main(verbosity=2)
