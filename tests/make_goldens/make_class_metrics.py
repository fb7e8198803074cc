# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/metrics/classes.json: metrics of small made-up predictions by scikit-learn
itself (expected calibration error, which it has not, by its definition in numpy).

Needs scikit-learn 1.9.1. Run from the root of the repository:
    python tests/make_goldens/make_class_metrics.py
"""
import json
import warnings

import numpy as np
import sklearn
from sklearn import metrics as sk

warnings.simplefilter('ignore')
BINS = 15


def softmax(logits):
    x = np.exp(logits - logits.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True)


def calibration_error(p, labels):
    best = p.argmax(axis=1)
    confidence = p[np.arange(len(p)), best]
    bounds = np.arange(BINS + 1) / BINS
    total = 0.0
    for low, high in zip(bounds[:-1], bounds[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = (best[inside] == labels[inside]).mean() - confidence[inside].mean()
            total += abs(gap) * inside.mean()
    return total


def averages(labels, best, kinds):
    values = {}
    for kind in kinds:
        for name, function in (('f1', sk.f1_score), ('precision', sk.precision_score),
                               ('recall', sk.recall_score)):
            values[f'{name}_{kind}'] = function(labels, best, average=kind, zero_division=0)
    return values


def class_values(logits, labels):
    p = softmax(logits.astype(np.float64))
    n_classes = logits.shape[1]
    every = range(n_classes)
    best = logits.argmax(axis=1)
    values = averages(labels, best, ('macro', 'micro', 'weighted'))
    values['cls_accuracy'] = sk.accuracy_score(labels, best)
    values['balanced_accuracy'] = sk.balanced_accuracy_score(labels, best)
    values['matthews_corrcoef'] = sk.matthews_corrcoef(labels, best)
    values['cohen_kappa'] = sk.cohen_kappa_score(labels, best)
    values['cohen_kappa_quadratic'] = sk.cohen_kappa_score(labels, best, labels=every,
                                                           weights='quadratic')
    values['log_loss'] = sk.log_loss(labels, p, labels=every)
    values['brier_score'] = (sk.brier_score_loss(labels, p[:, 1], labels=every) if n_classes == 2
                             else sk.brier_score_loss(labels, p, labels=every))
    values['ece'] = calibration_error(p, labels)
    figures = sk.precision_recall_fscore_support(labels, best, labels=every, zero_division=0)
    for name, of_classes in zip(('precision', 'recall', 'f1'), figures):
        for c, value in enumerate(of_classes):
            values[f'{name}/{c}'] = value
    if n_classes == 2:
        for name in ('precision', 'recall', 'f1'):
            values[name] = values[f'{name}/1']
    else:
        values['top_k_accuracy'] = sk.top_k_accuracy_score(labels, logits, labels=every)
        for k in (1, 3):
            values[f'top_k_accuracy_at_{k}'] = sk.top_k_accuracy_score(labels, logits, k=k,
                                                                       labels=every)
    return values


def case(logits, labels):
    logits = np.array([[float(str(x)) for x in row] for row in np.asarray(logits, np.float32)],
                      np.float32)
    values = class_values(logits, np.asarray(labels))
    return {'num_classes': logits.shape[1],
            'predictions': [float(str(x)) for x in logits.reshape(-1)],
            'labels': [float(x) for x in labels],
            'values': {k: float(v) if np.isfinite(v) else 'nan' for k, v in values.items()}}


def guesses(rng, n_classes, n, sharpness):
    labels = rng.integers(0, n_classes, n)
    return rng.normal(0, 1, (n, n_classes)) + sharpness * np.eye(n_classes)[labels], labels


def class_cases(rng):
    two, two_labels = guesses(rng, 2, 61, 1.0)
    three, three_labels = guesses(rng, 3, 61, 1.2)
    many, many_labels = guesses(rng, 12, 150, 2.0)
    without = np.where(three_labels == 1, 0, three_labels)
    return {
        'two': case(two, two_labels),
        'two_ties': case(np.round(two), two_labels),
        'two_sure': case(two * 30, two_labels),
        'two_one_predicted': case(two * 0 + [[1, 0]], two_labels),
        'two_only_negative': case(two, two_labels * 0),
        'two_only_positive': case(two, two_labels * 0 + 1),
        'two_one_row': case(two[:1], two_labels[:1]),
        'three': case(three, three_labels),
        'three_ties': case(np.round(three), three_labels),
        'three_equal_scores': case(three * 0, three_labels),
        'three_class_without_labels': case(three, without),
        'three_class_without_anything': case(three - [[0, 9, 0]], without),
        'three_one_row': case(three[:1], three_labels[:1]),
        'twelve': case(many, many_labels),
    }


def main():
    cases = class_cases(np.random.default_rng(11))
    with open('tests/goldens/metrics/classes.json', 'w', encoding='utf-8') as f:
        json.dump({'maker': 'tests/make_goldens/make_class_metrics.py; scikit-learn '
                            + sklearn.__version__, 'cases': cases}, f, indent=0,
                  separators=(',', ':'))
        f.write('\n')


main()
