# SPDX-License-Identifier: Apache-2.0
"""Options of a training run that Model Garden does not have, through the program: class weights,
label smoothing, early stopping, gradient accumulation and --seeds (with kills: resume.py)."""
import json
import math
import os
import re
import shutil
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

# no update: every loss is that of the initial weights, of the same rows in the same order
STILL = ('trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.0,'
         'trainer.optimizer_config.optimizer.adamw.weight_decay_rate=0.0,'
         'task.train_data.shuffle_buffer_size=1')


class ClassRule(e2e.Case):
    def losses(self, model_dir, override=''):
        """(training_loss, validation_loss) of the first records."""
        result = self.train(model_dir=model_dir, override=STILL + override)
        records = e2e.read_jsonl(self.path(model_dir))
        return result, tuple(next(r[name] for r in records if name in r)
                             for name in ('training_loss', 'validation_loss'))

    def test_weights_are_for_training_and_smoothing_for_both(self):
        _result, plain = self.losses('plain')
        _result, same = self.losses('same', ',task.class_weights=[2, 2.0, 2]')
        for got, want in zip(same, plain):
            self.assertAlmostEqual(got, want, places=9)
        _result, weighted = self.losses('weighted', ',task.class_weights=[5, 1, 0]')
        self.assertNotAlmostEqual(weighted[0], plain[0], places=5)
        self.assertEqual(weighted[1], plain[1])
        _result, smoothed = self.losses('smoothed', ',task.label_smoothing=0.3')
        for got, want in zip(smoothed, plain):
            self.assertNotAlmostEqual(got, want, places=5)

    def test_balanced(self):
        counts = (30, 24, 6)
        rows = [e2e.make_rows(1, seed=len(counts) * i, label=[c])[0]
                for c, n in enumerate(counts) for i in range(n)]
        e2e.write_records(self.path('train.tf_record'), rows)
        weights = [sum(counts) / (len(counts) * n) for n in counts]
        result, balanced = self.losses('balanced', ',task.class_weights=balanced')
        self.assertIn('balanced = [%s] over 60 labels' % ', '.join('%.6g' % w for w in weights),
                      result.stderr)
        _result, given = self.losses('given', ',task.class_weights=[%s]'
                                     % ', '.join(repr(w) for w in weights))
        self.assertEqual(balanced, given)
        self.assertIn('\n  class_weights: balanced\n', e2e.read_params(self.path('balanced')))
        # a dry run counts too; an evaluation has no training data to count
        result = self.train(expect=0, more=['--dry_run'], override='task.class_weights=balanced')
        self.assertIn('balanced = [', result.stderr)
        self.train(mode='eval', model_dir='balanced', override='task.class_weights=balanced')

    def test_a_class_that_does_not_occur(self):
        e2e.write_records(self.path('train.tf_record'),
                          [dict(r, label_ids=[i % 2]) for i, r in enumerate(e2e.make_rows(40))])
        result, losses = self.losses('out', ',task.class_weights=balanced')
        self.assertRegex(result.stderr, r'class 2 does not occur in the training data')
        self.assertTrue(all(math.isfinite(x) for x in losses))

    def test_it_helps_a_rare_class(self):
        """One row in ten is of class 1: with balanced weights it is found sooner."""
        def rows(n, seed):
            made = e2e.make_rows(20 * n, seed=seed, vocab=14, n_classes=2)
            rare = [r for r in made if r['label_ids'] == [1]][:n // 10]
            return [r for r in made if r['label_ids'] == [0]][:n - len(rare)] + rare
        e2e.write_records(self.path('train.tf_record'), rows(600, 1))
        e2e.write_records(self.path('eval.tf_record'), rows(200, 2))
        rate = 'trainer.optimizer_config.learning_rate.polynomial.'
        override = ('task.model.num_classes=2,task.metric_type=f1,trainer.train_steps=200,'
                    'trainer.best_checkpoint_eval_metric=f1,trainer.checkpoint_interval=0,'
                    'trainer.steps_per_loop=20,trainer.summary_interval=20,'
                    'trainer.validation_interval=20,task.train_data.global_batch_size=16,'
                    'task.train_data.shuffle_buffer_size=1000,%sinitial_learning_rate=0.001,'
                    '%sdecay_steps=200' % (rate, rate))

        def first_found(model_dir, more=''):
            self.train(model_dir=model_dir, override=override + more)
            return next((r['step'] for r in e2e.read_jsonl(self.path(model_dir))
                         if r['kind'] == 'validation' and r['f1'] > 0.5), math.inf)
        balanced = first_found('balanced', ',task.class_weights=balanced')
        self.assertLess(balanced, math.inf)
        self.assertLess(balanced, first_found('plain'))

    def test_refusals(self):
        for override, want in (
                ('task.class_weights=[1, 2]', '2 weights for 3 classes'),
                ('task.class_weights=[1, -2, 1]', 'the weight of class 1 is -2'),
                ('task.class_weights=balance', "expected a list of numbers or 'balanced'"),
                ('task.label_smoothing=1.0', 'less than 1')):
            result = self.train(expect=2, override=override)
            self.assertIn(want, result.stderr)
            self.assertFalse(os.path.exists(self.path('out')))


class ClassMetric(e2e.Case):
    """A value of a class that is called otherwise in a value's name than by the user."""
    LONG = 'a label of more than forty bytes that has a number'
    NAMES = "task.label_names=['very good', 'so, so', '%s']" % LONG

    def best(self, name, keys='', **how):
        return self.train(override="%s,trainer.best_checkpoint_eval_metric='%s',"
                          'trainer.early_stopping_patience=9,trainer.train_steps=10,trainer.report=false%s' % (self.NAMES, name, keys), **how)

    def test_the_best_checkpoint_goes_by_it(self):
        for folder, name, written in (('a', 'recall/so__so', 'recall/so__so'), ('b', 'f1/' + self.LONG, 'f1/number/2')):
            self.best(name, model_dir=folder)
            last = e2e.read_jsonl(self.path(folder))[-1]
            self.assertIn('best_' + written, last)
            with open(self.path(folder, 'best_ckpt/info.json'), encoding='utf-8') as source:
                self.assertIn(written, json.load(source))
        result = self.best('f1/*', expect=2, model_dir='no', keys=',task.metrics=[per_class]')
        self.assertRegex(result.stderr, r"best_checkpoint_eval_metric: no value .* 'f1/\*'.*f1/very_good', 'f1/so__so', 'f1/number/2'")
        result = self.best('f1/nobody', expect=2, model_dir='no')
        self.assertIn("'very good', 'so, so'", result.stderr)
        self.assertFalse(os.path.exists(self.path('no')))

    def test_limits_and_seeds_find_it(self):
        asked = ['--seeds=1,2', '--fail_below=f1/very good=2', '--fail_above=best_f1/very good=-1']
        for _again in range(2):  # the seeds are finished then
            result = self.best('f1/very good', expect=8, keys=',task.metrics=[per_class]',
                               more=asked)
            self.assertRegex(result.stderr, r'f1/very_good \S+ is below 2\.0 .*best_f1/very_good \S+ is above -1\.0')
            self.assertRegex(result.stdout, r'\nbest_seed [12]\n')
        result = self.best('f1/very good', expect=2, model_dir='no', more=['--fail_below=f1/nobody=0'])
        self.assertRegex(result.stderr, r"--fail_below: no value .* 'f1/nobody'")
        self.assertFalse(os.path.exists(self.path('no')))


class Tagging(e2e.Case):
    """The same keys where every word has a class: a label below 0 counts nowhere."""

    def setUp(self):
        super().setUp()
        self.write('model.yaml', e2e.TINY_MODEL.replace('    num_classes: 3\n', '').replace(
            'task:\n', 'task:\n  class_names: [O, B-X, I-X]\n'))
        self.write('run.yaml', e2e.TINY_RUN.replace('  metric_type: accuracy\n', '').replace(
            'cls_accuracy', 'accuracy'))
        self.write_rows('train', e2e.make_rows(64, seed=7))
        self.write_rows('eval', e2e.make_rows(20, seed=8))

    def write_rows(self, name, rows, label_of=lambda word: word % 3):
        """The class of a word is in its id; the second word of each row has none."""
        self.counts = [0, 0, 0]
        for row in rows:
            words = [i for i, n in enumerate(row['input_ids']) if n > 3]
            labels = [-1] * len(row['input_ids'])
            for i in words[:1] + words[2:]:
                labels[i] = label_of(row['input_ids'][i])
                self.counts[labels[i]] += 1
            row['label_ids'] = labels
        e2e.write_records(self.path(name + '.tf_record'), rows)

    def tag(self, model_dir, override, **how):
        result = self.train(model_dir=model_dir, override=override,
                            more=['--experiment=bert/tagging'], **how)
        records = e2e.read_jsonl(self.path(model_dir))
        return result, tuple(next(r[name] for r in records if name in r)
                             for name in ('training_loss', 'validation_loss'))

    def test_class_rule(self):
        _result, plain = self.tag('plain', STILL)
        _result, weighted = self.tag('weighted', STILL + ',task.class_weights=[5, 1, 0]')
        self.assertNotAlmostEqual(weighted[0], plain[0], places=5)
        self.assertEqual(weighted[1], plain[1])
        _result, smoothed = self.tag('smoothed', STILL + ',task.label_smoothing=0.3')
        for got, want in zip(smoothed, plain):
            self.assertNotAlmostEqual(got, want, places=5)

    def test_balanced_counts_words(self):
        rows = e2e.make_rows(64, seed=7)
        self.write_rows('train', rows, label_of=lambda word: 0 if word < 60 else 1 + word % 2)
        weights = [sum(self.counts) / (3 * n) for n in self.counts]
        result, balanced = self.tag('balanced', STILL + ',task.class_weights=balanced')
        self.assertIn('balanced = [%s] over %d labels' % (
            ', '.join('%.6g' % w for w in weights), sum(self.counts)), result.stderr)
        _result, given = self.tag('given', STILL + ',task.class_weights=[%s]'
                                  % ', '.join(repr(w) for w in weights))
        self.assertEqual(balanced, given)

    def test_accumulation_counts_words(self):
        """Parts have different numbers of labelled words, and weights: the whole decides."""
        both = {'whole': 'task.train_data.global_batch_size=16',
                'parts': 'task.train_data.global_batch_size=4,'
                         'trainer.gradient_accumulation_steps=4'}
        losses = [self.tag(name, override + ',task.class_weights=[5, 1, 0.2]')[1]
                  for name, override in both.items()]
        self.assertAlmostEqual(losses[0][0], losses[1][0], places=5)
        self.assertAlmostEqual(losses[0][1], losses[1][1], places=5)

    def test_one_tag_for_everything_is_noticed(self):
        self.write_rows('train', e2e.make_rows(64, seed=7), label_of=lambda word: 0)
        rate = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.01'
        result, _losses = self.tag('out', rate)
        n_words = sum(sum(1 for n in row['input_ids'] if n > 3) - 1
                      for row in e2e.make_rows(20, seed=8))
        self.assertIn('step 20: all %d predictions are class O' % n_words, result.stderr)
        last = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]
        self.assertEqual(last['predicted_classes'], 1)

    def test_seeds(self):
        result = self.train(more=['--experiment=bert/tagging', '--seeds=1,2'])
        self.assertRegex(result.stdout, r'seeds 2\nf1 \S+ \S+\n')

    def test_very_many_metrics_in_a_line(self):
        """As many as the line holds, and then how many more there are."""
        for length, is_cut in ((12, False), (37, True)):
            names = ['O'] + ['%s-%02d%s' % (b, i, 't' * length) for i in range(20) for b in 'BI']
            folder = 'names%d' % length
            result, _losses = self.tag(folder, 'task.metrics=[all,per_class],task.class_names=[%s]'
                                       % ','.join(names))
            record = [r for r in e2e.read_jsonl(self.path(folder)) if r['kind'] == 'validation'][-1]
            values = [x for x in record if x not in ('kind', 'step', 'wall_time_seconds')]
            line = [x for x in result.stderr.splitlines() if ': eval  | step' in x][-1].split(' | ')[2:]
            self.assertEqual(line[-1].startswith('...'), is_cut, line[-1])
            if is_cut:
                n_left = int(re.fullmatch(r'\.\.\. \((\d+) more: all are in metrics.jsonl\)', line.pop())[1])
                self.assertEqual(len(line) + n_left, len(values))
            self.assertEqual([x.split(' ')[0] for x in line], values[:len(line)])


