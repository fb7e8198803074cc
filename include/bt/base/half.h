/* SPDX-License-Identifier: Apache-2.0
 *
 * float16 as files have it: its 16 bits. */
#ifndef BT_BASE_HALF_H
#define BT_BASE_HALF_H

#include "bt/base/compiler.h"

float bt_half_to_float(uint16_t half); /* exact */
/* To the nearest, ties to even; infinite from 65520 on. */
uint16_t bt_half_from_float(float x);

#endif
