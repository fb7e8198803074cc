/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of JSON -> the values of the wanted keys. The one file of the room that knows jansson. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "data_table.h"

void table_free_json(table_fields *fields) {
    json_decref(fields->json);
    fields->json = NULL;
}

static const char *kind_of(const json_t *value) {
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

/* Numbers and booleans as a table would write them. false: neither. */
static bool number_text(const json_t *value, char out[TABLE_NUMBER_MAX_BYTES]) {
    if (json_is_integer(value)) {
        (void)snprintf(out, TABLE_NUMBER_MAX_BYTES, "%" PRId64, (int64_t)json_integer_value(value));
        return true;
    }
    if (json_is_real(value)) {
        (void)bt_f64_repr(json_real_value(value), out);
        return true;
    }
    (void)snprintf(out, TABLE_NUMBER_MAX_BYTES, "%s", json_is_true(value) ? "true" : "false");
    return json_is_boolean(value);
}

/* A list of texts and numbers, each with a mark after it. */
static bt_status pick_list(table_fields *fields, size_t k, const char *key, const json_t *list,
                           bt_error *err) {
    bt_str_clear(&fields->list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *const item = json_array_get(list, i);
        char                number[TABLE_NUMBER_MAX_BYTES];
        if (!json_is_string(item) && !number_text(item, number)) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "\"%s\"[%zu] is %s, expected the name or number of a class", key, i,
                           kind_of(item));
        }
        BT_TRY(bt_str_append(&fields->list, json_is_string(item) ? json_string_value(item) : number,
                             err));
        BT_TRY(bt_str_append_char(&fields->list, TABLE_LIST_MARK, err));
    }
    fields->spans[k] = (bt_text_span){bt_str_text(&fields->list), fields->list.len};
    return BT_OK;
}

/* {"NAME": 0.25, ...}: how much each class applies. */
static bt_status pick_object(table_fields *fields, size_t k, const char *key, json_t *object,
                             bt_error *err) {
    const char *name = NULL;
    json_t     *value = NULL;
    bt_str_clear(&fields->list);
    json_object_foreach(object, name, value) {
        char number[TABLE_NUMBER_MAX_BYTES];
        if (!number_text(value, number)) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "\"%s\": \"%s\" is %s, expected a number from 0 to 1 (does the class "
                           "apply?)",
                           key, name, kind_of(value));
        }
        BT_TRY(bt_str_appendf(&fields->list, err, "%s%c%s%c", number, TABLE_VALUE_MARK, name,
                              TABLE_LIST_MARK));
    }
    fields->spans[k] = (bt_text_span){bt_str_text(&fields->list), fields->list.len};
    return BT_OK;
}

static bt_status pick(table_fields *fields, size_t k, const char *key, bool may_be_number,
                      bt_error *err) {
    json_t *const value = json_object_get(fields->json, key);
    fields->spans[k] = (bt_text_span){0};
    if (value == NULL || json_is_null(value)) {
        return BT_OK;
    }
    if (json_is_string(value)) {
        fields->spans[k] = (bt_text_span){json_string_value(value), json_string_length(value)};
        return BT_OK;
    }
    if (json_is_array(value) && fields->list_key == k + 1) {
        return pick_list(fields, k, key, value, err);
    }
    if (json_is_object(value) && fields->list_key == k + 1) {
        return pick_object(fields, k, key, value, err);
    }
    if (may_be_number && number_text(value, fields->numbers[k])) {
        fields->spans[k] = (bt_text_span){fields->numbers[k], strlen(fields->numbers[k])};
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_FORMAT, "\"%s\" is %s, expected a text%s", key, kind_of(value),
                   may_be_number ? " or a number" : "");
}

/* *root NULL: no JSON, and *problem says why. */
static bt_status load(table_fields *fields, const char *row, size_t n, const char *const *keys,
                      size_t n_keys, json_t **root, json_error_t *problem, bt_error *err) {
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    bool         ok = false;
    BT_TRY(bt_json_load(row, n, flags, root, problem, err));
    if (*root != NULL) {
        return BT_OK;
    }
    BT_TRY(bt_text_json_blank_others(row, n, keys, n_keys, &fields->unquoted, &ok, err));
    return ok ? bt_json_load(bt_str_text(&fields->unquoted), fields->unquoted.len, flags, root,
                             NULL, err)
              : BT_OK;
}

bt_status table_pick_json(table_fields *fields, const char *row, size_t n, const char *const *keys,
                          const bool *may_be_number, size_t n_keys, size_t *at, bt_error *err) {
    json_error_t problem;
    table_free_json(fields);
    BT_TRY(
        bt_grow(&fields->spans, &fields->cap, n_keys, sizeof *fields->spans, SIZE_MAX / 64, err));
    BT_TRY(bt_grow(&fields->numbers, &fields->cap_numbers, n_keys, sizeof *fields->numbers,
                   SIZE_MAX / 64, err));
    fields->n = n_keys;
    *at = 0;
    json_t *root = NULL;
    BT_TRY(load(fields, row, n, keys, n_keys, &root, &problem, err));
    fields->json = root;
    if (root == NULL) {
        *at = problem.position > 0 ? (size_t)problem.position - 1 : 0;
        return BT_FAIL(err, BT_E_FORMAT, "not JSON: %s", problem.text);
    }
    if (!json_is_object(root)) {
        return BT_FAIL(err, BT_E_FORMAT, "the line is %s, expected an object {\"field\": ...}",
                       kind_of(root));
    }
    for (size_t k = 0; k < n_keys; k++) {
        BT_TRY(pick(fields, k, keys[k], may_be_number[k], err));
    }
    return BT_OK;
}

bt_status table_name_members(table_fields *fields, const char *row, size_t n, bt_error *err) {
    json_error_t problem;
    json_t      *root = NULL;
    const char  *key = NULL;
    json_t      *value = NULL;
    table_free_json(fields);
    fields->n = 0;
    BT_TRY(load(fields, row, n, NULL, 0, &root, &problem, err));
    fields->json = root;
    json_object_foreach(root, key, value) {
        BT_TRY(bt_grow(&fields->spans, &fields->cap, fields->n + 1, sizeof *fields->spans,
                       SIZE_MAX / 64, err));
        fields->spans[fields->n++] = (bt_text_span){key, strlen(key)};
    }
    return BT_OK;
}
