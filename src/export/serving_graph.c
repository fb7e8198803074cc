/* SPDX-License-Identifier: Apache-2.0
 *
 * See serving_internal.h: a function for each of ONNX's operators that the model's graph has. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/map.h"
#include "serving_internal.h"

enum { NAME_MAX_BYTES = 320, MOST_ATTRIBUTES = 6 };

static void *take(serving_graph *s, size_t n, size_t size) {
    return onnx_take(s->from, n, size);
}

static char *keep(serving_graph *s, const char *text) {
    return onnx_keep(s->from, text);
}

/* Letters, digits, and some signs that do not come first. */
static const char *tensorflow_name(serving_graph *s, const char *value) {
    char *const name = keep(s, value[0] == '/' ? value + 1 : value);
    for (char *c = name; c != NULL && *c != '\0'; c++) {
        if (*c == '+') {
            *c = '_';
        }
    }
    return name != NULL ? name : "";
}

static int64_t type_of(const serving_graph *s, const char *name) {
    int64_t type = 0;
    return bt_map_get(s->types, name, strlen(name), &type) ? type : SERVING_F32;
}

static void set_type_of(serving_graph *s, const char *name, int64_t type) {
    onnx_graph *const g = s->from;
    if (g->rc == BT_OK) {
        g->rc = bt_map_put(s->types, name, strlen(name), type, &g->err);
    }
}

static BtServing__AttrValue *add_attribute(serving_graph *s, BtServing__NodeDef *node,
                                           const char *key) {
    BtServing__NodeDef__AttrEntry *const entry = take(s, 1, sizeof *entry);
    BtServing__AttrValue *const          value = take(s, 1, sizeof *value);
    char *const                          kept = keep(s, key);
    if (kept == NULL || node == NULL) {
        return NULL;
    }
    BT_ASSERT(node->n_attr < MOST_ATTRIBUTES);
    bt_serving__node_def__attr_entry__init(entry);
    bt_serving__attr_value__init(value);
    entry->key = kept;
    entry->value = value;
    node->attr[node->n_attr++] = entry;
    return value;
}

static void set_type(serving_graph *s, BtServing__NodeDef *node, const char *key, int64_t type) {
    BtServing__AttrValue *const value = add_attribute(s, node, key);
    if (value != NULL) {
        value->value_case = BT_SERVING__ATTR_VALUE__VALUE_TYPE;
        value->type = (int32_t)type;
    }
}

static BtServing__NodeDef *new_node(serving_graph *s, const char *op, const char *name) {
    onnx_graph *const         g = s->from;
    BtServing__NodeDef *const node = take(s, 1, sizeof *node);
    void *const               attributes = take(s, MOST_ATTRIBUTES, sizeof(void *));
    char *const               kept = keep(s, op);
    if (g->rc == BT_OK) {
        g->rc = bt_grow(&s->nodes, &s->cap_nodes, s->n_nodes + 1, sizeof *s->nodes,
                        SIZE_MAX / sizeof *s->nodes, &g->err);
    }
    if (g->rc != BT_OK) {
        return NULL;
    }
    bt_serving__node_def__init(node);
    node->name = (char *)(uintptr_t)name;
    node->op = kept;
    node->attr = attributes;
    s->nodes[s->n_nodes++] = (serving_node){.node = node, .tensor = NULL};
    return node;
}

static BtServing__NodeDef *last(const serving_graph *s) {
    return s->from->rc == BT_OK ? s->nodes[s->n_nodes - 1].node : NULL;
}

