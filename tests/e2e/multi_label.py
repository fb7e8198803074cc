# SPDX-License-Identifier: Apache-2.0
"""Several labels a row (task.problem_type multi_label_classification): from each form of a table, and
from a head that Hugging Face Transformers fine-tuned, whose probabilities and loss these are."""
import json
import math
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e  # noqa: E402
import text_input  # noqa: E402
from init_checkpoint import SHORT, SIZES, read_safetensors  # noqa: E402
from text_input import CONFIG, DATA, WORDS  # noqa: E402

NAMES = ['cat', 'dog', 'new, "york"']
MULTI = ('task.problem_type=multi_label_classification,task.model.num_classes=3,'
         'trainer.best_checkpoint_eval_metric=f1_micro')
ONE_LABEL = 'trainer.best_checkpoint_eval_metric=cls_accuracy'
SPLIT = 'task.train_data.label_separator="|",task.validation_data.label_separator="|"'


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def f1_of(rows):
    """rows: (applies, found), each a list of 0 and 1 -> micro F1, macro F1, exact matches"""
    def f1(pairs):
        both = sum(a and f for a, f in pairs)
        total = sum(a + f for a, f in pairs)
        return 2 * both / total if total else 0
    columns = list(zip(*[zip(a, f) for a, f in rows]))
    return (f1([pair for column in columns for pair in column]),
            sum(f1(column) for column in columns) / len(columns),
            sum(a == f for a, f in rows) / len(rows))


class MultiLabel(text_input.Text):
    def setUp(self):
        super().setUp()
        rng = random.Random(5)
        self.texts = {}
        for name, n in (('train', 48), ('dev', 20)):
            rows = []
            for _ in range(n):
                words = [rng.choice(WORDS) for _ in range(rng.randint(1, 9))]
                rows.append((' '.join(words), [name for name, word in zip(NAMES, ('cat', 'dog', 'new'))
                                               if word in words]))
            self.texts[name] = rows
            self.write(name + '.jsonl', ''.join(
                json.dumps({'sentence': text, 'label': labels}) + '\n' for text, labels in rows))

    def start(self, train='train.jsonl', validation='dev.jsonl', more='', **how):
        return self.text(override=self.tables(train, validation, MULTI + (',' + more if more else '')),
                         **how)

    def values(self, folder='out', kind='validation'):
        return [r for r in e2e.read_jsonl(self.path(folder)) if r['kind'] == kind][-1]

    def predictions(self, folder='out', name='predictions.tsv'):
        with open(self.path(folder, name), encoding='utf-8') as source:
            return source.read().splitlines()



