/* SPDX-License-Identifier: Apache-2.0
 *
 * The model's parameters in an ONNX graph, and what is computed with them: products, rows of
 * tables, norms, in the precision that was asked for. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/half.h"
#include "onnx_internal.h"

enum { LEVELS = 127, ZERO_POINT = 128 };

static const bt_param *param_of(const onnx_graph *g, int64_t index) {
    return &g->source->model->table.params[index];
}

static const float *values_of(const onnx_graph *g, int64_t index) {
    return g->source->values + param_of(g, index)->offset;
}

static float scale_of(float largest) {
    return largest > 0 ? largest / LEVELS : 1;
}

/* scales[j] of the columns of x [K,N], or of its rows [K]: the largest number is 127 steps. */
static void column_scales(float *scales, const float *x, int64_t K, int64_t N) {
    memset(scales, 0, (size_t)N * sizeof *scales);
    for (int64_t k = 0; k < K; k++) {
        for (int64_t j = 0; j < N; j++) {
            scales[j] = fmaxf(scales[j], fabsf(x[k * N + j]));
        }
    }
    for (int64_t j = 0; j < N; j++) {
        scales[j] = scale_of(scales[j]);
    }
}

static void row_scales(float *scales, const float *x, int64_t K, int64_t N) {
    for (int64_t k = 0; k < K; k++) {
        float largest = 0;
        for (int64_t j = 0; j < N; j++) {
            largest = fmaxf(largest, fabsf(x[k * N + j]));
        }
        scales[k] = scale_of(largest);
    }
}

static int32_t quantised(float x, float scale) {
    const float steps = rintf(x / scale);
    return (int32_t)(steps < -LEVELS ? -LEVELS : steps > LEVELS ? LEVELS : steps);
}

static void halves(const float *x, int64_t n, uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        const uint16_t half = bt_half_from_float(x[i]);
        out[2 * i] = (uint8_t)(half & 0xff);
        out[2 * i + 1] = (uint8_t)(half >> 8);
    }
}

void onnx_make_bytes(const onnx_tensor *tensor, int64_t first, int64_t n, uint8_t *out) {
    const int64_t size = onnx_type_size(tensor->type);
    const int64_t N = tensor->rank > 0 ? tensor->dim[tensor->rank - 1] : 1;
    switch (tensor->fill) {
    case ONNX_FILL_BYTES:
        memcpy(out, (const uint8_t *)tensor->bytes + first * size, (size_t)(n * size));
        return;
    case ONNX_FILL_FLOATS:
        memcpy(out, tensor->floats + first, (size_t)n * sizeof(float));
        return;
    case ONNX_FILL_HALVES:
        halves(tensor->floats + first, n, out);
        return;
    case ONNX_FILL_COLUMNS:
        for (int64_t i = first; i < first + n; i++) {
            *out++ = (uint8_t)(quantised(tensor->floats[i], tensor->scales[i % N]) + ZERO_POINT);
        }
        return;
    case ONNX_FILL_ROWS:
        for (int64_t i = first; i < first + n; i++) {
            *out++ = (uint8_t)quantised(tensor->floats[i], tensor->scales[i / N]);
        }
        return;
    }
}

/* Of a shape that need not be the table's. Once for each parameter. */
static const char *param_tensor(onnx_graph *g, int64_t index, onnx_tensor tensor) {
    if (g->params[index] == NULL) {
        tensor.name = param_of(g, index)->name;
        tensor.floats = values_of(g, index);
        g->params[index] = onnx_tensor_add(g, tensor);
    }
    return g->params[index];
}

const char *onnx_param(onnx_graph *g, int64_t index) {
    const bt_param *const param = param_of(g, index);
    onnx_tensor tensor = {.type = ONNX_F32, .rank = param->rank, .fill = ONNX_FILL_FLOATS};
    memcpy(tensor.dim, param->dim, sizeof tensor.dim);
    return param_tensor(g, index, tensor);
}

static const char *vector(onnx_graph *g, int64_t index, int64_t n) {
    return param_tensor(
        g, index, (onnx_tensor){.type = ONNX_F32, .rank = 1, .dim = {n}, .fill = ONNX_FILL_FLOATS});
}

/* float16 ends at 65504, and nothing is rounded to steps where one number is infinite. */
static void check_range(onnx_graph *g, int64_t index) {
    const bt_param *const param = param_of(g, index);
    const float *const    x = values_of(g, index);
    const float           most = g->source->precision == BT_EXPORT_FLOAT16 ? 65504.0F : 3.0e38F;
    for (int64_t i = 0; i < param->n_elements; i++) {
        if (!(fabsf(x[i]) <= most)) {
            onnx_fail(g, BT_E_UNSUPPORTED,
                      "%s has the number %g, which %s cannot hold: export in float32 "
                      "(--export_precision=float32)",
                      param->name, (double)x[i],
                      g->source->precision == BT_EXPORT_FLOAT16 ? "float16" : "a tensor of 8 bits");
            return;
        }
    }
}