/* With the attribute T, unless that is 0. */
static const char *make(serving_graph *s, const char *op, int64_t T, const char *const *inputs,
                        size_t n_inputs) {
    char         text[NAME_MAX_BYTES];
    char **const in = take(s, n_inputs, sizeof *in);
    (void)snprintf(text, sizeof text, "%s/%s_%zu", s->scope, op, s->n_nodes);
    char *const               name = keep(s, text);
    BtServing__NodeDef *const node = new_node(s, op, name);
    if (node == NULL) {
        return "";
    }
    for (size_t i = 0; i < n_inputs; i++) {
        in[i] = (char *)(uintptr_t)inputs[i];
    }
    node->input = in;
    node->n_input = n_inputs;
    if (T != 0) {
        set_type(s, node, "T", T);
    }
    return name;
}

BtServing__TensorShapeProto *serving_shape(serving_graph *s, const int64_t *dims, size_t rank) {
    BtServing__TensorShapeProto *const       shape = take(s, 1, sizeof *shape);
    BtServing__TensorShapeProto__Dim **const dim = take(s, rank, sizeof *dim);
    BtServing__TensorShapeProto__Dim *const  all = take(s, rank, sizeof *all);
    if (s->from->rc != BT_OK) {
        return NULL;
    }
    bt_serving__tensor_shape_proto__init(shape);
    for (size_t i = 0; i < rank; i++) {
        bt_serving__tensor_shape_proto__dim__init(&all[i]);
        all[i].size = dims[i] < 0 ? -1 : dims[i];
        dim[i] = &all[i];
    }
    shape->dim = dim;
    shape->n_dim = rank;
    return shape;
}

/* Of a node Const. */
static void fill_constant(serving_graph *s, int64_t type, const int64_t *dims, size_t rank,
                          const void *bytes, size_t n_bytes) {
    BtServing__TensorProto *const      tensor = take(s, 1, sizeof *tensor);
    BtServing__TensorShapeProto *const shape = serving_shape(s, dims, rank);
    void *const                        copy = take(s, n_bytes, 1);
    set_type(s, last(s), "dtype", type);
    BtServing__AttrValue *const value = add_attribute(s, last(s), "value");
    if (value == NULL) {
        return;
    }
    bt_serving__tensor_proto__init(tensor);
    tensor->dtype = (int32_t)type;
    tensor->tensor_shape = shape;
    memcpy(copy, bytes, n_bytes);
    tensor->tensor_content = (ProtobufCBinaryData){n_bytes, copy};
    value->value_case = BT_SERVING__ATTR_VALUE__VALUE_TENSOR;
    value->tensor = tensor;
}

static const char *ints(serving_graph *s, const int64_t *values, size_t n) {
    const int64_t     dims[] = {(int64_t)n};
    const char *const name = make(s, "Const", 0, NULL, 0);
    fill_constant(s, SERVING_I64, dims, 1, values, n * sizeof *values);
    return name;
}

static const char *axis(serving_graph *s, int64_t value) {
    const int32_t     small = (int32_t)value;
    const char *const name = make(s, "Const", 0, NULL, 0);
    fill_constant(s, SERVING_I32, NULL, 0, &small, sizeof small);
    return name;
}

static const char *number(serving_graph *s, float value) {
    const char *const name = make(s, "Const", 0, NULL, 0);
    fill_constant(s, SERVING_F32, NULL, 0, &value, sizeof value);
    return name;
}

static const BtOnnx__AttributeProto *attribute(const BtOnnx__NodeProto *node, const char *name) {
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(node->attribute[i]->name, name) == 0) {
            return node->attribute[i];
        }
    }
    return NULL;
}

/* The numbers of a constant list that is an input; n 0: there is none of that name. */
static const int64_t *list_of(const serving_graph *s, const char *name, size_t *n) {
    *n = 0;
    for (size_t i = 0; i < s->from->n_tensors; i++) {
        const onnx_tensor *const tensor = &s->from->tensors[i];
        if (tensor->fill == ONNX_FILL_BYTES && strcmp(tensor->name, name) == 0) {
            *n = (size_t)tensor->n_elements;
            return tensor->bytes;
        }
    }
    return NULL;
}

