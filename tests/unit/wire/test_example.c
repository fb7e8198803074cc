/* SPDX-License-Identifier: Apache-2.0
 *
 * tf.Example: every case of example_wire.json parses, or is refused, as by TensorFlow; the builder
 * writes the same bytes as TensorFlow's protobuf. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/wire/example.h"
#include "test_support.h"

static bt_bytes from_hex(const char *hex) {
    const size_t   n = strlen(hex) / 2;
    uint8_t *const bytes = bt_alloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return (bt_bytes){bytes, n};
}

/* Our status must be an error where TensorFlow's is, and the message must say the same thing. */
static void check_status(const char *name, const char *spec, bt_status rc, const bt_error *err,
                         const json_t *want) {
    const char *const text = json_string_value(json_object_get(want, "message"));
    if ((rc != BT_OK) != json_is_object(want)) {
        fail_msg("%s %s: %s %s; TensorFlow: %s", name, spec, bt_status_name(rc), err->msg,
                 text != NULL ? text : "accepts");
    }
    if (rc == BT_OK) {
        return;
    }
    assert_int_equal(rc, BT_E_FORMAT);
    if (strstr(text, "Data types don't match") != NULL) {
        assert_non_null(strstr(err->msg, " expected, got "));
    } else if (strstr(text, "is required but could not be found") != NULL) {
        assert_non_null(strstr(err->msg, "is required"));
    } else if (strstr(text, "Can't parse") != NULL) {
        assert_non_null(strstr(err->msg, "feature a: "));
    } else {
        assert_non_null(strstr(err->msg, "not a tf.Example"));
    }
}

static void check_i64(const char *name, const char *spec, bt_bytes bytes, size_t n, bool may_miss,
                      const json_t *want) {
    bt_example example = BT_EXAMPLE_INIT;
    bt_error   err = BT_ERROR_INIT;
    int64_t    got[3] = {0, 0, 0};
    bt_status  rc = bt_example_parse(&example, bytes, &err);
    if (rc == BT_OK && !(may_miss && bt_example_find(&example, "a") == NULL)) {
        rc = bt_example_get_i64(&example, "a", got, n, &err);
    }
    check_status(name, spec, rc, &err, want);
    for (size_t i = 0; rc == BT_OK && i < n; i++) {
        const json_t *const value = json_is_array(want) ? json_array_get(want, i) : want;
        assert_int_equal(got[i], json_integer_value(value));
    }
    bt_example_deinit(&example);
}

static void check_varlen(const char *name, bt_bytes bytes, const json_t *want) {
    bt_example example = BT_EXAMPLE_INIT;
    bt_error   err = BT_ERROR_INIT;
    int64_t    got[400];
    size_t     n = 0;
    bt_status  rc = bt_example_parse(&example, bytes, &err);
    if (rc == BT_OK && bt_example_find(&example, "a") != NULL) {
        rc = bt_feature_read_i64(bt_example_find(&example, "a"), got, BT_ARRAY_LEN(got), &n, &err);
    }
    check_status(name, "varlen", rc, &err, want);
    if (rc == BT_OK) {
        assert_int_equal(n, json_array_size(want));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(got[i], json_integer_value(json_array_get(want, i)));
        }
    }
    bt_example_deinit(&example);
}

static void check_f32_and_string(const char *name, bt_bytes bytes, const json_t *entry) {
    bt_example example = BT_EXAMPLE_INIT;
    bt_error   err = BT_ERROR_INIT;
    float      got[3];
    bt_bytes   text;
    bt_status  rc = bt_example_parse(&example, bytes, &err);
    if (rc == BT_OK) {
        rc = bt_example_get_f32(&example, "a", got, 3, &err);
    }
    const json_t *want = json_object_get(entry, "as_float_3");
    check_status(name, "as_float_3", rc, &err, want);
    for (size_t i = 0; rc == BT_OK && i < 3; i++) {
        assert_true((double)got[i] == json_number_value(json_array_get(want, i)));
    }
    rc = bt_example_parse(&example, bytes, &err);
    if (rc == BT_OK) {
        rc = bt_example_get_bytes(&example, "a", &text, 1, &err);
    }
    check_status(name, "as_string_scalar", rc, &err, json_object_get(entry, "as_string_scalar"));
    bt_example_deinit(&example);
}

