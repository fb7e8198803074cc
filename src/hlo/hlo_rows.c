/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch as a program's arguments have it: arrays that follow from where each sequence is in
 * the rows of slots. Nothing of devices here. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/hlo.h"

static int64_t length_of(const bt_batch *batch, int64_t b) {
    return batch->offsets[b + 1] - batch->offsets[b];
}

static int64_t n_slots_of(const bt_hlo_input *in) {
    return in->n_rows * in->n_slots;
}

/* A column of the batch's tokens into their slots; 0 where empty. */
static void fill_column(const bt_hlo_input *in, const int32_t *column, int32_t *out) {
    memset(out, 0, (size_t)n_slots_of(in) * sizeof *out);
    for (int64_t b = 0; b < in->batch->n_seqs; b++) {
        memcpy(out + in->first_slots[b], column + in->batch->offsets[b],
               (size_t)length_of(in->batch, b) * sizeof *out);
    }
}

static void fill_numbers(const bt_hlo_input *in, bt_hlo_role role, int32_t *out) {
    for (int64_t i = 0; i < n_slots_of(in); i++) {
        out[i] = role == BT_HLO_SEGMENTS ? -1 : 0;
    }
    for (int64_t b = 0; b < in->batch->n_seqs; b++) {
        for (int64_t i = 0; i < length_of(in->batch, b); i++) {
            out[in->first_slots[b] + i] =
                (int32_t)(role == BT_HLO_SEGMENTS ? b
                                                  : in->first_token + in->batch->offsets[b] + i);
        }
    }
}

static void fill_key_mask(const bt_hlo_input *in, uint8_t *out) {
    const uint8_t *const mask = in->batch->key_mask;
    memset(out, 0, (size_t)n_slots_of(in));
    for (int64_t b = 0; b < in->batch->n_seqs; b++) {
        for (int64_t i = 0; i < length_of(in->batch, b); i++) {
            out[in->first_slots[b] + i] = mask == NULL || mask[in->batch->offsets[b] + i] != 0;
        }
    }
}

static void fill_sequences(const bt_hlo_input *in, bt_hlo_role role, int32_t *out) {
    for (int64_t b = 0; b < in->n_seqs; b++) {
        const bool is_there = b < in->batch->n_seqs;
        if (role == BT_HLO_FIRST_SLOTS) {
            out[b] = is_there ? in->first_slots[b] : (int32_t)n_slots_of(in);
        } else {
            out[b] = (int32_t)(in->first_seq + b);
        }
    }
}

static void fill_int_labels(const bt_hlo_input *in, int32_t *out) {
    const int32_t *const labels = in->batch->int_labels;
    const int64_t        n_seqs = in->batch->n_seqs;
    if (in->model->head.loss == BT_LOSS_TOKENS) {
        fill_column(in, labels, out);
        return;
    }
    const int64_t n_sides = in->model->head.loss == BT_LOSS_SPAN ? 2 : 1;
    memset(out, 0, (size_t)(n_sides * in->n_seqs) * sizeof *out);
    for (int64_t side = 0; side < n_sides; side++) {
        memcpy(out + side * in->n_seqs, labels + side * n_seqs, (size_t)n_seqs * sizeof *out);
    }
}

static void fill_float_labels(const bt_hlo_input *in, float *out) {
    const int64_t n = in->model->head.loss == BT_LOSS_SIGMOID ? in->model->head.num_classes : 1;
    memset(out, 0, (size_t)(n * in->n_seqs) * sizeof *out);
    memcpy(out, in->batch->float_labels, (size_t)(n * in->batch->n_seqs) * sizeof *out);
}

/* How much row i of the batch (a token of tagging, else a sequence) is of the loss. */
static double weight_of(const bt_hlo_input *in, int64_t i) {
    const bt_loss_kind loss = in->model->head.loss;
    const bool         has_class = loss == BT_LOSS_SOFTMAX || loss == BT_LOSS_TOKENS;
    const int32_t      label = has_class ? in->batch->int_labels[i] : 0;
    const double      *classes = in->model->class_rule.weights;
    double             weight = label < 0 ? 0 : 1;
    const bool         counts_rows = loss == BT_LOSS_SOFTMAX || loss == BT_LOSS_TOKENS ||
                             loss == BT_LOSS_MSE || loss == BT_LOSS_SIGMOID;
    if (in->is_training && counts_rows && weight > 0) {
        weight *= in->batch->row_weights != NULL ? (double)in->batch->row_weights[i] : 1;
        weight *= has_class && classes != NULL ? classes[label] : 1;
    }
    return weight;
}

static void fill_weights(const bt_hlo_input *in, float *out) {
    if (in->model->head.loss != BT_LOSS_TOKENS) {
        for (int64_t b = 0; b < in->n_seqs; b++) {
            out[b] = b < in->batch->n_seqs ? (float)weight_of(in, b) : 0;
        }
        return;
    }
    memset(out, 0, (size_t)n_slots_of(in) * sizeof *out);
    for (int64_t b = 0; b < in->batch->n_seqs; b++) {
        for (int64_t i = 0; i < length_of(in->batch, b); i++) {
            out[in->first_slots[b] + i] = (float)weight_of(in, in->batch->offsets[b] + i);
        }
    }
}

double bt_hlo_weight_sum(const bt_hlo_input *in) {
    const bool    tokens = in->model->head.loss == BT_LOSS_TOKENS;
    const int64_t n = tokens ? in->batch->n_tokens : in->batch->n_seqs;
    double        sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += weight_of(in, i);
    }
    return in->model->head.loss == BT_LOSS_RANKING ? sum / 2 : sum;
}

bool bt_hlo_fill(const bt_hlo_input *in, bt_hlo_role role, void *array) {
    switch (role) {
    case BT_HLO_IDS:
        fill_column(in, in->batch->ids, array);
        return true;
    case BT_HLO_TYPES:
        fill_column(in, in->batch->types, array);
        return true;
    case BT_HLO_POSITIONS:
        fill_column(in, in->batch->positions, array);
        return true;
    case BT_HLO_TOKENS:
    case BT_HLO_SEGMENTS:
        fill_numbers(in, role, array);
        return true;
    case BT_HLO_KEY_MASK:
        fill_key_mask(in, array);
        return true;
    case BT_HLO_FIRST_SLOTS:
    case BT_HLO_SEQUENCES:
        fill_sequences(in, role, array);
        return true;
    case BT_HLO_INT_LABELS:
        fill_int_labels(in, array);
        return true;
    case BT_HLO_FLOAT_LABELS:
        fill_float_labels(in, array);
        return true;
    case BT_HLO_WEIGHTS:
        fill_weights(in, array);
        return true;
    case BT_HLO_PARAM:
    case BT_HLO_SLOT:
    case BT_HLO_AVERAGE:
    case BT_HLO_GRADIENT:
    case BT_HLO_NUMBERS:
    case BT_HLO_SEED:
    case BT_HLO_N_LAYERS:
    case BT_HLO_SUMS:
    case BT_HLO_OUTCOME:
    case BT_HLO_LOGITS:
    case BT_HLO_HIDDEN:
    case BT_HLO_POOLED:
        return false;
    }
    return false;
}
