/* SPDX-License-Identifier: Apache-2.0
 *
 * A remote file as blocks. Blocks that were fetched are kept in a nameless local file, so that
 * reading in any order, and reading again, costs one transfer of each. Who reads on from where it
 * was gets runs of blocks, and threads fetch those that come next, several at a time, so that a
 * round trip's latency is paid once and not once a run. Who jumps gets the blocks that were asked
 * for and no more, so that the first rows of a shuffled file come at once; after some jumps the
 * threads fetch the rest of the file, from front to back, beside the reader. All that have the same
 * version of a file open share it, and it is kept after the last one closed it, for whoever opens
 * it next (an index pass, then the rows).
 *
 * When all blocks are there their crc32c is held against what the store says the file's is. */
#define _GNU_SOURCE /* O_TMPFILE, mkostemp */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/base/cores.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "remote.h"

enum {
    N_FETCHERS = 6,
    RUN_BLOCKS = 8, /* in one request at most */
    AHEAD_BLOCKS = 12 * RUN_BLOCKS,
    JUMPS_OF_A_SHUFFLE = 16,
    MIN_KEPT = 64,
    MAX_KEPT = 1024,
    MAX_DAMAGED = 3
};
static const int64_t block_bytes = (int64_t)1 << 18;
static const int64_t max_kept_bytes = (int64_t)1 << 36; /* of files that nobody has open */

typedef enum block_state { BLOCK_MISSING, BLOCK_BUSY, BLOCK_READY } block_state;

typedef struct block {
    uint8_t  state; /* block_state */
    uint32_t crc;
} block;

typedef enum fetcher_state { FETCHER_NONE, FETCHER_RUNS, FETCHER_ENDED } fetcher_state;

typedef struct fetcher {
    block_file   *file;
    fetcher_state state; /* under the file's lock; ENDED: it only has to be joined */
    pthread_t     thread;
} fetcher;

struct block_file {
    char               *path;
    const remote_store *store;
    remote_info         info;
    int                 fd;
    int64_t             n_blocks;
    block              *blocks;
    int64_t             n_ready;
    int64_t             cursor;   /* the block that was read last */
    int64_t             n_steady; /* so many blocks were read since without a jump */
    int64_t             n_jumps;  /* to a place that was neither that one nor the next */
    bool                is_jump;  /* the last read was one */
    int64_t             filled;   /* before it no block is missing, unless it failed */
    fetcher             fetchers[N_FETCHERS];
    atomic_int          cancel;
    pthread_mutex_t     lock;
    pthread_cond_t      changed;
    bool                is_checked; /* its crc32c is that of the store */
    int32_t             n_damaged;  /* times that it was not */
    bt_error            failure;    /* of a fetcher; the next reader gets it */
    int32_t             n_users;    /* under registry_lock */
    uint64_t            last_use;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static block_file     *registry[MAX_KEPT + 1024];
static size_t          n_registry;
static uint64_t        n_uses;

bt_status remote_scratch_open(int *fd, bt_error *err) {
    const char *const set = getenv("TMPDIR");
    const char *const folder = set != NULL && set[0] != '\0' ? set : "/tmp";
    bt_str            name = BT_STR_INIT;
    *fd = open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0) {
        return BT_OK;
    }
    /* a file system that has no nameless files: one whose name goes at once */
    BT_TRY(bt_str_appendf(&name, err, "%s/bert-train-XXXXXX", folder));
    *fd = mkostemp(name.data, O_CLOEXEC);
    bt_status rc = BT_OK;
    if (*fd < 0) {
        rc = BT_FAIL(err, BT_E_RESOURCE,
                     "cannot make a temporary file in %s (%s): set TMPDIR to a folder with room",
                     folder, strerror(errno));
    } else {
        (void)unlink(name.data);
    }
    bt_str_deinit(&name);
    return rc;
}

static void file_free(block_file *file) {
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    (void)pthread_mutex_destroy(&file->lock);
    (void)pthread_cond_destroy(&file->changed);
    bt_free(file->blocks);
    bt_free(file->path);
    bt_free(file);
}

