# SPDX-License-Identifier: Apache-2.0
"""--compile_only: what a run would take of devices that are not here. A tiny model, with the
plug-ins for GPUs and TPUs where they were fetched."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compiling  # noqa: E402
import e2e  # noqa: E402
import plugins  # noqa: E402

STRATEGY = 'runtime.distribution_strategy='
TRAIN = 'task.train_data.'
DEV = 'task.validation_data.'
SIZES = {'layers': 2, 'hidden': 32, 'inner': 64, 'classes': 3}
MIB = 1 << 20


class CompileOnly(e2e.Case):
    def setUp(self):
        super().setUp()
        with open(self.path('run.yaml'), encoding='utf-8') as source:
            text = source.read()
        self.write('run.yaml', text.replace('  distribution_strategy: one_device\n',
                                            '  mixed_precision_dtype: bfloat16\n'))
        self.write('small.txtpb', compiling.GPU % (32 * MIB))

    def compile(self, target, override='', expect=0, mode='train_and_eval', more=(), env=None):
        before = e2e.read_tree(self.folder)
        result = self.train(mode=mode, override=override, expect=expect,
                            more=['--compile_only=' + target, *more],
                            run_how={'timeout': 400, 'env': env})
        self.assertEqual(e2e.read_tree(self.folder), before)
        return result

    def test_flags(self):
        for more, words in ((['--dry_run'], '--dry_run'), (['--seeds=1,2'], '--seeds'),
                            (['--benchmark'], '--benchmark')):
            result = self.compile('h100', mode='train', more=more, expect=2)
            self.assertIn('leave %s out' % words, self.one_error(result))
        result = self.train(more=['--nolargest_batch'], expect=2)
        self.assertIn('--compile_only', self.one_error(result))
        for name in ('h900', 'h100:0', 'h100:x', ':8', '', 'v5e', 'v5e:', 'v5e:2y2', '/nowhere'):
            error = self.one_error(self.compile(name, expect=2))
            self.assertIn('--compile_only: ', error)
            self.assertIn('a100, h100 or h200 (h100:8', error)
        self.write('other.txtpb', 'something_else { }\n')
        self.assertIn('GpuTargetConfigProto', self.one_error(self.compile('other.txtpb', expect=2)))

    def test_no_plugin(self):
        """What to type, at once."""
        if 'plug-ins: PJRT' not in e2e.run(['--version']).stdout:
            self.skipTest('SKIPPED: a build without plug-ins')
        for target, kind in (('h100:8', 'cuda13'), ('v5e:2x2', 'tpu')):
            error = self.one_error(self.compile(target, expect=5,
                                                env=plugins.none_here(self.path('home'))))
            self.assertIn('--compile_only=%s: no PJRT plug-in' % target, error)
            self.assertIn('tools/get_pjrt.sh ' + kind, error)

    def need(self, kind):
        if compiling.why_not(kind):
            self.skipTest(compiling.why_not(kind))

    def test_contradictions(self):
        """With the target, and what any run is refused for."""
        self.need('cuda')
        self.need('tpu')
        for target, override, code, words in (
                ('h100', STRATEGY + 'tpu', 2, 'these are GPUs'),
                ('v5e:1x1', STRATEGY + 'one_device', 2, 'these are TPUs'),
                ('v5e:1x1', 'runtime.num_gpus=1', 2, 'runtime.num_gpus is 1'),
                ('h100:2', 'runtime.num_gpus=4', 2, 'runtime.num_gpus is 4'),
                ('h100:2', STRATEGY + 'one_device', 2, 'one GPU at most'),
                ('h100:2', STRATEGY + 'multi_worker_mirrored', 2, 'on processors'),
                ('v9e:1x1', '', 2, ': choose a100, h100 or h200'),
                ('v5e:9x9x9', '', 2, 'v5e:9x9x9'),
                ('h100', 'runtime.pjrt_plugin=/nowhere/x.so', 5, '/nowhere/x.so'),
                ('h100', 'runtime.pjrt_plugin=' + plugins.fetched('tpu'), 2, 'libtpu'),
                ('h100', TRAIN + 'input_path=nowhere.tf_record', 3, 'nowhere.tf_record'),
                ('h100', 'task.init_checkpoint=nowhere', 3, 'nowhere'),
                ('h100', 'trainer.best_checkpoint_eval_metric=f1', 2, 'f1')):
            result = self.compile(target, override=override, expect=code)
            self.assertIn(words, self.one_error(result), target + ' ' + override)
        result = self.compile('h100', mode='continuous_train_and_eval', expect=2)
        self.assertIn('--mode=train_and_eval', self.one_error(result))

    def check_program(self, program, trains, devices):
        self.assertAlmostEqual(program['products_gflop'],
                               program['parts'] * compiling.gflop(program, trains, **SIZES), places=9)
        self.assertEqual(program['devices'], devices)
        self.assertGreater(program['serialized_bytes'], 1000)
        self.assertEqual(program['total_bytes'],
                         sum(program[what + '_bytes'] for what in
                             ('argument', 'result', 'temporary', 'code', 'beside')) -
                         program['donated_bytes'])

    def test_training_on_two(self):
        self.need('cuda')
        result = self.compile('h100:2', more=['--log_format=json', '--nolargest_batch'])
        report = compiling.read(result)
        self.assertEqual((report['devices'], report['chip']), (2, 'NVIDIA H100 80GB HBM3'))
        self.assertEqual(report['memory_bytes'], 84942979072)
        self.assertEqual(report['usable_bytes'], 84942979072 * 3 // 4)
        training, evaluation = report['training'], report['evaluation']
        self.check_program(training, True, 2)
        self.check_program(evaluation, False, 2)
        self.assertEqual((training['batch'], training['batches']), (4, 16))
        self.assertEqual((evaluation['batch'], evaluation['batches']), (8, 3))
        n_values = evaluation['beside_bytes'] // 8  # two slots of the optimizer
        self.assertGreater(training['argument_bytes'], 0.9 * 3 * 4 * n_values)  # of rows without gaps
        self.assertGreaterEqual(training['full_bytes_estimated'], training['total_bytes'])
        self.assertNotIn('full', training)  # far below what is there
        self.assertNotIn('largest', training)

    @unittest.skipIf(not e2e.LONG, 'SKIPPED: only with BT_LONG_TESTS=1')
    def test_in_parts(self):
        """A part is what is compiled; slots stay beside it, and gradients are among what it reads."""
        self.need('cuda')
        result = self.compile('h100:2', mode='train', more=['--log_format=json', '--nolargest_batch'],
                              override='trainer.gradient_accumulation_steps=2')
        training = compiling.read(result)['training']
        self.check_program(training, True, 2)
        self.assertEqual((training['batch'], training['parts']), (4, 2))
        self.assertEqual(training['places'], 2)  # one sequence in it
        self.assertGreater(training['beside_bytes'], 0.9 * training['donated_bytes'])

    def test_the_largest_batch(self):
        """It compiles and fits; one more example does not fit, which is said with the one that
        does."""
        self.need('cuda')
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(4000, seed=9))
        size = DEV + 'global_batch_size=%d'
        small = ['--log_format=json', '--largest_batch=false']
        report = compiling.read(self.compile('small.txtpb', mode='eval', override=size % 200,
                                             more=['--log_format=json']))
        self.assertNotIn('training', report)
        self.check_program(report['evaluation'], False, 1)
        found = report['evaluation']['largest']
        self.assertTrue(found['is_known'] and found['is_bounded'])
        self.assertLessEqual(found['compiled'], 6)
        self.assertLessEqual(found['total_bytes'], report['usable_bytes'])
        self.assertGreater(found['total_bytes'], report['usable_bytes'] // 2)
        again = compiling.read(self.compile('small.txtpb', mode='eval', more=small,
                                            override=size % found['batch']))['evaluation']
        self.assertNotIn('largest', again)
        for what in ('rows', 'slots', 'total_bytes'):
            self.assertEqual(again['full'][what], found[what])
        self.assertGreater(found['rows'] * found['slots'], again['rows'] * again['slots'])
        result = self.compile('small.txtpb', mode='eval', override=size % (found['batch'] + 1),
                              more=small, expect=4)
        errors = [line for line in result.stderr.splitlines() if '"error"' in line]
        self.assertEqual(len(errors), 1, result)
        error = errors[0]
        self.assertIn(DEV + 'global_batch_size', error)
        self.assertIn('%d examples of 16 tokens do not fit into the 24.0 MiB' % (found['batch'] + 1),
                      error)
        self.assertIn(': %d do' % found['batch'], error)
        self.assertIn('"largest"', result.stdout)

    def test_table(self):
        """Columns stand below each other; no batch is too large for data that end before."""
        self.need('cuda')
        result = self.compile('h100', mode='eval')
        lines = result.stdout.splitlines()
        table = lines[lines.index('') + 1:lines.index('', lines.index('') + 1)]
        self.assertEqual(len({len(line) for line in table}), 1, result.stdout)
        for name in ('rows x slots, sequences', 'temporary', 'serialized', 'compiled in'):
            self.assertEqual(len([line for line in table if line.startswith(name)]), 1, name)
        self.assertIn('h100: 1 x NVIDIA H100 80GB HBM3', lines[0])
        self.assertIn('79.11 GiB, of it for programs 59.33 GiB', lines[1])
        self.assertIn('none larger was tried', lines[-1])

    def test_tpu(self):
        self.need('tpu')
        report = compiling.read(self.compile('v5e:2x2', mode='eval', override=STRATEGY + 'tpu',
                                             more=['--log_format=json', '--nolargest_batch']))
        self.assertEqual((report['devices'], report['chip']), (4, 'TPU v5 lite'))
        self.check_program(report['evaluation'], False, 4)


if __name__ == '__main__':
    e2e.main()
