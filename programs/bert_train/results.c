/* SPDX-License-Identifier: Apache-2.0
 *
 * Results for programs: the flags, the limits, and when the files are written. */
#include "results.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "bt/fs.h"

static const struct {
    const char *flag;
    const char *begin; /* of a file that was written for it */
    bt_status (*append)(const run_result *r, bt_str *out, bt_error *err);
} forms[] = {
    [RESULT_JSON] = {"--result_json", "{\"schema_version\": ", result_append_json},
    [RESULT_JUNIT] = {"--result_junit", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites",
                      result_append_junit},
    [RESULT_MARKDOWN] = {"--result_markdown", "# bert-train: ", result_append_markdown},
};

static bool is_stdout(const char *path) {
    return bt_str_equal(path, "-") || bt_str_equal(path, "/dev/stdout");
}

bool result_takes_stdout(const run_result *r) {
    bool takes = false;
    for (size_t i = 0; i < RESULT_N_FORMS; i++) {
        takes = takes || (r->paths[i] != NULL && is_stdout(r->paths[i]));
    }
    return takes;
}

const char *result_number(double value, char out[BT_F64_TEXT_MAX]) {
    return bt_f32_repr((float)value, out);
}

/* NAME=NUMBER, n bytes of text. */
static bt_status read_limit(const char *flag, const char *text, size_t n, result_limit *out,
                            bt_error *err) {
    char              number[64];
    const char *const equals = memchr(text, '=', n);
    const size_t      n_name = equals != NULL ? (size_t)(equals - text) : 0;
    if (n_name >= sizeof out->name) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: the name '%.*s...' is longer than %zu bytes: write a class whose name "
                       "is that long by its number (f1/number/3)",
                       flag, 60, text, sizeof out->name - 1);
    }
    if (n_name == 0 || n - n_name - 1 >= sizeof number) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: '%.*s' is not NAME=NUMBER (cls_accuracy=0.9)", flag,
                       (int)(n < 100 ? n : 100), text);
    }
    (void)snprintf(out->name, sizeof out->name, "%.*s", (int)n_name, text);
    (void)snprintf(number, sizeof number, "%.*s", (int)(n - n_name - 1), equals + 1);
    if (!bt_parse_f64(number, &out->bound) || !isfinite(out->bound)) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: %s: '%s' is not a number", flag, out->name, number);
    }
    return BT_OK;
}

static bt_status add_limit(run_result *r, const result_limit *limit, bt_error *err) {
    for (size_t i = 0; i < r->n_limits; i++) {
        if (r->limits[i].is_upper == limit->is_upper &&
            bt_str_equal(r->limits[i].name, limit->name)) {
            return BT_FAIL(err, BT_E_CONFIG, "%s: %s has two limits", limit->flag, limit->name);
        }
    }
    if (r->n_limits == RESULT_LIMITS_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: more than %d limits", limit->flag, RESULT_LIMITS_MAX);
    }
    result_limit *const own = &r->limits[r->n_limits];
    *own = *limit;
    r->asked[r->n_limits++] = (bt_train_asked){own->flag, own->name, own->name};
    return BT_OK;
}

static bt_status read_limits(const char *flag, const char *text, bool is_upper, run_result *r,
                             bt_error *err) {
    for (const char *at = text; at != NULL;) {
        result_limit limit = {.flag = flag, .is_upper = is_upper};
        const size_t n = strcspn(at, ",");
        BT_TRY(read_limit(flag, at, n, &limit, err));
        BT_TRY(add_limit(r, &limit, err));
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    return BT_OK;
}

static const char *path_of(const bt_flags *flags, const char *name) {
    const char *const path = bt_flags_string(flags, name);
    return path != NULL && path[0] != '\0' ? path : NULL;
}

bt_status result_read_flags(const bt_flags *flags, run_result *out, bt_error *err) {
    size_t n_stdout = 0;
    out->began = bt_time_monotonic();
    out->began_ms = bt_time_unix_ms();
    out->mode = bt_flags_string(flags, "mode");
    out->model_dir = path_of(flags, "model_dir");
    out->is_silent = bt_flags_bool(flags, "dry_run");
    for (size_t i = 0; i < RESULT_N_FORMS; i++) {
        out->paths[i] = path_of(flags, forms[i].flag + 2);
        n_stdout += out->paths[i] != NULL && is_stdout(out->paths[i]) ? 1 : 0;
    }
    const char *const below = path_of(flags, "fail_below");
    const char *const above = path_of(flags, "fail_above");
    BT_TRY(below != NULL ? read_limits("--fail_below", below, false, out, err) : BT_OK);
    BT_TRY(above != NULL ? read_limits("--fail_above", above, true, out, err) : BT_OK);
    const char *const output = path_of(flags, "output_path");
    n_stdout += output != NULL && is_stdout(output) ? 1 : 0;
    if (n_stdout > 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "standard output takes one of --output_path, --result_json, --result_junit "
                       "and --result_markdown: give the others a path");
    }
    return BT_OK;
}

