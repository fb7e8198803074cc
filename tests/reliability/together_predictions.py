# SPDX-License-Identifier: Apache-2.0
"""The files of one prediction appear together, in one folder or in several: killed, or with a file
operation that fails, at every place, there are all of the old files or all of the new, at the latest
when the next run that writes into one of the folders has begun. The data of a run that was killed at
such a place are never read as they are."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

STRIDE = 1 if e2e.LONG else 4
KINDS = {
    'sentence': (['--output_path=victim/a/p.tsv', '--glue_submission=victim/b',
                  '--glue_task=SST-2'], ['a/p.tsv', 'b/SST-2.tsv']),
    'squad': (['--output_path=victim/a'],
              ['a/predictions.json', 'a/nbest_predictions.json']),
    'pairs': (['--output_path=victim/a/p.tsv'], ['a/p.tsv', 'a/p.left.npy', 'a/p.right.npy']),
}


class TogetherPredictions(faults.FaultCase):
    def setUp(self):
        super().setUp()
        for task in list(KINDS):
            for name, seed in (('old', 1), ('new', 2)):
                result = self.run_job(task, '%s-%s' % (name, task), 'trainer.train_steps=2,task.train_data.seed=%d' % seed,
                                      mode='train')
                self.assertEqual(result.code, 0, str(result))

    def predict(self, task, name, more, env=None, expect=(0,), **how):
        override = ''
        if task == 'sentence' and name == 'new':  # the classes alone may be the same
            override = 'task.validation_data.input_path=train.tsv'
        result = self.run_job(task, '%s-%s' % (name, task), override, env, mode='predict', more=more,
                              **how)
        if expect is not None:
            self.assertIn(result.code, expect, str(result))
        return result

    def content(self, names):
        out = []
        for name in names:
            path = self.path(faults.VICTIM, name)
            data = b''
            if os.path.exists(path):
                with open(path, 'rb') as source:
                    data = source.read()
            out.append(hashlib.sha256(data).hexdigest())
        return out

    def left_over(self, names):
        found = set()
        for where, _, files in os.walk(self.path(faults.VICTIM)):
            found.update(os.path.relpath(os.path.join(where, n), self.path(faults.VICTIM))
                         for n in files)
        return sorted(found - set(names) - {'a/other.tsv', 'b/other.tsv'})

    def check(self, task, action, finisher='a'):
        more, names = KINDS[task]

        def start():
            self.wipe()
            os.makedirs(self.path(faults.VICTIM))
            self.predict(task, 'old', more)
        start()
        before = self.content(names)
        self.predict(task, 'new', more, self.environment())
        after = self.content(names)
        self.assertTrue(all(b != a for b, a in zip(before, after)))
        n_all = len(self.operations())
        seen = {'old': 0, 'new': 0}
        for at in range(n_all, 0, -STRIDE if n_all > 40 else -1):
            start()
            env = self.environment(at, action)
            if action == 'errno':
                result = self.predict(task, 'new', more, env, (0, 3, 4))
                self.assertEqual(self.content(names), after if result.code == 0 else before, at)
            else:
                self.predict(task, 'new', more, env, None, may_die=True)
            self.predict('sentence', 'old', ['--output_path=victim/%s/other.tsv' % finisher])
            got = self.content(names)
            self.assertIn(got, (before, after), (at, self.left_over(names)))
            seen['new' if got == after else 'old'] += 1
            self.predict(task, 'new', more)
            self.assertEqual(self.content(names), after)
            self.assertEqual(self.left_over(names), [], at)
        print('%s, %s: %d places: %s' % (task, action, n_all, seen))
        self.assertGreater(seen['old'], 0)
        self.assertTrue(action == 'errno' or seen['new'] > 0)

    def test_two_folders(self):
        self.check('sentence', 'kill')

    def test_the_other_folder(self):
        self.check('sentence', 'kill', 'b')

    def test_questions(self):
        self.check('squad', 'kill')

    def test_vectors(self):
        self.check('pairs', 'kill')

    def test_no_room(self):
        self.check('squad', 'errno')


class Readers(faults.FaultCase):
    """Outputs of create-finetuning-data in two folders, killed when one of them has its name."""
    OUTPUTS = ('a/train.tf_record', 'a/dev.tf_record', 'b/meta')

    def tool(self, data, env=None, **how):
        args = ['--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
                '--input_data_dir=' + data, '--vocab_file=vocab.txt', '--max_seq_length=16']
        args += ['--%s=victim/%s' % pair for pair in zip(
            ('train_data_output_path', 'eval_data_output_path', 'meta_data_file_path'), self.OUTPUTS)]
        return e2e.run(args, name='create-finetuning-data', cwd=self.folder, env=env, **how)

    def content(self):
        out = []
        for name in self.OUTPUTS[:2]:
            with open(self.path(faults.VICTIM, name), 'rb') as source:
                out.append(source.read())
        return out

    def between(self):
        """Leaves new training data beside old validation data. (old, new) content."""
        with open(self.path('train.tsv'), encoding='utf-8') as source:
            rows = source.read().splitlines()
        for name, part in (('old', rows[:101]), ('new', rows[:1] + rows[101:])):
            os.makedirs(self.path(name))
            for file in ('train.tsv', 'dev.tsv'):
                jobs.write(self.path(name), file, '\n'.join(part) + '\n')
        self.assertEqual(self.tool('new', self.environment()).code, 0)
        new = self.content()
        operations = self.operations()
        at = 1 + max(i for i, (what, path) in enumerate(operations)
                     if what == 'rename' and 'dev.tf_record' in path)
        self.wipe()
        self.assertEqual(self.tool('old').code, 0)
        old = self.content()
        for shift in range(-4, 5):
            self.wipe()
            self.assertEqual(self.tool('old').code, 0)
            self.tool('new', self.environment(at + shift, 'kill'), may_die=True)
            if self.content() == [new[0], old[1]]:
                return old, new
        return self.fail('no kill came in between')

    def read(self, user=None, pattern='a/%s.tf_record'):
        override = ','.join('task.%s_data.%s' % (section, key) for section, name in (
            ('train', 'train'), ('validation', 'dev')) for key in (
                'input_path="victim/%s"' % (pattern % name), 'text_fields=null', 'vocab_file=null'))
        return self.run_job('sentence', 'out', override + ',trainer.train_steps=2', user=user)

    def test_training_finishes(self):
        _, new = self.between()
        result = self.read()
        self.assertEqual(result.code, 0, str(result))
        self.assertIn('a run was killed while its files got their names: the other 2 have theirs now',
                      result.stderr)
        self.assertEqual(self.content(), new)

    def test_pattern(self):
        _, new = self.between()
        result = self.read(pattern='?/%s.tf*')
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.content(), new)

    def test_training_may_not(self):
        if os.geteuid() != 0:
            self.skipTest('only root can be somebody else')
        self.between()
        os.chmod(self.folder, 0o777)
        before = self.content()
        result = self.read(user=65534)
        self.assertEqual(result.code, 4, str(result))
        self.assertRegex(self.one_error(result), r'victim/a/\.bert-train-commit-[0-9a-f]{16}: some '
                         r'files that were written together have their names here, others not yet')
        self.assertEqual(self.content(), before)


if __name__ == '__main__':
    faults.require()
    e2e.main()
