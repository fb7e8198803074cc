/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention, one (sequence, head) a task, in blocks of query rows. The probabilities are not kept:
 * the backward makes them again from the stored maximum and sum of each row, bit for bit, which
 * costs a fifth more arithmetic and saves NH * length floats a token. */
#include <math.h>
#include <string.h>

#include "bt/base/time.h"
#include "nn_internal.h"

/* What Model Garden adds to the score of a masked key, in float32: a row with every key masked is
 * then uniform, as float32 has steps of 64 there. */
static const float masked_score = -1.0e9f;

typedef struct attention_job {
    bt_nn                 *nn;
    const bt_nn_attention *a;
    float                 *out, *max, *inv_sum;
    const float           *q, *k, *v;
    float                 *d_q, *d_k, *d_v;
    const float           *d_out, *saved_max, *saved_inv_sum;
} attention_job;

/* One thread's scratch, cut up for a sequence of n keys. */
typedef struct tiles {
    float *k_t, *v_t;                 /* [D,n] */
    float *mask;                      /* [n] what is added to a row of scores */
    float *mult;                      /* [n] */
    float *scores, *p, *p_kept, *d_p; /* [NN_QUERY_ROWS,n] */
} tiles;

int64_t bt_nn_thread_scratch_size(int64_t max_length, int64_t head_dim, int64_t max_cols) {
    const int64_t for_attention = max_length * (2 * head_dim + 2 + 4 * NN_QUERY_ROWS);
    const int64_t for_rows = 2 * max_cols;
    /* whole cache lines, so that two threads do not share one */
    return ((for_attention > for_rows ? for_attention : for_rows) + 15) / 16 * 16 + 16;
}

static tiles cut_tiles(float *scratch, int64_t n, int64_t D) {
    tiles t;
    t.scores = scratch;
    t.p = t.scores + NN_QUERY_ROWS * n;
    t.p_kept = t.p + NN_QUERY_ROWS * n;
    t.d_p = t.p_kept + NN_QUERY_ROWS * n;
    t.k_t = t.d_p + NN_QUERY_ROWS * n;
    t.v_t = t.k_t + D * n;
    t.mask = t.v_t + D * n;
    t.mult = t.mask + n;
    return t;
}

nn_head nn_head_of(const bt_nn_attention *a, int64_t b, int64_t h) {
    return (nn_head){.b = b,
                     .h = h,
                     .key = a->offsets[b],
                     .n = a->offsets[b + 1] - a->offsets[b],
                     .row = a->q_offsets[b],
                     .end = a->q_offsets[b + 1],
                     .scale = 1.0f / sqrtf((float)a->D)};
}

bool nn_mask_keys(float *mask, const bt_nn_attention *a, const nn_head *head) {
    bool any = false;
    for (int64_t i = 0; a->key_mask != NULL && i < head->n; i++) {
        const bool there = a->key_mask[head->key + i] != 0;
        mask[i] = there ? 0 : masked_score;
        any = any || !there;
    }
    return any;
}

/* The multipliers of the head's query row r, or NULL. */
static const float *probability_mask(const attention_job *job, float *mult, int64_t r,
                                     const nn_head *head) {
    const bt_nn_dropout *const dropout = &job->a->dropout;
    if (!dropout->rate.on) {
        return NULL;
    }
    const int64_t token = dropout->first_row + (dropout->row_ids != NULL ? dropout->row_ids[r] : r);
    const uint64_t first_block = (uint64_t)(token * job->a->NH + head->h)
                                 << NN_ATTENTION_BLOCKS_LOG2;
    job->nn->kern->dropout_mask(mult, head->n, dropout->key, first_block, dropout->rate.limit,
                                dropout->rate.scale);
    return mult;
}

static void run_tasks(attention_job *job, bt_pool_fn task) {
    const double start = bt_time_monotonic();
    bt_pool_run(job->nn->pool, job->a->B * job->a->NH, task, job);
    job->nn->attention_seconds += bt_time_monotonic() - start;
}

static void attention_forward_task(void *context, int64_t task, int32_t thread) {
    const attention_job *const   job = context;
    const bt_nn_attention *const a = job->a;
    const bt_kern *const         kern = job->nn->kern;
    const nn_head                s = nn_head_of(a, task / a->NH, task % a->NH);
    const int64_t                D = a->D;
    const int64_t                H = a->NH * D;
    const int64_t                col = s.h * D;
    const tiles                  t = cut_tiles(nn_thread_scratch(job->nn, thread), s.n, D);
    const bool                   masked = nn_mask_keys(t.mask, a, &s);
    kern->transpose(t.k_t, s.n, job->k + s.key * H + col, H, s.n, D);
    for (int64_t row_0 = s.row; row_0 < s.end; row_0 += NN_QUERY_ROWS) {
        const int64_t n_rows = nn_head_block(&s, row_0);
        kern->tile_product(t.p, s.n, job->q + row_0 * H + col, H, 1, t.k_t, s.n, n_rows, s.n, D,
                           s.scale, false);
        for (int64_t i = 0; i < n_rows; i++) {
            float *const  p = t.p + i * s.n;
            const int64_t stat = (row_0 + i) * a->NH + s.h;
            if (masked) {
                kern->add(p, p, t.mask, s.n);
            }
            kern->softmax_forward(p, job->max + stat, job->inv_sum + stat, p, s.n);
            const float *const mult = probability_mask(job, t.mult, row_0 + i, &s);
            if (mult != NULL) {
                kern->mul(p, p, mult, s.n);
            }
        }
        kern->tile_product(job->out + row_0 * H + col, H, t.p, s.n, 1, job->v + s.key * H + col, H,
                           n_rows, D, s.n, 1, false);
    }
}

