# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/optim/rates.json: learning rates of Model Garden's own OptimizerFactory.

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_optim_rates.py
"""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from official.modeling import optimization  # noqa: E402

STEPS = [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 19, 20, 21, 29, 30, 31, 39, 40, 41, 77]


def rate(kind, **options):
    return {"type": kind, kind: options}


POLY = rate("polynomial", initial_learning_rate=0.003, decay_steps=40, end_learning_rate=0.0002)
CASES = {
    "polynomial": (POLY, None),
    "polynomial_power": (rate("polynomial", initial_learning_rate=0.003, decay_steps=40,
                              power=1.7, offset=3), None),
    "polynomial_cycle": (rate("polynomial", initial_learning_rate=0.003, decay_steps=10,
                              cycle=True), None),
    "polynomial_warm": (POLY, rate("polynomial", warmup_steps=5)),
    "polynomial_warm_power": (POLY, rate("polynomial", warmup_steps=10, power=0.5)),
    "polynomial_linear": (POLY, rate("linear", warmup_steps=10, warmup_learning_rate=0.001)),
    "constant": (rate("constant", learning_rate=0.007), None),
    "constant_warm": (rate("constant", learning_rate=0.007), rate("polynomial", warmup_steps=4)),
    "exponential": (rate("exponential", initial_learning_rate=0.01, decay_rate=0.7,
                         decay_steps=9, offset=2), None),
    "exponential_stairs": (rate("exponential", initial_learning_rate=0.01, decay_rate=0.7,
                                decay_steps=9, staircase=True), None),
    "cosine": (rate("cosine", initial_learning_rate=0.01, decay_steps=37, alpha=0.1), None),
    "stepwise": (rate("stepwise", boundaries=[10, 20, 30], values=[0.1, 0.05, 0.02, 0.01],
                      offset=1), rate("linear", warmup_steps=4)),
    "power": (rate("power", initial_learning_rate=0.01), None),
    "power_linear": (rate("power_linear", initial_learning_rate=0.01, total_decay_steps=35,
                          linear_decay_fraction=0.3, offset=2), None),
    "power_with_offset": (rate("power_with_offset", initial_learning_rate=0.01, offset=5,
                               pre_offset_learning_rate=0.02), None),
    "step_cosine": (rate("step_cosine_with_offset", boundaries=[0, 15, 40],
                         values=[0.1, 0.05, 0.02]), None),
    "step_cosine_offset": (rate("step_cosine_with_offset", boundaries=[4, 15, 40],
                                values=[0.1, 0.05, 0.02], offset=3), None),
}


def main():
    out = {}
    for name, (learning_rate, warmup) in CASES.items():
        config = {"learning_rate": learning_rate}
        if warmup is not None:
            config["warmup"] = warmup
        factory = optimization.OptimizerFactory(
            optimization.OptimizationConfig({"optimizer": {"type": "sgd"}, **config}))
        schedule = factory.build_learning_rate()
        rates = [schedule if isinstance(schedule, float)
                 else float(schedule(tf.constant(float(s)))) for s in STEPS]
        rates = [float(str(np.float32(r))) for r in rates]
        out[name] = {"config": config, "steps": STEPS,
                     "lr": [r if r == r else "nan" for r in rates]}
    with open("tests/goldens/optim/rates.json", "w", encoding="utf-8") as f:
        json.dump(out, f, indent=0, separators=(",", ":"))
        f.write("\n")


main()
