/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of bench_step share: what is measured, and the three measurements. */
#ifndef BT_BENCH_STEP_H
#define BT_BENCH_STEP_H

#include "bt/pjrt.h"
#include "step_job.h"

enum { MAX_BATCH = 4096, MAX_STEPS = 1000, MAX_ROUNDS = 9, N_BATCHES = 4 };

/* Texts are the flags' own. */
typedef struct step_options {
    step_dims   dims;
    const char *model, *lengths, *isa, *products, *weights;
    const char *plugin, *cache, *attention; /* plugin NULL: the processor */
    int64_t     batch, length, steps, rounds, threads, product;
    double      seconds;
    bool        recompute;
} step_options;

/* Steps of training on the processor or, where client is not NULL, on its first device; the JSON
 * object into out. */
BT_MUST_USE bt_status measure_steps(const step_options *o, bt_pjrt_client *client, bt_str *out,
                                    bt_error *err);
/* How fast the device multiplies two matrices of o->product rows in bfloat16: the yardstick. */
BT_MUST_USE bt_status measure_product(const step_options *o, bt_pjrt_client *client, bt_str *out,
                                      bt_error *err);

/* The large matrix products of a step alone, in BLAS: same shapes, no padding, no unread rows. */
typedef struct bare_products {
    float *a, *b, *c; /* owned */
} bare_products;
/* For batches of at most n_tokens. *m is zero before; bare_deinit after a failure, too. */
BT_MUST_USE bt_status bare_init(bare_products *m, const step_dims *dims, int64_t n_tokens,
                                bt_error *err);
void                  bare_deinit(bare_products *m);
void bare_step(const bare_products *m, const step_dims *dims, const bt_batch *batch);

#endif
