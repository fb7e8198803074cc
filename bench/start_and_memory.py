#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a user waits for and what a run takes, and prints one JSON object.

  bench/start_and_memory.py --build build/release --model MODEL_DIR --records MRPC_TRAIN.tf_record [--repeats 5]

ready_seconds: from the start of the run to the beginning of the first training step (the program logs it); run_seconds:
the whole process with that one step of batch 32 and no checkpoint; medians, the weights are in the page cache. read_weights_seconds: reading model.safetensors once, for comparison.
evaluation_mib: peak resident memory of evaluating the records once, and ten times over.
Needs only Python's standard library.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time


def command(args, mode, model_dir, overrides):
    values = {"task.model.num_classes": 2, "task.init_checkpoint": f"'{args.model}'",
              "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 10,
              "trainer.optimizer_config.warmup.polynomial.warmup_steps": 1, **overrides}
    return [os.path.join(args.build, "bert-train"), "--experiment=bert/sentence_prediction", f"--mode={mode}",
            f"--model_dir={model_dir}", f"--config_file={args.config}", "--params_override=" + ",".join(f"{k}={v}" for k, v in values.items())]


def run(words):
    """Seconds, peak resident memory (MiB) and the lines on stderr of one run."""
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: {' '.join(words)}\n{lines}")
    return seconds, usage.ru_maxrss / 1024, lines


def first_step(args, scratch):
    overrides = {"task.train_data.input_path": f"'{args.records}'", "task.train_data.global_batch_size": 32,
                 "trainer.train_steps": 1, "trainer.steps_per_loop": 1, "trainer.summary_interval": 1,
                 "trainer.checkpoint_interval": 0}
    runs = [run(command(args, "train", os.path.join(scratch, f"t{i}"), overrides)) for i in range(args.repeats)]
    ready = [float(re.search(r"ready for the first step after ([0-9.]+) s", lines)[1]) for _, _, lines in runs]
    return round(statistics.median(ready), 3), round(statistics.median(seconds for seconds, _, _ in runs), 3)


def read_weights(args):
    path = os.path.join(args.model, "model.safetensors")
    times = []
    for _ in range(args.repeats):
        start = time.monotonic()
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
        times.append(time.monotonic() - start)
    return round(statistics.median(times), 3)


def evaluation_memory(args, scratch, copies):
    paths = ",".join([args.records] * copies)
    overrides = {"task.validation_data.input_path": f"'{paths}'", "task.validation_data.global_batch_size": 32,
                 "trainer.best_checkpoint_export_subdir": "''"}
    return round(run(command(args, "eval", os.path.join(scratch, f"e{copies}"), overrides))[1], 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--model", required=True)
    parser.add_argument("--records", required=True)
    parser.add_argument("--config", default="configs/models/minilm.yaml")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ready, whole = first_step(args, scratch)
        print(json.dumps({"ready_seconds": ready, "run_seconds": whole,
                          "read_weights_seconds": read_weights(args),
                          "evaluation_mib": evaluation_memory(args, scratch, 1),
                          "evaluation_mib_10_times_the_rows": evaluation_memory(args, scratch, 10)}))


if __name__ == "__main__":
    main()
