/* SPDX-License-Identifier: Apache-2.0
 *
 * Mistakes with the short flags that would be told late, in words of keys that nobody typed, or not
 * at all. */
#include <stdio.h>
#include <string.h>

#include "bert_train_short.h"
#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "bt/train.h"

static bool has_text(const short_run *run, const char *path) {
    const char *text = "";
    return bt_conf_has(run->conf, path) && bt_conf_get_str(run->conf, path, &text, NULL) == BT_OK &&
           text[0] != '\0';
}

/* Flags that are missing, or one too many. */

bt_status short_check_flags(const short_run *run, bt_error *err) {
    static const char *const of_training[] = {"init", "text", "label", "eval"};
    const char *const        mode = short_flag(run, "mode");
    const bool               trains = mode != NULL && !bt_str_equal(mode, "eval") &&
                        !bt_str_equal(mode, "predict") && !bt_str_equal(mode, "export") &&
                        !bt_str_equal(mode, "continuous_eval");
    if (run->params != NULL && short_flag(run, "init") != NULL) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "--init=%s is for modes that train: --model_dir %s has its own weights, which "
            "are taken",
            short_flag(run, "init"), short_flag(run, "model_dir"));
    }
    if (!trains || short_flag(run, "train") != NULL || short_is_written(run, TRAIN ".input_path") ||
        short_is_written(run, TRAIN ".tfds_name")) {
        return BT_OK;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(of_training); i++) {
        if (short_flag(run, of_training[i]) != NULL) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "--%s=%s, but no --train: name the data to train on (--train=FILE)",
                           of_training[i], short_flag(run, of_training[i]));
        }
    }
    return BT_OK;
}

bt_status short_goes_on(const short_run *run, bool *out, bt_error *err) {
    char             *path = NULL;
    const char *const model_dir = short_flag(run, "model_dir");
    *out = false;
    if (model_dir == NULL) {
        return BT_OK;
    }
    BT_TRY(bt_train_params_path(model_dir, &path, err));
    *out = bt_fs_exists(path);
    bt_free(path);
    return BT_OK;
}

/* Text needs a vocabulary, which comes with the weights. */
static bt_status check_weights(const short_run *run, bt_error *err) {
    bool continues = false;
    if (has_text(run, "task.init_checkpoint") || has_text(run, "task.hub_module_url") ||
        has_text(run, TRAIN ".vocab_file")) {
        return BT_OK;
    }
    BT_TRY(short_goes_on(run, &continues, err));
    return continues
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "--train=%s, but no --init: name the weights to start from (--init=FOLDER "
                         "of Hugging Face, a checkpoint, hf://owner/name); to train from random "
                         "numbers, name a vocabulary (task.train_data.vocab_file)",
                         short_flag(run, "train"));
}

static bool needs_evaluation(const short_run *run) {
    const char *const mode = short_flag(run, "mode");
    return mode != NULL && !bt_str_equal(mode, "train") && short_flag(run, "eval") == NULL &&
           !short_is_written(run, VALIDATION ".input_path");
}

bt_status short_use_text(short_run *run, const char *input, bt_error *err) {
    BT_TRY(check_weights(run, err));
    if (!needs_evaluation(run)) {
        return BT_OK;
    }
    BT_TRY(short_decide_text(run, VALIDATION ".input_path", input, "--train", err));
    BT_TRY(short_decide(run, TRAIN ".held_out", "without", "--train", err));
    BT_TRY(short_decide(run, VALIDATION ".held_out", "only", "--train", err));
    return short_decide_both(run, "held_out_share", "0.1", "--train", err);
}

bt_status short_refuse_text(const short_run *run, const char *section, const char *advice,
                            bt_error *err) {
    bt_fs_names files = BT_FS_NAMES_INIT;
    bt_status   rc = bt_data_list_files(run->conf, section, &files, err);
    if (rc == BT_OK && files.n > 0) {
        rc = bt_fs_require_file(files.items[0], NULL, err);
    }
    if (rc == BT_OK && files.n > 0 && bt_data_is_text_file(files.items[0])) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s is text, not a record file: %s", files.items[0], advice);
    }
    if (rc == BT_OK && files.n > 0) {
        rc = bt_text_refuse_packed(files.items[0], err);
    }
    bt_fs_names_deinit(&files);
    return rc;
}

bt_status short_use_records(const short_run *run, const char *input, const char *advice,
                            bt_error *err) {
    BT_TRY(short_refuse_text(run, TRAIN, advice, err));
    return needs_evaluation(run)
               ? BT_FAIL(
                     err, BT_E_CONFIG,
                     "--train=%s: it is read as records, of which none can be held out: name the "
                     "data to evaluate on (--eval=FILE)",
                     input)
               : BT_OK;
}

