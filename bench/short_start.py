#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a short command (--init, --train) costs before its first step beside the same run typed in full, and prints one JSON object.

  bench/short_start.py --build build/release --model MODEL_DIR --train TRAIN.tsv [--text=a,b] [--label=c] [--repeats 20]

The long form is the configuration that a dry run of the short one prints, so both do the same job. Each run is killed at its line that it is ready for the first
step; the two take turns. wall: seconds from starting the process to that line, the best of all; processor: user and system time of the process until then, the best
and the median. The weights are in the page cache. --model random makes a folder of MiniLM's sizes with random numbers, for --vocab. Needs only Python's standard library.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "e2e", "support"))
import weights  # noqa: E402

MINILM = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, max_position_embeddings=512)


def random_weights(folder, vocab):
    with open(vocab, encoding="utf-8") as file:
        pieces = file.read().split("\n")[:-1]
    weights.write_folder(folder, pieces, special=(), **MINILM)
    return folder


def until_ready(words):
    start = time.monotonic()
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    lines, wall = [], None
    for line in child.stderr:
        lines.append(line)
        if b"ready for the first step" in line:
            wall = time.monotonic() - start
            child.kill()
            break
    child.stderr.close()
    _, _, usage = os.wait4(child.pid, 0)
    if wall is None:
        sys.exit(b"".join(lines).decode())
    return wall, usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", required=True)
    parser.add_argument("--vocab")
    parser.add_argument("--train", required=True)
    parser.add_argument("--text")
    parser.add_argument("--label")
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    program = os.path.join(args.build, "bert-train")
    with tempfile.TemporaryDirectory() as scratch:
        model = random_weights(os.path.join(scratch, "model"), args.vocab) if args.model == "random" else args.model
        common = [program, "--experiment=bert/sentence_prediction", "--mode=train"]
        short = [f"--init={model}", f"--train={args.train}"]
        short += [f"--{name}={value}" for name, value in (("text", args.text), ("label", args.label)) if value]
        typed = os.path.join(scratch, "typed.yaml")
        with open(typed, "w", encoding="utf-8") as out:
            subprocess.run(common + short + ["--model_dir=" + os.path.join(scratch, "none"), "--dry_run"], stdout=out, check=True)
        runs = {"short": [], "typed": []}
        for i in range(args.repeats):
            for name, words in (("short", short), ("typed", ["--config_file=" + typed])):
                folder = os.path.join(scratch, f"{name}{i}")
                runs[name].append(until_ready(common + words + ["--model_dir=" + folder]))
        print(json.dumps({name: {"wall_seconds": round(min(w for w, _ in r), 3), "processor_seconds": round(min(c for _, c in r), 3),
                                 "processor_seconds_median": round(statistics.median(c for _, c in r), 3)} for name, r in runs.items()}))


if __name__ == "__main__":
    main()
