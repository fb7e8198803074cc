/* SPDX-License-Identifier: Apache-2.0
 *
 * An ONNX graph said in TensorFlow's operators: the same formulas, so that there is one place where
 * the model is written down. Errors are kept in the graph, as onnx_internal.h has it. */
#ifndef BT_SERVING_INTERNAL_H
#define BT_SERVING_INTERNAL_H

#include "bt/base/map.h"
#include "onnx_internal.h"
#include "serving.pb-c.h"

/* TensorFlow's numbers (DataType). */
enum { SERVING_F32 = 1, SERVING_I32 = 3, SERVING_I64 = 9 };

/* A tensor of the ONNX graph becomes a node Const, whose attribute "value" is written after it; the
 * others are whole. */
typedef struct serving_node {
    BtServing__NodeDef *node;
    const onnx_tensor  *tensor; /* NULL: none is written after it */
} serving_node;

typedef struct serving_graph {
    onnx_graph   *from; /* its arena and its error are used */
    serving_node *nodes;
    size_t        n_nodes, cap_nodes;
    bt_map       *types; /* of values */
    const char   *scope; /* begins the names of what an operator is made of */
} serving_graph;

BT_MUST_USE bt_status serving_make(onnx_graph *from, serving_graph *out, bt_error *err);
void                  serving_deinit(serving_graph *s);

/* In the graph's arena; NULL once something failed. */
BtServing__TensorShapeProto *serving_shape(serving_graph *s, const int64_t *dims, size_t rank);

/* BT_E_UNSUPPORTED where the file would be larger than protobuf allows. Of float32 no value is
 * read.
 */
BT_MUST_USE bt_status serving_check(const onnx_source *source, bt_error *err);
/* saved_model.pb at path; whole when it is committed. */
BT_MUST_USE bt_status serving_write(const onnx_source *source, const char *path, bt_fs_writer **out,
                                    bt_error *err);

#endif
