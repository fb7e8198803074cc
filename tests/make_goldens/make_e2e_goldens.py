# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/e2e/{small,small_ema,small_regression,small_tagging,small_pairs}.{json,safetensors}:
twenty updates of the real Model Garden on a model small enough for the repository. Names and
meaning are those of tests/goldens/model_garden/numerics/MANIFEST.md, so that tests/e2e/test_trajectory.c reads both
alike. The regression and the tagger also have the evaluation of their last weights over the same
batches: what Model Garden's task reports (the regression's loss is the mean over all pairs, and its
metric never moves; the tagger's entities run on over a whole batch), and the true mean squared error.
So do the pairs of a dual encoder, recalls included.

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_e2e_goldens.py [NAME...]
"""
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from official.core import base_trainer  # noqa: E402,F401  (registers what the tasks need)
from official.modeling import optimization  # noqa: E402
from official.nlp.configs import encoders  # noqa: E402
from official.nlp.tasks import dual_encoder  # noqa: E402
from official.nlp.tasks import sentence_prediction  # noqa: E402
from official.nlp.tasks import tagging  # noqa: E402
from tiny_job import ENCODER, OPTIMIZER, write_safetensors  # noqa: E402

OUT = "tests/goldens/e2e"
BATCH, SEQ, BATCHES, STEPS, KEPT = 3, 8, 4, 20, (2, 20)
TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


def make_pairs(rng):
    sides = [make_batch(rng, 2) for _ in range(2)]
    return {key.replace("input", side): value for side, batch in zip(("left", "right"), sides)
            for key, value in batch.items() if key != "label_ids"}


def make_batch(rng, num_classes):
    ids = rng.integers(5, ENCODER["vocab_size"], (BATCH, SEQ))
    lengths = rng.integers(3, SEQ + 1, BATCH)
    mask = (np.arange(SEQ)[None] < lengths[:, None]).astype(np.int32)
    types = (np.arange(SEQ)[None] >= lengths[:, None] // 2) * mask
    batch = dict(input_word_ids=ids * mask, input_mask=mask, input_type_ids=types)
    batch = {k: v.astype(np.int32) for k, v in batch.items()}
    if num_classes == 0:  # a tag for most words; what is not a first piece, and padding, has none
        tags = np.where(rng.random((BATCH, SEQ)) < 0.2, -1, batch["input_word_ids"] % len(TAGS))
        return dict(batch, label_ids=np.where(mask == 1, tags, -1).astype(np.int32))
    if num_classes == 1:
        return dict(batch, label_ids=(rng.normal(1, 2, BATCH)).astype(np.float32))
    return dict(batch, label_ids=rng.integers(0, num_classes, BATCH).astype(np.int32))


def no_dropout(model):
    """The classifier's own dropout has no key in Model Garden: switch all of them off."""
    for layer in model._flatten_layers():
        for name in ("rate", "_dropout_rate", "_dropout"):
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)


def evaluate_tagger(task, model, batches):
    """What Model Garden's evaluation reports."""
    state, losses = None, []
    for batch in batches:
        inputs = {k: tf.constant(v) for k, v in batch.items()}
        labels = inputs.pop("label_ids")
        logs = task.validation_step((inputs, labels), model)
        losses.append(float(logs[task.loss]))
        # as distributed values, one replica: a tuple of one tensor
        state = task.aggregate_logs(state, {k: (logs[k],) for k in ("predict_ids", "label_ids")})
    return dict(task.reduce_aggregated_logs(state), validation_loss=float(np.mean(losses)))


def evaluate_pairs(task, model, batches):
    """What Model Garden's evaluation reports."""
    metrics = task.build_metrics(training=False)
    losses = [float(task.validation_step({k: tf.constant(v) for k, v in batch.items()}, model,
                                         metrics)[task.loss]) for batch in batches]
    return dict({m.name: float(m.result()) for m in metrics},
                validation_loss=float(np.mean(losses)))


def evaluate(task, model, batches):
    """What Model Garden's evaluation reports, and the mean squared error as it should be."""
    metrics = task.build_metrics(training=False)
    losses, squares = [], []
    for batch in batches:
        inputs = {k: tf.constant(v) for k, v in batch.items()}
        losses.append(float(task.validation_step(inputs, model, metrics)[task.loss]))
        scores = model({k: v for k, v in inputs.items() if k != "label_ids"}, training=False)
        squares.append(np.square(scores.numpy()[:, 0].astype(np.float64) - batch["label_ids"]))
    return dict({m.name: float(m.result()) for m in metrics},
                validation_loss=float(np.mean(losses)),
                true_mean_squared_error=float(np.mean(squares)))


def make_task(num_classes, pairs):
    encoder = encoders.EncoderConfig(type="bert", bert=encoders.BertEncoderConfig(**ENCODER))
    if pairs:
        return dual_encoder.DualEncoderTask(dual_encoder.DualEncoderConfig(
            model=dual_encoder.ModelConfig(encoder=encoder, max_sequence_length=SEQ, **pairs)))
    if num_classes == 0:
        return tagging.TaggingTask(tagging.TaggingConfig(
            class_names=TAGS, model=tagging.ModelConfig(encoder=encoder, head_dropout=0.0)))
    return sentence_prediction.SentencePredictionTask(sentence_prediction.SentencePredictionConfig(
        model=sentence_prediction.ModelConfig(num_classes=num_classes, encoder=encoder)))


