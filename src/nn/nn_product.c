/* SPDX-License-Identifier: Apache-2.0
 *
 * Large products on the threads of the pool. The summed dimension is cut into blocks; of a block,
 * all threads pack the panels of A and B, then compute C in pieces of rows x columns. A piece of B
 * stays in a core's second cache while the rows of A go past it. Where the instruction set has no
 * product kernels, or the engine was told so, BLAS does the whole product.
 *
 * Every element of C is summed by one thread in the order of the blocks: the bits do not depend on
 * the number of threads. */
#include <unistd.h>

#include "nn_internal.h"

enum { PANELS_A_TASK = 4, MIN_CACHE_BYTES = 1 << 18, PIECES_A_THREAD = 4, MAX_ROW_PANELS = 16 };

/* One of the two factors, of this block. */
typedef struct factor {
    const float *x; /* element (w,d) at w * wide_step + d * deep_step */
    int64_t      wide_step, deep_step;
    int64_t      n_wide;
    int64_t      width; /* of a panel */
    int64_t      n_panels;
    float       *panels; /* [n_panels][depth][width] */
} factor;

typedef struct product_job {
    const bt_kern_product *kern;
    const bt_nn_product   *p;
    factor                 a, b;
    int64_t                depth; /* of this block */
    bool                   is_first, is_last;
    int64_t                row_panels, col_panels; /* of a piece */
    int64_t                n_row_pieces, n_col_pieces;
} product_job;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t bt_nn_product_scratch_size(const bt_kern *kern, int64_t max_rows, int64_t max_cols) {
    const bt_kern_product *const k = &kern->product;
    if (k->rows == 0) {
        return 0;
    }
    return (ceil_div(max_rows, k->rows) * k->rows + ceil_div(max_cols, k->cols) * k->cols) *
           k->depth;
}

static void pack_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const product_job *const job = context;
    const int64_t            n = job->a.n_panels + job->b.n_panels;
    const int64_t            end = min_i64((task + 1) * PANELS_A_TASK, n);
    for (int64_t panel = task * PANELS_A_TASK; panel < end; panel++) {
        const bool          is_a = panel < job->a.n_panels;
        const factor *const f = is_a ? &job->a : &job->b;
        const int64_t       i = is_a ? panel : panel - job->a.n_panels;
        const int64_t       first = i * f->width;
        job->kern->pack(f->panels + first * job->depth, f->width, f->x + first * f->wide_step,
                        f->wide_step, f->deep_step, min_i64(f->width, f->n_wide - first),
                        job->depth);
    }
}

static void piece_task(void *context, int64_t task, int32_t thread) {
    const product_job *const     job = context;
    const bt_nn_product *const   p = job->p;
    const bt_kern_product *const kern = job->kern;
    const int64_t first_row = task % job->n_row_pieces * job->row_panels * kern->rows;
    const int64_t end_row = min_i64(first_row + job->row_panels * kern->rows, p->M);
    const int64_t first_col = task / job->n_row_pieces * job->col_panels * kern->cols;
    const int64_t end_col = min_i64(first_col + job->col_panels * kern->cols, p->N);
    const bool    accumulate = p->accumulate || !job->is_first;
    for (int64_t i = first_row; i < end_row; i += kern->rows) {
        for (int64_t j = first_col; j < end_col; j += kern->cols) {
            kern->tile(p->c + i * p->ld_c + j, p->ld_c, job->a.panels + i * job->depth,
                       job->b.panels + j * job->depth, p->M - i, p->N - j, job->depth, p->alpha,
                       accumulate);
        }
        if (job->is_last && p->epilogue != NULL) {
            p->epilogue(p->context, thread, i, min_i64(kern->rows, end_row - i), first_col,
                        end_col - first_col);
        }
    }
}

/* Half of the second cache holds a piece of B. A piece has all columns where the epilogue wants
 * whole rows. */
