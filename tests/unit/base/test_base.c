/* SPDX-License-Identifier: Apache-2.0
 *
 * base: sizes, strings, numbers, map, reader, crc32c, Philox, permutation, arena. */
#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/crc32c.h"
#include "bt/base/half.h"
#include "bt/base/json_text.h"
#include "bt/base/map.h"
#include "bt/base/memory.h"
#include "bt/base/number.h"
#include "bt/base/rng.h"
#include "bt/base/signed_url.h"
#include "bt/base/size.h"
#include "bt/base/str.h"
#include "test_random.h"
#include "test_support.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void test_sizes_are_checked(void **state) {
    (void)state;
    size_t  n = 7;
    int64_t i = 7;
    assert_false(bt_size_mul(SIZE_MAX, 2, &n));
    assert_int_equal(n, 7);
    assert_true(bt_size_mul(6, 7, &n));
    assert_int_equal(n, 42);
    assert_false(bt_size_add(SIZE_MAX, 1, &n));
    assert_false(bt_i64_mul(INT64_MAX, 2, &i));
    assert_false(bt_i64_mul(-1, 2, &i));
    assert_true(bt_i64_mul(INT64_C(1) << 31, 4, &i));
    assert_null(bt_alloc_array(SIZE_MAX / 2, 4));
}

static void test_errors_carry_context(void **state) {
    (void)state;
    bt_error err = BT_ERROR_INIT;
    assert_int_equal(BT_FAIL(&err, BT_E_FORMAT, "record %d", 7), BT_E_FORMAT);
    assert_int_equal(bt_error_prefix(&err, "file %s", "x"), BT_E_FORMAT);
    assert_string_equal(err.msg, "file x: record 7");
    assert_int_equal(BT_FAIL(NULL, BT_E_IO, "nobody listens"), BT_E_IO);
    static const struct {
        bt_status status;
        int       exit_code;
    } rows[] = {{BT_OK, 0},          {BT_E_CONFIG, 2},      {BT_E_FORMAT, 3},  {BT_E_IO, 3},
                {BT_E_NOMEM, 4},     {BT_E_RESOURCE, 4},    {BT_E_BACKEND, 5}, {BT_E_DIVERGED, 6},
                {BT_E_INTERNAL, 70}, {BT_E_INTERRUPTED, 75}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        assert_int_equal(bt_status_exit_code(rows[i].status), rows[i].exit_code);
    }
}

/* Also where memory comes again that somebody wrote; the rest of it stays the caller's. */
static void test_untouched_memory_is_zeros(void **state) {
    static const size_t sizes[] = {1, 100, 5000, 70000, 3000001, 9000003};
    (void)state;
    assert_null(bt_calloc_untouched(SIZE_MAX / 2, 4));
    for (size_t i = 0; i < 2 * BT_ARRAY_LEN(sizes); i++) {
        const size_t         n = sizes[i / 2];
        unsigned char *const x = bt_calloc_untouched(n, 1);
        assert_non_null(x);
        for (size_t k = 0; k < n; k++) {
            assert_true(x[k] == 0);
        }
        memset(x, 0xA5, n);
        bt_alloc_release(x + n / 3, n / 3);
        for (size_t k = 0; k < n; k++) {
            assert_true(x[k] == 0xA5 || (x[k] == 0 && k >= n / 3 && k < n / 3 + n / 3));
        }
        bt_free(x);
    }
}

static void test_allocation_can_be_made_to_fail(void **state) {
    (void)state;
    bt_alloc_fail_at(2, false);
    void *const a = bt_alloc(8);
    void *const b = bt_alloc(8);
    void *const c = bt_alloc(8);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    bt_alloc_fail_at(1, true);
    assert_null(bt_alloc(8));
    assert_null(bt_alloc(8));
    bt_alloc_fail_at(0, false);
    bt_free(a);
    bt_free(c);
}

