/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train config help: a key by its whole name or its last parts, in all experiments that have
 * it. What they say alike is said once. */
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/map.h"
#include "bt/base/str.h"
#include "command_config.h"

enum { MAX_GROUPS = 256, MAX_NAMES = 8192 };

/* What some experiments say of a key. */
typedef struct help_group {
    bt_str text;        /* as it is printed, of JSON without its end */
    bt_str experiments; /* "bert/a, bert/b" */
} help_group;

typedef struct config_search {
    const char   *key; /* pattern */
    config_format format;
    const char   *experiment; /* that is looked at */
    help_group    groups[MAX_GROUPS];
    size_t        n;
    char         *names[MAX_NAMES]; /* of all keys: one of them may be meant */
    size_t        n_names;
} config_search;

/* "cls_heads.0.name" is "cls_heads.N.name" here. */
static void number_to_n(const char *key, char *out, size_t cap) {
    size_t n = 0;
    for (const char *at = key; *at != '\0' && n + 1 < cap; at++) {
        const bool begins = at == key || at[-1] == '.';
        size_t     digits = 0;
        while (begins && isdigit((unsigned char)at[digits]) != 0) {
            digits++;
        }
        const bool is_number = digits > 0 && (at[digits] == '.' || at[digits] == '\0');
        out[n++] = is_number ? 'N' : *at;
        at += is_number ? digits - 1 : 0;
    }
    out[n] = '\0';
}

static bool is_called(const char *path, const char *key) {
    char pattern[BT_CONF_PATH_MAX];
    char end[BT_CONF_PATH_MAX];
    number_to_n(key, pattern, sizeof pattern);
    (void)snprintf(end, sizeof end, "*.%s", pattern);
    return fnmatch(pattern, path, 0) == 0 || fnmatch(end, path, 0) == 0;
}

static bt_status append_json(const bt_conf_key_info *key, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append_char(out, '{', err));
    BT_TRY(config_append_member(out, "key", key->path, err));
    BT_TRY(config_append_member(out, "type", key->type, err));
    if (!key->is_section) {
        BT_TRY(config_append_member(out, "default", key->default_text, err));
    }
    if (key->choices != NULL) {
        BT_TRY(config_append_member(out, "one_of", key->choices, err));
    }
    if (key->range != NULL) {
        BT_TRY(config_append_member(out, "range", key->range, err));
    }
    BT_TRY(bt_str_appendf(out, err, ", \"may_be_null\": %s", key->may_be_null ? "true" : "false"));
    BT_TRY(config_append_member(out, "meaning", key->doc, err));
    BT_TRY(config_append_member(out, "effect",
                                key->why_not == NULL ? "acts"
                                : key->is_refused    ? "refused"
                                                     : "ignored",
                                err));
    if (key->why_not != NULL) {
        BT_TRY(config_append_member(out, "why", key->why_not, err));
    }
    return config_append_member(out, "of", key->is_ours ? "bert-train" : "Model Garden", err);
}

static bt_status add_group(config_search *search, bt_str *text, bt_error *err) {
    size_t i = 0;
    while (i < search->n &&
           !bt_str_equal(bt_str_text(&search->groups[i].text), bt_str_text(text))) {
        i++;
    }
    if (i == MAX_GROUPS) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: more than %d keys are called so: name one of them",
                       search->key, MAX_GROUPS);
    }
    help_group *const group = &search->groups[i];
    if (i == search->n) {
        *group = (help_group){.text = *text, .experiments = BT_STR_INIT};
        *text = (bt_str)BT_STR_INIT;
        search->n++;
    }
    return bt_str_appendf(&group->experiments, err, "%s%s", group->experiments.len > 0 ? ", " : "",
                          search->experiment);
}

static bt_status add_name(config_search *search, const char *name, bt_error *err) {
    if (search->n_names == MAX_NAMES) {
        return BT_OK; /* enough to name one that is near */
    }
    search->names[search->n_names] = bt_strdup(name);
    return search->names[search->n_names++] != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of keys");
}

static bt_status look_at(void *context, const bt_conf_key_info *key, bt_error *err) {
    config_search *const search = context;
    const char *const    point = strrchr(key->path, '.');
    bt_str               text = BT_STR_INIT;
    bt_status            rc = BT_OK;
    if (!is_called(key->path, search->key)) {
        BT_TRY(add_name(search, point != NULL ? point + 1 : key->path, err));
        return add_name(search, key->path, err);
    }
    BT_CHECK(search->format == CONFIG_TEXT ? bt_conf_append_key(key, &text, err)
                                           : append_json(key, &text, err));
    BT_CHECK(add_group(search, &text, err));
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status search_all(config_search *search, const char *experiment, bt_error *err) {
    if (experiment != NULL) {
        search->experiment = experiment;
        return bt_conf_visit_keys(experiment, look_at, search, err);
    }
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        search->experiment = bt_conf_experiment_at(i)->name;
        BT_TRY(bt_conf_visit_keys(search->experiment, look_at, search, err));
    }
    return BT_OK;
}

static bt_status put_groups(const config_search *search, bt_str *out, bt_error *err) {
    bt_str    item = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < search->n; i++) {
        const help_group *const group = &search->groups[i];
        const char *const       experiments = bt_str_text(&group->experiments);
        bt_str_clear(&item);
        if (search->format == CONFIG_TEXT) {
            BT_CHECK(
                bt_str_appendf(out, err, "%s    Of %s.\n", bt_str_text(&group->text), experiments));
            continue;
        }
        BT_CHECK(bt_str_append(&item, bt_str_text(&group->text), err));
        BT_CHECK(config_append_member(&item, "experiments", experiments, err));
        BT_CHECK(bt_str_append_char(&item, '}', err));
        BT_CHECK(config_append_item(bt_str_text(&item), i, search->format, out, err));
    }
    BT_CHECK(config_end_list(search->n, search->format, out, err));
done:
    bt_str_deinit(&item);
    return rc;
}

static bt_status fail_unknown(const config_search *search, bt_error *err) {
    const char *const near =
        bt_conf_nearest(search->key, (const char *const *)search->names, search->n_names);
    return BT_FAIL(err, BT_E_CONFIG, "%.200s: there is no such key%s%s%s", search->key,
                   near != NULL ? "; did you mean " : "; --help_experiment=E lists all of them",
                   near != NULL ? near : "", near != NULL ? "?" : "");
}

static void search_deinit(config_search *search) {
    for (size_t i = 0; i < search->n; i++) {
        bt_str_deinit(&search->groups[i].text);
        bt_str_deinit(&search->groups[i].experiments);
    }
    for (size_t i = 0; i < search->n_names; i++) {
        bt_free(search->names[i]);
    }
}

bt_status config_help(const char *key, const char *experiment, config_format format, bt_str *out,
                      bt_error *err) {
    static config_search search; /* large, and there is one */
    char                 alias[BT_CONF_ALIAS_MAX];
    bt_status            rc = BT_OK;
    search = (config_search){.key = key, .format = format};
    BT_CHECK(search_all(&search, experiment, err));
    if (search.n == 0 && bt_conf_alias(key, alias) != NULL) { /* of other programs */
        if (format == CONFIG_TEXT) {
            BT_CHECK(bt_str_appendf(out, err, "%s is called %s here\n", key, alias));
        }
        if (alias[0] == '-') {
            goto done;
        }
        search.key = alias;
        BT_CHECK(search_all(&search, experiment, err));
    }
    rc = search.n == 0 ? fail_unknown(&search, err) : put_groups(&search, out, err);
done:
    search_deinit(&search);
    return rc;
}
