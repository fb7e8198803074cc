/* SPDX-License-Identifier: Apache-2.0
 *
 * TensorFlow Hub's cache: a module's folder is named by the SHA-1 of its handle; it is made beside,
 * under a lock, and renamed. A lock whose owner does nothing for ten minutes is void. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/base/signed_url.h"
#include "bt/base/stop.h"
#include "bt/base/time.h"
#include "hub_internal.h"

enum { HOST_MAX = 256, LOCK_MAX_BYTES = 4096 };
static const double void_after_seconds = 600.0;
static const double poll_seconds = 0.5;

/* TFHUB_CACHE_DIR, or where TensorFlow Hub has it without that: tfhub_modules in the temporary
 * folder. */
static bt_status cache_folder(char **out, bt_error *err) {
    const char *const set = getenv("TFHUB_CACHE_DIR");
    if (set != NULL && set[0] != '\0') {
        *out = bt_strdup(set);
        return *out != NULL ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for a path");
    }
    static const char *const names[] = {"TMPDIR", "TEMP", "TMP"};
    const char              *folder = "/tmp";
    for (size_t i = BT_ARRAY_LEN(names); i > 0; i--) {
        const char *const value = getenv(names[i - 1]);
        folder = value != NULL && value[0] != '\0' ? value : folder;
    }
    return bt_fs_join(folder, "tfhub_modules", out, err);
}

static bt_status sha1_of(const char *text, char hex[BT_FS_HEX_MAX], bt_error *err) {
    bt_fs_hasher *hasher = NULL;
    BT_TRY(bt_fs_hasher_create(BT_FS_SHA1, &hasher, err));
    bt_status rc = bt_fs_hasher_add(hasher, text, strlen(text), err);
    if (rc == BT_OK) {
        rc = bt_fs_hasher_finish(hasher, hex, err);
    }
    bt_fs_hasher_free(hasher);
    return rc;
}

/* Another for each process and moment: two that make the same module must not share a folder. */
static void make_uid(char uid[33]) {
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(uid, 33, "%016llx%08lx%08lx", (unsigned long long)now.tv_sec,
                   (unsigned long)now.tv_nsec, (unsigned long)getpid() & 0xffffffffUL);
}

static void host_name(char host[HOST_MAX]) {
    if (gethostname(host, HOST_MAX) != 0) {
        memcpy(host, "localhost", sizeof "localhost");
    }
    host[HOST_MAX - 1] = '\0';
}

static bt_status with_tail(const char *path, const char *tail, char **out, bt_error *err) {
    bt_str          s = BT_STR_INIT;
    const bt_status rc = bt_str_appendf(&s, err, "%s%s", path, tail);
    *out = rc == BT_OK ? bt_str_take(&s) : NULL;
    bt_str_deinit(&s);
    return rc;
}

bt_status hub_slot_init(hub_slot *slot, const char *handle, bt_error *err) {
    char hex[BT_FS_HEX_MAX];
    char uid[33];
    char tail[48];
    char host[HOST_MAX];
    *slot = (hub_slot){.handle = handle};
    make_uid(uid);
    host_name(host);
    (void)snprintf(tail, sizeof tail, ".%s.tmp", uid);
    BT_TRY(cache_folder(&slot->cache, err));
    BT_TRY(bt_fs_check_private_folder(slot->cache, err));
    BT_TRY(sha1_of(handle, hex, err));
    BT_TRY(bt_fs_join(slot->cache, hex, &slot->module, err));
    BT_TRY(with_tail(slot->module, tail, &slot->temporary, err));
    BT_TRY(with_tail(slot->module, ".lock", &slot->lock, err));
    BT_TRY(with_tail(slot->module, ".archive", &slot->archive, err));
    return bt_str_appendf(&slot->lock_text, err, "%s.%ld.%s", host, (long)getpid(), uid);
}

