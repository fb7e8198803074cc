# SPDX-License-Identifier: Apache-2.0
"""Folders that sentence-transformers wrote (tests/make_goldens/make_sentence_vectors.py): their own
vectors to 1e-5, by what lies beside the weights; what contradicts it; what is not computed; and
training goes on from there."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
from pairs import read_vectors  # noqa: E402

MODEL = """\
task:
  model:
    encoder:
      type: bert
      bert: {hidden_size: 8, intermediate_size: 12, max_position_embeddings: 24, type_vocab_size: 2,
             num_attention_heads: 2, num_layers: 2, vocab_size: 22, hidden_activation: gelu_erf}
  train_data: {file_type: lines, global_batch_size: 2}
  validation_data: {file_type: lines, global_batch_size: 2, input_path: sentences.txt,
                    vocab_file: %s/vocab.txt}
  init_checkpoint: %s
trainer: {train_steps: 2, checkpoint_interval: 2, steps_per_loop: 2}
"""
# up to sentence-transformers 5, a key a mode
OLD_KEYS = {'cls': 'pooling_mode_cls_token', 'mean': 'pooling_mode_mean_tokens',
            'max': 'pooling_mode_max_tokens', 'sqrt': 'pooling_mode_mean_sqrt_len_tokens',
            'weightedmean': 'pooling_mode_weightedmean_tokens', 'last': 'pooling_mode_lasttoken'}


class SentenceVectors(e2e.Case):
    def setUp(self):
        super().setUp()
        self.golden = e2e.golden('hf_sentences')
        with open(os.path.join(self.golden, 'vectors.json'), encoding='utf-8') as source:
            self.wanted = json.load(source)
        shutil.copy(os.path.join(self.golden, 'sentences.txt'), self.path('sentences.txt'))

    def take(self, name):
        shutil.copytree(os.path.join(self.golden, name), self.path(name), dirs_exist_ok=True)
        self.write('model.yaml', MODEL % (name, name))

    def predict(self, override='', expect=0, model_dir='x'):
        result = e2e.run(['--experiment=bert/dual_encoder', '--mode=predict',
                          '--model_dir=' + model_dir, '--config_file=model.yaml',
                          '--params_override=' + override], cwd=self.path())
        self.assertEqual(result.code, expect, str(result))
        return result

    def compare(self, name, model_dir='x'):
        got = read_vectors(self.path(model_dir, 'vectors.npy'))
        self.assertEqual(len(got), len(self.wanted[name]))
        for row, want in zip(got, self.wanted[name]):
            for a, b in zip(row, want):
                self.assertLess(abs(a - b), 1e-5, name)

    def set_pooling(self, name, **keys):
        self.write(os.path.join(name, '1_Pooling', 'config.json'), json.dumps(keys))

    def test_their_own_vectors(self):
        for name in self.wanted:
            self.take(name)
            self.predict(model_dir=name + '-out')
            self.compare(name, name + '-out')

    def test_lower_case_before_the_tokenizer(self):
        self.take('lowered')
        result = self.predict()
        self.compare('lowered')
        self.assertIn('task.validation_data.lower_case is true, as do_lower_case of '
                      'sentence_bert_config.json beside lowered/', result.stderr)
        result = self.predict('task.validation_data.lower_case=false', model_dir='cased')
        self.assertIn('task.validation_data.lower_case (--params_override', result.stderr)
        self.assertIn('is false, but do_lower_case', result.stderr)
        with self.assertRaises(AssertionError):
            self.compare('lowered', 'cased')

    def test_keys_of_older_versions(self):
        for name in ('mean', 'cls', 'max'):
            self.take(name)
            modes = {key: key == OLD_KEYS[name] for key in OLD_KEYS.values()}
            self.set_pooling(name, word_embedding_dimension=8, **modes)
            self.predict(model_dir=name + '-out')
            self.compare(name, name + '-out')

    def test_without_the_files_nothing_is_known(self):
        self.take('mean_raw')
        os.remove(self.path('mean_raw', 'modules.json'))
        shutil.rmtree(self.path('mean_raw', '1_Pooling'))
        self.predict('task.model.pooling=mean,task.model.normalize=false,'
                     'task.model.max_sequence_length=24,task.train_data.seq_length=24,'
                     'task.validation_data.seq_length=24')
        self.compare('mean_raw')

    def test_weights_in_a_folder_of_their_own(self):
        self.take('mean')
        os.mkdir(self.path('mean', '0_Transformer'))
        for name in ('model.safetensors', 'config.json', 'tokenizer_config.json',
                     'sentence_bert_config.json'):
            os.rename(self.path('mean', name), self.path('mean', '0_Transformer', name))
        self.predict('task.init_checkpoint=mean/0_Transformer')
        self.compare('mean')

    def test_contradictions(self):
        self.take('mean')
        for word in ('pooler', 'cls', 'max'):
            text = self.one_error(self.predict('task.model.pooling=' + word, expect=2))
            self.assertIn("'%s'" % word, text)
            self.assertIn("'mean'", text)
            self.assertIn('1_Pooling/config.json', text)
        self.predict('task.model.pooling=mean')
        self.compare('mean')
        result = self.predict('task.model.normalize=false', model_dir='raw')
        self.assertIn('the key wins', str(result))

    def test_what_is_not_computed(self):
        self.take('mean')
        for word, keys in (('mean_sqrt_len_tokens', {OLD_KEYS['sqrt']: True}),
                           ('weightedmean', {OLD_KEYS['weightedmean']: True}),
                           ('lasttoken', {OLD_KEYS['last']: True}),
                           ('lasttoken', {'pooling_mode': 'lasttoken'}),
                           ('several poolings', {OLD_KEYS['cls']: True, OLD_KEYS['max']: True}),
                           ('several poolings', {'pooling_mode': ['mean', 'max']}),
                           ('names no pooling', {'word_embedding_dimension': 8})):
            self.set_pooling('mean', **keys)
            result = e2e.run(['--experiment=bert/dual_encoder', '--mode=predict', '--model_dir=x',
                              '--config_file=model.yaml'], cwd=self.path())
            self.assertIn(result.code, (2, 3), str(result))
            self.assertIn(word, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('x', 'vectors.npy')))
        self.take('mean')
        with open(self.path('mean', 'modules.json'), encoding='utf-8') as source:
            modules = json.load(source)
        modules.append({'idx': 3, 'name': '3', 'path': '3_Dense',
                        'type': 'sentence_transformers.models.Dense'})
        self.write('mean/modules.json', json.dumps(modules))
        result = self.predict(expect=2)
        self.assertIn("'Dense'", self.one_error(result))
        self.take('mean')
        self.write('mean/config_sentence_transformers.json', json.dumps(
            {'prompts': {'query': 'search: '}, 'default_prompt_name': 'query'}))
        self.assertIn("'search: '", self.one_error(self.predict(expect=2)))

    def test_training_goes_on_from_there(self):
        self.take('mean')
        more = ('task.train_data.input_path=sentences.txt,'
                'task.train_data.right_input_path=sentences.txt,'
                'task.train_data.vocab_file=mean/vocab.txt')
        result = e2e.run(['--experiment=bert/dual_encoder', '--mode=train', '--model_dir=t',
                          '--config_file=model.yaml', '--params_override=' + more],
                         cwd=self.path())
        self.assertEqual(result.code, 0, str(result))
        self.assertIn('pooling: mean', e2e.read_params(self.path('t')))
        self.predict(model_dir='t')
        a = e2e.trained_values(self.path('t', 'ckpt-2'))
        self.assertTrue(a)
        # what the pooling of the run was is not forgotten when nobody says it again
        self.write('model.yaml', (MODEL % ('mean', "''")))
        lengths = ','.join('task.%s=12' % key for key in (
            'model.max_sequence_length', 'train_data.seq_length', 'validation_data.seq_length'))
        text = self.one_error(self.predict(lengths, expect=2, model_dir='t'))
        self.assertIn("task.model.pooling 'mean'", text)
        self.predict(lengths + ',task.model.pooling=mean', model_dir='t')

    def test_their_length_is_not_forgotten(self):
        self.take('mean_raw')
        more = ('task.train_data.input_path=sentences.txt,'
                'task.train_data.right_input_path=sentences.txt,'
                'task.train_data.vocab_file=mean_raw/vocab.txt')
        result = e2e.run(['--experiment=bert/dual_encoder', '--mode=train', '--model_dir=t',
                          '--config_file=model.yaml', '--params_override=' + more],
                         cwd=self.path())
        self.assertEqual(result.code, 0, str(result))
        self.write('model.yaml', MODEL % ('mean_raw', "''"))
        lengths = 'task.model.pooling=mean,' + ','.join('task.%s=24' % key for key in (
            'model.max_sequence_length', 'train_data.seq_length', 'validation_data.seq_length'))
        text = self.one_error(self.predict(lengths, expect=2, model_dir='t'))
        self.assertIn('task.model.normalize=false', text)
        self.predict(lengths + ',task.model.normalize=true', model_dir='t')


if __name__ == '__main__':
    e2e.main()
