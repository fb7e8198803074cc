#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures training steps beside Hugging Face Transformers and Model Garden's trainer, in turns (A B C A B C), and prints one JSON object.

  bench/peers.py --build build/release --glue GLUE_DIR --vocab vocab.txt [--peer hf,mg] [--python PYTHON] [--tf_python PYTHON]
                 [--task SST-2|MRPC|CoLA] [--model minilm|base] [--rounds 3] [--steps 40] [--peer_steps 8] [--mg_steps 6]
                 [--threads 2] [--precision float32|bfloat16] [--sort]

All train a classifier with fresh weights and AdamW on the rows of the task's train.tsv, batch 32, at most 128 tokens. hf: torch and transformers in --python; each
batch is padded to its longest row, with --sort (its strongest setting) of rows of similar length; bfloat16 is torch's autocast. mg: tf-models-official's official/nlp/train.py in --tf_python, on the records of create-finetuning-data, padded to 128.
Rates are training steps only: the first steps, starts, and (but for Model Garden, whose loop feeds itself) input are outside the clock.
"""
import json
import os
import re
import statistics
import tempfile

import bench_common as bench

BATCH = 32
COLUMNS = {"SST-2": ((0,), 1, True), "MRPC": ((3, 4), 0, True), "CoLA": ((3,), 1, False)}

HF = r'''
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
bfloat16 = torch.autocast("cpu", dtype=torch.bfloat16, enabled=a["precision"] == "bfloat16")
lines = open(a["tsv"], encoding="utf-8").read().rstrip("\n").split("\n")[1 if a["header"] else 0:]
rows = [line.split("\t") for line in lines]
random.shuffle(rows)
L, H, I, heads = a["size"]
model = BertForSequenceClassification(BertConfig(vocab_size=30522, num_hidden_layers=L, hidden_size=H, intermediate_size=I,
                                                 num_attention_heads=heads, num_labels=2))
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5, weight_decay=0.01)
names = sorted({row[a["label"]] for row in rows})
times = []
encode = lambda row: tokenizer.encode(*[row[c] for c in a["columns"]])
needed = (a["steps"] + 2) * 32
rows = (rows * (needed // len(rows) + 1))[:needed]
if a["sort"]:
    rows.sort(key=lambda row: len(encode(row).ids))
parts = [rows[i:i + 32] for i in range(0, needed, 32)]
random.shuffle(parts)
for step, some in enumerate(parts):
    texts = [encode(row) for row in some]
    n = max(len(t.ids) for t in texts)
    full = lambda lists: torch.tensor([list(x) + [0] * (n - len(x)) for x in lists])
    batch = dict(input_ids=full([t.ids for t in texts]), token_type_ids=full([t.type_ids for t in texts]),
                 attention_mask=full([[1] * len(t.ids) for t in texts]), labels=torch.tensor([names.index(r[a["label"]]) for r in some]))
    start = time.perf_counter()
    optimizer.zero_grad()
    with bfloat16:
        loss = model(**batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step >= 2:
        times.append(time.perf_counter() - start)
print(json.dumps(32 / (sum(times) / len(times))))
'''
# the real trainer; on the CPU whatever else the machine has. It logs steps/sec with one digit only: print what it measured in full
MG = r'''
import os, runpy, sys
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
from orbit import controller
measured = controller.StepTimer.steps_per_second
def steps_per_second(self, *words, **more):
    rate = measured(self, *words, **more)
    print("measured steps per second:", repr(float(rate)))
    return rate
controller.StepTimer.steps_per_second = steps_per_second
sys.argv[0] = "train.py"
runpy.run_module("official.nlp.train", run_name="__main__", alter_sys=False)
'''


def hugging_face(args, records, folder):
    columns, label, header = COLUMNS[args.task]
    settings = {"threads": args.threads, "vocab": args.vocab, "tsv": os.path.join(args.glue, args.task, "train.tsv"), "header": header,
                "label": label, "columns": columns, "size": bench.SIZES[args.model][:4], "steps": args.peer_steps,
                "precision": args.precision, "sort": args.sort}
    return bench.python_peer(args.python, HF, settings, env={"TOKENIZERS_PARALLELISM": "false"})


def model_garden(args, records, folder):
    """Steps of a loop of one; the first two build graphs and warm up."""
    values = {**bench.training_overrides(records, args.model, args.mg_steps + 2), "task.train_data.is_training": "true",
              "runtime.distribution_strategy": "one_device", "runtime.mixed_precision_dtype": args.precision}
    del values["runtime.threads"]  # Model Garden takes them from TensorFlow's variables
    values["trainer.checkpoint_interval"] = 1000
    threads = str(args.threads)
    done = bench.Run([args.tf_python, "-c", MG, "--experiment=bert/sentence_prediction", "--mode=train", f"--model_dir={folder}",
                      "--config_file=" + os.path.join(bench.CONFIGS, bench.SIZES[args.model][4]),
                      "--params_override=" + ",".join(f"{k}={v}" for k, v in values.items())],
                     env={"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads})
    rates = [float(rate) for rate in re.findall(r"measured steps per second: (\S+)", done.stdout)]
    return BATCH / statistics.mean(1 / rate for rate in rates[2:])


def own(args, records, folder):
    values = {**bench.training_overrides(records, args.model, args.steps + 4, threads=args.threads), "trainer.steps_per_loop": 4,
              "trainer.summary_interval": 4, "runtime.mixed_precision_dtype": args.precision}
    bench.bert_train(args.build, folder, values, args.model)
    rates = [r["examples_per_second"] for r in bench.metrics(folder, "train")][1:]
    return len(rates) / sum(1 / rate for rate in rates)


PEERS = {"hf": hugging_face, "mg": model_garden}


def main():
    parser = bench.parser(__doc__, ("glue", "vocab"))
    parser.add_argument("--peer", default="hf")
    parser.add_argument("--python")
    parser.add_argument("--tf_python")
    parser.add_argument("--task", default="SST-2", choices=sorted(COLUMNS))
    parser.add_argument("--model", default="minilm", choices=sorted(bench.SIZES))
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--sort", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--peer_steps", type=int, default=8)
    parser.add_argument("--mg_steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    peers = args.peer.split(",")
    for name, python in (("hf", args.python), ("mg", args.tf_python)):
        if name in peers and not python:
            parser.error(f"--peer={name} needs {'--python' if name == 'hf' else '--tf_python'}")
    rates = {name: [] for name in ["own", *peers]}
    with tempfile.TemporaryDirectory() as scratch:
        records = bench.make_records(args.build, f"{args.glue}/{args.task}", args.task, args.vocab, scratch)
        for i in range(args.rounds):
            for name, some in rates.items():
                some.append({"own": own, **PEERS}[name](args, records, os.path.join(scratch, f"{name}{i}")))
    result = {"task": args.task, "model": args.model, "precision": args.precision, "sort": args.sort, "threads": args.threads,
              "examples_per_second": bench.median(rates["own"], 1), "all": bench.rounded(rates["own"], 1)}
    for name in peers:
        result[name] = {"examples_per_second": bench.median(rates[name], 1),
                        "ratio": round(statistics.median(rates["own"]) / statistics.median(rates[name]), 2), "all": bench.rounded(rates[name], 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
