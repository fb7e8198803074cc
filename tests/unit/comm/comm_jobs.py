# SPDX-License-Identifier: Apache-2.0
"""Several processes of one job on this machine, found by TF_CONFIG, mpirun and srun's variables:
every result bit for bit what a serial sum gives (comm_program.c compares), whatever the delays; a
rank that dies or is stopped named by all the others in time; strangers, other jobs, other versions
and damaged bytes refused; all stop after the same step."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'e2e', 'support')
sys.path.insert(0, SUPPORT)
import e2e  # noqa: E402
import ranks  # noqa: E402
from ranks import SLOW, addresses_of, slurm, tf_config, wait_for_port  # noqa: E402

PROGRAM = os.path.join(e2e.BUILD, 'tests/unit/comm/comm_program')
GONE = r'rank %d of %d \(host [^ ]+, process %d\) is gone: its connection was closed'


class Job(ranks.Job):
    def __init__(self, *args):
        super().__init__(PROGRAM, *args)


def start_job(size, *args, addresses=None):
    job = Job(*args)
    addresses = addresses or addresses_of(size)
    for rank in range(size):
        job.start(tf_config(addresses, rank))
    return job


class Base(unittest.TestCase):
    def all_good(self, results):
        digests = set()
        for code, out, err in results:
            self.assertEqual(code, 0, err)
            digests.add(re.search(r'digest (\w+)', out).group(1))
        self.assertEqual(len(digests), 1, results)
        return digests.pop()

    def all_fail(self, results, code, pattern):
        for got, out, err in results:
            self.assertEqual(got, code, out + err)
            self.assertRegex(err, pattern)
        return [err for _, _, err in results]


class Sums(Base):
    def test_bits(self):
        """1, 2, 3 and 5 processes; the same bits on all of them, and in a run with other delays."""
        for size in (1, 2, 3, 5):
            for seed in range(4 if e2e.LONG else 1):
                args = ('all', 'rounds=%d' % (30 // SLOW), 'seed=%d' % seed)
                digests = {self.all_good(start_job(size, *args, 'delay=%g' % delay).end())
                           for delay in (0.0, 0.02)}
                self.assertEqual(len(digests), 1, (size, seed))

    def test_large(self):
        """Several parts at once, and no heap call in a step."""
        self.all_good(start_job(2, 'large').end())

    def test_ipv6(self):
        if not socket.has_ipv6 or not os.path.exists('/proc/net/if_inet6'):
            self.skipTest('no IPv6 here')
        self.all_good(start_job(2, 'all', 'rounds=2', addresses=addresses_of(2, '[::1]')).end())

    def test_names(self):
        self.all_good(start_job(2, 'all', 'rounds=2', addresses=addresses_of(2, 'localhost')).end())

    def test_srun(self):
        job = Job('all', 'rounds=5')
        for rank in range(3):
            job.start(slurm(rank, 3, os.getpid()))
        self.all_good(job.end())

    @unittest.skipUnless(shutil.which('mpirun'), 'no mpirun (Debian: openmpi-bin)')
    def test_mpirun(self):
        for size in (1, 2, 3):
            child = ranks.mpirun(size, PROGRAM, 'all', 'rounds=5')
            out, err = child.communicate(timeout=e2e.TIMEOUT)
            self.assertEqual(child.returncode, 0, err)
            self.assertEqual(len(re.findall('rank . of %d digest' % size, out)), size, out)
            self.assertEqual(len(set(re.findall(r'digest (\w+)', out))), 1, out)


class Death(Base):
    def wait_for_steps(self, job):
        for child in job.children:
            self.assertEqual(child.stdout.readline(), 'first step\n')

    def start_under_mpirun(self):
        """Once all of them make steps: mpirun hands no signal to a rank that it has not started."""
        child = ranks.mpirun(3, PROGRAM, 'steps')
        self.addCleanup(child.kill)
        for _ in range(3):
            self.assertEqual(child.stdout.readline(), 'first step\n')
        return child

    def test_kill(self):
        for victim in (0, 1, 2):
            job = start_job(3, 'steps')
            self.wait_for_steps(job)
            dead = job.children.pop(victim)
            dead.kill()
            dead.communicate()
            begin = time.monotonic()
            said = self.all_fail(job.end(), 5, GONE % (victim, 3, dead.pid))
            self.assertLess(time.monotonic() - begin, 5 * e2e.SLOW)
            self.assertEqual(len(set(said)), 1, said)

    def test_stopped(self):
        """SIGSTOP: connections stay open, and nothing is said any more."""
        job = start_job(3, 'steps', 'silence=4')
        self.wait_for_steps(job)
        stopped = job.children.pop(1)
        stopped.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        try:
            self.all_fail(job.end(), 5, r'rank 1 of 3 \(host [^ ]+, process %d\) has given no sign '
                          'of life for 4 s' % stopped.pid)
            self.assertLess(time.monotonic() - begin, 4 + 5 * e2e.SLOW)
        finally:
            stopped.send_signal(signal.SIGCONT)
        err = stopped.communicate(timeout=e2e.TIMEOUT)[1]
        self.assertEqual(stopped.returncode, 5, err)
        self.assertRegex(err, 'rank 1 of 3 .* has given no sign of life|is gone')

    def test_all_stopped(self):
        """Ctrl-Z and fg: everybody was away, so nobody is missed."""
        job = start_job(3, 'steps', 'silence=4')
        self.wait_for_steps(job)
        for child in job.children:
            child.send_signal(signal.SIGSTOP)
        time.sleep(6)
        for child in job.children:
            child.send_signal(signal.SIGCONT)
        time.sleep(1)
        job.children[0].terminate()
        self.assertEqual([code for code, _, _ in job.end()], [75, 75, 75])

    def test_end_with_sentence(self):
        """A rank that cannot go on: its own exit code there, its sentence everywhere."""
        first, second, third = start_job(3, 'disk_full').end()
        self.assertEqual((first[0], second[0], third[0]), (5, 4, 5), (first, second, third))
        for _, _, err in (first, third):
            self.assertRegex(err, r'rank 1 of 3 \(host .*\) ended: the disk is full')

    def test_divergence_is_everybodys(self):
        """Whoever hears of it first, and whichever code the launcher passes on."""
        self.all_fail(start_job(3, 'diverged').end(), 6, 'the loss is not finite')

    def test_late(self):
        self.all_fail(start_job(3, 'late').end(), 5,
                      'the first step: rank 2 of 3 .* did not come in time')

    def test_stop_signal(self):
        for signalled in (0, 2):
            job = start_job(3, 'steps')
            self.wait_for_steps(job)
            job.children[signalled].terminate()
            results = job.end()
            self.assertEqual([code for code, _, _ in results], [75] * 3, results)
            self.assertEqual(len({out for _, out, _ in results}), 1, results)
            self.assertIn('stopped at step', results[0][1])

    def test_nobody_ends_early(self):
        results = start_job(3, 'save').end()
        self.all_good(results)
        worked = float(re.search(r'worked until (\S+)', results[0][1]).group(1))
        for _, out, _ in results[1:]:  # by the one clock of this machine
            self.assertGreater(float(re.search(r'parted at (\S+)', out).group(1)), worked)

    @unittest.skipUnless(shutil.which('mpirun'), 'no mpirun (Debian: openmpi-bin)')
    def test_mpirun(self):
        """mpirun passes SIGUSR1 on and waits (after SIGTERM it kills in a second). No rank may end,
        and be taken for a failure, before all can: so each of them says its line and its code."""
        child = self.start_under_mpirun()
        child.send_signal(signal.SIGUSR1)
        out, err = child.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual(len(re.findall(r'stopped at step \d+', out)), 3, out + err)
        self.assertEqual(len(set(re.findall(r'stopped at step \d+', out))), 1, out)
        self.assertEqual(child.returncode, 75, err)

    @unittest.skipUnless(shutil.which('mpirun'), 'no mpirun (Debian: openmpi-bin)')
    def test_kill_under_mpirun(self):
        child = self.start_under_mpirun()
        with open('/proc/%d/task/%d/children' % (child.pid, child.pid)) as f:
            ranks = [int(p) for p in f.read().split()]
        self.assertEqual(len(ranks), 3)
        os.kill(ranks[1], signal.SIGKILL)
        out, err = child.communicate(timeout=e2e.TIMEOUT)
        self.assertNotEqual(child.returncode, 0, out + err)
        self.assertRegex(err, GONE.replace('%d of', r'\d of') % (3, ranks[1]))

    def test_other_calls(self):
        for what in ('other_call', 'other_size', 'leave'):
            self.all_fail(start_job(3, what).end(), 70, 'the ranks do not make the same calls')


class Start(Base):
    def test_versions_and_jobs(self):
        addresses = addresses_of(3)
        job = Job('open')
        for rank in range(3):
            job.start(tf_config(addresses, rank), 'version=1.%d' % (rank == 2))
        self.all_fail(job.end(), 2, r"rank 2 of 3 .* runs version '1\.1' of the program, rank 0 .*"
                                    r"'1\.0'")
        job = Job('open')
        for rank in range(3):
            job.start(tf_config(addresses, rank), 'facts=a=1\nbatch=%d\nz=\n' % (32 + (rank == 1)))
        self.all_fail(job.end(), 2, "rank 1 of 3 .* has batch '33', rank 0 .*'32': all ranks must "
                                    "run the same job")

    def test_missing(self):
        job = Job('open', 'start=6')
        addresses = addresses_of(3)
        for rank in (0, 2):
            job.start(tf_config(addresses, rank))
        self.all_fail(job.end(), 5, "1 of 3 processes did not come in time, ranks '1'")
        job = Job('open', 'start=2')
        job.start(tf_config(addresses, 1))
        self.all_fail(job.end(), 5, r'rank 0 of 3 at 127\.0\.0\.1 port \d+: Connection refused')

    def test_dies_while_starting(self):
        addresses = addresses_of(3)
        job = Job('open')
        job.start(tf_config(addresses, 0))
        victim = job.start(tf_config(addresses, 1))
        ranks.wait_for_connection(addresses[0])
        time.sleep(1 * SLOW)
        victim.kill()
        self.assertRegex(job.end()[0][2], 'rank 1 of 3 went away while the job was still starting')
        self.assertEqual(job.children[0].returncode, 5)

    def test_stop_while_starting(self):
        job = Job('open')
        job.start(tf_config(addresses_of(2), 0))
        job.start(tf_config(addresses_of(2), 1))
        for child in job.children:
            ranks.wait_for_handler(child, signal.SIGTERM)
            child.terminate()
        self.assertEqual([code for code, _, _ in job.end(e2e.TIMEOUT)], [143, 143])

    def test_strangers(self):
        """Rubbish, silence, half a greeting, a web browser and a crowd, before the others come."""
        addresses = addresses_of(3)
        port = int(addresses[0].rsplit(':', 1)[1])
        job = Job('all', 'rounds=3')
        job.start(tf_config(addresses, 0))
        wait_for_port(addresses[0])
        rng = random.Random(1)
        kept = []
        hello = b'BTcomm\r\n' + bytes([1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0])
        for payload in (b'', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n' * 3, rng.randbytes(100000),
                        hello, hello + bytes(32), hello + bytes(16) + rng.randbytes(16),
                        hello[:8] + b'\2' + hello[9:] + bytes(32)):
            for _ in range(20):
                stranger = socket.create_connection(('127.0.0.1', port))
                try:
                    stranger.sendall(payload)
                except OSError:
                    pass  # shown out already
                kept.append(stranger)
        for rank in (1, 2):
            job.start(tf_config(addresses, rank))
        self.all_good(job.end())
        for stranger in kept:
            stranger.close()

    def test_stranger_listens(self):
        """What answers at rank 0's address is another program, or knows the words but not the key."""
        for words, pattern in ((b'220 welcome to the mail server, who are you? ' * 3,
                                'is another program'),
                               (b'BTansw\r\n' + bytes(8 + 16 + 32) + b'BTwelc\r\n',
                                'does not know the key of this job')):
            with socket.create_server(('127.0.0.1', 0)) as server:
                def answer(server=server, words=words):
                    try:
                        while True:
                            guest = server.accept()[0]
                            guest.sendall(words)
                            guest.recv(1000)
                            guest.close()
                    except OSError:
                        pass
                threading.Thread(target=answer, daemon=True).start()
                job = Job('open', 'start=2')
                address = '127.0.0.1:%d' % server.getsockname()[1]
                job.start(tf_config([address, addresses_of(1)[0]], 1))
                self.all_fail(job.end(), 5, pattern)

    def test_two_jobs(self):
        """The second job's rank 0 finds its port taken; a rank of another job is turned away."""
        addresses = addresses_of(2)
        job = Job('open', 'start=100')
        job.start(tf_config(addresses, 0))
        wait_for_port(addresses[0])
        second = Job('open')
        second.start(tf_config([addresses[0], addresses_of(1)[0]], 0))
        self.all_fail(second.end(), 4, r'port \d+ cannot be listened on: Address already in use')
        second = Job('open', 'start=2')
        second.start(tf_config([addresses[0], addresses_of(1)[0]], 1))
        self.all_fail(second.end(), 5, 'is of another job')
        job.start(tf_config(addresses, 1))
        self.all_good(job.end())

    def test_secret(self):
        addresses = addresses_of(2)
        job = Job('open', 'start=3')
        for rank in range(2):
            job.start({**tf_config(addresses, rank), 'BERT_TRAIN_COMM_SECRET': 'word %d' % rank})
        self.all_fail(job.end(), 5, 'is of another job|did not come in time')
        job = Job('open')
        for rank in range(2):
            job.start({**tf_config(addresses, rank), 'BERT_TRAIN_COMM_SECRET': 'word'})
        self.all_good(job.end())

    def test_ports_of_srun(self):
        taken = socket.create_server(('', 0))
        port = str(taken.getsockname()[1])
        job = Job('open')
        job.start({**slurm(0, 2, os.getpid()), 'BERT_TRAIN_COMM_PORT': port})
        self.all_fail(job.end(), 4, 'set BERT_TRAIN_COMM_PORT for all ranks: port %s cannot' % port)
        taken.close()
        job = Job('open')
        job.start({**slurm(0, 2, os.getpid()), 'BERT_TRAIN_COMM_PORT': '70000'})
        self.all_fail(job.end(), 2, "BERT_TRAIN_COMM_PORT is '70000'")

    def test_bad_environment(self):
        job = Job('open')
        job.start({'TF_CONFIG': '{"cluster": {"worker": ["a:1", "b:2"]}}'})
        job.start({'OMPI_COMM_WORLD_SIZE': '2'})
        self.all_fail(job.end(), 2, 'TF_CONFIG: task has no type|OMPI_COMM_WORLD_RANK is')


