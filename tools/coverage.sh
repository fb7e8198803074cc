#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Coverage of the rooms that read what others wrote: builds with gcov (preset coverage), runs the
# tests that exercise these rooms, prints lines and branches of each room and the files that lack
# most, and fails when a room is below its floor (tools/coverage_report.py has the floors).
# Needs gcovr (Debian package). By hand, before a larger change: minutes.
#   tools/coverage.sh              build, run, report
#   tools/coverage.sh --report     the report of the last run again
#   tools/coverage.sh --report src/fs/fs_lock.c ...    what is missed in these files, line by line
#   tools/coverage.sh --all        every short test, every room (those without a floor, too)
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/coverage
# Unit tests with their fault loops, replays of the fuzz corpora, whole programs with good and bad
# input, stores over loopback, faults around runs. Left out: what computes, and what kills (a
# process that is killed writes no counts).
tests='^(test_(base|stop|ckpt|conf|data|fs|pace|remote|unpack|s3|lock|temporary|text|lower|tfrecord'
tests+='|example|bundle|containers|squad|optim|learning|metric|cli|hugging_face|exec_hub|predictions'
tests+='|tag_predictions|task|library_memory|finetuning|bert_tokenize|create)|fuzz_replay|cli_(flags'
tests+='|dry_run|tools|bad_input|programs)|yaml_round_trip|optim_patterns|remote_(faults|gcs|s3|aws|hub|hf'
tests+='|outputs|checkpoints|waits)|e2e_(run_semantics|module_assets|text_input|predict|tagging)'
tests+='|finetuning_(cases|bad_input)|reliability_(planted|signals|one_writer|together$)|changed_keys)'
select=(-L "short|medium" -R "$tests")
folders='src/(conf|wire|squad|text|ckpt|optim|metrics|data|fs)'

mode=${1:-}
if [ "$mode" = "--all" ]; then
  select=(-L short)
  folders='(src|programs)/[a-z_]+'
fi
if [ "$mode" != "--report" ]; then
  cmake --preset coverage > /dev/null
  cmake --build "$build" --parallel "$(nproc)" -- --no-print-directory > "$build/build.log"
  find "$build" -name '*.gcda' -delete
  ctest --test-dir "$build" "${select[@]}" --parallel "$(nproc)" > "$build/ctest.log" ||
    grep -E '\*\*\*|tests passed' "$build/ctest.log"
  # What is not counted:
  # * branches that the compiler made on lines without code of ours;
  # * the branch of BT_ASSERT that is not taken: our own mistake, which no file, flag or fault of
  #   the machine may cause (and which is not there in a release).
  # Everything else counts, the failing branch of each BT_TRY and BT_CHECK as well: the loops that
  # make every allocation and every file operation fail are among the tests.
  gcovr -r . -j "$(nproc)" --exclude-unreachable-branches \
    --exclude-branches-by-pattern '^\s*BT_ASSERT\(' \
    -f "$folders/" --json -o "$build/coverage.json" "$build/src" "$build/programs"
  shift $(($# > 0 ? 1 : 0))
else
  shift
fi
exec python3 -B tools/coverage_report.py "$build/coverage.json" "$@"
