#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input of every format that create-finetuning-data reads, and bad flags of every task: one
sentence with the place, the right exit status, nothing left behind; and what is only warned of.

usage: finetuning_bad_input.py"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["BT_SOURCE_DIR"], "tests", "make_goldens"))
from make_data_tool_goldens import tfds_files, tfds_record  # noqa: E402
from make_finetuning_goldens import frame  # noqa: E402

TOOL = os.path.join(os.environ["BT_BUILD_DIR"], "create-finetuning-data")
VOCAB = os.path.join(os.environ["BT_SOURCE_DIR"], "tests", "goldens", "text", "vocab.txt")
CONFIG, DATA, RESOURCES = 2, 3, 4
TRAIN, EVAL, TEST = (f"--{s}_data_output_path={{out}}/deep/{s}" for s in ("train", "eval", "test"))
TESTS = "--test_data_output_path={out}/test_{}"
INPUT = "--input_data_dir={in}"


def classification(name, *flags):
    return [f"--classification_task_name={name}", INPUT, TRAIN, *flags]


def tagging(name, *flags):
    return ["--fine_tuning_task_type=tagging", f"--tagging_task_name={name}", INPUT, TRAIN, *flags]


def retrieval(name, *flags):
    return ["--fine_tuning_task_type=retrieval", f"--retrieval_task_name={name}", INPUT, *flags]


def tfds(params, *flags):
    return [f"--tfds_params=data_dir={{in}},{params}", TRAIN, *flags]


ROW = {"label": 1, "text": "the cat"}


def text_set(*shards, classes=2, **changes):
    files = tfds_files("t", "1.0.0", {"train": list(shards)}, classes)
    info = json.loads(files["t/1.0.0/dataset_info.json"])
    info.update(changes)
    files["t/1.0.0/dataset_info.json"] = json.dumps(info)
    return files


SHARD = "t/1.0.0/t-train.tfrecord-00000-of-00001"


def with_file(files, path, data):
    return dict(files, **{path: data})


def damaged():
    data = bytearray(frame(tfds_record(ROW)) * 2)
    data[-6] ^= 1
    return bytes(data)


CB = {"premise": "a", "hypothesis": "b", "label": "neutral"}
WIC = {"sentence1": "a", "sentence2": "b", "word": "c", "label": True}


def line(row, **changes):
    row = {k: v for k, v in dict(row, **changes).items() if v is not None}
    return json.dumps(row) + "\n"


CASED = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n" + "".join(f"Piece{i}\n" for i in range(1000))
TSV = {"train.tsv": "sentence\tlabel\nthe cat\t1\n"}

