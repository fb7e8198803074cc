/* SPDX-License-Identifier: Apache-2.0
 *
 * proto: messages of TensorFlow, Keras, XLA and ONNX. protobuf-c makes a struct of each message of
 * proto/NAME.proto when the program is built ("NAME.pb-c.h"); here they are packed and unpacked.
 *
 * Promises: a message is unpacked into an arena, and takes only so much of it as its own size
 * allows; a damaged message is BT_E_FORMAT. No message of proto/ contains itself, so nothing nests
 * deeper than it is declared. Fields that are not declared are skipped. */
#ifndef BT_PROTO_H
#define BT_PROTO_H

#include <protobuf-c/protobuf-c.h>

#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"

/* *out is a message of that type, which lives as long as what arena gives out now does, and keeps
 * nothing of bytes. On failure it is NULL, and what was taken of arena is not given back. */
BT_MUST_USE bt_status bt_proto_unpack(const ProtobufCMessageDescriptor *type, bt_bytes bytes,
                                      bt_arena *arena, const ProtobufCMessage **out, bt_error *err);

/* Appends the packed message: fields in the order of their numbers, defaults left out, as
 * TensorFlow's own library writes them. */
BT_MUST_USE bt_status bt_proto_append(bt_str *out, const ProtobufCMessage *message, bt_error *err);

/* Borrowed: as what is packed, which protobuf-c does not change, though its structs are not const.
 */
ProtobufCBinaryData bt_proto_text(const char *text);
ProtobufCBinaryData bt_proto_bytes(bt_bytes bytes);

/* Appends a line about the library: "messages: protobuf-c 1.4.1". */
BT_MUST_USE bt_status bt_proto_append_build_info(bt_str *out, bt_error *err);

#endif
