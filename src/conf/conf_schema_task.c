/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema tables: tasks, models and heads.
 * One row a key: name, type, flags, default, range, meaning. Names and defaults are those of Model
 * Garden 2.19.1; EXT marks keys of our own. Keys stand in sorted order. */
#include "conf_schema.h"

/* These refer to each other. */
static const conf_class conf_class_sentence_model;
static const conf_class conf_class_qa_model;
static const conf_class conf_class_tagging_model;
static const conf_class conf_class_dual_encoder_model;
static const conf_class conf_class_pretrainer;
static const conf_class conf_class_electra_pretrainer;
static const conf_class conf_class_cls_head;

#define CLASS_WEIGHTS_DOC                                                                          \
    "weight of each class in the training loss, the mean being sum(w loss) / sum(w); balanced = "  \
    "n / (n_classes * count) of the training data; null = all 1"
#define METRICS_DOC                                                                                \
    "more metrics of an evaluation by their names; all, none (Model Garden's alone), per_class"
#define LABEL_SMOOTHING_DOC "share of the target spread over all classes, in evaluation too"

/* Ours: null unless it is written. */
#define LORA_KEY                                                                                   \
    {                                                                                              \
        "lora", T_SECTION, EXT | NULLABLE | ABSENT, NULL, &conf_class_lora, NULL,                  \
            "adapters that are trained in place of the encoder (null = off)", CONF_ACTS, NULL      \
    }
#define FREEZE_KEY                                                                                 \
    KEY("freeze", T_PATHS, EXT | NULLABLE, "", RULE_NONE,                                          \
        "what is not trained, with commas: embeddings, layers, layers.N, layers.A-B, pooler, "     \
        "encoder, head")

static const conf_key lora_keys[] = {
    KEY("alpha", T_FLOAT, EXT, "8.0", RULE_FINITE, "scale of what the adapters add, times rank"),
    KEY("dropout", T_FLOAT, EXT, "0.0", RULE_RATE, "dropout of what the adapters read"),
    KEY("init", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "folder of PEFT's adapters to start from, over the weights of init_checkpoint"),
    KEY("rank", T_INT, EXT, "8", RULE_GE1, "width between the two factors of an adapter"),
    KEY("rslora", T_BOOL, EXT, "false", RULE_NONE, "alpha is divided by the root of rank"),
    KEY("targets", T_STR_LIST, EXT, "query, value", RULE_NONE,
        "kernels that have adapters: query, key, value, attention_output, intermediate, output"),
};
static const conf_class conf_class_lora = {"peft.LoraConfig", NULL, lora_keys,
                                           BT_ARRAY_LEN(lora_keys), false};

static const conf_key task_keys[] = {
    KEY_IGNORED("allow_image_summary", T_BOOL, QUIET, "false", RULE_NONE, "write image summaries",
                "there are no images"),
    NO_SECTION_REFUSED("differential_privacy_config", &conf_class_differential_privacy,
                       "clip and blur gradients for differential privacy (null = off)",
                       "differential privacy is not supported; set it to null"),
    KEY("init_checkpoint", T_STR, NULLABLE | PATH, "", RULE_NONE,
        "checkpoint to start from: a prefix, a directory, or one of its files"),
    NO_SECTION("model", &conf_class_empty, "the model: encoder and head"),
    KEY("name", T_STR, NULLABLE, NULL, RULE_NONE,
        "what continuous_train_and_eval calls the task in its events"),
    SECTION("train_data", &conf_class_data, "the training examples"),
    SECTION("validation_data", &conf_class_data, "the evaluation examples"),
};
const conf_class conf_class_task = {"official.core.config_definitions.TaskConfig", NULL, task_keys,
                                    BT_ARRAY_LEN(task_keys), false};

/* Of all tasks that are trained: what a run starts from is read whatever the task is. */
static const conf_key trained_task_keys[] = {
    KEY("hub_module_sha256", T_STR, EXT | NULLABLE, "", RULE_NONE, "pin of a downloaded module"),
    KEY("hub_module_url", T_STR, NULLABLE | PATH, "", RULE_NONE,
        "TF Hub module to start from, instead of init_checkpoint"),
};
static const conf_class conf_class_trained_task = {"official.core.config_definitions.TaskConfig",
                                                   &conf_class_task, trained_task_keys,
                                                   BT_ARRAY_LEN(trained_task_keys), false};