def trajectory(name, seed, ema=None, num_classes=3, pairs=None):
    rng = np.random.default_rng(seed)
    tf.random.set_seed(seed)
    batches = [make_pairs(rng) if pairs else make_batch(rng, num_classes) for _ in range(BATCHES)]
    task = make_task(num_classes, pairs)
    model = task.build_model()
    no_dropout(model)
    facts = dict(OPTIMIZER, **({"ema": ema} if ema else {}))
    optimizer = task.create_optimizer(optimization.OptimizationConfig(facts))
    inner = optimizer._optimizer if ema else optimizer
    rate = inner.learning_rate

    def inputs(batch):
        return {k: tf.constant(v) for k, v in batch.items()}

    model({k: v for k, v in inputs(batches[0]).items() if k != "label_ids"})
    for var in model.trainable_variables:  # nothing at 0 or 1: every value must be carried over
        var.assign_add(tf.constant(rng.normal(0, 0.05, var.shape).astype(np.float32)))
    def logits_of(batch):
        found = model({k: v for k, v in batch.items() if k != "label_ids"}, training=True)
        return found["logits"] if num_classes == 0 else found

    again = [logits_of(inputs(batches[0])) for _ in range(2)]
    again = [(x["left_logits"] if pairs else x).numpy() for x in again]
    assert (again[0] == again[1]).all(), "dropout is still on"
    if ema:
        optimizer.shadow_copy(model)
    plain = {v.name.removesuffix(":0"): v for v in model.trainable_variables}
    out = {f"batch{i}/{k}": v for i, b in enumerate(batches) for k, v in b.items()}
    out.update({f"w/{k}": v.numpy() for k, v in plain.items()})
    losses, norms, rates, slots = [], [], [], set()
    for step in range(STEPS):
        batch = inputs(batches[step % BATCHES])
        with tf.GradientTape() as tape:
            if num_classes == 0:
                loss = task.build_losses(batch["label_ids"], dict(logits=logits_of(batch)))
            else:
                loss = task.build_losses(batch, logits_of(batch))
        grads = tape.gradient(loss, model.trainable_variables)
        losses.append(loss.numpy())
        norms.append(tf.linalg.global_norm([g for g in grads if g is not None]).numpy())
        rates.append(np.float32(rate(step)))
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        if step + 1 not in KEPT:
            continue
        out[f"step{step + 1}/iterations"] = np.array(step + 1, np.int64)
        for (k, var), grad in zip(plain.items(), grads):
            out[f"step{step + 1}/var/{k}"] = var.numpy()
            if ema:
                out[f"step{step + 1}/average/{k}"] = optimizer.get_slot(var, "average").numpy()
            if grad is not None:
                slots.add(k)
                for slot in "mv":
                    out[f"step{step + 1}/{slot}/{k}"] = inner.get_slot(var, slot).numpy()
    kind = {0: "tagging", 1: "regression"}.get(num_classes, "sentence_prediction")
    kind = "dual_encoder" if pairs else kind
    judges = dict(tagging=evaluate_tagger, regression=evaluate, dual_encoder=evaluate_pairs)
    more = dict(validation=judges[kind](task, model, batches)) if kind in judges else {}
    out["losses"] = np.array(losses, np.float32)
    out["global_norms"] = np.array(norms, np.float32)
    out["lrs"] = np.array(rates, np.float32)
    write_safetensors(f"{OUT}/{name}.safetensors", out)
    with open(f"{OUT}/{name}.json", "w", encoding="utf-8") as f:
        json.dump(dict(batch=BATCH, batches=BATCHES, seq=SEQ, steps=STEPS, seed=seed,
                       encoder_type="bert", encoder=ENCODER, optimizer=facts,
                       options=pairs or (dict(class_names=TAGS) if num_classes == 0 else
                                         dict(num_classes=num_classes)), task=kind,
                       tensorflow=tf.__version__,
                       no_gradient=sorted(set(plain) - slots), **more), f, indent=1, sort_keys=True)
        f.write("\n")
    print(name, "losses", losses[0], "->", losses[-1], "norm", norms[0], "rates", rates[:3])


CASES = dict(small=dict(seed=3), small_ema=dict(seed=4, ema=dict(average_decay=0.99, start_step=3)),
             small_regression=dict(seed=5, num_classes=1),
             small_tagging=dict(seed=6, num_classes=0),
             small_pairs=dict(seed=6, pairs=dict(bidirectional=True, logit_scale=5.0,
                                                 logit_margin=0.1, eval_top_k=[1, 2])))

os.makedirs(OUT, exist_ok=True)
for case in sys.argv[1:] or CASES:
    trajectory(case, **CASES[case])
