# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/architecture.md as data: the rooms and the libraries.

A row of rooms is `| row | [`name/`](../folder) | words | rooms that it may include |`, one of libraries
`| library | `<header.h>` `<folder/*>` | `src/room/` | words |`.
"""
import collections
import re

PAGE = "docs/architecture.md"
BASE = "base"
Room = collections.namedtuple("Room", "row folder allowed")
Library = collections.namedtuple("Library", "name headers places")

ROOM_ROW = re.compile(r"^\| *(\d+) *\|([^|]*)\|[^\n]*?\|([^|\n]*)\|$", re.MULTILINE)
ROOM = re.compile(r"\[`(\w+)/`\]\(\.\./([\w/]+)\)")
LIBRARY_ROW = re.compile(r"^\| *([^|\n]+?) *\| *(`<[^|\n]*>`) *\| *([^|\n]*)\|[^|\n]*\|$", re.MULTILINE)
TICKS = re.compile(r"`([^`\n]+)`")


def read_rooms(root):
    """{room: Room}; allowed is a set of names, or None for every room."""
    rooms = {}
    for row, cell, allowed in ROOM_ROW.findall((root / PAGE).read_text(encoding="utf-8")):
        words = set(re.findall(r"\w+", allowed)) - {"libc"}
        for name, folder in ROOM.findall(cell):
            rooms[name] = Room(int(row), folder, None if "everything" in words else words)
    return rooms


def read_libraries(root):
    """[Library]: patterns of headers, and the places that may include them."""
    text = (root / PAGE).read_text(encoding="utf-8")
    return [Library(name, [header.strip("<>") for header in TICKS.findall(headers)], TICKS.findall(places))
            for name, headers, places in LIBRARY_ROW.findall(text)]
