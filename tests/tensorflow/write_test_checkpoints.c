/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes what read_checkpoints.py reads with the real TensorFlow: a training checkpoint of each
 * kind, an event file and a TFRecord file of tf.Examples, below the folder named.
 * usage: write_test_checkpoints FOLDER */
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/wire/events.h"
#include "bt/wire/example.h"
#include "bt/wire/tfrecord.h"
#include "ckpt_test_support.h"
#include "test_support.h"

static void write_checkpoint(const char *folder, const test_graph_case *c) {
    bt_ckpt_manager *manager = NULL;
    float           *flats[4];
    char             path[TEST_PATH_MAX];
    bt_model *const  model = test_make_case_model(c);
    for (int64_t i = 0; i < 4; i++) {
        flats[i] = test_fill_flat(model, i);
    }
    const bt_ckpt_train train =
        test_make_train(model, flats[0], flats[1], flats[2], c->ema ? flats[3] : NULL);
    (void)snprintf(path, sizeof path, "%s/%s", folder, c->name);
    assert_ok(bt_fs_make_folders(path, err));
    assert_ok(bt_ckpt_manager_open(path, 2, &manager, err));
    assert_ok(bt_ckpt_manager_save(manager, "ckpt-4", &train, err));
    bt_ckpt_manager_close(manager);
    /* what the values are, for the script: name, number of the parameter, gradient or not */
    (void)snprintf(path, sizeof path, "%s/%s/variables.txt", folder, c->name);
    bt_str text = BT_STR_INIT;
    for (int64_t p = 0; p < model->table.n_params; p++) {
        assert_ok(bt_str_appendf(&text, err, "%s %d\n", model->table.params[p].tf_name,
                                 model->table.params[p].has_gradient));
    }
    test_write_file(path, bt_str_text(&text), text.len);
    bt_str_deinit(&text);
    for (int64_t i = 0; i < 4; i++) {
        bt_free(flats[i]);
    }
    bt_model_free(model);
}

static void write_events(const char *folder) {
    char              path[TEST_PATH_MAX];
    bt_events_writer *writer = NULL;
    (void)snprintf(path, sizeof path, "%s/events", folder);
    assert_ok(bt_events_create(path, &writer, err));
    assert_ok(bt_events_scalar(writer, 5, "training_loss", 1.5F, err));
    assert_ok(bt_events_scalar(writer, 10, "training_loss", 0.25F, err));
    assert_ok(bt_events_close(writer, err));
}

static void write_records(const char *folder) {
    static const char *const names[] = {"plain", "gzip", "zlib"};
    static const int64_t     ints[] = {1, -2, INT64_MIN, INT64_MAX};
    static const float       floats[] = {1.5F, -0.0F};
    static const bt_bytes    texts[] = {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"", 0}};
    bt_example_builder       builder = BT_EXAMPLE_BUILDER_INIT;
    bt_bytes                 bytes;
    assert_ok(bt_example_add_i64(&builder, "ints", ints, 4, err));
    assert_ok(bt_example_add_f32(&builder, "floats", floats, 2, err));
    assert_ok(bt_example_add_bytes(&builder, "texts", texts, 2, err));
    assert_ok(bt_example_add_i64(&builder, "none", ints, 0, err));
    assert_ok(bt_example_finish(&builder, &bytes, err));
    for (int c = 0; c < 3; c++) {
        char                path[TEST_PATH_MAX];
        bt_tfrecord_writer *writer = NULL;
        (void)snprintf(path, sizeof path, "%s/%s.tfrecord", folder, names[c]);
        assert_ok(bt_tfrecord_writer_create(path, (bt_compression)c, &writer, err));
        for (int i = 0; i < 3; i++) {
            assert_ok(bt_tfrecord_write(writer, bytes.data, bytes.n_bytes, err));
        }
        assert_ok(bt_tfrecord_writer_commit(&writer, err));
    }
    bt_example_builder_deinit(&builder);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        (void)fprintf(stderr, "usage: write_test_checkpoints FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < test_n_graph_cases; i++) {
        write_checkpoint(argv[1], &test_graph_cases[i]);
    }
    write_events(argv[1]);
    write_records(argv[1]);
    return 0;
}