class Proxy:
    """Between rank 1 and rank 0; changes one byte of what rank 1 sends on its data connection."""

    def __init__(self, port, at):
        self.to, self.at = port, at
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                guest = self.server.accept()[0]
                wait_for_port('127.0.0.1:%d' % self.to)  # rank 0 may start later
                host = socket.create_connection(('127.0.0.1', self.to))
                for a, b, changes in ((guest, host, True), (host, guest, False)):
                    threading.Thread(target=self.pump, args=(a, b, changes), daemon=True).start()
        except OSError:
            pass

    def pump(self, source, sink, changes):
        seen, is_data = b'', False
        n = 0
        try:
            while True:
                part = bytearray(source.recv(65536))
                if not part:
                    break
                if changes and len(seen) < 24:
                    seen += part
                    is_data = len(seen) >= 24 and seen[20] == 1
                if is_data and n <= self.at < n + len(part):
                    part[self.at - n] ^= 4
                n += len(part)
                sink.sendall(part)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)  # the other direction may still have something to say
        except OSError:
            pass


class Damage(Base):
    def test_damaged_bytes(self):
        """A byte of a frame's header, of its payload, of the greeting's proof."""
        greeting = 56 + 32
        for at, wait, pattern in (
                (greeting + 3, 20, 'not a message of this program'),
                (greeting + 40 + 40 + 700, 20, r'were damaged on their way \(crc32c\)'),
                (56 + 5, 3, 'closed the connection|reset by peer|did not come in time')):
            ports = ranks.free_ports(1)
            proxy = Proxy(ports[0], at)
            job = Job('steps', 'start=%d' % wait)
            for rank, port in ((0, ports[0]), (1, proxy.port)):
                job.start({**slurm(rank, 2, os.getpid()), 'BERT_TRAIN_COMM_PORT': str(port)})
            self.all_fail(job.end(), 5, pattern)
            proxy.server.close()


if __name__ == '__main__':
    e2e.main()
