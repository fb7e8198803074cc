/* SPDX-License-Identifier: Apache-2.0
 *
 * Floating-point control: a number nearer to 0 than 2^-126 (a float) costs a processor some
 * hundred cycles an operation. While a thread flushes, such numbers count as 0 where they are read
 * and become 0 where they are made. Who sets it puts back what was there: it belongs to the
 * caller's arithmetic too. */
#ifndef BT_BASE_FP_H
#define BT_BASE_FP_H

#include "bt/base/compiler.h"

typedef struct bt_fp_state {
    uint64_t word; /* the processor's own: rounding, exceptions, flushing */
} bt_fp_state;

bt_fp_state
     bt_fp_flush(void); /* this thread flushes from now on; returns what was, for bt_fp_set */
void bt_fp_set(bt_fp_state state);
bt_fp_state bt_fp_get(void);

#endif
