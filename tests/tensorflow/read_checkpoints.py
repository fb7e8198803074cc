#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads with the real TensorFlow and Model Garden what write_test_checkpoints wrote: checkpoints
(restored into a model, every variable, slot, average and scalar compared), events, TFRecords.

usage: read_checkpoints.py WRITER [PYTHON]     PYTHON, or $BT_TF_PYTHON: one that has tensorflow
Exit status 77: there is no TensorFlow, and nothing was tested.
"""
import glob
import os
import subprocess
import sys
import tempfile

SKIP = 77


def find_tensorflow():
    try:
        import tensorflow  # noqa: F401
        import official.nlp.modeling.models  # noqa: F401
        return
    except ImportError as why:
        reason = why
    python = os.environ.get("BT_TF_PYTHON") or (sys.argv[2] if len(sys.argv) > 2 else "")
    if python and not os.environ.get("BT_TF_TRIED"):
        os.environ["BT_TF_TRIED"] = "1"
        os.execv(python, [python, "-B", *sys.argv])
    print(f"SKIPPED: no TensorFlow and Model Garden here ({reason}); name a python that has them "
          "in BT_TF_PYTHON")
    sys.exit(SKIP)


os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"
find_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.modeling import models  # noqa: E402


def values(seed, number, shape):
    """test_value() of ckpt_test_support.c"""
    i = np.arange(int(np.prod(shape)), dtype=np.int64)
    exact = ((seed * 7919 + number * 101 + i) % 65536).astype(np.float32) / np.float32(1024)
    return (exact - np.float32(32)).reshape(shape)


def make_model(kind, embedding_size, use_encoder_pooler):
    tf_keras.backend.clear_session()  # the variables' names start afresh
    config = encoders.EncoderConfig(type=kind)
    config.get().override(dict(
        vocab_size=20, hidden_size=8, num_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16, type_vocab_size=2, embedding_size=embedding_size))
    return models.BertClassifier(
        network=encoders.build_encoder(config), num_classes=3,
        initializer=tf_keras.initializers.TruncatedNormal(stddev=0.02),
        use_encoder_pooler=use_encoder_pooler)


def make_optimizer(model, ema):
    params = {
        "optimizer": {"type": "adamw"},
        "learning_rate": {"type": "polynomial", "polynomial": {
            "decay_steps": 30, "initial_learning_rate": 1e-3}},
        "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 5}},
    }
    if ema:
        params["ema"] = {"average_decay": 0.9}
    factory = optimization.OptimizerFactory(optimization.OptimizationConfig(params))
    optimizer = factory.build_optimizer(factory.build_learning_rate())
    if ema:
        optimizer.shadow_copy(model)
    return optimizer


def train_once(model, optimizer):
    """Makes the slots, so that there is something to restore into."""
    inputs = dict(input_word_ids=tf.ones([2, 5], tf.int32), input_mask=tf.ones([2, 5], tf.int32),
                  input_type_ids=tf.zeros([2, 5], tf.int32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(inputs, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(list(zip(gradients, model.trainable_variables)))


def same(got, want, what):
    if not np.array_equal(np.asarray(got), want):
        raise AssertionError(f"{what}: the values differ")


def base_name(variable):
    """Without :0, and without the number that Keras gives the second encoder of a process."""
    name = variable.name.split(":")[0]
    head, _, rest = name.partition("/")
    return f"bert_encoder_v2/{rest}" if head.startswith("bert_encoder_v2") else name


def check_checkpoint(folder, kind, embedding_size, use_encoder_pooler, ema):
    prefix = tf.train.latest_checkpoint(folder)
    assert prefix == os.path.join(folder, "ckpt-4"), prefix
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():  # TensorFlow checks each crc
        reader.get_tensor(name)
    assert reader.get_tensor("bert_train/state") == b"cursor 17"

    with open(os.path.join(folder, "variables.txt"), encoding="utf-8") as rows:
        table = {name: (i, gradient == "1")
                 for i, (name, gradient) in enumerate(row.split() for row in rows)}
    model = make_model(kind, embedding_size, use_encoder_pooler)
    optimizer = make_optimizer(model, ema)
    train_once(model, optimizer)
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
    # as initialisation for another model: encoder only, V1 <-> V2
    other = make_model("bert" if kind == "bert_v2" else "bert_v2", embedding_size, False)
    encoder = other.checkpoint_items["encoder"]
    tf.train.Checkpoint(encoder=encoder).read(prefix).expect_partial(
    ).assert_existing_objects_matched()
    number = next(i for name, (i, _) in table.items() if name.endswith("word_embeddings/embeddings"))
    word = next(v for v in encoder.variables if "word_embeddings" in v.name)
    same(word, values(0, number, word.shape), "word embeddings of the other encoder type")
    print(f"{os.path.basename(folder)}: {len(table)} variables, {n_slots} slots")


def check_events(folder):
    path, = glob.glob(os.path.join(folder, "events", "events.out.tfevents.*.v2"))
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
        for name, *spec in (("bert_dense", "bert", None, False, False),
                            ("bert_dense_ema", "bert", None, False, True),
                            ("bert_e4_pooler", "bert", 4, True, False),
                            ("bert_v2_e4_dense", "bert_v2", 4, False, False),
                            ("bert_v2_pooler", "bert_v2", None, True, False)):
            check_checkpoint(os.path.join(folder, name), *spec)
        check_events(folder)
        check_records(folder)


if __name__ == "__main__":
    main()
