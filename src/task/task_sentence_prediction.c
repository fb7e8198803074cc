/* SPDX-License-Identifier: Apache-2.0
 *
 * sentence_prediction: classify sentences or pairs of them, or predict a score (num_classes 1).
 * Configuration -> model description, record schema, metrics. Model Garden's defaults; its defects
 * only under runtime.bug_compatible. docs/model_garden/numerics.md sections 2 and 11,
 * docs/model_garden/config.md 5.6. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/number.h"
#include "task_internal.h"

static bt_loss_kind choose_loss(const bt_task_plan *plan, bool bug_compatible) {
    const int64_t num_classes = plan->head.num_classes;
    if (plan->is_multi_label) {
        return BT_LOSS_SIGMOID;
    }
    if (num_classes > 1) {
        return BT_LOSS_SOFTMAX;
    }
    return bug_compatible ? BT_LOSS_MSE_ALL_PAIRS : BT_LOSS_MSE;
}

/* task.problem_type: Hugging Face's words. num_classes is read. */
static bt_status read_problem(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char *const key = "task.problem_type";
    const char              *type = "";
    const int64_t            n = plan->head.num_classes;
    BT_TRY(bt_conf_get_f64(conf, "task.prediction_threshold", &plan->threshold, err));
    if (bt_conf_is_null(conf, key)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str(conf, key, &type, err));
    plan->is_multi_label = strcmp(type, "multi_label_classification") == 0;
    const bool is_score = strcmp(type, "regression") == 0;
    if (type[0] != '\0' && !plan->is_multi_label && is_score != (n == 1)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s is '%s', but task.model.num_classes is %" PRId64
                       ": a regression has 1, a classification more",
                       key, type, n);
    }
    return BT_OK;
}

/* One of num_classes numbers, of no class. */
static bool is_regression(const bt_task_plan *plan) {
    return plan->head.num_classes == 1 && !plan->is_multi_label;
}

static bt_status read_head(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    bt_head_config *const head = &plan->head;
    bool                  use_encoder_pooler = false;
    bool                  bug_compatible = false;
    double                dropout = 0.0;
    BT_TRY(bt_conf_get_i64(conf, "task.model.num_classes", &head->num_classes, err));
    BT_TRY(read_problem(conf, plan, err));
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
    head->loss = choose_loss(plan, bug_compatible);
    head->dropout_rate = (float)dropout;
    head->initializer_range = plan->encoder.initializer_range;
    return BT_OK;
}

typedef struct data_keys {
    const char      *label_field;
    const char      *label_type;
    bool             include_example_id;
    bt_conf_str_list text_fields;
    bt_conf_str_list label_fields;
    const char      *label_separator;
    const char      *weight_field;
} data_keys;

static const bt_conf_field data_fields[] = {
    {"label_field", BT_CONF_FIELD_STR, offsetof(data_keys, label_field)},
    {"label_type", BT_CONF_FIELD_STR, offsetof(data_keys, label_type)},
    {"include_example_id", BT_CONF_FIELD_BOOL, offsetof(data_keys, include_example_id)},
    {"text_fields", BT_CONF_FIELD_STR_LIST, offsetof(data_keys, text_fields)},
    {"label_fields", BT_CONF_FIELD_STR_LIST, offsetof(data_keys, label_fields)},
    {"label_separator", BT_CONF_FIELD_STR, offsetof(data_keys, label_separator)},
    {"weight_field", BT_CONF_FIELD_STR, offsetof(data_keys, weight_field)},
};

/* The experiment that reads raw text in Model Garden too, with tensorflow-text's tokenizer. */
static bool is_text_experiment(const bt_conf *conf, const char *section) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s.preprocessing_hub_module_url", section);
    return bt_conf_has(conf, path);
}

static bt_status check_label_fields(const char *section, const data_keys *keys,
                                    const bt_task_plan *plan, bt_error *err) {
    const size_t n = keys->label_fields.n;
    if (n > 0 && !plan->is_multi_label) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.label_fields is for several labels a row: set task.problem_type to "
                       "multi_label_classification",
                       section);
    }
    if (n > 0 && ((int64_t)n != plan->head.num_classes || n > BT_DATA_MAX_LABEL_FIELDS)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.label_fields has %zu columns, but task.model.num_classes is %" PRId64
                       " (at most %d columns)",
                       section, n, plan->head.num_classes, (int)BT_DATA_MAX_LABEL_FIELDS);
    }
    if (keys->weight_field[0] != '\0' && strcmp(section, "task.train_data") != 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.weight_field: rows weigh in training only; an evaluation says how the "
                       "model does on the data as they are",
                       section);
    }
    if (keys->weight_field[0] != '\0' && plan->head.loss == BT_LOSS_MSE_ALL_PAIRS) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.weight_field: Model Garden's regression over all pairs "
                       "(runtime.bug_compatible) has no row weights",
                       section);
    }
    if (strlen(keys->label_separator) != 1) {
        return BT_FAIL(err, BT_E_CONFIG, "%s.label_separator: expected one character, got '%s'",
                       section, keys->label_separator);
    }
    return BT_OK;
}

