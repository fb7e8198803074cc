/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train doctor on places: the disk of model_dir, stores and who lets in there, caches. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "command_doctor.h"

enum { BLOCK_BYTES = 1 << 20, MAX_BLOCKS = 64 };
static const double max_seconds = 1.0;
/* BERT-Base with both moments: what one checkpoint takes. */
static const double checkpoint_gib = 110e6 * 12 / (1 << 30);

/* The disk. */

/* The folder itself, or the first one above it that is there. Owned. */
static bt_status find_folder(const char *path, char **out, bt_error *err) {
    char *at = bt_strdup(path);
    while (at != NULL && !bt_fs_exists(at)) {
        char *outer = NULL;
        BT_TRY(bt_fs_parent(at, &outer, err));
        bt_free(at);
        at = outer;
    }
    *out = at;
    return at != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
}

/* Bytes a second of a file that is synced; 0: it could not be measured. Its name is gone before it
 * holds anything, so that whatever happens nothing of it stays. */
static double measure(const char *folder) {
    char   name[4096];
    double rate = 0;
    if ((size_t)snprintf(name, sizeof name, "%s/bert-train-doctor-XXXXXX", folder) >= sizeof name) {
        return 0;
    }
    const int   fd = mkstemp(name);
    char *const block = bt_calloc_array(BLOCK_BYTES, 1);
    if (fd >= 0 && unlink(name) == 0 && block != NULL) {
        const double start = bt_time_monotonic();
        int64_t      n = 0;
        while (n < (int64_t)MAX_BLOCKS * BLOCK_BYTES && bt_time_monotonic() - start < max_seconds &&
               !bt_stop_requested() && write(fd, block, BLOCK_BYTES) == BLOCK_BYTES &&
               fdatasync(fd) == 0) {
            n += BLOCK_BYTES;
        }
        const double seconds = bt_time_monotonic() - start;
        rate = seconds > 0 ? (double)n / seconds : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    bt_free(block);
    return rate;
}

static bt_status tell_room(doctor *d, const doctor_check *check, const char *folder,
                           uint64_t n_free, bt_error *err) {
    const double gib = (double)n_free / (1 << 30);
    const bool   is_little = gib < 2 * checkpoint_gib;
    if (n_free == UINT64_MAX) {
        return doctor_tell(d, check, DOCTOR_NOTE, NULL, err,
                           "%s: the system does not say how much is free", folder);
    }
    return doctor_tell(
        d, check, is_little ? DOCTOR_NOTE : DOCTOR_OK,
        is_little ? "make room, or keep fewer checkpoints (trainer.max_to_keep)" : NULL, err,
        "%s: %.1f GiB are free; a checkpoint of BERT-Base takes %.1f GiB, and "
        "trainer.max_to_keep are kept",
        folder, gib, checkpoint_gib);
}

static bt_status tell_speed(doctor *d, const doctor_check *check, const char *folder,
                            bt_error *err) {
    const double rate = measure(folder);
    if (rate <= 0) {
        return doctor_tell(d, check, DOCTOR_PROBLEM,
                           "look at the disk, and at quotas: a checkpoint would fail like that",
                           err, "%s: a file of a few MiB cannot be written", folder);
    }
    return doctor_tell(d, check, DOCTOR_OK, NULL, err,
                       "%s: %.0f MB/s written and synced; a checkpoint of BERT-Base takes about "
                       "%.0f s, beside the steps",
                       folder, rate / 1e6, checkpoint_gib * (1 << 30) / rate);
}

bt_status doctor_disk(doctor *d, const doctor_check *check, bt_error *err) {
    const char *const path = bt_flags_string(d->flags, "model_dir");
    const char *const model_dir = path != NULL && path[0] != '\0' ? path : ".";
    bt_error          why = BT_ERROR_INIT;
    char             *folder = NULL;
    uint64_t          n_free = UINT64_MAX;
    if (bt_fs_is_remote(model_dir)) {
        bt_fs_info info;
        return bt_fs_stat(model_dir, &info, &why) == BT_OK
                   ? doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s: a store, and it answers",
                                 model_dir)
                   : doctor_tell(d, check, DOCTOR_PROBLEM, "see docs/files.md", err, "%s", why.msg);
    }
    if (bt_fs_check_writable(model_dir, &why) != BT_OK) {
        return doctor_tell(d, check, DOCTOR_PROBLEM,
                           "name another --model_dir, or change its rights", err, "%s", why.msg);
    }
    BT_TRY(find_folder(model_dir, &folder, err));
    bt_status rc = bt_fs_free_bytes(folder, &n_free, err);
    rc = rc == BT_OK ? tell_room(d, check, folder, n_free, err) : rc;
    rc = rc == BT_OK ? tell_speed(d, check, folder, err) : rc;
    bt_free(folder);
    return rc;
}

/* Stores. */

typedef struct credential {
    const char *store;
    const char *variable; /* that lets in, or names a file */
    const char *file;     /* below the home folder */
} credential;

