/* SPDX-License-Identifier: Apache-2.0
 *
 * What the set of labels of a table means; the one rule, whatever the order of rows and files:
 *
 * - Integers are compared by value ("1.0" is 1) where all labels are integers, or all names are.
 * - Where names are known, labels are names. Only where nobody called a class by its name yet, and
 *   no name is itself a number, all of them together may be class numbers, 0 .. n-1, instead.
 * - Without names they are class numbers, or where the rows train a model, names to be learned:
 *   sorted (numbers by value) and numbered.
 * - Everything else is refused, with the place of a label that is wrong. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "data_labels.h"

enum { INTEGER_MAX_BYTES = 24 };

typedef struct label_rule {
    data_labels      *labels;
    const char       *section;
    data_label_place *place;  /* of what is refused */
    bt_map           *names;  /* of the schema -> class; NULL: there are none */
    data_label      **sorted; /* [n_seen] for learning and messages */
    size_t            n_distinct;
    size_t            n_numbers;
    bool              are_integers;       /* all labels */
    bool              names_are_integers; /* all names of the schema */
    bool              some_name_is_number;
} label_rule;

static void list_labels(const label_rule *rule, char out[BT_LIST_MAX]) {
    out[0] = '\0';
    for (size_t i = 0; i < rule->n_distinct && bt_list_add(out, BT_LIST_MAX, rule->sorted[i]->text);
         i++) {
    }
}

static bool is_class(const label_rule *rule, const data_label *label, int64_t *id) {
    const int64_t n_classes = rule->labels->schema->n_classes;
    return data_label_integer(label->text, id) && *id >= 0 &&
           *id < (n_classes > 0 ? n_classes : INT32_MAX);
}

static const char *integer_text(int64_t value, char buffer[INTEGER_MAX_BYTES]) {
    (void)snprintf(buffer, INTEGER_MAX_BYTES, "%" PRId64, value);
    return buffer;
}

static bool is_name(const label_rule *rule, const data_label *label, int64_t *id) {
    char    buffer[INTEGER_MAX_BYTES];
    int64_t value = 0;
    if (bt_map_get(rule->names, label->text, strlen(label->text), id)) {
        return true;
    }
    if (!rule->names_are_integers || !data_label_integer(label->text, &value)) {
        return false;
    }
    const char *const text = integer_text(value, buffer);
    return bt_map_get(rule->names, text, strlen(text), id);
}

/* The names as they are, and, when all are integers, as integers are written plainly. */
static bt_status read_names(label_rule *rule, bt_error *err) {
    const bt_data_schema *const schema = rule->labels->schema;
    const size_t                n = schema->n_label_names;
    int64_t                     value = 0;
    double                      number = 0;
    rule->names_are_integers = true;
    BT_TRY(bt_map_create(&rule->names, 2 * n, err));
    for (size_t i = 0; i < n; i++) {
        const char *const name = schema->label_names[i];
        BT_TRY(bt_map_put(rule->names, name, strlen(name), (int64_t)i, err));
        rule->names_are_integers = rule->names_are_integers && data_label_integer(name, &value);
        rule->some_name_is_number = rule->some_name_is_number || data_label_number(name, &number);
    }
    for (size_t i = 0; rule->names_are_integers && i < n; i++) {
        char              buffer[INTEGER_MAX_BYTES];
        int64_t           known = 0;
        const char *const text = data_label_integer(schema->label_names[i], &value)
                                     ? integer_text(value, buffer)
                                     : schema->label_names[i];
        if (!bt_map_get(rule->names, text, strlen(text), &known)) {
            BT_TRY(bt_map_put(rule->names, text, strlen(text), (int64_t)i, err));
        }
    }
    return BT_OK;
}

static bool are_classes(const label_rule *rule) {
    int64_t id = 0;
    for (size_t i = 0; i < rule->labels->n_seen; i++) {
        if (!is_class(rule, &rule->labels->seen[i], &id)) {
            return false;
        }
    }
    return true;
}

static void take_numbers(const label_rule *rule) {
    for (size_t i = 0; i < rule->labels->n_seen; i++) {
        data_label *const label = &rule->labels->seen[i];
        (void)is_class(rule, label, &label->id);
    }
}

static bt_status refuse_no_name(const label_rule *rule, const data_label *label, bt_error *err) {
    const data_labels *const    labels = rule->labels;
    const bt_data_schema *const schema = labels->schema;
    const bool                  has_source = schema->label_source != NULL;
    char                        known[BT_LIST_MAX];
    char                        others[BT_LIST_MAX] = "";
    int64_t                     id = 0;
    bool                        has_room = true;
    bt_list_all(known, sizeof known, schema->label_names, schema->n_label_names);
    for (size_t i = 0; i < labels->n_seen && has_room; i++) {
        const data_label *const other = &labels->seen[i];
        has_room = other == label || is_name(rule, other, &id) ||
                   bt_list_add(others, sizeof others, other->text);
    }
    *rule->place = label->place;
    return BT_FAIL(err, BT_E_FORMAT, "label '%s' is none of the classes %s%s%s%s%s", label->text,
                   known, has_source ? " of " : "", has_source ? schema->label_source : "",
                   others[0] != '\0' ? ", nor is " : "", others);
}

