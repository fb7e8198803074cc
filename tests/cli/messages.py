# SPDX-License-Identifier: Apache-2.0
"""Words before work: a learning rate that teaches nothing, keys under other programs' names, paths
with the key that they came from, help in any spelling, what an evaluation without a checkpoint is,
and what a prediction does not say."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

OPTIMIZER = 'trainer.optimizer_config.'
RATE = OPTIMIZER + 'learning_rate.'
WARM = OPTIMIZER + 'warmup.polynomial.warmup_steps=%d'


class Messages(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, override='', mode='train', more=(), expect=0, task='sentence'):
        result = e2e.run(jobs.args(task, 'out', override, mode, more), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def rate_words(self, override):
        result = self.run_job(override, more=['--dry_run'])
        return [line for line in result.lines('bert-train: warning:') if 'learning rate' in line]

    def test_rates(self):
        """Shown once, before step 0, with the numbers; a sound one is not."""
        decay = RATE + 'polynomial.decay_steps=%d'
        for override, words in (
                ('trainer.train_steps=4,' + decay % 4 + ',' + WARM % 10, '0 in all 4 steps'),
                ('trainer.train_steps=4,' + decay % 4 + ',' + WARM % 4, '0 in all 4 steps'),
                ('trainer.train_steps=8,' + decay % 2 + ',' + WARM % 1,
                 '0 in 75 % of the 8 steps, from step 2 on'),
                (RATE + 'polynomial.initial_learning_rate=0.0', '0 in all 60 steps'),
                (RATE + 'type=exponential,' + RATE + 'exponential.initial_learning_rate=0.001,' + RATE +
                 'exponential.decay_steps=2,' + RATE + 'exponential.decay_rate=1.5',
                 'grows without bound: from ')):
            with self.subTest(override):
                told = self.rate_words(override)
                self.assertEqual(len(told), 1, told)
                self.assertIn(words, told[0])
        for override in ('', 'trainer.train_steps=1', RATE + 'type=constant,' + RATE +
                         'constant.learning_rate=0.001', WARM % 59):
            self.assertEqual(self.rate_words(override), [], override)

    def test_a_rate_that_is_no_number(self):
        error = self.one_error(self.run_job(
            RATE + 'type=exponential,' + RATE + 'exponential.initial_learning_rate=1.0,' + RATE +
            'exponential.decay_steps=1,' + RATE + 'exponential.decay_rate=1000.0', expect=2))
        self.assertIn('no finite number', error)

    def test_other_names(self):
        for override, want in (
                ('task.train_data.batch_size=8', 'task.train_data.global_batch_size'),
                ('batch_size=8', 'task.train_data.global_batch_size'),
                ('trainer.learning_rate=0.1', RATE + 'polynomial.initial_learning_rate'),
                ('learning_rate=0.1', RATE + 'polynomial.initial_learning_rate'),
                (OPTIMIZER + 'optimizer.adamw.learning_rate=0.1',
                 RATE + 'polynomial.initial_learning_rate'),
                ('max_seq_length=16', 'task.train_data.seq_length')):
            error = self.one_error(self.run_job(override, expect=2))
            self.assertIn("did you mean '%s'?" % want, error)

    def test_paths_have_their_keys(self):
        for override, key, task in (
                ('task.train_data.vocab_file=nowhere', 'task.train_data.vocab_file: nowhere', 'sentence'),
                ('task.train_data.vocab_file=nowhere', 'task.train_data.vocab_file: nowhere', 'squad'),
                ('task.train_data.input_path=nowhere.tsv', 'task.train_data.input_path: nowhere.tsv',
                 'sentence'),
                ('task.train_data.right_input_path=nowhere', 'task.train_data.right_input_path: nowhere',
                 'pairs'),
                ('task.init_checkpoint=nowhere', 'task.init_checkpoint', 'sentence')):
            error = self.one_error(self.run_job(override, expect=3, task=task))
            self.assertIn(key, error)

    def test_help(self):
        want = e2e.run(['--help'])
        for words in (['-h'], ['-help'], ['help']):
            result = e2e.run(words)
            self.assertEqual((result.code, result.stdout), (0, want.stdout))
        self.assertEqual(e2e.run(['-V']).stdout, e2e.run(['--version']).stdout)
        for name in ('create-finetuning-data', 'bert-tokenize', 'bert-checkpoint'):
            self.assertEqual(e2e.run(['-h'], name=name).stdout, e2e.run(['--help'], name=name).stdout)

    def test_a_flag_twice(self):
        result = self.run_job('trainer.train_steps=5', more=['--params_override=trainer.train_steps=6'])
        self.assertIn('flag --params_override is given twice', result.stderr)
        self.assertIn('step 6', result.stdout)
        result = self.run_job('trainer.train_steps=6', more=['--params_override=trainer.train_steps=6'])
        self.assertNotIn('given twice', result.stderr)

    def test_an_evaluation_without_a_checkpoint(self):
        for task in jobs.TASKS:
            result = self.run_job(mode='eval', task=task)
            self.assertIn('no checkpoint in --model_dir out: what is evaluated is', result.stderr)
            shutil.rmtree(self.path('out'))

    def test_a_prediction_has_no_warm_up(self):
        self.run_job('trainer.train_steps=5')
        result = self.run_job('trainer.train_steps=5,' + OPTIMIZER + 'warmup.polynomial.warmup_steps=null',
                              mode='predict')
        self.assertNotIn('warmup', result.stderr)
        self.assertNotIn('decay_steps', result.stderr)


if __name__ == '__main__':
    e2e.main()
