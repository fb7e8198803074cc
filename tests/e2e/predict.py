# SPDX-License-Identifier: Apache-2.0
"""--mode=predict: what is written, in which order, under which names, and what is refused."""

import json
import math
import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

REGRESSION = 'task.model.num_classes=1,task.train_data.label_type=float,' \
    'task.validation_data.label_type=float,trainer.best_checkpoint_eval_metric=validation_loss'
RATE = 'trainer.optimizer_config.learning_rate.polynomial.'
LEARN = ',trainer.train_steps=150,trainer.validation_interval=150,' + RATE + \
    'initial_learning_rate=0.005,' + RATE + 'decay_steps=150'


def read_tsv(path):
    """(header, rows) of a table."""
    with open(path, encoding='utf-8') as source:
        lines = source.read().split('\n')
    assert lines[-1] == '', 'a torn last line'
    return lines[0].split('\t'), [line.split('\t') for line in lines[1:-1]]


class Predict(e2e.Case):
    def predict(self, expect=0, **how):
        result = self.train(mode='predict', expect=expect, **how)
        self.assertEqual(result.stdout, '', 'stdout is untouched')
        return result

    def last_evaluation(self):
        records = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation']
        return records[-1]

    def labels_of(self, name):
        """The labels that e2e.make_rows gives the rows of eval.tf_record."""
        self.assertEqual(name, 'eval.tf_record')
        return [row['label_ids'][0] for row in e2e.make_rows(20, seed=8)]

    def check_loss(self, rows, labels):
        """Mean over batches of 8 of the mean cross entropy: what the evaluation reported."""
        losses = [-math.log(float(row[2 + label])) for row, label in zip(rows, labels)]
        batches = [losses[at:at + 8] for at in range(0, len(losses), 8)]
        mean = sum(sum(b) / len(b) for b in batches) / len(batches)
        self.assertAlmostEqual(mean, self.last_evaluation()['validation_loss'], delta=2e-6)


