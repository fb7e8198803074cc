/* SPDX-License-Identifier: Apache-2.0
 *
 * What the schema says of keys that do not act: refused ones are refused, ignored ones told, where
 * their value is another than the one they rest at. */
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "conf_internal.h"

#include <string.h>

/* Of a value in a message; longer ones end in dots. */
enum { VALUE_TEXT_MAX = 100 };

/* Values as text. */

static bt_status put_rest(bt_str *text, const conf_value *value, bt_error *err) {
    char number[BT_F64_TEXT_MAX];
    if (value->kind == K_FLOAT) {
        return bt_str_append(text, bt_f64_repr(value->u.f, number), err);
    }
    return value->kind == K_MAP || value->kind == K_OBJECT
               ? bt_str_append(text, "a section", err)
               : bt_str_appendf(text, err, "'%s'", value->u.s.text);
}

char *conf_value_text(const conf_value *value, bt_error *err) {
    bt_str text = BT_STR_INIT;
    if (conf_put_value(&text, value, put_rest, err) != BT_OK) {
        bt_str_deinit(&text);
        return NULL;
    }
    if (text.len > VALUE_TEXT_MAX) {
        memcpy(text.data + VALUE_TEXT_MAX - 3, "...", 4);
    }
    return bt_str_take(&text);
}

/* Values at rest. */

static bool is_number_at_rest(double value, const char *def) {
    double normal = 0;
    return def != NULL && bt_parse_f64(def, &normal) && value == normal;
}

/* null, nothing, or the key's own default (an experiment may begin with another value). */
static bool is_at_rest(const conf_key *key, const conf_value *value) {
    switch (value->kind) {
    case K_NULL:
        return true;
    case K_BOOL:
        return key->def != NULL && strcmp(key->def, value->u.b ? "true" : "false") == 0;
    case K_INT:
        return key->type == T_BOOL
                   ? key->def != NULL && strcmp(key->def, value->u.i != 0 ? "true" : "false") == 0
                   : is_number_at_rest((double)value->u.i, key->def);
    case K_FLOAT:
        return is_number_at_rest(value->u.f, key->def);
    case K_STR:
        return value->u.s.len == 0 || (key->def != NULL && strcmp(key->def, value->u.s.text) == 0);
    case K_LIST:
    case K_TUPLE:
        return value->u.list.n == 0; /* no list that does not act has a default */
    case K_BIGINT:
    case K_ALIEN:
    case K_MAP:
    case K_OBJECT:
        break;
    }
    return false;
}

/* The tree. */

/* What is done with a key that does not act; value: its own, or of a refused branch its name. */
typedef struct effect_walk {
    const bt_conf *conf;
    bt_status (*visit)(const struct effect_walk *walk, const conf_key *key, const conf_value *value,
                       const char *path);
    bt_conf_errors *errors; /* NULL: the first one is the failure */
    bt_error       *err;
} effect_walk;

static bt_status walk_object(const effect_walk *walk, const conf_object *object, const char *path);

static bt_status walk_slot(const effect_walk *walk, const conf_slot *slot, const char *path) {
    const conf_value *const value = &slot->value;
    char                    below[CONF_MAX_PATH];
    if (slot->key->effect != CONF_ACTS) {
        return is_at_rest(slot->key, value) ? BT_OK : walk->visit(walk, slot->key, value, path);
    }
    if (value->kind == K_OBJECT) {
        return walk_object(walk, value->u.object, path);
    }
    for (size_t i = 0; slot->key->type == T_SECTIONS && i < value->u.list.n; i++) {
        BT_TRY(walk_object(walk, value->u.list.items[i].u.object, conf_join_index(path, i, below)));
    }
    return BT_OK;
}

/* Only the branch that is selected; where that is a refused one, by its name. */
static bt_status walk_branch(const effect_walk *walk, const conf_object *object, const char *path) {
    const conf_value *const type = &conf_find_slot(object, "type", strlen("type"))->value;
    const conf_slot *const  branch =
        type->kind == K_STR ? conf_find_slot(object, type->u.s.text, type->u.s.len) : NULL;
    char below[CONF_MAX_PATH];
    if (branch == NULL) {
        return BT_OK; /* none is chosen: whoever needs one says so */
    }
    if (branch->key->effect == CONF_REFUSED) {
        return walk->visit(walk, branch->key, type, conf_join_path(path, "type", 4, below));
    }
    return walk_slot(walk, branch, conf_join_path(path, type->u.s.text, type->u.s.len, below));
}

static bt_status walk_object(const effect_walk *walk, const conf_object *object, const char *path) {
    char below[CONF_MAX_PATH];
    if (object->cls->is_one_of) {
        return walk_branch(walk, object, path);
    }
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_slot *const slot = &object->slots[i];
        BT_TRY(walk_slot(walk, slot,
                         conf_join_path(path, slot->key->name, strlen(slot->key->name), below)));
    }
    return BT_OK;
}

static bt_status refuse(const effect_walk *walk, const conf_key *key, const conf_value *value,
                        const char *path) {
    bt_status rc = BT_OK;
    char     *text = NULL;
    if (key->effect != CONF_REFUSED) {
        return BT_OK;
    }
    text = value->kind == K_OBJECT ? bt_strdup("it is set") : conf_value_text(value, walk->err);
    rc = text != NULL ? bt_conf_refuse(walk->conf, walk->errors, path, text, key->why, walk->err)
                      : BT_FAIL(walk->err, BT_E_NOMEM, "out of memory for a message");
    bt_free(text);
    return rc;
}

static bt_status tell(const effect_walk *walk, const conf_key *key, const conf_value *value,
                      const char *path) {
    char origin[BT_CONF_ORIGIN_MAX];
    if (key->effect != CONF_IGNORED || (key->flags & QUIET) != 0 ||
        !bt_conf_is_written(walk->conf, path) || !bt_conf_is_changed(walk->conf, path)) {
        return BT_OK;
    }
    char *const text = conf_value_text(value, walk->err);
    if (text == NULL) {
        return BT_FAIL(walk->err, BT_E_NOMEM, "out of memory for a message");
    }
    bt_log(BT_LOG_WARNING, "%s: %s: %s has no effect: %s", bt_conf_origin(walk->conf, path, origin),
           path, text, key->why);
    bt_free(text);
    return BT_OK;
}

bt_status bt_conf_check_refused(const bt_conf *conf, bt_conf_errors *errors, bt_error *err) {
    const effect_walk walk = {.conf = conf, .visit = refuse, .errors = errors, .err = err};
    return walk_object(&walk, conf->root, "");
}

bt_status bt_conf_tell_ignored(const bt_conf *conf, bt_error *err) {
    const effect_walk walk = {.conf = conf, .visit = tell, .err = err};
    return walk_object(&walk, conf->root, "");
}
