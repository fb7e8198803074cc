/* SPDX-License-Identifier: Apache-2.0
 *
 * task.class_weights and task.label_smoothing, the same for every task that tells classes apart.
 * Keys of our own; what they do to the loss: docs/numerics.md. */
#include "task_internal.h"

bt_status task_read_class_rule(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char *const path = "task.class_weights";
    BT_TRY(bt_conf_get_f64(conf, "task.label_smoothing", &plan->label_smoothing, err));
    if (bt_conf_is_null(conf, path)) {
        return BT_OK;
    }
    const char *word = NULL;
    if (bt_conf_get_str(conf, path, &word, NULL) == BT_OK) { /* 'balanced', or empty for null */
        plan->balanced_weights = word[0] != '\0';
        return BT_OK;
    }
    return bt_conf_get_f64_list(conf, path, &plan->class_weights, err);
}
