/* SPDX-License-Identifier: Apache-2.0
 *
 * Outputs of the model that are not finite. What is made of them would look like something: no
 * class is the largest of NaN, so the first one is found, with an accuracy; no span has a score, so
 * a question has no answer. */
#include <inttypes.h>

#include "bt/base/number.h"
#include "run.h"

/* The row of number i of a batch's logits, counted from the first of the data. */
static int64_t row_of(const train_run *run, const bt_batch *batch, int64_t n, int64_t i) {
    int64_t row = i / (n / batch->n_rows);
    if (run->model->head.kind == BT_HEAD_TOKENS) {
        const int64_t token = i / (n / batch->n_tokens);
        for (row = 0; batch->offsets[row + 1] <= token;) {
            row++;
        }
    }
    return batch->first_record + row;
}

bt_status outputs_check(const train_run *run, const bt_batch *batch, const float *logits,
                        bt_error *err) {
    const int64_t n = bt_model_n_logits(run->model, batch);
    const int64_t at = bt_f32_find_odd(logits, n);
    if (at < 0) {
        return BT_OK;
    }
    char              number[BT_F64_TEXT_MAX];
    const char *const value = bt_f32_repr(logits[at], number);
    const int64_t     row = row_of(run, batch, n, at);
    if (!bt_conf_mode_trains(run->args->mode)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       BT_CONF_VALIDATION_DATA
                       ": row %" PRId64
                       ": the model's output is %s, not a finite number: the weights of the "
                       "checkpoint are damaged or too large, take another one",
                       row, value);
    }
    return BT_FAIL(err, BT_E_DIVERGED,
                   "step %" PRId64 ": the model's output for row %" PRId64
                   " of " BT_CONF_VALIDATION_DATA
                   " is %s, not a finite number: the training diverged, and there is nothing to "
                   "evaluate; try a smaller learning rate",
                   run->step, row, value);
}
