/* SPDX-License-Identifier: Apache-2.0
 *
 * Precision, recall and F1 of each class and their averages, balanced accuracy and Cohen's kappa,
 * as scikit-learn has them: a share of nothing is 0 (zero_division=0), and a class that is neither
 * a label nor predicted is not among those that a macro average is over, unless several labels may
 * apply to a row. */
#include <math.h>

#include "metrics_internal.h"

static metric_counts counts_of(const bt_metrics *metrics) {
    if (metrics->unit == BT_METRIC_OF_LABEL_SETS) {
        return metric_multi_counts(metrics);
    }
    if (metrics->unit == BT_METRIC_OF_TOKENS) {
        return metric_entity_counts(metrics);
    }
    const class_table *const t = metrics->states[PART_TABLE];
    return (metric_counts){t->n_classes, t->labelled, t->predicted, t->correct};
}

static double share(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

static double figure_of(metric_figure figure, int64_t applies, int64_t found, int64_t both) {
    switch (figure) {
    case FIGURE_PRECISION:
        return share((double)both, (double)found);
    case FIGURE_RECALL:
        return share((double)both, (double)applies);
    case FIGURE_F1:
        break;
    }
    return share(2.0 * (double)both, (double)applies + (double)found);
}

static double figure_at(const metric_counts *k, metric_figure figure, int64_t c) {
    return figure_of(figure, k->applies[c], k->found[c], k->both[c]);
}

static double macro(const metric_counts *k, metric_figure figure, bool all) {
    double  sum = 0;
    int64_t n = 0;
    for (int64_t c = 0; c < k->n_classes; c++) {
        if (all || k->applies[c] + k->found[c] > 0) {
            sum += figure_at(k, figure, c);
            n++;
        }
    }
    return share(sum, (double)n);
}

static double micro(const metric_counts *k, metric_figure figure) {
    int64_t applies = 0;
    int64_t found = 0;
    int64_t both = 0;
    for (int64_t c = 0; c < k->n_classes; c++) {
        applies += k->applies[c];
        found += k->found[c];
        both += k->both[c];
    }
    return figure_of(figure, applies, found, both);
}

static double weighted(const metric_counts *k, metric_figure figure) {
    double sum = 0;
    double weight = 0;
    for (int64_t c = 0; c < k->n_classes; c++) {
        sum += (double)k->applies[c] * figure_at(k, figure, c);
        weight += (double)k->applies[c];
    }
    return share(sum, weight);
}

double metric_averaged(const bt_metrics *metrics, const metric_row *row) {
    const metric_counts k = counts_of(metrics);
    const bool          all = metrics->unit == BT_METRIC_OF_LABEL_SETS;
    switch (row->average) {
    case AVERAGE_MACRO:
        return macro(&k, row->figure, all);
    case AVERAGE_MICRO:
        return micro(&k, row->figure);
    case AVERAGE_WEIGHTED:
        break;
    }
    return weighted(&k, row->figure);
}

double metric_of_class(const bt_metrics *metrics, const metric_row *row, int64_t c) {
    const metric_counts k = counts_of(metrics);
    return figure_at(&k, row->figure, c);
}

double metric_of_second(const bt_metrics *metrics, const metric_row *row) {
    return metric_of_class(metrics, row, 1);
}

/* The mean recall of the classes that are a label. */
double metric_balanced_accuracy(const bt_metrics *metrics) {
    const metric_counts k = counts_of(metrics);
    double              sum = 0;
    int64_t             n = 0;
    for (int64_t c = 0; c < k.n_classes; c++) {
        if (k.applies[c] > 0) {
            sum += figure_at(&k, FIGURE_RECALL, c);
            n++;
        }
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}

/* observed: what disagrees, weighed; by chance labels and predictions would disagree by expected.
 * Without any expectation there is no kappa: scikit-learn's is NaN too. */
static double kappa(double observed, double expected) {
    return expected > 0 ? 1.0 - observed / expected : (double)NAN;
}

double metric_cohen_kappa(const bt_metrics *metrics) {
    const class_table *const t = metrics->states[PART_TABLE];
    const double             n = (double)t->n;
    double                   agreed = 0;
    double                   by_chance = 0;
    for (int64_t c = 0; c < t->n_classes; c++) {
        agreed += (double)t->correct[c];
        by_chance += (double)t->labelled[c] * (double)t->predicted[c];
    }
    return kappa((n - agreed) * n, n * n - by_chance);
}

/* Disagreements weigh as the square of how far the numbers of two classes are apart: the classes
 * are taken for ordered. (scikit-learn's with labels=range(num_classes): left alone it numbers only
 * those that occur.) */
double metric_cohen_kappa_quadratic(const bt_metrics *metrics) {
    const class_table *const t = metrics->states[PART_TABLE];
    double                   sums[2] = {0};
    double                   squares[2] = {0};
    const double             n = (double)t->n;
    for (int64_t c = 0; c < t->n_classes; c++) {
        const double place = (double)c;
        sums[0] += place * (double)t->labelled[c];
        sums[1] += place * (double)t->predicted[c];
        squares[0] += place * place * (double)t->labelled[c];
        squares[1] += place * place * (double)t->predicted[c];
    }
    /* sum over pairs of n_i n_j (i - j)^2, divided by n */
    const double expected = n * squares[0] + n * squares[1] - 2.0 * sums[0] * sums[1];
    return kappa(t->gap_sq * n, expected);
}
