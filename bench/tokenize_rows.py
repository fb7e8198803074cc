#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures create-finetuning-data on rows like MNLI's, one core each, beside Model Garden's tool and Hugging Face's tokenizers (Rust), in turns; one JSON object.

  bench/tokenize_rows.py --build build/release --glue GLUE_DIR --vocab vocab.txt [--peer hf,mg] [--python PYTHON] [--tf_python PYTHON]
                         [--rows 100000] [--mg_rows 20000] [--rounds 3] [--mg_rounds 2] [--threads 1]

The rows are the pairs of sentences that GLUE_DIR has (MNLI, QQP, QNLI, STS-B, MRPC, RTE: whatever is there), shuffled, in MNLI's columns, over and over until they are enough.
Ours does the whole job: reads the table, makes ids, pads, writes records with checksums and waits for the disk; its start and the disk count.
hf (tokenizers in --python) reads the same table and makes the lists of ids, nothing more; its start does not count. mg is the real tool (tf-models-official in --tf_python)
on the first --mg_rows rows, the faster of --mg_rounds; what it takes for a job of one row does not count. The ids of hf and the bytes of mg are compared with ours.
--threads=0 lets our tool and the tokenizers use every core.
"""
import filecmp
import itertools
import json
import os
import random
import statistics
import tempfile

import bench_common as bench
import data_tool

# file, columns of both texts, whether there is a row of names
SOURCES = (("MNLI/train.tsv", (8, 9), True), ("MNLI/dev_matched.tsv", (8, 9), True), ("MNLI/train-from-snli-dev.tsv", (8, 9), True),
           ("QQP/train.tsv", (3, 4), True), ("QQP/train-part.tsv", (3, 4), True), ("QNLI/dev.tsv", (1, 2), True), ("STS-B/train.tsv", (7, 8), True),
           ("MRPC/train.tsv", (3, 4), True), ("RTE/train.tsv", (1, 2), True))
COMPARED = 2000
HF = r'''
import json, sys, time
a = json.loads(sys.argv[1])
from tokenizers import BertWordPieceTokenizer
tokenizer = BertWordPieceTokenizer(a["vocab"], lowercase=True)
tokenizer.enable_truncation(128)
tokenizer.encode_batch([("warm", "up")])
start = time.perf_counter()
ids = []
with open(a["table"], encoding="utf-8") as table:
    next(table)
    some = []
    for line in table:
        row = line.rstrip("\n").split("\t")
        some.append((row[9], row[8]))  # hypothesis first, as Model Garden does
        if len(some) == 1000:
            ids += [e.ids for e in tokenizer.encode_batch(some)]
            some = []
    ids += [e.ids for e in tokenizer.encode_batch(some)]
seconds = time.perf_counter() - start
print(json.dumps({"rate": len(ids) / seconds, "first": ids[:a["compared"]]}))
'''
LABELS = ("entailment", "neutral", "contradiction")


def read_pairs(glue):
    pairs = []
    for name, columns, header in SOURCES:
        if os.path.exists(os.path.join(glue, name)):
            with open(os.path.join(glue, name), encoding="utf-8", newline="\n") as file:
                rows = [line.rstrip("\r\n").split("\t") for line in file][header:]
            pairs += [(row[columns[0]], row[columns[1]]) for row in rows if len(row) > max(columns)]
    # a quote begins a quoted field for some readers of tables and not for others
    pairs = [pair for pair in pairs if '"' not in "".join(pair)]
    if not pairs:
        raise SystemExit(f"tokenize_rows.py: {glue} has none of {', '.join(name for name, _, _ in SOURCES)}")
    random.Random(1).shuffle(pairs)
    return pairs


def write_table(path, pairs, count):
    """MNLI's columns: premise and hypothesis in the ninth and tenth, the label in the last."""
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.write("\t".join(["index"] + ["-"] * 7 + ["sentence1", "sentence2", "label1", "gold_label"]) + "\n")
        for i in range(count):
            out.write("\t".join([str(i)] + ["-"] * 7 + [*pairs[i % len(pairs)], LABELS[i % 3], LABELS[i % 3]]) + "\n")


