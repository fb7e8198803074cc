/* SPDX-License-Identifier: Apache-2.0
 *
 * A remote file to a local one, hashed on the way. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "remote.h"
#include "secrets.h"

enum { COPY_BYTES = 1 << 20 };

typedef struct download {
    const char   *local;
    bt_fs_writer *writer;
    bt_fs_hasher *hasher;
} download;

static bt_status restart(void *context, bt_error *err) {
    download *const d = context;
    bt_fs_writer_abort(d->writer);
    bt_fs_hasher_free(d->hasher);
    d->writer = NULL;
    d->hasher = NULL;
    BT_TRY(bt_fs_hasher_create(BT_FS_SHA256, &d->hasher, err));
    return bt_fs_writer_create(d->local, &d->writer, err);
}

static bt_status add(void *context, const void *bytes, size_t n, bt_error *err) {
    download *const d = context;
    BT_TRY(bt_fs_hasher_add(d->hasher, bytes, n, err));
    return bt_fs_writer_write(d->writer, bytes, n, err);
}

/* From a store that is read in blocks. */
static bt_status copy_blocks(download *d, const char *path, size_t max_bytes, bt_error *err) {
    bt_status   rc = BT_OK;
    block_file *file = NULL;
    uint8_t    *buffer = NULL;
    BT_TRY(block_file_open(path, &file, err));
    const int64_t size = block_file_size(file);
    if ((uint64_t)size > max_bytes) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: %" PRId64 " bytes, more than the %zu that are allowed",
                     path, size, max_bytes);
        goto done;
    }
    buffer = bt_alloc(COPY_BYTES);
    if (buffer == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot copy %s", path);
        goto done;
    }
    BT_CHECK(restart(d, err));
    for (int64_t at = 0; at < size;) {
        size_t got = 0;
        BT_CHECK(block_file_read(file, at, buffer, COPY_BYTES, &got, err));
        BT_CHECK(add(d, buffer, got, err));
        at += (int64_t)got;
    }
done:
    bt_free(buffer);
    block_file_close(file);
    return rc;
}

bt_status bt_fs_download(const char *path, const char *local, const bt_fs_download_limits *limits,
                         char sha256[BT_FS_HEX_MAX], bt_error *err) {
    bt_status       rc = BT_OK;
    download        d = {.local = local};
    const http_sink sink = {restart, add, &d};
    BT_TRY(remote_check(path, err));
    const remote_store *const store = remote_store_of(path);
    if (store == NULL) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: is not a path of a store", path);
    }
    if (store->download != NULL) {
        BT_CHECK(store->download(path, &sink, limits->max_bytes, limits->limit_seconds, err));
    } else {
        BT_CHECK(copy_blocks(&d, path, limits->max_bytes, err));
    }
    BT_CHECK(bt_fs_hasher_finish(d.hasher, sha256, err));
    BT_CHECK(bt_fs_writer_commit(&d.writer, err));
done:
    bt_fs_writer_abort(d.writer);
    bt_fs_hasher_free(d.hasher);
    return rc;
}
