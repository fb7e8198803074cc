/* SPDX-License-Identifier: Apache-2.0
 *
 * data, private: the labels of tables, text -> class. First every label is shown to learn, then
 * settle says what they mean, then find. */
#ifndef BT_DATA_LABELS_H
#define BT_DATA_LABELS_H

#include "bt/base/map.h"
#include "data_internal.h"

enum {
    DATA_LABELS_MAX = 1 << 20,
    DATA_LABELS_MORE = 1000, /* so many more than classes are counted, for the message */
};

/* Where a label stands; line 0: nowhere that could be told. */
typedef struct data_label_place {
    size_t  part;
    int64_t line;
    int64_t column;
} data_label_place;

typedef struct data_label {
    char            *text;  /* owned */
    data_label_place place; /* the first */
    int64_t          count;
    int64_t          id; /* the class, once settled */
} data_label;

typedef struct data_labels {
    const bt_data_schema *schema;
    bt_map               *places; /* text -> place in seen */
    data_label           *seen;   /* owned; in the order in which they came */
    size_t                n_seen;
    size_t                cap_seen;
    char                **names; /* owned; what was learned, in the order of the classes */
    size_t                n_names;
    bool                  is_by_name; /* labels are names, not class numbers */
    /* Where rows are held out: of each row which of seen, so that none is read again for it. */
    bool     keeps_rows;
    int32_t *of_rows; /* owned */
    size_t   n_of_rows;
    size_t   cap_of_rows;
    /* Several labels a row: how many rows, and of them lists of a number for each class. */
    int64_t          n_lists;
    int64_t          n_vectors;
    data_label_place vector;      /* the first that can be nothing else */
    data_label_place other;       /* the first that is none */
    bool             are_vectors; /* then nothing was learned */
} data_labels;

/* Without the spaces and tabs around it. */
bt_text_span data_trim(bt_text_span text);
/* A decimal number; and one without a fraction, whose integer part has no leading zero. */
bool data_label_number(const char *text, double *value);
bool data_label_integer(const char *text, int64_t *value);

bt_status data_labels_init(data_labels *labels, const bt_data_schema *schema, bt_error *err);
void      data_labels_deinit(data_labels *labels);
void      data_labels_forget(data_labels *labels); /* what was learned */
void      data_labels_forget_rows(data_labels *labels);
bt_status data_labels_learn(data_labels *labels, bt_text_span text, data_label_place place,
                            bt_error *err);
/* What pandas, R and databases write where there is nothing. */
bool data_label_says_missing(const char *text);
/* Of classes that were learned: those that look like a slip. */
bt_status data_labels_tell_slips(const data_labels *labels, const char *section, bt_error *err);
/* On failure *place is where the label stands that the message speaks of. */
bt_status data_labels_settle(data_labels *labels, const char *section, data_label_place *place,
                             bt_error *err);
/* As facts of an index (data_index.h), and back: *ok false: they cannot be of n_parts files. */
bt_status data_labels_put(const data_labels *labels, bt_str *facts, bt_error *err);
bt_status data_labels_take(bt_reader *r, data_labels *labels, size_t n_parts, bool *ok,
                           bt_error *err);
bt_status data_labels_find(const data_labels *labels, bt_text_span text, int64_t *label,
                           bt_error *err);

#endif
