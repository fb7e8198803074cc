/* SPDX-License-Identifier: Apache-2.0
 *
 * How probabilities become classes: a threshold that is given or chosen on the rows of an
 * evaluation, and the temperature that is fitted there. */
#include <string.h>

#include "task_internal.h"

static const char threshold_key[] = "task.decision_threshold";
static const char calibrate_key[] = "task.calibrate";

/* The best checkpoint's metric, where it depends on a threshold and more of it is better. */
static const char *choose_metric(const bt_conf *conf, const bt_task_plan *plan) {
    const char *const best = bt_conf_peek_str(conf, "trainer.best_checkpoint_eval_metric");
    const char *const comparison = bt_conf_peek_str(conf, "trainer.best_checkpoint_metric_comp");
    const bool        is_higher = comparison != NULL && strcmp(comparison, "higher") == 0;
    if (best != NULL && is_higher &&
        bt_metrics_can_choose(plan->metric_unit, plan->head.num_classes, best)) {
        return best;
    }
    return plan->is_multi_label ? "f1_micro" : "f1";
}

static bt_status read_number(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    BT_TRY(bt_conf_get_f64(conf, threshold_key, &plan->threshold, err));
    return plan->threshold > 0 && plan->threshold < 1
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "%s: expected auto, null or a number between 0 and 1, got %g",
                         threshold_key, plan->threshold);
}

static bt_status read_threshold(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char other_key[] = "task.prediction_threshold";
    const char       *word = NULL;
    double            other = 0;
    if (plan->head.num_classes != 2 && !plan->is_multi_label) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is for two classes, or several labels a row (task.problem_type): set "
                       "it to null",
                       threshold_key);
    }
    BT_TRY(bt_conf_get_f64(conf, other_key, &other, err));
    if (plan->is_multi_label && other != 0.5) {
        return BT_FAIL(err, BT_E_CONFIG, "%s and %s are both set: leave one out", threshold_key,
                       other_key);
    }
    if (bt_conf_get_str(conf, threshold_key, &word, NULL) != BT_OK) {
        return read_number(conf, plan, err);
    }
    plan->threshold_metric = choose_metric(conf, plan);
    return BT_OK;
}

bt_status task_read_decision(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    plan->temperature = 1;
    if (!plan->is_multi_label) {
        plan->threshold = 0;
    }
    BT_TRY(bt_conf_get_bool(conf, calibrate_key, &plan->calibrates, err));
    if (plan->calibrates && (plan->is_multi_label || plan->head.num_classes == 1)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: a temperature is fitted where a row has one class, not to scores or "
                       "several labels: set it to false",
                       calibrate_key);
    }
    return bt_conf_is_null(conf, threshold_key) ? BT_OK : read_threshold(conf, plan, err);
}
