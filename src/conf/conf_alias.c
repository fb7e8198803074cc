/* SPDX-License-Identifier: Apache-2.0
 *
 * What other programs (the first BERT's, transformers', Model Garden's older ones) call a key, and
 * what it is called here, for messages. Several rows of a word: the first whose key the experiment
 * has. A star is the branch that is chosen; what begins with -- is a flag. */
#include <stdio.h>
#include <string.h>

#include "conf_internal.h"

#define TRAIN "task.train_data."
#define VALIDATION "task.validation_data."
#define ENCODER "task.model.encoder.*."
#define RATE "trainer.optimizer_config.learning_rate.*."
#define OPTIMIZER "trainer.optimizer_config.optimizer.*."
#define WARMUP "trainer.optimizer_config.warmup.*.warmup_steps"

typedef struct conf_alias {
    const char *word;
    const char *key;
} conf_alias;

static const conf_alias rows[] = {
    {"batch_size", TRAIN "global_batch_size"},
    {"train_batch_size", TRAIN "global_batch_size"},
    {"per_device_train_batch_size", TRAIN "global_batch_size"},
    {"per_gpu_train_batch_size", TRAIN "global_batch_size"},
    {"eval_batch_size", VALIDATION "global_batch_size"},
    {"predict_batch_size", VALIDATION "global_batch_size"},
    {"per_device_eval_batch_size", VALIDATION "global_batch_size"},
    {"per_gpu_eval_batch_size", VALIDATION "global_batch_size"},
    {"num_train_epochs", TRAIN "epochs"},
    {"num_epochs", TRAIN "epochs"},
    {"train_epochs", TRAIN "epochs"},
    {"n_epochs", TRAIN "epochs"},
    {"max_epochs", TRAIN "epochs"},
    {"epoch", TRAIN "epochs"},
    {"epochs", TRAIN "epochs"},
    {"max_seq_length", TRAIN "seq_length"},
    {"max_length", TRAIN "seq_length"},
    {"max_seq_len", TRAIN "seq_length"},
    {"max_len", TRAIN "seq_length"},
    {"model_max_length", TRAIN "seq_length"},
    {"sequence_length", TRAIN "seq_length"},
    {"max_query_length", TRAIN "query_length"},
    {"random_seed", TRAIN "seed"},
    {"data_seed", TRAIN "seed"},
    {"seed", TRAIN "seed"},
    {"train_file", TRAIN "input_path"},
    {"train_data_path", TRAIN "input_path"},
    {"train_files", TRAIN "input_path"},
    {"input_file", TRAIN "input_path"},
    {"input_files", TRAIN "input_path"},
    {"data_dir", TRAIN "input_path"},
    {"dataset", TRAIN "input_path"},
    {"dataset_name", TRAIN "input_path"},
    {"validation_file", VALIDATION "input_path"},
    {"eval_file", VALIDATION "input_path"},
    {"dev_file", VALIDATION "input_path"},
    {"test_file", VALIDATION "input_path"},
    {"predict_file", VALIDATION "input_path"},
    {"eval_data_path", VALIDATION "input_path"},
    {"input_meta_data_path", "task.meta_data_path"},
    {"do_lower_case", TRAIN "do_lower_case"},
    {"do_lower_case", TRAIN "lower_case"},
    {"text_column", TRAIN "text_fields"},
    {"text_column_name", TRAIN "text_fields"},
    {"sentence1_key", TRAIN "text_fields"},
    {"label_column", TRAIN "label_field"},
    {"label_column_name", TRAIN "label_field"},
    {"shuffle", TRAIN "shuffle_buffer_size"},
    {"buffer_size", TRAIN "shuffle_buffer_size"},
    {"drop_last", TRAIN "drop_remainder"},
    {"dataloader_drop_last", TRAIN "drop_remainder"},
    {"vocab_path", TRAIN "vocab_file"},
    {"num_labels", "task.model.num_classes"},
    {"n_classes", "task.model.num_classes"},
    {"num_labels", "task.class_names"},
    {"num_classes", "task.class_names"},
    {"label_list", "task.label_names"},
    {"label_list", "task.class_names"},
    {"labels", "task.label_names"},
    {"labels", "task.class_names"},
    {"id2label", "task.label_names"},
    {"id2label", "task.class_names"},
    {"label_smoothing_factor", "task.label_smoothing"},
    {"pooling_mode", "task.model.pooling"},
    {"null_score_diff_threshold", "task.null_score_diff_threshold"},
    {"model_name_or_path", "task.init_checkpoint"},
    {"model_name", "task.init_checkpoint"},
    {"pretrained_model", "task.init_checkpoint"},
    {"checkpoint_path", "task.init_checkpoint"},
    {"bert_model", "task.init_checkpoint"},
    {"bert_config_file", "task.init_checkpoint"}, /* bert_config.json beside it is read */
    {"num_hidden_layers", ENCODER "num_layers"},
    {"n_layers", ENCODER "num_layers"},
    {"n_heads", ENCODER "num_attention_heads"},
    {"hidden_dim", ENCODER "hidden_size"},
    {"hidden_act", ENCODER "hidden_activation"},
    {"activation", ENCODER "hidden_activation"},
    {"dropout", ENCODER "dropout_rate"},
    {"hidden_dropout_prob", ENCODER "dropout_rate"},
    {"attention_probs_dropout_prob", ENCODER "attention_dropout_rate"},
    {"attention_dropout", ENCODER "attention_dropout_rate"},
    {"classifier_dropout", "task.model.head_dropout"},
    {"layer_norm_epsilon", ENCODER "layer_norm_eps"},
    {"learning_rate", RATE "initial_learning_rate"},
    {"learning_rate", RATE "learning_rate"},
    {"learning_rate", RATE "values"},
    {"lr", RATE "initial_learning_rate"},
    {"lr", RATE "learning_rate"},
    {"lr", RATE "values"},
    {"init_lr", RATE "initial_learning_rate"},
    {"initial_lr", RATE "initial_learning_rate"},
    {"base_lr", RATE "initial_learning_rate"},
    {"end_lr", RATE "end_learning_rate"},
    {"lr_scheduler_type", "trainer.optimizer_config.learning_rate.type"},
    {"lr_schedule", "trainer.optimizer_config.learning_rate.type"},
    {"scheduler", "trainer.optimizer_config.learning_rate.type"},
    {"optim", "trainer.optimizer_config.optimizer.type"},
    {"optimizer", "trainer.optimizer_config.optimizer.type"},
    {"optimizer_type", "trainer.optimizer_config.optimizer.type"},
    {"weight_decay", OPTIMIZER "weight_decay_rate"},
    {"weight_decay", OPTIMIZER "weight_decay"},
    {"adam_epsilon", OPTIMIZER "epsilon"},
    {"adam_beta1", OPTIMIZER "beta_1"},
    {"adam_beta2", OPTIMIZER "beta_2"},
    {"max_grad_norm", OPTIMIZER "gradient_clip_norm"},
    {"max_grad_norm", OPTIMIZER "global_clipnorm"},
    {"gradient_clip_val", OPTIMIZER "gradient_clip_norm"},
    {"gradient_clip_val", OPTIMIZER "global_clipnorm"},
    {"num_warmup_steps", WARMUP},
    {"warmup_steps", WARMUP},
    {"warmup_ratio", "trainer.warmup_fraction"},
    {"warmup_proportion", "trainer.warmup_fraction"},
    {"max_steps", "trainer.train_steps"},
    {"num_train_steps", "trainer.train_steps"},
    {"steps", "trainer.train_steps"},
    {"total_steps", "trainer.train_steps"},
    {"save_steps", "trainer.checkpoint_interval"},
    {"save_checkpoints_steps", "trainer.checkpoint_interval"},
    {"eval_steps", "trainer.validation_interval"},
    {"eval_interval", "trainer.validation_interval"},
    {"num_eval_steps", "trainer.validation_steps"},
    {"max_eval_steps", "trainer.validation_steps"},
    {"logging_steps", "trainer.summary_interval"},
    {"log_steps", "trainer.summary_interval"},
    {"iterations_per_loop", "trainer.steps_per_loop"},
    {"save_total_limit", "trainer.max_to_keep"},
    {"keep_checkpoint_max", "trainer.max_to_keep"},
    {"accumulate_grad_batches", "trainer.gradient_accumulation_steps"},
    {"patience", "trainer.early_stopping_patience"},
    {"metric_for_best_model", "trainer.best_checkpoint_eval_metric"},
    {"greater_is_better", "trainer.best_checkpoint_metric_comp"},
    {"load_best_model_at_end", "trainer.best_checkpoint_export_subdir"},
    {"fp16", "runtime.mixed_precision_dtype"},
    {"bf16", "runtime.mixed_precision_dtype"},
    {"dtype", "runtime.mixed_precision_dtype"},
    {"precision", "runtime.mixed_precision_dtype"},
    {"use_fp16", "runtime.mixed_precision_dtype"},
    {"num_threads", "runtime.threads"},
    {"n_threads", "runtime.threads"},
    {"no_cuda", "runtime.distribution_strategy"},
    {"strategy_type", "runtime.distribution_strategy"},
    {"gradient_checkpointing", "runtime.recompute"},
    {"fp16_loss_scale", "runtime.loss_scale"},
    {"output_dir", "--model_dir"},
    {"model_dir", "--model_dir"},
    {"mode", "--mode"},
    {"experiment", "--experiment"},
    {"do_train", "--mode=train"},
    {"do_eval", "--mode=eval"},
    {"do_predict", "--mode=predict"},
    {"output_file", "--output_path"},
    {"output_path", "--output_path"},
    {"resume_from_checkpoint", "--model_dir"},
    {"task_name", "--experiment"},
    {"config", "--config_file"},
    {"config_name", "--config_file"},
};

