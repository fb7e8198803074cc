/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of a task's classes, from (in this order) the task's own key, the meta data that
 * create-finetuning-data wrote (task.meta_data_path), and what is known of its processors. What two
 * of them say must agree. Names only name: no number of a run depends on them. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/map.h"
#include "bt/fs.h"
#include "task_internal.h"

enum { META_MAX_BYTES = 16 << 20 };

#define META_KEY "task.meta_data_path"

/* The classes of create-finetuning-data's processors, in the order of the ids that are written. The
 * ids of those that stand on TFDS are TFDS's, not the order of the processor's own list. */
typedef struct processor_row {
    const char *processor;
    int64_t     n;
    const char *names[3];
} processor_row;

#define TWO_NUMBERS                                                                                \
    2, {                                                                                           \
        "0", "1", NULL                                                                             \
    }
#define TWO_WORDS                                                                                  \
    2, {                                                                                           \
        "entailment", "not_entailment", NULL                                                       \
    }

static const processor_row processors[] = {
    {"COLA", TWO_NUMBERS},
    {"SST-2", TWO_NUMBERS},
    {"MRPC", TWO_NUMBERS},
    {"QQP", TWO_NUMBERS},
    {"WNLI", TWO_NUMBERS},
    {"XTREME-PAWS-X", TWO_NUMBERS},
    {"QNLI", TWO_WORDS},
    {"RTE", TWO_WORDS},
    {"RTESuperGLUE", TWO_WORDS},
    {"AXg", TWO_WORDS},
    {"MNLI", 3, {"entailment", "neutral", "contradiction"}},
    {"AX", 3, {"entailment", "neutral", "contradiction"}},
    {"XNLI", 3, {"contradiction", "entailment", "neutral"}},
    {"XTREME-XNLI", 3, {"contradiction", "entailment", "neutral"}},
    {"CB", 3, {"entailment", "contradiction", "neutral"}},
    {"BoolQ", 2, {"False", "True", NULL}},
    {"WiC", 2, {"False", "True", NULL}},
    {"IMDB", 2, {"neg", "pos", NULL}},
};

void bt_task_labels_deinit(bt_task_labels *labels) {
    for (int64_t i = 0; labels->names != NULL && i < labels->n; i++) {
        bt_free(labels->names[i]);
    }
    bt_free(labels->names);
    labels->names = NULL;
}

static bt_status check_names(const char *const *names, size_t n, const char *source,
                             bt_error *err) {
    size_t first = 0;
    size_t second = 0;
    for (size_t i = 0; i < n; i++) {
        if (names[i][0] == '\0') {
            return BT_FAIL(err, BT_E_CONFIG, "%s: name %zu of the classes is empty", source, i);
        }
    }
    BT_TRY(bt_find_twice(names, n, &first, &second, err));
    return second == n
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG, "%s: classes %zu and %zu have the same name '%s'",
                         source, first, second, names[first]);
}

bt_status bt_task_labels_set(bt_task_labels *labels, const char *const *names, size_t n,
                             const char *source, bt_error *err) {
    if ((int64_t)n != labels->n) {
        return BT_FAIL(err, BT_E_CONFIG, "%s names %zu classes, but the model has %" PRId64, source,
                       n, labels->n);
    }
    BT_TRY(check_names(names, n, source, err));
    bt_task_labels_deinit(labels);
    labels->names = bt_calloc_array(n, sizeof *labels->names);
    if (labels->names == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu classes", n);
    }
    for (size_t i = 0; i < n; i++) {
        labels->names[i] = bt_strdup(names[i]);
        if (labels->names[i] == NULL) {
            bt_task_labels_deinit(labels);
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu classes", n);
        }
    }
    (void)snprintf(labels->source, sizeof labels->source, "%s", source);
    return BT_OK;
}

const char *bt_task_label_text(const bt_task_labels *labels, int64_t id,
                               char buffer[BT_TASK_LABEL_TEXT_MAX]) {
    if (labels->names != NULL && id >= 0 && id < labels->n) {
        return labels->names[id];
    }
    (void)snprintf(buffer, BT_TASK_LABEL_TEXT_MAX, "%" PRId64, id);
    return buffer;
}

static bt_status refuse_other(const bt_task_labels *labels, const char *const *names,
                              const char *source, size_t i, bt_error *err) {
    const size_t n = (size_t)labels->n;
    char         theirs[BT_LIST_MAX];
    char         ours[BT_LIST_MAX];
    bt_list_all(theirs, sizeof theirs, names, n);
    bt_list_all(ours, sizeof ours, (const char *const *)labels->names, n);
    return BT_FAIL(err, BT_E_CONFIG,
                   "class %zu is '%s' in %s, but '%s' in %s: predictions would get the wrong names "
                   "(%s against %s)",
                   i, names[i], source, labels->names[i], labels->source, theirs, ours);
}

bt_status bt_task_labels_agree(const bt_task_labels *labels, const char *const *names, size_t n,
                               const char *source, bt_error *err) {
    if ((int64_t)n != labels->n) {
        return BT_FAIL(err, BT_E_CONFIG, "%s has %zu classes, but the model has %" PRId64, source,
                       n, labels->n);
    }
    for (size_t i = 0; labels->names != NULL && i < n; i++) {
        if (strcmp(labels->names[i], names[i]) != 0) {
            return refuse_other(labels, names, source, i, err);
        }
    }
    return BT_OK;
}

