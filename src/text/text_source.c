/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first bytes of a file of text say, and what is done about it before it is read:
 * unpacked, converted to UTF-8, its line ends made LF, each into a file without a name. The usual
 * file is none of that and is read where it is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "bt/fs.h"
#include "bt/wire/gzip.h"

#include "text_source.h"

enum { HEAD_BYTES = 1 << 16, BLOCK_BYTES = 1 << 18 };

/* The bytes so far: of the file, or [begin, end) of what was unpacked. */
typedef struct source_run {
    const char             *path;
    const bt_text_encoding *encoding;
    bt_fs_scratch         **scratch;
    bt_text_source         *source;
    bool                    is_all; /* source->head is the whole file */
    bool                    is_pipe;
} source_run;

static bt_status need_scratch(source_run *run, bt_error *err) {
    return *run->scratch == NULL ? bt_fs_scratch_create(run->path, run->scratch, err) : BT_OK;
}

/* Reading what is there so far. */

static bt_status read_head(source_run *run, bt_error *err) {
    bt_status             rc = BT_OK;
    bt_file              *file = NULL;
    bt_text_source *const source = run->source;
    bt_str *const         head = &source->head;
    BT_CHECK(bt_grow(&head->data, &head->cap, HEAD_BYTES, 1, HEAD_BYTES, err));
    head->len = HEAD_BYTES;
    if (source->is_unpacked) {
        const int64_t left = source->end - source->begin;
        head->len = left < HEAD_BYTES ? (size_t)left : HEAD_BYTES;
        run->is_all = left <= HEAD_BYTES;
        BT_CHECK(bt_fs_scratch_read(*run->scratch, source->begin, head->data, head->len, err));
    } else {
        BT_CHECK(bt_fs_open(run->path, &file, err));
        BT_CHECK(bt_fs_read_upto(file, 0, head->data, HEAD_BYTES, &head->len, err));
        run->is_all = head->len < HEAD_BYTES;
    }
done:
    bt_fs_close(file);
    return rc;
}

typedef bt_status (*source_step)(source_run *run, void *state, const char *bytes, size_t n,
                                 bool is_last, bt_error *err);

/* The blocks of the source, last is the one with is_last, which may be empty. */
static bt_status walk_source(source_run *run, bt_fs_stream *stream, char *block, source_step step,
                             void *state, bt_error *err) {
    const int64_t end = run->source->end;
    size_t        n = BLOCK_BYTES;
    for (int64_t at = run->source->begin; n == BLOCK_BYTES; at += (int64_t)n) {
        BT_TRY(bt_stop_check(err));
        if (stream != NULL) {
            BT_TRY(bt_fs_stream_read(stream, block, BLOCK_BYTES, &n, err));
        } else {
            const int64_t left = end - at;
            n = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
            /* what comes after is being appended */
            BT_TRY(bt_fs_scratch_flush(*run->scratch, err));
            BT_TRY(bt_fs_scratch_read(*run->scratch, at, block, n, err));
        }
        BT_TRY(step(run, state, block, n, n < BLOCK_BYTES, err));
    }
    return BT_OK;
}

/* Makes of the source another one after it in the scratch file. */
static bt_status change_source(source_run *run, source_step step, void *state, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_stream *stream = NULL;
    char *const   block = bt_alloc(BLOCK_BYTES);
    BT_CHECK(need_scratch(run, err));
    if (block == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "%s: out of memory to convert it", run->path);
        goto done;
    }
    if (!run->source->is_unpacked) {
        BT_CHECK(bt_fs_stream_open(run->path, &stream, err));
    }
    const int64_t begin = bt_fs_scratch_size(*run->scratch);
    BT_CHECK(walk_source(run, stream, block, step, state, err));
    BT_CHECK(bt_fs_scratch_flush(*run->scratch, err));
    run->source->is_unpacked = true;
    run->source->begin = begin;
    run->source->end = bt_fs_scratch_size(*run->scratch);
    rc = read_head(run, err);
done:
    bt_fs_stream_close(stream);
    bt_free(block);
    return rc;
}

static bt_status keep_bytes(source_run *run, void *state, const char *bytes, size_t n, bool is_last,
                            bt_error *err) {
    (void)state;
    (void)is_last;
    return bt_fs_scratch_append(*run->scratch, bytes, n, err);
}

static bool begins_with(const bt_str *head, const char *magic, size_t n) {
    return head->len >= n && memcmp(head->data, magic, n) == 0;
}

/* Packed files by their first bytes, or by their names, which then must be true. */
static const struct {
    const char *extension;
    const char *magic;
    size_t      n;
} packed[] = {
    {".gz", "\x1f\x8b\x08", 3},
    {".bz2", "BZh", 3},
    {".xz",
     "\xfd"
     "7zXZ",
     6},
    {".zst", "\x28\xb5\x2f\xfd", 4},
    {".zip", "PK\x03\x04", 4},
    {".zip", "PK\x05\x06", 4},
};