/* Scales of columns or rows as a tensor beside the parameter's own. */
static const char *scales_tensor(onnx_graph *g, int64_t index, bool by_column, int64_t K,
                                 int64_t N) {
    char name[256];
    (void)snprintf(name, sizeof name, "%s_scale", param_of(g, index)->name);
    const int64_t n = by_column ? N : K;
    if (g->rc == BT_OK && g->scales[index] == NULL) {
        float *const scales = bt_arena_alloc_array(&g->arena, (size_t)n, sizeof *scales);
        if (scales == NULL) {
            onnx_fail(g, BT_E_NOMEM, "out of memory for %s", name);
            return "";
        }
        (by_column ? column_scales : row_scales)(scales, values_of(g, index), K, N);
        g->scales[index] = scales;
        return onnx_tensor_add(g, (onnx_tensor){.name = name,
                                                .type = ONNX_F32,
                                                .rank = by_column ? 1 : 2,
                                                .dim = {n, 1},
                                                .fill = ONNX_FILL_FLOATS,
                                                .floats = scales});
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (strcmp(g->tensors[i].name, name) == 0) {
            return g->tensors[i].name;
        }
    }
    return "";
}

static const char *product_f16(onnx_graph *g, const char *x, int64_t kernel, int64_t K, int64_t N) {
    if (g->params[kernel] == NULL) {
        check_range(g, kernel);
    }
    const char *const weights = param_tensor(
        g, kernel,
        (onnx_tensor){.type = ONNX_F16, .rank = 2, .dim = {K, N}, .fill = ONNX_FILL_HALVES});
    if (g->rounded_from != x) {
        g->rounded[0] = onnx_cast(g, x, ONNX_F16);
        g->rounded_from = x;
    }
    return onnx_cast(g, onnx_op(g, "MatMul", ONNX_IN(g->rounded[0], weights)), ONNX_F32);
}

/* The nodes and their order are those of ONNX Runtime's own tool, which its optimizer looks for. */
static const char *product_int8(onnx_graph *g, const char *x, int64_t kernel, int64_t K,
                                int64_t N) {
    static const uint8_t zero_point = ZERO_POINT;
    if (g->params[kernel] == NULL) {
        check_range(g, kernel);
    }
    const char *const scales = scales_tensor(g, kernel, true, K, N);
    const char *const weights = param_tensor(g, kernel,
                                             (onnx_tensor){.type = ONNX_U8,
                                                           .rank = 2,
                                                           .dim = {K, N},
                                                           .fill = ONNX_FILL_COLUMNS,
                                                           .scales = g->scales[kernel]});
    const char *const zero = onnx_constant(
        g, (onnx_tensor){.name = "zero_point", .type = ONNX_U8, .bytes = &zero_point}, 1);
    if (g->rounded_from != x) {
        onnx_node(g, "DynamicQuantizeLinear", ONNX_IN(x), g->rounded, 3);
        g->rounded_from = x;
    }
    const char *const product =
        onnx_op(g, "MatMulInteger", ONNX_IN(g->rounded[0], weights, g->rounded[2], zero));
    const char *const steps = onnx_cast(g, product, ONNX_F32);
    return onnx_mul(g, steps, onnx_mul(g, g->rounded[1], scales));
}

const char *onnx_dense(onnx_graph *g, const char *x, bt_dense_index dense, int64_t K, int64_t N,
                       bool in_float32) {
    const char *out = "";
    switch (in_float32 ? BT_EXPORT_FLOAT32 : g->source->precision) {
    case BT_EXPORT_FLOAT32:
        out = onnx_op(g, "MatMul",
                      ONNX_IN(x, param_tensor(g, dense.kernel,
                                              (onnx_tensor){.type = ONNX_F32,
                                                            .rank = 2,
                                                            .dim = {K, N},
                                                            .fill = ONNX_FILL_FLOATS})));
        break;
    case BT_EXPORT_FLOAT16:
        out = product_f16(g, x, dense.kernel, K, N);
        break;
    case BT_EXPORT_INT8:
        out = product_int8(g, x, dense.kernel, K, N);
        break;
    }
    return onnx_add(g, out, vector(g, dense.bias, N));
}

