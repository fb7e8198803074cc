/* SPDX-License-Identifier: Apache-2.0
 *
 * The override mini language "a.b=1, c[0]=2": docs/model_garden/config.md section 4.2. It is
 * converted to the text of a YAML flow mapping, exactly as Model Garden does it, because what YAML
 * then makes of that text is part of the language. */
#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "conf_internal.h"

#include <string.h>

enum { CSV_MAX_DEPTH = 64, CSV_MAX_INDEX = 100000 };

/* name index? ws* '=' ws* value */
typedef struct csv_entry {
    const char *name;
    size_t      name_len;
    const char *index; /* '['? [0-9]* ']'? */
    size_t      index_len;
    const char *value;
    size_t      value_len;
    const char *next; /* where the entry after it starts */
} csv_entry;

typedef struct csv_array {
    const char *name;
    size_t      name_len;
    bt_str     *texts; /* one per index; NULL data = not given */
    size_t      n;
    size_t      cap;
} csv_array;

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Letters, digits, _ and '.'; every byte beyond ASCII, as such a name exists nowhere. */
static bool is_name_char(char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '.' || (unsigned char)c >= 0x80;
}

static bool ends_value(const char *at) {
    return *at == '\0' || *at == ',';
}

/* The first form of value after which the text ends or a comma stands; NULL: none. */
static const char *find_value_end(const char *value) {
    if (*value == '\'' || *value == '"') {
        for (const char *at = value + 1; *at != '\0' && *at != '\n'; at++) {
            if (*at == *value && ends_value(at + 1)) {
                return at + 1;
            }
        }
    }
    const char *run = value + strcspn(value, ",[");
    if (*run != '[') {
        return run;
    }
    if (*value == '[') {
        const char *close = strchr(value, ']');
        if (close != NULL && ends_value(close + 1)) {
            return close + 1;
        }
    }
    return NULL;
}

static bool match_entry(const char *text, csv_entry *out) {
    const char *at = text;
    if (!is_letter(*at)) {
        return false;
    }
    while (is_name_char(*at)) {
        at++;
    }
    out->name = text;
    out->name_len = (size_t)(at - text);
    out->index = at;
    at += *at == '[';
    while (is_digit(*at)) {
        at++;
    }
    at += *at == ']';
    out->index_len = (size_t)(at - out->index);
    while (is_blank(*at)) {
        at++;
    }
    if (*at != '=') {
        return false;
    }
    at++;
    while (is_blank(*at)) {
        at++;
    }
    const char *end = find_value_end(at);
    if (end == NULL) {
        return false;
    }
    out->value = at;
    out->value_len = (size_t)(end - at);
    at = end;
    if (*at == ',') {
        at++;
        while (is_blank(*at)) {
            at++;
        }
    }
    out->next = at;
    return true;
}

/* Python's int(): spaces around, a sign, digits with single underscores between. */
static bool append_python_int(bt_str *out, const char *at, const char *end, bt_status *rc,
                              bt_error *err) {
    bool negative = false;
    if (at < end && (*at == '-' || *at == '+')) {
        negative = *at == '-';
        at++;
    }
    bool       leading = true;
    const bool has_digit = at < end && is_digit(*at) && is_digit(end[-1]);
    *rc = has_digit && negative ? bt_str_append_char(out, '-', err) : BT_OK;
    for (const char *c = at; has_digit && c < end && *rc == BT_OK; c++) {
        if (*c == '_' && is_digit(c[-1])) {
            continue;
        }
        if (!is_digit(*c)) {
            return false;
        }
        if (leading && *c == '0' && c + 1 < end) {
            continue;
        }
        leading = false;
        *rc = bt_str_append_char(out, *c, err);
    }
    return has_digit;
}

/* An array element is an int, or a float if it has a point; anything else is not CSV. */
static bt_status append_number(bt_str *out, const csv_entry *entry, bt_error *err) {
    const char *at = entry->value;
    const char *end = at + entry->value_len;
    while (at < end && is_blank(*at)) {
        at++;
    }
    while (end > at && is_blank(end[-1])) {
        end--;
    }
    if (at < end && memchr(at, '.', (size_t)(end - at)) != NULL) {
        char         text[64];
        const size_t n = (size_t)(end - at);
        double       value = 0;
        if (n < sizeof(text)) {
            memcpy(text, at, n);
            text[n] = '\0';
            if (bt_parse_f64(text, &value) && value - value == 0) {
                char repr[BT_F64_TEXT_MAX];
                return bt_str_append(out, bt_f64_repr(value, repr), err);
            }
        }
    } else {
        bt_status rc = BT_OK;
        if (append_python_int(out, at, end, &rc, err)) {
            return rc;
        }
    }
    return BT_FAIL(err, BT_E_CONFIG, "an array element must be a number: '%.60s'", entry->name);
}

