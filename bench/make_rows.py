#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a table of made-up sentences with labels for measurements of large inputs: 82 bytes a row in the mean as CSV, the same rows for the same number. What comes
after the first million is that million again: drawing 100 million takes longer than all that is measured with them.

    bench/make_rows.py 3000000 rows.csv        (.tsv: tabs; .jsonl: lines of JSON)
"""
import json
import random
import sys

WORDS = ("the a film movie plot actor scene story music ending camera script young old great dull warm cold long short funny sad strange quiet loud bright dark slow quick "
         "clever simple honest empty full of with without and but never always often rarely feels looks sounds seems becomes remains").split()
BLOCK = 20000
DRAWN = 1000000


def rows(n):
    """(label, text) of n rows; every fiftieth text has a comma and quotes in it."""
    draw = random.Random(16)
    for i in range(n):
        text = " ".join(draw.choices(WORDS, k=draw.randrange(4, 24)))
        yield draw.randrange(2), f'{text}, "{i}" times' if i % 50 == 0 else text


def csv_line(label, text):
    return f'"{text.replace(chr(34), chr(34) * 2)}",{label}\n' if "," in text else f"{text},{label}\n"


FORMS = {"csv": ("sentence,label\n", csv_line), "tsv": ("sentence\tlabel\n", lambda label, text: f"{text}\t{label}\n"),
         "jsonl": ("", lambda label, text: json.dumps({"sentence": text, "label": label}) + "\n")}


def main():
    n, path = int(sys.argv[1]), sys.argv[2]
    head, line = FORMS[path.rsplit(".", 1)[-1]]
    with open(path, "wb") as out:
        out.write(head.encode())
        drawn, block = [], []
        for i, (label, text) in enumerate(rows(min(n, DRAWN))):
            block.append(line(label, text))
            if len(block) == BLOCK or i + 1 == min(n, DRAWN):
                drawn.append(("".join(block).encode(), len(block)))
                block.clear()
        while n > 0:
            for text, n_rows in drawn:
                if n_rows > n:
                    text, n_rows = b"".join(text.splitlines(True)[:n]), n
                out.write(text)
                n -= n_rows


if __name__ == "__main__":
    main()
