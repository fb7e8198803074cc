#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the peak memory of training with and without runtime.recompute, and what recomputing costs in time; in turns (A B A B); prints one JSON object.

  bench/memory.py --build build/release --glue GLUE_DIR --vocab vocab.txt [--model base|minilm] [--task MRPC] [--batch 32] [--steps 5] [--rounds 2] [--threads 2]

Every step trains on the batch with the most tokens of a shuffled epoch (of seed 1), because that one decides what a run takes. The peak is the greatest resident memory of the
whole process (ru_maxrss), GB are 1e9 bytes; the rate leaves out the first two steps. Weights are fresh; no checkpoint is written before the end. Needs only Python's standard library.
"""
import argparse
import json
import os
import random
import statistics
import tempfile

import bench_common as bench

WARM_UP = 2


def worst_batch(records, batch, out):
    """Keeps the rows of that batch; the number of its tokens."""
    rows = [(len(bench.ids_of(record)), record) for record in bench.raw_records(records)]
    random.Random(1).shuffle(rows)
    batches = [rows[i:i + batch] for i in range(0, max(1, len(rows) - batch + 1), batch)]
    worst = max(batches, key=lambda some: sum(n for n, _ in some))
    with open(out, "wb") as file:
        file.write(b"".join(record for _, record in worst))
    return sum(n for n, _ in worst)


def train(args, records, folder, recompute):
    values = bench.training_overrides(records, args.model, args.steps + WARM_UP, args.batch, threads=args.threads)
    done = bench.bert_train(args.build, folder, {**values, "runtime.recompute": str(recompute).lower()}, args.model)
    rows = bench.metrics(folder, "train")[WARM_UP:]
    return done.peak_bytes / 1e9, statistics.mean(1 / r["examples_per_second"] for r in rows) * args.batch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    for name in ("glue", "vocab"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--task", default="MRPC")
    parser.add_argument("--model", default="base", choices=sorted(bench.SIZES))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    runs = {False: [], True: []}
    with tempfile.TemporaryDirectory() as scratch:
        records = bench.make_records(args.build, f"{args.glue}/{args.task}", args.task, args.vocab, scratch)
        tokens = worst_batch(records, args.batch, worst := os.path.join(scratch, "worst.tf_record"))
        for i in range(args.rounds):
            for recompute, some in runs.items():
                with tempfile.TemporaryDirectory(dir=scratch) as folder:
                    some.append(train(args, worst, os.path.join(folder, "run"), recompute))
    peak, seconds = ({key: [run[i] for run in some] for key, some in runs.items()} for i in (0, 1))
    print(json.dumps({"model": args.model, "task": args.task, "batch": args.batch, "tokens": tokens, "steps": args.steps, "peak_gb": round(max(peak[False]), 3),
                      "recompute_peak_gb": round(max(peak[True]), 3), "seconds_per_step": bench.median(seconds[False], 4),
                      "recompute_seconds_per_step": bench.median(seconds[True], 4),
                      "recompute_cost": round(statistics.median(seconds[True]) / statistics.median(seconds[False]) - 1, 3),
                      "all": bench.rounded(seconds[False], 4), "recompute_all": bench.rounded(seconds[True], 4)}))


if __name__ == "__main__":
    main()
