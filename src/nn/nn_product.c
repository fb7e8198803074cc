/* SPDX-License-Identifier: Apache-2.0
 *
 * Large matrix products on the threads of the pool. C is cut into pieces, one task each. A task
 * goes through the summed dimension in blocks: it packs its rows of A, then as many columns of B at
 * a time as stay in the core's second cache while all its rows go past them. Packing happens on the
 * core that uses the panels. Where the instruction set has no matrix-product kernels, or the engine
 * was told so, BLAS does the whole product.
 *
 * Several products that have A in common are one job, of whose results a task has some columns; so
 * are several that are added up, whose summed dimensions follow one another.
 *
 * Every element of C is summed in the order of the blocks: the bits do not depend on the pieces,
 * hence not on the number of threads. */
#include <unistd.h>

#include "bt/base/size.h"
#include "bt/base/time.h"
#include "nn_internal.h"

enum {
    MAX_PIECE_ROWS = 2016, /* a multiple of the tiles' rows; bounds the packed rows of A */
    PACK_COST = 28,        /* moving one element into a panel, in multiply-adds of a tile */
    READ_COST = 4,         /* where it lies, while those of the other factor are moved */
    SMALL_CACHE_BYTES = 1 << 18,
    LARGE_CACHE_BYTES = 1 << 21,
    CACHE_WAY_BYTES = 1 << 12, /* of the first cache */
    SUMS_GAP = 16, /* between rows of sums, so that they fall into different lines of a cache */
    FEW_THREADS = 8,
    MOST_ROUNDS = 4,
};

