/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in a folder, file by file, as digests: to hold it against an archive, or against one
 * digest of the whole. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"

enum { COPY_BYTES = 1 << 20, MAX_DEPTH = 32 };

bt_status bt_fs_hash_file(const char *path, char sha256[BT_FS_HEX_MAX], bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_stream *stream = NULL;
    bt_fs_hasher *hasher = NULL;
    uint8_t      *buffer = NULL;
    size_t        n = 0;
    BT_CHECK(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    BT_CHECK(bt_fs_stream_open(path, &stream, err));
    buffer = bt_alloc(COPY_BYTES);
    if (buffer == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", path);
        goto done;
    }
    do {
        BT_CHECK(bt_fs_stream_read(stream, buffer, COPY_BYTES, &n, err));
        BT_CHECK(bt_fs_hasher_add(hasher, buffer, n, err));
    } while (n > 0);
    BT_CHECK(bt_fs_hasher_finish(hasher, sha256, err));
done:
    bt_free(buffer);
    bt_fs_stream_close(stream);
    bt_fs_hasher_free(hasher);
    return rc;
}

typedef struct walk {
    const char  *root;
    int64_t      max_files;
    bt_fs_names *out;
} walk;

static bt_status add_file(walk *w, const char *path, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_str            line = BT_STR_INIT;
    char              hex[BT_FS_HEX_MAX];
    const char *const name = path + strlen(w->root) + (bt_str_ends_with(w->root, "/") ? 0 : 1);
    if ((uint64_t)w->out->n >= (uint64_t)w->max_files) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: more than %" PRId64 " files", w->root, w->max_files);
    }
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '\\') {
            return BT_FAIL(err, BT_E_FORMAT, "%s: a file's name has characters that no name needs",
                           w->root);
        }
    }
    BT_CHECK(bt_fs_hash_file(path, hex, err));
    BT_CHECK(bt_str_appendf(&line, err, "%s\n%s", name, hex));
    BT_CHECK(fs_names_add(w->out, bt_str_text(&line), err));
done:
    bt_str_deinit(&line);
    return rc;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by MAX_DEPTH */
static bt_status add_folder(walk *w, const char *folder, int depth, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    char       *path = NULL;
    if (depth == MAX_DEPTH) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: its folders are nested too deeply", w->root);
    }
    BT_CHECK(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        bt_fs_info info = {0};
        BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
        BT_CHECK(bt_fs_stat(path, &info, err));
        if (info.kind == BT_FS_FOLDER) {
            BT_CHECK(add_folder(w, path, depth + 1, err));
        } else {
            BT_CHECK(add_file(w, path, err));
        }
        bt_free(path);
        path = NULL;
    }
done:
    bt_free(path);
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status bt_fs_folder_content(const char *folder, int64_t max_files, bt_fs_names *out,
                               bt_error *err) {
    bt_fs_names     names = BT_FS_NAMES_INIT;
    walk            w = {folder, max_files, &names};
    const bt_status rc = add_folder(&w, folder, 0, err);
    if (rc != BT_OK) {
        bt_fs_names_deinit(&names);
        return rc;
    }
    fs_names_sort(&names);
    *out = names;
    return BT_OK;
}

bt_status bt_fs_content_digest(const bt_fs_names *content, char sha256[BT_FS_HEX_MAX],
                               bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_hasher *hasher = NULL;
    bt_str        line = BT_STR_INIT;
    BT_CHECK(bt_fs_hasher_create(BT_FS_SHA256, &hasher, err));
    for (size_t i = 0; i < content->n; i++) {
        const char *const name = content->items[i];
        const char *const hex = strrchr(name, '\n');
        BT_ASSERT(hex != NULL);
        bt_str_clear(&line);
        BT_CHECK(bt_str_appendf(&line, err, "%s  %.*s\n", hex + 1, (int)(hex - name), name));
        BT_CHECK(bt_fs_hasher_add(hasher, bt_str_text(&line), line.len, err));
    }
    BT_CHECK(bt_fs_hasher_finish(hasher, sha256, err));
done:
    bt_str_deinit(&line);
    bt_fs_hasher_free(hasher);
    return rc;
}
