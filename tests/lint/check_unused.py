#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A header declares what somebody else calls. A function or table that a header of include/bt/, src/ or
programs/ declares is named in a file other than the one that defines it; what is called by nobody else is
static. What only tests call is in TESTS_ONLY with the reason; a row that is not needed is refused, too. The
benchmarks (bench/) count as callers.

usage: check_unused.py [ROOT] | check_unused.py --self-test
"""
import pathlib
import re
import sys
import tempfile

import lint_main

# name or prefix*: why a function that only tests call is not of the tests
TESTS_ONLY = {
    "bt_cores_find": "machines of other shapes are trees of files",
    "bt_alloc_fail_at": "faults: refuses the k-th request for memory",
    "bt_fs_fail_at": "faults: fails the k-th operation on files",
    "bt_fs_op_count": "faults: how many operations there are to fail",
    "bt_stop_set": "faults: as if a signal had come",
    "bt_crc32c_has_instruction": "asked whether that instruction was compared",
    "bt_crc32c_table": "the portable twin that the processor's instruction is compared with",
    "bt_kern_gemm__ref": "the portable twin that the BLAS is compared with",
    "bt_kern_int8_variant": "which variants this machine can compare",
    "bt_kern_bf16_variant": "which variants this machine can compare",
    "bt_kern_tiles16_variant": "which variants this machine can compare",
    "kern_override_amx_model": "AMX's kernels built again, with a model of its instructions",
    "bt_exec_encode": "the engine's numbers beside Model Garden's",
    "bt_exec_gradient*": "the engine's numbers beside Model Garden's",
    "bt_pjrt_program_is_from_cache": "shows that the cache of programs is used",
    "bt_text_vocab_parse*": "from memory: for fuzzers and rows of bad files",
    "bt_text_encode_codepoints": "strings of Python that are no UTF-8, as goldens have them",
    "bt_example_add_bytes": "the third kind of list of a builder that has all three",
    "bt_safetensors_metadata": "what the writer wrote there",
    "bt_tfrecord_index_build": "visited records as lists, for tests and fuzzers",
    "bt_tfrecord_index_deinit": "the same",
    "bt_tfrecord_write*": "records of tests; the data tool frames its own",
    "comm_first_host": "from memory: for fuzzers and rows of bad lists",
    "comm_pump_control": "from memory: for fuzzers",
    "aws_*": "from memory: for fuzzers and rows of bad settings",
    "gcs_parse_list": "from memory: for fuzzers",
    "records_*": "for fuzzers",
    "squad_has_unanswered": "from memory: for fuzzers and rows of files",
    "squad_normalize": "a step of the official score beside the official script's",
    "squad_softmax": "a step of the official answers beside the official script's",
}

TOKENS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
WORD = re.compile(r"\b[A-Za-z_]\w*\b")
PASTED = re.compile(r"\b([a-z]\w*_)\s*##\s*\w")
NAME = re.compile(r"\b([a-z]\w*)\s*\(")
MACRO = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)


def code_of(text):
    """Without comments and strings."""
    return TOKENS.sub(lambda m: '""' if m.group(0)[0] == '"' else " ", text)


def statements(code):
    """The statements between the braces of functions and types: (text, is what { follows)."""
    depth = 0
    begin = 0
    for i, char in enumerate(code):
        if char == "{":
            if depth == 0:
                yield code[begin:i], True
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                begin = i + 1
        elif char == ";" and depth == 0:
            yield code[begin:i], False
            begin = i + 1


def name_of(statement):
    """What a statement declares or defines: a function, or with extern a variable; None: neither."""
    words = statement.split()
    if not words or words[0] in ("typedef", "static", "enum", "struct", "union") and "(" not in statement:
        return None
    if words[0] in ("typedef", "static"):
        return None
    found = NAME.search(re.sub(r"__attribute__\s*\(\(.*?\)\)", "", statement))
    if found:
        return found.group(1)
    variable = re.search(r"(\w+)\s*(?:\[[^]]*\]\s*)*$", statement) if words[0] == "extern" else None
    return variable.group(1) if variable else None


class Tree:
    def __init__(self, root):
        self.declared = {}  # name: header
        self.defined = {}   # name: {files}
        self.users = {}     # name: {files that name it}
        self.pasted = {}    # beginning of names that macros put together: {their files}
        for top in ("include", "src", "programs", "bench", "tests"):
            for file in sorted((root / top).rglob("*")):
                if file.suffix in (".c", ".h", ".def"):
                    self.take(file.relative_to(root).as_posix(), code_of(file.read_text(encoding="utf-8")))

    def take(self, path, code):
        plain = MACRO.sub("", code)
        uses = plain
        for statement, has_body in statements(plain):
            name = name_of(statement)
            if name is None:
                continue
            if has_body or path.endswith(".c") and "=" in statement:
                self.defined.setdefault(name, set()).add(path)
            elif path.endswith(".h") and not path.startswith(("tests/", "bench/")):
                self.declared[name] = path
                uses = uses.replace(statement, " ", 1)  # a declaration is no use
        for begin in PASTED.findall(code):
            self.pasted.setdefault(begin, set()).add(path)
        for word in set(WORD.findall(uses + " ".join(MACRO.findall(code)))):
            self.users.setdefault(word, set()).add(path)


def users_of(tree, name):
    """Also who names the end alone, for a macro that puts the beginning before it."""
    users = set(tree.users.get(name, set()))
    for begin, files in tree.pasted.items():
        if name.startswith(begin):
            users |= {file for file in tree.users.get(name[len(begin):], set())
                      if file in files or file.endswith(".def")}
    return users


def row_of(row, name):
    return name == row or row.endswith("*") and name.startswith(row[:-1])


def reason_for(name):
    return next((row for row in TESTS_ONLY if row_of(row, name)), None)


def check_tree(root):
    tree = Tree(root)
    problems = []
    needed = set()
    for name, header in sorted(tree.declared.items(), key=lambda row: (row[1], row[0])):
        others = users_of(tree, name) - tree.defined.get(name, set())
        callers = {path for path in others if not path.startswith("tests/")}
        if len(others) == 0 and not tree.defined.get(name):
            problems.append(f"{header}: {name} is declared and defined nowhere")
        elif not tree.defined.get(name):  # a variable or what a macro defines: the file that defines names it
            if len(callers) < 2:
                problems.append(f"{header}: {name} is named in {', '.join(callers)} alone: make it static")
        elif not others:
            if len(tree.defined[name]) > 1:
                continue  # one of several definitions is compiled, and calls the others' names
            problems.append(f"{header}: {name} is called in {', '.join(tree.defined[name])} alone: make it static")
        elif not callers:
            row = reason_for(name)
            needed.add(row)
            if row is None:
                problems.append(f"{header}: {name} is called by tests alone: make it static, move it to the "
                                "tests, or say in TESTS_ONLY (tests/lint/check_unused.py) why not")
    if (root / "tests/lint/check_unused.py").exists():  # not a sample of the self-test
        problems += [f"tests/lint/check_unused.py: TESTS_ONLY names {row}, which no test needs"
                     for row in TESTS_ONLY if row not in needed]
    return problems


def self_test():
    good = {
        "include/bt/a.h": "/* says b_quiet( too */\nint a_called(int x) __attribute__((pure));\n"
                          "static inline int a_inline(void) {\n    return b_called();\n}\n"
                          "extern const int a_table[];\ntypedef int (*a_fn)(void);\nint bt_exec_encode(void);\n",
        "src/a/a.c": '#include "bt/a.h"\nint a_called(int x) {\n    return x;\n}\nconst int a_table[] = {1};\n'
                     "static int own(void) {\n    return 1;\n}\nint bt_exec_encode(void) {\n    return own();\n}\n",
        "src/b/b.h": "int b_called(void);\nint b_row(void);\nint b_pasted(void);\n",
        "src/b/b.c": "int b_called(void) {\n    return a_called(1);\n}\nint b_row(void) {\n    return 1;\n}\n"
                   "int b_pasted(void) {\n    return 1;\n}\n#define PLAIN(name) b_##name\n",
        "src/b/rows.def": "ROW(b_row)\nPLAIN(pasted)\n",
        "programs/p/main.c": "int main(void) {\n    return a_inline() + a_table[0];\n}\n",
        "tests/t.c": "int t(void) {\n    return bt_exec_encode();\n}\n",
    }
    bad = {
        "b_alone": ("src/b/b.h", "src/b/b.c", "int b_alone(int y)", " {\n    return y ? b_alone(0) : 0;\n}\n", ""),
        "a_tested": ("include/bt/a.h", "src/a/a.c", "int\n    a_tested(void)", " {\n    return 2;\n}\n",
                     "int u(void) {\n    return a_tested();\n}\n"),
        "a_lost": ("include/bt/a.h", "src/a/a.c", "int a_lost(void)", "", ""),
        "a_numbers": ("include/bt/a.h", "src/a/a.c", "extern int a_numbers[2]", "", ""),
        "a_said": ("include/bt/a.h", "src/a/a.c", "void a_said(const char *s)",
                   " {\n    puts(\"a_said\"); /* a_said( */\n}\n", "/* a_said(1) */\n"),
    }
    missed = []
    for name in [None, *bad]:
        files = dict(good)
        if name is not None:
            header, source, declared, body, test = bad[name]
            files[header] += declared + ";\n"
            files[source] += declared + body if body else "int a_numbers[2] = {1, 2};\n" * (name == "a_numbers")
            files["tests/t.c"] += test
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            found = check_tree(root)
        if len(found) != (name is not None) or name is not None and name not in found[0]:
            missed.append((name, found))
    if missed:
        print("self-test failed:", missed)
        return 1
    print(f"self-test: {len(bad)} bad samples found, {len(good)} good files passed")
    return 0


if __name__ == "__main__":
    sys.exit(lint_main.run("check_unused", sys.argv, check_tree, self_test))