/* All labels are names, or none is: then all must be class numbers. */
static bt_status settle_known(label_rule *rule, bt_error *err) {
    data_labels *const labels = rule->labels;
    const data_label  *wrong = NULL;
    size_t             n_named = 0;
    BT_TRY(read_names(rule, err));
    for (size_t i = 0; i < labels->n_seen; i++) {
        if (is_name(rule, &labels->seen[i], &labels->seen[i].id)) {
            n_named++;
        } else if (wrong == NULL) {
            wrong = &labels->seen[i];
        }
    }
    if (wrong == NULL) {
        labels->is_by_name = true;
        return BT_OK;
    }
    if (n_named == 0 && !labels->schema->only_by_name && !rule->some_name_is_number &&
        are_classes(rule)) {
        take_numbers(rule);
        return BT_OK;
    }
    return refuse_no_name(rule, wrong, err);
}

static int compare_texts(const void *a, const void *b) {
    const data_label *const *p = a;
    const data_label *const *q = b;
    return strcmp((*p)->text, (*q)->text);
}

/* By value; numbers stand before texts. */
static int compare_values(const void *a, const void *b) {
    const data_label *const *p = a;
    const data_label *const *q = b;
    double                   x = 0;
    double                   y = 0;
    const bool               has_x = data_label_number((*p)->text, &x);
    const bool               has_y = data_label_number((*q)->text, &y);
    int64_t                  m = 0;
    int64_t                  n = 0;
    if (has_x != has_y) {
        return has_x ? -1 : 1;
    }
    if (has_x && x != y) {
        return x < y ? -1 : 1;
    }
    if (data_label_integer((*p)->text, &m) && data_label_integer((*q)->text, &n) && m != n) {
        return m < n ? -1 : 1; /* of 64 bits, and one as a float64 */
    }
    return compare_texts(a, b);
}

static bool is_same(const label_rule *rule, const data_label *a, const data_label *b) {
    int64_t x = 0;
    int64_t y = 0;
    return rule->are_integers && data_label_integer(a->text, &x) &&
           data_label_integer(b->text, &y) && x == y;
}

/* The labels in the order of the classes that they would be; those that mean the same get one id.
 */
static bt_status sort(label_rule *rule, bt_error *err) {
    data_labels *const labels = rule->labels;
    rule->sorted = bt_calloc_array(labels->n_seen, sizeof(data_label *));
    if (rule->sorted == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu labels", labels->n_seen);
    }
    for (size_t i = 0; i < labels->n_seen; i++) {
        double value = 0;
        rule->sorted[i] = &labels->seen[i];
        rule->n_numbers += data_label_number(labels->seen[i].text, &value) ? 1 : 0;
    }
    const bool are_names = rule->n_numbers < labels->n_seen && labels->schema->learns_labels;
    qsort(rule->sorted, labels->n_seen, sizeof *rule->sorted,
          are_names ? compare_texts : compare_values);
    for (size_t i = 0; i < labels->n_seen; i++) {
        data_label *const label = rule->sorted[i];
        if (rule->n_distinct > 0 && is_same(rule, rule->sorted[rule->n_distinct - 1], label)) {
            label->id = (int64_t)rule->n_distinct - 1;
        } else {
            label->id = (int64_t)rule->n_distinct;
            rule->sorted[rule->n_distinct++] = label;
        }
    }
    return BT_OK;
}

/* The label that is most likely the wrong one: the first that is not a number where others are,
 * that is not a class where others are, or that is one more than there are classes. */
static const data_label *find_odd(const label_rule *rule) {
    const data_labels *const labels = rule->labels;
    const data_label        *outside = NULL;
    size_t                   n_outside = 0;
    for (size_t i = 0; i < labels->n_seen; i++) {
        const data_label *const label = &labels->seen[i];
        double                  number = 0;
        int64_t                 id = 0;
        if (rule->n_numbers > 0 && !data_label_number(label->text, &number)) {
            return label;
        }
        if (!is_class(rule, label, &id)) {
            outside = outside == NULL ? label : outside;
            n_outside++;
        }
    }
    if (outside != NULL && n_outside < labels->n_seen) {
        return outside;
    }
    const size_t more = (size_t)labels->schema->n_classes;
    return &labels->seen[more < labels->n_seen ? more : 0];
}

static bt_status refuse_number_of(const label_rule *rule, bt_error *err) {
    const data_label *const odd = find_odd(rule);
    const int64_t           n_classes = rule->labels->schema->n_classes;
    char                    list[BT_LIST_MAX];
    list_labels(rule, list);
    *rule->place = odd->place;
    return BT_FAIL(err, BT_E_FORMAT,
                   "label '%s'%s: %zu different labels occur in %s (%s), but "
                   "task.model.num_classes is %" PRId64,
                   odd->text,
                   rule->n_numbers > 0 && data_label_says_missing(odd->text)
                       ? " among numbers looks like a missing one"
                       : "",
                   rule->n_distinct, rule->section, list, n_classes);
}

