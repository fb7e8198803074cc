/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor bundles against Model Garden's checkpoints: every value of every file bit for bit, the
 * index written again byte for byte, every kind of damage refused with the file's name, faults of
 * memory and disk at every call. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/safetensors.h"
#include "bt/wire/sstable.h"
#include "test_faults.h"
#include "test_support.h"

#define GOLDENS "goldens/numerics/checkpoints/"

typedef struct golden_case {
    const char *prefix;
    const char *values; /* .json and .safetensors */
    size_t      n_min;  /* tensors at least */
} golden_case;

static const golden_case goldens[] = {
    {"tf1_bert/bert_model.ckpt", "tf1_bert/values", 49},
    {"tf2_encoder/bert_model.ckpt-1", "tf2_encoder/values", 40},
    {"tf2_pretrainer/bert_model.ckpt-1", "tf2_pretrainer/values", 40},
    {"tf2_bert_v2/ckpt-1", "tf2_bert_v2/values", 45},
    {"train/adamw/ckpt-4", "train/adamw/values_ckpt-4", 132},
    {"train/ema/ckpt-4", "train/ema/values_ckpt-4", 175},
    {"multishard/bert_model.ckpt", "multishard/values", 49},
    {"sliced/model.ckpt", "sliced/values", 4},
    {"dtypes/dtypes.ckpt", "dtypes/values", 321},
    {"hub/bert_tiny/variables/variables", "hub/values_bert_tiny", 40},
};

