/* SPDX-License-Identifier: Apache-2.0
 *
 * See exec_cpu_weights.h. */
#include "exec_cpu_weights.h"

enum { BESIDE_LAYERS = 2 };

int64_t exec_n_weights(const bt_model *model) {
    return model->encoder.num_layers * BT_N_LORA_TARGETS + BESIDE_LAYERS;
}

static exec_weight weight_of(const bt_model *model, bt_dense_index dense, int64_t layer,
                             bool reads_layer_input) {
    const bt_param *const params = model->table.params;
    exec_weight weight = {.dense = dense, .layer = layer, .reads_layer_input = reads_layer_input};
    if (dense.kernel >= 0) {
        weight.N = params[dense.bias].n_elements;
        weight.K = params[dense.kernel].n_elements / weight.N;
    }
    return weight;
}

exec_weight exec_weight_at(const bt_model *model, int64_t place) {
    const int64_t L = model->encoder.num_layers;
    const int64_t layer = place / BT_N_LORA_TARGETS;
    const int     which = (int)(place % BT_N_LORA_TARGETS);
    if (layer == L) {
        return which == 0 ? weight_of(model, model->embedding_projection, -1, false)
                          : weight_of(model, model->pooler_transform, L, false);
    }
    return weight_of(model, bt_model_dense(model, layer, (bt_lora_target)which), layer,
                     which <= BT_LORA_VALUE);
}
