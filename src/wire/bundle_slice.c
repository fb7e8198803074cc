/* SPDX-License-Identifier: Apache-2.0
 *
 * The binary keys under which the parts of a partitioned variable lie: OrderedCode, whose bytes
 * sort as the values do (docs/model_garden/numerics.md section 9). */
#include <string.h>

#include "bundle_internal.h"

static bt_status put_number(bt_str *key, uint64_t value, bt_error *err) {
    uint8_t bytes[9];
    size_t  n = 0;
    while (n < 8 && value >> (8 * n) != 0) {
        n++;
    }
    bytes[0] = (uint8_t)n;
    for (size_t i = 0; i < n; i++) {
        bytes[1 + i] = (uint8_t)(value >> (8 * (n - 1 - i)));
    }
    return bt_str_append_n(key, bytes, n + 1, err);
}

static bt_status put_string(bt_str *key, const char *text, bt_error *err) {
    for (const char *p = text; *p != '\0'; p++) {
        BT_TRY(bt_str_append_char(key, *p, err));
        if ((uint8_t)*p == 0xff) {
            BT_TRY(bt_str_append_char(key, '\0', err));
        }
    }
    return bt_str_append_n(key, "\0\1", 2, err);
}

/* The number of leading ones of the first bytes is the number of bytes; below is two's
 * complement. */
static bt_status put_signed(bt_str *key, int64_t value, bt_error *err) {
    const uint64_t magnitude = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    uint8_t        bytes[8];
    size_t         n = 1;
    while (n < 8 && magnitude >> (7 * n - 1) != 0) {
        n++;
    }
    if (magnitude >> (7 * n - 1) != 0) {
        return BT_FAIL(err, BT_E_UNSUPPORTED,
                       "a slice of a partitioned variable begins or ends beyond 2^55");
    }
    /* n leading ones, then a zero where the bytes have room for one */
    const uint64_t header = n == 8 ? 0xff00000000000000U : (((uint64_t)1 << n) - 1) << (8 * n - n);
    const uint64_t bits = (uint64_t)value ^ header;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(bits >> (8 * (n - 1 - i)));
    }
    return bt_str_append_n(key, bytes, n, err);
}

bt_status bundle_slice_key(const bt_bundle_entry *entry, const bundle_slice *slice, bt_str *key,
                           bt_error *err) {
    BT_TRY(put_number(key, 0, err));
    BT_TRY(put_string(key, entry->name, err));
    BT_TRY(put_number(key, (uint64_t)entry->rank, err));
    for (int32_t i = 0; i < entry->rank; i++) {
        BT_TRY(put_signed(key, slice->start[i], err));
        BT_TRY(put_signed(key, slice->whole[i] ? -1 : slice->length[i], err));
    }
    return BT_OK;
}
