/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as text: strict parsing, shortest printing; and whether they are any. */
#ifndef BT_BASE_NUMBER_H
#define BT_BASE_NUMBER_H

#include "bt/base/compiler.h"

/* The whole text must be a decimal integer / a C-locale float. false: not one, or out of range. */
BT_MUST_USE bool bt_parse_i64(const char *text, int64_t *out);
BT_MUST_USE bool bt_parse_f64(const char *text, double *out);

/* Shortest decimal text that reads back as the same double, as Python's repr: "0.1", "1e-05",
 * "1e+16", "5.0", "inf", "nan". Needs a buffer of BT_F64_TEXT_MAX bytes; returns it. */
enum { BT_F64_TEXT_MAX = 32 };
char *bt_f64_repr(double value, char buffer[BT_F64_TEXT_MAX]);
char *bt_f32_repr(float value, char buffer[BT_F64_TEXT_MAX]); /* shortest for a float */

/* The first of n numbers that is not finite; -1: all are. */
int64_t bt_f32_find_odd(const float *values, int64_t n);

#endif