class Classes(Predict):
    def test_probabilities_are_those_of_the_evaluation(self):
        self.train()
        self.predict()
        header, rows = read_tsv(self.path('out', 'predictions.tsv'))
        self.assertEqual(header, ['id', 'label', 'probability_0', 'probability_1',
                                  'probability_2'])
        self.assertEqual([row[0] for row in rows], [str(i) for i in range(20)])
        labels = self.labels_of('eval.tf_record')
        for row in rows:
            values = [float(v) for v in row[2:]]
            self.assertAlmostEqual(sum(values), 1.0, delta=1e-6)
            self.assertEqual(int(row[1]), values.index(max(values)))
        n_right = sum(int(row[1]) == label for row, label in zip(rows, labels))
        self.assertAlmostEqual(n_right / 20, self.last_evaluation()['cls_accuracy'], delta=1e-7)
        self.check_loss(rows, labels)

    def test_averaged_weights_are_used(self):
        ema = 'trainer.optimizer_config.ema.average_decay=0.5'
        self.train(override=ema)
        self.predict(override=ema)
        rows = read_tsv(self.path('out', 'predictions.tsv'))[1]
        self.check_loss(rows, self.labels_of('eval.tf_record'))
        self.predict(more=['--output_path=plain.tsv'])
        self.assertNotEqual(rows, read_tsv(self.path('plain.tsv'))[1])

    def test_json_lines_say_the_same(self):
        self.train(override='task.label_names=["one \\"x\\"","zwei",drei]')
        self.predict()
        self.predict(more=['--output_path=deep/er/p.jsonl'])
        self.predict(more=['--output_path=p.txt', '--output_format=jsonl'])
        header, rows = read_tsv(self.path('out', 'predictions.tsv'))
        with open(self.path('deep/er/p.jsonl'), encoding='utf-8') as source:
            text = source.read()
        with open(self.path('p.txt'), encoding='utf-8') as source:
            self.assertEqual(source.read(), text)
        objects = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(len(objects), len(rows))
        for row, one in zip(rows, objects):
            self.assertEqual(list(one), ['id', 'label', 'probabilities'])
            self.assertEqual([str(one['id']), one['label']], row[:2])
            self.assertEqual(['probability_' + name for name in one['probabilities']], header[2:])
            self.assertEqual(list(one['probabilities'].values()), [float(v) for v in row[2:]])

    def test_rows_come_in_the_order_of_the_files(self):
        rows = e2e.make_rows(23, seed=3)
        for i, row in enumerate(rows):
            row['example_id'] = [1000 - i]
        e2e.write_records(self.path('a.tf_record'), rows[:11])
        e2e.write_records(self.path('b.tf_record'), rows[11:])
        e2e.write_records(self.path('all.tf_record'), rows)
        # what an evaluation would shuffle, repeat, interleave or leave out
        section = 'task.validation_data.'
        odd = (section + 'is_training=true,' + section + 'drop_remainder=true,' + section +
               'cycle_length=2,' + section + 'shuffle_buffer_size=50,' + section +
               'include_example_id=true,')
        self.train()
        self.predict(override=section + 'input_path=all.tf_record')
        plain = read_tsv(self.path('out', 'predictions.tsv'))[1]
        self.predict(override=odd + section + 'input_path="a.tf_record,b.tf_record"')
        with_ids = read_tsv(self.path('out', 'predictions.tsv'))[1]
        self.assertEqual([row[0] for row in plain], [str(i) for i in range(23)])
        self.assertEqual([row[0] for row in with_ids], [str(1000 - i) for i in range(23)])
        for a, b in zip(plain, with_ids):  # batches differ, and with them the last bits
            self.assertEqual(a[1], b[1])
            for x, y in zip(a[2:], b[2:]):
                self.assertAlmostEqual(float(x), float(y), delta=1e-6)

    def test_labels_need_not_be_there(self):
        rows = e2e.make_rows(20, seed=8)
        self.train()
        self.predict()
        want = read_tsv(self.path('out', 'predictions.tsv'))
        for row in rows:
            del row['label_ids']
        e2e.write_records(self.path('eval.tf_record'), rows)
        self.predict()
        self.assertEqual(read_tsv(self.path('out', 'predictions.tsv')), want)

    def test_a_model_of_one_class_is_noticed(self):
        self.train(override='trainer.train_steps=1')
        rows = e2e.make_rows(1, seed=8) * 5
        e2e.write_records(self.path('eval.tf_record'), rows)
        result = self.predict(override='task.label_names=[a,b,c]')
        self.assertRegex(result.stderr, r'warning: all 5 predictions are class [abc]: ')


class Scores(Predict):
    def setUp(self):
        super().setUp()
        e2e.write_records(self.path('train.tf_record'), e2e.make_rows(64, seed=7, n_classes=1))
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(20, seed=8, n_classes=1))

    def test_scores(self):
        self.train(override=REGRESSION)
        self.predict(override=REGRESSION)
        header, rows = read_tsv(self.path('out', 'predictions.tsv'))
        self.assertEqual(header, ['id', 'score'])
        labels = [row['label_ids'][0] for row in e2e.make_rows(20, seed=8, n_classes=1)]
        error = sum((float(row[1]) - label)**2 for row, label in zip(rows, labels)) / 20
        self.assertAlmostEqual(error, self.last_evaluation()['mean_squared_error'], delta=1e-5)
        self.predict(override=REGRESSION, more=['--output_path=p.jsonl'])
        with open(self.path('p.jsonl'), encoding='utf-8') as source:
            objects = [json.loads(line) for line in source]
        self.assertEqual([[str(o['id']), o['score']] for o in objects],
                         [[row[0], float(row[1])] for row in rows])
        self.assertFalse(os.path.exists(self.path('out', 'labels.json')))


