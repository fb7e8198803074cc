/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a checked conf: by dotted path, with strict types, and in bulk through binding tables. */
#include "bt/base/number.h"
#include "conf_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *bt_conf_experiment_name(const bt_conf *conf) {
    return conf->experiment->name;
}

/* The slot of a key, or NULL where the path names something else (an item of a list). */
static const conf_slot *find_slot(const bt_conf *conf, const char *path) {
    const char  *last = strrchr(path, '.');
    char         above[CONF_MAX_PATH];
    const size_t len = last == NULL ? 0 : (size_t)(last - path);
    if (last == NULL || len >= sizeof(above)) {
        return NULL;
    }
    memcpy(above, path, len);
    above[len] = '\0';
    const conf_value *parent = conf_find(conf->root, above);
    return parent == NULL || parent->kind != K_OBJECT
               ? NULL
               : conf_find_slot(parent->u.object, last + 1, strlen(last + 1));
}

/* The value at a path, or NULL. Who looks this way acts by it: a test may be watching. */
static const conf_value *read_value(const bt_conf *conf, const char *path) {
    if (conf->on_read != NULL) {
        const conf_slot *const slot = find_slot(conf, path);
        if (slot != NULL) {
            conf->on_read(conf->on_read_context, slot->key);
        }
    }
    return conf_find(conf->root, path);
}

bool bt_conf_has(const bt_conf *conf, const char *path) {
    return conf_find(conf->root, path) != NULL;
}

bool bt_conf_is_null(const bt_conf *conf, const char *path) {
    const conf_value *value = read_value(conf, path);
    return value == NULL || value->kind == K_NULL;
}

bool bt_conf_is_changed(const bt_conf *conf, const char *path) {
    const conf_value *value = conf_find(conf->root, path);
    const conf_value *normal = conf_find(conf->defaults, path);
    return value != NULL && (normal == NULL || !conf_equal(value, normal));
}

const char *bt_conf_origin(const bt_conf *conf, const char *path, char buffer[BT_CONF_ORIGIN_MAX]) {
    const conf_value *value = conf_find(conf->root, path);
    if (value == NULL) {
        (void)snprintf(buffer, BT_CONF_ORIGIN_MAX, "nowhere");
        return buffer;
    }
    return conf_origin_text(conf, value, path, buffer);
}

static bt_status find(const bt_conf *conf, const char *path, const conf_value **out,
                      bt_error *err) {
    *out = read_value(conf, path);
    return *out != NULL ? BT_OK
                        : BT_FAIL(err, BT_E_CONFIG,
                                  "%s: there is no such key in %s (or its branch is not selected)",
                                  path, conf->experiment->name);
}

static bt_status fail_type(const bt_conf *conf, const char *path, const conf_value *value,
                           const char *expected, bt_error *err) {
    char origin[BT_CONF_ORIGIN_MAX];
    char got[BT_CONF_ORIGIN_MAX];
    return BT_FAIL(err, BT_E_CONFIG, "%s: %s: expected %s, got %s",
                   conf_origin_text(conf, value, path, origin), path, expected,
                   conf_describe(value, got));
}

bt_status bt_conf_get_bool(const bt_conf *conf, const char *path, bool *out, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    if (value->kind == K_BOOL) {
        *out = value->u.b;
    } else if (value->kind == K_INT) {
        *out = value->u.i != 0;
    } else {
        return fail_type(conf, path, value, "true or false", err);
    }
    return BT_OK;
}

bool conf_to_i64(const conf_value *value, int64_t *out) {
    if (value->kind == K_INT) {
        *out = value->u.i;
        return true;
    }
    if (value->kind != K_FLOAT || !(value->u.f >= -9223372036854774784.0) ||
        value->u.f > 9223372036854774784.0 || value->u.f != (double)(int64_t)value->u.f) {
        return false;
    }
    *out = (int64_t)value->u.f;
    return true;
}

bt_status bt_conf_get_i64(const bt_conf *conf, const char *path, int64_t *out, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    return conf_to_i64(value, out) ? BT_OK : fail_type(conf, path, value, "an integer", err);
}

