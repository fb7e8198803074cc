# SPDX-License-Identifier: Apache-2.0
"""Numbers that are not finite: a weight of a checkpoint is refused with its name by whoever would compute with it, an
output with its row by whoever would count it, and a training saves nothing that nobody could go on from."""
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402
import ranks  # noqa: E402

PRECISIONS = ('', 'runtime.precision=int8', 'runtime.mixed_precision_dtype=bfloat16')


def setUpModule():
    """One run of each task, which the tests only read or copy."""
    Damaged.models = e2e.tempfile.mkdtemp(prefix='bt-not-finite-')
    jobs.make(Damaged.models)
    for task in jobs.TASKS:
        trained = e2e.run(jobs.args(task, task, 'trainer.train_steps=20', 'train_and_eval'), cwd=Damaged.models)
        assert trained.code == 0, str(trained)


def tearDownModule():
    e2e.shutil.rmtree(Damaged.models)


class Damaged(e2e.Case):
    models = ''

    def copy(self, task, part, number, everywhere=False):
        """A folder whose checkpoints, the best one too, have that number."""
        folder = self.path('damaged')
        e2e.shutil.rmtree(folder, ignore_errors=True)
        e2e.shutil.copytree(os.path.join(self.models, task), folder)
        for place in (folder, os.path.join(folder, 'best_ckpt')):
            for name in os.listdir(place):
                if name.endswith('.index'):
                    e2e.damage_weight(os.path.join(place, name[:-len('.index')]), part, number, everywhere)
        return folder

    def refused(self, task, mode, words, override='', code=3, more=()):
        """With one sentence, and not a byte of the folder is another."""
        folder = self.path('damaged')
        before = e2e.read_tree(folder)
        told = e2e.run(jobs.args(task, folder, override, mode, more), cwd=self.models)
        self.assertEqual(told.code, code, str(told))
        for word in words:
            self.assertIn(word, self.one_error(told))
        self.assertEqual(e2e.read_tree(folder), before)

    def test_each_mode_and_precision(self):
        out = ['--output_path=' + self.path('o.jsonl')]
        for part, number in (('_key_dense/kernel/', math.nan), ('pooler_dense/kernel/', math.inf),
                             ('layer_norm/gamma/', -math.inf)):
            self.copy('sentence', part, number)
            words = [part.strip('/').split('/')[-1], '%g' % number, 'not a finite number', 'damaged']
            for override in PRECISIONS:
                self.refused('sentence', 'eval', words, override)
                self.refused('sentence', 'predict', words, override, more=out)
            self.refused('sentence', 'eval', words, more=['--checkpoint=best'])
            self.refused('sentence', 'continuous_eval', words, 'trainer.continuous_eval_timeout=0')
            self.refused('sentence', 'train', words, 'trainer.train_steps=40')
            self.refused('sentence', 'export', words, more=['--export_format=hf', '--output_path=' + self.path('hf')])
        self.assertEqual([name for name in ('o.jsonl', 'hf') if os.path.exists(self.path(name))], [])

    def test_what_a_training_would_start_from(self):
        prefix = os.path.join(self.copy('sentence', '_key_dense/kernel/', math.nan), 'ckpt-20')
        for override in ('', ',task.init_head=true'):
            told = e2e.run(jobs.args('sentence', 'fresh', 'task.init_checkpoint=%s%s' % (prefix, override)), cwd=self.models)
            self.assertEqual(told.code, 3, str(told))
            self.assertIn('key/kernel', self.one_error(told).replace('key_dense', 'key'))
            self.assertFalse(os.path.exists(os.path.join(self.models, 'fresh', 'ckpt-0.index')))

    def test_an_output_names_its_row(self):
        """Weights that are finite, and too large."""
        for task in jobs.TASKS:
            with self.subTest(task):
                self.copy(task, 'layer_with_weights-5/_output_layer_norm/gamma/', 3e38, everywhere=True)
                for override in PRECISIONS:
                    self.refused(task, 'eval', ['task.validation_data: row 0', 'not a finite number'], override)
                    self.refused(task, 'predict', ['row 0', 'not a finite number'], override, more=['--output_path=' + self.path('out_' + task)])
                self.assertFalse(os.path.isfile(self.path('out_' + task)) or os.path.isfile(self.path('out_' + task, 'predictions.json')))


