#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What saving costs a training: BERT-base (fresh weights, AdamW, made-up rows of one length) with a checkpoint every so many
steps, against the same without any, in turns (A B A B). Measured is the time from the second save to the one after the last interval, so
each run holds as many whole saves as intervals; starts, first steps, the first save (which takes the memory) and the last one do not
count. The loss is the
ratio of the medians; beside it the same of the processor time, which other programs disturb less, and, from the runs that save
alone, the steps during which a save was under way against the others.

    bench/saving.py --every 20 --intervals 2 --rounds 3
    bench/saving.py --between          the same with --enable_async_checkpointing=false
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import bench_common as bench

WORDS = 30000


def make_table(folder, rows, length):
    """Words that are one token each; length includes [CLS] and [SEP]."""
    words = ["w" + "".join(chr(97 + n // 26 ** k % 26) for k in range(4)) for n in range(WORDS)]
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as vocab:
        vocab.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + words) + "\n")
    with open(os.path.join(folder, "train.tsv"), "w", encoding="utf-8") as table:
        table.write("sentence\tlabel\n")
        for r in range(rows):
            text = " ".join(words[(r * 7919 + i * i * 104729) % WORDS] for i in range(length - 2))
            table.write(f"{text}\t{r % 2}\n")


def overrides(o, folder, every, steps):
    values = bench.training_overrides(os.path.join(folder, "train.tsv"), o.size, steps, o.batch, o.length, o.threads)
    del values["trainer.steps_per_loop"], values["trainer.summary_interval"]
    values.update({"task.train_data.text_fields": "[sentence]", "task.train_data.vocab_file": f"'{folder}/vocab.txt'",
                   "trainer.steps_per_loop": 1, "trainer.summary_interval": 1, "trainer.checkpoint_interval": every, "trainer.max_to_keep": 2})
    return values


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(o, folder, every, steps):
    """{step: (seconds, processor's seconds) at its end}, {step: seconds when its save was said to be over}."""
    model_dir = tempfile.mkdtemp(dir=o.folder)
    words = [os.path.join(o.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train", f"--model_dir={model_dir}",
             "--config_file=" + os.path.join(bench.CONFIGS, bench.SIZES[o.size][4]), f"--enable_async_checkpointing={str(not o.between).lower()}",
             "--params_override=" + ",".join(f"{k}={v}" for k, v in overrides(o, folder, every, steps).items())]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    ends, saves, lines = {}, {}, []
    for line in child.stderr:
        now = time.monotonic()
        lines.append(line)
        step, saved = re.search(r"train \| step +(\d+)", line), re.search(r"saved checkpoint to .*-(\d+)$", line)
        if step:
            ends[int(step[1])] = (now, processor_seconds(child.pid))
        if saved:
            saves[int(saved[1])] = now
    if child.wait() != 0:
        sys.exit("".join(lines[-20:]))
    subprocess.run(["rm", "-rf", model_dir], check=True)
    return ends, saves


def cost_within(ends, saves, first, last, every):
    """Seconds that an interval's steps took beyond as many steps without a save; seconds of a save. A save of step S, which is
    over at time T, touches the steps from S on until T."""
    at = {step: now for step, (now, _) in ends.items()}
    touched, free = [], []
    for step in range(first + 1, last + 1):
        start = 1 + (step - 2) // every * every  # the save before it: of steps 1, 1 + every, ...
        (touched if at[step - 1] < saves.get(start, 0) else free).append(at[step] - at[step - 1])
    seconds = [saves[s] - at[s] for s in saves if first <= s < last]
    usual = statistics.median(free) if free else float("nan")
    n = (last - first) / every
    return (sum(touched) - len(touched) * usual) / n, statistics.median(seconds), usual


def main():
    p = bench.parser(__doc__)
    p.add_argument("--size", choices=sorted(bench.SIZES), default="base")
    p.add_argument("--every", type=int, default=20)
    p.add_argument("--intervals", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--length", type=int, default=64)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--between", action="store_true", help="save between the steps")
    p.add_argument("--folder", default=".", help="where the checkpoints go: a folder on the disk that is meant")
    o = p.parse_args()
    first = 1 + o.every  # the first checkpoint is that of step 1
    last = first + o.every * o.intervals
    with tempfile.TemporaryDirectory() as folder:
        make_table(folder, 512, o.length)
        times, cpu, costs, writes, steps = {0: [], o.every: []}, {0: [], o.every: []}, [], [], []
        for _ in range(o.rounds):
            for every in (0, o.every):
                ends, saves = run(o, folder, every, last + 1)
                times[every].append(ends[last][0] - ends[first][0])
                cpu[every].append(ends[last][1] - ends[first][1])
                if every:
                    cost, write, usual = cost_within(ends, saves, first, last, every)
                    costs.append(cost), writes.append(write), steps.append(usual)
    without, with_saves = statistics.median(times[0]), statistics.median(times[o.every])
    print(json.dumps({"seconds_without": times[0], "seconds_with": times[o.every], "loss": with_saves / without - 1,
                      "processor_seconds_without": cpu[0], "processor_seconds_with": cpu[o.every],
                      "loss_of_processor_time": statistics.median(cpu[o.every]) / statistics.median(cpu[0]) - 1,
                      "seconds_of_a_step": statistics.median(steps), "seconds_of_a_save": statistics.median(writes),
                      "loss_within_runs": statistics.median(costs) / (o.every * statistics.median(steps)),
                      "every": o.every, "batch": o.batch, "length": o.length, "beside": not o.between}))


if __name__ == "__main__":
    main()
