# SPDX-License-Identifier: Apache-2.0
"""docs/bench/history.md is what the records give, and a row that falls by more than the noise is said to."""
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, 'bench'))
import history  # noqa: E402
import step_model  # noqa: E402

MACHINE = {'cpu': 'A', 'cores': 2, 'family_model_stepping': '1-2-3', 'flags': ['avx2']}


def row(name, asked, value, rounds=(), **more):
    return {'row': name, 'asked': asked, 'value': value, 'measured': '%g' % value, 'result': {'own': {'all': list(rounds)}}, **more}


class History(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def record(self, date, rows, commit='abc', **machine):
        name = '%s-%s.json' % (date, machine.get('cpu', 'a').lower())
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as out:
            json.dump({'date': date, 'commit': commit, 'quick': False, 'machine': {**MACHINE, **machine}, 'rows': rows}, out)

    def fallen(self):
        out = io.StringIO()
        history.tell_fallen(self.folder, out)
        return out.getvalue()

    def test_falls_are_told(self):
        self.record('2026-01-01', [row('rate', '>= 4 times', 5.0), row('memory', '<= 2 GB', 1.0), row('free', '', 3.0), row('wild', '>= 4 times', 5.0, (4, 5, 6))])
        self.record('2026-01-02', [row('rate', '>= 4 times', 4.8), row('memory', '<= 2 GB', 1.04), row('free', '', 1.0), row('wild', '>= 4 times', 4.2)])
        self.record('2026-01-02', [row('rate', '>= 4 times', 1.0)], cpu='B')  # another machine
        self.assertEqual(self.fallen(), '')
        self.record('2026-01-03', [row('rate', '>= 4 times', 4.4), row('memory', '<= 2 GB', 1.2)])
        lines = self.fallen().splitlines()
        self.assertEqual([line.split(':')[0] for line in lines], ['FALLEN rate', 'FALLEN memory'])
        self.assertIn('4.8 -> 4.4 (-8 %', lines[0])
        self.assertIn('1.04 -> 1.2 (-13 %', lines[1])
        text = history.page(self.folder)
        self.assertIn('| rate | >= 4 times | 4.4 | 1.10 | -8 % **fallen** | abc | [2026-01-03](2026-01-03-a.json) |', text)
        self.assertIn('| memory | <= 2 GB | 1 | 2.00 |  | abc | [2026-01-01]', text)
        self.assertIn('| wild | >= 4 times | 4.2 | 1.05 | -16 % |', text)
        self.assertIn('## B, 2 cores, 1-2-3, avx2\n', text)

    def test_a_row_that_was_left_out_is_compared_with_its_last(self):
        self.record('2026-01-01', [row('rate', '>= 4 times', 5.0)])
        self.record('2026-01-02', [row('other', '>= 4 times', 5.0)])
        self.record('2026-01-03', [row('rate', '>= 4 times', 4.0)])
        self.assertIn('FALLEN rate: 5 -> 4 (-20 %', self.fallen())

    def test_the_page_is_checked(self):
        words = [sys.executable, '-B', os.path.join(SOURCE, 'bench', 'history.py'), '--folder', self.folder]
        self.record('2026-01-01', [row('rate', '>= 4 times', 5.0)])
        self.assertEqual(subprocess.run(words + ['--check'], stdout=subprocess.PIPE).returncode, 1)
        subprocess.run(words, check=True)
        subprocess.run(words + ['--check'], check=True)
        self.record('2026-01-02', [row('rate', '>= 4 times', 5.0)])
        self.assertEqual(subprocess.run(words + ['--check'], stdout=subprocess.PIPE).returncode, 1)

    def test_the_repository(self):
        subprocess.run([sys.executable, '-B', os.path.join(SOURCE, 'bench', 'history.py'), '--check'], check=True)


class StepModel(unittest.TestCase):
    def test_a_step_is_the_sum_of_its_parts(self):
        parts = {'flops': 40e9, 'inside': 0.2, 'passes': 0.1, 'serial': 0.001, 'jobs': 100}
        one = {'gflops': 100, 'gelu_per_second': 1e9, 'memory_gb_per_second': 10, 'job_seconds': 1e-7}
        two = {'gflops': 200, 'gelu_per_second': 2e9, 'memory_gb_per_second': 12.5, 'job_seconds': 1e-6}
        self.assertAlmostEqual(step_model.predict(parts, one, one), 0.4 + 0.2 + 0.1 + 0.001 + 1e-5)
        self.assertAlmostEqual(step_model.predict(parts, one, two), 0.2 + 0.1 + 0.08 + 0.001 + 1e-4)
        many = step_model.grown({1: one, 2: two}, 64, 8)
        self.assertEqual((many['gflops'], many['memory_gb_per_second']), (6400, 80))
        self.assertAlmostEqual(many['job_seconds'], 3.2e-5)


if __name__ == '__main__':
    unittest.main()
