# SPDX-License-Identifier: Apache-2.0
"""bert/squad through the program, on a made-up language whose answers are easy to see: training from
JSON and from records, evaluation, predictions, padding, stops and restarts, and every kind of bad
input."""

import json
import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

WORDS = ['w%d' % i for i in range(40)]
GOLD = ['gold%d' % i for i in range(6)]
SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'who', 'what', '?', '.']

MODEL = """\
task:
  model:
    encoder:
      type: bert
      bert: {hidden_size: 32, intermediate_size: 64, max_position_embeddings: 32,
             num_attention_heads: 2, num_layers: 2, vocab_size: 60}
"""
# validation_data.is_training stays true, Model Garden's default: an evaluation ends all the same.
RUN = """\
task:
  train_data: {input_path: train.json, vocab_file: vocab.txt, seq_length: 24, doc_stride: 8,
               global_batch_size: 8, query_length: 8}
  validation_data: {input_path: dev.json, vocab_file: vocab.txt, seq_length: 24, doc_stride: 8,
                    global_batch_size: 8, query_length: 8}
trainer:
  train_steps: 200
  steps_per_loop: 20
  summary_interval: 20
  checkpoint_interval: 40
  validation_interval: 100
  validation_steps: -1
  max_to_keep: 5
  best_checkpoint_export_subdir: best_ckpt
  best_checkpoint_eval_metric: final_f1
  best_checkpoint_metric_comp: higher
  optimizer_config:
    learning_rate: {type: polynomial,
                    polynomial: {initial_learning_rate: 0.005, decay_steps: 200}}
    warmup: {type: polynomial, polynomial: {warmup_steps: 10}}
"""
V2 = ('task.train_data.version_2_with_negative=true,'
      'task.validation_data.version_2_with_negative=true,'
      'task.train_data.input_path=train2.json,task.validation_data.input_path=dev2.json')


def make_questions(n, seed, version_2=False):
    """The answer is the one golden word of the context, and a word after it for "what"; without a
    golden word there is none."""
    rng = random.Random(seed)
    paragraphs = []
    for i in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(6, 30))]
        has_answer = not version_2 or rng.random() < 0.7
        at = rng.randint(0, len(words) - 2)
        if has_answer:
            words[at] = rng.choice(GOLD).capitalize()
        context = ' '.join(words) + '.'
        qas = []
        for k, ask in enumerate(('who', 'what')):
            answer = ' '.join(words[at:at + 1 + k])
            start = len(' '.join(words[:at])) + (1 if at > 0 else 0)
            answers = [{'text': answer, 'answer_start': start}] if has_answer else []
            qa = {'id': 'q%d-%d-%d' % (seed, i, k), 'question': ask + '?', 'answers': answers}
            qas.append(dict(qa, is_impossible=not has_answer) if version_2 else qa)
        paragraphs.append({'context': context, 'qas': qas})
    return {'version': 'made up', 'data': [{'title': 'made up', 'paragraphs': paragraphs}]}


def questions_of(data):
    return [qa for article in data['data'] for p in article['paragraphs'] for qa in p['qas']]


class Squad(e2e.Case):
    def setUp(self):
        super().setUp()
        self.write('model.yaml', MODEL)
        self.write('run.yaml', RUN)
        self.write('vocab.txt', '\n'.join(SPECIAL + WORDS + GOLD) + '\n')
        for name, n, seed, version_2 in (('train', 40, 1, False), ('dev', 12, 2, False),
                                         ('train2', 40, 3, True), ('dev2', 12, 4, True)):
            self.write(name + '.json', json.dumps(make_questions(n, seed, version_2)))

    def args(self, **how):
        return [a.replace('bert/sentence_prediction', 'bert/squad') for a in super().args(**how)]

    def read_json(self, *names):
        with open(self.path(*names), encoding='utf-8') as source:
            return json.load(source)

    def read(self, *names):
        with open(self.path(*names), 'rb') as source:
            return source.read()

    def last(self, kind='validation', folder='out'):
        return [r for r in e2e.read_jsonl(self.path(folder)) if r['kind'] == kind][-1]