const char *onnx_rows(onnx_graph *g, int64_t table, const char *ids, bool is_small) {
    const int64_t V = param_of(g, table)->dim[0];
    const int64_t E = param_of(g, table)->dim[1];
    if (is_small || g->source->precision == BT_EXPORT_FLOAT32) {
        return onnx_op(g, "Gather", ONNX_IN(onnx_param(g, table), ids));
    }
    check_range(g, table);
    if (g->source->precision == BT_EXPORT_FLOAT16) {
        const char *const rows = param_tensor(
            g, table,
            (onnx_tensor){.type = ONNX_F16, .rank = 2, .dim = {V, E}, .fill = ONNX_FILL_HALVES});
        return onnx_cast(g, onnx_op(g, "Gather", ONNX_IN(rows, ids)), ONNX_F32);
    }
    const char *const scales = scales_tensor(g, table, false, V, E);
    const char *const rows = param_tensor(g, table,
                                          (onnx_tensor){.type = ONNX_I8,
                                                        .rank = 2,
                                                        .dim = {V, E},
                                                        .fill = ONNX_FILL_ROWS,
                                                        .scales = g->scales[table]});
    const char *const steps = onnx_cast(g, onnx_op(g, "Gather", ONNX_IN(rows, ids)), ONNX_F32);
    return onnx_mul(g, steps, onnx_op(g, "Gather", ONNX_IN(scales, ids)));
}

const char *onnx_norm(onnx_graph *g, const char *x, bt_norm_index norm) {
    const char *const gamma = onnx_param(g, norm.gamma);
    const char *const out =
        onnx_op(g, "LayerNormalization", ONNX_IN(x, gamma, onnx_param(g, norm.beta)));
    onnx_set_int(g, "axis", -1);
    onnx_set_float(g, "epsilon", g->source->model->encoder.norm_eps);
    return out;
}

static void round_halves(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        x[i] = bt_half_to_float(bt_half_from_float(x[i]));
    }
}

static void round_columns(float *x, int64_t K, int64_t N, float *scales) {
    column_scales(scales, x, K, N);
    for (int64_t i = 0; i < K * N; i++) {
        x[i] = (float)quantised(x[i], scales[i % N]) * scales[i % N];
    }
}

static void round_rows(float *x, int64_t K, int64_t N) {
    for (int64_t k = 0; k < K; k++) {
        float scale = 1;
        row_scales(&scale, x + k * N, 1, N);
        for (int64_t j = k * N; j < (k + 1) * N; j++) {
            x[j] = (float)quantised(x[j], scale) * scale;
        }
    }
}

static void round_kernel(const bt_model *m, bt_export_precision precision, float *params,
                         bt_dense_index dense, float *scales) {
    if (dense.kernel < 0) {
        return;
    }
    const int64_t N = m->table.params[dense.bias].n_elements;
    const int64_t n = m->table.params[dense.kernel].n_elements;
    float *const  x = params + m->table.params[dense.kernel].offset;
    if (precision == BT_EXPORT_FLOAT16) {
        round_halves(x, n);
    } else {
        round_columns(x, n / N, N, scales);
    }
}

bt_status bt_export_round(const bt_model *m, bt_export_precision precision, float *params,
                          bt_error *err) {
    const bt_encoder_config *const e = &m->encoder;
    const bt_param *const          words = &m->table.params[m->word_embeddings];
    const int64_t n_layers = e->type == BT_ENCODER_ALBERT ? 1 : e->num_layers; /* each once */
    const int64_t most =
        e->hidden_size > e->intermediate_size ? e->hidden_size : e->intermediate_size;
    if (precision == BT_EXPORT_FLOAT32) {
        return BT_OK;
    }
    float *const scales = bt_alloc_array((size_t)most, sizeof *scales);
    if (scales == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the scales of %" PRId64 " columns",
                       most);
    }
    for (int64_t i = 0; i < n_layers; i++) {
        const bt_layer_index *const p = &m->layers[i];
        const bt_dense_index all[] = {p->query,        p->key,   p->value, p->attention_output,
                                      p->intermediate, p->output};
        for (size_t k = 0; k < BT_ARRAY_LEN(all); k++) {
            round_kernel(m, precision, params, all[k], scales);
        }
    }
    round_kernel(m, precision, params, m->embedding_projection, scales);
    round_kernel(m, precision, params, m->pooler_transform, scales);
    round_kernel(m, precision, params, m->head_pooler, scales);
    if (precision == BT_EXPORT_FLOAT16) {
        round_kernel(m, precision, params, m->head_logits, scales);
        round_halves(params + words->offset, words->n_elements);
    } else {
        round_rows(params + words->offset, words->dim[0], words->dim[1]);
    }
    bt_free(scales);
    return BT_OK;
}
