/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention with bfloat16 factors: some heads of one sequence a task, in blocks of query rows.
 * Sums, softmax and its gradient are float32; what a product reads is rounded before. As in
 * nn_attention.c the probabilities are made again in the backward; their dropout is kept, a bit
 * each, since drawing it costs more than everything else of a short row. */
#include <string.h>

#include "bt/base/time.h"
#include "nn_internal.h"

enum { HEADS_A_TASK = 4, ROW_STEP = 16, LINE_FLOATS = 16 };

typedef struct attention_job {
    bt_nn                   *nn;
    const bt_nn_attention   *a;
    const bt_nn_attention16 *x;
    bool                     sums; /* of biases are wanted */
} attention_job;

/* One thread's scratch, cut up for n keys. Factors and sums: bt_kern_tiles16. */
typedef struct tiles {
    float    *scores, *d_p;          /* [NN_QUERY_ROWS,n] */
    float    *out;                   /* [NN_QUERY_ROWS,D] */
    float    *d_k, *d_v;             /* [n,D] */
    float    *bias;                  /* [D] */
    float    *mask;                  /* [n] */
    uint16_t *q, *d_out;             /* left [NN_QUERY_ROWS,D] */
    uint16_t *p, *d_s;               /* left [NN_QUERY_ROWS,n] */
    uint16_t *p_t, *d_s_t;           /* left [n,NN_QUERY_ROWS] */
    uint32_t *k_t, *v_t;             /* right [D,n] */
    uint32_t *k, *v;                 /* right [n,D] */
    uint32_t *q_right, *d_out_right; /* right [NN_QUERY_ROWS,D] */
    int64_t   n_floats;
} tiles;

