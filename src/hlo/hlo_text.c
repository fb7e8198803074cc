/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_text.h: the module around the operations, types as text, constants. */
#include "hlo_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *element_text(bt_dtype dtype) {
    switch (dtype) {
    case BT_DTYPE_F32:
        return "f32";
    case BT_DTYPE_F64:
        return "f64";
    case BT_DTYPE_BF16:
        return "bf16";
    case BT_DTYPE_F16:
        return "f16";
    case BT_DTYPE_I32:
        return "i32";
    case BT_DTYPE_I64:
        return "i64";
    case BT_DTYPE_U8:
        return "ui8";
    case BT_DTYPE_U32:
        return "ui32";
    case BT_DTYPE_BOOL:
        return "i1";
    case BT_DTYPE_I16:
    case BT_DTYPE_I8:
    case BT_DTYPE_STRING:
    case BT_DTYPE_C64:
    case BT_DTYPE_C128:
    case BT_DTYPE_INVALID:
    case BT_DTYPE_U16:
    case BT_DTYPE_U64:
        break;
    }
    return "none";
}

static bool is_float(bt_dtype dtype) {
    return dtype == BT_DTYPE_F32 || dtype == BT_DTYPE_F64 || dtype == BT_DTYPE_BF16 ||
           dtype == BT_DTYPE_F16;
}

void hlo_init(hlo *h, int32_t n_replicas) {
    *h = (hlo){.arguments = BT_STR_INIT,
               .body = BT_STR_INIT,
               .depth = 2,
               .n_replicas = n_replicas,
               .rc = BT_OK,
               .err = BT_ERROR_INIT};
}

void hlo_deinit(hlo *h) {
    bt_str_deinit(&h->arguments);
    bt_str_deinit(&h->body);
}

void hlo_fail(hlo *h, bt_status code, const char *fmt, ...) {
    char    text[400];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (h->rc == BT_OK) {
        h->rc = BT_FAIL(&h->err, code, "%s", text);
    }
}

static void put(hlo *h, bt_str *to, const char *text) {
    if (h->rc == BT_OK) {
        h->rc = bt_str_append(to, text, &h->err);
    }
}

void hlo_put(hlo *h, const char *fmt, ...) {
    char    text[1024];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) {
        hlo_fail(h, BT_E_INTERNAL, "a line of StableHLO is too long: %.60s...", text);
        return;
    }
    put(h, &h->body, text);
}

void hlo_put_text(hlo *h, const char *text) {
    put(h, &h->body, text);
}

void hlo_put_line(hlo *h) {
    put(h, &h->body, "\n");
    for (int32_t i = 0; i < h->depth; i++) {
        put(h, &h->body, "  ");
    }
}

void hlo_put_value(hlo *h, hlo_value x) {
    if (x.part < 0) {
        hlo_put(h, "%%v%" PRId32, x.id);
    } else {
        hlo_put(h, "%%v%" PRId32 "#%" PRId32, x.id, x.part);
    }
}

const char *hlo_type_text(hlo_value x, char buffer[HLO_TYPE_TEXT_MAX]) {
    size_t used = (size_t)snprintf(buffer, HLO_TYPE_TEXT_MAX, "tensor<");
    for (int32_t i = 0; i < x.rank && used < HLO_TYPE_TEXT_MAX; i++) {
        used += (size_t)snprintf(buffer + used, HLO_TYPE_TEXT_MAX - used, "%" PRId64 "x", x.dim[i]);
    }
    if (used < HLO_TYPE_TEXT_MAX) {
        (void)snprintf(buffer + used, HLO_TYPE_TEXT_MAX - used, "%s>", element_text(x.dtype));
    }
    return buffer;
}

void hlo_put_type(hlo *h, hlo_value x) {
    char text[HLO_TYPE_TEXT_MAX];
    put(h, &h->body, hlo_type_text(x, text));
}

hlo_value hlo_new(hlo *h, bt_dtype dtype, int32_t rank, const int64_t *dims) {
    hlo_value x = {.id = h->n_values++, .part = -1, .dtype = dtype, .rank = rank};
    int64_t   n_elements = 0;
    if (rank > HLO_MAX_RANK || !bt_dims_count(dims, rank, &n_elements)) {
        hlo_fail(h, BT_E_INTERNAL, "a value of StableHLO with %" PRId32 " axes", rank);
        x.rank = 0;
        return x;
    }
    for (int32_t i = 0; i < rank; i++) {
        x.dim[i] = dims[i];
    }
    return x;
}

void hlo_put_result(hlo *h, hlo_value x) {
    hlo_put_line(h);
    hlo_put_value(h, x);
    hlo_put(h, " = ");
}

bool hlo_same_shape(hlo_value a, hlo_value b) {
    return a.rank == b.rank && memcmp(a.dim, b.dim, (size_t)a.rank * sizeof a.dim[0]) == 0;
}

