/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: info.json, and which of two values is better. */
#ifndef BT_TRAIN_BEST_INFO_H
#define BT_TRAIN_BEST_INFO_H

#include "bt/train.h"

typedef struct best_info {
    double  value; /* of the metric that decides */
    int64_t step;  /* -1: not said */
} best_info;
BT_MUST_USE bt_status best_info_format(const bt_train_values *values, int64_t step, bt_str *out,
                                       bt_error *err);
/* BT_E_FORMAT: it is not JSON; BT_E_CONFIG: it has no such metric. path is for messages. */
BT_MUST_USE bt_status best_info_parse(const char *text, size_t n_bytes, const char *metric,
                                      const char *path, best_info *out, bt_error *err);

/* All values, in their order, and the step (-1: not said); what is not a number is left out. */
BT_MUST_USE bt_status best_info_values(const char *text, size_t n_bytes, const char *path,
                                       bt_train_values *values, int64_t *step, bt_error *err);

/* comparison: "higher" or "lower" */
bool best_is_better(const char *comparison, double value, double best);

#endif