class Diverged(e2e.Case):
    RATE = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=%s,trainer.optimizer_config.warmup.type=null'

    def test_the_evaluation_of_a_training(self):
        """The last update made weights with which nothing can be computed: no metric is told of them."""
        result = self.train(expect=6, override=self.RATE % '3e37' + ',trainer.train_steps=1,trainer.steps_per_loop=1')
        self.assertRegex(self.one_error(result), r'step 1: the model.s output for row 0 \(\S*eval.tf_record: record 0 at byte 0\) '
                         'of task.validation_data is -?(nan|inf)')
        self.assertNotIn('validation', [r['kind'] for r in e2e.read_jsonl(self.path('out'))])

    def test_nothing_is_saved_that_nobody_could_go_on_from(self):
        """An infinite weight after a finite loss and norm."""
        for name, n in (('train', 16), ('eval', 6)):
            e2e.write_records(self.path(name + '.tf_record'), e2e.make_rows(n, n_classes=1, label=[900.0]))
        keys = ('task.model.num_classes=1,task.train_data.label_type=float,task.validation_data.label_type=float,'
                'task.metric_type=pearson_spearman_corr,trainer.best_checkpoint_eval_metric=pearson_spearman_corr,'
                'trainer.optimizer_config.optimizer.type=sgd,'
                'trainer.steps_per_loop=1,trainer.checkpoint_interval=1,')
        result = self.train(expect=6, mode='train', override=keys + self.RATE % '3e38' + ',trainer.train_steps=1')
        self.assertRegex(self.one_error(result), r'step 1: \S+ is -?(nan|inf) after its update, .*ckpt-1 is not saved, '
                         'and nothing was saved before it')
        self.assertFalse(os.path.exists(self.path('out/ckpt-1.index')))
        self.assertFalse(os.path.exists(self.path('out/checkpoint')))
        # beside a checkpoint, whose count of saves another program may have left at 0
        self.train(mode='train', override=keys + self.RATE % '1e-9' + ',trainer.train_steps=1')
        key = 'save_counter' + e2e.SUFFIX
        e2e.replace_value(self.path('out/ckpt-1'), key, e2e.read_bundle(self.path('out/ckpt-1'))[key].place, bytes(8))
        result = self.train(expect=6, mode='train', override=keys + self.RATE % '3e38' + ',trainer.train_steps=2')
        self.assertRegex(self.one_error(result), 'step 2: .*ckpt-2 is not saved, and what was saved before stays')

    def recovery(self, keys, boundary, rates):
        return ('trainer.optimizer_config.learning_rate.type=stepwise,'
                'trainer.optimizer_config.learning_rate.stepwise.boundaries=[%d],'
                'trainer.optimizer_config.learning_rate.stepwise.values=%s,trainer.optimizer_config.warmup.type=null,'
                'trainer.checkpoint_interval=1,trainer.train_steps=6,trainer.report=false,'
                'trainer.recovery_max_trials=2,%s' % (boundary, rates, keys))

    def recover(self, model_dir, keys, boundary, rates, expect=0):
        return self.train(expect=expect, mode='train', model_dir=model_dir, override=self.recovery(keys, boundary, rates))

    def test_a_recovery_goes_back_from_such_weights(self):
        """To the newest checkpoint, each time that a save is due; before the first one to the beginning."""
        for name, n in (('train', 16), ('eval', 6)):
            e2e.write_records(self.path(name + '.tf_record'), e2e.make_rows(n, n_classes=1, label=[900.0]))
        keys = ('task.model.num_classes=1,task.train_data.label_type=float,task.validation_data.label_type=float,'
                'task.metric_type=pearson_spearman_corr,trainer.best_checkpoint_eval_metric=pearson_spearman_corr,'
                'trainer.optimizer_config.optimizer.type=sgd,trainer.steps_per_loop=1')
        result = self.recover('late', keys, 2, '[1e-9, 3e38]', expect=6)
        self.assertEqual(e2e.re.findall(r'is -?(?:nan|inf) after its update: recovered the model from the latest checkpoint at step (\d)', result.stderr), ['3', '3'])
        self.assertRegex(self.one_error(result), r'step 4: \S+ is -?(nan|inf) after its update, time number 3, and trainer.recovery_max_trials is 2')
        self.assertEqual(e2e.read_state_file(self.path('late'))[0], 'ckpt-3')
        result = self.recover('early', keys, 0, '[3e38, 1e-9]')
        self.assertIn('after its update: recovered the model from its initial weights at step 1 (trial 1 of 2)', result.stderr)
        self.assertEqual(e2e.read_jsonl(self.path('early'))[-1]['step'], 6)
        # two processes go back together: no infinite weight stays in the one that does not look
        job, addresses = ranks.Job(e2e.program(), cwd=self.folder), ranks.addresses_of(2)
        self.addCleanup(job.kill)
        keys += ',runtime.distribution_strategy=multi_worker_mirrored'
        for rank in range(2):
            job.start(ranks.tf_config(addresses, rank), *self.args(
                mode='train', model_dir='two', override=self.recovery(keys, 0, '[3e38, 1e-9]')))
        for code, _out, err in job.end():
            self.assertEqual(code, 0, err)
        want, got = (e2e.trained_values(self.path(name, 'ckpt-6')) for name in ('early', 'two'))
        self.assertEqual(sorted(want), sorted(got))
        for name, raw in want.items():
            for x, y in zip(e2e.array.array('f', raw), e2e.array.array('f', got[name])):
                self.assertLessEqual(abs(x - y), 1e-6, name)

    def test_an_optimizer_begins_again(self):
        """Nothing of the bad steps stays in its slots and averages."""
        keys = 'trainer.steps_per_loop=2,trainer.summary_interval=2,trainer.optimizer_config.ema.average_decay=0.9'
        result = self.recover('out', keys, 0, '[1e37, 1e-4]')
        self.assertRegex(result.stderr, 'training loss -?nan: recovered the model from its initial weights at step 2')
        self.assertEqual(len(result.stderr.split('recovered')), 2, str(result))
        for name, raw in e2e.trained_values(self.path('out/ckpt-6')).items():
            self.assertTrue(all(abs(x) < 10 for x in e2e.array.array('f', raw)), name)


if __name__ == '__main__':
    e2e.main()
