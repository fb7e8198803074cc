/* SPDX-License-Identifier: Apache-2.0
 *
 * A share of the rows held out of training for the evaluation: of each label of a table the same
 * share, drawn by the seed and the rows' numbers alone, so that the two sections, a run that goes
 * on and a later evaluation agree. What belongs together (a sentence, an article) is drawn as one.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/map.h"
#include "bt/base/str.h"
#include "data_internal.h"

enum { FEW_LABELS = 256 };

typedef struct split_class {
    int64_t label;
    int64_t n;
    int64_t from; /* of its rows in the list */
} split_class;

/* All rows, those of one label after those of another: 4 bytes each. */
typedef struct split_list {
    uint32_t    *rows; /* owned; [n] numbers */
    int64_t      n;
    split_class *classes; /* owned; by label */
    size_t       n_classes;
    size_t       cap_classes;
    bt_map      *places;          /* of labels among the classes */
    int64_t      few[FEW_LABELS]; /* the same of small ones: the place plus 1 */
} split_list;

/* splitmix64's finish: a name for (seed, row) that looks random. */
static uint64_t draw_of(uint64_t seed, int64_t number) {
    uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)number;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int compare_classes(const void *a, const void *b) {
    const split_class *const x = a;
    const split_class *const y = b;
    return (x->label > y->label) - (x->label < y->label);
}

/* Is row a drawn before row b? */
static bool is_before(uint64_t seed, uint32_t a, uint32_t b) {
    const uint64_t x = draw_of(seed, a);
    const uint64_t y = draw_of(seed, b);
    return x != y ? x < y : a < b;
}

/* Moves the k of n rows that are drawn first before the others, in no order. What they are drawn by
 * is as good as random, so the middle is as good as any. */
static void draw_first(uint64_t seed, uint32_t *rows, int64_t n, int64_t k) {
    int64_t low = 0;
    int64_t high = n;
    while (low < k && k < high) {
        const uint32_t middle = rows[low + (high - low) / 2];
        int64_t        i = low;
        int64_t        j = high - 1;
        while (i <= j) {
            while (is_before(seed, rows[i], middle)) {
                i++;
            }
            while (is_before(seed, middle, rows[j])) {
                j--;
            }
            if (i <= j) {
                const uint32_t other = rows[i];
                rows[i++] = rows[j];
                rows[j--] = other;
            }
        }
        if (k > j && k < i) {
            return; /* the middle one alone is between them */
        }
        high = k <= j ? j + 1 : high;
        low = k >= i ? i : low;
    }
}

/* Where a fold begins among the drawn rows of one label, and the one before it ends: rounded, but
 * the first one has one row at least where that leaves one for training. */
static int64_t edge_of(int64_t n, double share, int64_t fold) {
    const int64_t edge = (int64_t)floor((double)n * (double)fold * share + 0.5);
    const int64_t least = fold > 0 && n > 1 ? 1 : 0;
    return edge < least ? least : edge < n ? edge : n;
}

/* classes: "25 of 250, ...", or NULL. */
static bt_status tell(int64_t n, const char *what, const bt_data_config *config,
                      const char *classes, int64_t n_held, bt_str *told, bt_error *err) {
    const char *const section = config->section != NULL ? config->section : "the data";
    const bool        only = config->held_out == BT_HELD_OUT_ONLY;
    const int64_t     n_kept = only ? n_held : n - n_held;
    char              fold[48] = "";
    if (n_held == 0 || n_held == n) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %" PRId64 " of %" PRId64
                       " %s are held out (held_out_share %g): too few for that; name other data to "
                       "evaluate on (--eval)",
                       section, n_held, n, what != NULL ? what : "rows", config->held_out_share);
    }
    if (what == NULL) {
        return BT_OK;
    }
    if (config->held_out_fold > 0) {
        (void)snprintf(fold, sizeof fold, ", held_out_fold %" PRId64, config->held_out_fold);
    }
    BT_TRY(bt_str_appendf(
        told, err,
        "%" PRId64 " of %" PRId64 " %s, %s those that are held out "
        "(held_out_share %g, held_out_seed %" PRIu64 "%s)%s%s",
        n_kept, n, what, only ? "only" : "without", config->held_out_share, config->held_out_seed,
        fold, classes != NULL ? "; held out of each class: " : "", classes != NULL ? classes : ""));
    bt_log(BT_LOG_INFO, "%s: %s", section, bt_str_text(told));
    return BT_OK;
}

