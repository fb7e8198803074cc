/* SPDX-License-Identifier: Apache-2.0
 *
 * TF2 object-based checkpoints: variables are found by walking the object graph, never by their
 * keys, because the same variable has other keys in other checkpoints
 * (docs/model_garden/numerics.md section 7). Encoders of both types carry the underscore names;
 * files that have only layer_with_weights-K are walked by order. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "ckpt_internal.h"

/* Node number or -1; -1 in gives -1 out, so that paths can be chained. */
static int32_t child(const bt_ckpt *ckpt, int32_t node, const char *name) {
    return node < 0 ? -1 : bt_graph_child_node(&ckpt->graph, node, name);
}

static int32_t numbered_child(const bt_ckpt *ckpt, int32_t node, const char *prefix,
                              int64_t number) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s%" PRId64, prefix, number);
    return child(ckpt, node, name);
}

/* What belongs to each node, found once. */

static void free_slots(ckpt_slots *slots) {
    bt_free(slots->first);
    bt_free(slots->items);
    bt_free(slots->tensor);
    *slots = (ckpt_slots){0};
}

/* Counts into first[node + 1], then sums, then fills: first[n] ends as the start of node n. */
static void fill_slots(const bt_graph *graph, ckpt_slots *slots) {
    for (size_t n = 0; n < graph->n_nodes; n++) {
        for (size_t s = 0; s < graph->nodes[n].n_slots; s++) {
            slots->first[graph->nodes[n].slots[s].variable_node + 1]++;
        }
    }
    for (size_t n = 0; n < graph->n_nodes; n++) {
        slots->first[n + 1] += slots->first[n];
    }
    for (size_t n = graph->n_nodes; n > 0; n--) { /* from behind, so that the order stays */
        const bt_graph_node *const owner = &graph->nodes[n - 1];
        for (size_t s = owner->n_slots; s > 0; s--) {
            const bt_graph_slot *const slot = &owner->slots[s - 1];
            slots->items[--slots->first[slot->variable_node + 1]] = slot;
        }
    }
    /* first[n + 1] is the start of node n now */
    memmove(slots->first, slots->first + 1, graph->n_nodes * sizeof *slots->first);
}

static bt_status make_slots(bt_ckpt *ckpt, bt_error *err) {
    const bt_graph *const graph = &ckpt->graph;
    ckpt_slots *const     slots = &ckpt->slots;
    size_t                n_slots = 0;
    for (size_t n = 0; n < graph->n_nodes; n++) {
        n_slots += graph->nodes[n].n_slots;
    }
    slots->first = bt_calloc_array(graph->n_nodes + 1, sizeof *slots->first);
    slots->items = bt_alloc_array(n_slots + 1, sizeof *slots->items);
    slots->tensor = bt_alloc_array(graph->n_nodes + 1, sizeof *slots->tensor);
    if (slots->first == NULL || slots->items == NULL || slots->tensor == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for the slots of %zu nodes", ckpt->path,
                       graph->n_nodes);
    }
    fill_slots(graph, slots);
    slots->first[graph->n_nodes] = n_slots;
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const char *const key = bt_graph_variable_key(graph, (int32_t)n);
        slots->tensor[n] = key == NULL ? -1 : bt_ckpt_find_tensor(ckpt, key);
    }
    return BT_OK;
}

/* The variable at node, and the slots that any optimizer keeps for it. */
static bt_status add_variable(bt_ckpt *ckpt, int32_t node, const char *canonical, bt_error *err) {
    const ckpt_slots *const slots = &ckpt->slots;
    if (node < 0 || slots->tensor[node] < 0) {
        return BT_OK;
    }
    BT_TRY(ckpt_add_place(ckpt, canonical, NULL, slots->tensor[node], false, err));
    for (size_t i = slots->first[node]; i < slots->first[node + 1]; i++) {
        const bt_graph_slot *const slot = slots->items[i];
        if (slots->tensor[slot->slot_node] >= 0) {
            BT_TRY(ckpt_add_place(ckpt, canonical, slot->slot_name, slots->tensor[slot->slot_node],
                                  false, err));
        }
    }
    return BT_OK;
}

static bt_status add_pair(bt_ckpt *ckpt, int32_t node, const char *canonical, const char *first,
                          const char *second, bt_error *err) {
    char              name[CKPT_NAME_MAX];
    const char *const parts[] = {first, second};
    for (size_t i = 0; i < BT_ARRAY_LEN(parts); i++) {
        (void)snprintf(name, sizeof name, "%s/%s", canonical, parts[i]);
        BT_TRY(add_variable(ckpt, child(ckpt, node, parts[i]), name, err));
    }
    return BT_OK;
}

static bt_status add_dense(bt_ckpt *ckpt, int32_t node, const char *canonical, bt_error *err) {
    return add_pair(ckpt, node, canonical, "kernel", "bias", err);
}

