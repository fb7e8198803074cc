#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/data/pairs.json: what Model Garden's loader of dual encoders makes of
tests/goldens/data/rows.tfrecord (make_data_text_goldens.py), its two texts as the sides of pairs.

Needs tf-models-official 2.19.1 (with tensorflow and tensorflow-text 2.19). Run from the root of the
repository:
    python tests/make_goldens/make_pair_goldens.py
"""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
from official.nlp.data import dual_encoder_dataloader  # noqa: E402

CASES = [
    {"name": "sides", "left": ["text_a"], "right": ["text_b"], "seq_length": 12, "lower_case": True},
    {"name": "cased", "left": ["text_b"], "right": ["text_a"], "seq_length": 16, "lower_case": False},
    {"name": "both_texts_on_a_side", "left": ["text_a", "text_b"], "right": ["text_a"],
     "seq_length": 10, "lower_case": True},
]


def load(case):
    config = dual_encoder_dataloader.DualEncoderDataConfig(
        input_path="tests/goldens/data/rows.tfrecord", vocab_file="tests/goldens/text/vocab_tf.txt",
        left_text_fields=tuple(case["left"]), right_text_fields=tuple(case["right"]),
        lower_case=case["lower_case"], seq_length=case["seq_length"], is_training=False,
        drop_remainder=False, global_batch_size=4)
    batches = list(dual_encoder_dataloader.DualEncoderDataLoader(config).load())
    return {f"{side}_{key}": [row for batch in batches
                              for row in batch[f"{side}_{key}"].numpy().tolist()]
            for side in ("left", "right") for key in ("word_ids", "mask", "type_ids")}


def main():
    with open("tests/goldens/data/pairs.json", "w", encoding="utf-8") as file:
        json.dump([dict(case, expected=load(case)) for case in CASES], file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
