/* SPDX-License-Identifier: Apache-2.0
 *
 * The caps of unpacking: an archive is given up as soon as it holds more bytes or entries than it
 * may, and one that holds exactly as many is not. (Names, links and the like: tests/remote/hub.py.)
 */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "test_support.h"

enum { BLOCK = 512, FILE_BYTES = 600, N_FILES = 3, TAR_BYTES = N_FILES * 3 * BLOCK + 2 * BLOCK };

/* A file of a tar archive: its header and its content, in three blocks. */
static void put_file(uint8_t *at, const char *name) {
    uint32_t sum = 0;
    char    *header = (char *)at;
    (void)snprintf(header, 100, "%s", name);
    (void)snprintf(header + 100, 8, "%07o", 0644U);
    (void)snprintf(header + 124, 12, "%011o", (unsigned)FILE_BYTES);
    (void)snprintf(header + 136, 12, "%011o", 0U);
    memset(header + 148, ' ', 8);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < BLOCK; i++) {
        sum += at[i];
    }
    (void)snprintf(header + 148, 8, "%06o", sum);
    memset(at + BLOCK, 'x', FILE_BYTES);
}

static const char *make_archive(void) {
    static char path[TEST_PATH_MAX];
    uint8_t     tar[TAR_BYTES] = {0};
    for (size_t i = 0; i < N_FILES; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        put_file(tar + i * 3 * BLOCK, name);
    }
    (void)snprintf(path, sizeof path, "%s/a.tar", test_temp_dir());
    test_write_file(path, tar, sizeof tar);
    return path;
}

/* Skips where the build cannot unpack. */
static void test_caps(void **state) {
    static const struct {
        int64_t     max_entries;
        int64_t     max_bytes;
        const char *refusal; /* NULL: none */
        bool        has_first;
        bool        has_last;
    } rows[] = {
        {N_FILES, N_FILES * FILE_BYTES, NULL, true, true},
        {N_FILES, N_FILES * FILE_BYTES - 1, "unpacks to more than 1799 bytes", true, true},
        {N_FILES, 2 * FILE_BYTES, "unpacks to more than 1200 bytes", true, true},
        {N_FILES, FILE_BYTES, "unpacks to more than 600 bytes", true, false},
        {N_FILES, 0, "unpacks to more than 0 bytes", true, false},
        {N_FILES - 1, N_FILES * FILE_BYTES, "has more than 2 entries", true, false},
        {0, N_FILES * FILE_BYTES, "has more than 0 entries", false, false},
    };
    const char *const archive = make_archive();
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const char *const folder = test_temp_dir();
        bt_error          problem = BT_ERROR_INIT;
        char              path[TEST_PATH_MAX];
        const bt_status   rc =
            bt_fs_unpack(archive, folder, rows[i].max_entries, rows[i].max_bytes, &problem);
        if (rc == BT_E_UNSUPPORTED) {
            test_skip("built without libarchive");
        }
        assert_int_equal(rc, rows[i].refusal == NULL ? BT_OK : BT_E_FORMAT);
        if (rows[i].refusal != NULL) {
            assert_non_null(strstr(problem.msg, rows[i].refusal));
        }
        (void)snprintf(path, sizeof path, "%s/a", folder);
        assert_int_equal(bt_fs_exists(path), rows[i].has_first);
        (void)snprintf(path, sizeof path, "%s/c", folder);
        assert_int_equal(bt_fs_exists(path), rows[i].has_last);
    }
}

/* What went over the cap was not written: the disk never holds more than max_bytes. */
static void test_nothing_beyond_the_cap(void **state) {
    const char *const folder = test_temp_dir();
    bt_error          problem = BT_ERROR_INIT;
    char              path[TEST_PATH_MAX];
    size_t            n_bytes = 0;
    (void)state;
    if (bt_fs_unpack(make_archive(), folder, N_FILES, FILE_BYTES + 1, &problem) ==
        BT_E_UNSUPPORTED) {
        test_skip("built without libarchive");
    }
    (void)snprintf(path, sizeof path, "%s/b", folder);
    bt_free(test_read_file(path, &n_bytes));
    assert_int_equal(n_bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_nothing_beyond_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