/* The columns that the section wants, the label's last. */
static size_t list_wanted(const short_run *run, const char *section, bool with_label,
                          const char *out[MAX_WANTED]) {
    static const char *const keys[] = {"text_fields", "left_text_fields", "right_text_fields"};
    size_t                   n = 0;
    const char              *label = "";
    char                     path[PATH_MAX_BYTES];
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        bt_conf_str_list list = {0};
        (void)snprintf(path, sizeof path, "%s.%s", section, keys[i]);
        if (bt_conf_has(run->conf, path) &&
            bt_conf_get_str_list(run->conf, path, &list, NULL) == BT_OK) {
            for (size_t k = 0; k < list.n && n + 1 < MAX_WANTED; k++) {
                out[n++] = list.items[k];
            }
        }
    }
    (void)snprintf(path, sizeof path, "%s.label_field", section);
    if (n > 0 && with_label && bt_conf_has(run->conf, path) &&
        bt_conf_get_str(run->conf, path, &label, NULL) == BT_OK &&
        bt_conf_is_null(run->conf, VALIDATION ".label_fields")) {
        /* the default stands for `label` where rows are text */
        out[n++] = bt_str_equal(label, "label_ids") ? "label" : label;
    }
    return n;
}

bool short_has_column(const bt_data_survey *survey, const char *name) {
    for (size_t i = 0; i < survey->n_columns; i++) {
        if (bt_str_equal(survey->columns[i], name)) {
            return true;
        }
    }
    return false;
}

static bt_status refuse_other(const short_run *run, const char *flag, const bt_data_survey *survey,
                              const char *name, bool is_label, bt_error *err) {
    const bool  has_flags = run->params != NULL; /* in training they are the training data's */
    const char *advice = is_label ? "--label=COLUMN" : "--text=COLUMN";
    char        columns[BT_LIST_MAX] = "";
    bt_list_all(columns, sizeof columns, (const char *const *)survey->columns, survey->n_columns);
    if (bt_str_equal(flag, "train")) {
        return BT_FAIL(err, BT_E_FORMAT, "--train=%s has no column '%s'; its columns are %s (%s)",
                       short_flag(run, flag), name, columns, advice);
    }
    if (!has_flags) {
        advice = is_label ? VALIDATION ".label_field" : VALIDATION ".text_fields";
    }
    return BT_FAIL(
        err, BT_E_FORMAT,
        "--%s=%s has no column '%s', where the training data have the %s; its columns are "
        "%s: give it that name, or name another one (%s)",
        flag, short_flag(run, flag), name, is_label ? "label" : "text", columns, advice);
}

static bt_status check_wanted(const short_run *run, const char *flag, const char *const *names,
                              size_t n, bool has_label, const bt_data_survey *survey,
                              bt_error *err) {
    int64_t number = 0;
    if (survey->n_columns == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "--%s=%s: no rows", flag, short_flag(run, flag));
    }
    for (size_t i = 0; i < n; i++) {
        if (!bt_parse_i64(names[i], &number) && !short_has_column(survey, names[i])) {
            return refuse_other(run, flag, survey, names[i], i + 1 == n && has_label, err);
        }
    }
    return BT_OK;
}

/* Of tables with a row of names; objects of JSON need not all have the same keys. */
bt_status short_check_columns(const short_run *run, const char *flag, bt_error *err) {
    const char *names[MAX_WANTED];
    const char *section = bt_str_equal(flag, "train") ? TRAIN : VALIDATION;
    const bool  has_label =
        !bt_str_equal(flag, "predict") && bt_conf_has(run->conf, TRAIN ".label_field");
    const size_t   n = list_wanted(run, section, has_label, names);
    bt_arena       arena = {0};
    bt_data_config config;
    bt_data_survey survey = {0};
    int64_t        number = 0;
    bool           has_names = false;
    for (size_t i = 0; i < n; i++) {
        has_names = has_names || !bt_parse_i64(names[i], &number);
    }
    if (short_flag(run, flag) == NULL || !has_names) {
        return BT_OK;
    }
    BT_TRY(bt_arena_init(&arena, 4096, err));
    bt_status rc = bt_data_config_read(run->conf, section, 0, &arena, &config, err);
    if (rc == BT_OK && config.n_right_paths == 0) {
        rc = bt_data_survey_columns(&config, names, n, &survey, err);
    }
    if (rc == BT_OK && (survey.table == BT_TABLE_TSV || survey.table == BT_TABLE_CSV)) {
        rc = check_wanted(run, flag, names, n, has_label, &survey, err);
    }
    bt_data_survey_deinit(&survey);
    bt_arena_deinit(&arena);
    return rc;
}
