# SPDX-License-Identifier: Apache-2.0
"""What the tests of pages read of them: blocks of commands with the paragraph before each, sections, and rows of tables;
and comparison of a sentence of a page with what a program says."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../e2e/support'))
import e2e  # noqa: E402

EXIT = re.compile(r'# exit code (\d+)(?:: (.*))?', re.S)


class Block:
    """lead: the paragraph before it; commands: what is typed; code and says: what the last lines, comments, promise."""

    def __init__(self, lead, lines):
        self.lead = ' '.join(lead.split())
        n = next((i for i, line in enumerate(lines) if line.startswith('# exit code ')), len(lines))
        self.commands = '\n'.join(lines[:n]) + '\n'
        end = EXIT.match(' '.join(re.sub(r'^#\s+', '# ' if i == 0 else '', line) for i, line in enumerate(lines[n:])))
        self.code, self.says = (int(end.group(1)), end.group(2) or '') if end else (0, '')

    def needs(self):
        """'a network' of a paragraph that begins with **Needs a network.**"""
        found = re.match(r'\*\*Needs (.*?)\.\*\*', self.lead)
        return found.group(1) if found else None


def read(*path):
    with open(os.path.join(e2e.SOURCE, *path), encoding='utf-8') as source:
        return source.read()


def blocks(text):
    """The indented blocks of a page, in order."""
    found, lead = [], ''
    for part in re.split(r'\n{2,}', text):
        lines = part.strip('\n').split('\n')
        if all(line.startswith('    ') for line in lines):
            found.append(Block(lead, [line[4:] for line in lines]))
        else:
            lead = part
    return found


def rows(text):
    """Cells of the rows of tables, heads and rules left out."""
    lines = text.split('\n')
    for i, line in enumerate(lines):
        head = i + 1 < len(lines) and lines[i + 1].startswith('| ---')
        if line.startswith('|') and not line.startswith('| ---') and not head:
            yield [cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]]


def has_sentence(said, sentence):
    """Whether a sentence of a page, in which ... stands for anything, is in what a program said; spaces are alike."""
    parts = [re.escape(' '.join(part.split())) for part in sentence.split('...')]
    return re.search('.*?'.join(parts), ' '.join(said.split())) is not None
