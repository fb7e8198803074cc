#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wraps the prose of Markdown pages at 120 columns.

Only paragraphs and list items that hold a longer line are wrapped again. Tables, headings, fenced and
indented code stay as they are, and links and code spans are never broken, so a line with one that is
too long stays long. check_docs.py refuses a page that this would change.
usage: reflow_pages.py FILE...
"""
import pathlib
import re
import sys

WIDTH = 120
FENCE = re.compile(r" *(```|~~~)")
ITEM = re.compile(r"( *)([*+-]|\d+[.)]) +")
ALONE = re.compile(r" *(#{1,6} |\||<!--|>|\[\w[^\]]*\]: )")  # never part of a paragraph
# code spans, links, words
TOKEN = re.compile(r"(?:`+[^`]*`+|!?\[(?:`[^`]*`|[^\]`])*\]\([^)\s]*\)|\S)+")
# at the beginning of a line these would begin a list, a heading, a table or a quotation
BEGINS = re.compile(r"([*+-]|\d+[.)]|#+|[>|].*|=+|-+|```.*)$")


def tokens_of(text):
    tokens = []
    for token in TOKEN.findall(text):
        if tokens and BEGINS.match(token):
            tokens[-1] += " " + token
        else:
            tokens.append(token)
    return tokens


def wrap(lines):
    """The lines of one paragraph or list item, none longer than WIDTH where it can be broken."""
    item = ITEM.match(lines[0])
    first = item.group(0) if item else re.match(" *", lines[0]).group(0)
    rest = " " * len(first)
    text = " ".join([lines[0][len(first):]] + [line.strip() for line in lines[1:]])
    wrapped = []
    line = first
    empty = True
    for token in tokens_of(text):
        if not empty and len(line) + 1 + len(token) > WIDTH:
            wrapped.append(line)
            line, empty = rest, True
        line += ("" if empty else " ") + token
        empty = False
    wrapped.append(line)
    if " ".join(" ".join(wrapped).split()) != " ".join(" ".join(lines).split()):
        raise ValueError("wrapping would change the words of: " + lines[0])
    return wrapped


def is_prose(line, before):
    """Whether a paragraph or a list item may begin here; indented code begins after an empty line."""
    if not line.strip() or ALONE.match(line):
        return False
    return not (line.startswith("    ") and not before.strip() and not ITEM.match(line))


def code_end(lines, at):
    """The index after the code that begins at `at`, or `at` where none begins."""
    if FENCE.match(lines[at]):
        end = at + 1
        while end < len(lines) and not FENCE.match(lines[end]):
            end += 1
        return min(end + 1, len(lines))
    before = lines[at - 1] if at > 0 else ""
    end = at
    if lines[at].startswith("    ") and not before.strip() and not ITEM.match(lines[at]):
        while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
            end += 1
    return end


def paragraph_end(lines, at):
    end = at + 1
    while end < len(lines) and lines[end].strip() and not (
            ALONE.match(lines[end]) or ITEM.match(lines[end]) or FENCE.match(lines[end])):
        end += 1
    return end


def reflow(text):
    lines = text.split("\n")
    out = []
    at = 0
    while at < len(lines):
        end = code_end(lines, at)
        if end > at:
            out += lines[at:end]
        elif is_prose(lines[at], lines[at - 1] if at > 0 else ""):
            end = paragraph_end(lines, at)
            part = lines[at:end]
            broken = any(line.endswith("  ") for line in part[:-1])  # a break that somebody wants
            out += wrap(part) if not broken and max(map(len, part)) > WIDTH else part
        else:
            end = at + 1
            out.append(lines[at])
        at = end
    return "\n".join(out)


def main(argv):
    if len(argv) < 2 or argv[1].startswith("-"):
        print(__doc__)
        return 0 if argv[1:] == ["--help"] else 2
    for name in argv[1:]:
        page = pathlib.Path(name)
        text = page.read_text(encoding="utf-8")
        new = reflow(text)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"{name}: {text.count(chr(10))} -> {new.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
