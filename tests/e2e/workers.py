# SPDX-License-Identifier: Apache-2.0
"""Training together on several processes (multi_worker_mirrored), on this machine: N ranks give the
numbers of one, one rank writes, what cannot be meant is refused by all. Deaths and stops:
tests/reliability/workers_end.py."""
import os
import random
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../reliability/support'))
import compare  # noqa: E402
import jobs  # noqa: E402
import ranks  # noqa: E402
import workers  # noqa: E402
from workers import UNCLIPPED, e2e  # noqa: E402

SHORT = 'trainer.train_steps=20'
# An area counts pairs of rows in the right order, of 23 and 38: rounding may turn those of equal scores
TWO_PAIRS = 2 / (23 * 38)


def without_times(text):
    return [line for line in text.splitlines() if 'second' not in line]


class Numbers(workers.Case):
    """One process and several, to rounding."""

    def check(self, task, override='', sizes=(2, 3), mode='train_and_eval', tolerance=2e-6):
        override = ','.join(o for o in (SHORT, UNCLIPPED, override) if o)
        self.alone(task, 'one', override, mode)
        for size in sizes:
            self.run_job(size, task, 'out%d' % size, override, mode)
            self.close('one', 'out%d' % size, tolerance)
            want, got = (compare.records(self.path(d)) for d in ('one', 'out%d' % size))
            self.assertEqual([key for key, _ in want], [key for key, _ in got])
            for (key, values), (_, other) in zip(want, got):
                for name, value in values.items():
                    if isinstance(value, float) and name != 'exchange_wait':
                        delta = TWO_PAIRS if name == 'roc_auc' else 2e-5 + 2e-4 * abs(value)
                        self.assertAlmostEqual(other[name], value, delta=delta, msg='%s %s' % (key, name))

    def test_sentences(self):
        self.check('sentence')

    def test_questions(self):
        # the bias of the spans has no true gradient either
        self.check('squad', tolerance=1e-4)

    def test_tags(self):
        self.check('tagging')

    def test_average_and_accumulation(self):
        self.check('sentence', 'trainer.optimizer_config.ema.average_decay=0.9,'
                               'trainer.gradient_accumulation_steps=3', sizes=(2,), mode='train')

    def test_other_optimizer(self):
        """LAMB: trust ratios of the sum."""
        self.write('lamb.yaml', 'trainer: {optimizer_config: {optimizer: {type: lamb}}}\n')
        override = SHORT + ',trainer.optimizer_config.optimizer.type=lamb'
        self.alone('sentence', 'one', override)
        self.run_job(2, 'sentence', 'out', override)
        self.close('one', 'out', 2e-5)

    def test_shared_layers(self):
        """ALBERT: the gradient of the one layer is final when the first layer is through."""
        sizes = ('vocab_size=260 embedding_width=8 hidden_size=16 num_layers=3 dropout_rate=0.1 '
                 'num_attention_heads=2 intermediate_size=32 max_position_embeddings=48 '
                 'type_vocab_size=2 attention_dropout_rate=0.1').split()
        self.check('sentence', ','.join(['task.model.encoder.type=albert'] + [
            'task.model.encoder.albert.' + size for size in sizes]), sizes=(2,), mode='train')

    def test_clipped_sum(self):
        """global_clipnorm works on the sum, whose norm counts the rows of all words."""
        override = ('trainer.optimizer_config.optimizer.type=sgd,'
                    'trainer.optimizer_config.optimizer.sgd.global_clipnorm=0.05,' + SHORT)
        self.alone('sentence', 'one', override)
        self.run_job(2, 'sentence', 'out', override)
        self.close('one', 'out', 2e-6)

    def test_both_clips(self):
        """Of the one row of a batch, which one rank has: each share is clipped, and then the sum."""
        rows = compare.read_text(self.path('train.tsv')).splitlines(keepends=True)
        self.write('train.tsv', ''.join(rows[:2]))
        adamw = 'trainer.optimizer_config.optimizer.adamw.'
        override = ('%sgradient_clip_norm=0.05,%sglobal_clipnorm=0.02,trainer.train_steps=1,'
                    'task.train_data.is_training=false,task.train_data.drop_remainder=false'
                    % (adamw, adamw))
        self.alone('sentence', 'one', override, 'train')
        self.run_job(2, 'sentence', 'out', override, 'train')
        self.close('one', 'out', 1e-8)

    def test_clipped_shares(self):
        """adamw clips each share: other numbers than one process has, the same in each run."""
        override = SHORT + ',trainer.optimizer_config.optimizer.adamw.gradient_clip_norm=0.1'
        self.alone('sentence', 'one', override)
        for name in ('a', 'b'):
            self.run_job(2, 'sentence', name, override)
        self.assertEqual(compare.differences(self.path('a'), self.path('b'), kept=True), [])
        with self.assertRaises(AssertionError):
            self.close('one', 'a', 1e-5)

    def test_short_last_batch(self):
        """Rows that end: fewer than ranks in the last batch, and then none."""
        rows = compare.read_text(self.path('train.tsv')).splitlines(keepends=True)
        self.write('train.tsv', ''.join(rows[:26]))  # 25 rows: 12, 12, 1
        override = (UNCLIPPED + ',task.train_data.is_training=false,trainer.train_steps=3,'
                    'task.train_data.drop_remainder=false')
        self.alone('sentence', 'one', override, 'train')
        self.run_job(3, 'sentence', 'out', override, 'train')
        self.close('one', 'out', 1e-6)

    def test_in_bfloat16(self):
        """Its factors may fall to either side of a number of 16 bits, so further apart than in float32, and much nearer than that."""
        keys = 'runtime.mixed_precision_dtype=bfloat16'
        for task, tolerance in (('sentence', 5e-5), ('squad', 2e-4), ('tagging', 5e-5)):
            with self.subTest(task):
                for name in ('one', 'out2', 'out3', 'float32', 'again'):
                    shutil.rmtree(self.path(name), ignore_errors=True)
                self.check(task, keys, tolerance=tolerance)
                self.alone(task, 'float32', ','.join((SHORT, UNCLIPPED)))
                with self.assertRaises(AssertionError):
                    self.close('one', 'float32', tolerance)
                # the same command: every file with the same bits, on any number of threads
                self.run_job(2, task, 'again', ','.join((SHORT, UNCLIPPED, keys)), others={1: 'runtime.threads=3'})
                self.assertEqual(compare.differences(self.path('out2'), self.path('again'), kept=True), [])

    def test_bfloat16_on_the_wire(self):
        override = SHORT + ',' + UNCLIPPED
        self.alone('sentence', 'one', override)
        self.run_job(2, 'sentence', 'out', override + ',runtime.gradient_wire=bfloat16')
        self.close('one', 'out', 4e-3)
        with self.assertRaises(AssertionError):
            self.close('one', 'out', 2e-6)


