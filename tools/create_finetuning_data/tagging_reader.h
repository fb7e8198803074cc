/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of one word a line with its label, sentences apart by empty lines. Two forms: PAN-X's and
 * UDPOS's, exactly as the real tool reads them (one or two columns, tab between; a line of blanks
 * is a word), and what CoNLL files look like in the wild (columns apart by tabs or blanks, lines of
 * blanks between sentences, -DOCSTART- lines left out). Strict UTF-8; every CR is dropped. */
#ifndef BT_TAGGING_READER_H
#define BT_TAGGING_READER_H

#include "bt/base.h"

enum { TAGGING_LAST_COLUMN = -1 };

typedef struct tagging_form {
    bool is_conll;
    int  word_column;  /* CoNLL: from 0 */
    int  label_column; /* CoNLL: from 0, or TAGGING_LAST_COLUMN */
} tagging_form;

/* Both texts without surrounding white space. */
typedef struct tagging_word {
    const char *word;
    size_t      n_word;
    const char *label; /* NULL: the line has none */
    size_t      n_label;
} tagging_word;

typedef struct tagging_reader tagging_reader;

/* form is borrowed until the reader is closed. */
bt_status tagging_open(tagging_reader **out, const char *path, const tagging_form *form,
                       bt_error *err);
void      tagging_close(tagging_reader *reader); /* accepts NULL */
/* The next line: a word (borrowed until the next call), *is_break between sentences, or *end. */
bt_status   tagging_next(tagging_reader *reader, tagging_word *word, bool *is_break, bool *end,
                         bt_error *err);
const char *tagging_path(const tagging_reader *reader);
int64_t     tagging_line(const tagging_reader *reader); /* of the line read last, from 1 */

#endif
