/* SPDX-License-Identifier: Apache-2.0
 *
 * See onnx_internal.h: nodes, attributes, inputs and outputs, constants. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "onnx_internal.h"

enum {
    ARENA_BYTES = 1 << 16,
    NAME_MAX_BYTES = 256,
    ATTRIBUTES_MAX = 3, /* of a node */
    ATTRIBUTE_FLOAT = 1,
    ATTRIBUTE_INT = 2,
    ATTRIBUTE_INTS = 7,
};

bt_status onnx_graph_init(onnx_graph *g, const onnx_source *source, bt_error *err) {
    *g = (onnx_graph){.source = source, .rc = BT_OK, .err = BT_ERROR_INIT};
    const size_t n_params = (size_t)source->model->table.n_params;
    BT_TRY(bt_arena_init(&g->arena, ARENA_BYTES, err));
    g->params = bt_calloc_array(n_params, sizeof *g->params);
    g->scales = bt_calloc_array(n_params, sizeof *g->scales);
    return g->params != NULL && g->scales != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the graph of %zu parameters",
                         n_params);
}

void onnx_graph_deinit(onnx_graph *g) {
    bt_free(g->nodes);
    bt_free(g->tensors);
    bt_free(g->params);
    bt_free(g->scales);
    bt_arena_deinit(&g->arena);
}

