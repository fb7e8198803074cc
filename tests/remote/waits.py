# SPDX-License-Identifier: Apache-2.0
"""Servers that refuse, stall, trickle or never come to an end: each wait is told, all of them
together take one window, and a signal ends them at once."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402
from raw_server import Raw, closed_port, stall  # noqa: E402
from store_server import Fault  # noqa: E402

SLOW = e2e.SLOW
AGAIN = '; again to stop now'
ASKED = 'asked again, for'
RETRY = 3


def slow_body(server, connection):
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: "x"\r\n'
                       b'Accept-Ranges: bytes\r\n\r\n')
    server.trickle(connection, b'x')


def slow_header(server, connection):
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nX: ')
    server.trickle(connection, b'x')


def many_headers(server, connection):
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\n')
    server.trickle(connection, b'X: %s\r\n' % (b'y' * 1000), 0.0001)


def only_continues(server, connection):
    connection.recv(65536)
    server.trickle(connection, b'HTTP/1.1 100 Continue\r\n\r\n', 0.01)


def circle(server, connection):
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n'
                       b'Location: http://127.0.0.1:%d/again\r\n\r\n' % server.port)


class Waits(remote_case.RemoteCase):
    def setUp(self):
        super().setUp()
        self.env = dict(self.env, BERT_TRAIN_RETRY_SECONDS=str(RETRY), BERT_TRAIN_STALL_SECONDS='1',
                        TMPDIR=self.folder)

    def timed(self, expect, most, **how):
        began = time.monotonic()
        result = self.remote_train(expect=None, **how)
        took = time.monotonic() - began
        self.assertIn(result.code, expect, str(result))
        self.assertLess(took, most + 1.0 * SLOW, str(result))
        return result

    def at(self, port, most, **how):
        self.env['STORAGE_EMULATOR_HOST'] = 'http://127.0.0.1:%d' % port
        return self.timed((3, 4), most, **how)

    def test_refused_connections(self):
        result = self.at(closed_port(), most=RETRY)
        self.assertEqual(result.stderr.count(ASKED), 1, str(result))
        self.assertRegex(result.stderr, r'gs://bucket/\S+: .*[Cc]onnect.*\(127.0.0.1:\d+\): asked '
                         r'again, for \d s at most \(BERT_TRAIN_RETRY_SECONDS\)')
        self.assertRegex(self.one_error(result), r'\d+ tries in \d+ s; BERT_TRAIN_RETRY_SECONDS')
        self.assertEqual(result.code, 4)

    def test_a_store_that_goes_away(self):
        """Saving, the log and three event files share one window: once they took five."""
        def stop(line):
            if 'ckpt-15.index' in line and 'upload' in line:
                self.store.faults.append(Fault('reset', times=1 << 30))
        self.store.on_request = stop
        result = self.timed((4,), 2 * RETRY + 2)
        self.assertLessEqual(result.stderr.count(ASKED), 2, str(result))

    def test_a_store_that_comes_back(self):
        self.store.faults.append(Fault('503', when='ckpt-15', times=5))
        self.env['BERT_TRAIN_RETRY_SECONDS'] = '60'
        result = self.remote_train()
        self.assertEqual(result.errors(), [])
        self.assertEqual(result.stderr.count(ASKED), 1, str(result))
        self.assertIn('answers again, after', result.stderr)

    def test_servers_that_do_not_come_to_an_end(self):
        for serve in (stall, slow_body, slow_header, only_continues, many_headers, circle):
            with self.subTest(serve.__name__):
                result = self.at(Raw(self, serve).port, most=RETRY + 3,
                                 files=('model.yaml', 'run.yaml'))
                self.one_error(result)

    def test_slow_bodies_are_told_by_their_speed(self):
        result = self.at(Raw(self, slow_body).port, most=RETRY + 3)
        self.assertRegex(result.stderr, r'only \d+ bytes in 2 s, less than 1000 a second '
                         r'\(BERT_TRAIN_MIN_BYTES_PER_SECOND\)')

    def test_a_slow_line_is_no_fault_where_that_is_said(self):
        self.env.update(BERT_TRAIN_MIN_BYTES_PER_SECOND='1', BERT_TRAIN_RETRY_SECONDS='30',
                        BERT_TRAIN_STALL_SECONDS='2')  # its own server may have no turn for a while
        raw = Raw(self, slow_body)
        self.env['STORAGE_EMULATOR_HOST'] = 'http://127.0.0.1:%d' % raw.port
        child = self.start()
        time.sleep(6)
        self.assertIsNone(child.poll())
        self.assertEqual(raw.n, 1)
        self.stop(child)

    def test_a_handshake_that_stalls(self):
        raw = Raw(self, stall)
        result = self.timed((3, 4), RETRY + 3, override='task.init_checkpoint='
                            'https://127.0.0.1:%d/x.safetensors' % raw.port)
        self.one_error(result)

    # signals

    def start(self, model_dir='gs://bucket/out', override='', program='bert-train', args=None):
        paths = 'task.train_data.input_path=gs://bucket/data/train*,' \
                'task.validation_data.input_path=gs://bucket/data/eval.tf_record'
        self.err = tempfile.TemporaryFile()
        self.addCleanup(self.err.close)
        child = subprocess.Popen(
            [e2e.program(program)] +
            (args or self.args(model_dir=model_dir, override=paths + override)),
            cwd=self.folder, env=dict(os.environ, **self.env), stdout=subprocess.DEVNULL,
            stderr=self.err)
        self.addCleanup(lambda: (child.kill(), child.wait()))
        return child

    def stderr(self):
        return os.pread(self.err.fileno(), 1 << 20, 0).decode('utf-8', 'replace')

    def until(self, there, child):
        end = time.monotonic() + 30 * SLOW
        while not there():
            self.assertIsNone(child.poll(), self.stderr())
            self.assertLess(time.monotonic(), end, self.stderr())
            time.sleep(0.01)

    def stop(self, child, number=signal.SIGTERM, expect=None, within=1.0):
        sent = time.monotonic()
        child.send_signal(number)
        code = child.wait(60 * SLOW)
        took = time.monotonic() - sent
        text = self.stderr()
        self.assertEqual(code, 128 + number if expect is None else expect, text)
        self.assertEqual(text.count(AGAIN), 1, text)
        self.assertNotIn('error', text)
        self.assertLess(took, (1 + within) * SLOW, text)
        return text

    def patient(self):
        self.env.update(BERT_TRAIN_RETRY_SECONDS='300', BERT_TRAIN_STALL_SECONDS='100')
        self.server.stall_seconds = 60

    def test_stopped_while_a_server_stalls(self):
        self.patient()
        self.store.faults.append(Fault('stall', when='alt=media', times=100))
        for number in (signal.SIGTERM, signal.SIGHUP):
            asked = len(self.store.log)
            child = self.start()
            self.until(lambda: any('alt=media' in line for line in self.store.log[asked:]), child)
            self.stop(child, number)
            self.assertEqual(self.store.names('out/'), [])

    def test_stopped_while_a_handshake_stalls(self):
        self.patient()
        raw = Raw(self, stall)
        child = self.start(override=',task.init_checkpoint=https://127.0.0.1:%d/x.safetensors' %
                           raw.port)
        self.until(lambda: raw.n > 0, child)
        self.stop(child)

    def test_stopped_while_a_request_waits_to_be_repeated(self):
        self.patient()
        self.env['STORAGE_EMULATOR_HOST'] = 'http://127.0.0.1:%d' % closed_port()
        child = self.start()
        self.until(lambda: ASKED in self.stderr(), child)
        time.sleep(1)
        self.stop(child, signal.SIGINT)

    def test_stopped_while_the_data_tool_uploads(self):
        self.patient()
        self.store.faults.append(Fault('stall', when='upload', times=100))
        os.makedirs(self.path('cola'))
        for name in ('train', 'dev', 'test'):
            row = '0\tthe cat\n' if name == 'test' else 'gj04\t0\t\tthe cat\n'
            self.write('cola/%s.tsv' % name, ('index\tsentence\n' if name == 'test' else '') + row * 9)
        vocab = os.path.join(e2e.SOURCE, 'tests/goldens/text/vocab.txt')
        child = self.start(program='create-finetuning-data', args=[
            '--fine_tuning_task_type=classification', '--classification_task_name=COLA',
            '--input_data_dir=cola', '--vocab_file=' + vocab] + [
                '--%s=gs://bucket/made/%s' % (flag, flag[:4]) for flag in (
                    'train_data_output_path', 'eval_data_output_path', 'test_data_output_path',
                    'meta_data_file_path')])
        self.until(lambda: any('upload' in line and 'lock' not in line for line in self.store.log),
                   child)
        self.stop(child, within=3.0)

    def test_stopped_in_training_saves_through_a_fault(self):
        """What is saved is not cut short: the store fails at first, then takes it."""
        child = self.start(override=',trainer.train_steps=1000000,trainer.checkpoint_interval=900000,'
                                    'trainer.validation_interval=1000000')
        self.until(lambda: 'saved checkpoint' in self.stderr(), child)
        self.store.faults.append(Fault('503', when='upload', times=3))
        text = self.stop(child, expect=75, within=6.0)
        step = int(re.search(r'stopped by SIGTERM at step (\d+)', text).group(1))
        self.assertIn('out/ckpt-%d.index' % step, self.store.names('out/'))
        self.assertEqual([n for n in self.store.names('out/') if 'lock' in n], [])

    def test_stopped_while_another_has_the_lock_of_a_module(self):
        import hashlib
        handle = 'https://127.0.0.1:1/module/1'
        cache = self.path('cache')
        os.mkdir(cache, 0o700)
        lock = os.path.join(cache, hashlib.sha1(handle.encode()).hexdigest() + '.lock')
        self.env['TFHUB_CACHE_DIR'] = cache
        with open(lock, 'w', encoding='utf-8') as out:
            out.write('somewhere.4711.%032x' % 5)
        child = self.start(override=',task.hub_module_url=' + handle)
        self.until(lambda: 'another process is fetching it' in self.stderr(), child)
        text = self.stop(child)
        self.assertRegex(text, r'held by somewhere\.4711.*waiting until it is done or has done '
                         'nothing for 600 s')
        self.assertEqual(os.listdir(cache), [os.path.basename(lock)])


if __name__ == '__main__':
    remote_case.main()
