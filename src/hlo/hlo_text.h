/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes one StableHLO function as text. A value is a number with a type; each operation checks the
 * shapes of what it is given, so that a mistake of ours is named here, by operation and shapes,
 * before any compiler sees it.
 *
 * Errors are kept, not returned: after the first one nothing more is written, values still have the
 * shapes that they should have, and hlo_finish says what it was. So a formula reads as a formula.
 */
#ifndef BT_HLO_TEXT_H
#define BT_HLO_TEXT_H

#include "bt/base/str.h"
#include "bt/tensor.h"

enum { HLO_MAX_RANK = 6, HLO_MAX_CARRY = 48 };

typedef struct hlo_value {
    int32_t  id;
    int32_t  part; /* which result of an operation that has several; -1: the only one */
    bt_dtype dtype;
    int32_t  rank; /* 0: a scalar */
    int64_t  dim[HLO_MAX_RANK];
} hlo_value;

typedef struct hlo {
    bt_str    arguments; /* of the function, as text */
    bt_str    body;
    int32_t   n_arguments, n_values, depth;
    int32_t   n_replicas;
    bt_status rc; /* of the first failure */
    bt_error  err;
} hlo;

void hlo_init(hlo *h, int32_t n_replicas);
void hlo_deinit(hlo *h);
/* The first failure is kept. code: BT_E_INTERNAL for shapes that do not fit. */
void hlo_fail(hlo *h, bt_status code, const char *fmt, ...) BT_PRINTF(3, 4);

/* One more argument of the function. takes_place >= 0: the result of that number takes the place
 * of this argument in memory, which is donated. */
hlo_value hlo_argument(hlo *h, bt_dtype dtype, int32_t rank, const int64_t *dims,
                       int32_t takes_place);
/* The whole module with a function that returns these, into *text (owned by the caller). */
BT_MUST_USE bt_status hlo_finish(hlo *h, const hlo_value *results, size_t n_results, bt_str *text,
                                 bt_error *err);

/* For the files that write operations. */

/* Appends to the body; begins a line with the indentation. */
void      hlo_put(hlo *h, const char *fmt, ...) BT_PRINTF(2, 3);
void      hlo_put_text(hlo *h, const char *text); /* as it is */
void      hlo_put_line(hlo *h);
void      hlo_put_value(hlo *h, hlo_value x);
void      hlo_put_type(hlo *h, hlo_value x);
hlo_value hlo_new(hlo *h, bt_dtype dtype, int32_t rank, const int64_t *dims);
/* "%v7 = stablehlo.NAME" and so on: begins the line of a new value. */
void hlo_put_result(hlo *h, hlo_value x);
/* "tensor<2x3xf32>" */
enum { HLO_TYPE_TEXT_MAX = 192 };
const char *hlo_type_text(hlo_value x, char buffer[HLO_TYPE_TEXT_MAX]);
bool        hlo_same_shape(hlo_value a, hlo_value b);

/* Constants and shapes. */

hlo_value hlo_number(hlo *h, bt_dtype dtype, double value);              /* a scalar */
hlo_value hlo_fill(hlo *h, hlo_value like, double value);                /* like's type */
hlo_value hlo_fill_as(hlo *h, bt_dtype dtype, hlo_value like, double v); /* like's shape */
hlo_value hlo_zeros(hlo *h, bt_dtype dtype, int32_t rank, const int64_t *dims);
/* [n] of 0 and 1 or other numbers. */
hlo_value hlo_list(hlo *h, bt_dtype dtype, const double *values, int64_t n);
hlo_value hlo_iota(hlo *h, bt_dtype dtype, hlo_value like, int32_t axis); /* number along axis */
hlo_value hlo_reshape(hlo *h, hlo_value x, int32_t rank, const int64_t *dims);
/* Shapes as they are written: hlo_shape(h, x, R, S, H) */
#define HLO_DIMS(...)                                                                              \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                   \
        __VA_ARGS__                                                                                \
    }
