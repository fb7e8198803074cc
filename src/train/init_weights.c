/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights that a run starts from: fresh ones by the init rules, then task.init_checkpoint into
 * the encoder. Every encoder variable must be in the checkpoint (spec/numerics.md section 8); what
 * was loaded, what stays fresh and what was left over is said, because a partial load is otherwise
 * never seen. */
#include "run.h"

#include <stdio.h>
#include <string.h>

#include "bt/ckpt.h"
#include "bt/fs.h"

static bool is_head_pooler(const train_run *run, int64_t i) {
    return i == run->model->head_pooler.kernel || i == run->model->head_pooler.bias;
}

/* Under which name the checkpoint holds parameter i; NULL: it is not asked for. *required: the
 * encoder. */
static const char *source_name(const train_run *run, int64_t i, bool *required) {
    const bt_param *const param = &run->model->table.params[i];
    *required = param->is_encoder;
    if (param->is_encoder) {
        return param->name;
    }
    if (run->plan.init_cls_pooler && is_head_pooler(run, i)) {
        *required = true;
        return i == run->model->head_pooler.kernel ? "next_sentence/pooler_dense/kernel"
                                                   : "next_sentence/pooler_dense/bias";
    }
    if (run->plan.init_head) {
        *required = true;
        return param->name;
    }
    return NULL;
}

static bt_ckpt_encoder wanted_encoder(const train_run *run) {
    switch (run->plan.encoder.type) {
    case BT_ENCODER_BERT:
    case BT_ENCODER_BERT_V2:
        return BT_CKPT_BERT;
    case BT_ENCODER_ALBERT:
        return BT_CKPT_ALBERT;
    }
    return BT_CKPT_NO_ENCODER;
}

/* Another kind of encoder would be missing every variable: say why instead. */
static bt_status check_encoder(const train_run *run, const bt_ckpt *ckpt, bt_error *err) {
    const bt_ckpt_encoder has = bt_ckpt_get_encoder(ckpt);
    const bt_ckpt_encoder wants = wanted_encoder(run);
    if (has == BT_CKPT_NO_ENCODER) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "task.init_checkpoint %s: no BERT encoder in it (%zu tensors, %s layout): "
                       "expected Google's "
                       "bert/..., Model Garden's encoder or Hugging Face's BERT names",
                       bt_ckpt_path(ckpt), bt_ckpt_n_tensors(ckpt),
                       bt_ckpt_layout_name(bt_ckpt_get_layout(ckpt)));
    }
    if (has != wants) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.init_checkpoint %s holds an encoder of %s, the model is %s: set "
                       "task.model.encoder.type to %s",
                       bt_ckpt_path(ckpt), bt_ckpt_encoder_name(has), bt_ckpt_encoder_name(wants),
                       has == BT_CKPT_ALBERT ? "albert" : "bert");
    }
    return BT_OK;
}

static bt_status fail_missing(const train_run *run, const bt_ckpt *ckpt, const char *first,
                              int64_t n_missing, bt_error *err) {
    const int64_t n_layers = bt_ckpt_n_layers(ckpt);
    if (bt_ckpt_get_encoder(ckpt) == BT_CKPT_BERT && n_layers < run->plan.encoder.num_layers) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "task.init_checkpoint %s has %" PRId64
                       " transformer layers, the model has %" PRId64
                       " (task.model.encoder.*.num_layers)",
                       bt_ckpt_path(ckpt), n_layers, run->plan.encoder.num_layers);
    }
    return BT_FAIL(err, BT_E_FORMAT,
                   "task.init_checkpoint %s: %" PRId64
                   " variables that must come from it are missing, the first is %s "
                   "(bert-checkpoint list shows what it holds)",
                   bt_ckpt_path(ckpt), n_missing, first);
}

/* All names and shapes, before anything is read or changed. */
static bt_status check_all(const train_run *run, bt_ckpt *ckpt, bt_error *err) {
    const bt_param_table *const table = &run->model->table;
    const char                 *first_missing = NULL;
    int64_t                     n_missing = 0;
    BT_TRY(check_encoder(run, ckpt, err));
    for (int64_t i = 0; i < table->n_params; i++) {
        bool              required = false;
        const char *const name = source_name(run, i, &required);
        if (name != NULL && bt_ckpt_find_variable(ckpt, name, NULL) < 0 && required) {
            first_missing = first_missing == NULL ? name : first_missing;
            n_missing++;
        }
    }
    if (n_missing > 0) {
        return fail_missing(run, ckpt, first_missing, n_missing, err);
    }
    for (int64_t i = 0; i < table->n_params; i++) {
        bool              required = false;
        const char *const name = source_name(run, i, &required);
        if (name != NULL) {
            bt_param wanted = table->params[i];
            wanted.name = name;
            const bt_status rc = bt_ckpt_check_variable(ckpt, &wanted, err);
            if (rc != BT_OK) {
                return bt_error_prefix(
                    err, "task.init_checkpoint %s does not fit the model (task.model)",
                    bt_ckpt_path(ckpt));
            }
        }
    }
    return BT_OK;
}

