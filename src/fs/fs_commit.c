/* SPDX-License-Identifier: Apache-2.0
 *
 * Several files that appear together. When all are whole on the disk under temporary names, a
 * journal in each of their folders says which name each gets; then they get them. A failure puts
 * back what was there; after a kill the journal stands, and whoever next writes there gives the
 * rest their names. So there is all of the old or, once the journal stands, all of the new. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "fs_commit.h"
#include "fs_internal.h"

enum { MAX_JOURNAL_BYTES = 1 << 20, RANDOM_HEX = 16 };
static const char magic[] = "bert-train commit 1";
static const char journal_start[] = ".bert-train-commit-";
static const char at_end[] = "end";

/* The journal: strings that end with NUL: magic, temporary, final, ..., "end". */

static bt_status put(bt_str *text, const char *word, bt_error *err) {
    return bt_str_append_n(text, word, strlen(word) + 1, err);
}

/* From anywhere: the next run may have another working folder. */
static bt_status put_path(bt_str *text, const char *path, bt_error *err) {
    if (path[0] == '/') {
        return put(text, path, err);
    }
    char *const here = getcwd(NULL, 0); /* freed below: libc's memory */
    if (here == NULL) {
        return BT_FAIL(err, BT_E_RESOURCE, "the working folder is gone: %s", strerror(errno));
    }
    bt_status rc = bt_str_append(text, here, err);
    free(here); /* getcwd's */
    if (rc == BT_OK) {
        rc = bt_str_append_char(text, '/', err);
    }
    return rc == BT_OK ? put(text, path, err) : rc;
}

bt_status fs_journal_begin(fs_journal *journal, const char *beside, const fs_placing *files,
                           size_t n, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    bt_str    name = BT_STR_INIT;
    char     *folder = NULL;
    char     *temporary = NULL;
    char      hex[RANDOM_HEX + 1];
    *journal = (fs_journal){.fd = -1};
    BT_CHECK(fs_random_hex(hex, RANDOM_HEX, err));
    BT_CHECK(bt_fs_parent(beside, &folder, err));
    BT_CHECK(bt_str_appendf(&name, err, "%s/%s%s", folder, journal_start, hex));
    BT_CHECK(put(&text, magic, err));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(put_path(&text, files[i].temporary, err));
        BT_CHECK(put_path(&text, files[i].final, err));
    }
    BT_CHECK(put(&text, at_end, err));
    BT_CHECK(fs_temporary_open(bt_str_text(&name), 0600, &temporary, &journal->fd, err));
    for (size_t done = 0; done < text.len;) {
        const ssize_t wrote = fs_sys_write(journal->fd, text.data + done, text.len - done);
        if (wrote <= 0) {
            rc = fs_fail_write(beside, "write", wrote < 0 ? errno : EIO, err);
            goto done;
        }
        done += (size_t)wrote;
    }
    if (fs_sys_fsync(journal->fd) != 0 || fs_sys_rename(temporary, bt_str_text(&name)) != 0) {
        rc = fs_fail_write(beside, "write", errno, err);
        goto done;
    }
    bt_free(temporary);
    temporary = NULL;
    journal->path = bt_str_take(&name);
    BT_CHECK(fs_sync_folder_of(journal->path, err));
done:
    if (temporary != NULL) {
        fs_discard(temporary);
        bt_free(temporary);
    }
    if (rc != BT_OK) {
        fs_journal_end(journal, true);
    }
    bt_free(folder);
    bt_str_deinit(&text);
    bt_str_deinit(&name);
    return rc;
}

void fs_journal_end(fs_journal *journal, bool is_done) {
    if (journal->path != NULL && is_done) {
        fs_discard(journal->path);
    }
    if (journal->fd >= 0) {
        (void)close(journal->fd);
    }
    bt_free(journal->path);
    *journal = (fs_journal){.fd = -1};
}

/* What is there keeps a second name until all is done; where there are no hard links it cannot. */
static bt_status keep_old(fs_placing *file, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_str      name = BT_STR_INIT;
    struct stat st;
    file->had_old = lstat(file->final, &st) == 0;
    if (!file->had_old) {
        return BT_OK;
    }
    BT_CHECK(fs_temporary_name(file->final, &name, err));
    if (fs_sys_link(file->final, bt_str_text(&name)) == 0) {
        file->old = bt_str_take(&name);
    }
done:
    bt_str_deinit(&name);
    return rc;
}

