/* SPDX-License-Identifier: Apache-2.0
 *
 * squad: the answer to a question is a span of a text. Training from TFRecords of windows or from
 * the JSON files themselves; evaluation and prediction from JSON, as Model Garden's
 * question_answering task does them. docs/model_garden/numerics.md section 2,
 * docs/model_garden/data.md section 4. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/size.h"
#include "bt/text.h"
#include "task_internal.h"

typedef struct squad_keys {
    bt_conf_str_list input_path;
    const char      *vocab_file;
    bool             do_lower_case;
    bt_text_accents  accents;
    bool             chinese_joined;
    bool             version_2;
    int64_t          doc_stride;
    int64_t          query_length;
    int64_t          batch_size;
} squad_keys;

static const bt_conf_field squad_fields[] = {
    {"input_path", BT_CONF_FIELD_STR_LIST, offsetof(squad_keys, input_path)},
    {"vocab_file", BT_CONF_FIELD_STR, offsetof(squad_keys, vocab_file)},
    {"do_lower_case", BT_CONF_FIELD_BOOL, offsetof(squad_keys, do_lower_case)},
    {"version_2_with_negative", BT_CONF_FIELD_BOOL, offsetof(squad_keys, version_2)},
    {"doc_stride", BT_CONF_FIELD_I64, offsetof(squad_keys, doc_stride)},
    {"query_length", BT_CONF_FIELD_I64, offsetof(squad_keys, query_length)},
    {"global_batch_size", BT_CONF_FIELD_I64, offsetof(squad_keys, batch_size)},
};

/* The first path of a list, whose items may hold several with commas between, ends in .json or
 * .jsonl, packed or not. */
static bool names_json(const bt_conf_str_list *paths) {
    for (size_t i = 0; i < paths->n; i++) {
        const char *at = paths->items[i];
        at += strspn(at, ", \t\r\n");
        size_t n = strcspn(at, ",");
        while (n > 0 && strchr(" \t\r\n", at[n - 1]) != NULL) {
            n--;
        }
        if (n > 0) {
            n -= bt_text_packed_suffix(at, n);
            return bt_str_ends_with_nocase(at, n, ".json") ||
                   bt_str_ends_with_nocase(at, n, ".jsonl") ||
                   bt_str_ends_with_nocase(at, n, ".ndjson");
        }
    }
    return false;
}

static bt_status check_json(const bt_conf *conf, const char *section, const squad_keys *keys,
                            bt_error *err) {
    if (keys->vocab_file[0] == '\0' && !task_may_have_vocab(conf)) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.vocab_file is empty: questions are read from JSON and tokenised here; "
                       "name the vocabulary of the model",
                       section);
    }
    return BT_OK;
}

/* The keys, and the schema as far as training and evaluation have it alike. */
static bt_status read_keys(const bt_conf *conf, const char *section, const bt_task_plan *plan,
                           squad_keys *keys, bt_data_schema *schema, bt_error *err) {
    bool is_used = false;
    *keys = (squad_keys){0};
    BT_TRY(bt_conf_bind(conf, section, squad_fields, BT_ARRAY_LEN(squad_fields), keys, err));
    BT_TRY(task_read_treatment(conf, section, &keys->accents, &keys->chinese_joined, err));
    return task_begin_schema(conf, section, plan, schema, &is_used, err);
}

static bt_data_squad make_source(const squad_keys *keys, bt_squad_use use) {
    return (bt_data_squad){.vocab_file = keys->vocab_file,
                           .do_lower_case = keys->do_lower_case,
                           .accents = keys->accents,
                           .chinese_joined = keys->chinese_joined,
                           .doc_stride = keys->doc_stride,
                           .max_query_length = keys->query_length,
                           .version_2 = keys->version_2,
                           .use = use};
}

