/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt, private: the tree of tracked objects from which a checkpoint's object graph is numbered.
 * Objects live in the builder's arena. Out of memory is sticky and looked at once, at the end, so
 * that trees can be written as nested calls. */
#ifndef BT_CKPT_OBJECTS_H
#define BT_CKPT_OBJECTS_H

#include "bt/base/arena.h"
#include "bt/ckpt.h"

typedef struct ckpt_object ckpt_object;
typedef struct ckpt_edge {
    const char       *name;
    ckpt_object      *child;
    struct ckpt_edge *next;
} ckpt_edge;

/* A tracked object; one with data, or a parameter, is a variable. */
struct ckpt_object {
    ckpt_edge     *first, *last;
    size_t         n_edges;
    const char    *full_name; /* of a variable */
    const char    *path;      /* known after numbering */
    int64_t        param;     /* index of a model variable, else -1 */
    bt_dtype       dtype;
    int32_t        rank;
    const int64_t *dim;
    const void    *data; /* NULL of a parameter: elsewhere */
    int32_t        number;
    bool           is_numbered;
};

typedef struct ckpt_objects {
    const bt_ckpt_train *train;
    bt_arena             arena;
    bool                 out_of_memory;
    ckpt_object          dummy; /* handed out when memory is short; never numbered */
} ckpt_objects;

BT_MUST_USE bt_status ckpt_objects_init(ckpt_objects *b, const bt_ckpt_train *train, bt_error *err);
void                  ckpt_objects_deinit(ckpt_objects *b);

ckpt_object *ckpt_object_new(ckpt_objects *b);
/* Adds child under name; returns child. */
ckpt_object *ckpt_track(ckpt_objects *b, ckpt_object *parent, const char *name, ckpt_object *child);
ckpt_object *ckpt_track_new(ckpt_objects *b, ckpt_object *parent, const char *name);
ckpt_object *ckpt_track_numbered(ckpt_objects *b, ckpt_object *parent, const char *prefix,
                                 int64_t number, ckpt_object *child);
/* A variable of one value that is not a parameter; data is borrowed. */
ckpt_object *ckpt_object_scalar(ckpt_objects *b, const char *full_name, bt_dtype dtype,
                                const void *data);
/* The model's variable of that canonical name; an empty object when the model has none. */
ckpt_object *ckpt_object_variable(ckpt_objects *b, const char *name);

static inline bool ckpt_is_variable(const ckpt_object *o) {
    return o->data != NULL || o->param >= 0;
}

static inline bool ckpt_has_average(const bt_ckpt_train *train) {
    return train->average != NULL || train->has_average;
}

/* ckpt_keras.c: the objects that Model Garden's trainer saves. */
typedef struct ckpt_root {
    ckpt_object *root;
    ckpt_object *outer_optimizer; /* keeps the averages */
    ckpt_object *inner_optimizer; /* keeps the slots; the outer one without averages */
} ckpt_root;
ckpt_root ckpt_keras_root(ckpt_objects *b);

#endif
