#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""create-finetuning-data against every run of Model Garden's tool in the goldens: the same files with
the same bytes. Where that tool fails, ours exits as the case below says and leaves nothing behind.

usage: finetuning_goldens.py runs|errors       (needs BT_BUILD_DIR; where BT_SHARED_DIR is there, of its text too)
"""
import base64
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.environ["BT_BUILD_DIR"], "create-finetuning-data")
PLACES = [os.path.join(os.environ[variable], "goldens", "data", "finetuning")
          for variable in ("BT_BUILD_DIR", "BT_SHARED_DIR") if os.environ.get(variable)]

# The real tool reads these inputs as the file system lists them, which differs between machines.
LISTED = {"imdb": ("train.tf_record", "eval.tf_record"),
          "tagging_udpos_all_langs": ("train.tf_record", "eval.tf_record")}

# Bad or odd invocations: exit status and a piece of the sentence. 0: the real tool's bytes.
CONFIG, DATA = 2, 3
ERRORS = {
    "no_flags": (CONFIG, "must be given: --meta_data_file_path"),
    "no_meta_flag": (CONFIG, "must be given: --meta_data_file_path"),
    "no_vocab": (CONFIG, "--vocab_file must be given"),
    "unknown_flag": (CONFIG, "unknown command line flag 'frobnicate'"),
    "bad_task_type": (CONFIG, "should be one of classification, regression"),
    "bad_task_name": (CONFIG, "should be one of AX, COLA"),
    "lowercase_task_name_cola": (0, None),  # taken: docs/deviations.md
    "lowercase_boolq": (0, None),
    "bool_flag_bad_value": (CONFIG, "--do_lower_case=maybe"),
    "int_flag_bad_value": (CONFIG, "--max_seq_length=abc"),
    "glue_with_input_data_dir": (0, None),  # the plain folder
    "xnli_without_input_data_dir": (CONFIG, "XNLI needs --input_data_dir"),
    "xnli_bad_language": (CONFIG, "--xnli_language=xx is not a language of XNLI: ar bg de"),
    "no_train_output_path": (0, None),
    "no_outputs_at_all": (CONFIG, "--train_data_output_path or --eval_data_output_path must be"),
    "vocab_missing_file": (DATA, "no_such_vocab.txt: no such file"),
    "sentencepiece_without_model": (CONFIG, "WordPiece only"),
    "regression_without_tfds": (CONFIG, "regression needs --tfds_params"),
    "ax_g": (CONFIG, "AX-g has test data only: leave out --train_data_output_path"),
    "ax_g_only_test": (CONFIG, "AX-g has test data only: leave out --train_data_output_path"),
    "pawsx_test_path_without_braces": (CONFIG, "put {} where its name goes"),
    "retrieval_tatoeba_with_eval": (CONFIG, "tatoeba has test data only"),
    "retrieval_without_outputs": (CONFIG, "--eval_data_output_path or --test_data_output_path must"),
    "retrieval_bad_id": (DATA, "de-en.dev.en: no such file"),
    "tagging_without_eval_path": (0, None),  # any of the three
    "tagging_without_test_path": (0, None),
    "tagging_three_columns": (DATA, "err_in/px_cols/dev-en.tsv: no such file"),
    "tagging_unknown_label": (DATA, "err_in/px_label/dev-en.tsv: no such file"),
    "tagging_missing_dev": (DATA, "err_in/px_ok/dev-en.tsv: no such file"),
    "tsv_blank_line": (DATA, "train-en.tsv:2: expected at least 3 tab separated columns, got 0"),
    "tsv_short_row": (DATA, "train-en.tsv:1: expected at least 3 tab separated columns, got 2"),
    "tsv_unknown_label": (DATA, "train-en.tsv:1: unknown label '7'; expected 0, 1"),
    "tsv_invalid_utf8": (DATA, "train-en.tsv:1: byte 2 of the line (0xff) is not valid UTF-8"),
    "tsv_cr": (0, None),
    "tsv_bom": (0, None),
    "tsv_empty": (DATA, "train-en.tsv: there are no rows of data"),
    "tsv_empty_text_b": (0, None),
    "tsv_extra_columns": (0, None),
    "tsv_label_with_space": (DATA, "train-en.tsv:1: unknown label '1 '"),
    "tsv_field_131073": (DATA, "train-en.tsv:1: column 1 has 131073 characters"),
    "tsv_missing_file": (DATA, "err_in/no_such_dir: no such folder"),
    "seq_len_3": (0, None),
    "seq_len_2": (CONFIG, "max_seq_length 2 is too small"),
    "seq_len_1": (CONFIG, "--max_seq_length=1: must be 2"),
    "seq_len_0": (CONFIG, "--max_seq_length=0: must be 2"),
    "seq_len_1_single": (CONFIG, "--max_seq_length=1: must be 2"),
    "seq_len_2_single": (0, None),
    "vocab_duplicate_and_blank": (0, None),
    "vocab_without_cls": (DATA, "vocab_nocls.txt: the vocabulary (4 pieces) has no [CLS]"),
    "vocab_without_unk": (DATA, "vocab_nounk.txt: the vocabulary (5 pieces) has no [UNK]"),
    "meta_in_cwd": (0, None),
    "squad_without_file": (CONFIG, "squad needs --squad_data_file"),
    "squad_no_data_key": (DATA, "sq_nodata.json: not a SQuAD file"),
    "squad_bad_json": (DATA, "sq_bad.json:1:10: not JSON"),
    "squad_v2_without_is_impossible": (DATA, "question '1': is_impossible: expected true or false"),
    "squad_answer_offset_past_end": (DATA, "question '1': answer_start: got 50"),
    "squad_empty_answer_text": (DATA, "question '1': answers: the text is empty"),
    "squad_empty": (DATA, "sq_empty.json: no question"),
    "squad_missing": (DATA, "nope.json: no such file"),
    "squad_seq_5": (0, None),
    "squad_doc_stride_0_short_doc": (0, None),
    "squad_v1_bool_no_form": (0, None),
}


def run(goldens, args):
    done = subprocess.run([TOOL] + args, cwd=goldens, capture_output=True, text=True,
                          env=dict(os.environ, TFDS_DATA_DIR="tfds"))
    return done.returncode, done.stderr, done.stdout


def read(path):
    with open(path, "rb") as f:
        return f.read()


def records(data):
    """Without example_id: it counts the rows of the file."""
    out = []
    while data:
        n, = struct.unpack("<Q", data[:8])
        record = data[12:12 + n]
        at = record.find(b"example_id")
        out.append(record if at < 0 else record[:at] + record[at + 12 + record[at + 11]:])
        data = data[16 + n:]
    return sorted(out)


def is_same(name, file, got, want):
    if got == want or file not in LISTED.get(name, ()):
        return got == want
    return records(got) == records(want)


def check_run(goldens, name, out):
    folder = os.path.join(goldens, "out", name)
    with open(os.path.join(folder, "command.txt"), encoding="utf-8") as f:
        args = shlex.split(f.read().replace("\\\n", " "))[4:]
    with open(os.path.join(folder, "status.json"), encoding="utf-8") as f:
        should_fail = json.load(f)["exit_status"] != 0
    status, stderr, _ = run(goldens, [a.replace("out/" + name, out) if "_path=" in a else a for a in args])
    if should_fail:
        refused = status in (CONFIG, DATA) and not os.listdir(out)
        return [] if refused else [f"exit {status}: {stderr}"]
    if status != 0:
        return [f"exit {status}: {stderr}"]
    want = set(os.listdir(folder)) - {"command.txt", "status.json"}
    problems = [f"other files: {sorted(want ^ set(os.listdir(out)))}"] * (want != set(os.listdir(out)))
    problems += [f"{file} differs" for file in sorted(want & set(os.listdir(out)))
                 if not is_same(name, file, read(os.path.join(out, file)),
                                read(os.path.join(folder, file)))]
    return problems


def check_error(goldens, name, case, out):
    want_status, text = ERRORS[name]
    status, stderr, stdout = run(goldens, [a.replace("err_tmp/", out + "/").replace("=err_tmp_", f"={out}/m_")
                                           for a in case["flags"]])
    lines = stderr.splitlines()
    if status != want_status or stdout:
        return [f"exit {status}, expected {want_status}: {stderr}{stdout}"]
    if want_status != 0:
        if len(lines) != 1 or not lines[0].startswith("create-finetuning-data: error: "):
            return [f"not one error line: {stderr}"]
        left = os.listdir(out)
        return [f"no '{text}' in {stderr}"] * (text not in stderr) + [f"left {left}"] * bool(left)
    if case["exit_status"] != 0:
        return []
    problems = []
    for file, left in case["files_left"].items():
        got = read(os.path.join(out, file))
        if len(got) != left["size"] or (left["base64"] and got != base64.b64decode(left["base64"])):
            problems.append(f"{file} differs")
    return problems


def check_all(kind, goldens):
    """0, or 1 where something differs."""
    if kind == "runs":
        names = sorted(os.listdir(os.path.join(goldens, "out")))
    else:
        with open(os.path.join(goldens, "errors.json"), encoding="utf-8") as f:
            cases = json.load(f)
        names = list(cases)
        if sorted(names) != sorted(ERRORS):
            print(f"cases without expectation: {sorted(set(names) ^ set(ERRORS))}")
            return 1
    failed = 0
    for name in names:
        out = tempfile.mkdtemp(prefix="bt_finetuning_")
        problems = check_run(goldens, name, out) if kind == "runs" else check_error(
            goldens, name, cases[name], out)
        shutil.rmtree(out)
        failed += bool(problems)
        for problem in problems:
            print(f"{name}: {problem}")
    print(f"{len(names) - failed} of {len(names)} as expected")
    return 1 if failed or not names else 0


def main():
    places = [place for place in PLACES if os.path.isdir(place)]
    return max([check_all(sys.argv[1], place) for place in places], default=1)


if __name__ == "__main__":
    sys.exit(main())
