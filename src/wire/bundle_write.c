/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a tensor bundle of one data file. The data file is published first, the index last:
 * while PREFIX.index is missing there is no checkpoint of that name. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/size.h"
#include "bt/proto.h"
#include "bt/tensor.h"
#include "bt/wire/sstable.h"
#include "bundle_internal.h"
#include "tensor_bundle.pb-c.h"
#include "tensor_shape.pb-c.h"

struct bt_bundle_writer {
    char            *prefix;
    bt_fs_writer    *data;
    bt_arena         names;
    bt_bundle_entry *entries;
    size_t           n_entries;
    size_t           cap_entries;
};

static bt_status open_writer(bt_bundle_writer *writer, bt_error *err) {
    char *path = NULL;
    BT_TRY(bt_arena_init(&writer->names, 1U << 14, err));
    BT_TRY(bundle_shard_path(writer->prefix, 0, 1, &path, err));
    const bt_status rc = bt_fs_writer_create(path, &writer->data, err);
    if (rc == BT_OK) {
        bt_fs_writer_pace(writer->data);
    }
    bt_free(path);
    return rc;
}

bt_status bt_bundle_writer_create(const char *prefix, bt_bundle_writer **out, bt_error *err) {
    bt_bundle_writer *const writer = bt_calloc_array(1, sizeof *writer);
    if (writer == NULL || (writer->prefix = bt_strdup(prefix)) == NULL) {
        bt_free(writer);
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", prefix);
    }
    const bt_status rc = open_writer(writer, err);
    if (rc != BT_OK) {
        bt_bundle_writer_abort(writer);
        return rc;
    }
    *out = writer;
    return BT_OK;
}

static bt_status add_entry(bt_bundle_writer *writer, const char *name, bt_dtype dtype, int32_t rank,
                           const int64_t *dim, bt_bundle_entry **out, bt_error *err) {
    if (name[0] == '\0' || rank < 0 || rank > BT_WIRE_MAX_RANK) {
        return BT_FAIL(err, BT_E_INTERNAL,
                       "cannot write %s: a tensor without a name, or of rank %d", writer->prefix,
                       rank);
    }
    BT_TRY(bt_grow(&writer->entries, &writer->cap_entries, writer->n_entries + 1,
                   sizeof writer->entries[0], SIZE_MAX / 1024, err));
    const char *const copy = bt_arena_strdup(&writer->names, name);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write %s", writer->prefix);
    }
    bt_bundle_entry *const entry = &writer->entries[writer->n_entries];
    *entry = (bt_bundle_entry){.name = copy,
                               .dtype = dtype,
                               .rank = rank,
                               .n_elements = 1,
                               .offset = bt_fs_writer_offset(writer->data)};
    for (int32_t i = 0; i < rank; i++) {
        entry->dim[i] = dim[i];
        if (!bt_i64_mul(entry->n_elements, dim[i], &entry->n_elements)) {
            return BT_FAIL(err, BT_E_SHAPE, "tensor '%s': negative or too large dims", name);
        }
    }
    *out = entry;
    return BT_OK;
}

bt_status bt_bundle_add(bt_bundle_writer *writer, const char *name, bt_dtype dtype, int32_t rank,
                        const int64_t *dim, const void *data, bt_error *err) {
    bt_bundle_entry *entry = NULL;
    const size_t     size = bt_dtype_size(dtype);
    if (size == 0) {
        return BT_FAIL(err, BT_E_INTERNAL, "tensor '%s' is not of numbers", name);
    }
    BT_TRY(add_entry(writer, name, dtype, rank, dim, &entry, err));
    if (!bt_i64_mul(entry->n_elements, (int64_t)size, &entry->n_bytes)) {
        return BT_FAIL(err, BT_E_SHAPE, "tensor '%s' is too large", name);
    }
    const size_t n_bytes = (size_t)entry->n_bytes;
    entry->crc = bt_crc32c_mask(bt_crc32c(0, data, n_bytes));
    BT_TRY(bt_fs_writer_write(writer->data, data, n_bytes, err));
    writer->n_entries++;
    return BT_OK;
}

static bt_status put_data(bt_bundle_writer *writer, bt_bundle_entry *entry, const void *bytes,
                          size_t n_bytes, bt_error *err) {
    entry->n_bytes += (int64_t)n_bytes;
    return bt_fs_writer_write(writer->data, bytes, n_bytes, err);
}

bt_status bt_bundle_add_strings(bt_bundle_writer *writer, const char *name, int32_t rank,
                                const int64_t *dim, const bt_bytes *values, bt_error *err) {
    bt_bundle_entry *entry = NULL;
    uint8_t          bytes[10];
    uint32_t         crc = 0;
    BT_TRY(add_entry(writer, name, BT_DTYPE_STRING, rank, dim, &entry, err));
    for (int64_t i = 0; i < entry->n_elements; i++) {
        const uint64_t length = values[i].n_bytes;
        BT_TRY(put_data(writer, entry, bytes, bt_store_varint(bytes, length), err));
        bt_store_u64le(bytes, length);
        crc = bt_crc32c(crc, bytes, length <= UINT32_MAX ? 4 : 8);
    }
    bt_store_u32le(bytes, bt_crc32c_mask(crc));
    crc = bt_crc32c(crc, bytes, 4);
    BT_TRY(put_data(writer, entry, bytes, 4, err));
    for (int64_t i = 0; i < entry->n_elements; i++) {
        BT_TRY(put_data(writer, entry, values[i].data, values[i].n_bytes, err));
        crc = bt_crc32c(crc, values[i].data, values[i].n_bytes);
    }
    entry->crc = bt_crc32c_mask(crc);
    writer->n_entries++;
    return BT_OK;
}

