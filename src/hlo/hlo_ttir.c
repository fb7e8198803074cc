/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_ttir.h. */
#include "hlo_ttir.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TYPE_TEXT_MAX = 96 };

static const char *element_name(bt_dtype dtype) {
    switch ((int)dtype) {
    case BT_DTYPE_BOOL:
        return "i1";
    case BT_DTYPE_I32:
        return "i32";
    case BT_DTYPE_I64:
        return "i64";
    case BT_DTYPE_F32:
        return "f32";
    case BT_DTYPE_BF16:
        return "bf16";
    case BT_DTYPE_F16:
        return "f16";
    default:
        return "none";
    }
}

static bool is_float(bt_dtype dtype) {
    return dtype == BT_DTYPE_F32 || dtype == BT_DTYPE_BF16 || dtype == BT_DTYPE_F16;
}

/* "tensor<64x32x!tt.ptr<bf16>>" */
static const char *type_text(tt_value x, char buffer[TYPE_TEXT_MAX]) {
    const char *const element = element_name(x.dtype);
    const char *const open = x.is_pointer ? "!tt.ptr<" : "";
    const char *const close = x.is_pointer ? ">" : "";
    if (x.rank == 0) {
        (void)snprintf(buffer, TYPE_TEXT_MAX, "%s%s%s", open, element, close);
    } else if (x.rank == 1) {
        (void)snprintf(buffer, TYPE_TEXT_MAX, "tensor<%" PRId64 "x%s%s%s>", x.dim[0], open, element,
                       close);
    } else {
        (void)snprintf(buffer, TYPE_TEXT_MAX, "tensor<%" PRId64 "x%" PRId64 "x%s%s%s>", x.dim[0],
                       x.dim[1], open, element, close);
    }
    return buffer;
}

void tt_init(ttir *t, const char *name) {
    *t = (ttir){.arguments = BT_STR_INIT,
                .body = BT_STR_INIT,
                .name = name,
                .depth = 2,
                .rc = BT_OK,
                .err = BT_ERROR_INIT};
}

void tt_deinit(ttir *t) {
    bt_str_deinit(&t->arguments);
    bt_str_deinit(&t->body);
}

BT_PRINTF(2, 3) static void refuse(ttir *t, const char *fmt, ...) {
    char    text[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (t->rc == BT_OK) {
        t->rc = BT_FAIL(&t->err, BT_E_INTERNAL, "%s: %s", t->name, text);
    }
}

static void refuse_two(ttir *t, const char *op, tt_value a, tt_value b) {
    char type_a[TYPE_TEXT_MAX];
    char type_b[TYPE_TEXT_MAX];
    refuse(t, "%s: %s does not fit %s", op, type_text(a, type_a), type_text(b, type_b));
}

BT_PRINTF(2, 3) static void put(ttir *t, const char *fmt, ...) {
    char    text[640];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) {
        refuse(t, "a line is too long: %.60s...", text);
    } else if (t->rc == BT_OK) {
        t->rc = bt_str_append(&t->body, text, &t->err);
    }
}

static void put_line(ttir *t) {
    put(t, "\n%*s", 2 * (int)t->depth, "");
}

static void put_value(ttir *t, tt_value x) {
    if (x.part < 0) {
        put(t, "%%%" PRId32, x.id);
    } else {
        put(t, "%%%" PRId32 "#%" PRId32, x.id, x.part);
    }
}

static void put_values(ttir *t, const tt_value *values, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        put(t, "%s", i > 0 ? ", " : "");
        put_value(t, values[i]);
    }
}

static void put_type(ttir *t, tt_value x) {
    char text[TYPE_TEXT_MAX];
    put(t, "%s", type_text(x, text));
}

static tt_value new_value(ttir *t, bt_dtype dtype, int32_t rank, const int64_t *dims) {
    tt_value x = {.id = t->n_values++, .part = -1, .dtype = dtype, .rank = rank};
    for (int32_t i = 0; i < rank && i < TT_MAX_RANK; i++) {
        x.dim[i] = dims[i];
        if (dims[i] < 1 || (dims[i] & (dims[i] - 1)) != 0) {
            refuse(t, "a tile with an axis of %" PRId64 ", which is not a power of two", dims[i]);
        }
    }
    if (rank > TT_MAX_RANK) {
        refuse(t, "a tile with %" PRId32 " axes", rank);
    }
    return x;
}

static tt_value new_like(ttir *t, tt_value like) {
    tt_value x = new_value(t, like.dtype, like.rank, like.dim);
    x.is_pointer = like.is_pointer;
    return x;
}