LOWER = ('trainer.best_checkpoint_eval_metric=validation_loss,'
         'trainer.best_checkpoint_metric_comp=lower,trainer.train_steps=400,'
         'trainer.steps_per_loop=20,trainer.summary_interval=20,trainer.checkpoint_interval=60,'
         'trainer.validation_interval=20,'
         'trainer.optimizer_config.learning_rate.polynomial.decay_steps=400,'
         'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.002')


class EarlyStopping(e2e.Case):
    """64 rows are soon known by heart, and validation_loss rises again."""

    def records(self, model_dir, kind='validation'):
        return [r for r in e2e.read_jsonl(self.path(model_dir)) if r['kind'] == kind]

    def where_to_stop(self, records, patience):
        """Written again from the rule: so many evaluations without a better one."""
        best = at = None
        for i, record in enumerate(records):
            if best is None or record['validation_loss'] < best:
                best, at = record['validation_loss'], i
            elif i - at >= patience:
                return i
        return None

    def test_it_stops(self):
        self.train(override=LOWER, model_dir='full')
        full = self.records('full')
        at = self.where_to_stop(full, 3)
        self.assertIsNotNone(at, full)
        self.assertGreater(at, 3, 'the first evaluation is not the best one')
        step = full[at]['step']
        override = LOWER + ',trainer.early_stopping_patience=3'
        result = self.train(override=override)
        self.assertEqual([(r['step'], r['validation_loss']) for r in self.records('out')],
                         [(r['step'], r['validation_loss']) for r in full[:at + 1]])
        self.assertRegex(result.stderr, 'stopped early at step %d of 400: 3 evaluations without '
                                        'a better validation_loss' % step)
        self.assertIn('step %d\n' % step, result.stdout)
        final = self.records('out', 'final')
        self.assertEqual([(r['step'], r['stopped']) for r in final], [(step, 'early_stopping')])
        self.assertEqual(self.records('full', 'final')[-1]['stopped'], 'train_steps')
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-%d' % step)
        # the same command again: nothing to do, the same answer
        again = self.train(override=override)
        self.assertEqual(again.stdout, result.stdout)
        self.assertEqual(len(self.records('out')), at + 1)
        self.assertEqual([r['stopped'] for r in self.records('out', 'final')], ['early_stopping'])
        self.assertRegex(again.stderr, r'already finished at step %d of 400: 3 evaluations without a '
                         r'better .*early_stopping_patience is 3\), so nothing is trained' % step)
        # more patience goes on, to the bits of the full run
        self.train(override=LOWER + ',trainer.early_stopping_patience=100')
        self.assertEqual(self.records('out', 'final')[-1]['stopped'], 'train_steps')
        self.same_values(self.path('full/ckpt-400'), self.path('out/ckpt-400'))

    def test_a_finished_run_says_its_result_again(self):
        first = self.train()
        again = self.train()
        self.assertIn('cls_accuracy', first.stdout)
        self.assertEqual(again.stdout, first.stdout)

    def test_it_counts_from_the_start(self):
        """A restart moves Model Garden's evaluations; those that early stopping counts stay."""
        override = LOWER + ',trainer.early_stopping_patience=50,trainer.validation_interval=30'
        self.train(override=override + ',trainer.train_steps=50')
        self.train(override=override)
        steps = [r['step'] for r in self.records('out')]
        self.assertEqual(steps, [30, 50] + list(range(60, 400, 30)) + [400])

    def test_in_continuous_train_and_eval(self):
        """Each checkpoint of the pre-training job starts a run, and a count, of its own."""
        self.train(mode='train', model_dir='pre', override='trainer.train_steps=5')
        self.train(mode='continuous_train_and_eval', override=LOWER + (
            ',trainer.early_stopping_patience=3,task.init_checkpoint=pre,'
            'trainer.continuous_eval_timeout=0'))
        final = self.records('out', 'final')
        self.assertEqual([r['stopped'] for r in final], ['early_stopping'])
        at = self.where_to_stop(self.records('out'), 3)
        self.assertEqual(final[0]['step'], self.records('out')[at]['step'])

    def test_a_metric_that_is_no_number(self):
        """NaN is never better, and any number is better than NaN."""
        rows = e2e.make_rows(20, n_classes=1)
        e2e.write_records(self.path('train.tf_record'), rows)
        e2e.write_records(self.path('eval.tf_record'), [dict(r, label_ids=[2.5]) for r in rows])
        self.train(override='task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                            'task.train_data.label_type=float,'
                            'task.validation_data.label_type=float,trainer.train_steps=100,'
                            'trainer.best_checkpoint_eval_metric=pearson_spearman_corr,'
                            'trainer.early_stopping_patience=2')
        self.assertEqual([r['step'] for r in self.records('out')], [10, 20, 30])

    def test_refusals(self):
        patience = 'trainer.early_stopping_patience=2'
        for mode, override, want in (
                ('train', patience, "mode 'train' makes no evaluations while it trains"),
                ('train_and_post_eval', patience, "mode 'train_and_post_eval' makes no"),
                ('train_and_eval', patience + ',trainer.best_checkpoint_eval_metric=""',
                 'trainer.best_checkpoint_eval_metric is empty'),
                ('train_and_eval', patience + ',trainer.best_checkpoint_export_subdir=""',
                 'trainer.best_checkpoint_export_subdir is empty'),
                ('train_and_eval', 'trainer.early_stopping_patience=-1', 'at least 0')):
            result = self.train(expect=2, mode=mode, override=override)
            self.assertIn(want, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))


