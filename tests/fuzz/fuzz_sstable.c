/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorted-string tables. */
#include "bt/wire.h"
#include "fuzz_targets.h"

static bt_status visit(void *context, bt_bytes key, bt_bytes value, bt_error *err) {
    size_t *const n = context;
    (void)err;
    *n += key.n_bytes + value.n_bytes;
    return BT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t n = 0;
    if (bt_sstable_read((bt_bytes){data, size}, "fuzz", visit, &n, NULL) != BT_OK) {
        return 0;
    }
    return 0;
}
