#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a step of multi_worker_mirrored takes, measured on this machine, and what that predicts for other numbers of hosts.

Measured: steps of one process with the whole batch and with each rank's share of it (what a host alone would need), then of
--ranks processes with the whole batch, each bound to cores of its own (as many as all of them can have), over links of each of the --rates:
"none" is the loopback, else Linux's network namespaces joined by a bridge whose ports send no faster (tbf; needs root, and
netem where the kernel has it: --delay). clip: adamw clips each share, so that sums begin behind the backward pass and
updates go on beside them; sum: gradient_clip_norm 0, and sums begin inside it.

    bench/scaling.py --size minilm --batch 32 --length 64 --ranks 2 --rates none,10gbit,1gbit
    bench/scaling.py --predict --forward 0.93 --backward 1.87 --update 0.1 --gradient 344e6 --words 4e6   the table alone

The model of a step: N hosts, G bytes of gradient (with the rows of the words of all shares), links of W bytes a second each way, latency L, in B seconds of backward
pass and U of update: a sum takes T = 2 (N-1)/N G/W + 2 L + (N-1)/N G/A, A: bytes that a rank adds a second. The step is
F + B + max(U, T) + T/R where shares are clipped (R ranges: the first sum is waited for before the first update), and
F + max(B, T (1 - 1/R)) + T/R + U where none is.
"""
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

import bench_common as bench
import saving

STRATEGY = "runtime.distribution_strategy"
CLIP = "trainer.optimizer_config.optimizer.adamw.gradient_clip_norm"
PORT = 12000 + os.getpid() % 8000


def gradient_bytes(n, o):
    """Each share has other words of the table, and many have all of them."""
    return o.gradient + o.table * (1 - (1 - o.words / o.table) ** n)


def exchange_seconds(n, gradient, rate, latency, adding):
    return 2 * (n - 1) / n * gradient / rate + 2 * latency + (n - 1) / n * gradient / adding if n > 1 else 0.0


def step_seconds(n, o, clipped, rate, latency):
    t = exchange_seconds(n, gradient_bytes(n, o), rate, latency, o.adding)
    first = t / o.ranges
    if clipped:
        return o.forward + o.backward + max(o.update, t) + first
    return o.forward + max(o.backward, t - first) + first + o.update


def print_prediction(o):
    """Weak scaling: each host keeps its share of the batch."""
    alone = o.forward + o.backward + o.update
    print(f"\na host alone: {alone:.3f} s a step (forward {o.forward:.3f}, backward {o.backward:.3f}, update {o.update:.3f}); "
          f"{gradient_bytes(1, o) / 1e6:.0f} MB of gradient")
    print("| hosts | gradient | " + " | ".join(f"{g:g} Gbit/s, {c}" for g in o.links for c in ("clip", "sum")) + " |")
    print("| --- | --- |" + " --- |" * (2 * len(o.links)))
    for n in o.hosts:
        cells = []
        for gbit in o.links:
            for clipped in (True, False):
                seconds = step_seconds(n, o, clipped, gbit * 1e9 / 8, o.latency)
                cells.append(f"{seconds:.2f} s, {100 * alone / seconds:.0f} %")
        print(f"| {n} | {gradient_bytes(n, o) / 1e6:.0f} MB | " + " | ".join(cells) + " |")


def as_root(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def links(n, rate, delay):
    """[(words before a command, address)] of n hosts."""
    if rate == "none":
        yield [((), "127.0.0.1")] * n
        return
    names = [f"bts{os.getpid() % 10000}{i}" for i in range(n)]
    bridge = f"btb{os.getpid() % 10000}"
    try:
        as_root("ip", "link", "add", bridge, "type", "bridge")
        as_root("ip", "link", "set", bridge, "up")
        for i, name in enumerate(names):
            as_root("ip", "netns", "add", name)
            as_root("ip", "link", "add", name + "o", "type", "veth", "peer", "name", "eth0", "netns", name)
            as_root("ip", "link", "set", name + "o", "master", bridge, "up")
            inside = ("ip", "netns", "exec", name)
            as_root(*inside, "ip", "addr", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
            as_root(*inside, "ip", "link", "set", "eth0", "up")
            as_root(*inside, "ip", "link", "set", "lo", "up")
            as_root(*inside, "tc", "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "tbf", "rate", rate, "burst", "256k",
                 "latency", "50ms")
            if delay:
                as_root(*inside, "tc", "qdisc", "add", "dev", "eth0", "parent", "1:1", "netem", "delay", delay)
        yield [(("ip", "netns", "exec", name), f"10.77.0.{i + 1}") for i, name in enumerate(names)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "link", "del", name + "o"], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", bridge], stderr=subprocess.DEVNULL)


def overrides(o, folder, batch, clipped):
    values = bench.training_overrides(os.path.join(folder, "train.tsv"), o.size, o.steps + o.warm, batch, o.length, o.threads)
    values.update({"task.train_data.text_fields": "[sentence]", "task.train_data.vocab_file": f"'{folder}/vocab.txt'",
                   CLIP: 1.0 if clipped else 0.0, STRATEGY: "multi_worker_mirrored", "runtime.gradient_wire": o.wire})
    return values


def train(o, folder, n, batch, clipped, rate):
    """{seconds, exchange}: medians over the steps after the warm ones."""
    model_dir = tempfile.mkdtemp(dir=folder)
    cores = sorted(os.sched_getaffinity(0))
    each = max(1, len(cores) // o.ranks)
    with links(n, rate, o.delay) as hosts:
        addresses = [f"{address}:{PORT + i}" for i, (_, address) in enumerate(hosts)]
        children = []
        for rank, (before, _) in enumerate(hosts):
            words = [*before, os.path.join(o.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train",
                     f"--model_dir={model_dir}", "--config_file=" + os.path.join(bench.CONFIGS, bench.SIZES[o.size][4]),
                     "--params_override=" + ",".join(f"{k}={v}" for k, v in overrides(o, folder, batch, clipped).items())]
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            own = set((cores * o.ranks)[rank * each:(rank + 1) * each])
            children.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                             env=dict(os.environ, TF_CONFIG=json.dumps(config) if n > 1 else ""),
                                             preexec_fn=lambda own=own: os.sched_setaffinity(0, own)))
        errors = [child.communicate()[1] for child in children]
    for child, error in zip(children, errors):
        if child.returncode != 0:
            sys.exit(f"failed with {child.returncode}: {error[-2000:]}")
    records = bench.metrics(model_dir, "train")[o.warm:]
    return {"seconds": statistics.median(1 / r["steps_per_second"] for r in records),
            "exchange": statistics.median(r.get("exchange_wait", 0) / r["steps_per_second"] for r in records)}


def main():
    parser = bench.parser(__doc__)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--size", choices=sorted(bench.SIZES), default="minilm")
    parser.add_argument("--batch", type=int, default=32, help="of all ranks together")
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warm", type=int, default=2)
    parser.add_argument("--rates", default="none", help="none, or rates of tbf: 10gbit,1gbit")
    parser.add_argument("--delay", default="", help="of netem, one way: 1ms")
    parser.add_argument("--wire", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--predict", action="store_true", help="print the table alone, of the numbers below")
    for name, text in (("forward", "seconds of a host's share"), ("backward", "likewise"), ("update", "likewise"),
                       ("gradient", "bytes without the word table"), ("words", "bytes of the word rows of a share")):
        parser.add_argument("--" + name, type=float, default=0, help=text)
    parser.add_argument("--table", type=float, default=94e6, help="bytes of the whole word table")
    parser.add_argument("--ranges", type=int, default=14, help="the gradient is summed in so many pieces")
    parser.add_argument("--adding", type=float, default=2e9, help="bytes that a rank adds a second")
    parser.add_argument("--latency", type=float, default=50e-6)
    parser.add_argument("--links", type=lambda s: [float(x) for x in s.split(",")], default=[1, 10, 25, 100], help="Gbit/s")
    parser.add_argument("--hosts", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2, 4, 8, 16, 32, 64, 128, 256])
    o = parser.parse_args()
    if o.predict:
        print_prediction(o)
        return
    with tempfile.TemporaryDirectory(dir=o.folder) as folder:
        saving.make_table(folder, o.batch * (o.steps + o.warm + 1), o.length)
        share = train(o, folder, 1, o.batch // o.ranks, True, "none")["seconds"]
        whole = train(o, folder, 1, o.batch, True, "none")["seconds"]
        print(f"one process, {o.batch} sequences of {o.length}: {whole:.3f} s a step; a rank's share alone: {share:.3f} s", flush=True)
        print("| link | shares | step | of it waiting for others | against one process |")
        print("| --- | --- | --- | --- | --- |")
        for rate in o.rates.split(","):
            for clipped in (True, False):
                got = train(o, folder, o.ranks, o.batch, clipped, rate)
                print(f"| {rate}{' ' + o.delay if o.delay and rate != 'none' else ''} | {'clip' if clipped else 'sum'} | {got['seconds']:.3f} s "
                      f"| {got['exchange']:.3f} s | {whole / got['seconds']:.2f} x |", flush=True)


if __name__ == "__main__":
    main()
