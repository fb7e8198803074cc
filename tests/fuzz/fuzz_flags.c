/* SPDX-License-Identifier: Apache-2.0
 *
 * A command line of bert-train, an argument a line; what is behind the first NUL is a file that
 * --flagfile may name (it is before the other arguments then). What was accepted is written as
 * --name=value, and means the same when it is read again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert_train.h"
#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

enum { MAX_ARGS = 256 };

typedef struct words {
    char *items[MAX_ARGS];
    int   n;
} words;

static void add_word(words *w, const char *text, size_t n) {
    char *const copy = bt_strndup(text, n);
    if (copy == NULL) {
        abort();
    }
    if (w->n == MAX_ARGS) {
        bt_free(copy);
        return;
    }
    w->items[w->n++] = copy;
}

static void free_words(words *w) {
    for (int i = 0; i < w->n; i++) {
        bt_free(w->items[i]);
    }
}

static void add_lines(words *w, const char *text, size_t n) {
    for (size_t at = 0; at < n;) {
        const char *const lf = memchr(text + at, '\n', n - at);
        const size_t      n_line = lf != NULL ? (size_t)(lf - text) - at : n - at;
        add_word(w, text + at, n_line);
        at += n_line + 1;
    }
}

/* The text of a value, whatever kind it has; a list's is not asked for. */
static const char *value_text(const bt_flags *flags, const bt_flag_def *def,
                              char number[BT_F64_TEXT_MAX]) {
    switch (def->kind) {
    case BT_FLAG_INT:
        (void)snprintf(number, BT_F64_TEXT_MAX, "%" PRId64, bt_flags_int(flags, def->name));
        return number;
    case BT_FLAG_FLOAT:
        return bt_f64_repr(bt_flags_float(flags, def->name), number);
    case BT_FLAG_BOOL:
        return bt_flags_bool(flags, def->name) ? "true" : "false";
    case BT_FLAG_STRING:
    case BT_FLAG_ENUM:
    case BT_FLAG_LIST:
        break;
    }
    return bt_flags_string(flags, def->name);
}

static void add_value(words *w, const bt_flag_def *def, const char *text) {
    bt_str arg = BT_STR_INIT;
    if (bt_str_appendf(&arg, NULL, "--%s=", def->name) != BT_OK ||
        bt_str_append(&arg, text, NULL) != BT_OK) {
        abort();
    }
    add_word(w, bt_str_text(&arg), arg.len);
    bt_str_deinit(&arg);
}

static void write_line(const bt_flags *flags, words *w) {
    const char *const *items = NULL;
    char               number[BT_F64_TEXT_MAX];
    add_word(w, "bert-train", sizeof "bert-train" - 1);
    for (size_t i = 0; i < bert_train_flags.n_defs; i++) {
        const bt_flag_def *const def = &bert_train_flags.defs[i];
        if (!bt_flags_is_set(flags, def->name)) {
            continue;
        }
        if (def->kind != BT_FLAG_LIST) {
            add_value(w, def, value_text(flags, def, number));
            continue;
        }
        const size_t n = bt_flags_list(flags, def->name, &items);
        for (size_t k = 0; k < n; k++) {
            add_value(w, def, items[k]);
        }
    }
    const size_t n_args = bt_flags_args(flags, &items);
    add_word(w, "--", 2);
    for (size_t k = 0; k < n_args; k++) {
        add_word(w, items[k], strlen(items[k]));
    }
}

static void check_again(const bt_flags *flags) {
    words     first = {0};
    words     second = {0};
    bt_flags *again = NULL;
    bt_error  err = BT_ERROR_INIT;
    write_line(flags, &first);
    if (first.n < MAX_ARGS) {
        if (bt_flags_parse(&again, &bert_train_flags, first.n, first.items, &err) != BT_OK) {
            (void)fprintf(stderr, "%s\n", err.msg);
            abort();
        }
        write_line(again, &second);
        if (first.n != second.n) {
            abort();
        }
        for (int i = 0; i < first.n; i++) {
            if (strcmp(first.items[i], second.items[i]) != 0) {
                (void)fprintf(stderr, "%s\n%s\n", first.items[i], second.items[i]);
                abort();
            }
        }
        bt_flags_free(again);
    }
    free_words(&first);
    free_words(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *const nul = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t         n_line = nul != NULL ? (size_t)(nul - data) : size;
    words                line = {0};
    bt_flags            *flags = NULL;
    bt_error             err = BT_ERROR_INIT;
    add_word(&line, "bert-train", sizeof "bert-train" - 1);
    if (nul != NULL) {
        const char *const path = fuzz_file("flags", nul + 1, size - n_line - 1);
        add_word(&line, "--flagfile", sizeof "--flagfile" - 1);
        add_word(&line, path, strlen(path));
    }
    add_lines(&line, (const char *)data, n_line);
    const bt_status rc = bt_flags_parse(&flags, &bert_train_flags, line.n, line.items, &err);
    if (rc == BT_OK && bt_flags_asked(flags) == BT_ASK_RUN) {
        check_again(flags);
    }
    if (rc != BT_OK && (err.msg[0] == '\0' || (rc != BT_E_CONFIG && rc != BT_E_IO))) {
        abort();
    }
    bt_flags_free(flags);
    free_words(&line);
    return 0;
}
