/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: which words the weights were trained with. */
#ifndef BT_TRAIN_VOCABULARY_H
#define BT_TRAIN_VOCABULARY_H

#include "bt/data.h"
#include "bt/task.h"

/* Of rows that are text; NULL: they are none. */
const char *vocabulary_file(const bt_data_schema *schema);
/* Names the lines of a vocabulary: n_bytes << 32 | their crc32c; 0: there is no such file. */
BT_MUST_USE bt_status vocabulary_read(const char *path, uint64_t *out, bt_error *err);
/* Of the training rows, when they are text (else 0); BT_E_CONFIG where the other section, which is
 * read too where evaluates, has other words. */
BT_MUST_USE bt_status vocabulary_fingerprint(const bt_task_plan *plan, bool evaluates,
                                             uint64_t *out, bt_error *err);
/* Copies the training's vocabulary into model_dir: vocab.txt, or tokenizer.json. words: as
 * vocabulary_fingerprint gave it. */
BT_MUST_USE bt_status vocabulary_keep(const char *folder, const bt_data_schema *schema,
                                      uint64_t words, bt_error *err);

#endif
