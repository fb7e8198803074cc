# SPDX-License-Identifier: Apache-2.0
"""Rows of run_all.py that are whole runs of bert-train: bits, memory, start, latency. Each function measures one thing and returns what it found; bench_rows.py
says what of it is the row's. The first argument is a Place; the others are what run_all.py's --with changes. Needs only Python's standard library."""
import dataclasses
import glob
import hashlib
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

import bench_common as bench

TESTS = os.path.join(os.path.dirname(bench.HERE), "tests")
sys.path += [os.path.join(TESTS, "e2e", "support"), os.path.join(TESTS, "remote", "support")]
WARM_UP = 2
READY = r"ready for the first step after ([0-9.]+) s"
MINILM = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, max_position_embeddings=512)


@dataclasses.dataclass
class Place:
    """Where the programs are, a folder of its own, and the driver's settings."""
    build: str
    scratch: str
    settings: dict

    def folder(self, name):
        """One that is not there yet."""
        path = os.path.join(self.scratch, name)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def records(self, task):
        path = os.path.join(self.scratch, task + ".tf_record")
        return path if os.path.exists(path) else bench.make_records(self.build, os.path.join(self.settings["glue"], task), task, self.settings["vocab"], self.scratch)


def bits(place, model="minilm", task="MRPC", steps=8, threads="1,2"):
    """Trains the same steps with several numbers of threads and compares the checkpoints byte by byte: the variables, slots and all else in the data file of the
    last one. test_exec and e2e_run_semantics hold the same on small models."""
    digests, losses = {}, {}
    for number in threads.split(","):
        folder = place.folder("bits-" + number)
        values = bench.training_overrides(place.records(task), model, steps, threads=int(number))
        bench.bert_train(place.build, folder, {**values, "trainer.checkpoint_interval": steps}, model)
        with open(sorted(glob.glob(os.path.join(folder, "ckpt-*.data-*")))[-1], "rb") as file:
            digests[number] = hashlib.sha256(file.read()).hexdigest()
        losses[number] = bench.metrics(folder, "train")[-1]["training_loss"]
    return {"model": model, "task": task, "steps": steps, "threads": threads, "losses": losses, "same_bits": len(set(digests.values())) == 1, "sha256": digests}


def worst_batch(records, batch, out):
    """Keeps the rows of the batch with the most tokens; their number."""
    rows = [(len(bench.ids_of(record)), record) for record in bench.raw_records(records)]
    random.Random(1).shuffle(rows)
    batches = [rows[i:i + batch] for i in range(0, max(1, len(rows) - batch + 1), batch)]
    worst = max(batches, key=lambda some: sum(n for n, _ in some))
    with open(out, "wb") as file:
        file.write(b"".join(record for _, record in worst))
    return sum(n for n, _ in worst)


def memory(place, model="base", task="MRPC", batch=32, steps=4, rounds=2, threads=2):
    """The peak memory of training with and without runtime.recompute, and what recomputing costs in time; in turns (A B A B). Every step trains on the batch with the
    most tokens of a shuffled epoch (of seed 1), because that one decides what a run takes. The peak is the greatest resident memory of the whole process
    (ru_maxrss), GB are 1e9 bytes; the rate leaves out the first two steps. Weights are fresh; no checkpoint is written before the end."""
    tokens = worst_batch(place.records(task), batch, worst := os.path.join(place.scratch, "worst.tf_record"))
    peak, seconds = {False: [], True: []}, {False: [], True: []}
    for _ in range(rounds):
        for recompute in (False, True):
            folder = place.folder("memory")
            values = bench.training_overrides(worst, model, steps + WARM_UP, batch, threads=threads)
            done = bench.bert_train(place.build, folder, {**values, "runtime.recompute": str(recompute).lower()}, model)
            peak[recompute].append(done.peak_bytes / 1e9)
            seconds[recompute].append(statistics.mean(1 / r["examples_per_second"] for r in bench.metrics(folder, "train")[WARM_UP:]) * batch)
    return {"model": model, "task": task, "batch": batch, "tokens": tokens, "steps": steps, "peak_gb": round(max(peak[False]), 3),
            "recompute_peak_gb": round(max(peak[True]), 3), "seconds_per_step": bench.median(seconds[False], 4), "recompute_seconds_per_step": bench.median(seconds[True], 4),
            "recompute_cost": round(statistics.median(seconds[True]) / statistics.median(seconds[False]) - 1, 3), "all": bench.rounded(seconds[False], 4),
            "recompute_all": bench.rounded(seconds[True], 4)}