static float widen_half(const uint8_t *bytes, bool is_bfloat16) {
    const uint32_t h = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
    uint32_t       bits = h << 16;
    float          value = 0;
    if (!is_bfloat16) {
        const uint32_t exponent = h >> 10 & 31;
        const uint32_t mantissa = h & 1023;
        if (exponent == 0) {
            value = (float)mantissa / 16777216.0F;
            return (h & 0x8000) != 0 ? -value : value;
        }
        bits = (h & 0x8000) << 16 | (exponent == 31 ? 255U : exponent + 112) << 23 | mantissa << 13;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int64_t widen_int(const uint8_t *bytes, bt_dtype dtype) {
    int16_t s16 = 0;
    memcpy(&s16, bytes, dtype == BT_DTYPE_I16 || dtype == BT_DTYPE_U16 ? 2 : 0);
    switch ((int)dtype) {
    case BT_DTYPE_I8:
        return (int8_t)bytes[0];
    case BT_DTYPE_I16:
        return s16;
    case BT_DTYPE_U16:
        return (uint16_t)s16;
    default:
        return bytes[0];
    }
}

/* Numbers whose golden is stored in another type, or as text. */
static void check_other(const bt_bundle_entry *entry, const uint8_t *got, const uint8_t *want,
                        const json_t *json) {
    const size_t n = (size_t)entry->n_elements;
    for (size_t i = 0; i < n; i++) {
        if (entry->dtype == BT_DTYPE_F64) {
            double number = 0;
            memcpy(&number, got + 8 * i, sizeof number);
            const char *const hex =
                json_string_value(json_array_get(json_object_get(json, "float64_hex"), i));
            const double expected = strtod(hex, NULL);
            assert_memory_equal(&number, &expected, sizeof number);
        } else if (entry->dtype == BT_DTYPE_C64) {
            float               parts[2];
            const json_t *const pair = json_array_get(json_object_get(json, "re_im"), i);
            memcpy(parts, got + 8 * i, sizeof parts);
            assert_true((double)parts[0] == json_number_value(json_array_get(pair, 0)));
            assert_true((double)parts[1] == json_number_value(json_array_get(pair, 1)));
        } else if (entry->dtype == BT_DTYPE_F16 || entry->dtype == BT_DTYPE_BF16) {
            const float value = widen_half(got + 2 * i, entry->dtype == BT_DTYPE_BF16);
            assert_memory_equal(&value, want + 4 * i, sizeof value);
        } else {
            int64_t expected = 0;
            memcpy(&expected, want + 8 * i, sizeof expected);
            assert_int_equal(widen_int(got + i * bt_dtype_size(entry->dtype), entry->dtype),
                             expected);
        }
    }
}

static void check_numbers(bt_bundle *bundle, const bt_bundle_entry *entry,
                          const bt_safetensors *values, const json_t *json) {
    const size_t   n_bytes = (size_t)entry->n_elements * bt_dtype_size(entry->dtype);
    uint8_t *const got = bt_alloc(n_bytes);
    uint8_t       *want = NULL;
    assert_non_null(got);
    assert_ok(bt_bundle_read(bundle, entry, got, n_bytes, err));
    const bt_st_entry *const golden = bt_safetensors_find(values, entry->name);
    if (golden != NULL) {
        want = bt_alloc((size_t)golden->n_bytes);
        assert_non_null(want);
        assert_ok(bt_safetensors_read(values, golden, want, (size_t)golden->n_bytes, err));
    }
    if (golden != NULL && golden->dtype == entry->dtype) {
        assert_int_equal(golden->n_bytes, n_bytes);
        if (n_bytes > 0 && memcmp(got, want, n_bytes) != 0) {
            fail_msg("%s: the values differ", entry->name);
        }
    } else {
        check_other(entry, got, want, json);
    }
    bt_free(got);
    bt_free(want);
}

static void check_strings(bt_bundle *bundle, const bt_bundle_entry *entry, const json_t *json) {
    bt_bytes *values = NULL;
    assert_ok(bt_bundle_read_strings(bundle, entry, &values, err));
    const json_t *const bytes = json_object_get(json, "bytes");
    const json_t *const hex = json_object_get(json, "hex");
    if (bytes != NULL) {
        assert_int_equal(values[0].n_bytes, json_integer_value(bytes));
    }
    for (size_t i = 0; i < json_array_size(hex); i++) {
        const char *const text = json_string_value(json_array_get(hex, i));
        assert_int_equal(values[i].n_bytes * 2, strlen(text));
        for (size_t k = 0; k < values[i].n_bytes; k++) {
            const char digits[3] = {text[2 * k], text[2 * k + 1], 0};
            assert_int_equal(values[i].data[k], strtoul(digits, NULL, 16));
        }
    }
    bt_free(values);
}

static void check_golden(const golden_case *golden) {
    char            path[TEST_PATH_MAX];
    bt_bundle      *bundle = NULL;
    bt_safetensors *values = NULL;
    (void)snprintf(path, sizeof path, GOLDENS "%s.safetensors", golden->values);
    assert_ok(bt_safetensors_open(test_shared_path(path), &values, err));
    (void)snprintf(path, sizeof path, GOLDENS "%s.json", golden->values);
    json_t *const json = json_load_file(test_shared_path(path), 0, NULL);
    assert_non_null(json);
    (void)snprintf(path, sizeof path, GOLDENS "%s", golden->prefix);
    assert_ok(bt_bundle_open(test_shared_path(path), &bundle, err));
    assert_true(bt_bundle_n_entries(bundle) >= golden->n_min);
    assert_int_equal(bt_bundle_n_entries(bundle), json_object_size(json));
    for (size_t i = 0; i < bt_bundle_n_entries(bundle); i++) {
        const bt_bundle_entry *const entry = bt_bundle_entry_at(bundle, i);
        const json_t *const          row = json_object_get(json, entry->name);
        const json_t *const          shape = json_object_get(row, "shape");
        assert_non_null(row);
        assert_string_equal(bt_dtype_name(entry->dtype),
                            json_string_value(json_object_get(row, "dtype")));
        assert_int_equal(entry->rank, json_array_size(shape));
        for (int32_t d = 0; d < entry->rank; d++) {
            assert_int_equal(entry->dim[d], json_integer_value(json_array_get(shape, (size_t)d)));
        }
        assert_ptr_equal(bt_bundle_find(bundle, entry->name), entry);
        if (entry->dtype == BT_DTYPE_STRING) {
            check_strings(bundle, entry, row);
        } else {
            check_numbers(bundle, entry, values, row);
        }
    }
    assert_ok(bt_bundle_check_files(bundle, err));
    assert_ok(bt_bundle_verify(bundle, err));
    bt_bundle_close(bundle);
    bt_safetensors_close(values);
    json_decref(json);
}

static void test_goldens(void **state) {
    (void)state;
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(goldens); i++) {
        check_golden(&goldens[i]);
    }
}

/* 12000 keys, two blocks of the index: .../layer_NNNNN/kernel = [NNNNN] */
static void test_many_keys(void **state) {
    (void)state;
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    bt_bundle *bundle = NULL;
    assert_ok(bt_bundle_open(test_shared_path(GOLDENS "manykeys/many.ckpt"), &bundle, err));
    size_t n_checked = 0;
    for (size_t i = 0; i < bt_bundle_n_entries(bundle); i++) {
        const bt_bundle_entry *const entry = bt_bundle_entry_at(bundle, i);
        const char *const            number = strstr(entry->name, "layer_");
        float                        value = -1;
        if (number == NULL) {
            continue;
        }
        assert_ok(bt_bundle_read(bundle, entry, &value, sizeof value, err));
        assert_true((double)value == strtod(number + strlen("layer_"), NULL));
        n_checked++;
    }
    assert_int_equal(n_checked, 12000);
    bt_bundle_close(bundle);
}

/* Writes what a bundle holds again, tensor by tensor in the order of its data file. */
static bt_status write_again(bt_bundle *bundle, const char *prefix, bt_error *err) {
    bt_bundle_writer *writer = NULL;
    bt_status         rc = BT_OK;
    void             *data = NULL;
    BT_CHECK(bt_bundle_writer_create(prefix, &writer, err));
    for (int64_t at = 0;;) {
        const bt_bundle_entry *next = NULL;
        for (size_t i = 0; i < bt_bundle_n_entries(bundle); i++) {
            const bt_bundle_entry *const entry = bt_bundle_entry_at(bundle, i);
            if (entry->n_bytes > 0 && entry->offset == at) {
                next = entry;
            }
        }
        if (next == NULL) {
            break;
        }
        if (next->dtype == BT_DTYPE_STRING) {
            bt_bytes *values = NULL;
            BT_CHECK(bt_bundle_read_strings(bundle, next, &values, err));
            data = values;
            BT_CHECK(bt_bundle_add_strings(writer, next->name, next->rank, next->dim, values, err));
        } else {
            data = bt_alloc((size_t)next->n_bytes);
            if (data == NULL) {
                rc = BT_FAIL(err, BT_E_NOMEM, "out of memory");
                goto done;
            }
            BT_CHECK(bt_bundle_read(bundle, next, data, (size_t)next->n_bytes, err));
            BT_CHECK(
                bt_bundle_add(writer, next->name, next->dtype, next->rank, next->dim, data, err));
        }
        bt_free(data);
        data = NULL;
        at += next->n_bytes;
    }
    BT_CHECK(bt_bundle_writer_commit(&writer, err));
done:
    bt_free(data);
    bt_bundle_writer_abort(writer);
    return rc;
}

static void check_same_file(const char *a, const char *b) {
    size_t      n_a = 0;
    size_t      n_b = 0;
    char *const bytes_a = test_read_file(a, &n_a);
    char *const bytes_b = test_read_file(b, &n_b);
    if (n_a != n_b || memcmp(bytes_a, bytes_b, n_a) != 0) {
        fail_msg("%s and %s differ", a, b);
    }
    bt_free(bytes_a);
    bt_free(bytes_b);
}

static void test_written_bytes(void **state) {
    (void)state;
    static const char *const prefixes[] = {"train/adamw/ckpt-4", "train/ema/ckpt-4",
                                           "tf2_bert_v2/ckpt-1", "manykeys/many.ckpt"};
    static const char *const suffixes[] = {".index", ".data-00000-of-00001"};
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(prefixes); i++) {
        char       from[TEST_PATH_MAX];
        char       to[TEST_PATH_MAX];
        bt_bundle *bundle = NULL;
        (void)snprintf(from, sizeof from, GOLDENS "%s", prefixes[i]);
        (void)snprintf(to, sizeof to, "%s/ckpt", test_temp_dir());
        assert_ok(bt_bundle_open(test_shared_path(from), &bundle, err));
        assert_ok(write_again(bundle, to, err));
        bt_bundle_close(bundle);
        for (size_t k = 0; k < BT_ARRAY_LEN(suffixes); k++) {
            char a[TEST_PATH_MAX];
            char b[TEST_PATH_MAX];
            (void)snprintf(a, sizeof a, GOLDENS "%s%s", prefixes[i], suffixes[k]);
            (void)snprintf(b, sizeof b, "%.4000s%s", to, suffixes[k]);
            check_same_file(test_shared_path(a), b);
        }
    }
}

