/* SPDX-License-Identifier: Apache-2.0
 *
 * The heads as ONNX graphs. What they give is called as Hugging Face's exporters call it, so that
 * programs written for those find it: logits; start_logits and end_logits; last_hidden_state,
 * pooler_output, sentence_embedding. */
#include <float.h>

#include "onnx_internal.h"

bool onnx_reads_first_rows(const bt_head_config *head) {
    return head->kind != BT_HEAD_POOLED_OUTPUT && bt_model_reads_first_rows(head);
}

/* [B,S,H] -> [B,H] of the first tokens */
static const char *first_tokens(onnx_graph *g, const char *x) {
    const char *const rows = onnx_op(g, "Gather", ONNX_IN(x, onnx_index(g, 0)));
    onnx_set_int(g, "axis", 1);
    return rows;
}

static const char *pool_first(onnx_graph *g, const char *x, bt_dense_index pooler) {
    const int64_t H = g->source->model->encoder.hidden_size;
    onnx_scope(g, "/pooler");
    const char *const dense = onnx_dense(g, first_tokens(g, x), pooler, H, H, false);
    return onnx_op(g, "Tanh", ONNX_IN(dense));
}

/* In float32 with weights of 8 bits: the product is small, and all of it decides. */
static const char *logits_of(onnx_graph *g, const char *x) {
    const bt_model *const m = g->source->model;
    onnx_scope(g, "/classifier");
    return onnx_dense(g, x, m->head_logits, m->encoder.hidden_size, m->head.num_classes,
                      g->source->precision == BT_EXPORT_INT8);
}

static void give_logits(onnx_graph *g, bool of_tokens) {
    const int64_t C = g->source->model->head.num_classes;
    (void)onnx_rename(g, "logits");
    if (of_tokens) {
        onnx_output(g, "logits", 3, (const int64_t[]){ONNX_BATCH, ONNX_SEQUENCE, C});
    } else {
        onnx_output(g, "logits", 2, (const int64_t[]){ONNX_BATCH, C});
    }
}

static void give_span(onnx_graph *g, const char *logits) {
    static const char *const names[] = {"start_logits", "end_logits"};
    for (int i = 0; i < 2; i++) {
        (void)onnx_op(g, "Gather", ONNX_IN(logits, onnx_index(g, i)));
        onnx_set_int(g, "axis", 2);
        (void)onnx_rename(g, names[i]);
        onnx_output(g, names[i], 2, (const int64_t[]){ONNX_BATCH, ONNX_SEQUENCE});
    }
}

/* [B,S,1] of 0 and 1 */
static const char *token_mask(onnx_graph *g, const char *mask) {
    return onnx_cast(g, onnx_op(g, "Unsqueeze", ONNX_IN(mask, ONNX_LIST(g, 2))), ONNX_F32);
}

static const char *pool_mean(onnx_graph *g, const onnx_encoder *encoder, const char *x) {
    const char *const mask = token_mask(g, encoder->mask);
    const char *const axis = ONNX_LIST(g, 1);
    const char *const sum = onnx_op(g, "ReduceSum", ONNX_IN(onnx_mul(g, x, mask), axis));
    onnx_set_int(g, "keepdims", 0);
    const char *const n = onnx_op(g, "ReduceSum", ONNX_IN(mask, axis));
    onnx_set_int(g, "keepdims", 0);
    return onnx_op(g, "Div", ONNX_IN(sum, onnx_op(g, "Max", ONNX_IN(n, onnx_number(g, 1e-9F)))));
}

static const char *pool_max(onnx_graph *g, const onnx_encoder *encoder, const char *x) {
    const char *const mask = token_mask(g, encoder->mask);
    const char *const left_out = onnx_op(g, "Sub", ONNX_IN(onnx_number(g, 1), mask));
    const char *const kept = onnx_add(g, x, onnx_mul(g, left_out, onnx_number(g, -FLT_MAX)));
    const char *const out = onnx_op(g, "ReduceMax", ONNX_IN(kept));
    onnx_set_ints(g, "axes", (const int64_t[]){1}, 1);
    onnx_set_int(g, "keepdims", 0);
    return out;
}

/* x / sqrt(max(sum of squares, 1e-12)) */
static const char *unit_rows(onnx_graph *g, const char *x) {
    const char *const squares = onnx_mul(g, x, x);
    const char *const sum = onnx_op(g, "ReduceSum", ONNX_IN(squares, ONNX_LIST(g, 1)));
    const char *const bounded = onnx_op(g, "Max", ONNX_IN(sum, onnx_number(g, 1e-12F)));
    return onnx_op(g, "Div", ONNX_IN(x, onnx_op(g, "Sqrt", ONNX_IN(bounded))));
}

static const char *pool(onnx_graph *g, const onnx_encoder *encoder, const char *x) {
    const bt_model *const m = g->source->model;
    const int64_t         dims[] = {ONNX_BATCH, m->encoder.hidden_size};
    switch (m->head.pooling) {
    case BT_POOLING_POOLER:
        x = pool_first(g, x, m->pooler_transform);
        x = onnx_rename(g, "pooler_output");
        onnx_output(g, x, 2, dims);
        return x;
    case BT_POOLING_CLS:
        return first_tokens(g, x);
    case BT_POOLING_MEAN:
        return pool_mean(g, encoder, x);
    case BT_POOLING_MAX:
        return pool_max(g, encoder, x);
    }
    return x;
}

static void give_vectors(onnx_graph *g, const onnx_encoder *encoder) {
    const int64_t     H = g->source->model->encoder.hidden_size;
    const char *const hidden = onnx_rename(g, "last_hidden_state");
    onnx_output(g, hidden, 3, (const int64_t[]){ONNX_BATCH, ONNX_SEQUENCE, H});
    onnx_scope(g, "/pooling");
    const char *vectors = pool(g, encoder, hidden);
    if (g->source->model->head.normalize) {
        vectors = unit_rows(g, vectors);
    } else if (g->source->model->head.pooling == BT_POOLING_POOLER) {
        (void)onnx_op(g, "Identity", ONNX_IN(vectors));
    }
    (void)onnx_rename(g, "sentence_embedding");
    onnx_output(g, "sentence_embedding", 2, (const int64_t[]){ONNX_BATCH, H});
}

static void put_head(onnx_graph *g, const onnx_encoder *encoder) {
    const bt_model *const m = g->source->model;
    switch (m->head.kind) {
    case BT_HEAD_POOLER_DENSE:
        (void)logits_of(g, pool_first(g, encoder->hidden, m->head_pooler));
        give_logits(g, false);
        return;
    case BT_HEAD_ENCODER_POOLER:
        (void)logits_of(g, pool_first(g, encoder->hidden, m->pooler_transform));
        give_logits(g, false);
        return;
    case BT_HEAD_TOKENS:
        if (m->head.loss == BT_LOSS_SPAN) {
            give_span(g, logits_of(g, encoder->hidden));
            return;
        }
        (void)logits_of(g, encoder->hidden);
        give_logits(g, true);
        return;
    case BT_HEAD_POOLED_OUTPUT:
        give_vectors(g, encoder);
        return;
    }
}

bt_status onnx_build(onnx_graph *g, bt_error *err) {
    const onnx_encoder encoder = onnx_encode(g);
    put_head(g, &encoder);
    if (g->rc != BT_OK) {
        return BT_FAIL(err, g->rc, "%s", g->err.msg);
    }
    return BT_OK;
}
