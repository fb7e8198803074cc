/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the object graph of a training checkpoint: first the objects and their children, in the
 * order in which Keras tracks them (seen in checkpoints of the real trainer); then nodes are
 * numbered breadth first, and a variable's key is the path on which it was found first; then the
 * slots, behind all other nodes (spec/numerics.md section 7). */
#include "ckpt_graph_build.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_BYTES = 1 << 16, NAME_MAX_BYTES = 512 };

typedef struct object object;
typedef struct edge {
    const char  *name;
    object      *child;
    struct edge *next;
} edge;

/* A tracked object. Leaves with data are variables. */
struct object {
    edge          *first, *last;
    size_t         n_edges;
    const char    *full_name; /* of a variable */
    const char    *path;      /* known after numbering */
    int64_t        param;     /* index of a model variable, else -1 */
    bt_dtype       dtype;
    int32_t        rank;
    const int64_t *dim;
    const void    *data; /* NULL: not a variable */
    int32_t        number;
    bool           is_numbered;
};

typedef struct builder {
    const bt_ckpt_train *train;
    ckpt_plan           *plan;
    bt_arena             scratch; /* objects and edges */
    object             **order;   /* breadth first */
    size_t               n_order;
    size_t               cap_order;
    bool                 out_of_memory; /* sticky: looked at once, at the end */
} builder;

/* A shared dummy keeps the builders below free of checks; it is thrown away with the builder. */
static object dummy_object;

static object *new_object(builder *b) {
    object *const o = bt_arena_alloc(&b->scratch, sizeof *o);
    if (o == NULL) {
        b->out_of_memory = true;
        return &dummy_object;
    }
    *o = (object){.param = -1, .number = -1};
    return o;
}

/* Adds child under name; returns child, so that trees can be written as nested calls. */
static object *track(builder *b, object *parent, const char *name, object *child) {
    edge *const       e = bt_arena_alloc(&b->scratch, sizeof *e);
    const char *const copy = bt_arena_strdup(&b->scratch, name);
    if (e == NULL || copy == NULL || parent == &dummy_object) {
        b->out_of_memory = true;
        return child;
    }
    *e = (edge){.name = copy, .child = child};
    if (parent->last == NULL) {
        parent->first = e;
    } else {
        parent->last->next = e;
    }
    parent->last = e;
    parent->n_edges++;
    return child;
}

static object *track_new(builder *b, object *parent, const char *name) {
    return track(b, parent, name, new_object(b));
}

static void track_numbered(builder *b, object *parent, const char *prefix, int64_t number,
                           object *child) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s%" PRId64, prefix, number);
    (void)track(b, parent, name, child);
}

static object *scalar(builder *b, const char *full_name, bt_dtype dtype, const void *data) {
    object *const o = new_object(b);
    o->full_name = full_name;
    o->dtype = dtype;
    o->data = data;
    return o;
}

/* The model's variable of that canonical name; an empty object when the model has none. */
static object *variable(builder *b, const char *name) {
    object *const o = new_object(b);
    const int64_t i = bt_param_table_find(b->train->table, name);
    if (i >= 0 && o != &dummy_object) {
        const bt_param *const param = &b->train->table->params[i];
        o->param = i;
        o->full_name = param->tf_name;
        o->dtype = BT_DTYPE_F32;
        o->rank = param->rank;
        o->dim = param->dim;
        o->data = b->train->params + param->offset;
    }
    return o;
}

static bool has_variable(const builder *b, const char *name) {
    return bt_param_table_find(b->train->table, name) >= 0;
}

static void track_pair(builder *b, object *parent, const char *canonical, const char *first,
                       const char *second) {
    const char *const parts[] = {first, second};
    for (size_t i = 0; i < BT_ARRAY_LEN(parts); i++) {
        char name[NAME_MAX_BYTES];
        (void)snprintf(name, sizeof name, "%s/%s", canonical, parts[i]);
        (void)track(b, parent, parts[i], variable(b, name));
    }
}

