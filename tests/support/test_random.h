/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers that only tests need, and what they ask of a thread's floating-point control. */
#ifndef BT_TEST_RANDOM_H
#define BT_TEST_RANDOM_H

#include "bt/base/fp.h"
#include "bt/base/rng.h"

double test_normal(bt_rng_key key, uint64_t index); /* N(0,1) re-drawn outside +-2 */
/* Of a processor whose word is not known: true for every state. */
bool test_is_flushing(bt_fp_state state);

#endif
