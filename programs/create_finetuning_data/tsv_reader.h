/* SPDX-License-Identifier: Apache-2.0
 *
 * Tab separated files as the real tool reads them: strict UTF-8, no quoting, no escapes, fields of
 * at most 131,072 characters. TFDS, which reads the GLUE files, ends a line at LF, CR LF and a lone
 * CR; the tool itself ends it at LF and drops every CR. A byte order mark at the beginning is
 * dropped. */
#ifndef BT_TSV_READER_H
#define BT_TSV_READER_H

#include "bt/base/status.h"

typedef struct tsv_field {
    const char *text; /* not NUL-terminated; borrowed until the next row is read */
    size_t      n;
} tsv_field;

typedef struct tsv_reader tsv_reader;

typedef enum tsv_form {
    TSV_NO_HEADER,
    TSV_HEADER,   /* the first line gives the columns' names, and blank lines are not rows */
    TSV_DROPS_CR, /* no header, and the tool's own line ends */
} tsv_form;

bt_status tsv_open(tsv_reader **out, const char *path, tsv_form form, bt_error *err);
void      tsv_close(tsv_reader *reader); /* accepts NULL */

/* Number of the last column of that name; BT_E_FORMAT names the header's columns. */
bt_status tsv_require_column(const tsv_reader *reader, const char *name, size_t *column,
                             bt_error *err);
/* The same, or false. */
bool tsv_find_column(const tsv_reader *reader, const char *name, size_t *column);

/* *n_fields is 0 for a blank line of a file without header. */
bt_status tsv_next(tsv_reader *reader, const tsv_field **fields, size_t *n_fields, bool *end,
                   bt_error *err);

const char *tsv_path(const tsv_reader *reader);
int64_t     tsv_line(const tsv_reader *reader); /* of the row read last, from 1 */

#endif
