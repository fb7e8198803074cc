/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics, private: every row of an evaluation. */
#ifndef BT_METRICS_KEPT_H
#define BT_METRICS_KEPT_H

#include "metrics_internal.h"

typedef struct kept_rows {
    int64_t  n_classes;
    int64_t  n;
    bool     has_nan;
    float   *logits;  /* [n,n_classes] owned, and so below */
    int32_t *labels;  /* [n] of one class a row, else NULL */
    uint8_t *applies; /* [n,n_classes] of several, else NULL */
    size_t   logits_cap;
    size_t   labels_cap;
    size_t   applies_cap;
} kept_rows;

#endif
