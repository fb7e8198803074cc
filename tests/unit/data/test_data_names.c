/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of rows: different texts have different ones, and sets are compared as a plain search
 * compares them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data_names.h"

#include "test_support.h"

static uint64_t name_of(const char *a, const char *b) {
    return data_name_add(data_name_add(0, a, strlen(a)), b, strlen(b));
}

static void test_names_differ(void **state) {
    (void)state;
    static const char text[] = "abcdefghijklmnopqrstuvwxyz";
    uint64_t          seen[sizeof text * sizeof text];
    size_t            n = 0;
    assert_true(name_of("ab", "c") != name_of("a", "bc"));
    assert_true(name_of("", "a") != name_of("a", ""));
    assert_true(name_of("a", "") != data_name_add(0, "a", 1));
    for (size_t begin = 0; begin + 1 < sizeof text; begin++) { /* all its parts, and "" */
        for (size_t end = begin == 0 ? 0 : begin + 1; end < sizeof text; end++) {
            seen[n++] = data_name_add(0, text + begin, end - begin);
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_true(seen[i] != seen[k]);
        }
    }
    char other[64] = "";
    for (size_t i = 0; i + 1 < sizeof text; i++) { /* each byte counts */
        memcpy(other, text, sizeof text);
        other[i] ^= 1;
        assert_true(data_name_add(0, other, 26) != data_name_add(0, text, 26));
    }
}

/* Sets of small numbers, so that many are shared, some names stand twice and some are damaged. */
static void test_shared_as_searched(void **state) {
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        bt_error     failure = BT_ERROR_INIT;
        data_names   sets[2] = {{0}, {0}};
        int          values[2][200];
        const size_t n[2] = {round % 100, (round * 7) % 200};
        int64_t      want = 0;
        int64_t      want_first = -1;
        int64_t      got = -1;
        int64_t      got_first = 0;
        srand(round);
        for (size_t s = 0; s < 2; s++) {
            for (size_t i = 0; i < n[s]; i++) {
                values[s][i] = rand() % 150;
                assert_int_equal(
                    values[s][i] == 0
                        ? data_names_put_damaged(&sets[s], &failure)
                        : data_names_put(&sets[s],
                                         data_name_add(0, &values[s][i], sizeof values[s][i]),
                                         &failure),
                    BT_OK);
            }
        }
        for (size_t i = 0; i < n[0]; i++) {
            size_t k = 0;
            while (k < n[1] && (values[0][i] == 0 || values[1][k] != values[0][i])) {
                k++;
            }
            want_first = k < n[1] && want == 0 ? (int64_t)i : want_first;
            want += k < n[1] ? 1 : 0;
        }
        assert_int_equal(data_names_shared(&sets[0], &sets[1], &got, &got_first, &failure), BT_OK);
        assert_int_equal(got, want);
        assert_int_equal(got_first, want_first);
        data_names_deinit(&sets[0]);
        data_names_deinit(&sets[1]);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_differ),
                                              cmocka_unit_test(test_shared_as_searched)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
