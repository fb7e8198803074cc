/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts in the place of defaults: what is known from elsewhere (a file beside the weights) of keys
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
    }
    return false;
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
        value->kind = K_STR;
        value->u.s.len = strlen(fact->u.s);
        value->u.s.text = conf_strndup(conf, fact->u.s, value->u.s.len);
        if (value->u.s.text == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
        }
        break;
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

bt_status bt_conf_adopt_from(bt_conf *conf, const bt_conf *from, const char *path, bt_error *err) {
    conf_value *const       value = (conf_value *)(uintptr_t)conf_find(conf->root, path);
    const conf_value *const wanted = conf_find(from->root, path);
    char                    origin[BT_CONF_ORIGIN_MAX];
    int32_t                 source = 0;
    if (value == NULL || wanted == NULL || bt_conf_is_written(conf, path) ||
        conf_equal(value, wanted) || wanted->kind == K_OBJECT || wanted->kind == K_LIST ||
        wanted->kind == K_TUPLE) {
        return BT_OK;
    }
    BT_TRY(conf_add_source(conf, SOURCE_FACT, conf_origin_text(from, wanted, path, origin), &source,
                           err));
    const bool  is_text = wanted->kind == K_STR || wanted->kind == K_BIGINT;
    char *const text = is_text ? conf_strndup(conf, wanted->u.s.text, wanted->u.s.len) : NULL;
    if (is_text && text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    *value = *wanted;
    value->source = source;
    if (is_text) {
        value->u.s.text = text;
    }
    return BT_OK;
}
