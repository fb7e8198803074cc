#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes GLUE tasks with several seeds and prints one JSON line a run, then one a task (mean, deviation).

  bench/glue.py --build build/release --glue GLUE_DIR --model MODEL_DIR --work DIR
                [--tasks MRPC,RTE,STS-B,SST-2,CoLA] [--seeds 1,2,3] [--threads 0] [--rows N]

GLUE_DIR holds the plain folders (MRPC/, RTE/, ...), MODEL_DIR model.safetensors and vocab.txt of MiniLM.
The job is the one of docs/results.md: batch 32, max_seq_length 128, learning rate 1e-4, linear warm-up over
10 % of the steps and linear decay to 0, 3 epochs (SST-2: 1). Needs only Python's standard library.
"""
import json
import os
import statistics
import subprocess
import sys
import time

import bench_common as bench

# task name of the tool, classes, metric_type, epochs
TASKS = {
    "MRPC": ("MRPC", 2, "f1", 3),
    "RTE": ("RTE", 2, "accuracy", 3),
    "STS-B": ("STS-B", 1, "pearson_spearman_corr", 3),
    "SST-2": ("SST-2", 2, "accuracy", 1),
    "CoLA": ("COLA", 2, "matthews_corrcoef", 3),
}


def run(command, **kwargs):
    done = subprocess.run(command, text=True, capture_output=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit {done.returncode}\n{done.stderr[-3000:]}")
    return done


def make_records(args, task):
    folder = os.path.join(args.work, "data", task)
    out = {k: os.path.join(folder, f"{k}.tf_record") for k in ("train", "eval")}
    if not all(os.path.exists(p) for p in out.values()):
        os.makedirs(folder, exist_ok=True)
        run([os.path.join(args.build, "create-finetuning-data"), f"--input_data_dir={args.glue}/{task}/",
             f"--vocab_file={args.model}/vocab.txt", f"--train_data_output_path={out['train']}",
             f"--eval_data_output_path={out['eval']}", f"--meta_data_file_path={folder}/meta.json",
             "--fine_tuning_task_type=classification", f"--classification_task_name={TASKS[task][0]}",
             "--max_seq_length=128"])
    return out


def overrides(args, task, seed, records):
    _, classes, metric, epochs = TASKS[task]
    values = {
        "runtime.threads": args.threads,
        "task.init_checkpoint": f"'{args.model}'",
        "task.model.num_classes": classes,
        "task.metric_type": metric,
        "task.train_data.input_path": f"'{records['train']}'",
        "task.train_data.global_batch_size": 32,
        "task.train_data.seq_length": 128,
        "task.train_data.shuffle_buffer_size": 100000,
        "task.train_data.epochs": epochs,
        "task.train_data.seed": seed,
        "task.validation_data.input_path": f"'{records['eval']}'",
        "task.validation_data.global_batch_size": 32,
        "task.validation_data.seq_length": 128,
        "trainer.train_steps": 0,
        "trainer.steps_per_loop": 50,
        "trainer.summary_interval": 50,
        "trainer.checkpoint_interval": 1000000,
        "trainer.validation_interval": 1000000,
        "trainer.best_checkpoint_export_subdir": "''",
        "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate": args.learning_rate,
        "trainer.optimizer_config.learning_rate.polynomial.decay_steps": "null",
        "trainer.optimizer_config.warmup.polynomial.warmup_steps": "null",
    }
    if args.rows:
        values["trainer.train_steps"] = epochs * (args.rows // 32)
    if classes == 1:
        values["task.train_data.label_type"] = "float"
        values["task.validation_data.label_type"] = "float"
    return ",".join(f"{k}={v}" for k, v in values.items())


def fine_tune(args, task, seed):
    records = make_records(args, task)
    model_dir = os.path.join(args.work, "runs", f"{task}-{seed}")
    subprocess.run(["rm", "-rf", model_dir], check=True)
    start = time.monotonic()
    run([os.path.join(args.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train_and_eval",
         f"--model_dir={model_dir}", f"--config_file={args.config}",
         f"--params_override={overrides(args, task, seed, records)}"])
    seconds = time.monotonic() - start
    with open(os.path.join(model_dir, "metrics.jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    final = rows[-1]
    trains = [r["examples_per_second"] for r in rows if r["kind"] == "train"]
    subprocess.run(["rm", "-rf", model_dir], check=True)
    skip = {"kind", "seconds", "step"}
    return {"task": task, "seed": seed, "steps": final["step"], "seconds": round(seconds, 1),
            "examples_per_second": round(statistics.median(trains), 1),
            **{k: v for k, v in final.items() if k not in skip}}


def main():
    parser = bench.parser(__doc__, ("glue", "model", "work"))
    parser.add_argument("--config", default="configs/models/minilm.yaml")
    parser.add_argument("--tasks", default="MRPC,RTE,STS-B,SST-2,CoLA")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0, help="train on about that many rows an epoch only")
    parser.add_argument("--learning_rate", default="0.0001")
    args = parser.parse_args()
    for task in args.tasks.split(","):
        results = []
        for seed in args.seeds.split(","):
            results.append(fine_tune(args, task, int(seed)))
            print(json.dumps(results[-1]), flush=True)
        summary = {"task": task, "seeds": len(results)}
        for key in results[0]:
            values = [r[key] for r in results]
            if key in ("task", "seed", "steps") or not all(isinstance(v, (int, float)) for v in values):
                continue
            summary[key] = {"mean": round(statistics.mean(values), 4),
                            "deviation": round(statistics.stdev(values), 4) if len(values) > 1 else 0.0}
        print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
