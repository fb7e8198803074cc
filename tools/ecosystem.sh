#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Holds what bert-train writes for other programs against those programs: makes their Python
# environments below FOLDER (gigabytes) and runs the tests labelled `ecosystem` of a build. What they
# said last is in docs/ecosystem.md. usage: ecosystem.sh FOLDER [BUILD]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mkdir -p "${1:?usage: ecosystem.sh FOLDER [BUILD]}" && cd "$1" && pwd)
build=${2:-$here/build/release}
"$here/tests/ecosystem/get_ecosystem.sh" "$folder" >/dev/null
for python in "$folder"/*/bin/python; do
    echo "$(basename "$(dirname "$(dirname "$python")")"): $("$python" --version); $("$python" - <<'P'
import importlib.metadata as m
names = ("torch transformers tokenizers sentence-transformers peft onnx onnxruntime optimum optimum-onnx tensorboard mlflow mlflow-skinny "
         "wandb junitparser prometheus-client").split()
def version(name):
    try:
        return name + ' ' + m.version(name)
    except m.PackageNotFoundError:
        return None
print(', '.join(v for v in map(version, names) if v))
P
)"
done
BT_ECOSYSTEM=$folder ctest --test-dir "$build" -L '^ecosystem$' --output-on-failure
