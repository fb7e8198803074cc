/* SPDX-License-Identifier: Apache-2.0
 *
 * A record is one line of JSON: kind, step, time, then (where they are meant) pretrain_step, mode,
 * computed_in and stopped, then the values in Model Garden's names, then ours. JSON knows no NaN
 * and no infinity: null says that there is no number. */
#include "record.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/number.h"
#include "bt/base/time.h"
#include "bt/fs.h"

/* "second" is in the names of all values that differ from run to run. */
static const char time_key[] = "wall_time_seconds";
static const char round_key[] = "pretrain_step";
static const char time_word[] = "second";
static const char best_start[] = "best_";

/* More than that is none of ours. */
enum { KIND_MAX = 16 };

static const char *const kind_names[] = {
    [RECORD_TRAIN] = "train", [RECORD_VALIDATION] = "validation", [RECORD_FINAL] = "final"};

static const char *const extra_names[N_RECORD_EXTRAS] = {
    [EXTRA_EXAMPLES] = "examples",
    [EXTRA_EXAMPLES_PER_SECOND] = "examples_per_second",
    [EXTRA_TOKENS_PER_SECOND] = "tokens_per_second",
    [EXTRA_SECONDS] = "seconds",
    [EXTRA_GRAD_NORM] = "grad_norm",
    [EXTRA_LOSS_SCALE] = "loss_scale",
    [EXTRA_SKIPPED_UPDATES] = "skipped_updates",
    [EXTRA_INPUT_WAIT] = "input_wait",
    [EXTRA_EXCHANGE_WAIT] = "exchange_wait",
    [EXTRA_PADDING_AVOIDED] = "padding_avoided",
    [EXTRA_PREDICTED_CLASSES] = "predicted_classes",
};

static const char line_start[] = "{\"kind\": \"";

void record_add(bt_train_values *values, const char *name, double value) {
    BT_ASSERT(values->n < BT_TRAIN_MAX_VALUES);
    bt_metric_value *const slot = &values->items[values->n++];
    (void)snprintf(slot->name, sizeof slot->name, "%s", name);
    slot->value = value;
}

void record_add_extra(bt_train_values *extra, record_extra which, double value) {
    record_add(extra, extra_names[which], value);
}

bool record_is_curve(const char *name) {
    static const record_extra curves[] = {EXTRA_GRAD_NORM, EXTRA_EXAMPLES_PER_SECOND,
                                          EXTRA_INPUT_WAIT, EXTRA_LOSS_SCALE};
    for (size_t i = 0; i < BT_ARRAY_LEN(curves); i++) {
        if (bt_str_equal(name, extra_names[curves[i]])) {
            return true;
        }
    }
    return false;
}

static bool is_extra(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(extra_names); i++) {
        if (bt_str_equal(name, extra_names[i])) {
            return true;
        }
    }
    return false;
}

static record_kind kind_of(const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(kind_names); i++) {
        if (bt_str_equal(name, kind_names[i])) {
            return (record_kind)i;
        }
    }
    return RECORD_OTHER;
}

static bt_status append_number(bt_str *line, double value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    if (!isfinite(value)) {
        return bt_str_append(line, "null", err);
    }
    return bt_str_append(line, bt_f64_repr(value, text), err);
}

static bt_status append_values(bt_str *line, const bt_train_values *values, bt_error *err) {
    for (size_t i = 0; i < values->n; i++) {
        BT_TRY(bt_str_appendf(line, err, ", \"%s\": ", values->items[i].name));
        BT_TRY(append_number(line, values->items[i].value, err));
    }
    return BT_OK;
}

bt_status record_format(const run_record *r, bt_str *line, bt_error *err) {
    BT_TRY(bt_str_appendf(line, err, "%s%s\", \"step\": %" PRId64 ", \"%s\": %.3f", line_start,
                          kind_names[r->kind], r->step, time_key, bt_time_unix()));
    if (r->round >= 0) {
        BT_TRY(bt_str_appendf(line, err, ", \"%s\": %" PRId64, round_key, r->round));
    }
    if (r->mode != NULL) {
        BT_TRY(bt_str_appendf(line, err, ", \"mode\": \"%s\"", r->mode));
    }
    if (r->precision != NULL) {
        BT_TRY(bt_str_appendf(line, err, ", \"computed_in\": \"%s\"", r->precision));
    }
    if (r->stopped != NULL) {
        BT_TRY(bt_str_appendf(line, err, ", \"stopped\": \"%s\"", r->stopped));
    }
    BT_TRY(append_values(line, r->values, err));
    BT_TRY(append_values(line, r->extra, err));
    return bt_str_append(line, "}\n", err);
}

static bool is_head(const char *name) {
    return bt_str_equal(name, "step") || bt_str_equal(name, time_key) ||
           bt_str_equal(name, round_key);
}

static void read_values(json_t *root, record_line *out) {
    const char      *name = NULL;
    json_t          *value = NULL;
    bt_train_values *to = &out->values;
    out->values.n = 0;
    out->extra.n = 0;
    json_object_foreach(root, name, value) {
        to = is_extra(name) ? &out->extra : to;
        if ((json_is_number(value) || json_is_null(value)) && !is_head(name) &&
            to->n < BT_TRAIN_MAX_VALUES && strlen(name) < BT_METRIC_NAME_MAX) {
            record_add(to, name, json_is_null(value) ? (double)NAN : json_number_value(value));
        }
    }
}

bt_status record_parse(const char *line, size_t n_bytes, record_line *out, bool *is_record,
                       bt_error *err) {
    json_t *root = NULL;
    BT_TRY(bt_json_load(line, n_bytes, 0, &root, NULL, err));
    const char *const   kind = json_string_value(json_object_get(root, "kind"));
    const json_t *const step = json_object_get(root, "step");
    const json_t *const round = json_object_get(root, round_key);
    *is_record = kind != NULL && strlen(kind) < KIND_MAX && json_is_integer(step);
    if (*is_record) {
        out->kind = kind_of(kind);
        out->step = json_integer_value(step);
        out->round = json_is_integer(round) ? json_integer_value(round) : -1;
        out->time = json_number_value(json_object_get(root, time_key));
        out->from_training = json_object_get(root, "mode") == NULL;
        out->is_early =
            bt_str_equal(json_string_value(json_object_get(root, "stopped")), RECORD_STOPPED_EARLY);
        read_values(root, out);
    }
    json_decref(root);
    return BT_OK;
}

bool record_is_torn(const char *line, size_t n_bytes) {
    const size_t n_start = sizeof line_start - 1;
    const size_t n = n_bytes < n_start ? n_bytes : n_start;
    return memchr(line, '\0', n_bytes) != NULL || (n > 0 && memcmp(line, line_start, n) == 0);
}

static bool is_compared(const char *name) {
    return strstr(name, time_word) == NULL && !bt_str_starts_with(name, best_start);
}

static bool is_same_number(double a, double b) {
    return a == b || (!isfinite(a) && !isfinite(b)); /* both null */
}

bool record_is_repeated(const record_line *line, const run_record *r) {
    if (line->kind != r->kind || line->step != r->step || line->round != r->round ||
        line->values.n != r->values->n) {
        return false;
    }
    for (size_t i = 0; i < r->values->n; i++) {
        const bt_metric_value *const old = &line->values.items[i];
        if (!bt_str_equal(old->name, r->values->items[i].name) ||
            (is_compared(old->name) && !is_same_number(old->value, r->values->items[i].value))) {
            return false;
        }
    }
    return true;
}
