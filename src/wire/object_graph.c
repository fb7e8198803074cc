/* SPDX-License-Identifier: Apache-2.0
 *
 * TrackableObjectGraph (docs/model_garden/numerics.md section 7): copied from the message into an
 * arena, and packed again. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/proto.h"
#include "bt/wire/object_graph.h"
#include "trackable_object_graph.pb-c.h"

typedef BtTf__TrackableObjectGraph                                         message_graph;
typedef BtTf__TrackableObjectGraph__TrackableObject                        message_node;
typedef BtTf__TrackableObjectGraph__TrackableObject__ObjectReference       message_child;
typedef BtTf__TrackableObjectGraph__TrackableObject__SerializedTensor      message_attribute;
typedef BtTf__TrackableObjectGraph__TrackableObject__SlotVariableReference message_slot;

static const size_t nodes_max = (size_t)1 << 24;

enum { MANY_CHILDREN = 32 };

static bt_status fail_damaged(const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "the object graph is damaged: %s", what);
}

static bt_status fail_memory(bt_error *err) {
    return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph");
}

static bool is_node(const bt_graph *graph, int32_t number) {
    return number >= 0 && (size_t)number < graph->n_nodes;
}

static bt_status copy_text(bt_graph *graph, ProtobufCBinaryData bytes, const char **out,
                           bt_error *err) {
    if (bytes.len > 0 && memchr(bytes.data, 0, bytes.len) != NULL) {
        return fail_damaged("a name holds a NUL byte", err);
    }
    *out =
        bt_arena_strndup(&graph->arena, bytes.len > 0 ? (const char *)bytes.data : "", bytes.len);
    return *out != NULL ? BT_OK : fail_memory(err);
}

/* NULL for none: many nodes are empty, and an arena's piece is not small. */
static bt_status reserve_array(bt_arena *arena, size_t n, size_t size, void *out, bt_error *err) {
    void *const array = n == 0 ? NULL : bt_arena_alloc_array(arena, n, size);
    memcpy(out, &array, sizeof array);
    return n == 0 || array != NULL ? BT_OK : fail_memory(err);
}

static bt_status copy_child(bt_graph *graph, const message_child *from, bt_graph_child *to,
                            bt_error *err) {
    if (!is_node(graph, from->node_id)) {
        return fail_damaged("a child is not a node", err);
    }
    to->node = from->node_id;
    return copy_text(graph, from->local_name, &to->name, err);
}

static bt_status copy_attribute(bt_graph *graph, const message_attribute *from,
                                bt_graph_attribute *to, bt_error *err) {
    BT_TRY(copy_text(graph, from->name, &to->name, err));
    BT_TRY(copy_text(graph, from->full_name, &to->full_name, err));
    return copy_text(graph, from->checkpoint_key, &to->checkpoint_key, err);
}

static bt_status copy_slot(bt_graph *graph, const message_slot *from, bt_graph_slot *to,
                           bt_error *err) {
    if (!is_node(graph, from->original_variable_node_id) ||
        !is_node(graph, from->slot_variable_node_id)) {
        return fail_damaged("a slot variable is not a node", err);
    }
    to->variable_node = from->original_variable_node_id;
    to->slot_node = from->slot_variable_node_id;
    return copy_text(graph, from->slot_name, &to->slot_name, err);
}

static bt_status copy_saver(bt_graph *graph, ProtobufCBinaryData bytes, bt_bytes *to,
                            bt_error *err) {
    if (bytes.len == 0) {
        return BT_OK;
    }
    const char *const copy = bt_arena_strndup(&graph->arena, (const char *)bytes.data, bytes.len);
    if (copy == NULL) {
        return fail_memory(err);
    }
    *to = (bt_bytes){(const uint8_t *)copy, bytes.len};
    return BT_OK;
}

/* Sorted by name, then by place: of children of one name the first counts. */
typedef struct named_child {
    const char *name;
    uint32_t    place;
} named_child;

static int compare_named(const void *a, const void *b) {
    const named_child *const x = a;
    const named_child *const y = b;
    const int                order = strcmp(x->name, y->name);
    return order != 0 ? order : x->place < y->place ? -1 : x->place > y->place;
}

/* A file may hold a node of very many children, each of which is looked up. */
static bt_status sort_children(bt_graph *graph, bt_graph_node *node, bt_error *err) {
    const size_t n = node->n_children;
    if (n < MANY_CHILDREN || n > UINT32_MAX) {
        return BT_OK;
    }
    named_child *const sorted = bt_alloc_array(n, sizeof *sorted);
    uint32_t *const    by_name = bt_arena_alloc_array(&graph->arena, n, sizeof *by_name);
    if (sorted == NULL || by_name == NULL) {
        bt_free(sorted);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph");
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (named_child){node->children[i].name, (uint32_t)i};
    }
    qsort(sorted, n, sizeof *sorted, compare_named);
    for (size_t i = 0; i < n; i++) {
        by_name[i] = sorted[i].place;
    }
    bt_free(sorted);
    node->by_name = by_name;
    return BT_OK;
}

