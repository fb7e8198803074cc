# SPDX-License-Identifier: Apache-2.0
"""task.init_checkpoint: weights of Hugging Face, of google-research's ALBERT and of another task,
through the program; what is said of them, and what is refused with both numbers."""

import json
import math
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

SIZES = dict(vocab_size=20, hidden_size=8, num_layers=2, num_attention_heads=2,
             intermediate_size=12, max_position_embeddings=10)
SHORT = ('trainer.train_steps=2,trainer.steps_per_loop=1,trainer.summary_interval=1,'
         'trainer.checkpoint_interval=2,trainer.validation_interval=2,'
         'task.train_data.seq_length=7,task.validation_data.seq_length=7')


def read_safetensors(path):
    """name -> (shape, flat list of numbers)"""
    with open(path, 'rb') as source:
        data = source.read()
    n_header, = struct.unpack_from('<Q', data)
    out = {}
    for name, entry in json.loads(data[8:8 + n_header]).items():
        if name != '__metadata__':
            begin, end = entry['data_offsets']
            kind = {'F32': 'f', 'I32': 'i'}[entry['dtype']]
            values = struct.unpack('<%d%s' % ((end - begin) // 4, kind),
                                   data[8 + n_header + begin:8 + n_header + end])
            out[name] = (entry['shape'], list(values))
    return out


def softmax(logits):
    exps = [math.exp(x - max(logits)) for x in logits]
    return [e / sum(exps) for e in exps]


class Init(e2e.Case):
    def setUp(self):
        super().setUp()
        for name, n in (('train', 12), ('eval', 4)):
            rows = e2e.make_rows(n, vocab=20, seq_length=7)
            e2e.write_records(self.path(name + '.tf_record'), rows)

    def start(self, init, encoder='bert', expect=0, mode='train', model_dir='out', more='', **sizes):
        keys = dict(SIZES, **sizes)
        words = ['task.init_checkpoint=' + init, 'task.model.encoder.type=' + encoder, SHORT]
        words += ['task.model.encoder.%s.%s=%s' % (encoder, k, v) for k, v in keys.items()]
        return self.train(mode=mode, expect=expect, model_dir=model_dir,
                          override=','.join(words) + more)

    def refused(self, expect, text, *args, **how):
        result = self.start(*args, expect=expect, **how)
        self.assertIn(text, self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))


