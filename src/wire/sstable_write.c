/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a table in memory, with the block size, restart interval and separator keys of
 * TensorFlow's builder, so that equal entries give equal bytes. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/wire/sstable.h"
#include "proto_wire.h"
#include "sstable_block.h"

typedef struct block_builder {
    bt_str    bytes;
    bt_str    last_key;
    uint32_t *restarts;
    size_t    n_restarts;
    size_t    cap_restarts;
    size_t    interval;
    size_t    since_restart;
} block_builder;

struct bt_sstable_builder {
    bt_str        out;
    block_builder data;
    block_builder index;
    bt_str        last_key;
    bool          any;
    bool          pending; /* a data block was written, its index entry not yet */
    uint64_t      pending_offset;
    uint64_t      pending_bytes;
};

static void block_deinit(block_builder *block) {
    bt_str_deinit(&block->bytes);
    bt_str_deinit(&block->last_key);
    bt_free(block->restarts);
}

static void block_reset(block_builder *block) {
    bt_str_clear(&block->bytes);
    bt_str_clear(&block->last_key);
    block->n_restarts = 0;
    block->since_restart = 0;
}

static bt_status block_restart(block_builder *block, bt_error *err) {
    BT_TRY(bt_grow(&block->restarts, &block->cap_restarts, block->n_restarts + 1,
                   sizeof block->restarts[0], SIZE_MAX / 16, err));
    block->restarts[block->n_restarts++] = (uint32_t)block->bytes.len;
    block->since_restart = 0;
    return BT_OK;
}

static bt_status block_add(block_builder *block, bt_bytes key, bt_bytes value, bt_error *err) {
    size_t shared = 0;
    if (block->n_restarts == 0 || block->since_restart >= block->interval) {
        BT_TRY(block_restart(block, err));
    } else {
        const size_t n = key.n_bytes < block->last_key.len ? key.n_bytes : block->last_key.len;
        while (shared < n && (uint8_t)block->last_key.data[shared] == key.data[shared]) {
            shared++;
        }
    }
    BT_TRY(pw_put_varint(&block->bytes, shared, err));
    BT_TRY(pw_put_varint(&block->bytes, key.n_bytes - shared, err));
    BT_TRY(pw_put_varint(&block->bytes, value.n_bytes, err));
    BT_TRY(bt_str_append_n(&block->bytes, key.data + shared, key.n_bytes - shared, err));
    BT_TRY(bt_str_append_n(&block->bytes, value.data, value.n_bytes, err));
    bt_str_clear(&block->last_key);
    BT_TRY(bt_str_append_n(&block->last_key, key.data, key.n_bytes, err));
    block->since_restart++;
    return BT_OK;
}

/* Appends the finished block to the table and empties the builder. */
static bt_status block_write(block_builder *block, bt_str *out, uint64_t *offset, uint64_t *n_bytes,
                             bt_error *err) {
    uint8_t word[4];
    if (block->n_restarts == 0) {
        BT_TRY(block_restart(block, err));
    }
    for (size_t i = 0; i < block->n_restarts; i++) {
        bt_store_u32le(word, block->restarts[i]);
        BT_TRY(bt_str_append_n(&block->bytes, word, sizeof word, err));
    }
    bt_store_u32le(word, (uint32_t)block->n_restarts);
    BT_TRY(bt_str_append_n(&block->bytes, word, sizeof word, err));
    *offset = out->len;
    *n_bytes = block->bytes.len;
    BT_TRY(bt_str_append_char(&block->bytes, 0, err)); /* type: not compressed */
    bt_store_u32le(word, bt_crc32c_mask(bt_crc32c(0, block->bytes.data, block->bytes.len)));
    BT_TRY(bt_str_append_n(out, block->bytes.data, block->bytes.len, err));
    BT_TRY(bt_str_append_n(out, word, sizeof word, err));
    block_reset(block);
    return BT_OK;
}

bt_status bt_sstable_builder_create(bt_sstable_builder **out, bt_error *err) {
    bt_sstable_builder *const builder = bt_calloc_array(1, sizeof *builder);
    if (builder == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a table");
    }
    builder->data.interval = SSTABLE_RESTART_INTERVAL;
    builder->index.interval = 1;
    *out = builder;
    return BT_OK;
}

