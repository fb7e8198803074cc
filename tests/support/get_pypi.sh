#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs packages from PyPI into BUILD/NAME, a folder for PYTHONPATH, and prints that folder. Does
# nothing when it is there; two tests that ask at once wait for each other. usage: get_pypi.sh BUILD NAME PACKAGE...
# BT_PYPI_DIR: a folder instead of BUILD, for several builds.
# Exit 4: no network, or no pip.
set -euo pipefail
folder=${BT_PYPI_DIR:-${1:?usage: get_pypi.sh BUILD NAME PACKAGE...}}/${2:?}
shift 2
mkdir -p "${folder%/*}"
exec 9>"$folder.lock"
flock 9
if [ ! -d "$folder" ]; then
    rm -rf "$folder.new"
    # an entry of its own, beside nothing of the system's: also where pip may not touch that
    python3 -m pip install --quiet --no-input --disable-pip-version-check --target "$folder.new" "$@" >&2 || {
        rm -rf "$folder.new"
        echo "get_pypi: error: $* could not be installed (no network?)" >&2
        exit 4
    }
    mv "$folder.new" "$folder"
fi
echo "$folder"
