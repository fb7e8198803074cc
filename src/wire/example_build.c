/* SPDX-License-Identifier: Apache-2.0
 *
 * Serializing tf.Example in the caller's order of features, as TensorFlow's protobuf writes it:
 * int lists as packed varints (a negative takes ten bytes), floats packed little-endian, an empty
 * list as an empty list message. */
#include <string.h>

#include "proto_wire.h"

enum { FIELD_FEATURES = 1, FIELD_ENTRY = 1, FIELD_KEY = 1, FIELD_VALUE = 2, FIELD_LIST_VALUE = 1 };

void bt_example_builder_deinit(bt_example_builder *builder) {
    bt_str_deinit(&builder->features);
    bt_str_deinit(&builder->scratch);
    bt_str_deinit(&builder->message);
}

void bt_example_builder_clear(bt_example_builder *builder) {
    bt_str_clear(&builder->features);
}

static size_t varint_size(uint64_t value) {
    size_t n = 1;
    for (; value >= 128; value >>= 7) {
        n++;
    }
    return n;
}

/* bytes of a tag below field 16, a length and that many bytes */
static size_t nested_size(size_t n) {
    return 1 + varint_size(n) + n;
}

/* Appends the entry whose list message is `list`; every length is known before it is written. */
static bt_status add_entry(bt_example_builder *builder, const char *key, bt_feature_kind kind,
                           const bt_str *list, bt_error *err) {
    bt_str *const out = &builder->features;
    const size_t  n_value = nested_size(list->len);
    const size_t  n_entry = nested_size(strlen(key)) + nested_size(n_value);
    BT_TRY(pw_put_tag(out, FIELD_ENTRY, PW_BYTES, err));
    BT_TRY(pw_put_varint(out, n_entry, err));
    BT_TRY(pw_put_text(out, FIELD_KEY, key, err));
    BT_TRY(pw_put_tag(out, FIELD_VALUE, PW_BYTES, err));
    BT_TRY(pw_put_varint(out, n_value, err));
    return pw_put_bytes(out, (uint32_t)kind, list->data, list->len, err);
}

static size_t packed_i64_size(const int64_t *v64, const int32_t *v32, size_t n) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += varint_size((uint64_t)(v64 != NULL ? v64[i] : (int64_t)v32[i]));
    }
    return size;
}

/* By way of a buffer: one append for many values, which is most of the cost of a record. */
static bt_status put_packed_ints(bt_str *list, const int64_t *v64, const int32_t *v32, size_t n,
                                 bt_error *err) {
    enum { CHUNK_VALUES = 64, VARINT_MAX_BYTES = 10 };
    uint8_t bytes[CHUNK_VALUES * VARINT_MAX_BYTES];
    size_t  used = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t value = (uint64_t)(v64 != NULL ? v64[i] : (int64_t)v32[i]);
        if (value < 128) {
            bytes[used++] = (uint8_t)value;
        } else {
            used += bt_store_varint(bytes + used, value);
        }
        if (used > sizeof bytes - VARINT_MAX_BYTES) {
            BT_TRY(bt_str_append_n(list, bytes, used, err));
            used = 0;
        }
    }
    return bt_str_append_n(list, bytes, used, err);
}

static bt_status add_ints(bt_example_builder *builder, const char *key, const int64_t *v64,
                          const int32_t *v32, size_t n, bt_error *err) {
    bt_str *const list = &builder->scratch;
    bt_str_clear(list);
    if (n > 0) {
        BT_TRY(pw_put_tag(list, FIELD_LIST_VALUE, PW_BYTES, err));
        BT_TRY(pw_put_varint(list, packed_i64_size(v64, v32, n), err));
        BT_TRY(put_packed_ints(list, v64, v32, n, err));
    }
    return add_entry(builder, key, BT_FEATURE_I64, list, err);
}

bt_status bt_example_add_i64(bt_example_builder *builder, const char *key, const int64_t *values,
                             size_t n, bt_error *err) {
    return add_ints(builder, key, values, NULL, n, err);
}

bt_status bt_example_add_i32(bt_example_builder *builder, const char *key, const int32_t *values,
                             size_t n, bt_error *err) {
    return add_ints(builder, key, NULL, values, n, err);
}

bt_status bt_example_add_f32(bt_example_builder *builder, const char *key, const float *values,
                             size_t n, bt_error *err) {
    bt_str *const list = &builder->scratch;
    bt_str_clear(list);
    if (n > 0) {
        BT_TRY(pw_put_tag(list, FIELD_LIST_VALUE, PW_BYTES, err));
        BT_TRY(pw_put_varint(list, n * sizeof(float), err));
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = 0;
            uint8_t  bytes[4];
            memcpy(&bits, &values[i], sizeof bits);
            bt_store_u32le(bytes, bits);
            BT_TRY(bt_str_append_n(list, bytes, sizeof bytes, err));
        }
    }
    return add_entry(builder, key, BT_FEATURE_F32, list, err);
}

bt_status bt_example_add_bytes(bt_example_builder *builder, const char *key, const bt_bytes *values,
                               size_t n, bt_error *err) {
    bt_str *const list = &builder->scratch;
    bt_str_clear(list);
    for (size_t i = 0; i < n; i++) {
        BT_TRY(pw_put_bytes(list, FIELD_LIST_VALUE, values[i].data, values[i].n_bytes, err));
    }
    return add_entry(builder, key, BT_FEATURE_BYTES, list, err);
}

bt_status bt_example_finish(bt_example_builder *builder, bt_bytes *out, bt_error *err) {
    bt_str *const message = &builder->message;
    bt_str_clear(message);
    BT_TRY(
        pw_put_bytes(message, FIELD_FEATURES, builder->features.data, builder->features.len, err));
    *out = (bt_bytes){(const uint8_t *)message->data, message->len};
    return BT_OK;
}
