/* SPDX-License-Identifier: Apache-2.0
 *
 * Sections with their defaults, and merging a mapping into them: docs/model_garden/config.md
 * sections 3.2 to 3.4. Model Garden stops at the first wrong key and lets unknown ones into
 * sections that it creates; here every wrong key is reported, and none gets in. */
#include "conf_internal.h"

#include <stdio.h>
#include <string.h>

static bt_status set_default_scalar(bt_conf *conf, conf_type type, const char *text, size_t len,
                                    conf_value *out, bt_error *err) {
    const bool        is_text = type == T_STR || type == T_STR_LIST || type == T_PATHS;
    const conf_scalar what = is_text ? SCALAR_STR : conf_scalar_resolve(text, len);
    if (what == SCALAR_BOOL) {
        out->kind = K_BOOL;
        out->u.b = text[0] == 't';
        return BT_OK;
    }
    if (what == SCALAR_INT) {
        return conf_scalar_int(conf, text, len, out, err);
    }
    if (what == SCALAR_FLOAT) {
        out->kind = K_FLOAT;
        return conf_scalar_float(text, len, &out->u.f, err);
    }
    out->kind = K_STR;
    out->u.s.text = conf_strndup(conf, text, len);
    out->u.s.len = len;
    return out->u.s.text == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for defaults") : BT_OK;
}

static bt_status set_default_list(bt_conf *conf, const conf_key *key, conf_value *out,
                                  bt_error *err) {
    size_t n = key->def[0] == '\0' ? 0 : 1;
    for (const char *at = key->def; *at != '\0'; at++) {
        n += *at == ',';
    }
    conf_value *items = conf_alloc(conf, n, sizeof(conf_value));
    if (items == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for defaults");
    }
    const char *at = key->def;
    for (size_t i = 0; i < n; i++) {
        const size_t len = strcspn(at, ",");
        items[i] = (conf_value){.kind = K_NULL};
        BT_TRY(set_default_scalar(conf, key->type, at, len, &items[i], err));
        at += len;
        at += strspn(at, ", ");
    }
    out->kind = (key->flags & TUPLE) != 0 ? K_TUPLE : K_LIST;
    out->u.list.items = items;
    out->u.list.n = n;
    out->u.list.flat = NULL;
    return BT_OK;
}

static bt_status set_default(bt_conf *conf, const conf_key *key, conf_value *out, bt_error *err) {
    *out = (conf_value){.kind = K_NULL};
    if (key->type == T_SECTION) {
        if ((key->flags & ABSENT) == 0) {
            BT_TRY(conf_create_object(conf, key->sub, &out->u.object, err));
            out->kind = K_OBJECT;
        }
        return BT_OK;
    }
    if (key->type == T_SECTIONS) {
        out->kind = K_LIST;
        return BT_OK;
    }
    if (key->def == NULL) {
        return BT_OK;
    }
    if (key->type == T_STR_LIST || key->type == T_INT_LIST || key->type == T_FLOAT_LIST) {
        return set_default_list(conf, key, out, err);
    }
    return set_default_scalar(conf, key->type, key->def, strlen(key->def), out, err);
}

bt_status conf_create_object(bt_conf *conf, const conf_class *cls, conf_object **out,
                             bt_error *err) {
    const size_t     n = conf_class_count_keys(cls);
    conf_object     *object = conf_alloc(conf, 1, sizeof(conf_object));
    conf_slot       *slots = conf_alloc(conf, n, sizeof(conf_slot));
    const conf_key **keys = conf_alloc(conf, n, sizeof(conf_key *));
    if (object == NULL || slots == NULL || keys == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for defaults");
    }
    conf_class_list_keys(cls, keys);
    for (size_t i = 0; i < n; i++) {
        slots[i].key = keys[i];
        BT_TRY(set_default(conf, keys[i], &slots[i].value, err));
    }
    *object = (conf_object){.cls = cls, .slots = slots, .n_slots = n};
    *out = object;
    return BT_OK;
}

static const char *nearest_key(const conf_object *object, const char *name) {
    const char *names[128];
    size_t      n = 0;
    for (size_t i = 0; i < object->n_slots && n < BT_ARRAY_LEN(names); i++) {
        names[n++] = object->slots[i].key->name;
    }
    return bt_conf_nearest(name, names, n);
}

/* The path of a key of this very name elsewhere in the tree, selected branches only. */
static bool find_elsewhere(const conf_object *object, const char *name, const char *path,
                           char out[CONF_MAX_PATH]) {
    char below[CONF_MAX_PATH];
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_slot *slot = &object->slots[i];
        (void)conf_join_path(path, slot->key->name, strlen(slot->key->name), below);
        if (strcmp(slot->key->name, name) == 0 && strcmp(name, "type") != 0 &&
            strcmp(name, "name") != 0) {
            memcpy(out, below, sizeof(below));
            return true;
        }
    }
    const conf_slot *type = object->cls->is_one_of ? conf_find_slot(object, "type", 4) : NULL;
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_slot *slot = &object->slots[i];
        if (slot->value.kind != K_OBJECT ||
            (type != NULL &&
             (type->value.kind != K_STR || strcmp(type->value.u.s.text, slot->key->name) != 0))) {
            continue;
        }
        (void)conf_join_path(path, slot->key->name, strlen(slot->key->name), below);
        if (find_elsewhere(slot->value.u.object, name, below, out)) {
            return true;
        }
    }
    return false;
}

