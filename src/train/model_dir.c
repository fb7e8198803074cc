/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that a run keeps for itself in model_dir: what is there under them and is something
 * else (a folder, a pipe, a link that leads nowhere) is refused before anything is computed, not by
 * the first save. So is what may not be written. */
#include "model_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/ckpt.h"
#include "bt/train.h"

typedef enum own_place { IN_MODEL_DIR, IN_BEST, IN_EVENTS } own_place;

/* A file that is replaced, one that goes on, a folder. */
typedef enum own_kind { REPLACED, APPENDED, FOLDER } own_kind;

/* Which run reads or writes it; what none does is looked at by whoever does. */
typedef enum own_user { ANYBODY, TRAINS, TRAINS_OR_EVALUATES, EVALUATES, NO_RUN } own_user;

typedef struct own_file {
    own_place   place;
    const char *name; /* "": the folder of that place itself */
    own_kind    kind;
    own_user    user;
} own_file;

static const own_file files[] = {
    [MODEL_STATE] = {IN_MODEL_DIR, BT_CKPT_STATE_NAME, REPLACED, ANYBODY},
    [MODEL_JOURNAL] = {IN_MODEL_DIR, BT_CKPT_STATE_NAME ".journal", REPLACED, TRAINS},
    [MODEL_PARAMS] = {IN_MODEL_DIR, BT_CONF_PARAMS_NAME, REPLACED, ANYBODY},
    [MODEL_PARAMS_OURS] = {IN_MODEL_DIR, BT_CONF_OURS_NAME, REPLACED, ANYBODY},
    [MODEL_LABELS] = {IN_MODEL_DIR, "labels.json", REPLACED, ANYBODY},
    [MODEL_VOCAB] = {IN_MODEL_DIR, "vocab.txt", REPLACED, TRAINS},
    [MODEL_TOKENIZER] = {IN_MODEL_DIR, "tokenizer.json", REPLACED, TRAINS},
    [MODEL_RECORDS] = {IN_MODEL_DIR, "metrics.jsonl", APPENDED, TRAINS_OR_EVALUATES},
    [MODEL_RECORDS_BESIDE] = {IN_MODEL_DIR, "metrics-eval.jsonl", APPENDED, EVALUATES},
    [MODEL_FACTS] = {IN_MODEL_DIR, "run_facts.json", REPLACED, TRAINS_OR_EVALUATES},
    [MODEL_DETAILS] = {IN_MODEL_DIR, "eval_details.json", REPLACED, EVALUATES},
    [MODEL_REPORT] = {IN_MODEL_DIR, "report.html", REPLACED, TRAINS_OR_EVALUATES},
    [MODEL_TRAIN_EVENTS] = {IN_MODEL_DIR, "train", FOLDER, TRAINS},
    [MODEL_EVENTS] = {IN_EVENTS, "", FOLDER, EVALUATES},
    [MODEL_BEST] = {IN_BEST, "", FOLDER, EVALUATES},
    [MODEL_BEST_STATE] = {IN_BEST, BT_CKPT_STATE_NAME, REPLACED, EVALUATES},
    [MODEL_BEST_JOURNAL] = {IN_BEST, BT_CKPT_STATE_NAME ".journal", REPLACED, EVALUATES},
    [MODEL_BEST_INFO] = {IN_BEST, "info.json", REPLACED, EVALUATES},
    [MODEL_ROUND_EVENTS] = {IN_MODEL_DIR, "eval", FOLDER, NO_RUN},
    [MODEL_SEEDS] = {IN_MODEL_DIR, "seeds.json", REPLACED, NO_RUN},
    [MODEL_BEST_SEED] = {IN_MODEL_DIR, "best_seed", REPLACED, NO_RUN},
};

static const struct {
    const char *stem, *dash, *ending;
    const char *pattern; /* of files that are read again, or NULL */
} series_rows[] = {
    [SERIES_CKPT] = {"ckpt", "-", "", "ckpt-*"},
    [SERIES_BEST_CKPT] = {"best_ckpt", "-", "", "best_ckpt-*"},
    [SERIES_ROUND_METRICS] = {"metrics", "-", ".json", NULL},
    [SERIES_SEED] = {"seed", "_", "", NULL},
    [SERIES_EVENTS] = {"events.out.tfevents", ".", "", NULL},
};

const char *model_series_stem(model_series series) {
    return series_rows[series].stem;
}

const char *model_series_name(model_series series, int64_t number, char name[MODEL_NAME_MAX]) {
    (void)snprintf(name, MODEL_NAME_MAX, "%s%s%" PRId64 "%s", series_rows[series].stem,
                   series_rows[series].dash, number, series_rows[series].ending);
    return name;
}

static bool is_used(own_user user, bt_conf_mode mode) {
    const bool trains = bt_conf_mode_trains(mode);
    const bool evaluates = mode != BT_CONF_MODE_PREDICT && bt_conf_mode_evaluates(mode);
    switch (user) {
    case ANYBODY:
        return true;
    case TRAINS:
        return trains;
    case TRAINS_OR_EVALUATES:
        return trains || evaluates;
    case EVALUATES:
        return evaluates;
    case NO_RUN:
        return false;
    }
    return true;
}