class Start(Predict):
    def test_any_checkpoint_can_be_named(self):
        self.train()
        best = e2e.read_state_file(self.path('out', 'best_ckpt'))[0]
        made = {}
        for how in ('latest', 'best', 'out/ckpt-5', 'out/best_ckpt/' + best):
            self.predict(more=['--checkpoint=' + how, '--output_path=p.tsv'])
            made[how] = read_tsv(self.path('p.tsv'))
        self.assertEqual(made['best'], made['out/best_ckpt/' + best])
        self.assertNotEqual(made['latest'], made['out/ckpt-5'])
        early = self.train(mode='eval', more=['--checkpoint=out/ckpt-5'])
        self.assertTrue(early.stdout.startswith('step 5\n'), early.stdout)

    def test_a_head_can_come_from_init_checkpoint(self):
        self.train()
        self.predict()
        want = read_tsv(self.path('out', 'predictions.tsv'))
        init = 'task.init_checkpoint=out/ckpt-20'
        self.predict(model_dir='new', override=init + ',task.init_head=true')
        self.assertEqual(read_tsv(self.path('new', 'predictions.tsv')), want)
        result = self.predict(model_dir='other', override=init, expect=2)
        self.assertIn('no checkpoint in --model_dir other', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('other')))

    def test_what_is_not_there_is_said(self):
        self.train(override='trainer.best_checkpoint_export_subdir=""')
        result = self.predict(more=['--checkpoint=best'], expect=2)
        self.assertIn('--checkpoint=best: no checkpoint in out/best_ckpt', self.one_error(result))
        result = self.predict(more=['--checkpoint=out/ckpt-11'], expect=3)
        self.assertIn('out/ckpt-11', self.one_error(result))

    def test_nothing_else_is_written(self):
        self.train()
        before = sorted(os.listdir(self.path('out')))
        with open(self.path('out', 'metrics.jsonl'), encoding='utf-8') as source:
            log = source.read()
        self.predict(more=['--output_path=elsewhere.tsv'])
        self.assertEqual(sorted(os.listdir(self.path('out'))), before)
        with open(self.path('out', 'metrics.jsonl'), encoding='utf-8') as source:
            self.assertEqual(source.read(), log)


class Whole(Predict):
    """A file of predictions is there whole or as it was."""

    def test_stopped_and_started_again(self):
        self.train()
        self.predict()
        want = read_tsv(self.path('out', 'predictions.tsv'))
        os.remove(self.path('out', 'predictions.tsv'))
        e2e.write_records(self.path('long.tf_record'), e2e.make_rows(20, seed=8) * 3000)
        long = 'task.validation_data.input_path=long.tf_record'

        def begun():
            return any('.tmp-' in name for name in os.listdir(self.path('out')))
        result = self.predict(override=long, expect=128 + signal.SIGTERM,
                              run_how={'stop_when': (begun, signal.SIGTERM)})
        self.assertRegex(result.stderr, r'bert-train: stopped by SIGTERM( after \d+ predictions)?; .*'
                         'there was nothing to save')
        self.assertFalse([n for n in os.listdir(self.path('out')) if n.startswith('predictions')])
        result = self.predict(override=long, expect=None,
                              run_how={'stop_when': (begun, signal.SIGKILL)})
        self.assertEqual(result.code, -signal.SIGKILL)
        self.assertTrue(begun(), 'killed before it began')
        self.predict()
        self.assertEqual(read_tsv(self.path('out', 'predictions.tsv')), want)
        self.assertFalse(begun(), 'what the killed run left is removed')

    def test_damaged_rows_leave_the_old_file(self):
        self.train()
        self.predict()
        want = read_tsv(self.path('out', 'predictions.tsv'))
        with open(self.path('eval.tf_record'), 'r+b') as out:
            out.seek(-20, os.SEEK_END)
            out.write(b'\xff\xff')
        result = self.predict(expect=3, override='task.validation_data.skip_bad_records=5')
        self.assertIn('record 19', self.one_error(result))
        self.assertEqual(read_tsv(self.path('out', 'predictions.tsv')), want)

    def test_no_room(self):
        self.train()
        if not os.path.exists('/dev/full'):
            self.skipTest('no /dev/full here')
        self.predict(more=['--output_path=/dev/full'], expect=4)
        self.write('file', b'')
        self.predict(more=['--output_path=file/p.tsv'], expect=4)
        result = self.predict(more=['--output_path=out'], expect=4)
        self.assertIn('it is a folder', self.one_error(result))

    def test_weights_that_are_no_numbers(self):
        self.train()
        prefix = self.path('out', 'ckpt-20')
        key = next(k for k, t in e2e.read_bundle(prefix).items()
                   if t.dtype == 1 and t.shape == [3] and 'OPTIMIZER' not in k)
        bias = e2e.read_bundle(prefix)[key]
        data_path = prefix + '.data-00000-of-00001'
        with open(data_path, 'rb') as source:
            data = bytearray(source.read())
        at = data.find(bias.raw)
        self.assertEqual(data.count(bias.raw), 1)
        data[at:at + 12] = b'\x00\x00\xc0\x7f' * 3
        with open(data_path, 'wb') as out:
            out.write(data)
        e2e.replace_checksum(prefix + '.index', key, e2e.masked_crc(bytes(data[at:at + 12])))
        result = self.predict(expect=3)
        self.assertIn('sentence_prediction/logits/bias holds nan (number 1 of 3)', self.one_error(result))