/* Names of keys below an object, of the branches that are chosen. */
static void collect_names(const conf_object *object, const char **names, size_t cap, size_t *n) {
    const conf_slot *type = object->cls->is_one_of ? conf_find_slot(object, "type", 4) : NULL;
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_slot *slot = &object->slots[i];
        const bool       is_chosen = type == NULL || (type->value.kind == K_STR &&
                                                strcmp(type->value.u.s.text, slot->key->name) == 0);
        if (slot->value.kind == K_OBJECT && is_chosen) {
            collect_names(slot->value.u.object, names, cap, n);
        } else if (slot->value.kind != K_OBJECT && *n < cap) {
            names[(*n)++] = slot->key->name;
        }
    }
}

/* One of a name that is near, anywhere. */
static bool find_near(const conf_object *root, const char *name, char out[CONF_MAX_PATH]) {
    const char *names[512];
    size_t      n = 0;
    collect_names(root, names, BT_ARRAY_LEN(names), &n);
    const char *const near = bt_conf_nearest(name, names, n);
    return near != NULL && find_elsewhere(root, near, "", out);
}

/* The whole path of what was probably meant, or NULL. */
static const char *find_meant(const conf_merge *merge, const conf_object *object, const char *name,
                              const char *path, char out[CONF_MAX_PATH]) {
    const char *const alias = conf_find_alias(merge->conf, name, path, out);
    if (alias != NULL) {
        return alias;
    }
    const char *const near = nearest_key(object, name);
    if (near != NULL) {
        char         above[CONF_MAX_PATH];
        const size_t n = strlen(path) - strlen(name); /* with the dot */
        (void)snprintf(above, sizeof above, "%.*s", (int)(n > 0 ? n - 1 : 0), path);
        return conf_join_path(above, near, strlen(near), out);
    }
    return find_elsewhere(merge->conf->root, name, "", out) ||
                   find_near(merge->conf->root, name, out)
               ? out
               : NULL;
}

static bt_status report_unknown(const conf_merge *merge, const conf_object *object,
                                const conf_value *key, const char *name, const char *path) {
    char              found[CONF_MAX_PATH];
    const char *const meant = find_meant(merge, object, name, path, found);
    return conf_report(merge, BT_CONF_ERROR, key, path,
                       "unknown key; %s has none of this name%s%s%s", object->cls->qualified,
                       meant == NULL ? "" : "; did you mean '", meant == NULL ? "" : meant,
                       meant == NULL ? "" : "'?");
}

static bt_status report_expected(const conf_merge *merge, const conf_key *key,
                                 const conf_value *value, const char *path) {
    char got[BT_CONF_ORIGIN_MAX];
    return conf_report(merge, BT_CONF_ERROR, value, path, "expected %s, got %s",
                       conf_key_words(key), conf_describe(value, got));
}

static bt_status make_section(const conf_merge *merge, const conf_class *cls, const conf_value *map,
                              const char *path, conf_value *out) {
    conf_object *object = NULL;
    BT_TRY(conf_create_object(merge->conf, cls, &object, merge->err));
    *out = *map; /* the place */
    out->kind = K_OBJECT;
    out->u.object = object;
    return conf_merge_map(merge, object, map, path);
}

static bt_status merge_section(const conf_merge *merge, conf_slot *slot, const conf_value *value,
                               const char *path) {
    if (value->kind == K_MAP && slot->value.kind == K_OBJECT) {
        return conf_merge_map(merge, slot->value.u.object, value, path);
    }
    if (value->kind == K_MAP) { /* null until now */
        return make_section(merge, slot->key->sub, value, path, &slot->value);
    }
    if (value->kind == K_NULL) {
        slot->value = *value;
        return BT_OK;
    }
    return report_expected(merge, slot->key, value, path);
}