static bt_status copy_node(bt_graph *graph, const message_node *from, bt_graph_node *to,
                           bt_error *err) {
    bt_arena *const arena = &graph->arena;
    to->has_values = from->has_checkpoint_values != NULL ? from->has_checkpoint_values->value : -1;
    BT_TRY(reserve_array(arena, from->n_children, sizeof *to->children, &to->children, err));
    BT_TRY(reserve_array(arena, from->n_attributes, sizeof *to->attributes, &to->attributes, err));
    BT_TRY(reserve_array(arena, from->n_slot_variables, sizeof *to->slots, &to->slots, err));
    for (; to->n_children < from->n_children; to->n_children++) {
        BT_TRY(
            copy_child(graph, from->children[to->n_children], &to->children[to->n_children], err));
    }
    for (; to->n_attributes < from->n_attributes; to->n_attributes++) {
        BT_TRY(copy_attribute(graph, from->attributes[to->n_attributes],
                              &to->attributes[to->n_attributes], err));
    }
    for (; to->n_slots < from->n_slot_variables; to->n_slots++) {
        BT_TRY(copy_slot(graph, from->slot_variables[to->n_slots], &to->slots[to->n_slots], err));
    }
    BT_TRY(copy_saver(graph, from->registered_saver, &to->registered_saver, err));
    return sort_children(graph, to, err);
}

static bt_status copy_graph(const message_graph *message, bt_graph *graph, bt_error *err) {
    const size_t n = message->n_nodes;
    if (n == 0 || n > nodes_max) {
        return fail_damaged("it has no nodes", err);
    }
    BT_TRY(bt_arena_init(&graph->arena, 1U << 16, err));
    BT_TRY(reserve_array(&graph->arena, n, sizeof(bt_graph_node), &graph->nodes, err));
    memset(graph->nodes, 0, n * sizeof(bt_graph_node));
    graph->n_nodes = n;
    for (size_t i = 0; i < n; i++) {
        BT_TRY(copy_node(graph, message->nodes[i], &graph->nodes[i], err));
    }
    return BT_OK;
}

bt_status bt_graph_parse(bt_bytes bytes, bt_graph *out, bt_error *err) {
    bt_graph                graph = {0};
    bt_arena                arena = {0};
    const ProtobufCMessage *message = NULL;
    bt_status               rc = BT_OK;
    BT_CHECK(bt_arena_init(&arena, 1U << 16, err));
    BT_CHECK(
        bt_proto_unpack(&bt_tf__trackable_object_graph__descriptor, bytes, &arena, &message, err));
    BT_CHECK(copy_graph((const message_graph *)message, &graph, err));
    *out = graph;
    graph = (bt_graph){0};
done:
    bt_arena_deinit(&arena);
    bt_graph_deinit(&graph);
    return rc;
}

void bt_graph_deinit(bt_graph *graph) {
    bt_arena_deinit(&graph->arena);
    *graph = (bt_graph){0};
}

/* Serializing: the message's structs are made in an arena of their own; texts stay where they are.
 * An array of n structs and one of pointers to them, as protobuf-c has repeated fields. */
static bt_status reserve_messages(bt_arena *arena, size_t n, size_t size, void *structs,
                                  void *pointers, bt_error *err) {
    BT_TRY(reserve_array(arena, n, size, structs, err));
    return reserve_array(arena, n, sizeof(void *), pointers, err);
}

static bt_status make_children(bt_arena *arena, const bt_graph_node *from, message_node *to,
                               bt_error *err) {
    message_child *children = NULL;
    BT_TRY(
        reserve_messages(arena, from->n_children, sizeof *children, &children, &to->children, err));
    for (size_t i = 0; i < from->n_children; i++) {
        to->children[i] = &children[i];
        bt_tf__trackable_object_graph__trackable_object__object_reference__init(&children[i]);
        children[i].node_id = from->children[i].node;
        children[i].local_name = bt_proto_text(from->children[i].name);
    }
    to->n_children = from->n_children;
    return BT_OK;
}

