/* SPDX-License-Identifier: Apache-2.0
 *
 * hub, private: the cache folder and its locks, as TensorFlow Hub keeps them. */
#ifndef BT_HUB_INTERNAL_H
#define BT_HUB_INTERNAL_H

#include "bt/fs.h"
#include "bt/hub.h"

/* A module's place in the cache: CACHE/sha1(handle). */
typedef struct hub_slot {
    const char *handle;
    char       *cache;     /* the folder of the cache */
    char       *module;    /* the module's folder */
    char       *temporary; /* where it is made: module.UID.tmp */
    char       *lock;      /* module.lock */
    bt_str      lock_text; /* HOST.PID.UID */
} hub_slot;

BT_MUST_USE bt_status hub_slot_init(hub_slot *slot, const char *handle, bt_error *err);
void                  hub_slot_deinit(hub_slot *slot);
bool                  hub_slot_is_filled(const hub_slot *slot); /* by us or by another program */
/* Waits for others that fill it. *filled: one of them did; else the lock is ours. */
BT_MUST_USE bt_status hub_slot_lock(hub_slot *slot, bool *filled, bt_error *err);
/* Makes temporary the module, with its descriptor and the archive's digest beside it. */
BT_MUST_USE bt_status hub_slot_publish(const hub_slot *slot, const char *sha256, bt_error *err);
void                  hub_slot_unlock(const hub_slot *slot); /* also removes the temporary folder */
/* The digest that was kept with a module; "" when another program filled the slot. */
BT_MUST_USE bt_status hub_slot_read_digest(const hub_slot *slot, char sha256[BT_FS_HEX_MAX],
                                           bt_error *err);

/* The table that is in force: the built-in one or that of BERT_TRAIN_HUB_HANDLES. Owned. */
BT_MUST_USE bt_status hub_load_table(char **table, bt_error *err);

#endif
