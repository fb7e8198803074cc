/* SPDX-License-Identifier: Apache-2.0
 *
 * Each layer's backward against finite differences of its forward (four-point stencil) with odd
 * sizes, masks and dropout on; and equal bits for one and three threads. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/pool.h"
#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

enum { MAX_INPUTS = 8, MAX_N = 12000, MAX_SCRATCH = 400000 };

typedef struct layer layer;
struct layer {
    const char *name;
    int64_t     n_inputs;
    int64_t     sizes[MAX_INPUTS];
    int64_t     n_out;
    void (*forward)(bt_nn *nn, float *out, float *const *in);
    /* must leave (not add) each input's gradient in d_in */
    void (*backward)(bt_nn *nn, float *const *d_in, const float *d_out, float *const *in);
};

static float         inputs[MAX_INPUTS][MAX_N], gradients[MAX_INPUTS][MAX_N];
static float         outputs[MAX_N], d_outputs[MAX_N], work[6][MAX_N];
static float         partials[MAX_SCRATCH], scratch[4 * MAX_SCRATCH];
static unsigned char panels[4][1 << 23];

static bt_kern kern;

static bt_nn make_nn(bt_pool *pool) {
    return (bt_nn){.kern = &kern,
                   .pool = pool,
                   .partials = partials,
                   .n_partials = MAX_SCRATCH,
                   .thread_scratch = scratch,
                   .n_thread_scratch = MAX_SCRATCH,
                   .product = kern.products[BT_PRECISION_F32].rows > 0
                                  ? &kern.products[BT_PRECISION_F32]
                                  : NULL,
                   .panels = panels[0],
                   .panel_bytes = sizeof panels[0]};
}

static void fill(float *x, int64_t n, uint64_t seed, double size) {
    const bt_rng_key key = bt_rng_key_make(seed, 5, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(test_normal(key, (uint64_t)i) * size);
    }
}

static void pointers(float *out[MAX_INPUTS], float rows[MAX_INPUTS][MAX_N]) {
    for (int i = 0; i < MAX_INPUTS; i++) {
        out[i] = rows[i];
    }
}

static double objective(bt_nn *nn, const layer *l, float *const *in) {
    l->forward(nn, outputs, in);
    double sum = 0;
    for (int64_t i = 0; i < l->n_out; i++) {
        sum += (double)outputs[i] * (double)d_outputs[i];
    }
    return sum;
}

/* f'(x) from f(x +- h), f(x +- 2h) */
static double numeric(bt_nn *nn, const layer *l, float *const *in, float *x) {
    const float  centre = *x;
    const float  h = 0.03125F;
    const double at[4] = {-2, -1, 1, 2};
    double       f[4];
    for (int i = 0; i < 4; i++) {
        *x = centre + (float)at[i] * h;
        f[i] = objective(nn, l, in);
    }
    *x = centre;
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * (double)h);
}

static void check_layer(const layer *l) {
    bt_nn  nn = make_nn(NULL);
    float *in[MAX_INPUTS];
    float *d_in[MAX_INPUTS];
    pointers(in, inputs);
    pointers(d_in, gradients);
    for (int64_t k = 0; k < l->n_inputs; k++) {
        assert_true(l->sizes[k] <= MAX_N);
        fill(inputs[k], l->sizes[k], (uint64_t)(k + 1), 1);
        memset(gradients[k], 0, sizeof gradients[k]);
    }
    fill(d_outputs, l->n_out, 77, 1);
    l->forward(&nn, outputs, in);
    l->backward(&nn, d_in, d_outputs, in);
    for (int64_t k = 0; k < l->n_inputs; k++) {
        const int64_t stride = l->sizes[k] / 23 + 1;
        for (int64_t i = 0; i < l->sizes[k]; i += stride) {
            const double want = numeric(&nn, l, in, &inputs[k][i]);
            const double got = (double)gradients[k][i];
            if (!(fabs(got - want) <= 2e-3 + 2e-3 * fabs(want))) {
                fail_msg("%s: gradient of input %" PRId64 " at %" PRId64
                         ": got %.7g, differences give %.7g",
                         l->name, k, i, got, want);
            }
        }
    }
}

