/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of the configuration as the short flags set them: what the user wrote wins over what follows
 * from a flag, and is refused where it contradicts the flag itself. */
#include <stdio.h>
#include <string.h>

#include "bert_train_short.h"
#include "bt/base/json_text.h"
#include "bt/base/number.h"

const char *short_flag(const short_run *run, const char *name) {
    const char *const text = bt_flags_string(run->flags, name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* Is that a place in params.yaml, or in params_ours.yaml beside it? */
static bool is_of_params(const char *from, const char *params) {
    const size_t n_folder = strlen(params) - strlen(BT_CONF_PARAMS_NAME);
    return bt_str_starts_with(from, params) ||
           (strncmp(from, params, n_folder) == 0 &&
            bt_str_starts_with(from + n_folder, BT_CONF_OURS_NAME ":"));
}

bool short_is_written(const short_run *run, const char *path) {
    char              origin[BT_CONF_ORIGIN_MAX];
    const char *const from = bt_conf_origin(run->conf, path, origin);
    return !bt_str_equal(from, "default") &&
           !(run->params != NULL && is_of_params(from, run->params));
}

/* path: value, a text of YAML. */
bt_status short_set(const short_run *run, const char *path, const char *value, const char *origin,
                    bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    yaml = BT_STR_INIT;
    size_t    depth = 1;
    BT_CHECK(bt_str_append(&yaml, "{", err));
    for (const char *at = path;;) {
        const size_t n = strcspn(at, ".");
        BT_CHECK(bt_str_append_n(&yaml, at, n, err));
        BT_CHECK(bt_str_append(&yaml, at[n] != '\0' ? ": {" : ": ", err));
        if (at[n] == '\0') {
            break;
        }
        depth++;
        at += n + 1;
    }
    BT_CHECK(bt_str_append(&yaml, value, err));
    for (size_t i = 0; i < depth; i++) {
        BT_CHECK(bt_str_append(&yaml, "}", err));
    }
    rc = bt_conf_set(run->conf, bt_str_text(&yaml), origin, run->errors, err);
done:
    bt_str_deinit(&yaml);
    return rc;
}

/* Unless the user wrote the key. */
bt_status short_decide(short_run *run, const char *path, const char *value, const char *origin,
                       bt_error *err) {
    if (!bt_conf_has(run->conf, path) || short_is_written(run, path)) {
        return BT_OK;
    }
    BT_TRY(short_set(run, path, value, origin, err));
    return bt_str_appendf(&run->told, err, "%s%s=%s", run->told.len > 0 ? ", " : "", path, value);
}

static bool is_number_key(const bt_conf *conf, const char *path) {
    int64_t ignored = 0;
    return bt_conf_get_i64(conf, path, &ignored, NULL) == BT_OK;
}

static bool has_items(const bt_conf *conf, const char *path, const char *const *items, size_t n) {
    bt_conf_str_list list = {0};
    bool             same = bt_conf_get_str_list(conf, path, &list, NULL) == BT_OK;
    if (is_number_key(conf, path)) {
        int64_t written = 0;
        int64_t number = 0;
        return n == 1 && bt_parse_i64(items[0], &number) &&
               bt_conf_get_i64(conf, path, &written, NULL) == BT_OK && written == number;
    }
    if (!same) { /* a key of one text */
        const char *text = NULL;
        same = bt_conf_get_str(conf, path, &text, NULL) == BT_OK;
        return same && n == 1 && bt_str_equal(text, items[0]);
    }
    same = list.n == n;
    for (size_t i = 0; same && i < n; i++) {
        same = bt_str_equal(list.items[i], items[i]);
    }
    return same;
}

/* What the flag says into the key; what the user wrote there must be the same. */
bt_status short_put(const short_run *run, const char *flag, const char *path,
                    const char *const *items, size_t n, bool is_list, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    value = BT_STR_INIT;
    char      origin[BT_CONF_ORIGIN_MAX];
    if (!bt_conf_has(run->conf, path)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "--%s: experiment %s has no key %s", flag,
                     bt_conf_experiment_name(run->conf), path);
        goto done;
    }
    if (short_is_written(run, path) && !has_items(run->conf, path, items, n)) {
        rc = BT_FAIL(err, BT_E_CONFIG, "--%s=%s contradicts %s (%s): leave one of them out", flag,
                     bt_flags_string(run->flags, flag), path,
                     bt_conf_origin(run->conf, path, origin));
        goto done;
    }
    BT_CHECK(bt_str_append(&value, is_list ? "[" : "", err));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_str_append(&value, i > 0 ? ", " : "", err));
        BT_CHECK(is_number_key(run->conf, path) ? bt_str_append(&value, items[i], err)
                                                : bt_str_append_json(&value, items[i], err));
    }
    BT_CHECK(bt_str_append(&value, is_list ? "]" : "", err));
    (void)snprintf(origin, sizeof origin, "--%s", short_flag(run, flag) != NULL ? flag : "train");
    rc = short_set(run, path, bt_str_text(&value), origin, err);
done:
    bt_str_deinit(&value);
    return rc;
}

bt_status short_put_path(const short_run *run, const char *flag, const char *path, bt_error *err) {
    const char *const text = short_flag(run, flag);
    return text != NULL ? short_put(run, flag, path, &text, 1, false, err) : BT_OK;
}

bt_status short_decide_text(short_run *run, const char *path, const char *text, const char *origin,
                            bt_error *err) {
    bt_str    value = BT_STR_INIT;
    bt_status rc = bt_str_append_json(&value, text, err);
    if (rc == BT_OK) {
        rc = short_decide(run, path, bt_str_text(&value), origin, err);
    }
    bt_str_deinit(&value);
    return rc;
}

bt_status short_decide_both(short_run *run, const char *key, const char *value, const char *origin,
                            bt_error *err) {
    static const char *const sections[] = {TRAIN, VALIDATION};
    for (size_t i = 0; i < BT_ARRAY_LEN(sections); i++) {
        char path[PATH_MAX_BYTES];
        (void)snprintf(path, sizeof path, "%s.%s", sections[i], key);
        BT_TRY(short_decide(run, path, value, origin, err));
    }
    return BT_OK;
}
