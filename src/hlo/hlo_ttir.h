/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes one kernel in Triton's IR as text, for XLA's custom call __gpu$xla.gpu.triton. A value is
 * a number with a type: a scalar or a tile, of numbers or of pointers to them. Operations that work
 * element by element spread what they are given over each other: a scalar over a tile, [M,1] and
 * [1,N] over [M,N].
 *
 * Errors are kept, as hlo_text.h has it: after the first one nothing more is written, and
 * tt_finish says what it was. */
#ifndef BT_HLO_TTIR_H
#define BT_HLO_TTIR_H

#include "bt/base/str.h"
#include "bt/tensor.h"

enum { TT_MAX_RANK = 2, TT_MAX_CARRY = 4 };

typedef struct tt_value {
    int32_t  id;
    int32_t  part; /* which result of a loop; -1: of what has one */
    bt_dtype dtype;
    bool     is_pointer;
    int32_t  rank; /* 0: a scalar */
    int64_t  dim[TT_MAX_RANK];
} tt_value;

typedef struct ttir {
    bt_str      arguments, body;
    const char *name;
    int32_t     n_arguments, n_values, depth;
    bt_status   rc; /* of the first failure */
    bt_error    err;
} ttir;

void tt_init(ttir *t, const char *name);
void tt_deinit(ttir *t);
/* The whole module into *text (owned by the caller). */
BT_MUST_USE bt_status tt_finish(ttir *t, bt_str *text, bt_error *err);

/* An array in memory: all elements one after another. */
tt_value tt_argument(ttir *t, bt_dtype dtype);
/* The program's number along an axis of the grid: 0 to 2. */
tt_value tt_program_id(ttir *t, int32_t axis);
tt_value tt_number(ttir *t, bt_dtype dtype, double value);
/* A tile of zeros or another number. */
tt_value tt_full(ttir *t, bt_dtype dtype, int32_t rank, const int64_t *dims, double value);
tt_value tt_range(ttir *t, int64_t n); /* [n] int32: 0, 1, ... */
/* [n] -> [n,1] (axis 1) or [1,n] (axis 0) */
tt_value tt_along(ttir *t, tt_value x, int32_t axis);
tt_value tt_transpose(ttir *t, tt_value x);

/* op: "arith.addf" and the like */
tt_value tt_binary(ttir *t, const char *op, tt_value a, tt_value b);
tt_value tt_compare(ttir *t, const char *predicate, tt_value a, tt_value b); /* integers */
tt_value tt_select(ttir *t, tt_value condition, tt_value yes, tt_value no);
tt_value tt_unary(ttir *t, const char *op, tt_value x);
/* op: "arith.truncf" and the like; x itself where it has the type */
tt_value tt_cast(ttir *t, const char *op, tt_value x, bt_dtype dtype);

static inline tt_value tt_add(ttir *t, tt_value a, tt_value b) {
    return tt_binary(t, a.dtype == BT_DTYPE_I32 ? "arith.addi" : "arith.addf", a, b);
}
static inline tt_value tt_sub(ttir *t, tt_value a, tt_value b) {
    return tt_binary(t, a.dtype == BT_DTYPE_I32 ? "arith.subi" : "arith.subf", a, b);
}
static inline tt_value tt_mul(ttir *t, tt_value a, tt_value b) {
    return tt_binary(t, a.dtype == BT_DTYPE_I32 ? "arith.muli" : "arith.mulf", a, b);
}
static inline tt_value tt_int(ttir *t, int64_t value) {
    return tt_number(t, BT_DTYPE_I32, (double)value);
}

/* [M,K] [K,N] -> [M,N] float32, added to sum */
tt_value tt_dot(ttir *t, tt_value a, tt_value b, tt_value sum);
/* Over the last axis of [M,N], or of [N]: "arith.addf", "arith.maxnumf", "arith.minsi", ... */
tt_value tt_reduce(ttir *t, const char *op, tt_value x);

/* pointer + offsets (elements) */
tt_value tt_address(ttir *t, tt_value pointer, tt_value offsets);
/* is_there: NULL or where there is something to read; elsewhere comes `other`. */
tt_value tt_load(ttir *t, tt_value address, const tt_value *is_there, double other);
void     tt_store(ttir *t, tt_value address, tt_value x, const tt_value *is_there);

/* for (counter = first; counter < limit; counter += step): as hlo_loop. */
typedef struct tt_loop {
    tt_value counter; /* int32 */
    int32_t  id, n_carry;
    tt_value carry[TT_MAX_CARRY];
} tt_loop;
void tt_loop_begin(ttir *t, tt_loop *loop, const tt_value bounds[3], const tt_value *start,
                   int32_t n_carry);
void tt_loop_end(ttir *t, tt_loop *loop, const tt_value *next);

#endif
