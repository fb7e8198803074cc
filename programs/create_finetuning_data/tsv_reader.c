/* SPDX-License-Identifier: Apache-2.0
 *
 * See tsv_reader.h. */
#include "tsv_reader.h"

#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/text.h"

enum { FIELD_MAX_CHARACTERS = 131072, LINE_MAX_BYTES = 1 << 28 };

struct tsv_reader {
    bt_fs_stream *stream;
    const char   *rest; /* of the piece between two LFs: what follows a lone CR; NULL: read on */
    size_t        n_rest;
    int64_t       line;
    tsv_form      form;
    bt_str        line_text; /* a copy of a line that lost its CRs */
    bt_str        header;    /* a copy of its line */
    tsv_field    *names;
    size_t        n_names;
    size_t        names_cap;
    tsv_field    *fields;
    size_t        fields_cap;
};

static size_t count_characters(const char *text, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += ((unsigned char)text[i] & 0xC0) != 0x80 ? 1 : 0;
    }
    return count;
}

/* r->rest without its CRs. */
static bt_status drop_carriage_returns(tsv_reader *r, bt_error *err) {
    if (r->n_rest == 0 || memchr(r->rest, '\r', r->n_rest) == NULL) {
        return BT_OK;
    }
    bt_str_clear(&r->line_text);
    BT_TRY(bt_str_append_n(&r->line_text, r->rest, r->n_rest, err));
    char  *to = r->line_text.data;
    size_t n = 0;
    for (size_t i = 0; i < r->n_rest; i++) {
        if (to[i] != '\r') {
            to[n++] = to[i];
        }
    }
    r->rest = to;
    r->n_rest = n;
    return BT_OK;
}

/* What lies before the next LF. */
static bt_status read_line(tsv_reader *r, bool *end, bt_error *err) {
    BT_TRY(bt_fs_stream_line(r->stream, LINE_MAX_BYTES, &r->rest, &r->n_rest, end, err));
    if (*end) {
        return BT_OK;
    }
    if (r->form == TSV_DROPS_CR) {
        BT_TRY(drop_carriage_returns(r, err));
    } else if (r->n_rest > 0 && r->rest[r->n_rest - 1] == '\r') {
        r->n_rest--; /* of CR LF */
    }
    if (r->line == 0 && r->n_rest >= 3 && memcmp(r->rest, "\xEF\xBB\xBF", 3) == 0) {
        r->rest += 3;
        r->n_rest -= 3;
    }
    return BT_OK;
}

/* The next line; *end (and no line) after the last one. */
static bt_status next_line(tsv_reader *r, const char **line, size_t *n, bool *end, bt_error *err) {
    *end = false;
    if (r->rest == NULL) {
        BT_TRY(read_line(r, end, err));
        if (*end) {
            return BT_OK;
        }
    }
    const char *const cr = memchr(r->rest, '\r', r->n_rest);
    *line = r->rest;
    *n = cr == NULL ? r->n_rest : (size_t)(cr - r->rest);
    r->line++;
    r->rest = cr == NULL ? NULL : cr + 1;
    r->n_rest = cr == NULL ? 0 : r->n_rest - *n - 1;
    const size_t n_valid = bt_text_utf8_valid_prefix(*line, *n);
    if (n_valid < *n) {
        return BT_FAIL(
            err, BT_E_FORMAT, "%s:%" PRId64 ": byte %zu of the line (0x%02x) is not valid UTF-8",
            tsv_path(r), r->line, n_valid + 1, (unsigned)(unsigned char)(*line)[n_valid]);
    }
    return BT_OK;
}

static bt_status split_fields(const tsv_reader *r, const char *line, size_t n, tsv_field **fields,
                              size_t *cap, size_t *n_fields, bt_error *err) {
    const char *const end = line + n;
    *n_fields = 0;
    while (n > 0) {
        const char *const tab = memchr(line, '\t', (size_t)(end - line));
        const size_t      length = (size_t)((tab == NULL ? end : tab) - line);
        if (length > FIELD_MAX_CHARACTERS &&
            count_characters(line, length) > FIELD_MAX_CHARACTERS) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%" PRId64 ": column %zu has %zu characters, at most %d are allowed",
                           tsv_path(r), r->line, *n_fields + 1, count_characters(line, length),
                           FIELD_MAX_CHARACTERS);
        }
        BT_TRY(bt_grow(fields, cap, *n_fields + 1, sizeof **fields, SIZE_MAX / 64, err));
        (*fields)[(*n_fields)++] = (tsv_field){line, length};
        if (tab == NULL) {
            break;
        }
        line = tab + 1;
    }
    return BT_OK;
}

