#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""params.yaml gives every value back: whatever text, number or list a key of any type holds, what
is written is read as the same value by us and by PyYAML with Model Garden's loader.
usage: yaml_round_trip.py PROGRAM BUILD [SEED]"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

EXPERIMENTS = ('bert/sentence_prediction', 'bert/squad', 'bert/tagging', 'bert/dual_encoder')
TEXTS = [
    'yes', 'no', 'No', 'on', 'Off', 'true', 'False', 'y', 'n', 'null', 'Null', '~', '', ' ', '  ', 'none', '0x10', '0o7', '07', '08', '1_000',
    '0b11', '0b', '0x', '1e3', '1e', '1E+3', '1e-05', '-1e3', '1.e3', '1.5e3', '1.5e+3', '.5', '-.5', '.5e3', '.5e+3', '.inf', '-.INF', '.nan', 'inf', 'nan',
    '1:30', '190:20:30', '190:20:30.15', '1:60', '2001-01-01', '2001-12-14t21:59:43.10-05:00', '2001-1-1 1:1:1', '=', '<<', '<', '-', '- ', '-a', '?', '? a',
    '?a', ':', ': a', ':a', 'a:', 'a: b', 'a:b', '#', '# a', 'a #b', 'a#b', '---', '--- a', '...', '...a', '[', ']', '[a]', '{', '}', '{a: b}', ',', 'a,b',
    'a, b', '&a', '*a', '!a', '!!str a', '|', '>', '|-', "'", "''", "it's", '"', '"a"', '%', '%a', '@', '@a', '`', '`a', ' a', 'a ', '\ta', 'a\t', 'a\tb', '\n',
    'a\n', '\na', 'a\nb', 'a\n\nb', 'a \nb', 'a\n b', 'a\r\nb', '\r', 'é', 'ß ü', '中文', '\U0001f600', '\u00a0', '\u2028', '\u0085', '\ufeff', '\u200b', '\x7f',
    '\x1b', '\x01', 'a\\b', '\\n', 'C:\\x', 'gs://b/o', 's3://b/o?x=1&y=2', '/a/b c', '0', '00', '-0', '+1', '1', '1.0', '1.', '1..2', '1,000', '0x1p3', '1__0', '_1',
    '1_', '+', '+-1', '++', '.', '..', '.a', 'e1', 'E5', '1e1000', '1e99999', '0.1e1', '12e03', '!!float 1', 'a' * 200, ('ab ' * 60).strip(), 'x ' * 50 + "'", 'é ' * 60,
    '"' * 90, "'" * 90, ' ' * 90, 'a' + ' ' * 90 + 'b', '\n' * 5, 'true ', 'null\n', '0x1g', '0888', '1.2.3', '12:30:45', 'Infinity', '-inf', '+.inf', '١', '１２']
NUMBERS = [0.1, 1e-5, 1e16, 1e22, 1.5e300, 5e-324, 123456789.0, 0.3333333333333333, 1e-7, 100000.0]
ALPHABET = list(" \t\n:#-?,[]{}&*!|>'\"%@`=<~.0123456789eExX_+aézб\u2028\u0085\\")


class ModelGarden:
    """PyYAML's FullLoader with the float forms of official/modeling/hyperparams/params_dict.py,
    its doubled backslashes included."""

    def __init__(self, yaml):
        class Loader(yaml.FullLoader):
            pass
        Loader.yaml_implicit_resolvers = {k: list(v) for k, v in
                                          yaml.FullLoader.yaml_implicit_resolvers.items()}
        Loader.add_implicit_resolver('tag:yaml.org,2002:float', re.compile(r'''
            ^(?:[-+]?(?:[0-9][0-9_]*)\\.[0-9_]*(?:[eE][-+]?[0-9]+)?
            |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
            |\\.[0-9_]+(?:[eE][-+][0-9]+)?
            |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*
            |[-+]?\\.(?:inf|Inf|INF)
            |\\.(?:nan|NaN|NAN))$''', re.X), list('-+0123456789.'))
        self.yaml, self.loader = yaml, Loader

    def load(self, text):
        return self.yaml.load(text, Loader=self.loader)