class HuggingFace(Init):
    def predict_from(self, name, encoder, **keys):
        """A classifier that was fine-tuned there, used here without training."""
        folder = e2e.golden('hf/' + name)
        golden = read_safetensors(os.path.join(folder, 'expected.safetensors'))
        columns = {}
        for ours, theirs in (('input_ids', 'input_word_ids'), ('input_mask', 'input_mask'),
                             ('segment_ids', 'input_type_ids')):
            shape, values = golden[theirs]
            columns[ours] = [values[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]
        rows = [{key: column[i] for key, column in columns.items()} for i in range(shape[0])]
        e2e.write_records(self.path('eval.tf_record'), [dict(r, label_ids=[0]) for r in rows])
        result = self.start(folder, encoder, mode='predict', **keys,
                            more=',task.init_head=true,task.model.use_encoder_pooler=true')
        with open(self.path('out', 'predictions.tsv'), encoding='utf-8') as source:
            lines = source.read().splitlines()[1:]
        shape, logits = golden['logits']
        for i, line in enumerate(lines):
            want = softmax(logits[i * shape[1]:(i + 1) * shape[1]])
            for got, value in zip(line.split('\t')[2:], want):
                self.assertAlmostEqual(float(got), value, delta=2e-6)
        self.assertEqual(len(lines), shape[0])
        return result

    def test_bert(self):
        result = self.predict_from('bert_classifier', 'bert', hidden_activation='gelu_erf')
        self.assertRegex(result.stderr, r': loaded 41, missing 0, left over 0\n')
        self.assertNotIn('hidden_activation', result.stderr)

    def test_albert(self):
        result = self.predict_from('albert_classifier', 'albert', embedding_width=4)
        self.assertRegex(result.stderr, r': loaded 27, missing 0, left over 0\n')

    def test_the_form_of_gelu_is_said(self):
        result = self.start(e2e.golden('hf/bert_classifier'), hidden_activation='gelu')
        self.assertIn("was trained with the activation 'gelu'; "
                      'task.model.encoder.*.hidden_activation=gelu_erf computes the same',
                      result.stderr)
        shutil.rmtree(self.path('out'))
        self.refused(2, "was trained with the activation 'gelu' (",
                     e2e.golden('hf/bert_classifier'), hidden_activation='relu')

    def test_distilbert(self):
        result = self.start(e2e.golden('hf/distilbert_tagger'))
        self.assertRegex(
            result.stderr,
            r'distilbert_tagger/model.safetensors: loaded 36, missing 7, left over 2; '
            r'type_embeddings/embeddings starts at 0, pooler_transform/kernel starts fresh, '
            r'pooler_transform/bias starts fresh: DistilBERT has none\n')
        types = e2e.read_bundle(self.path('out/ckpt-2'))[
            'encoder/layer_with_weights-2/embeddings' + e2e.SUFFIX]
        largest = max(abs(v) for v in struct.unpack('<16f', types.raw))
        self.assertTrue(0 < largest < 1e-3, 'two updates away from 0: %g' % largest)
        self.start(e2e.golden('hf/distilbert_tagger'), 'bert_v2', model_dir='v2')

    def test_a_file_without_pooler(self):
        result = self.start(e2e.golden('hf/bert_span'))
        self.assertIn('pooler_transform/bias starts fresh: the file has none\n', result.stderr)

    def test_both_numbers_are_said(self):
        bert = e2e.golden('hf/bert_classifier')
        albert = e2e.golden('hf/albert_classifier')
        self.refused(2, 'has 2 attention heads', bert, num_attention_heads=4)
        self.refused(2, 'has 2 transformer layers, the model has 3', bert, num_layers=3)
        self.refused(2, 'the file has [20, 8], the model wants [21, 8]', bert, vocab_size=21)
        self.refused(2, 'holds ALBERT, the model is BERT: set task.model.encoder.type to albert',
                     albert)
        self.refused(2, 'holds BERT, the model is ALBERT: set task.model.encoder.type to bert',
                     bert, 'albert')
        self.refused(2, 'holds DistilBERT, the model is ALBERT', e2e.golden('hf/distilbert_tagger'),
                     'albert')
        self.refused(2, 'has 2 attention heads', albert, 'albert', embedding_width=4,
                     num_attention_heads=1)

    def test_other_layers_are_remarked(self):
        result = self.start(e2e.golden('hf/bert_classifier'), num_layers=1)
        self.assertRegex(result.stderr, r'warning: .* has 2 transformer layers, the model has 1 '
                         r'.*: the first ones are used')
        result = self.start(e2e.golden('hf/albert_classifier'), 'albert', embedding_width=4,
                            num_layers=5, model_dir='deep')
        self.assertRegex(result.stderr, r'warning: .* has 2 transformer layers, the model has 5 '
                         r'.*: the shared one is repeated that often')

    def test_other_models_are_refused_by_name(self):
        shutil.copytree(e2e.golden('hf/bert_classifier'), self.path('weights'))
        config = self.path('weights/config.json')
        for model_type, text in (('roberta', 'holds RoBERTa: '), ('electra', 'holds ELECTRA: '),
                                 ('gpt2', "holds a model of type 'gpt2' ")):
            with open(config, 'w', encoding='utf-8') as out:
                json.dump({'model_type': model_type}, out)
            self.refused(2, text, 'weights')
        with open(config, 'w', encoding='utf-8') as out:
            json.dump({'model_type': 'bert', 'layer_norm_eps': 1e-5}, out)
        self.assertIn('weights/config.json supplies what was not set: hidden_activation gelu_erf, layer_norm_eps 1e-05',
                      self.start('weights').stderr)
        shutil.rmtree(self.path('out'))
        self.refused(2, 'trained with layer_norm_eps 1e-05 (weights/config.json), but '
                     'task.model.encoder.*.layer_norm_eps is 1e-12', 'weights',
                     layer_norm_eps='1.0e-12')


class Albert(Init):
    KEYS = dict(encoder='albert', embedding_width=4, max_position_embeddings=16)

    def test_google_and_model_garden(self):
        """One set of weights in two layouts trains to the same bits."""
        for name, left_over in (('albert_tf1', 3), ('albert_converted', 2)):
            result = self.start(e2e.golden('ckpt/' + name), model_dir=name, **self.KEYS)
            self.assertRegex(result.stderr,
                             r': loaded 25, missing 4, left over %d\n' % left_over)
        self.same_values(self.path('albert_tf1/ckpt-2'), self.path('albert_converted/ckpt-2'))

    def test_a_projection_is_not_dropped(self):
        """It would fit where the embedding is as wide as the layers."""
        shutil.copytree(e2e.golden('hf/albert_classifier'), self.path('weights'))
        path = self.path('weights/model.safetensors')
        widen(path)
        self.refused(2, 'has an embedding_projection, the model has none', 'weights', 'albert',
                     embedding_width=8)


def widen(path):
    """Makes an embedding of 4 columns one of 8, by repeating values."""
    tensors = read_safetensors(path)
    for name, (shape, values) in tensors.items():
        if shape[-1] == 4:
            shape[-1] = 8
            values += values
    header, data = {}, b''
    for name, (shape, values) in tensors.items():
        raw = struct.pack('<%df' % len(values), *values)
        header[name] = dict(dtype='F32', shape=shape,
                            data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    with open(path, 'wb') as out:
        out.write(struct.pack('<Q', len(text)) + text + data)


class HeadNames(Init):
    """id2label of a head that is taken: the order of its outputs, case facts/18."""
    NAMES = ['pos', 'neg "x"', 'Müll, sonst']
    HEAD = ',task.init_head=true,task.model.use_encoder_pooler=true'

    def folder_with(self, names, golden='bert_classifier', reverse=None):
        shutil.copytree(e2e.golden('hf/' + golden), self.path('weights'), dirs_exist_ok=True)
        config = self.path('weights/config.json')
        with open(config, encoding='utf-8') as source:
            facts = json.load(source)
        facts['id2label'] = names if isinstance(names, dict) else dict(enumerate(names))
        if reverse is not None:
            facts['label2id'] = reverse
        with open(config, 'w', encoding='utf-8') as out:
            json.dump(facts, out)
        return 'weights'

    def table(self, *labels):
        rows = ''.join('"un %d",%s\n' % (i, '"%s"' % label.replace('"', '""'))
                       for i, label in enumerate(labels))
        self.write('rows.csv', 'sentence,label\n' + rows)
        pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'un'] + ['w%d' % i for i in range(15)]
        self.write('vocab.txt', '\n'.join(pieces) + '\n')
        return ''.join(',task.%s_data.%s' % (section, key) for section in ('train', 'validation')
                       for key in ('input_path=rows.csv', 'vocab_file=vocab.txt',
                                   'text_fields=[sentence]', 'global_batch_size=3'))

    def labels(self):
        with open(self.path('out/labels.json'), encoding='utf-8') as source:
            return json.load(source)['label_names']

    def test_their_order_is_that_of_the_outputs(self):
        more = self.HEAD + self.table(*self.NAMES[::-1])
        result = self.start(self.folder_with(self.NAMES), more=more)
        self.assertIn("classes of the head: 'pos', 'neg \"x\"', 'Müll, sonst' (id2label of weights/"
                      'config.json)', result.stderr)
        self.assertEqual(self.labels(), self.NAMES)
        self.start('weights', more=more, mode='predict', model_dir='fresh')
        with open(self.path('fresh/predictions.tsv'), encoding='utf-8') as source:
            self.assertEqual(source.readline().rstrip('\n').split('\t')[2:],
                             ['probability_' + name for name in self.NAMES])
        # a run that goes on needs the file no more; another head beside it is not a silent change
        os.rename(self.path('weights'), self.path('moved'))
        self.start('weights', more=more + ',trainer.train_steps=3')
        os.rename(self.path('moved'), self.path('weights'))
        self.folder_with(self.NAMES[::-1])
        result = self.start('weights', more=more, mode='eval', expect=2)
        self.assertRegex(self.one_error(result),
                         "class 0 is 'pos' in out/labels.json, but 'Müll, sonst' in id2label of "
                         r"task.init_checkpoint: .* \('pos', .* against 'Müll, sonst', ")

    def test_the_reverse_of_the_names(self):
        for reverse, text in (({'a': 0, 'b': 2, 'c': 1}, "class 1 is 'b' in id2label, but label2id says that 'b' is class 2"),
                              ({'a': -1}, "class 0 is 'a' in id2label, but label2id says that 'a' is class -1"),
                              ({'a': 7}, "'a' is class 7"), ({'LABEL_0': 0, 'LABEL_1': 1}, None),
                              ({'a': 0, 'b': 1, 'c': 2}, None), ({'a': 'x'}, None)):
            self.folder_with(['a', 'b', 'c'], reverse=reverse)
            said = self.start('weights', more=self.HEAD + self.table('a', 'b', 'c')).stderr
            self.assertEqual('label2id' in said, text is not None, said)
            self.assertIn(text or '', said)
            shutil.rmtree(self.path('out'))
        self.refused(3, 'weights/config.json: label2id is not an object',
                     self.folder_with(['a', 'b', 'c'], reverse=[]), more=self.HEAD + self.table('a'))

    def test_a_label_that_the_head_does_not_know(self):
        more = self.HEAD + self.table('pos', 'neg "x"', 'Müll')
        self.refused(3, "rows.csv:4:1: label 'Müll' is none of the classes 'pos', 'neg \"x\"', "
                     "'Müll, sonst' of id2label of task.init_checkpoint",
                     self.folder_with(self.NAMES), more=more)

    def test_a_contradiction_names_both_lists(self):
        self.folder_with(['a', 'b', 'c'])
        self.refused(2, "task.label_names is 'b', 'a', 'c', but the head that task.init_head takes "
                     "has the classes 'a', 'b', 'c' (id2label of weights/config.json)", 'weights',
                     more=self.HEAD + ',task.label_names=[b,a,c]')
        self.refused(2, "task.label_names is 'a', 'b', but the head", 'weights',
                     more=self.HEAD + ',task.label_names=[a,b],task.model.num_classes=2')
        self.refused(2, 'task.model.num_classes is 2, but the head that task.init_head takes has '
                     "3 classes, 'a', 'b', 'c'", 'weights',
                     more=self.HEAD + ',task.model.num_classes=2')
        self.start('weights', more=self.HEAD + ',task.label_names=[A,B,C]')
        self.start('weights', more=',task.label_names=[b,a,c]', model_dir='fresh')
        self.folder_with(['contradiction', 'neutral', 'entailment'])
        self.write('meta', '{"processor_type": "MNLI", "num_labels": 3}')
        self.refused_again("class 0 is 'entailment' in meta, but 'contradiction' in id2label of "
                           'task.init_checkpoint', self.HEAD + ',task.meta_data_path=meta')
        self.folder_with(['ENTAILMENT', 'NEUTRAL', 'CONTRADICTION'])
        self.start('weights', more=self.HEAD + ',task.meta_data_path=meta', model_dir='meta_agrees')

    def test_a_head_of_another_kind(self):
        """The same names of tensors and the same shapes, by chance."""
        self.folder_with(self.NAMES)
        config = self.path('weights/config.json')
        with open(config, encoding='utf-8') as source:
            facts = json.load(source)
        for kind, what in (('TokenClassification', 'a class of each word'),
                           ('QuestionAnswering', 'where an answer begins and ends')):
            facts['architectures'] = ['BertFor' + kind]
            with open(config, 'w', encoding='utf-8') as out:
                json.dump(facts, out)
            self.refused(2, 'task.init_head: the head beside weights/config.json is that of a BertFor%s, '
                         'which says %s, but bert/sentence_prediction needs the head of a '
                         '...ForSequenceClassification' % (kind, what), 'weights', more=self.HEAD)
            self.start('weights', model_dir=kind)  # a head of its own
        facts['architectures'] = ['BertForSequenceClassification']
        with open(config, 'w', encoding='utf-8') as out:
            json.dump(facts, out)
        self.start('weights', more=self.HEAD, model_dir='right')
        result = e2e.run(['--experiment=bert/tagging', '--mode=train', '--model_dir=tags',
                          '--params_override=task.init_checkpoint=weights,task.init_head=true,'
                          'task.class_names=[a,b,c]'], cwd=self.folder)
        self.assertEqual(result.code, 2, str(result))
        self.assertIn('that of a BertForSequenceClassification, which says a class (or score) of each text, '
                      'but bert/tagging needs the head of a ...ForTokenClassification', self.one_error(result))

    def refused_again(self, text, more):
        result = self.start('weights', more=more, model_dir='other', expect=2)
        self.assertIn(text, self.one_error(result))

    def test_names_that_say_nothing(self):
        self.folder_with(['LABEL_0', 'LABEL_1', 'LABEL_2'])
        result = self.start('weights', more=self.HEAD)
        self.assertIsNone(self.labels())
        self.assertNotIn('id2label', result.stderr)
        self.folder_with(['x', 'y', 'x'])
        result = self.start('weights', more=self.HEAD, model_dir='twice')
        self.assertRegex(result.stderr, "warning: classes 0 and 2 are both called 'x' in id2label "
                                        'of weights/config.json: its names are not used')
        self.start(self.folder_with([5, 3, 1]), more=self.HEAD, model_dir='numbers')
        for names, text in (({'0': 'a', '2': 'b', '3': 'c'}, "'3' is not one of their numbers"),
                            ({'a': 0, 'b': 1, 'c': 2}, "'a' is not one of their numbers, 0 to 2"),
                            ({'0': 'a', '1': None, '2': 'c'}, 'the name of class 1 is not text')):
            result = self.start(self.folder_with(names), more=self.HEAD, model_dir='x', expect=3)
            self.assertIn(text, self.one_error(result))

    def test_tags(self):
        tags = ['O', 'B-PER', 'I-PER']
        self.folder_with(tags, 'distilbert_tagger')
        rows = e2e.make_rows(8, vocab=20, seq_length=7)
        for row in rows:
            row['label_ids'] = [-1] + [v % 3 for v in row['input_ids'][1:]]
            row['sentence_id'] = row['sub_sentence_id'] = [0]
        for name in ('train', 'eval'):
            e2e.write_records(self.path(name + '.tf_record'), rows)
        keys = ['task.model.encoder.bert.%s=%s' % pair for pair in SIZES.items()]
        self.write('tags.yaml', 'task:\n  train_data: {input_path: train.tf_record, seq_length: 7, '
                   'global_batch_size: 4}\n  validation_data: {input_path: eval.tf_record, '
                   'seq_length: 7, global_batch_size: 4}\n')

        def tag(more='', expect=0, mode='train'):
            args = self.args(mode=mode, files=['tags.yaml'], override=','.join(
                ['task.init_checkpoint=weights,task.model.encoder.type=bert', SHORT] + keys) + more)
            args[0] = '--experiment=bert/tagging'
            result = e2e.run(args, cwd=self.folder)
            self.assertEqual(result.code, expect, str(result))
            return result

        result = tag(',task.init_head=true,task.class_names=[O,I-PER,B-PER]', expect=2)
        self.assertIn("task.class_names is 'O', 'I-PER', 'B-PER', but the head that task.init_head "
                      "takes has the classes 'O', 'B-PER', 'I-PER'", self.one_error(result))
        self.assertIn('task.class_names', self.one_error(tag(',task.init_head=false', expect=2)))
        tag(',task.init_head=true')
        self.assertEqual(self.labels(), tags)
        tag(',task.init_head=true', mode='predict')
        with open(self.path('out/predictions.tsv'), encoding='utf-8') as source:
            got = {line.split('\t')[2] for line in source.read().splitlines()[1:]}
        self.assertTrue(got and got <= set(tags), got)


class OtherTasks(Init):
    def test_the_encoder_of_any_task(self):
        """Model Garden's checkpoints of other heads give their encoder, and nothing else."""
        for name, type_name in (('bert_span', 'bert'), ('bert_v2_tagging_ema', 'bert_v2'),
                                ('bert_dual', 'bert')):
            for encoder in ('bert', 'bert_v2'):
                result = self.start(e2e.golden('ckpt/' + name), encoder,
                                    model_dir=name + encoder, max_position_embeddings=16)
                self.assertRegex(result.stderr, r': loaded 39, missing 4, left over \d+\n')

    def test_a_head_of_another_kind_is_missing(self):
        self.refused(3, '4 variables that must come from it are missing, the first is '
                     'sentence_prediction/pooler_dense/kernel', e2e.golden('ckpt/bert_span'),
                     max_position_embeddings=16, more=',task.init_head=true')


if __name__ == '__main__':
    e2e.main()