static bt_status read_header(tsv_reader *r, bt_error *err) {
    const char *line = NULL;
    size_t      n = 0;
    bool        end = false;
    BT_TRY(next_line(r, &line, &n, &end, err));
    if (end) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the file is empty; expected a header line with the columns' names",
                       tsv_path(r));
    }
    BT_TRY(bt_str_append_n(&r->header, line, n, err));
    return split_fields(r, bt_str_text(&r->header), n, &r->names, &r->names_cap, &r->n_names, err);
}

bt_status tsv_open(tsv_reader **out, const char *path, tsv_form form, bt_error *err) {
    bt_status   rc = BT_OK;
    tsv_reader *r = NULL;
    BT_TRY(bt_fs_require_file(path, NULL, err));
    r = bt_calloc_array(1, sizeof *r);
    if (r == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", path);
    }
    r->form = form;
    BT_CHECK(bt_fs_stream_open(path, &r->stream, err));
    if (form == TSV_HEADER) {
        BT_CHECK(read_header(r, err));
    }
    *out = r;
    r = NULL;
done:
    tsv_close(r);
    return rc;
}

void tsv_close(tsv_reader *reader) {
    if (reader != NULL) {
        bt_fs_stream_close(reader->stream);
        bt_str_deinit(&reader->line_text);
        bt_str_deinit(&reader->header);
        bt_free(reader->names);
        bt_free(reader->fields);
        bt_free(reader);
    }
}

bool tsv_find_column(const tsv_reader *reader, const char *name, size_t *column) {
    const size_t n = strlen(name);
    for (size_t i = reader->n_names; i > 0; i--) {
        const tsv_field field = reader->names[i - 1];
        if (field.n == n && memcmp(field.text, name, n) == 0) {
            *column = i - 1;
            return true;
        }
    }
    return false;
}

bt_status tsv_require_column(const tsv_reader *reader, const char *name, size_t *column,
                             bt_error *err) {
    if (tsv_find_column(reader, name, column)) {
        return BT_OK;
    }
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    enum { SHOWN_COLUMNS = 14, SHOWN_BYTES = 40 };
    for (size_t i = 0; i < reader->n_names && i < SHOWN_COLUMNS; i++) {
        const tsv_field field = reader->names[i];
        BT_CHECK(bt_str_appendf(&list, err, "%s'%.*s'", i == 0 ? "" : ", ",
                                (int)(field.n < SHOWN_BYTES ? field.n : SHOWN_BYTES), field.text));
    }
    rc = BT_FAIL(err, BT_E_FORMAT,
                 "%s:1: no column '%s' in the header; got %zu tab separated column%s: %s%s",
                 tsv_path(reader), name, reader->n_names, reader->n_names == 1 ? "" : "s",
                 bt_str_text(&list), reader->n_names > SHOWN_COLUMNS ? ", ..." : "");
done:
    bt_str_deinit(&list);
    return rc;
}

bt_status tsv_next(tsv_reader *reader, const tsv_field **fields, size_t *n_fields, bool *end,
                   bt_error *err) {
    tsv_reader *const r = reader;
    const char       *line = NULL;
    size_t            n = 0;
    do {
        BT_TRY(next_line(r, &line, &n, end, err));
    } while (!*end && n == 0 && r->form == TSV_HEADER);
    if (*end) {
        return BT_OK;
    }
    BT_TRY(split_fields(r, line, n, &r->fields, &r->fields_cap, n_fields, err));
    *fields = r->fields;
    return BT_OK;
}

const char *tsv_path(const tsv_reader *reader) {
    return bt_fs_stream_path(reader->stream);
}

int64_t tsv_line(const tsv_reader *reader) {
    return reader->line;
}
