/* SPDX-License-Identifier: Apache-2.0
 *
 * task: from a configuration to the plan of a run, and one sentence for each thing that cannot be
 * or that this version does not build. */
#include "test_support.h"

#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/task.h"

/* text: YAML merged over an experiment. */
static bt_conf *build_of(const char *experiment, const char *text) {
    const char *const  files[] = {text};
    const bt_conf_args args = {
        .experiment = experiment, .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_conf       *conf = NULL;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    return conf;
}

static bt_conf *build(const char *text) {
    return build_of("bert/sentence_prediction", text);
}

static const bt_task *sentence_prediction(void) {
    const bt_task *task = NULL;
    assert_ok(bt_task_find("bert/sentence_prediction", &task, err));
    return task;
}

static void plan_of(const char *text, bt_conf **conf, bt_task_plan *plan) {
    *conf = build(text);
    assert_ok(sentence_prediction()->plan(*conf, plan, err));
}

static void test_defaults_are_model_gardens(void **state) {
    (void)state;
    bt_conf     *conf = NULL;
    bt_task_plan plan;
    plan_of("{task: {model: {num_classes: 3}}}", &conf, &plan);
    assert_string_equal(sentence_prediction()->name, "sentence_prediction");
    assert_true(sentence_prediction()->reports_validation_loss);
    assert_int_equal(plan.encoder.type, BT_ENCODER_BERT);
    assert_int_equal(plan.encoder.vocab_size, 30522);
    assert_int_equal(plan.encoder.hidden_size, 768);
    assert_int_equal(plan.encoder.embedding_size, 768);
    assert_int_equal(plan.encoder.num_layers, 12);
    assert_int_equal(plan.encoder.num_attention_heads, 12);
    assert_int_equal(plan.encoder.intermediate_size, 3072);
    assert_int_equal(plan.encoder.max_position_embeddings, 512);
    assert_int_equal(plan.encoder.type_vocab_size, 2);
    assert_int_equal(plan.encoder.output_range, 0);
    assert_int_equal(plan.encoder.hidden_activation, BT_ACT_GELU);
    assert_true(plan.encoder.dropout_rate == 0.1F);
    assert_true(plan.encoder.attention_dropout_rate == 0.1F);
    assert_true(plan.encoder.initializer_range == 0.02F);
    assert_false(plan.encoder.norm_first);
    assert_int_equal(plan.head.kind, BT_HEAD_POOLER_DENSE);
    assert_int_equal(plan.head.loss, BT_LOSS_SOFTMAX);
    assert_int_equal(plan.head.num_classes, 3);
    assert_true(plan.head.dropout_rate == 0.1F);
    assert_true(plan.head.initializer_range == 0.02F);
    assert_int_equal(plan.train_schema.seq_length, 128);
    assert_int_equal(plan.train_schema.label_kind, BT_LABEL_CLASS);
    assert_string_equal(plan.train_schema.label_field, "label_ids");
    assert_int_equal(plan.train_schema.n_classes, 3);
    assert_int_equal(plan.train_schema.vocab_size, 30522);
    assert_int_equal(plan.train_schema.max_positions, 512);
    assert_int_equal(plan.validation_schema.type_vocab_size, 2);
    assert_false(plan.train_schema.keep_padding);
    assert_false(plan.init_cls_pooler);
    assert_false(plan.init_head);
    bt_conf_free(conf);
}

static void test_every_key_reaches_the_plan(void **state) {
    (void)state;
    bt_conf     *conf = NULL;
    bt_task_plan plan;
    plan_of("{task: {init_head: true, model: {num_classes: 2, use_encoder_pooler: true, "
            "head_dropout: 0.3, encoder: {type: bert_v2, bert_v2: {hidden_size: 64, "
            "num_attention_heads: 8, embedding_size: 16, output_range: 1, norm_first: true, "
            "hidden_activation: relu, initializer_range: 0.05, vocab_size: 99, "
            "type_vocab_size: 3, num_layers: 1, intermediate_size: 7}}}, "
            "train_data: {seq_length: 64, label_field: y, include_example_id: true}, "
            "validation_data: {seq_length: 32}}, runtime: {padding: keep}}",
            &conf, &plan);
    assert_int_equal(plan.encoder.type, BT_ENCODER_BERT_V2);
    assert_int_equal(plan.encoder.hidden_size, 64);
    assert_int_equal(plan.encoder.embedding_size, 16);
    assert_int_equal(plan.encoder.output_range, 1);
    assert_int_equal(plan.encoder.hidden_activation, BT_ACT_RELU);
    assert_int_equal(plan.encoder.num_layers, 1);
    assert_true(plan.encoder.norm_first);
    assert_int_equal(plan.head.kind, BT_HEAD_ENCODER_POOLER);
    assert_true(plan.head.dropout_rate == 0.3F);
    assert_true(plan.head.initializer_range == 0.05F);
    assert_true(plan.init_head);
    assert_int_equal(plan.train_schema.seq_length, 64);
    assert_string_equal(plan.train_schema.label_field, "y");
    assert_true(plan.train_schema.include_example_id);
    assert_true(plan.train_schema.keep_padding);
    assert_int_equal(plan.train_schema.vocab_size, 99);
    assert_int_equal(plan.validation_schema.seq_length, 32);
    bt_model *model = NULL;
    assert_ok(bt_model_create(&plan.encoder, &plan.head, &model, err));
    bt_model_free(model);
    bt_conf_free(conf);
}

#define SURE "log_loss ece "
#define OF_TWO "roc_auc "
#define OF_SCORES "mean_absolute_error r2 "
#define OF_MORE "f1_macro precision_macro recall_macro "

/* Model Garden's, then ours. */
static void test_metrics_follow_classes_and_type(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t      n_train;
        const char *names; /* of validation */
    } rows[] = {
        {"{task: {model: {num_classes: 2}}}", 2,
         "cls_accuracy auc | f1 precision recall " OF_TWO SURE},
        {"{task: {model: {num_classes: 3}}}", 1, "cls_accuracy | " OF_MORE SURE},
        {"{task: {model: {num_classes: 2}, metric_type: f1}}", 2,
         "cls_accuracy auc f1 | precision recall " OF_TWO SURE},
        {"{task: {model: {num_classes: 2}, metric_type: matthews_corrcoef}}", 2,
         "cls_accuracy auc matthews_corrcoef | f1 precision recall " OF_TWO SURE},
        {"{task: {model: {num_classes: 3}, metrics: [none]}}", 1, "cls_accuracy | "},
        {"{task: {model: {num_classes: 3}}, runtime: {bug_compatible: true}}", 1,
         "cls_accuracy | "},
        {"{task: {model: {num_classes: 3}, metrics: [none, cohen_kappa, f1/b, cohen_kappa]}}", 1,
         "cls_accuracy | cohen_kappa f1/b "},
        {"{task: {model: {num_classes: 3}, metrics: [per_class]}}", 1,
         "cls_accuracy | " OF_MORE SURE "precision/* recall/* f1/* "},
        {"{task: {model: {num_classes: 3}, metrics: [none]}, "
         "trainer: {best_checkpoint_eval_metric: top_k_accuracy_at_2}}",
         1, "cls_accuracy | top_k_accuracy_at_2 "},
        {"{task: {model: {num_classes: 3}, metrics: [none]}, "
         "trainer: {best_checkpoint_eval_metric: validation_loss}}",
         1, "cls_accuracy | "},
        {"{task: {model: {num_classes: 1}}}", 1,
         "mean_squared_error | pearson spearman " OF_SCORES},
        {"{task: {model: {num_classes: 1}, metric_type: pearson_spearman_corr}}", 1,
         "mean_squared_error pearson_spearman_corr | pearson spearman " OF_SCORES},
    };
    static const char *const abc[] = {"a", "b", "c"};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf     *conf = NULL;
        bt_task_plan plan;
        bt_str       names = BT_STR_INIT;
        bt_metrics  *metrics = NULL;
        plan_of(rows[i].text, &conf, &plan);
        for (size_t k = 0; k <= plan.n_validation_metrics; k++) {
            assert_ok(bt_str_append(&names, k == plan.n_garden_metrics ? "| " : "", err));
            if (k < plan.n_validation_metrics) {
                assert_ok(bt_str_appendf(&names, err, "%s ", plan.metric_names[k]));
            }
        }
        assert_string_equal(bt_str_text(&names), rows[i].names);
        assert_int_equal(plan.n_train_metrics, rows[i].n_train);
        const bt_metrics_config config = {.names = plan.metric_names,
                                          .n_names = plan.n_validation_metrics,
                                          .n_classes = plan.head.num_classes,
                                          .class_names = plan.head.num_classes == 3 ? abc : NULL};
        assert_ok(bt_metrics_create(&config, &metrics, err));
        bt_metrics_free(metrics);
        bt_str_deinit(&names);
        bt_conf_free(conf);
    }
}

