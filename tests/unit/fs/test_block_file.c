/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of a store, block by block: a reader gets the store's bytes whatever the fetchers do, and
 * no fetcher outlives the last reader, not even by what a library frees at the end of a thread (a
 * process that ends meanwhile leaves it: OpenSSL's 904 bytes were a leak, once in a hundred runs).
 */
#define _GNU_SOURCE /* what block_file.c needs */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "bt/fs.h"
#include "remote.h"
#include "test_support.h"

/* The file under test, with a store of ours and threads that end slowly. */
static const remote_store *own_store(const char *path);
static bt_status           own_look(const remote_store *store, const char *path, remote_info *out,
                                    bt_error *err);
static int slow_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                       void *context);
#define remote_store_of own_store
#define remote_look own_look
#define pthread_create slow_create
#include "block_file.c"
#undef pthread_create

enum { N_BLOCKS = 9, TAIL = 12345, N_ROUNDS = 3 };

static atomic_int n_started;
static atomic_int n_ended;

static uint8_t byte_at(int64_t i) {
    return (uint8_t)(i * 31 + i / 4099);
}

static void sleep_ms(long ms) {
    const struct timespec time = {0, ms * 1000000};
    (void)nanosleep(&time, NULL);
}

static bt_status own_read(const char *path, const remote_info *info, int64_t offset, void *dst,
                          size_t n, const atomic_int *cancel, bt_error *err) {
    (void)path, (void)info, (void)cancel, (void)err;
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)dst)[i] = byte_at(offset + (int64_t)i);
    }
    return BT_OK;
}

static const remote_store store_of_bytes = {.scheme = "s3", .read = own_read};

static const remote_store *own_store(const char *path) {
    (void)path;
    return &store_of_bytes;
}

static bt_status own_look(const remote_store *store, const char *path, remote_info *out,
                          bt_error *err) {
    static int64_t n_versions;
    (void)store, (void)path, (void)err;
    *out = (remote_info){.kind = BT_FS_FILE, .n_bytes = N_BLOCKS * block_bytes + TAIL};
    out->version = ++n_versions; /* another file each time: nothing is kept */
    return BT_OK;
}

typedef struct slow_start {
    void *(*start)(void *);
    void *context;
} slow_start;

static pthread_key_t at_end;

static void end_slowly(void *context) {
    bt_free(context);
    sleep_ms(30);
    n_ended++;
}

static void *run_slowly(void *context) {
    slow_start *const s = context;
    (void)pthread_setspecific(at_end, s);
    return s->start(s->context);
}

static int slow_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                       void *context) {
    slow_start *const s = bt_alloc(sizeof *s);
    assert_non_null(s);
    *s = (slow_start){start, context};
    n_started++;
    return pthread_create(thread, attr, run_slowly, s);
}

static void read_pieces(block_file *file, int64_t step, size_t n) {
    static uint8_t bytes[1 << 16];
    const int64_t  size = block_file_size(file);
    for (int64_t at = 0; at < size; at += step) {
        size_t got = 0;
        assert_ok(block_file_read(file, at, bytes, n, &got, err));
        assert_int_equal(got, (int64_t)n < size - at ? (int64_t)n : size - at);
        for (size_t i = 0; i < got; i++) {
            assert_int_equal(bytes[i], byte_at(at + (int64_t)i));
        }
    }
}

static void test_no_fetcher_outlives_its_readers(void **state) {
    bt_error    problem = BT_ERROR_INIT;
    block_file *probe = NULL;
    (void)state;
    if (block_file_open("s3://bucket/name", &probe, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without libcurl");
    }
    block_file_close(probe);
    assert_int_equal(pthread_key_create(&at_end, end_slowly), 0);
    for (int round = 0; round < N_ROUNDS; round++) {
        block_file *file = NULL;
        assert_ok(block_file_open("s3://bucket/name", &file, err));
        if (round == 0) { /* closed while they work */
            uint8_t one = 0;
            size_t  got = 0;
            assert_ok(block_file_read(file, 0, &one, 1, &got, err));
        } else {
            read_pieces(file, round == 1 ? block_bytes / 2 : block_bytes, 1 << 16);
        }
        block_file_close(file);
        assert_true(n_started > round);
        assert_int_equal(n_started, n_ended);
    }
    (void)pthread_key_delete(at_end);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fetcher_outlives_its_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
