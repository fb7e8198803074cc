/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted-string table as LevelDB's: the index of a tensor bundle. */
#ifndef BT_WIRE_SSTABLE_H
#define BT_WIRE_SSTABLE_H

#include "bt/base/bytes.h"
#include "bt/base/status.h"

/* Called for every entry in key order; key and value are borrowed for the call. */
typedef bt_status (*bt_sstable_visit)(void *context, bt_bytes key, bt_bytes value, bt_error *err);
/* Reads a whole table held in memory; name is for messages. Every block's checksum and the order
 * of the keys are verified. */
BT_MUST_USE bt_status bt_sstable_read(bt_bytes table, const char *name, bt_sstable_visit visit,
                                      void *context, bt_error *err);

typedef struct bt_sstable_builder bt_sstable_builder;
BT_MUST_USE bt_status bt_sstable_builder_create(bt_sstable_builder **out, bt_error *err);
void                  bt_sstable_builder_free(bt_sstable_builder *builder);
/* Keys must come in strictly ascending bytewise order. */
BT_MUST_USE bt_status bt_sstable_add(bt_sstable_builder *builder, bt_bytes key, bt_bytes value,
                                     bt_error *err);
/* Borrowed until the builder is freed. */
BT_MUST_USE bt_status bt_sstable_finish(bt_sstable_builder *builder, bt_bytes *out, bt_error *err);

#endif
