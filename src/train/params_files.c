/* SPDX-License-Identifier: Apache-2.0
 *
 * params.yaml, which Model Garden reads too, and params_ours.yaml beside it with the keys that it
 * does not have: written together, so that a kill leaves no mixture of two runs. The second is
 * there only when it holds something. */
#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "model_dir.h"

static bt_status write_part(const model_dir *dir, model_file file, const bt_str *text,
                            bt_fs_writer **out, bt_error *err) {
    char *path = NULL;
    BT_TRY(model_dir_join(dir, file, &path, err));
    bt_status rc = bt_fs_writer_create(path, out, err);
    if (rc == BT_OK) {
        rc = bt_fs_writer_write(*out, bt_str_text(text), text->len, err);
    }
    bt_free(path);
    return rc;
}

static bt_status write_files(const model_dir *dir, const bt_str *params, const bt_str *ours,
                             bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_writer *writers[2] = {NULL, NULL};
    size_t        n = 0;
    if (ours != NULL) {
        BT_CHECK(write_part(dir, MODEL_PARAMS_OURS, ours, &writers[n++], err));
    }
    BT_CHECK(write_part(dir, MODEL_PARAMS, params, &writers[n++], err));
    BT_CHECK(bt_fs_writers_commit(writers, n, err));
done:
    bt_fs_writer_abort(writers[0]);
    bt_fs_writer_abort(writers[1]);
    return rc;
}

bt_status params_write(const model_dir *dir, const bt_conf *conf, bt_error *err) {
    bt_status  rc = BT_OK;
    bt_str     params = BT_STR_INIT;
    bt_str     ours = BT_STR_INIT;
    char      *path = NULL;
    bool       is_there = false;
    const bool has_ours = bt_conf_has_ours(conf);
    BT_CHECK(bt_conf_dump_files(conf, &params, &ours, err));
    BT_CHECK(model_dir_join(dir, MODEL_PARAMS_OURS, &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    /* one of an earlier run says nothing before it goes */
    BT_CHECK(write_files(dir, &params, has_ours || is_there ? &ours : NULL, err));
    if (is_there && !has_ours) {
        BT_CHECK(bt_fs_remove(path, err));
    }
done:
    bt_str_deinit(&params);
    bt_str_deinit(&ours);
    bt_free(path);
    return rc;
}