hlo_value hlo_argument(hlo *h, bt_dtype dtype, int32_t rank, const int64_t *dims,
                       int32_t takes_place) {
    const hlo_value x = hlo_new(h, dtype, rank, dims);
    char            type[HLO_TYPE_TEXT_MAX];
    char            text[HLO_TYPE_TEXT_MAX + 80];
    char            donated[48] = "";
    if (takes_place >= 0) {
        (void)snprintf(donated, sizeof donated, " {tf.aliasing_output = %" PRId32 " : i32}",
                       takes_place);
    }
    (void)snprintf(text, sizeof text, "%s%%v%" PRId32 ": %s%s", h->n_arguments > 0 ? ", " : "",
                   x.id, hlo_type_text(x, type), donated);
    put(h, &h->arguments, text);
    h->n_arguments++;
    return x;
}

/* "tensor<..>, tensor<..>" */
static bt_status append_types(bt_str *text, const hlo_value *values, size_t n, bt_error *err) {
    char type[HLO_TYPE_TEXT_MAX];
    for (size_t i = 0; i < n; i++) {
        BT_TRY(
            bt_str_appendf(text, err, "%s%s", i > 0 ? ", " : "", hlo_type_text(values[i], type)));
    }
    return BT_OK;
}

bt_status hlo_finish(hlo *h, const hlo_value *results, size_t n_results, bt_str *text,
                     bt_error *err) {
    if (h->rc != BT_OK) {
        return BT_FAIL(err, h->rc, "%s", h->err.msg);
    }
    BT_TRY(bt_str_appendf(text, err,
                          "module @step attributes {mhlo.num_partitions = 1 : i32, "
                          "mhlo.num_replicas = %" PRId32 " : i32} {\n"
                          "  func.func public @main(",
                          h->n_replicas));
    BT_TRY(bt_str_append(text, bt_str_text(&h->arguments), err));
    BT_TRY(bt_str_append(text, ") -> (", err));
    BT_TRY(append_types(text, results, n_results, err));
    BT_TRY(bt_str_append(text, ") {", err));
    BT_TRY(bt_str_append(text, bt_str_text(&h->body), err));
    BT_TRY(bt_str_append(text, "\n    return ", err));
    for (size_t i = 0; i < n_results; i++) {
        BT_TRY(bt_str_appendf(text, err, "%s%%v%" PRId32 "", i > 0 ? ", " : "", results[i].id));
        if (results[i].part >= 0) {
            BT_TRY(bt_str_appendf(text, err, "#%" PRId32, results[i].part));
        }
    }
    BT_TRY(bt_str_append(text, " : ", err));
    BT_TRY(append_types(text, results, n_results, err));
    return bt_str_append(text, "\n  }\n}\n", err);
}

static void put_number(hlo *h, bt_dtype dtype, double value) {
    if (dtype == BT_DTYPE_BOOL) {
        hlo_put(h, "%s", value != 0 ? "true" : "false");
    } else if (!is_float(dtype)) {
        hlo_put(h, "%.0f", value);
    } else if (isfinite(value)) {
        hlo_put(h, "%.17e", value);
    } else {
        hlo_fail(h, BT_E_INTERNAL, "a constant of StableHLO that is not finite");
    }
}

hlo_value hlo_zeros(hlo *h, bt_dtype dtype, int32_t rank, const int64_t *dims) {
    return hlo_fill(h, hlo_new(h, dtype, rank, dims), 0);
}

hlo_value hlo_fill(hlo *h, hlo_value like, double value) {
    const hlo_value x = hlo_new(h, like.dtype, like.rank, like.dim);
    hlo_put_result(h, x);
    hlo_put(h, "stablehlo.constant dense<");
    put_number(h, x.dtype, value);
    hlo_put(h, "> : ");
    hlo_put_type(h, x);
    return x;
}

hlo_value hlo_number(hlo *h, bt_dtype dtype, double value) {
    return hlo_fill(h, (hlo_value){.dtype = dtype, .rank = 0}, value);
}

hlo_value hlo_fill_as(hlo *h, bt_dtype dtype, hlo_value like, double value) {
    like.dtype = dtype;
    return hlo_fill(h, like, value);
}

hlo_value hlo_list(hlo *h, bt_dtype dtype, const double *values, int64_t n) {
    const hlo_value x = hlo_new(h, dtype, 1, &n);
    hlo_put_result(h, x);
    hlo_put(h, "stablehlo.constant dense<[");
    for (int64_t i = 0; i < n; i++) {
        hlo_put(h, "%s", i > 0 ? ", " : "");
        put_number(h, dtype, values[i]);
    }
    hlo_put(h, "]> : ");
    hlo_put_type(h, x);
    return x;
}
