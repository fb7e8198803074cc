#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The two static analyzers over src/ and programs/, each file as compile_commands.json compiles it: gcc's -fanalyzer (12 or
# newer) and clang's. Ends with a count; exit 1 when there is a finding.
#   tools/analyze.sh [--gcc|--clang] [FILE...]      FILE: only these (src/fs/fs_lock.c)
#   CLANG=clang-14 GCC=gcc-12 JOBS=2                the environment names other compilers, and how many at a time
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release > /dev/null
exec python3 - "$@" << 'EOF'
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time

# Everything of -fanalyzer counts (null dereference, use after free, double free, free with another function,
# descriptors and streams left open, signal handlers, ...) but the two that gcc 12 cannot judge. Without optimisation, as
# it is meant to be used: inlined code loses the places. __clang_analyzer__ is for BT_FAIL in include/bt/base/status.h.
GCC = [
    '-fanalyzer', '-O0', '-D__clang_analyzer__', '-include', os.path.abspath('tools/analyze_heap.h'),
    # It forgets a block as soon as it is stored behind a pointer it knows nothing of (*out = copy; names->items[n] = copy):
    # those that were read were false. LeakSanitizer looks for leaks in the whole suite (preset dev).
    '-Wno-analyzer-malloc-leak',
    # It takes memcpy(&bits, x + i, sizeof bits) for nothing written: 6 of 6 were false. clang's analyzer looks
    # for the same, -Wmaybe-uninitialized too, MemorySanitizer at run time (preset msan).
    '-Wno-analyzer-use-of-uninitialized-value',
]
CLANG = ['--analyze', '-Xclang', '-analyzer-output=text', '-Qunused-arguments']
WARNING = re.compile(r'^(\S[^:]*:\d+):\d+: (?:warning|error|fatal error): (.*)$', re.M)


def command(entry, analyzer):
    """The compiler's command line for one file, without what only matters for its output."""
    kept = []
    words = shlex.split(entry['command'])
    words = words[next(i for i, w in enumerate(words) if w.startswith('-')):]
    skip = False
    for word in words:
        if skip or word in ('-c', '-Werror', entry['file']):
            skip = False
        elif word == '-o':
            skip = True
        elif not re.match(r'-O\d$|-[UD]_FORTIFY_SOURCE|-W|-flto', word):
            kept.append(word)
    if analyzer == 'gcc':
        return [os.environ.get('GCC', 'gcc')] + GCC + ['-S', '-o', '/dev/null'] + kept + [entry['file']]
    return [os.environ.get('CLANG', 'clang')] + CLANG + kept + [entry['file']]


def is_allowed(place, message):
    """As clang-tidy has it: the line before says, with its reason, NOLINTNEXTLINE(clang-analyzer-CHECKER)."""
    name, line = place.rsplit(':', 1)
    checker = re.search(r'\[([a-zA-Z.]+)\]$', message)
    with open(name, encoding='utf-8') as f:
        lines = f.readlines()[max(int(line) - 2, 0):int(line) - 1]
    return checker is not None and f'NOLINTNEXTLINE(clang-analyzer-{checker.group(1)})' in ''.join(lines)


def analyze(job):
    entry, analyzer = job
    begun = time.time()
    done = subprocess.run(command(entry, analyzer), cwd=entry['directory'], capture_output=True, text=True)
    if done.returncode != 0 and not WARNING.search(done.stderr):
        done.stderr += f'{entry["file"]}:1:1: error: {analyzer} ended with {done.returncode}\n'
    return entry['file'], analyzer, done.stderr, time.time() - begun


def main():
    names = [a for a in sys.argv[1:] if not a.startswith('--')]
    analyzers = [a for a in ('gcc', 'clang') if f'--{a}' in sys.argv] or ['gcc', 'clang']
    root = os.getcwd()
    with open('build/release/compile_commands.json', encoding='utf-8') as f:
        entries = {os.path.relpath(e['file'], root): e for e in json.load(f)}
    wanted = sorted(n for n in entries if n.startswith(('src/', 'programs/')) and (not names or n in names))
    if not wanted:
        sys.exit('analyze: none of these files is compiled')
    failed = 0
    begun = time.time()
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get('JOBS', os.cpu_count()))) as pool:
        for file, analyzer, text, seconds in pool.map(analyze, [(entries[n], a) for a in analyzers for n in wanted]):
            found = {m.group(0) for m in WARNING.finditer(text) if not is_allowed(m.group(1), m.group(2))}
            failed += len(found)
            if found:
                print(text.replace(root + '/', ''), end='')
            if seconds > 20:
                print(f'{os.path.relpath(file, root)}: {analyzer} took {seconds:.0f} s')
            sys.stdout.flush()
    print(f'{len(wanted)} files, {" and ".join(analyzers)}: {failed} findings ({time.time() - begun:.0f} s)')
    return 1 if failed else 0


sys.exit(main())
EOF