class Train(Squad):
    def test_it_learns(self):
        result = self.train()
        last = self.last()
        self.assertGreater(last['final_f1'], 0.8)
        self.assertGreater(self.last('train')['start_position_accuracy'], 0.9)
        self.assertEqual({k for k in last if 'second' not in k} - {'kind', 'step', 'examples'},
                         {'exact_match', 'final_f1', 'best_final_f1'})
        self.assertIn('final_f1', result.stdout)
        predictions = self.read_json('out', 'predictions.json')
        questions = questions_of(self.read_json('dev.json'))
        self.assertEqual(list(predictions), [q['id'] for q in questions])
        n_right = sum(predictions[q['id']].lower().strip('.') ==
                      q['answers'][0]['text'].lower().strip('.') for q in questions)
        self.assertAlmostEqual(n_right / len(questions), last['exact_match'], delta=1e-12)
        nbest = self.read_json('out', 'nbest_predictions.json')
        self.assertEqual({k: v[0]['text'] for k, v in nbest.items()}, predictions)
        self.assertFalse(os.path.exists(self.path('out', 'null_odds.json')))
        self.assertFalse(os.path.exists(self.path('out', 'eval.tf_record')))

    def test_records_and_json_are_the_same_training(self):
        tool = ['--fine_tuning_task_type=squad', '--squad_data_file=train.json',
                '--vocab_file=vocab.txt', '--max_seq_length=24', '--doc_stride=8',
                '--max_query_length=8', '--train_data_output_path=train.tf_record',
                '--meta_data_file_path=meta']
        made = e2e.run(tool, name='create-finetuning-data', cwd=self.folder)
        self.assertEqual(made.code, 0, str(made))
        steps = 'trainer.train_steps=20'
        self.train(mode='train', override=steps)
        self.train(mode='train', model_dir='records',
                   override=steps + ',task.train_data.input_path=train.tf_record')
        self.same_values(self.path('out', 'ckpt-20'), self.path('records', 'ckpt-20'))

    def test_padding(self):
        """Kept in training unless `drop` says otherwise; in an evaluation only with `keep`."""
        losses = {}
        for padding in ('auto', 'keep', 'drop'):
            override = 'trainer.train_steps=20,trainer.validation_interval=20,runtime.padding='
            self.train(model_dir=padding, override=override + padding)
            train = self.last('train', padding)
            losses[padding] = train['training_loss']
            self.assertEqual(train['padding_avoided'] > 0, padding == 'drop')
        self.assertEqual(losses['auto'], losses['keep'])
        self.assertGreater(losses['auto'], losses['drop'])  # fewer places to choose among
        # the same weights, with padding and without: the same answers
        self.train(mode='eval', model_dir='keep', override='runtime.padding=keep')
        keep = self.read_json('keep', 'predictions.json')
        self.train(mode='eval', model_dir='keep', override='runtime.padding=auto')
        self.assertEqual(keep, self.read_json('keep', 'predictions.json'))
        values = [(r['exact_match'], r['final_f1']) for r in e2e.read_jsonl(self.path('keep'))
                  if r['kind'] == 'validation']
        self.assertEqual(len(values), 1)  # an evaluation that gives the same adds no record

    def test_its_own_checkpoint_with_the_head(self):
        self.train(mode='train', override='trainer.train_steps=20')
        result = self.train(mode='train', model_dir='again', override=(
            'trainer.train_steps=20,task.init_checkpoint=out/ckpt-20,task.init_head=true'))
        self.assertIn('loaded 41, missing 0', result.stderr)


class Version2(Squad):
    def test_scores_and_files(self):
        self.train(override=V2)
        last = self.last()
        self.assertEqual([k for k in last if k.startswith(('exact', 'final', 'f1', 'has', 'no_'))],
                         ['exact_match', 'final_f1', 'exact_match_threshold', 'f1_threshold',
                          'has_answer_exact_match', 'has_answer_f1',
                          'no_answer_exact_match', 'no_answer_f1'])
        self.assertGreater(last['final_f1'], 0.8)
        self.assertGreater(last['exact_match'], 70)
        odds = self.read_json('out', 'null_odds.json')
        predictions = self.read_json('out', 'predictions.json')
        self.assertEqual(list(odds), list(predictions))
        for key, text in predictions.items():
            self.assertEqual(text == '', odds[key] > 0.0, key)
        self.assertGreater(sum(text == '' for text in predictions.values()), 0)

    def test_threshold(self):
        steps = ',trainer.train_steps=20,trainer.validation_interval=20'
        self.train(override=V2 + steps + ',task.null_score_diff_threshold=-1000')
        self.assertEqual(set(self.read_json('out', 'predictions.json').values()), {''})


