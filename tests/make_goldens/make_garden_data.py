#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/model_garden/made_up_text.tar.gz: what Model Garden's data tool, tokenizers, loaders and SQuAD
evaluation make of made-up text (garden/texts.py, garden/raw.py), and what TensorFlow reads of good and damaged record
files. The scripts in garden/ run the real programs; docs/model_garden/data.md says what they do.

Needs tf-models-official 2.19.1, TensorFlow 2.19, tensorflow-text 2.19, tensorflow-datasets 4.9. A few minutes.
usage: make_garden_data.py WORK_FOLDER
"""
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "goldens" / "model_garden" / "made_up_text.tar.gz"
GLUE = "cola sst2 mrpc qqp stsb mnli qnli rte wnli ax"
VOCABULARIES = ("uncased", "cased", "multi_cased")
sys.path.insert(0, str(HERE / "garden"))

import raw  # noqa: E402
import texts  # noqa: E402


def run(script, *args):
    subprocess.run([sys.executable, HERE / "garden" / f"{script}.py", *map(str, args)], check=True)


def slim(folder):
    """Tokens follow from ids and the vocabulary."""
    for path in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if path.name.startswith("full_py"):
                row.pop("tokens", None)
        path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")


def tokenizers(data, work):
    rows = texts.ENGLISH + texts.HARD + [row for rows in texts.OTHERS.values() for row in rows]
    (work / "texts.jsonl").write_text("".join(json.dumps({"src": "made-up", "text": row}) + "\n" for row in rows))
    run("tokenizers", work / "texts.jsonl", data / "tokenizer", 1, data / "vocab",
        *[f"{name}={name}.txt" for name in VOCABULARIES])
    slim(data / "tokenizer")
    run("codepoints", data / "tokenizer")
    for name in ("codepoints_py_lower.json", "codepoints_tftext_lower.json"):
        path = data / "tokenizer" / name
        with gzip.GzipFile(f"{path}.gz", "wb", mtime=0) as out:
            out.write(path.read_bytes())
        path.unlink()


def pack(data):
    """The same bytes each time; for whoever unpacks it."""
    def plain(info):
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        info.mode = 0o755 if info.isdir() else 0o644
        return info
    with open(OUT, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in sorted(data.rglob("*")):
                tar.add(path, os.path.join("data", path.relative_to(data)), recursive=False, filter=plain)


def main():
    work = pathlib.Path(sys.argv[1]).resolve()
    data = work / "data"
    folder = data / "finetuning"
    folder.mkdir(parents=True)
    raw.make(folder)
    run("data_sets", folder / "raw", folder / "tfds", *[f"glue/{name}" for name in GLUE.split()],
        *[f"super_glue/{name}" for name in ("boolq", "cb", "rte")])
    run("finetuning", folder, "out")
    run("errors", folder, folder / "errors.json")
    run("tfrecord", data / "tfrecord")
    run("squad_eval", *[folder / "raw" / "squad" / f"dev_v{version}.json" for version in ("1.1", "2.0")],
        data / "vocab" / "uncased.txt", data / "squad_eval", 1)
    run("loaders", folder, data / "vocab", data / "loaders")
    tokenizers(data, work)
    pack(data)


if __name__ == "__main__":
    main()
