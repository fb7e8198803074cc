/* SPDX-License-Identifier: Apache-2.0
 *
 * A look at a table before the run is configured: what its columns are called, which of them holds
 * the labels, and what labels there are. It refuses nothing of a row; whoever opens the table for
 * its use does. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "data_index.h"
#include "data_table.h"

typedef struct survey_run {
    const bt_data_schema schema; /* that knows no classes */
    table_wish           wish;
    bt_fs_scratch       *scratch;
    table_fields         fields;
    data_labels          labels;
    bt_data_survey      *out;
    bool                 is_indexed; /* an index of the labels is looked for, and kept */
} survey_run;

void bt_data_survey_deinit(bt_data_survey *survey) {
    for (size_t i = 0; i < survey->n_columns; i++) {
        bt_free(survey->columns[i]);
    }
    bt_free(survey->columns);
    bt_free(survey->label);
    *survey = (bt_data_survey){0};
}

static bt_status keep_columns(survey_run *run, bt_error *err) {
    bt_data_survey *const out = run->out;
    bt_data_survey_deinit(&(bt_data_survey){.columns = out->columns, .n_columns = out->n_columns});
    out->n_columns = 0;
    out->columns = bt_calloc_array(run->fields.n, sizeof *out->columns);
    if (out->columns == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu columns",
                       run->fields.n);
    }
    for (size_t i = 0; i < run->fields.n; i++) {
        const bt_text_span name = data_trim(run->fields.spans[i]);
        out->columns[i] = bt_strndup(name.text, name.n_bytes);
        if (out->columns[i] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu columns",
                           run->fields.n);
        }
        out->n_columns++;
    }
    return BT_OK;
}

/* The first row, parsed; *end: there is none. */
static bt_status read_first(survey_run *run, table_scan *scan, const table_form *form, bool *end,
                            bt_error *err) {
    const char *row = NULL;
    size_t      n = 0;
    size_t      at = 0;
    BT_TRY(table_scan_next(scan, &row, &n, end, err));
    if (*end) {
        run->fields.n = 0;
        return BT_OK;
    }
    return run->wish.table == BT_TABLE_JSONL ? table_name_members(&run->fields, row, n, err)
                                             : table_split(&run->fields, form, row, n, &at, err);
}

/* Tries one name of the label's column; *is_there. */
static bt_status try_label(survey_run *run, const char *path, const char *label, bool *is_there,
                           bt_error *err) {
    bt_status    rc = BT_OK;
    table_scan   scan = {0};
    table_source source;
    int32_t      column = 0;
    bool         end = false;
    bt_error     ignored = BT_ERROR_INIT;
    run->wish.keys[run->wish.label_key] = label;
    *is_there = false;
    BT_CHECK(table_source_scan(&run->wish, path, &run->scratch, &source, &scan, err));
    BT_CHECK(read_first(run, &scan, &source.form, &end, err));
    BT_CHECK(keep_columns(run, err));
    *is_there = !end && table_find_column(&run->wish, &run->fields, run->wish.label_key, &column,
                                          &ignored) == BT_OK;
done:
    table_scan_close(&scan);
    return rc;
}

/* The row's label, as far as it can be read. */
static bt_status learn_row(survey_run *run, const table_form *form, int32_t column, const char *row,
                           size_t n, data_label_place place, bt_error *err) {
    const bool   is_json = run->wish.table == BT_TABLE_JSONL;
    const size_t k = run->wish.label_key;
    const bool   may_be_number = true;
    size_t       at = 0;
    bt_error     found = BT_ERROR_INIT;
    bt_status    rc = is_json ? table_pick_json(&run->fields, row, n, &run->wish.keys[k],
                                                &may_be_number, 1, &at, &found)
                              : table_split(&run->fields, form, row, n, &at, &found);
    const size_t i = is_json ? 0 : (size_t)column;
    if (rc == BT_OK && i < run->fields.n && run->fields.spans[i].text != NULL) {
        const bt_text_span label = run->fields.spans[i];
        const bool         is_list =
            is_json && (label.n_bytes == 0 || label.text[label.n_bytes - 1] == TABLE_LIST_MARK);
        run->out->n_lists += is_list && label.n_bytes > 0 ? 1 : 0;
        rc = is_list ? table_learn_targets(&run->labels, label, place, &found)
                     : data_labels_learn(&run->labels, label, place, &found);
    }
    return rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", found.msg) : BT_OK;
}

