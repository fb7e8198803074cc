/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain, GZIP or ZLIB bytes as one stream. GZIP members follow each other and are read through.
 * Faults appear where TensorFlow meets them (docs/model_garden/data.md section 5): it inflates a
 * buffer ahead, so a wrong trailer of a small file is an error before its first record, and a cut
 * stream ends. */
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "bt/base/alloc.h"
#include "inflate_stream.h"
#include "z_memory.h"

enum { INFLATE_BUFFER_BYTES = 1 << 18, GZIP_WINDOW_BITS = 15 + 16, ZLIB_WINDOW_BITS = 15 };

struct inflate_stream {
    bt_fs_stream  *file;
    bt_compression compression;
    bool           has_z;
    z_stream       z;
    uint8_t       *in;
    uint8_t       *out;
    bool           is_inside; /* a member was begun and has not ended */
    size_t         begin;     /* inflated bytes not yet taken: [begin, end) of out */
    size_t         end;
};

static bt_status start_inflate(inflate_stream *stream, bt_error *err) {
    stream->in = bt_alloc(INFLATE_BUFFER_BYTES);
    stream->out = bt_alloc(INFLATE_BUFFER_BYTES);
    z_memory_set(&stream->z);
    const int bits =
        stream->compression == BT_COMPRESSION_GZIP ? GZIP_WINDOW_BITS : ZLIB_WINDOW_BITS;
    if (stream->in == NULL || stream->out == NULL || inflateInit2(&stream->z, bits) != Z_OK) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot decompress %s",
                       bt_fs_stream_path(stream->file));
    }
    stream->has_z = true;
    return BT_OK;
}

bt_status inflate_stream_open(const char *path, bt_compression compression, inflate_stream **out,
                              bt_error *err) {
    bt_status             rc = BT_OK;
    inflate_stream *const stream = bt_calloc_array(1, sizeof *stream);
    if (stream == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    stream->compression = compression;
    BT_CHECK(bt_fs_stream_open(path, &stream->file, err));
    if (compression != BT_COMPRESSION_NONE) {
        BT_CHECK(start_inflate(stream, err));
    }
    *out = stream;
    return BT_OK;
done:
    inflate_stream_close(stream);
    return rc;
}

void inflate_stream_close(inflate_stream *stream) {
    if (stream != NULL) {
        if (stream->has_z) {
            (void)inflateEnd(&stream->z);
        }
        bt_fs_stream_close(stream->file);
        bt_free(stream->in);
        bt_free(stream->out);
        bt_free(stream);
    }
}

bool inflate_stream_is_cut(const inflate_stream *stream) {
    return stream->is_inside;
}

const char *inflate_stream_path(const inflate_stream *stream) {
    return bt_fs_stream_path(stream->file);
}

int64_t inflate_stream_left(const inflate_stream *stream) {
    const int64_t size = bt_fs_stream_size(stream->file);
    if (stream->compression != BT_COMPRESSION_NONE || size <= 0) {
        return -1;
    }
    const int64_t offset = bt_fs_stream_offset(stream->file);
    return offset < size ? size - offset : 0;
}

/* One round of inflate: some output, or the end of the input (*ended). */
static bt_status inflate_some(inflate_stream *stream, bool *ended, bt_error *err) {
    z_stream *const z = &stream->z;
    if (z->avail_in == 0) {
        size_t got = 0;
        BT_TRY(bt_fs_stream_read(stream->file, stream->in, INFLATE_BUFFER_BYTES, &got, err));
        if (got == 0) {
            *ended = true;
            return BT_OK;
        }
        z->next_in = stream->in;
        z->avail_in = (uInt)got;
    }
    z->next_out = stream->out;
    z->avail_out = INFLATE_BUFFER_BYTES;
    stream->is_inside = true;
    const int result = inflate(z, Z_SYNC_FLUSH);
    stream->begin = 0;
    stream->end = INFLATE_BUFFER_BYTES - z->avail_out;
    if (result == Z_STREAM_END) {
        /* what follows is another member */
        stream->is_inside = false;
        return inflateReset(z) == Z_OK ? BT_OK
                                       : BT_FAIL(err, BT_E_INTERNAL, "zlib cannot be reset");
    }
    if (result == Z_MEM_ERROR) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot decompress %s",
                       bt_fs_stream_path(stream->file));
    }
    if (result != Z_OK && result != Z_BUF_ERROR) {
        stream->end = 0;
        return BT_FAIL(err, BT_E_FORMAT, "%s: cannot decompress as %s near byte %" PRId64 ": %s",
                       bt_fs_stream_path(stream->file),
                       stream->compression == BT_COMPRESSION_GZIP ? "GZIP" : "ZLIB",
                       bt_fs_stream_offset(stream->file) - (int64_t)z->avail_in,
                       z->msg != NULL ? z->msg : "damaged data");
    }
    return BT_OK;
}

bt_status inflate_stream_read(inflate_stream *stream, void *dst, size_t n_bytes, size_t *got,
                              bt_error *err) {
    if (stream->compression == BT_COMPRESSION_NONE) {
        return bt_fs_stream_read(stream->file, dst, n_bytes, got, err);
    }
    size_t done = 0;
    bool   ended = false;
    while (done < n_bytes && !ended) {
        const size_t left = stream->end - stream->begin;
        const size_t n = n_bytes - done < left ? n_bytes - done : left;
        if (n > 0) {
            memcpy((uint8_t *)dst + done, stream->out + stream->begin, n);
        }
        stream->begin += n;
        done += n;
        if (done < n_bytes) {
            BT_TRY(inflate_some(stream, &ended, err));
        }
    }
    *got = done;
    return BT_OK;
}
