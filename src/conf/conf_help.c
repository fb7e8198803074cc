/* SPDX-License-Identifier: Apache-2.0
 *
 * Every key of an experiment with type, default and meaning, from the schema tables and the
 * experiment's default tree: to whoever asks, and as the text of --help_experiment. */
#include "bt/base/number.h"
#include "conf_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct key_walk {
    bt_conf *conf; /* where sections that are null by default are made for the listing */
    bt_status (*visit)(void *context, const bt_conf_key_info *key, bt_error *err);
    void     *context;
    bt_error *err;
} key_walk;

static bt_status put_rest(bt_str *out, const conf_value *value, bt_error *err) {
    char repr[BT_F64_TEXT_MAX];
    if (value->kind == K_FLOAT) {
        return bt_str_append(out, bt_f64_repr(value->u.f, repr), err);
    }
    if (value->kind == K_OBJECT) {
        return bt_str_append(out, "{...}", err);
    }
    return value->kind == K_MAP
               ? BT_OK
               : bt_str_appendf(out, err, value->u.s.len == 0 ? "''%s" : "%s", value->u.s.text);
}

/* "bert|bert_v2": the branches of a one-of. */
static bt_status put_branches(bt_str *out, const conf_object *object, bt_error *err) {
    bool first = true;
    for (size_t i = 0; i < object->n_slots; i++) {
        const char *name = object->slots[i].key->name;
        if (strcmp(name, "type") != 0) {
            BT_TRY(bt_str_appendf(out, err, "%s%s", first ? "" : "|", name));
            first = false;
        }
    }
    return BT_OK;
}

/* value NULL: the key is a section. */
static bt_status show_key(const key_walk *walk, const conf_object *object, const conf_key *key,
                          const conf_value *value, const char *path) {
    const conf_rule *const rule = key->rule;
    const bool             is_path = (key->flags & PATH) != 0 && key->type == T_STR;
    bt_str                 normal = BT_STR_INIT;
    bt_str                 branches = BT_STR_INIT;
    bt_status              rc = BT_OK;
    bt_conf_key_info       info = {.path = path,
                                   .type = is_path ? "a path" : conf_key_words(key),
                                   .range = rule != NULL ? rule->words : NULL,
                                   .doc = key->doc,
                                   .why_not = key->effect != CONF_ACTS ? key->why : NULL,
                                   .is_refused = key->effect == CONF_REFUSED,
                                   .is_quiet = (key->flags & QUIET) != 0,
                                   .is_section = value == NULL,
                                   .is_ours = (key->flags & EXT) != 0,
                                   .may_be_null = (key->flags & NULLABLE) != 0};
    if (value != NULL) {
        BT_CHECK(conf_put_value(&normal, value, put_rest, walk->err));
    }
    if (object->cls->is_one_of && strcmp(key->name, "type") == 0) {
        BT_CHECK(put_branches(&branches, object, walk->err));
        info.choices = bt_str_text(&branches);
    } else if (rule != NULL && rule->choices != NULL && key->type == T_STR) {
        info.choices = rule->choices;
    }
    info.default_text = bt_str_text(&normal);
    rc = walk->visit(walk->context, &info, walk->err);
done:
    bt_str_deinit(&normal);
    bt_str_deinit(&branches);
    return rc;
}

static bt_status walk_section(const key_walk *walk, const conf_object *object, const char *path);

/* The keys of a section that is null by default, or of one element of a list of sections. */
static bt_status walk_absent(const key_walk *walk, const conf_key *key, const char *path) {
    conf_object *object = NULL;
    char         element[CONF_MAX_PATH];
    BT_TRY(conf_create_object(walk->conf, key->sub, &object, walk->err));
    return walk_section(walk, object,
                        key->type == T_SECTIONS ? conf_join_path(path, "N", 1, element) : path);
}

static bt_status walk_section(const key_walk *walk, const conf_object *object, const char *path) {
    char below[CONF_MAX_PATH];
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_key   *key = object->slots[i].key;
        const conf_value *value = &object->slots[i].value;
        const bool        is_section = value->kind == K_OBJECT;
        (void)conf_join_path(path, key->name, strlen(key->name), below);
        BT_TRY(show_key(walk, object, key, is_section ? NULL : value, below));
        if (is_section) {
            BT_TRY(walk_section(walk, value->u.object, below));
        } else if (key->sub != NULL) {
            BT_TRY(walk_absent(walk, key, below));
        }
    }
    return BT_OK;
}

bt_status bt_conf_visit_keys(const char *experiment,
                             bt_status (*visit)(void *context, const bt_conf_key_info *key,
                                                bt_error *err),
                             void *context, bt_error *err) {
    const bt_conf_args args = {.experiment = experiment};
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    key_walk           walk = {.visit = visit, .context = context, .err = err};
    bt_status          rc = BT_OK;
    BT_CHECK(bt_conf_build(&args, &walk.conf, &errors, err));
    BT_CHECK(walk_section(&walk, walk.conf->root, ""));
done:
    bt_conf_free(walk.conf);
    bt_conf_errors_deinit(&errors);
    return rc;
}

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bt_status put_type(const bt_conf_key_info *key, bt_str *out, bt_error *err) {
    const bool is_null = strcmp(key->default_text, "null") == 0;
    if (key->choices != NULL) {
        BT_TRY(bt_str_appendf(out, err, " One of %s", key->choices));
    } else {
        BT_TRY(bt_str_appendf(out, err, " %c%s%s%s", upper(key->type[0]), key->type + 1,
                              key->range == NULL ? "" : " ", key->range == NULL ? "" : key->range));
    }
    return bt_str_appendf(out, err, "%s; default %s%s.",
                          key->may_be_null && !is_null ? " or null" : "", key->default_text,
                          key->is_ours ? "; bert-train only, not in Model Garden" : "");
}

bt_status bt_conf_append_key(const bt_conf_key_info *key, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s%s\n    %c%s.", key->path, key->is_section ? ":" : "",
                          upper(key->doc[0]), key->doc + 1));
    if (!key->is_section) {
        BT_TRY(put_type(key, out, err));
    }
    if (key->why_not != NULL) {
        BT_TRY(bt_str_appendf(out, err, " %s: %s%s.", key->is_refused ? "Refused" : "No effect",
                              key->why_not, key->is_quiet ? ", and nothing is lost by it" : ""));
    }
    return bt_str_append_char(out, '\n', err);
}

static bt_status append_key(void *context, const bt_conf_key_info *key, bt_error *err) {
    return bt_conf_append_key(key, context, err);
}

bt_status bt_conf_help(const char *experiment, bt_str *out, bt_error *err) {
    const conf_experiment_def *const def = conf_experiment_find(experiment);
    if (def != NULL) { /* else what is visited says that it is unknown */
        BT_TRY(bt_str_appendf(out, err, "%s: %s\n\n", experiment, def->doc));
    }
    return bt_conf_visit_keys(experiment, append_key, out, err);
}