enum { R = 37, H = 24, K = 13, N = 19, T = 41, E = 12, V = 11, P = 30, N_TYPES = 3 };

static bt_nn_dropout dropout_at(bt_rng_site site) {
    return (bt_nn_dropout){.key = bt_rng_key_make(9, 8, 7, site),
                           .rate = bt_kern_dropout_make(0.3F)};
}

static int32_t ids[T], positions[T], types[T];

static void fill_ids(void) {
    for (int t = 0; t < T; t++) {
        ids[t] = (t * 7 + t / 5) % V; /* repeated */
        positions[t] = t % P;
        types[t] = t % N_TYPES;
    }
}

static bt_nn_norm norm_of(const float *gain, const float *bias) {
    return (bt_nn_norm){
        .gain = gain, .bias = bias, .mean = work[1], .rstd = work[2], .eps = 1e-12F};
}

static bt_nn_embedding embedding_of(float *const *in, const bt_nn_dropout *dropout) {
    return (bt_nn_embedding){.word = in[0],
                             .position = in[1],
                             .type = in[2],
                             .norm = norm_of(in[3], in[4]),
                             .ids = ids,
                             .positions = positions,
                             .types = types,
                             .dropout = dropout,
                             .sum = work[0],
                             .T = T,
                             .E = E};
}

static void embedding_forward(bt_nn *nn, float *out, float *const *in) {
    const bt_nn_dropout   drop = dropout_at(BT_SITE_EMBEDDING_DROPOUT);
    const bt_nn_embedding e = embedding_of(in, &drop);
    bt_nn_embedding_forward(nn, &e, out);
}

static void embedding_backward(bt_nn *nn, float *const *d_in, const float *d_out,
                               float *const *in) {
    const bt_nn_dropout drop = dropout_at(BT_SITE_EMBEDDING_DROPOUT);
    memcpy(work[3], d_out, sizeof work[3]);
    const bt_nn_embedding       e = embedding_of(in, &drop);
    const bt_nn_embedding_grads grads = {.word = d_in[0],
                                         .position = d_in[1],
                                         .type = d_in[2],
                                         .norm = {.gain = d_in[3], .bias = d_in[4]}};
    const double                sum_sq = bt_nn_embedding_backward(nn, &e, &grads, work[3]);
    double                      want = 0; /* the clobbered d_out holds each token's row */
    for (int i = 0; i < T * E; i++) {
        want += (double)work[3][i] * (double)work[3][i];
    }
    test_close_f64(&sum_sq, &want, 1, 0, 1e-12, "sum of squares of the word rows");
}

static void dense_forward(bt_nn *nn, float *out, float *const *in) {
    bt_nn_dense_forward(nn, out, in[0], in[1], in[2], R, K, N);
}

static void dense_backward(bt_nn *nn, float *const *d_in, const float *d_out, float *const *in) {
    bt_nn_dense_backward(nn, d_in[0], d_in[1], d_in[2], d_out, in[0], in[1], R, K, N, false, false);
}

static bt_activation act_under_test;

static void bias_act_forward(bt_nn *nn, float *out, float *const *in) {
    memcpy(work[0], in[0], R * N * sizeof(float));
    bt_nn_bias_act_forward(nn, work[0], out, in[1], act_under_test, R, N);
}

static void bias_act_backward(bt_nn *nn, float *const *d_in, const float *d_out, float *const *in) {
    (void)in;
    memcpy(d_in[0], d_out, R * N * sizeof(float));
    bt_nn_bias_act_backward(nn, d_in[0], d_in[1], work[0], false, act_under_test, R, N);
}

