/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs for a dual encoder, made of two inputs of any kind that know nothing of pairs: a left and a
 * right one, from two sets of files or twice from the same. Row r of both together is a pair; or,
 * for predictions, the right rows follow the left ones. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "data_names.h"

typedef struct pair_rows {
    data_rows      base;
    bool           is_chain;
    bool           wants_ids;   /* schema->include_example_id of a chain: where there are any */
    bt_data_schema left_schema; /* what the sides are read with; they borrow it */
    bt_data_schema right_schema;
    data_rows     *left;  /* owned */
    data_rows     *right; /* owned; NULL: a chain of left sides only */
    data_names     names; /* of both sides together */
} pair_rows;

static bt_status append_pair(data_rows *base, int64_t row, data_slot *slot, bool *is_damaged,
                             bt_error *err) {
    pair_rows *const rows = (pair_rows *)base;
    const bool       was_masked = slot->is_masked;
    BT_TRY(rows->left->ops->append(rows->left, row, slot, is_damaged, err));
    const bt_status rc = rows->right->ops->append(rows->right, row, slot, is_damaged, err);
    if (rc != BT_OK) {
        data_slot_take_back(slot, was_masked);
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

static bt_status texts_of_link(data_rows *base, int64_t row, const bt_text_span **texts, size_t *n,
                               bt_error *err) {
    const pair_rows *const rows = (const pair_rows *)base;
    const int64_t          n_left = rows->left->n_rows;
    return row < n_left ? data_rows_texts(rows->left, row, texts, n, err)
                        : data_rows_texts(rows->right, row - n_left, texts, n, err);
}

static void close_pairs(data_rows *base) {
    pair_rows *const rows = (pair_rows *)base;
    data_rows_close(rows->left);
    data_rows_close(rows->right);
    data_names_deinit(&rows->names);
    data_rows_deinit(base);
    bt_free(rows);
}

static const data_rows_ops pair_ops = {.append = append_pair, .close = close_pairs};
static const data_rows_ops chain_ops = {
    .append = append_link, .texts = texts_of_link, .close = close_pairs};

int64_t data_pairs_n_left(const data_rows *rows) {
    return ((const pair_rows *)rows)->left->n_rows;
}

/* The sides' own files as parts of the whole: for the order, and to name in messages. */
static bt_status add_parts(data_rows *base, const data_rows *side, bt_error *err) {
    for (size_t i = 0; i < side->n_parts; i++) {
        BT_TRY(data_rows_add_path(base, side->parts[i].path, err));
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

/* The texts of one side; of lines the whole line, whatever the fields are called. */
static void choose_texts(bt_data_text *text, bt_side side, bt_data_table table) {
    static const char *const whole_line[] = {"1"};
    if (side == BT_SIDE_RIGHT) {
        text->fields = text->right_fields;
        text->n_fields = text->n_right_fields;
        text->key = text->right_key;
    }
    if (table == BT_TABLE_LINES) {
        text->fields = whole_line;
        text->n_fields = 1;
    }
}

/* Text that was taken for records is the usual reason why they cannot be read. */
static bt_status explain(bt_status rc, const bt_data_config *config, const bt_data_schema *schema,
                         bt_data_table table, bt_error *err) {
    if (rc == BT_E_FORMAT && table == BT_TABLE_NONE && schema->text.n_fields > 0) {
        return bt_error_prefix(err, "%s.file_type is that of records (lines of text: lines)",
                               config->section);
    }
    return rc;
}

/* schema: a copy of the whole's, which becomes the side's. */
static bt_status open_side(const bt_data_config *config, bt_data_schema *schema, bt_side side,
                           bt_data_table table, data_rows **out, bt_error *err) {
    const bool     is_chain = schema->pairing == BT_PAIRING_CHAIN;
    bt_data_config of_side = *config;
    const bool     is_separate = config->n_right_paths > 0;
    schema->pairing = BT_PAIRING_NONE;
    schema->side = is_separate ? BT_SIDE_NONE : side;
    schema->is_compared = !is_chain;
    choose_texts(&schema->text, side, table);
    if (is_separate && side == BT_SIDE_RIGHT) {
        of_side.paths = config->right_paths;
        of_side.n_paths = config->n_right_paths;
    }
    of_side.right_paths = NULL;
    of_side.n_right_paths = 0;
    bt_status rc = BT_OK;
    if (is_chain && schema->include_example_id && table == BT_TABLE_NONE) {
        rc = data_records_have(&of_side, "example_id", &schema->include_example_id, err);
    }
    if (rc == BT_OK) {
        rc = data_rows_open(&of_side, schema, out, err);
    }
    return explain(rc, config, schema, table, err);
}

/* Do rows that have no files of right sides beside them hold both sides? */
static bt_status have_both(const pair_rows *rows, const bt_data_config *config, bt_data_table table,
                           bool *out, bt_error *err) {
    const bt_data_text *const text = &rows->left_schema.text;
    *out = table == BT_TABLE_NONE || (table != BT_TABLE_LINES && text->n_right_fields > 0);
    if (!rows->is_chain) {
        return *out ? BT_OK
                    : BT_FAIL(err, BT_E_CONFIG,
                              "%s: its rows have a left side only: name the files of the right "
                              "sides in right_input_path%s",
                              config->section, table == BT_TABLE_LINES ? "" : ", or their columns");
    }
    if (table != BT_TABLE_NONE) {
        return BT_OK;
    }
    if (text->n_fields > 0 && text->n_right_fields == 0) {
        *out = false;
        return BT_OK;
    }
    const char *const key = text->n_fields > 0 ? text->right_fields[0] : "left_word_ids";
    return explain(data_records_have(config, key, out, err), config, &rows->left_schema, table,
                   err);
}

static void name_content(pair_rows *rows) {
    const data_rows *const sides[] = {rows->left, rows->right};
    for (size_t i = 0; i < BT_ARRAY_LEN(sides); i++) {
        if (sides[i] != NULL && sides[i]->has_content) {
            data_rows_add_content(&rows->base, &sides[i]->content, sizeof sides[i]->content);
        }
    }
}

/* What the sides know of their texts; a pair is named by both. */
static bt_status join_facts(pair_rows *rows, bt_error *err) {
    const data_names *const left = rows->left->names;
    const data_names *const right = rows->right != NULL ? rows->right->names : NULL;
    rows->base.census[0] = rows->left->census[0];
    rows->base.census[1] = rows->right != NULL ? rows->right->census[0] : NULL;
    if (rows->is_chain || left == NULL || right == NULL || left->n != right->n) {
        return BT_OK;
    }
    for (size_t i = 0; i < left->n; i++) {
        uint64_t both[2];
        BT_TRY(data_names_read(left, i, 1, &both[0], err));
        BT_TRY(data_names_read(right, i, 1, &both[1], err));
        BT_TRY(both[0] != 0 && both[1] != 0
                   ? data_names_put(&rows->names, data_name_add(0, both, sizeof both), err)
                   : data_names_put_damaged(&rows->names, err));
    }
    rows->base.names = &rows->names;
    return BT_OK;
}

static bt_status open_sides(pair_rows *rows, const bt_data_config *config, bt_error *err) {
    bt_data_table table = BT_TABLE_NONE;
    bool          has_right = true;
    BT_TRY(bt_data_find_table(config, &table, err));
    BT_TRY(data_check_table_keys(config, table, err));
    if (table == BT_TABLE_NONE && rows->left_schema.text.tables_only) {
        rows->left_schema.text = rows->right_schema.text = (bt_data_text){0};
    }
    const bool has_text = rows->left_schema.text.n_fields > 0;
    if (table != BT_TABLE_NONE && !has_text) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.vocab_file is empty, and raw text needs the vocabulary that the model "
                       "was trained with",
                       config->section);
    }
    if (config->n_right_paths == 0) {
        BT_TRY(have_both(rows, config, table, &has_right, err));
    }
    BT_TRY(open_side(config, &rows->left_schema, has_right ? BT_SIDE_LEFT : BT_SIDE_NONE, table,
                     &rows->left, err));
    BT_TRY(add_parts(&rows->base, rows->left, err));
    if (has_right) {
        BT_TRY(open_side(config, &rows->right_schema, BT_SIDE_RIGHT, table, &rows->right, err));
    }
    name_content(rows);
    if (has_right && rows->is_chain) {
        BT_TRY(add_parts(&rows->base, rows->right, err));
    } else if (has_right) {
        BT_TRY(check_counts(rows, err));
    }
    return join_facts(rows, err);
}

bt_status data_pairs_open(const bt_data_config *config, const bt_data_schema *schema,
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
