/* SPDX-License-Identifier: Apache-2.0
 *
 * kern: float kernels behind one table of function pointers (portable C, AVX2, AVX-512, NEON;
 * chosen once at start), and the BLAS adapter. Kernels are single-threaded, allocate nothing,
 * return nothing that can fail; nn/, optim/ and exec/ split the work over threads.
 *
 * Promises: n = 0 is allowed everywhere; pointers need no alignment; an output may be the same
 * array as an input of the same shape unless said otherwise (never a shifted overlap).
 * dropout_mask, sum_sq and the whole optimizer group give the same bits under every isa; the rest
 * agrees within rounding (docs/numerics.md). No heap, no globals, no errno. */
#ifndef BT_KERN_H
#define BT_KERN_H

#include "bt/base/rng.h"
#include "bt/base/status.h"
#include "bt/tensor.h"

/* One Adam-like update of n elements, float32, in this order
 * (docs/model_garden/numerics.md sections 4, 5):
 *   g = grad * grad_scale
 *   adamw: param -= (decay_lr * param) * weight_decay       (skipped when weight_decay is 0)
 *          m += (g - m) * one_minus_beta_1 ;  v += (g*g - v) * one_minus_beta_2
 *          w = v, or v_max = max(v_max, v) when v_max is not NULL (amsgrad)
 *          param -= (m * alpha) / (sqrt(w) + epsilon) */
typedef struct bt_kern_adamw_args {
    float grad_scale; /* clipping; 1 for none */
    float decay_lr;   /* the learning rate, for the decay only */
    float weight_decay;
    float one_minus_beta_1;
    float one_minus_beta_2;
    float alpha; /* lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) */
    float epsilon;
} bt_kern_adamw_args;

/* lamb: m = beta_1*m + (1-beta_1)*g ; v = beta_2*v + (1-beta_2)*(g*g), g = grad * grad_scale
 *       u = (m / correction_1) / (sqrt(v / correction_2) + epsilon)
 *       u += weight_decay * param                            (skipped when weight_decay is 0)
 * The caller then makes param -= (ratio * lr) * u with sum_sq and axpy. */
typedef struct bt_kern_lamb_args {
    float grad_scale;
    float beta_1, one_minus_beta_1;
    float beta_2, one_minus_beta_2;
    float correction_1; /* 1 - beta_1^t */
    float correction_2;
    float epsilon;
    float weight_decay;
} bt_kern_lamb_args;

typedef struct bt_kern_optim {
    /* v_max: NULL without amsgrad. Plain Adam: weight_decay 0. */
    void (*adamw)(float *param, float *m, float *v, float *v_max, /* [n] */
                  const float *grad, int64_t n, const bt_kern_adamw_args *a);
    /* n_steps of adamw after one another, each with its own decay_lr and alpha, for elements whose
     * gradient is 0: the same bits as n_steps calls, in one pass over memory. a[s] differ in these
     * two only. */
    void (*adamw_idle)(float *param, float *m, float *v, /* [n] */
                       int64_t n, const bt_kern_adamw_args *a, int64_t n_steps);
    /* u may be grad itself */
    void (*lamb)(float *u, float *m, float *v, const float *param, const float *grad, /* [n] */
                 int64_t n, const bt_kern_lamb_args *a);
    /* accum = momentum * accum - lr * g ; param += nesterov ? momentum * accum - lr * g : accum
     * accum NULL (no momentum): param -= lr * g. g = grad * grad_scale */
    void (*sgd)(float *param, float *accum, const float *grad, /* [n] */
                int64_t n, float lr, float momentum, bool nesterov, float grad_scale);
    /* average -= (average - param) * one_minus_decay */
    void (*ema)(float *average, const float *param, int64_t n, float one_minus_decay);
} bt_kern_optim;

/* Pieces of a large matrix product C[M,N] = alpha * A B (+ C), in packed panels; nn/ splits the
 * work. A panel of A holds `rows` rows of it, one of B `cols` columns, both `depth` deep at most;
 * how they lie inside is the kernel's own affair. Which elements are summed in which order depends
 * on `depth` only, so the bits do not depend on the split. */
