# SPDX-License-Identifier: Apache-2.0
"""What is beside weights and data is read: other architectures and other files in place of
what was meant are refused by name, with the command that helps; wrappers of names are taken off."""

import json
import os
import shutil
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
from pairs import read_vectors  # noqa: E402

CONFIG, DATA = 2, 3
VOCAB = '\n'.join('[PAD] [UNK] [CLS] [SEP] [MASK] the a cat dog'.split()) + '\n'
POINTER = ('version https://git-lfs.github.com/spec/v1\noid sha256:' + '4d' * 32 +
           '\nsize 440449768\n')
PAGE = '<!DOCTYPE html>\n<html><body>Access denied</body></html>\n'
SIZES = dict(vocab_size=20, hidden_size=8, num_layers=2, num_attention_heads=2,
             intermediate_size=12, max_position_embeddings=10, hidden_activation='gelu_erf')
SHORT = ('trainer.train_steps=1,trainer.validation_interval=1,trainer.checkpoint_interval=1,'
         'task.train_data.seq_length=7,task.validation_data.seq_length=7')


def rename(path, change):
    """Gives the tensors of a safetensors file other names; the data stay as they are."""
    with open(path, 'rb') as source:
        data = source.read()
    n = int.from_bytes(data[:8], 'little')
    header = {change(k) if k != '__metadata__' else k: v
              for k, v in json.loads(data[8:8 + n]).items()}
    text = json.dumps(header).encode()
    with open(path, 'wb') as out:
        out.write(len(text).to_bytes(8, 'little') + text + data[8 + n:])


class Facts(e2e.Case):
    def setUp(self):
        super().setUp()
        for name, n in (('train', 12), ('eval', 4)):
            rows = e2e.make_rows(n, vocab=20, seq_length=7)
            e2e.write_records(self.path(name + '.tf_record'), rows)
        shutil.copytree(e2e.golden('hf/bert_classifier'), self.path('weights'))

    def set_config(self, **facts):
        path = self.path('weights/config.json')
        with open(path, encoding='utf-8') as source:
            config = json.load(source)
        config.update(facts)
        self.write('weights/config.json', json.dumps(config))

    def start(self, init='weights', expect=0, model_dir='out', more='', **how):
        words = ['task.init_checkpoint=' + init, SHORT]
        words += ['task.model.encoder.bert.%s=%s' % row for row in SIZES.items()]
        return self.train(mode=how.pop('mode', 'train'), expect=expect, model_dir=model_dir,
                          override=','.join(words) + more, **how)

    def refused(self, expect, text, *args, **how):
        for more in ((), ('--dry_run',)):
            result = self.start(*args, expect=expect, more_flags=more, **how)
            self.assertIn(text, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))

    def args(self, more_flags=(), **how):
        return super().args(**how) + list(more_flags)


class Architectures(Facts):
    def test_what_is_not_computed_is_refused_by_name(self):
        for facts, text in ((dict(position_embedding_type='relative_key_query'),
                             "position_embedding_type is 'relative_key_query' (weights/config.json"),
                            (dict(position_embedding_type='alibi'), "is 'alibi'"),
                            (dict(is_decoder=True), 'is_decoder is true'),
                            (dict(add_cross_attention=True), 'add_cross_attention is true'),
                            (dict(hidden_act='quick_gelu'), "the activation 'quick_gelu'"),
                            (dict(auto_map={'AutoModel': 'x.Y'}), 'auto_map'),
                            (dict(model_type='ernie'), "a model of type 'ernie'")):
            shutil.copy(e2e.golden('hf/bert_classifier/config.json'),
                        self.path('weights/config.json'))
            self.set_config(**facts)
            self.refused(CONFIG, text)

    def test_values_of_another_kind_and_unknown_keys(self):
        plain = e2e.golden('hf/bert_classifier/config.json')
        for facts, code, text in (
                (dict(hidden_act=5), DATA, 'weights/config.json: hidden_act is not text'),
                (dict(is_decoder='true'), DATA, 'is_decoder is not a flag (true or false)'),
                (dict(layer_norm_eps='1e-5'), DATA, 'layer_norm_eps is not a number above 0'),
                (dict(layer_norm_eps=0), DATA, 'layer_norm_eps is not a number above 0'),
                (dict(hidden_dropout_prob=1.5), DATA, 'hidden_dropout_prob is not a number from 0 to below 1'),
                (dict(id2label=['a', 'b']), DATA, 'id2label is not an object of names by their numbers'),
                (dict(num_hidden_layers=2.5), DATA, 'num_hidden_layers is not a whole number'),
                (dict(quantization_config={'bits': 8}), CONFIG, 'quantization_config (weights/config.json)'),
                (dict(hidden_size=16), CONFIG,
                 'its tensors have hidden_size 8, but weights/config.json says 16'),
                (dict(vocab_size=21), CONFIG, 'vocab_size 20, but weights/config.json says 21'),
                (dict(num_hidden_layers=3), CONFIG, 'num_hidden_layers 2, but weights/config.json says 3')):
            shutil.copy(plain, self.path('weights/config.json'))
            self.set_config(**facts)
            self.refused(code, text)
        shutil.copy(plain, self.path('weights/config.json'))
        self.set_config(share_layers=True, use_cache=False, torch_dtype='float32', rotary_base=1000)
        result = self.start()
        self.assertRegex(result.stderr, 'warning: weights/config.json: unknown keys '
                         "'share_layers', 'rotary_base': ")
        self.assertNotIn('use_cache', result.stderr)

    def test_wrappers_are_taken_off_with_a_line(self):
        self.start(model_dir='plain')
        for wrapper in ('module.', 'model.', '_orig_mod.', '0.auto_model.', 'model._orig_mod.'):
            shutil.copy(e2e.golden('hf/bert_classifier/model.safetensors'),
                        self.path('weights/model.safetensors'))
            rename(self.path('weights/model.safetensors'), lambda name: wrapper + name)
            result = self.start(model_dir=wrapper)
            self.assertRegex(result.stderr, r": '%s' before the names of its 41 tensors is "
                             r'removed' % wrapper.replace('.', r'\.'))
            self.same_values(self.path('plain/ckpt-1'), self.path(wrapper, 'ckpt-1'))


