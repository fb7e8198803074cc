/* SPDX-License-Identifier: Apache-2.0
 *
 * TFRecord: every file of Model Garden's goldens behaves as the real reader does (records before
 * the fault, then the fault), our own round trips in all compressions, random access, and faults
 * of memory and disk at every call. */
#include <string.h>

#include <jansson.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/tfrecord.h"
#include "test_support.h"

static bt_compression compression_of(const char *name) {
    if (strcmp(name, "GZIP") == 0) {
        return BT_COMPRESSION_GZIP;
    }
    return strcmp(name, "ZLIB") == 0 ? BT_COMPRESSION_ZLIB : BT_COMPRESSION_NONE;
}

/* Reads until the end or a fault: number of records, and the status. */
static bt_status read_file(const char *path, bt_compression compression, int64_t *n,
                           int64_t sizes[64], int64_t *n_trailing, bt_error *err) {
    bt_tfrecord_reader *reader = NULL;
    *n = 0;
    *n_trailing = 0;
    BT_TRY(bt_tfrecord_open(path, compression, &reader, err));
    bool      end = false;
    bt_status rc = BT_OK;
    while (rc == BT_OK) {
        bt_record record;
        rc = bt_tfrecord_next(reader, &record, &end, err);
        if (rc != BT_OK || end) {
            break;
        }
        assert_int_equal(record.index, *n);
        if (*n < 64) {
            sizes[*n] = (int64_t)record.data.n_bytes;
        }
        (*n)++;
    }
    *n_trailing = bt_tfrecord_trailing_bytes(reader);
    if (rc != BT_OK) { /* a fault stays one */
        bt_error  again = BT_ERROR_INIT;
        bt_record record;
        assert_int_equal(bt_tfrecord_next(reader, &record, &end, &again), rc);
        assert_string_equal(again.msg, err->msg);
    }
    bt_tfrecord_close(reader);
    return rc;
}

static void check_golden(const char *name, const char *compression, const json_t *want) {
    char          path[TEST_PATH_MAX + 256];
    int64_t       n = 0;
    int64_t       n_trailing = 0;
    int64_t       sizes[64];
    bt_error      err = BT_ERROR_INIT;
    json_t *const error = json_object_get(want, "error");
    (void)snprintf(path, sizeof path, "%s/%s", test_shared_path("goldens/data/tfrecord"), name);
    const bt_status rc = read_file(path, compression_of(compression), &n, sizes, &n_trailing, &err);
    const bool      dies = json_object_get(want, "process_exit_status") != NULL;
    const bool      must_fail = dies || json_is_object(error);
    if ((rc != BT_OK) != must_fail) {
        fail_msg("%s as '%s': status %s %s", name, compression, bt_status_name(rc), err.msg);
    }
    const int64_t n_want =
        json_integer_value(json_object_get(want, dies ? "records_seen" : "records_read"));
    if (dies ? n < n_want : n != n_want) { /* TensorFlow dies reading ahead, sooner or later */
        fail_msg("%s as '%s': %lld records, expected %lld", name, compression, (long long)n,
                 (long long)n_want);
    }
    const json_t *const want_sizes = json_object_get(want, "record_sizes");
    for (size_t i = 0; i < json_array_size(want_sizes); i++) {
        assert_int_equal(sizes[i], json_integer_value(json_array_get(want_sizes, i)));
    }
    if (rc != BT_OK) {
        const bool missing = strcmp(name, "no_such_file.tfrecord") == 0;
        assert_int_equal(rc, missing ? BT_E_IO : BT_E_FORMAT);
        assert_non_null(strstr(err.msg, name));
        /* zlib's own words, as TensorFlow passes them on */
        const char *const text = json_string_value(json_object_get(error, "message"));
        const char *const colon = text != NULL ? strstr(text, "error -3: ") : NULL;
        if (colon != NULL && strstr(err.msg, colon + strlen("error -3: ")) == NULL) {
            fail_msg("%s: '%s' lacks '%s'", name, err.msg, colon);
        }
        long at = 0; /* "corrupted record at N": N is a header, or 12 after it */
        if (text != NULL && sscanf(text, "corrupted record at %ld", &at) == 1) {
            char place[2][40];
            (void)snprintf(place[0], sizeof place[0], "at byte %ld:", at);
            (void)snprintf(place[1], sizeof place[1], "at byte %ld:", at - 12);
            assert_true(strstr(err.msg, place[0]) != NULL || strstr(err.msg, place[1]) != NULL);
        }
    }
}

