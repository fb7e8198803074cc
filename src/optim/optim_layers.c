/* SPDX-License-Identifier: Apache-2.0
 *
 * Rates of their own: the deeper a layer lies below the head, the slower it learns, as BEiT's and
 * ELECTRA's fine-tuning have it, and the head at a multiple of the rate. A parameter's rate is the
 * schedule's times its multiplier, wherever the formula of its optimizer reads the rate: weight
 * decay too, as in a parameter group of PyTorch. */
#include <inttypes.h>
#include <math.h>

#include "optim_internal.h"

#define CONFIG "trainer.optimizer_config"

static int32_t top_depth(const bt_param_table *table) {
    int32_t top = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        top = table->params[i].depth > top ? table->params[i].depth : top;
    }
    return top;
}

static bool is_of_head(const bt_param *param) {
    return !param->is_encoder && !param->is_adapter;
}

bt_status optim_read_multipliers(bt_optim *optim, const bt_conf *conf, bt_error *err) {
    const bt_param_table *const table = optim->table;
    const int32_t               top = top_depth(table);
    double                      decay = 1;
    double                      head = 1;
    BT_TRY(bt_conf_get_f64(conf, CONFIG ".layer_decay", &decay, err));
    BT_TRY(bt_conf_get_f64(conf, CONFIG ".head_multiplier", &head, err));
    if (decay != 1 && table->keras.encoder == BT_ENCODER_ALBERT) {
        return BT_FAIL(err, BT_E_CONFIG,
                       CONFIG
                       ".layer_decay: %g: ALBERT's layers share one set of parameters, which "
                       "has one rate: leave it out",
                       decay);
    }
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        optim->params[i].multiplier =
            (float)(pow(decay, top - param->depth) * (is_of_head(param) ? head : 1));
    }
    return BT_OK;
}

float bt_optim_multiplier(const bt_optim *optim, int64_t param) {
    BT_ASSERT(param >= 0 && param < optim->table->n_params);
    return optim->params[param].multiplier;
}

/* What a message calls the part of the model that a parameter is of. */
static bt_status append_part(bt_str *text, const bt_param *param, int32_t top, bt_error *err) {
    if (is_of_head(param)) {
        return bt_str_append(text, "head", err);
    }
    return param->depth == 0     ? bt_str_append(text, "embeddings", err)
           : param->depth == top ? bt_str_append(text, "pooler", err)
                                 : bt_str_appendf(text, err, "layers.%" PRId32, param->depth - 1);
}

bt_status bt_optim_append_multipliers(const bt_optim *optim, bt_str *text, bt_error *err) {
    const bt_param_table *const table = optim->table;
    const int32_t               top = top_depth(table);
    const bt_param             *last = NULL; /* that was named */
    bool                        is_plain = true;
    for (int64_t i = 0; i < table->n_params; i++) {
        is_plain = is_plain && optim->params[i].multiplier == 1.0F;
    }
    for (int64_t i = 0; !is_plain && i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        if (!param->has_gradient || (last != NULL && last->depth == param->depth &&
                                     is_of_head(last) == is_of_head(param))) {
            continue;
        }
        BT_TRY(last != NULL ? bt_str_append(text, ", ", err) : BT_OK);
        BT_TRY(append_part(text, param, top, err));
        BT_TRY(bt_str_appendf(text, err, " %.4g", (double)optim->params[i].multiplier));
        last = param;
    }
    return BT_OK;
}