static void test_goldens(void **state) {
    (void)state;
    const char *const path = test_shared_path("goldens/data/tfrecord/example_wire.json");
    if (path == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    json_t *const root = json_load_file(path, JSON_DECODE_ANY, NULL);
    assert_non_null(root);
    assert_true(json_array_size(root) >= 20);
    size_t  i = 0;
    json_t *entry = NULL;
    json_array_foreach(root, i, entry) {
        const char *const name = json_string_value(json_object_get(entry, "name"));
        const bt_bytes    bytes = from_hex(json_string_value(json_object_get(entry, "hex")));
        check_i64(name, "as_int64_3", bytes, 3, false, json_object_get(entry, "as_int64_3"));
        check_i64(name, "as_int64_scalar", bytes, 1, false,
                  json_object_get(entry, "as_int64_scalar"));
        check_i64(name, "as_int64_3_default_0", bytes, 3, true,
                  json_object_get(entry, "as_int64_3_default_0"));
        check_varlen(name, bytes, json_object_get(entry, "as_varlen_int64"));
        check_f32_and_string(name, bytes, entry);
        bt_free((void *)(uintptr_t)bytes.data);
    }
    json_decref(root);
}

/* Cut or changed anywhere: never a crash, and a cut is never taken for whole. */
static void test_damage(void **state) {
    (void)state;
    const int64_t      ints[] = {1, -2, 300, INT64_MIN};
    const float        floats[] = {1.5F, -INFINITY};
    const bt_bytes     texts[] = {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"", 0}};
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_bytes           bytes;
    assert_ok(bt_example_add_i64(&builder, "ints", ints, 4, err));
    assert_ok(bt_example_add_f32(&builder, "floats", floats, 2, err));
    assert_ok(bt_example_add_bytes(&builder, "texts", texts, 2, err));
    assert_ok(bt_example_finish(&builder, &bytes, err));
    bt_example example = BT_EXAMPLE_INIT;
    int64_t    i64[4];
    float      f32[2];
    bt_bytes   strings[2];
    for (size_t cut = 1; cut < bytes.n_bytes; cut++) {
        assert_fails(bt_example_parse(&example, (bt_bytes){bytes.data, cut}, err), BT_E_FORMAT,
                     "not a tf.Example");
    }
    uint8_t *const copy = bt_alloc(bytes.n_bytes);
    for (size_t bit = 0; bit < bytes.n_bytes * 8; bit++) {
        memcpy(copy, bytes.data, bytes.n_bytes);
        copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1U << bit % 8);
        bt_error err = BT_ERROR_INIT;
        if (bt_example_parse(&example, (bt_bytes){copy, bytes.n_bytes}, &err) == BT_OK) {
            const bt_status rc[3] = {bt_example_get_i64(&example, "ints", i64, 4, &err),
                                     bt_example_get_f32(&example, "floats", f32, 2, &err),
                                     bt_example_get_bytes(&example, "texts", strings, 2, &err)};
            for (size_t k = 0; k < 3; k++) {
                assert_true(rc[k] == BT_OK || rc[k] == BT_E_FORMAT);
            }
        }
    }
    assert_ok(bt_example_parse(&example, (bt_bytes){NULL, 0}, err)); /* an empty record */
    assert_int_equal(example.n, 0);
    assert_ok(bt_example_parse(&example, bytes, err));
    assert_ok(bt_example_get_i64(&example, "ints", i64, 4, err));
    assert_memory_equal(i64, ints, sizeof ints);
    assert_ok(bt_example_get_f32(&example, "floats", f32, 2, err));
    assert_memory_equal(f32, floats, sizeof floats);
    assert_ok(bt_example_get_bytes(&example, "texts", strings, 2, err));
    assert_int_equal(strings[0].n_bytes, 2);
    assert_int_equal(strings[1].n_bytes, 0);
    assert_fails(bt_example_get_i64(&example, "ints", i64, 3, err), BT_E_FORMAT,
                 "feature ints: 3 int64 values expected, got 4");
    assert_fails(bt_example_get_i64(&example, "absent", i64, 3, err), BT_E_FORMAT,
                 "feature absent (int64) is required");
    bt_free(copy);
    bt_example_deinit(&example);
    bt_example_builder_deinit(&builder);
}