/* "[12]" without its first and last character, as Model Garden cuts it */
static bool parse_index(const csv_entry *entry, size_t *out) {
    size_t index = 0;
    if (entry->index_len < 3) {
        return false;
    }
    for (size_t i = 1; i + 1 < entry->index_len; i++) {
        if (!is_digit(entry->index[i])) {
            return false;
        }
        index = index * 10 + (size_t)(entry->index[i] - '0');
        if (index > CSV_MAX_INDEX) {
            return false;
        }
    }
    *out = index;
    return true;
}

typedef struct csv_level {
    bt_str       plain; /* "a : 1, b : 2" */
    bt_str      *groups;
    const char **group_names;
    size_t      *group_lens;
    size_t       n_groups;
    size_t       cap_groups;
    size_t       cap_names;
    size_t       cap_lens;
    csv_array   *arrays;
    size_t       n_arrays;
    size_t       cap_arrays;
} csv_level;

static void deinit_level(csv_level *level) {
    bt_str_deinit(&level->plain);
    for (size_t i = 0; i < level->n_groups; i++) {
        bt_str_deinit(&level->groups[i]);
    }
    for (size_t i = 0; i < level->n_arrays; i++) {
        for (size_t k = 0; k < level->arrays[i].n; k++) {
            bt_str_deinit(&level->arrays[i].texts[k]);
        }
        bt_free(level->arrays[i].texts);
    }
    bt_free(level->groups);
    bt_free(level->group_names);
    bt_free(level->group_lens);
    bt_free(level->arrays);
}

static bt_status find_array(csv_level *level, const csv_entry *entry, csv_array **out,
                            bt_error *err) {
    for (size_t i = 0; i < level->n_arrays; i++) {
        if (level->arrays[i].name_len == entry->name_len &&
            memcmp(level->arrays[i].name, entry->name, entry->name_len) == 0) {
            *out = &level->arrays[i];
            return BT_OK;
        }
    }
    BT_TRY(bt_grow(&level->arrays, &level->cap_arrays, level->n_arrays + 1, sizeof(csv_array),
                   CSV_MAX_INDEX, err));
    *out = &level->arrays[level->n_arrays++];
    **out = (csv_array){.name = entry->name, .name_len = entry->name_len};
    return BT_OK;
}

static bt_status add_array_element(csv_level *level, const csv_entry *entry, bt_error *err) {
    size_t index = 0;
    if (!parse_index(entry, &index)) {
        return BT_FAIL(err, BT_E_CONFIG, "not an index: '%.60s'", entry->name);
    }
    csv_array *array = NULL;
    BT_TRY(find_array(level, entry, &array, err));
    BT_TRY(bt_grow(&array->texts, &array->cap, index + 1, sizeof(bt_str), CSV_MAX_INDEX + 1, err));
    while (array->n <= index) {
        array->texts[array->n++] = (bt_str)BT_STR_INIT;
    }
    bt_str_clear(&array->texts[index]);
    return append_number(&array->texts[index], entry, err);
}

/* An unquoted value that begins with g, s, : or / is taken for a path and quoted. */
static bt_status append_value(bt_str *out, const csv_entry *entry, bt_error *err) {
    const bool is_path = entry->value_len > 0 && strchr("gs:/", entry->value[0]) != NULL;
    BT_TRY(bt_str_append(out, is_path ? "'" : "", err));
    BT_TRY(bt_str_append_n(out, entry->value, entry->value_len, err));
    return bt_str_append(out, is_path ? "'" : "", err);
}

/* "b.c=v" goes to the group "a" of "a.b.c=v". */
static bt_status add_to_group(csv_level *level, const csv_entry *entry, size_t first_len,
                              bt_error *err) {
    size_t i = 0;
    while (i < level->n_groups && !(level->group_lens[i] == first_len &&
                                    memcmp(level->group_names[i], entry->name, first_len) == 0)) {
        i++;
    }
    if (i == level->n_groups) {
        BT_TRY(
            bt_grow(&level->groups, &level->cap_groups, i + 1, sizeof(bt_str), SIZE_MAX / 64, err));
        BT_TRY(bt_grow(&level->group_names, &level->cap_names, i + 1, sizeof(char *), SIZE_MAX / 64,
                       err));
        BT_TRY(bt_grow(&level->group_lens, &level->cap_lens, i + 1, sizeof(size_t), SIZE_MAX / 64,
                       err));
        level->groups[i] = (bt_str)BT_STR_INIT;
        level->group_names[i] = entry->name;
        level->group_lens[i] = first_len;
        level->n_groups++;
    }
    bt_str *group = &level->groups[i];
    BT_TRY(bt_str_append(group, group->len > 0 ? "," : "", err));
    BT_TRY(
        bt_str_append_n(group, entry->name + first_len + 1, entry->name_len - first_len - 1, err));
    BT_TRY(bt_str_append_n(group, entry->index, entry->index_len, err));
    BT_TRY(bt_str_append_char(group, '=', err));
    return append_value(group, entry, err);
}

