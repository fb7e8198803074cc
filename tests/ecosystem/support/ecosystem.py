# SPDX-License-Identifier: Apache-2.0
"""The environments of other programs (get_ecosystem.sh): where their Python is, and how a judge, a
script that imports them, is asked."""
import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../../e2e/support'))
import e2e  # noqa: E402


def python_of(name):
    """The interpreter of the environment, or None."""
    folder = os.environ.get('BT_ECOSYSTEM', '')
    path = os.path.join(folder, name, 'bin/python')
    return path if folder and os.path.exists(path) else None


def needs(name):
    """Skips a class or a test without that environment."""
    return unittest.skipUnless(python_of(name), (
        'BT_ECOSYSTEM names no folder with the environment %s: tests/ecosystem/get_ecosystem.sh' % name))


def ask(name, judge, question, cwd=None):
    """Runs the script (beside the test) in the environment; both speak JSON. Returns its answer; what
    it printed to standard error is under 'stderr'."""
    env = dict(os.environ, HF_HUB_OFFLINE='1', TRANSFORMERS_OFFLINE='1', TOKENIZERS_PARALLELISM='false')
    done = subprocess.run([python_of(name), os.path.join(HERE, '..', judge)], input=json.dumps(question),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=env,
                          timeout=10 * e2e.TIMEOUT, check=False)
    if done.returncode != 0:
        raise AssertionError('%s: %s' % (judge, done.stderr[-4000:]))
    answer = json.loads(done.stdout.splitlines()[-1])
    answer['stderr'] = done.stderr
    return answer
