/* SPDX-License-Identifier: Apache-2.0
 *
 * What the data sections of all tasks say alike -> the beginning of a record schema. */
#include <string.h>

#include "task_internal.h"

static const bt_conf_field text_fields[] = {
    {"vocab_file", BT_CONF_FIELD_STR, offsetof(bt_data_text, vocab_file)},
    {"lower_case", BT_CONF_FIELD_BOOL, offsetof(bt_data_text, lower_case)},
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
    if (*is_used) {
        BT_TRY(task_check_seq_length(conf, section, keys.seq_length, &plan->encoder, err));
    }
    *schema = (bt_data_schema){.seq_length = keys.seq_length,
                               .vocab_size = plan->encoder.vocab_size,
                               .type_vocab_size = plan->encoder.type_vocab_size,
                               .max_positions = plan->encoder.max_position_embeddings,
                               .keep_padding = strcmp(padding, "keep") == 0};
    return BT_OK;
}

bt_status task_read_vocab_keys(const bt_conf *conf, const char *section, bt_data_text *text,
                               bt_error *err) {
    return bt_conf_bind(conf, section, text_fields, BT_ARRAY_LEN(text_fields), text, err);
}

bool task_has_module(const bt_conf *conf) {
    const char *url = "";
    return bt_conf_get_str(conf, "task.hub_module_url", &url, NULL) == BT_OK && url[0] != '\0';
}

static bool is_text(const bt_data_text *text) {
    return text->n_fields > 0 && !text->tables_only;
}

bt_status bt_task_check_same_case(const bt_conf *conf, const bt_task_plan *plan, bt_error *err) {
    const bt_data_text *const train = &plan->train_schema.text;
    const bt_data_text *const validation = &plan->validation_schema.text;
    const bool                both = is_text(train) && is_text(validation) &&
                      !bt_conf_is_null(conf, "task.train_data.input_path") &&
                      !bt_conf_is_null(conf, "task.validation_data.input_path");
    if (both && train->lower_case != validation->lower_case) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "task.train_data.lower_case is %s, task.validation_data.lower_case is %s: "
                       "the model would be evaluated on other tokens than it was trained on",
                       train->lower_case ? "true" : "false",
                       validation->lower_case ? "true" : "false");
    }
    return BT_OK;
}
