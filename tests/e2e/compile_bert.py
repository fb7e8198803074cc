# SPDX-License-Identifier: Apache-2.0
"""BERT-base compiled for accelerators that are not here, with the files of configs/ and batches of
MNLI's and SQuAD's shapes: memory, operations. usage: compile_bert.py cuda|tpu
BT_LONG_TESTS=1: the largest batch as well, and one that is too large."""
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compiling  # noqa: E402
import e2e  # noqa: E402

KIND = sys.argv.pop(1) if len(sys.argv) > 1 else 'cuda'
TARGET = {'cuda': 'h100', 'tpu': 'v5e:1x1'}[KIND]
SIZES = {'layers': 12, 'hidden': 768, 'inner': 3072}
CONFIGS = [os.path.join(e2e.SOURCE, 'configs', name) for name in
           ('models/bert_en_uncased_base.yaml', 'experiments/glue_mnli_matched.yaml',
            'experiments/squad_v1.yaml')]
SCHEDULE = ('trainer.optimizer_config.learning_rate.polynomial.decay_steps=10,'
            'trainer.optimizer_config.warmup.polynomial.warmup_steps=2,trainer.train_steps=10')


def label_of_pair(rng, _n):
    return {'label_ids': [rng.randint(0, 2)]}


def span(rng, n):
    return {'start_positions': [rng.randint(1, n // 2)], 'end_positions': [rng.randint(n // 2, n - 1)]}


class CompileBert(e2e.Case):
    def setUp(self):
        super().setUp()
        if compiling.why_not(KIND):
            self.skipTest(compiling.why_not(KIND))

    def compile(self, experiment, config, batch, more=(), override='', expect=0):
        args = ['--experiment=' + experiment, '--mode=train', '--model_dir=out',
                '--config_file=' + CONFIGS[0], '--config_file=' + config, '--log_format=json',
                '--compile_only=' + TARGET, *more,
                '--params_override=task.train_data.input_path=rows.tf_record,'
                'runtime.mixed_precision_dtype=bfloat16,task.train_data.global_batch_size='
                '%d,%s%s' % (batch, SCHEDULE, override)]
        result = e2e.run(args, cwd=self.folder, timeout=1500)
        self.assertEqual(result.code, expect, str(result))
        self.assertFalse(os.path.exists(self.path('out')))
        return compiling.read(result), result

    def rows(self, n, seq_length, label):
        """All of full length: the largest batch that may come."""
        rng = random.Random(3)
        e2e.write_records(self.path('rows.tf_record'), compiling.rows_of_lengths(
            rng, [seq_length] * n, seq_length, 30522, label))

    def mnli(self, batch, more=('--nolargest_batch',), override='', expect=0):
        self.rows(2 * batch, 128, label_of_pair)
        return self.compile('bert/sentence_prediction', CONFIGS[1], batch, more, override, expect)

    def check(self, program, slots, temporary_bytes, **how):
        self.assertEqual(program['rows'] * program['slots'], slots)
        self.assertLessEqual(program['temporary_bytes'], temporary_bytes)
        self.assertGreater(program['serialized_bytes'], 1000)
        self.assertAlmostEqual(program['products_gflop'],
                               compiling.gflop(program, True, **SIZES, **how), places=6)
        self.assertGreater(program['argument_bytes'], 12 * 108.8e6)  # weights and two slots
        print('%s: %r' % (TARGET, program))

    def test_mnli(self):
        batch, most = (128, 6e9) if KIND == 'cuda' else (32, 2e9)
        report, _ = self.mnli(batch)
        self.check(report['training'], batch * 128, most, classes=3)
        self.assertEqual(report['training']['full_bytes_estimated'],
                         report['training']['total_bytes'])

    def test_mnli_recomputed(self):
        if KIND == 'tpu' and not e2e.LONG:
            self.skipTest('SKIPPED: only with BT_LONG_TESTS=1')
        batch, most = (128, 2e9) if KIND == 'cuda' else (32, 1e9)
        report, _ = self.mnli(batch, override=',runtime.recompute=true')
        self.check(report['training'], batch * 128, most, classes=3)

    def test_squad(self):
        batch = 48 if KIND == 'cuda' else 12
        self.rows(2 * batch, 384, span)
        report, _ = self.compile('bert/squad', CONFIGS[2], batch, ['--nolargest_batch'])
        self.check(report['training'], batch * 384, 8e9 if KIND == 'cuda' else 2.5e9, classes=2,
                   per_token=True)

    @unittest.skipIf(not e2e.LONG, 'SKIPPED: only with BT_LONG_TESTS=1')
    def test_the_largest(self):
        report, _ = self.mnli(32, more=())
        found = report['training']['largest']
        self.assertTrue(found['is_known'] and found['is_bounded'])
        self.assertLessEqual(found['total_bytes'], report['usable_bytes'])
        self.assertGreater(found['total_bytes'], report['usable_bytes'] * 0.7)
        print('%s: %r' % (TARGET, found))
        _, result = self.mnli(4 * found['batch'], expect=4)
        error = [line for line in result.stderr.splitlines() if '"error"' in line]
        self.assertEqual(len(error), 1)
        self.assertIn('task.train_data.global_batch_size', error[0])


if __name__ == '__main__':
    e2e.main()
