# SPDX-License-Identifier: Apache-2.0
"""Every key and flag that takes a path, with a path that is missing, forbidden, damaged, or a pattern
that fits nothing: one sentence, which has the key's full name. The keys are asked of the program
(--help_experiment), so that a new one without a row here is red."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

NOBODY = 65534
GARBAGE = b'\xff\xfe\x00\xd8garbage\x00' * 9
ANY = ('missing', 'forbidden', 'damaged', 'folder')
PATHS = ANY + ('pattern', 'remote pattern')

# (task, key): (ending, kinds, more overrides)
BOTH = ('task.train_data.', 'task.validation_data.')
KEYS = {}
for section in BOTH:
    for task, ending in (('sentence', '.tsv'), ('squad', '.json'), ('tagging', '.tf_record'), ('pairs', '.txt')):
        KEYS[task, section + 'input_path'] = (ending, PATHS, '')
    for task in ('sentence', 'squad', 'pairs'):
        KEYS[task, section + 'vocab_file'] = ('.txt', ANY, '')
    KEYS['tagging', section + 'vocab_file'] = ('.txt', ANY, section + 'input_path=words.txt')
    KEYS['pairs', section + 'right_input_path'] = ('.txt', PATHS, '')
for task in ('sentence', 'squad', 'tagging', 'pairs'):
    KEYS[task, 'task.init_checkpoint'] = ('.safetensors', ANY, '')
    KEYS[task, 'task.hub_module_url'] = ('', ('missing', 'forbidden', 'folder'), '')
    KEYS[task, 'task.model.lora.init'] = ('', ANY, '')
    KEYS[task, 'runtime.blas_library'] = ('.so', ('missing', 'damaged'), 'runtime.matmul=blas')
for task in ('sentence', 'tagging'):
    KEYS[task, 'task.meta_data_path'] = ('.json', ANY, '')
KEYS['pairs', 'task.gold_pairs'] = ('.tsv', ANY, '')
KEYS['tagging', 'task.validation_data.words_path'] = ('.txt', PATHS, '')

# what no run of this program reads: refused by the key's name whatever the path is, or told
NOT_READ = {'tfds_data_dir', 'preprocessing_hub_module_url', 'input_preprocessed_data_path'}  # the last: same_files.py
NOT_READ_THERE = {'task.train_data.words_path'}
# read by predictions of what was trained
TRAINED = {'words_path': 'tagging', 'gold_pairs': 'pairs'}


class PathKeys(e2e.Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bt-keys-', dir='/var/tmp')
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        jobs.make(self.folder)
        self.write('words.txt', 'nan B-X\nban O\n\n' * 40)
        self.user = NOBODY if os.geteuid() == 0 else None
        try:
            e2e.run(['--version'], user=self.user, cwd=self.folder)
        except PermissionError: # nobody may not enter the folder where the program is: a copy
            bin_folder = tempfile.mkdtemp(prefix='bt-keys-', dir='/var/tmp')
            os.chmod(bin_folder, 0o755)
            self.addCleanup(shutil.rmtree, bin_folder)
            shutil.copy(e2e.program(), bin_folder)
            before = os.environ.get('BT_MUTANTS', '')
            os.environ['BT_MUTANTS'] = bin_folder
            self.addCleanup(os.environ.__setitem__, 'BT_MUTANTS', before)
        for task in set(TRAINED.values()):
            seen = e2e.run(jobs.args(task, 'trained-' + task, 'trainer.train_steps=5', 'train'), cwd=self.folder)
            self.assertEqual(seen.code, 0, str(seen))
        if self.user is not None:
            subprocess.run(['chown', '-R', str(self.user), self.folder], check=True)

    def run_it(self, args):
        return e2e.run(args, cwd=self.folder, user=self.user, env={'TMPDIR': self.folder})

    def path_of(self, kind, ending):
        path = 'place/the_file' + ending
        subprocess.run(['chmod', '-R', 'u+rwX', self.path('place')], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.path('place'), ignore_errors=True)
        os.mkdir(self.path('place'))
        if kind == 'pattern':
            return 'place/*' + ending
        if kind == 'remote pattern':
            return 'gs://**'
        if kind == 'folder':
            os.mkdir(self.path(path))
        elif kind != 'missing':
            self.write(path, GARBAGE)
            if kind == 'forbidden':
                os.chmod(self.path(path), 0)
        if self.user is not None:
            subprocess.run(['chown', '-R', str(self.user), self.path('place')], check=True)
        return path

    def refuse(self, task, key, override):
        name = key.rpartition('.')[2]
        result = self.run_it(jobs.args(task, 'trained-' + task if name in TRAINED else 'out', override,
                                       'predict' if name in TRAINED else 'train_and_eval'))
        shutil.rmtree(self.path('out'), ignore_errors=True)
        self.assertIn(result.code, (2, 3, 4, 5), str(result))
        self.assertEqual(len(result.errors()), 1, str(result))
        self.assertIn(key, result.errors()[0], str(result))
        self.assertLessEqual(result.errors()[0].count(key + ':'), 1, str(result))
        for other in ('task.train_data.', 'task.validation_data.'):
            if not key.startswith(other) and key.startswith('task.'):
                self.assertNotIn(other, result.errors()[0].split(key)[0], str(result))
        return result.errors()[0]

    def test_every_key(self):
        for (task, key), (ending, kinds, more) in KEYS.items():
            for kind in kinds:
                with self.subTest(task=task, key=key, kind=kind):
                    path = self.path_of(kind, ending)
                    override = ','.join(filter(None, [more, "%s='%s'" % (key, path)]))
                    self.refuse(task, key, override)

    def test_every_key_is_here(self):
        for task, experiment in jobs.EXPERIMENTS.items():
            keys = re.findall(r'^(\S+)\n    [^\n]*\. A path', e2e.run(['--help_experiment=' + experiment]).stdout,
                              re.MULTILINE)
            self.assertGreater(len(keys), 5)
            for key in keys:
                if key.rpartition('.')[2] not in NOT_READ and key not in NOT_READ_THERE:
                    self.assertIn((task, key), KEYS)

    def test_flags(self):
        for flag, mode, kinds, more in (
                ('--checkpoint', 'eval', ('missing', 'damaged', 'folder'), ()),
                ('--checkpoint', 'predict', ('missing', 'damaged', 'folder'), ()),
                ('--init', 'train', ANY, ()), ('--train', 'train', PATHS, ()), ('--eval', 'train_and_eval', PATHS, ()),
                ('--predict', 'predict', PATHS, ['--text=sentence']), ('--config_file', 'train', ('missing', 'forbidden', 'folder'), ()),
                ('--flagfile', 'train', ('missing', 'forbidden', 'folder'), ()), ('--output_path', 'predict', ('folder',), ['--output_format=tsv'])):
            for kind in kinds:
                with self.subTest(flag=flag, mode=mode, kind=kind):
                    ending = {'--config_file': '.yaml', '--train': '.tsv', '--eval': '.tsv', '--predict': '.tsv'}.get(flag, '')
                    path = self.path_of(kind, ending)
                    args = ['--experiment=bert/sentence_prediction', '--mode=' + mode, '--model_dir=out',
                            '--config_file=model.yaml', '--params_override=task.model.num_classes=2,' + ','.join(
                                s + k for s in BOTH for k in ('seq_length=16', 'vocab_file=vocab.txt'))]
                    if flag in ('--checkpoint', '--output_path'):
                        args.append('--config_file=sentence.yaml')
                    if flag in ('--eval', '--init', '--config_file', '--flagfile'):
                        args.append('--train=train.tsv')
                    names = {'--init': '(--init|task.init_checkpoint)', '--train': r'(--train|task.train_data.input_path)',
                             '--eval': '(--eval|task.validation_data.input_path)',
                             '--predict': '(--predict|task.validation_data.input_path)'}
                    result = self.run_it(args + ['%s=%s' % (flag, path)] + list(more))
                    shutil.rmtree(self.path('out'), ignore_errors=True)
                    self.assertIn(result.code, (2, 3, 4), str(result))
                    self.assertEqual(len(result.errors()), 1, str(result))
                    self.assertRegex(result.errors()[0], names.get(flag, flag), str(result))


if __name__ == '__main__':
    e2e.main()