/* Opens and reads everything. */
static bt_status open_and_verify(const char *prefix, bt_error *err) {
    bt_bundle *bundle = NULL;
    BT_TRY(bt_bundle_open(prefix, &bundle, err));
    const bt_status rc = bt_bundle_verify(bundle, err);
    bt_bundle_close(bundle);
    return rc;
}

static void test_damaged(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bt_status   status;
        const char *text; /* a part of the message */
    } cases[] = {
        {"data_truncated", BT_E_FORMAT, "data-00000-of-00001 is truncated"},
        {"data_empty", BT_E_FORMAT, "data-00000-of-00001 is truncated"},
        {"data_flip", BT_E_FORMAT, "bert/encoder/layer_0/output/dense/kernel' is damaged"},
        {"data_bitflip", BT_E_FORMAT, "bert/embeddings/LayerNorm/beta' is damaged"},
        {"index_flip", BT_E_FORMAT, "bert_model.ckpt.index: the crc of the block"},
        {"index_footer_magic", BT_E_FORMAT, "bert_model.ckpt.index: not a table"},
        {"index_truncated", BT_E_FORMAT, "bert_model.ckpt.index: not a table"},
        {"index_empty", BT_E_FORMAT, "bert_model.ckpt.index: 0 bytes are too few"},
        {"data_missing", BT_E_IO, "bert_model.ckpt.data-00000-of-00001: no such file"},
        {"index_missing", BT_E_IO, "bert_model.ckpt.index: no such file"},
        {"shard_missing", BT_E_IO, "bert_model.ckpt.data-00001-of-00003: no such file"},
        {"shard_truncated", BT_E_FORMAT, "data-00002-of-00003 is truncated"},
    };
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, GOLDENS "damaged/%s/bert_model.ckpt", cases[i].name);
        assert_fails(open_and_verify(test_shared_path(path), err), cases[i].status, cases[i].text);
    }
}

