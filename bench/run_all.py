#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures every row of docs/performance.md that this machine can, writes one JSON file and prints the table.

  bench/run_all.py [--build build/release] [--rows=a,b] [--list] [--quick] [--with NAME=VALUE]... [--out FILE | --record] [SETTINGS]
  cmake --build build/release --target bench              the same with the settings of CMake's cache; bench-record adds --record

Settings, each a flag (--hf_python=...), a variable of the environment or of CMake's cache (BT_BENCH_HF_PYTHON=...); the flag counts first:
  hf_python   Python with torch, transformers and tokenizers
  tf_python   Python with tensorflow and tf-models-official
  glue        folder with SST-2/, MRPC/, CoLA/ and others, each with train.tsv
  squad       dev-v1.1.json
  model       all-MiniLM-L6-v2: folder with model.safetensors and vocab.txt (tools/get_minilm.sh)
  vocab       vocab.txt, if not the model's
  threads     of everything that is not said to use one (2)
  rows        names, separated by commas (all): for the cmake target, BT_BENCH_ROWS=start,bits
A row whose needs are not there is skipped, and said to be. A failed row does not stop the others; the exit code is 1 then. A bound that is missed is not a failure.
--with steps=4 --with threads=1,2: other arguments of the functions of bench/measured_runs.py that measure the rows (with --rows).
--quick: as few steps as possible, to see that the programs work; such figures mean nothing. --record writes docs/bench/DATE-MACHINE.json, renews
docs/bench/history.md and names the rows that fell; without it the file is BUILD/bench/DATE-MACHINE.json. Needs only Python's standard library.
"""
import argparse
import datetime
import inspect
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time

import bench_common as bench
import bench_rows
import history
import measured_runs

ROOT = os.path.dirname(bench.HERE)
SETTINGS = ("hf_python", "tf_python", "glue", "squad", "model", "vocab", "threads")
FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")
WHY = {"two_cores": "this process may use one core only", "bfloat16": "the processor has no products of bfloat16",
       "onednn": "built without oneDNN (libdnnl-dev)",
       "remote": "built without libcurl", "vocab": "vocab (or model) is not set or not there"}


def output(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def cache_value(build, name):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        found = re.search(rf"^{name}:\w+=(.*)$", file.read(), re.MULTILINE)
    return found[1] if found else ""


def memory_gb():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def describe_machine(build):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    field = lambda name: (re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE) or [None, ""])[1].strip()
    flags = field("flags").split()
    version = output(os.path.join(build, "bert-train"), "--version")
    engine = re.search(r"^engine: (.*)$", version, re.MULTILINE)
    return {"cpu": field("model name"), "family_model_stepping": "-".join(field(n) for n in ("cpu family", "model", "stepping")),
            "cache": field("cache size"), "flags": [f for f in FLAGS if f in flags], "cores": len(os.sched_getaffinity(0)), "memory_gb": memory_gb(),
            "system": platform.platform(), "compiler": output(cache_value(build, "CMAKE_C_COMPILER") or "cc", "--version").split("\n")[0],
            "build_type": cache_value(build, "CMAKE_BUILD_TYPE"), "engine": engine[1] if engine else version}


def read_settings(args):
    settings = {"build": os.path.abspath(args.build), "threads": "2"}
    for name in SETTINGS:
        value = getattr(args, name) or os.environ.get("BT_BENCH_" + name.upper()) or cache_value(args.build, "BT_BENCH_" + name.upper())
        if value and (name == "threads" or os.path.exists(value)):
            settings[name] = value if name in ("threads", "hf_python", "tf_python") else os.path.abspath(value)
        elif value:
            print(f"run_all.py: warning: {name}: there is no {value}", file=sys.stderr)
    if "model" in settings and "vocab" not in settings:
        settings["vocab"] = os.path.join(settings["model"], "vocab.txt")
    return settings


def add_derived(settings, machine):
    if machine["cores"] >= 2:
        settings["two_cores"] = "yes"
    if {"amx_bf16", "avx512_bf16"} & set(machine["flags"]):
        settings["bfloat16"] = "yes"
    if os.path.exists(cache_value(settings["build"], "BT_DNNL_LIBRARY")):
        settings["onednn"] = "yes"
    if "remote files: not built in" not in output(os.path.join(settings["build"], "bert-train"), "--version"):
        settings["remote"] = "yes"


def fill(words, settings):
    return [re.sub(r"\{(\w+)\}", lambda m: settings[m[1]], word) for word in words]


def shown_command(words, settings):
    """Without this machine's paths: the name of each setting in its place."""
    text = " ".join(shlex.quote(word) for word in fill(words, {**settings, **{n: n.upper() for n in SETTINGS if n != "threads"}, "build": "BUILD"}))
    return text.replace(sys.executable + " -B ", "").replace("BUILD/bench_", "bench_").replace(" --build BUILD", "")


def run_program(words, settings):
    done = subprocess.run(fill(words, settings), capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} failed with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def run_words(program, settings, quick):
    """What a program answers, and its command."""
    more = list(program.quick) if quick else []
    words = [w + more for w in (program.words, program.also) if w]
    results = [run_program(w, settings) for w in words]
    return {**results[0], **({"also": results[1]} if program.also else {})}, "; ".join(shown_command(w, settings) for w in words)


def run_call(call, settings, quick, changed, scratch):
    """What a function of measured_runs.py answers, and the command that calls it."""
    how = {**({"threads": int(settings["threads"])} if call.threads else {}), **(call.quick if quick else {}), **arguments_of(call, changed)}
    result = call.function(measured_runs.Place(settings["build"], scratch, settings), **how)
    return result, " ".join(["bench/run_all.py --rows=" + ",".join(row.name for row in call.rows), *(f"--with {pair}" for pair in changed)])