static bt_status add_entry(csv_level *level, const csv_entry *entry, bt_error *err) {
    const char *dot = memchr(entry->name, '.', entry->name_len);
    if (entry->index_len > 0 && dot == NULL) {
        return add_array_element(level, entry, err);
    }
    if (dot != NULL) {
        return add_to_group(level, entry, (size_t)(dot - entry->name), err);
    }
    bt_str *plain = &level->plain;
    BT_TRY(bt_str_append(plain, plain->len > 0 ? ", " : "", err));
    BT_TRY(bt_str_append_n(plain, entry->name, entry->name_len, err));
    BT_TRY(bt_str_append(plain, " : ", err));
    return append_value(plain, entry, err);
}

static bt_status append_array(const csv_array *array, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append_n(out, array->name, array->name_len, err));
    BT_TRY(bt_str_append(out, " : [", err));
    for (size_t i = 0; i < array->n; i++) {
        if (array->texts[i].len == 0) {
            return BT_FAIL(err, BT_E_CONFIG, "element %zu of '%.*s' is not given", i,
                           (int)array->name_len, array->name);
        }
        BT_TRY(bt_str_append(out, i > 0 ? ", " : "", err));
        BT_TRY(bt_str_append(out, bt_str_text(&array->texts[i]), err));
    }
    return bt_str_append_char(out, ']', err);
}

static bt_status convert(const char *text, int depth, bt_str *out, bt_error *err);

static bt_status append_level(const csv_level *level, int depth, bt_str *out, bt_error *err) {
    bool any = level->plain.len > 0;
    BT_TRY(bt_str_append_char(out, '{', err));
    BT_TRY(bt_str_append(out, bt_str_text(&level->plain), err));
    for (size_t i = 0; i < level->n_groups; i++) {
        BT_TRY(bt_str_append(out, any ? ", " : "", err));
        BT_TRY(bt_str_append_n(out, level->group_names[i], level->group_lens[i], err));
        BT_TRY(bt_str_append(out, " : ", err));
        BT_TRY(convert(bt_str_text(&level->groups[i]), depth + 1, out, err));
        any = true;
    }
    for (size_t i = 0; i < level->n_arrays; i++) {
        BT_TRY(bt_str_append(out, any ? ", " : "", err));
        BT_TRY(append_array(&level->arrays[i], out, err));
        any = true;
    }
    return bt_str_append_char(out, '}', err);
}

static bt_status convert(const char *text, int depth, bt_str *out, bt_error *err) {
    bt_status rc = BT_OK;
    csv_level level = {.plain = BT_STR_INIT};
    if (depth > CSV_MAX_DEPTH) {
        return BT_FAIL(err, BT_E_CONFIG, "a name of more than %d parts", CSV_MAX_DEPTH);
    }
    for (const char *at = text; *at != '\0';) {
        csv_entry entry;
        if (!match_entry(at, &entry)) {
            rc = BT_FAIL(err, BT_E_CONFIG, "expected name=value at '%.60s'", at);
            goto done;
        }
        BT_CHECK(add_entry(&level, &entry, err));
        at = entry.next;
    }
    BT_CHECK(append_level(&level, depth, out, err));
done:
    deinit_level(&level);
    return rc;
}

bt_status conf_csv_convert(bt_conf *conf, const char *text, bt_str *yaml, conf_source *source,
                           bt_error *err) {
    BT_TRY(convert(text, 0, yaml, err));
    size_t    n = 0;
    csv_entry entry;
    for (const char *at = text; *at != '\0' && match_entry(at, &entry); at = entry.next) {
        n++;
    }
    conf_csv_entry *entries = conf_alloc(conf, n, sizeof(conf_csv_entry));
    char           *copy = conf_strndup(conf, text, strlen(text));
    if (entries == NULL || copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for an override string");
    }
    size_t i = 0;
    for (const char *at = copy; *at != '\0' && match_entry(at, &entry); at = entry.next) {
        const char *end = entry.value + entry.value_len;
        entries[i++] = (conf_csv_entry){at, entry.name_len, (size_t)(end - at)};
    }
    source->entries = entries;
    source->n_entries = n;
    return BT_OK;
}
