/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded: when a program ends it writes the largest resident size that it had (VmHWM, as the
 * kernel says it) into the file BT_PEAK_FILE. A test that looks now and then misses what comes
 * between two looks, and wait4() counts the time before exec, when the child was a copy of the
 * test. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((destructor)) static void tell(void) {
    const char *const path = getenv("BT_PEAK_FILE");
    char              text[8192];
    const int         from = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    const ssize_t     n = from >= 0 ? read(from, text, sizeof text - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    const char *const peak = strstr(text, "VmHWM:");
    const int         to = path != NULL && peak != NULL
                               ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                               : -1;
    if (to >= 0) {
        (void)!write(to, peak, strcspn(peak, "\n"));
        (void)close(to);
    }
    if (from >= 0) {
        (void)close(from);
    }
}