def arguments_of(call, changed):
    """NAME=VALUE, each of the type of the function's own; ValueError: it has none of that name."""
    own, found = inspect.signature(call.function).parameters, {}
    for pair in changed:
        name, _, value = pair.partition("=")
        if name not in own or name == "place":
            raise ValueError(f"--with {pair}: expected one of {', '.join(list(own)[1:])}")
        found[name] = value == "true" if isinstance(own[name].default, bool) else type(own[name].default)(value)
    return found


def measure(program, settings, quick, changed, scratch):
    """The records of the program's rows."""
    start, load = time.monotonic(), os.getloadavg()[0]
    called = isinstance(program, bench_rows.Call)
    result, command = run_call(program, settings, quick, changed, scratch) if called else run_words(program, settings, quick)
    records = []
    for row in program.rows:
        value = row.value(result)
        ok = None if row.limit is None else bool(row.limit[0](value, row.limit[1]))
        records.append({"row": row.name, "what": row.what, "asked": row.asked, "value": value, "measured": row.shown(result), "ok": ok, "better": row.better, "command": command,
                        "took_seconds": round(time.monotonic() - start, 1), "load_before": round(load, 2), "result": result})
    return records


def run_rows(programs, wanted, settings, args, scratch):
    rows, skipped, failed = [], [], []
    for program in programs:
        names = [row.name for row in program.rows if not wanted or row.name in wanted]
        if not names:
            continue
        missing = [name for name in program.needs if name not in settings]
        if missing:
            why = "; ".join(WHY.get(name, f"{name} is not set or not there (--{name} or BT_BENCH_{name.upper()})") for name in missing)
            skipped += [{"row": name, "why": why} for name in names]
            print(f"SKIPPED {', '.join(names)}: {why}", file=sys.stderr)
            continue
        print(f"measuring {', '.join(names)} ...", file=sys.stderr, flush=True)
        try:
            rows += [record for record in measure(program, settings, args.quick, args.changed, scratch) if record["row"] in names]
        except (RuntimeError, SystemExit, ValueError, KeyError, OSError, subprocess.SubprocessError) as error:
            failed += [{"row": name, "why": str(error)} for name in names]
            print(f"FAILED {', '.join(names)}: {error}", file=sys.stderr)
    return rows, skipped, failed


def table(rows, skipped, failed):
    lines = ["| row | what | asked for | measured | command |", "| --- | --- | --- | --- | --- |"]
    for r in rows:
        missed = " **missed**" if r["ok"] is False else ""
        lines.append(f"| {r['row']} | {r['what']} | {r['asked']} | {r['measured']}{missed} | `{r['command']}` |")
    lines += [""] * bool(skipped or failed) + [f"skipped: {r['row']}: {r['why']}" for r in skipped] + [f"FAILED: {r['row']}: {r['why']}" for r in failed]
    return "\n".join(lines)


def out_path(args, machine, date):
    if args.out:
        return args.out
    name = re.sub(r"[^a-z0-9]+", "-", machine["cpu"].lower()).strip("-") or platform.machine()
    folder = os.path.join(ROOT, "docs", "bench") if args.record else os.path.join(args.build, "bench")
    return os.path.join(folder, f"{date}-{name}-{machine['cores']}-cores.json")


def parse_arguments(programs):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--rows", default=os.environ.get("BT_BENCH_ROWS", ""))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--with", dest="changed", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out")
    for name in SETTINGS:
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    names = [row.name for program in programs for row in program.rows]
    unknown = [name for name in args.rows.split(",") if name and name not in names]
    if unknown:
        parser.error(f"--rows: {', '.join(unknown)}: expected names among {', '.join(names)}")
    if args.changed and not args.rows:
        parser.error("--with: say of which --rows")
    for program in programs if args.changed else []:
        if any(row.name in args.rows.split(",") for row in program.rows):
            if not isinstance(program, bench_rows.Call):
                parser.error(f"--with: {program.rows[0].name} is measured by a program of its own: call that (the table has its command)")
            try:
                arguments_of(program, args.changed)
            except ValueError as error:
                parser.error(str(error))
    if args.record and args.quick:
        parser.error("--record: figures of --quick are not to be kept")
    if not args.list and not os.path.exists(os.path.join(args.build, "CMakeCache.txt")):
        parser.error(f"--build: {args.build} is not a build folder: it has no CMakeCache.txt")
    return args, names


def main():
    programs = bench_rows.programs()
    args, names = parse_arguments(programs)
    if args.list:
        print("\n".join(names))
        return 0
    start, date = time.monotonic(), datetime.date.today().isoformat()
    machine = describe_machine(args.build)
    settings = read_settings(args)
    with tempfile.TemporaryDirectory() as scratch:
        add_derived(settings, machine)
        rows, skipped, failed = run_rows(programs, set(filter(None, args.rows.split(","))), settings, args, scratch)
    commit = output("git", "rev-parse", "--short", "HEAD") + ("-dirty" if output("git", "status", "--porcelain", "--untracked-files=no") else "")
    result = {"date": date, "commit": commit, "quick": args.quick, "threads": settings["threads"], "machine": machine, "load_after": round(os.getloadavg()[0], 2),
              "took_seconds": round(time.monotonic() - start, 1), "rows": rows, "skipped": skipped, "failed": failed}
    path = out_path(args, machine, date)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(table(rows, skipped, failed))
    if args.record:
        history.write()
        history.tell_fallen(history.FOLDER)
    print(f"\n{len(rows)} measured, {len(skipped)} skipped, {len(failed)} failed in {result['took_seconds']:.0f} s: {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
