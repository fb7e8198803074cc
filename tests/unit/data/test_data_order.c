/* SPDX-License-Identifier: Apache-2.0
 *
 * In which order records come, batch borders, epochs, and that a cursor continues exactly. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "data_fixture.h"

enum { MAX_ROWS = 4096 };

typedef struct row_list {
    int64_t ids[MAX_ROWS];
    int64_t sizes[MAX_ROWS]; /* of batches */
    int64_t n;
    int64_t n_batches;
    bool    ended;
} row_list;

/* Takes up to n_batches batches and checks each row's content. */
static void take(bt_data_stream *stream, int64_t n_batches, row_list *out) {
    *out = (row_list){0};
    for (int64_t i = 0; i < n_batches; i++) {
        const bt_batch *batch = NULL;
        assert_ok(bt_data_next_batch(stream, &batch, &out->ended, err));
        if (out->ended) {
            assert_null(batch);
            return;
        }
        assert_int_equal(batch->offsets[0], 0);
        assert_int_equal(batch->offsets[batch->n_seqs], batch->n_tokens);
        assert_null(batch->key_mask);
        for (int64_t b = 0; b < batch->n_seqs; b++) {
            fixture_check_row(batch, b, batch->example_ids[b]);
            out->ids[out->n++] = batch->example_ids[b];
        }
        out->sizes[out->n_batches++] = batch->n_seqs;
    }
}

static bt_data_stream *open_stream(const bt_data_config *config) {
    const bt_data_schema schema = fixture_schema();
    bt_data_stream      *stream = NULL;
    assert_ok(bt_data_open(config, &schema, &stream, err));
    return stream;
}

static void test_file_order_and_epoch_seam(void **state) {
    (void)state;
    const char *const    path = fixture_file(test_temp_dir(), "a.tfrecord", 0, 10);
    const bt_data_config config = fixture_config(&path, 1);
    bt_data_stream      *stream = open_stream(&config);
    row_list             got;
    assert_int_equal(bt_data_n_rows(stream), 10);
    take(stream, 6, &got);
    assert_int_equal(got.n, 24);
    for (int64_t i = 0; i < 24; i++) {
        assert_int_equal(got.ids[i], i % 10); /* batch 2 holds rows 8 9 0 1 */
    }
    const bt_data_cursor cursor = bt_data_get_cursor(stream);
    assert_int_equal(cursor.epoch, 2);
    assert_int_equal(cursor.index, 4);
    bt_data_close(stream);
}

static void test_training_batch_larger_than_the_file(void **state) {
    (void)state;
    const char *const path = fixture_file(test_temp_dir(), "a.tfrecord", 0, 3);
    bt_data_config    config = fixture_config(&path, 1);
    config.global_batch_size = 8;
    bt_data_stream *stream = open_stream(&config);
    row_list        got;
    take(stream, 2, &got);
    assert_int_equal(got.n, 16);
    for (int64_t i = 0; i < 16; i++) {
        assert_int_equal(got.ids[i], i % 3);
    }
    bt_data_close(stream);
}

static void test_evaluation_ends(void **state) {
    (void)state;
    const char *const path = fixture_file(test_temp_dir(), "a.tfrecord", 0, 10);
    static const struct {
        bool    drop;
        int64_t batch;
        int64_t sizes[4];
    } rows[] = {
        {false, 4, {4, 4, 2}}, {true, 4, {4, 4}}, {false, 5, {5, 5}},
        {true, 5, {5, 5}},     {false, 64, {10}}, {true, 64, {0}},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_data_config config = fixture_config(&path, 1);
        config.is_training = false;
        config.shuffle_buffer_size = 100; /* has no effect without training */
        config.drop_remainder = rows[i].drop;
        config.global_batch_size = rows[i].batch;
        bt_data_stream *stream = open_stream(&config);
        row_list        got;
        for (int round = 0; round < 2; round++) {
            take(stream, 10, &got);
            assert_true(got.ended);
            for (int64_t k = 0; k < 4; k++) {
                assert_int_equal(k < got.n_batches ? got.sizes[k] : 0, rows[i].sizes[k]);
            }
            for (int64_t k = 0; k < got.n; k++) {
                assert_int_equal(got.ids[k], k);
            }
            take(stream, 1, &got); /* stays at the end */
            assert_true(got.ended);
            assert_ok(bt_data_seek(stream, (bt_data_cursor){0}, err));
        }
        bt_data_close(stream);
    }
}

