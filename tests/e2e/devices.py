# SPDX-License-Identifier: Apache-2.0
"""Runs on devices of a plug-in (runtime.pjrt_plugin): the CPU plug-in's here. They have the numbers
of the CPU engine, their checkpoints go on there and the other way round, and what is not supported is
refused before anything is written."""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
sys.path.insert(1, os.path.dirname(os.path.abspath(__file__)))
import e2e  # noqa: E402
import pairs  # noqa: E402
import plugins  # noqa: E402


def on_devices(case):
    """The key that takes the CPU plug-in, which compiles for seconds what its cache does not have."""
    if 'plug-ins: PJRT' not in e2e.run(['--version']).stdout or plugins.fetched('cpu') is None:
        case.skipTest('SKIPPED: no CPU plug-in, or a build without (tools/get_pjrt.sh cpu)')
    return f'runtime.pjrt_plugin={plugins.fetched("cpu")}'


def even_rows(n, seed):
    """Rows with as many tokens each: batches of few shapes, so few programs."""
    return [row for row in e2e.make_rows(40 * n, seed=seed) if sum(row['input_mask']) == 12][:n]


class Devices(e2e.Case):
    @classmethod
    def setUpClass(cls):
        cls.cache = tempfile.mkdtemp(prefix='bt-e2e-')  # programs, for all tests
        cls.addClassCleanup(shutil.rmtree, cls.cache, ignore_errors=True)

    def setUp(self):
        super().setUp()
        self.on_devices = on_devices(self)
        self.how = {'env': {'XLA_FLAGS': plugins.QUICK, 'BERT_TRAIN_PJRT_DIR': self.cache},
                    'timeout': 280}
        e2e.write_records(self.path('train.tf_record'), even_rows(64, 7))
        e2e.write_records(self.path('eval.tf_record'), even_rows(20, 8))

    def numbers(self, model_dir, what):
        return [row[what] for row in e2e.read_jsonl(self.path(model_dir)) if what in row]

    def same_numbers(self, a, b, what, delta):
        got, want = self.numbers(a, what), self.numbers(b, what)
        self.assertTrue(want, what)
        self.assertEqual(len(got), len(want))
        for x, y in zip(got, want):
            self.assertAlmostEqual(x, y, delta=delta, msg=what)

    def test_a_run_and_its_checkpoint(self):
        """With dropout: training, evaluation, best export; a run goes on on the other engine."""
        self.train(model_dir='cpu')
        ran = self.train(model_dir='first', override='trainer.train_steps=10,' + self.on_devices,
                         run_how=self.how)
        self.assertIn('compiling a training step of ', ran.stderr)
        self.assertTrue(os.listdir(os.path.join(self.cache, 'programs')))
        self.train(model_dir='first')
        self.same_numbers('first', 'cpu', 'training_loss', 2e-4)
        self.same_numbers('first', 'cpu', 'grad_norm', 2e-3)
        last = [self.numbers(folder, 'cls_accuracy')[-1] for folder in ('first', 'cpu')]
        self.assertAlmostEqual(*last, delta=0.051)  # one row in twenty

    def predictions(self, override):
        self.train(mode='predict', override=override, run_how=self.how)
        with open(self.path('out', 'predictions.tsv'), encoding='utf-8') as source:
            return [[float(x) for x in line.split('\t')] for line in source.readlines()[1:]]

    def test_two_devices_and_other_modes(self):
        """Trained on two devices from parts; predictions and an evaluation are those of the CPU engine."""
        self.train(override='trainer.train_steps=4,trainer.validation_interval=4,'
                   'runtime.distribution_strategy=mirrored,runtime.num_gpus=2,'
                   'trainer.gradient_accumulation_steps=2,'
                   'task.train_data.drop_remainder=false,' + self.on_devices, run_how=self.how)
        want, got = self.predictions(''), self.predictions(self.on_devices)
        self.assertEqual(len(want), 20)
        self.assertEqual(len(got), 20)
        for x, y in zip(want, got):
            for a, b in zip(x, y):
                self.assertAlmostEqual(a, b, delta=1e-5)
        self.train(mode='eval', override='trainer.continuous_eval_timeout=1')
        self.train(mode='eval', override='trainer.continuous_eval_timeout=1,' + self.on_devices,
                   run_how=self.how)
        losses = self.numbers('out', 'validation_loss')
        self.assertGreater(len(losses), 2)
        for loss in losses:  # of one step
            self.assertAlmostEqual(loss, losses[0], delta=1e-5)

    def test_refusals(self):
        for override, code, words in (
                ('runtime.pjrt_plugin=/nowhere/x.so', 5, '/nowhere/x.so'),
                (self.on_devices + ',trainer.gradient_accumulation_steps=2,'
                 'trainer.optimizer_config.optimizer.adamw.clipvalue=1', 2,
                 'gradient_accumulation_steps'),
                (self.on_devices + ',runtime.batch_shares=rows', 2, 'batch_shares'),
                (self.on_devices + ',runtime.distribution_strategy=mirrored,runtime.num_gpus=2,'
                 'trainer.optimizer_config.optimizer.adamw.global_clipnorm=1', 2,
                 'global_clipnorm clips the sum'),
                (self.on_devices + ',runtime.distribution_strategy=mirrored,runtime.num_gpus=2,'
                 'trainer.optimizer_config.optimizer.adamw.clipvalue=1', 2, 'clipvalue clips the sum'),
                (self.on_devices + ',runtime.distribution_strategy=mirrored,runtime.num_gpus=99', 5,
                 '99 devices'),
                (self.on_devices + ',runtime.attention=triton', 2, 'set it to auto'),
                (self.on_devices + ',runtime.attention=cudnn', 2, 'cudnn: its kernels')):
            result = self.train(expect=code, override=override, run_how=self.how)
            self.assertIn(words, self.one_error(result), override)
            self.assertFalse(os.path.exists(self.path('out')), override)


class Pairs(pairs.Pairs):
    def test_shares_without_whole_pairs_are_refused(self):
        """The CPU plug-in has four devices, and each holds its own pairs against one another."""
        mirrored = on_devices(self) + ',runtime.distribution_strategy=mirrored,'
        for override, words in (
                ('task.train_data.drop_remainder=false', 'task.train_data.drop_remainder'),
                ('task.train_data.global_batch_size=6', 'a multiple of 4')):
            result = self.train(mode='train', expect=2, override=mirrored + override)
            self.assertIn(words, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))


if __name__ == '__main__':
    e2e.main()