/* A Dense layer. */
static object *dense(builder *b, const char *canonical) {
    object *const o = new_object(b);
    track_pair(b, o, canonical, "kernel", "bias");
    return o;
}

/* An EinsumDense layer tracks two shapes as well. */
static object *einsum_dense(builder *b, const char *canonical) {
    object *const o = new_object(b);
    (void)track_new(b, o, "partial_output_shape");
    (void)track_new(b, o, "full_output_shape");
    track_pair(b, o, canonical, "kernel", "bias");
    return o;
}

static object *layer_norm(builder *b, const char *canonical) {
    object *const o = new_object(b);
    (void)track_new(b, o, "axis");
    track_pair(b, o, canonical, "gamma", "beta");
    return o;
}

static object *embedding(builder *b, const char *canonical, bool is_position) {
    object *const o = new_object(b);
    object *const table = track(b, o, "embeddings", variable(b, canonical));
    if (is_position) {
        (void)track(b, o, "_position_embeddings", table);
    }
    return o;
}

static object *transformer_layer(builder *b, int64_t number) {
    char          base[NAME_MAX_BYTES / 2];
    char          name[NAME_MAX_BYTES];
    object *const layer = new_object(b);
    (void)snprintf(base, sizeof base, "transformer/layer_%" PRId64, number);
    object *const            attention = track_new(b, layer, "_attention_layer");
    static const char *const products[][2] = {
        {"_query_dense", "query"}, {"_key_dense", "key"}, {"_value_dense", "value"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(products); i++) {
        (void)snprintf(name, sizeof name, "%s/self_attention/%s", base, products[i][1]);
        (void)track(b, attention, products[i][0], einsum_dense(b, name));
    }
    (void)track_new(b, attention, "_softmax");
    (void)track_new(b, attention, "_dropout_layer");
    (void)snprintf(name, sizeof name, "%s/self_attention/attention_output", base);
    (void)track(b, attention, "_output_dense", einsum_dense(b, name));
    (void)track_new(b, layer, "_attention_dropout");
    (void)snprintf(name, sizeof name, "%s/self_attention_layer_norm", base);
    object *const norm = track(b, layer, "_attention_layer_norm", layer_norm(b, name));
    (void)track(b, layer, "_attention_layer_norm_kv", norm);
    (void)snprintf(name, sizeof name, "%s/intermediate", base);
    (void)track(b, layer, "_intermediate_dense", einsum_dense(b, name));
    (void)track_new(b, layer, "_intermediate_activation_layer");
    (void)track_new(b, layer, "_inner_dropout_layer");
    (void)snprintf(name, sizeof name, "%s/output", base);
    (void)track(b, layer, "_output_dense", einsum_dense(b, name));
    (void)track_new(b, layer, "_output_dropout");
    (void)snprintf(name, sizeof name, "%s/output_layer_norm", base);
    (void)track(b, layer, "_output_layer_norm", layer_norm(b, name));
    return layer;
}

/* The parts that both encoder types have, and the three inputs that the classifier shares. */
typedef struct encoder_parts {
    object *word, *position, *type, *norm, *projection, *layers, *pooler;
    object *input_ids, *input_mask, *input_types;
} encoder_parts;

static encoder_parts make_parts(builder *b) {
    encoder_parts p = {.word = embedding(b, "word_embeddings/embeddings", false),
                       .position = embedding(b, "position_embedding/embeddings", true),
                       .type = embedding(b, "type_embeddings/embeddings", false),
                       .norm = layer_norm(b, "embeddings/layer_norm"),
                       .pooler = dense(b, "pooler_transform"),
                       .layers = new_object(b),
                       .input_ids = new_object(b),
                       .input_mask = new_object(b),
                       .input_types = new_object(b)};
    if (has_variable(b, "embedding_projection/kernel")) {
        p.projection = einsum_dense(b, "embedding_projection");
    }
    for (int64_t i = 0;; i++) {
        char name[NAME_MAX_BYTES];
        (void)snprintf(name, sizeof name, "transformer/layer_%" PRId64 "/output/kernel", i);
        if (!has_variable(b, name)) {
            return p;
        }
        track_numbered(b, p.layers, "", i, transformer_layer(b, i));
    }
}

/* A functional Keras model numbers its layers, those with weights a second time. */
typedef struct layer_counter {
    object *owner;
    int64_t n_layers;
    int64_t n_with_weights;
} layer_counter;

static void add_plain(builder *b, layer_counter *c, object *layer) {
    track_numbered(b, c->owner, "layer-", c->n_layers++, layer);
}

static void add_weighted(builder *b, layer_counter *c, object *layer) {
    track_numbered(b, c->owner, "layer_with_weights-", c->n_with_weights++, layer);
    add_plain(b, c, layer);
}

static object *encoder_v1(builder *b, const encoder_parts *p) {
    layer_counter c = {.owner = new_object(b)};
    add_plain(b, &c, p->input_ids);
    add_weighted(b, &c, p->word);
    add_plain(b, &c, p->input_types);
    add_weighted(b, &c, p->position);
    add_weighted(b, &c, p->type);
    add_plain(b, &c, new_object(b)); /* the sum */
    add_weighted(b, &c, p->norm);
    add_plain(b, &c, new_object(b)); /* dropout */
    if (p->projection != NULL) {
        add_weighted(b, &c, p->projection);
    }
    add_plain(b, &c, p->input_mask);
    add_plain(b, &c, new_object(b)); /* the attention mask */
    for (const edge *e = p->layers->first; e != NULL; e = e->next) {
        add_weighted(b, &c, e->child);
    }
    add_plain(b, &c, new_object(b)); /* first token */
    add_weighted(b, &c, p->pooler);
    (void)track(b, c.owner, "_pooler_layer", p->pooler);
    (void)track(b, c.owner, "_transformer_layers", p->layers);
    (void)track(b, c.owner, "_embedding_norm_layer", p->norm);
    (void)track(b, c.owner, "_embedding_layer", p->word);
    (void)track(b, c.owner, "_position_embedding_layer", p->position);
    (void)track(b, c.owner, "_type_embedding_layer", p->type);
    if (p->projection != NULL) {
        (void)track(b, c.owner, "_embedding_projection", p->projection);
    }
    return c.owner;
}

static object *encoder_v2(builder *b, const encoder_parts *p) {
    object *const o = new_object(b);
    (void)track(b, o, "_embedding_layer", p->word);
    (void)track(b, o, "_position_embedding_layer", p->position);
    (void)track(b, o, "_type_embedding_layer", p->type);
    (void)track(b, o, "_embedding_norm_layer", p->norm);
    (void)track_new(b, o, "_embedding_dropout");
    if (p->projection != NULL) {
        (void)track(b, o, "_embedding_projection", p->projection);
    }
    (void)track(b, o, "_transformer_layers", p->layers);
    (void)track_new(b, o, "_attention_mask_layer");
    (void)track(b, o, "_pooler_layer", p->pooler);
    (void)track_new(b, track_new(b, track_new(b, o, "_config"), "initializer"), "config");
    (void)track_new(b, o, "inputs");
    return o;
}

/* The classifier around the encoder. */
static object *classifier(builder *b, const encoder_parts *p, object *encoder,
                          object *pooler_dense) {
    layer_counter c = {.owner = new_object(b)};
    object *const head = new_object(b);
    if (pooler_dense != NULL) {
        (void)track(b, head, "dense", pooler_dense);
    }
    (void)track_new(b, head, "dropout");
    (void)track(b, head, "out_proj", dense(b, "sentence_prediction/logits"));
    add_plain(b, &c, p->input_ids);
    add_plain(b, &c, p->input_mask);
    add_plain(b, &c, p->input_types);
    add_weighted(b, &c, encoder);
    if (pooler_dense == NULL) {
        add_plain(b, &c, new_object(b)); /* dropout on the pooled output */
    }
    add_weighted(b, &c, head);
    (void)track(b, c.owner, "_network", encoder);
    object *const config = track_new(b, c.owner, "_config");
    (void)track(b, config, "network", encoder);
    (void)track(b, config, "0", encoder);
    (void)track(b, c.owner, "classifier", head);
    return c.owner;
}

/* Returns the object that keeps the slots of the updates: inside the averaging one with EMA. */
static object *optimizer(builder *b, object *outer) {
    const bt_ckpt_train *const train = b->train;
    object *const              inner =
        train->average != NULL ? track_new(b, outer, "ema_base_optimizer") : outer;
    if (train->without_optimizer) {
        return inner;
    }
    (void)track(b, inner, "iter", scalar(b, "iter", BT_DTYPE_I64, &train->iterations));
    for (int32_t i = 0; i < train->n_hypers; i++) {
        (void)track(b, inner, train->hyper_names[i],
                    scalar(b, train->hyper_names[i], BT_DTYPE_F32, &train->hypers[i]));
    }
    return inner;
}

/* ---- numbers and paths
 * --------------------------------------------------------------------------------- */

/* "." -> "..", "/" -> ".S" */
static char *child_path(builder *b, const char *parent, const char *name) {
    const size_t n_parent = strlen(parent);
    char *const  path = bt_arena_alloc(&b->plan->graph.arena, n_parent + 2 * strlen(name) + 2);
    if (path == NULL) {
        b->out_of_memory = true;
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

static bt_status enqueue(builder *b, object *o, const char *path, bt_error *err) {
    BT_TRY(bt_grow(&b->order, &b->cap_order, b->n_order + 1, sizeof(object *), INT32_MAX, err));
    o->number = (int32_t)b->n_order;
    o->is_numbered = true;
    o->path = path;
    b->order[b->n_order++] = o;
    return BT_OK;
}

static bt_status number_objects(builder *b, object *root, bt_error *err) {
    BT_TRY(enqueue(b, root, "", err));
    for (size_t i = 0; i < b->n_order; i++) {
        for (const edge *e = b->order[i]->first; e != NULL; e = e->next) {
            if (!e->child->is_numbered && e->child != &dummy_object) {
                const char *const path = child_path(b, b->order[i]->path, e->name);
                BT_TRY(enqueue(b, e->child, path, err));
            }
        }
    }
    if (b->out_of_memory) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph of a checkpoint");
    }
    return BT_OK;
}

/* ---- the graph
 * -------------------------------------------------------------------------------------------- */

static char *copy_text(builder *b, const char *a, const char *middle, const char *c) {
    const size_t n = strlen(a) + strlen(middle) + strlen(c) + 1;
    char *const  text = bt_arena_alloc(&b->plan->graph.arena, n);
    if (text == NULL) {
        b->out_of_memory = true;
        return NULL;
    }
    (void)snprintf(text, n, "%s%s%s", a, middle, c);
    return text;
}

static void *graph_array(builder *b, size_t n, size_t size) {
    void *const array = bt_arena_alloc_array(&b->plan->graph.arena, n, size);
    if (array == NULL) {
        b->out_of_memory = true;
    } else {
        memset(array, 0, n * size);
    }
    return array;
}

static bt_status add_item(builder *b, bt_graph_node *node, const object *o, const char *full_name,
                          const char *key, const void *data, bt_error *err) {
    ckpt_plan *const plan = b->plan;
    BT_TRY(bt_grow(&plan->items, &plan->cap_items, plan->n_items + 1, sizeof *plan->items,
                   INT32_MAX, err));
    plan->items[plan->n_items++] =
        (ckpt_item){.key = key, .dtype = o->dtype, .rank = o->rank, .dim = o->dim, .data = data};
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
    const object *const  o = b->order[i];
    bt_graph_node *const node = &b->plan->graph.nodes[i];
    node->children = graph_array(b, o->n_edges, sizeof *node->children);
    for (const edge *e = o->first; e != NULL && node->children != NULL; e = e->next) {
        node->children[node->n_children++] =
            (bt_graph_child){.node = e->child->number, .name = copy_text(b, e->name, "", "")};
    }
    if (o->data == NULL) {
        return BT_OK;
    }
    return add_item(b, node, o, copy_text(b, o->full_name, "", ""),
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
static bt_status add_slots(builder *b, const object *owner, const char *slot_name,
                           const float *flat, bool every_variable, size_t *next_node,
                           bt_error *err) {
    bt_graph_node *const owner_node = &b->plan->graph.nodes[owner->number];
    for (size_t i = 0; i < b->n_order; i++) {
        const object *const o = b->order[i];
        if (o->param < 0 || !(every_variable || b->train->table->params[o->param].has_gradient)) {
            continue;
        }
        char slot_part[NAME_MAX_BYTES];
        (void)snprintf(slot_part, sizeof slot_part,
                       "/.OPTIMIZER_SLOT/%s/%s/.ATTRIBUTES/VARIABLE_VALUE", owner->path, slot_name);
        const char *const name = copy_text(b, slot_name, "", "");
        BT_TRY(add_item(b, &b->plan->graph.nodes[*next_node], o,
                        copy_text(b, o->full_name, "/", slot_name),
                        copy_text(b, o->path, slot_part, ""),
                        flat + b->train->table->params[o->param].offset, err));
        owner_node->slots[owner_node->n_slots++] = (bt_graph_slot){
            .variable_node = o->number, .slot_name = name, .slot_node = (int32_t)*next_node};
        (*next_node)++;
    }
    return BT_OK;
}

static size_t count_variables(const builder *b, bool every_variable) {
    size_t n = 0;
    for (int64_t i = 0; i < b->train->table->n_params; i++) {
        n += every_variable || b->train->table->params[i].has_gradient;
    }
    return n;
}

static bt_status fill_graph(builder *b, const object *outer, const object *inner, bt_error *err) {
    const bt_ckpt_train *const train = b->train;
    bt_graph *const            graph = &b->plan->graph;
    const bool                 has_slots = !train->without_optimizer;
    const size_t n_average = has_slots && train->average != NULL ? count_variables(b, true) : 0;
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
    if (b->out_of_memory) {
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
    const bt_ckpt_train *const train = b->train;
    if (!has_variable(b, "sentence_prediction/logits/kernel")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "checkpoints are written of models with a sentence_prediction head only");
    }
    const encoder_parts parts = make_parts(b);
    object *const       root = new_object(b);
    object *const       encoder = train->is_bert_v2 ? encoder_v2(b, &parts) : encoder_v1(b, &parts);
    object *const       pooler_dense = has_variable(b, "sentence_prediction/pooler_dense/kernel")
                                           ? dense(b, "sentence_prediction/pooler_dense")
                                           : NULL;
    (void)track(b, root, "encoder", encoder);
    (void)track(b, root, "global_step",
                scalar(b, "global_step", BT_DTYPE_I64, &train->global_step));
    (void)track(b, root, "model", classifier(b, &parts, encoder, pooler_dense));
    object *const outer = track_new(b, root, "optimizer");
    if (pooler_dense != NULL) {
        (void)track(b, root, "sentence_prediction.pooler_dense", pooler_dense);
    }
    (void)track(b, root, "save_counter",
                scalar(b, "save_counter", BT_DTYPE_I64, &train->save_counter));
    const object *const inner = optimizer(b, outer);
    BT_TRY(number_objects(b, root, err));
    BT_TRY(fill_graph(b, outer, inner, err));
    if (b->out_of_memory) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the object graph of a checkpoint");
    }
    return BT_OK;
}

bt_status ckpt_plan_make(const bt_ckpt_train *train, ckpt_plan *out, bt_error *err) {
    *out = (ckpt_plan){0};
    builder b = {.train = train, .plan = out};
    BT_TRY(bt_arena_init(&out->graph.arena, ARENA_BYTES, err));
    bt_status rc = bt_arena_init(&b.scratch, ARENA_BYTES, err);
    if (rc == BT_OK) {
        rc = build(&b, err);
    }
    bt_arena_deinit(&b.scratch);
    bt_free(b.order);
    return rc;
}

void ckpt_plan_deinit(ckpt_plan *plan) {
    bt_graph_deinit(&plan->graph);
    bt_free(plan->items);
    *plan = (ckpt_plan){0};
}
