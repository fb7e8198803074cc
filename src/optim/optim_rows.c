/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the word table that wait. For each row the number of updates that it has made since
 * `base`; for each update since then its rate. A row catches up by making its missing updates with
 * gradient 0 in one go. When the list of rates is full, all rows catch up and it starts over. */
#include <string.h>

#include "bt/base/alloc.h"
#include "optim_internal.h"

enum { MAX_WAITING = 1024, ROWS_A_TASK = 16 };

struct bt_optim_rows {
    const bt_optim     *optim;
    int64_t             param; /* the word table's index */
    int64_t             n_rows, width;
    int64_t             base;        /* the update that `args` begins with; -1: none was made yet */
    int64_t             next;        /* the update that will be made next */
    bt_kern_adamw_args *args;        /* [MAX_WAITING]; [next - base] are known */
    uint16_t           *n_made;      /* [n_rows] updates since base */
    bool               *is_in_batch; /* [n_rows] */
    int32_t            *batch;       /* [n_rows] the rows of the batch, each once */
    int64_t             n_batch;
};

typedef struct rows_job {
    bt_optim_rows          *rows;
    const bt_optim_buffers *buffers;
    const int32_t          *ids; /* NULL: all rows */
    int64_t                 n;
    const optim_step       *step;
} rows_job;

static int64_t find_word_table(const bt_param_table *table) {
    for (int64_t i = 0; i < table->n_params; i++) {
        if (table->params[i].is_word_embedding && table->params[i].has_gradient) {
            return i;
        }
    }
    return -1;
}

bt_status bt_optim_rows_create(const bt_optim *optim, bt_optim_rows **out, bt_error *err) {
    const int64_t param = find_word_table(optim->table);
    const bool can_wait = optim->rule->rows_can_wait && !optim->options.amsgrad && !optim->ema.on &&
                          !optim->options.clipvalue.is_set;
    *out = NULL;
    if (param < 0 || !can_wait) {
        return BT_OK;
    }
    bt_optim_rows *const rows = bt_calloc_array(1, sizeof *rows);
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of the word table");
    }
    const size_t n = (size_t)optim->table->params[param].dim[0];
    *rows = (bt_optim_rows){.optim = optim,
                            .param = param,
                            .n_rows = (int64_t)n,
                            .width = optim->table->params[param].dim[1],
                            .base = -1,
                            .args = bt_calloc_array(MAX_WAITING, sizeof *rows->args),
                            .n_made = bt_calloc_array(n, sizeof *rows->n_made),
                            .is_in_batch = bt_calloc_array(n, sizeof *rows->is_in_batch),
                            .batch = bt_calloc_array(n, sizeof *rows->batch)};
    if (rows->args == NULL || rows->n_made == NULL || rows->is_in_batch == NULL ||
        rows->batch == NULL) {
        bt_optim_rows_free(rows);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of the word table (%zu)", n);
    }
    *out = rows;
    return BT_OK;
}

void bt_optim_rows_free(bt_optim_rows *rows) {
    if (rows != NULL) {
        bt_free(rows->args);
        bt_free(rows->n_made);
        bt_free(rows->is_in_batch);
        bt_free(rows->batch);
        bt_free(rows);
    }
}

static int64_t row_of(const rows_job *job, int64_t i) {
    return job->ids != NULL ? job->ids[i] : i;
}

static void run_rows(rows_job *job, bt_pool *pool, bt_pool_fn fn) {
    bt_pool_run(pool, bt_pool_n_pieces(job->n, ROWS_A_TASK), fn, job);
}

