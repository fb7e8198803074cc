/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rooms say of a configuration without a look at a file, all of it at once, by mode. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/train.h"
#include "test_support.h"

#define CLASSIFY "bert/sentence_prediction"
#define PAIRS "bert/dual_encoder"

#define BEST "trainer.best_checkpoint_export_subdir=best,trainer.best_checkpoint_eval_metric="
#define MULTI "task.model.num_classes=3,task.problem_type=multi_label_classification"

static bt_conf *build_conf(const char *experiment, const char *override) {
    const bt_conf_args args = {.experiment = experiment, .params_override = override};
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    return conf;
}

static const struct {
    const char  *experiment;
    const char  *override;
    bt_conf_mode mode;
    const char  *want; /* "error: ..." or "finding: ..."; NULL: no such problem as unwanted */
    const char  *unwanted;
} rows[] = {
    {CLASSIFY, "", BT_CONF_MODE_TRAIN, "finding: task.model.num_classes", "validation_data"},
    {CLASSIFY, "task.model.num_classes=2", BT_CONF_MODE_TRAIN,
     "finding: task.train_data.input_path", "num_classes"},
    {CLASSIFY, "", BT_CONF_MODE_EVAL, "finding: task.validation_data.input_path", "train_data"},
    {CLASSIFY, "task.train_data.global_batch_size=0", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.train_data.global_batch_size=0'", NULL},
    {CLASSIFY, "task.train_data.global_batch_size=0", BT_CONF_MODE_EVAL, NULL, "global_batch_size"},
    {"bert/tagging", "", BT_CONF_MODE_TRAIN, "finding: task.train_data.global_batch_size", NULL},
    {"bert/tagging", "", BT_CONF_MODE_TRAIN, "finding: task.class_names", NULL},
    {PAIRS, "", BT_CONF_MODE_TRAIN, "finding: task.train_data.input_path", "max_sequence_length"},
    {PAIRS, "task.train_data.seq_length=63", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.train_data.seq_length=63'", NULL},
    {PAIRS, "task.train_data.seq_length=63", BT_CONF_MODE_EVAL, NULL, "63"},
    {PAIRS, "task.model.max_sequence_length=63", BT_CONF_MODE_EVAL,
     "sides of 64 tokens do not fit a model of task.model.max_sequence_length 63", NULL},
    {PAIRS, "task.train_data.vocab_file=v,task.train_data.preprocessing_hub_module_url=u",
     BT_CONF_MODE_TRAIN, "preprocessing modules cannot be read", NULL},
    {CLASSIFY, "task.model.encoder.bert.num_attention_heads=7", BT_CONF_MODE_EVAL,
     "7 heads do not divide the hidden size 768", NULL},
    {CLASSIFY, "task.model.encoder.bert.hidden_size=100", BT_CONF_MODE_EVAL,
     "error: --params_override: 'task.model.encoder.bert.hidden_size=100': "
     "task.model.encoder.bert.hidden_size: 12 heads",
     NULL},
    {CLASSIFY, "task.train_data.seq_length=600", BT_CONF_MODE_TRAIN,
     "sequences of 600 tokens do not fit an encoder of 512 positions", NULL},
    {CLASSIFY, "task.train_data.seq_length=600", BT_CONF_MODE_EVAL, NULL, "600"},
    {CLASSIFY, "task.model.encoder.bert.max_position_embeddings=16", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.model.encoder.bert.max_position_embeddings=16'", NULL},
    {CLASSIFY, "trainer.steps_per_loop=3", BT_CONF_MODE_TRAIN, "must be a multiple", NULL},
    {CLASSIFY, "trainer.steps_per_loop=3,trainer.summary_interval=9", BT_CONF_MODE_TRAIN, NULL,
     "multiple"},
    {CLASSIFY, "trainer.train_steps=null", BT_CONF_MODE_TRAIN, "task.train_data.epochs", NULL},
    {CLASSIFY, "trainer.train_steps=null,task.train_data.epochs=3", BT_CONF_MODE_TRAIN, NULL,
     "train_steps"},
    {CLASSIFY, "task.validation_data.epochs=3", BT_CONF_MODE_TRAIN, "error: ", NULL},
    {CLASSIFY, "trainer.optimizer_config.learning_rate.type=cosine", BT_CONF_MODE_TRAIN,
     "learning_rate.cosine.initial_learning_rate: the 'cosine' rate needs", NULL},
    {CLASSIFY, "trainer.optimizer_config.learning_rate.type=cosine", BT_CONF_MODE_EVAL,
     "finding: trainer.optimizer_config.learning_rate.cosine.initial", NULL},
    {CLASSIFY, "trainer.optimizer_config.learning_rate.type=null", BT_CONF_MODE_TRAIN,
     "name the type of the learning rate", NULL},
    {CLASSIFY, "trainer.optimizer_config.optimizer.type=null", BT_CONF_MODE_TRAIN,
     "name the type of the optimizer", NULL},
    {CLASSIFY, "trainer.optimizer_config.optimizer.type=slide", BT_CONF_MODE_TRAIN,
     "has only its name", NULL},
    {CLASSIFY,
     "trainer.optimizer_config.optimizer.adamw.clipnorm=1,trainer.optimizer_config."
     "optimizer.adamw.global_clipnorm=1",
     BT_CONF_MODE_TRAIN, "not both", NULL},
    {CLASSIFY, "trainer.optimizer_config.learning_rate.polynomial.decay_steps=0",
     BT_CONF_MODE_TRAIN, "a decay over 0 steps", NULL},
    {CLASSIFY,
     "trainer.optimizer_config.learning_rate={type: stepwise},trainer.optimizer_config."
     "learning_rate.type=stepwise,trainer.optimizer_config.learning_rate.stepwise.values="
     "[1.0, 2.0],trainer.optimizer_config.learning_rate.stepwise.boundaries=[1, 2]",
     BT_CONF_MODE_TRAIN, "one value more", NULL},
    {CLASSIFY, "task.model.encoder.type=null", BT_CONF_MODE_TRAIN, "type of the encoder", NULL},
    {CLASSIFY, "task.model.encoder.type=any", BT_CONF_MODE_TRAIN, "Python code", NULL},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=[1.0, 2, 3]", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.class_weights=[1.0, 2, 3]': task.class_weights: 3 weights "
     "for 2 "
     "classes",
     NULL},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=[]", BT_CONF_MODE_TRAIN,
     "0 weights for 2 classes", NULL},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=[1, -0.5]", BT_CONF_MODE_TRAIN,
     "the weight of class 1 is -0.5", NULL},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=[.inf, 1]", BT_CONF_MODE_TRAIN,
     "the weight of class 0 is inf", NULL},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=[0, 0]", BT_CONF_MODE_TRAIN,
     "no example would count", NULL},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=balanced,task.label_smoothing=0.1",
     BT_CONF_MODE_TRAIN, NULL, "task.class_weights"},
    {CLASSIFY, "task.model.num_classes=2,task.class_weights=[0, 1.5]", BT_CONF_MODE_TRAIN, NULL,
     "class_weights"},
    {CLASSIFY, "task.model.num_classes=1,task.class_weights=balanced", BT_CONF_MODE_TRAIN,
     "no classes to weigh", NULL},
    {CLASSIFY, "task.model.num_classes=1,task.label_smoothing=0.1", BT_CONF_MODE_TRAIN,
     "no classes to spread over", NULL},
    {"bert/tagging", "task.class_names=[O, B, I],task.class_weights=[1, 2]", BT_CONF_MODE_TRAIN,
     "2 weights for 3 classes", NULL},
    {CLASSIFY, "trainer.early_stopping_patience=2", BT_CONF_MODE_TRAIN_AND_EVAL,
     "trainer.best_checkpoint_eval_metric is empty", NULL},
    {CLASSIFY, "trainer.early_stopping_patience=2,trainer.best_checkpoint_eval_metric=auc",
     BT_CONF_MODE_TRAIN_AND_EVAL, "trainer.best_checkpoint_export_subdir is empty", NULL},
    {CLASSIFY,
     "trainer.early_stopping_patience=2,trainer.best_checkpoint_eval_metric=auc,"
     "trainer.best_checkpoint_export_subdir=best",
     BT_CONF_MODE_TRAIN_AND_EVAL, NULL, "trainer.early"},
    {CLASSIFY, "trainer.early_stopping_patience=2", BT_CONF_MODE_TRAIN,
     "mode 'train' makes no evaluations while it trains", NULL},
    {CLASSIFY, "trainer.early_stopping_patience=2", BT_CONF_MODE_TRAIN_AND_POST_EVAL,
     "mode 'train_and_post_eval' makes no", NULL},
    {CLASSIFY, "trainer.early_stopping_patience=2", BT_CONF_MODE_EVAL, NULL, "trainer.early"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=..", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'trainer.best_checkpoint_export_subdir=..': "
     "trainer.best_checkpoint_export_subdir: '..' cannot be a folder in model_dir: '.' and '..'",
     NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=.", BT_CONF_MODE_TRAIN,
     "not names of folders", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=a/../../b", BT_CONF_MODE_TRAIN,
     "not names of folders", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=a/./b", BT_CONF_MODE_TRAIN,
     "not names of folders", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=/tmp/x", BT_CONF_MODE_TRAIN, "leads out",
     NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=gs://bucket/x", BT_CONF_MODE_TRAIN,
     "leads out", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=a//b", BT_CONF_MODE_TRAIN, "empty part",
     NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=a/", BT_CONF_MODE_TRAIN, "empty part", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=train", BT_CONF_MODE_TRAIN, "of its own",
     NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=ckpt-7", BT_CONF_MODE_TRAIN, "of its own",
     NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=checkpoint/x", BT_CONF_MODE_TRAIN,
     "of its own", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=params.yaml", BT_CONF_MODE_TRAIN,
     "of its own", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=seed_1", BT_CONF_MODE_TRAIN, "of its own",
     NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=.bert-train.lock", BT_CONF_MODE_TRAIN,
     "of its own", NULL},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=best_ckpt", BT_CONF_MODE_TRAIN, NULL,
     "model_dir"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=a/b/..c", BT_CONF_MODE_TRAIN, NULL,
     "model_dir"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=training", BT_CONF_MODE_TRAIN, NULL,
     "model_dir"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=best.ckpt-1", BT_CONF_MODE_TRAIN, NULL,
     "model_dir"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=checkpoints", BT_CONF_MODE_TRAIN, NULL,
     "model_dir"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=evaluation", BT_CONF_MODE_TRAIN, NULL,
     "model_dir"},
    {CLASSIFY, "trainer.best_checkpoint_export_subdir=''", BT_CONF_MODE_TRAIN, NULL, "model_dir"},
    {CLASSIFY, "trainer.validation_summary_subdir=../x", BT_CONF_MODE_EVAL, "not names of folders",
     NULL},
    {CLASSIFY, "trainer.validation_summary_subdir=/x", BT_CONF_MODE_PREDICT, "leads out", NULL},
    {CLASSIFY, "trainer.validation_summary_subdir=val", BT_CONF_MODE_TRAIN, NULL, "model_dir"},
    {CLASSIFY, "task.init_checkpoint=/a,task.hub_module_url=/b", BT_CONF_MODE_TRAIN, "not both",
     NULL},
    {CLASSIFY, "task.train_data.input_path=/a,task.train_data.tfds_name=b", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.train_data.tfds_name=b': task.train_data.tfds_name: 'b': "
     "TensorFlow Datasets cannot be read",
     NULL},
    {CLASSIFY, "task.train_data.tfds_name=b", BT_CONF_MODE_TRAIN, "tfds_name", "this is empty"},
    {CLASSIFY, "task.train_data.input_path=dummy", BT_CONF_MODE_EVAL, "synthetic batches", NULL},
    {CLASSIFY, "task.train_data.input_path=[dummy, x]", BT_CONF_MODE_TRAIN, NULL, "synthetic"},
    {CLASSIFY, "task.train_data.input_path=', ,'", BT_CONF_MODE_TRAIN, "this is empty", NULL},
    {CLASSIFY, "task.train_data.delimiter=ab", BT_CONF_MODE_TRAIN,
     "task.train_data.delimiter: expected one ASCII character", NULL},
    {CLASSIFY, "task.train_data.held_out=only", BT_CONF_MODE_TRAIN, "expected a share above 0",
     NULL},
    {CLASSIFY,
     "task.train_data.held_out=without,task.train_data.held_out_share=0.1,task.validation_data."
     "held_out=only,task.validation_data.held_out_share=0.2",
     BT_CONF_MODE_TRAIN_AND_EVAL, "rows would be trained on and evaluated", NULL},
    {CLASSIFY,
     "task.train_data.held_out=without,task.train_data.held_out_share=0.2,task.validation_data."
     "held_out=only,task.validation_data.held_out_share=0.2,task.train_data.held_out_fold=1",
     BT_CONF_MODE_TRAIN_AND_EVAL, "with seed 0 and fold 1, task.validation_data 0.2", NULL},
    {CLASSIFY,
     "task.train_data.held_out=without,task.train_data.held_out_share=0.2,task.train_data.held_out_"
     "fold=5",
     BT_CONF_MODE_TRAIN, "a share of 0.2 has the parts 0 to 4, and 5 is beyond", NULL},
    {CLASSIFY,
     "task.train_data.held_out=without,task.train_data.held_out_share=0.2,task.train_data.held_out_"
     "fold=4",
     BT_CONF_MODE_TRAIN, NULL, "beyond"},
    {CLASSIFY, MULTI ",task.class_weights=[1, 2, 3]", BT_CONF_MODE_EVAL,
     "error: --params_override: 'task.class_weights=[1, 2, 3]': task.class_weights: "
     "task.class_weights and task.label_smoothing are for one class a row",
     NULL},
    {CLASSIFY, MULTI ",task.class_weights=balanced", BT_CONF_MODE_TRAIN, "one class a row", NULL},
    {CLASSIFY, MULTI ",task.label_smoothing=0.1", BT_CONF_MODE_TRAIN,
     "task.label_smoothing: task.class_weights and", NULL},
    {CLASSIFY, MULTI, BT_CONF_MODE_TRAIN, NULL, "one class a row"},
    {CLASSIFY, "task.problem_type=multi_label_classification", BT_CONF_MODE_TRAIN,
     "set the number of classes", NULL},
    {PAIRS, "task.model.eval_top_k=[1, 1]", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.model.eval_top_k=[1, 1]': task.model.eval_top_k: 1 appears "
     "twice",
     NULL},
    {PAIRS, "task.model.eval_top_k=[1, 0]", BT_CONF_MODE_TRAIN, "of at least 1, got 0", NULL},
    {PAIRS, "task.model.eval_top_k=[1, 2, 3, 4, 5, 6, 7]", BT_CONF_MODE_TRAIN, NULL, "eval_top_k"},
    {PAIRS, "task.model.bidirectional=true,task.model.eval_top_k=[1, 2, 3, 4, 5, 6, 7]",
     BT_CONF_MODE_TRAIN, "at most 6 values are reported, got 7", NULL},
    {CLASSIFY, "task.validation_data.is_training=true", BT_CONF_MODE_TRAIN_AND_EVAL,
     "error: --params_override: 'task.validation_data.is_training=true': "
     "task.validation_data.is_training: this is true and trainer.validation_steps is -1",
     NULL},
    {CLASSIFY, "task.validation_data.is_training=true,trainer.validation_steps=3",
     BT_CONF_MODE_TRAIN_AND_EVAL, NULL, "never end"},
    {CLASSIFY, "task.validation_data.is_training=true", BT_CONF_MODE_TRAIN, NULL, "never end"},
    {CLASSIFY, "task.validation_data.is_training=true", BT_CONF_MODE_PREDICT, NULL, "never end"},
    {"bert/squad", "", BT_CONF_MODE_TRAIN_AND_EVAL, NULL, "never end"},
    {CLASSIFY, "task.train_data.vocab_file=v,task.train_data.text_fields=[a, b, c]",
     BT_CONF_MODE_TRAIN, "error: --params_override: 'task.train_data.text_fields=[a, b, c]'", NULL},
    {CLASSIFY, "task.train_data.vocab_file=v,task.train_data.text_fields=[a, b, c]",
     BT_CONF_MODE_TRAIN, "3 fields, but the model's type_vocab_size is 2: each text", NULL},
    {CLASSIFY,
     "task.train_data.vocab_file=v,task.train_data.text_fields=[a, b],"
     "task.model.encoder.bert.type_vocab_size=1",
     BT_CONF_MODE_EVAL, NULL, "segment"},
    {PAIRS,
     "task.train_data.vocab_file=v,task.train_data.right_text_fields=[a, b],"
     "task.model.encoder.bert.type_vocab_size=1",
     BT_CONF_MODE_TRAIN, "right_text_fields: 2 fields, but", NULL},
    {PAIRS, "task.model.encoder.bert.type_vocab_size=1", BT_CONF_MODE_TRAIN, NULL, "segment"},
    {CLASSIFY, BEST "nonsense,task.model.num_classes=2", BT_CONF_MODE_TRAIN_AND_EVAL,
     "error: --params_override: 'trainer.best_checkpoint_eval_metric=nonsense': "
     "trainer.best_checkpoint_eval_metric: 'nonsense': the evaluation of this task has only "
     "cls_accuracy, auc, f1, precision, recall, roc_auc, log_loss, ece, "
     "validation_loss, and by their names ",
     NULL},
    {CLASSIFY, BEST "f1_marco,task.model.num_classes=3", BT_CONF_MODE_TRAIN_AND_EVAL,
     "did you mean 'f1_macro'?", NULL},
    {CLASSIFY, BEST "f1/some class,task.model.num_classes=3", BT_CONF_MODE_TRAIN_AND_EVAL, NULL,
     "best_checkpoint"},
    {CLASSIFY, BEST "cohen_kappa,task.model.num_classes=3,task.metrics=[none]",
     BT_CONF_MODE_TRAIN_AND_EVAL, NULL, "best_checkpoint"},
    {CLASSIFY, BEST "nonsense,task.model.num_classes=2", BT_CONF_MODE_TRAIN, NULL, "nonsense"},
    {CLASSIFY, BEST "f1,task.model.num_classes=2,task.metric_type=f1", BT_CONF_MODE_TRAIN_AND_EVAL,
     NULL, "best_checkpoint"},
    {CLASSIFY, BEST "auc," MULTI, BT_CONF_MODE_EVAL,
     "has only f1_micro, f1_macro, exact_match, f1_samples, precision_micro, recall_micro, "
     "validation_loss",
     NULL},
    {"bert/tagging", BEST "auc", BT_CONF_MODE_EVAL,
     "has only f1, precision, recall, accuracy, f1_macro, validation_loss", NULL},
    {PAIRS, BEST "right_mrr", BT_CONF_MODE_EVAL, "left_recall_at_10, left_mrr, validation_loss",
     NULL},
    {PAIRS, BEST "right_mrr,task.model.bidirectional=true", BT_CONF_MODE_EVAL, NULL, "right_mrr"},
    {"bert/squad", BEST "f1", BT_CONF_MODE_EVAL, "has only exact_match, final_f1", NULL},
    {"bert/squad", BEST "has_answer_f1", BT_CONF_MODE_EVAL,
     "without it there are exact_match and final_f1", "of this task"},
    {"bert/squad", BEST "has_answer_f1,task.validation_data.version_2_with_negative=true",
     BT_CONF_MODE_EVAL, NULL, "has_answer_f1"},
    {CLASSIFY, "runtime.loss_scale=-1", BT_CONF_MODE_TRAIN, "number above 0", NULL},
    {CLASSIFY, "runtime.loss_scale=dynamic", BT_CONF_MODE_TRAIN, NULL, "loss_scale"},
    {CLASSIFY, "trainer.optimizer_config.optimizer.adamw.clipnorm=0", BT_CONF_MODE_TRAIN,
     "expected a number > 0, or null for no clipping, got 0", NULL},
    {CLASSIFY,
     "trainer.optimizer_config.optimizer.type=adam_experimental,trainer.optimizer_config."
     "optimizer.adam_experimental.clipnorm=0",
     BT_CONF_MODE_TRAIN, NULL, "clipnorm"},
    {CLASSIFY, "{trainer: {optimizer_config: {ema: {clipnorm: 1}}}}", BT_CONF_MODE_TRAIN,
     "ema.clipnorm: 1: it has no effect", NULL},
    {CLASSIFY, "{trainer: {optimizer_config: {optimizer: {type: adam_experimental}, ema: {}}}}",
     BT_CONF_MODE_TRAIN, "cannot wrap", NULL},
    {CLASSIFY, "task.model.encoder.type=bigbird", BT_CONF_MODE_TRAIN,
     "error: --params_override: 'task.model.encoder.type=bigbird': task.model.encoder.type: "
     "'bigbird': its block-sparse attention is not supported",
     NULL},
    {CLASSIFY, "{task: {differential_privacy_config: {clipping_norm: 1}}}", BT_CONF_MODE_TRAIN,
     "differential_privacy_config: it is set: differential privacy is not supported", NULL},
    {CLASSIFY, "task.train_data.enable_tf_data_service=true", BT_CONF_MODE_TRAIN,
     "enable_tf_data_service: true: tf.data service is not supported", NULL},
    {PAIRS, "task.train_data.vocab_file=v,task.train_data.left_text_fields=[]", BT_CONF_MODE_TRAIN,
     "columns that hold the left text", NULL},
    {"bert/squad", "task.train_data.tokenization=SentencePiece", BT_CONF_MODE_TRAIN,
     "SentencePiece is not supported", NULL},
    {"bert/squad", "task.train_data.xlnet_format=true", BT_CONF_MODE_TRAIN,
     "XLNet is not supported", NULL},
    {"bert/tagging", "task.meta_data_path=/m,task.class_weights=[-1]", BT_CONF_MODE_TRAIN,
     "the weight of class 0 is -1", NULL},
    {"bert/pretraining", "task.train_data.tfds_name=x", BT_CONF_MODE_TRAIN, NULL, "tfds_name"},
    {"bert/sentence_prediction_text", "", BT_CONF_MODE_TRAIN, "text_fields", NULL},
    {"bert/sentence_prediction_text", "", BT_CONF_MODE_TRAIN, "vocab_file", NULL},
    {"bert/sentence_prediction_text",
     "task.train_data.vocab_file=/v,task.train_data.preprocessing_hub_module_url=/h",
     BT_CONF_MODE_TRAIN, "preprocessing_hub_module_url: '/h': preprocessing modules", NULL},
};