class OneWriter(workers.Case):
    def test_others_write_nothing(self):
        """Not a byte: their files may not grow. Nor do they say what the first one says."""
        def no_file():
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        results = self.run_job(3, 'squad', 'out', SHORT, before={1: no_file, 2: no_file})
        self.assertIn('final_f1', results[0][1])
        self.assertIn('saved checkpoint', results[0][2])
        for _, out, err in results[1:]:
            self.assertEqual(out, '')
            self.assertEqual([line for line in err.splitlines() if ': warning: ' not in line], [])
        self.assertEqual(results[1][2].count('bert-train[1]: warning: '),
                         len(results[1][2].splitlines()))

    def test_files_are_those_of_one_process(self):
        self.alone('sentence', 'one')
        results = self.run_job(3, 'sentence', 'out')
        self.assertEqual(['predictions are class' in err for _, _, err in results],
                         [True, False, False])
        self.assertEqual(e2e.names_in(self.path('one')), e2e.names_in(self.path('out')))
        self.assertEqual(e2e.read_state_file(self.path('one')), e2e.read_state_file(self.path('out')))

    def test_alone(self):
        """One replica, which says so, with the bits of any other strategy."""
        result = self.alone('sentence', 'out', SHORT)
        self.assertIn('multi_worker_mirrored with one process', result.stderr)
        other = e2e.run(jobs.args('sentence', 'other', SHORT), cwd=self.folder)
        self.assertEqual(other.code, 0, str(other))
        self.assertEqual(without_times(result.stdout), without_times(other.stdout))
        self.same_values(self.path('out', 'ckpt-20'), self.path('other', 'ckpt-20'))

    def test_dry_run(self):
        results = self.run_job(2, 'sentence', 'out', SHORT, more=('--dry_run',))
        self.assertIn('distribution_strategy: multi_worker_mirrored', results[0][1])
        self.assertEqual(results[1][1:], ('', ''))
        self.assertFalse(os.path.exists(self.path('out')))


