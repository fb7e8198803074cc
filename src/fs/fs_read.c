/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading files at any place, whole, or mapped. A file that ends too early is an error that says
 * where it ends. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "fs_internal.h"
#include "remote.h"

enum { READ_ALL_FIRST = 1 << 16 };
/* Below this size a copy costs less than the page faults of a mapping. */
static const int64_t map_min_bytes = 1 << 18;
/* In one call: the system reads at most 2 GiB, and between two calls a stop is noticed. */
static const size_t read_max_bytes = (size_t)1 << 26;

struct bt_file {
    int         fd;
    int64_t     n_bytes;
    char       *path;
    block_file *remote; /* or NULL: fd */
};

bt_status bt_fs_open(const char *path, bt_file **out, bt_error *err) {
    int         fd = -1;
    int64_t     n_bytes = 0;
    bt_status   rc = BT_OK;
    bt_file    *file = NULL;
    block_file *remote = NULL;
    if (fs_is_served(path)) {
        BT_CHECK(block_file_open(path, &remote, err));
        n_bytes = block_file_size(remote);
    } else {
        BT_CHECK(fs_open_read(path, &fd, &n_bytes, err));
    }
    if (n_bytes < 0) {
        rc = BT_FAIL(err, BT_E_IO, "%s is not a regular file, but must be read at any place", path);
        goto done;
    }
    file = bt_calloc_array(1, sizeof *file);
    if (file == NULL || (file->path = bt_strdup(path)) == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
        goto done;
    }
    file->fd = fd;
    file->remote = remote;
    file->n_bytes = n_bytes;
    *out = file;
    return BT_OK;
done:
    if (fd >= 0) {
        (void)close(fd);
    }
    if (remote != NULL) {
        block_file_close(remote);
    }
    bt_free(file);
    return rc;
}

void bt_fs_close(bt_file *file) {
    if (file != NULL) {
        if (file->remote != NULL) {
            block_file_close(file->remote);
        } else {
            (void)close(file->fd);
        }
        bt_free(file->path);
        bt_free(file);
    }
}

int64_t bt_fs_size(const bt_file *file) {
    return file->n_bytes;
}

const char *bt_fs_path(const bt_file *file) {
    return file->path;
}

bt_status bt_fs_read_upto(const bt_file *file, int64_t offset, void *dst, size_t n_bytes,
                          size_t *got, bt_error *err) {
    size_t done = 0;
    if (file->remote != NULL) {
        return block_file_read(file->remote, offset, dst, n_bytes, got, err);
    }
    while (done < n_bytes) {
        BT_TRY(bt_stop_check_now(err));
        const size_t  want = n_bytes - done < read_max_bytes ? n_bytes - done : read_max_bytes;
        const ssize_t n =
            fs_sys_pread(file->fd, (uint8_t *)dst + done, want, offset + (int64_t)done);
        if (n < 0) {
            return fs_fail_read(file->path, errno, err);
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *got = done;
    return BT_OK;
}

bt_status bt_fs_read_at(const bt_file *file, int64_t offset, void *dst, size_t n_bytes,
                        bt_error *err) {
    size_t got = 0;
    if (offset < 0 || n_bytes > (size_t)(INT64_MAX - offset)) {
        return BT_FAIL(err, BT_E_IO, "%s: %zu bytes at %" PRId64 " are beyond any file", file->path,
                       n_bytes, offset);
    }
    BT_TRY(bt_fs_read_upto(file, offset, dst, n_bytes, &got, err));
    if (got != n_bytes) {
        return BT_FAIL(err, BT_E_IO,
                       "%s: bytes %" PRId64 " to %" PRId64 " are needed, but it ends at %" PRId64,
                       file->path, offset, offset + (int64_t)n_bytes, offset + (int64_t)got);
    }
    return BT_OK;
}

static bt_status fail_too_large(const char *path, size_t max_bytes, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s: larger than the %zu bytes that such a file may have",
                   path, max_bytes);
}

/* Reads until the end: also pipes, and files of /proc, whose size says 0. */
static bt_status read_to_end(int fd, const char *path, bool is_regular, size_t max_bytes, bt_str *s,
                             bt_error *err) {
    for (;;) {
        const size_t room = s->cap - s->len - 1;
        if (room == 0) {
            if (s->len >= max_bytes) {
                return fail_too_large(path, max_bytes, err);
            }
            BT_TRY(bt_grow(&s->data, &s->cap, s->cap * 2, 1, SIZE_MAX / 2, err));
            continue;
        }
        BT_TRY(bt_stop_check_now(err));
        if (!is_regular) {
            BT_TRY(fs_await_bytes(fd, path, err));
        }
        const ssize_t n =
            fs_sys_read(fd, s->data + s->len, room < read_max_bytes ? room : read_max_bytes);
        if (n < 0) {
            return fs_fail_read(path, errno, err);
        }
        if (n == 0) {
            break;
        }
        s->len += (size_t)n;
    }
    return s->len > max_bytes ? fail_too_large(path, max_bytes, err) : BT_OK;
}

bt_status bt_fs_read_all(const char *path, size_t max_bytes, char **out, size_t *n_bytes,
                         bt_error *err) {
    int       fd = -1;
    int64_t   size = 0;
    bt_str    s = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (fs_is_served(path)) {
        return remote_read_all(path, max_bytes, out, n_bytes, err);
    }
    BT_CHECK(fs_open_read(path, &fd, &size, err));
    if (size > 0 && (uint64_t)size > max_bytes) {
        rc = fail_too_large(path, max_bytes, err);
        goto done;
    }
    /* one byte for the NUL, one to see the end without growing */
    s.cap = size > 0 ? (size_t)size + 2 : READ_ALL_FIRST;
    s.data = bt_alloc(s.cap);
    if (s.data == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot hold %s (%zu bytes)", path, s.cap);
        goto done;
    }
    BT_CHECK(read_to_end(fd, path, size >= 0, max_bytes, &s, err));
    s.data[s.len] = '\0';
    *out = s.data;
    *n_bytes = s.len;
    s = (bt_str)BT_STR_INIT;
done:
    if (fd >= 0) {
        (void)close(fd);
    }
    bt_str_deinit(&s);
    return rc;
}

bt_status bt_fs_view_open(const char *path, bt_fs_view *out, bt_error *err) {
    int     fd = -1;
    int64_t size = 0;
    if (!fs_is_served(path)) {
        BT_TRY(fs_open_read(path, &fd, &size, err));
    }
    if (size >= map_min_bytes && !fs_must_fail(BT_FS_OP_READ)) {
        void *const bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            (void)close(fd);
            *out = (bt_fs_view){bytes, (size_t)size, bytes, true};
            return BT_OK;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    char  *bytes = NULL;
    size_t n_bytes = 0;
    BT_TRY(bt_fs_read_all(path, SIZE_MAX / 4, &bytes, &n_bytes, err));
    *out = (bt_fs_view){(const uint8_t *)bytes, n_bytes, bytes, false};
    return BT_OK;
}

void bt_fs_view_close(bt_fs_view *view) {
    if (view->mapped) {
        (void)munmap(view->owned, view->n_bytes);
    } else {
        bt_free(view->owned);
    }
    *view = (bt_fs_view){0};
}