/* "%7 = " and so on: begins the line of a new value. */
static void put_result(ttir *t, tt_value x, const char *op) {
    put_line(t);
    put(t, "%%%" PRId32 " = %s ", x.id, op);
}

/* " : A -> B" */
static void put_mapping(ttir *t, tt_value from, const char *arrow, tt_value to) {
    put(t, " : ");
    put_type(t, from);
    put(t, " %s ", arrow);
    put_type(t, to);
}

tt_value tt_argument(ttir *t, bt_dtype dtype) {
    tt_value x = new_value(t, dtype, 0, NULL);
    char     type[TYPE_TEXT_MAX];
    x.is_pointer = true;
    if (t->rc == BT_OK) { /* buffers of XLA begin at such addresses */
        t->rc = bt_str_appendf(&t->arguments, &t->err,
                               "%s%%%" PRId32 ": %s {tt.divisibility = 16 : i32}",
                               t->n_arguments > 0 ? ", " : "", x.id, type_text(x, type));
    }
    t->n_arguments++;
    return x;
}

bt_status tt_finish(ttir *t, bt_str *text, bt_error *err) {
    if (t->rc != BT_OK) {
        return BT_FAIL(err, t->rc, "%s", t->err.msg);
    }
    return bt_str_appendf(text, err,
                          "module {\n  tt.func public @%s(%s) {%s\n    tt.return\n  }\n}\n",
                          t->name, bt_str_text(&t->arguments), bt_str_text(&t->body));
}

tt_value tt_program_id(ttir *t, int32_t axis) {
    const tt_value x = new_value(t, BT_DTYPE_I32, 0, NULL);
    put_result(t, x, "tt.get_program_id");
    put(t, "%c : i32", axis == 0 ? 'x' : axis == 1 ? 'y' : 'z');
    return x;
}

tt_value tt_full(ttir *t, bt_dtype dtype, int32_t rank, const int64_t *dims, double value) {
    const tt_value x = new_value(t, dtype, rank, dims);
    put_result(t, x, "arith.constant");
    put(t, is_float(dtype) ? "%s%.17e%s : " : "%s%.0f%s : ", rank > 0 ? "dense<" : "", value,
        rank > 0 ? ">" : "");
    put_type(t, x);
    return x;
}

tt_value tt_number(ttir *t, bt_dtype dtype, double value) {
    return tt_full(t, dtype, 0, NULL, value);
}

tt_value tt_range(ttir *t, int64_t n) {
    const tt_value x = new_value(t, BT_DTYPE_I32, 1, &n);
    put_result(t, x, "tt.make_range");
    put(t, "{end = %" PRId64 " : i32, start = 0 : i32} : ", n);
    put_type(t, x);
    return x;
}

tt_value tt_along(ttir *t, tt_value x, int32_t axis) {
    const int64_t  dims[2] = {axis == 0 ? 1 : x.dim[0], axis == 0 ? x.dim[0] : 1};
    const tt_value out = new_value(t, x.dtype, 2, dims);
    if (x.rank != 1) {
        refuse_two(t, "tt.expand_dims", x, out);
    }
    put_result(t, out, "tt.expand_dims");
    put_value(t, x);
    put(t, " {axis = %" PRId32 " : i32}", axis);
    put_mapping(t, x, "->", out);
    return out;
}

tt_value tt_transpose(ttir *t, tt_value x) {
    const int64_t  dims[2] = {x.dim[1], x.dim[0]};
    const tt_value out = new_value(t, x.dtype, 2, dims);
    if (x.rank != 2) {
        refuse_two(t, "tt.trans", x, out);
    }
    put_result(t, out, "tt.trans");
    put_value(t, x);
    put(t, " {order = array<i32: 1, 0>}");
    put_mapping(t, x, "->", out);
    return out;
}

static bool has_shape(tt_value x, int32_t rank, const int64_t *dims) {
    return x.rank == rank && memcmp(x.dim, dims, (size_t)rank * sizeof dims[0]) == 0;
}

/* x over the shape: a scalar, or axes of 1 that become longer */
static tt_value spread(ttir *t, tt_value x, int32_t rank, const int64_t *dims) {
    if (has_shape(x, rank, dims)) {
        return x;
    }
    tt_value out = new_value(t, x.dtype, rank, dims);
    out.is_pointer = x.is_pointer;
    bool fits = x.rank == 0 || x.rank == rank;
    for (int32_t i = 0; i < x.rank && fits; i++) {
        fits = x.dim[i] == 1 || x.dim[i] == dims[i];
    }
    if (!fits) {
        refuse_two(t, "tt.broadcast", x, out);
    }
    put_result(t, out, x.rank == 0 ? "tt.splat" : "tt.broadcast");
    put_value(t, x);
    put_mapping(t, x, "->", out);
    return out;
}

