/* SPDX-License-Identifier: Apache-2.0
 *
 * fs, private: files that get their names together, and the journal that outlives a kill. */
#ifndef BT_FS_COMMIT_H
#define BT_FS_COMMIT_H

#include "bt/fs.h"

typedef struct fs_placing {
    char *temporary; /* owned, as the others */
    char *final;
    char *old; /* another name of what was there; NULL: nothing was, or it could not be kept */
    bool  had_old;
    bool  is_placed;
} fs_placing;

typedef struct fs_journal {
    int   fd; /* locked while this process is at work */
    char *path;
} fs_journal;

/* n >= 1 files, all on the disk. After success the journal stands, beside the file `beside`. */
BT_MUST_USE bt_status fs_journal_begin(fs_journal *journal, const char *beside,
                                       const fs_placing *files, size_t n, bt_error *err);
/* is_done: nothing is left to do, and it goes. */
void                  fs_journal_end(fs_journal *journal, bool is_done);
BT_MUST_USE bt_status fs_place(fs_placing *file, bt_error *err);
/* false: not all could be put back; then the journal must stay. */
bool fs_put_all_back(fs_placing *files, size_t n);
void fs_placing_deinit(fs_placing *file); /* removes what was kept of the old one */

#endif