static bt_status unpack(source_run *run, bt_error *err) {
    size_t i = 0;
    while (i < BT_ARRAY_LEN(packed) &&
           !begins_with(&run->source->head, packed[i].magic, packed[i].n)) {
        i++;
    }
    const size_t n_path = strlen(run->path);
    if (i == BT_ARRAY_LEN(packed) && bt_text_packed_suffix(run->path, n_path) == 0) {
        return BT_OK;
    }
    if (run->is_pipe) {
        return BT_FAIL(err, BT_E_IO,
                       "%s is a pipe with something packed (%s), which is unpacked of files only: "
                       "unpack it before (gzip -dc FILE | ...)",
                       run->path, i < BT_ARRAY_LEN(packed) ? packed[i].extension : "by its name");
    }
    BT_TRY(need_scratch(run, err));
    run->source->begin = bt_fs_scratch_size(*run->scratch);
    BT_TRY(i == 0 ||
                   (i == BT_ARRAY_LEN(packed) && bt_str_ends_with_nocase(run->path, n_path, ".gz"))
               ? bt_gzip_unpack(run->path, *run->scratch, err)
           : i < BT_ARRAY_LEN(packed)
               ? bt_fs_unpack_one(run->path, *run->scratch, err)
               : BT_FAIL(err, BT_E_FORMAT, "%s has that name, but is not compressed", run->path));
    run->source->end = bt_fs_scratch_size(*run->scratch);
    run->source->is_unpacked = true;
    return read_head(run, err);
}

static const struct {
    const char *bytes;
    size_t      n;
    const char *encoding;
} marks[] = {
    {"\xff\xfe\0\0", 4, "UTF-32LE"}, /* before the next, which it begins like */
    {"\xff\xfe", 2, "UTF-16LE"},     {"\xfe\xff", 2, "UTF-16BE"},
    {"\0\0\xfe\xff", 4, "UTF-32BE"}, {"\xef\xbb\xbf", 3, "UTF-8"},
};

static const char *encoding_by_mark(const bt_str *head) {
    for (size_t i = 0; i < BT_ARRAY_LEN(marks); i++) {
        if (begins_with(head, marks[i].bytes, marks[i].n)) {
            return marks[i].encoding;
        }
    }
    return NULL;
}

/* Text without a mark whose ASCII characters show, by the NULs beside them. */
static const char *encoding_by_nuls(const bt_str *head) {
    enum { LOOKED_AT = 4096 };
    static const struct {
        const char *encoding;
        size_t      width;
        size_t      place; /* of the byte that is none */
    } rows[] = {{"UTF-32LE", 4, 0}, {"UTF-32BE", 4, 3}, {"UTF-16LE", 2, 0}, {"UTF-16BE", 2, 1}};
    const size_t n = head->len < LOOKED_AT ? head->len : LOOKED_AT;
    size_t       at[4] = {0}; /* NULs by place modulo 4 */
    for (size_t i = 0; i < n; i++) {
        at[i % 4] += head->data[i] == '\0' ? 1 : 0;
    }
    const size_t n_all = at[0] + at[1] + at[2] + at[3];
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const size_t width = rows[i].width;
        const size_t place = rows[i].place;
        const size_t n_text = at[place] + (width == 2 ? at[place + 2] : 0);
        const size_t n_units = n / width;
        if (n_units >= 4 && n_text == 0 && 4 * n_all >= 3 * n_units * (width - 1)) {
            return rows[i].encoding;
        }
    }
    return NULL;
}

static bool is_utf8_name(const char *encoding) {
    static const char *const names[] = {"utf-8",     "utf8",  "utf_8",   "utf-8-sig",
                                        "utf_8_sig", "ascii", "us-ascii"};
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        if (bt_str_equal_nocase(encoding, names[i])) {
            return true;
        }
    }
    return false;
}

/* Does a name mean what the mark says? "utf-16" leaves the order of bytes to it. */
static bool is_same_encoding(const char *said, const char *marked) {
    static const char *const orders[] = {"le", "be", ""};
    char                     plain[16] = "";
    size_t                   n = 0;
    if (is_utf8_name(said) || is_utf8_name(marked)) {
        return is_utf8_name(said) && is_utf8_name(marked);
    }
    for (const char *p = said; *p != '\0' && n + 1 < sizeof plain; p++) {
        if (*p != '-' && *p != '_') {
            plain[n++] = *p;
        }
    }
    plain[n] = '\0';
    for (size_t i = 0; i < BT_ARRAY_LEN(orders); i++) {
        char name[16] = "";
        (void)snprintf(name, sizeof name, "utf%.2s%s", marked + 4, orders[i]);
        if (bt_str_equal_nocase(plain, name)) {
            return orders[i][0] == '\0' ||
                   bt_str_ends_with_nocase(marked, strlen(marked), orders[i]);
        }
    }
    return false;
}

/* What was said by the key, though the bytes are valid UTF-8 that ASCII is not enough for. */
static void doubt_encoding(const source_run *run) {
    const char *const bytes = bt_str_text(&run->source->head);
    const size_t      n = run->source->head.len;
    bool              is_ascii = true;
    for (size_t i = 0; i < n && is_ascii; i++) {
        is_ascii = ((unsigned char)bytes[i] & 0x80) == 0;
    }
    if (!is_ascii && bt_text_utf8_valid_prefix(bytes, n) + (run->is_all ? 0 : 3) >= n) {
        bt_log(BT_LOG_WARNING,
               "%s: read as %s, because %s says so, but its bytes are valid UTF-8, which "
               "text of another encoding hardly ever is",
               run->path, run->encoding->name, run->encoding->key);
    }
}

