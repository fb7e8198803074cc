/* SPDX-License-Identifier: Apache-2.0
 *
 * Exchanges that are begun and waited for in one call. */
#ifndef BT_TEST_COMM_WAITED_H
#define BT_TEST_COMM_WAITED_H

#include "bt/comm.h"

static inline bt_status waited_sum_f32(bt_comm *comm, float *values, int64_t n, bt_comm_wire wire,
                                       bt_error *err) {
    bt_comm_op *op = NULL;
    BT_TRY(bt_comm_begin_sum_f32(comm, values, n, wire, &op, err));
    return bt_comm_wait(op, err);
}

static inline bt_status waited_combine_f64(bt_comm *comm, bt_comm_combine how, double *values,
                                           int32_t n, bt_error *err) {
    bt_comm_op *op = NULL;
    BT_TRY(bt_comm_begin_combine_f64(comm, how, values, n, &op, err));
    return bt_comm_wait(op, err);
}

#endif
