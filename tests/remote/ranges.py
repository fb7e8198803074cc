# SPDX-License-Identifier: Apache-2.0
"""A large table in a store that has an index: the first step comes without the file, the weights are those of a
local one, and an object that was written again is read again."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402

WORDS = 'the film was good bad great awful a plot actors and boring fun no idea'.split()
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + WORDS
N_BLOCKS, ROWS_A_BLOCK = 400, 1000
KEYS = ('runtime.threads=1,task.model.num_classes=2,task.train_data.text_fields=[sentence],task.train_data.vocab_file=vocab.txt,'
        'task.train_data.global_batch_size=2,task.validation_data.input_path=null,trainer.validation_interval=0,'
        'trainer.train_steps=2,trainer.steps_per_loop=1,trainer.checkpoint_interval=2')


class Ranges(remote_case.RemoteCase):
    def setUp(self):
        super().setUp()
        self.env.update(AWS_ENDPOINT_URL=self.server.url, AWS_ACCESS_KEY_ID='AKID', AWS_SECRET_ACCESS_KEY='S3CRET')
        self.store.s3_key = ('AKID', 'S3CRET')
        self.write('vocab.txt', '\n'.join(VOCAB) + '\n')
        self.put(0)

    def put(self, turn):
        block = ''.join('%s\t%d\n' % (' '.join(WORDS[(i * 7 + k * k + turn) % 15] for k in range(12)), (i + turn) % 2)
                        for i in range(ROWS_A_BLOCK)).encode()
        self.table = b'sentence\tlabel\n' + block * N_BLOCKS
        self.store.put('bucket', 'big.tsv', self.table)
        self.write('big.tsv', self.table)

    def start(self, model_dir, path='s3://bucket/big.tsv', more=''):
        """The bytes that the store gave."""
        before = self.store.bytes_sent
        result = self.train(mode='train', model_dir=model_dir, override='task.train_data.input_path=%s,%s%s' % (path, KEYS, more),
                            run_how={'env': dict(self.env, BERT_TRAIN_INDEX_BYTES='1000000')})
        return result, self.store.bytes_sent - before

    def test_the_first_step_without_the_file(self):
        self.start('local', 'big.tsv', ',runtime.data_index=none')
        first, n_first = self.start('first')
        self.assertIn('/.cache/bert-train/index/', first.stderr)
        self.assertGreaterEqual(n_first, len(self.table))
        second, n_second = self.start('second')
        self.assertIn('rows are is known from', second.stderr)
        self.assertLess(n_second, len(self.table) / 2)
        for folder in ('first', 'second'):
            self.same_values(self.path('local', 'ckpt-2'), self.path(folder, 'ckpt-2'))
        self.put(1)  # of the same size
        third, n_third = self.start('third')
        self.assertNotIn('rows are is known from', third.stderr)
        self.assertGreaterEqual(n_third, len(self.table))
        self.start('local3', 'big.tsv', ',runtime.data_index=none')
        self.same_values(self.path('local3', 'ckpt-2'), self.path('third', 'ckpt-2'))

    def shards(self, n, turn=0):
        """The table's rows in n files."""
        for i in range(n):
            rows = ''.join('%s\t%d\n' % (' '.join(WORDS[(r * 7 + k * k + i + turn) % 15] for k in range(12)), (r + i) % 2) for r in range(40))
            self.store.put('bucket', 's/%02d.tsv' % i, b'sentence\tlabel\n' + rows.encode())

    def looks(self, since):
        """How often the state of a shard was asked for."""
        return sum(line.startswith('HEAD /bucket/s/') or (line.startswith('GET /storage/v1/b/bucket/o/s%2F') and 'alt=media' not in line)
                   for line in self.store.log[since:])

    def test_an_input_of_many_files(self):
        """Their states are known from the list: the first start looks at none of them twice, the second at those that it
        reads (the first 1000 rows, of which tokens are counted, and those of the steps). One that was written again is
        seen by the list alone."""
        for scheme, n_first, n_sample in (('s3', 100, 25), ('gs', 0, 0)):
            with self.subTest(scheme):
                self.env.update({} if scheme == 's3' else {'STORAGE_EMULATOR_HOST': self.server.url})
                self.shards(100)
                path = '%s://bucket/s/*.tsv' % scheme
                env = {'run_how': {'env': dict(self.env, BERT_TRAIN_INDEX_BYTES='0')}}
                for turn, known, most in (('first', False, n_first), ('second', True, n_sample), ('third', True, n_sample), ('fourth', False, n_first)):
                    if turn == 'fourth':
                        self.store.put('bucket', 's/99.tsv', self.store.get('s/99.tsv').replace(b'film', b'plot'))
                    since = len(self.store.log)
                    result = self.train(mode='train', model_dir=scheme + turn, override='task.train_data.input_path=%s,%s' % (path, KEYS), **env)
                    # beyond the open: a file of which a row is read
                    self.assertLessEqual(self.looks(since), most + 2 * 8, turn)
                    self.assertEqual('rows are is known from' in result.stderr, known, turn)
                    n_reads = sum(re.match(r'GET (/bucket/s/|/download/)', line) is not None for line in self.store.log[since:])
                    self.assertLessEqual(n_reads, 100, turn)  # each was transferred once

    def test_all_rows_of_a_shuffled_file(self):
        """Blocks that were asked for one by one, then all others beside: every row is the local one."""
        more = ',trainer.train_steps=60,trainer.checkpoint_interval=60,task.train_data.global_batch_size=16'
        self.start('first', more=more)
        result, _ = self.start('second', more=more)
        self.assertIn('rows are is known from', result.stderr)
        self.start('local', 'big.tsv', more + ',runtime.data_index=none')
        self.same_values(self.path('local', 'ckpt-60'), self.path('second', 'ckpt-60'))


if __name__ == '__main__':
    remote_case.main()
