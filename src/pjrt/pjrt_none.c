/* SPDX-License-Identifier: Apache-2.0
 *
 * In the place of this room where it is not built in, so that its users still link: no
 * plug-in can be opened, in one sentence, and so nothing else here is ever called. */
#include "bt/pjrt.h"

static bt_status refuse(const char *what, bt_error *err) {
    return BT_FAIL(err, BT_E_UNSUPPORTED,
                   "%s: this program was built without PJRT plug-ins, so it runs on processors "
                   "only: run tools/get_pjrt.sh cpu and build it again (docs/devices.md)",
                   what);
}

bool bt_pjrt_is_built_in(void) {
    return false;
}

bt_status bt_pjrt_append_build_info(bt_str *out, bt_error *err) {
    return bt_str_append(out, "plug-ins: none, this build is for processors only\n", err);
}

bt_status bt_pjrt_plugin_open(const char *path, bt_pjrt_purpose purpose, bt_pjrt_plugin **out,
                              bt_error *err) {
    (void)purpose;
    *out = NULL;
    return refuse(path, err);
}

void bt_pjrt_plugin_close(bt_pjrt_plugin *plugin) {
    (void)plugin;
}

const char *bt_pjrt_plugin_path(const bt_pjrt_plugin *plugin) {
    (void)plugin;
    return "";
}

int bt_pjrt_plugin_api_minor(const bt_pjrt_plugin *plugin) {
    (void)plugin;
    return 0;
}

bt_status bt_pjrt_client_create(bt_pjrt_plugin *plugin, const bt_pjrt_option *options,
                                size_t n_options, bt_pjrt_client **out, bt_error *err) {
    (void)plugin, (void)options, (void)n_options;
    *out = NULL;
    return refuse("devices", err);
}

void bt_pjrt_client_free(bt_pjrt_client *client) {
    (void)client;
}

const char *bt_pjrt_client_platform(const bt_pjrt_client *client) {
    (void)client;
    return "";
}

const char *bt_pjrt_client_version(const bt_pjrt_client *client) {
    (void)client;
    return "";
}

int32_t bt_pjrt_client_n_devices(const bt_pjrt_client *client) {
    (void)client;
    return 0;
}

bt_status bt_pjrt_client_device(bt_pjrt_client *client, int32_t device, bt_pjrt_device *out,
                                bt_error *err) {
    (void)client, (void)device, (void)out;
    return refuse("devices", err);
}

bt_status bt_pjrt_compile(bt_pjrt_client *client, const char *text, size_t n_bytes,
                          const bt_pjrt_compile_options *options, bt_pjrt_program **out,
                          bt_error *err) {
    (void)client, (void)text, (void)n_bytes, (void)options;
    *out = NULL;
    return refuse("programs", err);
}

void bt_pjrt_program_free(bt_pjrt_program *program) {
    (void)program;
}

int32_t bt_pjrt_program_n_results(const bt_pjrt_program *program) {
    (void)program;
    return 0;
}

bool bt_pjrt_program_is_from_cache(const bt_pjrt_program *program) {
    (void)program;
    return false;
}

double bt_pjrt_program_seconds(const bt_pjrt_program *program) {
    (void)program;
    return 0;
}

bt_status bt_pjrt_program_memory(bt_pjrt_program *program, bt_pjrt_memory *out, bt_error *err) {
    (void)program, (void)out;
    return refuse("programs", err);
}

bt_status bt_pjrt_program_serialize(bt_pjrt_program *program, bt_str *out, bt_error *err) {
    (void)program, (void)out;
    return refuse("programs", err);
}

bt_status bt_pjrt_topology_create(bt_pjrt_plugin *plugin, const bt_pjrt_target *target,
                                  bt_pjrt_topology **out, bt_error *err) {
    (void)plugin, (void)target;
    *out = NULL;
    return refuse("devices", err);
}

void bt_pjrt_topology_free(bt_pjrt_topology *topology) {
    (void)topology;
}

int32_t bt_pjrt_topology_n_devices(const bt_pjrt_topology *topology) {
    (void)topology;
    return 0;
}

const char *bt_pjrt_topology_kind(const bt_pjrt_topology *topology) {
    (void)topology;
    return "";
}

const char *bt_pjrt_topology_version(const bt_pjrt_topology *topology) {
    (void)topology;
    return "";
}

int64_t bt_pjrt_topology_memory_bytes(const bt_pjrt_topology *topology) {
    (void)topology;
    return -1;
}

bt_status bt_pjrt_compile_ahead(bt_pjrt_topology *topology, const char *text, size_t n_bytes,
                                const bt_pjrt_compile_options *options, bt_pjrt_program **out,
                                bt_error *err) {
    (void)topology, (void)text, (void)n_bytes, (void)options;
    *out = NULL;
    return refuse("programs", err);
}

bt_status bt_pjrt_upload(bt_pjrt_client *client, int32_t device, const bt_pjrt_shape *shape,
                         const void *data, bt_pjrt_buffer **out, bt_error *err) {
    (void)client, (void)device, (void)shape, (void)data;
    *out = NULL;
    return refuse("arrays", err);
}

bt_status bt_pjrt_download(bt_pjrt_client *client, bt_pjrt_buffer *buffer, void *data,
                           size_t n_bytes, bt_error *err) {
    (void)client, (void)buffer, (void)data, (void)n_bytes;
    return refuse("arrays", err);
}

bt_status bt_pjrt_is_gone(bt_pjrt_client *client, bt_pjrt_buffer *buffer, bool *is_gone,
                          bt_error *err) {
    (void)client, (void)buffer, (void)is_gone;
    return refuse("arrays", err);
}

void bt_pjrt_buffer_free(bt_pjrt_client *client, bt_pjrt_buffer *buffer) {
    (void)client, (void)buffer;
}

bt_status bt_pjrt_execute(bt_pjrt_program *program, const bt_pjrt_run *run, bt_error *err) {
    (void)program, (void)run;
    return refuse("programs", err);
}