typedef struct bt_kern_product {
    const char *name;       /* "float32", "bfloat16 (AMX)", "bfloat16 by rounding", ... */
    int64_t     rows, cols; /* of a tile of C; 0: this instruction set leaves products to BLAS */
    int64_t     depth;      /* how much of the summed dimension a panel holds at most */
    int64_t     depth_step; /* panels are as deep as a multiple of this, filled up with 0 */
    size_t      element_bytes;
    /* n_wide rows of A (columns of B) into panels, one after another. Element (w,d) is
     * x[w * wide_step + d * deep_step]; one of the steps is 1. x goes on to n_there >= n_wide;
     * where it ends inside a panel, the rest of that panel holds numbers that no tile stores.
     * Pieces of a panel of B, as deep as a multiple of depth_step, lie one after another as panels
     * of their own would: it can be packed piece by piece. */
    void (*pack_a)(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                   int64_t n_wide, int64_t n_there, int64_t depth);
    void (*pack_b)(void *panels, const float *x, int64_t wide_step, int64_t deep_step,
                   int64_t n_wide, int64_t n_there, int64_t depth);
    /* The same panels from numbers that are bfloat16 already; NULL where the precision is another.
     */
    void (*pack_a16)(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                     int64_t n_wide, int64_t n_there, int64_t depth);
    void (*pack_b16)(void *panels, const uint16_t *x, int64_t wide_step, int64_t deep_step,
                     int64_t n_wide, int64_t n_there, int64_t depth);
    /* Called by a thread before its first tile and after its last one; or NULL. */
    void (*start)(void);
    void (*stop)(void);
    /* c[i,j] (+)= alpha * sum over d of A(i,d) * B(d,j), for i < n_rows, j < n_cols (values beyond
     * a whole tile: all of it). */
    void (*tile)(float *c, int64_t ld_c, const void *a_panel, const void *b_panel, int64_t n_rows,
                 int64_t n_cols, int64_t depth, float alpha, bool accumulate);
    /* The same bits for a whole tile of rows, with A(i,d) read where it lies, at a[i * ld_a + d];
     * or NULL: factors must be packed. */
    void (*tile_in_place)(float *c, int64_t ld_c, const float *a, int64_t ld_a, const void *b_panel,
                          int64_t n_cols, int64_t depth, float alpha, bool accumulate);
    /* The same of bfloat16 numbers; depth is a multiple of depth_step. */
    void (*tile_in_place16)(float *c, int64_t ld_c, const uint16_t *a, int64_t ld_a,
                            const void *b_panel, int64_t n_cols, int64_t depth, float alpha,
                            bool accumulate);
} bt_kern_product;

/* Small products of bfloat16 factors on one thread, of one head of one sequence: sums are float32.
 * The left factor [M,K] lies in rows of bt_kern_tiles16_row(K) numbers, the right one [K,N] in
 * pairs: rows of bt_kern_tiles16_row(N) words (x[2p,j], x[2p+1,j]). Both are filled up with zeros:
 * the left one to a multiple of 16 rows, the right one to bt_kern_tiles16_row(K) / 2 pairs. */
typedef struct bt_kern_tiles16 {
    const char *name;
    int64_t     deep; /* the summed dimension is worked on in multiples of this, 2 at least */
    /* Factors of x [n_rows,n_cols], whose rows are ld numbers apart: left = x or its transpose,
     * right = x or its transpose. */
    void (*left)(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows, int64_t n_cols);
    void (*left_transposed)(uint16_t *left, const uint16_t *x, int64_t ld, int64_t n_rows,
                            int64_t n_cols);
    void (*right)(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows, int64_t n_cols);
    void (*right_transposed)(uint32_t *right, const uint16_t *x, int64_t ld, int64_t n_rows,
                             int64_t n_cols);
    /* Called by a thread before its first product and after its last one; or NULL. */
    void (*start)(void);
    void (*stop)(void);
    /* c [M,N] (+)= left right, rows of bt_kern_tiles16_row(N) floats; what lies beyond M, to a
     * multiple of 16, and beyond N is overwritten. */
    void (*product)(float *c, const uint16_t *left, const uint32_t *right, int64_t M, int64_t N,
                    int64_t K, bool accumulate);
} bt_kern_tiles16;
/* Numbers in a row of n ones. */
static inline int64_t bt_kern_tiles16_row(int64_t n) {
    return (n + 31) / 32 * 32;
}

/* Rows of probabilities between two such products. */
typedef struct bt_kern_probs16 {
    float *scores;         /* [n_rows,n] products of query and key, rows of bt_kern_tiles16_row(n);
                            * clobbered */
    float          *d_p;   /* of the backward: gradient of what multiplied the values; clobbered */
    float           scale; /* of the scores */
    const float    *mask;  /* [n] added to the scaled scores; or NULL */
    const uint16_t *kept;  /* [n_rows] bits of dropout, kept_step apart; NULL: none */
    int64_t         kept_step;
    float           kept_scale;
    float          *max, *inv_sum; /* of each row, stat_step apart: written by the forward */
    int64_t         stat_step;
    uint16_t       *p;   /* left factor [n_rows,n]: what multiplies the values */
    uint16_t       *d_s; /* of the backward, the same of the scores' gradient; without scale */
    int64_t         n_rows, n; /* n >= 1 */
} bt_kern_probs16;

