#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Functions fit on a screen and in a head, and their names say who may call them.

At most 60 lines, tables of constants not counted. Cognitive complexity of at most 25, the usual measure
(c_functions.py) and the usual limit. What headers of include/bt/ declare begins with bt_, what headers of
src/ declare does not. Functions that cmocka runs begin with test_.
usage: check_functions.py [ROOT] | check_functions.py --self-test
"""
import pathlib
import re
import sys

import c_functions
import lint_main

TOPS = ("src", "include", "programs", "tools", "tests", "bench")
MAX_LINES = 60
MAX_COMPLEXITY = 25
CMOCKA = re.compile(r"\bcmocka_unit_test\w*\(\s*(\w+)")


def check_sizes(path, text):
    problems = []
    for function in c_functions.functions_of(text):
        where = f"{path}:{function.line}: {function.name}"
        if function.n_lines > MAX_LINES:
            problems.append(f"{where} has {function.n_lines} lines, at most {MAX_LINES}: split it")
        if function.complexity > MAX_COMPLEXITY:
            problems.append(f"{where} has a cognitive complexity of {function.complexity}, at most "
                            f"{MAX_COMPLEXITY}: give a part of it a name")
    return problems


def check_names(path, text):
    problems = []
    if path.endswith(".h") and path.startswith(("src/", "include/bt/")):
        is_public = path.startswith("include/")
        for prototype in c_functions.prototypes_of(text):
            where = f"{path}:{prototype.line}: {prototype.name}"
            if is_public and not prototype.name.startswith("bt_"):
                problems.append(f"{where} is public, so its name begins with bt_")
            if not is_public and prototype.name.startswith("bt_"):
                problems.append(f"{where} is of a room alone, so its name does not begin with bt_")
    for match in CMOCKA.finditer(text):
        if not match.group(1).startswith("test_"):
            line = text.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: the name of the test {match.group(1)} begins with test_")
    return problems


def check_tree(root):
    problems = []
    for top in TOPS:
        for file in sorted((root / top).rglob("*.[ch]")):
            path, text = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
            problems += check_sizes(path, text) + check_names(path, text)
    return problems


# bodies and what each comes to
COMPLEXITIES = [
    ("return a;", 0),
    ("if (a) { b(); } else if (c) { d(); } else { e(); }", 3),
    ("for (;;) { if (a) { b(); } }", 3),
    ("for (;;) if (a) b(); else c(); if (d) e();", 5),
    ("do { if (a) { b(); } } while (c);", 3),
    ("switch (a) { case 1: if (b) { c(); } break; default: break; }", 3),
    ("return a && b && c || d;", 2),
    ("if (a && (b || c)) { d(); }", 3),
    ("return a ? b : c;", 1),
    ("while (a) { goto done; } done: return b;", 2),
    ("f(a); g(f);", 1),
    ("g(\"if (a) {\"); /* for (;;) */", 0),
]
TABLE = "    static const int t[] = {\n" + "        1,\n" * 60 + "    };\n"


def self_test():
    line = "    a();\n"
    deep = "if (a) { " * 7 + "}" * 7
    bad = {
        "src/a/long.c": "static void f(void) {\n" + line * 59 + "}\n",
        "programs/deep.c": f"int f(int a) {{ {deep} return 0; }}\n",
        "src/a/part.h": "int a_one(void);\nint bt_a_two(int (*f)(void), int b);\n",
        "include/bt/a.h": "int bt_a_one(void);\nstatic inline int a_two(void) {\n    return 1;\n}\n",
        "tests/test_a.c": "int main(void) {\n    const struct CMUnitTest t[] = {cmocka_unit_test(is_good)};\n}\n",
    }
    good = {
        "src/a/short.c": "static void f(void) {\n" + TABLE + line * 57 + "}\n",
        "src/a/part_two.h": "#define BT_X(f) \\\n    int bt_##f(void)\ntypedef int (*bt_a_fn)(int a);\n"
                            "typedef struct a { bt_a_fn bt_f; } a;\nint a_f(bt_a_fn f) __attribute__((unused));\n",
        "include/bt/b.h": "/* int f(void); */\nBT_MUST_USE bt_status bt_b_one(void *(*f)(int), bt_error *err)\n    BT_PRINTF(1, 2);\n"
                          "extern const int b_two;\n",
        "tests/test_b.c": "int main(void) {\n    const struct CMUnitTest t[] = {cmocka_unit_test_teardown(test_is_good, f)};\n}\n",
    }
    found = lint_main.check_samples(check_tree, {**bad, **good})
    counted = [c_functions.functions_of(f"void f(void) {{ {body} }}")[0].complexity for body, _ in COMPLEXITIES]
    wrong = [(body, n, is_) for (body, n), is_ in zip(COMPLEXITIES, counted) if n != is_]
    if sorted(p.split(":")[0] for p in found) != sorted(bad) or wrong:
        print("self-test failed:", found, wrong)
        return 1
    print(f"self-test: {len(bad)} bad files found, {len(good)} good ones passed, {len(COMPLEXITIES)} bodies counted")
    return 0


if __name__ == "__main__":
    sys.exit(lint_main.run("check_functions", sys.argv, check_tree, self_test))
