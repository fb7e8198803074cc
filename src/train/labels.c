/* SPDX-License-Identifier: Apache-2.0
 *
 * model_dir/labels.json: how many classes the model was trained on, and their names as far as they
 * are known. Written by the run that trains; a later run takes the names from it, or is refused
 * when its own say something else. {"num_labels": 3, "label_names": ["a", "b", "c"] or null,
 * "labels_are": "names" or "numbers" (how the training rows called the classes; files of earlier
 * versions do not say), "processor_type": "MNLI" or null, "vocabulary": {"bytes": 231508,
 * "crc32c": "0a1b2c3d"} (of its lines, where the training rows are text) or null} */
#include "labels.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/json_text.h"
#include "bt/fs.h"
#include "model_dir.h"

#define MULTI_LABEL "multi_label_classification"

enum { LABELS_MAX_BYTES = 16 << 20 };

static bt_status adopt_names(bt_task_labels *labels, const json_t *names, const char *path,
                             bt_error *err) {
    bt_status    rc = BT_OK;
    const size_t n = json_array_size(names);
    const char **list = bt_calloc_array(n, sizeof *list);
    if (list == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu classes", n);
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = json_string_value(json_array_get(names, i));
        if (list[i] == NULL) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: label_names[%zu] is not a string", path, i);
            goto done;
        }
    }
    BT_CHECK(labels->names != NULL ? bt_task_labels_agree(labels, list, n, path, err)
                                   : bt_task_labels_set(labels, list, n, path, err));
done:
    bt_free(list);
    return rc;
}

/* A head of several labels a row has the shape of one of a class a row. */
static bt_status check_problem(const bt_task_plan *plan, const json_t *root, const char *path,
                               bt_error *err) {
    const char *const then = json_string_value(json_object_get(root, "problem_type"));
    const bool        was_multi = then != NULL && strcmp(then, MULTI_LABEL) == 0;
    if (was_multi == plan->is_multi_label ||
        !(was_multi || json_is_string(json_object_get(root, "labels_are")))) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "%s: the model there was trained for task.problem_type '%s', this configuration "
                   "says otherwise",
                   path, was_multi ? MULTI_LABEL : "single_label_classification");
}

static bt_status adopt(bt_task_labels *labels, const json_t *root, const char *path,
                       bt_error *err) {
    const json_t *const number = json_object_get(root, "num_labels");
    const json_t *const names = json_object_get(root, "label_names");
    const char *const   are = json_string_value(json_object_get(root, "labels_are"));
    const char *const   processor = json_string_value(json_object_get(root, "processor_type"));
    if (!json_is_integer(number)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: no number num_labels in it", path);
    }
    if (json_integer_value(number) != labels->n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s: the model there was trained on %" PRId64
                       " classes (0: scores), this configuration has %" PRId64
                       ": see task.model.num_classes or task.class_names, or use another model_dir",
                       path, (int64_t)json_integer_value(number), labels->n);
    }
    if (json_is_array(names)) {
        BT_TRY(adopt_names(labels, names, path, err));
        labels->only_by_name = are != NULL && strcmp(are, "names") == 0;
    }
    if (processor != NULL && labels->processor[0] == '\0') {
        (void)snprintf(labels->processor, sizeof labels->processor, "%s", processor);
    }
    return BT_OK;
}

/* As vocabulary_read gives it; 0: the file does not say. */
static uint64_t recorded_words(const json_t *root) {
    const json_t *const words = json_object_get(root, "vocabulary");
    const json_t *const bytes = json_object_get(words, "bytes");
    const char *const   crc = json_string_value(json_object_get(words, "crc32c"));
    char               *end = NULL;
    if (!json_is_integer(bytes) || crc == NULL) {
        return 0;
    }
    const uint64_t value = strtoull(crc, &end, 16);
    return *end == '\0' && value <= UINT32_MAX ? (uint64_t)json_integer_value(bytes) << 32 | value
                                               : 0;
}

bt_status labels_settle(const char *folder, bt_task_plan *plan, uint64_t *vocabulary,
                        bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    json_t   *root = NULL;
    bool      is_there = false;
    *vocabulary = 0;
    if (folder == NULL) { /* a dry run */
        return BT_OK;
    }
    BT_CHECK(model_dir_file(folder, MODEL_LABELS, &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    if (is_there) {
        BT_CHECK(bt_fs_read_json(path, LABELS_MAX_BYTES, 0, &root, err));
        BT_CHECK(adopt(&plan->labels, root, path, err));
        BT_CHECK(check_problem(plan, root, path, err));
        *vocabulary = recorded_words(root);
        /* a model that knows its classes by number must not learn names from other data now */
        plan->train_schema.learns_labels = false;
    }
done:
    json_decref(root);
    bt_free(path);
    return rc;
}

/* class_names of labels.json as a text of YAML; empty: there are none. */
static bt_status list_names(const json_t *names, const char *key, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_appendf(out, err, "%s=[", key));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *const name = json_string_value(json_array_get(names, i));
        if (name == NULL) { /* refused with its place by labels_settle */
            bt_str_clear(out);
            return BT_OK;
        }
        BT_TRY(bt_str_append(out, i > 0 ? "," : "", err));
        BT_TRY(bt_str_append_json(out, name, err));
    }
    return bt_str_append_char(out, ']', err);
}