static const conf_key sentence_prediction_keys[] = {
    KEY("bootstrap_samples", T_INT, EXT, "0", RULE_GE0,
        "samples for 95 % intervals of an evaluation's metrics (1000 is usual; 0: no intervals)"),
    KEY("bootstrap_seed", T_INT, EXT, "0", RULE_GE0, "which samples they are"),
    KEY("calibrate", T_BOOL, EXT, "false", RULE_NONE,
        "fit a temperature on each evaluation's rows, by which predictions divide the logits"),
    KEY("class_weights", T_FLOATS_OR_WORD, EXT | NULLABLE, NULL,
        &(const conf_rule)CHOICES("balanced"), CLASS_WEIGHTS_DOC),
    KEY("decision_threshold", T_STR_OR_FLOAT, EXT | NULLABLE, NULL,
        &(const conf_rule)CHOICES("auto"),
        "class 1 of two (a class of several labels) applies from this probability on; auto = "
        "chosen on each evaluation's rows; null = the most probable class"),
    KEY("init_cls_pooler", T_BOOL, 0, "false", RULE_NONE,
        "load the pooler of init_checkpoint into the classification head too"),
    KEY("init_head", T_BOOL, EXT, "false", RULE_NONE, "take the head from init_checkpoint too"),
    KEY("label_names", T_STR_LIST, EXT | NULLABLE, NULL, RULE_NONE,
        "names of the classes in the order of their ids, for predictions (null = as the data say)"),
    KEY("label_smoothing", T_FLOAT, EXT, "0.0", RULE_RATE, LABEL_SMOOTHING_DOC),
    KEY("meta_data_path", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "meta data that create-finetuning-data wrote: the classes' number and names come with it"),
    KEY("metric_type", T_STR, 0, "accuracy",
        &(const conf_rule)CHOICES("accuracy|f1|matthews_corrcoef|pearson_spearman_corr"),
        "metric to log besides the losses"),
    KEY("metrics", T_STR_LIST, EXT | NULLABLE, NULL, RULE_NONE, METRICS_DOC),
    SECTION("model", &conf_class_sentence_model, "the model: encoder and head"),
    KEY("prediction_threshold", T_FLOAT, EXT, "0.5", RULE_INSIDE,
        "several labels a row: a class applies from this probability on"),
    KEY("problem_type", T_STR, EXT | NULLABLE, NULL,
        &(const conf_rule)CHOICES(
            "single_label_classification|multi_label_classification|regression"),
        "as in Hugging Face's config.json (null: a class a row; with num_classes 1 a score)"),
};
const conf_class conf_class_sentence_prediction = {
    "official.nlp.tasks.sentence_prediction.SentencePredictionConfig", &conf_class_trained_task,
    sentence_prediction_keys, BT_ARRAY_LEN(sentence_prediction_keys), false};

static const conf_key sentence_model_keys[] = {
    SECTION("encoder", &conf_class_encoder, "the encoder, one of several types"),
    FREEZE_KEY,
    KEY("head_dropout", T_FLOAT, EXT, "0.1", RULE_RATE, "dropout of the classification head"),
    LORA_KEY,
    KEY("num_classes", T_INT, 0, "0", RULE_GE1, "number of classes; 1 means regression"),
    KEY("use_encoder_pooler", T_BOOL, 0, "false", RULE_NONE,
        "classify from the encoder's own pooled output"),
};
static const conf_class conf_class_sentence_model = {
    "official.nlp.tasks.sentence_prediction.ModelConfig", NULL, sentence_model_keys,
    BT_ARRAY_LEN(sentence_model_keys), false};

static const conf_key question_answering_keys[] = {
    KEY("init_head", T_BOOL, EXT, "false", RULE_NONE, "take the head from init_checkpoint too"),
    KEY("max_answer_length", T_INT, 0, "30", RULE_GE1, "longest answer in tokens"),
    SECTION("model", &conf_class_qa_model, "the model: encoder and head"),
    KEY("n_best_size", T_INT, 0, "20", RULE_GE1, "candidate answers kept for each question"),
    KEY("null_score_diff_threshold", T_FLOAT, 0, "0.0", RULE_NONE,
        "SQuAD 2: answer \"none\" above this score difference"),
};
const conf_class conf_class_question_answering = {
    "official.nlp.tasks.question_answering.QuestionAnsweringConfig", &conf_class_trained_task,
    question_answering_keys, BT_ARRAY_LEN(question_answering_keys), false};

