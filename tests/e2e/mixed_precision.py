# SPDX-License-Identifier: Apache-2.0
"""runtime.mixed_precision_dtype through the program: that it rounds, and the same on every
instruction set; that a stopped run goes on to the same bits; evaluations; refusals."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

BF16 = 'runtime.mixed_precision_dtype=bfloat16'
NO_DROPOUT = (',task.model.encoder.bert.dropout_rate=0.0,'
              'task.model.encoder.bert.attention_dropout_rate=0.0,task.model.head_dropout=0.0')


class Mixed(e2e.Case):
    def last(self, model_dir, kind='validation'):
        return [r for r in e2e.read_jsonl(self.path(model_dir)) if r['kind'] == kind][-1]

    def isas(self):
        """Those of this machine."""
        version = e2e.run(['--version']).stdout
        self.assertRegex(version, r'mixed precision: bfloat16 (\(AMX\)|\(AVX512_BF16\)|by rounding)')
        return version.split('this machine runs: ')[1].split(';')[0].split()

    def test_every_instruction_set_trains_alike(self):
        self.train(model_dir='plain', override=NO_DROPOUT[1:])
        plain = self.last('plain')['validation_loss']
        losses = {}
        for isa in self.isas():
            result = self.train(model_dir=isa, override=BF16 + NO_DROPOUT, more=['--isa=' + isa])
            self.assertIn('products: bfloat16', result.stderr)
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
        result = self.train(expect=2, override=BF16 + ',runtime.products=blas')
        self.assertIn('BLAS multiplies in float32 only', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))
        for name in ('mixed_bfloat16', 'bf16'):
            result = self.train(expect=2, override='runtime.mixed_precision_dtype=' + name)
            self.assertIn('float16', result.stderr)


if __name__ == '__main__':
    e2e.main()
