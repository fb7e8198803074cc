/* SPDX-License-Identifier: Apache-2.0
 *
 * The same job with several seeds: one run each below model_dir, then means and deviations.
 *
 * seeds.json is written again after each seed, and is what the next start reads: a seed counts as
 * finished when its entry was made by the same mode and parameters, byte for byte. Everything else
 * (an unfinished seed, a kill in between) is the business of the run itself, which continues. */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "best_info.h"
#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/fs.h"
#include "model_dir.h"
#include "ranks.h"
#include "seeds_file.h"

bt_status bt_train_check_seeds_mode(bt_conf_mode mode, bt_error *err) {
    if (mode == BT_CONF_MODE_TRAIN || mode == BT_CONF_MODE_TRAIN_AND_EVAL ||
        mode == BT_CONF_MODE_TRAIN_AND_POST_EVAL) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "--seeds trains one job with several seeds, which --mode=%s does not: use "
                   "train_and_eval, train or train_and_post_eval (the runs are in "
                   "model_dir/seed_N, the best one in model_dir/best_seed)",
                   bt_conf_mode_name(mode));
}

static bt_status set_seed(const bt_train_args *args, int64_t seed, bt_error *err) {
    char           override[64];
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    (void)snprintf(override, sizeof override, "task.train_data.seed=%" PRId64, seed);
    const bt_status rc = bt_conf_set(args->conf, override, "--seeds", &errors, err);
    bt_conf_errors_deinit(&errors);
    return rc;
}

/* Names what is run: another mode or parameter is another run. */
static bt_status fingerprint(const bt_train_args *args, uint32_t *out, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_str            yaml = BT_STR_INIT;
    const char *const mode = bt_conf_mode_name(args->mode);
    BT_CHECK(bt_conf_dump_yaml(args->conf, &yaml, err));
    *out = bt_crc32c(bt_crc32c(0, mode, strlen(mode)), yaml.data, yaml.len);
done:
    bt_str_deinit(&yaml);
    return rc;
}

static const bt_metric_value *find_value(const bt_train_summary *summary, const char *name) {
    for (size_t i = 0; i < summary->values.n; i++) {
        if (bt_str_equal(summary->values.items[i].name, name)) {
            return &summary->values.items[i];
        }
    }
    return NULL;
}

/* A class that is asked for as the user writes it, the run calls by its name. */
static bool has_asked(const bt_train_args *args, const bt_train_summary *summary) {
    bool has = true;
    for (size_t i = 0; i < args->n_asked; i++) {
        has = has && find_value(summary, args->asked[i].own) != NULL;
    }
    return has;
}

/* With its report, which the run makes again where it alone is missing; and all that is asked for
 * is known. */
static bt_status is_finished(const bt_train_args *args, const seed_result *known, uint32_t params,
                             const char *folder, bool *out, bt_error *err) {
    char *path = NULL;
    bool  has_report = false;
    *out = false;
    if (known == NULL || known->params != params || !has_asked(args, &known->summary) ||
        !bt_fs_exists(folder)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_bool(args->conf, "trainer.report", &has_report, err));
    BT_TRY(model_dir_file(folder, MODEL_REPORT, &path, err));
    *out = !has_report || bt_fs_exists(path);
    bt_free(path);
    return BT_OK;
}

static bt_status run_seed(const bt_train_args *args, int64_t seed, seeds_file *file,
                          bt_error *err) {
    bt_status     rc = BT_OK;
    char         *folder = NULL;
    char          name[MODEL_NAME_MAX];
    seed_result   result = {.seed = seed};
    bt_train_args once = *args;
    bool          is_over = false;
    BT_CHECK(bt_fs_join(args->model_dir, model_series_name(SERIES_SEED, seed, name), &folder, err));
    BT_CHECK(set_seed(args, seed, err));
    BT_CHECK(fingerprint(args, &result.params, err));
    BT_CHECK(is_finished(args, seeds_file_find(file, seed), result.params, folder, &is_over, err));
    if (is_over) {
        bt_log(BT_LOG_INFO, "seed %" PRId64 ": finished before, in %s", seed, folder);
        goto done;
    }
    bt_log(BT_LOG_INFO, "seed %" PRId64 ": %s", seed, folder);
    once.model_dir = folder;
    rc = bt_train_run(&once, &result.summary, err);
    (void)bt_stop_say("before the next seed");
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "seed %" PRId64, seed);
        goto done;
    }
    BT_CHECK(seeds_file_put(file, &result, err));
done:
    bt_free(folder);
    return rc;
}

