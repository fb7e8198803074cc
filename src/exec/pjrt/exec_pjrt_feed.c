/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch as the arrays that programs read: its tokens in rows of slots, labels, weights, numbers
 * of the update. Empty slots and places are 0, but for what says that they are empty. */
#include <string.h>

#include "exec_pjrt_internal.h"

/* An array of that many elements, all 0. */
static bt_status need(exec_feed *feed, bt_hlo_role role, bt_dtype dtype, int64_t n, void **out,
                      bt_error *err) {
    const size_t n_bytes = (size_t)n * bt_dtype_size(dtype);
    if (n_bytes > feed->cap_bytes[role]) {
        bt_free(feed->data[role]);
        feed->data[role] = bt_alloc(n_bytes);
        feed->cap_bytes[role] = feed->data[role] != NULL ? n_bytes : 0;
        if (feed->data[role] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a batch on its way to the device");
        }
    }
    memset(feed->data[role], 0, n_bytes);
    feed->dtype[role] = dtype;
    feed->n[role] = n;
    *out = feed->data[role];
    return BT_OK;
}

static bt_status need_i32(exec_feed *feed, bt_hlo_role role, int64_t n, int32_t **out,
                          bt_error *err) {
    void *array = NULL;
    BT_TRY(need(feed, role, BT_DTYPE_I32, n, &array, err));
    *out = array;
    return BT_OK;
}

static bt_status need_f32(exec_feed *feed, bt_hlo_role role, int64_t n, float **out,
                          bt_error *err) {
    void *array = NULL;
    BT_TRY(need(feed, role, BT_DTYPE_F32, n, &array, err));
    *out = array;
    return BT_OK;
}

/* A share on its way into its feed. */
typedef struct filling {
    const bt_model  *model;
    const bt_batch  *batch;
    const exec_rows *rows;
    exec_bucket      bucket;
    exec_feed       *feed;
} filling;

static int64_t slot_of(const filling *f, int64_t b, int64_t t) {
    return f->rows->first[b] + t - f->batch->offsets[f->rows->first_seq + b];
}

/* A column of the batch, one value a token. */
static bt_status fill_tokens(const filling *f, bt_hlo_role role, const int32_t *column,
                             bt_error *err) {
    const int64_t *const offsets = f->batch->offsets + f->rows->first_seq;
    int32_t             *array = NULL;
    BT_TRY(need_i32(f->feed, role, f->bucket.n_rows * f->bucket.n_slots, &array, err));
    for (int64_t b = 0; b < f->rows->n_seqs; b++) {
        for (int64_t t = offsets[b]; t < offsets[b + 1]; t++) {
            array[slot_of(f, b, t)] = column != NULL ? column[t] : (int32_t)t;
        }
    }
    return BT_OK;
}

static bt_status fill_segments(const filling *f, bt_error *err) {
    const int64_t *const offsets = f->batch->offsets + f->rows->first_seq;
    const int64_t        n_slots = f->bucket.n_rows * f->bucket.n_slots;
    int32_t             *segments = NULL;
    BT_TRY(need_i32(f->feed, BT_HLO_SEGMENTS, n_slots, &segments, err));
    for (int64_t i = 0; i < n_slots; i++) {
        segments[i] = -1;
    }
    for (int64_t b = 0; b < f->rows->n_seqs; b++) {
        for (int64_t t = offsets[b]; t < offsets[b + 1]; t++) {
            segments[slot_of(f, b, t)] = (int32_t)b;
        }
    }
    return BT_OK;
}

static bt_status fill_key_mask(const filling *f, bt_error *err) {
    const int64_t *const offsets = f->batch->offsets + f->rows->first_seq;
    const int64_t        n_slots = f->bucket.n_rows * f->bucket.n_slots;
    void                *array = NULL;
    if (f->batch->key_mask == NULL) {
        return BT_OK;
    }
    BT_TRY(need(f->feed, BT_HLO_KEY_MASK, BT_DTYPE_U8, n_slots, &array, err));
    uint8_t *const mask = array;
    memset(mask, 1, (size_t)n_slots);
    for (int64_t b = 0; b < f->rows->n_seqs; b++) {
        for (int64_t t = offsets[b]; t < offsets[b + 1]; t++) {
            mask[slot_of(f, b, t)] = f->batch->key_mask[t] != 0;
        }
    }
    return BT_OK;
}

