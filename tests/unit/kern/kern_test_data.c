/* SPDX-License-Identifier: Apache-2.0
 *
 * See kern_test_data.h. */
#include "kern_test_data.h"
#include "test_random.h"

#include <stdio.h>

const size_t data_sizes[] = {0,  1,  2,  3,  5,  7,  8,  9,  15, 16,  17,
                             23, 31, 32, 33, 47, 48, 49, 63, 65, 127, 1009};
const size_t data_n_sizes = BT_ARRAY_LEN(data_sizes);

static const float guard = -12345.0F;

static void place(data *x, size_t n, size_t offset) {
    assert_true(n + offset <= DATA_MAX);
    for (size_t i = 0; i < DATA_MAX + DATA_GUARD; i++) {
        x->room[i] = guard;
    }
    x->n = n;
    x->f = x->room + offset;
}

void data_fill(data *x, size_t n, size_t offset, uint64_t seed, double size) {
    place(x, n, offset);
    const bt_rng_key key = bt_rng_key_make(seed, n, 0, BT_SITE_INIT);
    for (size_t i = 0; i < n; i++) {
        x->f[i] = (float)(test_normal(key, i) * size);
        x->d[i] = (double)x->f[i];
    }
}

void data_constant(data *x, size_t n, size_t offset, double value) {
    place(x, n, offset);
    for (size_t i = 0; i < n; i++) {
        x->f[i] = (float)value;
        x->d[i] = value;
    }
}

void data_check(const data *x, double abs_tol, double rel_tol, const char *isa, const char *op) {
    char what[128];
    (void)snprintf(what, sizeof what, "%s %s n=%zu", isa, op, x->n);
    for (size_t i = 0; i < x->n; i++) {
        const double got = (double)x->f[i];
        test_close_f64(&got, &x->d[i], 1, abs_tol, rel_tol, what);
    }
    for (size_t i = 0; i < DATA_GUARD; i++) {
        if (x->f[x->n + i] != guard) {
            fail_msg("%s: wrote %zu after the end", what, i);
        }
    }
}

void for_each_isa(isa_test test) {
    for (int i = 0; bt_kern_isa(i) != NULL; i++) {
        const char *const isa = bt_kern_isa(i);
        if (!bt_kern_has(isa)) {
            print_message("not on this machine: %s\n", isa);
            continue;
        }
        bt_kern kern;
        assert_ok(bt_kern_select(isa, &kern, err));
        assert_string_equal(kern.isa, isa);
        test(&kern);
    }
}