static void test_goldens(void **state) {
    (void)state;
    const char *const path = test_shared_path("goldens/data/tfrecord/expected.json");
    if (path == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    json_t *const root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    const char *name = NULL;
    json_t     *entry = NULL;
    size_t      n_checked = 0;
    json_object_foreach(json_object_get(root, "files"), name, entry) {
        check_golden(name, json_string_value(json_object_get(entry, "compression_type")),
                     json_object_get(entry, "TFRecordDataset"));
        n_checked++;
    }
    size_t i = 0;
    json_array_foreach(json_object_get(root, "wrong_compression"), i, entry) {
        check_golden(json_string_value(json_object_get(entry, "file")),
                     json_string_value(json_object_get(entry, "read_as")),
                     json_object_get(entry, "TFRecordDataset"));
        n_checked++;
    }
    assert_true(n_checked >= 47);
    json_decref(root);
}

/* What TensorFlow ignores silently is told to the caller. */
static void test_trailing_bytes(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    char              path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/t.tfrecord", folder);
    for (size_t extra = 0; extra < 12; extra++) {
        bt_str s = BT_STR_INIT;
        assert_ok(bt_tfrecord_frame(&s, "abc", 3, err));
        assert_ok(bt_str_append_n(&s, "0123456789ab", extra, err));
        test_write_file(path, s.data, s.len);
        int64_t n = 0;
        int64_t n_trailing = 0;
        int64_t sizes[64];
        assert_ok(read_file(path, BT_COMPRESSION_NONE, &n, sizes, &n_trailing, err));
        assert_int_equal(n, 1);
        assert_int_equal(n_trailing, extra);
        bt_tfrecord_index index;
        assert_ok(bt_tfrecord_index_build(path, &index, err));
        assert_int_equal(index.n_records, 1);
        assert_int_equal(index.n_trailing_bytes, extra);
        assert_int_equal(index.offsets[1], 19);
        bt_tfrecord_index_deinit(&index);
        bt_str_deinit(&s);
    }
}

static size_t record_size(size_t i) {
    static const size_t sizes[] = {0, 1, 7, 8, 127, 128, 4095, 4096, 300000};
    return sizes[i % BT_ARRAY_LEN(sizes)];
}

static uint8_t record_byte(size_t i, size_t j) {
    return (uint8_t)(i * 31 + j * 7 + (j >> 8));
}

static void fill_record(uint8_t *bytes, size_t i) {
    for (size_t j = 0; j < record_size(i); j++) {
        bytes[j] = record_byte(i, j);
    }
}

enum { N_RECORDS = 40 };

static bt_status write_records(const char *path, bt_compression compression, bt_error *err) {
    static uint8_t      bytes[300000];
    bt_tfrecord_writer *writer = NULL;
    bt_status           rc = BT_OK;
    BT_CHECK(bt_tfrecord_writer_create(path, compression, &writer, err));
    for (size_t i = 0; i < N_RECORDS; i++) {
        fill_record(bytes, i);
        BT_CHECK(bt_tfrecord_write(writer, bytes, record_size(i), err));
    }
    assert_int_equal(bt_tfrecord_writer_count(writer), N_RECORDS);
    BT_CHECK(bt_tfrecord_writer_commit(&writer, err));
done:
    bt_tfrecord_writer_abort(writer);
    return rc;
}

static void check_record(const bt_record *record, size_t i) {
    assert_int_equal(record->index, i);
    assert_int_equal(record->data.n_bytes, record_size(i));
    for (size_t j = 0; j < record->data.n_bytes; j++) {
        if (record->data.data[j] != record_byte(i, j)) {
            fail_msg("record %zu differs at byte %zu", i, j);
        }
    }
}

static void test_round_trip(void **state) {
    (void)state;
    static const bt_compression all[] = {BT_COMPRESSION_NONE, BT_COMPRESSION_GZIP,
                                         BT_COMPRESSION_ZLIB};
    char                        path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/r.tfrecord", test_temp_dir());
    for (size_t c = 0; c < BT_ARRAY_LEN(all); c++) {
        assert_ok(write_records(path, all[c], err));
        bt_tfrecord_reader *reader = NULL;
        assert_ok(bt_tfrecord_open(path, all[c], &reader, err));
        for (size_t i = 0; i < N_RECORDS; i++) {
            bt_record record;
            bool      end = true;
            assert_ok(bt_tfrecord_next(reader, &record, &end, err));
            assert_false(end);
            check_record(&record, i);
        }
        bt_record record;
        bool      end = false;
        assert_ok(bt_tfrecord_next(reader, &record, &end, err));
        assert_true(end);
        bt_tfrecord_close(reader);
    }
}

static void test_any_order(void **state) {
    (void)state;
    char path[TEST_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/r.tfrecord", test_temp_dir());
    assert_ok(write_records(path, BT_COMPRESSION_NONE, err));
    bt_tfrecord_index index;
    bt_file          *file = NULL;
    bt_str            buffer = BT_STR_INIT;
    bt_record         record;
    assert_ok(bt_tfrecord_index_build(path, &index, err));
    assert_int_equal(index.n_records, N_RECORDS);
    assert_ok(bt_fs_open(path, &file, err));
    for (int64_t i = N_RECORDS - 1; i >= 0; i--) {
        assert_ok(bt_tfrecord_read_frame(file, index.offsets[i], index.offsets[i + 1], i, &buffer,
                                         &record, err));
        check_record(&record, (size_t)i);
    }
    int64_t offset = 0;
    for (int64_t i = 0; i < N_RECORDS; i++) {
        assert_ok(bt_tfrecord_read_offset(file, offset, i, &buffer, &record, &offset, err));
        check_record(&record, (size_t)i);
        assert_int_equal(offset, index.offsets[i + 1]);
    }
    assert_fails(bt_tfrecord_read_offset(file, 5, 0, &buffer, &record, NULL, err), BT_E_FORMAT,
                 "crc of the length");
    assert_fails(bt_tfrecord_read_offset(file, offset, N_RECORDS, &buffer, &record, NULL, err),
                 BT_E_IO, "it ends at");
    bt_fs_close(file);

    /* one byte of record 8 changed: that record and no other is refused */
    size_t      n_bytes = 0;
    char *const bytes = test_read_file(path, &n_bytes);
    bytes[index.offsets[8] + 100] ^= 1;
    test_write_file(path, bytes, n_bytes);
    assert_ok(bt_fs_open(path, &file, err));
    assert_fails(bt_tfrecord_read_frame(file, index.offsets[8], index.offsets[8 + 1], 8, &buffer,
                                        &record, err),
                 BT_E_FORMAT, "record 8 at byte");
    assert_ok(bt_tfrecord_read_frame(file, index.offsets[9], index.offsets[9 + 1], 9, &buffer,
                                     &record, err));
    /* an index of another file */
    index.offsets[10] -= 1;
    assert_fails(bt_tfrecord_read_frame(file, index.offsets[9], index.offsets[9 + 1], 9, &buffer,
                                        &record, err),
                 BT_E_FORMAT, "record 9");
    index.offsets[10] += 2;
    assert_fails(bt_tfrecord_read_frame(file, index.offsets[9], index.offsets[9 + 1], 9, &buffer,
                                        &record, err),
                 BT_E_FORMAT, "changed its length");
    bt_fs_close(file);
    bt_free(bytes);
    bt_str_deinit(&buffer);
    bt_tfrecord_index_deinit(&index);
}

/* A 3-byte record, as an independent program (bit by bit crc) makes it. */
static void test_known_bytes(void **state) {
    (void)state;
    bt_str s = BT_STR_INIT;
    assert_ok(bt_tfrecord_frame(&s, "abc", 3, err));
    static const uint8_t want[19] = {0x03, 0,    0,   0,   0,   0,    0,    0,    0xdf, 0x6c,
                                     0xdf, 0x99, 'a', 'b', 'c', 0x2a, 0x06, 0x9d, 0x1e};
    uint32_t             crc = ~0U;
    for (size_t i = 0; i < 8; i++) {
        crc ^= want[i];
        for (int k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (0x82f63b78U & (0U - (crc & 1U)));
        }
    }
    crc = ~crc;
    assert_int_equal(bt_load_u32le((const uint8_t *)s.data + 8),
                     (uint32_t)((crc >> 15 | crc << 17) + 0xa282ead8U));
    assert_int_equal(s.len, sizeof want);
    assert_memory_equal(s.data, want, 8);
    assert_memory_equal(s.data + 12, "abc", 3);
    bt_str_deinit(&s);
}

static void test_write_faults(void **state) {
    (void)state;
    static const bt_fs_op ops[] = {BT_FS_OP_OPEN, BT_FS_OP_WRITE, BT_FS_OP_FSYNC, BT_FS_OP_RENAME};
    char                  path[TEST_PATH_MAX];
    const char *const     folder = test_temp_dir();
    (void)snprintf(path, sizeof path, "%s/r.tfrecord", folder);
    for (size_t c = 0; c < 2; c++) {
        const bt_compression compression = c == 0 ? BT_COMPRESSION_NONE : BT_COMPRESSION_GZIP;
        for (size_t o = 0; o < BT_ARRAY_LEN(ops); o++) {
            for (uint64_t k = 1; k < 100; k++) {
                bt_error fault = BT_ERROR_INIT;
                bt_fs_fail_at(ops[o], k, false);
                const bt_status rc = write_records(path, compression, &fault);
                bt_fs_fail_at(ops[o], 0, false);
                bt_fs_names names = BT_FS_NAMES_INIT;
                assert_ok(bt_fs_list(folder, &names, err));
                assert_true(names.n <= 1); /* never a temporary left behind */
                bt_fs_names_deinit(&names);
                if (rc == BT_OK) {
                    break;
                }
                assert_int_equal(rc, BT_E_RESOURCE);
                assert_non_null(strstr(fault.msg, folder));
            }
        }
        for (uint64_t k = 1; k < 100; k++) {
            bt_error fault = BT_ERROR_INIT;
            bt_alloc_fail_at(k, (k & 1) != 0);
            const bt_status rc = write_records(path, compression, &fault);
            bt_alloc_fail_at(0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_int_equal(rc, BT_E_NOMEM);
        }
    }
}

/* The records of a file up to its end or its fault; then what bt_tfrecord_check_end says. */
static bt_status read_to_end(const char *path, bt_compression compression, int64_t *n,
                             bt_error *err) {
    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bool                end = false;
    bt_status           rc = bt_tfrecord_open(path, compression, &reader, err);
    *n = 0;
    while (rc == BT_OK && !end) {
        rc = bt_tfrecord_next(reader, &record, &end, err);
        *n += rc == BT_OK && !end;
    }
    rc = rc == BT_OK ? bt_tfrecord_check_end(reader, err) : rc;
    bt_tfrecord_close(reader);
    return rc;
}

/* A file that is cut before its first record is whole is not an empty one, and a stream that lacks
 * its end is refused wherever it was cut. */
static void test_cut_files(void **state) {
    static const bt_compression kinds[] = {BT_COMPRESSION_NONE, BT_COMPRESSION_GZIP};
    char                        path[TEST_PATH_MAX];
    int64_t                     n = 0;
    size_t                      n_bytes = 0;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/cut.tfrecord", test_temp_dir());
    for (size_t c = 0; c < BT_ARRAY_LEN(kinds); c++) {
        assert_ok(write_records(path, kinds[c], err));
        char *const whole = test_read_file(path, &n_bytes);
        assert_ok(read_to_end(path, kinds[c], &n, err));
        for (size_t k = 0; k < n_bytes; k += k < 100 ? 1 : n_bytes / 100 + 1) {
            bt_error err = BT_ERROR_INIT;
            test_write_file(path, whole, k);
            const bt_status rc = read_to_end(path, kinds[c], &n, &err);
            if (k == 0) {
                assert_int_equal(rc, BT_OK);
            } else if (c > 0 || n == 0) {
                assert_int_equal(rc, BT_E_FORMAT);
            }
            if (c == 0 && k > 0 && k < 12) {
                bt_tfrecord_index index = {0};
                assert_non_null(
                    strstr(err.msg, "record 0 at byte 0 is truncated: its header has 12"));
                assert_int_equal(bt_tfrecord_index_build(path, &index, &err), BT_E_FORMAT);
            }
        }
        free(whole);
    }
}

static void test_read_faults(void **state) {
    (void)state;
    char    path[TEST_PATH_MAX];
    int64_t sizes[64];
    int64_t n = 0;
    int64_t n_trailing = 0;
    (void)snprintf(path, sizeof path, "%s/r.tfrecord", test_temp_dir());
    for (size_t c = 0; c < 2; c++) {
        const bt_compression compression = c == 0 ? BT_COMPRESSION_NONE : BT_COMPRESSION_GZIP;
        assert_ok(write_records(path, compression, err));
        for (uint64_t k = 1; k < 200; k++) {
            bt_error err = BT_ERROR_INIT;
            bt_fs_fail_at(BT_FS_OP_READ, k, false);
            const bt_status rc = read_file(path, compression, &n, sizes, &n_trailing, &err);
            bt_fs_fail_at(BT_FS_OP_READ, 0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_int_equal(rc, BT_E_IO);
        }
        for (uint64_t k = 1; k < 200; k++) {
            bt_error err = BT_ERROR_INIT;
            bt_alloc_fail_at(k, false);
            const bt_status rc = read_file(path, compression, &n, sizes, &n_trailing, &err);
            bt_alloc_fail_at(0, false);
            if (rc == BT_OK) {
                break;
            }
            assert_int_equal(rc, BT_E_NOMEM);
        }
    }
    assert_ok(write_records(path, BT_COMPRESSION_NONE, err));
    for (uint64_t k = 1; k < 20; k++) {
        bt_error          err = BT_ERROR_INIT;
        bt_tfrecord_index index = {0};
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_tfrecord_index_build(path, &index, &err);
        bt_alloc_fail_at(0, false);
        bt_tfrecord_index_deinit(&index);
        if (rc == BT_OK) {
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),      cmocka_unit_test(test_trailing_bytes),
        cmocka_unit_test(test_cut_files),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_order),    cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_write_faults), cmocka_unit_test(test_read_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
