/* SPDX-License-Identifier: Apache-2.0
 *
 * Values and sections: memory, copying, comparing, finding by path, and how messages speak of
 * them. */
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "bt/base/size.h"
#include "conf_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16384 };

void *conf_alloc(bt_conf *conf, size_t n, size_t size) {
    size_t bytes = 0;
    if (!bt_size_mul(n, size, &bytes) || bytes > SIZE_MAX - 16) {
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes > CHUNK_BYTES / 4) {
        return bt_arena_alloc(&conf->arena, bytes);
    }
    if (bytes > conf->chunk_left) {
        char *chunk = bt_arena_alloc(&conf->arena, CHUNK_BYTES);
        if (chunk == NULL) {
            return NULL;
        }
        conf->chunk = chunk;
        conf->chunk_left = CHUNK_BYTES;
    }
    char *piece = conf->chunk;
    conf->chunk += bytes;
    conf->chunk_left -= bytes;
    return piece;
}

char *conf_strndup(bt_conf *conf, const char *text, size_t n) {
    char *copy = n == SIZE_MAX ? NULL : conf_alloc(conf, n + 1, 1);
    if (copy != NULL) {
        if (n > 0) {
            memcpy(copy, text, n);
        }
        copy[n] = '\0';
    }
    return copy;
}

