/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays on their way to a device and back. On this side they are dense and row-major; how a device
 * keeps them is its own affair. */
#include <inttypes.h>

#include "pjrt_internal.h"

/* false: devices have no such type */
static bool buffer_type(bt_dtype dtype, PJRT_Buffer_Type *out) {
    static const struct {
        bt_dtype         dtype;
        PJRT_Buffer_Type type;
    } rows[] = {
        {BT_DTYPE_F32, PJRT_Buffer_Type_F32},   {BT_DTYPE_F64, PJRT_Buffer_Type_F64},
        {BT_DTYPE_I32, PJRT_Buffer_Type_S32},   {BT_DTYPE_U8, PJRT_Buffer_Type_U8},
        {BT_DTYPE_I16, PJRT_Buffer_Type_S16},   {BT_DTYPE_I8, PJRT_Buffer_Type_S8},
        {BT_DTYPE_I64, PJRT_Buffer_Type_S64},   {BT_DTYPE_BOOL, PJRT_Buffer_Type_PRED},
        {BT_DTYPE_BF16, PJRT_Buffer_Type_BF16}, {BT_DTYPE_U16, PJRT_Buffer_Type_U16},
        {BT_DTYPE_F16, PJRT_Buffer_Type_F16},   {BT_DTYPE_U32, PJRT_Buffer_Type_U32},
        {BT_DTYPE_U64, PJRT_Buffer_Type_U64},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (rows[i].dtype == dtype) {
            *out = rows[i].type;
            return true;
        }
    }
    return false;
}

bt_status bt_pjrt_upload(bt_pjrt_client *client, int32_t device, const bt_pjrt_shape *shape,
                         const void *data, bt_pjrt_buffer **out, bt_error *err) {
    BT_ASSERT(device >= 0 && (size_t)device < client->n_devices);
    const bt_pjrt_plugin *const plugin = client->plugin;
    PJRT_Buffer_Type            type = PJRT_Buffer_Type_INVALID;
    size_t                      n_bytes = 0;
    if (!buffer_type(shape->dtype, &type) || !bt_pjrt_shape_bytes(shape, &n_bytes)) {
        return BT_FAIL(err, BT_E_SHAPE,
                       "an array of %s and rank %" PRId32 " cannot be put on a device",
                       bt_dtype_name(shape->dtype), shape->rank);
    }
    PJRT_ARGS(PJRT_Client_BufferFromHostBuffer, upload, .client = client->client, .data = data,
              .type = type, .dims = shape->dim, .num_dims = (size_t)shape->rank,
              .device = client->devices[device],
              .host_buffer_semantics = PJRT_HostBufferSemantics_kImmutableOnlyDuringCall);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Client_BufferFromHostBuffer(&upload),
                           "an array cannot be put on the device", err));
    const bt_status rc = pjrt_await(plugin, upload.done_with_host_buffer,
                                    "an array cannot be put on the device", err);
    if (rc != BT_OK) {
        bt_pjrt_buffer_free(client, upload.buffer);
        return rc;
    }
    *out = upload.buffer;
    return BT_OK;
}

/* Asks for how many bytes the array has on this side. */
static bt_status host_bytes(bt_pjrt_client *client, PJRT_Buffer *buffer,
                            PJRT_Buffer_MemoryLayout *layout, size_t *n_bytes, bt_error *err) {
    PJRT_ARGS(PJRT_Buffer_ToHostBuffer, ask, .src = buffer, .host_layout = layout);
    BT_TRY(pjrt_take_error(client->plugin, client->plugin->api->PJRT_Buffer_ToHostBuffer(&ask),
                           "an array cannot be read from the device", err));
    pjrt_drop_event(client->plugin, ask.event);
    *n_bytes = ask.dst_size;
    return BT_OK;
}

bt_status bt_pjrt_download(bt_pjrt_client *client, bt_pjrt_buffer *buffer, void *data,
                           size_t n_bytes, bt_error *err) {
    const bt_pjrt_plugin *const plugin = client->plugin;
    PJRT_ARGS(PJRT_Buffer_Dimensions, dims, .buffer = buffer);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Buffer_Dimensions(&dims),
                           "an array cannot be read from the device", err));
    if (dims.num_dims > BT_PJRT_MAX_RANK) {
        return BT_FAIL(err, BT_E_SHAPE, "an array on a device has rank %zu, at most %d is read",
                       dims.num_dims, BT_PJRT_MAX_RANK);
    }
    /* row-major, whatever the device has */
    int64_t minor_to_major[BT_PJRT_MAX_RANK];
    for (size_t i = 0; i < dims.num_dims; i++) {
        minor_to_major[i] = (int64_t)(dims.num_dims - 1 - i);
    }
    PJRT_Buffer_MemoryLayout layout = {
        .struct_size = PJRT_Buffer_MemoryLayout_STRUCT_SIZE,
        .type = PJRT_Buffer_MemoryLayout_Type_Tiled,
        .tiled = {.struct_size = PJRT_Buffer_MemoryLayout_Tiled_STRUCT_SIZE,
                  .minor_to_major = minor_to_major,
                  .minor_to_major_size = dims.num_dims}};
    size_t there = 0;
    BT_TRY(host_bytes(client, buffer, &layout, &there, err));
    if (there != n_bytes) {
        return BT_FAIL(err, BT_E_SHAPE, "an array on a device has %zu bytes, %zu are expected",
                       there, n_bytes);
    }
    PJRT_ARGS(PJRT_Buffer_ToHostBuffer, download, .src = buffer, .host_layout = &layout,
              .dst = data, .dst_size = n_bytes);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Buffer_ToHostBuffer(&download),
                           "an array cannot be read from the device", err));
    return pjrt_await(plugin, download.event, "an array cannot be read from the device", err);
}

bt_status bt_pjrt_is_gone(bt_pjrt_client *client, bt_pjrt_buffer *buffer, bool *is_gone,
                          bt_error *err) {
    PJRT_ARGS(PJRT_Buffer_IsDeleted, ask, .buffer = buffer);
    BT_TRY(pjrt_take_error(client->plugin, client->plugin->api->PJRT_Buffer_IsDeleted(&ask),
                           "asking whether an array is still there", err));
    *is_gone = ask.is_deleted;
    return BT_OK;
}

void bt_pjrt_buffer_free(bt_pjrt_client *client, bt_pjrt_buffer *buffer) {
    if (buffer != NULL) {
        PJRT_ARGS(PJRT_Buffer_Destroy, destroy, .buffer = buffer);
        pjrt_drop_error(client->plugin, client->plugin->api->PJRT_Buffer_Destroy(&destroy));
    }
}
