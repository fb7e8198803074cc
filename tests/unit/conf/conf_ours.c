/* SPDX-License-Identifier: Apache-2.0
 *
 * Every key of ours with another value than its default, whatever its type and range: the first of
 * some values that the schema takes and that is another. So a new key is tested too. */
#include "conf_ours.h"

#include <stdio.h>
#include <string.h>

#include "conf_internal.h"

static const char *const values[] = {"true", "false", "1", "2", "0.25", "[0.25]", "[a]", "text"};

static bool try_value(bt_conf *conf, const char *path, const char *value) {
    char           override[CONF_MAX_PATH + 64];
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    bt_error       why = BT_ERROR_INIT;
    (void)snprintf(override, sizeof override, "%s=%s", path, value);
    const bool ok = bt_conf_set(conf, override, "--test", &errors, &why) == BT_OK;
    bt_conf_errors_deinit(&errors);
    return ok && bt_conf_is_changed(conf, path);
}

/* Of the words that a key may have the last one. */
static bool try_word(bt_conf *conf, const char *path, const conf_key *key) {
    if (key->rule == NULL || key->rule->choices == NULL) {
        return false;
    }
    const char *const last = strrchr(key->rule->choices, '|');
    return try_value(conf, path, last != NULL ? last + 1 : key->rule->choices);
}

static bt_status change_one(bt_conf *conf, const char *path, const conf_key *key, bt_str *names,
                            bt_error *err) {
    bool done = try_word(conf, path, key);
    for (size_t i = 0; i < BT_ARRAY_LEN(values) && !done; i++) {
        done = try_value(conf, path, values[i]);
    }
    return done ? bt_str_appendf(names, err, "%s\n", path)
                : BT_FAIL(err, BT_E_INTERNAL, "no value of the test's is one of %s", path);
}

/* is_ours: the whole section is */
static bt_status change_below(bt_conf *conf, const char *path, bool is_ours, bt_str *names,
                              bt_error *err) {
    const conf_value *const section = path[0] == '\0' ? NULL : conf_find(conf->root, path);
    const conf_class *const cls = section == NULL ? conf->root->cls : section->u.object->cls;
    const size_t            n = section == NULL ? conf->root->n_slots : section->u.object->n_slots;
    for (size_t i = 0; i < n; i++) { /* a change makes a new tree */
        char                     name[CONF_MAX_PATH];
        const conf_value *const  now = path[0] == '\0' ? NULL : conf_find(conf->root, path);
        const conf_object *const object = now == NULL ? conf->root : now->u.object;
        const conf_slot *const   slot = &object->slots[i];
        const char *const        type = now == NULL ? NULL : conf_type_of_oneof(now);
        const bool               ours = is_ours || (slot->key->flags & EXT) != 0;
        (void)conf_join_path(path, slot->key->name, strlen(slot->key->name), name);
        if (cls->is_one_of && (type == NULL || strcmp(type, slot->key->name) != 0)) {
            continue;
        }
        if (ours && slot->key->type == T_SECTION && slot->value.kind == K_NULL &&
            !try_value(conf, name, "{}")) {
            return BT_FAIL(err, BT_E_INTERNAL, "%s cannot be made", name);
        }
        if (slot->key->type == T_SECTION && (ours || slot->value.kind == K_OBJECT)) {
            BT_TRY(change_below(conf, name, ours, names, err));
        } else if (ours) {
            BT_TRY(change_one(conf, name, slot->key, names, err));
        }
    }
    return BT_OK;
}

bt_status conf_change_ours(bt_conf *conf, bt_str *names, bt_error *err) {
    return change_below(conf, "", false, names, err);
}
