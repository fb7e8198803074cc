/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights that a run starts from: fresh ones by the init rules, then task.init_checkpoint into
 * the encoder (docs/model_garden/numerics.md section 8); what was loaded, what stays fresh and what
 * was left over is said, because a partial load is otherwise never seen. */
#include "weights_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"

static bool is_head_pooler(const bt_weights_use *use, int64_t i) {
    return i == use->model->head_pooler.kernel || i == use->model->head_pooler.bias;
}

/* Under which name the checkpoint holds parameter i; NULL: it is not asked for. */
static const char *wanted_name(const bt_weights_use *use, const bt_ckpt *ckpt, int64_t i) {
    const bt_param *const param = &use->model->table.params[i];
    if (!param->is_encoder && use->plan->init_cls_pooler && is_head_pooler(use, i)) {
        return i == use->model->head_pooler.kernel ? "next_sentence/pooler_dense/kernel"
                                                   : "next_sentence/pooler_dense/bias";
    }
    if (param->is_adapter) { /* fresh beside weights of an encoder alone */
        return bt_ckpt_find_variable(ckpt, param->name, NULL) >= 0 ? param->name : NULL;
    }
    return param->is_encoder || use->plan->init_head ? param->name : NULL;
}

init_source init_source_of(const bt_weights_use *use, const bt_ckpt *ckpt, int64_t index) {
    const char *const name = ckpt == NULL ? NULL : wanted_name(use, ckpt, index);
    if (name == NULL) {
        return (init_source){.kind = INIT_FRESH};
    }
    if (bt_ckpt_find_variable(ckpt, name, NULL) < 0) {
        switch (bt_ckpt_why_absent(ckpt, name)) {
        case BT_CKPT_NEEDED:
            break;
        case BT_CKPT_ZERO:
            return (init_source){.kind = INIT_ZERO};
        case BT_CKPT_FRESH:
            return (init_source){.kind = INIT_FRESH};
        }
    }
    return (init_source){.kind = INIT_FILE, .name = name};
}

/* Encoder variables that a file of this kind does not hold: "; NAME starts at 0, NAME fresh". */
static bt_status describe_absent(const bt_weights_use *use, const bt_ckpt *ckpt, bt_str *out,
                                 bt_error *err) {
    static const char *const words[] = {[INIT_FRESH] = "fresh", [INIT_ZERO] = "at 0"};
    for (int64_t i = 0; i < use->model->table.n_params; i++) {
        const bt_param *const  param = &use->model->table.params[i];
        const init_source_kind kind = init_source_of(use, ckpt, i).kind;
        if (param->is_encoder && kind != INIT_FILE) {
            BT_TRY(bt_str_appendf(out, err, "%s%s starts %s", out->len == 0 ? "; " : ", ",
                                  param->name, words[kind]));
        }
    }
    if (out->len > 0) {
        BT_TRY(bt_str_appendf(out, err, ": %s has none",
                              bt_ckpt_get_encoder(ckpt) == BT_CKPT_DISTILBERT
                                  ? bt_ckpt_encoder_name(BT_CKPT_DISTILBERT)
                                  : "the file"));
    }
    return BT_OK;
}

static bt_status report_load(const bt_weights_use *use, bt_ckpt *ckpt, const bool *used,
                             int64_t n_loaded, bt_error *err) {
    static const char *const words[] = {
        [INIT_FRESH] = "missing (fresh)", [INIT_ZERO] = "missing (0)", [INIT_FILE] = "loaded"};
    const bt_param_table *const table = &use->model->table;
    const size_t                n_tensors = bt_ckpt_n_tensors(ckpt);
    bt_str                      absent = BT_STR_INIT;
    int64_t                     n_left_over = 0;
    for (size_t i = 0; i < n_tensors; i++) {
        n_left_over += !used[i];
    }
    const bt_status rc = describe_absent(use, ckpt, &absent, err);
    if (rc == BT_OK) {
        bt_log(BT_LOG_INFO,
               "init_checkpoint %s: loaded %" PRId64 ", missing %" PRId64 ", left over %" PRId64
               "%s",
               bt_ckpt_path(ckpt), n_loaded, table->n_params - n_loaded, n_left_over,
               bt_str_text(&absent));
    }
    bt_str_deinit(&absent);
    for (int64_t i = 0; i < table->n_params; i++) {
        bt_log(BT_LOG_DEBUG, "%s: %s", words[init_source_of(use, ckpt, i).kind],
               table->params[i].name);
    }
    for (size_t i = 0; i < n_tensors; i++) {
        if (!used[i]) {
            bt_log(BT_LOG_DEBUG, "left over: %s", bt_ckpt_tensor_at(ckpt, i).name);
        }
    }
    return rc;
}

