/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks. */
#ifndef BT_BASE_TIME_H
#define BT_BASE_TIME_H

#include "bt/base/compiler.h"

double bt_time_monotonic(void); /* seconds, arbitrary origin */
double bt_time_unix(void);      /* seconds since 1970 */
/* Milliseconds since 1970. This and bt_time_iso may be called in a signal handler. */
int64_t bt_time_unix_ms(void);
/* "2026-11-29T19:31:32.123Z": ISO 8601, UTC */
enum { BT_TIME_ISO_MAX = 25 };
void bt_time_iso(int64_t unix_ms, char out[BT_TIME_ISO_MAX]);

#endif
