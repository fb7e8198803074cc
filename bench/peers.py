#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures training steps beside Hugging Face Transformers, in turns (A B A B), and prints one JSON object.

  bench/peers.py --build build/release --python PYTHON --glue GLUE_DIR --vocab vocab.txt
                 [--task SST-2|MRPC|CoLA] [--model minilm|base] [--rounds 3] [--steps 40] [--peer_steps 8] [--threads 2] [--precision float32|bfloat16]

Both train a classifier with fresh weights and AdamW on the rows of the task's train.tsv, batch 32, at most 128 tokens, float32; the peer pads each batch to its
longest row. Rates are optimizer steps only (data is ready before the clock starts). PYTHON has torch and transformers; the tools of the build need nothing.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

BATCH = 32
COLUMNS = {"SST-2": ((0,), 1, True), "MRPC": ((3, 4), 0, True), "CoLA": ((3,), 1, False)}
SIZES = {"minilm": (6, 384, 1536, "minilm.yaml"), "base": (12, 768, 3072, "bert_en_uncased_base.yaml")}

PEER = r'''
import json, random, sys, time
a = json.loads(sys.argv[1])
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification
torch.set_num_threads(a["threads"])
torch.manual_seed(0)
random.seed(0)
tokenizer = BertWordPieceTokenizer(a["vocab"], lowercase=True)
tokenizer.enable_truncation(128)
lines = open(a["tsv"], encoding="utf-8").read().rstrip("\n").split("\n")[1 if a["header"] else 0:]
rows = [line.split("\t") for line in lines]
random.shuffle(rows)
L, H, I = a["size"]
model = BertForSequenceClassification(BertConfig(vocab_size=30522, num_hidden_layers=L, hidden_size=H, intermediate_size=I,
                                                 num_attention_heads=12, num_labels=2))
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5, weight_decay=0.01)
names = sorted({row[a["label"]] for row in rows})
times = []
for step in range(a["steps"] + 2):
    some = rows[step * 32:(step + 1) * 32]
    texts = [tokenizer.encode(*[row[c] for c in a["columns"]]) for row in some]
    n = max(len(t.ids) for t in texts)
    full = lambda lists: torch.tensor([list(x) + [0] * (n - len(x)) for x in lists])
    batch = dict(input_ids=full([t.ids for t in texts]), token_type_ids=full([t.type_ids for t in texts]),
                 attention_mask=full([[1] * len(t.ids) for t in texts]), labels=torch.tensor([names.index(r[a["label"]]) for r in some]))
    start = time.perf_counter()
    optimizer.zero_grad()
    model(**batch).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step >= 2:
        times.append(time.perf_counter() - start)
print(json.dumps(32 / (sum(times) / len(times))))
'''


def peer(args, tsv):
    columns, label, header = COLUMNS[args.task]
    settings = {"threads": args.threads, "vocab": args.vocab, "tsv": tsv, "header": header, "label": label, "columns": columns,
                "size": SIZES[args.model][:3], "steps": args.peer_steps}
    done = subprocess.run([args.python, "-c", PEER, json.dumps(settings)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the peer failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.strip().split("\n")[-1])


def own(args, records, folder):
    values = {"task.model.num_classes": 2, "task.train_data.input_path": f"'{records}'", "task.train_data.global_batch_size": BATCH,
              "task.train_data.seq_length": 128, "trainer.train_steps": args.steps + 4, "trainer.steps_per_loop": 4, "trainer.summary_interval": 4,
              "trainer.checkpoint_interval": 0, "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 1000,
              "trainer.optimizer_config.warmup.polynomial.warmup_steps": 10, "runtime.threads": args.threads,
              "runtime.mixed_precision_dtype": args.precision}
    words = [os.path.join(args.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train", f"--model_dir={folder}",
             "--config_file=" + os.path.join(os.path.dirname(__file__), "..", "configs", "models", SIZES[args.model][3]),
             "--params_override=" + ",".join(f"{k}={v}" for k, v in values.items())]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bert-train failed:\n{done.stderr[-2000:]}")
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        rates = [r["examples_per_second"] for r in map(json.loads, file) if r["kind"] == "train"][1:]
    return len(rates) / sum(1 / rate for rate in rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("build", "python", "glue", "vocab"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--task", default="SST-2", choices=sorted(COLUMNS))
    parser.add_argument("--model", default="minilm", choices=sorted(SIZES))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--peer_steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    tsv = os.path.join(args.glue, args.task, "train.tsv")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        records = os.path.join(scratch, "train.tf_record")
        subprocess.run([os.path.join(args.build, "create-finetuning-data"), f"--input_data_dir={args.glue}/{args.task}",
                        f"--classification_task_name={args.task}", f"--vocab_file={args.vocab}", f"--train_data_output_path={records}",
                        f"--meta_data_file_path={scratch}/meta", "--max_seq_length=128"], check=True, capture_output=True)
        for i in range(args.rounds):
            ours.append(own(args, records, os.path.join(scratch, f"run{i}")))
            theirs.append(peer(args, tsv))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(json.dumps({"task": args.task, "model": args.model, "precision": args.precision, "threads": args.threads,
                      "examples_per_second": round(a, 1), "peer_examples_per_second": round(b, 1), "ratio": round(a / b, 2),
                      "all": [round(x, 1) for x in ours], "peer_all": [round(x, 1) for x in theirs]}))


if __name__ == "__main__":
    main()
