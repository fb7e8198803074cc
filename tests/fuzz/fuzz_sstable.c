/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorted-string tables; the first byte says whether the checksums of the others are mended. What is
 * read ascends, and is read again from a table that is made of it. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/wire/sstable.h"
#include "fuzz_mend.h"
#include "fuzz_targets.h"

typedef struct entries {
    bt_sstable_builder *builder;
    uint32_t            crc;
} entries;

static bt_status visit(void *context, bt_bytes key, bt_bytes value, bt_error *err) {
    entries *const e = context;
    e->crc = bt_crc32c(e->crc, key.data, key.n_bytes);
    e->crc = bt_crc32c(e->crc, value.data, value.n_bytes);
    return e->builder != NULL ? bt_sstable_add(e->builder, key, value, err) : BT_OK;
}

static void read_table(bt_bytes table) {
    entries  first = {0};
    entries  again = {0};
    bt_bytes copy = {0};
    if (bt_sstable_builder_create(&first.builder, NULL) != BT_OK) {
        return;
    }
    if (bt_sstable_read(table, "fuzz", visit, &first, NULL) == BT_OK &&
        (bt_sstable_finish(first.builder, &copy, NULL) != BT_OK ||
         bt_sstable_read(copy, "again", visit, &again, NULL) != BT_OK || again.crc != first.crc)) {
        abort();
    }
    bt_sstable_builder_free(first.builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = NULL;
    if (size == 0 || (copy = bt_alloc(size)) == NULL) {
        return 0;
    }
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & FUZZ_MENDS) != 0) {
        fuzz_mend_table(copy, size - 1);
    }
    read_table((bt_bytes){copy, size - 1});
    bt_free(copy);
    return 0;
}