static bool is_empty(const bt_conf *conf, const char *key) {
    bt_conf_str_list list = {0};
    const char      *text = "";
    return bt_conf_has(conf, key) &&
           (bt_conf_is_null(conf, key) ||
            (bt_conf_get_str_list(conf, key, &list, NULL) == BT_OK
                 ? list.n == 0
                 : bt_conf_get_str(conf, key, &text, NULL) == BT_OK && text[0] == '\0'));
}

bt_status labels_recall(const bt_train_args *args, bt_error *err) {
    static const char key[] = "task.class_names";
    const bool        is_later = !bt_conf_mode_trains(args->mode);
    bt_status         rc = BT_OK;
    char             *path = NULL;
    json_t           *root = NULL;
    bt_str            text = BT_STR_INIT;
    bt_conf_errors    errors = BT_CONF_ERRORS_INIT;
    if (!is_later || args->model_dir == NULL || !is_empty(args->conf, key) ||
        !is_empty(args->conf, "task.meta_data_path")) {
        return BT_OK;
    }
    BT_CHECK(model_dir_file(args->model_dir, MODEL_LABELS, &path, err));
    if (!bt_fs_exists(path) || bt_fs_read_json(path, LABELS_MAX_BYTES, 0, &root, NULL) != BT_OK) {
        goto done; /* unreadable: said by labels_settle */
    }
    const json_t *const names = json_object_get(root, "label_names");
    if (json_array_size(names) > 0) {
        BT_CHECK(list_names(names, key, &text, err));
    }
    if (text.len > 0) {
        rc = bt_conf_set(args->conf, bt_str_text(&text), bt_fs_basename(path), &errors, err);
    }
done:
    bt_conf_errors_deinit(&errors);
    bt_str_deinit(&text);
    json_decref(root);
    bt_free(path);
    return rc;
}

/* Who took the head without knowing it is told how not to. */
static const char *source_of(const bt_task_labels *labels) {
    static const char of_file[] =
        BT_TASK_LABELS_OF_FILE " (task.init_head=false begins with a new head)";
    if (labels->names == NULL) {
        return NULL;
    }
    return strcmp(labels->source, BT_TASK_LABELS_OF_FILE) == 0 ? of_file : labels->source;
}

void labels_give(const bt_task_labels *labels, bt_data_schema *schema) {
    schema->label_names = (const char *const *)labels->names;
    schema->n_label_names = labels->names != NULL ? (size_t)labels->n : 0;
    schema->label_source = source_of(labels);
    schema->only_by_name = labels->only_by_name;
}

bt_status labels_learn(bt_task_labels *labels, const bt_data_stream *train_data, bt_error *err) {
    size_t                   n = 0;
    const char *const *const names = bt_data_label_names(train_data, &n);
    labels->only_by_name = n > 0;
    return n == 0 || labels->names != NULL
               ? BT_OK
               : bt_task_labels_set(labels, names, n, "task.train_data", err);
}

static bt_status append_json(bt_str *text, const bt_task_plan *plan, uint64_t vocabulary,
                             bt_error *err) {
    const bt_task_labels *const labels = &plan->labels;
    BT_TRY(bt_str_appendf(text, err, "{\n \"num_labels\": %" PRId64 ",\n \"label_names\": %s",
                          labels->n, labels->names != NULL ? "[" : "null"));
    for (int64_t i = 0; labels->names != NULL && i < labels->n; i++) {
        BT_TRY(bt_str_append(text, i > 0 ? ", " : "", err));
        BT_TRY(bt_str_append_json(text, labels->names[i], err));
    }
    BT_TRY(bt_str_append(text, labels->names != NULL ? "],\n" : ",\n", err));
    if (labels->n > 0) {
        BT_TRY(bt_str_appendf(text, err, " \"labels_are\": \"%s\",\n",
                              labels->only_by_name ? "names" : "numbers"));
    }
    BT_TRY(bt_str_append(text, " \"processor_type\": ", err));
    BT_TRY(labels->processor[0] != '\0' ? bt_str_append_json(text, labels->processor, err)
                                        : bt_str_append(text, "null", err));
    if (plan->is_multi_label) {
        BT_TRY(bt_str_append(text, ",\n \"problem_type\": \"" MULTI_LABEL "\"", err));
    }
    if (vocabulary != 0) {
        BT_TRY(bt_str_appendf(text, err,
                              ",\n \"vocabulary\": {\"bytes\": %" PRIu64
                              ", \"crc32c\": \"%08" PRIx32 "\"}",
                              vocabulary >> 32, (uint32_t)vocabulary));
    }
    return bt_str_append(text, "\n}\n", err);
}

bt_status labels_write(const char *folder, const bt_task_plan *plan, uint64_t vocabulary,
                       bt_error *err) {
    const bt_task_labels *const labels = &plan->labels;
    if (labels->n == 0 && labels->processor[0] == '\0' && vocabulary == 0) {
        return BT_OK; /* nothing to remember */
    }
    bt_status rc = BT_OK;
    char     *path = NULL;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(model_dir_file(folder, MODEL_LABELS, &path, err));
    BT_CHECK(append_json(&text, plan, vocabulary, err));
    BT_CHECK(bt_fs_replace(path, bt_str_text(&text), text.len, err));
done:
    bt_str_deinit(&text);
    bt_free(path);
    return rc;
}