static bt_status read_labels(survey_run *run, const char *path, data_index_state *state,
                             bt_error *err) {
    bt_status    rc = BT_OK;
    table_scan   scan = {0};
    table_source source;
    int32_t      column = 0;
    bool         is_header = run->wish.has_header && run->wish.table != BT_TABLE_JSONL;
    bool         is_first = run->wish.table != BT_TABLE_JSONL;
    BT_CHECK(table_source_scan(&run->wish, path, &run->scratch, &source, &scan, err));
    run->is_indexed = run->is_indexed && !source.is_unpacked;
    if (run->is_indexed) {
        bt_fs_stream_sum(scan.file);
    }
    for (;;) {
        const char *row = NULL;
        size_t      n = 0;
        size_t      at = 0;
        bool        end = false;
        BT_CHECK(table_scan_next(&scan, &row, &n, &end, err));
        if (end) {
            break;
        }
        if (is_first) {
            BT_CHECK(table_split(&run->fields, &source.form, row, n, &at, err));
            BT_CHECK(
                table_find_column(&run->wish, &run->fields, run->wish.label_key, &column, err));
        }
        if (!is_header) {
            run->out->n_rows++;
            BT_CHECK(learn_row(run, &source.form, column, row, n,
                               (data_label_place){0, scan.row_line, scan.row_column}, err));
        }
        is_first = is_header = false;
    }
    state->has_crc = bt_fs_stream_crc(scan.file, &state->crc);
done:
    table_scan_close(&scan);
    return rc == BT_OK ? rc : bt_error_prefix(err, "%s", path);
}

/* The index of a survey: how many rows and lists, and the labels; no places of rows. */

static bt_status ask(const survey_run *run, const data_rows *files, bt_str *question,
                     bt_error *err) {
    const table_wish *const wish = &run->wish;
    BT_TRY(bt_str_appendf(question, err, "survey 1: %d %d %d '%s' %d '%s'\n", (int)wish->table,
                          wish->delimiter, wish->quote,
                          wish->encoding.name != NULL ? wish->encoding.name : "",
                          wish->has_header ? 1 : 0, wish->keys[wish->label_key]));
    return data_index_ask_paths(files, question, err);
}

static bt_status restore(survey_run *run, const data_index *index, const data_rows *files,
                         data_index_state *states, bool *ok, bt_error *err) {
    data_index_file file = {0};
    bt_text_span    question = {0};
    bool            is_new = false;
    int64_t         n[2] = {0};
    bt_status       rc = BT_OK;
    *ok = false;
    BT_CHECK(data_index_find(index, &file, err));
    bt_reader r = bt_reader_make(file.facts.data, file.facts.len);
    *ok = file.file != NULL && data_index_take_text(&r, &question);
    for (size_t i = 0; *ok && i < files->n_parts; i++) {
        BT_CHECK(data_index_check_state(&r, files->parts[i].path, &states[i], ok, &is_new, err));
    }
    *ok = *ok && data_index_take_all(&r, n, BT_ARRAY_LEN(n));
    if (*ok) {
        BT_CHECK(data_labels_take(&r, &run->labels, files->n_parts, ok, err));
        run->out->n_rows = n[0];
        run->out->n_lists = n[1];
    }
    if (!*ok) { /* what was learned until then */
        run->out->n_rows = run->out->n_lists = 0;
        data_labels_deinit(&run->labels);
        BT_CHECK(data_labels_init(&run->labels, &run->schema, err));
    }
done:
    data_index_file_deinit(&file);
    return rc;
}

static bt_status keep(const survey_run *run, const data_index *index, const data_rows *files,
                      const data_index_state *states, bt_error *err) {
    const data_places no_places = {0};
    const data_names  no_names = {0};
    const int64_t     n[] = {run->out->n_rows, run->out->n_lists};
    bt_str            facts = BT_STR_INIT;
    bt_status         rc = BT_OK;
    if (!run->is_indexed) {
        return BT_OK;
    }
    BT_CHECK(data_index_put_text(&facts, bt_str_text(&index->question), index->question.len, err));
    for (size_t i = 0; i < files->n_parts; i++) {
        BT_CHECK(data_index_put_state(&facts, &states[i], err));
    }
    BT_CHECK(data_index_put_all(&facts, n, BT_ARRAY_LEN(n), err));
    BT_CHECK(data_labels_put(&run->labels, &facts, err));
    rc = data_index_keep(index, &facts, &no_places, &no_names, err);
done:
    bt_str_deinit(&facts);
    return rc;
}

static bt_status begin_index(survey_run *run, const bt_data_config *config, const data_rows *files,
                             data_index_state *states, data_index *index, bt_error *err) {
    bt_str    question = BT_STR_INIT;
    int64_t   n_bytes = 0;
    bool      ok = false;
    bt_status rc = BT_OK;
    if (config->index == NULL) {
        return BT_OK;
    }
    BT_CHECK(data_index_take_states(files, states, sizeof *states, &n_bytes, &ok, err));
    if (ok) {
        BT_CHECK(ask(run, files, &question, err));
        BT_CHECK(data_index_init(index, config, files, n_bytes, &question, err));
    }
    run->is_indexed = data_index_is_used(index);
done:
    bt_str_deinit(&question);
    return rc;
}

/* All labels of all files. */
static bt_status learn_labels(survey_run *run, const bt_data_config *config, const data_rows *files,
                              bt_error *err) {
    data_index        index = {0};
    bool              is_restored = false;
    bt_status         rc = BT_OK;
    data_index_state *states = bt_calloc_array(files->n_parts, sizeof *states);
    if (states == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", files->n_parts);
    }
    BT_CHECK(begin_index(run, config, files, states, &index, err));
    if (run->is_indexed) {
        BT_CHECK(restore(run, &index, files, states, &is_restored, err));
    }
    if (is_restored) {
        goto done;
    }
    for (size_t i = 0; i < files->n_parts; i++) {
        BT_CHECK(read_labels(run, files->parts[i].path, &states[i], err));
    }
    rc = keep(run, &index, files, states, err);
done:
    data_index_deinit(&index);
    bt_free(states);
    return rc;
}

