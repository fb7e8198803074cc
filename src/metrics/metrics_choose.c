/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of metrics -> rows of the table, and of those of single classes the classes.
 *
 * A class's name becomes part of a metric's, which stands in events, in JSON and in the paths of
 * other programs: of ASCII it keeps letters, digits, "_", "-" and inner ".", of other scripts
 * everything, and "_" stands for the rest. A class whose name is then another's too, or too long,
 * is called by its number: "f1/number/3". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/base/number.h"
#include "metrics_bootstrap.h"

/* "best_average_precision/" before it, or "float32/" and "average_precision/" */
enum { CLASS_TEXT_MAX = BT_METRIC_NAME_MAX - 40 };

static bool fits(const metric_row *row, bt_metric_unit unit, int64_t n_classes) {
    return row->unit == unit && n_classes >= row->min_classes && n_classes <= row->max_classes;
}

/* number: of a name that ends in one. */
static bool is_called(const metric_row *row, const char *name, int64_t *number) {
    const size_t n = strlen(row->name);
    *number = 0;
    if (row->compute_at != NULL) {
        return strncmp(row->name, name, n) == 0 && bt_parse_i64(name + n, number) && *number >= 1;
    }
    return row->compute_class != NULL ? strncmp(row->name, name, n) == 0 && name[n] != '\0'
                                      : strcmp(row->name, name) == 0;
}

static const metric_row *find_row(const char *name, bt_metric_unit unit, int64_t n_classes,
                                  int64_t *number) {
    const metric_row *other = NULL; /* of that name, for other models */
    for (size_t i = 0; i < n_metric_rows; i++) {
        const metric_row *const row = &metric_rows[i];
        if (row->unit == unit && is_called(row, name, number)) {
            if (fits(row, unit, n_classes)) {
                return row;
            }
            other = row;
        }
    }
    return other;
}

static const char *ending_of(const metric_row *row) {
    return row->compute_at != NULL ? "K" : row->compute_class != NULL ? "CLASS" : "";
}

static bt_status refuse_name(const char *name, bt_metric_unit unit, int64_t n_classes,
                             bt_error *err) {
    static const char rest[] = ", ...";
    char              known[BT_ERROR_MSG_MAX / 2] = "";
    size_t            used = 0;
    for (size_t i = 0; i < n_metric_rows; i++) {
        const metric_row *const row = &metric_rows[i];
        if (!fits(row, unit, n_classes)) {
            continue;
        }
        char      text[2 * BT_METRIC_NAME_MAX];
        const int n =
            snprintf(text, sizeof text, "%s%s%s", used > 0 ? ", " : "", row->name, ending_of(row));
        if (n < 0 || used + (size_t)n + sizeof rest > sizeof known) {
            memcpy(known + used, rest, sizeof rest);
            break;
        }
        memcpy(known + used, text, (size_t)n + 1);
        used += (size_t)n;
    }
    return BT_FAIL(err, BT_E_CONFIG, "no metric has the name '%s'; known are %s", name, known);
}

static bt_status refuse_number(bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG, "at most %d metrics at once", BT_METRIC_MAX);
}

bt_status metric_choose_rows(bt_metrics *metrics, const bt_metrics_config *config, bt_error *err) {
    if (config->n_names > BT_METRIC_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "at most %d metrics at once, got %zu", BT_METRIC_MAX,
                       config->n_names);
    }
    for (size_t i = 0; i < config->n_names; i++) {
        int64_t                 number = 0;
        const metric_row *const row =
            find_row(config->names[i], config->unit, config->n_classes, &number);
        if (row == NULL) {
            return refuse_name(config->names[i], config->unit, config->n_classes, err);
        }
        if (!fits(row, config->unit, config->n_classes)) {
            return BT_FAIL(err, BT_E_CONFIG, "metric %s needs %s, but the model has %" PRId64,
                           config->names[i], row->wants, config->n_classes);
        }
        metrics->parts |= row->parts;
    }
    metrics->parts |= config->n_bootstrap > 0 ? PART_BIT(PART_KEPT) : 0;
    metrics->parts |= config->draws_curves ? metric_curve_parts(config) : 0;
    if (config->decides) {
        metrics->parts |=
            config->unit == BT_METRIC_OF_LABEL_SETS
                ? PART_BIT(PART_MULTI) | PART_BIT(PART_SETS) | PART_BIT(PART_KEPT_SETS)
                : PART_BIT(PART_CLASSES) | PART_BIT(PART_TABLE) | PART_BIT(PART_KEPT);
    }
    return BT_OK;
}

const metric_row *metric_find_row(const char *name, bt_metric_unit unit, int64_t n_classes) {
    int64_t                 number = 0;
    const metric_row *const row = find_row(name, unit, n_classes, &number);
    return row != NULL && fits(row, unit, n_classes) && row->compute_at == NULL &&
                   row->compute_class == NULL
               ? row
               : NULL;
}

