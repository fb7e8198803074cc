/* SPDX-License-Identifier: Apache-2.0
 *
 * nn: forward and backward pairs over packed tokens, on the threads of a pool. Formulas:
 * docs/model_garden/numerics.md sections 1 and 2.
 *
 * Rows are split into chunks whose size depends on the number of rows only; partial sums are added
 * in chunk order. So outside BLAS the bits do not depend on the number of threads.
 * Gradients of parameters accumulate (+=). Gradients of activations are overwritten unless a
 * comment says +=: an accumulating chain would need every buffer zeroed first, one more pass over
 * memory for each. Nothing here allocates or fails: the caller plans the scratch. */
#ifndef BT_NN_H
#define BT_NN_H

#include "bt/base/pool.h"
#include "bt/base/rng.h"
#include "bt/kern.h"
#include "bt/tensor.h"

/* The large matrix products so far, with what was done to their results while they were in the
 * cache. */
typedef struct bt_nn_products {
    double  seconds;
    double  flops;
    int64_t n_calls;
} bt_nn_products;

/* op(B) [K,N] of products, kept as the panels of kern, which a product would otherwise pack each
 * time. */
typedef struct bt_nn_packed {
    const bt_kern_product *kern;
    int64_t                K, N;
    unsigned char         *panels; /* borrowed; bt_nn_packed_bytes of them */
    /* The panels are floats rounded to bfloat16, and each is kept as its 16 bits: half of those
     * bytes. A product widens the ones that it reads. */
    bool is_halved;
} bt_nn_packed;

/* A matrix [K,N] with its panels, as B and as the transposed one. */
typedef struct bt_nn_weight {
    const float *b;
    bt_nn_packed as_is, transposed; /* panels NULL: is packed by each product */
} bt_nn_weight;

typedef struct bt_nn {
    const bt_kern         *kern;
    bt_pool               *pool;           /* NULL: this thread alone */
    float                 *partials;       /* partial sums of chunks */
    int64_t                n_partials;     /* at least bt_nn_partials_size */
    float                 *thread_scratch; /* [n_threads][n_thread_scratch] */
    int64_t                n_thread_scratch;
    const bt_kern_product *product;     /* of the large matrix products; NULL: BLAS makes them */
    unsigned char         *panels;      /* packed factors of products: [n_threads][panel_bytes] */
    size_t                 panel_bytes; /* at least bt_nn_product_scratch_bytes */
    float                 *rounded;     /* not NULL: bt_nn_round_8_bits of what dense layers read
                                         * forward goes here, and is read in its place */
    const bt_nn_weight *weights; /* [n_weights], b ascending: products that read one of them as
                                  * a whole take the panels that it has */
    int32_t n_weights;
    bool    only_panels; /* the numbers at b are gone: to read one of them without its panels
                          * is a fault of the program */
    bt_nn_products products;
    double         attention_seconds; /* so far, forward and backward */
} bt_nn;

/* Floats of scratch: all threads together for rows of at most max_cols, R of them; and one thread
 * for attention over sequences of at most max_length tokens and rows of max_cols. */
int64_t bt_nn_partials_size(int64_t max_rows, int64_t max_cols);
int64_t bt_nn_thread_scratch_size(int64_t max_length, int64_t head_dim, int64_t max_cols);
/* Bytes for the large matrix products, a thread; 0 for NULL. */
size_t bt_nn_product_scratch_bytes(const bt_kern_product *kern);

/* One dropout place of one step. Row r of a tensor with C columns owns the random words
 * [row * ceil(C/4) * 4, ...) of the key's stream, row = row_ids[r], or r when row_ids is NULL: a
 * mask is named by the token it falls on, also where only some tokens are computed. */
typedef struct bt_nn_dropout {
    bt_rng_key      key;
    bt_kern_dropout rate;
    const int64_t  *row_ids;
    int64_t         first_row; /* added: what is before these rows in the whole batch */
} bt_nn_dropout;

/* A layer normalisation over rows of width N: its parameters, and what the forward keeps of each
 * row for the backward. */
typedef struct bt_nn_norm {
    const float *gain, *bias; /* [N]; the backward reads no bias */
    float       *mean, *rstd; /* [R] */
    float        eps;         /* of the forward */
} bt_nn_norm;
/* Added to. */
typedef struct bt_nn_norm_grads {
    float *gain, *bias; /* [N] */
} bt_nn_norm_grads;

/* Embedding. */