static void test_shuffle_is_exact_and_named_by_seed_and_epoch(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const paths[] = {fixture_file(folder, "a.tfrecord", 0, 60),
                                 fixture_file(folder, "b.tfrecord", 60, 41)};
    bt_data_config    config = fixture_config(paths, 2);
    config.shuffle_buffer_size = 100;
    config.global_batch_size = 101;
    config.cycle_length = 2;
    row_list first;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        config.seed = seed;
        bt_data_stream *stream = open_stream(&config);
        row_list        again;
        row_list        got;
        take(stream, 1, &got);
        bool    seen[101] = {false};
        int64_t n_in_place = 0;
        for (int64_t i = 0; i < 101; i++) {
            assert_false(seen[got.ids[i]]);
            seen[got.ids[i]] = true;
            n_in_place += got.ids[i] == i ? 1 : 0;
        }
        assert_true(n_in_place < 10);
        take(stream, 1, &again); /* the second epoch is another order */
        assert_memory_not_equal(again.ids, got.ids, 101 * sizeof got.ids[0]);
        if (seed == 1) {
            first = got;
        } else {
            assert_memory_not_equal(first.ids, got.ids, 101 * sizeof got.ids[0]);
        }
        assert_ok(bt_data_seek(stream, (bt_data_cursor){0}, err));
        take(stream, 1, &again);
        assert_memory_equal(again.ids, got.ids, 101 * sizeof got.ids[0]);
        bt_data_close(stream);
    }
}

static void test_interleave(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const paths[] = {
        fixture_file(folder, "a.tfrecord", 0, 3), fixture_file(folder, "b.tfrecord", 100, 5),
        fixture_file(folder, "c.tfrecord", 200, 2), fixture_file(folder, "d.tfrecord", 300, 3)};
    /* what tf.data's serial interleave gives, worked out by hand from its description */
    static const struct {
        int64_t cycle;
        int64_t block;
        int64_t want[13];
    } rows[] = {
        {0, 1, {0, 1, 2, 100, 101, 102, 103, 104, 200, 201, 300, 301, 302}},
        {1, 3, {0, 1, 2, 100, 101, 102, 103, 104, 200, 201, 300, 301, 302}},
        {2, 1, {0, 100, 1, 101, 2, 102, 103, 200, 104, 201, 300, 301, 302}},
        {2, 2, {0, 1, 100, 101, 2, 102, 103, 200, 201, 104, 300, 301, 302}},
        {9, 1, {0, 100, 200, 300, 1, 101, 201, 301, 2, 102, 302, 103, 104}},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_data_config config = fixture_config(paths, 4);
        config.cycle_length = rows[i].cycle;
        config.block_length = rows[i].block;
        config.global_batch_size = 13;
        bt_data_stream *stream = open_stream(&config);
        row_list        got;
        take(stream, 2, &got);
        for (int64_t k = 0; k < 26; k++) {
            if (got.ids[k] != rows[i].want[k % 13]) {
                fail_msg("cycle %d block %d: place %d: got %d, expected %d", (int)rows[i].cycle,
                         (int)rows[i].block, (int)k, (int)got.ids[k], (int)rows[i].want[k % 13]);
            }
        }
        bt_data_close(stream);
    }
}

static void test_globs_and_lists(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    (void)fixture_file(folder, "part-2.tfrecord", 20, 2);
    (void)fixture_file(folder, "part-1.tfrecord", 10, 2);
    (void)fixture_file(folder, "other.tfrecord", 90, 1);
    char pattern[TEST_PATH_MAX];
    (void)snprintf(pattern, sizeof pattern, "%.4000s/part-?.tfrecord", folder);
    char other[TEST_PATH_MAX];
    (void)snprintf(other, sizeof other, "%.4000s/other.tfrecord", folder);
    const char *const paths[] = {other, pattern};
    bt_data_config    config = fixture_config(paths, 2);
    config.global_batch_size = 5;
    bt_data_stream *stream = open_stream(&config);
    row_list        got;
    take(stream, 1, &got);
    static const int64_t want[] = {90, 10, 11, 20, 21};
    assert_memory_equal(got.ids, want, sizeof want);
    bt_data_close(stream);
}

/* The promise of resume: whatever the place, the same batches follow. */
static void check_seek_everywhere(const bt_data_config *config, int64_t n_batches) {
    bt_data_stream *straight = open_stream(config);
    bt_data_stream *other = open_stream(config);
    bt_data_cursor  cursors[64];
    row_list        all;
    row_list        got;
    all = (row_list){0};
    for (int64_t i = 0; i < n_batches; i++) {
        cursors[i] = bt_data_get_cursor(straight);
        take(straight, 1, &got);
        assert_false(got.ended);
        memcpy(all.ids + all.n, got.ids, (size_t)got.n * sizeof got.ids[0]);
        all.n += got.n;
    }
    const int64_t B = config->global_batch_size;
    for (int64_t i = n_batches - 1; i >= 0; i--) {
        assert_ok(bt_data_seek(other, cursors[i], err)); /* with read-ahead in flight */
        assert_int_equal(bt_data_get_cursor(other).index, cursors[i].index);
        const int64_t n = n_batches - i < 3 ? n_batches - i : 3;
        take(other, n, &got);
        assert_memory_equal(got.ids, all.ids + i * B, (size_t)(n * B) * sizeof got.ids[0]);
    }
    bt_data_close(straight);
    bt_data_close(other);
}

static void test_seek_continues_exactly(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const paths[] = {fixture_file(folder, "a.tfrecord", 0, 23),
                                 fixture_file(folder, "b.tfrecord", 23, 14)};
    bt_data_config    config = fixture_config(paths, 2);
    config.global_batch_size = 5;
    config.seed = 7;
    check_seek_everywhere(&config, 40);
    config.shuffle_buffer_size = 100;
    check_seek_everywhere(&config, 40);
    config.shuffle_buffer_size = 1;
    config.cycle_length = 2;
    config.block_length = 3;
    check_seek_everywhere(&config, 40);
}

