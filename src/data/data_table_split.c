/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a table that are held out: which they are is drawn (data_split.c), here the others go. */
#include "bt/base/alloc.h"
#include "data_table_rows.h"

/* The places of these rows alone. */
static bt_status keep_places(table_rows *rows, const bool *is_used, bt_error *err) {
    data_places kept = {0};
    bt_status   rc = BT_OK;
    for (int64_t i = 0; i < rows->base.n_rows; i++) {
        int64_t begin = 0;
        int64_t end = 0;
        if (is_used[i]) {
            BT_CHECK(data_places_get(&rows->places, i, &begin, &end, err));
            BT_CHECK(data_places_add(&kept, begin, err));
        }
    }
    BT_CHECK(data_places_finish(&kept, rows->places.end, err));
    data_places_deinit(&rows->places);
    rows->places = kept;
    kept = (data_places){0};
done:
    data_places_deinit(&kept);
    return rc;
}

/* Only these rows are left, in their order. */
static bt_status keep_rows(table_rows *rows, const bool *is_used, bt_error *err) {
    int64_t number = 0;
    int64_t n = 0;
    BT_TRY(keep_places(rows, is_used, err));
    for (size_t p = 0; p < rows->base.n_parts; p++) {
        data_part *const part = &rows->base.parts[p];
        const int64_t    n_rows = part->n_rows;
        part->first = n;
        part->n_rows = 0;
        for (int64_t i = 0; i < n_rows; i++, number++) {
            part->n_rows += is_used[number] ? 1 : 0;
        }
        n += part->n_rows;
    }
    rows->base.n_rows = n;
    return data_names_keep(&rows->census.names, is_used, err);
}

/* The label of a row as the first reading saw it. Scores are not divided by their values. */
static bt_status label_seen(data_rows *base, int64_t number, int64_t *label, float *score,
                            bt_error *err) {
    const data_labels *const labels = &((const table_rows *)base)->labels;
    (void)score;
    (void)err;
    *label = labels->n_of_rows > 0 ? labels->seen[labels->of_rows[number]].id : 0;
    return BT_OK;
}

static bt_status draw(table_rows *rows, const bt_data_config *config, bool *is_used,
                      bt_error *err) {
    static const data_rows_ops ops = {.label = label_seen};
    const data_rows_ops *const own = rows->base.ops;
    BT_ASSERT(rows->labels.n_of_rows == 0 || rows->labels.n_of_rows == (size_t)rows->base.n_rows);
    rows->base.ops = &ops;
    const bt_status rc = data_split_draw(&rows->base, config, is_used, &rows->told, err);
    rows->base.ops = own;
    return rc;
}

static void count_kept(table_rows *rows, const bool *is_used) {
    data_labels *const labels = &rows->labels;
    for (size_t i = 0; i < labels->n_seen; i++) {
        labels->seen[i].count = 0;
    }
    for (size_t i = 0; i < labels->n_of_rows; i++) {
        labels->seen[labels->of_rows[i]].count += is_used[i] ? 1 : 0;
    }
    data_labels_forget_rows(labels);
}

bt_status table_split_rows(table_rows *rows, const bt_data_config *config, bt_error *err) {
    if (config->held_out == BT_HELD_OUT_ALL) {
        return BT_OK;
    }
    const bool are_pairs = rows->schema->text.right_key != NULL;
    if (rows->schema->label_kind == BT_LABEL_NONE && !are_pairs) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.held_out: predictions are made of all rows of a file: name it with "
                       "--predict, or set held_out to ''",
                       rows->wish.section);
    }
    if (rows->schema->label_kind == BT_LABEL_MULTI || config->skip_bad_records > 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s.held_out: only of rows with one label each, and without "
                       "skip_bad_records; name two files instead (--train and --eval)",
                       rows->wish.section);
    }
    bool *const is_used = bt_calloc_array((size_t)rows->base.n_rows, sizeof *is_used);
    if (is_used == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows that are held out");
    }
    const bool is_left = rows->schema->text.key != rows->schema->text.right_key;
    bt_status rc = are_pairs ? data_split_units(rows->base.n_rows, is_left ? "pairs" : NULL, config,
                                                is_used, err)
                             : draw(rows, config, is_used, err);
    if (rc == BT_OK) {
        count_kept(rows, is_used);
        rc = keep_rows(rows, is_used, err);
    }
    bt_free(is_used);
    return rc;
}
