/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: what the files of tables share. data_table.c reads rows; data_table_pass.c reads
 * all of them for the first time; data_table_split.c leaves some out. */
#ifndef BT_DATA_TABLE_ROWS_H
#define BT_DATA_TABLE_ROWS_H

#include "data_census.h"
#include "data_index.h"
#include "data_places.h"
#include "data_table.h"

typedef struct table_file {
    int64_t          base; /* where its bytes begin among those of all files: rows->places */
    int64_t          n_bytes;
    table_source     source;
    size_t           n_columns;               /* that every row has; not of JSON */
    int32_t          columns[TABLE_MAX_KEYS]; /* of the wanted fields; -1: there is none */
    data_index_state state;                   /* where an index is kept */
} table_file;

typedef struct table_rows {
    data_rows             base;
    const bt_data_schema *schema; /* borrowed */
    table_wish            wish;
    table_file           *files;    /* owned; [base.n_parts] */
    bt_fs_scratch        *unpacked; /* all files that are not read where they are; NULL: none */
    data_open_files       open;
    data_places           places; /* of the rows of all files */
    data_encoder          encoder;
    data_labels           labels;
    data_census           census;
    float                *targets;      /* owned; [n_classes] of several labels */
    size_t                n_label_keys; /* columns of them */
    table_fields          fields;
    table_scan            scan;                   /* of the row that is appended */
    bt_str                buffer;                 /* its bytes */
    bt_text_span          values[TABLE_MAX_KEYS]; /* of the row whose texts were asked for */
    int64_t               max_damaged;            /* skip_bad_records */
    int64_t               n_damaged;
    data_index            index;
    data_index_file       index_file; /* from which places and names are read; or none */
    size_t                kept_at;    /* in its facts: what is said of the rows that are left */
    bt_str                told;       /* of the rows that are held out */
} table_rows;

/* Where a row begins in its file, from 1. */
typedef struct row_place {
    int64_t line;
    int64_t column;
} row_place;

/* Before the sentence: file:line:column of a place in the row, which begins at another. */
bt_status table_put_place(const char *path, row_place place, const char *row, size_t at,
                          bt_error *err);
/* UTF-8 without NULs, or *at is where not. */
bt_status table_check_bytes(const table_rows *rows, const char *row, size_t n, size_t *at,
                            bt_error *err);
/* values [n_keys], borrowed from the row and from rows->fields. */
bt_status table_take_apart(table_rows *rows, const table_file *file, const char *row, size_t n,
                           bt_text_span *values, size_t *at, bt_error *err);
bt_status table_read_score(const table_rows *rows, size_t key, bt_text_span text, float *score,
                           bt_error *err);
/* Reads all files through: where each row begins, whether it can be parsed, what its label is. */
bt_status table_pass(table_rows *rows, bt_error *err);
/* The first rows only, as far as their tokens are counted. */
bt_status table_sample(table_rows *rows, bt_error *err);
/* Leaves only the rows that config.held_out wants. */
bt_status table_split_rows(table_rows *rows, const bt_data_config *config, bt_error *err);

#endif
