/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums, products, rows by number, loops and sums over replicas (hlo_text.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hlo_text.h"

/* What changes nothing: where a reduction starts. */
static hlo_value neutral(hlo *h, const char *op, bt_dtype dtype) {
    const bool is_float = dtype == BT_DTYPE_F32 || dtype == BT_DTYPE_F64;
    double     value = 0;
    if (strcmp(op, "maximum") == 0) {
        value = is_float ? -3.4028234e38 : (double)INT32_MIN;
    } else if (strcmp(op, "minimum") == 0) {
        value = is_float ? 3.4028234e38 : (double)INT32_MAX;
    } else if (strcmp(op, "and") == 0) {
        value = 1;
    }
    return hlo_number(h, dtype, value);
}

hlo_value hlo_reduce(hlo *h, const char *op, hlo_value x, uint32_t axes) {
    int64_t dims[HLO_MAX_RANK] = {0};
    int32_t rank = 0;
    char    list[64] = "";
    size_t  used = 0;
    for (int32_t i = 0; i < x.rank; i++) {
        if ((axes >> i & 1U) == 0) {
            dims[rank++] = x.dim[i];
        } else if (used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%" PRId32,
                                     used > 0 ? ", " : "", i);
        }
    }
    if (axes >> x.rank != 0) {
        hlo_fail(h, BT_E_INTERNAL, "stablehlo.reduce: axes 0x%" PRIx32 " of a value with %" PRId32,
                 axes, x.rank);
    }
    if (axes == 0) {
        return x;
    }
    const hlo_value start = neutral(h, op, x.dtype);
    const hlo_value out = hlo_new(h, x.dtype, rank, dims);
    hlo_put_result(h, out);
    hlo_put(h, "stablehlo.reduce(");
    hlo_put_value(h, x);
    hlo_put(h, " init: ");
    hlo_put_value(h, start);
    hlo_put(h, ") applies stablehlo.%s across dimensions = [%s] : (", op, list);
    hlo_put_type(h, x);
    hlo_put(h, ", ");
    hlo_put_type(h, start);
    hlo_put(h, ") -> ");
    hlo_put_type(h, out);
    return out;
}

hlo_value hlo_sum_all(hlo *h, hlo_value x) {
    return hlo_reduce(h, "add", x, (1U << x.rank) - 1);
}

/* "ab,bc->ac" in its three parts */
typedef struct einsum_letters {
    char a[HLO_MAX_RANK + 1], b[HLO_MAX_RANK + 1], out[HLO_MAX_RANK + 1];
} einsum_letters;

static bool split_letters(const char *text, einsum_letters *l) {
    const size_t n_a = strcspn(text, ",");
    if (text[n_a] == '\0') {
        return false;
    }
    const char *const b = text + n_a + 1;
    const size_t      n_b = strcspn(b, "-");
    if (strncmp(b + n_b, "->", 2) != 0) {
        return false;
    }
    const char *const out = b + n_b + 2;
    const size_t      n_out = strlen(out);
    if (n_a > HLO_MAX_RANK || n_b > HLO_MAX_RANK || n_out > HLO_MAX_RANK) {
        return false;
    }
    memset(l, 0, sizeof *l);
    memcpy(l->a, text, n_a);
    memcpy(l->b, b, n_b);
    memcpy(l->out, out, n_out);
    return true;
}

static int32_t place(const char *letters, char c) {
    const char *const at = strchr(letters, c);
    return at == NULL ? -1 : (int32_t)(at - letters);
}

/* What a dot_general says of its axes. */
typedef struct dot_axes {
    int32_t batch_a[HLO_MAX_RANK], batch_b[HLO_MAX_RANK], sum_a[HLO_MAX_RANK], sum_b[HLO_MAX_RANK];
    int32_t n_batch, n_sum, rank;
    char    letters[2 * HLO_MAX_RANK + 1]; /* of its result */
    int64_t dims[2 * HLO_MAX_RANK];
} dot_axes;

