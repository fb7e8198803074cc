/* SPDX-License-Identifier: Apache-2.0
 *
 * The best checkpoint (docs/model_garden/config.md 6.4): after an evaluation that is strictly
 * better than every one before, also those of earlier runs, best_ckpt-N and then info.json are
 * written; one is kept.
 *
 * The checkpoint comes first and holds the text of its info.json; what a kill or a full disk leaves
 * is mended at the next start (best_files.c). */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "best_files.h"
#include "best_info.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "rounding.h"

bool best_is_on(const train_run *run) {
    return run->config.best_subdir[0] != '\0' && run->config.best_metric[0] != '\0' &&
           run->validation_data != NULL && !rounding_is_on(run);
}

bt_status best_load(train_run *run, bt_error *err) {
    bt_status         rc = BT_OK;
    best_files        files = {0};
    best_info         info = {0};
    bool              usable = false;
    const best_origin from = {&run->dir, run->round, run->config.best_metric};
    if (!best_is_on(run)) {
        return BT_OK;
    }
    BT_CHECK(best_files_find(&files, &run->dir, err));
    if (files.ckpt.prefix != NULL) {
        BT_CHECK(snapshot_settle_best(run, files.folder, files.ckpt.prefix, err));
    }
    BT_CHECK(best_files_mend(&files, &from, &usable, err));
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

/* An evaluation by itself has its values then, and they are told. */
static bt_status save_best(train_run *run, const char *folder, const bt_str *info, bt_error *err) {
    bt_status rc = run_leave_weights(run, err);
    if (rc == BT_OK) {
        rc = snapshot_save_best(run, folder, info, err);
    }
    return rc == BT_E_NOMEM && run->is_partial
               ? bt_error_prefix(err, "the evaluation is made, its best checkpoint is not (without "
                                      "trainer.best_checkpoint_export_subdir there is none)")
               : rc;
}

static bt_status export_best(train_run *run, const bt_train_values *values, bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    bt_str    info = BT_STR_INIT;
    BT_CHECK(model_dir_join(&run->dir, MODEL_BEST, &folder, err));
    BT_CHECK(model_dir_join(&run->dir, MODEL_BEST_INFO, &path, err));
    BT_CHECK(bt_fs_make_folders(folder, err));
    BT_CHECK(best_info_format(values, run->step, &info, err));
    BT_CHECK(save_best(run, folder, &info, err));
    BT_CHECK(bt_fs_replace(path, info.data, info.len, err));
done:
    bt_free(folder);
    bt_free(path);
    bt_str_deinit(&info);
    return rc;
}

/* info.json may hold a value of an evaluation later than the checkpoint that the run goes on from:
 * its records must not know of that one yet. */
double best_so_far(const char *comparison, const early_stop *seen, double value) {
    const bool is_best = !seen->has_best || best_is_better(comparison, value, seen->best);
    return is_best ? value : seen->best;
}

bt_status best_find_value(const char *metric, const bt_train_values *values, double *value,
                          bt_error *err) {
    for (size_t i = 0; i < values->n; i++) {
        if (bt_str_equal(values->items[i].name, metric)) {
            *value = (double)(float)values->items[i].value;
            return BT_OK;
        }
    }
    return BT_FAIL(err, BT_E_INTERNAL, "the evaluation has no value '%s'", metric);
}

bt_status best_update(train_run *run, const bt_train_values *values, bt_error *err) {
    double value = 0;
    BT_TRY(best_find_value(run->config.best_metric, values, &value, err));
    if (run->has_best && !best_is_better(run->config.best_comparison, value, run->best_value)) {
        return BT_OK;
    }
    BT_TRY(export_best(run, values, err));
    run->has_best = true;
    run->best_value = value;
    const bt_log_field fields[] = {bt_log_int("step", run->step),
                                   bt_log_text("metric", run->config.best_metric),
                                   bt_log_number("value", value)};
    bt_log_event(BT_LOG_INFO, "best", fields, BT_ARRAY_LEN(fields),
                 "step %" PRId64 ": best %s so far: %.6g", run->step, run->config.best_metric,
                 value);
    return BT_OK;
}

/* A path that is cut leads elsewhere. */
static void copy_path(char out[BT_TRAIN_PATH_MAX], const char *path) {
    const bool fits = path != NULL && strlen(path) < BT_TRAIN_PATH_MAX;
    (void)snprintf(out, BT_TRAIN_PATH_MAX, "%s", fits ? path : "");
}

bt_status best_recall(const train_run *run, bt_train_summary *out, bt_error *err) {
    bt_status  rc = BT_OK;
    best_files files = {0};
    if (!best_is_on(run) || !run->has_best) {
        return BT_OK;
    }
    BT_CHECK(best_files_find(&files, &run->dir, err));
    if (files.text.len > 0) {
        BT_CHECK(best_info_values(bt_str_text(&files.text), files.text.len, files.path, &out->best,
                                  &out->best_step, err));
        out->has_best = true;
        copy_path(out->best_checkpoint, files.ckpt.prefix);
    }
done:
    best_files_deinit(&files);
    return rc;
}
