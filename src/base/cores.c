/* SPDX-License-Identifier: Apache-2.0
 *
 * See cores.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bt/base/cores.h"

_Static_assert(sizeof(bt_cpus) == sizeof(cpu_set_t), "both are the kernel's mask");

/* Of the process, kept while a thread of it is bound: its own mask then says less. */
static bt_cpus    whole;
static atomic_int n_bound;

bool bt_cpus_allowed(bt_cpus *out) {
    cpu_set_t mask;
    if (atomic_load(&n_bound) > 0) {
        *out = whole;
        return true;
    }
    if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
        return false;
    }
    memcpy(out, &mask, sizeof *out);
    return true;
}

static bool set_own(const bt_cpus *cpus) {
    cpu_set_t mask;
    memcpy(&mask, cpus, sizeof mask);
    return sched_setaffinity(0, sizeof mask, &mask) == 0;
}

void bt_cpus_unbind(void) {
    if (atomic_load(&n_bound) > 0) {
        (void)set_own(&whole);
    }
}

bool bt_cpus_bind(const bt_cpus *cpus) {
    if (atomic_load(&n_bound) == 0 && !bt_cpus_allowed(&whole)) {
        return false;
    }
    if (!set_own(cpus)) {
        return false;
    }
    atomic_fetch_add(&n_bound, 1);
    return true;
}

void bt_cpus_release(void) {
    if (atomic_load(&n_bound) == 1) {
        (void)set_own(&whole);
    }
    atomic_fetch_sub(&n_bound, 1);
}

/* "0-3,8": of a file. No stream: that would ask for memory. */
static bool read_list(const char *path, bt_cpus *out) {
    char      text[4096];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    *out = (bt_cpus){{0}};
    char *at = text;
    for (;;) {
        char      *end = at;
        const long first = strtol(at, &end, 10);
        if (end == at) {
            return at != text;
        }
        const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        for (long i = first; i >= 0 && i <= last && i < BT_MAX_CPUS; i++) {
            bt_cpus_add(out, (int32_t)i);
        }
        if (*end != ',') {
            return true;
        }
        at = end + 1;
    }
}

/* A logical processor counts unless an earlier one of its core is allowed as well. */
static bool is_first_of_core(const char *root, const bt_cpus *allowed, int32_t cpu) {
    char    path[512];
    bt_cpus siblings;
    (void)snprintf(path, sizeof path, "%s/cpu/cpu%" PRId32 "/topology/thread_siblings_list", root,
                   cpu);
    if (!read_list(path, &siblings)) {
        return true;
    }
    for (int32_t other = 0; other < cpu; other++) {
        if (bt_cpus_has(&siblings, other) && bt_cpus_has(allowed, other)) {
            return false;
        }
    }
    return true;
}

static void add_cores(const char *root, const bt_cpus *allowed, const bt_cpus *of_node,
                      int32_t node, bt_cpus *seen, bt_core *out, int32_t *n) {
    for (int32_t cpu = 0; cpu < BT_MAX_CPUS; cpu++) {
        if (!bt_cpus_has(allowed, cpu) || !bt_cpus_has(of_node, cpu) || bt_cpus_has(seen, cpu)) {
            continue;
        }
        bt_cpus_add(seen, cpu);
        if (is_first_of_core(root, allowed, cpu)) {
            out[(*n)++] = (bt_core){.cpu = cpu, .node = node};
        }
    }
}

/* Processors of the node; false: the system knows none of that number. */
static bool read_node(const char *root, int32_t node, bt_cpus *out) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/node/node%" PRId32 "/cpulist", root, node);
    return read_list(path, out);
}

static bool read_nodes(const char *root, bt_cpus *out) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/node/online", root);
    return read_list(path, out);
}

int32_t bt_cores_find(const char *root, const bt_cpus *allowed, bt_core out[BT_MAX_CPUS]) {
    bt_cpus nodes;
    bt_cpus seen = {{0}};
    int32_t n = 0;
    if (read_nodes(root, &nodes)) {
        for (int32_t node = 0; node < BT_MAX_CPUS; node++) {
            bt_cpus of_node;
            if (bt_cpus_has(&nodes, node) && read_node(root, node, &of_node)) {
                add_cores(root, allowed, &of_node, node, &seen, out, &n);
            }
        }
    }
    add_cores(root, allowed, allowed, 0, &seen, out, &n); /* a system without nodes has one */
    return n;
}

static int32_t count_cores(const bt_cpus *mask) {
    bt_core       cores[BT_MAX_CPUS];
    const int32_t n = bt_cores_find(BT_CORES_ROOT, mask, cores);
    return n > 0 ? n : 1;
}

int32_t bt_n_physical_cores(void) {
    bt_cpus allowed;
    return bt_cpus_allowed(&allowed) ? count_cores(&allowed) : 1;
}

int32_t bt_n_machine_cores(void) {
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    bt_cpus    all = {{0}};
    for (int32_t cpu = 0; cpu < BT_MAX_CPUS && cpu < n; cpu++) {
        bt_cpus_add(&all, cpu);
    }
    return count_cores(&all);
}

static void add_node(const char *root, const bt_cpus *allowed, int32_t node, bt_cpus *out) {
    bt_cpus of_node;
    if (!read_node(root, node, &of_node)) {
        of_node = *allowed;
    }
    for (size_t i = 0; i < BT_MAX_CPUS / 64; i++) {
        out->words[i] = of_node.words[i] & allowed->words[i];
    }
}

static bt_status fail_few(bt_pin_how how, int32_t n_threads, int32_t n_cores, bt_error *err) {
    char shared[80] = "";
    if (how.n_parts > 1) {
        (void)snprintf(shared, sizeof shared,
                       " (%" PRId32 " processes on this host divide what all of them may use)",
                       how.n_parts);
    }
    return BT_FAIL(err, BT_E_CONFIG,
                   "runtime.pin: %s: %" PRId32 " threads cannot have a core each, this process may "
                   "use %" PRId32 "%s: set runtime.threads to %" PRId32
                   " or fewer, let it use more (taskset, mpirun --bind-to, the container's "
                   "cpuset), or set runtime.pin to none",
                   how.pin == BT_PIN_CORES ? "cores" : "nodes", n_threads, n_cores, shared,
                   n_cores > 1 ? n_cores : 1);
}

bt_status bt_pin_plan(const char *root, const bt_cpus *allowed, bt_pin_how how, int32_t n_threads,
                      bt_cpus *out, bt_error *err) {
    bt_core       cores[BT_MAX_CPUS];
    const int32_t n_all = bt_cores_find(root, allowed, cores);
    const int32_t first = n_all * how.part / how.n_parts;
    const int32_t n = n_all * (how.part + 1) / how.n_parts - first;
    BT_ASSERT(how.pin != BT_PIN_NONE && how.n_parts > 0);
    if (n_threads > n) {
        return fail_few(how, n_threads, n, err);
    }
    for (int32_t i = 0; i < n_threads; i++) {
        out[i] = (bt_cpus){{0}};
        if (how.pin == BT_PIN_CORES) {
            bt_cpus_add(&out[i], cores[first + i].cpu);
        } else {
            add_node(root, allowed, cores[first + (int64_t)n * i / n_threads].node, &out[i]);
        }
    }
    return BT_OK;
}
