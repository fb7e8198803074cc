/* SPDX-License-Identifier: Apache-2.0
 *
 * What flags of bert-train may be given, for whoever types them: experiments, files that are built
 * in, keys of overrides. */
#include <stdio.h>
#include <string.h>

#include "bert_train.h"
#include "bt/base/str.h"

bt_status values_of_experiment(bt_cli_words *words, bt_error *err) {
    for (size_t i = 0; i < bt_conf_n_experiments(); i++) {
        const bt_conf_experiment *const e = bt_conf_experiment_at(i);
        BT_TRY(bt_cli_offer(words, e->name, e->doc, err));
    }
    return BT_OK;
}

bt_status values_of_config(bt_cli_words *words, bt_error *err) {
    bt_cli_offer_files(words);
    for (size_t i = 0; i < bt_conf_n_builtins(); i++) {
        const bt_conf_builtin c = bt_conf_builtin_at(i);
        const char *const     slash = strrchr(c.name, '/');
        char                  doc[128];
        (void)snprintf(doc, sizeof doc, "%.*s", (int)c.doc_len, c.doc);
        BT_TRY(bt_cli_offer(words, c.name, doc, err));
        BT_TRY(slash != NULL ? bt_cli_offer(words, slash + 1, doc, err) : BT_OK);
    }
    return BT_OK;
}

typedef struct key_search {
    bt_cli_words *words;
    const char   *before; /* overrides that are typed already */
    int           n_before;
    const char   *typed; /* of the last one: a key, or key=value */
    const char   *end;   /* behind a key that is a leaf */
    char          last[512];
} key_search;

static bt_status offer_part(key_search *s, const char *text, size_t n, const char *end,
                            const char *doc, bt_error *err) {
    char whole[1024];
    (void)snprintf(whole, sizeof whole, "%.*s%.*s%s", s->n_before, s->before, (int)n, text, end);
    if (bt_str_equal(whole, s->last)) { /* keys of a section stand together */
        return BT_OK;
    }
    (void)snprintf(s->last, sizeof s->last, "%s", whole);
    return bt_cli_offer(s->words, whole, doc, err);
}

/* Keys one section at a time; the value of one that is whole. */
static bt_status offer_key(void *context, const bt_conf_key_info *key, bt_error *err) {
    key_search *const s = context;
    const size_t      n = strlen(s->typed);
    const char *const equals = strchr(s->typed, '=');
    const size_t      n_key = equals != NULL ? (size_t)(equals - s->typed) : n;
    if (strncmp(key->path, s->typed, n_key) != 0) {
        return BT_OK;
    }
    if (equals == NULL) {
        const size_t to = n + strcspn(key->path + n, ".");
        return key->path[to] == '.' || key->is_section
                   ? offer_part(s, key->path, to, ".", NULL, err)
                   : offer_part(s, key->path, to, s->end, key->doc, err);
    }
    if (key->path[n_key] != '\0' || key->is_section) {
        return BT_OK;
    }
    const char *const choices = key->choices != NULL                       ? key->choices
                                : bt_str_equal(key->type, "true or false") ? "true|false"
                                                                           : "";
    for (const char *at = choices; *at != '\0';) {
        char         value[256];
        const size_t length = strcspn(at, "|");
        (void)snprintf(value, sizeof value, "%s=%.*s", key->path, (int)length, at);
        BT_TRY(offer_part(s, value, strlen(value), "", NULL, err));
        at += length + (at[length] == '|' ? 1 : 0);
    }
    return BT_OK;
}

static bt_status offer_keys(bt_cli_words *words, key_search *s, bt_error *err) {
    const char *const experiment = bt_cli_other_value(words, "experiment");
    bt_error          unknown = BT_ERROR_INIT; /* one that is not there offers nothing */
    s->words = words;
    if (experiment != NULL) {
        const bt_status rc = bt_conf_visit_keys(experiment, offer_key, s, &unknown);
        return rc == BT_E_CONFIG ? BT_OK : rc;
    }
    (void)err;
    return bt_conf_visit_keys("bert/sentence_prediction_text", offer_key, s, &unknown);
}

bt_status values_of_override(bt_cli_words *words, bt_error *err) {
    const char *const typed = bt_cli_typed(words);
    int               depth = 0;
    key_search        s = {.before = typed, .typed = typed, .end = "="};
    for (const char *at = typed; *at != '\0'; at++) { /* commas of a list are its own */
        depth += *at == '[' ? 1 : *at == ']' ? -1 : 0;
        s.typed = *at == ',' && depth == 0 ? at + 1 : s.typed;
    }
    s.n_before = (int)(s.typed - typed);
    return offer_keys(words, &s, err);
}

bt_status values_of_key(bt_cli_words *words, bt_error *err) {
    key_search s = {.before = "", .typed = bt_cli_typed(words), .end = ""};
    return strchr(s.typed, '=') != NULL ? BT_OK : offer_keys(words, &s, err);
}
