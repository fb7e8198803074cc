# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/metrics/cases.json: metrics of small random predictions by the very
functions that Model Garden's sentence prediction task calls.

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_metrics.py
"""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from official.nlp.tasks import sentence_prediction as sp  # noqa: E402


def short(array):
    return [float(str(x)) for x in np.asarray(array, np.float32).reshape(-1)]


def run(num_classes, types, predictions, labels, batch):
    values = {}
    for kind in types:
        config = sp.SentencePredictionConfig(
            metric_type=kind, model=sp.ModelConfig(num_classes=num_classes))
        task = sp.SentencePredictionTask(config)
        metrics = task.build_metrics()
        state = None
        for first in range(0, len(labels), batch):
            out = tf.constant(predictions[first:first + batch])
            true = tf.constant(labels[first:first + batch])
            task.process_metrics(metrics, {"label_ids": true}, out)
            rows = out
            if kind == "matthews_corrcoef":
                rows = tf.expand_dims(tf.math.argmax(out, axis=1), axis=1)
            state = task.aggregate_logs(state, {"sentence_prediction": [rows], "labels": [true]})
        values.update({m.name: float(m.result()) for m in metrics
                       if m.name != "mean_squared_error"})
        values.update({k: float(v) for k, v in (task.reduce_aggregated_logs(state) or {}).items()})
    if num_classes == 1:
        error = np.asarray(predictions, np.float64)[:, 0] - np.asarray(labels, np.float64)
        values["mean_squared_error"] = float(np.mean(error * error))
    return {"num_classes": num_classes, "predictions": short(predictions),
            "labels": [float(x) for x in labels],
            "values": {k: (v if v == v else "nan") for k, v in values.items()}}


def main():
    rng = np.random.default_rng(5)
    both = ["f1", "matthews_corrcoef"]
    n = 37
    labels = rng.integers(0, 2, n).astype(np.int32)
    logits = (rng.normal(0, 1, (n, 2)) + 0.8 * np.eye(2)[labels]).astype(np.float32)
    coarse = np.round(logits).astype(np.float32)
    three = rng.integers(0, 3, n).astype(np.int32)
    three_logits = (rng.normal(0, 1, (n, 3)) + np.eye(3)[three]).astype(np.float32)
    scores = np.round(rng.uniform(0, 5, n) * 5) / 5
    guesses = (scores + rng.normal(0, 0.7, n)).astype(np.float32)[:, None]
    pair = ["pearson_spearman_corr"]
    cases = {
        "two_classes": run(2, both, logits, labels, 8),
        "two_classes_ties": run(2, both, coarse, labels, 5),
        "two_classes_one_predicted": run(2, both, logits * 0 + [[1, 0]], labels, 8),
        "two_classes_only_negative": run(2, both[1:], logits, labels * 0, 8),
        "three_classes": run(3, both[1:], three_logits, three, 7),
        "scores": run(1, pair, guesses, scores.astype(np.float32), 8),
        "scores_ties": run(1, pair, np.round(guesses), scores.astype(np.float32), 8),
        "scores_constant": run(1, pair, guesses * 0 + 2, scores.astype(np.float32), 8),
    }
    with open("tests/goldens/metrics/cases.json", "w", encoding="utf-8") as f:
        json.dump({"maker": "tests/make_goldens/make_metrics.py; tensorflow " + tf.__version__,
                   "cases": cases}, f, indent=0, separators=(",", ":"))
        f.write("\n")


main()
