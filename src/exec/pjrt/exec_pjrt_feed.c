/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch in pieces, one for each run on each replica, and the arrays that programs read of a
 * piece: its tokens in rows of slots, labels, weights (bt_hlo_fill), numbers of the update. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_pjrt_internal.h"

void exec_piece_deinit(exec_piece *piece) {
    bt_free(piece->offsets);
    bt_free(piece->labels);
    *piece = (exec_piece){.weight_sum = 0};
}

/* Pieces that were never used are all 0. */
static bt_status need_pieces(exec_flight *flight, bt_error *err) {
    const size_t wanted = (size_t)flight->n_replicas * (size_t)flight->n_parts;
    const size_t n_rows = flight->rows_cap;
    const size_t n_pieces = flight->pieces_cap;
    BT_TRY(bt_grow(&flight->rows, &flight->rows_cap, wanted, sizeof *flight->rows, SIZE_MAX, err));
    memset(flight->rows + n_rows, 0, (flight->rows_cap - n_rows) * sizeof *flight->rows);
    BT_TRY(bt_grow(&flight->pieces, &flight->pieces_cap, wanted, sizeof *flight->pieces, SIZE_MAX,
                   err));
    memset(flight->pieces + n_pieces, 0, (flight->pieces_cap - n_pieces) * sizeof *flight->pieces);
    return BT_OK;
}

/* Labels of spans are two columns, of which each piece has a part. */
static bt_status view_labels(const bt_model *model, const exec_rows *rows, const bt_batch *batch,
                             exec_piece *piece, bt_error *err) {
    const int64_t      first = rows->first_seq;
    const size_t       n = (size_t)rows->n_seqs;
    const bt_loss_kind loss = model->head.loss;
    if (batch->float_labels != NULL) {
        piece->view.float_labels += first * (loss == BT_LOSS_SIGMOID ? model->head.num_classes : 1);
    }
    if (batch->int_labels == NULL || loss != BT_LOSS_SPAN) {
        const int64_t at = loss == BT_LOSS_TOKENS ? batch->offsets[first] : first;
        piece->view.int_labels = batch->int_labels != NULL ? batch->int_labels + at : NULL;
        return BT_OK;
    }
    BT_TRY(bt_grow(&piece->labels, &piece->labels_cap, 2 * n + 1, sizeof *piece->labels, SIZE_MAX,
                   err));
    for (int64_t side = 0; side < 2; side++) {
        memcpy(piece->labels + side * rows->n_seqs,
               batch->int_labels + side * batch->n_seqs + first, n * sizeof *piece->labels);
    }
    piece->view.int_labels = piece->labels;
    return BT_OK;
}

static bt_status view_piece(const bt_model *model, const exec_rows *rows, const bt_batch *batch,
                            exec_piece *piece, bt_error *err) {
    const int64_t first = rows->first_seq;
    const int64_t first_token = batch->offsets[first];
    BT_TRY(bt_grow(&piece->offsets, &piece->offsets_cap, (size_t)rows->n_seqs + 1,
                   sizeof *piece->offsets, SIZE_MAX, err));
    for (int64_t b = 0; b <= rows->n_seqs; b++) {
        piece->offsets[b] = batch->offsets[first + b] - first_token;
    }
    piece->view = *batch;
    piece->view.n_seqs = rows->n_seqs;
    piece->view.n_tokens = piece->offsets[rows->n_seqs];
    piece->view.offsets = piece->offsets;
    piece->view.ids += first_token;
    piece->view.types += first_token;
    piece->view.positions += first_token;
    piece->view.key_mask = batch->key_mask != NULL ? batch->key_mask + first_token : NULL;
    if (batch->row_weights != NULL) {
        piece->view.row_weights += model->head.loss == BT_LOSS_TOKENS ? first_token : first;
    }
    return view_labels(model, rows, batch, piece, err);
}

static bt_hlo_input input_of(const exec_pjrt *exec, const exec_flight *flight, int32_t piece) {
    const exec_rows *const rows = &flight->rows[piece];
    return (bt_hlo_input){.model = exec->model,
                          .batch = &flight->pieces[piece].view,
                          .first_slots = rows->first,
                          .n_rows = flight->bucket.n_rows,
                          .n_slots = flight->bucket.n_slots,
                          .n_seqs = flight->bucket.n_seqs,
                          .first_token = flight->batch.offsets[rows->first_seq],
                          .first_seq = rows->first_seq,
                          .is_training = flight->what.what != BT_HLO_EVALUATE};
}

