/* SPDX-License-Identifier: Apache-2.0
 *
 * See tfds_set.h: finding the folder, and the two JSON files in it. */
#include "tfds_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/str.h"
#include "bt/fs.h"

static const size_t json_max_bytes = (size_t)64 << 20;
static const char   default_template[] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}";

enum { VERSION_PARTS = 3, MAX_SHARDS = 100000 };

bt_status tfds_default_folder(char **folder, bt_error *err) {
    const char *const set = getenv("TFDS_DATA_DIR");
    const char *const home = getenv("HOME");
    if (set != NULL && *set != '\0') {
        *folder = bt_strdup(set);
        return *folder == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for '%s'", set) : BT_OK;
    }
    return bt_fs_join(home == NULL ? "." : home, "tensorflow_datasets", folder, err);
}

/* "~/x" as TFDS understands it. */
static bt_status expand_home(const char *path, char **out, bt_error *err) {
    const char *const home = getenv("HOME");
    if (bt_str_starts_with(path, "~/") && home != NULL) {
        return bt_fs_join(home, path + 2, out, err);
    }
    *out = bt_strdup(path);
    return *out == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for '%s'", path) : BT_OK;
}

/* "1.0.2" -> its numbers. A pattern may have * (-1) for a number. */
static bool parse_version(const char *text, bool is_pattern, int64_t numbers[VERSION_PARTS]) {
    for (int i = 0; i < VERSION_PARTS; i++) {
        char         digits[16];
        const size_t n = strcspn(text, ".");
        if (n == 0 || n >= sizeof digits || (i < VERSION_PARTS - 1) != (text[n] == '.')) {
            return false;
        }
        memcpy(digits, text, n);
        digits[n] = '\0';
        numbers[i] = -1;
        if (!(is_pattern && bt_str_equal(digits, "*")) &&
            (!bt_parse_i64(digits, &numbers[i]) || numbers[i] < 0)) {
            return false;
        }
        text += n + (text[n] == '.' ? 1 : 0);
    }
    return *text == '\0';
}

static bool is_newer(const int64_t a[VERSION_PARTS], const int64_t b[VERSION_PARTS]) {
    for (int i = 0; i < VERSION_PARTS; i++) {
        if (a[i] != b[i]) {
            return a[i] > b[i];
        }
    }
    return false;
}

static bool matches(const int64_t version[VERSION_PARTS], const int64_t pattern[VERSION_PARTS]) {
    for (int i = 0; i < VERSION_PARTS; i++) {
        if (pattern[i] >= 0 && pattern[i] != version[i]) {
            return false;
        }
    }
    return true;
}

/* The newest version in folder that fits the pattern, as a new path; NULL: there is none. */
static bt_status find_version(const char *folder, const int64_t pattern[VERSION_PARTS], char **path,
                              bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    const char *best = NULL;
    int64_t     best_version[VERSION_PARTS] = {-1, -1, -1};
    *path = NULL;
    if (!bt_fs_exists(folder)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        int64_t version[VERSION_PARTS];
        if (parse_version(names.items[i], false, version) && matches(version, pattern) &&
            is_newer(version, best_version)) {
            best = names.items[i];
            memcpy(best_version, version, sizeof version);
        }
    }
    const bt_status rc = best == NULL ? BT_OK : bt_fs_join(folder, best, path, err);
    bt_fs_names_deinit(&names);
    return rc;
}

/* A set that was named without its configuration: the only one below folder, if there is one. */
static bt_status find_only_config(const char *folder, const int64_t pattern[VERSION_PARTS],
                                  char **path, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_str      found = BT_STR_INIT;
    size_t      n_found = 0;
    if (!bt_fs_exists(folder)) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        char      *config = NULL;
        char      *version = NULL;
        bt_fs_info info = {0};
        rc = bt_fs_join(folder, names.items[i], &config, err);
        rc = rc == BT_OK ? bt_fs_stat(config, &info, err) : rc;
        if (rc == BT_OK && info.kind == BT_FS_FOLDER) {
            rc = find_version(config, pattern, &version, err);
        }
        bt_free(config);
        if (rc == BT_OK && version != NULL) {
            rc = bt_str_appendf(&found, err, "%s%s", n_found == 0 ? "" : ", ", names.items[i]);
            n_found++;
            bt_free(*path);
            *path = version;
        }
        BT_CHECK(rc);
    }
    if (n_found > 1) {
        bt_free(*path);
        *path = NULL;
        rc = BT_FAIL(err, BT_E_CONFIG, "%s holds several data sets: say which: %s/%s (%s)", folder,
                     bt_fs_basename(folder), "CONFIG", bt_str_text(&found));
    }
