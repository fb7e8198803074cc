/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that need not be here, to compile for: "h100", "h100:8", "v5e:2x2", or a file. What XLA
 * wants to know of a GPU is a message GpuTargetConfigProto in text; the figures below are facts
 * of the devices, and the text is made of them. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/fs.h"
#include "bt/pjrt.h"

/* Figures of a GPU. Sources: NVIDIA's data sheets and its programming guide's table of compute
 * capabilities (processors, registers, shared memory, level 2 cache, clock); OpenXLA's own
 * descriptions in its repository, xla/backends/gpu/target_config/specs/{a100_sxm_80,h100_sxm,
 * h200}.txtpb (bytes of memory and bytes a second as these devices report them). None was read
 * from a device here. */
typedef struct gpu_row {
    const char *name; /* as users write it */
    const char *kind; /* as the driver says */
    int32_t     major;
    bool        accelerated; /* sm_90a and not sm_90 */
    int64_t     cores;
    int64_t     lanes; /* float32 units a core */
    int64_t     shared_bytes;
    int64_t     shared_block_bytes; /* that one block may ask for */
    int64_t     cache_bytes;
    double      clock_ghz;
    int64_t     memory_bytes;
    int64_t     bytes_per_second;
} gpu_row;

static const gpu_row gpus[] = {
    {"a100", "NVIDIA A100-SXM4-80GB", 8, false, 108, 64, 167936, 166912, 41943040, 1.41,
     85100068864, 2039040000000},
    {"h100", "NVIDIA H100 80GB HBM3", 9, true, 132, 128, 233472, 232448, 52428800, 1.98,
     84942979072, 3352320000000},
    {"h200", "NVIDIA H200 141GB HBM3e", 9, true, 132, 128, 233472, 232448, 52428800, 1.98,
     151397597184, 4800000000000},
};

const char bt_pjrt_target_names[] =
    "a100, h100 or h200 (h100:8 for 8 of them), a file with the description of a GPU, or a "
    "topology "
    "of TPUs such as v5e:2x2, v6e:1x1 or v5p:2x2x1 (docs/devices.md)";

enum { MAX_GPUS = 1024, MAX_TARGET_BYTES = 1 << 20 };

static bt_status append_gpu(bt_str *out, const gpu_row *gpu, bt_error *err) {
    char clock[BT_F64_TEXT_MAX];
    BT_TRY(bt_str_appendf(
        out, err,
        "gpu_device_info {\n  threads_per_block_limit: 1024\n  threads_per_warp: 32\n"
        "  shared_memory_per_block: 49152\n  shared_memory_per_core: %" PRId64 "\n"
        "  threads_per_core_limit: 2048\n  core_count: %" PRId64 "\n  fpus_per_core: %" PRId64 "\n"
        "  block_dim_limit_x: 2147483647\n  block_dim_limit_y: 65535\n  block_dim_limit_z: 65535\n"
        "  memory_bandwidth: %" PRId64 "\n  l2_cache_size: %" PRId64 "\n  clock_rate_ghz: %s\n"
        "  device_memory_size: %" PRId64 "\n  shared_memory_per_block_optin: %" PRId64 "\n",
        gpu->shared_bytes, gpu->cores, gpu->lanes, gpu->bytes_per_second, gpu->cache_bytes,
        bt_f64_repr(gpu->clock_ghz, clock), gpu->memory_bytes, gpu->shared_block_bytes));
    /* cuDNN 9.10 decides which of its kernels may be asked for */
    return bt_str_appendf(
        out, err,
        "  cuda_compute_capability {\n    major: %" PRId32 "\n%s  }\n"
        "  registers_per_core_limit: 65536\n  registers_per_block_limit: 65536\n"
        "  thread_dim_limit_x: 1024\n  thread_dim_limit_y: 1024\n  thread_dim_limit_z: 64\n"
        "  device_vendor: \"NVIDIA Corporation\"\n  device_address_bits: 64\n"
        "  ecc_enabled: true\n  name: \"%s\"\n}\nplatform_name: \"CUDA\"\n"
        "dnn_version_info {\n  major: 9\n  minor: 10\n}\ndevice_description_str: \"%s\"\n",
        gpu->major, gpu->accelerated ? "    feature_extension: ACCELERATED_FEATURES\n" : "",
        gpu->kind, gpu->kind);
}