class Predict(Squad):
    def test_same_as_the_evaluation(self):
        self.train(override=V2)
        files = ('predictions.json', 'nbest_predictions.json', 'null_odds.json')
        want = [self.read('out', name) for name in files]
        bare = self.read_json('dev2.json')
        for qa in questions_of(bare):
            del qa['answers'], qa['is_impossible']
        self.write('bare.json', json.dumps(bare))
        result = self.train(mode='predict', more=['--output_path=here'],
                            override=V2 + ',task.validation_data.input_path=bare.json')
        self.assertEqual(result.stdout, '')
        self.assertEqual(sorted(os.listdir(self.path('here'))), sorted(files))
        for name, data in zip(files, want):
            self.assertEqual(self.read('here', name), data, name)
        self.assertIn('here: predictions.json, nbest_predictions.json, null_odds.json: 24 questions',
                      result.stderr)

    def test_an_evaluation_needs_answers(self):
        self.train(mode='train', override='trainer.train_steps=20')
        bare = self.read_json('dev.json')
        for qa in questions_of(bare):
            del qa['answers']
        self.write('dev.json', json.dumps(bare))
        result = self.train(mode='eval', expect=3)
        self.assertIn("question 'q2-0-0': answers: expected a list, got nothing",
                      self.one_error(result))

    def test_part_of_an_evaluation(self):
        self.train(mode='train', override='trainer.train_steps=20')
        result = self.train(mode='eval', override='trainer.validation_steps=1')
        found = re.search(r'warning: only 8 of (\d+) windows were evaluated', result.stderr)
        self.assertTrue(found and int(found.group(1)) > 8, str(result))
        predictions = list(self.read_json('out', 'predictions.json').values())
        self.assertNotEqual(predictions[0], 'empty')
        self.assertEqual(predictions[-1], 'empty')

    def test_records_of_an_evaluation(self):
        self.train(mode='train', override='trainer.train_steps=20')
        self.train(mode='eval',
                   override='task.validation_data.input_preprocessed_data_path=windows')
        records = e2e.read_records(self.path('windows', 'eval.tf_record'))
        self.assertEqual(len(records) % 8, 0)  # padded to whole batches


class Stops(Squad):
    """With dropout, shuffling and an evaluation in between."""
    LONGER = ('trainer.train_steps=%d,trainer.validation_interval=%d,trainer.checkpoint_interval=40'
              % ((600, 200) if not e2e.SANITIZED else (200, 100)))

    def stop_and_go(self, number):
        steps = int(self.LONGER.split('=')[1].split(',')[0])
        self.train(model_dir='straight', override=self.LONGER)
        n_stopped = 0
        for share in (0.2, 0.5):
            def there():
                return any(r['step'] >= steps * share for r in e2e.read_jsonl(self.path('out')))
            result = self.train(expect=None, override=self.LONGER,
                                run_how={'stop_when': (there, number)})
            n_stopped += result.code in (75, -number)
        self.assertGreater(n_stopped, 0, 'the run ended before it could be stopped')
        self.train(override=self.LONGER)
        name = 'ckpt-%d' % steps
        self.same_values(self.path('straight', name), self.path('out', name))
        for file in ('predictions.json', 'nbest_predictions.json'):
            self.assertEqual(self.read('straight', file), self.read('out', file))

    def test_sigterm(self):
        self.stop_and_go(signal.SIGTERM)

    def test_kill(self):
        self.stop_and_go(signal.SIGKILL)


TRAIN = 'task.train_data.'
DEV = 'task.validation_data.'


