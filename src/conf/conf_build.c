/* SPDX-License-Identifier: Apache-2.0
 *
 * From arguments to a checked conf: docs/model_garden/config.md sections 1.2 (steps 3 and 4)
 * and 4.1. Each source is merged even when an earlier one had problems, so that all of them come
 * out at once. */
#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "conf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bt_status conf_add_source(bt_conf *conf, conf_source_kind kind, const char *label, int32_t *index,
                          bt_error *err) {
    char *copy = conf_strndup(conf, label, strlen(label));
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    BT_TRY(bt_grow(&conf->sources, &conf->cap_sources, conf->n_sources + 1, sizeof(conf_source),
                   INT32_MAX / 64, err));
    conf->sources[conf->n_sources] = (conf_source){.kind = kind, .label = copy};
    *index = (int32_t)conf->n_sources++;
    return BT_OK;
}

/* What a flag gave is CSV, else YAML, else the name of a file. */
static bt_status merge_text(const conf_merge *merge, const char *flag, const char *text) {
    bt_str     converted = BT_STR_INIT;
    bt_error   csv_err = BT_ERROR_INIT;
    bt_error   yaml_err = BT_ERROR_INIT;
    conf_value value;
    int32_t    index = 0;
    bt_status  rc = BT_OK;
    if (text == NULL || text[0] == '\0') {
        return BT_OK;
    }
    BT_CHECK(conf_add_source(merge->conf, SOURCE_INLINE, flag, &index, merge->err));
    conf_source *source = &merge->conf->sources[index];
    rc = conf_csv_convert(merge->conf, text, &converted, source, &csv_err);
    if (rc == BT_E_NOMEM) {
        rc = BT_FAIL(merge->err, rc, "%s", csv_err.msg);
        goto done;
    }
    const bool is_csv = rc == BT_OK;
    source->kind = is_csv ? SOURCE_CSV : SOURCE_INLINE;
    const char *yaml = is_csv ? bt_str_text(&converted) : text;
    rc = conf_yaml_load(merge->conf, yaml, strlen(yaml), index, &value, &yaml_err);
    if (rc == BT_E_NOMEM) {
        rc = BT_FAIL(merge->err, rc, "%s", yaml_err.msg);
    } else if (rc != BT_OK) {
        char what[BT_ERROR_MSG_MAX];
        if (is_csv) {
            (void)snprintf(what, sizeof(what), "a value is not YAML (%.400s); put it in quotes",
                           yaml_err.msg);
        } else {
            (void)snprintf(what, sizeof(what), "neither a.b=value (%.300s) nor YAML (%.300s)",
                           csv_err.msg, yaml_err.msg);
        }
        rc = conf_report_source(merge, flag, text, what);
    } else if (value.kind == K_MAP) {
        rc = conf_merge_map(merge, merge->conf->root, &value, "");
    } else {
        rc = conf_merge_file(merge, flag, text, csv_err.msg);
    }
done:
    bt_str_deinit(&converted);
    return rc;
}

/* Sets one string of a section below root.path; a null section is made again, as a merge does. */
static bt_status set_string(const conf_merge *merge, const char *const *path, size_t n,
                            int32_t source, const char *text) {
    conf_pair  pairs[4];
    conf_value value = {.kind = K_NULL, .source = source};
    if (text != NULL) {
        value.kind = K_STR;
        value.u.s.text = conf_strndup(merge->conf, text, strlen(text));
        value.u.s.len = strlen(text);
        if (value.u.s.text == NULL) {
            return BT_FAIL(merge->err, BT_E_NOMEM, "out of memory for a configuration");
        }
    }
    for (size_t i = n; i > 0; i--) {
        conf_pair *pair = &pairs[i - 1];
        *pair = (conf_pair){.key = {.kind = K_STR, .source = source}, .value = value};
        pair->key.u.s.text = path[i - 1];
        pair->key.u.s.len = strlen(path[i - 1]);
        value = (conf_value){.kind = K_MAP, .source = source};
        value.u.map.items = pair;
        value.u.map.n = 1;
    }
    return conf_merge_map(merge, merge->conf->root, &value, "");
}

static bt_status apply_tpu(const conf_merge *merge, const char *tpu) {
    static const char *const path[] = {"runtime", "tpu"};
    int32_t                  source = 0;
    if (tpu != NULL) {
        BT_TRY(conf_add_source(merge->conf, SOURCE_FLAG, "--tpu", &source, merge->err));
    }
    return set_string(merge, path, BT_ARRAY_LEN(path), source, tpu);
}

