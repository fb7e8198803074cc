/* SPDX-License-Identifier: Apache-2.0
 *
 * One step: checks of the batch (exec_batch.c), forward, loss, backward, update. */
#include <math.h>
#include <string.h>

#include "bt/base/fp.h"
#include "bt/base/size.h"
#include "bt/base/time.h"
#include "exec_cpu_int8.h"
#include "exec_cpu_panels.h"

/* Batches of real text differ by some percent in tokens: a quarter more than this one has, but
 * never more than the records can hold, so that training plans once. */
static int64_t with_headroom(int64_t n_tokens, int64_t n_seqs, int64_t seq_length) {
    int64_t most = 0;
    if (!bt_i64_mul(n_seqs, seq_length, &most)) {
        return n_tokens;
    }
    const int64_t wanted = n_tokens + n_tokens / 4 < most ? n_tokens + n_tokens / 4 : most;
    return wanted > n_tokens ? wanted : n_tokens;
}

/* Lays the buffers out for such a pass, or part of a step. */
static bt_status make_room(exec_cpu *exec, const bt_batch *batch, const exec_shape *shape,
                           bt_error *err) {
    const int64_t longest = exec->model->encoder.max_position_embeddings;
    exec_shape    reserve = *shape;
    if (batch->seq_length > shape->max_length && batch->seq_length <= longest) {
        reserve.max_length = batch->seq_length;
    }
    reserve.n_tokens = with_headroom(shape->n_tokens, shape->n_seqs, batch->seq_length);
    return exec_plan(exec, shape, &reserve, err);
}

static bt_status prepare(exec_cpu *exec, const bt_batch *batch, bool all_rows, bt_error *err) {
    exec_shape shape = {.n_seqs = batch->n_seqs, .n_tokens = batch->n_tokens, .all_rows = all_rows};
    BT_TRY(exec_int8_check(exec, err));
    BT_TRY(exec_check_batch(exec->model, batch, &shape.max_length, err));
    return make_room(exec, batch, &shape, err);
}

static bt_status prepare_training(exec_cpu *exec, const bt_batch *batch, bt_error *err) {
    exec_shape shape = {.for_training = true};
    if (exec->int8 != NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "weights in 8 bits cannot be trained");
    }
    BT_TRY(exec_panels_check_none(exec, err));
    BT_TRY(exec_need_gradients(exec, err));
    BT_TRY(exec_check_batch(exec->model, batch, &shape.max_length, err));
    exec->share = exec_ranks_share(exec, batch);
    BT_TRY(exec_parts_reserve(exec, batch, err));
    shape.n_seqs = exec_part_seqs(exec);
    if (shape.n_seqs == 0) {
        return BT_OK;
    }
    shape.n_tokens = exec_part_max_tokens(exec, batch);
    return make_room(exec, batch, &shape, err);
}

void exec_read_words(exec_cpu *exec, const bt_batch *batch, int64_t step) {
    /* Only rounding to 8 bits can fail, and exec_int8_check, which every caller comes through, lets
     * no engine pass that has a weight left to round. */
    const bt_status closed = exec_panels_close(exec, NULL);
    BT_ASSERT(closed == BT_OK);
    (void)closed;
    exec_packs_renew(exec);
    if (exec->rows == NULL) {
        return;
    }
    const bt_optim_buffers buffers = exec_optim_buffers(exec);
    if (step >= 0) {
        bt_optim_rows_begin(exec->rows, &buffers, step, exec->pool);
    }
    bt_optim_rows_read(exec->rows, &buffers, batch->ids, batch->n_tokens, exec->pool);
}

exec_pass exec_pass_of(const exec_cpu *exec, const bt_batch *batch) {
    return (exec_pass){.batch = batch, .whole = batch, .n_layers = exec->model->encoder.num_layers};
}

bt_exec_times exec_times_start(const exec_cpu *exec) {
    return (bt_exec_times){.products = -exec->nn.products.seconds,
                           .product_flops = -exec->nn.products.flops,
                           .attention = -exec->nn.attention_seconds};
}

void exec_times_stop(const exec_cpu *exec, bt_exec_times *times) {
    times->products += exec->nn.products.seconds;
    times->product_flops += exec->nn.products.flops;
    times->attention += exec->nn.attention_seconds;
}

/* One part, or all of it: adds to the gradients, the loss and the word rows' sum of squares. */
static void add_part(exec_cpu *exec, const exec_pass *pass, bt_step_result *result,
                     double *word_rows_sum_sq) {
    const double       start = bt_time_monotonic();
    const float *const encoded = exec_encoder_forward(exec, pass);
    exec_head_forward(exec, pass, encoded);
    result->loss += exec_loss(exec, pass, exec->acts.d_logits);
    exec_part_keep_logits(exec, pass);
    exec_ranks_logits_done(exec, pass->whole);
    exec_scale_logits(exec, pass);
    const double forward_end = bt_time_monotonic();
    exec_head_backward(exec, pass, encoded);
    exec_ranks_head_done(exec);
    *word_rows_sum_sq += exec_encoder_backward(exec, pass);
    result->times.forward += forward_end - start;
    result->times.backward += bt_time_monotonic() - forward_end;
}

