/* SPDX-License-Identifier: Apache-2.0
 *
 * SQuAD files as rows: each window over a document is one. The questions, the vocabulary and the
 * windows are in memory (dev-v1.1: 15 MB); a row's tokens are put together when it is read. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "data_census.h"

typedef struct squad_rows {
    data_rows             base;
    const bt_data_schema *schema;
    bt_text_vocab        *vocab;
    bt_text_tokenizer    *tokenizer;
    bt_squad_set          set;
    bt_squad_windows     *windows;
    int32_t              *order;   /* row -> window; NULL: as they are numbered */
    int32_t              *tokens;  /* [2*S] ids and segments of one window */
    int64_t              *columns; /* [2*S] the same as a row has them */
    data_census           census;
} squad_rows;

static bt_status append_window(data_rows *base, int64_t row, data_slot *slot, bool *is_damaged,
                               bt_error *err) {
    squad_rows *const            rows = (squad_rows *)base;
    const int64_t                S = rows->schema->seq_length;
    const int64_t                i = rows->order != NULL ? rows->order[row] : row;
    const bt_squad_window *const window = bt_squad_window_at(rows->windows, i);
    const int64_t n = bt_squad_window_tokens(rows->windows, i, rows->tokens, rows->tokens + S);
    for (int64_t t = 0; t < n; t++) {
        rows->columns[t] = rows->tokens[t];
        rows->columns[S + t] = rows->tokens[S + t];
    }
    const data_row made = {.n = n,
                           .ids = rows->columns,
                           .types = rows->columns + S,
                           .start = window->answer_start,
                           .end = window->answer_end,
                           .example_id = i};
    *is_damaged = false;
    if (data_slot_append(slot, rows->schema, &made, err) != BT_OK) {
        return bt_squad_blame(&rows->set, window->question, err);
    }
    return BT_OK;
}

static void close_squad(data_rows *base) {
    squad_rows *const rows = (squad_rows *)base;
    data_census_deinit(&rows->census);
    bt_squad_windows_free(rows->windows);
    bt_squad_set_deinit(&rows->set);
    bt_text_tokenizer_free(rows->tokenizer);
    bt_text_vocab_free(rows->vocab);
    bt_free(rows->order);
    bt_free(rows->tokens);
    bt_free(rows->columns);
    data_rows_deinit(base);
    bt_free(rows);
}

static const data_rows_ops squad_ops = {.append = append_window, .close = close_squad};

const bt_squad_windows *data_squad_rows_windows(const data_rows *rows) {
    return rows->ops == &squad_ops ? ((const squad_rows *)rows)->windows : NULL;
}

typedef struct sized_window {
    int32_t length;
    int32_t number;
} sized_window;

/* Long ones first, so that the first batch is the largest and an engine plans once. */
static int compare_sizes(const void *a, const void *b) {
    const sized_window *const x = a;
    const sized_window *const y = b;
    const int                 order = (x->length < y->length) - (x->length > y->length);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

/* Windows of like length beside each other, for an evaluation that reads them all: each gets the
 * same scores in any company. */
static bt_status sort_by_length(squad_rows *rows, bt_error *err) {
    const size_t        n = (size_t)rows->base.n_rows;
    bt_status           rc = BT_OK;
    sized_window *const sizes = bt_alloc_array(n, sizeof *sizes);
    rows->order = bt_alloc_array(n, sizeof *rows->order);
    if (sizes == NULL || rows->order == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the order of %zu windows", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        sizes[i] =
            (sized_window){.length = (int32_t)bt_squad_window_length(rows->windows, (int64_t)i),
                           .number = (int32_t)i};
    }
    qsort(sizes, n, sizeof *sizes, compare_sizes);
    for (size_t i = 0; i < n; i++) {
        rows->order[i] = sizes[i].number;
    }
done:
    bt_free(sizes);
    return rc;
}

static bt_status load_vocab(squad_rows *rows, const bt_data_squad *squad, const char *section,
                            bt_error *err) {
    const data_vocab_wish wish = {.path = squad->vocab_file,
                                  .rules = BT_TEXT_PYTHON,
                                  .vocab_size = rows->schema->vocab_size,
                                  .options = {.do_lower_case = squad->do_lower_case,
                                              .accents = squad->accents,
                                              .chinese_joined = squad->chinese_joined}};
    const bt_status       rc = data_load_vocab(&wish, &rows->vocab, &rows->tokenizer, err);
    return rc == BT_OK ? rc : bt_error_prefix(err, "%s.vocab_file", section);
}

/* Who has made records for training may give records here too. */
static bt_status check_name(const char *path, bt_error *err) {
    if (strstr(path, "tf_record") != NULL || strstr(path, "tfrecord") != NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: questions are read from their JSON file (dev-v1.1.json), not from "
                       "records, which hold neither texts nor answers",
                       path);
    }
    return BT_OK;
}

