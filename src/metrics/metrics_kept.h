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

/* metrics_decide.c: the class of a row, under the threshold where there is one. */
int64_t metric_decide(const bt_metrics *metrics, const kept_rows *k, int64_t i);
/* metrics_multi.c, metrics_sets.c: as if all rows came under another threshold. */
void metric_multi_count(void *state, int64_t c, bool applies, bool found, int64_t weight);
void metric_multi_recount(void *state, const kept_rows *k, double threshold);
void metric_sets_recount(void *state, const kept_rows *k, double threshold);

#endif
