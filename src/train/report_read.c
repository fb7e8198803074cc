/* SPDX-License-Identifier: Apache-2.0
 *
 * A run as its folder tells it: curves, times and rests from metrics.jsonl, the rest from
 * run_facts.json and eval_details.json. */
#include "report_read.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "model_dir.h"
#include "records.h"

/* Records that are farther apart than what was done between them, by more seconds than a save
 * takes: the run was stopped and went on. */
static const double pause_seconds = 30;

enum { FILE_MAX_BYTES = 1 << 28 };

typedef struct reader {
    bt_report_run *run;
    int64_t        round;
    bool           is_begun;
    bool           trained;   /* some record is a training's */
    double         last_time; /* of the record before; 0: there was none */
    double         last_step; /* of the training's record before */
    bool           is_over;
    bool           is_early;
    bt_status      rc;
    bt_error      *err;
} reader;

static double value_of(const bt_train_values *values, const char *name) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, name)) {
            return isfinite(values->items[i].value) ? values->items[i].value : 0;
        }
    }
    return 0;
}

/* Seconds of what the record tells. */
static double seconds_of(const reader *r, const record_line *line) {
    const double speed = value_of(&line->values, "steps_per_second");
    if (line->kind == RECORD_VALIDATION) {
        return value_of(&line->extra, "seconds");
    }
    return line->kind == RECORD_TRAIN && speed > 0 ? ((double)line->step - r->last_step) / speed
                                                   : 0;
}

static bt_status add_times(reader *r, const record_line *line) {
    bt_report_times *const t = &r->run->times;
    const double           seconds = seconds_of(r, line);
    const double           between = r->last_time > 0 ? line->time - r->last_time : seconds;
    if (line->kind == RECORD_TRAIN) {
        t->training += seconds;
        t->input_wait += seconds * value_of(&line->extra, "input_wait");
        t->exchange_wait += seconds * value_of(&line->extra, "exchange_wait");
    } else {
        t->evaluation += seconds;
    }
    const bool is_pause = between > seconds + pause_seconds;
    t->elapsed += is_pause ? seconds : between;
    const double step = r->last_step;
    r->last_time = line->time;
    r->last_step = line->kind == RECORD_TRAIN ? (double)line->step : r->last_step;
    return is_pause ? bt_report_add_pause(r->run, step, between - seconds, r->err) : BT_OK;
}

static bt_status add_values(reader *r, const record_line *line, const bt_train_values *values) {
    for (size_t i = 0; i < values->n; i++) {
        const bt_metric_value *const v = &values->items[i];
        BT_TRY(bt_report_add_value(r->run, v->name, line->kind == RECORD_VALIDATION,
                                   (double)line->step, v->value, r->err));
    }
    return BT_OK;
}

static bt_status add_record(reader *r, const record_line *line) {
    bt_report_run *const run = r->run;
    if (r->is_begun && line->round != r->round) { /* the last one of several trainings */
        char *const name = run->name;
        run->name = NULL;
        bt_report_run_deinit(run);
        run->name = name;
    }
    r->is_begun = true;
    r->round = line->round;
    run->last_step = line->step > run->last_step ? line->step : run->last_step;
    if (line->kind == RECORD_FINAL) {
        r->is_over = true;
        r->is_early = line->is_early;
        return BT_OK;
    }
    r->is_over = false;
    BT_TRY(add_times(r, line));
    BT_TRY(add_values(r, line, &line->values));
    return add_values(r, line, &line->extra);
}

/* Is a record of another process's evaluation one of the run's course? Only where there is no
 * training. */
static bool visit(void *context, const record_line *line) {
    reader *const r = context;
    const bool    is_known = line->kind != RECORD_OTHER;
    if (is_known && (line->from_training || !r->trained)) {
        r->rc = add_record(r, line);
    }
    return r->rc != BT_OK;
}