static void test_unknown_metrics_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"{task: {model: {num_classes: 3}, metrics: [f1_marco]}}",
         "task.metrics: 'f1_marco' is not a metric of this task; did you mean 'f1_macro'?"},
        {"{task: {model: {num_classes: 3}, metrics: [f1]}}", "'f1' is not a metric of this task"},
        {"{task: {model: {num_classes: 1}, bootstrap_samples: 9}}",
         "task.bootstrap_samples: 9: there are intervals of metrics of a class a row only"},
        {"{task: {model: {num_classes: 1}, metrics: [f1_macro]}}", "not a metric of this task"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_task_plan   plan = {0};
        bt_conf *const conf = build(rows[i].text);
        assert_fails(sentence_prediction()->plan(conf, &plan, err), BT_E_CONFIG, rows[i].message);
        bt_task_plan_deinit(&plan);
        bt_conf_free(conf);
    }
}

static void test_regression_has_the_right_loss(void **state) {
    (void)state;
    bt_conf     *conf = NULL;
    bt_task_plan plan;
    plan_of("{task: {model: {num_classes: 1}, train_data: {label_type: float, input_path: a}}}",
            &conf, &plan);
    assert_int_equal(plan.head.loss, BT_LOSS_MSE);
    assert_int_equal(plan.train_schema.label_kind, BT_LABEL_FLOAT);
    assert_int_equal(plan.train_schema.n_classes, 0);
    bt_conf_free(conf);
    plan_of("{task: {model: {num_classes: 1}}, runtime: {bug_compatible: true}}", &conf, &plan);
    assert_int_equal(plan.head.loss, BT_LOSS_MSE_ALL_PAIRS);
    bt_conf_free(conf);
    plan_of("{task: {model: {num_classes: 2}}, runtime: {bug_compatible: true}}", &conf, &plan);
    assert_int_equal(plan.head.loss, BT_LOSS_SOFTMAX);
    bt_conf_free(conf);
}

