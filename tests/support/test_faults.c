/* SPDX-License-Identifier: Apache-2.0
 *
 * Lets one call after another of a piece of work fail; what is asked of it: test_faults.h. */
#include "test_faults.h"

#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "test_support.h"

enum { OP_ALLOC = BT_FS_N_OPS, MOST_CALLS = 100000 };

static void fail_at(int op, uint64_t k, bool persistent) {
    if (op == OP_ALLOC) {
        bt_alloc_fail_at(k, persistent);
    } else {
        bt_fs_fail_at((bt_fs_op)op, k, persistent);
    }
}

static uint64_t count_calls(int op) {
    return op == OP_ALLOC ? bt_alloc_count() : bt_fs_op_count((bt_fs_op)op);
}

/* One try; true: its fault came. */
static bool try_once(const test_work *work, int op, uint64_t k, bool persistent) {
    bt_error fault = BT_ERROR_INIT;
    if (work->prepare != NULL) {
        work->prepare(work->context);
    }
    const uint64_t before = count_calls(op);
    fail_at(op, k, persistent);
    const bt_status rc = work->work(work->context, &fault);
    fail_at(op, 0, false);
    const bool came = count_calls(op) - before >= k;
    const bool is_told = op == OP_ALLOC ? rc == BT_E_NOMEM : rc == BT_E_IO || rc == BT_E_RESOURCE;
    if (rc != BT_OK && (!came || !is_told || fault.msg[0] == '\0')) {
        fail_msg("%s: operation %d, call %llu%s: %s: %s", work->what, op, (unsigned long long)k,
                 persistent ? " and all after it" : "", bt_status_name(rc), fault.msg);
    }
    if (work->check != NULL) {
        work->check(work->context, rc);
    }
    return came;
}

uint64_t test_every_fault(const test_work *work) {
    uint64_t n_faults = 0;
    for (int op = OP_ALLOC; op >= 0; op--) {
        for (int persistent = 0; persistent < 2; persistent++) {
            uint64_t k = 1;
            while (k < MOST_CALLS && try_once(work, op, k, persistent == 1)) {
                k += k < 64 || work->stride == 0 ? 1 : work->stride;
                n_faults++;
            }
            if (k >= MOST_CALLS) {
                fail_msg("%s: operation %d: no end of faults", work->what, op);
            }
        }
    }
    print_message("%s: %llu faults\n", work->what, (unsigned long long)n_faults);
    return n_faults;
}
