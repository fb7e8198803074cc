/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads LevelDB-style tables: footer -> index block -> data blocks. Every handle, length and
 * checksum is verified before it is used; keys must ascend. Compressed blocks are refused: the
 * writers of checkpoints make none. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/str.h"
#include "bt/wire/sstable.h"
#include "sstable_block.h"

typedef struct sstable_reader {
    bt_bytes         table;
    const char      *name;
    bt_sstable_visit visit;
    void            *context;
    bt_str           last_key; /* of the table so far */
    bool             any;
} sstable_reader;

typedef struct block_handle {
    uint64_t offset;
    uint64_t n_bytes;
} block_handle;

int sstable_compare(bt_bytes a, bt_bytes b) {
    const size_t n = a.n_bytes < b.n_bytes ? a.n_bytes : b.n_bytes;
    const int    order = n == 0 ? 0 : memcmp(a.data, b.data, n);
    if (order != 0) {
        return order;
    }
    return a.n_bytes < b.n_bytes ? -1 : a.n_bytes > b.n_bytes;
}

static bool read_handle(bt_reader *r, block_handle *handle) {
    return bt_read_varint(r, &handle->offset) && bt_read_varint(r, &handle->n_bytes);
}

/* The contents of a block without its restart array. */
static bt_status open_block(const sstable_reader *reader, block_handle handle, bt_reader *entries,
                            bt_error *err) {
    const size_t size = reader->table.n_bytes;
    if (handle.offset > size || handle.n_bytes > size - handle.offset ||
        size - handle.offset - handle.n_bytes < SSTABLE_TRAILER_BYTES || handle.n_bytes < 4) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: a block of %" PRIu64 " bytes at byte %" PRIu64
                       " does not fit into the file of %zu bytes",
                       reader->name, handle.n_bytes, handle.offset, size);
    }
    const uint8_t *const data = reader->table.data + handle.offset;
    const size_t         n = (size_t)handle.n_bytes;
    const uint32_t       stored = bt_load_u32le(data + n + 1);
    const uint32_t       real = bt_crc32c_mask(bt_crc32c(0, data, n + 1));
    if (stored != real) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the crc of the block at byte %" PRIu64 " is 0x%08" PRIx32
                       ", the file says 0x%08" PRIx32,
                       reader->name, handle.offset, real, stored);
    }
    if (data[n] != 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "%s: the block at byte %" PRIu64
                       " is compressed (type %u), which no writer of checkpoints does",
                       reader->name, handle.offset, data[n]);
    }
    const uint64_t n_restarts = bt_load_u32le(data + n - 4);
    if (n_restarts > (n - 4) / 4) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: the block at byte %" PRIu64 " claims %" PRIu64 " restart points",
                       reader->name, handle.offset, n_restarts);
    }
    *entries = bt_reader_make(data, n - 4 - 4 * (size_t)n_restarts);
    return BT_OK;
}

/* The next entry; key holds the one before and becomes this one's. */
static bt_status next_entry(const sstable_reader *reader, bt_reader *r, bt_str *key,
                            bt_bytes *value, bt_error *err) {
    uint64_t       shared = 0;
    uint64_t       n_suffix = 0;
    uint64_t       n_value = 0;
    const uint8_t *suffix = NULL;
    const uint8_t *data = NULL;
    if (!bt_read_varint(r, &shared) || !bt_read_varint(r, &n_suffix) ||
        !bt_read_varint(r, &n_value) || shared > key->len || n_suffix > bt_reader_left(r) ||
        !bt_read_bytes(r, (size_t)n_suffix, &suffix) || n_value > bt_reader_left(r) ||
        !bt_read_bytes(r, (size_t)n_value, &data)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: an entry of a block is damaged at byte %td",
                       reader->name, r->pos - reader->table.data);
    }
    key->len = (size_t)shared;
    BT_TRY(bt_str_append_n(key, suffix, (size_t)n_suffix, err));
    *value = (bt_bytes){data, (size_t)n_value};
    return BT_OK;
}

static bt_status visit_block(sstable_reader *reader, block_handle handle, bt_error *err) {
    bt_reader entries;
    bt_str    key = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(open_block(reader, handle, &entries, err));
    while (bt_reader_left(&entries) > 0) {
        bt_bytes value;
        BT_CHECK(next_entry(reader, &entries, &key, &value, err));
        const bt_bytes now = {(const uint8_t *)bt_str_text(&key), key.len};
        const bt_bytes before = {(const uint8_t *)bt_str_text(&reader->last_key),
                                 reader->last_key.len};
        if (reader->any && sstable_compare(before, now) >= 0) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: the keys do not ascend at '%.*s'", reader->name,
                         (int)now.n_bytes, (const char *)now.data);
            goto done;
        }
        bt_str_clear(&reader->last_key);
        BT_CHECK(bt_str_append_n(&reader->last_key, now.data, now.n_bytes, err));
        reader->any = true;
        BT_CHECK(reader->visit(reader->context, now, value, err));
    }
done:
    bt_str_deinit(&key);
    return rc;
}

static bt_status visit_all(sstable_reader *reader, block_handle index, bt_error *err) {
    bt_reader entries;
    bt_str    key = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(open_block(reader, index, &entries, err));
    while (bt_reader_left(&entries) > 0) {
        bt_bytes     value;
        block_handle handle;
        BT_CHECK(next_entry(reader, &entries, &key, &value, err));
        bt_reader r = bt_reader_make(value.data, value.n_bytes);
        if (!read_handle(&r, &handle)) {
            rc = BT_FAIL(err, BT_E_FORMAT, "%s: the index block is damaged", reader->name);
            goto done;
        }
        BT_CHECK(visit_block(reader, handle, err));
    }
done:
    bt_str_deinit(&key);
    return rc;
}

bt_status bt_sstable_read(bt_bytes table, const char *name, bt_sstable_visit visit, void *context,
                          bt_error *err) {
    if (table.n_bytes < SSTABLE_FOOTER_BYTES) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "%s: %zu bytes are too few for a table of a checkpoint: it is truncated or empty", name,
            table.n_bytes);
    }
    const uint8_t *const footer = table.data + table.n_bytes - SSTABLE_FOOTER_BYTES;
    const uint64_t       magic = bt_load_u64le(footer + SSTABLE_HANDLES_BYTES);
    if (magic != SSTABLE_MAGIC) {
        return BT_FAIL(
            err, BT_E_FORMAT,
            "%s: not a table of a checkpoint, or truncated: its last 8 bytes are 0x%016" PRIx64
            ", not 0x%016" PRIx64,
            name, magic, (uint64_t)SSTABLE_MAGIC);
    }
    bt_reader      r = bt_reader_make(footer, SSTABLE_HANDLES_BYTES);
    block_handle   meta;
    block_handle   index;
    sstable_reader reader = {.table = table, .name = name, .visit = visit, .context = context};
    if (!read_handle(&r, &meta) || !read_handle(&r, &index)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s: the footer is damaged", name);
    }
    bt_reader unused; /* the metaindex says nothing, but its bytes count */
    BT_TRY(open_block(&reader, meta, &unused, err));
    const bt_status rc = visit_all(&reader, index, err);
    bt_str_deinit(&reader.last_key);
    return rc;
}