class Everything(Facts):
    """Nothing of the model is typed: the folder says it."""

    def silent(self, init='weights', more='', **how):
        how.setdefault('files', ('run.yaml',))
        how.setdefault('mode', 'train')
        return self.train(override='task.init_checkpoint=%s,%s%s' % (init, SHORT, more), **how)

    def test_each_fact_is_told_once(self):
        """Both sections have the same keys."""
        self.write('weights/vocab.txt', VOCAB)
        self.write('rows.tsv', 'sentence\tlabel\n' + 'the cat\t0\na dog\t1\n' * 4)
        result = self.train(mode='train', files=(), override=(
            'task.init_checkpoint=weights,task.train_data.input_path=rows.tsv,'
            'task.validation_data.input_path=rows.tsv,task.train_data.text_fields=[sentence],'
            'task.validation_data.text_fields=[sentence],trainer.train_steps=1'))
        lines = [line for line in result.stderr.splitlines() if 'supplies what was not set' in line]
        self.assertEqual(len(lines), 2, lines)
        self.assertEqual(lines[0].count('seq_length '), 1)
        self.assertEqual(lines[1].count('vocab_file weights/vocab.txt'), 1)

    def params(self, model_dir='out'):
        return e2e.read_params(self.path(model_dir))

    def test_sizes_arithmetic_and_head(self):
        self.set_config(layer_norm_eps=1e-5, hidden_dropout_prob=0.25)
        result = self.silent()
        self.assertRegex(result.stderr, r'weights/config.json supplies what was not set: vocab_size 20, '
                         r'hidden_size 8, num_layers 2, num_attention_heads 2, intermediate_size 12, '
                         r'max_position_embeddings 10, hidden_activation gelu_erf, '
                         r'layer_norm_eps 1e-05, dropout_rate 0.25, num_classes 3, init_head true, '
                         r'use_encoder_pooler true\n')
        self.assertIn('loaded 41, missing 0, left over 0', result.stderr)
        for line in ('hidden_activation: gelu_erf', 'hidden_size: 8', 'layer_norm_eps: 1.0e-05',
                     'num_classes: 3', 'init_head: true', 'dropout_rate: 0.25'):
            self.assertIn(line + '\n', self.params())
        typed = ('layer_norm_eps=1.0e-05', 'dropout_rate=0.25', 'hidden_activation=gelu_erf')
        more = ''.join(',task.model.encoder.bert.' + t for t in typed)
        self.start(more=more + ',task.model.num_classes=3,task.init_head=true,'
                   'task.model.use_encoder_pooler=true', model_dir='typed')
        self.same_values(self.path('out/ckpt-1'), self.path('typed/ckpt-1'))

    def test_the_head_s_dropout_and_what_fresh_parts_begin_from(self):
        self.set_config(classifier_dropout=0.3, initializer_range=0.05, num_hidden_layers=1)
        result = self.silent()
        self.assertRegex(result.stderr, 'num_layers 1, .*initializer_range 0.05, head_dropout 0.3, ')
        self.assertIn('head_dropout: 0.3\n', self.params())
        self.assertIn('initializer_range: 0.05\n', self.params())
        self.assertIn('has 2 transformer layers, the model has 1', result.stderr)
        result = self.silent(more=',task.model.head_dropout=0.2', model_dir='other')
        self.assertIn('head_dropout: 0.2\n', self.params('other'))

    def test_an_activation_that_is_not_said_is_theirs(self):
        with open(self.path('weights/config.json'), encoding='utf-8') as source:
            config = json.load(source)
        del config['hidden_act']
        self.write('weights/config.json', json.dumps(config))
        self.assertIn('hidden_activation gelu_erf', self.silent().stderr)

    def test_a_run_goes_on_without_the_folder(self):
        self.set_config(layer_norm_eps=1e-5)
        more = (',trainer.train_steps=4,trainer.steps_per_loop=2,trainer.summary_interval=2,'
                'trainer.checkpoint_interval=2')
        self.silent(more=more, model_dir='whole')
        shutil.copytree(self.path('whole'), self.path('half'))
        for name in ('checkpoint', 'ckpt-4.index', 'ckpt-4.data-00000-of-00001'):
            os.remove(self.path('half', name))
        os.rename(self.path('weights'), self.path('moved'))
        self.write('half/checkpoint', 'model_checkpoint_path: "ckpt-2"\n'
                   'all_model_checkpoint_paths: "ckpt-2"\n')
        result = self.silent(more=more, model_dir='half')
        self.assertNotIn('changed', result.stderr)
        self.same_values(self.path('whole/ckpt-4'), self.path('half/ckpt-4'))
        result = self.silent(expect=None, model_dir='other')
        self.assertEqual(result.code, DATA, str(result))
        self.assertIn('weights: no such checkpoint', self.one_error(result))

    def test_what_is_written_wins_where_it_can_be_meant(self):
        result = self.silent(more=',task.model.num_classes=2,task.model.encoder.bert.num_layers=1,'
                             'task.model.encoder.bert.dropout_rate=0.0,'
                             'task.model.encoder.bert.hidden_activation=gelu', expect=None)
        self.assertEqual(result.code, DATA, str(result))  # a label of the records is 2
        result = self.silent(more=',task.model.num_classes=4,task.model.encoder.bert.num_layers=1,'
                             'task.model.encoder.bert.dropout_rate=0.0', model_dir='four')
        self.assertIn('has 2 transformer layers, the model has 1', result.stderr)
        self.assertIn('the head, the last layer, which gives the answers, is new', result.stderr)
        self.assertIn('the head of the file that tells classes apart is not used', result.stderr)
        self.assertIn('dropout_rate: 0.0\n', self.params('four'))
        result = self.silent(more=',task.model.encoder.bert.layer_norm_eps=1.0e-03', expect=None,
                             model_dir='eps')
        self.assertEqual(result.code, CONFIG, str(result))
        self.assertRegex(self.one_error(result), r'layer_norm_eps 1e-12 \(weights/config.json\), but '
                         r'task.model.encoder.\*.layer_norm_eps is 0.001 \(--params_override\)')

    def test_the_dry_run_shows_it(self):
        result = self.silent(more_flags=('--dry_run',))
        self.assertIn('hidden_size: 8\n', result.stdout)
        result = self.silent('nowhere', expect=DATA, more_flags=('--dry_run',), more=',task.model.num_classes=3')
        self.assertIn('nowhere: no such checkpoint', result.stderr)

    def test_albert_and_google(self):
        result = self.silent(e2e.golden('hf/albert_classifier'), model_dir='albert')
        self.assertIn('was not set: type albert, vocab_size 20, hidden_size 8, num_layers 2, '
                      'num_attention_heads 2', result.stderr)
        self.assertIn('embedding_width 4, num_classes 3, init_head true', result.stderr)
        result = self.silent(e2e.golden('ckpt/albert_tf1'), model_dir='google',
                             more=',task.model.num_classes=3')
        self.assertRegex(result.stderr, r'albert_config.json supplies what was not set: type albert, '
                         r'vocab_size 20, hidden_size 8, num_layers 2, num_attention_heads 2, .*')
        for name in ('bert_span', 'bert_v2_tagging_ema'):
            result = self.silent(e2e.golden('ckpt/' + name), model_dir=name,
                                 more=',task.model.num_classes=3')
            self.assertRegex(result.stderr, r'supplies what was not set: vocab_size 20, hidden_size 8, '
                             r'num_layers 2, num_attention_heads 2, ')
        result = self.silent(e2e.golden('hf/distilbert_tagger'), model_dir='distilbert',
                             more=',task.model.num_classes=3')
        self.assertIn('the head of the file that tells classes apart is not used', result.stderr)


