#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the includes against the two tables of docs/architecture.md, and the tables against the includes.

Rooms: a file of src/ROOM, include/bt/ROOM.h or include/bt/ROOM/ may include its own headers, those of
`base` and of the rooms that its row names, all of which stand in rows below; so may its CMakeLists.txt
link. What a row names and nothing includes is refused too. Libraries: a header that is neither ours nor
libc's is in the table, and is included in the one room that its row names.
usage: check_layers.py [ROOT] | check_layers.py --self-test
"""
import collections
import fnmatch
import pathlib
import re
import sys
import tempfile

import lint_main
import rooms_table

TOPS = ("src", "include", "programs", "tools", "tests", "bench")
# libraries whose types are what rooms hand each other
SHARED = {"jansson"}

LIBC = set("""assert complex ctype errno fenv float inttypes iconv iso646 limits locale math setjmp
signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath
threads time uchar wchar wctype dirent dlfcn elf execinfo fcntl fnmatch ftw getopt glob libgen link poll
pthread pwd sched spawn strings sysexits termios unistd sys/auxv sys/file sys/ioctl sys/mman sys/resource
sys/random sys/statfs sys/prctl sys/socket sys/sysmacros sys/un sys/stat sys/statvfs sys/syscall
sys/time sys/types sys/uio sys/utsname sys/wait sys/eventfd linux/limits malloc arpa/inet ifaddrs
net/if netdb netinet/in netinet/tcp""".split())

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)
LINKED = re.compile(r"bt_add_room\((\w+)[^)]*?\bROOMS\b([^)]*?)(?:\bLIBRARIES\b|\bSOURCES\b|\))")


def room_of(path):
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if path.startswith("include/bt/"):
        return parts[2].removesuffix(".h")
    return None  # programs, tests and bench may use every room


class Tree:
    def __init__(self, root):
        self.rooms = rooms_table.read_rooms(root)
        self.libraries = rooms_table.read_libraries(root)
        self.arrows = collections.defaultdict(set)
        self.problems = []

    def say(self, where, text):
        self.problems.append(f"{where}: {text}")

    def check_room(self, path, room, target, what):
        """An include or a link of room to target."""
        if target not in self.rooms:
            self.say(path, f"{what}: {rooms_table.PAGE} has no row for the room {target}")
        elif room not in self.rooms:
            self.say(path, f"{rooms_table.PAGE} has no row for the room {room}")
        elif target not in (room, rooms_table.BASE):
            allowed = self.rooms[room].allowed
            if allowed is not None and target not in allowed:
                self.say(path, f"{what}: room {room} may use: base {' '.join(sorted(allowed))} ({rooms_table.PAGE})")

    def check_library(self, path, header):
        if header.removesuffix(".h") in LIBC:
            return
        for library in self.libraries:
            if any(fnmatch.fnmatchcase(header, pattern) for pattern in library.headers):
                inside = path.startswith(("src/", "include/", "programs/"))
                if inside and not any(path.startswith(place) for place in library.places):
                    self.say(path, f"<{header}> may be included only in {' '.join(library.places)} ({rooms_table.PAGE})")
                return
        self.say(path, f"<{header}> is neither libc's nor of a library of {rooms_table.PAGE}")

    def check_file(self, path, text):
        room = room_of(path)
        for quote, header in INCLUDE.findall(text):
            if header.startswith("bt/"):
                target = header.split("/")[1].removesuffix(".h")
                if room is not None:
                    self.arrows[room].add(target)
                    self.check_room(path, room, target, f'"{header}"')
                elif target not in self.rooms:
                    self.say(path, f'"{header}" is of no room of {rooms_table.PAGE}')
            elif quote == "<":
                self.check_library(path, header)
            elif (".." in header or header.startswith("src/")) and not path.startswith("tests/"):
                self.say(path, f'"{header}" reaches into another folder')

    def check_links(self, path, text):
        for room, names in LINKED.findall(re.sub(r"#[^\n]*", "", text)):
            for target in names.split():
                self.check_room(path, room, target, f"ROOMS {target}")

    def check_tables(self, root):
        for name, room in self.rooms.items():
            if not (root / room.folder).is_dir():
                self.say(rooms_table.PAGE, f"there is no {room.folder}")
            for target in sorted(room.allowed or ()):
                if target not in self.rooms:
                    self.say(rooms_table.PAGE, f"{name} may include {target}, which is not a room")
                elif self.rooms[target].row >= room.row:
                    self.say(rooms_table.PAGE, f"{name} (row {room.row}) may include {target} (row {self.rooms[target].row})")
                elif target not in self.arrows[name]:
                    self.say(rooms_table.PAGE, f"{name} may include {target}, and does nowhere: take it from the row")
        for library in self.libraries:
            rooms = {place.split("/")[1] for place in library.places if place.startswith("src/")}
            if len(rooms) > 1 and library.name not in SHARED:
                self.say(rooms_table.PAGE, f"{library.name} is included in more than one room: {' '.join(sorted(rooms))}")


def check_tree(root):
    tree = Tree(root)
    if rooms_table.BASE not in tree.rooms or not tree.libraries:
        return [f"{rooms_table.PAGE}: the table of rooms or that of libraries is not there"]
    for top in TOPS:
        for file in sorted((root / top).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix in (".c", ".h", ".def"):
                tree.check_file(path, file.read_text(encoding="utf-8"))
            elif file.name == "CMakeLists.txt" and top == "src":
                tree.check_links(path, file.read_text(encoding="utf-8"))
    for folder in sorted((root / "src").iterdir()):
        if folder.is_dir() and folder.name not in tree.rooms:
            tree.say(f"src/{folder.name}", f"{rooms_table.PAGE} has no row for it")
    tree.check_tables(root)
    return tree.problems


ROOMS = """| row | room | look here for | may include |
| --- | --- | --- | --- |
| 3 | [`programs/`](../programs) | mains | everything |
| 2 | [`top/`](../src/top) | x, `a.c` | left |
| 1 | [`left/`](../src/left), [`right/`](../src/right) | y | |
| 0 | [`base/`](../src/base) | z | libc |

