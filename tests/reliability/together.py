# SPDX-License-Identifier: Apache-2.0
"""The outputs of one run of create-finetuning-data appear together: killed, or with a file operation
that fails, at every place of a run, there are all of the old files or all of the new, at the latest when
the next run that writes there has begun."""
import hashlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import faults  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

OUTPUTS = ('t.rec', 'd.rec', 'm')


class Together(faults.FaultCase):
    def setUp(self):
        super().setUp()
        for name, first in (('old', 100), ('new', 0)):
            os.makedirs(self.path(name))
            for part in ('train', 'dev'):
                with open(self.path(part + '.tsv'), encoding='utf-8') as source:
                    lines = source.read().splitlines()
                with open(self.path(name, part + '.tsv'), 'w', encoding='utf-8') as out:
                    out.write('\n'.join(lines[:1] + lines[1:][first // 4:]) + '\n')

    def tool(self, data, outputs=OUTPUTS, env=None, **how):
        args = ['--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
                '--input_data_dir=' + data, '--vocab_file=vocab.txt', '--max_seq_length=16']
        args += ['--%s=%s/%s' % (flag, faults.VICTIM, name) for flag, name in zip(
            ('train_data_output_path', 'eval_data_output_path', 'meta_data_file_path'), outputs)]
        return e2e.run(args, name='create-finetuning-data', cwd=self.folder, env=env, **how)

    def content(self):
        out = []
        for name in OUTPUTS:
            path = self.path(faults.VICTIM, name)
            if not os.path.exists(path):
                out.append(None)
                continue
            with open(path, 'rb') as source:
                out.append(hashlib.sha256(source.read()).hexdigest())
        return out

    def start(self, is_first):
        self.wipe()
        os.makedirs(self.path(faults.VICTIM))
        if not is_first:
            self.assertEqual(self.tool('old').code, 0)

    def check(self, action, is_first):
        self.start(is_first)
        before = self.content()
        result = self.tool('new', env=self.environment())
        self.assertEqual(result.code, 0, str(result))
        after = self.content()
        self.assertNotEqual(before, after)
        n_all = len(self.operations())
        seen = {'old': 0, 'new': 0}
        for at in range(1, n_all + 1, 1 if e2e.LONG else 3):
            self.start(is_first)
            result = self.tool('new', env=self.environment(at, action), may_die=True)
            if action != 'kill':
                self.assertIn(result.code, (0, 3, 4), (at, str(result)))
                self.assertEqual(self.content(), after if result.code == 0 else before,
                                 (at, str(result)))
            self.assertEqual(self.tool('old', outputs=('x', 'y', 'z')).code, 0)
            got = self.content()
            self.assertIn(got, (before, after), at)
            seen['new' if got == after else 'old'] += 1
            names = [n for n in os.listdir(self.path(faults.VICTIM)) if n not in ('x', 'y', 'z')]
            for name in names:
                # a lock of the killed run stays until the same files are written again
                base = name.split('.tmp-')[0]
                if base not in OUTPUTS and base[1:-5] not in OUTPUTS:
                    self.fail('%d: %s is left over' % (at, name))
            result = self.tool('new')
            self.assertEqual(result.code, 0, str(result))
            left = sorted(os.listdir(self.path(faults.VICTIM)))
            self.assertEqual(left, sorted(OUTPUTS + ('x', 'y', 'z')), at)
        print('%s, %s: %d places: %s' % (action, 'nothing there' if is_first else 'over others',
                                         n_all, seen))
        self.assertGreater(seen['old'], 0)

    def test_kill(self):
        self.check('kill', False)

    def test_kill_first(self):
        self.check('kill', True)

    def test_several_folders(self):
        """The journal is in each folder and names temporary files in the others: the
        next run, of which nothing comes, gives it its name before it sweeps."""
        outputs = ('a/t.rec', 'b/d.rec', 'c/m')
        paths = [self.path(faults.VICTIM, name) for name in outputs]

        def read():
            out = []
            for path in paths:
                with open(path, 'rb') as source:
                    out.append(hashlib.sha256(source.read()).hexdigest())
            return out
        self.wipe()
        self.assertEqual(self.tool('new', outputs).code, 0)
        new = read()
        self.wipe()
        self.assertEqual(self.tool('old', outputs).code, 0)
        old = read()
        self.assertEqual(self.tool('new', outputs, env=self.environment()).code, 0)
        renames = [i for i, (name, _) in enumerate(self.operations(), 1) if name == 'rename']
        n_mixed = 0
        for at in renames:
            self.wipe()
            self.assertEqual(self.tool('old', outputs).code, 0)
            self.tool('new', outputs, env=self.environment(at, 'kill'), may_die=True)
            n_mixed += read() not in (old, new)
            self.tool('nowhere', outputs)
            self.assertIn(read(), (old, new), at)
            os.makedirs(self.path('empty'), exist_ok=True)
            self.assertNotEqual(self.tool('empty', outputs).code, 0)
            self.assertIn(read(), (old, new), at)
        self.assertGreater(n_mixed, 0)

    def test_second_run(self):
        """While one writes a file another one does not, and is told who does."""
        self.start(True)
        slow = subprocess.Popen(
            [e2e.program('create-finetuning-data'), '--fine_tuning_task_type=classification',
             '--classification_task_name=SST-2', '--input_data_dir=old', '--max_seq_length=16',
             '--vocab_file=vocab.txt', '--train_data_output_path=victim/t.rec',
             '--eval_data_output_path=victim/d.rec', '--meta_data_file_path=victim/m'],
            cwd=self.folder, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, **self.environment(10 ** 6, 'errno')))
        lock = self.path(faults.VICTIM, '.t.rec.lock')
        while slow.poll() is None and not os.path.exists(lock):
            pass
        if slow.poll() is None:
            slow.send_signal(signal.SIGSTOP)
            result = self.tool('new', outputs=('t.rec', 'x', 'y'))
            held = os.path.exists(lock)
            slow.send_signal(signal.SIGCONT)
            if held:
                self.assertEqual(result.code, 4, str(result))
                self.assertIn('is in use: create-finetuning-data, process %d' % slow.pid,
                              result.errors('create-finetuning-data')[0])
        slow.communicate()
        self.assertEqual(slow.returncode, 0)
        self.assertEqual(sorted(os.listdir(self.path(faults.VICTIM))), sorted(OUTPUTS))

    def test_no_room(self):
        self.check('errno', False)


if __name__ == '__main__':
    faults.require()
    e2e.main()
