/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the fs room share: the system calls behind the fault hooks, and messages. */
#ifndef BT_FS_INTERNAL_H
#define BT_FS_INTERNAL_H

#include <stddef.h>
#include <sys/types.h>

#include "bt/fs.h"

enum { FS_REASON_MAX = 128 };

/* As the system calls of these names, repeated after EINTR; a test can make one fail. */
int     fs_sys_open(const char *path, int flags);
int     fs_sys_create(const char *path, int flags, mode_t mode);
ssize_t fs_sys_read(int fd, void *dst, size_t n);
ssize_t fs_sys_pread(int fd, void *dst, size_t n, int64_t offset);
ssize_t fs_sys_write(int fd, const void *src, size_t n);
int     fs_sys_fsync(int fd);
int     fs_sys_rename(const char *from, const char *to);
/* Repeated after EINTR, but never made to fail by a test: what undoes or tidies up. */
int fs_sys_rename_back(const char *from, const char *to);
int fs_sys_link(const char *from, const char *to);
int fs_sys_unlink(const char *path);
int fs_sys_remove(const char *path);
/* Removes a file of ours that nobody needs any more. What one failure leaves is tried again; what
 * stays then is said, and is not the failure of whoever is done with it. errno is kept. */
void fs_discard(const char *path);
/* true: pretend that this operation failed (errno is set). */
bool fs_must_fail(bt_fs_op op);

/* n hexadecimal digits (at most 64) that nobody can know before, and a NUL. */
BT_MUST_USE bt_status fs_random_hex(char *hex, size_t n, bt_error *err);
/* fs_temp.c: a name beside path that nothing has; and a new, empty file of such a name (owned by
 * the caller), open for reading and writing. */
BT_MUST_USE bt_status fs_temporary_name(const char *path, bt_str *out, bt_error *err);
BT_MUST_USE bt_status fs_temporary_open(const char *path, mode_t mode, char **temporary, int *fd,
                                        bt_error *err);
enum { FS_TEMPORARY_TAIL = 21 }; /* bytes by which their names end */
/* May other kernels than this one have the folder mounted? True where that is not known. */
bool fs_is_shared_folder(const char *folder);

/* BT_E_UNSUPPORTED when path has a scheme ("gs://"), BT_E_IO when it is empty. */
BT_MUST_USE bt_status fs_check_local(const char *path, bt_error *err);
/* A path of a store that is built in; all others go the local way, which refuses what is not local.
 */
bool fs_is_served(const char *path);
/* Adds a copy; sorts bytewise. */
BT_MUST_USE bt_status fs_names_add(bt_fs_names *names, const char *name, bt_error *err);
void                  fs_names_sort(bt_fs_names *names);
/* The text of an errno. */
const char *fs_reason(int errnum, char buffer[FS_REASON_MAX]);
/* The sentence for a path that cannot be opened or read: missing, a folder, no permission... */
bt_status fs_fail_read(const char *path, int errnum, bt_error *err);
bt_status fs_fail_write(const char *path, const char *what, int errnum, bt_error *err);
/* The folder that path is in, to the disk: what is in it by name then survives a power cut. */
BT_MUST_USE bt_status fs_sync_folder_of(const char *path, bt_error *err);
/* How far a file that is written from its begin on has come: begun and ended to go to the disk. */
typedef struct fs_pacer {
    int64_t written, started, ended;
} fs_pacer;
enum { FS_PACE_BYTES = 8 << 20 };
/* After n_written bytes more: keeps at most two windows of FS_PACE_BYTES on their way to the disk,
 * and what is there out of the cache. -1: the disk refused them (errno). */
int fs_pace(int fd, fs_pacer *pacer, size_t n_written);
/* A name of an open file of this process, whatever it leads to. */
bool fs_is_descriptor(const char *path);
/* fs_special.c: until there is something to read, or the end: a line after five seconds, and
 * BT_E_INTERRUPTED when the process is asked to stop. */
BT_MUST_USE bt_status fs_await_bytes(int fd, const char *path, bt_error *err);
/* Likewise until a pipe has room for PIPE_BUF bytes, or nobody to read them. */
BT_MUST_USE bt_status fs_await_room(int fd, const char *path, bt_error *err);
/* Opens what is not a regular file for writing; a pipe waits a minute for its reader, and says so.
 */
BT_MUST_USE bt_status fs_open_special(const char *path, int flags, int *fd, bt_error *err);
/* Opens a file for reading; *n_bytes is -1 when it is not a regular file, but a descriptor of this
 * process or /dev/null. */
BT_MUST_USE bt_status fs_open_read(const char *path, int *fd, int64_t *n_bytes, bt_error *err);
/* fs_stranger.c: BT_E_FORMAT when the file, which is open, is a pointer of Git LFS: nobody means to
 * read that. */
BT_MUST_USE bt_status fs_refuse_pointer(int fd, const char *path, int64_t n_bytes, bt_error *err);

#endif
