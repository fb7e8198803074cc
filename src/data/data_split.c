/* SPDX-License-Identifier: Apache-2.0
 *
 * A share of a table's rows held out of training for the evaluation: of each label the same share,
 * drawn by the seed and the rows' numbers alone, so that the two sections, a run that goes on and a
 * later evaluation agree. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Rows of one label: rounded, but one at least where that leaves one for training. */
static int64_t held_of(int64_t n, double share) {
    const int64_t held = (int64_t)floor((double)n * share + 0.5);
    return held == 0 && n > 1 ? 1 : held;
}

static bt_status tell(const data_rows *rows, const bt_data_config *config, const bt_str *labels,
                      int64_t n_held, bt_error *err) {
    const int64_t n_kept = config->held_out == BT_HELD_OUT_ONLY ? n_held : rows->n_rows - n_held;
    if (n_held == 0 || n_held == rows->n_rows) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %" PRId64 " of %" PRId64
                       " rows are held out (held_out_share %g): too few rows for that",
                       config->section, n_held, rows->n_rows, config->held_out_share);
    }
    bt_log(BT_LOG_INFO,
           "%s: %" PRId64 " of %" PRId64 " rows, %s those that are held out (held_out_share %g, "
           "held_out_seed %" PRIu64 "); held out of each class: %s",
           config->section, n_kept, rows->n_rows,
           config->held_out == BT_HELD_OUT_ONLY ? "only" : "without", config->held_out_share,
           config->held_out_seed, bt_str_text(labels));
    return BT_OK;
}

static bt_status draw(const data_rows *rows, const bt_data_config *config, split_row *list,
                      bool *is_used, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    labels = BT_STR_INIT;
    int64_t   n_held = 0;
    qsort(list, (size_t)rows->n_rows, sizeof *list, compare_rows);
    for (int64_t from = 0; from < rows->n_rows;) {
        int64_t to = from;
        while (to < rows->n_rows && list[to].label == list[from].label) {
            to++;
        }
        const int64_t held = held_of(to - from, config->held_out_share);
        for (int64_t i = from; i < to; i++) {
            is_used[list[i].number] = (i - from < held) == (config->held_out == BT_HELD_OUT_ONLY);
        }
        if (labels.len < 200) {
            BT_CHECK(bt_str_appendf(&labels, err, "%s%" PRId64 " of %" PRId64, from > 0 ? ", " : "",
                                    held, to - from));
        }
        n_held += held;
        from = to;
    }
    rc = tell(rows, config, &labels, n_held, err);
done:
    bt_str_deinit(&labels);
    return rc;
}

bt_status bt_data_split_draw(data_rows *rows, const bt_data_config *config, bool *is_used,
                             bt_error *err) {
    bt_status  rc = BT_OK;
    split_row *list = bt_alloc_array((size_t)rows->n_rows, sizeof *list);
    if (list == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows that are held out");
    }
    for (int64_t i = 0; i < rows->n_rows; i++) {
        list[i] = (split_row){.draw = draw_of(config->held_out_seed, i), .number = i};
        BT_CHECK(rows->ops->label(rows, i, &list[i].label, err));
    }
    rc = draw(rows, config, list, is_used, err);
done:
    bt_free(list);
    return rc;
}