static void catch_up_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const rows_job *const         job = context;
    bt_optim_rows *const          rows = job->rows;
    const bt_optim_buffers *const b = job->buffers;
    const int64_t                 n_updates = rows->next - rows->base;
    const int64_t                 offset = rows->optim->table->params[rows->param].offset;
    const bt_pool_piece           piece = bt_pool_piece_of(job->n, ROWS_A_TASK, task);
    for (int64_t i = piece.first; i < piece.end; i++) {
        const int64_t row = row_of(job, i);
        const int64_t at = offset + row * rows->width;
        const int64_t n_made = rows->n_made[row];
        if (n_made < n_updates) {
            rows->optim->kern.optim.adamw_idle(b->param + at, b->slots[0] + at, b->slots[1] + at,
                                               rows->width, rows->args + n_made,
                                               n_updates - n_made);
            rows->n_made[row] = (uint16_t)n_updates;
        }
    }
}

void bt_optim_rows_settle(bt_optim_rows *rows, const bt_optim_buffers *buffers, bt_pool *pool) {
    if (rows == NULL || rows->base < 0) {
        return;
    }
    rows_job job = {.rows = rows, .buffers = buffers, .n = rows->n_rows};
    run_rows(&job, pool, catch_up_task);
    memset(rows->n_made, 0, (size_t)rows->n_rows * sizeof *rows->n_made);
    rows->base = rows->next;
}

void bt_optim_rows_begin(bt_optim_rows *rows, const bt_optim_buffers *buffers, int64_t step,
                         bt_pool *pool) {
    if (rows->base < 0 || step != rows->next || rows->next - rows->base == MAX_WAITING) {
        bt_optim_rows_settle(rows, buffers, pool);
        rows->base = step;
        rows->next = step;
    }
    for (int64_t i = 0; i < rows->n_batch; i++) {
        rows->is_in_batch[rows->batch[i]] = false;
    }
    rows->n_batch = 0;
}

void bt_optim_rows_read(bt_optim_rows *rows, const bt_optim_buffers *buffers, const int32_t *ids,
                        int64_t n, bt_pool *pool) {
    const int64_t first = rows->n_batch;
    for (int64_t i = 0; i < n; i++) {
        if (!rows->is_in_batch[ids[i]]) {
            rows->is_in_batch[ids[i]] = true;
            rows->batch[rows->n_batch++] = ids[i];
        }
    }
    if (rows->base >= 0) {
        rows_job job = {.rows = rows,
                        .buffers = buffers,
                        .ids = rows->batch + first,
                        .n = rows->n_batch - first};
        run_rows(&job, pool, catch_up_task);
    }
}

const int32_t *bt_optim_rows_batch(const bt_optim_rows *rows, int64_t *n) {
    *n = rows->n_batch;
    return rows->batch;
}

static void update_task(void *context, int64_t task, int32_t thread) {
    (void)thread;
    const rows_job *const         job = context;
    bt_optim_rows *const          rows = job->rows;
    const bt_optim_buffers *const b = job->buffers;
    const int64_t                 offset = rows->optim->table->params[rows->param].offset;
    const bt_pool_piece           piece = bt_pool_piece_of(job->n, ROWS_A_TASK, task);
    for (int64_t i = piece.first; i < piece.end; i++) {
        const int64_t    row = row_of(job, i);
        const int64_t    at = offset + row * rows->width;
        const optim_span span = {.param = b->param + at,
                                 .grad = b->grad + at,
                                 .slots = {b->slots[0] + at, b->slots[1] + at},
                                 .n = rows->width,
                                 .state = &rows->optim->params[rows->param]};
        optim_update_adam(job->step, &span);
        rows->n_made[row]++;
    }
}

bool optim_rows_has(const bt_optim_rows *rows, int64_t param) {
    return rows != NULL && rows->param == param;
}

void optim_rows_update(bt_optim_rows *rows, const optim_step *step, int64_t n_done, bt_pool *pool) {
    BT_ASSERT(rows->next == n_done && rows->next - rows->base < MAX_WAITING);
    (void)n_done;
    rows_job job = {.rows = rows,
                    .buffers = step->buffers,
                    .ids = rows->batch,
                    .n = rows->n_batch,
                    .step = step};
    run_rows(&job, pool, update_task);
    rows->args[rows->next - rows->base] = optim_adam_args(step, &rows->optim->params[rows->param]);
    rows->next++;
}