bool conf_to_f64(const conf_value *value, double *out) {
    if (value->kind == K_FLOAT || value->kind == K_INT) {
        *out = value->kind == K_FLOAT ? value->u.f : (double)value->u.i;
        return true;
    }
    return value->kind == K_BIGINT && bt_parse_f64(value->u.s.text, out);
}

bt_status bt_conf_get_f64(const bt_conf *conf, const char *path, double *out, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    return conf_to_f64(value, out) ? BT_OK : fail_type(conf, path, value, "a number", err);
}

bt_status bt_conf_get_str(const bt_conf *conf, const char *path, const char **out, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    if (value->kind != K_STR && value->kind != K_NULL) {
        return fail_type(conf, path, value, "a string", err);
    }
    *out = value->kind == K_STR ? value->u.s.text : "";
    return BT_OK;
}

bt_status bt_conf_get_i64_or(const bt_conf *conf, const char *path, int64_t fallback, int64_t *out,
                             bool *is_null, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    if (value->kind != K_NULL) {
        BT_TRY(bt_conf_get_i64(conf, path, out, err));
    } else {
        *out = fallback;
    }
    if (is_null != NULL) {
        *is_null = value->kind == K_NULL;
    }
    return BT_OK;
}

bt_status bt_conf_get_f64_or(const bt_conf *conf, const char *path, double fallback, double *out,
                             bool *is_null, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    if (value->kind != K_NULL) {
        BT_TRY(bt_conf_get_f64(conf, path, out, err));
    } else {
        *out = fallback;
    }
    if (is_null != NULL) {
        *is_null = value->kind == K_NULL;
    }
    return BT_OK;
}

/* The key's own type: a list's flat array was made for it. */
static conf_type type_at(const bt_conf *conf, const char *path) {
    const conf_slot *const slot = find_slot(conf, path);
    return slot == NULL ? T_NULL : slot->key->type;
}

static bt_status get_list(const bt_conf *conf, const char *path, conf_type type, const void **items,
                          size_t *n, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    *items = NULL;
    *n = 0;
    if (value->kind == K_NULL) {
        return BT_OK;
    }
    const conf_type own = type_at(conf, path);
    const bool      fits = own == type || (own == T_PATHS && type == T_STR_LIST) ||
                      (own == T_INT_OR_LIST && type == T_FLOAT_LIST) ||
                      (own == T_FLOATS_OR_WORD && type == T_FLOAT_LIST);
    if (!fits || (value->kind != K_LIST && value->kind != K_TUPLE)) {
        return fail_type(conf, path, value, conf_type_words(type), err);
    }
    *items = value->u.list.flat;
    *n = value->u.list.n;
    return BT_OK;
}

bt_status bt_conf_get_str_list(const bt_conf *conf, const char *path, bt_conf_str_list *out,
                               bt_error *err) {
    const conf_value *value = NULL;
    const void       *items = NULL;
    BT_TRY(find(conf, path, &value, err));
    if (value->kind == K_STR) {
        out->items = &value->u.s.text;
        out->n = value->u.s.len > 0 ? 1 : 0;
        return BT_OK;
    }
    BT_TRY(get_list(conf, path, T_STR_LIST, &items, &out->n, err));
    out->items = items;
    return BT_OK;
}

bt_status bt_conf_get_i64_list(const bt_conf *conf, const char *path, bt_conf_i64_list *out,
                               bt_error *err) {
    const void *items = NULL;
    BT_TRY(get_list(conf, path, T_INT_LIST, &items, &out->n, err));
    out->items = items;
    return BT_OK;
}

bt_status bt_conf_get_f64_list(const bt_conf *conf, const char *path, bt_conf_f64_list *out,
                               bt_error *err) {
    const void *items = NULL;
    BT_TRY(get_list(conf, path, T_FLOAT_LIST, &items, &out->n, err));
    out->items = items;
    return BT_OK;
}

size_t bt_conf_n_items(const bt_conf *conf, const char *path) {
    const conf_value *value = read_value(conf, path);
    return value != NULL && (value->kind == K_LIST || value->kind == K_TUPLE) ? value->u.list.n : 0;
}

