# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/engine/*.{json,safetensors}: logits, loss, every gradient and four updates of
tiny models by Model Garden's own tasks, so that the engine's golden tests run without ../shared. Of
ALBERT, which that folder does not have, also what every layer gives, and twenty updates. In mixed
precision also the loss scale after each update.

Needs tf-models-official 2.19.1 (with tensorflow 2.19) and safetensors. Run from the root of the
repository:
    python tests/make_goldens/make_engine_steps.py [CASE...]      (default: all)
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
from official.nlp.tasks import dual_encoder, sentence_prediction, tagging  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

B, S, N_BATCHES, N_STEPS, SAVED = 3, 8, 2, 4, (4,)
ENCODER = dict(vocab_size=30, hidden_size=8, num_layers=2, num_attention_heads=2,
               intermediate_size=12, max_position_embeddings=10, type_vocab_size=2,
               dropout_rate=0.0, attention_dropout_rate=0.0, hidden_activation="gelu")
OPTIMIZER = {
    "optimizer": {"type": "adamw", "adamw": {
        "weight_decay_rate": 0.01,
        "exclude_from_weight_decay": ["LayerNorm", "layer_norm", "bias"]}},
    "learning_rate": {"type": "polynomial", "polynomial": {
        "initial_learning_rate": 0.002, "decay_steps": 10, "end_learning_rate": 0.0,
        "power": 1.0}},
    "warmup": {"type": "polynomial", "polynomial": {"warmup_steps": 2}},
}
CASES = {
    "classes": dict(kind="sentence_prediction", encoder={}),
    "norm_first_factorised": dict(kind="sentence_prediction",
                                  encoder=dict(norm_first=True, embedding_size=4)),
    "tagging": dict(kind="tagging", encoder={}),
    "pairs": dict(kind="dual_encoder", encoder={}, model=dict(
        normalize=True, bidirectional=True, logit_scale=3.0, logit_margin=0.2)),
    "pairs_as_they_are": dict(kind="dual_encoder", encoder={}, model=dict(normalize=False)),
    "classes_weighted": dict(kind="sentence_prediction", encoder={}, weights=[0.5, 2.0, 0.0],
                             smoothing=0.1),
    "tagging_weighted": dict(kind="tagging", encoder={}, weights=[0.25, 1.0, 3.5],
                             smoothing=0.2),
    "albert": dict(kind="sentence_prediction", type="albert", layers=True, steps=20,
                   saved=(1, 5, 20), decay_steps=30,
                   encoder=dict(embedding_width=4, num_layers=3)),
    "albert_tagging": dict(kind="tagging", type="albert", layers=True,
                           encoder=dict(embedding_width=8, num_layers=2)),
    "classes_bfloat16": dict(kind="sentence_prediction", encoder={}, dtype="bfloat16"),
    "classes_float16": dict(kind="sentence_prediction", encoder={}, dtype="float16"),
    # A head whose gradient overflows until the scale is small enough: skipped updates. The pooled
    # output is small, so that tanh hands on what overflows.
    "classes_float16_overflow": dict(kind="sentence_prediction", encoder={}, dtype="float16",
                                     head_factor=40.0, pooler_factor=0.02, steps=8, saved=(8,)),
    "classes_float16_fixed": dict(kind="sentence_prediction", encoder={}, dtype="float16",
                                  loss_scale=1000.0),
    # task.model.freeze, as trainable = False of the layers that it names.
    "classes_frozen": dict(kind="sentence_prediction", seed=40, encoder=dict(num_layers=3),
                           freeze="embeddings,layers.0-1"),
    "classes_frozen_between": dict(kind="sentence_prediction", encoder=dict(num_layers=3),
                                   freeze="layers.1, head"),
    "norm_first_frozen": dict(kind="sentence_prediction", freeze="embeddings",
                              encoder=dict(norm_first=True, embedding_size=4)),
    "norm_first_frozen_below": dict(kind="tagging", freeze="embeddings,layers.0-1",
                                    encoder=dict(norm_first=True, num_layers=4)),
    "tagging_frozen": dict(kind="tagging", encoder={}, freeze="encoder"),
    "pairs_frozen": dict(kind="dual_encoder", encoder={}, freeze="embeddings,layers", model=dict(
        normalize=True, bidirectional=True, logit_scale=3.0, logit_margin=0.2)),
    "albert_frozen": dict(kind="sentence_prediction", type="albert", freeze="embeddings",
                          encoder=dict(embedding_width=4, num_layers=3)),
    "albert_tagging_frozen": dict(kind="tagging", type="albert", freeze="layers",
                                  encoder=dict(embedding_width=8, num_layers=2)),
    # trainer.optimizer_config.layer_decay and head_multiplier: an optimizer a rate, as PyTorch has
    # groups of parameters, with one norm for all of them.
    "classes_layered": dict(kind="sentence_prediction", encoder=dict(num_layers=3), seed=50,
                            layer_decay=0.8, head_multiplier=5.0),
    "classes_layered_lamb": dict(kind="sentence_prediction", encoder=dict(num_layers=3),
                                 layer_decay=0.7, rule="lamb"),
}
CLASSES = ["O", "B-X", "I-X"]


