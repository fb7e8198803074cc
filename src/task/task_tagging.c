/* SPDX-License-Identifier: Apache-2.0
 *
 * tagging: a class for every word (named entities, parts of speech). A word is judged by its first
 * piece: the other pieces and padding have labels below 0, which neither loss nor metrics see.
 * Precision, recall and F1 are those of entities over sentences; Model Garden takes a whole batch
 * as one sentence, which runtime.bug_compatible reproduces. spec/numerics.md sections 2 and 11. */
#include <stdio.h>

#include "task_internal.h"

/* ---- head ------------------------------------------------------------------------------------ */

typedef struct head_keys {
    float dropout;
    float initializer_range;
} head_keys;

static const bt_conf_field head_fields[] = {
    {"head_dropout", BT_CONF_FIELD_F32, offsetof(head_keys, dropout)},
    {"head_initializer_range", BT_CONF_FIELD_F32, offsetof(head_keys, initializer_range)},
};

static bt_status read_head(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    head_keys keys = {0};
    BT_TRY(bt_conf_bind(conf, "task.model", head_fields, BT_ARRAY_LEN(head_fields), &keys, err));
    BT_TRY(bt_conf_get_bool(conf, "task.init_head", &plan->init_head, err));
    BT_TRY(task_read_labels(conf, "task.class_names", true, &plan->labels, err));
    if (plan->labels.n == 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.class_names is empty: name the tags in the order of their ids, or set "
                       "task.meta_data_path to the meta data of create-finetuning-data");
    }
    plan->head = (bt_head_config){.kind = BT_HEAD_TOKENS,
                                  .loss = BT_LOSS_TOKENS,
                                  .num_classes = plan->labels.n,
                                  .dropout_rate = keys.dropout,
                                  .initializer_range = keys.initializer_range};
    return BT_OK;
}

/* ---- records --------------------------------------------------------------------------------- */

static bt_status read_schema(const bt_conf *conf, const char *section, const bt_task_plan *plan,
                             bt_data_schema *schema, bt_error *err) {
    char path[128];
    bool is_used = false;
    BT_TRY(task_begin_schema(conf, section, plan, schema, &is_used, err));
    (void)snprintf(path, sizeof path, "%s.include_sentence_id", section);
    BT_TRY(bt_conf_get_bool(conf, path, &schema->include_sentence_id, err));
    schema->label_kind = BT_LABEL_TOKENS;
    schema->label_field = "label_ids";
    schema->n_classes = plan->labels.n;
    return BT_OK;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static void plan_metrics(bt_task_plan *plan) {
    static const char *const names[] = {"f1", "precision", "recall", "accuracy"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        plan->metric_names[i] = names[i];
    }
    plan->n_train_metrics = 0; /* as Model Garden */
    plan->n_validation_metrics = BT_ARRAY_LEN(names);
    plan->metric_unit = BT_METRIC_OF_TOKENS;
}

static bt_status plan_tagging(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    *plan = (bt_task_plan){0};
    BT_TRY(task_read_encoder(conf, &plan->encoder, err));
    BT_TRY(read_head(conf, plan, err));
    BT_TRY(task_read_class_rule(conf, plan, err));
    if (plan->class_weights.n > 0 && (int64_t)plan->class_weights.n != plan->labels.n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.class_weights: %zu weights for the %" PRId64 " classes of %s",
                       plan->class_weights.n, plan->labels.n, plan->labels.source);
    }
    BT_TRY(read_schema(conf, "task.train_data", plan, &plan->train_schema, err));
    BT_TRY(read_schema(conf, "task.validation_data", plan, &plan->validation_schema, err));
    plan->prediction_schema = plan->validation_schema; /* labels tell which tokens are words */
    plan_metrics(plan);
    return BT_OK;
}

const bt_task bt_task_tagging = {
    .name = "tagging",
    .plan = plan_tagging,
    .reports_validation_loss = true,
    .prediction = &task_output_tags,
};