done:
    bt_fs_names_deinit(&names);
    bt_str_deinit(&found);
    return rc;
}

/* Splits "glue/cola:2.0.0" into path and version pattern. */
static bt_status parse_name(const char *text, char **path, int64_t pattern[VERSION_PARTS],
                            bt_error *err) {
    const char *const colon = strchr(text, ':');
    const size_t      n = colon == NULL ? strlen(text) : (size_t)(colon - text);
    for (int i = 0; i < VERSION_PARTS; i++) {
        pattern[i] = -1;
    }
    if (n == 0 || text[0] == '/' || strstr(text, "..") != NULL ||
        (colon != NULL && !parse_version(colon + 1, true, pattern))) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "'%s' is not a name of a data set: expected NAME, NAME/CONFIG or "
                       "NAME/CONFIG:VERSION, e.g. glue/cola:2.0.0",
                       text);
    }
    *path = bt_strndup(text, n);
    return *path == NULL ? BT_FAIL(err, BT_E_NOMEM, "out of memory for '%s'", text) : BT_OK;
}

static bt_status find_folder(const char *data_dir, const char *name, char **folder, bt_error *err) {
    bt_status rc = BT_OK;
    char     *root = NULL;
    char     *path = NULL;
    char     *place = NULL;
    int64_t   pattern[VERSION_PARTS];
    BT_CHECK(parse_name(name, &path, pattern, err));
    BT_CHECK(data_dir == NULL ? tfds_default_folder(&root, err)
                              : expand_home(data_dir, &root, err));
    BT_CHECK(bt_fs_join(root, path, &place, err));
    BT_CHECK(find_version(place, pattern, folder, err));
    if (*folder == NULL && strchr(path, '/') == NULL) {
        BT_CHECK(find_only_config(place, pattern, folder, err));
    }
    if (*folder == NULL) {
        rc = BT_FAIL(err, BT_E_IO,
                     "%s: TFDS has not prepared '%s' there (looked for %s/VERSION/"
                     "dataset_info.json); data_dir or $TFDS_DATA_DIR say where data sets are",
                     root, name, place);
    }
done:
    bt_free(root);
    bt_free(path);
    bt_free(place);
    return rc;
}

static bt_status load_json(const char *folder, const char *name, json_t **root, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_fs_join(folder, name, &path, err));
    bt_status rc = bt_fs_read_json(path, json_max_bytes, 0, root, err);
    if (rc == BT_OK && !json_is_object(*root)) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: not a JSON object", path);
        json_decref(*root);
        *root = NULL;
    }
    bt_free(path);
    return rc;
}

/* Protobuf's JSON writes 64-bit integers as texts. */
static bool read_count(const json_t *value, int64_t *out) {
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return *out >= 0;
    }
    return json_is_string(value) && bt_parse_i64(json_string_value(value), out) && *out >= 0;
}

static bt_status fail_info(const tfds_set *set, const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s/dataset_info.json: %s", set->folder, what);
}

static bt_status parse_split(const tfds_set *set, const json_t *value, tfds_split *split,
                             bt_error *err) {
    const char *const   name = json_string_value(json_object_get(value, "name"));
    const char *const   path = json_string_value(json_object_get(value, "filepathTemplate"));
    const json_t *const lengths = json_object_get(value, "shardLengths");
    const size_t        n = json_array_size(lengths);
    if (name == NULL || !json_is_array(lengths) || n > MAX_SHARDS) {
        return fail_info(set, "a split without name or shardLengths", err);
    }
    split->name = bt_strdup(name);
    split->path_template = bt_strdup(path == NULL || *path == '\0' ? default_template : path);
    split->shard_rows = bt_calloc_array(n, sizeof *split->shard_rows);
    if (split->name == NULL || split->path_template == NULL || split->shard_rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", set->folder);
    }
    split->n_shards = n;
    for (size_t i = 0; i < n; i++) {
        if (!read_count(json_array_get(lengths, i), &split->shard_rows[i])) {
            return fail_info(set, "shardLengths are not numbers of rows", err);
        }
    }
    return BT_OK;
}