const char *conf_type_of_oneof(const conf_value *value) {
    if (value == NULL || value->kind != K_OBJECT || !value->u.object->cls->is_one_of) {
        return NULL;
    }
    const conf_slot *type = conf_find_slot(value->u.object, "type", 4);
    return type->value.kind == K_STR ? type->value.u.s.text : NULL;
}

const char *bt_conf_type_of_oneof(const bt_conf *conf, const char *path) {
    char type[CONF_MAX_PATH];
    (void)read_value(conf, conf_join_path(path, "type", strlen("type"), type));
    return conf_type_of_oneof(conf_find(conf->root, path));
}

static bt_status bind_i32(const bt_conf *conf, const char *path, int32_t *out, bt_error *err) {
    int64_t wide = 0;
    BT_TRY(bt_conf_get_i64(conf, path, &wide, err));
    if (wide < INT32_MIN || wide > INT32_MAX) {
        char origin[BT_CONF_ORIGIN_MAX];
        return BT_FAIL(err, BT_E_CONFIG, "%s: %s: %" PRId64 " is too large",
                       bt_conf_origin(conf, path, origin), path, wide);
    }
    *out = (int32_t)wide;
    return BT_OK;
}

static bt_status bind_optional(const bt_conf *conf, const char *path, bt_conf_field_type type,
                               void *place, bt_error *err) {
    const conf_value *value = NULL;
    BT_TRY(find(conf, path, &value, err));
    const bool is_set = value->kind != K_NULL;
    if (type == BT_CONF_FIELD_OPT_I64) {
        bt_conf_opt_i64 *out = place;
        *out = (bt_conf_opt_i64){.is_set = is_set};
        return is_set ? bt_conf_get_i64(conf, path, &out->value, err) : BT_OK;
    }
    if (type == BT_CONF_FIELD_OPT_F64) {
        bt_conf_opt_f64 *out = place;
        *out = (bt_conf_opt_f64){.is_set = is_set};
        return is_set ? bt_conf_get_f64(conf, path, &out->value, err) : BT_OK;
    }
    bt_conf_opt_bool *out = place;
    *out = (bt_conf_opt_bool){.is_set = is_set};
    return is_set ? bt_conf_get_bool(conf, path, &out->value, err) : BT_OK;
}

static bt_status bind_field(const bt_conf *conf, const char *path, bt_conf_field_type type,
                            void *place, bt_error *err) {
    double wide = 0;
    switch (type) {
    case BT_CONF_FIELD_BOOL:
        return bt_conf_get_bool(conf, path, place, err);
    case BT_CONF_FIELD_I32:
        return bind_i32(conf, path, place, err);
    case BT_CONF_FIELD_I64:
        return bt_conf_get_i64(conf, path, place, err);
    case BT_CONF_FIELD_F32:
        BT_TRY(bt_conf_get_f64(conf, path, &wide, err));
        *(float *)place = (float)wide;
        return BT_OK;
    case BT_CONF_FIELD_F64:
        return bt_conf_get_f64(conf, path, place, err);
    case BT_CONF_FIELD_STR:
        return bt_conf_get_str(conf, path, place, err);
    case BT_CONF_FIELD_OPT_I64:
    case BT_CONF_FIELD_OPT_F64:
    case BT_CONF_FIELD_OPT_BOOL:
        return bind_optional(conf, path, type, place, err);
    case BT_CONF_FIELD_STR_LIST:
        return bt_conf_get_str_list(conf, path, place, err);
    case BT_CONF_FIELD_I64_LIST:
        return bt_conf_get_i64_list(conf, path, place, err);
    case BT_CONF_FIELD_F64_LIST:
        return bt_conf_get_f64_list(conf, path, place, err);
    }
    return BT_FAIL(err, BT_E_INTERNAL, "%s: a field of unknown type", path);
}

bt_status bt_conf_bind(const bt_conf *conf, const char *prefix, const bt_conf_field *fields,
                       size_t n_fields, void *dst, bt_error *err) {
    for (size_t i = 0; i < n_fields; i++) {
        char path[CONF_MAX_PATH];
        (void)conf_join_path(prefix, fields[i].key, strlen(fields[i].key), path);
        BT_TRY(bind_field(conf, path, fields[i].type, (char *)dst + fields[i].offset, err));
    }
    return BT_OK;
}
