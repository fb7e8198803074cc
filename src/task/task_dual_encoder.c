/* SPDX-License-Identifier: Apache-2.0
 *
 * dual_encoder: sentence vectors, trained on pairs so that each left side finds its right side
 * among those of its batch (retrieval). Configuration -> model description, record schema, metrics.
 * docs/model_garden/numerics.md sections 2 and 11. Margin and scale count in evaluation too, as in
 * Model Garden.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "task_internal.h"

#define MODEL "task.model"

static const bt_conf_field head_fields[] = {
    {"normalize", BT_CONF_FIELD_BOOL, offsetof(bt_head_config, normalize)},
    {"bidirectional", BT_CONF_FIELD_BOOL, offsetof(bt_head_config, bidirectional)},
    {"logit_scale", BT_CONF_FIELD_F32, offsetof(bt_head_config, logit_scale)},
    {"logit_margin", BT_CONF_FIELD_F32, offsetof(bt_head_config, logit_margin)},
};

static bt_pooling find_pooling(const char *word) {
    static const struct {
        const char *word;
        bt_pooling  pooling;
    } rows[] = {{"cls", BT_POOLING_CLS}, {"mean", BT_POOLING_MEAN}, {"max", BT_POOLING_MAX}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].word, word) == 0) {
            return rows[i].pooling;
        }
    }
    return BT_POOLING_POOLER; /* the schema lets no other word pass */
}

static bt_status read_head(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    const char *word = NULL;
    plan->head = (bt_head_config){.kind = BT_HEAD_POOLED_OUTPUT, .loss = BT_LOSS_RANKING};
    BT_TRY(bt_conf_get_str(conf, MODEL ".pooling", &word, err));
    plan->head.pooling = find_pooling(word);
    return bt_conf_bind(conf, MODEL, head_fields, BT_ARRAY_LEN(head_fields), &plan->head, err);
}

typedef struct data_keys {
    bt_conf_str_list left_text_fields;
    bt_conf_str_list right_text_fields;
} data_keys;

static const bt_conf_field data_fields[] = {
    {"left_text_fields", BT_CONF_FIELD_STR_LIST, offsetof(data_keys, left_text_fields)},
    {"right_text_fields", BT_CONF_FIELD_STR_LIST, offsetof(data_keys, right_text_fields)},
};

/* Raw text by the rules of Model Garden's loader, where a vocabulary is named; tables also with
 * that of a module. Else n_fields 0. */
static bt_status read_text(const bt_conf *conf, const char *section, bt_data_text *text,
                           bt_error *err) {
    data_keys keys = {0};
    BT_TRY(task_read_vocab_keys(conf, section, text, err));
    BT_TRY(bt_conf_bind(conf, section, data_fields, BT_ARRAY_LEN(data_fields), &keys, err));
    const bool has_vocab = text->vocab_file[0] != '\0';
    if (!has_vocab && !task_may_have_vocab(conf)) {
        *text = (bt_data_text){0};
        return BT_OK;
    }
    text->tables_only = !has_vocab;
    BT_TRY(task_read_rules(conf, section, &text->rules, err));
    text->fields = keys.left_text_fields.items;
    text->n_fields = keys.left_text_fields.n;
    text->key = "left_text_fields";
    text->right_fields = keys.right_text_fields.items;
    text->n_right_fields = keys.right_text_fields.n;
    text->right_key = "right_text_fields";
    return BT_OK;
}

static bt_status read_schema(const bt_conf *conf, const char *section, const bt_task_plan *plan,
                             bt_data_schema *schema, bt_error *err) {
    bool is_used = false;
    BT_TRY(task_begin_schema(conf, section, plan, schema, &is_used, err));
    schema->pairing = BT_PAIRING_ROWS;
    schema->label_kind = BT_LABEL_NONE;
    return read_text(conf, section, &schema->text, err);
}

static void add_name(bt_task_plan *plan, const char *name) {
    plan->metric_names[plan->n_validation_metrics++] = name;
}

/* Into the next place of plan->metric_text. */
static void add_numbered(bt_task_plan *plan, const char *stem, int64_t k) {
    char *const text = plan->metric_text + plan->n_validation_metrics * BT_METRIC_NAME_MAX;
    (void)snprintf(text, BT_METRIC_NAME_MAX, "%s%" PRId64, stem, k);
    add_name(plan, text);
}

/* Model Garden's, in its order, in training too; and in validation mean reciprocal ranks. */
static bt_status plan_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    const size_t     sides = plan->head.bidirectional ? 2 : 1;
    const size_t     most = task_top_k_most(plan->head.bidirectional);
    bt_conf_i64_list top_k = {0};
    BT_TRY(bt_conf_get_i64_list(conf, MODEL ".eval_top_k", &top_k, err));
    plan->metric_text = bt_calloc_array(BT_METRIC_MAX, BT_METRIC_NAME_MAX);
    if (plan->metric_text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of metrics");
    }
    add_name(plan, "batch_size_per_core");
    for (size_t i = 0; i < top_k.n && i < most; i++) {
        add_numbered(plan, "left_recall_at_", top_k.items[i]);
        if (sides == 2) {
            add_numbered(plan, "right_recall_at_", top_k.items[i]);
        }
    }
    plan->n_train_metrics = plan->n_validation_metrics;
    add_name(plan, "left_mrr");
    if (sides == 2) {
        add_name(plan, "right_mrr");
    }
    plan->n_garden_metrics = plan->n_validation_metrics;
    return BT_OK;
}

static bt_status name_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    BT_TRY(bt_conf_get_bool(conf, MODEL ".bidirectional", &plan->head.bidirectional, err));
    return plan_metrics(conf, plan, err);
}

static void plan_prediction(bt_task_plan *plan) {
    plan->prediction_schema = plan->validation_schema;
    plan->prediction_schema.pairing = BT_PAIRING_CHAIN;
    plan->prediction_schema.include_example_id = true;
}

static bt_status plan_dual_encoder(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    *plan = (bt_task_plan){0};
    BT_TRY(task_read_encoder(conf, &plan->encoder, err));
    BT_TRY(read_head(conf, plan, err));
    BT_TRY(read_schema(conf, "task.train_data", plan, &plan->train_schema, err));
    BT_TRY(read_schema(conf, "task.validation_data", plan, &plan->validation_schema, err));
    BT_TRY(bt_task_check_same_case(conf, plan, err));
    plan_prediction(plan);
    return plan_metrics(conf, plan, err);
}

const bt_task bt_task_dual_encoder = {
    .name = "dual_encoder",
    .plan = plan_dual_encoder,
    .name_metrics = name_metrics,
    .reports_validation_loss = true,
    .prediction = &task_output_vectors,
};