/* --benchmark and --compile_only have no result of a run. */
static bt_status refuse_others(const run_result *r, const bt_flags *flags, bt_error *err) {
    const bool  is_benchmark = bt_flags_bool(flags, "benchmark");
    const char *what = r->n_limits > 0                             ? r->limits[0].flag
                       : path_of(flags, "prometheus_file") != NULL ? "--prometheus_file"
                                                                   : NULL;
    for (size_t i = 0; i < RESULT_N_FORMS; i++) {
        what = r->paths[i] != NULL ? forms[i].flag : what;
    }
    return what == NULL || (!is_benchmark && bt_flags_string(flags, "compile_only") == NULL)
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "%s is for runs, and %s makes none (--log_format=json has its figures as "
                         "one JSON object)",
                         what, is_benchmark ? "--benchmark" : "--compile_only");
}

static size_t list_outputs(const run_result *r, bt_fs_named out[RESULT_N_FORMS]) {
    size_t n = 0;
    for (size_t i = 0; i < RESULT_N_FORMS; i++) {
        if (r->paths[i] != NULL && !is_stdout(r->paths[i])) {
            out[n++] = (bt_fs_named){forms[i].flag, r->paths[i]};
        }
    }
    return n;
}

/* The files of the run itself are looked at by the run. */
static bt_status check_places(const bt_flags *flags, const bt_train_args *args,
                              const bt_fs_named *outputs, size_t n, bt_error *err) {
    bt_fs_named       all[RESULT_N_FORMS + 2];
    const char *const predictions = path_of(flags, "output_path");
    const char *const gauges = args->prometheus_file;
    memcpy(all, outputs, n * sizeof *outputs);
    if (gauges != NULL && bt_fs_is_remote(gauges)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--prometheus_file=%s: Prometheus' textfile collector reads local files",
                       gauges);
    }
    if (gauges != NULL) {
        all[n++] = (bt_fs_named){"--prometheus_file", gauges};
    }
    BT_TRY(bt_train_check_outputs(args, all, n, err));
    if (predictions == NULL || is_stdout(predictions)) {
        return BT_OK;
    }
    all[n++] = (bt_fs_named){"--output_path", predictions};
    return bt_fs_check_distinct(all, n, err);
}

bt_status result_check(run_result *r, const bt_flags *flags, const bt_train_args *args, bool writes,
                       bt_error *err) {
    bt_fs_named  outputs[RESULT_N_FORMS];
    const size_t n = list_outputs(r, outputs);
    r->is_silent = !writes;
    (void)snprintf(r->experiment, sizeof r->experiment, "%s", bt_conf_experiment_name(args->conf));
    r->mode = bt_conf_mode_name(args->mode);
    BT_TRY(refuse_others(r, flags, err));
    const bt_status places = check_places(flags, args, outputs, n, err);
    r->is_checked = places == BT_OK;
    r->is_silent = r->is_silent || places != BT_OK;
    BT_TRY(places);
    for (size_t i = 0; i < r->n_limits; i++) {
        BT_TRY(bt_train_check_value_name(args->conf, args->mode, r->limits[i].name,
                                         r->limits[i].flag, err));
    }
    if (!writes) {
        return BT_OK;
    }
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_fs_remove(outputs[i].path, err));
    }
    return r->paths[RESULT_JSON] != NULL ? result_find_inputs(r, args->conf, err) : BT_OK;
}

static void find_value(const run_result *r, result_limit *limit) {
    for (size_t i = 0; !r->has_seeds && i < r->summary.values.n; i++) {
        const bt_metric_value *const v = &r->summary.values.items[i];
        if (bt_str_equal(v->name, limit->name)) {
            limit->has_value = true;
            limit->value = v->value;
        }
    }
    for (size_t i = 0; r->has_seeds && i < r->seeds.n_values; i++) {
        if (bt_str_equal(r->seeds.values[i].name, limit->name)) {
            limit->has_value = true;
            limit->value = r->seeds.values[i].mean;
        }
    }
    /* as float32, which values are printed as: 0.9 is not below 0.9. NaN is never right */
    const float value = (float)limit->value;
    const float bound = (float)limit->bound;
    limit->is_met = limit->has_value && (limit->is_upper ? value <= bound : value >= bound);
}

void result_limit_text(const result_limit *limit, char *out, size_t cap) {
    char value[BT_F64_TEXT_MAX];
    char bound[BT_F64_TEXT_MAX];
    if (!limit->has_value) {
        (void)snprintf(out, cap, "%s has no value (%s=%s)", limit->name, limit->flag,
                       result_number(limit->bound, bound));
        return;
    }
    (void)snprintf(out, cap, "%s %s is %s %s (%s)", limit->name, result_number(limit->value, value),
                   isnan(limit->value) ? "not a number, the limit is"
                   : limit->is_met     ? "within"
                   : limit->is_upper   ? "above"
                                       : "below",
                   result_number(limit->bound, bound), limit->flag);
}

