#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Python environments that the tests of this folder ask, below FOLDER, and prints that
# folder; those that are there stay. usage: get_ecosystem.sh FOLDER [hf|optimum|logs|ci|page]
#   hf    torch (for the CPU, where there is such a package), transformers, sentence-transformers, peft,
#         onnx, onnxruntime: 2 GB and more
#   optimum  torch, Optimum for ONNX Runtime, and the transformers that it can use
#   logs  tensorboard, mlflow, wandb
#   ci    junitparser, prometheus-client
#   page  html5lib, axe (its script, in a package for playwright); the browser is Debian's chromium
# Exit 4: no network, or no venv.
set -euo pipefail
folder=${1:?usage: get_ecosystem.sh FOLDER [hf|optimum|logs|ci|page]}
only=${2:-}
cpu=https://download.pytorch.org/whl/cpu

make_environment() {
    local name=$1 place=$folder/$1
    shift
    if [ -n "$only" ] && [ "$only" != "$name" ]; then return; fi
    if [ -x "$place/bin/python" ]; then return; fi
    rm -rf "$place.new"
    python3 -m venv "$place.new" >&2 || { echo "get_ecosystem: error: no venv (Debian: python3-venv)" >&2; exit 4; }
    local pip=("$place.new/bin/python" -m pip install --quiet --no-input --disable-pip-version-check)
    if [ "$name" = hf ] || [ "$name" = optimum ]; then # PyPI's own torch brings the libraries of GPUs with it
        "${pip[@]}" --index-url "$cpu" torch >&2 2>/dev/null || "${pip[@]}" torch >&2 || true
    fi
    "${pip[@]}" "$@" >&2 || {
        rm -rf "$place.new"
        echo "get_ecosystem: error: $* could not be installed (no network?)" >&2
        exit 4
    }
    # a venv knows its own place: moved, its python finds its packages all the same, its scripts do not
    mv "$place.new" "$place"
}

mkdir -p "$folder"
make_environment hf torch transformers sentence-transformers peft onnx onnxruntime
make_environment optimum "optimum-onnx[onnxruntime]" onnx
make_environment logs tensorboard mlflow wandb
make_environment ci junitparser prometheus-client
make_environment page html5lib axe-playwright-python
echo "$folder"
