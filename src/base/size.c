/* SPDX-License-Identifier: Apache-2.0
 *
 * Products and sums of sizes that say when they overflow. */
#include "bt/base/size.h"

bool bt_size_mul(size_t a, size_t b, size_t *out) {
    size_t r = 0;
    if (__builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

bool bt_size_add(size_t a, size_t b, size_t *out) {
    size_t r = 0;
    if (__builtin_add_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

bool bt_i64_mul(int64_t a, int64_t b, int64_t *out) {
    int64_t r = 0;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}
