# SPDX-License-Identifier: Apache-2.0
# The same as JSON: the phases are the whole step, the products are those of the model.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=8 --log_format=json >result.json || exit
"$PYTHON" - <<'PYTHON'
import json

r = json.load(open('result.json'))
phases = r['phases']
seconds = [phase['seconds'] for phase in phases.values()]
print(list(phases), r['steps'], r['warm_up_steps'], r['skipped_steps'])
assert all(s > 0 for s in seconds), phases
assert abs(sum(seconds) - r['seconds_per_step']) < 1e-6, r
assert abs(sum(phase['share'] for phase in phases.values()) - 1) < 1e-4, r
assert 0 < r['fastest_step'] <= r['seconds_per_step'] < 10, r
assert 0 < r['seconds_to_make_a_batch'] < 10, r
assert r['heap_calls'] == 0, r  # steps, metrics and the thread that reads
assert abs(r['examples_per_second'] * r['seconds_per_step'] / 4 - 1) < 1e-3, r

B, H, I, C = 4, 32, 64, 3
T = r['tokens_per_second'] * r['seconds_per_step']
assert 6 * B <= T <= 16 * B, T
# forward and backward are three products each; of the last layer only first tokens ask
first = T * (4 * H * H + 2 * H * I)
last = T * 2 * H * H + B * (2 * H * H + 2 * H * I)
head = B * (H * H + H * C)
assert abs(r['products_gflop_per_step'] / (6e-9 * (first + last + head)) - 1) < 0.01, r

rate = r['products_gflop_per_step'] / phases['products']['seconds']
assert abs(r['products_gflops'] / rate - 1) < 1e-2, r
(yardstick,) = [p for p in r['peaks'] if p['is_yardstick']]
assert yardstick['gflops'] == max(p['gflops'] for p in r['peaks']) > 0, r
assert {p['precision'] for p in r['peaks']} == {'float32'}, r
share = r['products_gflop_per_step'] / r['seconds_per_step'] / yardstick['gflops']
assert abs(r['step_share_of_peak'] / share - 1) < 0.05 or share < 1e-4, (r, share)
assert 0 < r['engine_bytes'] <= r['peak_resident_bytes'], r
assert r['engine'].startswith('cpu, '), r
PYTHON
