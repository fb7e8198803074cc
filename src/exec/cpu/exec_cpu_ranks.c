/* SPDX-License-Identifier: Apache-2.0
 *
 * One of several processes that train together (bt/comm.h): each has a share of every batch's
 * sequences, all make the same update with the sum of the shares' gradients. Losses are divided by
 * the weights of the whole batch and dropout masks are numbered through it, as for parts of a
 * batch (exec_cpu_parts.c), so that the sum is the gradient of the whole, whoever made which share.
 * adamw clips each share by itself (numerics.md section 2). */
#include <math.h>
#include <string.h>

#include "exec_cpu_internal.h"

exec_share exec_ranks_share(const exec_cpu *exec, const bt_batch *batch) {
    const bt_comm *const comm = exec->ranks.comm;
    return comm == NULL
               ? (exec_share){0, batch->n_seqs}
               : exec_share_of(batch, bt_comm_rank(comm), bt_comm_size(comm), exec->ranks.division);
}

/* ---- making and checks --------------------------------------------------------------------------
 */

static bt_status check_offered(const bt_model *model, const bt_optim *optim, bt_error *err) {
    if (model->head.loss == BT_LOSS_RANKING) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "runtime.distribution_strategy: multi_worker_mirrored with several processes "
            "is not offered for a dual encoder, whose loss holds each pair against all "
            "others of the batch: train it in one process");
    }
    if (bt_optim_needs_word_rows(optim)) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "runtime.distribution_strategy: multi_worker_mirrored with several processes "
            "is not offered with clipvalue, which clips the gradient of each word: set "
            "clipvalue to null");
    }
    return BT_OK;
}

bt_status exec_ranks_init(exec_cpu *exec, const bt_exec_config *config, bt_error *err) {
    exec_ranks *const ranks = &exec->ranks;
    if (config->comm == NULL || exec->optim == NULL) {
        return BT_OK;
    }
    BT_TRY(check_offered(exec->model, exec->optim, err));
    const size_t n_words = (size_t)exec->model->encoder.vocab_size;
    *ranks = (exec_ranks){.comm = config->comm,
                          .wire = config->wire,
                          .division = config->shares == BT_EXEC_SHARES_SEQUENCES ? EXEC_BY_SEQUENCES
                                                                                 : EXEC_BY_TOKENS,
                          .words = bt_calloc_array(n_words, sizeof *ranks->words),
                          .is_word = bt_calloc_array(n_words, sizeof *ranks->is_word)};
    return ranks->words != NULL && ranks->is_word != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the words of a batch");
}

void exec_ranks_deinit(exec_ranks *ranks) {
    bt_free(ranks->words);
    bt_free(ranks->is_word);
    bt_free(ranks->rows);
    *ranks = (exec_ranks){.comm = NULL};
}

/* Who has no sequence of a short batch makes a gradient of zeros, and no pass over memory could be
 * spared. */
void exec_ranks_empty_share(exec_cpu *exec) {
    memset(exec->base.grad, 0, (size_t)exec->model->table.n_elements * sizeof *exec->base.grad);
}

/* ---- rows of the word table ---------------------------------------------------------------------
 * All ranks read the whole batch, so they know the same words in the same order: only rows travel.
 */

static void list_words(exec_ranks *ranks, const bt_batch *batch) {
    for (int64_t i = 0; i < ranks->n_words; i++) {
        ranks->is_word[ranks->words[i]] = false;
    }
    ranks->n_words = 0;
    for (int64_t t = 0; t < batch->n_tokens; t++) {
        const int32_t id = batch->ids[t];
        if (!ranks->is_word[id]) {
            ranks->is_word[id] = true;
            ranks->words[ranks->n_words++] = id;
        }
    }
}

/* A quarter more than this batch has, so that not every longer one asks for memory. */
static bt_status need_rows(exec_ranks *ranks, int64_t width, bt_error *err) {
    const int64_t n = ranks->n_words * width;
    if (n <= ranks->cap_rows) {
        return BT_OK;
    }
    bt_free(ranks->rows);
    ranks->cap_rows = n + n / 4;
    ranks->rows = bt_alloc_array((size_t)ranks->cap_rows, sizeof *ranks->rows);
    if (ranks->rows == NULL) {
        ranks->cap_rows = 0;
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the word rows of a batch");
    }
    return BT_OK;
}

typedef struct rows_job {
    exec_ranks *ranks;
    float      *table; /* the word table's gradient */
    int64_t     width;
    bool        is_back; /* from the rows into the table */
} rows_job;

enum { ROWS_A_TASK = 64 };

