#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Object graphs of checkpoints as the real Model Garden writes them, for tests/unit/ckpt.

Needs tf-models-official 2.19, TensorFlow 2.19. One file a model: a line a node,
"number child=number... : key" (key only for variables), then "slot owner variable name node".
usage: make_ckpt_goldens.py [FOLDER]      (default: tests/goldens/ckpt beside this script)
"""
import os
import pathlib
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.modeling import models  # noqa: E402
from tensorflow.core.protobuf import trackable_object_graph_pb2  # noqa: E402

CASES = [  # name, encoder, embedding size, use_encoder_pooler, ema
    ("bert_dense", "bert", None, False, False),
    ("bert_dense_ema", "bert", None, False, True),
    ("bert_e4_pooler", "bert", 4, True, False),
    ("bert_v2_e4_dense", "bert_v2", 4, False, False),
    ("bert_v2_pooler", "bert_v2", None, True, False),
]


def make_optimizer(ema):
    params = {
        "optimizer": {"type": "adamw"},
        "learning_rate": {"type": "polynomial", "polynomial": {
            "decay_steps": 30, "initial_learning_rate": 1e-3}},
        "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 5}},
    }
    if ema:
        params["ema"] = {"average_decay": 0.9}
    factory = optimization.OptimizerFactory(optimization.OptimizationConfig(params))
    return factory.build_optimizer(factory.build_learning_rate())


def make_checkpoint(kind, embedding_size, use_encoder_pooler, ema):
    config = encoders.EncoderConfig(type=kind)
    config.get().override(dict(
        vocab_size=20, hidden_size=8, num_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16, type_vocab_size=2, embedding_size=embedding_size))
    model = models.BertClassifier(
        network=encoders.build_encoder(config), num_classes=3,
        initializer=tf_keras.initializers.TruncatedNormal(stddev=0.02),
        use_encoder_pooler=use_encoder_pooler)
    optimizer = make_optimizer(ema)
    inputs = dict(input_word_ids=tf.ones([2, 5], tf.int32), input_mask=tf.ones([2, 5], tf.int32),
                  input_type_ids=tf.zeros([2, 5], tf.int32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(inputs, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    if ema:
        optimizer.shadow_copy(model)
    optimizer.apply_gradients(list(zip(gradients, model.trainable_variables)))
    step = tf.Variable(0, dtype=tf.int64, name="global_step", trainable=False)
    return tf.train.Checkpoint(global_step=step, model=model, optimizer=optimizer,
                               **model.checkpoint_items)


def describe(prefix):
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(
        tf.train.load_checkpoint(prefix).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    lines = []
    for i, node in enumerate(graph.nodes):
        children = "".join(f" {c.local_name}={c.node_id}" for c in node.children)
        keys = "".join(f" : {a.checkpoint_key}" for a in node.attributes)
        lines.append(f"{i}{children}{keys}")
    for i, node in enumerate(graph.nodes):
        for slot in node.slot_variables:
            lines.append(f"slot {i} {slot.original_variable_node_id} {slot.slot_name} "
                         f"{slot.slot_variable_node_id}")
    return "\n".join(lines) + "\n"


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "ckpt"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name, *spec in CASES:
            prefix = make_checkpoint(*spec).save(os.path.join(temporary, name))
            (folder / f"{name}.graph.txt").write_text(describe(prefix))
            print(name)


if __name__ == "__main__":
    main()
