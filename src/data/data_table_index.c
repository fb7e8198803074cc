/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first reading of tables learned, as facts of an index (data_index.h) and back: the state
 * of each file, its form and columns, what was counted, the labels. All that the facts depend on
 * besides the bytes of the files is the question. A file whose state is another one than the index
 * knows is read again, for its checksum alone: a copy of the same bytes is still answered for. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "data_table_index.h"

enum { MAX_BYTES_OF_ALL = 60 };
static const int64_t most = (int64_t)1 << MAX_BYTES_OF_ALL;

/* The question. */

static bt_status ask(const table_rows *rows, const bt_data_config *config, bt_str *out,
                     bt_error *err) {
    const table_wish *const     wish = &rows->wish;
    const bt_data_schema *const schema = rows->schema;
    const bool                  are_named = data_census_names(schema);
    BT_TRY(bt_str_appendf(
        out, err, "table 2: %d %d %d '%s' %d %d %zu %d %d\n", (int)wish->table, wish->delimiter,
        wish->quote, wish->encoding.name != NULL ? wish->encoding.name : "",
        (int)schema->label_kind, wish->has_header ? 1 : 0, rows->n_label_keys,
        schema->label_kind == BT_LABEL_MULTI ? schema->label_separator : 0, are_named ? 1 : 0));
    BT_TRY(bt_str_appendf(out, err, "%" PRId64 " %zu %zu %zu %" PRId64 "\n",
                          schema->label_kind == BT_LABEL_MULTI ? schema->n_classes : 0,
                          wish->label_key, wish->id_key, wish->weight_key, rows->max_damaged));
    for (size_t k = 0; k < wish->n_keys; k++) {
        BT_TRY(bt_str_appendf(out, err, "%s\n", wish->keys[k]));
    }
    if (config->held_out != BT_HELD_OUT_ALL) {
        BT_TRY(bt_str_appendf(out, err, "held out %d %.17g %" PRId64 " %" PRIu64 "\n",
                              (int)config->held_out, config->held_out_share, config->held_out_fold,
                              config->held_out_seed));
    }
    return data_index_ask_paths(&rows->base, out, err);
}

/* Of pairs of which some are held out no index is kept: two inputs draw together. */
bt_status table_index_begin(table_rows *rows, const bt_data_config *config, bt_error *err) {
    int64_t   n_bytes = 0;
    bool      ok = false;
    bt_str    question = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (config->index == NULL || bt_str_equal(config->index, "none") ||
        (config->held_out != BT_HELD_OUT_ALL && rows->schema->text.right_key != NULL)) {
        return BT_OK;
    }
    BT_CHECK(data_index_take_states(&rows->base, &rows->files[0].state, sizeof rows->files[0],
                                    &n_bytes, &ok, err));
    if (!ok) {
        goto done;
    }
    BT_CHECK(ask(rows, config, &question, err));
    BT_CHECK(data_index_init(&rows->index, config, &rows->base, n_bytes, &question, err));
done:
    bt_str_deinit(&question);
    return rc;
}

/* Putting. */

static bt_status put_file(const table_rows *rows, size_t part, bt_str *facts, bt_error *err) {
    const table_file *const file = &rows->files[part];
    const table_form *const form = &file->source.form;
    const int64_t           values[] = {rows->base.parts[part].n_rows,
                                        file->n_bytes,
                                        form->delimiter,
                                        form->quote,
                                        form->has_sep_line,
                                        form->is_values,
                                        (int64_t)form->list_at,
                                        (int64_t)file->n_columns};
    BT_TRY(data_index_put_state(facts, &file->state, err));
    BT_TRY(data_index_put_all(facts, values, BT_ARRAY_LEN(values), err));
    for (size_t k = 0; k < rows->wish.n_keys; k++) {
        BT_TRY(data_index_put(facts, file->columns[k], err));
    }
    return BT_OK;
}

static bt_status put_facts(const table_rows *rows, bt_str *facts, bt_error *err) {
    const bt_data_census *const census = &rows->census.facts;
    const int64_t               values[] = {rows->base.has_content, rows->base.content,
                                            rows->n_damaged,        census->n_rows,
                                            census->n_without_text, (int64_t)rows->census.first_part,
                                            rows->census.first_line};
    BT_TRY(data_index_put_text(facts, bt_str_text(&rows->index.question), rows->index.question.len,
                               err));
    BT_TRY(data_index_put_all(facts, values, BT_ARRAY_LEN(values), err));
    return data_labels_put(&rows->labels, facts, err);
}

static bool may_keep(const table_rows *rows) {
    bool may = data_index_is_used(&rows->index) && rows->index.may_write;
    for (size_t i = 0; may && i < rows->base.n_parts; i++) {
        may = !rows->files[i].source.is_unpacked &&
              rows->files[i].n_bytes == rows->files[i].state.stamp.n_bytes;
    }
    return may;
}

