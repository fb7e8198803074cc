/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that can be said of a configuration without looking at a file: each room checks the
 * keys whose meaning it knows, here those of the trainer. What the user wrote wrong is an error;
 * what is only missing is a finding, so that --dry_run=config of any default experiment works.
 * Whoever reads the keys takes all of it for granted. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bt/base/str.h"
#include "bt/optim.h"
#include "run_checks.h"
#include "strategy.h"

static bt_status check_start(const bt_conf_check *c) {
    return bt_conf_peek_is_empty(c->conf, "task.init_checkpoint") ||
                   bt_conf_peek_is_empty(c->conf, "task.hub_module_url")
               ? BT_OK
               : bt_conf_check_missing(c, "task.init_checkpoint",
                                       "set either init_checkpoint or hub_module_url, not both");
}

static bt_status check_intervals(const bt_conf_check *c) {
    static const char loop_path[] = "trainer.steps_per_loop";
    static const char summary_path[] = "trainer.summary_interval";
    int64_t           loop = 0;
    int64_t           summary = 0;
    return !bt_conf_peek_i64(c->conf, loop_path, &loop) || loop < 1 ||
                   !bt_conf_peek_i64(c->conf, summary_path, &summary) || summary % loop == 0
               ? BT_OK
               : bt_conf_check_fail(c, summary_path, loop_path,
                                    "summary_interval (%" PRId64
                                    ") must be a multiple of steps_per_loop (%" PRId64 ")",
                                    summary, loop);
}

static bt_status check_steps(const bt_conf_check *c) {
    return !bt_conf_peek_is_null(c->conf, "trainer.train_steps") ||
                   !bt_conf_peek_is_null(c->conf, "task.train_data.epochs")
               ? BT_OK
               : bt_conf_check_missing(
                     c, "trainer.train_steps",
                     "set this, or task.train_data.epochs to count the steps from the data");
}

static bt_status check_early_stopping(const bt_conf_check *c) {
    static const char path[] = "trainer.early_stopping_patience";
    static const char folder[] = "trainer.best_checkpoint_export_subdir";
    static const char metric[] = "trainer.best_checkpoint_eval_metric";
    const char *const missing = bt_conf_peek_is_empty(c->conf, metric) ? metric : folder;
    const bool        evaluates_between =
        c->mode == BT_CONF_MODE_TRAIN_AND_EVAL || c->mode == BT_CONF_MODE_CONTINUOUS_TRAIN_AND_EVAL;
    if (bt_conf_peek_is_empty(c->conf, path)) {
        return BT_OK;
    }
    if (!evaluates_between) {
        return bt_conf_check_fail(c, path, NULL,
                                  "mode '%s' makes no evaluations while it trains: set this to 0, "
                                  "or use train_and_eval",
                                  bt_conf_mode_name(c->mode));
    }
    return !bt_conf_peek_is_empty(c->conf, missing)
               ? BT_OK
               : bt_conf_check_fail(
                     c, path, missing,
                     "it counts evaluations without a better best-checkpoint metric, and %s is "
                     "empty: set it",
                     missing);
}

/* Of the questions of bert/squad there is one pass, whatever the key says. */
static bt_status check_endless_evaluation(const bt_conf_check *c) {
    static const char path[] = "task.validation_data.is_training";
    static const char steps_path[] = "trainer.validation_steps";
    int64_t           n_steps = 0;
    return c->mode == BT_CONF_MODE_PREDICT || !bt_conf_mode_evaluates(c->mode) ||
                   bt_conf_has(c->conf, "task.validation_data.doc_stride") ||
                   bt_conf_peek_is_empty(c->conf, path) ||
                   !bt_conf_peek_i64(c->conf, steps_path, &n_steps) || n_steps >= 0
               ? BT_OK
               : bt_conf_check_fail(c, path, steps_path,
                                    "this is true and trainer.validation_steps is -1: the "
                                    "evaluation would never end; set "
                                    "task.validation_data.is_training=false");
}

