#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs moto's server (Amazon's services on this machine, from PyPI) and boto3 into BUILD/moto and
# prints that folder. Does nothing when it is there. usage: get_moto.sh BUILD
# Exit 4: no network, or no pip.
set -euo pipefail
folder=${1:?usage: get_moto.sh BUILD}/moto
if [ ! -d "$folder/moto" ]; then
    rm -rf "$folder.new"
    # an entry of its own, beside nothing of the system's: also where pip may not touch that
    python3 -m pip install --quiet --no-input --disable-pip-version-check --target "$folder.new" \
        'moto[server]>=5.0.20' 'boto3>=1.35' >&2 || {
        rm -rf "$folder.new"
        echo "get_moto: error: moto and boto3 could not be installed (no network?)" >&2
        exit 4
    }
    rm -rf "$folder"
    mv "$folder.new" "$folder"
fi
echo "$folder"
