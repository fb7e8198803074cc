/* SPDX-License-Identifier: Apache-2.0
 *
 * See ckpt_objects.h. */
#include "ckpt_objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_BYTES = 1 << 16, NAME_MAX_BYTES = 64 };

bt_status ckpt_objects_init(ckpt_objects *b, const bt_ckpt_train *train, bt_error *err) {
    *b = (ckpt_objects){.train = train};
    return bt_arena_init(&b->arena, ARENA_BYTES, err);
}

void ckpt_objects_deinit(ckpt_objects *b) {
    bt_arena_deinit(&b->arena);
}

ckpt_object *ckpt_object_new(ckpt_objects *b) {
    ckpt_object *const o = bt_arena_alloc(&b->arena, sizeof *o);
    if (o == NULL) {
        b->out_of_memory = true;
        return &b->dummy;
    }
    *o = (ckpt_object){.param = -1, .number = -1};
    return o;
}

ckpt_object *ckpt_track(ckpt_objects *b, ckpt_object *parent, const char *name,
                        ckpt_object *child) {
    ckpt_edge *const  e = bt_arena_alloc(&b->arena, sizeof *e);
    const char *const copy = bt_arena_strdup(&b->arena, name);
    if (e == NULL || copy == NULL || parent == &b->dummy) {
        b->out_of_memory = true;
        return child;
    }
    *e = (ckpt_edge){.name = copy, .child = child};
    if (parent->last == NULL) {
        parent->first = e;
    } else {
        parent->last->next = e;
    }
    parent->last = e;
    parent->n_edges++;
    return child;
}

ckpt_object *ckpt_track_new(ckpt_objects *b, ckpt_object *parent, const char *name) {
    return ckpt_track(b, parent, name, ckpt_object_new(b));
}

ckpt_object *ckpt_track_numbered(ckpt_objects *b, ckpt_object *parent, const char *prefix,
                                 int64_t number, ckpt_object *child) {
    char name[NAME_MAX_BYTES];
    (void)snprintf(name, sizeof name, "%s%" PRId64, prefix, number);
    return ckpt_track(b, parent, name, child);
}

ckpt_object *ckpt_object_scalar(ckpt_objects *b, const char *full_name, bt_dtype dtype,
                                const void *data) {
    ckpt_object *const o = ckpt_object_new(b);
    o->full_name = full_name;
    o->dtype = dtype;
    o->data = data;
    return o;
}

ckpt_object *ckpt_object_variable(ckpt_objects *b, const char *name) {
    ckpt_object *const o = ckpt_object_new(b);
    const int64_t      i = bt_param_table_find(b->train->table, name);
    if (i >= 0 && o != &b->dummy) {
        const bt_param *const param = &b->train->table->params[i];
        o->param = i;
        o->full_name = param->tf_name;
        o->dtype = BT_DTYPE_F32;
        o->rank = param->rank;
        o->dim = param->dim;
        o->data = b->train->values == NULL ? b->train->params + param->offset : NULL;
    }
    return o;
}