def write_prepared(folder, pairs, count):
    """The same rows as TFDS prepares glue/mnli, the only form that the real tool reads."""
    rows = [{"idx": i, "label": i % 3, "premise": pairs[i % len(pairs)][0], "hypothesis": pairs[i % len(pairs)][1]} for i in range(count)]
    data_tool.write_tfds(os.path.join(folder, "glue", "mnli", "2.0.0"), rows, "mnli", ("premise", "hypothesis"), LABELS)


def tool_flags(vocab, out):
    return ["--classification_task_name=MNLI", "--fine_tuning_task_type=classification", f"--vocab_file={vocab}",
            f"--train_data_output_path={out}", f"--meta_data_file_path={out}.meta", "--max_seq_length=128"]


def own(args, folder, out):
    words = [os.path.join(args.build, "create-finetuning-data"), *tool_flags(args.vocab, out), f"--input_data_dir={folder}", f"--num_threads={args.threads}"]
    return bench.Run(words, one_core=args.threads == 1).seconds


def model_garden(args, folder, out):
    return bench.Run([args.tf_python, "-c", data_tool.REAL, *tool_flags(args.vocab, out)], one_core=True,
                     env={"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1", "TFDS_DATA_DIR": folder}).seconds


def measure_mg(args, scratch, pairs, own_rate):
    folders = {}
    for name, count in (("some", args.mg_rows), ("one", 1)):
        folders[name] = os.path.join(scratch, name)
        write_prepared(folders[name], pairs, count)
    table = os.path.join(scratch, "table")
    os.makedirs(table)
    write_table(os.path.join(table, "train.tsv"), pairs, args.mg_rows)
    out, ours = os.path.join(scratch, "mg.out"), os.path.join(scratch, "own.out")
    own(args, table, ours)
    runs = {"one": [], "some": []}
    for _ in range(args.mg_rounds):
        for name, seconds in runs.items():
            seconds.append(model_garden(args, folders[name], out))
    start, seconds = min(runs["one"]), min(runs["some"])
    rate = (args.mg_rows - 1) / max(1e-3, seconds - start)
    return {"rows": args.mg_rows, "rows_per_second": round(rate, 1), "start_seconds": round(start, 1), "ratio": round(own_rate / rate, 1),
            "same_bytes": filecmp.cmp(out, ours, shallow=False)}


def main():
    parser = bench.parser(__doc__, ("glue", "vocab"))
    parser.add_argument("--peer", default="")
    parser.add_argument("--python")
    parser.add_argument("--tf_python")
    parser.add_argument("--rows", type=int, default=100000)
    parser.add_argument("--mg_rows", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mg_rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    peers = [name for name in args.peer.split(",") if name]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        pairs = read_pairs(args.glue)
        folder = os.path.join(scratch, "all")
        os.makedirs(folder)
        write_table(os.path.join(folder, "train.tsv"), pairs, args.rows)
        out = os.path.join(scratch, "train.tf_record")
        settings = {"vocab": args.vocab, "table": os.path.join(folder, "train.tsv"), "compared": COMPARED}
        parallel = "true" if args.threads != 1 else "false"
        for _ in range(args.rounds):
            ours.append(args.rows / own(args, folder, out))
            if "hf" in peers:
                peer = bench.python_peer(args.python, HF, settings, env={"TOKENIZERS_PARALLELISM": parallel}, one_core=args.threads == 1)
                theirs.append(peer["rate"])
        rate = statistics.median(ours)
        result = {"rows": args.rows, "different_rows": len(pairs), "threads": args.threads, "rows_per_second": round(rate), "all": bench.rounded(ours, 0)}
        if "hf" in peers:
            some = [bench.ids_of(record) for record in itertools.islice(bench.raw_records(out), COMPARED)]
            result["hf"] = {"rows_per_second": bench.median(theirs, 0), "ratio": round(rate / statistics.median(theirs), 2), "all": bench.rounded(theirs, 0),
                            "rows_compared": len(some), "rows_with_other_ids": sum(a != b for a, b in zip(some, peer["first"]))}
        if "mg" in peers:
            result["mg"] = measure_mg(args, scratch, pairs, rate)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
