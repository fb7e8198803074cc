/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt, private: a folder of checkpoints as files. A run names what it writes FAMILY-NUMBER
 * ("ckpt-12", "best_ckpt-3"); only such plain names are ever removed or moved. */
#ifndef BT_CKPT_FOLDER_H
#define BT_CKPT_FOLDER_H

#include "bt/ckpt.h"
#include "bt/fs.h"
#include "bt/wire/state_file.h"

/* Is name of that form, with that family (NULL: any)? number may be NULL. */
bool ckpt_parse_name(const char *name, const char *family, int64_t *number);

/* What lies in the folder, sorted. A folder that is missing is empty. */
BT_MUST_USE bt_status ckpt_list(const char *folder, bt_fs_names *listing, bt_error *err);
bool                  ckpt_has_index(const bt_fs_names *listing, const char *name);
bool ckpt_has_files(const bt_fs_names *listing, const char *name); /* an index, or a shard */
/* The numbers of the family's checkpoints that have an index (with_index), or only shards;
 * descending. The caller bt_free()s *numbers. */
BT_MUST_USE bt_status ckpt_list_numbers(const bt_fs_names *listing, const char *family,
                                        bool with_index, int64_t **numbers, size_t *n,
                                        bt_error *err);
/* Its index first: a checkpoint without one is none. */
BT_MUST_USE bt_status ckpt_remove_files(const char *folder, const bt_fs_names *listing,
                                        const char *name, bt_error *err);
/* NAME.index -> NAME.index.kept-K, and so its shards, K the first free number. */
BT_MUST_USE bt_status ckpt_keep_aside(const char *folder, const bt_fs_names *listing,
                                      const char *name, bt_error *err);

/* What the `checkpoint` file of a folder is. */
typedef enum ckpt_state_kind {
    CKPT_STATE_MISSING,
    CKPT_STATE_EMPTY, /* it can be read and names none */
    CKPT_STATE_UNREADABLE,
    CKPT_STATE_NAMES,
} ckpt_state_kind;
typedef struct ckpt_state_file {
    ckpt_state_kind kind;
    bt_ckpt_state   state;
    char           *text; /* its bytes; NULL: missing or unreadable */
    size_t          n_bytes;
    int64_t         version; /* for bt_fs_replace_if */
    bt_error        problem; /* of CKPT_STATE_UNREADABLE */
} ckpt_state_file;
/* Errors are those of memory and of the way to a store. */
BT_MUST_USE bt_status ckpt_read_state_file(const char *folder, ckpt_state_file *out, bt_error *err);
void                  ckpt_state_file_deinit(ckpt_state_file *file);

/* Paths in the state file are relative to its folder unless they begin with a slash or a scheme. */
BT_MUST_USE bt_status ckpt_absolute(const char *folder, const char *path, char **out,
                                    bt_error *err);

/* ckpt_journal.c: what a save is about to do, on the disk before it does it; so that a run that is
 * started after a kill knows what is left of it. */
typedef struct ckpt_journal {
    bool        found;
    uint32_t    state;  /* checksum of the state file before the save */
    char       *writes; /* a name */
    bt_fs_names removes;
} ckpt_journal;
void                  ckpt_journal_deinit(ckpt_journal *journal);
uint32_t              ckpt_state_checksum(const ckpt_state_file *file);
BT_MUST_USE bt_status ckpt_journal_write(const char *folder, const ckpt_journal *journal,
                                         bt_error *err);
/* found stays false when there is none, or none that can be read, which is removed. */
BT_MUST_USE bt_status ckpt_journal_read(const char *folder, ckpt_journal *journal, bt_error *err);
BT_MUST_USE bt_status ckpt_journal_remove(const char *folder, bt_error *err);

/* A copy of the name at the end of the list. */
BT_MUST_USE bt_status ckpt_add_name(bt_fs_names *names, const char *name, bt_error *err);

#endif
