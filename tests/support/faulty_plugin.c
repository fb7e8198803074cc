/* SPDX-License-Identifier: Apache-2.0
 *
 * A real plug-in with a fault, for tests of the whole program: the one that BT_FAULTY_PLUGIN names,
 * but for what other variables of the environment say.
 *   BT_FAULTY_RUN=N     the device is lost in the N-th run of a program (from 1): what was donated
 *                       to it is gone, and all that needs the device fails from then on
 *   BT_FAULTY_CODE=C    PJRT_Error_Code of that; without: INTERNAL
 *   BT_FAULTY_ONCE=1    only that run fails
 *   BT_FAULTY_MEMORY=B  bytes that programs may take of each device
 *   BT_FAULTY_PLATFORM=NAME  what it says of its platform ("cuda")
 *   BT_FAULTY_MAJOR=M   version of the interface
 *   BT_FAULTY_TABLE=B   bytes of its table of functions */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <pjrt_c_api.h>

typedef const PJRT_Api *(*get_api_fn)(void);

const PJRT_Api *GetPjrtApi(void);

static const PJRT_Api *real;
static long            n_runs;
static int             is_lost;

static long number(const char *name, long otherwise) {
    const char *const text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtol(text, NULL, 10) : otherwise;
}

/* An error of its own among the real ones. */

struct PJRT_Error {
    int unused;
};
static PJRT_Error lost;

static void error_destroy(PJRT_Error_Destroy_Args *args) {
    if (args->error != &lost) {
        real->PJRT_Error_Destroy(args);
    }
}

static void error_message(PJRT_Error_Message_Args *args) {
    static const char text[] = "the device fell off the bus";
    if (args->error != &lost) {
        real->PJRT_Error_Message(args);
        return;
    }
    args->message = text;
    args->message_size = sizeof text - 1;
}

static PJRT_Error *error_code(PJRT_Error_GetCode_Args *args) {
    if (args->error != &lost) {
        return real->PJRT_Error_GetCode(args);
    }
    args->code = (PJRT_Error_Code)number("BT_FAULTY_CODE", PJRT_Error_Code_INTERNAL);
    return NULL;
}

static void drop_results(const PJRT_LoadedExecutable_Execute_Args *args) {
    PJRT_Executable                         *executable = NULL;
    PJRT_LoadedExecutable_GetExecutable_Args get = {
        .struct_size = PJRT_LoadedExecutable_GetExecutable_Args_STRUCT_SIZE,
        .loaded_executable = args->executable};
    (void)real->PJRT_LoadedExecutable_GetExecutable(&get);
    executable = get.executable;
    PJRT_Executable_NumOutputs_Args count = {
        .struct_size = PJRT_Executable_NumOutputs_Args_STRUCT_SIZE, .executable = executable};
    (void)real->PJRT_Executable_NumOutputs(&count);
    for (size_t d = 0; d < args->num_devices; d++) {
        for (size_t i = 0; i < count.num_outputs; i++) {
            PJRT_Buffer_Destroy_Args destroy = {.struct_size = PJRT_Buffer_Destroy_Args_STRUCT_SIZE,
                                                .buffer = args->output_lists[d][i]};
            (void)real->PJRT_Buffer_Destroy(&destroy);
            args->output_lists[d][i] = NULL;
        }
        if (args->device_complete_events != NULL && args->device_complete_events[d] != NULL) {
            PJRT_Event_Destroy_Args destroy = {.struct_size = PJRT_Event_Destroy_Args_STRUCT_SIZE,
                                               .event = args->device_complete_events[d]};
            (void)real->PJRT_Event_Destroy(&destroy);
            args->device_complete_events[d] = NULL;
        }
    }
    PJRT_Executable_Destroy_Args destroy = {.struct_size = PJRT_Executable_Destroy_Args_STRUCT_SIZE,
                                            .executable = executable};
    (void)real->PJRT_Executable_Destroy(&destroy);
}

static PJRT_Error *execute(PJRT_LoadedExecutable_Execute_Args *args) {
    const int ends = ++n_runs == number("BT_FAULTY_RUN", -1);
    if (is_lost) {
        return &lost;
    }
    PJRT_Error *const error = real->PJRT_LoadedExecutable_Execute(args);
    if (error != NULL || !ends) {
        return error;
    }
    drop_results(args);
    is_lost = number("BT_FAULTY_ONCE", 0) == 0;
    return &lost;
}

static PJRT_Error *upload(PJRT_Client_BufferFromHostBuffer_Args *args) {
    return is_lost ? &lost : real->PJRT_Client_BufferFromHostBuffer(args);
}

static PJRT_Error *download(PJRT_Buffer_ToHostBuffer_Args *args) {
    return is_lost ? &lost : real->PJRT_Buffer_ToHostBuffer(args);
}

static PJRT_Error *platform_name(PJRT_Client_PlatformName_Args *args) {
    const char *const name = getenv("BT_FAULTY_PLATFORM");
    if (name == NULL) {
        return real->PJRT_Client_PlatformName(args);
    }
    args->platform_name = name;
    args->platform_name_size = strlen(name);
    return NULL;
}

static PJRT_Error *memory_stats(PJRT_Device_MemoryStats_Args *args) {
    const long limit = number("BT_FAULTY_MEMORY", 0);
    if (limit == 0) {
        return real->PJRT_Device_MemoryStats(args);
    }
    args->bytes_in_use = 0;
    args->bytes_limit = limit;
    args->bytes_limit_is_set = true;
    return NULL;
}

static const PJRT_Api *real_table(void) {
    void *const library = dlopen(getenv("BT_FAULTY_PLUGIN"), RTLD_NOW | RTLD_LOCAL);
    void *const object = library != NULL ? dlsym(library, "GetPjrtApi") : NULL;
    get_api_fn  get = NULL;
    memcpy(&get, &object, sizeof get);
    return get != NULL ? get() : NULL;
}

const PJRT_Api *GetPjrtApi(void) {
    static union {
        PJRT_Api api;
        char     bytes[4096]; /* of a newer one */
    } table;
    PJRT_Api *const api = &table.api;
    real = real_table();
    if (real == NULL || real->struct_size > sizeof table) {
        return NULL;
    }
    memcpy(table.bytes, real, real->struct_size);
    api->struct_size = (size_t)number("BT_FAULTY_TABLE", (long)real->struct_size);
    api->pjrt_api_version.major_version =
        (int)number("BT_FAULTY_MAJOR", real->pjrt_api_version.major_version);
    api->PJRT_Error_Destroy = error_destroy;
    api->PJRT_Error_Message = error_message;
    api->PJRT_Error_GetCode = error_code;
    api->PJRT_LoadedExecutable_Execute = execute;
    api->PJRT_Client_BufferFromHostBuffer = upload;
    api->PJRT_Buffer_ToHostBuffer = download;
    api->PJRT_Device_MemoryStats = memory_stats;
    api->PJRT_Client_PlatformName = platform_name;
    return api;
}
