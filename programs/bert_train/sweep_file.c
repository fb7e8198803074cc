/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.json: what is searched, and what each run came to; written again after each of them, and
 * what the next start of the same command goes on from. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "command_sweep.h"

enum { MAX_BYTES = 1 << 28, SCHEMA_VERSION = 1 };

static const char name_of_file[] = "sweep";

/* What makes it another sweep; --jobs does not. */
static const char *const own_flags[] = {"grid",  "random",  "trials", "sweep_seed", "seeds",
                                        "folds", "halving", "eta",    "min_steps"};

bt_status sweep_path(const sweep *s, const char *name, const char *extension, char **out,
                     bt_error *err) {
    char file[SWEEP_NAME_MAX + 16];
    (void)snprintf(file, sizeof file, "%s%s", name, extension);
    return bt_fs_join(s->model_dir, file, out, err);
}

/* Writing. */

static bt_status put_text(bt_str *out, const char *name, const char *text, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "\"%s\": ", name));
    return text != NULL ? bt_str_append_json(out, text, err) : bt_str_append(out, "null", err);
}

static bt_status put_specification(const sweep *s, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, " \"specification\": {", err));
    for (size_t i = 0; i < BT_ARRAY_LEN(own_flags); i++) {
        BT_TRY(put_text(out, own_flags[i], bt_flags_string(s->flags, own_flags[i]), err));
        BT_TRY(bt_str_append(out, ", ", err));
    }
    BT_TRY(put_text(out, "mode", s->mode, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(put_text(out, "metric", s->metric, err));
    BT_TRY(bt_str_append(out, ", ", err));
    BT_TRY(put_text(out, "goal", s->is_lower_better ? "min" : "max", err));
    BT_TRY(bt_str_append(out, ",\n  ", err));
    BT_TRY(put_text(out, "configuration", s->configuration, err));
    return bt_str_append(out, "},\n", err);
}

static bt_status put_run(const sweep *s, const sweep_run *run, bt_str *out, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_appendf(out, err, "  {\"run\": \"%s\", \"trial\": %zu, \"values\": {", run->name,
                          run->trial + 1));
    for (size_t k = 0; k < s->n_keys; k++) {
        BT_TRY(bt_str_append(out, k > 0 ? ", " : "", err));
        BT_TRY(bt_str_append_json(out, s->keys[k].name, err));
        BT_TRY(bt_str_append(out, ": ", err));
        BT_TRY(bt_str_append_json(out, s->trials[run->trial].values[k], err));
    }
    BT_TRY(bt_str_append(out, "}, ", err));
    BT_TRY(run->seed == SWEEP_OWN_SEED
               ? bt_str_append(out, "\"seed\": null, ", err)
               : bt_str_appendf(out, err, "\"seed\": %" PRId64 ", ", run->seed));
    BT_TRY(run->fold < 0 ? bt_str_append(out, "\"fold\": null, ", err)
                         : bt_str_appendf(out, err, "\"fold\": %" PRId32 ", ", run->fold));
    BT_TRY(bt_str_appendf(
        out, err, "\"status\": \"%s\", \"exit_code\": %d, \"step\": %" PRId64 ", \"scores\": [",
        run->has_failed   ? "failed"
        : run->n_done > 0 ? "finished"
                          : "not finished",
        run->exit_code, run->step));
    for (int32_t i = 0; i < run->n_done; i++) {
        BT_TRY(bt_str_appendf(out, err, "%s%s", i > 0 ? ", " : "",
                              isfinite(run->scores[i]) ? bt_f64_repr(run->scores[i], number)
                                                       : "null"));
    }
    BT_TRY(bt_str_append(out, "], ", err));
    BT_TRY(put_text(out, "error", run->has_failed ? run->error : NULL, err));
    return bt_str_append(out, "}", err);
}

bt_status sweep_write_state(const sweep *s, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    out = BT_STR_INIT;
    char     *path = NULL;
    BT_CHECK(sweep_path(s, name_of_file, ".json", &path, err));
    BT_CHECK(bt_str_appendf(&out, err, "{\"schema_version\": %d,\n", SCHEMA_VERSION));
    BT_CHECK(put_specification(s, &out, err));
    BT_CHECK(bt_str_append(&out, " \"runs\": [\n", err));
    for (size_t i = 0; i < s->n_runs; i++) {
        BT_CHECK(put_run(s, &s->runs[i], &out, err));
        BT_CHECK(bt_str_append(&out, i + 1 < s->n_runs ? ",\n" : "\n", err));
    }
    BT_CHECK(bt_str_append(&out, " ]}\n", err));
    rc = bt_fs_replace(path, out.data, out.len, err);
done:
    bt_str_deinit(&out);
    bt_free(path);
    return rc;
}