def from_weights(place, mode, folder, overrides, **how):
    values = {"task.model.num_classes": 2, "task.init_checkpoint": f"'{place.settings['model']}'", "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 10,
              "trainer.optimizer_config.warmup.polynomial.warmup_steps": 1, **overrides}
    return bench.bert_train(place.build, folder, values, mode=mode, **how)


def start(place, task="MRPC", repeats=5):
    """from_exec_seconds: from starting the process to its line that it is ready for the first training step; ready_seconds: what that line says; run_seconds: the whole
    process with that one step of batch 32 and no checkpoint; medians, the weights are in the page cache. weights_gb (1e9 bytes) are those of model.safetensors;
    beyond_reading_seconds: from_exec_seconds less what reading them at 1 GB/s would take. read_gb_per_second: Python reading the file once, for comparison."""
    path = os.path.join(place.settings["model"], "model.safetensors")
    overrides = {"task.train_data.input_path": f"'{place.records(task)}'", "task.train_data.global_batch_size": 32, "trainer.train_steps": 1, "trainer.steps_per_loop": 1,
                 "trainer.summary_interval": 1, "trainer.checkpoint_interval": 0}
    runs, reads = [], []
    for _ in range(repeats):
        runs.append(from_weights(place, "train", place.folder("start"), overrides, watch=READY))
        begun = time.monotonic()
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass
        reads.append(time.monotonic() - begun)
    gigabytes, from_exec = os.path.getsize(path) / 1e9, bench.median([r.matched_after for r in runs])
    return {"from_exec_seconds": from_exec, "ready_seconds": bench.median([float(re.search(READY, r.stderr)[1]) for r in runs]),
            "run_seconds": bench.median([r.seconds for r in runs]), "weights_gb": round(gigabytes, 4), "beyond_reading_seconds": round(from_exec - gigabytes, 3),
            "read_gb_per_second": round(gigabytes / bench.median(reads, 6), 2)}


def evaluation_memory(place, task="MRPC", times=10):
    """Peak resident memory of evaluating the records once, and many times over."""
    found = {}
    for copies in (1, times):
        paths = ",".join([place.records(task)] * copies)
        overrides = {"task.validation_data.input_path": f"'{paths}'", "task.validation_data.global_batch_size": 32, "trainer.best_checkpoint_export_subdir": "''"}
        found[copies] = round(from_weights(place, "eval", place.folder("evaluation"), overrides).peak_bytes / (1 << 20), 1)
    return {"times": times, "mib": found[1], "mib_more_rows": found[times], "growth": round(found[times] / found[1] - 1, 4)}


def until_ready(words):
    """Seconds of the clock and of the processor until the line; then the process is killed."""
    begun = time.monotonic()
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    lines, wall = [], None
    for line in child.stderr:
        lines.append(line)
        if re.search(READY, line.decode("utf-8", "replace")):
            wall = time.monotonic() - begun
            child.kill()
            break
    child.stderr.close()
    _, _, usage = os.wait4(child.pid, 0)
    if wall is None:
        raise RuntimeError(b"".join(lines).decode())
    return wall, usage.ru_utime + usage.ru_stime


