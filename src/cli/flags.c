/* SPDX-License-Identifier: Apache-2.0
 *
 * The flag parser: one pass over the arguments (after --flagfile was expanded), each value checked
 * against its row of the table when it is read, so a message always names the flag and its text.
 * Unlike absl, flags after a positional argument are still flags. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "flags_internal.h"

typedef struct flag_value {
    const bt_flag_def *def;
    const char        *text; /* NULL: unset */
    int64_t            integer;
    double             real;
    bool               boolean;
    bool               is_given;
    bool               is_replaced; /* by another value, further on */
    text_list          list;
} flag_value;

struct bt_flags {
    const bt_flag_table *table;
    flag_value          *values; /* of all flags, in the order of flag_at */
    size_t               n_values;
    bt_arena             texts;
    text_list            argv; /* expanded */
    text_list            args; /* positional */
    text_list            unknown;
    text_list            tolerated; /* values of --undefok */
    bt_flags_ask         ask;
};

enum { TEXT_BLOCK_BYTES = 4096, INT_TEXT_MAX = 80 };

/* What Python's int() takes: spaces around, a sign, 0x and 0o, single underscores between digits.
 */
static bool parse_int(const char *text, int64_t *out) {
    static const char spaces[] = " \t\n\r\f\v";
    char              digits[INT_TEXT_MAX];
    size_t            n = 0;
    text += strspn(text, spaces);
    const bool is_negative = *text == '-';
    text += *text == '-' || *text == '+' ? 1 : 0;
    const size_t length = strcspn(text, spaces);
    if (length == 0 || length >= sizeof digits || text[length + strspn(text + length, spaces)]) {
        return false;
    }
    int64_t base = 10;
    size_t  i = 0;
    if (length > 2 && text[0] == '0' && strchr("xXoO", text[1]) != NULL) {
        base = text[1] == 'x' || text[1] == 'X' ? 16 : 8;
        i = 2;
    }
    for (; i < length; i++) {
        const bool is_inner = n > 0 && i + 1 < length && text[i - 1] != '_';
        if (text[i] == '_' && is_inner) {
            continue;
        }
        digits[n++] = text[i];
    }
    int64_t value = 0; /* kept negative: INT64_MIN has no positive twin */
    for (size_t k = 0; k < n; k++) {
        const char        c = digits[k];
        static const char all[] = "0123456789abcdef";
        const char *const at = memchr(all, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c, (size_t)base);
        if (at == NULL || value < (INT64_MIN + (at - all)) / base) {
            return false;
        }
        value = value * base - (at - all);
    }
    if (!is_negative && value == INT64_MIN) {
        return false;
    }
    *out = is_negative ? value : -value;
    return n > 0;
}

static bool parse_bool(const char *text, bool *out) {
    static const char *const yes[] = {"true", "t", "1"};
    static const char *const no[] = {"false", "f", "0"};
    for (size_t i = 0; i < BT_ARRAY_LEN(yes); i++) {
        if (bt_str_equal_nocase(text, yes[i]) || bt_str_equal_nocase(text, no[i])) {
            *out = bt_str_equal_nocase(text, yes[i]);
            return true;
        }
    }
    return false;
}

static bt_status fail_choice(const bt_flag_def *def, const char *text, bt_error *err) {
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; def->choices[i] != NULL; i++) {
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i == 0 ? "" : ", ", def->choices[i]));
    }
    rc = BT_FAIL(err, BT_E_CONFIG, "flag --%s=%s: the value should be one of %s", def->name, text,
                 bt_str_text(&list));
done:
    bt_str_deinit(&list);
    return rc;
}

static const char *find_choice(const bt_flag_def *def, const char *text) {
    for (size_t i = 0; def->choices[i] != NULL; i++) {
        if (bt_str_equal(def->choices[i], text) ||
            (def->choices_ignore_case && bt_str_equal_nocase(def->choices[i], text))) {
            return def->choices[i];
        }
    }
    return NULL;
}

static bt_status set_choice(flag_value *value, const char *text, bt_error *err) {
    const char *const choice = find_choice(value->def, text);
    if (choice == NULL) {
        return fail_choice(value->def, text, err);
    }
    value->text = choice;
    return BT_OK;
}