static bt_status refuse_missing(const label_rule *rule, const data_label *label, bt_error *err) {
    char list[BT_LIST_MAX];
    list_labels(rule, list);
    *rule->place = label->place;
    return BT_FAIL(err, BT_E_FORMAT,
                   "label '%s' among numbers looks like a missing one (%s has the labels %s): "
                   "correct these rows, or name it with the others in task.label_names",
                   label->text, rule->section, list);
}

/* Rows that train nothing, or a model that knows its classes by number. */
static bt_status refuse_no_class(const label_rule *rule, bt_error *err) {
    const data_label *const odd = find_odd(rule);
    const int64_t           n_classes = rule->labels->schema->n_classes;
    char                    list[BT_LIST_MAX];
    list_labels(rule, list);
    *rule->place = odd->place;
    if (rule->are_integers) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "label %s, but there are %" PRId64
                       " classes (task.model.num_classes): expected 0 to %" PRId64
                       " (%zu different labels occur in %s: %s)",
                       odd->text, n_classes, n_classes - 1, rule->n_distinct, rule->section, list);
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "label '%s' is not a class number, and the names of the classes are not known: "
                   "list them in the order of their numbers in task.label_names (%zu different "
                   "labels occur in %s: %s; task.model.num_classes is %" PRId64 ")",
                   odd->text, rule->n_distinct, rule->section, list, n_classes);
}

static bt_status check_learned(const label_rule *rule, bt_error *err) {
    const data_labels *const labels = rule->labels;
    const int64_t            n_classes = labels->schema->n_classes;
    const size_t             n = rule->n_distinct;
    int64_t                  least = 0;
    char                     list[BT_LIST_MAX];
    if (n_classes > 0 && (int64_t)n > n_classes) {
        return refuse_number_of(rule, err);
    }
    const data_label *const odd = find_odd(rule);
    if (rule->n_numbers > 0 && data_label_says_missing(odd->text)) {
        return refuse_missing(rule, odd, err);
    }
    list_labels(rule, list);
    /* sorted: numbers from 0 on are class numbers, and then one of them is wrong */
    if (rule->are_integers && data_label_integer(rule->sorted[0]->text, &least) && least == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the labels are numbers, %s, but there are %" PRId64
                       " classes (task.model.num_classes): expected 0 to %" PRId64,
                       rule->section, list, n_classes, n_classes - 1);
    }
    if (n_classes > 0 && (int64_t)n != n_classes) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: only %zu different labels occur (%s), but task.model.num_classes is "
                       "%" PRId64 ": name all classes in task.label_names, or correct num_classes",
                       rule->section, n, list, n_classes);
    }
    return BT_OK;
}

static bt_status take_names(const label_rule *rule, bt_error *err) {
    data_labels *const labels = rule->labels;
    char               list[BT_LIST_MAX] = "";
    bool               has_room = true;
    labels->names = bt_calloc_array(rule->n_distinct, sizeof *labels->names);
    for (size_t i = 0; labels->names != NULL && i < rule->n_distinct; i++) {
        char              buffer[INTEGER_MAX_BYTES];
        int64_t           value = 0;
        const char *const text = rule->sorted[i]->text;
        const bool        is_integer = rule->are_integers && data_label_integer(text, &value);
        labels->names[i] = bt_strdup(is_integer ? integer_text(value, buffer) : text);
        if (labels->names[i] == NULL) {
            break;
        }
        labels->n_names++;
        has_room = has_room && bt_list_add(list, sizeof list, labels->names[i]);
    }
    if (labels->n_names < rule->n_distinct) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of the classes");
    }
    labels->is_by_name = true;
    bt_log(BT_LOG_INFO, "%s: %zu classes by name, numbered from 0: %s", rule->section,
           labels->n_names, list);
    return BT_OK;
}

static bt_status apply(label_rule *rule, bt_error *err) {
    const data_labels *const labels = rule->labels;
    if (labels->schema->label_names != NULL) {
        return settle_known(rule, err);
    }
    if (are_classes(rule)) {
        take_numbers(rule);
        return BT_OK;
    }
    BT_TRY(sort(rule, err));
    if (!labels->schema->learns_labels) {
        return refuse_no_class(rule, err);
    }
    BT_TRY(check_learned(rule, err));
    BT_TRY(take_names(rule, err));
    return data_labels_tell_slips(labels, rule->section, err);
}

bt_status data_labels_settle(data_labels *labels, const char *section, data_label_place *place,
                             bt_error *err) {
    label_rule rule = {.labels = labels, .section = section, .place = place, .are_integers = true};
    *place = (data_label_place){0};
    for (size_t i = 0; i < labels->n_seen; i++) {
        int64_t value = 0;
        rule.are_integers = rule.are_integers && data_label_integer(labels->seen[i].text, &value);
    }
    const bt_status rc = labels->n_seen > 0 ? apply(&rule, err) : BT_OK;
    bt_map_free(rule.names);
    bt_free(rule.sorted);
    return rc;
}