/* All of them over the shape that they have together. */
static void spread_all(ttir *t, tt_value *values, int32_t n) {
    int32_t rank = 0;
    int64_t dims[TT_MAX_RANK] = {1, 1};
    for (int32_t i = 0; i < n; i++) {
        rank = values[i].rank > rank ? values[i].rank : rank;
        for (int32_t k = 0; k < values[i].rank; k++) {
            dims[k] = values[i].dim[k] > dims[k] ? values[i].dim[k] : dims[k];
        }
    }
    for (int32_t i = 0; i < n; i++) {
        values[i] = spread(t, values[i], rank, dims);
    }
}

tt_value tt_binary(ttir *t, const char *op, tt_value a, tt_value b) {
    tt_value in[2] = {a, b};
    if (a.dtype != b.dtype) {
        refuse_two(t, op, a, b);
    }
    spread_all(t, in, 2);
    const tt_value out = new_like(t, in[0]);
    put_result(t, out, op);
    put_values(t, in, 2);
    put(t, " : ");
    put_type(t, out);
    return out;
}

tt_value tt_compare(ttir *t, const char *predicate, tt_value a, tt_value b) {
    tt_value in[2] = {a, b};
    if (a.dtype != b.dtype || is_float(a.dtype)) {
        refuse_two(t, "arith.cmpi", a, b);
    }
    spread_all(t, in, 2);
    const tt_value out = new_value(t, BT_DTYPE_BOOL, in[0].rank, in[0].dim);
    put_result(t, out, "arith.cmpi");
    put(t, "%s, ", predicate);
    put_values(t, in, 2);
    put(t, " : ");
    put_type(t, in[0]);
    return out;
}

tt_value tt_select(ttir *t, tt_value condition, tt_value yes, tt_value no) {
    tt_value in[3] = {condition, yes, no};
    if (condition.dtype != BT_DTYPE_BOOL || yes.dtype != no.dtype) {
        refuse_two(t, "arith.select", yes, no);
    }
    spread_all(t, in, 3);
    const tt_value out = new_like(t, in[1]);
    put_result(t, out, "arith.select");
    put_values(t, in, 3);
    put(t, " : ");
    put_type(t, in[0]);
    put(t, ", ");
    put_type(t, out);
    return out;
}

tt_value tt_unary(ttir *t, const char *op, tt_value x) {
    const tt_value out = new_like(t, x);
    put_result(t, out, op);
    put_value(t, x);
    put(t, " : ");
    put_type(t, out);
    return out;
}

tt_value tt_cast(ttir *t, const char *op, tt_value x, bt_dtype dtype) {
    if (x.dtype == dtype) {
        return x;
    }
    const tt_value out = new_value(t, dtype, x.rank, x.dim);
    put_result(t, out, op);
    put_value(t, x);
    put_mapping(t, x, "to", out);
    return out;
}

tt_value tt_dot(ttir *t, tt_value a, tt_value b, tt_value sum) {
    const tt_value out = new_value(t, BT_DTYPE_F32, 2, (int64_t[]){a.dim[0], b.dim[1]});
    if (a.rank != 2 || b.rank != 2 || a.dim[1] != b.dim[0] || a.dtype != b.dtype ||
        sum.dtype != BT_DTYPE_F32 || !has_shape(sum, out.rank, out.dim)) {
        refuse_two(t, "tt.dot", a, b);
    }
    const tt_value in[3] = {a, b, sum};
    put_result(t, out, "tt.dot");
    put_values(t, in, 3);
    /* float32 as the sum of three products of its halves: nearly float32 */
    put(t, "%s : ", a.dtype == BT_DTYPE_F32 ? ", inputPrecision = tf32x3" : "");
    put_type(t, a);
    put(t, " * ");
    put_type(t, b);
    put(t, " -> ");
    put_type(t, out);
    return out;
}

tt_value tt_reduce(ttir *t, const char *op, tt_value x) {
    const int32_t  axis = x.rank - 1;
    const tt_value out = new_value(t, x.dtype, axis, x.dim);
    const tt_value a = new_value(t, x.dtype, 0, NULL);
    const tt_value b = new_value(t, x.dtype, 0, NULL);
    if (x.rank < 1) {
        refuse_two(t, "tt.reduce", x, out);
    }
    put_result(t, out, "\"tt.reduce\"");
    put(t, "(");
    put_value(t, x);
    put(t, ") <{axis = %" PRId32 " : i32}> ({", axis);
    put_line(t);
    put(t, "^bb0(%%%" PRId32 ": %s, %%%" PRId32 ": %s):", a.id, element_name(x.dtype), b.id,
        element_name(x.dtype));
    t->depth++;
    const tt_value both = tt_binary(t, op, a, b);
    put_line(t);
    put(t, "tt.reduce.return %%%" PRId32 " : %s", both.id, element_name(x.dtype));
    t->depth--;
    put_line(t);
    put(t, "}) : (");
    put_type(t, x);
    put(t, ") -> ");
    put_type(t, out);
    return out;
}

