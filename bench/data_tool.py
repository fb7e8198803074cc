#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures create-finetuning-data against Model Garden's tool of that name on the same inputs, in turn
(theirs, ours, theirs, ours), compares what they wrote, and prints one JSON line a job.

  bench/data_tool.py --build build/release --python PYTHON --data DATA_DIR --vocab VOCAB_DIR --work DIR
                     [--jobs sst2,udpos,tatoeba] [--rounds 2] [--threads 0]

PYTHON has tf-models-official and tensorflow-datasets. DATA_DIR holds glue/SST-2, tagging/udpos and
retrieval/tatoeba, VOCAB_DIR uncased.txt and multi_cased.txt. Every time is [seconds, processor
seconds] of a whole process; the rates leave out what each tool takes for a job of one row, so that
theirs is not charged for importing TensorFlow; both from the best round. The second rate is the one to
trust on a machine that others use. Needs only Python's standard library.
"""
import argparse
import filecmp
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

# the real tool, told that no data set lies in the public bucket: it must not ask a network
REAL = """
import os, sys, runpy
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
from tensorflow_datasets.core.utils import gcs_utils
gcs_utils.is_dataset_on_gcs = lambda name: False
gcs_utils.exists = lambda p: False
gcs_utils.gcs_dataset_info_files = lambda n: None
sys.argv[0] = 'create_finetuning_data.py'
runpy.run_module('official.nlp.data.create_finetuning_data', run_name='__main__', alter_sys=False)
"""
UDPOS = ("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi "
         "yo zh").split()


# a set as TFDS prepares it

def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc_table()


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data):
    length = struct.pack("<Q", len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(row):
    def feature(value):
        if isinstance(value, int):
            return field(3, field(1, varint(value)))
        return field(1, field(1, value.encode()))
    return field(1, b"".join(field(1, field(1, k.encode()) + field(2, feature(v)))
                             for k, v in row.items()))


def write_tfds(folder, rows, config="sst2", texts=("sentence",), labels=("negative", "positive")):
    """glue/CONFIG, split train: rows are {idx, label, a text for each of texts}."""
    name = "tensorflow_datasets.core.features."
    features = {"idx": {"pythonClassName": name + "tensor_feature.Tensor",
                        "tensor": {"dtype": "int32", "encoding": "none", "shape": {}}},
                "label": {"pythonClassName": name + "class_label_feature.ClassLabel",
                          "classLabel": {"numClasses": str(len(labels))}}}
    for text in texts:
        features[text] = {"pythonClassName": name + "text_feature.Text", "text": {}}
    records = [frame(example(row)) for row in rows]
    split = {"filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}", "name": "train",
             "numBytes": str(sum(map(len, records))), "shardLengths": [str(len(rows))]}
    os.makedirs(folder)
    with open(os.path.join(folder, "glue-train.tfrecord-00000-of-00001"), "wb") as f:
        f.write(b"".join(records))
    with open(os.path.join(folder, "dataset_info.json"), "w", encoding="utf-8") as f:
        json.dump({"name": "glue", "configName": config, "fileFormat": "tfrecord", "version": "2.0.0",
                   "splits": [split]}, f)
    with open(os.path.join(folder, "features.json"), "w", encoding="utf-8") as f:
        json.dump({"pythonClassName": name + "features_dict.FeaturesDict",
                   "featuresDict": {"features": features}}, f)
    with open(os.path.join(folder, "label.labels.txt"), "w", encoding="utf-8") as f:
        f.write("".join(label + "\n" for label in labels))


# jobs: name -> flags on all rows, and on one

def read_lines(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return f.read().split("\n")


def make_sst2(args, folder):
    rows = [line.rsplit("\t", 1) for line in read_lines(f"{args.data}/glue/SST-2/train.tsv")[1:] if line]
    rows = [{"idx": i, "label": int(label), "sentence": text} for i, (text, label) in enumerate(rows)]
    for kind, part in (("all", rows), ("one", rows[:1])):
        write_tfds(f"{folder}/{kind}/glue/sst2/2.0.0", part)
    return ["--classification_task_name=SST-2", f"--vocab_file={args.vocab}/uncased.txt",
            "--train_data_output_path={out}/train"]


def make_udpos(args, folder):
    for kind in ("all", "one"):
        os.makedirs(f"{folder}/{kind}")
        for split in ("train", "dev"):
            text = "The\tDET\n"
            if kind == "all":  # four times: 12,544 sentences are few beside the start
                text = "\n".join(read_lines(f"{args.data}/tagging/udpos/{split}-en.tsv")) * 4
            with open(f"{folder}/{kind}/{split}-en.tsv", "w", encoding="utf-8") as f:
                f.write(text)
        for language in UDPOS:
            with open(f"{folder}/{kind}/test-{language}.tsv", "w", encoding="utf-8") as f:
                f.write("a\n")
    return ["--fine_tuning_task_type=tagging", "--tagging_task_name=udpos", "--do_lower_case=false",
            "--input_data_dir={in}", f"--vocab_file={args.vocab}/multi_cased.txt",
            "--train_data_output_path={out}/train", "--eval_data_output_path={out}/eval",
            "--test_data_output_path={out}/test_{}"]


def make_tatoeba(args, folder):
    source = f"{args.data}/retrieval/tatoeba"
    shutil.copytree(source, f"{folder}/all")
    os.makedirs(f"{folder}/one")
    for name in os.listdir(source):
        with open(f"{folder}/one/{name}", "w", encoding="utf-8") as f:
            f.write("a\n")
    return ["--fine_tuning_task_type=retrieval", "--retrieval_task_name=tatoeba", "--do_lower_case=false",
            "--input_data_dir={in}", f"--vocab_file={args.vocab}/multi_cased.txt",
            "--test_data_output_path={out}"]


JOBS = {"sst2": make_sst2, "udpos": make_udpos, "tatoeba": make_tatoeba}


def run(command, flags, source, out):
    """Seconds and processor seconds of a whole process."""
    shutil.rmtree(out, ignore_errors=True)
    flags = [f.replace("{in}", source).replace("{out}", out) for f in flags]
    env = dict(os.environ, TFDS_DATA_DIR=source, TF_CPP_MIN_LOG_LEVEL="3")
    with tempfile.TemporaryFile() as log:
        start = time.monotonic()
        process = subprocess.Popen(command + flags + [f"--meta_data_file_path={out}/meta_data"],
                                   stdout=log, stderr=log, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            sys.exit(f"{' '.join(command + flags)}\nexit {process.returncode}\n{log.read()[-3000:]}")
    return seconds, usage.ru_utime + usage.ru_stime


def count_records(folder):
    n = 0
    for name in os.listdir(folder):
        if name != "meta_data":
            with open(os.path.join(folder, name), "rb") as f:
                while head := f.read(12):
                    f.seek(struct.unpack("<Q", head[:8])[0] + 4, 1)
                    n += 1
    return n


def measure(args, name):
    folder = os.path.join(args.work, name)
    shutil.rmtree(folder, ignore_errors=True)
    flags = JOBS[name](args, os.path.join(folder, "in"))
    tools = {"theirs": [args.python, "-c", REAL],
             "ours": [os.path.join(args.build, "create-finetuning-data"), f"--num_threads={args.threads}"]}
    seconds = {kind: {tool: [] for tool in tools} for kind in ("one", "all")}
    for _ in range(args.rounds):
        for kind in seconds:
            for tool, command in tools.items():
                seconds[kind][tool].append(
                    run(command, flags, f"{folder}/in/{kind}", f"{folder}/out/{tool}"))
    best = {kind: {tool: [min(column) for column in zip(*runs)] for tool, runs in of.items()}
            for kind, of in seconds.items()}
    names = sorted(os.listdir(f"{folder}/out/theirs"))
    same = filecmp.cmpfiles(f"{folder}/out/theirs", f"{folder}/out/ours", names, shallow=False)[0]
    n = count_records(f"{folder}/out/ours")
    rates = {tool: [n / max(1e-3, every - one) for every, one in
                    zip(best["all"][tool], best["one"][tool])] for tool in tools}
    show = lambda runs: {t: [[round(x, 3) for x in pair] for pair in runs[t]] for t in tools}
    print(json.dumps({
        "job": name, "records": n, "same_bytes": len(same) == len(names),
        "load": round(os.getloadavg()[0], 1), "times": show(seconds["all"]),
        "one_row_times": show(seconds["one"]),
        "records_per_second": {t: [round(r) for r in rates[t]] for t in tools},
        "times_as_fast": [round(a / b, 1) for a, b in zip(rates["ours"], rates["theirs"])],
        "whole_process_times_as_fast": [round(a / b, 1) for a, b in
                                        zip(best["all"]["theirs"], best["all"]["ours"])]}),
        flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for flag in ("build", "python", "data", "vocab", "work"):
        parser.add_argument("--" + flag, required=True)
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    for name in args.jobs.split(","):
        measure(args, name)


if __name__ == "__main__":
    main()
