/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights that a run starts from: fresh ones by the init rules, then task.init_checkpoint into
 * the encoder (docs/model_garden/numerics.md section 8); what was loaded, what stays fresh and what
 * was left over is said, because a partial load is otherwise never seen. */
#include "init_weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"

static bool is_head_pooler(const train_run *run, int64_t i) {
    return i == run->model->head_pooler.kernel || i == run->model->head_pooler.bias;
}

/* Under which name the checkpoint holds parameter i; NULL: it is not asked for. */
static const char *wanted_name(const train_run *run, int64_t i) {
    const bt_param *const param = &run->model->table.params[i];
    if (!param->is_encoder && run->plan.init_cls_pooler && is_head_pooler(run, i)) {
        return i == run->model->head_pooler.kernel ? "next_sentence/pooler_dense/kernel"
                                                   : "next_sentence/pooler_dense/bias";
    }
    return param->is_encoder || run->plan.init_head ? param->name : NULL;
}

init_source init_source_of(const train_run *run, const bt_ckpt *ckpt, int64_t index) {
    const char *const name = ckpt == NULL ? NULL : wanted_name(run, index);
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
static bt_status describe_absent(const train_run *run, const bt_ckpt *ckpt, bt_str *out,
                                 bt_error *err) {
    static const char *const words[] = {[INIT_FRESH] = "fresh", [INIT_ZERO] = "at 0"};
    for (int64_t i = 0; i < run->model->table.n_params; i++) {
        const bt_param *const  param = &run->model->table.params[i];
        const init_source_kind kind = init_source_of(run, ckpt, i).kind;
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

static bt_status report_load(const train_run *run, bt_ckpt *ckpt, const bool *used,
                             int64_t n_loaded, bt_error *err) {
    static const char *const words[] = {
        [INIT_FRESH] = "missing (fresh)", [INIT_ZERO] = "missing (0)", [INIT_FILE] = "loaded"};
    const bt_param_table *const table = &run->model->table;
    const size_t                n_tensors = bt_ckpt_n_tensors(ckpt);
    bt_str                      absent = BT_STR_INIT;
    int64_t                     n_left_over = 0;
    for (size_t i = 0; i < n_tensors; i++) {
        n_left_over += !used[i];
    }
    const bt_status rc = describe_absent(run, ckpt, &absent, err);
    if (rc == BT_OK) {
        bt_log(BT_LOG_INFO,
               "init_checkpoint %s: loaded %" PRId64 ", missing %" PRId64 ", left over %" PRId64
               "%s",
               bt_ckpt_path(ckpt), n_loaded, table->n_params - n_loaded, n_left_over,
               bt_str_text(&absent));
    }
    bt_str_deinit(&absent);
    for (int64_t i = 0; i < table->n_params; i++) {
        bt_log(BT_LOG_DEBUG, "%s: %s", words[init_source_of(run, ckpt, i).kind],
               table->params[i].name);
    }
    for (size_t i = 0; i < n_tensors; i++) {
        if (!used[i]) {
            bt_log(BT_LOG_DEBUG, "left over: %s", bt_ckpt_tensor_at(ckpt, i).name);
        }
    }
    return rc;
}

static bt_status load_into(const train_run *run, bt_ckpt *ckpt, float *flat, bt_error *err) {
    const bt_param_table *const table = &run->model->table;
    bool *const                 used = bt_calloc_array(bt_ckpt_n_tensors(ckpt) + 1, sizeof *used);
    if (used == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the report of %s", bt_ckpt_path(ckpt));
    }
    bt_status rc = BT_OK;
    int64_t   n_loaded = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        const init_source source = init_source_of(run, ckpt, i);
        if (source.kind != INIT_FILE) {
            continue;
        }
        bt_param wanted = table->params[i];
        wanted.name = source.name;
        BT_CHECK(bt_ckpt_read_variable(ckpt, &wanted, NULL, flat + wanted.offset, err));
        used[bt_ckpt_find_variable(ckpt, source.name, NULL)] = true;
        n_loaded++;
    }
    BT_CHECK(report_load(run, ckpt, used, n_loaded, err));
    BT_CHECK(init_remark(run, ckpt, used, err));
done:
    bt_free(used);
    return rc;
}

/* Drawing numbers for what the checkpoint overwrites would take longer than reading it. */
static void init_others(const train_run *run, const bt_ckpt *ckpt, float *flat) {
    const bt_param_table *const table = &run->model->table;
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const param = &table->params[i];
        switch (init_source_of(run, ckpt, i).kind) {
        case INIT_FRESH:
            bt_model_init_param(run->model, run->config.seed, i, flat + param->offset);
            break;
        case INIT_ZERO:
            memset(flat + param->offset, 0, (size_t)param->n_elements * sizeof *flat);
            break;
        case INIT_FILE:
            break;
        }
    }
}

static bool has_checkpoint(const train_run *run) {
    return run->config.init_checkpoint != NULL && run->config.init_checkpoint[0] != '\0';
}

bt_status init_open(const char *path, bool is_of_module, bt_ckpt **out, bt_error *err) {
    const bt_status rc = bt_ckpt_open(path, out, err);
    return rc == BT_E_IO && !is_of_module ? bt_error_prefix(err, "task.init_checkpoint") : rc;
}

static bt_status open_init(const train_run *run, bt_ckpt **out, bt_error *err) {
    return init_open(run->config.init_checkpoint, run->config.hub_module_url[0] != '\0', out, err);
}

bt_status check_init_checkpoint(const train_run *run, bt_error *err) {
    if (!has_checkpoint(run)) {
        return BT_OK;
    }
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = NULL;
    BT_CHECK(open_init(run, &ckpt, err));
    BT_CHECK(init_check(run, ckpt, err));
done:
    bt_ckpt_close(ckpt);
    return rc;
}

bt_status init_weights(train_run *run, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_ckpt     *ckpt = NULL;
    float *const flat = bt_exec_params(run->exec); /* a copy would be a fifth buffer */
    BT_CHECK(module_prepare(run, err));            /* a recovery may come here first */
    BT_CHECK(bt_exec_settle(run->exec, err));
    if (has_checkpoint(run)) {
        BT_CHECK(open_init(run, &ckpt, err));
        BT_CHECK(init_check(run, ckpt, err));
        BT_CHECK(load_into(run, ckpt, flat, err));
    } else {
        bt_log(BT_LOG_WARNING, "no task.init_checkpoint: training starts from random weights");
    }
    init_others(run, ckpt, flat);
    BT_CHECK(bt_exec_changed(run->exec, err));
done:
    bt_ckpt_close(ckpt);
    return rc;
}
