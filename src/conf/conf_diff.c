/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between two configurations of one experiment: by value, not by text, and only where
 * a value counts: branches that are not selected do not. */
#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "conf_internal.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_CHANGES = CONF_MAX_NODES };

typedef struct diff {
    bt_conf_changes *out;
    bt_error        *err;
} diff;

void bt_conf_changes_deinit(bt_conf_changes *changes) {
    for (size_t i = 0; i < changes->n; i++) {
        bt_free(changes->items[i].path);
        bt_free(changes->items[i].then);
        bt_free(changes->items[i].now);
    }
    bt_free(changes->items);
    *changes = (bt_conf_changes)BT_CONF_CHANGES_INIT;
}

static bool is_list(const conf_value *value) {
    return value->kind == K_LIST || value->kind == K_TUPLE;
}

/* What a key without a value may be written as. */
static bool is_empty(const conf_value *value) {
    return value->kind == K_NULL || (value->kind == K_STR && value->u.s.len == 0) ||
           (is_list(value) && value->u.list.n == 0);
}

static bool is_same(const conf_value *a, const conf_value *b) {
    if (is_empty(a) && is_empty(b)) {
        return true;
    }
    if (is_list(a) && is_list(b)) {
        bool same = a->u.list.n == b->u.list.n;
        for (size_t i = 0; same && i < a->u.list.n; i++) {
            same = is_same(&a->u.list.items[i], &b->u.list.items[i]);
        }
        return same;
    }
    if (is_list(a) != is_list(b)) { /* input_path: one file, or a list of one */
        const conf_value *const list = is_list(a) ? a : b;
        return list->u.list.n == 1 && is_same(&list->u.list.items[0], is_list(a) ? b : a);
    }
    return conf_equal(a, b) || (a->kind == K_STR && b->kind == K_STR &&
                                bt_equal_but_signatures(a->u.s.text, b->u.s.text));
}

static bt_status add_change(const diff *d, const char *path, const conf_value *then,
                            const conf_value *now) {
    bt_conf_changes *const out = d->out;
    BT_TRY(bt_grow(&out->items, &out->cap, out->n + 1, sizeof *out->items, MAX_CHANGES, d->err));
    bt_conf_change *const change = &out->items[out->n];
    *change = (bt_conf_change){.path = bt_strdup(path),
                               .then = conf_value_text(then, d->err),
                               .now = conf_value_text(now, d->err)};
    out->n++;
    if (change->path == NULL || change->then == NULL || change->now == NULL) {
        return BT_FAIL(d->err, BT_E_NOMEM, "out of memory for what differs in %s", path);
    }
    return BT_OK;
}

static bt_status diff_objects(const diff *d, const conf_object *then, const conf_object *now,
                              const char *path);

static bool is_sections(const conf_value *value) {
    return is_list(value) && value->u.list.n > 0 && value->u.list.items[0].kind == K_OBJECT;
}

static bt_status diff_values(const diff *d, const conf_value *then, const conf_value *now,
                             const char *path) {
    if (then->kind == K_OBJECT && now->kind == K_OBJECT) {
        return diff_objects(d, then->u.object, now->u.object, path);
    }
    if (is_sections(then) && is_sections(now) && then->u.list.n == now->u.list.n) {
        for (size_t i = 0; i < now->u.list.n; i++) {
            char below[CONF_MAX_PATH];
            BT_TRY(diff_values(d, &then->u.list.items[i], &now->u.list.items[i],
                               conf_join_index(path, i, below)));
        }
        return BT_OK;
    }
    return is_same(then, now) ? BT_OK : add_change(d, path, then, now);
}

static bool is_text(const conf_value *value, const char *text) {
    return value->kind == K_STR && strcmp(value->u.s.text, text) == 0;
}

/* Of a one-of section only the type and, where it is the same, its branch count. */
static bool counts(const conf_object *then, const conf_object *now, const char *name) {
    const conf_slot *const a = conf_find_slot(then, "type", 4);
    const conf_slot *const b = conf_find_slot(now, "type", 4);
    if (!now->cls->is_one_of || a == NULL || b == NULL || strcmp(name, "type") == 0) {
        return true;
    }
    return is_same(&a->value, &b->value) && is_text(&b->value, name);
}

static bt_status diff_objects(const diff *d, const conf_object *then, const conf_object *now,
                              const char *path) {
    for (size_t i = 0; i < now->n_slots; i++) {
        const char *const      name = now->slots[i].key->name;
        const conf_slot *const old = conf_find_slot(then, name, strlen(name));
        char                   below[CONF_MAX_PATH];
        if (old != NULL && counts(then, now, name)) {
            BT_TRY(diff_values(d, &old->value, &now->slots[i].value,
                               conf_join_path(path, name, strlen(name), below)));
        }
    }
    return BT_OK;
}

bt_status bt_conf_diff(const bt_conf *then, const bt_conf *now, bt_conf_changes *out,
                       bt_error *err) {
    const diff d = {.out = out, .err = err};
    *out = (bt_conf_changes)BT_CONF_CHANGES_INIT;
    const bt_status rc = diff_objects(&d, then->root, now->root, "");
    if (rc != BT_OK) {
        bt_conf_changes_deinit(out);
    }
    return rc;
}
