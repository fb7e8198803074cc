# SPDX-License-Identifier: Apache-2.0
"""The short command: weights, a table to train on, one to evaluate with; what it decides, what the
user decides instead, and what it refuses."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

CONFIG, DATA = 2, 3
TRAIN = os.path.join(e2e.SOURCE, 'data/train.tsv')
DEV = os.path.join(e2e.SOURCE, 'data/dev.tsv')
VOCAB = '[PAD] [UNK] [CLS] [SEP] [MASK] the was a it not be to this at all . , in would and'


class Short(e2e.Case):
    def setUp(self):
        super().setUp()
        shutil.copytree(e2e.golden('hf/bert_classifier'), self.path('weights'))
        self.write('weights/vocab.txt', VOCAB.replace(' ', '\n') + '\n')

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
        with open(self.path('out/params.yaml'), encoding='utf-8') as source:
            params = source.read()
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
        self.assertNotIn('learned by heart', trained.stderr)
        self.assertIn('examples 50 ', trained.stderr)
        with open(self.path('out/params.yaml'), encoding='utf-8') as source:
            params = source.read()
        for line in ('held_out: without', 'held_out: only', 'held_out_share: 0.1',
                     'validation_interval: 15'):
            self.assertIn(line, params)
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.assertIn('examples 500 ', self.bare('--eval=' + DEV).stderr)

    def test_nothing_there(self):
        result = self.bare(model_dir='none', expect=CONFIG)
        self.assertIn('missing --experiment (see --help), and --model_dir none has no params.yaml',
                      self.one_error(result))
        self.assertFalse(os.path.exists(self.path('none')))


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
                 'holds out a share of 0.1 with seed 1, task.validation_data 0.1 with seed 0'),
                (['--predict=x'], {}, CONFIG, '--predict=x is for --mode=predict'),
                ([], {'mode': 'eval'}, CONFIG, 'is for modes that train, not for --mode=eval'),
                ([], {'mode': 'train'}, CONFIG, 'is for modes that evaluate, not for --mode=train'),
        ):
            result = self.short(*more, expect=expect, **how)
            self.assertIn(text, self.one_error(result))
            self.assertFalse(os.path.exists(self.path('out')))


if __name__ == '__main__':
    e2e.main()