# flags, files, exit status, piece of the error; of the warning with status 0 (None: there is none)
CASES = [
    # only warned of
    (classification("SST-2", "--vocab_file={in}/v"), dict(TSV, v=CASED), 0,
     "v: 1000 of 1004 pieces have upper-case letters, but the text is lower-cased: is --do_lower_case=f"),
    (classification("SST-2", "--vocab_file={in}/v", "--nodo_lower_case"), dict(TSV, v=CASED), 0, None),
    (classification("SST-2", "--vocab_file={in}/v", "--nodo_lower_case"), dict(TSV, v=CASED.lower()
                    .replace("[unk]", "[UNK]").replace("[cls]", "[CLS]").replace("[sep]", "[SEP]")), 0,
     "v: 0 of 1004 pieces have upper-case letters, but the text is not lower-cased"),
    (classification("SST-2", "--vocab_file={in}/v"), dict(TSV, v="[UNK]\n[CLS]\n[SEP]\nA\n"), 0, None),
    (tagging("panx"), {"train-en.tsv": "a\tB-PER\nb\nc\n"}, 0,
     "train-en.tsv: words without a label, which count as O: 2, the first at line 2"),
    (tagging("panx", TESTS, "--languages=de,en"), {"train-en.tsv": "a\tO\n", "test-de.tsv": "a\n",
                                                   "test-en.tsv": ""}, 0, "test en: no rows in "),
    (retrieval("tatoeba", TRAIN, TEST, "--languages=de"), {"de-en.de": "a\n", "de-en.en": "b\n"}, 0,
     "tatoeba has no training data: nothing is written to "),
    (tfds("dataset=t", INPUT), text_set([ROW]), 0, "--input_data_dir is not read: --tfds_params names"),
    # outputs that would replace inputs
    (classification("SST-2")[:2] + ["--train_data_output_path={in}/../in/train.tsv"], TSV, CONFIG,
     "/in/../in/train.tsv is an input, too ("),
    (classification("SST-2", "--meta_data_file_path={in}/train.tsv"), TSV, CONFIG, "is an input, too"),
    (classification("SST-2")[:2] + ["--train_data_output_path=/dev/null"], TSV, 0, None),
    # TFDS
    (tfds("dataset=t"), text_set([ROW], [ROW]), 0, None),
    (tfds("dataset=u"), text_set([ROW]), DATA, "TFDS has not prepared 'u' there (looked for "),
    (tfds("dataset=t:2.0.0"), text_set([ROW]), DATA, "TFDS has not prepared 't:2.0.0' there"),
    (tfds("dataset=t:2"), text_set([ROW]), CONFIG, "'t:2' is not a name of a data set"),
    (tfds("dataset=../t"), text_set([ROW]), CONFIG, "'../t' is not a name of a data set"),
    (tfds("dataset=t"), with_file(with_file({}, "t/a/1.0.0/x", ""), "t/b/1.0.0/x", ""), CONFIG,
     "t holds several data sets: say which: t/CONFIG (a, b)"),
    (tfds("dataset=t"), {"t/1.0.0/x": ""}, DATA, "t/1.0.0/dataset_info.json: "),
    (tfds("dataset=t"), {"t/1.0.0/dataset_info.json": '{"a": \n x}'}, DATA,
     "dataset_info.json:2:2: not JSON (invalid token"),
    (tfds("dataset=t"), {"t/1.0.0/dataset_info.json": "[]"}, DATA, "dataset_info.json: not a JSON object"),
    (tfds("dataset=t"), text_set([ROW], splits=[]), DATA, "dataset_info.json: no name or no splits"),
    (tfds("dataset=t"), text_set([ROW], splits=[{"name": "train"}]), DATA, "without name or shard"),
    (tfds("dataset=t"), text_set([ROW], splits=[{"name": "train", "shardLengths": ["-1"]}]), DATA,
     "shardLengths are not numbers of rows"),
    (tfds("dataset=t"), text_set([ROW], fileFormat="array_record"), CONFIG, "'array_record'; only"),
    (tfds("dataset=t", EVAL), text_set([ROW]), CONFIG, "no split 'validation'; there are: train"),
    (tfds("dataset=t,label_key=text"), text_set([ROW]), CONFIG, "'text' is not a feature of the set"),
    (tfds("dataset=t"), text_set([ROW], classes=0), CONFIG, "'label' is not a class label"),
    (tfds("dataset=t"), with_file(text_set([ROW]), "t/1.0.0/features.json", "{"), DATA,
     "features.json:1:1: not JSON ("),
    (tfds("dataset=t"), with_file(text_set([ROW, ROW]), SHARD, damaged()), DATA,
     "t-train.tfrecord-00000-of-00001: record 1 at byte "),
    (tfds("dataset=t"), with_file(text_set([ROW, ROW]), SHARD, frame(tfds_record(ROW))), DATA,
     "1 records, but dataset_info.json says 2"),
    (tfds("dataset=t"), with_file(text_set([ROW]), SHARD, frame(tfds_record(ROW)) * 3), DATA,
     "2 records, but dataset_info.json says 1"),
    (tfds("dataset=t"), with_file(text_set([ROW]), SHARD, frame(b"\xff")), DATA,
     "record 0 at byte 0: "),
    (tfds("dataset=t,text_key=sentence"), text_set([ROW, ROW]), DATA,
     "record 0 at byte 0: there is no text feature 'sentence'; it has: label (int64), text (string)"),
    (tfds("dataset=t,text_key=label"), text_set([ROW]), DATA, "there is no text feature 'label'"),
    (tfds("dataset=t,weight_key=w"), text_set([ROW]), DATA, "there is no number feature 'w'"),
    (tfds("dataset=t,weight_key=text"), text_set([ROW]), DATA, "no number feature 'text'"),
    (tfds("dataset=t,weight_key=w"), text_set([dict(ROW, w=float("inf"))]), DATA, "not a finite"),
    (tfds("dataset=t"), text_set([ROW, dict(ROW, label=2)]), DATA,
     ": label 2 is none of the classes 0 to 1"),
    (tfds("dataset=t"), text_set([dict(ROW, label=-1)]), DATA, "label -1 is none of the classes"),
    (tfds("dataset=t"), text_set([dict(ROW, label=0.5)]), DATA, "label 0.5 is none of the classes"),
    (tfds("dataset=t,is_regression=1"), text_set([dict(ROW, label=0.5)]), DATA,
     "label 0.5 is not an integer of 64 bits; give label_type=float"),
    (tfds("dataset=t,is_regression=1,label_type=float"), text_set([dict(ROW, label=float("nan"))]),
     DATA, "is not a finite number"),
    (tfds("dataset=t,skip_label=1"), text_set([ROW]), DATA, "there are no rows of data"),
    (tfds("dataset=t,skip_label=x"), text_set([ROW]), CONFIG, "skip_label=x: an integer is expected"),
    (tfds("dataset=t,is_regression=1,label_type=float,skip_label=x"), text_set([ROW]), CONFIG,
     "skip_label=x: a number is expected"),
    (tfds("dataset=t,label_type=float"), text_set([ROW]), CONFIG, "is for is_regression=true"),
    (tfds("dataset=t,label_type=str"), text_set([ROW]), CONFIG, "label_type=str: expected int or"),
    (tfds("dataset=t,txt_key=x"), text_set([ROW]), CONFIG, "'txt_key' is not a parameter; there are: da"),
    (tfds("dataset"), text_set([ROW]), CONFIG, "'dataset' is not NAME=VALUE"),
    (tfds("dataset=a=b"), text_set([ROW]), CONFIG, "'dataset=a=b' is not NAME=VALUE"),
    (tfds("text_key=x"), text_set([ROW]), CONFIG, "--tfds_params needs dataset=NAME"),
    (tfds("dataset=t", TEST), text_set([ROW]), CONFIG, "give --eval_data_output_path and dev_split"),
    (tfds("dataset=t", "--fine_tuning_task_type=tagging"), text_set([ROW]), CONFIG,
     "--tfds_params is for --fine_tuning_task_type=classification or regression"),
    (["--classification_task_name=COLA", TRAIN], {}, CONFIG, "COLA needs --input_data_dir"),
    (["--classification_task_name=CB", TRAIN], {}, CONFIG, "CB needs --input_data_dir: the folder wi"),
    (["--tfds_params=dataset=t", TRAIN], {}, DATA, "/tensorflow_datasets: TFDS has not prepared 't'"),
    # .jsonl
    (classification("CB"), {"train.jsonl": line(CB)}, 0, None),
    (classification("CB"), {}, DATA, "/in/train.jsonl: no such file"),
    (classification("CB"), {"train.jsonl": line(CB) + '{"a" 1}\n'}, DATA, "train.jsonl:2:"),
    (classification("CB"), {"train.jsonl": b'{"premise": "\xff"}'}, DATA, "train.jsonl:1:"),
    (classification("CB"), {"train.jsonl": line(CB) + "\n[1]"}, DATA, "train.jsonl:3: a JSON object"),
    (classification("CB"), {"train.jsonl": line(CB, premise=None)}, DATA, ":1: there is no 'premise'"),
    (classification("CB"), {"train.jsonl": line(CB, premise=7)}, DATA, "text is expected under 'prem"),
    (classification("CB"), {"train.jsonl": line(CB, label=None)}, DATA, ":1: there is no 'label'"),
    (classification("CB"), {"train.jsonl": line(CB, label="maybe")}, DATA,
     "train.jsonl:1: unknown label 'maybe'; expected entailment, contradiction, neutral"),
    (classification("CB"), {"train.jsonl": line(CB, label=1)}, DATA, "unknown label '(no text)'"),
    (classification("CB"), {"train.jsonl": " \n\n"}, DATA, "train.jsonl: there are no rows of data"),
    (classification("WIC"), {"train.jsonl": line(WIC, label="true")}, DATA, "true or false is expec"),
    (classification("WIC"), {"train.jsonl": line(WIC, word=None)}, DATA, "there is no 'word'"),
    (classification("WIC", "--max_seq_length=4"), {"train.jsonl": line(WIC)}, CONFIG,
     "max_seq_length 4 is too small: the word 'c' leaves no room"),
    (classification("AX-g"), {"AX-g.jsonl": line(CB)}, CONFIG, "AX-g has test data only"),
    (["--classification_task_name=AX-g", INPUT], {}, CONFIG, "--test_data_output_path must be given"),
    # tab separated, several languages
    (classification("XTREME-XNLI"), {"train-en.tsv": "a\tb\tneutral\n"}, 0, None),
    (classification("XTREME-XNLI"), {"train-en.tsv": "a\tb\tneutral\n\n"}, DATA,
     "train-en.tsv:2: expected at least 3 tab separated columns, got 0"),
    (classification("XTREME-XNLI"), {"train-en.tsv": "a\tb\tmaybe\n"}, DATA,
     "train-en.tsv:1: unknown label 'maybe'; expected contradiction, entailment, neutral"),
    (classification("XTREME-XNLI"), {"train-en.tsv": b"a\tb\tneutral\n\xc3\tb\tneutral"}, DATA,
     "train-en.tsv:2: byte 1 of the line (0xc3) is not valid UTF-8"),
    (classification("XTREME-PAWS-X", TESTS), {"train-en.tsv": "a\tb\t1\n"}, DATA, "test-de.tsv: no suc"),
    (classification("XTREME-PAWS-X", TESTS, "--languages=en"),
     {"train-en.tsv": "a\tb\t1\n", "test-en.tsv": "a\n"}, DATA, "test-en.tsv:1: expected at least 2"),
    (classification("XTREME-PAWS-X", TEST, "--languages=en"),
     {"train-en.tsv": "a\tb\t1\n", "test-en.tsv": "a\tb\n"}, 0, None),
    (classification("XTREME-PAWS-X", TEST, "--languages=en,de"),
     {"train-en.tsv": "a\tb\t1\n", "test-en.tsv": "", "test-de.tsv": ""}, CONFIG, "put {} where its"),
    (classification("XTREME-PAWS-X", TEST + "{x}"), {"train-en.tsv": "a\tb\t1\n"}, CONFIG,
     "'{' stands alone; {} is the place of the language"),
    (classification("XTREME-PAWS-X", "--languages=en,fi"), {"train-en.tsv": ""}, CONFIG,
     "'fi' is not a language of XTREME-PAWS-X: de en es fr ja ko zh"),
    (classification("XTREME-PAWS-X", "--translated_input_data_dir={in}/t"), {"train-en.tsv": ""}, DATA,
     "/in/t/translate-train/en-de-translated.tsv: no such file"),
    (classification("PAWS-X", "--pawsx_language=it"), {"x": ""}, CONFIG,
     "--pawsx_language=it is not a language of PAWS-X: de en es fr ja ko zh or all"),
    (classification("PAWS-X"), {"en/train.tsv": "id\ts\ts\tl\n1\ta\tb\t2\n"}, DATA,
     "en/train.tsv:2: unknown label '2'; expected 0, 1"),
    (classification("PAWS-X"), {"en/train.tsv": "id\ts\ts\tl\n"}, DATA, "there are no rows of data"),
    (classification("XNLI", EVAL)[:2] + [EVAL], {"xnli.dev.tsv": "h\nxx\tneutral\t\t\t\t\ta\tb\n"}, DATA,
     "xnli.dev.tsv:2: unknown language 'xx' in column 1"),
    # IMDB
    (classification("IMDB"), {"train/neg/1.txt": "a"}, DATA, "/in/train/pos: no such folder"),
    (classification("IMDB"), {"train/neg/1.txt": "a\nb\xff".encode("latin-1"), "train/pos/1.txt": ""},
     DATA, "/in/train/neg/1.txt: byte 4 (0xff) is not valid UTF-8"),
    (classification("IMDB"), {"train/neg/x": "", "train/pos/x": ""}, DATA, "there are no rows of data"),
    (classification("IMDB", TEST), {"train/neg/x": ""}, CONFIG, "leave out --test_data_output_path"),
    # retrieval
    (retrieval("bucc", EVAL, "--languages=de"), {"de-en.dev.de": "de_1\tx\n", "de-en.dev.en": "en-1\tx"},
     DATA, "de-en.dev.de:1: 'de_1' is not an id of a sentence; expected LANGUAGE-NUMBER"),
    (retrieval("bucc", EVAL, "--languages=de"), {"de-en.dev.de": "de-1\tx\n", "de-en.dev.en": "en-\tx"},
     DATA, "de-en.dev.en:1: 'en-' is not an id"),
    (retrieval("bucc", EVAL, "--languages=de"), {"de-en.dev.de": "de-1\n", "de-en.dev.en": ""}, DATA,
     "de-en.dev.de:1: expected 2 tab separated columns (id, text), got 1"),
    (retrieval("tatoeba", TEST, "--languages=de"), {"de-en.de": "a\n\nb", "de-en.en": "a"}, DATA,
     "de-en.de:2: expected 1 tab separated column, got 0"),
    (retrieval("tatoeba", TEST, EVAL), {"x": ""}, CONFIG, "tatoeba has test data only"),
    (retrieval("bucc"), {"x": ""}, CONFIG, "--eval_data_output_path or --test_data_output_path must"),
    (retrieval("bucc", "--test_data_output_path={in}/x", "--languages=de"),
     {"x": "", "de-en.test.de": "de-1\tx", "de-en.test.en": "en-1\tx"}, RESOURCES, "/in/x"),
    # tagging
    (tagging("panx"), {"train-en.tsv": "a\tO\tx\n"}, DATA, "train-en.tsv:1: more than two columns"),
    (tagging("panx"), {"train-en.tsv": "a\tO\nb\tB-MISC\n"}, DATA,
     "train-en.tsv:2: unknown label 'B-MISC'; expected O, B-PER, I-PER, B-LOC, I-LOC, B-ORG, I-ORG"),
    (tagging("panx"), {"train-en.tsv": "a\t\n"}, DATA, "train-en.tsv:1: unknown label ''"),
    (tagging("panx"), {"train-en.tsv": b"a\tO\n\xe9\tO\n"}, DATA, "train-en.tsv:2: byte 1 of the line"),
    (tagging("panx"), {"train-en.tsv": "\n\n"}, DATA, "train-en.tsv: there are no rows of data"),
    (tagging("panx", "--max_seq_length=2"), {"train-en.tsv": "a\tO\n"}, CONFIG, "needs at least 3"),
    (tagging("panx", "--tagging_labels=O"), {"train-en.tsv": "a\tO\n"}, CONFIG, "is for --tagging_task"),
    (tagging("udpos", "--tagging_only_use_en_train=false"), {"x": ""}, DATA, "no files train-LANGUAGE"),
    (tagging("conll"), {"train.txt": "a O\n"}, 0, None),
    (tagging("conll"), {"x": ""}, DATA, "no train file there; looked for train.tsv, .txt, .conll"),
    (tagging("conll", EVAL), {"train.txt": "a O\n"}, DATA, "no eval file there; looked for dev.tsv"),
    (tagging("conll"), {"train.txt": "a O\n\nb\n"}, DATA, "train.txt:3: the word has no label"),
    (tagging("conll", EVAL), {"train.txt": "a O\n", "dev.txt": "a X\n"}, DATA,
     "dev.txt:1: unknown label 'X'; expected O (the labels of the training file; give all with"),
    (tagging("conll", EVAL), {"train.txt": "a O\n", "dev.txt": "a\n"}, DATA, "dev.txt:1: the word has n"),
    (tagging("conll"), {"train.txt": "\n"}, DATA, "train.txt: there are no rows of data"),
    (tagging("conll"), {"train.txt": b"a \xff\n"}, DATA, "train.txt:1: byte 3 of the line (0xff)"),
    (tagging("conll", "--tagging_labels=B"), {"train.txt": "a O\n"}, DATA, "expected B (--tagging_labels)"),
    (tagging("conll", "--tagging_labels=,"), {"train.txt": "a O\n"}, CONFIG, "there are no labels"),
    (tagging("conll", "--tagging_labels=@{in}/no"), {"train.txt": "a O\n"}, DATA, "/in/no: "),
    (tagging("conll", "--tagging_columns=1"), {"train.txt": "a O\n"}, CONFIG, "numbers of two columns"),
    (tagging("conll", "--tagging_columns=2,2"), {"train.txt": "a O\n"}, CONFIG, "numbers of two columns"),
    (tagging("conll", "--tagging_columns=1,3"), {"train.txt": "a O\n"}, DATA,
     "train.txt:1: 2 columns, but the word is in column 1 and the label in column 3"),
    (tagging("conll", "--languages=en"), {"train.txt": "a O\n"}, CONFIG, "conll data have no languages"),
    (["--fine_tuning_task_type=tagging", "--tagging_task_name=conll", INPUT], {"x": ""}, CONFIG,
     "--train_data_output_path or --eval_data_output_path or --test_data_output_path must be given"),
]