static void cut_pieces(product_job *job, int64_t max_depth, int32_t n_threads) {
    const bt_kern_product *const kern = job->kern;
    const long                   known = sysconf(_SC_LEVEL2_CACHE_SIZE);
    const int64_t                cache = known > MIN_CACHE_BYTES ? known : MIN_CACHE_BYTES;
    const int64_t                panel_bytes = max_depth * kern->cols * (int64_t)sizeof(float);
    const int64_t                fit = cache / 2 / panel_bytes > 1 ? cache / 2 / panel_bytes : 1;
    job->col_panels = job->p->whole_rows ? job->b.n_panels : min_i64(fit, job->b.n_panels);
    job->n_col_pieces = ceil_div(job->b.n_panels, job->col_panels);
    const int64_t n_wanted = ceil_div(PIECES_A_THREAD * n_threads, job->n_col_pieces);
    job->row_panels = min_i64(ceil_div(job->a.n_panels, n_wanted), MAX_ROW_PANELS);
    job->n_row_pieces = ceil_div(job->a.n_panels, job->row_panels);
}

static void run_blocks(bt_nn *nn, const bt_nn_product *p) {
    const bt_kern_product *const kern = &nn->kern->product;
    const bool                   a_lies = p->trans_a == BT_KERN_T;
    const bool                   b_lies = p->trans_b == BT_KERN_T;
    const int64_t                n_blocks = ceil_div(p->K, kern->depth);
    const int64_t                depth = ceil_div(p->K, n_blocks);
    product_job                  job = {
                         .kern = kern,
                         .p = p,
                         .a = {.wide_step = a_lies ? 1 : p->ld_a,
                               .deep_step = a_lies ? p->ld_a : 1,
                               .n_wide = p->M,
                               .width = kern->rows,
                               .n_panels = ceil_div(p->M, kern->rows),
                               .panels = nn->panels},
                         .b = {.wide_step = b_lies ? p->ld_b : 1,
                               .deep_step = b_lies ? 1 : p->ld_b,
                               .n_wide = p->N,
                               .width = kern->cols,
                               .n_panels = ceil_div(p->N, kern->cols)},
    };
    job.b.panels = job.a.panels + job.a.n_panels * kern->rows * depth;
    BT_ASSERT((job.a.n_panels * kern->rows + job.b.n_panels * kern->cols) * depth <= nn->n_panels);
    cut_pieces(&job, depth, bt_pool_n_threads(nn->pool));
    for (int64_t first = 0; first < p->K; first += depth) {
        job.depth = min_i64(depth, p->K - first);
        job.is_first = first == 0;
        job.is_last = first + job.depth == p->K;
        job.a.x = p->a + first * job.a.deep_step;
        job.b.x = p->b + first * job.b.deep_step;
        bt_pool_run(nn->pool, ceil_div(job.a.n_panels + job.b.n_panels, PANELS_A_TASK), pack_task,
                    &job);
        bt_pool_run(nn->pool, job.n_row_pieces * job.n_col_pieces, piece_task, &job);
    }
}

/* ---- BLAS ---------------------------------------------------------------------------------------
 */

typedef struct epilogue_job {
    const bt_nn_product *p;
    nn_chunks            chunks;
} epilogue_job;

static void epilogue_task(void *context, int64_t task, int32_t thread) {
    const epilogue_job *const job = context;
    const int64_t             first = nn_chunk_first(&job->chunks, task);
    job->p->epilogue(job->p->context, thread, first, nn_chunk_end(&job->chunks, task) - first, 0,
                     job->p->N);
}

static void run_blas(bt_nn *nn, const bt_nn_product *p) {
    bt_kern_gemm(p->c, p->ld_c, p->trans_a, p->a, p->ld_a, p->trans_b, p->b, p->ld_b, p->M, p->N,
                 p->K, p->alpha, p->accumulate ? 1 : 0);
    if (p->epilogue != NULL) {
        epilogue_job job = {.p = p, .chunks = nn_chunks_of(p->M)};
        bt_pool_run(nn->pool, job.chunks.n_chunks, epilogue_task, &job);
    }
}

void bt_nn_product_run(bt_nn *nn, const bt_nn_product *p) {
    if (p->M == 0 || p->N == 0) {
        return;
    }
    BT_ASSERT(p->K > 0);
    const double start = bt_time_monotonic();
    if (nn->use_blas || nn->kern->product.rows == 0) {
        run_blas(nn, p);
    } else {
        run_blocks(nn, p);
    }
    nn->products.seconds += bt_time_monotonic() - start;
    nn->products.flops += 2.0 * (double)p->M * (double)p->N * (double)p->K;
    nn->products.n_calls++;
}
