/* SPDX-License-Identifier: Apache-2.0
 *
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC11). A key names a stream; the counter names a place in it. Nothing is stored, so
 * resume and any order of evaluation give the same numbers. */
#ifndef BT_BASE_RNG_H
#define BT_BASE_RNG_H

#include "bt/base/compiler.h"

typedef struct bt_rng_key {
    uint32_t key[2];
    uint32_t stream[2];
} bt_rng_key;

/* The stream of a seed that three numbers name; its user chooses what they mean (use: what it is
 * for). Streams of other names have nothing to do with each other. */
bt_rng_key bt_rng_key_make(uint64_t seed, uint64_t round, uint32_t index, uint32_t use);
/* Four words for one counter value. */
void  bt_rng_block(bt_rng_key key, uint64_t counter, uint32_t out[4]);
float bt_rng_uniform(bt_rng_key key, uint64_t index); /* [0,1), 24 bits */
/* A bijection of [0,n): place i of the order named by key -> element. n >= 1, i < n. Feistel
 * network with cycle walking: O(1) memory, so seeking in a shuffle is instant. */
uint64_t bt_rng_permute(bt_rng_key key, uint64_t n, uint64_t i);

#endif
