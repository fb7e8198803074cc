#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What --export_format=saved_model writes, loaded by the real TensorFlow: for models of every kind
(tests/unit/export/onnx_cases.c) the signature serving_default computes what the engine here does, for batches of several
sizes and lengths, to 1e-5 of the largest number.

usage: serve_models.py WRITE_ONNX_CASES [PYTHON]     PYTHON, or $BT_TF_PYTHON: one that has tensorflow
With --golden the digests of what was found right go to tests/goldens/onnx/served.json.
Exit status 77: there is no TensorFlow, and nothing was tested.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "unit", "export")]
from find_tensorflow import find_tensorflow  # noqa: E402

PROGRAM = sys.argv[1]
MAKES_GOLDEN = sys.argv[2:] == ["--golden"]
find_tensorflow(sys.argv[2] if len(sys.argv) > 2 and not MAKES_GOLDEN else "")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from onnx_reader import SavedModel  # noqa: E402

GOLDEN = os.path.join(HERE, "..", "goldens", "onnx", "served.json")


def padded(values, offsets, rows, length):
    out = np.zeros((len(rows), length), np.int64)
    for i, row in enumerate(rows):
        begin, end = offsets[row], offsets[row + 1]
        out[i, :end - begin] = values[begin:end]
    return tf.constant(out)


def given(serve, expected, rows, length):
    """Without the numbers of padding, flat."""
    offsets = expected["offsets"]
    made = serve(input_ids=padded(expected["ids"], offsets, rows, length),
                 attention_mask=padded([1] * offsets[-1], offsets, rows, length),
                 token_type_ids=padded(expected["types"], offsets, rows, length))
    made = {key: value.numpy() for key, value in made.items()}
    if "sentence_embedding" in made:
        return made["sentence_embedding"].ravel()
    if "start_logits" in made:
        made["logits"] = np.stack([made["start_logits"], made["end_logits"]], -1)
    if made["logits"].ndim == 3:
        return np.concatenate([made["logits"][i, :offsets[r + 1] - offsets[r]] for i, r in enumerate(rows)]).ravel()
    return made["logits"].ravel()


def wanted(expected, rows):
    offsets, logits = expected["offsets"], np.array(expected["logits"], np.float32)
    if not expected["of_tokens"]:
        return logits.reshape(len(offsets) - 1, -1)[rows].ravel()
    logits = logits.reshape(offsets[-1], -1)
    return np.concatenate([logits[offsets[r]:offsets[r + 1]] for r in rows]).ravel()


class Served(unittest.TestCase):
    def test_all(self):
        digests, largest = {}, 0
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([PROGRAM, folder], check=True, capture_output=True, timeout=600)
            for case in sorted(os.listdir(folder)):
                path = os.path.join(folder, case, "float32")
                with open(os.path.join(path, "expected.json"), encoding="utf-8") as f:
                    expected = json.load(f)
                model = tf.saved_model.load(os.path.join(path, "1"))
                serve = model.signatures["serving_default"]
                for rows, length in (([0, 1, 2, 3], 12), ([0, 1, 2, 3], 16), ([1], 1), ([3, 0], 7)):
                    want = wanted(expected, rows)
                    off = np.abs(given(serve, expected, rows, length) - want).max()
                    off /= np.abs(np.array(expected["logits"])).max()
                    self.assertLess(off, 1e-5, (case, rows, length))
                    largest = max(largest, off)
                digests[case] = SavedModel(os.path.join(path, "1", "saved_model.pb")).digest()
        print(f"{len(digests)} models in TensorFlow {tf.__version__}, largest difference {largest:.2g}")
        self.assertGreater(len(digests), 20)
        if MAKES_GOLDEN:
            with open(GOLDEN, "w", encoding="utf-8") as out:
                json.dump({"tensorflow": tf.__version__, "digests": digests}, out, indent=1, sort_keys=True)
                out.write("\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