typedef struct bt_nn_embedding {
    const float         *word, *position, *type; /* [V,E] [P,E] [types,E] */
    bt_nn_norm           norm;
    const int32_t       *ids, *positions, *types; /* [T] */
    const bt_nn_dropout *dropout;
    float               *sum; /* [T,E] kept for the backward */
    int64_t              T, E;
} bt_nn_embedding;
typedef struct bt_nn_embedding_grads {
    float           *word, *position, *type; /* [V,E] [P,E] [types,E] */
    bt_nn_norm_grads norm;
} bt_nn_embedding_grads;

/* sum = word[id] + position[pos] + type[type]; out [T,E] = dropout(norm(sum)) */
void bt_nn_embedding_forward(bt_nn *nn, const bt_nn_embedding *e, float *out);
/* Adds to grads; clobbers d_out. Returns the sum of squares of the word gradient's rows, token by
 * token. */
double bt_nn_embedding_backward(bt_nn *nn, const bt_nn_embedding *e,
                                const bt_nn_embedding_grads *grads, float *d_out);

/* Product. */

/* C[M,N] = alpha * op(A)[M,K] op(B)[K,N] (+ C), row-major, ld = elements between rows as stored.
 * K >= 1. */
typedef struct bt_nn_product {
    float       *c;
    const float *a, *b;
    /* bfloat16 in place of a, b, c, each by itself; only where the kernels' precision is bfloat16.
     * c16 gets the rounded results (to the nearest, ties to even) and cannot be added to. */
    const uint16_t     *a16, *b16;
    uint16_t           *c16;
    const bt_nn_packed *b_packed; /* not NULL: in place of b; trans_b and ld_b do not count */
    int64_t             ld_c, ld_a, ld_b;
    bt_kern_trans       trans_a, trans_b;
    int64_t             M, N, K;
    float               alpha;
    bool                accumulate;
    /* Called by the thread that computed it, once for each part of C, while that is in its cache:
     * rows [row, row + n_rows) x columns [col, col + n_cols), which are at c[i * ld_c + j] for
     * i < n_rows, j < n_cols: in C itself, or, with c16, where they are before they are rounded.
     * NULL: nothing more to do. */
    void (*epilogue)(void *context, int32_t thread, float *c, int64_t ld_c, int64_t row,
                     int64_t n_rows, int64_t col, int64_t n_cols);
    void *context;
} bt_nn_product;
void bt_nn_product_run(bt_nn *nn, const bt_nn_product *product);

/* Products that share a factor or a result, as one job: what they share is packed once and stays in
 * the caches, and the threads wait for each other once. The same bits as one after another. */
enum { BT_NN_MOST_PRODUCTS = 3 };
/* p[n] that have op(A), M, K in common; their results are arrays of their own. */
void bt_nn_products_beside(bt_nn *nn, const bt_nn_product *p, int32_t n);
/* C = A_0 B_0 + A_1 B_1 + ... (+ C where p[0] says so), added up in this order. p[n] that have C,
 * M, N, K, alpha, the epilogue and the form of A in common. */
void bt_nn_products_summed(bt_nn *nn, const bt_nn_product *p, int32_t n);

size_t bt_nn_packed_bytes(const bt_kern_product *kern, int64_t K, int64_t N);
/* Packs [first, end) of the panels of kern->cols columns, of b as a product reads it. Different
 * panels may be packed by different threads at a time. */
void bt_nn_pack(const bt_nn_packed *packed, const float *b, int64_t ld_b, bt_kern_trans trans_b,
                int64_t first, int64_t end);
/* Packs what the rows [first, end) of b, as it is stored, are in the panels. first is a multiple of
 * bt_nn_rows_together, and so is end unless the rows end there. Different rows may be packed by
 * different threads at a time, and make the panels that bt_nn_pack makes. */
void    bt_nn_pack_rows(const bt_nn_packed *packed, const float *b, int64_t ld_b,
                        bt_kern_trans trans_b, int64_t first, int64_t end);
int64_t bt_nn_rows_together(const bt_kern_product *kern);
int64_t bt_nn_packed_n_panels(const bt_nn_packed *packed);
/* Can panels of that kernel be halved? */
bool bt_nn_can_halve(const bt_kern_product *kern);
/* The same into panels that are halved; scratch: bt_nn_halving_bytes, of each thread its own. */
void   bt_nn_pack_halved(const bt_nn_packed *packed, const bt_kern *kern, const float *b,
                         int64_t ld_b, int64_t first, int64_t end, float *scratch);
