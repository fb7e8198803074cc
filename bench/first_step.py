#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time and memory to the first step on large tables, at the first start and at the second, which has an index; from a local disk, or from s3:// over loopback with a
latency. Prints a JSON object a start.

    bench/first_step.py --build build/release --vocab vocab.txt --work FOLDER --rows 1000000,3000000 [--form csv|tsv|jsonl|records] [--alone] [--store [--latency 0.02]]

--alone is bert-train --train FILE: a tenth of the rows is held out, and the texts of both parts are compared. Records are made by create-finetuning-data.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/remote/support"))

KEYS = ("task.model.num_classes=2,task.model.encoder.bert.hidden_size=16,task.model.encoder.bert.num_layers=1,task.model.encoder.bert.num_attention_heads=2,"
        "task.model.encoder.bert.intermediate_size=16,task.train_data.text_fields=[sentence],task.train_data.label_field=label,task.train_data.seq_length=32,"
        "task.train_data.global_batch_size=8,trainer.train_steps=1,trainer.steps_per_loop=1,task.validation_data.input_path=null")
RECORD_KEYS = KEYS.replace("task.train_data.text_fields=[sentence],task.train_data.label_field=label,", "")
ALONE_KEYS = KEYS.replace(",task.validation_data.input_path=null", ",task.validation_data.seq_length=32,trainer.validation_interval=0,trainer.validation_steps=1")


def make_rows(n, path):
    if not os.path.exists(path):
        subprocess.run([sys.executable, os.path.join(HERE, "make_rows.py"), str(n), path], check=True)


def make_table(args, n):
    path = os.path.join(args.work, f"{n}.{args.form}")
    if args.form != "records" or os.path.exists(path):
        make_rows(n, path)
        return path
    folder = os.path.join(args.work, f"{n}.glue")
    os.makedirs(folder, exist_ok=True)
    make_rows(n, os.path.join(folder, "train.tsv"))
    make_rows(10, os.path.join(folder, "dev.tsv"))
    subprocess.run([os.path.join(args.build, "create-finetuning-data"), f"--input_data_dir={folder}", f"--vocab_file={args.vocab}", "--classification_task_name=SST-2",
                    "--max_seq_length=32", f"--train_data_output_path={path}", f"--eval_data_output_path={path}.dev", f"--meta_data_file_path={path}.meta"],
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder)
    return path


def start(args, path, env):
    model_dir = os.path.join(args.work, "m")
    shutil.rmtree(model_dir, ignore_errors=True)
    words = [os.path.join(args.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train", f"--model_dir={model_dir}"]
    if args.alone:
        words[2] = "--mode=train_and_eval"
        words += [f"--train={path}", f"--params_override={ALONE_KEYS},task.train_data.vocab_file={args.vocab},task.validation_data.vocab_file={args.vocab}"]
    elif args.form == "records":
        words.append(f"--params_override={RECORD_KEYS},task.train_data.input_path={path}")
    else:
        words.append(f"--params_override={KEYS},task.train_data.input_path={path},task.train_data.vocab_file={args.vocab}")
    began = time.monotonic()
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env, text=True)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(said)
    ready = re.search(r"ready for the first step after ([\d.]+) s", said)
    return {"ready_seconds": float(ready.group(1)), "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2), "run_seconds": round(time.monotonic() - began, 2),
            "peak_mb": round(usage.ru_maxrss / 1024, 1)}


def measure(args, n, path, env, store):
    for turn in ("first", "second"):
        before = store.bytes_sent if store else 0
        found = start(args, path, env)
        if store:
            del found["peak_mb"]    # that of this process, which holds the store and was copied
            found["sent_mb"] = round((store.bytes_sent - before) / 1e6, 1)
        print(json.dumps({"rows": n, "start": turn, **found}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ("build", "vocab", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--rows", default="1000000,3000000")
    parser.add_argument("--form", default="csv", choices=["csv", "tsv", "jsonl", "records"])
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--latency", type=float, default=0.02)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    env = dict(os.environ, XDG_CACHE_HOME=os.path.join(args.work, "cache"))
    for n in (int(word) for word in args.rows.split(",")):
        path = make_table(args, n)
        if not args.store:
            measure(args, n, path, env, None)
            continue
        import remote_case
        import store_server
        with store_server.Server() as server:
            with open(path, "rb") as source:
                server.store.put("bucket", os.path.basename(path), source.read())
            server.store.s3_key = ("AKID", "S3CRET")
            server.store.latency = args.latency
            there = dict(env, **remote_case.CLEAN)
            there.update(AWS_ENDPOINT_URL=server.url, AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="S3CRET")
            measure(args, n, "s3://bucket/" + os.path.basename(path), there, server.store)


if __name__ == "__main__":
    main()
