/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that exist, would change the training, and are not built in this version: each is refused
 * by name, with its value and with what to set instead. One row a key. */
#include <stdio.h>
#include <string.h>

#include "task_internal.h"

enum { PATH_MAX_BYTES = 128, VALUE_MAX_BYTES = 128 };

typedef enum accepts {
    ACCEPTS_NULL,   /* null only */
    ACCEPTS_EMPTY,  /* null or '' */
    ACCEPTS_FALSE,  /* null or false */
    ACCEPTS_NUMBER, /* `number` only */
    ACCEPTS_CHOICE, /* null, '' or one of `choices`, in any case */
} accepts;

typedef struct support_row {
    const char *path;
    accepts     kind;
    double      number;
    const char *choices; /* separated by | */
    const char *why;     /* and what to do */
} support_row;

static const support_row support_rows[] = {
    {"task.differential_privacy_config", ACCEPTS_NULL, 0, NULL,
     "differential privacy is not built in this version; set it to null"},
    {"runtime.num_gpus", ACCEPTS_NUMBER, 0, NULL, "this version runs on the CPU only; set it to 0"},
    {"runtime.pjrt_plugin", ACCEPTS_EMPTY, 0, NULL,
     "PJRT devices are not built in this version; leave it empty to run on the CPU"},
    {"runtime.distribution_strategy", ACCEPTS_CHOICE, 0, "off|one_device|mirrored",
     "this version runs in one process on the CPU; set it to mirrored, one_device or 'off'"},
};

/* The same keys in both data sections. */
static const support_row data_rows[] = {
    {"tfds_name", ACCEPTS_EMPTY, 0, NULL,
     "TensorFlow Datasets are not read; make TFRecords with create-finetuning-data and set "
     "input_path"},
    {"enable_tf_data_service", ACCEPTS_FALSE, 0, NULL,
     "tf.data service is not built in this version; set it to false"},
    {"tokenization", ACCEPTS_CHOICE, 0, "WordPiece",
     "SentencePiece is not built in this version; set it to WordPiece"},
    {"preprocessing_hub_module_url", ACCEPTS_EMPTY, 0, NULL,
     "preprocessing modules are not read; name the vocabulary in vocab_file"},
};

static bool is_choice(const char *choices, const char *word) {
    for (const char *at = choices; *at != '\0';) {
        const size_t n = strcspn(at, "|");
        char         choice[VALUE_MAX_BYTES];
        (void)snprintf(choice, sizeof choice, "%.*s", (int)n, at);
        if (bt_str_equal_nocase(choice, word)) {
            return true;
        }
        at += n + (at[n] == '|' ? 1 : 0);
    }
    return false;
}

static bt_status refuse(const support_row *row, const char *path, const char *value,
                        bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: %s: %s", path, value, row->why);
}

static bt_status check_text(const bt_conf *conf, const support_row *row, const char *path,
                            bt_error *err) {
    const char *text = NULL;
    BT_TRY(bt_conf_get_str(conf, path, &text, err));
    if (text[0] == '\0' || (row->kind == ACCEPTS_CHOICE && is_choice(row->choices, text))) {
        return BT_OK;
    }
    char value[VALUE_MAX_BYTES];
    (void)snprintf(value, sizeof value, "'%.100s'", text);
    return refuse(row, path, value, err);
}

static bt_status check_number(const bt_conf *conf, const support_row *row, const char *path,
                              bt_error *err) {
    double number = 0.0;
    char   value[VALUE_MAX_BYTES];
    BT_TRY(bt_conf_get_f64(conf, path, &number, err));
    (void)snprintf(value, sizeof value, "%.10g", number); /* most are integers: 2, not 2.0 */
    return number == row->number ? BT_OK : refuse(row, path, value, err);
}

static bt_status check_row(const bt_conf *conf, const support_row *row, const char *path,
                           bt_error *err) {
    bool is_on = false;
    if (bt_conf_is_null(conf, path)) { /* absent in this experiment counts as null */
        return BT_OK;
    }
    switch (row->kind) {
    case ACCEPTS_NULL:
        return refuse(row, path, "it is set", err);
    case ACCEPTS_EMPTY:
    case ACCEPTS_CHOICE:
        return check_text(conf, row, path, err);
    case ACCEPTS_NUMBER:
        return check_number(conf, row, path, err);
    case ACCEPTS_FALSE:
        BT_TRY(bt_conf_get_bool(conf, path, &is_on, err));
        return is_on ? refuse(row, path, "true", err) : BT_OK;
    }
    return BT_OK;
}

static bt_status check_dummy_input(const bt_conf *conf, const char *path, bt_error *err) {
    bt_conf_str_list paths = {0};
    if (bt_conf_is_null(conf, path)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str_list(conf, path, &paths, err));
    if (paths.n == 1 && strcmp(paths.items[0], "dummy") == 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: 'dummy': synthetic batches are not built in this version; name a "
                       "TFRecord file (./dummy if that is one)",
                       path);
    }
    return BT_OK;
}

bt_status bt_task_check_supported(const bt_conf *conf, bt_error *err) {
    static const char *const sections[] = {"task.train_data", "task.validation_data"};
    char                     path[PATH_MAX_BYTES];
    for (size_t i = 0; i < BT_ARRAY_LEN(support_rows); i++) {
        BT_TRY(check_row(conf, &support_rows[i], support_rows[i].path, err));
    }
    for (size_t s = 0; s < BT_ARRAY_LEN(sections); s++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(data_rows); i++) {
            (void)snprintf(path, sizeof path, "%s.%s", sections[s], data_rows[i].path);
            BT_TRY(check_row(conf, &data_rows[i], path, err));
        }
        (void)snprintf(path, sizeof path, "%s.input_path", sections[s]);
        BT_TRY(check_dummy_input(conf, path, err));
    }
    return BT_OK;
}
