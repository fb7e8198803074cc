/* SPDX-License-Identifier: Apache-2.0
 *
 * The part that judges a row of several labels as a whole: precision, recall and F1 of each row's
 * set, averaged over rows (scikit-learn's average='samples', zero_division=0), and the share of
 * single decisions that are wrong. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_kept.h"

typedef struct set_sums {
    int64_t n_classes;
    double  cut; /* logit of the threshold */
    int64_t n;   /* rows */
    int64_t n_wrong;
    double  precision, recall, f1;
} set_sums;

enum { N_SUMS = 3 };

static bt_status create_sums(const bt_metrics_config *config, void **state, bt_error *err) {
    set_sums *const s = bt_calloc_array(1, sizeof *s);
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for sums over label sets");
    }
    s->n_classes = config->n_classes;
    s->cut = log(config->threshold / (1 - config->threshold));
    *state = s;
    return BT_OK;
}

static void reset_sums(void *state) {
    set_sums *const s = state;
    *s = (set_sums){.n_classes = s->n_classes, .cut = s->cut};
}

static double share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* Of a row. */
typedef struct set_row {
    int64_t n_applies, n_found, n_both;
} set_row;

static void add_class(set_row *row, bool applies, bool found) {
    row->n_applies += applies ? 1 : 0;
    row->n_found += found ? 1 : 0;
    row->n_both += applies && found ? 1 : 0;
}

static void add_row(set_sums *s, const set_row *row) {
    s->n_wrong += row->n_applies + row->n_found - 2 * row->n_both;
    s->precision += share(row->n_both, row->n_found);
    s->recall += share(row->n_both, row->n_applies);
    s->f1 += share(2 * row->n_both, row->n_applies + row->n_found);
    s->n++;
}

static bt_status update_sums(void *state, const bt_batch *batch, const float *logits,
                             bt_error *err) {
    set_sums *const s = state;
    (void)err;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        set_row row = {0};
        for (int64_t i = b * s->n_classes; i < (b + 1) * s->n_classes; i++) {
            add_class(&row, batch->float_labels[i] >= 0.5F, (double)logits[i] >= s->cut);
        }
        add_row(s, &row);
    }
    return BT_OK;
}

void metric_sets_recount(void *state, const kept_rows *k, double threshold) {
    reset_sums(state);
    for (int64_t b = 0; b < k->n; b++) {
        set_row row = {0};
        for (int64_t i = b * k->n_classes; i < (b + 1) * k->n_classes; i++) {
            add_class(&row, k->applies[i] != 0,
                      (double)bt_metrics_sigmoid(k->logits[i]) >= threshold);
        }
        add_row(state, &row);
    }
}

static bt_status save_sums(const void *state, bt_str *bytes, bt_error *err) {
    const set_sums *const s = state;
    const int64_t         head[] = {s->n, s->n_wrong};
    const double          sums[N_SUMS] = {s->precision, s->recall, s->f1};
    uint64_t              words[N_SUMS];
    memcpy(words, sums, sizeof words);
    BT_TRY(metric_put_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    return metric_put_words(bytes, words, N_SUMS, err);
}

static bt_status load_sums(void *state, bt_reader *bytes, bt_error *err) {
    set_sums *const s = state;
    int64_t         head[2] = {0};
    uint64_t        words[N_SUMS];
    double          sums[N_SUMS];
    BT_TRY(metric_get_counts(bytes, head, (int64_t)BT_ARRAY_LEN(head), err));
    BT_TRY(metric_get_words(bytes, words, N_SUMS, err));
    memcpy(sums, words, sizeof sums);
    s->n = head[0];
    s->n_wrong = head[1];
    s->precision = sums[0];
    s->recall = sums[1];
    s->f1 = sums[2];
    return BT_OK;
}

const metric_part metric_part_sets = {
    .wants_labels = "float",
    .create = create_sums,
    .destroy = bt_free,
    .reset = reset_sums,
    .update = update_sums,
    .save = save_sums,
    .load = load_sums,
};

double metric_of_samples(const bt_metrics *metrics, const metric_row *row) {
    const set_sums *const s = metrics->states[PART_SETS];
    const double          sum = row->figure == FIGURE_PRECISION ? s->precision
                                : row->figure == FIGURE_RECALL  ? s->recall
                                                                : s->f1;
    return s->n > 0 ? sum / (double)s->n : (double)NAN;
}

double metric_hamming_loss(const bt_metrics *metrics) {
    const set_sums *const s = metrics->states[PART_SETS];
    return s->n > 0 ? (double)s->n_wrong / (double)(s->n * s->n_classes) : (double)NAN;
}