/* An index without its data file can be listed. */
static void test_index_alone(void **state) {
    (void)state;
    const char *const prefix = test_shared_path("data/ckpt/uncased_L-8_H-512_A-8/bert_model.ckpt");
    bt_bundle        *bundle = NULL;
    if (prefix == NULL) {
        test_skip("no data folder here");
    }
    assert_ok(bt_bundle_open(prefix, &bundle, err));
    const bt_bundle_entry *const entry = bt_bundle_find(bundle, "bert/embeddings/word_embeddings");
    assert_non_null(entry);
    assert_int_equal(entry->dim[0], 30522);
    assert_int_equal(entry->dim[1], 512);
    assert_fails(bt_bundle_check_files(bundle, err), BT_E_IO, "no such file");
    bt_bundle_close(bundle);
}

/* An index of a header and one entry, as its bytes stand. */
static void write_index(const char *path, bt_bytes header, bt_bytes entry) {
    bt_sstable_builder *builder = NULL;
    bt_bytes            table = {NULL, 0};
    assert_ok(bt_sstable_builder_create(&builder, err));
    assert_ok(bt_sstable_add(builder, (bt_bytes){(const uint8_t *)"", 0}, header, err));
    assert_ok(bt_sstable_add(builder, (bt_bytes){(const uint8_t *)"x", 1}, entry, err));
    assert_ok(bt_sstable_finish(builder, &table, err));
    test_write_file(path, table.data, table.n_bytes);
    bt_sstable_builder_free(builder);
}