/* Leaf values never change, so they are shared; sections and lists of sections are copied. */
static bt_status copy_value(bt_conf *conf, conf_value *value, bt_error *err) {
    if (value->kind == K_OBJECT) {
        return conf_copy_object(conf, value->u.object, &value->u.object, err);
    }
    if (value->kind != K_LIST && value->kind != K_TUPLE) {
        return BT_OK;
    }
    conf_value *items = conf_alloc(conf, value->u.list.n, sizeof(conf_value));
    if (items == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    for (size_t i = 0; i < value->u.list.n; i++) {
        items[i] = value->u.list.items[i];
        BT_TRY(copy_value(conf, &items[i], err));
    }
    value->u.list.items = items;
    return BT_OK;
}

bt_status conf_copy_object(bt_conf *conf, const conf_object *from, conf_object **out,
                           bt_error *err) {
    conf_object *copy = conf_alloc(conf, 1, sizeof(conf_object));
    conf_slot   *slots = conf_alloc(conf, from->n_slots, sizeof(conf_slot));
    if (copy == NULL || slots == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    *copy = *from;
    copy->slots = slots;
    for (size_t i = 0; i < from->n_slots; i++) {
        slots[i] = from->slots[i];
        BT_TRY(copy_value(conf, &slots[i].value, err));
    }
    *out = copy;
    return BT_OK;
}

static size_t append_cut(char *out, size_t at, const char *text, size_t len) {
    const size_t room = CONF_MAX_PATH - 1 - at;
    const size_t n = len < room ? len : room;
    memcpy(out + at, text, n);
    return at + n;
}

const char *conf_join_path(const char *path, const char *name, size_t name_len,
                           char out[CONF_MAX_PATH]) {
    size_t n = append_cut(out, 0, path, strlen(path));
    n = append_cut(out, n, ".", n > 0 ? 1 : 0);
    n = append_cut(out, n, name, name_len);
    out[n] = '\0';
    return out;
}

const char *conf_join_index(const char *path, size_t index, char out[CONF_MAX_PATH]) {
    char text[32];
    (void)snprintf(text, sizeof(text), "%zu", index);
    return conf_join_path(path, text, strlen(text), out);
}

conf_slot *conf_find_slot(const conf_object *object, const char *name, size_t len) {
    for (size_t i = 0; i < object->n_slots; i++) {
        const char *key = object->slots[i].key->name;
        if (strlen(key) == len && memcmp(key, name, len) == 0) {
            return &object->slots[i];
        }
    }
    return NULL;
}

/* The key of an object that a part of a path names: in a one-of, only the selected branch. */
static const conf_value *find_in_object(const conf_object *object, const char *part, size_t len) {
    if (object->cls->is_one_of && !(len == 4 && memcmp(part, "type", 4) == 0)) {
        const conf_slot *type = conf_find_slot(object, "type", 4);
        if (type == NULL || type->value.kind != K_STR) {
            return NULL;
        }
        const bool any = len == 1 && part[0] == '*';
        if (!any && (type->value.u.s.len != len || memcmp(type->value.u.s.text, part, len) != 0)) {
            return NULL;
        }
        part = type->value.u.s.text;
        len = type->value.u.s.len;
    }
    const conf_slot *slot = conf_find_slot(object, part, len);
    return slot == NULL ? NULL : &slot->value;
}

static const conf_value *find_in_list(const conf_value *list, const char *part, size_t len) {
    char    text[24];
    int64_t index = -1;
    if (len >= sizeof(text)) {
        return NULL;
    }
    memcpy(text, part, len);
    text[len] = '\0';
    if (!bt_parse_i64(text, &index) || index < 0 || (uint64_t)index >= list->u.list.n) {
        return NULL;
    }
    return &list->u.list.items[index];
}

const conf_value *conf_find(const conf_object *root, const char *path) {
    const conf_value  start = {.kind = K_OBJECT, .u.object = (conf_object *)(uintptr_t)root};
    const conf_value *value = NULL;
    const conf_value *here = &start;
    for (const char *at = path; here != NULL;) {
        const size_t len = strcspn(at, ".");
        if (here->kind == K_OBJECT) {
            value = find_in_object(here->u.object, at, len);
        } else if (here->kind == K_LIST || here->kind == K_TUPLE) {
            value = find_in_list(here, at, len);
        } else {
            return NULL;
        }
        if (at[len] == '\0') {
            return value;
        }
        here = value;
        at += len + 1;
    }
    return NULL;
}

static bool equal_objects(const conf_object *a, const conf_object *b) {
    if (a->cls != b->cls) {
        return false;
    }
    for (size_t i = 0; i < a->n_slots; i++) {
        if (!conf_equal(&a->slots[i].value, &b->slots[i].value)) {
            return false;
        }
    }
    return true;
}

bool conf_equal(const conf_value *a, const conf_value *b) {
    if (a->kind != b->kind) {
        return (a->kind == K_INT && b->kind == K_FLOAT && (double)a->u.i == b->u.f) ||
               (a->kind == K_FLOAT && b->kind == K_INT && a->u.f == (double)b->u.i);
    }
    switch (a->kind) {
    case K_NULL:
        return true;
    case K_BOOL:
        return a->u.b == b->u.b;
    case K_INT:
        return a->u.i == b->u.i;
    case K_FLOAT:
        return a->u.f == b->u.f;
    case K_BIGINT:
    case K_STR:
    case K_ALIEN:
        return a->u.s.len == b->u.s.len && memcmp(a->u.s.text, b->u.s.text, a->u.s.len) == 0;
    case K_LIST:
    case K_TUPLE:
        if (a->u.list.n != b->u.list.n) {
            return false;
        }
        for (size_t i = 0; i < a->u.list.n; i++) {
            if (!conf_equal(&a->u.list.items[i], &b->u.list.items[i])) {
                return false;
            }
        }
        return true;
    case K_MAP:
        return false; /* maps are merged, never kept */
    case K_OBJECT:
        return equal_objects(a->u.object, b->u.object);
    }
    return false;
}

bool conf_is_truthy(const conf_value *value) {
    switch (value->kind) {
    case K_NULL:
        return false;
    case K_BOOL:
        return value->u.b;
    case K_INT:
        return value->u.i != 0;
    case K_FLOAT:
        return value->u.f != 0;
    case K_STR:
        return value->u.s.len > 0;
    case K_LIST:
    case K_TUPLE:
        return value->u.list.n > 0;
    case K_MAP:
        return value->u.map.n > 0;
    case K_BIGINT:
    case K_ALIEN:
    case K_OBJECT:
        return true;
    }
    return false;
}

const char *conf_describe(const conf_value *value, char buffer[BT_CONF_ORIGIN_MAX]) {
    char repr[BT_F64_TEXT_MAX];
    switch (value->kind) {
    case K_NULL:
        return "null";
    case K_BOOL:
        return value->u.b ? "true" : "false";
    case K_INT:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%" PRId64, value->u.i);
        return buffer;
    case K_BIGINT:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%.60s%s", value->u.s.text,
                       value->u.s.len > 60 ? "..." : "");
        return buffer;
    case K_FLOAT:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%s", bt_f64_repr(value->u.f, repr));
        return buffer;
    case K_STR:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "the text '%.80s%s'", value->u.s.text,
                       value->u.s.len > 80 ? "..." : "");
        return buffer;
    case K_ALIEN:
        return value->u.s.text;
    case K_LIST:
    case K_TUPLE:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "a list of %zu", value->u.list.n);
        return buffer;
    case K_MAP:
    case K_OBJECT:
        return "a mapping";
    }
    return "?";
}

