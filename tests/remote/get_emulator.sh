#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs gcp-storage-emulator (a local Google Cloud Storage, from PyPI) into BUILD/emulator and
# prints that folder. Does nothing when it is there. usage: get_emulator.sh BUILD
# Exit 4: no network, or no pip.
set -euo pipefail
folder=${1:?usage: get_emulator.sh BUILD}/emulator
if [ ! -d "$folder/gcp_storage_emulator" ]; then
    rm -rf "$folder.new"
    # an entry of its own, beside nothing of the system's: also where pip may not touch that
    python3 -m pip install --quiet --no-input --disable-pip-version-check --target "$folder.new" \
        gcp-storage-emulator >&2 || {
        rm -rf "$folder.new"
        echo "get_emulator: error: gcp-storage-emulator could not be installed (no network?)" >&2
        exit 4
    }
    rm -rf "$folder"
    mv "$folder.new" "$folder"
fi
echo "$folder"
