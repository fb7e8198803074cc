/* SPDX-License-Identifier: Apache-2.0
 *
 * Large matrix products on the threads of the pool. C is cut into pieces, one task each. A task
 * goes through the summed dimension in blocks: it packs its rows of A, then as many columns of B at
 * a time as stay in the core's second cache while all its rows go past them. Packing happens on the
 * core that uses the panels. Where the instruction set has no
 * matrix-product kernels, or the engine was told so, BLAS does the whole product.
 *
 * Every element of C is summed in the order of the blocks: the bits do not depend on the pieces,
 * hence not on the number of threads. */
#include <unistd.h>

#include "bt/base/time.h"
#include "nn_internal.h"

enum {
    MAX_PIECE_ROWS = 2016, /* a multiple of the tiles' rows; bounds the packed rows of A */
    PACK_COST = 28,        /* moving one element into a panel, in multiply-adds of a tile */
    SMALL_CACHE_BYTES = 1 << 18,
    LARGE_CACHE_BYTES = 1 << 21,
    CACHE_WAY_BYTES = 1 << 12, /* of the first cache */
};

typedef struct product_job {
    bt_nn                 *nn;
    const bt_kern_product *kern;
    const bt_nn_product   *p;
    int64_t                depth;      /* of a block of the summed dimension */
    int64_t                rows, cols; /* of a piece */
    int64_t                n_row_pieces, n_col_pieces;
    bool                   in_place; /* A is read where it lies, but for the last rows */
} product_job;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Columns of B whose panels fill half of the second cache; what sysconf does not tell is small. */
static int64_t block_cols(const bt_kern_product *kern) {
#ifdef _SC_LEVEL2_CACHE_SIZE
    const long known = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
    const long known = 0; /* musl */
#endif
    const int64_t cache = known < SMALL_CACHE_BYTES   ? SMALL_CACHE_BYTES
                          : known > LARGE_CACHE_BYTES ? LARGE_CACHE_BYTES
                                                      : known;
    const int64_t n_panels = cache / 2 / (kern->depth * kern->cols * (int64_t)kern->element_bytes);
    return (n_panels > 1 ? n_panels : 1) * kern->cols;
}

/* Of n rows or columns, depth deep. */
static size_t panels_bytes(const bt_kern_product *kern, int64_t n, int64_t depth) {
    return (size_t)(n * ceil_div(depth, kern->depth_step) * kern->depth_step) * kern->element_bytes;
}

size_t bt_nn_product_scratch_bytes(const bt_kern_product *kern) {
    return kern == NULL ? 0 : panels_bytes(kern, block_cols(kern) + MAX_PIECE_ROWS, kern->depth);
}

/* Where a piece and a block of the summed dimension lie. */
typedef struct piece {
    int64_t row, end_row;
    int64_t col, end_col;
    int64_t d, depth;
    bool    is_last; /* block */
    int32_t thread;
} piece;

/* Are the rows of A that tile i needs read where they lie? The last ones may be too few for a tile.
 */
static bool is_in_place(const product_job *job, const piece *at, int64_t i) {
    return job->in_place && i + job->kern->rows <= at->end_row;
}

static void pack_a(const product_job *job, const piece *at, unsigned char *out) {
    const bt_nn_product *const p = job->p;
    const bool                 lies = p->trans_a == BT_KERN_T;
    const int64_t              wide_step = lies ? 1 : p->ld_a;
    const int64_t              deep_step = lies ? p->ld_a : 1;
    const int64_t              n_rows = at->end_row - at->row;
    const int64_t first = job->in_place ? n_rows / job->kern->rows * job->kern->rows : 0;
    if (first == n_rows) {
        return;
    }
    job->kern->pack_a(out + panels_bytes(job->kern, first, at->depth),
                      p->a + (at->row + first) * wide_step + at->d * deep_step, wide_step,
                      deep_step, n_rows - first, p->M - at->row - first, at->depth);
}

static void pack_b(const product_job *job, const piece *at, void *out) {
    const bt_nn_product *const p = job->p;
    const bool                 lies = p->trans_b == BT_KERN_T;
    const int64_t              wide_step = lies ? p->ld_b : 1;
    const int64_t              deep_step = lies ? 1 : p->ld_b;
    job->kern->pack_b(out, p->b + at->col * wide_step + at->d * deep_step, wide_step, deep_step,
                      at->end_col - at->col, p->N - at->col, at->depth);
}

/* A tile of rows with a block of columns. */
static void multiply_row(const product_job *job, const piece *at, int64_t i, const void *a_panel,
                         const unsigned char *b_panels) {
    const bt_nn_product *const   p = job->p;
    const bt_kern_product *const kern = job->kern;
    const bool                   accumulate = p->accumulate || at->d > 0;
    for (int64_t j = at->col; j < at->end_col; j += kern->cols) {
        float *const               c = p->c + i * p->ld_c + j;
        const unsigned char *const b = b_panels + panels_bytes(kern, j - at->col, at->depth);
        if (is_in_place(job, at, i)) {
            kern->tile_in_place(c, p->ld_c, p->a + i * p->ld_a + at->d, p->ld_a, b, at->end_col - j,
                                at->depth, p->alpha, accumulate);
        } else {
            kern->tile(c, p->ld_c, a_panel, b, at->end_row - i, at->end_col - j, at->depth,
                       p->alpha, accumulate);
        }
    }
}