static bool find_axes(const einsum_letters *l, hlo_value a, hlo_value b, dot_axes *d) {
    memset(d, 0, sizeof *d);
    if ((int32_t)strlen(l->a) != a.rank || (int32_t)strlen(l->b) != b.rank) {
        return false;
    }
    for (int32_t i = 0; i < a.rank; i++) {
        const int32_t in_b = place(l->b, l->a[i]);
        const bool    in_out = place(l->out, l->a[i]) >= 0;
        if (in_b >= 0 && a.dim[i] != b.dim[in_b]) {
            return false;
        }
        if (in_b >= 0 && in_out) {
            d->batch_a[d->n_batch] = i;
            d->batch_b[d->n_batch++] = in_b;
            d->letters[d->rank] = l->a[i];
            d->dims[d->rank++] = a.dim[i];
        } else if (in_b >= 0) {
            d->sum_a[d->n_sum] = i;
            d->sum_b[d->n_sum++] = in_b;
        } else if (!in_out) {
            return false;
        }
    }
    for (int32_t i = 0; i < a.rank + b.rank; i++) {
        const bool    of_a = i < a.rank;
        const int32_t at = of_a ? i : i - a.rank;
        const char    c = of_a ? l->a[at] : l->b[at];
        if (place(of_a ? l->b : l->a, c) < 0) {
            d->letters[d->rank] = c;
            d->dims[d->rank++] = of_a ? a.dim[at] : b.dim[at];
        }
    }
    return d->rank == (int32_t)strlen(l->out);
}

static void put_pair(hlo *h, const char *name, const int32_t *a, const int32_t *b, int32_t n) {
    hlo_put(h, ", %s = [", name);
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s%" PRId32, i > 0 ? ", " : "", a[i]);
    }
    hlo_put(h, "] x [");
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, "%s%" PRId32, i > 0 ? ", " : "", b[i]);
    }
    hlo_put(h, "]");
}

hlo_value hlo_einsum(hlo *h, const char *letters, hlo_value a, hlo_value b, bt_dtype out) {
    einsum_letters l = {0};
    dot_axes       d;
    int32_t        order[HLO_MAX_RANK] = {0};
    if (!split_letters(letters, &l) || !find_axes(&l, a, b, &d) || d.rank > HLO_MAX_RANK ||
        a.dtype != b.dtype) {
        char type_a[HLO_TYPE_TEXT_MAX];
        char type_b[HLO_TYPE_TEXT_MAX];
        hlo_fail(h, BT_E_INTERNAL, "product %s of %s and %s", letters, hlo_type_text(a, type_a),
                 hlo_type_text(b, type_b));
        return a;
    }
    const hlo_value x = hlo_new(h, out, d.rank, d.dims);
    hlo_put_result(h, x);
    hlo_put(h, "stablehlo.dot_general ");
    hlo_put_value(h, a);
    hlo_put(h, ", ");
    hlo_put_value(h, b);
    if (d.n_batch > 0) {
        put_pair(h, "batching_dims", d.batch_a, d.batch_b, d.n_batch);
    }
    put_pair(h, "contracting_dims", d.sum_a, d.sum_b, d.n_sum);
    /* float32 means float32: accelerators would round the factors otherwise */
    const char *const precision = a.dtype == BT_DTYPE_F32 ? "HIGHEST" : "DEFAULT";
    hlo_put(h, ", precision = [%s, %s] : (", precision, precision);
    hlo_put_type(h, a);
    hlo_put(h, ", ");
    hlo_put_type(h, b);
    hlo_put(h, ") -> ");
    hlo_put_type(h, x);
    for (int32_t i = 0; i < d.rank; i++) {
        order[i] = place(d.letters, l.out[i]);
    }
    return hlo_transpose(h, x, order);
}

