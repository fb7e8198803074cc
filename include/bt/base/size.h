/* SPDX-License-Identifier: Apache-2.0
 *
 * Checked sizes: int64_t for dims, size_t for bytes, decided here once; the smaller and the larger
 * of two dims. */
#ifndef BT_BASE_SIZE_H
#define BT_BASE_SIZE_H

#include "bt/base/compiler.h"

/* true on success; *out untouched on overflow */
BT_MUST_USE bool bt_size_mul(size_t a, size_t b, size_t *out);
BT_MUST_USE bool bt_size_add(size_t a, size_t b, size_t *out);
BT_MUST_USE bool bt_i64_mul(int64_t a, int64_t b, int64_t *out); /* both must be >= 0 */

static inline int64_t bt_i64_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t bt_i64_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

#endif
