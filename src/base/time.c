/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks. */
#include <time.h>

#include "bt/base/time.h"

double bt_time_monotonic(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bt_time_unix(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
