#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-format finds nothing to change (.clang-format). Exit 77 (skipped) without clang-format 14:
other versions set the same rules differently.
usage: check_format.py [ROOT] | check_format.py --self-test
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

VERSION = "14"


def find_tool():
    for name in ("clang-format-" + VERSION, "clang-format"):
        tool = shutil.which(name)
        if tool is None:
            continue
        text = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
        match = re.search(r"version (\d+)\.", text)
        if match and match.group(1) == VERSION:
            return tool
    return None


def check_files(tool, root, files):
    run = subprocess.run([tool, "--dry-run", "-Werror", "--style=file"] + files, cwd=root,
                         capture_output=True, text=True)
    print(run.stderr[:8000], end="")
    return run.returncode


def self_test(tool):
    root = pathlib.Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(root / ".clang-format", folder)
        pathlib.Path(folder, "bad.c").write_text("int  f( void ){return 1;}\n")
        pathlib.Path(folder, "good.c").write_text("int f(void) {\n    return 1;\n}\n")
        bad = subprocess.run([tool, "--dry-run", "-Werror", "bad.c"], cwd=folder,
                             capture_output=True).returncode
        good = check_files(tool, folder, ["good.c"])
    ok = bad != 0 and good == 0
    print("self-test:", "passed" if ok else "failed")
    return 0 if ok else 1


def main(argv):
    tool = find_tool()
    if tool is None:
        print(f"SKIPPED: clang-format {VERSION} is not installed")
        return 77
    if "--self-test" in argv:
        return self_test(tool)
    root = pathlib.Path(argv[1] if len(argv) > 1 else pathlib.Path(__file__).parents[2])
    files = [f.relative_to(root).as_posix() for top in ("src", "include", "programs", "tools", "tests", "bench")
             for f in sorted((root / top).rglob("*.[ch]"))]
    if not files:
        print("no C file found")
        return 1
    status = check_files(tool, root, files)
    print(f"check_format: {len(files)} files", "clean" if status == 0 else "NOT clean")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
