/* SPDX-License-Identifier: Apache-2.0
 *
 * info.json (docs/model_garden/config.md 6.4): the values of the best evaluation and its step, as
 * Python's json writes them with an indent of four. */
#include "best_info.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/number.h"
#include "bt/fs.h"
#include "record.h"

static const char step_name[] = "best_ckpt_global_step";

/* Python's json, and so Model Garden, writes NaN, Infinity and -Infinity, which are not JSON:
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

static bt_status parse_root(const json_t *root, const char *metric, const char *path,
                            best_info *out, bt_error *err) {
    double step = -1;
    if (!read_number(json_object_get(root, metric), &out->value)) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "%s: holds no number '%s' (trainer.best_checkpoint_eval_metric): an earlier run "
            "compared another metric; name that one, or another "
            "trainer.best_checkpoint_export_subdir",
            path, metric);
    }
    (void)read_number(json_object_get(root, step_name), &step);
    out->step = step >= 0 && step < 9e15 ? (int64_t)step : -1;
    return BT_OK;
}

static bt_status load_root(const char *text, size_t n_bytes, const char *path, json_t **root,
                           bt_error *err) {
    bt_status    rc = BT_OK;
    bt_str       json = BT_STR_INIT;
    json_error_t problem;
    BT_CHECK(quote_not_finite(text, n_bytes, &json, err));
    BT_CHECK(bt_json_load(bt_str_text(&json), json.len, JSON_ALLOW_NUL, root, &problem, err));
    if (*root == NULL) {
        rc = BT_FAIL(
            err, BT_E_FORMAT,
            "%s:%d:%d: not JSON (%s); it holds the best metric so far: delete it to start over",
            path, problem.line, problem.column, problem.text);
    }
done:
    bt_str_deinit(&json);
    return rc;
}

bt_status best_info_parse(const char *text, size_t n_bytes, const char *metric, const char *path,
                          best_info *out, bt_error *err) {
    json_t *root = NULL;
    BT_TRY(load_root(text, n_bytes, path, &root, err));
    const bt_status rc = parse_root(root, metric, path, out, err);
    json_decref(root);
    return rc;
}

bt_status best_info_values(const char *text, size_t n_bytes, const char *path,
                           bt_train_values *values, int64_t *step, bt_error *err) {
    json_t     *root = NULL;
    const char *name = NULL;
    json_t     *value = NULL;
    double      number = 0;
    values->n = 0;
    *step = -1;
    BT_TRY(load_root(text, n_bytes, path, &root, err));
    json_object_foreach(root, name, value) {
        if (!read_number(value, &number)) {
            continue;
        }
        if (bt_str_equal(name, step_name)) {
            *step = number >= 0 && number < 9e15 ? (int64_t)number : -1;
        } else if (values->n < BT_TRAIN_MAX_VALUES && strlen(name) < BT_METRIC_NAME_MAX) {
            record_add(values, name, number);
        }
    }
    json_decref(root);
    return BT_OK;
}

bool best_is_better(const char *comparison, double value, double best) {
    const bool higher = bt_str_equal(comparison, "higher");
    /* any number is better than NaN, which Model Garden would keep for ever */
    return (higher ? value > best : value < best) || (isnan(best) && !isnan(value));
}

/* As Python's json writes it. */
static const char *json_number(double value, char number[BT_F64_TEXT_MAX]) {
    if (isfinite(value)) {
        return bt_f64_repr(value, number);
    }
    return isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

bt_status best_info_format(const bt_train_values *values, int64_t step, bt_str *out,
                           bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_append(out, "{\n", err));
    for (size_t i = 0; i < values->n; i++) {
        /* Model Garden's metrics are float32: the doubles that it writes are those */
        BT_TRY(bt_str_appendf(out, err, "    \"%s\": %s,\n", values->items[i].name,
                              json_number((double)(float)values->items[i].value, number)));
    }
    return bt_str_appendf(out, err, "    \"%s\": %s\n}\n", step_name,
                          bt_f64_repr((double)step, number));
}
