/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a file from front to back through one large buffer; the system is told, so it reads
 * ahead. Works on pipes too. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/stop.h"
#include "fs_internal.h"
#include "remote.h"

enum { STREAM_BUFFER_BYTES = 1 << 18 };

struct bt_fs_stream {
    int                  fd;
    block_file          *remote; /* or NULL: fd, or scratch */
    int64_t              at;     /* remote, scratch: of the next byte that is not in the buffer */
    int64_t              size;   /* -1: not a regular file */
    int64_t              first;  /* scratch: where the bytes begin in it */
    const bt_fs_scratch *scratch;
    int64_t              offset; /* of the next byte that the caller gets */
    char                *path;
    uint8_t             *buffer;
    size_t               begin; /* what is left in the buffer: [begin, end) */
    size_t               end;
    bt_str               line;
    bool                 is_summed;
    uint32_t             crc; /* of the first n_summed bytes */
    int64_t              n_summed;
};

static void close_source(int fd, block_file *remote) {
    if (remote != NULL) {
        block_file_close(remote);
    } else if (fd >= 0) {
        (void)close(fd);
    }
}

/* NULL: out of memory. */
static bt_fs_stream *make_stream(const char *path) {
    bt_fs_stream *const stream = bt_calloc_array(1, sizeof *stream);
    if (stream == NULL || (stream->path = bt_strdup(path)) == NULL ||
        (stream->buffer = bt_alloc(STREAM_BUFFER_BYTES)) == NULL) {
        if (stream != NULL) {
            bt_free(stream->path);
        }
        bt_free(stream);
        return NULL;
    }
    stream->fd = -1;
    return stream;
}

bt_status bt_fs_stream_open(const char *path, bt_fs_stream **out, bt_error *err) {
    int         fd = -1;
    int64_t     size = 0;
    block_file *remote = NULL;
    if (fs_is_served(path)) {
        BT_TRY(block_file_open(path, &remote, err));
        size = block_file_size(remote);
    } else {
        BT_TRY(fs_open_read(path, &fd, &size, err));
    }
    bt_fs_stream *const stream = make_stream(path);
    if (stream == NULL) {
        close_source(fd, remote);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    stream->fd = fd;
    stream->remote = remote;
    stream->size = size;
    if (size > 0 && remote == NULL) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
    }
    *out = stream;
    return BT_OK;
}