static bt_status load(const bt_weights_use *use, bt_ckpt *ckpt, const bt_weights_taker *taker,
                      bt_error *err) {
    const bt_param_table *const table = &use->model->table;
    bool *const                 used = bt_calloc_array(bt_ckpt_n_tensors(ckpt) + 1, sizeof *used);
    if (used == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the report of %s", bt_ckpt_path(ckpt));
    }
    bt_status rc = BT_OK;
    int64_t   n_loaded = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        const init_source source = init_source_of(use, ckpt, i);
        if (source.kind != INIT_FILE) {
            continue;
        }
        bt_param wanted = table->params[i];
        wanted.name = source.name;
        BT_CHECK(bt_ckpt_read_weight(ckpt, &wanted, NULL, taker->place(taker->context, i), err));
        BT_CHECK(taker->take(taker->context, i, err));
        used[bt_ckpt_find_variable(ckpt, source.name, NULL)] = true;
        n_loaded++;
    }
    BT_CHECK(report_load(use, ckpt, used, n_loaded, err));
    BT_CHECK(init_remark(use, ckpt, used, err));
done:
    bt_free(used);
    return rc;
}

/* Drawing numbers for what the checkpoint overwrites would take longer than reading it. */
static bt_status init_others(const bt_weights_use *use, const bt_ckpt *ckpt, uint64_t seed,
                             const bt_weights_taker *taker, bt_error *err) {
    const bt_param_table *const table = &use->model->table;
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const  param = &table->params[i];
        const init_source_kind kind = init_source_of(use, ckpt, i).kind;
        if (kind == INIT_FILE) {
            continue;
        }
        float *const values = taker->place(taker->context, i);
        if (kind == INIT_FRESH) {
            bt_model_init_param(use->model, seed, i, values);
        } else {
            memset(values, 0, (size_t)param->n_elements * sizeof *values);
        }
        BT_TRY(taker->take(taker->context, i, err));
    }
    return BT_OK;
}

/* Keys of task; dual encoders have them as well. */
static const bt_conf_field fields[] = {
    {"init_checkpoint", BT_CONF_FIELD_STR, offsetof(bt_weights, init_checkpoint)},
    {"hub_module_url", BT_CONF_FIELD_STR, offsetof(bt_weights, hub_module_url)},
    {"hub_module_sha256", BT_CONF_FIELD_STR, offsetof(bt_weights, hub_module_sha256)},
};

bt_status bt_weights_create(const bt_conf *conf, bool offline, bt_weights **out, bt_error *err) {
    bt_weights *const w = bt_calloc_array(1, sizeof *w);
    if (w == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the weights to start from");
    }
    w->init_checkpoint = w->hub_module_url = w->hub_module_sha256 = "";
    w->offline = offline;
    *out = w;
    return bt_conf_bind(conf, "task", fields, BT_ARRAY_LEN(fields), w, err);
}

void bt_weights_free(bt_weights *w) {
    if (w != NULL) {
        bt_ckpt_module_deinit(&w->module);
        bt_free(w->module_folder);
        bt_free(w);
    }
}

const char *bt_weights_path(const bt_weights *w) {
    return w->init_checkpoint;
}

bt_status init_open(const char *path, bool is_of_module, bt_ckpt **out, bt_error *err) {
    const bt_status rc = bt_ckpt_open(path, out, err);
    return rc == BT_E_IO && !is_of_module ? bt_error_prefix(err, "task.init_checkpoint") : rc;
}

/* And checks that it fits. */
static bt_status open_fitting(const bt_weights *w, const bt_weights_use *use, bt_ckpt **out,
                              bt_error *err) {
    BT_TRY(init_open(w->init_checkpoint, w->hub_module_url[0] != '\0', out, err));
    return init_check(use, *out, err);
}

bt_status bt_weights_check(const bt_weights *w, const bt_weights_use *use, bt_error *err) {
    bt_ckpt *ckpt = NULL;
    BT_TRY(adapters_load(use, NULL, err));
    if (w->init_checkpoint[0] == '\0') {
        return BT_OK;
    }
    const bt_status rc = open_fitting(w, use, &ckpt, err);
    bt_ckpt_close(ckpt);
    return rc;
}

bt_status bt_weights_load(const bt_weights *w, const bt_weights_use *use, uint64_t seed,
                          const bt_weights_taker *taker, bt_error *err) {
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = NULL;
    if (w->init_checkpoint[0] != '\0') {
        BT_CHECK(open_fitting(w, use, &ckpt, err));
        BT_CHECK(load(use, ckpt, taker, err));
    } else {
        bt_log(BT_LOG_WARNING, "no task.init_checkpoint: training starts from random weights");
    }
    BT_CHECK(init_others(use, ckpt, seed, taker, err));
    BT_CHECK(adapters_load(use, taker, err)); /* over what the checkpoint held */
done:
    bt_ckpt_close(ckpt);
    return rc;
}