class BadInput(Squad):
    """One sentence with the place, before anything is written."""
    CONFIG, DATA = 2, 3
    CASES = [
        (DEV + 'input_path=none.json', DATA, 'none.json: no such file'),
        (DEV + 'vocab_file=none.txt', DATA, 'none.txt: no such file'),
        (DEV + "vocab_file=''", CONFIG, DEV + 'vocab_file is empty'),
        (TRAIN + "vocab_file=''", CONFIG, TRAIN + 'vocab_file is empty'),
        (DEV + 'vocab_file=model.yaml', DATA, 'model.yaml: the vocabulary'),
        (DEV + 'vocab_file=big.txt', CONFIG, 'but the model\'s vocab_size is 60'),
        (DEV + 'input_path=model.yaml', DATA, 'model.yaml:1:4: not JSON'),
        (DEV + 'input_path=train.tf_record', DATA, 'train.tf_record: questions are read from their'),
        (DEV + 'input_path=cut.json', DATA, 'cut.json:1:'),
        (DEV + 'input_path=dev2.json', DATA, 'dev2.json: article 1 (\'made up\'), paragraph '),
        (DEV + 'input_path=twice.json', DATA, "question 'q2-0-0': id: question 1 has the same one"),
        (DEV + 'input_path=number.json', DATA, "paragraph 1: context: expected a text, got a number"),
        (DEV + 'seq_length=33', CONFIG, 'max_position_embeddings'),
        (DEV + 'seq_length=5', CONFIG, 'no room for the document'),
        (DEV + 'doc_stride=0', CONFIG, 'doc_stride'),
        (DEV + 'tokenization=SentencePiece', CONFIG, "tokenization: 'SentencePiece'"),
        (DEV + 'xlnet_format=true', CONFIG, 'xlnet_format: true'),
        ('task.n_best_size=0', CONFIG, 'n_best_size'),
        ('trainer.best_checkpoint_eval_metric=f1', CONFIG, 'has only exact_match, final_f1'),
        ('trainer.best_checkpoint_eval_metric=f1_threshold', CONFIG, 'version_2_with_negative'),
        (TRAIN + 'input_path=dev.tf_record', DATA, 'dev.tf_record: no such file'),
        (TRAIN + 'input_path=train.tf_record,' + TRAIN + 'seq_length=16', DATA,
         'feature start_positions (int64) is required but missing'),
        (TRAIN + 'input_path=wrong.json', DATA, "question 'q1-0-0': answer_start: got 999, but"),
        (TRAIN + 'input_path=two.json', DATA, "question 'q1-0-1': answers: expected exactly 1, as"),
        (TRAIN + 'version_2_with_negative=true', DATA, 'is_impossible: expected true or false'),
    ]

    def setUp(self):
        super().setUp()
        self.write('big.txt', '\n'.join(SPECIAL + WORDS + GOLD + list('abcdefgh')) + '\n')
        dev = self.read_json('dev.json')
        self.write('cut.json', json.dumps(dev)[:200])
        self.write('twice.json', json.dumps({'data': dev['data'] * 2}))
        self.write('number.json', '{"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}')
        train = self.read_json('train.json')
        questions_of(train)[0]['answers'][0]['answer_start'] = 999
        self.write('wrong.json', json.dumps(train))
        train = self.read_json('train.json')
        questions_of(train)[1]['answers'] *= 2
        self.write('two.json', json.dumps(train))

    def test_refused(self):
        for override, code, text in self.CASES:
            with self.subTest(override):
                result = self.train(expect=code, override=override)
                self.assertIn(text, self.one_error(result))
                self.assertFalse(os.path.exists(self.path('out')))

    def test_predictions_are_several_files(self):
        self.train(mode='train', override='trainer.train_steps=20')
        for flag, text in (('--output_path=p.json', 'name a folder'),
                           ('--output_format=tsv', 'written as json'),
                           ('--glue_submission=g', 'SQuAD is not a task of GLUE')):
            result = self.train(mode='predict', expect=2, more=[flag])
            self.assertIn(text, self.one_error(result))