static void test_numbers_print_as_python_does(void **state) {
    (void)state;
    static const struct {
        double      value;
        const char *text;
    } rows[] = {{0.1, "0.1"},
                {1e-5, "1e-05"},
                {1e-4, "0.0001"},
                {1e16, "1e+16"},
                {1e15, "1000000000000000.0"},
                {3.0, "3.0"},
                {-0.0, "-0.0"},
                {1.0 / 3.0, "0.3333333333333333"},
                {1.5e-7, "1.5e-07"},
                {123456.789, "123456.789"},
                {5e-324, "5e-324"},
                {INFINITY, "inf"},
                {NAN, "nan"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char buffer[BT_F64_TEXT_MAX];
        assert_string_equal(bt_f64_repr(rows[i].value, buffer), rows[i].text);
    }
    char buffer[BT_F64_TEXT_MAX];
    assert_string_equal(bt_f32_repr(0.35f, buffer), "0.35");
    assert_string_equal(bt_f32_repr(1.0992244f, buffer), "1.0992244");
}

/* At each place of several blocks, and only what is not finite: the largest number is. */
static void test_what_is_not_finite_is_found(void **state) {
    (void)state;
    enum { N = 2100 };
    static float       values[N];
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int64_t i = 0; i < N; i++) {
        values[i] = i % 3 == 0 ? FLT_MAX : i % 3 == 1 ? -FLT_MAX : 1e-45F;
    }
    assert_int_equal(bt_f32_find_odd(values, N), -1);
    assert_int_equal(bt_f32_find_odd(values, 0), -1);
    for (int64_t i = 0; i < N; i++) {
        const float was = values[i];
        values[i] = odd[i % 3];
        assert_int_equal(bt_f32_find_odd(values, N), i);
        assert_int_equal(bt_f32_find_odd(values, i), -1);
        values[i] = was;
    }
}

static void test_numbers_parse_strictly(void **state) {
    (void)state;
    int64_t i = 0;
    double  f = 0;
    assert_true(bt_parse_i64("-12", &i));
    assert_int_equal(i, -12);
    assert_false(bt_parse_i64("12x", &i));
    assert_false(bt_parse_i64("", &i));
    assert_false(bt_parse_i64(" 1", &i));
    assert_false(bt_parse_i64("99999999999999999999", &i));
    assert_true(bt_parse_f64("1e-3", &f));
    assert_true(f == 1e-3);
    assert_false(bt_parse_f64("1e-3,", &f));
}

static void test_strings_grow(void **state) {
    (void)state;
    bt_str s = BT_STR_INIT;
    assert_string_equal(bt_str_text(&s), "");
    for (int i = 0; i < 100; i++) {
        assert_ok(bt_str_appendf(&s, err, "%d,", i));
    }
    assert_true(bt_str_starts_with(bt_str_text(&s), "0,1,2,"));
    assert_true(bt_str_ends_with(bt_str_text(&s), ",99,"));
    assert_true(bt_str_equal_nocase("MNLI", "mnli"));
    assert_false(bt_str_equal_nocase("MNLI", "mnl"));
    bt_str_deinit(&s);
}

/* Its own maximum, and everybody's; what is refused leaves the text as it was. */
static void test_strings_have_a_maximum(void **state) {
    (void)state;
    bt_error       fault = BT_ERROR_INIT;
    bt_str         s = BT_STR_INIT_MAX(10);
    const uint64_t calls = bt_alloc_count();
    assert_int_equal(bt_str_append(&s, "12345678901", &fault), BT_E_FORMAT);
    assert_string_equal(fault.msg, "a text of more than 10 bytes");
    assert_int_equal(bt_alloc_count(), calls);
    for (int round = 0; round < 2; round++) {
        assert_ok(bt_str_append(&s, "1234567", err));
        assert_int_equal(bt_str_appendf(&s, &fault, "%d", 8901), BT_E_FORMAT);
        assert_ok(bt_str_appendf(&s, err, "%d", 89));
        assert_ok(bt_str_append_char(&s, '0', err));
        assert_true(s.cap > 11); /* there would be room */
        assert_int_equal(bt_str_append_char(&s, '1', &fault), BT_E_FORMAT);
        assert_string_equal(bt_str_text(&s), "1234567890");
        bt_str_clear(&s);
    }
    bt_free(bt_str_take(&s));
    assert_int_equal(bt_str_append(&s, "12345678901", &fault), BT_E_FORMAT);
    bt_str_deinit(&s);
    s = (bt_str)BT_STR_INIT;
    assert_ok(bt_str_append(&s, "x", err));
    assert_int_equal(bt_str_append_n(&s, "", BT_STR_MAX_BYTES, &fault), BT_E_NOMEM);
    assert_int_equal(bt_str_append_n(&s, "", SIZE_MAX, &fault), BT_E_NOMEM);
    assert_string_equal(bt_str_text(&s), "x");
    bt_str_deinit(&s);
}

