/* SPDX-License-Identifier: Apache-2.0
 *
 * The protobuf wire format by hand, for tf.Example, which is read millions of times (all other
 * messages: bt/proto.h), and the varints of tables: nothing is allocated for reading, every length
 * is checked against the bytes left. */
#ifndef BT_PROTO_WIRE_H
#define BT_PROTO_WIRE_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"

typedef enum pw_type {
    PW_VARINT = 0,
    PW_FIXED64 = 1,
    PW_BYTES = 2,
    PW_GROUP_START = 3,
    PW_GROUP_END = 4,
    PW_FIXED32 = 5
} pw_type;

/* One field as it is on the wire: value holds varint and fixed contents, bytes the rest. */
typedef struct pw_field {
    uint32_t number;
    pw_type  type;
    uint64_t value;
    bt_bytes bytes;
} pw_field;

/* Reads the next field; false when the bytes are not a field (a cut length, a group, number 0). The
 * caller stops by itself at bt_reader_left() == 0. */
BT_MUST_USE bool pw_next(bt_reader *r, pw_field *field);
bt_reader        pw_open(bt_bytes bytes); /* a reader of a nested message */
float            pw_f32(uint32_t bits);

/* Appending fields. Zero values are written too: the caller leaves defaults out, as proto3 does. */
BT_MUST_USE bt_status pw_put_varint(bt_str *out, uint64_t value, bt_error *err);
BT_MUST_USE bt_status pw_put_tag(bt_str *out, uint32_t number, pw_type type, bt_error *err);
BT_MUST_USE bt_status pw_put_bytes(bt_str *out, uint32_t number, const void *bytes, size_t n_bytes,
                                   bt_error *err);
BT_MUST_USE bt_status pw_put_text(bt_str *out, uint32_t number, const char *text, bt_error *err);

#endif
