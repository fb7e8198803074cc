# SPDX-License-Identifier: Apache-2.0
"""Holds the instructions of a training step, its large matrix products apart, against a budget.

Instructions are counted by valgrind's callgrind: the same number on a busy machine and on a quiet
one. What a change may add or save without anybody saying so is MARGIN; beyond it the budget is
renewed by hand, so that the difference is seen. The count depends on the compiler: step_budget.json
has a budget for each one that is known (name and major version).

usage: step_budget.py [PROGRAM] [--update]
PROGRAM: step_program (default: that of build/release). --update: writes the budget of its compiler.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../e2e/support'))
import e2e  # noqa: E402

BUDGET = os.path.join(HERE, 'step_budget.json')
MARGIN = 0.10
RENEW = 'python3 tests/budget/step_budget.py --update'
PRODUCTS = ('cblas_sgemm',)  # step_program's own
KEPT_SHARE = 0.002  # functions with less are one line of the budget
OTHERS = 'all others'


def skip(reason):
    print('SKIPPED: ' + reason)
    sys.exit(77)


def plain_name(name):
    """Without what the compiler (clones) and callgrind (recursion) append."""
    return re.sub(r"(\.(part|constprop|isra|cold)(\.\d+)?)+$", '', re.sub(r"'\d+$", '', name))


def read_profile(text):
    """{function: its own instructions} of a callgrind.out file."""
    names = {}
    counts = {}
    function = None
    is_call = False
    for line in text.splitlines():
        named = re.match(r'c?fn=\((\d+)\)(?: (.*))?$', line)
        if named:
            if named.group(2):
                names[named.group(1)] = plain_name(named.group(2))
            if line.startswith('fn='):
                function = names[named.group(1)]
        elif line.startswith('calls='):
            is_call = True  # the next line is the callee's, who counts it himself
        elif re.match(r'[-+*\d]\S* \d+$', line):
            if not is_call:
                counts[function] = counts.get(function, 0) + int(line.split()[1])
            is_call = False
    return counts


def count_instructions(program, n_steps):
    folder = tempfile.mkdtemp(prefix='bt-budget-')
    out = os.path.join(folder, 'callgrind.out')
    # valgrind knows AVX2 and no AVX-512; a BLAS that looks at the processor itself must know that
    env = dict(os.environ, OPENBLAS_CORETYPE='Haswell', OPENBLAS_NUM_THREADS='1')
    try:
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', '--callgrind-out-file=' + out,
             '--toggle-collect=measured_steps', program],
            env=env, capture_output=True, text=True, check=False)
        if done.returncode == 77:
            skip(done.stdout.strip())
        if done.returncode != 0:
            sys.exit('FAILED: valgrind ended with %d\n%s' % (done.returncode, done.stderr[-3000:]))
        with open(out, encoding='utf-8') as source:
            counts = read_profile(source.read())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name in PRODUCTS:
        if counts.pop(name, 0) == 0:
            sys.exit('FAILED: %s was not called: the products are no longer apart from the rest'
                     % name)
    return {name: n / n_steps for name, n in counts.items()}


def make_budget(counts):
    total = sum(counts.values())
    kept = {name: round(n) for name, n in counts.items() if n >= KEPT_SHARE * total}
    kept = dict(sorted(kept.items(), key=lambda item: -item[1]))
    kept[OTHERS] = round(total - sum(kept.values()))
    return {'instructions_a_step': round(total), 'functions': kept}


def changes(counts, budget):
    """[(difference, function, then, now)], the largest growth first."""
    then = budget['functions']
    now = {name: n for name, n in counts.items() if name in then or n >= then[OTHERS]}
    now[OTHERS] = sum(counts.values()) - sum(now.values())
    return sorted(((now.get(name, 0) - then.get(name, 0), name, then.get(name, 0),
                    now.get(name, 0)) for name in {**then, **now}), reverse=True)


def compare(counts, budget, compiler):
    """What is wrong, in a sentence; None: nothing."""
    total = sum(counts.values())
    allowed = budget['instructions_a_step']
    share = total / allowed - 1
    if abs(share) <= MARGIN:
        return None
    moved = changes(counts, budget)
    if share < 0:
        moved = [row for row in reversed(moved) if row[0] < 0]
    named = ', '.join('%s %+.0f (%.0f -> %.0f)' % (name, d, then, now)
                      for d, name, then, now in moved[:5] if d != 0)
    if share > 0:
        return ('a step takes %.0f instructions beside its products, %.1f %% more than the budget '
                'of %s, %d (%.0f %% are allowed). Grew most: %s. If the change is worth it, renew '
                'the budget: %s' % (total, 100 * share, compiler, allowed, 100 * MARGIN, named,
                                    RENEW))
    return ('a step takes %.0f instructions beside its products, %.1f %% less than the budget of '
            '%s, %d. Well done; lower the budget, so that it is not lost again: %s. Shrank most: %s'
            % (total, -100 * share, compiler, allowed, RENEW, named))


def check_itself():
    """Each end of the margin is seen, and the right function is blamed."""
    profile = ('events: Ir\nfn=(1) f.part.0\n12 700\ncfn=(2) g\ncalls=1 0\n+3 4\n* 100\n\n'
               "fn=(2)\n1 200\nfn=(3) g'2\n1 4\n")
    assert read_profile(profile) == {'f': 800, 'g': 204}, read_profile(profile)
    counts = {'a': 600.0, 'b': 400.0, 'c': 1.0}
    budget = make_budget(counts)
    assert budget == {'instructions_a_step': 1001, 'functions': {'a': 600, 'b': 400, OTHERS: 1}}
    assert compare(counts, budget, 'x') is None
    assert compare({**counts, 'b': 490.0}, budget, 'x') is None
    assert 'Grew most: b +110 (400 -> 510)' in compare({**counts, 'b': 510.0}, budget, 'x')
    assert 'Grew most: new +110 (0 -> 110)' in compare({**counts, 'new': 110.0}, budget, 'x')
    assert 'Shrank most: a -150 (600 -> 450)' in compare({**counts, 'a': 450.0}, budget, 'x')


def check_build():
    """Only an optimised build has the count that users pay for."""
    if e2e.build_option('CMAKE_BUILD_TYPE') != 'Release' or e2e.SANITIZED or \
            e2e.build_option('BT_COVERAGE') == 'ON':
        skip('the budget is that of a release build without sanitizers and coverage')
    if shutil.which('valgrind') is None:
        skip('valgrind is not installed (tools/install_packages.sh test installs it)')


def read_budgets():
    with open(BUDGET, encoding='utf-8') as source:
        return json.load(source)


def write_budget(compiler, counts):
    budgets = read_budgets() if os.path.exists(BUDGET) else {}
    budgets[compiler] = make_budget(counts)
    with open(BUDGET, 'w', encoding='utf-8') as out:
        json.dump(budgets, out, indent=1, sort_keys=False)
        out.write('\n')
    print('%s: the budget of %s is now %d instructions a step'
          % (os.path.relpath(BUDGET), compiler, budgets[compiler]['instructions_a_step']))


def main():
    check_itself()
    words = [word for word in sys.argv[1:] if not word.startswith('--')]
    program = words[0] if words else os.path.join(e2e.BUILD, 'tests/budget/step_program')
    if not os.path.exists(program):
        skip('there is no %s: build it first' % program)
    check_build()
    compiler, n_steps = subprocess.check_output([program, '--about'], text=True).split()
    is_update = '--update' in sys.argv
    budgets = {} if is_update else read_budgets()
    if not is_update and compiler not in budgets:
        skip('no budget for %s (there is one for %s); %s makes one'
             % (compiler, ', '.join(sorted(budgets)), RENEW))
    counts = count_instructions(program, int(n_steps))
    if is_update:
        write_budget(compiler, counts)
        return
    wrong = compare(counts, budgets[compiler], compiler)
    if wrong is not None:
        sys.exit('FAILED: ' + wrong)
    print('%.0f instructions a step beside its products, the budget of %s is %d'
          % (sum(counts.values()), compiler, budgets[compiler]['instructions_a_step']))


if __name__ == '__main__':
    main()