def name_of(variable):
    return variable.name.removesuffix(":0")


def make_task(case, encoder):
    kind = case.get("type", "bert")
    config = encoders.EncoderConfig({"type": kind, kind: encoder})
    if case["kind"] == "tagging":
        return tagging.TaggingTask(tagging.TaggingConfig(
            model=tagging.ModelConfig(encoder=config, head_dropout=0.0), class_names=CLASSES))
    if case["kind"] == "dual_encoder":
        return dual_encoder.DualEncoderTask(dual_encoder.DualEncoderConfig(
            model=dual_encoder.ModelConfig(encoder=config, max_sequence_length=S,
                                           **case["model"])))
    return sentence_prediction.SentencePredictionTask(sentence_prediction.SentencePredictionConfig(
        model=sentence_prediction.ModelConfig(encoder=config, num_classes=len(CLASSES))))


def make_batch(case, rng):
    if case["kind"] == "dual_encoder":
        x = {}
        for side in ("left", "right"):
            for key, value in make_inputs(rng).items():
                x[key.replace("input", side)] = value
        return x, None
    x = make_inputs(rng)
    if case["kind"] == "tagging":
        y = rng.randint(-1, len(CLASSES), size=(B, S)).astype(np.int32)
        y[x["input_mask"] == 0] = -1
        y[0, 0] = 1
        return x, y
    return x, rng.randint(0, len(CLASSES), size=B).astype(np.int32)


