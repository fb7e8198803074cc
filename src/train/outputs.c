/* SPDX-License-Identifier: Apache-2.0
 *
 * Outputs of the model that are not finite. What is made of them would look like something: no
 * class is the largest of NaN, so the first one is found, with an accuracy; no span has a score, so
 * a question has no answer. */
#include <inttypes.h>

#include "bt/base/number.h"
#include "run.h"

/* The place of the row of number i of a batch's logits. */
static int64_t place_of(const train_run *run, const bt_batch *batch, int64_t n, int64_t i) {
    int64_t row = i / (n / batch->n_rows);
    if (run->model->head.kind == BT_HEAD_TOKENS) {
        const int64_t token = i / (n / batch->n_tokens);
        for (row = 0; batch->offsets[row + 1] <= token;) {
            row++;
        }
    }
    return batch->first_record + row;
}

static bt_status fail_row(const train_run *run, const char *row, const char *value, bt_error *err) {
    if (!bt_conf_mode_trains(run->args->mode)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       BT_CONF_VALIDATION_DATA
                       ": %s: the model's output is %s, not a finite number: the weights of the "
                       "checkpoint are damaged or too large, take another one",
                       row, value);
    }
    return BT_FAIL(err, BT_E_DIVERGED,
                   "step %" PRId64 ": the model's output for %s of " BT_CONF_VALIDATION_DATA
                   " is %s, not a finite number: the training diverged, and there is nothing to "
                   "evaluate; try a smaller learning rate",
                   run->step, row, value);
}

bt_status outputs_check(const train_run *run, const bt_batch *batch, const float *logits,
                        bt_error *err) {
    const int64_t n = bt_model_n_logits(run->model, batch);
    const int64_t at = bt_f32_find_odd(logits, n);
    if (at < 0) {
        return BT_OK;
    }
    char          number[BT_F64_TEXT_MAX];
    const int64_t place = place_of(run, batch, n, at);
    bt_str        row = BT_STR_INIT;
    bt_status     rc = BT_OK;
    BT_CHECK(run->validation_data != NULL ? bt_data_say_row(run->validation_data, place, &row, err)
                                          : bt_str_appendf(&row, err, "row %" PRId64, place));
    rc = fail_row(run, bt_str_text(&row), bt_f32_repr(logits[at], number), err);
done:
    bt_str_deinit(&row);
    return rc;
}