/* Classes without a row in a part. */
typedef struct missing_classes {
    int64_t n;
    int64_t first; /* one of them, and its rows in all */
    int64_t n_rows;
} missing_classes;

static void count_missing(missing_classes *m, int64_t label, int64_t n_rows, int64_t n_here) {
    if (n_here == 0) {
        m->first = m->n == 0 ? label : m->first;
        m->n_rows = m->n == 0 ? n_rows : m->n_rows;
        m->n++;
    }
}

/* What is counted of such a class says nothing. In told it is a line of its own. */
static bt_status warn_missing(const bt_data_config *config, const missing_classes *m, bt_str *told,
                              bt_error *err) {
    char others[48] = " has";
    if (m->n > 1) {
        (void)snprintf(others, sizeof others, " and %" PRId64 " other%s have", m->n - 1,
                       m->n == 2 ? "" : "s");
    }
    if (m->n == 0) {
        return BT_OK;
    }
    const size_t at = told->len + 1;
    BT_TRY(bt_str_appendf(
        told, err,
        "\nclass %" PRId64 " (%" PRId64
        " row%s in all)%s no row in this part: %s; more rows or fewer folds would help",
        m->first, m->n_rows, m->n_rows == 1 ? "" : "s", others,
        config->held_out == BT_HELD_OUT_ONLY ? "what is measured of it says nothing"
                                             : "it cannot be learned"));
    bt_log(BT_LOG_WARNING, "%s: %s", config->section != NULL ? config->section : "the data",
           bt_str_text(told) + at);
    return BT_OK;
}

static bt_status draw(split_list *list, const char *what, bool has_classes,
                      const bt_data_config *config, bool *is_used, bt_str *told, bt_error *err) {
    bt_status       rc = BT_OK;
    bt_str          classes = BT_STR_INIT;
    int64_t         n_held = 0;
    missing_classes missing = {0};
    const bool      only = config->held_out == BT_HELD_OUT_ONLY;
    const uint64_t  seed = config->held_out_seed;
    for (size_t c = 0; c < list->n_classes; c++) {
        const split_class *const class = &list->classes[c];
        uint32_t *const rows = list->rows + class->from;
        const int64_t   fold = config->held_out_fold;
        const int64_t   first = edge_of(class->n, config->held_out_share, fold);
        const int64_t   end = edge_of(class->n, config->held_out_share, fold + 1);
        draw_first(seed, rows, class->n, first);
        draw_first(seed, rows + first, class->n - first, end - first);
        for (int64_t i = 0; i < class->n; i++) {
            is_used[rows[i]] = (first <= i && i < end) == only;
        }
        if (has_classes && classes.len < 200) {
            BT_CHECK(bt_str_appendf(&classes, err, "%s%" PRId64 " of %" PRId64, c > 0 ? ", " : "",
                                    end - first, class->n));
        }
        count_missing(&missing, class->label, class->n,
                      only ? end - first : class->n - (end - first));
        n_held += end - first;
    }
    BT_CHECK(
        tell(list->n, what, config, has_classes ? bt_str_text(&classes) : NULL, n_held, told, err));
    if (has_classes) {
        BT_CHECK(warn_missing(config, &missing, told, err));
    }
done:
    bt_str_deinit(&classes);
    return rc;
}

static void list_deinit(split_list *list) {
    bt_free(list->rows);
    bt_free(list->classes);
    bt_map_free(list->places);
}

