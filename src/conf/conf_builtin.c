/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of configs/ as they were when the program was built, found by name: "models/minilm",
 * "minilm", "minilm.yaml", "configs/models/minilm.yaml". */
#include "bt/base/alloc.h"
#include "conf_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct conf_builtin_row {
    const char          *name; /* "models/minilm" */
    const unsigned char *text;
} conf_builtin_row;

#include "conf_builtin.inc"

enum { N_ROWS = BT_ARRAY_LEN(rows), MAX_NAMES = 2 * N_ROWS };

static const char *base_of(const char *name) {
    const char *const slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

/* The first sentence of the comment that the file begins with, as far as it is on its first line.
 */
static void find_doc(const char *text, const char **doc, size_t *n) {
    *doc = "";
    *n = 0;
    for (const char *line = text; line[0] == '#'; line += strcspn(line, "\n") + 1) {
        const char *const at = line + 1 + strspn(line + 1, " ");
        const size_t      length = strcspn(at, "\n");
        if (length == 0 || bt_str_starts_with(at, "SPDX-")) {
            continue;
        }
        const char *const end = strstr(at, ". ");
        *doc = at;
        *n = end != NULL && (size_t)(end - at) < length ? (size_t)(end - at) + 1 : length;
        return;
    }
}

size_t bt_conf_n_builtins(void) {
    return N_ROWS;
}

bt_conf_builtin bt_conf_builtin_at(size_t index) {
    bt_conf_builtin out = {.name = rows[index].name, .text = (const char *)rows[index].text};
    find_doc(out.text, &out.doc, &out.doc_len);
    return out;
}

/* A row by its name, or by the last part of it. */
static bool is_called(const conf_builtin_row *row, const char *name, size_t n) {
    const char *const base = base_of(row->name);
    return (strlen(row->name) == n && memcmp(row->name, name, n) == 0) ||
           (strlen(base) == n && memcmp(base, name, n) == 0);
}

static size_t name_length(const char **name) {
    static const char folder[] = "configs/";
    static const char suffix[] = ".yaml";
    *name += bt_str_starts_with(*name, folder) ? strlen(folder) : 0;
    const size_t n = strlen(*name);
    return n > strlen(suffix) && bt_str_equal(*name + n - strlen(suffix), suffix)
               ? n - strlen(suffix)
               : n;
}

bool bt_conf_builtin_find(const char *name, size_t *index) {
    const size_t n = name_length(&name);
    for (size_t i = 0; i < N_ROWS; i++) {
        if (is_called(&rows[i], name, n)) {
            *index = i;
            return true;
        }
    }
    return false;
}

const char *conf_builtin_nearest(const char *name) {
    const char  *names[MAX_NAMES];
    char         word[CONF_MAX_PATH];
    const size_t n = name_length(&name);
    for (size_t i = 0; i < N_ROWS; i++) {
        names[i] = rows[i].name;
        names[N_ROWS + i] = base_of(rows[i].name);
    }
    (void)snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : 0), name);
    return bt_conf_nearest(word, names, MAX_NAMES);
}