/* fd: all of the file, when the store keeps it here; else -1. Ours now, also on failure. */
static bt_status file_create(const char *path, const remote_store *store, const remote_info *info,
                             int fd, block_file **out, bt_error *err) {
    bt_status   rc = BT_OK;
    block_file *file = bt_calloc_array(1, sizeof *file);
    if (file == NULL || pthread_mutex_init(&file->lock, NULL) != 0 ||
        pthread_cond_init(&file->changed, NULL) != 0) {
        bt_free(file);
        if (fd >= 0) {
            (void)close(fd);
        }
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", path);
    }
    file->fd = fd;
    file->store = store;
    file->info = *info;
    file->cursor = -1;
    file->path = bt_strdup(path);
    file->n_blocks = (info->n_bytes + block_bytes - 1) / block_bytes;
    file->blocks = bt_calloc_array((size_t)file->n_blocks + 1, sizeof *file->blocks);
    if (file->path == NULL || file->blocks == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM,
                     "out of memory: cannot open %s, which has %" PRId64 " bytes by its server",
                     path, info->n_bytes);
        goto done;
    }
    if (fd < 0) {
        BT_CHECK(remote_scratch_open(&file->fd, err));
    }
    for (int64_t b = 0; fd >= 0 && b < file->n_blocks; b++) {
        file->blocks[b].state = BLOCK_READY;
        file->n_ready++;
    }
    file->is_checked = fd >= 0;
    *out = file;
    file = NULL;
done:
    file_free(file);
    return rc;
}

static bool is_same(const block_file *file, const char *path, const remote_info *info) {
    return strcmp(file->path, path) == 0 && file->info.n_bytes == info->n_bytes &&
           file->info.version == info->version && strcmp(file->info.etag, info->etag) == 0 &&
           (info->version != BT_FS_ANY_VERSION || info->etag[0] != '\0');
}

/* Of those that nobody has open: each holds a descriptor, of which others need most. */
static size_t most_kept(void) {
    struct rlimit limit = {0};
    const rlim_t  share = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 4 : 0;
    return share < MIN_KEPT ? MIN_KEPT : share < MAX_KEPT ? (size_t)share : MAX_KEPT;
}

/* The files that nobody has open and that were not used for the longest time make room. */
static void drop_unused(void) {
    for (;;) {
        size_t  oldest = n_registry;
        size_t  n_unused = 0;
        int64_t n_bytes = 0;
        for (size_t i = 0; i < n_registry; i++) {
            if (registry[i]->n_users == 0) {
                n_unused++;
                n_bytes += registry[i]->info.n_bytes;
                oldest = oldest == n_registry || registry[i]->last_use < registry[oldest]->last_use
                             ? i
                             : oldest;
            }
        }
        if (oldest == n_registry || (n_unused <= most_kept() && n_bytes <= max_kept_bytes)) {
            return;
        }
        file_free(registry[oldest]);
        registry[oldest] = registry[--n_registry];
    }
}

static block_file *find_kept(const char *path, const remote_info *info) {
    for (size_t i = 0; i < n_registry; i++) {
        if (is_same(registry[i], path, info) && registry[i]->failure.code == BT_OK) {
            return registry[i];
        }
    }
    return NULL;
}

bt_status block_file_open(const char *path, block_file **out, bt_error *err) {
    const remote_store *const store = remote_store_of(path);
    remote_info               info = {0};
    bt_status                 rc = BT_OK;
    BT_TRY(remote_check(path, err));
    BT_TRY(remote_look(store, path, &info, err));
    if (info.kind != BT_FS_FILE) {
        return BT_FAIL(err, BT_E_IO,
                       info.kind == BT_FS_FOLDER ? "%s is a folder, but a file is expected"
                                                 : "%s: no such file",
                       path);
    }
    int fd = -1;
    if (store->open_whole != NULL) {
        BT_TRY(store->open_whole(path, &fd, err));
    }
    pthread_mutex_lock(&registry_lock);
    block_file *file = find_kept(path, &info);
    if (file != NULL && fd >= 0) {
        (void)close(fd);
    }
    if (file == NULL && n_registry == BT_ARRAY_LEN(registry)) {
        rc = BT_FAIL(err, BT_E_RESOURCE, "%s: too many remote files are open", path);
        if (fd >= 0) {
            (void)close(fd);
        }
    } else if (file == NULL) {
        rc = file_create(path, store, &info, fd, &file, err);
        if (rc == BT_OK) {
            registry[n_registry++] = file;
        }
    }
    if (rc == BT_OK) {
        file->n_users++;
        file->last_use = ++n_uses;
        *out = file;
    }
    pthread_mutex_unlock(&registry_lock);
    return rc;
}

/* With the lock held, which an ended fetcher does not ask for again. */
static void join_ended(fetcher *f) {
    if (f->state == FETCHER_ENDED) {
        (void)pthread_join(f->thread, NULL);
        f->state = FETCHER_NONE;
    }
}

