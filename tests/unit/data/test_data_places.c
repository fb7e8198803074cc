/* SPDX-License-Identifier: Apache-2.0
 *
 * Places of rows: what was put in comes out, whatever the distances and the order of the questions,
 * from memory and from a file, in as few bits as promised; bytes that were changed never lead to a
 * place outside the input. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "data_places.h"

#include "test_support.h"

enum { MAX_ROWS = 700 };

/* Distances of a kind: like lengths, none, all alike, a few huge ones, and beyond 56 bits. */
static int64_t distance(unsigned kind, uint64_t draw) {
    switch (kind) {
    case 0:
        return 60 + (int64_t)(draw % 50);
    case 1:
        return 0;
    case 2:
        return 1000;
    case 3:
        return draw % 90 == 0 ? (int64_t)(draw % ((uint64_t)1 << 40)) : (int64_t)(draw % 300);
    default:
        return draw % 200 == 0 ? (int64_t)1 << 60 : (int64_t)(draw % 7);
    }
}

static uint64_t next_draw(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 20;
}

static void fill(data_places *places, int64_t *begins, size_t n, unsigned kind, uint64_t *seed) {
    int64_t at = kind == 0 ? 3 : 0;
    for (size_t i = 0; i < n; i++) {
        begins[i] = at;
        assert_ok(data_places_add(places, at, err));
        at += distance(kind, next_draw(seed));
    }
    begins[n] = at;
    assert_ok(data_places_finish(places, at, err));
}

static void check_all(data_places *places, const int64_t *begins, size_t n, uint64_t *seed) {
    for (size_t i = 0; i < 2 * n; i++) { /* in order, then in any */
        const size_t row = i < n ? i : (size_t)(next_draw(seed) % n);
        int64_t      begin = -1;
        int64_t      end = -1;
        assert_ok(data_places_get(places, (int64_t)row, &begin, &end, err));
        assert_int_equal(begin, begins[row]);
        assert_int_equal(end, begins[row + 1]);
    }
}

/* The same bytes in a file. */
static void put_in_file(const data_places *from, const char *path, data_places *to,
                        bt_file **file) {
    bt_str bytes = BT_STR_INIT;
    assert_ok(bt_str_append(&bytes, "ahead", err));
    assert_ok(bt_str_append_n(&bytes, bt_str_text(&from->groups), from->groups.len, err));
    assert_ok(bt_str_append_n(&bytes, bt_str_text(&from->distances), from->distances.len, err));
    assert_ok(bt_fs_replace(path, bytes.data, bytes.len, err));
    assert_ok(bt_fs_open(path, file, err));
    *to = (data_places){.n = from->n,
                        .end = from->end,
                        .file = *file,
                        .groups_at = 5,
                        .distances_at = 5 + (int64_t)from->groups.len,
                        .n_distance_bytes = (int64_t)from->distances.len,
                        .group = -1};
    bt_str_deinit(&bytes);
}

static void test_what_was_put_in(void **state) {
    static const size_t counts[] = {1, 2, 127, 128, 129, 255, 256, 257, 700};
    char               *path = NULL;
    uint64_t            seed = 5;
    (void)state;
    assert_ok(bt_fs_join(test_temp_dir(), "places", &path, err));
    for (unsigned kind = 0; kind < 5; kind++) {
        for (size_t c = 0; c < BT_ARRAY_LEN(counts); c++) {
            data_places places = {0};
            data_places kept = {0};
            bt_file    *file = NULL;
            int64_t     begins[MAX_ROWS + 1];
            fill(&places, begins, counts[c], kind, &seed);
            check_all(&places, begins, counts[c], &seed);
            put_in_file(&places, path, &kept, &file);
            check_all(&kept, begins, counts[c], &seed);
            bt_fs_close(file);
            data_places_deinit(&kept);
            data_places_deinit(&places);
        }
    }
    bt_free(path);
}

static void test_ten_bits_a_row(void **state) {
    (void)state;
    data_places places = {0};
    uint64_t    seed = 1;
    int64_t     at = 0;
    const int   n = 100000;
    for (int i = 0; i < n; i++) {
        assert_ok(data_places_add(&places, at, err));
        at += 30 + (int64_t)(next_draw(&seed) % 128);
    }
    assert_ok(data_places_finish(&places, at, err));
    const size_t n_bits = 8 * (places.groups.len + places.distances.len);
    assert_true(n_bits <= (size_t)n * 9);
    data_places_deinit(&places);
}

/* Each byte changed in turn: another place within the input, or a sentence; never more. */
static void test_changed_bytes(void **state) {
    (void)state;
    data_places places = {0};
    int64_t     begins[MAX_ROWS + 1];
    uint64_t    seed = 9;
    size_t      n_refused = 0;
    fill(&places, begins, 300, 3, &seed);
    for (size_t i = 0; i < places.groups.len + places.distances.len; i++) {
        bt_str *const part = i < places.groups.len ? &places.groups : &places.distances;
        char *const   byte = &part->data[i < places.groups.len ? i : i - places.groups.len];
        const char    was = *byte;
        *byte = (char)(was ^ (1 << i % 8));
        places.group = -1;
        for (int64_t row = 0; row < 300; row++) {
            int64_t         begin = -1;
            int64_t         end = -1;
            bt_error        err = BT_ERROR_INIT;
            const bt_status rc = data_places_get(&places, row, &begin, &end, &err);
            n_refused += rc == BT_OK ? 0 : 1;
            if (rc == BT_OK) {
                assert_true(0 <= begin && begin <= end);
            } else {
                assert_int_equal(rc, BT_E_FORMAT);
                assert_non_null(strstr(err.msg, "cannot be"));
            }
        }
        *byte = was;
    }
    assert_true(n_refused > 0);
    data_places_deinit(&places);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_in),
        cmocka_unit_test(test_ten_bits_a_row),
        cmocka_unit_test(test_changed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
