/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench_product multiplies, and oneDNN, which does it too where the build found it. */
#ifndef BT_BENCH_PRODUCT_H
#define BT_BENCH_PRODUCT_H

#include "bt/base/status.h"

typedef struct product_shape {
    int64_t M, K, N;
    bool    is_gradient; /* of weights: A lies transposed, C is float32; else B is a weight, packed
                          * before, and C has the precision of the factors */
} product_shape;

/* The same numbers in both precisions. */
typedef struct product_numbers {
    float    *a, *b, *c;
    uint16_t *a16, *b16, *c16;
} product_numbers;

double product_clock(void); /* seconds, arbitrary origin */

typedef struct onednn onednn;

const char *onednn_version(void); /* "": this was built without it */
/* *out NULL: without it. */
BT_MUST_USE bt_status onednn_create(int32_t n_threads, onednn **out, bt_error *err);
void                  onednn_free(onednn *o);
/* The product that onednn_seconds makes; x is borrowed until the next one. */
BT_MUST_USE bt_status onednn_prepare(onednn *o, const product_shape *shape,
                                     const product_numbers *x, bool is_16, bt_error *err);
double                onednn_seconds(onednn *o, int64_t times); /* of each; INFINITY: without it */

#endif