static bool find_training(void *context, const record_line *line) {
    reader *const r = context;
    r->trained = line->kind == RECORD_TRAIN || (line->from_training && line->kind != RECORD_OTHER);
    return r->trained;
}

static bt_status read_records(reader *r, const char *folder) {
    char *path = NULL;
    BT_TRY(model_dir_file(folder, MODEL_RECORDS, &path, r->err));
    bt_status rc = records_visit(path, find_training, r, r->err);
    if (rc == BT_OK) {
        rc = records_visit(path, visit, r, r->err);
    }
    bt_free(path);
    return rc == BT_OK ? r->rc : rc;
}

bt_status report_read_object(const char *folder, model_file file, json_t **out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    bool      is_there = false;
    BT_TRY(model_dir_file(folder, file, &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    if (is_there) {
        BT_CHECK(bt_fs_read_json(path, FILE_MAX_BYTES, JSON_ALLOW_NUL, out, err));
        if (!json_is_object(*out)) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: expected an object of JSON", path);
        }
    }
done:
    bt_free(path);
    return rc;
}

static bt_status copy(const char *text, char **out, bt_error *err) {
    *out = text != NULL ? bt_strdup(text) : NULL;
    return *out != NULL || text == NULL ? BT_OK
                                        : BT_FAIL(err, BT_E_NOMEM, "out of memory for the report");
}

static const char *item(json_t *list, size_t i) {
    const char *const text = json_string_value(json_array_get(list, i));
    return text != NULL ? text : "";
}

static bt_status take_facts(bt_report_run *run, json_t *facts, bt_error *err) {
    json_t *const     settings = json_object_get(facts, "settings");
    json_t *const     machine = json_object_get(facts, "machine");
    const char *const experiment = json_string_value(json_object_get(facts, "experiment"));
    if (experiment != NULL) {
        bt_free(run->experiment);
        BT_TRY(copy(experiment, &run->experiment, err));
    }
    BT_TRY(copy(json_string_value(json_object_get(facts, "command")), &run->command, err));
    BT_TRY(copy(json_string_value(json_object_get(facts, "best_metric")), &run->best_metric, err));
    run->best_is_lower = json_is_true(json_object_get(facts, "best_is_lower"));
    run->data = json_incref(json_object_get(facts, "data"));
    for (size_t i = 0; i < json_array_size(settings); i++) {
        json_t *const row = json_array_get(settings, i);
        BT_TRY(bt_report_add_setting(run, item(row, 0), item(row, 1), item(row, 2), item(row, 3),
                                     err));
    }
    for (size_t i = 0; i < json_array_size(machine); i++) {
        json_t *const row = json_array_get(machine, i);
        BT_TRY(bt_report_add_fact(run, item(row, 0), item(row, 1), err));
    }
    return BT_OK;
}

static bt_status say_status(const reader *r, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&text, err, "%s at step %" PRId64,
                                  r->is_early  ? "stopped early"
                                  : r->is_over ? "finished"
                                               : "not finished; the last record is",
                                  r->run->last_step);
    r->run->status = rc == BT_OK ? bt_str_take(&text) : NULL;
    bt_str_deinit(&text);
    return rc;
}

bt_status report_read_run(const char *folder, bt_report_run *out, bt_error *err) {
    reader r = {.run = out, .err = err};
    *out = (bt_report_run){0};
    BT_TRY(copy(folder, &out->name, err));
    BT_TRY(copy("", &out->experiment, err));
    BT_TRY(read_records(&r, folder));
    return say_status(&r, err);
}

bt_status report_read_beside(const char *folder, bt_report_run *out, bt_error *err) {
    bt_status rc = BT_OK;
    json_t   *facts = NULL;
    BT_CHECK(report_read_object(folder, MODEL_FACTS, &facts, err));
    BT_CHECK(take_facts(out, facts, err));
    BT_CHECK(report_read_object(folder, MODEL_DETAILS, &out->evaluation, err));
done:
    json_decref(facts);
    return rc;
}
