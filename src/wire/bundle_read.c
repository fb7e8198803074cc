/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading tensors of a bundle straight into the caller's memory, checksums verified on the way
 * (the bytes are still in the cache then); strings; partitioned variables put together. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/size.h"
#include "bundle_internal.h"

/* Read and checked in pieces of this size: large enough for the disk, small enough for the cache.
 */
static const size_t piece_bytes = (size_t)1 << 20;

bt_status bundle_shard_path(const char *prefix, int32_t shard, int32_t n_shards, char **out,
                            bt_error *err) {
    bt_str          path = BT_STR_INIT;
    const bt_status rc =
        bt_str_appendf(&path, err, "%s.data-%05" PRId32 "-of-%05" PRId32, prefix, shard, n_shards);
    if (rc == BT_OK) {
        *out = bt_str_take(&path);
    }
    bt_str_deinit(&path);
    return rc;
}

/* Opens (or finds open) the data file of an entry and verifies that the entry lies within it. */
static bt_status open_shard(bt_bundle *bundle, const bt_bundle_entry *entry, bt_file **out,
                            bt_error *err) {
    bt_file **const slot = &bundle->shards[entry->shard];
    if (*slot == NULL) {
        char     *path = NULL;
        bt_status rc =
            bundle_shard_path(bundle->prefix, entry->shard, bundle->n_shards, &path, err);
        if (rc == BT_OK) {
            rc = bt_fs_open(path, slot, err);
            if (rc == BT_E_IO) {
                (void)bt_error_prefix(err, "tensor '%s' of checkpoint %s", entry->name,
                                      bundle->prefix);
            }
        }
        bt_free(path);
        BT_TRY(rc);
    }
    const int64_t size = bt_fs_size(*slot);
    if (entry->offset + entry->n_bytes > size) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s is truncated: tensor '%s' needs its bytes %" PRId64 " to %" PRId64
                       ", it has only %" PRId64,
                       bt_fs_path(*slot), entry->name, entry->offset,
                       entry->offset + entry->n_bytes, size);
    }
    *out = *slot;
    return BT_OK;
}

static bt_status check_crc(const bt_file *file, const bt_bundle_entry *entry, uint32_t crc,
                           bt_error *err) {
    const uint32_t real = bt_crc32c_mask(crc);
    if (real != entry->crc) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: tensor '%s' is damaged: the crc of its %" PRId64 " bytes at %" PRId64
                       " is 0x%08" PRIx32 ", the index says 0x%08" PRIx32,
                       bt_fs_path(file), entry->name, entry->n_bytes, entry->offset, real,
                       entry->crc);
    }
    return BT_OK;
}

/* dst NULL: only checks, through scratch of piece_bytes. */
static bt_status read_checked(bt_bundle *bundle, const bt_bundle_entry *entry, uint8_t *dst,
                              uint8_t *scratch, bt_error *err) {
    bt_file *file = NULL;
    uint32_t crc = 0;
    BT_TRY(open_shard(bundle, entry, &file, err));
    const size_t n_bytes = (size_t)entry->n_bytes;
    for (size_t at = 0; at < n_bytes; at += piece_bytes) {
        const size_t   n = n_bytes - at < piece_bytes ? n_bytes - at : piece_bytes;
        uint8_t *const to = dst != NULL ? dst + at : scratch;
        BT_TRY(bt_fs_read_at(file, entry->offset + (int64_t)at, to, n, err));
        crc = bt_crc32c(crc, to, n);
    }
    return check_crc(file, entry, crc, err);
}

static int compare_key(const void *key, const void *part) {
    const bt_bytes *const    a = key;
    const bundle_part *const p = part;
    const size_t             n = a->n_bytes < p->key.n_bytes ? a->n_bytes : p->key.n_bytes;
    const int                order = memcmp(a->data, p->key.data, n);
    if (order != 0) {
        return order;
    }
    return a->n_bytes < p->key.n_bytes ? -1 : a->n_bytes > p->key.n_bytes;
}

static bt_status find_part(const bt_bundle *bundle, const bt_bundle_entry *entry,
                           const bundle_slice *slice, bt_bundle_entry *out, bt_error *err) {
    bt_str key = BT_STR_INIT;
    BT_TRY(bundle_slice_key(entry, slice, &key, err));
    const bt_bytes     wanted = {(const uint8_t *)key.data, key.len};
    const bundle_part *part = NULL;
    if (bundle->n_parts > 0) {
        part =
            bsearch(&wanted, bundle->parts, bundle->n_parts, sizeof bundle->parts[0], compare_key);
    }
    bt_str_deinit(&key);
    int64_t n_elements = 1;
    for (int32_t i = 0; i < entry->rank; i++) {
        n_elements *= slice->length[i]; /* each is within its dim, so no overflow */
    }
    if (part == NULL || part->entry.dtype != entry->dtype || part->entry.n_slices != 0 ||
        part->entry.n_elements != n_elements) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: a part of the partitioned tensor '%s' is missing or does not fit",
                       bundle->index_path, entry->name);
    }
    *out = part->entry;
    out->name = entry->name;
    return BT_OK;
}

