/* SPDX-License-Identifier: Apache-2.0
 *
 * A step on its way: the batch is checked, laid out and sent, all runs of the step after one
 * another, and nobody waits; what comes back is put into the order of the batch, as the CPU engine
 * has it. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/time.h"
#include "exec_pjrt_internal.h"

bt_status exec_flight_keep(exec_pjrt *exec, exec_flight *flight, const bt_batch *batch,
                           bt_error *err) {
    bt_batch     counted = *batch;
    const size_t n_bytes = exec_batch_keep(&exec->model->head, &counted, NULL);
    BT_TRY(bt_grow(&flight->copy, &flight->copy_cap, n_bytes, 1, SIZE_MAX, err));
    flight->batch = *batch;
    (void)exec_batch_keep(&exec->model->head, &flight->batch, flight->copy);
    return BT_OK;
}

static bt_status run(exec_pjrt *exec, exec_flight *flight, bt_hlo_what what, int32_t part,
                     bt_error *err) {
    const bool    updates = what == BT_HLO_UPDATE;
    bt_hlo_config config = {.what = what,
                            .has_key_mask = !updates && flight->batch.key_mask != NULL,
                            .has_labels = flight->what.has_labels,
                            .n_replicas = flight->n_replicas};
    exec_program *program = NULL;
    BT_TRY(exec_program_config(exec, &flight->bucket, &config, err));
    BT_TRY(exec_program_need(exec, &config, &program, err));
    BT_TRY(bt_grow(&flight->runs, &flight->runs_cap, flight->n_runs + 1, sizeof *flight->runs,
                   SIZE_MAX, err));
    return exec_program_run(exec, program, flight, part, &flight->runs[flight->n_runs++], err);
}

static bt_status run_in_parts(exec_pjrt *exec, exec_flight *flight, bt_error *err) {
    for (int32_t p = 0; p < flight->n_parts; p++) {
        BT_TRY(run(exec, flight, BT_HLO_ACCUMULATE, p, err));
    }
    return run(exec, flight, BT_HLO_UPDATE, 0, err);
}

/* Pairs of other shares do not count, so shares must have the same number of them. */
static bt_status check_shares(const exec_pjrt *exec, const exec_flight *flight, bt_error *err) {
    const bool    pairs = exec->model->head.loss == BT_LOSS_RANKING;
    const int64_t n = flight->batch.n_seqs / (pairs ? 2 : 1);
    if (!exec_is_of_all_pairs(exec->model) || n % flight->n_replicas == 0) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "a batch of %" PRId64 " %s has no equal shares for %" PRId32
                   " devices, and this loss is over all pairs of a share: set the batch size to a "
                   "multiple of it, and drop_remainder",
                   n, pairs ? "pairs" : "rows", flight->n_replicas);
}

static bt_status lay_and_run(exec_pjrt *exec, exec_flight *flight, bt_error *err) {
    int64_t longest = 0;
    BT_TRY(exec_need_state(exec, err));
    BT_TRY(exec_check_batch(exec->model, &flight->batch, &longest, err));
    BT_TRY(check_shares(exec, flight, err));
    BT_TRY(exec_feed_lay(exec, flight, err));
    if (flight->n_parts == 1) {
        return run(exec, flight, flight->what.what, 0, err);
    }
    const bt_status rc = run_in_parts(exec, flight, err);
    if (rc != BT_OK) {
        exec_parts_drop(exec);
    }
    return rc;
}

bt_status exec_flight_start(exec_pjrt *exec, exec_flight *flight, const bt_batch *batch,
                            const exec_step *what, int32_t n_replicas, bt_error *err) {
    const int64_t each = exec->part_seqs;
    const bool    in_parts = what->what == BT_HLO_TRAIN && each > 0 && each < batch->n_seqs;
    flight->began = bt_time_monotonic();
    flight->what = *what;
    flight->batch = *batch;
    flight->n_replicas = n_replicas;
    flight->n_parts = in_parts ? (int32_t)((batch->n_seqs + each - 1) / each) : 1;
    flight->n_runs = 0;
    const bt_status rc = lay_and_run(exec, flight, err);
    if (rc != BT_OK) {
        exec_flight_end(exec, flight);
    }
    return rc;
}