/* What an operator is made of: its node, its inputs by their names here, the first one's type. */
typedef struct source_node {
    const BtOnnx__NodeProto *onnx;
    const char              *in[4];
    int64_t                  T;
} source_node;

/* Element by element, and products: the same operator under another name. */
static const char *put_alike(serving_graph *s, const source_node *n, const char *op) {
    return make(s, op, n->T, n->in, n->onnx->n_input);
}

static const char *put_cast(serving_graph *s, const source_node *n, const char *op) {
    const char *const out = make(s, op, 0, n->in, 1);
    set_type(s, last(s), "SrcT", n->T);
    set_type(s, last(s), "DstT", SERVING_F32);
    return out;
}

static const char *put_gather(serving_graph *s, const source_node *n, const char *op) {
    const BtOnnx__AttributeProto *const where = attribute(n->onnx, "axis");
    const char *const                   along = axis(s, where != NULL ? where->i : 0);
    const char *const                   out = make(s, op, 0, ONNX_IN(n->in[0], n->in[1], along));
    set_type(s, last(s), "Tparams", n->T);
    set_type(s, last(s), "Tindices", SERVING_I64);
    set_type(s, last(s), "Taxis", SERVING_I32);
    return out;
}

static const char *put_shape(serving_graph *s, const source_node *n, const char *op) {
    const char *const out = make(s, op, n->T, n->in, 1);
    set_type(s, last(s), "out_type", SERVING_I64);
    return out;
}

/* The first rows: begin, end and step of the first axis alone. */
static const char *first_part(serving_graph *s, const char *x, int64_t T, const char *begin,
                              const char *end) {
    const char *const step = ints(s, (const int64_t[]){1}, 1);
    const char *const out = make(s, "StridedSlice", T, ONNX_IN(x, begin, end, step));
    set_type(s, last(s), "Index", SERVING_I64);
    return out;
}

static const char *put_slice(serving_graph *s, const source_node *n, const char *op) {
    (void)op;
    return first_part(s, n->in[0], n->T, n->in[1], n->in[2]);
}

/* ONNX's 0 is a dim that stays as it is; only the first ones are. */
static const char *put_reshape(serving_graph *s, const source_node *n, const char *op) {
    size_t               rank = 0;
    int64_t              n_kept = 0;
    const int64_t *const dims = list_of(s, n->onnx->input[1], &rank);
    while (n_kept < (int64_t)rank && dims[n_kept] == 0) {
        n_kept++;
    }
    const char *const shape = make(s, "Shape", n->T, n->in, 1);
    set_type(s, last(s), "out_type", SERVING_I64);
    const char *const zero = ints(s, (const int64_t[]){0}, 1);
    const char *const end = ints(s, &n_kept, 1);
    const char *const kept = first_part(s, shape, SERVING_I64, zero, end);
    const char *const rest = ints(s, dims + n_kept, rank - (size_t)n_kept);
    const char *const along = axis(s, 0);
    const char *const joined = make(s, "ConcatV2", SERVING_I64, ONNX_IN(kept, rest, along));
    BtServing__AttrValue *const count = add_attribute(s, last(s), "N");
    if (count != NULL) {
        count->value_case = BT_SERVING__ATTR_VALUE__VALUE_I;
        count->i = 2;
    }
    set_type(s, last(s), "Tidx", SERVING_I32);
    const char *const out = make(s, op, n->T, ONNX_IN(n->in[0], joined));
    set_type(s, last(s), "Tshape", SERVING_I64);
    return out;
}

static const char *put_unsqueeze(serving_graph *s, const source_node *n, const char *op) {
    size_t               n_axes = 0;
    const int64_t *const axes = list_of(s, n->onnx->input[1], &n_axes);
    const char          *x = n->in[0];
    for (size_t i = 0; i < n_axes; i++) {
        const char *const where = axis(s, axes[i]);
        x = make(s, op, n->T, ONNX_IN(x, where));
        set_type(s, last(s), "Tdim", SERVING_I32);
    }
    return x;
}

