/* SPDX-License-Identifier: Apache-2.0
 *
 * The best checkpoint (docs/model_garden/config.md 6.4): after an evaluation that is strictly
 * better than every one before, also those of earlier runs, best_ckpt-N and then info.json are
 * written; one is kept.
 *
 * The checkpoint comes first and holds the text of its info.json: whatever a kill or a full disk
 * leaves, the checkpoint is the truth, and the next start makes info.json say the same. Versions
 * that wrote info.json first may have left one that is newer than the checkpoint, or has none. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "best_info.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "records.h"

enum { INFO_MAX_BYTES = 1 << 20 };

bool best_is_on(const train_run *run) {
    return run->config.best_subdir[0] != '\0' && run->config.best_metric[0] != '\0' &&
           run->validation_data != NULL;
}

static bt_status info_path(const train_run *run, char **folder, char **path, bt_error *err) {
    BT_TRY(model_dir_join(&run->dir, MODEL_BEST, folder, err));
    return model_dir_join(&run->dir, MODEL_BEST_INFO, path, err);
}

/* What is in the folder of the best checkpoint. */
typedef struct best_files {
    char          *folder;
    char          *path; /* of info.json */
    bt_str         text; /* of info.json; empty: there is none */
    bt_str         told; /* what the checkpoint says of itself; empty: it does not */
    bt_ckpt_choice ckpt;
} best_files;

static void best_files_deinit(best_files *files) {
    bt_free(files->folder);
    bt_free(files->path);
    bt_str_deinit(&files->text);
    bt_str_deinit(&files->told);
    bt_ckpt_choice_deinit(&files->ckpt);
}

static bt_status read_text(best_files *files, bt_error *err) {
    char  *text = NULL;
    size_t n_bytes = 0;
    bool   is_there = false;
    BT_TRY(bt_fs_look(files->path, &is_there, err));
    if (!is_there) {
        return BT_OK;
    }
    BT_TRY(bt_fs_read_all(files->path, INFO_MAX_BYTES, &text, &n_bytes, err));
    const bt_status rc = bt_str_append_n(&files->text, text, n_bytes, err);
    bt_free(text);
    return rc;
}

static bt_status read_told(best_files *files, bt_error *err) {
    bt_ckpt *ckpt = NULL;
    bool     found = false;
    BT_TRY(bt_ckpt_open(files->ckpt.prefix, &ckpt, err));
    const bt_status rc = bt_ckpt_read_info(ckpt, &files->told, &found, err);
    bt_ckpt_close(ckpt);
    return rc;
}

/* A damaged checkpoint is as none: the next evaluation makes another. */
static bt_status find_files(const train_run *run, best_files *files, bt_error *err) {
    bt_error problem = BT_ERROR_INIT;
    BT_TRY(info_path(run, &files->folder, &files->path, err));
    BT_TRY(read_text(files, err));
    bt_status rc = bt_ckpt_choose(files->folder, model_series_stem(SERIES_BEST_CKPT), false,
                                  bt_ckpt_check_files, NULL, &files->ckpt, &problem);
    if (rc == BT_OK && files->ckpt.prefix != NULL) {
        rc = read_told(files, &problem);
    }
    if (rc == BT_E_FORMAT || rc == BT_E_IO) {
        bt_log(BT_LOG_WARNING, "%s", problem.msg);
        bt_ckpt_choice_deinit(&files->ckpt);
        return BT_OK;
    }
    if (rc != BT_OK && err != NULL) {
        *err = problem;
    }
    if (rc == BT_OK && files->ckpt.why.len > 0) {
        bt_log(BT_LOG_WARNING, "%s", bt_str_text(&files->ckpt.why));
    }
    return rc;
}

/* info.json of the step of the checkpoint from the record of that evaluation, if there is one. */
static bt_status recall_info(const train_run *run, best_files *files, bt_error *err) {
    bt_train_values seen = {.n = 0};
    bt_train_values values = {.n = 0};
    char            best[BT_METRIC_NAME_MAX];
    bool            found = false;
    BT_TRY(records_recall(run->dir.path, run->round, RECORD_VALIDATION, files->ckpt.step, &seen,
                          &found, err));
    (void)snprintf(best, sizeof best, "best_%s", run->config.best_metric);
    for (size_t i = 0; found && i < seen.n; i++) {
        if (!bt_str_equal(seen.items[i].name, best)) {
            record_add(&values, seen.items[i].name, seen.items[i].value);
        }
    }
    return found ? best_info_format(&values, files->ckpt.step, &files->told, err) : BT_OK;
}

