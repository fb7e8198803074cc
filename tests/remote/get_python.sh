#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs packages of PyPI that tests are judged by into BUILD/python/NAME and prints that folder,
# for PYTHONPATH. Does nothing when it is there. usage: get_python.sh BUILD NAME PACKAGE...
# Exit 4: no network, or no pip.
set -euo pipefail
folder=${1:?usage: get_python.sh BUILD NAME PACKAGE...}/python/${2:?usage: get_python.sh BUILD NAME PACKAGE...}
shift 2
if [ ! -d "$folder" ]; then
    mkdir -p "${folder%/*}"
    new=$(mktemp -d "$folder.XXXXXX")
    # an entry of its own, beside nothing of the system's: also where pip may not touch that
    python3 -m pip install --quiet --no-input --disable-pip-version-check --root-user-action=ignore \
        --target "$new" "$@" >&2 || {
        rm -rf "$new"
        echo "get_python: error: $* could not be installed (no network?)" >&2
        exit 4
    }
    chmod 755 "$new"
    mv -T "$new" "$folder" 2>/dev/null || rm -rf "$new" # another one was faster
fi
echo "$folder"
