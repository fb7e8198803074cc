/* SPDX-License-Identifier: Apache-2.0
 *
 * The layer that writes StableHLO: what operations look like, and that shapes which do not fit are
 * named before a compiler sees them. */
#include <math.h>
#include <string.h>

#include "hlo_text.h"
#include "test_support.h"

static const int64_t two_three[] = {2, 3};
static const int64_t three_four[] = {3, 4};

static void test_operations_are_written(void **state) {
    (void)state;
    hlo    h;
    bt_str text = BT_STR_INIT;
    hlo_init(&h, 1);
    const hlo_value x = hlo_argument(&h, BT_DTYPE_F32, 2, two_three, 0);
    const hlo_value w = hlo_argument(&h, BT_DTYPE_F32, 2, three_four, -1);
    const hlo_value y = hlo_einsum(&h, "ab,bc->ca", x, w, BT_DTYPE_F32);
    const hlo_value results[] = {hlo_scaled(&h, x, 0.5), y};
    assert_int_equal(y.rank, 2);
    assert_int_equal(y.dim[0], 4);
    assert_int_equal(y.dim[1], 2);
    assert_ok(hlo_finish(&h, results, 2, &text, err));
    static const char *const parts[] = {
        "func.func public @main(%v0: tensor<2x3xf32> {tf.aliasing_output = 0 : i32}, %v1: "
        "tensor<3x4xf32>) -> (tensor<2x3xf32>, tensor<4x2xf32>) {",
        "stablehlo.dot_general %v0, %v1, contracting_dims = [1] x [0], precision = [HIGHEST, "
        "HIGHEST] : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>",
        "stablehlo.transpose",
        "stablehlo.constant dense<5.00000000000000000e-01> : tensor<f32>",
        "dims = [] : (tensor<f32>) -> tensor<2x3xf32>",
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(parts); i++) {
        if (strstr(bt_str_text(&text), parts[i]) == NULL) {
            fail_msg("no '%s' in\n%s", parts[i], bt_str_text(&text));
        }
    }
    bt_str_deinit(&text);
    hlo_deinit(&h);
}

static void test_products_find_their_axes(void **state) {
    (void)state;
    static const int64_t rqnd[] = {2, 5, 3, 4};
    static const int64_t rknd[] = {2, 7, 3, 4};
    hlo                  h;
    hlo_init(&h, 1);
    const hlo_value q = hlo_argument(&h, BT_DTYPE_BF16, 4, rqnd, -1);
    const hlo_value k = hlo_argument(&h, BT_DTYPE_BF16, 4, rknd, -1);
    const hlo_value s = hlo_einsum(&h, "rqnd,rknd->rnqk", q, k, BT_DTYPE_F32);
    assert_int_equal(s.rank, 4);
    assert_int_equal(s.dim[1], 3);
    assert_int_equal(s.dim[2], 5);
    assert_int_equal(s.dim[3], 7);
    assert_int_equal(s.dtype, BT_DTYPE_F32);
    assert_non_null(strstr(bt_str_text(&h.body), "batching_dims = [0, 2] x [0, 2], "
                                                 "contracting_dims = [3] x [3], precision = "
                                                 "[DEFAULT, DEFAULT]"));
    assert_int_equal(h.rc, BT_OK);
    hlo_deinit(&h);
}