static bt_status apply_tf_data_service(const conf_merge *merge, const char *address) {
    static const char *const train[] = {"task", "train_data", "tf_data_service_address"};
    static const char *const validation[] = {"task", "validation_data", "tf_data_service_address"};
    int32_t                  source = 0;
    if (address == NULL || address[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(conf_add_source(merge->conf, SOURCE_FLAG, "--tf_data_service", &source, merge->err));
    BT_TRY(set_string(merge, train, BT_ARRAY_LEN(train), source, address));
    return set_string(merge, validation, BT_ARRAY_LEN(validation), source, address);
}

static bt_status flatten_list(bt_conf *conf, conf_type type, conf_value *value, bt_error *err) {
    const size_t n = value->u.list.n;
    const char **texts = NULL;
    int64_t     *ints = NULL;
    double      *floats = NULL;
    const bool   is_text = type == T_STR_LIST || type == T_PATHS;
    void        *flat = conf_alloc(conf, n, 8);
    if (flat == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a list");
    }
    texts = flat;
    ints = flat;
    floats = flat;
    for (size_t i = 0; i < n; i++) {
        const conf_value *item = &value->u.list.items[i];
        if (is_text) {
            texts[i] = item->u.s.text;
        } else if (type == T_INT_LIST) {
            ints[i] = item->kind == K_INT ? item->u.i : (int64_t)item->u.f;
        } else if (item->kind == K_BIGINT) {
            floats[i] = 0;
            (void)!bt_parse_f64(item->u.s.text, &floats[i]);
        } else {
            floats[i] = item->kind == K_INT ? (double)item->u.i : item->u.f;
        }
    }
    value->u.list.flat = flat;
    return BT_OK;
}

/* After all checks: every list of leaves has the type of its key. */
static bt_status flatten_object(bt_conf *conf, conf_object *object, bt_error *err) {
    for (size_t i = 0; i < object->n_slots; i++) {
        const conf_type type = object->slots[i].key->type;
        conf_value     *value = &object->slots[i].value;
        if (value->kind == K_OBJECT) {
            BT_TRY(flatten_object(conf, value->u.object, err));
        } else if (type == T_SECTIONS) {
            for (size_t k = 0; k < value->u.list.n; k++) {
                BT_TRY(flatten_object(conf, value->u.list.items[k].u.object, err));
            }
        } else if (value->kind == K_LIST || value->kind == K_TUPLE) {
            BT_TRY(flatten_list(conf, type, value, err));
        }
    }
    return BT_OK;
}

static bt_status replace_section(bt_conf *conf, conf_object *parent, const char *name,
                                 const conf_class *cls, conf_object **out, bt_error *err) {
    conf_slot   *slot = conf_find_slot(parent, name, strlen(name));
    conf_object *object = NULL;
    BT_TRY(conf_create_object(conf, cls, &object, err));
    slot->value = (conf_value){.kind = K_OBJECT, .u.object = object};
    if (out != NULL) {
        *out = object;
    }
    return BT_OK;
}

static bt_status make_defaults(const conf_merge *merge, const conf_experiment_def *def) {
    bt_conf     *conf = merge->conf;
    conf_object *task = NULL;
    conf_value   value;
    int32_t      source = 0;
    BT_TRY(conf_add_source(conf, SOURCE_DEFAULT, "default", &source, merge->err));
    BT_TRY(conf_create_object(conf, &conf_class_experiment, &conf->root, merge->err));
    BT_TRY(replace_section(conf, conf->root, "task", def->task, &task, merge->err));
    BT_TRY(replace_section(conf, task, "train_data", def->train_data, NULL, merge->err));
    BT_TRY(replace_section(conf, task, "validation_data", def->validation_data, NULL, merge->err));
    BT_TRY(conf_yaml_load(conf, def->defaults, strlen(def->defaults), source, &value, merge->err));
    BT_TRY(conf_merge_map(merge, conf->root, &value, ""));
    BT_ASSERT(merge->errors->n_errors == 0 || merge->errors->n > 0);
    return conf_copy_object(conf, conf->root, &conf->defaults, merge->err);
}

static bt_status report_experiment(const char *name, bt_conf_errors *errors, bt_error *err) {
    const char *names[32];
    size_t      n = 0;
    const char *kind = conf_experiment_refusal(name);
    if (kind != NULL) {
        return bt_conf_errors_add(errors, BT_CONF_ERROR, "", err,
                                  "--experiment=%s: this is %s of Model Garden's; bert-train "
                                  "trains the bert/ experiments only",
                                  name, kind);
    }
    for (; n < conf_n_experiments && n < BT_ARRAY_LEN(names); n++) {
        names[n] = conf_experiments[n].name;
    }
    const char *near = bt_conf_nearest(name, names, n);
    return bt_conf_errors_add(
        errors, BT_CONF_ERROR, "", err, "--experiment=%.100s: there is no such experiment%s%s%s",
        name, near == NULL ? "; --list_experiments prints them" : "; did you mean '",
        near == NULL ? "" : near, near == NULL ? "" : "'?");
}

/* BT_E_CONFIG with a summary when problems were found. */
static bt_status judge(const bt_conf_errors *errors, size_t n_before, bt_error *err) {
    const size_t n = errors->n_errors - n_before;
    if (n == 0) {
        return BT_OK;
    }
    for (size_t i = errors->n; i > 0; i--) {
        /* the first new one: n_before errors stand before it */
        size_t seen = 0;
        for (size_t k = 0; k < i; k++) {
            seen += errors->items[k].severity == BT_CONF_ERROR;
        }
        if (seen == n_before + 1 && errors->items[i - 1].severity == BT_CONF_ERROR) {
            return n == 1 ? BT_FAIL(err, BT_E_CONFIG, "%s", errors->items[i - 1].text)
                          : BT_FAIL(err, BT_E_CONFIG, "%zu problems, the first: %s", n,
                                    errors->items[i - 1].text);
        }
    }
    return BT_FAIL(err, BT_E_CONFIG, "%zu problems in the configuration", n);
}

static bt_status build(const conf_merge *merge, const bt_conf_args *args) {
    BT_TRY(make_defaults(merge, merge->conf->experiment));
    for (size_t i = 0; i < args->n_config_files; i++) {
        BT_TRY(merge_text(merge, "--config_file", args->config_files[i]));
    }
    BT_TRY(apply_tpu(merge, args->tpu));
    BT_TRY(apply_tf_data_service(merge, args->tf_data_service));
    BT_TRY(merge_text(merge, "--params_override", args->params_override));
    return conf_check_tree(merge);
}

static bt_status create_conf(const conf_experiment_def *def, bt_conf **out, bt_error *err) {
    bt_conf *conf = bt_calloc_array(1, sizeof(*conf));
    if (conf == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a configuration");
    }
    const bt_status rc = bt_arena_init(&conf->arena, 256 << 10, err);
    if (rc != BT_OK) {
        bt_free(conf);
        return rc;
    }
    conf->experiment = def;
    *out = conf;
    return BT_OK;
}

bt_status bt_conf_build(const bt_conf_args *args, bt_conf **out, bt_conf_errors *errors,
                        bt_error *err) {
    const size_t               n_before = errors->n_errors;
    const char                *name = args->experiment == NULL ? "" : args->experiment;
    const conf_experiment_def *def = conf_experiment_find(name);
    bt_conf                   *conf = NULL;
    bt_status                  rc = BT_OK;
    if (def == NULL) {
        BT_TRY(report_experiment(name, errors, err));
        return judge(errors, n_before, err);
    }
    BT_TRY(create_conf(def, &conf, err));
    const conf_merge merge = {.conf = conf, .errors = errors, .err = err};
    BT_CHECK(build(&merge, args));
    BT_CHECK(judge(errors, n_before, err));
    BT_CHECK(conf_expand_paths(conf, err));
    BT_CHECK(flatten_object(conf, conf->root, err));
    *out = conf;
    conf = NULL;
done:
    bt_conf_free(conf);
    return rc;
}

void bt_conf_free(bt_conf *conf) {
    if (conf != NULL) {
        bt_free(conf->sources);
        bt_arena_deinit(&conf->arena);
        bt_free(conf);
    }
}

bt_status bt_conf_set(bt_conf *conf, const char *override, const char *origin,
                      bt_conf_errors *errors, bt_error *err) {
    const size_t     n_before = errors->n_errors;
    conf_object     *old = conf->root;
    const conf_merge merge = {.conf = conf, .errors = errors, .err = err};
    bt_status        rc = BT_OK;
    BT_TRY(conf_copy_object(conf, old, &conf->root, err));
    BT_CHECK(merge_text(&merge, origin, override));
    BT_CHECK(conf_check_tree(&merge));
    BT_CHECK(judge(errors, n_before, err));
    BT_CHECK(conf_expand_paths(conf, err));
    BT_CHECK(flatten_object(conf, conf->root, err));
done:
    if (rc != BT_OK) {
        conf->root = old;
    }
    return rc;
}
