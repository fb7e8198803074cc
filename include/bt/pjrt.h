/* SPDX-License-Identifier: Apache-2.0
 *
 * pjrt: a plug-in of OpenXLA's PJRT C interface as C objects: the plug-in (a shared library found
 * and loaded when it is asked for), its devices, a program (StableHLO text) compiled for them, and
 * arrays on them. Knows nothing of BERT.
 *
 * Whoever has no device compiles ahead of time: a bt_pjrt_topology instead of a bt_pjrt_client.
 *
 * Errors: BT_E_BACKEND (exit 5) is what a plug-in or a device does, or that there is none;
 * BT_E_NOMEM is too little memory on a device or here; BT_E_IO a plug-in's file that cannot be
 * read; BT_E_CONFIG a setting of the user; BT_E_UNSUPPORTED a build without this room. The
 * messages begin with the plug-in's path and hold what it said, on one line.
 *
 * A plug-in is never unloaded, since it keeps threads. Objects are used by one thread at a time.
 * Built without (BT_WITH_PJRT=OFF, or no pjrt_c_api.h) opening a plug-in says so
 * (BT_E_UNSUPPORTED), and so does all that would need an open one. */
#ifndef BT_PJRT_H
#define BT_PJRT_H

#include "bt/base/str.h"
#include "bt/tensor.h"

bool bt_pjrt_is_built_in(void);
/* "plug-ins: PJRT interface 0.81\n", or that there are none: for --version. */
BT_MUST_USE bt_status bt_pjrt_append_build_info(bt_str *out, bt_error *err);

/* The plug-in. */

typedef enum bt_pjrt_kind { BT_PJRT_CPU, BT_PJRT_CUDA, BT_PJRT_TPU } bt_pjrt_kind;
enum { BT_PJRT_N_KINDS = 3 };
const char *bt_pjrt_kind_name(bt_pjrt_kind kind); /* "cpu", "cuda", "tpu" */

/* The folder where tools/get_pjrt.sh puts plug-ins: BERT_TRAIN_PJRT_DIR, else
 * XDG_CACHE_HOME/bert-train/pjrt, else ~/.cache/bert-train/pjrt. */
BT_MUST_USE bt_status bt_pjrt_append_folder(bt_str *out, bt_error *err);
/* Where a plug-in of the kind is: PJRT_NAMES_AND_LIBRARY_PATHS ("NAME:PATH,..."), TPU_LIBRARY_PATH,
 * the site-packages of Python (PYTHONPATH, VIRTUAL_ENV, CONDA_PREFIX, the first python3 of PATH,
 * ~/.local, /usr/local, /usr), then the folder above. The caller bt_free()s *path. BT_E_BACKEND:
 * there is none, and what to type; or one of the variables names a file that is not there. */
BT_MUST_USE bt_status bt_pjrt_plugin_find(bt_pjrt_kind kind, char **path, bt_error *err);

typedef struct bt_pjrt_plugin bt_pjrt_plugin;

/* What a plug-in is loaded for. With BT_PJRT_TO_COMPILE no device is looked for, so that several
 * processes may have it at once and none waits for a cloud's metadata server. */
typedef enum bt_pjrt_purpose { BT_PJRT_TO_RUN, BT_PJRT_TO_COMPILE } bt_pjrt_purpose;

/* Loads a plug-in. Sets variables of the environment before, where they are not set: to be called
 * before other threads read the environment. */
BT_MUST_USE bt_status bt_pjrt_plugin_open(const char *path, bt_pjrt_purpose purpose,
                                          bt_pjrt_plugin **out, bt_error *err);
void        bt_pjrt_plugin_close(bt_pjrt_plugin *plugin); /* after all that came from it; NULL ok */
const char *bt_pjrt_plugin_path(const bt_pjrt_plugin *plugin);
/* Of the interface that it was built with; major is 0. */
int bt_pjrt_plugin_api_minor(const bt_pjrt_plugin *plugin);