def short_start(place, task="SST-2", repeats=20):
    """What a short command (--init, --train) costs before its first step beside the same run typed in full: the configuration that a dry run of the short one prints. The
    two take turns. wall: seconds from starting the process to its line that it is ready for the first step, the best of all; processor: user and system time
    until then, the best and the median. The weights are random, in MiniLM's sizes, and in the page cache."""
    import weights  # of the tests
    with open(place.settings["vocab"], encoding="utf-8") as file:
        weights.write_folder(model := place.folder("random"), file.read().split("\n")[:-1], special=(), **MINILM)
    common = [os.path.join(place.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train"]
    short = [f"--init={model}", f"--train={os.path.join(place.settings['glue'], task, 'train.tsv')}"]
    short += ["--text=#1 String,#2 String", "--label=Quality"] if task == "MRPC" else []
    typed = os.path.join(place.scratch, "typed.yaml")
    with open(typed, "w", encoding="utf-8") as out:
        subprocess.run(common + short + ["--model_dir=" + place.folder("none"), "--dry_run"], stdout=out, stderr=subprocess.DEVNULL, check=True)
    runs = {"short": [], "typed": []}
    for _ in range(repeats):
        for name, words in (("short", short), ("typed", ["--config_file=" + typed])):
            runs[name].append(until_ready(common + words + ["--model_dir=" + place.folder(name)]))
    return {"task": task, **{name: {"wall_seconds": round(min(w for w, _ in r), 3), "processor_seconds": round(min(c for _, c in r), 3),
                                    "processor_seconds_median": round(statistics.median(c for _, c in r), 3)} for name, r in runs.items()}}


def latency(place, seconds=0.02, runs=3, steps=1500, model_dir=False):
    """Training from gs:// against training from local files: the same job with its data (and with model_dir also its model_dir) in a store over loopback that waits
    that long before each answer. Runs take turns; the shortest of each kind counts."""
    import remote_case  # of the tests
    import store_server
    e2e = remote_case.e2e
    folder = place.folder("latency")
    os.makedirs(folder)
    model = e2e.TINY_MODEL.replace("hidden_size: 32", "hidden_size: 128").replace("intermediate_size: 64", "intermediate_size: 512")
    for name, text in (("model.yaml", model), ("run.yaml", e2e.TINY_RUN)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(text)
    best = {}
    with store_server.Server() as server:
        server.store.latency = seconds
        for name, n in (("train.tf_record", 20000), ("eval.tf_record", 100)):
            e2e.write_records(path := os.path.join(folder, name), e2e.make_rows(n))
            with open(path, "rb") as source:
                data = source.read()
            store_server.crc32c(data)  # Python takes its time: not while the job waits
            server.store.put("bucket", "data/" + name, data)
        env = dict(remote_case.CLEAN, STORAGE_EMULATOR_HOST=server.url)
        for i in range(runs):
            for kind, data in (("local", folder), ("gs", "gs://bucket/data")):
                out = f"gs://bucket/out{i}" if kind == "gs" and model_dir else os.path.join(folder, f"out-{kind}-{i}")
                words = [os.path.join(place.build, "bert-train"), "--experiment=bert/sentence_prediction", "--mode=train", "--model_dir=" + out,
                         f"--config_file={folder}/model.yaml", f"--config_file={folder}/run.yaml",
                         f"--params_override=task.train_data.input_path={data}/train.tf_record,task.validation_data.input_path={data}/eval.tf_record,"
                         f"trainer.train_steps={steps},task.train_data.global_batch_size=32,trainer.steps_per_loop=100,trainer.summary_interval=100,"
                         "trainer.checkpoint_interval=1000"]
                best[kind] = min(best.get(kind, float("inf")), bench.Run(words, env=env).seconds)
    return {"latency": seconds, "steps": steps, "runs": runs, "local_seconds": round(best["local"], 3), "gs_seconds": round(best["gs"], 3), "cost": round(best["gs"] / best["local"] - 1, 4)}
