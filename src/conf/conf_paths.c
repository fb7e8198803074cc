/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys whose values are paths: a ~ at the beginning is expanded, as the shell does where it sees
 * one (it does not in --flag=~/x, nor in YAML). Of a list, and of several separated by commas,
 * each. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "conf_internal.h"

typedef struct path_walk {
    bt_conf *changed; /* whose values are expanded; NULL: they are visited */
    bt_status (*visit)(void *context, const char *key, const char *path, bt_error *err);
    void *context;
} path_walk;

/* One path of value; the next begins after a comma. */
static bt_status expand_one(const char *text, size_t n, bt_str *out, bt_error *err) {
    char *path = NULL;
    char *expanded = NULL;
    if (n == 0 || text[0] != '~') {
        return bt_str_append_n(out, text, n, err);
    }
    bt_str    part = BT_STR_INIT;
    bt_status rc = bt_str_append_n(&part, text, n, err);
    if (rc == BT_OK) {
        path = bt_str_take(&part);
        rc = bt_fs_expand_user(path, &expanded, err);
    }
    if (rc == BT_OK) {
        rc = bt_str_append(out, expanded, err);
    }
    bt_str_deinit(&part);
    bt_free(path);
    bt_free(expanded);
    return rc;
}

static bt_status expand_text(bt_conf *conf, conf_value *value, bt_error *err) {
    bt_str    out = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (strchr(value->u.s.text, '~') == NULL) {
        return BT_OK;
    }
    for (const char *at = value->u.s.text;; at++) {
        const size_t n = strcspn(at, ",");
        BT_CHECK(expand_one(at, n, &out, err));
        at += n;
        if (*at == '\0') {
            break;
        }
        BT_CHECK(bt_str_append_char(&out, ',', err));
    }
    value->u.s.text = conf_strndup(conf, bt_str_text(&out), out.len);
    value->u.s.len = out.len;
    rc = value->u.s.text != NULL ? BT_OK
                                 : BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
done:
    bt_str_deinit(&out);
    return rc;
}

static bt_status take_text(const path_walk *walk, conf_value *value, const char *key,
                           bt_error *err) {
    if (value->kind != K_STR || value->u.s.len == 0) {
        return BT_OK;
    }
    return walk->changed != NULL ? expand_text(walk->changed, value, err)
                                 : walk->visit(walk->context, key, value->u.s.text, err);
}

static bt_status walk_object(const path_walk *walk, conf_object *object, const char *path,
                             bt_error *err) {
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_key *const key = object->slots[i].key;
        conf_value *const     value = &object->slots[i].value;
        char                  name[CONF_MAX_PATH];
        (void)conf_join_path(path, key->name, strlen(key->name), name);
        if (value->kind == K_OBJECT) {
            BT_TRY(walk_object(walk, value->u.object, name, err));
        } else if ((key->flags & PATH) == 0) {
            continue;
        } else if (value->kind != K_LIST && value->kind != K_TUPLE) {
            BT_TRY(take_text(walk, value, name, err));
        } else {
            for (size_t k = 0; k < value->u.list.n; k++) {
                BT_TRY(take_text(walk, &value->u.list.items[k], name, err));
            }
        }
    }
    return BT_OK;
}

bt_status conf_expand_paths(bt_conf *conf, bt_error *err) {
    const path_walk walk = {.changed = conf};
    return walk_object(&walk, conf->root, "", err);
}

bt_status bt_conf_visit_paths(const bt_conf *conf,
                              bt_status (*visit)(void *context, const char *key, const char *path,
                                                 bt_error *err),
                              void *context, bt_error *err) {
    const path_walk walk = {.visit = visit, .context = context};
    for (size_t i = 0; i < conf->n_sources; i++) {
        if (conf->sources[i].kind == SOURCE_FILE) {
            BT_TRY(visit(context, "--config_file", conf->sources[i].label, err));
        }
    }
    return walk_object(&walk, conf->root, "", err);
}
