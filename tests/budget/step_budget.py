# SPDX-License-Identifier: Apache-2.0
"""Holds the instructions of training steps and predictions, their large matrix products apart,
against a budget, and the part of them that stays with one thread against a bound.

Instructions are counted by valgrind's callgrind: the same number on a busy machine and on a quiet
one. What a change may add or save without anybody saying so is MARGIN; beyond it the budget is
renewed by hand, so that the difference is seen. The count depends on the compiler: step_budget.json
has a budget for each one that is known (name and major version), and in it one for each case of
step_program.

Serial is what the thread that makes the step does outside of jobs of the pool that are divided. Its
share is that of the whole step, of whose products each instruction is taken to make
FLOPS_AN_INSTRUCTION operations: fewer instructions there cannot be.

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
MEASURED = 'measured_passes'
PRODUCTS = 'fill_product'  # step_program's own
FLOPS_AN_INSTRUCTION = 16  # AVX2: eight multiplications and additions
MOST_SERIAL = 0.01
WIDE = 'wide'  # only its serial part counts, beside the step of ALONE
ALONE = 'float32'
KEPT_SHARE = 0.002  # functions with less are one line of the budget
OTHERS = 'all others'


def skip(reason):
    print('SKIPPED: ' + reason)
    sys.exit(77)


def plain_name(name):
    """Without what the compiler (clones) and callgrind (recursion) append."""
    return re.sub(r"(\.(part|constprop|isra|cold)(\.\d+)?)+$", '', re.sub(r"'\d+$", '', name))


def read_profile(text):
    """{function: its own instructions} of a callgrind.out file, and {function: those of all calls
    of it, with what it calls}."""
    names = {}
    counts = {}
    called = {}
    function = callee = None
    is_call = False
    for line in text.splitlines():
        named = re.match(r'(c?fn)=\((\d+)\)(?: (.*))?$', line)
        if named:
            if named.group(3):
                names[named.group(2)] = plain_name(named.group(3))
            if named.group(1) == 'fn':
                function = names[named.group(2)]
            else:
                callee = names[named.group(2)]
        elif line.startswith('calls='):
            is_call = True  # the next line is the callee's, who counts it himself
        elif re.match(r'[-+*\d]\S* \d+$', line):
            into, key = (called, callee) if is_call else (counts, function)
            into[key] = into.get(key, 0) + int(line.split()[1])
            is_call = False
    return counts, called


class Case:
    """What was counted of one of step_program's cases, a pass."""

    def __init__(self, name, n_passes, flops, profile):
        counts, called = profile
        divided = called.get('run_counted', 0)
        if divided <= 0:
            sys.exit('FAILED: %s: no job of the pool was divided' % name)
        self.name = name
        self.serial = (sum(counts.values()) - divided) / n_passes
        self.has_products = counts.pop(PRODUCTS, 0) == 0
        self.counts = {function: n / n_passes for function, n in counts.items()}
        self.all = sum(self.counts.values()) + flops / FLOPS_AN_INSTRUCTION


def run_valgrind(program, folder):
    """What the program says of its cases; their profiles are then in the folder."""
    # valgrind knows AVX2 and no AVX-512
    done = subprocess.run(
        ['valgrind', '--tool=callgrind', '--callgrind-out-file=' + os.path.join(folder, 'out'),
         '--toggle-collect=' + MEASURED, '--dump-after=' + MEASURED, program],
        capture_output=True, text=True, check=False)
    if done.returncode == 77:
        skip(done.stdout.strip())
    if done.returncode != 0:
        sys.exit('FAILED: valgrind ended with %d\n%s' % (done.returncode, done.stderr[-3000:]))
    return [line.split() for line in done.stdout.splitlines()]


def count_instructions(program):
    """[Case]"""
    folder = tempfile.mkdtemp(prefix='bt-budget-')
    cases = []
    try:
        for i, (name, n_passes, flops) in enumerate(run_valgrind(program, folder), 1):
            with open(os.path.join(folder, 'out.%d' % i), encoding='utf-8') as source:
                cases.append(Case(name, int(n_passes), float(flops), read_profile(source.read())))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for case in cases:
        if case.has_products and case.name != WIDE:
            sys.exit('FAILED: %s: %s was not called: the products are no longer apart from the '
                     'rest' % (case.name, PRODUCTS))
    return cases


def make_budget(counts):
    total = sum(counts.values())
    kept = {name: round(n) for name, n in counts.items() if n >= KEPT_SHARE * total}
    kept = dict(sorted(kept.items(), key=lambda item: -item[1]))
    kept[OTHERS] = round(total - sum(kept.values()))
    return {'instructions_a_pass': round(total), 'functions': kept}


def changes(counts, budget):
    """[(difference, function, then, now)], the largest growth first."""
    then = budget['functions']
    now = {name: n for name, n in counts.items() if name in then or n >= then[OTHERS]}
    now[OTHERS] = sum(counts.values()) - sum(now.values())
    return sorted(((now.get(name, 0) - then.get(name, 0), name, then.get(name, 0),
                    now.get(name, 0)) for name in {**then, **now}), reverse=True)


