#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the includes of every room against the table of rooms (docs/architecture.md).

A file of src/ROOM, include/bt/ROOM.h or include/bt/ROOM/SUBJECT.h may include its own header, base, and the headers of the
rooms that its row allows; a third-party header only where THIRD_PARTY says.
usage: check_layers.py [ROOT] | check_layers.py --self-test
"""
import pathlib
import re
import sys
import tempfile

import lint_main

ALLOWED = {
    "base": "",
    "tensor": "", "kern": "tensor", "comm": "fs tensor",
    "conf": "", "text": "", "fs": "",
    "wire": "fs tensor", "squad": "fs text wire",
    "optim": "tensor kern conf",
    "metrics": "tensor kern conf",
    "mine": "kern",
    "data": "wire fs text squad tensor conf",
    "ckpt": "wire fs tensor",
    "hub": "fs",
    "pjrt": "fs tensor",
    "nn": "tensor kern",
    "model": "tensor conf",
    "hlo": "model optim tensor kern conf",
    "exec": "hlo pjrt model nn optim comm tensor kern",
    "task": "data model metrics mine conf text wire squad",
    "train": "task exec ckpt hub data metrics optim pjrt comm conf tensor",
    "cli": "fs",
}

# (room, header): why it may, although the table of rows does not say so.
EXTRA = {
    ("text", "fs"): "reads vocabularies through the one file interface",
    ("text", "wire"): "unpacks texts that gzip packed",
    ("task", "fs"): "outputs of a task are files: predictions, answers, vectors",
    ("conf", "fs"): "reads --config_file through the one file interface",
    ("train", "fs"): "owns the model_dir",
    ("train", "wire"): "writes event files",
    ("train", "text"): "asks a folder's tokenizer files how its text is treated",
    ("train", "model"): "hands the description from task to exec",
}

# header pattern: where it may be included. A trailing slash is a folder.
THIRD_PARTY = [
    (r"yaml\.h", ["src/conf/"]),
    (r"zlib\.h", ["src/wire/", "tests/"]),
    (r"utf8proc\.h", ["src/text/"]),
    (r"cblas\.h|openblas_config\.h", ["src/kern/"]),
    (r"jansson\.h", ["src/wire/", "src/fs/fs_json.c", "src/fs/lock_entry.c", "src/fs/remote/", "src/data/", "src/squad/", "src/text/word_json.c", "src/text/tokenizer_json.c",
                     "src/text/tokenizer_facts.c", "src/ckpt/",
                     "src/comm/comm_tf_config.c", "src/task/", "src/train/", "tests/", "programs/", "bench/"]),
    (r"protobuf-c/.*", ["src/wire/"]),
    (r"pcre2\.h", ["src/optim/"]),
    (r"cmocka\.h", ["tests/"]),
    (r"pjrt.*\.h", ["src/pjrt/", "tests/support/"]),
    (r"curl/.*|expat\.h|archive.*\.h|openssl/.*", ["src/fs/remote/"]),
    (r"(imm|nmm|smm|emm)intrin\.h|cpuid\.h|arm_neon\.h", ["src/kern/", "src/base/"]),
    (r"sanitizer/.*", ["src/base/", "tests/"]),
]

LIBC = set("""assert complex ctype errno fenv float inttypes iconv iso646 limits locale math setjmp
signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath
threads time uchar wchar wctype dirent dlfcn elf execinfo fcntl fnmatch ftw getopt glob libgen link poll
pthread pwd sched spawn strings sysexits termios unistd sys/file sys/ioctl sys/mman sys/resource
sys/random sys/statfs sys/prctl sys/socket sys/sysmacros sys/un sys/stat sys/statvfs sys/syscall
sys/time sys/types sys/uio sys/utsname sys/wait sys/eventfd linux/limits malloc arpa/inet ifaddrs
net/if netdb netinet/in netinet/tcp""".split())

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def room_of(path):
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if path.startswith("include/bt/"):
        return parts[2].removesuffix(".h")
    return None  # programs, tests and bench may use every room


def check_bt(path, room, header):
    target = header.split("/")[1].removesuffix(".h")  # bt/ROOM.h or bt/ROOM/SUBJECT.h
    if target not in ALLOWED or header == "bt/base.h":
        return f"{path}: includes {header}, which is no room"
    if room is None or target in (room, "base"):
        return None
    if room not in ALLOWED:
        return f"{path}: src/{room} is no room of the table"
    allowed = ALLOWED[room].split()
    if "*" in allowed or target in allowed or (room, target) in EXTRA:
        return None
    return f"{path}: room {room} may not include {header} (allowed: base {' '.join(allowed)})"


def check_third_party(path, header):
    if header.removesuffix(".h") in LIBC:
        return None
    for pattern, places in THIRD_PARTY:
        if re.fullmatch(pattern, header):
            if any(path.startswith(place) for place in places):
                return None
            return f"{path}: <{header}> may be included only in {', '.join(places)}"
    return f"{path}: <{header}> is neither libc nor a known library (tests/lint/check_layers.py)"


def check_text(path, text):
    problems = []
    for quote, header in INCLUDE.findall(text):
        if header.startswith("bt/"):
            problems.append(check_bt(path, room_of(path), header))
        elif quote == "<":
            problems.append(check_third_party(path, header))
        elif (".." in header or header.startswith("src/")) and not path.startswith("tests/"):
            problems.append(f"{path}: \"{header}\" reaches into another folder")
    return [p for p in problems if p]


def check_tree(root):
    problems = []
    for top in ("src", "include", "programs", "tools", "tests", "bench"):
        for file in sorted((root / top).rglob("*.[ch]")):
            relative = file.relative_to(root).as_posix()
            problems += check_text(relative, file.read_text(encoding="utf-8"))
    return problems


def self_test():
    bad = {
        "src/fs/a.c": '#include "bt/wire.h"\n',
        "src/nn/b.c": '#include "bt/conf.h"\n',
        "include/bt/tensor.h": '#include "bt/model.h"\n',
        "include/bt/base/str.h": '#include "bt/fs.h"\n',
        "src/tensor/g.c": '#include "bt/base.h"\n',
        "src/kern/h.c": '#include "bt/conf/keys.h"\n',
        "src/optim/c.c": "#include <yaml.h>\n",
        "src/data/d.c": "#include <boost.h>\n",
        "src/cli/g.c": '#include "bt/train.h"\n',
        "src/newroom/e.c": '#include "bt/fs.h"\n',
        "programs/p/f.c": '#include "../src/fs/fs_internal.h"\n',
    }
    good = {
        "src/wire/a.c": '#include <zlib.h>\n#include <stdio.h>\n#include "bt/fs.h"\n#include "bt/base/str.h"\n',
        "include/bt/base/alloc.h": '#include "bt/base/status.h"\n',
        "tests/b.c": '#include <cmocka.h>\n#include "bt/train.h"\n#include "local.h"\n',
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**bad, **good}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        found = check_tree(root)
    missed = [n for n in bad if not any(p.startswith(n + ":") for p in found)]
    wrong = [p for p in found if any(p.startswith(n + ":") for n in good)]
    if missed or wrong or len(found) != len(bad):
        print("self-test failed: not found:", missed, "wrongly found:", wrong, found)
        return 1
    print(f"self-test: {len(bad)} bad samples found, {len(good)} good ones passed")
    return 0


if __name__ == "__main__":
    sys.exit(lint_main.run("check_layers", sys.argv, check_tree, self_test))
