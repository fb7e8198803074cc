# SPDX-License-Identifier: Apache-2.0
"""A folder in the form of GLUE's MNLI, of made-up rows."""
import os

HEAD = 'index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse ' \
       'sentence1 sentence2'.split()
LABELS = ['contradiction', 'entailment', 'neutral']


def write_folder(folder, texts, rng, n_train, n_dev):
    os.makedirs(folder)
    for name, n, n_labels in (('train', n_train, 1), ('dev_matched', n_dev, 5), ('dev_mismatched', n_dev, 5),
                              ('test_matched', n_dev, 0), ('test_mismatched', n_dev, 0)):
        lines = [HEAD + ['label%d' % (i + 1) for i in range(n_labels)] + ['gold_label'] * bool(n_labels)]
        for i in range(n):
            lines.append([str(i)] + ['x'] * 7 + rng.sample(texts, 2) + [LABELS[i % 3]] * (n_labels + bool(n_labels)))
        with open(os.path.join(folder, name + '.tsv'), 'w', encoding='utf-8') as out:
            out.writelines('\t'.join(line) + '\n' for line in lines)
