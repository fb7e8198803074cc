/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of JSON that do not each stand on a line of their own: the objects of a list, [{...},
 * {...}], or objects one after the other over any number of lines, as pretty printers write them.
 * What is inside of an object is checked where it is parsed; here only its end is looked for.
 */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/text.h"

enum { WINDOW_BYTES = 1 << 18 };

/* Where the reading is. */
enum { LIST_UNKNOWN, LIST_NONE, LIST_OPEN, LIST_ITEM, LIST_OVER };

struct bt_text_values {
    const char   *path;   /* borrowed, for messages */
    bt_fs_stream *stream; /* borrowed; NULL: the bytes are all there is */
    size_t        max_bytes;
    bool          is_whole;  /* from the beginning of a file: a mark or a list may be there */
    bool          is_member; /* the list is a member of an object */
    const char   *bytes;     /* [n_bytes] the window, of which at are behind us */
    size_t        n_bytes;
    size_t        at;
    int64_t       window_begin;
    int           state;
    int64_t       line;       /* lines that ended before at, and where the one of at begins */
    int64_t       line_begin; /* in the file */
    bt_text_place begin;      /* of the object that was given last */
    bt_str        window;     /* owned */
};

/* Where JSON is after some characters of it. */
typedef struct json_walk {
    int64_t depth;
    bool    is_text;
    bool    is_escape;
} json_walk;

