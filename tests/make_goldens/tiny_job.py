# SPDX-License-Identifier: Apache-2.0
"""What the tiny jobs of make_e2e_goldens.py and make_hub_goldens.py share: the encoder, the optimizer,
and the weights that they hand to the program under test."""
import json
import struct

import numpy as np

ENCODER = dict(attention_dropout_rate=0.0, dropout_rate=0.0, hidden_activation="gelu",
               hidden_size=8, intermediate_size=16, max_position_embeddings=8,
               num_attention_heads=2, num_layers=2, type_vocab_size=2, vocab_size=24)
OPTIMIZER = dict(
    optimizer=dict(type="adamw", adamw=dict(
        weight_decay_rate=0.01, exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"])),
    learning_rate=dict(type="polynomial", polynomial=dict(
        initial_learning_rate=0.001, end_learning_rate=0.0, decay_steps=30, power=1.0)),
    warmup=dict(type="polynomial", polynomial=dict(warmup_steps=5)))


def write_safetensors(path, tensors):
    names = {np.dtype("float32"): "F32", np.dtype("int32"): "I32", np.dtype("int64"): "I64"}
    header, at = {}, 0
    for name, value in tensors.items():
        header[name] = dict(dtype=names[value.dtype], shape=list(value.shape),
                            data_offsets=[at, at + value.nbytes])
        at += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            out.write(np.ascontiguousarray(value).tobytes())
