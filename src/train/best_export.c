/* SPDX-License-Identifier: Apache-2.0
 *
 * The best checkpoint (spec/config.md 6.4): after an evaluation that is strictly better than every
 * one before, also those of earlier runs, info.json and then best_ckpt-N are written; one is kept.
 */
#include "run.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
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

/* Python's json, and so Model Garden, writes NaN, Infinity and -Infinity, which are no JSON:
 * outside of strings they become strings. */
static bt_status quote_not_finite(const char *text, size_t n_bytes, bt_str *out, bt_error *err) {
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    bool                     in_string = false;
    for (size_t at = 0; at < n_bytes;) {
        size_t n = 1;
        bool   quote = false;
        for (size_t w = 0; !in_string && !quote && w < BT_ARRAY_LEN(words); w++) {
            const size_t n_word = strlen(words[w]);
            if (n_bytes - at >= n_word && memcmp(text + at, words[w], n_word) == 0) {
                n = n_word;
                quote = true;
            }
        }
        if (text[at] == '"') {
            in_string = !in_string;
        } else if (in_string && text[at] == '\\' && at + 1 < n_bytes) {
            n = 2;
        }
        BT_TRY(bt_str_append(out, quote ? "\"" : "", err));
        BT_TRY(bt_str_append_n(out, text + at, n, err));
        BT_TRY(bt_str_append(out, quote ? "\"" : "", err));
        at += n;
    }
    return BT_OK;
}

static bool read_number(const json_t *value, double *number) {
    if (json_is_number(value)) {
        *number = json_number_value(value);
        return true;
    }
    char *end = NULL;
    if (!json_is_string(value)) {
        return false;
    }
    *number = strtod(json_string_value(value), &end);
    return end != json_string_value(value) && *end == '\0' && !isfinite(*number);
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
    if (!read_number(json_object_get(root, run->config.best_metric), &run->best_value)) {
        json_decref(root);
        return BT_FAIL(
            err, BT_E_CONFIG,
            "%s: holds no number '%s' (trainer.best_checkpoint_eval_metric): an earlier run "
            "compared "
            "another metric; name that one, or another trainer.best_checkpoint_export_subdir",
            path, run->config.best_metric);
    }
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
    bt_str    json = BT_STR_INIT;
    size_t    n_bytes = 0;
    BT_CHECK(info_path(run, &folder, &path, err));
    if (bt_fs_exists(path)) {
        BT_CHECK(bt_fs_read_all(path, INFO_MAX_BYTES, &text, &n_bytes, err));
        BT_CHECK(quote_not_finite(text, n_bytes, &json, err));
        BT_CHECK(parse_info(run, json.len > 0 ? json.data : "", json.len, path, err));
        if (!run->knows_best) {
            run->early_stop = (early_stop){.has_best = true, .best = run->best_value};
        }
    }
done:
    bt_str_deinit(&json);
    bt_free(folder);
    bt_free(path);
    bt_free(text);
    return rc;
}

/* As Python's json writes it. */
static const char *json_number(double value, char number[BT_F64_TEXT_MAX]) {
    if (isfinite(value)) {
        return bt_f64_repr(value, number);
    }
    return isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
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
                                json_number((double)(float)values[i].value, number)));
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

bool best_is_better(const char *comparison, double value, double best) {
    const bool higher = bt_str_equal(comparison, "higher");
    /* any number is better than NaN, which Model Garden would keep for ever */
    return (higher ? value > best : value < best) || (isnan(best) && !isnan(value));
}

/* info.json may hold a value of an evaluation later than the checkpoint that the run goes on from:
 * its records must not know of that one yet. */
double best_so_far(const train_run *run, double value) {
    const early_stop *const seen = &run->early_stop;
    const bool              is_best =
        !seen->has_best || best_is_better(run->config.best_comparison, value, seen->best);
    return is_best ? value : seen->best;
}

bt_status best_find_value(const train_run *run, const bt_metric_value *values, size_t n,
                          double *value, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (bt_str_equal(values[i].name, run->config.best_metric)) {
            *value = (double)(float)values[i].value;
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_INTERNAL, "the evaluation has no value '%s'", run->config.best_metric);
}

bt_status best_update(train_run *run, const bt_metric_value *values, size_t n, bt_error *err) {
    double value = 0;
    BT_TRY(best_find_value(run, values, n, &value, err));
    if (run->has_best && !best_is_better(run->config.best_comparison, value, run->best_value)) {
        return BT_OK;
    }
    run->has_best = true;
    run->best_value = value;
    BT_TRY(export_best(run, values, n, err));
    bt_log(BT_LOG_INFO, "step %" PRId64 ": best %s so far: %.6g", run->step,
           run->config.best_metric, value);
    return BT_OK;
}
