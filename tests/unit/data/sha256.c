/* SPDX-License-Identifier: Apache-2.0
 *
 * See sha256.h. The round constants are the fractional parts of the cube roots of the first 64
 * primes, and the start values of the square roots of the first 8: computed here. */
#include "sha256.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

/* Bits 1..32 after the point of a root, by bisection in integers of 128 bits. */
static uint32_t root_fraction(uint64_t prime, int power) {
    __extension__ typedef unsigned __int128 wide;
    uint64_t                                low = 0; /* floor(root * 2^32): below 2^37 here */
    for (int bit = 37; bit >= 0; bit--) {
        const uint64_t x = low | UINT64_C(1) << bit;
        /* x^power <= prime * 2^(32 power): below 2^114 on both sides */
        const bool fits =
            power == 2 ? (wide)x * x <= (wide)prime << 64 : (wide)x * x * x <= (wide)prime << 96;
        low = fits ? x : low;
    }
    return (uint32_t)low;
}

static void make_constants(uint32_t k[64], uint32_t h[8]) {
    int n = 0;
    for (uint64_t p = 2; n < 64; p++) {
        bool is_prime = true;
        for (uint64_t d = 2; d * d <= p; d++) {
            is_prime = is_prime && p % d != 0;
        }
        if (is_prime) {
            k[n] = root_fraction(p, 3);
            if (n < 8) {
                h[n] = root_fraction(p, 2);
            }
            n++;
        }
    }
}

static void block(uint32_t h[8], const uint32_t k[64], const uint8_t *bytes) {
    uint32_t w[64];
    uint32_t v[8];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
               (uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        const uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        const uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        const uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        const uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        const uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        const uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        h[i] += v[i];
    }
}

void sha256_16(const void *bytes, size_t n, char text[17]) {
    uint32_t k[64];
    uint32_t h[8];
    make_constants(k, h);
    const uint8_t *const in = bytes;
    const size_t         n_whole = n / 64;
    for (size_t i = 0; i < n_whole; i++) {
        block(h, k, in + 64 * i);
    }
    uint8_t      tail[128] = {0};
    const size_t n_tail = n - 64 * n_whole;
    if (n_tail > 0) {
        memcpy(tail, in + 64 * n_whole, n_tail);
    }
    tail[n_tail] = 0x80;
    const size_t end = n_tail < 56 ? 64 : 128;
    for (size_t i = 0; i < 8; i++) {
        tail[end - 1 - i] = (uint8_t)((uint64_t)n * 8 >> (8 * i));
    }
    for (size_t i = 0; i < end; i += 64) {
        block(h, k, tail + i);
    }
    (void)snprintf(text, 17, "%08x%08x", (unsigned)h[0], (unsigned)h[1]);
}
