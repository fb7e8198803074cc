/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of folders in model_dir that the configuration chooses: they must lie in it, and must not
 * be what a run writes there itself. */
#include <string.h>

#include "bt/base/compiler.h"
#include "model_dir.h"
#include "run_checks.h"

static bool is_name(const char *part, size_t n, const char *name) {
    return n == strlen(name) && strncmp(part, name, n) == 0;
}

/* Why a folder may not have that name, or NULL. */
static const char *why_not(const char *name) {
    if (name[0] == '/' || strstr(name, "://") != NULL) {
        return "an absolute path leads out of model_dir";
    }
    const size_t n_first = strcspn(name, "/");
    if (model_dir_is_taken(name, n_first)) {
        return "a run writes something else of its own under that name";
    }
    for (const char *part = name;; part++) {
        const size_t n = strcspn(part, "/");
        if (n == 0) {
            return "it has an empty part";
        }
        if (is_name(part, n, ".") || is_name(part, n, "..")) {
            return "'.' and '..' are not names of folders in it";
        }
        for (size_t i = 0; i < n; i++) {
            if ((unsigned char)part[i] < ' ' || part[i] == 0x7f) {
                return "it has a control character";
            }
        }
        part += n;
        if (*part == '\0') {
            return NULL;
        }
    }
}

bt_status subfolder_check(const bt_conf_check *check) {
    static const char *const paths[] = {"trainer.best_checkpoint_export_subdir",
                                        "trainer.validation_summary_subdir"};
    for (size_t i = 0; i < BT_ARRAY_LEN(paths); i++) {
        const char *const name = bt_conf_peek_str(check->conf, paths[i]);
        const char *const why = name[0] != '\0' ? why_not(name) : NULL;
        if (why != NULL) {
            BT_TRY(bt_conf_check_fail(check, paths[i], NULL,
                                      "'%.200s' cannot be a folder in model_dir: %s", name, why));
        }
    }
    return BT_OK;
}
