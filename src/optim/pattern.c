/* SPDX-License-Identifier: Apache-2.0
 *
 * The regular expressions of the weight-decay and layer-adaptation lists. Model Garden searches
 * them with Python's re; here they are POSIX extended expressions. What both read alike is taken,
 * \d \w \s, escaped punctuation, (?: and lazy quantifiers are translated, and all else that is
 * Python's own is refused, because POSIX would read it as something else. */
#include <regex.h>
#include <string.h>

#include "optim_internal.h"

struct pattern_list {
    regex_t *compiled;
    size_t   n;
};

typedef struct translation {
    const char *key;
    const char *pattern;
    const char *pos;
    bt_str      posix;
    bool        can_repeat; /* something stands before pos that a quantifier may follow */
} translation;

static bt_status refuse(const translation *t, const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: pattern '%s': %s is not supported here (write it with [ ] ( ) | . * + ? "
                   "{m,n} ^ $ \\d \\w \\s)",
                   t->key, t->pattern, what);
}

static bool is_ascii_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* After a backslash. in_set: between [ and ]. */
static bt_status translate_escape(translation *t, bool in_set, bt_error *err) {
    const char c = *++t->pos;
    t->pos += c != '\0' ? 1 : 0;
    t->can_repeat = true;
    switch (c) {
    case 'd':
        return bt_str_append(&t->posix, in_set ? "0-9" : "[0-9]", err);
    case 'w':
        return bt_str_append(&t->posix, in_set ? "A-Za-z0-9_" : "[A-Za-z0-9_]", err);
    case 's':
        return bt_str_append(&t->posix, in_set ? " \t\n\r\f\v" : "[ \t\n\r\f\v]", err);
    case '\0':
        return refuse(t, "a backslash at the end", err);
    default:
        break;
    }
    if (is_ascii_alnum(c)) {
        return refuse(t, "a backslash before a letter or digit other than \\d \\w \\s", err);
    }
    if (in_set) {
        return refuse(t, "an escaped character inside [ ]", err);
    }
    return bt_str_appendf(&t->posix, err, "\\%c", c);
}

static bt_status translate_set(translation *t, bt_error *err) {
    BT_TRY(bt_str_append_char(&t->posix, *t->pos++, err));
    if (*t->pos == '^') {
        BT_TRY(bt_str_append_char(&t->posix, *t->pos++, err));
    }
    for (bool first = true; *t->pos != ']' || first; first = false) {
        if (*t->pos == '\0') {
            return refuse(t, "a [ without its ]", err);
        }
        if (*t->pos == '\\') {
            BT_TRY(translate_escape(t, true, err));
            continue;
        }
        if (*t->pos == '[') {
            return refuse(t, "a [ inside [ ]", err);
        }
        BT_TRY(bt_str_append_char(&t->posix, *t->pos++, err));
    }
    t->can_repeat = true;
    return bt_str_append_char(&t->posix, *t->pos++, err);
}

static bt_status translate_group(translation *t, bt_error *err) {
    t->pos++;
    t->can_repeat = false;
    if (*t->pos == '?') {
        if (t->pos[1] != ':') {
            return refuse(t, "(? (look-around, flags or a named group)", err);
        }
        t->pos += 2;
    }
    return bt_str_append_char(&t->posix, '(', err);
}

/* A lazy quantifier finds a match exactly where the greedy one does. */
static bt_status translate_quantifier(translation *t, bt_error *err) {
    if (!t->can_repeat) {
        return refuse(t, "a quantifier with nothing to repeat", err);
    }
    if (*t->pos == '{') {
        const size_t n = strspn(t->pos + 1, "0123456789,") + 1;
        if (n < 2 || t->pos[n] != '}' || t->pos[1] == ',') {
            return refuse(t, "a { that is no {m}, {m,} or {m,n}", err);
        }
        BT_TRY(bt_str_append_n(&t->posix, t->pos, n, err));
        t->pos += n;
    }
    BT_TRY(bt_str_append_char(&t->posix, *t->pos++, err));
    if (*t->pos == '?') {
        t->pos++;
    }
    t->can_repeat = false; /* ** and *+ mean other things, or nothing */
    return BT_OK;
}

static bt_status translate(translation *t, bt_error *err) {
    while (*t->pos != '\0') {
        switch (*t->pos) {
        case '\\':
            BT_TRY(translate_escape(t, false, err));
            break;
        case '[':
            BT_TRY(translate_set(t, err));
            break;
        case '(':
            BT_TRY(translate_group(t, err));
            break;
        case '*':
        case '+':
        case '?':
        case '{':
            BT_TRY(translate_quantifier(t, err));
            break;
        case '|':
        case '^':
            t->can_repeat = false;
            BT_TRY(bt_str_append_char(&t->posix, *t->pos++, err));
            break;
        default:
            t->can_repeat = true;
            BT_TRY(bt_str_append_char(&t->posix, *t->pos++, err));
            break;
        }
    }
    return BT_OK;
}

static bt_status compile(const char *key, const char *pattern, regex_t *out, bt_error *err) {
    bt_status   rc = BT_OK;
    translation t = {.key = key, .pattern = pattern, .pos = pattern, .posix = BT_STR_INIT};
    BT_CHECK(translate(&t, err));
    const int code = regcomp(out, bt_str_text(&t.posix), REG_EXTENDED | REG_NOSUB);
    if (code != 0) {
        char why[128];
        (void)regerror(code, out, why, sizeof why);
        rc = BT_FAIL(err, code == REG_ESPACE ? BT_E_NOMEM : BT_E_CONFIG,
                     "%s: pattern '%s' is no regular expression: %s", key, pattern, why);
    }
done:
    bt_str_deinit(&t.posix);
    return rc;
}

bt_status pattern_list_create(const char *key, const bt_conf_str_list *texts, pattern_list **out,
                              bt_error *err) {
    bt_status     rc = BT_OK;
    pattern_list *list = bt_calloc_array(1, sizeof *list);
    if (list == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the patterns of %s", key);
    }
    list->compiled = bt_calloc_array(texts->n, sizeof *list->compiled);
    if (list->compiled == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the patterns of %s", key);
        goto done;
    }
    for (size_t i = 0; i < texts->n; i++) {
        BT_CHECK(compile(key, texts->items[i], &list->compiled[i], err));
        list->n++;
    }
    *out = list;
    list = NULL;
done:
    pattern_list_free(list);
    return rc;
}

void pattern_list_free(pattern_list *list) {
    if (list != NULL) {
        for (size_t i = 0; i < list->n; i++) {
            regfree(&list->compiled[i]);
        }
        bt_free(list->compiled);
        bt_free(list);
    }
}

bool pattern_list_is_empty(const pattern_list *list) {
    return list->n == 0;
}

bool pattern_list_matches(const pattern_list *list, const char *text) {
    for (size_t i = 0; i < list->n; i++) {
        if (regexec(&list->compiled[i], text, 0, NULL, 0) == 0) {
            return true;
        }
    }
    return false;
}
