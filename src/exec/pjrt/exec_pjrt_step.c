/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps as bt/exec.h has them. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/time.h"
#include "exec_pjrt_internal.h"

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

/* A loss scale that follows from the last step's outcome has to wait for it. */
int32_t exec_pjrt_train_depth(const bt_exec *base) {
    return exec_pjrt_seen(base)->scale.is_dynamic ? 1 : EXEC_PJRT_DEPTH;
}

bt_status exec_pjrt_train_begin(bt_exec *base, const bt_batch *batch, int64_t step, uint64_t seed,
                                bt_error *err) {
    exec_pjrt *const   exec = exec_pjrt_of(base);
    const int32_t      depth = exec_pjrt_train_depth(base);
    exec_flight *const flight = &exec->steps[(exec->first_step + exec->n_steps) % EXEC_PJRT_DEPTH];
    const exec_step what = {.what = BT_HLO_TRAIN, .step = step, .seed = seed, .has_labels = true};
    if (exec->n_steps >= depth) {
        return BT_FAIL(err, BT_E_INTERNAL, "more than %" PRId32 " steps are under way", depth);
    }
    BT_TRY(check_training(exec, batch, true, err));
    if (depth > 1) {
        BT_TRY(exec_flight_keep(exec, flight, batch, err));
        batch = &flight->batch;
    }
    BT_TRY(exec_flight_start(exec, flight, batch, &what, exec->n_replicas, err));
    exec->n_steps++;
    return BT_OK;
}

static bt_status take_step(exec_pjrt *exec, const exec_flight *flight, bt_step_result *result,
                           bt_error *err) {
    *result = (bt_step_result){.n_tokens = flight->batch.n_tokens};
    BT_TRY(exec_flight_outcome(exec, flight, result, err));
    BT_TRY(exec_flight_logits(exec, flight, result, err));
    const bool was_scaled = exec_scale_update(&exec->scale, result->n_nonfinite == 0);
    result->is_skipped = was_scaled && isfinite(result->loss); /* no scale helps a forward pass */
    if (!isfinite(result->loss)) {
        result->grad_norm = NAN;
    }
    result->times.forward = bt_time_monotonic() - flight->began;
    return BT_OK;
}

bt_status exec_pjrt_train_end(bt_exec *base, bt_step_result *result, const bt_batch **batch,
                              bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    if (exec->n_steps == 0) {
        return BT_FAIL(err, BT_E_INTERNAL, "a step was ended that was not begun");
    }
    exec_flight *const flight = &exec->steps[exec->first_step];
    exec->first_step = (exec->first_step + 1) % EXEC_PJRT_DEPTH;
    exec->n_steps--;
    *batch = &flight->batch;
    const bt_status rc = take_step(exec, flight, result, err);
    exec_flight_end(exec, flight);
    return rc;
}

static bt_status take_gradients(exec_pjrt *exec, const exec_results *results, bt_error *err) {
    const bt_hlo_program *const hlo = results->program->hlo;
    if (exec->base.grad == NULL) {
        BT_TRY(exec_flat_create(NULL, &exec->model->table, 0, &exec->base.grad, err));
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
    exec_pjrt *const   exec = exec_pjrt_of(base);
    exec_flight *const flight = &exec->flight;
    const exec_step    what = {
           .what = BT_HLO_GRADIENTS, .step = step, .seed = seed, .has_labels = true};
    bt_status rc = BT_OK;
    BT_TRY(check_training(exec, batch, false, err));
    BT_TRY(exec_flight_start(exec, flight, batch, &what, 1, err));
    *result = (bt_step_result){.n_tokens = batch->n_tokens};
    BT_CHECK(exec_flight_outcome(exec, flight, result, err));
    result->n_nonfinite = !isfinite(result->loss) + !isfinite(result->grad_norm);
    BT_CHECK(exec_flight_logits(exec, flight, result, err));
    BT_CHECK(take_gradients(exec, &flight->runs[0], err));
    result->times.forward = bt_time_monotonic() - flight->began;
done:
    exec_flight_end(exec, flight);
    return rc;
}

bt_status exec_pjrt_evaluate(bt_exec *base, const bt_batch *batch, bt_step_result *result,
                             bt_error *err) {
    exec_pjrt *const   exec = exec_pjrt_of(base);
    exec_flight *const flight = &exec->flight;
    const exec_step    what = {.what = BT_HLO_EVALUATE,
                               .has_labels = exec_has_labels(exec->model, batch)};
    bt_status          rc = BT_OK;
    const int32_t      n_replicas = exec_is_of_all_pairs(exec->model) ? 1 : exec->n_replicas;
    BT_TRY(exec_flight_start(exec, flight, batch, &what, n_replicas, err));
    *result = (bt_step_result){.n_tokens = batch->n_tokens};
    if (what.has_labels) {
        BT_CHECK(exec_flight_outcome(exec, flight, result, err));
        result->n_nonfinite = !isfinite(result->loss);
    }
    BT_CHECK(exec_flight_logits(exec, flight, result, err));
    result->times.forward = bt_time_monotonic() - flight->began;
done:
    exec_flight_end(exec, flight);
    return rc;
}

static bt_status take_encoded(exec_pjrt *exec, const exec_flight *flight, float *hidden,
                              float *pooled, bt_error *err) {
    const int64_t             H = exec->model->encoder.hidden_size;
    const exec_results *const results = &flight->runs[0];
    if (hidden != NULL) {
        BT_TRY(exec_result_download(exec, results, 0, BT_HLO_HIDDEN, err));
        exec_flight_tokens(flight, 0, exec->scratch, hidden, H);
    }
    if (pooled != NULL) {
        BT_TRY(exec_result_download(exec, results, 0, BT_HLO_POOLED, err));
        memcpy(pooled, exec->scratch, (size_t)(flight->batch.n_seqs * H) * sizeof *pooled);
    }
    return BT_OK;
}

bt_status exec_pjrt_encode(bt_exec *base, const bt_batch *batch, int64_t layer, float *hidden,
                           float *pooled, bt_error *err) {
    exec_pjrt *const   exec = exec_pjrt_of(base);
    exec_flight *const flight = &exec->flight;
    const exec_step    what = {.what = BT_HLO_ENCODE, .n_layers = layer + 1};
    BT_TRY(exec_check_layer(exec->model, layer, pooled != NULL, err));
    BT_TRY(exec_flight_start(exec, flight, batch, &what, 1, err));
    const bt_status rc = take_encoded(exec, flight, hidden, pooled, err);
    exec_flight_end(exec, flight);
    return rc;
}
