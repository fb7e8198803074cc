#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes SQuAD 1.1 with several seeds and measures an evaluation against the same one over padded sequences.
Prints one JSON line a run, then a summary.

  bench/squad.py --build build/release --squad SQUAD_DIR --model MODEL_DIR --work DIR
                 [--train train-v1.1-part44.json] [--dev dev-v1.1.json] [--seeds 1,2,3] [--epochs 3] [--steps N]
                 [--padding auto|drop] [--threads 0] [--repeats 3] [--skip accuracy|speed]

SQUAD_DIR holds the JSON files, MODEL_DIR model.safetensors and vocab.txt of MiniLM. The job: batch 16, sequences of 384,
doc_stride 128, learning rate 2e-4, linear warm-up over 10 % of the steps and linear decay to 0. Speed: evaluations with
runtime.padding=auto and =keep in turn, of the last seed's weights (or of fresh ones); medians of their seconds, and of
the processor's seconds, which other programs on the machine disturb less. Needs only Python's standard library.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import bench_common as bench


def run(args, mode, model_dir, values):
    """Seconds of the processor and of the clock."""
    words = [os.path.join(args.build, "bert-train"), "--experiment=bert/squad", f"--mode={mode}", f"--model_dir={model_dir}",
             f"--config_file={args.config}", "--params_override=" + ",".join(f"{k}={v}" for k, v in values.items())]
    start = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: {' '.join(words)}\n{lines}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start


def common(args):
    vocab = f"'{os.path.join(args.model, 'vocab.txt')}'"
    return {
        "runtime.threads": args.threads,
        "task.model.encoder.bert.hidden_activation": args.activation,
        "task.train_data.input_path": f"'{os.path.join(args.squad, args.train)}'",
        "task.train_data.vocab_file": vocab,
        "task.train_data.global_batch_size": 16,
        "task.validation_data.input_path": f"'{os.path.join(args.squad, args.dev)}'",
        "task.validation_data.vocab_file": vocab,
        "task.validation_data.global_batch_size": 32,
        "trainer.validation_steps": -1,
    }


def training(args, seed):
    rate = "trainer.optimizer_config.learning_rate.polynomial."
    return {
        **common(args),
        "runtime.padding": args.padding,
        "task.init_checkpoint": f"'{args.model}'",
        "task.train_data.shuffle_buffer_size": 1000000,
        "task.train_data.epochs": args.epochs,
        "task.train_data.seed": seed,
        "trainer.train_steps": args.steps,
        "trainer.steps_per_loop": 50,
        "trainer.summary_interval": 50,
        "trainer.checkpoint_interval": 1000000,
        "trainer.validation_interval": 1000000,
        "trainer.best_checkpoint_export_subdir": "''",
        rate + "initial_learning_rate": args.learning_rate,
        rate + "end_learning_rate": 0.0,
        rate + "decay_steps": "null",
        "trainer.optimizer_config.warmup.polynomial.warmup_steps": "null",
    }


def records(model_dir):
    with open(os.path.join(model_dir, "metrics.jsonl"), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fine_tune(args, seed, model_dir):
    shutil.rmtree(model_dir, ignore_errors=True)
    _, seconds = run(args, "train_and_eval", model_dir, training(args, seed))
    rows = records(model_dir)
    trains = [r for r in rows if r["kind"] == "train"]
    evaluation = [r for r in rows if r["kind"] == "validation"][-1]
    return {"seed": seed, "steps": evaluation["step"], "seconds": round(seconds, 1), "evaluation_seconds": round(evaluation["seconds"], 1),
            "train_windows_per_second": round(statistics.median(r["examples_per_second"] for r in trains), 1),
            "exact_match": evaluation["exact_match"], "final_f1": evaluation["final_f1"]}


def measure_speed(args, model_dir):
    if not os.path.exists(os.path.join(model_dir, "checkpoint")):
        run(args, "train", model_dir, {**training(args, 1), "trainer.train_steps": 1})
    seconds = {"auto": [], "keep": []}
    processor = {"auto": [], "keep": []}
    answers = {}
    for _ in range(args.repeats):
        for padding, all_seconds in seconds.items():
            used, _ = run(args, "eval", model_dir, {**common(args), "runtime.padding": padding})
            processor[padding].append(used)
            all_seconds.append(records(model_dir)[-2]["seconds"])
            with open(os.path.join(model_dir, "predictions.json"), encoding="utf-8") as f:
                answers[padding] = json.load(f)
    same = sum(answers["auto"][key] == text for key, text in answers["keep"].items())
    result = {"questions": len(answers["auto"]), "same_answers": same}
    for name, all_seconds in (("seconds", seconds), ("processor_seconds", processor)):
        packed, padded = statistics.median(all_seconds["auto"]), statistics.median(all_seconds["keep"])
        result[name] = {"packed": round(packed, 2), "padded": round(padded, 2), "ratio": round(padded / packed, 2)}
    return result


def main():
    parser = bench.parser(__doc__, ("squad", "model", "work"))
    parser.add_argument("--config", default="configs/models/minilm.yaml")
    parser.add_argument("--train", default="train-v1.1-part44.json")
    parser.add_argument("--dev", default="dev-v1.1.json")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="train so many steps in place of epochs")
    parser.add_argument("--padding", default="auto", choices=("auto", "drop"))
    parser.add_argument("--activation", default="gelu", help="gelu_erf: what MiniLM was trained with")
    parser.add_argument("--learning_rate", default="0.0002")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip", default="", choices=("", "accuracy", "speed"))
    args = parser.parse_args()
    args.model = os.path.abspath(args.model)
    args.squad = os.path.abspath(args.squad)
    os.makedirs(args.work, exist_ok=True)
    model_dir = os.path.join(args.work, "run")
    results = []
    for seed in args.seeds.split(",") if args.skip != "accuracy" else []:
        results.append(fine_tune(args, int(seed), model_dir))
        print(json.dumps(results[-1]), flush=True)
    if len(results) > 1:
        print(json.dumps({key: {"mean": round(statistics.mean(r[key] for r in results), 4),
                                "deviation": round(statistics.stdev(r[key] for r in results), 4)}
                          for key in ("exact_match", "final_f1", "seconds")}), flush=True)
    if args.skip != "speed":
        print(json.dumps(measure_speed(args, model_dir)), flush=True)


if __name__ == "__main__":
    main()