static void test_lists_for_messages(void **state) {
    (void)state;
    static const char *const words[] = {"a", "b c", "", "a"};
    char                     list[32] = "";
    char                     small[4] = "";
    size_t                   first = 0;
    size_t                   second = 0;
    bt_list_all(list, sizeof list, words, 3);
    assert_string_equal(list, "'a', 'b c', ''");
    assert_false(bt_list_add(list, sizeof list, "twelve bytes"));
    assert_string_equal(list, "'a', 'b c', '', ...");
    assert_false(bt_list_add(list, sizeof list, "x"));
    assert_false(bt_list_add(small, sizeof small, "a"));
    assert_string_equal(small, "");
    assert_ok(bt_find_twice(words, 4, &first, &second, err));
    assert_true(first == 0 && second == 3);
    assert_ok(bt_find_twice(words, 3, &first, &second, err));
    assert_int_equal(second, 3);
}

static void test_map_finds_what_was_put(void **state) {
    (void)state;
    bt_map *map = NULL;
    assert_ok(bt_map_create(&map, 0, err));
    for (int64_t i = 0; i < 5000; i++) {
        char      key[32];
        const int n = snprintf(key, sizeof key, "key/%" PRId64, i * 7919 % 5000);
        assert_ok(bt_map_put(map, key, (size_t)n, i, err));
    }
    assert_ok(bt_map_put(map, "key/1", 5, -1, err));
    assert_int_equal(bt_map_size(map), 5000);
    int64_t value = 0;
    assert_true(bt_map_get(map, "key/1", 5, &value));
    assert_int_equal(value, -1);
    assert_true(bt_map_get(map, "key/0", 5, &value));
    assert_int_equal(value, 0);
    assert_false(bt_map_get(map, "key/", 4, &value));
    bt_map_free(map);
}

static void test_reader_never_passes_the_end(void **state) {
    (void)state;
    const uint8_t bytes[] = {0xac, 0x02, 1, 2, 3, 4, 0x80};
    bt_reader     r = bt_reader_make(bytes, sizeof bytes);
    uint64_t      v = 0;
    uint32_t      w = 0;
    assert_true(bt_read_varint(&r, &v));
    assert_int_equal(v, 300);
    assert_true(bt_read_u32le(&r, &w));
    assert_int_equal(w, 0x04030201);
    assert_false(bt_read_varint(&r, &v)); /* unfinished */
    assert_int_equal(bt_reader_left(&r), 1);
    assert_false(bt_read_u64le(&r, &v));
    const uint8_t endless[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1};
    r = bt_reader_make(endless, sizeof endless);
    assert_false(bt_read_varint(&r, &v));
    uint8_t out[10];
    assert_int_equal(bt_store_varint(out, 300), 2);
    assert_memory_equal(out, bytes, 2);
}

