/* SPDX-License-Identifier: Apache-2.0
 *
 * pjrt, private: the objects, and the one way to call a plug-in. Every struct that the interface
 * takes carries its own size: a plug-in of another version reads and writes no more of it. */
#ifndef BT_PJRT_INTERNAL_H
#define BT_PJRT_INTERNAL_H

#include <pjrt_c_api.h>

#include "bt/pjrt.h"

struct bt_pjrt_plugin {
    const PJRT_Api *api; /* lives as long as the process */
    char           *path;
};

struct bt_pjrt_client {
    bt_pjrt_plugin     *plugin; /* borrowed */
    PJRT_Client        *client;
    PJRT_Device *const *devices; /* the plug-in's; those of this process */
    size_t              n_devices;
    char               *platform;
    char               *version;
    char              **kinds; /* [n_devices] */
};

struct bt_pjrt_program {
    bt_pjrt_plugin        *plugin; /* borrowed */
    PJRT_LoadedExecutable *loaded; /* NULL of one that was compiled ahead of time */
    PJRT_Executable       *executable;
    size_t                 n_results;
    size_t                 n_replicas;
    bool                   from_cache;
    double                 seconds;
};

struct bt_pjrt_topology {
    bt_pjrt_plugin           *plugin; /* borrowed */
    PJRT_TopologyDescription *topology;
    int32_t                   n_devices;
    char                     *kind; /* of the first */
    char                     *version;
    int64_t                   memory_bytes;
};

/* An argument struct of the interface with its size set. */
#define PJRT_ARGS(type, name, ...)                                                                 \
    type##_Args name = {.struct_size = type##_Args_STRUCT_SIZE, __VA_ARGS__}

/* Turns an error of the plug-in (NULL: none) into ours and frees it. what: what was tried. */
BT_MUST_USE bt_status pjrt_take_error(const bt_pjrt_plugin *plugin, PJRT_Error *error,
                                      const char *what, bt_error *err);
/* The same for what nobody can be told of: freeing. */
void pjrt_drop_error(const bt_pjrt_plugin *plugin, PJRT_Error *error);
/* Waits for an event (NULL: nothing to wait for) and destroys it. */
BT_MUST_USE bt_status pjrt_await(const bt_pjrt_plugin *plugin, PJRT_Event *event, const char *what,
                                 bt_error *err);
void                  pjrt_drop_event(const bt_pjrt_plugin *plugin, PJRT_Event *event);

/* A text of the plug-in's (NULL: ""), copied. */
BT_MUST_USE bt_status pjrt_copy_text(const char *text, size_t n, char **out, bt_error *err);

/* Before a plug-in is loaded. */
BT_MUST_USE bt_status pjrt_set_environment(bt_pjrt_purpose purpose, bt_error *err);

/* Gives the plug-in's objects back. */
void pjrt_program_clear(bt_pjrt_program *program);

/* Options as the interface has them. *out is bt_free()d by the caller and borrows the texts. */
BT_MUST_USE bt_status pjrt_named_values(const bt_pjrt_option *options, size_t n,
                                        PJRT_NamedValue **out, bt_error *err);

/* The bytes of CompileOptionsProto. */
BT_MUST_USE bt_status pjrt_append_compile_options(bt_str                        *out,
                                                  const bt_pjrt_compile_options *options,
                                                  bt_error                      *err);

#endif