/* The bytes of the golden cases, written by us. */
static void test_builder(void **state) {
    (void)state;
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_bytes           bytes;
    const int64_t      edges[] = {0,     1,           127,        128,        16383,
                                  16384, 2147483647,  2147483648, 4294967296, INT64_MAX,
                                  -1,    -2147483648, INT64_MIN};
    bt_bytes           want =
        from_hex("0a4b0a490a016112441a420a4000017f8001ff7f808001ffffffff0780808080088080"
                 "808010ffffffffffffffff7fffffffffffffffffff0180808080f8ffffffff018080"
                 "8080808080808001");
    assert_ok(bt_example_add_i64(&builder, "a", edges, BT_ARRAY_LEN(edges), err));
    assert_ok(bt_example_finish(&builder, &bytes, err));
    assert_int_equal(bytes.n_bytes, want.n_bytes);
    assert_memory_equal(bytes.data, want.data, want.n_bytes);
    bt_free((void *)(uintptr_t)want.data);

    want = from_hex("0a090a070a016112021200"); /* an empty float list */
    bt_example_builder_clear(&builder);
    assert_ok(bt_example_add_f32(&builder, "a", NULL, 0, err));
    assert_ok(bt_example_finish(&builder, &bytes, err));
    assert_int_equal(bytes.n_bytes, want.n_bytes);
    assert_memory_equal(bytes.data, want.data, want.n_bytes);
    bt_free((void *)(uintptr_t)want.data);

    want = from_hex("0a0c0a0a0a016112051a030a0105"); /* one int, here from 32 bits */
    const int32_t five = 5;
    bt_example_builder_clear(&builder);
    assert_ok(bt_example_add_i32(&builder, "a", &five, 1, err));
    assert_ok(bt_example_finish(&builder, &bytes, err));
    assert_int_equal(bytes.n_bytes, want.n_bytes);
    assert_memory_equal(bytes.data, want.data, want.n_bytes);
    bt_free((void *)(uintptr_t)want.data);
    bt_example_builder_deinit(&builder);
}

static bt_status build_and_parse(bt_error *err) {
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_example         example = BT_EXAMPLE_INIT;
    bt_bytes           bytes;
    bt_status          rc = BT_OK;
    int64_t            values[200];
    for (int64_t i = 0; i < 200; i++) {
        values[i] = i;
    }
    for (int k = 0; k < 12; k++) {
        char key[2] = {(char)('a' + k), 0};
        BT_CHECK(bt_example_add_i64(&builder, key, values, 200, err));
        BT_CHECK(bt_example_add_f32(&builder, key, NULL, 0, err));
        BT_CHECK(bt_example_add_bytes(&builder, key, &(bt_bytes){(const uint8_t *)"x", 1}, 1, err));
    }
    BT_CHECK(bt_example_finish(&builder, &bytes, err));
    BT_CHECK(bt_example_parse(&example, bytes, err));
    assert_int_equal(example.n, 36);
done:
    bt_example_builder_deinit(&builder);
    bt_example_deinit(&example);
    return rc;
}

static void test_faults(void **state) {
    (void)state;
    for (uint64_t k = 1; k < 1000; k++) {
        bt_error err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = build_and_parse(&err);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            assert_true(k > 10);
            return;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
    fail_msg("the failures never end");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_builder),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