/* The i-th value that an evaluation reports, or NULL after the last: metrics, values of the task's
 * output, the loss. */
const char *config_reported_name(const bt_task *task, const bt_task_plan *plan, size_t i) {
    if (i < plan->n_validation_metrics) {
        return plan->metric_names[i];
    }
    i -= plan->n_validation_metrics;
    const char *const *const names = task->output_names;
    size_t                   n_names = 0;
    while (names != NULL && names[n_names] != NULL) {
        if (n_names == i) {
            return names[i];
        }
        n_names++;
    }
    return i == n_names && task->reports_validation_loss ? "validation_loss" : NULL;
}

/* known: what is reported, of this task's and the user's. */
static bt_status refuse_metric(const bt_conf_check *c, const bt_task_plan *plan, const char *wanted,
                               const char *known) {
    static const char metric[] = "trainer.best_checkpoint_eval_metric";
    const char       *names[BT_METRIC_MAX];
    char              others[BT_LIST_MAX];
    size_t            n = plan->n_validation_metrics;
    for (size_t i = 0; i < n; i++) {
        names[i] = plan->metric_names[i];
    }
    if (n > 0) { /* a task without metrics can have none of others */
        bt_metrics_list(plan->metric_unit, plan->head.num_classes > 0 ? plan->head.num_classes : 1,
                        true, names, &n);
    }
    const char *const near = bt_conf_nearest(wanted, names, n);
    bt_list_all(others, sizeof others, names + plan->n_validation_metrics,
                n - plan->n_validation_metrics);
    return bt_conf_check_fail(
        c, metric, NULL, "'%s': the evaluation of this task has only %s%s%s%s%s%s", wanted, known,
        others[0] != '\0' ? ", and by their names " : "", others,
        near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
}

static bt_status check_reported(const bt_conf_check *c, const bt_task *task,
                                const bt_task_plan *plan) {
    static const char metric[] = "trainer.best_checkpoint_eval_metric";
    const char *const wanted = bt_conf_peek_str(c->conf, metric);
    bt_str            known = BT_STR_INIT;
    bt_status         rc = BT_OK;
    for (size_t i = 0;; i++) {
        const char *const name = config_reported_name(task, plan, i);
        if (name == NULL) {
            break;
        }
        if (bt_str_equal(name, wanted)) {
            goto done;
        }
        BT_CHECK(bt_str_appendf(&known, c->err, "%s%s", i > 0 ? ", " : "", name));
    }
    rc = refuse_metric(c, plan, wanted, bt_str_text(&known));
done:
    bt_str_deinit(&known);
    return rc;
}

/* The metric of the best checkpoint is known before any work: Model Garden finds out after the
 * first evaluation that there is none of that name. Keys that say no metrics are left to the task's
 * plan, and experiments that do not train to whoever refuses them. */
static bt_status check_best_metric(const bt_conf_check *c) {
    const bt_task *task = NULL;
    bt_task_plan   plan = {0};
    bt_error       why = BT_ERROR_INIT;
    if (!bt_conf_mode_evaluates(c->mode) ||
        bt_conf_peek_is_empty(c->conf, "trainer.best_checkpoint_export_subdir") ||
        bt_conf_peek_is_empty(c->conf, "trainer.best_checkpoint_eval_metric") ||
        bt_task_find(bt_conf_experiment_name(c->conf), &task, &why) != BT_OK) {
        return BT_OK;
    }
    bt_status rc = task->name_metrics == NULL ? BT_OK : task->name_metrics(c->conf, &plan, &why);
    if (rc == BT_E_NOMEM) {
        rc = BT_FAIL(c->err, BT_E_NOMEM, "%s", why.msg);
    } else {
        rc = rc == BT_OK ? check_reported(c, task, &plan) : BT_OK;
    }
    bt_task_plan_deinit(&plan);
    return rc;
}

static bt_status check_loss_scale(const bt_conf_check *c) {
    static const char path[] = "runtime.loss_scale";
    double            scale = 1;
    return !bt_conf_peek_f64(c->conf, path, &scale) || (scale > 0 && isfinite((float)scale))
               ? BT_OK
               : bt_conf_check_fail(
                     c, path, NULL,
                     "expected null, 'dynamic' or a number above 0 that is a float32, got %g",
                     scale);
}

#define DTYPE "runtime.mixed_precision_dtype"

/* Whoever leaves the comparison out believes that it is computed in 8 bits. */
static bt_status check_compares_something(const bt_conf_check *c) {
    static const char path[] = "runtime.precision_compared";
    const bool        is_false =
        !bt_conf_peek_is_null(c->conf, path) && bt_conf_peek_is_empty(c->conf, path);
    return is_false ? bt_conf_check_fail(c, path, NULL,
                                         "nothing is computed in 8 bits: set runtime.precision to "
                                         "int8, or leave this out")
                    : BT_OK;
}

/* Weights in 8 bits are for a pass that nothing comes after. */
static bt_status check_precision(const bt_conf_check *c) {
    static const char path[] = "runtime.precision";
    if (bt_conf_peek_is_empty(c->conf, path)) {
        return check_compares_something(c);
    }
    if (c->mode == BT_CONF_MODE_EXPORT) {
        return bt_conf_check_fail(c, path, NULL,
                                  "--mode=export writes what --export_precision says: leave this "
                                  "out");
    }
    if (c->mode != BT_CONF_MODE_EVAL && c->mode != BT_CONF_MODE_PREDICT) {
        return bt_conf_check_fail(c, path, NULL,
                                  "mode '%s' is none that computes in 8 bits: eval and predict do "
                                  "(what training multiplies in, " DTYPE " says): leave this out",
                                  bt_conf_mode_name(c->mode));
    }
    return bt_str_equal(bt_conf_peek_str(c->conf, DTYPE), "float16")
               ? bt_conf_check_fail(c, path, DTYPE,
                                    "beside 8 bits the rest is computed in float32 or bfloat16, "
                                    "not in float16: set " DTYPE " to null")
               : BT_OK;
}

static bt_status check_training(const bt_conf_check *c) {
    BT_TRY(check_steps(c));
    return check_early_stopping(c);
}

/* Experiments whose training is not built can be merged and printed all the same: a run refuses
 * them, and what it would refuse besides is of no use. */
static bt_status check_refused(const bt_conf_check *c) {
    const bt_task *task = NULL;
    bt_error       not_built = BT_ERROR_INIT;
    return bt_task_find(bt_conf_experiment_name(c->conf), &task, &not_built) == BT_OK
               ? bt_conf_check_refused(c->conf, c->errors, c->err)
               : BT_OK;
}

bt_status bt_train_check_conf(const bt_conf *conf, bt_conf_mode mode, bt_conf_errors *errors,
                              bt_error *err) {
    const bt_conf_check c = {.conf = conf, .mode = mode, .errors = errors, .err = err};
    BT_TRY(bt_task_check(&c));
    BT_TRY(bt_data_check(&c));
    BT_TRY(bt_optim_check(&c));
    BT_TRY(check_start(&c));
    BT_TRY(check_intervals(&c));
    BT_TRY(subfolder_check(&c));
    BT_TRY(check_loss_scale(&c));
    BT_TRY(check_precision(&c));
    BT_TRY(check_endless_evaluation(&c));
    BT_TRY(check_best_metric(&c));
    BT_TRY(bt_conf_mode_trains(mode) ? check_training(&c) : BT_OK);
    BT_TRY(strategy_check(&c));
    return check_refused(&c);
}

bt_status config_check(const bt_conf *conf, bt_conf_mode mode, bt_error *err) {
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_status      rc = BT_OK;
    BT_CHECK(bt_train_check_conf(conf, mode, &errors, err));
    if (errors.n > 0) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s", errors.items[0].text);
    }
done:
    bt_conf_errors_deinit(&errors);
    return rc;
}