/* false: some seed has no value of that name. */
static bool compute_spread(const seeds_file *file, const int64_t *seeds, size_t n,
                           bt_train_spread *out) {
    double sum = 0;
    double sum_sq = 0;
    for (size_t i = 0; i < n; i++) {
        const bt_metric_value *const v =
            find_value(&seeds_file_find(file, seeds[i])->summary, out->name);
        if (v == NULL) {
            return false;
        }
        sum += v->value;
    }
    out->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d =
            find_value(&seeds_file_find(file, seeds[i])->summary, out->name)->value - out->mean;
        sum_sq += d * d;
    }
    out->stddev = n > 1 ? sqrt(sum_sq / (double)(n - 1)) : (double)NAN;
    return true;
}

/* A record has one, named after its metric. */
static const bt_metric_value *find_best_value(const bt_train_summary *summary) {
    for (size_t i = 0; i < summary->values.n; i++) {
        if (bt_str_starts_with(summary->values.items[i].name, "best_")) {
            return &summary->values.items[i];
        }
    }
    return NULL;
}

/* The seed whose best checkpoint is best; the first of equals. */
static bt_status find_best(const bt_conf *conf, const seeds_file *file, const int64_t *seeds,
                           size_t n, bt_train_seeds_summary *out, bt_error *err) {
    const char *comparison = "";
    double      best = (double)NAN;
    BT_TRY(bt_conf_get_str(conf, "trainer.best_checkpoint_metric_comp", &comparison, err));
    for (size_t i = 0; i < n; i++) {
        const bt_metric_value *const v = find_best_value(&seeds_file_find(file, seeds[i])->summary);
        if (v != NULL && best_is_better(comparison, v->value, best)) {
            best = v->value;
            out->has_best = true;
            out->best_seed = seeds[i];
        }
    }
    return BT_OK;
}

static bt_status summarise(const bt_conf *conf, const seeds_file *file, const int64_t *seeds,
                           size_t n, bt_train_seeds_summary *out, bt_error *err) {
    const bt_train_summary *const first = &seeds_file_find(file, seeds[0])->summary;
    *out = (bt_train_seeds_summary){0};
    for (size_t i = 0; i < first->values.n; i++) {
        bt_train_spread *const spread = &out->values[out->n_values];
        (void)snprintf(spread->name, sizeof spread->name, "%s", first->values.items[i].name);
        out->n_values += compute_spread(file, seeds, n, spread) ? 1 : 0;
    }
    return find_best(conf, file, seeds, n, out, err);
}

/* A convenience: where links cannot be made, seeds.json still says which seed is best. */
static bt_status link_best(const bt_train_args *args, const bt_train_seeds_summary *summary,
                           bt_error *err) {
    bt_error problem = BT_ERROR_INIT;
    char    *path = NULL;
    char     name[MODEL_NAME_MAX];
    if (!summary->has_best) {
        return BT_OK;
    }
    BT_TRY(model_dir_file(args->model_dir, MODEL_BEST_SEED, &path, err));
    if (bt_fs_replace_link(path, model_series_name(SERIES_SEED, summary->best_seed, name),
                           &problem) != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s", problem.msg);
    }
    bt_free(path);
    return BT_OK;
}

/* As it was before a dry run of some seeds: the configuration is printed after it. */
static bt_status unset_seed(const bt_train_args *args, int64_t seed, bool is_null, bt_error *err) {
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    if (!is_null) {
        return set_seed(args, seed, err);
    }
    const bt_status rc =
        bt_conf_set(args->conf, "task.train_data.seed=null", "--seeds", &errors, err);
    bt_conf_errors_deinit(&errors);
    return rc;
}

bt_status bt_train_check_seeds(const bt_train_args *args, const int64_t *seeds, size_t n_seeds,
                               bt_error *err) {
    bt_status  rc = BT_OK;
    int64_t    seed = 0;
    bool       is_null = true;
    seeds_file file = SEEDS_FILE_INIT;
    char      *path = NULL;
    char      *folder = NULL;
    BT_TRY(bt_train_check_seeds_mode(args->mode, err));
    BT_TRY(bt_fs_check_writable(args->model_dir, err));
    BT_TRY(bt_fs_lock_look(args->model_dir, BT_FS_LOCK_NAME, err));
    BT_TRY(bt_conf_get_i64_or(args->conf, "task.train_data.seed", 0, &seed, &is_null, err));
    BT_CHECK(model_dir_file(args->model_dir, MODEL_SEEDS, &path, err));
    BT_CHECK(bt_fs_check_place(path, BT_FS_FILE, err));
    BT_CHECK(seeds_file_read(&file, path, err));
    for (size_t i = 0; i < n_seeds; i++) {
        char          name[MODEL_NAME_MAX];
        bt_train_args once = *args;
        bt_free(folder);
        folder = NULL;
        BT_CHECK(bt_fs_join(args->model_dir, model_series_name(SERIES_SEED, seeds[i], name),
                            &folder, err));
        BT_CHECK(set_seed(args, seeds[i], err));
        once.model_dir = folder;
        rc = bt_train_check(&once, err);
        if (rc != BT_OK) {
            rc = bt_error_prefix(err, "seed %" PRId64, seeds[i]);
            goto done;
        }
    }
    BT_CHECK(unset_seed(args, seed, is_null, err));
done:
    seeds_file_deinit(&file);
    bt_free(path);
    bt_free(folder);
    return rc;
}

