# SPDX-License-Identifier: Apache-2.0
"""bench/run_all.py measures, skips and fails row by row, and keeps what it found; its figures are not looked at."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

DRIVER = os.path.join(e2e.SOURCE, 'bench', 'run_all.py')


class Driver(e2e.Case):
    def drive(self, *words, expect=0):
        env = {k: v for k, v in os.environ.items() if not k.startswith('BT_BENCH_')}
        done = subprocess.run([sys.executable, '-B', DRIVER, '--build', e2e.BUILD, *words], capture_output=True, text=True, env=env, timeout=10 * e2e.TIMEOUT)
        self.assertEqual(done.returncode, expect, done.stderr + done.stdout)
        return done

    def measure(self, rows, *words, expect=0):
        done = self.drive('--quick', '--rows=' + rows, '--out=' + self.path('out.json'), *words, expect=expect)
        with open(self.path('out.json'), encoding='utf-8') as file:
            return json.load(file), done

    def make_glue(self):
        os.makedirs(self.path('glue', 'MRPC'), exist_ok=True)
        rows = ['Quality\t#1 ID\t#2 ID\t#1 String\t#2 String']
        rows += ['%d\t1\t2\tThe house number %d is red .\tA red house has the number %d .' % (i % 2, i, i) for i in range(200)]
        self.write('glue/MRPC/train.tsv', '\n'.join(rows) + '\n')
        return ['--glue=' + self.path('glue'), '--vocab=' + e2e.golden('text/vocab.txt')]

    def test_measures_and_skips(self):
        found, done = self.measure('efficiency-minilm-sst2,bits,memory,recompute-cost,squad', *self.make_glue(), '--squad=' + self.path('nowhere.json'))
        self.assertEqual([r['row'] for r in found['rows']], ['efficiency-minilm-sst2', 'memory', 'recompute-cost', 'bits'])
        self.assertEqual([r['row'] for r in found['skipped']], ['squad'])
        self.assertEqual(found['failed'], [])
        self.assertIn('SKIPPED squad: squad is not set or not there', done.stderr)
        for key in ('date', 'commit', 'machine', 'threads', 'took_seconds', 'load_after'):
            self.assertIn(key, found)
        for key in ('cpu', 'flags', 'cores', 'engine', 'compiler'):
            self.assertIn(key, found['machine'])
        for row in found['rows']:
            self.assertIn('| %s | %s | %s | %s' % (row['row'], row['what'], row['asked'], row['measured']), done.stdout)
            self.assertNotIn(self.path(''), row['command'])
        bits = found['rows'][-1]
        self.assertEqual((bits['value'], bits['ok'], bits['measured']), (True, True, 'the same after 1 steps'))
        self.assertGreater(found['rows'][1]['value'], 0)

    def test_whole_runs_and_their_arguments(self):
        """start-short and latency (where libcurl is built in) run, and --with reaches the function."""
        found, done = self.measure('start-short,latency', *self.make_glue())
        self.assertEqual(found['failed'], [], done.stderr)
        self.assertEqual([r['row'] for r in found['rows'] + found['skipped']], ['start-short', 'latency'])
        self.assertTrue(all(r['value'] is not None for r in found['rows']))
        found, _ = self.measure('bits', *self.make_glue(), '--with=threads=1,3', '--with=steps=2')
        (row,) = found['rows']
        self.assertEqual((row['measured'], sorted(row['result']['sha256'])), ('the same after 2 steps', ['1', '3']))
        self.assertEqual(row['command'], 'bench/run_all.py --rows=bits --with threads=1,3 --with steps=2')

    def test_a_row_that_fails_stops_no_other(self):
        found, done = self.measure('rows-hf,bits', *self.make_glue(), '--hf_python=/bin/false', expect=1)
        self.assertEqual([r['row'] for r in found['rows']], ['bits'])
        self.assertEqual([r['row'] for r in found['failed']], ['rows-hf'])
        self.assertIn('FAILED rows-hf: ', done.stderr)

    def test_the_probe_never_fails(self):
        done = subprocess.run([os.path.join(e2e.SOURCE, 'tools', 'speed_probe.sh'), self.path('nowhere')], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertRegex(done.stdout, r'\Aspeed: .*processors, load .*\nspeed: 50 writes of 4 KiB to /.*, each synchronised: '
                         r'(\d.* s|left out: .*)\nspeed: there is no .*nowhere/bench_machine')

    def test_bench_step(self):
        """One batch of given lengths, and sums that must hold; what it refuses, it refuses as all programs do."""
        size = ['--layers=1', '--hidden=32', '--heads=2', '--intermediate=64', '--vocab=100', '--steps=3', '--rounds=2', '--threads=1']
        for head in ('classes', 'spans'):
            done = e2e.run(size + ['--lengths=12,30,8', '--head=' + head], name='bench_step')
            self.assertEqual(done.code, 0, str(done))
            got = json.loads(done.stdout)
            self.assertEqual((got['batch'], got['tokens'], got['steps'], got['heap_calls_after_warm_up']), (3, 50, 6, 0))
            self.assertAlmostEqual(got['tokens_per_second'] * got['seconds_per_step'] / got['tokens'], 1, 3)
            least = 3 * 2 * (4 * 32 * 32 + 2 * 32 * 64) * 50  # three times the forward pass of a layer; then attention
            self.assertAlmostEqual(got['flops'] * got['seconds_per_step'] / (least + 3 * 4 * 32 * (12 ** 2 + 30 ** 2 + 8 ** 2)), 1, 3)
            self.assertGreater(got['loss'], 0)
            self.assertTrue(0 < got['serial'] < got['seconds_per_step'] and got['jobs'] > 10, got)
        for words, error in ((['--lengths=12,1'], "--lengths: '1': expected mrpc, sst2, cola or numbers"), (['--steps=0'], '--steps=0: expected 1 to 1000'),
                             (['--length=64'], '--lengths=mrpc: sequences have up to 103 tokens'), (['--product=64'], 'name its --plugin'),
                             (['--model=tiny'], 'the value should be one of minilm, base, large')):
            done = e2e.run(words, name='bench_step')
            self.assertEqual(done.code, 2, str(done))
            self.assertIn(error, self.one_error(done, 'bench_step'))

    def test_wrong_words(self):
        self.assertIn("unknown-row: expected names among", self.drive('--rows=unknown-row', expect=2).stderr)
        self.assertIn('--with stepz=3: expected one of model, task, steps, threads', self.drive('--rows=bits', '--with=stepz=3', expect=2).stderr)
        self.assertIn('--with: say of which --rows', self.drive('--with=steps=3', expect=2).stderr)
        self.assertIn('threads is measured by a program of its own', self.drive('--rows=threads', '--with=steps=3', expect=2).stderr)
        self.assertIn('figures of --quick are not to be kept', self.drive('--quick', '--record', expect=2).stderr)


if __name__ == '__main__':
    e2e.main()
