/* SPDX-License-Identifier: Apache-2.0
 *
 * Object graphs, state files, safetensors, event files and sorted-string tables: real files where
 * there are goldens, round trips, and every kind of damage. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "bt/proto.h"
#include "bt/tensor.h"
#include "bt/wire/bundle.h"
#include "bt/wire/events.h"
#include "bt/wire/npy.h"
#include "bt/wire/object_graph.h"
#include "bt/wire/safetensors.h"
#include "bt/wire/sstable.h"
#include "bt/wire/state_file.h"
#include "bt/wire/tfrecord.h"
#include "event.pb-c.h"
#include "test_support.h"

#define GOLDENS "goldens/numerics/checkpoints/"

static void check_graph(const char *prefix) {
    char       path[TEST_PATH_MAX];
    bt_bundle *bundle = NULL;
    bt_bytes  *value = NULL;
    bt_graph   graph;
    bt_str     again = BT_STR_INIT;
    (void)snprintf(path, sizeof path, GOLDENS "%s", prefix);
    assert_ok(bt_bundle_open(test_shared_path(path), &bundle, err));
    assert_ok(
        bt_bundle_read_strings(bundle, bt_bundle_find(bundle, BT_BUNDLE_GRAPH_KEY), &value, err));
    assert_ok(bt_graph_parse(value[0], &graph, err));
    assert_ok(bt_graph_serialize(&graph, &again, err));
    assert_int_equal(again.len, value[0].n_bytes);
    assert_memory_equal(again.data, value[0].data, again.len);
    const int32_t encoder = bt_graph_child_node(&graph, 0, "encoder");
    if (encoder >= 0) {
        const int32_t word = bt_graph_child_node(
            &graph, bt_graph_child_node(&graph, encoder, "_embedding_layer"), "embeddings");
        assert_non_null(bt_graph_variable_key(&graph, word));
        assert_non_null(bt_bundle_find(bundle, bt_graph_variable_key(&graph, word)));
    }
    assert_int_equal(bt_graph_child_node(&graph, 0, "nobody"), -1);
    assert_int_equal(bt_graph_child_node(&graph, -1, "encoder"), -1);
    assert_null(bt_graph_variable_key(&graph, 0));
    assert_null(bt_graph_variable_key(&graph, -1));
    bt_graph_deinit(&graph);
    for (size_t cut = 0; cut < 400 && cut < value[0].n_bytes; cut++) { /* cut, flipped: no crash */
        bt_error fault = BT_ERROR_INIT;
        if (bt_graph_parse((bt_bytes){value[0].data, cut}, &graph, &fault) == BT_OK) {
            bt_graph_deinit(&graph);
        }
        memcpy(again.data, value[0].data, again.len);
        again.data[cut] = (char)(again.data[cut] ^ 0x2a);
        if (bt_graph_parse((bt_bytes){(const uint8_t *)again.data, again.len}, &graph, &fault) ==
            BT_OK) {
            bt_graph_deinit(&graph);
        }
    }
    for (uint64_t k = 1; k < 30; k++) {
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_graph_parse(value[0], &graph, &fault);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            bt_graph_deinit(&graph);
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
    bt_free(value);
    bt_str_deinit(&again);
    bt_bundle_close(bundle);
}

static void test_graph_goldens(void **state) {
    (void)state;
    static const char *const prefixes[] = {"tf2_encoder/bert_model.ckpt-1",
                                           "tf2_pretrainer/bert_model.ckpt-1",
                                           "tf2_bert_v2/ckpt-1",
                                           "train/adamw/ckpt-4",
                                           "train/ema/ckpt-4",
                                           "hub/bert_tiny/variables/variables"};
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(prefixes); i++) {
        check_graph(prefixes[i]);
    }
}

