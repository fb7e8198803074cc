/* SPDX-License-Identifier: Apache-2.0
 *
 * The best checkpoint and info.json beside it, as an earlier run left them: made to say the same.
 *
 * The checkpoint holds the text of its info.json: whatever a kill or a full disk leaves, it is the
 * truth. Versions that wrote info.json first may have left one that is newer than the checkpoint,
 * or has none. */
#include "best_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "best_info.h"
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/fs.h"
#include "records.h"

enum { INFO_MAX_BYTES = 1 << 20 };

void best_files_deinit(best_files *files) {
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
bt_status best_files_find(best_files *files, const model_dir *dir, bt_error *err) {
    bt_error problem = BT_ERROR_INIT;
    BT_TRY(model_dir_join(dir, MODEL_BEST, &files->folder, err));
    BT_TRY(model_dir_join(dir, MODEL_BEST_INFO, &files->path, err));
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
static bt_status recall_info(best_files *files, const best_origin *from, bt_error *err) {
    bt_train_values seen = {.n = 0};
    bt_train_values values = {.n = 0};
    char            best[BT_METRIC_NAME_MAX];
    bool            found = false;
    BT_TRY(records_recall(from->dir->path, from->round, RECORD_VALIDATION, files->ckpt.step, &seen,
                          &found, err));
    (void)snprintf(best, sizeof best, "best_%s", from->metric);
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
bt_status best_files_mend(best_files *files, const best_origin *from, bool *usable, bt_error *err) {
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
        const bool is_json = files->text.len > 0 &&
                             best_info_parse(bt_str_text(&files->text), files->text.len,
                                             from->metric, files->path, &said, NULL) != BT_E_FORMAT;
        if (is_json && (said.step < 0 || said.step == files->ckpt.step)) {
            *usable = true;
            return BT_OK;
        }
        BT_TRY(recall_info(files, from, err));
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