/* Copies a dense part into its place, row by row of the last dimension. */
static void place_part(const bt_bundle_entry *entry, const bundle_slice *slice, size_t size,
                       const uint8_t *src, uint8_t *dst) {
    const int32_t last = entry->rank - 1;
    const size_t  row = (size_t)slice->length[last] * size;
    int64_t       at[BT_WIRE_MAX_RANK] = {0};
    if (row == 0) {
        return;
    }
    for (;;) {
        int64_t place = 0;
        for (int32_t i = 0; i < entry->rank; i++) {
            place = place * entry->dim[i] + slice->start[i] + at[i];
        }
        memcpy(dst + (size_t)place * size, src, row);
        src += row;
        int32_t i = last - 1;
        while (i >= 0 && ++at[i] == slice->length[i]) {
            at[i--] = 0;
        }
        if (i < 0) {
            return;
        }
    }
}

static bt_status read_parts(bt_bundle *bundle, const bt_bundle_entry *entry, uint8_t *dst,
                            bt_error *err) {
    const size_t size = bt_dtype_size(entry->dtype);
    int64_t      covered = 0;
    for (int32_t s = 0; s < entry->n_slices; s++) {
        const bundle_slice *const slice = &bundle->slices[entry->first_slice + (size_t)s];
        bt_bundle_entry           part;
        bt_file                  *file = NULL;
        BT_TRY(find_part(bundle, entry, slice, &part, err));
        BT_TRY(open_shard(bundle, &part, &file, err));
        uint8_t *const bytes = bt_alloc((size_t)part.n_bytes);
        if (bytes == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a part of '%s'", entry->name);
        }
        const bt_status rc = read_checked(bundle, &part, bytes, NULL, err);
        if (rc == BT_OK && entry->rank > 0 && part.n_elements > 0) {
            place_part(entry, slice, size, bytes, dst);
        }
        bt_free(bytes);
        BT_TRY(rc);
        covered += part.n_elements;
    }
    if (entry->rank == 0 || covered != entry->n_elements) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the parts of '%s' hold %" PRId64 " of its %" PRId64 " elements",
                       bundle->index_path, entry->name, covered, entry->n_elements);
    }
    return BT_OK;
}

bt_status bt_bundle_read(bt_bundle *bundle, const bt_bundle_entry *entry, void *dst, size_t n_bytes,
                         bt_error *err) {
    const size_t size = bt_dtype_size(entry->dtype);
    if (size == 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: tensor '%s' is of type %s, not of numbers",
                       bundle->prefix, entry->name, bt_dtype_name(entry->dtype));
    }
    if ((uint64_t)entry->n_elements > SIZE_MAX / size ||
        (size_t)entry->n_elements * size != n_bytes) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "%s: tensor '%s' has %" PRId64
                       " elements of %zu bytes, the caller wants %zu "
                       "bytes",
                       bundle->prefix, entry->name, entry->n_elements, size, n_bytes);
    }
    return entry->n_slices > 0 ? read_parts(bundle, entry, dst, err)
                               : read_checked(bundle, entry, dst, NULL, err);
}

static bt_status fail_strings(const bt_bundle *bundle, const bt_bundle_entry *entry,
                              bt_error *err) {
    return BT_FAIL(err, BT_E_FORMAT,
                   "%s: the string tensor '%s' is damaged: its lengths or its crc are wrong",
                   bundle->prefix, entry->name);
}

static uint32_t crc_of_length(uint32_t crc, uint64_t length) {
    uint8_t bytes[8];
    if (length <= UINT32_MAX) {
        bt_store_u32le(bytes, (uint32_t)length);
        return bt_crc32c(crc, bytes, 4);
    }
    bt_store_u64le(bytes, length);
    return bt_crc32c(crc, bytes, 8);
}

/* Layout: varint lengths, masked crc of the lengths as fixed ints, then the bytes. The entry's crc
 * runs over the fixed ints, the four crc bytes and the bytes. */