/* With the lock held. No thread outlives the last user, what the thread frees at its very end
 * included: the process may be about to end. */
static void end_fetchers(block_file *file) {
    for (size_t i = 0; i < N_FETCHERS; i++) {
        fetcher *const f = &file->fetchers[i];
        while (f->state == FETCHER_RUNS) {
            pthread_cond_wait(&file->changed, &file->lock);
        }
        join_ended(f);
    }
}

void block_file_close(block_file *file) {
    pthread_mutex_lock(&registry_lock);
    const bool is_last = --file->n_users == 0;
    if (is_last) {
        pthread_mutex_lock(&file->lock);
        file->cancel = 1;
        end_fetchers(file);
        file->cancel = 0;
        file->failure = (bt_error)BT_ERROR_INIT; /* read-ahead that nobody waited for */
        pthread_mutex_unlock(&file->lock);
        drop_unused();
    }
    pthread_mutex_unlock(&registry_lock);
}

const remote_info *block_file_info(const block_file *file) {
    return &file->info;
}

int64_t block_file_size(const block_file *file) {
    return file->info.n_bytes;
}

static size_t size_of_block(const block_file *file, int64_t b) {
    const int64_t begin = b * block_bytes;
    const int64_t left = file->info.n_bytes - begin;
    return (size_t)(left < block_bytes ? left : block_bytes);
}

static bt_status store_bytes(const block_file *file, const uint8_t *bytes, size_t n, int64_t at,
                             bt_error *err) {
    while (n > 0) {
        const ssize_t wrote = pwrite(file->fd, bytes, n, (off_t)at);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            return BT_FAIL(err, BT_E_RESOURCE,
                           "cannot keep blocks of %s in a temporary file: %s (set TMPDIR to a "
                           "folder with room for it)",
                           file->path, strerror(errno));
        }
        bytes += wrote;
        at += wrote;
        n -= (size_t)wrote;
    }
    return BT_OK;
}

/* All of it is here: is it what the store says? If not, all blocks are missing again. */
static bt_status check_whole(block_file *file, bt_error *err) {
    uint32_t crc = 0;
    for (int64_t b = 0; b < file->n_blocks; b++) {
        crc = remote_crc32c_combine(crc, file->blocks[b].crc, size_of_block(file, b));
    }
    if (file->info.has_crc32c && crc != file->info.crc32c) {
        for (int64_t b = 0; b < file->n_blocks; b++) {
            file->blocks[b].state = BLOCK_MISSING;
        }
        file->n_ready = 0;
        file->filled = 0;
        if (++file->n_damaged < MAX_DAMAGED) {
            bt_log(BT_LOG_WARNING, "%s: the bytes that came have a wrong crc32c, asked for again",
                   file->path);
            return BT_OK;
        }
        return BT_FAIL(err, BT_E_IO,
                       "%s: the bytes that came have the crc32c 0x%08" PRIx32
                       ", the store says 0x%08" PRIx32 ": damaged on the way",
                       file->path, crc, file->info.crc32c);
    }
    file->is_checked = true;
    return BT_OK;
}

static size_t size_of_run(const block_file *file, int64_t b, int64_t n) {
    return (size_t)(n - 1) * (size_t)block_bytes + size_of_block(file, b + n - 1);
}

/* Blocks b .. b + n - 1, which are BUSY by us, without the lock. */
static bt_status fetch_run(block_file *file, int64_t b, int64_t n, uint8_t *buffer,
                           uint32_t crcs[RUN_BLOCKS], bt_error *err) {
    enum { TRIES_OF_A_WHOLE_FILE = 3 };
    const size_t n_bytes = size_of_run(file, b, n);
    for (int i = 1;; i++) {
        BT_TRY(file->store->read(file->path, &file->info, b * block_bytes, buffer, n_bytes,
                                 &file->cancel, err));
        /* a file that came in one run can be judged, and asked for again, at once */
        if (file->n_blocks > n || !file->info.has_crc32c || i == TRIES_OF_A_WHOLE_FILE ||
            bt_crc32c(0, buffer, n_bytes) == file->info.crc32c) {
            break;
        }
        bt_log(BT_LOG_DEBUG, "%s: wrong crc32c, asked for again", file->path);
    }
    for (int64_t i = 0; i < n; i++) {
        crcs[i] = bt_crc32c(0, buffer + i * block_bytes, size_of_block(file, b + i));
    }
    return store_bytes(file, buffer, n_bytes, b * block_bytes, err);
}

