#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The memory of create-finetuning-data does not grow with the input: a tab separated file and a CoNLL
file, eight times as many rows. usage: finetuning_memory.py"""
import os
import subprocess
import sys
import tempfile

SKIPPED = 77
TOOL = os.path.join(os.environ["BT_BUILD_DIR"], "create-finetuning-data")
VOCAB = os.path.join(os.environ["BT_SOURCE_DIR"], "tests", "goldens", "text", "vocab.txt")
FEW, MANY = 40_000, 320_000  # the few fill every block that is in memory at one time
ROOM_KIB = 2048
KINDS = {
    "tsv": (["--classification_task_name=QQP"], "train.tsv", "question1\tquestion2\tis_duplicate\n",
            "the cat jumped over\ta lazy dog\t1\n"),
    "conll": (["--fine_tuning_task_type=tagging", "--tagging_task_name=conll"], "train.txt", "",
              "the O\ncat B-X\n\n"),
}


def is_sanitized():
    with open(os.path.join(os.environ["BT_BUILD_DIR"], "CMakeCache.txt"), encoding="utf-8") as f:
        return any(line.startswith("BT_SANITIZE:") and line.strip()[-1] != "=" for line in f)


def peak_kib(folder, flags):
    done = subprocess.Popen([TOOL, f"--vocab_file={VOCAB}", f"--input_data_dir={folder}",
                             "--max_seq_length=16", "--num_threads=2", f"--train_data_output_path={folder}/o",
                             f"--meta_data_file_path={folder}/m", *flags], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    if done.returncode != 0:
        sys.exit(f"exit {done.returncode}")
    return usage.ru_maxrss


def main():
    if is_sanitized():
        print("SKIPPED: a sanitizer keeps freed memory: nothing could be learned here")
        return SKIPPED
    failed = 0
    for kind, (flags, name, head, row) in KINDS.items():
        peaks = {}
        for n in (FEW, MANY):
            with tempfile.TemporaryDirectory(prefix="bt_memory_") as folder:
                with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                    f.write(head)
                    for _ in range(n // 1000):  # in small pieces: a child's peak counts its parent's
                        f.write(row * 1000)
                peaks[n] = min(peak_kib(folder, flags) for _ in range(2))
        print(f"{kind}: peak {peaks[FEW]} KiB with {FEW} rows, {peaks[MANY]} KiB with {MANY}")
        failed += peaks[MANY] - peaks[FEW] > ROOM_KIB
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