static bt_status read_files(squad_rows *rows, const bt_data_squad *squad,
                            const bt_data_config *config, bt_error *err) {
    data_rows named = {0}; /* the files of input_path; the rows are one part, whatever the order */
    const bt_text_encoding encoding = data_encoding(config);
    bt_status              rc = data_rows_expand(&named, config, err);
    for (size_t i = 0; rc == BT_OK && i < named.n_parts; i++) {
        rc = check_name(named.parts[i].path, err);
        if (rc == BT_OK) {
            rc = bt_squad_read(&rows->set, named.parts[i].path, &encoding, squad->use,
                               squad->version_2, err);
        }
    }
    if (rc == BT_OK) {
        rc = data_rows_add_path(&rows->base, named.parts[0].path, err);
    }
    data_rows_deinit(&named);
    return rc;
}

static bt_status make_windows(squad_rows *rows, const bt_data_squad *squad, bt_error *err) {
    const bt_squad_window_options options = {.max_seq_length = rows->schema->seq_length,
                                             .doc_stride = squad->doc_stride,
                                             .max_query_length = squad->max_query_length};
    BT_TRY(bt_squad_windows_create(&rows->windows, &rows->set, rows->tokenizer, &options, err));
    const int64_t n = bt_squad_n_windows(rows->windows);
    if (n == 0) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: no question has a text in which to look for its answer",
                       rows->base.parts[0].path);
    }
    BT_TRY(data_census_squad(&rows->census, rows->windows, rows->vocab, rows->schema, err));
    rows->base.census[0] = &rows->census.facts;
    rows->base.names = &rows->census.names;
    rows->base.n_rows = n;
    data_rows_add_content(&rows->base, &rows->set.content, sizeof rows->set.content);
    rows->base.parts[0].n_rows = n;
    const bool is_whole = squad->max_rows == 0 || squad->max_rows >= n;
    return squad->use != BT_SQUAD_TRAIN && is_whole ? sort_by_length(rows, err) : BT_OK;
}

static bt_status open_squad(squad_rows *rows, const bt_data_config *config, bt_error *err) {
    const bt_data_squad *const squad = &rows->schema->squad;
    size_t                     n = 0;
    if (bt_size_mul((size_t)rows->schema->seq_length, 2, &n)) {
        rows->tokens = bt_alloc_array(n, sizeof *rows->tokens);
        rows->columns = bt_alloc_array(n, sizeof *rows->columns);
    }
    if (rows->tokens == NULL || rows->columns == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a window of seq_length %" PRId64,
                       rows->schema->seq_length);
    }
    BT_TRY(load_vocab(rows, squad, config->section, err));
    BT_TRY(read_files(rows, squad, config, err));
    BT_TRY(data_squad_split(&rows->set, config, err));
    return make_windows(rows, squad, err);
}

bt_status data_squad_open(const bt_data_config *config, const bt_data_schema *schema,
                          data_rows **out, bt_error *err) {
    squad_rows *const rows = bt_calloc_array(1, sizeof *rows);
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for SQuAD files");
    }
    rows->base.ops = &squad_ops;
    rows->schema = schema;
    const bt_status rc = open_squad(rows, config, err);
    if (rc != BT_OK) {
        close_squad(&rows->base);
        return rc;
    }
    *out = &rows->base;
    return BT_OK;
}