class Labels(Predict):
    def labels(self):
        with open(self.path('out', 'labels.json'), encoding='utf-8') as source:
            return json.load(source)

    def test_names_are_kept_by_training(self):
        self.train(override='task.label_names=[rot,grün,"a\\tb"]')
        self.assertEqual(self.labels(), {'num_labels': 3, 'label_names': ['rot', 'grün', 'a\tb'],
                                         'labels_are': 'numbers', 'processor_type': None})
        self.predict()
        header, rows = read_tsv(self.path('out', 'predictions.tsv'))
        self.assertEqual(header[2:], ['probability_rot', 'probability_grün',
                                      'probability_a\\tb'])
        self.assertTrue({row[1] for row in rows} <= {'rot', 'grün', 'a\\tb'})
        self.train(mode='eval', override='task.label_names=[rot,grün,"a\\tb"]')

    def test_other_names_are_refused(self):
        self.train(override='task.label_names=[a,b,c]')
        for mode in ('eval', 'predict', 'train'):
            result = self.train(mode=mode, override='task.label_names=[a,c,b]', expect=2)
            self.assertIn("class 1 is 'b' in out/labels.json, but 'c' in task.label_names",
                          self.one_error(result))
            result = self.train(mode=mode, override='task.model.num_classes=2', expect=2)
            self.assertIn('out/labels.json: the model there was trained on 3 classes',
                          self.one_error(result))

    def test_meta_data_name_the_classes(self):
        meta = {'processor_type': 'MNLI', 'num_labels': 3, 'task_type': 'bert_classification'}
        self.write('meta', json.dumps(meta))
        self.train(override='task.meta_data_path=meta')
        self.assertEqual(self.labels(), {
            'num_labels': 3, 'label_names': ['entailment', 'neutral', 'contradiction'],
            'labels_are': 'numbers', 'processor_type': 'MNLI'})
        self.write('meta', json.dumps(dict(meta, num_labels=2)))
        result = self.predict(override='task.meta_data_path=meta', expect=2)
        self.assertIn('task.meta_data_path meta: the data have 2 classes',
                      self.one_error(result))
        self.write('meta', json.dumps(dict(meta, processor_type='XNLI')))
        result = self.predict(override='task.meta_data_path=meta', expect=2)
        self.assertIn("class 0 is 'entailment' in out/labels.json, but 'contradiction' in meta",
                      self.one_error(result))
        self.write('meta', '{"num_labels": ')
        result = self.predict(override='task.meta_data_path=meta', expect=3)
        self.assertRegex(self.one_error(result), r'meta:1:\d+: not JSON')
        result = self.predict(override='task.meta_data_path=nowhere', expect=3)
        self.assertIn('nowhere', self.one_error(result))

    def test_a_damaged_labels_file(self):
        self.train()
        for text, code, words in (('[', 3, 'not JSON'), ('{}', 3, 'no number num_labels'),
                                  ('{"num_labels": 3, "label_names": [1, 2, 3]}', 3,
                                   'label_names[0] is not a string'),
                                  ('{"num_labels": 3, "label_names": ["a", "b"]}', 2,
                                   'names 2 classes, but the model has 3')):
            self.write('out/labels.json', text)
            result = self.predict(expect=code)
            self.assertIn('out/labels.json', self.one_error(result))
            self.assertIn(words, self.one_error(result))

    def test_wrong_names_are_sentences(self):
        for names, words in (('[a,b]', 'task.label_names names 2 classes, but the model has 3'),
                             ('[a,b,a]', "classes 0 and 2 have the same name 'a'"),
                             ('[a,"",b]', 'name 1 of the classes is empty')):
            result = self.train(override='task.label_names=' + names, expect=2)
            self.assertIn(words, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))


