/* SPDX-License-Identifier: Apache-2.0
 *
 * A file without a name for what is too large for memory, in TMPDIR: written from front to back,
 * read anywhere, gone with the process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "fs_internal.h"
#include "remote.h"

enum { SCRATCH_BUFFER_BYTES = 1 << 18 };

struct bt_fs_scratch {
    int      fd;
    int64_t  n_written;
    uint8_t *buffer; /* what comes after that */
    size_t   n_buffered;
    char    *what;
};

bt_status bt_fs_scratch_create(const char *what, bt_fs_scratch **out, bt_error *err) {
    bt_fs_scratch *const scratch = bt_calloc_array(1, sizeof *scratch);
    bt_status            rc = BT_OK;
    if (scratch == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot unpack %s", what);
    }
    scratch->fd = -1;
    scratch->what = bt_strdup(what);
    scratch->buffer = bt_alloc(SCRATCH_BUFFER_BYTES);
    if (scratch->what == NULL || scratch->buffer == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot unpack %s", what);
        goto done;
    }
    BT_CHECK(remote_scratch_open(&scratch->fd, err));
    *out = scratch;
    return BT_OK;
done:
    bt_fs_scratch_close(scratch);
    return rc;
}

void bt_fs_scratch_close(bt_fs_scratch *scratch) {
    if (scratch != NULL) {
        if (scratch->fd >= 0) {
            (void)close(scratch->fd);
        }
        bt_free(scratch->buffer);
        bt_free(scratch->what);
        bt_free(scratch);
    }
}

int64_t bt_fs_scratch_size(const bt_fs_scratch *scratch) {
    return scratch->n_written + (int64_t)scratch->n_buffered;
}

bt_status bt_fs_scratch_flush(bt_fs_scratch *scratch, bt_error *err) {
    for (size_t done = 0; done < scratch->n_buffered;) {
        const ssize_t n =
            fs_sys_write(scratch->fd, scratch->buffer + done, scratch->n_buffered - done);
        if (n <= 0) {
            const char *const set = getenv("TMPDIR");
            return BT_FAIL(err, BT_E_RESOURCE,
                           "cannot unpack %s into %s (%s): set TMPDIR to a folder with room",
                           scratch->what, set != NULL && set[0] != '\0' ? set : "/tmp",
                           n < 0 ? strerror(errno) : "nothing can be written");
        }
        done += (size_t)n;
        scratch->n_written += n;
    }
    scratch->n_buffered = 0;
    return BT_OK;
}

bt_status bt_fs_scratch_append(bt_fs_scratch *scratch, const void *bytes, size_t n_bytes,
                               bt_error *err) {
    const uint8_t *at = bytes;
    while (n_bytes > 0) {
        const size_t room = SCRATCH_BUFFER_BYTES - scratch->n_buffered;
        const size_t n = n_bytes < room ? n_bytes : room;
        memcpy(scratch->buffer + scratch->n_buffered, at, n);
        scratch->n_buffered += n;
        at += n;
        n_bytes -= n;
        if (scratch->n_buffered == SCRATCH_BUFFER_BYTES) {
            BT_TRY(bt_fs_scratch_flush(scratch, err));
        }
    }
    return BT_OK;
}

bt_status bt_fs_scratch_read(const bt_fs_scratch *scratch, int64_t offset, void *dst,
                             size_t n_bytes, bt_error *err) {
    BT_ASSERT(offset >= 0 && offset <= scratch->n_written &&
              n_bytes <= (size_t)(scratch->n_written - offset));
    for (size_t done = 0; done < n_bytes;) {
        const ssize_t n = fs_sys_pread(scratch->fd, (uint8_t *)dst + done, n_bytes - done,
                                       offset + (int64_t)done);
        if (n <= 0) {
            return BT_FAIL(err, BT_E_RESOURCE, "cannot read back what was unpacked of %s: %s",
                           scratch->what, n < 0 ? strerror(errno) : "it is shorter now");
        }
        done += (size_t)n;
    }
    return BT_OK;
}
