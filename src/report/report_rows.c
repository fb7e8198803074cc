/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of an evaluation whose prediction is wrong with the most confidence, kept while it goes
 * on: so many, with their tokens, in memory that is taken once. Of two that are equal the earlier
 * one is kept, so that the same evaluation keeps the same rows. */
#include "report_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"

void bt_report_rows_free(bt_report_rows *rows) {
    if (rows != NULL) {
        bt_free(rows->kept);
        bt_free(rows->numbers);
        bt_free(rows->chances);
        bt_free(rows->lengths);
        bt_free(rows);
    }
}

/* Each kept row has its part of the two arrays. */
static bt_status share_out(bt_report_rows *rows, bt_error *err) {
    const bt_report_rows_config *const c = &rows->config;
    const bool                         has_tokens = c->kind == BT_REPORT_TAGS;
    const size_t                       S = (size_t)c->seq_length;
    const size_t                       n_most = (size_t)c->n_most;
    const size_t                       n_labels = has_tokens                        ? S
                                                  : c->kind == BT_REPORT_LABEL_SETS ? (size_t)c->n_classes
                                                                                    : 1;
    size_t                             n_numbers = 0;
    size_t                             n_chances = 0;
    if (!bt_size_mul(n_most, 2 * S + 2 * n_labels, &n_numbers) ||
        !bt_size_mul(n_most, 2 * n_labels, &n_chances)) {
        return BT_FAIL(err, BT_E_CONFIG, "trainer.report_examples: so many rows cannot be kept");
    }
    rows->kept = bt_calloc_array(n_most, sizeof *rows->kept);
    rows->numbers = bt_calloc_array(n_numbers, sizeof *rows->numbers);
    rows->chances = bt_calloc_array(n_chances, sizeof *rows->chances);
    rows->lengths = bt_calloc_array(S + 1, sizeof *rows->lengths);
    if (rows->kept == NULL || rows->numbers == NULL || rows->chances == NULL ||
        rows->lengths == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of the report");
    }
    for (size_t i = 0; i < n_most; i++) {
        int32_t *const numbers = rows->numbers + i * (2 * S + 2 * n_labels);
        rows->kept[i] = (kept_row){.ids = numbers,
                                   .types = numbers + S,
                                   .labels = numbers + 2 * S,
                                   .found = numbers + 2 * S + n_labels,
                                   .chances = rows->chances + i * 2 * n_labels};
    }
    return BT_OK;
}

bt_status bt_report_rows_create(const bt_report_rows_config *config, bt_report_rows **out,
                                bt_error *err) {
    bt_report_rows *const rows = bt_calloc_array(1, sizeof *rows);
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of the report");
    }
    rows->config = *config;
    const bt_status rc = share_out(rows, err);
    if (rc != BT_OK) {
        bt_report_rows_free(rows);
        return rc;
    }
    *out = rows;
    return BT_OK;
}

void bt_report_rows_reset(bt_report_rows *rows) {
    rows->n_kept = 0;
    rows->n_rows = 0;
    rows->n_wrong = 0;
    memset(rows->lengths, 0, (size_t)(rows->config.seq_length + 1) * sizeof *rows->lengths);
}

/* Softmax of one class, in double; *best: the first of the largest. */
static double chance_of(const float *logits, int64_t n, int64_t wanted, int64_t *best) {
    double sum = 0;
    *best = 0;
    for (int64_t c = 1; c < n; c++) {
        *best = logits[c] > logits[*best] ? c : *best;
    }
    for (int64_t c = 0; c < n; c++) {
        sum += exp((double)logits[c] - (double)logits[*best]);
    }
    return exp((double)logits[wanted < 0 ? *best : wanted] - (double)logits[*best]) / sum;
}

static double sigmoid(float logit) {
    return 1 / (1 + exp(-(double)logit));
}

