# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/metrics/ranks.json: recall at k of batches of scores by the very functions of
Model Garden's dual encoder task, and mean reciprocal ranks by NumPy (Model Garden has none).

Needs tf-models-official 2.19.1 (with tensorflow 2.19). Run from the root of the repository:
    python tests/make_goldens/make_rank_metrics.py
"""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from official.nlp.tasks import dual_encoder  # noqa: E402

TOP_K = (1, 2, 5, 40)


def mean_reciprocal_rank(batches):
    ranks = [1 + (row > row[i]).sum() for scores in batches for i, row in enumerate(scores)]
    return float(np.mean(1.0 / np.array(ranks, np.float64)))


def run(batches):
    task = dual_encoder.DualEncoderTask(dual_encoder.DualEncoderConfig(
        model=dual_encoder.ModelConfig(bidirectional=True, eval_top_k=TOP_K)))
    metrics = task.build_metrics()
    for scores in batches:
        left = tf.constant(scores)
        task.process_metrics(metrics, None,
                             dict(left_logits=left, right_logits=tf.transpose(left)))
    values = {m.name: float(m.result()) for m in metrics}
    values["left_mrr"] = mean_reciprocal_rank(batches)
    values["right_mrr"] = mean_reciprocal_rank([scores.T for scores in batches])
    return {"batches": [[float(str(x)) for x in scores.reshape(-1)] for scores in batches],
            "values": values}


def main():
    rng = np.random.default_rng(11)
    batches = [(rng.normal(0, 1, (n, n)) + 1.5 * np.eye(n)).astype(np.float32) for n in (7, 7, 3)]
    cases = {"scores": run(batches), "ties": run([np.round(b) for b in batches]),
             "equal": run([np.zeros((4, 4), np.float32)])}
    with open("tests/goldens/metrics/ranks.json", "w", encoding="utf-8") as f:
        json.dump({"maker": "tests/make_goldens/make_rank_metrics.py; tensorflow " + tf.__version__,
                   "cases": cases}, f, indent=0, separators=(",", ":"))
        f.write("\n")


main()