class Echo:
    def __init__(self, program, folder):
        # '~' at the start of a path is the home folder: one that is called so is as it was written
        self.child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env=dict(os.environ, HOME='~'))
        self.folder = folder

    def __call__(self, experiment, text):
        """What is written for a YAML text; None when that is refused."""
        path = os.path.join(self.folder, 'in.yaml')
        with open(path, 'w', encoding='utf-8', newline='') as out:
            out.write(text)
        self.child.stdin.write('%s %s\n' % (experiment, path))
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        assert answer, 'the program died of %r' % text
        if answer != 'ok\n':
            return None
        with open(path + '.out', encoding='utf-8', newline='') as source:
            return source.read()


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, path + (key,))
        else:
            yield path + (key,), value


def nested(values):
    """JSON, which is YAML's flow style, with everything beyond ASCII escaped one by one."""
    tree = {}
    for path, value in values.items():
        at = tree
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = value
    return quote(tree)


def quote(value):
    if isinstance(value, dict):
        return '{%s}' % ', '.join('%s: %s' % (k, quote(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return '[%s]' % ', '.join(map(quote, value))
    if isinstance(value, str):
        return '"%s"' % ''.join(c if ' ' <= c <= '~' and c not in '"\\' else '\\U%08x' % ord(c) for c in value)
    if isinstance(value, float):
        text = repr(value)
        return text if '.' in text else text.replace('e', '.0e')
    return json.dumps(value)


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def same(a, b):
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def find_keys(echo, garden, experiment):
    """{kind: keys}: those that take any text, a list of texts, a float."""
    tree = garden.load(echo(experiment, 'runtime: {}\n'))
    kinds = {'text': [], 'list': [], 'float': []}
    probes = {'text': 'zq x', 'list': ['zq x', '', 'zq x'],  # no list of names, which must differ
              'float': 0.1234567}
    for path, _ in leaves(tree):
        for kind, probe in probes.items():
            out = echo(experiment, nested({path: probe}))
            if out is not None and same(at(garden.load(out), path), probe):
                kinds[kind].append(path)
    return kinds


def check(echo, garden, experiment, keys, value):
    """Sentences about keys that do not hold the value any more."""
    out = echo(experiment, nested({path: value for path in keys}))
    if out is None:
        return ['%s: %r is refused' % (experiment, value)]
    try:
        tree = garden.load(out)
    except Exception as problem:  # whatever PyYAML raises
        return ['%s: %r: Model Garden cannot read what was written: %s' % (experiment, value, problem)]
    wrong = ['%s: %s: %r comes back as %r' % (experiment, '.'.join(p), value, at(tree, p))
             for p in keys if not same(at(tree, p), value)]
    again = echo(experiment, out)
    if again != out:
        wrong.append('%s: %r: read back here it is %s' % (experiment, value, 'refused' if again is None else 'another'))
    return wrong


def find_yaml(build):
    try:
        import yaml
        return yaml
    except ImportError:
        folder = os.path.join(build, 'pyyaml')
        if not os.path.isdir(folder):
            subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-input', '--target', folder, 'PyYAML'],
                           capture_output=True, check=False)
        sys.path.insert(0, folder)
        try:
            import yaml
            return yaml
        except ImportError:
            return None


def main():
    program, build = sys.argv[1:3]
    yaml = find_yaml(build)
    if yaml is None:
        print('SKIPPED: there is no PyYAML, and it could not be installed (no network?)')
        return 77
    garden = ModelGarden(yaml)
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 7)
    long_form = os.environ.get('BT_LONG_TESTS', '') not in ('', '0')
    texts = TEXTS + [''.join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 8)))
                     for _ in range(20000 if long_form else 60)]
    wrong, n = [], 0
    with tempfile.TemporaryDirectory() as folder:
        echo = Echo(program, folder)
        for number, experiment in enumerate(EXPERIMENTS):
            kinds = find_keys(echo, garden, experiment)
            print('%s: %s' % (experiment, ', '.join('%d keys of %s' % (len(v), k) for k, v in kinds.items())))
            assert all(kinds.values())
            mine = texts if number == 0 else texts[number::12]
            for text in mine:
                wrong += check(echo, garden, experiment, kinds['text'], text)
                wrong += check(echo, garden, experiment, kinds['list'], [text, '', text])
            for value in NUMBERS:
                wrong += [w for w in check(echo, garden, experiment, kinds['float'][:1], value)
                          if 'is refused' not in w]
            n += len(mine) * (len(kinds['text']) + len(kinds['list']))
        echo.child.stdin.close()
        echo.child.wait()
    for line in wrong[:30]:
        print('WRONG:', line)
    print('%d values, %d wrong' % (n, len(wrong)))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