/* Classes. */

typedef struct class_names {
    const char *const *names; /* NULL: numbers */
    int64_t            n;
    int64_t            first; /* those before it are not among "each" */
} class_names;

static bool is_kept(char c, bool is_inner) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (c == '.' && is_inner) || (unsigned char)c >= 0x80;
}

/* false: too long. */
static bool write_class(const char *name, char out[CLASS_TEXT_MAX]) {
    size_t n = 0;
    for (; name[n] != '\0'; n++) {
        if (n + 1 >= CLASS_TEXT_MAX) {
            return false;
        }
        out[n] = name[n];
        if (!is_kept(name[n], n > 0 && name[n + 1] != '\0')) {
            out[n] = '_';
        }
    }
    out[n] = '\0';
    return true;
}

static void call_class(const class_names *all, int64_t c, char out[CLASS_TEXT_MAX]) {
    bool is_own = all->names != NULL && write_class(all->names[c], out);
    for (int64_t i = 0; is_own && i < all->n; i++) {
        char other[CLASS_TEXT_MAX];
        is_own = i == c || !write_class(all->names[i], other) || strcmp(out, other) != 0;
    }
    if (!is_own) {
        (void)snprintf(out, CLASS_TEXT_MAX, "%s%" PRId64, all->names != NULL ? "number/" : "", c);
    }
}

void bt_metrics_call_class(const char *const *names, int64_t n, int64_t c,
                           char out[BT_METRIC_NAME_MAX]) {
    const class_names all = {names, n, 0};
    call_class(&all, c, out);
}

/* By the name that the user wrote, or the one that we write; -1: none. */
static int64_t find_class(const class_names *all, const char *text) {
    for (int64_t c = 0; all->names != NULL && c < all->n; c++) {
        if (strcmp(all->names[c], text) == 0) {
            return c;
        }
    }
    for (int64_t c = 0; c < all->n; c++) {
        char name[CLASS_TEXT_MAX];
        call_class(all, c, name);
        if (strcmp(name, text) == 0) {
            return c;
        }
    }
    return -1;
}

static const metric_choice *find_choice(const bt_metrics *metrics, const metric_row *row,
                                        int64_t number) {
    for (size_t i = 0; i < metrics->n_choices; i++) {
        if (metrics->choices[i].row == row && metrics->choices[i].number == number) {
            return &metrics->choices[i];
        }
    }
    return NULL;
}

static bt_status add_choice(bt_metrics *metrics, const metric_row *row, int64_t number,
                            const char *ending, bt_error *err) {
    if (row->compute_class != NULL && find_choice(metrics, row, number) != NULL) {
        return BT_OK; /* one of "each" is asked for by its name, too */
    }
    if (metrics->n_choices == BT_METRIC_MAX) {
        return refuse_number(err);
    }
    metric_choice *const choice = &metrics->choices[metrics->n_choices++];
    const int            n = snprintf(choice->name, sizeof choice->name, "%s%s", row->name, ending);
    BT_ASSERT(n > 0 && n < (int)sizeof choice->name);
    (void)n;
    choice->row = row;
    choice->number = number;
    return BT_OK;
}

static bt_status refuse_class(const char *name, const class_names *all, bt_error *err) {
    char known[BT_LIST_MAX] = "";
    if (all->names == NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "metric %s: the classes have no names here, and their numbers are 0 to "
                       "%" PRId64,
                       name, all->n - 1);
    }
    bt_list_all(known, sizeof known, all->names, (size_t)all->n);
    return BT_FAIL(err, BT_E_CONFIG, "metric %s: no class has that name; there are %s", name,
                   known);
}

static bt_status add_classes(bt_metrics *metrics, const metric_row *row, const class_names *all,
                             bt_error *err) {
    char text[CLASS_TEXT_MAX];
    if (all->n - all->first > BT_METRIC_CLASSES_MAX) {
        bt_log(BT_LOG_WARNING,
               "%s of each of %" PRId64
               " classes would be too many values for a record (at most %d): it is left out; name "
               "the classes that matter (%sNAME in task.metrics)",
               row->name, all->n - all->first, BT_METRIC_CLASSES_MAX, row->name);
        return BT_OK;
    }
    for (int64_t c = all->first; c < all->n; c++) {
        call_class(all, c, text);
        BT_TRY(add_choice(metrics, row, c, text, err));
    }
    return BT_OK;
}

