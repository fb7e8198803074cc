/* SPDX-License-Identifier: Apache-2.0
 *
 * Which values a run can end with, and where else they may be written: what is asked about results
 * before any work. */
#include <stdio.h>
#include <string.h>

#include "bt/base/arena.h"
#include "bt/base/str.h"
#include "model_dir.h"
#include "run_checks.h"

enum { NAMES_MAX = BT_TRAIN_MAX_VALUES };

typedef struct value_names {
    const char    *items[NAMES_MAX];
    size_t         n;
    size_t         n_rounded; /* the first of them, which runtime.precision=int8 has twice */
    const char    *exact; /* before the names of what they were: "float32/"; "": there is none */
    char           best[BT_METRIC_NAME_MAX + 8];
    bt_metric_unit unit;
    int64_t        n_classes;
} value_names;

/* Bytes of "best_" before it. */
static size_t best_start(const char *name) {
    static const char start[] = "best_";
    return bt_str_starts_with(name, start) ? strlen(start) : 0;
}

static void add(value_names *names, const char *name) {
    if (names->n < NAMES_MAX) {
        names->items[names->n++] = name;
    }
}

static const char *exact_start(const bt_conf *conf) {
    const char *const dtype = bt_conf_peek_str(conf, "runtime.mixed_precision_dtype");
    return bt_str_equal(dtype, "bfloat16") ? "bfloat16/" : "float32/";
}

static void add_evaluation(value_names *names, const bt_conf *conf, const bt_task *task,
                           const bt_task_plan *plan) {
    static const char folder[] = "trainer.best_checkpoint_export_subdir";
    static const char metric[] = "trainer.best_checkpoint_eval_metric";
    int64_t           n_steps = 0;
    const char       *name = NULL;
    for (size_t i = 0; (name = config_reported_name(task, plan, i)) != NULL; i++) {
        add(names, name);
    }
    names->n_rounded = names->n;
    if (bt_conf_peek_i64(conf, "trainer.validation_steps", &n_steps) && n_steps > 0) {
        add(names, "steps_per_second");
    }
    if (!bt_conf_peek_is_empty(conf, "runtime.precision")) { /* which exports no best checkpoint */
        const bool is_alone = bt_conf_peek_is_empty(conf, "runtime.precision_compared");
        names->exact = is_alone ? "" : exact_start(conf);
        return;
    }
    if (!bt_conf_peek_is_empty(conf, folder) && !bt_conf_peek_is_empty(conf, metric)) {
        (void)snprintf(names->best, sizeof names->best, "best_%s", bt_conf_peek_str(conf, metric));
        add(names, names->best);
    }
}

static void add_training(value_names *names, const bt_task_plan *plan) {
    for (size_t i = 0; i < plan->n_train_metrics; i++) {
        add(names, plan->metric_names[i]);
    }
    add(names, "training_loss");
    add(names, "learning_rate");
    add(names, "steps_per_second");
}

/* Is it a metric of a single class, and one of the values the same of some class? */
static bool is_of_asked_class(const value_names *names, const char *asked) {
    const size_t n_best = best_start(asked);
    const size_t n_stem =
        bt_metrics_class_stem(names->unit, names->n_classes, asked + n_best) + n_best;
    for (size_t i = 0; n_stem > n_best && i < names->n; i++) {
        if (strncmp(names->items[i], asked, n_stem) == 0) {
            return true;
        }
    }
    return false;
}

static bt_status judge(const value_names *names, bt_conf_mode mode, const char *name,
                       const char *flag, bt_error *err) {
    char              all[BT_LIST_MAX];
    const size_t      n_exact = strlen(names->exact);
    const bool        is_exact = n_exact > 0 && bt_str_starts_with(name, names->exact);
    const char *const asked = is_exact ? name + n_exact : name;
    for (size_t i = 0; i < (is_exact ? names->n_rounded : names->n); i++) {
        if (bt_str_equal(names->items[i], asked)) {
            return BT_OK;
        }
    }
    if (is_of_asked_class(names, asked)) {
        return BT_OK; /* whether there is that class, the run says that knows them */
    }
    bt_list_all(all, sizeof all, names->items, names->n);
    const char *const near = bt_conf_nearest(asked, names->items, names->n);
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: --mode=%s ends without a value '%s', it has %s%s%s%s%s%s%s%s", flag,
                   bt_conf_mode_name(mode), name, all,
                   n_exact > 0 ? "; metrics before runtime.precision have " : "", names->exact,
                   n_exact > 0 ? " before them" : "", near != NULL ? "; did you mean '" : "",
                   near != NULL && is_exact ? names->exact : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
}

