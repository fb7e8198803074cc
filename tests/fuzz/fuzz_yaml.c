/* SPDX-License-Identifier: Apache-2.0
 *
 * A YAML file, the overrides of a command line, and what params.yaml makes of them: the first byte
 * says which of both the others are. What was accepted is written, read back and written again to
 * the same bytes, or a value would change when a run is continued from its params.yaml. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/str.h"
#include "bt/conf.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

static const char *const experiments[] = {"bert/sentence_prediction", "bert/squad", "bert/tagging",
                                          "bert/dual_encoder"};

static bool build(const char *experiment, const char *file, const char *override, bt_str *yaml) {
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_error           err = BT_ERROR_INIT;
    const char *const  files[] = {file};
    const bt_conf_args args = {.experiment = experiment,
                               .config_files = files,
                               .n_config_files = file != NULL ? 1 : 0,
                               .params_override = override};
    const bt_status    rc = bt_conf_build(&args, &conf, &errors, &err);
    if (rc == BT_OK && bt_conf_dump_yaml(conf, yaml, &err) != BT_OK) {
        abort();
    }
    if (rc != BT_OK && (err.msg[0] == '\0' || rc == BT_E_INTERNAL)) {
        abort();
    }
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc == BT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_str first = BT_STR_INIT;
    bt_str second = BT_STR_INIT;
    if (size == 0) {
        return 0;
    }
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    const char *const experiment = experiments[data[0] & 3];
    char *const       override = bt_strndup((const char *)data + 1, size - 1);
    const bool        is_file = (data[0] & 4) != 0;
    if (override != NULL &&
        build(experiment, is_file ? fuzz_file("a.yaml", data + 1, size - 1) : NULL,
              is_file ? NULL : override, &first)) {
        const char *const again =
            fuzz_file("b.yaml", (const uint8_t *)bt_str_text(&first), first.len);
        if (!build(experiment, again, NULL, &second) || first.len != second.len ||
            memcmp(first.data, second.data, first.len) != 0) {
            (void)fprintf(stderr, "written:\n%s\nread back:\n%s\n", bt_str_text(&first),
                          bt_str_text(&second));
            abort();
        }
    }
    bt_free(override);
    bt_str_deinit(&first);
    bt_str_deinit(&second);
    return 0;
}