static bt_status append_header(bt_str *out, bt_error *err) {
    BtTf__VersionDef        version = BT_TF__VERSION_DEF__INIT;
    BtTf__BundleHeaderProto header = BT_TF__BUNDLE_HEADER_PROTO__INIT;
    version.producer = 1;
    header.num_shards = 1;
    header.version = &version;
    return bt_proto_append(out, &header.base, err);
}

static bt_status append_entry(bt_str *out, const bt_bundle_entry *entry, bt_error *err) {
    BtTf__TensorShapeProto__Dim  dims[BT_WIRE_MAX_RANK];
    BtTf__TensorShapeProto__Dim *pointers[BT_WIRE_MAX_RANK];
    BtTf__TensorShapeProto       shape = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__BundleEntryProto       message = BT_TF__BUNDLE_ENTRY_PROTO__INIT;
    for (int32_t i = 0; i < entry->rank; i++) {
        bt_tf__tensor_shape_proto__dim__init(&dims[i]);
        dims[i].size = entry->dim[i];
        pointers[i] = &dims[i];
    }
    shape.n_dim = (size_t)entry->rank;
    shape.dim = pointers;
    message.dtype = (int32_t)entry->dtype;
    message.shape = &shape;
    message.shard_id = entry->shard;
    message.offset = entry->offset;
    message.size = entry->n_bytes;
    message.crc32c = entry->crc;
    return bt_proto_append(out, &message.base, err);
}

static int compare_entries(const void *a, const void *b) {
    const bt_bundle_entry *const left = a;
    const bt_bundle_entry *const right = b;
    return strcmp(left->name, right->name);
}

static bt_status build_index(bt_bundle_writer *writer, bt_sstable_builder *builder, bt_error *err) {
    bt_str    value = BT_STR_INIT;
    bt_status rc = BT_OK;
    if (writer->n_entries > 1) {
        qsort(writer->entries, writer->n_entries, sizeof writer->entries[0], compare_entries);
    }
    BT_CHECK(append_header(&value, err));
    BT_CHECK(bt_sstable_add(builder, (bt_bytes){(const uint8_t *)"", 0},
                            (bt_bytes){(const uint8_t *)value.data, value.len}, err));
    for (size_t i = 0; i < writer->n_entries; i++) {
        const bt_bundle_entry *const entry = &writer->entries[i];
        bt_str_clear(&value);
        BT_CHECK(append_entry(&value, entry, err));
        BT_CHECK(bt_sstable_add(builder,
                                (bt_bytes){(const uint8_t *)entry->name, strlen(entry->name)},
                                (bt_bytes){(const uint8_t *)value.data, value.len}, err));
    }
done:
    bt_str_deinit(&value);
    return rc;
}

/* While another failure is being reported. */
static void remove_quietly(const char *path) {
    if (bt_fs_remove(path, NULL) != BT_OK) {
        bt_log(BT_LOG_WARNING, "cannot remove %s", path);
    }
}

/* Both files are on the disk under temporary names. From the removal of an older index of this
 * name until the new one is in place there is no checkpoint: never one with another's data. */
static bt_status publish(bt_bundle_writer *writer, bt_fs_writer **index, const char *index_path,
                         bt_error *err) {
    char *data_path = NULL;
    BT_TRY(bundle_shard_path(writer->prefix, 0, 1, &data_path, err));
    bt_status rc = bt_fs_remove(index_path, err);
    if (rc == BT_OK) {
        rc = bt_fs_writer_commit(&writer->data, err);
        if (rc == BT_OK) {
            rc = bt_fs_writer_commit(index, err);
        }
        if (rc != BT_OK) { /* one without the other is of no use to anybody */
            remove_quietly(index_path);
            remove_quietly(data_path);
        }
    }
    bt_free(data_path);
    return rc;
}

bt_status bt_bundle_writer_commit(bt_bundle_writer **writer_ptr, bt_error *err) {
    bt_bundle_writer *const writer = *writer_ptr;
    bt_sstable_builder     *builder = NULL;
    bt_fs_writer           *index = NULL;
    bt_str                  path = BT_STR_INIT;
    bt_bytes                table;
    bt_status               rc = BT_OK;
    BT_CHECK(bt_sstable_builder_create(&builder, err));
    BT_CHECK(build_index(writer, builder, err));
    BT_CHECK(bt_sstable_finish(builder, &table, err));
    BT_CHECK(bt_str_appendf(&path, err, "%s.index", writer->prefix));
    BT_CHECK(bt_fs_writer_create(path.data, &index, err));
    BT_CHECK(bt_fs_writer_write(index, table.data, table.n_bytes, err));
    BT_CHECK(bt_fs_writer_flush(index, true, err));
    BT_CHECK(bt_fs_writer_flush(writer->data, true, err));
    BT_CHECK(publish(writer, &index, path.data, err));
    bt_bundle_writer_abort(writer);
    *writer_ptr = NULL;
done:
    bt_fs_writer_abort(index);
    bt_sstable_builder_free(builder);
    bt_str_deinit(&path);
    return rc;
}

void bt_bundle_writer_abort(bt_bundle_writer *writer) {
    if (writer != NULL) {
        bt_fs_writer_abort(writer->data);
        bt_arena_deinit(&writer->names);
        bt_free(writer->entries);
        bt_free(writer->prefix);
        bt_free(writer);
    }
}
