/* SPDX-License-Identifier: Apache-2.0
 *
 * From text to a program: compiled by the plug-in for its devices, or taken from the cache on the
 * disk; or compiled ahead of time for devices that are not here. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/time.h"
#include "bt/fs.h"
#include "pjrt_cache.h"
#include "pjrt_internal.h"

/* What the plug-in says of a program that it has. */
static bt_status read_program(bt_pjrt_program *program, bt_error *err) {
    const bt_pjrt_plugin *const plugin = program->plugin;
    if (program->loaded != NULL) {
        PJRT_ARGS(PJRT_LoadedExecutable_GetExecutable, get, .loaded_executable = program->loaded);
        BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_LoadedExecutable_GetExecutable(&get),
                               "asking for the compiled program", err));
        program->executable = get.executable;
    }
    PJRT_ARGS(PJRT_Executable_NumOutputs, outputs, .executable = program->executable);
    BT_TRY(pjrt_take_error(plugin, plugin->api->PJRT_Executable_NumOutputs(&outputs),
                           "asking for the number of results", err));
    program->n_results = outputs.num_outputs;
    return BT_OK;
}

static bt_status create(bt_pjrt_plugin *plugin, const bt_pjrt_compile_options *options,
                        bt_pjrt_program **out, bt_error *err) {
    *out = bt_calloc_array(1, sizeof **out);
    if (*out == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for a program");
    }
    (*out)->plugin = plugin;
    (*out)->n_replicas = (size_t)options->n_replicas;
    return BT_OK;
}

static bt_status check_replicas(const bt_pjrt_plugin *plugin, int32_t wanted, size_t here,
                                bt_error *err) {
    BT_ASSERT(wanted >= 1);
    return (size_t)wanted <= here
               ? BT_OK
               : BT_FAIL(err, BT_E_BACKEND, "%s: %" PRId32 " devices are wanted, and there %s %zu",
                         plugin->path, wanted, here == 1 ? "is" : "are", here);
}

static PJRT_Program source_of(const char *text, size_t n_bytes) {
    return (PJRT_Program){.struct_size = PJRT_Program_STRUCT_SIZE,
                          .code = (char *)(uintptr_t)text, /* only read */
                          .code_size = n_bytes,
                          .format = "mlir",
                          .format_size = 4};
}

/* bytes: the options as the plug-in takes them. It may take minutes, so that a line says so. */
static bt_status compile(bt_pjrt_client *client, const bt_pjrt_compile_options *options,
                         const bt_str *bytes, const char *text, size_t n_bytes,
                         bt_pjrt_program *program, bt_error *err) {
    const PJRT_Program source = source_of(text, n_bytes);
    PJRT_ARGS(PJRT_Client_Compile, call, .client = client->client, .program = &source,
              .compile_options = bytes->data, .compile_options_size = bytes->len);
    if (options->name != NULL) {
        bt_log(BT_LOG_INFO, "compiling %s for %s", options->name, bt_pjrt_client_platform(client));
    }
    BT_TRY(pjrt_take_error(client->plugin, client->plugin->api->PJRT_Client_Compile(&call),
                           "the program cannot be compiled", err));
    program->loaded = call.executable;
    return read_program(program, err);
}

/* true: the program is there. What cannot be loaded is not a failure: it is compiled. */
static bool load(bt_pjrt_client *client, const char *path, const bt_str *bytes,
                 bt_pjrt_program *program) {
    bt_error why = BT_ERROR_INIT;
    PJRT_ARGS(PJRT_Executable_DeserializeAndLoad, call, .client = client->client,
              .serialized_executable = bytes->data, .serialized_executable_size = bytes->len);
    bt_status rc = pjrt_take_error(client->plugin,
                                   client->plugin->api->PJRT_Executable_DeserializeAndLoad(&call),
                                   "the compiled program cannot be loaded", &why);
    if (rc == BT_OK) {
        program->loaded = call.loaded_executable;
        rc = read_program(program, &why);
    }
    if (rc != BT_OK) {
        bt_log(BT_LOG_WARNING, "%s: %s; the program is compiled again", path, why.msg);
        pjrt_program_clear(program);
    }
    return rc == BT_OK;
}

/* Where the program is in the cache, if there is one that may be used: *path stays NULL otherwise,
 * and a line says why. */
