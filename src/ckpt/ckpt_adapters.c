/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters in a file: a model without them would compute something else, and no variable of it
 * would be missing. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

#include "ckpt_internal.h"

bt_status bt_ckpt_check_adapters(const bt_ckpt *ckpt, const bt_param_table *table, bt_error *err) {
    int64_t n_known = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        n_known += param->is_adapter && bt_str_ends_with(param->name, CKPT_ADAPTER_END) &&
                   ckpt_find_place(ckpt, param->name, NULL) != NULL;
    }
    return n_known == ckpt->n_adapters
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "%s: it has adapters (LoRA) of %" PRId64
                         " kernels, of which the model has "
                         "%" PRId64 ": set task.model.lora as the run that trained them had it "
                         "(params_ours.yaml beside its checkpoints)",
                         ckpt->path, ckpt->n_adapters, n_known);
}

enum { CONFIG_MAX_BYTES = 1 << 20 };

/* Keys that make other adapters of it, unless they are false, null or empty. */
static const char *const other_kinds[] = {
    "use_dora",      "fan_in_fan_out",          "lora_bias",         "use_qalora",
    "use_bdlora",    "alora_invocation_tokens", "layer_replication", "rank_pattern",
    "alpha_pattern", "trainable_token_indices", "target_parameters"};

static bool is_nothing(const json_t *value) {
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static bt_status read_lora(const char *path, const json_t *root, bt_ckpt_lora *out, bt_error *err) {
    const char *const type = json_string_value(json_object_get(root, "peft_type"));
    const char *const bias = json_string_value(json_object_get(root, "bias"));
    const double      alpha = json_number_value(json_object_get(root, "lora_alpha"));
    out->rank = json_integer_value(json_object_get(root, "r"));
    if (!bt_str_equal(type, "LORA") || (bias != NULL && !bt_str_equal(bias, "none"))) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: adapters of the type %s with bias %s: only LORA with none is read",
                       path, type != NULL ? type : "null", bias != NULL ? bias : "none");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(other_kinds); i++) {
        if (!is_nothing(json_object_get(root, other_kinds[i]))) {
            return BT_FAIL(err, BT_E_UNSUPPORTED,
                           "%s: %s makes other adapters of it than those that are computed here",
                           path, other_kinds[i]);
        }
    }
    if (out->rank < 1) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: r is not a number of at least 1", path);
    }
    const bool by_root = json_is_true(json_object_get(root, "use_rslora"));
    out->scale = alpha / (by_root ? sqrt((double)out->rank) : (double)out->rank);
    return BT_OK;
}

bt_status bt_ckpt_open_lora(const char *folder, bt_ckpt **out, bt_ckpt_lora *lora, bt_error *err) {
    bt_status rc = BT_OK;
    char     *config = NULL;
    char     *weights = NULL;
    json_t   *root = NULL;
    BT_CHECK(bt_fs_join(folder, "adapter_config.json", &config, err));
    BT_CHECK(bt_fs_join(folder, "adapter_model.safetensors", &weights, err));
    BT_CHECK(bt_fs_read_json(config, CONFIG_MAX_BYTES, 0, &root, err));
    BT_CHECK(read_lora(config, root, lora, err));
    BT_CHECK(bt_ckpt_open(weights, out, err));
done:
    json_decref(root);
    bt_free(config);
    bt_free(weights);
    return rc;
}
