/* SPDX-License-Identifier: Apache-2.0
 *
 * bfloat16: the upper 16 bits of a float. */
#ifndef BT_BASE_BF16_H
#define BT_BASE_BF16_H

#include <string.h>

#include "bt/base/compiler.h"

/* To the nearest, ties to even; NaN stays NaN, subnormal numbers are rounded like others. Without a
 * branch, so that compilers make many at once. */
static inline uint16_t bt_bf16_round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    const uint32_t quiet = bits >> 16 | 0x40; /* rounding a NaN could make an infinity of it */
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded);
}

/* Exact. */
static inline float bt_bf16_widen(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float          out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

#endif
