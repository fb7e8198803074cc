/* SPDX-License-Identifier: Apache-2.0
 *
 * Class weights and label smoothing of the task's plan, into the model. `balanced` weighs a class
 * by n / (n_classes * count), so that every class has the same share of the loss; the counts are
 * those of the whole training data and so the same when a run continues. */
#include "class_rule.h"

#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"

/* A class without a row weighs 1: no row asks for its weight. */
static bt_status balance(const int64_t *counts, int64_t n_classes, double *weights, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    int64_t   n = 0;
    for (int64_t c = 0; c < n_classes; c++) {
        n += counts[c];
    }
    for (int64_t c = 0; c < n_classes; c++) {
        weights[c] = counts[c] > 0 ? (double)n / ((double)n_classes * (double)counts[c]) : 1;
        if (counts[c] == 0) {
            bt_log(BT_LOG_WARNING,
                   "task.class_weights: class %" PRId64 " does not occur in the training data", c);
        }
        BT_CHECK(bt_str_appendf(&text, err, "%s%.6g", c > 0 ? ", " : "", weights[c]));
    }
    bt_log(BT_LOG_INFO, "task.class_weights: balanced = [%s] over %" PRId64 " labels",
           bt_str_text(&text), n);
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status balanced_weights(bt_data_stream *train_data, int64_t n_classes, double *weights,
                                  bt_error *err) {
    int64_t *const counts = bt_alloc_array((size_t)n_classes, sizeof *counts);
    if (counts == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for counts of %" PRId64 " classes",
                       n_classes);
    }
    bt_status rc = BT_OK;
    BT_CHECK(bt_data_count_labels(train_data, n_classes, counts, err));
    BT_CHECK(balance(counts, n_classes, weights, err));
done:
    bt_free(counts);
    return rc;
}

bt_status set_class_rule(const bt_task_plan *plan, bt_data_stream *train_data, bt_model *model,
                         bt_error *err) {
    if (!plan->balanced_weights || train_data == NULL) {
        return bt_model_set_class_rule(model, plan->label_smoothing,
                                       plan->class_weights.n > 0 ? plan->class_weights.items : NULL,
                                       err);
    }
    double *const weights = bt_alloc_array((size_t)plan->head.num_classes, sizeof *weights);
    if (weights == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights of %" PRId64 " classes",
                       plan->head.num_classes);
    }
    bt_status rc = BT_OK;
    BT_CHECK(balanced_weights(train_data, plan->head.num_classes, weights, err));
    BT_CHECK(bt_model_set_class_rule(model, plan->label_smoothing, weights, err));
done:
    bt_free(weights);
    return rc;
}