/* Reading. */

static bt_status fail_other(const char *path, const char *what, const char *then, const char *now,
                            bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: another sweep was begun there: %s was %.200s and is %.200s; give the same, "
                   "or another --model_dir",
                   path, what, then[0] != '\0' ? then : "not given",
                   now[0] != '\0' ? now : "not given");
}

/* The first line in which they differ. */
static bt_status fail_configuration(const char *path, const char *then, const char *now,
                                    bt_error *err) {
    char lines[2][160];
    while (*then != '\0' && *now != '\0') {
        const size_t n = strcspn(then, "\n");
        if (n != strcspn(now, "\n") || memcmp(then, now, n) != 0) {
            break;
        }
        then += n + (then[n] == '\n' ? 1 : 0);
        now += n + (now[n] == '\n' ? 1 : 0);
    }
    (void)snprintf(lines[0], sizeof lines[0], "'%.*s'", (int)strcspn(then, "\n"), then);
    (void)snprintf(lines[1], sizeof lines[1], "'%.*s'", (int)strcspn(now, "\n"), now);
    return fail_other(path, "a line of the configuration", lines[0], lines[1], err);
}

static bt_status compare(const sweep *s, const char *path, json_t *then, bt_error *err) {
    const char *const more[][2] = {
        {"mode", s->mode}, {"metric", s->metric}, {"goal", s->is_lower_better ? "min" : "max"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(own_flags) + BT_ARRAY_LEN(more); i++) {
        const bool        is_flag = i < BT_ARRAY_LEN(own_flags);
        const size_t      k = is_flag ? i : i - BT_ARRAY_LEN(own_flags);
        const char *const name = is_flag ? own_flags[k] : more[k][0];
        const char *const now = is_flag ? bt_flags_string(s->flags, name) : more[k][1];
        const char *const was = json_string_value(json_object_get(then, name));
        char              flag[40];
        (void)snprintf(flag, sizeof flag, "--%s", name);
        if (!bt_str_equal(was != NULL ? was : "", now != NULL ? now : "")) {
            return fail_other(path, flag, was != NULL ? was : "", now != NULL ? now : "", err);
        }
    }
    const char *const was = json_string_value(json_object_get(then, "configuration"));
    return was != NULL && bt_str_equal(was, s->configuration)
               ? BT_OK
               : fail_configuration(path, was != NULL ? was : "", s->configuration, err);
}

static bool read_run(const sweep *s, sweep_run *run, json_t *item) {
    json_t *const     scores = json_object_get(item, "scores");
    const char *const name = json_string_value(json_object_get(item, "run"));
    const size_t      n = json_array_size(scores);
    if (name == NULL || !bt_str_equal(name, run->name) || n > (size_t)s->n_rungs) {
        return false;
    }
    run->n_done = (int32_t)n;
    run->step = json_integer_value(json_object_get(item, "step"));
    for (size_t i = 0; i < n; i++) {
        json_t *const score = json_array_get(scores, i);
        run->scores[i] = json_is_number(score) ? json_number_value(score) : (double)NAN;
    }
    return true; /* what has failed is tried again */
}

bt_status sweep_read_state(sweep *s, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    json_t   *root = NULL;
    bool      is_there = false;
    BT_CHECK(sweep_path(s, name_of_file, ".json", &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    if (!is_there) {
        goto done;
    }
    BT_CHECK(bt_fs_read_json(path, MAX_BYTES, 0, &root, err));
    json_t *const runs = json_object_get(root, "runs");
    if (json_integer_value(json_object_get(root, "schema_version")) != SCHEMA_VERSION ||
        !json_is_object(json_object_get(root, "specification")) || !json_is_array(runs)) {
        rc = BT_FAIL(err, BT_E_FORMAT,
                     "%s: not what bert-train sweep writes: move it away, or take another "
                     "--model_dir",
                     path);
        goto done;
    }
    BT_CHECK(compare(s, path, json_object_get(root, "specification"), err));
    bool is_whole = json_array_size(runs) == s->n_runs;
    for (size_t i = 0; is_whole && i < s->n_runs; i++) {
        is_whole = read_run(s, &s->runs[i], json_array_get(runs, i));
    }
    rc = is_whole
             ? BT_OK
             : BT_FAIL(err, BT_E_FORMAT, "%s: its runs are not those of its specification", path);
done:
    json_decref(root);
    bt_free(path);
    return rc;
}
