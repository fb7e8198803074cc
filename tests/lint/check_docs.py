#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the pages point at is there: relative links (and the headings that they name), and files of the
repository that stand in backticks (`src/wire/npy.c`, `src/wire/bundle_*.c`, `bt/base/str.h`, `npy.c`). And
what code and scripts say of pages: docs/testing.md, docs/files.md#stores, and sections by number
(docs/model_garden/numerics.md sections 2 and 11); a page that they name without its folder is nowhere. No two
entries of CHANGELOG.md begin alike, as rebases with merge=union leave them. A page calls the scripts of bench/ and tools/ by their
names, so those that begin with #! may be executed. Prose of a page is wrapped at 120 columns.

usage: check_docs.py [ROOT] | check_docs.py --self-test
"""
import fnmatch
import os
import pathlib
import re
import stat
import sys
import tempfile
import urllib.parse

import lint_main
import reflow_pages

SKIP_FOLDERS = {".git", "build", "runs", "__pycache__"}
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
TICKS = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
# the first word in backticks, when it begins as a path of ours does
OURS = re.compile(r"(?:\./)?((?:src|include|programs|tests|bench|tools|configs|docs|cmake|\.ci)/[\w./*{},-]*)")
# names of files are unique in the tree (check_style.py), so a name alone says which
NAME = re.compile(r"[\w*]+\.(?:c|h|def|py|sh|md)")
ELSEWHERE = {"train.py", "create_finetuning_data.py", "pjrt_c_api.h"}  # Model Garden's; a plug-in's
MADE = {"docs/bench/"}  # by the target bench-record, when somebody records
PAGE = re.compile(r"(?<![\w./{}%:-])([\w./{}%-]+\.md)\b(?:#([\w-]+))?")
QUOTED = re.compile(r"""["'].*["']""", re.DOTALL)  # a name that a program opens, not one that people read
# after a page: "section 3", "sections 2, 4 and 7", "sections 3.2 to 3.4", "5.4", "appendix B"
BREAK = r"(?:[ \t]|\n[ \t]*(?:\*|#|//)?)*"
NUMBER = r"\d+(?:\.\d+)*(?![\w])"
SECTIONS = re.compile(rf"{BREAK}(?:sections?{BREAK})?({NUMBER}(?:(?:,|{BREAK}and|{BREAK}to){BREAK}{NUMBER})*)")
APPENDIX = re.compile(rf"{BREAK}(appendix{BREAK}[A-Z])\b")
ENTRY = re.compile(r"^\* .*(?:\n  .*)*", re.MULTILINE)
ALIKE = 60  # characters
CODE = (".c", ".h", ".def", ".py", ".sh", ".txt", ".cmake", ".yaml")
HEADER = re.compile(r"bt/(?:\w+/)?\w+\.h")
CALLED = {"bench", "tools"}


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def slug(heading):
    """The anchor that GitHub makes of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(text):
    return {slug(heading) for heading in HEADING.findall(FENCE.sub(blank, text))}


def check_link(root, file, target):
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    path, _, anchor = target.partition("#")
    there = file.parent / urllib.parse.unquote(path) if path else file
    if not there.exists():
        return f"the link {target} leads nowhere"
    if root.resolve() not in (there.resolve(), *there.resolve().parents):
        return f"the link {target} leads out of the repository"
    if anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
        return f"the link {target}: no heading of that name"
    return None


def alternatives(path):
    """a/{b,c}.d -> a/b.d, a/c.d"""
    found = re.search(r"\{([^{}]*)\}", path)
    if not found:
        return [path]
    return [whole for part in found.group(1).split(",")
            for whole in alternatives(path[:found.start()] + part + path[found.end():])]


def check_ticks(root, names, words):
    first = words.split()[0] if words.split() else ""
    if HEADER.fullmatch(first):
        first = "include/" + first
    if NAME.fullmatch(first) and first not in ELSEWHERE and not fnmatch.filter(names, first):
        return f"`{words}`: there is no file of that name"
    match = OURS.fullmatch(first)
    if not match or first in MADE:
        return None
    for path in alternatives(match.group(1).rstrip(".,")):
        found = any(root.glob(path)) if "*" in path else (root / path).exists()
        if not found:
            return f"`{words}`: there is no {path}"
    return None


def check_page(root, names, file, text):
    problems = []
    for pattern, check in ((LINK, lambda hit: check_link(root, file, hit)),
                           (TICKS, lambda hit: check_ticks(root, names, hit))):
        clean = FENCE.sub(blank, text)
        if pattern is LINK:
            clean = TICKS.sub(blank, clean)  # `[x](y)` is an example
            clean = re.sub(r"\[( +)\]\(", lambda m: "[" + "x" * len(m.group(1)) + "](", clean)
        for match in pattern.finditer(clean):
            problem = check(match.group(1))
            if problem:
                line = clean.count("\n", 0, match.start()) + 1
                problems.append(f"{file.relative_to(root).as_posix()}:{line}: {problem}")
    return problems


def check_width(root, file, text):
    """Prose that reflow_pages.py would wrap; pages of goldens are made by their scripts."""
    name = file.relative_to(root).as_posix()
    if name == "CHANGELOG.md":  # its newest lines, which several branches add at once, are wrapped later
        text = "\n".join(text.split("\n")[:-20])
    wrapped = reflow_pages.reflow(text)
    if name.startswith("tests/goldens/") or wrapped == text:
        return []
    old, new = text.split("\n"), wrapped.split("\n")
    at = next(i for i, line in enumerate(old) if i >= len(new) or line != new[i])
    long = next(i for i in range(at, len(old)) if len(old[i]) > reflow_pages.WIDTH)
    return [f"{name}:{long + 1}: {len(old[long])} columns, at most {reflow_pages.WIDTH}: run "
            f"tests/lint/reflow_pages.py {name}"]


def named_sections(text, at):
    """What is after the name of a page: beginnings of headings."""
    appendix = APPENDIX.match(text, at)
    if appendix:
        return [" ".join(re.sub(r"[*#/]", " ", appendix.group(1)).split())]
    found = SECTIONS.match(text, at)
    return re.findall(NUMBER, found.group(1)) if found else []


def check_cited(root, match, text):
    page = root / match.group(1)
    is_name = QUOTED.fullmatch(text[max(match.start() - 1, 0):match.end() + 1]) is not None
    if is_name and not match.group(1).startswith("docs/"):
        return None
    if match.group(1).startswith("..") or not page.exists():
        return f"there is no {match.group(1)}: name a page as docs/PAGE.md, from the root of the repository"
    whole = page.read_text(encoding="utf-8")
    if match.group(2) and match.group(2) not in anchors(whole):
        return f"{match.group(0)}: no heading of that name"
    headings = HEADING.findall(FENCE.sub(blank, whole))
    for wanted in named_sections(text, match.end()):
        if not any(re.match(re.escape(wanted) + r"(?![\d])\.?(?!\d)", h, re.IGNORECASE) for h in headings):
            return f"{match.group(1)} has no section {wanted}"
    return None


def check_code(root, file, text):
    """Pages that a comment or a message names, and their sections."""
    name = file.relative_to(root).as_posix()
    found = [(match.start(), check_cited(root, match, text)) for match in PAGE.finditer(text)]
    problems = [f"{name}:{text.count(chr(10), 0, at) + 1}: {problem}" for at, problem in sorted(found)
                if problem]
    called = file.relative_to(root).parts[0] in CALLED and text.startswith("#!")
    if called and not file.stat().st_mode & stat.S_IXUSR:
        problems.append(f"{name}:1: it begins with #! but may not be executed: chmod +x")
    return problems


def check_changes(name, text):
    """Entries of the list of changes that begin alike."""
    lines, problems = {}, []
    for match in ENTRY.finditer(text):
        begin = " ".join(match.group(0).split())[:ALIKE]
        line = text.count("\n", 0, match.start()) + 1
        if begin in lines:
            problems.append(f"{name}:{line}: it begins as the entry of line {lines[begin]} does: '{begin}': keep one")
        lines.setdefault(begin, line)
    return problems


def check_tree(root):
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIP_FOLDERS)
        files += [pathlib.Path(folder) / name for name in sorted(names)]
    names = {file.name for file in files}
    problems = []
    for file in files:
        if file.suffix == ".md":
            text = file.read_text(encoding="utf-8")
            problems += check_page(root, names, file, text) + check_width(root, file, text)
            if file.name == "CHANGELOG.md":
                problems += check_changes(file.relative_to(root).as_posix(), text)
        elif file.suffix in CODE and file.parent.name != "lint":
            problems += check_code(root, file, file.read_text(encoding="utf-8", errors="replace"))
    return problems


def self_test():
    files = {
        "src/fs/a_one.c": "", "include/bt/fs.h": "", "docs/there.md": "# Some `code`, and more\n",
        "docs/good.md": "[a](there.md) [b](../src/fs) [c](there.md#some-code-and-more) [`d`](#up)\n"
                        "[e](https://host/x) `src/fs/a_*.c` `src/fs/{a_one}.c` `bt/fs.h` `src/fs/`\n`a_*.c` `train.py`\n"
                        "# Up\n`src/fs/a_one.c --flag` `[x](nowhere)` `other/b.c`\n"
                        "```\n`src/none.c` [x](nowhere)\n```\n",
        "bad1.md": "[a](docs/nowhere.md)", "bad2.md": "[a](docs/there.md#nothing)",
        "bad3.md": "`src/fs/b.c`", "bad4.md": "`src/fs/b_*.c --x`", "bad5.md": "`bt/none.h`",
        "bad6.md": "[a](../out)", "bad7.md": "`src/fs/{a_one,b}.c`", "bad8.md": "[`x`](nowhere.c)",
        "bad9.md": "`b_two.c`", "src/fs/a_bad.c": "/* docs/nine.md */\n",
        "docs/numbered.md": "# Numbers\n## 2. Two\n### 2.1 Two one\n## 11. Eleven\n## Appendix B. More\n",
        "src/fs/a_good.c": "/* docs/there.md, docs/there.md#some-code-and-more,\n * tests/goldens/wide_good.md, https://host/x.md, 5\n"
                           " * docs/numbered.md sections 2,\n * 2.1 and 11, docs/numbered.md\n * appendix B; docs/numbered.md 2.1. 7 */\n"
                           "f(\"none.md\", \"%s/a.md\");\n",
        "src/fs/no_b_bad.c": "/* docs/numbered.md sections 2 and 3 */\n", "src/fs/no_c_bad.c": "/* docs/numbered.md\n * 2.2 */\n",
        "src/fs/no_d_bad.c": "/* docs/numbered.md section 1 */\n", "src/fs/no_e_bad.c": "/* docs/there.md#none */\n",
        "src/fs/no_h_bad.c": "/* As there.md, 5, says. */\n", "src/fs/no_i_bad.py": "# Tolerances: goldens/wide_good.md.\n",
        "src/fs/no_j_bad.c": 'f("see there.md");\n', "src/fs/no_k_bad.c": "/* ../tree/docs/there.md */\n",
        "src/fs/no_f_bad.c": "/* spec/numerics.md section 2 */\n", "src/fs/no_g_bad.c": "/* docs/numbered.md appendix C */\n",
        "wide_bad.md": "# Wide\n\n* an item\n* " + "word " * 30 + "\n",
        "docs/wide_good.md": "| " + "word " * 30 + "|\n\n    " + "word " * 30 + "\n\n```\n" + "word " * 30 + "\n```\n\n"
                             + "* [" + "word " * 30 + "](https://host/" + "x" * 120 + ")\n* `" + "word " * 30 + "`\n",
        "tests/goldens/wide_good.md": "word " * 30 + "\n",
        "CHANGELOG.md": "".join(f"* {i} word\n" for i in range(30)) + "* " + "word " * 30 + "\n",
        "bad/CHANGELOG.md": "* fix: " + "word " * 12 + "one\n* other\n* fix: word\n  " + "word " * 11 + "two\n",
        "bench/bad.py": "#!/usr/bin/env python3\n", "bench/part.py": "import sys\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "tree"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        (pathlib.Path(folder) / "out").write_text("", encoding="utf-8")
        found = check_tree(root)
    bad = sorted(name for name in files if "bad" in name)
    if sorted(p.split(":")[0] for p in found) != bad:
        print("self-test failed:", found)
        return 1
    print(f"self-test: {len(bad)} bad pages found, a good one passed")
    return 0


if __name__ == "__main__":
    sys.exit(lint_main.run("check_docs", sys.argv, check_tree, self_test))
