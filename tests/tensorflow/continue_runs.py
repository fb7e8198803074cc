#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real Model Garden's trainer continues a run of bert-train: from the model_dir and the params.yaml
that bert-train left, on the same rows, it makes the steps that bert-train makes, in every variable,
slot and average, to the last digits of float32. Of sentences, tags, answers and pairs, of BERT and ALBERT,
with and without moving averages. Dropout is off on both sides: its masks are nobody's promise. Pairs begin
with larger weights: vectors that are nearly the same leave a gradient of rounding (docs/testing.md).

usage: continue_runs.py BERT-TRAIN [PYTHON]     PYTHON, or $BT_TF_PYTHON: one that has Model Garden
Exit status 77: there is no Model Garden, and nothing was tested.
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from find_tensorflow import find_tensorflow  # noqa: E402

find_tensorflow(sys.argv[2] if len(sys.argv) > 2 else "")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.core import exp_factory, task_factory, train_lib  # noqa: E402
from official.modeling import hyperparams  # noqa: E402
from official.nlp.configs import experiment_configs  # noqa: E402,F401  registers them
from official.nlp.tasks import dual_encoder  # noqa: E402,F401  registers the task

sys.path.insert(0, os.path.join(HERE, "..", "make_goldens"))
sys.path.insert(0, os.path.join(HERE, "..", "e2e", "support"))
import e2e  # noqa: E402
import make_conf_goldens as maker  # noqa: E402

PROGRAM = os.path.abspath(sys.argv[1])
SAVED, END, BATCH = 2, 6, 8
EXPERIMENTS = dict(sentence="bert/sentence_prediction", tagging="bert/tagging", squad="bert/squad",
                   pairs="bert/dual_encoder")
CASES = [(kind, encoder, ema) for kind in EXPERIMENTS for encoder in ("bert", "albert") for ema in (False, True)]
ENCODER = ("dropout_rate: 0.0, attention_dropout_rate: 0.0, hidden_size: 16, intermediate_size: 32, "
           "max_position_embeddings: 16, num_attention_heads: 2, num_layers: 2, type_vocab_size: 2, "
           "vocab_size: 100")
OWN = dict(  # keys of the task, and of its model
    sentence=("", "num_classes: 3, head_dropout: 0.0"), tagging=("class_names: [O, B-X, I-X], ", "head_dropout: 0.0"),
    squad=("", ""), pairs=("", "max_sequence_length: 16, bidirectional: true, logit_scale: 5.0, logit_margin: 0.1"))
BOUND = dict(sentence=2e-5, tagging=2e-5, squad=2e-5, pairs=5e-5)
OF_ENCODER = dict(pairs=", initializer_range: 0.5")
KEYS = dict(pairs=", vocab_file: vocab.txt, lower_case: true")
YAML = """\
runtime: {distribution_strategy: one_device}
task: {OF_TASK validation_data: {input_path: ''},
  model: {encoder: {type: KIND, KIND: {ENCODER}}, OF_MODEL},
  train_data: {input_path: train.tf_record, seq_length: 16, global_batch_size: BATCH, shuffle_buffer_size: 1,
               is_training: true KEYS}}
trainer: {steps_per_loop: 2, summary_interval: 2, checkpoint_interval: 2, validation_interval: 0,
  optimizer_config: {learning_rate: {polynomial: {initial_learning_rate: 0.01, decay_steps: 30}},
    warmup: {polynomial: {warmup_steps: 3}} EMA}}
"""


def config_text(kind, encoder, ema):
    text = YAML
    for word, value in (("OF_TASK", OWN[kind][0]), ("OF_MODEL", OWN[kind][1]), ("KEYS", KEYS.get(kind, "")),
                        ("BATCH", str(BATCH)), ("EMA", ", ema: {average_decay: 0.9}" if ema else ""),
                        ("ENCODER", ENCODER + OF_ENCODER.get(kind, "") +
                         (", embedding_width: 8" if encoder == "albert" else "")),
                        ("KIND", encoder)):
        text = text.replace(word, value)
    return text.replace(", }", "}")


def rows_of(kind):
    """One batch, and so the same one in every step."""
    rng = random.Random(5)
    if kind == "pairs":  # few words, so that rows of the word table repeat within the batch
        return [{side: [" ".join("w%d" % rng.randrange(30) for _ in range(rng.randint(3, 14))).encode()]
                 for side in ("left_input", "right_input")} for _ in range(BATCH)]
    rows = e2e.make_rows(BATCH, seed=5)
    for row in rows:
        n = sum(row["input_mask"])
        if kind == "tagging":
            row["label_ids"] = [-1] + [i % 3 for i in row["input_ids"][1:n - 1]] + [-1] * (17 - n)
        elif kind == "squad":
            del row["label_ids"]
            start = rng.randint(1, n - 3)
            row.update(start_positions=[start], end_positions=[start + 1])
    return rows