/* With the lock held: of the missing blocks from b on, at most so many, which are ours now. */
static int64_t take_run(block_file *file, int64_t b, int64_t most) {
    int64_t n = 0;
    most = most < RUN_BLOCKS ? most : RUN_BLOCKS;
    while (n < most && b + n < file->n_blocks && file->blocks[b + n].state == BLOCK_MISSING) {
        file->blocks[b + n++].state = BLOCK_BUSY;
    }
    return n;
}

/* Called and returns with the lock held. */
static bt_status fetch_locked(block_file *file, int64_t b, int64_t n, uint8_t *buffer,
                              bt_error *err) {
    uint32_t crcs[RUN_BLOCKS] = {0};
    pthread_mutex_unlock(&file->lock);
    bt_status rc = fetch_run(file, b, n, buffer, crcs, err);
    pthread_mutex_lock(&file->lock);
    for (int64_t i = 0; i < n; i++) {
        file->blocks[b + i].state = rc == BT_OK ? BLOCK_READY : BLOCK_MISSING;
        file->blocks[b + i].crc = crcs[i];
    }
    if (rc == BT_OK) {
        file->n_ready += n;
        if (file->n_ready == file->n_blocks && !file->is_checked) {
            rc = check_whole(file, err);
        }
    }
    pthread_cond_broadcast(&file->changed);
    return rc;
}

static int64_t next_missing(const block_file *file, int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end && b < file->n_blocks; b++) {
        if (file->blocks[b].state == BLOCK_MISSING) {
            return b;
        }
    }
    return -1;
}

/* -1: nothing is to be fetched before it is asked for. Who has read little may not read more. */
static int64_t next_ahead(block_file *file) {
    const int64_t ahead = RUN_BLOCKS + 4 * file->n_steady;
    if (file->n_jumps >= JUMPS_OF_A_SHUFFLE) {
        const int64_t b = next_missing(file, file->filled, file->n_blocks);
        file->filled = b >= 0 ? b : file->n_blocks;
        return b;
    }
    return file->is_jump
               ? -1
               : next_missing(file, file->cursor < 0 ? 0 : file->cursor,
                              file->cursor + 1 + (ahead < AHEAD_BLOCKS ? ahead : AHEAD_BLOCKS));
}

static void *fetch_ahead(void *context) {
    fetcher *const    self = context;
    block_file *const file = self->file;
    uint8_t *const    buffer = bt_alloc((size_t)block_bytes * RUN_BLOCKS);
    bt_cpus_unbind();
    bt_stop_shield(true); /* its readers decide, who may be saving: file->cancel */
    pthread_mutex_lock(&file->lock);
    while (buffer != NULL && file->cancel == 0 && file->failure.code == BT_OK) {
        const int64_t b = next_ahead(file);
        bt_error      err = BT_ERROR_INIT;
        if (b < 0) {
            break;
        }
        if (fetch_locked(file, b, take_run(file, b, RUN_BLOCKS), buffer, &err) != BT_OK &&
            file->cancel == 0) {
            file->failure = err;
        }
    }
    self->state = FETCHER_ENDED;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
    bt_stop_shield(false);
    bt_free(buffer);
    return NULL;
}

/* With the lock held: as many fetchers as there is work for. Read-ahead is a help only: where no
 * thread can be had, the reader fetches alone. */
