/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that exist, would change the training, and are not supported: each is refused
 * by name, with its value and with what to set instead. One row a key. */
#include <stdio.h>
#include <string.h>

#include "task_internal.h"

enum { PATH_MAX_BYTES = 128, VALUE_MAX_BYTES = 128 };

typedef enum accepts {
    ACCEPTS_NULL,  /* null only */
    ACCEPTS_EMPTY, /* null or '' */
    ACCEPTS_FALSE, /* null or false */
    ACCEPTS_WORD,  /* null, '' or `word`, in any case */
} accepts;

typedef struct support_row {
    const char *path;
    accepts     kind;
    const char *word;
    const char *why; /* and what to do */
} support_row;

static const support_row support_rows[] = {
    {"task.differential_privacy_config", ACCEPTS_NULL, NULL,
     "differential privacy is not supported; set it to null"},
};

/* The same keys in both data sections. */
static const support_row data_rows[] = {
    {"tfds_name", ACCEPTS_EMPTY, NULL,
     "TensorFlow Datasets are not read; make TFRecords with create-finetuning-data and set "
     "input_path"},
    {"enable_tf_data_service", ACCEPTS_FALSE, NULL,
     "tf.data service is not supported; set it to false"},
    {"tokenization", ACCEPTS_WORD, "WordPiece",
     "SentencePiece is not supported; set it to WordPiece"},
    {"preprocessing_hub_module_url", ACCEPTS_EMPTY, NULL,
     "preprocessing modules are not read; name the vocabulary in vocab_file"},
};

typedef struct support_check {
    const bt_conf  *conf;
    bt_conf_errors *errors; /* NULL: the first one is the failure */
    bt_error       *err;
} support_check;

static bt_status refuse(const support_check *c, const char *path, const char *value,
                        const char *why) {
    return bt_conf_refuse(c->conf, c->errors, path, value, why, c->err);
}

static bt_status check_text(const support_check *c, const support_row *row, const char *path) {
    const char *text = NULL;
    BT_TRY(bt_conf_get_str(c->conf, path, &text, c->err));
    if (text[0] == '\0' || (row->kind == ACCEPTS_WORD && bt_str_equal_nocase(row->word, text))) {
        return BT_OK;
    }
    char value[VALUE_MAX_BYTES];
    (void)snprintf(value, sizeof value, "'%.100s'", text);
    return refuse(c, path, value, row->why);
}

static bt_status check_row(const support_check *c, const support_row *row, const char *path) {
    bool is_on = false;
    if (bt_conf_is_null(c->conf, path)) { /* absent in this experiment counts as null */
        return BT_OK;
    }
    switch (row->kind) {
    case ACCEPTS_NULL:
        return refuse(c, path, "it is set", row->why);
    case ACCEPTS_EMPTY:
    case ACCEPTS_WORD:
        return check_text(c, row, path);
    case ACCEPTS_FALSE:
        BT_TRY(bt_conf_get_bool(c->conf, path, &is_on, c->err));
        return is_on ? refuse(c, path, "true", row->why) : BT_OK;
    }
    return BT_OK;
}

static bt_status check_dummy_input(const support_check *c, const char *path) {
    bt_conf_str_list paths = {0};
    if (bt_conf_is_null(c->conf, path)) {
        return BT_OK;
    }
    BT_TRY(bt_conf_get_str_list(c->conf, path, &paths, c->err));
    return paths.n != 1 || strcmp(paths.items[0], "dummy") != 0
               ? BT_OK
               : refuse(c, path, "'dummy'",
                        "synthetic batches are not supported; name a TFRecord file "
                        "(./dummy if that is one)");
}

/* null and any are what conf finds wrong with a mode. */
static bt_status check_encoder_type(const support_check *c) {
    const char *const type = bt_conf_type_of_oneof(c->conf, TASK_ENCODER);
    const char *const why = type != NULL ? task_encoder_refusal(type) : NULL;
    char              value[VALUE_MAX_BYTES];
    if (why == NULL || strcmp(type, "any") == 0) {
        return BT_OK;
    }
    (void)snprintf(value, sizeof value, "'%.100s'", type);
    return refuse(c, TASK_ENCODER ".type", value, why);
}

bt_status bt_task_check_supported(const bt_conf *conf, bt_conf_errors *errors, bt_error *err) {
    static const char *const sections[] = {"task.train_data", "task.validation_data"};
    const support_check      check = {.conf = conf, .errors = errors, .err = err};
    char                     path[PATH_MAX_BYTES];
    BT_TRY(check_encoder_type(&check));
    for (size_t i = 0; i < BT_ARRAY_LEN(support_rows); i++) {
        BT_TRY(check_row(&check, &support_rows[i], support_rows[i].path));
    }
    for (size_t s = 0; s < BT_ARRAY_LEN(sections); s++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(data_rows); i++) {
            (void)snprintf(path, sizeof path, "%s.%s", sections[s], data_rows[i].path);
            BT_TRY(check_row(&check, &data_rows[i], path));
        }
        (void)snprintf(path, sizeof path, "%s.input_path", sections[s]);
        BT_TRY(check_dummy_input(&check, path));
    }
    return BT_OK;
}
