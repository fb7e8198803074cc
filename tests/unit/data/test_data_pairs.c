/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs for a dual encoder: both sides in one record or in two files, shuffles and cursors over
 * pairs, chains of sides for predictions, damage on one side, refusals, failing memory. */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/wire/example.h"
#include "bt/wire/tfrecord.h"
#include "data_fixture.h"

enum { S = FIXTURE_S };

static bt_data_schema pair_schema(bt_pairing pairing) {
    bt_data_schema schema = fixture_schema();
    schema.label_kind = BT_LABEL_NONE;
    schema.include_example_id = false;
    schema.pairing = pairing;
    return schema;
}

/* A side of n tokens, the first of which is `first`. */
static void add_side(bt_example_builder *builder, const char *side, int64_t first, int64_t n) {
    int64_t ids[S] = {0};
    int64_t mask[S] = {0};
    int64_t types[S] = {0};
    char    key[32];
    for (int64_t t = 0; t < n; t++) {
        ids[t] = t == 0 ? first : t;
        mask[t] = 1;
    }
    (void)snprintf(key, sizeof key, "%s_word_ids", side);
    assert_ok(bt_example_add_i64(builder, key, ids, S, err));
    (void)snprintf(key, sizeof key, "%s_mask", side);
    assert_ok(bt_example_add_i64(builder, key, mask, S, err));
    (void)snprintf(key, sizeof key, "%s_type_ids", side);
    assert_ok(bt_example_add_i64(builder, key, types, S, err));
}

/* Pair r: left begins with 100 + r and has 2 + r % 3 tokens, right with 500 + r and 1 + r % 5. */
static void add_pair(bt_str *frames, int64_t r) {
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_bytes           bytes;
    add_side(&builder, "left", 100 + r, 2 + r % 3);
    add_side(&builder, "right", 500 + r, 1 + r % 5);
    assert_ok(bt_example_finish(&builder, &bytes, err));
    assert_ok(bt_tfrecord_frame(frames, bytes.data, bytes.n_bytes, err));
    bt_example_builder_deinit(&builder);
}

static const char *pair_file(const char *folder, const char *name, int64_t first, int64_t n) {
    bt_str frames = BT_STR_INIT;
    for (int64_t r = first; r < first + n; r++) {
        add_pair(&frames, r);
    }
    return fixture_write(folder, name, &frames);
}

static bt_data_stream *open_pairs(const bt_data_config *config, bt_pairing pairing) {
    const bt_data_schema schema = pair_schema(pairing);
    bt_data_stream      *stream = NULL;
    assert_ok(bt_data_open(config, &schema, &stream, err));
    return stream;
}

/* Sequences 2i and 2i+1 of a batch are pair r. */
static void check_pair(const bt_batch *batch, int64_t i, int64_t r) {
    const int64_t *const offsets = batch->offsets + 2 * i;
    assert_int_equal(batch->ids[offsets[0]], 100 + r);
    assert_int_equal(offsets[1] - offsets[0], 2 + r % 3);
    assert_int_equal(batch->ids[offsets[1]], 500 + r);
    assert_int_equal(offsets[2] - offsets[1], 1 + r % 5);
    assert_int_equal(batch->positions[offsets[1]], 0);
}

static const bt_batch *next(bt_data_stream *stream) {
    const bt_batch *batch = NULL;
    bool            end = false;
    assert_ok(bt_data_next_batch(stream, &batch, &end, err));
    return end ? NULL : batch;
}

static void test_pairs_of_one_file(void **state) {
    (void)state;
    const char *const path = pair_file(test_temp_dir(), "p", 0, 10);
    bt_data_config    config = fixture_config(&path, 1);
    config.is_training = false;
    bt_data_stream *stream = open_pairs(&config, BT_PAIRING_ROWS);
    assert_int_equal(bt_data_n_rows(stream), 10);
    assert_int_equal(bt_data_n_left_rows(stream), 10);
    int64_t r = 0;
    for (const bt_batch *batch = next(stream); batch != NULL; batch = next(stream)) {
        assert_int_equal(batch->n_seqs, r < 8 ? 8 : 4); /* the last batch is short */
        assert_int_equal(batch->first_record, r);
        assert_null(batch->int_labels);
        for (int64_t i = 0; i < batch->n_seqs / 2; i++) {
            check_pair(batch, i, r++);
        }
    }
    assert_int_equal(r, 10);
    bt_data_close(stream);
    config.drop_remainder = true;
    stream = open_pairs(&config, BT_PAIRING_ROWS);
    assert_non_null(next(stream));
    assert_non_null(next(stream));
    assert_null(next(stream));
    bt_data_close(stream);
}

