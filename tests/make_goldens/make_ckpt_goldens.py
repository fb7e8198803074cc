#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as the real Model Garden's trainer writes them, for tests/unit/ckpt.

Needs tf-models-official 2.19, TensorFlow 2.19. Each case is a run of train_lib.run_experiment on
dummy data, two steps. Of every case NAME.graph.txt is kept: a line a node,
"number child=number... : key" (key only for variables), then "slot owner variable name node". Of
those in KEPT the checkpoint itself is kept too (NAME/checkpoint, NAME/ckpt-2.*).
usage: make_ckpt_goldens.py [FOLDER [CASE...]]      (default: tests/goldens/ckpt, all)
"""
import logging
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"
logging.disable(logging.WARNING)

import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.core import config_definitions as cfg  # noqa: E402
from official.core import train_lib  # noqa: E402
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.data import dual_encoder_dataloader, question_answering_dataloader  # noqa: E402
from official.nlp.data import sentence_prediction_dataloader, tagging_dataloader  # noqa: E402
from official.nlp.tasks import dual_encoder, question_answering  # noqa: E402
from official.nlp.tasks import sentence_prediction, tagging  # noqa: E402
from tensorflow.core.protobuf import trackable_object_graph_pb2  # noqa: E402

SMALL = dict(vocab_size=20, hidden_size=8, num_layers=2, num_attention_heads=2,
             intermediate_size=12, max_position_embeddings=16, type_vocab_size=2)

CASES = {  # name: encoder, its other keys, head, averages
    "bert_dense": ("bert", {}, "dense", False),
    "bert_dense_ema": ("bert", {}, "dense", True),
    "bert_e4_pooler": ("bert", {"embedding_size": 4}, "pooler", False),
    "bert_v2_e4_dense": ("bert_v2", {"embedding_size": 4}, "dense", False),
    "bert_v2_pooler": ("bert_v2", {}, "pooler", False),
    "bert_span": ("bert", {}, "span", False),
    "bert_span_ema": ("bert", {}, "span", True),
    "bert_v2_span": ("bert_v2", {}, "span", False),
    "bert_tagging": ("bert", {}, "tagging", False),
    "bert_v2_tagging_ema": ("bert_v2", {}, "tagging", True),
    "bert_dual": ("bert", {}, "dual", False),
    "bert_dual_ema": ("bert", {}, "dual", True),
    "bert_dual_raw": ("bert", {}, "dual_raw", False),
    "albert_dense": ("albert", {"embedding_width": 4}, "dense", False),
    "albert_pooler_ema": ("albert", {"embedding_width": 8}, "pooler", True),
    "albert_span": ("albert", {"embedding_width": 4}, "span", False),
    "albert_tagging": ("albert", {"embedding_width": 4}, "tagging", False),
    "albert_dual": ("albert", {"embedding_width": 4}, "dual", False),
}  # no dual encoder of bert_v2: Model Garden's cannot be built
KEPT = {"bert_span", "bert_v2_tagging_ema", "bert_dual", "albert_dense"}


def data(kind, **keys):
    return kind(input_path="dummy", seq_length=8, global_batch_size=2, **keys)


def task_config(head, encoder):
    """The task's configuration and its class."""
    if head in ("dense", "pooler"):
        kind = sentence_prediction_dataloader.SentencePredictionDataConfig
        return sentence_prediction.SentencePredictionConfig(
            model=sentence_prediction.ModelConfig(
                encoder=encoder, num_classes=3, use_encoder_pooler=head == "pooler"),
            train_data=data(kind), validation_data=data(kind, is_training=False),
        ), sentence_prediction.SentencePredictionTask
    if head == "span":
        kind = question_answering_dataloader.QADataConfig
        return question_answering.QuestionAnsweringConfig(
            model=question_answering.ModelConfig(encoder=encoder), train_data=data(kind),
            validation_data=kind(input_path="", is_training=False),
        ), question_answering.QuestionAnsweringTask
    if head == "tagging":
        kind = tagging_dataloader.TaggingDataConfig
        return tagging.TaggingConfig(
            model=tagging.ModelConfig(encoder=encoder), class_names=["O", "B-X", "I-X"],
            train_data=data(kind), validation_data=data(kind, is_training=False),
        ), tagging.TaggingTask
    kind = dual_encoder_dataloader.DualEncoderDataConfig
    return dual_encoder.DualEncoderConfig(
        model=dual_encoder.ModelConfig(encoder=encoder, max_sequence_length=8,
                                       normalize=head == "dual", eval_top_k=(1,)),
        train_data=data(kind), validation_data=data(kind, is_training=False),
    ), dual_encoder.DualEncoderTask


def optimizer_config(ema):
    params = {
        "optimizer": {"type": "adamw"},
        "learning_rate": {"type": "polynomial", "polynomial": {
            "decay_steps": 30, "initial_learning_rate": 1e-3}},
        "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 5}},
    }
    if ema:
        params["ema"] = {"average_decay": 0.9}
    return optimization.OptimizationConfig(params)


def encoder_config(kind, keys):
    return encoders.EncoderConfig({"type": kind, kind: dict(SMALL, **keys)})


def train(kind, keys, head, ema, model_dir, train_steps=2):
    """Returns the checkpoint of the last step; goes on from one that is there."""
    tf_keras.backend.clear_session()
    config, task_class = task_config(head, encoder_config(kind, keys))
    params = cfg.ExperimentConfig(
        task=config,
        trainer=cfg.TrainerConfig(
            optimizer_config=optimizer_config(ema), train_steps=train_steps, steps_per_loop=2,
            summary_interval=2, checkpoint_interval=2, validation_interval=-1))
    strategy = tf.distribute.OneDeviceStrategy("cpu:0")
    with strategy.scope():
        task = task_class(params.task, logging_dir=model_dir)
    train_lib.run_experiment(strategy, task, "train", params, model_dir)
    return tf.train.latest_checkpoint(model_dir)


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


def keep(prefix, folder):
    folder.mkdir(exist_ok=True)
    name = os.path.basename(prefix)
    for path in pathlib.Path(prefix).parent.glob(f"{name}.*"):
        shutil.copy(path, folder)
    (folder / "checkpoint").write_text(
        f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "ckpt"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or CASES:
        with tempfile.TemporaryDirectory() as model_dir:
            prefix = train(*CASES[name], model_dir)
            (folder / f"{name}.graph.txt").write_text(describe(prefix))
            if name in KEPT:
                keep(prefix, folder / name)
        print(name, flush=True)


if __name__ == "__main__":
    main()