static bt_status add_norm(bt_ckpt *ckpt, int32_t node, const char *canonical, bt_error *err) {
    return add_pair(ckpt, node, canonical, "gamma", "beta", err);
}

typedef struct part_row {
    const char *path[2]; /* children below the layer */
    bool        is_norm;
    const char *canonical;
} part_row;

static const part_row layer_parts[] = {
    {{"_attention_layer", "_query_dense"}, false, "self_attention/query"},
    {{"_attention_layer", "_key_dense"}, false, "self_attention/key"},
    {{"_attention_layer", "_value_dense"}, false, "self_attention/value"},
    {{"_attention_layer", "_output_dense"}, false, "self_attention/attention_output"},
    {{"_attention_layer_norm", NULL}, true, "self_attention_layer_norm"},
    {{"_intermediate_dense", NULL}, false, "intermediate"},
    {{"_output_dense", NULL}, false, "output"},
    {{"_output_layer_norm", NULL}, true, "output_layer_norm"},
};

/* base: "transformer/layer_0", or of shared layers "transformer" */
static bt_status add_layer(bt_ckpt *ckpt, int32_t node, const char *base, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(layer_parts); i++) {
        const part_row *const part = &layer_parts[i];
        int32_t               at = child(ckpt, node, part->path[0]);
        if (part->path[1] != NULL) {
            at = child(ckpt, at, part->path[1]);
        }
        char name[CKPT_NAME_MAX];
        (void)snprintf(name, sizeof name, "%s/%s", base, part->canonical);
        BT_TRY(part->is_norm ? add_norm(ckpt, at, name, err) : add_dense(ckpt, at, name, err));
        BT_TRY(add_pair(ckpt, at, name, "lora_a", "lora_b", err));
    }
    return BT_OK;
}

static bt_status add_numbered_layer(bt_ckpt *ckpt, int32_t node, int64_t number, bt_error *err) {
    char base[CKPT_NAME_MAX / 2];
    (void)snprintf(base, sizeof base, "transformer/layer_%" PRId64, number);
    return add_layer(ckpt, node, base, err);
}

/* Only the Keras names of its variables tell ALBERT's one layer from a BERT of one layer. */
static bool is_shared_layer(const bt_ckpt *ckpt, int32_t node) {
    const int32_t query = child(ckpt, child(ckpt, node, "_attention_layer"), "_query_dense");
    const int32_t kernel = child(ckpt, query, "kernel");
    if (kernel < 0 || ckpt->graph.nodes[kernel].n_attributes == 0) {
        return false;
    }
    const char *const name = ckpt->graph.nodes[kernel].attributes[0].full_name;
    return name != NULL && bt_str_starts_with(name, "transformer/self_attention/");
}

static bt_status add_embeddings(bt_ckpt *ckpt, const int32_t nodes[3], bt_error *err) {
    static const char *const names[] = {"word_embeddings/embeddings",
                                        "position_embedding/embeddings",
                                        "type_embeddings/embeddings"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        BT_TRY(add_variable(ckpt, child(ckpt, nodes[i], "embeddings"), names[i], err));
    }
    return BT_OK;
}

static bt_status map_by_attributes(bt_ckpt *ckpt, int32_t encoder, bt_error *err) {
    const int32_t tables[] = {child(ckpt, encoder, "_embedding_layer"),
                              child(ckpt, encoder, "_position_embedding_layer"),
                              child(ckpt, encoder, "_type_embedding_layer")};
    BT_TRY(add_embeddings(ckpt, tables, err));
    BT_TRY(add_norm(ckpt, child(ckpt, encoder, "_embedding_norm_layer"), "embeddings/layer_norm",
                    err));
    BT_TRY(add_dense(ckpt, child(ckpt, encoder, "_embedding_projection"), "embedding_projection",
                     err));
    BT_TRY(add_dense(ckpt, child(ckpt, encoder, "_pooler_layer"), "pooler_transform", err));
    const int32_t layers = child(ckpt, encoder, "_transformer_layers");
    for (int64_t i = 0;; i++) {
        const int32_t layer = numbered_child(ckpt, layers, "", i);
        if (layer < 0) {
            return BT_OK;
        }
        BT_TRY(add_numbered_layer(ckpt, layer, i, err));
    }
}

/* layer_with_weights-K: the three tables, the norm, perhaps the projection, the layers, the pooler.
 */
