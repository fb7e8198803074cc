#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""create-finetuning-data --fine_tuning_task_type=squad on the project's own files (tests/goldens/squad):
records and meta data byte for byte, on one thread and on three; a folder of translations; outputs
that squad does not make. usage: finetuning_squad.py"""
import json
import os
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.environ["BT_BUILD_DIR"], "create-finetuning-data")
TESTS = os.path.join(os.environ["BT_SOURCE_DIR"], "tests")
GOLDENS = os.path.join(TESTS, "goldens", "squad")
VOCAB = os.path.join(TESTS, "goldens", "text", "vocab.txt")


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def run(out, *flags):
    done = subprocess.run([TOOL, "--fine_tuning_task_type=squad", f"--vocab_file={VOCAB}",
                           "--max_seq_length=24", "--doc_stride=7", "--max_query_length=5",
                           f"--train_data_output_path={out}/train", f"--meta_data_file_path={out}/meta",
                           *flags], capture_output=True, text=True)
    return done.returncode, done.stderr


def check_golden(name, *flags):
    problems = []
    for threads in (1, 3):
        with tempfile.TemporaryDirectory(prefix="bt_squad_") as out:
            status, stderr = run(out, f"--squad_data_file={GOLDENS}/{name}.json",
                                 f"--num_threads={threads}", *flags)
            if status != 0:
                return [f"{name}: exit {status}: {stderr}"]
            problems += [f"{name}: {file} differs" for file, want in
                         (("train", f"{name}.tf_record"), ("meta", f"{name}.meta_data"))
                         if read(out, file) != read(GOLDENS, "expected", want)]
            if sorted(os.listdir(out)) != ["meta", "train"]:
                problems.append(f"{name}: wrote {sorted(os.listdir(out))}")
    return problems


def input_ids(data):
    """Of each record: 24 ids below 128, a byte each, after the key and six bytes of lengths."""
    key, out, at = b"input_ids", [], 0
    while (at := data.find(key, at)) >= 0:
        at += len(key)
        out.append(data[at + 6:at + 30])
    return out


def check_translations():
    """Files of the folder come after the first, in the order of their names."""
    with tempfile.TemporaryDirectory(prefix="bt_squad_") as out:
        os.mkdir(f"{out}/more")
        for name in ("b", "a"):
            qa = {"id": name, "question": "dog", "answers": [{"text": name, "answer_start": 4}]}
            with open(f"{out}/more/{name}.json", "w", encoding="utf-8") as f:
                json.dump({"data": [{"paragraphs": [{"context": f"the {name} cat", "qas": [qa]}]}]}, f)
        with open(f"{out}/more/c.txt", "w", encoding="utf-8") as f:
            f.write("no JSON, and not read")
        status, stderr = run(out, f"--squad_data_file={GOLDENS}/train.json",
                             f"--translated_squad_data_folder={out}/more")
        first = read(GOLDENS, "expected", "train.tf_record")
        got = read(out, "train") if status == 0 else b""
        with open(VOCAB, encoding="utf-8") as f:
            ids = {line.strip(): i for i, line in enumerate(f)}
        want = [bytes([ids[piece] for piece in f"[CLS] dog [SEP] the {name} cat [SEP]".split()])
                .ljust(24, b"\0") for name in ("a", "b")]
        ok = got.startswith(first) and input_ids(got[len(first):]) == want
        return [] if ok else [f"translations: exit {status}: {input_ids(got[len(first):])} {stderr}"]


def check_unused_outputs():
    with tempfile.TemporaryDirectory(prefix="bt_squad_") as out:
        status, stderr = run(out, f"--squad_data_file={GOLDENS}/train_v2.json",
                             "--version_2_with_negative", f"--eval_data_output_path={out}/eval")
        ok = status == 0 and "warning: --eval_data_output_path is not used" in stderr
        return [] if ok and not os.path.exists(f"{out}/eval") else [f"exit {status}: {stderr}"]


def check_refused():
    train = f"--squad_data_file={GOLDENS}/train.json"
    cases = [
        ([], 2, "squad needs --squad_data_file"),
        ([train, "--train_data_output_path="], 2, "--train_data_output_path must be given"),
        ([train, "--doc_stride=-1"], 2, "--doc_stride=-1"),
        ([train, "--max_query_length=-2"], 2, "--max_query_length=-2"),
        ([train, "--max_seq_length=4"], 2, "sequences of 4 tokens have no room for the document"),
        ([train, "--doc_stride=0"], 2, "doc_stride is 0, but the document has"),
        ([train, "--translated_squad_data_folder=/none"], 3, "/none"),
        ([train, f"--translated_squad_data_folder={TESTS}/lint"], 3, "no .json file in it"),
        ([train, "--version_2_with_negative"], 3, "question 'q0': is_impossible: expected true"),
        ([f"--squad_data_file={GOLDENS}/train_v2.json"], 3, "question 'q1': answers: expected exactly"),
        ([f"--squad_data_file={VOCAB}"], 3, "vocab.txt:1:4: not JSON"),
        ([f"--squad_data_file={GOLDENS}"], 3, "is a folder"),
    ]
    hard = {"id": "q\n\x1b[31m", "question": "a", "answers": []}
    problems = []
    for flags, want, text in cases + [(["--squad_data_file={out}/hard.json"], 3, "'q??[31m': answers")]:
        with tempfile.TemporaryDirectory(prefix="bt_squad_") as out, \
                tempfile.TemporaryDirectory(prefix="bt_squad_") as inputs:
            with open(f"{inputs}/hard.json", "w", encoding="utf-8") as f:
                json.dump({"data": [{"paragraphs": [{"context": "x", "qas": [hard]}]}]}, f)
            flags = [flag.replace("{out}", inputs) for flag in flags]
            status, stderr = run(out, *flags)
            errors = [l for l in stderr.splitlines() if ": error: " in l]
            others = [l for l in stderr.splitlines() if not l.startswith("create-finetuning-data: ")]
            if status != want or len(errors) != 1 or others or text not in errors[0] or os.listdir(out):
                problems.append(f"{flags}: exit {status}, left {os.listdir(out)}: {stderr}")
    return problems


def main():
    problems = check_golden("train") + check_golden("train_v2", "--version_2_with_negative")
    problems += check_translations() + check_unused_outputs() + check_refused()
    for problem in problems:
        print(problem)
    print("all as expected" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
