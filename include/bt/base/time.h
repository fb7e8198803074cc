/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks. */
#ifndef BT_BASE_TIME_H
#define BT_BASE_TIME_H

#include "bt/base/compiler.h"

double bt_time_monotonic(void); /* seconds, arbitrary origin */
double bt_time_unix(void);      /* seconds since 1970 */

#endif