/* A list of as many mappings as there are sections is merged one by one; another replaces all. */
static bt_status merge_sections(const conf_merge *merge, conf_slot *slot, const conf_value *value,
                                const char *path) {
    char below[CONF_MAX_PATH];
    if (value->kind != K_LIST && value->kind != K_TUPLE) {
        return report_expected(merge, slot->key, value, path);
    }
    const size_t n = value->u.list.n;
    for (size_t i = 0; i < n; i++) {
        if (value->u.list.items[i].kind != K_MAP) {
            return report_expected(merge, slot->key, &value->u.list.items[i], path);
        }
    }
    const bool  same = n == slot->value.u.list.n;
    conf_value *items =
        same ? slot->value.u.list.items : conf_alloc(merge->conf, n, sizeof(conf_value));
    if (items == NULL && n > 0) {
        return BT_FAIL(merge->err, BT_E_NOMEM, "out of memory for a list of sections");
    }
    for (size_t i = 0; i < n; i++) {
        const conf_value *map = &value->u.list.items[i];
        (void)conf_join_index(path, i, below);
        BT_TRY(same ? conf_merge_map(merge, items[i].u.object, map, below)
                    : make_section(merge, slot->key->sub, map, below, &items[i]));
    }
    if (!same) {
        slot->value = *value;
        slot->value.u.list.items = items;
    }
    return BT_OK;
}

static bt_status merge_leaf(const conf_merge *merge, conf_slot *slot, const conf_value *value,
                            const char *path) {
    if (value->kind == K_MAP || value->kind == K_ALIEN) {
        return report_expected(merge, slot->key, value, path);
    }
    if (value->kind == K_LIST || value->kind == K_TUPLE) {
        for (size_t i = 0; i < value->u.list.n; i++) {
            const conf_kind kind = value->u.list.items[i].kind;
            if (kind == K_LIST || kind == K_TUPLE || kind == K_MAP || kind == K_ALIEN) {
                char got[BT_CONF_ORIGIN_MAX];
                return conf_report(merge, BT_CONF_ERROR, &value->u.list.items[i], path,
                                   "a list may hold numbers and strings only, got %s in it",
                                   conf_describe(&value->u.list.items[i], got));
            }
        }
    }
    slot->value = *value;
    return BT_OK;
}

/* Keys that were renamed: what was written with the old name is read on. */
static const struct {
    const char *section;
    const char *old;
    const char *name;
} renamed[] = {
    {"runtime", "products", "matmul"},
};

static bool holds_key(const conf_value *map, const char *name) {
    for (size_t i = 0; i < map->u.map.n; i++) {
        const conf_value *const key = &map->u.map.items[i].key;
        if (key->kind == K_STR && strcmp(key->u.s.text, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The key's name of today; the conf remembers that an old one was used. */
static const char *current_name(const conf_merge *merge, const char *path, const char *name) {
    for (size_t i = 0; i < BT_ARRAY_LEN(renamed); i++) {
        if (strcmp(renamed[i].section, path) == 0 && strcmp(renamed[i].old, name) == 0) {
            merge->conf->old_key = i + 1;
            return renamed[i].name;
        }
    }
    return name;
}

bool bt_conf_old_key(const bt_conf *conf, const char **section, const char **old,
                     const char **name) {
    if (conf->old_key == 0) {
        return false;
    }
    *section = renamed[conf->old_key - 1].section;
    *old = renamed[conf->old_key - 1].old;
    *name = renamed[conf->old_key - 1].name;
    return true;
}

static bt_status merge_pair(const conf_merge *merge, conf_object *object, const conf_value *map,
                            const conf_pair *pair, const char *path) {
    char below[CONF_MAX_PATH];
    char got[BT_CONF_ORIGIN_MAX];
    if (pair->key.kind != K_STR) {
        return conf_report(merge, BT_CONF_ERROR, &pair->key, path[0] == '\0' ? "(top)" : path,
                           "a key must be a name, got %s", conf_describe(&pair->key, got));
    }
    const char *name = pair->key.u.s.text;
    (void)conf_join_path(path, name, strlen(name), below);
    if (strcmp(name, "_locked") == 0 || strcmp(name, "_restrictions") == 0) {
        return conf_report(merge, BT_CONF_ERROR, &pair->key, below, "this key is reserved");
    }
    const char *const name_now = current_name(merge, path, name);
    if (name_now != name && holds_key(map, name_now)) {
        return conf_report(merge, BT_CONF_ERROR, &pair->key, below,
                           "this is the old name of %s, which is given as well: leave one of the "
                           "two out",
                           name_now);
    }
    (void)conf_join_path(path, name_now, strlen(name_now), below);
    const size_t n_name = name_now == name ? pair->key.u.s.len : strlen(name_now);
    name = name_now;
    conf_slot *slot = conf_find_slot(object, name, n_name);
    if (slot == NULL) {
        return report_unknown(merge, object, &pair->key, name, below);
    }
    if (slot->key->type == T_SECTION) {
        return merge_section(merge, slot, &pair->value, below);
    }
    if (slot->key->type == T_SECTIONS) {
        return merge_sections(merge, slot, &pair->value, below);
    }
    return merge_leaf(merge, slot, &pair->value, below);
}

bt_status conf_merge_map(const conf_merge *merge, conf_object *object, const conf_value *map,
                         const char *path) {
    for (size_t i = 0; i < map->u.map.n; i++) {
        BT_TRY(merge_pair(merge, object, map, &map->u.map.items[i], path));
    }
    return BT_OK;
}