class Launchers(workers.Case):
    def test_mpirun(self):
        if shutil.which('mpirun') is None:
            self.skipTest('no mpirun: tools/install_packages.sh brings Open MPI')
        self.run_job(2, 'sentence', 'out', SHORT)
        child = ranks.mpirun(2, e2e.program(), *self.args('sentence', 'mpi', SHORT), cwd=self.folder)
        out, err = child.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual(child.returncode, 0, out + err)
        self.assertEqual(len(re.findall('^step 20$', out, re.M)), 1, out)
        self.assertEqual(compare.differences(self.path('out'), self.path('mpi'), kept=True), [])


class Refusals(workers.Case):
    def refused(self, results, pattern, code=2):
        for got, out, err in results:
            self.assertEqual(got, code, out + err)
            self.assertEqual(len(re.findall(': error: ', err)), 1, err)
            self.assertRegex(err, pattern)
        self.assertFalse(os.path.exists(self.path('out')))

    def copied(self):
        """Another host's files."""
        other = self.path('other')
        shutil.rmtree(other, ignore_errors=True)
        return shutil.copytree(self.folder, other, ignore=lambda *_: ['other'])

    def under_env(self, args):
        job = ranks.Job(e2e.program(), cwd=self.folder)
        addresses = ranks.addresses_of(2)
        for rank in range(2):
            job.start(ranks.tf_config(addresses, rank), *args)
        return job.end()

    def test_other_strategies(self):
        for strategy in ('mirrored', 'one_device', "'off'"):
            self.refused(self.under_env(jobs.args(
                'sentence', 'out', 'runtime.distribution_strategy=' + strategy)),
                r'distribution_strategy is %s, and TF_CONFIG started 2 processes \(this is rank '
                r'[01]\), which would all write into --model_dir out: set it to '
                'multi_worker_mirrored' % strategy.strip("'"))

    def test_what_one_process_makes(self):
        for mode in ('eval', 'predict', 'continuous_eval'):
            more = ('--output_path=p.tsv',) if mode == 'predict' else ()
            self.refused(self.under_env(self.args('sentence', 'out', '', mode, more)),
                         '--mode=%s runs in one process, and TF_CONFIG started 2' % mode)
        self.refused(self.under_env(self.args('sentence', 'out', '', more=('--seeds=1,2',))),
                     '--seeds runs in one process')
        self.refused(self.under_env(self.args('sentence', 'out', '', 'train', ('--benchmark',))),
                     '--benchmark runs in one process')

    def test_not_offered(self):
        self.refused(self.start(2, 'pairs', 'out').end(), 'not supported for a dual encoder')
        self.refused(self.start(
            2, 'sentence', 'out', 'trainer.optimizer_config.optimizer.adamw.clipvalue=1.0').end(),
            'not supported with clipvalue')
        self.refused(self.start(3, 'sentence', 'out', 'task.train_data.global_batch_size=2').end(),
                     'global_batch_size: 2 examples for 3 processes')

    def test_ranks_that_contradict(self):
        for override, what in (
                ('trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.001',
                 r"initial_learning_rate '0.001', rank 0 \(host .*\) '0.002'"),
                ('trainer.train_steps=40', r"trainer.train_steps '40', rank 0 .* '60'"),
                ('runtime.isa=ref', r"runtime.isa 'ref', rank 0 .* '\(nothing\)'")):
            self.refused(self.start(3, 'sentence', 'out', others={2: override}).end(),
                         r'rank 2 of 3 \(host .*, process \d+\) has \S*' + what)

    def test_local_keys_may_differ(self):
        self.run_job(2, 'sentence', 'out', SHORT, others={1: 'runtime.threads=2'})

    def test_other_rows(self):
        """The same names, and in one place other rows after them."""
        for task, name in (('sentence', 'train.tsv'), ('sentence', 'dev.tsv'),
                           ('tagging', 'train.tf_record')):
            other = self.copied()
            if name.endswith('.tsv'):
                text = compare.read_text(os.path.join(other, name))
                self.write(os.path.join('other', name), text.replace('\t0\n', '\t1\n', 1))
            else:
                e2e.write_records(os.path.join(other, name),
                                  jobs.tag_rows(random.Random(5), 150, 240))
            addresses = ranks.addresses_of(2)
            job = ranks.Job(e2e.program())
            for rank, cwd in enumerate((self.folder, other)):
                job.cwd = cwd
                job.start(ranks.tf_config(addresses, rank), *self.args(task, 'out'))
            section = 'validation_data' if name == 'dev.tsv' else 'train_data'
            self.refused(job.end(), "checksum of the rows of task.%s '" % section)

    def test_other_words(self):
        other = self.copied()
        text = compare.read_text(os.path.join(other, 'vocab.txt'))
        self.write('other/vocab.txt', text.replace('\n.\n,\n', '\n,\n.\n'))
        addresses = ranks.addresses_of(2)
        job = ranks.Job(e2e.program())
        for rank, cwd in enumerate((self.folder, other)):
            job.cwd = cwd
            job.start(ranks.tf_config(addresses, rank), *self.args('sentence', 'out'))
        self.refused(job.end(), 'checksum of the vocabulary')

    def test_one_rank_finds_no_data(self):
        """Its own sentence and code there; the others hear it."""
        other = self.copied()
        os.remove(os.path.join(other, 'train.tsv'))
        addresses = ranks.addresses_of(3)
        job = ranks.Job(e2e.program())
        for rank, cwd in enumerate((self.folder, other, self.folder)):
            job.cwd = cwd
            job.start(ranks.tf_config(addresses, rank), *self.args('sentence', 'out'))
        results = job.end()
        self.assertEqual([code for code, _, _ in results], [5, 3, 5], results)
        for rank in (0, 2):
            self.assertRegex(results[rank][2], r'rank 1 of 3 \(.*\) ended: .*train.tsv')
        self.assertFalse(os.path.exists(self.path('out')))


