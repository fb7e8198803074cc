# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/metrics/entities.json: precision, recall, F1 and accuracy of random tags by
seqeval, as Model Garden's tagging task calls it: over sentences, and over whole batches ("batches",
its own way). A record is one piece of a sentence; a piece above 0 goes on with the one before.

Needs seqeval 1.2.2. Run from the root of the repository:
    python tests/make_goldens/make_entities.py
"""
import json
import random
import warnings

from seqeval import metrics

NAMES = {
    "iob": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
    "parts_of_speech": ["ADJ", "NOUN", "VERB", "X", "PUNCT", "O"],
    "bioes": ["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"],
    # one letter, no type, two dashes, equal types after other letters, a dot, more than ASCII
    "odd": ["X", "Y", "_", "B-", "B-_", "I-a-b", "B-a-b", "Qa-b", "E-a-b", ".", ".-a", "-", "é-a",
            "I-a", "O-a", "O"],
}


def values(labels, predictions):
    result = {name: float(getattr(metrics, name + "_score")(labels, predictions))
              for name in ("f1", "precision", "recall", "accuracy")}
    # of each type that occurs, and their averages
    report = metrics.classification_report(labels, predictions, output_dict=True)
    result["types"] = {}
    for name, entry in report.items():
        figures = {"f1": float(entry["f1-score"]), "precision": float(entry["precision"]),
                   "recall": float(entry["recall"])}
        if name.endswith(" avg"):
            kind = name.split()[0]
            result.update({f"{k}_{kind}": v for k, v in figures.items() if kind != "micro"})
        else:
            result["types"][name] = figures
    return result


def make(names, n_records, batch, right, rng):
    records = []
    for i in range(n_records):
        n = rng.randint(0 if i % 5 == 4 else 1, 9)
        labels = [rng.randrange(len(names)) for _ in range(n)]
        guesses = [x if rng.random() < right else rng.randrange(len(names)) for x in labels]
        piece = records[-1]["piece"] + 1 if i > 0 and rng.random() < 0.25 else 0
        sentence = 0 if i == 0 else records[-1]["sentence"] + (piece == 0)
        records.append(dict(sentence=sentence, piece=piece, labels=labels, predictions=guesses))
    result = dict(names=names, batch=batch, rows=records)
    for way in ("records", "sentences", "batches"):
        rows = {}
        for i, record in enumerate(records):
            key = {"records": i, "sentences": record["sentence"], "batches": i // batch}[way]
            row = rows.setdefault(key, ([], []))
            row[0].extend(names[x] for x in record["labels"])
            row[1].extend(names[x] for x in record["predictions"])
        result[way] = values([r[0] for r in rows.values()], [r[1] for r in rows.values()])
    return result


def main():
    warnings.simplefilter("ignore")
    rng = random.Random(11)
    cases = {}
    for name, names in NAMES.items():
        for right in (0.3, 0.8):
            cases[f"{name}_{right}"] = make(names, 23, 4, right, rng)
    cases["perfect"] = make(NAMES["iob"], 6, 4, 1.0, rng)
    with open("tests/goldens/metrics/entities.json", "w", encoding="utf-8") as out:
        json.dump(cases, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")
    for name, case in cases.items():
        print(name, {w: round(case[w]["f1"], 4) for w in ("records", "sentences", "batches")})


main()