static bt_status decode_block(source_run *run, void *state, const char *bytes, size_t n,
                              bool is_last, bt_error *err) {
    return text_decode(state, bytes, n, is_last, *run->scratch, err);
}

static bt_status decode(source_run *run, const char *encoding, bt_error *err) {
    text_decoder *decoder = NULL;
    BT_TRY(text_decoder_create(encoding, run->path, run->encoding->key, &decoder, err));
    const bt_status rc = change_source(run, decode_block, decoder, err);
    text_decoder_free(decoder);
    return rc;
}

static bt_status to_utf8(source_run *run, bt_error *err) {
    const char *const said = run->encoding->name;
    const char *const marked = encoding_by_mark(&run->source->head);
    const char *const seen =
        marked == NULL && said == NULL ? encoding_by_nuls(&run->source->head) : NULL;
    if (seen != NULL) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "%s: looks like %s without a byte order mark (NUL bytes beside its letters): "
            "if it is that, set %s=%s",
            run->path, seen, run->encoding->key, seen);
    }
    if (said != NULL && marked != NULL && !is_same_encoding(said, marked)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: its byte order mark says %s, but %s is %s: take the key away, "
                       "or correct it",
                       run->path, marked, run->encoding->key, said);
    }
    const char *const encoding = said != NULL ? said : (marked != NULL ? marked : "UTF-8");
    if (is_utf8_name(encoding)) {
        return BT_OK;
    }
    if (said == NULL) {
        bt_log(BT_LOG_INFO, "%s: converted from %s, as its byte order mark says", run->path,
               encoding);
    } else if (marked == NULL) {
        doubt_encoding(run);
    }
    return decode(run, encoding, err);
}

static bt_status mend_block(source_run *run, void *state, const char *bytes, size_t n, bool is_last,
                            bt_error *err) {
    int64_t *const at = state;
    (void)is_last;
    const char *const lf = memchr(bytes, '\n', n);
    if (lf != NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: its lines end with CR at first, but there is an LF at byte %" PRId64
                       ": make all line ends LF",
                       run->path, *at + (lf - bytes));
    }
    while (n > 0) {
        const char *const cr = memchr(bytes, '\r', n);
        const size_t      n_line = cr != NULL ? (size_t)(cr - bytes) : n;
        const size_t      used = n_line + (cr != NULL ? 1 : 0);
        BT_TRY(bt_fs_scratch_append(*run->scratch, bytes, n_line, err));
        BT_TRY(bt_fs_scratch_append(*run->scratch, "\n", cr != NULL ? 1 : 0, err));
        bytes += used;
        n -= used;
        *at += (int64_t)used;
    }
    return BT_OK;
}

/* As old Macs wrote them, and Excel for Mac still may. */
static bt_status mend_line_ends(source_run *run, bt_error *err) {
    const char *const bytes = bt_str_text(&run->source->head);
    const size_t      n = run->source->head.len;
    int64_t           at = 0;
    if (n == 0 || memchr(bytes, '\r', n) == NULL || memchr(bytes, '\n', n) != NULL) {
        return BT_OK;
    }
    bt_log(BT_LOG_INFO, "%s: its lines end with CR", run->path);
    return change_source(run, mend_block, &at, err);
}

bt_status bt_text_source_open(const char *path, const bt_text_encoding *encoding, bool takes_pipes,
                              bt_fs_scratch **scratch, bt_text_source *out, bt_error *err) {
    bt_status  rc = BT_OK;
    source_run run = {.path = path,
                      .encoding = encoding,
                      .scratch = scratch,
                      .source = out,
                      .is_pipe = takes_pipes && bt_fs_is_pipe(path)};
    *out = (bt_text_source){0};
    BT_TRY(bt_fs_require_file(path, NULL, err));
    BT_CHECK(run.is_pipe ? change_source(&run, keep_bytes, NULL, err) : read_head(&run, err));
    BT_CHECK(bt_fs_refuse_stranger(path, out->head.data, out->head.len, err));
    BT_CHECK(bt_text_refuse_columns(path, bt_str_text(&out->head), out->head.len, err));
    BT_CHECK(unpack(&run, err));
    BT_CHECK(to_utf8(&run, err));
    rc = mend_line_ends(&run, err);
done:
    if (rc != BT_OK) {
        bt_text_source_deinit(out);
    }
    return rc;
}

void bt_text_source_deinit(bt_text_source *source) {
    bt_str_deinit(&source->head);
    *source = (bt_text_source){0};
}

bt_status bt_text_source_stream(const bt_text_source *source, const char *path,
                                const bt_fs_scratch *scratch, bt_fs_stream **out, bt_error *err) {
    return source->is_unpacked
               ? bt_fs_stream_open_scratch(scratch, source->begin, source->end, path, out, err)
               : bt_fs_stream_open(path, out, err);
}