static void test_albert_has_keys_of_its_own(void **state) {
    (void)state;
    bt_conf     *conf = NULL;
    bt_task_plan plan;
    plan_of("{task: {model: {num_classes: 2, encoder: {type: albert}}}}", &conf, &plan);
    assert_int_equal(plan.encoder.type, BT_ENCODER_ALBERT);
    assert_int_equal(plan.encoder.vocab_size, 30000);
    assert_int_equal(plan.encoder.embedding_size, 128);
    assert_int_equal(plan.encoder.hidden_size, 768);
    assert_int_equal(plan.encoder.num_layers, 12);
    assert_true(plan.encoder.dropout_rate == 0 && plan.encoder.attention_dropout_rate == 0);
    assert_false(plan.encoder.norm_first);
    assert_int_equal(plan.encoder.output_range, 0);
    bt_conf_free(conf);
    plan_of("{task: {model: {num_classes: 2, encoder: {type: albert, albert: {hidden_size: 64, "
            "num_attention_heads: 8, embedding_width: 16, hidden_activation: relu, num_layers: 3, "
            "dropout_rate: 0.2, initializer_range: 0.05}}}}}",
            &conf, &plan);
    assert_int_equal(plan.encoder.embedding_size, 16);
    assert_int_equal(plan.encoder.num_layers, 3);
    assert_int_equal(plan.encoder.hidden_activation, BT_ACT_RELU);
    assert_true(plan.encoder.dropout_rate == 0.2F);
    assert_true(plan.head.initializer_range == 0.05F);
    bt_conf_free(conf);
}

