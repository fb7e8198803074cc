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
#include "bt/base/str.h"
#include "data_internal.h"

typedef struct split_row {
    int64_t  label;
    uint64_t draw;
    int64_t  number;
} split_row;

/* splitmix64's finish: a name for (seed, row) that looks random. */
static uint64_t draw_of(uint64_t seed, int64_t number) {
    uint64_t x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)number;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int compare_rows(const void *a, const void *b) {
    const split_row *const x = a;
    const split_row *const y = b;
    if (x->label != y->label) {
        return (x->label > y->label) - (x->label < y->label);
    }
    return x->draw != y->draw ? (x->draw > y->draw) - (x->draw < y->draw)
                              : (x->number > y->number) - (x->number < y->number);
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

/* What is counted of such a class says nothing. */
static void warn_missing(const bt_data_config *config, const missing_classes *m) {
    char others[48] = " has";
    if (m->n > 1) {
        (void)snprintf(others, sizeof others, " and %" PRId64 " other%s have", m->n - 1,
                       m->n == 2 ? "" : "s");
    }
    if (m->n > 0) {
        bt_log(BT_LOG_WARNING,
               "%s: class %" PRId64 " (%" PRId64 " row%s in all)%s no row in this part: %s; more "
               "rows or fewer folds would help",
               config->section != NULL ? config->section : "the data", m->first, m->n_rows,
               m->n_rows == 1 ? "" : "s", others,
               config->held_out == BT_HELD_OUT_ONLY ? "what is measured of it says nothing"
                                                    : "it cannot be learned");
    }
}

static bt_status draw(int64_t n, const char *what, bool has_classes, const bt_data_config *config,
                      split_row *list, bool *is_used, bt_str *told, bt_error *err) {
    bt_status       rc = BT_OK;
    bt_str          classes = BT_STR_INIT;
    int64_t         n_held = 0;
    missing_classes missing = {0};
    qsort(list, (size_t)n, sizeof *list, compare_rows);
    for (int64_t from = 0; from < n;) {
        int64_t to = from;
        while (to < n && list[to].label == list[from].label) {
            to++;
        }
        const int64_t fold = config->held_out_fold;
        const int64_t first = from + edge_of(to - from, config->held_out_share, fold);
        const int64_t end = from + edge_of(to - from, config->held_out_share, fold + 1);
        for (int64_t i = from; i < to; i++) {
            const bool is_held = first <= i && i < end;
            is_used[list[i].number] = is_held == (config->held_out == BT_HELD_OUT_ONLY);
        }
        if (has_classes && classes.len < 200) {
            BT_CHECK(bt_str_appendf(&classes, err, "%s%" PRId64 " of %" PRId64,
                                    from > 0 ? ", " : "", end - first, to - from));
        }
        count_missing(&missing, list[from].label, to - from,
                      config->held_out == BT_HELD_OUT_ONLY ? end - first
                                                           : to - from - (end - first));
        n_held += end - first;
        from = to;
    }
    BT_CHECK(tell(n, what, config, has_classes ? bt_str_text(&classes) : NULL, n_held, told, err));
    if (has_classes) {
        warn_missing(config, &missing);
    }
done:
    bt_str_deinit(&classes);
    return rc;
}

/* rows NULL: all are of one kind. */
static bt_status make_list(data_rows *rows, int64_t n, const bt_data_config *config,
                           split_row **out, bt_error *err) {
    *out = bt_alloc_array((size_t)n, sizeof **out);
    if (*out == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows that are held out");
    }
    for (int64_t i = 0; i < n; i++) {
        float score = 0;
        (*out)[i] = (split_row){.draw = draw_of(config->held_out_seed, i), .number = i};
        if (rows != NULL) {
            BT_TRY(rows->ops->label(rows, i, &(*out)[i].label, &score, err));
        }
    }
    return BT_OK;
}

bt_status data_split_draw(data_rows *rows, const bt_data_config *config, bool *is_used,
                          bt_str *told, bt_error *err) {
    split_row *list = NULL;
    bt_status  rc = make_list(rows, rows->n_rows, config, &list, err);
    if (rc == BT_OK) {
        rc = draw(rows->n_rows, "rows", true, config, list, is_used, told, err);
    }
    bt_free(list);
    return rc;
}

bt_status data_split_units(int64_t n, const char *what, const bt_data_config *config, bool *is_used,
                           bt_error *err) {
    split_row *list = NULL;
    bt_str     told = BT_STR_INIT;
    bt_status  rc = make_list(NULL, n, config, &list, err);
    if (rc == BT_OK) {
        rc = draw(n, what, false, config, list, is_used, &told, err);
    }
    bt_free(list);
    bt_str_deinit(&told);
    return rc;
}