static bool has_problem(const bt_conf_errors *errors, const char *want) {
    for (size_t i = 0; i < errors->n; i++) {
        char text[2048];
        (void)snprintf(text, sizeof(text), "%s: %s",
                       errors->items[i].severity == BT_CONF_ERROR ? "error" : "finding",
                       errors->items[i].text);
        if (strstr(text, want) != NULL) {
            return true;
        }
    }
    return false;
}

static void test_mode_checks(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_conf       *conf = build_conf(rows[i].experiment, rows[i].override);
        bt_conf_errors errors = BT_CONF_ERRORS_INIT;
        assert_ok(bt_train_check_conf(conf, rows[i].mode, &errors, err));
        if (rows[i].want != NULL && !has_problem(&errors, rows[i].want)) {
            fail_msg("row %zu '%s': nothing says '%s' (%zu problems, first '%s')", i,
                     rows[i].override, rows[i].want, errors.n,
                     errors.n > 0 ? errors.items[0].text : "");
        }
        if (rows[i].unwanted != NULL && has_problem(&errors, rows[i].unwanted)) {
            fail_msg("row %zu '%s': '%s' is complained about", i, rows[i].override,
                     rows[i].unwanted);
        }
        bt_conf_errors_deinit(&errors);
        bt_conf_free(conf);
    }
}

