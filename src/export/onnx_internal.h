/* SPDX-License-Identifier: Apache-2.0
 *
 * A model as an ONNX graph: nodes and tensors are collected, then written with their values made as
 * they are written.
 *
 * Errors are kept, not returned: after the first one nothing more is added, names stay valid, and
 * onnx_write says what it was. So a formula reads as a formula. */
#ifndef BT_ONNX_INTERNAL_H
#define BT_ONNX_INTERNAL_H

#include "bt/base/arena.h"
#include "bt/export.h"
#include "onnx.pb-c.h"

typedef struct onnx_source {
    const bt_model     *model;
    const float        *values; /* of model->table */
    bt_export_precision precision;
    const char *const  *facts; /* n_facts pairs key, value: metadata_props */
    size_t              n_facts;
    const char         *version;   /* of the program */
    int64_t             max_bytes; /* of the graph's file; 0: protobuf's 2 GiB */
} onnx_source;

/* Without facts. */
onnx_source export_onnx_source(const bt_export_source *source);

/* ONNX's numbers (TensorProto.DataType). */
enum { ONNX_F32 = 1, ONNX_U8 = 2, ONNX_I8 = 3, ONNX_I64 = 7, ONNX_F16 = 10 };

/* How a tensor's bytes are made. */
typedef enum onnx_fill {
    ONNX_FILL_BYTES,
    ONNX_FILL_FLOATS,
    ONNX_FILL_HALVES,  /* floats rounded to float16 */
    ONNX_FILL_COLUMNS, /* round(x / scale of its column) + 128 */
    ONNX_FILL_ROWS,    /* round(x / scale of its row) */
} onnx_fill;

typedef struct onnx_tensor {
    const char  *name;
    int32_t      type;
    int32_t      rank;
    int64_t      dim[BT_MAX_RANK];
    onnx_fill    fill;
    const void  *bytes;  /* ONNX_FILL_BYTES */
    const float *floats; /* the others */
    const float *scales;
    int64_t      n_elements;
    int64_t      n_bytes;
    int64_t      offset; /* in the file of data; -1: the graph's file holds the values */
} onnx_tensor;

typedef struct onnx_graph {
    const onnx_source      *source;
    bt_arena                arena;
    bt_status               rc; /* of the first failure */
    bt_error                err;
    char                    scope[128]; /* begins the names of new values */
    int64_t                 n_values;
    BtOnnx__NodeProto     **nodes;
    size_t                  n_nodes, cap_nodes;
    onnx_tensor            *tensors;
    size_t                  n_tensors, cap_tensors;
    BtOnnx__ValueInfoProto *inputs[3], *outputs[3];
    size_t                  n_inputs, n_outputs;
    const char            **params; /* names of the table's parameters that are tensors already */
    const float           **scales; /* likewise, of their columns or rows */
    const char             *rounded_from; /* the last value that was rounded for a product */
    const char             *rounded[3];   /* and what it became: value, scale, zero point */
} onnx_graph;

BT_MUST_USE bt_status onnx_graph_init(onnx_graph *g, const onnx_source *source, bt_error *err);
void                  onnx_graph_deinit(onnx_graph *g);
void onnx_fail(onnx_graph *g, bt_status code, const char *fmt, ...) BT_PRINTF(3, 4);
/* Of its arena: n zeroed elements; a copy of a text, which protobuf-c's structs want without const.
 * NULL once something failed. */
void *onnx_take(onnx_graph *g, size_t n, size_t size);
char *onnx_keep(onnx_graph *g, const char *text);
void  onnx_scope(onnx_graph *g, const char *fmt, ...) BT_PRINTF(2, 3);

/* Nodes. A value is its name. */

#define ONNX_IN(...)                                                                               \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
/* A node with n_outputs results, whose names go to outputs. */
void        onnx_node(onnx_graph *g, const char *op, const char *const *inputs, size_t n_inputs,
                      const char **outputs, size_t n_outputs);
