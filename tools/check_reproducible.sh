#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the committed source twice, in two folders with other names and at other times, and compares the programs,
# the .deb and the wheel byte for byte. usage: tools/check_reproducible.sh
# Exit 1 when they differ. Takes as long as two builds without a compiler cache.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

build() { # build FOLDER
    mkdir -p "$1"
    git archive HEAD | tar -x -C "$1"
    cmake -S "$1" -B "$1/out" -DCMAKE_BUILD_TYPE=Release -DBT_BUILD_TESTS=OFF >/dev/null
    cmake --build "$1/out" --parallel "$(nproc)" --target man_pages completions -- --no-print-directory >"$1/log" 2>&1 || {
        tail "$1/log"
        exit 1
    }
    (cd "$1/out" && cpack >"$1/log" 2>&1) || { tail "$1/log"; exit 1; }
    "$1/tools/package/make_wheel.py" "$1/out" "$1/out" >/dev/null
}

build "$work/a"
build "$work/another/folder"
for path in bert-train create-finetuning-data bert-tokenize bert-checkpoint bert-train.cdx.json \
    "$(cd "$work/a/out" && ls ./*.deb)" "$(cd "$work/a/out" && ls ./*.whl)"; do
    cmp "$work/a/out/$path" "$work/another/folder/out/$path"
    echo "the same bytes: $(sha256sum <"$work/a/out/$path" | cut -c1-16) ${path#./}"
done