/* Each with what is missing and what to write instead. */
static void test_other_encoders_are_refused_by_name(void **state) {
    (void)state;
    static const char *const types[] = {"any",    "bigbird",     "fnet",       "funnel",
                                        "kernel", "xlnet",       "mobilebert", "query_bert",
                                        "reuse",  "sparse_mixer"};
    for (size_t i = 0; i < BT_ARRAY_LEN(types); i++) {
        char         text[128];
        char         want[64];
        bt_task_plan plan;
        bt_error     error = BT_ERROR_INIT;
        (void)snprintf(text, sizeof text, "{task: {model: {num_classes: 2, encoder: {type: %s}}}}",
                       types[i]);
        (void)snprintf(want, sizeof want, "task.model.encoder.type: '%s': ", types[i]);
        bt_conf *const conf = build(text);
        assert_int_equal(bt_conf_check_refused(conf, NULL, &error), BT_E_UNSUPPORTED);
        assert_non_null(strstr(error.msg, want));
        assert_non_null(strstr(error.msg, "write bert"));
        /* who plans it all the same gets none */
        assert_fails(sentence_prediction()->plan(conf, &plan, err), BT_E_UNSUPPORTED, types[i]);
        bt_conf_free(conf);
    }
}

static void test_class_rule_reaches_the_plan(void **state) {
    (void)state;
    bt_conf     *conf = NULL;
    bt_task_plan plan;
    plan_of("{task: {model: {num_classes: 2}, class_weights: [1, 2.5], label_smoothing: 0.1}}",
            &conf, &plan);
    assert_true(plan.class_weights.n == 2 && plan.class_weights.items[1] == 2.5);
    assert_true(plan.label_smoothing == 0.1 && !plan.balanced_weights);
    bt_conf_free(conf);
    plan_of("{task: {model: {num_classes: 2}, class_weights: balanced}}", &conf, &plan);
    assert_true(plan.balanced_weights && plan.class_weights.n == 0 && plan.label_smoothing == 0);
    bt_conf_free(conf);
    plan_of("{task: {model: {num_classes: 2}, class_weights: ''}}", &conf, &plan);
    assert_true(!plan.balanced_weights && plan.class_weights.n == 0);
    bt_conf_free(conf);
}

static void test_contradictions_name_both_values(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bt_status   status;
        const char *message;
    } rows[] = {
        {"{task: {model: {num_classes: 2}, validation_data: {label_type: float, input_path: x}}}",
         BT_E_CONFIG,
         "task.validation_data.label_type is 'float', but task.model.num_classes is 2"},
        {"{task: {model: {num_classes: 1}, train_data: {input_path: x}}}", BT_E_CONFIG,
         "task.train_data.label_type is 'int', but task.model.num_classes is 1: regression needs "
         "label_type 'float'"},
        {"{task: {model: {num_classes: 3}, metric_type: f1}}", BT_E_CONFIG,
         "task.metric_type is 'f1', but task.model.num_classes is 3"},
        {"{task: {model: {num_classes: 2}, metric_type: pearson_spearman_corr}}", BT_E_CONFIG,
         "needs num_classes 1 (regression)"},
        {"{task: {init_cls_pooler: true, model: {num_classes: 2, use_encoder_pooler: true}}}",
         BT_E_CONFIG, "task.init_cls_pooler is true, but with task.model.use_encoder_pooler true"},
        {"{task: {model: {num_classes: 2, encoder: {bert: {hidden_activation: elu}}}}}",
         BT_E_UNSUPPORTED, "got 'elu'"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf *const conf = build(rows[i].text);
        bt_task_plan   plan;
        assert_fails(sentence_prediction()->plan(conf, &plan, err), rows[i].status,
                     rows[i].message);
        bt_conf_free(conf);
    }
}

