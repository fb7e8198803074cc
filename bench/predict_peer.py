#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures an evaluation of MRPC's rows beside the runtimes that people predict with, in turns (A B A B), and prints one JSON object.

  bench/predict_peer.py --build build/release --glue GLUE_DIR --vocab vocab.txt --python PYTHON
                        [--rows 1600] [--rounds 3] [--model minilm|base] [--batch 32] [--threads 2] [--peers torch,onnxruntime,openvino]

Both sides evaluate the same rows with fresh weights. Ours is bert-train --mode=eval on the table, in float32, in bfloat16 and in int8 (whose evaluation in
float32 beside is not counted); its seconds are those of the whole evaluation (texts, forward passes, metrics), without start and weights. The peers' are their forward passes alone, on rows that were tokenized and sorted by length before,
padded to the longest of each batch. PYTHON has torch, transformers and tokenizers; onnxruntime and openvino where it can import them (and onnx): what is missing is left
out and said.

  bench/predict_peer.py --memory --glue GLUE_DIR --vocab vocab.txt [--rows 64] [--model minilm|base] [--threads 2]

prints the peak memory (MiB) of whole commands instead: --mode=eval and --mode=predict in each precision (int8 with its comparison, and alone), with the
averages of a run that keeps them, and an evaluation that keeps a best checkpoint, where it is the best so far (and saves it) and where it is not better,
by itself and of --mode=continuous_eval.
"""
import json
import os
import shutil
import statistics
import tempfile

import bench_common as bench

PEERS = r'''
import json, os, sys, time
a = json.loads(sys.argv[1])
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification
torch.set_num_threads(a["threads"])
torch.manual_seed(0)
tokenizer = BertWordPieceTokenizer(a["vocab"], lowercase=True)
tokenizer.enable_truncation(128)
with open(a["table"], encoding="utf-8-sig") as file:
    rows = [line.rstrip("\n").split("\t") for line in file][1:]
rows = sorted((tokenizer.encode(row[3], row[4]) for row in rows), key=lambda row: len(row.ids))
batches = []
for i in range(0, len(rows), a["batch"]):
    some = rows[i:i + a["batch"]]
    width = max(len(row.ids) for row in some)
    pad = lambda lists: torch.tensor([list(x) + [0] * (width - len(x)) for x in lists])
    batches.append((pad([r.ids for r in some]), pad([r.attention_mask for r in some]), pad([r.type_ids for r in some])))
L, H, I, heads = a["size"]
config = BertConfig(vocab_size=30522, num_hidden_layers=L, hidden_size=H, intermediate_size=I, num_attention_heads=heads, num_labels=2)
found, left_out = {}, []

def rate(name, run):
    for batch in batches[:3]:
        run(batch)
    start = time.perf_counter()
    for batch in batches:
        run(batch)
    found[name] = len(rows) / (time.perf_counter() - start)

class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
    def forward(self, i, a, t):
        return self.model(input_ids=i, attention_mask=a, token_type_ids=t).logits

def export(path):
    config._attn_implementation = "eager"
    model = Logits(BertForSequenceClassification(config).eval())
    axes = {name: {0: "b", 1: "s"} for name in "iat"}
    torch.onnx.export(model, batches[len(batches) // 2], path, input_names=list("iat"), output_names=["l"], dynamic_axes=axes, opset_version=17, dynamo=False)

def feed(batch):
    return {name: column.numpy() for name, column in zip("iat", batch)}

def with_torch():
    config._attn_implementation = "sdpa"
    model = BertForSequenceClassification(config).eval()
    run = lambda b: model(input_ids=b[0], attention_mask=b[1], token_type_ids=b[2])
    rate("torch-float32", run)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rate("torch-bfloat16", run)

def with_onnxruntime():
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a["threads"]
    quantize_dynamic("model.onnx", "model8.onnx", weight_type=QuantType.QInt8)
    for name, path in (("onnxruntime-float32", "model.onnx"), ("onnxruntime-int8", "model8.onnx")):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        rate(name, lambda b: session.run(None, feed(b)))

def with_openvino():
    import openvino
    core = openvino.Core()
    model = core.read_model("model.onnx")
    for name, hint in (("openvino-float32", "f32"), ("openvino-bfloat16", "bf16")):
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": a["threads"], "PERFORMANCE_HINT": "LATENCY"})
        request = compiled.create_infer_request()
        rate(name, lambda b: request.infer(feed(b)))

os.chdir(a["folder"])
with torch.inference_mode():
    for name, measure in (("torch", with_torch), ("onnxruntime", with_onnxruntime), ("openvino", with_openvino)):
        if name not in a["peers"]:
            continue
        try:
            if name != "torch" and not os.path.exists("model.onnx"):
                export("model.onnx")
            measure()
        except ImportError as problem:
            left_out.append(f"{name}: {problem}")
print(json.dumps({"rates": found, "left_out": left_out, "rows": len(rows)}))
'''

PRECISIONS = {"float32": {"runtime.mixed_precision_dtype": "float32"}, "bfloat16": {"runtime.mixed_precision_dtype": "bfloat16"}, "int8": {"runtime.precision": "int8"}}
# What ours is held against: the same precision, and of int8 everything that computes in fewer than 32 bits.
AGAINST = {"float32": ("-float32",), "bfloat16": ("-bfloat16",), "int8": ("-int8", "-bfloat16")}


def cut_table(path, count, out):
    with open(path, encoding="utf-8-sig") as table:
        lines = table.readlines()
    with open(out, "w", encoding="utf-8") as table:
        table.writelines(lines[:count + 1])
    return min(count, len(lines) - 1)


def own_values(args, table):
    values = {**bench.model_overrides(args.model), "runtime.threads": args.threads, "task.model.num_classes": 2, "trainer.validation_steps": -1,
              "trainer.best_checkpoint_export_subdir": "''"}
    for section, batch in (("train_data", 4), ("validation_data", args.batch)):
        values.update({f"task.{section}.{key}": value for key, value in {
            "input_path": f"'{table}'", "vocab_file": f"'{args.vocab}'", "text_fields": "['#1 String','#2 String']", "label_field": "Quality", "seq_length": 128,
            "global_batch_size": batch}.items()})
    return values


def train_once(args, table, folder, more=None):
    """One step: an evaluation needs a checkpoint."""
    values = {**own_values(args, table), **(more or {}), "trainer.train_steps": 1, "trainer.steps_per_loop": 1, "trainer.summary_interval": 1,
              "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 10, "trainer.optimizer_config.warmup.polynomial.warmup_steps": 1}
    bench.bert_train(args.build, folder, values, args.model, experiment="bert/sentence_prediction_text")


def own(args, table, folder, precision):
    """In a copy of the run: an evaluation that gives what the last one gave leaves no second record."""
    values = {**own_values(args, table), **PRECISIONS[precision]}
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(folder, os.path.join(scratch, "run"))
        run = bench.bert_train(args.build, copy, values, args.model, mode="eval", experiment="bert/sentence_prediction_text")
        return bench.metrics(copy, "validation")[-1]["examples_per_second"], run.peak_bytes


ALONE = {**PRECISIONS["int8"], "runtime.precision_compared": "false"}
AVERAGES = {"trainer.optimizer_config.ema.average_decay": 0.9}
BEST = {"trainer.best_checkpoint_export_subdir": "best_ckpt", "trainer.best_checkpoint_eval_metric": "cls_accuracy"}


def peaks_of_all(args, table, folder):
    """Of each mode and way; in a folder that was trained with averages."""
    def peak(run, mode, ways):
        return bench.bert_train(args.build, run, {**own_values(args, table), **ways}, args.model, mode=mode, experiment="bert/sentence_prediction_text").peak_bytes
    train_once(args, table, folder, AVERAGES)
    peaks = {}
    for mode in ("eval", "predict"):
        for name, ways in {**PRECISIONS, "int8 alone": ALONE, "averages": AVERAGES}.items():
            peaks[f"{mode}, {name}"] = min(peak(folder, mode, ways) for _ in range(args.rounds))
    for mode in ("eval", "continuous_eval"):
        for name in ("the best so far", "not better"):
            peaks[f"{mode}, {name}"] = peak(folder, mode, {**BEST, "trainer.continuous_eval_timeout": 0})
        shutil.rmtree(os.path.join(folder, "best_ckpt"))
    return {name: round(value / (1 << 20), 1) for name, value in peaks.items()}


def main():
    parser = bench.parser(__doc__, ("glue", "vocab"))
    parser.add_argument("--python", help="nothing: ours alone")
    parser.add_argument("--model", default="minilm", choices=sorted(bench.SIZES))
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default="torch,onnxruntime,openvino")
    parser.add_argument("--memory", action="store_true", help="peak memory, and nothing else")
    args = parser.parse_args()
    args.vocab = os.path.abspath(args.vocab)
    rates, peaks, peer = {}, {}, {"left_out": []}
    with tempfile.TemporaryDirectory() as scratch:
        table = os.path.join(scratch, "rows.tsv")
        n_rows = cut_table(os.path.join(args.glue, "MRPC", "train.tsv"), args.rows, table)
        settings = {"table": table, "vocab": args.vocab, "batch": args.batch, "threads": args.threads, "size": bench.SIZES[args.model][:4], "folder": scratch,
                    "peers": args.peers.split(",")}
        if args.memory:
            peaks = peaks_of_all(args, table, os.path.join(scratch, "run"))
            print(json.dumps({"model": args.model, "rows": n_rows, "threads": args.threads, "peak_mib": peaks}))
            return
        train_once(args, table, os.path.join(scratch, "run"))
        for _ in range(args.rounds):
            for precision in PRECISIONS:
                rate, peaks[precision] = own(args, table, os.path.join(scratch, "run"), precision)
                rates.setdefault(precision, []).append(rate)
            if args.python:
                peer = bench.python_peer(args.python, PEERS, settings, env={"TOKENIZERS_PARALLELISM": "false"})
                for name, rate in peer["rates"].items():
                    rates.setdefault(name, []).append(rate)
    medians = {name: bench.median(values, 1) for name, values in rates.items()}
    ratios = {}
    for precision in PRECISIONS:
        others = {name: value for name, value in medians.items() if name.endswith(AGAINST[precision])}
        if others:
            best = max(others, key=others.get)
            ratios[precision] = {"peer": best, "ratio": round(statistics.median(rates[precision]) / statistics.median(rates[best]), 2)}
    print(json.dumps({"model": args.model, "rows": n_rows, "batch": args.batch, "examples_per_second": medians, "ratios": ratios,
                      "peak_mib": {name: round(value / (1 << 20), 1) for name, value in peaks.items()}, "left_out": peer["left_out"],
                      "all": {name: bench.rounded(values, 1) for name, values in rates.items()}}))


if __name__ == "__main__":
    main()
