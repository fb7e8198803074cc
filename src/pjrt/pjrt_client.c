/* SPDX-License-Identifier: Apache-2.0
 *
 * The devices of this process: how many, of which kind, with how much memory. */
#include <string.h>

#include "bt/base/alloc.h"
#include "pjrt_internal.h"

static bt_status copy_kind(const bt_pjrt_client *client, PJRT_Device *device, char **out,
                           bt_error *err) {
    const bt_pjrt_plugin *const plugin = client->plugin;
    PJRT_ARGS(PJRT_Device_GetDescription, about, .device = device);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Device_GetDescription(&about),
                           "asking a device what it is", err));
    PJRT_ARGS(PJRT_DeviceDescription_Kind, kind, .device_description = about.device_description);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_DeviceDescription_Kind(&kind),
                           "asking a device for its kind", err));
    return pjrt_copy_text(kind.device_kind, kind.device_kind_size, out, err);
}

static bt_status read_platform(bt_pjrt_client *client, bt_error *err) {
    const bt_pjrt_plugin *const plugin = client->plugin;
    PJRT_ARGS(PJRT_Client_PlatformName, name, .client = client->client);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Client_PlatformName(&name),
                           "asking for the platform", err));
    BT_TRY(pjrt_copy_text(name.platform_name, name.platform_name_size, &client->platform, err));
    PJRT_ARGS(PJRT_Client_PlatformVersion, version, .client = client->client);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Client_PlatformVersion(&version),
                           "asking for the platform's version", err));
    return pjrt_copy_text(version.platform_version, version.platform_version_size, &client->version,
                          err);
}

static bt_status read_devices(bt_pjrt_client *client, bt_error *err) {
    const bt_pjrt_plugin *const plugin = client->plugin;
    PJRT_ARGS(PJRT_Client_AddressableDevices, list, .client = client->client);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Client_AddressableDevices(&list),
                           "asking for the devices", err));
    if (list.num_addressable_devices == 0 || list.num_addressable_devices > INT32_MAX) {
        return BT_FAIL(err, BT_E_BACKEND, "%s: the plug-in finds no device here", plugin->path);
    }
    client->kinds = bt_calloc_array(list.num_addressable_devices, sizeof *client->kinds);
    if (client->kinds == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for %zu devices", list.num_addressable_devices);
    }
    client->devices = list.addressable_devices;
    client->n_devices = list.num_addressable_devices;
    for (size_t i = 0; i < client->n_devices; i++) {
        BT_TRY(copy_kind(client, client->devices[i], &client->kinds[i], err));
    }
    return BT_OK;
}

bt_status bt_pjrt_client_create(bt_pjrt_plugin *plugin, const bt_pjrt_option *options,
                                size_t n_options, bt_pjrt_client **out, bt_error *err) {
    bt_status        rc = BT_OK;
    PJRT_NamedValue *values = NULL;
    bt_pjrt_client  *client = bt_calloc_array(1, sizeof *client);
    if (client == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for the client of a plug-in");
    }
    client->plugin = plugin;
    BT_CHECK(pjrt_named_values(options, n_options, &values, err));
    PJRT_ARGS(PJRT_Client_Create, create, .create_options = values, .num_options = n_options);
    BT_CHECK(pjrt_take_error(plugin, plugin->api->PJRT_Client_Create(&create),
                             "no device can be used", err));
    client->client = create.client;
    BT_CHECK(read_platform(client, err));
    BT_CHECK(read_devices(client, err));
    *out = client;
    client = NULL;
done:
    bt_free(values);
    bt_pjrt_client_free(client);
    return rc;
}

void bt_pjrt_client_free(bt_pjrt_client *client) {
    if (client == NULL) {
        return;
    }
    for (size_t i = 0; i < client->n_devices; i++) {
        bt_free(client->kinds[i]);
    }
    bt_free(client->kinds);
    if (client->client != NULL) {
        PJRT_ARGS(PJRT_Client_Destroy, destroy, .client = client->client);
        pjrt_drop_error(client->plugin, client->plugin->api->PJRT_Client_Destroy(&destroy));
    }
    bt_free(client->platform);
    bt_free(client->version);
    bt_free(client);
}

const char *bt_pjrt_client_platform(const bt_pjrt_client *client) {
    return client->platform;
}

const char *bt_pjrt_client_version(const bt_pjrt_client *client) {
    return client->version;
}

int32_t bt_pjrt_client_n_devices(const bt_pjrt_client *client) {
    return (int32_t)client->n_devices;
}

bt_status bt_pjrt_client_device(bt_pjrt_client *client, int32_t device, bt_pjrt_device *out,
                                bt_error *err) {
    BT_ASSERT(device >= 0 && (size_t)device < client->n_devices);
    (void)err;
    const bt_pjrt_plugin *const plugin = client->plugin;
    *out = (bt_pjrt_device){client->kinds[device], -1, -1, -1};
    PJRT_ARGS(PJRT_Device_MemoryStats, stats, .device = client->devices[device]);
    PJRT_Error *const error = plugin->api->PJRT_Device_MemoryStats(&stats);
    if (error != NULL) { /* many plug-ins do not count: that is not a failure */
        pjrt_drop_error(plugin, error);
        return BT_OK;
    }
    out->in_use_bytes = stats.bytes_in_use;
    if (stats.bytes_limit_is_set) {
        out->limit_bytes = stats.bytes_limit;
    }
    if (stats.peak_bytes_in_use_is_set) {
        out->peak_bytes = stats.peak_bytes_in_use;
    }
    return BT_OK;
}