/* Checks text and stores it; text must live as long as the flags. */
static bt_status set_value(flag_value *value, const char *text, bt_error *err) {
    const bt_flag_def *const def = value->def;
    value->text = text;
    switch (def->kind) {
    case BT_FLAG_STRING:
        break;
    case BT_FLAG_INT:
        if (!parse_int(text, &value->integer)) {
            return BT_FAIL(err, BT_E_CONFIG, "flag --%s=%s: an integer is expected", def->name,
                           text);
        }
        break;
    case BT_FLAG_FLOAT:
        if (!bt_parse_f64(text, &value->real)) {
            return BT_FAIL(err, BT_E_CONFIG, "flag --%s=%s: a number is expected", def->name, text);
        }
        break;
    case BT_FLAG_BOOL:
        if (def->choices != NULL && find_choice(def, text) != NULL) {
            value->text = find_choice(def, text);
            value->boolean = true;
        } else if (!parse_bool(text, &value->boolean)) {
            return BT_FAIL(err, BT_E_CONFIG, "flag --%s=%s: true or false is expected", def->name,
                           text);
        }
        break;
    case BT_FLAG_ENUM:
        return set_choice(value, text, err);
    case BT_FLAG_LIST:
        return text_list_add(&value->list, text, err);
    }
    return BT_OK;
}

static bool is_called(const char *own, const char *name, size_t n) {
    return own != NULL && strlen(own) == n && memcmp(own, name, n) == 0;
}

static flag_value *find_flag(const bt_flags *flags, const char *name, size_t n) {
    for (size_t i = 0; i < flags->n_values; i++) {
        const bt_flag_def *const def = flags->values[i].def;
        if (is_called(def->name, name, n) || is_called(def->alias, name, n)) {
            return &flags->values[i];
        }
    }
    return NULL;
}

static bool meets_builtin(bt_flags *flags, const char *name, size_t n) {
    static const struct {
        const char  *name;
        bt_flags_ask ask;
    } rows[] = {{"help", BT_ASK_HELP}, {"helpshort", BT_ASK_HELP}, {"helpfull", BT_ASK_HELPFULL},
                {"h", BT_ASK_HELP},    {"help_man", BT_ASK_MAN},   {"version", BT_ASK_VERSION},
                {"V", BT_ASK_VERSION}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0) {
            flags->ask = rows[i].ask;
            return true;
        }
    }
    return false;
}

/* The value after "=", or the next argument; NULL with an error when there is none. */
static const char *take_value(bt_flags *flags, const char *name, size_t n, const char *equals,
                              size_t *i, bt_error *err) {
    if (equals != NULL) {
        return equals + 1;
    }
    if (*i + 1 < flags->argv.n) {
        return flags->argv.items[++*i];
    }
    (void)BT_FAIL(err, BT_E_CONFIG, "flag --%.*s needs a value: --%.*s=VALUE", (int)n, name, (int)n,
                  name);
    return NULL;
}

static bt_status give(bt_flags *flags, flag_value *value, const char *text, bt_error *err) {
    const bt_flag_def *const def = value->def;
    if (def->is_path) {
        BT_TRY(expand_user(&flags->texts, &text, err));
    }
    value->is_replaced = value->is_replaced || (value->is_given && def->kind == BT_FLAG_STRING &&
                                                !bt_str_equal(value->text, text));
    value->is_given = true;
    return set_value(value, text, err);
}

/* argv.items[*i] is the flag whose text after the dashes is given; may take the next one too. */
static bt_status read_flag(bt_flags *flags, const char *text, size_t *i, bt_error *err) {
    const char *const equals = strchr(text, '=');
    const size_t      n = equals == NULL ? strlen(text) : (size_t)(equals - text);
    flag_value       *value = find_flag(flags, text, n);
    const char       *words = NULL;
    if (value == NULL && meets_builtin(flags, text, n)) {
        return BT_OK;
    }
    if (n == 7 && memcmp(text, "undefok", n) == 0) {
        words = take_value(flags, text, n, equals, i, err);
        return words == NULL ? BT_E_CONFIG : text_list_add(&flags->tolerated, words, err);
    }
    if (value == NULL && n > 2 && text[0] == 'n' && text[1] == 'o') {
        value = find_flag(flags, text + 2, n - 2);
        value = value != NULL && value->def->kind == BT_FLAG_BOOL ? value : NULL;
        if (value != NULL && equals != NULL) {
            return BT_FAIL(err, BT_E_CONFIG, "flag --%s: --no%s takes no value", text,
                           value->def->name);
        }
        words = "false";
    } else if (value != NULL && value->def->kind == BT_FLAG_BOOL) {
        words = equals == NULL ? "true" : equals + 1;
    } else if (value != NULL) {
        words = take_value(flags, text, n, equals, i, err);
        if (words == NULL) {
            return BT_E_CONFIG;
        }
    }
    return value == NULL ? text_list_add(&flags->unknown, text, err)
                         : give(flags, value, words, err);
}

