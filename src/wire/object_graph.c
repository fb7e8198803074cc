/* SPDX-License-Identifier: Apache-2.0
 *
 * TrackableObjectGraph (docs/model_garden/numerics.md section 7): parsed into an arena, and
 * serialized. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/wire/object_graph.h"
#include "proto_wire.h"

static const size_t nodes_max = (size_t)1 << 24;

enum { MANY_CHILDREN = 32 };

typedef enum graph_field {
    NODE = 1,
    NODE_CHILD = 1,
    NODE_ATTRIBUTE = 2,
    NODE_SLOT = 3,
    NODE_SAVER = 4,
    NODE_HAS_VALUES = 5
} graph_field;

static bt_status fail_damaged(const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "the object graph is damaged: %s", what);
}

static bt_status copy_text(bt_graph *graph, bt_bytes bytes, const char **out, bt_error *err) {
    if (bytes.n_bytes > 0 && memchr(bytes.data, 0, bytes.n_bytes) != NULL) {
        return fail_damaged("a name holds a NUL byte", err);
    }
    *out = bt_arena_strndup(&graph->arena, bytes.n_bytes > 0 ? (const char *)bytes.data : "",
                            bytes.n_bytes);
    return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph");
}

/* A small message of at most three fields: ints and texts by number. */
typedef struct small_message {
    uint64_t ints[4];
    bt_bytes texts[4];
} small_message;

static bt_status parse_small(bt_bytes bytes, small_message *out, bt_error *err) {
    bt_reader r = pw_open(bytes);
    *out = (small_message){0};
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return fail_damaged("a message is cut", err);
        }
        if (field.number < 4) {
            out->ints[field.number] = field.value;
            out->texts[field.number] = field.bytes;
        }
    }
    return BT_OK;
}

static bool is_node(const bt_graph *graph, uint64_t number) {
    return number < graph->n_nodes;
}

static bt_status count_fields(bt_bytes bytes, size_t counts[8], bt_error *err) {
    bt_reader r = pw_open(bytes);
    memset(counts, 0, 8 * sizeof counts[0]);
    while (bt_reader_left(&r) > 0) {
        pw_field field;
        if (!pw_next(&r, &field)) {
            return fail_damaged("a node is cut", err);
        }
        if (field.number <= NODE_HAS_VALUES && field.type != PW_BYTES) {
            return fail_damaged("a node has a field of the wrong type", err);
        }
        if (field.number < 8) {
            counts[field.number]++;
        }
    }
    return BT_OK;
}

/* NULL for none: many nodes are empty, and an arena's piece is not small. */
static void *reserve_array(bt_graph *graph, size_t n, size_t size, bool *good) {
    void *const array = n == 0 ? NULL : bt_arena_alloc_array(&graph->arena, n, size);
    *good = *good && (n == 0 || array != NULL);
    return array;
}

static bt_status reserve_node(bt_graph *graph, bt_graph_node *node, const size_t counts[8],
                              bt_error *err) {
    bool good = true;
    node->children = reserve_array(graph, counts[NODE_CHILD], sizeof node->children[0], &good);
    node->attributes =
        reserve_array(graph, counts[NODE_ATTRIBUTE], sizeof node->attributes[0], &good);
    node->slots = reserve_array(graph, counts[NODE_SLOT], sizeof node->slots[0], &good);
    return good ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph");
}

static bt_status parse_child(bt_graph *graph, bt_graph_node *node, bt_bytes bytes, bt_error *err) {
    small_message m;
    BT_TRY(parse_small(bytes, &m, err));
    if (!is_node(graph, m.ints[1])) {
        return fail_damaged("a child is not a node", err);
    }
    bt_graph_child *const child = &node->children[node->n_children++];
    child->node = (int32_t)m.ints[1];
    return copy_text(graph, m.texts[2], &child->name, err);
}

static bt_status parse_attribute(bt_graph *graph, bt_graph_node *node, bt_bytes bytes,
                                 bt_error *err) {
    small_message m;
    BT_TRY(parse_small(bytes, &m, err));
    bt_graph_attribute *const attribute = &node->attributes[node->n_attributes++];
    BT_TRY(copy_text(graph, m.texts[1], &attribute->name, err));
    BT_TRY(copy_text(graph, m.texts[2], &attribute->full_name, err));
    return copy_text(graph, m.texts[3], &attribute->checkpoint_key, err);
}

static bt_status parse_slot(bt_graph *graph, bt_graph_node *node, bt_bytes bytes, bt_error *err) {
    small_message m;
    BT_TRY(parse_small(bytes, &m, err));
    if (!is_node(graph, m.ints[1]) || !is_node(graph, m.ints[3])) {
        return fail_damaged("a slot variable is not a node", err);
    }
    bt_graph_slot *const slot = &node->slots[node->n_slots++];
    slot->variable_node = (int32_t)m.ints[1];
    slot->slot_node = (int32_t)m.ints[3];
    return copy_text(graph, m.texts[2], &slot->slot_name, err);
}

/* BoolValue {1: value} */
static bt_status parse_has_values(bt_graph_node *node, bt_bytes bytes, bt_error *err) {
    small_message m;
    BT_TRY(parse_small(bytes, &m, err));
    node->has_values = m.ints[1] != 0;
    return BT_OK;
}