def compare(counts, budget, what):
    """What is wrong, in a sentence; None: nothing."""
    total = sum(counts.values())
    allowed = budget['instructions_a_pass']
    share = total / allowed - 1
    if abs(share) <= MARGIN:
        return None
    moved = changes(counts, budget)
    if share < 0:
        moved = [row for row in reversed(moved) if row[0] < 0]
    named = ', '.join('%s %+.0f (%.0f -> %.0f)' % (name, d, then, now)
                      for d, name, then, now in moved[:5] if d != 0)
    if share > 0:
        return ('%s takes %.0f instructions beside its products, %.1f %% more than its budget, %d '
                '(%.0f %% are allowed). Grew most: %s. If the change is worth it, renew the '
                'budget: %s' % (what, total, 100 * share, allowed, 100 * MARGIN, named, RENEW))
    return ('%s takes %.0f instructions beside its products, %.1f %% less than its budget, %d. '
            'Well done; lower the budget, so that it is not lost again: %s. Shrank most: %s'
            % (what, total, -100 * share, allowed, RENEW, named))


def serial_shares(cases):
    """{case: its serial part as a share of the whole pass}"""
    alone = [case.all for case in cases if case.name == ALONE]
    return {case.name: case.serial / (alone[0] if case.name == WIDE else case.all)
            for case in cases}


def compare_serial(shares):
    """The sentences of the cases whose serial part is too large."""
    return ['%s: %.2f %% of its instructions are outside of what threads divide, %.0f %% are '
            'allowed: divide them (bt_pool_run), or make them fewer; what callgrind_annotate '
            '--inclusive=yes shows beside run_counted is serial (docs/testing.md)'
            % (name, 100 * share, 100 * MOST_SERIAL)
            for name, share in shares.items() if share > MOST_SERIAL]


def check_itself():
    """Each end of the margin is seen, the right function is blamed, and what is not divided is
    known."""
    profile = ('events: Ir\nfn=(1) f.part.0\n12 700\ncfn=(2) run_counted.isra.0\ncalls=1 0\n+3 244\n'
               "* 100\n\nfn=(2)\n1 200\ncfn=(3) g'2\ncalls=1 0\n* 44\n"
               'fn=(3)\n1 44\n')
    counts, called = read_profile(profile)
    assert counts == {'f': 800, 'run_counted': 200, 'g': 44}, counts
    assert called == {'run_counted': 244, 'g': 44}, called
    case = Case('x', 2, 1600, read_profile(profile + 'fn=(4) fill_product\n3 2\n'))
    assert (case.serial, case.all) == (401, 622) and not case.has_products, vars(case)
    assert compare_serial({'x': 0.011, 'y': 0.009})[0].startswith('x: 1.10 % of its')
    assert compare_serial({'y': 0.009}) == []
    counts = {'a': 600.0, 'b': 400.0, 'c': 1.0}
    budget = make_budget(counts)
    assert budget == {'instructions_a_pass': 1001, 'functions': {'a': 600, 'b': 400, OTHERS: 1}}
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


def write_budget(compiler, cases):
    budgets = read_budgets() if os.path.exists(BUDGET) else {}
    budgets[compiler] = {case.name: make_budget(case.counts) for case in cases if case.name != WIDE}
    with open(BUDGET, 'w', encoding='utf-8') as out:
        json.dump(budgets, out, indent=1, sort_keys=False)
        out.write('\n')
    print('%s: the budget of %s is now %s' % (os.path.relpath(BUDGET), compiler, ', '.join(
        '%s %d' % (name, budget['instructions_a_pass'])
        for name, budget in budgets[compiler].items())))


def judge(cases, budgets, compiler):
    """What is wrong, a sentence each."""
    wrong = []
    for case in cases:
        if case.name != WIDE and case.name not in budgets:
            wrong.append('%s has no budget for %s: %s' % (case.name, compiler, RENEW))
        elif case.name != WIDE:
            wrong.append(compare(case.counts, budgets[case.name],
                                 '%s (%s)' % (case.name, compiler)))
    return [one for one in wrong if one is not None] + compare_serial(serial_shares(cases))


def main():
    check_itself()
    words = [word for word in sys.argv[1:] if not word.startswith('--')]
    program = words[0] if words else os.path.join(e2e.BUILD, 'tests/budget/step_program')
    if not os.path.exists(program):
        skip('there is no %s: build it first' % program)
    check_build()
    compiler = subprocess.check_output([program, '--about'], text=True).strip()
    is_update = '--update' in sys.argv
    budgets = {} if is_update else read_budgets()
    if not is_update and compiler not in budgets:
        skip('no budget for %s (there is one for %s); %s makes one'
             % (compiler, ', '.join(sorted(budgets)), RENEW))
    cases = count_instructions(program)
    for case in cases:
        print('%s: %.0f instructions a pass beside its products, %.2f %% serial'
              % (case.name, sum(case.counts.values()), 100 * serial_shares(cases)[case.name]))
    if is_update:
        write_budget(compiler, cases)
        return
    wrong = judge(cases, budgets[compiler], compiler)
    if wrong:
        sys.exit('FAILED: ' + '\nFAILED: '.join(wrong))


if __name__ == '__main__':
    main()