/* "NAME:COUNT" -> its parts; no count is 1. false: the count is not a number, or out of range. */
static bool split_count(const char *text, size_t *n_name, int64_t *count) {
    const char *const colon = strrchr(text, ':');
    *n_name = colon != NULL ? (size_t)(colon - text) : strlen(text);
    *count = 1;
    return colon == NULL || (bt_parse_i64(colon + 1, count) && *count >= 1 && *count <= MAX_GPUS);
}

static const gpu_row *find_gpu(const char *name, size_t n) {
    for (size_t i = 0; i < BT_ARRAY_LEN(gpus); i++) {
        if (strlen(gpus[i].name) == n && strncmp(gpus[i].name, name, n) == 0) {
            return &gpus[i];
        }
    }
    return NULL;
}

/* "v5e:2x2": what libtpu takes is its own affair; what cannot be one is told here. */
static bool looks_like_tpu(const char *text) {
    const bool version =
        (text[0] == 'v' && text[1] >= '2' && text[1] <= '9') || bt_str_starts_with(text, "tpu");
    const char *const colon = strchr(text, ':');
    return version && colon != NULL && colon[1] >= '1' && colon[1] <= '9' &&
           colon[1 + strspn(colon + 1, "0123456789x")] == '\0';
}

static bt_status read_file(const char *text, size_t n, bt_str *out, bool *is_file, bt_error *err) {
    char *const path = bt_strndup(text, n);
    if (path == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for a path");
    }
    char     *content = NULL;
    size_t    n_bytes = 0;
    bt_status rc = BT_OK;
    *is_file = bt_fs_exists(path);
    if (*is_file) {
        BT_CHECK(bt_fs_read_all(path, MAX_TARGET_BYTES, &content, &n_bytes, err));
        if (strstr(content, "gpu_device_info") == NULL) {
            rc = BT_FAIL(err, BT_E_CONFIG,
                         "%s: not the description of a GPU: a GpuTargetConfigProto in text, with "
                         "gpu_device_info { ... } (docs/devices.md)",
                         path);
            goto done;
        }
        BT_CHECK(bt_str_append_n(out, content, n_bytes, err));
    }
done:
    bt_free(path);
    bt_free(content);
    return rc;
}

static bt_status fail_unknown(const char *text, bt_error *err) {
    return BT_FAIL(err, BT_E_CONFIG, "'%s' is not a device to compile for: %s", text,
                   bt_pjrt_target_names);
}

bt_status bt_pjrt_target_parse(const char *text, bt_pjrt_target *out, bt_error *err) {
    *out = (bt_pjrt_target){.kind = BT_PJRT_CUDA, .description = BT_STR_INIT};
    bt_status  rc = BT_OK;
    size_t     n_name = 0;
    int64_t    count = 0;
    const bool is_counted = split_count(text, &n_name, &count);
    if (is_counted && n_name > 0) {
        const gpu_row *const gpu = find_gpu(text, n_name);
        bool                 is_file = false;
        if (gpu != NULL) {
            BT_CHECK(append_gpu(&out->description, gpu, err));
        } else {
            BT_CHECK(read_file(text, n_name, &out->description, &is_file, err));
        }
        if (gpu != NULL || is_file) {
            out->n_gpus = (int32_t)count;
            goto done;
        }
    }
    if (!looks_like_tpu(text)) {
        rc = fail_unknown(text, err);
        goto done;
    }
    out->kind = BT_PJRT_TPU;
    BT_CHECK(bt_str_append(&out->description, text, err));
done:
    if (rc != BT_OK) {
        bt_pjrt_target_deinit(out);
    }
    return rc;
}

void bt_pjrt_target_deinit(bt_pjrt_target *target) {
    bt_str_deinit(&target->description);
}
