#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real Model Garden loads params.yaml of every experiment of ours, whatever keys of ours a run
was given: as --config_file of its own train.py, and as what its serialize_config wrote. Written again
by it, the file is the same. With the keys of params_ours.yaml in it, it would be refused.

usage: load_params.py WRITER [PYTHON]     PYTHON, or $BT_TF_PYTHON: one that has Model Garden
Exit status 77: there is no Model Garden, and nothing was tested.
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from find_tensorflow import find_tensorflow  # noqa: E402

find_tensorflow(sys.argv[2] if len(sys.argv) > 2 else "")

from official.core import exp_factory, train_utils  # noqa: E402
from official.modeling import hyperparams, tf_utils  # noqa: E402
from official.nlp.configs import electra, experiment_configs  # noqa: E402,F401  registers them
from official.nlp.tasks import electra_task  # noqa: E402,F401

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "make_goldens"))
import make_conf_goldens as maker  # noqa: E402


def text_of(path):
    with open(path, encoding="utf-8") as source:
        return source.read()


def load(experiment, path):
    config = exp_factory.get_exp_config(experiment)
    return hyperparams.override_params_dict(config, path, is_strict=True)


def check(folder):
    experiment = text_of(os.path.join(folder, "experiment"))
    path = os.path.join(folder, "params.yaml")
    config = load(experiment, path)
    config.validate()
    with tempfile.TemporaryDirectory() as again:
        train_utils.serialize_config(config, again)
        want = "".join(line for line in text_of(path).splitlines(True) if not line.startswith("#"))
        assert text_of(os.path.join(again, "params.yaml")) == want, f"{experiment}: it writes another file"
    ours = os.path.join(folder, "params_ours.yaml")
    try:
        load(experiment, ours)
    except KeyError:
        return experiment
    raise AssertionError(f"{experiment}: Model Garden has all keys of {ours}")


def main():
    maker.register_dual_encoder()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        names = [check(os.path.join(folder, name)) for name in sorted(os.listdir(folder), key=int)]
    assert len(set(names)) >= 9, names
    try:
        tf_utils.get_activation("gelu_erf")
    except ValueError:
        pass
    else:
        raise AssertionError("Model Garden has gelu_erf: docs/deviations.md says that it refuses it")
    print(f"{len(names)} files of {len(set(names))} experiments load")


if __name__ == "__main__":
    main()
