# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/metrics/pr_curves.json: curves of precision and recall of small made-up
predictions by TensorBoard's own summary (tensorboard.plugins.pr_curve.summary.pb).

Needs tensorboard 2.19 and TensorFlow, which that function imports. Run from the root of the repository:
    python tests/make_goldens/make_pr_curves.py
"""
import json

import numpy as np
from tensorboard.plugins.pr_curve import metadata, summary
from tensorboard.util import tensor_util

N_THRESHOLDS = 101


def curve(labels, p):
    value = summary.pb('x', labels, p, num_thresholds=N_THRESHOLDS).value[0]
    assert value.metadata.plugin_data.plugin_name == metadata.PLUGIN_NAME
    values = tensor_util.make_ndarray(value.tensor)
    assert values.dtype == np.float32 and values.shape == (6, N_THRESHOLDS)
    return [float(v) for v in values.reshape(-1)]


def scores_of(entry):
    """float32, as predictions have them."""
    logits = np.array(entry['predictions'], np.float32).reshape(-1, entry['num_classes']).astype(np.float64)
    labels = np.array(entry['labels'])
    if entry['unit'] == 'set':
        return (1 / (1 + np.exp(-logits))).astype(np.float32), labels.reshape(logits.shape) >= 0.5
    x = np.exp(logits - logits.max(axis=1, keepdims=True))
    applies = labels.astype(np.int64)[:, None] == np.arange(entry['num_classes'])
    return (x / x.sum(axis=1, keepdims=True)).astype(np.float32), applies


def main():
    with open('tests/goldens/metrics/classes.json', encoding='utf-8') as source:
        cases = json.load(source)['cases']
    curves = {}
    for title, entry in cases.items():
        key = (entry['unit'], entry['num_classes'])
        is_seen = key in {k for k, _ in curves.values()}  # one of a kind
        if is_seen or entry['unit'] not in ('class', 'sentence', 'set') or entry['num_classes'] > 4:
            continue
        if len(entry['labels']) < 20:
            continue
        scores, applies = scores_of(entry)
        if np.isfinite(scores).all():
            curves[title] = (key, [curve(applies[:, c], scores[:, c]) for c in range(entry['num_classes'])])
    with open('tests/goldens/metrics/pr_curves.json', 'w', encoding='utf-8') as out:
        json.dump({'maker': 'tests/make_goldens/make_pr_curves.py',
                   'curves': {title: rows for title, (_, rows) in curves.items()}}, out)
        out.write('\n')


main()
