#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/bench/history.md from the records in docs/bench (bench-record writes one): of each machine and row what was measured when, and what has fallen.

  bench/history.py [--check] [--folder docs/bench]

--check: writes nothing, and ends with 1 where the page is not what the records give. A row has fallen when it is worse than in the record before it on the same machine by more
than the noise: half of the spread of either record's rounds, and at least 5 %. Needs only Python's standard library.
"""
import argparse
import glob
import json
import os
import re
import sys

import bench_common as bench

FOLDER = os.path.join(os.path.dirname(bench.HERE), "docs", "bench")
LEAST_NOISE = 0.05
HEAD = """# What was measured when

`bench/history.py` writes this page from the records beside it: `--target bench-record` makes one and renews the page,
and the test `bench_history` says when they differ. Rows and commands: [docs/performance.md](../%s).
To target: how many times what was asked for; above 1 is better, whichever way better is. Change: against the record
before on the same machine; **fallen** where that is worse by more than the noise (half the spread of the rounds, at
least 5 %%).
""" % os.path.basename("docs/performance.md")


def asked_bound(asked):
    """+1 (more is better) or -1, and the number; None: nothing of the kind was asked."""
    found = re.match(r"(>=|<=|within) ([0-9.]+)( %)?", asked)
    if not found:
        return None
    return (1 if found[1] == ">=" else -1), float(found[2]) / (100 if found[3] else 1)


def direction(row):
    bound = asked_bound(row["asked"])
    return bound[0] if bound else {"more": 1, "less": -1}.get(row.get("better"))


def to_target(row):
    bound = asked_bound(row["asked"])
    if not bound or isinstance(row["value"], bool) or not row["value"]:
        return None
    return (row["value"] / bound[1]) ** bound[0]


def rounds_of(result):
    """The lists of single rounds anywhere in a program's answer."""
    for key, value in result.items() if isinstance(result, dict) else ():
        if key == "all" and isinstance(value, list) and len(value) > 1:
            yield value
        else:
            yield from rounds_of(value)


def noise(row):
    spreads = [(max(some) - min(some)) / (2 * sorted(some)[len(some) // 2]) for some in rounds_of(row["result"]) if min(some) > 0]
    return max([LEAST_NOISE, *spreads])


def change(row, before):
    """How much better (above 0) than before, and whether that is a fall; None where it cannot be said."""
    way, numbers = direction(row), all(isinstance(r["value"], (int, float)) and not isinstance(r["value"], bool) and r["value"] > 0 for r in (row, before))
    if way is None or not numbers:
        return None
    ratio = (row["value"] / before["value"]) ** way - 1
    return ratio, ratio < -max(noise(row), noise(before))


def machine_of(record):
    m = record["machine"]
    return f"{m['cpu']}, {m['cores']} cores, {m['family_model_stepping']}, {' '.join(m['flags'])}"


def read_records(folder):
    """By machine, the oldest first."""
    machines = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        if "rows" in record and not record.get("quick"):
            machines.setdefault(machine_of(record), []).append({**record, "file": os.path.basename(path)})
    for some in machines.values():
        some.sort(key=lambda record: (record["date"], record["file"]))
    return machines


def last_before(records, name):
    for record in reversed(records):
        for row in record["rows"]:
            if row["row"] == name:
                return row
    return None


def judged(records, at):
    """(row, the same row of the record before or None, change or None) of a machine's record."""
    for row in records[at]["rows"]:
        before = last_before(records[:at], row["row"])
        yield row, before, change(row, before) if before else None


def shown_change(found):
    return "" if found is None else f"{100 * found[0]:+.0f} %{' **fallen**' if found[1] else ''}"


def table(records):
    lines = ["| row | asked for | measured | to target | change | commit | date |", "| --- | --- | --- | --- | --- | --- | --- |"]
    names = list(dict.fromkeys(row["row"] for record in records for row in record["rows"]))
    for name in names:
        for at in reversed(range(len(records))):
            for row, _, found in judged(records, at):
                if row["row"] == name:
                    target = to_target(row)
                    record = records[at]
                    lines.append(f"| {name} | {row['asked']} | {row['measured']} | {'' if target is None else f'{target:.2f}'} | {shown_change(found)} | {record['commit']} "
                                 f"| [{record['date']}]({record['file']}) |")
    return lines


def page(folder):
    lines = HEAD.strip().split("\n")
    for machine, records in sorted(read_records(folder).items()):
        lines += ["", f"## {machine}", "", *table(records)]
    return "\n".join(lines) + "\n"


def tell_fallen(folder, out=sys.stdout):
    """A line for each row that fell in the newest record of its machine; how many."""
    n = 0
    for machine, records in read_records(folder).items():
        for row, before, found in judged(records, len(records) - 1):
            if found is not None and found[1]:
                n += 1
                print(f"FALLEN {row['row']}: {before['measured']} -> {row['measured']} ({100 * found[0]:+.0f} %, on {machine})", file=out)
    return n


def write(folder=FOLDER):
    with open(os.path.join(folder, "history.md"), "w", encoding="utf-8") as file:
        file.write(page(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--folder", default=FOLDER)
    args = parser.parse_args()
    if not args.check:
        write(args.folder)
        tell_fallen(args.folder)
        return 0
    path = os.path.join(args.folder, "history.md")
    found = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            found = file.read()
    if found != page(args.folder):
        print(f"FAILED: {path} is not what the records give: run bench/history.py, and commit the page")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