bt_status table_index_note(const table_rows *rows, bt_str *facts, bt_error *err) {
    return may_keep(rows) ? put_facts(rows, facts, err) : BT_OK;
}

/* What changed since: the rows that are left. */
static bt_status put_kept(const table_rows *rows, bt_str *facts, bt_error *err) {
    const data_labels *const labels = &rows->labels;
    const bool               is_split = rows->told.len > 0;
    for (size_t i = 0; i < rows->base.n_parts; i++) {
        BT_TRY(put_file(rows, i, facts, err));
    }
    BT_TRY(data_index_put_text(facts, bt_str_text(&rows->told), rows->told.len, err));
    for (size_t i = 0; is_split && i < labels->n_seen; i++) {
        const int64_t values[] = {labels->seen[i].id, labels->seen[i].count};
        BT_TRY(data_index_put_all(facts, values, BT_ARRAY_LEN(values), err));
    }
    return BT_OK;
}

bt_status table_index_keep(table_rows *rows, bt_str *facts, bt_error *err) {
    if (facts->len == 0) {
        return BT_OK;
    }
    BT_TRY(put_kept(rows, facts, err));
    BT_TRY(data_index_keep(&rows->index, facts, &rows->places, &rows->census.names, err));
    return data_index_use_kept(&rows->index, facts, &rows->index_file, &rows->places,
                               &rows->census.names, err);
}

/* Taking. */

static bool take_file(bt_reader *r, table_rows *rows, size_t part) {
    table_file *const file = &rows->files[part];
    int64_t           v[8] = {0};
    bool              ok = true;
    for (size_t i = 0; ok && i < BT_ARRAY_LEN(v); i++) {
        /* characters may be negative */
        ok = data_index_take(r, i == 2 || i == 3 ? INT8_MIN : 0, most, &v[i]);
    }
    rows->base.parts[part].n_rows = v[0];
    file->n_bytes = v[1];
    file->source = (table_source){.form = {.table = rows->wish.table,
                                           .delimiter = (char)v[2],
                                           .quote = (char)v[3],
                                           .has_sep_line = v[4] != 0,
                                           .is_values = v[5] != 0,
                                           .list_at = (size_t)v[6]}};
    file->n_columns = (size_t)v[7];
    for (size_t k = 0; ok && k < rows->wish.n_keys; k++) {
        int64_t column = 0;
        ok = data_index_take(r, -1, v[7] > 0 ? v[7] - 1 : 0, &column);
        file->columns[k] = (int32_t)column;
    }
    return ok && v[7] < INT32_MAX;
}

static bt_status take_files(bt_reader *r, table_rows *rows, const data_index_file *index, bool *ok,
                            bool *is_new, bt_error *err) {
    int64_t base = 0;
    *ok = true;
    rows->base.n_rows = 0;
    for (size_t i = 0; *ok && i < rows->base.n_parts; i++) {
        data_part *const part = &rows->base.parts[i];
        BT_TRY(data_index_check_state(r, part->path, &rows->files[i].state, ok, is_new, err));
        *ok = *ok && take_file(r, rows, i) &&
              rows->files[i].n_bytes == rows->files[i].state.stamp.n_bytes && base < most &&
              part->n_rows <= index->n_rows - rows->base.n_rows;
        rows->files[i].base = base;
        base += rows->files[i].n_bytes;
        part->first = rows->base.n_rows;
        rows->base.n_rows += part->n_rows;
    }
    *ok = *ok && base == index->end && rows->base.n_rows == index->n_rows;
    return BT_OK;
}

static bt_status take_facts(bt_reader *r, table_rows *rows, bool *ok, bt_error *err) {
    bt_data_census *const census = &rows->census.facts;
    bt_text_span          question = {0};
    int64_t               v[7] = {0};
    *ok = data_index_take_text(r, &question) && data_index_take_all(r, v, BT_ARRAY_LEN(v)) &&
          v[2] <= rows->max_damaged && (uint64_t)v[5] < (uint64_t)rows->base.n_parts;
    if (!*ok) {
        return BT_OK;
    }
    rows->base.has_content = v[0] != 0;
    rows->base.content = (uint32_t)v[1];
    rows->n_damaged = v[2];
    if (v[3] > 0) {
        BT_TRY(data_census_begin_rows(&rows->census, &rows->encoder, err));
    }
    census->n_rows = v[3];
    if (v[4] > 0) {
        data_census_miss(census, rows->base.parts[v[5]].path, v[6]);
    }
    census->n_without_text = v[4];
    return data_labels_take(r, &rows->labels, rows->base.n_parts, ok, err);
}

