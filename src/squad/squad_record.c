/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows as tf.Examples: the features, and the order of their keys, of squad_lib's FeatureWriter
 * (docs/model_garden/data.md section 1, "Byte form of the records"). */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/size.h"
#include "bt/fs.h"
#include "bt/wire/example.h"
#include "bt/wire/tfrecord.h"

#include "squad_internal.h"

enum { XLNET_PADDING_SEGMENT = 3 };

/* Returns the place of [CLS]. */
static int64_t fill_columns(const bt_squad_windows *windows, int64_t i, const bt_squad_columns *c) {
    const bool    is_xlnet = bt_squad_windows_options(windows)->xlnet_format;
    const int64_t length = bt_squad_windows_options(windows)->max_seq_length;
    const int64_t n = bt_squad_window_tokens(windows, i, c->ids, c->segments);
    const int64_t class_index = is_xlnet ? n - 1 : 0;
    for (int64_t t = 0; t < length; t++) {
        c->mask[t] = t < n ? 1 : 0;
        c->paragraph_mask[t] = bt_squad_window_word(windows, i, t) >= 0 ? 1 : 0;
        if (t >= n) {
            c->ids[t] = 0;
            c->segments[t] = is_xlnet ? XLNET_PADDING_SEGMENT : 0;
        }
    }
    c->paragraph_mask[class_index] = 1;
    return class_index;
}

static bt_status add_training(bt_example_builder *b, const bt_squad_window *window, int64_t id,
                              int64_t class_index, const bt_squad_columns *c, size_t n,
                              bt_error *err) {
    const int64_t no_answer = window->has_answer ? 0 : 1; /* also in version 1.1 */
    const int64_t start = window->answer_start;
    const int64_t end = window->answer_end;
    BT_TRY(bt_example_add_i64(b, "is_impossible", &no_answer, 1, err));
    BT_TRY(bt_example_add_i32(b, "input_ids", c->ids, n, err));
    BT_TRY(bt_example_add_i64(b, "unique_ids", &id, 1, err));
    BT_TRY(bt_example_add_i64(b, "end_positions", &end, 1, err));
    BT_TRY(bt_example_add_i32(b, "paragraph_mask", c->paragraph_mask, n, err));
    BT_TRY(bt_example_add_i64(b, "start_positions", &start, 1, err));
    BT_TRY(bt_example_add_i64(b, "class_index", &class_index, 1, err));
    BT_TRY(bt_example_add_i32(b, "input_mask", c->mask, n, err));
    return bt_example_add_i32(b, "segment_ids", c->segments, n, err);
}

static bt_status add_evaluation(bt_example_builder *b, int64_t id, int64_t class_index,
                                const bt_squad_columns *c, size_t n, bt_error *err) {
    BT_TRY(bt_example_add_i64(b, "unique_ids", &id, 1, err));
    BT_TRY(bt_example_add_i64(b, "class_index", &class_index, 1, err));
    BT_TRY(bt_example_add_i32(b, "input_mask", c->mask, n, err));
    BT_TRY(bt_example_add_i32(b, "input_ids", c->ids, n, err));
    BT_TRY(bt_example_add_i32(b, "segment_ids", c->segments, n, err));
    return bt_example_add_i32(b, "paragraph_mask", c->paragraph_mask, n, err);
}

bt_status bt_squad_record_append(const bt_squad_windows *windows, int64_t i, bool is_training,
                                 bt_example_builder *builder, const bt_squad_columns *columns,
                                 bt_str *out, bt_error *err) {
    const size_t  n = (size_t)bt_squad_windows_options(windows)->max_seq_length;
    const int64_t id = BT_SQUAD_FIRST_ID + i;
    const int64_t class_index = fill_columns(windows, i, columns);
    bt_bytes      message = {0};
    bt_example_builder_clear(builder);
    BT_TRY(is_training ? add_training(builder, bt_squad_window_at(windows, i), id, class_index,
                                      columns, n, err)
                       : add_evaluation(builder, id, class_index, columns, n, err));
    BT_TRY(bt_example_finish(builder, &message, err));
    return bt_tfrecord_frame(out, message.data, message.n_bytes, err);
}

/* The original looks at the unique id after the last where it means the number of windows: a batch
 * size that does not divide 10^9 gives a whole batch more, or no padding where some was due. */
static int64_t count_padding(int64_t n, int64_t batch_size) {
    return n == 0 || (BT_SQUAD_FIRST_ID + n) % batch_size == 0 ? 0 : batch_size - n % batch_size;
}

static bt_status write_windows(const bt_squad_windows *windows, int64_t n_padding,
                               const bt_squad_columns *columns, bt_fs_writer *writer,
                               bt_error *err) {
    const int64_t      n = bt_squad_n_windows(windows);
    bt_status          rc = BT_OK;
    bt_example_builder builder = BT_EXAMPLE_BUILDER_INIT;
    bt_str             bytes = BT_STR_INIT;
    for (int64_t i = 0; i < n + n_padding; i++) {
        bt_str_clear(&bytes);
        BT_CHECK(bt_squad_record_append(windows, i < n ? i : n - 1, false, &builder, columns,
                                        &bytes, err));
        BT_CHECK(bt_fs_writer_write(writer, bytes.data, bytes.len, err));
    }
done:
    bt_example_builder_deinit(&builder);
    bt_str_deinit(&bytes);
    return rc;
}

static bt_status alloc_columns(size_t length, int32_t **memory, bt_squad_columns *columns,
                               bt_error *err) {
    size_t n = 0;
    *memory = bt_size_mul(length, 4, &n) ? bt_alloc_array(n, sizeof **memory) : NULL;
    if (*memory == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a record of length %zu", length);
    }
    *columns = (bt_squad_columns){.ids = *memory,
                                  .mask = *memory + length,
                                  .segments = *memory + 2 * length,
                                  .paragraph_mask = *memory + 3 * length};
    return BT_OK;
}

bt_status bt_squad_write_eval_records(const bt_squad_windows *windows, int64_t batch_size,
                                      const char *folder, bt_error *err) {
    bt_status        rc = BT_OK;
    char            *path = NULL;
    bt_fs_writer    *writer = NULL;
    int32_t         *memory = NULL;
    bt_squad_columns columns;
    const int64_t    n_padding = count_padding(bt_squad_n_windows(windows), batch_size);
    BT_CHECK(alloc_columns((size_t)bt_squad_windows_options(windows)->max_seq_length, &memory,
                           &columns, err));
    BT_CHECK(bt_fs_make_folders(folder, err));
    BT_CHECK(bt_fs_join(folder, "eval.tf_record", &path, err));
    BT_CHECK(bt_fs_writer_create(path, &writer, err));
    BT_CHECK(write_windows(windows, n_padding, &columns, writer, err));
    BT_CHECK(bt_fs_writer_commit(&writer, err));
done:
    bt_fs_writer_abort(writer);
    bt_free(memory);
    bt_free(path);
    return rc;
}