class Told(Squad):
    """What is said of questions and their texts before the first step."""

    def start(self, train=None, dev=None, more='', **how):
        for name, data in (('train', train), ('dev', dev)):
            if data is not None:
                self.write(name + '.json', json.dumps({'data': [{'title': 't', 'paragraphs': data}]}))
        return self.train(override='trainer.train_steps=1,trainer.steps_per_loop=1,'
                          'trainer.validation_interval=1' + (',' + more if more else ''), **how).stderr

    def paragraph(self, context, *questions):
        """questions: (id, text, answer or None, answer_start)"""
        return {'context': context,
                'qas': [{'id': i, 'question': text, 'is_impossible': answer is None,
                         'answers': [] if answer is None else [{'text': answer, 'answer_start': start}]}
                        for i, text, answer, start in questions]}

    def test_windows(self):
        """Windows of 24 hold 24 - 3 - 2 = 19 tokens of a context; each moves by 8."""
        words = ['w1'] * 30
        words[0], words[29] = 'gold1', 'gold2'
        text = ' '.join(words)
        end = len(text) - 5
        train = [self.paragraph(text, ('a', 'who?', 'gold1', 0), ('b', 'what?', 'gold2', end),
                                ('c', 'who?', text, 0)),
                 self.paragraph('gold1' + ' w1' * 19, ('d', 'who?', 'gold1', 0),
                                ('e', 'who ' * 7 + '?', 'w1', 6), ('f', 'who ' * 8 + '?', 'w1', 6)),
                 self.paragraph('gold1 w1', ('g', 'who?', 'gold1', 0))]
        said = self.start(train)
        # a, b, c: tokens 0-18, 8-26, 16-29; a is in the first, b in the last, c in none
        # d: 0-18, 8-19; e, f: 0-12, 8-19; each in the first
        self.assertIn('task.train_data: 6 of 7 questions need several windows of seq_length 24: 16 windows '
                      'in all; 10 do not show the answer and train that there is none\n', said)
        self.assertIn('warning: task.train_data: 1 of 7 questions have an answer that no window shows as a '
                      'whole, and train that there is none', said)
        self.assertIn('task.train_data: 1 of 7 questions are longer than query_length 8 and cut\n', said)
        self.assertNotRegex(said, 'UNK|empty|occurs|without words')

    def test_texts_and_answers(self):
        dev = [self.paragraph('gold1 w1', ('a', ' ', 'gold1', 0), ('b', 'who?', None, 0)),
               self.paragraph('gold2 w2', ('c', 'who?', 'Gold2', 0), ('d', 'what?', 'gold2 w2', 0)),
               self.paragraph(' \n', ('e', 'who?', None, 0))]
        said = self.start(dev=dev, more=V2.replace('dev2', 'dev'))
        self.assertIn("warning: task.validation_data: 1 of 5 questions have an empty text, the first is "
                      "dev.json: question 'a'\n", said)
        self.assertIn('task.validation_data: 2 of 5 questions have no answer\n', said)
        self.assertIn('warning: task.validation_data: of 1 of 3 questions with answers none occurs in the '
                      'context: they cannot be answered exactly\n', said)
        self.assertIn('warning: task.validation_data: 1 of 5 questions have a context without words', said)

    def test_questions_of_both_sections(self):
        dev = make_questions(12, 2)['data'][0]['paragraphs']
        train = make_questions(40, 1)['data'][0]['paragraphs'] + [dev[5]]
        train.append(dict(dev[7], context=dev[7]['context'] + ' w1'))  # the same question of another text
        wanted = ('warning: task.validation_data: 2 of 24 questions (8.3 %) have the texts of a question of '
                  'task.train_data, the first is question 11: ')
        self.assertIn(wanted, self.start(train, dev))
        for name, data in (('train', train), ('dev', dev)):  # the flat form
            self.write(name + '.json', ''.join(json.dumps(dict(qa, context=p['context'])) + '\n'
                                               for p in data for qa in p['qas']))
        self.assertIn(wanted, self.start(model_dir='flat'))

    def test_case_of_both_sections(self):
        self.assertIn('task.train_data.do_lower_case is true, task.validation_data.do_lower_case is false: '
                      'the model would be evaluated on other tokens',
                      self.start(more='task.validation_data.do_lower_case=false', expect=2))

    def test_case_of_the_vocabulary(self):
        dev = [self.paragraph('Gold1 W1 w2', ('a', 'who?', 'W1', 6))]
        said = self.start(dev=dev, more='task.validation_data.do_lower_case=false,'
                                        'task.train_data.do_lower_case=false')
        self.assertRegex(said, r'warning: task\.validation_data\.do_lower_case is false, but 0 of \d+ '
                               r'pieces .*; 40\.0 % of the tokens are \[UNK\]')


if __name__ == '__main__':
    e2e.main()
