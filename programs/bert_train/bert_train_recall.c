/* SPDX-License-Identifier: Apache-2.0
 *
 * An evaluation, prediction or export that names a model_dir and nothing else of the run:
 * params.yaml there is the configuration, and the experiment is the one whose keys it has. */
#include <string.h>

#include "bert_train.h"
#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/task.h"
#include "bt/train.h"

static bool is_given(const bt_flags *flags, const char *name) {
    const char *const text = bt_flags_string(flags, name);
    return text != NULL && text[0] != '\0';
}

bool may_recall(const bt_flags *flags) {
    const char *const  mode = bt_flags_string(flags, "mode");
    const char *const *files = NULL;
    const bool         says_nothing =
        bt_flags_list(flags, "config_file", &files) == 0 && !is_given(flags, "params_override");
    return mode != NULL &&
           (bt_str_equal(mode, "eval") || bt_str_equal(mode, "predict") ||
            bt_str_equal(mode, "export")) &&
           is_given(flags, "model_dir") && (!is_given(flags, "experiment") || says_nothing);
}

static bt_status takes(const char *experiment, const char *params, bool *out, bt_error *err) {
    const bt_conf_args args = {
        .experiment = experiment, .config_files = &params, .n_config_files = 1};
    bt_conf        *conf = NULL;
    bt_conf_errors  errors = BT_CONF_ERRORS_INIT;
    bt_error        why = BT_ERROR_INIT;
    const bt_status rc = bt_conf_build(&args, &conf, &errors, &why);
    *out = rc == BT_OK;
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc == BT_E_NOMEM ? BT_FAIL(err, rc, "%s", why.msg) : BT_OK;
}

/* params.yaml has every key of its experiment: others have none of some of them. */
bt_status find_experiment(const char *params, const char **out, bt_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const char *const name = bt_conf_experiment_at(i)->name;
        const bt_task    *task = NULL;
        bool              fits = false;
        if (bt_task_find(name, &task, NULL) != BT_OK) {
            continue;
        }
        BT_TRY(takes(name, params, &fits, err));
        *out = fits ? name : *out;
        n += fits ? 1 : 0;
    }
    return n == 1 ? BT_OK
                  : BT_FAIL(err, BT_E_CONFIG,
                            "%s has the keys of %s experiment: name it with --experiment", params,
                            n == 0 ? "no" : "more than one");
}

/* Another one would find many keys that it does not know. */
static bt_status check_experiment(const recalled_run *run, bt_error *err) {
    const char *other = NULL;
    bool        fits = false;
    bt_error    none = BT_ERROR_INIT; /* a damaged file is told where it is read */
    BT_TRY(takes(run->experiment, run->params, &fits, err));
    return fits || find_experiment(run->params, &other, &none) != BT_OK
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG,
                         "--experiment=%s: the run there is one of %s (%s); leave --experiment out",
                         run->experiment, other, run->params);
}

void recalled_deinit(recalled_run *run) {
    bt_free(run->params);
    bt_free(run->vocabulary);
    *run = (recalled_run){0};
}

static bt_status find_vocabulary(const char *model_dir, char **out, bt_error *err) {
    static const char *const names[] = {"vocab.txt", "tokenizer.json"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names) && *out == NULL; i++) {
        bool is_there = false;
        BT_TRY(bt_fs_join(model_dir, names[i], out, err));
        BT_TRY(bt_fs_look(*out, &is_there, err));
        if (!is_there) {
            bt_free(*out);
            *out = NULL;
        }
    }
    return BT_OK;
}

bt_status recall_folder(const char *model_dir, const char *experiment, recalled_run *out,
                        bt_error *err) {
    bool has_params = false;
    BT_TRY(bt_train_params_path(model_dir, &out->params, err));
    BT_TRY(bt_fs_look(out->params, &has_params, err));
    if (!has_params) {
        bt_free(out->params);
        out->params = NULL;
        return experiment != NULL
                   ? BT_OK
                   : BT_FAIL(err, BT_E_CONFIG,
                             "missing --experiment (see --help), and --model_dir %s has no "
                             "params.yaml that says it: train there first",
                             model_dir);
    }
    if (experiment != NULL) {
        out->experiment = experiment;
        BT_TRY(check_experiment(out, err));
    } else {
        BT_TRY(find_experiment(out->params, &out->experiment, err));
    }
    return find_vocabulary(model_dir, &out->vocabulary, err);
}

bt_status recall_run(const bt_flags *flags, recalled_run *out, bt_error *err) {
    const char *const experiment =
        is_given(flags, "experiment") ? bt_flags_string(flags, "experiment") : NULL;
    return may_recall(flags)
               ? recall_folder(bt_flags_string(flags, "model_dir"), experiment, out, err)
               : BT_OK;
}