bt_status fs_place(fs_placing *file, bt_error *err) {
    BT_TRY(keep_old(file, err));
    if (fs_sys_rename(file->temporary, file->final) != 0) {
        return fs_fail_write(file->final, "replace", errno, err);
    }
    file->is_placed = true;
    return BT_OK;
}

/* The new one gets its temporary name back first: a kill in between finds it there. */
static bool put_back(fs_placing *file) {
    if (!file->is_placed) {
        return true;
    }
    if ((file->had_old && file->old == NULL) ||
        fs_sys_rename_back(file->final, file->temporary) != 0) {
        return false;
    }
    file->is_placed = false;
    return file->old == NULL || fs_sys_rename_back(file->old, file->final) == 0;
}

bool fs_put_all_back(fs_placing *files, size_t n) {
    bool ok = true;
    for (size_t i = n; i > 0; i--) {
        ok = put_back(&files[i - 1]) && ok;
    }
    return ok;
}

void fs_placing_deinit(fs_placing *file) {
    if (file->old != NULL) {
        fs_discard(file->old);
    }
    bt_free(file->old);
    bt_free(file->temporary);
    bt_free(file->final);
    *file = (fs_placing){0};
}

/* The next word of the text, or NULL. */
static const char *next_word(const char **at, const char *end) {
    const char *const word = *at;
    const char *const nul = word < end ? memchr(word, '\0', (size_t)(end - word)) : NULL;
    if (nul == NULL) {
        return NULL;
    }
    *at = nul + 1;
    return word;
}

/* Only a file of ours beside its own name may get that name. */
static bool is_pair(const char *temporary, const char *final) {
    const char *const name = bt_fs_basename(final);
    const size_t      n_folder = (size_t)(name - final);
    const size_t      n_temporary = strlen(temporary);
    return final[0] == '/' && name[0] != '\0' && bt_fs_is_temporary(temporary) &&
           n_temporary > n_folder && strncmp(temporary, final, n_folder) == 0 &&
           strchr(temporary + n_folder, '/') == NULL;
}

static bool is_whole(const char *text, size_t n) {
    const char *const end = text + n;
    const char       *at = text;
    const char       *word = next_word(&at, end);
    if (!bt_str_equal(word, magic)) {
        return false;
    }
    for (;;) {
        word = next_word(&at, end);
        if (bt_str_equal(word, at_end)) {
            return at == end;
        }
        const char *const final = next_word(&at, end);
        if (word == NULL || final == NULL || !is_pair(word, final)) {
            return false;
        }
    }
}

static bt_status finish_all(const char *text, size_t n, int64_t *n_placed, bt_error *err) {
    const char *const end = text + n;
    const char       *at = text;
    const char       *temporary = NULL;
    (void)next_word(&at, end);
    for (temporary = next_word(&at, end); !bt_str_equal(temporary, at_end);
         temporary = next_word(&at, end)) {
        const char *const final = next_word(&at, end);
        if (fs_sys_rename(temporary, final) == 0) {
            (*n_placed)++;
            BT_TRY(fs_sync_folder_of(final, err));
        } else if (errno != ENOENT) { /* else it has its name */
            return fs_fail_write(final, "replace", errno, err);
        }
    }
    return BT_OK;
}

/* One journal; that of another user, or of a process at work, is not ours to finish. */
static bt_status finish_one(const char *path, bt_error *err) {
    bt_status   rc = BT_OK;
    struct stat st;
    char       *text = NULL;
    size_t      n = 0;
    int64_t     n_placed = 0;
    const int   fd = fs_sys_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return BT_OK;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 022) != 0 || (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)) {
        goto done;
    }
    BT_CHECK(bt_fs_read_all(path, MAX_JOURNAL_BYTES, &text, &n, err));
    if (!is_whole(text, n)) {
        bt_log(BT_LOG_WARNING, "%s: cannot be read: which files it was to name is not known", path);
        goto done;
    }
    BT_CHECK(finish_all(text, n, &n_placed, err));
    if (fs_sys_unlink(path) != 0) {
        rc = fs_fail_write(path, "remove", errno, err);
        goto done;
    }
    if (n_placed > 0) {
        bt_log(BT_LOG_INFO,
               "%s: a run was killed while its files got their names: the other %" PRId64
               " have theirs now",
               path, n_placed);
    }
done:
    (void)close(fd);
    bt_free(text);
    return rc;
}

