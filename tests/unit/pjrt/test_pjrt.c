/* SPDX-License-Identifier: Apache-2.0
 *
 * The room pjrt on the CPU plug-in: hand-written programs, donated state over several steps, two
 * replicas. */
#include <string.h>

#include "test_pjrt_run.h"

#define NEED_PLUGIN()                                                                              \
    do {                                                                                           \
        if (test_pjrt_client() == NULL) {                                                          \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void shows_its_devices(void **state) {
    (void)state;
    NEED_PLUGIN();
    bt_pjrt_client *const client = test_pjrt_client();
    assert_string_equal(bt_pjrt_client_platform(client), "cpu");
    assert_int_equal(bt_pjrt_client_n_devices(client), TEST_PJRT_N_DEVICES);
    for (int32_t i = 0; i < TEST_PJRT_N_DEVICES; i++) {
        bt_pjrt_device device;
        assert_ok(bt_pjrt_client_device(client, i, &device, err));
        assert_string_equal(device.kind, "cpu");
    }
}

/* a product, a sum of integers, and unsigned ones that wrap */
static const char three_types[] =
    "module @three { func.func public @main(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>,\n"
    "    %i: tensor<4xi32>, %u: tensor<ui32>) -> (tensor<2x2xf32>, tensor<4xi32>, tensor<ui32>) {\n"
    "  %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0]\n"
    "      : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>\n"
    "  %1 = stablehlo.add %i, %i : tensor<4xi32>\n"
    "  %2 = stablehlo.multiply %u, %u : tensor<ui32>\n"
    "  return %0, %1, %2 : tensor<2x2xf32>, tensor<4xi32>, tensor<ui32> } }\n";

static void runs_floats_and_integers(void **state) {
    (void)state;
    NEED_PLUGIN();
    float                 a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 0, 1, 2, 3}, product[4] = {0};
    int32_t               i[] = {-3, 0, 7, 1 << 20}, twice[4] = {0};
    uint32_t              u = 0xCD9E8D57u, square = 0;
    const test_pjrt_array args[] = {TEST_PJRT_F32(a, 2, 2, 3), TEST_PJRT_F32(b, 2, 3, 2),
                                    TEST_PJRT_I32(i, 1, 4), TEST_PJRT_U32(&u, 0, 0)};
    const test_pjrt_array results[] = {TEST_PJRT_F32(product, 2, 2, 2), TEST_PJRT_I32(twice, 1, 4),
                                       TEST_PJRT_U32(&square, 0, 0)};
    test_pjrt_run(three_types, args, 4, results, 3);
    const float   want[] = {7, 11, 16, 23};
    const int32_t want_twice[] = {-6, 0, 14, 1 << 21};
    test_close_f32(product, want, 4, 0, 0, "product");
    assert_memory_equal(twice, want_twice, sizeof twice);
    assert_int_equal(square, 0xCD9E8D57u * 0xCD9E8D57u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_its_devices),
        cmocka_unit_test(runs_floats_and_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
