# SPDX-License-Identifier: Apache-2.0
"""Tables and records in gzip take no more memory than plain ones, however much they hold unpacked,
and give the same bits. Where there is no room to unpack them, the sentence says what to do."""
import gzip
import json
import os
import random
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

N_BYTES = (400 if e2e.LONG else 48) << 20
STEPS = 'trainer.train_steps=2,trainer.validation_interval=2,trainer.checkpoint_interval=2'
NEAR = 12 << 20


class PackedInput(e2e.Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bt-packed-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        jobs.make(self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def pack(self, name, packed):
        with open(self.path(name), 'rb') as source, \
                gzip.open(self.path(packed), 'wb', compresslevel=1) as out:
            shutil.copyfileobj(source, out, 1 << 20)

    def train(self, model_dir, override, env=None):
        return e2e.run(jobs.args('sentence', model_dir, STEPS + ',' + override), cwd=self.folder,
                       env=env, watch_memory=True, timeout=240)

    def check(self, plain, packed, more=('', '')):
        peaks = []
        for name, where, how in ((plain, 'plain', more[0]), (packed, 'packed', more[1])):
            result = self.train(where, 'task.train_data.input_path=%s%s' % (name, how))
            self.assertEqual(result.code, 0, result)
            peaks.append(result.peak_bytes)
        facts = []
        for where, name in (('plain', plain), ('packed', packed)):  # they name other files
            os.remove(self.path(where, 'params.yaml'))
            facts.append(json.loads(compare.read_text(self.path(where, 'run_facts.json')).replace(name, 'DATA')))
            os.remove(self.path(where, 'run_facts.json'))
        self.assertEqual(*[fact['data'] for fact in facts])
        self.assertEqual(compare.differences(self.path('plain'), self.path('packed')), [])
        print('%d MiB unpacked: peak %.1f MiB plain, %.1f MiB packed' % (
            os.path.getsize(self.path(plain)) >> 20, peaks[0] / 2**20, peaks[1] / 2**20))
        self.assertLess(peaks[1], peaks[0] + NEAR)

    def write_large_table(self):
        rng = random.Random(5)
        filler = ' '.join(rng.choice(('ban', 'den', 'kir')) for _ in range(4000))
        with open(self.path('large.tsv'), 'w', encoding='utf-8') as out:
            out.write('sentence\tlabel\n')
            for i in range(N_BYTES // len(filler)):
                out.write('%s %d\t%d\n' % (filler, i, i % 2))

    def test_table(self):
        self.write_large_table()
        self.pack('large.tsv', 'large.tsv.gz')
        self.check('large.tsv', 'large.tsv.gz')

    def test_records(self):
        rng = random.Random(6)
        row = e2e.make_row(rng, vocab=200, n_classes=2)
        row['note'] = [b'x' * 65536]  # a feature that nobody reads
        e2e.write_records(self.path('large.rec'), [row] * (N_BYTES // 65536))
        self.pack('large.rec', 'large.gz.rec')
        how = ',task.train_data.text_fields=null,task.train_data.vocab_file=""'
        self.check('large.rec', 'large.gz.rec',
                   (how, how + ',task.train_data.file_type=tfrecord_compressed'))

    def test_no_room(self):
        self.pack('train.tsv', 'train.tsv.gz')
        result = self.train('none', 'task.train_data.input_path=train.tsv.gz',
                            env={'TMPDIR': self.path('nowhere')})
        self.assertEqual(result.code, 4, result)
        self.assertEqual(len(result.errors()), 1, result)
        self.assertIn('TMPDIR', result.errors()[0])


if __name__ == '__main__':
    e2e.main()