hlo_value hlo_take(hlo *h, hlo_value table, hlo_value ids) {
    int64_t       dims[2 * HLO_MAX_RANK] = {0};
    const int32_t rank = ids.rank + table.rank - 1;
    char          offsets[64] = "";
    char          sizes[128] = "1";
    size_t        n_offsets = 0;
    size_t        n_sizes = 1;
    hlo_value     out = table;
    if (table.rank < 1 || ids.dtype != BT_DTYPE_I32 || rank > HLO_MAX_RANK) {
        hlo_fail(h, BT_E_INTERNAL,
                 "stablehlo.gather: ids with %" PRId32 " axes of rows with %" PRId32, ids.rank,
                 table.rank);
        return out;
    }
    memcpy(dims, ids.dim, (size_t)ids.rank * sizeof dims[0]);
    for (int32_t i = 1; i < table.rank; i++) {
        dims[ids.rank + i - 1] = table.dim[i];
        n_offsets += (size_t)snprintf(offsets + n_offsets, sizeof offsets - n_offsets, "%s%" PRId32,
                                      i > 1 ? ", " : "", ids.rank + i - 1);
        n_sizes +=
            (size_t)snprintf(sizes + n_sizes, sizeof sizes - n_sizes, ", %" PRId64, table.dim[i]);
    }
    out = hlo_new(h, table.dtype, rank, dims);
    hlo_put_result(h, out);
    hlo_put(h, "\"stablehlo.gather\"(");
    hlo_put_value(h, table);
    hlo_put(h, ", ");
    hlo_put_value(h, ids);
    hlo_put(h,
            ") <{dimension_numbers = #stablehlo.gather<offset_dims = [%s], collapsed_slice_dims = "
            "[0], start_index_map = [0], index_vector_dim = %" PRId32
            ">, indices_are_sorted = false, slice_sizes = array<i64: %s>}> : (",
            offsets, ids.rank, sizes);
    hlo_put_type(h, table);
    hlo_put(h, ", ");
    hlo_put_type(h, ids);
    hlo_put(h, ") -> ");
    hlo_put_type(h, out);
    return out;
}

/* A region of two scalars: ({ ^bb0(..): .. }) */
static void put_combiner(hlo *h, const char *op, bt_dtype dtype) {
    const hlo_value a = hlo_new(h, dtype, 0, NULL);
    const hlo_value b = hlo_new(h, dtype, 0, NULL);
    hlo_put(h, "({");
    hlo_put_line(h);
    hlo_put(h, "^bb0(");
    hlo_put_value(h, a);
    hlo_put(h, ": ");
    hlo_put_type(h, a);
    hlo_put(h, ", ");
    hlo_put_value(h, b);
    hlo_put(h, ": ");
    hlo_put_type(h, b);
    hlo_put(h, "):");
    h->depth++;
    const hlo_value sum = hlo_binary(h, op, a, b);
    hlo_put_line(h);
    hlo_put(h, "stablehlo.return ");
    hlo_put_value(h, sum);
    hlo_put(h, " : ");
    hlo_put_type(h, sum);
    h->depth--;
    hlo_put_line(h);
    hlo_put(h, "})");
}

hlo_value hlo_scatter(hlo *h, const char *op, hlo_value into, hlo_value ids, hlo_value rows) {
    if (into.rank != 2 || ids.rank != 1 || rows.rank != 2 || rows.dim[0] != ids.dim[0] ||
        rows.dim[1] != into.dim[1] || rows.dtype != into.dtype || ids.dtype != BT_DTYPE_I32) {
        char type_a[HLO_TYPE_TEXT_MAX];
        char type_b[HLO_TYPE_TEXT_MAX];
        hlo_fail(h, BT_E_INTERNAL, "stablehlo.scatter: %s does not fit %s",
                 hlo_type_text(rows, type_a), hlo_type_text(into, type_b));
        return into;
    }
    const hlo_value places = hlo_shape(h, ids, ids.dim[0], 1);
    const hlo_value out = hlo_new(h, into.dtype, into.rank, into.dim);
    hlo_put_result(h, out);
    hlo_put(h, "\"stablehlo.scatter\"(");
    hlo_put_value(h, into);
    hlo_put(h, ", ");
    hlo_put_value(h, places);
    hlo_put(h, ", ");
    hlo_put_value(h, rows);
    hlo_put(h, ") <{indices_are_sorted = false, scatter_dimension_numbers = "
               "#stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], "
               "scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, unique_indices = "
               "false}> ");
    put_combiner(h, op, into.dtype);
    hlo_put(h, " : (");
    hlo_put_type(h, into);
    hlo_put(h, ", ");
    hlo_put_type(h, places);
    hlo_put(h, ", ");
    hlo_put_type(h, rows);
    hlo_put(h, ") -> ");
    hlo_put_type(h, out);
    return out;
}

/* "%v1, %v2 : tensor<..>, tensor<..>" of the counter and what is carried */
static void put_carry(hlo *h, hlo_value counter, const hlo_value *carry, int32_t n) {
    hlo_put_value(h, counter);
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, ", ");
        hlo_put_value(h, carry[i]);
    }
    hlo_put(h, " : ");
    hlo_put_type(h, counter);
    for (int32_t i = 0; i < n; i++) {
        hlo_put(h, ", ");
        hlo_put_type(h, carry[i]);
    }
}

