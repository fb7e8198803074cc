/* SPDX-License-Identifier: Apache-2.0
 *
 * See test_tensors.h. */
#include "test_tensors.h"
#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"

#include <string.h>

struct test_tensors {
    char   *bytes;
    json_t *header;
    size_t  data; /* offset of the first tensor */
    char   *aligned;
    size_t  n_bytes; /* of aligned */
};

/* base + scale * u with u in [-1, 1) of 24 bits; the product is exact, as scale is a power of two.
 */
static void generate(float *out, size_t n, uint64_t seed, const json_t *rule) {
    const uint32_t   stream = (uint32_t)json_integer_value(json_object_get(rule, "stream"));
    const bt_rng_key key = bt_rng_key_make(seed, 0, stream, 1);
    const float      scale = (float)json_number_value(json_object_get(rule, "scale"));
    const float      base = (float)json_number_value(json_object_get(rule, "base"));
    uint32_t         words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0) {
            bt_rng_block(key, i / 4, words);
        }
        out[i] = base + scale * ((float)(words[i % 4] >> 8) * 0x1p-23F - 1.0F);
    }
}

static size_t n_values(const json_t *shape) {
    size_t n = 1;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        n *= (size_t)json_integer_value(json_array_get(shape, i));
    }
    return n;
}

/* What the metadata name comes after what the file holds. */
static void add_generated(test_tensors *t, const json_t *generated) {
    const uint64_t seed = (uint64_t)json_integer_value(json_object_get(generated, "seed"));
    const char    *name = NULL;
    json_t        *rule = NULL;
    json_object_foreach(json_object_get(generated, "tensors"), name, rule) {
        json_t *const shape = json_object_get(rule, "shape");
        const size_t  n = n_values(shape);
        const size_t  first = (t->n_bytes + 7) / 8 * 8;
        char *const   grown = bt_realloc(t->aligned, t->n_bytes, first + n * sizeof(float));
        assert_non_null(grown);
        t->aligned = grown;
        t->n_bytes = first + n * sizeof(float);
        generate((float *)(void *)(t->aligned + first), n, seed, rule);
        assert_int_equal(json_object_set_new(t->header, name,
                                             json_pack("{s:s, s:O, s:[I, I]}", "dtype", "F32",
                                                       "shape", shape, "data_offsets",
                                                       (json_int_t)first, (json_int_t)t->n_bytes)),
                         0);
    }
}

test_tensors *test_tensors_open(const char *path) {
    test_tensors *const t = bt_calloc_array(1, sizeof *t);
    assert_non_null(t);
    size_t n_bytes = 0;
    t->bytes = test_read_file(path, &n_bytes);
    assert_true(n_bytes > 8);
    const uint64_t n_header = bt_load_u64le((const uint8_t *)t->bytes);
    assert_true(n_header < n_bytes - 8);
    t->header = json_loadb(t->bytes + 8, (size_t)n_header, 0, NULL);
    assert_non_null(t->header);
    /* tensors follow each other with gaps of none: copy them to where they can be read as words */
    t->data = 8 + (size_t)n_header;
    t->aligned = bt_alloc(n_bytes - t->data + 1);
    assert_non_null(t->aligned);
    memcpy(t->aligned, t->bytes + t->data, n_bytes - t->data);
    t->n_bytes = n_bytes - t->data;
    const json_t *const metadata = json_object_get(t->header, "__metadata__");
    const char *const   text = json_string_value(json_object_get(metadata, "generated"));
    if (text != NULL) {
        json_t *const generated = json_loads(text, 0, NULL);
        assert_non_null(generated);
        add_generated(t, generated);
        json_decref(generated);
    }
    return t;
}

void test_tensors_close(test_tensors *tensors) {
    json_decref(tensors->header);
    bt_free(tensors->bytes);
    bt_free(tensors->aligned);
    bt_free(tensors);
}

const json_t *test_tensors_header(const test_tensors *tensors) {
    return tensors->header;
}

bool test_tensors_has(const test_tensors *tensors, const char *name) {
    return json_object_get(tensors->header, name) != NULL;
}

static const void *find(const test_tensors *t, const char *name, const char *dtype, size_t size,
                        size_t *n) {
    const json_t *const entry = json_object_get(t->header, name);
    if (entry == NULL) {
        fail_msg("the golden file has no tensor %s", name);
    }
    assert_string_equal(json_string_value(json_object_get(entry, "dtype")), dtype);
    const json_t *const offsets = json_object_get(entry, "data_offsets");
    const size_t        first = (size_t)json_integer_value(json_array_get(offsets, 0));
    const size_t        end = (size_t)json_integer_value(json_array_get(offsets, 1));
    assert_int_equal(first % size, 0);
    if (n != NULL) {
        *n = (end - first) / size;
    }
    return t->aligned + first;
}

const float *test_tensors_f32(const test_tensors *tensors, const char *name, size_t *n) {
    return find(tensors, name, "F32", sizeof(float), n);
}

const int32_t *test_tensors_i32(const test_tensors *tensors, const char *name, size_t *n) {
    return find(tensors, name, "I32", sizeof(int32_t), n);
}

const int64_t *test_tensors_i64(const test_tensors *tensors, const char *name, size_t *n) {
    return find(tensors, name, "I64", sizeof(int64_t), n);
}

/* Python writes NaN where JSON has no word for it: read as null. */
static char *nan_to_null(const char *text) {
    bt_str   out = BT_STR_INIT;
    bt_error err = BT_ERROR_INIT;
    while (*text != '\0') {
        const bool   is_nan = strncmp(text, "NaN", 3) == 0;
        const size_t n = is_nan ? 3 : 1 + strcspn(text + 1, "N");
        assert_int_equal(bt_str_append_n(&out, is_nan ? "null" : text, is_nan ? 4 : n, &err),
                         BT_OK);
        text += n;
    }
    return bt_str_take(&out);
}

json_t *test_read_json(const char *path) {
    json_error_t  problem;
    char *const   raw = test_read_file(path, NULL);
    char *const   text = nan_to_null(raw);
    json_t *const root = json_loads(text, 0, &problem);
    bt_free(raw);
    bt_free(text);
    if (root == NULL) {
        fail_msg("%s:%d: %s", path, problem.line, problem.text);
    }
    return root;
}