/* An option by name, of a client, a topology or a compilation. */
typedef enum bt_pjrt_option_type {
    BT_PJRT_OPTION_TEXT,
    BT_PJRT_OPTION_INT,
    BT_PJRT_OPTION_BOOL
} bt_pjrt_option_type;
typedef struct bt_pjrt_option {
    const char         *name;
    bt_pjrt_option_type type;
    const char         *text;   /* of a TEXT */
    int64_t             number; /* of an INT; 0 or 1 of a BOOL */
} bt_pjrt_option;

/* Devices. */

/* The devices of this process. Options are the plug-in's own (cpu_device_count=4). BT_E_BACKEND
 * where there is no device. */
typedef struct bt_pjrt_client bt_pjrt_client;
BT_MUST_USE bt_status bt_pjrt_client_create(bt_pjrt_plugin *plugin, const bt_pjrt_option *options,
                                            size_t n_options, bt_pjrt_client **out, bt_error *err);
void bt_pjrt_client_free(bt_pjrt_client *client); /* after its programs and buffers; NULL ok */
/* "cpu", "cuda", "tpu"; borrowed from the client. */
const char *bt_pjrt_client_platform(const bt_pjrt_client *client);
const char *bt_pjrt_client_version(const bt_pjrt_client *client);
int32_t     bt_pjrt_client_n_devices(const bt_pjrt_client *client); /* >= 1 */

typedef struct bt_pjrt_device {
    const char *kind;         /* "NVIDIA H100 80GB HBM3"; borrowed from the client */
    int64_t     limit_bytes;  /* memory that programs may take; -1: not known */
    int64_t     in_use_bytes; /* -1: not known */
    int64_t     peak_bytes;   /* -1: not known */
} bt_pjrt_device;
BT_MUST_USE bt_status bt_pjrt_client_device(bt_pjrt_client *client, int32_t device,
                                            bt_pjrt_device *out, bt_error *err);

/* Programs. */

typedef struct bt_pjrt_program bt_pjrt_program;

typedef struct bt_pjrt_compile_options {
    int32_t               n_replicas; /* runs on devices 0 .. n_replicas-1; the text says it, too */
    const bt_pjrt_option *flags;      /* XLA's debug options, "xla_..." */
    size_t                n_flags;
    const char           *cache_folder; /* compiled programs are kept there, and taken from there
                                           the next time; made where it is missing, for its user
                                           alone. One that cannot be used, or that others may
                                           write to, is told and not used. NULL: none */
    const char *name; /* for the line that says what is being compiled; NULL: no line */
} bt_pjrt_compile_options;

/* text: StableHLO as text (or bytecode) of n_bytes. */
BT_MUST_USE bt_status bt_pjrt_compile(bt_pjrt_client *client, const char *text, size_t n_bytes,
                                      const bt_pjrt_compile_options *options, bt_pjrt_program **out,
                                      bt_error *err);
void                  bt_pjrt_program_free(bt_pjrt_program *program); /* accepts NULL */
int32_t               bt_pjrt_program_n_results(const bt_pjrt_program *program);
bool                  bt_pjrt_program_is_from_cache(const bt_pjrt_program *program);
double bt_pjrt_program_seconds(const bt_pjrt_program *program); /* to compile or load */

/* Bytes of one device. */
typedef struct bt_pjrt_memory {
    int64_t argument_bytes;
    int64_t result_bytes;
    int64_t donated_bytes; /* of the results: in place of arguments */
    int64_t temporary_bytes;
    int64_t code_bytes; /* 0 where the plug-in does not report it */
    int64_t peak_bytes; /* -1: not told */
} bt_pjrt_memory;
BT_MUST_USE bt_status bt_pjrt_program_memory(bt_pjrt_program *program, bt_pjrt_memory *out,
                                             bt_error *err);
/* Appends the compiled program's bytes. */
BT_MUST_USE bt_status bt_pjrt_program_serialize(bt_pjrt_program *program, bt_str *out,
                                                bt_error *err);

/* Devices that are not here. */

/* What to compile for. */
typedef struct bt_pjrt_target {
    bt_pjrt_kind kind;        /* whose plug-in compiles for it */
    int32_t      n_gpus;      /* of one host; 0 for TPUs */
    bt_str       description; /* of a GPU as text, or the name of a topology of TPUs */
} bt_pjrt_target;
/* "h100", "h100:8" (a100, h200), "FILE" or "FILE:8" with a GpuTargetConfigProto in text, or a
 * topology of TPUs ("v5e:2x2"). BT_E_CONFIG: none of these. */
