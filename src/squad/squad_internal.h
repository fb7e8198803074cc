/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the squad room share. */
#ifndef BT_SQUAD_INTERNAL_H
#define BT_SQUAD_INTERNAL_H

#include "bt/fs.h"
#include "bt/squad.h"

/* Files. */

typedef struct squad_bytes {
    const char    *bytes; /* [n] until close */
    size_t         n;
    bt_fs_view     view;
    bt_text_source source;
    bt_fs_scratch *scratch;
    char          *unpacked;
} squad_bytes;
/* The caller closes it, also after a failure. */
bt_status squad_bytes_open(squad_bytes *file, const char *path, const bt_text_encoding *encoding,
                           bt_error *err);
void      squad_bytes_close(squad_bytes *file);

/* What a set owns beside its arrays. */
enum { CAP_PARAGRAPHS, CAP_QUESTIONS, CAP_ANSWERS, CAP_WORDS, N_CAPS };
typedef struct squad_memory {
    size_t caps[N_CAPS]; /* of the arrays */
    char **buffers;      /* file names and texts */
    size_t n_buffers;
    size_t cap_buffers;
} squad_memory;

/* Context. */

/* Splits paragraph->context into words at the end of set->words and counts its code points. */
bt_status squad_split_context(bt_squad_set *set, bt_squad_paragraph *paragraph, bt_error *err);

/* Where an answer is in its paragraph, in words. *is_there false: the words there do not
 * contain it. BT_E_FORMAT: beyond the context, or an answer without a visible character. */
bt_status squad_find_answer(const bt_squad_set *set, const bt_squad_paragraph *paragraph,
                            bt_squad_text text, int64_t start, bt_squad_question *question,
                            bool *is_there, bt_error *err);

/* Appends words [first, last] of a paragraph, single spaces between. */
bt_status squad_join_words(const bt_squad_set *set, const bt_squad_paragraph *paragraph,
                           int64_t first, int64_t last, bt_str *out, bt_error *err);

/* Byte where the first occurrence of `part` begins, or -1. */
int64_t squad_find(const char *text, size_t n_bytes, const char *part, size_t n_part);

/* squad_survey.c: bt_squad_find_unanswered of a file's bytes. */
bool squad_has_unanswered(const char *json, size_t n_bytes);

/* Windows. */

/* Document tokens of a window's paragraph, all of them: ids [n] and, for each, its word. */
void squad_document(const bt_squad_windows *windows, int64_t question, const int32_t **ids,
                    const int32_t **words, int64_t *n);
const bt_text_vocab *squad_vocab(const bt_squad_windows *windows);

#endif
