/* SPDX-License-Identifier: Apache-2.0
 *
 * The encoder as an ONNX graph: what docs/model_garden/numerics.md section 1 computes, over rows of
 * padded tokens. Orders of nodes are those that ONNX Runtime's optimizer fuses. */
#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "onnx_internal.h"

/* 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
static const char *gelu_tanh(onnx_graph *g, const char *x) {
    const char *const cube = onnx_op(g, "Pow", ONNX_IN(x, onnx_number(g, 3)));
    const char *const inner = onnx_add(g, x, onnx_mul(g, cube, onnx_number(g, 0.044715F)));
    const char *const scaled = onnx_mul(g, inner, onnx_number(g, 0.7978845608F));
    const char *const tanh_x = onnx_op(g, "Tanh", ONNX_IN(scaled));
    const char *const half = onnx_mul(g, x, onnx_number(g, 0.5F));
    return onnx_mul(g, half, onnx_add(g, tanh_x, onnx_number(g, 1)));
}

/* 0.5 x (1 + erf(x / sqrt(2))) */
static const char *gelu_erf(onnx_graph *g, const char *x) {
    const char *const scaled = onnx_op(g, "Div", ONNX_IN(x, onnx_number(g, 1.41421356237F)));
    const char *const erf_x = onnx_op(g, "Erf", ONNX_IN(scaled));
    const char *const product = onnx_mul(g, x, onnx_add(g, erf_x, onnx_number(g, 1)));
    return onnx_mul(g, product, onnx_number(g, 0.5F));
}

static const char *clip(onnx_graph *g, const char *x, float low, float high) {
    const char *const least = onnx_number(g, low);
    return onnx_op(g, "Clip", ONNX_IN(x, least, onnx_number(g, high)));
}

static const char *activate(onnx_graph *g, const char *x, bt_activation activation) {
    switch (activation) {
    case BT_ACT_GELU:
        return gelu_tanh(g, x);
    case BT_ACT_GELU_ERF:
        return gelu_erf(g, x);
    case BT_ACT_RELU:
        return onnx_op(g, "Relu", ONNX_IN(x));
    case BT_ACT_RELU6:
        return clip(g, x, 0, 6);
    case BT_ACT_TANH:
        return onnx_op(g, "Tanh", ONNX_IN(x));
    case BT_ACT_SWISH:
        return onnx_mul(g, x, onnx_op(g, "Sigmoid", ONNX_IN(x)));
    case BT_ACT_HARD_SWISH:
        return onnx_op(g, "HardSwish", ONNX_IN(x));
    case BT_ACT_MISH:
        return onnx_mul(g, x, onnx_op(g, "Tanh", ONNX_IN(onnx_op(g, "Softplus", ONNX_IN(x)))));
    case BT_ACT_SIGMOID:
        return onnx_op(g, "Sigmoid", ONNX_IN(x));
    case BT_ACT_IDENTITY:
        break;
    }
    return x;
}

static const char *embed(onnx_graph *g, const char *ids, const char *types) {
    const bt_model *const          m = g->source->model;
    const bt_encoder_config *const e = &m->encoder;
    onnx_scope(g, "/embeddings");
    const char *const words = onnx_rows(g, m->word_embeddings, ids, false);
    const char *const shape = onnx_op(g, "Shape", ONNX_IN(ids));
    const char *const length = onnx_op(g, "Gather", ONNX_IN(shape, ONNX_LIST(g, 1)));
    const char *const zero = ONNX_LIST(g, 0);
    const char *const table = onnx_param(g, m->position_embedding);
    const char *const positions = onnx_op(g, "Slice", ONNX_IN(table, zero, length, zero));
    const char *const kinds = onnx_rows(g, m->type_embeddings, types, true);
    const char *const sum = onnx_add(g, onnx_add(g, words, positions), kinds);
    const char *const normed = onnx_norm(g, sum, m->embedding_norm);
    if (e->embedding_size == e->hidden_size) {
        return normed;
    }
    onnx_scope(g, "/embedding_projection");
    return onnx_dense(g, normed, m->embedding_projection, e->embedding_size, e->hidden_size, false);
}

/* What is added to scores: 0 for tokens, the lowest number for padding. A row of padding alone
 * attends to all of it alike. [B,1,1,S] */
static const char *added_mask(onnx_graph *g, const char *mask) {
    onnx_scope(g, "/mask");
    const char *const kept =
        onnx_cast(g, onnx_op(g, "Unsqueeze", ONNX_IN(mask, ONNX_LIST(g, 1, 2))), ONNX_F32);
    const char *const left_out = onnx_op(g, "Sub", ONNX_IN(onnx_number(g, 1), kept));
    return onnx_mul(g, left_out, onnx_number(g, -FLT_MAX));
}

