/* SPDX-License-Identifier: Apache-2.0
 *
 * The labels of tables as a set: what occurs, how often and where first. What the set means is
 * decided when all of it is known (data_label_rule.c), so that a file means the same whatever the
 * order of its rows; until then nothing is refused but a label that can be none. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "data_labels.h"

enum { LABEL_MAX_BYTES = 256 };

bt_status data_labels_init(data_labels *labels, const bt_data_schema *schema, bt_error *err) {
    *labels = (data_labels){.schema = schema};
    return bt_map_create(&labels->places, schema->n_label_names, err);
}

void data_labels_forget(data_labels *labels) {
    for (size_t i = 0; i < labels->n_seen; i++) {
        bt_free(labels->seen[i].text);
    }
    labels->n_seen = 0;
}

void data_labels_forget_rows(data_labels *labels) {
    bt_free(labels->of_rows);
    labels->of_rows = NULL;
    labels->n_of_rows = labels->cap_of_rows = 0;
}

void data_labels_deinit(data_labels *labels) {
    data_labels_forget(labels);
    data_labels_forget_rows(labels);
    for (size_t i = 0; i < labels->n_names; i++) {
        bt_free(labels->names[i]);
    }
    bt_free(labels->seen);
    bt_free(labels->names);
    bt_map_free(labels->places);
    *labels = (data_labels){0};
}

bt_text_span data_trim(bt_text_span text) {
    while (text.n_bytes > 0 && strchr(" \t", text.text[0]) != NULL) {
        text.text++;
        text.n_bytes--;
    }
    while (text.n_bytes > 0 && strchr(" \t", text.text[text.n_bytes - 1]) != NULL) {
        text.n_bytes--;
    }
    return text;
}

bool data_label_number(const char *text, double *value) {
    const char *const digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    const bool        is_plain =
        digits[0] >= '0' && digits[0] <= '9' && digits[strspn(digits, "0123456789.eE+-")] == '\0';
    return is_plain && bt_parse_f64(text, value) && isfinite(*value);
}

/* "01" is a name, as codes have it; 1, 1.0 and 1e0 are one number. Integers of 64 bits are told
 * apart where they are written as such. */
bool data_label_integer(const char *text, int64_t *value) {
    const char *const digits = text[0] == '-' ? text + 1 : text;
    const double      most = 9007199254740992.0; /* 2^53: below it a float64 says which one it is */
    double            number = 0;
    if (text[0] == '+' || (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') ||
        !data_label_number(text, &number)) {
        return false;
    }
    if (bt_parse_i64(text, value)) {
        return true;
    }
    if (number != floor(number) || fabs(number) >= most) {
        return false;
    }
    *value = (int64_t)number;
    return true;
}

static bt_status see_new(data_labels *labels, bt_text_span text, data_label_place place,
                         bt_error *err) {
    const size_t n = labels->n_seen;
    char *const  copy = bt_strndup(text.text, text.n_bytes);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the labels");
    }
    const bt_status rc = bt_grow(&labels->seen, &labels->cap_seen, n + 1, sizeof *labels->seen,
                                 DATA_LABELS_MAX, err);
    if (rc != BT_OK) {
        bt_free(copy);
        return rc;
    }
    labels->seen[n] = (data_label){.text = copy, .place = place, .count = 1, .id = -1};
    labels->n_seen++;
    return bt_map_put(labels->places, text.text, text.n_bytes, (int64_t)n, err);
}

static bt_status keep_row(data_labels *labels, int64_t known, bt_error *err) {
    if (labels->keeps_rows) {
        BT_TRY(bt_grow(&labels->of_rows, &labels->cap_of_rows, labels->n_of_rows + 1,
                       sizeof *labels->of_rows, SIZE_MAX / 16, err));
        labels->of_rows[labels->n_of_rows++] = (int32_t)known;
    }
    return BT_OK;
}

bt_status data_labels_learn(data_labels *labels, bt_text_span text, data_label_place place,
                            bt_error *err) {
    const int64_t n_classes = labels->schema->n_classes;
    int64_t       known = 0;
    text = data_trim(text);
    if (text.n_bytes == 0 || text.n_bytes > LABEL_MAX_BYTES) {
        return BT_FAIL(err, BT_E_FORMAT,
                       text.n_bytes == 0 ? "the label is empty"
                                         : "the label has %zu bytes, at most %d",
                       text.n_bytes, LABEL_MAX_BYTES);
    }
    if (bt_map_get(labels->places, text.text, text.n_bytes, &known)) {
        labels->seen[known].count++;
        return keep_row(labels, known, err);
    }
    if (n_classes > 0 && (int64_t)labels->n_seen >= n_classes + DATA_LABELS_MORE) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "label '%.*s' is different label number %zu, but task.model.num_classes is "
                       "%" PRId64 ": is '%s' the column of the labels?",
                       (int)text.n_bytes, text.text, labels->n_seen + 1, n_classes,
                       labels->schema->label_field);
    }
    BT_TRY(see_new(labels, text, place, err));
    return keep_row(labels, (int64_t)labels->n_seen - 1, err);
}

bt_status data_labels_find(const data_labels *labels, bt_text_span text, int64_t *label,
                           bt_error *err) {
    int64_t place = 0;
    text = data_trim(text);
    if (!bt_map_get(labels->places, text.text, text.n_bytes, &place)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "label '%.*s' was not there when the file was read first: it changed while "
                       "it was in use",
                       (int)text.n_bytes, text.text);
    }
    *label = labels->seen[place].id;
    return BT_OK;
}