size_t bt_nn_halving_bytes(const bt_kern_product *kern);

/* Dense. */

/* out = in kernel (+ bias; NULL: the next function adds it in its own pass) */
void bt_nn_dense_forward(bt_nn *nn, float *out, /* [R,N] */
                         const float *in, const float *kernel,
                         const float *bias, /* [R,K] [K,N] [N] */
                         int64_t R, int64_t K, int64_t N);
/* out = act(in kernel + bias): the same bits as with a bias_act pass of its own, below */
void bt_nn_dense_act_forward(bt_nn *nn, float *out, const float *in, const float *kernel,
                             const float *bias, bt_activation act, int64_t R, int64_t K, int64_t N);
/* out = in rounded to one of 256 steps between its smallest and its largest number, 0 among them,
 * as ONNX's DynamicQuantizeLinear has it */
void bt_nn_round_8_bits(float *out, const float *in, int64_t n);
/* d_in and d_kernel are overwritten, or += where the caller says so; d_bias is added to. Each may
 * be NULL: not wanted. So may gradients of biases and norms in what follows. */
void bt_nn_dense_backward(bt_nn *nn, float *d_in, float *d_kernel,
                          float       *d_bias, /* [R,K] [K,N] [N] */
                          const float *d_out, const float *in, const float *kernel, int64_t R,
                          int64_t K, int64_t N, bool add_to_d_in, bool add_to_d_kernel);

/* Between arrays of bfloat16; the products' precision must be bfloat16. */
typedef struct bt_nn_dense16 {
    const float *kernel; /* [K,N] */
    const float *bias;   /* [N]; of the forward; or NULL */
    int64_t      R, K, N;
} bt_nn_dense16;
/* Floats of partial sums, all threads together. */
int64_t bt_nn_dense16_partials_size(const bt_kern_product *kern, int64_t max_rows,
                                    int64_t max_cols);
/* pre_act [R,N] = in [R,K] kernel + bias, rounded; out [R,N] = act(pre_act). pre_act NULL: nobody
 * keeps it. */
void bt_nn_dense16_act_forward(bt_nn *nn, uint16_t *out, uint16_t *pre_act, const uint16_t *in,
                               bt_activation act, const bt_nn_dense16 *d);
/* d_in, or d_in16 where that is NULL, [R,K] = d_out [R,N] kernel^T; d_in += on demand */
void bt_nn_dense16_backward_input(bt_nn *nn, float *d_in, uint16_t *d_in16, const uint16_t *d_out,
                                  const bt_nn_dense16 *d, bool add_to_d_in);
/* d_kernel [K,N] = in^T [K,R] d_out [R,N], or += */
void bt_nn_dense16_backward_kernel(bt_nn *nn, float *d_kernel, const uint16_t *d_out,
                                   const uint16_t *in, const bt_nn_dense16 *d, bool add_to_it);
/* The gradient of pre_act [above.R,above.K], whose activation the layer above read, and of its
 * bias (+=; NULL: not wanted). act_again: the activation once more; NULL: it is there. */
void bt_nn_dense16_act_backward(bt_nn *nn, uint16_t *d_pre_act, float *d_bias, uint16_t *act_again,
                                const uint16_t *pre_act, bt_activation act, const uint16_t *d_out,
                                const bt_nn_dense16 *above);

/* Dense layers [K,N] that read the same rows: query, key and value. What they read and the
 * gradients of what they put out are float32, or all bfloat16 (out16, d_out16). */
typedef struct bt_nn_beside {
    const float *kernel; /* [K,N] */
    /* of the forward */
    const float *bias; /* [N]; or NULL */
    float       *out;  /* [R,N] */
    uint16_t    *out16;
    /* of the backward, as of bt_nn_dense_backward */
    const float    *d_out; /* [R,N] */
    const uint16_t *d_out16;
    float          *d_kernel, *d_bias; /* the latter not from bfloat16 */
    bool            add_to_d_kernel;
} bt_nn_beside;
/* What n <= BT_NN_MOST_PRODUCTS of them read. */
typedef struct bt_nn_beside_in {
    const float    *in; /* [R,K] */
    const uint16_t *in16;
    int64_t         R, K, N;
} bt_nn_beside_in;
/* out = in kernel (+ bias; or NULL), with the bits of each by itself. */
void bt_nn_beside_forward(bt_nn *nn, const bt_nn_beside *d, int32_t n, const bt_nn_beside_in *x);
/* The bits of each one's backward, one after another, which all add to d_in [R,K] but for the first
 * where add_to_d_in is false. */