static void test_graph_damage(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t      n;
        const char *text;
    } cases[] = {
        {"", 0, "no nodes"},
        {"\x0a\x05\x0a", 3, "not a message TrackableObjectGraph"},
        {"\x08\x01", 2, "not a message"},
        {"\x0a\x04\x0a\x02\x08\x07", 6, "a child is not a node"},
        {"\x0a\x02\x08\x07", 4, "not a message"},
        {"\x0a\x02\x0a\x05", 4, "not a message"},
        {"\x0a\x03\x0a\x01\x0a", 5, "not a message"},
        {"\x0a\x04\x1a\x02\x18\x07", 6, "a slot variable is not a node"},
        {"\x0a\x07\x0a\x05\x12\x03\x61\x00\x62", 9, "NUL"},
    };
    bt_graph graph;
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        assert_fails(
            bt_graph_parse((bt_bytes){(const uint8_t *)cases[i].bytes, cases[i].n}, &graph, err),
            BT_E_FORMAT, cases[i].text);
    }
}

static void check_state_golden(const char *relative) {
    size_t        n = 0;
    char *const   text = test_read_file(test_shared_path(relative), &n);
    bt_ckpt_state state = {0};
    bt_str        again = BT_STR_INIT;
    assert_ok(bt_ckpt_state_parse(text, n, "checkpoint", &state, err));
    assert_ok(bt_ckpt_state_format(&state, &again, err));
    assert_string_equal(bt_str_text(&again), text);
    bt_free(text);
    bt_str_deinit(&again);
    bt_ckpt_state_deinit(&state);
}

static void test_state_goldens(void **state) {
    (void)state;
    static const char *const files[] = {GOLDENS "train/adamw/checkpoint",
                                        GOLDENS "tf2_encoder/checkpoint",
                                        "goldens/config/run/1-train_and_eval/checkpoint",
                                        "goldens/config/run/2b-resumed/checkpoint"};
    if (test_shared_path(GOLDENS) == NULL) {
        test_skip("no goldens of Model Garden here");
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(files); i++) {
        check_state_golden(files[i]);
    }
}

