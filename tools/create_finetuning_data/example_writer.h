/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of text -> tokenised, padded tf.Examples in a TFRecord file (spec/data.md (a), "Example
 * conversion" and "Byte form of the records"). Rows are tokenised in fixed blocks by all threads
 * and written in order, so the bytes do not depend on the number of threads, and memory does not
 * grow with the file. */
#ifndef BT_EXAMPLE_WRITER_H
#define BT_EXAMPLE_WRITER_H

#include "bt/fs.h"
#include "bt/text.h"

/* Where rows come from; one implementation a kind of input. */
typedef struct example_row {
    const char *a; /* borrowed until the next row; not NUL-terminated */
    size_t      n_a;
    const char *b; /* NULL: one text only */
    size_t      n_b;
    int64_t     label; /* of a classification */
    float       value; /* of a regression */
} example_row;

typedef struct example_source {
    void *state;
    bt_status (*next)(void *state, example_row *row, bool *end, bt_error *err);
    void (*close)(void *state);
} example_source;

typedef struct example_settings {
    const bt_text_tokenizer *tokenizer;
    bt_pool                 *pool; /* NULL: one thread */
    int64_t                  max_seq_length;
    bool                     is_regression; /* label_ids is one float, not one integer */
    const char              *what;          /* "train": for the progress line */
    bool (*is_interrupted)(void);           /* or NULL */
} example_settings;

/* Reads source to its end. BT_E_INTERRUPTED when asked to stop. */
bt_status write_examples(const example_settings *settings, const example_source *source,
                         bt_fs_writer *out, int64_t *n_written, bt_error *err);

#endif
