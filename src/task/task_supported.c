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
    {"runtime.distribution_strategy", ACCEPTS_CHOICE, 0, "off|one_device|mirrored",
     "this version runs in one process, on the CPU or on devices of runtime.pjrt_plugin; set it to "
     "mirrored, one_device or 'off'"},
};

/* Without a plug-in. */
static const support_row gpus_row = {
    "runtime.num_gpus", ACCEPTS_NUMBER, 0, NULL,
    "without a plug-in (runtime.pjrt_plugin) this runs on the CPU; set it to 0"};

#define PLUGIN "runtime.pjrt_plugin"

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

typedef struct support_check {
    const bt_conf  *conf;
    bt_conf_errors *errors; /* NULL: the first one is the failure */
    bt_error       *err;
} support_check;

/* What the user wrote is wrong; what an experiment begins with is only missing something else. */
static bt_status refuse(const support_check *c, const char *path, const char *value,
                        const char *why) {
    char origin[BT_CONF_ORIGIN_MAX];
    if (c->errors == NULL) {
        return BT_FAIL(c->err, BT_E_UNSUPPORTED, "%s: %s: %s", path, value, why);
    }
    if (!bt_conf_is_changed(c->conf, path)) {
        return bt_conf_errors_add(c->errors, BT_CONF_FINDING, path, c->err, "%s: %s: %s", path,
                                  value, why);
    }
    return bt_conf_errors_add(c->errors, BT_CONF_ERROR, path, c->err, "%s: %s: %s: %s",
                              bt_conf_origin(c->conf, path, origin), path, value, why);
}

static bt_status check_text(const support_check *c, const support_row *row, const char *path) {
    const char *text = NULL;
    BT_TRY(bt_conf_get_str(c->conf, path, &text, c->err));
    if (text[0] == '\0' || (row->kind == ACCEPTS_CHOICE && is_choice(row->choices, text))) {
        return BT_OK;
    }
    char value[VALUE_MAX_BYTES];
    (void)snprintf(value, sizeof value, "'%.100s'", text);
    return refuse(c, path, value, row->why);
}

static bt_status check_number(const support_check *c, const support_row *row, const char *path) {
    double number = 0.0;
    char   value[VALUE_MAX_BYTES];
    BT_TRY(bt_conf_get_f64(c->conf, path, &number, c->err));
    (void)snprintf(value, sizeof value, "%.10g", number); /* most are integers: 2, not 2.0 */
    return number == row->number ? BT_OK : refuse(c, path, value, row->why);
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
    case ACCEPTS_CHOICE:
        return check_text(c, row, path);
    case ACCEPTS_NUMBER:
        return check_number(c, row, path);
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
                        "synthetic batches are not built in this version; name a TFRecord file "
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

static bt_status check_gpus(const support_check *c) {
    const char *plugin = "";
    if (!bt_conf_is_null(c->conf, PLUGIN)) {
        BT_TRY(bt_conf_get_str(c->conf, PLUGIN, &plugin, c->err));
    }
    return plugin[0] != '\0' ? BT_OK : check_row(c, &gpus_row, gpus_row.path);
}

bt_status bt_task_check_supported(const bt_conf *conf, bt_conf_errors *errors, bt_error *err) {
    static const char *const sections[] = {"task.train_data", "task.validation_data"};
    const support_check      check = {.conf = conf, .errors = errors, .err = err};
    char                     path[PATH_MAX_BYTES];
    BT_TRY(check_encoder_type(&check));
    BT_TRY(check_gpus(&check));
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