def train_here(folder, model_dir, kind, n_steps):
    result = subprocess.run(
        [PROGRAM, "--experiment=" + EXPERIMENTS[kind], "--mode=train", "--model_dir=" + model_dir,
         "--config_file=run.yaml", f"--params_override=trainer.train_steps={n_steps}"], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return os.path.join(folder, model_dir, f"ckpt-{n_steps}")


def train_there(folder, model_dir, kind):
    """What Model Garden's train.py does with --config_file=MODEL_DIR/params.yaml."""
    tf_keras.backend.clear_session()
    os.chdir(folder)
    params = exp_factory.get_exp_config(EXPERIMENTS[kind])
    params = hyperparams.override_params_dict(params, os.path.join(model_dir, "params.yaml"), is_strict=True)
    params = hyperparams.override_params_dict(params, {"trainer": {"train_steps": END}}, is_strict=True)
    params.validate()
    strategy = tf.distribute.OneDeviceStrategy("cpu:0")
    with strategy.scope():
        task = task_factory.get_task(params.task, logging_dir=model_dir)
    train_lib.run_experiment(strategy, task, "train", params, model_dir)
    return os.path.join(model_dir, f"ckpt-{END}")


def values_of(prefix):
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name, dtype in reader.get_variable_to_dtype_map().items()
            if dtype in (tf.float32, tf.int64)}


def variable_of(name):
    """Also of a slot. What adds the same to all inputs of a softmax (the bias of keys, the last beta of a SQuAD
    model) has no gradient but rounding, which Adam makes as large as any."""
    return name.split("/.OPTIMIZER_SLOT")[0].split("/.ATTRIBUTES")[0]


def compare(ours, theirs, before):
    """Returns how many values were compared, and the largest difference against its tensor's size."""
    n, worst, where = 0, 0.0, ""
    mine, real, first = values_of(ours), values_of(theirs), values_of(before)
    skipped = {name for name in set(mine) ^ set(real) if "save_counter" in name or "train_loss" in name}
    missing = sorted((set(mine) ^ set(real)) - skipped)
    assert not missing, missing
    moved = 0
    unfelt = {variable_of(name) for name, value in mine.items() if "/v/.ATTR" in name and np.sqrt(value.max()) < 3e-9}
    assert len(unfelt) <= 4, unfelt
    for name in set(mine) & set(real):
        if "save_counter" in name or variable_of(name) in unfelt:
            continue
        a, b = np.asarray(mine[name], np.float64), np.asarray(real[name], np.float64)
        assert a.shape == b.shape, name
        moved += not np.array_equal(mine[name], first[name])
        scale = max(float(np.abs(a).max(initial=0.0)), 1e-30)
        gap = float(np.abs(a - b).max(initial=0.0)) / scale
        n += a.size
        if gap > worst:
            worst, where = gap, name
    assert moved > len(mine) // 2, "the steps changed little"
    return n, worst, where


def check(kind, encoder, ema):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "run.yaml"), "w", encoding="utf-8") as out:
            out.write(config_text(kind, encoder, ema))
        with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as out:
            out.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + ["w%d" % i for i in range(90)] +
                                ["x%d" % i for i in range(5)]) + "\n")
        e2e.write_records(os.path.join(folder, "train.tf_record"), rows_of(kind))
        before = train_here(folder, "ours", kind, SAVED)
        shutil.copytree(os.path.join(folder, "ours"), os.path.join(folder, "theirs"))
        ours = train_here(folder, "ours", kind, END)
        theirs = train_there(folder, os.path.join(folder, "theirs"), kind)
        n, worst, where = compare(ours, theirs, before)
    words = f"{kind} {encoder}{' with averages' if ema else ''}: {n} values, {worst:.1e} of a tensor's largest"
    print(words, where, flush=True)
    assert worst < BOUND[kind], (worst, BOUND[kind], where)


def main():
    maker.register_dual_encoder()
    tf_keras.layers.Dropout.call = lambda self, inputs, training=None: inputs  # heads have a rate of their own
    for case in CASES:
        check(*case)


if __name__ == "__main__":
    main()
