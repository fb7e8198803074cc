#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same ALBERT weights as google-research/albert names them (a TF1 checkpoint, with one pair of
Adam slots and a step) and as Model Garden's own converter makes an object-based checkpoint of them:
tests/goldens/ckpt/albert_tf1 and albert_converted.

Needs tf-models-official 2.19, TensorFlow 2.19. usage: make_albert_weights.py [FOLDER]
"""
import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from official.legacy.albert import configs  # noqa: E402
from official.nlp.tools import tf2_albert_encoder_checkpoint_converter as converter  # noqa: E402

tf1 = tf.compat.v1
CONFIG = dict(attention_probs_dropout_prob=0, hidden_act="gelu", hidden_dropout_prob=0,
              embedding_size=4, hidden_size=8, initializer_range=0.02, intermediate_size=12,
              max_position_embeddings=16, num_attention_heads=2, num_hidden_layers=2,
              num_hidden_groups=1, inner_group_num=1, type_vocab_size=2, vocab_size=20)


def shapes():
    c = CONFIG
    H, E, I = c["hidden_size"], c["embedding_size"], c["intermediate_size"]
    out = {"bert/embeddings/word_embeddings": (c["vocab_size"], E),
           "bert/embeddings/position_embeddings": (c["max_position_embeddings"], E),
           "bert/embeddings/token_type_embeddings": (c["type_vocab_size"], E),
           "bert/embeddings/LayerNorm/beta": (E,), "bert/embeddings/LayerNorm/gamma": (E,)}

    def dense(name, n_in, n_out):
        out[f"{name}/kernel"] = (n_in, n_out)
        out[f"{name}/bias"] = (n_out,)

    dense("bert/encoder/embedding_hidden_mapping_in", E, H)
    layer = "bert/encoder/transformer/group_0/inner_group_0"
    for part in ("query", "key", "value"):
        dense(f"{layer}/attention_1/self/{part}", H, H)
    dense(f"{layer}/attention_1/output/dense", H, H)
    dense(f"{layer}/ffn_1/intermediate/dense", H, I)
    dense(f"{layer}/ffn_1/intermediate/output/dense", I, H)
    for norm in ("LayerNorm", "LayerNorm_1"):
        out[f"{layer}/{norm}/beta"] = out[f"{layer}/{norm}/gamma"] = (H,)
    dense("bert/pooler/dense", H, H)
    return out


def write_tf1(folder):
    rng = np.random.RandomState(7)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "albert_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    with tf.Graph().as_default(), tf1.Session() as session:
        for name, shape in shapes().items():
            tf1.get_variable(name, initializer=rng.randn(*shape).astype(np.float32),
                             use_resource=False)
        pooler = "bert/pooler/dense/bias"
        for slot in ("adam_m", "adam_v"):
            tf1.get_variable(f"{pooler}/{slot}", initializer=np.ones([8], np.float32),
                             use_resource=False)
        tf1.get_variable("global_step", initializer=np.int64(7), use_resource=False)
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, str(folder / "model.ckpt"), write_meta_graph=False,
                               write_state=False)


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "ckpt"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    write_tf1(folder / "albert_tf1")
    (folder / "albert_converted").mkdir(exist_ok=True)
    converter.convert_checkpoint(
        bert_config=configs.AlbertConfig.from_dict(CONFIG),
        output_path=str(folder / "albert_converted" / "model.ckpt"),
        v1_checkpoint=str(folder / "albert_tf1" / "model.ckpt"), checkpoint_model_name="encoder")


if __name__ == "__main__":
    main()
