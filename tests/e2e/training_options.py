# SPDX-License-Identifier: Apache-2.0
"""Options of a training run that Model Garden does not have, through the program: class weights and
label smoothing."""
import math
import os
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
        with open(self.path('balanced/params.yaml'), encoding='utf-8') as source:
            self.assertIn('\n  class_weights: balanced\n', source.read())
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


if __name__ == '__main__':
    e2e.main()
