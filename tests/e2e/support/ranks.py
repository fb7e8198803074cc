# SPDX-License-Identifier: Apache-2.0
"""Several processes of one job on this machine: found by TF_CONFIG, by mpirun, by the variables that
srun sets."""
import os
import random
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e  # noqa: E402

CLEAN = {k: v for k, v in os.environ.items()
         if not re.match(r'TF_CONFIG$|OMPI_|PMI|SLURM_|BERT_TRAIN_', k)}
SLOW = 10 if e2e.SANITIZED else 1


CLAIMS = []  # a name on this machine for each port given away, which ends with this process


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6):
            return True
    except OSError:  # a kernel without it
        return False


def free_ports(n):
    """n of them, each only once on this machine while this test runs: what has them listens later.
    Below those that the system hands out, so that no connection of another test takes one."""
    found = []
    family, everywhere = (socket.AF_INET6, '::') if has_ipv6() else (socket.AF_INET, '0.0.0.0')
    while len(found) < n:
        port = random.randrange(10000, 20000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind('\0bert-train-test-port-%d' % port)
            with socket.socket(family) as s:
                s.bind((everywhere, port))
        except OSError:
            claim.close()
            continue
        CLAIMS.append(claim)
        found.append(port)
    return found


class Job:
    """Processes with their own environments."""

    def __init__(self, *command, cwd=None):
        self.command = [str(word) for word in command]
        self.cwd = cwd
        self.children = []

    def start(self, env, *more, before=None):
        child = subprocess.Popen(self.command + list(more), env={**CLEAN, **env}, text=True,
                                 cwd=self.cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 preexec_fn=before)
        self.children.append(child)
        return child

    def end(self, timeout=e2e.TIMEOUT):
        """[(code, stdout, stderr)] of all."""
        results = []
        for child in self.children:
            try:
                out, err = child.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            results.append((child.returncode, out, err))
        return results

    def kill(self):
        for child in self.children:
            child.kill()
            child.communicate()


def tf_config(addresses, rank):
    listed = ', '.join('"%s"' % a for a in addresses)
    return {'TF_CONFIG': '{"cluster": {"worker": [%s]}, "task": {"type": "worker", "index": %d}}'
                         % (listed, rank)}


def addresses_of(n, host='127.0.0.1'):
    return ['%s:%d' % (host, port) for port in free_ports(n)]


def wait_for_port(address):
    """Until a rank listens there; the connection is one of a stranger."""
    host, port = address.rsplit(':', 1)
    def is_there():
        try:
            socket.create_connection((host, int(port))).close()
            return True
        except OSError:
            return False
    until(is_there, 'nobody listens at ' + address)


def until(is_so, why_not):
    end = time.monotonic() + e2e.TIMEOUT
    while not is_so():
        assert time.monotonic() < end, why_not
        time.sleep(0.05)


def wait_for_connection(address):
    """Until a rank is connected there (over IPv4)."""
    host, port = address.rsplit(':', 1)
    place = '%08X:%04X' % (int.from_bytes(socket.inet_aton(host), sys.byteorder), int(port))

    def is_there():
        with open('/proc/net/tcp', encoding='ascii') as table:
            rows = [line.split() for line in table]
        return any(row[2] == place and row[3] == '01' for row in rows[1:])  # remote end, established
    until(is_there, 'nobody comes to ' + address)


def wait_for_handler(child, number):
    """Until a signal does not kill it any more."""
    def has_one():
        with open('/proc/%d/status' % child.pid, encoding='utf-8') as status:
            caught = re.search(r'SigCgt:\s*(\w+)', status.read()).group(1)
        return int(caught, 16) >> (number - 1) & 1
    until(has_one, 'it has no handler')


def slurm(rank, size, number):
    return {'SLURM_PROCID': str(rank), 'SLURM_STEP_NUM_TASKS': str(size),
            'SLURM_STEP_NODELIST': 'localhost', 'SLURM_JOB_ID': str(number), 'SLURM_STEP_ID': '0'}


def mpirun(n, *command, cwd=None):
    env = {**CLEAN, 'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}
    if e2e.SANITIZED:  # Open MPI keeps memory for ever
        env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
    return subprocess.Popen(['mpirun', '--oversubscribe', '-n', str(n), *map(str, command)],
                            env=env, cwd=cwd, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
