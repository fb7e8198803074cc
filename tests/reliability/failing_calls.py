# SPDX-License-Identifier: Apache-2.0
"""The k-th call that touches a file fails (EIO, ENOSPC, EMFILE, ...), reads or writes less than was
asked, or nothing: once, or from then on. A run of a whole train_and_eval, or of the data tool,
then either ends as an undisturbed one, or says in one line what failed and leaves a folder from
which the same command ends as an undisturbed one.

BT_LONG_TESTS=1 takes every k; otherwise a sample."""
import errno
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import faults  # noqa: E402
from jobs import e2e  # noqa: E402

N_SAMPLE = int(os.environ.get('BT_SAMPLE', '3'))
# name: (action, errno, from then on, reads too)
FAULTS = {
    'no space': ('errno', errno.ENOSPC, 1, 0),
    'no space once': ('errno', errno.ENOSPC, 0, 0),
    'input/output error': ('errno', errno.EIO, 1, 1),
    'input/output error once': ('errno', errno.EIO, 0, 1),
    'interrupted': ('errno', errno.EINTR, 0, 1),
    'short': ('short', 0, 1, 1),
    'nothing once': ('zero', 0, 0, 1),
}
# (operation, errno): of each name that they are done to, the last one fails
TIDYING = (('unlink', errno.EINTR), ('unlink', errno.EIO), ('link', errno.EINTR),
           ('rename', errno.EINTR))
CODES = (0, 3, 4)
LOCK_STAYS = "left over: ['.bert-train.lock']"
QUICK = 'trainer.checkpoint_retry=0'


def sample(n, seed):
    stride = 1 if e2e.LONG else max(1, n // N_SAMPLE)
    return range(1 + seed * stride // len(FAULTS), n + 1, stride)


class FailingCalls(faults.EachTask, faults.FaultCase):
    def train_with(self, name, seed, task):
        self.assertEqual(self.suffer(task, QUICK, READS=FAULTS[name][3]).code, 0)
        return [line for k in sample(len(self.operations()), seed)
                for line in self.train_once(name, FAULTS[name], task, k)]

    def train_once(self, name, fault, task, k):
        action, number, onward, reads = fault
        bad = []
        result = self.suffer(task, QUICK, k, action, ERRNO=number, ONWARD=onward, READS=reads)
        where = '%s at %d' % (name, k)
        self.n_faults += 1
        if result.code not in CODES or (result.code != 0) != (len(result.errors()) == 1):
            bad.append('%s: %s' % (where, result))
        if result.code != 0:
            again = self.run_job(task, faults.VICTIM, QUICK)
            if again.code != 0:
                return bad + ['%s: afterwards %s' % (where, again)]
        found = compare.differences(self.path('straight'), self.path(faults.VICTIM))
        if onward and result.code == 0 and found == [LOCK_STAYS]:
            found = []  # nothing could be removed any more; the next start takes it over
        return bad + ['%s (exit %d %s): %s' % (where, result.code, result.errors(), d)
                      for d in found]

    def check(self, task):
        self.n_faults = 0
        self.assertEqual(self.run_job(task, 'straight', QUICK).code, 0)
        bad = []
        for seed, name in enumerate(FAULTS):
            bad += self.train_with(name, seed, task)
        print('%s: %d faults' % (task, self.n_faults))
        self.assertEqual(bad, [])

    def last_of_each_name(self, operation):
        """{name without what is random or counted: the number of the last such operation}"""
        return {re.sub(r'^.*victim/|(tmp|commit)-[0-9a-f]+|\d+', '#', path): k
                for k, (done, path) in enumerate(self.operations(), 1) if done == operation}

    def test_names_of_squad(self):
        """What a sample rarely meets: the calls that give, change and take names, of the task that
        has the most files. A single failure may neither leave a file behind nor lose one."""
        self.n_faults = 0
        self.assertEqual(self.run_job('squad', 'straight', QUICK).code, 0)
        self.assertEqual(self.suffer('squad', QUICK).code, 0)
        places = {operation: self.last_of_each_name(operation) for operation, _ in TIDYING}
        self.assertIn('#nbest_predictions.json.#', places['unlink'])
        bad = []
        for operation, number in TIDYING:
            for name, k in places[operation].items():
                bad += self.train_once('%s of %s: %s' % (operation, name, os.strerror(number)),
                                       ('errno', number, 0, 0), 'squad', k)
        print('names: %d faults' % self.n_faults)
        self.assertEqual(bad, [])


class DataTool(faults.FaultCase):
    """create-finetuning-data: all of its outputs, or those that were there before."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.path('glue'))
        for name in ('train.tsv', 'dev.tsv'):
            shutil.copy(self.path(name), self.path('glue', name))

    def tool(self, folder, length=16, env=None):
        os.makedirs(self.path(folder), exist_ok=True)
        return e2e.run(['--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
                        '--input_data_dir=glue', '--vocab_file=vocab.txt',
                        '--max_seq_length=%d' % length,
                        '--train_data_output_path=%s/train.rec' % folder,
                        '--eval_data_output_path=%s/eval.rec' % folder,
                        '--meta_data_file_path=%s/meta' % folder],
                       name='create-finetuning-data', cwd=self.folder, env=env, may_die=True)

    def contents(self, folder):
        """Without locks: where none can be removed any more, the next run takes them over."""
        out = {}
        for name in sorted(os.listdir(self.path(folder))):
            if name.endswith('.lock'):
                continue
            with open(self.path(folder, name), 'rb') as source:
                out[name] = source.read()
        return out

    def check(self, name, seed):
        action, number, onward, reads = FAULTS[name]
        self.wipe()
        self.assertEqual(self.tool(faults.VICTIM, env=self.environment(READS=reads)).code, 0)
        for k in sample(len(self.operations()), seed):
            self.wipe()
            self.tool(faults.VICTIM, 12)
            result = self.tool(faults.VICTIM, env=self.environment(
                k, action, ERRNO=number, ONWARD=onward, READS=reads))
            where = '%s at %d: %s' % (name, k, result)
            self.assertIn(result.code, CODES, where)
            if result.code == 0:  # where nothing can be removed any more a temporary may stay
                made = self.contents(faults.VICTIM)
                self.assertEqual({n: b for n, b in made.items() if '.tmp-' not in n},
                                 self.contents('straight'), where)
            else:
                self.assertEqual(len(result.errors('create-finetuning-data')), 1, where)
            self.assertEqual(self.tool(faults.VICTIM).code, 0, where)
            self.assertEqual(self.contents(faults.VICTIM), self.contents('straight'), where)

    def test_all(self):
        self.assertEqual(self.tool('straight').code, 0)
        for seed, name in enumerate(FAULTS):
            with self.subTest(name):
                self.check(name, seed)


if __name__ == '__main__':
    faults.require()
    e2e.main()
