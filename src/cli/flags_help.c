/* SPDX-License-Identifier: Apache-2.0
 *
 * The words around flags: the help text from the table, and the nearest name for a misspelt one
 * (edit distance with transpositions, or a name that the given one begins). */
#include <string.h>

#include "flags_internal.h"

enum { NAME_MAX_BYTES = 64, HELP_COLUMN = 6 };

static const char *const builtin_names[] = {"help",    "helpshort", "helpfull",
                                            "version", "flagfile",  "undefok"};

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance (neighbours swapped count once); both at most NAME_MAX_BYTES long.
 */
static size_t edit_distance(const char *a, size_t n_a, const char *b, size_t n_b) {
    size_t row[3][NAME_MAX_BYTES + 1]; /* rows i-2, i-1 and i, in turn */
    for (size_t j = 0; j <= n_b; j++) {
        row[0][j] = j;
    }
    for (size_t i = 1; i <= n_a; i++) {
        size_t *const       now = row[i % 3];
        const size_t *const before = row[(i - 1) % 3];
        const size_t *const two_before = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            const size_t changed = before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            now[j] = min_size(changed, min_size(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = min_size(now[j], two_before[j - 2] + 1);
            }
        }
    }
    return row[n_a % 3][n_b];
}

size_t name_distance(const char *candidate, const char *name, size_t n) {
    const size_t n_candidate = strlen(candidate);
    if (n_candidate > NAME_MAX_BYTES || n > NAME_MAX_BYTES || n == 0) {
        return SIZE_MAX;
    }
    const size_t distance = edit_distance(name, n, candidate, n_candidate);
    if (distance * 5 <= n_candidate * 2) {
        return distance;
    }
    if (n >= 2 && n < n_candidate && strncmp(candidate, name, n) == 0) {
        return NAME_MAX_BYTES + n_candidate; /* a beginning is a weaker hint than a misspelling */
    }
    return SIZE_MAX;
}

const char *nearest_flag(const bt_flag_table *table, const char *name, size_t n) {
    const char  *best = NULL;
    size_t       best_distance = SIZE_MAX;
    const size_t n_flags = flag_count(table);
    for (size_t i = 0; i < n_flags + BT_ARRAY_LEN(builtin_names); i++) {
        const char *const candidate =
            i < n_flags ? flag_at(table, i)->name : builtin_names[i - n_flags];
        const size_t distance = name_distance(candidate, name, n);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

const char *flag_kind_text(bt_flag_kind kind) {
    switch (kind) {
    case BT_FLAG_STRING:
        return "string";
    case BT_FLAG_INT:
        return "integer";
    case BT_FLAG_FLOAT:
        return "number";
    case BT_FLAG_BOOL:
        return "boolean";
    case BT_FLAG_ENUM:
        return "choice";
    case BT_FLAG_LIST:
        return "string, repeatable";
    }
    return "string";
}

static bt_status append_flag(const bt_flag_def *def, bt_str *out, bt_error *err) {
    BT_TRY(
        bt_str_appendf(out, err, "  --%s%s", def->kind == BT_FLAG_BOOL ? "[no]" : "", def->name));
    if (def->alias != NULL) {
        BT_TRY(bt_str_appendf(out, err, ", -%s", def->alias));
    }
    BT_TRY(bt_str_appendf(out, err, "  (%s", flag_kind_text(def->kind)));
    if (def->is_required) {
        BT_TRY(bt_str_append(out, ", required", err));
    }
    if (def->default_text != NULL && def->default_text[0] != '\0') {
        BT_TRY(bt_str_appendf(out, err, ", default %s", def->default_text));
    }
    BT_TRY(bt_str_append(out, ")\n", err));
    if (def->help != NULL) {
        BT_TRY(bt_str_appendf(out, err, "%*s%s\n", HELP_COLUMN, "", def->help));
    }
    if (def->kind == BT_FLAG_ENUM) {
        BT_TRY(bt_str_appendf(out, err, "%*sone of:", HELP_COLUMN, ""));
        for (size_t i = 0; def->choices[i] != NULL; i++) {
            BT_TRY(bt_str_appendf(out, err, " %s", def->choices[i]));
        }
        BT_TRY(bt_str_append(out, "\n", err));
    }
    return BT_OK;
}

bt_status bt_flags_help(const bt_flag_table *table, bool full, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s\n\nFlags:\n", table->summary));
    for (size_t i = 0; i < flag_count(table); i++) {
        if (full || flag_at(table, i)->help != NULL) {
            BT_TRY(append_flag(flag_at(table, i), out, err));
        }
    }
    BT_TRY(bt_str_append(
        out,
        "  --help, -h, --helpfull, --version, -V\n"
        "      Print this, this with rarely needed flags, or the version; then exit.\n"
        "  --flagfile=FILE\n"
        "      Read further flags from FILE, one a line; # begins a comment line.\n"
        "  --undefok=NAME,NAME\n"
        "      Unknown flags of these names are not an error.\n\n"
        "Exit codes: 0 done; 2 flags or configuration; 3 data that cannot be read or is damaged; 4 "
        "disk, memory, network or another process; ",
        err));
    if (table->exit_codes != NULL) {
        BT_TRY(bt_str_append(out, table->exit_codes, err));
    }
    return bt_str_append(
        out, "70 a bug; 75 stopped by a signal after saving; 128 + N stopped by signal N.\n", err);
}