static void test_unused_sections_are_not_checked(void **state) {
    (void)state;
    bt_conf     *conf = NULL;
    bt_task_plan plan;
    plan_of("{task: {model: {num_classes: 2, encoder: {bert: {max_position_embeddings: 64}}}, "
            "train_data: {seq_length: 64, input_path: x}}}",
            &conf, &plan);
    assert_int_equal(plan.validation_schema.seq_length, 128);
    bt_conf_free(conf);
}

static void test_unsupported_keys_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message; /* NULL: accepted */
    } rows[] = {
        {"{task: {differential_privacy_config: {clipping_norm: 1.0}}}",
         "task.differential_privacy_config: it is set"},
        {"{task: {class_weights: [1.0, 2.0], label_smoothing: 0.1}}", NULL},
        {"{trainer: {gradient_accumulation_steps: 4}}", NULL},
        {"{trainer: {early_stopping_patience: 2}}", NULL},
        {"{runtime: {mixed_precision_dtype: bfloat16}}", NULL},
        {"{runtime: {mixed_precision_dtype: float16}}", NULL},
        {"{runtime: {mixed_precision_dtype: float32}}", NULL},
        {"{runtime: {recompute: true}}", NULL},
        {"{task: {train_data: {tfds_name: glue}}}", "task.train_data.tfds_name: 'glue'"},
        {"{task: {validation_data: {enable_tf_data_service: true}}}",
         "task.validation_data.enable_tf_data_service: true"},
        {"{trainer: {train_tf_function: false, allow_tpu_summary: true}, runtime: {num_packs: 3}}",
         NULL},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf *const conf = build(rows[i].text);
        if (rows[i].message == NULL) {
            assert_ok(bt_conf_check_refused(conf, NULL, err));
        } else {
            assert_fails(bt_conf_check_refused(conf, NULL, err), BT_E_UNSUPPORTED, rows[i].message);
        }
        bt_conf_free(conf);
    }
}

