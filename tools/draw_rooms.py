#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/rooms.svg, the picture of docs/architecture.md: which room includes headers of which.

The rooms and their rows come from the page's table, the arrows from the #include lines of the code. An
arrow that follows from others (A -> B -> C makes A -> C) is left out, and so is `base`, which every room
includes. The same tree always gives the same bytes.
usage: draw_rooms.py [ROOT] | draw_rooms.py --check [ROOT] | draw_rooms.py --self-test
"""
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/lint"))
import rooms_table
from rooms_table import BASE, PAGE

PICTURE = "docs/rooms.svg"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"bt/(\w+)[/.]', re.MULTILINE)

BOX_W, BOX_H, GAP_X, GAP_Y, BAND = 92, 30, 22, 34, 14
LEFT = 70
STYLE = """
  .band { fill: #00000008; } .box { fill: #ffffff; stroke: #57606a; } .name { fill: #1f2328; }
  .note { fill: #57606a; } .arrow { stroke: #57606a; fill: none; } .tip { fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    .band { fill: #ffffff0c; } .box { fill: #21262d; stroke: #8b949e; } .name { fill: #e6edf3; }
    .note { fill: #8b949e; } .arrow { stroke: #8b949e; } .tip { fill: #8b949e; }
  }
  text { font: 13px system-ui, sans-serif; } .note { font-size: 11px; }
"""


class Problem(Exception):
    """What keeps the picture from being drawn, as one sentence."""


def read_table(root):
    """{room: (row, folder)} of the page's table."""
    rooms = {name: (room.row, room.folder) for name, room in rooms_table.read_rooms(root).items()}
    if BASE not in rooms:
        raise Problem(f"{PAGE}: the table of rooms has no row for `{BASE}/`")
    return rooms


def read_includes(root, rooms):
    """{room: the rooms whose headers it includes}; `base` and the room itself are left out."""
    uses = {name: set() for name in rooms if name != BASE}
    for name in uses:
        faces = [root / "include/bt" / f"{name}.h", *sorted((root / "include/bt" / name).rglob("*.h"))]
        files = [f for f in sorted((root / rooms[name][1]).rglob("*")) if f.suffix in (".c", ".h", ".def")]
        for file in [f for f in faces if f.exists()] + files:
            found = INCLUDE.findall(file.read_text(encoding="utf-8", errors="replace"))
            uses[name] |= {room for room in found if room in uses and room != name}
    return uses


def reachable(uses, start, seen=None):
    seen = set() if seen is None else seen
    for room in uses[start]:
        if room not in seen:
            seen.add(room)
            reachable(uses, room, seen)
    return seen


def reduce(uses):
    """The arrows that do not follow from others."""
    reach = {room: reachable(uses, room) for room in uses}
    for room in sorted(uses):
        if room in reach[room]:
            raise Problem(f"the includes of src/{room} lead back to it: "
                          + ", ".join(sorted(r for r in reach[room] if room in reach[r])))
    return {room: {to for to in uses[room] if not any(to in reach[other] for other in uses[room])}
            for room in uses}


def levels_of(rooms, uses):
    """{room: level}: by row of the table, and within a row above what it includes there."""
    levels = {}
    base = 0
    for row in sorted({rooms[r][0] for r in uses}):
        members = [r for r in uses if rooms[r][0] == row]
        depth = {}

        def depth_of(room):
            if room not in depth:
                below = [depth_of(to) + 1 for to in sorted(uses[room]) if to in members]
                depth[room] = max(below, default=0)
            return depth[room]
        for room in members:
            levels[room] = base + depth_of(room)
        base += max(depth.values()) + 1
    for room in uses:
        for to in uses[room]:
            if levels[to] >= levels[room]:
                raise Problem(f"src/{room} includes a header of {to}, which stands above it in {PAGE}")
    return levels


def layers_of(levels, arrows):
    """Layers of nodes from the bottom, with a node for each layer that an arrow crosses; the links
    between neighbouring layers."""
    layers = [[] for _ in range(max(levels.values()) + 1)]
    links = []
    for room in sorted(levels):
        layers[levels[room]].append(room)
    for room in sorted(arrows):
        for to in sorted(arrows[room]):
            node = room
            for level in range(levels[room] - 1, levels[to], -1):
                crossing = (room, to, level)
                layers[level].append(crossing)
                links.append((node, crossing))
                node = crossing
            links.append((node, to))
    return layers, links


def width(node):
    return BOX_W if isinstance(node, str) else 10


def place(layers, links):
    """{node: x of its middle}: neighbours near each other, few crossings, no overlap."""
    near = {node: [] for layer in layers for node in layer}
    for a, b in links:
        near[a].append(b)
        near[b].append(a)
    x = {}
    for layer in layers:
        for i, node in enumerate(layer):
            x[node] = i * (BOX_W + GAP_X)
    for turn in range(60):
        for layer in layers if turn % 2 else reversed(layers):
            wanted = {n: sum(x[m] for m in near[n]) / len(near[n]) if near[n] else x[n] for n in layer}
            layer.sort(key=lambda n: (wanted[n], str(n)))
            spread(layer, wanted, x)
    left = min(x[n] - width(n) / 2 for n in x)
    return {n: round(x[n] - left) for n in x}


def spread(layer, wanted, x):
    """Sets x near what is wanted, in the layer's order and without overlap: groups of nodes that touch
    stand around the mean of their wishes."""
    groups = []
    for node in layer:
        groups.append([[node], [0.0]])
        while len(groups) > 1:
            (left, at), (right, offsets) = groups[-2:]
            gap = (width(left[-1]) + width(right[0])) / 2 + GAP_X
            start_left = sum(wanted[n] - o for n, o in zip(left, at)) / len(left)
            start_right = sum(wanted[n] - o for n, o in zip(right, offsets)) / len(right)
            if start_left + at[-1] + gap <= start_right + offsets[0]:
                break
            shift = at[-1] + gap
            groups[-2:] = [[left + right, at + [shift + o for o in offsets]]]
    for nodes, offsets in groups:
        start = sum(wanted[n] - o for n, o in zip(nodes, offsets)) / len(nodes)
        for node, offset in zip(nodes, offsets):
            x[node] = start + offset


def curve(points):
    """A path from box to box, straight down through the layers that it crosses."""
    text = f"M{points[0][0]},{points[0][1]}"
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        middle = (y0 + y1) // 2
        text += f" C{x0},{middle} {x1},{middle} {x1},{y1}"
    return text


def draw(rooms, uses):
    arrows = reduce(uses)
    levels = levels_of(rooms, uses)
    layers, links = layers_of(levels, arrows)
    x = {node: at + LEFT for node, at in place(layers, links).items()}
    rows = sorted({rooms[r][0] for r in uses}, reverse=True)
    total = max(x[n] + width(n) // 2 for n in x) + 20
    out, y, top = [], {}, 10
    for row in rows:
        here = sorted({levels[r] for r in uses if rooms[r][0] == row}, reverse=True)
        height = 2 * BAND + len(here) * BOX_H + (len(here) - 1) * GAP_Y
        out.append(f'<rect class="band" x="10" y="{top}" width="{total - 20}" height="{height}" rx="6"/>')
        out.append(f'<text class="note" x="20" y="{top + BAND + 20}">row {row}</text>')
        for i, level in enumerate(here):
            y[level] = top + BAND + i * (BOX_H + GAP_Y)
        top += height + GAP_Y - BAND
    following = dict((a, b) for a, b in links if not isinstance(a, str))
    for start, node in links:
        if isinstance(start, str):
            points = [(x[start], y[levels[start]] + BOX_H)]
            while not isinstance(node, str):
                points += [(x[node], y[node[2]]), (x[node], y[node[2]] + BOX_H)]
                node = following[node]
            points.append((x[node], y[levels[node]] - 4))
            out.append(f'<path class="arrow" marker-end="url(#tip)" d="{curve(points)}"/>')
    for room in sorted(uses):
        out.append(f'<rect class="box" x="{x[room] - BOX_W // 2}" y="{y[levels[room]]}" width="{BOX_W}" '
                   f'height="{BOX_H}" rx="5"/>')
        out.append(f'<text class="name" text-anchor="middle" x="{x[room]}" '
                   f'y="{y[levels[room]] + 20}">{room}</text>')
    out.append(f'<rect class="box" x="{LEFT}" y="{top}" width="{total - LEFT - 20}" height="{BOX_H}" rx="5"/>')
    out.append(f'<text class="note" x="20" y="{top + 20}">row 0</text>')
    out.append(f'<text class="name" text-anchor="middle" x="{(LEFT + total - 20) // 2}" '
               f'y="{top + 20}">base: every room includes it</text>')
    height = top + BOX_H + 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" width="{total}" '
            f'height="{height}">\n<!-- made by tools/draw_rooms.py -->\n<style>{STYLE}</style>\n'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path class="tip" d="M0,0 L8,4 L0,8 z"/></marker></defs>\n'
            + "\n".join(out) + "\n</svg>\n")


def picture_of(root):
    rooms = read_table(root)
    return draw(rooms, read_includes(root, rooms))


def check(root):
    """A sentence, or None: the page shows the picture, and the picture is that of the includes."""
    old = (root / PICTURE).read_text(encoding="utf-8") if (root / PICTURE).exists() else ""
    if old != picture_of(root):
        return f"{PICTURE} is not the picture of these includes: run tools/draw_rooms.py and commit it"
    if "(rooms.svg)" not in (root / PAGE).read_text(encoding="utf-8"):
        return f"{PAGE} does not show rooms.svg"
    return None


def self_test():
    page = "![x](rooms.svg)\n" + "".join(f"| {row} | [`{name}/`](../src/{name}) | x | y |\n" for row, name in (
        (2, "top"), (1, "left"), (1, "right"), (0, "base")))
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)

        def write(name, text):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        write(PAGE, page)
        write("src/top/a.c", '#include "bt/left.h"\n#include "bt/right.h"\n#include "bt/base/error.h"\n')
        write("include/bt/left/one.h", '#include "bt/right/two.h"\n')
        results = [check(root) is not None]  # no picture yet
        write(PICTURE, picture_of(root))
        text = picture_of(root)
        results += [check(root) is None, text.count("marker-end") == 2, ">left</text>" in text]
        write("src/right/b.c", "int x;\n")
        results.append(check(root) is None)  # no new include
        write("include/bt/left/one.h", "\n")
        results.append(check(root) is not None)  # top -> right no longer follows from others
        write("src/right/b.c", '#include "bt/top.h"\n')
        try:
            picture_of(root)
            results.append(False)
        except Problem:
            results.append(True)  # a cycle
    if not all(results):
        print("self-test failed:", results)
        return 1
    print(f"self-test: {len(results)} checks passed")
    return 0


def main(argv):
    if "--self-test" in argv:
        return self_test()
    paths = [a for a in argv[1:] if not a.startswith("-")]
    root = pathlib.Path(paths[0]) if paths else pathlib.Path(__file__).resolve().parents[1]
    try:
        if "--check" in argv:
            problem = check(root)
            print(problem or f"{PICTURE}: drawn from these includes")
            return 1 if problem else 0
        (root / PICTURE).write_text(picture_of(root), encoding="utf-8")
    except Problem as problem:
        print(problem)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