/* What the messages of an index may say: a float [2,3] in 24 bytes is the good one. */
static void test_index_messages(void **state) {
    (void)state;
    static const char header[] = "\x08\x01\x1a\x02\x08\x01";
    static const struct {
        const char *header; /* NULL: the good one */
        size_t      n_header;
        const char *entry;
        size_t      n_entry;
        bt_status   status;
        const char *text;
    } cases[] = {
        {NULL, 0, "\x08\x01\x12\x08\x12\x02\x08\x02\x12\x02\x08\x03\x28\x18", 14, BT_OK, ""},
        {NULL, 0, "\x08\x01\x12\x08\x12\x02\x08\x02\x12\x02\x08\x03\x28\x19", 14, BT_E_FORMAT,
         "size"},
        {NULL, 0, "\x08\x01\x12\x02\x18\x01\x28\x04", 8, BT_E_FORMAT, "shape is unknown"},
        {NULL, 0, "\x12\x12\x12\0\x12\0\x12\0\x12\0\x12\0\x12\0\x12\0\x12\0\x12\0", 20, BT_E_FORMAT,
         "shape"},
        {NULL, 0, "\x12\x0d\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15, BT_E_FORMAT,
         "negative"},
        {NULL, 0, "\x08\x01\x18\x01\x28\x04", 6, BT_E_FORMAT, "its place"},
        {NULL, 0, "\x08\x01\x12\x04\x12\x02\x08\x02\x3a\x04\x0a\x02\x10\x03", 14, BT_E_FORMAT,
         "slice"},
        {NULL, 0, "\x08\x01\x12\x04\x12\x02\x08\x02\x3a\x00", 10, BT_E_FORMAT, "slice"},
        {NULL, 0, "\x08", 1, BT_E_FORMAT, "tensor 'x': damaged"},
        {"\x08\x01\x10\x01", 4, "\x08\x01", 2, BT_E_UNSUPPORTED, "big-endian"},
        {"", 0, "\x08\x01", 2, BT_E_FORMAT, "number of data files"},
        {"\x08\x80\x80\x80\x01", 5, "\x08\x01", 2, BT_E_FORMAT, "number of data files"},
        {"\x08", 1, "\x08\x01", 2, BT_E_FORMAT, "the header: damaged"},
    };
    char path[TEST_PATH_MAX];
    char prefix[TEST_PATH_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s/messages", test_temp_dir());
    (void)snprintf(path, sizeof path, "%.*s.index", TEST_PATH_MAX - 8, prefix);
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        bt_bundle     *bundle = NULL;
        const bt_bytes good = {(const uint8_t *)header, sizeof header - 1};
        const bt_bytes other = {(const uint8_t *)cases[i].header, cases[i].n_header};
        write_index(path, cases[i].header == NULL ? good : other,
                    (bt_bytes){(const uint8_t *)cases[i].entry, cases[i].n_entry});
        if (cases[i].status == BT_OK) {
            assert_ok(bt_bundle_open(prefix, &bundle, err));
            assert_int_equal(bt_bundle_entry_at(bundle, 0)->dim[1], 3);
            bt_bundle_close(bundle);
        } else {
            assert_fails(bt_bundle_open(prefix, &bundle, err), cases[i].status, cases[i].text);
        }
    }
}

static bt_status write_small(const char *prefix, bt_error *err) {
    static const float    floats[6] = {1, 2, 3, 4, 5, 6};
    static const int64_t  number = -7;
    static const int64_t  dims[2] = {2, 3};
    static const bt_bytes texts[3] = {
        {(const uint8_t *)"a", 1}, {(const uint8_t *)"", 0}, {(const uint8_t *)"long text", 9}};
    static const int64_t three = 3;
    bt_bundle_writer    *writer = NULL;
    bt_status            rc = BT_OK;
    BT_CHECK(bt_bundle_writer_create(prefix, &writer, err));
    BT_CHECK(bt_bundle_add(writer, "z/matrix", BT_DTYPE_F32, 2, dims, floats, err));
    BT_CHECK(bt_bundle_add(writer, "a/number", BT_DTYPE_I64, 0, NULL, &number, err));
    BT_CHECK(bt_bundle_add_strings(writer, "texts", 1, &three, texts, err));
    BT_CHECK(bt_bundle_writer_commit(&writer, err));
done:
    bt_bundle_writer_abort(writer);
    return rc;
}

