#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Says in a few seconds how fast this machine is: processor and instruction sets, its disk, our products in float32, bfloat16
# and 8 bits on two shapes, steps of MiniLM's size. Information, never a failure: a part that takes too long or
# cannot run here is left out. .ci/run ends with it, so that a log tells later what its machine was.
# usage: tools/speed_probe.sh [BUILD]      (default: build/release)
set -u
cd "$(dirname "$0")/.." || exit 0
build=${1:-build/release}
started=$SECONDS

# probe WHAT COMMAND...: the JSON object that it prints, on one line.
probe() {
    local what=$1 out
    shift
    if [ $((SECONDS - started)) -ge 12 ]; then
        echo "speed: $what: left out, the machine is busy"
        return
    fi
    out=$(timeout 6 "$@" 2>&1 | tail -n 1) || out="left out: it failed or took more than 6 s"
    echo "speed: $what: $out"
}

set -o pipefail
name=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
flags=$(sed -n 's/^\(flags\|Features\)[^:]*: //p' /proc/cpuinfo | head -n 1 | tr ' ' '\n' |
    grep -E '^(avx2|fma|avx512f|avx512_bf16|avx512_vnni|avx_vnni|amx_bf16|amx_int8|asimd|bf16|i8mm|asimddp)$' | tr '\n' ' ')
echo "speed: ${name:-unknown processor}, $(nproc) processors, load $(cut -d ' ' -f 1 /proc/loadavg): ${flags:-}"
# what tests wait for, who save and synchronise thousands of small files (tests/run.sh)
written=$(mktemp)
synced=$(LC_ALL=C timeout 6 dd if=/dev/zero of="$written" bs=4k count=50 oflag=dsync 2>&1 | sed -n 's/.* copied, \([0-9.e-]* s\),.*/\1/p')
echo "speed: 50 writes of 4 KiB to ${TMPDIR:-/tmp}, each synchronised: ${synced:-left out: they took more than 6 s}"
rm -f "$written"
if [ ! -x "$build/bench_machine" ]; then
    echo "speed: there is no $build/bench_machine: build it for the figures"
    exit 0
fi
for precision in f32 bf16 int8; do
    probe "$precision, MiniLM's layer" "$build/bench_machine" --precision=$precision --rounds=1 --threads=2
    probe "$precision, BERT-base's" "$build/bench_machine" --precision=$precision --rounds=1 --threads=2 \
        --tokens=512 --hidden=768 --intermediate=3072
done
for products in f32 bf16; do
    probe "step, $products" "$build/bench_step" --lengths=sst2 --steps=4 --rounds=1 --threads=2 --products=$products
done
exit 0