/* Each pair once an epoch, its sides together, and a cursor that continues. */
static void test_shuffles_keep_pairs_together(void **state) {
    (void)state;
    const char *const path = pair_file(test_temp_dir(), "p", 0, 12);
    bt_data_config    config = fixture_config(&path, 1);
    config.shuffle_buffer_size = 100;
    config.seed = 3;
    bt_data_stream *const stream = open_pairs(&config, BT_PAIRING_ROWS);
    bt_data_cursor        cursor = {0};
    int64_t               seen[12] = {0};
    int64_t               order[24];
    for (int b = 0; b < 6; b++) {
        const bt_batch *const batch = next(stream);
        for (int64_t i = 0; i < 4; i++) {
            const int64_t r = batch->ids[batch->offsets[2 * i]] - 100;
            check_pair(batch, i, r);
            order[4 * b + i] = r;
            seen[r]++;
        }
        if (b == 3) {
            cursor = bt_data_get_cursor(stream);
        }
    }
    for (int r = 0; r < 12; r++) {
        assert_int_equal(seen[r], 2);
    }
    assert_ok(bt_data_seek(stream, cursor, err));
    const bt_batch *const again = next(stream);
    for (int64_t i = 0; i < 4; i++) {
        check_pair(again, i, order[16 + i]);
    }
    bt_data_close(stream);
}

static void test_sides_of_two_files(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const lefts[] = {fixture_file(folder, "l0", 0, 3),
                                 fixture_file(folder, "l1", 3, 4)};
    const char *const right = fixture_file(folder, "r", 20, 7);
    bt_data_config    config = fixture_config(lefts, 2);
    config.right_paths = &right;
    config.n_right_paths = 1;
    bt_data_schema schema = pair_schema(BT_PAIRING_ROWS);
    schema.include_example_id = true;
    bt_data_stream *stream = NULL;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    const bt_batch *const batch = next(stream);
    assert_int_equal(batch->n_seqs, 8);
    for (int64_t i = 0; i < 4; i++) {
        assert_int_equal(batch->example_ids[2 * i], i);
        assert_int_equal(batch->example_ids[2 * i + 1], 20 + i);
        assert_int_equal(batch->ids[batch->offsets[2 * i + 1]], 120 + i);
    }
    bt_data_close(stream);
}

static void check_chain(bt_data_stream *stream, const int64_t *ids, const int64_t *tokens,
                        int64_t n) {
    int64_t r = 0;
    for (const bt_batch *batch = next(stream); batch != NULL; batch = next(stream)) {
        for (int64_t i = 0; i < batch->n_seqs; i++, r++) {
            assert_true(r < n);
            assert_int_equal(batch->example_ids[i], ids[r]);
            assert_int_equal(batch->ids[batch->offsets[i]], tokens[r]);
        }
    }
    assert_int_equal(r, n);
}

static void test_chains_put_right_after_left(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const left = fixture_file(folder, "l", 4, 5);
    bt_str            frames = BT_STR_INIT;
    const int64_t     ids[S] = {700, 1};
    const int64_t     ones[S] = {1, 1};
    const int64_t     zeros[S] = {0};
    for (int i = 0; i < 2; i++) { /* without example_id */
        fixture_add(&frames,
                    &(fixture_row){.ids = ids, .mask = ones, .types = zeros, .s = FIXTURE_S});
    }
    const char *const right = fixture_write(folder, "r", &frames);
    bt_data_config    config = fixture_config(&left, 1);
    bt_data_schema    schema = pair_schema(BT_PAIRING_CHAIN);
    bt_data_stream   *stream = NULL;
    config.is_training = false;
    config.cycle_length = 2; /* would mix the files */
    config.right_paths = &right;
    config.n_right_paths = 1;
    schema.include_example_id = true;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_int_equal(bt_data_n_rows(stream), 7);
    assert_int_equal(bt_data_n_left_rows(stream), 5);
    check_chain(stream, (const int64_t[]){4, 5, 6, 7, 8, 0, 1},
                (const int64_t[]){104, 105, 106, 107, 108, 700, 700}, 7);
    bt_data_close(stream);

    const char *const pairs = pair_file(folder, "p", 0, 3);
    config.paths = &pairs;
    config.n_right_paths = 0;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_int_equal(bt_data_n_left_rows(stream), 3);
    check_chain(stream, (const int64_t[]){0, 1, 2, 0, 1, 2},
                (const int64_t[]){100, 101, 102, 500, 501, 502}, 6);
    bt_data_close(stream);

    config.paths = &left;
    assert_ok(bt_data_open(&config, &schema, &stream, err));
    assert_int_equal(bt_data_n_rows(stream), 5);
    assert_int_equal(bt_data_n_left_rows(stream), 5);
    check_chain(stream, (const int64_t[]){4, 5, 6, 7, 8},
                (const int64_t[]){104, 105, 106, 107, 108}, 5);
    bt_data_close(stream);
}