static const char *put_transpose(serving_graph *s, const source_node *n, const char *op) {
    const BtOnnx__AttributeProto *const perm = attribute(n->onnx, "perm");
    const char *const                   order = ints(s, perm->ints, perm->n_ints);
    const char *const                   out = make(s, op, n->T, ONNX_IN(n->in[0], order));
    set_type(s, last(s), "Tperm", SERVING_I64);
    return out;
}

static const char *reduce(serving_graph *s, const char *op, const char *x, int64_t along,
                          bool keeps) {
    const char *const where = axis(s, along);
    const char *const out = make(s, op, SERVING_F32, ONNX_IN(x, where));
    set_type(s, last(s), "Tidx", SERVING_I32);
    BtServing__AttrValue *const kept = add_attribute(s, last(s), "keep_dims");
    if (kept != NULL) {
        kept->value_case = BT_SERVING__ATTR_VALUE__VALUE_B;
        kept->b = keeps;
    }
    return out;
}

/* All of them are along axis 1. */
static const char *put_reduction(serving_graph *s, const source_node *n, const char *op) {
    const BtOnnx__AttributeProto *const keeps = attribute(n->onnx, "keepdims");
    return reduce(s, op, n->in[0], 1, keeps == NULL || keeps->i != 0);
}

static const char *put_norm(serving_graph *s, const source_node *n, const char *op) {
    const float       eps = attribute(n->onnx, "epsilon")->f;
    const char *const mean = reduce(s, "Mean", n->in[0], -1, true);
    const char *const centred = make(s, "Sub", n->T, ONNX_IN(n->in[0], mean));
    const char *const squares = make(s, "Square", n->T, ONNX_IN(centred));
    const char *const variance = reduce(s, "Mean", squares, -1, true);
    const char *const least = number(s, eps);
    const char *const bounded = make(s, "AddV2", n->T, ONNX_IN(variance, least));
    const char *const factor = make(s, "Rsqrt", n->T, ONNX_IN(bounded));
    const char *const unit = make(s, "Mul", n->T, ONNX_IN(centred, factor));
    const char *const scaled = make(s, "Mul", n->T, ONNX_IN(unit, n->in[1]));
    (void)op;
    return make(s, "AddV2", n->T, ONNX_IN(scaled, n->in[2]));
}

static const char *put_clip(serving_graph *s, const source_node *n, const char *op) {
    const char *const least = make(s, "Maximum", n->T, ONNX_IN(n->in[0], n->in[1]));
    return make(s, op, n->T, ONNX_IN(least, n->in[2]));
}

/* x relu6(x + 3) / 6 */
static const char *put_hard_swish(serving_graph *s, const source_node *n, const char *op) {
    const char *const three = number(s, 3);
    const char *const six = number(s, 6);
    const char *const moved = make(s, "AddV2", n->T, ONNX_IN(n->in[0], three));
    const char *const bounded = make(s, "Relu6", n->T, ONNX_IN(moved));
    const char *const product = make(s, "Mul", n->T, ONNX_IN(n->in[0], bounded));
    return make(s, op, n->T, ONNX_IN(product, six));
}

