/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints that are known by their names: the first line of the input is the config.json beside
 * a safetensors file, each other line the name of a tensor in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/ckpt.h"
#include "bt/tensor.h"
#include "bt/wire/safetensors.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

enum { MAX_TENSORS = 32, NAME_BYTES = 200 };

static size_t split_names(const uint8_t *data, size_t size, char names[][NAME_BYTES]) {
    size_t n = 0;
    while (size > 0 && n < MAX_TENSORS) {
        const uint8_t *const end = memchr(data, '\n', size);
        const size_t         length = end != NULL ? (size_t)(end - data) : size;
        (void)snprintf(names[n++], NAME_BYTES, "%.*s", (int)length, (const char *)data);
        data += length + (end != NULL);
        size -= length + (end != NULL);
    }
    return n;
}

static bool write_weights(const char *path, char names[][NAME_BYTES], size_t n) {
    static const float     values[4] = {1, 2, 3, 4};
    static const int64_t   dims[2] = {2, 2};
    bt_st_tensor           tensors[MAX_TENSORS];
    bt_safetensors_writer *writer = NULL;
    for (size_t i = 0; i < n; i++) {
        tensors[i] = (bt_st_tensor){names[i], BT_DTYPE_F32, 2, dims};
    }
    bt_status rc = bt_safetensors_writer_create(path, tensors, n, NULL, 0, &writer, NULL);
    for (size_t i = 0; i < n && rc == BT_OK; i++) {
        rc = bt_safetensors_put(writer, values, sizeof values, NULL);
    }
    if (rc == BT_OK) {
        rc = bt_safetensors_writer_commit(&writer, NULL);
    }
    bt_safetensors_writer_abort(writer);
    return rc == BT_OK;
}

static void read_weights(const char *path) {
    bt_ckpt       *ckpt = NULL;
    bt_ckpt_facts  facts;
    float          values[4];
    const bt_param pooler = {
        .name = "pooler_transform/kernel", .rank = 2, .dim = {2, 2}, .n_elements = 4};
    if (bt_ckpt_open(path, &ckpt, NULL) != BT_OK) {
        return;
    }
    if (bt_ckpt_read_facts(ckpt, &facts, NULL) == BT_OK) {
        (void)(bt_ckpt_check_kind(ckpt, &facts, NULL) == BT_OK);
    }
    if (bt_ckpt_find_variable(ckpt, pooler.name, NULL) >= 0 &&
        (bt_ckpt_read_variable(ckpt, &pooler, NULL, values, NULL) != BT_OK || values[0] != 1)) {
        abort();
    }
    if ((bt_ckpt_get_encoder(ckpt) == BT_CKPT_NO_ENCODER) != (bt_ckpt_n_layers(ckpt) == 0)) {
        abort();
    }
    bt_ckpt_close(ckpt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char          names[MAX_TENSORS][NAME_BYTES];
    const uint8_t *const end = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t         n_config = end != NULL ? (size_t)(end - data) : size;
    const size_t         n_read = end != NULL ? n_config + 1 : size;
    const size_t         n = split_names(data + n_read, size - n_read, names);
    char                 path[4096];
    (void)fuzz_file("config.json", data, n_config);
    (void)snprintf(path, sizeof path, "%s", fuzz_file("w.safetensors", data, 0));
    if (write_weights(path, names, n)) {
        read_weights(path);
    }
    return 0;
}
