/* SPDX-License-Identifier: Apache-2.0
 *
 * What every engine checks of a model and of a batch. Checks of a batch come first: an id beyond a
 * table would read or write outside it, and no caller may have to be trusted with that. */
#include <inttypes.h>
#include <string.h>

#include "exec_shared.h"

bool exec_is_of_all_pairs(const bt_model *model) {
    return model->head.loss == BT_LOSS_RANKING || model->head.loss == BT_LOSS_MSE_ALL_PAIRS;
}

bt_status exec_check_model(const bt_model *model, bt_error *err) {
    if (!bt_model_reads_first_rows(&model->head) && model->encoder.output_range > 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "encoder output_range is %" PRId64
                       ", but this task reads every token: set it to null",
                       model->encoder.output_range);
    }
    if (model->head.loss == BT_LOSS_SPAN && model->head.num_classes != 2) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "a span head needs 2 columns of logits (start, end), got %" PRId64,
                       model->head.num_classes);
    }
    if (model->head.loss == BT_LOSS_RANKING && model->head.kind != BT_HEAD_POOLED_OUTPUT) {
        return BT_FAIL(err, BT_E_INTERNAL, "a ranking loss needs the pooled output as its head");
    }
    return BT_OK;
}

bt_status exec_check_parts(const bt_model *model, const bt_optim *optim,
                           const bt_exec_config *config, bt_error *err) {
    if (config->part_seqs <= 0) {
        return BT_OK;
    }
    if (model->head.loss == BT_LOSS_RANKING) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "trainer.gradient_accumulation_steps: this loss holds each pair against "
                       "all others of the batch, so it cannot be added up from parts: set it to 1");
    }
    if (optim != NULL && bt_optim_needs_word_rows(optim)) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "trainer.gradient_accumulation_steps: clipvalue clips the gradient of each "
                       "word of the batch, which are not kept beyond a part: set it to 1, or "
                       "clipvalue to null");
    }
    return BT_OK;
}

bt_status exec_check_layer(const bt_model *model, int64_t layer, bool wants_pooled, bt_error *err) {
    const int64_t last = model->encoder.num_layers - 1;
    if (layer < -1 || layer > last) {
        return BT_FAIL(err, BT_E_SHAPE, "layer %" PRId64 " of an encoder with %" PRId64 " layers",
                       layer, last + 1);
    }
    if (wants_pooled && layer != last) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "the pooled output belongs to the last layer (%" PRId64
                       "), not to layer %" PRId64,
                       last, layer);
    }
    return BT_OK;
}

static bt_status check_column(const int32_t *values, int64_t n, int64_t limit, const char *what,
                              bt_error *err) {
    for (int64_t t = 0; t < n; t++) {
        if (values[t] < 0 || values[t] >= limit) {
            return BT_FAIL(err, BT_E_SHAPE,
                           "token %" PRId64 " of the batch: %s %" PRId32
                           " is outside the model's table of %" PRId64,
                           t, what, values[t], limit);
        }
    }
    return BT_OK;
}

static bt_status check_label(int64_t row, int64_t label, int64_t first, int64_t limit,
                             const char *what, bt_error *err) {
    if (label < first || label >= limit) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s %" PRId64 " of the batch: label %" PRId64 " is outside [%" PRId64
                       ", %" PRId64 ")",
                       what, row, label, first, limit);
    }
    return BT_OK;
}

static bt_status check_labels(const bt_model *model, const bt_batch *batch, bt_error *err) {
    const int64_t        C = model->head.num_classes;
    const int64_t        B = batch->n_seqs;
    const int32_t *const labels = batch->int_labels;
    if (labels == NULL) {
        return BT_OK;
    }
    switch (model->head.loss) {
    case BT_LOSS_SOFTMAX:
        for (int64_t b = 0; b < B; b++) {
            BT_TRY(check_label(b, labels[b], 0, C, "example", err));
        }
        return BT_OK;
    case BT_LOSS_TOKENS:
        for (int64_t t = 0; t < batch->n_tokens; t++) {
            BT_TRY(check_label(t, labels[t], INT32_MIN, C, "token", err));
        }
        return BT_OK;
    case BT_LOSS_SPAN:
        for (int64_t i = 0; i < 2 * B; i++) {
            const int64_t n = batch->offsets[i % B + 1] - batch->offsets[i % B];
            BT_TRY(check_label(i % B, labels[i], 0, n,
                               i < B ? "start of example" : "end of example", err));
        }
        return BT_OK;
    case BT_LOSS_NONE:
    case BT_LOSS_MSE:
    case BT_LOSS_MSE_ALL_PAIRS:
    case BT_LOSS_RANKING:
    case BT_LOSS_SIGMOID:
        return BT_OK;
    }
    return BT_OK;
}