BT_MUST_USE bt_status bt_pjrt_target_parse(const char *text, bt_pjrt_target *out, bt_error *err);
void                  bt_pjrt_target_deinit(bt_pjrt_target *target);
extern const char     bt_pjrt_target_names[]; /* what there is to choose from, as a clause */

typedef struct bt_pjrt_topology bt_pjrt_topology;
BT_MUST_USE bt_status bt_pjrt_topology_create(bt_pjrt_plugin *plugin, const bt_pjrt_target *target,
                                              bt_pjrt_topology **out, bt_error *err);
void                  bt_pjrt_topology_free(bt_pjrt_topology *topology); /* accepts NULL */
int32_t               bt_pjrt_topology_n_devices(const bt_pjrt_topology *topology);
const char           *bt_pjrt_topology_kind(const bt_pjrt_topology *topology);
const char           *bt_pjrt_topology_version(const bt_pjrt_topology *topology);
/* That programs may take on one of the devices; -1: the plug-in does not report it. */
int64_t bt_pjrt_topology_memory_bytes(const bt_pjrt_topology *topology);

/* Such a program cannot run; it has memory, bytes and seconds. cache_folder is not used. */
BT_MUST_USE bt_status bt_pjrt_compile_ahead(bt_pjrt_topology *topology, const char *text,
                                            size_t n_bytes, const bt_pjrt_compile_options *options,
                                            bt_pjrt_program **out, bt_error *err);

/* Arrays on a device.
 * A buffer is the plug-in's own object, so that lists of them are handed over as they are; the
 * client says whose. */

enum { BT_PJRT_MAX_RANK = 8 };
typedef struct bt_pjrt_shape {
    bt_dtype dtype;
    int32_t  rank;
    int64_t  dim[BT_PJRT_MAX_RANK]; /* outermost first; dense */
} bt_pjrt_shape;
/* false: more than memory can hold, a negative dim, or a dtype that devices do not have */
BT_MUST_USE bool bt_pjrt_shape_bytes(const bt_pjrt_shape *shape, size_t *n_bytes);

typedef struct PJRT_Buffer bt_pjrt_buffer;

/* data is free for other use when this returns; the way to the device may still go on. */
BT_MUST_USE bt_status bt_pjrt_upload(bt_pjrt_client *client, int32_t device,
                                     const bt_pjrt_shape *shape, const void *data,
                                     bt_pjrt_buffer **out, bt_error *err);
/* Waits for the program that makes it, and fails where that failed. n_bytes: exactly the array's.
 */
BT_MUST_USE bt_status bt_pjrt_download(bt_pjrt_client *client, bt_pjrt_buffer *buffer, void *data,
                                       size_t n_bytes, bt_error *err);
/* Was it donated to a program that ran (or failed), so that its content is gone? */
BT_MUST_USE bt_status bt_pjrt_is_gone(bt_pjrt_client *client, bt_pjrt_buffer *buffer, bool *is_gone,
                                      bt_error *err);
void bt_pjrt_buffer_free(bt_pjrt_client *client, bt_pjrt_buffer *buffer); /* accepts NULL */

/* Running. */

typedef struct bt_pjrt_run {
    bt_pjrt_buffer *const *const *args;    /* [n_replicas][n_args] */
    size_t                        n_args;  /* of a replica */
    bt_pjrt_buffer **const       *results; /* [n_replicas][n_results]: set, the caller frees */
    bool                          wait; /* until it is done; else a failure shows in a download */
} bt_pjrt_run;

/* Runs the program on its devices. The plug-in holds the number, the sizes and the devices of the
 * arguments against the program, but not their types: int32 in place of float32 is the caller's
 * to see. Arguments that the text donates are gone afterwards, also when
 * this fails once the program had begun (bt_pjrt_is_gone tells); their handles stay the caller's to
 * free. On failure results are all NULL. */
BT_MUST_USE bt_status bt_pjrt_execute(bt_pjrt_program *program, const bt_pjrt_run *run,
                                      bt_error *err);

#endif
