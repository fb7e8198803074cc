#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""create-finetuning-data on the project's own small inputs (tests/goldens/data_tool): the expected
files with the expected bytes, on one thread and on three. usage: finetuning_cases.py"""
import json
import os
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.environ["BT_BUILD_DIR"], "create-finetuning-data")
TESTS = os.path.join(os.environ["BT_SOURCE_DIR"], "tests")
GOLDENS = os.path.join(TESTS, "goldens", "data_tool")
VOCAB = os.path.join(TESTS, "goldens", "text", "vocab.txt")


def files_below(folder):
    return {os.path.relpath(os.path.join(at, name), folder)
            for at, _, names in os.walk(folder) for name in names}


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def check(case, threads):
    folder = os.path.join(GOLDENS, case["name"])
    expected = os.path.join(folder, "expected")
    with tempfile.TemporaryDirectory(prefix="bt_data_tool_") as out:
        args = [a.replace("{in}", os.path.join(folder, "in")).replace("{out}", out)
                for a in case["args"]]
        env = dict(os.environ, TFDS_DATA_DIR=os.path.join(folder, "in"))
        if not case["tfds"]:
            env.pop("TFDS_DATA_DIR")
        done = subprocess.run([TOOL, "--vocab_file=" + VOCAB, "--max_seq_length=16",
                               f"--meta_data_file_path={out}/meta_data", f"--num_threads={threads}"]
                              + args, capture_output=True, text=True, env=env)
        if done.returncode != 0 or done.stdout:
            return [f"exit {done.returncode}: {done.stderr}{done.stdout}"]
        want, got = files_below(expected), files_below(out)
        problems = [f"{n} differs" for n in sorted(want & got) if read(expected, n) != read(out, n)]
        return problems + [f"only there or only here: {sorted(want ^ got)}"] * (want != got)


def main():
    with open(os.path.join(GOLDENS, "cases.json"), encoding="utf-8") as f:
        cases = json.load(f)
    failed = 0
    for case in cases:
        problems = check(case, 1) + check(case, 3)
        failed += bool(problems)
        for problem in problems:
            print(f"{case['name']}: {problem}")
    print(f"{len(cases) - failed} of {len(cases)} as expected")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
