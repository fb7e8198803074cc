/* SPDX-License-Identifier: Apache-2.0
 *
 * See bt/proto.h. */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/proto.h"

/* What unpacking may ask for. The smallest message that repeats, two bytes in a file, takes 168
 * (its struct, a pointer and a row of protobuf-c's list of fields), so that 128 a byte refuse only
 * what is merged again and again: fields that stand many times where one is meant. Of messages of
 * megabytes that would be too much; what makes real ones large is texts and fields that are
 * skipped, which are copied once. */
#define GROWTH_SMALL ((size_t)128)
#define GROWTH_LARGE ((size_t)2)
#define MEMORY_SMALL ((size_t)1 << 12)
#define MEMORY_LARGE ((size_t)1 << 28)

typedef struct allowance {
    bt_arena *arena;
    size_t    left;
    bool      is_spent;
    bool      is_refused; /* by the heap */
} allowance;

static size_t bytes_allowed(size_t n) {
    const size_t small = n <= MEMORY_LARGE ? GROWTH_SMALL * n + MEMORY_SMALL : SIZE_MAX;
    const size_t large = n <= SIZE_MAX / 4 ? GROWTH_LARGE * n + MEMORY_LARGE : SIZE_MAX;
    return small < large ? small : large;
}

static void *take(void *context, size_t n_bytes) {
    allowance *const allowed = context;
    if (n_bytes > allowed->left) {
        allowed->is_spent = true;
        return NULL;
    }
    allowed->left -= n_bytes;
    void *const memory = bt_arena_alloc(allowed->arena, n_bytes);
    allowed->is_refused = allowed->is_refused || memory == NULL;
    return memory;
}

static void give_back(void *context, void *memory) { /* the arena does, all at once */
    (void)context;
    (void)memory;
}

bt_status bt_proto_unpack(const ProtobufCMessageDescriptor *type, bt_bytes bytes, bt_arena *arena,
                          const ProtobufCMessage **out, bt_error *err) {
    allowance          allowed = {.arena = arena, .left = bytes_allowed(bytes.n_bytes)};
    ProtobufCAllocator allocator = {take, give_back, &allowed};
    *out = protobuf_c_message_unpack(type, &allocator, bytes.n_bytes, bytes.data);
    if (*out != NULL) {
        return BT_OK;
    }
    if (allowed.is_refused) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot read a message %s of %zu bytes",
                       type->short_name, bytes.n_bytes);
    }
    if (allowed.is_spent) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "a message %s of %zu bytes would take more than %zu bytes of memory, which "
                       "none takes that TensorFlow wrote",
                       type->short_name, bytes.n_bytes, bytes_allowed(bytes.n_bytes));
    }
    return BT_FAIL(err, BT_E_FORMAT, "damaged: these %zu bytes are not a message %s", bytes.n_bytes,
                   type->short_name);
}

bt_status bt_proto_append(bt_str *out, const ProtobufCMessage *message, bt_error *err) {
    const size_t   n = protobuf_c_message_get_packed_size(message);
    uint8_t *const bytes = bt_alloc(n);
    if (bytes == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory: cannot write a message %s of %zu bytes",
                       message->descriptor->short_name, n);
    }
    (void)protobuf_c_message_pack(message, bytes);
    const bt_status rc = bt_str_append_n(out, bytes, n, err);
    bt_free(bytes);
    return rc;
}

ProtobufCBinaryData bt_proto_bytes(bt_bytes bytes) {
    return (ProtobufCBinaryData){bytes.n_bytes, (uint8_t *)(uintptr_t)bytes.data};
}

ProtobufCBinaryData bt_proto_text(const char *text) {
    return bt_proto_bytes((bt_bytes){(const uint8_t *)text, text != NULL ? strlen(text) : 0});
}

bt_status bt_proto_append_build_info(bt_str *out, bt_error *err) {
    return bt_str_appendf(out, err, "messages: protobuf-c %s\n", protobuf_c_version());
}
