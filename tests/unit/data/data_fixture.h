/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the data room share: record files made through the wire writer, whose rows can
 * be told apart by their ids, and a config and schema to change. */
#include "bt/base/str.h"

#ifndef DATA_FIXTURE_H
#define DATA_FIXTURE_H

#include "bt/data.h"
#include "bt/tensor.h"
#include "test_support.h"

enum { FIXTURE_S = 8, FIXTURE_VOCAB = 2000 };

/* One record: the arrays have s values. NULL: the feature is left out. */
typedef struct fixture_row {
    const int64_t *ids;
    const int64_t *mask;
    const int64_t *types;
    size_t         s;
    const int64_t *label;       /* label_ids, n_labels values */
    const float   *float_label; /* or label_ids as one float */
    size_t         n_labels;
    const int64_t *example_id;
    const int64_t *start; /* start_positions, end_positions */
    const int64_t *end;
    const int64_t *sentence; /* sentence_id, sub_sentence_id */
    const int64_t *piece;
} fixture_row;

/* Appends one framed record to frames. */
void fixture_add(bt_str *frames, const fixture_row *row);
/* Row number r as the tests expect it: id 100 + r, then 1 + r % 6 tokens, padded; class r % 3;
 * example_id r. */
void fixture_add_numbered(bt_str *frames, int64_t r);
/* A file of the numbered rows first .. first+n-1. Static storage as test_temp_dir. */
const char *fixture_file(const char *folder, const char *name, int64_t first, int64_t n);
/* The records of a file once more, gzip'd, beside it. */
const char *fixture_gzip(const char *plain);
/* Writes the frames and clears them. */
const char *fixture_write(const char *folder, const char *name, bt_str *frames);

/* Config and schema for numbered rows: training, batch 4, no shuffle. */
bt_data_config fixture_config(const char *const *paths, size_t n_paths);
bt_data_schema fixture_schema(void);

/* Checks that row b of the batch is the numbered row r, packed. */
void fixture_check_row(const bt_batch *batch, int64_t b, int64_t r);

#endif