tt_value tt_address(ttir *t, tt_value pointer, tt_value offsets) {
    const tt_value from = spread(t, pointer, offsets.rank, offsets.dim);
    const tt_value out = new_like(t, from);
    if (!pointer.is_pointer || offsets.dtype != BT_DTYPE_I32) {
        refuse_two(t, "tt.addptr", pointer, offsets);
    }
    put_result(t, out, "tt.addptr");
    put_value(t, from);
    put(t, ", ");
    put_value(t, offsets);
    put(t, " : ");
    put_type(t, from);
    put(t, ", ");
    put_type(t, offsets);
    return out;
}

tt_value tt_load(ttir *t, tt_value address, const tt_value *is_there, double other) {
    tt_value in[3] = {address};
    int32_t  n = 1;
    if (is_there != NULL) {
        in[n++] = spread(t, *is_there, address.rank, address.dim);
        in[n++] = tt_full(t, address.dtype, address.rank, address.dim, other);
    }
    const tt_value out = new_value(t, address.dtype, address.rank, address.dim);
    if (!address.is_pointer) {
        refuse_two(t, "tt.load", address, out);
    }
    put_result(t, out, "tt.load");
    put_values(t, in, n);
    put(t, " : ");
    put_type(t, address);
    return out;
}

void tt_store(ttir *t, tt_value address, tt_value x, const tt_value *is_there) {
    tt_value in[3] = {address, x};
    int32_t  n = 2;
    if (!address.is_pointer || address.dtype != x.dtype || !has_shape(address, x.rank, x.dim)) {
        refuse_two(t, "tt.store", address, x);
    }
    if (is_there != NULL) {
        in[n++] = spread(t, *is_there, address.rank, address.dim);
    }
    put_line(t);
    put(t, "tt.store ");
    put_values(t, in, n);
    put(t, " : ");
    put_type(t, address);
}

void tt_loop_begin(ttir *t, tt_loop *loop, const tt_value bounds[3], const tt_value *start,
                   int32_t n_carry) {
    *loop = (tt_loop){.n_carry = n_carry, .id = t->n_values++};
    if (n_carry < 1 || n_carry > TT_MAX_CARRY) {
        refuse(t, "a loop that carries %" PRId32 " values", n_carry);
        loop->n_carry = 0;
        return;
    }
    loop->counter = new_value(t, BT_DTYPE_I32, 0, NULL);
    put_line(t);
    put(t, "%%%" PRId32 ":%" PRId32 " = scf.for %%%" PRId32 " = ", loop->id, n_carry,
        loop->counter.id);
    put_value(t, bounds[0]);
    put(t, " to ");
    put_value(t, bounds[1]);
    put(t, " step ");
    put_value(t, bounds[2]);
    put(t, " iter_args(");
    for (int32_t i = 0; i < n_carry; i++) {
        loop->carry[i] = new_like(t, start[i]);
        put(t, "%s%%%" PRId32 " = ", i > 0 ? ", " : "", loop->carry[i].id);
        put_value(t, start[i]);
    }
    put(t, ") -> (");
    for (int32_t i = 0; i < n_carry; i++) {
        put(t, "%s", i > 0 ? ", " : "");
        put_type(t, start[i]);
    }
    put(t, ") : i32 {");
    t->depth++;
}

void tt_loop_end(ttir *t, tt_loop *loop, const tt_value *next) {
    put_line(t);
    put(t, "scf.yield ");
    put_values(t, next, loop->n_carry);
    put(t, " : ");
    for (int32_t i = 0; i < loop->n_carry; i++) {
        put(t, "%s", i > 0 ? ", " : "");
        put_type(t, next[i]);
        if (!has_shape(next[i], loop->carry[i].rank, loop->carry[i].dim) ||
            next[i].dtype != loop->carry[i].dtype) {
            refuse_two(t, "scf.for", loop->carry[i], next[i]);
        }
    }
    t->depth--;
    put_line(t);
    put(t, "}");
    for (int32_t i = 0; i < loop->n_carry; i++) {
        loop->carry[i].id = loop->id;
        loop->carry[i].part = loop->n_carry > 1 ? i : -1;
    }
}