static void test_seek_in_gzip(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const paths[] = {fixture_gzip(fixture_file(folder, "a", 0, 23)),
                                 fixture_gzip(fixture_file(folder, "b", 23, 14))};
    bt_data_config    config = fixture_config(paths, 2);
    config.global_batch_size = 5;
    config.gzip = true;
    for (int64_t cycle = 1; cycle < 3; cycle++) {
        config.cycle_length = cycle;
        config.shuffle_buffer_size = 1;
        check_seek_everywhere(&config, 40);
        config.shuffle_buffer_size = 100;
        check_seek_everywhere(&config, 40);
    }
}

static void test_seek_beyond_the_data(void **state) {
    (void)state;
    const char *const    path = fixture_file(test_temp_dir(), "a.tfrecord", 0, 10);
    bt_data_config       config = fixture_config(&path, 1);
    bt_data_stream      *stream = open_stream(&config);
    const bt_data_cursor beyond = {.epoch = 1, .index = 11};
    assert_fails(bt_data_seek(stream, beyond, err), BT_E_CONFIG, "the data now have 10 records");
    bt_data_close(stream);
    config.is_training = false;
    stream = open_stream(&config);
    assert_fails(bt_data_seek(stream, (bt_data_cursor){.epoch = 1}, err), BT_E_CONFIG, "one epoch");
    bt_data_close(stream);
}

/* What is delivered does not depend on how far the thread has come, and a batch stays as it is
 * until the next call. */
static void test_timing_changes_nothing(void **state) {
    (void)state;
    const char *const path = fixture_file(test_temp_dir(), "a.tfrecord", 0, 57);
    bt_data_config    config = fixture_config(&path, 1);
    config.shuffle_buffer_size = 100;
    bt_data_stream       *slow = open_stream(&config);
    bt_data_stream       *fast = open_stream(&config);
    const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
    for (int i = 0; i < 40; i++) {
        const bt_batch *a = NULL;
        const bt_batch *b = NULL;
        bool            end = false;
        assert_ok(bt_data_next_batch(slow, &a, &end, err));
        assert_ok(bt_data_next_batch(fast, &b, &end, err));
        int64_t ids[4];
        memcpy(ids, a->example_ids, sizeof ids);
        (void)nanosleep(&pause, NULL);
        assert_memory_equal(ids, a->example_ids, sizeof ids);
        assert_int_equal(a->n_tokens, b->n_tokens);
        assert_memory_equal(a->ids, b->ids, (size_t)a->n_tokens * sizeof a->ids[0]);
        assert_int_equal(a->first_record, i * 4);
    }
    assert_true(bt_data_wait_seconds(slow) >= 0);
    bt_data_close(slow);
    bt_data_close(fast);
}

static void test_no_heap_once_warm(void **state) {
    (void)state;
    const char *const path = fixture_file(test_temp_dir(), "a.tfrecord", 0, 50);
    bt_data_config    config = fixture_config(&path, 1);
    config.shuffle_buffer_size = 100;
    bt_data_stream *stream = open_stream(&config);
    row_list        got;
    take(stream, 20, &got);
    const uint64_t before = bt_alloc_count();
    take(stream, 100, &got);
    assert_int_equal(bt_alloc_count(), before);
    bt_data_close(stream);
}

static void test_many_files(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    for (int i = 0; i < 300; i++) { /* more than may be open at once */
        char name[32];
        (void)snprintf(name, sizeof name, "s-%03d", i);
        (void)fixture_file(folder, name, 2 * i, 2);
    }
    char pattern[TEST_PATH_MAX];
    (void)snprintf(pattern, sizeof pattern, "%.4000s/s-*", folder);
    const char *const paths[] = {pattern};
    bt_data_config    config = fixture_config(paths, 1);
    config.global_batch_size = 600;
    bt_data_stream *stream = open_stream(&config);
    row_list        got;
    assert_int_equal(bt_data_n_rows(stream), 600);
    take(stream, 2, &got);
    for (int64_t i = 0; i < 1200; i++) {
        assert_int_equal(got.ids[i], i % 600);
    }
    bt_data_close(stream);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_order_and_epoch_seam),
        cmocka_unit_test(test_training_batch_larger_than_the_file),
        cmocka_unit_test(test_evaluation_ends),
        cmocka_unit_test(test_shuffle_is_exact_and_named_by_seed_and_epoch),
        cmocka_unit_test(test_interleave),
        cmocka_unit_test(test_globs_and_lists),
        cmocka_unit_test(test_seek_continues_exactly),
        cmocka_unit_test(test_seek_in_gzip),
        cmocka_unit_test(test_seek_beyond_the_data),
        cmocka_unit_test(test_timing_changes_nothing),
        cmocka_unit_test(test_no_heap_once_warm),
        cmocka_unit_test(test_many_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