void hub_slot_deinit(hub_slot *slot) {
    bt_free(slot->cache);
    bt_free(slot->module);
    bt_free(slot->temporary);
    bt_free(slot->lock);
    bt_free(slot->archive);
    bt_str_deinit(&slot->lock_text);
    *slot = (hub_slot){0};
}

bool hub_slot_is_filled(const hub_slot *slot) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_fs_info  info = {0};
    if (bt_fs_stat(slot->module, &info, NULL) != BT_OK || info.kind != BT_FS_FOLDER ||
        bt_fs_list(slot->module, &names, NULL) != BT_OK) {
        return false;
    }
    const bool filled = names.n > 0;
    bt_fs_names_deinit(&names);
    return filled;
}

/* *taken false: another has it. */
static bt_status try_lock(const hub_slot *slot, bool *taken, bt_error *err) {
    const int fd = open(slot->lock, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    *taken = fd >= 0;
    if (fd < 0) {
        return errno == EEXIST
                   ? BT_OK
                   : BT_FAIL(err, BT_E_RESOURCE,
                             "cannot write to the cache of modules %s: %s (TFHUB_CACHE_DIR)",
                             slot->cache, strerror(errno));
    }
    const ssize_t n = write(fd, slot->lock_text.data, slot->lock_text.len);
    (void)close(fd);
    return n == (ssize_t)slot->lock_text.len
               ? BT_OK
               : BT_FAIL(err, BT_E_RESOURCE, "cannot write %s", slot->lock);
}

static bool read_lock(const hub_slot *slot, char text[LOCK_MAX_BYTES]) {
    char  *bytes = NULL;
    size_t n = 0;
    if (bt_fs_read_all(slot->lock, LOCK_MAX_BYTES - 1, &bytes, &n, NULL) != BT_OK) {
        return false;
    }
    memcpy(text, bytes, n + 1);
    bt_free(bytes);
    return true;
}

/* The owner's folder grows while it works; its name is in the lock. */
static int64_t work_done(const hub_slot *slot, const char *lock_text) {
    const char *const uid = strrchr(lock_text, '.');
    int64_t           sum = 0;
    bt_fs_names       names = BT_FS_NAMES_INIT;
    bt_str            pattern = BT_STR_INIT;
    if (uid != NULL && strpbrk(uid, "*?[/") == NULL &&
        bt_str_appendf(&pattern, NULL, "%s%s.tmp/*", slot->module, uid) == BT_OK &&
        bt_fs_glob(pattern.data, &names, NULL) == BT_OK) {
        for (size_t i = 0; i < names.n; i++) {
            bt_fs_info info = {0};
            sum += bt_fs_stat(names.items[i], &info, NULL) == BT_OK ? info.n_bytes + 1 : 0;
        }
    }
    bt_fs_names_deinit(&names);
    bt_str_deinit(&pattern);
    return sum;
}

/* HOST.PID.UID of a process of this machine that is no more. */
static bool is_of_the_dead(const char *lock_text) {
    char              host[HOST_MAX];
    char              pid[24];
    const char *const uid = strrchr(lock_text, '.');
    int64_t           number = 0;
    host_name(host);
    const size_t n_host = strlen(host);
    if (uid == NULL || strncmp(lock_text, host, n_host) != 0 || lock_text[n_host] != '.' ||
        uid <= lock_text + n_host || (size_t)(uid - lock_text) - n_host - 1 >= sizeof pid) {
        return false;
    }
    const size_t n = (size_t)(uid - lock_text) - n_host - 1;
    memcpy(pid, lock_text + n_host + 1, n);
    pid[n] = '\0';
    return bt_parse_i64(pid, &number) && number > 0 && number <= INT32_MAX &&
           kill((pid_t)number, 0) != 0 && errno == ESRCH;
}

/* One that stays makes others wait until it is void. */
static void remove_lock(const hub_slot *slot) {
    if (unlink(slot->lock) != 0 && errno != ENOENT) {
        bt_log(BT_LOG_WARNING, "%s: this lock cannot be removed: %s", slot->lock, strerror(errno));
    }
}

/* The lock and the folder that its owner was filling. */
static void remove_void(const hub_slot *slot, const char *lock_text) {
    const char *const uid = strrchr(lock_text, '.');
    bt_str            folder = BT_STR_INIT;
    bt_error          problem = BT_ERROR_INIT;
    if (uid != NULL && strchr(uid, '/') == NULL && uid[1] != '\0' &&
        bt_str_appendf(&folder, NULL, "%s%s.tmp", slot->module, uid) == BT_OK &&
        bt_fs_remove_tree(folder.data, &problem) != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s", problem.msg);
    }
    remove_lock(slot);
    bt_str_deinit(&folder);
}

/* Until the lock is gone, or void and removed. */
static bt_status wait_for_others(const hub_slot *slot, bt_error *err) {
    char    before[LOCK_MAX_BYTES] = "";
    char    text[LOCK_MAX_BYTES];
    int64_t done_before = -1;
    bool    told = false;
    double  changed = bt_time_monotonic();
    while (read_lock(slot, text)) {
        const int64_t done = work_done(slot, text);
        if (is_of_the_dead(text)) {
            bt_log(BT_LOG_WARNING, "%s: its owner (%s) is gone: removed", slot->lock, text);
            remove_void(slot, text);
            return BT_OK;
        }
        if (!told) {
            bt_log(BT_LOG_INFO,
                   "module %s: another process is fetching it (%s, held by %.200s: host, process): "
                   "waiting until it is done or has done nothing for %.0f s",
                   slot->handle, slot->lock, text, void_after_seconds);
            told = true;
        }
        if (done != done_before || strcmp(text, before) != 0) {
            changed = bt_time_monotonic();
            done_before = done;
            memcpy(before, text, strlen(text) + 1);
        } else if (bt_time_monotonic() - changed > void_after_seconds) {
            bt_log(BT_LOG_WARNING, "%s: its owner did nothing for %.0f s: removed", slot->lock,
                   void_after_seconds);
            remove_void(slot, text);
            return BT_OK;
        }
        BT_TRY(bt_stop_check_now(err));
        (void)bt_stop_sleep(poll_seconds);
    }
    return bt_stop_check_now(err); /* then the lock was not read, too */
}

/* What killed processes left of this module: whoever works on it has the lock, which is ours. */
static bt_status sweep(const hub_slot *slot, bt_error *err) {
    static const char *const files[] = {".descriptor.txt", ".sha256.txt"};
    static const char        hex[] = "0123456789abcdef";
    bt_status                rc = BT_OK;
    bt_fs_names              names = BT_FS_NAMES_INIT;
    char                    *path = NULL;
    const char *const        module = bt_fs_basename(slot->module);
    const size_t             n = strlen(module);
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        BT_CHECK(with_tail(module, files[i], &path, err));
        BT_CHECK(bt_fs_sweep(slot->cache, path, err));
        bt_free(path);
        path = NULL;
    }
    BT_CHECK(bt_fs_list(slot->cache, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        const char *const name = names.items[i]; /* MODULE.UID.tmp */
        if (strncmp(name, module, n) != 0 || name[n] != '.' || strspn(name + n + 1, hex) != 32 ||
            !bt_str_equal(name + n + 33, ".tmp")) {
            continue;
        }
        BT_CHECK(bt_fs_join(slot->cache, name, &path, err));
        BT_CHECK(bt_fs_remove_tree(path, err));
        bt_free(path);
        path = NULL;
    }
done:
    bt_free(path);
    bt_fs_names_deinit(&names);
    return rc;
}

/* With stop_when_filled: until it is filled, or the lock is ours. */
static bt_status lock_slot(hub_slot *slot, bool stop_when_filled, bool *filled, bt_error *err) {
    BT_TRY(bt_fs_make_private_folder(slot->cache, err));
    for (;;) {
        bool taken = false;
        BT_TRY(bt_stop_check(err));
        *filled = stop_when_filled && hub_slot_is_filled(slot);
        if (*filled) {
            return BT_OK;
        }
        BT_TRY(try_lock(slot, &taken, err));
        if (taken) {
            *filled = stop_when_filled && hub_slot_is_filled(slot); /* by one who just gave the
                                                                     * lock back */
            if (*filled) {
                hub_slot_unlock(slot);
                return BT_OK;
            }
            bt_status rc = sweep(slot, err);
            if (rc == BT_OK) {
                rc = bt_fs_make_private_folder(slot->temporary, err);
            }
            if (rc != BT_OK) {
                hub_slot_unlock(slot);
            }
            return rc;
        }
        BT_TRY(wait_for_others(slot, err));
    }
}

bt_status hub_slot_lock(hub_slot *slot, bool *filled, bt_error *err) {
    return lock_slot(slot, true, filled, err);
}

bt_status hub_slot_lock_always(hub_slot *slot, bt_error *err) {
    bool filled = false;
    return lock_slot(slot, false, &filled, err);
}

void hub_slot_unlock(const hub_slot *slot) {
    char     text[LOCK_MAX_BYTES];
    bt_error ignored = BT_ERROR_INIT;
    bt_stop_shield(true); /* a program that is asked to stop leaves no lock */
    if (bt_fs_remove_tree(slot->temporary, &ignored) != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s", ignored.msg);
    }
    if (read_lock(slot, text) && strcmp(text, slot->lock_text.data) == 0) {
        remove_lock(slot);
    }
    bt_stop_shield(false);
}

static bt_status write_beside(const hub_slot *slot, const char *tail, const bt_str *text,
                              bt_error *err) {
    char *path = NULL;
    BT_TRY(with_tail(slot->module, tail, &path, err));
    const bt_status rc = bt_fs_replace(path, bt_str_text(text), text->len, err);
    bt_free(path);
    return rc;
}

static bt_status write_descriptor(const hub_slot *slot, bt_error *err) {
    bt_str       text = BT_STR_INIT;
    char         host[HOST_MAX];
    char         when[64] = "";
    const time_t now = time(NULL);
    struct tm    parts;
    host_name(host);
    if (localtime_r(&now, &parts) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    }
    bt_status rc = bt_str_appendf(
        &text, err, "Module: %s\nDownload Time: %s\nDownloader Hostname: %s (PID:%ld)",
        slot->handle, when, host, (long)getpid());
    if (rc == BT_OK) {
        bt_hide_signatures(text.data);
        text.len = strlen(text.data);
        rc = write_beside(slot, ".descriptor.txt", &text, err);
    }
    bt_str_deinit(&text);
    return rc;
}

/* Nothing that is used is believed from here (hub_pin.c): it says what could be pinned. */
static bt_status write_digests(const hub_slot *slot, const char *sha256, bt_error *err) {
    bt_str text = BT_STR_INIT;
    char   content[BT_FS_HEX_MAX];
    BT_TRY(hub_content_digest(slot->temporary, content, err));
    bt_status rc = bt_str_appendf(&text, err, "%s\ncontent:%s\n", sha256, content);
    if (rc == BT_OK) {
        rc = write_beside(slot, ".sha256.txt", &text, err);
    }
    if (rc == BT_OK) {
        bt_log(BT_LOG_INFO, "module %s: its archive has the SHA-256 %s, its files content:%s",
               slot->handle, sha256, content);
    }
    bt_str_deinit(&text);
    return rc;
}

bt_status hub_slot_publish(const hub_slot *slot, const char *sha256, bt_error *err) {
    BT_TRY(write_descriptor(slot, err));
    BT_TRY(write_digests(slot, sha256, err));
    (void)rmdir(slot->module); /* an empty one that somebody left */
    if (rename(slot->temporary, slot->module) != 0 && !hub_slot_is_filled(slot)) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot put the module in place at %s: %s", slot->module,
                       strerror(errno));
    }
    return BT_OK;
}
