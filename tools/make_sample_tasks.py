#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the sample data of the other tasks into data/, made of the sentences of make_sample_data.py:
tags_*.conll (which words are the part of a thing that is judged, and which the judgement),
questions_*.json (SQuAD's form: what was called so?) and pairs_*.tsv (a search, and the sentence that
answers it). Deterministic.
usage: make_sample_tasks.py [--out=FOLDER] [--check]   (--check writes nothing: it compares)
"""
import argparse
import functools
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from make_sample_data import DOMAINS, make  # noqa: E402

SIZES = {"train": (600, 300), "dev": (150, 80)}  # sentences with tags, pairs
N_PARAGRAPHS = {"train": 8, "dev": 3}


@functools.lru_cache(maxsize=None)
def find(text):
    """[(first character of the part, part, first of the adjective, adjective)] in their order."""
    found = []
    for parts in DOMAINS.values():
        for part, _, judgements in parts:
            for at in re.finditer(r"\b%s\b" % part, text, re.I):
                for word in (w for pair in judgements for w in pair):
                    said = re.search(r"\b%s\b" % word, text[at.end():])
                    if said and not re.search(r"[;,]", text[at.end():at.end() + said.start()]):
                        found.append((at.start(), at.group(), at.end() + said.start(), word))
    return sorted(set(found))


def tag(text):
    """[(word, tag)] of a sentence."""
    spans = [(at, at + len(part), "PART") for at, part, _, _ in find(text)]
    spans += [(at, at + len(word), "VIEW") for _, _, at, word in find(text)]
    rows = []
    for word in re.finditer(r"\w+(?:'\w+)?|[^\w\s]", text):
        name = next(((a, n) for a, b, n in spans if a <= word.start() < b), None)
        rows.append((word.group(), "O" if name is None else
                     ("B-" if word.start() == name[0] else "I-") + name[1]))
    return rows


def domain_of(text):
    """The only thing that has the parts which are named, or None."""
    parts = {part.lower() for _, part, _, _ in find(text)}
    fits = [d for d, list_ in DOMAINS.items() if parts and parts <= {p for p, _, _ in list_}]
    return fits[0] if len(fits) == 1 else None


def ask(context):
    """Questions that the paragraph answers in one place."""
    for _, part, at, word in find(context):
        if len(re.findall(r"\b%s\b" % word, context)) == 1:
            begin = context.lower().rfind(part.lower(), 0, at)
            yield "What was called %s?" % word, context[begin:begin + len(part)], begin


def questions(texts, name):
    articles = []
    for domain in sorted(DOMAINS):
        own = [t for t in texts if domain_of(t) == domain]
        paragraphs = []
        for i in range(min(N_PARAGRAPHS[name], len(own) // 3)):
            context = " ".join(own[3 * i:3 * i + 3])
            qas = [{"id": "%s-%s-%d-%d" % (name, domain, i, k), "question": question,
                    "answers": [{"text": text, "answer_start": begin}]}
                   for k, (question, text, begin) in enumerate(ask(context))]
            if qas:
                paragraphs.append({"context": context, "qas": qas})
        if paragraphs:
            articles.append({"title": domain, "paragraphs": paragraphs})
    return json.dumps({"version": "sample", "data": articles}, indent=1) + "\n"


def files():
    for name, rows in zip(("train", "dev"), make()):
        texts = [text for text, _ in rows]
        n_tagged, n_pairs = SIZES[name]
        yield "tags_%s.conll" % name, "\n".join(
            "".join("%s\t%s\n" % row for row in tag(t)) for t in texts[:n_tagged])
        yield "questions_%s.json" % name, questions(texts, name)
        pairs = [("%s, %s" % (find(t)[0][1].lower(), find(t)[0][3]), t) for t in texts if find(t)]
        yield "pairs_%s.tsv" % name, "query\tanswer\n" + "".join(
            "%s\t%s\n" % pair for pair in pairs[:n_pairs])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=str(pathlib.Path(__file__).parents[1] / "data"))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    problems = 0
    for name, text in files():
        file = pathlib.Path(args.out, name)
        if not args.check:
            file.write_bytes(text.encode("utf-8"))
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            print("make_sample_tasks.py: %s is not what this script makes" % file)
            problems = 1
    return problems


if __name__ == "__main__":
    sys.exit(main())
