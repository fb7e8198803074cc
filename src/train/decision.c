/* SPDX-License-Identifier: Apache-2.0
 *
 * The threshold from which on a class applies and the temperature of probabilities are chosen on
 * the rows of each evaluation, and are values of its record: so they are those of its step, of the
 * best checkpoint too, and whoever takes the checkpoint later finds them in metrics.jsonl. */
#include "decision.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "records.h"

static const char threshold_name[] = "decision_threshold";
static const char temperature_name[] = "temperature";

static bool is_chosen(const bt_task_plan *plan) {
    return plan->threshold_metric != NULL || plan->calibrates;
}

bool decision_is_on(const bt_task_plan *plan) {
    return is_chosen(plan) || (plan->head.num_classes == 2 && !plan->is_multi_label &&
                               plan->metric_unit == BT_METRIC_OF_SEQUENCES && plan->threshold > 0);
}

/* Of rows whose logits are NaN there is nothing to choose. */
static double no_threshold(const bt_task_plan *plan) {
    return plan->is_multi_label ? 0.5 : 0;
}

static bool find_value(const bt_train_values *values, const char *name, double *out) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, name)) {
            *out = values->items[i].value;
            return true;
        }
    }
    return false;
}

/* What is_wanted of a record's values. */
static bool take(const bt_train_values *values, bt_task_plan *plan) {
    double threshold = plan->threshold;
    double temperature = plan->temperature;
    if ((plan->threshold_metric != NULL && !find_value(values, threshold_name, &threshold)) ||
        (plan->calibrates && !find_value(values, temperature_name, &temperature))) {
        return false;
    }
    plan->threshold = isnan(threshold) ? no_threshold(plan) : threshold;
    plan->temperature = temperature > 0 ? temperature : 1;
    return true;
}

/* A checkpoint of another folder has its own records there. */
static bool is_own(const train_run *run) {
    const char *const folder = run->args->model_dir;
    const char *const prefix = run->start.prefix;
    const size_t      n = strlen(folder);
    return prefix != NULL && strncmp(prefix, folder, n) == 0 &&
           (prefix[n] == '/' || (n > 0 && folder[n - 1] == '/'));
}

/* Of the records of a step: the training's, else the newest of an evaluation. */
typedef struct search {
    bt_task_plan *plan;
    int64_t       step;
    bool          found;
    bool          is_trainings;
} search;

static bool look(void *context, const record_line *line) {
    search *const s = context;
    if (line->kind == RECORD_VALIDATION && line->step == s->step &&
        (line->from_training || !s->is_trainings) && take(&line->values, s->plan)) {
        s->found = true;
        s->is_trainings = line->from_training;
    }
    return false;
}

static bt_status recall(train_run *run, bool *found, bt_error *err) {
    search s = {.plan = &run->plan, .step = run->step};
    char  *path = NULL;
    *found = false;
    if (!is_own(run)) {
        return BT_OK;
    }
    BT_TRY(model_dir_file(run->args->model_dir, MODEL_RECORDS, &path, err));
    const bt_status rc = records_visit(path, look, &s, err);
    bt_free(path);
    *found = s.found;
    return rc;
}

static void tell(const bt_task_plan *plan) {
    if (plan->threshold_metric != NULL) {
        bt_log(BT_LOG_INFO, "threshold %.6g, as the evaluation of this step chose it",
               plan->threshold);
    }
    if (plan->calibrates) {
        bt_log(BT_LOG_INFO, "temperature %.6g, as the evaluation of this step fitted it",
               plan->temperature);
    }
}

double decision_threshold_of(const bt_task_plan *plan, const bt_train_values *values) {
    double threshold = plan->threshold;
    if (plan->threshold_metric != NULL) {
        (void)find_value(values, threshold_name, &threshold);
    }
    return threshold;
}