static void test_signatures_are_hidden(void **state) {
    static const struct {
        const char *text;
        const char *shown; /* NULL: the same */
    } rows[] = {
        {"https://h/a?X-Amz-Signature=abc&X-Amz-Date=1",
         "https://h/a?X-Amz-Signature=...&X-Amz-Date=1"},
        {"https://h/a?v=1&x-goog-signature=ab%2F#sig=qqqq",
         "https://h/a?v=1&x-goog-signature=...#sig=..."},
        {"cannot read https://h/a?sig=abc: no such file",
         "cannot read https://h/a?sig=...: no such file"},
        {"'https://h/a?token=abc' and (https://h/b?sig=x=y+z/==).",
         "'https://h/a?token=...' and (https://h/b?sig=...)."},
        {"https://h/a?AWSAccessKeyId=AK12&Expires=5&Signature=b,cd",
         "https://h/a?AWSAccessKeyId=...&Expires=5&Signature=..."},
        {"https://h/a?sig=a", "https://h/a?sig=*"},
        {"https://h/a?sig=...&token=abcd", "https://h/a?sig=...&token=..."},
        {"https://h/a?se=1;sig=abcd", "https://h/a?se=1;sig=..."},
        {"https://h/sig=abc?version=5&design=x&sig&sig=", NULL},
        {"sig=abc, no URL", NULL},
        {"gs://b/a", NULL},
        {"://?", NULL},
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char        text[200];
        bool        is_hidden = false;
        const char *want = rows[i].shown != NULL ? rows[i].shown : rows[i].text;
        (void)snprintf(text, sizeof text, "%s", rows[i].text);
        assert_int_equal(bt_has_signature(text, &is_hidden), rows[i].shown != NULL);
        bt_hide_signatures(text);
        assert_string_equal(text, want);
        bt_hide_signatures(text);
        assert_string_equal(text, want);
        assert_true(bt_equal_but_signatures(text, rows[i].text));
    }
    bool is_hidden = false;
    assert_true(bt_has_signature("https://h/a?v=1&sig=...", &is_hidden) && is_hidden);
    assert_true(bt_has_signature("https://h/a?v=1&sig=abc", &is_hidden) && !is_hidden);
    assert_false(bt_equal_but_signatures("https://h/a?sig=1", "https://h/b?sig=1"));
    assert_false(bt_equal_but_signatures("https://h/a?sig=1&v=1", "https://h/a?sig=2&v=2"));
}

static void test_crc32c_is_castagnoli(void **state) {
    (void)state;
    /* qemu-user, told which processor it is; one of x86-64 without SSE4.2 runs none of our tests */
#if defined(__x86_64__)
    assert_true(bt_crc32c_has_instruction());
#else
    assert_true(!test_is_emulated() || bt_crc32c_has_instruction());
#endif
    /* RFC 3720 B.4 */
    uint8_t zeros[32] = {0};
    assert_int_equal(bt_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(bt_crc32c(0, "123456789", 9), 0xe3069283);
    uint8_t bytes[1031];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + 7);
    }
    for (size_t n = 0; n < 67; n++) {
        assert_int_equal(bt_crc32c(5, bytes + n, sizeof bytes - n),
                         bt_crc32c_table(5, bytes + n, sizeof bytes - n));
    }
}

static void test_philox_matches_known_answers(void **state) {
    (void)state;
    /* Random123 kat_vectors: philox4x32 10 with all words ff */
    const bt_rng_key key = {.key = {0xffffffff, 0xffffffff}, .stream = {0xffffffff, 0xffffffff}};
    uint32_t         out[4];
    bt_rng_block(key, UINT64_MAX, out);
    const uint32_t want[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(out, want, sizeof want);
    const bt_rng_key zero = {{0, 0}, {0, 0}};
    bt_rng_block(zero, 0, out);
    const uint32_t want_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(out, want_zero, sizeof want_zero);
}

static void test_random_numbers_have_their_moments(void **state) {
    (void)state;
    const bt_rng_key key = bt_rng_key_make(1, 2, 3, 1);
    const int        n = 200000;
    double           sum = 0;
    double           sum_sq = 0;
    double           sum_u = 0;
    for (int i = 0; i < n; i++) {
        const double z = test_normal(key, (uint64_t)i);
        assert_true(fabs(z) < 2.0);
        sum += z;
        sum_sq += z * z;
        sum_u += (double)bt_rng_uniform(key, (uint64_t)i);
    }
    assert_true(fabs(sum / n) < 0.01);
    assert_true(fabs(sqrt(sum_sq / n) - 0.8796) < 0.01); /* std of N(0,1) cut at 2 */
    assert_true(fabs(sum_u / n - 0.5) < 0.005);
}

static void test_permutation_is_a_bijection(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 17, 64, 65, 1000, 4097};
    static uint8_t        seen[4097];
    for (size_t s = 0; s < BT_ARRAY_LEN(sizes); s++) {
        memset(seen, 0, sizeof seen);
        uint64_t n_fixed = 0;
        for (uint64_t i = 0; i < sizes[s]; i++) {
            const uint64_t j = bt_rng_permute(bt_rng_key_make(9, s, 0, 2), sizes[s], i);
            assert_true(j < sizes[s]);
            assert_int_equal(seen[j], 0);
            seen[j] = 1;
            n_fixed += j == i;
        }
        assert_true(sizes[s] < 64 || n_fixed < 10);
    }
}

