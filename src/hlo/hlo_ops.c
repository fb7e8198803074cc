/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on shapes, and those that work element by element (hlo_text.h). */
#include <inttypes.h>
#include <string.h>

#include "hlo_text.h"

/* " : (tensor<..>, tensor<..>) -> tensor<..>" */
static void put_signature(hlo *h, const hlo_value *in, int32_t n, hlo_value out) {
    hlo_put(h, " : (");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        hlo_put_type(h, in[i]);
    }
    hlo_put(h, ") -> ");
    hlo_put_type(h, out);
}

static void put_list(hlo *h, const int64_t *values, int32_t n) {
    hlo_put(h, "[");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s%" PRId64, i > 0 ? ", " : "", values[i]);
    }
    hlo_put(h, "]");
}

static void refuse(hlo *h, const char *op, hlo_value a, hlo_value b) {
    char type_a[HLO_TYPE_TEXT_MAX];
    char type_b[HLO_TYPE_TEXT_MAX];
    hlo_fail(h, BT_E_INTERNAL, "stablehlo.%s: %s does not fit %s", op, hlo_type_text(a, type_a),
             hlo_type_text(b, type_b));
}

hlo_value hlo_iota(hlo *h, bt_dtype dtype, hlo_value like, int32_t axis) {
    const hlo_value x = hlo_new(h, dtype, like.rank, like.dim);
    if (axis < 0 || axis >= like.rank) {
        refuse(h, "iota", like, x);
    }
    hlo_put_result(h, x);
    hlo_put(h, "stablehlo.iota dim = %" PRId32 " : ", axis);
    hlo_put_type(h, x);
    return x;
}

hlo_value hlo_reshape(hlo *h, hlo_value x, int32_t rank, const int64_t *dims) {
    hlo_value out = x;
    int64_t   n_in = 0;
    int64_t   n_out = 0;
    out.rank = rank;
    memcpy(out.dim, dims, (size_t)rank * sizeof dims[0]);
    if (hlo_same_shape(x, out)) {
        return x;
    }
    out = hlo_new(h, x.dtype, rank, dims);
    if (!bt_dims_count(x.dim, x.rank, &n_in) || !bt_dims_count(out.dim, out.rank, &n_out) ||
        n_in != n_out) {
        refuse(h, "reshape", x, out);
    }
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.reshape ");
    hlo_put_value(h, x);
    put_signature(h, &x, 1, out);
    return out;
}

hlo_value hlo_broadcast(hlo *h, hlo_value x, hlo_value like, const int32_t *axes) {
    const hlo_value out = hlo_new(h, x.dtype, like.rank, like.dim);
    int64_t         list[HLO_MAX_RANK] = {0};
    for (int32_t i = 0; i < x.rank; i++) {
        list[i] = axes[i];
        if (axes[i] < 0 || axes[i] >= like.rank ||
            (x.dim[i] != 1 && x.dim[i] != like.dim[axes[i]]) || (i > 0 && axes[i] <= axes[i - 1])) {
            refuse(h, "broadcast_in_dim", x, out);
            return out;
        }
    }
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.broadcast_in_dim ");
    hlo_put_value(h, x);
    hlo_put(h, ", dims = ");
    put_list(h, list, x.rank);
    put_signature(h, &x, 1, out);
    return out;
}

hlo_value hlo_spread(hlo *h, hlo_value x, hlo_value like, int32_t first) {
    int32_t axes[HLO_MAX_RANK];
    for (int32_t i = 0; i < x.rank; i++) {
        axes[i] = first + i;
    }
    return hlo_broadcast(h, x, like, axes);
}

hlo_value hlo_transpose(hlo *h, hlo_value x, const int32_t *order) {
    int64_t  dims[HLO_MAX_RANK];
    int64_t  list[HLO_MAX_RANK];
    uint32_t seen = 0;
    bool     same = true;
    for (int32_t i = 0; i < x.rank; i++) {
        if (order[i] < 0 || order[i] >= x.rank) {
            refuse(h, "transpose", x, x);
            return x;
        }
        seen |= 1U << order[i];
        same = same && order[i] == i;
        list[i] = order[i];
        dims[i] = x.dim[order[i]];
    }
    if (same) {
        return x;
    }
    const hlo_value out = hlo_new(h, x.dtype, x.rank, dims);
    if (seen != (1U << x.rank) - 1) {
        refuse(h, "transpose", x, out);
    }
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.transpose ");
    hlo_put_value(h, x);
    hlo_put(h, ", dims = ");
    put_list(h, list, x.rank);
    put_signature(h, &x, 1, out);
    return out;
}