static void check_small(const char *prefix) {
    bt_bundle *bundle = NULL;
    float      floats[6];
    int64_t    number = 0;
    bt_bytes  *texts = NULL;
    assert_ok(bt_bundle_open(prefix, &bundle, err));
    assert_int_equal(bt_bundle_n_entries(bundle), 3);
    const bt_bundle_entry *const matrix = bt_bundle_find(bundle, "z/matrix");
    assert_ok(bt_bundle_read(bundle, matrix, floats, sizeof floats, err));
    assert_true(floats[5] == 6.0F);
    assert_fails(bt_bundle_read(bundle, matrix, floats, 20, err), BT_E_SHAPE, "z/matrix");
    assert_ok(bt_bundle_read(bundle, bt_bundle_find(bundle, "a/number"), &number, 8, err));
    assert_int_equal(number, -7);
    const bt_bundle_entry *const strings = bt_bundle_find(bundle, "texts");
    assert_ok(bt_bundle_read_strings(bundle, strings, &texts, err));
    assert_int_equal(texts[2].n_bytes, 9);
    assert_memory_equal(texts[2].data, "long text", 9);
    bt_free(texts);
    assert_fails(bt_bundle_read(bundle, strings, floats, 4, err), BT_E_UNSUPPORTED, "string");
    assert_fails(bt_bundle_read_strings(bundle, matrix, &texts, err), BT_E_UNSUPPORTED, "z/matrix");
    assert_null(bt_bundle_find(bundle, "absent"));
    assert_ok(bt_bundle_verify(bundle, err));
    bt_bundle_close(bundle);
}

