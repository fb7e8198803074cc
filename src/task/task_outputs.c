/* SPDX-License-Identifier: Apache-2.0
 *
 * The outputs of a prediction are different files that may be written, and none is an input of the
 * run. */
#include <string.h>

#include "bt/base/alloc.h"
#include "task_internal.h"

/* Of folders that a checkpoint or a module is read from. */
static const char *const read_names[] = {
    "*.safetensors*", "variables.*", "saved_model.pb", "*config.json", "bert_model.ckpt*",
    "*tfevents*",     NULL,
};

typedef struct output_check {
    const bt_fs_named *output;
    const char *const *own_names; /* of a run in its folder, which may be read from, too */
} output_check;

static bt_status check_input(const output_check *check, const char *key, const char *path,
                             bt_error *err) {
    const bt_fs_named input = {key, path};
    BT_TRY(bt_fs_check_not_read(check->output, &input, read_names, err));
    return bt_fs_check_not_read(check->output, &input, check->own_names, err);
}

/* The files of a pattern, or the path itself. */
static bt_status check_path(const output_check *check, const char *key, const char *path,
                            bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    if (strpbrk(path, "*?") == NULL) {
        return check_input(check, key, path, err);
    }
    bt_status rc = bt_fs_glob(path, &names, err);
    for (size_t i = 0; rc == BT_OK && i < names.n; i++) {
        rc = check_input(check, key, names.items[i], err);
    }
    bt_fs_names_deinit(&names);
    return rc;
}

/* A bt_conf_visit_paths function: several are separated by commas. */
static bt_status visit(void *context, const char *key, const char *paths, bt_error *err) {
    const output_check *const check = context;
    bt_status                 rc = BT_OK;
    for (const char *at = paths; rc == BT_OK && *at != '\0';) {
        const size_t n = strcspn(at, ",");
        char *const  path = bt_strndup(at, n);
        if (path == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
        }
        rc = n > 0 ? check_path(check, key, path, err) : BT_OK;
        bt_free(path);
        at += n + (at[n] == ',' ? 1 : 0);
    }
    return rc;
}

bt_status bt_task_check_outputs(const bt_output_request *request, const bt_fs_named *outputs,
                                size_t n, bt_error *err) {
    BT_TRY(bt_fs_check_distinct(outputs, n, err));
    for (size_t i = 0; i < n; i++) {
        output_check check = {.output = &outputs[i], .own_names = request->own_names};
        if (bt_fs_check_output(outputs[i].path, false, err) != BT_OK) {
            return bt_error_prefix(err, "%s", outputs[i].what);
        }
        if (request->model_dir != NULL) {
            BT_TRY(check_input(&check, "--model_dir", request->model_dir, err));
        }
        if (request->checkpoint != NULL) {
            BT_TRY(check_input(&check, "--checkpoint", request->checkpoint, err));
        }
        BT_TRY(bt_conf_visit_paths(request->conf, visit, &check, err));
    }
    return BT_OK;
}

const char *task_output_name(const bt_output_request *request) {
    return request->prediction != NULL && request->prediction->output_path != NULL ? "--output_path"
                                                                                   : "the output";
}
