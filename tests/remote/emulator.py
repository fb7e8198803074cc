# SPDX-License-Identifier: Apache-2.0
"""The how-to's two commands, data and model_dir on gs://, against another program's store: PyPI's
gcp-storage-emulator. Unchanged but for the size of the model (BERT tiny)."""
import os
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = 'the film was good bad great awful a plot actors and boring fun no idea'.split()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Emulator(e2e.Case):
    def setUp(self):
        super().setUp()
        got = subprocess.run([os.path.join(HERE, 'get_emulator.sh'), e2e.BUILD],
                             capture_output=True, text=True, check=False)
        if got.returncode != 0:
            self.skipTest(got.stderr.strip().splitlines()[-1])
        self.url = 'http://127.0.0.1:%d' % free_port()
        self.emulator = subprocess.Popen(
            [sys.executable, '-m', 'gcp_storage_emulator', 'start', '--host=127.0.0.1',
             '--port=' + self.url.rsplit(':', 1)[1], '--in-memory', '--default-bucket=my-bucket',
             '--quiet'], env=dict(os.environ, PYTHONPATH=got.stdout.strip()), cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.emulator.wait)
        self.addCleanup(self.emulator.kill)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url, timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        self.env = dict(remote_case.CLEAN, HOME=self.folder, STORAGE_EMULATOR_HOST=self.url)

    def put(self, name, data):
        request = urllib.request.Request(
            '%s/upload/storage/v1/b/my-bucket/o?uploadType=media&name=%s' % (self.url, name),
            data=data, method='POST', headers={'Content-Type': 'application/octet-stream'})
        urllib.request.urlopen(request, timeout=10).close()

    def get(self, name):
        url = '%s/storage/v1/b/my-bucket/o/%s?alt=media' % (self.url, name.replace('/', '%2F'))
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()

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

    def test_chunks(self):
        self.env['BERT_TRAIN_CHUNK_BYTES'] = str(1 << 18)
        override = 'task.model.encoder.bert.vocab_size=2000,trainer.train_steps=5'
        self.train(mode='train', model_dir='local', override=override)
        self.train(mode='train', model_dir='gs://my-bucket/out', override=override,
                   run_how={'env': self.env})
        os.makedirs(self.path('fetched'))
        for tail in ('.index', '.data-00000-of-00001'):
            self.write('fetched/ckpt-5' + tail, self.get('out/ckpt-5' + tail))
        self.same_values(self.path('local', 'ckpt-5'), self.path('fetched', 'ckpt-5'))


if __name__ == '__main__':
    remote_case.main()
