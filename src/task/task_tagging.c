/* SPDX-License-Identifier: Apache-2.0
 *
 * tagging: a class for every word (named entities, parts of speech). A word is judged by its first
 * piece: the other pieces and padding have labels below 0, which neither loss nor metrics see.
 * Precision, recall and F1 are those of entities over sentences; Model Garden takes a whole batch
 * as one sentence, which runtime.bug_compatible reproduces. docs/model_garden/numerics.md sections
 * 2 and 11. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/text.h"
#include "task_internal.h"

#define TRAIN BT_CONF_TRAIN_DATA

/* Records are never called so. */
static bool is_called_words(const char *path) {
    static const char *const extensions[] = {".conll", ".conllu", ".conllup", ".bio",
                                             ".iob",   ".iob2",   ".txt",     ".tsv",
                                             ".jsonl", ".ndjson", ".json"};
    size_t                   n = strlen(path);
    while (n > 0 && strchr(" \t\r\n,", path[n - 1]) != NULL) {
        n--;
    }
    n -= bt_text_packed_suffix(path, n);
    for (size_t i = 0; i < BT_ARRAY_LEN(extensions); i++) {
        if (bt_str_ends_with_nocase(path, n, extensions[i])) {
            return true;
        }
    }
    return false;
}

/* Are the files of a section words with tags, and how are they written? */
static bt_status read_words(const bt_conf *conf, const char *section, bt_data_words *out,
                            bt_error *err) {
    char             path[128];
    const char      *type = "";
    bt_conf_str_list inputs = {0};
    *out = (bt_data_words){.needs_labels = true};
    (void)snprintf(path, sizeof path, "%s.input_path", section);
    BT_TRY(bt_conf_get_str_list(conf, path, &inputs, err));
    (void)snprintf(path, sizeof path, "%s.file_type", section);
    BT_TRY(bt_conf_get_str(conf, path, &type, err));
    out->is_used =
        inputs.n > 0 && (bt_str_equal(type, "conll") || is_called_words(inputs.items[0]));
    return out->is_used ? task_read_word_form(conf, section, &out->form, err) : BT_OK;
}

static bt_status tell_tags(const bt_text_labels *tags, bt_error *err) {
    enum { SHOWN = 12 };
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < tags->n && i < SHOWN; i++) {
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i > 0 ? ", " : "", tags->names[i]));
    }
    bt_log(BT_LOG_INFO, TRAIN ": %zu tags, numbered from 0: %s%s", tags->n, bt_str_text(&list),
           tags->n > SHOWN ? ", ..." : "");
done:
    bt_str_deinit(&list);
    return rc;
}

bt_status bt_task_are_words(const bt_conf *conf, const char *section, bool *out, bt_error *err) {
    bt_data_words words = {0};
    BT_TRY(read_words(conf, section, &words, err));
    *out = words.is_used;
    return BT_OK;
}

bt_status bt_task_read_tags(const bt_conf *conf, bool *are_words, bt_text_labels *tags,
                            bt_error *err) {
    bt_status     rc = BT_OK;
    bt_data_words words = {0};
    bt_fs_names   files = BT_FS_NAMES_INIT;
    BT_TRY(read_words(conf, TRAIN, &words, err));
    *are_words = words.is_used;
    if (!words.is_used || tags == NULL) {
        return BT_OK;
    }
    BT_CHECK(bt_text_labels_init(tags, err));
    BT_CHECK(bt_data_list_files(conf, TRAIN, &files, err));
    rc = bt_text_labels_collect(tags, (const char *const *)files.items, files.n, &words.form, TRAIN,
                                err);
    if (rc != BT_OK) {
        (void)bt_error_prefix(err, "task.class_names is empty, so the tags are those of " TRAIN);
    }
done:
    bt_fs_names_deinit(&files);
    return rc;
}

/* Tags that are named nowhere are those of the training data, as create-finetuning-data takes them.
 */
static bt_status learn_tags(const bt_conf *conf, bt_task_labels *labels, bt_error *err) {
    bt_status      rc = BT_OK;
    bt_text_labels tags = {0};
    bool           are_words = false;
    BT_CHECK(bt_task_read_tags(conf, &are_words, &tags, err));
    if (!are_words) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "task.class_names is empty: name the tags in the order of their ids, or set "
                     "task.meta_data_path to the meta data of create-finetuning-data");
        goto done;
    }
    labels->n = (int64_t)tags.n;
    BT_CHECK(bt_task_labels_set(labels, (const char *const *)tags.names, tags.n, TRAIN, err));
    rc = tell_tags(&tags, err);
done:
    bt_text_labels_deinit(&tags);
    return rc;
}

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
        BT_TRY(learn_tags(conf, &plan->labels, err));
    }
    plan->head = (bt_head_config){.kind = BT_HEAD_TOKENS,
                                  .loss = BT_LOSS_TOKENS,
                                  .num_classes = plan->labels.n,
                                  .dropout_rate = keys.dropout,
                                  .initializer_range = keys.initializer_range};
    return BT_OK;
}

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
    schema->label_names = (const char *const *)plan->labels.names;
    schema->n_label_names = (size_t)plan->labels.n;
    BT_TRY(read_words(conf, section, &schema->words, err));
    if (!schema->words.is_used) {
        return BT_OK;
    }
    BT_TRY(task_read_vocab_keys(conf, section, &schema->text, err));
    if ((schema->text.vocab_file == NULL || schema->text.vocab_file[0] == '\0') &&
        !task_may_have_vocab(conf)) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "%s.vocab_file is empty: words are read from %s and tokenised here; name the "
            "vocabulary of the model",
            section, "input_path");
    }
    return BT_OK;
}

static bt_status plan_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char *const names[] = {"f1", "precision", "recall", "accuracy"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        plan->metric_names[i] = names[i];
    }
    plan->n_train_metrics = 0; /* as Model Garden */
    plan->n_validation_metrics = BT_ARRAY_LEN(names);
    plan->metric_unit = BT_METRIC_OF_TOKENS;
    return task_plan_own_metrics(conf, plan->labels.n > 0 ? plan->labels.n : 1, plan, err);
}

static bt_status name_metrics(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    return plan_metrics(conf, plan, err);
}

static bt_status plan_tagging(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    *plan = (bt_task_plan){0};
    BT_TRY(task_read_encoder(conf, &plan->encoder, err));
    BT_TRY(read_head(conf, plan, err));
    BT_TRY(task_read_class_rule(conf, plan, err));
    /* of classes that only the meta data or the training files know */
    if (plan->class_weights.n > 0 && (int64_t)plan->class_weights.n != plan->labels.n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.class_weights: %zu weights for the %" PRId64 " classes of %s",
                       plan->class_weights.n, plan->labels.n, plan->labels.source);
    }
    BT_TRY(read_schema(conf, "task.train_data", plan, &plan->train_schema, err));
    BT_TRY(read_schema(conf, "task.validation_data", plan, &plan->validation_schema, err));
    plan->prediction_schema = plan->validation_schema; /* labels tell which tokens are words */
    plan->prediction_schema.words.needs_labels = false;
    BT_TRY(plan_metrics(conf, plan, err));
    return bt_task_check_same_case(conf, plan, err);
}

const bt_task bt_task_tagging = {
    .name = "tagging",
    .plan = plan_tagging,
    .name_metrics = name_metrics,
    .reports_validation_loss = true,
    .prediction = &task_output_tags,
};