class Glue(Predict):
    """A file for every task of the leaderboard."""

    TASKS = {'CoLA': '0 1', 'SST-2': '0 1', 'MRPC': '0 1', 'QQP': '0 1', 'WNLI': '0 1',
             'QNLI': 'entailment not_entailment', 'RTE': 'entailment not_entailment',
             'MNLI-m': 'entailment neutral contradiction',
             'MNLI-mm': 'entailment neutral contradiction',
             'AX': 'entailment neutral contradiction'}

    def submission(self, task, ids, words):
        header, rows = read_tsv(self.path('sub', task + '.tsv'))
        self.assertEqual(header, ['index', 'prediction'])
        self.assertEqual([row[0] for row in rows], [str(i) for i in range(len(ids))])
        self.assertEqual([row[1] for row in rows], [words[i] for i in ids])

    def test_classes(self):
        rng = random.Random(1)
        for n_classes in (2, 3):
            override = 'task.model.num_classes=%d' % n_classes
            rows = [e2e.make_row(rng, n_classes=n_classes, vocab=9) for _ in range(64)]
            e2e.write_records(self.path('train.tf_record'), rows)
            e2e.write_records(self.path('eval.tf_record'), rows)
            self.train(override=override + LEARN, model_dir='out%d' % n_classes)
            for task, words in self.TASKS.items():
                if len(words.split()) != n_classes:
                    continue
                result = self.predict(override=override, model_dir='out%d' % n_classes, more=[
                    '--glue_submission=sub', '--glue_task=' + task, '--output_path=p.tsv'])
                self.assertIn("64 rows, but the leaderboard's test set of %s has " % task,
                              result.stderr)
                ids = [int(row[1]) for row in read_tsv(self.path('p.tsv'))[1]]
                self.submission(task, ids, words.split())
            self.assertEqual(len(set(ids)), n_classes, 'names that never come are not tested')

    def test_scores_are_cut_to_the_range(self):
        rows = [e2e.make_row(random.Random(i), vocab=9) for i in range(32)]
        for row in rows:
            row['label_ids'] = [20.0 if row['input_ids'][1] % 2 else -20.0]
        e2e.write_records(self.path('train.tf_record'), rows)
        e2e.write_records(self.path('eval.tf_record'), rows)
        far = REGRESSION + LEARN
        self.train(override=far)
        self.predict(override=far, more=['--glue_submission=sub', '--glue_task=sts-b'])
        scores = [float(row[1]) for row in read_tsv(self.path('out', 'predictions.tsv'))[1]]
        got = [row[1] for row in read_tsv(self.path('sub', 'STS-B.tsv'))[1]]
        self.assertEqual(got, ['%.3f' % min(5.0, max(0.0, score)) for score in scores])
        self.assertTrue({'0.000', '5.000'} <= set(got), got)

    def test_the_models_names_say_which_is_which(self):
        names = 'task.label_names=[neutral,contradiction,entailment]'
        self.train(override=names)
        self.predict(more=['--glue_submission=sub', '--glue_task=AX'])
        rows = read_tsv(self.path('out', 'predictions.tsv'))[1]
        self.assertEqual([row[1] for row in read_tsv(self.path('sub', 'AX.tsv'))[1]],
                         [row[1] for row in rows])

    def test_which_task_it_is(self):
        self.write('meta', '{"processor_type": "AX", "num_labels": 3}')
        self.train(override='task.meta_data_path=meta')
        self.predict(more=['--glue_submission=sub'])
        self.assertEqual(os.listdir(self.path('sub')), ['AX.tsv'])
        self.write('out/labels.json', '{"num_labels": 3, "label_names": null}')
        result = self.predict(more=['--glue_submission=sub'], expect=2)
        self.assertRegex(self.one_error(result), r'set --glue_task to one of CoLA, SST-2, .* AX$')
        self.write('meta', '{"processor_type": "MNLI", "num_labels": 3}')
        result = self.predict(override='task.meta_data_path=meta',
                              more=['--glue_submission=sub'], expect=2)
        self.assertIn('say MNLI, which is MNLI-m or MNLI-mm', self.one_error(result))
        result = self.predict(more=['--glue_submission=sub', '--glue_task=GLUE'], expect=2)
        self.assertIn('--glue_task=GLUE is not a task of GLUE', self.one_error(result))
        result = self.predict(more=['--glue_submission=sub', '--glue_task=RTE'], expect=2)
        self.assertIn('RTE has 2 classes (0: scores), but the model has 3',
                      self.one_error(result))
        result = self.predict(override='task.label_names=[entailment,neutral,x]',
                              more=['--glue_submission=sub', '--glue_task=AX'], expect=2)
        self.assertIn("class 2 is 'x' in task.label_names, but the leaderboard's AX has only",
                      self.one_error(result))


