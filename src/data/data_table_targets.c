/* SPDX-License-Identifier: Apache-2.0
 *
 * Several labels a row of a table: the classes that apply, in one field (a JSON list, or a text
 * with a separator), or a number from 0 to 1 in a column for each class. */
#include <inttypes.h>
#include <string.h>

#include "data_table.h"

/* The labels of a field that were not looked at yet. */
typedef struct label_list {
    bt_text_span rest;
    char         separator;
    bool         is_open; /* one more follows, be it empty */
} label_list;

/* Lists of JSON end each of theirs with a sign that no text has, so that a label may hold the
 * separator. */
static label_list list_of(const bt_data_schema *schema, bt_text_span field) {
    const bool is_json =
        field.n_bytes > 0 && memchr(field.text, TABLE_LIST_MARK, field.n_bytes) != NULL;
    const char separator = is_json ? TABLE_LIST_MARK : schema->label_separator;
    return (label_list){.rest = separator == TABLE_LIST_MARK ? field : data_trim(field),
                        .separator = separator};
}

/* The next one; false after the last. */
static bool next_label(label_list *list, bt_text_span *label) {
    bt_text_span *const rest = &list->rest;
    if (rest->n_bytes == 0 && !list->is_open) {
        return false;
    }
    const char *const end =
        rest->n_bytes > 0 ? memchr(rest->text, list->separator, rest->n_bytes) : NULL;
    const size_t n = end != NULL ? (size_t)(end - rest->text) : rest->n_bytes;
    *label = (bt_text_span){rest->text, n};
    list->is_open = end != NULL && list->separator != TABLE_LIST_MARK;
    rest->text += end != NULL ? n + 1 : n;
    rest->n_bytes -= end != NULL ? n + 1 : n;
    return true;
}

static bool read_target(bt_text_span text, float *target) {
    char   copy[64] = "";
    double number = -1;
    text = data_trim(text);
    if (text.n_bytes < sizeof copy) {
        memcpy(copy, text.text, text.n_bytes);
    }
    if (strcmp(copy, "true") == 0 || strcmp(copy, "false") == 0) {
        number = copy[0] == 't' ? 1 : 0;
    } else if (!data_label_number(copy, &number)) {
        return false;
    }
    *target = (float)number;
    return number >= 0 && number <= 1;
}

/* A number from 0 to 1 for each class? *is_sure: it cannot be a list of numbers of classes, as it
 * has a fraction or names one twice. targets [n_classes] may be NULL. */
static bool read_vector(const bt_data_schema *schema, label_list list, float *targets,
                        bool *is_sure) {
    bt_text_span label = {0};
    float        sum = 0;
    int64_t      n = 0;
    *is_sure = false;
    for (; next_label(&list, &label); n++) {
        float target = 0;
        if (n == schema->n_classes || !read_target(label, &target)) {
            return false;
        }
        *is_sure = *is_sure || (target > 0 && target < 1);
        sum += target;
        if (targets != NULL) {
            targets[n] = target;
        }
    }
    *is_sure = *is_sure || n > 2 || (n == 2 && sum != 1.0F);
    return n == schema->n_classes;
}

/* "0.25<mark>NAME" -> how much the label applies, and the label. */
static bt_status split_value(bt_text_span *label, float *target, bt_error *err) {
    const char *const mark =
        label->n_bytes > 0 ? memchr(label->text, TABLE_VALUE_MARK, label->n_bytes) : NULL;
    const size_t n = mark != NULL ? (size_t)(mark - label->text) : 0;
    *target = 1;
    if (mark == NULL) {
        return BT_OK;
    }
    if (!read_target((bt_text_span){label->text, n}, target)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "class '%.*s' is %.*s: expected a number from 0 to 1 (does it apply?)",
                       (int)(label->n_bytes - n - 1), mark + 1, (int)n, label->text);
    }
    *label = (bt_text_span){mark + 1, label->n_bytes - n - 1};
    return BT_OK;
}

bt_status table_learn_targets(data_labels *labels, bt_text_span field, data_label_place place,
                              bt_error *err) {
    label_list   list = list_of(labels->schema, field);
    bt_text_span label = {0};
    bool         is_sure = false;
    labels->n_lists++;
    if (read_vector(labels->schema, list, NULL, &is_sure)) {
        labels->n_vectors++;
        if (is_sure) {
            labels->vector = labels->vector.line == 0 ? place : labels->vector;
            return BT_OK;
        }
    } else {
        labels->other = labels->other.line == 0 ? place : labels->other;
    }
    while (next_label(&list, &label)) {
        float ignored = 0;
        BT_TRY(split_value(&label, &ignored, err));
        BT_TRY(data_labels_learn(labels, label, place, err));
    }
    return BT_OK;
}

/* Of two classes [0,1] and [1,0] may be either; lists that name both in all rows say nothing. */
bt_status table_settle_targets(data_labels *labels, data_label_place *place, bt_error *err) {
    const bool are_all = labels->n_lists > 0 && labels->n_vectors == labels->n_lists;
    if (labels->vector.line > 0 && !are_all) {
        *place = labels->other;
        return BT_FAIL(err, BT_E_FORMAT,
                       "the labels are not a list of %" PRId64
                       " numbers from 0 to 1, one for each class, as those of line %" PRId64
                       " are: all rows must have the same form",
                       labels->schema->n_classes, labels->vector.line);
    }
    labels->are_vectors = are_all && (labels->vector.line > 0 || labels->schema->n_classes == 2);
    if (labels->are_vectors) {
        data_labels_forget(labels);
    }
    return BT_OK;
}

bt_status table_find_targets(const data_labels *labels, bt_text_span field, float *targets,
                             bt_error *err) {
    label_list   list = list_of(labels->schema, field);
    bt_text_span label = {0};
    bool         is_sure = false;
    memset(targets, 0, (size_t)labels->schema->n_classes * sizeof *targets);
    if (labels->are_vectors) {
        return read_vector(labels->schema, list, targets, &is_sure)
                   ? BT_OK
                   : BT_FAIL(err, BT_E_FORMAT, "the labels changed while the file was in use");
    }
    while (next_label(&list, &label)) {
        int64_t id = 0;
        float   target = 0;
        BT_TRY(split_value(&label, &target, err));
        BT_TRY(data_labels_find(labels, label, &id, err));
        targets[id] = target;
    }
    return BT_OK;
}

bt_status table_read_targets(const table_wish *wish, const bt_text_span *values, size_t n,
                             float *targets, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        const bt_text_span text = data_trim(values[i]);
        if (!read_target(text, &targets[i])) {
            return BT_FAIL(
                err, BT_E_FORMAT,
                "field %s: '%.*s': expected a number from 0 to 1 (does the class apply?)",
                wish->keys[wish->label_key + i], text.n_bytes < 40 ? (int)text.n_bytes : 40,
                text.text);
        }
    }
    return BT_OK;
}
