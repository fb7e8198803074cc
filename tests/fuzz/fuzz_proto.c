/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages: the first byte says of which type, the others are the message. What is unpacked is
 * packed again, and from then on stays the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/arena.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/proto.h"
#include "compile_options.pb-c.h"
#include "event.pb-c.h"
#include "fuzz_targets.h"
#include "keras_metadata.pb-c.h"
#include "saved_model.pb-c.h"
#include "tensor_bundle.pb-c.h"
#include "trackable_object_graph.pb-c.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &bt_tf__bundle_header_proto__descriptor,
    &bt_tf__bundle_entry_proto__descriptor,
    &bt_tf__trackable_object_graph__descriptor,
    &bt_tf__event__descriptor,
    &bt_tf__saved_model__descriptor,
    &bt_keras__saved_metadata__descriptor,
    &bt_xla__compile_options_proto__descriptor, /* has strings, which are never read from files */
};

/* false: not a message of that type */
static bool pack_again(const ProtobufCMessageDescriptor *type, bt_bytes bytes, bt_str *out) {
    const ProtobufCMessage *message = NULL;
    bt_arena                arena = {0};
    bool                    is_good = false;
    if (bt_arena_init(&arena, 1U << 12, NULL) != BT_OK) {
        abort();
    }
    if (bt_proto_unpack(type, bytes, &arena, &message, NULL) == BT_OK) {
        is_good = true;
        if (bt_proto_append(out, message, NULL) != BT_OK) {
            abort();
        }
    }
    bt_arena_deinit(&arena);
    return is_good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_str first = BT_STR_INIT;
    bt_str again = BT_STR_INIT;
    if (size == 0) {
        return 0;
    }
    const ProtobufCMessageDescriptor *const type = types[data[0] % BT_ARRAY_LEN(types)];
    if (pack_again(type, (bt_bytes){data + 1, size - 1}, &first)) {
        const bt_bytes packed = {(const uint8_t *)first.data, first.len};
        if (!pack_again(type, packed, &again) || again.len != first.len ||
            (first.len > 0 && memcmp(first.data, again.data, first.len) != 0)) {
            abort();
        }
    }
    bt_str_deinit(&first);
    bt_str_deinit(&again);
    return 0;
}
