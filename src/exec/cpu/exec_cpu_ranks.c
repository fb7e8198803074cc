/* SPDX-License-Identifier: Apache-2.0
 *
 * One of several processes that train together (bt/comm.h): each has a share of every batch's
 * sequences, all make the same update with the sum of the shares' gradients. Losses are divided by
 * the weights of the whole batch and dropout masks are numbered through it, as for parts of a
 * batch (exec_cpu_parts.c), so that the sum is the gradient of the whole, whoever made which share.
 * adamw clips each share by itself (docs/model_garden/numerics.md section 2). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "exec_cpu_internal.h"

enum { RANGES_BESIDE_LAYERS = 3, ROWS_A_TASK = 64, SCALE_CHUNK = 1 << 18 };

exec_share exec_ranks_share(const exec_cpu *exec, const bt_batch *batch) {
    const bt_comm *const comm = exec->ranks.comm;
    return comm == NULL
               ? (exec_share){0, batch->n_seqs}
               : exec_share_of(batch, bt_comm_rank(comm), bt_comm_size(comm), exec->ranks.division);
}

static bt_status check_offered(const bt_model *model, const bt_optim *optim, bt_error *err) {
    if (model->head.loss == BT_LOSS_RANKING) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "runtime.distribution_strategy: multi_worker_mirrored with several processes "
            "is not supported for a dual encoder, whose loss holds each pair against all "
            "others of the batch: train it in one process");
    }
    if (bt_optim_needs_word_rows(optim)) {
        return BT_FAIL(
            err, BT_E_UNSUPPORTED,
            "runtime.distribution_strategy: multi_worker_mirrored with several processes "
            "is not supported with clipvalue, which clips the gradient of each word: set "
            "clipvalue to null");
    }
    return BT_OK;
}

/* In the order in which the backward pass makes them final: what is behind the layers, the
 * layers from the last to the first (shared ones are one), the other embeddings, the word table. */
static bt_status list_ranges(exec_ranks *ranks, const bt_model *m, bt_error *err) {
    const int64_t L = m->encoder.type == BT_ENCODER_ALBERT ? 1 : m->encoder.num_layers;
    int64_t       end = m->pooler_transform.kernel;
    ranks->n_ranges = (int32_t)L + RANGES_BESIDE_LAYERS;
    ranks->ranges = bt_calloc_array((size_t)ranks->n_ranges, sizeof *ranks->ranges);
    ranks->ops = bt_calloc_array((size_t)ranks->n_ranges, sizeof(bt_comm_op *));
    if (ranks->ranges == NULL || ranks->ops == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the gradients of %" PRId64 " layers", L);
    }
    exec_range *range = ranks->ranges;
    *range++ = (exec_range){end, m->table.n_params};
    for (int64_t l = L - 1; l >= 0; l--) {
        *range++ = (exec_range){m->layers[l].query.kernel, end};
        end = m->layers[l].query.kernel;
    }
    BT_ASSERT(m->word_embeddings == 0);
    *range++ = (exec_range){1, end};
    *range = (exec_range){0, 1};
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
    if (ranks->words == NULL || ranks->is_word == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the words of a batch");
    }
    return list_ranges(ranks, exec->model, err);
}

void exec_ranks_deinit(exec_ranks *ranks) {
    bt_free(ranks->words);
    bt_free(ranks->is_word);
    bt_free(ranks->rows);
    bt_free(ranks->ranges);
    bt_free(ranks->ops);
    *ranks = (exec_ranks){.comm = NULL};
}

/* Who has no sequence of a short batch makes a gradient of zeros, and no pass over memory could be
 * spared. */
void exec_ranks_empty_share(exec_cpu *exec) {
    memset(exec->base.grad, 0, (size_t)exec->model->table.n_elements * sizeof *exec->base.grad);
}

/* Rows of the word table.
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

static void rows_task(void *context, int64_t task, int32_t thread) {
    const rows_job *const job = context;
    const bt_pool_piece   piece = bt_pool_piece_of(job->ranks->n_words, ROWS_A_TASK, task);
    (void)thread;
    for (int64_t i = piece.first; i < piece.end; i++) {
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
    bt_pool_run(exec->pool, bt_pool_n_pieces(exec->ranks.n_words, ROWS_A_TASK), rows_task, &job);
}

/* Sums.
 * Begun range by range, each as soon as it can be: in the backward pass, or where shares are
 * clipped after it. Passes cannot fail, so what goes wrong there is kept until they are over. */

typedef struct scale_job {
    const exec_cpu *exec;
    float          *first;
    int64_t         n;
} scale_job;

static void scale_task(void *context, int64_t task, int32_t thread) {
    const scale_job *const job = context;
    const bt_pool_piece    piece = bt_pool_piece_of(job->n, SCALE_CHUNK, task);
    (void)thread;
    job->exec->kern.scale(job->first + piece.first, job->exec->ranks.factor, piece.n);
}

