/* SPDX-License-Identifier: Apache-2.0
 *
 * --result_json: one object (docs/guide/results.md has its schema, which only grows). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/json_text.h"
#include "bt/base/signed_url.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "results.h"

/* NULL and "" are null. Signatures of URLs stay here. */
static bt_status append_text(bt_str *out, const char *name, const char *text, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "\"%s\": ", name));
    if (text == NULL || text[0] == '\0') {
        return bt_str_append(out, "null", err);
    }
    char *const hidden = bt_strdup(text);
    if (hidden == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the result");
    }
    bt_hide_signatures(hidden);
    const bt_status rc = bt_str_append_json(out, hidden, err);
    bt_free(hidden);
    return rc;
}

static bt_status append_number(bt_str *out, double value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    return bt_str_append(out, isfinite(value) ? result_number(value, text) : "null", err);
}

static bt_status append_values(bt_str *out, const bt_train_values *values, bt_error *err) {
    BT_TRY(bt_str_append(out, "{", err));
    for (size_t i = 0; i < values->n; i++) {
        BT_TRY(bt_str_append(out, i > 0 ? ", " : "", err));
        BT_TRY(bt_str_append_json(out, values->items[i].name, err));
        BT_TRY(bt_str_append(out, ": ", err));
        BT_TRY(append_number(out, values->items[i].value, err));
    }
    return bt_str_append(out, "}", err);
}

static bt_status append_end(const run_result *r, bt_str *out, bt_error *err) {
    char time[BT_TIME_ISO_MAX];
    BT_TRY(bt_str_appendf(out, err, "\"status\": \"%s\", \"exit_code\": %d, ",
                          bt_status_name(r->status), r->exit_code));
    BT_TRY(append_text(out, "error", r->error.msg, err));
    bt_time_iso(r->began_ms, time);
    BT_TRY(bt_str_appendf(out, err, ",\n \"started\": \"%s\", ", time));
    bt_time_iso(bt_time_unix_ms(), time);
    return bt_str_appendf(out, err, "\"finished\": \"%s\", \"seconds\": %.3f,\n ", time,
                          bt_time_monotonic() - r->began);
}

static bt_status append_best(const bt_train_summary *s, bt_str *out, bt_error *err) {
    if (!s->has_best) {
        return bt_str_append(out, "\"best\": null", err);
    }
    BT_TRY(bt_str_append(out, "\"best\": {\"step\": ", err));
    BT_TRY(s->best_step >= 0 ? bt_str_appendf(out, err, "%" PRId64, s->best_step)
                             : bt_str_append(out, "null", err));
    BT_TRY(bt_str_append(out, ", \"values\": ", err));
    BT_TRY(append_values(out, &s->best, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "checkpoint", s->best_checkpoint, err));
    return bt_str_append(out, "}", err);
}

static bt_status append_summary(const run_result *r, bt_str *out, bt_error *err) {
    const bt_train_summary *const s = &r->summary;
    if (!r->has_summary) {
        return bt_str_append(
            out, "\"step\": null, \"values\": {}, \"checkpoint\": null, \"best\": null", err);
    }
    BT_TRY(bt_str_appendf(out, err, "\"step\": %" PRId64 ", \"values\": ", s->step));
    BT_TRY(append_values(out, &s->values, err));
    BT_TRY(bt_str_append(out, ",\n ", err));
    BT_TRY(append_text(out, "checkpoint", s->checkpoint, err));
    BT_TRY(bt_str_append(out, ", ", err));
    return append_best(s, out, err);
}

static bt_status append_spread(const run_result *r, bool is_mean, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, is_mean ? ", \"mean\": {" : ", \"stddev\": {", err));
    for (size_t i = 0; i < r->seeds.n_values; i++) {
        const bt_train_spread *const v = &r->seeds.values[i];
        BT_TRY(bt_str_append(out, i > 0 ? ", " : "", err));
        BT_TRY(bt_str_append_json(out, v->name, err));
        BT_TRY(bt_str_append(out, ": ", err));
        BT_TRY(append_number(out, is_mean ? v->mean : v->stddev, err));
    }
    return bt_str_append(out, "}", err);
}

static bt_status append_seeds(const run_result *r, bt_str *out, bt_error *err) {
    if (!r->has_seeds) {
        return bt_str_append(out, ",\n \"seeds\": null", err);
    }
    BT_TRY(bt_str_appendf(out, err, ",\n \"seeds\": {\"n\": %zu", r->n_seeds));
    BT_TRY(append_spread(r, true, out, err));
    BT_TRY(append_spread(r, false, out, err));
    BT_TRY(r->seeds.has_best
               ? bt_str_appendf(out, err, ", \"best_seed\": %" PRId64 "}", r->seeds.best_seed)
               : bt_str_append(out, ", \"best_seed\": null}", err));
    return BT_OK;
}

