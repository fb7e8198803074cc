/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters: what they are called, and adding them to the kernels that they belong to. */
#include <string.h>

#include "bt/model.h"

static const char *const target_names[BT_N_LORA_TARGETS] = {
    [BT_LORA_QUERY] = "query",
    [BT_LORA_KEY] = "key",
    [BT_LORA_VALUE] = "value",
    [BT_LORA_ATTENTION_OUTPUT] = "attention_output",
    [BT_LORA_INTERMEDIATE] = "intermediate",
    [BT_LORA_OUTPUT] = "output",
};

bt_status bt_lora_target_from_name(const char *name, bt_lora_target *out, bt_error *err) {
    for (int t = 0; t < BT_N_LORA_TARGETS; t++) {
        if (strcmp(target_names[t], name) == 0) {
            *out = (bt_lora_target)t;
            return BT_OK;
        }
    }
    return BT_FAIL(
        err, BT_E_CONFIG,
        "task.model.lora.targets: '%s' is not a kernel of a layer: name some of query, key, "
        "value, attention_output, intermediate, output",
        name);
}

static void merge(const bt_model *model, bt_dense_index dense, float *flat) {
    if (dense.lora_a < 0) {
        return;
    }
    const bt_param *const a = &model->table.params[dense.lora_a];
    const bt_param *const b = &model->table.params[dense.lora_b];
    float *const          kernel = flat + model->table.params[dense.kernel].offset;
    const int64_t         rank = a->dim[1];
    const int64_t         n_out = b->dim[1];
    for (int64_t i = 0; i < a->dim[0]; i++) {
        for (int64_t o = 0; o < n_out; o++) {
            double sum = 0;
            for (int64_t r = 0; r < rank; r++) {
                sum += (double)flat[a->offset + i * rank + r] *
                       (double)flat[b->offset + r * n_out + o];
            }
            kernel[i * n_out + o] =
                (float)((double)kernel[i * n_out + o] + (double)model->encoder.lora.scale * sum);
        }
    }
    memset(flat + b->offset, 0, (size_t)b->n_elements * sizeof *flat);
}

bt_dense_index bt_model_dense(const bt_model *model, int64_t layer, bt_lora_target which) {
    const bt_layer_index *const p = &model->layers[layer];
    const bt_dense_index        all[BT_N_LORA_TARGETS] = {
               [BT_LORA_QUERY] = p->query,
               [BT_LORA_KEY] = p->key,
               [BT_LORA_VALUE] = p->value,
               [BT_LORA_ATTENTION_OUTPUT] = p->attention_output,
               [BT_LORA_INTERMEDIATE] = p->intermediate,
               [BT_LORA_OUTPUT] = p->output,
    };
    return all[which];
}

void bt_model_merge_lora(const bt_model *model, float *flat) {
    for (int64_t l = 0; l < model->encoder.num_layers && model->encoder.lora.rank > 0; l++) {
        for (int t = 0; t < BT_N_LORA_TARGETS; t++) {
            merge(model, bt_model_dense(model, l, (bt_lora_target)t), flat);
        }
    }
}