class Measures(e2e.Case):
    def run_bench(self, *args):
        done = subprocess.run([sys.executable, '-B', os.path.join(e2e.SOURCE, 'bench/scaling.py'),
                               '--build', e2e.BUILD, '--folder', self.folder, *args],
                              capture_output=True, text=True, timeout=e2e.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line.split(' | ') for line in done.stdout.splitlines() if line.startswith('| ')]

    def test_steps(self):
        rows = self.run_bench('--size', 'tiny', '--batch', '8', '--length', '16', '--steps', '2')
        self.assertEqual([row[1] for row in rows[2:]], ['clip', 'sum'])

    def test_prediction(self):
        """By hand: 1 GB over 1 GB/s and 2 hosts is 1 s, and adding half of it at 2 GB/s 0.25 s."""
        rows = self.run_bench('--predict', '--forward', '1', '--backward', '2', '--update', '0.5',
                              '--gradient', '1e9', '--ranges', '10', '--latency', '0', '--links',
                              '8', '--hosts', '1,2')
        self.assertEqual(rows[2][2:], ['3.50 s, 100 %', '3.50 s, 100 % |'])
        self.assertEqual(rows[3][2:], ['4.38 s, 80 %', '3.62 s, 97 % |'])


if __name__ == '__main__':
    e2e.main()