static void test_small(void **state) {
    (void)state;
    char prefix[TEST_PATH_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-1", test_temp_dir());
    assert_ok(write_small(prefix, err));
    check_small(prefix);
    assert_ok(write_small(prefix, err)); /* again over itself */
    check_small(prefix);
    bt_bundle_writer *writer = NULL;
    const int64_t     negative = -1;
    assert_fails(bt_bundle_open("/no/such/ckpt", &(bt_bundle *){NULL}, err), BT_E_IO,
                 "/no/such/ckpt.index: no such file");
    assert_ok(bt_bundle_writer_create(prefix, &writer, err));
    assert_fails(bt_bundle_add(writer, "x", BT_DTYPE_F32, 1, &negative, "", err), BT_E_SHAPE,
                 "negative");
    assert_fails(bt_bundle_add(writer, "x", BT_DTYPE_STRING, 0, NULL, "", err), BT_E_INTERNAL, "x");
    assert_fails(bt_bundle_add(writer, "", BT_DTYPE_F32, 0, NULL, "1234", err), BT_E_INTERNAL,
                 "without a name");
    assert_ok(bt_bundle_add(writer, "x", BT_DTYPE_U8, 0, NULL, "1", err));
    assert_ok(bt_bundle_add(writer, "x", BT_DTYPE_U8, 0, NULL, "1", err));
    assert_fails(bt_bundle_writer_commit(&writer, err), BT_E_INTERNAL, "twice");
    bt_bundle_writer_abort(writer);
    check_small(prefix); /* what was there is still there */
}

/* Each byte of index and data changed or cut: an error, or bytes that do not count; never more. */
static void test_every_byte(void **state) {
    (void)state;
    static const char *const suffixes[] = {".index", ".data-00000-of-00001"};
    char                     prefix[TEST_PATH_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-1", test_temp_dir());
    assert_ok(write_small(prefix, err));
    for (size_t s = 0; s < BT_ARRAY_LEN(suffixes); s++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%.4000s%s", prefix, suffixes[s]);
        size_t      n = 0;
        char *const bytes = test_read_file(path, &n);
        for (size_t i = 0; i < n; i++) {
            bt_error fault = BT_ERROR_INIT;
            bytes[i] = (char)(bytes[i] ^ 0x55);
            test_write_file(path, bytes, n);
            bytes[i] = (char)(bytes[i] ^ 0x55);
            const bt_status rc = open_and_verify(prefix, &fault);
            const bool      in_footer = s == 0 && i + 48 >= n;
            if (rc == BT_OK && !in_footer) { /* padding and unused handle of the footer */
                fail_msg("%s: byte %zu changed, nobody noticed", suffixes[s], i);
            }
            test_write_file(path, bytes, i); /* cut here */
            if (open_and_verify(prefix, &fault) == BT_OK) {
                fail_msg("%s: cut at byte %zu, nobody noticed", suffixes[s], i);
            }
            assert_non_null(strstr(fault.msg, "ckpt-1"));
        }
        test_write_file(path, bytes, n);
        bt_free(bytes);
    }
    assert_ok(open_and_verify(prefix, err));
}

/* A failing disk or heap while writing: the error says so, and there is no half checkpoint. */
typedef struct faulty_bundle {
    const char *folder;
    char        prefix[TEST_PATH_MAX];
} faulty_bundle;

static bt_status write_as_work(void *context, bt_error *err) {
    return write_small(((const faulty_bundle *)context)->prefix, err);
}

/* Nothing temporary is left, and an index is there only with its whole data file. Empties the
 * folder. */
static void look_at_bundle(void *context, bt_status rc) {
    const faulty_bundle *const bundle = context;
    bt_fs_names                names = BT_FS_NAMES_INIT;
    bool                       has_index = false;
    assert_true(rc != BT_E_IO); /* it reads nothing */
    assert_ok(bt_fs_list(bundle->folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        assert_null(strstr(names.items[i], ".tmp-"));
        has_index = has_index || bt_str_ends_with(names.items[i], ".index");
    }
    assert_true(has_index || rc != BT_OK);
    if (has_index) {
        check_small(bundle->prefix);
    }
    for (size_t i = 0; i < names.n; i++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", bundle->folder, names.items[i]);
        assert_ok(bt_fs_remove(path, err));
    }
    bt_fs_names_deinit(&names);
}

static void test_write_faults(void **state) {
    (void)state;
    faulty_bundle   bundle = {.folder = test_temp_dir()};
    const test_work work = {.what = "writing a bundle",
                            .work = write_as_work,
                            .check = look_at_bundle,
                            .context = &bundle};
    (void)snprintf(bundle.prefix, sizeof bundle.prefix, "%s/ckpt-1", bundle.folder);
    assert_true(test_every_fault(&work) > 0);
}

static void test_read_faults(void **state) {
    (void)state;
    char prefix[TEST_PATH_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s/ckpt-1", test_temp_dir());
    assert_ok(write_small(prefix, err));
    for (int round = 0; round < 3; round++) {
        bool succeeded = false;
        for (uint64_t k = 1; k < 200 && !succeeded; k++) {
            bt_error fault = BT_ERROR_INIT;
            if (round == 2) {
                bt_alloc_fail_at(k, false);
            } else {
                bt_fs_fail_at(round == 0 ? BT_FS_OP_READ : BT_FS_OP_OPEN, k, false);
            }
            const bt_status rc = open_and_verify(prefix, &fault);
            bt_alloc_fail_at(0, false);
            bt_fs_fail_at(BT_FS_OP_READ, 0, false);
            bt_fs_fail_at(BT_FS_OP_OPEN, 0, false);
            succeeded = rc == BT_OK;
            assert_true(succeeded || rc == (round == 2 ? BT_E_NOMEM : BT_E_IO));
        }
        assert_true(succeeded);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),       cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_written_bytes), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_index_alone),   cmocka_unit_test(test_index_messages),
        cmocka_unit_test(test_small),         cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_write_faults),  cmocka_unit_test(test_read_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
