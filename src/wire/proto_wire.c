/* SPDX-License-Identifier: Apache-2.0
 *
 * See proto_wire.h. */
#include <string.h>

#include "proto_wire.h"

bt_reader pw_open(bt_bytes bytes) {
    /* no bytes may have no address, and NULL + 0 is undefined in C */
    return bytes.data != NULL ? bt_reader_make(bytes.data, bytes.n_bytes) : bt_reader_make("", 0);
}

float pw_f32(uint32_t bits) {
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool pw_next(bt_reader *r, pw_field *field) {
    uint64_t tag = 0;
    if (!bt_read_varint(r, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
        return false;
    }
    *field = (pw_field){.number = (uint32_t)(tag >> 3), .type = (pw_type)(tag & 7)};
    uint32_t       word = 0;
    uint64_t       length = 0;
    const uint8_t *data = NULL;
    switch (field->type) {
    case PW_VARINT:
        return bt_read_varint(r, &field->value);
    case PW_FIXED64:
        return bt_read_u64le(r, &field->value);
    case PW_FIXED32:
        if (!bt_read_u32le(r, &word)) {
            return false;
        }
        field->value = word;
        return true;
    case PW_BYTES:
        if (!bt_read_varint(r, &length) || length > bt_reader_left(r) ||
            !bt_read_bytes(r, (size_t)length, &data)) {
            return false;
        }
        field->bytes = (bt_bytes){data, (size_t)length};
        return true;
    case PW_GROUP_START: /* proto3 has no groups */
    case PW_GROUP_END:
        break;
    }
    return false;
}

bt_status pw_put_varint(bt_str *out, uint64_t value, bt_error *err) {
    uint8_t bytes[10];
    return bt_str_append_n(out, bytes, bt_store_varint(bytes, value), err);
}

bt_status pw_put_tag(bt_str *out, uint32_t number, pw_type type, bt_error *err) {
    return pw_put_varint(out, (uint64_t)number << 3 | (uint64_t)type, err);
}

bt_status pw_put_bytes(bt_str *out, uint32_t number, const void *bytes, size_t n_bytes,
                       bt_error *err) {
    BT_TRY(pw_put_tag(out, number, PW_BYTES, err));
    BT_TRY(pw_put_varint(out, n_bytes, err));
    return bt_str_append_n(out, bytes, n_bytes, err);
}

bt_status pw_put_text(bt_str *out, uint32_t number, const char *text, bt_error *err) {
    return pw_put_bytes(out, number, text, strlen(text), err);
}