/* A dry run of any default experiment works in any mode: findings, but no errors. */
static void test_defaults_are_no_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        bt_conf *conf = build_conf(bt_conf_experiment_at(i)->name, NULL);
        for (int mode = BT_CONF_MODE_TRAIN; mode <= BT_CONF_MODE_PREDICT; mode++) {
            bt_conf_errors errors = BT_CONF_ERRORS_INIT;
            assert_ok(bt_train_check_conf(conf, (bt_conf_mode)mode, &errors, err));
            assert_int_equal(errors.n_errors, 0);
            bt_conf_errors_deinit(&errors);
        }
        bt_conf_free(conf);
    }
}

/* With every allocation failing in turn: memory is all that can be missing. */
static void test_out_of_memory(void **state) {
    (void)state;
    bt_conf  *conf = build_conf(CLASSIFY, "task.train_data.tfds_name=b,trainer.steps_per_loop=3");
    bt_status rc = BT_E_NOMEM;
    uint64_t  k = 1;
    for (; rc != BT_OK; k++) {
        bt_conf_errors errors = BT_CONF_ERRORS_INIT;
        bt_error       why = BT_ERROR_INIT;
        bt_alloc_fail_at(k, true);
        rc = bt_train_check_conf(conf, BT_CONF_MODE_TRAIN_AND_EVAL, &errors, &why);
        bt_alloc_fail_at(0, false);
        assert_true(rc == BT_OK || rc == BT_E_NOMEM);
        assert_true(rc != BT_OK || errors.n_errors == 2);
        bt_conf_errors_deinit(&errors);
    }
    assert_true(k > 5);
    bt_conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode_checks),
        cmocka_unit_test(test_defaults_are_no_errors),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
