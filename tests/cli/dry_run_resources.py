# SPDX-License-Identifier: Apache-2.0
"""What only the machine says, and a dry run must look at as the run does: folders and files that may
not be written, names that are taken, a disk without room for a checkpoint, another process at work in
model_dir. Each mistake of the table is made once; the dry run ends with the run's exit status and
sentence and leaves every byte, time and name of the folder as it was. Files are forbidden to a user
who is not root, so all programs here run as nobody where this one is root."""
import os
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

NOBODY = 65534


def forbid(path, mode=0o555):
    def do(case):
        os.chmod(case.path(path), mode)
    return do


def make_file(path, text=''):
    def do(case):
        shutil.rmtree(case.path(path), ignore_errors=True)
        case.write(path, text)
    return do


def make_folder(path):
    def do(case):
        if os.path.exists(case.path(path)):
            os.remove(case.path(path))
        os.makedirs(case.path(path), exist_ok=True)
    return do


def both(*deeds):
    def do(case):
        for deed in deeds:
            deed(case)
    return do


# name: (mode, the mistake, exit status, what the sentence names, override, more flags); a run of 20
# steps is in "out" already
TABLE = {
    'model_dir may not be written': ('train_and_eval', forbid('out'), 4, 'out', '', ()),
    'model_dir may not be written, eval': ('eval', forbid('out'), 4, 'out', '', ()),
    'model_dir may not be written, train': ('train', forbid('out'), 4, 'out', '', ()),
    'model_dir may not be written, seeds': ('train', forbid('out'), 4, 'out', '', ['--seeds=1,2']),
    'model_dir may not be read': ('train_and_eval', forbid('out', 0o300), None, 'out', '', ()),
    'model_dir may not be entered': ('train_and_eval', forbid('out', 0), None, 'out', '', ()),
    'model_dir is a file': ('train_and_eval', make_file('out'), None, 'out', '', ()),
    'model_dir in a folder that may not be written': (
        'train_and_eval', both(make_folder('there'), forbid('there')), 4, 'there/new', '',
        ['--model_dir=there/new']),
    'model_dir below a file': ('train_and_eval', make_file('there'), None, 'there', '', ['--model_dir=there/new']),
    'records may not be written': ('train_and_eval', forbid('out/metrics.jsonl', 0o444), 4,
                                   'metrics.jsonl', '', ()),
    'records of an evaluation may not be written': (
        'eval', both(make_file('out/metrics.jsonl'), forbid('out/metrics.jsonl', 0o444)), 4,
        'metrics.jsonl', '', ()),
    'records are a folder': ('train_and_eval', make_folder('out/metrics.jsonl'), None, 'metrics.jsonl', '', ()),
    'events may not be written': ('train_and_eval', forbid('out/train'), 4, 'out/train', '', ()),
    'events of the evaluation may not be written': (
        'train_and_eval', forbid('out/validation'), 4, 'out/validation', '', ()),
    'events of the evaluation may not be written, eval': (
        'eval', both(make_file('out/metrics.jsonl'), forbid('out/validation')), 4, 'out/validation', '', ()),
    'events are a file': ('train_and_eval', make_file('out/train'), None, 'out/train', '', ()),
    'another folder of events may not be written': (
        'train_and_eval', both(make_folder('out/mine'), forbid('out/mine')), 4, 'out/mine',
        'trainer.validation_summary_subdir=mine', ()),
    'best export may not be written': ('train_and_eval', forbid('out/best_ckpt'), 4,
                                       'out/best_ckpt', '', ()),
    'best export is a file': ('train_and_eval', make_file('out/best_ckpt'), None, 'best_ckpt', '', ()),
    'another best export may not be written': (
        'train_and_eval', both(make_folder('out/mine'), forbid('out/mine')), 4, 'out/mine',
        'trainer.best_checkpoint_export_subdir=mine', ()),
    'a link that leads nowhere': ('train_and_eval', lambda case: os.symlink('nowhere', case.path('link')),
                                  None, 'link', '', ['--model_dir=link']),
    'predictions beside a folder that may not be written': (
        'predict', both(make_folder('there'), forbid('there')), 4, '--output_path', '',
        ['--output_path=there/x.tsv']),
    'predictions in a new folder that may not be made': (
        'predict', both(make_folder('there'), forbid('there')), 4, '--output_path', '',
        ['--output_path=there/a/b/x.tsv']),
    'predictions below a file': ('predict', make_file('there'), 4, '--output_path', '',
                                 ['--output_path=there/x.tsv']),
    'predictions are a folder': ('predict', make_folder('there'), 4, '--output_path', '',
                                 ['--output_path=there', '--output_format=tsv']),
    'predictions in a model_dir that may not be written': (
        'predict', forbid('out'), 4, 'out', '', ()),
    'a submission that may not be written': (
        'predict', both(make_folder('there'), forbid('there')), 4, '--glue_submission', '',
        ['--output_path=x.tsv', '--glue_submission=there', '--glue_task=SST-2']),
    'training rows may not be read': ('train', forbid('train.tsv', 0), 3, 'train.tsv', '', ()),
    'rows of the evaluation may not be read': ('train_and_eval', forbid('dev.tsv', 0), 3, 'dev.tsv', '', ()),
    'rows to predict may not be read': ('predict', forbid('dev.tsv', 0), 3, 'dev.tsv', '', ()),
    'vocabulary may not be read': ('train_and_eval', forbid('vocab.txt', 0), 3, 'vocab_file', '', ()),
    'a YAML file may not be read': ('train_and_eval', forbid('model.yaml', 0), None, 'model.yaml', '', ()),
    'weights may not be read': (
        'train_and_eval', both(make_file('w.safetensors', 'x'), forbid('w.safetensors', 0)), 3,
        'task.init_checkpoint', 'task.init_checkpoint=w.safetensors', ['--model_dir=new']),
    'a folder of weights may not be read': (
        'train_and_eval', both(make_folder('w'), forbid('w', 0)), 3, 'task.init_checkpoint',
        'task.init_checkpoint=w', ['--model_dir=new']),
    'the checkpoint may not be read': (
        'train_and_eval', lambda case: [os.chmod(case.path('out/' + n), 0) for n in os.listdir(case.path('out'))
                                        if n.startswith('ckpt-')], None, 'ckpt-', '', ()),
    'the checkpoint may not be read, eval': (
        'eval', lambda case: [os.chmod(case.path('out/' + n), 0) for n in os.listdir(case.path('out'))
                              if n.startswith('ckpt-')], None, 'ckpt-', '', ()),
    'labels.json may not be read': ('predict', forbid('out/labels.json', 0), None, 'labels.json', '', ()),
}


