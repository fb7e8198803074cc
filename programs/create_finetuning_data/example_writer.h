/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of text -> tokenised, padded tf.Examples in a TFRecord file (docs/model_garden/data.md
 * section 1, "Example conversion" and "Byte form of the records"). Rows are read, converted and
 * written in blocks: one thread reads the next block and one writes the last one while all others
 * convert. Rows are converted in fixed groups and written in order, so the bytes do not depend on
 * the number of threads, and memory does not grow with the file. */
#ifndef BT_EXAMPLE_WRITER_H
#define BT_EXAMPLE_WRITER_H

#include "bt/base/pool.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/text.h"
#include "bt/wire/example.h"

/* One row of an input. Texts are borrowed and not NUL-terminated. */
typedef struct example_row {
    const char *a;
    size_t      n_a;
    const char *b; /* NULL: one text only */
    size_t      n_b;
    const char *word; /* a third text, which is never cut; NULL: none */
    size_t      n_word;
    int64_t     label;  /* of a class */
    float       value;  /* of a regression */
    float       weight; /* where rows have one */
    int64_t     id;     /* set to the row's number in the output; a source may say otherwise */
} example_row;

/* Where rows come from; one implementation a kind of input. */
typedef struct example_source {
    void *state;
    /* What *row points to must live until the next call. */
    bt_status (*next)(void *state, example_row *row, bool *end, bt_error *err);
    void (*close)(void *state); /* or NULL */
} example_source;

/* What a thread that converts rows has for itself. */
typedef struct example_worker {
    bt_text_scratch   *scratch;
    bt_example_builder builder;
    int32_t           *ids;      /* this and the next three: [max_seq_length] */
    int32_t           *mask;     /* */
    int32_t           *segments; /* */
    int32_t           *labels;   /* */
} example_worker;

typedef struct example_settings example_settings;
/* Appends the framed records that a row becomes and adds their number to *n_records. */
typedef bt_status (*example_convert)(const example_settings *settings, example_worker *worker,
                                     const example_row *row, bt_str *records, int64_t *n_records,
                                     bt_error *err);

typedef enum example_label {
    EXAMPLE_LABEL_INT,
    EXAMPLE_LABEL_FLOAT,
    EXAMPLE_LABEL_NONE
} example_label;

struct example_settings {
    const bt_text_tokenizer *tokenizer;
    bt_pool                 *pool; /* NULL: one thread */
    int64_t                  max_seq_length;
    example_convert          convert;
    const void              *context;    /* of convert; not every one reads it */
    example_label            label;      /* what label_ids is; convert_text only */
    bool                     has_weight; /* convert_text only */
    const char              *what;       /* "train": for the progress line */
};

/* example_text.c: one record of [CLS] a [SEP], of [CLS] a [SEP] b [SEP], or with a word behind. */
bt_status convert_text(const example_settings *settings, example_worker *worker,
                       const example_row *row, bt_str *records, int64_t *n_records, bt_error *err);

/* example_tagging.c: records of a labelled sentence: a is its words, an LF after each, b their
 * labels, an int32_t each, id the sentence's number; context: a bt_text_word_packer. */
bt_status convert_sentence(const example_settings *settings, example_worker *worker,
                           const example_row *row, bt_str *records, int64_t *n_records,
                           bt_error *err);

/* Reads source to its end. *n_written counts records. BT_E_INTERRUPTED when asked to stop. */
bt_status write_examples(const example_settings *settings, const example_source *source,
                         bt_fs_writer *out, int64_t *n_written, bt_error *err);

#endif
