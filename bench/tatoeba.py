#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of sentence vectors on Tatoeba: before training, and after training on half of the pairs.

  bench/tatoeba.py --build build/release --tatoeba DIR --model MODEL_DIR --work DIR
                   [--languages all|de,fr,...] [--score cosine|ratio] [--epochs 10] [--batch 64]
                   [--rate 1e-4] [--scale 20] [--margin 0.1] [--seed N] [--threads 0] [--no_train]

DIR holds de-en.de, de-en.en, ...; MODEL_DIR model.safetensors and vocab.txt of MiniLM. Accuracy is the
share of sentences whose nearest neighbour (cosine) in the other language is their own translation, from
the other language to English and from English. The first half of each language's pairs is for training,
the second one for the comparison; one model learns from all languages together. Prints one JSON line a
language, then the means, then a table. Needs only Python's standard library.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(args, mode, overrides, *more):
    command = [os.path.join(args.build, "bert-train"), "--experiment=bert/dual_encoder",
               "--mode=" + mode, "--config_file=" + os.path.join(HERE, "configs/models/minilm.yaml"),
               "--config_file=" + os.path.join(HERE, "configs/experiments/pairs.yaml"),
               "--params_override=" + ",".join(f"{k}={v}" for k, v in overrides.items()), *more]
    started = time.time()
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout, time.time() - started


def languages_of(args):
    names = sorted(re.sub(r"-en\.en$", "", n) for n in os.listdir(args.tatoeba)
                   if n.endswith("-en.en"))
    return names if args.languages == "all" else args.languages.split(",")


def read_lines(path):
    with open(path, encoding="utf-8", newline="\n") as source:
        return source.read().rstrip("\n").split("\n")


def split_halves(args, language):
    """Writes both halves of a language's pairs; returns {part: (left, right)}."""
    parts = {"all": [], "train": [], "test": []}
    for side in (language, "en"):
        path = os.path.join(args.tatoeba, f"{language}-en.{side}")
        lines = read_lines(path)
        half = len(lines) // 2
        parts["all"].append(path)
        for part, rows in (("train", lines[:half]), ("test", lines[half:])):
            out = os.path.join(args.work, f"{part}.{language}-en.{side}")
            with open(out, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(row + "\n" for row in rows)
            parts[part].append(out)
    return parts


def accuracy(args, files, model_dir, weights):
    out, _ = run(args, "predict", dict(weights, **{
        "runtime.threads": args.threads,
        "task.gold_pairs": "rows",
        "task.mining_score": args.score,
        "task.validation_data.vocab_file": f"'{args.model}/vocab.txt'",
        "task.validation_data.input_path": f"'{files[0]}'",
        "task.validation_data.right_input_path": f"'{files[1]}'",
    }), "--model_dir=" + model_dir, "--output_path=" + os.path.join(args.work, "pairs.tsv"))
    values = dict(line.split() for line in out.splitlines() if "accuracy" in line)
    return float(values["left_accuracy"]), float(values["right_accuracy"])


def train(args, halves, model_dir):
    sides = [",".join(h["train"][side] for h in halves.values()) for side in (0, 1)]
    _, seconds = run(args, "train", {
        "runtime.threads": args.threads,
        "task.init_checkpoint": f"'{args.model}'",
        "task.model.logit_scale": args.scale,
        "task.model.logit_margin": args.margin,
        "task.train_data.vocab_file": f"'{args.model}/vocab.txt'",
        "task.train_data.input_path": f"'{sides[0]}'",
        "task.train_data.right_input_path": f"'{sides[1]}'",
        "task.train_data.global_batch_size": args.batch,
        "task.train_data.epochs": args.epochs,
        "task.train_data.seed": args.seed,
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": args.rate,
        "trainer.checkpoint_interval": 1000000,
    }, "--model_dir=" + model_dir)
    return seconds


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    for name in ("build", "tatoeba", "model", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--languages", default="all")
    parser.add_argument("--score", default="cosine")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", default="1e-4")
    parser.add_argument("--scale", type=float, default=20.0)
    parser.add_argument("--margin", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no_train", action="store_true")
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    halves = {language: split_halves(args, language) for language in languages_of(args)}
    fresh = os.path.join(args.work, "untrained")
    init = {"task.init_checkpoint": f"'{args.model}'"}
    rows = {language: {"all": accuracy(args, h["all"], fresh, init),
                       "before": accuracy(args, h["test"], fresh, init)}
            for language, h in halves.items()}
    if not args.no_train:
        model_dir = os.path.join(args.work, f"trained-{args.seed}")
        print(json.dumps({"training_seconds": round(train(args, halves, model_dir), 1)}), flush=True)
        for language, h in halves.items():
            rows[language]["after"] = accuracy(args, h["test"], model_dir, {})
    for language, row in rows.items():
        print(json.dumps(dict(row, language=language)), flush=True)
    columns = list(next(iter(rows.values())))
    means = {c: [sum(row[c][side] for row in rows.values()) / len(rows) for side in (0, 1)]
             for c in columns}
    print(json.dumps({"means": means}))
    print("| language | " + " | ".join(columns) + " |")
    for language, row in list(rows.items()) + [("mean", means)]:
        cells = [f"{100 * row[c][0]:.1f} / {100 * row[c][1]:.1f}" for c in columns]
        print(f"| {language} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
