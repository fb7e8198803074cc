/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: tables of text. scan finds where rows begin; fields takes a row apart;
 * data_table.c makes rows of the stream of it. */
#ifndef BT_DATA_TABLE_H
#define BT_DATA_TABLE_H

#include "data_internal.h"
#include "data_labels.h"

/* A longer row is refused: a quote that is never closed would swallow the file. */
enum { TABLE_ROW_MAX_BYTES = 16 << 20 };

/* ---- fields -----------------------------------------------------------------------------------
 */

enum { TABLE_NUMBER_MAX_BYTES = 32 };

/* A row taken apart: of TSV and CSV all columns, of JSON the wanted keys. Zero-initialise, reuse
 * for many rows. */
typedef struct table_fields {
    bt_text_span *spans; /* [n]; text NULL: there is no such field */
    size_t        n;
    size_t        cap;
    bt_str        unquoted;                  /* CSV: the text of quoted fields */
    void         *json;                      /* json_t of the row */
    char (*numbers)[TABLE_NUMBER_MAX_BYTES]; /* JSON: numbers as text */
    size_t cap_numbers;
} table_fields;

void table_fields_deinit(table_fields *fields);

/* One row without its line end -> fields, borrowed from the row and from fields until the next
 * call. BT_E_FORMAT: *at is the place in the row that the message is about. */
bt_status table_split_tsv(table_fields *fields, const char *row, size_t n, bt_error *err);
bt_status table_split_line(table_fields *fields, const char *row, size_t n, bt_error *err);
bt_status table_split_csv(table_fields *fields, const char *row, size_t n, size_t *at,
                          bt_error *err);
/* keys [n_keys]; the span of a key that is missing or null is NULL. String values, or where
 * may_be_number[k] numbers and booleans too, as text. */
bt_status table_pick_json(table_fields *fields, const char *row, size_t n, const char *const *keys,
                          const bool *may_be_number, size_t n_keys, size_t *at, bt_error *err);
void      table_free_json(table_fields *fields);

/* Where a CSV text stands after some bytes. */
typedef enum csv_state {
    CSV_FIELD_START,
    CSV_PLAIN,
    CSV_QUOTED,
    CSV_QUOTE, /* behind a quote inside quotes: the end of the field, or half of a doubled one */
    CSV_WRONG,
} csv_state;
csv_state csv_next(csv_state state, char c);

/* ---- scan -------------------------------------------------------------------------------------
 * Rows of a file (or of bytes in memory), one after the other. Empty lines are skipped (but of
 * BT_TABLE_LINES), a byte order mark at the beginning too; a line may end with CR LF. */

typedef struct table_scan {
    bt_data_table        table;
    const char          *path;                       /* borrowed, for messages */
    bt_fs_stream        *file;                       /* owned; NULL: memory or unpacked */
    const bt_fs_scratch *unpacked;                   /* borrowed; memory is a window onto it */
    int64_t              window_begin, unpacked_end; /* in unpacked */
    int64_t              first;                      /* where the table begins in it */
    bt_str               window;
    bool                 is_whole; /* begins at the beginning of a file: a mark may stand there */
    const char          *memory;
    size_t               n_memory;
    size_t               at;     /* in memory */
    bt_str               joined; /* a CSV row of several lines */
    int64_t              line;   /* number of the last line that was read, from 1 */
    int64_t              begin;  /* of the row that was given last: byte, and line */
    int64_t              row_line;
} table_scan;

bt_status table_scan_open(table_scan *scan, bt_data_table table, const char *path, bt_error *err);
void table_scan_memory(table_scan *scan, bt_data_table table, const char *path, const char *bytes,
                       size_t n_bytes, bool is_whole);
/* The bytes [begin, end) of what was unpacked; scan->begin counts from 0. */
void table_scan_unpacked(table_scan *scan, bt_data_table table, const char *path,
                         const bt_fs_scratch *unpacked, int64_t begin, int64_t end);
void table_scan_close(table_scan *scan);
/* *row without its line end, borrowed until the next call. *end: there is none. Errors name file
 * and line. */
bt_status table_scan_next(table_scan *scan, const char **row, size_t *n, bool *end, bt_error *err);

#endif