void onnx_fail(onnx_graph *g, bt_status code, const char *fmt, ...) {
    char    text[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (g->rc == BT_OK) {
        g->rc = BT_FAIL(&g->err, code, "%s", text);
    }
}

void *onnx_take(onnx_graph *g, size_t n, size_t size) {
    void *const memory = g->rc == BT_OK ? bt_arena_alloc_array(&g->arena, n, size) : NULL;
    if (memory == NULL) {
        onnx_fail(g, BT_E_NOMEM, "out of memory for an ONNX graph of %zu nodes", g->n_nodes);
        return NULL;
    }
    memset(memory, 0, n * size);
    return memory;
}

/* protobuf-c's structs have no const; what is packed is not changed. */
char *onnx_keep(onnx_graph *g, const char *text) {
    const size_t n = strlen(text) + 1;
    char *const  copy = onnx_take(g, n, 1);
    if (copy != NULL) {
        memcpy(copy, text, n);
    }
    return copy;
}

void onnx_scope(onnx_graph *g, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(g->scope, sizeof g->scope, fmt, args);
    va_end(args);
}

static bool make_room(onnx_graph *g, void *array, size_t *cap, size_t n, size_t size) {
    if (g->rc == BT_OK) {
        g->rc = bt_grow(array, cap, n + 1, size, SIZE_MAX / size, &g->err);
    }
    return g->rc == BT_OK;
}

static char *new_value(onnx_graph *g, const char *op) {
    char name[NAME_MAX_BYTES];
    (void)snprintf(name, sizeof name, "%s/%s_%" PRId64, g->scope, op, g->n_values++);
    return onnx_keep(g, name);
}

void onnx_node(onnx_graph *g, const char *op, const char *const *inputs, size_t n_inputs,
               const char **outputs, size_t n_outputs) {
    BtOnnx__NodeProto *const node = onnx_take(g, 1, sizeof *node);
    char **const             in = onnx_take(g, n_inputs, sizeof *in);
    char **const             out = onnx_take(g, n_outputs, sizeof *out);
    void *const              attributes = onnx_take(g, ATTRIBUTES_MAX, sizeof(void *));
    for (size_t i = 0; i < n_outputs; i++) {
        char *const name = new_value(g, op);
        outputs[i] = name != NULL ? name : "";
        if (out != NULL) {
            out[i] = name;
        }
    }
    if (!make_room(g, &g->nodes, &g->cap_nodes, g->n_nodes, sizeof(BtOnnx__NodeProto *))) {
        return;
    }
    for (size_t i = 0; i < n_inputs; i++) {
        in[i] = (char *)(uintptr_t)inputs[i];
    }
    bt_onnx__node_proto__init(node);
    node->name = out[0];
    node->op_type = onnx_keep(g, op);
    node->input = in;
    node->n_input = n_inputs;
    node->output = out;
    node->n_output = n_outputs;
    node->attribute = attributes;
    g->nodes[g->n_nodes++] = node;
}

const char *onnx_op(onnx_graph *g, const char *op, const char *const *inputs, size_t n_inputs) {
    const char *output = "";
    onnx_node(g, op, inputs, n_inputs, &output, 1);
    return output;
}

static BtOnnx__AttributeProto *add_attribute(onnx_graph *g, const char *name, int32_t type) {
    BtOnnx__AttributeProto *const attribute = onnx_take(g, 1, sizeof *attribute);
    char *const                   kept = onnx_keep(g, name);
    if (kept == NULL) {
        return NULL;
    }
    BtOnnx__NodeProto *const node = g->nodes[g->n_nodes - 1];
    BT_ASSERT(node->n_attribute < ATTRIBUTES_MAX);
    bt_onnx__attribute_proto__init(attribute);
    attribute->name = kept;
    attribute->has_type = 1;
    attribute->type = type;
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

void onnx_set_int(onnx_graph *g, const char *name, int64_t value) {
    BtOnnx__AttributeProto *const attribute = add_attribute(g, name, ATTRIBUTE_INT);
    if (attribute != NULL) {
        attribute->has_i = 1;
        attribute->i = value;
    }
}

void onnx_set_float(onnx_graph *g, const char *name, float value) {
    BtOnnx__AttributeProto *const attribute = add_attribute(g, name, ATTRIBUTE_FLOAT);
    if (attribute != NULL) {
        attribute->has_f = 1;
        attribute->f = value;
    }
}

void onnx_set_ints(onnx_graph *g, const char *name, const int64_t *values, size_t n) {
    int64_t *const                copy = onnx_take(g, n, sizeof *copy);
    BtOnnx__AttributeProto *const attribute = add_attribute(g, name, ATTRIBUTE_INTS);
    if (attribute != NULL) {
        memcpy(copy, values, n * sizeof *copy);
        attribute->ints = copy;
        attribute->n_ints = n;
    }
}

const char *onnx_rename(onnx_graph *g, const char *name) {
    char *const kept = onnx_keep(g, name);
    if (kept == NULL) {
        return name;
    }
    g->nodes[g->n_nodes - 1]->output[0] = kept;
    return kept;
}

static BtOnnx__TensorShapeProto__Dimension *make_dim(onnx_graph *g, int64_t value) {
    BtOnnx__TensorShapeProto__Dimension *const dim = onnx_take(g, 1, sizeof *dim);
    char *const name = onnx_keep(g, value == ONNX_BATCH ? "batch_size" : "sequence_length");
    if (name == NULL) {
        return NULL;
    }
    bt_onnx__tensor_shape_proto__dimension__init(dim);
    if (value < 0) {
        dim->value_case = BT_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dim->dim_param = name;
    } else {
        dim->value_case = BT_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = value;
    }
    return dim;
}

static BtOnnx__ValueInfoProto *make_info(onnx_graph *g, const char *name, int32_t type,
                                         int32_t rank, const int64_t *dims) {
    BtOnnx__ValueInfoProto *const               info = onnx_take(g, 1, sizeof *info);
    BtOnnx__TypeProto *const                    of = onnx_take(g, 1, sizeof *of);
    BtOnnx__TypeProto__Tensor *const            tensor = onnx_take(g, 1, sizeof *tensor);
    BtOnnx__TensorShapeProto *const             shape = onnx_take(g, 1, sizeof *shape);
    BtOnnx__TensorShapeProto__Dimension **const dim = onnx_take(g, (size_t)rank, sizeof *dim);
    char *const                                 kept = onnx_keep(g, name);
    if (kept == NULL) {
        return NULL;
    }
    bt_onnx__value_info_proto__init(info);
    bt_onnx__type_proto__init(of);
    bt_onnx__type_proto__tensor__init(tensor);
    bt_onnx__tensor_shape_proto__init(shape);
    for (int32_t i = 0; i < rank; i++) {
        dim[i] = make_dim(g, dims[i]);
    }
    shape->dim = dim;
    shape->n_dim = (size_t)rank;
    tensor->has_elem_type = 1;
    tensor->elem_type = type;
    tensor->shape = shape;
    of->value_case = BT_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    of->tensor_type = tensor;
    info->name = kept;
    info->type = of;
    return info;
}

const char *onnx_input(onnx_graph *g, const char *name, int32_t type, int32_t rank,
                       const int64_t *dims) {
    BT_ASSERT(g->n_inputs < BT_ARRAY_LEN(g->inputs));
    BtOnnx__ValueInfoProto *const info = make_info(g, name, type, rank, dims);
    g->inputs[g->n_inputs++] = info;
    return info != NULL ? info->name : name;
}

void onnx_output(onnx_graph *g, const char *name, int32_t rank, const int64_t *dims) {
    BT_ASSERT(g->n_outputs < BT_ARRAY_LEN(g->outputs));
    g->outputs[g->n_outputs++] = make_info(g, name, ONNX_F32, rank, dims);
}

const char *onnx_cast(onnx_graph *g, const char *x, int32_t type) {
    const char *const out = onnx_op(g, "Cast", ONNX_IN(x));
    onnx_set_int(g, "to", type);
    return out;
}

int64_t onnx_type_size(int32_t type) {
    switch (type) {
    case ONNX_F32:
        return 4;
    case ONNX_F16:
        return 2;
    case ONNX_I64:
        return 8;
    default: /* ONNX_U8, ONNX_I8 */
        return 1;
    }
}

const char *onnx_tensor_add(onnx_graph *g, onnx_tensor tensor) {
    char *const name = onnx_keep(g, tensor.name);
    if (name == NULL || !make_room(g, &g->tensors, &g->cap_tensors, g->n_tensors, sizeof tensor)) {
        return "";
    }
    tensor.name = name;
    tensor.offset = -1;
    if (!bt_dims_count(tensor.dim, tensor.rank, &tensor.n_elements)) {
        onnx_fail(g, BT_E_SHAPE, "tensor %s is too large for a file of ONNX", name);
        return name;
    }
    tensor.n_bytes = tensor.n_elements * onnx_type_size(tensor.type);
    g->tensors[g->n_tensors++] = tensor;
    return name;
}

const char *onnx_constant(onnx_graph *g, onnx_tensor tensor, size_t n_bytes) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (g->tensors[i].fill == ONNX_FILL_BYTES && strcmp(g->tensors[i].name, tensor.name) == 0) {
            return g->tensors[i].name;
        }
    }
    void *const copy = onnx_take(g, n_bytes, 1);
    if (copy == NULL) {
        return "";
    }
    memcpy(copy, tensor.bytes, n_bytes);
    tensor.fill = ONNX_FILL_BYTES;
    tensor.bytes = copy;
    return onnx_tensor_add(g, tensor);
}

const char *onnx_number(onnx_graph *g, float value) {
    char name[64];
    (void)snprintf(name, sizeof name, "number_%.9g", (double)value);
    return onnx_constant(g, (onnx_tensor){.name = name, .type = ONNX_F32, .bytes = &value},
                         sizeof value);
}

const char *onnx_index(onnx_graph *g, int64_t value) {
    char name[64];
    (void)snprintf(name, sizeof name, "index_%" PRId64, value);
    return onnx_constant(g, (onnx_tensor){.name = name, .type = ONNX_I64, .bytes = &value},
                         sizeof value);
}

const char *onnx_list(onnx_graph *g, const int64_t *values, size_t n) {
    char name[128] = "list";
    for (size_t i = 0, at = strlen(name); i < n; i++, at = strlen(name)) {
        (void)snprintf(name + at, sizeof name - at, "_%" PRId64, values[i]);
    }
    return onnx_constant(
        g,
        (onnx_tensor){
            .name = name, .type = ONNX_I64, .rank = 1, .dim = {(int64_t)n}, .bytes = values},
        n * sizeof *values);
}