/* A block holds what was planned; twice as many bytes come with the next one. */
static void test_arena_seldom_calls_the_heap(void **state) {
    (void)state;
    bt_arena       arena;
    const uint64_t calls = bt_alloc_count();
    assert_ok(bt_arena_init(&arena, 1024, err));
    for (int i = 0; i < 7 * 8; i++) {
        unsigned char *const p = bt_arena_alloc(&arena, 100); /* 128 of the block */
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, i, 100);
        assert_int_equal(bt_alloc_count() - calls, i < 8 ? 1 : i < 24 ? 2 : 3);
    }
    bt_arena_reset(&arena); /* the newest block stays, and does for as much again */
    const uint64_t before_again = bt_alloc_count();
    for (int i = 0; i < 8; i++) {
        memset(bt_arena_alloc(&arena, 100), 0xff, 100);
    }
    assert_int_equal(bt_alloc_count(), before_again);
    assert_null(bt_arena_alloc(&arena, SIZE_MAX));
    assert_null(bt_arena_alloc_array(&arena, SIZE_MAX / 2, 3));
    bt_arena_deinit(&arena);
}

static void test_json_escapes(void **state) {
    static const struct {
        uint32_t    c;
        const char *utf8; /* NULL: no byte */
        const char *ascii;
    } rows[] = {
        {0, "\\u0000", "\\u0000"},
        {'\n', "\\u000a", "\\n"},
        {'\r', "\\u000d", "\\r"},
        {'\t', "\\u0009", "\\t"},
        {'\b', "\\u0008", "\\b"},
        {'\f', "\\u000c", "\\f"},
        {0x1f, "\\u001f", "\\u001f"},
        {' ', " ", " "},
        {'"', "\\\"", "\\\""},
        {'\\', "\\\\", "\\\\"},
        {'/', "/", "/"},
        {'~', "~", "~"},
        {0x7f, "\x7f", "\\u007f"},
        {0x80, "\x80", "\\u0080"},
        {0xff, "\xff", "\\u00ff"},
        {0xfffd, NULL, "\\ufffd"},
        {0xffff, NULL, "\\uffff"},
        {0x10000, NULL, "\\ud800\\udc00"},
        {0x1f600, NULL, "\\ud83d\\ude00"},
        {0x10ffff, NULL, "\\udbff\\udfff"},
    };
    bt_str s = BT_STR_INIT;
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        char   out[BT_JSON_CHAR_MAX];
        size_t n = bt_json_char(out, rows[i].c, BT_JSON_ASCII);
        assert_int_equal(n, strlen(rows[i].ascii));
        assert_memory_equal(out, rows[i].ascii, n);
        if (rows[i].utf8 != NULL) {
            n = bt_json_char(out, rows[i].c, BT_JSON_UTF8);
            assert_int_equal(n, strlen(rows[i].utf8));
            assert_memory_equal(out, rows[i].utf8, n);
        }
    }
    assert_ok(bt_str_append_json(&s, "a\"\n\xc3\xa9", err));
    assert_string_equal(bt_str_text(&s), "\"a\\\"\\u000a\xc3\xa9\"");
    bt_str_deinit(&s);
}