void hlo_loop_begin(hlo *h, hlo_loop *loop, hlo_value n, const hlo_value *start, int32_t n_carry) {
    *loop = (hlo_loop){.n_carry = n_carry};
    if (n_carry > HLO_MAX_CARRY || n.rank != 0 || n.dtype != BT_DTYPE_I32) {
        hlo_fail(h, BT_E_INTERNAL, "a loop that carries %" PRId32 " values", n_carry);
        loop->n_carry = 0;
        return;
    }
    const hlo_value zero = hlo_number(h, BT_DTYPE_I32, 0);
    loop->id = h->n_values++;
    loop->counter = hlo_new(h, BT_DTYPE_I32, 0, NULL);
    hlo_put_line(h);
    hlo_put(h, "%%v%" PRId32 ":%" PRId32 " = stablehlo.while(", loop->id, n_carry + 1);
    hlo_put_value(h, loop->counter);
    hlo_put(h, " = ");
    hlo_put_value(h, zero);
    for (int32_t i = 0; i < n_carry; i++) {
        loop->carry[i] = hlo_new(h, start[i].dtype, start[i].rank, start[i].dim);
        hlo_put(h, ", ");
        hlo_put_value(h, loop->carry[i]);
        hlo_put(h, " = ");
        hlo_put_value(h, start[i]);
    }
    hlo_put(h, ") : ");
    hlo_put_type(h, zero);
    for (int32_t i = 0; i < n_carry; i++) {
        hlo_put(h, ", ");
        hlo_put_type(h, start[i]);
    }
    hlo_put_line(h);
    hlo_put(h, "cond {");
    h->depth++;
    const hlo_value more = hlo_compare(h, "LT", loop->counter, n);
    hlo_put_line(h);
    hlo_put(h, "stablehlo.return ");
    hlo_put_value(h, more);
    hlo_put(h, " : ");
    hlo_put_type(h, more);
    h->depth--;
    hlo_put_line(h);
    hlo_put(h, "} do {");
    h->depth++;
}

void hlo_loop_end(hlo *h, hlo_loop *loop, const hlo_value *next) {
    const hlo_value after = hlo_plus(h, loop->counter, 1);
    for (int32_t i = 0; i < loop->n_carry; i++) {
        if (!hlo_same_shape(next[i], loop->carry[i]) || next[i].dtype != loop->carry[i].dtype) {
            char type_a[HLO_TYPE_TEXT_MAX];
            char type_b[HLO_TYPE_TEXT_MAX];
            hlo_fail(h, BT_E_INTERNAL, "stablehlo.while: value %" PRId32 " is %s and becomes %s", i,
                     hlo_type_text(loop->carry[i], type_a), hlo_type_text(next[i], type_b));
        }
    }
    hlo_put_line(h);
    hlo_put(h, "stablehlo.return ");
    put_carry(h, after, next, loop->n_carry);
    h->depth--;
    hlo_put_line(h);
    hlo_put(h, "}");
    for (int32_t i = 0; i < loop->n_carry; i++) {
        loop->carry[i].id = loop->id;
        loop->carry[i].part = i + 1;
    }
}

hlo_value hlo_all_reduce(hlo *h, hlo_value x) {
    if (h->n_replicas <= 1) {
        return x;
    }
    const hlo_value out = hlo_new(h, x.dtype, x.rank, x.dim);
    hlo_put_result(h, out);
    hlo_put(h, "\"stablehlo.all_reduce\"(");
    hlo_put_value(h, x);
    hlo_put(h, ") ");
    put_combiner(h, "add", x.dtype);
    hlo_put(h, " {replica_groups = dense<[[");
    for (int32_t i = 0; i < h->n_replicas; i++) {
        hlo_put(h, "%s%" PRId32, i > 0 ? ", " : "", i);
    }
    hlo_put(h, "]]> : tensor<1x%" PRId32 "xi64>} : (", h->n_replicas);
    hlo_put_type(h, x);
    hlo_put(h, ") -> ");
    hlo_put_type(h, out);
    return out;
}
