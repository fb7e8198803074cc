#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that no compiler flag holds.

Banned functions, files under 700 lines, the licence line and the header comment, unique snake_case
file names, no unfinished-work words, no paths of somebody's machine, no section banners (clang-format
breaks them, and a file that needs them is two files).
usage: check_style.py [ROOT] | check_style.py --self-test
"""
import os
import pathlib
import re
import sys

import lint_main

MAX_LINES = 700
SKIP_FOLDERS = {".git", "build", "runs", "__pycache__"}
CODE = {".c", ".h", ".def"}
SCRIPTS = {".py", ".sh"}
TEXTS = CODE | SCRIPTS | {".md", ".txt", ".cmake", ".yaml", ".yml", ".json"}

BANNED = {
    r"strcpy|strcat|strncpy|strncat|stpcpy": "use bt_str or memcpy with a checked length",
    r"sprintf|vsprintf|gets": "use snprintf",
    r"strtok|strtok_r": "use strcspn",
    r"atoi|atol|atoll|atof": "use bt_parse_i64 or bt_parse_f64",
    r"alloca": "use the heap or an arena",
    r"regcomp|regexec": "glibc's regexec says 'no match' when it has no memory",
}
JANSSON = r"json_load[a-z]*|json_dump[a-z]*"  # tells no memory from bad syntax in places only
HEAP = r"malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|strndup"
# file: why it may use the heap of libc
HEAP_EXCEPTIONS = {
    "src/base/alloc.c": "it is the allocator seam",
}
# free() near one of these gives back what a library allocated
FOREIGN_MEMORY = re.compile(r"libc's memory|jansson's own memory|realpath|getline|getcwd")

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|not imple" r"mented)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(work|root)/\w")
# a line of a comment that is drawn, not written: /* ---- rows ----, * ------- */, # ==== more
BANNER = re.compile(r"^\s*(/\*|//|\*|#)[ /]*([-=*#~])\2{2}|^\s*(/\*|//|\*|# ).*([-=~])\4{7,}\s*(\*/)?\s*$")
COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def check_calls(path, text):
    problems = []
    code = COMMENT_OR_STRING.sub(blank, text)
    lines = text.split("\n")
    for pattern, advice in BANNED.items():
        for match in re.finditer(rf"\b({pattern})\s*\(", code):
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {match.group(1)}() is banned: {advice}")
    if path.startswith(("src/", "programs/", "tools/")) and path != "src/fs/fs_json.c":
        for match in re.finditer(rf"\b({JANSSON})\s*\(", code):
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {match.group(1)}() is banned: use bt_json_load or bt_json_append")
    if path.startswith(("src/", "programs/", "tools/", "bench/")) and path not in HEAP_EXCEPTIONS:
        for match in re.finditer(rf"\b({HEAP})\s*\(", code):
            line = code.count("\n", 0, match.start()) + 1
            near = "\n".join(lines[max(0, line - 15):line])
            if match.group(1) == "free" and FOREIGN_MEMORY.search(near):
                continue
            problems.append(f"{path}:{line}: {match.group(1)}() is banned: use bt_alloc & co")
    return problems


def check_header(path, text):
    if path.endswith(tuple(CODE)):
        first = re.match(r"/\*.*?\*/", text, re.DOTALL)
        head = first.group(0) if first else ""
        if "SPDX-License-Identifier: Apache-2.0" not in head.split("\n", 1)[0]:
            return [f"{path}:1: the first line must be the SPDX licence line"]
        words = re.findall(r"[A-Za-z]{2,}", head.split("\n", 1)[1] if "\n" in head else "")
        if len(words) < 2:
            return [f"{path}:1: the header comment must say what the file does"]
    elif "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.split("\n")[:3]):
        return [f"{path}:1: the SPDX licence line is missing"]
    return []


def check_words(path, text):
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if UNFINISHED.search(line):
            problems.append(f"{path}:{number}: unfinished work: {line.strip()[:80]}")
        if MACHINE_PATH.search(line):
            problems.append(f"{path}:{number}: a path of one machine: {line.strip()[:80]}")
    return problems


def check_banners(path, text):
    return [f"{path}:{number}: a section banner: write a plain comment where it says something, or a file of its own"
            for number, line in enumerate(text.split("\n"), 1) if BANNER.match(line)]


def check_file(path, text):
    problems = []
    suffix = os.path.splitext(path)[1]
    if suffix in CODE or suffix in SCRIPTS:
        n_lines = text.count("\n")
        if n_lines >= MAX_LINES:
            problems.append(f"{path}: {n_lines} lines, at most {MAX_LINES - 1}: split it")
        problems += check_header(path, text)
        problems += check_banners(path, text)
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z]+", os.path.basename(path)):
            problems.append(f"{path}: file names are snake_case")
    if suffix in CODE:
        problems += check_calls(path, text)
    return problems + check_words(path, text)


def files_of(root):
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n not in SKIP_FOLDERS)
        for name in sorted(files):
            if os.path.splitext(name)[1] in TEXTS:
                yield pathlib.Path(folder, name)


def check_tree(root):
    problems = []
    seen = {}
    for file in files_of(root):
        path = file.relative_to(root).as_posix()
        if path.startswith(("data/", "tests/goldens/")):
            continue  # data, not prose
        problems += check_file(path, file.read_text(encoding="utf-8", errors="replace"))
        if file.suffix in CODE:
            # include/bt/ROOM.h is the face of src/ROOM: main files may share a room's name
            if file.name in seen and file.name != "main.c":
                problems.append(f"{path}: the name is taken by {seen[file.name]}")
            seen.setdefault(file.name, path)
    return problems


def self_test():
    head = "/* SPDX-License-Identifier: Apache-2.0\n *\n * What this does. */\n"
    bad = {
        "src/a/one.c": head + "int f(void) { return atoi(\"1\"); }\n",
        "src/a/two.c": head + "void *g(void) { return malloc(3); }\n",
        "src/a/three.c": "int x;\n",
        "src/a/four.c": "/* SPDX-License-Identifier: Apache-2.0 */\nint x;\n",
        "src/a/five.c": head + "int x;\n" * MAX_LINES,
        "src/a/Six.c": head,
        "src/b/twin.c": head,
        "src/a/seven.c": head + "/* TO" + "DO later */\n",
        "tools/eight.py": "print('no licence')\n",
        "docs/nine.md": "see /wo" + "rk/main/x\n",
        "src/a/ten.c": head + "void h(char *s) { free(s); }\n",
        "src/a/twelve.c": head + "/* ---- rows ---------\n */\n",
        "src/a/thirteen.c": head + "/* rows\n * ------------ */\n",
        "src/a/fourteen.h": head + "/* ---- rows */\n",
        "tools/fifteen.py": "# SPDX-License-Identifier: Apache-2.0\n# ---- rows ----\n",
        "src/a/eleven.c": head + "void *i(void) { return json_loads(\"1\", 0, 0); }\n",
    }
    good = {
        "src/a/good.c": head + "/* strcpy( and malloc( in words */\nconst char *s = \"atoi(\";\n",
        "src/a/twin.c": head + "void bt_free(void *p);\n",
        "src/a/path.c": head + "char *p = realpath(a, NULL); /* libc's memory */ free(p);\n",
        "src/a/plain.h": head + "/* Rows -- and more --- of them: a\n * - b\n * --flag */\nint *a; /* -1 */\n",
        "tools/fine.py": "# SPDX-License-Identifier: Apache-2.0\n# -x: y\n",
    }
    return lint_main.test_samples(check_tree, bad, good)


if __name__ == "__main__":
    sys.exit(lint_main.run("check_style", sys.argv, check_tree, self_test))
