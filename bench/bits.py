#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the same steps with several numbers of threads and compares the checkpoints byte by byte; prints one JSON object.

  bench/bits.py --build build/release --glue GLUE_DIR --vocab vocab.txt [--model minilm|base] [--task MRPC] [--steps 8] [--threads 1,2]

What is compared are the variables, slots and all else in the data file of the last checkpoint. test_exec and e2e_run_semantics hold the same on small models.
Needs only Python's standard library.
"""
import argparse
import glob
import hashlib
import json
import os
import tempfile

import bench_common as bench


def digest(folder):
    paths = sorted(glob.glob(os.path.join(folder, "ckpt-*.data-*")))
    with open(paths[-1], "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    for name in ("glue", "vocab"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--task", default="MRPC")
    parser.add_argument("--model", default="minilm", choices=sorted(bench.SIZES))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", default="1,2")
    args = parser.parse_args()
    digests, losses = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        records = bench.make_records(args.build, f"{args.glue}/{args.task}", args.task, args.vocab, scratch)
        for threads in args.threads.split(","):
            folder = os.path.join(scratch, threads)
            values = bench.training_overrides(records, args.model, args.steps, threads=int(threads))
            bench.bert_train(args.build, folder, {**values, "trainer.checkpoint_interval": args.steps}, args.model)
            digests[threads] = digest(folder)
            losses[threads] = bench.metrics(folder, "train")[-1]["training_loss"]
    print(json.dumps({"model": args.model, "task": args.task, "steps": args.steps, "threads": args.threads, "losses": losses,
                      "same_bits": len(set(digests.values())) == 1, "sha256": digests}))


if __name__ == "__main__":
    main()