void bt_task_notice_one_class(const char *when, const bt_task_labels *labels, const int64_t *counts,
                              int64_t n_classes, int64_t n) {
    for (int64_t c = 0; n_classes > 1 && n > 1 && c < n_classes; c++) {
        char text[BT_TASK_LABEL_TEXT_MAX];
        if (counts[c] == n) {
            bt_log(BT_LOG_WARNING,
                   "%sall %" PRId64 " predictions are class %s: the model has not learned to tell "
                   "the classes apart (yet)",
                   when, n, bt_task_label_text(labels, c, text));
        }
    }
}

/* label_list of tagging: the model's names come from it where no key gives them. */
static bt_status use_list(bt_task_labels *labels, bool names_count, const json_t *list,
                          const char *source, bt_error *err) {
    bt_status    rc = BT_OK;
    const size_t n = json_array_size(list);
    const char **names = bt_calloc_array(n, sizeof *names);
    if (names == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu classes", n);
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (names[i] == NULL) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: label_list[%zu] is not a string", source, i);
            goto done;
        }
    }
    labels->n = names_count && labels->names == NULL ? (int64_t)n : labels->n;
    BT_CHECK(bt_task_labels_agree(labels, names, n, source, err));
    if (labels->names == NULL) {
        BT_CHECK(bt_task_labels_set(labels, names, n, source, err));
    }
done:
    bt_free(names);
    return rc;
}

/* One of these names belongs to another class. Other words for the classes contradict nothing. */
static bool is_permuted(const bt_task_labels *labels, const processor_row *row, size_t *place) {
    for (size_t i = 0; i < (size_t)row->n; i++) {
        for (size_t k = 0; k < (size_t)row->n; k++) {
            if (i != k && bt_str_equal_nocase(labels->names[i], row->names[k])) {
                *place = i;
                return true;
            }
        }
    }
    return false;
}

static bt_status use_processor(bt_task_labels *labels, const char *source, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(processors); i++) {
        const processor_row *const row = &processors[i];
        size_t                     place = 0;
        if (!bt_str_equal(row->processor, labels->processor) || row->n != labels->n) {
            continue;
        }
        if (labels->names == NULL) {
            return bt_task_labels_set(labels, row->names, (size_t)row->n, source, err);
        }
        if (is_permuted(labels, row, &place)) {
            return refuse_other(labels, row->names, source, place, err);
        }
    }
    return BT_OK;
}

static bt_status use_meta(bt_task_labels *labels, bool names_count, const json_t *root,
                          const char *path, bt_error *err) {
    char source[BT_TASK_SOURCE_MAX];
    (void)snprintf(source, sizeof source, "%s", path);
    const json_t *const number = json_object_get(root, "num_labels");
    const json_t *const list = json_object_get(root, "label_list");
    const char *const   processor = json_string_value(json_object_get(root, "processor_type"));
    (void)snprintf(labels->processor, sizeof labels->processor, "%s",
                   processor != NULL ? processor : "");
    if (json_is_array(list)) {
        return use_list(labels, names_count, list, source, err);
    }
    const int64_t n = json_is_integer(number) ? json_integer_value(number) : 0;
    if (n != labels->n) {
        return BT_FAIL(err, BT_E_CONFIG,
                       META_KEY " %s: the data have %" PRId64
                                " classes (0: scores), but the model has %" PRId64
                                ": see task.model.num_classes",
                       path, n, labels->n);
    }
    return use_processor(labels, source, err);
}

/* Never meta data of one run of create-finetuning-data beside records of another. */
static bt_status settle_folder_of(const char *path, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_parent(path, &folder, err));
    const bt_status rc = bt_fs_settle_commits(folder, err);
    bt_free(folder);
    return rc;
}

bt_status task_read_labels(const bt_conf *conf, const char *names_key, bool names_count,
                           bt_task_labels *labels, bt_error *err) {
    bt_conf_str_list names = {0};
    const char      *path = "";
    char             origin[BT_CONF_ORIGIN_MAX];
    if (bt_conf_has(conf, names_key)) {
        BT_TRY(bt_conf_get_str_list(conf, names_key, &names, err));
    }
    if (names.n > 0) {
        (void)bt_conf_origin(conf, names_key, origin);
        labels->n = names_count ? (int64_t)names.n : labels->n;
        BT_TRY(bt_task_labels_set(
            labels, names.items, names.n,
            bt_str_starts_with(origin, BT_TASK_LABELS_OF_FILE) ? BT_TASK_LABELS_OF_FILE : names_key,
            err));
    }
    if (bt_conf_has(conf, META_KEY)) {
        BT_TRY(bt_conf_get_str(conf, META_KEY, &path, err));
    }
    if (path[0] == '\0') {
        return BT_OK;
    }
    BT_TRY(settle_folder_of(path, err));
    json_t *root = NULL;
    if (bt_fs_read_json(path, META_MAX_BYTES, 0, &root, err) != BT_OK) {
        return bt_error_prefix(err, META_KEY);
    }
    const bt_status rc = use_meta(labels, names_count, root, path, err);
    json_decref(root);
    return rc;
}
