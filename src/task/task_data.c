/* SPDX-License-Identifier: Apache-2.0
 *
 * What the data sections of all tasks say alike -> the beginning of a record schema. */
#include <stdio.h>
#include <string.h>

#include "task_internal.h"

static const bt_conf_field text_fields[] = {
    {"vocab_file", BT_CONF_FIELD_STR, offsetof(bt_data_text, vocab_file)},
    {"lower_case", BT_CONF_FIELD_BOOL, offsetof(bt_data_text, lower_case)},
};

typedef struct treatment_keys {
    bt_conf_opt_bool strip_accents;
    bool             chinese_apart;
} treatment_keys;

static const bt_conf_field treatment_fields[] = {
    {"strip_accents", BT_CONF_FIELD_OPT_BOOL, offsetof(treatment_keys, strip_accents)},
    {"tokenize_chinese_chars", BT_CONF_FIELD_BOOL, offsetof(treatment_keys, chinese_apart)},
};

typedef struct section_keys {
    int64_t          seq_length;
    bt_conf_str_list input_path;
} section_keys;

static const bt_conf_field section_fields[] = {
    {"seq_length", BT_CONF_FIELD_I64, offsetof(section_keys, seq_length)},
    {"input_path", BT_CONF_FIELD_STR_LIST, offsetof(section_keys, input_path)},
};

bt_status task_begin_schema(const bt_conf *conf, const char *section, const bt_task_plan *plan,
                            bt_data_schema *schema, bool *is_used, bt_error *err) {
    section_keys keys = {0};
    const char  *padding = NULL;
    BT_TRY(bt_conf_bind(conf, section, section_fields, BT_ARRAY_LEN(section_fields), &keys, err));
    BT_TRY(bt_conf_get_str(conf, "runtime.padding", &padding, err));
    *is_used = keys.input_path.n > 0;
    *schema = (bt_data_schema){.seq_length = keys.seq_length,
                               .vocab_size = plan->encoder.vocab_size,
                               .type_vocab_size = plan->encoder.type_vocab_size,
                               .max_positions = plan->encoder.max_position_embeddings,
                               .keep_padding = strcmp(padding, "keep") == 0};
    return BT_OK;
}

bt_status task_read_treatment(const bt_conf *conf, const char *section, bt_text_accents *accents,
                              bool *chinese_joined, bt_error *err) {
    treatment_keys keys = {0};
    BT_TRY(
        bt_conf_bind(conf, section, treatment_fields, BT_ARRAY_LEN(treatment_fields), &keys, err));
    *accents = !keys.strip_accents.is_set ? BT_TEXT_ACCENTS_BY_CASE
               : keys.strip_accents.value ? BT_TEXT_ACCENTS_STRIPPED
                                          : BT_TEXT_ACCENTS_KEPT;
    *chinese_joined = !keys.chinese_apart;
    return BT_OK;
}

bt_status task_read_vocab_keys(const bt_conf *conf, const char *section, bt_data_text *text,
                               bt_error *err) {
    BT_TRY(bt_conf_bind(conf, section, text_fields, BT_ARRAY_LEN(text_fields), text, err));
    return task_read_treatment(conf, section, &text->accents, &text->chinese_joined, err);
}

bt_status task_read_rules(const bt_conf *conf, const char *section, bt_text_rules *out,
                          bt_error *err) {
    char        path[128];
    const char *word = NULL;
    (void)snprintf(path, sizeof path, "%s.text_rules", section);
    BT_TRY(bt_conf_get_str(conf, path, &word, err));
    *out = strcmp(word, "bert") == 0 ? BT_TEXT_PYTHON : BT_TEXT_TF;
    return BT_OK;
}

static bool is_set(const bt_conf *conf, const char *path) {
    const char *text = "";
    return bt_conf_get_str(conf, path, &text, NULL) == BT_OK && text[0] != '\0';
}

bool task_may_have_vocab(const bt_conf *conf) {
    return is_set(conf, "task.hub_module_url") || is_set(conf, "task.init_checkpoint");
}

static bool is_text(const bt_data_text *text) {
    return text->n_fields > 0 && !text->tables_only;
}

static bool has_input(const bt_conf *conf, const char *path) {
    bt_conf_str_list list = {0};
    return bt_conf_get_str_list(conf, path, &list, NULL) == BT_OK && list.n > 0 &&
           list.items[0][0] != '\0';
}

/* What becomes of a text before it is cut into pieces. */
typedef struct treatment {
    const char *case_key; /* NULL: the section has no text */
    bool        lower_case;
    bool        strips_accents;
    bool        chinese_apart;
} treatment;

static treatment make_treatment(const char *case_key, bool lower_case, bt_text_accents accents,
                                bool chinese_joined) {
    return (treatment){case_key, lower_case,
                       accents == BT_TEXT_ACCENTS_BY_CASE ? lower_case
                                                          : accents == BT_TEXT_ACCENTS_STRIPPED,
                       !chinese_joined};
}

static treatment treatment_of(const bt_data_schema *schema) {
    const bt_data_text *const  text = &schema->text;
    const bt_data_squad *const squad = &schema->squad;
    if (squad->vocab_file != NULL) {
        return make_treatment("do_lower_case", squad->do_lower_case, squad->accents,
                              squad->chinese_joined);
    }
    return is_text(text) || schema->words.is_used
               ? make_treatment("lower_case", text->lower_case, text->accents, text->chinese_joined)
               : (treatment){.case_key = NULL};
}

static bt_status check_same(const char *key, bool train, bool validation, bt_error *err) {
    return train == validation
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "task.train_data.%s is %s, task.validation_data.%s is %s: the model would "
                         "be evaluated on other tokens than it was trained on",
                         key, train ? "true" : "false", key, validation ? "true" : "false");
}

bt_status bt_task_check_same_case(const bt_conf *conf, const bt_task_plan *plan, bt_error *err) {
    const treatment train = treatment_of(&plan->train_schema);
    const treatment validation = treatment_of(&plan->validation_schema);
    if (train.case_key == NULL || validation.case_key == NULL ||
        !has_input(conf, "task.train_data.input_path") ||
        !has_input(conf, "task.validation_data.input_path")) {
        return BT_OK;
    }
    BT_TRY(check_same(train.case_key, train.lower_case, validation.lower_case, err));
    BT_TRY(check_same("strip_accents", train.strips_accents, validation.strips_accents, err));
    return check_same("tokenize_chinese_chars", train.chinese_apart, validation.chinese_apart, err);
}
