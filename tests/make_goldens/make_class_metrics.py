# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/metrics/classes.json: metrics of small made-up predictions by scikit-learn
itself (expected calibration error, which it has not, by its definition in numpy).

Needs scikit-learn 1.9.1. Run from the root of the repository:
    python tests/make_goldens/make_class_metrics.py
"""
import json
import warnings

import numpy as np
import philox
import sklearn
from scipy import optimize
from sklearn import metrics as sk

warnings.simplefilter('ignore')
BINS = 15
BOOT = 0x424f4f54


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


def equal(a, b):
    return abs(a - b) < 1e-13 or (np.isnan(a) and np.isnan(b))


def curves(values, scores, applies):
    for c in range(scores.shape[1]):
        values[f'roc_auc/{c}'] = sk.roc_auc_score(applies[:, c], scores[:, c])
        values[f'average_precision/{c}'] = sk.average_precision_score(applies[:, c], scores[:, c])


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
    curves(values, p, np.eye(n_classes)[labels])
    if n_classes == 2:
        for name in ('precision', 'recall', 'f1', 'roc_auc', 'average_precision'):
            values[name] = values[f'{name}/1']
        assert equal(values['roc_auc'], sk.roc_auc_score(labels, p[:, 1]))
    else:
        applies = np.eye(n_classes)[labels]
        # the very call where all classes are there, and its definition where it refuses
        values['roc_auc_ovr'] = np.mean([values[f'roc_auc/{c}'] for c in every])
        values['roc_auc_ovr_weighted'] = np.sum(
            [applies[:, c].mean() * values[f'roc_auc/{c}'] for c in every if applies[:, c].any()])
        if applies.any(axis=0).all():
            for average in ('macro', 'weighted'):
                name = 'roc_auc_ovr' + ('_weighted' if average == 'weighted' else '')
                assert equal(values[name], sk.roc_auc_score(labels, p, multi_class='ovr',
                                                            average=average))
        for average in ('macro', 'weighted'):
            values[f'average_precision_{average}'] = sk.average_precision_score(applies, p,
                                                                                average=average)
        values['top_k_accuracy'] = sk.top_k_accuracy_score(labels, logits, labels=every)
        for k in (1, 3):
            values[f'top_k_accuracy_at_{k}'] = sk.top_k_accuracy_score(labels, logits, k=k,
                                                                       labels=every)
    return values


def draw(n, seed, sample):
    """Rows of a bootstrap sample: word i of the counter-based generator, times n."""
    key = philox.philox([sample, 0, 0, BOOT], [seed & 0xFFFFFFFF, seed >> 32])
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    out = philox.philox([blocks, 0, key[2], key[3]], key[:2])
    words = np.stack(np.broadcast_arrays(*out), axis=-1).reshape(-1)[:n]
    return (words * np.uint64(n) >> np.uint64(32)).astype(np.int64)


def intervals(entry, names, samples=60, seed=7):
    logits = np.array(entry['predictions'], np.float32).reshape(-1, entry['num_classes'])
    labels = np.array(entry['labels'], np.int64)
    values = {name: [] for name in names}
    for sample in range(samples):
        rows = draw(len(labels), seed, sample)
        of_sample = class_values(logits[rows], labels[rows])
        for name in names:
            values[name].append(of_sample[name])
    entry['samples'] = samples
    entry['seed'] = seed
    entry['intervals'] = {}
    for name in names:
        defined = [v for v in values[name] if np.isfinite(v)]
        low, high = np.percentile(defined, [2.5, 97.5]) if defined else (np.nan, np.nan)
        for end, value in (('low', low), ('high', high)):
            entry['intervals'][f'{name}_ci_{end}'] = value if np.isfinite(value) else 'nan'


def temperature(entry):
    """Of the least log loss, by scipy, and the values under it."""
    logits = np.array(entry['predictions'], np.float32).reshape(-1, entry['num_classes'])
    logits = logits.astype(np.float64)
    labels = np.array(entry['labels'], np.int64)

    def loss(t):
        scaled = logits / t
        largest = scaled.max(axis=1)
        log_sum = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return (log_sum - scaled[np.arange(len(labels)), labels]).mean()

    found = optimize.minimize_scalar(lambda x: loss(np.exp(x)), bounds=(-4.6, 4.6),
                                     method='bounded', options={'xatol': 1e-10})
    best = float(np.float32(np.exp(found.x)))
    p = softmax(logits / best)
    entry['temperature'] = best
    entry['log_loss_calibrated'] = sk.log_loss(labels, p, labels=range(entry['num_classes']))
    entry['ece_calibrated'] = calibration_error(p, labels)


def thresholds(entry, functions):
    """The best one for each metric, by trying all that tell the rows apart: the middle between two
    scores; of equally good ones the nearest to 0.5."""
    logits = np.array(entry['predictions'], np.float32).reshape(-1, entry['num_classes'])
    labels = np.array(entry['labels'])
    if entry['unit'] == 'set':
        scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
        labels = labels.reshape(logits.shape) >= 0.5
    else:
        scores = softmax(logits.astype(np.float64))[:, 1].astype(np.float32)
    levels = np.unique(scores.astype(np.float64))
    lower = np.concatenate([[0.0], levels])
    upper = np.concatenate([levels, [1.0]])
    middles = ((lower + upper) / 2).astype(np.float32)
    entry['thresholds'] = {}
    for name, function in functions.items():
        tried = [(function(labels, scores >= t), -abs(float(t) - 0.5), float(t)) for t in middles]
        best = max(tried)
        entry['thresholds'][name] = {'threshold': best[2], 'value': best[0]}


def set_values(logits, labels):
    applies = labels >= 0.5
    found = logits >= 0  # probabilities from 0.5 on
    values = averages(applies, found, ('macro', 'micro', 'weighted', 'samples'))
    values['exact_match'] = sk.accuracy_score(applies, found)
    values['hamming_loss'] = sk.hamming_loss(applies, found)
    figures = sk.precision_recall_fscore_support(applies, found, zero_division=0)
    for name, of_classes in zip(('precision', 'recall', 'f1'), figures):
        for c, value in enumerate(of_classes):
            values[f'{name}/{c}'] = value
    curves(values, logits, applies)
    for average in ('macro', 'micro', 'weighted'):
        values[f'roc_auc_{average}'] = sk.roc_auc_score(applies, logits, average=average)
        values[f'average_precision_{average}'] = sk.average_precision_score(applies, logits,
                                                                            average=average)
    return values


def score_values(scores, labels):
    scores = scores[:, 0].astype(np.float64)
    labels = labels.astype(np.float64)
    error = sk.mean_squared_error(labels, scores)
    return {'mean_squared_error': error, 'root_mean_squared_error': np.sqrt(error),
            'mean_absolute_error': sk.mean_absolute_error(labels, scores),
            'r2': sk.r2_score(labels, scores)}


def case(logits, labels, unit='class', function=class_values):
    logits = np.array([[float(str(x)) for x in row] for row in np.asarray(logits, np.float32)],
                      np.float32)
    values = function(logits, np.asarray(labels))
    return {'unit': unit, 'num_classes': logits.shape[1],
            'predictions': [float(str(x)) for x in logits.reshape(-1)],
            'labels': [float(x) for x in np.asarray(labels).reshape(-1)],
            'values': {k: float(v) if np.isfinite(v) else 'nan' for k, v in values.items()}}


def set_cases(rng):
    applies = (rng.random((47, 4)) < [0.5, 0.3, 0.1, 0.7]).astype(np.float32)
    logits = rng.normal(0, 1, applies.shape) + 1.5 * applies - 0.7
    never = applies * [1, 0, 1, 1]
    soft = applies * 0.8 + 0.1
    rows = {'sets': (logits, applies), 'sets_ties': (np.round(logits), applies),
            'sets_class_never': (logits, never), 'sets_soft': (logits, soft),
            'sets_nothing_found': (logits - 90, applies), 'sets_nothing_there': (logits, applies * 0),
            'sets_everything_there': (logits, applies * 0 + 1),
            'sets_one_row': (logits[:1], applies[:1]),
            'sets_of_one': (logits[:, :2], applies[:, :2])}
    return {name: case(x, np.asarray(y, np.float32), 'set', set_values)
            for name, (x, y) in rows.items()}


def score_cases(rng):
    labels = (np.round(rng.uniform(0, 5, 43) * 5) / 5).astype(np.float32)
    scores = labels[:, None] + rng.normal(0, 0.7, (43, 1))
    rows = {'scores': (scores, labels), 'scores_perfect': (labels[:, None], labels),
            'scores_constant_labels': (scores, labels * 0 + 2),
            'scores_constant_and_right': (scores * 0 + 2, labels * 0 + 2),
            'scores_one_row': (scores[:1], labels[:1])}
    return {name: case(x, y, 'score', score_values) for name, (x, y) in rows.items()}


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
    rng = np.random.default_rng(11)
    ends = ['cls_accuracy', 'matthews_corrcoef', 'f1_macro', 'recall/1', 'balanced_accuracy',
            'cohen_kappa', 'log_loss', 'brier_score', 'ece']
    cases = {**class_cases(rng), **set_cases(rng), **score_cases(rng)}
    macro = dict(average='macro', zero_division=0)
    binary = {'f1': lambda y, p: sk.f1_score(y, p, zero_division=0), 'cls_accuracy': sk.accuracy_score,
              'f1_macro': lambda y, p: sk.f1_score(y, p, **macro),
              'balanced_accuracy': sk.balanced_accuracy_score,
              'matthews_corrcoef': sk.matthews_corrcoef}
    sets = {'f1_micro': lambda y, p: sk.f1_score(y, p, average='micro', zero_division=0),
            'f1_macro': lambda y, p: sk.f1_score(y, p, **macro)}
    for name in ('two', 'two_ties', 'two_only_negative', 'two_one_row'):
        thresholds(cases[name], binary)
    for name in ('sets', 'sets_ties', 'sets_nothing_there'):
        thresholds(cases[name], sets)
    for name in ('two', 'two_ties', 'two_sure', 'three', 'twelve'):
        temperature(cases[name])
    intervals(cases['two'], [*ends, 'f1', 'precision', 'roc_auc', 'average_precision'])
    intervals(cases['two_ties'], ['roc_auc', 'average_precision', 'f1_weighted'])
    intervals(cases['two_only_negative'], ['roc_auc', 'average_precision', 'f1'])
    intervals(cases['two_one_row'], ['roc_auc', 'cls_accuracy'])
    intervals(cases['three'], [*ends, 'top_k_accuracy', 'cohen_kappa_quadratic'])
    with open('tests/goldens/metrics/classes.json', 'w', encoding='utf-8') as f:
        json.dump({'maker': 'tests/make_goldens/make_class_metrics.py; scikit-learn '
                            + sklearn.__version__, 'cases': cases}, f, indent=0,
                  separators=(',', ':'))
        f.write('\n')


main()