static void norm_forward(bt_nn *nn, float *out, float *const *in) {
    const bt_nn_norm norm = norm_of(in[1], in[2]);
    bt_nn_norm_forward(nn, &norm, out, in[0], R, H);
}

static void norm_backward(bt_nn *nn, float *const *d_in, const float *d_out, float *const *in) {
    memcpy(work[3], d_out, R * H * sizeof(float));
    const bt_nn_norm       norm = norm_of(in[1], NULL);
    const bt_nn_norm_grads grads = {.gain = d_in[1], .bias = d_in[2]};
    bt_nn_norm_backward(nn, &norm, &grads, d_in[0], work[3], in[0], R, H);
}

/* inputs: product, bias, residual, gain, norm bias */
static void residual_norm_forward(bt_nn *nn, float *out, float *const *in) {
    const bt_nn_dropout drop = dropout_at(BT_SITE_FFN_OUTPUT_DROPOUT);
    memcpy(work[0], in[0], R * H * sizeof(float));
    const bt_nn_norm norm = norm_of(in[3], in[4]);
    bt_nn_residual_norm_forward(nn,
                                &(bt_nn_residual_norm){.sum = work[0],
                                                       .bias = in[1],
                                                       .residual = in[2],
                                                       .norm = &norm,
                                                       .dropout = &drop,
                                                       .R = R,
                                                       .H = H},
                                out);
}

static void residual_norm_backward(bt_nn *nn, float *const *d_in, const float *d_out,
                                   float *const *in) {
    const bt_nn_dropout drop = dropout_at(BT_SITE_FFN_OUTPUT_DROPOUT);
    const bt_nn_norm    norm = norm_of(in[3], NULL);
    bt_nn_residual_norm_backward(
        nn, &(bt_nn_residual_norm){.sum = work[0], .norm = &norm, .dropout = &drop, .R = R, .H = H},
        &(bt_nn_residual_norm_grads){.d_sum = d_in[2],
                                     .d_product = d_in[0],
                                     .bias = d_in[1],
                                     .norm = {.gain = d_in[3], .bias = d_in[4]}},
        d_out, NULL);
}

static void residual_forward(bt_nn *nn, float *out, float *const *in) {
    const bt_nn_dropout drop = dropout_at(BT_SITE_ATTENTION_OUTPUT_DROPOUT);
    memcpy(out, in[0], R * H * sizeof(float));
    bt_nn_residual_norm_forward(
        nn,
        &(bt_nn_residual_norm){
            .sum = out, .bias = in[1], .residual = in[2], .dropout = &drop, .R = R, .H = H},
        NULL);
}

static void residual_backward(bt_nn *nn, float *const *d_in, const float *d_out, float *const *in) {
    const bt_nn_dropout drop = dropout_at(BT_SITE_ATTENTION_OUTPUT_DROPOUT);
    (void)in;
    bt_nn_residual_norm_backward(
        nn, &(bt_nn_residual_norm){.dropout = &drop, .R = R, .H = H},
        &(bt_nn_residual_norm_grads){.d_sum = d_in[2], .d_product = d_in[0], .bias = d_in[1]},
        d_out, NULL);
}

/* Attention: a sequence longer than a block of queries, one of one token, masked keys. */

enum { NH = 3, D = 5, AH = NH * D, AT = 71 + 1 + 6 };

static const int64_t att_offsets[4] = {0, 71, 72, 78};
static const int64_t att_first_offsets[4] = {0, 1, 2, 3};
static const int64_t att_first_ids[3] = {0, 71, 72};
static uint8_t       att_mask[AT];
static bool          att_first_only, att_masked, att_dropout;

static bt_nn_attention attention(void) {
    bt_nn_attention a = {.offsets = att_offsets,
                         .q_offsets = att_first_only ? att_first_offsets : att_offsets,
                         .key_mask = att_masked ? att_mask : NULL,
                         .B = 3,
                         .NH = NH,
                         .D = D};
    a.dropout = dropout_at(BT_SITE_ATTENTION_PROBS_DROPOUT);
    a.dropout.rate.on = att_dropout;
    a.dropout.row_ids = att_first_only ? att_first_ids : NULL;
    return a;
}

