/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: seeds.json, what each finished seed of a job ended with. */
#ifndef BT_TRAIN_SEEDS_FILE_H
#define BT_TRAIN_SEEDS_FILE_H

#include "bt/train.h"

typedef struct seed_result {
    int64_t          seed;
    uint32_t         params; /* fingerprint of mode and parameters */
    bt_train_summary summary;
} seed_result;

typedef struct seeds_file {
    seed_result *items; /* owned; each seed once */
    size_t       n;
    size_t       cap;
} seeds_file;
#define SEEDS_FILE_INIT                                                                            \
    { .items = NULL, .n = 0, .cap = 0 }

void seeds_file_deinit(seeds_file *file);
/* No such file: an empty list. One that is not ours gives a warning and counts as none, because all
 * that it saves is time. */
BT_MUST_USE bt_status seeds_file_read(seeds_file *file, const char *path, bt_error *err);
/* Adds, or replaces the entry of that seed. */
BT_MUST_USE bt_status seeds_file_put(seeds_file *file, const seed_result *result, bt_error *err);
/* Borrowed until the next put; NULL: not there. */
const seed_result *seeds_file_find(const seeds_file *file, int64_t seed);
/* Replaces path at once: all entries, and the summary, which is over seeds[n_seeds]. */
BT_MUST_USE bt_status seeds_file_write(const seeds_file *file, const char *path,
                                       const int64_t *seeds, size_t n_seeds,
                                       const bt_train_seeds_summary *summary, bt_error *err);

#endif
