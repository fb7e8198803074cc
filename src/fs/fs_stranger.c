/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are not what their name says: what git, a web server or a library left in place of
 * the file that was meant. Recognized by their first bytes, each with the one command that helps.
 */
#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "fs_internal.h"

static const char pointer_magic[] = "version https://git-lfs.github.com/spec/v";
/* A pointer is three lines; the specification allows no more than this. */
static const int64_t pointer_max_bytes = 1024;

enum { SHOWN_PATH = 250 };

static bt_status fail_pointer(const char *path, bt_error *err) {
    const char *const slash = strrchr(path, '/');
    return BT_FAIL(err, BT_E_FORMAT,
                   "%.*s: this is a Git LFS pointer, a short text in place of the file itself: "
                   "'git -C %.*s lfs pull' fetches it (package git-lfs)",
                   SHOWN_PATH, path, slash != NULL ? (int)(slash - path) : 1,
                   slash != NULL ? path : ".");
}

bt_status fs_refuse_pointer(int fd, const char *path, int64_t n_bytes, bt_error *err) {
    char head[sizeof pointer_magic - 1];
    if (n_bytes < (int64_t)sizeof head || n_bytes >= pointer_max_bytes ||
        pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head, pointer_magic, sizeof head) != 0) {
        return BT_OK;
    }
    return fail_pointer(path, err);
}

/* text begins with word, whatever the case. */
static bool begins_with(const char *text, size_t n, const char *word) {
    for (size_t i = 0; word[i] != '\0'; i++) {
        if (i >= n || tolower((unsigned char)text[i]) != word[i]) {
            return false;
        }
    }
    return true;
}

/* A page of the web, after a byte order mark and spaces. */
static bool is_page(const char *text, size_t n) {
    size_t at = n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < n && isspace((unsigned char)text[at])) {
        at++;
    }
    return begins_with(text + at, n - at, "<!doctype html") ||
           begins_with(text + at, n - at, "<html");
}

/* torch.save writes a ZIP whose first entry is NAME/data.pkl; before 1.6, a bare pickle. */
static bool is_torch(const char *path, const char *bytes, size_t n) {
    static const char *const extensions[] = {".bin", ".pt", ".pth", ".th", ".ckpt"};
    const bool               is_zip = n >= 4 && memcmp(bytes, "PK\003\004", 4) == 0;
    bool                     by_name = false;
    for (size_t i = 0; i < BT_ARRAY_LEN(extensions); i++) {
        by_name = by_name || bt_str_ends_with(path, extensions[i]);
    }
    for (size_t i = 0; is_zip && i + 8 <= n; i++) {
        by_name = by_name || memcmp(bytes + i, "data.pkl", 8) == 0;
    }
    const unsigned char protocol = n >= 2 ? (unsigned char)bytes[1] : 0;
    return (is_zip && by_name) ||
           (n >= 2 && (unsigned char)bytes[0] == 0x80 && protocol >= 2 && protocol <= 5);
}

bt_status bt_fs_refuse_torch(const char *path, bt_error *err) {
    const char *const slash = strrchr(path, '/');
    const int         n_folder = slash != NULL ? (int)(slash - path) : 1;
    const char *const folder = slash != NULL ? path : ".";
    return BT_FAIL(
        err, BT_E_FORMAT,
        "%.*s: this is a PyTorch file, a pickle, which this program cannot read (it is a "
        "program); this command converts it: python3 -c \"import torch; from "
        "safetensors.torch import save_file; save_file({k: v.clone() for k, v in "
        "torch.load('%.*s', 'cpu', weights_only=True).items()}, "
        "'%.*s/model.safetensors')\"",
        SHOWN_PATH, path, SHOWN_PATH, path, n_folder, folder);
}

bt_status bt_fs_refuse_keras(const char *path, bt_error *err) {
    const char *const slash = strrchr(path, '/');
    const int         n_folder = slash != NULL ? (int)(slash - path) : 1;
    const char *const folder = slash != NULL ? path : ".";
    return BT_FAIL(
        err, BT_E_FORMAT,
        "%.*s: this is a file of Keras (HDF5), which this program cannot read; for a Hugging Face "
        "folder, this command converts it (transformers below 5, tensorflow, torch): "
        "python3 -c \"from transformers import AutoModel as A; A.from_pretrained('%.*s',"
        " from_tf=True).save_pretrained('%.*s')\"",
        SHOWN_PATH, path, n_folder, folder, n_folder, folder);
}

bt_status bt_fs_refuse_stranger(const char *path, const void *bytes, size_t n_bytes,
                                bt_error *err) {
    const char *const head = bytes;
    const size_t      n = n_bytes < 512 ? n_bytes : 512;
    if (begins_with(head, n, pointer_magic)) {
        return fail_pointer(path, err);
    }
    if (is_page(head, n)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%.*s: this is an HTML page in place of the file (of a refusal, a login, "
                       "or the page that shows the file): fetch the file itself with 'curl -fL -o "
                       "FILE ADDRESS'; on huggingface.co its address has /resolve/ where the page "
                       "has /blob/",
                       SHOWN_PATH, path);
    }
    if (is_torch(path, head, n)) {
        return bt_fs_refuse_torch(path, err);
    }
    return n >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0 ? bt_fs_refuse_keras(path, err)
                                                               : BT_OK;
}

bt_status bt_fs_refuse_stranger_file(const char *path, bt_error *err) {
    char      head[512];
    bt_error  unread = BT_ERROR_INIT;
    bt_file  *file = NULL;
    size_t    n = 0;
    bt_status rc = bt_fs_is_remote(path) ? BT_E_IO : bt_fs_open(path, &file, &unread);
    if (rc == BT_E_FORMAT) { /* a pointer of Git LFS */
        if (err != NULL) {
            *err = unread;
        }
        return rc;
    }
    if (rc == BT_OK) {
        rc = bt_fs_read_upto(file, 0, head, sizeof head, &n, &unread);
    }
    bt_fs_close(file);
    return rc == BT_OK ? bt_fs_refuse_stranger(path, head, n, err) : BT_OK;
}
