/* SPDX-License-Identifier: Apache-2.0
 *
 * One file out of what packs it: bzip2, xz and zstd as they are, of zip and tar the one member that
 * there is. In blocks, so that memory does not grow with the file; of any store. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/fs.h"

#include "fs_internal.h"

#ifdef BT_HAVE_ARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

enum { READ_BYTES = 1 << 18, SHOWN_NAMES = 4, NAME_BYTES = 60 };

typedef struct unpacking_one {
    const char     *path;
    struct archive *archive;
    bt_fs_stream   *stream;
    char           *input; /* [READ_BYTES] what libarchive reads from */
    char           *block; /* [READ_BYTES] what it gives */
    bt_error        read;  /* why the stream failed */
    bt_fs_scratch  *out;
    int64_t         n_members;
    bt_str          names; /* of the first few */
    bool            is_zip;
} unpacking_one;

static la_ssize_t give_input(struct archive *archive, void *context, const void **bytes) {
    unpacking_one *const u = context;
    size_t               got = 0;
    *bytes = u->input;
    if (bt_fs_stream_read(u->stream, u->input, READ_BYTES, &got, &u->read) != BT_OK) {
        archive_set_error(archive, -1, "%s", u->read.msg);
        return ARCHIVE_FATAL;
    }
    return (la_ssize_t)got;
}

/* A zip's directory is at its end. */
static la_int64_t seek_input(struct archive *archive, void *context, la_int64_t offset,
                             int whence) {
    unpacking_one *const u = context;
    const int64_t        from = whence == SEEK_SET   ? 0
                                : whence == SEEK_CUR ? bt_fs_stream_offset(u->stream)
                                                     : bt_fs_stream_size(u->stream);
    if (bt_fs_stream_seek(u->stream, from + offset, &u->read) != BT_OK) {
        archive_set_error(archive, -1, "%s", u->read.msg);
        return ARCHIVE_FATAL;
    }
    return from + offset;
}

static bt_status fail_archive(const unpacking_one *u, bt_error *err) {
    if (u->read.code != BT_OK) {
        return BT_FAIL(err, u->read.code, "%s", u->read.msg);
    }
    const char *const why = archive_error_string(u->archive);
    return BT_FAIL(err, BT_E_FORMAT, "%s: cannot be unpacked: %s; was it copied whole?", u->path,
                   why != NULL ? why : "damaged");
}

/* What macOS puts beside the files of an archive. */
static bool is_member(struct archive_entry *entry, const char *name) {
    return archive_entry_filetype(entry) != AE_IFDIR && strncmp(name, "__MACOSX/", 9) != 0;
}

static bt_status copy_member(unpacking_one *u, bt_error *err) {
    for (;;) {
        BT_TRY(bt_stop_check(err));
        const la_ssize_t n = archive_read_data(u->archive, u->block, READ_BYTES);
        if (n < 0) {
            return fail_archive(u, err);
        }
        if (n == 0) {
            return BT_OK;
        }
        BT_TRY(bt_fs_scratch_append(u->out, u->block, (size_t)n, err));
    }
}

static bt_status note_member(unpacking_one *u, const char *name, bt_error *err) {
    if (u->n_members > SHOWN_NAMES) {
        return BT_OK;
    }
    char   shown[NAME_BYTES + 1] = "";
    size_t n = strlen(name);
    n = n < NAME_BYTES ? n : NAME_BYTES;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)name[i];
        shown[i] = c < 0x20 || c == 0x7f ? '?' : name[i];
    }
    return u->n_members == SHOWN_NAMES
               ? bt_str_append(&u->names, ", ...", err)
               : bt_str_appendf(&u->names, err, "%s%s", u->n_members > 0 ? ", " : "", shown);
}