static bt_status check_section(const char *section, const data_keys *keys, const bt_task_plan *plan,
                               bt_error *err) {
    BT_TRY(check_label_fields(section, keys, plan, err));
    if (!plan->is_multi_label && is_regression(plan) != (strcmp(keys->label_type, "float") == 0)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.label_type is '%s', but task.model.num_classes is %" PRId64
                       ": %s needs label_type '%s'",
                       section, keys->label_type, plan->head.num_classes,
                       is_regression(plan) ? "regression" : "classification",
                       is_regression(plan) ? "float" : "int");
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
        BT_TRY(check_section(section, &keys, plan, err));
    }
    schema->label_kind = plan->is_multi_label  ? BT_LABEL_MULTI
                         : is_regression(plan) ? BT_LABEL_FLOAT
                                               : BT_LABEL_CLASS;
    schema->label_field = label_field(conf, section, &keys);
    schema->n_classes = is_regression(plan) ? 0 : plan->head.num_classes;
    schema->label_fields = keys.label_fields.items;
    schema->n_label_fields = keys.label_fields.n;
    schema->label_separator = keys.label_separator[0];
    schema->weight_field = keys.weight_field[0] != '\0' ? keys.weight_field : NULL;
    schema->include_example_id = keys.include_example_id;
    text->fields = keys.text_fields.items;
    text->n_fields = keys.text_fields.n;
    text->rules = BT_TEXT_PYTHON;
    return is_text_experiment(conf, section) ? task_read_rules(conf, section, &text->rules, err)
                                             : BT_OK;
}

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

static bt_status plan_multi_metrics(const char *type, bt_task_plan *plan, bt_error *err) {
    static const char *const names[] = {"f1_micro", "f1_macro", "exact_match"};
    if (strcmp(type, "accuracy") != 0) { /* the default, which adds nothing */
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.metric_type is '%s', which is not for several labels a row: f1_micro, "
                       "f1_macro and exact_match are computed without it",
                       type);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        plan->metric_names[i] = names[i];
    }
    plan->n_train_metrics = BT_ARRAY_LEN(names);
    plan->n_validation_metrics = BT_ARRAY_LEN(names);
    plan->metric_unit = BT_METRIC_OF_LABEL_SETS;
    return BT_OK;
}

static bt_status plan_garden_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    const char   *type = NULL;
    const int64_t n_classes = plan->head.num_classes;
    size_t        n = 0;
    BT_TRY(bt_conf_get_str(conf, "task.metric_type", &type, err));
    if (plan->is_multi_label) {
        return plan_multi_metrics(type, plan, err);
    }
    plan->metric_names[n++] = n_classes == 1 ? "mean_squared_error" : "cls_accuracy";
    if (n_classes == 2) {
        plan->metric_names[n++] = "auc";
    }
    plan->n_train_metrics = n;
    plan->n_validation_metrics = n;
    return add_metric_type(type, plan, err);
}

static bt_status plan_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char key[] = "task.bootstrap_samples";
    BT_TRY(plan_garden_metrics(conf, plan, err));
    BT_TRY(bt_conf_get_i64(conf, key, &plan->n_bootstrap, err));
    BT_TRY(bt_conf_get_i64(conf, "task.bootstrap_seed", &plan->bootstrap_seed, err));
    BT_TRY(task_read_decision(conf, plan, err));
    if (plan->n_bootstrap > 0 && (plan->is_multi_label || is_regression(plan))) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: %" PRId64 ": there are intervals of metrics of a class a row only, not "
                       "of scores or of several labels: set it to 0",
                       key, plan->n_bootstrap);
    }
    return task_plan_own_metrics(conf, plan->head.num_classes, plan, err);
}

static bt_status name_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    BT_TRY(bt_conf_get_i64(conf, "task.model.num_classes", &plan->head.num_classes, err));
    BT_TRY(read_problem(conf, plan, err));
    return plan_metrics(conf, plan, err);
}

/* Labels of the rows that are predicted are not read: there may be none. */
static void plan_prediction(bt_task_plan *plan) {
    plan->prediction_schema = plan->validation_schema;
    plan->prediction_schema.label_kind = BT_LABEL_NONE;
}

/* A column for each class: their names are the classes', in their order. */
static bt_status name_columns(const bt_data_schema *schema, const char *key, bt_task_plan *plan,
                              bt_error *err) {
    int64_t number = 0;
    bool    are_names = schema->n_label_fields > 0;
    for (size_t i = 0; i < schema->n_label_fields; i++) {
        are_names = are_names && !bt_parse_i64(schema->label_fields[i], &number);
    }
    if (!are_names) {
        return BT_OK;
    }
    return plan->labels.names == NULL ? bt_task_labels_set(&plan->labels, schema->label_fields,
                                                           schema->n_label_fields, key, err)
                                      : bt_task_labels_agree(&plan->labels, schema->label_fields,
                                                             schema->n_label_fields, key, err);
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
    plan->labels.n = is_regression(plan) ? 0 : plan->head.num_classes;
    BT_TRY(task_read_labels(conf, "task.label_names", false, &plan->labels, err));
    BT_TRY(name_columns(&plan->train_schema, "task.train_data.label_fields", plan, err));
    BT_TRY(name_columns(&plan->validation_schema, "task.validation_data.label_fields", plan, err));
    return plan_metrics(conf, plan, err);
}

const bt_task bt_task_sentence_prediction = {
    .name = "sentence_prediction",
    .plan = plan_sentence_prediction,
    .name_metrics = name_metrics,
    .reports_validation_loss = true,
    .prediction = &task_output_sentences,
};
