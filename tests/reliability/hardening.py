#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The four programs are built as what reads hostile files must be: position-independent, all
relocations done and read-only before main, no stack or memory that is written and executed,
stack protector, FORTIFY. Looks at the binaries with readelf, and at how each source was compiled
for what a binary does not show. Without hardening (a small program made here) it must be red."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402

PROGRAMS = ('bert-train', 'create-finetuning-data', 'bert-tokenize', 'bert-checkpoint')
# a source that was compiled with less: why
EXCEPTIONS = {}


def readelf(option, path):
    return subprocess.run(['readelf', '-W', option, path], capture_output=True, text=True,
                          check=True).stdout


def problems(path):
    """What a binary lacks, each in a sentence."""
    segments, dynamic, symbols = (readelf(o, path) for o in ('-l', '-d', '--dyn-syms'))
    imports = set(re.findall(r'UND (\w+)', symbols))
    flags = {line.split()[0]: line.split()[6:] for line in segments.splitlines()
             if re.match(r'\s+(LOAD|GNU_\w+)\s', line)}
    stack = re.search(r'GNU_STACK(?:\s+0x\w+){5}\s+([RWE ]+?)\s+0x', segments)
    out = []
    if not re.search(r'FLAGS_1.*\bPIE\b', dynamic):
        out.append('it is not position-independent')
    if 'GNU_RELRO' not in flags:
        out.append('no part of it is made read-only after relocation')
    if not re.search(r'BIND_NOW|FLAGS_1.*\bNOW\b', dynamic):
        out.append('symbols are bound late, so their table stays writable')
    if stack is None or 'E' in stack.group(1):
        out.append('its stack is executable')
    if re.search(r'LOAD(?:\s+0x\w+){5}\s+RWE', segments):
        out.append('it has a segment that is writable and executable')
    if 'TEXTREL' in dynamic:
        out.append('code is changed by relocations')
    if re.search(r'\((RPATH|RUNPATH)\)', dynamic):
        out.append('it looks for libraries in a folder of its own')
    if '__stack_chk_fail' not in imports:
        out.append('no function checks its stack')
    if not any(re.fullmatch(r'__\w+_chk', name) for name in imports - {'__stack_chk_fail'}):
        out.append('no call of libc is fortified')
    return out


def compiled_weakly():
    """Sources of the programs whose compilation lacks an option."""
    with open(os.path.join(e2e.BUILD, 'compile_commands.json'), encoding='utf-8') as commands:
        entries = json.load(commands)
    wanted = ('-fPIE', '-fstack-protector-strong', '-fstack-clash-protection', '-D_FORTIFY_SOURCE=3')
    out = []
    for entry in entries:
        name = os.path.relpath(entry['file'], e2e.SOURCE)
        if not name.startswith(('src/', 'tools/')) or name in EXCEPTIONS:
            continue
        words = entry['command'].split()
        lacks = [w for w in wanted if w not in words]
        undone = [w for w in words if w.startswith('-fno-stack-') or w in ('-fno-PIE', '-fno-pie')]
        # the last one counts
        fortify = [w for w in words if 'FORTIFY_SOURCE' in w]
        if lacks or undone or fortify[-1] != '-D_FORTIFY_SOURCE=3':
            out.append('%s: lacks %s, has %s' % (name, lacks, undone))
    return out


class Hardening(unittest.TestCase):
    def test_programs(self):
        for name in PROGRAMS:
            with self.subTest(name):
                self.assertEqual(problems(e2e.program(name)), [])

    def test_sources(self):
        self.assertEqual(compiled_weakly(), [])

    def test_can_be_red(self):
        compiler = shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
        with tempfile.TemporaryDirectory() as folder:
            source, made = os.path.join(folder, 'weak.c'), os.path.join(folder, 'weak')
            with open(source, 'w', encoding='utf-8') as out:
                out.write('#include <stdio.h>\nint main(void) { char t[99]; return fgets(t, 99, stdin) == t; }\n')
            subprocess.run([compiler, '-O0', '-fno-pie', '-no-pie', '-fno-stack-protector',
                            '-U_FORTIFY_SOURCE', '-Wl,-z,norelro,-z,lazy,-z,execstack', '-o', made, source],
                           check=True, capture_output=True)
            found = problems(made)
        self.assertEqual(len(found), 6, found)


if __name__ == '__main__':
    if shutil.which('readelf') is None:
        print('SKIPPED: there is no readelf')
        sys.exit(77)
    if e2e.build_option('BT_SANITIZE') or e2e.build_option('CMAKE_BUILD_TYPE') != 'Release':
        print('SKIPPED: not an optimised build (sanitizers have checks of their own)')
        sys.exit(77)
    e2e.main()