static const struct {
    const char *onnx, *op;
    const char *(*put)(serving_graph *s, const source_node *n, const char *op);
} rows[] = {
    {"Add", "AddV2", put_alike},
    {"Cast", "Cast", put_cast},
    {"Clip", "Minimum", put_clip},
    {"Div", "RealDiv", put_alike},
    {"Erf", "Erf", put_alike},
    {"Gather", "GatherV2", put_gather},
    {"HardSwish", "RealDiv", put_hard_swish},
    {"Identity", "Identity", put_alike},
    {"LayerNormalization", "AddV2", put_norm},
    {"MatMul", "BatchMatMulV2", put_alike},
    {"Max", "Maximum", put_alike},
    {"Mul", "Mul", put_alike},
    {"Pow", "Pow", put_alike},
    {"ReduceMax", "Max", put_reduction},
    {"ReduceSum", "Sum", put_reduction},
    {"Relu", "Relu", put_alike},
    {"Reshape", "Reshape", put_reshape},
    {"Shape", "Shape", put_shape},
    {"Sigmoid", "Sigmoid", put_alike},
    {"Slice", "StridedSlice", put_slice},
    {"Softmax", "Softmax", put_alike},
    {"Softplus", "Softplus", put_alike},
    {"Sqrt", "Sqrt", put_alike},
    {"Sub", "Sub", put_alike},
    {"Tanh", "Tanh", put_alike},
    {"Transpose", "Transpose", put_transpose},
    {"Unsqueeze", "ExpandDims", put_unsqueeze},
};

static void put_node(serving_graph *s, const BtOnnx__NodeProto *node) {
    source_node n = {.onnx = node, .T = type_of(s, node->input[0])};
    BT_ASSERT(node->n_input <= BT_ARRAY_LEN(n.in));
    for (size_t i = 0; i < node->n_input; i++) {
        n.in[i] = tensorflow_name(s, node->input[i]);
    }
    const char *const name = tensorflow_name(s, node->output[0]);
    s->scope = name;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].onnx, node->op_type) != 0) {
            continue;
        }
        (void)rows[i].put(s, &n, rows[i].op);
        if (last(s) != NULL) { /* nothing reads it yet */
            last(s)->name = (char *)(uintptr_t)name;
        }
        const bool is_cast = rows[i].put == put_cast;
        const bool is_shape = rows[i].put == put_shape;
        set_type_of(s, node->output[0], is_cast ? SERVING_F32 : is_shape ? SERVING_I64 : n.T);
        return;
    }
    onnx_fail(s->from, BT_E_INTERNAL, "TensorFlow's form of %s is not written down", node->op_type);
}

static void put_input(serving_graph *s, const BtOnnx__ValueInfoProto *info) {
    static const int64_t dims[] = {-1, -1};
    (void)new_node(s, "Placeholder", tensorflow_name(s, info->name));
    set_type(s, last(s), "dtype", SERVING_I64);
    BtServing__AttrValue *const shape = add_attribute(s, last(s), "shape");
    if (shape != NULL) {
        shape->value_case = BT_SERVING__ATTR_VALUE__VALUE_SHAPE;
        shape->shape = serving_shape(s, dims, 2);
    }
    set_type_of(s, info->name, SERVING_I64);
}

static void put_tensor(serving_graph *s, const onnx_tensor *tensor) {
    const int64_t type = tensor->type == ONNX_I64 ? SERVING_I64 : SERVING_F32;
    (void)new_node(s, "Const", tensorflow_name(s, tensor->name));
    set_type(s, last(s), "dtype", type);
    set_type_of(s, tensor->name, type);
    if (s->from->rc == BT_OK) {
        s->nodes[s->n_nodes - 1].tensor = tensor;
    }
}

bt_status serving_make(onnx_graph *from, serving_graph *s, bt_error *err) {
    *s = (serving_graph){.from = from, .scope = ""};
    BT_TRY(bt_map_create(&s->types, from->n_nodes, err));
    for (size_t i = 0; i < from->n_inputs; i++) {
        put_input(s, from->inputs[i]);
    }
    for (size_t i = 0; i < from->n_tensors; i++) {
        put_tensor(s, &from->tensors[i]);
    }
    for (size_t i = 0; i < from->n_nodes && from->rc == BT_OK; i++) {
        put_node(s, from->nodes[i]);
    }
    return from->rc == BT_OK ? BT_OK : BT_FAIL(err, from->rc, "%s", from->err.msg);
}

void serving_deinit(serving_graph *s) {
    bt_map_free(s->types);
    bt_free(s->nodes);
}
