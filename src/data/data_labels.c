/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels of tables -> classes. Numbers 0 .. n-1 are classes as they stand. Anything else is a name:
 * the names that the schema gives in their order, or, where rows train a model, all that occur,
 * sorted. So a file means the same whatever the order of its rows, and what it means is known
 * before the first step. */
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"

enum {
    LABEL_MAX_BYTES = 256,
    LABELS_MAX = 1 << 20,
    LIST_MAX_BYTES = 256, /* of the names in a message */
};

bt_status bt_data_labels_init(data_labels *labels, const bt_data_schema *schema, bt_error *err) {
    *labels = (data_labels){.schema = schema, .is_given = schema->label_names != NULL};
    BT_TRY(bt_map_create(&labels->ids, schema->n_label_names, err));
    for (size_t i = 0; i < schema->n_label_names; i++) {
        const char *const name = schema->label_names[i];
        BT_TRY(bt_map_put(labels->ids, name, strlen(name), (int64_t)i, err));
    }
    return BT_OK;
}

static void drop_names(data_labels *labels) {
    for (size_t i = 0; i < labels->n_names; i++) {
        bt_free(labels->names[i]);
    }
    bt_free(labels->names);
    labels->names = NULL;
    labels->n_names = 0;
    labels->cap_names = 0;
}

void bt_data_labels_deinit(data_labels *labels) {
    drop_names(labels);
    bt_map_free(labels->ids);
    *labels = (data_labels){0};
}

/* ---- what a label says ------------------------------------------------------------------------
 */

bt_text_span bt_data_trim(bt_text_span text) {
    while (text.n_bytes > 0 && strchr(" \t", text.text[0]) != NULL) {
        text.text++;
        text.n_bytes--;
    }
    while (text.n_bytes > 0 && strchr(" \t", text.text[text.n_bytes - 1]) != NULL) {
        text.n_bytes--;
    }
    return text;
}

static bool as_integer(bt_text_span text, int64_t *value) {
    char copy[24];
    if (text.n_bytes >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.text, text.n_bytes);
    copy[text.n_bytes] = '\0';
    return bt_parse_i64(copy, value);
}

/* A class number, written plainly. */
static bool as_class(const data_labels *labels, bt_text_span text, int64_t *value) {
    const int64_t n = labels->schema->n_classes > 0 ? labels->schema->n_classes : INT32_MAX;
    const bool    is_plain =
        text.n_bytes == 1 || (text.n_bytes > 1 && text.text[0] >= '1' && text.text[0] <= '9');
    return is_plain && as_integer(text, value) && *value >= 0 && *value < n;
}

/* "'a', 'b', ..." as far as there is room. */
static void list_names(const char *const *names, size_t n, char out[LIST_MAX_BYTES]) {
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const size_t n_name = strlen(names[i]);
        if (at + n_name + 12 > LIST_MAX_BYTES) {
            memcpy(out + at, ", ...", 6);
            return;
        }
        memcpy(out + at, i > 0 ? ", '" : "'", i > 0 ? 3 : 1);
        at += i > 0 ? 3 : 1;
        memcpy(out + at, names[i], n_name);
        at += n_name;
        memcpy(out + at, "'", 2);
        at++;
    }
}

static bt_status refuse_label(const data_labels *labels, bt_text_span text, bt_error *err) {
    const bt_data_schema *const schema = labels->schema;
    const int                   n = (int)text.n_bytes;
    int64_t                     number = 0;
    char                        known[LIST_MAX_BYTES];
    if (labels->is_given && (labels->is_by_name || !labels->is_decided)) {
        list_names(schema->label_names, schema->n_label_names, known);
        return BT_FAIL(err, BT_E_FORMAT, "label '%.*s' is none of the classes %s", n, text.text,
                       known);
    }
    if (as_integer(text, &number)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "label %" PRId64 ", but there are %" PRId64
                       " classes (task.model.num_classes): expected 0 to %" PRId64,
                       number, schema->n_classes, schema->n_classes - 1);
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "label '%.*s' is no class number, and the names of the classes are not known: "
                   "list them in the order of their numbers in task.label_names",
                   n, text.text);
}

/* Decided: the class, or BT_E_FORMAT. */
static bt_status find(const data_labels *labels, bt_text_span text, int64_t *label, bt_error *err) {
    const bool found = labels->is_by_name ? bt_map_get(labels->ids, text.text, text.n_bytes, label)
                                          : as_class(labels, text, label);
    return found ? BT_OK : refuse_label(labels, text, err);
}

bt_status bt_data_labels_find(const data_labels *labels, bt_text_span text, int64_t *label,
                              bt_error *err) {
    BT_ASSERT(labels->is_decided);
    return find(labels, bt_data_trim(text), label, err);
}

/* ---- learning ---------------------------------------------------------------------------------
 */

