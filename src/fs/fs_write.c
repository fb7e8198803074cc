/* SPDX-License-Identifier: Apache-2.0
 *
 * Writers. The replace writer never shows a half-written file: bytes go to a temporary in the same
 * folder, which is fsynced, renamed over the target, and the folder is fsynced too, so that the
 * file survives a power cut. A target that is not a regular file (a pipe), or that is a descriptor
 * of this process (/dev/stdout, whatever it leads to), cannot be replaced and is written directly.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include <errno.h>
#include <fcntl.h>
#include <limits.h> /* PIPE_BUF */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/pool.h"
#include "bt/base/stop.h"
#include "fs_commit.h"
#include "fs_internal.h"
#include "remote.h"

enum { WRITE_BUFFER_BYTES = 1 << 18 };

struct bt_fs_writer {
    remote_writer *remote; /* or NULL; then nothing else but path is used */
    int            fd;
    int            held_fd;    /* keeps the lock of a temporary file that was closed; or -1 */
    char          *path;       /* as the caller said it */
    char          *target;     /* path with links resolved; NULL: written directly */
    char          *temporary;  /* NULL: written directly */
    bool           keeps_mode; /* of the file that it replaces */
    mode_t         mode;
    bool           is_special; /* a pipe, a terminal: its reader may let it wait */
    uint8_t       *buffer;
    size_t         used;
    int64_t        offset;
    bool           is_paced;
    fs_pacer       pacer;
};

static void writer_free(bt_fs_writer *writer) {
    if (writer == NULL) {
        return;
    }
    if (writer->fd >= 0) {
        (void)close(writer->fd);
    }
    if (writer->held_fd >= 0) {
        (void)close(writer->held_fd);
    }
    remote_writer_free(writer->remote);
    bt_free(writer->path);
    bt_free(writer->target);
    bt_free(writer->temporary);
    bt_free(writer->buffer);
    bt_free(writer);
}

static bt_status writer_create(const char *path, bt_fs_writer **out, bt_error *err) {
    if (!fs_is_served(path)) {
        BT_TRY(fs_check_local(path, err));
    }
    bt_fs_writer *const writer = bt_calloc_array(1, sizeof *writer);
    if (writer != NULL) {
        writer->fd = -1;
        writer->held_fd = -1;
        writer->path = bt_strdup(path);
        writer->buffer = bt_alloc(WRITE_BUFFER_BYTES);
    }
    if (writer == NULL || writer->path == NULL || writer->buffer == NULL) {
        writer_free(writer);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s for writing", path);
    }
    *out = writer;
    return BT_OK;
}

/* The file that a rename must replace: links are followed, so that they stay links. */
static bt_status resolve_target(bt_fs_writer *writer, bt_error *err) {
    errno = 0;
    char *const resolved = realpath(writer->path, NULL); /* freed below: libc's own memory */
    if (resolved == NULL && errno == ENOMEM) {           /* not "nothing is there" */
        return fs_fail_write(writer->path, "create", ENOMEM, err);
    }
    writer->target = bt_strdup(resolved != NULL ? resolved : writer->path);
    free(resolved);
    if (writer->target == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s for writing", writer->path);
    }
    return BT_OK;
}

/* A file that is there keeps its permissions: until then nobody else reads the new one. */
static bt_status open_temporary(bt_fs_writer *writer, bt_error *err) {
    struct stat st;
    BT_TRY(resolve_target(writer, err));
    writer->keeps_mode = stat(writer->target, &st) == 0 && S_ISREG(st.st_mode);
    writer->mode = writer->keeps_mode ? st.st_mode & 0777 : 0;
    return fs_temporary_open(writer->target, writer->keeps_mode ? 0600 : 0666, &writer->temporary,
                             &writer->fd, err);
}

/* Pipes and terminals have nothing to sync: EINVAL there is no failure. */
static bt_status sync_fd(int fd, const char *path, bt_error *err) {
    if (fs_sys_fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) {
        return fs_fail_write(path, "write", errno, err);
    }
    return BT_OK;
}

