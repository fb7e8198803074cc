# SPDX-License-Identifier: Apache-2.0
"""Words before work: a learning rate that teaches nothing, keys under other programs' names, paths
with the key that they came from, help in any spelling, what an evaluation without a checkpoint is,
and what a prediction does not say."""
import os
import re
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
        for override in ('', 'trainer.train_steps=1,' + WARM % 0, RATE + 'type=constant,' + RATE +
                         'constant.learning_rate=0.001', WARM % 59):
            self.assertEqual(self.rate_words(override), [], override)

    USUAL = {
        'polynomial': 'initial_learning_rate=0.001,end_learning_rate=0.0,decay_steps=60,power=1.0',
        'exponential': 'initial_learning_rate=0.001,decay_rate=0.96,decay_steps=20',
        'cosine': 'initial_learning_rate=0.001,decay_steps=60,alpha=0.0',
        'stepwise': 'boundaries=[20;40],values=[0.001;0.0005;0.0001]',
        'power': 'initial_learning_rate=0.001,power=-0.5',
        'power_linear': 'initial_learning_rate=0.001,power=-0.5,linear_decay_fraction=0.1,total_decay_steps=60',
        'power_with_offset': 'initial_learning_rate=0.001,power=-0.5,pre_offset_learning_rate=0.001,offset=10',
        'step_cosine_with_offset': 'boundaries=[0;30;61],values=[0.001;0.0005;0.0]',
        'constant': 'learning_rate=0.001'}
    WARMUPS = ('type=null', 'type=linear,linear.warmup_steps=6', 'type=polynomial,polynomial.warmup_steps=6')
    # schedule, what is changed, what the one sentence says; WARM: keys of the warm-up
    ODD = (
        ('polynomial', 'decay_steps=1', '0 in all 60 steps'),
        ('polynomial', 'offset=-1000', '0 in all 60 steps'),
        ('polynomial', 'initial_learning_rate=1e-30', '0 in all 60 steps'),
        ('polynomial', 'decay_steps=20', '0 in 67 % of the 60 steps, from step 20 on'),
        ('polynomial', 'power=-1.0', 'grows: from 0.00111111 to 0.0600001 within the 60 steps'),
        ('polynomial', 'end_learning_rate=0.002', 'grows: from 0.0011 to 0.00198333'),
        ('polynomial', 'end_learning_rate=-0.001', 'negative in 48 % of the 60 steps, from step 31 on, down to -0.00096'),
        ('polynomial', 'offset=1000', 'is up to 0.0175667, 18 times the 0.001 of'),
        ('polynomial', 'WARM type=linear,linear.warmup_learning_rate=0.1,linear.warmup_steps=6', '100 times the 0.001'),
        ('constant', 'WARM polynomial.warmup_steps=100', 'takes 100 steps and the training ends after 60: the learning rate reaches 0.00059 and never falls'),
        ('constant', 'WARM type=linear,linear.warmup_steps=60', 'takes 60 steps and the training ends after 60'),
        ('constant', 'learning_rate=0.0', '0 in all 60 steps'),
        ('exponential', 'decay_rate=1.01', 'grows without bound: from 0.001'),
        ('exponential', 'decay_rate=0.0', '0 in all 60 steps'),
        ('exponential', 'decay_rate=-0.5,exponential.staircase=true', 'negative in 33 % of the 60 steps'),
        ('exponential', 'decay_rate=0.5,exponential.offset=1000', 'times the 0.001 of'),
        ('cosine', 'decay_steps=30', '0 in 50 % of the 60 steps, from step 30 on'),
        ('cosine', 'decay_steps=1', '0 in all 60 steps'),
        ('stepwise', 'values=[0.001,0.0,0.0]', '0 in 65 % of the 60 steps, from step 21 on'),
        ('stepwise', 'values=[0.001,0.01,0.1]', 'grows: from 0.001 to 0.1'),
        ('stepwise', 'values=[0.001,-0.01,0.1]', 'negative in 33 %'),
        ('power', 'power=0.5', 'grows without bound: from '),
        ('power_linear', 'total_decay_steps=10', '0 in 83 % of the 60 steps, from step 10 on'),
        ('power_linear', 'power=2.0', 'times the 0.001 of'),
        ('power_with_offset', 'pre_offset_learning_rate=0.0', '0 in all 60 steps'))
    NO_NUMBER = (('exponential', 'decay_rate=-0.5', 'becomes nan'), ('power', 'power=30.0', 'becomes inf'),
                 ('polynomial', 'decay_steps=0', 'has no value'), ('cosine', 'decay_steps=0', 'has no value'))

    def schedule(self, kind, warmup, change=''):
        keys = [RATE + 'type=' + kind] + [RATE + kind + '.' + k.replace(';', ',') for k in self.USUAL[kind].split(',')]
        if change.startswith('WARM '):
            warmup = change[5:]
        elif change:
            keys += [RATE + k if k.startswith(kind + '.') else RATE + kind + '.' + k
                     for k in re.split(r',(?=[a-z])', change)]
        return ','.join(keys + [OPTIMIZER + 'warmup.' + k for k in warmup.split(',')])

    def test_usual_schedules_are_not_spoken_of(self):
        for kind in self.USUAL:
            for warmup in self.WARMUPS:
                self.assertEqual(self.rate_words(self.schedule(kind, warmup)), [], (kind, warmup))

    def test_odd_schedules(self):
        for kind, change, words in self.ODD:
            for warmup in self.WARMUPS[2:]:
                with self.subTest(kind=kind, change=change):
                    told = self.rate_words(self.schedule(kind, warmup, change))
                    self.assertEqual(len(told), 1, told)
                    self.assertIn(words, told[0])
        for kind, change, words in self.NO_NUMBER:
            result = self.run_job(self.schedule(kind, self.WARMUPS[0], change), more=['--dry_run'], expect=2)
            self.assertIn(words, self.one_error(result))

    def test_a_rate_that_is_no_number(self):
        error = self.one_error(self.run_job(
            RATE + 'type=exponential,' + RATE + 'exponential.initial_learning_rate=1.0,' + RATE +
            'exponential.decay_steps=1,' + RATE + 'exponential.decay_rate=1000.0', expect=2))
        self.assertIn('not a finite number', error)

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

    # what users of other programs write: the key here (a key of the experiment; HERE below for those that
    # are not the same everywhere), or a flag
    WORDS = {
        'num_train_epochs': 'task.train_data.epochs', 'epochs': 'task.train_data.epochs',
        'per_device_train_batch_size': 'task.train_data.global_batch_size',
        'per_device_eval_batch_size': 'task.validation_data.global_batch_size',
        'train_batch_size': 'task.train_data.global_batch_size',
        'eval_batch_size': 'task.validation_data.global_batch_size',
        'predict_batch_size': 'task.validation_data.global_batch_size',
        'batch_size': 'task.train_data.global_batch_size', 'max_seq_length': 'task.train_data.seq_length',
        'max_length': 'task.train_data.seq_length', 'seed': 'task.train_data.seed',
        'random_seed': 'task.train_data.seed', 'train_file': 'task.train_data.input_path',
        'validation_file': 'task.validation_data.input_path', 'data_dir': 'task.train_data.input_path',
        'train_data_path': 'task.train_data.input_path', 'eval_data_path': 'task.validation_data.input_path',
        'bert_config_file': 'task.init_checkpoint', 'model_name_or_path': 'task.init_checkpoint',
        'init_checkpoint': 'task.init_checkpoint', 'vocab_file': 'task.train_data.vocab_file',
        'hidden_size': 'task.model.encoder.bert.hidden_size',
        'num_hidden_layers': 'task.model.encoder.bert.num_layers',
        'hidden_act': 'task.model.encoder.bert.hidden_activation',
        'hidden_dropout_prob': 'task.model.encoder.bert.dropout_rate',
        'attention_probs_dropout_prob': 'task.model.encoder.bert.attention_dropout_rate',
        'lr': RATE + 'polynomial.initial_learning_rate',
        'learning_rate': RATE + 'polynomial.initial_learning_rate',
        'lr_scheduler_type': RATE + 'type', 'optim': OPTIMIZER + 'optimizer.type',
        'weight_decay': OPTIMIZER + 'optimizer.adamw.weight_decay_rate',
        'weight_decay_rate': OPTIMIZER + 'optimizer.adamw.weight_decay_rate',
        'adam_epsilon': OPTIMIZER + 'optimizer.adamw.epsilon', 'adam_beta1': OPTIMIZER + 'optimizer.adamw.beta_1',
        'adam_beta2': OPTIMIZER + 'optimizer.adamw.beta_2',
        'max_grad_norm': OPTIMIZER + 'optimizer.adamw.gradient_clip_norm',
        'warmup_steps': OPTIMIZER + 'warmup.polynomial.warmup_steps',
        'num_warmup_steps': OPTIMIZER + 'warmup.polynomial.warmup_steps',
        'warmup_ratio': 'trainer.warmup_fraction', 'warmup_proportion': 'trainer.warmup_fraction',
        'max_steps': 'trainer.train_steps', 'num_train_steps': 'trainer.train_steps',
        'save_steps': 'trainer.checkpoint_interval', 'eval_steps': 'trainer.validation_interval',
        'logging_steps': 'trainer.summary_interval', 'save_total_limit': 'trainer.max_to_keep',
        'gradient_accumulation_steps': 'trainer.gradient_accumulation_steps',
        'metric_for_best_model': 'trainer.best_checkpoint_eval_metric', 'patience': 'trainer.early_stopping_patience',
        'fp16': 'runtime.mixed_precision_dtype', 'bf16': 'runtime.mixed_precision_dtype',
        'num_threads': 'runtime.threads', 'gradient_checkpointing': 'runtime.recompute',
        'output_dir': '--model_dir', 'do_train': '--mode=train', 'do_eval': '--mode=eval',
        'do_predict': '--mode=predict', 'task_name': '--experiment', 'mode': '--mode',
        # misspelt, in the wrong section, in the other section
        'trainer.train_stpes': 'trainer.train_steps', 'trainer.warmup_steps': OPTIMIZER + 'warmup.polynomial.warmup_steps',
        'task.train_data.golbal_batch_size': 'task.train_data.global_batch_size',
        'task.validation_data.batch_size': 'task.validation_data.global_batch_size',
        'task.validation_data.max_seq_length': 'task.validation_data.seq_length',
        'task.train_data.eval_batch_size': 'task.train_data.global_batch_size',
        'initial_learning_rat': RATE + 'polynomial.initial_learning_rate',
    }
    HERE = {'sentence': {'num_labels': 'task.model.num_classes', 'task.model.num_labels': 'task.model.num_classes',
                         'label_list': 'task.label_names', 'do_lower_case': 'task.train_data.lower_case',
                         'text_column': 'task.train_data.text_fields', 'label_column': 'task.train_data.label_field'},
            'squad': {'max_query_length': 'task.train_data.query_length', 'doc_stride': 'task.train_data.doc_stride',
                      'do_lower_case': 'task.train_data.do_lower_case'},
            'tagging': {'num_labels': 'task.class_names', 'label_list': 'task.class_names',
                        'do_lower_case': 'task.train_data.lower_case'},
            'pairs': {'pooling_mode': 'task.model.pooling'}}

    def meant(self, key, task):
        result = self.run_job(key + '=1', more=['--dry_run=config'], expect=2, task=task)
        found = re.search(r"unknown key; .*; did you mean '(.*)'\?$", self.one_error(result))
        return found and found.group(1)

    def test_words_of_other_programs(self):
        for task, own in self.HERE.items():
            keys = re.findall(r'^(\S+)$', e2e.run(['--help_experiment=' + jobs.EXPERIMENTS[task]]).stdout, re.MULTILINE)
            for word, want in dict(self.WORDS, **own).items():
                with self.subTest(task=task, word=word):
                    self.assertEqual(self.meant(word, task), want)
                    if not want.startswith('--'):
                        self.assertIn(want, keys)
            self.assertIsNone(self.meant('banana', task))

    def test_words_behind_another_choice(self):
        """The branch that is chosen, not the usual one."""
        for yaml, word, want in (
                ('{trainer: {optimizer_config: {learning_rate: {type: constant}}}}', 'lr', RATE + 'constant.learning_rate'),
                ('{trainer: {optimizer_config: {learning_rate: {type: stepwise}}}}', 'learning_rate', RATE + 'stepwise.values'),
                ('{trainer: {optimizer_config: {optimizer: {type: lamb}}}}', 'weight_decay', OPTIMIZER + 'optimizer.lamb.weight_decay_rate'),
                ('{task: {model: {encoder: {type: albert}}}}', 'hidden_act', 'task.model.encoder.albert.hidden_activation')):
            with self.subTest(yaml):
                result = self.run_job(word + '=1', more=['--dry_run=config', '--config_file=' + yaml], expect=2)
                self.assertIn("did you mean '%s'?" % want, result.stderr)

    def test_words_as_flags(self):
        for word, want in self.WORDS.items():
            if '.' in word or word in ('mode', 'init_checkpoint', 'weight_decay_rate', 'hidden_size', 'vocab_file',
                                       'gradient_accumulation_steps', 'initial_learning_rat'):
                continue
            error = self.one_error(e2e.run(['--%s=1' % word]))
            want = want if want.startswith('--') else '--params_override=%s=...' % want
            self.assertIn("unknown command line flag '%s'; did you mean %s?" % (word, want), error)

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
