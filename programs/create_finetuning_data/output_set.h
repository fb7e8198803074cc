/* SPDX-License-Identifier: Apache-2.0
 *
 * The files that one run writes, all or none: every one goes to a temporary name beside its own,
 * and gets its name only when all are complete, in the order in which they were added. Folders are
 * made as needed, and removed again when the run fails. */
#ifndef BT_OUTPUT_SET_H
#define BT_OUTPUT_SET_H

#include "bt/fs.h"

enum { OUTPUT_SET_MAX = 128 };

typedef struct output_file {
    char         *canonical; /* folder resolved: to notice the same file under two names */
    bt_fs_writer *writer;    /* NULL once committed */
    const char   *path;      /* borrowed */
    bt_fs_lock   *lock;      /* of a local file: no other run writes it meanwhile; else NULL */
    bool          is_in_place;
} output_file;

typedef struct output_set {
    output_file files[OUTPUT_SET_MAX];
    size_t      n;
    bt_fs_names made_folders; /* outermost first */
} output_set;

/* Opens path for writing; *writer is borrowed. path must outlive the set. BT_E_CONFIG when the set
 * has that file already, BT_E_RESOURCE when another run writes it. */
bt_status output_set_add(output_set *set, const char *path, bt_fs_writer **writer, bt_error *err);
/* Gives all files their names. */
bt_status output_set_commit(output_set *set, bt_error *err);
/* Removes what was not committed, or everything when a commit failed half way, and frees. */
void output_set_deinit(output_set *set, bool failed);

#endif
