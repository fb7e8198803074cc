#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Line coverage of the rooms that parse and compute: builds with gcov, runs the tests labelled short, prints a line
# a room and fails when one that must be above 90 % is not. Needs gcovr (Debian package).
#   tools/coverage.sh [--all]      --all: every room, not only those with a floor
set -euo pipefail
cd "$(dirname "$0")/.."
floor=90
rooms=(conf wire squad text ckpt optim metrics)
[ "${1:-}" = "--all" ] && rooms=(base fs wire squad conf text tensor kern optim metrics data ckpt nn model exec task train cli)
cmake --preset coverage > /dev/null
cmake --build build/coverage -j "$(nproc)" > /dev/null
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -L short -j "$(nproc)" > build/coverage/ctest.log || tail -n 20 build/coverage/ctest.log
failed=0
for room in "${rooms[@]}"; do
  percent=$(gcovr -r . --object-directory build/coverage -f "src/$room/.*" 2>/dev/null |
            awk '$1=="TOTAL"{gsub("%","",$4); print $4}')
  printf '%-8s %3s %%\n' "$room" "${percent:-0}"
  case " conf wire squad text ckpt optim metrics " in
    *" $room "*) [ "${percent:-0}" -gt "$floor" ] || failed=1 ;;
  esac
done
exit "$failed"
