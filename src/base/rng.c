/* SPDX-License-Identifier: Apache-2.0
 *
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC11), its known-answer
 * vectors are in the tests. And a bijection of [0,n) by a Feistel network over the next power of
 * four with cycle walking (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). */
#include "bt/base/rng.h"
#include "bt/base/status.h"

static const uint32_t mul_0 = UINT32_C(0xD2511F53);
static const uint32_t mul_1 = UINT32_C(0xCD9E8D57);
static const uint32_t weyl_0 = UINT32_C(0x9E3779B9);
static const uint32_t weyl_1 = UINT32_C(0xBB67AE85);

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)mul_0 * c[0];
        const uint64_t p1 = (uint64_t)mul_1 * c[2];
        const uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1,
                                  (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
        c[0] = next[0];
        c[1] = next[1];
        c[2] = next[2];
        c[3] = next[3];
        k0 += weyl_0;
        k1 += weyl_1;
    }
}

bt_rng_key bt_rng_key_make(uint64_t seed, uint64_t round, uint32_t index, uint32_t use) {
    /* The name of the stream (round, index, use) is itself mixed by one Philox call under the
     * seed, so that nearby names give unrelated streams. */
    uint32_t c[4] = {(uint32_t)round, (uint32_t)(round >> 32), index, use};
    philox(c, (uint32_t)seed, (uint32_t)(seed >> 32));
    return (bt_rng_key){.key = {c[0], c[1]}, .stream = {c[2], c[3]}};
}

void bt_rng_block(bt_rng_key key, uint64_t counter, uint32_t out[4]) {
    out[0] = (uint32_t)counter;
    out[1] = (uint32_t)(counter >> 32);
    out[2] = key.stream[0];
    out[3] = key.stream[1];
    philox(out, key.key[0], key.key[1]);
}

float bt_rng_uniform(bt_rng_key key, uint64_t index) {
    uint32_t words[4];
    bt_rng_block(key, index / 4, words);
    return (float)(words[index % 4] >> 8) * 0x1p-24f;
}

uint64_t bt_rng_permute(bt_rng_key key, uint64_t n, uint64_t i) {
    BT_ASSERT(n >= 1 && i < n);
    uint32_t half_bits = 1;
    while (half_bits < 32 && (UINT64_C(1) << (2 * half_bits)) < n) {
        half_bits++;
    }
    const uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t       x = i;
    do {
        uint64_t left = x >> half_bits;
        uint64_t right = x & mask;
        for (uint32_t round = 0; round < 8; round++) {
            uint32_t w[4];
            bt_rng_block(key, right | (uint64_t)round << 40, w);
            const uint64_t mixed = (left ^ w[0]) & mask;
            left = right;
            right = mixed;
        }
        x = left << half_bits | right;
    } while (x >= n);
    return x;
}
