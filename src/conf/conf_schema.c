/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking the schema tables: a class's own keys stand before those of its base. */
#include "conf_schema.h"

#include <string.h>

#include "bt/base/pool.h"

const conf_rule conf_rule_finite = {
    .lo = -HUGE_VAL, .lo_open = true, .hi = HUGE_VAL, .hi_open = true, .words = "that is finite"};
const conf_rule conf_rule_ge0 = {.lo = 0, .hi = HUGE_VAL, .hi_open = true, .words = "at least 0"};
const conf_rule conf_rule_ge1 = {.lo = 1, .hi = HUGE_VAL, .hi_open = true, .words = "at least 1"};
const conf_rule conf_rule_0_to_1 = {.lo = 0, .hi = 1, .words = "from 0 to 1"};
const conf_rule conf_rule_threads = {.lo = 0, .hi = BT_POOL_MAX_THREADS, .words = "from 0 to 1024"};
const conf_rule conf_rule_inside = {
    .lo = 0, .lo_open = true, .hi = 1, .hi_open = true, .words = "above 0 and below 1"};
const conf_rule conf_rule_rate = {
    .lo = 0, .hi = 1, .hi_open = true, .words = "at least 0 and less than 1"};

static const conf_key *find_own_key(const conf_class *cls, const char *name, size_t len) {
    for (size_t i = 0; i < cls->n_keys; i++) {
        const conf_key *key = &cls->keys[i];
        if (strlen(key->name) == len && memcmp(key->name, name, len) == 0) {
            return key;
        }
    }
    return NULL;
}

/* The key of this name in cls or its bases, or NULL. */
static const conf_key *find_key(const conf_class *cls, const char *name, size_t len) {
    for (; cls != NULL; cls = cls->base) {
        const conf_key *key = find_own_key(cls, name, len);
        if (key != NULL) {
            return key;
        }
    }
    return NULL;
}

size_t conf_class_count_keys(const conf_class *cls) {
    size_t n = 0;
    for (const conf_class *level = cls; level != NULL; level = level->base) {
        for (size_t i = 0; i < level->n_keys; i++) {
            const char *name = level->keys[i].name;
            n += find_key(cls, name, strlen(name)) == &level->keys[i];
        }
    }
    return n;
}

void conf_class_list_keys(const conf_class *cls, const conf_key **out) {
    size_t n = 0;
    for (const conf_class *level = cls; level != NULL; level = level->base) {
        for (size_t i = 0; i < level->n_keys; i++) {
            const conf_key *key = &level->keys[i];
            if (find_key(cls, key->name, strlen(key->name)) != key) {
                continue; /* overridden further down */
            }
            size_t at = n;
            for (; at > 0 && strcmp(out[at - 1]->name, key->name) > 0; at--) {
                out[at] = out[at - 1];
            }
            out[at] = key;
            n++;
        }
    }
}

const char *conf_type_words(conf_type type) {
    switch (type) {
    case T_BOOL:
        return "true or false";
    case T_INT:
        return "an integer";
    case T_FLOAT:
        return "a number";
    case T_STR:
        return "a string";
    case T_STR_LIST:
        return "a list of strings";
    case T_INT_LIST:
        return "a list of integers";
    case T_FLOAT_LIST:
        return "a list of numbers";
    case T_PATHS:
        return "a path or a list of paths";
    case T_STR_OR_FLOAT:
        return "a number or a word";
    case T_INT_OR_LIST:
        return "an integer or a list of them";
    case T_FLOATS_OR_WORD:
        return "a list of numbers or 'balanced'";
    case T_NULL:
        return "null";
    case T_SECTION:
        return "a section (a mapping)";
    case T_SECTIONS:
        return "a list of sections";
    }
    return "?";
}

const char *conf_key_words(const conf_key *key) {
    return key->type == T_PATHS && (key->flags & PATH) == 0 ? "a string or a list of strings"
                                                            : conf_type_words(key->type);
}
