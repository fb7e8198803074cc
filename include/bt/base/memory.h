/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of the machine: what is left of it for this process. */
#ifndef BT_BASE_MEMORY_H
#define BT_BASE_MEMORY_H

#include "bt/base/compiler.h"

/* Bytes of memory that this process can still take without being killed for it, or waiting for
 * swap, which is not counted: the least of what the system, its control groups and its limits
 * (ulimit -v, -d) leave. UINT64_MAX: nothing is known. root: "" but in tests, the folder that /proc
 * and /sys are read below. */
uint64_t bt_memory_available(const char *root);
/* Only what the limits leave that a shell sets with ulimit -v and -d, in bytes of address space;
 * UINT64_MAX: there are none. */
uint64_t bt_memory_within_limits(const char *root);
/* The largest resident size of this process so far; 0: the system does not say. */
int64_t bt_peak_resident_bytes(void);

#endif
