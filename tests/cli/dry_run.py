# SPDX-License-Identifier: Apache-2.0
"""A dry run refuses what the run would refuse: the same exit status and the same sentence, for each
bad job of a table; and it changes nothing. (cli_bad_input holds its jobs against a dry run as well.)
What is sound it lets through, and says what it found."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

ROW = 'nan ban\t1\n'
GOOD = 'sentence\tlabel\n' + ROW * 40
TRAIN = 'task.train_data.'
DEV = 'task.validation_data.'
MODEL = 'task.model.encoder.bert.'

# task, exit status, what the sentence names, override, file to write
BAD = [
    ('sentence', 3, 'nowhere.tsv', TRAIN + 'input_path=nowhere.tsv', None),
    ('sentence', 3, 'nowhere.tsv', DEV + 'input_path=nowhere.tsv', None),
    ('sentence', 3, 'column', TRAIN + 'input_path=x.tsv', GOOD + 'nan\n'),
    ('sentence', 3, 'column', DEV + 'input_path=x.tsv', GOOD + 'nan\t0\tmore\n'),
    ('sentence', None, 'x.tsv', TRAIN + 'input_path=x.tsv', GOOD + 'nan ban\t\n'),
    ('sentence', 3, 'x.tsv', TRAIN + 'input_path=x.tsv', ''),
    ('sentence', 3, 'x.tsv', DEV + 'input_path=x.tsv', 'sentence\tlabel\n'),
    ('sentence', 3, 'UTF-8', TRAIN + 'input_path=x.tsv', GOOD.encode() + b'caf\xe9 nan\t0\n'),
    ('sentence', 3, 'UTF-8', DEV + 'input_path=x.tsv', GOOD.encode() + b'caf\xe9 nan\t0\n'),
    ('sentence', 2, 'names', 'task.label_names=[a,b,c],task.model.num_classes=4', None),
    ('sentence', 2, 'f1', 'task.metric_type=f1,task.model.num_classes=4', None),
    ('sentence', 2, 'hub_module_url', 'task.init_checkpoint=here,task.hub_module_url=there', None),
    ('sentence', 3, 'here', 'task.init_checkpoint=here', None),
    ('sentence', None, 'there', 'task.hub_module_url=/nowhere/there', None),
    ('sentence', 3, 'label', TRAIN + 'input_path=x.tsv', GOOD + 'nan\t7\n'),
    ('sentence', None, 'x.tsv', TRAIN + 'label_type=float,task.model.num_classes=1,' + DEV +
     'label_type=float,trainer.best_checkpoint_eval_metric=validation_loss,' + TRAIN + 'input_path=x.tsv', GOOD + 'nan\tmany\n'),
    ('sentence', 3, 'nothing.txt', TRAIN + 'vocab_file=nothing.txt', None),
    ('sentence', 3, '[CLS]', TRAIN + 'vocab_file=x.tsv', 'a\nb\n'),
    ('sentence', 2, 'vocab', MODEL + 'vocab_size=100', None),
    ('sentence', 2, 'seq_length', TRAIN + 'seq_length=64', None),
    ('sentence', 2, 'num_attention_heads', MODEL + 'num_attention_heads=3', None),
    ('sentence', 2, 'eval_metric', 'trainer.best_checkpoint_eval_metric=exact_match', None),
    ('sentence', 2, 'text_fields', TRAIN + 'text_fields=[]', None),
    ('sentence', 3, 'nosuch', TRAIN + 'text_fields=[nosuch]', None),
    ('sentence', 3, 'nosuch', TRAIN + 'label_field=nosuch', None),
    ('sentence', 2, 'train_steps', 'trainer.train_steps=null', None),
    ('sentence', 2, 'input_path', TRAIN + "input_path=''", None),
    ('sentence', 2, 'num_classes', 'task.model.num_classes=0', None),
    ('sentence', 2, 'is_training', DEV + 'is_training=true', None),
    ('sentence', 2, 'drop_remainder', DEV + 'drop_remainder=true,' + DEV + 'global_batch_size=999',
     None),
    ('sentence', None, 'exclude_from', 'trainer.optimizer_config.optimizer.adamw.'
     "exclude_from_weight_decay=['(']", None),
    ('sentence', None, 'libnone', 'runtime.matmul=blas,runtime.blas_library=libnone.so', None),
    ('sentence', None, 'isa', 'runtime.isa=avx9', None),
    ('tagging', 3, 'x.tf_record', TRAIN + 'input_path=x.tf_record', b'\0' * 40),
    ('tagging', 2, 'class', 'task.class_names=[O,O,O]', None),
    ('tagging', 3, 'label', 'task.class_names=[O,B-X]', None),
    ('squad', 3, 'x.json', TRAIN + 'input_path=x.json', '{"data": [1'),
    ('squad', 3, 'train.tf_record', DEV + 'input_path=train.tf_record', None),
    ('pairs', 3, 'rows', TRAIN + 'right_input_path=x.txt', 'nan\n'),
    ('pairs', 2, 'max_sequence_length', 'task.model.max_sequence_length=8', None),
    # flags and keys
    ('sentence', 2, 'nosuch', 'trainer.nosuch=1', None),
    ('sentence', 2, 'train_steps', 'trainer.train_steps=many', None),
    ('sentence', 2, 'threads', 'runtime.threads=-3', None),
    ('sentence', 2, 'optimizer', 'trainer.optimizer_config.optimizer.type=nosuch', None),
    ('sentence', 2, 'learning_rate', 'trainer.optimizer_config.learning_rate.type=nosuch', None),
    ('sentence', 2, 'hidden_activation', MODEL + 'hidden_activation=nosuch', None),
    ('sentence', 2, 'metric_type', 'task.metric_type=nosuch', None),
    ('sentence', 2, 'label_type', TRAIN + 'label_type=nosuch', None),
    ('sentence', 2, 'global_batch_size', TRAIN + 'global_batch_size=0', None),
    ('sentence', 2, 'delimiter', TRAIN + "delimiter='ab'", None),
    ('sentence', 2, 'encoding', TRAIN + 'encoding=klingon', None),
    ('sentence', 2, 'mixed_precision', 'runtime.mixed_precision_dtype=float8', None),
    ('sentence', 2, 'problem_type', 'task.problem_type=nosuch', None),
    ('sentence', 2, 'type', 'task.model.encoder.type=bigbird', None),
    ('sentence', 2, 'held_out', TRAIN + 'held_out=evaluation,' + TRAIN + 'held_out_share=2.0', None),
    ('pairs', 2, 'pooling', 'task.model.pooling=nosuch', None),
    # data
    ('sentence', 3, 'x.tsv', TRAIN + 'input_path=x.tsv', b'\xff\xfes\x00'),
    ('sentence', 3, 'x.tsv', TRAIN + 'input_path=x.tsv', '<!DOCTYPE html><html></html>'),
    ('sentence', 3, 'x.tsv', TRAIN + 'input_path=x.tsv',
     'version https://git-lfs.github.com/spec/v1\noid sha256:' + '0' * 64 + '\nsize 9\n'),
    ('sentence', 3, 'label', TRAIN + 'input_path=x.tsv', 'sentence\tlabel\n' + ROW * 9 + 'nan\t1.5\n'),
    ('sentence', 3, 'x.tsv', TRAIN + 'input_path=x.tsv', 'sentence\tlabel\n' + ROW * 9 + 'n\0n\t1\n'),
    ('sentence', 3, 'x.json', TRAIN + 'input_path=x.json', '[{"sentence": "nan", "label": 1},'),
    ('sentence', 3, 'x.json', TRAIN + 'input_path=x.json', '{"sentence": 3, "label": 1}\n' * 20),
    ('sentence', 3, 'x.txt', TRAIN + 'vocab_file=x.txt,' + DEV + 'vocab_file=x.txt', '[CLS]\n[SEP]\n[CLS]\n'),
    ('sentence', 3, 'x.txt', 'task.init_checkpoint=x.txt', 'no weights\n'),
    ('sentence', 3, 'x.json', 'task.meta_data_path=x.json', '{"task_type": '),
    ('tagging', 3, 'x.txt', TRAIN + 'input_path=x.txt,' + TRAIN + 'vocab_file=vocab.txt', 'nan\n'),
    ('tagging', 3, 'nowhere.txt', 'task.meta_data_path=nowhere.txt', None),
    ('squad', 3, 'x.json', DEV + 'input_path=x.json', '{"data": [{"paragraphs": [{"context": "a"}]}]}'),
    ('squad', 3, 'vocab', TRAIN + 'vocab_file=nothing.txt', None),
    ('pairs', 3, 'x.txt', TRAIN + 'right_input_path=x.txt', b'caf\xe9\n' * 160),
    ('pairs', 3, 'x.txt', DEV + 'input_path=x.txt', ''),
]


class DryRun(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, task, override, mode='train_and_eval', more=()):
        return e2e.run(jobs.args(task, 'out', 'trainer.train_steps=60' + (',' if override else '') +
                                 override, mode, more), cwd=self.folder)

    def compare(self, task, override, mode='train_and_eval', more=()):
        """The run's result, after a dry run that must have failed alike and made nothing."""
        before = e2e.read_tree(self.folder)
        dry = self.run_job(task, override, mode, list(more) + ['--dry_run'])
        self.assertEqual(e2e.read_tree(self.folder), before)
        result = self.run_job(task, override, mode, more)
        self.assertEqual((dry.code, dry.errors()), (result.code, result.errors()), override)
        return result

    def test_table(self):
        for task, code, words, override, content in BAD:
            with self.subTest(task=task, override=override):
                if content is not None:
                    self.write([w for w in ('x.tsv', 'x.json', 'x.txt', 'x.tf_record') if w in override][0], content)
                result = self.compare(task, override)
                shutil.rmtree(self.path('out'), ignore_errors=True)
                self.assertNotEqual(result.code, 0)
                if code is not None:
                    self.assertEqual(result.code, code, str(result))
                self.assertIn(words, '\n'.join(result.errors()))

    def test_experiment_that_is_not_built(self):
        more = ['--experiment=bert/pretraining', '--mode=train', '--model_dir=out']
        run = e2e.run(more, cwd=self.folder)
        dry = e2e.run(more + ['--dry_run'], cwd=self.folder)
        self.assertNotEqual(run.code, 0)
        self.assertEqual((dry.code, dry.errors()), (run.code, run.errors()))

    def test_a_label_type_that_records_contradict(self):
        rows = e2e.make_rows(30) + [e2e.make_row(e2e.random.Random(1), label=[0.5])]
        e2e.write_records(self.path('mixed.tf_record'), rows)
        override = ','.join(section + key for section in (TRAIN, DEV) for key in (
            'input_path=mixed.tf_record', 'text_fields=[]'))
        self.assertEqual(self.compare('sentence', override).code, 3)

    def test_other_modes(self):
        for mode, override, more, code in (
                ('predict', '', (), 2), ('eval', DEV + 'input_path=nowhere.tsv', (), 3),
                ('predict', '', ['--checkpoint=nowhere'], 3), ('eval', '', ['--checkpoint=best'], 2),
                ('continuous_train_and_eval', '', (), 2),
                ('train', TRAIN + 'input_path=nowhere.tsv', ['--seeds=1,2'], 3)):
            with self.subTest(mode=mode, more=more):
                self.assertEqual(self.compare('sentence', override, mode, more).code, code)

    def test_flags_that_are_missing(self):
        args = ['--experiment=bert/sentence_prediction', '--mode=train']
        run = e2e.run(args, cwd=self.folder)
        dry = e2e.run(args + ['--dry_run'], cwd=self.folder)
        self.assertEqual((dry.code, dry.errors()), (2, run.errors()))

    def test_config_alone(self):
        override = TRAIN + 'input_path=nowhere.tsv,task.init_checkpoint=nowhere'
        result = self.run_job('sentence', override, more=['--dry_run=config'])
        self.assertEqual((result.code, result.errors()), (0, []))
        self.assertIn('input_path: nowhere.tsv', result.stdout)
        result = self.run_job('sentence', 'trainer.train_steps=-1', more=['--dry_run=config'])
        self.assertEqual(result.code, 2)

    def test_sound_jobs(self):
        for task in jobs.TASKS:
            dry = self.run_job(task, '', more=['--dry_run'])
            self.assertEqual(dry.code, 0, str(dry))
            self.assertFalse(os.path.exists(self.path('out')))


if __name__ == '__main__':
    e2e.main()
