/* SPDX-License-Identifier: Apache-2.0
 *
 * The best checkpoint (spec/config.md 6.4): after an evaluation that is strictly better than every
 * one before, also those of earlier runs, info.json and then best_ckpt-N are written; one is kept.
 */
#include "run.h"

#include <jansson.h>
#include <string.h>

#include "bt/fs.h"

enum { INFO_MAX_BYTES = 1 << 20 };

bool best_is_on(const train_run *run) {
    return run->config.best_subdir[0] != '\0' && run->config.best_metric[0] != '\0' &&
           run->validation_data != NULL;
}

static bt_status info_path(const train_run *run, char **folder, char **path, bt_error *err) {
    BT_TRY(bt_fs_join(run->args->model_dir, run->config.best_subdir, folder, err));
    return bt_fs_join(*folder, "info.json", path, err);
}

static bt_status parse_info(train_run *run, const char *text, size_t n_bytes, const char *path,
                            bt_error *err) {
    json_error_t  problem;
    json_t *const root = json_loadb(text, n_bytes, JSON_ALLOW_NUL, &problem);
    if (root == NULL) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "%s:%d:%d: not JSON (%s); it holds the best metric so far: delete it to start over",
            path, problem.line, problem.column, problem.text);
    }
    const json_t *const value = json_object_get(root, run->config.best_metric);
    if (!json_is_number(value)) {
        json_decref(root);
        return BT_FAIL(
            err, BT_E_CONFIG,
            "%s: holds no number '%s' (trainer.best_checkpoint_eval_metric): an earlier run "
            "compared "
            "another metric; name that one, or another trainer.best_checkpoint_export_subdir",
            path, run->config.best_metric);
    }
    run->best_value = json_number_value(value);
    run->has_best = true;
    json_decref(root);
    return BT_OK;
}

bt_status best_load(train_run *run, bt_error *err) {
    if (!best_is_on(run)) {
        return BT_OK;
    }
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    char     *text = NULL;
    size_t    n_bytes = 0;
    BT_CHECK(info_path(run, &folder, &path, err));
    if (bt_fs_exists(path)) {
        BT_CHECK(bt_fs_read_all(path, INFO_MAX_BYTES, &text, &n_bytes, err));
        BT_CHECK(parse_info(run, text, n_bytes, path, err));
    }
done:
    bt_free(folder);
    bt_free(path);
    bt_free(text);
    return rc;
}

static bt_status write_info(const train_run *run, const char *path, const bt_metric_value *values,
                            size_t n, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    char      number[BT_F64_TEXT_MAX];
    BT_CHECK(bt_str_append(&text, "{\n", err));
    for (size_t i = 0; i < n; i++) {
        /* Model Garden's metrics are float32: the doubles that it writes are those */
        BT_CHECK(bt_str_appendf(&text, err, "    \"%s\": %s,\n", values[i].name,
                                bt_f64_repr((double)(float)values[i].value, number)));
    }
    BT_CHECK(bt_str_appendf(&text, err, "    \"best_ckpt_global_step\": %s\n}\n",
                            bt_f64_repr((double)run->step, number)));
    BT_CHECK(bt_fs_replace(path, text.data, text.len, err));
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status export_best(train_run *run, const bt_metric_value *values, size_t n,
                             bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    BT_CHECK(info_path(run, &folder, &path, err));
    BT_CHECK(bt_fs_make_folders(folder, err));
    BT_CHECK(write_info(run, path, values, n, err));
    BT_CHECK(snapshot_save_best(run, folder, err));
done:
    bt_free(folder);
    bt_free(path);
    return rc;
}

bt_status best_update(train_run *run, const bt_metric_value *values, size_t n, bt_error *err) {
    const bt_metric_value *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (bt_str_equal(values[i].name, run->config.best_metric)) {
            found = &values[i];
        }
    }
    if (found == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "the evaluation has no value '%s'",
                       run->config.best_metric);
    }
    const double value = (double)(float)found->value;
    const bool   higher = bt_str_equal(run->config.best_comparison, "higher");
    if (run->has_best && !(higher ? value > run->best_value : value < run->best_value)) {
        return BT_OK;
    }
    run->has_best = true;
    run->best_value = value;
    BT_TRY(export_best(run, values, n, err));
    bt_log(BT_LOG_INFO, "step %" PRId64 ": best %s so far: %.6g", run->step,
           run->config.best_metric, value);
    return BT_OK;
}
