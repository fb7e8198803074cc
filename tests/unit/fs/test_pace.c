/* SPDX-License-Identifier: Apache-2.0
 *
 * Long files that go to the disk while they are written: the bytes are the same, and what is on the
 * disk is no longer in the page cache. */
#define _GNU_SOURCE /* mincore */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "test_support.h"

enum { N_BYTES = (40 << 20) + 12345, PIECE = 1300007, BEHIND = 16 << 20, TMPFS = 0x01021994 };

static uint8_t byte_at(size_t i) {
    return (uint8_t)(i * 31 + i / 4099);
}

static void write_paced(const char *path, const uint8_t *bytes) {
    bt_fs_writer *writer = NULL;
    assert_ok(bt_fs_writer_create(path, &writer, err));
    bt_fs_writer_pace(writer);
    for (size_t at = 0; at < N_BYTES;) { /* small ones, and one beyond a window */
        const size_t size = at == 0 ? 5 : at < PIECE ? PIECE : (size_t)9 << 20;
        const size_t n = size < N_BYTES - at ? size : N_BYTES - at;
        assert_ok(bt_fs_writer_write(writer, bytes + at, n, err));
        at += n;
    }
    assert_ok(bt_fs_writer_commit(&writer, err));
}

/* Pages of the first n_bytes that are in the cache, of how many. */
static size_t count_cached(const char *path, size_t n_bytes, size_t *n_pages) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *n_pages = n_bytes / page;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    void *const map = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    unsigned char *const cached = bt_alloc_array(*n_pages, 1);
    assert_non_null(cached);
    assert_int_equal(mincore(map, n_bytes, cached), 0);
    size_t n = 0;
    for (size_t i = 0; i < *n_pages; i++) {
        n += cached[i] & 1;
    }
    bt_free(cached);
    (void)munmap(map, n_bytes);
    (void)close(fd);
    return n;
}

static void test_pace(void **state) {
    (void)state;
    char          path[TEST_PATH_MAX];
    char         *text = NULL;
    size_t        n_bytes = 0;
    size_t        n_pages = 0;
    struct statfs disk;
    (void)snprintf(path, sizeof path, "%s/long", test_temp_dir());
    uint8_t *const bytes = bt_alloc_array(N_BYTES, 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < N_BYTES; i++) {
        bytes[i] = byte_at(i);
    }
    write_paced(path, bytes);
    assert_int_equal(statfs(path, &disk), 0);
    if (disk.f_type != TMPFS) { /* whose pages are the file */
        const size_t n_cached = count_cached(path, BEHIND, &n_pages);
        print_message("%zu of the first %zu pages are in the cache\n", n_cached, n_pages);
        assert_true(n_cached < n_pages / 2);
    }
    assert_ok(bt_fs_read_all(path, SIZE_MAX, &text, &n_bytes, err));
    assert_int_equal(n_bytes, N_BYTES);
    assert_memory_equal(text, bytes, N_BYTES);
    bt_free(text);
    bt_free(bytes);
}

/* A pipe and a descriptor have no disk. */
static void test_no_disk(void **state) {
    (void)state;
    bt_fs_writer *writer = NULL;
    int           ends[2];
    char          path[64];
    char          got[8] = "";
    assert_int_equal(pipe(ends), 0);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    assert_ok(bt_fs_writer_create(path, &writer, err));
    bt_fs_writer_pace(writer);
    assert_ok(bt_fs_writer_write(writer, "text", 4, err));
    assert_ok(bt_fs_writer_commit(&writer, err));
    assert_int_equal(read(ends[0], got, sizeof got), 4);
    assert_string_equal(got, "text");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pace), cmocka_unit_test(test_no_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
