# SPDX-License-Identifier: Apache-2.0
"""What is in model_dir under a name that a run uses there, and is something else (a folder, a
pipe, a device, a link that leads nowhere or in a circle), is refused before anything is computed:
exit 3 with one sentence that names it, nothing changed; a dry run says the same."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

SHORT = 'trainer.train_steps=20'
LONGER = 'trainer.train_steps=40'
FILES = ('checkpoint', 'checkpoint.journal', 'params.yaml', 'params_ours.yaml', 'metrics.jsonl', 'labels.json',
         'tokenizer.json', 'report.html', 'run_facts.json', 'eval_details.json',
         'best_ckpt/checkpoint', 'best_ckpt/checkpoint.journal', 'best_ckpt/info.json')
FOLDERS = ('best_ckpt', 'train', 'validation')


def make_link(target):
    return lambda path: os.symlink(target, path)


KINDS = {
    'folder': (os.mkdir, 'is a folder, but a file of that name is kept there'),
    'pipe': (os.mkfifo, 'is a named pipe'),
    'device': (make_link('/dev/zero'), 'is a character device'),
    'null device': (make_link('/dev/null'), 'is a character device'),
    'dangling link': (make_link('nowhere/at/all'), 'is a link that leads nowhere'),
    'link to itself': (lambda path: os.symlink(os.path.basename(path), path),
                       'is a link that leads nowhere'),
}


def tree(folder):
    """What is in the folder: names, kinds, bytes of regular files."""
    out = {}
    for where, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(where, name)
            is_file = os.path.isfile(path) and not os.path.islink(path)
            content = b''
            if is_file:
                with open(path, 'rb') as source:
                    content = source.read()
            out[os.path.relpath(path, folder)] = (os.lstat(path).st_mode, content)
    return out


class OwnFiles(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)
        self.run_job('done', SHORT)

    def run_job(self, model_dir, override=LONGER, mode='train_and_eval', more=(), expect=0):
        result = e2e.run(jobs.args('sentence', model_dir, override, mode, more), cwd=self.folder)
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def put(self, name, make):
        """A copy of the run, with something else under that name."""
        shutil.rmtree(self.path('out'), ignore_errors=True)
        shutil.copytree(self.path('done'), self.path('out'))
        path = self.path('out', name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
        make(path)
        return path

    def refused(self, name, make, says, mode='train_and_eval', more=()):
        self.put(name, make)
        before = tree(self.path('out'))
        error = self.one_error(self.run_job('out', mode=mode, more=more, expect=3))
        self.assertIn('out/' + name, error)
        if says is not None:
            self.assertIn(says, error)
        self.assertEqual(tree(self.path('out')), before, name)
        dry = self.run_job('out', mode=mode, more=list(more) + ['--dry_run'], expect=3)
        self.assertEqual(self.one_error(dry), error)
        self.assertEqual(tree(self.path('out')), before, name)

    def test_files(self):
        for name in FILES:
            for kind, (make, says) in KINDS.items():
                with self.subTest(name=name, kind=kind):
                    # the names of classes are read before all else, with a sentence of their own
                    own = says if name != 'labels.json' or 'link' in kind else None
                    self.refused(name, make, own)

    def test_folders(self):
        for name in FOLDERS:
            for kind in ('pipe', 'dangling link', 'link to itself'):
                with self.subTest(name=name, kind=kind):
                    self.refused(name, *KINDS[kind])
            self.refused(name, lambda path: open(path, 'w').close(),
                         'is a file, but a folder of that name is kept there')

    def test_other_modes(self):
        for mode, name in (('eval', 'checkpoint'), ('predict', 'checkpoint'), ('eval', 'metrics.jsonl'),
                           ('eval', 'best_ckpt/info.json'), ('train', 'metrics.jsonl'),
                           ('train_and_post_eval', 'train'), ('continuous_eval', 'metrics-eval.jsonl')):
            with self.subTest(mode=mode, name=name):
                self.refused(name, *KINDS['dangling link'], mode=mode)

    def test_what_a_mode_does_not_use(self):
        """A prediction writes none of them."""
        self.put('metrics.jsonl', os.mkfifo)
        self.run_job('out', mode='predict')

    def test_links_to_files_are_used(self):
        for name in ('checkpoint', 'metrics.jsonl', 'params.yaml', 'params_ours.yaml'):
            self.put(name, make_link('../done-' + name))
            shutil.copy(self.path('done', name), self.path('done-' + name))
            self.run_job('out')
            self.assertTrue(os.path.islink(self.path('out', name)), name)

    def test_seeds(self):
        for kind in ('folder', 'pipe', 'dangling link'):
            with self.subTest(kind):
                os.makedirs(self.path('seeds'), exist_ok=True)
                KINDS[kind][0](self.path('seeds/seeds.json'))
                before = tree(self.path('seeds'))
                error = self.one_error(self.run_job('seeds', more=['--seeds=1,2'], expect=3))
                self.assertIn('seeds/seeds.json', error)
                self.assertEqual(tree(self.path('seeds')), before)
                shutil.rmtree(self.path('seeds'))

    def test_a_checkpoint_that_is_none(self):
        """An index that is a folder, a pipe or leads nowhere: the one before is taken, and said."""
        for kind in ('folder', 'pipe', 'dangling link', 'link to itself'):
            with self.subTest(kind):
                self.put('ckpt-20.index', KINDS[kind][0])
                result = self.run_job('out')
                self.assertIn('names ckpt-20, which cannot be used', result.stderr)
                self.assertIn('restored step 15 from', result.stderr)
                self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-40')

    def test_a_checkpoint_in_the_way(self):
        """Of a step that is still to come: kept under another name."""
        for kind in ('folder', 'pipe', 'dangling link'):
            with self.subTest(kind):
                self.put('ckpt-30.index', KINDS[kind][0])
                self.run_job('out')
                self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-40')
                self.assertTrue(os.path.lexists(self.path('out/ckpt-30.index.kept-1')))


if __name__ == '__main__':
    e2e.main()