static bt_status refuse_one_more(const data_labels *labels, bt_text_span text, bt_error *err) {
    char   known[LIST_MAX_BYTES];
    size_t n_numbers = 0;
    for (size_t i = 0; i < labels->n_names; i++) {
        int64_t            number = 0;
        const bt_text_span name = {labels->names[i], strlen(labels->names[i])};
        n_numbers += as_class(labels, name, &number) ? 1 : 0;
    }
    if (n_numbers == labels->n_names) {
        return refuse_label(labels, text, err);
    }
    list_names((const char *const *)labels->names, labels->n_names, known);
    return BT_FAIL(err, BT_E_FORMAT,
                   "label '%.*s' is one more than task.model.num_classes, %" PRId64
                   ": before it came %s",
                   (int)text.n_bytes, text.text, labels->schema->n_classes, known);
}

static bt_status learn_name(data_labels *labels, bt_text_span text, bt_error *err) {
    int64_t      known = 0;
    const size_t n = labels->n_names;
    if (bt_map_get(labels->ids, text.text, text.n_bytes, &known)) {
        return BT_OK;
    }
    if (labels->schema->n_classes > 0 && (int64_t)n >= labels->schema->n_classes) {
        return refuse_one_more(labels, text, err);
    }
    BT_TRY(
        bt_grow(&labels->names, &labels->cap_names, n + 1, sizeof *labels->names, LABELS_MAX, err));
    labels->names[n] = bt_strndup(text.text, text.n_bytes);
    if (labels->names[n] == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of the classes");
    }
    labels->n_names++;
    return bt_map_put(labels->ids, text.text, text.n_bytes, (int64_t)n, err);
}

bt_status bt_data_labels_learn(data_labels *labels, bt_text_span text, bt_error *err) {
    int64_t label = 0;
    text = bt_data_trim(text);
    if (text.n_bytes == 0 || text.n_bytes > LABEL_MAX_BYTES) {
        return BT_FAIL(err, BT_E_FORMAT,
                       text.n_bytes == 0 ? "the label is empty"
                                         : "the label has %zu bytes, at most %d",
                       text.n_bytes, LABEL_MAX_BYTES);
    }
    if (!labels->is_decided && (labels->is_given || !labels->schema->learns_labels)) {
        /* the first label says which of the two they are; all others must follow */
        if (labels->is_given && bt_map_get(labels->ids, text.text, text.n_bytes, &label)) {
            labels->is_by_name = true;
        } else if (!as_class(labels, text, &label)) {
            return refuse_label(labels, text, err);
        }
        labels->is_decided = true;
    }
    return labels->is_decided ? find(labels, text, &label, err) : learn_name(labels, text, err);
}

/* Numbers by value, texts by bytes. */
static int compare_numbers(const void *a, const void *b) {
    int64_t            x = 0;
    int64_t            y = 0;
    const char *const *p = a;
    const char *const *q = b;
    (void)as_integer((bt_text_span){*p, strlen(*p)}, &x);
    (void)as_integer((bt_text_span){*q, strlen(*q)}, &y);
    return (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b) {
    const char *const *p = a;
    const char *const *q = b;
    return strcmp(*p, *q);
}

static bt_status number_names(data_labels *labels, bool are_integers, const char *section,
                              bt_error *err) {
    const size_t  n = labels->n_names;
    const int64_t n_classes = labels->schema->n_classes;
    char          known[LIST_MAX_BYTES];
    qsort(labels->names, n, sizeof *labels->names, are_integers ? compare_numbers : compare_texts);
    list_names((const char *const *)labels->names, n, known);
    /* sorted: numbers from 0 on are class numbers, and then one of them is wrong */
    if (are_integers && strcmp(labels->names[0], "0") == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the labels are numbers, %s, but there are %" PRId64
                       " classes (task.model.num_classes): expected 0 to %" PRId64,
                       section, known, n_classes, n_classes - 1);
    }
    if (n_classes > 0 && (int64_t)n != n_classes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: only %zu different labels occur (%s), but task.model.num_classes is "
                       "%" PRId64 ": name all classes in task.label_names, or correct num_classes",
                       section, n, known, n_classes);
    }
    for (size_t i = 0; i < n; i++) {
        BT_TRY(
            bt_map_put(labels->ids, labels->names[i], strlen(labels->names[i]), (int64_t)i, err));
    }
    labels->is_by_name = true;
    bt_log(BT_LOG_INFO, "%s: %zu classes by name, numbered from 0: %s", section, n, known);
    return BT_OK;
}

bt_status bt_data_labels_settle(data_labels *labels, const char *section, bt_error *err) {
    bool are_classes = true;
    bool are_integers = true;
    if (labels->is_decided) {
        return BT_OK;
    }
    labels->is_decided = true;
    for (size_t i = 0; i < labels->n_names; i++) {
        int64_t            value = 0;
        const bt_text_span name = {labels->names[i], strlen(labels->names[i])};
        are_classes = are_classes && as_class(labels, name, &value);
        are_integers = are_integers && as_integer(name, &value);
    }
    if (are_classes) {
        drop_names(labels);
        return BT_OK;
    }
    return number_names(labels, are_integers, section, err);
}
