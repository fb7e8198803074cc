/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-checkpoint diff: tensors that only one of two checkpoints has, and tensors whose type,
 * shape or bits differ, one line each; nothing when they are the same. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "tensor_source.h"

static bool same_kind(const source_tensor *a, const source_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0);
}

/* "kind\tname\t..." */
static bt_status put_kinds(const source_tensor *a, const source_tensor *b, bt_str *out,
                           bt_error *err) {
    bt_str    left = BT_STR_INIT;
    bt_str    right = BT_STR_INIT;
    bt_status rc = BT_OK;
    BT_CHECK(source_describe(a, &left, err));
    BT_CHECK(source_describe(b, &right, err));
    left.data[left.len - 1] = '\0'; /* without its LF */
    /* the second description without its name */
    BT_CHECK(bt_str_appendf(out, err, "kind\t%s\t%s", left.data, strchr(right.data, '\t') + 1));
done:
    bt_str_deinit(&left);
    bt_str_deinit(&right);
    return rc;
}

static double as_double(const uint8_t *bytes, bt_dtype dtype) {
    if (dtype == BT_DTYPE_F32) {
        float value = 0;
        memcpy(&value, bytes, sizeof value);
        return (double)value;
    }
    double value = 0;
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* "values\tname\tN of M differ\tlargest difference X" */
static bt_status put_values(const source_tensor *tensor, const uint8_t *a, const uint8_t *b,
                            bt_str *out, bool *differ, bt_error *err) {
    const size_t size = bt_dtype_size(tensor->dtype);
    const bool   is_float = tensor->dtype == BT_DTYPE_F32 || tensor->dtype == BT_DTYPE_F64;
    int64_t      n_differ = 0;
    double       largest = 0;
    char         text[BT_F64_TEXT_MAX];
    for (size_t i = 0; i < (size_t)tensor->n_elements; i++) {
        if (memcmp(a + i * size, b + i * size, size) == 0) {
            continue;
        }
        n_differ++;
        if (is_float) {
            const double d = fabs(as_double(a + i * size, tensor->dtype) -
                                  as_double(b + i * size, tensor->dtype));
            largest = d > largest || isnan(d) ? d : largest;
        }
    }
    if (n_differ == 0) {
        return BT_OK;
    }
    *differ = true;
    BT_TRY(bt_str_appendf(out, err, "values\t%s\t%" PRId64 " of %" PRId64 " differ", tensor->name,
                          n_differ, tensor->n_elements));
    if (is_float) {
        BT_TRY(bt_str_appendf(out, err, "\tlargest difference %s", bt_f64_repr(largest, text)));
    }
    return bt_str_append_char(out, '\n', err);
}

static bt_status diff_numbers(tensor_source *a, size_t i, tensor_source *b, size_t k, bt_str *out,
                              bool *differ, bt_error *err) {
    const source_tensor tensor = source_tensor_at(a, i);
    void               *left = NULL;
    void               *right = NULL;
    bt_status           rc = BT_OK;
    BT_CHECK(source_read(a, i, &left, err));
    BT_CHECK(source_read(b, k, &right, err));
    BT_CHECK(put_values(&tensor, left, right, out, differ, err));
done:
    bt_free(left);
    bt_free(right);
    return rc;
}

static bt_status diff_strings(tensor_source *a, size_t i, tensor_source *b, size_t k, bt_str *out,
                              bool *differ, bt_error *err) {
    const source_tensor tensor = source_tensor_at(a, i);
    bt_bytes           *left = NULL;
    bt_bytes           *right = NULL;
    int64_t             n_differ = 0;
    bt_status           rc = BT_OK;
    BT_CHECK(source_read_strings(a, i, &left, err));
    BT_CHECK(source_read_strings(b, k, &right, err));
    for (int64_t e = 0; e < tensor.n_elements; e++) {
        n_differ += left[e].n_bytes != right[e].n_bytes ||
                    memcmp(left[e].data, right[e].data, left[e].n_bytes) != 0;
    }
    if (n_differ > 0) {
        *differ = true;
        BT_CHECK(bt_str_appendf(out, err, "values\t%s\t%" PRId64 " of %" PRId64 " differ\n",
                                tensor.name, n_differ, tensor.n_elements));
    }
done:
    bt_free(left);
    bt_free(right);
    return rc;
}

static bt_status put_only(const char *which, const source_tensor *tensor, bt_str *out, bool *differ,
                          bt_error *err) {
    *differ = true;
    BT_TRY(bt_str_appendf(out, err, "only in %s\t", which));
    return source_describe(tensor, out, err);
}

/* Both lists are in order of name. */
bt_status command_diff(tensor_source *a, tensor_source *b, bt_str *out, bool *differ,
                       bt_error *err) {
    size_t i = 0;
    size_t k = 0;
    *differ = false;
    while (i < source_n_tensors(a) || k < source_n_tensors(b)) {
        source_tensor left = {0};
        source_tensor right = {0};
        int           order = 0;
        if (i < source_n_tensors(a)) {
            left = source_tensor_at(a, i);
        }
        if (k < source_n_tensors(b)) {
            right = source_tensor_at(b, k);
        }
        order = left.name == NULL ? 1 : right.name == NULL ? -1 : strcmp(left.name, right.name);
        if (order < 0) {
            BT_TRY(put_only("A", &left, out, differ, err));
            i++;
        } else if (order > 0) {
            BT_TRY(put_only("B", &right, out, differ, err));
            k++;
        } else {
            if (!same_kind(&left, &right)) {
                *differ = true;
                BT_TRY(put_kinds(&left, &right, out, err));
            } else if (left.dtype == BT_DTYPE_STRING) {
                BT_TRY(diff_strings(a, i, b, k, out, differ, err));
            } else {
                BT_TRY(diff_numbers(a, i, b, k, out, differ, err));
            }
            i++;
            k++;
        }
    }
    return BT_OK;
}
