/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that a run keeps for itself in model_dir: what stands there under them and is something
 * else (a folder, a pipe, a link that leads nowhere) is refused before anything is computed, not by
 * the first save. So is what may not be written. */
#include "model_dir.h"

#include "bt/base/alloc.h"
#include "bt/fs.h"

typedef enum own_place { IN_MODEL_DIR, IN_BEST, IN_EVENTS } own_place;

/* A file that is replaced, one that goes on, a folder. */
typedef enum own_kind { REPLACED, APPENDED, FOLDER } own_kind;

/* Who reads or writes it. */
typedef enum own_user { ANYBODY, TRAINS, TRAINS_OR_EVALUATES, EVALUATES } own_user;

typedef struct own_file {
    own_place   place;
    const char *name; /* "": the folder of that place itself */
    own_kind    kind;
    own_user    user;
} own_file;

static const own_file files[] = {
    {IN_MODEL_DIR, "checkpoint", REPLACED, ANYBODY},
    {IN_MODEL_DIR, "checkpoint.journal", REPLACED, TRAINS},
    {IN_MODEL_DIR, "params.yaml", REPLACED, ANYBODY},
    {IN_MODEL_DIR, "labels.json", REPLACED, ANYBODY},
    {IN_MODEL_DIR, "vocab.txt", REPLACED, TRAINS},
    {IN_MODEL_DIR, "tokenizer.json", REPLACED, TRAINS},
    {IN_MODEL_DIR, "metrics.jsonl", APPENDED, TRAINS_OR_EVALUATES},
    {IN_MODEL_DIR, "metrics-eval.jsonl", APPENDED, EVALUATES},
    {IN_MODEL_DIR, "train", FOLDER, TRAINS},
    {IN_EVENTS, "", FOLDER, EVALUATES},
    {IN_BEST, "", FOLDER, EVALUATES},
    {IN_BEST, "checkpoint", REPLACED, EVALUATES},
    {IN_BEST, "checkpoint.journal", REPLACED, EVALUATES},
    {IN_BEST, "info.json", REPLACED, EVALUATES},
};

static bool is_used(own_user user, bt_conf_mode mode) {
    const bool trains = bt_conf_mode_trains(mode);
    const bool evaluates =
        mode != BT_CONF_MODE_PREDICT &&
        (bt_conf_mode_evaluates(mode) || mode == BT_CONF_MODE_TRAIN_AND_POST_EVAL);
    switch (user) {
    case ANYBODY:
        return true;
    case TRAINS:
        return trains;
    case TRAINS_OR_EVALUATES:
        return trains || evaluates;
    case EVALUATES:
        return evaluates;
    }
    return true;
}

/* The folder's name in model_dir; NULL: the run has no such folder. */
static const char *folder_name(const run_config *config, own_place place) {
    switch (place) {
    case IN_MODEL_DIR:
        return "";
    case IN_BEST:
        return config->best_subdir[0] != '\0' ? config->best_subdir : NULL;
    case IN_EVENTS:
        return config->validation_summary_subdir[0] != '\0' ? config->validation_summary_subdir
                                                            : "validation";
    }
    return NULL;
}

static bt_status check_folder(const char *path, bt_error *err) {
    BT_TRY(bt_fs_check_place(path, BT_FS_FOLDER, err));
    return bt_fs_check_writable(path, err);
}

static bt_status check_file(const char *model_dir, bt_conf_mode mode, const run_config *config,
                            const own_file *file, bt_error *err) {
    bt_status         rc = BT_OK;
    char             *folder = NULL;
    char             *path = NULL;
    const char *const name = folder_name(config, file->place);
    if (name == NULL || !is_used(file->user, mode)) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_join(model_dir, name, &folder, err));
    if (file->name[0] == '\0') { /* joined, it would end in a slash, which follows links */
        BT_CHECK(check_folder(folder, err));
        goto done;
    }
    BT_CHECK(bt_fs_join(folder, file->name, &path, err));
    if (file->kind == FOLDER) {
        BT_CHECK(check_folder(path, err));
        goto done;
    }
    BT_CHECK(bt_fs_check_place(path, BT_FS_FILE, err));
    BT_CHECK(file->kind == APPENDED ? bt_fs_check_output(path, true, err) : BT_OK);
done:
    bt_free(folder);
    bt_free(path);
    return rc;
}

bt_status own_files_check(const char *model_dir, bt_conf_mode mode, const run_config *config,
                          bt_error *err) {
    for (size_t i = 0; model_dir != NULL && i < BT_ARRAY_LEN(files); i++) {
        BT_TRY(check_file(model_dir, mode, config, &files[i], err));
    }
    return BT_OK;
}
