# SPDX-License-Identifier: Apache-2.0
"""What the tests of --compile_only share: its JSON, an own count of a step's operations, rows of
given lengths, a GPU described in a file."""
import json

import e2e
import plugins

GPU = """\
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: %d
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  device_vendor: "NVIDIA Corporation"
  device_address_bits: 64
  ecc_enabled: true
  name: "A small one"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "A small one"
"""


def why_not(kind):
    """Why a test that compiles with that plug-in is skipped, or None."""
    if e2e.SANITIZED:
        return 'SKIPPED: compiles without sanitizers only'
    if 'plug-ins: PJRT' not in e2e.run(['--version']).stdout:
        return 'SKIPPED: a build without plug-ins'
    if plugins.fetched(kind) is None:
        return 'SKIPPED: no such plug-in: tools/get_pjrt.sh ' + {'cuda': 'cuda13'}.get(kind, kind)
    return None


def read(result):
    """The one JSON object on standard output."""
    lines = result.stdout.splitlines()
    assert len(lines) == 1, str(result)
    return json.loads(lines[0])


def gflop(program, trains, layers, hidden, inner, classes, per_token=False):
    """Of the products of one device's step, counted from the shapes alone."""
    tokens, places = program['rows'] * program['slots'], program['places']

    def layer(rows):
        """rows: whose output somebody reads."""
        return (3 * (2 * tokens * hidden * hidden)            # query, key, value
                + 2 * (2 * tokens * program['slots'] * hidden)  # each slot with its row's, twice
                + 2 * rows * hidden * hidden                  # after the attention
                + 2 * (2 * rows * hidden * inner))            # the two of the feed-forward part

    last = tokens if per_token else places  # first tokens alone are classified
    head = 2 * tokens * classes * hidden if per_token else 2 * places * hidden * (hidden + classes)
    total = (layers - 1) * layer(tokens) + layer(last) + head
    return (3 if trains else 1) * total * 1e-9


def rows_of_lengths(rng, lengths, seq_length, vocab, label):
    """Records as create-finetuning-data writes them; label(rng, n) gives their other features."""
    rows = []
    for n in lengths:
        pad = [0] * (seq_length - n)
        ids = [1] + [rng.randint(5, vocab - 1) for _ in range(n - 2)] + [2]
        rows.append({'input_ids': ids + pad, 'input_mask': [1] * n + pad,
                     'segment_ids': [0] * seq_length, **label(rng, n)})
    return rows
