/* SPDX-License-Identifier: Apache-2.0
 *
 * --help_experiment: every key of an experiment with type, default and meaning, from the schema
 * tables and the experiment's default tree. */
#include "bt/base/number.h"
#include "conf_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct helper {
    bt_conf  *conf; /* where sections that are null by default are made for the listing */
    bt_str   *out;
    bt_error *err;
} helper;

static bt_status put_default(const helper *h, const conf_value *value) {
    char repr[BT_F64_TEXT_MAX];
    switch (value->kind) {
    case K_NULL:
        return bt_str_append(h->out, "null", h->err);
    case K_BOOL:
        return bt_str_append(h->out, value->u.b ? "true" : "false", h->err);
    case K_INT:
        return bt_str_appendf(h->out, h->err, "%" PRId64, value->u.i);
    case K_FLOAT:
        return bt_str_append(h->out, bt_f64_repr(value->u.f, repr), h->err);
    case K_STR:
    case K_BIGINT:
    case K_ALIEN:
        return bt_str_appendf(h->out, h->err, value->u.s.len == 0 ? "''%s" : "%s", value->u.s.text);
    case K_LIST:
    case K_TUPLE:
        BT_TRY(bt_str_append_char(h->out, '[', h->err));
        for (size_t i = 0; i < value->u.list.n; i++) {
            BT_TRY(bt_str_append(h->out, i > 0 ? ", " : "", h->err));
            BT_TRY(put_default(h, &value->u.list.items[i]));
        }
        return bt_str_append_char(h->out, ']', h->err);
    case K_OBJECT:
        return bt_str_append(h->out, "{...}", h->err);
    case K_MAP:
        break;
    }
    return BT_OK;
}

/* "One of bert|bert_v2": the branches of a one-of. */
static bt_status put_branches(const helper *h, const conf_object *object) {
    BT_TRY(bt_str_append(h->out, "One of ", h->err));
    bool first = true;
    for (size_t i = 0; i < object->n_slots; i++) {
        const char *name = object->slots[i].key->name;
        if (strcmp(name, "type") != 0) {
            BT_TRY(bt_str_appendf(h->out, h->err, "%s%s", first ? "" : "|", name));
            first = false;
        }
    }
    return BT_OK;
}

/* The doc of a key as a sentence. */
static bt_status put_doc(const helper *h, const conf_key *key, const char *path, const char *mark) {
    const char first =
        key->doc[0] >= 'a' && key->doc[0] <= 'z' ? (char)(key->doc[0] - 'a' + 'A') : key->doc[0];
    return bt_str_appendf(h->out, h->err, "%s%s\n    %c%s.", path, mark, first, key->doc + 1);
}

/* Of a key that does not act. */
static bt_status put_effect(const helper *h, const conf_key *key) {
    return key->effect == CONF_ACTS
               ? BT_OK
               : bt_str_appendf(h->out, h->err, " %s: %s%s.",
                                key->effect == CONF_IGNORED ? "No effect" : "Refused", key->why,
                                (key->flags & QUIET) != 0 ? ", and nothing is lost by it" : "");
}

static bt_status put_key(const helper *h, const conf_object *object, const conf_key *key,
                         const conf_value *value, const char *path) {
    BT_TRY(put_doc(h, key, path, ""));
    BT_TRY(bt_str_append_char(h->out, ' ', h->err));
    const conf_rule *rule = key->rule;
    if (object->cls->is_one_of && strcmp(key->name, "type") == 0) {
        BT_TRY(put_branches(h, object));
    } else if (rule != NULL && rule->choices != NULL && key->type == T_STR) {
        BT_TRY(bt_str_appendf(h->out, h->err, "One of %s", rule->choices));
    } else {
        const bool        is_path = (key->flags & PATH) != 0 && key->type == T_STR;
        const char *const words = is_path ? "a path" : conf_type_words(key->type);
        BT_TRY(bt_str_appendf(h->out, h->err, "%c%s%s%s", words[0] - 'a' + 'A', words + 1,
                              rule == NULL || rule->words == NULL ? "" : " ",
                              rule == NULL || rule->words == NULL ? "" : rule->words));
    }
    BT_TRY(bt_str_append(
        h->out, (key->flags & NULLABLE) != 0 && value->kind != K_NULL ? " or null" : "", h->err));
    BT_TRY(bt_str_append(h->out, "; default ", h->err));
    BT_TRY(put_default(h, value));
    BT_TRY(bt_str_append(
        h->out, (key->flags & EXT) != 0 ? "; bert-train only, not in Model Garden." : ".", h->err));
    BT_TRY(put_effect(h, key));
    return bt_str_append_char(h->out, '\n', h->err);
}

static bt_status put_section(const helper *h, const conf_object *object, const char *path);

/* The keys of a section that is null by default, or of one element of a list of sections. */
static bt_status put_absent(const helper *h, const conf_key *key, const char *path) {
    conf_object *object = NULL;
    char         element[CONF_MAX_PATH];
    BT_TRY(conf_create_object(h->conf, key->sub, &object, h->err));
    return put_section(h, object,
                       key->type == T_SECTIONS ? conf_join_path(path, "N", 1, element) : path);
}

static bt_status put_section(const helper *h, const conf_object *object, const char *path) {
    char below[CONF_MAX_PATH];
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_key   *key = object->slots[i].key;
        const conf_value *value = &object->slots[i].value;
        (void)conf_join_path(path, key->name, strlen(key->name), below);
        if (value->kind == K_OBJECT) {
            BT_TRY(put_doc(h, key, below, ":"));
            BT_TRY(put_effect(h, key));
            BT_TRY(bt_str_append_char(h->out, '\n', h->err));
            BT_TRY(put_section(h, value->u.object, below));
            continue;
        }
        BT_TRY(put_key(h, object, key, value, below));
        if (key->sub != NULL) {
            BT_TRY(put_absent(h, key, below));
        }
    }
    return BT_OK;
}

bt_status bt_conf_help(const char *experiment, bt_str *out, bt_error *err) {
    const bt_conf_args args = {.experiment = experiment};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_conf           *conf = NULL;
    bt_status          rc = BT_OK;
    BT_CHECK(bt_conf_build(&args, &conf, &errors, err));
    BT_CHECK(bt_str_appendf(out, err, "%s: %s\n\n", experiment, conf->experiment->doc));
    const helper h = {.conf = conf, .out = out, .err = err};
    BT_CHECK(put_section(&h, conf->root, ""));
done:
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    return rc;
}