static bt_status forward_backward(exec_cpu *exec, const bt_batch *batch, int64_t step,
                                  uint64_t seed, bt_step_result *result, double *word_rows_sum_sq,
                                  bt_error *err) {
    if (!exec_has_labels(exec->model, batch)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "the batch has no labels of the kind that this loss reads");
    }
    BT_TRY(prepare_training(exec, batch, err));
    *result = (bt_step_result){.n_tokens = batch->n_tokens, .times = exec_times_start(exec)};
    *word_rows_sum_sq = 0;
    const double  start = bt_time_monotonic();
    const int64_t n_seqs = exec_part_seqs(exec);
    exec_zero_gradients(exec);
    if (exec->ranks.comm != NULL) {
        BT_TRY(exec_ranks_begin(exec, batch, err));
    }
    if (n_seqs == 0) {
        exec_ranks_empty_share(exec);
    }
    const double zeroed = bt_time_monotonic();
    exec_read_words(exec, batch, step); /* what the optimizer left for later */
    result->times.backward = zeroed - start;
    result->times.optimizer = bt_time_monotonic() - zeroed;
    for (int64_t first = exec->share.first; first < exec->share.end; first += n_seqs) {
        const bt_batch part = exec_part(exec, batch, first);
        exec_pass      pass = exec_pass_of(exec, &part);
        pass.whole = batch;
        pass.first_seq = first;
        pass.first_token = batch->offsets[first];
        pass.step = step;
        pass.seed = seed;
        pass.dropout = true;
        exec_ranks_begin_part(exec, first + n_seqs >= exec->share.end);
        add_part(exec, &pass, result, word_rows_sum_sq);
    }
    exec_unscale_gradients(exec, batch->n_tokens, word_rows_sum_sq);
    result->logits =
        n_seqs < batch->n_seqs || exec->ranks.comm != NULL ? exec->parts.logits : exec->acts.logits;
    exec_times_stop(exec, &result->times);
    return BT_OK;
}

static bt_status gradients(exec_cpu *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                           bt_step_result *result, bt_error *err) {
    double sum_sq = 0;
    if (exec->ranks.comm != NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "gradients alone are made by one process");
    }
    BT_TRY(forward_backward(exec, batch, step, seed, result, &sum_sq, err));
    for (int64_t i = 0; i < exec->model->table.n_params; i++) {
        const bt_param *const param = &exec->model->table.params[i];
        if (param->has_gradient && !param->is_word_embedding) {
            sum_sq += exec->kern.sum_sq(exec->base.grad + param->offset, param->n_elements);
        }
    }
    result->grad_norm = sqrt(sum_sq);
    result->n_nonfinite = !isfinite(result->loss) + !isfinite((float)result->grad_norm);
    return BT_OK;
}

/* The rest of a step of several processes, whose numbers are the same on all of them. */
static bt_status update_together(exec_cpu *exec, const bt_batch *batch, int64_t step,
                                 bt_step_result *result, double word_rows_sum_sq, bt_error *err) {
    bool applied = false;
    BT_TRY(exec_ranks_update(exec, batch, step, result, word_rows_sum_sq, &applied, err));
    const bool was_scaled = exec_scale_update(&exec->scale, applied);
    result->is_skipped = was_scaled && isfinite(result->loss); /* no scale helps a forward pass */
    result->n_nonfinite = applied ? 0 : 1;
    if (!isfinite(result->loss)) {
        result->grad_norm = NAN;
    }
    return BT_OK;
}

static bt_status train_step(exec_cpu *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                            bt_step_result *result, bt_error *err) {
    double word_rows_sum_sq = 0;
    if (exec->optim == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL,
                       "this engine was made without an optimizer and cannot train");
    }
    BT_TRY(forward_backward(exec, batch, step, seed, result, &word_rows_sum_sq, err));
    if (exec->ranks.comm != NULL) {
        return update_together(exec, batch, step, result, word_rows_sum_sq, err);
    }
    if (!isfinite(result->loss)) { /* no scale helps a forward pass */
        (void)exec_scale_update(&exec->scale, false);
        result->grad_norm = NAN;
        result->n_nonfinite = 1;
        return BT_OK;
    }
    bt_optim_buffers buffers = exec_optim_buffers(exec);
    if (bt_optim_needs_word_rows(exec->optim)) {
        buffers.word_rows = exec->acts.grad_embedding;
        buffers.word_ids = batch->ids;
        buffers.n_word_rows = batch->n_tokens;
    }
    const double start = bt_time_monotonic();
    bool         applied = false;
    bt_optim_apply(exec->optim, &buffers, step, word_rows_sum_sq, exec->pool, &result->grad_norm,
                   &applied);
    result->times.optimizer += bt_time_monotonic() - start;
    result->n_nonfinite = applied ? 0 : 1;
    result->is_skipped = exec_scale_update(&exec->scale, applied);
    return BT_OK;
}

/* Rounding depends on all that a product reads, and the model in 8 bits that is exported gives out
 * the vectors of all tokens. */