/* The bytes of the first member; u->n_members and u->names of all. */
static bt_status read_members(unpacking_one *u, bt_error *err) {
    for (;;) {
        struct archive_entry *entry = NULL;
        const int             result = archive_read_next_header(u->archive, &entry);
        if (result == ARCHIVE_EOF) {
            return BT_OK;
        }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            return fail_archive(u, err);
        }
        const char *const name = archive_entry_pathname(entry);
        if (is_member(entry, name != NULL ? name : "?")) {
            BT_TRY(note_member(u, name != NULL ? name : "?", err));
            if (u->n_members++ == 0) {
                BT_TRY(copy_member(u, err));
            }
        }
    }
}

static bt_status unpack_members(unpacking_one *u, bt_error *err) {
    BT_TRY(read_members(u, err));
    const int64_t n_unread = bt_fs_stream_size(u->stream) - archive_filter_bytes(u->archive, -1);
    if (!u->is_zip && u->n_members == 1 && n_unread > 0) {
        /* a second bzip2 stream whose beginning is damaged looks like that */
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %" PRId64 " bytes after the end of the compressed data: damaged, or "
                       "something was appended",
                       u->path, n_unread);
    }
    const bool is_packed = archive_filter_code(u->archive, 0) != ARCHIVE_FILTER_NONE;
    if (u->n_members == 0 && is_packed && archive_format(u->archive) == ARCHIVE_FORMAT_EMPTY) {
        return bt_fs_scratch_flush(u->out, err); /* an empty file */
    }
    if (!is_packed && archive_format(u->archive) == ARCHIVE_FORMAT_RAW) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s begins like a compressed file, but is not one: was it copied whole?",
                       u->path);
    }
    if (u->n_members != 1) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s holds %" PRId64 " files%s%s: unpack it, and name the one that is meant",
                       u->path, u->n_members, u->n_members > 0 ? ": " : "", bt_str_text(&u->names));
    }
    return bt_fs_scratch_flush(u->out, err);
}

static bt_status look_for_zip(unpacking_one *u, bt_error *err) {
    char   head[2] = "";
    size_t n = 0;
    BT_TRY(bt_fs_stream_read(u->stream, head, sizeof head, &n, err));
    u->is_zip = n == sizeof head && memcmp(head, "PK", sizeof head) == 0;
    return bt_fs_stream_seek(u->stream, 0, err);
}

static bt_status open_archive(unpacking_one *u, bt_error *err) {
    u->archive = archive_read_new();
    u->input = bt_alloc(READ_BYTES);
    u->block = bt_alloc(READ_BYTES);
    if (u->archive == NULL || u->input == NULL || u->block == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot unpack %s", u->path);
    }
    BT_TRY(bt_fs_stream_open(u->path, &u->stream, err));
    BT_TRY(look_for_zip(u, err));
    if (u->is_zip) { /* its directory says what it holds: without that, a cut one looks whole */
        (void)archive_read_support_format_zip_seekable(u->archive);
        (void)archive_read_set_seek_callback(u->archive, seek_input);
    } else {
        (void)archive_read_support_filter_bzip2(u->archive);
        (void)archive_read_support_filter_xz(u->archive);
        (void)archive_read_support_filter_zstd(u->archive);
        (void)archive_read_support_format_tar(u->archive);
        (void)archive_read_support_format_raw(u->archive);
        (void)archive_read_support_format_empty(u->archive);
    }
    return archive_read_open(u->archive, u, NULL, give_input, NULL) == ARCHIVE_OK
               ? BT_OK
               : fail_archive(u, err);
}

bt_status bt_fs_unpack_one(const char *path, bt_fs_scratch *out, bt_error *err) {
    unpacking_one u = {.path = path, .out = out, .read = BT_ERROR_INIT};
    bt_status     rc = BT_OK;
    BT_CHECK(open_archive(&u, err));
    BT_CHECK(unpack_members(&u, err));
done:
    if (u.archive != NULL) {
        (void)archive_read_free(u.archive);
    }
    bt_fs_stream_close(u.stream);
    bt_str_deinit(&u.names);
    bt_free(u.input);
    bt_free(u.block);
    return rc;
}

#else

bt_status bt_fs_unpack_one(const char *path, bt_fs_scratch *out, bt_error *err) {
    (void)out;
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: built without libarchive, which unpacks such files: unpack it first", path);
}

#endif
