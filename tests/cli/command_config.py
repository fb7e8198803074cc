# SPDX-License-Identifier: Apache-2.0
"""bert-train config: values and who said them, what differs, what a key means; and the configurations that
are built in: each by every name, from a folder that holds none of them."""
import glob
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

FLAGS = ['--experiment=bert/sentence_prediction', '--config_file=model.yaml', '--config_file=run.yaml']
SQUAD = '--experiment=bert/squad'


class Config(e2e.Case):
    def ask(self, *args, code=0, told=''):
        result = e2e.run(['config'] + list(args), cwd=self.folder)
        self.assertEqual(result.code, code, str(result))
        self.assertIn(told, result.stderr)
        return result.stdout

    def values(self, *args):
        return {row['key']: row for row in json.loads(self.ask('print', '--format=json', *args))}

    # print

    def test_who_said_it(self):
        rows = self.values(*FLAGS, '--config_file=minilm', '--isa=ref',
                           '--params_override=trainer.train_steps=7,task.metric_type=f1')
        want = {
            'trainer.train_steps': (7, 'flag', "--params_override: 'trainer.train_steps=7'"),
            'task.metric_type': ('f1', 'flag', "--params_override: 'task.metric_type=f1'"),
            'task.model.encoder.bert.hidden_size': (384, 'built_in', 'built-in:models/minilm:12:22'),
            'runtime.num_gpus': (0, 'default', 'default'),
            'trainer.optimizer_config.optimizer.type': ('adamw', 'experiment', 'default'),
        }
        for key, (value, author, origin) in want.items():
            row = rows[key]
            self.assertEqual((row['value'], row['from'], row['origin']), (value, author, origin), key)
        self.assertEqual(rows['runtime.isa']['from'], 'flag')
        of_file = rows['task.train_data.input_path']
        self.assertEqual(of_file['from'], 'file')
        name, line, column = of_file['origin'].split(':')
        self.assertEqual(name, 'run.yaml')
        with open(self.path(name), encoding='utf-8') as text:
            self.assertIn(str(of_file['value']), text.read().splitlines()[int(line) - 1][int(column) - 1:])

    def test_what_weights_say(self):
        jobs.make(self.folder)
        trained = e2e.run(jobs.args('sentence', 'out', 'trainer.train_steps=2', 'train'), cwd=self.folder)
        self.assertEqual(trained.code, 0, str(trained))
        rows = self.values('--experiment=bert/sentence_prediction_text', '--init=out', '--model_dir=new')
        size = rows['task.model.encoder.bert.hidden_size']
        self.assertEqual((size['value'], size['from']), (16, 'found'), size)
        # a model_dir has all that it was trained with
        saved = self.values('out')
        self.assertEqual(saved, self.values('--model_dir=out'))
        self.assertEqual(saved['trainer.train_steps']['value'], 2)
        self.assertTrue(saved['trainer.train_steps']['origin'].startswith('out/params.yaml:'))
        self.ask('print', 'new', code=2)

    def test_text_and_yaml(self):
        text = self.ask('print', *FLAGS).splitlines()
        rows = self.values(*FLAGS)
        self.assertEqual([line.split(':')[0] for line in text], list(rows))
        for line in text:
            self.assertRegex(line, r'^\S+: .*  # \S')
        self.assertIn('  # default of bert/sentence_prediction', '\n'.join(text))
        dry = e2e.run(FLAGS + ['--dry_run=config'], cwd=self.folder)
        self.assertEqual(self.ask('print', '--format=yaml', *FLAGS), dry.stdout)
        changed = self.values('--changed', *FLAGS)
        self.assertEqual(changed, {key: row for key, row in rows.items() if row['from'] not in ('default', 'experiment')})
        self.assertLess(20, len(rows) - len(changed))
        as_list = self.ask('print', '--changed', '--format=yaml', *FLAGS).splitlines()
        self.assertEqual([json.loads(line[2:]) for line in as_list], list(changed.values()))

    def test_what_is_wrong(self):
        self.ask('print', code=2, told='missing --experiment')
        self.ask('print', SQUAD, '--params_override=trainer.train_step=1', code=2, told="did you mean 'trainer.train_steps'")
        self.ask('pritn', SQUAD, code=2, told="'pritn': print, diff, help or show is expected")
        self.ask('diff', SQUAD, code=2, told='diff got 0 arguments: bert-train config diff A [B] FLAGS')
        self.ask('print', 'nosuch', code=2, told='nosuch: there is no such experiment (--list_experiments), built-in file')
        self.ask('print', 'minilm', code=2, told='minilm is built in, and fits more than one experiment')
        self.ask('print', 'run.yaml', code=2, told='more than one experiment: name it with --experiment')

    def test_no_secrets(self):
        url = 's3://bucket/file.tf_record?X-Amz-Signature=0123456789abcdef'
        override = "--params_override=task.train_data.input_path='%s'" % url
        for form in ('text', 'json', 'yaml'):
            self.assertNotIn('0123456789abcdef', self.ask('print', '--format=' + form, *FLAGS, override))

    # diff

    def test_diff(self):
        self.assertEqual(self.ask('diff', 'bert/squad', 'bert/squad'), '')
        self.assertEqual(json.loads(self.ask('diff', 'bert/squad', SQUAD, '--format=json')), [])
        other = FLAGS + ['--params_override=trainer.train_steps=77']
        shutil.copy(self.path('run.yaml'), self.path('other.yaml'))
        with open(self.path('other.yaml'), 'a', encoding='utf-8') as out:
            out.write('# the same\n')
        self.assertEqual(self.ask('diff', 'run.yaml', 'other.yaml', FLAGS[0]), '')
        rows = json.loads(self.ask('diff', 'bert/sentence_prediction', *other, '--format=json', code=1))
        by_key = {row['key']: row for row in rows}
        steps = by_key['trainer.train_steps']
        self.assertEqual((steps['b'], steps['b_origin']), (77, "--params_override: 'trainer.train_steps=77'"))
        now = self.values(*other)
        for key, row in by_key.items():
            self.assertEqual(row['b'], now[key]['value'], key)
            self.assertEqual(row['b_origin'], now[key]['origin'])
        lines = self.ask('diff', 'bert/sentence_prediction', *other, code=1).splitlines()
        self.assertEqual([line.split(': ')[0] for line in lines], list(by_key))

    def test_diff_of_experiments(self):
        rows = json.loads(self.ask('diff', 'bert/squad', 'bert/tagging', '--format=json', code=1))
        by_key = {row['key']: row for row in rows}
        self.assertEqual((by_key['--experiment']['a'], by_key['--experiment']['b']), ('bert/squad', 'bert/tagging'))
        self.assertEqual(by_key['task.max_answer_length'],
                         {'key': 'task.max_answer_length', 'a': 30, 'a_origin': 'default'})
        self.assertNotIn('a', by_key['task.class_names'])
        a, b = self.values('bert/squad'), self.values('bert/tagging')
        for key in set(a) ^ set(b):
            self.assertIn(key, by_key)

    def test_diff_of_a_type(self):
        """All below it differs, too: only the type is said."""
        rows = json.loads(self.ask('diff', 'bert/squad', SQUAD, '--format=json', code=1, *[
            '--params_override=trainer.optimizer_config.optimizer.type=lamb']))
        self.assertEqual([row['key'] for row in rows], ['trainer.optimizer_config.optimizer.type'])

    # help

    def test_help(self):
        told = self.ask('help', 'trainer.train_steps')
        self.assertRegex(told, r'^trainer\.train_steps\n    .* default .*\n    Of bert/')
        of_all = e2e.run(['--help_experiment=bert/squad']).stdout
        for key in re.findall(r'(?m)^(\S+[^:\s])$', of_all)[::23]:
            want = re.search(r'(?m)^%s\n    .*\n' % re.escape(key), of_all).group(0)
            self.assertIn(want, self.ask('help', key, SQUAD), key)
        self.assertEqual(self.ask('help', 'cls_heads.0.inner_dim'), self.ask('help', 'cls_heads.N.inner_dim'))
        self.assertIn('Refused: ', self.ask('help', 'differential_privacy_config'))
        self.assertIn('bert-train only, not in Model Garden', self.ask('help', 'runtime.threads'))
        self.assertIn('max_seq_length is called task.train_data.seq_length here\n', self.ask('help', 'max_seq_length'))
        self.assertEqual(self.ask('help', 'output_dir'), 'output_dir is called --model_dir here\n')
        self.ask('help', 'seq_lengt', code=2, told='did you mean seq_length?')
        self.ask('help', 'xyzzy', code=2, told='xyzzy: there is no such key; --help_experiment=E lists')
        row = json.loads(self.ask('help', 'trainer.train_steps', SQUAD, '--format=json'))[0]
        self.assertEqual((row['type'], row['effect'], row['of'], row['experiments']),
                         ('an integer', 'acts', 'Model Garden', 'bert/squad'))

    # built in

    def test_built_in(self):
        """Each file of the repository by each of its names gives what the file gives."""
        found = sorted(glob.glob(os.path.join(e2e.SOURCE, 'configs/*/*.yaml')))
        listed = e2e.run(['--list_configs'], cwd=self.folder).stdout.splitlines()
        names = [os.path.relpath(path, os.path.join(e2e.SOURCE, 'configs'))[:-5] for path in found]
        self.assertEqual([line.split()[0] for line in listed], names)
        for line in listed:
            self.assertRegex(line, r'^\S+ +\w.*[.?]$')
        for path, name in zip(found, names):
            with open(path, encoding='utf-8') as text:
                self.assertEqual(self.ask('show', name), text.read())
        experiments = {'glue_mnli_text': '_text', 'table': '_text'}
        for name in names:
            base = os.path.basename(name)
            kind = ('bert/squad' if base.startswith('squad') else 'bert/tagging' if base.startswith('tagging') else
                    'bert/dual_encoder' if base == 'pairs' else 'bert/sentence_prediction' + experiments.get(base, ''))
            want = None
            source = os.path.join(e2e.SOURCE, 'configs', name + '.yaml')
            spellings = (source, base) if base != 'minilm' else (
                source, name, base, base + '.yaml', name + '.yaml', 'configs/' + name + '.yaml')
            for spelling in spellings:
                rows = {key: row['value'] for key, row in
                        self.values('--experiment=' + kind, '--config_file=' + spelling).items()}
                want = want or rows
                self.assertEqual(rows, want, spelling)

    def test_a_file_wins(self):
        self.write('minilm', b'task: {model: {encoder: {bert: {hidden_size: 24}}}}\n')
        rows = self.values(FLAGS[0], '--config_file=minilm')
        self.assertEqual(rows['task.model.encoder.bert.hidden_size']['value'], 24)
        self.ask('print', FLAGS[0], '--config_file=minilm',
                 told='--config_file=minilm: the file of that name is taken, not models/minilm, which is built in')
        os.remove(self.path('minilm'))
        os.mkdir(self.path('minilm'))  # as weights are called
        self.ask('print', FLAGS[0], '--config_file=minilm',
                 told='--config_file=minilm: there is no such file; what is built in as models/minilm is taken')

    def test_names_that_are_near(self):
        self.ask('print', FLAGS[0], '--config_file=minlm', code=2,
                 told="--config_file='minlm': No such file or directory; built in is minilm, did you mean that?")
        self.ask('print', FLAGS[0], '--config_file=model/minilm.yaml', code=2, told='built in is models/minilm, ')
        self.assertNotIn('built in', e2e.run(['config', 'print', FLAGS[0], '--config_file=nothing_like_it.yaml'],
                                             cwd=self.folder).stderr)

    def test_problems_of_built_in_ones(self):
        self.ask('print', SQUAD, '--config_file=glue_mrpc', code=2,
                 told='error: built-in:experiments/glue_mrpc:7:3: task')


if __name__ == '__main__':
    e2e.main()
