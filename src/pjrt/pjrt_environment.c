/* SPDX-License-Identifier: Apache-2.0
 *
 * What plug-ins read from the environment, set before one is loaded and only where the user has not
 * set it. Facts from trying libtpu 0.0.52: without TPU_SKIP_MDS_QUERY it asks a metadata server of
 * Google's cloud, which elsewhere takes half a minute to fail; one process a machine may have it
 * loaded unless ALLOW_MULTIPLE_LIBTPU_LOAD is 1. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/fs.h"
#include "pjrt_internal.h"

typedef enum set_when {
    ALWAYS,
    WITHOUT_TPU, /* to compile ahead of time, or where no TPU is */
} set_when;

static const struct {
    const char *name;
    const char *value;
    set_when    when;
} variables[] = {
    /* Lines of the plug-ins' own on stderr, for errors that they also return. */
    {"TF_CPP_MIN_LOG_LEVEL", "3", ALWAYS},
    {"TPU_MIN_LOG_LEVEL", "3", ALWAYS},
    {"TPU_LOG_DIR", "disabled", ALWAYS}, /* else a folder tpu_logs beside everybody's files */
    {"TPU_SKIP_MDS_QUERY", "1", WITHOUT_TPU},
    {"ALLOW_MULTIPLE_LIBTPU_LOAD", "1", WITHOUT_TPU},
    /* What the metadata would say; any value does, without one it warns. */
    {"TPU_WORKER_HOSTNAMES", "localhost", WITHOUT_TPU},
    {"TPU_ACCELERATOR_TYPE", "v5litepod-4", WITHOUT_TPU},
};

/* Google's TPUs on the PCI bus, as JAX's hardware_utils.py lists them. (Other devices of the same
 * vendor are in every machine of its cloud.) */
static const char *const tpu_ids[] = {"0x0027", "0x0056", "0x005e", "0x0062", "0x0063",
                                      "0x006f", "0x0076", "0x007c", "0x0083"};

static bool file_says(const char *folder, const char *name, const char *const *words, size_t n) {
    char  *path = NULL;
    char  *text = NULL;
    size_t n_bytes = 0;
    bool   says = false;
    if (bt_fs_join(folder, name, &path, NULL) == BT_OK &&
        bt_fs_read_all(path, 4096, &text, &n_bytes, NULL) == BT_OK) {
        text[strcspn(text, "\r\n ")] = '\0';
        for (size_t i = 0; i < n && !says; i++) {
            says = bt_str_equal_nocase(text, words[i]);
        }
    }
    bt_free(path);
    bt_free(text);
    return says;
}

/* Is a TPU among the devices of the bus? pci_folder: /sys/bus/pci/devices but in tests. */
static bool has_tpu(const char *pci_folder) {
    static const char *const vendor[] = {"0x1ae0"};
    bt_fs_names              names = BT_FS_NAMES_INIT;
    bool                     has = false;
    if (bt_fs_list(pci_folder, &names, NULL) != BT_OK) {
        return false;
    }
    for (size_t i = 0; i < names.n && !has; i++) {
        char *device = NULL;
        if (bt_fs_join(pci_folder, names.items[i], &device, NULL) == BT_OK) {
            has = file_says(device, "vendor", vendor, 1) &&
                  file_says(device, "device", tpu_ids, BT_ARRAY_LEN(tpu_ids));
        }
        bt_free(device);
    }
    bt_fs_names_deinit(&names);
    return has;
}

bt_status pjrt_set_environment(bt_pjrt_purpose purpose, bt_error *err) {
    const bool with_tpu = purpose == BT_PJRT_TO_RUN && has_tpu("/sys/bus/pci/devices");
    for (size_t i = 0; i < BT_ARRAY_LEN(variables); i++) {
        if ((variables[i].when == ALWAYS || !with_tpu) &&
            setenv(variables[i].name, variables[i].value, 0) != 0) {
            return BT_FAIL(err, BT_E_NOMEM, "the variable %s cannot be set: %s", variables[i].name,
                           strerror(errno));
        }
    }
    return BT_OK;
}