static bt_status append_limits(const run_result *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, ",\n \"limits\": [", err));
    for (size_t i = 0; i < r->n_limits; i++) {
        const result_limit *const limit = &r->limits[i];
        const bool                is_judged = r->has_summary || r->has_seeds;
        BT_TRY(bt_str_append(out, i > 0 ? ", {" : "{", err));
        BT_TRY(append_text(out, "name", limit->name, err));
        BT_TRY(bt_str_appendf(out, err, ", \"kind\": \"%s\", \"limit\": ",
                              limit->is_upper ? "fail_above" : "fail_below"));
        BT_TRY(append_number(out, limit->bound, err));
        BT_TRY(bt_str_append(out, ", \"value\": ", err));
        BT_TRY(append_number(out, limit->has_value ? limit->value : (double)NAN, err));
        BT_TRY(bt_str_appendf(out, err, ", \"passed\": %s}",
                              !is_judged      ? "null"
                              : limit->is_met ? "true"
                                              : "false"));
    }
    return bt_str_append(out, "]", err);
}

static bt_status append_machine(const run_result *r, bt_str *out, bt_error *err) {
    struct utsname names;
    const long     n_pages = sysconf(_SC_PHYS_PAGES);
    const long     page = sysconf(_SC_PAGE_SIZE);
    if (uname(&names) != 0) {
        memset(&names, 0, sizeof names);
    }
    BT_TRY(bt_str_append(out, ",\n \"machine\": {", err));
    BT_TRY(append_text(out, "host", names.nodename, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "system", names.sysname, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "release", names.release, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "processor", names.machine, err));
    BT_TRY(bt_str_appendf(out, err, ", \"cores\": %" PRId32 ", \"memory_bytes\": %" PRId64 ", ",
                          bt_n_machine_cores(),
                          n_pages > 0 && page > 0 ? (int64_t)n_pages * page : 0));
    BT_TRY(append_text(out, "engine", r->has_summary ? r->summary.engine : NULL, err));
    return bt_str_append(out, "}", err);
}

/* A bt_conf_visit_paths function. */
static bt_status add_input(void *context, const char *key, const char *path, bt_error *err) {
    bt_str *const out = context;
    bt_fs_info    info = {0};
    char          time[BT_TIME_ISO_MAX];
    const bool    is_one = strpbrk(path, ",*?") == NULL && bt_fs_stat(path, &info, NULL) == BT_OK &&
                        info.kind == BT_FS_FILE;
    BT_TRY(bt_str_append(out, out->len > 0 ? ",\n  {" : "\n  {", err));
    BT_TRY(append_text(out, "key", key, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "path", path, err));
    if (!is_one) {
        return bt_str_append(out, ", \"bytes\": null, \"modified\": null, \"version\": null}", err);
    }
    bt_time_iso((int64_t)(info.modified_unix * 1000), time);
    BT_TRY(bt_str_appendf(out, err, ", \"bytes\": %" PRId64 ", \"modified\": \"%s\", \"version\": ",
                          info.n_bytes, time));
    return info.version == BT_FS_ANY_VERSION
               ? bt_str_append(out, "null}", err)
               : bt_str_appendf(out, err, "\"%" PRId64 "\"}", info.version);
}

bt_status result_find_inputs(run_result *r, const bt_conf *conf, bt_error *err) {
    return bt_conf_visit_paths(conf, add_input, &r->inputs, err);
}

bt_status result_append_json(const run_result *r, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "{\"schema_version\": %d, ", RESULT_SCHEMA_VERSION));
    BT_TRY(append_text(out, "program", bert_train_flags.program, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "version", bt_cli_version(), err));
    BT_TRY(bt_str_append(out, ",\n ", err));
    BT_TRY(append_end(r, out, err));
    BT_TRY(append_text(out, "mode", r->mode, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "experiment", r->experiment, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(append_text(out, "model_dir", r->model_dir, err));
    BT_TRY(bt_str_append(out, ",\n ", err));
    BT_TRY(append_summary(r, out, err));
    BT_TRY(append_seeds(r, out, err));
    BT_TRY(append_limits(r, out, err));
    BT_TRY(append_machine(r, out, err));
    BT_TRY(bt_str_append(out, ",\n \"inputs\": [", err));
    BT_TRY(bt_str_append_n(out, r->inputs.data, r->inputs.len, err));
    return bt_str_append(out, "]}\n", err);
}
