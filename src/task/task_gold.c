/* SPDX-License-Identifier: Apache-2.0
 *
 * The pairs that are known to belong together, by the ids of their sides: lines "left id, TAB,
 * right id", as BUCC gives them. An id is a number, or a text that ends in '-' and a number
 * ("de-000000123" is 123, as create-finetuning-data numbers such records). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "task_internal.h"

enum { MAX_LINE_BYTES = 1 << 16 };

static const size_t max_pairs = (size_t)1 << 32;

void task_gold_deinit(task_gold *gold) {
    bt_free(gold->pairs);
    *gold = (task_gold){0};
}

static bool read_id(const char *text, int64_t *id) {
    const char *const dash = strrchr(text, '-');
    return bt_parse_i64(dash != NULL && dash != text ? dash + 1 : text, id) && *id >= 0;
}

/* text: one line, changed. */
static bool read_pair(char *text, task_gold_pair *pair) {
    char *const  tab = strchr(text, '\t');
    const size_t n = strlen(text);
    if (tab == NULL) {
        return false;
    }
    if (text[n - 1] == '\r') {
        text[n - 1] = '\0';
    }
    *tab = '\0';
    return read_id(text, &pair->left) && read_id(tab + 1, &pair->right);
}

static bt_status add_line(task_gold *gold, const char *path, int64_t number, const char *line,
                          bt_error *err) {
    task_gold_pair pair = {0};
    if (line[0] == '\0') {
        return BT_OK;
    }
    char *const text = bt_strdup(line);
    if (text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a line of %s", path);
    }
    const bool is_good = read_pair(text, &pair);
    bt_free(text);
    if (!is_good) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s:%" PRId64 ": expected two ids with a TAB between them, numbers or like "
                       "de-000000123, got '%.60s'",
                       path, number, line);
    }
    BT_TRY(bt_grow(&gold->pairs, &gold->cap, (size_t)gold->n + 1, sizeof *gold->pairs, max_pairs,
                   err));
    gold->pairs[gold->n++] = pair;
    return BT_OK;
}

static int compare(const void *a, const void *b) {
    const task_gold_pair *const x = a;
    const task_gold_pair *const y = b;
    if (x->left != y->left) {
        return x->left < y->left ? -1 : 1;
    }
    return (x->right > y->right) - (x->right < y->right);
}

/* A pair that appears twice counts once. */
static void sort_and_unite(task_gold *gold) {
    int64_t n = 0;
    qsort(gold->pairs, (size_t)gold->n, sizeof *gold->pairs, compare);
    for (int64_t i = 0; i < gold->n; i++) {
        if (n == 0 || compare(&gold->pairs[i], &gold->pairs[n - 1]) != 0) {
            gold->pairs[n++] = gold->pairs[i];
        }
    }
    gold->n = n;
}

static bt_status read_lines(task_gold *gold, bt_fs_stream *stream, bt_error *err) {
    for (int64_t number = 1;; number++) {
        const char *line = NULL;
        size_t      n_bytes = 0;
        bool        end = false;
        BT_TRY(bt_fs_stream_line(stream, MAX_LINE_BYTES, &line, &n_bytes, &end, err));
        if (end) {
            return BT_OK;
        }
        BT_TRY(add_line(gold, bt_fs_stream_path(stream), number, line, err));
    }
}

bt_status task_gold_read(task_gold *gold, const char *path, bt_error *err) {
    bt_status     rc = BT_OK;
    bt_fs_stream *stream = NULL;
    *gold = (task_gold){0};
    BT_TRY(bt_fs_require_file(path, NULL, err));
    BT_CHECK(bt_fs_stream_open(path, &stream, err));
    BT_CHECK(read_lines(gold, stream, err));
    if (gold->n == 0) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: no pair in it", path);
        goto done;
    }
    sort_and_unite(gold);
done:
    bt_fs_stream_close(stream);
    if (rc != BT_OK) {
        task_gold_deinit(gold);
    }
    return rc;
}

bool task_gold_has(const task_gold *gold, int64_t left, int64_t right) {
    const task_gold_pair key = {.left = left, .right = right};
    return gold->n > 0 &&
           bsearch(&key, gold->pairs, (size_t)gold->n, sizeof *gold->pairs, compare) != NULL;
}
