/* SPDX-License-Identifier: Apache-2.0
 *
 * The fault loop: a piece of work is done again and again, and each time another allocation or
 * file operation of it fails. */
#ifndef BT_TEST_FAULTS_H
#define BT_TEST_FAULTS_H

#include "bt/base/status.h"

typedef struct test_work {
    const char *what;               /* for messages */
    void (*prepare)(void *context); /* before each try: the same world; NULL: nothing to do */
    bt_status (*work)(void *context, bt_error *err);
    /* After each try, without faults: is the world whole? NULL: nothing to look at. */
    void (*check)(void *context, bt_status rc);
    void    *context;
    uint64_t stride; /* beyond the 64th call only each stride-th fails; 0: every one */
} test_work;

/* Makes the k-th allocation fail for each k (but stride), once and from then on, and so each kind
 * of file operation, until a try is through before its fault comes. A try that fails must say so:
 * BT_E_NOMEM for allocations, BT_E_IO or BT_E_RESOURCE for files, and a sentence. Returns how many
 * faults came.
 */
uint64_t test_every_fault(const test_work *work);

#endif
