# SPDX-License-Identifier: Apache-2.0
"""Two outputs of a run that are one file, and an output that is an input of the run: refused before
anything is computed, exit 2, by whatever spelling or link; nothing is changed. And ~ at the
beginning of a path, and CSV."""
import csv
import io
import json
import os
import pwd
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

SHORT = 'trainer.train_steps=10,task.validation_data.include_example_id=false'


def content(folder):
    out = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            out[path] = (os.lstat(path).st_mtime_ns, os.path.islink(path))
    return out


class SameFiles(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def run_job(self, task, more=(), override='trainer.train_steps=10', mode='predict', expect=0, **how):
        result = e2e.run(jobs.args(task, 'out', override, mode, more), cwd=self.folder, **how)
        self.assertEqual(result.code, expect, str(result))
        return result

    def refused(self, task, more, says, override='trainer.train_steps=10'):
        before = content(self.folder)
        error = self.one_error(self.run_job(task, more, override, expect=2))
        for word in says:
            self.assertIn(word, error, more)
        self.assertEqual(content(self.folder), before)

    def test_twins(self):
        self.run_job('sentence', mode='train')
        for name in ('link', 'a', 'a/b'):
            if name == 'link':
                os.symlink('RTE.tsv', self.path('link.tsv'))
                os.symlink('.', self.path('here'))
            else:
                os.mkdir(self.path(name))
        rte = ['--glue_task=RTE', '--glue_submission=.']
        override = 'trainer.train_steps=10,task.label_names=[entailment,not_entailment]'
        for path in ('RTE.tsv', './RTE.tsv', 'a/../RTE.tsv', 'a/b/../../RTE.tsv', './/RTE.tsv',
                     self.path('RTE.tsv'), 'link.tsv', 'here/RTE.tsv', 'here/here/./RTE.tsv'):
            with self.subTest(path):
                self.refused('sentence', rte + ['--output_path=' + path],
                             ['--output_path ' + path, '--glue_submission ./RTE.tsv', 'the same file'],
                             override)
        self.refused('sentence', ['--glue_task=RTE', '--glue_submission=new/folder',
                                  '--output_path=new/folder/RTE.tsv'], ['the same file'], override)
        shutil.rmtree(self.path('out'))
        self.run_job('pairs', mode='train')
        self.refused('pairs', ['--output_path=out/left_vectors.npy', '--output_format=tsv'],
                     ['the left vectors out/left_vectors.npy', 'the same file'])

    def test_inputs(self):
        """Data, patterns, vocabulary, configuration, model_dir's own, the checkpoint, right sides."""
        self.run_job('sentence', mode='train')
        os.symlink('dev.tsv', self.path('other.tsv'))
        for path, key in (('dev.tsv', 'task.validation_data.input_path'),
                          ('./out/../dev.tsv', 'task.validation_data.input_path'),
                          ('other.tsv', 'task.validation_data.input_path'),
                          ('vocab.txt', 'vocab_file'), ('sentence.yaml', '--config_file'),
                          ('out/labels.json', '--model_dir'), ('out/params.yaml', '--model_dir'),
                          ('out/ckpt-10.index', '--model_dir'),
                          ('out/ckpt-10.data-00000-of-00001', '--model_dir'),
                          ('out/checkpoint', '--model_dir')):
            with self.subTest(path):
                self.refused('sentence', ['--output_path=' + path, '--output_format=tsv'],
                             ['--output_path ' + path, key, 'this run reads'])
        self.refused('sentence', ['--output_path=dev.tsv'], ['input_path'],
                     'task.validation_data.input_path=d*.tsv,trainer.train_steps=10')
        shutil.move(self.path('out/ckpt-10.index'), self.path('other.index'))
        shutil.move(self.path('out/ckpt-10.data-00000-of-00001'),
                    self.path('other.data-00000-of-00001'))
        self.refused('sentence', ['--checkpoint=other', '--output_path=other.index'],
                     ['--checkpoint other'])
        shutil.rmtree(self.path('out'))
        self.run_job('pairs', mode='train')
        for path in ('left.txt', 'right.txt'):
            self.refused('pairs', ['--output_path=' + path, '--output_format=tsv'], ['input_path'])
        shutil.rmtree(self.path('out'))
        shutil.copy(self.path('dev.json'), self.path('predictions.json'))
        override = 'trainer.train_steps=10,task.validation_data.input_path=predictions.json'
        self.run_job('squad', mode='train')
        self.refused('squad', ['--output_path=.'], ['./predictions.json', 'this run reads'], override)

    def test_records_of_an_evaluation(self):
        """eval.tf_record, which an evaluation of questions writes on request."""
        key = 'task.validation_data.input_preprocessed_data_path='
        os.mkdir(self.path('records'))
        shutil.copy(self.path('train.json'), self.path('records/eval.tf_record'))
        os.symlink('eval.tf_record', self.path('records/train.json'))
        override = 'trainer.train_steps=10,task.train_data.input_path=records/train.json,' + key
        for folder in ('records', './out/../records/'):
            os.makedirs(self.path('out'), exist_ok=True)
            result = e2e.run(jobs.args('squad', 'out', override + folder), cwd=self.folder)
            self.assertEqual((result.code, len(result.errors())), (2, 1), str(result))
            for words in (key[:-1], 'eval.tf_record', 'task.train_data.input_path', 'this run reads'):
                self.assertIn(words, result.errors()[0])
        self.write('file', '')
        result = e2e.run(jobs.args('squad', 'out', 'trainer.train_steps=10,' + key + 'file'), cwd=self.folder)
        self.assertEqual(result.code, 4, str(result))
        self.assertIn(key[:-1], result.errors()[0])
        result = e2e.run(jobs.args('squad', 'out', 'trainer.train_steps=10,' + key + 'new'), cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(os.listdir(self.path('new')), ['eval.tf_record'])

    def test_not_refused(self):
        """What looks alike and is another file; standard output twice is no matter of this."""
        self.run_job('sentence', mode='train')
        for path in ('dev.tsv.out', 'out/predictions.tsv', 'out/dev.tsv', '/dev/stdout', '/dev/null'):
            self.run_job('sentence', ['--output_path=' + path])
            self.run_job('sentence', ['--output_path=' + path])

    def test_data_tool(self):
        data = self.path('data')
        os.mkdir(data)
        for name in ('train', 'dev', 'test'):
            self.write('data/%s.tsv' % name, 'sentence\tlabel\nnan ban\t0\nban nan\t1\n' if name != 'test'
                       else 'index\tsentence\n0\tnan ban\n')
        os.symlink('train.tf_record', self.path('link.tf_record'))

        def args(**more):
            flags = dict(input_data_dir='data', vocab_file='vocab.txt', classification_task_name='SST-2',
                         fine_tuning_task_type='classification',
                         train_data_output_path='train.tf_record', eval_data_output_path='eval.tf_record',
                         test_data_output_path='test.tf_record', meta_data_file_path='meta.json')
            flags.update(more)
            return ['--%s=%s' % item for item in flags.items()]
        before = content(self.folder)
        for more, says in (({'eval_data_output_path': './train.tf_record'}, 'the same file'),
                           ({'eval_data_output_path': 'link.tf_record'}, 'the same file'),
                           ({'meta_data_file_path': 'data/../train.tf_record'}, 'the same file'),
                           ({'train_data_output_path': 'data/train.tsv'}, 'is an input, too'),
                           ({'test_data_output_path': 'data/test.tsv'}, 'is an input, too'),
                           ({'meta_data_file_path': 'vocab.txt'}, 'vocab_file')):
            with self.subTest(str(more)):
                result = e2e.run(args(**more), name='create-finetuning-data', cwd=self.folder)
                self.assertEqual(result.code, 2, str(result))
                error = self.one_error(result, 'create-finetuning-data')
                self.assertIn(says, error)
                self.assertEqual(content(self.folder), before)
        done = e2e.run(args(), name='create-finetuning-data', cwd=self.folder)
        self.assertEqual(done.code, 0, str(done))

    def test_convert(self):
        self.run_job('sentence', mode='train')
        self.assertEqual(e2e.run(['convert', 'out', 'x.safetensors'], name='bert-checkpoint',
                                 cwd=self.folder).code, 0)
        os.symlink('x.safetensors', self.path('y.safetensors'))
        for src, dst in (('x.safetensors', './x.safetensors'), ('x.safetensors', 'y.safetensors'),
                         ('out', 'out/ckpt-10'), ('out/ckpt-10', './out/ckpt-10'),
                         ('out/ckpt-10.index', 'out/ckpt-10')):
            before = content(self.folder)
            result = e2e.run(['convert', src, dst], name='bert-checkpoint', cwd=self.folder)
            self.assertEqual(result.code, 2, str(result))
            self.assertIn('this run reads', self.one_error(result, 'bert-checkpoint'))
            self.assertEqual(content(self.folder), before)
        for dst in ('out/model.safetensors', 'out/copy'):
            self.assertEqual(e2e.run(['convert', 'out', dst], name='bert-checkpoint',
                                     cwd=self.folder).code, 0)


class Tilde(e2e.Case):
    """As a shell expands it: flags, overrides, YAML; an unknown user's stays as it is."""

    def setUp(self):
        super().setUp()
        jobs.make(self.folder)
        self.work = self.path('work')
        os.mkdir(self.work)

    def run_job(self, args, name='bert-train', home=None, expect=0):
        result = e2e.run(args, name=name, cwd=self.work, env={'HOME': home or self.folder})
        self.assertEqual(result.code, expect, str(result))
        return result

    def args(self, mode='train', model_dir='~/runs/a', override='', more=()):
        override = ('trainer.train_steps=5,task.train_data.input_path=~/train.tsv,'
                    'task.validation_data.input_path=[~/dev.tsv],task.train_data.vocab_file=~/vocab.txt,'
                    "task.validation_data.vocab_file='~/vocab.txt'" + override)
        return ['--experiment=bert/sentence_prediction', '--mode=' + mode, '--model_dir=' + model_dir,
                '--config_file=~/model.yaml', '--config_file=~/sentence.yaml',
                '--params_override=' + override] + list(more)

    def test_everywhere(self):
        self.run_job(self.args())
        self.assertTrue(os.path.exists(self.path('runs/a/ckpt-5.index')))
        self.assertEqual(os.listdir(self.work), [])
        with open(self.path('runs/a/params.yaml'), encoding='utf-8') as source:
            text = source.read()
        self.assertIn('input_path: %s' % self.path('train.tsv'), text)
        self.assertNotIn('~', text)
        self.run_job(self.args('predict', more=['--output_path=~/p.csv']))
        self.assertTrue(os.path.exists(self.path('p.csv')))
        again = self.run_job(self.args('train', self.path('runs/a')))
        self.assertNotIn('changed since', again.stderr)

    def test_yaml_and_flagfile(self):
        self.write('over.yaml', 'task:\n  train_data: {input_path: ~/train.tsv}\n'
                                '  validation_data:\n    input_path: [~/dev.tsv, ~/dev.tsv]\n')
        self.write('flags', '--config_file=~/over.yaml\n')
        result = self.run_job(self.args(more=['--flagfile=~/flags', '--dry_run']))
        self.assertIn('input_path: %s' % self.path('train.tsv'), result.stdout)
        self.assertNotIn('~', result.stdout)

    def test_several_in_one_text(self):
        result = self.run_job(self.args(
            override=",task.train_data.input_path='~/train.tsv,~/train.tsv'", more=['--dry_run']))
        self.assertIn('input_path: %s,%s' % ((self.path('train.tsv'),) * 2), result.stdout)

    def test_users(self):
        me = pwd.getpwuid(os.getuid())
        for text, want in (('~%s/x' % me.pw_name, me.pw_dir + '/x'), ('~nosuchuser/x', '~nosuchuser/x'),
                           ('a~/x', 'a~/x'), ('./~/x', './~/x')):
            result = self.run_job(self.args(override=',task.init_checkpoint=' + text,
                                            more=['--dry_run=config']), expect=0)
            self.assertIn('init_checkpoint: %s\n' % want, result.stdout.replace("'", ''))

    def test_what_is_no_path(self):
        """A name of a folder in model_dir."""
        result = self.run_job(self.args(
            override=",trainer.best_checkpoint_export_subdir='~best'", more=['--dry_run=config']))
        self.assertIn("best_checkpoint_export_subdir: ~best", result.stdout)

    def test_other_programs(self):
        self.run_job(['--vocab_file=~/vocab.txt'], name='bert-tokenize')
        os.mkdir(self.path('data'))
        for name in ('train', 'dev', 'test'):
            self.write('data/%s.tsv' % name, 'sentence\tlabel\nnan ban\t0\n' if name != 'test'
                       else 'index\tsentence\n0\tnan ban\n')
        self.run_job(['--input_data_dir=~/data', '--vocab_file=~/vocab.txt',
                      '--classification_task_name=SST-2', '--fine_tuning_task_type=classification',
                      '--train_data_output_path=~/made/train.tf_record',
                      '--eval_data_output_path=~/made/eval.tf_record',
                      '--meta_data_file_path=~/made/meta.json'], name='create-finetuning-data')
        self.assertTrue(os.path.exists(self.path('made/meta.json')))
        self.assertEqual(os.listdir(self.work), [])


class Csv(e2e.Case):
    """--output_path=x.csv: what Python's csv module reads is what the other formats say."""

    NASTY = ['a,b', 'say "no"', 'tab\there', '=1+1']

    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def predict(self, task, path, override=''):
        result = e2e.run(jobs.args(task, 'out', 'trainer.train_steps=10' + override, 'predict',
                                   ['--output_path=' + path]), cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))
        with open(self.path(path), encoding='utf-8', newline='') as source:
            return source.read()

    def train(self, task, override=''):
        result = e2e.run(jobs.args(task, 'out', 'trainer.train_steps=10' + override, 'train'),
                         cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))

    def test_sentences(self):
        self.write('names.yaml', json.dumps({'task': {'label_names': self.NASTY[:2]}}))
        more = ',task.label_names=%s' % json.dumps(self.NASTY[:2])
        self.train('sentence', more)
        rows = list(csv.DictReader(io.StringIO(self.predict('sentence', 'p.csv', more), newline='')))
        lines = [json.loads(x) for x in self.predict('sentence', 'p.jsonl', more).splitlines()]
        self.assertEqual(len(rows), len(lines))
        for row, line in zip(rows, lines):
            self.assertEqual(int(row['id']), line['id'])
            self.assertEqual(row['label'], line['label'])
            for name in self.NASTY[:2]:
                self.assertEqual(float(row['probability_' + name]), line['probabilities'][name])

    def test_tags(self):
        more = ',task.class_names=%s' % json.dumps(['O', 'B-"x"', 'I-a,b'])
        self.train('tagging', more)
        rows = list(csv.reader(io.StringIO(self.predict('tagging', 'p.csv', more), newline='')))
        other = [r.split('\t') for r in self.predict('tagging', 'p.tsv', more).splitlines()]
        self.assertEqual(rows, other)

    def test_pairs(self):
        lines = ['nan, ban "x"', 'ban\\n', 'tan nan'] * 60
        self.write('left.txt', '\n'.join(lines[:160]) + '\n')
        self.train('pairs')
        rows = list(csv.reader(io.StringIO(self.predict('pairs', 'p.csv'), newline='')))
        self.assertEqual(rows[0], ['score', 'left_id', 'right_id', 'left_text', 'right_text'])
        for row in rows[1:]:
            self.assertEqual(row[3], lines[int(row[1])])
        self.assertTrue(os.path.exists(self.path('p.left.npy')))


if __name__ == '__main__':
    e2e.main()