void bt_nn_attention_forward(bt_nn *nn, float *out, float *max, float *inv_sum, const float *q,
                             const float *k, const float *v, const bt_nn_attention *a) {
    attention_job job = {
        .nn = nn, .a = a, .out = out, .max = max, .inv_sum = inv_sum, .q = q, .k = k, .v = v};
    run_tasks(&job, attention_forward_task);
}

/* From scores and d_p (gradient after dropout) of a block to p_kept (what multiplied the values)
 * and d_p (gradient of the scores). */
static void probabilities_backward(const attention_job *job, const nn_head *s, const tiles *t,
                                   int64_t row_0, int64_t n_rows, bool masked) {
    const bt_kern *const kern = job->nn->kern;
    const int64_t        n = s->n;
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t stat = (row_0 + i) * job->a->NH + s->h;
        float *const  scores = t->scores + i * n;
        float *const  p = t->p + i * n;
        float *const  d_p = t->d_p + i * n;
        if (masked) {
            kern->add(scores, scores, t->mask, n);
        }
        kern->softmax_again(p, scores, job->saved_max[stat], job->saved_inv_sum[stat], n);
        const float *const mult = probability_mask(job, t->mult, row_0 + i, s);
        if (mult != NULL) {
            kern->mul(t->p_kept + i * n, p, mult, n);
            kern->mul(d_p, d_p, mult, n);
        }
        kern->softmax_backward(d_p, d_p, p, n);
    }
}

static void attention_backward_task(void *context, int64_t task, int32_t thread) {
    const attention_job *const   job = context;
    const bt_nn_attention *const a = job->a;
    const bt_kern *const         kern = job->nn->kern;
    const nn_head                s = nn_head_of(a, task / a->NH, task % a->NH);
    const int64_t                n = s.n;
    const int64_t                D = a->D;
    const int64_t                H = a->NH * D;
    const int64_t                col = s.h * D;
    const tiles                  t = cut_tiles(nn_thread_scratch(job->nn, thread), n, D);
    const bool                   masked = nn_mask_keys(t.mask, a, &s);
    const float *const           k = job->k + s.key * H + col;
    kern->transpose(t.k_t, n, k, H, n, D);
    kern->transpose(t.v_t, n, job->v + s.key * H + col, H, n, D);
    for (int64_t row_0 = s.row; row_0 < s.end; row_0 += NN_QUERY_ROWS) {
        const int64_t      n_rows = nn_head_block(&s, row_0);
        const float *const q = job->q + row_0 * H + col;
        const float *const d_out = job->d_out + row_0 * H + col;
        const bool         more = row_0 != s.row; /* later blocks add to d_k and d_v */
        kern->tile_product(t.scores, n, q, H, 1, t.k_t, n, n_rows, n, D, s.scale, false);
        kern->tile_product(t.d_p, n, d_out, H, 1, t.v_t, n, n_rows, n, D, 1, false);
        probabilities_backward(job, &s, &t, row_0, n_rows, masked);
        const float *const p_kept = a->dropout.rate.on ? t.p_kept : t.p;
        kern->tile_product(job->d_v + s.key * H + col, H, p_kept, 1, n, d_out, H, n, D, n_rows, 1,
                           more);
        kern->tile_product(job->d_q + row_0 * H + col, H, t.d_p, n, 1, k, H, n_rows, D, n, s.scale,
                           false);
        kern->tile_product(job->d_k + s.key * H + col, H, t.d_p, 1, n, q, H, n, D, n_rows, s.scale,
                           more);
    }
}

void bt_nn_attention_backward(bt_nn *nn, float *d_q, float *d_k, float *d_v, const float *d_out,
                              const float *q, const float *k, const float *v, const float *max,
                              const float *inv_sum, const bt_nn_attention *a) {
    attention_job job = {.nn = nn,
                         .a = a,
                         .q = q,
                         .k = k,
                         .v = v,
                         .d_q = d_q,
                         .d_k = d_k,
                         .d_v = d_v,
                         .d_out = d_out,
                         .saved_max = max,
                         .saved_inv_sum = inv_sum};
    run_tasks(&job, attention_backward_task);
}
