/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor bundles. The first byte says whether the checksums of tensors are mended (bit 0) and
 * whether entries have keys of their own (bit 1); the others are the entries of an index, a byte of
 * length before each key and value, and the bytes of the data file as well. The table around the
 * entries is always sound, so that they are reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/sstable.h"
#include "fuzz_file.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"
#include "proto_wire.h"

enum { HAS_KEYS = 2, MAX_ENTRIES = 100, MAX_READ_BYTES = 1 << 16 };

typedef struct place {
    uint64_t dtype;
    uint64_t n_elements;
    uint64_t offset;
    uint64_t n_bytes;
    uint8_t *crc; /* in the entry; NULL: it has none */
} place;

static uint64_t count_elements(bt_bytes shape) {
    bt_reader r = pw_open(shape);
    pw_field  dim;
    uint64_t  n = 1;
    while (bt_reader_left(&r) > 0 && pw_next(&r, &dim) && n < MAX_READ_BYTES) {
        bt_reader inner = pw_open(dim.bytes);
        pw_field  size = {0};
        if (dim.number == 2 && dim.type == PW_BYTES && bt_reader_left(&inner) > 0 &&
            pw_next(&inner, &size)) {
            n *= size.value < MAX_READ_BYTES ? size.value : MAX_READ_BYTES;
        }
    }
    return n;
}

static place find_place(uint8_t *entry, size_t n) {
    bt_reader r = bt_reader_make(entry, n);
    pw_field  field;
    place     p = {.n_elements = 1};
    while (bt_reader_left(&r) > 0 && pw_next(&r, &field)) {
        if (field.number == 6 && field.type == PW_FIXED32) {
            p.crc = entry + (r.pos - entry) - 4;
        } else if (field.number == 2 && field.type == PW_BYTES) {
            p.n_elements = count_elements(field.bytes);
        } else if (field.number == 1) {
            p.dtype = field.value;
        } else if (field.number == 4) {
            p.offset = field.value;
        } else if (field.number == 5) {
            p.n_bytes = field.value;
        }
    }
    return p;
}

/* Strings: varint lengths, the masked crc of the lengths as u32, bytes; the entry's crc is of the
 * lengths as u32, the four bytes of the first crc, and the bytes. */
static uint32_t mend_strings(uint8_t *bytes, size_t n, uint64_t n_elements) {
    bt_reader r = bt_reader_make(bytes, n);
    uint32_t  crc = 0;
    for (uint64_t i = 0; i < n_elements; i++) {
        uint64_t length = 0;
        uint8_t  fixed[8];
        if (!bt_read_varint(&r, &length)) {
            return 0;
        }
        bt_store_u64le(fixed, length);
        crc = bt_crc32c(crc, fixed, length <= UINT32_MAX ? 4 : 8);
    }
    if (bt_reader_left(&r) < 4) {
        return 0;
    }
    uint8_t *const stored = bytes + (r.pos - bytes);
    bt_store_u32le(stored, bt_crc32c_mask(crc));
    return bt_crc32c(crc, stored, bt_reader_left(&r));
}

static void mend_entry(uint8_t *entry, size_t n, uint8_t *data, size_t size) {
    const place p = find_place(entry, n);
    if (p.crc == NULL || p.offset > size || p.n_bytes > size - p.offset) {
        return;
    }
    uint8_t *const bytes = data + p.offset;
    const uint32_t crc = p.dtype == BT_DTYPE_STRING
                             ? mend_strings(bytes, (size_t)p.n_bytes, p.n_elements)
                             : bt_crc32c(0, bytes, (size_t)p.n_bytes);
    bt_store_u32le(p.crc, bt_crc32c_mask(crc));
}

/* A byte of length and so many bytes, or as many as there are; moves *at after them. */
static uint8_t *take(uint8_t *text, size_t size, size_t *at, size_t *n) {
    uint8_t *const piece = text + *at + 1;
    *n = text[*at] < size - *at - 1 ? text[*at] : size - *at - 1;
    *at += *n + 1;
    return piece;
}

/* data: what the entries of text point into. */
static bt_status build(uint8_t how, uint8_t *text, uint8_t *data, size_t size,
                       bt_sstable_builder *builder, bt_bytes *table) {
    static const uint8_t header[] = {0x08, 1, 0x1a, 2, 0x08, 1};
    BT_TRY(bt_sstable_add(builder, (bt_bytes){(const uint8_t *)"", 0},
                          (bt_bytes){header, sizeof header}, NULL));
    size_t at = 0;
    for (unsigned i = 0; at < size && i < MAX_ENTRIES; i++) {
        char     name[16];
        size_t   n_key = (size_t)snprintf(name, sizeof name, "k%03u", i);
        size_t   n = 0;
        bt_bytes key = {(const uint8_t *)name, n_key};
        if ((how & HAS_KEYS) != 0) {
            key.data = take(text, size, &at, &key.n_bytes);
        }
        if (at >= size) {
            break;
        }
        uint8_t *const value = take(text, size, &at, &n);
        if ((how & FUZZ_MENDS) != 0) {
            mend_entry(value, n, data, size);
        }
        if (bt_sstable_add(builder, key, (bt_bytes){value, n}, NULL) != BT_OK) {
            break; /* keys that do not ascend end the table */
        }
    }
    return bt_sstable_finish(builder, table, NULL);
}

static void read_tensors(bt_bundle *bundle) {
    for (size_t i = 0; i < bt_bundle_n_entries(bundle); i++) {
        const bt_bundle_entry *const entry = bt_bundle_entry_at(bundle, i);
        const size_t                 size = bt_dtype_size(entry->dtype);
        if (bt_bundle_find(bundle, entry->name) != entry) {
            abort();
        }
        if (size == 0 || (uint64_t)entry->n_elements > MAX_READ_BYTES / size) {
            continue;
        }
        const size_t n_bytes = (size_t)entry->n_elements * size;
        void *const  values = bt_alloc(n_bytes);
        if (values != NULL) {
            (void)(bt_bundle_read(bundle, entry, values, n_bytes, NULL) == BT_OK);
        }
        bt_free(values);
    }
}

static void read_bundle(const char *index) {
    bt_bundle   *bundle = NULL;
    char         prefix[4096];
    const size_t n = strlen(index) - (sizeof ".index" - 1);
    (void)snprintf(prefix, sizeof prefix, "%.*s", (int)n, index);
    if (bt_bundle_open(prefix, &bundle, NULL) == BT_OK &&
        bt_bundle_check_files(bundle, NULL) == BT_OK) {
        (void)(bt_bundle_verify(bundle, NULL) == BT_OK);
        read_tensors(bundle);
    }
    bt_bundle_close(bundle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_sstable_builder *builder = NULL;
    bt_bytes            table;
    uint8_t            *copy = NULL;
    if (size == 0 || bt_sstable_builder_create(&builder, NULL) != BT_OK) {
        return 0;
    }
    copy = bt_alloc(2 * size);
    if (copy != NULL) {
        uint8_t *const file = copy + size;
        memcpy(copy, data + 1, size - 1);
        memcpy(file, data + 1, size - 1);
        if (build(data[0], copy, file, size - 1, builder, &table) == BT_OK) {
            (void)fuzz_file("c.data-00000-of-00001", file, size - 1);
            read_bundle(fuzz_file("c.index", table.data, table.n_bytes));
        }
    }
    bt_free(copy);
    bt_sstable_builder_free(builder);
    return 0;
}