typedef struct bt_kern {
    const char *isa; /* "ref", "avx2", "avx512", "neon" */

    /* Vectors of n elements. */
    void (*add)(float *out, const float *a, const float *b, int64_t n);
    void (*add3)(float *out, const float *a, const float *b, const float *c, int64_t n);
    void (*mul)(float *out, const float *a, const float *b, int64_t n);
    void (*scale)(float *x, float alpha, int64_t n);                /* x *= alpha */
    void (*axpy)(float *y, const float *x, float alpha, int64_t n); /* y += alpha * x, no fma */
    /* bt_bf16_round and bt_bf16_widen of each; rounding may make 0 of subnormal numbers. Not in
     * place. */
    void (*to_bf16)(uint16_t *out, const float *in, int64_t n);
    void (*from_bf16)(float *out, const uint16_t *in, int64_t n);
    double (*sum_sq)(const float *x, int64_t n); /* in double, sixteen lanes; NaN and inf show */

    /* Multipliers of inverted dropout: element i is 0 where bt_rng_uniform of word 4*first_block+i
     * is below the rate, else scale. limit, scale: bt_kern_dropout_make. */
    void (*dropout_mask)(float *mult, int64_t n, bt_rng_key key, uint64_t first_block,
                         uint32_t limit, float scale);

    /* The same as bits, 1 where an element is kept: 16 a word, the first one lowest. Row r of n
     * elements has the random words from block first_block + r * block_step on, and its bits begin
     * at bits[r * bits_step]. */
    void (*dropout_bits)(uint16_t *bits, int64_t bits_step, int64_t n_rows, int64_t n,
                         bt_rng_key key, uint64_t first_block, uint64_t block_step, uint32_t limit);
    /* mult[i] = scale where bit i is 1, else 0 */
    void (*mask_of_bits)(float *mult, const uint16_t *bits, int64_t n, float scale);

    void (*act_forward[BT_N_ACTIVATIONS])(float *out, const float *in, int64_t n);
    /* d_in = d_out * act'(in), overwritten; d_in may be d_out */
    void (*act_backward[BT_N_ACTIVATIONS])(float *d_in, const float *d_out, const float *in,
                                           int64_t n);
    /* act_slope makes both: at the end, with what may be NULL. */

    /* Rows. */

    /* out = residual + (in + bias) * mult; bias [n], mult [n] or NULL, residual [n] or NULL */
    void (*bias_residual)(float *out, const float *in, const float *bias, const float *mult,
                          const float *residual, int64_t n);
    /* x[r,:] += bias */
    void (*add_bias)(float *x, const float *bias, int64_t n_rows, int64_t n_cols);
    /* sums[c] += sum over rows, in row order */
    void (*column_sums)(float *sums, const float *x, int64_t n_rows, int64_t n_cols);

    void (*norm_forward)(float *out, float *mean, float *rstd,                  /* [R,C] [R] [R] */
                         const float *in, const float *gain, const float *bias, /* [R,C] [C] [C] */
                         int64_t n_rows, int64_t n_cols, float eps);
    /* d_in overwritten (may be d_out, not in); d_gain, d_bias accumulated */
    void (*norm_backward)(float *d_in, float *d_gain, float *d_bias, /* [R,C] [C] [C] */
                          const float *d_out, const float *in, const float *gain, const float *mean,
                          const float *rstd, int64_t n_rows, int64_t n_cols);

    /* p = exp(s - max) * inv_sum over one row; n >= 1 */
    void (*softmax_forward)(float *p, float *max, float *inv_sum, const float *s, int64_t n);
    /* the same p again from the stored max and inv_sum */
    void (*softmax_again)(float *p, const float *s, float max, float inv_sum, int64_t n);
    /* d_s = p * (d_p - sum(p * d_p)); d_s may be d_p */
    void (*softmax_backward)(float *d_s, const float *d_p, const float *p, int64_t n);

    /* Small products on one thread (attention tiles): C[M,N] = alpha * A B (+ C).
     * A(i,k) is a[i * a_row + k * a_col], so A may be transposed; B [K,N], C row-major. */
    void (*tile_product)(float *c, int64_t ld_c, const float *a, int64_t a_row, int64_t a_col,
                         const float *b, int64_t ld_b, int64_t M, int64_t N, int64_t K, float alpha,
                         bool accumulate);
    void (*transpose)(float *out, int64_t ld_out, const float *in, int64_t ld_in, /* not in place */
                      int64_t n_rows, int64_t n_cols);                            /* of in */

    /* Attention in bfloat16: softmax and dropout between its products. */
    void (*probs16_forward)(const bt_kern_probs16 *x);
    void (*probs16_backward)(const bt_kern_probs16 *x);
    /* x = x + bias, rounded to bfloat16 and widened again */
    void (*bias_round16)(float *x, const float *bias, int64_t n);
    /* out[r,c] = bfloat16 of alpha * in[r,c] */
    void (*store16)(uint16_t *out, int64_t ld_out, const float *in, int64_t ld_in, int64_t n_rows,
                    int64_t n_cols, float alpha);
    bt_kern_optim   optim;
    bt_kern_product products[BT_N_PRECISIONS];
    bt_kern_tiles16 tiles16; /* attention's */

    /* Every pointer above `products` is set under every isa; these need not be. */

    /* out = act(in) and slope = act'(in), which may be in, in one pass that shares what both need:
     * the bits of act_forward, and those of act_backward when it is multiplied by d_out. NULL
     * where there is nothing to share. */
    void (*act_slope[BT_N_ACTIVATIONS])(float *out, float *slope, const float *in, int64_t n);
} bt_kern;

