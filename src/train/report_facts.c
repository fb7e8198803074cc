/* SPDX-License-Identifier: Apache-2.0
 *
 * run_facts.json: what only the process knows that trains: its command, the keys that differ from
 * the defaults with their origins, the machine, the data. The same command on the same machine
 * writes the same bytes, so that a run that went on has the file of one that was never stopped:
 * what it took from the folder's params.yaml has the origin that it had before. */
#include "report_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/signed_url.h"
#include "bt/text.h"
#include "report_read.h"

enum { PROC_MAX_BYTES = 1 << 26 };

bt_status report_put_text(bt_str *json, const char *text, bt_error *err) {
    return text == NULL ? bt_str_append(json, "null", err)
                        : bt_text_append_json_ascii(json, text, strlen(text), err);
}

bt_status report_put_key(bt_str *json, const char *key, bt_error *err) {
    const bool is_first = json->len > 0 && json->data[json->len - 1] == '{';
    return bt_str_appendf(json, err, "%s\"%s\": ", is_first ? "" : ", ", key);
}

bt_status report_put_classes(bt_str *json, const bt_task_labels *labels, bt_error *err) {
    BT_TRY(report_put_key(json, "classes", err));
    BT_TRY(bt_str_append(json, "[", err));
    for (int64_t c = 0; c < labels->n; c++) {
        char text[BT_TASK_LABEL_TEXT_MAX];
        BT_TRY(bt_str_append(json, c > 0 ? ", " : "", err));
        BT_TRY(report_put_text(json, bt_task_label_text(labels, c, text), err));
    }
    return bt_str_append(json, "]", err);
}

static bt_status put_field(bt_str *json, const char *key, const char *text, bt_error *err) {
    BT_TRY(report_put_key(json, key, err));
    return report_put_text(json, text, err);
}

/* What the experiment begins with. */
static bt_status make_defaults(const bt_conf *conf, bt_conf **out, bt_error *err) {
    const bt_conf_args args = {.experiment = bt_conf_experiment_name(conf)};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    const bt_status    rc = bt_conf_build(&args, out, &errors, err);
    bt_conf_errors_deinit(&errors);
    return rc;
}

/* "--init (line 1, column 26)": the flag says it. */
static void drop_place(char *origin) {
    char *const place = strstr(origin, " (line 1, column ");
    if (place != NULL && origin[0] == '-') {
        *place = '\0';
    }
}

/* What the run took from its own folder: where the same value came from when it was written there.
 */
typedef struct former {
    json_t *settings; /* of run_facts.json, or NULL */
    char   *params;   /* the names of the files with the settings */
    char   *ours;
} former;

static bt_status former_read(const char *folder, json_t **facts, former *out, bt_error *err) {
    bt_error        damage = BT_ERROR_INIT;
    const bt_status rc = report_read_object(folder, MODEL_FACTS, facts, &damage);
    if (rc != BT_OK && rc != BT_E_FORMAT) { /* a damaged one is about to be replaced */
        *err = damage;
        return rc;
    }
    out->settings = rc == BT_OK ? json_object_get(*facts, "settings") : NULL;
    BT_TRY(model_dir_file(folder, MODEL_PARAMS, &out->params, err));
    return model_dir_file(folder, MODEL_PARAMS_OURS, &out->ours, err);
}

static bool is_place_in(const char *origin, const char *path) {
    return bt_str_starts_with(origin, path) && origin[strlen(path)] == ':';
}

static void recall_origin(const former *f, const bt_conf_change *change,
                          char origin[BT_CONF_ORIGIN_MAX]) {
    if (!is_place_in(origin, f->params) && !is_place_in(origin, f->ours)) {
        return;
    }
    for (size_t i = 0; i < json_array_size(f->settings); i++) {
        json_t *const     row = json_array_get(f->settings, i);
        const char *const path = json_string_value(json_array_get(row, 0));
        const char *const value = json_string_value(json_array_get(row, 1));
        const char *const text = json_string_value(json_array_get(row, 3));
        if (path != NULL && value != NULL && text != NULL && bt_str_equal(path, change->path) &&
            bt_str_equal(value, change->now)) {
            (void)snprintf(origin, BT_CONF_ORIGIN_MAX, "%s", text);
            return;
        }
    }
}

static bt_status put_change(bt_str *json, const bt_conf *conf, const bt_conf_change *change,
                            const former *f, bt_error *err) {
    char origin[BT_CONF_ORIGIN_MAX];
    (void)bt_conf_origin(conf, change->path, origin);
    drop_place(origin);
    bt_hide_signatures(origin);
    bt_hide_signatures(change->now);
    recall_origin(f, change, origin);
    BT_TRY(bt_str_append(json, "[", err));
    BT_TRY(report_put_text(json, change->path, err));
    BT_TRY(bt_str_append(json, ", ", err));
    BT_TRY(report_put_text(json, change->now, err));
    BT_TRY(bt_str_append(json, ", ", err));
    BT_TRY(report_put_text(json, change->then, err));
    BT_TRY(bt_str_append(json, ", ", err));
    BT_TRY(report_put_text(json, origin, err));
    return bt_str_append(json, "]", err);
}

