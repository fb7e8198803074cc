/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON through jansson, with one thing added: whether it was refused memory. jansson itself says so
 * in some places only; in others a text then counts as no JSON, with a position and a reason. So
 * its memory comes through here, and each thread remembers that a request of its own was refused.
 */
#include <pthread.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"

/* What jansson 2.14 gets when memory is gone while it collects a token: it does not look whether
 * its buffer could grow (load.c, lex_save), so characters would be lost, and an assertion, or a
 * read after the buffer, may follow. The buffer's sizes are powers of two from 32 on; everything
 * else that it asks for may be refused, which ends the parse. */
typedef struct json_reserve {
    char  *bytes;
    size_t n_bytes, n_taken;
} json_reserve;

static _Thread_local bool         refused;
static _Thread_local json_reserve reserve;

static void *take_reserve(size_t n_bytes) {
    if (n_bytes < 32 || (n_bytes & (n_bytes - 1)) != 0 ||
        n_bytes > reserve.n_bytes - reserve.n_taken) {
        return NULL;
    }
    reserve.n_taken += n_bytes;
    return reserve.bytes + reserve.n_taken - n_bytes;
}

static void *allocate(size_t n_bytes) {
    void *const ptr = bt_alloc_small(n_bytes);
    if (ptr != NULL) {
        return ptr;
    }
    refused = true;
    return take_reserve(n_bytes);
}

static void release(void *ptr) {
    const uintptr_t at = (uintptr_t)ptr;
    const uintptr_t begin = (uintptr_t)reserve.bytes;
    if (at < begin || at >= begin + reserve.n_bytes) {
        bt_free(ptr);
    }
}

static void take_over(void) {
    json_set_alloc_funcs(allocate, release);
}

/* Of what is between two quotes or two characters that end a word; never less than it is. */
static size_t longest_token(const char *text, size_t n_bytes) {
    size_t longest = 0;
    size_t n = 0;
    bool   quoted = false;
    for (size_t i = 0; i < n_bytes; i++, n++) {
        const char c = text[i];
        if (quoted && c == '\\') {
            i++;
            n++;
        } else if (c == '"' || (!quoted && strchr(" \t\r\n,:[]{}", c) != NULL)) {
            quoted = c == '"' && !quoted;
            longest = n > longest ? n : longest;
            n = 0;
        }
    }
    return n > longest ? n : longest;
}

void bt_json_watch(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, take_over);
    refused = false;
}

bool bt_json_was_refused(void) {
    return refused;
}

bt_status bt_json_load(const char *text, size_t n_bytes, size_t flags, json_t **root,
                       json_error_t *problem, bt_error *err) {
    json_error_t unread;
    /* 32, 64, ... until the token and both quotes fit: less than four times of it */
    const size_t n_reserve = 4 * longest_token(text, n_bytes) + 256;
    *root = NULL;
    bt_json_watch();
    reserve = (json_reserve){.bytes = bt_alloc_small(n_reserve), .n_bytes = n_reserve};
    refused = reserve.bytes == NULL;
    if (!refused) {
        *root = json_loadb(text, n_bytes, flags, problem != NULL ? problem : &unread);
    }
    if (refused) {
        json_decref(*root);
        *root = NULL;
    }
    bt_free(reserve.bytes);
    reserve = (json_reserve){0};
    return refused ? BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes of JSON", n_bytes)
                   : BT_OK;
}

bt_status bt_json_append(bt_str *out, const json_t *value, size_t flags, bt_error *err) {
    bt_json_watch();
    char *const text = value != NULL ? json_dumps(value, flags) : NULL;
    if (text == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for JSON");
    }
    const bt_status rc = bt_str_append(out, text, err);
    bt_free(text);
    return rc;
}

bt_status bt_fs_read_json(const char *path, size_t max_bytes, size_t flags, json_t **root,
                          bt_error *err) {
    char        *text = NULL;
    size_t       n_bytes = 0;
    json_error_t problem;
    *root = NULL;
    BT_TRY(bt_fs_read_all(path, max_bytes, &text, &n_bytes, err));
    bt_status rc = bt_json_load(text, n_bytes, flags, root, &problem, err);
    if (rc != BT_OK) {
        rc = bt_error_prefix(err, "%s", path);
    } else if (*root == NULL) {
        rc = bt_fs_refuse_stranger(path, text, n_bytes, err);
    }
    bt_free(text);
    BT_TRY(rc);
    return *root != NULL ? BT_OK
                         : BT_FAIL(err, BT_E_FORMAT, "%s:%d:%d: not JSON (%s)", path, problem.line,
                                   problem.column, problem.text);
}