static const char *or_usual(const char *name, const char *usual) {
    return name != NULL && name[0] != '\0' ? name : usual;
}

static bool is_there_at_all(const model_dir *dir, own_place place) {
    return place != IN_BEST || or_usual(dir->best_subdir, NULL) != NULL;
}

/* The folder's name in model_dir. */
static const char *folder_name(const model_dir *dir, own_place place) {
    switch (place) {
    case IN_MODEL_DIR:
        return "";
    case IN_BEST:
        return or_usual(dir->best_subdir, BT_TRAIN_BEST_SUBDIR);
    case IN_EVENTS:
        return or_usual(dir->events_subdir, "validation");
    }
    return "";
}

bt_status model_dir_join(const model_dir *dir, model_file which, char **path, bt_error *err) {
    const own_file *const file = &files[which];
    char                 *folder = NULL;
    if (file->place == IN_MODEL_DIR) {
        return bt_fs_join(dir->path, file->name, path, err);
    }
    BT_TRY(bt_fs_join(dir->path, folder_name(dir, file->place), &folder, err));
    if (file->name[0] == '\0') { /* joined, it would end in a slash, which follows links */
        *path = folder;
        return BT_OK;
    }
    const bt_status rc = bt_fs_join(folder, file->name, path, err);
    bt_free(folder);
    return rc;
}

static bool begins(const char *name, size_t n, const char *start, const char *more) {
    const size_t n_start = strlen(start);
    const size_t n_more = strlen(more);
    return n >= n_start + n_more && strncmp(name, start, n_start) == 0 &&
           strncmp(name + n_start, more, n_more) == 0;
}

bool model_dir_is_taken(const char *name, size_t n) {
    static const char of_fs[] = ".bert-train"; /* its locks and journals */
    /* and of checkpoint.journal, metrics.jsonl and what may come beside them */
    bool is_taken = begins(name, n, files[MODEL_STATE].name, ".") ||
                    begins(name, n, series_rows[SERIES_ROUND_METRICS].stem, ".") ||
                    begins(name, n, of_fs, "");
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        is_taken = is_taken || (files[i].place == IN_MODEL_DIR && n == strlen(files[i].name) &&
                                strncmp(name, files[i].name, n) == 0);
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(series_rows); i++) { /* the best have a folder */
        is_taken = is_taken || (i != SERIES_BEST_CKPT &&
                                begins(name, n, series_rows[i].stem, series_rows[i].dash));
    }
    return is_taken;
}

void model_dir_own_names(const char *names[MODEL_OWN_NAMES_MAX]) {
    size_t n = 0;
    BT_ASSERT(BT_ARRAY_LEN(files) + BT_ARRAY_LEN(series_rows) < MODEL_OWN_NAMES_MAX);
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        if (files[i].kind != FOLDER) {
            names[n++] = files[i].name;
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(series_rows); i++) {
        if (series_rows[i].pattern != NULL) {
            names[n++] = series_rows[i].pattern;
        }
    }
    names[n] = NULL;
}

bt_status model_dir_file(const char *folder, model_file file, char **path, bt_error *err) {
    const model_dir dir = {.path = folder};
    return model_dir_join(&dir, file, path, err);
}

bt_status bt_train_params_path(const char *folder, char **path, bt_error *err) {
    return model_dir_file(folder, MODEL_PARAMS, path, err);
}

static bt_status check_folder(const char *path, bt_error *err) {
    BT_TRY(bt_fs_check_place(path, BT_FS_FOLDER, err));
    return bt_fs_check_writable(path, err);
}

static bt_status check_file(const char *path, own_kind kind, bt_error *err) {
    BT_TRY(bt_fs_check_place(path, BT_FS_FILE, err));
    return kind == APPENDED ? bt_fs_check_output(path, true, err) : BT_OK;
}

bt_status model_dir_check(const model_dir *dir, bt_conf_mode mode, bt_error *err) {
    for (size_t i = 0; dir->path != NULL && i < BT_ARRAY_LEN(files); i++) {
        const own_file *const file = &files[i];
        char                 *path = NULL;
        if (!is_used(file->user, mode) || !is_there_at_all(dir, file->place)) {
            continue;
        }
        BT_TRY(model_dir_join(dir, (model_file)i, &path, err));
        const bt_status rc =
            file->kind == FOLDER ? check_folder(path, err) : check_file(path, file->kind, err);
        bt_free(path);
        BT_TRY(rc);
    }
    return BT_OK;
}

bt_status model_dir_tell_removed(const char *folder, const char *path, int64_t step,
                                 bt_error *err) {
    if (!bt_fs_exists(folder)) {
        return BT_FAIL(err, BT_E_RESOURCE,
                       "%s was removed during the run, and %s with it: nothing more is "
                       "written there; the same command starts over",
                       folder, bt_fs_basename(path));
    }
    bt_log(BT_LOG_WARNING,
           "%s was removed during the run: what it held is lost; it starts again with step "
           "%" PRId64,
           path, step);
    return BT_OK;
}