static bt_status find_cached(const bt_pjrt_client *client, const char *folder, const char *text,
                             size_t n_bytes, const bt_str *options, char **path, bt_error *err) {
    bt_error  why = BT_ERROR_INIT;
    bt_status rc = bt_fs_make_private_folder(folder, &why);
    if (rc == BT_OK) {
        rc = pjrt_cache_path(client, folder, text, n_bytes, options, path, &why);
    }
    if (rc == BT_E_NOMEM) {
        return BT_FAIL(err, rc, "%s", why.msg);
    }
    if (rc != BT_OK) {
        bt_log(BT_LOG_WARNING, "programs are compiled at each start: %s", why.msg);
    }
    return BT_OK;
}

static void keep(bt_pjrt_program *program, const char *folder, const char *path) {
    bt_str   bytes = BT_STR_INIT;
    bt_error why = BT_ERROR_INIT;
    if (bt_pjrt_program_serialize(program, &bytes, &why) == BT_OK) {
        pjrt_cache_write(folder, path, bytes.data, bytes.len);
    } else {
        bt_log(BT_LOG_WARNING, "the compiled program is not kept for the next start: %s", why.msg);
    }
    bt_str_deinit(&bytes);
}

static bt_status compile_with_cache(bt_pjrt_client *client, const bt_pjrt_compile_options *options,
                                    const bt_str *bytes, const char *text, size_t n_bytes,
                                    bt_pjrt_program *program, bt_error *err) {
    bt_status rc = BT_OK;
    char     *path = NULL;
    bt_str    kept = BT_STR_INIT;
    BT_CHECK(find_cached(client, options->cache_folder, text, n_bytes, bytes, &path, err));
    if (path != NULL) {
        BT_CHECK(pjrt_cache_read(path, &kept, err));
    }
    program->from_cache = kept.len > 0 && load(client, path, &kept, program);
    if (program->from_cache) {
        goto done;
    }
    BT_CHECK(compile(client, options, bytes, text, n_bytes, program, err));
    if (path != NULL) {
        keep(program, options->cache_folder, path);
    }
done:
    bt_free(path);
    bt_str_deinit(&kept);
    return rc;
}

bt_status bt_pjrt_compile(bt_pjrt_client *client, const char *text, size_t n_bytes,
                          const bt_pjrt_compile_options *options, bt_pjrt_program **out,
                          bt_error *err) {
    bt_status        rc = BT_OK;
    bt_str           bytes = BT_STR_INIT;
    bt_pjrt_program *program = NULL;
    BT_TRY(check_replicas(client->plugin, options->n_replicas, client->n_devices, err));
    BT_CHECK(create(client->plugin, options, &program, err));
    BT_CHECK(pjrt_append_compile_options(&bytes, options, err));
    const double start = bt_time_monotonic();
    if (options->cache_folder != NULL) {
        BT_CHECK(compile_with_cache(client, options, &bytes, text, n_bytes, program, err));
    } else {
        BT_CHECK(compile(client, options, &bytes, text, n_bytes, program, err));
    }
    program->seconds = bt_time_monotonic() - start;
    *out = program;
    program = NULL;
done:
    bt_str_deinit(&bytes);
    bt_pjrt_program_free(program);
    return rc;
}

bt_status bt_pjrt_compile_ahead(bt_pjrt_topology *topology, const char *text, size_t n_bytes,
                                const bt_pjrt_compile_options *options, bt_pjrt_program **out,
                                bt_error *err) {
    const bt_pjrt_plugin *const plugin = topology->plugin;
    bt_status                   rc = BT_OK;
    bt_str                      bytes = BT_STR_INIT;
    bt_pjrt_program            *program = NULL;
    BT_TRY(check_replicas(plugin, options->n_replicas, (size_t)topology->n_devices, err));
    BT_CHECK(create(topology->plugin, options, &program, err));
    BT_CHECK(pjrt_append_compile_options(&bytes, options, err));
    const double       start = bt_time_monotonic();
    const PJRT_Program source = source_of(text, n_bytes);
    PJRT_ARGS(PJRT_Compile, call, .topology = topology->topology, .program = &source,
              .compile_options = bytes.data, .compile_options_size = bytes.len);
    BT_CHECK(pjrt_take_error(plugin, plugin->api->PJRT_Compile(&call),
                             "the program cannot be compiled", err));
    program->executable = call.executable;
    BT_CHECK(read_program(program, err));
    program->seconds = bt_time_monotonic() - start;
    *out = program;
    program = NULL;
done:
    bt_str_deinit(&bytes);
    bt_pjrt_program_free(program);
    return rc;
}
