# SPDX-License-Identifier: Apache-2.0
"""The counter-based generator of src/base/rng.c in numpy, and the tensors that golden files name instead of holding
them: tests/support/test_tensors.c makes the same bits."""
import json

import numpy as np

SITE_INIT = 1
WORD = np.uint64(0xFFFFFFFF)


def philox(counter, key):
    """Philox4x32-10 of columns of four words."""
    c = [np.array(word, np.uint64) for word in counter]
    k = [np.array(word, np.uint64) for word in key]
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(q >> np.uint64(32)) ^ c[1] ^ k[0], q & WORD, (p >> np.uint64(32)) ^ c[3] ^ k[1], p & WORD]
        k = [(k[0] + np.uint64(0x9E3779B9)) & WORD, (k[1] + np.uint64(0xBB67AE85)) & WORD]
    return c


def values(seed, stream, shape, scale, base):
    """base + scale * u with u in [-1, 1) of 24 bits. scale is a power of two: the product is exact, so that one
    rounding is left, and the bits are the same everywhere."""
    assert np.log2(scale) % 1 == 0
    n = int(np.prod(shape))
    key = philox([0, 0, stream, SITE_INIT], [seed & 0xFFFFFFFF, seed >> 32])
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    out = philox([blocks & WORD, blocks >> np.uint64(32), key[2], key[3]], key[:2])
    words = np.stack(np.broadcast_arrays(*out), axis=-1).reshape(-1)[:n]
    u = (words >> np.uint64(8)).astype(np.float64) * 2.0**-23 - 1.0
    return (np.float64(base) + np.float64(scale) * u).astype(np.float32).reshape(shape)


def rule_of(name, shape):
    """(scale, base): about the spread of a trained model."""
    if "gamma" in name:
        return 0.125, 1.0
    if "beta" in name or "bias" in name:
        return 0.125, 0.0
    if "embeddings" in name:
        return 0.5, 0.0
    fan_in = shape[0] if len(shape) < 3 or shape[0] > shape[1] else shape[0] * shape[1]
    return float(2.0 ** np.round(np.log2(2 / np.sqrt(fan_in)))), 0.0


class Generated:
    """Gives variables their values and remembers the rules, for a golden's metadata."""

    def __init__(self, seed):
        self.seed, self.rows = seed, {}

    def fill(self, variables, name_of):
        for v in variables:
            shape = v.shape.as_list()
            scale, base = rule_of(name_of(v), shape)
            self.rows["w/" + name_of(v)] = dict(shape=shape, stream=len(self.rows), scale=scale, base=base)
            v.assign(values(self.seed, len(self.rows) - 1, shape, scale, base))

    def metadata(self):
        return {"generated": json.dumps(dict(seed=self.seed, tensors=self.rows), separators=(",", ":"))}
