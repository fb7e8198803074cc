/* SPDX-License-Identifier: Apache-2.0
 *
 * What a command line may go on with, from the tables of flags: names, then values. The shells only
 * carry words here and back (bert-train completion). */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "flags_internal.h"

enum { MEANING_BYTES = 72, PREFIX_BYTES = 128, MAX_BEFORE = 16 };

struct bt_cli_words {
    const bt_cli_program *program; /* whose turn it is */
    char *const          *words;   /* [n], the last one is being typed */
    int                   n;
    char                  prefix[PREFIX_BYTES]; /* of the last word, before the value */
    const char           *typed;                /* the value so far */
    bool                  files;
    bt_str               *out; /* candidates */
};

const char *bt_cli_typed(const bt_cli_words *words) {
    return words->typed;
}

void bt_cli_offer_files(bt_cli_words *words) {
    words->files = true;
}

const char *bt_cli_other_value(const bt_cli_words *words, const char *flag) {
    const size_t n = strlen(flag);
    for (int i = 0; i + 1 < words->n; i++) {
        const char *const text = flag_text(words->words[i]);
        if (text == NULL || strncmp(text, flag, n) != 0) {
            continue;
        }
        if (text[n] == '=') {
            return text + n + 1;
        }
        if (text[n] == '\0' && i + 2 < words->n) {
            return words->words[i + 1];
        }
    }
    return NULL;
}

/* The first sentence, without what ends a line or a column. */
static bt_status append_meaning(bt_str *out, const char *text, bt_error *err) {
    for (size_t i = 0; i < MEANING_BYTES && text[i] != '\0'; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (i > 0 && text[i] == ' ' && strchr(".;:", text[i - 1]) != NULL)) {
            break;
        }
        BT_TRY(bt_str_append_char(out, c < ' ' ? ' ' : (char)c, err));
    }
    return BT_OK;
}

bt_status bt_cli_offer(bt_cli_words *words, const char *value, const char *meaning, bt_error *err) {
    if (!bt_str_starts_with(value, words->typed)) {
        return BT_OK;
    }
    BT_TRY(bt_str_appendf(words->out, err, "%s%s\t", words->prefix, value));
    BT_TRY(append_meaning(words->out, meaning != NULL ? meaning : "", err));
    return bt_str_append_char(words->out, '\n', err);
}

static bt_status offer_values(bt_cli_words *words, const bt_flag_def *def, bt_error *err) {
    static const char *const truths[] = {"true", "false"};
    for (size_t i = 0; def->choices != NULL && def->choices[i] != NULL; i++) {
        BT_TRY(bt_cli_offer(words, def->choices[i], NULL, err));
    }
    for (size_t i = 0; def->kind == BT_FLAG_BOOL && i < BT_ARRAY_LEN(truths); i++) {
        BT_TRY(bt_cli_offer(words, truths[i], NULL, err));
    }
    words->files = def->is_path;
    return def->values != NULL ? def->values(words, err) : BT_OK;
}

static const bt_flag_def *find_def(const bt_cli_words *words, const char *name, size_t n) {
    for (size_t i = 0; i < flag_count(words->program->flags); i++) {
        const bt_flag_def *const def = flag_at(words->program->flags, i);
        if ((strlen(def->name) == n && memcmp(def->name, name, n) == 0) ||
            (def->alias != NULL && strlen(def->alias) == n && memcmp(def->alias, name, n) == 0)) {
            return def;
        }
    }
    return NULL;
}

static bt_status offer_name(bt_cli_words *words, const char *before, const bt_flag_def *def,
                            bt_error *err) {
    char      name[PREFIX_BYTES];
    const int n = snprintf(name, sizeof name, "--%s%s%s", before, def->name,
                           def->kind == BT_FLAG_BOOL ? "" : "=");
    return n > 0 && (size_t)n < sizeof name ? bt_cli_offer(words, name, def->help, err) : BT_OK;
}