class Tokenizers(Facts):
    """Texts become the tokens of the folder's own tokenizer: transformers' probabilities."""

    def predict(self, folder, rows, more=''):
        with open(os.path.join(folder, 'expected.json'), encoding='utf-8') as source:
            expected = json.load(source)['rows']
        # the library has no final sigma; BERT, which made the vocabularies, has
        expected = [row for row in expected if (rows is None or row['text'] in rows) and
                    '\u03a3' not in row['text']]
        self.write('texts.tsv', 'sentence\n' + ''.join(r['text'] + '\n' for r in expected))
        result = self.train(mode='predict', files=(), override=(
            'task.init_checkpoint=%s,task.validation_data.input_path=texts.tsv,'
            'task.validation_data.text_fields=[sentence]%s' % (folder, more)))
        with open(self.path('out/predictions.tsv'), encoding='utf-8') as source:
            got = [line.split('\t')[2:] for line in source.read().splitlines()[1:]]
        self.assertEqual(len(got), len(expected))
        worst = max(abs(float(g) - w) for line, row in zip(got, expected)
                    for g, w in zip(line, row['probabilities']))
        return result, worst

    def test_as_transformers(self):
        plain = None
        for name in ('cased', 'uncased', 'accents_kept', 'accents_off', 'lines'):
            folder = e2e.golden('folders/' + name)
            if name == 'lines':  # where a vocabulary of lines has no token for a name in brackets
                with open(os.path.join(folder, 'expected.json'), encoding='utf-8') as source:
                    plain = [r['text'] for r in json.load(source)['rows'] if '[' not in r['text']]
            result, worst = self.predict(folder, plain)
            self.assertLess(worst, 1e-5, name + str(result))

    def test_added_tokens_that_only_other_files_know_are_told(self):
        for name, content in (
                ('added_tokens.json', {'<user>': 44}), ('added_tokens.json', {'[MASK]': 4}),
                ('special_tokens_map.json', {'cls_token': '[CLS]', 'additional_special_tokens': ['[SEP]']}),
                ('special_tokens_map.json', {'additional_special_tokens': [{'content': '<user>'}]}),
                ('tokenizer_config.json', {'do_lower_case': False, 'added_tokens_decoder':
                                           {'44': {'content': '<user>'}}})):
            shutil.rmtree(self.path('weights'))
            shutil.copytree(e2e.golden('folders/lines'), self.path('weights'))
            self.write('weights/' + name, json.dumps(content))
            result, _ = self.predict(self.path('weights'), ['The cat'])
            wanted = 'weights/%s: the added token \'<user>\' is treated as ordinary text' % name
            self.assertEqual(result.stderr.count(wanted), int('<user>' in json.dumps(content)), str(result))

    def test_two_vocabularies_that_differ(self):
        with open(e2e.golden('folders/cased/tokenizer.json'), encoding='utf-8') as source:
            numbers = json.load(source)['model']['vocab']
        pieces = sorted(numbers, key=numbers.get)
        for text, line in (('\n'.join(pieces) + '\n', None), ('\r\n'.join(pieces), None),
                           ('\n'.join(pieces[:7] + [pieces[8], pieces[7]] + pieces[9:]) + '\n', 8),
                           ('\n'.join(pieces[:-1] + ['other']), len(pieces))):
            shutil.rmtree(self.path('weights'))
            shutil.copytree(e2e.golden('folders/cased'), self.path('weights'))
            self.write('weights/vocab.txt', text.encode())
            result, _ = self.predict(self.path('weights'), ['The cat'])
            self.assertEqual('number the pieces differently' in result.stderr, line is not None, str(result))
            self.assertIn('weights/tokenizer.json number the pieces differently, from line %d on' % line
                          if line is not None else '', result.stderr)

    def test_a_written_key_wins_with_a_line(self):
        result, worst = self.predict(e2e.golden('folders/cased'), None,
                                     ',task.validation_data.lower_case=true')
        self.assertGreater(worst, 1e-3)
        self.assertRegex(result.stderr, r'warning: task.validation_data.lower_case '
                         r'\(--params_override.*\) is true, but .*tokenizer_config.json says false: '
                         r'true is used')

    def test_a_named_vocabulary_is_asked_first(self):
        folder = e2e.golden('folders/cased')
        _, worst = self.predict(folder, None,
                                ',task.validation_data.vocab_file=%s/tokenizer.json' % folder)
        self.assertLess(worst, 1e-5)

    def test_other_tokenizers_are_refused_by_name(self):
        shutil.rmtree(self.path('weights'))
        shutil.copytree(e2e.golden('folders/cased'), self.path('weights'))
        self.write('texts.tsv', 'sentence\nthe cat\n')
        with open(self.path('weights/tokenizer.json'), encoding='utf-8') as source:
            whole = json.load(source)

        def refused(text, code=CONFIG):
            result = self.train(mode='predict', files=(), expect=None, override=(
                'task.init_checkpoint=weights,task.validation_data.input_path=texts.tsv,'
                'task.validation_data.text_fields=[sentence]'))
            self.assertEqual(result.code, code, str(result))
            self.assertIn(text, self.one_error(result))
        for change, text in ((dict(model={'type': 'BPE', 'vocab': {}}), "of kind 'BPE'"),
                             (dict(model={'type': 'Unigram', 'vocab': [['a', 0.0]]}), "kind 'Unigram'"),
                             (dict(normalizer={'type': 'NFC'}), "its normalizer is 'NFC'"),
                             (dict(pre_tokenizer={'type': 'Whitespace'}), "is 'Whitespace'")):
            self.write('weights/tokenizer.json', json.dumps(dict(whole, **change)))
            refused(text)
        for content, text in (('{"model": ', 'not JSON'), (POINTER, 'Git LFS'), (PAGE, 'HTML page')):
            self.write('weights/tokenizer.json', content)
            refused(text, DATA)
        os.remove(self.path('weights/tokenizer.json'))
        self.write('weights/tokenizer_config.json', '{"tokenizer_class": "RobertaTokenizer"}')
        refused("tokenizer_class is 'RobertaTokenizer'")
        os.remove(self.path('weights/tokenizer_config.json'))
        self.write('weights/spiece.model', 'x')
        refused('of kind Unigram (SentencePiece)')


