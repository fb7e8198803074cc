/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters to start from (task.model.lora.init): a folder of PEFT's over the weights of
 * task.init_checkpoint, with what else was trained with them. */
#include <inttypes.h>
#include <math.h>

#include "bt/base/log.h"
#include "weights_internal.h"

#define INIT "task.model.lora.init"

static bool is_trained(const bt_param *param) {
    return param->has_gradient;
}

static bt_status check(const bt_weights_use *use, const bt_ckpt *ckpt, const bt_ckpt_lora *lora,
                       bt_error *err) {
    const bt_lora_config *const ours = &use->model->encoder.lora;
    if (lora->rank != ours->rank ||
        fabs(lora->scale - (double)ours->scale) > 1e-6 * fabs(lora->scale)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       INIT " %s: its rank is %" PRId64 " and its scale %g, the model's %" PRId64
                            " and %g: set task.model.lora as its adapter_config.json",
                       bt_ckpt_path(ckpt), lora->rank, lora->scale, ours->rank,
                       (double)ours->scale);
    }
    BT_TRY(bt_ckpt_check_adapters(ckpt, &use->model->table, err));
    for (int64_t i = 0; i < use->model->table.n_params; i++) {
        const bt_param *const param = &use->model->table.params[i];
        if (param->is_adapter && bt_ckpt_find_variable(ckpt, param->name, NULL) < 0) {
            return BT_FAIL(err, BT_E_CONFIG,
                           INIT " %s: it has no adapter %s: set task.model.lora.targets as its "
                                "adapter_config.json",
                           bt_ckpt_path(ckpt), param->name);
        }
    }
    return BT_OK;
}

static bt_status read_all(const bt_weights_use *use, bt_ckpt *ckpt, const bt_weights_taker *taker,
                          bt_error *err) {
    int64_t n_loaded = 0;
    int64_t n_fresh = 0;
    for (int64_t i = 0; i < use->model->table.n_params; i++) {
        const bt_param *const param = &use->model->table.params[i];
        if (!is_trained(param)) {
            continue;
        }
        if (bt_ckpt_find_variable(ckpt, param->name, NULL) < 0) {
            n_fresh++;
            continue;
        }
        BT_TRY(bt_ckpt_read_weight(ckpt, param, NULL, taker->place(taker->context, i), err));
        BT_TRY(taker->take(taker->context, i, err));
        n_loaded++;
    }
    bt_log(BT_LOG_INFO, INIT " %s: loaded %" PRId64 ", missing %" PRId64 " of what is trained",
           bt_ckpt_path(ckpt), n_loaded, n_fresh);
    return BT_OK;
}

bt_status adapters_load(const bt_weights_use *use, const bt_weights_taker *taker, bt_error *err) {
    const char  *folder = "";
    bt_ckpt     *ckpt = NULL;
    bt_ckpt_lora lora = {0};
    if (use->model->encoder.lora.rank == 0) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str(use->conf, INIT, &folder, err));
    if (folder[0] == '\0') {
        return BT_OK;
    }
    bt_status rc = bt_ckpt_open_lora(folder, &ckpt, &lora, err);
    if (rc == BT_OK) {
        rc = check(use, ckpt, &lora, err);
    }
    if (rc == BT_OK && taker != NULL) {
        rc = read_all(use, ckpt, taker, err);
    }
    bt_ckpt_close(ckpt);
    return rc;
}
