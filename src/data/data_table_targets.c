/* SPDX-License-Identifier: Apache-2.0
 *
 * Several labels a row of a table: the classes that apply, in one field (a JSON list, or a text
 * with a separator), or a number from 0 to 1 in a column for each class. */
#include <string.h>

#include "data_table.h"

/* The next label of a field; false after the last. Lists of JSON end each of theirs with a sign
 * that no text has, so that a label may hold the separator. */
static bool next_label(bt_text_span *rest, char separator, bool *is_open, bt_text_span *label) {
    if (rest->n_bytes == 0 && !*is_open) {
        return false;
    }
    const char *const end = rest->n_bytes > 0 ? memchr(rest->text, separator, rest->n_bytes) : NULL;
    const size_t      n = end != NULL ? (size_t)(end - rest->text) : rest->n_bytes;
    *label = (bt_text_span){rest->text, n};
    *is_open = end != NULL && separator != TABLE_LIST_MARK;
    rest->text += end != NULL ? n + 1 : n;
    rest->n_bytes -= end != NULL ? n + 1 : n;
    return true;
}

static char separator_of(const bt_data_schema *schema, bt_text_span field) {
    const bool is_list =
        field.n_bytes > 0 && memchr(field.text, TABLE_LIST_MARK, field.n_bytes) != NULL;
    return is_list ? TABLE_LIST_MARK : schema->label_separator;
}

bt_status table_learn_targets(data_labels *labels, bt_text_span field, data_label_place place,
                              bt_error *err) {
    const char   separator = separator_of(labels->schema, field);
    bt_text_span rest = separator == TABLE_LIST_MARK ? field : bt_data_trim(field);
    bt_text_span label = {0};
    bool         is_open = false;
    while (next_label(&rest, separator, &is_open, &label)) {
        BT_TRY(bt_data_labels_learn(labels, label, place, err));
    }
    return BT_OK;
}

bt_status table_find_targets(const data_labels *labels, bt_text_span field, float *targets,
                             bt_error *err) {
    const char   separator = separator_of(labels->schema, field);
    bt_text_span rest = separator == TABLE_LIST_MARK ? field : bt_data_trim(field);
    bt_text_span label = {0};
    bool         is_open = false;
    memset(targets, 0, (size_t)labels->schema->n_classes * sizeof *targets);
    while (next_label(&rest, separator, &is_open, &label)) {
        int64_t id = 0;
        BT_TRY(bt_data_labels_find(labels, label, &id, err));
        targets[id] = 1;
    }
    return BT_OK;
}

bt_status table_read_targets(const table_wish *wish, const bt_text_span *values, size_t n,
                             float *targets, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        const bt_text_span text = bt_data_trim(values[i]);
        char               copy[64] = "";
        double             number = -1;
        if (text.n_bytes < sizeof copy) {
            memcpy(copy, text.text, text.n_bytes);
        }
        if (strcmp(copy, "true") == 0 || strcmp(copy, "false") == 0) {
            number = copy[0] == 't' ? 1 : 0;
        } else if (!data_label_number(copy, &number)) {
            number = -1;
        }
        if (number < 0 || number > 1) {
            return BT_FAIL(
                err, BT_E_FORMAT,
                "field %s: '%.*s': expected a number from 0 to 1 (does the class apply?)",
                wish->keys[wish->label_key + i], text.n_bytes < 40 ? (int)text.n_bytes : 40,
                text.text);
        }
        targets[i] = (float)number;
    }
    return BT_OK;
}