/* isa: "auto", "ref", "avx2", "avx512", "neon" (NULL: auto). Fills *out. BT_E_CONFIG: no such name;
 * BT_E_BACKEND: the processor, the operating system or this build lacks it. */
BT_MUST_USE bt_status bt_kern_select(const char *isa, bt_kern *out, bt_error *err);
/* The i-th way (0, 1, ...) in which this machine can make products of bfloat16 factors under kern's
 * isa, the last one being what bt_kern_select chose; false: there is no such i. For tests. */
bool bt_kern_bf16_variant(const bt_kern *kern, int i, bt_kern_product *out);
/* Likewise of attention's products. */
bool bt_kern_tiles16_variant(const bt_kern *kern, int i, bt_kern_tiles16 *out);
/* Can this machine and build run it? */
bool bt_kern_has(const char *isa);
/* The i-th instruction set (0, 1, ...) of this build, later ones being faster; NULL: no more. A
 * machine need not have it. */
const char *bt_kern_isa(int i);
/* "OpenBLAS 0.3.21 ...; kernels built: ref avx2 avx512; this machine runs: ref avx2; mixed
 * precision: bfloat16 by rounding, float16 by rounding; in 8 bits: int8 (AVX2)". Loads the BLAS, on
 * one thread, to ask its version; "no BLAS" where there is none. Static storage, filled by the
 * first call (the same text every time). */
const char *bt_kern_build_info(void);

/* A dropout rate in [0,1] as the integers and the factor that dropout_mask takes. rate 0: on is
 * false and no mask is needed. */
typedef struct bt_kern_dropout {
    bool     on;
    uint32_t limit; /* dropped: word <= limit */
    float    scale; /* 1 / (1 - rate); 0 for rate 1 */
} bt_kern_dropout;
bt_kern_dropout bt_kern_dropout_make(float rate);

/* Products in BLAS.
 * A BLAS is loaded when something is about to multiply with it, never before; its state is the
 * process's. One thread of the process calls these functions and BLAS at a time; BLAS's own threads
 * are set here and nowhere else. */

/* Which library bt_kern_blas_load loads (a path or a name for dlopen; "", as at start: one that is
 * preloaded, then the first there is of a list; NULL: as chosen before), and on how many threads it
 * works (0: one a physical core). Loads nothing. */
void bt_kern_blas_choose(const char *library, int32_t n_threads);
/* Loads it, unless that was done, and sets its threads where it has a call for that (OpenBLAS, MKL,
 * BLIS). BT_E_BACKEND: there is none, it has no cblas_sgemm, or multiplies wrongly; BT_E_NOMEM: the
 * limits of the shell leave no room for its threads, which would then hang. */
BT_MUST_USE bt_status bt_kern_blas_load(bt_error *err);
bool                  bt_kern_blas_is_loaded(void);
/* "OpenBLAS 0.3.21 ... Zen MAX_THREADS=64 (libopenblas.so.0)"; "CBLAS (FILE)" when the library does
 * not say. Borrowed. */
const char *bt_kern_blas_describe(void);

typedef enum bt_kern_trans { BT_KERN_N, BT_KERN_T } bt_kern_trans;

/* C[M,N] = alpha * op(A)[M,K] op(B)[K,N] + beta * C, row-major, ld = elements between rows as
 * stored. beta 0: C is not read. A BLAS must be loaded. */
void bt_kern_gemm(float *c, int64_t ld_c, bt_kern_trans trans_a, const float *a, int64_t ld_a,
                  bt_kern_trans trans_b, const float *b, int64_t ld_b, int64_t M, int64_t N,
                  int64_t K, float alpha, float beta);
/* The plain twin, for tests. */
void bt_kern_gemm__ref(float *c, int64_t ld_c, bt_kern_trans trans_a, const float *a, int64_t ld_a,
                       bt_kern_trans trans_b, const float *b, int64_t ld_b, int64_t M, int64_t N,
                       int64_t K, float alpha, float beta);

#endif