/* text: YAML merged over bert/tagging. */
static bt_status plan_tagging(const char *text, bt_task_plan *plan, bt_error *err) {
    const char *const  files[] = {text};
    const bt_conf_args args = {
        .experiment = "bert/tagging", .config_files = files, .n_config_files = 1};
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_conf       *conf = NULL;
    const bt_task *task = NULL;
    BT_TRY(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    BT_TRY(bt_task_find("bert/tagging", &task, err));
    const bt_status rc = task->plan(conf, plan, err);
    bt_conf_free(conf);
    return rc;
}

static void test_taggers_are_planned(void **state) {
    (void)state;
    bt_task_plan plan = {0};
    assert_ok(plan_tagging("{task: {class_names: [O, B-X, I-X], model: {head_dropout: 0.2, "
                           "head_initializer_range: 0.03}, validation_data: {include_sentence_id: "
                           "true, seq_length: 64}}}",
                           &plan, err));
    assert_int_equal(plan.head.kind, BT_HEAD_TOKENS);
    assert_int_equal(plan.head.loss, BT_LOSS_TOKENS);
    assert_int_equal(plan.head.num_classes, 3);
    assert_true(plan.head.dropout_rate == 0.2F && plan.head.initializer_range == 0.03F);
    assert_int_equal(plan.n_train_metrics, 0);
    assert_int_equal(plan.n_garden_metrics, 4);
    assert_string_equal(plan.metric_names[0], "f1");
    assert_int_equal(plan.metric_unit, BT_METRIC_OF_TOKENS);
    assert_int_equal(plan.train_schema.label_kind, BT_LABEL_TOKENS);
    assert_int_equal(plan.train_schema.n_classes, 3);
    assert_false(plan.train_schema.include_sentence_id);
    assert_true(plan.validation_schema.include_sentence_id);
    assert_int_equal(plan.prediction_schema.seq_length, 64);
    assert_string_equal(plan.labels.names[2], "I-X");
    bt_task_plan_deinit(&plan);
}

static void test_taggers_need_names(void **state) {
    (void)state;
    char path[TEST_PATH_MAX + 16];
    char text[TEST_PATH_MAX + 128];
    (void)snprintf(path, sizeof path, "%s/meta", test_temp_dir());
    static const char meta[] = "{\"num_labels\": 2, \"label_list\": [\"ADJ\", \"X\"], "
                               "\"processor_type\": \"udpos\"}";
    test_write_file(path, meta, sizeof meta - 1);
    bt_task_plan plan = {0};
    (void)snprintf(text, sizeof text, "{task: {meta_data_path: '%s'}}", path);
    assert_ok(plan_tagging(text, &plan, err));
    assert_int_equal(plan.head.num_classes, 2);
    assert_string_equal(plan.labels.names[1], "X");
    assert_string_equal(plan.labels.processor, "udpos");
    bt_task_plan_deinit(&plan);
    (void)snprintf(text, sizeof text, "{task: {meta_data_path: '%s', class_names: [ADJ, Y]}}",
                   path);
    assert_fails(plan_tagging(text, &plan, err), BT_E_CONFIG, "class 1 is 'X' in ");
    bt_task_plan_deinit(&plan);
    (void)snprintf(text, sizeof text, "{task: {meta_data_path: '%s', class_weights: [1, 2, 3]}}",
                   path);
    assert_fails(plan_tagging(text, &plan, err), BT_E_CONFIG,
                 "task.class_weights: 3 weights for the 2 classes of ");
    bt_task_plan_deinit(&plan);
    assert_fails(plan_tagging("{}", &plan, err), BT_E_CONFIG, "task.class_names is empty");
    assert_fails(plan_tagging("{task: {class_names: [A, B, A]}}", &plan, err), BT_E_CONFIG,
                 "classes 0 and 2 have the same name 'A'");
    bt_task_plan_deinit(&plan);
}

#define BOTH(keys)                                                                                 \
    "train_data: {input_path: a, " keys "}, validation_data: {input_path: b, " keys "}"

static void test_raw_text_reaches_the_plan(void **state) {
    (void)state;
    static const struct {
        const char   *experiment;
        const char   *text;
        size_t        n_fields; /* of both sections, or */
        const char   *label_field;
        bt_text_rules rules;
        bool          lower_case;
        const char   *error; /* why not */
    } rows[] = {
        {"bert/sentence_prediction", "{task: {model: {num_classes: 2}}}", 0, "label_ids",
         BT_TEXT_PYTHON, true, NULL},
        {"bert/sentence_prediction",
         "{task: {model: {num_classes: 2}, " BOTH("text_fields: [x, y], vocab_file: v") "}}", 2,
         "label", BT_TEXT_PYTHON, true, NULL},
        {"bert/sentence_prediction",
         "{task: {model: {num_classes: 2}, " BOTH(
             "text_fields: [x], vocab_file: v, label_field: z, lower_case: false") "}}",
         1, "z", BT_TEXT_PYTHON, false, NULL},
        {"bert/sentence_prediction_text",
         "{task: {model: {num_classes: 2}, " BOTH("text_fields: [x, y, z], vocab_file: v") "}}", 3,
         "label", BT_TEXT_TF, true, NULL},
        {"bert/sentence_prediction_text",
         "{task: {model: {num_classes: 2}, train_data: {input_path: a, text_fields: [x], "
         "lower_case: false}, validation_data: {input_path: b, text_fields: [x]}}}",
         0, "", BT_TEXT_TF, true,
         "task.train_data.lower_case is false, task.validation_data.lower_case is true"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf *const conf = build_of(rows[i].experiment, rows[i].text);
        bt_task_plan   plan = {0};
        if (rows[i].error != NULL) {
            assert_fails(sentence_prediction()->plan(conf, &plan, err), BT_E_CONFIG, rows[i].error);
        } else {
            assert_ok(sentence_prediction()->plan(conf, &plan, err));
            const bt_data_schema *const schemas[] = {&plan.train_schema, &plan.validation_schema,
                                                     &plan.prediction_schema};
            for (size_t k = 0; k < BT_ARRAY_LEN(schemas); k++) {
                assert_int_equal(schemas[k]->text.n_fields, rows[i].n_fields);
                assert_int_equal(schemas[k]->text.rules, rows[i].rules);
                assert_true(schemas[k]->text.lower_case == rows[i].lower_case);
                assert_string_equal(schemas[k]->label_field, rows[i].label_field);
                assert_true(schemas[k]->learns_labels == (k == 0));
            }
        }
        bt_task_plan_deinit(&plan);
        bt_conf_free(conf);
    }
}

/* A run reads these whatever its task is. */
static void test_every_task_has_the_keys_of_its_start(void **state) {
    (void)state;
    static const char *const keys[] = {"task.init_checkpoint", "task.hub_module_url",
                                       "task.hub_module_sha256"};
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const char *const name = bt_conf_experiment_at(i)->name;
        const bt_task    *task = NULL;
        bt_error          not_built = BT_ERROR_INIT;
        if (bt_task_find(name, &task, &not_built) != BT_OK) {
            continue;
        }
        bt_conf *const conf = build_of(name, "{}");
        for (size_t k = 0; k < BT_ARRAY_LEN(keys); k++) {
            if (!bt_conf_has(conf, keys[k])) {
                fail_msg("%s has no %s", name, keys[k]);
            }
        }
        bt_conf_free(conf);
    }
}

static void test_other_experiments_are_refused(void **state) {
    (void)state;
    static const char *const trainable[] = {"bert/dual_encoder", "bert/sentence_prediction",
                                            "bert/sentence_prediction_text", "bert/squad",
                                            "bert/tagging"};
    const bt_task           *task = NULL;
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const char *const name = bt_conf_experiment_at(i)->name;
        bool              is_trainable = false;
        for (size_t k = 0; k < BT_ARRAY_LEN(trainable); k++) {
            is_trainable = is_trainable || strcmp(name, trainable[k]) == 0;
        }
        if (is_trainable) {
            assert_ok(bt_task_find(name, &task, err));
            task = NULL;
        } else {
            assert_fails(bt_task_find(name, &task, err), BT_E_UNSUPPORTED, "not supported");
        }
    }
    assert_fails(bt_task_find("nobody/knows", &task, err), BT_E_UNSUPPORTED, "'nobody/knows'");
    assert_null(task);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_model_gardens),
        cmocka_unit_test(test_every_key_reaches_the_plan),
        cmocka_unit_test(test_every_task_has_the_keys_of_its_start),
        cmocka_unit_test(test_metrics_follow_classes_and_type),
        cmocka_unit_test(test_unknown_metrics_are_refused),
        cmocka_unit_test(test_regression_has_the_right_loss),
        cmocka_unit_test(test_albert_has_keys_of_its_own),
        cmocka_unit_test(test_other_encoders_are_refused_by_name),
        cmocka_unit_test(test_class_rule_reaches_the_plan),
        cmocka_unit_test(test_raw_text_reaches_the_plan),
        cmocka_unit_test(test_contradictions_name_both_values),
        cmocka_unit_test(test_unused_sections_are_not_checked),
        cmocka_unit_test(test_unsupported_keys_are_refused_by_name),
        cmocka_unit_test(test_taggers_are_planned),
        cmocka_unit_test(test_taggers_need_names),
        cmocka_unit_test(test_other_experiments_are_refused),
    };
    return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
