/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps: the batch is checked, laid out, sent and run; what comes back is put into the order of the
 * batch, as the CPU engine has it. Training has a share of the batch on each replica; all else runs
 * on the first. */
#include <math.h>
#include <string.h>

#include "exec_pjrt_internal.h"

static bt_status start(exec_pjrt *exec, const bt_batch *batch, const exec_step *step,
                       int32_t n_replicas, exec_results *results, bt_error *err) {
    int64_t       longest = 0;
    bt_hlo_config config;
    exec_program *program = NULL;
    BT_TRY(exec_need_state(exec, err));
    BT_TRY(exec_check_batch(exec->model, batch, &longest, err));
    if (n_replicas > 1 && batch->n_seqs % n_replicas != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "a batch of %" PRId64 " sequences has no equal shares for %" PRId32
                       " devices: set the batch size to a multiple of it, and drop_remainder",
                       batch->n_seqs, n_replicas);
    }
    BT_TRY(exec_feed_batch(exec, batch, step, n_replicas, &config, err));
    BT_TRY(exec_program_need(exec, &config, &program, err));
    return exec_program_run(exec, program, results, err);
}

/* ---- results in the order of the batch
 * -------------------------------------------------------------
 */

/* One row of n numbers a token, from one a slot. */
static void gather_tokens(const exec_rows *rows, const bt_batch *batch, const float *slots,
                          float *tokens, int64_t n) {
    const int64_t *const offsets = batch->offsets + rows->first_seq;
    for (int64_t b = 0; b < rows->n_seqs; b++) {
        memcpy(tokens + offsets[b] * n, slots + rows->first[b] * n,
               (size_t)((offsets[b + 1] - offsets[b]) * n) * sizeof *tokens);
    }
}

/* A replica's logits, which are in exec->scratch, among those of the batch. */
static void gather_logits(exec_pjrt *exec, const exec_rows *rows, const bt_batch *batch,
                          int64_t n_places) {
    const bt_head_config *const head = &exec->model->head;
    const int64_t               n_pairs = rows->n_seqs / 2;
    const float *const          from = exec->scratch;
    if (head->loss == BT_LOSS_RANKING) {
        for (int64_t i = 0; i < n_pairs; i++) {
            memcpy(exec->logits + i * n_pairs, from + i * (n_places / 2),
                   (size_t)n_pairs * sizeof *from);
        }
    } else if (head->kind == BT_HEAD_TOKENS) {
        gather_tokens(rows, batch, from, exec->logits, head->num_classes);
    } else {
        const int64_t n = bt_model_n_logits(exec->model, batch) / batch->n_seqs;
        memcpy(exec->logits + rows->first_seq * n, from, (size_t)(rows->n_seqs * n) * sizeof *from);
    }
}

static bt_status take_logits(exec_pjrt *exec, const bt_batch *batch, const exec_results *results,
                             bt_step_result *result, bt_error *err) {
    const bt_hlo_config *const config = &results->program->config;
    BT_TRY(exec_need_floats(&exec->logits, &exec->logits_cap, bt_model_n_logits(exec->model, batch),
                            err));
    for (int32_t r = 0; r < config->n_replicas; r++) {
        BT_TRY(exec_result_download(exec, results, r, BT_HLO_LOGITS, err));
        gather_logits(exec, &exec->rows[r], batch, config->n_seqs);
    }
    result->logits = exec->logits;
    return BT_OK;
}

/* Loss: the mean of the replicas'. Norm: the largest, each as its replica's clipping saw it. */
static bt_status take_outcome(exec_pjrt *exec, const exec_results *results, bt_step_result *result,
                              bt_error *err) {
    const int32_t n_replicas = results->program->config.n_replicas;
    for (int32_t r = 0; r < n_replicas; r++) {
        BT_TRY(exec_result_download(exec, results, r, BT_HLO_OUTCOME, err));
        const double norm = (double)exec->scratch[1];
        result->loss += (double)exec->scratch[0] / n_replicas;
        result->grad_norm = r == 0 || !(norm <= result->grad_norm) ? norm : result->grad_norm;
        result->n_nonfinite = exec->scratch[2] != 0 ? 1 : result->n_nonfinite;
    }
    return BT_OK;
}

/* ---- training -----------------------------------------------------------------------------------
 */

static bt_status check_training(const exec_pjrt *exec, const bt_batch *batch, bool updates,
                                bt_error *err) {
    if (updates && exec->optim == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL,
                       "this engine was made without an optimizer and cannot train");
    }
    if (!exec_has_labels(exec->model, batch)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "the batch has no labels of the kind that this loss reads");
    }
    return BT_OK;
}