static void attention_forward(bt_nn *nn, float *out, float *const *in) {
    const bt_nn_attention a = attention();
    bt_nn_attention_forward(nn, out, work[0], work[1], in[0], in[1], in[2], &a);
}

static void attention_backward(bt_nn *nn, float *const *d_in, const float *d_out,
                               float *const *in) {
    const bt_nn_attention a = attention();
    bt_nn_attention_backward(nn, d_in[0], d_in[1], d_in[2], d_out, in[0], in[1], in[2], work[0],
                             work[1], &a);
}

/* H floats a vector, PAIRS pairs of them */
enum { PAIRS = 7 };

static void unit_rows_forward(bt_nn *nn, float *out, float *const *in) {
    bt_nn_unit_rows_forward(nn, out, in[0], R, H);
}

static void unit_rows_backward(bt_nn *nn, float *const *d_in, const float *d_out,
                               float *const *in) {
    bt_nn_unit_rows_backward(nn, d_in[0], d_out, in[0], R, H);
}

static void pair_scores_forward(bt_nn *nn, float *out, float *const *in) {
    bt_nn_pair_scores_forward(nn, out, in[0], PAIRS, H, 1.5F, 0.25F);
}

static void pair_scores_backward(bt_nn *nn, float *const *d_in, const float *d_out,
                                 float *const *in) {
    bt_nn_pair_scores_backward(nn, d_in[0], d_out, in[0], PAIRS, H, 1.5F);
}

/* a sequence of many rows, one of one, and one of the rest */
static const int64_t pool_offsets[4] = {0, R - 5, R - 4, R};

static void mean_rows_forward(bt_nn *nn, float *out, float *const *in) {
    bt_nn_mean_rows_forward(nn, out, in[0], pool_offsets, 3, H);
}

static void mean_rows_backward(bt_nn *nn, float *const *d_in, const float *d_out,
                               float *const *in) {
    (void)in;
    bt_nn_mean_rows_backward(nn, d_in[0], d_out, pool_offsets, 3, H);
}

/* Another row has the largest in each column, by more than a difference of the test can bridge. */
static void spread_rows(float *out, const float *in) {
    for (int i = 0; i < R * H; i++) {
        out[i] = in[i] + 5 * (float)((i / H * 7 + i % H * 5) % R);
    }
}

static void max_rows_forward(bt_nn *nn, float *out, float *const *in) {
    spread_rows(work[0], in[0]);
    bt_nn_max_rows_forward(nn, out, work[0], pool_offsets, 3, H);
}

static void max_rows_backward(bt_nn *nn, float *const *d_in, const float *d_out, float *const *in) {
    spread_rows(work[0], in[0]);
    bt_nn_max_rows_backward(nn, d_in[0], d_out, work[0], pool_offsets, 3, H);
}

static const layer layers[] = {
    {"embedding", 5, {V * E, P *E, N_TYPES *E, E, E}, T *E, embedding_forward, embedding_backward},
    {"dense", 3, {R * K, K *N, N}, R *N, dense_forward, dense_backward},
    {"norm", 3, {R * H, H, H}, R *H, norm_forward, norm_backward},
    {"residual_norm",
     5,
     {R * H, H, R *H, H, H},
     R *H,
     residual_norm_forward,
     residual_norm_backward},
    {"residual", 3, {R * H, H, R *H}, R *H, residual_forward, residual_backward},
    {"unit_rows", 1, {R * H}, R *H, unit_rows_forward, unit_rows_backward},
    {"mean_rows", 1, {R * H}, 3 * H, mean_rows_forward, mean_rows_backward},
    {"max_rows", 1, {R * H}, 3 * H, max_rows_forward, max_rows_backward},
    {"pair_scores", 1, {2 * PAIRS * H}, PAIRS *PAIRS, pair_scores_forward, pair_scores_backward},
};

