# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/optim/steps.json: a few updates of tiny variables by Model Garden's own
OptimizerFactory, the word table getting IndexedSlices with repeated rows as in training.

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_optim_steps.py
"""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from official.modeling import optimization  # noqa: E402

N_STEPS = 4
SAVED = (1, 4)
SHAPES = {
    "word_embeddings/embeddings": [6, 4],
    "transformer/layer_0/output/kernel": [4, 3],
    "transformer/layer_0/output/bias": [3],
    "embeddings/layer_norm/gamma": [4],
}
RATE = {"type": "polynomial",
        "polynomial": {"initial_learning_rate": 0.02, "decay_steps": 40, "end_learning_rate": 0.0}}
WARMUP = {"type": "polynomial", "polynomial": {"warmup_steps": 3, "power": 1}}
CONSTANT = {"type": "constant", "constant": {"learning_rate": 0.05}}
NORMS = ["LayerNorm", "layer_norm", "bias"]


def case(kind, ema=None, rate=RATE, warmup=WARMUP, **options):
    config = {"optimizer": {"type": kind, kind: options}, "learning_rate": rate,
              "warmup": warmup if warmup else {"type": None}}
    if ema is not None:
        config["ema"] = ema
    return config


ADAMW = dict(weight_decay_rate=0.01, exclude_from_weight_decay=NORMS)
CASES = {
    "adamw": case("adamw", **ADAMW),
    "adamw_amsgrad": case("adamw", amsgrad=True, **ADAMW),
    "adamw_unclipped": case("adamw", gradient_clip_norm=0.0, **ADAMW),
    "adamw_include": case("adamw", weight_decay_rate=0.1, exclude_from_weight_decay=[r"layer_\d"],
                          include_in_weight_decay=["bias:0$"]),
    "adamw_clipvalue": case("adamw", gradient_clip_norm=0.5, clipvalue=0.05, **ADAMW),
    "adamw_clipvalue_clipnorm": case("adamw", clipvalue=0.2, clipnorm=0.3, **ADAMW),
    "adamw_clipvalue_global": case("adamw", clipvalue=0.2, global_clipnorm=0.4, **ADAMW),
    "adamw_ema": case("adamw", ema={"average_decay": 0.9, "start_step": 2}, **ADAMW),
    "adamw_ema_static": case("adamw", ema={"average_decay": 0.9, "dynamic_decay": False}, **ADAMW),
    "adam": case("adam", epsilon=1e-5, beta_1=0.8),
    "adam_epsilon_zero": case("adam", epsilon=0.0),
    "adam_global_clipnorm": case("adam", global_clipnorm=0.3),
    "adam_clipnorm": case("adam", clipnorm=0.3),
    "adam_constant": case("adam", rate=CONSTANT, warmup=None),
    "adam_experimental": case("adam_experimental"),
    "adam_experimental_clip": case("adam_experimental", clipnorm=0.3, clipvalue=0.01),
    "adamw_experimental": case("adamw_experimental", weight_decay=0.05),
    "lamb": case("lamb", weight_decay_rate=0.01, exclude_from_weight_decay=NORMS),
    "lamb_adaptation": case("lamb", weight_decay_rate=0.01, exclude_from_weight_decay=["bias"],
                            exclude_from_layer_adaptation=["kernel$"]),
    "sgd": case("sgd"),
    "sgd_clipvalue": case("sgd", clipvalue=0.1),
    "sgd_momentum": case("sgd", momentum=0.9),
    "sgd_nesterov_decay": case("sgd", momentum=0.9, nesterov=True, decay=0.1),
    "sgd_ema": case("sgd", ema={}, momentum=0.5, clipnorm=0.5),
    "sgd_experimental": case("sgd_experimental", global_clipnorm=0.5),
    "sgd_experimental_nesterov": case("sgd_experimental", momentum=0.9, nesterov=True),
    "rmsprop": case("rmsprop"),
    "rmsprop_momentum": case("rmsprop", momentum=0.9, rho=0.8),
    "rmsprop_centered": case("rmsprop", centered=True),
    "rmsprop_centered_momentum": case("rmsprop", centered=True, momentum=0.9),
    "adagrad": case("adagrad", initial_accumulator_value=0.2),
    "lars": case("lars", weight_decay_rate=0.01, exclude_from_weight_decay=NORMS),
    "lars_nesterov": case("lars", weight_decay_rate=0.01, nesterov=True, eeta=0.1),
    "lars_popular": case("lars", weight_decay_rate=0.01, classic_momentum=False, eeta=0.1),
    "lars_popular_nesterov": case("lars", classic_momentum=False, nesterov=True, eeta=0.1),
}


def flat(array):
    # the shortest decimals that read back as the same float32
    return [float(str(x)) for x in np.asarray(array, np.float32).reshape(-1)]


def make_inputs():
    rng = np.random.default_rng(7)
    variables = {n: rng.normal(0, 0.5, s).astype(np.float32) for n, s in SHAPES.items()}
    steps = []
    for step in range(N_STEPS):
        # repeated ids; not every row in every batch; the last step is small, so it is not clipped
        scale = 0.02 if step == N_STEPS - 1 else 0.4
        ids = rng.choice([1, 2, 4] if step < 2 else [0, 2], 5)
        grads = {n: (scale * rng.normal(0, 1, s)).astype(np.float32)
                 for n, s in SHAPES.items() if not n.startswith("word")}
        rows = (scale * rng.normal(0, 1, (5, 4))).astype(np.float32)
        steps.append({"ids": ids.astype(np.int64), "rows": rows, "grads": grads})
    return variables, steps


def slots_of(optimizer, variable, name):
    inner = getattr(optimizer, "_optimizer", optimizer)
    if hasattr(inner, "get_slot_names"):
        out = {s: flat(inner.get_slot(variable, s)) for s in inner.get_slot_names()}
    else:
        names = {"m": "_momentums", "v": "_velocities"}
        if not hasattr(inner, "_momentums"):
            names = {"m": "momentums"}
        index = inner._index_dict[inner._var_key(variable)]
        out = {s: flat(getattr(inner, attr)[index]) for s, attr in names.items()}
    if inner is not optimizer:
        out["average"] = flat(optimizer.get_slot(variable, "average"))
    return out


def run(config, variables, steps):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        factory = optimization.OptimizerFactory(optimization.OptimizationConfig(config))
        rate = factory.build_learning_rate()
        optimizer = factory.build_optimizer(rate)
        model = [tf.Variable(v, name=n) for n, v in variables.items()]
        if "ema" in config:
            class Model:
                trainable_variables = model
            optimizer.shadow_copy(Model)
    dense = config["optimizer"]["type"] == "lars"  # it has no sparse update
    saved = {}
    for number, step in enumerate(steps, 1):
        def update():
            grads = []
            for variable, name in zip(model, variables):
                if not name.startswith("word"):
                    grads.append((tf.constant(step["grads"][name]), variable))
                elif dense:
                    whole = np.zeros(SHAPES[name], np.float32)
                    np.add.at(whole, step["ids"], step["rows"])
                    grads.append((tf.constant(whole), variable))
                else:
                    shape = tf.constant(SHAPES[name], tf.int64)
                    grads.append((tf.IndexedSlices(tf.constant(step["rows"]),
                                                   tf.constant(step["ids"]), shape), variable))
            optimizer.apply_gradients(grads)
        strategy.run(tf.function(update))
        if number in SAVED:
            saved[str(number)] = {
                n: {"var": flat(v), **slots_of(optimizer, v, n)} for n, v in zip(variables, model)}
    return saved


def main():
    variables, steps = make_inputs()
    out = {
        "maker": "tests/make_goldens/make_optim_steps.py; tensorflow " + tf.__version__,
        "shapes": SHAPES,
        "variables": {n: flat(v) for n, v in variables.items()},
        "steps": [{"ids": [int(i) for i in s["ids"]], "rows": flat(s["rows"]),
                   "grads": {n: flat(g) for n, g in s["grads"].items()}} for s in steps],
        "cases": {},
    }
    for name, config in CASES.items():
        out["cases"][name] = {"config": config, "saved": run(config, variables, steps)}
    with open("tests/goldens/optim/steps.json", "w", encoding="utf-8") as f:
        json.dump(out, f, indent=0, separators=(",", ":"))
        f.write("\n")


main()
