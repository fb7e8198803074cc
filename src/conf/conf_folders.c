/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of folders in model_dir that the configuration chooses: they must lie in it, and must not
 * be what a run writes there itself. */
#include "conf_internal.h"

#include <stdio.h>
#include <string.h>

/* What a run has in model_dir under names of its own; with '*': names that begin so. */
static const char *const taken[] = {
    "train",     "eval",   "checkpoint", "checkpoint.*", "params.yaml", "labels.json", "seeds.json",
    "best_seed", "ckpt-*", "seed_*",     "metrics.*",    "metrics-*",   ".bert-train*"};

static bool is_name(const char *part, size_t n, const char *pattern) {
    const size_t n_pattern = strlen(pattern);
    return pattern[n_pattern - 1] == '*'
               ? n >= n_pattern - 1 && strncmp(part, pattern, n_pattern - 1) == 0
               : n == n_pattern && strncmp(part, pattern, n) == 0;
}

/* Why a folder may not have that name, or NULL. */
static const char *why_not(const char *name) {
    if (name[0] == '/' || strstr(name, "://") != NULL) {
        return "an absolute path leads out of model_dir";
    }
    const size_t n_first = strcspn(name, "/");
    for (size_t i = 0; i < BT_ARRAY_LEN(taken); i++) {
        if (is_name(name, n_first, taken[i])) {
            return "a run writes something else of its own under that name";
        }
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

bt_status conf_check_folders(const conf_merge *merge) {
    static const char *const paths[] = {"trainer.best_checkpoint_export_subdir",
                                        "trainer.validation_summary_subdir"};
    for (size_t i = 0; i < BT_ARRAY_LEN(paths); i++) {
        const conf_value *const value = conf_find(merge->conf->root, paths[i]);
        const char             *name = NULL;
        if (value == NULL || !conf_is_truthy(value) ||
            bt_conf_get_str(merge->conf, paths[i], &name, NULL) != BT_OK) {
            continue;
        }
        const char *const why = why_not(name);
        if (why != NULL) {
            BT_TRY(conf_report(merge, BT_CONF_ERROR, value, paths[i],
                               "'%.200s' cannot be a folder in model_dir: %s", name, why));
        }
    }
    return BT_OK;
}