const char *onnx_op(onnx_graph *g, const char *op, const char *const *inputs, size_t n_inputs);
/* Of the last node: an attribute; another name for its first result, which nothing reads yet. */
void        onnx_set_int(onnx_graph *g, const char *name, int64_t value);
void        onnx_set_ints(onnx_graph *g, const char *name, const int64_t *values, size_t n);
void        onnx_set_float(onnx_graph *g, const char *name, float value);
const char *onnx_rename(onnx_graph *g, const char *name);
/* What the graph takes and gives. A dim is a number, or below 0 the name ONNX_BATCH or
 * ONNX_SEQUENCE. */
enum { ONNX_BATCH = -1, ONNX_SEQUENCE = -2 };
const char *onnx_input(onnx_graph *g, const char *name, int32_t type, int32_t rank,
                       const int64_t *dims);
void        onnx_output(onnx_graph *g, const char *name, int32_t rank, const int64_t *dims);

static inline const char *onnx_add(onnx_graph *g, const char *a, const char *b) {
    return onnx_op(g, "Add", ONNX_IN(a, b));
}
static inline const char *onnx_mul(onnx_graph *g, const char *a, const char *b) {
    return onnx_op(g, "Mul", ONNX_IN(a, b));
}
const char *onnx_cast(onnx_graph *g, const char *x, int32_t type);

/* Constants. */

const char *onnx_number(onnx_graph *g, float value);
const char *onnx_index(onnx_graph *g, int64_t value); /* a scalar of int64 */
const char *onnx_list(onnx_graph *g, const int64_t *values, size_t n);
#define ONNX_LIST(g, ...)                                                                          \
    onnx_list((g), (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / 8)
const char *onnx_tensor_add(onnx_graph *g, onnx_tensor tensor);
/* A copy of its bytes; one that is there already by that name, which says the value. */
const char *onnx_constant(onnx_graph *g, onnx_tensor tensor, size_t n_bytes);

/* Parameters of the table. */

/* A vector, or table, of float32. */
const char *onnx_param(onnx_graph *g, int64_t index);
/* x kernel (+ bias; index below 0: none), kernel [K,N]. in_float32: whatever the precision. */
const char *onnx_dense(onnx_graph *g, const char *x, bt_dense_index dense, int64_t K, int64_t N,
                       bool in_float32);
/* Rows of a table [n,E] by their numbers. is_small: in float32 whatever the precision. */
const char *onnx_rows(onnx_graph *g, int64_t table, const char *ids, bool is_small);
const char *onnx_norm(onnx_graph *g, const char *x, bt_norm_index norm);

/* The parts of the model. */

/* All of it: inputs, encoder, head, outputs. */
BT_MUST_USE bt_status onnx_build(onnx_graph *g, bt_error *err);

/* Is the last layer computed for the first tokens alone? */
bool onnx_reads_first_rows(const bt_head_config *head);

/* What the inputs are called afterwards, and the last layer's output [B,S,H]. */
typedef struct onnx_encoder {
    const char *mask; /* [B,S] of int64 */
    const char *hidden;
} onnx_encoder;
onnx_encoder onnx_encode(onnx_graph *g);

/* The bytes of elements [first, first + n) of the tensor. */
void onnx_make_bytes(const onnx_tensor *tensor, int64_t first, int64_t n, uint8_t *out);
/* Bytes of one element. */
int64_t onnx_type_size(int32_t type);

/* What the files will be, in bytes; data 0: there is one file. Of float32 no value is read. */
typedef struct onnx_sizes {
    int64_t graph, data;
} onnx_sizes;
BT_MUST_USE bt_status onnx_measure(const onnx_source *source, onnx_sizes *out, bt_error *err);
/* Writes path, and data_path, in the same folder, where one file would be too large (else
 * out->data is NULL); they are there after bt_fs_writers_commit. */
typedef struct onnx_files {
    bt_fs_writer *graph, *data;
} onnx_files;
BT_MUST_USE bt_status onnx_write(const onnx_source *source, const char *path, const char *data_path,
                                 onnx_files *out, bt_error *err);

#endif