static bt_status parse_node(bt_graph *graph, bt_graph_node *node, bt_bytes bytes, bt_error *err) {
    size_t counts[8];
    BT_TRY(count_fields(bytes, counts, err));
    BT_TRY(reserve_node(graph, node, counts, err));
    node->has_values = -1;
    bt_reader r = pw_open(bytes);
    pw_field  field;
    while (bt_reader_left(&r) > 0 && pw_next(&r, &field)) {
        switch (field.number) {
        case NODE_CHILD:
            BT_TRY(parse_child(graph, node, field.bytes, err));
            break;
        case NODE_ATTRIBUTE:
            BT_TRY(parse_attribute(graph, node, field.bytes, err));
            break;
        case NODE_SLOT:
            BT_TRY(parse_slot(graph, node, field.bytes, err));
            break;
        case NODE_SAVER: {
            const char *copy = NULL;
            copy = bt_arena_strndup(&graph->arena, (const char *)field.bytes.data,
                                    field.bytes.n_bytes);
            if (copy == NULL) {
                return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph");
            }
            node->registered_saver = (bt_bytes){(const uint8_t *)copy, field.bytes.n_bytes};
            break;
        }
        case NODE_HAS_VALUES:
            BT_TRY(parse_has_values(node, field.bytes, err));
            break;
        default: /* unknown fields are skipped */
            break;
        }
    }
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

static bt_status parse_nodes(bt_bytes bytes, bt_graph *graph, bt_error *err) {
    bt_reader r = pw_open(bytes);
    pw_field  field;
    size_t    n = 0;
    while (bt_reader_left(&r) > 0) {
        if (!pw_next(&r, &field) || (field.number == NODE && field.type != PW_BYTES)) {
            return fail_damaged("the list of nodes is truncated", err);
        }
        n += field.number == NODE;
    }
    if (n == 0 || n > nodes_max) {
        return fail_damaged("it has no nodes", err);
    }
    graph->nodes = bt_arena_alloc_array(&graph->arena, n, sizeof(bt_graph_node));
    if (graph->nodes == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph");
    }
    memset(graph->nodes, 0, n * sizeof(bt_graph_node));
    graph->n_nodes = n;
    r = pw_open(bytes);
    for (size_t i = 0; bt_reader_left(&r) > 0 && pw_next(&r, &field);) {
        if (field.number == NODE) {
            BT_TRY(parse_node(graph, &graph->nodes[i], field.bytes, err));
            BT_TRY(sort_children(graph, &graph->nodes[i], err));
            i++;
        }
    }
    return BT_OK;
}

bt_status bt_graph_parse(bt_bytes bytes, bt_graph *out, bt_error *err) {
    bt_graph graph = {0};
    BT_TRY(bt_arena_init(&graph.arena, 1U << 16, err));
    const bt_status rc = parse_nodes(bytes, &graph, err);
    if (rc != BT_OK) {
        bt_graph_deinit(&graph);
        return rc;
    }
    *out = graph;
    return BT_OK;
}

void bt_graph_deinit(bt_graph *graph) {
    bt_arena_deinit(&graph->arena);
    *graph = (bt_graph){0};
}

/* proto3: zero values are left out */
static bt_status put_number(bt_str *out, uint32_t field, int32_t value, bt_error *err) {
    return value == 0 ? BT_OK : pw_put_int(out, field, (uint64_t)value, err);
}

static bt_status put_name(bt_str *out, uint32_t field, const char *text, bt_error *err) {
    return text == NULL || text[0] == '\0' ? BT_OK : pw_put_text(out, field, text, err);
}

static bt_status put_message(bt_str *out, uint32_t field, bt_str *message, bt_error *err) {
    BT_TRY(pw_put_bytes(out, field, message->data, message->len, err));
    bt_str_clear(message);
    return BT_OK;
}

static bt_status serialize_node(const bt_graph_node *node, bt_str *out, bt_str *scratch,
                                bt_error *err) {
    bt_str_clear(scratch);
    for (size_t i = 0; i < node->n_children; i++) {
        BT_TRY(put_number(scratch, 1, node->children[i].node, err));
        BT_TRY(put_name(scratch, 2, node->children[i].name, err));
        BT_TRY(put_message(out, NODE_CHILD, scratch, err));
    }
    for (size_t i = 0; i < node->n_attributes; i++) {
        BT_TRY(put_name(scratch, 1, node->attributes[i].name, err));
        BT_TRY(put_name(scratch, 2, node->attributes[i].full_name, err));
        BT_TRY(put_name(scratch, 3, node->attributes[i].checkpoint_key, err));
        BT_TRY(put_message(out, NODE_ATTRIBUTE, scratch, err));
    }
    for (size_t i = 0; i < node->n_slots; i++) {
        BT_TRY(put_number(scratch, 1, node->slots[i].variable_node, err));
        BT_TRY(put_name(scratch, 2, node->slots[i].slot_name, err));
        BT_TRY(put_number(scratch, 3, node->slots[i].slot_node, err));
        BT_TRY(put_message(out, NODE_SLOT, scratch, err));
    }
    if (node->registered_saver.n_bytes > 0) {
        BT_TRY(pw_put_bytes(out, NODE_SAVER, node->registered_saver.data,
                            node->registered_saver.n_bytes, err));
    }
    if (node->has_values >= 0) {
        BT_TRY(put_number(scratch, 1, node->has_values, err));
        BT_TRY(put_message(out, NODE_HAS_VALUES, scratch, err));
    }
    return BT_OK;
}

bt_status bt_graph_serialize(const bt_graph *graph, bt_str *out, bt_error *err) {
    bt_str    node = BT_STR_INIT;
    bt_str    scratch = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        BT_CHECK(serialize_node(&graph->nodes[i], &node, &scratch, err));
        BT_CHECK(put_message(out, NODE, &node, err));
    }
done:
    bt_str_deinit(&node);
    bt_str_deinit(&scratch);
    return rc;
}

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
