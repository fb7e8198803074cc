/* SPDX-License-Identifier: Apache-2.0
 *
 * What the system says of this process. */
#include <stdio.h>

#include "bt/base.h"

/* Not getrusage: its number is never below that of the program that started this one. */
int64_t bt_peak_resident_bytes(void) {
    FILE *const file = fopen("/proc/self/status", "re");
    char        line[256];
    int64_t     kib = 0;
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %" SCNd64 " kB", &kib) == 1) {
            break;
        }
    }
    (void)fclose(file);
    return kib * 1024;
}
