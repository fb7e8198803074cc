# SPDX-License-Identifier: Apache-2.0
"""Runs of the tiny jobs with faults between program and system: file_faults.c preloaded."""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

LIBRARY = os.path.join(e2e.BUILD, 'tests/reliability/libfile_faults.so')
VICTIM = 'victim'


class FaultCase(e2e.Case):
    """A test in a folder with the jobs; the run that suffers has model_dir VICTIM."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bt-faults-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        jobs.make(self.folder)
        self.log = self.path('faults.log')

    def run_job(self, task, model_dir, override='', env=None, mode='train_and_eval', more=(),
                timeout=None, **how):
        return e2e.run(jobs.args(task, model_dir, override, mode, more), cwd=self.folder, env=env,
                       timeout=timeout, **how)

    def environment(self, at=0, action='', root=VICTIM, sync=False, **more):
        """more: ERRNO, ONWARD, READS, RECORD of file_faults.c"""
        env = {'LD_PRELOAD': LIBRARY, 'BT_FAULT_ROOT': root, 'BT_FAULT_LOG': self.log,
               'BT_FAULT_AT': str(at), 'BT_FAULT_ACTION': action,
               'BT_FAULT_NOSYNC': '0' if sync else '1',
               'ASAN_OPTIONS': 'verify_asan_link_order=0'}
        env.update({'BT_FAULT_' + key: str(value) for key, value in more.items()})
        return env

    def wipe(self, name=VICTIM):
        for path in (self.path(name), self.log):
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.remove(path)

    def operations(self):
        """[(operation, path)] of the log, in order."""
        with open(self.log, encoding='utf-8') as source:
            return [line.rstrip('\n').split(' ', 2)[1:] for line in source]

    def suffer(self, task, override='', at=0, action='', timeout=None, more_args=(), **env):
        """A run from nothing with one fault; to die of a signal is no error here."""
        self.wipe()
        return self.run_job(task, VICTIM, override, self.environment(at, action, **env),
                            more=more_args, timeout=timeout, may_die=True)


class EachTask:
    """check(task), once for each task: a test of its own, so that each has its line."""

    def test_sentence(self):
        self.check('sentence')

    def test_squad(self):
        self.check('squad')

    def test_tagging(self):
        self.check('tagging')

    def test_pairs(self):
        self.check('pairs')


def require():
    """Where the library cannot be preloaded there is no test: says why and ends with 77."""
    if not os.path.exists(LIBRARY):
        print('SKIPPED: there is no %s' % LIBRARY)
        sys.exit(77)
