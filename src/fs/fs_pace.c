/* SPDX-License-Identifier: Apache-2.0
 *
 * Long files go to the disk while they are written, a window at a time, and out of the page cache
 * after it: the fsync at the end then has little to do, what others keep in the cache stays there,
 * and the kernel need not find (in a virtual machine: ask its host for) a gigabyte of fresh pages,
 * which costs more of a processor than all the rest of a checkpoint. */
#define _GNU_SOURCE /* sync_file_range */
#include <errno.h>
#include <fcntl.h>

#include "fs_internal.h"

/* What no disk means for trouble: a file or a kernel that cannot do it. */
static bool is_no_failure(int errnum) {
    return errnum == EINVAL || errnum == ESPIPE || errnum == ENOSYS || errnum == ENOTSUP;
}

/* Ends the writing of the bytes from begin on and drops them from the cache. */
static int end_window(int fd, int64_t begin, int64_t n_bytes) {
    const unsigned all =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (n_bytes <= 0) {
        return 0;
    }
    if (sync_file_range(fd, begin, n_bytes, all) != 0) {
        return is_no_failure(errno) ? 0 : -1;
    }
    (void)posix_fadvise(fd, begin, n_bytes, POSIX_FADV_DONTNEED);
    return 0;
}

int fs_pace(int fd, fs_pacer *pacer, size_t n_written) {
    pacer->written += (int64_t)n_written;
    if (pacer->written - pacer->started < FS_PACE_BYTES) {
        return 0;
    }
    const int64_t n_started = pacer->written - pacer->started;
    if (sync_file_range(fd, pacer->started, n_started, SYNC_FILE_RANGE_WRITE) != 0 &&
        !is_no_failure(errno)) {
        return -1;
    }
    const int failed = end_window(fd, pacer->ended, pacer->started - pacer->ended);
    pacer->ended = pacer->started;
    pacer->started = pacer->written;
    return failed;
}