static bt_status fill_sequences(const filling *f, bt_error *err) {
    int32_t *first = NULL;
    int32_t *sequences = NULL;
    BT_TRY(need_i32(f->feed, BT_HLO_FIRST_SLOTS, f->bucket.n_seqs, &first, err));
    BT_TRY(need_i32(f->feed, BT_HLO_SEQUENCES, f->bucket.n_seqs, &sequences, err));
    for (int64_t b = 0; b < f->bucket.n_seqs; b++) {
        first[b] = (int32_t)(b < f->rows->n_seqs ? f->rows->first[b]
                                                 : f->bucket.n_rows * f->bucket.n_slots);
        sequences[b] = (int32_t)(f->rows->first_seq + b);
    }
    return BT_OK;
}

/* ---- labels -------------------------------------------------------------------------------------
 */

static bool is_of_tokens(const filling *f) {
    return f->model->head.loss == BT_LOSS_TOKENS;
}

static bt_status fill_int_labels(const filling *f, bt_error *err) {
    const int32_t *const labels = f->batch->int_labels;
    const int64_t        first = f->rows->first_seq;
    int32_t             *array = NULL;
    if (labels == NULL) {
        return BT_OK;
    }
    if (is_of_tokens(f)) {
        return fill_tokens(f, BT_HLO_INT_LABELS, labels, err);
    }
    const int64_t n_sides = f->model->head.loss == BT_LOSS_SPAN ? 2 : 1;
    BT_TRY(need_i32(f->feed, BT_HLO_INT_LABELS, n_sides * f->bucket.n_seqs, &array, err));
    for (int64_t side = 0; side < n_sides; side++) {
        memcpy(array + side * f->bucket.n_seqs, labels + side * f->batch->n_seqs + first,
               (size_t)f->rows->n_seqs * sizeof *array);
    }
    return BT_OK;
}

static bt_status fill_float_labels(const filling *f, bt_error *err) {
    const int64_t n = f->model->head.loss == BT_LOSS_SIGMOID ? f->model->head.num_classes : 1;
    float        *array = NULL;
    if (f->batch->float_labels == NULL) {
        return BT_OK;
    }
    BT_TRY(need_f32(f->feed, BT_HLO_FLOAT_LABELS, n * f->bucket.n_seqs, &array, err));
    memcpy(array, f->batch->float_labels + n * f->rows->first_seq,
           (size_t)(n * f->rows->n_seqs) * sizeof *array);
    return BT_OK;
}

/* Of a sequence or a token with that label, if it has one. Weights are for training only. */
static double weight_of(const filling *f, int64_t row, bool training) {
    const bt_loss_kind loss = f->model->head.loss;
    const bool         has_class = loss == BT_LOSS_SOFTMAX || loss == BT_LOSS_TOKENS;
    const int32_t      label = has_class ? f->batch->int_labels[row] : 0;
    double             weight = label < 0 ? 0 : 1;
    if (training && label >= 0) {
        const double *const classes = f->model->class_rule.weights;
        weight *= f->batch->row_weights != NULL ? (double)f->batch->row_weights[row] : 1;
        weight *= has_class && classes != NULL ? classes[label] : 1;
    }
    return weight;
}

static bt_status fill_weights(const filling *f, bool training, double *sum, bt_error *err) {
    const int64_t *const offsets = f->batch->offsets + f->rows->first_seq;
    const bool           tokens = is_of_tokens(f);
    float               *array = NULL;
    *sum = 0;
    BT_TRY(need_f32(f->feed, BT_HLO_WEIGHTS,
                    tokens ? f->bucket.n_rows * f->bucket.n_slots : f->bucket.n_seqs, &array, err));
    for (int64_t b = 0; b < f->rows->n_seqs; b++) {
        const int64_t first = tokens ? offsets[b] : f->rows->first_seq + b;
        const int64_t n = tokens ? offsets[b + 1] - offsets[b] : 1;
        for (int64_t i = first; i < first + n; i++) {
            const double weight = weight_of(f, i, training);
            array[tokens ? slot_of(f, b, i) : b] = (float)weight;
            *sum += weight;
        }
    }
    if (f->model->head.loss == BT_LOSS_RANKING) {
        *sum /= 2; /* pairs */
    }
    return BT_OK;
}

/* ---- a step -------------------------------------------------------------------------------------
 */