static bt_status offer_names(bt_cli_words *words, bt_error *err) {
    static const char *const everywhere[] = {"--help", "--helpfull", "--version",
                                             "--flagfile=", "--undefok="};
    const bool               is_negative = bt_str_starts_with(words->typed, "--no");
    for (size_t i = 0; i < flag_count(words->program->flags); i++) {
        const bt_flag_def *const def = flag_at(words->program->flags, i);
        if (def->help != NULL) { /* NULL hides it */
            BT_TRY(offer_name(words, "", def, err));
            BT_TRY(is_negative && def->kind == BT_FLAG_BOOL ? offer_name(words, "no", def, err)
                                                            : BT_OK);
        }
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(everywhere); i++) {
        BT_TRY(bt_cli_offer(words, everywhere[i], NULL, err));
    }
    return BT_OK;
}

/* The flag whose value the last word is, by the word before it; NULL: it is none. */
static const bt_flag_def *awaited(const bt_cli_words *words) {
    const char *const before = words->n > 1 ? flag_text(words->words[words->n - 2]) : NULL;
    if (before == NULL || strchr(before, '=') != NULL) {
        return NULL;
    }
    const bt_flag_def *const def = find_def(words, before, strlen(before));
    return def != NULL && def->kind != BT_FLAG_BOOL ? def : NULL;
}

static bt_status offer_arguments(bt_cli_words *words, bt_error *err) {
    const char *before[MAX_BEFORE];
    size_t      n = 0;
    for (int i = 0; i + 1 < words->n && n < MAX_BEFORE; i++) {
        if (flag_text(words->words[i]) == NULL) {
            before[n++] = words->words[i];
        }
    }
    words->files = words->program->arguments == NULL;
    return words->files ? BT_OK : words->program->arguments(words, before, n, err);
}

static bt_status offer(bt_cli_words *words, bt_error *err) {
    const char *const        word = words->words[words->n - 1];
    const bt_flag_def *const def = awaited(words);
    const char *const        text = flag_text(word);
    const char *const        equals = text != NULL ? strchr(text, '=') : NULL;
    words->typed = word;
    if (def != NULL) {
        return offer_values(words, def, err);
    }
    if (equals != NULL) {
        const bt_flag_def *const named = find_def(words, text, (size_t)(equals - text));
        const size_t             n = (size_t)(equals + 1 - word);
        if (n >= sizeof words->prefix) {
            return BT_OK;
        }
        memcpy(words->prefix, word, n);
        words->prefix[n] = '\0';
        words->typed = equals + 1;
        words->files = named == NULL; /* --flagfile */
        return named != NULL ? offer_values(words, named, err) : BT_OK;
    }
    return word[0] == '-' ? offer_names(words, err) : offer_arguments(words, err);
}

static bt_status offer_commands(bt_cli_words *words, bt_error *err) {
    words->typed = words->words[words->n - 1];
    for (size_t i = 0; i < words->program->n_commands; i++) {
        const bt_cli_command *const command = &words->program->commands[i];
        BT_TRY(bt_cli_offer(words, command->word, command->summary, err));
    }
    return BT_OK;
}

bt_status complete_words(const bt_cli_program *program, int n, char *const *words, bt_str *out,
                         bt_error *err) {
    bt_str                found = BT_STR_INIT;
    bt_cli_words          w = {.program = program, .words = words, .n = n, .out = &found};
    const bool            is_help = n > 1 && bt_str_equal(words[0], "help");
    const bt_cli_command *command = n > 1 ? command_find(program, words[0]) : NULL;
    bt_status             rc = BT_OK;
    if (command != NULL) {
        w.program = command->program;
        w.words++;
        w.n--;
    }
    const bool is_first = command == NULL && (n == 1 || (n == 2 && is_help));
    if (n > 0) {
        rc = program->n_commands > 0 && is_first && words[n - 1][0] != '-' ? offer_commands(&w, err)
                                                                           : offer(&w, err);
    }
    if (rc == BT_OK) {
        rc = bt_str_appendf(out, err, w.files ? "files\t%s\n" : "words\t%s\n", w.prefix);
    }
    if (rc == BT_OK) {
        rc = bt_str_append_n(out, bt_str_text(&found), found.len, err);
    }
    bt_str_deinit(&found);
    return rc;
}