/* By name only: what they hold is nobody's business. */
static const credential credentials[] = {
    {"s3", "AWS_ACCESS_KEY_ID", NULL},
    {"s3", "AWS_PROFILE", NULL},
    {"s3", "AWS_WEB_IDENTITY_TOKEN_FILE", NULL},
    {"s3", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", NULL},
    {"s3", NULL, ".aws/credentials"},
    {"s3", NULL, ".aws/config"},
    {"gs", "GOOGLE_APPLICATION_CREDENTIALS", NULL},
    {"gs", NULL, ".config/gcloud/application_default_credentials.json"},
    {"hf", "HF_TOKEN", NULL},
    {"hf", NULL, ".cache/huggingface/token"},
};

static bool is_there(const credential *c, char *where, size_t cap) {
    if (c->variable != NULL) {
        const char *const value = getenv(c->variable);
        (void)snprintf(where, cap, "%s", c->variable);
        return value != NULL && value[0] != '\0';
    }
    const char *const home = getenv("HOME");
    (void)snprintf(where, cap, "%s/%s", home != NULL ? home : "", c->file);
    return home != NULL && access(where, R_OK) == 0;
}

static bt_status tell_credentials(doctor *d, const doctor_check *check, const char *store,
                                  bt_error *err) {
    char   list[BT_LIST_MAX] = "";
    size_t n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(credentials); i++) {
        char where[1024];
        if (bt_str_equal(credentials[i].store, store) &&
            is_there(&credentials[i], where, sizeof where)) {
            (void)bt_list_add(list, sizeof list, where);
            n++;
        }
    }
    return n > 0
               ? doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s://: credentials in %s", store,
                             list)
               : doctor_tell(d, check, DOCTOR_OK, NULL, err,
                             "%s://: no credentials here: what is public, and what this machine's "
                             "own account may read",
                             store);
}

bt_status doctor_stores(doctor *d, const doctor_check *check, bt_error *err) {
    static const char *const stores[] = {"gs", "s3", "hf"};
    const char *const       *urls = NULL;
    const size_t             n = bt_flags_list(d->flags, "store", &urls);
    for (size_t i = 0; i < BT_ARRAY_LEN(stores); i++) {
        BT_TRY(tell_credentials(d, check, stores[i], err));
    }
    for (size_t i = 0; i < n; i++) {
        bt_error        why = BT_ERROR_INIT;
        bt_fs_info      info = {.kind = BT_FS_MISSING};
        const bt_status rc =
            bt_fs_is_remote(urls[i])
                ? bt_fs_stat(urls[i], &info, &why)
                : BT_FAIL(&why, BT_E_CONFIG, "%s is not the address of a store", urls[i]);
        if (rc == BT_E_INTERRUPTED || rc == BT_E_NOMEM) {
            *err = why;
            return rc;
        }
        BT_TRY(
            rc != BT_OK
                ? doctor_tell(d, check, DOCTOR_PROBLEM,
                              "check the address, the network (HTTPS_PROXY) and the credentials "
                              "above",
                              err, "%s", why.msg)
            : info.kind == BT_FS_MISSING
                ? doctor_tell(d, check, DOCTOR_NOTE,
                              "a folder is there once something is in it; else check the address",
                              err, "%s: the store answers, and nothing is there", urls[i])
                : doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s: there", urls[i]));
    }
    return BT_OK;
}

/* Caches. */

static bt_status tell_folder(doctor *d, const doctor_check *check, const char *what,
                             const char *path, const char *variable, bt_error *err) {
    bt_error why = BT_ERROR_INIT;
    if (bt_fs_check_writable(path, &why) != BT_OK) {
        char advice[160];
        (void)snprintf(advice, sizeof advice, "name a folder that may be written to in %s",
                       variable);
        return doctor_tell(d, check, DOCTOR_NOTE, advice, err, "%s: %s", what, why.msg);
    }
    return doctor_tell(d, check, DOCTOR_OK, NULL, err, "%s: %s%s", what, path,
                       bt_fs_exists(path) ? "" : " (made when it is needed)");
}

static bt_status append_default(bt_str *out, const char *variable, const char *variable_rest,
                                const char *base, const char *base_rest, bt_error *err) {
    const char *const set = getenv(variable);
    const char *const home = getenv("HOME");
    if (set != NULL && set[0] != '\0') {
        return bt_str_appendf(out, err, "%s%s", set, variable_rest);
    }
    return bt_str_appendf(out, err, "%s%s",
                          base != NULL   ? base
                          : home != NULL ? home
                                         : "",
                          base_rest);
}

bt_status doctor_caches(doctor *d, const doctor_check *check, bt_error *err) {
    bt_str            path = BT_STR_INIT;
    bt_status         rc = BT_OK;
    const char *const temporary = getenv("TMPDIR");
    BT_CHECK(append_default(&path, "HF_HUB_CACHE", "", getenv("HF_HOME"),
                            getenv("HF_HOME") != NULL ? "/hub" : "/.cache/huggingface/hub", err));
    BT_CHECK(tell_folder(d, check, "hf:// downloads", bt_str_text(&path), "HF_HUB_CACHE", err));
    bt_str_clear(&path);
    BT_CHECK(append_default(&path, "TFHUB_CACHE_DIR", "", temporary != NULL ? temporary : "/tmp",
                            "/tfhub_modules", err));
    BT_CHECK(tell_folder(d, check, "TF Hub modules", bt_str_text(&path), "TFHUB_CACHE_DIR", err));
    rc = tell_folder(d, check, "temporary files", temporary != NULL ? temporary : "/tmp", "TMPDIR",
                     err);
done:
    bt_str_deinit(&path);
    return rc;
}