static double weight_of_share(const exec_pjrt *exec, const exec_flight *flight, int32_t replica) {
    double sum = 0;
    for (int32_t p = 0; p < flight->n_parts; p++) {
        const bt_hlo_input input = input_of(exec, flight, exec_piece_of(flight, replica, p));
        sum += bt_hlo_weight_sum(&input);
    }
    return sum;
}

exec_division exec_division_of(const bt_model *model, bt_exec_shares shares) {
    const bool equal = exec_is_of_all_pairs(model) || shares == BT_EXEC_SHARES_SEQUENCES;
    return model->head.loss == BT_LOSS_RANKING ? EXEC_BY_PAIRS
           : equal                             ? EXEC_BY_SEQUENCES
                                               : EXEC_BY_TOKENS;
}

/* Replicas' losses are divided by their number before they are added: either each is its share's
 * own mean, or its part of the mean of all. */
static void weigh(const exec_pjrt *exec, exec_flight *flight) {
    const bool own = exec_division_of(exec->model, exec->shares) != EXEC_BY_TOKENS &&
                     flight->batch.n_seqs % flight->n_replicas == 0;
    double of_all = 0;
    for (int32_t r = 0; flight->what.has_labels && r < flight->n_replicas; r++) {
        of_all += weight_of_share(exec, flight, r);
    }
    for (int32_t r = 0; flight->what.has_labels && r < flight->n_replicas; r++) {
        const double sum = own ? weight_of_share(exec, flight, r) : of_all / flight->n_replicas;
        for (int32_t p = 0; p < flight->n_parts; p++) {
            flight->pieces[exec_piece_of(flight, r, p)].weight_sum = sum;
        }
    }
}

bt_status exec_feed_lay(exec_pjrt *exec, exec_flight *flight, bt_error *err) {
    const bt_batch *const batch = &flight->batch;
    const int32_t         n = flight->n_replicas * flight->n_parts;
    if (batch->n_tokens > INT32_MAX / 4) { /* slots are at most twice as many */
        return BT_FAIL(err, BT_E_SHAPE, "a batch of %" PRId64 " tokens, devices take %" PRId32,
                       batch->n_tokens, INT32_MAX / 4);
    }
    BT_TRY(need_pieces(flight, err));
    exec_rows_divide(flight->rows, n, batch, exec_division_of(exec->model, exec->shares));
    BT_TRY(exec_rows_lay(flight->rows, n, batch, &flight->bucket, err));
    for (int32_t i = 0; i < n; i++) {
        BT_TRY(view_piece(exec->model, &flight->rows[i], batch, &flight->pieces[i], err));
    }
    weigh(exec, flight);
    return BT_OK;
}

static void fill_numbers(const exec_pjrt *exec, const exec_flight *flight, double weight_sum,
                         float *numbers) {
    memset(numbers, 0, BT_HLO_N_NUMBERS * sizeof *numbers);
    numbers[BT_HLO_WEIGHT_SUM] = (float)weight_sum;
    numbers[BT_HLO_LOSS_SCALE] = (float)exec->scale.now.factor;
    if (flight->what.what == BT_HLO_TRAIN) {
        const bt_optim_numbers n = bt_optim_get_numbers(exec->optim, flight->what.step);
        numbers[BT_HLO_LR] = n.lr;
        numbers[BT_HLO_ALPHA] = n.alpha;
        numbers[BT_HLO_CORRECTION_1] = n.correction_1;
        numbers[BT_HLO_CORRECTION_2] = n.correction_2;
        numbers[BT_HLO_ONE_MINUS_AVERAGE_DECAY] = n.one_minus_average_decay;
    }
}

static void fill_seed(const exec_step *what, uint32_t *words) {
    const uint64_t numbers[2] = {what->seed, (uint64_t)what->step};
    for (int i = 0; i < 4; i++) {
        words[i] = (uint32_t)(numbers[i / 2] >> (i % 2 * 32));
    }
}

void exec_feed_fill(const exec_pjrt *exec, const exec_flight *flight, int32_t replica, int32_t part,
                    bt_hlo_role role, void *array) {
    const int32_t      piece = exec_piece_of(flight, replica, part);
    const bt_hlo_input input = input_of(exec, flight, piece);
    if (bt_hlo_fill(&input, role, array)) {
        return;
    }
    if (role == BT_HLO_NUMBERS) {
        fill_numbers(exec, flight, flight->pieces[piece].weight_sum, array);
    } else if (role == BT_HLO_SEED) {
        fill_seed(&flight->what, array);
    } else if (role == BT_HLO_N_LAYERS) {
        *(int32_t *)array = (int32_t)flight->what.n_layers;
    }
}