hlo_value hlo_slice(hlo *h, hlo_value x, int32_t axis, int64_t start, int64_t limit, int64_t step) {
    hlo_value out = x;
    if (axis < 0 || axis >= x.rank || start < 0 || limit > x.dim[axis] || start >= limit ||
        step < 1) {
        hlo_fail(h, BT_E_INTERNAL,
                 "stablehlo.slice: [%" PRId64 ", %" PRId64 ") of axis %" PRId32 " of %" PRId32,
                 start, limit, axis, x.rank);
        return x;
    }
    if (start == 0 && limit == x.dim[axis] && step == 1) {
        return x;
    }
    out.dim[axis] = (limit - start + step - 1) / step;
    out = hlo_new(h, x.dtype, x.rank, out.dim);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.slice ");
    hlo_put_value(h, x);
    hlo_put(h, " [");
    for (int32_t i = 0; i < x.rank; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        if (i == axis) {
            hlo_put(h, "%" PRId64 ":%" PRId64 ":%" PRId64, start, limit, step);
        } else {
            hlo_put(h, "0:%" PRId64, x.dim[i]);
        }
    }
    hlo_put(h, "]");
    put_signature(h, &x, 1, out);
    return out;
}

hlo_value hlo_concatenate(hlo *h, const hlo_value *parts, int32_t n, int32_t axis) {
    hlo_value out = parts[0];
    if (axis < 0 || axis >= out.rank) {
        refuse(h, "concatenate", out, out);
        return out;
    }
    for (int32_t i = 1; i < n; i++) {
        hlo_value part = parts[i];
        out.dim[axis] += part.dim[axis];
        part.dim[axis] = parts[0].dim[axis];
        if (!hlo_same_shape(part, parts[0]) || part.dtype != parts[0].dtype) {
            refuse(h, "concatenate", parts[i], parts[0]);
        }
    }
    out = hlo_new(h, out.dtype, out.rank, out.dim);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.concatenate ");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        hlo_put_value(h, parts[i]);
    }
    hlo_put(h, ", dim = %" PRId32, axis);
    put_signature(h, parts, n, out);
    return out;
}

hlo_value hlo_convert(hlo *h, hlo_value x, bt_dtype dtype) {
    if (x.dtype == dtype) {
        return x;
    }
    const hlo_value out = hlo_new(h, dtype, x.rank, x.dim);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.convert ");
    hlo_put_value(h, x);
    put_signature(h, &x, 1, out);
    return out;
}

hlo_value hlo_element(hlo *h, hlo_value list, int64_t i) {
    return hlo_reshape(h, hlo_slice(h, list, 0, i, i + 1, 1), 0, (int64_t[]){0});
}

/* ", %index, %zero, %zero" of a dynamic slice along the first axis */
static void put_starts(hlo *h, hlo_value index, hlo_value zero, int32_t rank) {
    for (int32_t i = 0; i < rank; i++) {
        hlo_put(h, ", ");
        hlo_put_value(h, i == 0 ? index : zero);
    }
}

static void put_start_types(hlo *h, hlo_value index, int32_t rank) {
    for (int32_t i = 0; i < rank; i++) {
        hlo_put(h, ", ");
        hlo_put_type(h, index);
    }
}

hlo_value hlo_row(hlo *h, hlo_value x, hlo_value index) {
    int64_t dims[HLO_MAX_RANK];
    memcpy(dims, x.dim, sizeof dims);
    if (x.rank < 1 || index.rank != 0 || index.dtype != BT_DTYPE_I32) {
        refuse(h, "dynamic_slice", x, index);
        return x;
    }
    dims[0] = 1;
    const hlo_value zero = hlo_number(h, BT_DTYPE_I32, 0);
    const hlo_value row = hlo_new(h, x.dtype, x.rank, dims);
    hlo_put_result(h, row);
    hlo_put(h, "stablehlo.dynamic_slice ");
    hlo_put_value(h, x);
    put_starts(h, index, zero, x.rank);
    hlo_put(h, ", sizes = ");
    put_list(h, dims, x.rank);
    hlo_put(h, " : (");
    hlo_put_type(h, x);
    put_start_types(h, index, x.rank);
    hlo_put(h, ") -> ");
    hlo_put_type(h, row);
    return hlo_reshape(h, row, x.rank - 1, dims + 1);
}

