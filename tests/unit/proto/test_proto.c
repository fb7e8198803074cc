/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages: bytes as the protobuf specification has them, what is skipped, merged and refused, how
 * much memory a message may take, and the heap failing at each request. The bytes of real files are
 * compared in the tests of wire and ckpt. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/proto.h"
#include "event.pb-c.h"
#include "saved_model.pb-c.h"
#include "tensor_bundle.pb-c.h"
#include "test_support.h"
#include "trackable_object_graph.pb-c.h"

#define BYTES(text) ((bt_bytes){(const uint8_t *)(text), sizeof(text) - 1})

/* Of each test. */
static bt_arena arena;

static int set_up(void **state) {
    (void)state;
    assert_ok(bt_arena_init(&arena, 16, err));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    bt_arena_deinit(&arena);
    return 0;
}

static const void *unpack(const ProtobufCMessageDescriptor *type, bt_bytes bytes) {
    const ProtobufCMessage *message = NULL;
    assert_ok(bt_proto_unpack(type, bytes, &arena, &message, err));
    return message;
}

static const BtTf__BundleEntryProto *unpack_entry(bt_bytes bytes) {
    return unpack(&bt_tf__bundle_entry_proto__descriptor, bytes);
}

/* Fields come in the order of their numbers, zeros are left out, and a negative int32 has ten
 * bytes: as TensorFlow's library writes them. */
static void test_bytes(void **state) {
    (void)state;
    bt_str                       out = BT_STR_INIT;
    BtTf__TensorShapeProto__Dim  dim = BT_TF__TENSOR_SHAPE_PROTO__DIM__INIT;
    BtTf__TensorShapeProto__Dim *dims[] = {&dim, &dim};
    BtTf__TensorShapeProto       shape = BT_TF__TENSOR_SHAPE_PROTO__INIT;
    BtTf__BundleEntryProto       entry = BT_TF__BUNDLE_ENTRY_PROTO__INIT;
    assert_ok(bt_proto_append(&out, &entry.base, err));
    assert_int_equal(out.len, 0);
    dim.size = 300;
    shape.n_dim = 2;
    shape.dim = dims;
    entry.dtype = 1;
    entry.shape = &shape;
    entry.shard_id = -1;
    entry.size = 128;
    entry.crc32c = 0x01020304;
    static const char want[] = "\x08\x01"
                               "\x12\x0a\x12\x03\x08\xac\x02\x12\x03\x08\xac\x02"
                               "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                               "\x28\x80\x01"
                               "\x35\x04\x03\x02\x01";
    assert_ok(bt_proto_append(&out, &entry.base, err));
    assert_int_equal(out.len, sizeof want - 1);
    assert_memory_equal(out.data, want, out.len);

    const BtTf__BundleEntryProto *const again = unpack_entry(BYTES(want));
    assert_int_equal(again->shard_id, -1);
    assert_int_equal(again->shape->n_dim, 2);
    assert_int_equal(again->shape->dim[1]->size, 300);
    bt_str_deinit(&out);
}

/* What is not declared is skipped, of every wire type; a field that stands twice counts as the
 * last of them, a message that stands twice is merged. */
static void test_skipped_and_merged(void **state) {
    (void)state;
    const BtTf__BundleEntryProto *entry =
        unpack_entry(BYTES("\x98\x06\x05"                             /* 99: varint */
                           "\x99\x06\x01\x02\x03\x04\x05\x06\x07\x08" /* 99: 8 bytes */
                           "\x9a\x06\x02hi"                           /* 99: text */
                           "\x9d\x06\x01\x02\x03\x04"                 /* 99: 4 bytes */
                           "\x12\x04\x12\x02\x08\x07"                 /* dim 7 */
                           "\x08\x01\x08\x03"
                           "\x12\x06\x12\x04\x08\x09\x12\x00")); /* dim 9, of no name */
    assert_int_equal(entry->dtype, 3);
    assert_int_equal(entry->shape->n_dim, 2);
    assert_int_equal(entry->shape->dim[0]->size, 7);
    assert_int_equal(entry->shape->dim[1]->size, 9);
    entry = unpack_entry(BYTES("\x3a\x04\x0a\x02\x10\x00\x3a\x02\x0a\x00"));
    assert_int_equal(entry->n_slices, 2); /* a length of 0 is one, an absent one is not */
    assert_int_equal(entry->slices[0]->extent[0]->has_length_case,
                     BT_TF__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH);
    assert_int_equal(entry->slices[1]->extent[0]->has_length_case,
                     BT_TF__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH__NOT_SET);
}

