/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of text: the first byte says how the others are read (TSV, CSV, JSON lines; with a row of
 * names or without; damaged rows skipped or not), then every row is asked for. What opened must
 * also give its rows: at open every row was parsed once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/data.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##a\n##b\n,\n\"\n";

static bt_status read_rows(bt_data_stream *stream, bt_error *err) {
    for (;;) {
        const bt_batch *batch = NULL;
        bool            end = false;
        BT_TRY(bt_data_next_batch(stream, &batch, &end, err));
        if (end) {
            return BT_OK;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"t.tsv", "t.csv", "t.jsonl"};
    static const char *const by_name[] = {"a", "b"};
    static const char *const by_number[] = {"1", "3"};
    if (size == 0) {
        return 0;
    }
    char              vocab_path[4096];
    const uint8_t     how = data[0];
    const bool        has_header = (how & 4) != 0;
    const char *const path = fuzz_file(names[how % 3], data + 1, size - 1);
    (void)snprintf(vocab_path, sizeof vocab_path, "%s",
                   fuzz_file("vocab.txt", (const uint8_t *)vocab, sizeof vocab - 1));
    const bt_data_config config = {.paths = &path,
                                   .n_paths = 1,
                                   .global_batch_size = 4,
                                   .shuffle_buffer_size = 1,
                                   .skip_bad_records = (how & 8) != 0 ? 2 : 0};
    const bt_data_schema schema = {.seq_length = 8,
                                   .label_kind = (how & 16) != 0   ? BT_LABEL_FLOAT
                                                 : (how & 32) != 0 ? BT_LABEL_NONE
                                                                   : BT_LABEL_CLASS,
                                   .label_field = has_header ? "label" : "2",
                                   .n_classes = 2,
                                   .vocab_size = 10,
                                   .type_vocab_size = 2,
                                   .include_example_id = (how & 64) != 0,
                                   .learns_labels = true,
                                   .text = {.fields = has_header ? by_name : by_number,
                                            .n_fields = (how & 128) != 0 ? 2 : 1,
                                            .vocab_file = vocab_path,
                                            .rules = (how & 8) != 0 ? BT_TEXT_TF : BT_TEXT_PYTHON}};
    bt_data_stream      *stream = NULL;
    bt_error             err = BT_ERROR_INIT;
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    if (bt_data_open(&config, &schema, &stream, &err) == BT_OK) {
        const bt_status rc = read_rows(stream, &err);
        /* scores that are not finite numbers and ids that are none are found with their row */
        if (rc != BT_OK && rc != BT_E_FORMAT && rc != BT_E_NOMEM) {
            (void)fprintf(stderr, "%s\n", err.msg);
            abort();
        }
    } else if (err.msg[0] == '\0') {
        abort();
    }
    bt_data_close(stream);
    return 0;
}
