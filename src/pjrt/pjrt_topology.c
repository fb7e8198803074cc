/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices as a plug-in describes them without having them: to compile for. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "pjrt_internal.h"

static const char memory_attribute[] = "device_memory_bytes_limit";

/* A whole number among a device's attributes; -1: it has none of that name. */
static int64_t find_number(const PJRT_NamedValue *values, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (values[i].type == PJRT_NamedValue_kInt64 && values[i].name_size == strlen(name) &&
            memcmp(values[i].name, name, values[i].name_size) == 0) {
            return values[i].int64_value;
        }
    }
    return -1;
}

static bt_status read_device(bt_pjrt_topology *topology, PJRT_DeviceDescription *device,
                             bt_error *err) {
    const bt_pjrt_plugin *const plugin = topology->plugin;
    PJRT_ARGS(PJRT_DeviceDescription_Kind, kind, .device_description = device);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_DeviceDescription_Kind(&kind),
                           "asking a device for its kind", err));
    BT_TRY(pjrt_copy_text(kind.device_kind, kind.device_kind_size, &topology->kind, err));
    PJRT_ARGS(PJRT_DeviceDescription_Attributes, attributes, .device_description = device);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_DeviceDescription_Attributes(&attributes),
                           "asking a device for its attributes", err));
    topology->memory_bytes =
        find_number(attributes.attributes, attributes.num_attributes, memory_attribute);
    return BT_OK;
}

static bt_status read_topology(bt_pjrt_topology *topology, bt_error *err) {
    const bt_pjrt_plugin *const plugin = topology->plugin;
    PJRT_ARGS(PJRT_TopologyDescription_PlatformVersion, version, .topology = topology->topology);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_TopologyDescription_PlatformVersion(&version),
                           "asking for the platform's version", err));
    BT_TRY(pjrt_copy_text(version.platform_version, version.platform_version_size,
                          &topology->version, err));
    PJRT_ARGS(PJRT_TopologyDescription_GetDeviceDescriptions, list, .topology = topology->topology);
    BT_TRY(pjrt_take_error(plugin,
                           plugin->api->PJRT_TopologyDescription_GetDeviceDescriptions(&list),
                           "asking for the devices", err));
    if (list.num_descriptions == 0 || list.num_descriptions > INT32_MAX) {
        return BT_FAIL(err, BT_E_BACKEND, "%s: the plug-in describes no device", plugin->path);
    }
    topology->n_devices = (int32_t)list.num_descriptions;
    return read_device(topology, list.descriptions[0], err);
}

static bt_status create(bt_pjrt_plugin *plugin, const bt_pjrt_target *target,
                        PJRT_TopologyDescription **out, bt_error *err) {
    const bool       is_gpu = target->kind == BT_PJRT_CUDA;
    bt_str           shape = BT_STR_INIT; /* slices x hosts x GPUs of a host */
    bt_status        rc = BT_OK;
    PJRT_NamedValue *values = NULL;
    BT_CHECK(bt_str_appendf(&shape, err, "1x1x%" PRId32, target->n_gpus));
    const bt_pjrt_option options[] = {
        {"target_config", BT_PJRT_OPTION_TEXT, bt_str_text(&target->description), 0},
        {"topology", BT_PJRT_OPTION_TEXT, bt_str_text(&shape), 0},
    };
    const char *const name = is_gpu ? "cuda" : bt_str_text(&target->description);
    const size_t      n_options = is_gpu ? BT_ARRAY_LEN(options) : 0;
    BT_CHECK(pjrt_named_values(options, n_options, &values, err));
    PJRT_ARGS(PJRT_TopologyDescription_Create, call, .topology_name = name,
              .topology_name_size = strlen(name), .create_options = values,
              .num_options = n_options);
    BT_CHECK(pjrt_take_error(plugin, plugin->api->PJRT_TopologyDescription_Create(&call),
                             "the plug-in cannot compile for these devices", err));
    *out = call.topology;
done:
    bt_str_deinit(&shape);
    bt_free(values);
    return rc;
}

bt_status bt_pjrt_topology_create(bt_pjrt_plugin *plugin, const bt_pjrt_target *target,
                                  bt_pjrt_topology **out, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_pjrt_topology *topology = bt_calloc_array(1, sizeof *topology);
    if (topology == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for the devices to compile for");
    }
    topology->plugin = plugin;
    BT_CHECK(create(plugin, target, &topology->topology, err));
    BT_CHECK(read_topology(topology, err));
    *out = topology;
    topology = NULL;
done:
    bt_pjrt_topology_free(topology);
    return rc;
}

void bt_pjrt_topology_free(bt_pjrt_topology *topology) {
    if (topology == NULL) {
        return;
    }
    if (topology->topology != NULL) {
        PJRT_ARGS(PJRT_TopologyDescription_Destroy, destroy, .topology = topology->topology);
        pjrt_drop_error(topology->plugin,
                        topology->plugin->api->PJRT_TopologyDescription_Destroy(&destroy));
    }
    bt_free(topology->kind);
    bt_free(topology->version);
    bt_free(topology);
}

int32_t bt_pjrt_topology_n_devices(const bt_pjrt_topology *topology) {
    return topology->n_devices;
}

const char *bt_pjrt_topology_kind(const bt_pjrt_topology *topology) {
    return topology->kind;
}

const char *bt_pjrt_topology_version(const bt_pjrt_topology *topology) {
    return topology->version;
}

int64_t bt_pjrt_topology_memory_bytes(const bt_pjrt_topology *topology) {
    return topology->memory_bytes;
}
