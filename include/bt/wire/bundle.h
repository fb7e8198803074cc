/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor bundle, a V2 checkpoint: PREFIX.index, PREFIX.data-SSSSS-of-NNNNN
 * (docs/model_garden/numerics.md section 9). */
#ifndef BT_WIRE_BUNDLE_H
#define BT_WIRE_BUNDLE_H

#include "bt/base/bytes.h"
#include "bt/base/status.h"
#include "bt/tensor.h"

#define BT_BUNDLE_GRAPH_KEY "_CHECKPOINTABLE_OBJECT_GRAPH"

typedef struct bt_bundle_entry {
    const char *name; /* NUL-terminated; borrowed until the bundle is closed */
    bt_dtype    dtype;
    int32_t     rank;
    int64_t     dim[BT_WIRE_MAX_RANK];
    int64_t     n_elements;
    int32_t     shard;
    int64_t     offset;
    int64_t     n_bytes;     /* in the file; 0 for a partitioned variable */
    uint32_t    crc;         /* masked */
    int32_t     n_slices;    /* > 0: a partitioned variable */
    size_t      first_slice; /* private */
} bt_bundle_entry;

typedef struct bt_bundle bt_bundle;
/* Reads the index. Data files are opened when they are first read. */
BT_MUST_USE bt_status  bt_bundle_open(const char *prefix, bt_bundle **out, bt_error *err);
void                   bt_bundle_close(bt_bundle *bundle);                    /* accepts NULL */
size_t                 bt_bundle_n_entries(const bt_bundle *bundle);          /* without slices */
const bt_bundle_entry *bt_bundle_entry_at(const bt_bundle *bundle, size_t i); /* in key order */
const bt_bundle_entry *bt_bundle_find(const bt_bundle *bundle, const char *name); /* or NULL */
/* All elements of a tensor that is not of strings, row-major little-endian, checksum verified.
 * n_bytes must be n_elements * element size. */
BT_MUST_USE bt_status bt_bundle_read(bt_bundle *bundle, const bt_bundle_entry *entry, void *dst,
                                     size_t n_bytes, bt_error *err);
/* A string tensor: *values has n_elements items, owned by the caller as one block: bt_free it. */
BT_MUST_USE bt_status bt_bundle_read_strings(bt_bundle *bundle, const bt_bundle_entry *entry,
                                             bt_bytes **values, bt_error *err);
/* The data files are there and long enough; their bytes are not read. */
BT_MUST_USE bt_status bt_bundle_check_files(bt_bundle *bundle, bt_error *err);
/* Reads and checks every tensor; the first fault is the error. */
BT_MUST_USE bt_status bt_bundle_verify(bt_bundle *bundle, bt_error *err);

typedef struct bt_bundle_writer bt_bundle_writer;
/* One data file. Tensors may come in any order of names; their bytes are written as they come. */
BT_MUST_USE bt_status bt_bundle_writer_create(const char *prefix, bt_bundle_writer **out,
                                              bt_error *err);
BT_MUST_USE bt_status bt_bundle_add(bt_bundle_writer *writer, const char *name, bt_dtype dtype,
                                    int32_t rank, const int64_t *dim, const void *data,
                                    bt_error *err);
/* A string tensor of that shape. */
BT_MUST_USE bt_status bt_bundle_add_strings(bt_bundle_writer *writer, const char *name,
                                            int32_t rank, const int64_t *dim,
                                            const bt_bytes *values, bt_error *err);
/* Publishes the data file, then the index: while the index is missing there is no checkpoint.
 * Frees *writer and sets it to NULL; on failure it stays and the caller aborts it. */
BT_MUST_USE bt_status bt_bundle_writer_commit(bt_bundle_writer **writer, bt_error *err);
void                  bt_bundle_writer_abort(bt_bundle_writer *writer); /* NULL ok */

#endif