static void start_fetchers(block_file *file) {
    const int64_t first = next_ahead(file);
    int64_t       wanted = (file->n_blocks - first + RUN_BLOCKS - 1) / RUN_BLOCKS;
    sigset_t      all;
    sigset_t      before;
    if (first < 0) {
        return;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    for (size_t i = 0; i < N_FETCHERS && wanted > 0; i++) {
        fetcher *const f = &file->fetchers[i];
        if (f->state != FETCHER_RUNS) {
            join_ended(f);
            f->file = file;
            if (pthread_create(&f->thread, NULL, fetch_ahead, f) != 0) {
                break;
            }
            f->state = FETCHER_RUNS;
            wanted--;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* With the lock held; a moment at most, so that a stop is noticed. */
static void wait_for_change(block_file *file) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&file->changed, &file->lock, &until);
}

static void note_place(block_file *file, int64_t b) {
    file->is_jump = b != file->cursor && b != file->cursor + 1;
    file->n_jumps += file->is_jump ? 1 : 0;
    file->n_steady = file->is_jump ? 0 : file->n_steady + (b != file->cursor ? 1 : 0);
    file->cursor = b;
}

/* With the lock held, until block b is there; n_more after it will be asked for next. */
static bt_status need_block(block_file *file, int64_t b, int64_t n_more, bt_error *err) {
    note_place(file, b);
    while (file->blocks[b].state != BLOCK_READY) {
        if (file->failure.code != BT_OK) {
            const bt_status code = file->failure.code;
            if (err != NULL) {
                *err = file->failure;
            }
            file->failure = (bt_error)BT_ERROR_INIT;
            return code;
        }
        if (file->blocks[b].state == BLOCK_MISSING) {
            uint8_t *const buffer = bt_alloc((size_t)block_bytes * RUN_BLOCKS);
            if (buffer == NULL) {
                return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read %s", file->path);
            }
            /* ours before the fetchers look */
            const int64_t n = take_run(file, b, file->is_jump ? 1 + n_more : RUN_BLOCKS);
            start_fetchers(file);
            const bt_status rc = fetch_locked(file, b, n, buffer, err);
            bt_free(buffer);
            BT_TRY(rc);
            continue;
        }
        BT_TRY(bt_stop_check_now(err));
        wait_for_change(file);
    }
    start_fetchers(file);
    return BT_OK;
}

/* The last block may show that all of them are damaged: then from the start. */
static bt_status need_blocks(block_file *file, int64_t first, int64_t last, bt_error *err) {
    for (int64_t b = first; b <= last;) {
        const int32_t n_damaged = file->n_damaged;
        BT_TRY(need_block(file, b, last - b, err));
        b = file->n_damaged == n_damaged ? b + 1 : first;
    }
    return BT_OK;
}

/* A server that gives whole files only: all of it, front to back. */
typedef struct whole_sink {
    block_file *file;
    int64_t     at;
} whole_sink;

static bt_status whole_restart(void *context, bt_error *err) {
    whole_sink *const sink = context;
    (void)err;
    sink->at = 0;
    return BT_OK;
}

static bt_status whole_write(void *context, const void *bytes, size_t n, bt_error *err) {
    whole_sink *const sink = context;
    BT_TRY(store_bytes(sink->file, bytes, n, sink->at, err));
    sink->at += (int64_t)n;
    return BT_OK;
}

static bt_status fetch_whole(block_file *file, bt_error *err) {
    whole_sink      context = {.file = file};
    const http_sink sink = {whole_restart, whole_write, &context};
    if (file->n_ready == file->n_blocks) {
        return BT_OK;
    }
    BT_TRY(file->store->download(file->path, &sink, (size_t)file->info.n_bytes, 0, err));
    if (context.at != file->info.n_bytes) {
        return BT_FAIL(err, BT_E_IO, "%s: %" PRId64 " bytes came, %" PRId64 " were announced",
                       file->path, context.at, file->info.n_bytes);
    }
    for (int64_t b = 0; b < file->n_blocks; b++) {
        file->blocks[b].state = BLOCK_READY;
    }
    file->n_ready = file->n_blocks;
    return BT_OK;
}

static bt_status read_kept(const block_file *file, int64_t offset, uint8_t *dst, size_t n,
                           bt_error *err) {
    while (n > 0) {
        const ssize_t got = pread(file->fd, dst, n, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return BT_FAIL(err, BT_E_IO, "cannot read back the kept blocks of %s: %s", file->path,
                           got < 0 ? strerror(errno) : "they are gone");
        }
        dst += got;
        offset += got;
        n -= (size_t)got;
    }
    return BT_OK;
}

bt_status block_file_read(block_file *file, int64_t offset, void *dst, size_t n, size_t *got,
                          bt_error *err) {
    const int64_t size = file->info.n_bytes;
    bt_status     rc = BT_OK;
    if (offset >= size) {
        *got = 0;
        return BT_OK;
    }
    const size_t n_real = (uint64_t)n < (uint64_t)(size - offset) ? n : (size_t)(size - offset);
    pthread_mutex_lock(&file->lock);
    if (file->info.no_ranges) {
        rc = fetch_whole(file, err);
    }
    if (rc == BT_OK && n_real > 0) {
        rc = need_blocks(file, offset / block_bytes, (offset + (int64_t)n_real - 1) / block_bytes,
                         err);
    }
    pthread_mutex_unlock(&file->lock);
    BT_TRY(rc);
    BT_TRY(read_kept(file, offset, dst, n_real, err));
    *got = n_real;
    return BT_OK;
}