static void report_load(const train_run *run, bt_ckpt *ckpt, const bool *used, int64_t n_loaded) {
    const bt_param_table *const table = &run->model->table;
    const size_t                n_tensors = bt_ckpt_n_tensors(ckpt);
    int64_t                     n_left_over = 0;
    for (size_t i = 0; i < n_tensors; i++) {
        n_left_over += !used[i];
    }
    bt_log(BT_LOG_INFO,
           "init_checkpoint %s: loaded %" PRId64 ", missing %" PRId64 ", left over %" PRId64,
           bt_ckpt_path(ckpt), n_loaded, table->n_params - n_loaded, n_left_over);
    for (int64_t i = 0; i < table->n_params; i++) {
        bool              required = false;
        const char *const name = source_name(run, i, &required);
        bt_log(BT_LOG_DEBUG, "%s: %s", name != NULL ? "loaded" : "missing (fresh)",
               table->params[i].name);
    }
    for (size_t i = 0; i < n_tensors; i++) {
        if (!used[i]) {
            bt_log(BT_LOG_DEBUG, "left over: %s", bt_ckpt_tensor_at(ckpt, i).name);
        }
    }
}

static bt_status load_into(train_run *run, bt_ckpt *ckpt, float *flat, bt_error *err) {
    const bt_param_table *const table = &run->model->table;
    bool *const                 used = bt_calloc_array(bt_ckpt_n_tensors(ckpt) + 1, sizeof *used);
    if (used == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the report of %s", bt_ckpt_path(ckpt));
    }
    bt_status rc = BT_OK;
    int64_t   n_loaded = 0;
    for (int64_t i = 0; i < table->n_params; i++) {
        bool              required = false;
        const char *const name = source_name(run, i, &required);
        if (name == NULL) {
            continue;
        }
        bt_param wanted = table->params[i];
        wanted.name = name;
        BT_CHECK(bt_ckpt_read_variable(ckpt, &wanted, NULL, flat + wanted.offset, err));
        used[bt_ckpt_find_variable(ckpt, name, NULL)] = true;
        n_loaded++;
    }
    report_load(run, ckpt, used, n_loaded);
done:
    bt_free(used);
    return rc;
}

bt_status check_init_checkpoint(const train_run *run, bt_error *err) {
    if (run->config.init_checkpoint == NULL || run->config.init_checkpoint[0] == '\0') {
        return BT_OK;
    }
    bt_status rc = BT_OK;
    bt_ckpt  *ckpt = NULL;
    BT_CHECK(bt_ckpt_open(run->config.init_checkpoint, &ckpt, err));
    BT_CHECK(check_all(run, ckpt, err));
done:
    bt_ckpt_close(ckpt);
    return rc;
}

/* Drawing numbers for what the checkpoint then overwrites would take longer than reading it. */
static void init_fresh(const train_run *run, float *flat) {
    const bt_param_table *const table = &run->model->table;
    for (int64_t i = 0; i < table->n_params; i++) {
        bool required = false;
        if (run->config.init_checkpoint[0] == '\0' || source_name(run, i, &required) == NULL) {
            bt_model_init_param(run->model, run->config.seed, i, flat + table->params[i].offset);
        }
    }
}

bt_status init_weights(train_run *run, bt_error *err) {
    bt_status    rc = BT_OK;
    bt_ckpt     *ckpt = NULL;
    float *const flat = bt_calloc_array((size_t)run->model->table.n_elements, sizeof *flat);
    if (flat == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " parameters",
                       run->model->table.n_elements);
    }
    init_fresh(run, flat);
    if (run->config.init_checkpoint[0] != '\0') {
        BT_CHECK(bt_ckpt_open(run->config.init_checkpoint, &ckpt, err));
        BT_CHECK(check_all(run, ckpt, err));
        BT_CHECK(load_into(run, ckpt, flat, err));
    } else {
        bt_log(BT_LOG_WARNING, "no task.init_checkpoint: training starts from random weights");
    }
    BT_CHECK(bt_exec_write(run->exec, BT_STATE_PARAM, flat, err));
done:
    bt_ckpt_close(ckpt);
    bt_free(flat);
    return rc;
}