static bool list_has_name(const char *names, const char *name, size_t n) {
    while (*names != '\0') {
        const size_t length = strcspn(names, ",");
        if (length == n && memcmp(names, name, n) == 0) {
            return true;
        }
        names += length + (names[length] == ',' ? 1 : 0);
    }
    return false;
}

static bool is_tolerated(const bt_flags *flags, const char *name, size_t n) {
    for (size_t i = 0; i < flags->tolerated.n; i++) {
        const char *const names = flags->tolerated.items[i];
        if (list_has_name(names, name, n) ||
            (n > 2 && memcmp(name, "no", 2) == 0 && list_has_name(names, name + 2, n - 2))) {
            return true;
        }
    }
    return false;
}

static bt_status check_unknown(const bt_flags *flags, bt_error *err) {
    for (size_t i = 0; i < flags->unknown.n; i++) {
        const char *const name = flags->unknown.items[i];
        const size_t      n = strcspn(name, "=");
        char              text[256];
        if (is_tolerated(flags, name, n)) {
            continue;
        }
        const char *const other = flags->table->other_name != NULL
                                      ? flags->table->other_name(name, n, text, sizeof text)
                                      : NULL;
        if (other != NULL) {
            return BT_FAIL(err, BT_E_CONFIG, "unknown command line flag '%.*s'; did you mean %s?",
                           (int)(n < 200 ? n : 200), name, other);
        }
        const char *nearest = nearest_flag(flags->table, name, n);
        if (nearest == NULL && n > 2 && memcmp(name, "no", 2) == 0) {
            nearest = nearest_flag(flags->table, name + 2, n - 2);
        }
        if (nearest == NULL) {
            return BT_FAIL(err, BT_E_CONFIG,
                           "unknown command line flag '%.*s'; --help lists the flags",
                           (int)(n < 200 ? n : 200), name);
        }
        return BT_FAIL(err, BT_E_CONFIG, "unknown command line flag '%.*s'; did you mean --%s?",
                       (int)(n < 200 ? n : 200), name, nearest);
    }
    return BT_OK;
}

static bt_status check_required(const bt_flags *flags, bt_error *err) {
    bt_str    names = BT_STR_INIT;
    size_t    n_missing = 0;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < flags->n_values; i++) {
        const flag_value *const value = &flags->values[i];
        if (value->def->is_required && value->text == NULL) {
            BT_CHECK(bt_str_appendf(&names, err, "%s--%s", n_missing == 0 ? "" : ", ",
                                    value->def->name));
            n_missing++;
        }
    }
    if (n_missing > 0) {
        rc = BT_FAIL(err, BT_E_CONFIG, "%s must be given: %s",
                     n_missing == 1 ? "this flag" : "these flags", bt_str_text(&names));
    }
done:
    bt_str_deinit(&names);
    return rc;
}

static bt_status set_defaults(bt_flags *flags, bt_error *err) {
    for (size_t i = 0; i < flags->n_values; i++) {
        flag_value *const value = &flags->values[i];
        value->def = flag_at(flags->table, i);
        if (value->def->default_text != NULL && value->def->kind != BT_FLAG_LIST) {
            BT_TRY(set_value(value, value->def->default_text, err));
        }
    }
    return BT_OK;
}

/* The first word: what follows it may be flags, but not an argument (of "config help KEY"). */
static bool is_alone(const text_list *argv) {
    return argv->n < 2 || argv->items[1][0] == '-';
}

static bt_status read_all(bt_flags *flags, bt_error *err) {
    bool ended = false;
    for (size_t i = 0; i < flags->argv.n && flags->ask == BT_ASK_RUN; i++) {
        const char *const arg = flags->argv.items[i];
        const char *const text = flag_text(arg);
        if (!ended && bt_str_equal(arg, "--")) {
            ended = true;
        } else if (i == 0 && bt_str_equal(arg, "help") && is_alone(&flags->argv)) {
            flags->ask = BT_ASK_HELP;
        } else if (ended || text == NULL) {
            BT_TRY(text_list_add(&flags->args, arg, err));
        } else {
            BT_TRY(read_flag(flags, text, &i, err));
        }
    }
    if (flags->ask != BT_ASK_RUN) {
        return BT_OK;
    }
    BT_TRY(check_unknown(flags, err));
    return check_required(flags, err);
}

