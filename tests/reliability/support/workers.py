# SPDX-License-Identifier: Apache-2.0
"""The tiny jobs of jobs.py on several processes (multi_worker_mirrored)."""
import array
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402
import ranks  # noqa: E402
from ranks import SLOW  # noqa: E402

STRATEGY = 'runtime.distribution_strategy=multi_worker_mirrored'
# without it the sum of the shares' gradients is the gradient of the whole batch
UNCLIPPED = 'trainer.optimizer_config.optimizer.adamw.gradient_clip_norm=0.0'
# its true gradient is 0, and what rounding leaves is any number
NOISE = re.compile(r'key_dense/bias|_key.*bias|key/bias')


def heed():
    """What is ignored stays ignored, and a shell's background jobs ignore some."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)


def floats_of(model_dir):
    """{name: array} of the newest checkpoint."""
    name = e2e.read_state_file(model_dir)[0]
    return {k: array.array('f', t.raw)
            for k, t in e2e.read_bundle(os.path.join(model_dir, name)).items() if t.dtype == 1}


class Case(e2e.Case):
    def setUp(self):
        super().setUp()
        jobs.make(self.folder)

    def args(self, task, model_dir, override='', mode='train_and_eval', more=()):
        return jobs.args(task, model_dir, STRATEGY + (',' + override if override else ''), mode,
                         more)

    def start(self, size, task, model_dir, override='', mode='train_and_eval', more=(),
              others=None, before=None, env=None):
        """others: {rank: its own override}; before: {rank: function}; env: {rank: dict}."""
        job = ranks.Job(e2e.program(), cwd=self.folder)
        addresses = ranks.addresses_of(size)
        for rank in range(size):
            own = ','.join(o for o in (override, (others or {}).get(rank)) if o)
            first = (before or {}).get(rank)
            job.start({**ranks.tf_config(addresses, rank), **(env or {}).get(rank, {})},
                      *self.args(task, model_dir, own, mode, more),
                      before=lambda first=first: (heed(), first and first()))
        self.addCleanup(job.kill)
        return job

    def run_job(self, *args, expect=0, **how):
        """[(code, stdout, stderr)]; all exit codes are expect."""
        results = self.start(*args, **how).end()
        for code, out, err in results:
            self.assertEqual(code, expect, out + err)
            for word in e2e.SANITIZER_WORDS:
                self.assertNotIn(word, err)
        return results

    def alone(self, task, model_dir, override='', mode='train_and_eval'):
        result = e2e.run(self.args(task, model_dir, override, mode), cwd=self.folder,
                         env={'TF_CONFIG': ''})
        self.assertEqual(result.code, 0, str(result))
        return result

    def close(self, a, b, tolerance):
        """Weights and slots of two folders' newest checkpoints."""
        want, got = floats_of(self.path(a)), floats_of(self.path(b))
        self.assertEqual(sorted(want), sorted(got))
        for name in want:
            if not NOISE.search(name):
                worst = max((abs(x - y) for x, y in zip(want[name], got[name])), default=0)
                self.assertLessEqual(worst, tolerance, '%s of %s and %s' % (name, a, b))

    def wait_for(self, job, there, seconds=30):
        end = time.monotonic() + seconds * e2e.SLOW
        while not there():
            if any(c.poll() is not None for c in job.children) or time.monotonic() > end:
                self.fail('%r' % (job.end(),))
            time.sleep(0.01)

    def wait_for_step(self, job, model_dir, step):
        """Until metrics.jsonl has come to it."""
        def there():
            try:
                with open(self.path(model_dir, 'metrics.jsonl'), encoding='utf-8') as source:
                    return any(int(s) >= step for s in re.findall(r'"step": (\d+)', source.read()))
            except FileNotFoundError:
                return False
        self.wait_for(job, there)
