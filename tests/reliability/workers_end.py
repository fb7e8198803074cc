# SPDX-License-Identifier: Apache-2.0
"""Processes that train together end together: stopped, killed, without room, with numbers that are
none. The run that goes on is the run that nothing disturbed; with another number of processes it has
the same batches."""
import os
import random
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import ranks  # noqa: E402
import workers  # noqa: E402
from workers import UNCLIPPED, e2e  # noqa: E402

STEPS = 300
# intervals that do not divide each other: a run goes on from steps where nothing else happens
UNALIGNED = ('trainer.train_steps=%d,trainer.steps_per_loop=7,trainer.summary_interval=7,'
             'trainer.checkpoint_interval=30,trainer.validation_interval=20,trainer.max_to_keep=2,'
             'trainer.optimizer_config.learning_rate.polynomial.decay_steps=%d' % (STEPS, STEPS))
FOR_EVER = 'trainer.train_steps=10000000,trainer.validation_interval=10000000'


class Ends(workers.Case):
    def saved_step(self, model_dir):
        return int(e2e.read_state_file(self.path(model_dir))[0].rsplit('-')[-1])

    def straight(self, size, override):
        self.run_job(size, 'sentence', 'straight', override)

    def slow(self, path, ms, op=None):
        """Environment of a rank for which such files are on a slow disk."""
        env = {'LD_PRELOAD': os.path.join(e2e.BUILD, 'tests/reliability/libslow_files.so'),
               'BT_SLOW_PATH': path, 'BT_SLOW_MS': str(ms), 'BT_SLOW_MARK': self.path('mark')}
        if e2e.SANITIZED:  # the preloaded library comes before the sanitizer's
            env['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'
        return {**env, 'BT_SLOW_OP': op} if op else env

    def same(self, model_dir):
        self.assertEqual(compare.differences(self.path('straight'), self.path(model_dir)), [])


class Stops(Ends):
    def test_each_rank(self):
        """Wherever the signal comes, all stop after the same step, save once, and the next start
        goes on to the same bits."""
        self.straight(3, UNALIGNED)
        rng = random.Random(3)
        for rank, number in ((0, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)):
            name = 'stopped%d' % rank
            job = self.start(3, 'sentence', name, UNALIGNED)
            self.wait_for_step(job, name, rng.randint(20, 150))
            job.children[rank].send_signal(number)
            results = job.end()
            self.assertEqual([code for code, _, _ in results], [75] * 3, results)
            self.assertRegex(results[0][2], r'stopped by %s at step %d of 300, everything saved'
                             % (signal.Signals(number).name, self.saved_step(name)))
            for _, _, err in results[1:]:
                self.assertNotIn(': error: ', err)
            self.run_job(3, 'sentence', name, UNALIGNED)
            self.same(name)

    def test_all_ranks_at_once(self):
        """As srun and mpirun send it; a signal that comes later than the others' news is not a second
        one."""
        job = self.start(3, 'sentence', 'out', FOR_EVER,
                         env={0: self.slow('.data-', 1500, 'fsync')})
        self.wait_for(job, lambda: os.path.exists(self.path('mark')))
        for rank in (0, 1, 2):  # rank 0 saves what it began, and what it stops with
            job.children[rank].send_signal(signal.SIGTERM)
            time.sleep(0.5)
        self.assertEqual([code for code, _, _ in job.end()], [75] * 3)

    def test_in_an_evaluation(self):
        rows = compare.read_text(self.path('dev.tsv')).splitlines(keepends=True)
        self.write('dev.tsv', rows[0] + ''.join(rows[1:]) * 2000)
        override = UNALIGNED + ',trainer.train_steps=40'
        job = self.start(2, 'sentence', 'out', override)
        self.wait_for_step(job, 'out', 20)
        time.sleep(0.3)
        job.children[1].send_signal(signal.SIGTERM)
        results = job.end()
        self.assertEqual([code for code, _, _ in results], [75] * 2, results)
        self.assertEqual(self.saved_step('out'), 20)

    def test_before_the_first_step(self):
        """Nothing to save: the signal's own code, and no folder."""
        for i, asked in enumerate(((0, 1), (1,), (0,))):
            marks = [self.path('mark%d%d' % (i, rank)) for rank in range(2)]
            job = self.start(2, 'sentence', 'out', env={
                rank: {**self.slow('train.tsv', 100), 'BT_SLOW_MARK': marks[rank]}
                for rank in range(2)})
            self.wait_for(job, lambda: all(map(os.path.exists, marks)))
            for rank in asked:
                job.children[rank].send_signal(signal.SIGTERM)
            results = job.end()
            self.assertEqual([code for code, _, _ in results], [143] * 2, results)
            self.assertFalse(os.path.exists(self.path('out')))

    def test_while_another_restores(self):
        """Who waits for rank 0 is asked; nobody trains, nothing is saved anew."""
        self.run_job(2, 'sentence', 'out', 'trainer.train_steps=10')
        before = sorted(os.listdir(self.path('out')))
        job = self.start(2, 'sentence', 'out', FOR_EVER,
                         env={0: self.slow('.data-', 10, 'pread')})
        self.wait_for(job, lambda: os.path.exists(self.path('mark')))
        job.children[1].send_signal(signal.SIGTERM)
        results = job.end()
        self.assertEqual([code for code, _, _ in results], [143] * 2, results)
        self.assertEqual(sorted(os.listdir(self.path('out'))), before)

    def test_mpirun(self):
        if shutil.which('mpirun') is None:
            self.skipTest('no mpirun: tools/install_packages.sh brings Open MPI')
        child = ranks.mpirun(2, e2e.program(), *self.args('sentence', 'out', FOR_EVER),
                             cwd=self.folder)
        end = time.monotonic() + e2e.TIMEOUT
        while not os.path.exists(self.path('out/checkpoint')) and time.monotonic() < end:
            time.sleep(0.02)
        child.send_signal(signal.SIGUSR1)
        out, err = child.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual(child.returncode, 75, out + err)
        self.assertEqual(len(re.findall('everything saved in out', err)), 1, err)


class Deaths(Ends):
    def test_each_rank(self):
        self.straight(3, UNALIGNED)
        rng = random.Random(4)
        for rank in range(3):
            name = 'killed%d' % rank
            job = self.start(3, 'sentence', name, UNALIGNED)
            self.wait_for_step(job, name, rng.randint(20, 150))
            begin = time.monotonic()
            job.children[rank].kill()
            results = job.end()
            self.assertLess(time.monotonic() - begin, 30 * e2e.SLOW)
            self.assertEqual([code for code, _, _ in results],
                             [-9 if r == rank else 5 for r in range(3)], results)
            for r in range(3):
                if r != rank:
                    self.assertRegex(results[r][2], r'error: rank %d of 3 \(host .*, process %d\) '
                                     'is gone' % (rank, job.children[rank].pid))
            self.run_job(3, 'sentence', name, UNALIGNED)
            self.same(name)

    def test_disk_full(self):
        """Where who writes has no room, nobody goes on."""
        def limit():
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        results = self.start(3, 'sentence', 'out', 'trainer.checkpoint_retry=0',
                             before={0: limit}).end()
        self.assertEqual([code for code, _, _ in results], [4, 5, 5], results)
        for code, _, err in results[1:]:
            self.assertRegex(err, r'error: rank 0 of 3 \(.*\) ended: .*File too large')


class Restarts(Ends):
    def test_other_number_of_ranks(self):
        """The same batches, and without clipped shares the same numbers, to rounding."""
        override = UNALIGNED + ',trainer.train_steps=60,' + UNCLIPPED
        self.alone('sentence', 'one', override)
        for first, then in ((3, 2), (2, 3), (2, 1)):
            name = 'from%dto%d' % (first, then)
            self.run_job(first, 'sentence', name, override + ',trainer.train_steps=30')
            if then == 1:
                self.alone('sentence', name, override)
            else:
                self.run_job(then, 'sentence', name, override)
            self.close('one', name, 1e-5)
            want = [v['training_loss'] for (kind, _), v in compare.records(self.path('one'))
                    if kind == 'train'][-1]
            got = [v['training_loss'] for (kind, _), v in compare.records(self.path(name))
                   if kind == 'train'][-1]
            self.assertAlmostEqual(want, got, delta=1e-4)

    def test_finished(self):
        self.run_job(2, 'sentence', 'out')
        before = {k: v for k, v in e2e.read_tree(self.path('out')).items()}
        results = self.run_job(2, 'sentence', 'out')
        self.assertIn('already finished at step 60', results[0][2])
        self.assertEqual(e2e.read_tree(self.path('out')), before)

    def test_early_stopping(self):
        """Every rank comes to the same decision."""
        override = UNALIGNED + ',trainer.early_stopping_patience=2'
        results = self.run_job(2, 'sentence', 'out', override)
        self.assertIn('stopped early at step', results[0][2])


class Numbers(Ends):
    def diverges(self, override, pattern):
        results = self.start(2, 'sentence', 'out', override).end()
        for code, _, err in results:
            self.assertEqual(code, 6, results)
            self.assertRegex(err, pattern)
        return results

    def test_not_finite(self):
        self.diverges('trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=1e30,'
                     'trainer.optimizer_config.warmup.type=null', 'not a finite number')

    def test_recovery(self):
        """Back to a checkpoint together, and no further than the trials allow."""
        results = self.diverges(
            UNALIGNED + ',trainer.loss_upper_bound=0.01,trainer.recovery_begin_steps=20,'
            'trainer.recovery_max_trials=2', 'time number 3')
        self.assertEqual(results[0][2].count('recovered the model from'), 2, results[0][2])

    def test_float16(self):
        """Overflow anywhere leaves the update out everywhere, and the scale follows."""
        override = 'trainer.train_steps=30,runtime.mixed_precision_dtype=float16'
        self.alone('sentence', 'one', override)
        self.run_job(2, 'sentence', 'out', override)
        want, got = ([v for (kind, _), v in compare.records(self.path(d)) if kind == 'train'][-1]
                     for d in ('one', 'out'))
        self.assertEqual(got['loss_scale'], want['loss_scale'])
        self.assertAlmostEqual(got['training_loss'], want['training_loss'], delta=5e-3)


if __name__ == '__main__':
    e2e.main()