void bt_nn_beside_backward(bt_nn *nn, const bt_nn_beside *d, int32_t n, const bt_nn_beside_in *x,
                           float *d_in, bool add_to_d_in);

/* in_out += bias; out = act(in_out) */
void bt_nn_bias_act_forward(bt_nn *nn, float *in_out, float *out,
                            const float  *bias, /* [R,N] [R,N] [N] */
                            bt_activation act, int64_t R, int64_t N);
/* out = act(in_out) once more. Returns whether in_out became act'(in_out) on the way, which costs
 * less than making it later. */
BT_MUST_USE bool bt_nn_act_again(bt_nn *nn, float *out, float *in_out, bt_activation act,
                                 int64_t n);
/* d_out becomes the gradient of the product below; has_slopes: in_out is act'(in_out) */
void bt_nn_bias_act_backward(bt_nn *nn, float *d_out, float *d_bias, /* [R,N] [N] */
                             const float *in_out, bool has_slopes, bt_activation act, int64_t R,
                             int64_t N);

/* Layernorm, residual. */

/* out [R,H] = norm(in) */
void bt_nn_norm_forward(bt_nn *nn, const bt_nn_norm *norm, float *out, const float *in, int64_t R,
                        int64_t H);
/* The same, and rounded to bfloat16 into out16; out NULL: only that. */
void bt_nn_norm_forward16(bt_nn *nn, const bt_nn_norm *norm, float *out, uint16_t *out16,
                          const float *in, int64_t R, int64_t H);
/* d_in +=; clobbers d_out */
void bt_nn_norm_backward(bt_nn *nn, const bt_nn_norm *norm, const bt_nn_norm_grads *grads,
                         float *d_in, float *d_out, const float *in, int64_t R, int64_t H);

/* What follows a product: its bias, dropout, the residual, and perhaps a norm. */
typedef struct bt_nn_residual_norm {
    float               *sum;      /* [R,H] holds the product, then what is kept for the backward */
    const float         *bias;     /* [H]; of the forward */
    const float         *residual; /* [R,H]; of the forward */
    const bt_nn_norm    *norm;     /* NULL: none */
    const bt_nn_dropout *dropout;
    uint16_t *out16; /* [R,H] of the forward: the norm's output in bfloat16; NULL: not wanted */
    uint16_t *kept;  /* [R,bt_nn_kept_step(H)] bits of dropout, from the forward for the backward;
                      * NULL: they are drawn twice */
    int64_t R, H;
} bt_nn_residual_norm;
typedef struct bt_nn_residual_norm_grads {
    float           *d_sum;       /* [R,H] the residual's gradient; may be d_out */
    float           *d_product;   /* [R,H] d_sum * mask; not d_out; NULL: */
    uint16_t        *d_product16; /* in bfloat16 */
    float           *bias;        /* [H] added to */
    bt_nn_norm_grads norm;
} bt_nn_residual_norm_grads;

/* sum becomes residual + dropout(product + bias); out [R,H] = norm(sum), not written without norm,
 * nor where it is NULL. */
void bt_nn_residual_norm_forward(bt_nn *nn, const bt_nn_residual_norm *r, float *out);
/* The same after r->sum = in kernel; d has no bias, r has. out may be r->residual. */
void bt_nn_dense16_residual_forward(bt_nn *nn, const bt_nn_residual_norm *r, float *out,
                                    const uint16_t *in, const bt_nn_dense16 *d);
/* d_sum = norm backward of d_out (d_out itself without norm), plus d_sum_more if that is not NULL
 * (may be d_sum). */
void bt_nn_residual_norm_backward(bt_nn *nn, const bt_nn_residual_norm *r,
                                  const bt_nn_residual_norm_grads *grads, const float *d_out,
                                  const float *d_sum_more);

/* out = dropout(in); its own backward. out may be in. */
void bt_nn_dropout_apply(bt_nn *nn, float *out, const float *in, const bt_nn_dropout *dropout,
                         int64_t R, int64_t H);

/* out = in, rounded to bfloat16 */
void bt_nn_to_bf16(bt_nn *nn, uint16_t *out, const float *in, int64_t n);

/* out = act(in), elementwise; d_in = d_out * act'(in) */
void bt_nn_act_forward(bt_nn *nn, float *out, const float *in, bt_activation act, int64_t n);
void bt_nn_act_backward(bt_nn *nn, float *d_in, const float *d_out, const float *in,
                        bt_activation act, int64_t n);

