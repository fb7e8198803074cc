/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a tensor bundle: the index table becomes a sorted array of entries
 * (docs/model_garden/numerics.md section 9). Shapes, offsets and sizes are checked against each
 * other here, against the data files when these are opened. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/fs.h"
#include "bt/proto.h"
#include "bt/tensor.h"
#include "bt/wire/sstable.h"
#include "bundle_internal.h"
#include "tensor_bundle.pb-c.h"

static const int32_t shards_max = 1 << 16;

static bt_status fail_entry(const bt_bundle *bundle, const char *name, const char *what,
                            bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT, "%s: the entry of tensor '%s' is damaged: %s",
                   bundle->index_path, name, what);
}

static bt_status take_header(bt_bundle *bundle, const BtTf__BundleHeaderProto *header,
                             bt_error *err) {
    if (header->endianness != 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: written on a big-endian machine, which this program cannot read",
                       bundle->index_path);
    }
    if (header->num_shards < 1 || header->num_shards > shards_max) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the header's number of data files is wrong",
                       bundle->index_path);
    }
    bundle->n_shards = header->num_shards;
    bundle->shards = bt_calloc_array((size_t)bundle->n_shards, sizeof bundle->shards[0]);
    if (bundle->shards == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", bundle->prefix);
    }
    bundle->has_header = true;
    return BT_OK;
}

static bt_status parse_header(bt_bundle *bundle, bt_bytes value, bt_error *err) {
    const ProtobufCMessage *message = NULL;
    if (bt_proto_unpack(&bt_tf__bundle_header_proto__descriptor, value, &bundle->scratch, &message,
                        err) != BT_OK) {
        return bt_error_prefix(err, "%s: the header", bundle->index_path);
    }
    return take_header(bundle, (const BtTf__BundleHeaderProto *)message, err);
}

static bool take_shape(const BtTf__TensorShapeProto *shape, bt_bundle_entry *entry) {
    entry->n_elements = 1;
    if (shape == NULL) {
        return true;
    }
    if (shape->unknown_rank || shape->n_dim > BT_WIRE_MAX_RANK) {
        return false;
    }
    entry->rank = (int32_t)shape->n_dim;
    for (int32_t i = 0; i < entry->rank; i++) {
        entry->dim[i] = shape->dim[i]->size;
        if (!bt_i64_mul(entry->n_elements, entry->dim[i], &entry->n_elements)) {
            return false;
        }
    }
    return true;
}

static bool take_slice(const BtTf__TensorSliceProto *from, const bt_bundle_entry *entry,
                       bundle_slice *slice) {
    *slice = (bundle_slice){0};
    if (from->n_extent != (size_t)entry->rank) {
        return false;
    }
    for (int32_t i = 0; i < entry->rank; i++) {
        const BtTf__TensorSliceProto__Extent *const extent = from->extent[i];
        slice->whole[i] =
            extent->has_length_case == BT_TF__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH__NOT_SET;
        slice->start[i] = extent->start;
        slice->length[i] = slice->whole[i] ? entry->dim[i] : extent->length;
        if (slice->start[i] < 0 || slice->length[i] < 0 || slice->start[i] > entry->dim[i] ||
            slice->length[i] > entry->dim[i] - slice->start[i]) {
            return false;
        }
    }
    return true;
}

static bt_status take_slices(bt_bundle *bundle, const BtTf__BundleEntryProto *from,
                             bt_bundle_entry *entry, bt_error *err) {
    entry->first_slice = bundle->n_slices;
    for (size_t i = 0; i < from->n_slices; i++) {
        BT_TRY(bt_grow(&bundle->slices, &bundle->cap_slices, bundle->n_slices + 1,
                       sizeof bundle->slices[0], SIZE_MAX / 1024, err));
        if (!take_slice(from->slices[i], entry, &bundle->slices[bundle->n_slices])) {
            return fail_entry(bundle, entry->name, "a slice is outside of the tensor", err);
        }
        bundle->n_slices++;
        entry->n_slices++;
    }
    return BT_OK;
}

static bt_status check_entry(const bt_bundle *bundle, const bt_bundle_entry *entry, bt_error *err) {
    int64_t n_bytes = 0;
    if (entry->shard < 0 || entry->shard >= bundle->n_shards || entry->offset < 0 ||
        entry->n_bytes < 0 || entry->n_bytes > INT64_MAX - entry->offset) {
        return fail_entry(bundle, entry->name, "its place in the data files is wrong", err);
    }
    const size_t size = bt_dtype_size(entry->dtype);
    if (size > 0 && entry->n_slices == 0 &&
        (!bt_i64_mul(entry->n_elements, (int64_t)size, &n_bytes) || n_bytes != entry->n_bytes)) {
        return fail_entry(bundle, entry->name, "its size in bytes does not fit its shape", err);
    }
    return BT_OK;
}

static bt_status take_entry(bt_bundle *bundle, const BtTf__BundleEntryProto *from,
                            bt_bundle_entry *entry, bt_error *err) {
    entry->dtype = bt_dtype_is_known(from->dtype) ? (bt_dtype)from->dtype : BT_DTYPE_INVALID;
    entry->shard = from->shard_id;
    entry->offset = from->offset;
    entry->n_bytes = from->size;
    entry->crc = from->crc32c;
    if (!take_shape(from->shape, entry)) {
        return fail_entry(bundle, entry->name, "its shape is unknown, negative or too large", err);
    }
    BT_TRY(take_slices(bundle, from, entry, err));
    return check_entry(bundle, entry, err);
}

