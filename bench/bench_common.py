# SPDX-License-Identifier: Apache-2.0
"""What the measuring scripts share: their first flags, running a program to its end with its time and peak memory, the
words of a bert-train command, what its metrics.jsonl says, and the ids in records. Needs only Python's standard library."""
import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGS = os.path.join(os.path.dirname(HERE), "configs", "models")
# layers, hidden size, intermediate size, heads; the YAML of the same dims; TINY is for trying the scripts out
SIZES = {"minilm": (6, 384, 1536, 12, "minilm.yaml"), "base": (12, 768, 3072, 12, "bert_en_uncased_base.yaml"),
         "tiny": (2, 32, 64, 2, "minilm.yaml")}


def parser(doc, required=()):
    """A script's flags: help that is its docstring as it stands, --build, and names that must be given."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--build", default="build/release")
    for name in required:
        made.add_argument(f"--{name}", required=True)
    return made


class Run:
    """One finished process: seconds of the clock and of the processor, peak resident bytes, what it wrote, and after how many
    seconds a line of its stderr matched `watch` (None: never)."""

    def __init__(self, words, env=None, watch=None, one_core=False):
        core = min(os.sched_getaffinity(0))
        start = time.monotonic()
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, **(env or {})),
                                 preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if one_core else None)
        out = []
        reader = threading.Thread(target=lambda: out.append(child.stdout.read()))
        reader.start()
        lines, self.matched_after = [], None
        for line in child.stderr:
            if watch and self.matched_after is None and re.search(watch, line):
                self.matched_after = time.monotonic() - start
            lines.append(line)
        _, status, usage = os.wait4(child.pid, 0)
        self.seconds = time.monotonic() - start
        reader.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        self.stdout, self.stderr = out[0], "".join(lines)
        self.processor_seconds = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024
        if child.returncode != 0:
            sys.exit(f"failed with {child.returncode}: {' '.join(words)[:2000]}\n{self.stderr[-3000:]}")


def model_overrides(size):
    """Nothing for the dims that a YAML file has."""
    if size != "tiny":
        return {}
    layers, hidden, intermediate, heads, _ = SIZES[size]
    encoder = "task.model.encoder.bert."
    return {encoder + "num_layers": layers, encoder + "hidden_size": hidden, encoder + "intermediate_size": intermediate,
            encoder + "num_attention_heads": heads}


def training_overrides(records, size="minilm", steps=8, batch=32, seq_length=128, threads=0):
    """Fresh weights, AdamW, a summary every step, no checkpoint before the last step."""
    rate = "trainer.optimizer_config."
    return {**model_overrides(size), "task.model.num_classes": 2, "task.train_data.input_path": f"'{records}'",
            "task.train_data.global_batch_size": batch, "task.train_data.seq_length": seq_length, "trainer.train_steps": steps,
            "trainer.steps_per_loop": 1, "trainer.summary_interval": 1, "trainer.checkpoint_interval": 0,
            rate + "learning_rate.polynomial.decay_steps": 1000, rate + "warmup.polynomial.warmup_steps": 10, "runtime.threads": threads}


def bert_train(build, model_dir, values, size="minilm", mode="train", experiment="bert/sentence_prediction", **how):
    words = [os.path.join(build, "bert-train"), f"--experiment={experiment}", f"--mode={mode}", f"--model_dir={model_dir}",
             "--config_file=" + os.path.join(CONFIGS, SIZES[size][4]), "--params_override=" + ",".join(f"{k}={v}" for k, v in values.items())]
    return Run(words, **how)


def metrics(model_dir, kind):
    with open(os.path.join(model_dir, "metrics.jsonl"), encoding="utf-8") as lines:
        return [r for r in map(json.loads, lines) if r["kind"] == kind]


def make_records(build, data, task, vocab, folder, **how):
    """The task's training file as records of 128 places; the path."""
    path = os.path.join(folder, f"{task}.tf_record")
    Run([os.path.join(build, "create-finetuning-data"), f"--input_data_dir={data}", f"--classification_task_name={task}", f"--vocab_file={vocab}",
         f"--train_data_output_path={path}", f"--meta_data_file_path={path}.meta", "--max_seq_length=128"], **how)
    return path


# records: the int64 lists of a tf.Example

def raw_records(path):
    """Each record as it is in the file: length and checksum (12 bytes), the example, its checksum (4 bytes)."""
    with open(path, "rb") as file:
        while len(head := file.read(12)) == 12:
            yield head + file.read(struct.unpack("<Q", head[:8])[0] + 4)


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """Number and bytes of each field, or the number that an unpacked list has."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, data[at:at + length]
            at += length
        else:
            yield tag >> 3, length


def int_list(feature):
    values = []
    for _, int64_list in fields(feature):
        for _, content in fields(int64_list):
            if isinstance(content, int):
                values.append(content)
            else:
                at = 0
                while at < len(content):
                    value, at = read_varint(content, at)
                    values.append(value)
    return values


def ids_of(record):
    """The ids of the tokens of a raw record, without padding."""
    features = {}
    for _, feature_map in fields(record[12:-4]):
        for _, entry in fields(feature_map):
            parts = dict(fields(entry))
            features[parts[1].decode()] = parts[2]
    return int_list(features["input_ids"])[:sum(int_list(features["input_mask"]))]


def python_peer(python, program, settings, env=None, one_core=False):
    """What the Python program says in its last line; it gets the settings as JSON."""
    done = Run([python, "-c", program, json.dumps(settings)], env=env, one_core=one_core)
    return json.loads(done.stdout.strip().split("\n")[-1])


def median(values, digits=3):
    return round(statistics.median(values), digits)


def rounded(values, digits=3):
    return [round(value, digits) for value in values]