static const conf_key qa_model_keys[] = {
    SECTION("encoder", &conf_class_encoder, "the encoder, one of several types"),
    FREEZE_KEY,
    LORA_KEY,
};
static const conf_class conf_class_qa_model = {"official.nlp.tasks.question_answering.ModelConfig",
                                               NULL, qa_model_keys, BT_ARRAY_LEN(qa_model_keys),
                                               false};

static const conf_key tagging_keys[] = {
    KEY("class_names", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "names of the tags, in the order of their ids"),
    KEY("class_weights", T_FLOATS_OR_WORD, EXT | NULLABLE, NULL,
        &(const conf_rule)CHOICES("balanced"), CLASS_WEIGHTS_DOC),
    KEY("init_head", T_BOOL, EXT, "false", RULE_NONE, "take the head from init_checkpoint too"),
    KEY("label_smoothing", T_FLOAT, EXT, "0.0", RULE_RATE, LABEL_SMOOTHING_DOC),
    KEY("meta_data_path", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "meta data that create-finetuning-data wrote: class_names may be left out with it"),
    KEY("metrics", T_STR_LIST, EXT | NULLABLE, NULL, RULE_NONE, METRICS_DOC),
    SECTION("model", &conf_class_tagging_model, "the model: encoder and head"),
};
const conf_class conf_class_tagging = {"official.nlp.tasks.tagging.TaggingConfig",
                                       &conf_class_trained_task, tagging_keys,
                                       BT_ARRAY_LEN(tagging_keys), false};

static const conf_key tagging_model_keys[] = {
    SECTION("encoder", &conf_class_encoder, "the encoder, one of several types"),
    FREEZE_KEY,
    KEY("head_dropout", T_FLOAT, 0, "0.1", RULE_RATE, "dropout before the head's last layer"),
    KEY("head_initializer_range", T_FLOAT, 0, "0.02", RULE_GE0,
        "standard deviation of the head's initial weights"),
    LORA_KEY,
};
static const conf_class conf_class_tagging_model = {"official.nlp.tasks.tagging.ModelConfig", NULL,
                                                    tagging_model_keys,
                                                    BT_ARRAY_LEN(tagging_model_keys), false};

static const conf_key dual_encoder_keys[] = {
    KEY("gold_pairs", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "what predict is measured by: 'rows' (row i belongs to row i), or a file of lines "
        "'left id, TAB, right id'"),
    KEY("mining_neighbours", T_INT, EXT, "4", RULE_GE1,
        "nearest neighbours that a ratio margin is taken over"),
    KEY("mining_score", T_STR, EXT, "ratio", &(const conf_rule)CHOICES("ratio|cosine"),
        "how predict scores a pair: cosine over that of its neighbours, or the cosine itself"),
    SECTION("model", &conf_class_dual_encoder_model, "the model: encoder and scores"),
};
const conf_class conf_class_dual_encoder = {"official.nlp.tasks.dual_encoder.DualEncoderConfig",
                                            &conf_class_trained_task, dual_encoder_keys,
                                            BT_ARRAY_LEN(dual_encoder_keys), false};

static const conf_key dual_encoder_model_keys[] = {
    KEY("bidirectional", T_BOOL, 0, "false", RULE_NONE,
        "the right side must find its left side too"),
    SECTION("encoder", &conf_class_encoder, "the encoder, one of several types"),
    KEY("eval_top_k", T_INT_LIST, TUPLE, "1, 3, 10", RULE_GE1,
        "recall at each of these is reported"),
    FREEZE_KEY,
    KEY("logit_margin", T_FLOAT, 0, "0", RULE_NONE,
        "taken off the score of the right pair, in training and evaluation"),
    KEY("logit_scale", T_FLOAT, 0, "1", RULE_NONE, "factor of all scores"),
    LORA_KEY,
    KEY_IGNORED("max_sequence_length", T_INT, QUIET, "64", RULE_GE1, "tokens per side",
                "it must be seq_length of the data, which is what counts"),
    KEY("normalize", T_BOOL, 0, "true", RULE_NONE, "sentence vectors of unit length"),
    KEY("pooling", T_STR, EXT, "pooler", &(const conf_rule)CHOICES("pooler|cls|mean|max"),
        "a sentence's vector: tanh(pooler([CLS])), the output of [CLS], or the mean or maximum "
        "over "
        "all tokens"),
};
static const conf_class conf_class_dual_encoder_model = {
    "official.nlp.tasks.dual_encoder.ModelConfig", NULL, dual_encoder_model_keys,
    BT_ARRAY_LEN(dual_encoder_model_keys), false};

