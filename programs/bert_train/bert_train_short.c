/* SPDX-License-Identifier: Apache-2.0
 *
 * The short flags of bert-train: --init, --train, --eval, --predict, --text and --label as keys of
 * the configuration, and what follows from them: columns and number of classes from the table,
 * steps from epochs, the usual rates. What is set so is in params.yaml like all else. A key
 * that the user wrote wins over what follows from a flag; where it contradicts the flag itself,
 * both are named. */
#include <stdio.h>
#include <string.h>

#include "bert_train_short.h"
#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "bt/task.h"

/* A TF Hub module has weights that only task.hub_module_url reads. */
static bt_status is_module(const char *init, bool *out, bt_error *err) {
    char *path = NULL;
    *out = bt_str_starts_with(init, "https://tfhub.dev/");
    if (*out || bt_fs_is_remote(init)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_join(init, "saved_model.pb", &path, err));
    const bt_status rc = bt_fs_look(path, out, err);
    bt_free(path);
    return rc;
}

/* People write a repository's name as Python does. */
static bt_status check_init(const short_run *run, const char *init, bt_error *err) {
    bt_str    index = BT_STR_INIT;
    bool      continues = false;
    bt_status rc = BT_OK;
    if (bt_fs_is_remote(init) || bt_fs_exists(init)) {
        return BT_OK;
    }
    BT_TRY(short_goes_on(run, &continues, err));
    BT_CHECK(bt_str_appendf(&index, err, "%s.index", init));
    if (!continues && !bt_fs_exists(bt_str_text(&index))) {
        rc = BT_FAIL(err, BT_E_IO,
                     "--init=%s: no such folder, file or checkpoint; a repository of Hugging Face "
                     "is hf://owner/name",
                     init);
    }
done:
    bt_str_deinit(&index);
    return rc;
}

static bt_status apply_init(short_run *run, bt_error *err) {
    const char *const init = short_flag(run, "init");
    bool              modular = false;
    if (init == NULL) {
        return BT_OK;
    }
    BT_TRY(check_init(run, init, err));
    BT_TRY(is_module(init, &modular, err));
    if (modular) {
        return short_put_path(run, "init", "task.hub_module_url", err);
    }
    BT_TRY(short_put_path(run, "init", "task.init_checkpoint", err));
    return BT_OK;
}

/* What the task's data decide; the experiments are told apart by their keys. */
static bt_status use_data(short_run *run, const char *input, bt_error *err) {
    column_list texts = {.n = 0};
    column_list labels = {.n = 0};
    BT_TRY(short_read_columns(run, &texts, &labels, err));
    if (bt_conf_has(run->conf, TRAIN ".left_text_fields")) {
        BT_TRY(short_put_columns(run, "label", "label_field", &labels, false, err));
        return short_use_pairs(run, input, &texts, err);
    }
    if (bt_conf_has(run->conf, TRAIN ".words_column")) {
        return short_use_words(run, input, &texts, &labels, err);
    }
    if (input != NULL && bt_conf_has(run->conf, TRAIN ".label_type")) {
        return short_use_table(run, input, &texts, &labels, err);
    }
    BT_TRY(short_put_columns(run, "text", "text_fields", &texts, true, err));
    BT_TRY(short_put_columns(run, "label", "label_field", &labels, false, err));
    return input != NULL && bt_conf_has(run->conf, TRAIN ".doc_stride")
               ? short_use_questions(run, input, err)
               : BT_OK;
}

static bt_status apply_train(short_run *run, bt_error *err) {
    const char *const input = short_flag(run, "train");
    BT_TRY(short_put_path(run, "train", TRAIN ".input_path", err));
    BT_TRY(use_data(run, input, err));
    return input != NULL ? short_decide_steps(run, err) : BT_OK;
}

/* The words that the run was trained on are kept in model_dir; the file that they came from may be
 * another one now, or gone. */
static bt_status use_kept_vocabulary(const short_run *run, const char *path, bt_error *err) {
    static const char key[] = VALIDATION ".vocab_file";
    bt_status         rc = BT_OK;
    bt_str            value = BT_STR_INIT;
    if (path == NULL || !bt_conf_has(run->conf, key) || short_is_written(run, key)) {
        return BT_OK;
    }
    BT_CHECK(bt_str_append_json(&value, path, err));
    rc = short_set(run, key, bt_str_text(&value), "--model_dir", err);
done:
    bt_str_deinit(&value);
    return rc;
}

bt_status apply_short_flags(const bt_flags *flags, const recalled_run *recalled, bt_conf *conf,
                            bt_conf_errors *errors, bt_error *err) {
    bt_status rc = BT_OK;
    short_run run = {.flags = flags,
                     .params = recalled->params,
                     .conf = conf,
                     .errors = errors,
                     .told = BT_STR_INIT};
    BT_CHECK(use_kept_vocabulary(&run, recalled->vocabulary, err));
    BT_CHECK(short_check_flags(&run, err));
    BT_CHECK(apply_init(&run, err));
    BT_CHECK(short_put_path(&run, "eval", VALIDATION ".input_path", err));
    BT_CHECK(short_put_path(&run, "predict", VALIDATION ".input_path", err));
    if (run.params != NULL &&
        (short_flag(&run, "eval") != NULL || short_flag(&run, "predict") != NULL) &&
        bt_conf_has(conf, VALIDATION ".held_out")) { /* other rows than the training's */
        BT_CHECK(short_set(&run, VALIDATION ".held_out", "''", "--eval", err));
    }
    BT_CHECK(apply_train(&run, err));
    BT_CHECK(short_check_columns(&run, "train", err));
    BT_CHECK(short_check_columns(&run, "eval", err));
    BT_CHECK(short_check_columns(&run, "predict", err));
    if (run.told.len > 0) {
        bt_log(BT_LOG_INFO, "decided, because it was not set: %s", bt_str_text(&run.told));
    }
done:
    bt_str_deinit(&run.told);
    return rc;
}
