/* SPDX-License-Identifier: Apache-2.0
 *
 * From the tracked objects of a training checkpoint (ckpt_keras.c) to its object graph: nodes are
 * numbered breadth first, and a variable's key is the path on which it was found first; then the
 * slots, after all other nodes (docs/model_garden/numerics.md section 7). */
#include "ckpt_graph_build.h"
#include "bt/base/alloc.h"

#include <stdio.h>
#include <string.h>

#include "ckpt_objects.h"

enum { ARENA_BYTES = 1 << 16, NAME_MAX_BYTES = 512 };

typedef struct builder {
    ckpt_objects  objects;
    ckpt_plan    *plan;
    ckpt_object **order; /* breadth first */
    size_t        n_order;
    size_t        cap_order;
} builder;

/* "." -> "..", "/" -> ".S" */
static char *child_path(builder *b, const char *parent, const char *name) {
    const size_t n_parent = strlen(parent);
    char *const  path = bt_arena_alloc(&b->plan->graph.arena, n_parent + 2 * strlen(name) + 2);
    if (path == NULL) {
        b->objects.out_of_memory = true;
        return NULL;
    }
    size_t n = n_parent;
    memcpy(path, parent, n_parent);
    if (n > 0) {
        path[n++] = '/';
    }
    for (; *name != '\0'; name++) {
        if (*name == '.' || *name == '/') {
            path[n++] = '.';
            path[n++] = *name == '.' ? '.' : 'S';
        } else {
            path[n++] = *name;
        }
    }
    path[n] = '\0';
    return path;
}

static bt_status enqueue(builder *b, ckpt_object *o, const char *path, bt_error *err) {
    BT_TRY(
        bt_grow(&b->order, &b->cap_order, b->n_order + 1, sizeof(ckpt_object *), INT32_MAX, err));
    o->number = (int32_t)b->n_order;
    o->is_numbered = true;
    o->path = path;
    b->order[b->n_order++] = o;
    return BT_OK;
}

static bt_status number_objects(builder *b, ckpt_object *root, bt_error *err) {
    BT_TRY(enqueue(b, root, "", err));
    for (size_t i = 0; i < b->n_order; i++) {
        for (const ckpt_edge *e = b->order[i]->first; e != NULL; e = e->next) {
            if (!e->child->is_numbered && e->child != &b->objects.dummy) {
                const char *const path = child_path(b, b->order[i]->path, e->name);
                BT_TRY(enqueue(b, e->child, path, err));
            }
        }
    }
    if (b->objects.out_of_memory) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph of a checkpoint");
    }
    return BT_OK;
}

static char *copy_text(builder *b, const char *a, const char *middle, const char *c) {
    const size_t n = strlen(a) + strlen(middle) + strlen(c) + 1;
    char *const  text = bt_arena_alloc(&b->plan->graph.arena, n);
    if (text == NULL) {
        b->objects.out_of_memory = true;
        return NULL;
    }
    (void)snprintf(text, n, "%s%s%s", a, middle, c);
    return text;
}

static void *graph_array(builder *b, size_t n, size_t size) {
    void *const array = bt_arena_alloc_array(&b->plan->graph.arena, n, size);
    if (array == NULL) {
        b->objects.out_of_memory = true;
    } else {
        memset(array, 0, n * size);
    }
    return array;
}

/* Of an object, or of its slot, the data are there, or NULL. */
static bt_status add_item(builder *b, bt_graph_node *node, const ckpt_object *o, const char *slot,
                          const char *full_name, const char *key, const void *data, bt_error *err) {
    ckpt_plan *const plan = b->plan;
    BT_TRY(bt_grow(&plan->items, &plan->cap_items, plan->n_items + 1, sizeof *plan->items,
                   INT32_MAX, err));
    plan->items[plan->n_items++] = (ckpt_item){.key = key,
                                               .dtype = o->dtype,
                                               .rank = o->rank,
                                               .dim = o->dim,
                                               .data = data,
                                               .param = o->param,
                                               .slot = slot};
    node->attributes = graph_array(b, 1, sizeof *node->attributes);
    if (node->attributes != NULL) {
        node->attributes[0] = (bt_graph_attribute){
            .name = "VARIABLE_VALUE", .full_name = full_name, .checkpoint_key = key};
        node->n_attributes = 1;
    }
    node->has_values = 1;
    return BT_OK;
}

static bt_status fill_node(builder *b, size_t i, bt_error *err) {
    const ckpt_object *const o = b->order[i];
    bt_graph_node *const     node = &b->plan->graph.nodes[i];
    node->children = graph_array(b, o->n_edges, sizeof *node->children);
    for (const ckpt_edge *e = o->first; e != NULL && node->children != NULL; e = e->next) {
        node->children[node->n_children++] =
            (bt_graph_child){.node = e->child->number, .name = copy_text(b, e->name, "", "")};
    }
    if (!ckpt_is_variable(o)) {
        return BT_OK;
    }
    return add_item(b, node, o, NULL, copy_text(b, o->full_name, "", ""),
                    copy_text(b, o->path, "/.ATTRIBUTES/VARIABLE_VALUE", ""), o->data, err);
}