/* All of them side by side, where each has its own. */
static bt_status write_report(const bt_train_args *args, const seeds_file *file,
                              const int64_t *seeds, size_t n_seeds, bt_train_seeds_summary *summary,
                              bt_error *err) {
    bool is_wanted = false;
    BT_TRY(bt_conf_get_bool(args->conf, "trainer.report", &is_wanted, err));
    for (size_t i = 0; i < n_seeds; i++) {
        const bt_train_summary *const run = &seeds_file_find(file, seeds[i])->summary;
        if (run->report != BT_OK) {
            summary->report = run->report;
            summary->report_error = run->report_error;
            return BT_OK;
        }
    }
    if (is_wanted) {
        bt_stop_shield(true);
        summary->report = bt_train_write_report(&args->model_dir, 1, NULL, &summary->report_error);
        bt_stop_shield(false);
    }
    return BT_OK;
}

/* What was refused leaves no folder behind. */
static void remove_if_empty(const char *folder) {
    bt_error problem = BT_ERROR_INIT;
    if (bt_fs_remove(folder, &problem) != BT_OK) {
        bt_log(BT_LOG_DEBUG, "%s", problem.msg); /* there is something in it */
    }
}

bt_status bt_train_run_seeds(const bt_train_args *args, const int64_t *seeds, size_t n_seeds,
                             bt_train_seeds_summary *summary, bt_error *err) {
    bt_status   rc = BT_OK;
    seeds_file  file = SEEDS_FILE_INIT;
    char       *path = NULL;
    bt_fs_lock *lock = NULL;
    BT_ASSERT(n_seeds > 0);
    BT_TRY(ranks_check_alone(args, "--seeds", err));
    BT_TRY(bt_train_check_seeds_mode(args->mode, err));
    BT_TRY(bt_fs_check_writable(args->model_dir, err));
    const bool is_new = !bt_fs_is_remote(args->model_dir) && !bt_fs_exists(args->model_dir);
    BT_CHECK(bt_fs_make_folders(args->model_dir, err));
    BT_CHECK(bt_fs_lock_take(args->model_dir, BT_FS_LOCK_NAME, "bert-train --seeds", &lock, err));
    BT_CHECK(bt_fs_finish_commits(args->model_dir, err));
    BT_CHECK(bt_fs_sweep(args->model_dir, NULL, err));
    BT_CHECK(model_dir_file(args->model_dir, MODEL_SEEDS, &path, err));
    BT_CHECK(bt_fs_check_place(path, BT_FS_FILE, err));
    BT_CHECK(seeds_file_read(&file, path, err));
    for (size_t i = 0; i < n_seeds; i++) {
        if (bt_stop_requested()) {
            rc = BT_FAIL(err, BT_E_INTERRUPTED,
                         "stopped by %s before seed %" PRId64 "; the same command continues",
                         bt_stop_signal_name(), seeds[i]);
            goto done;
        }
        BT_CHECK(run_seed(args, seeds[i], &file, err));
        BT_CHECK(summarise(args->conf, &file, seeds, i + 1, summary, err));
        bt_stop_shield(true); /* what was trained is kept */
        rc = seeds_file_write(&file, path, seeds, i + 1, summary, err);
        bt_stop_shield(false);
        BT_CHECK(rc);
        bt_stop_mark_saved();
    }
    BT_CHECK(link_best(args, summary, err));
    BT_CHECK(write_report(args, &file, seeds, n_seeds, summary, err));
done:
    bt_fs_lock_release(lock);
    if (rc != BT_OK && is_new) {
        remove_if_empty(args->model_dir);
    }
    seeds_file_deinit(&file);
    bt_free(path);
    return rc;
}