class Accumulation(e2e.Case):
    """Four batches of four are one of sixteen: the same rows, dropout masks and weights; only the
    order of sums differs."""
    PARTS = 'task.train_data.global_batch_size=4,trainer.gradient_accumulation_steps=4'
    WHOLE = 'task.train_data.global_batch_size=16'
    # scores of a model that has hardly learnt are close together, and rounding counts against their spread:
    # two neighbours of 20 rows that change places are 1.5e-3 of a correlation of ranks
    CORRELATED = 3e-3

    def both(self, more=''):
        self.train(model_dir='whole', override=self.WHOLE + more)
        result = self.train(model_dir='parts', override=self.PARTS + more)
        return result

    def near(self, name, tolerance=2e-5):
        parts, whole = (e2e.read_bundle(self.path(folder, name)) for folder in ('parts', 'whole'))
        self.assertEqual(sorted(parts), sorted(whole))
        n_different = 0
        for key, tensor in whole.items():
            if tensor.dtype != 1:
                continue
            worst = max((abs(a - b) for a, b in zip(parts[key].floats(), tensor.floats())),
                        default=0)
            self.assertLess(worst, tolerance, key)
            n_different += worst > 0
        self.assertGreater(n_different, 0, 'the batch was not cut at all')

    def same_records(self):
        parts, whole = (e2e.read_jsonl(self.path(folder)) for folder in ('parts', 'whole'))
        self.assertEqual([(r['kind'], r['step']) for r in parts],
                         [(r['kind'], r['step']) for r in whole])
        for got, want in zip(parts, whole):
            for name, value in want.items():
                if isinstance(value, float) and 'second' not in name and name != 'input_wait':
                    delta = self.CORRELATED if name in ('pearson', 'spearman') else 1e-4 + 1e-4 * abs(value)
                    self.assertAlmostEqual(got[name], value, delta=delta, msg=name)

    def test_it_is_the_large_batch(self):
        more = ',task.train_data.shuffle_buffer_size=1000'  # dropout is on as well
        result = self.both(more)
        self.assertIn('an update is 16 examples: 4 batches of 4', result.stderr)
        self.near('ckpt-20')
        self.same_records()

    def test_weights_count_over_the_whole_update(self):
        self.both(',task.class_weights=[5, 1, 0.2],task.label_smoothing=0.1')
        self.near('ckpt-20')
        self.same_records()

    def test_regression(self):
        for name, n, seed in (('train', 64, 1), ('eval', 20, 2)):
            e2e.write_records(self.path(name + '.tf_record'),
                              e2e.make_rows(n, seed=seed, n_classes=1))
        more = (',task.model.num_classes=1,task.train_data.label_type=float,'
                'task.validation_data.label_type=float,'
                'trainer.best_checkpoint_eval_metric=validation_loss')
        for bug_compatible in ('false', 'true'):
            self.both(more + ',runtime.bug_compatible=' + bug_compatible)
            self.near('ckpt-20', 1e-4)
            self.same_records()
            shutil.rmtree(self.path('parts'))
            shutil.rmtree(self.path('whole'))

    def test_steps_count_updates(self):
        self.train(mode='train', override=self.PARTS + ',trainer.train_steps=0,'
                                                       'task.train_data.epochs=2')
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-8')  # 2 * 64 / 16
        last = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'train'][-1]
        self.assertAlmostEqual(last['examples_per_second'] / last['steps_per_second'], 16, places=6)

    def test_refusals(self):
        result = self.train(expect=2, override=self.PARTS + ',trainer.optimizer_config.optimizer.'
                                                            'adamw.clipvalue=1.0')
        self.assertIn('clipvalue clips the gradient of each word', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))
        self.train(expect=2, override='trainer.gradient_accumulation_steps=0')
        result = self.train(expect=2, override='task.train_data.global_batch_size=5000000000,'
                                               'trainer.gradient_accumulation_steps=5000000000')
        self.assertIn('more than can be counted', self.one_error(result))