def make_inputs(rng):
    lengths = rng.randint(2, S + 1, size=B)
    mask = (np.arange(S)[None, :] < lengths[:, None]).astype(np.int32)
    ids = rng.randint(1, 12, size=(B, S)).astype(np.int32) * mask  # few ids: rows repeat
    types = (np.arange(S)[None, :] > lengths[:, None] // 2).astype(np.int32) * mask
    return dict(input_word_ids=ids, input_mask=mask, input_type_ids=types)


def randomise(model, rng):
    for v in model.weights:
        size = 0.1 if "beta" in v.name or "bias" in v.name else 0.4
        value = rng.randn(*v.shape.as_list()) * size + (1.0 if "gamma" in v.name else 0.0)
        v.assign(value.astype(np.float32))


def steepen_head(model, head_factor, pooler_factor):
    for key, factor in (("logits/kernel", head_factor), ("pooler_dense/", pooler_factor)):
        for v in model.weights:
            if key in v.name:
                v.assign(v * factor)


def create_optimizer(case, task):
    runtime = config_definitions.RuntimeConfig(mixed_precision_dtype=case.get("dtype"),
                                               loss_scale=case.get("loss_scale"))
    return task.create_optimizer(optimization.OptimizationConfig(optimizer_of(case)), runtime)


def gradients_of(tape, loss, model, optimizer):
    """As Model Garden's train_step: of the scaled loss, and unscaled."""
    if not hasattr(optimizer, "get_scaled_loss"):
        return tape.gradient(loss, model.trainable_variables)
    with tape:
        loss = optimizer.get_scaled_loss(loss)
    return optimizer.get_unscaled_gradients(tape.gradient(loss, model.trainable_variables))


def freeze(model, words):
    """The parts that src/model/model_freeze.c knows, as Keras layers."""
    encoder = model.checkpoint_items["encoder"]
    n_layers = sum(layer.name.startswith("transformer/layer_") for layer in encoder.layers)
    names = []
    for word in words.replace(" ", "").split(","):
        if word.startswith("layers."):
            first, _, last = word[len("layers."):].partition("-")
            names += [f"transformer/layer_{i}" for i in range(int(first), int(last or first) + 1)]
        elif word == "layers":
            names += ["transformer"] + [f"transformer/layer_{i}" for i in range(n_layers)]
        elif word == "encoder":
            encoder.trainable = False
        elif word == "embeddings":
            names += ["word_embeddings", "position_embedding", "type_embeddings",
                      "embeddings/layer_norm", "embedding_projection"]
        else:
            assert word == "head"
            model.classifier.trainable = False
    for layer in encoder.layers:
        if layer.name in names:
            layer.trainable = False


def switch_dropout_off(model):
    for layer in model._flatten_layers():
        if isinstance(layer, tf_keras.layers.Dropout):
            layer.rate = 0.0


class Groups:
    """Several optimizers of Model Garden's, each for the variables of one rate. What clips all
    gradients together, clips them here, before they are shared out."""

    def __init__(self, case, task, model):
        encoder = model.checkpoint_items["encoder"]
        n_layers = sum(layer.name.startswith("transformer/layer_") for layer in encoder.layers)
        self.group_of, self.optimizers = {}, {}
        runtime = config_definitions.RuntimeConfig()
        for v in model.trainable_variables:
            name = name_of(v)
            depth = 0 if "embedding" in name else n_layers + 1
            if name.startswith("transformer/layer_"):
                depth = int(name.split("/")[1][len("layer_"):]) + 1
            factor = case["layer_decay"] ** (n_layers + 1 - depth)
            if name.startswith("sentence_prediction/"):
                factor *= case.get("head_multiplier", 1.0)
            config = optimizer_of(case)
            rate = config["learning_rate"]["polynomial"]
            rate["initial_learning_rate"] *= factor
            kind = config["optimizer"]["type"]
            config["optimizer"][kind] = dict(config["optimizer"][kind])
            if kind == "adamw":
                config["optimizer"][kind]["gradient_clip_norm"] = 0.0
            self.group_of[name] = factor
            if factor not in self.optimizers:
                self.optimizers[factor] = task.create_optimizer(
                    optimization.OptimizationConfig(config), runtime)
        self.plain = create_optimizer(dict(case, layer_decay=1.0), task)
        self.clips = kind == "adamw"

    def apply_gradients(self, grads_and_vars, **_how):
        pairs = [(g, v) for g, v in grads_and_vars if g is not None]
        grads = [g for g, _v in pairs]
        if self.clips:
            grads, _norm = tf.clip_by_global_norm(grads, 1.0)
        for factor, optimizer in self.optimizers.items():
            own = [(g, v) for g, (_g, v) in zip(grads, pairs)
                   if self.group_of[name_of(v)] == factor]
            if own:
                optimizer.apply_gradients(own)
        self.plain.iterations.assign_add(1)

    def get_slot(self, v, slot):
        return self.optimizers[self.group_of[name_of(v)]].get_slot(v, slot)

    def _decayed_lr(self, dtype):
        return self.plain._decayed_lr(dtype)


def optimizer_of(case):
    rate = OPTIMIZER["learning_rate"]["polynomial"]
    rate = dict(rate, decay_steps=case.get("decay_steps", rate["decay_steps"]))
    config = dict(OPTIMIZER, learning_rate={"type": "polynomial", "polynomial": rate})
    if "rule" in case:
        options = config["optimizer"]["adamw"]
        config["optimizer"] = {"type": case["rule"], case["rule"]: options}
    else:
        config["optimizer"] = dict(config["optimizer"])
    return config


def layer_outputs(network, x):
    """What the encoder gives for a batch; embedding_output is what layer 0 reads."""
    got = network(x, training=False)
    first = next(layer for layer in network.layers if layer.name.startswith("transformer"))
    embedding = tf_keras.Model(network.inputs, first.get_input_at(0)[0])
    out = {f"encoder/layer_{i}": value for i, value in enumerate(got["encoder_outputs"])}
    out["encoder/pooled_output"] = got["pooled_output"]
    out["encoder/embedding_output"] = embedding([x[i.name] for i in network.inputs])
    return {key: value.numpy() for key, value in out.items()}


def weigh_classes(case, task):
    """task.class_weights and task.label_smoothing, which Model Garden does not have: Keras' own
    smoothed cross entropy of each row, times the weight of its label, over the sum of those."""
    cross_entropy = tf_keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=case["smoothing"], reduction="none")

    def build_losses(labels, model_outputs, aux_losses=None):
        del aux_losses
        logits = model_outputs["logits"] if isinstance(model_outputs, dict) else model_outputs
        y = labels["label_ids"] if isinstance(labels, dict) else labels
        logits = tf.reshape(logits, [-1, len(CLASSES)])
        y = tf.reshape(y, [-1])
        per_class = tf.constant(case["weights"], tf.float32)
        weights = tf.where(y < 0, 0.0, tf.gather(per_class, tf.maximum(y, 0)))
        losses = cross_entropy(tf.one_hot(y, len(CLASSES)), logits)
        return tf.reduce_sum(weights * losses) / tf.reduce_sum(weights)
    task.build_losses = build_losses