static bt_status fill_numbers(const exec_pjrt *exec, const filling *f, const exec_step *step,
                              double weight_sum, bt_error *err) {
    float *numbers = NULL;
    BT_TRY(need_f32(f->feed, BT_HLO_NUMBERS, BT_HLO_N_NUMBERS, &numbers, err));
    numbers[BT_HLO_WEIGHT_SUM] = (float)weight_sum;
    numbers[BT_HLO_LOSS_SCALE] = (float)exec->scale.now.factor;
    if (step->what == BT_HLO_TRAIN) {
        const bt_optim_numbers n = bt_optim_get_numbers(exec->optim, step->step);
        numbers[BT_HLO_LR] = n.lr;
        numbers[BT_HLO_ALPHA] = n.alpha;
        numbers[BT_HLO_CORRECTION_1] = n.correction_1;
        numbers[BT_HLO_CORRECTION_2] = n.correction_2;
        numbers[BT_HLO_ONE_MINUS_AVERAGE_DECAY] = n.one_minus_average_decay;
    }
    return BT_OK;
}

static bt_status fill_seed(const filling *f, const exec_step *step, bt_error *err) {
    void *array = NULL;
    BT_TRY(need(f->feed, BT_HLO_SEED, BT_DTYPE_U32, 4, &array, err));
    uint32_t *const words = array;
    const uint64_t  numbers[2] = {step->seed, (uint64_t)step->step};
    for (int i = 0; i < 4; i++) {
        words[i] = (uint32_t)(numbers[i / 2] >> (i % 2 * 32));
    }
    return BT_OK;
}

static bt_status fill_share(const exec_pjrt *exec, const filling *f, const exec_step *step,
                            bt_error *err) {
    const bool training = step->what != BT_HLO_EVALUATE;
    double     weight_sum = 0;
    int32_t   *n_layers = NULL;
    BT_TRY(fill_tokens(f, BT_HLO_IDS, f->batch->ids, err));
    BT_TRY(fill_tokens(f, BT_HLO_TYPES, f->batch->types, err));
    BT_TRY(fill_tokens(f, BT_HLO_POSITIONS, f->batch->positions, err));
    BT_TRY(fill_tokens(f, BT_HLO_TOKENS, NULL, err));
    BT_TRY(fill_segments(f, err));
    BT_TRY(fill_key_mask(f, err));
    BT_TRY(fill_sequences(f, err));
    if (step->has_labels) {
        BT_TRY(fill_int_labels(f, err));
        BT_TRY(fill_float_labels(f, err));
        BT_TRY(fill_weights(f, training, &weight_sum, err));
    }
    BT_TRY(fill_numbers(exec, f, step, weight_sum, err));
    BT_TRY(need_i32(f->feed, BT_HLO_N_LAYERS, 1, &n_layers, err));
    *n_layers = (int32_t)step->n_layers;
    return fill_seed(f, step, err);
}

bt_status exec_feed_batch(exec_pjrt *exec, const bt_batch *batch, const exec_step *step,
                          int32_t n_replicas, bt_hlo_config *config, bt_error *err) {
    exec_bucket bucket;
    if (batch->n_tokens > INT32_MAX) {
        return BT_FAIL(err, BT_E_SHAPE, "a batch of %" PRId64 " tokens, a device takes %" PRId32,
                       batch->n_tokens, INT32_MAX);
    }
    BT_TRY(exec_rows_lay(exec->rows, n_replicas, batch, &bucket, err));
    for (int32_t r = 0; r < n_replicas; r++) {
        memset(exec->feeds[r].n, 0, sizeof exec->feeds[r].n);
        const filling f = {exec->model, batch, &exec->rows[r], bucket, &exec->feeds[r]};
        BT_TRY(fill_share(exec, &f, step, err));
    }
    *config = (bt_hlo_config){.what = step->what,
                              .n_rows = bucket.n_rows,
                              .n_slots = bucket.n_slots,
                              .n_seqs = bucket.n_seqs,
                              .precision = exec->precision,
                              .has_key_mask = batch->key_mask != NULL,
                              .has_labels = step->has_labels,
                              .recompute = exec->recompute,
                              .n_replicas = n_replicas};
    return BT_OK;
}

void exec_feed_deinit(exec_feed *feed) {
    for (size_t i = 0; i < BT_HLO_N_ROLES; i++) {
        bt_free(feed->data[i]);
    }
}