/* true: the outermost object or list ends with this character. */
static bool walk_on(json_walk *walk, char c) {
    if (walk->is_text) {
        walk->is_text = walk->is_escape || c != '"';
        walk->is_escape = !walk->is_escape && c == '\\';
        return false;
    }
    walk->is_text = c == '"';
    walk->depth += c == '{' || c == '[' ? 1 : 0;
    walk->depth -= c == '}' || c == ']' ? 1 : 0;
    return walk->depth <= 0 && (c == '}' || c == ']');
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* After spaces; n: nothing else is there. */
static size_t skip_blanks(const char *text, size_t n, size_t at) {
    while (at < n && is_blank(text[at])) {
        at++;
    }
    return at;
}

static const char mark[] = "\xef\xbb\xbf"; /* byte order */
enum { MARK_BYTES = 3 };

bool bt_text_is_values(const char *head, size_t n) {
    size_t at = skip_blanks(
        head, n, n >= MARK_BYTES && memcmp(head, mark, MARK_BYTES) == 0 ? MARK_BYTES : 0);
    if (at == n || head[at] != '{') {
        return at < n && head[at] == '[';
    }
    /* an object that is open at its first line's end; a text is never over two lines */
    json_walk walk = {0};
    for (; at < n && head[at] != '\n'; at++) {
        if (walk_on(&walk, head[at])) {
            return false;
        }
    }
    return at < n && !walk.is_text;
}

static bool is_among(const char *text, size_t n, const char *const *keys, size_t n_keys) {
    for (size_t k = 0; k < n_keys; k++) {
        if (keys[k] != NULL && strlen(keys[k]) == n && memcmp(keys[k], text, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Has the object that text begins with (its end may be missing) one of the keys? */
static bool has_key(const char *text, size_t n, const char *const *keys, size_t n_keys) {
    json_walk walk = {0};
    size_t    begin = 0; /* of the last text */
    for (size_t i = 0; i < n; i++) {
        const bool was_text = walk.is_text;
        if (walk_on(&walk, text[i])) {
            return false;
        }
        begin = !was_text && walk.is_text ? i + 1 : begin;
        if (was_text && !walk.is_text && walk.depth == 1) {
            const size_t colon = skip_blanks(text, n, i + 1);
            if (colon < n && text[colon] == ':' &&
                is_among(text + begin, i - begin, keys, n_keys)) {
                return true;
            }
        }
    }
    return false;
}

size_t bt_text_find_items(const char *head, size_t n, const char *const *keys, size_t n_keys) {
    json_walk    walk = {0};
    const size_t first = skip_blanks(
        head, n, n >= MARK_BYTES && memcmp(head, mark, MARK_BYTES) == 0 ? MARK_BYTES : 0);
    if (first == n || head[first] != '{' || has_key(head + first, n - first, keys, n_keys)) {
        return SIZE_MAX;
    }
    for (size_t i = first; i < n; i++) {
        const size_t item = skip_blanks(head, n, i + 1);
        if (head[i] == '[' && walk.depth == 1 && !walk.is_text && item < n && head[item] == '{' &&
            has_key(head + item, n - item, keys, n_keys)) {
            return i;
        }
        if (walk_on(&walk, head[i])) {
            break;
        }
    }
    return SIZE_MAX;
}

bt_text_place bt_text_values_place(const bt_text_values *values) {
    return values->begin;
}

/* As it is at the beginning of something, with the window's memory that there was. */
static bt_status begin(bt_text_values **values, bt_text_values fresh, bt_error *err) {
    if (*values == NULL) {
        *values = bt_calloc_array(1, sizeof **values);
        if (*values == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for reading %s", fresh.path);
        }
    }
    fresh.window = (*values)->window;
    **values = fresh;
    return BT_OK;
}

bt_status bt_text_values_of_stream(bt_text_values **values, const char *path, bt_fs_stream *stream,
                                   size_t max_bytes, bt_error *err) {
    const bt_text_values fresh = {
        .path = path, .stream = stream, .max_bytes = max_bytes, .is_whole = true};
    return begin(values, fresh, err);
}

bt_status bt_text_values_of_bytes(bt_text_values **values, const char *path, const char *bytes,
                                  size_t n, bool is_whole, size_t max_bytes, bt_error *err) {
    const bt_text_values fresh = {
        .path = path, .max_bytes = max_bytes, .is_whole = is_whole, .bytes = bytes, .n_bytes = n};
    return begin(values, fresh, err);
}

void bt_text_values_free(bt_text_values *values) {
    if (values != NULL) {
        bt_str_deinit(&values->window);
        bt_free(values);
    }
}

/* More bytes after what is left of the window, which moves. *any: there were more. */
static bt_status widen(bt_text_values *v, bool *any, bt_error *err) {
    bt_str *const window = &v->window;
    size_t        n = 0;
    *any = false;
    if (v->stream == NULL) {
        return BT_OK;
    }
    if (v->at > 0) {
        window->len -= v->at;
        memmove(window->data, window->data + v->at, window->len);
        v->window_begin += (int64_t)v->at;
        v->at = 0;
    }
    BT_TRY(bt_grow(&window->data, &window->cap, window->len + WINDOW_BYTES, 1, SIZE_MAX / 4, err));
    BT_TRY(bt_fs_stream_read(v->stream, window->data + window->len, WINDOW_BYTES, &n, err));
    window->len += n;
    *any = n > 0;
    v->bytes = window->data;
    v->n_bytes = window->len;
    return BT_OK;
}

static int64_t place_of(const bt_text_values *v) {
    return v->window_begin + (int64_t)v->at;
}

static bt_status fail_at(const bt_text_values *v, int64_t line, int64_t column, const char *what,
                         bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s:%" PRId64 ":%" PRId64 ": %s", v->path, line, column, what);
}

static bt_status fail_here(const bt_text_values *v, const char *what, bt_error *err) {
    return fail_at(v, v->line + 1, place_of(v) - v->line_begin + 1, what, err);
}

/* The next byte that is not a space is at v->at; *c is 0 at the end. */
static bt_status find_byte(bt_text_values *v, char *c, bt_error *err) {
    for (;;) {
        bool any = true;
        if (v->at == v->n_bytes) {
            BT_TRY(widen(v, &any, err));
        }
        if (!any) {
            *c = '\0';
            return BT_OK;
        }
        *c = v->bytes[v->at];
        if (!is_blank(*c)) {
            return BT_OK;
        }
        v->at++;
        if (*c == '\n') {
            v->line++;
            v->line_begin = place_of(v);
        }
    }
}

static void count_lines(bt_text_values *v, size_t n) {
    const char       *at = v->bytes + v->at;
    const char *const end = at + n;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        v->line++;
        v->line_begin = v->window_begin + (at - v->bytes);
    }
}

bt_status bt_text_values_enter(bt_text_values *v, size_t at, bt_error *err) {
    bool any = true;
    v->is_member = true;
    while (any && v->n_bytes < at) {
        BT_TRY(widen(v, &any, err));
    }
    const size_t n = at < v->n_bytes ? at : v->n_bytes;
    count_lines(v, n);
    v->at = n;
    return BT_OK;
}

/* From the { at v->at to its }. */
static bt_status take_object(bt_text_values *v, const char **object, size_t *n, bt_error *err) {
    json_walk walk = {0};
    size_t    i = 0;
    for (bool is_over = false; !is_over; i++) {
        bool any = true;
        if (v->at + i == v->n_bytes) {
            BT_TRY(widen(v, &any, err));
        }
        if (!any) {
            return fail_here(v, "the object that begins here is never closed", err);
        }
        if (i > v->max_bytes) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%" PRId64 ":%" PRId64 ": the object has more than %zu bytes",
                           v->path, v->begin.line, v->begin.column, v->max_bytes);
        }
        is_over = walk_on(&walk, v->bytes[v->at + i]);
    }
    *object = v->bytes + v->at;
    *n = i;
    count_lines(v, i);
    v->at += i;
    return BT_OK;
}

/* After the list, to the end of the object that it is a member of. Other objects in lists are data
 * as well, and nobody said which are meant. */
static bt_status leave_member(bt_text_values *v, bt_error *err) {
    json_walk walk = {.depth = 1};
    bool      is_over = false;
    while (!is_over) {
        char c = '\0';
        BT_TRY(find_byte(v, &c, err));
        if (c == '\0' && v->at == v->n_bytes) {
            return fail_here(v, "the object that the file begins with is never closed", err);
        }
        const bool is_list = c == '[' && !walk.is_text && walk.depth == 1;
        is_over = walk_on(&walk, c);
        v->at++;
        BT_TRY(is_list ? find_byte(v, &c, err) : BT_OK);
        if (is_list && c == '{') {
            return fail_here(v, "a second list of objects: leave one of them in the file", err);
        }
    }
    return BT_OK;
}

/* The signs of a list before its next object; *end: there is none. */
static bt_status find_object(bt_text_values *v, bool *end, bt_error *err) {
    char c = '\0';
    BT_TRY(find_byte(v, &c, err));
    if (v->state == LIST_UNKNOWN && v->is_whole) {
        v->state = c == '[' ? LIST_OPEN : LIST_NONE;
        if (c == '[') {
            v->at++;
            BT_TRY(find_byte(v, &c, err));
        }
    }
    if (v->state == LIST_ITEM && c == ',') {
        v->at++;
        BT_TRY(find_byte(v, &c, err));
    } else if (v->state == LIST_ITEM && c != ']' && c != '\0') {
        return fail_here(v, "expected a comma or ] after an object of the list", err);
    } else if ((v->state == LIST_ITEM || v->state == LIST_OPEN) && c == ']') {
        v->at++;
        v->state = LIST_OVER;
        BT_TRY(v->is_member ? leave_member(v, err) : BT_OK);
        BT_TRY(find_byte(v, &c, err));
    }
    *end = c == '\0' && v->at == v->n_bytes;
    if (*end && (v->state == LIST_OPEN || v->state == LIST_ITEM)) {
        return fail_here(
            v, "the list that the file begins with is not closed: was it copied whole?", err);
    }
    if (!*end && (c != '{' || v->state == LIST_OVER)) {
        return fail_here(v,
                         v->state == LIST_OVER ? "something follows the list"
                                               : "expected an object {\"field\": ...}",
                         err);
    }
    return BT_OK;
}

bt_status bt_text_values_next(bt_text_values *v, const char **object, size_t *n, bool *end,
                              bt_error *err) {
    BT_TRY(bt_stop_check(err));
    if (v->n_bytes == 0) {
        bool any = false;
        BT_TRY(widen(v, &any, err));
        const bool has_mark =
            v->is_whole && v->n_bytes >= MARK_BYTES && memcmp(v->bytes, mark, MARK_BYTES) == 0;
        v->at = has_mark ? MARK_BYTES : 0;
        v->line_begin += (int64_t)v->at;
    }
    BT_TRY(find_object(v, end, err));
    if (*end) {
        return BT_OK;
    }
    const int64_t byte = place_of(v);
    v->begin = (bt_text_place){byte, v->line + 1, byte - v->line_begin + 1};
    v->state = v->state == LIST_OPEN ? LIST_ITEM : v->state;
    return take_object(v, object, n, err);
}