/* out[r,:] = in[row_ids[r],:]; the backward adds rows: d_in[row_ids[r],:] += d_out[r,:] (ids
 * distinct) */
void bt_nn_rows_gather(bt_nn *nn, float *out, const float *in, const int64_t *row_ids, int64_t R,
                       int64_t H);
void bt_nn_rows_gather16(bt_nn *nn, uint16_t *out, const uint16_t *in, const int64_t *row_ids,
                         int64_t R, int64_t H);
void bt_nn_rows_scatter_add(bt_nn *nn, float *d_in, const float *d_out, const int64_t *row_ids,
                            int64_t R, int64_t H);

/* Attention.
 * Of sequence b: queries are the rows [q_offsets[b], q_offsets[b+1]) of q, keys and values the rows
 * [offsets[b], offsets[b+1]) of k and v. H = NH * D; head h is the columns [h*D, (h+1)*D). */
typedef struct bt_nn_attention {
    const int64_t *offsets;   /* [B+1] */
    const int64_t *q_offsets; /* [B+1]; = offsets when every token asks */
    const uint8_t *key_mask;  /* [T] 0: gets Model Garden's -1e9; or NULL */
    bt_nn_dropout  dropout;   /* on the probabilities; row (token, head) owns 2^20 words */
    int64_t        B, NH, D;
} bt_nn_attention;

void bt_nn_attention_forward(bt_nn *nn, float *out, float *max, float *inv_sum,
                             /* [R,H] [R,NH] [R,NH]: what makes the probabilities again */
                             const float *q, const float *k, const float *v, /* [R,H] [T,H] [T,H] */
                             const bt_nn_attention *a);
/* max, inv_sum: of the forward */
void bt_nn_attention_backward(bt_nn *nn, float *d_q, float *d_k, float *d_v, /* [R,H] [T,H] [T,H] */
                              const float *d_out,                            /* [R,H] */
                              const float *q, const float *k, const float *v, const float *max,
                              const float *inv_sum, const bt_nn_attention *a);

/* The same with bfloat16 factors; rows are ld numbers apart. */
typedef struct bt_nn_attention16 {
    const uint16_t *q, *k, *v;     /* [R,H] [T,H] [T,H] */
    uint16_t       *context;       /* [R,H]; read by nobody here in the backward */
    float          *max, *inv_sum; /* [R,NH] written by the forward */
    uint16_t       *kept;          /* [R,NH,kept_step] likewise: bits of dropout; NULL: it is off */
    int64_t         kept_step;     /* bt_nn_kept_step of the longest sequence, or more */
    const uint16_t *d_context;     /* [R,H] of the backward, as what follows */
    uint16_t       *d_q, *d_k, *d_v;
    float          *d_q_bias, *d_k_bias, *d_v_bias; /* [H] added to: sums over the rows; or NULL */
    int64_t         ld_q, ld_kv, ld_context;        /* the last of d_context, too */
    int64_t         ld_d_q, ld_d_kv;
} bt_nn_attention16;
int64_t bt_nn_kept_step(int64_t max_length);
/* Floats of scratch for one thread; of partial sums, all threads together. */
int64_t bt_nn_attention16_partials_size(int64_t n_seqs, int64_t H);
int64_t bt_nn_attention16_scratch_size(int64_t max_length, int64_t head_dim);
void    bt_nn_attention16_forward(bt_nn *nn, const bt_nn_attention *a, const bt_nn_attention16 *x);
void    bt_nn_attention16_backward(bt_nn *nn, const bt_nn_attention *a, const bt_nn_attention16 *x);

/* Pairs.
 * Rows 2i and 2i+1 of vectors [2B,H] are the left and the right side of pair i. */

/* out[r,:] = in[r,:] / |in[r,:]|, as tf.math.l2_normalize: x * rsqrt(max(sum x^2, 1e-12)) */
void bt_nn_unit_rows_forward(bt_nn *nn, float *out, const float *in, int64_t R, int64_t H);
/* d_in overwritten; may be d_out */
void bt_nn_unit_rows_backward(bt_nn *nn, float *d_in, const float *d_out, const float *in,
                              int64_t R, int64_t H);
/* scores[i,j] = scale * (left_i . right_j - (i == j ? margin : 0)) */
void bt_nn_pair_scores_forward(bt_nn *nn, float *scores, const float *vectors, /* [B,B] [2B,H] */
                               int64_t B, int64_t H, float scale, float margin);