class Heads(Facts):
    """What a folder computes there and here, whatever head and form its weights have: nothing but the
    folder and the data is named (tests/make_goldens/make_folder_goldens.py)."""

    def rows(self, name):
        with open(e2e.golden('folders/%s/expected.json' % name), encoding='utf-8') as source:
            return [row for row in json.load(source)['rows'] if '\u03a3' not in row.get('text', '')]

    def apply(self, experiment, name, override, mode='predict', expect=0, folder=None, model_dir=None):
        shutil.rmtree(self.path('out'), ignore_errors=True)
        result = e2e.run(['--experiment=' + experiment, '--mode=' + mode,
                          '--model_dir=' + (model_dir or 'out'),
                          '--params_override=task.init_checkpoint=%s,%s'
                          % (folder or e2e.golden('folders/' + name), override)], cwd=self.path())
        self.assertEqual(result.code, expect, str(result))
        return result

    def near(self, got, wanted, *where):
        self.assertEqual(len(got), len(wanted), where)
        for a, b in zip(got, wanted):
            self.assertLess(abs(float(a) - b), 1e-5, where)

    def test_classes_of_texts(self):
        """half and brain: 16 bits a number; shards: several files; several: labels of a row."""
        for name in ('half', 'brain', 'shards', 'several', 'score'):
            rows = self.rows(name)
            self.write('texts.tsv', 'sentence\n' + ''.join(r['text'] + '\n' for r in rows))
            self.apply('bert/sentence_prediction', name, 'task.validation_data.input_path=texts.tsv,'
                       'task.validation_data.text_fields=[sentence]')
            with open(self.path('out/predictions.tsv'), encoding='utf-8') as source:
                got = [line.split('\t') for line in source.read().splitlines()[1:]]
            for cells, row in zip(got, rows):
                wanted = row.get('probabilities', [row.get('score')])
                self.near(cells[-len(wanted):], wanted, name, row['text'])
            self.assertEqual(len(got), len(rows))

    def test_encoders_of_other_heads(self):
        """old_names: gamma and beta; hidden_words: no pooler."""
        for name in ('old_names', 'hidden_words'):
            rows = self.rows(name)
            self.write('texts.txt', ''.join(r['text'] + '\n' for r in rows))
            self.apply('bert/dual_encoder', name, 'task.model.pooling=mean,task.model.normalize=false,'
                       'task.validation_data.input_path=texts.txt,task.validation_data.file_type=lines,'
                       'task.validation_data.global_batch_size=4')
            got = read_vectors(self.path('out/vectors.npy'))
            self.assertEqual(len(got), len(rows))
            for vector, row in zip(got, rows):
                self.near(vector, row['vector'], name, row['text'])

    DATA = ('task.validation_data.input_path=words.conll,task.validation_data.global_batch_size=2,'
            'task.validation_data.seq_length=24')

    def write_words(self, rows, tags=None):
        lines = [['%s %s' % (w, t) for w, t in zip(row['words'], tags or row['tags'])] for row in rows]
        self.write('words.conll', ''.join('\n'.join(sentence) + '\n\n' for sentence in lines))

    def test_tags(self):
        for name in ('tags', 'tags_distilbert'):
            rows = self.rows(name)
            self.assertGreater(len({tag for row in rows for tag in row['tags']}), 1)
            self.write_words(rows)
            result = self.apply('bert/tagging', name, self.DATA)
            self.assertRegex(result.stderr, r'tags.*/config.json supplies what was not set: .*init_head true\n')
            self.assertIn("classes of the head: 'O', 'B-PER', 'I-PER', 'B-LOC' (id2label of ",
                          result.stderr)
            with open(self.path('out/predictions.tsv'), encoding='utf-8') as source:
                lines = [line.split('\t') for line in source.read().splitlines()]
            at = {key: i for i, key in enumerate(lines[0])}
            self.assertEqual([line[at['label']] for line in lines[1:]],
                             [tag for row in rows for tag in row['tags']], name)
            self.near([line[at['probability']] for line in lines[1:]],
                      [p for row in rows for p in row['probabilities']], name)

    def test_answers(self):
        for name in ('answers', 'answers_albert'):
            rows = self.rows(name)
            self.write('q.jsonl', ''.join(json.dumps(
                dict(id=str(i), question=row['question'], context=row['context'],
                     answers=dict(text=[row['context'][:5]], answer_start=[0]))) + '\n'
                for i, row in enumerate(rows)))
            self.apply('bert/squad', name, 'task.validation_data.input_path=q.jsonl,'
                       'task.validation_data.global_batch_size=2,task.validation_data.seq_length=24,'
                       'task.validation_data.doc_stride=8,task.validation_data.query_length=8')
            with open(self.path('out/nbest_predictions.json'), encoding='utf-8') as source:
                best = json.load(source)
            for i, row in enumerate(rows):
                self.assertGreater(len(best[str(i)]), 5)
                for entry in best[str(i)]:
                    self.assertLess(self.distance(row, entry), 1e-5, (name, entry))
                top = max((a['start_logit'] + b['end_logit'] for k, a in enumerate(row['tokens'])
                           for b in row['tokens'][k:]))
                first = best[str(i)][0]
                self.assertLess(abs(first['start_logit'] + first['end_logit'] - top), 1e-5)

    @staticmethod
    def distance(row, entry):
        """From the scores of the nearest span of that text there."""
        spans = [(a, b) for k, a in enumerate(row['tokens']) for b in row['tokens'][k:]
                 if row['context'][a['first']:b['end']] == entry['text']]
        return min(max(abs(a['start_logit'] - entry['start_logit']), abs(b['end_logit'] - entry['end_logit']))
                   for a, b in spans)

    def train_tags(self, more='', **how):
        return self.apply('bert/tagging', 'tags', self.DATA + (
            ',task.train_data.input_path=words.conll,task.train_data.global_batch_size=2,'
            'task.train_data.seq_length=24,trainer.train_steps=2,trainer.checkpoint_interval=2,'
            'trainer.validation_interval=2') + more, mode='train', model_dir='run', **how)

    def test_tags_that_are_no_tags_of_the_head(self):
        rows = self.rows('tags')
        self.write_words(rows, ['O', 'B-PER', 'B-ORG', 'O', 'O'])
        result = self.train_tags(expect=DATA)
        self.assertRegex(self.one_error(result), r"'B-ORG'; expected O, B-PER, I-PER, B-LOC .*id2label.*"
                         r'task.init_head=false')
        result = self.train_tags(',task.init_head=false')
        self.assertIn('the head of the file that tells classes apart is not used', result.stderr)
        self.assertIn('3 tags', result.stderr)

    def test_a_classifier_that_is_not_computed_is_told(self):
        shutil.rmtree(self.path('weights'))
        shutil.copytree(e2e.golden('hf/distilbert_tagger'), self.path('weights'))
        self.set_config(architectures=['DistilBertForSequenceClassification'])
        result = self.train(mode='train', files=('run.yaml',), override='task.init_checkpoint=weights,'
                            'task.model.num_classes=3,' + SHORT)
        self.assertIn('weights/config.json: the classifier of a DistilBERT has a layer with ReLU', result.stderr)
        self.assertIn('the head, the last layer, which gives the answers, is new', result.stderr)

    def test_tags_of_ones_own(self):
        rows = self.rows('tags')
        self.write_words(rows)
        result = self.train_tags(',task.class_names=[B-PER,O,I-PER,B-LOC]')
        self.assertIn('the head, the last layer, which gives the answers, is new', result.stderr)
        shutil.rmtree(self.path('run'))
        result = self.train_tags(',task.class_names=[B-PER,O,I-PER,B-LOC],task.init_head=true', expect=CONFIG)
        self.assertIn("task.class_names is 'B-PER', 'O', 'I-PER', 'B-LOC', but the head that "
                      "task.init_head takes has the classes 'O', 'B-PER', 'I-PER', 'B-LOC'",
                      self.one_error(result))
        self.train_tags(',task.class_names=[O,B-PER,I-PER,B-LOC]')
        self.assertIn('init_head: true\n', e2e.read_params(self.path('run')))

    def test_tags_of_the_short_command_take_the_head_s_order(self):
        rows = self.rows('tags')
        for tags, names in ((None, '[O, B-PER, I-PER, B-LOC]'), (['O', 'B-PER'], '[O, B-PER, I-PER, B-LOC]'),
                            (['O', 'B-PER', 'B-ORG'], '[O, B-ORG, B-PER]')):
            self.write_words(rows, *([[tags[i % len(tags)] for i in range(5)]] if tags else []))
            result = e2e.run(['--experiment=bert/tagging', '--mode=train', '--train=words.conll',
                              '--init=' + e2e.golden('folders/tags'), '--model_dir=short',
                              '--params_override=task.train_data.seq_length=24'], cwd=self.folder)
            self.assertEqual(result.code, 0, str(result))
            params = e2e.read_params(self.path('short'))
            self.assertIn('class_names: %s\n' % names, params)
            self.assertEqual('init_head: true\n' in params, 'B-ORG' not in names)
            self.assertEqual('task.class_names are those of the head: ' in result.stderr, 'B-ORG' not in names)
            shutil.rmtree(self.path('short'))
        self.write_words(rows)
        result = e2e.run(['--experiment=bert/tagging', '--mode=predict', '--predict=words.conll',
                          '--init=' + e2e.golden('folders/tags'), '--model_dir=out',
                          '--output_path=tags.tsv'], cwd=self.folder)  # the folder is enough
        self.assertEqual(result.code, 0, str(result))

    def test_a_tagger_goes_on_without_the_folder(self):
        rows = self.rows('tags')
        self.write_words(rows)
        shutil.copytree(e2e.golden('folders/tags'), self.path('tags'))
        self.train_tags(folder='tags')
        with open(self.path('run/labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], ['O', 'B-PER', 'I-PER', 'B-LOC'])
        os.rename(self.path('tags'), self.path('moved'))
        self.apply('bert/tagging', 'tags', self.DATA + ',task.validation_data.vocab_file=moved/'
                   'tokenizer.json', model_dir='run', folder='tags')
        with open(self.path('run/predictions.tsv'), encoding='utf-8') as source:
            self.assertEqual(len(source.read().splitlines()), 1 + 12)


class Unreadable(Facts):
    """What cannot be looked at is not taken for what is not there."""

    def test_links_to_themselves(self):
        self.write('texts.tsv', 'sentence\nThe cat\n')
        for name in ('tokenizer_config.json', 'tokenizer.json', 'config.json', 'model.safetensors'):
            shutil.rmtree(self.path('weights'))
            shutil.copytree(e2e.golden('folders/cased'), self.path('weights'))
            os.remove(self.path('weights', name))
            os.symlink(name, self.path('weights', name))
            for more in ((), ('--dry_run',)):
                result = self.train(mode='predict', files=(), expect=None, more_flags=more, override=(
                    'task.init_checkpoint=weights,task.validation_data.input_path=texts.tsv,'
                    'task.validation_data.text_fields=[sentence]'))
                self.assertEqual(result.code, DATA, name + str(result))
                self.assertIn('weights/' + name, self.one_error(result))


class Module(Facts):
    """A TF Hub module says what its encoder is: the bits of a run that has all of it typed."""

    def test_sizes_and_arithmetic(self):
        with tarfile.open(e2e.golden('hub/small.tar.gz')) as archive:
            archive.extractall(self.path('module'))
        more = ',task.model.num_classes=3'
        typed = dict(vocab_size=24, hidden_size=8, num_layers=2, num_attention_heads=2, intermediate_size=16,
                     max_position_embeddings=8)
        for model_dir, keys in (('silent', {}), ('typed', typed)):
            words = ''.join(',task.model.encoder.bert.%s=%s' % row for row in keys.items())
            result = self.train(mode='train', files=('run.yaml',), model_dir=model_dir,
                                override='task.hub_module_url=module,' + SHORT + more + words)
            if not keys:
                self.assertRegex(result.stderr, 'module supplies what was not set: vocab_size 24, hidden_size 8, '
                                 'num_layers 2, num_attention_heads 2, intermediate_size 16, '
                                 'max_position_embeddings 8')
        self.same_values(self.path('silent/ckpt-1'), self.path('typed/ckpt-1'))
        result = self.train(mode='train', files=('run.yaml',), model_dir='other', expect=None,
                            override='task.hub_module_url=module,' + SHORT + more +
                            ',task.model.encoder.bert.hidden_size=16')
        self.assertEqual(result.code, CONFIG, str(result))
        self.assertRegex(self.one_error(result), r'module.*(\b8\b.*\b16\b|\b16\b.*\b8\b)')


class Google(Facts):
    """A checkpoint of Google's, its configuration and vocabulary: nothing says whether the case is lowered."""

    def start_from(self, pieces, *flags):
        shutil.rmtree(self.path('google'), ignore_errors=True)
        shutil.copytree(e2e.golden('ckpt/albert_tf1'), self.path('google'))
        self.write('google/vocab.txt', '\n'.join('[PAD] [UNK] [CLS] [SEP] [MASK]'.split() + pieces) + '\n')
        self.write('train.tsv', 'sentence\tlabel\n' + 'The cat\t0\nThe dog\t1\n' * 20)
        result = e2e.run(['--experiment=bert/sentence_prediction', '--mode=train_and_eval', '--model_dir=out',
                          '--train=train.tsv', '--dry_run'] + list(flags), cwd=self.path())
        return result

    def test_case_by_vocabulary(self):
        """Also with the short flag, which must not take the vocabulary for one that was named."""
        words = [a + b + c for a in 'abcdefghij' for b in 'abcdefghij' for c in 'abcdefghijkl']
        for flag in ('--init=google', '--params_override=task.init_checkpoint=google'):
            for pieces, n_cased in ((words[:600] + [w.capitalize() for w in words[:600]], 2), (words, 0)):
                result = self.start_from(pieces, flag)
                self.assertEqual(result.stdout.count('lower_case: false'), n_cased, str(result))
                self.assertEqual(result.stdout.count('vocab_file: google/vocab.txt'), 2, str(result))
                self.assertIn('hidden_size: 8\n', result.stdout)
                # which the tiny table does not hold: the run would say so
                self.assertIn("google/vocab.txt has 1205 pieces, but the model's vocab_size is 20", result.stderr)


class Strangers(Facts):
    """Another file in place of the one that was meant: its kind, and the command that helps."""

    def test_weights_of_other_libraries(self):
        os.remove(self.path('weights/model.safetensors'))
        self.refused(DATA, 'weights: a folder with no ')
        self.write('weights/flax_model.msgpack', b'\x81\xa1a\x01')
        self.refused(DATA, 'weights of Flax')
        self.write('weights/tf_model.h5', b'\x89HDF\r\n\x1a\n')
        self.refused(DATA, "from_tf=True).save_pretrained('weights')")
        self.write('weights/pytorch_model.bin', b'PK\x03\x04xx')
        self.refused(DATA, "torch.load('weights/pytorch_model.bin'")
        self.refused(DATA, "torch.load('weights/pytorch_model.bin'", 'weights/pytorch_model.bin')
        self.refused(DATA, 'name its folder', 'weights/config.json')

    def test_a_pointer_or_a_page_is_told_wherever_it_lies(self):
        self.write('train.csv', 'sentence,label\nthe cat,0\na dog,1\n')
        self.write('vocab.txt', VOCAB)
        self.write('labels.json', '{"num_labels": 3}')
        text = (',task.train_data.input_path=train.csv,task.train_data.text_fields=[sentence],'
                'task.train_data.vocab_file=vocab.txt,task.train_data.label_field=label')
        records = ''
        for name, more in (('weights/model.safetensors', records), ('weights/config.json', records),
                           ('train.tf_record', records), ('train.csv', text), ('vocab.txt', text)):
            with open(self.path(name), 'rb') as source:
                whole = source.read()
            for content, words in ((POINTER, 'this is a Git LFS pointer'),
                                   (PAGE, 'this is an HTML page')):
                self.write(name, content)
                self.refused(DATA, words, more=more)
            self.write(name, whole)
        for content, words in ((POINTER, 'Git LFS pointer'), (PAGE, 'HTML page')):
            self.write('model.yaml', content)
            self.refused(CONFIG, words)


if __name__ == '__main__':
    e2e.main()