void exec_flight_end(exec_pjrt *exec, exec_flight *flight) {
    for (size_t i = 0; i < flight->n_runs; i++) {
        exec_results_deinit(exec, &flight->runs[i]);
    }
    flight->n_runs = 0;
}

void exec_flight_deinit(exec_pjrt *exec, exec_flight *flight) {
    exec_flight_end(exec, flight);
    for (size_t i = 0; i < flight->rows_cap; i++) {
        exec_rows_deinit(&flight->rows[i]);
    }
    for (size_t i = 0; i < flight->pieces_cap; i++) {
        exec_piece_deinit(&flight->pieces[i]);
    }
    bt_free(flight->copy);
    bt_free(flight->rows);
    bt_free(flight->pieces);
    bt_free(flight->runs);
}

/* Loss: the mean of the replicas'. Norm: the largest, each as its replica's clipping saw it. */
bt_status exec_flight_outcome(exec_pjrt *exec, const exec_flight *flight, bt_step_result *result,
                              bt_error *err) {
    const exec_results *const last = &flight->runs[flight->n_runs - 1];
    for (int32_t r = 0; r < flight->n_replicas; r++) {
        BT_TRY(exec_result_download(exec, last, r, BT_HLO_OUTCOME, err));
        result->loss += (double)exec->scratch[0] / flight->n_replicas;
        if (flight->what.what == BT_HLO_EVALUATE) {
            continue;
        }
        const double norm = (double)exec->scratch[1];
        result->grad_norm = r == 0 || !(norm <= result->grad_norm) ? norm : result->grad_norm;
        result->n_nonfinite = exec->scratch[2] != 0 ? 1 : result->n_nonfinite;
    }
    return BT_OK;
}

void exec_flight_tokens(const exec_flight *flight, int32_t piece, const float *slots, float *tokens,
                        int64_t n) {
    const exec_rows *const rows = &flight->rows[piece];
    const int64_t *const   offsets = flight->batch.offsets + rows->first_seq;
    for (int64_t b = 0; b < rows->n_seqs; b++) {
        memcpy(tokens + offsets[b] * n, slots + rows->first[b] * n,
               (size_t)((offsets[b + 1] - offsets[b]) * n) * sizeof *tokens);
    }
}

/* A piece's logits, which are in exec->scratch, among those of the batch. */
static void gather_logits(exec_pjrt *exec, const exec_flight *flight, int32_t piece) {
    const bt_head_config *const head = &exec->model->head;
    const exec_rows *const      rows = &flight->rows[piece];
    const float *const          from = exec->scratch;
    if (head->loss == BT_LOSS_RANKING) {
        const int64_t n_all = flight->batch.n_seqs / 2;
        const int64_t first = rows->first_seq / 2;
        const int64_t n = rows->n_seqs / 2;
        for (int64_t i = 0; i < n; i++) {
            memcpy(exec->logits + (first + i) * n_all + first,
                   from + i * (flight->bucket.n_seqs / 2), (size_t)n * sizeof *from);
        }
    } else if (head->kind == BT_HEAD_TOKENS) {
        exec_flight_tokens(flight, piece, from, exec->logits, head->num_classes);
    } else {
        const int64_t n = bt_model_n_logits(exec->model, &flight->batch) / flight->batch.n_seqs;
        memcpy(exec->logits + rows->first_seq * n, from, (size_t)(rows->n_seqs * n) * sizeof *from);
    }
}

bt_status exec_flight_logits(exec_pjrt *exec, const exec_flight *flight, bt_step_result *result,
                             bt_error *err) {
    const int64_t n_logits = bt_model_n_logits(exec->model, &flight->batch);
    BT_TRY(exec_need_floats(&exec->logits, &exec->logits_cap, n_logits, err));
    if (exec->model->head.loss == BT_LOSS_RANKING && flight->n_replicas > 1) {
        for (int64_t i = 0; i < n_logits; i++) {
            exec->logits[i] = -FLT_MAX; /* a pair of two shares: nobody scored it */
        }
    }
    for (int32_t p = 0; p < flight->n_parts; p++) {
        for (int32_t r = 0; r < flight->n_replicas; r++) {
            BT_TRY(exec_result_download(exec, &flight->runs[p], r, BT_HLO_LOGITS, err));
            gather_logits(exec, flight, exec_piece_of(flight, r, p));
        }
    }
    result->logits = exec->logits;
    return BT_OK;
}
