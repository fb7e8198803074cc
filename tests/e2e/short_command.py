# SPDX-License-Identifier: Apache-2.0
"""The short command: weights, a table to train on, one to evaluate with; what it decides, what the
user decides instead, and what it refuses."""
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '../reliability/support'))
import compare  # noqa: E402
import e2e  # noqa: E402
import held_out  # noqa: E402

CONFIG, DATA = 2, 3
TRAIN = os.path.join(e2e.SOURCE, 'data/train.tsv')
DEV = os.path.join(e2e.SOURCE, 'data/dev.tsv')
VOCAB = '[PAD] [UNK] [CLS] [SEP] [MASK] the was a it not be to this at all . , in would and'


class Short(e2e.Case):
    def setUp(self):
        super().setUp()
        shutil.copytree(e2e.golden('hf/bert_classifier'), self.path('weights'))
        self.write('weights/vocab.txt', VOCAB.replace(' ', '\n') + '\n')

    def read(self, name):
        with open(self.path(name), encoding='utf-8') as source:
            return source.read()

    def short(self, *more, mode='train_and_eval', expect=0, train=TRAIN, evaluation=DEV):
        args = ['--experiment=bert/sentence_prediction', '--mode=' + mode, '--model_dir=out',
                '--init=weights']
        args += ['--train=' + train] if train else []
        args += ['--eval=' + evaluation] if evaluation else []
        result = e2e.run(args + list(more), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def decided(self, *more, **how):
        return self.short('--dry_run', *more, **how).stdout


class Decides(Short):
    def test_the_sample_data(self):
        result = self.short('--params_override=task.train_data.epochs=1')
        self.assertIn('= 1 epochs of 2000 rows in batches of 32', result.stderr)
        self.assertRegex(result.stdout, r'^step 63\ncls_accuracy 0\.\d+\n')
        self.assertIn('loaded 39', result.stderr)
        params = e2e.read_params(self.path('out'))
        for line in ('input_path: ' + TRAIN, 'input_path: ' + DEV, 'text_fields: [sentence]',
                     'label_field: label', 'num_classes: 2', 'init_checkpoint: weights',
                     'vocab_file: weights/vocab.txt', 'validation_interval: 63',
                     'initial_learning_rate: 2.0e-05', 'epochs: 1'):
            self.assertIn(line, params)

    def test_defaults_and_what_the_user_writes(self):
        params = self.decided()
        for line in ('epochs: 3', 'global_batch_size: 32', 'end_learning_rate: 0.0', 'type: adamw',
                     'checkpoint_interval: 63', 'steps_per_loop: 63', 'summary_interval: 63'):
            self.assertIn(line, params)
        params = self.decided('--params_override=trainer.train_steps=7,task.model.num_classes=5,'
                              'trainer.validation_interval=3,trainer.steps_per_loop=2,trainer.'
                              'optimizer_config.learning_rate.polynomial.initial_learning_rate=1')
        for line in ('train_steps: 7', 'num_classes: 5', 'validation_interval: 3',
                     'steps_per_loop: 2', 'initial_learning_rate: 1', 'checkpoint_interval: 63'):
            self.assertIn(line, params)
        self.assertNotIn('epochs: 3', params)

    def test_the_same_said_twice(self):
        self.decided('--params_override=task.train_data.input_path="%s",'
                     'task.train_data.text_fields=["sentence"]' % TRAIN, '--text=sentence')

    def test_columns_and_classes(self):
        for name, head, rows, texts, label, n in (
                ('a.csv', 'sentence2;id;sentence1;class', ['b;1;a;x', 'b;2;a;y', 'b;3;a;z'],
                 '[sentence1, sentence2]', 'class', 3),
                ('b.csv', 'label,text', ['1.0,a', '2,b', '1,c'], '[text]', 'label', 2),
                ('c.tsv', 'question\tsentence\tlabel', ['a\tb\tyes', 'a\tb\tno'],
                 '[question, sentence]', 'label', 2),
                ('d.csv', 'review,target', ['a,0.5', 'b,2.25'], '[review]', 'target', 1),
                ('e.csv', 'body,y', ['a,u', 'b,v'], '[body]', 'y', 2)):
            self.write(name, '\n'.join([head] + rows) + '\n')
            more = ['--text=body', '--label=y'] if name == 'e.csv' else []
            params = self.decided(*more, train=name, evaluation=name)
            self.assertEqual(params.count('text_fields: ' + texts), 2, params)
            self.assertEqual(params.count('label_field: ' + label), 2, params)
            self.assertIn('num_classes: %d\n' % n, params)
            self.assertEqual(params.count('label_type: float'), 2 if n == 1 else 0)
        self.write('f.jsonl', ''.join(json.dumps({'text': 'a', 'label': i % 4}) + '\n'
                                      for i in range(8)))
        params = self.decided(train='f.jsonl', evaluation='f.jsonl')
        self.assertIn('text_fields: [text]', params)
        self.assertIn('num_classes: 4\n', params)


class Recalls(Short):
    """eval and predict name the model_dir and nothing else."""

    def bare(self, *more, mode='eval', expect=0, model_dir='out'):
        result = e2e.run(['--mode=' + mode, '--model_dir=' + model_dir] + list(more),
                         cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def test_eval_and_predict(self):
        trained = self.short('--params_override=task.train_data.epochs=1')
        shutil.rmtree(self.path('weights'))  # the words are kept
        with open(self.path('out/vocab.txt'), encoding='utf-8') as source:
            self.assertIn('\nthe\n', source.read())
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.assertEqual(self.bare('--experiment=bert/sentence_prediction').stdout, trained.stdout)
        self.write('new.csv', 'sentence\nthe a\nwas it\n')
        self.bare('--predict=new.csv', '--output_path=a.tsv', mode='predict')
        self.bare('--params_override=task.validation_data.input_path=new.csv',
                  '--output_path=b.tsv', mode='predict')
        with open(self.path('a.tsv'), encoding='utf-8') as a:
            lines = a.read().splitlines()
        self.assertEqual(len([line for line in lines if line[:1].isdigit()]), 2, lines)
        with open(self.path('b.tsv'), encoding='utf-8') as b:
            self.assertEqual(b.read().splitlines(), lines)
        self.write('some.tsv', 'sentence\tlabel\nthe a\t0\nwas it\t1\n')
        self.assertIn('examples 2 ', self.bare('--eval=some.tsv').stderr)
        result = self.bare('--eval=some.tsv', '--params_override=task.validation_data.input_path='
                           'x.tsv', expect=CONFIG)
        self.assertIn('--eval=some.tsv contradicts', self.one_error(result))
        self.write('out/vocab.txt', VOCAB.replace(' ', '\n').replace('would', 'other') + '\n')
        self.assertIn('vocab', self.one_error(self.bare(expect=CONFIG)))

    def test_a_tenth_is_held_out(self):
        train = os.path.join(e2e.SOURCE, 'data/dev.tsv')
        trained = self.short('--params_override=task.train_data.epochs=1', train=train,
                             evaluation=None)
        for section, n, words in (('train', 450, 'without'), ('validation', 50, 'only')):
            self.assertIn('task.%s_data: %d of 500 rows, %s those that are held out (held_out_share '
                          '0.1, held_out_seed 0); held out of each class: 25 of 250, 25 of 250'
                          % (section, n, words), trained.stderr)
        self.assertIn('= 1 epochs of 450 rows', trained.stderr)
        self.assertNotIn('memorized', trained.stderr)
        self.assertIn('examples 50 ', trained.stderr)
        params = e2e.read_params(self.path('out'))
        for line in ('held_out: without', 'held_out: only', 'held_out_share: 0.1',
                     'validation_interval: 15'):
            self.assertIn(line, params)
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.assertIn('examples 500 ', self.bare('--eval=' + DEV).stderr)
        # the very rows, by the rule of docs/formats.md
        with open(DEV, encoding='utf-8') as source:
            head, *rows = source.read().splitlines(keepends=True)
        kinds = [[i for i, row in enumerate(rows) if row.endswith('\t%d\n' % label)]
                 for label in (0, 1)]
        held = sorted(i for kind in kinds for i in held_out.drawn_of(kind))
        self.write('held.tsv', head + ''.join(rows[i] for i in held))
        self.assertEqual(self.bare('--eval=held.tsv').stdout, trained.stdout)
        self.write('others.tsv', head + ''.join(rows[i + 1 if i + 1 < len(rows) else 0]
                                                for i in held))
        self.assertNotEqual(self.bare('--eval=others.tsv').stdout, trained.stdout)

    def test_what_is_held_out_of_other_rows(self):
        """The rows that are held out follow from the whole file: of another file they are others."""
        with open(DEV, encoding='utf-8') as source:
            head, *rows = source.read().splitlines(keepends=True)
        self.write('own.tsv', head + ''.join(rows))
        few = '--params_override=task.train_data.epochs=1'
        trained = self.short(few, train='own.tsv', evaluation=None)
        for changed in (rows + rows[:3], rows[::-1]):
            self.write('own.tsv', head + ''.join(changed))
            for more in ((), ('--dry_run',)):
                self.assertRegex(self.one_error(self.bare(*more, expect=CONFIG)),
                                 r'input_path has other rows \(crc32c \w{8}\) than those that '
                                 r'out/ckpt-\d+ was trained on \(crc32c \w{8}\): rows that were '
                                 'trained on would be evaluated')
            self.bare('--eval=own.tsv')
            result = self.short(few, train='own.tsv', evaluation=None, expect=CONFIG)
            self.assertIn('(rows that were trained on would be evaluated)', self.one_error(result))
        self.write('own.tsv', head + ''.join(rows))
        self.assertEqual(self.bare().stdout, trained.stdout)

    def test_rows_of_another_number_of_texts(self):
        self.write('pairs.csv', 'a,b,label\n' + 'the was,it,0\nwas,the it,1\n' * 8)
        self.short('--text=a,b', train='pairs.csv', evaluation='pairs.csv')
        for mode, what in (('eval', '--eval'), ('predict', '--predict')):
            wanted = ('warning: task.train_data has 2 texts a row (text_fields), '
                      'task.validation_data 1: the model learns from other rows')
            self.assertIn(wanted, self.bare(what + '=pairs.csv', '--text=a', mode=mode).stderr)
            self.assertNotIn(wanted, self.bare(what + '=pairs.csv', '--text=b,a', mode=mode).stderr)

    def test_an_encoder_that_computes_otherwise(self):
        self.short('--params_override=task.train_data.epochs=1')
        other = '--params_override=task.model.encoder.bert.%s'
        for key, is_told in (('hidden_activation=relu', True), ('dropout_rate=0.2', False)):
            result = self.bare(other % key, '--predict=' + DEV, mode='predict')
            self.assertEqual(is_told, bool(re.search(
                r"warning: out/ckpt-\d+ was trained with task\.model\.encoder\.bert\."
                r"hidden_activation '\w+' \(params\.yaml beside it\), now it is 'relu'", result.stderr)),
                str(result))

    def test_nothing_there(self):
        result = self.bare(model_dir='none', expect=CONFIG)
        self.assertIn('missing --experiment (see --help), and --model_dir none has no params.yaml',
                      self.one_error(result))
        self.assertFalse(os.path.exists(self.path('none')))


class Inputs(Short):
    """The same rows in every form give the same columns, classes and split."""

    ROWS = [('the was %d' % i if i % 3 else 'it would not be %d' % i, ('no', 'yes')[i % 2])
            for i in range(60)]

    def result(self, train):
        shutil.rmtree(self.path('out'), ignore_errors=True)
        run = self.short('--params_override=task.train_data.epochs=1', train=train, evaluation=None)
        told = [line for line in run.stderr.splitlines() if 'held out' in line]
        self.assertEqual(len(told), 2, run.stderr)
        with open(self.path('out/metrics.jsonl'), encoding='utf-8') as source:
            records = [json.loads(line) for line in source]
        losses = [record[key] for record in records for key in ('training_loss', 'validation_loss')
                  if key in record]
        self.assertGreater(len(losses), 1)
        return told, run.stdout, losses

    def test_every_form(self):
        tsv = 'text\tlabel\n' + ''.join('%s\t%s\n' % row for row in self.ROWS)
        self.write('a.tsv', tsv)
        self.write('a.csv', 'label;text\n' + ''.join('%s;%s\n' % row[::-1] for row in self.ROWS))
        objects = [{'text': text, 'label': label} for text, label in self.ROWS]
        self.write('a.json', json.dumps(objects, indent=1))
        self.write('a.jsonl', ''.join(json.dumps(row) + '\n' for row in objects))
        with gzip.open(self.path('b.tsv.gz'), 'wt') as out:
            out.write(tsv)
        forms = ['a.csv', 'a.json', 'a.jsonl', 'b.tsv.gz']
        if shutil.which('zstd'):
            subprocess.run(['zstd', '-q', self.path('a.tsv'), '-o', self.path('c.tsv.zst')],
                           check=True)
            forms.append('c.tsv.zst')
        want = self.result('a.tsv')
        self.assertIn('54 of 60 rows', want[0][0])
        self.assertIn('held out of each class: 3 of 30, 3 of 30', want[0][0])
        for form in forms:
            with self.subTest(form):
                self.assertEqual(self.result(form), want)

    def test_lists_are_several_labels_a_row(self):
        for name in ('train', 'dev'):
            rows = [{'text': 'the %d' % i, 'label': [[], ['c', 'a, b'], [7], ['c']][i % 4]}
                    for i in range(24)]
            self.write(name + '.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))
        run = self.short('--params_override=task.train_data.epochs=1', train='train.jsonl',
                         evaluation='dev.jsonl')
        self.assertIn('f1_micro ', run.stdout)
        params = e2e.read_params(self.path('out'))
        self.assertIn('problem_type: multi_label_classification\n', params)
        self.assertIn('num_classes: 3\n', params)
        self.assertEqual(json.loads(self.read('out/labels.json'))['label_names'],
                         ['7', 'a, b', 'c'])
        kind = '--params_override=task.problem_type=multi_label_classification'
        shutil.rmtree(self.path('out'))
        self.short(kind, train='train.jsonl', evaluation='dev.jsonl')
        self.assertIn('num_classes: 3\n', e2e.read_params(self.path('out')))
        shutil.rmtree(self.path('out'))
        run = self.short(train='train.jsonl', evaluation=None, expect=CONFIG)
        self.assertIn('name two files instead (--train and --eval)', self.one_error(run))

    def test_a_column_for_each_label(self):
        for name in ('train', 'dev'):
            self.write(name + '.csv', 'text,joy,fear,anger\n' + ''.join(
                'the %d,%d,%d,%d\n' % (i, i % 2, i % 3 == 0, 0) for i in range(24)))
        run = self.short('--params_override=' + ','.join(
            'task.%s_data.label_fields=[joy,fear,anger]' % s for s in ('train', 'validation')),
                         train='train.csv', evaluation='dev.csv')
        self.assertIn('f1_micro ', run.stdout)
        params = e2e.read_params(self.path('out'))
        self.assertIn('problem_type: multi_label_classification\n', params)
        self.assertIn('num_classes: 3\n', params)

    def test_a_folder_a_class(self):
        for i, (text, label) in enumerate(self.ROWS):
            os.makedirs(self.path('set/' + label), exist_ok=True)
            self.write('set/%s/%02d.txt' % (label, i), text)
        told, _, _ = self.result('set')
        self.assertIn('54 of 60 rows', told[0])
        self.assertIn('held out of each class: 3 of 30, 3 of 30', told[0])
        with open(self.path('out/labels.json'), encoding='utf-8') as source:
            self.assertEqual(json.load(source)['label_names'], ['no', 'yes'])


class Resumes(Short):
    """A run without --eval that is killed or stopped goes on with the same rows held out."""

    MORE = ('--params_override=task.train_data.epochs=80,trainer.checkpoint_interval=40,'
            'trainer.steps_per_loop=5,trainer.summary_interval=5,trainer.validation_interval=400')

    def args(self, folder):
        return ['--experiment=bert/sentence_prediction', '--mode=train_and_eval', '--init=weights',
                '--train=train.tsv', self.MORE, '--model_dir=' + folder]

    def test_stopped_and_killed(self):
        with open(DEV, encoding='utf-8') as source:
            self.write('train.tsv', ''.join(source.readlines()[:201]))
        straight = e2e.run(self.args('straight'), cwd=self.folder)
        self.assertEqual(straight.code, 0, str(straight))
        lines = [line for line in straight.stderr.splitlines() if 'held out' in line]
        self.assertEqual(len(lines), 2)
        for how in (signal.SIGTERM, signal.SIGKILL):
            folder = how.name
            saved = os.path.join(self.path(folder), 'checkpoint')
            first = e2e.run(self.args(folder), cwd=self.folder, may_die=True,
                            stop_when=(lambda path=saved: os.path.exists(path), how))
            self.assertIn(first.code, (75, -signal.SIGKILL))
            again = e2e.run(self.args(folder), cwd=self.folder)
            self.assertEqual(again.code, 0, str(again))
            self.assertIn('restored step', again.stderr)
            self.assertEqual([line for line in again.stderr.splitlines() if 'held out' in line],
                             lines)
            self.assertEqual(again.stdout, straight.stdout)
            self.assertEqual(compare.differences(self.path('straight'), self.path(folder),
                                                 kept=how != signal.SIGTERM), [])
            for name in ('params.yaml', 'params_ours.yaml', 'labels.json', 'vocab.txt'):
                self.assertEqual(self.read(folder + '/' + name), self.read('straight/' + name))
        other = e2e.run(self.args('straight')[:-1] + ['--model_dir=SIGKILL', '--eval=train.tsv'],
                        cwd=self.folder)
        self.assertEqual(other.code, CONFIG, str(other))
        self.assertIn('rows that were trained on would be evaluated', other.stderr)


class Mistakes(Short):
    """What a new user does wrong: one sentence each, nothing left behind."""

    def setUp(self):
        super().setUp()
        self.write('good.csv', 'text,label\n' + ''.join('the %d,%d\n' % (i, i % 2)
                                                        for i in range(40)))

    def refused(self, expect, text, *more, **how):
        how.setdefault('train', 'good.csv')
        how.setdefault('evaluation', 'good.csv')
        result = self.short(*more, expect=expect, **how)
        self.assertIn(text, self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))

    def test_columns(self):
        self.write('id.csv', 'id,label\n1,0\n2,1\n')
        self.write('class.csv', 'text,class\na,0\nb,1\n')
        self.write('twice.csv', 'text,label,label\na,0,1\nc,1,0\n')
        self.write('bare.csv', 'the a,0\nwas it,1\n')
        self.refused(CONFIG, "id.csv: which of its columns hold the text? They are called 'id', "
                     "'label': name it with --text=COLUMN", train='id.csv')
        self.refused(CONFIG, 'where the first row has no names, by their numbers: --text=1 '
                     '--label=2', train='bare.csv')
        self.refused(DATA, "columns 2 and 3 are both called 'label'", train='twice.csv')
        self.refused(CONFIG, "column 'label' would be text and label at once", '--text=label')
        self.refused(CONFIG, "--text=text, text: 'text' appears twice", '--text=text, text')
        self.refused(DATA, "--train=good.csv has no column 'txt'; its columns are 'text', 'label' "
                     '(--text=COLUMN)', '--text=txt')
        self.refused(DATA, "--eval=class.csv has no column 'label', where the training data have "
                     "the label; its columns are 'text', 'class': give it that name, or name "
                     'another one (task.validation_data.label_field)', evaluation='class.csv')
        self.refused(DATA, "--eval=id.csv has no column 'text', where the training data have the "
                     'text', evaluation='id.csv')

    def test_files(self):
        self.write('empty.csv', '')
        self.write('names.csv', 'text,label\n')
        self.write('x.data', 'text,label\na,0\n')
        self.refused(DATA, 'empty.csv: no rows', train='empty.csv')
        self.refused(DATA, '--eval=empty.csv: no rows', evaluation='empty.csv')
        self.refused(DATA, 'names.csv: no rows except the column names', train='names.csv')
        self.refused(DATA, 'x.data is text, not a record file: call a table .tsv, .csv or .jsonl',
                     train='x.data')

    def test_flags(self):
        self.refused(CONFIG, '--init=weights, but no --train: name the data', train=None)
        for init, text in (('nope', '--init=nope: no such folder, file or checkpoint; a repository '
                            'of Hugging Face is hf://owner/name'),
                           ('good.csv', 'good.csv is not a checkpoint')):
            result = e2e.run(['--experiment=bert/sentence_prediction', '--mode=train_and_eval',
                              '--model_dir=out', '--train=good.csv', '--init=' + init],
                             cwd=self.folder)
            self.assertEqual(result.code, DATA)
            self.assertIn(text, self.one_error(result))
        result = e2e.run(['--experiment=bert/sentence_prediction', '--mode=train_and_eval',
                          '--model_dir=out', '--train=good.csv'], cwd=self.folder)
        self.assertEqual(result.code, CONFIG)
        self.assertIn('--train=good.csv, but no --init: name the weights', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))

    def test_swapped(self):
        self.write('few.csv', 'text,label\na,0\nb,1\n')
        result = self.short('--dry_run', train='few.csv', evaluation='good.csv')
        self.assertIn('task.train_data has 2 rows, task.validation_data 40: more rows are evaluated than trained on; are --train and --eval swapped?', result.stderr)
        self.assertNotIn('swapped', self.short('--dry_run', train='good.csv',
                                               evaluation='few.csv').stderr)

    def test_the_folder_of_another_run(self):
        self.short('--params_override=task.train_data.epochs=1', train='good.csv',
                   evaluation='good.csv')
        self.write('id.csv', 'id,label\n1,0\n2,1\n')
        for args, expect, text in (
                (['--mode=predict', '--predict=id.csv'], DATA, "--predict=id.csv has no column "
                 "'text', where the training data have the text; its columns are 'id', 'label': "
                 'give it that name, or name another one (--text=COLUMN)'),
                (['--mode=eval', '--eval=id.csv', '--text=id', '--label=x'], DATA,
                 "--eval=id.csv has no column 'x'"),
                (['--mode=predict', '--init=weights'], CONFIG, '--init=weights is for modes that '
                 'train: --model_dir out has its own weights'),
                (['--mode=eval', '--experiment=bert/tagging'], CONFIG, '--experiment=bert/tagging: '
                 'the run there is one of bert/sentence_prediction (out/params.yaml); leave '
                 '--experiment out')):
            result = e2e.run(args + ['--model_dir=out'], cwd=self.folder)
            self.assertEqual(result.code, expect, str(result))
            self.assertIn(text, self.one_error(result))
        self.assertIn("task.train_data.held_out: '' -> 'without' (rows that were trained on would "
                      'be evaluated); task.train_data.held_out_share: 0.0 -> 0.1 (rows that were '
                      'trained on would be evaluated)',
                      self.short(train='good.csv', evaluation=None, expect=CONFIG).stderr)


class Refuses(Short):
    def test_table(self):
        self.write('same.csv', 'text,label\na,1\nb,1\n')
        self.write('ids.csv', 'text,label\n' + ''.join('a,k%d\n' % i for i in range(30)))
        self.write('both.csv', 'text,sentence,label\na,b,0\nc,d,1\n')
        self.write('other.csv', 'body,stars\na,0\nc,1\n')
        self.write('empty.csv', '')
        override = '--params_override='
        for more, how, expect, text in (
                ([override + 'task.train_data.input_path=x.tsv'], {}, CONFIG,
                 "--train=%s contradicts task.train_data.input_path (--params_override: "
                 "'task.train_data.input_path=x.tsv')" % TRAIN),
                ([override + 'task.validation_data.input_path=x.tsv'], {}, CONFIG,
                 'contradicts task.validation_data.input_path'),
                ([override + 'task.init_checkpoint=x'], {}, CONFIG,
                 '--init=weights contradicts task.init_checkpoint'),
                (['--text=label', override + 'task.train_data.text_fields=["sentence"]'], {},
                 CONFIG, '--text=label contradicts task.train_data.text_fields'),
                (['--label=sentence'], {}, DATA, 'different labels in 2000 rows'),
                (['--label=sentence', override + 'task.validation_data.label_field=label'], {},
                 CONFIG, '--label=sentence contradicts task.validation_data.label_field'),
                (['--label=a,b'], {}, CONFIG, 'expected the name of one column'),
                (['--text=a,,b'], {}, CONFIG, '--text=a,,b: expected one to'),
                (['--label=nothing'], {}, CONFIG, "They are called 'sentence', 'label'"),
                ([], {'train': 'other.csv'}, CONFIG, "They are called 'body', 'stars': name it "
                 'with --label=COLUMN'),
                (['--label=stars'], {'train': 'other.csv'}, CONFIG, 'name it with --text=COLUMN'),
                ([], {'train': 'both.csv'}, CONFIG, "'text', 'sentence', 'label': name it with "
                 '--text=COLUMN'),
                ([], {'train': 'same.csv'}, DATA, 'every row has the same label'),
                ([], {'train': 'ids.csv'}, DATA, "30 different labels in 30 rows of column 'label' "
                 "(one is 'k0')"),
                ([], {'train': 'missing.csv'}, DATA, 'missing.csv'),
                ([override + 'task.train_data.held_out_seed=1'], {'evaluation': None}, CONFIG,
                 'holds out a share of 0.1 with seed 1 and fold 0, task.validation_data 0.1 with seed 0 and fold 0'),
                (['--predict=x'], {}, CONFIG, '--predict=x is for --mode=predict'),
                ([], {'mode': 'eval'}, CONFIG, 'is for modes that train, not for --mode=eval'),
                ([], {'mode': 'train'}, CONFIG, 'is for modes that evaluate, and --mode=export, not for --mode=train'),
        ):
            result = self.short(*more, expect=expect, **how)
            self.assertIn(text, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))


if __name__ == '__main__':
    e2e.main()