bt_status bt_train_check_value_name(const bt_conf *conf, bt_conf_mode mode, const char *name,
                                    const char *flag, bt_error *err) {
    const bt_task *task = NULL;
    bt_task_plan   plan = {0};
    bt_error       why = BT_ERROR_INIT;
    value_names    names = {.exact = ""};
    if (mode == BT_CONF_MODE_PREDICT || mode == BT_CONF_MODE_EXPORT) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: --mode=%s judges no values: use --mode=eval", flag,
                       bt_conf_mode_name(mode));
    }
    if (bt_task_find(bt_conf_experiment_name(conf), &task, &why) != BT_OK ||
        task->name_metrics == NULL) {
        return BT_OK;
    }
    bt_status rc = task->name_metrics(conf, &plan, &why);
    if (rc == BT_OK) {
        names.unit = plan.metric_unit;
        names.n_classes = plan.head.num_classes;
        if (bt_conf_mode_evaluates(mode)) {
            add_evaluation(&names, conf, task, &plan);
        } else {
            add_training(&names, &plan);
        }
        rc = judge(&names, mode, name, flag, err);
    } else {
        rc = rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", why.msg) : BT_OK;
    }
    bt_task_plan_deinit(&plan);
    return rc;
}

/* Bytes of "float32/" before it. */
static size_t exact_bytes(const char *name) {
    static const char *const starts[] = {"float32/", "bfloat16/"};
    for (size_t i = 0; i < BT_ARRAY_LEN(starts); i++) {
        if (bt_str_starts_with(name, starts[i])) {
            return strlen(starts[i]);
        }
    }
    return 0;
}

/* What names no class is a value's name as it stands. */
static bt_status keep_asked(const bt_train_asked *asked, bt_error *err) {
    const size_t n = strlen(asked->name);
    if (n >= BT_METRIC_NAME_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: no value has a name of %zu bytes: '%.100s...'",
                       asked->flag, n, asked->name);
    }
    memmove(asked->own, asked->name, n + 1);
    return BT_OK;
}

/* What stands before the metric's own name stays. */
static bt_status settle_asked(const names_known *known, const bt_train_asked *asked,
                              bt_error *err) {
    const bt_metrics_config *const config = known->config;
    const size_t                   n_exact = exact_bytes(asked->name);
    const size_t                   start = n_exact > 0 ? n_exact : best_start(asked->name);
    char                           name[BT_METRIC_NAME_MAX];
    char                           whole[2 * BT_METRIC_NAME_MAX];
    if (bt_metrics_class_stem(config->unit, config->n_classes, asked->name + start) == 0) {
        return keep_asked(asked, err);
    }
    if (bt_metrics_find_name(known->metrics, config, asked->name + start, name, err) != BT_OK) {
        return bt_error_prefix(err, "%s", asked->flag);
    }
    const int n = snprintf(whole, sizeof whole, "%.*s%s", (int)start, asked->name, name);
    BT_ASSERT(n > 0 && n < BT_METRIC_NAME_MAX);
    memcpy(asked->own, whole, (size_t)n + 1);
    return BT_OK;
}

bt_status result_names_settle(const names_known *known, const bt_train_args *args,
                              const char **best_metric, bt_arena *arena, bt_error *err) {
    const bt_metrics_config *const config = known->config;
    char                           name[BT_METRIC_NAME_MAX];
    for (size_t i = 0; i < args->n_asked; i++) {
        BT_TRY(settle_asked(known, &args->asked[i], err));
    }
    if (best_metric == NULL ||
        bt_metrics_class_stem(config->unit, config->n_classes, *best_metric) == 0) {
        return BT_OK;
    }
    if (bt_metrics_find_name(known->metrics, config, *best_metric, name, err) != BT_OK) {
        return bt_error_prefix(err, "trainer.best_checkpoint_eval_metric");
    }
    *best_metric = bt_arena_strdup(arena, name);
    return *best_metric != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
}

bt_status bt_train_check_outputs(const bt_train_args *args, const bt_fs_named *outputs, size_t n,
                                 bt_error *err) {
    const char *own_names[MODEL_OWN_NAMES_MAX];
    model_dir_own_names(own_names);
    const bt_output_request request = {.conf = args->conf,
                                       .own_names = own_names,
                                       .model_dir = args->model_dir,
                                       .checkpoint = args->checkpoint};
    return bt_task_check_outputs(&request, outputs, n, err);
}