static bt_status put_settings(bt_str *json, const bt_train_args *args, bt_error *err) {
    bt_status       rc = BT_OK;
    const bt_conf  *conf = args->conf;
    json_t         *facts = NULL;
    former          f = {.settings = NULL};
    bt_conf        *usual = NULL;
    bt_conf_changes changes = BT_CONF_CHANGES_INIT;
    BT_CHECK(former_read(args->model_dir, &facts, &f, err));
    BT_CHECK(make_defaults(conf, &usual, err));
    BT_CHECK(bt_conf_diff(usual, conf, &changes, err));
    BT_CHECK(report_put_key(json, "settings", err));
    BT_CHECK(bt_str_append(json, "[", err));
    for (size_t i = 0; i < changes.n; i++) {
        BT_CHECK(bt_str_append(json, i > 0 ? ",\n  " : "\n  ", err));
        BT_CHECK(put_change(json, conf, &changes.items[i], &f, err));
    }
    BT_CHECK(bt_str_append(json, "]", err));
done:
    json_decref(facts);
    bt_free(f.params);
    bt_free(f.ours);
    bt_conf_changes_deinit(&changes);
    bt_conf_free(usual);
    return rc;
}

/* What follows "NAME:" in the first line of the file that begins so; *out stays NULL where there is
 * none. */
static bt_status read_proc(const char *path, const char *name, char **out, bt_error *err) {
    char           *text = NULL;
    size_t          n = 0;
    const bt_status rc = bt_fs_read_all(path, PROC_MAX_BYTES, &text, &n, NULL);
    if (rc == BT_E_NOMEM) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the lines of %s", path);
    }
    if (rc != BT_OK) {
        return BT_OK; /* not Linux */
    }
    const char *line = text;
    while (*line != '\0' && !bt_str_starts_with(line, name)) {
        line += strcspn(line, "\n");
        line += *line == '\n' ? 1 : 0;
    }
    const char *const colon = *line != '\0' ? strpbrk(line, ":\n") : NULL;
    if (colon != NULL && *colon == ':') {
        const char *const value = colon + 1 + strspn(colon + 1, " \t");
        *out = bt_strndup(value, strcspn(value, "\n"));
        if (*out == NULL) {
            bt_free(text);
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a line of %s", path);
        }
    }
    bt_free(text);
    return BT_OK;
}

static bt_status put_fact(bt_str *json, const char *name, const char *value, bt_error *err) {
    const bool is_first = json->data[json->len - 1] == '[';
    if (value == NULL) {
        return BT_OK;
    }
    BT_TRY(bt_str_append(json, is_first ? "[" : ", [", err));
    BT_TRY(report_put_text(json, name, err));
    BT_TRY(bt_str_append(json, ", ", err));
    BT_TRY(report_put_text(json, value, err));
    return bt_str_append(json, "]", err);
}

static bt_status put_machine(bt_str *json, const char *engine, bt_error *err) {
    bt_status rc = BT_OK;
    char     *processor = NULL;
    char     *memory = NULL;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(read_proc("/proc/cpuinfo", "model name", &processor, err));
    BT_CHECK(read_proc("/proc/meminfo", "MemTotal", &memory, err));
    BT_CHECK(report_put_key(json, "machine", err));
    BT_CHECK(bt_str_append(json, "[", err));
    BT_CHECK(bt_str_appendf(&text, err, "%s, %" PRId32 " cores",
                            processor != NULL ? processor : "unknown", bt_n_machine_cores()));
    BT_CHECK(put_fact(json, "processor", bt_str_text(&text), err));
    if (memory != NULL) { /* "24684084 kB" */
        bt_str_clear(&text);
        BT_CHECK(bt_str_appendf(&text, err, "%.1f GiB", strtod(memory, NULL) / (1024.0 * 1024.0)));
        BT_CHECK(put_fact(json, "memory", bt_str_text(&text), err));
    }
    BT_CHECK(put_fact(json, "engine", engine, err));
    BT_CHECK(put_fact(json, "bert-train", BT_VERSION, err));
    BT_CHECK(bt_str_append(json, "]", err));
done:
    bt_str_deinit(&text);
    bt_free(processor);
    bt_free(memory);
    return rc;
}

static bt_status put_all(bt_str *json, const report_facts *f, bt_error *err) {
    BT_TRY(bt_str_append(json, "{", err));
    BT_TRY(put_field(json, "experiment", bt_conf_experiment_name(f->args->conf), err));
    BT_TRY(put_field(json, "mode", bt_conf_mode_name(f->args->mode), err));
    BT_TRY(put_field(json, "command", f->args->command_line, err));
    BT_TRY(put_field(json, "best_metric", f->best_metric, err));
    BT_TRY(report_put_key(json, "best_is_lower", err));
    BT_TRY(bt_str_append(json, f->best_is_lower ? "true" : "false", err));
    BT_TRY(put_machine(json, f->engine, err));
    BT_TRY(report_put_key(json, "data", err));
    BT_TRY(report_put_data(json, f->train, f->other, f->labels, err));
    BT_TRY(put_settings(json, f->args, err));
    return bt_str_append(json, "}\n", err);
}

bt_status report_facts_write(const report_facts *facts, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    json = BT_STR_INIT;
    char     *path = NULL;
    BT_CHECK(put_all(&json, facts, err));
    BT_CHECK(model_dir_join(facts->dir, MODEL_FACTS, &path, err));
    BT_CHECK(bt_fs_replace(path, json.data, json.len, err));
done:
    bt_str_deinit(&json);
    bt_free(path);
    return rc;
}
