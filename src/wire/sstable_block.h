/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reader and the builder of sorted-string tables share (docs/model_garden/numerics.md
 * section 9). */
#ifndef BT_SSTABLE_BLOCK_H
#define BT_SSTABLE_BLOCK_H

#include "bt/base/bytes.h"

enum {
    SSTABLE_FOOTER_BYTES = 48,
    SSTABLE_HANDLES_BYTES = 40,
    SSTABLE_TRAILER_BYTES = 5, /* block type, masked crc */
    SSTABLE_RESTART_INTERVAL = 16,
    SSTABLE_BLOCK_BYTES = 1 << 18,
};
#define SSTABLE_MAGIC 0xdb4775248b80fb57ULL

/* memcmp order; a prefix comes first */
int sstable_compare(bt_bytes a, bt_bytes b);

#endif
