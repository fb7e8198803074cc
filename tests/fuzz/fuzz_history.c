/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run reads of earlier ones in its model_dir, in memory: the first byte says whether the
 * others are a line of metrics.jsonl, info.json or seeds.json. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_file.h"
#include "fuzz_targets.h"
#include "run.h"
#include "run_record.h"
#include "seeds_file.h"

static void read_record(const char *text, size_t n, bt_error *err) {
    record_line line;
    bool        is_record = false;
    if (record_parse(text, n, &line, &is_record, err) != BT_OK) {
        abort();
    }
    if (is_record &&
        (line.n_values > BT_TRAIN_MAX_VALUES || strlen(line.kind) >= sizeof line.kind)) {
        abort();
    }
    (void)record_is_torn(text, n);
}

static void read_seeds(const char *text, size_t n, bt_error *err) {
    seeds_file file = {0};
    if (seeds_file_read(&file, fuzz_file("seeds.json", (const uint8_t *)text, n), err) != BT_OK &&
        err->msg[0] == '\0') {
        abort();
    }
    seeds_file_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_error  err = BT_ERROR_INIT;
    best_info info = {0};
    if (size == 0) {
        return 0;
    }
    char *const text = bt_strndup((const char *)data + 1, size - 1);
    if (text == NULL) {
        return 0;
    }
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    switch (data[0] % 3) {
    case 0:
        read_record(text, size - 1, &err);
        break;
    case 1:
        if (best_info_parse(text, size - 1, "f1", "info.json", &info, &err) != BT_OK &&
            err.msg[0] == '\0') {
            abort();
        }
        break;
    default:
        read_seeds(text, size - 1, &err);
        break;
    }
    bt_free(text);
    return 0;
}
