/* SPDX-License-Identifier: Apache-2.0
 *
 * --flagfile: a file of arguments, one a line, put in place of the flag. Blank lines and lines
 * that begin with # or // are left out; files may name further files, but not themselves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "flags_internal.h"

enum { NESTING_MAX = 16, FLAGFILE_MAX_BYTES = 16 << 20 };

typedef struct expansion {
    text_list  *out;
    bt_arena   *arena;
    const char *open_files[NESTING_MAX];
    size_t      n_open;
} expansion;

bt_status text_list_add(text_list *list, const char *text, bt_error *err) {
    BT_TRY(bt_grow(&list->items, &list->cap, list->n + 1, sizeof *list->items, SIZE_MAX / 64, err));
    list->items[list->n++] = text;
    return BT_OK;
}

void text_list_deinit(text_list *list) {
    bt_free(list->items);
    *list = (text_list){0};
}

const char *flag_text(const char *arg) {
    if (arg[0] != '-' || arg[1] == '\0') {
        return NULL;
    }
    const char *const text = arg[1] == '-' ? arg + 2 : arg + 1;
    return *text == '\0' ? NULL : text;
}

bt_status expand_user(bt_arena *arena, const char **path, bt_error *err) {
    char *expanded = NULL;
    if ((*path)[0] != '~') {
        return BT_OK;
    }
    BT_TRY(bt_fs_expand_user(*path, &expanded, err));
    const size_t n = strlen(expanded) + 1;
    char *const  kept = bt_arena_alloc(arena, n);
    if (kept != NULL) {
        memcpy(kept, expanded, n);
        *path = kept;
    }
    bt_free(expanded);
    return kept != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for the command line");
}

static bt_status read_file(const char *path, bt_arena *arena, char **text, bt_error *err) {
    bt_status   rc = BT_OK;
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) { /* a pipe: opening it would wait */
        return BT_FAIL(err, BT_E_IO, "--flagfile=%s: is not a regular file", path);
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return BT_FAIL(err, bt_status_of_errno(errno, BT_E_IO),
                       "--flagfile=%s: cannot open the file: %s", path, strerror(errno));
    }
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        rc = BT_FAIL(err, BT_E_IO, "--flagfile=%s: is not a regular file", path);
        goto done;
    }
    if (info.st_size > FLAGFILE_MAX_BYTES) {
        rc = BT_FAIL(err, BT_E_IO, "--flagfile=%s: %lld bytes are too many for a file of flags",
                     path, (long long)info.st_size);
        goto done;
    }
    const size_t n = (size_t)info.st_size;
    char *const  bytes = bt_arena_alloc(arena, n + 1);
    if (bytes == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "--flagfile=%s: out of memory", path);
        goto done;
    }
    const size_t n_read = fread(bytes, 1, n, file);
    if (ferror(file)) {
        rc =
            BT_FAIL(err, BT_E_IO, "--flagfile=%s: cannot read the file: %s", path, strerror(errno));
        goto done;
    }
    bytes[n_read] = '\0';
    *text = bytes;
done:
    (void)fclose(file);
    return rc;
}

static char *strip(char *line) {
    line += strspn(line, " \t\r\f\v");
    size_t n = strlen(line);
    while (n > 0 && strchr(" \t\r\f\v", line[n - 1]) != NULL) {
        line[--n] = '\0';
    }
    return line;
}

static bt_status expand_file(expansion *e, const char *path, bt_error *err);

/* Adds items[0..n) and sets *ended when "--" was among them. */
static bt_status expand_args(expansion *e, const char *const *items, size_t n, bool *ended,
                             bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        const char *const text = flag_text(items[i]);
        if (*ended || text == NULL || !bt_str_starts_with(text, "flagfile")) {
            *ended = *ended || bt_str_equal(items[i], "--");
            BT_TRY(text_list_add(e->out, items[i], err));
        } else if (text[8] == '=') {
            BT_TRY(expand_file(e, text + 9, err));
        } else if (text[8] != '\0') {
            BT_TRY(text_list_add(e->out, items[i], err));
        } else if (i + 1 < n) {
            BT_TRY(expand_file(e, items[++i], err));
        } else {
            return BT_FAIL(err, BT_E_CONFIG, "flag --flagfile needs a value: --flagfile=FILE");
        }
    }
    return BT_OK;
}

/* One level of nesting a call, NESTING_MAX at most. */
static bt_status expand_file(expansion *e, const char *path, bt_error *err) { /* NOLINT */
    bt_status rc = BT_OK;
    text_list lines = {0};
    char     *text = NULL;
    bool      ended = false;
    BT_TRY(expand_user(e->arena, &path, err));
    for (size_t i = 0; i < e->n_open; i++) {
        if (bt_str_equal(e->open_files[i], path)) {
            return BT_FAIL(err, BT_E_CONFIG, "--flagfile=%s: the file includes itself", path);
        }
    }
    if (e->n_open == NESTING_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "--flagfile=%s: files nested more than %d deep", path,
                       NESTING_MAX);
    }
    e->open_files[e->n_open++] = path;
    BT_CHECK(read_file(path, e->arena, &text, err));
    while (text != NULL) {
        char *const end = strchr(text, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        const char *const line = strip(text);
        if (*line != '\0' && *line != '#' && !bt_str_starts_with(line, "//")) {
            BT_CHECK(text_list_add(&lines, line, err));
        }
        text = end == NULL ? NULL : end + 1;
    }
    BT_CHECK(expand_args(e, lines.items, lines.n, &ended, err));
    e->n_open--;
done:
    text_list_deinit(&lines);
    return rc;
}

bt_status expand_flagfiles(text_list *out, bt_arena *arena, int argc, char *const *argv,
                           bt_error *err) {
    bt_status rc = BT_OK;
    expansion e = {.out = out, .arena = arena};
    text_list args = {0};
    bool      ended = false;
    for (int i = 1; i < argc; i++) {
        BT_CHECK(text_list_add(&args, argv[i], err));
    }
    BT_CHECK(expand_args(&e, args.items, args.n, &ended, err));
done:
    text_list_deinit(&args);
    return rc;
}
