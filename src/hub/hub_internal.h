/* SPDX-License-Identifier: Apache-2.0
 *
 * hub, private: the cache folder and its locks, as TensorFlow Hub keeps them. */
#ifndef BT_HUB_INTERNAL_H
#define BT_HUB_INTERNAL_H

#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/hub.h"

enum { HUB_MAX_ENTRIES = 10000 };
#define HUB_MAX_UNPACKED_BYTES ((int64_t)1 << 34)

/* task.hub_module_sha256 (hub_pin.c). */

typedef enum hub_pin_kind { HUB_PIN_NONE, HUB_PIN_ARCHIVE, HUB_PIN_CONTENT } hub_pin_kind;

typedef struct hub_pin {
    hub_pin_kind kind;
    char         sha256[BT_FS_HEX_MAX];
} hub_pin;

/* BT_E_CONFIG: neither 64 digits nor "content:" and 64 digits. NULL, "": no pin. */
BT_MUST_USE bt_status hub_pin_parse(const char *text, hub_pin *pin, bt_error *err);
/* BT_E_FORMAT where the pin is of an archive, and not of this one. */
BT_MUST_USE bt_status hub_pin_check_archive(const hub_pin *pin, const char *handle,
                                            const char *sha256, bt_error *err);
/* BT_E_FORMAT where the pin is of the content, and not of this folder's. */
BT_MUST_USE bt_status hub_pin_check_content(const hub_pin *pin, const char *handle,
                                            const char *folder, bt_error *err);
BT_MUST_USE bt_status hub_content_digest(const char *folder, char sha256[BT_FS_HEX_MAX],
                                         bt_error *err);
/* BT_E_FORMAT unless the folder holds what the archive does, no more and no less. */
BT_MUST_USE bt_status hub_check_unpacked(const char *handle, const char *archive,
                                         const char *folder, bt_error *err);

/* The cache (hub_cache.c). */

/* A module's place in the cache: CACHE/sha1(handle). */
typedef struct hub_slot {
    const char *handle;
    char       *cache;     /* the folder of the cache */
    char       *module;    /* the module's folder */
    char       *temporary; /* where it is made: module.UID.tmp */
    char       *lock;      /* module.lock */
    char       *archive;   /* module.archive: kept where the archive was pinned */
    bt_str      lock_text; /* HOST.PID.UID */
} hub_slot;

BT_MUST_USE bt_status hub_slot_init(hub_slot *slot, const char *handle, bt_error *err);
void                  hub_slot_deinit(hub_slot *slot);
bool                  hub_slot_is_filled(const hub_slot *slot); /* by us or by another program */
/* Waits for others that fill it. *filled: one of them did; else the lock is ours. */
BT_MUST_USE bt_status hub_slot_lock(hub_slot *slot, bool *filled, bt_error *err);
/* The lock is ours, whether the slot is filled or not. */
BT_MUST_USE bt_status hub_slot_lock_always(hub_slot *slot, bt_error *err);
/* Makes temporary the module, with its descriptor and a note of its digests beside it. */
BT_MUST_USE bt_status hub_slot_publish(const hub_slot *slot, const char *sha256, bt_error *err);
void                  hub_slot_unlock(const hub_slot *slot); /* also removes the temporary folder */
/* The table that is in force: the built-in one or that of BERT_TRAIN_HUB_HANDLES. Owned. */
BT_MUST_USE bt_status hub_load_table(char **table, bt_error *err);

#endif