bt_status fs_sync_folder_of(const char *path, bt_error *err) {
    char *folder = NULL;
    BT_TRY(bt_fs_parent(path, &folder, err));
    bt_status rc = BT_OK;
    const int fd = fs_sys_open(folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        const int why = errno;
        if (why == EACCES) { /* it may be written but not listed: then all is synced */
            sync();
        } else {
            rc = fs_fail_write(folder, "sync folder", why, err);
        }
    } else {
        rc = sync_fd(fd, path, err);
        (void)close(fd);
    }
    bt_free(folder);
    return rc;
}

/* To append to a file; a pipe or a device in its place would be waited for. */
static bt_status open_append(bt_fs_writer *writer, bt_error *err) {
    struct stat st;
    const bool  is_new = stat(writer->path, &st) != 0;
    writer->fd = fs_sys_open(writer->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY);
    if (writer->fd < 0 && errno != ENXIO) {
        return fs_fail_write(writer->path, "write", errno, err);
    }
    if (writer->fd < 0 || fstat(writer->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: it is not a regular file",
                       writer->path);
    }
    const off_t end = lseek(writer->fd, 0, SEEK_END);
    writer->offset = end < 0 ? 0 : (int64_t)end;
    return is_new ? fs_sync_folder_of(writer->path, err) : BT_OK;
}

bt_status bt_fs_writer_create(const char *path, bt_fs_writer **out, bt_error *err) {
    bt_fs_writer *writer = NULL;
    bt_status     rc = BT_OK;
    struct stat   st;
    BT_TRY(writer_create(path, &writer, err));
    const bool is_there = !fs_is_served(path) && stat(path, &st) == 0;
    if (fs_is_served(path)) {
        rc = remote_writer_create(path, false, &writer->remote, err);
    } else if (is_there && S_ISDIR(st.st_mode)) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: it is a folder", path);
    } else if (is_there && (!S_ISREG(st.st_mode) || fs_is_descriptor(path))) {
        rc = fs_open_special(path, S_ISREG(st.st_mode) ? O_APPEND : 0, &writer->fd, err);
        writer->is_special = !S_ISREG(st.st_mode);
    } else {
        rc = open_temporary(writer, err);
    }
    if (rc != BT_OK) {
        writer_free(writer);
        return rc;
    }
    *out = writer;
    return BT_OK;
}

bt_status bt_fs_writer_append(const char *path, bt_fs_writer **out, bt_error *err) {
    bt_fs_writer *writer = NULL;
    BT_TRY(writer_create(path, &writer, err));
    const bt_status rc = fs_is_served(path) ? remote_writer_create(path, true, &writer->remote, err)
                                            : open_append(writer, err);
    if (rc != BT_OK) {
        writer_free(writer);
        return rc;
    }
    *out = writer;
    return BT_OK;
}

bool bt_fs_writer_is_orphan(const bt_fs_writer *writer) {
    struct stat st;
    return writer->remote == NULL && writer->fd >= 0 && fstat(writer->fd, &st) == 0 &&
           st.st_nlink == 0;
}

void bt_fs_writer_pace(bt_fs_writer *writer) {
    writer->is_paced = writer->temporary != NULL;
}