void bt_sstable_builder_free(bt_sstable_builder *builder) {
    if (builder != NULL) {
        block_deinit(&builder->data);
        block_deinit(&builder->index);
        bt_str_deinit(&builder->out);
        bt_str_deinit(&builder->last_key);
        bt_free(builder);
    }
}

/* Shortens last_key to a shorter string that is still >= it and < next (NULL: no bound). */
static void shorten(bt_str *last_key, const bt_bytes *next) {
    uint8_t *const key = (uint8_t *)last_key->data;
    size_t         i = 0;
    if (next != NULL) {
        const size_t n = last_key->len < next->n_bytes ? last_key->len : next->n_bytes;
        while (i < n && key[i] == next->data[i]) {
            i++;
        }
        if (i < n && key[i] < 0xff && key[i] + 1 < next->data[i]) {
            key[i]++;
            last_key->len = i + 1;
        }
        return;
    }
    while (i < last_key->len && key[i] == 0xff) {
        i++;
    }
    if (i < last_key->len) {
        key[i]++;
        last_key->len = i + 1;
    }
}

static bt_status add_index_entry(bt_sstable_builder *builder, const bt_bytes *next, bt_error *err) {
    uint8_t handle[20];
    if (builder->last_key.len > 0) {
        shorten(&builder->last_key, next);
    }
    size_t n = bt_store_varint(handle, builder->pending_offset);
    n += bt_store_varint(handle + n, builder->pending_bytes);
    const bt_bytes key = {(const uint8_t *)bt_str_text(&builder->last_key), builder->last_key.len};
    BT_TRY(block_add(&builder->index, key, (bt_bytes){handle, n}, err));
    builder->pending = false;
    return BT_OK;
}

static bt_status write_data_block(bt_sstable_builder *builder, bt_error *err) {
    BT_TRY(block_write(&builder->data, &builder->out, &builder->pending_offset,
                       &builder->pending_bytes, err));
    builder->pending = true;
    return BT_OK;
}

bt_status bt_sstable_add(bt_sstable_builder *builder, bt_bytes key, bt_bytes value, bt_error *err) {
    const bt_bytes before = {(const uint8_t *)bt_str_text(&builder->last_key),
                             builder->last_key.len};
    if (builder->any && sstable_compare(before, key) >= 0) {
        return BT_FAIL(err, BT_E_INTERNAL, "key '%.*s' of a table comes twice or too late",
                       (int)key.n_bytes, (const char *)key.data);
    }
    if (builder->pending) {
        BT_TRY(add_index_entry(builder, &key, err));
    }
    builder->any = true;
    bt_str_clear(&builder->last_key);
    BT_TRY(bt_str_append_n(&builder->last_key, key.data, key.n_bytes, err));
    BT_TRY(block_add(&builder->data, key, value, err));
    if (builder->data.bytes.len + 4 * builder->data.n_restarts + 4 >= SSTABLE_BLOCK_BYTES) {
        BT_TRY(write_data_block(builder, err));
    }
    return BT_OK;
}

bt_status bt_sstable_finish(bt_sstable_builder *builder, bt_bytes *out, bt_error *err) {
    block_builder meta = {.interval = SSTABLE_RESTART_INTERVAL};
    uint64_t      handles[4] = {0};
    bt_status     rc = BT_OK;
    uint8_t       footer[SSTABLE_FOOTER_BYTES] = {0};
    if (builder->data.n_restarts > 0) {
        BT_CHECK(write_data_block(builder, err));
    }
    BT_CHECK(block_write(&meta, &builder->out, &handles[0], &handles[1], err));
    if (builder->pending) {
        BT_CHECK(add_index_entry(builder, NULL, err));
    }
    BT_CHECK(block_write(&builder->index, &builder->out, &handles[2], &handles[3], err));
    size_t n = 0;
    for (size_t i = 0; i < BT_ARRAY_LEN(handles); i++) {
        n += bt_store_varint(footer + n, handles[i]);
    }
    bt_store_u64le(footer + SSTABLE_HANDLES_BYTES, SSTABLE_MAGIC);
    BT_CHECK(bt_str_append_n(&builder->out, footer, sizeof footer, err));
    *out = (bt_bytes){(const uint8_t *)builder->out.data, builder->out.len};
done:
    block_deinit(&meta);
    return rc;
}
