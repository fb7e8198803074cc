/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of rows: different texts have different ones, and sets are compared as a plain search
 * compares them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

/* More names than stay in memory, made of a number each; every thousandth is damaged. */
enum { N_MANY = 2 * DATA_NAMES_IN_MEMORY + 5000 };

static void put_many(data_names *names) {
    for (size_t i = 0; i < N_MANY; i++) {
        bt_error failure = BT_ERROR_INIT;
        assert_int_equal(i % 1000 == 0
                             ? data_names_put_damaged(names, &failure)
                             : data_names_put(names, data_name_add(0, &i, sizeof i), &failure),
                         BT_OK);
    }
    assert_int_equal(names->n, N_MANY);
}

static uint64_t many_at(size_t i) {
    return i % 1000 == 0 ? 0 : (data_name_add(0, &i, sizeof i) & ~(uint64_t)1) | 2;
}

/* Every step-th of them is what was put. */
static void check_many(const data_names *names, size_t step) {
    uint64_t block[DATA_NAMES_BLOCK];
    for (size_t first = 0; first < names->n; first += 1000) { /* not in step with what is kept */
        const size_t n = names->n - first < 3000 ? names->n - first : 3000;
        bt_error     failure = BT_ERROR_INIT;
        assert_int_equal(data_names_read(names, first, n, block, &failure), BT_OK);
        for (size_t i = 0; i < n; i++) {
            assert_true(block[i] == many_at((first + i) * step));
        }
    }
}

static void check_halves(data_names *names) {
    bool *const is_used = calloc(N_MANY, sizeof *is_used);
    int64_t     n = 0;
    int64_t     first = 0;
    data_names  third = {0};
    bt_error    failure = BT_ERROR_INIT;
    for (size_t i = 0; i < N_MANY; i += 2) {
        is_used[i] = true;
    }
    assert_int_equal(data_names_keep(names, is_used, &failure), BT_OK);
    assert_int_equal(names->n, (N_MANY + 1) / 2);
    check_many(names, 2);
    for (size_t i = N_MANY - 9; i < N_MANY + 9; i++) { /* of them the even ones before the end */
        assert_int_equal(data_names_put(&third, data_name_add(0, &i, sizeof i), &failure), BT_OK);
    }
    assert_int_equal(data_names_shared(&third, names, &n, &first, &failure), BT_OK);
    assert_int_equal(n, 4 + (N_MANY % 2));
    data_names_deinit(&third);
    free(is_used);
}

/* Memory does not grow with them; in a folder without room it does, and nothing is lost. */
static void test_many(void **state) {
    (void)state;
    char before[512] = "";
    (void)snprintf(before, sizeof before, "%s", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "");
    for (int has_room = 1; has_room >= 0; has_room--) {
        data_names names = {0};
        if (!has_room) {
            assert_int_equal(setenv("TMPDIR", "/nowhere/at/all", 1), 0);
        }
        put_many(&names);
        assert_true((names.cap <= DATA_NAMES_IN_MEMORY) == (has_room != 0));
        check_many(&names, 1);
        check_halves(&names);
        data_names_deinit(&names);
    }
    assert_int_equal(before[0] != '\0' ? setenv("TMPDIR", before, 1) : unsetenv("TMPDIR"), 0);
}

/* The disk is full after the first part: that one comes back. */
static void test_full_disk(void **state) {
    (void)state;
    struct rlimit before;
    data_names    names = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit low = {(rlim_t)12 << 20, before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    put_many(&names);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(names.is_full);
    check_many(&names, 1);
    data_names_deinit(&names);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_differ), cmocka_unit_test(test_shared_as_searched),
        cmocka_unit_test(test_many), cmocka_unit_test(test_full_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