/* n gradients from first on, clipped and on their way. */
static bt_status begin_sum(exec_cpu *exec, float *first, int64_t n, bt_comm_op **op,
                           bt_error *err) {
    scale_job job = {.exec = exec, .first = first, .n = n};
    if (exec->ranks.factor != 1.0F) {
        bt_pool_run(exec->pool, bt_pool_n_pieces(n, SCALE_CHUNK), scale_task, &job);
    }
    return bt_comm_begin_sum_f32(exec->ranks.comm, first, n, exec->ranks.wire, op, err);
}

static const bt_param *word_table(const exec_cpu *exec) {
    return &exec->model->table.params[exec->model->word_embeddings];
}

static bool is_trained(const bt_param_table *table, exec_range r) {
    for (int64_t i = r.first; i < r.end; i++) {
        if (table->params[i].has_gradient) {
            return true;
        }
    }
    return false;
}

static bt_status begin_range(exec_cpu *exec, int32_t i, bt_error *err) {
    exec_ranks *const           ranks = &exec->ranks;
    const bt_param_table *const table = &exec->model->table;
    const exec_range            r = ranks->ranges[i];
    if (!is_trained(table, r)) {
        return BT_OK;
    }
    if (i == ranks->n_ranges - 1) {
        move_rows(exec, word_table(exec), false);
        return begin_sum(exec, ranks->rows, ranks->n_words * word_table(exec)->dim[1],
                         &ranks->ops[i], err);
    }
    const int64_t first = table->params[r.first].offset;
    const int64_t end = r.end < table->n_params ? table->params[r.end].offset : table->n_elements;
    return begin_sum(exec, exec->base.grad + first, end - first, &ranks->ops[i], err);
}

/* The first n ranges are final. */
static void begin_ranges(exec_cpu *exec, int32_t n) {
    exec_ranks *const ranks = &exec->ranks;
    while (ranks->n_begun < n && ranks->problem.code == BT_OK) {
        if (begin_range(exec, ranks->n_begun, &ranks->problem) == BT_OK) {
            ranks->n_begun++;
        }
    }
}

static void begin_logits(exec_cpu *exec, const bt_batch *batch) {
    exec_ranks *const ranks = &exec->ranks;
    const int64_t     n = bt_model_n_logits(exec->model, batch);
    if (ranks->logits_op == NULL && ranks->problem.code == BT_OK) {
        ranks->problem.code = bt_comm_begin_sum_f32(ranks->comm, exec->parts.logits, n, BT_COMM_F32,
                                                    &ranks->logits_op, &ranks->problem);
    }
}

bt_status exec_ranks_begin(exec_cpu *exec, const bt_batch *batch, bt_error *err) {
    exec_ranks *const ranks = &exec->ranks;
    ranks->n_begun = 0;
    ranks->is_last_part = false;
    ranks->sums_early = false;
    ranks->factor = 1;
    ranks->problem = (bt_error)BT_ERROR_INIT;
    list_words(ranks, batch);
    return need_rows(ranks, word_table(exec)->dim[1], err);
}

/* A scaled gradient is final when the scale is divided out of it. */
void exec_ranks_begin_part(exec_cpu *exec, bool is_last) {
    exec_ranks *const ranks = &exec->ranks;
    ranks->is_last_part = is_last && ranks->comm != NULL;
    ranks->sums_early =
        ranks->is_last_part && !bt_optim_clips_shares(exec->optim) && !exec->scale.is_on;
}

void exec_ranks_logits_done(exec_cpu *exec, const bt_batch *batch) {
    if (exec->ranks.is_last_part) {
        begin_logits(exec, batch);
    }
}

void exec_ranks_head_done(exec_cpu *exec) {
    if (exec->ranks.sums_early) {
        begin_ranges(exec, 1);
    }
}

void exec_ranks_layer_done(exec_cpu *exec, int64_t layer) {
    const int32_t n_layers = exec->ranks.n_ranges - RANGES_BESIDE_LAYERS;
    if (exec->ranks.sums_early && layer < n_layers) {
        begin_ranges(exec, 1 + n_layers - (int32_t)layer);
    }
}

/* NULL: it was waited for. */
static bt_status wait_range(exec_cpu *exec, int32_t i, bt_error *err) {
    exec_ranks *const ranks = &exec->ranks;
    bt_comm_op *const op = ranks->ops[i];
    ranks->ops[i] = NULL;
    BT_TRY(bt_comm_wait(op, err));
    if (op != NULL && i == ranks->n_ranges - 1) {
        move_rows(exec, word_table(exec), true);
    }
    return BT_OK;
}

