# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/mine/cases.json: translation pairs among small random vectors by plain NumPy,
after the published description of margin-based mining (Artetxe and Schwenk, ACL 2019, equations 1
to 3, ratio; candidates of both sides, best first, no sentence twice) and BUCC's search for the
threshold of the best F1.

Needs NumPy. Run from the root of the repository:
    python tests/make_goldens/make_mining.py
"""
import json
import os

import numpy as np


def unit(x):
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True))


def top(cosine, k):
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosine, order, axis=1)


def mine(cosine, k, ratio):
    """(best of each left row, best of each right row, pairs), each with scores."""
    right_of, right_cos = top(cosine, k)
    left_of, left_cos = top(cosine.T, k)
    score = np.array(cosine)
    if ratio:
        score = cosine / ((right_cos.mean(axis=1)[:, None] + left_cos.mean(axis=1)[None, :]) / 2)
    best_right = np.array([max(right_of[i], key=lambda j: score[i, j]) for i in range(len(cosine))])
    best_left = np.array([max(left_of[j], key=lambda i: score[i, j])
                          for j in range(cosine.shape[1])])
    candidates = {(i, int(j)) for i, j in enumerate(best_right)}
    candidates |= {(int(i), j) for j, i in enumerate(best_left)}
    pairs, lefts, rights = [], set(), set()
    for i, j in sorted(candidates, key=lambda p: (-score[p], p)):
        if i not in lefts and j not in rights:
            pairs.append([float(score[i, j]), i, j])
            lefts.add(i)
            rights.add(j)
    return best_right, best_left, pairs


def best_f1(pairs, gold):
    best = dict(f1=0.0)
    n_right = 0
    for i, (score, left, right) in enumerate(pairs):
        n_right += (left, right) in gold
        if n_right == 0:
            continue
        precision, recall = n_right / (i + 1), n_right / len(gold)
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best["f1"]:
            following = pairs[i + 1][0] if i + 1 < len(pairs) else score
            best = dict(f1=f1, precision=precision, recall=recall, n_kept=i + 1,
                        threshold=(score + following) / 2)
    return best


def case(seed, n_left, n_right, width, noise, k):
    rng = np.random.RandomState(seed)
    left = rng.randn(n_left, width) + 0.7  # a common direction: hubs, which the margin is against
    right = rng.randn(n_right, width) + 0.7
    n_gold = min(n_left, n_right) // 2
    place = rng.permutation(n_right)[:n_gold]
    right[place] = left[:n_gold] + noise * rng.randn(n_gold, width)
    left, right = (np.float32(np.round(x, 4)) for x in (left, right))
    cosine = unit(left.astype(np.float64)) @ unit(right.astype(np.float64)).T
    gold = {(i, int(j)) for i, j in enumerate(place)}
    out = dict(width=width, k=k, left=[float(str(x)) for x in left.reshape(-1)],
               right=[float(str(x)) for x in right.reshape(-1)], gold=sorted(gold))
    for name in ("ratio", "cosine"):
        best_right, best_left, pairs = mine(cosine, k if name == "ratio" else 1, name == "ratio")
        out[name] = dict(best_of_left=best_right.tolist(), best_of_right=best_left.tolist(),
                         pairs=pairs, quality=best_f1(pairs, gold),
                         n_same_row=int((best_right == np.arange(n_left)).sum()))
    return out


def main():
    os.makedirs("tests/goldens/mine", exist_ok=True)
    cases = {"hubs": case(1, 29, 23, 6, 0.5, 4), "few": case(2, 3, 7, 5, 0.4, 4),
             "wide": case(3, 17, 31, 13, 0.9, 2)}
    with open("tests/goldens/mine/cases.json", "w", encoding="utf-8") as file:
        json.dump(cases, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
