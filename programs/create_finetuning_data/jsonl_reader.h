/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of one JSON object a line (SuperGLUE's). Blank lines are not rows. */
#ifndef BT_JSONL_READER_H
#define BT_JSONL_READER_H

#include <jansson.h>

#include "bt/base/status.h"

typedef struct jsonl_reader jsonl_reader;

bt_status jsonl_open(jsonl_reader **out, const char *path, bt_error *err);
void      jsonl_close(jsonl_reader *reader); /* accepts NULL */
/* *row is borrowed until the next call. */
bt_status jsonl_next(jsonl_reader *reader, const json_t **row, bool *end, bt_error *err);
/* The text under a key of the current row: NULL and BT_E_FORMAT with file and line without it. */
bt_status   jsonl_text(const jsonl_reader *reader, const char *key, const char **text, size_t *n,
                       bt_error *err);
const char *jsonl_path(const jsonl_reader *reader);
int64_t     jsonl_line(const jsonl_reader *reader); /* of the current row, from 1 */

#endif