/* The same key of the section that the unknown one is in. */
static const char *in_section(const bt_conf *conf, const char *key, const char *where,
                              char out[CONF_MAX_PATH]) {
    const char *const sections[] = {TRAIN, VALIDATION};
    for (size_t i = 0; i < BT_ARRAY_LEN(sections); i++) {
        const size_t n = strlen(sections[1 - i]);
        if (bt_str_starts_with(where, sections[i]) && bt_str_starts_with(key, sections[1 - i])) {
            (void)snprintf(out, CONF_MAX_PATH, "%s%s", sections[i], key + n);
            return bt_conf_has(conf, out) ? out : key;
        }
    }
    return key;
}

const char *conf_find_alias(const bt_conf *conf, const char *word, const char *where,
                            char out[CONF_MAX_PATH]) {
    char near[CONF_MAX_PATH];
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const char *const key = rows[i].key;
        if (strcmp(rows[i].word, word) == 0 && (key[0] == '-' || bt_conf_has(conf, key))) {
            const char *const found = in_section(conf, key, where, near);
            char              expanded[CONF_MAX_PATH];
            (void)snprintf(out, CONF_MAX_PATH, "%s", conf_expand_branch(conf, found, expanded));
            return out;
        }
    }
    return NULL;
}

/* The usual branches: there is no configuration yet. */
const char *bt_conf_alias(const char *word, char out[BT_CONF_ALIAS_MAX]) {
    static const struct {
        const char *above;
        const char *branch;
    } usual[] = {{"encoder", "bert"},
                 {"learning_rate", "polynomial"},
                 {"optimizer", "adamw"},
                 {"warmup", "polynomial"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const char *const star = strchr(rows[i].key, '*');
        if (strcmp(rows[i].word, word) != 0) {
            continue;
        }
        (void)snprintf(out, BT_CONF_ALIAS_MAX, "%s", rows[i].key);
        for (size_t k = 0; star != NULL && k < BT_ARRAY_LEN(usual); k++) {
            const size_t n = strlen(usual[k].above);
            if (strncmp(star - 1 - n, usual[k].above, n) == 0) {
                (void)snprintf(out, BT_CONF_ALIAS_MAX, "%.*s%s%s", (int)(star - rows[i].key),
                               rows[i].key, usual[k].branch, star + 1);
            }
        }
        return out;
    }
    return NULL;
}
