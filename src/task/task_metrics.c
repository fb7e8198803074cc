/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics beside those of Model Garden: what is computed anyway, what task.metrics asks for, and
 * the metric of the best checkpoint. They come after Model Garden's, in validation only. */
#include <string.h>

#include "task_internal.h"

static const char key[] = "task.metrics";
static const char no_others[] = "none";
static const char all_others[] = "all";
static const char each_class[] = "per_class";

/* The names and words that may be written, for did-you-mean. */
typedef struct known_names {
    const char *items[BT_METRIC_MAX + 3];
    size_t      n;
} known_names;

static known_names known_of(const bt_task_plan *plan, int64_t n_classes) {
    known_names known = {.n = 0};
    bt_metrics_list(plan->metric_unit, n_classes, true, known.items, &known.n);
    known.items[known.n++] = all_others;
    known.items[known.n++] = no_others;
    known.items[known.n++] = each_class;
    return known;
}

static bt_status refuse_name(const char *name, const bt_task_plan *plan, int64_t n_classes,
                             bt_error *err) {
    const known_names known = known_of(plan, n_classes);
    const char *const near = bt_conf_nearest(name, known.items, known.n);
    char              all[BT_LIST_MAX];
    bt_list_all(all, sizeof all, known.items, known.n);
    return BT_FAIL(err, BT_E_CONFIG, "%s: '%s' is not a metric of this task%s%s%s; there are %s",
                   key, name, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "", all);
}

static bt_status add_name(const char *name, bt_task_plan *plan, bt_error *err) {
    for (size_t i = 0; i < plan->n_validation_metrics; i++) {
        if (strcmp(plan->metric_names[i], name) == 0) {
            return BT_OK;
        }
    }
    if (plan->n_validation_metrics == BT_METRIC_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: at most %d metrics at once", key, BT_METRIC_MAX);
    }
    plan->metric_names[plan->n_validation_metrics++] = name;
    return BT_OK;
}

static bt_status add_each_class(bt_task_plan *plan, int64_t n_classes, bt_error *err) {
    static const char *const names[] = {"precision/*", "recall/*", "f1/*"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        if (bt_metrics_can(plan->metric_unit, n_classes, names[i])) {
            BT_TRY(add_name(names[i], plan, err));
        }
    }
    return BT_OK;
}

static bt_status add_asked(const char *name, bt_task_plan *plan, int64_t n_classes, bt_error *err) {
    if (strcmp(name, no_others) == 0) {
        return BT_OK;
    }
    if (strcmp(name, all_others) == 0) {
        bt_metrics_list(plan->metric_unit, n_classes, true, plan->metric_names,
                        &plan->n_validation_metrics);
        return BT_OK;
    }
    if (strcmp(name, each_class) == 0) {
        return add_each_class(plan, n_classes, err);
    }
    return bt_metrics_can(plan->metric_unit, n_classes, name)
               ? add_name(name, plan, err)
               : refuse_name(name, plan, n_classes, err);
}

static bool has_word(const bt_conf_str_list *list, const char *word) {
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i], word) == 0) {
            return true;
        }
    }
    return false;
}

bt_status task_plan_own_metrics(const bt_conf *conf, int64_t n_classes, bt_task_plan *plan,
                                bt_error *err) {
    bt_conf_str_list  asked = {0};
    bool              bug_compatible = false;
    const char *const best = bt_conf_peek_str(conf, "trainer.best_checkpoint_eval_metric");
    plan->n_garden_metrics = plan->n_validation_metrics;
    BT_TRY(bt_conf_get_bool(conf, "runtime.bug_compatible", &bug_compatible, err));
    if (!bt_conf_is_null(conf, key)) {
        BT_TRY(bt_conf_get_str_list(conf, key, &asked, err));
    }
    if (!bug_compatible && !has_word(&asked, no_others)) {
        bt_metrics_list(plan->metric_unit, n_classes, false, plan->metric_names,
                        &plan->n_validation_metrics);
    }
    for (size_t i = 0; i < asked.n; i++) {
        BT_TRY(add_asked(asked.items[i], plan, n_classes, err));
    }
    return best != NULL && bt_metrics_can(plan->metric_unit, n_classes, best)
               ? add_name(best, plan, err)
               : BT_OK;
}