#define hlo_shape(h, x, ...) hlo_reshape((h), (x), HLO_DIMS(__VA_ARGS__))
/* Axis i of x becomes axis axes[i] of the result, which has like's shape. */
hlo_value hlo_broadcast(hlo *h, hlo_value x, hlo_value like, const int32_t *axes);
/* The same for neighbouring axes: x's first is like's axis `first`. */
hlo_value hlo_spread(hlo *h, hlo_value x, hlo_value like, int32_t first);
hlo_value hlo_transpose(hlo *h, hlo_value x, const int32_t *order);
/* x[start, start + step, ...) below limit, along one axis. */
hlo_value hlo_slice(hlo *h, hlo_value x, int32_t axis, int64_t start, int64_t limit, int64_t step);
hlo_value hlo_concatenate(hlo *h, const hlo_value *parts, int32_t n, int32_t axis);
hlo_value hlo_convert(hlo *h, hlo_value x, bt_dtype dtype);
/* One number of a list, as a scalar. */
hlo_value hlo_element(hlo *h, hlo_value list, int64_t i);
/* x[index], without its first axis; x with x[index] = part. */
hlo_value hlo_row(hlo *h, hlo_value x, hlo_value index);
hlo_value hlo_with_row(hlo *h, hlo_value x, hlo_value part, hlo_value index);

/* Element by element.
 * A scalar is spread over the other's shape. */

hlo_value hlo_binary(hlo *h, const char *op, hlo_value a, hlo_value b);
hlo_value hlo_unary(hlo *h, const char *op, hlo_value x);
/* direction: EQ NE LT LE GT GE */
hlo_value hlo_compare(hlo *h, const char *direction, hlo_value a, hlo_value b);
hlo_value hlo_select(hlo *h, hlo_value condition, hlo_value yes, hlo_value no);
hlo_value hlo_is_finite(hlo *h, hlo_value x);

static inline hlo_value hlo_add(hlo *h, hlo_value a, hlo_value b) {
    return hlo_binary(h, "add", a, b);
}
static inline hlo_value hlo_sub(hlo *h, hlo_value a, hlo_value b) {
    return hlo_binary(h, "subtract", a, b);
}
static inline hlo_value hlo_mul(hlo *h, hlo_value a, hlo_value b) {
    return hlo_binary(h, "multiply", a, b);
}
static inline hlo_value hlo_div(hlo *h, hlo_value a, hlo_value b) {
    return hlo_binary(h, "divide", a, b);
}
static inline hlo_value hlo_max(hlo *h, hlo_value a, hlo_value b) {
    return hlo_binary(h, "maximum", a, b);
}
static inline hlo_value hlo_min(hlo *h, hlo_value a, hlo_value b) {
    return hlo_binary(h, "minimum", a, b);
}
/* x * value, x + value, with a number that is known now */
hlo_value hlo_scaled(hlo *h, hlo_value x, double value);
hlo_value hlo_plus(hlo *h, hlo_value x, double value);
hlo_value hlo_clamped(hlo *h, hlo_value x, double low, double high);

/* Sums, products, rows. */

/* op: add maximum minimum or and. axes: bit i for axis i. */
hlo_value hlo_reduce(hlo *h, const char *op, hlo_value x, uint32_t axes);
hlo_value hlo_sum_all(hlo *h, hlo_value x);
/* A product by its axes' letters, "rqnd,rknd->rnqk": those of both factors and the result are
 * batches, those of both factors alone are summed over. `out` is the dtype of sums and result. */
hlo_value hlo_einsum(hlo *h, const char *letters, hlo_value a, hlo_value b, bt_dtype out);

/* table [V,...] at ids [...] -> [ids..., ...]; an id outside is as the nearest inside. */
hlo_value hlo_take(hlo *h, hlo_value table, hlo_value ids);
/* into [V,E] with rows [n,E] combined (op: add maximum minimum) at ids [n]; ids outside are left
 * out. */
hlo_value hlo_scatter(hlo *h, const char *op, hlo_value into, hlo_value ids, hlo_value rows);

/* Control. */

/* for (counter = 0; counter < n; counter++): what is written between begin and end is its body,
 * which reads carry and anything written before, and hands the next carry to end. After end, carry
 * is the last one. */
typedef struct hlo_loop {
    hlo_value counter; /* int32 */
    int32_t   id, n_carry;
    hlo_value carry[HLO_MAX_CARRY];
} hlo_loop;
void hlo_loop_begin(hlo *h, hlo_loop *loop, hlo_value n, const hlo_value *start, int32_t n_carry);
void hlo_loop_end(hlo *h, hlo_loop *loop, const hlo_value *next);

/* The sum over all replicas; x itself where there is one. */
hlo_value hlo_all_reduce(hlo *h, hlo_value x);

#endif