typedef struct product_job {
    bt_nn                 *nn;
    const bt_kern_product *kern;
    const bt_nn_product   *p; /* [n] */
    int32_t                n;
    bool                   is_sum;     /* of all p, which have one C */
    int64_t                depth;      /* of a block of the summed dimension */
    int64_t                n_blocks;   /* of a product's summed dimension */
    int64_t                n_steps;    /* blocks that are added up in C */
    int64_t                cols_there; /* of all C, each filled up to whole tiles */
    int64_t                rows, cols; /* of a piece */
    int64_t                n_row_pieces, n_col_pieces;
    int64_t                row_cost, col_cost; /* PACK_COST, or less */
    bool                   in_place;           /* A is read where it lies, but for the last rows */
    bool                   is_packed;          /* all B, as tiles read it */
    bool                   is_deep; /* a tile's rows meet all steps before they leave the cache */
    const bt_nn_packed    *packed[BT_NN_MOST_PRODUCTS]; /* B, already; or NULL */
} product_job;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t whole_tiles(const bt_kern_product *kern, int64_t n_cols) {
    return ceil_div(n_cols, kern->cols) * kern->cols;
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

size_t bt_nn_product_scratch_bytes(const bt_kern_product *kern) {
    if (kern == NULL) {
        return 0;
    }
    const int64_t cols = block_cols(kern);
    return nn_panels_bytes(kern, cols + MAX_PIECE_ROWS, kern->depth) +
           (size_t)(kern->rows * (cols + SUMS_GAP)) * sizeof(float);
}

/* Where a piece and a block of the summed dimension lie. */
typedef struct piece {
    const bt_nn_product *p; /* of the job */
    const bt_nn_packed  *packed;
    int64_t              row, end_row;
    int64_t              col, end_col; /* of p */
    int64_t              step;         /* of the job's */
    int64_t              d, depth;     /* of p */
    int32_t              thread;
} piece;

/* The columns of a job's results that a task has, the results side by side. */
typedef struct columns {
    int64_t first, end;
} columns;

/* Those of product i; none where first is not below end. */
static columns columns_of(const product_job *job, const columns *all, int32_t i) {
    int64_t before = 0;
    for (int32_t j = 0; j < i; j++) {
        before += whole_tiles(job->kern, job->p[j].N);
    }
    return (columns){all->first > before ? all->first - before : 0,
                     bt_i64_min(all->end - before, job->p[i].N)};
}

static int32_t n_results(const product_job *job) {
    return job->is_sum ? 1 : job->n;
}

static void set_product(const product_job *job, piece *at, int32_t i) {
    at->p = &job->p[i];
    at->packed = job->packed[i];
}

static void set_step(const product_job *job, piece *at, int64_t step) {
    if (job->is_sum) {
        set_product(job, at, (int32_t)(step / job->n_blocks));
    }
    at->step = step;
    at->d = step % job->n_blocks * job->depth;
    at->depth = bt_i64_min(job->depth, at->p->K - at->d);
}

/* A thread's scratch. */
typedef struct panels {
    unsigned char *a, *b;
    float         *sums; /* a tile's rows of the block of columns, not yet rounded */
} panels;

static panels panels_of(const product_job *job, int32_t thread) {
    unsigned char *const at = job->nn->panels + (size_t)thread * job->nn->panel_bytes;
    const int64_t        depth = job->kern->depth;
    unsigned char *const b = at + nn_panels_bytes(job->kern, MAX_PIECE_ROWS, depth);
    unsigned char *const sums = b + nn_panels_bytes(job->kern, block_cols(job->kern), depth);
    return (panels){.a = at, .b = b, .sums = (float *)(void *)sums};
}

/* Are the rows of A that tile i needs read where they lie? The last ones may be too few for a tile.
 */
static bool is_in_place(const product_job *job, const piece *at, int64_t i) {
    return job->in_place && i + job->kern->rows <= at->end_row;
}

static void pack_a(const product_job *job, const piece *at, unsigned char *out) {
    const bt_nn_product *const   p = at->p;
    const bt_kern_product *const kern = job->kern;
    const bool                   lies = p->trans_a == BT_KERN_T;
    const int64_t                wide_step = lies ? 1 : p->ld_a;
    const int64_t                deep_step = lies ? p->ld_a : 1;
    const int64_t                n_rows = at->end_row - at->row;
    const int64_t                first = job->in_place ? n_rows / kern->rows * kern->rows : 0;
    const int64_t                from = (at->row + first) * wide_step + at->d * deep_step;
    const int64_t                there = p->M - at->row - first;
    if (first == n_rows) {
        return;
    }
    out += nn_panels_bytes(kern, first, at->depth);
    if (p->a16 != NULL) {
        kern->pack_a16(out, p->a16 + from, wide_step, deep_step, n_rows - first, there, at->depth);
    } else {
        kern->pack_a(out, p->a + from, wide_step, deep_step, n_rows - first, there, at->depth);
    }
}

/* Are the panels of B there, as tiles read them? */
static bool is_kept(const piece *at) {
    return at->packed != NULL && !at->packed->is_halved;
}

/* The panels of B from their bfloat16. */
static void widen_b(const product_job *job, const piece *at, unsigned char *out) {
    const bt_kern_product *const kern = job->kern;
    const int64_t                n_cols = ceil_div(at->end_col - at->col, kern->cols) * kern->cols;
    const void                  *from = nn_packed_at(at->packed, at->d, at->depth, at->col);
    job->nn->kern->from_bf16((float *)(void *)out, from,
                             (int64_t)(nn_panels_bytes(kern, n_cols, at->depth) / sizeof(float)));
}

/* Returns the panels: out, or where they are kept. */
static const unsigned char *pack_b(const product_job *job, const piece *at, unsigned char *out) {
    const bt_nn_product *const   p = at->p;
    const bt_kern_product *const kern = job->kern;
    const bool                   lies = p->trans_b == BT_KERN_T;
    const int64_t                wide_step = lies ? p->ld_b : 1;
    const int64_t                deep_step = lies ? 1 : p->ld_b;
    const int64_t                n_cols = at->end_col - at->col;
    const int64_t                from = at->col * wide_step + at->d * deep_step;
    if (is_kept(at)) {
        return nn_packed_at(at->packed, at->d, at->depth, at->col);
    }
    if (at->packed != NULL) {
        widen_b(job, at, out);
        return out;
    }
    if (p->b16 != NULL) {
        kern->pack_b16(out, p->b16 + from, wide_step, deep_step, n_cols, p->N - at->col, at->depth);
    } else {
        kern->pack_b(out, p->b + from, wide_step, deep_step, n_cols, p->N - at->col, at->depth);
    }
    return out;
}

/* A tile of rows with a block of columns, to c. */
static void multiply_row(const product_job *job, const piece *at, int64_t i, float *c, int64_t ld_c,
                         const void *a_panel, const unsigned char *b_panels) {
    const bt_nn_product *const   p = at->p;
    const bt_kern_product *const kern = job->kern;
    const bool                   accumulate = p->accumulate || at->step > 0;
    const int64_t                from = i * p->ld_a + at->d; /* where A is read in place */
    for (int64_t j = at->col; j < at->end_col; j += kern->cols) {
        float *const               out = c + j - at->col;
        const unsigned char *const b = b_panels + nn_panels_bytes(kern, j - at->col, at->depth);
        if (!is_in_place(job, at, i)) {
            kern->tile(out, ld_c, a_panel, b, at->end_row - i, at->end_col - j, at->depth, p->alpha,
                       accumulate);
        } else if (p->a16 != NULL) {
            kern->tile_in_place16(out, ld_c, p->a16 + from, p->ld_a, b, at->end_col - j, at->depth,
                                  p->alpha, accumulate);
        } else {
            kern->tile_in_place(out, ld_c, p->a + from, p->ld_a, b, at->end_col - j, at->depth,
                                p->alpha, accumulate);
        }
    }
}

/* What is still to be done to the rows of tile i, which are at c. */
static void finish_row(const product_job *job, const piece *at, int64_t i, float *c, int64_t ld_c) {
    const bt_nn_product *const p = at->p;
    const int64_t              n_rows = bt_i64_min(job->kern->rows, at->end_row - i);
    const int64_t              n_cols = at->end_col - at->col;
    if (p->epilogue != NULL) {
        p->epilogue(p->context, at->thread, c, ld_c, i, n_rows, at->col, n_cols);
    }
    for (int64_t r = 0; r < n_rows && p->c16 != NULL; r++) {
        job->nn->kern->to_bf16(p->c16 + (i + r) * p->ld_c + at->col, c + r * ld_c, n_cols);
    }
}

/* A step's tiles of the columns [at->col, end_col), with the panels of A in a. */
static void multiply_step(const product_job *job, piece *at, const panels *to, int64_t end_col) {
    const bt_kern_product *const kern = job->kern;
    const int64_t                block = block_cols(kern);
    for (; at->col < end_col; at->col += block) {
        at->end_col = bt_i64_min(at->col + block, end_col);
        const unsigned char *const b = pack_b(job, at, to->b);
        for (int64_t i = at->row; i < at->end_row; i += kern->rows) {
            float *const c = at->p->c + i * at->p->ld_c + at->col;
            multiply_row(job, at, i, c, at->p->ld_c,
                         to->a + nn_panels_bytes(kern, i - at->row, at->depth), b);
            if (at->step == job->n_steps - 1) {
                finish_row(job, at, i, c, at->p->ld_c);
            }
        }
    }
}

/* Sums in C, which is added to block by block of the summed dimension. */
static void run_to_c(const product_job *job, piece *at, const panels *to, const columns *all) {
    for (int64_t step = 0; step < job->n_steps; step++) {
        set_step(job, at, step);
        pack_a(job, at, to->a);
        for (int32_t i = 0; i < n_results(job); i++) {
            const columns own = columns_of(job, all, i);
            if (!job->is_sum) {
                set_product(job, at, i);
            }
            at->col = own.first;
            multiply_step(job, at, to, own.end);
        }
    }
}

/* What is packed at once where the sums of a tile's rows are completed before the next ones: rows
 * and columns in all their depth. */
typedef struct deep_block {
    int64_t n_blocks; /* of the summed dimension */
    int64_t rows, cols;
    int64_t ld_sums;
    size_t  a_bytes, b_bytes; /* of the panels of one block of the summed dimension */
    bool    is_too_deep;      /* for even one panel of columns: factors are packed for each tile */
} deep_block;

/* Sums of float32 can wait in C, at the cost of one more way through memory a step. They need not
 * where all columns of a piece have room at once: nothing is read or packed twice then. */
static bool has_room_deep(const product_job *job) {
    const bt_kern_product *const kern = job->kern;
    const int64_t                rows = MAX_PIECE_ROWS / kern->rows / job->n_steps * kern->rows;
    const int64_t cols = block_cols(kern) * kern->depth / (job->depth * job->n_steps);
    return job->n_steps > 1 && job->cols <= cols && rows > 0 &&
           (job->is_packed || job->rows <= rows);
}

static deep_block deep_block_of(const product_job *job) {
    const bt_kern_product *const kern = job->kern;
    deep_block                   b = {.n_blocks = job->n_steps};
    const int64_t                n_row_panels = MAX_PIECE_ROWS / kern->rows / b.n_blocks;
    const int64_t                n_col_panels =
        job->p->c16 == NULL ? job->cols / kern->cols : block_cols(kern) / kern->cols / b.n_blocks;
    b.is_too_deep = n_row_panels == 0 || n_col_panels == 0;
    b.rows = (b.is_too_deep ? 1 : n_row_panels) * kern->rows;
    b.cols = (b.is_too_deep ? 1 : n_col_panels) * kern->cols;
    b.ld_sums = b.cols + SUMS_GAP;
    b.a_bytes = b.is_too_deep ? 0 : nn_panels_bytes(kern, b.rows, job->depth);
    b.b_bytes = b.is_too_deep ? 0 : nn_panels_bytes(kern, b.cols, job->depth);
    return b;
}

/* All tiles of the rows and columns that are packed. Sums are in C, or, to be rounded, in the
 * scratch. */
static void multiply_deep(const product_job *job, piece *at, const panels *to,
                          const deep_block *deep) {
    const bt_kern_product *const kern = job->kern;
    const bool                   in_c = at->p->c16 == NULL;
    const int64_t                ld = in_c ? at->p->ld_c : deep->ld_sums;
    for (int64_t i = at->row; i < at->end_row; i += kern->rows) {
        float *const sums = in_c ? at->p->c + i * ld + at->col : to->sums;
        for (int64_t n = 0; n < deep->n_blocks; n++) {
            const unsigned char *b = to->b + (size_t)n * deep->b_bytes;
            set_step(job, at, n);
            if (deep->is_too_deep) {
                pack_a(job, at, to->a);
            }
            if (deep->is_too_deep || is_kept(at)) {
                b = pack_b(job, at, to->b);
            }
            multiply_row(job, at, i, sums, ld,
                         to->a + (size_t)n * deep->a_bytes +
                             nn_panels_bytes(kern, i - at->row, at->depth),
                         b);
        }
        finish_row(job, at, i, sums, ld);
    }
}

/* The columns [at->col, end_col) of one result, with all panels of A there. */
static void run_deep_columns(const product_job *job, piece *at, const panels *to, int64_t end_col,
                             const deep_block *deep) {
    for (; at->col < end_col; at->col += deep->cols) {
        at->end_col = bt_i64_min(at->col + deep->cols, end_col);
        for (int64_t n = 0; n < deep->n_blocks && !deep->is_too_deep; n++) {
            set_step(job, at, n);
            (void)pack_b(job, at, to->b + (size_t)n * deep->b_bytes);
        }
        multiply_deep(job, at, to, deep);
    }
}

/* A tile's rows meet all blocks of the summed dimension before they leave the cache. */
static void run_deep(const product_job *job, piece *at, const panels *to, const columns *all) {
    const deep_block deep = deep_block_of(job);
    const int64_t    end_row = at->end_row;
    for (; at->row < end_row; at->row += deep.rows) {
        at->end_row = bt_i64_min(at->row + deep.rows, end_row);
        for (int64_t n = 0; n < deep.n_blocks && !deep.is_too_deep; n++) {
            set_step(job, at, n);
            pack_a(job, at, to->a + (size_t)n * deep.a_bytes);
        }
        for (int32_t i = 0; i < n_results(job); i++) {
            const columns own = columns_of(job, all, i);
            set_product(job, at, i);
            at->col = own.first;
            run_deep_columns(job, at, to, own.end, &deep);
        }
    }
}

static void piece_task(void *context, int64_t task, int32_t thread) {
    const product_job *const job = context;
    const panels             to = panels_of(job, thread);
    const int64_t            row = task % job->n_row_pieces * job->rows;
    const int64_t            col = task / job->n_row_pieces * job->cols;
    const columns            all = {col, bt_i64_min(col + job->cols, job->cols_there)};
    piece at = {.row = row, .end_row = bt_i64_min(row + job->rows, job->p->M), .thread = thread};
    set_product(job, &at, 0);
    if (job->kern->start != NULL) {
        job->kern->start();
    }
    if (job->is_deep) {
        run_deep(job, &at, &to, &all);
    } else {
        run_to_c(job, &at, &to, &all);
    }
    if (job->kern->stop != NULL) {
        job->kern->stop();
    }
}

/* A factor that has panels, or needs none, may have more pieces than one that every piece packs for
 * itself. Where neither or both are packed, pieces are near to squares. */
static void set_costs(product_job *job) {
    job->is_packed = true;
    for (int32_t i = 0; i < job->n; i++) {
        const bt_nn_packed *const packed = job->packed[i];
        job->is_packed = job->is_packed && packed != NULL && !packed->is_halved;
    }
    job->row_cost = job->in_place && !job->is_packed ? READ_COST : PACK_COST;
    job->col_cost = job->is_packed && !job->in_place ? READ_COST : PACK_COST;
}

/* What the busiest thread does, in multiply-adds for each step of the summed dimension. */
static int64_t cost_of(const product_job *job, int64_t rows, int64_t cols, int64_t n_pieces) {
    return ceil_div(n_pieces, bt_pool_n_threads(job->nn->pool)) *
           (rows * cols + job->row_cost * rows + job->col_cost * cols);
}

static void try_cut(product_job *job, int64_t n_row_pieces, int64_t n_col_pieces, int64_t *best) {
    const bt_kern_product *const kern = job->kern;
    const int64_t                a_panels = ceil_div(job->p->M, kern->rows);
    const int64_t                b_panels = job->cols_there / kern->cols;
    const int64_t                rows = ceil_div(a_panels, n_row_pieces) * kern->rows;
    const int64_t                cols = ceil_div(b_panels, n_col_pieces) * kern->cols;
    const int64_t                n_rows = ceil_div(job->p->M, rows);
    const int64_t                n_cols = ceil_div(job->cols_there, cols);
    const int64_t                cost = cost_of(job, rows, cols, n_rows * n_cols);
    if (cost < *best) {
        *best = cost;
        job->rows = rows;
        job->cols = cols;
        job->n_row_pieces = n_rows;
        job->n_col_pieces = n_cols;
    }
}

/* Few threads: every cut is looked at. Many would have more to look at than a product costs: for
 * each number of columns the most rows that so many rounds of all threads have room for. */
static void cut_pieces(product_job *job) {
    const int64_t n_threads = bt_pool_n_threads(job->nn->pool);
    const int64_t min_rows = ceil_div(job->p->M, MAX_PIECE_ROWS);
    const int64_t most_cols = bt_i64_min(2 * n_threads, job->cols_there / job->kern->cols);
    const int64_t a_panels = ceil_div(job->p->M, job->kern->rows);
    const int64_t most_rows = bt_i64_min(min_rows + 2 * n_threads, a_panels);
    int64_t       best = INT64_MAX;
    for (int64_t n_cols = 1; n_cols <= most_cols; n_cols++) {
        for (int64_t n_rows = min_rows; n_threads <= FEW_THREADS && n_rows <= most_rows; n_rows++) {
            try_cut(job, n_rows, n_cols, &best);
        }
        for (int64_t round = 1; n_threads > FEW_THREADS && round <= MOST_ROUNDS; round++) {
            const int64_t n_rows = bt_i64_min(round * n_threads / n_cols, most_rows);
            try_cut(job, n_rows > min_rows ? n_rows : min_rows, n_cols, &best);
        }
    }
}

/* Rows that lie whole pages apart all fall into the same few lines of the first cache, where they
 * drive each other out before a line is used up: those are packed. */
static bool can_stay_in_place(const bt_nn_product *p, const bt_kern_product *kern) {
    const int64_t element_bytes = p->a16 != NULL ? sizeof *p->a16 : sizeof *p->a;
    const bool    has_kernel = p->a16 != NULL
                                   ? kern->tile_in_place16 != NULL && p->K % kern->depth_step == 0
                                   : kern->tile_in_place != NULL;
    return has_kernel && p->trans_a != BT_KERN_T && p->ld_a * element_bytes % CACHE_WAY_BYTES != 0;
}

static void run_pieces(bt_nn *nn, const bt_nn_product *p, int32_t n, bool is_sum) {
    const bt_kern_product *const kern = nn->product;
    product_job                  job = {.nn = nn,
                                        .kern = kern,
                                        .p = p,
                                        .n = n,
                                        .is_sum = is_sum,
                                        .depth = nn_block_depth(kern, p->K),
                                        .in_place = can_stay_in_place(p, kern)};
    BT_ASSERT(nn->panel_bytes >= bt_nn_product_scratch_bytes(kern));
    for (int32_t i = 0; i < n; i++) {
        BT_ASSERT((p[i].a16 == NULL && p[i].b16 == NULL) || kern->pack_a16 != NULL);
        BT_ASSERT(p[i].c16 == NULL || !p[i].accumulate);
        BT_ASSERT((p[i].c16 == NULL) == (p->c16 == NULL));
        job.packed[i] = p[i].b_packed != NULL ? p[i].b_packed : nn_find_packed(nn, &p[i]);
        job.cols_there += is_sum && i > 0 ? 0 : whole_tiles(kern, p[i].N);
    }
    job.n_blocks = ceil_div(p->K, job.depth);
    job.n_steps = job.n_blocks * (is_sum ? n : 1);
    set_costs(&job);
    cut_pieces(&job);
    job.is_deep = p->c16 != NULL || has_room_deep(&job);
    bt_pool_run_cut(nn->pool, job.n_row_pieces * job.n_col_pieces, piece_task, &job);
}

typedef struct epilogue_job {
    const bt_nn_product *p;
    nn_chunks            chunks;
} epilogue_job;

static void epilogue_task(void *context, int64_t task, int32_t thread) {
    const epilogue_job *const job = context;
    const int64_t             first = nn_chunk_first(&job->chunks, task);
    job->p->epilogue(job->p->context, thread, job->p->c + first * job->p->ld_c, job->p->ld_c, first,
                     nn_chunk_end(&job->chunks, task) - first, 0, job->p->N);
}

static void run_blas(bt_nn *nn, const bt_nn_product *p) {
    BT_ASSERT(p->a16 == NULL && p->b16 == NULL && p->c16 == NULL && p->b_packed == NULL);
    bt_kern_gemm(p->c, p->ld_c, p->trans_a, p->a, p->ld_a, p->trans_b, p->b, p->ld_b, p->M, p->N,
                 p->K, p->alpha, p->accumulate ? 1 : 0);
    if (p->epilogue != NULL) {
        epilogue_job job = {.p = p, .chunks = nn_chunks_of(p->M)};
        bt_pool_run(nn->pool, job.chunks.n_chunks, epilogue_task, &job);
    }
}

static void run_all_blas(bt_nn *nn, const bt_nn_product *p, int32_t n, bool is_sum) {
    for (int32_t i = 0; i < n; i++) {
        bt_nn_product each = p[i];
        each.accumulate = p[i].accumulate || (is_sum && i > 0);
        each.epilogue = is_sum && i < n - 1 ? NULL : p[i].epilogue;
        run_blas(nn, &each);
    }
}

static void run_products(bt_nn *nn, const bt_nn_product *p, int32_t n, bool is_sum) {
    if (n == 0 || p->M == 0 || p->N == 0) {
        return;
    }
    const double start = bt_time_monotonic();
    BT_ASSERT(n <= BT_NN_MOST_PRODUCTS && p->K > 0);
    if (nn->product == NULL) {
        run_all_blas(nn, p, n, is_sum);
    } else {
        run_pieces(nn, p, n, is_sum);
    }
    nn->products.seconds += bt_time_monotonic() - start;
    for (int32_t i = 0; i < n; i++) {
        nn->products.flops += 2.0 * (double)p[i].M * (double)p[i].N * (double)p[i].K;
    }
    nn->products.n_calls++;
}

void bt_nn_product_run(bt_nn *nn, const bt_nn_product *product) {
    run_products(nn, product, 1, false);
}

void bt_nn_products_beside(bt_nn *nn, const bt_nn_product *p, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        BT_ASSERT(p[i].a == p->a && p[i].a16 == p->a16 && p[i].M == p->M && p[i].K == p->K);
    }
    run_products(nn, p, n, false);
}

void bt_nn_products_summed(bt_nn *nn, const bt_nn_product *p, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        BT_ASSERT(p[i].c == p->c && p[i].c16 == p->c16 && p[i].M == p->M && p[i].K == p->K);
        BT_ASSERT(p[i].N == p->N && p[i].ld_a == p->ld_a && (p[i].a == NULL) == (p->a == NULL));
    }
    run_products(nn, p, n, true);
}