/* *place -1: it was not there yet. */
static void find_class(const split_list *list, int64_t label, int64_t *place) {
    if (0 <= label && label < FEW_LABELS) {
        *place = list->few[label] - 1;
    } else if (!bt_map_get(list->places, (const char *)&label, sizeof label, place)) {
        *place = -1;
    }
}

static bt_status place_class(split_list *list, int64_t label, int64_t place, bt_error *err) {
    if (0 <= label && label < FEW_LABELS) {
        list->few[label] = place + 1;
        return BT_OK;
    }
    return bt_map_put(list->places, (const char *)&label, sizeof label, place, err);
}

/* rows NULL: all are of one kind. */
static bt_status label_of(data_rows *rows, int64_t i, int64_t *label, bt_error *err) {
    float score = 0;
    *label = 0;
    return rows != NULL ? rows->ops->label(rows, i, label, &score, err) : BT_OK;
}

static bt_status count_classes(split_list *list, data_rows *rows, bt_error *err) {
    for (int64_t i = 0; i < list->n; i++) {
        int64_t label = 0;
        int64_t place = 0;
        BT_TRY(label_of(rows, i, &label, err));
        find_class(list, label, &place);
        if (place < 0) {
            place = (int64_t)list->n_classes;
            BT_TRY(bt_grow(&list->classes, &list->cap_classes, list->n_classes + 1,
                           sizeof *list->classes, SIZE_MAX / 64, err));
            list->classes[list->n_classes++] = (split_class){.label = label};
            BT_TRY(place_class(list, label, place, err));
        }
        list->classes[place].n++;
    }
    return BT_OK;
}

/* Their rows, in the order of the labels. */
static bt_status list_rows(split_list *list, data_rows *rows, bt_error *err) {
    int64_t from = 0;
    qsort(list->classes, list->n_classes, sizeof *list->classes, compare_classes);
    for (size_t c = 0; c < list->n_classes; c++) {
        split_class *const class = &list->classes[c];
        class->from = from;
        from += class->n;
        class->n = 0;
        BT_TRY(place_class(list, class->label, (int64_t)c, err));
    }
    for (int64_t i = 0; i < list->n; i++) {
        int64_t label = 0;
        int64_t place = 0;
        BT_TRY(label_of(rows, i, &label, err));
        find_class(list, label, &place);
        split_class *const class = &list->classes[place];
        list->rows[class->from + class->n++] = (uint32_t)i;
    }
    return BT_OK;
}

static bt_status make_list(split_list *list, data_rows *rows, int64_t n, bt_error *err) {
    *list = (split_list){.n = n};
    if (n > (int64_t)UINT32_MAX) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "of %" PRId64 " rows none can be held out: name other files to evaluate on",
                       n);
    }
    list->rows = bt_alloc_array((size_t)n, sizeof *list->rows);
    if (list->rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows that are held out");
    }
    BT_TRY(bt_map_create(&list->places, 0, err));
    BT_TRY(count_classes(list, rows, err));
    return list_rows(list, rows, err);
}

bt_status data_split_draw(data_rows *rows, const bt_data_config *config, bool *is_used,
                          bt_str *told, bt_error *err) {
    split_list list;
    bt_status  rc = make_list(&list, rows, rows->n_rows, err);
    if (rc == BT_OK) {
        rc = draw(&list, "rows", true, config, is_used, told, err);
    }
    list_deinit(&list);
    return rc;
}

bt_status data_split_units(int64_t n, const char *what, const bt_data_config *config, bool *is_used,
                           bt_error *err) {
    split_list list;
    bt_str     told = BT_STR_INIT;
    bt_status  rc = make_list(&list, NULL, n, err);
    if (rc == BT_OK) {
        rc = draw(&list, what, false, config, is_used, &told, err);
    }
    list_deinit(&list);
    bt_str_deinit(&told);
    return rc;
}