static void test_damage(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t      n;
        const char *what;
    } cases[] = {
        {"\x08", 1, "a tag alone"},
        {"\x12\x05\x12", 3, "a message that is cut"},
        {"\x12\xff\xff\xff\xff\x0f", 6, "a length beyond the end"},
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "a length of 2^64 - 1"},
        {"\x10\x01", 2, "a message as a number"},
        {"\x30\x01", 2, "fixed32 as a number"},
        {"\x00\x01", 2, "field 0"},
        {"\x0b\x0c", 2, "a group"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, "a number of 12 bytes"},
        {"\x12\x02\x12\x05", 4, "a message that is cut inside of another"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        const ProtobufCMessage *message = NULL;
        bt_error                fault = BT_ERROR_INIT;
        const bt_bytes          bytes = {(const uint8_t *)cases[i].bytes, cases[i].n};
        const bt_status rc = bt_proto_unpack(&bt_tf__bundle_entry_proto__descriptor, bytes, &arena,
                                             &message, &fault);
        if (rc != BT_E_FORMAT || message != NULL) {
            fail_msg("%s: not refused", cases[i].what);
        }
        assert_non_null(strstr(fault.msg, "not a message BundleEntryProto"));
    }
}

/* Names come with their length, so that whoever reads them sees a NUL. */
static void test_nul_in_name(void **state) {
    (void)state;
    const BtTf__TrackableObjectGraph *const graph = unpack(
        &bt_tf__trackable_object_graph__descriptor, BYTES("\x0a\x07\x0a\x05\x12\x03\x61\x00\x62"));
    const ProtobufCBinaryData name = graph->nodes[0]->children[0]->local_name;
    assert_int_equal(name.len, 3);
    assert_memory_equal(name.data, "a\0b", 3);
}

/* Each further shape is merged with all that came before: 20,000 of them would ask for gigabytes in
 * all. The smallest messages that there are, and as many, are not refused. */
static void test_memory(void **state) {
    (void)state;
    enum { N = 20000 };
    const ProtobufCMessage *message = NULL;
    bt_str                  shapes = BT_STR_INIT;
    bt_str                  nodes = BT_STR_INIT;
    for (int i = 0; i < N; i++) {
        assert_ok(bt_str_append_n(&shapes, "\x12\x02\x12\x00", 4, err));
        assert_ok(bt_str_append_n(&nodes, "\x0a\x00", 2, err));
    }
    assert_fails(bt_proto_unpack(&bt_tf__bundle_entry_proto__descriptor,
                                 (bt_bytes){(const uint8_t *)shapes.data, shapes.len}, &arena,
                                 &message, err),
                 BT_E_FORMAT, "would take more than");
    assert_null(message);
    const BtTf__TrackableObjectGraph *const graph =
        unpack(&bt_tf__trackable_object_graph__descriptor,
               (bt_bytes){(const uint8_t *)nodes.data, nodes.len});
    assert_int_equal(graph->n_nodes, N);
    bt_str_deinit(&shapes);
    bt_str_deinit(&nodes);
}

static void test_faults(void **state) {
    (void)state;
    static const char event[] = "\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x05\x2a\x1d\x0a\x1b"
                                "\x0a\x04loss\x42\x08\x08\x01\x22\x04\x00\x00\x00\x40"
                                "\x4a\x09\x0a\x07\x0a\x05other";
    for (int persistent = 0; persistent < 2; persistent++) {
        bool is_over = false;
        for (uint64_t k = 1; !is_over; k++) {
            const ProtobufCMessage *message = NULL;
            bt_str                  out = BT_STR_INIT;
            bt_error                fault = BT_ERROR_INIT;
            bt_arena_deinit(&arena);
            assert_ok(bt_arena_init(&arena, 16, err));
            const uint64_t before = bt_alloc_count();
            bt_alloc_fail_at(k, persistent != 0);
            bt_status rc =
                bt_proto_unpack(&bt_tf__event__descriptor, BYTES(event), &arena, &message, &fault);
            if (rc == BT_OK) {
                rc = bt_proto_append(&out, message, &fault);
            }
            bt_alloc_fail_at(0, false);
            is_over = bt_alloc_count() - before < k;
            if (rc == BT_OK) { /* at the end, and where an arena does with a smaller block */
                assert_true(is_over || persistent == 0);
                assert_int_equal(out.len, sizeof event - 1);
                assert_memory_equal(out.data, event, out.len);
            } else {
                assert_int_equal(rc, BT_E_NOMEM);
                assert_non_null(strstr(fault.msg, "out of memory"));
            }
            bt_str_deinit(&out);
            assert_true(!is_over || k > 4);
        }
    }
}

static void test_build_info(void **state) {
    (void)state;
    bt_str out = BT_STR_INIT;
    assert_ok(bt_proto_append_build_info(&out, err));
    assert_true(bt_str_starts_with(bt_str_text(&out), "messages: protobuf-c "));
    bt_str_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_skipped_and_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nul_in_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_build_info, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