class Tables(MultiLabel):
    def test_a_list_of_names(self):
        result = self.start(more='task.validation_data.global_batch_size=20')
        self.assertRegex(result.stderr, 'task.train_data: 3 classes by name, numbered from 0: ')
        with open(self.path('out', 'labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], sorted(NAMES))
        self.start(mode='predict')
        lines = [line.split('\t') for line in self.predictions()]
        self.assertEqual(lines[0], ['id', 'labels'] + ['probability_' + n for n in sorted(NAMES)])
        rows = []
        for (_, labels), line in zip(self.texts['dev'], lines[1:]):
            found = [float(p) >= 0.5 for p in line[2:]]
            self.assertEqual(line[1], ','.join(n for n, f in zip(sorted(NAMES), found) if f))
            rows.append(([n in labels for n in sorted(NAMES)], found))
        micro, macro, exact = f1_of(rows)
        last = self.values()
        for name, value in (('f1_micro', micro), ('f1_macro', macro), ('exact_match', exact)):
            self.assertAlmostEqual(last[name], value, delta=1e-6)
        probabilities = [[float(p) for p in line[2:]] for line in lines[1:]]
        loss = [-math.log(p if a else 1 - p)
                for (applies, _), row in zip(rows, probabilities) for a, p in zip(applies, row)]
        self.assertAlmostEqual(last['validation_loss'], sum(loss) / len(loss), delta=1e-5)

    def test_every_form_is_the_same_model(self):
        self.start(model_dir='list')
        names = sorted(NAMES)
        for split, rows in self.texts.items():
            self.write(split + '.tsv', 'sentence\tlabel\n' + ''.join(
                '%s\t%s\n' % (text, '|'.join(labels)) for text, labels in rows))
            self.write(split + '.csv', 'sentence,%s\n' % ','.join('"%s"' % n.replace('"', '""')
                                                                  for n in names) + ''.join(
                '%s,%s\n' % (text, ','.join('01'[n in labels] for n in names))
                for text, labels in rows))
            self.write(split + '_ids.jsonl', ''.join(json.dumps(
                {'sentence': text, 'label': [names.index(n) for n in labels]}) + '\n'
                for text, labels in rows))
        self.start('train.tsv', 'dev.tsv', SPLIT, model_dir='text')
        columns = ','.join('task.%s_data.label_fields=[cat,dog,"new, \\"york\\""]' % section
                           for section in ('train', 'validation'))
        self.start('train.csv', 'dev.csv', columns, model_dir='columns')
        self.start('train_ids.jsonl', 'dev_ids.jsonl', model_dir='ids')
        for folder in ('text', 'columns', 'ids'):
            self.same_run('list', folder)
        with open(self.path('columns', 'labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], names)
        result = self.start('train.csv', 'dev.csv', columns.replace('[cat,dog', '[dog,cat', 1),
                            expect=CONFIG)
        self.assertIn("class 0 is 'cat' in task.validation_data.label_fields, but 'dog' in "
                      'task.train_data.label_fields', self.one_error(result))

    def test_it_learns_and_goes_on_after_a_kill(self):
        more = ('trainer.train_steps=60,trainer.checkpoint_interval=25,trainer.validation_interval=60,'
                'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.003,'
                'trainer.optimizer_config.learning_rate.polynomial.decay_steps=400')
        self.start(more=more, model_dir='straight')
        train = [r for r in e2e.read_jsonl(self.path('straight')) if r['kind'] == 'train']
        self.assertLess(train[-1]['training_loss'], 0.8 * train[0]['training_loss'])
        for steps in (30, 60):
            self.start(more=more.replace('steps=60', 'steps=%d' % steps, 1), model_dir='cut',
                       mode='train')
        self.same_values(self.path('straight', 'ckpt-60'), self.path('cut', 'ckpt-60'))
        again = [r for r in e2e.read_jsonl(self.path('cut')) if r['kind'] == 'train']
        for name in ('f1_micro', 'f1_macro', 'exact_match', 'training_loss'):
            self.assertEqual(train[-1][name], again[-1][name])

    def test_soft_labels(self):
        self.write('soft.csv', 'sentence,a,b\nthe cat,0.25,1\nthe dog,1e-3,0.5\nrun,0,1.0\nx,1,0\n')
        fields = ','.join('task.%s_data.label_fields=[a,b]' % s for s in ('train', 'validation'))
        self.start('soft.csv', 'soft.csv', fields + ',task.model.num_classes=2')
        self.start('soft.csv', 'soft.csv', fields + ',task.model.num_classes=2', mode='predict')
        targets = [(0.25, 1), (1e-3, 0.5), (0, 1), (1, 0)]
        rows = [[float(p) for p in line.split('\t')[2:]] for line in self.predictions()[1:]]
        loss = [-(y * math.log(p) + (1 - y) * math.log(1 - p))
                for row, ys in zip(rows, targets) for p, y in zip(row, ys)]
        self.assertAlmostEqual(self.values()['validation_loss'], sum(loss) / len(loss), delta=1e-5)

    def test_lists_of_a_number_a_class(self):
        """As Hugging Face's own multi-label training wants them: 0.0 and 1.0, or soft; and objects."""
        names = sorted(NAMES)
        self.start(model_dir='list', more='task.label_names=[cat,dog,"new, \\"york\\""]')
        for name, form in (('floats', lambda v: v), ('whole', lambda v: [int(x) for x in v]),
                           ('truth', lambda v: [x > 0 for x in v]),
                           ('object', lambda v: dict(zip(names, v))),
                           ('present', lambda v: {n: 1 for n, x in zip(names, v) if x})):
            for split, rows in self.texts.items():
                self.write('%s_%s.jsonl' % (split, name), ''.join(json.dumps(
                    {'sentence': text, 'label': form([float(n in labels) for n in names])}) + '\n'
                    for text, labels in rows))
            self.start('train_%s.jsonl' % name, 'dev_%s.jsonl' % name, model_dir=name,
                       more='task.label_names=[cat,dog,"new, \\"york\\""]')
            self.same_run('list', name)

    def test_soft_lists(self):
        targets = [(0.25, 1), (1e-3, 0.5), (0, 1), (1, 0)]
        texts = ['the cat', 'the dog', 'run', 'x']
        two = 'task.model.num_classes=2'
        for name, form in (('list', list), ('object', lambda t: {'a': t[0], 'b': t[1]})):
            self.write(name + '.jsonl', ''.join(json.dumps({'sentence': text, 'label': form(t)}) + '\n'
                                                for text, t in zip(texts, targets)))
            self.start(name + '.jsonl', name + '.jsonl', two, model_dir=name)
        self.write('c.csv', 'sentence,a,b\n' + ''.join('%s,%r,%r\n' % (text, *t)
                                                        for text, t in zip(texts, targets)))
        self.start('c.csv', 'c.csv', two + ''.join(',task.%s_data.label_fields=[a,b]' % s
                                                   for s in ('train', 'validation')), model_dir='columns')
        self.same_run('columns', 'list')
        self.same_run('columns', 'object')
        self.write('hot.jsonl', ''.join('{"sentence": "%s", "label": %s}\n' % row for row in (
            ('a', '[0, 1]'), ('b', '[1, 0]'), ('c', '[1, 0]'))))  # of two: no list names both everywhere
        self.write('hot.csv', 'sentence,a,b\na,0,1\nb,1,0\nc,1,0\n')
        self.start('hot.jsonl', 'hot.jsonl', two + ',task.train_data.global_batch_size=3', model_dir='hot')
        self.start('hot.csv', 'hot.csv', two + ',task.train_data.global_batch_size=3' + ''.join(
            ',task.%s_data.label_fields=[a,b]' % s for s in ('train', 'validation')), model_dir='hot_columns')
        self.same_run('hot', 'hot_columns')

    def test_lists_of_two_forms(self):
        for other in ('[1]', '["a"]', '[]', '[0, 1, 0, 0]', '[0.5, 2.0, 1]'):
            for rows in (('[0.5, 0, 1]', other), (other, '[0.5, 0, 1]')):
                self.write('mixed.jsonl', ''.join('{"sentence": "x", "label": %s}\n' % row for row in rows))
                result = self.start('mixed.jsonl', expect=DATA)
                self.assertRegex(self.one_error(result), r'mixed\.jsonl:%d:\d+: the labels are not a list of 3 '
                                 'numbers from 0 to 1, one for each class, as those of line %d are'
                                 % ((2, 1) if rows[1] == other else (1, 2)))
        for value, words in (('{"a": 1.5}', "class 'a' is 1.5: expected a number from 0 to 1"),
                             ('{"a": "x"}', '"a" is a text, expected a number from 0 to 1')):
            self.write('mixed.jsonl', '{"sentence": "x", "label": %s}\n' % value)
            self.assertIn(words, self.one_error(self.start('mixed.jsonl', expect=DATA)))

    def test_threshold_and_json(self):
        self.start()
        args = ['--output_path=x.jsonl']
        for threshold, n in ((0.0001, 3), (0.9999, 0)):
            override = self.tables('train.jsonl', 'dev.jsonl', MULTI +
                                   ',task.prediction_threshold=%s' % threshold)
            result = e2e.run(['--experiment=bert/sentence_prediction', '--mode=predict',
                              '--model_dir=out', '--config_file=model.yaml', '--config_file=run.yaml',
                              '--config_file=text.yaml', '--params_override=' + override] + args,
                             cwd=self.folder)
            self.assertEqual(result.code, 0, str(result))
            for line in self.predictions('', 'x.jsonl'):
                row = json.loads(line)
                self.assertEqual(row['labels'], sorted(NAMES)[:n])
                self.assertEqual(sorted(row['probabilities']), sorted(NAMES))

    def test_records(self):
        for name in ('train', 'eval'):
            rows = e2e.make_rows(16, seed=len(name))
            for row in rows:
                row['label_ids'] = [row['input_ids'][1] % 2, 1, 0]
            e2e.write_records(self.path(name + '.tf_record'), rows)
        self.train(override=MULTI)
        self.assertEqual(self.values()['kind'], 'validation')
        rows[3]['label_ids'] = [0, 2, 0]
        e2e.write_records(self.path('eval.tf_record'), rows)
        result = self.train(override=MULTI, model_dir='two', expect=DATA)
        self.assertIn('label_ids[1] is 2: expected a number from 0 to 1', self.one_error(result))


class Refusals(MultiLabel):
    def refused(self, code, words, *args, **how):
        result = self.start(*args, expect=code, **how)
        self.assertRegex(self.one_error(result), words)
        self.assertFalse(os.path.exists(self.path('out')))

    def test_labels(self):
        def table(*labels):
            return self.write('x.jsonl', ''.join(json.dumps({'sentence': 'a', 'label': v}) + '\n'
                                                 for v in labels))
        table(['a'], ['b', 'c'], ['d'])
        self.refused(DATA, r"x\.jsonl:3:1: label 'd': 4 different labels occur", 'x.jsonl')
        table(['cat'], ['dog', ''])
        self.refused(DATA, r'x\.jsonl:2:1: the label is empty', 'x.jsonl')
        table(['cat'], [['dog']])
        self.refused(DATA, r'x\.jsonl:2:1: "label"\[0\] is a list, expected the name or number',
                     'x.jsonl')
        table(['cat'], ['fish'])
        self.refused(DATA, r"x\.jsonl:2:1: label 'fish' is none of the classes 'cat', 'dog', .* of "
                     'task.train_data', validation='x.jsonl')
        self.write('x.csv', 'sentence,a,b,c\nx,0,1,2\n')
        self.refused(DATA, r"x\.csv:2:1: field c: '2': expected a number from 0 to 1", 'x.csv',
                     more='task.train_data.label_fields=[a,b,c]')
        self.write('x.csv', 'sentence,a,b,c\nx,0,,1\n')
        self.refused(DATA, r"x\.csv:2:1: field b: '': expected", 'x.csv',
                     more='task.train_data.label_fields=[a,b,c]')

    def test_keys(self):
        self.refused(CONFIG, r'label_fields has 2 columns, but task.model.num_classes is 3',
                     more='task.train_data.label_fields=[a,b]')
        self.refused(CONFIG, r"label_separator: expected one character, got '::'",
                     more='task.train_data.label_separator="::"')
        self.refused(CONFIG, 'prediction_threshold', more='task.prediction_threshold=0.0')
        self.refused(CONFIG, "metric_type is 'f1', which is not for several labels",
                     more='task.metric_type=f1')
        self.refused(CONFIG, 'class_weights and task.label_smoothing are for one class a row',
                     more='task.label_smoothing=0.1')
        self.refused(CONFIG, "problem_type is 'regression', but task.model.num_classes is 3",
                     more='task.problem_type=regression')
        self.refused(CONFIG, 'label_fields is for several labels a row',
                     more='task.problem_type=null,' + ONE_LABEL +
                     ',task.train_data.label_fields=[a,b,c]')

    def test_another_problem_later(self):
        self.write_tsv('one.tsv', [('a %s' % n, n) for n in ('x', 'y', 'z', 'x')])
        self.start('one.tsv', mode='train')
        result = self.start('one.tsv', mode='train', expect=CONFIG, more='trainer.train_steps=30,'
                            'task.problem_type=null')
        self.assertIn('out/labels.json: the model there', self.one_error(result))
        os.unlink(self.path('out/labels.json'))
        result = self.start('one.tsv', mode='train', expect=CONFIG, more='trainer.train_steps=30,'
                            'task.problem_type=null')
        self.assertIn('the head was trained for the other problem', self.one_error(result))
        self.start('one.tsv', mode='train', model_dir='two')
        os.rename(self.path('two/labels.json'), self.path('out/labels.json'))
        for mode in ('eval', 'predict'):
            result = self.start('one.tsv', 'one.tsv', mode=mode, expect=CONFIG,
                                more='task.problem_type=null,' + ONE_LABEL)
            self.assertIn("was trained for task.problem_type 'multi_label_classification'",
                          self.one_error(result))


class HuggingFace(e2e.Case):
    """tests/goldens/hf/bert_multi_label: transformers' probabilities, torch's loss."""
    HEAD = ',task.init_head=true,task.model.use_encoder_pooler=true'

    def setUp(self):
        super().setUp()
        self.weights = e2e.golden('hf/bert_multi_label')
        self.golden = read_safetensors(os.path.join(self.weights, 'expected.safetensors'))
        columns = {}
        for ours, theirs in (('input_ids', 'input_word_ids'), ('input_mask', 'input_mask'),
                             ('segment_ids', 'input_type_ids')):
            shape, values = self.golden[theirs]
            columns[ours] = [values[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]
        targets = self.golden['labels'][1]
        self.rows = [dict({key: column[i] for key, column in columns.items()},
                          label_ids=targets[4 * i:4 * i + 4]) for i in range(3)]
        e2e.write_records(self.path('eval.tf_record'), self.rows)
        e2e.write_records(self.path('train.tf_record'), self.rows)

    def start(self, mode, weights=None, more='', expect=0):
        keys = ['task.model.encoder.bert.%s=%s' % pair
                for pair in dict(SIZES, hidden_activation='gelu_erf').items()]
        return self.train(mode=mode, expect=expect, override=','.join(
            ['task.init_checkpoint=' + (weights or self.weights), SHORT, 'task.model.num_classes=4',
             'trainer.best_checkpoint_eval_metric=f1_micro',
             'task.train_data.global_batch_size=3'] + keys) + self.HEAD + more)

    def test_probabilities_and_loss(self):
        result = self.start('predict')
        self.assertIn("the head's problem: multi_label_classification", result.stderr)
        with open(self.path('out', 'predictions.tsv'), encoding='utf-8') as source:
            lines = [line.split('\t') for line in source.read().splitlines()]
        self.assertEqual(lines[0][2:], ['probability_' + n for n in
                                        ('toxic', 'insult', 'threat, open', 'other')])
        logits = self.golden['logits'][1]
        got = [float(p) for line in lines[1:] for p in line[2:]]
        for value, logit in zip(got, logits):
            self.assertAlmostEqual(value, sigmoid(logit), delta=1e-6)
        self.assertEqual(len(got), len(logits))
        rate = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.0'
        self.start('train_and_eval', more=',' + rate)
        record = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]
        self.assertAlmostEqual(record['validation_loss'], self.golden['loss'][1][0], delta=1e-6)
        self.assertIn('problem_type: multi_label_classification', e2e.read_params(self.path('out')))

    def test_the_gradient(self):
        """One step of plain descent at rate 1 takes the sum of torch's gradient off the bias."""
        keys = ('task.model.head_dropout=0.0,task.model.encoder.bert.dropout_rate=0.0,'
                'task.model.encoder.bert.attention_dropout_rate=0.0,'
                'trainer.optimizer_config.optimizer.type=sgd,'
                'trainer.optimizer_config.learning_rate.type=constant,'
                'trainer.optimizer_config.learning_rate.constant.learning_rate=1.0,'
                'trainer.optimizer_config.warmup.type=null,trainer.train_steps=1,'
                'trainer.checkpoint_interval=1')
        self.start('train', more=',' + keys)
        bundle = e2e.read_bundle(self.path('out/ckpt-1'))
        biases = [entry.floats() for name, entry in bundle.items()
                  if entry.shape == [4] and 'OPTIMIZER_SLOT' not in name]
        self.assertEqual(len(biases), 1)
        before = read_safetensors(os.path.join(self.weights, 'model.safetensors'))
        gradient = self.golden['d_logits'][1]
        for c, got in enumerate(biases[0]):
            want = before['classifier.bias'][1][c] - sum(gradient[c::4])
            self.assertAlmostEqual(got, want, delta=1e-6)

    def test_a_contradiction(self):
        result = self.start('train', more=',task.problem_type=single_label_classification', expect=2)
        self.assertRegex(self.one_error(result), "task.problem_type is 'single_label_classification', "
                         "but the head that task.init_head takes was trained for "
                         r"'multi_label_classification' \(problem_type of \S+config.json\)")
        shutil.copytree(self.weights, self.path('weights'))
        config = self.path('weights/config.json')
        with open(config, encoding='utf-8') as source:
            facts = json.load(source)
        facts['problem_type'] = 'regression'
        with open(config, 'w', encoding='utf-8') as out:
            json.dump(facts, out)
        result = self.start('train', 'weights', expect=2)
        self.assertIn('takes predicts 4 scores (problem_type of weights/config.json)',
                      self.one_error(result))


if __name__ == '__main__':
    e2e.main()