static void rows_task(void *context, int64_t task, int32_t thread) {
    const rows_job *const job = context;
    (void)thread;
    for (int64_t i = task * ROWS_A_TASK; i < (task + 1) * ROWS_A_TASK && i < job->ranks->n_words;
         i++) {
        float *const row = job->ranks->rows + i * job->width;
        float *const at = job->table + job->ranks->words[i] * job->width;
        memcpy(job->is_back ? at : row, job->is_back ? row : at, (size_t)job->width * sizeof *row);
    }
}

static void move_rows(exec_cpu *exec, const bt_param *word, bool is_back) {
    rows_job job = {.ranks = &exec->ranks,
                    .table = exec->base.grad + word->offset,
                    .width = word->dim[1],
                    .is_back = is_back};
    bt_pool_run(exec->pool, (exec->ranks.n_words + ROWS_A_TASK - 1) / ROWS_A_TASK, rows_task, &job);
}

/* ---- the sum ------------------------------------------------------------------------------------
 */

typedef struct scale_job {
    const exec_cpu *exec;
    float          *first;
    int64_t         n;
    float           factor;
} scale_job;

enum { SCALE_CHUNK = 1 << 18 };

static void scale_task(void *context, int64_t task, int32_t thread) {
    const scale_job *const job = context;
    const int64_t          left = job->n - task * SCALE_CHUNK;
    (void)thread;
    job->exec->kern.scale(job->first + task * SCALE_CHUNK, job->factor,
                          left < SCALE_CHUNK ? left : SCALE_CHUNK);
}

static void scale(exec_cpu *exec, float *first, int64_t n, float factor) {
    scale_job job = {.exec = exec, .first = first, .n = n, .factor = factor};
    if (factor != 1.0F) {
        bt_pool_run(exec->pool, (n + SCALE_CHUNK - 1) / SCALE_CHUNK, scale_task, &job);
    }
}

/* A range of the gradient, clipped by factor, on its way. */
static bt_status begin_sum(exec_cpu *exec, float *first, int64_t n, float factor, bt_comm_op **op,
                           bt_error *err) {
    scale(exec, first, n, factor);
    return bt_comm_begin_sum_f32(exec->ranks.comm, first, n, exec->ranks.wire, op, err);
}

static bt_status sum_gradients(exec_cpu *exec, const bt_batch *batch, float factor, bt_error *err) {
    exec_ranks *const     ranks = &exec->ranks;
    const bt_model *const m = exec->model;
    const bt_param *const word = &m->table.params[m->word_embeddings];
    const int64_t         behind = word->offset + word->n_elements;
    bt_comm_op           *ops[3] = {NULL, NULL, NULL};
    bt_status             rc = BT_OK;
    list_words(ranks, batch);
    BT_TRY(need_rows(ranks, word->dim[1], err));
    move_rows(exec, word, false);
    rc = begin_sum(exec, exec->base.grad, word->offset, factor, &ops[0], err);
    if (rc == BT_OK) {
        rc = begin_sum(exec, exec->base.grad + behind, m->table.n_elements - behind, factor,
                       &ops[1], err);
    }
    if (rc == BT_OK) {
        rc = begin_sum(exec, ranks->rows, ranks->n_words * word->dim[1], factor, &ops[2], err);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(ops); i++) { /* each that was begun is waited for */
        const bt_status waited = bt_comm_wait(ops[i], rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? waited : rc;
    }
    if (rc == BT_OK) {
        move_rows(exec, word, true);
    }
    return rc;
}

bt_status exec_ranks_sum(exec_cpu *exec, const bt_batch *batch, bt_step_result *result,
                         double *word_rows_sum_sq, bt_error *err) {
    bt_comm *const         comm = exec->ranks.comm;
    const double           began = bt_time_monotonic();
    const bt_optim_buffers buffers = exec_optim_buffers(exec);
    const bool             is_clipped = bt_optim_clips_shares(exec->optim);
    float                  factor = 1;
    double                 norm = 0;
    if (is_clipped) {
        norm = bt_optim_share_norm(exec->optim, &buffers, *word_rows_sum_sq, exec->pool, &factor);
    }
    double sums[] = {result->loss, *word_rows_sum_sq * (double)factor * (double)factor};
    BT_TRY(bt_comm_combine_f64(comm, BT_COMM_SUM, sums, BT_ARRAY_LEN(sums), err));
    BT_TRY(bt_comm_combine_f64(comm, BT_COMM_MAX, &norm, 1, err));
    BT_TRY(bt_comm_sum_f32(comm, exec->parts.logits, bt_model_n_logits(exec->model, batch),
                           BT_COMM_F32, err));
    BT_TRY(sum_gradients(exec, batch, factor, err));
    result->loss = sums[0];
    result->grad_norm = norm;
    *word_rows_sum_sq = sums[1];
    result->times.exchange = bt_time_monotonic() - began;
    return BT_OK;
}