static bool is_same_text(const bt_str *a, const bt_str *b) {
    return a->len == b->len && memcmp(bt_str_text(a), bt_str_text(b), a->len) == 0;
}

/* The two are made to agree; *usable false: nothing is known of a best one. */
static bt_status mend(train_run *run, best_files *files, bool *usable, bt_error *err) {
    best_info   said = {.step = -1};
    const char *name = files->ckpt.prefix != NULL ? bt_fs_basename(files->ckpt.prefix) : "";
    *usable = false;
    if (files->ckpt.prefix == NULL) {
        if (files->text.len > 0) {
            bt_log(BT_LOG_WARNING,
                   "%s: there is no whole best checkpoint beside it: the next evaluation's is kept",
                   files->path);
        }
        return BT_OK;
    }
    if (files->told.len == 0) { /* of another version, or of Model Garden */
        const bool is_json =
            files->text.len > 0 &&
            best_info_parse(bt_str_text(&files->text), files->text.len, run->config.best_metric,
                            files->path, &said, NULL) != BT_E_FORMAT;
        if (is_json && (said.step < 0 || said.step == files->ckpt.step)) {
            *usable = true;
            return BT_OK;
        }
        BT_TRY(recall_info(run, files, err));
    }
    if (files->told.len == 0) {
        bt_log(BT_LOG_WARNING,
               "%s does not belong to %s beside it (step %" PRId64
               "), whose evaluation is not recorded: the next evaluation's checkpoint is kept",
               files->path, name, files->ckpt.step);
        return BT_OK;
    }
    *usable = true;
    if (is_same_text(&files->told, &files->text)) {
        return BT_OK;
    }
    bt_log(BT_LOG_WARNING, "%s did not belong to %s (step %" PRId64 "): written again", files->path,
           name, files->ckpt.step);
    bt_str_clear(&files->text);
    BT_TRY(bt_str_append_n(&files->text, files->told.data, files->told.len, err));
    return bt_fs_replace(files->path, files->told.data, files->told.len, err);
}

bt_status best_load(train_run *run, bt_error *err) {
    bt_status  rc = BT_OK;
    best_files files = {0};
    best_info  info = {0};
    bool       usable = false;
    if (!best_is_on(run)) {
        return BT_OK;
    }
    BT_CHECK(find_files(run, &files, err));
    if (files.ckpt.prefix != NULL) {
        BT_CHECK(snapshot_settle_best(run, files.folder, files.ckpt.prefix, err));
    }
    BT_CHECK(mend(run, &files, &usable, err));
    if (!usable) {
        goto done;
    }
    BT_CHECK(best_info_parse(bt_str_text(&files.text), files.text.len, run->config.best_metric,
                             files.path, &info, err));
    run->has_best = true;
    run->best_value = info.value;
    if (!run->knows_best) {
        run->course.early_stop = (early_stop){.has_best = true, .best = run->best_value};
    }
done:
    best_files_deinit(&files);
    return rc;
}

static bt_status export_best(train_run *run, const bt_train_values *values, bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    bt_str    info = BT_STR_INIT;
    BT_CHECK(info_path(run, &folder, &path, err));
    BT_CHECK(bt_fs_make_folders(folder, err));
    BT_CHECK(best_info_format(values, run->step, &info, err));
    BT_CHECK(snapshot_save_best(run, folder, &info, err));
    BT_CHECK(bt_fs_replace(path, info.data, info.len, err));
done:
    bt_free(folder);
    bt_free(path);
    bt_str_deinit(&info);
    return rc;
}

/* info.json may hold a value of an evaluation later than the checkpoint that the run goes on from:
 * its records must not know of that one yet. */
double best_so_far(const train_run *run, double value) {
    const early_stop *const seen = &run->course.early_stop;
    const bool              is_best =
        !seen->has_best || best_is_better(run->config.best_comparison, value, seen->best);
    return is_best ? value : seen->best;
}

bt_status best_find_value(const train_run *run, const bt_train_values *values, double *value,
                          bt_error *err) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, run->config.best_metric)) {
            *value = (double)(float)values->items[i].value;
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_INTERNAL, "the evaluation has no value '%s'", run->config.best_metric);
}

bt_status best_update(train_run *run, const bt_train_values *values, bt_error *err) {
    double value = 0;
    BT_TRY(best_find_value(run, values, &value, err));
    if (run->has_best && !best_is_better(run->config.best_comparison, value, run->best_value)) {
        return BT_OK;
    }
    BT_TRY(export_best(run, values, err));
    run->has_best = true;
    run->best_value = value;
    bt_log(BT_LOG_INFO, "step %" PRId64 ": best %s so far: %.6g", run->step,
           run->config.best_metric, value);
    return BT_OK;
}