static bt_status map_by_order(bt_ckpt *ckpt, int32_t encoder, bt_error *err) {
    static const char *const prefix = "layer_with_weights-";
    const int32_t            tables[] = {numbered_child(ckpt, encoder, prefix, 0),
                                         numbered_child(ckpt, encoder, prefix, 1),
                                         numbered_child(ckpt, encoder, prefix, 2)};
    BT_TRY(add_embeddings(ckpt, tables, err));
    BT_TRY(add_norm(ckpt, numbered_child(ckpt, encoder, prefix, 3), "embeddings/layer_norm", err));
    int64_t n_layers = 0;
    for (int64_t k = 4;; k++) {
        const int32_t node = numbered_child(ckpt, encoder, prefix, k);
        if (node < 0) {
            return BT_OK;
        }
        if (child(ckpt, node, "_attention_layer") >= 0) {
            BT_TRY(is_shared_layer(ckpt, node) ? add_layer(ckpt, node, "transformer", err)
                                               : add_numbered_layer(ckpt, node, n_layers, err));
            n_layers++;
        } else {
            BT_TRY(add_dense(ckpt, node,
                             n_layers == 0 ? "embedding_projection" : "pooler_transform", err));
        }
    }
}

/* Names of Model Garden's first Keras BERT (2019), and what they are called since (the BERT and the
 * BERT_V2 replacements of its checkpoint converter). A start, or a part after the layer. */
static const struct {
    const char *old;
    const char *now;
} old_names[] = {
    {"bert_model/embedding_postprocessor/type_embeddings", "type_embeddings/embeddings"},
    {"bert_model/embedding_postprocessor/position_embeddings", "position_embedding/embeddings"},
    {"bert_model/embedding_postprocessor/layer_norm", "embeddings/layer_norm"},
    {"bert_model/encoder/", "transformer/"},
    {"bert_model/", ""},
    {"self_attention_output/", "self_attention/attention_output/"},
};

/* The name as it is today, in place. */
static void modernise(char name[CKPT_NAME_MAX]) {
    for (size_t i = 0; i < BT_ARRAY_LEN(old_names); i++) {
        const size_t n_old = strlen(old_names[i].old);
        const size_t n_now = strlen(old_names[i].now);
        char *const  at = strstr(name, old_names[i].old);
        if (at == NULL || strlen(name) - n_old + n_now >= CKPT_NAME_MAX) {
            continue;
        }
        memmove(at + n_now, at + n_old, strlen(at + n_old) + 1);
        memcpy(at, old_names[i].now, n_now);
    }
}

/* The Keras name of the node's variable, without the V2 encoder's own name in front. */
static const char *keras_name(const bt_graph_node *node) {
    static const char *const prefixes[] = {"bert_encoder_v2/", "bert_encoder/",
                                           "bert_encoder_v2_1/"};
    const char              *full_name = NULL;
    for (size_t a = 0; a < node->n_attributes && full_name == NULL; a++) {
        if (bt_str_equal(node->attributes[a].name, "VARIABLE_VALUE")) {
            full_name = node->attributes[a].full_name;
        }
    }
    for (size_t p = 0; full_name != NULL && p < BT_ARRAY_LEN(prefixes); p++) {
        if (bt_str_starts_with(full_name, prefixes[p])) {
            full_name += strlen(prefixes[p]);
        }
    }
    return full_name;
}

/* Variables that are recognized by their Keras name: heads, and whole SavedModels, which have no
 * encoder child. */
static bt_status map_full_names(bt_ckpt *ckpt, bool heads_only, bt_error *err) {
    for (size_t n = 0; n < ckpt->graph.n_nodes; n++) {
        const char *const full_name = keras_name(&ckpt->graph.nodes[n]);
        char              name[CKPT_NAME_MAX];
        if (full_name == NULL) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s", full_name);
        if (bt_str_starts_with(name, "bert_model/")) {
            modernise(name);
        }
        const bool is_head = bt_str_starts_with(name, "sentence_prediction/") ||
                             bt_str_starts_with(name, "predictions/transform/");
        if (!heads_only || is_head) {
            BT_TRY(add_variable(ckpt, (int32_t)n, name, err));
        }
    }
    return BT_OK;
}

static bt_status map_graph(bt_ckpt *ckpt, bt_error *err) {
    const int32_t encoder = child(ckpt, 0, "encoder");
    if (encoder < 0) {
        BT_TRY(map_full_names(ckpt, false, err));
    } else if (child(ckpt, encoder, "_transformer_layers") >= 0) {
        BT_TRY(map_by_attributes(ckpt, encoder, err));
    } else {
        BT_TRY(map_by_order(ckpt, encoder, err));
    }
    BT_TRY(map_full_names(ckpt, true, err));
    BT_TRY(add_dense(ckpt, child(ckpt, 0, "sentence_prediction.pooler_dense"),
                     "sentence_prediction/pooler_dense", err));
    return add_dense(ckpt, child(ckpt, 0, "next_sentence.pooler_dense"),
                     "next_sentence/pooler_dense", err);
}

bt_status ckpt_map_graph(bt_ckpt *ckpt, bt_error *err) {
    bt_status rc = make_slots(ckpt, err);
    if (rc == BT_OK) {
        rc = map_graph(ckpt, err);
    }
    free_slots(&ckpt->slots);
    return rc;
}
