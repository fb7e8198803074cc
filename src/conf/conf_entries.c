/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of a configuration one by one: what each is, and who said it. */
#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "conf_internal.h"

#include <math.h>
#include <string.h>

const char *bt_conf_author_name(bt_conf_author author) {
    switch (author) {
    case BT_CONF_BY_KEY:
        return "default";
    case BT_CONF_BY_EXPERIMENT:
        return "experiment";
    case BT_CONF_BY_FILE:
        return "file";
    case BT_CONF_BY_BUILTIN:
        return "built_in";
    case BT_CONF_BY_FLAG:
        return "flag";
    case BT_CONF_BY_FACT:
        return "found";
    }
    return "?";
}

static bt_conf_author author_of(const bt_conf *conf, const conf_value *value) {
    switch (conf->sources[value->source].kind) {
    case SOURCE_DEFAULT: /* an experiment's own are read from YAML, which has lines */
        return value->line > 0 ? BT_CONF_BY_EXPERIMENT : BT_CONF_BY_KEY;
    case SOURCE_FILE:
        return BT_CONF_BY_FILE;
    case SOURCE_BUILTIN:
        return BT_CONF_BY_BUILTIN;
    case SOURCE_INLINE:
    case SOURCE_CSV:
    case SOURCE_FLAG:
        return BT_CONF_BY_FLAG;
    case SOURCE_FACT:
        return BT_CONF_BY_FACT;
    }
    return BT_CONF_BY_KEY;
}

static bt_status put_text(bt_str *out, const char *text, bt_error *err) {
    bt_str    shown = BT_STR_INIT;
    bool      is_hidden = false;
    bt_status rc = bt_str_append(&shown, text, err);
    if (rc == BT_OK && bt_has_signature(text, &is_hidden)) {
        bt_hide_signatures(shown.data);
    }
    if (rc == BT_OK) {
        rc = bt_str_append_json(out, bt_str_text(&shown), err);
    }
    bt_str_deinit(&shown);
    return rc;
}

static bt_status put_rest(bt_str *out, const conf_value *value, bt_error *err);

static bt_status put_section(bt_str *out, const conf_object *object, bt_error *err) {
    BT_TRY(bt_str_append_char(out, '{', err));
    for (size_t i = 0; i < object->n_slots; i++) {
        BT_TRY(bt_str_append(out, i > 0 ? ", " : "", err));
        BT_TRY(bt_str_append_json(out, object->slots[i].key->name, err));
        BT_TRY(bt_str_append(out, ": ", err));
        BT_TRY(conf_put_value(out, &object->slots[i].value, put_rest, err));
    }
    return bt_str_append_char(out, '}', err);
}

static bt_status put_rest(bt_str *out, const conf_value *value, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    if (value->kind == K_BIGINT) {
        return bt_str_append(out, value->u.s.text, err);
    }
    if (value->kind == K_FLOAT) { /* JSON has no infinity */
        return bt_str_appendf(out, err, isfinite(value->u.f) ? "%s" : "\"%s\"",
                              bt_f64_repr(value->u.f, number));
    }
    if (value->kind == K_OBJECT) {
        return put_section(out, value->u.object, err);
    }
    return value->kind == K_MAP ? bt_str_append(out, "null", err)
                                : put_text(out, value->u.s.text, err);
}

typedef struct entry_walk {
    const bt_conf *conf;
    bt_status (*visit)(void *context, const bt_conf_entry *entry, bt_error *err);
    void     *context;
    bt_error *err;
} entry_walk;

static bt_status show_value(const entry_walk *walk, const conf_value *value, const char *path) {
    char          origin[BT_CONF_ORIGIN_MAX];
    bt_str        json = BT_STR_INIT;
    bt_conf_entry entry = {.path = path,
                           .author = author_of(walk->conf, value),
                           .origin = conf_origin_text(walk->conf, value, path, origin)};
    bt_status     rc = conf_put_value(&json, value, put_rest, walk->err);
    if (rc == BT_OK) {
        entry.json = bt_str_text(&json);
        rc = walk->visit(walk->context, &entry, walk->err);
    }
    bt_str_deinit(&json);
    return rc;
}

static bt_status walk_section(const entry_walk *walk, const conf_value *section, const char *path) {
    const conf_object *const object = section->u.object;
    const char *const        branch = conf_type_of_oneof(section);
    char                     below[CONF_MAX_PATH];
    for (size_t i = 0; i < object->n_slots; i++) {
        const char *const       name = object->slots[i].key->name;
        const conf_value *const value = &object->slots[i].value;
        if (object->cls->is_one_of && strcmp(name, "type") != 0 &&
            (branch == NULL || strcmp(name, branch) != 0)) {
            continue;
        }
        (void)conf_join_path(path, name, strlen(name), below);
        if (value->kind == K_OBJECT && value->u.object->n_slots > 0) {
            BT_TRY(walk_section(walk, value, below));
        } else {
            BT_TRY(show_value(walk, value, below));
        }
    }
    return BT_OK;
}

bt_status bt_conf_visit_values(const bt_conf *conf,
                               bt_status (*visit)(void *context, const bt_conf_entry *entry,
                                                  bt_error *err),
                               void *context, bt_error *err) {
    const entry_walk walk = {.conf = conf, .visit = visit, .context = context, .err = err};
    const conf_value root = {.kind = K_OBJECT, .u.object = conf->root};
    return walk_section(&walk, &root, "");
}