double decision_temperature_of(const bt_task_plan *plan, const bt_train_values *values) {
    double temperature = 1;
    if (plan->calibrates) {
        (void)find_value(values, temperature_name, &temperature);
    }
    return temperature;
}

void decision_tell_left_out(const bt_task_plan *plan) {
    if (decision_is_on(plan)) {
        bt_log(BT_LOG_WARNING,
               "the export holds the weights alone, not what task.decision_threshold and "
               "task.calibrate make of their results: its labels and probabilities are not those "
               "of --mode=predict until its reader does the same");
    }
}

bt_status decision_recall(train_run *run, bt_error *err) {
    bool found = false;
    if (!is_chosen(&run->plan)) {
        return BT_OK;
    }
    BT_TRY(recall(run, &found, err));
    if (!found) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: metrics.jsonl of --model_dir %s has no evaluation of step %" PRId64
                       " that chose it: run --mode=eval on the development data first, or set the "
                       "key to %s",
                       run->plan.threshold_metric != NULL ? "task.decision_threshold=auto"
                                                          : "task.calibrate",
                       run->args->model_dir, run->step,
                       run->plan.threshold_metric != NULL ? "a number" : "false");
    }
    tell(&run->plan);
    return BT_OK;
}

static bt_status choose(train_run *run, bt_error *err) {
    bt_task_plan *const plan = &run->plan;
    if (plan->calibrates) {
        const double fitted = bt_metrics_fit_temperature(run->validation_metrics);
        plan->temperature = isnan(fitted) ? 1 : fitted;
    }
    if (plan->threshold_metric != NULL) {
        BT_TRY(bt_metrics_choose_threshold(run->validation_metrics, plan->threshold_metric,
                                           plan->temperature, &plan->threshold, err));
        plan->threshold = isnan(plan->threshold) ? no_threshold(plan) : plan->threshold;
    }
    return BT_OK;
}

/* One process reads it for all. */
static bt_status recall_or_choose(train_run *run, bt_error *err) {
    struct {
        double threshold, temperature;
        bool   found;
    } told = {0};
    bt_status rc = BT_OK;
    if (!is_chosen(&run->plan)) {
        return BT_OK;
    }
    if (bt_conf_mode_trains(run->args->mode)) {
        return choose(run, err);
    }
    if (run_writes(run)) {
        rc = recall(run, &told.found, err);
        told.threshold = run->plan.threshold;
        told.temperature = run->plan.temperature;
    }
    BT_TRY(ranks_meet(&run->ranks, rc, err));
    BT_TRY(ranks_tell(&run->ranks, &told, sizeof told, err));
    if (told.found) {
        run->plan.threshold = told.threshold;
        run->plan.temperature = told.temperature;
        tell(&run->plan);
        return BT_OK;
    }
    bt_log(BT_LOG_WARNING,
           "no evaluation of step %" PRId64
           " is recorded that chose a threshold or temperature: they are chosen on these rows",
           run->step);
    return choose(run, err);
}

bt_status decision_settle(train_run *run, bt_train_values *values, bt_error *err) {
    bt_task_plan *const plan = &run->plan;
    if (!decision_is_on(plan)) {
        return BT_OK;
    }
    BT_TRY(recall_or_choose(run, err));
    bt_metrics_apply_threshold(run->validation_metrics,
                               plan->threshold > 0 ? plan->threshold : (double)NAN,
                               plan->temperature);
    if (plan->threshold_metric != NULL) {
        record_add(values, threshold_name, plan->threshold > 0 ? plan->threshold : (double)NAN);
    }
    if (plan->calibrates) {
        double log_loss = 0;
        double calibration_error = 0;
        BT_TRY(bt_metrics_calibrated(run->validation_metrics, plan->temperature, &log_loss,
                                     &calibration_error, err));
        record_add(values, temperature_name, plan->temperature);
        record_add(values, "log_loss_calibrated", log_loss);
        record_add(values, "ece_calibrated", calibration_error);
    }
    return BT_OK;
}
