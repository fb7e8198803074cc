/* SPDX-License-Identifier: Apache-2.0
 *
 * See bt/base/half.h. */
#include <string.h>

#include "bt/base/half.h"

float bt_half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t       exponent = (half >> 10) & 0x1fu;
    uint32_t       mantissa = half & 0x3ffu;
    uint32_t       bits = 0;
    if (exponent == 0x1f) {
        bits = sign | 0x7f800000u | mantissa << 13;
    } else if (exponent != 0) {
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    } else if (mantissa != 0) { /* subnormal: normalise */
        exponent = 113;
        while ((mantissa & 0x400u) == 0) {
            mantissa <<= 1;
            exponent--;
        }
        bits = sign | exponent << 23 | (mantissa & 0x3ffu) << 13;
    } else {
        bits = sign;
    }
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The last digit is 2^13 of the float's own where the float16 is normal. */
uint16_t bt_half_from_float(float x) {
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) { /* NaN, quiet */
        return (uint16_t)(sign | 0x7e00u);
    }
    if (bits >= 0x477ff000u) { /* 65520 */
        return (uint16_t)(sign | 0x7c00u);
    }
    if (bits >= 0x38800000u) { /* 2^-14 */
        const uint32_t rounded = bits + 0xfffu + (bits >> 13 & 1);
        return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
    }
    float size = 0; /* in [0.5,1) a float's last digit is worth 2^-24, as here */
    memcpy(&size, &bits, sizeof size);
    const float shifted = size + 0.5F;
    uint32_t    digits = 0;
    memcpy(&digits, &shifted, sizeof digits);
    return (uint16_t)(sign | (digits - 0x3f000000u));
}
