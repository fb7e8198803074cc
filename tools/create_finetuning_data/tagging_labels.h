/* SPDX-License-Identifier: Apache-2.0
 *
 * The labels of tagging, by id: the task's own, those of a CoNLL training file ("O" first, the
 * others by their bytes), or given by a flag in their order. */
#ifndef BT_TAGGING_LABELS_H
#define BT_TAGGING_LABELS_H

#include "bt/text.h"

typedef struct tagging_labels {
    bt_map     *ids;   /* name -> id */
    char      **names; /* [n] by id */
    size_t      n;
    size_t      cap;
    const char *from; /* where they come from, for messages */
} tagging_labels;

bt_status tagging_labels_init(tagging_labels *labels, bt_error *err);
void      tagging_labels_deinit(tagging_labels *labels);

/* names is NULL-terminated. */
bt_status tagging_labels_add(tagging_labels *labels, const char *const *names, bt_error *err);
/* Every word of the file must have one. */
bt_status tagging_labels_collect(tagging_labels *labels, const char *path,
                                 const bt_text_word_form *form, bt_error *err);
/* "O,B-PER,..." or "@FILE" with one a line. */
bt_status tagging_labels_parse(tagging_labels *labels, const char *text, bt_error *err);

/* The id of the word's label; BT_E_FORMAT with file and line when it has none or another one. */
bt_status tagging_labels_find(const tagging_labels *labels, const bt_text_word_file *file,
                              const bt_text_word_line *word, int64_t *id, bt_error *err);

#endif