bt_status bt_fs_finish_commits(const char *folder, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_fs_info  info = {0};
    char       *path = NULL;
    if (fs_is_served(folder)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_stat(folder, &info, err));
    if (info.kind != BT_FS_FOLDER || access(folder, R_OK | W_OK | X_OK) != 0) {
        return BT_OK;
    }
    BT_CHECK(bt_fs_list(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        char *const name = names.items[i];
        if (bt_str_starts_with(name, journal_start) && bt_fs_is_temporary(name)) {
            name[strlen(name) - FS_TEMPORARY_TAIL] = '\0'; /* killed before it stood */
            BT_CHECK(bt_fs_sweep(folder, name, err));
        } else if (bt_str_starts_with(name, journal_start) &&
                   strlen(name) == strlen(journal_start) + RANDOM_HEX) {
            BT_CHECK(bt_fs_join(folder, name, &path, err));
            BT_CHECK(finish_one(path, err));
            bt_free(path);
            path = NULL;
        }
    }
done:
    bt_free(path);
    bt_fs_names_deinit(&names);
    return rc;
}

/* In a folder where everybody writes, as /tmp, a journal of somebody else binds nobody. */
static bool is_of_others(const char *folder, const struct stat *st) {
    struct stat place;
    return st->st_uid != geteuid() && stat(folder, &place) == 0 && (place.st_mode & S_ISVTX) != 0;
}

/* Does a file of the journal still wait for its name? Where it cannot be read: perhaps. */
static bt_status is_pending(const char *folder, const char *path, bool *pending, bt_error *err) {
    char       *text = NULL;
    size_t      n = 0;
    struct stat st;
    *pending = false;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || is_of_others(folder, &st)) {
        return BT_OK; /* perhaps it has just gone */
    }
    if (access(path, R_OK) != 0) {
        *pending = errno != ENOENT;
        return BT_OK;
    }
    BT_TRY(bt_fs_read_all(path, MAX_JOURNAL_BYTES, &text, &n, err));
    if (is_whole(text, n)) {
        const char       *at = text;
        const char *const end = text + n;
        (void)next_word(&at, end);
        for (const char *word = next_word(&at, end); !bt_str_equal(word, at_end);
             word = next_word(&at, end)) {
            *pending = *pending || lstat(word, &st) == 0;
            (void)next_word(&at, end);
        }
    }
    bt_free(text);
    return BT_OK;
}

/* The first journal of the folder that is pending, or NULL. The caller bt_free()s it. */
static bt_status find_pending(const char *folder, char **out, bt_error *err) {
    bt_status   rc = BT_OK;
    bt_fs_names names = BT_FS_NAMES_INIT;
    *out = NULL;
    BT_CHECK(bt_fs_list_unsorted(folder, &names, err));
    for (size_t i = 0; i < names.n && *out == NULL; i++) {
        char *path = NULL;
        bool  pending = false;
        if (!bt_str_starts_with(names.items[i], journal_start) ||
            strlen(names.items[i]) != strlen(journal_start) + RANDOM_HEX) {
            continue;
        }
        BT_CHECK(bt_fs_join(folder, names.items[i], &path, err));
        rc = is_pending(folder, path, &pending, err);
        if (rc == BT_OK && pending) {
            *out = path;
        } else {
            bt_free(path);
        }
        BT_CHECK(rc);
    }
done:
    bt_fs_names_deinit(&names);
    return rc;
}

bt_status bt_fs_settle_commits(const char *folder, bt_error *err) {
    enum { MAX_WAITS = 50 };
    bt_fs_info info = {0};
    char      *path = NULL;
    if (fs_is_served(folder)) {
        return BT_OK;
    }
    BT_TRY(bt_fs_stat(folder, &info, err));
    if (info.kind != BT_FS_FOLDER || access(folder, R_OK | X_OK) != 0) {
        return BT_OK;
    }
    for (int i = 0;; i++) {
        BT_TRY(bt_fs_finish_commits(folder, err));
        BT_TRY(find_pending(folder, &path, err));
        if (path == NULL) {
            return BT_OK;
        }
        if (i == MAX_WAITS) {
            break;
        }
        bt_free(path);
        (void)bt_stop_sleep(0.1);
        BT_TRY(bt_stop_check(err));
    }
    const bt_status rc =
        BT_FAIL(err, BT_E_RESOURCE,
                "%s: some files that were written together have their names here, others not yet, "
                "and this user may not give them theirs: let its owner run create-finetuning-data "
                "there again; or remove it, if the files are known to belong together",
                path);
    bt_free(path);
    return rc;
}