static void test_layers_match_differences(void **state) {
    (void)state;
    fill_ids();
    for (size_t i = 0; i < BT_ARRAY_LEN(layers); i++) {
        check_layer(&layers[i]);
    }
}

static void test_activations_match_differences(void **state) {
    (void)state;
    const layer l = {"bias_act", 2, {R * N, N}, R * N, bias_act_forward, bias_act_backward};
    for (int act = 0; act < (int)BT_N_ACTIVATIONS; act++) {
        act_under_test = (bt_activation)act;
        if (act_under_test == BT_ACT_RELU || act_under_test == BT_ACT_RELU6 ||
            act_under_test == BT_ACT_HARD_SWISH) {
            continue; /* their corners spoil differences; the kernel tests and goldens cover them */
        }
        check_layer(&l);
    }
}

/* The activation made again, with or without its slopes, and the gradient after it. */
static void test_slopes_change_no_bit(void **state) {
    static float in[R * N], out[2][R * N], d[2][R * N], d_bias[2][N];
    const size_t n_bytes = sizeof in;
    (void)state;
    for (int act = 0; act < (int)BT_N_ACTIVATIONS; act++) {
        bt_nn nn = make_nn(NULL);
        memset(d_bias, 0, sizeof d_bias);
        for (int i = 0; i < R * N; i++) {
            in[i] = 0.37F * (float)(i % 41 - 20);
            d[0][i] = d[1][i] = 0.01F * (float)(i % 29 - 14);
        }
        bt_nn_act_forward(&nn, out[0], in, (bt_activation)act, R * N);
        bt_nn_bias_act_backward(&nn, d[0], d_bias[0], in, false, (bt_activation)act, R, N);
        const bool has_slopes = bt_nn_act_again(&nn, out[1], in, (bt_activation)act, R * N);
        bt_nn_bias_act_backward(&nn, d[1], d_bias[1], in, has_slopes, (bt_activation)act, R, N);
        assert_memory_equal(out[0], out[1], n_bytes);
        assert_memory_equal(d[0], d[1], n_bytes);
        assert_memory_equal(d_bias[0], d_bias[1], sizeof d_bias[0]);
    }
}

static void test_attention_matches_differences(void **state) {
    (void)state;
    for (int t = 0; t < AT; t++) {
        att_mask[t] = t % 4 != 1 || t == 71;
    }
    for (int variant = 0; variant < 8; variant++) {
        att_first_only = (variant & 1) != 0;
        att_masked = (variant & 2) != 0;
        att_dropout = (variant & 4) != 0;
        const int64_t rows = att_first_only ? 3 : AT;
        const layer   l = {
              "attention",       3, {rows * AH, AT * AH, AT * AH}, rows * AH, attention_forward,
              attention_backward};
        check_layer(&l);
    }
}

/* A mask belongs to its token: computed for all tokens or for the first ones only, a row is the
 * same. */
static void test_masks_belong_to_tokens(void **state) {
    (void)state;
    bt_nn  nn = make_nn(NULL);
    float *in[MAX_INPUTS];
    pointers(in, inputs);
    for (int k = 0; k < 3; k++) {
        fill(inputs[k], AT * AH, (uint64_t)k, 1);
    }
    att_masked = false;
    att_dropout = true;
    att_first_only = false;
    attention_forward(&nn, outputs, in);
    for (int b = 0; b < 3; b++) {
        memcpy(inputs[3] + b * AH, inputs[0] + att_first_ids[b] * AH, AH * sizeof(float));
    }
    att_first_only = true;
    in[0] = inputs[3];
    attention_forward(&nn, work[5], in);
    for (int b = 0; b < 3; b++) {
        test_close_f32(work[5] + b * AH, outputs + att_first_ids[b] * AH, AH, 1e-6, 1e-6,
                       "row of a first token");
    }
}

