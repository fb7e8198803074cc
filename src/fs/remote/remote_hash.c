/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c of parts and of their whole: blocks come in any order, so each has its own checksum, and
 * the file's follows from them. Multiplication of polynomials over GF(2) modulo Castagnoli's, bits
 * reflected, as in zlib's crc32_combine. */
#include "remote.h"

#include "http.h"

static const uint32_t castagnoli = 0x82f63b78u;

/* a times b modulo the polynomial; bit 31 is x^0. */
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = (uint32_t)1 << 31; bit != 0; bit >>= 1) {
        if ((a & bit) != 0) {
            product ^= b;
        }
        b = (b & 1) != 0 ? b >> 1 ^ castagnoli : b >> 1;
    }
    return product;
}

uint32_t remote_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t n_b) {
    uint32_t shift = (uint32_t)1 << 31;  /* x^0 */
    uint32_t square = (uint32_t)1 << 23; /* x^8: one byte */
    for (uint64_t n = n_b; n != 0; n >>= 1) {
        if ((n & 1) != 0) {
            shift = multiply(shift, square);
        }
        square = multiply(square, square);
    }
    return multiply(shift, crc_a) ^ crc_b;
}

uint32_t remote_crc32c_of_digest(const uint8_t digest[4]) {
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
           (uint32_t)digest[3];
}

bt_status remote_append_crc32c(bt_str *out, uint32_t crc, bt_error *err) {
    const uint8_t digest[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                               (uint8_t)crc};
    return http_append_base64(out, digest, sizeof digest, false, err);
}