static bool needs_all_rows(const exec_cpu *exec) {
    const bt_head_config *const head = &exec->model->head;
    return exec->rounds_to_8_bits && head->kind == BT_HEAD_POOLED_OUTPUT &&
           bt_model_reads_first_rows(head);
}

bt_status exec_evaluate_whole(exec_cpu *exec, const bt_batch *batch, bt_step_result *result,
                              bt_error *err) {
    const bool all_rows = needs_all_rows(exec);
    BT_TRY(prepare(exec, batch, all_rows, err));
    exec_read_words(exec, batch, -1);
    exec_pass pass = exec_pass_of(exec, batch);
    pass.all_rows = all_rows;
    *result = (bt_step_result){.n_tokens = batch->n_tokens, .times = exec_times_start(exec)};
    const double start = bt_time_monotonic();
    const float *encoded = exec_encoder_forward(exec, &pass);
    if (all_rows) {
        bt_nn_rows_gather(&exec->nn, exec->acts.first_rows, encoded, exec->acts.first_ids,
                          batch->n_seqs, exec->model->encoder.hidden_size);
        encoded = exec->acts.first_rows;
    }
    exec_head_forward(exec, &pass, encoded);
    result->loss = exec_loss(exec, &pass, NULL);
    result->logits = exec->acts.logits;
    result->n_nonfinite = !isfinite(result->loss);
    result->times.forward = bt_time_monotonic() - start;
    exec_times_stop(exec, &result->times);
    return BT_OK;
}

static bt_status encode(exec_cpu *exec, const bt_batch *batch, int64_t layer, float *hidden,
                        float *pooled, bt_error *err) {
    const bt_model *const m = exec->model;
    const int64_t         H = m->encoder.hidden_size;
    BT_TRY(exec_check_layer(m, layer, pooled != NULL, err));
    BT_TRY(prepare(exec, batch, true, err));
    exec_read_words(exec, batch, -1);
    exec_pass pass = exec_pass_of(exec, batch);
    pass.all_rows = true;
    pass.n_layers = layer + 1;
    const float *const out = exec_encoder_forward(exec, &pass);
    if (hidden != NULL) {
        memcpy(hidden, out, (size_t)(batch->n_tokens * H) * sizeof *hidden);
    }
    if (pooled == NULL) {
        return BT_OK;
    }
    bt_nn_rows_gather(&exec->nn, exec->acts.first_rows, out, exec->acts.first_ids, batch->n_seqs,
                      H);
    bt_nn_dense_forward(&exec->nn, pooled, exec->acts.first_rows,
                        exec_param(exec, m->pooler_transform.kernel),
                        exec_param(exec, m->pooler_transform.bias), batch->n_seqs, H, H);
    bt_nn_act_forward(&exec->nn, pooled, pooled, BT_ACT_TANH, batch->n_seqs * H);
    return BT_OK;
}

/* The engine's face.
 * A pass flushes denormal numbers, on all threads of the pool: gradients of words that do not
 * matter, and the slots of rows that are not met, are full of them in time. */

bt_status exec_cpu_gradients(bt_exec *exec, const bt_batch *batch, int64_t step, uint64_t seed,
                             bt_step_result *result, bt_error *err) {
    const bt_fp_state before = bt_fp_flush();
    const bt_status   rc = gradients(exec_cpu_of(exec), batch, step, seed, result, err);
    bt_fp_set(before);
    return rc;
}

int32_t exec_cpu_train_depth(const bt_exec *exec) {
    (void)exec;
    return 1;
}

bt_status exec_cpu_train_begin(bt_exec *base, const bt_batch *batch, int64_t step, uint64_t seed,
                               bt_error *err) {
    exec_cpu *const     exec = exec_cpu_of(base);
    const bt_pool_spent spent = bt_pool_get_spent(exec->pool);
    const double        start = bt_time_monotonic();
    const bt_fp_state   before = bt_fp_flush();
    const bt_status     rc = train_step(exec, batch, step, seed, &exec->begun_result, err);
    bt_fp_set(before);
    if (exec->nn.product != NULL) {
        const bt_pool_spent now = bt_pool_get_spent(exec->pool);
        exec->begun_result.times.serial =
            bt_time_monotonic() - start - (now.seconds - spent.seconds);
        exec->begun_result.times.n_jobs = now.n_jobs - spent.n_jobs;
    }
    exec->begun = rc == BT_OK ? batch : NULL;
    return rc;
}

bt_status exec_cpu_train_end(bt_exec *base, bt_step_result *result, const bt_batch **batch,
                             bt_error *err) {
    exec_cpu *const exec = exec_cpu_of(base);
    if (exec->begun == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "a step was ended that was not begun");
    }
    *result = exec->begun_result;
    *batch = exec->begun;
    exec->begun = NULL;
    return BT_OK;
}

bt_status exec_cpu_encode(bt_exec *exec, const bt_batch *batch, int64_t layer, float *hidden,
                          float *pooled, bt_error *err) {
    const bt_fp_state before = bt_fp_flush();
    const bt_status   rc = encode(exec_cpu_of(exec), batch, layer, hidden, pooled, err);
    bt_fp_set(before);
    return rc;
}
