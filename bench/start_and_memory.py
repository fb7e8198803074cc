#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a user waits for and what a run takes, and prints one JSON object.

  bench/start_and_memory.py --build build/release --model MODEL_DIR --records MRPC_TRAIN.tf_record [--repeats 5] [--skip evaluation]

from_exec_seconds: from starting the process to its line that it is ready for the first training step; ready_seconds: what that line says; run_seconds: the whole
process with that one step of batch 32 and no checkpoint; medians, the weights are in the page cache. weights_gb (1e9 bytes) are those of model.safetensors;
beyond_reading_seconds: from_exec_seconds less what reading them at 1 GB/s would take. read_gb_per_second: what Python needs to read the file once, for comparison.
evaluation_mib: peak resident memory of evaluating the records once, and ten times over.
Needs only Python's standard library.
"""
import argparse
import json
import os
import re
import tempfile
import time

import bench_common as bench


def run(args, mode, model_dir, overrides, **how):
    values = {"task.model.num_classes": 2, "task.init_checkpoint": f"'{args.model}'",
              "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 10,
              "trainer.optimizer_config.warmup.polynomial.warmup_steps": 1, **overrides}
    return bench.bert_train(args.build, model_dir, values, mode=mode, **how)


def first_step(args, scratch):
    overrides = {"task.train_data.input_path": f"'{args.records}'", "task.train_data.global_batch_size": 32,
                 "trainer.train_steps": 1, "trainer.steps_per_loop": 1, "trainer.summary_interval": 1,
                 "trainer.checkpoint_interval": 0}
    line = r"ready for the first step after ([0-9.]+) s"
    runs = [run(args, "train", os.path.join(scratch, f"t{i}"), overrides, watch=line) for i in range(args.repeats)]
    gigabytes = os.path.getsize(os.path.join(args.model, "model.safetensors")) / 1e9
    from_exec = bench.median([r.matched_after for r in runs])
    return {"from_exec_seconds": from_exec, "ready_seconds": bench.median([float(re.search(line, r.stderr)[1]) for r in runs]),
            "run_seconds": bench.median([r.seconds for r in runs]), "weights_gb": round(gigabytes, 4),
            "beyond_reading_seconds": round(from_exec - gigabytes, 3)}


def read_weights(args):
    path = os.path.join(args.model, "model.safetensors")
    times = []
    for _ in range(args.repeats):
        start = time.monotonic()
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
        times.append(time.monotonic() - start)
    return {"read_weights_seconds": bench.median(times), "read_gb_per_second": round(os.path.getsize(path) / 1e9 / bench.median(times, 6), 2)}


def evaluation_memory(args, scratch, copies):
    paths = ",".join([args.records] * copies)
    overrides = {"task.validation_data.input_path": f"'{paths}'", "task.validation_data.global_batch_size": 32,
                 "trainer.best_checkpoint_export_subdir": "''"}
    return round(run(args, "eval", os.path.join(scratch, f"e{copies}"), overrides).peak_bytes / (1 << 20), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", required=True)
    parser.add_argument("--records", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip", default="", choices=("", "evaluation"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = {**first_step(args, scratch), **read_weights(args)}
        if args.skip != "evaluation":
            result["evaluation_mib"] = evaluation_memory(args, scratch, 1)
            result["evaluation_mib_10_times_the_rows"] = evaluation_memory(args, scratch, 10)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
