/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded: another wall clock. BT_CLOCK_OFFSET seconds are added to it, and BT_CLOCK_STEP more
 * with every call (a negative one makes it run backwards). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static long number_of(const char *name) {
    const char *const text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    static long n_calls;
    if (real == NULL) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    const int rc = real(id, out);
    if (id == CLOCK_REALTIME) {
        out->tv_sec += number_of("BT_CLOCK_OFFSET") + number_of("BT_CLOCK_STEP") * n_calls++;
    }
    return rc;
}