bt_status exec_pjrt_train_step(bt_exec *base, const bt_batch *batch, int64_t step, uint64_t seed,
                               bt_step_result *result, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    const exec_step  what = {.what = BT_HLO_TRAIN, .step = step, .seed = seed, .has_labels = true};
    exec_results     results = {.program = NULL};
    bt_status        rc = BT_OK;
    BT_TRY(check_training(exec, batch, true, err));
    const double began = bt_time_monotonic();
    BT_CHECK(start(exec, batch, &what, exec->n_replicas, &results, err));
    *result = (bt_step_result){.n_tokens = batch->n_tokens};
    BT_CHECK(take_outcome(exec, &results, result, err));
    BT_CHECK(take_logits(exec, batch, &results, result, err));
    const bool was_scaled = exec_scale_update(&exec->scale, result->n_nonfinite == 0);
    result->is_skipped = was_scaled && isfinite(result->loss); /* no scale helps a forward pass */
    if (!isfinite(result->loss)) {
        result->grad_norm = NAN;
    }
    result->times.forward = bt_time_monotonic() - began;
done:
    exec_results_deinit(exec, &results);
    return rc;
}

static bt_status take_gradients(exec_pjrt *exec, const exec_results *results, bt_error *err) {
    const bt_hlo_program *const hlo = results->program->hlo;
    if (exec->base.grad == NULL) {
        BT_TRY(exec_flat_create(&exec->model->table, 0, &exec->base.grad, err));
    }
    for (size_t i = 0; i < hlo->n_results; i++) {
        if (hlo->results[i].role == BT_HLO_GRADIENT) {
            BT_TRY(exec_array_download(exec, &hlo->variables[hlo->results[i].variable],
                                       results->buffers[0][i], exec->base.grad, err));
        }
    }
    return BT_OK;
}

bt_status exec_pjrt_gradients(bt_exec *base, const bt_batch *batch, int64_t step, uint64_t seed,
                              bt_step_result *result, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    const exec_step  what = {
         .what = BT_HLO_GRADIENTS, .step = step, .seed = seed, .has_labels = true};
    exec_results results = {.program = NULL};
    bt_status    rc = BT_OK;
    BT_TRY(check_training(exec, batch, false, err));
    const double began = bt_time_monotonic();
    BT_CHECK(start(exec, batch, &what, 1, &results, err));
    *result = (bt_step_result){.n_tokens = batch->n_tokens};
    BT_CHECK(take_outcome(exec, &results, result, err));
    result->n_nonfinite = !isfinite(result->loss) + !isfinite(result->grad_norm);
    BT_CHECK(take_logits(exec, batch, &results, result, err));
    BT_CHECK(take_gradients(exec, &results, err));
    result->times.forward = bt_time_monotonic() - began;
done:
    exec_results_deinit(exec, &results);
    return rc;
}

/* ---- forward only -------------------------------------------------------------------------------
 */

bt_status exec_pjrt_evaluate(bt_exec *base, const bt_batch *batch, bt_step_result *result,
                             bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    const exec_step  what = {.what = BT_HLO_EVALUATE,
                             .has_labels = exec_has_labels(exec->model, batch)};
    exec_results     results = {.program = NULL};
    bt_status        rc = BT_OK;
    const double     began = bt_time_monotonic();
    BT_CHECK(start(exec, batch, &what, 1, &results, err));
    *result = (bt_step_result){.n_tokens = batch->n_tokens};
    if (what.has_labels) {
        BT_CHECK(exec_result_download(exec, &results, 0, BT_HLO_OUTCOME, err));
        result->loss = (double)exec->scratch[0];
        result->n_nonfinite = !isfinite(result->loss);
    }
    BT_CHECK(take_logits(exec, batch, &results, result, err));
    result->times.forward = bt_time_monotonic() - began;
done:
    exec_results_deinit(exec, &results);
    return rc;
}

static bt_status take_encoded(exec_pjrt *exec, const bt_batch *batch, const exec_results *results,
                              float *hidden, float *pooled, bt_error *err) {
    const int64_t H = exec->model->encoder.hidden_size;
    if (hidden != NULL) {
        BT_TRY(exec_result_download(exec, results, 0, BT_HLO_HIDDEN, err));
        gather_tokens(&exec->rows[0], batch, exec->scratch, hidden, H);
    }
    if (pooled != NULL) {
        BT_TRY(exec_result_download(exec, results, 0, BT_HLO_POOLED, err));
        memcpy(pooled, exec->scratch, (size_t)(batch->n_seqs * H) * sizeof *pooled);
    }
    return BT_OK;
}

bt_status exec_pjrt_encode(bt_exec *base, const bt_batch *batch, int64_t layer, float *hidden,
                           float *pooled, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    const exec_step  what = {.what = BT_HLO_ENCODE, .n_layers = layer + 1};
    exec_results     results = {.program = NULL};
    bt_status        rc = BT_OK;
    BT_TRY(exec_check_layer(exec->model, layer, pooled != NULL, err));
    BT_CHECK(start(exec, batch, &what, 1, &results, err));
    BT_CHECK(take_encoded(exec, batch, &results, hidden, pooled, err));
done:
    exec_results_deinit(exec, &results);
    return rc;
}