class Seeds(e2e.Case):
    def seeds(self, seeds='1..3', **how):
        result = self.train(more=['--seeds=' + seeds], **how)
        with open(self.path('out/seeds.json'), encoding='utf-8') as source:
            return result, json.load(source)

    def evaluation(self, model_dir):
        """The values of the last evaluation, without what else its record tells."""
        record = [r for r in e2e.read_jsonl(self.path(model_dir)) if r['kind'] == 'validation'][-1]
        return {k: v for k, v in record.items() if k not in (
            'kind', 'step', 'wall_time_seconds', 'examples', 'examples_per_second', 'seconds', 'predicted_classes')}

    def stamps(self):
        return {n: os.stat(self.path('out/seed_%d/metrics.jsonl' % n)).st_mtime_ns
                for n in (1, 2, 3)}

    def test_each_seed_is_a_run_of_its_own(self):
        result, file = self.seeds()
        values = {}
        for seed in (1, 2, 3):
            self.train(model_dir='plain', override='task.train_data.seed=%d' % seed)
            self.same_values(self.path('plain/ckpt-20'), self.path('out/seed_%d/ckpt-20' % seed))
            values[seed] = self.evaluation('out/seed_%d' % seed)
            shutil.rmtree(self.path('plain'))
        self.assertEqual(file['seeds'], [1, 2, 3])
        self.assertEqual([(r['seed'], r['model_dir'], r['step']) for r in file['runs']],
                         [(n, 'seed_%d' % n, 20) for n in (1, 2, 3)])
        self.assertEqual([r['values'] for r in file['runs']], list(values.values()))
        lines = dict(line.split(' ', 1) for line in result.stdout.splitlines())
        self.assertEqual(lines.pop('seeds'), '3')
        self.assertEqual(lines.pop('best_seed'), str(file['best_seed']))
        self.assertEqual(sorted(lines), sorted(file['metrics']))
        for name, spread in file['metrics'].items():
            column = [v[name] for v in values.values()]
            self.assertAlmostEqual(spread['mean'], statistics.mean(column), places=12)
            self.assertAlmostEqual(spread['stddev'], statistics.stdev(column), places=12)
            mean, stddev = lines[name].split(' ')
            self.assertAlmostEqual(float(mean), spread['mean'], places=6)
            self.assertAlmostEqual(float(stddev), spread['stddev'], places=6)
        best = max(values, key=lambda n: values[n]['best_cls_accuracy'])  # the first of equals
        self.assertEqual(file['best_seed'], best)
        self.assertEqual(os.readlink(self.path('out/best_seed')), 'seed_%d' % best)
        self.train(mode='eval', model_dir='out/best_seed')

    def test_the_best_may_be_the_lowest(self):
        _result, file = self.seeds(
            override='trainer.best_checkpoint_eval_metric=validation_loss,'
                     'trainer.best_checkpoint_metric_comp=lower')
        losses = {r['seed']: r['values']['best_validation_loss'] for r in file['runs']}
        self.assertEqual(file['best_seed'], min(losses, key=losses.get))

    def test_what_is_finished_is_not_run_again(self):
        first, file = self.seeds()
        before = self.stamps()
        again, same = self.seeds()
        self.assertEqual((again.stdout, same), (first.stdout, file))
        self.assertEqual(self.stamps(), before)
        self.assertEqual(len(again.stderr.splitlines()), 3)
        # a seed whose folder is gone, or with other parameters, is
        shutil.rmtree(self.path('out/seed_2'))
        again, _file = self.seeds()
        self.assertEqual(again.stdout, first.stdout)
        after = self.stamps()
        self.assertEqual([after[n] == before[n] for n in (1, 2, 3)], [True, False, True])
        more, file = self.seeds(override='trainer.train_steps=30')
        self.assertEqual([r['step'] for r in file['runs']], [30, 30, 30])
        self.assertRegex(more.stderr, r'restored step 20 from out/seed_1/ckpt-20')

    def test_other_seeds_later(self):
        _result, before = self.seeds('5')
        self.assertIsNone(before['metrics']['cls_accuracy']['stddev'])
        result, file = self.seeds('7,5')
        self.assertEqual(file['seeds'], [7, 5])
        self.assertEqual([r['seed'] for r in file['runs']], [5, 7])
        self.assertEqual(file['runs'][0], before['runs'][0])
        self.assertIn('seeds 2\n', result.stdout)

    def test_a_seeds_file_that_is_no_good(self):
        """All that it saves is time: the runs themselves know that they are finished."""
        first, file = self.seeds('1,2', mode='train')
        for text in ('', '{', '[]', '{"runs": [{}]}', '{"runs": [{"seed": "x"}]}'):
            self.write('out/seeds.json', text)
            again, same = self.seeds('1,2', mode='train')
            self.assertIn('seeds.json: not the results of seeds', again.stderr)
            self.assertEqual(again.stdout, first.stdout)
            self.assertEqual([r['values'] for r in same['runs']],
                             [r['values'] for r in file['runs']])
        self.assertIsNone(same['best_seed'])  # nothing was evaluated

    def test_a_link_that_cannot_be_made_is_no_failure(self):
        os.makedirs(self.path('out/best_seed'))
        result, file = self.seeds('1')
        self.assertRegex(result.stderr, r'warning: .*best_seed: something of that name')
        self.assertEqual(file['best_seed'], 1)

    def test_a_seed_that_fails_is_named(self):
        result = self.train(expect=6, more=['--seeds=4,5'], mode='train',
                            override='trainer.loss_upper_bound=0.5')
        self.assertIn('seed 4: ', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out/seed_5')))

    def test_with_early_stopping(self):
        _result, file = self.seeds('1,2', override=LOWER + ',trainer.early_stopping_patience=3')
        for run in file['runs']:
            self.assertLess(run['step'], 400)

    def test_a_dry_run_checks_the_flag(self):
        plain = self.train(more=['--dry_run'])
        self.assertEqual(self.train(more=['--dry_run', '--seeds=1,2']).stdout, plain.stdout)
        self.train(expect=2, more=['--dry_run', '--seeds=1,1'])

    def test_refusals(self):
        for seeds, mode, want in (
                ('', 'train', "'' is neither a number (0 or more) nor a range"),
                ('1,,2', 'train', "'' is neither"),
                ('1,x', 'train', "--seeds=1,x: 'x' is neither"),
                ('-1', 'train', "'-1' is neither"),
                ('3..1', 'train', "'3..1' is neither"),
                ('1..2..3', 'train', "'1..2..3' is neither"),
                ('..', 'train', "'..' is neither"),
                ('9' * 70, 'train', 'is neither'),
                ('1..1001', 'train', 'more than 1000 seeds'),
                ('0..999,1000', 'train', 'more than 1000 seeds'),
                ('1..3,2', 'train', '2 appears twice'),
                ('1', 'eval', '--seeds trains one job with several seeds, which --mode=eval'),
                ('1', 'continuous_eval', '--mode=continuous_eval does not'),
                ('1', 'continuous_train_and_eval', '--mode=continuous_train_and_eval does not')):
            result = self.train(expect=2, mode=mode, more=['--seeds=' + seeds])
            self.assertIn(want, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))


if __name__ == '__main__':
    e2e.main()