/* Damage on the right side takes the whole pair with it, and leaves the batch sound. */
static void test_damage_takes_the_pair(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const left = fixture_file(folder, "l", 0, 6);
    const char *const right = fixture_file(folder, "r", 10, 6);
    size_t            n_bytes = 0;
    char *const       bytes = test_read_file(right, &n_bytes);
    bytes[n_bytes / 2 + 40] ^= 1; /* in the data of record 3 */
    test_write_file(right, bytes, n_bytes);
    bt_free(bytes);
    bt_data_config config = fixture_config(&left, 1);
    config.is_training = false;
    config.global_batch_size = 6;
    config.right_paths = &right;
    config.n_right_paths = 1;
    bt_data_stream *stream = open_pairs(&config, BT_PAIRING_ROWS);
    const bt_batch *batch = NULL;
    bool            end = false;
    assert_fails(bt_data_next_batch(stream, &batch, &end, err), BT_E_FORMAT, "r: ");
    bt_data_close(stream);
    config.skip_bad_records = 1;
    stream = open_pairs(&config, BT_PAIRING_ROWS);
    batch = next(stream);
    assert_int_equal(batch->n_seqs, 10);
    for (int64_t i = 0; i < 5; i++) {
        assert_int_equal(batch->ids[batch->offsets[2 * i]] + 10,
                         batch->ids[batch->offsets[2 * i + 1]]);
    }
    bt_data_close(stream);
}

static void test_refusals(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const single = fixture_file(folder, "single", 0, 5);
    const char *const shorter = fixture_file(folder, "shorter", 0, 4);
    const char *const pairs = pair_file(folder, "pairs", 0, 3);
    bt_data_config    config = fixture_config(&single, 1);
    bt_data_schema    schema = pair_schema(BT_PAIRING_ROWS);
    bt_data_stream   *stream = NULL;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "feature left_word_ids (int64) is required but missing: for text name a "
                 "vocab_file; for sides in two files name the right one's in right_input_path");
    config.right_paths = &shorter;
    config.n_right_paths = 1;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "single has 5 rows, but ");
    config.paths = &pairs;
    config.n_right_paths = 0;
    schema.seq_length = S - 1;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
                 "feature left_word_ids has 8 values");
    schema.seq_length = S;
    config.global_batch_size = INT64_MAX;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_NOMEM, "global_batch_size");
    config.global_batch_size = 4;
    static const char text[] = "a sentence a line, and no name that says so\n";
    char              lines[TEST_PATH_MAX];
    (void)snprintf(lines, sizeof lines, "%.4000s/lines.txt", folder);
    test_write_file(lines, text, sizeof text - 1);
    const char *const plain = lines;
    config.paths = &plain;
    assert_fails(
        bt_data_open(&config, &schema, &stream, err), BT_E_FORMAT,
        "lines.txt is text, not a record file: call it .tsv, .csv or .jsonl, or say so in ");
    config.paths = &pairs;
    const char *const missing = "nowhere/at-all";
    config.right_paths = &missing;
    config.n_right_paths = 1;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_IO, "nowhere/at-all");
    schema.pairing = BT_PAIRING_CHAIN;
    config.paths = &missing;
    config.n_right_paths = 0;
    assert_fails(bt_data_open(&config, &schema, &stream, err), BT_E_IO, "nowhere/at-all");
    assert_null(stream);
}

static void test_failing_allocations(void **state) {
    (void)state;
    const char *const folder = test_temp_dir();
    const char *const left = fixture_file(folder, "l", 0, 3);
    const char *const right = fixture_file(folder, "r", 3, 3);
    bt_data_schema    schema = pair_schema(BT_PAIRING_CHAIN);
    bt_data_config    config = fixture_config(&left, 1);
    uint64_t          k = 1;
    config.right_paths = &right;
    config.n_right_paths = 1;
    config.is_training = false;
    schema.include_example_id = true;
    for (;; k++) {
        bt_data_stream *stream = NULL;
        bt_error        err = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_data_open(&config, &schema, &stream, &err);
        bt_alloc_fail_at(0, false);
        bt_data_close(stream);
        if (rc == BT_OK) {
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
    assert_true(k > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_of_one_file),
        cmocka_unit_test(test_shuffles_keep_pairs_together),
        cmocka_unit_test(test_sides_of_two_files),
        cmocka_unit_test(test_chains_put_right_after_left),
        cmocka_unit_test(test_damage_takes_the_pair),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
