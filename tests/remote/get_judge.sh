#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs one of the judges of s3:// from PyPI into BUILD/judge_NAME and prints that folder. Does nothing
# when it is there; two tests that ask at once wait for each other. usage: get_judge.sh BUILD moto|swift
#   moto: moto's server (Amazon's services on this machine) and boto3; swift: OpenStack Swift
# Exit 4: no network, or no pip.
set -euo pipefail
folder=${1:?usage: get_judge.sh BUILD moto|swift}/judge_${2:?usage: get_judge.sh BUILD moto|swift}
case "$2" in
moto) packages=('moto[server]>=5.0.20' 'boto3>=1.35') ;;
swift) packages=('swift>=2.33') ;;
*) exit 1 ;;
esac
exec 9>"$folder.lock"
flock 9
if [ ! -d "$folder" ]; then
    rm -rf "$folder.new"
    # an entry of its own, beside nothing of the system's: also where pip may not touch that
    python3 -m pip install --quiet --no-input --disable-pip-version-check --target "$folder.new" \
        "${packages[@]}" >&2 || {
        rm -rf "$folder.new"
        echo "get_judge: error: $2 could not be installed (no network?)" >&2
        exit 4
    }
    mv "$folder.new" "$folder"
fi
echo "$folder"