/* All tiles of the rows with a block of columns. */
static void multiply(const product_job *job, const piece *at, const unsigned char *a_panels,
                     const unsigned char *b_panels) {
    const bt_nn_product *const   p = job->p;
    const bt_kern_product *const kern = job->kern;
    for (int64_t i = at->row; i < at->end_row; i += kern->rows) {
        multiply_row(job, at, i, a_panels + panels_bytes(kern, i - at->row, at->depth), b_panels);
        if (at->is_last && p->epilogue != NULL) {
            p->epilogue(p->context, at->thread, i, min_i64(kern->rows, at->end_row - i), at->col,
                        at->end_col - at->col);
        }
    }
}

static void piece_task(void *context, int64_t task, int32_t thread) {
    const product_job *const   job = context;
    const bt_nn_product *const p = job->p;
    const int64_t              block = block_cols(job->kern);
    unsigned char *const       a_panels = job->nn->panels + (size_t)thread * job->nn->panel_bytes;
    unsigned char *const       b_panels =
        a_panels + panels_bytes(job->kern, MAX_PIECE_ROWS, job->kern->depth);
    const int64_t first_col = task / job->n_row_pieces * job->cols;
    const int64_t end_col = min_i64(first_col + job->cols, p->N);
    piece         at = {.row = task % job->n_row_pieces * job->rows, .thread = thread};
    at.end_row = min_i64(at.row + job->rows, p->M);
    if (job->kern->start != NULL) {
        job->kern->start();
    }
    for (at.d = 0; at.d < p->K; at.d += job->depth) {
        at.depth = min_i64(job->depth, p->K - at.d);
        at.is_last = at.d + at.depth == p->K;
        pack_a(job, &at, a_panels);
        for (at.col = first_col; at.col < end_col; at.col += block) {
            at.end_col = min_i64(at.col + block, end_col);
            pack_b(job, &at, b_panels);
            multiply(job, &at, a_panels, b_panels);
        }
    }
    if (job->kern->stop != NULL) {
        job->kern->stop();
    }
}

/* What the busiest thread does, in multiply-adds for each step of the summed dimension. */
static int64_t cost_of(int64_t rows, int64_t cols, int64_t n_pieces, int32_t n_threads) {
    return ceil_div(n_pieces, n_threads) * (rows * cols + PACK_COST * (rows + cols));
}

static void try_cut(product_job *job, int64_t n_row_pieces, int64_t n_col_pieces, int64_t *best) {
    const bt_kern_product *const kern = job->kern;
    const int64_t                a_panels = ceil_div(job->p->M, kern->rows);
    const int64_t                b_panels = ceil_div(job->p->N, kern->cols);
    const int64_t                rows = ceil_div(a_panels, n_row_pieces) * kern->rows;
    const int64_t                cols = ceil_div(b_panels, n_col_pieces) * kern->cols;
    const int64_t                n_rows = ceil_div(job->p->M, rows);
    const int64_t                n_cols = ceil_div(job->p->N, cols);
    const int64_t cost = cost_of(rows, cols, n_rows * n_cols, bt_pool_n_threads(job->nn->pool));
    if (cost < *best) {
        *best = cost;
        job->rows = rows;
        job->cols = cols;
        job->n_row_pieces = n_rows;
        job->n_col_pieces = n_cols;
    }
}

static void cut_pieces(product_job *job) {
    const int64_t n_threads = bt_pool_n_threads(job->nn->pool);
    const int64_t min_rows = ceil_div(job->p->M, MAX_PIECE_ROWS);
    int64_t       best = INT64_MAX;
    for (int64_t n_cols = 1; n_cols <= 2 * n_threads; n_cols++) {
        for (int64_t n_rows = min_rows; n_rows <= min_rows + 2 * n_threads; n_rows++) {
            try_cut(job, n_rows, n_cols, &best);
        }
    }
}

/* Rows that lie whole pages apart all fall into the same few lines of the first cache, where they
 * drive each other out before a line is used up: those are packed. */
static bool can_stay_in_place(const bt_nn_product *p, const bt_kern_product *kern) {
    return kern->tile_in_place != NULL && p->trans_a != BT_KERN_T &&
           p->ld_a * (int64_t)sizeof *p->a % CACHE_WAY_BYTES != 0;
}

static void run_pieces(bt_nn *nn, const bt_nn_product *p) {
    const int64_t max_depth = nn->product->depth;
    product_job   job = {
          .nn = nn, .kern = nn->product, .p = p, .depth = ceil_div(p->K, ceil_div(p->K, max_depth))};
    BT_ASSERT(nn->panel_bytes >= bt_nn_product_scratch_bytes(nn->product));
    job.in_place = can_stay_in_place(p, nn->product);
    cut_pieces(&job);
    bt_pool_run(nn->pool, job.n_row_pieces * job.n_col_pieces, piece_task, &job);
}

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
    if (nn->product == NULL) {
        run_blas(nn, p);
    } else {
        run_pieces(nn, p);
    }
    nn->products.seconds += bt_time_monotonic() - start;
    nn->products.flops += 2.0 * (double)p->M * (double)p->N * (double)p->K;
    nn->products.n_calls++;
}