bt_status bt_task_find_unanswered(const bt_conf *conf, bool *are_questions, bool *any_unanswered,
                                  bt_error *err) {
    static const char section[] = "task.train_data";
    bt_status         rc = BT_OK;
    bt_conf_str_list  paths = {0};
    bt_fs_names       files = BT_FS_NAMES_INIT;
    *any_unanswered = false;
    BT_TRY(bt_conf_get_str_list(conf, "task.train_data.input_path", &paths, err));
    bt_text_encoding encoding = {.key = "task.train_data.encoding"};
    if (bt_conf_has(conf, encoding.key) && !bt_conf_is_null(conf, encoding.key)) {
        BT_TRY(bt_conf_get_str(conf, encoding.key, &encoding.name, err));
        encoding.name = encoding.name[0] != '\0' ? encoding.name : NULL;
    }
    *are_questions = names_json(&paths);
    if (!*are_questions) {
        return BT_OK;
    }
    BT_CHECK(bt_data_list_files(conf, section, &files, err));
    for (size_t i = 0; i < files.n && !*any_unanswered; i++) {
        BT_CHECK(bt_squad_find_unanswered(files.items[i], &encoding, any_unanswered, err));
    }
done:
    bt_fs_names_deinit(&files);
    return rc;
}

static bt_status plan_training(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char section[] = "task.train_data";
    squad_keys        keys;
    const char       *padding = NULL;
    BT_TRY(read_keys(conf, section, plan, &keys, &plan->train_schema, err));
    BT_TRY(bt_conf_get_str(conf, "runtime.padding", &padding, err));
    plan->train_schema.label_kind = BT_LABEL_SPAN;
    /* the softmax of the loss runs over all seq_length places, so `auto` must keep padding */
    plan->train_schema.keep_padding = strcmp(padding, "drop") != 0;
    if (names_json(&keys.input_path)) {
        BT_TRY(check_json(conf, section, &keys, err));
        plan->train_schema.squad = make_source(&keys, BT_SQUAD_TRAIN);
    }
    return BT_OK;
}

static bt_status plan_evaluation(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    static const char section[] = "task.validation_data";
    squad_keys        keys;
    bt_data_schema    schema = {0};
    int64_t           n_steps = 0;
    BT_TRY(read_keys(conf, section, plan, &keys, &schema, err));
    BT_TRY(bt_conf_get_i64(conf, "trainer.validation_steps", &n_steps, err));
    if (keys.input_path.n > 0) {
        BT_TRY(check_json(conf, section, &keys, err));
    }
    schema.label_kind = BT_LABEL_NONE;
    schema.include_example_id = true; /* the window */
    schema.squad = make_source(&keys, BT_SQUAD_PREDICT);
    plan->prediction_schema = schema;
    schema.squad.use = BT_SQUAD_EVALUATE;
    if (n_steps > 0 && !bt_i64_mul(n_steps, keys.batch_size, &schema.squad.max_rows)) {
        schema.squad.max_rows = INT64_MAX;
    }
    plan->validation_schema = schema;
    return BT_OK;
}

static bt_status read_head(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    if (plan->encoder.output_range > 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "task.model.encoder.*.output_range: %" PRId64
                       ": an answer may be anywhere, so every position is needed; set it to null",
                       plan->encoder.output_range);
    }
    plan->head = (bt_head_config){.kind = BT_HEAD_TOKENS,
                                  .loss = BT_LOSS_SPAN,
                                  .num_classes = 2, /* start and end */
                                  .dropout_rate = 0,
                                  .initializer_range = plan->encoder.initializer_range};
    return bt_conf_get_bool(conf, "task.init_head", &plan->init_head, err);
}

static bt_status plan_squad(const bt_conf *conf, bt_task_plan *plan, bt_error *err) {
    *plan = (bt_task_plan){0};
    BT_TRY(task_read_encoder(conf, &plan->encoder, err));
    BT_TRY(read_head(conf, plan, err));
    BT_TRY(plan_training(conf, plan, err));
    BT_TRY(plan_evaluation(conf, plan, err));
    plan->metric_unit = BT_METRIC_OF_TOKENS;
    plan->metric_names[plan->n_train_metrics++] = "start_position_accuracy";
    plan->metric_names[plan->n_train_metrics++] = "end_position_accuracy";
    plan->n_validation_metrics = 0; /* there are no places to compare with in an evaluation */
    BT_TRY(bt_task_check_same_case(conf, plan, err));
    return BT_OK;
}

const bt_task bt_task_squad = {
    .name = "question_answering",
    .plan = plan_squad,
    .reports_validation_loss = false,
    .output_names = task_squad_value_names,
    .evaluation = &task_output_squad,
    .prediction = &task_output_squad_predictions,
};
