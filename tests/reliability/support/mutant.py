# SPDX-License-Identifier: Apache-2.0
"""The program with one mistake in it: a source file is changed in a copy, compiled as the build
compiles it, and linked in place of its twin. A loop that stays green with the mistake is not a test."""
import glob
import json
import os
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from jobs import e2e  # noqa: E402


def run_words(words, folder):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, '%s\n%s' % (' '.join(words), done.stderr)


def compile_words(source, changed, made):
    """The build's own command for that source, from another file to another place."""
    with open(os.path.join(e2e.BUILD, 'compile_commands.json'), encoding='utf-8') as commands:
        entry = next(c for c in json.load(commands)
                     if c['file'] == source and '/tests/' not in c.get('output', c['command']))
    words = shlex.split(entry['command'])
    words[words.index('-o') + 1] = made
    words[words.index('-c') + 1] = changed
    return words + ['-Wno-error', '-w'], entry['directory']


def changed_text(relative, changes):
    """The source file with changes ((old text, new text), each found exactly once)."""
    with open(os.path.join(e2e.SOURCE, relative), encoding='utf-8') as text_of:
        text = text_of.read()
    for old, new in changes:
        assert text.count(old) == 1, '%s: this is there %d times, the mutation wants it once: %s' % (
            relative, text.count(old), old)
        text = text.replace(old, new)
    return text


def build(folder, relative, changes, program='bert-train'):
    """Puts the program into the folder, made with changes in the source file `relative`. Returns
    its path."""
    source = os.path.join(e2e.SOURCE, relative)
    text = changed_text(relative, changes)
    changed = os.path.join(folder, os.path.basename(relative))
    with open(changed, 'w', encoding='utf-8') as out:
        out.write(text)
    words, where = compile_words(source, changed, changed + '.o')
    run_words(words + ['-I' + os.path.dirname(source)], where)
    return link(folder, relative, changed + '.o', program)


def link(folder, relative, made, program):
    """A source of src/ is in its room's library, one of programs/ among the program's own objects."""
    top, room = relative.split('/')[:2]
    library = 'libbt_%s.a' % room
    (links,) = glob.glob(os.path.join(e2e.BUILD, '**/%s.dir/link.txt' % program), recursive=True)
    where = os.path.dirname(os.path.dirname(os.path.dirname(links)))
    with open(links, encoding='utf-8') as text_of:
        words = shlex.split(text_of.read())
    out = os.path.join(folder, program)
    if top == 'programs':
        own, name = made, os.path.basename(made)
    else:
        own, name = os.path.join(folder, library), library
        place = next(w for w in words if os.path.basename(w) == name)
        shutil.copy(os.path.join(where, place), own)
        run_words(['ar', 'r', own, made], folder)
    assert name in [os.path.basename(w) for w in words], '%s is not part of %s' % (name, program)
    words = [own if os.path.basename(w) == name else w for w in words]
    words[words.index('-o') + 1] = out
    run_words(words, where)
    return out
