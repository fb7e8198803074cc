#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wordings that the comments, messages and pages of the house do not use, because no native reader
would: each with what to write instead (docs/glossary.md lists them). Looked for in comments and strings
of C, in comments and docstrings of scripts, and in pages; a line break counts as a space.

usage: check_words.py [ROOT] | check_words.py --self-test
"""
import os
import pathlib
import re
import sys

import lint_main

SKIP_FOLDERS = {".git", "build", "runs", "__pycache__"}
SKIP = ("tests/goldens/", "data/", "CHANGELOG.md", "docs/model_garden/", "docs/glossary.md",
        "tests/lint/check_words.py")
NOT_AFTER_NO = (r"(?!longer\b|more\b|less\b|other\b|different\b|such\b|one\b|matter\b|harm\b|use\b|need\b|"
                r"reason\b|way\b|room\b|doubt\b|\{)")
# what is refused: what to write
WORDS = {
    r"(?<!here )\b(?:is|are|was|were|be|been) no " + NOT_AFTER_NO + r"\w+": "is not a X, is not X",
    r"\bblanks\b": "spaces",
    r"\b(?:a|one|the|each|single|next) blank\b(?! lines?\b| page)": "a space",
    r"\b(?:taken|takes|take|took) (?:it |them |every row )?apart\b": "parsed",
    r"\btold by (?!whom)": "inferred from, recognized by, reported by",
    r"\b(?:the|its|their|an|by|other) endings?\b(?! of)": "extension (.tsv), suffix (.kept-1)",
    r"\b(?:in|into) the place of\b": "in place of, instead of",
    r"\b(?:for|of|by|from|belongs? to) who\b": "name the program, process or rank",
    r"\bleave \S+ away\b": "leave out",
    r"\blearned by heart\b": "memorized",
    r"\b(?:is|are) not (?:built here|offered|served)\b": "is not supported",
    r"\bnot built in this version\b": "not supported",
    r"\bhow-many-eth\b": "the number of, the index of",
    r"\bneed not be counted\b": "you need not calculate",
    r"\b(?:records|bytes|end) behind the (?:end|last|step)\b": "after",
    r"\b(?:written|made|compiled|begins?|starts?) anew\b": "again",
}
PATTERNS = [(re.compile(pattern.replace(" ", r"(?:\s|\n[ \t]*[*#]|\" *\n *\")+")
                        .replace(r"(?<!here(?:\s|\n[ \t]*[*#]|\" *\n *\")+)", r"(?<!here\s)")), advice)
            for pattern, advice in WORDS.items()]
C_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"(?:[ \t]*\n?[ \t]*"(?:\\.|[^"\\\n])*")*', re.DOTALL)
SCRIPT_TEXT = re.compile(r'^[ \t]*#.*(?:\n[ \t]*#.*)*|[^\\]# .*', re.MULTILINE)
DOCSTRING = re.compile(r'""".*?"""', re.DOTALL)
CODE = {".c", ".h", ".def"}
SCRIPTS = {".py", ".sh"}


def texts_of(suffix, text):
    """[(offset, text)] of what people read in a file."""
    if suffix in CODE:
        return [(m.start(), m.group(0)) for m in C_TEXT.finditer(text)]
    if suffix in SCRIPTS:
        return [(m.start(), m.group(0)) for pattern in (DOCSTRING, SCRIPT_TEXT) for m in pattern.finditer(text)]
    return [(0, text)]


def check_text(path, text):
    problems = set()
    for offset, part in texts_of(os.path.splitext(path)[1], text):
        for pattern, advice in PATTERNS:
            for match in pattern.finditer(part):
                if re.search(r"[Tt]?here[\s*#\"]*$", part[:match.start()]):
                    continue  # "there is no X" is English
                line = text.count("\n", 0, offset + match.start()) + 1
                found = " ".join(match.group(0).split())
                problems.add((line, f"{path}:{line}: '{found}': write: {advice}"))
    return [problem for _, problem in sorted(problems)]


def check_tree(root):
    problems = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIP_FOLDERS)
        for name in sorted(names):
            file = pathlib.Path(folder, name)
            path = file.relative_to(root).as_posix()
            if file.suffix in CODE | SCRIPTS | {".md"} and not path.startswith(SKIP):
                problems += check_text(path, file.read_text(encoding="utf-8", errors="replace"))
    return problems


def self_test():
    bad = {
        "a.c": '/* What is no\n * number. */\n', "b.c": 'f("a tab, or " /* x */\n  "columns of blanks");\n',
        "c.md": "The lock of who\ntrains.\n", "d.py": 'x = 1\n"""A row is taken\napart here."""\n',
        "e.md": "It is told by its ending.\n", "f.c": 'f("leave --tpu away");\n', "g.py": "y = 2  # it is no error\n",
        "h.c": 'f("%s is no "\n  "number");\n', "i.md": "Steps need not be counted.\n",
    }
    good = {
        "a_good.c": "int blanks; /* There is no number; it is no longer one; there\n * is no room */\n",
        "b_good.py": "is_no = 1\nx = 'is no number'\n# a blank line\n", "c_good.md": "The end of it is no more than that.\n",
        "tests/goldens/x.md": "It is no number.\n", "CHANGELOG.md": "It is no number.\n",
    }
    return lint_main.test_samples(check_tree, bad, good)


if __name__ == "__main__":
    sys.exit(lint_main.run("check_words", sys.argv, check_tree, self_test))