bt_status exec_check_batch(const bt_model *model, const bt_batch *batch, int64_t *max_length,
                           bt_error *err) {
    const bt_encoder_config *const e = &model->encoder;
    *max_length = 0;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const int64_t n = batch->offsets[b + 1] - batch->offsets[b];
        if (n < 1) {
            return BT_FAIL(err, BT_E_SHAPE, "example %" PRId64 " of the batch has no token", b);
        }
        *max_length = n > *max_length ? n : *max_length;
    }
    if (batch->n_seqs < 1 || batch->offsets[0] != 0 ||
        batch->offsets[batch->n_seqs] != batch->n_tokens) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "a batch of %" PRId64 " sequences and %" PRId64
                       " tokens, whose offsets do not say so",
                       batch->n_seqs, batch->n_tokens);
    }
    if (model->head.loss == BT_LOSS_RANKING && batch->n_seqs % 2 != 0) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "a batch of %" PRId64 " sequences, but a dual encoder reads them in pairs",
                       batch->n_seqs);
    }
    BT_TRY(check_column(batch->ids, batch->n_tokens, e->vocab_size, "word id", err));
    BT_TRY(check_column(batch->types, batch->n_tokens, e->type_vocab_size, "type id", err));
    BT_TRY(check_column(batch->positions, batch->n_tokens, e->max_position_embeddings, "position",
                        err));
    return check_labels(model, batch, err);
}

bool exec_has_labels(const bt_model *model, const bt_batch *batch) {
    switch (model->head.loss) {
    case BT_LOSS_NONE:
        return false;
    case BT_LOSS_SOFTMAX:
    case BT_LOSS_SPAN:
    case BT_LOSS_TOKENS:
        return batch->int_labels != NULL;
    case BT_LOSS_MSE:
    case BT_LOSS_MSE_ALL_PAIRS:
    case BT_LOSS_SIGMOID:
        return batch->float_labels != NULL;
    case BT_LOSS_RANKING:
        return true; /* the pairs are the labels */
    }
    return false;
}

/* Into memory at *at, which moves on; without memory only the place is counted. */
static const void *keep_column(uint8_t *memory, size_t *at, const void *column, int64_t n,
                               size_t size) {
    const size_t n_bytes = column != NULL ? (size_t)n * size : 0;
    uint8_t     *copy = memory != NULL && column != NULL ? memory + *at : NULL;
    if (copy != NULL) {
        memcpy(copy, column, n_bytes);
    }
    *at += (n_bytes + 7) / 8 * 8;
    return copy;
}

size_t exec_batch_keep(const bt_head_config *head, bt_batch *b, uint8_t *memory) {
    const bt_batch from = *b;
    const int64_t  B = from.n_seqs;
    const int64_t  T = from.n_tokens;
    const int64_t  n_rows = head->loss == BT_LOSS_TOKENS ? T : B;
    /* a prediction, which has no loss, may know its tags, or which tokens begin a word */
    const int64_t n_ints = head->loss == BT_LOSS_SPAN     ? 2 * B
                           : head->kind == BT_HEAD_TOKENS ? T
                                                          : n_rows;
    const int64_t n_floats = B * (head->num_classes > 1 ? head->num_classes : 1);
    size_t        at = 0;
    b->offsets = keep_column(memory, &at, from.offsets, B + 1, sizeof *b->offsets);
    b->ids = keep_column(memory, &at, from.ids, T, sizeof *b->ids);
    b->types = keep_column(memory, &at, from.types, T, sizeof *b->types);
    b->positions = keep_column(memory, &at, from.positions, T, sizeof *b->positions);
    b->key_mask = keep_column(memory, &at, from.key_mask, T, sizeof *b->key_mask);
    b->int_labels = keep_column(memory, &at, from.int_labels, n_ints, sizeof *b->int_labels);
    b->float_labels =
        keep_column(memory, &at, from.float_labels, n_floats, sizeof *b->float_labels);
    b->row_weights = keep_column(memory, &at, from.row_weights, n_rows, sizeof *b->row_weights);
    b->example_ids = keep_column(memory, &at, from.example_ids, B, sizeof *b->example_ids);
    b->sentence_ids = keep_column(memory, &at, from.sentence_ids, B, sizeof *b->sentence_ids);
    b->sub_sentence_ids =
        keep_column(memory, &at, from.sub_sentence_ids, B, sizeof *b->sub_sentence_ids);
    return at;
}