def write_files(folder, files):
    os.mkdir(folder)
    for path, content in files.items():
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())


def check(args, files, want_status, text):
    with tempfile.TemporaryDirectory(prefix="bt_bad_input_") as folder:
        source, out = os.path.join(folder, "in"), os.path.join(folder, "out")
        write_files(source, files)
        env = {k: v for k, v in os.environ.items() if k != "TFDS_DATA_DIR"}
        done = subprocess.run(
            [TOOL, "--vocab_file=" + VOCAB, "--max_seq_length=16", f"--meta_data_file_path={out}/meta"]
            + [a.replace("{in}", source).replace("{out}", out) for a in args],
            capture_output=True, text=True, env=dict(env, HOME=folder))
        # a flag that a row gives as well replaces that of all rows
        lines = [line for line in done.stderr.splitlines() if "is given twice" not in line]
        if done.returncode != want_status or done.stdout:
            return f"exit {done.returncode}, expected {want_status}: {done.stderr}"
        if want_status == 0:
            warnings = [w for w in lines if ": warning: " in w]
            ok = len(warnings) == 1 and text in warnings[0] if text else not warnings
            return None if ok and os.path.exists(os.path.join(out, "meta")) else f"got: {done.stderr}"
        if len(lines) != 1 or not lines[0].startswith("create-finetuning-data: error: "):
            return f"not one error line: {done.stderr}"
        if text not in lines[0]:
            return f"no '{text}' in: {lines[0]}"
        return f"left behind: {os.listdir(out)}" if os.path.exists(out) else None


def main():
    failed = 0
    for args, files, status, text in CASES:
        problem = check(args, files, status, text)
        if problem:
            failed += 1
            print(f"{' '.join(args)} {sorted(files)}: {problem}")
    print(f"{len(CASES) - failed} of {len(CASES)} as expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