static bt_status write_out(bt_fs_writer *writer, const uint8_t *bytes, size_t n_bytes,
                           bt_error *err) {
    /* a pipe that has room takes so much without waiting */
    const size_t most = writer->is_special ? PIPE_BUF : FS_PACE_BYTES;
    while (n_bytes > 0) {
        if (writer->is_special) {
            BT_TRY(fs_await_room(writer->fd, writer->path, err));
        }
        const ssize_t n = fs_sys_write(writer->fd, bytes, n_bytes < most ? n_bytes : most);
        if (n == 0) { /* it would be tried for ever */
            return fs_fail_write(writer->path, "write", EIO, err);
        }
        if (n < 0 || (writer->is_paced && fs_pace(writer->fd, &writer->pacer, (size_t)n) != 0)) {
            return fs_fail_write(writer->path, "write", errno, err);
        }
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return BT_OK;
}

static bt_status write_buffer(bt_fs_writer *writer, bt_error *err) {
    const size_t used = writer->used;
    writer->used = 0; /* after a failure nothing is written twice */
    return write_out(writer, writer->buffer, used, err);
}

/* Whoever is asked to stop, and does not save just then, leaves what was there. An append goes on:
 * its lines are of what was done. */
static bt_status check_stop(const bt_fs_writer *writer, bt_error *err) {
    return writer->temporary != NULL ? bt_stop_check_now(err) : BT_OK;
}

bt_status bt_fs_writer_write(bt_fs_writer *writer, const void *bytes, size_t n_bytes,
                             bt_error *err) {
    if (writer->remote != NULL) {
        return remote_writer_write(writer->remote, bytes, n_bytes, err);
    }
    BT_TRY(check_stop(writer, err));
    if (n_bytes > WRITE_BUFFER_BYTES - writer->used) {
        BT_TRY(write_buffer(writer, err));
    }
    if (n_bytes > WRITE_BUFFER_BYTES) {
        BT_TRY(write_out(writer, bytes, n_bytes, err));
    } else if (n_bytes > 0) {
        memcpy(writer->buffer + writer->used, bytes, n_bytes);
        writer->used += n_bytes;
    }
    writer->offset += (int64_t)n_bytes;
    return BT_OK;
}

int64_t bt_fs_writer_offset(const bt_fs_writer *writer) {
    return writer->remote != NULL ? remote_writer_offset(writer->remote) : writer->offset;
}

const char *bt_fs_writer_path(const bt_fs_writer *writer) {
    return writer->path;
}

bt_status bt_fs_writer_flush(bt_fs_writer *writer, bool to_disk, bt_error *err) {
    if (writer->remote != NULL) {
        return remote_writer_flush(writer->remote, to_disk, err);
    }
    BT_TRY(write_buffer(writer, err));
    return to_disk ? sync_fd(writer->fd, writer->path, err) : BT_OK;
}

static bool is_same_folder(const char *a, const char *b) {
    const size_t n = (size_t)(bt_fs_basename(a) - a);
    return n == (size_t)(bt_fs_basename(b) - b) && memcmp(a, b, n) == 0;
}

/* Until it has its name a temporary file stays locked against sweeps, closed or not. */
static bt_status close_file(bt_fs_writer *writer, bt_error *err) {
    if (writer->temporary != NULL) {
        writer->held_fd = fcntl(writer->fd, F_DUPFD_CLOEXEC, 3);
    }
    if (writer->temporary != NULL && writer->keeps_mode) {
        (void)fchmod(writer->fd, writer->mode); /* some file systems have no modes */
    }
    const int failure = close(writer->fd);
    writer->fd = -1;
    return failure != 0 ? fs_fail_write(writer->path, "write", errno, err) : BT_OK;
}

/* Closes the file and gives it its name; the folder is not yet synced. */
static bt_status put_in_place(bt_fs_writer *writer, bt_error *err) {
    BT_TRY(close_file(writer, err));
    if (writer->temporary != NULL) {
        if (fs_sys_rename(writer->temporary, writer->target) != 0) {
            return fs_fail_write(writer->path, "replace", errno, err);
        }
        bt_free(writer->temporary); /* an abort after this point has nothing to remove */
        writer->temporary = NULL;
    }
    return BT_OK;
}

bt_status bt_fs_writer_commit(bt_fs_writer **writer_ptr, bt_error *err) {
    bt_fs_writer *const writer = *writer_ptr;
    const bool          is_replaced = writer->temporary != NULL;
    if (writer->remote != NULL) {
        BT_TRY(remote_writer_commit(writer->remote, err));
        writer_free(writer);
        *writer_ptr = NULL;
        return BT_OK;
    }
    BT_TRY(bt_fs_writer_flush(writer, is_replaced, err));
    BT_TRY(check_stop(writer, err));
    BT_TRY(put_in_place(writer, err));
    if (is_replaced) {
        BT_TRY(fs_sync_folder_of(writer->target, err));
    }
    writer_free(writer);
    *writer_ptr = NULL;
    return BT_OK;
}

typedef struct flush_job {
    bt_fs_writer **writers;
    bt_status     *statuses;
    bt_error      *errors;
} flush_job;

static void flush_one(void *context, int64_t task, int32_t thread) {
    const flush_job *const job = context;
    bt_fs_writer *const    writer = job->writers[task];
    (void)thread;
    job->statuses[task] = bt_fs_writer_flush(writer, writer->temporary != NULL, &job->errors[task]);
}

/* A disk takes many files in hardly more time than one, if they are handed over together. */
static bt_status flush_all(bt_fs_writer **writers, size_t n, bt_error *err) {
    enum { MAX_WAITING = 16 };
    bt_status rc = BT_OK;
    bt_pool  *pool = NULL;
    bt_error  ignored = BT_ERROR_INIT; /* without threads it only takes longer */
    flush_job job = {.writers = writers,
                     .statuses = bt_calloc_array(n, sizeof *job.statuses),
                     .errors = bt_calloc_array(n, sizeof *job.errors)};
    if (job.statuses == NULL || job.errors == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", n);
        goto done;
    }
    if (n > 1 &&
        bt_pool_create(&pool, (int32_t)(n < MAX_WAITING ? n : MAX_WAITING), &ignored) != BT_OK) {
        pool = NULL;
    }
    bt_pool_run(pool, (int64_t)n, flush_one, &job);
    for (size_t i = 0; i < n && rc == BT_OK; i++) {
        if (job.statuses[i] != BT_OK) {
            rc = BT_FAIL(err, job.statuses[i], "%s", job.errors[i].msg);
        }
    }
done:
    bt_pool_free(pool);
    bt_free(job.statuses);
    bt_free(job.errors);
    return rc;
}

typedef struct together {
    bt_fs_writer **writers;
    size_t         n;
    fs_placing    *files; /* those that get their name by a rename, in order */
    size_t         n_files;
    fs_journal    *journals; /* one in each folder */
    size_t         n_journals;
} together;

static void together_end_journals(together *t, bool is_done) {
    for (size_t i = 0; i < t->n_journals; i++) {
        fs_journal_end(&t->journals[i], is_done);
    }
    t->n_journals = 0;
}

/* Whoever reads or writes in any of the folders knows what is to be done. */
static bt_status together_begin_journals(together *t, bt_error *err) {
    if (t->n_files < 2) {
        return BT_OK;
    }
    t->journals = bt_calloc_array(t->n_files, sizeof *t->journals);
    if (t->journals == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", t->n_files);
    }
    for (size_t i = t->n_files; i > 0; i--) {
        const char *const path = t->files[i - 1].final;
        bool              has_one = false;
        for (size_t k = i; k < t->n_files && !has_one; k++) {
            has_one = is_same_folder(path, t->files[k].final);
        }
        if (has_one) {
            continue;
        }
        const bt_status rc =
            fs_journal_begin(&t->journals[t->n_journals], path, t->files, t->n_files, err);
        if (rc != BT_OK) {
            together_end_journals(t, true);
            return rc;
        }
        t->n_journals++;
    }
    return BT_OK;
}

static bt_status together_begin(together *t, bt_error *err) {
    t->files = bt_calloc_array(t->n, sizeof *t->files);
    if (t->files == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", t->n);
    }
    for (size_t i = 0; i < t->n; i++) {
        const bt_fs_writer *const writer = t->writers[i];
        if (writer->temporary == NULL) {
            continue;
        }
        fs_placing *const file = &t->files[t->n_files++];
        file->temporary = bt_strdup(writer->temporary);
        file->final = bt_strdup(writer->target);
        if (file->temporary == NULL || file->final == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu files", t->n);
        }
    }
    return together_begin_journals(t, err);
}

static bt_status together_place(together *t, bt_error *err) {
    size_t f = 0;
    for (size_t i = 0; i < t->n; i++) {
        bt_fs_writer *const writer = t->writers[i];
        if (writer->remote != NULL) {
            BT_TRY(remote_writer_commit(writer->remote, err));
            continue;
        }
        BT_TRY(close_file(writer, err));
        if (writer->temporary != NULL) {
            BT_TRY(fs_place(&t->files[f++], err));
        }
    }
    for (f = 0; f < t->n_files; f++) {
        if (f + 1 == t->n_files || !is_same_folder(t->files[f].final, t->files[f + 1].final)) {
            BT_TRY(fs_sync_folder_of(t->files[f].final, err));
        }
    }
    return BT_OK;
}

/* What is there was put back, or the journal stays and with it the temporary files. */
static bt_status together_fail(together *t, bt_status rc, bt_error *err) {
    if (fs_put_all_back(t->files, t->n_files)) {
        together_end_journals(t, true);
        return rc;
    }
    const bool stays = t->n_journals > 0;
    together_end_journals(t, false);
    for (size_t i = 0; stays && i < t->n; i++) {
        bt_free(t->writers[i]->temporary);
        t->writers[i]->temporary = NULL;
    }
    return bt_error_prefix(err, "%s",
                           stays ? "only some of the files have their names, and the next run that "
                                   "writes there will give the others theirs"
                                 : "what was there could not be put back");
}

bt_status bt_fs_writers_commit(bt_fs_writer **writers, size_t n, bt_error *err) {
    together  t = {.writers = writers, .n = n};
    bt_status rc = BT_OK;
    BT_TRY(flush_all(writers, n, err));
    BT_TRY(bt_stop_check_now(err)); /* from here on they get their names, all of them */
    BT_CHECK(together_begin(&t, err));
    rc = together_place(&t, err);
    if (rc != BT_OK) {
        rc = together_fail(&t, rc, err);
        goto done;
    }
    together_end_journals(&t, true);
    for (size_t i = 0; i < n; i++) {
        bt_free(writers[i]->temporary);
        writers[i]->temporary = NULL;
        writer_free(writers[i]);
        writers[i] = NULL;
    }
done:
    for (size_t i = 0; i < t.n_files; i++) {
        fs_placing_deinit(&t.files[i]);
    }
    bt_free(t.files);
    bt_free(t.journals);
    return rc;
}

void bt_fs_writer_abort(bt_fs_writer *writer) {
    if (writer == NULL) {
        return;
    }
    if (writer->remote != NULL) {
        remote_writer_close_append(writer->remote);
    } else if (writer->temporary != NULL) {
        fs_discard(writer->temporary);
    } else if (writer->fd >= 0) {
        (void)write_buffer(writer, NULL); /* an append writer keeps what it was given */
    }
    writer_free(writer);
}

bt_status bt_fs_replace_if(const char *path, const void *bytes, size_t n_bytes, int64_t if_version,
                           int64_t *version, bt_error *err) {
    if (fs_is_served(path)) {
        return remote_replace_if(path, bytes, n_bytes, if_version, version, err);
    }
    *version = BT_FS_ANY_VERSION;
    return bt_fs_replace(path, bytes, n_bytes, err);
}

bt_status bt_fs_replace(const char *path, const void *bytes, size_t n_bytes, bt_error *err) {
    bt_fs_writer *writer = NULL;
    bt_status     rc = BT_OK;
    struct stat   st;
    if (!fs_is_served(path) && stat(path, &st) == 0 &&
        (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        return BT_FAIL(err, BT_E_RESOURCE, "cannot write %s: it is not a regular file", path);
    }
    BT_CHECK(bt_fs_writer_create(path, &writer, err));
    BT_CHECK(bt_fs_writer_write(writer, bytes, n_bytes, err));
    BT_CHECK(bt_fs_writer_commit(&writer, err));
done:
    bt_fs_writer_abort(writer);
    return rc;
}
