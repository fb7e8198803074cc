#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the whole test suite; the last line is "N passed, N failed, N skipped".
# usage: tests/run.sh [--preset=release|dev|...] [ctest arguments, e.g. -L short]
# Environment: BT_JOBS (parallel builds; two tests more: default: all processors); BT_TEST_SLOW (how many times
# as slow as a quiet machine of two cores this one may be; default: 4; only what hangs takes that long); TMPDIR
# (where tests make their folders; default: in memory, where it has room for them, else /tmp).
set -u
cd "$(dirname "$0")/.." || exit 1

preset=release
if [[ "${1:-}" == --preset=* ]]; then
    preset=${1#--preset=}
    shift
fi
jobs=${BT_JOBS:-$(nproc)}
folder=build/$preset
fail() {
    echo "tests/run.sh: $1" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

tools/install_packages.sh test || fail "packages are missing (see above)"
cmake --preset "$preset" -DBT_BUILD_TESTS=ON "-DBT_TEST_SLOW=${BT_TEST_SLOW:-4}" || fail "cmake could not configure the preset $preset"
cmake --build "$folder" --parallel "$jobs" -- --no-print-directory || fail "the build of $preset failed"

# Tests save thousands of checkpoints, each synchronised with the disk: a slow one would take more time than the tests.
in_memory=
# room_of FOLDER: GiB that are free in it
room_of() { df --block-size=1G --output=avail "$1" 2>/dev/null | tail -n 1; }
free_memory() { awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null; }
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "$(room_of /dev/shm)" -ge 8 ] && [ "$(free_memory)" -ge 12 ]; then
    in_memory=$(mktemp -d /dev/shm/bt-tests-XXXXXX) && export TMPDIR=$in_memory
    chmod 1777 "$in_memory" # as /tmp: some tests run programs as another user
    trap 'rm -rf "$in_memory"' EXIT
fi

# Two tests more than processors: some wait for most of their time, for servers, windows of retries, kills.
results=$PWD/$folder/results.xml
rm -f "$results"
ctest --test-dir "$folder" --output-on-failure --no-tests=error --parallel "$((jobs + 2))" \
    --output-junit "$results" --test-output-size-passed 4000000 \
    --test-output-size-failed 4000000 "$@" </dev/null
[ -f "$results" ] || fail "ctest left no results"
python3 tests/count_results.py "$results"