bt_status bt_fs_stream_open_scratch(const bt_fs_scratch *scratch, int64_t begin, int64_t end,
                                    const char *path, bt_fs_stream **out, bt_error *err) {
    bt_fs_stream *const stream = make_stream(path);
    if (stream == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    stream->scratch = scratch;
    stream->first = begin;
    stream->size = end - begin;
    *out = stream;
    return BT_OK;
}

void bt_fs_stream_close(bt_fs_stream *stream) {
    if (stream != NULL) {
        close_source(stream->fd, stream->remote);
        bt_free(stream->path);
        bt_free(stream->buffer);
        bt_str_deinit(&stream->line);
        bt_free(stream);
    }
}

int64_t bt_fs_stream_offset(const bt_fs_stream *stream) {
    return stream->offset;
}

int64_t bt_fs_stream_size(const bt_fs_stream *stream) {
    return stream->size < 0 ? 0 : stream->size;
}

const char *bt_fs_stream_path(const bt_fs_stream *stream) {
    return stream->path;
}

void bt_fs_stream_sum(bt_fs_stream *stream) {
    stream->is_summed = true;
}

bool bt_fs_stream_crc(const bt_fs_stream *stream, uint32_t *crc) {
    *crc = stream->crc;
    return stream->is_summed && stream->n_summed == bt_fs_stream_size(stream);
}

/* The buffer is empty: the bytes are those at stream->offset. */
static void sum_bytes(bt_fs_stream *stream, const uint8_t *bytes, size_t n) {
    if (stream->is_summed && stream->n_summed == stream->offset) {
        stream->crc = bt_crc32c(stream->crc, bytes, n);
        stream->n_summed += (int64_t)n;
    }
}

/* What comes next, at most a buffer full. */
static bt_status read_next(bt_fs_stream *stream, uint8_t *dst, size_t *n, bt_error *err) {
    BT_TRY(bt_stop_check_now(err));
    if (stream->remote != NULL) {
        BT_TRY(block_file_read(stream->remote, stream->at, dst, STREAM_BUFFER_BYTES, n, err));
        stream->at += (int64_t)*n;
        return BT_OK;
    }
    if (stream->scratch != NULL) {
        const int64_t left = stream->size - stream->at;
        *n = left < STREAM_BUFFER_BYTES ? (size_t)left : STREAM_BUFFER_BYTES;
        BT_TRY(bt_fs_scratch_read(stream->scratch, stream->first + stream->at, dst, *n, err));
        stream->at += (int64_t)*n;
        return BT_OK;
    }
    if (stream->size < 0) {
        BT_TRY(fs_await_bytes(stream->fd, stream->path, err));
    }
    const ssize_t got = fs_sys_read(stream->fd, dst, STREAM_BUFFER_BYTES);
    if (got < 0) {
        return fs_fail_read(stream->path, errno, err);
    }
    *n = (size_t)got;
    return BT_OK;
}

/* false through *any: the end. */
static bt_status fill(bt_fs_stream *stream, bool *any, bt_error *err) {
    size_t n = 0;
    BT_TRY(read_next(stream, stream->buffer, &n, err));
    sum_bytes(stream, stream->buffer, n);
    stream->begin = 0;
    stream->end = n;
    *any = n > 0;
    return BT_OK;
}

static size_t take(bt_fs_stream *stream, uint8_t *dst, size_t n_bytes) {
    const size_t left = stream->end - stream->begin;
    const size_t n = n_bytes < left ? n_bytes : left;
    memcpy(dst, stream->buffer + stream->begin, n);
    stream->begin += n;
    stream->offset += (int64_t)n;
    return n;
}

bt_status bt_fs_stream_read(bt_fs_stream *stream, void *dst, size_t n_bytes, size_t *got,
                            bt_error *err) {
    size_t done = take(stream, dst, n_bytes);
    while (done < n_bytes) {
        if (n_bytes - done >= STREAM_BUFFER_BYTES) { /* large: straight to the caller */
            size_t n = 0;
            BT_TRY(read_next(stream, (uint8_t *)dst + done, &n, err));
            sum_bytes(stream, (const uint8_t *)dst + done, n);
            if (n == 0) {
                break;
            }
            done += n;
            stream->offset += (int64_t)n;
            continue;
        }
        bool any = false;
        BT_TRY(fill(stream, &any, err));
        if (!any) {
            break;
        }
        done += take(stream, (uint8_t *)dst + done, n_bytes - done);
    }
    *got = done;
    return BT_OK;
}

bt_status bt_fs_stream_seek(bt_fs_stream *stream, int64_t offset, bt_error *err) {
    const int64_t buffered = (int64_t)(stream->end - stream->begin);
    if (offset >= stream->offset && offset - stream->offset <= buffered) {
        stream->begin += (size_t)(offset - stream->offset);
        stream->offset = offset;
        return BT_OK;
    }
    const bool is_placed = stream->remote != NULL || stream->scratch != NULL;
    const bool moved =
        offset >= 0 && (is_placed || lseek(stream->fd, (off_t)offset, SEEK_SET) >= 0);
    if (!moved) {
        return BT_FAIL(err, BT_E_IO, "cannot move to byte %" PRId64 " of %s", offset, stream->path);
    }
    stream->begin = 0;
    stream->end = 0;
    stream->offset = offset;
    stream->at = offset;
    return BT_OK;
}

bt_status bt_fs_stream_line(bt_fs_stream *stream, size_t max_bytes, const char **line,
                            size_t *n_bytes, bool *end, bt_error *err) {
    const int64_t start = stream->offset;
    bt_str_clear(&stream->line);
    for (;;) {
        if (stream->begin == stream->end) {
            bool any = false;
            BT_TRY(fill(stream, &any, err));
            if (!any) {
                break;
            }
        }
        const uint8_t *const from = stream->buffer + stream->begin;
        const size_t         left = stream->end - stream->begin;
        const uint8_t *const lf = memchr(from, '\n', left);
        const size_t         n = lf != NULL ? (size_t)(lf - from) : left;
        if (n > max_bytes - stream->line.len) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s: the line at byte %" PRId64 " has more than %zu bytes", stream->path,
                           start, max_bytes);
        }
        BT_TRY(bt_str_append_n(&stream->line, from, n, err));
        const size_t used = n + (lf != NULL ? 1 : 0);
        stream->begin += used;
        stream->offset += (int64_t)used;
        if (lf != NULL) {
            break;
        }
    }
    *end = stream->offset == start;
    *line = *end ? NULL : bt_str_text(&stream->line);
    *n_bytes = stream->line.len;
    return BT_OK;
}
