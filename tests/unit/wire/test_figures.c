/* SPDX-License-Identifier: Apache-2.0
 *
 * Curves of precision and recall, and pictures, in event files: read back field by field, cut, and
 * without memory. (TensorBoard reads them in reliability/tensorboard.py, other readers the PNG file
 * in png_judge.py.) */
#include <stdio.h>
#include <string.h>

#include "bt/base/arena.h"
#include "bt/fs.h"
#include "bt/proto.h"
#include "bt/tensor.h"
#include "bt/wire/events.h"
#include "bt/wire/png.h"
#include "bt/wire/tfrecord.h"
#include "event.pb-c.h"
#include "pr_curves.pb-c.h"
#include "test_faults.h"
#include "test_support.h"

enum { N_THRESHOLDS = 3, N_VALUES = 6 * N_THRESHOLDS, WIDTH = 5, HEIGHT = 7 };

/* An evaluation's events at the step, figures first as the trainer writes them. */
static bt_status write_step(bt_events_writer *writer, int64_t step, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    png = BT_STR_INIT;
    uint8_t   pixels[WIDTH * HEIGHT] = {0, 255, 7};
    float     values[N_VALUES];
    for (int i = 0; i < N_VALUES; i++) {
        values[i] = (float)i / 4;
    }
    BT_CHECK(bt_png_append(&png, pixels, WIDTH, HEIGHT, err));
    const bt_events_picture picture = {.tag = "confusion_matrix",
                                       .description = "*rows*: labels",
                                       .width = WIDTH,
                                       .height = HEIGHT,
                                       .png = {(const uint8_t *)bt_str_text(&png), png.len}};
    BT_CHECK(bt_events_pr_curve(writer, step, "pr_curve/a", values, N_THRESHOLDS, err));
    BT_CHECK(bt_events_image(writer, step, &picture, err));
    BT_CHECK(bt_events_scalar(writer, step, "f1", 0.5F, err));
done:
    bt_str_deinit(&png);
    return rc;
}

static bt_status write_steps(const char *folder, int64_t n, char *path, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_status         closed = BT_OK;
    bt_events_writer *writer = NULL;
    BT_TRY(bt_events_create(folder, &writer, err));
    (void)snprintf(path, TEST_PATH_MAX, "%s", bt_events_path(writer));
    for (int64_t step = 1; step <= n; step++) {
        BT_CHECK(write_step(writer, step, err));
    }
done:
    closed = bt_events_close(writer, rc == BT_OK ? err : NULL);
    return rc == BT_OK ? closed : rc;
}

static void assert_text(ProtobufCBinaryData got, const char *want) {
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
}

static void check_curve(const BtTf__Summary__Value *value, bt_arena *arena) {
    const BtTf__SummaryMetadata__PluginData *const plugin = value->metadata->plugin_data;
    const BtTf__TensorProto *const                 tensor = value->tensor;
    const ProtobufCMessage                        *content = NULL;
    float                                          values[N_VALUES];
    assert_text(value->tag, "pr_curve/a");
    assert_text(plugin->plugin_name, "pr_curves");
    assert_ok(bt_proto_unpack(&bt_tb__pr_curve_plugin_data__descriptor,
                              (bt_bytes){plugin->content.data, plugin->content.len}, arena,
                              &content, err));
    assert_int_equal(((const BtTb__PrCurvePluginData *)content)->version, 0);
    assert_int_equal(((const BtTb__PrCurvePluginData *)content)->num_thresholds, N_THRESHOLDS);
    assert_int_equal(tensor->dtype, BT_DTYPE_F32);
    assert_int_equal(tensor->tensor_shape->n_dim, 2);
    assert_int_equal(tensor->tensor_shape->dim[0]->size, 6);
    assert_int_equal(tensor->tensor_shape->dim[1]->size, N_THRESHOLDS);
    assert_int_equal(tensor->tensor_content.len, sizeof values);
    memcpy(values, tensor->tensor_content.data, sizeof values);
    for (int i = 0; i < N_VALUES; i++) {
        assert_true(values[i] == (float)i / 4);
    }
}

static void check_picture(const BtTf__Summary__Value *value) {
    const BtTf__TensorProto *const tensor = value->tensor;
    assert_text(value->tag, "confusion_matrix");
    assert_text(value->metadata->plugin_data->plugin_name, "images");
    assert_text(value->metadata->summary_description, "*rows*: labels");
    assert_int_equal(tensor->dtype, 7); /* DT_STRING */
    assert_int_equal(tensor->tensor_shape->n_dim, 1);
    assert_int_equal(tensor->tensor_shape->dim[0]->size, 3);
    assert_int_equal(tensor->n_string_val, 3);
    assert_text(tensor->string_val[0], "5");
    assert_text(tensor->string_val[1], "7");
    assert_memory_equal(tensor->string_val[2].data, "\x89PNG", 4);
}

static void test_figures_read_back(void **state) {
    char                folder[TEST_PATH_MAX];
    char                path[TEST_PATH_MAX];
    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bt_arena            arena = {0};
    int                 n = 0;
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/read", test_temp_dir());
    assert_ok(write_steps(folder, 1, path, err));
    assert_ok(bt_arena_init(&arena, 1U << 14, err));
    assert_ok(bt_tfrecord_open(path, BT_COMPRESSION_NONE, &reader, err));
    for (bool end = false;; n++) {
        const ProtobufCMessage *message = NULL;
        assert_ok(bt_tfrecord_next(reader, &record, &end, err));
        if (end) {
            break;
        }
        assert_ok(bt_proto_unpack(&bt_tf__event__descriptor, record.data, &arena, &message, err));
        const BtTf__Event *const event = (const BtTf__Event *)message;
        assert_int_equal(event->step, n > 0 ? 1 : 0);
        if (n == 1) {
            check_curve(event->summary->value[0], &arena);
        } else if (n == 2) {
            check_picture(event->summary->value[0]);
        }
    }
    assert_int_equal(n, 4); /* the version first, the scalar last */
    bt_arena_deinit(&arena);
    bt_tfrecord_close(reader);
}

/* n_last are scalars alone: a record says how many of these there must be. */
static void test_figures_are_cut_and_not_counted(void **state) {
    char            folder[TEST_PATH_MAX];
    char            path[TEST_PATH_MAX];
    bt_events_found found = {0};
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/cut", test_temp_dir());
    assert_ok(write_steps(folder, 3, path, err));
    assert_ok(bt_events_cut(folder, 2, &found, err));
    assert_int_equal(found.n_last, 1);
    assert_int_equal(found.n_cut, 3);
    assert_ok(bt_events_cut(folder, 2, &found, err));
    assert_int_equal(found.n_cut, 0);
}

/* Every try's file is named after those that are there. */
static void empty(void *context) {
    bt_fs_names names = {0};
    assert_ok(bt_fs_list(context, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        char path[TEST_PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", (const char *)context, names.items[i]);
        assert_ok(bt_fs_remove(path, err));
    }
    bt_fs_names_deinit(&names);
}

static bt_status write_as_work(void *context, bt_error *fault) {
    char path[TEST_PATH_MAX];
    return write_steps(context, 1, path, fault);
}

static void test_faults(void **state) {
    char            folder[TEST_PATH_MAX];
    const test_work work = {
        .what = "figures", .prepare = empty, .work = write_as_work, .context = folder};
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", test_temp_dir());
    assert_true(test_every_fault(&work) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_read_back),
        cmocka_unit_test(test_figures_are_cut_and_not_counted),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