/* [B,S,H] -> [B,NH,S,D], or for keys [B,NH,D,S]. */
static const char *heads(onnx_graph *g, const char *x, bool transposed) {
    const bt_encoder_config *const e = &g->source->model->encoder;
    const int64_t                  NH = e->num_attention_heads;
    const char *const              split =
        onnx_op(g, "Reshape", ONNX_IN(x, ONNX_LIST(g, 0, 0, NH, e->hidden_size / NH)));
    const char *const out = onnx_op(g, "Transpose", ONNX_IN(split));
    onnx_set_ints(g, "perm",
                  transposed ? (const int64_t[]){0, 2, 3, 1} : (const int64_t[]){0, 2, 1, 3}, 4);
    return out;
}

/* queries: the rows that ask, [B,S,H] or [B,1,H]. */
static const char *attend(onnx_graph *g, const bt_layer_index *p, const char *queries,
                          const char *x, const char *mask) {
    const bt_encoder_config *const e = &g->source->model->encoder;
    const int64_t                  H = e->hidden_size;
    const float                    D = (float)(H / e->num_attention_heads);
    const char *const q = heads(g, onnx_dense(g, queries, p->query, H, H, false), false);
    const char *const k = heads(g, onnx_dense(g, x, p->key, H, H, false), true);
    const char *const v = heads(g, onnx_dense(g, x, p->value, H, H, false), false);
    const char *const products = onnx_op(g, "MatMul", ONNX_IN(q, k));
    const char *const scores = onnx_op(g, "Div", ONNX_IN(products, onnx_number(g, sqrtf(D))));
    const char *const weights = onnx_op(g, "Softmax", ONNX_IN(onnx_add(g, scores, mask)));
    onnx_set_int(g, "axis", -1);
    const char *const context =
        onnx_op(g, "Transpose", ONNX_IN(onnx_op(g, "MatMul", ONNX_IN(weights, v))));
    onnx_set_ints(g, "perm", (const int64_t[]){0, 2, 1, 3}, 4);
    const char *const joined = onnx_op(g, "Reshape", ONNX_IN(context, ONNX_LIST(g, 0, 0, H)));
    return onnx_dense(g, joined, p->attention_output, H, H, false);
}

static const char *feed_forward(onnx_graph *g, const bt_layer_index *p, const char *x) {
    const bt_encoder_config *const e = &g->source->model->encoder;
    const char *const              inner =
        onnx_dense(g, x, p->intermediate, e->hidden_size, e->intermediate_size, false);
    return onnx_dense(g, activate(g, inner, e->hidden_activation), p->output, e->intermediate_size,
                      e->hidden_size, false);
}

/* Only what is read is computed: the last layer of a head that reads first tokens alone has one row
 * a sequence, [B,1,H]. What is to be given out as last_hidden_state has all. */
static const char *first_row(onnx_graph *g, const char *x) {
    const char *const row = onnx_op(g, "Gather", ONNX_IN(x, ONNX_LIST(g, 0)));
    onnx_set_int(g, "axis", 1);
    return row;
}

static const char *layer(onnx_graph *g, int64_t i, const char *x, const char *mask) {
    const bt_model *const       m = g->source->model;
    const bt_layer_index *const p = &m->layers[i];
    const bool first_only = i == m->encoder.num_layers - 1 && onnx_reads_first_rows(&m->head);
    onnx_scope(g, "/encoder/layer.%" PRId64 "/attention", i);
    if (m->encoder.norm_first) {
        const char *const normed = onnx_norm(g, x, p->attention_norm);
        const char *const queries = first_only ? first_row(g, normed) : normed;
        const char *const residual = first_only ? first_row(g, x) : x;
        const char *const sum = onnx_add(g, attend(g, p, queries, normed, mask), residual);
        onnx_scope(g, "/encoder/layer.%" PRId64 "/output", i);
        return onnx_add(g, feed_forward(g, p, onnx_norm(g, sum, p->output_norm)), sum);
    }
    const char *const queries = first_only ? first_row(g, x) : x;
    const char *const sum = onnx_add(g, attend(g, p, queries, x, mask), queries);
    const char *const attended = onnx_norm(g, sum, p->attention_norm);
    onnx_scope(g, "/encoder/layer.%" PRId64 "/output", i);
    return onnx_norm(g, onnx_add(g, feed_forward(g, p, attended), attended), p->output_norm);
}

onnx_encoder onnx_encode(onnx_graph *g) {
    static const int64_t dims[] = {ONNX_BATCH, ONNX_SEQUENCE};
    onnx_encoder         out;
    const char *const    ids = onnx_input(g, "input_ids", ONNX_I64, 2, dims);
    out.mask = onnx_input(g, "attention_mask", ONNX_I64, 2, dims);
    const char *const types = onnx_input(g, "token_type_ids", ONNX_I64, 2, dims);
    const char       *x = embed(g, ids, types);
    const char *const mask = added_mask(g, out.mask);
    for (int64_t i = 0; i < g->source->model->encoder.num_layers; i++) {
        x = layer(g, i, x, mask);
    }
    out.hidden = x;
    return out;
}
