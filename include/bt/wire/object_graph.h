/* SPDX-License-Identifier: Apache-2.0
 *
 * TrackableObjectGraph: what a TF2 checkpoint says of its objects (docs/model_garden/numerics.md
 * section 7). */
#ifndef BT_WIRE_OBJECT_GRAPH_H
#define BT_WIRE_OBJECT_GRAPH_H

#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"

typedef struct bt_graph_child {
    int32_t     node;
    const char *name;
} bt_graph_child;
typedef struct bt_graph_attribute {
    const char *name;           /* "VARIABLE_VALUE" */
    const char *full_name;      /* Keras variable name */
    const char *checkpoint_key; /* key in the bundle */
} bt_graph_attribute;
typedef struct bt_graph_slot {
    int32_t     variable_node;
    const char *slot_name;
    int32_t     slot_node;
} bt_graph_slot;
typedef struct bt_graph_node {
    bt_graph_child     *children;
    size_t              n_children;
    bt_graph_attribute *attributes;
    size_t              n_attributes;
    bt_graph_slot      *slots;
    size_t              n_slots;
    bt_bytes            registered_saver; /* the raw message; n_bytes 0: none */
    int32_t             has_values;       /* has_checkpoint_values: -1 absent, 0, 1 */
    const uint32_t     *by_name;          /* private: of many children, in the order of names */
} bt_graph_node;
typedef struct bt_graph {
    bt_graph_node *nodes; /* node 0 is the root; everything lives in the arena */
    size_t         n_nodes;
    bt_arena       arena; /* private */
} bt_graph;
/* Node numbers in it are verified to be < n_nodes. Deinit with bt_graph_deinit. */
BT_MUST_USE bt_status bt_graph_parse(bt_bytes bytes, bt_graph *out, bt_error *err);
void                  bt_graph_deinit(bt_graph *graph);
BT_MUST_USE bt_status bt_graph_serialize(const bt_graph *graph, bt_str *out, bt_error *err);
int32_t bt_graph_child_node(const bt_graph *graph, int32_t node, const char *name); /* or -1 */
/* The bundle key of a variable node's VARIABLE_VALUE, or NULL. */
const char *bt_graph_variable_key(const bt_graph *graph, int32_t node);

#endif
