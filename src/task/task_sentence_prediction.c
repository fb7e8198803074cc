/* SPDX-License-Identifier: Apache-2.0
 *
 * sentence_prediction: classify sentences or pairs of them, or predict a score (num_classes 1).
 * Configuration -> model description, record schema, metrics. Model Garden's defaults; its defects
 * only under runtime.bug_compatible. spec/numerics.md sections 2 and 11, spec/config.md 5.6. */
#include <stdio.h>
#include <string.h>

#include "task_internal.h"

/* ---- head ---------------------------------------------------------------------------------------
 */

static bt_loss_kind choose_loss(int64_t num_classes, bool bug_compatible) {
    if (num_classes > 1) {
        return BT_LOSS_SOFTMAX;
    }
    return bug_compatible ? BT_LOSS_MSE_ALL_PAIRS : BT_LOSS_MSE;
}

static bt_status read_head(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    bt_head_config *const head = &plan->head;
    bool                  use_encoder_pooler = false;
    bool                  bug_compatible = false;
    double                dropout = 0.0;
    BT_TRY(bt_conf_get_i64(conf, "task.model.num_classes", &head->num_classes, err));
    if (head->num_classes < 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.model.num_classes: expected a number >= 1 (1 = regression), got "
                       "%" PRId64,
                       head->num_classes);
    }
    BT_TRY(bt_conf_get_bool(conf, "task.model.use_encoder_pooler", &use_encoder_pooler, err));
    BT_TRY(bt_conf_get_bool(conf, "runtime.bug_compatible", &bug_compatible, err));
    BT_TRY(bt_conf_get_f64(conf, "task.model.head_dropout", &dropout, err));
    BT_TRY(bt_conf_get_bool(conf, "task.init_cls_pooler", &plan->init_cls_pooler, err));
    BT_TRY(bt_conf_get_bool(conf, "task.init_head", &plan->init_head, err));
    if (plan->init_cls_pooler && use_encoder_pooler) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.init_cls_pooler is true, but with task.model.use_encoder_pooler true "
                       "the head has no pooler of its own to load; set one of them to false");
    }
    head->kind = use_encoder_pooler ? BT_HEAD_ENCODER_POOLER : BT_HEAD_POOLER_DENSE;
    head->loss = choose_loss(head->num_classes, bug_compatible);
    head->dropout_rate = (float)dropout;
    head->initializer_range = plan->encoder.initializer_range;
    return BT_OK;
}

/* ---- records
 * -------------------------------------------------------------------------------------
 */

typedef struct data_keys {
    const char      *label_field;
    const char      *label_type;
    bool             include_example_id;
    bt_conf_str_list text_fields;
} data_keys;

static const bt_conf_field data_fields[] = {
    {"label_field", BT_CONF_FIELD_STR, offsetof(data_keys, label_field)},
    {"label_type", BT_CONF_FIELD_STR, offsetof(data_keys, label_type)},
    {"include_example_id", BT_CONF_FIELD_BOOL, offsetof(data_keys, include_example_id)},
    {"text_fields", BT_CONF_FIELD_STR_LIST, offsetof(data_keys, text_fields)},
};

/* The experiment that reads raw text in Model Garden too, with tensorflow-text's tokenizer. */
static bool is_text_experiment(const bt_conf *conf, const char *section) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s.preprocessing_hub_module_url", section);
    return bt_conf_has(conf, path);
}

static bt_status check_section(const bt_conf *conf, const char *section, const data_keys *keys,
                               const bt_task_plan *plan, bt_error *err) {
    if (is_text_experiment(conf, section) && keys->text_fields.n == 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.text_fields is empty: name the features or columns that hold the text",
                       section);
    }
    const bool is_regression = plan->head.num_classes == 1;
    if (is_regression != (strcmp(keys->label_type, "float") == 0)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.label_type is '%s', but task.model.num_classes is %" PRId64
                       ": %s needs label_type '%s'",
                       section, keys->label_type, plan->head.num_classes,
                       is_regression ? "regression" : "classification",
                       is_regression ? "float" : "int");
    }
    return BT_OK;
}

/* With raw text the label's default name is that of Model Garden's text data. */
static const char *label_field(const bt_conf *conf, const char *section, const data_keys *keys) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s.label_field", section);
    return keys->text_fields.n > 0 && !bt_conf_is_changed(conf, path) ? "label" : keys->label_field;
}