static const conf_key masked_lm_keys[] = {
    SECTION("model", &conf_class_pretrainer, "the model: encoder and head"),
    KEY("scale_loss", T_BOOL, 0, "false", RULE_NONE,
        "divide the loss by the number of replicas in the task"),
};
const conf_class conf_class_masked_lm = {"official.nlp.tasks.masked_lm.MaskedLMConfig",
                                         &conf_class_task, masked_lm_keys,
                                         BT_ARRAY_LEN(masked_lm_keys), false};

static const conf_key pretrainer_keys[] = {
    SECTIONS("cls_heads", &conf_class_cls_head, "classification heads, a list of sections"),
    SECTION("encoder", &conf_class_encoder, "the encoder, one of several types"),
    KEY("mlm_activation", T_STR, 0, "gelu", RULE_NONE, "activation of the masked-word head"),
    KEY("mlm_initializer_range", T_FLOAT, 0, "0.02", RULE_GE0,
        "standard deviation of the masked-word head's initial weights"),
    KEY("mlm_output_weights_use_proj", T_BOOL, 0, "false", RULE_NONE,
        "project the output embedding (MobileBERT)"),
};
static const conf_class conf_class_pretrainer = {"official.nlp.configs.bert.PretrainerConfig", NULL,
                                                 pretrainer_keys, BT_ARRAY_LEN(pretrainer_keys),
                                                 false};

static const conf_key electra_pretrain_keys[] = {
    SECTION("model", &conf_class_electra_pretrainer, "the model: encoder and head"),
};
const conf_class conf_class_electra_pretrain = {
    "official.nlp.tasks.electra_task.ElectraPretrainConfig", &conf_class_task,
    electra_pretrain_keys, BT_ARRAY_LEN(electra_pretrain_keys), false};

static const conf_key electra_pretrainer_keys[] = {
    SECTIONS("cls_heads", &conf_class_cls_head, "classification heads, a list of sections"),
    KEY("disallow_correct", T_BOOL, 0, "false", RULE_NONE,
        "generator must not draw the right word"),
    SECTION("discriminator_encoder", &conf_class_encoder, "encoder of the discriminator"),
    KEY("discriminator_loss_weight", T_FLOAT, 0, "50.0", RULE_NONE,
        "weight of the discriminator's loss"),
    SECTION("generator_encoder", &conf_class_encoder, "encoder of the generator"),
    KEY("num_classes", T_INT, 0, "2", RULE_GE1, "classes of the discriminator"),
    KEY("num_masked_tokens", T_INT, 0, "76", RULE_GE0, "masked words per example"),
    KEY("sequence_length", T_INT, 0, "512", RULE_GE1, "tokens per example"),
    KEY("tie_embeddings", T_BOOL, 0, "true", RULE_NONE,
        "generator and discriminator share embeddings"),
};
static const conf_class conf_class_electra_pretrainer = {
    "official.nlp.configs.electra.ElectraPretrainerConfig", NULL, electra_pretrainer_keys,
    BT_ARRAY_LEN(electra_pretrainer_keys), false};

static const conf_key cls_head_keys[] = {
    KEY("activation", T_STR, NULLABLE, "tanh", RULE_NONE, "activation of the head's inner layer"),
    KEY("cls_token_idx", T_INT, 0, "0", RULE_GE0, "position of the token that the head reads"),
    KEY("dropout_rate", T_FLOAT, 0, "0.0", RULE_RATE, "dropout before the last layer"),
    KEY("inner_dim", T_INT, 0, "0", RULE_GE0, "width of the inner layer"),
    KEY("name", T_STR, NULLABLE, NULL, RULE_NONE, "name of the head"),
    KEY("num_classes", T_INT, 0, "2", RULE_GE1, "number of classes"),
};
static const conf_class conf_class_cls_head = {"official.nlp.configs.bert.ClsHeadConfig", NULL,
                                               cls_head_keys, BT_ARRAY_LEN(cls_head_keys), false};
