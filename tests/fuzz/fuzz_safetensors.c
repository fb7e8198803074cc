/* SPDX-License-Identifier: Apache-2.0
 *
 * Safetensors files: the input is header and data; the length in front is made. */
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/wire/safetensors.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *const end = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t         n_header = end != NULL ? (size_t)(end - data) + 1 : size;
    uint8_t *const       file = bt_alloc(size + 8);
    bt_safetensors      *st = NULL;
    if (file == NULL) {
        return 0;
    }
    bt_store_u64le(file, n_header);
    if (size > 0) {
        memcpy(file + 8, data, size);
    }
    if (bt_safetensors_open(fuzz_file("m.safetensors", file, size + 8), &st, NULL) == BT_OK) {
        for (size_t i = 0; i < bt_safetensors_n_entries(st); i++) {
            const bt_st_entry *const entry = bt_safetensors_entry_at(st, i);
            void *const              bytes = bt_alloc((size_t)entry->n_bytes);
            if (bytes == NULL ||
                bt_safetensors_read(st, entry, bytes, (size_t)entry->n_bytes, NULL) != BT_OK) {
                abort(); /* offsets were checked when it was opened */
            }
            bt_free(bytes);
        }
        bt_safetensors_close(st);
    }
    bt_free(file);
    return 0;
}
