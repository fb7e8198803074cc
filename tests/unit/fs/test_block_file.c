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

static int64_t      n_blocks_of_file = N_BLOCKS;
static atomic_llong n_bytes_asked;
static atomic_int   n_started;
static atomic_int   n_ended;

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
    n_bytes_asked += (long long)n;
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
    *out = (remote_info){.kind = BT_FS_FILE, .n_bytes = n_blocks_of_file * block_bytes + TAIL};
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

static void read_one(block_file *file, int64_t at) {
    uint8_t one = 0;
    size_t  got = 0;
    assert_ok(block_file_read(file, at, &one, 1, &got, err));
    assert_int_equal(got, 1);
    assert_int_equal(one, byte_at(at));
}

/* The first rows of a shuffled file cost a block each, and no thread; later ones bring the rest of
 * the file, and no byte comes twice. */
static void test_jumps(void **state) {
    enum { FEW = 10, MANY = 40, STEP = 37, ALL = 211 };
    bt_error    problem = BT_ERROR_INIT;
    block_file *file = NULL;
    (void)state;
    n_blocks_of_file = ALL;
    if (block_file_open("s3://bucket/shuffled", &file, &problem) == BT_E_UNSUPPORTED) {
        test_skip("built without libcurl");
    }
    assert_int_equal(pthread_key_create(&at_end, end_slowly), 0);
    n_bytes_asked = 0;
    n_started = n_ended = 0;
    for (int64_t i = 1; i <= FEW; i++) {
        read_one(file, i * STEP % ALL * block_bytes + i);
    }
    assert_int_equal(n_bytes_asked, FEW * block_bytes);
    assert_int_equal(n_started, 0);
    for (int64_t i = FEW + 1; i <= MANY; i++) {
        read_one(file, i * STEP % ALL * block_bytes + i);
    }
    assert_true(n_started > 0);
    for (int i = 0; i < 12000 && n_bytes_asked < block_file_size(file); i++) {
        sleep_ms(10); /* nobody asks, and all of it comes */
    }
    assert_int_equal(n_bytes_asked, block_file_size(file));
    read_pieces(file, block_bytes, 1 << 16);
    assert_int_equal(n_bytes_asked, block_file_size(file));
    block_file_close(file);
    assert_int_equal(n_started, n_ended);
    (void)pthread_key_delete(at_end);
    n_blocks_of_file = N_BLOCKS;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_fetcher_outlives_its_readers),
        cmocka_unit_test(test_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
