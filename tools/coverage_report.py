#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads gcovr's JSON: lines and branches of each room (and program) against its floor, the files that lack most,
or, with names of files, each line of them that was missed. Exit 1 when a room is below its floor.

usage: coverage_report.py coverage.json [FILE...]      (called by tools/coverage.sh)
"""
import json
import sys

# room: (per cent of lines, per cent of branches)
FLOORS = {room: (95, 85) for room in ("conf", "wire", "text", "ckpt", "data", "fs")}
FLOORS.update({room: (90, 0) for room in ("squad", "optim", "metrics")})
WORST = 12


class Count:
    """Lines and branches, all of them and those that ran."""

    def __init__(self):
        self.lines = self.lines_run = self.branches = self.branches_run = 0

    def add(self, line):
        self.lines += 1
        self.lines_run += line["count"] > 0
        self.branches += len(line["branches"])
        self.branches_run += sum(b["count"] > 0 for b in line["branches"])

    def add_all(self, other):
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def shares(self):
        return (100 * self.lines_run / max(1, self.lines),
                100 * self.branches_run / max(1, self.branches) if self.branches else 100.0)

    def missed(self):
        return self.lines - self.lines_run, self.branches - self.branches_run


def code_lines(file):
    return [line for line in file["lines"] if not line.get("gcovr/noncode")]


def count_of(file):
    count = Count()
    for line in code_lines(file):
        count.add(line)
    return count


def show_missed(files, names):
    for file in files:
        if file["file"] not in names:
            continue
        with open(file["file"], encoding="utf-8") as source:
            text = source.read().split("\n")
        print(file["file"])
        for line in code_lines(file):
            n, branches = line["line_number"], line["branches"]
            missed = sum(b["count"] == 0 for b in branches)
            if line["count"] == 0 or missed:
                mark = "never" if line["count"] == 0 else f"{missed}/{len(branches)}"
                print(f"{n:5} {mark:>6} {text[n - 1]}")


def report(files):
    rooms, counts, failed = {}, {}, False
    for file in files:
        counts[file["file"]] = count_of(file)
        rooms.setdefault(file["file"].split("/")[1], Count()).add_all(counts[file["file"]])
    for room, count in rooms.items():
        shares, floors = count.shares(), FLOORS.get(room, (0, 0))
        low = [f"{what} below {floor} %" for what, share, floor
               in zip(("lines", "branches"), shares, floors) if share < floor]
        failed = failed or bool(low)
        print("%-8s lines %5.1f %% (%d of %d missed)  branches %5.1f %% (%d of %d missed)%s" %
              (room, shares[0], count.missed()[0], count.lines, shares[1], count.missed()[1],
               count.branches, "  " + ", ".join(low) if low else ""))
    print("most missed:")
    for name in sorted(counts, key=lambda n: -sum(counts[n].missed()))[:WORST]:
        print("  %-34s %3d lines of %d, %3d branches of %d" %
              (name, counts[name].missed()[0], counts[name].lines, counts[name].missed()[1],
               counts[name].branches))
    return failed


def main():
    with open(sys.argv[1], encoding="utf-8") as text:
        files = json.load(text)["files"]
    if len(sys.argv) > 2:
        show_missed(files, sys.argv[2:])
        return 0
    return 1 if report(files) else 0


sys.exit(main())