hlo_value hlo_with_row(hlo *h, hlo_value x, hlo_value part, hlo_value index) {
    int64_t dims[HLO_MAX_RANK];
    memcpy(dims, x.dim, sizeof dims);
    if (x.rank != part.rank + 1 || x.dtype != part.dtype || index.rank != 0 ||
        index.dtype != BT_DTYPE_I32 ||
        memcmp(x.dim + 1, part.dim, (size_t)part.rank * sizeof x.dim[0]) != 0) {
        refuse(h, "dynamic_update_slice", x, part);
        return x;
    }
    dims[0] = 1;
    const hlo_value zero = hlo_number(h, BT_DTYPE_I32, 0);
    const hlo_value row = hlo_reshape(h, part, x.rank, dims);
    const hlo_value out = hlo_new(h, x.dtype, x.rank, x.dim);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.dynamic_update_slice ");
    hlo_put_value(h, x);
    hlo_put(h, ", ");
    hlo_put_value(h, row);
    put_starts(h, index, zero, x.rank);
    hlo_put(h, " : (");
    hlo_put_type(h, x);
    hlo_put(h, ", ");
    hlo_put_type(h, row);
    put_start_types(h, index, x.rank);
    hlo_put(h, ") -> ");
    hlo_put_type(h, out);
    return out;
}

static hlo_value as_large_as(hlo *h, hlo_value x, hlo_value other) {
    return x.rank == 0 && other.rank > 0 ? hlo_broadcast(h, x, other, NULL) : x;
}

hlo_value hlo_binary(hlo *h, const char *op, hlo_value a, hlo_value b) {
    const hlo_value x = as_large_as(h, a, b);
    const hlo_value y = as_large_as(h, b, a);
    const hlo_value out = hlo_new(h, x.dtype, x.rank, x.dim);
    if (!hlo_same_shape(x, y) || x.dtype != y.dtype) {
        refuse(h, op, x, y);
    }
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.%s ", op);
    hlo_put_value(h, x);
    hlo_put(h, ", ");
    hlo_put_value(h, y);
    hlo_put(h, " : ");
    hlo_put_type(h, out);
    return out;
}

hlo_value hlo_unary(hlo *h, const char *op, hlo_value x) {
    const hlo_value out = hlo_new(h, x.dtype, x.rank, x.dim);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.%s ", op);
    hlo_put_value(h, x);
    hlo_put(h, " : ");
    hlo_put_type(h, out);
    return out;
}

hlo_value hlo_is_finite(hlo *h, hlo_value x) {
    const hlo_value out = hlo_new(h, BT_DTYPE_BOOL, x.rank, x.dim);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.is_finite ");
    hlo_put_value(h, x);
    put_signature(h, &x, 1, out);
    return out;
}

hlo_value hlo_compare(hlo *h, const char *direction, hlo_value a, hlo_value b) {
    const hlo_value in[2] = {as_large_as(h, a, b), as_large_as(h, b, a)};
    const hlo_value out = hlo_new(h, BT_DTYPE_BOOL, in[0].rank, in[0].dim);
    if (!hlo_same_shape(in[0], in[1]) || a.dtype != b.dtype) {
        refuse(h, "compare", in[0], in[1]);
    }
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.compare %s, ", direction);
    hlo_put_value(h, in[0]);
    hlo_put(h, ", ");
    hlo_put_value(h, in[1]);
    put_signature(h, in, 2, out);
    return out;
}

hlo_value hlo_select(hlo *h, hlo_value condition, hlo_value yes, hlo_value no) {
    const hlo_value like = yes.rank > no.rank ? yes : no;
    const hlo_value in[2] = {as_large_as(h, yes, like), as_large_as(h, no, like)};
    const hlo_value out = hlo_new(h, in[0].dtype, in[0].rank, in[0].dim);
    if (!hlo_same_shape(in[0], in[1]) || yes.dtype != no.dtype) {
        refuse(h, "select", in[0], in[1]);
    }
    if (condition.dtype != BT_DTYPE_BOOL ||
        (condition.rank > 0 && !hlo_same_shape(condition, out))) {
        refuse(h, "select", condition, out);
    }
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.select ");
    hlo_put_value(h, condition);
    hlo_put(h, ", ");
    hlo_put_value(h, in[0]);
    hlo_put(h, ", ");
    hlo_put_value(h, in[1]);
    hlo_put(h, " : ");
    hlo_put_type(h, condition);
    hlo_put(h, ", ");
    hlo_put_type(h, out);
    return out;
}

hlo_value hlo_scaled(hlo *h, hlo_value x, double value) {
    return value == 1 ? x : hlo_mul(h, x, hlo_number(h, x.dtype, value));
}

hlo_value hlo_plus(hlo *h, hlo_value x, double value) {
    return value == 0 ? x : hlo_add(h, x, hlo_number(h, x.dtype, value));
}

hlo_value hlo_clamped(hlo *h, hlo_value x, double low, double high) {
    return hlo_min(h, hlo_max(h, x, hlo_number(h, x.dtype, low)), hlo_number(h, x.dtype, high));
}