bt_status bt_flags_parse(bt_flags **out, const bt_flag_table *table, int argc, char *const *argv,
                         bt_error *err) {
    bt_status rc = BT_OK;
    bt_flags *flags = bt_calloc_array(1, sizeof *flags);
    if (flags == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the command line");
    }
    flags->table = table;
    flags->values = bt_calloc_array(flag_count(table), sizeof *flags->values);
    if (flags->values == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for the command line");
        goto done;
    }
    flags->n_values = flag_count(table);
    BT_CHECK(bt_arena_init(&flags->texts, TEXT_BLOCK_BYTES, err));
    BT_CHECK(expand_flagfiles(&flags->argv, &flags->texts, argc, argv, err));
    BT_CHECK(set_defaults(flags, err));
    BT_CHECK(read_all(flags, err));
    *out = flags;
    flags = NULL;
done:
    bt_flags_free(flags);
    return rc;
}

void bt_flags_free(bt_flags *flags) {
    if (flags == NULL) {
        return;
    }
    for (size_t i = 0; i < flags->n_values; i++) {
        text_list_deinit(&flags->values[i].list);
    }
    bt_free(flags->values);
    bt_arena_deinit(&flags->texts);
    text_list_deinit(&flags->argv);
    text_list_deinit(&flags->args);
    text_list_deinit(&flags->unknown);
    text_list_deinit(&flags->tolerated);
    bt_free(flags);
}

static const flag_value *get(const bt_flags *flags, const char *name) {
    const flag_value *const value = find_flag(flags, name, strlen(name));
    BT_ASSERT(value != NULL);
    return value;
}

bt_flags_ask bt_flags_asked(const bt_flags *flags) {
    return flags->ask;
}

bool bt_flags_has(const bt_flags *flags, const char *name) {
    return find_flag(flags, name, strlen(name)) != NULL;
}

bool bt_flags_is_set(const bt_flags *flags, const char *name) {
    return get(flags, name)->text != NULL;
}

const char *bt_flags_string(const bt_flags *flags, const char *name) {
    return get(flags, name)->text;
}

int64_t bt_flags_int(const bt_flags *flags, const char *name) {
    return get(flags, name)->integer;
}

double bt_flags_float(const bt_flags *flags, const char *name) {
    return get(flags, name)->real;
}

bool bt_flags_bool(const bt_flags *flags, const char *name) {
    return get(flags, name)->boolean;
}

size_t bt_flags_list(const bt_flags *flags, const char *name, const char *const **values) {
    const flag_value *const value = get(flags, name);
    *values = value->list.items;
    return value->list.n;
}

void warn_of_replaced(const bt_flags *flags) {
    for (size_t i = 0; i < flags->n_values; i++) {
        if (flags->values[i].is_replaced) {
            bt_log(BT_LOG_WARNING,
                   "flag --%s is given twice with different values: only the last one is used",
                   flags->values[i].def->name);
        }
    }
}

size_t bt_flags_args(const bt_flags *flags, const char *const **args) {
    *args = flags->args.items;
    return flags->args.n;
}

bt_status bt_cli_append_word(bt_str *out, const char *word, bt_error *err) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_@%+=:,./-";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        return bt_str_append(out, word, err);
    }
    BT_TRY(bt_str_append_char(out, '\'', err));
    for (const char *at = word; *at != '\0'; at++) {
        BT_TRY(*at == '\'' ? bt_str_append(out, "'\\''", err) : bt_str_append_char(out, *at, err));
    }
    return bt_str_append_char(out, '\'', err);
}

bt_status bt_flags_append_command(const bt_flags *flags, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, flags->table->program, err));
    for (size_t i = 0; i < flags->argv.n; i++) {
        BT_TRY(bt_str_append_char(out, ' ', err));
        BT_TRY(bt_cli_append_word(out, flags->argv.items[i], err));
    }
    bt_hide_signatures(out->data);
    out->len = strlen(out->data);
    return BT_OK;
}