/* How wrong a row is: the confidence of its worst mistake; below 0: it is right. */
static double judge(const bt_report_rows_config *config, const bt_batch *batch, int64_t b,
                    const float *logits) {
    const int64_t C = config->n_classes;
    double        worst = -1;
    int64_t       best = 0;
    switch (config->kind) {
    case BT_REPORT_LENGTHS:
        break;
    case BT_REPORT_CLASSES: {
        const double chance = chance_of(logits + b * C, C, -1, &best);
        return best != batch->int_labels[b] ? chance : -1;
    }
    case BT_REPORT_SCORES:
        return fabs((double)logits[b] - (double)batch->float_labels[b]);
    case BT_REPORT_LABEL_SETS:
        for (int64_t c = 0; c < C; c++) {
            const double chance = sigmoid(logits[b * C + c]);
            const bool   applies = batch->float_labels[b * C + c] >= 0.5F;
            if (applies != (chance >= config->threshold)) {
                worst = fmax(worst, applies ? 1 - chance : chance);
            }
        }
        break;
    case BT_REPORT_TAGS:
        for (int64_t t = batch->offsets[b]; t < batch->offsets[b + 1]; t++) {
            const int32_t label = batch->int_labels[t];
            const double  chance = label >= 0 ? chance_of(logits + t * C, C, -1, &best) : 0;
            worst = label >= 0 && best != label ? fmax(worst, chance) : worst;
        }
        break;
    }
    return worst;
}

static void keep_answer(const bt_report_rows_config *config, kept_row *row, const bt_batch *batch,
                        int64_t b, const float *logits) {
    const int64_t C = config->n_classes;
    const int64_t first = batch->offsets[b];
    int64_t       best = 0;
    switch (config->kind) {
    case BT_REPORT_LENGTHS:
        break;
    case BT_REPORT_CLASSES:
        row->labels[0] = batch->int_labels[b];
        row->chances[0] = chance_of(logits + b * C, C, -1, &best);
        row->chances[1] = chance_of(logits + b * C, C, row->labels[0], &best);
        row->found[0] = (int32_t)best;
        break;
    case BT_REPORT_SCORES:
        row->chances[0] = (double)logits[b];
        row->chances[1] = (double)batch->float_labels[b];
        break;
    case BT_REPORT_LABEL_SETS:
        for (int64_t c = 0; c < C; c++) {
            row->chances[c] = sigmoid(logits[b * C + c]);
            row->labels[c] = batch->float_labels[b * C + c] >= 0.5F;
            row->found[c] = row->chances[c] >= config->threshold;
        }
        break;
    case BT_REPORT_TAGS:
        for (int64_t t = 0; t < row->n; t++) {
            row->labels[t] = batch->int_labels[first + t];
            row->chances[t] = chance_of(logits + (first + t) * C, C, -1, &best);
            row->found[t] = (int32_t)best;
        }
        break;
    }
}

/* The place of a row that is that wrong, or NULL. */
static kept_row *find_place(bt_report_rows *rows, double wrong) {
    int64_t least = 0;
    if (rows->n_kept < rows->config.n_most) {
        return &rows->kept[rows->n_kept++];
    }
    for (int64_t i = 1; i < rows->n_kept; i++) {
        const kept_row *const a = &rows->kept[i];
        const kept_row *const b = &rows->kept[least];
        least = a->wrong < b->wrong || (a->wrong == b->wrong && a->place > b->place) ? i : least;
    }
    return rows->n_kept > 0 && wrong > rows->kept[least].wrong ? &rows->kept[least] : NULL;
}

void bt_report_rows_add(bt_report_rows *rows, const bt_batch *batch, const float *logits) {
    const int64_t S = rows->config.seq_length;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const int64_t first = batch->offsets[b];
        const int64_t n = batch->offsets[b + 1] - first;
        const double  wrong = judge(&rows->config, batch, b, logits);
        rows->n_rows++;
        rows->lengths[n < S ? n : S]++;
        if (!(wrong >= 0)) {
            continue;
        }
        rows->n_wrong++;
        kept_row *const row = find_place(rows, wrong);
        if (row != NULL) {
            row->place = batch->first_record + b;
            row->wrong = wrong;
            row->n = n < S ? n : S;
            memcpy(row->ids, batch->ids + first, (size_t)row->n * sizeof *row->ids);
            memcpy(row->types, batch->types + first, (size_t)row->n * sizeof *row->types);
            keep_answer(&rows->config, row, batch, b, logits);
        }
    }
}