static bool is_listed(const int64_t *values, size_t n, int64_t value) {
    for (size_t i = 0; i < n; i++) {
        if (values[i] == value) {
            return true;
        }
    }
    return false;
}

/* "1" and "1.0" are one label where all are integers. */
static bt_status count_labels(survey_run *run, bt_error *err) {
    const data_labels *const labels = &run->labels;
    bool                     are_numbers = labels->n_seen > 0;
    bool                     are_integers = true;
    int64_t *const           values = bt_calloc_array(labels->n_seen + 1, sizeof *values);
    size_t                   n = 0;
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the labels");
    }
    for (size_t i = 0; i < labels->n_seen; i++) {
        double  number = 0;
        int64_t value = 0;
        are_numbers = are_numbers && data_label_number(labels->seen[i].text, &number);
        are_integers = are_integers && data_label_integer(labels->seen[i].text, &value);
        /* many of them are wrong anyway */
        if (are_integers && n < DATA_LABELS_MORE && !is_listed(values, n, value)) {
            values[n++] = value;
        }
    }
    run->out->n_labels = are_integers && n < DATA_LABELS_MORE ? n : labels->n_seen;
    run->out->are_scores = are_numbers && !are_integers;
    (void)snprintf(run->out->first_label, sizeof run->out->first_label, "%s",
                   labels->n_seen > 0 ? labels->seen[0].text : "");
    bt_free(values);
    return BT_OK;
}

static void want(table_wish *wish, const char *const *keys, size_t n) {
    int64_t number = 0;
    for (size_t i = 0; i < n; i++) {
        wish->has_header = wish->has_header || !bt_parse_i64(keys[i], &number);
    }
}

static bt_status find_label(survey_run *run, const char *path, const char *const *labels,
                            size_t n_labels, bt_error *err) {
    for (size_t i = 0; i < n_labels && run->out->label == NULL; i++) {
        bool is_there = false;
        BT_TRY(try_label(run, path, labels[i], &is_there, err));
        if (is_there) {
            run->out->label = bt_strdup(labels[i]);
            run->wish.keys[run->wish.label_key] = labels[i];
            if (run->out->label == NULL) {
                return BT_FAIL(err, BT_E_NOMEM, "out of memory for a name");
            }
        }
    }
    return BT_OK;
}

static bt_status survey(survey_run *run, const bt_data_config *config, const char *const *labels,
                        size_t n_labels, bool counts, bt_error *err) {
    bt_data_survey *const out = run->out;
    bt_status             rc = BT_OK;
    data_rows             files = {0};
    BT_CHECK(bt_data_find_table(config, &out->table, err));
    if (out->table == BT_TABLE_NONE || out->table == BT_TABLE_LINES) {
        goto done;
    }
    BT_CHECK(data_rows_expand(&files, config, err));
    run->wish.table = out->table;
    want(&run->wish, labels, n_labels);
    BT_CHECK(find_label(run, files.parts[0].path, labels, n_labels, err));
    if (counts && out->label != NULL) {
        BT_CHECK(learn_labels(run, config, &files, err));
    }
    rc = count_labels(run, err);
done:
    data_rows_deinit(&files);
    return rc;
}

static bt_status start(const bt_data_config *config, const char *const *fields, size_t n_fields,
                       const char *const *labels, size_t n_labels, bool counts, bt_data_survey *out,
                       bt_error *err) {
    survey_run run = {.out = out,
                      .wish = {.delimiter = config->delimiter,
                               .quote = config->quote,
                               .encoding = data_encoding(config),
                               .section = config->section,
                               .id_key = TABLE_NO_KEY,
                               .may_be_number = {true},
                               .n_keys = 1}};
    *out = (bt_data_survey){0};
    run.fields.list_key = 1; /* the label's, where it is a list of JSON */
    want(&run.wish, fields, n_fields);
    bt_status rc = data_labels_init(&run.labels, &run.schema, err);
    if (rc == BT_OK) {
        bt_fs_hold_states();
        rc = survey(&run, config, labels, n_labels, counts, err);
        bt_fs_let_states();
    }
    table_fields_deinit(&run.fields);
    data_labels_deinit(&run.labels);
    bt_fs_scratch_close(run.scratch);
    if (rc != BT_OK) {
        bt_data_survey_deinit(out);
    }
    return rc;
}

bt_status bt_data_survey_read(const bt_data_config *config, const char *const *fields,
                              size_t n_fields, const char *const *labels, size_t n_labels,
                              bt_data_survey *out, bt_error *err) {
    return start(config, fields, n_fields, labels, n_labels, true, out, err);
}

bt_status bt_data_survey_columns(const bt_data_config *config, const char *const *names,
                                 size_t n_names, bt_data_survey *out, bt_error *err) {
    return start(config, NULL, 0, names, n_names, false, out, err);
}