static bt_status add_class(bt_metrics *metrics, const metric_row *row, const char *name,
                           const class_names *all, bt_error *err) {
    char              text[CLASS_TEXT_MAX];
    const char *const asked = name + strlen(row->name);
    const int64_t     c = find_class(all, asked);
    if (c < 0 && strcmp(asked, "*") == 0) {
        return add_classes(metrics, row, all, err);
    }
    if (c < 0) {
        return refuse_class(name, all, err);
    }
    call_class(all, c, text);
    return add_choice(metrics, row, c, text, err);
}

static class_names classes_of(const bt_metrics *metrics, const bt_metrics_config *config) {
    class_names all = {config->class_names, config->n_classes, 0};
    if (metrics->states[PART_ENTITIES] != NULL) {
        all.names = metric_entity_types(metrics, &all.n, &all.first);
    }
    return all;
}

bt_status metric_choose_classes(bt_metrics *metrics, const bt_metrics_config *config,
                                bt_error *err) {
    const class_names all = classes_of(metrics, config);
    size_t            n_ends = 0; /* of intervals */
    for (size_t i = 0; i < config->n_names; i++) {
        const char *const       name = config->names[i];
        int64_t                 number = 0;
        const metric_row *const row = find_row(name, config->unit, config->n_classes, &number);
        BT_ASSERT(row != NULL);
        BT_TRY(row->compute_class != NULL
                   ? add_class(metrics, row, name, &all, err)
                   : add_choice(metrics, row, number, name + strlen(row->name), err));
    }
    for (size_t i = 0; i < metrics->n_choices && metrics->n_bootstrap > 0; i++) {
        n_ends += metric_has_interval(metrics->choices[i].row) ? 2 : 0;
    }
    return metrics->n_choices + n_ends <= BT_METRIC_MAX ? BT_OK : refuse_number(err);
}

/* Names of values. */

size_t bt_metrics_class_stem(bt_metric_unit unit, int64_t n_classes, const char *name) {
    int64_t                 number = 0;
    const metric_row *const row = find_row(name, unit, n_classes, &number);
    return row != NULL && row->compute_class != NULL ? strlen(row->name) : 0;
}

static bt_status refuse_value(const bt_metrics *metrics, const char *name, bool is_class,
                              bt_error *err) {
    const char *names[BT_METRIC_MAX] = {NULL};
    char        known[BT_LIST_MAX] = "";
    size_t      n = 0;
    for (size_t i = 0; i < metrics->n_choices; i++) {
        if (metrics->choices[i].row->compute_class != NULL) {
            names[n++] = metrics->choices[i].name;
        }
    }
    bt_list_all(known, sizeof known, names, n);
    return BT_FAIL(err, BT_E_CONFIG, "no value of the evaluation is '%s'%s; of single classes %s%s",
                   name,
                   is_class ? " (task.metrics may ask for it)" : ", and no class has that name",
                   n > 0 ? "there are " : "there are none", known);
}

bt_status bt_metrics_find_name(const bt_metrics *metrics, const bt_metrics_config *config,
                               const char *name, char out[BT_METRIC_NAME_MAX], bt_error *err) {
    const class_names       all = classes_of(metrics, config);
    int64_t                 c = 0;
    const metric_row *const row = find_row(name, config->unit, config->n_classes, &c);
    const bool              is_of_class = row != NULL && row->compute_class != NULL;
    const metric_choice    *found = NULL;
    if (is_of_class) {
        c = find_class(&all, name + strlen(row->name));
        found = c >= 0 ? find_choice(metrics, row, c) : NULL;
    }
    for (size_t i = 0; !is_of_class && found == NULL && i < metrics->n_choices; i++) {
        found = strcmp(metrics->choices[i].name, name) == 0 ? &metrics->choices[i] : NULL;
    }
    if (found == NULL) {
        return refuse_value(metrics, name, is_of_class && c >= 0, err);
    }
    memcpy(out, found->name, sizeof found->name);
    return BT_OK;
}

/* What there is. */

static bool is_listed(const char *const *names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void bt_metrics_list(bt_metric_unit unit, int64_t n_classes, bool all, const char **names,
                     size_t *n) {
    for (size_t i = 0; i < n_metric_rows && *n < BT_METRIC_MAX; i++) {
        const metric_row *const row = &metric_rows[i];
        const bool              is_one = row->compute_at == NULL && row->compute_class == NULL;
        const bool is_meant = all ? row->custom != CUSTOM_GARDEN : row->custom == CUSTOM_ALWAYS;
        if (is_one && is_meant && fits(row, unit, n_classes) && !is_listed(names, *n, row->name)) {
            names[(*n)++] = row->name;
        }
    }
}

bool bt_metrics_can(bt_metric_unit unit, int64_t n_classes, const char *name) {
    int64_t                 number = 0;
    const metric_row *const row = find_row(name, unit, n_classes, &number);
    return row != NULL && row->custom != CUSTOM_GARDEN && fits(row, unit, n_classes);
}