static float *cut(tiles *t, float *scratch, int64_t n_floats) {
    float *const at = scratch == NULL ? NULL : scratch + t->n_floats;
    t->n_floats += (n_floats + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    return at;
}

static float *cut_sums(tiles *t, float *scratch, int64_t M, int64_t N) {
    return cut(t, scratch, (M + ROW_STEP - 1) / ROW_STEP * ROW_STEP * bt_kern_tiles16_row(N));
}

static uint16_t *cut_left(tiles *t, float *scratch, int64_t M, int64_t K) {
    const int64_t rows = (M + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
    return (uint16_t *)(void *)cut(t, scratch, rows * bt_kern_tiles16_row(K) / 2);
}

static uint32_t *cut_right(tiles *t, float *scratch, int64_t K, int64_t N) {
    return (uint32_t *)(void *)cut(t, scratch, bt_kern_tiles16_row(K) / 2 * bt_kern_tiles16_row(N));
}

/* scratch NULL: only n_floats is meant. */
static tiles cut_tiles(float *scratch, int64_t n, int64_t D) {
    tiles t = {.n_floats = 0};
    t.scores = cut_sums(&t, scratch, NN_QUERY_ROWS, n);
    t.d_p = cut_sums(&t, scratch, NN_QUERY_ROWS, n);
    t.out = cut_sums(&t, scratch, NN_QUERY_ROWS, D);
    t.d_k = cut_sums(&t, scratch, n, D);
    t.d_v = cut_sums(&t, scratch, n, D);
    t.bias = cut(&t, scratch, D);
    t.mask = cut(&t, scratch, n);
    t.q = cut_left(&t, scratch, NN_QUERY_ROWS, D);
    t.d_out = cut_left(&t, scratch, NN_QUERY_ROWS, D);
    t.p = cut_left(&t, scratch, NN_QUERY_ROWS, n);
    t.d_s = cut_left(&t, scratch, NN_QUERY_ROWS, n);
    t.p_t = cut_left(&t, scratch, n, NN_QUERY_ROWS);
    t.d_s_t = cut_left(&t, scratch, n, NN_QUERY_ROWS);
    t.k_t = cut_right(&t, scratch, D, n);
    t.v_t = cut_right(&t, scratch, D, n);
    t.k = cut_right(&t, scratch, n, D);
    t.v = cut_right(&t, scratch, n, D);
    t.q_right = cut_right(&t, scratch, NN_QUERY_ROWS, D);
    t.d_out_right = cut_right(&t, scratch, NN_QUERY_ROWS, D);
    return t;
}

int64_t bt_nn_attention16_scratch_size(int64_t max_length, int64_t head_dim) {
    /* one line more, so that the first one can begin at one */
    return cut_tiles(NULL, max_length, head_dim).n_floats + 2 * (int64_t)LINE_FLOATS;
}

int64_t bt_nn_attention16_partials_size(int64_t n_seqs, int64_t H) {
    return n_seqs * 3 * H;
}

int64_t bt_nn_kept_step(int64_t max_length) {
    return (max_length + ROW_STEP - 1) / ROW_STEP;
}

/* One head of one sequence. */
typedef struct head {
    const attention_job   *job;
    const bt_kern_tiles16 *kern;
    tiles                  t;
    nn_head                at;
    bool                   is_masked;
} head;

static head head_of(const attention_job *job, int64_t b, int64_t h, int32_t thread) {
    head         s = {.job = job, .kern = &job->nn->kern->tiles16, .at = nn_head_of(job->a, b, h)};
    float *const scratch = nn_thread_scratch(job->nn, thread);
    const size_t beyond = (size_t)(uintptr_t)scratch / sizeof(float) % LINE_FLOATS;
    s.t = cut_tiles(scratch + (LINE_FLOATS - beyond), s.at.n, job->a->D);
    s.is_masked = nn_mask_keys(s.t.mask, job->a, &s.at);
    return s;
}

static uint16_t *kept_of(const head *s, int64_t row) {
    return s->job->x->kept + (row * s->job->a->NH + s->at.h) * s->job->x->kept_step;
}

/* Row (token, head) owns 2^20 words, here as in float32. */
static void draw_dropout(const head *s) {
    const bt_nn_dropout *const dropout = &s->job->a->dropout;
    const int64_t              NH = s->job->a->NH;
    const bool                 all = dropout->row_ids == NULL;
    for (int64_t r = s->at.row; dropout->rate.on && r < s->at.end;
         r += all ? s->at.end - s->at.row : 1) {
        const int64_t token = dropout->first_row + (all ? r : dropout->row_ids[r]);
        s->job->nn->kern->dropout_bits(
            kept_of(s, r), NH * s->job->x->kept_step, all ? s->at.end - s->at.row : 1, s->at.n,
            dropout->key, (uint64_t)(token * NH + s->at.h) << NN_ATTENTION_BLOCKS_LOG2,
            (uint64_t)NH << NN_ATTENTION_BLOCKS_LOG2, dropout->rate.limit);
    }
}

static bt_kern_probs16 probs_of(const head *s, int64_t row, int64_t n_rows) {
    const bt_nn_attention *const a = s->job->a;
    const int64_t                stat = row * a->NH + s->at.h;
    const bool                   drops = a->dropout.rate.on;
    return (bt_kern_probs16){.scores = s->t.scores,
                             .d_p = s->t.d_p,
                             .scale = s->at.scale,
                             .mask = s->is_masked ? s->t.mask : NULL,
                             .kept = drops ? kept_of(s, row) : NULL,
                             .kept_step = a->NH * s->job->x->kept_step,
                             .kept_scale = a->dropout.rate.scale,
                             .max = s->job->x->max + stat,
                             .inv_sum = s->job->x->inv_sum + stat,
                             .stat_step = a->NH,
                             .p = s->t.p,
                             .d_s = s->t.d_s,
                             .n_rows = n_rows,
                             .n = s->at.n};
}

static void head_forward(const head *s) {
    const bt_nn_attention16 *const x = s->job->x;
    const tiles *const             t = &s->t;
    const int64_t                  D = s->job->a->D;
    const int64_t                  col = s->at.h * D;
    s->kern->right_transposed(t->k_t, x->k + s->at.key * x->ld_kv + col, x->ld_kv, s->at.n, D);
    s->kern->right(t->v, x->v + s->at.key * x->ld_kv + col, x->ld_kv, s->at.n, D);
    draw_dropout(s);
    for (int64_t row = s->at.row; row < s->at.end; row += NN_QUERY_ROWS) {
        const int64_t         n_rows = nn_head_block(&s->at, row);
        const bt_kern_probs16 probs = probs_of(s, row, n_rows);
        s->kern->left(t->q, x->q + row * x->ld_q + col, x->ld_q, n_rows, D);
        s->kern->product(t->scores, t->q, t->k_t, n_rows, s->at.n, D, false);
        s->job->nn->kern->probs16_forward(&probs);
        s->kern->product(t->out, t->p, t->v, n_rows, D, s->at.n, false);
        s->job->nn->kern->store16(x->context + row * x->ld_context + col, x->ld_context, t->out,
                                  bt_kern_tiles16_row(D), n_rows, D, 1);
    }
}

/* Sums over the rows of c [n_rows,D], into the sequence's partial sums: which = 0, 1, 2 of queries,
 * keys, values. */
static void add_bias_sums(const head *s, int64_t which, const float *c, int64_t n_rows, float alpha,
                          bool more) {
    const bt_kern *const kern = s->job->nn->kern;
    const int64_t        D = s->job->a->D;
    const int64_t        H = s->job->a->NH * D;
    if (!s->job->sums) {
        return;
    }
    float *const sums = nn_partial(s->job->nn, s->at.b, 3 * H) + which * H + s->at.h * D;
    float *const t = s->t.bias;
    memset(t, 0, (size_t)D * sizeof *t);
    for (int64_t r = 0; r < n_rows; r++) {
        kern->add(t, t, c + r * bt_kern_tiles16_row(D), D);
    }
    if (!more) {
        memset(sums, 0, (size_t)D * sizeof *sums);
    }
    kern->axpy(sums, t, alpha, D);
}

/* d_k, d_v of one block of queries, added to those before. */
static void keys_backward(const head *s, int64_t row, int64_t n_rows, bool more) {
    const bt_nn_attention16 *const x = s->job->x;
    const tiles *const             t = &s->t;
    const int64_t                  D = s->job->a->D;
    const int64_t                  col = s->at.h * D;
    const int64_t                  ld_p = bt_kern_tiles16_row(s->at.n);
    s->kern->left_transposed(t->p_t, t->p, ld_p, n_rows, s->at.n);
    s->kern->right(t->d_out_right, x->d_context + row * x->ld_context + col, x->ld_context, n_rows,
                   D);
    s->kern->product(t->d_v, t->p_t, t->d_out_right, s->at.n, D, n_rows, more);
    s->kern->left_transposed(t->d_s_t, t->d_s, ld_p, n_rows, s->at.n);
    s->kern->right(t->q_right, x->q + row * x->ld_q + col, x->ld_q, n_rows, D);
    s->kern->product(t->d_k, t->d_s_t, t->q_right, s->at.n, D, n_rows, more);
}

static void head_backward(const head *s) {
    const bt_nn_attention16 *const x = s->job->x;
    const bt_kern *const           kern = s->job->nn->kern;
    const tiles *const             t = &s->t;
    const int64_t                  D = s->job->a->D;
    const int64_t                  col = s->at.h * D;
    const int64_t                  key = s->at.key * x->ld_kv + col;
    const int64_t                  ld = bt_kern_tiles16_row(D);
    s->kern->right_transposed(t->k_t, x->k + key, x->ld_kv, s->at.n, D);
    s->kern->right_transposed(t->v_t, x->v + key, x->ld_kv, s->at.n, D);
    s->kern->right(t->k, x->k + key, x->ld_kv, s->at.n, D);
    for (int64_t row = s->at.row; row < s->at.end; row += NN_QUERY_ROWS) {
        const int64_t         n_rows = nn_head_block(&s->at, row);
        const bt_kern_probs16 probs = probs_of(s, row, n_rows);
        s->kern->left(t->q, x->q + row * x->ld_q + col, x->ld_q, n_rows, D);
        s->kern->left(t->d_out, x->d_context + row * x->ld_context + col, x->ld_context, n_rows, D);
        s->kern->product(t->scores, t->q, t->k_t, n_rows, s->at.n, D, false);
        s->kern->product(t->d_p, t->d_out, t->v_t, n_rows, s->at.n, D, false);
        kern->probs16_backward(&probs);
        s->kern->product(t->out, t->d_s, t->k, n_rows, D, s->at.n, false);
        add_bias_sums(s, 0, t->out, n_rows, s->at.scale, row != s->at.row);
        kern->store16(x->d_q + row * x->ld_d_q + col, x->ld_d_q, t->out, ld, n_rows, D,
                      s->at.scale);
        keys_backward(s, row, n_rows, row != s->at.row);
    }
    add_bias_sums(s, 1, t->d_k, s->at.n, s->at.scale, false);
    add_bias_sums(s, 2, t->d_v, s->at.n, 1, false);
    kern->store16(x->d_v + s->at.key * x->ld_d_kv + col, x->ld_d_kv, t->d_v, ld, s->at.n, D, 1);
    kern->store16(x->d_k + s->at.key * x->ld_d_kv + col, x->ld_d_kv, t->d_k, ld, s->at.n, D,
                  s->at.scale);
}

static int64_t tasks_a_seq(const bt_nn_attention *a) {
    return (a->NH + HEADS_A_TASK - 1) / HEADS_A_TASK;
}

static void run_heads(const attention_job *job, int64_t task, int32_t thread,
                      void (*run)(const head *)) {
    const bt_kern_tiles16 *const kern = &job->nn->kern->tiles16;
    const int64_t                a_seq = tasks_a_seq(job->a);
    const int64_t                first = task % a_seq * HEADS_A_TASK;
    if (kern->start != NULL) {
        kern->start();
    }
    for (int64_t h = first; h < first + HEADS_A_TASK && h < job->a->NH; h++) {
        const head s = head_of(job, task / a_seq, h, thread);
        run(&s);
    }
    if (kern->stop != NULL) {
        kern->stop();
    }
}

static void forward_task(void *context, int64_t task, int32_t thread) {
    run_heads(context, task, thread, head_forward);
}

static void backward_task(void *context, int64_t task, int32_t thread) {
    run_heads(context, task, thread, head_backward);
}

static bool has_bias(const bt_nn_attention16 *x) {
    return x->d_q_bias != NULL || x->d_k_bias != NULL || x->d_v_bias != NULL;
}

static void run_tasks(bt_nn *nn, const bt_nn_attention *a, const bt_nn_attention16 *x,
                      bt_pool_fn task) {
    const double  start = bt_time_monotonic();
    attention_job job = {.nn = nn, .a = a, .x = x, .sums = has_bias(x)};
    bt_pool_run(nn->pool, a->B * tasks_a_seq(a), task, &job);
    nn->attention_seconds += bt_time_monotonic() - start;
}

void bt_nn_attention16_forward(bt_nn *nn, const bt_nn_attention *a, const bt_nn_attention16 *x) {
    run_tasks(nn, a, x, forward_task);
}

void bt_nn_attention16_backward(bt_nn *nn, const bt_nn_attention *a, const bt_nn_attention16 *x) {
    const int64_t H = a->NH * a->D;
    run_tasks(nn, a, x, backward_task);
    nn_add_partials(nn, x->d_q_bias, a->B, 3 * H, 0, H);
    nn_add_partials(nn, x->d_k_bias, a->B, 3 * H, H, H);
    nn_add_partials(nn, x->d_v_bias, a->B, 3 * H, 2 * H, H);
}
