/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of an open tensor bundle: index in memory, data files opened on first use. */
#ifndef BT_BUNDLE_INTERNAL_H
#define BT_BUNDLE_INTERNAL_H

#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/bundle.h"

/* Which part of a partitioned variable a slice is. */
typedef struct bundle_slice {
    int64_t start[BT_WIRE_MAX_RANK];
    int64_t length[BT_WIRE_MAX_RANK]; /* -1 in the file (the whole dimension) is resolved here */
    bool    whole[BT_WIRE_MAX_RANK];  /* it was -1: the key says so */
} bundle_slice;

/* The data of a slice, under its binary key. */
typedef struct bundle_part {
    bt_bytes        key;
    bt_bundle_entry entry;
} bundle_part;

struct bt_bundle {
    char            *prefix;
    char            *index_path;
    bt_arena         names;
    bt_arena         scratch; /* the message of an entry, while the index is read */
    bt_bundle_entry *entries; /* ascending names */
    size_t           n_entries;
    size_t           cap_entries;
    bundle_slice    *slices; /* of all partitioned variables: entry->first_slice.. */
    size_t           n_slices;
    size_t           cap_slices;
    bundle_part     *parts; /* ascending keys */
    size_t           n_parts;
    size_t           cap_parts;
    bt_file        **shards;
    int32_t          n_shards;
    bool             has_header;
};

/* PREFIX.data-SSSSS-of-NNNNN; the caller bt_free()s it */
BT_MUST_USE bt_status bundle_shard_path(const char *prefix, int32_t shard, int32_t n_shards,
                                        char **out, bt_error *err);
/* The binary key of a slice (OrderedCode), appended to key. */
BT_MUST_USE bt_status bundle_slice_key(const bt_bundle_entry *entry, const bundle_slice *slice,
                                       bt_str *key, bt_error *err);

#endif