void bt_nn_pair_scores_backward(bt_nn *nn, float *d_vectors, /* [2B,H] [B,B] [2B,H] */
                                const float *d_scores, const float *vectors, int64_t B, int64_t H,
                                float scale);

/* Pooling.
 * in [T,H], the rows offsets[b] to offsets[b+1] (at least one) -> out [B,H], row b. */

void bt_nn_mean_rows_forward(bt_nn *nn, float *out, const float *in, const int64_t *offsets,
                             int64_t B, int64_t H);
/* d_in [T,H] overwritten; not d_out */
void bt_nn_mean_rows_backward(bt_nn *nn, float *d_in, const float *d_out, const int64_t *offsets,
                              int64_t B, int64_t H);
/* The largest of each column; NaN when any is. */
void bt_nn_max_rows_forward(bt_nn *nn, float *out, const float *in, const int64_t *offsets,
                            int64_t B, int64_t H);
/* To the largest, the first of equal ones. d_in [T,H] overwritten; not d_out */
void bt_nn_max_rows_backward(bt_nn *nn, float *d_in, const float *d_out, const float *in,
                             const int64_t *offsets, int64_t B, int64_t H);

/* Losses: return the loss, d_logits overwritten unless NULL.
 * The rows may be a part of a batch: what is called `all` is of the whole batch, and the losses and
 * gradients of its parts add up to those of the whole. */

/* How the rows of a classification weigh, and what they are to be. */
typedef struct bt_nn_class_rule {
    /* share s of the target spread over all classes: (1 - s) onehot + s / C, as Keras does */
    double        smoothing;
    const double *weights; /* [C] of a row by its label, >= 0; NULL: all 1 */
    const float  *rows;    /* [R] of each row, >= 0, times that of its label; NULL: all 1 */
    double        all;     /* bt_nn_class_weight of the whole batch; 0: these rows are the whole */
} bt_nn_class_rule;

/* The sum of the rows' weights; a row with a label < 0 has none. rule NULL: all 1. */
double bt_nn_class_weight(const int32_t *labels, const bt_nn_class_rule *rule, int64_t R);
/* sum(w CE) / sum(w) over rows, softmax cross entropy; 0 when no row weighs anything. rule NULL:
 * neither smoothing nor weights. */
double bt_nn_class_loss(float *d_logits, const float *logits, const int32_t *labels, /* [R,C] [R] */
                        const bt_nn_class_rule *rule, int64_t R, int64_t C);
/* (mean CE of starts + mean CE of ends) / 2, softmax over the tokens of a sequence */
double bt_nn_span_loss(float *d_logits, const float *logits,       /* [T,2] [T,2] */
                       const int32_t *starts, const int32_t *ends, /* [B] [B] */
                       const int64_t *offsets, int64_t B, int64_t B_all);
/* How much of the whole batch's loss each row is. */
typedef struct bt_nn_row_rule {
    const float *rows; /* [B] >= 0; NULL: all 1 */
    double       all;  /* their sum over the whole batch; 0: no row weighs anything */
} bt_nn_row_rule;
/* Of the B rows of a whole batch. */
double bt_nn_rows_weight(const float *rows, int64_t B);
/* sum(w (pred - label)^2) / sum(w) */
double bt_nn_mse_loss(float *d_logits, const float *logits, const float *labels, int64_t B,
                      const bt_nn_row_rule *rule);
/* weighted mean over rows, mean over classes, of the binary cross entropy of sigmoid(logits)
 * against targets in [0,1], as torch.nn.BCEWithLogitsLoss */
double bt_nn_sigmoid_loss(float *d_logits, const float *logits, const float *targets, /* [B,C] */
                          int64_t B, int64_t C, const bt_nn_row_rule *rule);
/* the mean over all pairs (i,j) of (pred_i - label_j)^2: Model Garden's regression loss */
double bt_nn_mse_all_pairs_loss(float *d_logits, const float *logits, /* [B] [B] */
                                const float *all_labels,              /* [B_all] */
                                int64_t B, int64_t B_all);
/* mean over rows of the cross entropy of the diagonal: each left side against all right sides of
 * the batch; both_ways adds (not: averages) the same over columns */
double bt_nn_ranking_loss(float *d_scores, const float *scores, int64_t B, /* [B,B] [B,B] */
                          bool both_ways);

#endif
