/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs for a dual encoder, made of two inputs of any kind that know nothing of pairs: a left and a
 * right one, from two sets of files or twice from the same. Row r of both together is a pair; or,
 * for predictions, the right rows follow the left ones. */
#include <string.h>

#include "data_internal.h"

typedef struct pair_rows {
    data_rows      base;
    bool           is_chain;
    bool           wants_ids;   /* schema->include_example_id of a chain: where there are any */
    bt_data_schema left_schema; /* what the sides are read with; they borrow it */
    bt_data_schema right_schema;
    data_rows     *left;  /* owned */
    data_rows     *right; /* owned; NULL: a chain of left sides only */
} pair_rows;

/* ---- rows -------------------------------------------------------------------------------------
 */

static bt_status append_pair(data_rows *base, int64_t row, data_slot *slot, bool *is_damaged,
                             bt_error *err) {
    pair_rows *const rows = (pair_rows *)base;
    const bool       was_masked = slot->is_masked;
    BT_TRY(rows->left->ops->append(rows->left, row, slot, is_damaged, err));
    const bt_status rc = rows->right->ops->append(rows->right, row, slot, is_damaged, err);
    if (rc != BT_OK) {
        bt_data_slot_take_back(slot, was_masked);
    }
    return rc;
}

/* A row that has no example_id goes by its number on its side. */
static bt_status append_link(data_rows *base, int64_t row, data_slot *slot, bool *is_damaged,
                             bt_error *err) {
    pair_rows *const            rows = (pair_rows *)base;
    const bool                  is_left = row < rows->left->n_rows;
    data_rows *const            side = is_left ? rows->left : rows->right;
    const bt_data_schema *const schema = is_left ? &rows->left_schema : &rows->right_schema;
    const int64_t               number = is_left ? row : row - rows->left->n_rows;
    BT_TRY(side->ops->append(side, number, slot, is_damaged, err));
    if (rows->wants_ids && !schema->include_example_id) {
        slot->example_ids[slot->n_rows - 1] = number;
    }
    return BT_OK;
}

static void close_pairs(data_rows *base) {
    pair_rows *const rows = (pair_rows *)base;
    bt_data_rows_close(rows->left);
    bt_data_rows_close(rows->right);
    bt_data_rows_deinit(base);
    bt_free(rows);
}

static const data_rows_ops pair_ops = {.append = append_pair, .close = close_pairs};
static const data_rows_ops chain_ops = {.append = append_link, .close = close_pairs};

int64_t bt_data_pairs_n_left(const data_rows *rows) {
    return ((const pair_rows *)rows)->left->n_rows;
}

/* ---- open -------------------------------------------------------------------------------------
 */

/* The sides' own files as parts of the whole: for the order, and to name in messages. */
static bt_status add_parts(data_rows *base, const data_rows *side, bt_error *err) {
    for (size_t i = 0; i < side->n_parts; i++) {
        BT_TRY(bt_data_rows_add_path(base, side->parts[i].path, err));
        data_part *const part = &base->parts[base->n_parts - 1];
        part->first = base->n_rows + side->parts[i].first;
        part->n_rows = side->parts[i].n_rows;
    }
    base->n_rows += side->n_rows;
    return BT_OK;
}

static bt_status check_counts(const pair_rows *rows, bt_error *err) {
    if (rows->left->n_rows != rows->right->n_rows) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s has %" PRId64 " rows%s, but %s has %" PRId64
                       ": row i of one side belongs to row i of the other",
                       rows->left->parts[0].path, rows->left->n_rows,
                       rows->left->n_parts > 1 ? " with the other files" : "",
                       rows->right->parts[0].path, rows->right->n_rows);
    }
    return BT_OK;
}

/* schema: a copy of the whole's, which becomes the side's. */
static bt_status open_side(const bt_data_config *config, bt_data_schema *schema, bt_side side,
                           data_rows **out, bt_error *err) {
    const bool     is_chain = schema->pairing == BT_PAIRING_CHAIN;
    bt_data_config of_side = *config;
    const bool     is_separate = config->n_right_paths > 0;
    schema->pairing = BT_PAIRING_NONE;
    schema->side = is_separate ? BT_SIDE_NONE : side;
    if (is_separate && side == BT_SIDE_RIGHT) {
        of_side.paths = config->right_paths;
        of_side.n_paths = config->n_right_paths;
    }
    of_side.right_paths = NULL;
    of_side.n_right_paths = 0;
    if (is_chain && schema->include_example_id) {
        BT_TRY(bt_data_records_have(&of_side, "example_id", &schema->include_example_id, err));
    }
    return bt_data_rows_open(&of_side, schema, out, err);
}

static bt_status open_sides(pair_rows *rows, const bt_data_config *config, bt_error *err) {
    bool has_right = true;
    if (rows->is_chain && config->n_right_paths == 0) {
        BT_TRY(bt_data_records_have(config, "left_word_ids", &has_right, err));
    }
    BT_TRY(open_side(config, &rows->left_schema, has_right ? BT_SIDE_LEFT : BT_SIDE_NONE,
                     &rows->left, err));
    BT_TRY(add_parts(&rows->base, rows->left, err));
    if (has_right) {
        BT_TRY(open_side(config, &rows->right_schema, BT_SIDE_RIGHT, &rows->right, err));
    }
    if (has_right && rows->is_chain) {
        return add_parts(&rows->base, rows->right, err);
    }
    return has_right ? check_counts(rows, err) : BT_OK;
}

bt_status bt_data_pairs_open(const bt_data_config *config, const bt_data_schema *schema,
                             data_rows **out, bt_error *err) {
    pair_rows *const rows = bt_calloc_array(1, sizeof *rows);
    *out = NULL;
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for pairs");
    }
    rows->is_chain = schema->pairing == BT_PAIRING_CHAIN;
    rows->base.ops = rows->is_chain ? &chain_ops : &pair_ops;
    rows->wants_ids = schema->include_example_id;
    rows->left_schema = *schema;
    rows->right_schema = *schema;
    const bt_status rc = open_sides(rows, config, err);
    if (rc != BT_OK) {
        close_pairs(&rows->base);
        return rc;
    }
    *out = &rows->base;
    return BT_OK;
}