/* Does a value hang below node i? Children may have smaller numbers than their parents, so this is
 * repeated until nothing changes; the graph is shallow. */
static void mark_values(bt_graph *graph) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < graph->n_nodes; i++) {
            bt_graph_node *const node = &graph->nodes[i];
            for (size_t c = 0; c < node->n_children && node->has_values == 0; c++) {
                if (graph->nodes[node->children[c].node].has_values == 1) {
                    node->has_values = 1;
                    changed = true;
                }
            }
        }
    }
}

/* One family of slots (one name) of one optimizer, in the order of the variables' numbers. */
static bt_status add_slots(builder *b, const ckpt_object *owner, const char *slot_name,
                           const float *flat, bool every_variable, size_t *next_node,
                           bt_error *err) {
    bt_graph_node *const owner_node = &b->plan->graph.nodes[owner->number];
    for (size_t i = 0; i < b->n_order; i++) {
        const ckpt_object *const o = b->order[i];
        if (o->param < 0 ||
            !(every_variable || b->objects.train->table->params[o->param].has_gradient)) {
            continue;
        }
        char slot_part[NAME_MAX_BYTES];
        (void)snprintf(slot_part, sizeof slot_part,
                       "/.OPTIMIZER_SLOT/%s/%s/.ATTRIBUTES/VARIABLE_VALUE", owner->path, slot_name);
        const char *const          name = copy_text(b, slot_name, "", "");
        const bt_ckpt_train *const train = b->objects.train;
        const float *const         data =
            train->values == NULL ? flat + train->table->params[o->param].offset : NULL;
        BT_TRY(add_item(b, &b->plan->graph.nodes[*next_node], o, name,
                        copy_text(b, o->full_name, "/", slot_name),
                        copy_text(b, o->path, slot_part, ""), data, err));
        owner_node->slots[owner_node->n_slots++] = (bt_graph_slot){
            .variable_node = o->number, .slot_name = name, .slot_node = (int32_t)*next_node};
        (*next_node)++;
    }
    return BT_OK;
}

static size_t count_variables(const builder *b, bool every_variable) {
    size_t n = 0;
    for (int64_t i = 0; i < b->objects.train->table->n_params; i++) {
        n += every_variable || b->objects.train->table->params[i].has_gradient;
    }
    return n;
}

static bt_status fill_graph(builder *b, const ckpt_object *outer, const ckpt_object *inner,
                            bt_error *err) {
    const bt_ckpt_train *const train = b->objects.train;
    bt_graph *const            graph = &b->plan->graph;
    const bool                 has_slots = !train->without_optimizer;
    const size_t n_average = has_slots && ckpt_has_average(train) ? count_variables(b, true) : 0;
    const size_t n_inner = has_slots ? (size_t)train->n_slots * count_variables(b, false) : 0;
    graph->n_nodes = b->n_order + n_average + n_inner;
    graph->nodes = graph_array(b, graph->n_nodes, sizeof *graph->nodes);
    if (graph->nodes == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph of a checkpoint");
    }
    for (size_t i = 0; i < b->n_order; i++) {
        BT_TRY(fill_node(b, i, err));
    }
    mark_values(graph);
    size_t next_node = b->n_order;
    graph->nodes[outer->number].slots =
        graph_array(b, n_average + (outer == inner ? n_inner : 0), sizeof(bt_graph_slot));
    if (outer != inner) {
        graph->nodes[inner->number].slots = graph_array(b, n_inner, sizeof(bt_graph_slot));
    }
    if (b->objects.out_of_memory) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph of a checkpoint");
    }
    if (n_average > 0) {
        BT_TRY(add_slots(b, outer, "average", train->average, true, &next_node, err));
    }
    for (int32_t s = 0; s < train->n_slots && has_slots; s++) {
        BT_TRY(add_slots(b, inner, train->slot_names[s], train->slots[s], false, &next_node, err));
    }
    return BT_OK;
}

static bt_status build(builder *b, bt_error *err) {
    const ckpt_root objects = ckpt_keras_root(&b->objects);
    BT_TRY(number_objects(b, objects.root, err));
    BT_TRY(fill_graph(b, objects.outer_optimizer, objects.inner_optimizer, err));
    if (b->objects.out_of_memory) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph of a checkpoint");
    }
    return BT_OK;
}

bt_status ckpt_plan_make(const bt_ckpt_train *train, ckpt_plan *out, bt_error *err) {
    *out = (ckpt_plan){0};
    builder b = {.plan = out};
    BT_TRY(bt_arena_init(&out->graph.arena, ARENA_BYTES, err));
    bt_status rc = ckpt_objects_init(&b.objects, train, err);
    if (rc == BT_OK) {
        rc = build(&b, err);
    }
    ckpt_objects_deinit(&b.objects);
    bt_free(b.order);
    return rc;
}

void ckpt_plan_deinit(ckpt_plan *plan) {
    bt_graph_deinit(&plan->graph);
    bt_free(plan->items);
    *plan = (ckpt_plan){0};
}
