/* SPDX-License-Identifier: Apache-2.0
 *
 * Serializing tf.Example in the caller's order of features, as TensorFlow's protobuf writes it:
 * int lists as packed varints (a negative takes ten bytes), floats packed little-endian, an empty
 * list as an empty list message. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/wire/example.h"
#include "proto_wire.h"

enum { FIELD_FEATURES = 1, FIELD_ENTRY = 1, FIELD_KEY = 1, FIELD_VALUE = 2, FIELD_LIST_VALUE = 1 };

typedef struct example_texts {
    bt_str features; /* those that were added, as they stand in the message */
    bt_str scratch;  /* the list at hand */
    bt_str packed;   /* its integers */
    bt_str message;
} example_texts;

void bt_example_builder_deinit(bt_example_builder *builder) {
    if (builder->texts != NULL) {
        bt_str_deinit(&builder->texts->features);
        bt_str_deinit(&builder->texts->scratch);
        bt_str_deinit(&builder->texts->packed);
        bt_str_deinit(&builder->texts->message);
        bt_free(builder->texts);
        builder->texts = NULL;
    }
}

void bt_example_builder_clear(bt_example_builder *builder) {
    if (builder->texts != NULL) {
        bt_str_clear(&builder->texts->features);
    }
}

/* An empty list to fill. */
static bt_status begin_list(bt_example_builder *builder, bt_str **list, bt_error *err) {
    if (builder->texts == NULL) {
        builder->texts = bt_calloc_array(1, sizeof *builder->texts);
        if (builder->texts == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a record");
        }
    }
    *list = &builder->texts->scratch;
    bt_str_clear(*list);
    return BT_OK;
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
    bt_str *const out = &builder->texts->features;
    const size_t  n_value = nested_size(list->len);
    const size_t  n_entry = nested_size(strlen(key)) + nested_size(n_value);
    BT_TRY(pw_put_tag(out, FIELD_ENTRY, PW_BYTES, err));
    BT_TRY(pw_put_varint(out, n_entry, err));
    BT_TRY(pw_put_text(out, FIELD_KEY, key, err));
    BT_TRY(pw_put_tag(out, FIELD_VALUE, PW_BYTES, err));
    BT_TRY(pw_put_varint(out, n_value, err));
    return pw_put_bytes(out, (uint32_t)kind, list->data, list->len, err);
}

/* Packed integers: most of a record. */

enum { VARINT_MAX_BYTES = 10 };

/* One value that does not fit in a byte. */
static uint8_t *put_large(uint8_t *to, uint64_t value) {
    static const uint8_t minus_one[VARINT_MAX_BYTES] = {255, 255, 255, 255, 255,
                                                        255, 255, 255, 255, 1};
    if (value < 1U << 14) {
        to[0] = (uint8_t)(value | 128);
        to[1] = (uint8_t)(value >> 7);
        return to + 2;
    }
    if (value == UINT64_MAX) { /* padding of labels */
        memcpy(to, minus_one, sizeof minus_one);
        return to + sizeof minus_one;
    }
    return to + bt_store_varint(to, value);
}

static uint8_t *pack_i64(uint8_t *to, const int64_t *values, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint64_t value = (uint64_t)values[i];
        if (value < 128) {
            *to++ = (uint8_t)value;
        } else {
            to = put_large(to, value);
        }
    }
    return to;
}

static uint8_t *pack_i32(uint8_t *to, const int32_t *values, size_t n) {
    uint32_t all = 0;
    for (size_t i = 0; i < n; i++) {
        all |= (uint32_t)values[i];
    }
    if (all < 128) { /* masks and segments */
        for (size_t i = 0; i < n; i++) {
            to[i] = (uint8_t)values[i];
        }
        return to + n;
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t value = (uint64_t)(int64_t)values[i];
        if (value < 128) {
            *to++ = (uint8_t)value;
        } else {
            to = put_large(to, value);
        }
    }
    return to;
}

/* Room for n values of any size in the builder's buffer. */
static bt_status reserve_packed(bt_example_builder *builder, size_t n, uint8_t **out,
                                bt_error *err) {
    bt_str *const packed = &builder->texts->packed;
    size_t        n_bytes = 0;
    if (!bt_size_mul(n, VARINT_MAX_BYTES, &n_bytes)) {
        return BT_FAIL(err, BT_E_NOMEM, "a feature of %zu integers is too long", n);
    }
    BT_TRY(bt_grow(&packed->data, &packed->cap, n_bytes, 1, BT_STR_MAX_BYTES, err));
    *out = (uint8_t *)packed->data;
    return BT_OK;
}

static bt_status add_ints(bt_example_builder *builder, const char *key, const void *values,
                          bool is_wide, size_t n, bt_error *err) {
    bt_str *list = NULL;
    BT_TRY(begin_list(builder, &list, err));
    if (n > 0) {
        uint8_t *packed = NULL;
        BT_TRY(reserve_packed(builder, n, &packed, err));
        const uint8_t *const end =
            is_wide ? pack_i64(packed, values, n) : pack_i32(packed, values, n);
        BT_TRY(pw_put_bytes(list, FIELD_LIST_VALUE, packed, (size_t)(end - packed), err));
    }
    return add_entry(builder, key, BT_FEATURE_I64, list, err);
}

bt_status bt_example_add_i64(bt_example_builder *builder, const char *key, const int64_t *values,
                             size_t n, bt_error *err) {
    return add_ints(builder, key, values, true, n, err);
}

bt_status bt_example_add_i32(bt_example_builder *builder, const char *key, const int32_t *values,
                             size_t n, bt_error *err) {
    return add_ints(builder, key, values, false, n, err);
}

bt_status bt_example_add_f32(bt_example_builder *builder, const char *key, const float *values,
                             size_t n, bt_error *err) {
    bt_str *list = NULL;
    BT_TRY(begin_list(builder, &list, err));
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
    bt_str *list = NULL;
    BT_TRY(begin_list(builder, &list, err));
    for (size_t i = 0; i < n; i++) {
        BT_TRY(pw_put_bytes(list, FIELD_LIST_VALUE, values[i].data, values[i].n_bytes, err));
    }
    return add_entry(builder, key, BT_FEATURE_BYTES, list, err);
}

bt_status bt_example_finish(bt_example_builder *builder, bt_bytes *out, bt_error *err) {
    bt_str *list = NULL;
    BT_TRY(begin_list(builder, &list, err));
    example_texts *const texts = builder->texts;
    bt_str_clear(&texts->message);
    BT_TRY(pw_put_bytes(&texts->message, FIELD_FEATURES, texts->features.data, texts->features.len,
                        err));
    *out = (bt_bytes){(const uint8_t *)texts->message.data, texts->message.len};
    return BT_OK;
}
