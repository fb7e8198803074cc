#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/keys.md: which keys of the configuration have no effect and which are refused, and why.

All of it comes from `bert-train --help_experiment`, which reads the rows of src/conf/conf_schema_*.c. Keys of the
training and the evaluation data, and of a section's branches, are shown as one where they are alike.
usage: make_keys_page.py PATH/OF/bert-train [--check]
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = 'docs/keys.md'
EFFECT = re.compile(r' (No effect|Refused): (.*)\.$')
OTHER_ENCODER = re.compile(r'(generator|discriminator)_encoder')  # as task.model.encoder
HEAD = """# Keys that do not act

`bert-train --help_experiment=EXPERIMENT` explains every key of the configuration. Most of them act; those of Model
Garden's that do not are here, with the reason. `tools/make_keys_page.py` writes this page from the rows of
`src/conf/conf_schema_*.c`, and the test `cli_keys_page` compares them; that what acts is read by some run, and what
does not by none, is held by `test_key_effects`.

"""
NO_EFFECT = """## No effect

Accepted with any value. A run that finds another value than the default there says so in a warning, but for the keys
marked (*), by which nothing is lost: Model Garden's program does nothing either, or the value is checked to be that of
another key.

"""
REFUSED = """## Refused

A run (a dry run, too) that finds another value there than null, the empty text or the default ends with exit code 2 and
this reason. What stands below a refused section is merged and printed as Model Garden does it, and nothing else; so
are the experiments of pretraining, whose training is not built.

"""


def run(program, *flags):
    return subprocess.run([program, *flags], stdout=subprocess.PIPE, check=True, text=True).stdout


def experiments(program):
    return [line.split()[0] for line in run(program, '--list_experiments').splitlines() if '/' in line.split()[0]]


def keys(program, experiment):
    """(path, (effect, reason)) of each key that does not act, not those below a refused section."""
    refused = []
    for block in re.split(r'\n(?=[a-z])', run(program, '--help_experiment=' + experiment)):
        lines = block.splitlines()
        if len(lines) < 2 or not lines[1].startswith('    '):
            continue
        path = lines[0].rstrip(':')
        if any(path.startswith(above + '.') for above in refused) or OTHER_ENCODER.search(path):
            continue
        found = EFFECT.search(lines[1])
        if found and found.group(1) == 'Refused':
            refused.append(path)
        if found:
            yield path, found.groups()


def short(path):
    path = re.sub(r'\.(train|validation)_data\.', '.*_data.', path)
    return re.sub(r'\.(optimizer|learning_rate|warmup|encoder)\.(\w+)\.(\w+)$', r'.\1.*.\3', path)


def collect(program):
    found = {'No effect': {}, 'Refused': {}}
    for experiment in experiments(program):
        for path, effect in keys(program, experiment):
            found[effect[0]][short(path)] = effect[1]
    return found


def table(rows):
    lines = ['| key | why |', '| --- | --- |']
    for path, why in sorted(rows.items()):
        mark = ' (*)' if why.endswith(QUIET) else ''
        lines.append(f'| `{path}`{mark} | {why.removesuffix(QUIET)} |')
    return '\n'.join(lines) + '\n'


QUIET = ', and nothing is lost by it'


def make_page(program):
    found = collect(program)
    return HEAD + NO_EFFECT + table(found['No effect']) + '\n' + REFUSED + table(found['Refused'])


def main():
    program, check = sys.argv[1], '--check' in sys.argv[2:]
    page = make_page(program)
    path = ROOT / PAGE
    if not check:
        path.write_text(page, encoding='utf-8')
        return 0
    if path.exists() and path.read_text(encoding='utf-8') == page:
        return 0
    print(f'{PAGE} is not what the rows of src/conf/conf_schema_*.c say: tools/make_keys_page.py {program} writes it')
    return 1


if __name__ == '__main__':
    sys.exit(main())