def run(name, case, seed):
    tf_keras.backend.clear_session()
    tf_keras.mixed_precision.set_global_policy(
        f"mixed_{case['dtype']}" if "dtype" in case else "float32")
    encoder = dict(ENCODER, **case["encoder"])
    task = make_task(case, encoder)
    if "weights" in case:
        weigh_classes(case, task)
    model = task.build_model()
    switch_dropout_off(model)
    if "freeze" in case:
        freeze(model, case["freeze"])
    rng = np.random.RandomState(seed)
    randomise(model, rng)
    if "head_factor" in case:
        steepen_head(model, case["head_factor"], case["pooler_factor"])
    optimizer = (Groups(case, task, model) if "layer_decay" in case
                 else create_optimizer(case, task))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    batches = [make_batch(case, rng) for _ in range(N_BATCHES)]
    out = {}
    for i, (x, y) in enumerate(batches):
        out.update({f"batch{i}/{key}": value for key, value in x.items()})
        if y is not None:
            out[f"batch{i}/label_ids"] = y
    out.update({f"w/{name_of(v)}": v.numpy() for v in model.weights})
    if case.get("layers"):
        out.update(layer_outputs(model.checkpoint_items["encoder"], batches[0][0]))
    losses, norms, rates, scales, without = [], [], [], [], []
    n_steps, saved = case.get("steps", N_STEPS), case.get("saved", SAVED)
    for step in range(n_steps):
        x, y = batches[step % N_BATCHES]
        features = {k: tf.constant(v) for k, v in x.items()}
        if y is not None:
            features["label_ids"] = tf.constant(y)
        labels = features["label_ids"] if case["kind"] == "tagging" else features
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(features, training=True)
            loss = task.build_losses(labels=labels, model_outputs=outputs)
        gradients = gradients_of(tape, loss, model, optimizer)
        losses.append(float(loss))
        norms.append(float(tf.linalg.global_norm(gradients)))
        rates.append(np.float32(inner._decayed_lr(tf.float32)))
        if step == 0:
            named = outputs if isinstance(outputs, dict) else {"logits": outputs}
            out.update({f"out/{key}": value.numpy().astype(np.float32) for key, value in named.items()
                        if key.endswith("logits")})
            for v, g in zip(model.trainable_variables, gradients):
                if g is None:
                    without.append(name_of(v))
                else:
                    out[f"grad/{name_of(v)}"] = tf.convert_to_tensor(g).numpy()
        task.train_step(features if labels is features else (features, labels), model, optimizer)
        scales.append(float(getattr(optimizer, "loss_scale", 1.0)))
        if step + 1 in saved:
            out[f"step{step + 1}/iterations"] = np.array([step + 1], np.int64)
            for v in model.weights:
                out[f"step{step + 1}/var/{name_of(v)}"] = v.numpy()
            for v in model.trainable_variables:
                for slot in ("m", "v") if "saved" in case or "dtype" in case else ("v",):
                    if name_of(v) not in without:
                        out[f"step{step + 1}/{slot}/{name_of(v)}"] = inner.get_slot(
                            v, slot).numpy()
    out["loss"] = np.array([losses[0]], np.float32)
    out["global_norm"] = np.array([norms[0]], np.float32)
    out["losses"] = np.array(losses, np.float32)
    out["global_norms"] = np.array(norms, np.float32)
    if "dtype" in case:
        out["loss_scales"] = np.array(scales, np.float32)
    out["lrs"] = np.array(rates, np.float32)
    folder = "tests/goldens/engine"
    os.makedirs(folder, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, f"{folder}/{name}.safetensors")
    config = dict(encoder=encoder, encoder_type=case.get("type", "bert"), optimizer=optimizer_of(case), batch=B, seq=S,
                  batches=N_BATCHES, steps=n_steps, no_gradient=without, seed=seed)
    for key in ("layer_decay", "head_multiplier"):
        if key in case:
            config["optimizer"][key] = case[key]
    if "weights" in case:
        config.update(class_weights=case["weights"], label_smoothing=case["smoothing"])
    if "freeze" in case:
        config.update(freeze=case["freeze"])
    if "dtype" in case:
        config.update(dtype=case["dtype"], loss_scale=case.get("loss_scale"))
    elif "saved" in case:  # tests/e2e/test_trajectory.c runs it through the program as well
        config.update(task=case["kind"], options=dict(num_classes=len(CLASSES)))
    with open(f"{folder}/{name}.json", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1, sort_keys=True)
        file.write("\n")


def main():
    for seed, (name, case) in enumerate(CASES.items()):
        if name in (sys.argv[1:] or CASES):
            run(name, case, case.get("seed", seed + 1))


if __name__ == "__main__":
    main()
