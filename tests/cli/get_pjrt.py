# SPDX-License-Identifier: Apache-2.0
"""tools/get_pjrt.sh without a network: a python3 of this test's stands for pip, and a small wheel for the
plug-in. What comes is what was pinned, whole, or nothing."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

SCRIPT = os.path.join(os.environ['BT_SOURCE_DIR'], 'tools/get_pjrt.sh')
PLUGIN = 'xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so'
# "-m pip download ... --dest FOLDER WHEEL" gives WHEEL_FILE, or fails where that is empty
PYTHON = f'''#!/bin/sh
if [ "$2" != pip ]; then exec {sys.executable} "$@"; fi
[ -n "$WHEEL_FILE" ] || {{ echo "no network" >&2; exit 1; }}
echo asked >> "$ASKED"
while [ "$1" != --dest ]; do shift; done
sleep 0.2
cp "$WHEEL_FILE" "$2/"
'''


class GetPjrt(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.home)
        self.folder = self.path('new/plug ins')
        os.mkdir(self.path('bin'))
        self.write('bin/python3', PYTHON, 0o755)
        self.wheel = self.path('xla_cpu_pjrt-0.0.1-py3-none-any.whl')
        self.make_wheel({PLUGIN: 'a plug-in', 'xla_plugins/xla_cpu_pjrt/include/pjrt_c_api.h': '/* */'})

    def path(self, name):
        return os.path.join(self.home, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), 'w') as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def make_wheel(self, files):
        with zipfile.ZipFile(self.wheel, 'w') as archive:
            for name, text in files.items():
                archive.writestr(name, text)

    def script(self):
        """The script, with the small wheel's digest in place of the real one's."""
        with open(SCRIPT) as file:
            text = file.read()
        with open(self.wheel, 'rb') as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.write('get.sh', re.sub(r'sha256=[0-9a-f]{64}', 'sha256=' + digest, text), 0o755)
        return self.path('get.sh')

    def start(self, script, *args, network=True):
        env = dict(os.environ, PATH=self.path('bin') + ':' + os.environ['PATH'], ASKED=self.path('asked'),
                   WHEEL_FILE=self.wheel if network else '', BERT_TRAIN_PJRT_DIR=self.folder)
        return subprocess.Popen([script, *args], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def get(self, *args, expect=0, **how):
        process = self.start(*args, **how)
        out, err = process.communicate(timeout=240)
        self.assertEqual(process.returncode, expect, out + err)
        return out, err

    def n_asked(self):
        with open(self.path('asked')) as file:
            return len(file.readlines())

    def nothing_is_left(self):
        self.assertEqual([n for n in os.listdir(self.folder) if not n.endswith('.lock')], [])

    def test_usage(self):
        for args in ([], ['gpu'], ['']):
            self.assertIn('usage: get_pjrt.sh', self.get(SCRIPT, *args, expect=2)[1])

    def test_no_network(self):
        out, err = self.get(SCRIPT, 'cpu', expect=4, network=False)
        self.assertIn('get_pjrt: error: xla-cpu-pjrt==0.0.1 could not be downloaded', err)
        self.assertEqual(out, '')
        self.nothing_is_left()

    def test_another_file(self):
        for kind in ('cpu', 'cuda12', 'cuda13', 'tpu'):
            out, err = self.get(SCRIPT, kind, expect=3)
            self.assertIn('is not the file that was expected', err)
            self.assertEqual(out, '')
            self.nothing_is_left()

    def test_a_wheel_without_the_plugin(self):
        self.make_wheel({'other': 'x'})
        self.assertIn('has no ' + PLUGIN, self.get(self.script(), 'cpu', expect=3)[1])
        self.nothing_is_left()

    def test_once(self):
        script = self.script()
        os.makedirs(os.path.join(self.folder, 'cpu.new/old'))  # of one that was killed
        want = os.path.join(self.folder, 'cpu', PLUGIN)
        self.assertEqual(self.get(script, 'cpu')[0], want + '\n')
        with open(want) as file:
            self.assertEqual(file.read(), 'a plug-in')
        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(want), 'include/pjrt_c_api.h')))
        self.assertEqual(self.get(script, 'cpu', network=False)[0], want + '\n')
        self.assertEqual(self.get(script, 'cpu', self.path('other'))[0], self.path('other/cpu/') + PLUGIN + '\n')
        self.assertEqual(sorted(os.listdir(self.folder)), ['.cpu.lock', 'cpu'])

    def test_another_version_is_fetched_anew(self):
        want = os.path.join(self.folder, 'cpu', PLUGIN)
        self.get(self.script(), 'cpu')
        self.make_wheel({PLUGIN: 'a newer plug-in'})
        self.get(self.script(), 'cpu')
        with open(want) as file:
            self.assertEqual(file.read(), 'a newer plug-in')

    def test_two_at_once(self):
        script = self.script()
        both = [self.start(script, 'cpu') for _ in range(2)]
        for process in both:
            out, err = process.communicate(timeout=240)
            self.assertEqual((process.returncode, out), (0, os.path.join(self.folder, 'cpu', PLUGIN) + '\n'), err)
        self.assertEqual(self.n_asked(), 1)


if __name__ == '__main__':
    unittest.main()