static bt_status make_attributes(bt_arena *arena, const bt_graph_node *from, message_node *to,
                                 bt_error *err) {
    message_attribute *attributes = NULL;
    BT_TRY(reserve_messages(arena, from->n_attributes, sizeof *attributes, &attributes,
                            &to->attributes, err));
    for (size_t i = 0; i < from->n_attributes; i++) {
        to->attributes[i] = &attributes[i];
        bt_tf__trackable_object_graph__trackable_object__serialized_tensor__init(&attributes[i]);
        attributes[i].name = bt_proto_text(from->attributes[i].name);
        attributes[i].full_name = bt_proto_text(from->attributes[i].full_name);
        attributes[i].checkpoint_key = bt_proto_text(from->attributes[i].checkpoint_key);
    }
    to->n_attributes = from->n_attributes;
    return BT_OK;
}

static bt_status make_slots(bt_arena *arena, const bt_graph_node *from, message_node *to,
                            bt_error *err) {
    message_slot *slots = NULL;
    BT_TRY(reserve_messages(arena, from->n_slots, sizeof *slots, &slots, &to->slot_variables, err));
    for (size_t i = 0; i < from->n_slots; i++) {
        to->slot_variables[i] = &slots[i];
        bt_tf__trackable_object_graph__trackable_object__slot_variable_reference__init(&slots[i]);
        slots[i].original_variable_node_id = from->slots[i].variable_node;
        slots[i].slot_name = bt_proto_text(from->slots[i].slot_name);
        slots[i].slot_variable_node_id = from->slots[i].slot_node;
    }
    to->n_slot_variables = from->n_slots;
    return BT_OK;
}

static bt_status make_node(bt_arena *arena, const bt_graph_node *from, message_node *to,
                           bt_error *err) {
    bt_tf__trackable_object_graph__trackable_object__init(to);
    BT_TRY(make_children(arena, from, to, err));
    BT_TRY(make_attributes(arena, from, to, err));
    BT_TRY(make_slots(arena, from, to, err));
    to->registered_saver = bt_proto_bytes(from->registered_saver);
    if (from->has_values >= 0) {
        BT_TRY(reserve_array(arena, 1, sizeof *to->has_checkpoint_values,
                             &to->has_checkpoint_values, err));
        bt_tf__bool_value__init(to->has_checkpoint_values);
        to->has_checkpoint_values->value = from->has_values != 0;
    }
    return BT_OK;
}

static bt_status make_message(bt_arena *arena, const bt_graph *graph, message_graph *message,
                              bt_error *err) {
    message_node *nodes = NULL;
    BT_TRY(reserve_messages(arena, graph->n_nodes, sizeof *nodes, &nodes, &message->nodes, err));
    for (size_t i = 0; i < graph->n_nodes; i++) {
        message->nodes[i] = &nodes[i];
        BT_TRY(make_node(arena, &graph->nodes[i], &nodes[i], err));
    }
    message->n_nodes = graph->n_nodes;
    return BT_OK;
}

bt_status bt_graph_serialize(const bt_graph *graph, bt_str *out, bt_error *err) {
    message_graph message = BT_TF__TRACKABLE_OBJECT_GRAPH__INIT;
    bt_arena      arena = {0};
    bt_status     rc = BT_OK;
    BT_CHECK(bt_arena_init(&arena, 1U << 16, err));
    BT_CHECK(make_message(&arena, graph, &message, err));
    BT_CHECK(bt_proto_append(out, &message.base, err));
done:
    bt_arena_deinit(&arena);
    return rc;
}

/* Looking things up. */

static int32_t find_sorted(const bt_graph_node *node, const char *name) {
    size_t low = 0;
    size_t high = node->n_children;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(node->children[node->by_name[middle]].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const bool is_there =
        low < node->n_children && strcmp(node->children[node->by_name[low]].name, name) == 0;
    return is_there ? node->children[node->by_name[low]].node : -1;
}

int32_t bt_graph_child_node(const bt_graph *graph, int32_t node, const char *name) {
    if (node < 0 || (size_t)node >= graph->n_nodes) {
        return -1;
    }
    const bt_graph_node *const n = &graph->nodes[node];
    if (n->by_name != NULL) {
        return find_sorted(n, name);
    }
    for (size_t i = 0; i < n->n_children; i++) {
        if (strcmp(n->children[i].name, name) == 0) {
            return n->children[i].node;
        }
    }
    return -1;
}

const char *bt_graph_variable_key(const bt_graph *graph, int32_t node) {
    if (node < 0 || (size_t)node >= graph->n_nodes) {
        return NULL;
    }
    const bt_graph_node *const n = &graph->nodes[node];
    for (size_t i = 0; i < n->n_attributes; i++) {
        if (strcmp(n->attributes[i].name, "VARIABLE_VALUE") == 0) {
            return n->attributes[i].checkpoint_key;
        }
    }
    return NULL;
}