| library | headers | included in | what for |
| --- | --- | --- | --- |
| libyaml | `<yaml.h>` | `src/left/` | w |
| OpenSSL | `<openssl/*>` | `src/top/part/` | w |
| jansson | `<jansson.h>` | `src/left/` `src/top/` `programs/` | w |
"""
GOOD = {
    "docs/architecture.md": ROOMS,
    "src/top/a.c": '#include <stdio.h>\n#include "bt/left.h"\n#include "bt/base/error.h"\n#include "own.h"\n',
    "src/top/part/b.c": "#include <openssl/evp.h>\n#include <jansson.h>\n",
    "src/top/CMakeLists.txt": "bt_add_room(top SOURCES a.c ROOMS left base # right\n LIBRARIES m)\n",
    "src/left/c.c": "#include <yaml.h>\n", "src/right/d.c": "", "src/base/e.c": "",
    "include/bt/left/one.h": '#include "bt/left/two.h"\n', "programs/p/main.c": '#include "bt/top.h"\n#include <jansson.h>\n',
    "tests/unit/f.c": '#include <openssl/evp.h>\n#include "../../src/top/own.h"\n',
}
# what goes wrong: changes of the good tree, and what the one problem says
BAD = [
    ({"src/right/d.c": '#include "bt/left.h"\n'}, "room right may use"),
    ({"include/bt/left/one.h": '#include "bt/top.h"\n'}, "room left may use"),
    ({"src/top/CMakeLists.txt": "bt_add_room(top SOURCES a.c ROOMS left right)\n"}, "ROOMS right"),
    ({"src/new/a.c": ""}, "no row for it"),
    ({"programs/p/main.c": '#include "bt/none.h"\n'}, "of no room"),
    ({"programs/p/main.c": '#include "../../src/top/own.h"\n'}, "reaches into"),
    ({"src/right/d.c": "#include <yaml.h>\n"}, "may be included only in src/left/"),
    ({"src/top/a.c": '#include "bt/left.h"\n#include <openssl/evp.h>\n'}, "only in src/top/part/"),
    ({"programs/p/main.c": "#include <yaml.h>\n"}, "only in src/left/"),
    ({"src/right/d.c": "#include <boost.h>\n"}, "neither libc's nor"),
    ({"src/top/a.c": ""}, "does nowhere"),
    ({"docs/architecture.md": ROOMS.replace("| y | |", "| y | none |")}, "which is not a room"),
    ({"docs/architecture.md": ROOMS.replace("| 1 |", "| 2 |")}, "top (row 2) may include left (row 2)"),
    ({"docs/architecture.md": ROOMS.replace("`src/left/` | w", "`src/left/` `src/right/` | w")}, "more than one room"),
    ({"docs/architecture.md": ROOMS.replace("libyaml", "|")}, "neither libc's nor"),
]


def problems_of(changes):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**GOOD, **changes}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return check_tree(root)


def self_test():
    status = 0
    for changes, expected in [({}, "")] + BAD:
        found = problems_of(changes)
        if (not changes and found) or (changes and not (found and all(expected in p for p in found))):
            print(f"self-test failed: {changes}: expected {expected!r}, found {found}")
            status = 1
    if status == 0:
        print(f"self-test: {len(BAD)} bad trees found, a good one passed")
    return status


if __name__ == "__main__":
    sys.exit(lint_main.run("check_layers", sys.argv, check_tree, self_test))
