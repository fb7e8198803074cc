#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs TensorBoard (from PyPI) into a virtual environment in BUILD/tensorboard and prints its
# Python. Does nothing when it is there; two tests that ask at once wait for each other.
# usage: get_tensorboard.sh BUILD
# BT_PYPI_DIR: a folder instead of BUILD, for several builds.
# Exit 4: no network, or no venv.
set -euo pipefail
folder=${BT_PYPI_DIR:-${1:?usage: get_tensorboard.sh BUILD}}/tensorboard
mkdir -p "${folder%/*}"
exec 9>"$folder.lock"
flock 9
if [ ! -x "$folder/done/bin/python" ]; then
    rm -rf "$folder"
    { python3 -m venv "$folder/done.new" >&2 &&
        "$folder/done.new/bin/python" -m pip install --quiet --no-input \
            --disable-pip-version-check 'tensorboard>=2.15' 'setuptools<81' >&2; } || {
        rm -rf "$folder"
        echo "get_tensorboard: error: tensorboard could not be installed (no network?)" >&2
        exit 4
    }
    mv "$folder/done.new" "$folder/done"
fi
echo "$folder/done/bin/python"
