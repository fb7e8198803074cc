/* SPDX-License-Identifier: Apache-2.0
 *
 * --tfds_params="dataset=glue/cola,text_key=sentence,...": the generic processor
 * (docs/model_garden/data.md section 1). It reads any prepared set of texts with a class or a
 * number; the task's name does not matter. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "tfds_task.h"

/* The parameters, in the order of the usage text. */
enum {
    PARAM_DATASET,
    PARAM_DATA_DIR,
    PARAM_TRAIN_SPLIT,
    PARAM_DEV_SPLIT,
    PARAM_TEST_SPLIT,
    PARAM_TEXT_KEY,
    PARAM_TEXT_B_KEY,
    PARAM_LABEL_KEY,
    PARAM_LABEL_TYPE,
    PARAM_WEIGHT_KEY,
    PARAM_IS_REGRESSION,
    PARAM_SKIP_LABEL,
    PARAM_MODULE_IMPORT, /* this and the following change nothing here */
    PARAM_TEST_TEXT_KEY,
    PARAM_TEST_TEXT_B_KEY,
    PARAM_TEST_LABEL,
    N_PARAMS,
};
static const struct {
    const char *name;
    const char *default_value; /* NULL: none */
} params[N_PARAMS] = {
    [PARAM_DATASET] = {"dataset", NULL},
    [PARAM_DATA_DIR] = {"data_dir", NULL},
    [PARAM_TRAIN_SPLIT] = {"train_split", "train"},
    [PARAM_DEV_SPLIT] = {"dev_split", "validation"},
    [PARAM_TEST_SPLIT] = {"test_split", "test"},
    [PARAM_TEXT_KEY] = {"text_key", "text"},
    [PARAM_TEXT_B_KEY] = {"text_b_key", NULL},
    [PARAM_LABEL_KEY] = {"label_key", "label"},
    [PARAM_LABEL_TYPE] = {"label_type", "int"},
    [PARAM_WEIGHT_KEY] = {"weight_key", NULL},
    [PARAM_IS_REGRESSION] = {"is_regression", "false"},
    [PARAM_SKIP_LABEL] = {"skip_label", NULL},
    [PARAM_MODULE_IMPORT] = {"module_import", NULL},
    [PARAM_TEST_TEXT_KEY] = {"test_text_key", NULL},
    [PARAM_TEST_TEXT_B_KEY] = {"test_text_b_key", NULL},
    [PARAM_TEST_LABEL] = {"test_label", NULL},
};

/* Cuts spaces off both ends, in place. */
static char *strip(char *text) {
    static const char spaces[] = " \t\r\n\f\v";
    text += strspn(text, spaces);
    size_t n = strlen(text);
    while (n > 0 && strchr(spaces, text[n - 1]) != NULL) {
        n--;
    }
    text[n] = '\0';
    return text;
}

static bt_status fail_name(const char *name, bt_error *err) {
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < N_PARAMS; i++) {
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i == 0 ? "" : ", ", params[i].name));
    }
    rc = BT_FAIL(err, BT_E_CONFIG, "--tfds_params: '%s' is not a parameter; there are: %s", name,
                 bt_str_text(&list));
done:
    bt_str_deinit(&list);
    return rc;
}

static bt_status parse_assignment(char *text, const char *values[N_PARAMS], bt_error *err) {
    char *const equals = strchr(text, '=');
    if (equals == NULL || strchr(equals + 1, '=') != NULL) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--tfds_params: '%s' is not NAME=VALUE; e.g. "
                       "--tfds_params=dataset=glue/cola,text_key=sentence",
                       strip(text));
    }
    *equals = '\0';
    const char *const name = strip(text);
    for (size_t i = 0; i < N_PARAMS; i++) {
        if (bt_str_equal(params[i].name, name)) {
            values[i] = strip(equals + 1);
            return BT_OK;
        }
    }
    return fail_name(name, err);
}

