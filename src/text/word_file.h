/* SPDX-License-Identifier: Apache-2.0
 *
 * text, private: the state of a file of words, which its two readers share: word_file.c (lines of
 * columns) and word_json.c (lines of JSON). */
#ifndef BT_TEXT_WORD_FILE_H
#define BT_TEXT_WORD_FILE_H

#include "bt/fs.h"
#include "bt/text.h"

enum { WORD_LINE_MAX_BYTES = 1 << 28, WORD_ITEM_MAX_BYTES = 16 << 20 };

struct bt_text_word_file {
    bt_fs_stream            *stream;
    bt_fs_scratch           *scratch; /* NULL: the file is read where it is */
    const bt_text_word_form *form;
    int64_t                  line;
    bt_str                   text; /* of a line that lost its CRs, or that is looked at twice */
    /* CoNLL */
    size_t  width;     /* columns of the first word; 0: not known yet */
    bool    has_tabs;  /* has that word tabs? */
    size_t  n_columns; /* of the labelled words so far, of the sentence or of the file */
    bool    is_one_width;
    bt_str  names; /* of CoNLL-U Plus's columns, each with a NUL */
    size_t  n_names;
    size_t  own_column; /* whose labels were taken unasked, plus 1 */
    bool    is_inside;  /* after the first word of a sentence */
    bt_str  before;     /* the label before, in the sentence */
    bt_str  label;      /* that was repaired */
    int64_t n_comments, first_comment;
    int64_t n_nodes;
    int64_t n_broken, first_broken;
    int64_t n_single, n_bilou; /* S- and E-, U- and L- */
    /* JSON */
    bool            is_json;
    bool            is_values; /* no object a line */
    bt_text_values *values;
    int64_t         column;   /* where the sentence begins in its line */
    void           *sentence; /* json_t of it; NULL: between sentences */
    bt_str          blanked;  /* without the values of other keys */
    size_t          next_word;
    char            id[32]; /* of a label that is a number */
};

/* Columns (word_columns.c). */

enum { WORD_MAX_COLUMNS = 64 };

typedef struct word_column {
    const char *text;
    size_t      n;
} word_column;

/* Which columns of a line are meant. */
typedef struct word_choice {
    size_t word;
    size_t label;
    bool   has_label;
} word_choice;

word_column word_strip(const char *text, size_t n); /* Python's str.strip() */
/* Between tabs where there is one, else between spaces. */
bt_status word_split_columns(const bt_text_word_file *r, const char *text, size_t n,
                             word_column columns[WORD_MAX_COLUMNS], size_t *n_columns,
                             bt_error *err);
/* A comment before the first word: "# global.columns = ID FORM ..." names the columns. */
bt_status word_read_names(bt_text_word_file *r, const char *text, size_t n, bt_error *err);
void      word_tell_columns(const bt_text_word_file *r);
/* *skip: a range or an empty node, no word. */
bt_status word_choose_columns(bt_text_word_file *r, bool has_tab, const word_column *columns,
                              size_t n_columns, word_choice *out, bool *skip, bt_error *err);

/* Without its CRs, checked to be UTF-8. */
bt_status word_file_read_line(bt_text_word_file *r, const char **text, size_t *n, bool *end,
                              bt_error *err);

/* The byte at is not UTF-8. */
bt_status word_file_refuse_byte(const bt_text_word_file *r, const char *text, size_t n, size_t at,
                                bt_error *err);

/* The next word of a JSON sentence, a break after its last one, or the end. */
bt_status word_json_next(bt_text_word_file *r, bt_text_word_line *word, bool *is_break, bool *end,
                         bt_error *err);
void      word_json_deinit(bt_text_word_file *r);
/* head: how the file begins. The stream is at its beginning. */
bt_status word_json_open(bt_text_word_file *r, const char *head, size_t n, bt_error *err);

#endif