/* Below the epsilon a vector is only scaled, and so is its gradient. */
static void test_tiny_rows_are_scaled(void **state) {
    (void)state;
    bt_nn       nn = make_nn(NULL);
    const float in[2] = {3e-8F, -4e-8F};
    const float want[2] = {3e-2F, -4e-2F};
    const float d_out[2] = {2, 5};
    const float d_want[2] = {2e6F, 5e6F};
    float       out[2];
    float       d_in[2];
    bt_nn_unit_rows_forward(&nn, out, in, 1, 2);
    test_close_f32(out, want, 2, 0, 1e-6, "a tiny vector");
    bt_nn_unit_rows_backward(&nn, d_in, d_out, in, 1, 2);
    test_close_f32(d_in, d_want, 2, 0, 1e-6, "its gradient");
}

/* The gradient of a maximum goes to the first of equal ones; a NaN is not hidden by it. */
static void test_first_of_equal_ones(void **state) {
    (void)state;
    bt_nn         nn = make_nn(NULL);
    const int64_t offsets[3] = {0, 3, 4};
    const float   in[8] = {1, 5, 2, 5, 2, 4, -7, NAN};
    const float   d_out[4] = {10, 20, 30, 40};
    const float   want[3] = {2, 5, -7};
    const float   d_want[8] = {0, 20, 10, 0, 0, 0, 30, 40};
    float         out[4];
    float         d_in[8];
    bt_nn_max_rows_forward(&nn, out, in, offsets, 2, 2);
    test_close_f32(out, want, 3, 0, 0, "maxima");
    assert_true(isnan(out[3]));
    bt_nn_max_rows_backward(&nn, d_in, d_out, in, offsets, 2, 2);
    test_close_f32(d_in, d_want, 8, 0, 0, "their gradient");
    const float   nan_first[4] = {NAN, 1, 3, NAN};
    const int64_t both[2] = {0, 2};
    bt_nn_max_rows_forward(&nn, out, nan_first, both, 1, 2);
    assert_true(isnan(out[0]) && isnan(out[1]));
}

/* Partial sums planned for a batch hold those of a smaller one, which may have more chunks. */
static void test_fewer_rows_fit(void **state) {
    (void)state;
    enum { PLANNED = 2049, ROWS = 2048, COLS = 400, GUARD = 1 << 14 };
    const int64_t n = bt_nn_partials_size(PLANNED, COLS);
    float *const  planned = bt_calloc_array((size_t)n + GUARD, sizeof *planned);
    float *const  rows = bt_calloc_array((size_t)4 * ROWS * COLS, sizeof *rows);
    float *const  columns = bt_calloc_array((size_t)5 * COLS, sizeof *columns);
    assert_true(planned != NULL && rows != NULL && columns != NULL);
    bt_nn nn = make_nn(NULL);
    nn.partials = planned;
    nn.n_partials = n + GUARD;
    for (int64_t i = 0; i < GUARD; i++) {
        planned[n + i] = 7;
    }
    float *const d_out = rows + (int64_t)2 * ROWS * COLS;
    fill(d_out, (int64_t)ROWS * COLS, 1, 1);
    const bt_nn_norm norm = {.gain = columns + (ptrdiff_t)3 * COLS, .mean = d_out, .rstd = d_out};
    bt_nn_residual_norm_backward(
        &nn,
        &(bt_nn_residual_norm){
            .sum = rows + (int64_t)3 * ROWS * COLS, .norm = &norm, .R = ROWS, .H = COLS},
        &(bt_nn_residual_norm_grads){
            .d_sum = rows,
            .d_product = rows + (int64_t)ROWS * COLS,
            .bias = columns,
            .norm = {.gain = columns + COLS, .bias = columns + (ptrdiff_t)2 * COLS}},
        d_out, NULL);
    for (int64_t i = 0; i < GUARD; i++) {
        assert_true(planned[n + i] == 7);
    }
    for (int64_t max_rows = 1; max_rows < 5000; max_rows++) {
        assert_true(bt_nn_partials_size(max_rows, COLS) <= bt_nn_partials_size(max_rows + 1, COLS));
    }
    bt_free(planned);
    bt_free(rows);
    bt_free(columns);
}

