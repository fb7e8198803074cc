#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/model_garden/numerics/{tasks,mixed_precision,encoder}: logits, loss, every gradient and twenty
updates of each task, of two replicas, in mixed precision, and what encoders give, by Model Garden itself. Weights are made by philox.py and not stored. The same cases as outside the repository, of smaller models.

Needs tf-models-official 2.19.1 (with tensorflow 2.19) and safetensors. Run from the root of the repository:
    python tests/make_goldens/make_task_goldens.py [CASE...]      (default: all)
"""
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.core import config_definitions  # noqa: E402
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.data import question_answering_dataloader  # noqa: E402
from official.nlp.tasks import dual_encoder, question_answering, sentence_prediction, tagging  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

from make_engine_steps import gradients_of, name_of, switch_dropout_off  # noqa: E402
from philox import Generated  # noqa: E402

FOLDER = "tests/goldens/model_garden/numerics"
N_BATCHES = 4
ENCODER = dict(vocab_size=40, hidden_size=16, num_layers=2, num_attention_heads=2, intermediate_size=24,
               max_position_embeddings=24, type_vocab_size=2, dropout_rate=0.0, attention_dropout_rate=0.0,
               hidden_activation="gelu")
UNEVEN = dict(hidden_size=20, num_attention_heads=4, intermediate_size=28)
CLASSES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
CASES = {
    "sentence_prediction_3class": dict(kind="sentence_prediction", num_classes=3, saved=(1, 2, 5, 20)),
    "sentence_prediction_pooler_v2": dict(kind="sentence_prediction", num_classes=3, use_encoder_pooler=True,
                                          type="bert_v2"),
    "sentence_prediction_uneven_h48": dict(kind="sentence_prediction", num_classes=2, batch=8, seq=24, uneven=True,
                                           encoder=UNEVEN),
    "sentence_prediction_lamb": dict(kind="sentence_prediction", num_classes=3, optimizer="lamb", rate=5e-3,
                                     saved=(1, 20)),
    "sentence_prediction_ema": dict(kind="sentence_prediction", num_classes=3, saved=(1, 20),
                                    ema=dict(average_decay=0.99, start_step=3)),
    "regression": dict(kind="regression", num_classes=1, saved=(1, 20)),
    "squad": dict(kind="squad", batch=5, seq=20, saved=(1, 20)),
    "tagging": dict(kind="tagging", class_names=CLASSES, saved=(1, 20)),
    "dual_encoder": dict(kind="dual_encoder", batch=7, seq=12),
    "dual_encoder_bidirectional": dict(kind="dual_encoder", batch=5, seq=12, bidirectional=True, logit_scale=20.0,
                                       logit_margin=0.3),
    "sentence_prediction_norm_first": dict(kind="sentence_prediction", num_classes=3, encoder=dict(norm_first=True)),
    "sentence_prediction_factorized": dict(kind="sentence_prediction", num_classes=3,
                                           encoder=dict(embedding_size=8, type_vocab_size=3)),
    "sentence_prediction_mixed_bfloat16": dict(kind="sentence_prediction", num_classes=3, dtype="bfloat16", steps=5,
                                               saved=(5,), like="sentence_prediction_3class"),
    "sentence_prediction_mixed_float16": dict(kind="sentence_prediction", num_classes=3, dtype="float16",
                                              loss_scale="dynamic", steps=5, saved=(5,),
                                              like="sentence_prediction_3class"),
}
OPTIONS = ("num_classes", "use_encoder_pooler", "class_names", "bidirectional", "logit_scale", "logit_margin")
TINY = dict(ENCODER, vocab_size=200, hidden_size=32, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=64)
ENCODERS = {  # of base_1layer, as wide as BERT-base, every eighth token is kept
    "tiny": dict(batch=4, encoder=TINY),
    "tiny_v2": dict(batch=4, encoder=TINY, type="bert_v2"),
    "tiny_uneven_h48": dict(batch=8, seq=24, uneven=True, encoder=dict(
        TINY, vocab_size=120, hidden_size=48, num_layers=3, intermediate_size=96, max_position_embeddings=40)),
    "tiny_mask_hole": dict(batch=3, seq=10, mask_hole=True, encoder=TINY),
    "tiny_norm_first": dict(batch=3, seq=10, encoder=dict(TINY, norm_first=True)),
    "tiny_factorized": dict(batch=3, seq=10, encoder=dict(TINY, embedding_size=16, type_vocab_size=16)),
    "tiny_relu": dict(batch=3, seq=10, encoder=dict(TINY, hidden_activation="relu")),
    "base_1layer": dict(batch=2, seq=128, one_in=8, encoder=dict(
        TINY, hidden_size=768, num_layers=1, num_attention_heads=12, intermediate_size=1024,
        max_position_embeddings=128)),
}


def encoder_of(case):
    return dict(ENCODER, **case.get("encoder", {}))


def make_task(case):
    kind = case.get("type", "bert")
    encoder = encoders.EncoderConfig({"type": kind, kind: encoder_of(case)})
    if case["kind"] == "squad":
        data = question_answering_dataloader.QADataConfig
        return question_answering.QuestionAnsweringTask(question_answering.QuestionAnsweringConfig(
            model=question_answering.ModelConfig(encoder=encoder), train_data=data(), validation_data=data()))
    if case["kind"] == "tagging":
        return tagging.TaggingTask(tagging.TaggingConfig(
            model=tagging.ModelConfig(encoder=encoder, head_dropout=0.0), class_names=case["class_names"]))
    options = {key: case[key] for key in OPTIONS if key in case}
    if case["kind"] == "dual_encoder":
        return dual_encoder.DualEncoderTask(dual_encoder.DualEncoderConfig(
            model=dual_encoder.ModelConfig(encoder=encoder, max_sequence_length=case["seq"], **options)))
    return sentence_prediction.SentencePredictionTask(sentence_prediction.SentencePredictionConfig(
        model=sentence_prediction.ModelConfig(encoder=encoder, **options)))


def make_inputs(rng, case, encoder):
    """Words repeat, so that the gradient of the word table adds rows up; each row has another length."""
    B, S = case.get("batch", 6), case.get("seq", 16)
    lengths = rng.randint(max(2, S // 3), S + 1, size=B)
    if case.get("uneven"):
        lengths = np.array([S, 2, S // 2, 3, S - 1, 1, 5, S // 3])[:B]
    places = np.arange(S)[None, :]
    mask = (places < lengths[:, None]).astype(np.int32)
    ids = rng.randint(1, encoder["vocab_size"], size=(B, S))
    ids[:, 0] = 1
    ids[(places == lengths[:, None] // 2) | (places == lengths[:, None] - 1)] = 2
    types = (places > lengths[:, None] // 2).astype(np.int32) % encoder["type_vocab_size"]
    return dict(input_word_ids=(ids * mask).astype(np.int32), input_mask=mask, input_type_ids=types * mask)


def make_batch(rng, case):
    """(inputs, labels) as the task reads them; labels None: they are among the inputs."""
    encoder = encoder_of(case)
    x = make_inputs(rng, case, encoder)
    B, S = x["input_mask"].shape
    n_tokens = x["input_mask"].sum(1)
    if case["kind"] == "dual_encoder":
        other = make_inputs(rng, case, encoder)
        return {key.replace("input", side): value for side, inputs in (("left", x), ("right", other))
                for key, value in inputs.items()}, None
    if case["kind"] == "squad":
        starts = np.array([rng.randint(0, n) for n in n_tokens], np.int32)
        ends = np.array([rng.randint(first, n) for first, n in zip(starts, n_tokens)], np.int32)
        starts[0] = ends[0] = 0
        return x, dict(start_positions=starts, end_positions=ends)
    if case["kind"] == "tagging":
        tags = rng.randint(0, len(CLASSES), size=(B, S)).astype(np.int32)
        tags[(rng.rand(B, S) < 0.25) | (x["input_mask"] == 0)] = -1
        tags[:, 0] = -1
        return x, tags
    is_scores = case["kind"] == "regression"
    x["label_ids"] = (rng.rand(B) * 5).astype(np.float32) if is_scores else rng.randint(
        0, case["num_classes"], size=B).astype(np.int32)
    return x, None


def named(batch):
    x, y = batch
    return dict(x, **(y if isinstance(y, dict) else {} if y is None else {"label_ids": y}))


def optimizer_of(case):
    kind = case.get("optimizer", "adamw")
    config = {"optimizer": {"type": kind, kind: {
        "weight_decay_rate": 0.01, "exclude_from_weight_decay": ["LayerNorm", "layer_norm", "bias"]}},
        "learning_rate": {"type": "polynomial", "polynomial": {
            "initial_learning_rate": case.get("rate", 1e-3), "decay_steps": 30, "end_learning_rate": 0.0,
            "power": 1.0}},
        "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 5}}}
    if "ema" in case:
        config["ema"] = case["ema"]
    return config


def outputs_of(outputs):
    if isinstance(outputs, dict):
        return {key: value for key, value in outputs.items() if key.endswith("logits")}
    if isinstance(outputs, (list, tuple)):
        return {"start_logits": outputs[0], "end_logits": outputs[1]}
    return {"logits": outputs}


def open_case(name, case):
    """(task, model, rules of its weights, batches); cases that are like another have its numbers."""
    tf_keras.mixed_precision.set_global_policy(f"mixed_{case['dtype']}" if "dtype" in case else "float32")
    task = make_task(case)
    model = task.build_model()
    switch_dropout_off(model)
    seed = 101 + list(CASES).index(case.get("like", name))
    generated = Generated(seed)
    generated.fill(model.weights, name_of)
    rng = np.random.RandomState(seed)
    return task, model, generated, [make_batch(rng, case) for _ in range(N_BATCHES)]


class Recorder:
    """The tensors of a case as they come."""

    def __init__(self, batches):
        self.out = {f"batch{i}/{key}": value for i, batch in enumerate(batches)
                    for key, value in named(batch).items()}
        self.rows = {"losses": [], "global_norms": [], "lrs": []}
        self.without = []

    def first_step(self, outputs, variables, gradients):
        self.out.update({f"out/{key}": tf.cast(value, tf.float32).numpy()
                         for key, value in outputs_of(outputs).items()})
        for v, g in zip(variables, gradients):
            if g is None:
                self.without.append(name_of(v))
                continue
            self.out[f"grad/{name_of(v)}"] = tf.cast(tf.convert_to_tensor(g), tf.float32).numpy()
            if isinstance(g, tf.IndexedSlices):
                self.out[f"grad_slices_values/{name_of(v)}"] = tf.cast(g.values, tf.float32).numpy()

    def snapshot(self, step, variables, inner, averages):
        self.out[f"step{step}/iterations"] = np.array([step], np.int64)
        for v in variables:
            self.out[f"step{step}/var/{name_of(v)}"] = v.numpy()
            if averages is not None:
                self.out[f"step{step}/average/{name_of(v)}"] = averages.get_slot(v, "average").numpy()
            for slot in ("m", "v") if name_of(v) not in self.without else ():
                self.out[f"step{step}/{slot}/{name_of(v)}"] = inner.get_slot(v, slot).numpy()

    def finish(self):
        self.out.update({key: np.array(value, np.float32) for key, value in self.rows.items()})
        self.out["loss"], self.out["global_norm"] = self.out["losses"][:1], self.out["global_norms"][:1]


def unwrap(optimizer, model):
    """(the one with the slots, the one with the averages or None)"""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(inner, optimization.ExponentialMovingAverage):
        return inner, None
    inner.shadow_copy(model)
    return inner._optimizer, inner


def run(name, case):
    tf_keras.backend.clear_session()
    task, model, generated, batches = open_case(name, case)
    optimizer = task.create_optimizer(
        optimization.OptimizationConfig(optimizer_of(case)),
        config_definitions.RuntimeConfig(mixed_precision_dtype=case.get("dtype"), loss_scale=case.get("loss_scale")))
    inner, averages = unwrap(optimizer, model)
    recorder = Recorder(batches)
    for step in range(case.get("steps", 20)):
        x, y = (part if part is None else tf.nest.map_structure(tf.constant, part) for part in batches[step % N_BATCHES])
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(x, training=True)
            loss = task.build_losses(labels=x if y is None else y, model_outputs=outputs, aux_losses=model.losses)
        gradients = gradients_of(tape, loss, model, optimizer)
        for key, value in (("losses", loss), ("global_norms", tf.linalg.global_norm(gradients)),
                           ("lrs", inner._decayed_lr(tf.float32))):
            recorder.rows[key].append(float(value))
        if step == 0:
            recorder.first_step(outputs, model.trainable_variables, gradients)
        task.train_step(x if y is None else (x, y), model, optimizer)
        if step + 1 in case.get("saved", (20,)):
            recorder.snapshot(step + 1, model.trainable_variables, inner, averages)
    recorder.finish()
    save("mixed_precision" if "dtype" in case else "tasks", name, recorder.out, generated)
    config = dict(task=case["kind"], case=name, encoder_type=case.get("type", "bert"), encoder=encoder_of(case),
                  optimizer=optimizer_of(case), batch=case.get("batch", 6), seq=case.get("seq", 16),
                  batches=N_BATCHES, steps=case.get("steps", 20), no_gradient=recorder.without,
                  options={key: case[key] for key in OPTIONS if key in case}, dtype=case.get("dtype", "float32"),
                  loss_scale=case.get("loss_scale"))
    folder = "mixed_precision" if "dtype" in case else "tasks"
    with open(f"{FOLDER}/{folder}/{name}.json", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1, sort_keys=True)
        file.write("\n")


def save(folder, name, tensors, generated):
    os.makedirs(f"{FOLDER}/{folder}", exist_ok=True)
    save_file({key: np.array(value, order="C") for key, value in tensors.items()},
              f"{FOLDER}/{folder}/{name}.safetensors", metadata=generated.metadata())


def run_replicas():
    """The updates of sentence_prediction_3class with half of each batch on either of two replicas: each clips its own
    gradients before they are added up."""
    strategy = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"],
                                              cross_device_ops=tf.distribute.ReductionToOneDevice())
    name = "sentence_prediction_3class"
    with strategy.scope():
        task, model, generated, batches = open_case(name, CASES[name])
        optimizer = task.create_optimizer(optimization.OptimizationConfig(optimizer_of(CASES[name])))

    @tf.function
    def update(inputs):
        logs = strategy.run(lambda x: task.train_step(x, model, optimizer), args=(inputs,))
        return strategy.experimental_local_results(logs["loss"])

    out, losses = {}, []
    for step in range(5):
        x = batches[step % N_BATCHES][0]
        losses.append([float(loss) for loss in update(strategy.experimental_distribute_values_from_function(
            lambda context, x=x: {key: tf.constant(value[3 * context.replica_id_in_sync_group:][:3])
                                  for key, value in x.items()}))])
        if step in (0, 4):
            for v in model.trainable_variables:
                out[f"step{step + 1}/var/{name_of(v)}"] = v.values[0].numpy()
                if "pooler_transform" not in name_of(v):  # has no gradient
                    out[f"step{step + 1}/m/{name_of(v)}"] = optimizer.get_slot(v, "m").values[0].numpy()
    out["replica_losses"] = np.array(losses, np.float32)
    generated.rows = {}  # the case's own file has them
    save("tasks", "two_replicas", out, generated)


def run_encoder(name, case):
    tf_keras.backend.clear_session()
    tf_keras.mixed_precision.set_global_policy("float32")
    kind, seed = case.get("type", "bert"), 201 + list(ENCODERS).index(name)
    network = encoders.build_encoder(encoders.EncoderConfig({"type": kind, kind: case["encoder"]}))
    generated = Generated(seed)
    if kind == "bert_v2":
        network(network.inputs)
    generated.fill(network.weights, name_of)
    x = make_inputs(np.random.RandomState(seed), case, case["encoder"])
    if case.get("mask_hole"):
        x["input_mask"][0, 3:5] = 0
        x["input_mask"][-1, :] = 0  # a row that is masked everywhere
    outputs = network(x, training=False)
    kept = slice(None, None, case.get("one_in", 1))
    tensors = {f"in/{key}": value for key, value in x.items()}
    tensors["out/sequence_output"] = outputs["sequence_output"].numpy()[:, kept]
    tensors["out/pooled_output"] = outputs["pooled_output"].numpy()
    for i, layer in enumerate(outputs["encoder_outputs"] if "one_in" not in case else ()):
        tensors[f"out/layer_{i}"] = layer.numpy()
    if kind == "bert" and "one_in" not in case:
        first = tf_keras.Model(network.inputs, network.get_layer("transformer/layer_0").input[0])
        tensors["out/embedding_output"] = first([x[key] for key in ("input_word_ids", "input_mask", "input_type_ids")]).numpy()
    save("encoder", name, tensors, generated)


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    for name in sys.argv[1:] or [*CASES, "two_replicas", *ENCODERS]:
        if name in CASES:
            run(name, CASES[name])
        elif name in ENCODERS:
            run_encoder(name, ENCODERS[name])
        else:
            run_replicas()


if __name__ == "__main__":
    main()
