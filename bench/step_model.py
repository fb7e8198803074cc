#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Predicts how long a training step takes from parts that are measured alone, measures the steps, and prints both; then what follows for more threads.

  bench/step_model.py [--build build/release] [--models minilm,base] [--lengths sst2,mrpc] [--threads 1,2] [--rounds 3] [--precision f32|bf16]
                      [--more 4,8,16,32,64] [--record]

A step with n threads takes   products / P(n) + inside / C(n) + passes / B(n) + serial + jobs x J(n)
  products  operations of the large matrix products (bench_step counts them); P(n): operations a second of the products of all layers, one after the other and alone (bench_machine)
  inside    seconds of attention, norms, GELU and dropout with one thread: they compute in the caches; C(n): how many times as fast n threads make a GELU in the caches
  passes    seconds of the optimizer with one thread: it waits for memory; B(n): how many times as much memory n threads read and write
  serial    seconds outside of what threads divide; jobs: how often they are started together; J(n): seconds of a job with nothing to do
inside, passes and serial are of a run of bench_step with one thread, the fastest round; whatever is predicted is measured in other runs, before and after in turns. For more
threads than are here, and only there, P and C grow with the threads (cores of their own, the same clock), B up to --channels times one thread's, J with their number: a prediction
for such a machine, not a measurement. --record writes a page into docs/bench. Needs only Python's standard library.
"""
import argparse
import json
import os
import subprocess
import sys

import bench_common as bench

SCALING = os.path.basename("docs/scaling.md")
STEPS = {("minilm", "sst2"): 12, ("minilm", "mrpc"): 6, ("base", "sst2"): 4, ("base", "mrpc"): 2}
SHAPES = {"minilm": (384, 1536, 6), "base": (768, 3072, 12)}


def answer(words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"failed with {done.returncode}: {' '.join(words)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def measure_machine(args, model, tokens, threads):
    """The fastest of each part in all rounds."""
    hidden, intermediate, layers = SHAPES[model]
    rounds = [answer([os.path.join(args.build, "bench_machine"), f"--threads={threads}", f"--precision={args.precision}", f"--tokens={round(tokens)}", f"--hidden={hidden}",
                      f"--intermediate={intermediate}", f"--layers={layers}", "--rounds=3"]) for _ in range(args.rounds)]
    best = {key: max(r[key] for r in rounds) for key in ("gflops", "memory_gb_per_second", "gelu_per_second")}
    return {**best, "job_seconds": min(r["job_seconds"] for r in rounds)}


def measure_step(args, model, lengths, threads):
    return answer([os.path.join(args.build, "bench_step"), f"--model={model}", f"--lengths={lengths}", f"--threads={threads}", f"--products={args.precision}",
                   f"--steps={STEPS[model, lengths]}", "--rounds=1"])


def fastest(rounds):
    return min(rounds, key=lambda r: r["seconds_per_step"])


def parts_of(step):
    """Seconds of one thread, by what bounds them."""
    inside = step["forward"] + step["backward"] - step["products"] - step["serial"]
    return {"flops": step["product_flops"], "inside": inside, "passes": step["optimizer"], "serial": step["serial"], "jobs": step["jobs"]}


def predict(parts, one, many):
    return (parts["flops"] / (many["gflops"] * 1e9) + parts["inside"] * one["gelu_per_second"] / many["gelu_per_second"] +
            parts["passes"] * one["memory_gb_per_second"] / many["memory_gb_per_second"] + parts["serial"] + parts["jobs"] * many["job_seconds"])


def grown(machines, threads, channels):
    """The machine with so many threads, from the one with one and the largest that was measured."""
    n, last = max(machines.items())
    one = machines[1]
    return {"gflops": last["gflops"] * threads / n, "gelu_per_second": last["gelu_per_second"] * threads / n,
            "memory_gb_per_second": min(last["memory_gb_per_second"] * threads / n, channels * one["memory_gb_per_second"]),
            "job_seconds": last["job_seconds"] * threads / n}


def model_step(args, model, lengths):
    """Rows: threads, predicted, measured or None."""
    alone, measured = [], {n: [] for n in args.threads}
    for _ in range(args.rounds):
        alone.append(measure_step(args, model, lengths, 1))
        for n in args.threads:
            measured[n].append(measure_step(args, model, lengths, n)["seconds_per_step"])
    tokens = alone[0]["tokens"]
    machines = {n: measure_machine(args, model, tokens, n) for n in sorted({1, *args.threads})}
    parts = parts_of(fastest(alone))
    rows = [(n, predict(parts, machines[1], machines[n]), min(measured[n])) for n in args.threads]
    rows += [(n, predict(parts, machines[1], grown(machines, n, args.channels)), None) for n in args.more]
    return parts, machines, rows


def table(args):
    lines = ["| model, rows | threads | products | inside | passes | serial | jobs | predicted | measured | error |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for model in args.models:
        for lengths in args.lengths:
            parts, machines, rows = model_step(args, model, lengths)
            for n, seconds, found in rows:
                m = machines.get(n) or grown(machines, n, args.channels)
                cells = [parts["flops"] / (m["gflops"] * 1e9), parts["inside"] * machines[1]["gelu_per_second"] / m["gelu_per_second"],
                         parts["passes"] * machines[1]["memory_gb_per_second"] / m["memory_gb_per_second"], parts["serial"], parts["jobs"] * m["job_seconds"]]
                error = "" if found is None else f"{100 * (seconds / found - 1):+.1f} %"
                lines.append(f"| {model}, {lengths} | {n} | " + " | ".join(f"{1000 * c:.2f}" for c in cells) + f" | {1000 * seconds:.1f} | "
                             f"{'not measured' if found is None else f'{1000 * found:.1f}'} | {error} |")
                print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")
    numbers = lambda text: [int(word) for word in text.split(",") if word]
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--models", type=words, default=["minilm", "base"])
    parser.add_argument("--lengths", type=words, default=["sst2", "mrpc"])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--more", type=numbers, default=[4, 8, 16, 32, 64])
    parser.add_argument("--channels", type=float, default=8, help="how many times as much memory as one thread all together can read and write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="f32", choices=("f32", "bf16"))
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    text = f"Milliseconds; {args.precision}; load before {load:.2f}; `bench/step_model.py --precision={args.precision} --rounds={args.rounds}`.\n\n{table(args)}\n"
    print(text)
    if args.record:
        path = os.path.join(os.path.dirname(bench.HERE), "docs", "bench", f"step_model_{args.precision}.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"# A step from its parts, {args.precision}\n\nWhat the columns are: [docs/scaling.md](../{SCALING}#a-step-from-its-parts). {text}")


if __name__ == "__main__":
    main()
