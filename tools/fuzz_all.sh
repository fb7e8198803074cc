#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the libFuzzer targets (clang) and runs them one after the other, as kindly as can be. Prints a line a target:
# name, seconds, executions, findings; exit 1 when there is a finding, whose input and stack stand in build/fuzz/found.
#   tools/fuzz_all.sh SECONDS [TARGET...]      600 yaml record; without names: all
# What a target learns stays in build/fuzz/learned/TARGET, so that the next run goes on from there; the corpus of the
# repository is only read. JOBS=2: how many compilers at a time.
set -euo pipefail
seconds=${1:?usage: tools/fuzz_all.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
    for folder in tests/fuzz/corpus/*/; do
        set -- "$@" "$(basename "$folder")"
    done
fi
cmake --preset fuzz > /dev/null
cmake --build build/fuzz --parallel "${JOBS:-$(nproc)}" --target "${@/#/fuzz_}" > build/fuzz/build.log 2>&1 \
    || { tail -30 build/fuzz/build.log >&2; exit 1; }
mkdir -p build/fuzz/found
failed=0
for target in "$@"; do
    learned=build/fuzz/learned/$target
    log=build/fuzz/found/$target.log
    mkdir -p "$learned"
    code=0
    nice -n 19 "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2560 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/found/$target-" "$learned" "tests/fuzz/corpus/$target" \
        > "$log" 2>&1 || code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log" | tail -1)
    printf '%-12s %5s s %12s runs  %s\n' "$target" "${took:-?}" "${runs:-?}" \
        "$([ "$code" -eq 0 ] && echo 'no finding' || echo "FOUND, see $log")"
    [ "$code" -eq 0 ] || failed=1
done
exit $failed