/* The least of the machine and of the control groups, of both versions, that the process is in. */
static void test_memory_that_is_left_is_found(void **state) {
    (void)state;
    const char *const root = test_temp_dir();
    assert_true(bt_memory_available("") > 1 << 20);
    assert_true(bt_memory_available(root) == UINT64_MAX);
    test_write_below(root, "proc/meminfo",
                     "MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    800 kB\n");
    assert_int_equal(bt_memory_available(root), 800 * 1024);
    test_write_below(root, "proc/self/cgroup", "0::/a/b\n");
    assert_int_equal(bt_memory_available(root), 800 * 1024);
    test_write_below(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
    test_write_below(root, "sys/fs/cgroup/a/b/memory.current", "5000\n");
    assert_int_equal(bt_memory_available(root), 800 * 1024);
    test_write_below(root, "sys/fs/cgroup/a/memory.max", "700000\n");
    test_write_below(root, "sys/fs/cgroup/a/memory.current", "300000\n");
    assert_int_equal(bt_memory_available(root), 400000);
    test_write_below(
        root, "sys/fs/cgroup/a/memory.stat",
        "anon 100000\nfile 200000\nshmem 50000\ninactive_file 90000\nactive_file 40000\n"
        "slab_reclaimable 20000\n");
    assert_int_equal(bt_memory_available(root), 550000); /* shared memory stays */
    test_write_below(root, "proc/self/cgroup", "4:cpu,cpuacct:/x\n3:memory:/not/there\n");
    test_write_below(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "90000\n");
    test_write_below(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "91000\n");
    assert_int_equal(bt_memory_available(root), 0);
    test_write_below(
        root, "sys/fs/cgroup/memory/memory.stat",
        "cache 9\ninactive_file 9\ntotal_inactive_file 2000\ntotal_active_file 3000\n");
    assert_int_equal(bt_memory_available(root), 4000);
    test_write_below(root, "proc/self/cgroup", "4:notmemory,memory_too:/x\n");
    assert_int_equal(bt_memory_available(root), 800 * 1024);
    test_write_below(root, "proc/self/cgroup", "4:cpu,memory,cpuacct:/x\n");
    assert_int_equal(bt_memory_available(root), 4000);
}

/* Each float16 is what its digits say, and comes back; between two of them the nearer one, the even
 * one from the middle. */
static void test_float16(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        const float here = bt_half_to_float((uint16_t)h);
        const float next = bt_half_to_float((uint16_t)(h + 1));
        const float want = h < 0x400 ? ldexpf((float)h, -24)
                                     : ldexpf((float)(0x400 | (h & 0x3ff)), (int)(h >> 10) - 25);
        assert_true(here == want);
        assert_int_equal(bt_half_from_float(here), h);
        assert_int_equal(bt_half_from_float(-here), h | 0x8000);
        if (h < 0x7bff) {
            const float middle = (here + next) / 2;
            assert_int_equal(bt_half_from_float(middle), h + (h & 1));
            assert_int_equal(bt_half_from_float(nextafterf(middle, 0)), h);
            assert_int_equal(bt_half_from_float(nextafterf(middle, 1e9F)), h + 1);
        }
    }
    assert_int_equal(bt_half_from_float(65519.99F), 0x7bff);
    assert_int_equal(bt_half_from_float(65520), 0x7c00);
    assert_int_equal(bt_half_from_float(-INFINITY), 0xfc00);
    assert_true(isnan(bt_half_to_float(bt_half_from_float(NAN))));
    assert_true(isinf(bt_half_to_float(0x7c00)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float16),
        cmocka_unit_test(test_memory_that_is_left_is_found),
        cmocka_unit_test(test_sizes_are_checked),
        cmocka_unit_test(test_errors_carry_context),
        cmocka_unit_test(test_allocation_can_be_made_to_fail),
        cmocka_unit_test(test_untouched_memory_is_zeros),
        cmocka_unit_test(test_numbers_print_as_python_does),
        cmocka_unit_test(test_what_is_not_finite_is_found),
        cmocka_unit_test(test_numbers_parse_strictly),
        cmocka_unit_test(test_strings_grow),
        cmocka_unit_test(test_strings_have_a_maximum),
        cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_lists_for_messages),
        cmocka_unit_test(test_map_finds_what_was_put),
        cmocka_unit_test(test_reader_never_passes_the_end),
        cmocka_unit_test(test_signatures_are_hidden),
        cmocka_unit_test(test_crc32c_is_castagnoli),
        cmocka_unit_test(test_philox_matches_known_answers),
        cmocka_unit_test(test_random_numbers_have_their_moments),
        cmocka_unit_test(test_permutation_is_a_bijection),
        cmocka_unit_test(test_arena_seldom_calls_the_heap),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
