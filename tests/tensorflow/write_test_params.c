/* SPDX-License-Identifier: Apache-2.0
 *
 * For load_params.py: params.yaml and params_ours.yaml of every experiment and encoder, all keys of
 * ours changed.
 *
 * usage: write_test_params FOLDER     makes FOLDER/N/{experiment,params.yaml,params_ours.yaml} */
#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/fs.h"
#include "conf_ours.h"

static bt_status write_text(const char *folder, const char *name, const char *text, bt_error *err) {
    bt_str path = BT_STR_INIT;
    BT_TRY(bt_str_appendf(&path, err, "%s/%s", folder, name));
    const bt_status rc = bt_fs_replace(bt_str_text(&path), text, strlen(text), err);
    bt_str_deinit(&path);
    return rc;
}

static bt_status write_pair(const char *experiment, const char *encoder, const char *folder,
                            bt_error *err) {
    bt_status          rc = BT_OK;
    char               override[64] = "";
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_str             names = BT_STR_INIT;
    bt_str             params = BT_STR_INIT;
    bt_str             ours = BT_STR_INIT;
    const bt_conf_args args = {.experiment = experiment, .params_override = override};
    if (encoder != NULL) {
        (void)snprintf(override, sizeof override, "task.model.encoder.type=%s", encoder);
    }
    BT_CHECK(bt_conf_build(&args, &conf, &errors, err));
    BT_CHECK(conf_change_ours(conf, &names, err));
    BT_CHECK(bt_conf_dump_files(conf, &params, &ours, err));
    BT_CHECK(bt_fs_make_folders(folder, err));
    BT_CHECK(write_text(folder, "experiment", experiment, err));
    BT_CHECK(write_text(folder, BT_CONF_PARAMS_NAME, bt_str_text(&params), err));
    BT_CHECK(write_text(folder, BT_CONF_OURS_NAME, bt_str_text(&ours), err));
done:
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    bt_str_deinit(&names);
    bt_str_deinit(&params);
    bt_str_deinit(&ours);
    return rc;
}

int main(int argc, char **argv) {
    static const char *const encoders[] = {NULL, "albert", "bert_v2"};
    bt_error                 err = BT_ERROR_INIT;
    int                      n = 0;
    for (size_t i = 0; argc == 2 && i < bt_conf_n_experiments(); i++) {
        for (size_t k = 0; k < BT_ARRAY_LEN(encoders); k++) {
            char              folder[4096];
            const char *const name = bt_conf_experiment_at(i)->name;
            (void)snprintf(folder, sizeof folder, "%s/%d", argv[1], n++);
            const bool has_encoder = strncmp(name, "electra/", 8) != 0;
            if ((has_encoder || k == 0) && write_pair(name, encoders[k], folder, &err) != BT_OK) {
                (void)fprintf(stderr, "%s: %s\n", name, err.msg);
                return 1;
            }
        }
    }
    return n > 0 ? 0 : 1;
}
