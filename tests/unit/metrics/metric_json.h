/* SPDX-License-Identifier: Apache-2.0
 *
 * Examples of the metrics' goldens: arrays of JSON. */
#ifndef BT_TEST_METRIC_JSON_H
#define BT_TEST_METRIC_JSON_H

#include "bt/base/alloc.h"
#include "test_tensors.h"

/* The caller frees them by bt_free. */
static inline float *floats_of(const json_t *array) {
    const size_t n = json_array_size(array);
    float *const out = bt_alloc_array(n + 1, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)json_number_value(json_array_get(array, i));
    }
    return out;
}

#endif
