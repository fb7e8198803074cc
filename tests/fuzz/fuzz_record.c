/* SPDX-License-Identifier: Apache-2.0
 *
 * TFRecord files, plain and compressed, from front to back and by index. */
#include "bt/wire.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *const path = fuzz_file("r.tfrecord", data, size);
    for (int c = 0; c < 3; c++) {
        bt_tfrecord_reader *reader = NULL;
        bool                end = false;
        if (bt_tfrecord_open(path, (bt_compression)c, &reader, NULL) != BT_OK) {
            return 0;
        }
        bt_record record;
        while (bt_tfrecord_next(reader, &record, &end, NULL) == BT_OK && !end) {
        }
        bt_tfrecord_close(reader);
    }
    bt_tfrecord_index index = {0};
    if (bt_tfrecord_index_build(path, &index, NULL) == BT_OK) {
        bt_file *file = NULL;
        bt_str   buffer = BT_STR_INIT;
        if (bt_fs_open(path, &file, NULL) == BT_OK) {
            bt_record record;
            int64_t   i = 0;
            while (i < index.n_records &&
                   bt_tfrecord_read_at(file, &index, i, &buffer, &record, NULL) == BT_OK) {
                i++;
            }
        }
        bt_fs_close(file);
        bt_str_deinit(&buffer);
        bt_tfrecord_index_deinit(&index);
    }
    return 0;
}
