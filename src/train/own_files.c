/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that a run keeps for itself in model_dir: what stands there under them and is something
 * else (a folder, a pipe, a link that leads nowhere) is refused before anything is computed, not by
 * the first save. */
#include "run.h"

#include "bt/fs.h"

typedef enum own_place { IN_MODEL_DIR, IN_BEST, IN_EVENTS } own_place;

/* Who reads or writes it. */
typedef enum own_user { ANYBODY, TRAINS, TRAINS_OR_EVALUATES, EVALUATES } own_user;

typedef struct own_file {
    own_place   place;
    const char *name; /* "": the folder of that place itself */
    bt_fs_kind  kind;
    own_user    user;
} own_file;

static const own_file files[] = {
    {IN_MODEL_DIR, "checkpoint", BT_FS_FILE, ANYBODY},
    {IN_MODEL_DIR, "checkpoint.journal", BT_FS_FILE, TRAINS},
    {IN_MODEL_DIR, "params.yaml", BT_FS_FILE, ANYBODY},
    {IN_MODEL_DIR, "labels.json", BT_FS_FILE, ANYBODY},
    {IN_MODEL_DIR, "vocab.txt", BT_FS_FILE, TRAINS},
    {IN_MODEL_DIR, "tokenizer.json", BT_FS_FILE, TRAINS},
    {IN_MODEL_DIR, "metrics.jsonl", BT_FS_FILE, TRAINS_OR_EVALUATES},
    {IN_MODEL_DIR, "metrics-eval.jsonl", BT_FS_FILE, EVALUATES},
    {IN_MODEL_DIR, "train", BT_FS_FOLDER, TRAINS},
    {IN_EVENTS, "", BT_FS_FOLDER, EVALUATES},
    {IN_BEST, "", BT_FS_FOLDER, EVALUATES},
    {IN_BEST, "checkpoint", BT_FS_FILE, EVALUATES},
    {IN_BEST, "checkpoint.journal", BT_FS_FILE, EVALUATES},
    {IN_BEST, "info.json", BT_FS_FILE, EVALUATES},
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

static bt_status check_file(const train_run *run, const own_file *file, bt_error *err) {
    bt_status         rc = BT_OK;
    char             *folder = NULL;
    char             *path = NULL;
    const char *const name = folder_name(&run->config, file->place);
    if (name == NULL || !is_used(file->user, run->args->mode)) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_join(run->args->model_dir, name, &folder, err));
    if (file->name[0] == '\0') { /* joined, it would end in a slash, which follows links */
        BT_CHECK(bt_fs_check_place(folder, file->kind, err));
        goto done;
    }
    BT_CHECK(bt_fs_join(folder, file->name, &path, err));
    BT_CHECK(bt_fs_check_place(path, file->kind, err));
done:
    bt_free(folder);
    bt_free(path);
    return rc;
}

bt_status own_files_check(const train_run *run, bt_error *err) {
    const bt_conf_mode mode = run->args->mode;
    if (run->args->model_dir != NULL && is_used(TRAINS_OR_EVALUATES, mode)) {
        BT_TRY(bt_fs_check_writable(run->args->model_dir, err));
    }
    for (size_t i = 0; run->args->model_dir != NULL && i < BT_ARRAY_LEN(files); i++) {
        BT_TRY(check_file(run, &files[i], err));
    }
    return BT_OK;
}
