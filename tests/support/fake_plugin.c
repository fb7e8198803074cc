/* SPDX-License-Identifier: Apache-2.0
 *
 * A plug-in that fails where a test wants it to: as small as the interface lets it be. Its programs
 * copy each argument to the result of the same place; it counts what it gives out. */
#include <stdlib.h>
#include <string.h>

#include <pjrt_c_api.h>

#include "fake_plugin.h"

fake_plugin    *fake_plugin_state(void);
const PJRT_Api *GetPjrtApi(void);

static fake_plugin state = {
    .major = PJRT_API_MAJOR, .minor = PJRT_API_MINOR, .n_devices = 2, .fail_code = 13};

fake_plugin *fake_plugin_state(void) {
    return &state;
}

struct PJRT_Error {
    int code;
};
struct PJRT_Event {
    int is_bad;
};
struct PJRT_Client {
    int unused;
};
struct PJRT_Device {
    int id;
};
struct PJRT_DeviceDescription {
    int unused;
};
struct PJRT_TopologyDescription {
    int unused;
};
struct PJRT_Executable {
    size_t n_results;
};
struct PJRT_LoadedExecutable {
    size_t n_results;
};
struct PJRT_SerializedExecutable {
    char text[8];
};
struct PJRT_Buffer {
    int64_t dims[8];
    size_t  n_dims, n_bytes;
    int     is_gone;
    char    bytes[1 << 15];
};

enum { MAX_DEVICES = 8, N_RESULTS = 2 };
static PJRT_Device            devices[MAX_DEVICES];
static PJRT_Device           *device_list[MAX_DEVICES];
static PJRT_DeviceDescription description;
static PJRT_NamedValue        memory;

static void *give(size_t n) {
    state.live++;
    return calloc(1, n);
}

static void take(void *object) {
    if (object != NULL) {
        state.live--;
        free(object);
    }
}

static PJRT_Error *fail(void) {
    PJRT_Error *const error = give(sizeof *error);
    error->code = state.fail_code;
    return error;
}

static int n_results(void) {
    return state.n_results > 0 ? state.n_results : N_RESULTS;
}

/* Is it this function's turn to fail? Once. */
static int is_wanted(const char *name) {
    return state.fail != NULL && strcmp(state.fail, name) == 0 && state.fail_after-- == 0;
}

