/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters in a file: a model without them would compute something else, and no variable of it
 * would be missing. */
#include <inttypes.h>

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