static void check_threads(const layer *l) {
    static float first_out[MAX_N], first_gradients[MAX_INPUTS][MAX_N];
    float       *in[MAX_INPUTS];
    float       *d_in[MAX_INPUTS];
    pointers(in, inputs);
    pointers(d_in, gradients);
    fill(d_outputs, l->n_out, 77, 1);
    for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2) {
        bt_pool *pool = NULL;
        assert_ok(bt_pool_create(&pool, n_threads, err));
        bt_nn nn = make_nn(pool);
        for (int64_t k = 0; k < l->n_inputs; k++) {
            fill(inputs[k], l->sizes[k], (uint64_t)(k + 1), 1);
            memset(gradients[k], 0, sizeof gradients[k]);
        }
        l->forward(&nn, outputs, in);
        l->backward(&nn, d_in, d_outputs, in);
        if (n_threads == 1) {
            memcpy(first_out, outputs, sizeof first_out);
            memcpy(first_gradients, gradients, sizeof first_gradients);
        }
        assert_memory_equal(first_out, outputs, (size_t)l->n_out * sizeof(float));
        for (int64_t k = 0; k < l->n_inputs; k++) {
            assert_memory_equal(first_gradients[k], gradients[k],
                                (size_t)l->sizes[k] * sizeof(float));
        }
        bt_pool_free(pool);
    }
}

static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    fill_ids();
    for (size_t i = 0; i < BT_ARRAY_LEN(layers); i++) {
        check_threads(&layers[i]);
    }
    att_first_only = false;
    att_masked = true;
    att_dropout = true;
    const layer l = {"attention",       3, {AT * AH, AT * AH, AT * AH}, AT * AH, attention_forward,
                     attention_backward};
    check_threads(&l);
}

static int setup(void **state) {
    (void)state;
    bt_error err = BT_ERROR_INIT;
    return bt_kern_select("auto", &kern, &err) == BT_OK && bt_kern_blas_load(&err) == BT_OK ? 0 : 1;
}

/* The example of the operator DynamicQuantizeLinear in ONNX's specification, and rows of one sign:
 * zero is always one of the steps. */
static void test_eight_bits_are_onnx_s(void **state) {
    (void)state;
    static const float x[] = {0, 2, -3, -2.5F, 1.34F, 0.5F};
    static const int   steps[] = {153, 255, 0, 26, 221, 179};
    static const float step = 0.0196078438F;
    static const float positive[] = {1, 51, 25.6F};
    static const float zeros[] = {0, -0.0F};
    float              out[BT_ARRAY_LEN(x)];
    bt_nn_round_8_bits(out, x, (int64_t)BT_ARRAY_LEN(x));
    for (size_t i = 0; i < BT_ARRAY_LEN(x); i++) {
        assert_true(out[i] == (float)(steps[i] - 153) * step);
    }
    bt_nn_round_8_bits(out, positive, 3);
    assert_true(out[0] == 5 * 0.2F && out[1] == 255 * 0.2F && out[2] == 128 * 0.2F);
    bt_nn_round_8_bits(out, zeros, 2);
    assert_true(out[0] == 0 && out[1] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eight_bits_are_onnx_s),
        cmocka_unit_test(test_layers_match_differences),
        cmocka_unit_test(test_activations_match_differences),
        cmocka_unit_test(test_slopes_change_no_bit),
        cmocka_unit_test(test_attention_matches_differences),
        cmocka_unit_test(test_masks_belong_to_tokens),
        cmocka_unit_test(test_tiny_rows_are_scaled),
        cmocka_unit_test(test_first_of_equal_ones),
        cmocka_unit_test(test_fewer_rows_fit),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