/* First in each function of the table. */
#define CALLED(name)                                                                               \
    do {                                                                                           \
        if (is_wanted(#name)) {                                                                    \
            return fail();                                                                         \
        }                                                                                          \
    } while (0)

static void error_destroy(PJRT_Error_Destroy_Args *args) {
    take(args->error);
}

static void error_message(PJRT_Error_Message_Args *args) {
    args->message = "the fake\n\n   fails  on\tpurpose\n";
    args->message_size = strlen(args->message);
}

static PJRT_Error *error_code(PJRT_Error_GetCode_Args *args) {
    args->code = (PJRT_Error_Code)args->error->code;
    return NULL;
}

static PJRT_Error *initialize(PJRT_Plugin_Initialize_Args *args) {
    (void)args;
    CALLED(PJRT_Plugin_Initialize);
    return NULL;
}

static PJRT_Event *new_event(const char *name) {
    PJRT_Event *const event = give(sizeof *event);
    event->is_bad = is_wanted(name);
    return event;
}

static PJRT_Error *event_destroy(PJRT_Event_Destroy_Args *args) {
    take(args->event);
    return NULL;
}

static PJRT_Error *event_await(PJRT_Event_Await_Args *args) {
    return args->event->is_bad ? fail() : NULL;
}

static PJRT_Error *client_create(PJRT_Client_Create_Args *args) {
    CALLED(PJRT_Client_Create);
    args->client = give(sizeof *args->client);
    for (int i = 0; i < MAX_DEVICES; i++) {
        device_list[i] = &devices[i];
    }
    return NULL;
}

static PJRT_Error *client_destroy(PJRT_Client_Destroy_Args *args) {
    take(args->client);
    return NULL;
}

static PJRT_Error *platform_name(PJRT_Client_PlatformName_Args *args) {
    CALLED(PJRT_Client_PlatformName);
    args->platform_name = "fakery"; /* not ended by NUL where it says it ends */
    args->platform_name_size = 4;
    return NULL;
}

static PJRT_Error *platform_version(PJRT_Client_PlatformVersion_Args *args) {
    CALLED(PJRT_Client_PlatformVersion);
    args->platform_version = "1.0";
    args->platform_version_size = 3;
    return NULL;
}

static PJRT_Error *client_devices(PJRT_Client_AddressableDevices_Args *args) {
    CALLED(PJRT_Client_AddressableDevices);
    args->addressable_devices = device_list;
    args->num_addressable_devices = (size_t)state.n_devices;
    return NULL;
}

static PJRT_Error *get_description(PJRT_Device_GetDescription_Args *args) {
    CALLED(PJRT_Device_GetDescription);
    args->device_description = &description;
    return NULL;
}

static PJRT_Error *kind(PJRT_DeviceDescription_Kind_Args *args) {
    CALLED(PJRT_DeviceDescription_Kind);
    args->device_kind = "fake device";
    args->device_kind_size = strlen(args->device_kind);
    return NULL;
}

static PJRT_Error *attributes(PJRT_DeviceDescription_Attributes_Args *args) {
    static const char name[] = "device_memory_bytes_limit";
    CALLED(PJRT_DeviceDescription_Attributes);
    memory = (PJRT_NamedValue){.name = name,
                               .name_size = strlen(name),
                               .type = PJRT_NamedValue_kInt64,
                               .int64_value = 1000};
    args->attributes = &memory;
    args->num_attributes = 1;
    return NULL;
}

static PJRT_Error *memory_stats(PJRT_Device_MemoryStats_Args *args) {
    CALLED(PJRT_Device_MemoryStats);
    args->bytes_in_use = 10;
    args->bytes_limit = state.limit_bytes > 0 ? state.limit_bytes : 1000;
    args->bytes_limit_is_set = true;
    return NULL;
}

static PJRT_Error *compile(PJRT_Client_Compile_Args *args) {
    CALLED(PJRT_Client_Compile);
    args->executable = give(sizeof *args->executable);
    return NULL;
}

static PJRT_Error *get_executable(PJRT_LoadedExecutable_GetExecutable_Args *args) {
    CALLED(PJRT_LoadedExecutable_GetExecutable);
    args->executable = give(sizeof *args->executable);
    return NULL;
}

static PJRT_Error *num_outputs(PJRT_Executable_NumOutputs_Args *args) {
    CALLED(PJRT_Executable_NumOutputs);
    args->num_outputs = (size_t)n_results();
    return NULL;
}

static PJRT_Error *executable_destroy(PJRT_Executable_Destroy_Args *args) {
    take(args->executable);
    return NULL;
}

static PJRT_Error *loaded_destroy(PJRT_LoadedExecutable_Destroy_Args *args) {
    take(args->executable);
    return NULL;
}

static PJRT_Error *compiled_memory(PJRT_Executable_GetCompiledMemoryStats_Args *args) {
    CALLED(PJRT_Executable_GetCompiledMemoryStats);
    args->temp_size_in_bytes = state.temporary_bytes > 0 ? state.temporary_bytes : 77;
    return NULL;
}

static void serialized_delete(PJRT_SerializedExecutable *bytes) {
    take(bytes);
}

static PJRT_Error *serialize(PJRT_Executable_Serialize_Args *args) {
    CALLED(PJRT_Executable_Serialize);
    args->serialized_executable = give(sizeof *args->serialized_executable);
    memcpy(args->serialized_executable->text, "program", 7);
    args->serialized_bytes = args->serialized_executable->text;
    args->serialized_bytes_size = 7;
    args->serialized_executable_deleter = serialized_delete;
    return NULL;
}

static PJRT_Error *deserialize(PJRT_Executable_DeserializeAndLoad_Args *args) {
    CALLED(PJRT_Executable_DeserializeAndLoad);
    if (args->serialized_executable_size != 7 ||
        memcmp(args->serialized_executable, "program", 7) != 0) {
        return fail();
    }
    args->loaded_executable = give(sizeof *args->loaded_executable);
    return NULL;
}

static PJRT_Error *upload(PJRT_Client_BufferFromHostBuffer_Args *args) {
    CALLED(PJRT_Client_BufferFromHostBuffer);
    PJRT_Buffer *const buffer = give(sizeof *buffer);
    buffer->n_dims = args->num_dims;
    buffer->n_bytes = 4; /* its elements have four bytes */
    for (size_t i = 0; i < args->num_dims; i++) {
        buffer->dims[i] = args->dims[i];
        buffer->n_bytes *= (size_t)args->dims[i];
    }
    memcpy(buffer->bytes, args->data, buffer->n_bytes);
    args->buffer = buffer;
    args->done_with_host_buffer = new_event("upload event");
    return NULL;
}

static PJRT_Error *buffer_destroy(PJRT_Buffer_Destroy_Args *args) {
    take(args->buffer);
    return NULL;
}

static PJRT_Error *buffer_dims(PJRT_Buffer_Dimensions_Args *args) {
    CALLED(PJRT_Buffer_Dimensions);
    args->dims = args->buffer->dims;
    args->num_dims = args->buffer->n_dims;
    return NULL;
}

static PJRT_Error *download(PJRT_Buffer_ToHostBuffer_Args *args) {
    CALLED(PJRT_Buffer_ToHostBuffer);
    if (args->dst == NULL) {
        args->dst_size = args->src->n_bytes;
        return NULL;
    }
    memcpy(args->dst, args->src->bytes, args->src->n_bytes);
    args->event = new_event("download event");
    return NULL;
}

static PJRT_Error *is_deleted(PJRT_Buffer_IsDeleted_Args *args) {
    CALLED(PJRT_Buffer_IsDeleted);
    args->is_deleted = args->buffer->is_gone;
    return NULL;
}

/* The first argument is donated, also where the program then fails. */
static PJRT_Error *execute(PJRT_LoadedExecutable_Execute_Args *args) {
    for (size_t d = 0; d < args->num_devices; d++) {
        args->argument_lists[d][0]->is_gone = 1;
    }
    CALLED(PJRT_LoadedExecutable_Execute);
    for (size_t d = 0; d < args->num_devices; d++) {
        for (size_t i = 0; i < (size_t)n_results(); i++) {
            PJRT_Buffer *const result = give(sizeof *result);
            *result = *args->argument_lists[d][i % args->num_args];
            result->is_gone = 0;
            args->output_lists[d][i] = result;
        }
        if (args->device_complete_events != NULL) {
            args->device_complete_events[d] = new_event("execute event");
        }
    }
    return NULL;
}

static PJRT_Error *topology_create(PJRT_TopologyDescription_Create_Args *args) {
    CALLED(PJRT_TopologyDescription_Create);
    args->topology = give(sizeof *args->topology);
    return NULL;
}

static PJRT_Error *topology_destroy(PJRT_TopologyDescription_Destroy_Args *args) {
    take(args->topology);
    return NULL;
}

static PJRT_Error *topology_version(PJRT_TopologyDescription_PlatformVersion_Args *args) {
    CALLED(PJRT_TopologyDescription_PlatformVersion);
    args->platform_version = "1.0";
    args->platform_version_size = 3;
    return NULL;
}

static PJRT_Error *topology_devices(PJRT_TopologyDescription_GetDeviceDescriptions_Args *args) {
    static PJRT_DeviceDescription *list[MAX_DEVICES];
    CALLED(PJRT_TopologyDescription_GetDeviceDescriptions);
    for (int i = 0; i < MAX_DEVICES; i++) {
        list[i] = &description;
    }
    args->descriptions = list;
    args->num_descriptions = (size_t)state.n_devices;
    return NULL;
}

static PJRT_Error *compile_ahead(PJRT_Compile_Args *args) {
    CALLED(PJRT_Compile);
    args->executable = give(sizeof *args->executable);
    return NULL;
}

const PJRT_Api *GetPjrtApi(void) {
    static PJRT_Api api;
    api = (PJRT_Api){
        .struct_size = PJRT_Api_STRUCT_SIZE - (size_t)state.n_missing * sizeof(void *),
        .pjrt_api_version = {.struct_size = PJRT_Api_Version_STRUCT_SIZE,
                             .major_version = state.major,
                             .minor_version = state.minor},
        .PJRT_Error_Destroy = error_destroy,
        .PJRT_Error_Message = error_message,
        .PJRT_Error_GetCode = error_code,
        .PJRT_Plugin_Initialize = initialize,
        .PJRT_Event_Destroy = event_destroy,
        .PJRT_Event_Await = event_await,
        .PJRT_Client_Create = client_create,
        .PJRT_Client_Destroy = client_destroy,
        .PJRT_Client_PlatformName = platform_name,
        .PJRT_Client_PlatformVersion = platform_version,
        .PJRT_Client_AddressableDevices = client_devices,
        .PJRT_Client_Compile = compile,
        .PJRT_Client_BufferFromHostBuffer = upload,
        .PJRT_DeviceDescription_Attributes = attributes,
        .PJRT_DeviceDescription_Kind = kind,
        .PJRT_Device_GetDescription = get_description,
        .PJRT_Device_MemoryStats = memory_stats,
        .PJRT_Executable_Destroy = executable_destroy,
        .PJRT_Executable_NumOutputs = num_outputs,
        .PJRT_Executable_Serialize = serialize,
        .PJRT_LoadedExecutable_Destroy = loaded_destroy,
        .PJRT_LoadedExecutable_GetExecutable = get_executable,
        .PJRT_LoadedExecutable_Execute = execute,
        .PJRT_Executable_DeserializeAndLoad = deserialize,
        .PJRT_Buffer_Destroy = buffer_destroy,
        .PJRT_Buffer_Dimensions = buffer_dims,
        .PJRT_Buffer_IsDeleted = is_deleted,
        .PJRT_Buffer_ToHostBuffer = download,
        .PJRT_TopologyDescription_Create = topology_create,
        .PJRT_TopologyDescription_Destroy = topology_destroy,
        .PJRT_TopologyDescription_PlatformVersion = topology_version,
        .PJRT_TopologyDescription_GetDeviceDescriptions = topology_devices,
        .PJRT_Compile = compile_ahead,
        .PJRT_Executable_GetCompiledMemoryStats = compiled_memory,
    };
    return state.gives_nothing ? NULL : &api;
}