/* text is changed; the values point into it. */
static bt_status parse_params(char *text, const char *values[N_PARAMS], bt_error *err) {
    for (size_t i = 0; i < N_PARAMS; i++) {
        values[i] = params[i].default_value;
    }
    while (text != NULL) {
        char *const comma = strchr(text, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        BT_TRY(parse_assignment(text, values, err));
        text = comma == NULL ? NULL : comma + 1;
    }
    if (values[PARAM_DATASET] == NULL || *values[PARAM_DATASET] == '\0') {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--tfds_params needs dataset=NAME, e.g. dataset=glue/cola");
    }
    return BT_OK;
}

static const char *or_null(const char *value) {
    return value == NULL || *value == '\0' ? NULL : value;
}

static bt_status read_label_type(const char *values[N_PARAMS], tfds_config *config, bt_error *err) {
    const char *const type = values[PARAM_LABEL_TYPE];
    const char *const regression = values[PARAM_IS_REGRESSION];
    const char *const skip = values[PARAM_SKIP_LABEL];
    int64_t           integer = 0;
    config->is_regression =
        !bt_str_equal_nocase(regression, "false") && !bt_str_equal(regression, "0");
    config->is_float = bt_str_equal(type, "float");
    if (!config->is_float && !bt_str_equal(type, "int")) {
        return BT_FAIL(err, BT_E_CONFIG, "--tfds_params: label_type=%s: expected int or float",
                       type);
    }
    if (config->is_float && !config->is_regression) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--tfds_params: label_type=float is for is_regression=true; the number of a "
                       "class is an int");
    }
    config->has_skip = skip != NULL;
    if (skip != NULL && config->is_float && !bt_parse_f64(skip, &config->skip_label)) {
        return BT_FAIL(err, BT_E_CONFIG, "--tfds_params: skip_label=%s: a number is expected",
                       skip);
    }
    if (skip != NULL && !config->is_float) {
        if (!bt_parse_i64(skip, &integer)) {
            return BT_FAIL(err, BT_E_CONFIG, "--tfds_params: skip_label=%s: an integer is expected",
                           skip);
        }
        config->skip_label = (double)integer;
    }
    return BT_OK;
}

static bt_status check_outputs(const data_job *job, const tfds_config *config, bt_error *err) {
    if (job->input_dir != NULL) {
        bt_log(BT_LOG_WARNING, "--input_data_dir is not read: --tfds_params names the input");
    }
    BT_TRY(data_require_output(job, 1U << DATA_TRAIN | 1U << DATA_EVAL, err));
    if (job->paths[DATA_TEST] != NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "--test_data_output_path with --tfds_params: a test split has no labels "
                       "that could be written (the real tool fails, too); for a split with labels "
                       "give --eval_data_output_path and dev_split=%s",
                       config->splits[DATA_TEST]);
    }
    return BT_OK;
}

bt_status run_tfds_params(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    bt_status   rc = BT_OK;
    const char *values[N_PARAMS] = {NULL};
    bt_str      processor = BT_STR_INIT;
    data_task   row = *task;
    char       *text = bt_strdup(bt_flags_string(job->flags, "tfds_params"));
    if (text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for --tfds_params");
    }
    BT_CHECK(parse_params(text, values, err));
    tfds_config config = {
        .data_dir = or_null(values[PARAM_DATA_DIR]),
        .datasets = {values[PARAM_DATASET]},
        .splits = {values[PARAM_TRAIN_SPLIT], values[PARAM_DEV_SPLIT], values[PARAM_TEST_SPLIT]},
        .text_a = values[PARAM_TEXT_KEY],
        .text_b = or_null(values[PARAM_TEXT_B_KEY]),
        .label = values[PARAM_LABEL_KEY],
        .weight = or_null(values[PARAM_WEIGHT_KEY])};
    BT_CHECK(read_label_type(values, &config, err));
    BT_CHECK(check_outputs(job, &config, err));
    BT_CHECK(bt_str_appendf(&processor, err, "TFDS_%s", values[PARAM_DATASET]));
    row.processor = bt_str_text(&processor);
    rc = run_tfds(job, &row, &config, meta, err);
done:
    bt_str_deinit(&processor);
    bt_free(text);
    return rc;
}
