/* SPDX-License-Identifier: Apache-2.0
 *
 * What Model Garden does not do: every value that the user wrote is held against the type and the
 * range of its key. Values that equal the experiment's default are never complained about here. */
#include "bt/base/number.h"
#include "conf_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool is_int(const conf_value *value) {
    return value->kind == K_INT ||
           (value->kind == K_FLOAT && value->u.f == floor(value->u.f) &&
            value->u.f >= -9223372036854774784.0 && value->u.f <= 9223372036854774784.0);
}

static bool is_number(const conf_value *value) {
    return value->kind == K_INT || value->kind == K_BIGINT ||
           (value->kind == K_FLOAT && !isnan(value->u.f));
}

static bool is_text(const conf_value *value) {
    return value->kind == K_STR && strlen(value->u.s.text) == value->u.s.len;
}

static bool is_list_of(const conf_value *value, bool (*is_element)(const conf_value *)) {
    if (value->kind != K_LIST && value->kind != K_TUPLE) {
        return false;
    }
    for (size_t i = 0; i < value->u.list.n; i++) {
        if (!is_element(&value->u.list.items[i])) {
            return false;
        }
    }
    return true;
}

static bool has_type(conf_type type, const conf_value *value) {
    switch (type) {
    case T_BOOL:
        return value->kind == K_BOOL || (value->kind == K_INT && (value->u.i | 1) == 1);
    case T_INT:
        return is_int(value);
    case T_FLOAT:
        return is_number(value);
    case T_STR:
        return is_text(value);
    case T_STR_LIST:
        return is_list_of(value, is_text);
    case T_INT_LIST:
        return is_list_of(value, is_int);
    case T_FLOAT_LIST:
        return is_list_of(value, is_number);
    case T_PATHS:
        return is_text(value) || is_list_of(value, is_text);
    case T_STR_OR_FLOAT:
        return is_number(value) || is_text(value);
    case T_INT_OR_LIST:
        return is_int(value) || is_list_of(value, is_number);
    case T_FLOATS_OR_WORD:
        return is_text(value) || is_list_of(value, is_number);
    case T_NULL:
    case T_SECTION:
    case T_SECTIONS:
        return false;
    }
    return false;
}

/* How to write what was probably meant; "" when there is nothing to guess. */
static const char *hint_for(conf_type type, const conf_value *value, char hint[96]) {
    const bool is_scalar = value->kind == K_INT || value->kind == K_FLOAT ||
                           value->kind == K_BIGINT || value->kind == K_BOOL;
    double number = 0;
    char   repr[BT_F64_TEXT_MAX];
    hint[0] = '\0';
    if ((type == T_STR || type == T_PATHS) && is_scalar) {
        return "; put it in quotes if that text is meant";
    }
    if (type == T_STR && value->kind == K_STR) {
        return " with a NUL in it";
    }
    if ((type == T_INT || type == T_FLOAT) && value->kind == K_STR &&
        bt_parse_f64(value->u.s.text, &number) && number - number == 0) {
        (void)snprintf(hint, 96, "; YAML reads that as text here: write %s",
                       bt_f64_repr(number, repr));
        const size_t n = strlen(hint);
        if (type == T_INT && n > 2 && strcmp(hint + n - 2, ".0") == 0) {
            hint[n - 2] = '\0';
        }
        return hint;
    }
    if (type == T_INT && value->kind == K_BIGINT) {
        return ", which is too large";
    }
    if (type == T_STR_LIST && value->kind == K_STR) {
        return "; write [a, b]";
    }
    return "";
}

static bool is_choice(const conf_rule *rule, const char *text) {
    for (const char *at = rule->choices; *at != '\0';) {
        const size_t n = strcspn(at, "|");
        char         word[64];
        if (n < sizeof(word)) {
            memcpy(word, at, n);
            word[n] = '\0';
            if (rule->nocase ? bt_str_equal_nocase(word, text) : strcmp(word, text) == 0) {
                return true;
            }
        }
        at += n + (at[n] == '|');
    }
    return false;
}

static double number_of(const conf_value *value) {
    double number = 0;
    if (value->kind == K_INT) {
        return (double)value->u.i;
    }
    if (value->kind == K_BIGINT) {
        return bt_parse_f64(value->u.s.text, &number) ? number : HUGE_VAL;
    }
    return value->u.f;
}

