/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor bundles: the input is the values of an index's entries, a byte of length before each; the
 * table around them is always sound, so that the entries are reached. */
#include <stdio.h>

#include "bt/wire.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

static bt_status build(const uint8_t *data, size_t size, bt_sstable_builder *builder,
                       bt_bytes *table) {
    static const uint8_t header[] = {0x08, 1, 0x1a, 2, 0x08, 1};
    bt_status            rc = bt_sstable_add(builder, (bt_bytes){(const uint8_t *)"", 0},
                                             (bt_bytes){header, sizeof header}, NULL);
    size_t               at = 0;
    for (unsigned i = 0; rc == BT_OK && at < size && i < 100; i++) {
        char         key[16];
        const size_t n = data[at] < size - at - 1 ? data[at] : size - at - 1;
        const int    n_key = snprintf(key, sizeof key, "k%03u", i);
        rc = bt_sstable_add(builder, (bt_bytes){(const uint8_t *)key, (size_t)n_key},
                            (bt_bytes){data + at + 1, n}, NULL);
        at += n + 1;
    }
    return rc == BT_OK ? bt_sstable_finish(builder, table, NULL) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_sstable_builder *builder = NULL;
    bt_bytes            table;
    bt_bundle          *bundle = NULL;
    if (bt_sstable_builder_create(&builder, NULL) != BT_OK) {
        return 0;
    }
    if (build(data, size, builder, &table) == BT_OK) {
        char              prefix[4096];
        const char *const path = fuzz_file("c.index", table.data, table.n_bytes);
        (void)fuzz_file("c.data-00000-of-00001", data, size);
        (void)snprintf(prefix, sizeof prefix, "%.*s",
                       (int)(snprintf(NULL, 0, "%s", path) - (int)sizeof ".index" + 1), path);
        if (bt_bundle_open(prefix, &bundle, NULL) == BT_OK &&
            bt_bundle_check_files(bundle, NULL) == BT_OK) {
            const bt_status verified = bt_bundle_verify(bundle, NULL);
            (void)verified;
        }
        bt_bundle_close(bundle);
    }
    bt_sstable_builder_free(builder);
    return 0;
}
