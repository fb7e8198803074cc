/* SPDX-License-Identifier: Apache-2.0
 *
 * The part that sums the absolute errors of scores. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "metrics_internal.h"

typedef struct error_sums {
    int64_t n;
    double  absolute;
} error_sums;

static bt_status create_errors(const bt_metrics_config *config, void **state, bt_error *err) {
    (void)config;
    *state = bt_calloc_array(1, sizeof(error_sums));
    return *state != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for errors");
}

static void reset_errors(void *state) {
    *(error_sums *)state = (error_sums){0};
}

static bt_status update_errors(void *state, const bt_batch *batch, const float *logits,
                               bt_error *err) {
    error_sums *const s = state;
    (void)err;
    for (int64_t i = 0; i < batch->n_seqs; i++) {
        s->absolute += fabs((double)logits[i] - (double)batch->float_labels[i]);
        s->n++;
    }
    return BT_OK;
}

static bt_status save_errors(const void *state, bt_str *bytes, bt_error *err) {
    const error_sums *const s = state;
    uint64_t                word = 0;
    memcpy(&word, &s->absolute, sizeof word);
    BT_TRY(metric_put_counts(bytes, &s->n, 1, err));
    return metric_put_words(bytes, &word, 1, err);
}

static bt_status load_errors(void *state, bt_reader *bytes, bt_error *err) {
    error_sums *const s = state;
    uint64_t          word = 0;
    BT_TRY(metric_get_counts(bytes, &s->n, 1, err));
    BT_TRY(metric_get_words(bytes, &word, 1, err));
    memcpy(&s->absolute, &word, sizeof word);
    return BT_OK;
}

const metric_part metric_part_errors = {
    .wants_labels = "float",
    .create = create_errors,
    .destroy = bt_free,
    .reset = reset_errors,
    .update = update_errors,
    .save = save_errors,
    .load = load_errors,
};

double metric_mean_absolute_error(const bt_metrics *metrics) {
    const error_sums *const s = metrics->states[PART_ERRORS];
    return s->n > 0 ? s->absolute / (double)s->n : (double)NAN;
}
