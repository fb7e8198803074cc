/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts in place of defaults: what is known from elsewhere (a file beside the weights) of keys
 * that nobody wrote. */
#include "conf_internal.h"

#include <string.h>

static bool has_source(const bt_conf *conf, const char *path, bool *is_fact) {
    const conf_value *const value = conf_find(conf->root, path);
    if (value == NULL) {
        return false;
    }
    *is_fact = conf->sources[value->source].kind == SOURCE_FACT;
    return conf->sources[value->source].kind != SOURCE_DEFAULT;
}

bool bt_conf_is_written(const bt_conf *conf, const char *path) {
    bool is_fact = false;
    return has_source(conf, path, &is_fact) && !is_fact;
}

static bool any_below(const bt_conf *conf, const conf_value *value) {
    if (value->kind != K_OBJECT) {
        const conf_source_kind kind = conf->sources[value->source].kind;
        return kind != SOURCE_DEFAULT && kind != SOURCE_FACT;
    }
    for (size_t i = 0; i < value->u.object->n_slots; i++) {
        if (any_below(conf, &value->u.object->slots[i].value)) {
            return true;
        }
    }
    return false;
}

bool bt_conf_is_written_below(const bt_conf *conf, const char *path) {
    const conf_value *const value = conf_find(conf->root, path);
    return value != NULL && any_below(conf, value);
}

static bool same_texts(const conf_value *value, const bt_conf_fact *fact) {
    bool are_same = value->kind == K_LIST && value->u.list.n == fact->u.list.n;
    for (size_t i = 0; are_same && i < fact->u.list.n; i++) {
        const conf_value *const item = &value->u.list.items[i];
        are_same = item->kind == K_STR && strcmp(item->u.s.text, fact->u.list.items[i]) == 0;
    }
    return are_same;
}

static bool same(const conf_value *value, const bt_conf_fact *fact) {
    switch (fact->kind) {
    case BT_CONF_FACT_BOOL:
        return value->kind == K_BOOL && value->u.b == fact->u.b;
    case BT_CONF_FACT_I64:
        return value->kind == K_INT && value->u.i == fact->u.i;
    case BT_CONF_FACT_F64:
        return (value->kind == K_FLOAT && value->u.f == fact->u.f) ||
               (value->kind == K_INT && (double)value->u.i == fact->u.f);
    case BT_CONF_FACT_STR:
        return value->kind == K_STR && strcmp(value->u.s.text, fact->u.s) == 0;
    case BT_CONF_FACT_STR_LIST:
        return same_texts(value, fact);
    }
    return false;
}

static bt_status put_text(bt_conf *conf, conf_value *value, const char *text, bt_error *err) {
    value->kind = K_STR;
    value->u.s.len = strlen(text);
    value->u.s.text = conf_strndup(conf, text, value->u.s.len);
    return value->u.s.text != NULL ? BT_OK
                                   : BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
}

static bt_status put_list(bt_conf *conf, conf_value *value, const char *const *texts, size_t n,
                          bt_error *err) {
    conf_value *const  items = conf_alloc(conf, n, sizeof *items);
    const char **const flat = conf_alloc(conf, n, sizeof *flat);
    if (items == NULL || flat == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    for (size_t i = 0; i < n; i++) {
        items[i] = (conf_value){.source = value->source};
        BT_TRY(put_text(conf, &items[i], texts[i], err));
        flat[i] = items[i].u.s.text;
    }
    value->kind = K_LIST;
    value->u.list.items = items;
    value->u.list.n = n;
    value->u.list.flat = flat;
    return BT_OK;
}

static bt_status put(bt_conf *conf, conf_value *value, const bt_conf_fact *fact, int32_t source,
                     bt_error *err) {
    *value = (conf_value){.source = source};
    switch (fact->kind) {
    case BT_CONF_FACT_BOOL:
        value->kind = K_BOOL;
        value->u.b = fact->u.b;
        break;
    case BT_CONF_FACT_I64:
        value->kind = K_INT;
        value->u.i = fact->u.i;
        break;
    case BT_CONF_FACT_F64:
        value->kind = K_FLOAT;
        value->u.f = fact->u.f;
        break;
    case BT_CONF_FACT_STR:
        return put_text(conf, value, fact->u.s, err);
    case BT_CONF_FACT_STR_LIST:
        return put_list(conf, value, fact->u.list.items, fact->u.list.n, err);
    }
    return BT_OK;
}

bt_status bt_conf_adopt(bt_conf *conf, const char *path, const bt_conf_fact *fact,
                        const char *origin, bool *adopted, bt_error *err) {
    conf_value *const value = (conf_value *)(uintptr_t)conf_find(conf->root, path);
    int32_t           source = 0;
    *adopted = false;
    if (value == NULL || value->kind == K_OBJECT || bt_conf_is_written(conf, path) ||
        same(value, fact)) {
        return BT_OK;
    }
    BT_TRY(conf_add_source(conf, SOURCE_FACT, origin, &source, err));
    BT_TRY(put(conf, value, fact, source, err));
    *adopted = true;
    return BT_OK;
}

/* A list of texts, which may be adopted. */
static bool is_texts(const conf_value *value) {
    bool are_texts = value->kind == K_LIST && value->u.list.flat != NULL;
    for (size_t i = 0; are_texts && i < value->u.list.n; i++) {
        are_texts = value->u.list.items[i].kind == K_STR;
    }
    return are_texts;
}

static bt_status copy_leaf(bt_conf *conf, conf_value *value, const conf_value *from, int32_t source,
                           bt_error *err) {
    const bool  is_text = from->kind == K_STR || from->kind == K_BIGINT;
    char *const text = is_text ? conf_strndup(conf, from->u.s.text, from->u.s.len) : NULL;
    if (is_text && text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    *value = *from;
    value->source = source;
    if (is_text) {
        value->u.s.text = text;
    }
    return BT_OK;
}

bt_status bt_conf_adopt_from(bt_conf *conf, const bt_conf *from, const char *path, bt_error *err) {
    conf_value *const       value = (conf_value *)(uintptr_t)conf_find(conf->root, path);
    const conf_value *const wanted = conf_find(from->root, path);
    char                    origin[BT_CONF_ORIGIN_MAX];
    int32_t                 source = 0;
    if (value == NULL || wanted == NULL || bt_conf_is_written(conf, path) ||
        conf_equal(value, wanted) || wanted->kind == K_OBJECT || wanted->kind == K_TUPLE ||
        (wanted->kind == K_LIST && !is_texts(wanted))) {
        return BT_OK;
    }
    BT_TRY(conf_add_source(conf, SOURCE_FACT, conf_origin_text(from, wanted, path, origin), &source,
                           err));
    if (wanted->kind != K_LIST) {
        return copy_leaf(conf, value, wanted, source, err);
    }
    *value = (conf_value){.source = source};
    return put_list(conf, value, wanted->u.list.flat, wanted->u.list.n, err);
}
