#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads with the real TensorFlow and Model Garden what write_test_checkpoints wrote: checkpoints of
every head (restored into the task's model, every variable, slot, average and scalar compared; then
trained on from), events, TFRecords.

usage: read_checkpoints.py WRITER [PYTHON]     PYTHON, or $BT_TF_PYTHON: one that has tensorflow
Exit status 77: there is no TensorFlow, and nothing was tested.
"""
import glob
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from find_tensorflow import find_tensorflow  # noqa: E402

find_tensorflow(sys.argv[2] if len(sys.argv) > 2 else "")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "make_goldens"))
import make_ckpt_goldens as maker  # noqa: E402


def values(seed, number, shape):
    """test_value() of ckpt_test_support.c"""
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    exact = ((seed * 7919 + number * 101 + i) % 65536).astype(np.float32) / np.float32(32768)
    return exact.reshape(shape)


def make_task(kind, keys, head):
    tf_keras.backend.clear_session()  # the variables' names start afresh
    config, task_class = maker.task_config(head, maker.encoder_config(kind, keys))
    return task_class(config, logging_dir=tempfile.gettempdir())


def train_once(task, model, optimizer):
    """Makes the slots, so that there is something to restore into."""
    batch = next(iter(task.build_inputs(task.task_config.train_data)))
    task.train_step(batch, model, optimizer)


def same(got, want, what):
    if not np.array_equal(np.asarray(got), want):
        raise AssertionError(f"{what}: the values differ")


def base_name(variable):
    """Without :0, and without the number that Keras gives the second encoder of a process."""
    name = variable.name.split(":")[0]
    head, _, rest = name.partition("/")
    return f"bert_encoder_v2/{rest}" if head.startswith("bert_encoder_v2") else name


def check_checkpoint(folder, kind, keys, head, ema):
    prefix = tf.train.latest_checkpoint(folder)
    assert prefix == os.path.join(folder, "ckpt-4"), prefix
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():  # TensorFlow checks each crc
        reader.get_tensor(name)
    assert reader.get_tensor("bert_train/state") == b"cursor 17"

    with open(os.path.join(folder, "variables.txt"), encoding="utf-8") as rows:
        table = {name: (i, gradient == "1")
                 for i, (name, gradient) in enumerate(row.split() for row in rows)}
    task = make_task(kind, keys, head)
    model = task.build_model()
    optimizer = task.create_optimizer(maker.optimizer_config(ema))
    if ema:
        optimizer.shadow_copy(model)
    train_once(task, model, optimizer)
    step = tf.Variable(0, dtype=tf.int64, name="global_step", trainable=False)
    checkpoint = tf.train.Checkpoint(global_step=step, model=model, optimizer=optimizer,
                                     **model.checkpoint_items)
    status = checkpoint.restore(prefix)
    status.assert_existing_objects_matched()
    status.assert_consumed()
    assert step.numpy() == 4
    inner = optimizer._optimizer if ema else optimizer
    assert inner.iterations.numpy() == 4
    assert len(model.trainable_variables) == len(table), (len(model.trainable_variables), table)
    n_slots = 0
    for variable in model.trainable_variables:
        number, gradient = table[base_name(variable)]
        same(variable, values(0, number, variable.shape), variable.name)
        if gradient:
            n_slots += 2
            same(inner.get_slot(variable, "m"), values(1, number, variable.shape),
                 variable.name + " m")
            same(inner.get_slot(variable, "v"), values(2, number, variable.shape),
                 variable.name + " v")
        if ema:
            same(optimizer.get_slot(variable, "average"), values(3, number, variable.shape),
                 variable.name + " average")
    check_initialisation(prefix, table, kind, keys)
    check_continuation(folder, kind, keys, head, ema)
    print(f"{os.path.basename(folder)}: {len(table)} variables, {n_slots} slots", flush=True)


def check_initialisation(prefix, table, kind, keys):
    """As initialisation of another task: the encoder only, V1 <-> V2."""
    other = {"bert": "bert_v2", "bert_v2": "bert"}.get(kind, kind)
    task = make_task(other, keys, "dense")
    task.task_config.override(dict(init_checkpoint=prefix))
    model = task.build_model()
    task.initialize(model)
    number = next(i for name, (i, _) in table.items() if name.endswith("word_embeddings/embeddings"))
    word = next(v for v in model.variables if "word_embeddings" in v.name)
    same(word, values(0, number, word.shape), "word embeddings of another task")


def check_continuation(folder, kind, keys, head, ema):
    """The trainer itself goes on from the folder."""
    prefix = maker.train(kind, keys, head, ema, folder, train_steps=6)
    assert os.path.basename(prefix) == "ckpt-6", prefix
    reader = tf.train.load_checkpoint(prefix)
    optimizer = "optimizer/ema_base_optimizer" if ema else "optimizer"
    for key in ("global_step", f"{optimizer}/iter"):
        assert reader.get_tensor(f"{key}/.ATTRIBUTES/VARIABLE_VALUE") == 6, key


def check_events(folder):
    path, = glob.glob(os.path.join(folder, "events", "events.out.tfevents.*.bert-train.v2"))
    events = list(tf.compat.v1.train.summary_iterator(path))
    assert events[0].file_version == "brain.Event:2"
    got = [(e.step, v.tag, float(tf.make_ndarray(v.tensor)), v.metadata.plugin_data.plugin_name)
           for e in events for v in e.summary.value]
    assert got == [(5, "training_loss", 1.5, "scalars"),
                   (10, "training_loss", 0.25, "scalars")], got
    print("events: 2 scalars")


def check_records(folder):
    spec = {"ints": tf.io.FixedLenFeature([4], tf.int64),
            "floats": tf.io.FixedLenFeature([2], tf.float32),
            "texts": tf.io.FixedLenFeature([2], tf.string),
            "none": tf.io.VarLenFeature(tf.int64)}
    expected = None
    for name, compression in (("plain", ""), ("gzip", "GZIP"), ("zlib", "ZLIB")):
        dataset = tf.data.TFRecordDataset(os.path.join(folder, f"{name}.tfrecord"), compression)
        records = [r.numpy() for r in dataset]
        assert len(records) == 3 and len(set(records)) == 1
        assert expected in (None, records[0])
        expected = records[0]
        row = tf.io.parse_single_example(records[0], spec)
        assert row["ints"].numpy().tolist() == [1, -2, -2**63, 2**63 - 1]
        assert row["floats"].numpy().tolist() == [1.5, -0.0]
        assert row["texts"].numpy().tolist() == [b"ab", b""]
        assert row["none"].values.numpy().tolist() == []
    print("records: plain, GZIP, ZLIB")


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        for name, spec in maker.CASES.items():
            check_checkpoint(os.path.join(folder, name), *spec)
        check_events(folder)
        check_records(folder)


if __name__ == "__main__":
    main()
