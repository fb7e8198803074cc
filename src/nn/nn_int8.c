/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers in 8 bits. The panels of weights that a tile takes go past all rows of a block
 * before the next ones are read: weights come from memory once a block, rows from the second cache.
 */
#include "bt/nn/dense_int8.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "bt/base/alloc.h"

enum {
    COLS = BT_KERN_INT8_COLS,
    BLOCK_ROWS = 96,       /* about */
    CACHE_WAY_FLOOR = 512, /* rows that lie multiples of it apart crowd the first cache's lines */
    ALIGN = 64,
};

struct bt_nn_int8_dense {
    int64_t  K, N, depth, n_panels;
    int8_t  *weights; /* owned; [n_panels][depth * COLS] */
    int32_t *sums;    /* owned; [n_panels * COLS], as steps and bias, in one allocation */
    float   *steps, *bias;
};

typedef struct pack_job {
    bt_nn_int8_dense *dense;
    const float      *kernel;
    atomic_bool       is_odd;
} pack_job;

static void pack_task(void *context, int64_t task, int32_t thread) {
    pack_job *const               job = context;
    const bt_nn_int8_dense *const d = job->dense;
    const bt_pool_piece           cols = bt_pool_piece_of(d->N, COLS, task);
    const int64_t                 col = cols.first;
    (void)thread;
    if (!bt_kern_int8_pack(d->weights + col * d->depth, d->sums + col, d->steps + col,
                           job->kernel + col, d->N, d->K, cols.n)) {
        atomic_store(&job->is_odd, true);
    }
}

static bt_status alloc_panels(bt_nn_int8_dense *d, const char *name, bt_error *err) {
    const size_t n_cols = (size_t)(d->n_panels * COLS);
    d->weights = bt_alloc_array(n_cols, (size_t)d->depth);
    d->sums = bt_calloc_array(n_cols, 3 * sizeof *d->sums);
    if (d->weights == NULL || d->sums == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights of %s in 8 bits", name);
    }
    d->steps = (float *)(void *)(d->sums + n_cols);
    d->bias = d->steps + n_cols;
    return BT_OK;
}

bt_status bt_nn_int8_dense_create(bt_pool *pool, const float *kernel, const float *bias, int64_t K,
                                  int64_t N, const char *name, bt_nn_int8_dense **out,
                                  bt_error *err) {
    bt_status rc = BT_OK;
    if (K > BT_KERN_INT8_MAX_DEPTH) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s adds up %" PRId64 " products, and sums of 32 bits hold %d of 8 bits: "
                       "leave runtime.precision out",
                       name, K, BT_KERN_INT8_MAX_DEPTH);
    }
    bt_nn_int8_dense *d = bt_calloc_array(1, sizeof *d);
    if (d == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights of %s in 8 bits", name);
    }
    *d = (bt_nn_int8_dense){
        .K = K, .N = N, .depth = bt_kern_int8_depth(K), .n_panels = (N + COLS - 1) / COLS};
    BT_CHECK(alloc_panels(d, name, err));
    pack_job job = {.dense = d, .kernel = kernel};
    atomic_init(&job.is_odd, false);
    bt_pool_run(pool, d->n_panels, pack_task, &job);
    if (atomic_load(&job.is_odd)) {
        rc = BT_FAIL(err, BT_E_FORMAT,
                     "%s has a weight that is not a finite number, which 8 bits cannot hold: the "
                     "checkpoint is damaged, name another one",
                     name);
        goto done;
    }
    if (bias != NULL) {
        bt_nn_int8_dense_set_bias(d, bias);
    }
    *out = d;
    d = NULL;
done:
    bt_nn_int8_dense_free(d);
    return rc;
}

void bt_nn_int8_dense_free(bt_nn_int8_dense *dense) {
    if (dense != NULL) {
        bt_free(dense->weights);
        bt_free(dense->sums);
        bt_free(dense);
    }
}

void bt_nn_int8_dense_set_bias(bt_nn_int8_dense *dense, const float *bias) {
    memcpy(dense->bias, bias, (size_t)dense->N * sizeof *bias);
}

size_t bt_nn_int8_bytes(int64_t K, int64_t N) {
    const size_t n_cols = (size_t)((N + COLS - 1) / COLS * COLS);
    return sizeof(bt_nn_int8_dense) +
           n_cols * ((size_t)bt_kern_int8_depth(K) + 3 * sizeof(int32_t));
}

size_t bt_nn_int8_dense_bytes(const bt_nn_int8_dense *dense) {
    return bt_nn_int8_bytes(dense->K, dense->N);
}

int64_t bt_nn_int8_max_rows(const bt_kern_int8 *kern) {
    return (BLOCK_ROWS + kern->rows - 1) / kern->rows * kern->rows;
}

static int64_t row_bytes(int64_t K) {
    const int64_t depth = bt_kern_int8_depth(K);
    return depth % CACHE_WAY_FLOOR == 0 ? depth + ALIGN : depth;
}

/* How a row is read follows its bytes. */
static size_t heads_bytes(const bt_kern_int8 *kern) {
    const size_t n = (size_t)bt_nn_int8_max_rows(kern) * sizeof(bt_kern_int8_row);
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

size_t bt_nn_int8_rows_bytes(const bt_kern_int8 *kern, int64_t K) {
    return (size_t)(bt_nn_int8_max_rows(kern) * row_bytes(K)) + heads_bytes(kern);
}

bt_nn_int8_rows bt_nn_int8_round(const bt_kern_int8 *kern, void *memory, const float *in,
                                 int64_t n_rows, int64_t K) {
    const bt_nn_int8_rows out = {.rows = memory,
                                 .q = (uint8_t *)memory + heads_bytes(kern),
                                 .ld = row_bytes(K),
                                 .K = K,
                                 .n_rows = n_rows};
    BT_ASSERT(n_rows <= bt_nn_int8_max_rows(kern));
    for (int64_t i = 0; i < n_rows; i++) {
        kern->quantize(out.q + i * out.ld, &out.rows[i], in + i * K, K);
    }
    return out;
}

void bt_nn_int8_dense_forward(const bt_kern_int8 *kern, float *out, const bt_nn_int8_rows *in,
                              const bt_nn_int8_dense *dense, bool accumulate) {
    BT_ASSERT(in->K == dense->K);
    const int64_t most_cols = kern->panels * COLS;
    for (int64_t col = 0; col < dense->N; col += most_cols) {
        const int64_t n_cols = dense->N - col < most_cols ? dense->N - col : most_cols;
        for (int64_t row = 0; row < in->n_rows; row += kern->rows) {
            const int64_t           n_rows = in->n_rows - row;
            const bt_kern_int8_tile tile = {.c = out + row * dense->N + col,
                                            .ld_c = dense->N,
                                            .a = in->q + row * in->ld,
                                            .ld_a = in->ld,
                                            .rows = in->rows + row,
                                            .panel = {dense->weights + col * dense->depth,
                                                      dense->sums + col, dense->steps + col,
                                                      dense->bias + col},
                                            .n_rows = n_rows < kern->rows ? n_rows : kern->rows,
                                            .n_cols = n_cols,
                                            .depth = dense->depth,
                                            .accumulate = accumulate};
            kern->multiply(&tile);
        }
    }
}
