/* SPDX-License-Identifier: Apache-2.0
 *
 * What Hugging Face's config.json says of a head: the names of its classes in the order of its
 * outputs, and which problem it solves. A head without these facts is a matrix whose rows anybody
 * may call as he likes, and somebody does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "ckpt_internal.h"

enum { HEAD_MAX_BYTES = 16 << 20, HEAD_MAX_CLASSES = 1 << 20 };

void bt_ckpt_head_deinit(bt_ckpt_head *head) {
    for (size_t i = 0; head->names != NULL && i < head->n; i++) {
        bt_free(head->names[i]);
    }
    bt_free(head->names);
    *head = (bt_ckpt_head){0};
}

/* A name may have been a number; the text is owned. */
static char *name_of(const json_t *value) {
    char buffer[32];
    if (json_is_string(value)) {
        return bt_strdup(json_string_value(value));
    }
    (void)snprintf(buffer, sizeof buffer, "%" PRId64, (int64_t)json_integer_value(value));
    return bt_strdup(buffer);
}

static bt_status put_name(bt_ckpt_head *head, const char *key, const json_t *value, bt_error *err) {
    int64_t id = 0;
    if (!bt_parse_i64(key, &id) || id < 0 || id >= (int64_t)head->n || head->names[id] != NULL) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: id2label has %zu names, but '%s' is not one of their numbers, 0 to %zu",
                       head->path, head->n, key, head->n - 1);
    }
    if (!json_is_string(value) && !json_is_integer(value)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: id2label: the name of class %s is not text",
                       head->path, key);
    }
    head->names[id] = name_of(value);
    return head->names[id] != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu classes", head->n);
}

/* What transformers calls classes that nobody named; or a name twice, which names nothing. */
static bool says_nothing(const bt_ckpt_head *head) {
    bool are_numbers = true;
    for (size_t i = 0; i < head->n; i++) {
        char number[32];
        (void)snprintf(number, sizeof number, "LABEL_%zu", i);
        are_numbers = are_numbers && strcmp(head->names[i], number) == 0;
    }
    return are_numbers;
}

static bt_status read_names(const json_t *list, bt_ckpt_head *head, bt_error *err) {
    const char *key = NULL;
    json_t     *value = NULL;
    head->n = json_object_size(list);
    if (head->n == 0 || head->n > HEAD_MAX_CLASSES) {
        head->n = 0;
        return BT_OK;
    }
    head->names = bt_calloc_array(head->n, sizeof *head->names);
    if (head->names == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the names of %zu classes", head->n);
    }
    json_object_foreach((json_t *)(uintptr_t)list, key, value) {
        BT_TRY(put_name(head, key, value, err));
    }
    if (says_nothing(head)) {
        for (size_t i = 0; i < head->n; i++) {
            bt_free(head->names[i]);
        }
        bt_free(head->names);
        head->names = NULL;
    }
    return BT_OK;
}

/* Of a name that two classes have it can say one number only. */
static bool is_called(const bt_ckpt_head *head, double number, const char *name) {
    return number >= 0 && number < (double)head->n &&
           strcmp(head->names[(size_t)number], name) == 0;
}

/* label2id is the reverse of id2label, or of another model. Names that it has not (LABEL_0 beside
 * names that somebody gave later) contradict nothing. */
static void compare_reverse(const json_t *reverse, bt_ckpt_head *head) {
    head->odd = head->n;
    for (size_t i = 0; head->names != NULL && i < head->n && head->odd == head->n; i++) {
        const json_t *const number = json_object_get(reverse, head->names[i]);
        if (json_is_number(number) && !is_called(head, json_number_value(number), head->names[i])) {
            head->odd = i;
            head->odd_number = json_number_value(number);
        }
    }
}

static bt_status read_head(const char *path, bt_ckpt_head *out, bt_error *err) {
    json_t *root = NULL;
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    if (bt_fs_read_json(path, HEAD_MAX_BYTES, 0, &root, err) != BT_OK) {
        return bt_error_prefix(err, "the configuration beside the checkpoint");
    }
    const char *const problem = json_string_value(json_object_get(root, "problem_type"));
    (void)snprintf(out->problem_type, sizeof out->problem_type, "%s",
                   problem != NULL ? problem : "");
    const bt_status rc = read_names(json_object_get(root, "id2label"), out, err);
    if (rc == BT_OK) {
        compare_reverse(json_object_get(root, "label2id"), out);
    }
    json_decref(root);
    return rc;
}

bt_status bt_ckpt_read_head(const bt_ckpt *ckpt, bt_ckpt_head *out, bt_error *err) {
    bt_status rc = BT_OK;
    char     *folder = NULL;
    char     *path = NULL;
    bool      is_there = false;
    *out = (bt_ckpt_head){0};
    if (ckpt->layout != BT_CKPT_SAFETENSORS) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_parent(ckpt->path, &folder, err));
    BT_CHECK(bt_fs_join(folder, "config.json", &path, err));
    BT_CHECK(bt_fs_look(path, &is_there, err));
    if (is_there) {
        BT_CHECK(read_head(path, out, err));
    }
done:
    if (rc != BT_OK) {
        bt_ckpt_head_deinit(out);
    }
    bt_free(path);
    bt_free(folder);
    return rc;
}
