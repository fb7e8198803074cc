# SPDX-License-Identifier: Apache-2.0
"""bert-train doctor: what is wrong is found, named with what to do, and decides the exit code; nothing stays behind
and no secret is shown. Plug-ins that crash are made here with the compiler."""
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402

CHECKS = ['processor', 'kernels', 'memory', 'disk', 'devices', 'stores', 'caches', 'job', 'clock', 'locale', 'libraries']
SECRET = 'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY'


class Store(http.server.BaseHTTPRequestHandler):
    """A bucket that holds one object."""

    def do_HEAD(self):
        self.send_response(200 if self.path.endswith('/bucket/there') else 404)
        self.send_header('Content-Length', '4')
        self.end_headers()

    def do_GET(self):
        body = b'<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Doctor(e2e.Case):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path('home'))
        os.makedirs(self.path('none'))
        self.env = {'BERT_TRAIN_PJRT_DIR': self.path('none'), 'HOME': self.path('home'), 'TMPDIR': self.folder,
                    'PATH': os.defpath, 'LC_ALL': 'C.UTF-8'}

    def ask(self, *args, code=0, **env):
        done = subprocess.run([e2e.program(), 'doctor', '--format=json', *args], cwd=self.folder, check=False,
                              env={**self.env, **env}, capture_output=True, timeout=e2e.TIMEOUT)
        self.assertEqual(done.returncode, code, done.stdout.decode() + done.stderr.decode())
        self.assertNotIn(SECRET, done.stdout.decode() + done.stderr.decode())
        found = json.loads(done.stdout)
        self.assertEqual(found['exit_code'], code)
        self.assertEqual(list(dict.fromkeys(row['check'] for row in found['checks'])), CHECKS)
        for row in found['checks']:
            self.assertIn(row['state'], ('ok', 'note', 'problem'))
            self.assertTrue(row['state'] != 'problem' or row['do'])
        return found['checks']

    def of(self, rows, check, state='ok'):
        return ' | '.join(row['found'] for row in rows if (row['check'], row['state']) == (check, state))

    def test_what_is_there(self):
        before = e2e.read_tree(self.folder)
        rows = self.ask('--model_dir=new/run')
        self.assertEqual(e2e.read_tree(self.folder), before)
        self.assertIn('MB/s written and synced', self.of(rows, 'disk'))
        self.assertIn('PCRE2', self.of(rows, 'libraries'))
        self.assertIn('C.UTF-8; it changes nothing', self.of(rows, 'locale'))
        self.assertIn('one process', self.of(rows, 'job'))
        text = subprocess.run([e2e.program(), 'doctor'], cwd=self.folder, env=self.env, check=True, timeout=e2e.TIMEOUT,
                              capture_output=True).stdout.decode().splitlines()
        lines = [line.split()[:2] for line in text if not line.startswith(' ')]
        self.assertEqual([name for _, name in lines], [row['check'] for row in rows])
        self.assertEqual(e2e.read_tree(self.folder), before)

    def test_killed_while_it_measures(self):
        """The file has no name: nothing stays."""
        for _ in range(5):
            with subprocess.Popen([e2e.program(), 'doctor'], cwd=self.folder, env=self.env,
                                  stdout=subprocess.DEVNULL) as child:
                try:
                    child.wait(0.05)
                except subprocess.TimeoutExpired:
                    child.kill()
        self.assertEqual([name for name in os.listdir(self.folder) if 'doctor' in name], [])

    def test_disk(self):
        self.write('file', b'')
        rows = self.ask('--model_dir=file/run', code=4)
        self.assertIn('file', self.of(rows, 'disk', 'problem'))

    def test_jobs(self):
        rows = self.ask(code=4, TF_CONFIG='{"task": 1}')
        self.assertIn('TF_CONFIG', self.of(rows, 'job', 'problem'))
        rows = self.ask(OMPI_COMM_WORLD_RANK='1', OMPI_COMM_WORLD_SIZE='2')
        self.assertIn('process 1 of 2, started by mpirun', self.of(rows, 'job'))

    def test_stores(self):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Store)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        here = {'AWS_ENDPOINT_URL': 'http://127.0.0.1:%d' % server.server_port, 'AWS_ACCESS_KEY_ID': 'AKIAEXAMPLE',
                'AWS_SECRET_ACCESS_KEY': SECRET, 'AWS_REGION': 'eu-central-1', 'HF_TOKEN': SECRET}
        rows = self.ask('--store=s3://bucket/there', '--store=s3://bucket/not', **here)
        self.assertIn('s3://bucket/there: there', self.of(rows, 'stores'))
        self.assertIn("s3://: credentials in 'AWS_ACCESS_KEY_ID'", self.of(rows, 'stores'))
        self.assertIn("hf://: credentials in 'HF_TOKEN'", self.of(rows, 'stores'))
        self.assertIn('s3://bucket/not: the store answers, and nothing is there', self.of(rows, 'stores', 'note'))
        rows = self.ask('--store=nowhere', code=4)
        self.assertIn('nowhere is not the address of a store', self.of(rows, 'stores', 'problem'))
        os.makedirs(self.path('home/.aws'))
        self.write('home/.aws/credentials', '[default]\naws_secret_access_key = %s\n' % SECRET)
        self.assertIn('.aws/credentials', self.of(self.ask(), 'stores'))

    def test_caches(self):
        self.write('file', b'')
        rows = self.ask(HF_HUB_CACHE=self.path('file/cache'))
        self.assertIn('hf:// downloads: ', self.of(rows, 'caches', 'note'))

    # plug-ins

    def plugin(self, name, code):
        compiler = shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
        if compiler is None:
            self.skipTest('there is no compiler to make a plug-in with')
        source = self.write(name + '.c', code)
        subprocess.run([compiler, '-shared', '-fPIC', '-o', self.path(name + '.so'), source], check=True)
        return 'cpu:' + self.path(name + '.so')

    def test_plugins_that_crash(self):
        if 'this build knows no accelerators' in self.of(self.ask(), 'devices', 'note'):
            self.skipTest('built without plug-ins')
        crash = '__attribute__((constructor)) static void f(void) { *(volatile int *)0 = 1; }\n'
        rows = self.ask(code=5, PJRT_NAMES_AND_LIBRARY_PATHS=self.plugin('crash', crash))
        told = self.of(rows, 'devices', 'problem')  # a sanitizer makes an exit of it
        self.assertTrue('crash.so crashes the process that loads it (signal %d)' % signal.SIGSEGV in told or
                        'crash.so ends the process that loads it' in told, told)
        leave = 'void exit(int); __attribute__((constructor)) static void f(void) { exit(0); }\n'
        rows = self.ask(code=5, PJRT_NAMES_AND_LIBRARY_PATHS=self.plugin('leave', leave))
        self.assertIn('leave.so ends the process that loads it', self.of(rows, 'devices', 'problem'))
        rows = self.ask(code=5, PJRT_NAMES_AND_LIBRARY_PATHS=self.plugin('other', 'int nothing;\n'))
        self.assertIn('other.so', self.of(rows, 'devices', 'problem'))
        # the gravest decides
        self.ask('--model_dir=run.yaml/x', code=5, PJRT_NAMES_AND_LIBRARY_PATHS='cpu:' + self.path('leave.so'))


if __name__ == '__main__':
    e2e.main()