/* One wrong use of an operation each. */
static void bad_add(hlo *h, hlo_value x, hlo_value w) {
    (void)hlo_add(h, x, w);
}
static void bad_dtype(hlo *h, hlo_value x, hlo_value w) {
    (void)w;
    (void)hlo_mul(h, x, hlo_fill_as(h, BT_DTYPE_BF16, x, 1));
}
static void bad_product(hlo *h, hlo_value x, hlo_value w) {
    (void)hlo_einsum(h, "ab,cb->ac", x, w, BT_DTYPE_F32);
}
static void bad_letters(hlo *h, hlo_value x, hlo_value w) {
    (void)hlo_einsum(h, "abc,cb->a", x, w, BT_DTYPE_F32);
}
static void bad_reshape(hlo *h, hlo_value x, hlo_value w) {
    (void)w;
    (void)hlo_shape(h, x, 7);
}
static void bad_spread(hlo *h, hlo_value x, hlo_value w) {
    (void)hlo_spread(h, hlo_reduce(h, "add", x, 1), w, 1);
}
static void bad_reduce(hlo *h, hlo_value x, hlo_value w) {
    (void)w;
    (void)hlo_reduce(h, "add", x, 4);
}
static void bad_slice(hlo *h, hlo_value x, hlo_value w) {
    (void)w;
    (void)hlo_slice(h, x, 1, 1, 4, 1);
}
static void bad_transpose(hlo *h, hlo_value x, hlo_value w) {
    (void)w;
    (void)hlo_transpose(h, x, (int32_t[]){1, 1});
}
static void bad_concatenate(hlo *h, hlo_value x, hlo_value w) {
    (void)hlo_concatenate(h, (hlo_value[]){x, w}, 2, 0);
}
static void bad_select(hlo *h, hlo_value x, hlo_value w) {
    (void)hlo_select(h, hlo_compare(h, "GT", w, w), x, x);
}
static void bad_scatter(hlo *h, hlo_value x, hlo_value w) {
    const hlo_value ids = hlo_zeros(h, BT_DTYPE_I32, HLO_DIMS(2));
    (void)hlo_scatter(h, "add", w, ids, x);
}
static void bad_row(hlo *h, hlo_value x, hlo_value w) {
    (void)w;
    (void)hlo_with_row(h, x, x, hlo_number(h, BT_DTYPE_I32, 0));
}
static void bad_loop(hlo *h, hlo_value x, hlo_value w) {
    hlo_loop loop;
    hlo_loop_begin(h, &loop, hlo_number(h, BT_DTYPE_I32, 2), &x, 1);
    hlo_loop_end(h, &loop, &w);
}
static void bad_number(hlo *h, hlo_value x, hlo_value w) {
    (void)x;
    (void)w;
    (void)hlo_number(h, BT_DTYPE_F32, (double)INFINITY);
}

static void test_shapes_that_do_not_fit_are_named(void **state) {
    (void)state;
    static const struct {
        void (*write)(hlo *h, hlo_value x, hlo_value w);
        const char *message;
    } rows[] = {
        {bad_add, "stablehlo.add: tensor<2x3xf32> does not fit tensor<3x4xf32>"},
        {bad_dtype, "stablehlo.multiply: tensor<2x3xf32> does not fit tensor<2x3xbf16>"},
        {bad_product, "product ab,cb->ac of tensor<2x3xf32> and tensor<3x4xf32>"},
        {bad_letters, "product abc,cb->a of"},
        {bad_reshape, "stablehlo.reshape: tensor<2x3xf32> does not fit tensor<7xf32>"},
        {bad_spread, "stablehlo.broadcast_in_dim: tensor<3xf32> does not fit"},
        {bad_reduce, "stablehlo.reduce: axes 0x4"},
        {bad_slice, "stablehlo.slice: [1, 4) of axis 1"},
        {bad_transpose, "stablehlo.transpose: tensor<2x3xf32>"},
        {bad_concatenate, "stablehlo.concatenate: tensor<3x4xf32>"},
        {bad_select, "stablehlo.select: tensor<3x4xi1> does not fit tensor<2x3xf32>"},
        {bad_scatter, "stablehlo.scatter: tensor<2x3xf32> does not fit tensor<3x4xf32>"},
        {bad_row, "stablehlo.dynamic_update_slice: tensor<2x3xf32>"},
        {bad_loop, "stablehlo.while: value 0 is tensor<2x3xf32> and becomes tensor<3x4xf32>"},
        {bad_number, "not finite"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        hlo    h;
        bt_str text = BT_STR_INIT;
        hlo_init(&h, 1);
        const hlo_value x = hlo_argument(&h, BT_DTYPE_F32, 2, two_three, -1);
        const hlo_value w = hlo_argument(&h, BT_DTYPE_F32, 2, three_four, -1);
        rows[i].write(&h, x, w);
        (void)hlo_add(&h, x, x); /* what follows does not hide the first failure */
        assert_fails(hlo_finish(&h, &x, 1, &text, err), BT_E_INTERNAL, rows[i].message);
        assert_int_equal(text.len, 0);
        bt_str_deinit(&text);
        hlo_deinit(&h);
    }
}

static void test_replicas_add_up(void **state) {
    (void)state;
    for (int32_t n = 1; n <= 2; n++) {
        hlo h;
        hlo_init(&h, n);
        const hlo_value x = hlo_argument(&h, BT_DTYPE_F32, 2, two_three, -1);
        const hlo_value sum = hlo_all_reduce(&h, x);
        assert_int_equal(sum.id == x.id, n == 1);
        assert_int_equal(strstr(bt_str_text(&h.body),
                                "replica_groups = dense<[[0, 1]]> : tensor<1x2xi64>") != NULL,
                         n == 2);
        hlo_deinit(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations_are_written),
        cmocka_unit_test(test_products_find_their_axes),
        cmocka_unit_test(test_shapes_that_do_not_fit_are_named),
        cmocka_unit_test(test_replicas_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