static void test_state_text(void **state) {
    (void)state;
    static const char text[] =
        "# a comment\n all_model_checkpoint_paths : 'a\\\"\\101\\n' \"b\"; "
        "model_checkpoint_path:\"x\\\\y\\'\" something_new: 3\n"
        "all_model_checkpoint_timestamps: 1.5e3 last_preserved_timestamp: -2";
    bt_ckpt_state parsed = {0};
    bt_str        again = BT_STR_INIT;
    assert_ok(bt_ckpt_state_parse(text, sizeof text - 1, "f", &parsed, err));
    assert_string_equal(parsed.latest, "x\\y'");
    assert_int_equal(parsed.n_paths, 1);
    assert_string_equal(parsed.paths[0], "a\"A\nb");
    assert_true(parsed.times[0] == 1500.0);
    assert_true(parsed.has_last_preserved && parsed.last_preserved == -2.0);
    assert_ok(bt_ckpt_state_append(&parsed, "\xc3\xa9", 7.0, err));
    assert_ok(bt_ckpt_state_format(&parsed, &again, err));
    bt_ckpt_state second = {0};
    assert_ok(bt_ckpt_state_parse(again.data, again.len, "f", &second, err));
    assert_string_equal(second.paths[0], parsed.paths[0]);
    assert_string_equal(second.paths[1], "\xc3\xa9");
    assert_string_equal(second.latest, parsed.latest);
    bt_ckpt_state_deinit(&parsed);
    bt_ckpt_state_deinit(&second);
    bt_str_deinit(&again);

    static const struct {
        const char *text;
        const char *want;
    } bad[] = {
        {"model_checkpoint_path", "f:1: 'name: value'"},
        {"\n\nmodel_checkpoint_path: \"x", "f:3: a closing quote"},
        {"model_checkpoint_path: x", "a quoted path"},
        {"model_checkpoint_path:", "a value"},
        {"last_preserved_timestamp: \"5\"", "a number"},
        {"last_preserved_timestamp: zwei", "a number"},
        {"model_checkpoint_path: \"\\q\"", "a known escape"},
        {"model_checkpoint_path: \"a\\000b\"", "NUL"},
        {"{}", "'name: value'"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        assert_fails(bt_ckpt_state_parse(bad[i].text, strlen(bad[i].text), "f", &parsed, err),
                     BT_E_FORMAT, bad[i].want);
    }
    for (uint64_t k = 1; k < 40; k++) {
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_ckpt_state_parse(text, sizeof text - 1, "f", &parsed, &fault);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            bt_ckpt_state_deinit(&parsed);
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
}

/* What numpy.save(file, numpy.zeros((3, 2), "float32")) begins with. */
static void test_npy_header(void **state) {
    (void)state;
    char header[BT_NPY_HEADER_BYTES + 1] = {0};
    char want[BT_NPY_HEADER_BYTES];
    memset(want, ' ', sizeof want);
    memcpy(want,
           "\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", 69);
    want[sizeof want - 1] = '\n';
    bt_npy_header_f32(header, 3, 2);
    assert_memory_equal(header, want, sizeof want);
    assert_int_equal(header[sizeof want], 0);
    bt_npy_header_f32(header, INT64_MAX, INT64_MAX);
    assert_non_null(strstr(header + 10, "(9223372036854775807, 9223372036854775807), }"));
    assert_true(header[sizeof want - 1] == '\n');
}

static const char st_good[] =
    "{\"__metadata__\":{\"k\":\"v\"},\"b\":{\"dtype\":\"F32\",\"shape\":"
    "[2],\"data_offsets\":[4,12]},\"a\":{\"dtype\":\"U8\",\"shape\":[2,2],"
    "\"data_offsets\":[0,4]}}";

static void write_safetensors(const char *path, const char *header, size_t n_data) {
    bt_str  s = BT_STR_INIT;
    uint8_t prefix[8];
    bt_store_u64le(prefix, strlen(header));
    assert_ok(bt_str_append_n(&s, prefix, 8, err));
    assert_ok(bt_str_append(&s, header, err));
    for (size_t i = 0; i < n_data; i++) {
        assert_ok(bt_str_append_char(&s, (char)i, err));
    }
    test_write_file(path, s.data, s.len);
    bt_str_deinit(&s);
}

static void test_safetensors_read(void **state) {
    (void)state;
    char            path[TEST_PATH_MAX];
    bt_safetensors *st = NULL;
    uint8_t         bytes[8];
    (void)snprintf(path, sizeof path, "%s/m.safetensors", test_temp_dir());
    write_safetensors(path, st_good, 12);
    assert_ok(bt_safetensors_open(path, &st, err));
    assert_int_equal(bt_safetensors_n_entries(st), 2);
    assert_string_equal(bt_safetensors_entry_at(st, 0)->name, "a");
    assert_string_equal(bt_safetensors_metadata(st, "k"), "v");
    assert_null(bt_safetensors_metadata(st, "l"));
    assert_null(bt_safetensors_find(st, "c"));
    const bt_st_entry *const b = bt_safetensors_find(st, "b");
    assert_ok(bt_safetensors_read(st, b, bytes, 8, err));
    assert_int_equal(bytes[0], 4);
    assert_fails(bt_safetensors_read(st, b, bytes, 4, err), BT_E_SHAPE, "8 bytes");
    bt_safetensors_close(st);
    for (uint64_t k = 1; k < 30; k++) {
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = bt_safetensors_open(path, &st, &fault);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            bt_safetensors_close(st);
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
}

static void test_safetensors_damage(void **state) {
    (void)state;
#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    static const struct {
        const char *header;
        size_t      n_data;
        bt_status   status;
        const char *text;
    } cases[] = {
        {"[1]", 0, BT_E_FORMAT, "not a JSON object"},
        {"{", 0, BT_E_FORMAT, "not a JSON object"},
        {"{\"a\":{},\"a\":{}}", 0, BT_E_FORMAT, "not a JSON object"},
        {"{\"a\":5}", 0, BT_E_FORMAT, "no dtype"},
        {ENTRY("\"F4\"", "[1]", "[0,4]"), 4, BT_E_UNSUPPORTED, "type F4"},
        {ENTRY("\"F32\"", "[-1]", "[0,4]"), 4, BT_E_FORMAT, "its shape"},
        {ENTRY("\"F32\"", "1", "[0,4]"), 4, BT_E_FORMAT, "its shape"},
        {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, BT_E_FORMAT, "its shape"},
        {ENTRY("\"F32\"", "[4611686018427387904,4]", "[0,4]"), 4, BT_E_FORMAT, "its shape"},
        {ENTRY("\"F32\"", "[1]", "[0]"), 4, BT_E_FORMAT, "data_offsets"},
        {ENTRY("\"F32\"", "[1]", "[0,\"4\"]"), 4, BT_E_FORMAT, "data_offsets"},
        {ENTRY("\"F32\"", "[1]", "[4,0]"), 4, BT_E_FORMAT, "should lie"},
        {ENTRY("\"F32\"", "[1]", "[-4,0]"), 4, BT_E_FORMAT, "should lie"},
        {ENTRY("\"F32\"", "[2]", "[0,8]"), 4, BT_E_FORMAT, "is the file truncated"},
        {ENTRY("\"F32\"", "[2]", "[0,4]"), 4, BT_E_FORMAT, "does not fit its shape"},
        {ENTRY("\"F32\"", "[1]", "[4,8]"), 8, BT_E_FORMAT, "hole"},
        {ENTRY("\"F32\"", "[1]", "[0,4]"), 8, BT_E_FORMAT, "the tensors end at"},
    };
    char            path[TEST_PATH_MAX];
    bt_safetensors *st = NULL;
    (void)snprintf(path, sizeof path, "%s/m.safetensors", test_temp_dir());
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        write_safetensors(path, cases[i].header, cases[i].n_data);
        assert_fails(bt_safetensors_open(path, &st, err), cases[i].status, cases[i].text);
    }
    test_write_file(path, "1234567", 7);
    assert_fails(bt_safetensors_open(path, &st, err), BT_E_FORMAT, "too few");
    test_write_file(path, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    assert_fails(bt_safetensors_open(path, &st, err), BT_E_FORMAT, "its header should have");
}

static bt_status write_two(const char *path, bt_error *err) {
    static const int64_t      dims[2] = {2, 3};
    static const bt_st_tensor tensors[2] = {{"x/\"quoted\"", BT_DTYPE_F32, 2, dims},
                                            {"y", BT_DTYPE_I64, 0, NULL}};
    static const char *const  metadata[2] = {"format", "pt"};
    static const float        floats[6] = {1, 2, 3, 4, 5, NAN};
    static const int64_t      number = 42;
    bt_safetensors_writer    *writer = NULL;
    bt_status                 rc = BT_OK;
    BT_CHECK(bt_safetensors_writer_create(path, tensors, 2, metadata, 1, &writer, err));
    BT_CHECK(bt_safetensors_put(writer, floats, sizeof floats, err));
    BT_CHECK(bt_safetensors_put(writer, &number, sizeof number, err));
    BT_CHECK(bt_safetensors_writer_commit(&writer, err));
done:
    bt_safetensors_writer_abort(writer);
    return rc;
}

static void test_safetensors_write(void **state) {
    (void)state;
    char            path[TEST_PATH_MAX];
    bt_safetensors *st = NULL;
    float           floats[6];
    (void)snprintf(path, sizeof path, "%s/m.safetensors", test_temp_dir());
    assert_ok(write_two(path, err));
    assert_ok(bt_safetensors_open(path, &st, err));
    const bt_st_entry *const x = bt_safetensors_find(st, "x/\"quoted\"");
    assert_non_null(x);
    assert_int_equal(x->offset % 8, 0);
    assert_int_equal(x->dim[1], 3);
    assert_ok(bt_safetensors_read(st, x, floats, sizeof floats, err));
    assert_true(floats[4] == 5.0F && isnan(floats[5]));
    assert_string_equal(bt_safetensors_metadata(st, "format"), "pt");
    bt_safetensors_close(st);

    const bt_st_tensor     text = {"t", BT_DTYPE_STRING, 0, NULL};
    const bt_st_tensor     binary = {"\xff", BT_DTYPE_F32, 0, NULL};
    const bt_st_tensor     number = {"n", BT_DTYPE_F32, 0, NULL};
    bt_safetensors_writer *writer = NULL;
    assert_fails(bt_safetensors_writer_create(path, &text, 1, NULL, 0, &writer, err),
                 BT_E_UNSUPPORTED, "type string");
    assert_fails(bt_safetensors_writer_create(path, &binary, 1, NULL, 0, &writer, err),
                 BT_E_UNSUPPORTED, "UTF-8");
    assert_ok(bt_safetensors_writer_create(path, &number, 1, NULL, 0, &writer, err));
    assert_fails(bt_safetensors_put(writer, floats, 8, err), BT_E_INTERNAL, "8 bytes");
    assert_fails(bt_safetensors_writer_commit(&writer, err), BT_E_INTERNAL, "0 of 1");
    bt_safetensors_writer_abort(writer);
    for (uint64_t k = 1; k < 60; k++) {
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        const bt_status rc = write_two(path, &fault);
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
}

/* NULL at the end. */
static const BtTf__Event *next_event(bt_tfrecord_reader *reader, bt_arena *arena,
                                     bt_record *record) {
    const ProtobufCMessage *message = NULL;
    bool                    end = false;
    assert_ok(bt_tfrecord_next(reader, record, &end, err));
    if (!end) {
        assert_ok(bt_proto_unpack(&bt_tf__event__descriptor, record->data, arena, &message, err));
    }
    return (const BtTf__Event *)message;
}

static void assert_text_equal(ProtobufCBinaryData got, const char *want) {
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
}

static void check_scalar(const BtTf__Event *event) {
    const float                       quarter = 0.25F;
    const BtTf__Summary__Value *const value = event->summary->value[0];
    assert_int_equal(event->step, 5);
    assert_true(event->wall_time > 1e9);
    assert_text_equal(value->tag, "cls_accuracy");
    assert_text_equal(value->metadata->plugin_data->plugin_name, "scalars");
    assert_int_equal(value->value_case, BT_TF__SUMMARY__VALUE__VALUE_TENSOR);
    assert_int_equal(value->tensor->dtype, BT_DTYPE_F32);
    assert_int_equal(value->tensor->tensor_shape->n_dim, 0);
    assert_int_equal(value->tensor->tensor_content.len, sizeof quarter);
    assert_memory_equal(value->tensor->tensor_content.data, &quarter, sizeof quarter);
}

static void test_events(void **state) {
    (void)state;
    char              folder[TEST_PATH_MAX];
    char              path[TEST_PATH_MAX];
    bt_events_writer *writer = NULL;
    (void)snprintf(folder, sizeof folder, "%s/run/train", test_temp_dir());
    assert_ok(bt_events_create(folder, &writer, err));
    (void)snprintf(path, sizeof path, "%s", bt_events_path(writer));
    assert_non_null(strstr(path, "/events.out.tfevents."));
    assert_true(bt_str_ends_with(path, ".bert-train.v2"));
    assert_ok(bt_events_scalar(writer, 5, "cls_accuracy", 0.25F, err));
    assert_ok(bt_events_scalar(writer, 5, "training_loss", 1.5F, err));
    assert_ok(bt_events_flush(writer, err));
    assert_ok(bt_events_close(writer, err));
    assert_ok(bt_events_close(NULL, err));

    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bt_arena            arena = {0};
    assert_ok(bt_arena_init(&arena, 1U << 12, err));
    assert_ok(bt_tfrecord_open(path, BT_COMPRESSION_NONE, &reader, err));
    const BtTf__Event *event = next_event(reader, &arena, &record);
    /* Model Garden's own first record, with its source_metadata, has 62 bytes */
    assert_int_equal(record.data.n_bytes, 62);
    assert_text_equal(event->file_version, "brain.Event:2");
    assert_text_equal(event->source_metadata->writer, "tensorflow.core.util.events_writer");
    event = next_event(reader, &arena, &record);
    /* ... and so has its record of this tag 54 (the sizes of its event files add up so) */
    assert_int_equal(record.data.n_bytes, 54);
    check_scalar(event);
    bt_arena_deinit(&arena);
    bt_tfrecord_close(reader);
    assert_fails(bt_events_create("/proc/none/such", &writer, err), BT_E_RESOURCE, "/proc/none");
}

static void test_events_without_memory(void **state) {
    (void)state;
    char              folder[TEST_PATH_MAX];
    bt_events_writer *writer = NULL;
    (void)snprintf(folder, sizeof folder, "%s/run/train", test_temp_dir());
    for (uint64_t k = 1; k < 40; k++) {
        bt_error fault = BT_ERROR_INIT;
        bt_alloc_fail_at(k, false);
        bt_status rc = bt_events_create(folder, &writer, &fault);
        if (rc == BT_OK) {
            rc = bt_events_scalar(writer, 1, "t", 1, &fault);
            bt_alloc_fail_at(0, false);
            assert_ok(bt_events_close(writer, err));
        }
        bt_alloc_fail_at(0, false);
        if (rc == BT_OK) {
            break;
        }
        assert_int_equal(rc, BT_E_NOMEM);
    }
}

/* Steps as a writer that went back would leave them; the path of the file. */
static void write_steps(const char *folder, const int64_t *steps, size_t n,
                        char path[TEST_PATH_MAX]) {
    bt_events_writer *writer = NULL;
    assert_ok(bt_events_create(folder, &writer, err));
    (void)snprintf(path, TEST_PATH_MAX, "%s", bt_events_path(writer));
    for (size_t i = 0; i < n; i++) {
        assert_ok(bt_events_scalar(writer, steps[i], "loss", (float)steps[i], err));
    }
    assert_ok(bt_events_close(writer, err));
}

/* The steps of a file whose every record is whole, as digits. */
static void read_steps(const char *path, char steps[32]) {
    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bt_arena            arena = {0};
    const BtTf__Event  *event = NULL;
    size_t              n = 0;
    assert_ok(bt_arena_init(&arena, 1U << 12, err));
    assert_ok(bt_tfrecord_open(path, BT_COMPRESSION_NONE, &reader, err));
    while ((event = next_event(reader, &arena, &record)) != NULL) {
        if (event->what_case == BT_TF__EVENT__WHAT_SUMMARY) {
            steps[n++] = (char)('0' + event->step);
        }
    }
    assert_int_equal(bt_tfrecord_trailing_bytes(reader), 0);
    bt_tfrecord_close(reader);
    bt_arena_deinit(&arena);
    steps[n] = '\0';
}

/* 1 2 3 5 4 cut after step 3 with the k-th call failing: until it passes, all that stays is there
 * at any moment. */
static void cut_with_faults(const char *folder, const int64_t *steps, const char *want) {
    for (uint64_t k = 1;; k++) {
        bt_events_found found;
        bt_error        fault = BT_ERROR_INIT;
        char            left[32];
        char            again[TEST_PATH_MAX];
        (void)snprintf(again, sizeof again, "%s/%" PRIu64, folder, k);
        char file[TEST_PATH_MAX];
        write_steps(again, steps, 5, file);
        bt_alloc_fail_at(k % 2 == 0 ? k / 2 : 0, false);
        bt_fs_fail_at(k % 6 < 3 ? BT_FS_OP_OPEN : BT_FS_OP_FSYNC, k % 2 == 1 ? (k + 1) / 2 : 0,
                      false);
        const bt_status rc = bt_events_cut(again, 3, &found, &fault);
        bt_alloc_fail_at(0, false);
        bt_fs_fail_at(BT_FS_OP_OPEN, 0, false);
        bt_fs_fail_at(BT_FS_OP_FSYNC, 0, false);
        read_steps(file, left);
        for (const char *s = want; *s != '\0'; s++) {
            assert_non_null(strchr(left, *s));
        }
        if (k > 60) {
            assert_int_equal(rc, BT_OK);
            return;
        }
        assert_true(rc != BT_OK || strcmp(left, want) == 0);
    }
}

static void test_events_cut(void **state) {
    (void)state;
    static const int64_t up[] = {1, 2, 3, 4, 5};
    static const int64_t back[] = {1, 2, 5, 3, 4};
    char                 folder[TEST_PATH_MAX];
    char                 path[TEST_PATH_MAX];
    char                 steps[32];
    bt_events_found      found = {0};
    (void)snprintf(folder, sizeof folder, "%s/cut", test_temp_dir());
    assert_ok(bt_events_cut(folder, 3, &found, err)); /* no such folder */
    assert_int_equal(found.n_files, 0);
    write_steps(folder, up, 5, path);
    assert_ok(bt_events_cut(folder, 3, &found, err));
    assert_true(found.n_files == 1 && found.n_cut == 2 && found.n_last == 1);
    read_steps(path, steps);
    assert_string_equal(steps, "123");
    (void)snprintf(folder, sizeof folder, "%s/cut_back", test_temp_dir());
    write_steps(folder, back, 5, path);
    assert_ok(bt_events_cut(folder, 3, &found, err));
    read_steps(path, steps);
    assert_string_equal(steps, "123");
    (void)snprintf(folder, sizeof folder, "%s/cut_faults", test_temp_dir());
    cut_with_faults(folder, up, "123");
    (void)snprintf(folder, sizeof folder, "%s/cut_back_faults", test_temp_dir());
    cut_with_faults(folder, back, "123");
}

/* Torn at every byte: what is whole stays. */
static void test_events_torn(void **state) {
    (void)state;
    static const int64_t up[] = {1, 2, 3, 4, 5};
    char                 folder[TEST_PATH_MAX];
    char                 path[TEST_PATH_MAX];
    char                 steps[32];
    char                *bytes = NULL;
    size_t               n_bytes = 0;
    size_t               n_steps = 0;
    (void)snprintf(folder, sizeof folder, "%s/torn", test_temp_dir());
    write_steps(folder, up, 5, path);
    assert_ok(bt_fs_read_all(path, 1 << 20, &bytes, &n_bytes, err));
    for (size_t n = 0; n <= n_bytes; n++) {
        bt_events_found found = {0};
        assert_ok(bt_fs_replace(path, bytes, n, err));
        assert_ok(bt_events_cut(folder, 9, &found, err));
        read_steps(path, steps);
        assert_true(strlen(steps) >= n_steps && strncmp(steps, "12345", strlen(steps)) == 0);
        n_steps = strlen(steps);
    }
    assert_int_equal(n_steps, 5);
    bt_free(bytes);
}

typedef struct visited {
    size_t n;
    char   last[32];
} visited;

static bt_status count_entry(void *context, bt_bytes key, bt_bytes value, bt_error *err) {
    visited *const v = context;
    char           want[64];
    (void)snprintf(want, sizeof want, "value of key %06zu", v->n);
    if (key.n_bytes != 10 || memcmp(key.data, want + 9, 10) != 0) {
        return BT_FAIL(err, BT_E_INTERNAL, "key %zu is wrong", v->n);
    }
    if (value.n_bytes != strlen(want) || memcmp(value.data, want, value.n_bytes) != 0) {
        return BT_FAIL(err, BT_E_INTERNAL, "value %zu is wrong", v->n);
    }
    v->n++;
    return BT_OK;
}

static void test_sstable(void **state) {
    (void)state;
    enum { N_KEYS = 30000 };
    bt_sstable_builder *builder = NULL;
    bt_bytes            table;
    visited             v = {0};
    assert_ok(bt_sstable_builder_create(&builder, err));
    for (size_t i = 0; i < N_KEYS; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "value of key %06zu", i);
        assert_ok(bt_sstable_add(builder, (bt_bytes){(const uint8_t *)text + 9, 10},
                                 (bt_bytes){(const uint8_t *)text, strlen(text)}, err));
    }
    assert_fails(bt_sstable_add(builder, (bt_bytes){(const uint8_t *)"a", 1},
                                (bt_bytes){(const uint8_t *)"", 0}, err),
                 BT_E_INTERNAL, "key 'a' of a table");
    assert_ok(bt_sstable_finish(builder, &table, err));
    assert_true(table.n_bytes > 2U << 18); /* several blocks */
    assert_ok(bt_sstable_read(table, "t", count_entry, &v, err));
    assert_int_equal(v.n, N_KEYS);
    assert_fails(bt_sstable_read((bt_bytes){table.data, 47}, "t", count_entry, &v, err),
                 BT_E_FORMAT, "47 bytes are too few");
    bt_sstable_builder_free(builder);

    /* an empty one */
    assert_ok(bt_sstable_builder_create(&builder, err));
    assert_ok(bt_sstable_finish(builder, &table, err));
    v.n = 0;
    assert_ok(bt_sstable_read(table, "t", count_entry, &v, err));
    assert_int_equal(v.n, 0);
    bt_sstable_builder_free(builder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_goldens),
        cmocka_unit_test(test_graph_damage),
        cmocka_unit_test(test_state_goldens),
        cmocka_unit_test(test_state_text),
        cmocka_unit_test(test_npy_header),
        cmocka_unit_test(test_safetensors_read),
        cmocka_unit_test(test_safetensors_damage),
        cmocka_unit_test(test_safetensors_write),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_events_without_memory),
        cmocka_unit_test(test_events_cut),
        cmocka_unit_test(test_events_torn),
        cmocka_unit_test(test_sstable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
