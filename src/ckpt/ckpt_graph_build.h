/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt, private: the object graph that Model Garden's trainer saves, built from the parameter
 * table. */
#ifndef BT_CKPT_GRAPH_BUILD_H
#define BT_CKPT_GRAPH_BUILD_H

#include "bt/ckpt.h"
#include "bt/tensor.h"
#include "bt/wire/object_graph.h"

/* One tensor of the checkpoint: its key, and where its value is; data NULL: the parameter's, or its
 * slot's, that bt_ckpt_train.values gives. */
typedef struct ckpt_item {
    const char    *key;   /* in the graph's arena */
    bt_dtype       dtype; /* F32 or I64 */
    int32_t        rank;
    const int64_t *dim;
    const void    *data;
    int64_t        param;
    const char    *slot;
} ckpt_item;

typedef struct ckpt_plan {
    bt_graph   graph; /* ready to be serialized; owns every name */
    ckpt_item *items; /* owned */
    size_t     n_items;
    size_t     cap_items;
} ckpt_plan;

/* Borrows train and what it points to. Free with ckpt_plan_deinit, also after a failure. */
BT_MUST_USE bt_status ckpt_plan_make(const bt_ckpt_train *train, ckpt_plan *out, bt_error *err);
void                  ckpt_plan_deinit(ckpt_plan *plan);

#endif