/* As before anything was learned. */
static bt_status forget(table_rows *rows, bt_error *err) {
    const bool keeps_rows = rows->labels.keeps_rows;
    data_labels_deinit(&rows->labels);
    data_census_deinit(&rows->census);
    data_places_deinit(&rows->places);
    data_index_file_deinit(&rows->index_file);
    bt_str_clear(&rows->told);
    for (size_t i = 0; i < rows->base.n_parts; i++) {
        const bt_fs_stamp stamp = rows->files[i].state.stamp;
        rows->files[i] = (table_file){.state = {.stamp = stamp}};
        rows->base.parts[i].first = rows->base.parts[i].n_rows = 0;
    }
    rows->base.n_rows = 0;
    rows->base.has_content = false;
    rows->base.content = 0;
    rows->base.is_known = false;
    rows->base.label_names = NULL;
    rows->base.n_label_names = 0;
    rows->n_damaged = 0;
    BT_TRY(data_labels_init(&rows->labels, rows->schema, err));
    rows->labels.keeps_rows = keeps_rows;
    return BT_OK;
}

/* The rows that are left, behind the facts: read once more when the labels are settled. */
static bool take_told(bt_reader *r, table_rows *rows, bt_error *err) {
    bt_text_span told = {0};
    return data_index_take_text(r, &told) &&
           bt_str_append_n(&rows->told, told.text, told.n_bytes, err) == BT_OK;
}

/* The same facts with the states that the files have now: they were between the two places. */
static bt_status renew(const table_rows *rows, size_t files_at, size_t files_end, bt_error *err) {
    const bt_str *const old = &rows->index_file.facts;
    bt_str              facts = BT_STR_INIT;
    bt_status           rc = BT_OK;
    BT_CHECK(bt_str_append_n(&facts, old->data, files_at, err));
    for (size_t i = 0; i < rows->base.n_parts; i++) {
        BT_CHECK(put_file(rows, i, &facts, err));
    }
    BT_CHECK(bt_str_append_n(&facts, old->data + files_end, old->len - files_end, err));
    rc = data_index_renew(&rows->index, &rows->index_file, &facts, err);
done:
    bt_str_deinit(&facts);
    return rc;
}

bt_status table_index_restore(table_rows *rows, bool *is_restored, bt_error *err) {
    bool ok = false;
    bool is_new = false;
    *is_restored = false;
    if (!data_index_is_used(&rows->index)) {
        return BT_OK;
    }
    BT_TRY(data_index_find(&rows->index, &rows->index_file, err));
    if (rows->index_file.file == NULL) {
        return BT_OK;
    }
    const bt_str *const facts = &rows->index_file.facts;
    bt_reader           r = bt_reader_make(facts->data, facts->len);
    BT_TRY(take_facts(&r, rows, &ok, err));
    const size_t files_at = facts->len - bt_reader_left(&r);
    if (ok) {
        BT_TRY(take_files(&r, rows, &rows->index_file, &ok, &is_new, err));
    }
    const size_t files_end = facts->len - bt_reader_left(&r);
    if (!ok || !take_told(&r, rows, err)) {
        return forget(rows, err);
    }
    if (is_new) {
        BT_TRY(renew(rows, files_at, files_end, err));
    }
    rows->kept_at = facts->len - bt_reader_left(&r);
    data_index_use(&rows->index_file, &rows->places, &rows->census.names);
    BT_TRY(table_sample(rows, err));
    rows->base.is_known = true;
    data_index_tell_known(&rows->index, &rows->index_file);
    *is_restored = true;
    return BT_OK;
}

/* Rows were held out by what labels mean: they must mean the same. */
static bool take_kept(table_rows *rows) {
    const bt_str *const facts = &rows->index_file.facts;
    data_labels *const  labels = &rows->labels;
    bt_reader           r = bt_reader_make(facts->data + rows->kept_at, facts->len - rows->kept_at);
    bool                ok = true;
    for (size_t i = 0; rows->told.len > 0 && ok && i < labels->n_seen; i++) {
        int64_t id = 0;
        ok = data_index_take(&r, -1, most, &id) && id == labels->seen[i].id &&
             data_index_take(&r, 0, most, &labels->seen[i].count);
    }
    return ok && bt_reader_left(&r) == 0;
}

/* As the drawing of the rows did: a line, and a second one that warns. */
static void repeat_told(const table_rows *rows) {
    const char *const told = bt_str_text(&rows->told);
    const size_t      n = strcspn(told, "\n");
    bt_log(BT_LOG_INFO, "%s: %.*s", rows->wish.section, (int)n, told);
    if (told[n] != '\0') {
        bt_log(BT_LOG_WARNING, "%s: %s", rows->wish.section, told + n + 1);
    }
}

bt_status table_index_settle(table_rows *rows, bool *is_restored, bt_error *err) {
    if (!take_kept(rows)) {
        *is_restored = false;
        return forget(rows, err);
    }
    if (rows->told.len > 0) {
        repeat_told(rows);
    }
    bt_str_deinit(&rows->index_file.facts);
    return BT_OK;
}
