# SPDX-License-Identifier: Apache-2.0
"""Runs of the tiny jobs with faults between program and system: file_faults.c preloaded."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402
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
        """A run from nothing with one fault; to die of a signal is not an error here."""
        self.wipe()
        return self.run_job(task, VICTIM, override, self.environment(at, action, **env),
                            more=more_args, timeout=timeout, may_die=True)


class StopCase(FaultCase):
    """kill -9 and SIGTERM at random instants, and what is there at the end; env: of all its runs."""

    env = {}

    def start(self, task, override, more):
        return subprocess.Popen([e2e.program()] + jobs.args(task, VICTIM, override,
                                                            more=more),
                                cwd=self.folder, env=dict(os.environ, **self.env),
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def stop_once(self, job, seconds, rng):
        """Starts the job and stops it. The exit status, or None: it came to its end first."""
        child = self.start(*job)
        try:
            _out, said = child.communicate(timeout=rng.random() * seconds)
            self.assertEqual(child.returncode, 0, said.decode('utf-8', 'replace'))
            return None
        except subprocess.TimeoutExpired:
            pass
        number = signal.SIGKILL if rng.random() < 0.75 else signal.SIGTERM
        child.send_signal(number)
        _out, said = child.communicate(timeout=e2e.TIMEOUT)
        # before the handlers stand, SIGTERM is what it always is
        self.assertIn(child.returncode, (0, 75, 143, -signal.SIGKILL, -signal.SIGTERM),
                      said.decode('utf-8', 'replace'))
        return child.returncode

    def check(self, job, n_kills, rng, same):
        task, override, more = job
        self.wipe('straight')
        self.wipe()
        start = time.monotonic()
        self.assertEqual(self.run_job(task, 'straight', override, self.env, more=more,
                                      timeout=240).code, 0)
        seconds = max(0.2, time.monotonic() - start)
        codes = []
        while len(codes) < n_kills:
            self.wipe()
            for _ in range(min(12, n_kills - len(codes))):
                code = self.stop_once(job, seconds * 0.7, rng)
                if code is None:
                    break
                codes.append(code)
            self.assertEqual(self.run_job(task, VICTIM, override, self.env, more=more,
                                          timeout=240).code, 0)
            same(self.path('straight'), self.path(VICTIM), 'after %s' % codes)
        return codes

    def same_run(self, straight, victim, where):
        self.assertEqual(compare.differences(straight, victim), [], where)


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
