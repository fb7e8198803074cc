# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/hub/small.tar.gz and small.{json,safetensors}: a module that the real Model
Garden exports (export_tfhub_lib), what the real TensorFlow Hub layer makes of a batch with it
(in/..., out/...), and one update of fine-tuning through task.hub_module_url the same for the V2 encoder's variables (small_v2.tar.gz).
small_old.tar.gz holds small's variables under the names of Model Garden's first Keras BERT, which
its own converter knows (tf1_bert_checkpoint_converter_lib), and no Keras configuration. for the V2 encoder's variables (small_v2.tar.gz).

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_hub_goldens.py
"""
import gzip
import io
import json
import os
import tarfile
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from official.core import base_trainer  # noqa: E402,F401  (registers what the tasks need)
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.tasks import sentence_prediction, utils  # noqa: E402
from official.nlp.tools import export_tfhub_lib  # noqa: E402
from tiny_job import ENCODER, OPTIMIZER, write_safetensors  # noqa: E402

OUT = "tests/goldens/hub"
BATCH, SEQ = 3, 8


def pack(folder, path):
    """A .tar.gz that is the same whoever makes it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for base, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                full = os.path.join(base, name)
                entry = out.gettarinfo(full, arcname=os.path.relpath(full, folder))
                entry.uid = entry.gid = entry.mtime = 0
                entry.uname = entry.gname = ""
                with open(full, "rb") as source:
                    out.addfile(entry, source)
    with open(path, "wb") as sink, gzip.GzipFile(fileobj=sink, mode="wb", mtime=0, filename="",
                                                 compresslevel=9) as out:
        out.write(raw.getvalue())


def name_of(variable):
    return variable.name.split(":")[0].split("bert_encoder/")[-1]


def export(kind, folder, rng):
    tf_keras.backend.clear_session()
    config = encoders.EncoderConfig({"type": kind, kind: ENCODER})
    encoder = encoders.build_encoder(config)
    if kind == "bert_v2":
        encoder(encoder.inputs)
    for variable in encoder.weights:
        base = 1.0 if "gamma" in variable.name else 0.0
        variable.assign(base + 0.3 * rng.standard_normal(variable.shape).astype("float32"))
    with tempfile.TemporaryDirectory() as work:
        checkpoint = tf.train.Checkpoint(encoder=encoder).save(os.path.join(work, "ckpt"))
        vocab = os.path.join(work, "vocab.txt")
        with open(vocab, "w", encoding="utf-8") as out:
            words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            words += ["word%d" % i for i in range(ENCODER["vocab_size"] - len(words))]
            out.write("\n".join(words) + "\n")
        export_tfhub_lib.export_model(folder, encoder_config=config,
                                      model_checkpoint_path=checkpoint, with_mlm=False,
                                      vocab_file=vocab, do_lower_case=True)


def export_old(folder, new):
    """The variables of another module, as an export of 2019 called them."""
    replacements = (("transformer/", "encoder/"),
                    ("word_embeddings/embeddings", "word_embeddings/embeddings"),
                    ("type_embeddings/embeddings", "embedding_postprocessor/type_embeddings"),
                    ("position_embedding/embeddings", "embedding_postprocessor/position_embeddings"),
                    ("embeddings/layer_norm", "embedding_postprocessor/layer_norm"),
                    ("self_attention/attention_output", "self_attention_output"))
    module = tf.Module()
    module.variables_ = []
    for variable in tf.saved_model.load(new).variables:
        name = name_of(variable)
        for now, old in replacements:
            name = name.replace(now, old)
        module.variables_.append(tf.Variable(variable.numpy(), name="bert_model/" + name))
    tf.saved_model.save(module, folder)


def make_batch(rng):
    lengths = rng.integers(4, SEQ + 1, BATCH)
    mask = (np.arange(SEQ) < lengths[:, None]).astype("int32")
    return {"input_word_ids": rng.integers(5, ENCODER["vocab_size"], (BATCH, SEQ)).astype("int32") * mask,
            "input_mask": mask,
            "input_type_ids": (np.arange(SEQ) >= lengths[:, None] // 2).astype("int32") * mask}


def fine_tune(folder, tensors, rng):
    """One update, as gen_hub_task of the full goldens makes it."""
    tf_keras.backend.clear_session()
    config = sentence_prediction.SentencePredictionConfig(
        hub_module_url=folder, model=sentence_prediction.ModelConfig(
            encoder=encoders.EncoderConfig({"type": "bert", "bert": ENCODER}), num_classes=3))
    task = sentence_prediction.SentencePredictionTask(config)
    model = task.build_model()
    for layer in model._flatten_layers():  # the head's own dropout
        if isinstance(layer, tf_keras.layers.Dropout):
            layer.rate = 0.0
    for variable in model.weights:
        if "sentence_prediction" in variable.name:
            variable.assign(0.2 * rng.standard_normal(variable.shape).astype("float32"))
        if variable.dtype == tf.float32:
            tensors["w/" + name_of(variable)] = variable.numpy()
    batch = make_batch(rng)
    batch["label_ids"] = rng.integers(0, 3, BATCH).astype("int32")
    tensors.update({"batch0/" + k: v for k, v in batch.items()})
    inputs = {k: tf.constant(v) for k, v in batch.items()}
    optimizer = task.create_optimizer(optimization.OptimizationConfig(OPTIMIZER))

    @tf.function
    def probe(x):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = task.build_losses(x, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        dense = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        return logits, loss, dense, tf.linalg.global_norm(gradients)

    logits, loss, gradients, norm = probe(inputs)
    tensors.update({"out/logits": logits.numpy(), "loss": loss.numpy(), "global_norm": norm.numpy()})
    for variable, gradient in zip(model.trainable_variables, gradients):
        if gradient is not None:
            tensors["grad/" + name_of(variable)] = gradient.numpy()
    tf.function(lambda x: task.train_step(x, model, optimizer))(inputs)
    for variable in model.trainable_variables:
        tensors["step1/var/" + name_of(variable)] = variable.numpy()


def main():
    os.makedirs(OUT, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for kind, name in (("bert", "small"), ("bert_v2", "small_v2")):
            rng = np.random.default_rng(11)
            folder = os.path.join(work, name)
            export(kind, folder, rng)
            pack(folder, os.path.join(OUT, name + ".tar.gz"))
            if kind == "bert":
                export_old(os.path.join(work, "old"), folder)
                pack(os.path.join(work, "old"), os.path.join(OUT, "small_old.tar.gz"))
            network = utils.get_encoder_from_hub(folder)
            batch = make_batch(rng)
            tensors = {"in/" + k: v for k, v in batch.items()}
            outputs = network({k: tf.constant(v) for k, v in batch.items()}, training=False)
            for key in ("sequence_output", "pooled_output"):
                tensors["out/" + key] = outputs[key].numpy()
            if kind == "bert":
                fine_tune(folder, tensors, rng)
            tensors = {k: np.asarray(v) for k, v in sorted(tensors.items())}
            write_safetensors(os.path.join(OUT, name + ".safetensors"), tensors)
            with open(os.path.join(OUT, name + ".json"), "w", encoding="utf-8") as out:
                json.dump({"encoder": ENCODER, "optimizer": OPTIMIZER,
                           "tensorflow": tf.__version__}, out, indent=1)


if __name__ == "__main__":
    main()