static bool is_in_range(const conf_rule *rule, const conf_value *value) {
    const double x = number_of(value);
    return (rule->lo_open ? x > rule->lo : x >= rule->lo) &&
           (rule->hi_open ? x < rule->hi : x <= rule->hi) && !(rule->no_zero && x == 0);
}

static bt_status check_rule(const conf_merge *merge, const conf_key *key, const conf_value *value,
                            const char *path) {
    const conf_rule *rule = key->rule;
    char             got[BT_CONF_ORIGIN_MAX];
    if (rule == NULL || value->kind == K_LIST || value->kind == K_TUPLE) {
        return BT_OK;
    }
    if (rule->choices == NULL) {
        return is_in_range(rule, value)
                   ? BT_OK
                   : conf_report(merge, BT_CONF_ERROR, value, path, "expected %s %s, got %s",
                                 conf_key_words(key), rule->words, conf_describe(value, got));
    }
    const bool empty = value->kind == K_STR && value->u.s.len == 0;
    if (value->kind != K_STR || (empty && (key->flags & NULLABLE) != 0) ||
        is_choice(rule, value->u.s.text)) {
        return BT_OK;
    }
    if (key->type == T_STR_OR_FLOAT) {
        return conf_report(merge, BT_CONF_ERROR, value, path, "expected a number or '%s', got %s",
                           rule->choices, conf_describe(value, got));
    }
    if (key->type != T_STR) { /* its words say it */
        return conf_report(merge, BT_CONF_ERROR, value, path, "expected %s, got %s",
                           conf_key_words(key), conf_describe(value, got));
    }
    return conf_report(merge, BT_CONF_ERROR, value, path, "expected one of %s, got %s",
                       rule->choices, conf_describe(value, got));
}

static bt_status check_leaf(const conf_merge *merge, const conf_slot *slot, const char *path) {
    const conf_key   *key = slot->key;
    const conf_value *value = &slot->value;
    char              got[BT_CONF_ORIGIN_MAX];
    char              hint[96];
    if (value->kind == K_NULL) {
        return (key->flags & NULLABLE) != 0 || key->type == T_NULL
                   ? BT_OK
                   : conf_report(merge, BT_CONF_ERROR, value, path, "expected %s, got null",
                                 conf_key_words(key));
    }
    if (!has_type(key->type, value)) {
        return conf_report(merge, BT_CONF_ERROR, value, path, "expected %s, got %s%s",
                           conf_key_words(key), conf_describe(value, got),
                           hint_for(key->type, value, hint));
    }
    if ((key->flags & PAIR) != 0 && value->u.list.n != 2) {
        return conf_report(merge, BT_CONF_ERROR, value, path, "expected a list of two, got %zu",
                           value->u.list.n);
    }
    return check_rule(merge, key, value, path);
}

/* Encoders of other programs: the nearest name here would be another model. */
static const char *foreign_encoder(const char *path, const char *word) {
    static const struct {
        const char *word;
        const char *why;
    } rows[] = {
        {"roberta", "RoBERTa's vocabulary, byte-level BPE, cannot be read"},
        {"xlm_roberta", "XLM-RoBERTa's vocabulary, a SentencePiece model, cannot be read"},
        {"xlm-roberta", "XLM-RoBERTa's vocabulary, a SentencePiece model, cannot be read"},
        {"camembert", "CamemBERT's vocabulary, a SentencePiece model, cannot be read"},
        {"deberta", "DeBERTa's relative positions are not supported"},
        {"electra", "ELECTRA is not supported"},
        {"distilbert", "DistilBERT's layers are those of bert "
                       "(configs/models/distilbert_base_uncased.yaml): write bert"},
    };
    for (size_t i = 0; bt_str_ends_with(path, "encoder") && i < BT_ARRAY_LEN(rows); i++) {
        if (bt_str_equal_nocase(rows[i].word, word)) {
            return rows[i].why;
        }
    }
    return NULL;
}

