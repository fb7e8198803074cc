# SPDX-License-Identifier: Apache-2.0
"""bench/gpu in its small form on the CPU plug-in: it prints what it has while it goes on, leaves out peers that are not there, and
ends in time. Its figures are not looked at, but for sums that must hold."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import plugins  # noqa: E402

BENCH = os.path.join(e2e.SOURCE, 'bench', 'gpu')


class BenchGpu(e2e.Case):
    def setUp(self):
        super().setUp()
        if plugins.fetched('cpu') is None or not os.path.exists(e2e.program('bench_step')):
            self.skipTest('SKIPPED: no CPU plug-in, or no bench_step (tools/get_pjrt.sh cpu)')

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, '-B', BENCH, '--build=' + e2e.BUILD, '--small', '--python=/nowhere/python3',
             *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            bufsize=0,  # what readline() would read ahead, communicate() loses
            env=dict(os.environ, XLA_FLAGS=plugins.QUICK, PYTHONUNBUFFERED=''))

    def end(self, child):
        out, err = child.communicate(timeout=20 * e2e.TIMEOUT)
        return child.returncode, out.decode().splitlines(), err.decode()

    def test_small_form(self):
        child = self.start('--plugin=' + plugins.fetched('cpu'), '--minutes=30',
                           '--out=' + self.path('out.json'))
        for begins in (b'plug-in /', b'product 64 x 64'):
            self.assertTrue(child.stdout.readline().startswith(begins))
        began = time.monotonic()
        code, lines, err = self.end(child)
        after = time.monotonic() - began
        self.assertEqual((code, err), (0, ''))
        self.assertEqual([line for line in lines if 'left out' in line],
                         ['%s: cannot be imported by /nowhere/python3, so it is left out' % x
                          for x in ('torch', 'jax')])
        self.assertEqual(len([line for line in lines if line.startswith('tiny   128    4  ours')]), 1)
        with open(self.path('out.json'), encoding='utf-8') as source:
            out = json.load(source)
        row = next(row for row in out['rows'] if row['who'] == 'ours')
        self.assertGreater(row['steps'], 2)
        # what stood above was there before the first step, which has compiled
        self.assertGreater(after, row['first_step_seconds'])
        self.assertAlmostEqual(row['tokens_per_second'] * row['seconds_per_step'] / row['tokens'], 1, 3)
        # 1 layer of 32, 64: three times 2 * (4 * 32^2 + 2 * 32 * 64) for a token, and attention
        least = 3 * 2 * (4 * 32 * 32 + 2 * 32 * 64) * row['tokens']
        work = row['flops'] * row['seconds_per_step']
        self.assertTrue(least < work < least + 3 * 4 * 32 * 4 * 128 * 128, (least, work))
        self.assertGreater(out['peak_flops'], 0)

    def test_no_time_and_no_plugin(self):
        code, lines, err = self.end(self.start('--plugin=' + plugins.fetched('cpu'), '--minutes=0'))
        self.assertEqual(code, 1)
        self.assertIn('product 64 x 64: not measured: no time left', lines)
        self.assertIn('not even a product could be measured', err)
        code, lines, err = self.end(self.start('--plugin=' + self.path('no.so')))
        self.assertEqual(code, 1)
        self.assertTrue(any('no.so' in line and line.startswith('product') for line in lines), lines)


if __name__ == '__main__':
    e2e.main()
