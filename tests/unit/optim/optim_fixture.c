/* SPDX-License-Identifier: Apache-2.0
 *
 * See optim_fixture.h. */
#include "optim_fixture.h"
#include "bt/base/alloc.h"
#include "bt/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char class_defaults[] =
    "{\"learning_rate\": {\"type\": \"polynomial\", \"polynomial\": {\"end_learning_rate\": "
    "1.0e-4}},"
    " \"warmup\": {\"type\": null},"
    " \"optimizer\": {\"type\": \"adamw\", \"adamw\": {\"weight_decay_rate\": 0.0,"
    " \"exclude_from_weight_decay\": null}}}";

static char *wrap(const char *optimizer_config) {
    bt_str   text = BT_STR_INIT;
    bt_error err = BT_ERROR_INIT;
    assert_int_equal(
        bt_str_appendf(&text, &err, "{\"trainer\": {\"optimizer_config\": %s}}", optimizer_config),
        BT_OK);
    return bt_str_take(&text);
}

bt_conf *fixture_conf(const char *first, const char *second) {
    char        *texts[2] = {NULL, NULL};
    size_t       n = 0;
    bt_conf     *conf = NULL;
    bt_conf_args args = {.experiment = "bert/sentence_prediction"};
    if (first != NULL) {
        texts[n++] = wrap(first);
    }
    if (second != NULL) {
        texts[n++] = wrap(second);
    }
    args.config_files = (const char *const *)texts;
    args.n_config_files = n;
    bt_conf_errors errors = BT_CONF_ERRORS_INIT;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    bt_conf_errors_deinit(&errors);
    bt_free(texts[0]);
    bt_free(texts[1]);
    return conf;
}

bt_conf *fixture_conf_of(const json_t *optimizer_config) {
    json_t *const copy = json_deep_copy(optimizer_config);
    if (json_is_null(json_object_get(copy, "warmup"))) {
        assert_int_equal(json_object_del(copy, "warmup"), 0);
    }
    char *const    text = json_dumps(copy, 0);
    bt_conf *const conf = fixture_conf(class_defaults, text);
    free(text);
    json_decref(copy);
    return conf;
}

bt_optim *fixture_optim(const bt_conf *conf, const bt_param_table *table) {
    const bt_optim_derived      derived = {.train_steps = 0, .warmup_steps = 0};
    static const bt_param_table empty;
    bt_optim                   *optim = NULL;
    assert_ok(bt_optim_create(conf, &derived, table != NULL ? table : &empty, &optim, err));
    return optim;
}

static bool is_said(const bt_conf_errors *errors, const char *text) {
    for (size_t i = 0; i < errors->n; i++) {
        if (strstr(errors->items[i].text, text) != NULL) {
            return true;
        }
    }
    return false;
}

void fixture_refuses(const char *optimizer_config, const char *text) {
    static const char good[] =
        "{\"learning_rate\": {\"polynomial\": {\"initial_learning_rate\": 0.1, \"decay_steps\": "
        "10}}, \"warmup\": {\"polynomial\": {\"warmup_steps\": 2}}}";
    const bt_optim_derived derived = {.train_steps = 100, .warmup_steps = 0};
    bt_param_table         table = {0};
    bt_conf *const         conf = fixture_conf(good, optimizer_config);
    bt_conf_errors         errors = BT_CONF_ERRORS_INIT;
    bt_optim              *optim = NULL;
    bt_error               unused = BT_ERROR_INIT;
    const bt_conf_check    check = {
           .conf = conf, .mode = BT_CONF_MODE_TRAIN, .errors = &errors, .err = &unused};
    assert_ok(bt_conf_check_refused(conf, &errors, err));
    assert_ok(bt_optim_check(&check));
    if (errors.n == 0) {
        assert_fails(bt_optim_create(conf, &derived, &table, &optim, err), BT_E_CONFIG, text);
        assert_null(optim);
    } else if (!is_said(&errors, text)) {
        fail_msg("%s: '%s', not '%s'", optimizer_config, errors.items[0].text, text);
    }
    bt_conf_errors_deinit(&errors);
    bt_conf_free(conf);
}

void fixture_add_param(bt_param_table *table, const char *name, int32_t rank, const int64_t *dim,
                       bool has_gradient) {
    bt_param param = {
        .name = name,
        .tf_name = name,
        .rank = rank,
        .has_gradient = has_gradient,
        .is_word_embedding = strcmp(name, "word_embeddings/embeddings") == 0,
    };
    int64_t index = 0;
    memcpy(param.dim, dim, (size_t)rank * sizeof *dim);
    assert_ok(bt_param_table_add(table, &param, &index, err));
}