static bt_status read_schema(const bt_conf *conf, const char *section, const bt_task_plan *plan,
                             bt_data_schema *schema, bt_error *err) {
    data_keys           keys = {0};
    bt_data_text *const text = &schema->text;
    bool                is_used = false;
    BT_TRY(task_begin_schema(conf, section, plan, schema, &is_used, err));
    BT_TRY(task_read_vocab_keys(conf, section, text, err));
    BT_TRY(bt_conf_bind(conf, section, data_fields, BT_ARRAY_LEN(data_fields), &keys, err));
    if (is_used) {
        BT_TRY(check_section(conf, section, &keys, plan, err));
    }
    const bool is_regression = plan->head.num_classes == 1;
    schema->label_kind = is_regression ? BT_LABEL_FLOAT : BT_LABEL_CLASS;
    schema->label_field = label_field(conf, section, &keys);
    schema->n_classes = is_regression ? 0 : plan->head.num_classes;
    schema->include_example_id = keys.include_example_id;
    text->fields = keys.text_fields.items;
    text->n_fields = keys.text_fields.n;
    text->rules = is_text_experiment(conf, section) ? BT_TEXT_TF : BT_TEXT_PYTHON;
    return BT_OK;
}

/* ---- metrics
 * -------------------------------------------------------------------------------------
 */

typedef struct metric_type_row {
    const char *type;   /* task.metric_type */
    const char *metric; /* what it adds in validation; NULL: nothing */
    int64_t     min_classes;
    int64_t     max_classes;
    const char *wants;
} metric_type_row;

static const metric_type_row metric_types[] = {
    {"accuracy", NULL, 1, INT64_MAX, ""},
    {"f1", "f1", 2, 2, "2"},
    {"matthews_corrcoef", "matthews_corrcoef", 2, INT64_MAX, "2 or more"},
    {"pearson_spearman_corr", "pearson_spearman_corr", 1, 1, "1 (regression)"},
};

static bt_status add_metric_type(const char *type, bt_task_plan *plan, bt_error *err) {
    const int64_t n = plan->head.num_classes;
    for (size_t i = 0; i < BT_ARRAY_LEN(metric_types); i++) {
        const metric_type_row *const row = &metric_types[i];
        if (strcmp(row->type, type) != 0) {
            continue;
        }
        if (n < row->min_classes || n > row->max_classes) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "task.metric_type is '%s', but task.model.num_classes is %" PRId64
                           ": that metric needs num_classes %s",
                           type, n, row->wants);
        }
        if (row->metric != NULL) {
            plan->metric_names[plan->n_validation_metrics++] = row->metric;
        }
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "task.metric_type: expected accuracy, f1, matthews_corrcoef or "
                   "pearson_spearman_corr, got '%s'",
                   type);
}

static bt_status plan_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    const char   *type = NULL;
    const int64_t n_classes = plan->head.num_classes;
    size_t        n = 0;
    BT_TRY(bt_conf_get_str(conf, "task.metric_type", &type, err));
    plan->metric_names[n++] = n_classes == 1 ? "mean_squared_error" : "cls_accuracy";
    if (n_classes == 2) {
        plan->metric_names[n++] = "auc";
    }
    plan->n_train_metrics = n;
    plan->n_validation_metrics = n;
    return add_metric_type(type, plan, err);
}

/* Labels of the rows that are predicted are not read: there may be none. */
static void plan_prediction(bt_task_plan *plan) {
    plan->prediction_schema = plan->validation_schema;
    plan->prediction_schema.label_kind = BT_LABEL_NONE;
}

static bt_status plan_sentence_prediction(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    *plan = (bt_task_plan){0};
    BT_TRY(task_read_encoder(conf, &plan->encoder, err));
    BT_TRY(read_head(conf, plan, err));
    BT_TRY(task_read_class_rule(conf, plan, err));
    BT_TRY(read_schema(conf, "task.train_data", plan, &plan->train_schema, err));
    BT_TRY(read_schema(conf, "task.validation_data", plan, &plan->validation_schema, err));
    BT_TRY(bt_task_check_same_case(conf, plan, err));
    plan->train_schema.learns_labels = true;
    plan_prediction(plan);
    plan->labels.n = plan->head.num_classes > 1 ? plan->head.num_classes : 0;
    BT_TRY(task_read_labels(conf, "task.label_names", false, &plan->labels, err));
    return plan_metrics(conf, plan, err);
}

const bt_task bt_task_sentence_prediction = {
    .name = "sentence_prediction",
    .plan = plan_sentence_prediction,
    .reports_validation_loss = true,
    .prediction = &task_output_sentences,
};