/* The last entry of a CSV text that speaks of path: the same name, one above, or one below. */
static const conf_csv_entry *find_entry(const conf_source *source, const char *path) {
    const size_t len = strlen(path);
    for (size_t i = source->n_entries; i > 0; i--) {
        const conf_csv_entry *entry = &source->entries[i - 1];
        const size_t          common = entry->name_len < len ? entry->name_len : len;
        const char            after_path = path[common];
        const char            after_name = entry->text[common];
        if (memcmp(entry->text, path, common) != 0) {
            continue;
        }
        if (common == len ? (common == entry->name_len || after_name == '.')
                          : (after_path == '.' || after_path == '[')) {
            return entry;
        }
    }
    return NULL;
}

const char *conf_origin_text(const bt_conf *conf, const conf_value *value, const char *path,
                             char buffer[BT_CONF_ORIGIN_MAX]) {
    const conf_source    *source = &conf->sources[value->source];
    const conf_csv_entry *entry = NULL;
    switch (source->kind) {
    case SOURCE_DEFAULT:
    case SOURCE_FLAG:
    case SOURCE_FACT:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%s", source->label);
        break;
    case SOURCE_FILE:
    case SOURCE_BUILTIN:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%.200s:%" PRId32 ":%" PRId32, source->label,
                       value->line, value->column);
        break;
    case SOURCE_INLINE:
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%.100s (line %" PRId32 ", column %" PRId32 ")",
                       source->label, value->line, value->column);
        break;
    case SOURCE_CSV:
        entry = find_entry(source, path);
        if (entry == NULL) {
            (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%.100s", source->label);
        } else {
            (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "%.60s: '%.*s%s'", source->label,
                           (int)(entry->len > 120 ? 120 : entry->len), entry->text,
                           entry->len > 120 ? "..." : "");
        }
        break;
    }
    bt_hide_signatures(buffer);
    return buffer;
}

bt_status conf_put_value(bt_str *out, const conf_value *value, conf_put *put_rest, bt_error *err) {
    switch (value->kind) {
    case K_NULL:
        return bt_str_append(out, "null", err);
    case K_BOOL:
        return bt_str_append(out, value->u.b ? "true" : "false", err);
    case K_INT:
        return bt_str_appendf(out, err, "%" PRId64, value->u.i);
    case K_LIST:
    case K_TUPLE:
        BT_TRY(bt_str_append_char(out, '[', err));
        for (size_t i = 0; i < value->u.list.n; i++) {
            BT_TRY(bt_str_append(out, i > 0 ? ", " : "", err));
            BT_TRY(conf_put_value(out, &value->u.list.items[i], put_rest, err));
        }
        return bt_str_append_char(out, ']', err);
    case K_BIGINT:
    case K_FLOAT:
    case K_STR:
    case K_ALIEN:
    case K_OBJECT:
    case K_MAP:
        break;
    }
    return put_rest(out, value, err);
}
