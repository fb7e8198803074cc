/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the variants of kern_int8: what the range of a row makes of it, the byte of a number, and
 * a row of sums as floats. Vectors do the same operations in the same order. */
#ifndef BT_KERN_INT8_ROW_H
#define BT_KERN_INT8_ROW_H

#include <math.h>

#include "bt/kern/int8.h"

/* largest: the most of the numbers' bits without their sign. Returns by what they are multiplied.
 */
static inline float kern_int8_row_of(bt_kern_int8_row *row, float low, float high,
                                     uint32_t largest) {
    static const uint32_t infinity_bits = 0x7f800000;
    static const float    least = 1e-30F; /* the inverse of less is beyond float */
    const float           range = high - low;
    if (largest >= infinity_bits || !(range <= 3.4e38F)) {
        *row = (bt_kern_int8_row){.step = NAN, .zero = 0};
        return 0;
    }
    if (range < least) {
        *row = (bt_kern_int8_row){.step = 1, .zero = 0};
        return 0;
    }
    const float inverse = 255 / range;
    *row = (bt_kern_int8_row){.step = range / 255, .zero = (int32_t)rintf(-low * inverse)};
    return inverse;
}

/* Not below 0: rounding keeps the order, and the lowest is rounded as `zero` was. Where inverse is
 * 0 the numbers need not be any. */
static inline uint8_t kern_int8_byte(float x, float inverse, int32_t zero) {
    const int32_t q = inverse > 0 ? (int32_t)rintf(x * inverse) + zero : 0;
    return (uint8_t)(q > 255 ? 255 : q);
}

/* Row i of a tile from its sums. */
static inline void kern_int8_store(const bt_kern_int8_tile *t, int64_t i, const int32_t *sums) {
    const bt_kern_int8_row row = t->rows[i];
    float *const           c = t->c + i * t->ld_c;
    for (int64_t j = 0; j < t->n_cols; j++) {
        const float n = (float)(sums[j] - row.zero * t->panel.sums[j]);
        const float x = n * row.step * t->panel.steps[j] + t->panel.bias[j];
        c[j] = t->accumulate ? c[j] + x : x;
    }
}

#endif
