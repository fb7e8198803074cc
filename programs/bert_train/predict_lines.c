/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines as they come: from standard input each as soon as it is there, from a file or a store as
 * all files are read. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "command_predict.h"

enum { CHUNK_BYTES = 64 << 10, LINE_MAX_BYTES = 16 << 20 };

struct predict_lines {
    const char   *name;
    bt_fs_stream *stream; /* NULL: standard input */
    bt_str        buffer; /* what was read of it */
    size_t        at;     /* in buffer: the next line begins */
    size_t        seen;   /* no LF before it */
    bool          ended;
    int64_t       n;
};

bt_status predict_lines_open(const char *path, predict_lines **out, bt_error *err) {
    predict_lines *const lines = bt_calloc_array(1, sizeof *lines);
    const bool           is_standard = bt_str_equal(path, "-");
    if (lines == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for lines");
    }
    lines->name = is_standard ? "standard input" : path;
    const bt_status rc = is_standard ? BT_OK : bt_fs_stream_open(path, &lines->stream, err);
    if (rc != BT_OK) {
        predict_lines_close(lines);
        return rc;
    }
    *out = lines;
    return BT_OK;
}

void predict_lines_close(predict_lines *lines) {
    if (lines != NULL) {
        bt_fs_stream_close(lines->stream);
        bt_str_deinit(&lines->buffer);
        bt_free(lines);
    }
}

bt_status predict_lines_wait(const predict_lines *lines, bt_error *err) {
    return lines->stream != NULL ? BT_OK : bt_cli_wait(STDIN_FILENO, POLLIN, err);
}

static bool has_more(void) {
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

/* What is there now, and no more than a chunk. */
static bt_status read_some(predict_lines *lines, bt_error *err) {
    char chunk[CHUNK_BYTES];
    if (lines->at > 0) { /* before that the buffer may be NULL */
        memmove(lines->buffer.data, lines->buffer.data + lines->at, lines->buffer.len - lines->at);
    }
    lines->buffer.len -= lines->at;
    lines->seen -= lines->at;
    lines->at = 0;
    const ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0) {
        return errno == EINTR || errno == EAGAIN
                   ? BT_OK
                   : BT_FAIL(err, bt_status_of_errno(errno, BT_E_IO),
                             "cannot read standard input: %s", strerror(errno));
    }
    lines->ended = n == 0;
    return bt_str_append_n(&lines->buffer, chunk, (size_t)n, err);
}

static bt_status next_of_input(predict_lines *lines, const char **line, size_t *n,
                               predict_wait *what, bt_error *err) {
    for (;;) {
        const char *const begin = bt_str_text(&lines->buffer);
        const size_t      left = lines->buffer.len - lines->seen;
        const char *const end = left > 0 ? memchr(begin + lines->seen, '\n', left) : NULL;
        const bool        is_last = end == NULL && lines->ended;
        if (end != NULL || (is_last && lines->buffer.len > lines->at)) {
            *line = begin + lines->at;
            *n = end != NULL ? (size_t)(end - *line) : lines->buffer.len - lines->at;
            lines->at += *n + (end != NULL ? 1 : 0);
            lines->seen = lines->at;
            *what = PREDICT_LINE;
            return BT_OK;
        }
        lines->seen = lines->buffer.len;
        if (is_last || !has_more()) {
            *what = is_last ? PREDICT_END : PREDICT_NONE;
            return BT_OK;
        }
        if (lines->buffer.len - lines->at > LINE_MAX_BYTES) {
            lines->n++;
            return BT_FAIL(err, BT_E_FORMAT, "longer than %d bytes", LINE_MAX_BYTES);
        }
        BT_TRY(read_some(lines, err));
    }
}

static bt_status next_of_stream(predict_lines *lines, const char **line, size_t *n,
                                predict_wait *what, bt_error *err) {
    bool end = false;
    BT_TRY(bt_fs_stream_line(lines->stream, LINE_MAX_BYTES, line, n, &end, err));
    *what = end ? PREDICT_END : PREDICT_LINE;
    return BT_OK;
}

static bt_status check_text(const char *line, size_t n, bt_error *err) {
    const size_t n_valid = bt_text_utf8_valid_prefix(line, n);
    if (n_valid < n) {
        return BT_FAIL(err, BT_E_FORMAT, "byte %zu is not UTF-8", n_valid + 1);
    }
    return memchr(line, '\0', n) == NULL ? BT_OK : BT_FAIL(err, BT_E_FORMAT, "it holds a NUL byte");
}

bt_status predict_lines_next(predict_lines *lines, const char **line, size_t *n, predict_wait *what,
                             bt_error *err) {
    static const char mark[] = "\xEF\xBB\xBF";
    BT_TRY(lines->stream != NULL ? next_of_stream(lines, line, n, what, err)
                                 : next_of_input(lines, line, n, what, err));
    if (*what != PREDICT_LINE) {
        return BT_OK;
    }
    lines->n++;
    if (lines->n == 1 && *n >= 3 && memcmp(*line, mark, 3) == 0) {
        *line += 3;
        *n -= 3;
    }
    *n -= *n > 0 && (*line)[*n - 1] == '\r' ? 1 : 0;
    return check_text(*line, *n, err);
}

bt_status predict_lines_blame(const predict_lines *lines, bt_status rc, bt_error *err) {
    const bool is_about_it = rc == BT_E_FORMAT || rc == BT_E_CONFIG;
    if (!is_about_it) {
        return rc;
    }
    (void)bt_error_prefix(err, "%s: line %" PRId64, lines->name, lines->n);
    return BT_E_FORMAT;
}