static bt_status check_one_of(const conf_merge *merge, const conf_object *object,
                              const char *path) {
    const conf_slot  *type = conf_find_slot(object, "type", 4);
    const conf_value *value = &type->value;
    const char       *names[64];
    size_t            n = 0;
    char              below[CONF_MAX_PATH];
    if (value->kind != K_STR) {
        return BT_OK; /* null, or check_leaf has spoken */
    }
    for (size_t i = 0; i < object->n_slots && n < BT_ARRAY_LEN(names); i++) {
        const char *name = object->slots[i].key->name;
        if (strcmp(name, "type") == 0) {
            continue;
        }
        if (strcmp(name, value->u.s.text) == 0) {
            return BT_OK;
        }
        names[n++] = name;
    }
    (void)conf_join_path(path, "type", 4, below);
    const char *const foreign = foreign_encoder(path, value->u.s.text);
    if (foreign != NULL) {
        return conf_report(merge, BT_CONF_ERROR, value, below,
                           "'%s': %s; the encoders that train are bert, bert_v2 and albert",
                           value->u.s.text, foreign);
    }
    const char *near = bt_conf_nearest(value->u.s.text, names, n);
    bt_str      all = BT_STR_INIT;
    bt_status   rc = BT_OK;
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_str_appendf(&all, merge->err, "%s%s", i > 0 ? "|" : "", names[i]));
    }
    rc = conf_report(merge, BT_CONF_ERROR, value, below, "'%.60s' is none of %s%s%s%s",
                     value->u.s.text, bt_str_text(&all), near == NULL ? "" : "; did you mean '",
                     near == NULL ? "" : near, near == NULL ? "" : "'?");
done:
    bt_str_deinit(&all);
    return rc;
}

static bt_status check_object(const conf_merge *merge, const conf_object *object,
                              const conf_object *defaults, const char *path);

static bt_status check_section(const conf_merge *merge, const conf_slot *slot,
                               const conf_value *normal, const char *path) {
    if (slot->value.kind == K_NULL) {
        return normal == NULL || normal->kind != K_OBJECT
                   ? BT_OK
                   : conf_report(merge, BT_CONF_ERROR, &slot->value, path,
                                 "this section is needed and cannot be null");
    }
    const conf_object *object = slot->value.u.object;
    const conf_object *defaults =
        normal != NULL && normal->kind == K_OBJECT ? normal->u.object : NULL;
    if (defaults != NULL && defaults->cls != object->cls) {
        /* Model Garden creates the declared base class, for which there is no loader or task */
        return conf_report(merge, BT_CONF_ERROR, &slot->value, path,
                           "this section was set to null before; what is made of it anew is a %s "
                           "where a %s is needed; override its keys without the null",
                           object->cls->qualified, defaults->cls->qualified);
    }
    return check_object(merge, object, defaults, path);
}

static bt_status check_slot(const conf_merge *merge, const conf_slot *slot,
                            const conf_value *normal, const char *path) {
    if (slot->key->type == T_SECTION) {
        return check_section(merge, slot, normal, path);
    }
    if (slot->key->type == T_SECTIONS) {
        char below[CONF_MAX_PATH];
        for (size_t i = 0; i < slot->value.u.list.n; i++) {
            (void)conf_join_index(path, i, below);
            BT_TRY(check_object(merge, slot->value.u.list.items[i].u.object, NULL, below));
        }
        return BT_OK;
    }
    const bool is_default =
        slot->value.source == 0 || (normal != NULL && conf_equal(normal, &slot->value) &&
                                    has_type(slot->key->type, &slot->value));
    return is_default ? BT_OK : check_leaf(merge, slot, path);
}

static bt_status check_object(const conf_merge *merge, const conf_object *object,
                              const conf_object *defaults, const char *path) {
    char below[CONF_MAX_PATH];
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_slot *slot = &object->slots[i];
        (void)conf_join_path(path, slot->key->name, strlen(slot->key->name), below);
        BT_TRY(check_slot(merge, slot, defaults == NULL ? NULL : &defaults->slots[i].value, below));
    }
    return object->cls->is_one_of ? check_one_of(merge, object, path) : BT_OK;
}

bt_status conf_check_tree(const conf_merge *merge) {
    return check_object(merge, merge->conf->root, merge->conf->defaults, "");
}