def outside():
    """A folder that this user may enter from the root on."""
    folder = tempfile.mkdtemp(prefix='bt-dry-', dir='/var/tmp')
    os.chmod(folder, 0o755)
    return folder


def picture(folder):
    """Of every name below: kind, mode, time, bytes."""
    seen = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            st = os.lstat(path)
            content = b''
            if stat.S_ISREG(st.st_mode):
                with open(path, 'rb') as source:
                    content = source.read()
            elif stat.S_ISLNK(st.st_mode):
                content = os.readlink(path)
            seen[os.path.relpath(path, folder)] = (st.st_mode, st.st_mtime_ns, content)
    return seen


class Resources(e2e.Case):
    def setUp(self):
        self.folder = outside()
        self.addCleanup(self.remove)
        jobs.make(self.folder)
        self.user = NOBODY if os.geteuid() == 0 else None
        try:
            e2e.run(['--version'], user=self.user, cwd=self.folder)
        except PermissionError: # nobody may not enter the folder where the program is: a copy
            bin_folder = outside()
            self.addCleanup(shutil.rmtree, bin_folder)
            shutil.copy(e2e.program(), bin_folder)
            before = os.environ.get('BT_MUTANTS', '')
            os.environ['BT_MUTANTS'] = bin_folder
            self.addCleanup(os.environ.__setitem__, 'BT_MUTANTS', before)
        self.give()

    def remove(self):
        subprocess.run(['chmod', '-R', 'u+rwX', self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def give(self):
        """Everything is that user's."""
        if self.user is not None:
            for place, folders, files in os.walk(self.folder):
                for name in [place] + [os.path.join(place, n) for n in folders + files]:
                    os.lchown(name, self.user, self.user)

    def run_job(self, mode, override, more, **how):
        override = ','.join(filter(None, ['trainer.train_steps=30', override]))
        return e2e.run(jobs.args('sentence', 'out', override, mode, more), cwd=self.folder,
                       user=self.user, **how)

    def compare(self, mode, override='', more=(), **how):
        before = picture(self.folder)
        dry = self.run_job(mode, override, list(more) + ['--dry_run'], **how)
        self.assertEqual(picture(self.folder), before, 'the dry run changed something')
        run = self.run_job(mode, override, more, **how)
        self.assertEqual((dry.code, dry.errors()), (run.code, run.errors()), str(dry) + str(run))
        return run

    def test_table(self):
        seen = self.run_job('train_and_eval', 'trainer.train_steps=20', ())
        self.assertEqual(seen.code, 0, str(seen))
        shutil.copytree(self.folder, self.folder + '-kept')
        self.addCleanup(shutil.rmtree, self.folder + '-kept')
        for name, (mode, mistake, code, words, override, more) in TABLE.items():
            with self.subTest(name):
                self.remove()
                shutil.copytree(self.folder + '-kept', self.folder)
                mistake(self)
                self.give()
                run = self.compare(mode, override, more)
                self.assertNotEqual(run.code, 0, str(run))
                self.assertEqual(len(run.errors()), 1, str(run))
                self.assertIn(words, run.errors()[0])
                if code is not None:
                    self.assertEqual(run.code, code, str(run))

    def refused_beside(self, holder, mode, words):
        """While a process of that mode has its lock, a run of the other mode is refused."""
        command = [e2e.program('bert-train')] + jobs.args(
            'sentence', 'out', 'trainer.train_steps=999', holder[0], holder[1:])
        child = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, user=self.user)
        try:
            lines = iter(child.stderr.readline, '')
            self.assertTrue(any('waiting for' in line for line in lines), holder)  # it has its lock
            run = self.compare(mode, '')
            self.assertEqual(run.code, 4, str(run))
            self.assertIn(words, run.errors()[0])
            self.assertIn('process %d ' % child.pid, run.errors()[0])
        finally:
            child.kill()
            child.communicate()
        self.assertEqual(self.run_job(mode, '', ['--dry_run']).code, 0)  # who is gone holds nothing

    def test_beside_an_evaluation(self):
        self.assertEqual(self.run_job('train_and_eval', 'trainer.train_steps=20', ()).code, 0)
        for mode in ('eval', 'train_and_eval', 'continuous_eval'):
            self.refused_beside(['continuous_eval'], mode, 'out is in use: bert-train --mode=continuous_eval')

    def test_beside_a_training(self):
        os.mkdir(self.path('out'))
        self.give()
        holder = ['continuous_train_and_eval', '--params_override=task.init_checkpoint=later']
        for mode in ('train', 'train_and_eval'):
            self.refused_beside(holder, mode, 'out is in use: bert-train --mode=continuous_train_and_eval')

    def on_a_disk_of(self, size, more, override=''):
        """A run whose model_dir is a file system of that size of its own."""
        os.makedirs(self.path('disk'), exist_ok=True)
        args = jobs.args('sentence', 'disk/out', ','.join(filter(None, ['trainer.train_steps=30', override])),
                         'train_and_eval', more)
        words = ['unshare', '--mount', 'sh', '-c',
                 'mount -t tmpfs -o size=%s none disk 2> /dev/null || exit 199; exec "$@"' % size, 'sh',
                 e2e.program('bert-train')] + args
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False,
                              timeout=e2e.TIMEOUT)
        if done.returncode == 199 or 'unshare' in done.stderr:
            self.skipTest('no file system can be mounted here')
        return e2e.Result(done.returncode, done.stdout, done.stderr, 0)

    def test_a_full_disk(self):
        if shutil.which('unshare') is None:
            self.skipTest('no unshare')
        for size, override, words in (
                ('100k', '', 'no room in disk/out: a checkpoint takes 115.3 KiB, 230.7 KiB with the best one'),
                ('200k', '', '230.7 KiB with the best one beside it, and 200.0 KiB are free there'),
                ('100k', "trainer.best_checkpoint_export_subdir=''", 'a checkpoint takes 115.3 KiB, and 100.0 KiB')):
            with self.subTest(size=size, override=override):
                dry = self.on_a_disk_of(size, ['--dry_run'], override)
                run = self.on_a_disk_of(size, [], override)
                self.assertEqual((dry.code, dry.errors()), (4, run.errors()), str(dry) + str(run))
                self.assertEqual(run.code, 4)
                self.assertIn(words, run.errors()[0])
        dry = self.on_a_disk_of('300k', ['--dry_run'])
        self.assertEqual(dry.code, 0, str(dry))
        self.assertIn('will end with a full disk', dry.stderr)
        for more in (['--dry_run'], []):
            result = self.on_a_disk_of('2m', more)
            self.assertEqual(result.code, 0, str(result))
            self.assertNotIn('full disk', result.stderr)
        # what is not saved needs no room
        self.assertEqual(self.on_a_disk_of('100k', ['--dry_run'], 'trainer.checkpoint_interval=null,'
                                           "trainer.best_checkpoint_export_subdir=''").code, 0)


if __name__ == '__main__':
    e2e.main()
