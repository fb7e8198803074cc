/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: tables of text. scan finds where rows begin; fields takes a row apart;
 * data_table.c makes rows of the stream of it. */
#ifndef BT_DATA_TABLE_H
#define BT_DATA_TABLE_H

#include "bt/base/str.h"
#include "data_internal.h"
#include "data_labels.h"

/* How a file is written. */
typedef struct table_form {
    bt_data_table table;
    char          delimiter;    /* TSV, CSV */
    char          quote;        /* the same; BT_DATA_NO_QUOTE */
    bool          has_sep_line; /* its first line says the delimiter and is not a row */
    bool          is_values;    /* JSON: objects of a list, or over several lines */
    size_t        list_at;      /* ... of a list that is a member of an object, from this byte on */
} table_form;

enum {
    TABLE_MAX_KEYS = BT_DATA_MAX_TEXTS + 2 + BT_DATA_MAX_LABEL_FIELDS,
    TABLE_NO_KEY = TABLE_MAX_KEYS,
    TABLE_LIST_MARK = '\x1f',  /* after each text of a list of JSON */
    TABLE_VALUE_MARK = '\x1e', /* between how much a label applies and the label, of an object */
};

/* What is wanted of all files of an input. */
typedef struct table_wish {
    bt_data_table    table;
    char             delimiter; /* as in bt_data_config, the next two as well */
    char             quote;
    bt_text_encoding encoding;
    const char      *section;
    const char      *keys[TABLE_MAX_KEYS]; /* the texts, then label and example_id where wanted */
    bool             may_be_number[TABLE_MAX_KEYS];
    size_t           n_keys;
    size_t           label_key;  /* or TABLE_NO_KEY */
    size_t           id_key;     /* the same; need not be there */
    size_t           weight_key; /* or TABLE_NO_KEY */
    bool             has_header;
} table_wish;

/* A longer row is refused: a quote that is never closed would swallow the file. */
enum { TABLE_ROW_MAX_BYTES = 16 << 20 };

/* Fields. */

enum { TABLE_NUMBER_MAX_BYTES = 32 };

/* A parsed row: of TSV and CSV all columns, of JSON the wanted keys. Zero-initialise, reuse
 * for many rows. */
typedef struct table_fields {
    bt_text_span *spans; /* [n]; text NULL: there is no such field */
    size_t        n;
    size_t        cap;
    bt_str        unquoted;                  /* CSV: the text of quoted fields */
    void         *json;                      /* json_t of the row */
    size_t        list_key;                  /* the key that may be a list of texts, plus 1 */
    bt_str        list;                      /* ... and those of the row */
    char (*numbers)[TABLE_NUMBER_MAX_BYTES]; /* JSON: numbers as text */
    size_t cap_numbers;
} table_fields;

void table_fields_deinit(table_fields *fields);

/* One row without its line end -> fields, borrowed from the row and from fields until the next
 * call. BT_E_FORMAT: *at is the place in the row that the message is about. */
bt_status table_split(table_fields *fields, const table_form *form, const char *row, size_t n,
                      size_t *at, bt_error *err);
/* keys [n_keys]; the span of a key that is missing or null is NULL. String values, or where
 * may_be_number[k] numbers and booleans too, as text. */
bt_status table_pick_json(table_fields *fields, const char *row, size_t n, const char *const *keys,
                          const bool *may_be_number, size_t n_keys, size_t *at, bt_error *err);
/* The keys of an object; the spans are borrowed from fields. */
bt_status table_name_members(table_fields *fields, const char *row, size_t n, bt_error *err);
void      table_free_json(table_fields *fields);
/* Where a CSV text is after some bytes. */
typedef enum csv_state {
    CSV_FIELD_START,
    CSV_PLAIN,
    CSV_QUOTED,
    CSV_QUOTE, /* after a quote inside quotes: the end of the field, or half of a doubled one */
    CSV_WRONG,
} csv_state;
csv_state csv_next(const table_form *form, csv_state state, char c);

/* Form. */

/* head: the beginning of the file, UTF-8. */
bt_status table_form_find(const table_wish *wish, const char *path, bt_text_span head,
                          table_form *form, bt_error *err);
/* Which of the first row's fields key k is; -1: it is not there, and need not be. */
bt_status table_find_column(const table_wish *wish, const table_fields *fields, size_t k,
                            int32_t *column, bt_error *err);

/* Source.
 * A file as the scan wants it. Where the file itself is plain UTF-8, it is read where it is. */

typedef struct table_source {
    table_form form;
    bool       is_unpacked; /* into *scratch: the bytes [begin, end) of it */
    int64_t    begin;
    int64_t    end;
} table_source;

/* Lines {"text": ..., "label": ...} of the .txt files of a folder's folders, each a class. */
bt_status table_read_folder(const table_wish *wish, const char *folder, bt_fs_scratch *out,
                            bt_error *err);

/* Scan.
 * Rows of a file (or of bytes in memory), one after the other. Empty lines are skipped (but of
 * BT_TABLE_LINES), a byte order mark at the beginning too; a line may end with CR LF. */

typedef struct table_scan {
    table_form      form;
    const char     *path;   /* borrowed, for messages */
    bt_fs_stream   *file;   /* owned; NULL: memory, one row */
    const char     *memory; /* [n_memory], of which at are behind us */
    size_t          n_memory;
    size_t          at;
    bt_text_values *values; /* form.is_values */
    bt_str          joined; /* a CSV row of several lines */
    int64_t         line;   /* number of the last line that was read, from 1 */
    int64_t         begin;  /* of the row that was given last: byte, line, column from 1 */
    int64_t         row_line;
    int64_t         row_column;
} table_scan;

/* The stream is the scan's from here on. */
bt_status table_scan_stream(table_scan *scan, const table_form *form, const char *path,
                            bt_fs_stream *stream, bt_error *err);
/* The bytes of one row, and what may be before the next. */
bt_status table_scan_memory(table_scan *scan, const table_form *form, const char *path,
                            const char *bytes, size_t n_bytes, bt_error *err);
void      table_scan_close(table_scan *scan);
/* *row without its line end, borrowed until the next call. *end: there is none. Errors name file
 * and line. */
bt_status table_scan_next(table_scan *scan, const char **row, size_t *n, bool *end, bt_error *err);
/* Opens a file and the scan of its rows; table_scan_close(scan) whatever comes of it. */
bt_status table_source_scan(const table_wish *wish, const char *path, bt_fs_scratch **scratch,
                            table_source *source, table_scan *scan, bt_error *err);

/* Several labels a row (data_table_targets.c).
 * The field of a row shown to learn; then, settled, what applies: targets [n_classes]. Or a column
 * for each of the n classes. */
bt_status table_learn_targets(data_labels *labels, bt_text_span field, data_label_place place,
                              bt_error *err);
/* After the last row: what the fields are. On failure *place is where. */
bt_status table_settle_targets(data_labels *labels, data_label_place *place, bt_error *err);
bt_status table_find_targets(const data_labels *labels, bt_text_span field, float *targets,
                             bt_error *err);
bt_status table_read_targets(const table_wish *wish, const bt_text_span *values, size_t n,
                             float *targets, bt_error *err);

#endif