/* Each that was begun is waited for, whatever became of the others. Returns the first failure. */
static bt_status wait_all(exec_cpu *exec, bt_status rc, bt_error *err) {
    bt_comm_op *const logits = exec->ranks.logits_op;
    exec->ranks.logits_op = NULL;
    for (int32_t i = 0; i < exec->ranks.n_begun; i++) {
        const bt_status waited = wait_range(exec, i, rc == BT_OK ? err : NULL);
        rc = rc == BT_OK ? waited : rc;
    }
    const bt_status waited = bt_comm_wait(logits, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? waited : rc;
}

/* What ranks tell each other of a step beside gradients. */
typedef enum told_sum { TOLD_LOSS, TOLD_WORD_ROWS, TOLD_NONFINITE, N_TOLD_SUMS } told_sum;
typedef struct told {
    double sums[N_TOLD_SUMS]; /* loss; word rows' squares as clipped; norms that are not finite */
    double norm;              /* the largest */
} told;

static bt_status tell(bt_comm *comm, told *t, bt_error *err) {
    bt_comm_op *sums = NULL;
    bt_comm_op *norm = NULL;
    bt_status   rc = bt_comm_begin_combine_f64(comm, BT_COMM_SUM, t->sums, N_TOLD_SUMS, &sums, err);
    if (rc == BT_OK) {
        rc = bt_comm_begin_combine_f64(comm, BT_COMM_MAX, &t->norm, 1, &norm, err);
    }
    const bt_status summed = bt_comm_wait(sums, rc == BT_OK ? err : NULL);
    rc = rc == BT_OK ? summed : rc;
    const bt_status compared = bt_comm_wait(norm, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? compared : rc;
}

/* Of clipped shares that are finite: the update of a range while the sums of others travel. */
static bt_status update_by_range(exec_cpu *exec, int64_t step, bt_error *err) {
    bt_optim_buffers buffers = exec_optim_buffers(exec);
    bt_status        rc = BT_OK;
    buffers.is_of_clipped = true;
    for (int32_t i = 0; i < exec->ranks.n_ranges && rc == BT_OK; i++) {
        const exec_range r = exec->ranks.ranges[i];
        rc = wait_range(exec, i, err);
        if (rc == BT_OK) {
            bt_optim_apply_part(exec->optim, &buffers, step, r.first, r.end, exec->pool);
        }
    }
    return wait_all(exec, rc, err);
}

static bt_status update_at_once(exec_cpu *exec, int64_t step, double word_rows_sum_sq, double *norm,
                                bool *applied, bt_error *err) {
    bt_optim_buffers buffers = exec_optim_buffers(exec);
    buffers.is_of_clipped = bt_optim_clips_shares(exec->optim);
    BT_TRY(wait_all(exec, BT_OK, err));
    if (*applied) {
        bt_optim_apply(exec->optim, &buffers, step, word_rows_sum_sq, exec->pool, norm, applied);
    }
    return BT_OK;
}

/* This rank's share of the sums is on its way, all of it. */
static bt_status begin_all(exec_cpu *exec, const bt_batch *batch, double word_rows_sum_sq, told *t,
                           bt_error *err) {
    exec_ranks *const      ranks = &exec->ranks;
    const bt_optim_buffers buffers = exec_optim_buffers(exec);
    if (bt_optim_clips_shares(exec->optim)) {
        t->norm = bt_optim_share_norm(exec->optim, &buffers, word_rows_sum_sq, exec->pool,
                                      &ranks->factor);
    }
    t->sums[TOLD_WORD_ROWS] = word_rows_sum_sq * (double)ranks->factor * (double)ranks->factor;
    t->sums[TOLD_NONFINITE] = !isfinite((float)t->norm);
    begin_logits(exec, batch);
    begin_ranges(exec, ranks->n_ranges);
    return ranks->problem.code == BT_OK
               ? BT_OK
               : BT_FAIL(err, ranks->problem.code, "%s", ranks->problem.msg);
}

static bt_status update(exec_cpu *exec, const bt_batch *batch, int64_t step, bt_step_result *result,
                        double word_rows_sum_sq, bool *applied, bt_error *err) {
    told      t = {.sums = {[TOLD_LOSS] = result->loss}};
    double    norm = 0;
    bt_status rc = begin_all(exec, batch, word_rows_sum_sq, &t, err);
    if (rc == BT_OK) {
        rc = tell(exec->ranks.comm, &t, err);
    }
    if (rc != BT_OK) {
        return wait_all(exec, rc, err);
    }
    result->loss = t.sums[TOLD_LOSS];
    *applied = isfinite(result->loss) && t.sums[TOLD_NONFINITE] == 0;
    if (*applied && bt_optim_is_by_parameter(exec->optim)) {
        BT_TRY(update_by_range(exec, step, err));
    } else {
        BT_TRY(update_at_once(exec, step, t.sums[TOLD_WORD_ROWS], &norm, applied, err));
    }
    result->grad_norm = bt_optim_clips_shares(exec->optim) ? t.norm : norm;
    return BT_OK;
}

bt_status exec_ranks_update(exec_cpu *exec, const bt_batch *batch, int64_t step,
                            bt_step_result *result, double word_rows_sum_sq, bool *applied,
                            bt_error *err) {
    bt_comm *const comm = exec->ranks.comm;
    const double   began = bt_time_monotonic();
    const double   waited = bt_comm_get_stats(comm).waited_seconds;
    BT_TRY(update(exec, batch, step, result, word_rows_sum_sq, applied, err));
    result->times.exchange = bt_comm_get_stats(comm).waited_seconds - waited;
    result->times.optimizer += bt_time_monotonic() - began - result->times.exchange;
    return BT_OK;
}
