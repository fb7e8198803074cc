/* SPDX-License-Identifier: Apache-2.0
 *
 * The processors that this process may use, and which of them threads are bound to. What is below
 * `root` ("/sys/devices/system" of Linux) says which logical processors make a core and which a
 * node, that is, share a memory. Nothing here asks for memory. */
#ifndef BT_BASE_CORES_H
#define BT_BASE_CORES_H

#include "bt/base/status.h"

enum { BT_MAX_CPUS = 1024 };
#define BT_CORES_ROOT "/sys/devices/system"

/* A set of logical processors. */
typedef struct bt_cpus {
    uint64_t words[BT_MAX_CPUS / 64];
} bt_cpus;

static inline bool bt_cpus_has(const bt_cpus *set, int32_t cpu) {
    return (set->words[cpu / 64] >> (cpu % 64) & 1) != 0;
}
static inline void bt_cpus_add(bt_cpus *set, int32_t cpu) {
    set->words[cpu / 64] |= (uint64_t)1 << (cpu % 64);
}

/* Those of the calling thread; of the process where a pool has bound the thread (bt_pool_pin).
 * False: the system does not tell. */
bool    bt_cpus_allowed(bt_cpus *out);
int32_t bt_n_physical_cores(void); /* >= 1; of those allowed */
int32_t bt_n_machine_cores(void);  /* >= 1; all there are */

typedef struct bt_core {
    int32_t cpu, node; /* its first logical processor that is allowed */
} bt_core;

/* The cores that have a processor in `allowed`, one node after the other; how many. */
int32_t bt_cores_find(const char *root, const bt_cpus *allowed, bt_core out[BT_MAX_CPUS]);

typedef enum bt_pin { BT_PIN_NONE, BT_PIN_CORES, BT_PIN_NODES } bt_pin;

/* Several processes that may use the same cores take equal parts of them, one after the other. */
typedef struct bt_pin_how {
    bt_pin  pin;
    int32_t part, n_parts; /* 0 of 1: alone */
} bt_pin_how;

/* Where each of n_threads runs, out [n_threads]. Cores: thread i on the i-th core (its first
 * processor). Nodes: on all processors of the i-th core's node, with the threads spread over the
 * cores. BT_E_CONFIG: there are fewer cores than threads. */
BT_MUST_USE bt_status bt_pin_plan(const char *root, const bt_cpus *allowed, bt_pin_how how,
                                  int32_t n_threads, bt_cpus *out, bt_error *err);

/* Threads inherit the processors of the one that starts them: a thread of another purpose than the
 * bound one that started it calls this first, and may run wherever the process may. */
void bt_cpus_unbind(void);
/* Binds the calling thread. False: errno says why. What bt_cpus_allowed tells stays what it was,
 * until as many calls of bt_cpus_release have undone it. */
bool bt_cpus_bind(const bt_cpus *cpus);
void bt_cpus_release(void);

#endif
