/* SPDX-License-Identifier: Apache-2.0
 *
 * See data_fixture.h. */
#include "data_fixture.h"
#include "bt/base/bytes.h"
#include "bt/wire/example.h"
#include "bt/wire/tfrecord.h"

#include <stdio.h>
#include <string.h>

void fixture_add(bt_str *frames, const fixture_row *row) {
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_bytes           bytes;
    if (row->ids != NULL) {
        assert_ok(bt_example_add_i64(&builder, "input_ids", row->ids, row->s, err));
    }
    if (row->mask != NULL) {
        assert_ok(bt_example_add_i64(&builder, "input_mask", row->mask, row->s, err));
    }
    if (row->types != NULL) {
        assert_ok(bt_example_add_i64(&builder, "segment_ids", row->types, row->s, err));
    }
    if (row->label != NULL) {
        assert_ok(bt_example_add_i64(&builder, "label_ids", row->label, row->n_labels, err));
    }
    if (row->float_label != NULL) {
        assert_ok(bt_example_add_f32(&builder, "label_ids", row->float_label, 1, err));
    }
    if (row->example_id != NULL) {
        assert_ok(bt_example_add_i64(&builder, "example_id", row->example_id, 1, err));
    }
    if (row->start != NULL) {
        assert_ok(bt_example_add_i64(&builder, "start_positions", row->start, 1, err));
        assert_ok(bt_example_add_i64(&builder, "end_positions", row->end, 1, err));
    }
    if (row->sentence != NULL) {
        assert_ok(bt_example_add_i64(&builder, "sentence_id", row->sentence, 1, err));
    }
    if (row->piece != NULL) {
        assert_ok(bt_example_add_i64(&builder, "sub_sentence_id", row->piece, 1, err));
    }
    assert_ok(bt_example_finish(&builder, &bytes, err));
    assert_ok(bt_tfrecord_frame(frames, bytes.data, bytes.n_bytes, err));
    bt_example_builder_deinit(&builder);
}

static int64_t n_tokens_of(int64_t r) {
    return 2 + r % 6;
}

void fixture_add_numbered(bt_str *frames, int64_t r) {
    int64_t       ids[FIXTURE_S] = {0};
    int64_t       mask[FIXTURE_S] = {0};
    int64_t       types[FIXTURE_S] = {0};
    const int64_t label = r % 3;
    for (int64_t t = 0; t < n_tokens_of(r); t++) {
        ids[t] = t == 0 ? 100 + r : t;
        mask[t] = 1;
        types[t] = t % 2;
    }
    fixture_add(frames, &(fixture_row){.ids = ids,
                                       .mask = mask,
                                       .types = types,
                                       .s = FIXTURE_S,
                                       .label = &label,
                                       .n_labels = 1,
                                       .example_id = &r});
}

const char *fixture_write(const char *folder, const char *name, bt_str *frames) {
    static char paths[64][TEST_PATH_MAX];
    static int  next = 0;
    char *const path = paths[next++ % 64];
    assert_true(snprintf(path, TEST_PATH_MAX, "%s/%s", folder, name) < TEST_PATH_MAX);
    test_write_file(path, bt_str_text(frames), frames->len);
    bt_str_deinit(frames);
    return path;
}

const char *fixture_file(const char *folder, const char *name, int64_t first, int64_t n) {
    bt_str frames = BT_STR_INIT;
    for (int64_t r = first; r < first + n; r++) {
        fixture_add_numbered(&frames, r);
    }
    return fixture_write(folder, name, &frames);
}

const char *fixture_gzip(const char *plain) {
    static char         paths[8][TEST_PATH_MAX];
    static int          next = 0;
    char *const         path = paths[next++ % 8];
    bt_tfrecord_reader *reader = NULL;
    bt_tfrecord_writer *writer = NULL;
    (void)snprintf(path, TEST_PATH_MAX, "%.4000s.gz", plain);
    assert_ok(bt_tfrecord_open(plain, BT_COMPRESSION_NONE, &reader, err));
    assert_ok(bt_tfrecord_writer_create(path, BT_COMPRESSION_GZIP, &writer, err));
    for (;;) {
        bt_record record;
        bool      end = false;
        assert_ok(bt_tfrecord_next(reader, &record, &end, err));
        if (end) {
            break;
        }
        assert_ok(bt_tfrecord_write(writer, record.data.data, record.data.n_bytes, err));
    }
    assert_ok(bt_tfrecord_writer_commit(&writer, err));
    bt_tfrecord_close(reader);
    return path;
}

bt_data_config fixture_config(const char *const *paths, size_t n_paths) {
    return (bt_data_config){.paths = paths,
                            .n_paths = n_paths,
                            .global_batch_size = 4,
                            .shuffle_buffer_size = 1,
                            .block_length = 1,
                            .is_training = true,
                            .section = "task.train_data"};
}

bt_data_schema fixture_schema(void) {
    return (bt_data_schema){.seq_length = FIXTURE_S,
                            .label_kind = BT_LABEL_CLASS,
                            .label_field = "label_ids",
                            .n_classes = 3,
                            .vocab_size = FIXTURE_VOCAB,
                            .type_vocab_size = 2,
                            .max_positions = 16,
                            .include_example_id = true};
}

void fixture_check_row(const bt_batch *batch, int64_t b, int64_t r) {
    const int64_t at = batch->offsets[b];
    assert_int_equal(batch->example_ids[b], r);
    assert_int_equal(batch->offsets[b + 1] - at, n_tokens_of(r));
    assert_int_equal(batch->int_labels[b], r % 3);
    assert_int_equal(batch->ids[at], 100 + r);
    for (int64_t t = 0; t < n_tokens_of(r); t++) {
        assert_int_equal(batch->positions[at + t], t);
        assert_int_equal(batch->types[at + t], t % 2);
        if (t > 0) {
            assert_int_equal(batch->ids[at + t], t);
        }
    }
}
