# SPDX-License-Identifier: Apache-2.0
"""runtime.mixed_precision_dtype through the program: that it rounds, and the same on every
instruction set; that a stopped run goes on to the same bits; evaluations; refusals."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

F16 = 'runtime.mixed_precision_dtype=float16'
BF16 = 'runtime.mixed_precision_dtype=bfloat16'
NO_DROPOUT = (',task.model.encoder.bert.dropout_rate=0.0,'
              'task.model.encoder.bert.attention_dropout_rate=0.0,task.model.head_dropout=0.0')


class Mixed(e2e.Case):
    def last(self, model_dir, kind='validation'):
        return [r for r in e2e.read_jsonl(self.path(model_dir)) if r['kind'] == kind][-1]

    def isas(self):
        self.assertRegex(e2e.run(['--version']).stdout,
                         r'mixed precision: bfloat16 (\(AMX\)|\(AVX512_BF16\)|\(BFMMLA\)|by rounding), '
                         r'float16 by rounding')
        return e2e.instruction_sets()

    def test_every_instruction_set_trains_alike(self):
        self.train(model_dir='plain', override=NO_DROPOUT[1:])
        plain = self.last('plain')['validation_loss']
        losses = {}
        for isa in self.isas():
            result = self.train(model_dir=isa, override=BF16 + NO_DROPOUT, more=['--isa=' + isa])
            self.assertIn('matmul: bfloat16', result.stderr)
            losses[isa] = self.last(isa)['validation_loss']
            self.assertNotEqual(losses[isa], plain)
            self.assertAlmostEqual(losses[isa], plain, delta=0.02)
        for isa, loss in losses.items():
            self.assertAlmostEqual(loss, losses['ref'], delta=2e-3, msg=isa)

    def test_goes_on_to_the_same_bits(self):
        self.train(model_dir='straight', mode='train', override=BF16)
        self.train(mode='train', override=BF16 + ',trainer.train_steps=10')
        self.train(mode='train', override=BF16)
        self.same_values(self.path('straight', 'ckpt-20'), self.path('out', 'ckpt-20'))

    def test_an_evaluation_rounds_too(self):
        self.train()
        before = self.last('out')['validation_loss']
        self.train(mode='eval', override=BF16)
        after = self.last('out')['validation_loss']
        self.assertNotEqual(after, before)
        self.assertAlmostEqual(after, before, delta=0.02)

    def test_float16(self):
        self.train(model_dir='plain', override=NO_DROPOUT[1:])
        plain = self.last('plain')['validation_loss']
        for isa in self.isas():
            result = self.train(model_dir=isa, override=F16 + NO_DROPOUT, more=['--isa=' + isa])
            self.assertIn('matmul: float16 by rounding', result.stderr)
            self.assertIn('float16 switches gradient_clip_norm (1) off', result.stderr)
            self.assertAlmostEqual(self.last(isa)['validation_loss'], plain, delta=0.05)
            record = self.last(isa, 'train')
            self.assertEqual((record['loss_scale'], record['skipped_updates']), (32768.0, 0.0))
        self.train(model_dir='fixed', override=F16 + NO_DROPOUT + ',runtime.loss_scale=1000')
        self.assertEqual(self.last('fixed', 'train')['loss_scale'], 1000.0)
        self.train(model_dir='dynamic', override=F16 + NO_DROPOUT + ',runtime.loss_scale=dynamic')
        self.same_values(self.path(self.isas()[-1], 'ckpt-20'), self.path('dynamic', 'ckpt-20'))

    def test_the_scale_goes_on_too(self):
        """2000 good updates in a row double it, wherever the run was stopped."""
        long_run = (F16 + ',trainer.steps_per_loop=401,trainer.summary_interval=401,'
                    'trainer.checkpoint_interval=401,trainer.validation_interval=401,'
                    'trainer.train_steps=')
        self.train(model_dir='straight', mode='train', override=long_run + '2005')
        self.train(mode='train', override=long_run + '1203')
        self.assertEqual(self.last('out', 'train')['loss_scale'], 32768.0)
        self.train(mode='train', override=long_run + '2005')
        for model_dir in ('straight', 'out'):
            self.assertEqual(self.last(model_dir, 'train')['loss_scale'], 65536.0)
        self.same_values(self.path('straight', 'ckpt-2005'), self.path('out', 'ckpt-2005'))

    def test_another_precision_is_told(self):
        self.train(mode='train', override=F16 + ',trainer.train_steps=10')
        result = self.train(mode='train', override=BF16)
        self.assertIn('was made with matrix products in float16, this run multiplies in bfloat16',
                      result.stderr)
        self.assertEqual(self.last('out', 'train')['step'], 20)

    def test_a_fixed_scale_that_overflows(self):
        result = self.train(expect=6, override=F16 + ',runtime.loss_scale=1.0e+30')
        self.assertIn('try a smaller runtime.loss_scale', self.one_error(result))

    def test_regression(self):
        rows = e2e.make_rows(40, n_classes=1)
        e2e.write_records(self.path('train.tf_record'), rows)
        e2e.write_records(self.path('eval.tf_record'), rows)
        regression = ('task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                      'task.train_data.label_type=float,task.validation_data.label_type=float,'
                      'trainer.best_checkpoint_eval_metric=pearson_spearman_corr' + NO_DROPOUT)
        self.train(model_dir='plain', override=regression)
        self.train(override=BF16 + ',' + regression)
        self.assertAlmostEqual(self.last('out')['validation_loss'],
                               self.last('plain')['validation_loss'], delta=0.05)

    def test_refusals(self):
        result = self.train(expect=2, override=BF16 + ',runtime.matmul=blas')
        self.assertIn('BLAS multiplies in float32 only', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))
        for scale in ('0', '-1.0', '1.0e+300', 'static'):
            result = self.train(expect=2, override=F16 + ',runtime.loss_scale=' + scale)
            self.assertIn("'dynamic'", self.one_error(result))
        for name in ('mixed_bfloat16', 'bf16'):
            result = self.train(expect=2, override='runtime.mixed_precision_dtype=' + name)
            self.assertIn('float16', result.stderr)


if __name__ == '__main__':
    e2e.main()