static bool parse_strings(const bt_bundle_entry *entry, const uint8_t *data, bt_bytes *values) {
    bt_reader      r = bt_reader_make(data, (size_t)entry->n_bytes);
    uint32_t       crc = 0;
    uint32_t       stored = 0;
    const uint8_t *stored_bytes = NULL;
    for (int64_t i = 0; i < entry->n_elements; i++) {
        uint64_t length = 0;
        if (!bt_read_varint(&r, &length) || length > (uint64_t)entry->n_bytes) {
            return false;
        }
        values[i].n_bytes = (size_t)length;
        crc = crc_of_length(crc, length);
    }
    if (!bt_read_bytes(&r, 4, &stored_bytes)) {
        return false;
    }
    stored = bt_load_u32le(stored_bytes);
    if (stored != bt_crc32c_mask(crc)) {
        return false;
    }
    crc = bt_crc32c(crc, stored_bytes, 4);
    crc = bt_crc32c(crc, r.pos, bt_reader_left(&r));
    for (int64_t i = 0; i < entry->n_elements; i++) {
        if (!bt_read_bytes(&r, values[i].n_bytes, &values[i].data)) {
            return false;
        }
    }
    return bt_reader_left(&r) == 0 && bt_crc32c_mask(crc) == entry->crc;
}

bt_status bt_bundle_read_strings(bt_bundle *bundle, const bt_bundle_entry *entry, bt_bytes **values,
                                 bt_error *err) {
    bt_file *file = NULL;
    size_t   head = 0;
    size_t   total = 0;
    if (entry->dtype != BT_DTYPE_STRING || entry->n_slices > 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED, "%s: tensor '%s' is not a whole tensor of strings",
                       bundle->prefix, entry->name);
    }
    BT_TRY(open_shard(bundle, entry, &file, err));
    if (entry->n_elements > entry->n_bytes) { /* a length takes a byte at least */
        return fail_strings(bundle, entry, err);
    }
    if (!bt_size_mul((size_t)entry->n_elements, sizeof(bt_bytes), &head) ||
        !bt_size_add(head, (size_t)entry->n_bytes, &total)) {
        return fail_strings(bundle, entry, err);
    }
    bt_bytes *const block = bt_alloc(total);
    if (block == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for tensor '%s'", entry->name);
    }
    uint8_t *const data = (uint8_t *)block + head;
    bt_status      rc = bt_fs_read_at(file, entry->offset, data, (size_t)entry->n_bytes, err);
    if (rc == BT_OK && !parse_strings(entry, data, block)) {
        rc = fail_strings(bundle, entry, err);
    }
    if (rc != BT_OK) {
        bt_free(block);
        return rc;
    }
    *values = block;
    return BT_OK;
}

static bt_status verify_entry(bt_bundle *bundle, const bt_bundle_entry *entry, uint8_t *scratch,
                              bt_error *err) {
    if (entry->dtype == BT_DTYPE_STRING) {
        bt_bytes *values = NULL;
        BT_TRY(bt_bundle_read_strings(bundle, entry, &values, err));
        bt_free(values);
        return BT_OK;
    }
    if (entry->n_slices == 0) { /* of unknown types too: bytes are bytes */
        return read_checked(bundle, entry, NULL, scratch, err);
    }
    int64_t covered = 0;
    for (int32_t s = 0; s < entry->n_slices; s++) {
        bt_bundle_entry part;
        BT_TRY(
            find_part(bundle, entry, &bundle->slices[entry->first_slice + (size_t)s], &part, err));
        BT_TRY(read_checked(bundle, &part, NULL, scratch, err));
        covered += part.n_elements;
    }
    if (covered != entry->n_elements) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the parts of '%s' hold %" PRId64 " of its %" PRId64 " elements",
                       bundle->index_path, entry->name, covered, entry->n_elements);
    }
    return BT_OK;
}

bt_status bt_bundle_check_files(bt_bundle *bundle, bt_error *err) {
    bt_file *file = NULL;
    for (size_t i = 0; i < bundle->n_entries; i++) {
        if (bundle->entries[i].n_slices == 0) {
            BT_TRY(open_shard(bundle, &bundle->entries[i], &file, err));
        }
    }
    for (size_t i = 0; i < bundle->n_parts; i++) {
        BT_TRY(open_shard(bundle, &bundle->parts[i].entry, &file, err));
    }
    return BT_OK;
}

bt_status bt_bundle_verify(bt_bundle *bundle, bt_error *err) {
    uint8_t *const scratch = bt_alloc(piece_bytes);
    if (scratch == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot verify %s", bundle->prefix);
    }
    bt_status rc = BT_OK;
    for (size_t i = 0; i < bundle->n_entries && rc == BT_OK; i++) {
        rc = verify_entry(bundle, &bundle->entries[i], scratch, err);
    }
    bt_free(scratch);
    return rc;
}