static bt_status parse_entry(bt_bundle *bundle, const char *name, bt_bytes value,
                             bt_bundle_entry *entry, bt_error *err) {
    const ProtobufCMessage *message = NULL;
    *entry = (bt_bundle_entry){.name = name};
    bt_arena_reset(&bundle->scratch);
    if (bt_proto_unpack(&bt_tf__bundle_entry_proto__descriptor, value, &bundle->scratch, &message,
                        err) != BT_OK) {
        return bt_error_prefix(err, "%s: the entry of tensor '%s'", bundle->index_path, name);
    }
    return take_entry(bundle, (const BtTf__BundleEntryProto *)message, entry, err);
}

static bt_status visit_part(bt_bundle *bundle, bt_bytes key, bt_bytes value, bt_error *err) {
    BT_TRY(bt_grow(&bundle->parts, &bundle->cap_parts, bundle->n_parts + 1, sizeof bundle->parts[0],
                   SIZE_MAX / 1024, err));
    bundle_part *const part = &bundle->parts[bundle->n_parts];
    const char *const  copy = bt_arena_strndup(&bundle->names, (const char *)key.data, key.n_bytes);
    if (copy == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", bundle->prefix);
    }
    part->key = (bt_bytes){(const uint8_t *)copy, key.n_bytes};
    BT_TRY(parse_entry(bundle, "(a slice)", value, &part->entry, err));
    bundle->n_parts++;
    return BT_OK;
}

static bt_status visit(void *context, bt_bytes key, bt_bytes value, bt_error *err) {
    bt_bundle *const bundle = context;
    if (!bundle->has_header) {
        if (key.n_bytes != 0) {
            return BT_FAIL(err, BT_E_FORMAT, "%s: no header, so not an index of a checkpoint",
                           bundle->index_path);
        }
        return parse_header(bundle, value, err);
    }
    if (key.data[0] == 0) {
        return visit_part(bundle, key, value, err);
    }
    if (memchr(key.data, 0, key.n_bytes) != NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the name of a tensor holds a NUL byte",
                       bundle->index_path);
    }
    BT_TRY(bt_grow(&bundle->entries, &bundle->cap_entries, bundle->n_entries + 1,
                   sizeof bundle->entries[0], SIZE_MAX / 1024, err));
    const char *const name = bt_arena_strndup(&bundle->names, (const char *)key.data, key.n_bytes);
    if (name == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", bundle->prefix);
    }
    BT_TRY(parse_entry(bundle, name, value, &bundle->entries[bundle->n_entries], err));
    bundle->n_entries++;
    return BT_OK;
}

static bt_status read_index(bt_bundle *bundle, bt_error *err) {
    bt_fs_view view;
    BT_TRY(bt_fs_view_open(bundle->index_path, &view, err));
    bt_status rc = bt_fs_refuse_stranger(bundle->index_path, view.data, view.n_bytes, err);
    if (rc == BT_OK) {
        rc = bt_sstable_read((bt_bytes){view.data, view.n_bytes}, bundle->index_path, visit, bundle,
                             err);
    }
    bt_fs_view_close(&view);
    if (rc == BT_OK && !bundle->has_header) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: no header, so not an index of a checkpoint",
                     bundle->index_path);
    }
    return rc;
}

bt_status bt_bundle_open(const char *prefix, bt_bundle **out, bt_error *err) {
    bt_str           path = BT_STR_INIT;
    bt_status        rc = BT_OK;
    bt_bundle *const bundle = bt_calloc_array(1, sizeof *bundle);
    if (bundle == NULL || (bundle->prefix = bt_strdup(prefix)) == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot open %s", prefix);
        goto done;
    }
    BT_CHECK(bt_str_appendf(&path, err, "%s.index", prefix));
    bundle->index_path = bt_str_take(&path);
    BT_CHECK(bt_arena_init(&bundle->names, 1U << 14, err));
    BT_CHECK(bt_arena_init(&bundle->scratch, 1U << 12, err));
    BT_CHECK(read_index(bundle, err));
    bt_arena_deinit(&bundle->scratch);
    *out = bundle;
    return BT_OK;
done:
    bt_str_deinit(&path);
    bt_bundle_close(bundle);
    return rc;
}

void bt_bundle_close(bt_bundle *bundle) {
    if (bundle == NULL) {
        return;
    }
    for (int32_t i = 0; i < bundle->n_shards && bundle->shards != NULL; i++) {
        bt_fs_close(bundle->shards[i]);
    }
    bt_free(bundle->shards);
    bt_free(bundle->entries);
    bt_free(bundle->slices);
    bt_free(bundle->parts);
    bt_arena_deinit(&bundle->names);
    bt_arena_deinit(&bundle->scratch);
    bt_free(bundle->index_path);
    bt_free(bundle->prefix);
    bt_free(bundle);
}

size_t bt_bundle_n_entries(const bt_bundle *bundle) {
    return bundle->n_entries;
}

const bt_bundle_entry *bt_bundle_entry_at(const bt_bundle *bundle, size_t i) {
    BT_ASSERT(i < bundle->n_entries);
    return &bundle->entries[i];
}

static int compare_name(const void *name, const void *entry) {
    const bt_bundle_entry *const e = entry;
    return strcmp(name, e->name);
}

const bt_bundle_entry *bt_bundle_find(const bt_bundle *bundle, const char *name) {
    if (bundle->n_entries == 0) {
        return NULL;
    }
    return bsearch(name, bundle->entries, bundle->n_entries, sizeof bundle->entries[0],
                   compare_name);
}