bt_status result_judge(run_result *r, bt_error *err) {
    char   sentence[900] = "";
    char   where[64];
    size_t n = 0;
    bool   is_met = true;
    if (!r->has_summary && !r->has_seeds) {
        return BT_OK;
    }
    for (size_t i = 0; i < r->n_limits; i++) {
        char text[256];
        find_value(r, &r->limits[i]);
        if (!r->limits[i].is_met && n < sizeof sentence) {
            result_limit_text(&r->limits[i], text, sizeof text);
            const int wrote =
                snprintf(sentence + n, sizeof sentence - n, "%s%s", n > 0 ? ", " : "", text);
            n += wrote > 0 ? (size_t)wrote : 0;
        }
        is_met = is_met && r->limits[i].is_met;
    }
    if (is_met) {
        return BT_OK;
    }
    if (r->has_seeds) {
        (void)snprintf(where, sizeof where, "mean of %zu seeds", r->n_seeds);
    } else {
        (void)snprintf(where, sizeof where, "step %" PRId64, r->summary.step);
    }
    return BT_FAIL(err, BT_E_LIMIT, "%s: %s; the run itself is whole and saved", where, sentence);
}

static bool is_in_model_dir(const run_result *r, result_form form) {
    static const char *const any[] = {"*", NULL};
    const bt_fs_named        output = {forms[form].flag, r->paths[form]};
    const bt_fs_named        folder = {"--model_dir", r->model_dir};
    return r->model_dir != NULL && bt_fs_check_not_read(&output, &folder, any, NULL) != BT_OK;
}

/* Before the places are checked only what is not there, or was written for the same flag, is
 * written over: the flag may name an input. */
static bool may_write(const run_result *r, result_form form) {
    const char *const path = r->paths[form];
    const size_t      n_begin = strlen(forms[form].begin);
    bt_fs_info        info = {0};
    bt_file          *file = NULL;
    char              begin[64];
    if (r->is_checked || is_stdout(path)) {
        return true;
    }
    if (bt_fs_stat(path, &info, NULL) != BT_OK || info.kind != BT_FS_FILE) {
        return info.kind == BT_FS_MISSING && !is_in_model_dir(r, form);
    }
    size_t          n = 0;
    const bt_status rc = bt_fs_open(path, &file, NULL);
    const bool      is_read =
        rc == BT_OK && bt_fs_read_upto(file, 0, begin, n_begin, &n, NULL) == BT_OK && n == n_begin;
    bt_fs_close(file);
    return is_read && memcmp(begin, forms[form].begin, n_begin) == 0;
}

static bt_status publish(const char *path, const bt_str *text, bt_error *err) {
    char     *folder = NULL;
    bt_status rc = BT_OK;
    if (is_stdout(path)) {
        return bt_cli_print(text, BT_READER_NEEDS_ALL, err);
    }
    if (!bt_fs_is_remote(path)) {
        BT_CHECK(bt_fs_parent(path, &folder, err));
        BT_CHECK(bt_fs_make_folders(folder, err));
    }
    rc = bt_fs_replace(path, text->data, text->len, err);
done:
    bt_free(folder);
    return rc;
}

static bt_status write_form(const run_result *r, result_form form, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    if (r->paths[form] == NULL) {
        return BT_OK;
    }
    if (!may_write(r, form)) {
        bt_log(BT_LOG_WARNING,
               "%s %s is not written: the run was refused before its paths were looked at, and "
               "this may be one of its files",
               forms[form].flag, r->paths[form]);
        return BT_OK;
    }
    BT_CHECK(forms[form].append(r, &text, err));
    rc = publish(r->paths[form], &text, err);
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "%s", forms[form].flag);
    }
done:
    bt_str_deinit(&text);
    return rc;
}

bt_status result_write(run_result *r, bt_status rc, bt_error *err) {
    r->status = rc;
    r->exit_code = rc == BT_E_INTERRUPTED ? bt_stop_exit_code() : bt_status_exit_code(rc);
    if (rc != BT_OK && err->msg[0] != '\0') {
        r->error = *err;
    }
    if (r->is_silent) {
        return rc;
    }
    bt_stop_shield(true); /* a run that was stopped says so, too */
    for (int i = 0; i < RESULT_N_FORMS; i++) {
        bt_error        problem = BT_ERROR_INIT;
        const bt_status written = write_form(r, (result_form)i, &problem);
        if (written != BT_OK && rc == BT_OK) {
            rc = written;
            *err = problem;
        } else if (written != BT_OK) {
            bt_log(BT_LOG_WARNING, "%s", problem.msg);
        }
    }
    bt_stop_shield(false);
    return rc;
}
