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
#include "data_table.h"

typedef struct survey_run {
    const bt_data_schema schema; /* that knows no classes */
    table_wish           wish;
    bt_fs_scratch       *scratch;
    table_fields         fields;
    data_labels          labels;
    bt_data_survey      *out;
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

static bt_status read_labels(survey_run *run, const char *path, bt_error *err) {
    bt_status    rc = BT_OK;
    table_scan   scan = {0};
    table_source source;
    int32_t      column = 0;
    bool         is_header = run->wish.has_header && run->wish.table != BT_TABLE_JSONL;
    bool         is_first = run->wish.table != BT_TABLE_JSONL;
    BT_CHECK(table_source_scan(&run->wish, path, &run->scratch, &source, &scan, err));
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
done:
    table_scan_close(&scan);
    return rc == BT_OK ? rc : bt_error_prefix(err, "%s", path);
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
    for (size_t i = 0; counts && out->label != NULL && i < files.n_parts; i++) {
        BT_CHECK(read_labels(run, files.parts[i].path, err));
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
        rc = survey(&run, config, labels, n_labels, counts, err);
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