static bt_status parse_info(tfds_set *set, const json_t *root, bt_error *err) {
    const char *const   name = json_string_value(json_object_get(root, "name"));
    const char *const   format = json_string_value(json_object_get(root, "fileFormat"));
    const json_t *const splits = json_object_get(root, "splits");
    if (name == NULL || !json_is_array(splits) || json_array_size(splits) == 0) {
        return fail_info(set, "no name or no splits", err);
    }
    if (format != NULL && !bt_str_equal(format, "tfrecord")) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s/dataset_info.json: fileFormat is '%s'; only sets prepared as tfrecord "
                       "can be read",
                       set->folder, format);
    }
    set->is_ordered = json_is_true(json_object_get(root, "disableShuffling"));
    set->name = bt_strdup(name);
    set->splits = bt_calloc_array(json_array_size(splits), sizeof *set->splits);
    if (set->name == NULL || set->splits == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "%s: out of memory", set->folder);
    }
    for (size_t i = 0; i < json_array_size(splits); i++) {
        set->n_splits++;
        BT_TRY(parse_split(set, json_array_get(splits, i), &set->splits[i], err));
    }
    return BT_OK;
}

bt_status tfds_open(tfds_set **out, const char *data_dir, const char *name, bt_error *err) {
    bt_status rc = BT_OK;
    json_t   *info = NULL;
    tfds_set *set = bt_calloc_array(1, sizeof *set);
    if (set == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for data set '%s'", name);
    }
    BT_CHECK(find_folder(data_dir, name, &set->folder, err));
    BT_CHECK(load_json(set->folder, "dataset_info.json", &info, err));
    BT_CHECK(parse_info(set, info, err));
    *out = set;
    set = NULL;
done:
    json_decref(info);
    tfds_close(set);
    return rc;
}

void tfds_close(tfds_set *set) {
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->n_splits; i++) {
        bt_free(set->splits[i].name);
        bt_free(set->splits[i].path_template);
        bt_free(set->splits[i].shard_rows);
    }
    bt_free(set->splits);
    bt_free(set->folder);
    bt_free(set->name);
    bt_free(set);
}

bt_status tfds_find_split(const tfds_set *set, const char *name, const tfds_split **split,
                          bt_error *err) {
    bt_str    list = BT_STR_INIT;
    bt_status rc = BT_OK;
    for (size_t i = 0; i < set->n_splits; i++) {
        if (bt_str_equal(set->splits[i].name, name)) {
            *split = &set->splits[i];
            goto done;
        }
        BT_CHECK(bt_str_appendf(&list, err, "%s%s", i == 0 ? "" : ", ", set->splits[i].name));
    }
    rc = BT_FAIL(err, BT_E_CONFIG, "%s: there is no split '%s'; there are: %s", set->folder, name,
                 bt_str_text(&list));
done:
    bt_str_deinit(&list);
    return rc;
}

bt_status tfds_shard_path(const tfds_set *set, const tfds_split *split, size_t shard, char **path,
                          bt_error *err) {
    char        index[32];
    char        count[32];
    char        both[64];
    bt_str      name = BT_STR_INIT;
    bt_status   rc = BT_OK;
    const char *at = split->path_template;
    (void)snprintf(index, sizeof index, "%05zu", shard);
    (void)snprintf(count, sizeof count, "%05zu", split->n_shards);
    (void)snprintf(both, sizeof both, "%s-of-%s", index, count);
    const char *const places[][2] = {
        {"{DATASET}", set->name}, {"{SPLIT}", split->name}, {"{FILEFORMAT}", "tfrecord"},
        {"{SHARD_INDEX}", index}, {"{NUM_SHARDS}", count},  {"{SHARD_X_OF_Y}", both},
    };
    while (*at != '\0') {
        size_t i = 0;
        while (i < BT_ARRAY_LEN(places) && !bt_str_starts_with(at, places[i][0])) {
            i++;
        }
        if (i < BT_ARRAY_LEN(places)) {
            BT_CHECK(bt_str_append(&name, places[i][1], err));
            at += strlen(places[i][0]);
        } else {
            BT_CHECK(bt_str_append_char(&name, *at++, err));
        }
    }
    rc = bt_fs_join(set->folder, bt_str_text(&name), path, err);
done:
    bt_str_deinit(&name);
    return rc;
}

bt_status tfds_count_classes(const tfds_set *set, const char *key, int64_t *n, bt_error *err) {
    json_t *root = NULL;
    BT_TRY(load_json(set->folder, "features.json", &root, err));
    const json_t *const features =
        json_object_get(json_object_get(root, "featuresDict"), "features");
    const json_t *const feature = json_object_get(features, key);
    bt_status           rc = BT_OK;
    if (!read_count(json_object_get(json_object_get(feature, "classLabel"), "numClasses"), n) ||
        *n < 1) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "%s/features.json: '%s' is %s; label_key must name a class label, or give "
                     "is_regression=true",
                     set->folder, key,
                     feature == NULL ? "not a feature of the set"
                                     : "not a class label with classes");
    }
    json_decref(root);
    return rc;
}