class Flags(Predict):
    def test_flags_of_predict_are_not_lost_elsewhere(self):
        for flag in ('output_path', 'output_format', 'glue_submission', 'checkpoint'):
            result = self.train(more=['--%s=x' % flag], expect=2)
            self.assertRegex(self.one_error(result), r'--%s=x is for .*--mode=predict and --mode=export, '
                             'not for --mode=train_and_eval' % re.escape(flag)
                             if flag == 'checkpoint' else
                             r'--%s=x is for --mode=predict( and --mode=export)?, not for' % re.escape(flag))
        result = self.predict(more=['--glue_task=RTE'], expect=2)
        self.assertIn('--glue_task=RTE: name the folder', self.one_error(result))
        result = self.predict(more=['--output_format=xml'], expect=2)
        self.assertIn('--output_format=xml: predictions of this task are written as tsv, jsonl',
                      self.one_error(result))

    def test_dry_run(self):
        self.train()
        before = sorted(os.listdir(self.path('out')))
        result = self.train(mode='predict', more=['--dry_run', '--glue_submission=sub'], expect=2)
        self.assertIn('set --glue_task to one of', result.stderr)
        self.assertEqual(sorted(os.listdir(self.path('out'))), before)
        self.assertFalse(os.path.exists(self.path('sub')))
        result = self.train(mode='predict', model_dir='nowhere', more=['--dry_run'], expect=2)
        self.assertIn('no checkpoint in --model_dir nowhere', result.stderr)
        result = self.train(mode='predict', more=['--dry_run', '--checkpoint=out/ckpt-20'])
        self.assertNotIn('no checkpoint', result.stderr)


if __name__ == '__main__':
    e2e.main()
