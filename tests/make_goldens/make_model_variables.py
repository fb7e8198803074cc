# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/model/variables_*.txt: the trainable variables of Model Garden's models in
their own order, with shapes, and whether a loss reaches them.

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_model_variables.py
"""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.tasks import sentence_prediction, tagging  # noqa: E402

OUT = "tests/goldens/model"
SMALL = dict(vocab_size=200, hidden_size=32, num_layers=2, num_attention_heads=4,
             intermediate_size=64, max_position_embeddings=64, type_vocab_size=2)


def encoder_config(kind, **more):
    keys = encoders.AlbertEncoderConfig if kind == "albert" else encoders.BertEncoderConfig
    inner = keys(**SMALL, **more)
    return encoders.EncoderConfig(type=kind, **{kind: inner})


def write(name, model):
    ids = tf.ones([2, 8], tf.int32)
    with tf.GradientTape() as tape:
        out = model(dict(input_word_ids=ids, input_mask=ids, input_type_ids=ids * 0))
        out = out["logits"] if isinstance(out, dict) else out
        loss = tf.reduce_sum(out * out)
    grads = tape.gradient(loss, model.trainable_variables)
    with open(f"{OUT}/variables_{name}.txt", "w", encoding="utf-8") as f:
        for var, grad in zip(model.trainable_variables, grads):
            reached = "none" if grad is None else "gradient"
            f.write(f"{var.name.removesuffix(':0')} {list(var.shape)} {reached}\n")


def classifier(encoder, use_encoder_pooler):
    config = sentence_prediction.SentencePredictionConfig(
        model=sentence_prediction.ModelConfig(
            num_classes=3, encoder=encoder, use_encoder_pooler=use_encoder_pooler))
    return sentence_prediction.SentencePredictionTask(config).build_model()


def tagger(encoder):
    config = tagging.TaggingConfig(
        model=tagging.ModelConfig(encoder=encoder), class_names=["a", "b", "c"])
    return tagging.TaggingTask(config).build_model()


write("bert", classifier(encoder_config("bert"), False))
write("bert_factorized", classifier(encoder_config("bert", embedding_size=16), False))
write("bert_v2_encoder_pooler", classifier(encoder_config("bert_v2"), True))
write("bert_tagging", tagger(encoder_config("bert")))
write("albert", classifier(encoder_config("albert", embedding_width=16), False))
write("albert_encoder_pooler", classifier(encoder_config("albert", embedding_width=32), True))
