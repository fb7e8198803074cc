/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs of text: the first byte says how the others are read (lines, TSV or JSON lines; one file a
 * side, the right one after the first byte 1, or both sides in one; pairs or a chain of sides),
 * then every row is asked for, and the texts of a chain's rows. */
#include <inttypes.h>
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

/* What gave tokens must give its text. */
static void read_texts(bt_data_stream *stream) {
    for (int64_t row = 0; row < bt_data_n_rows(stream); row++) {
        const bt_text_span *texts = NULL;
        size_t              n = 0;
        bt_error            err = BT_ERROR_INIT;
        if (bt_data_row_texts(stream, row, &texts, &n, &err) != BT_OK || n != 1) {
            (void)fprintf(stderr, "row %" PRId64 ": %s\n", row, err.msg);
            abort();
        }
    }
}

/* Paths of the sides' files into paths; returns how many there are. */
static size_t write_sides(uint8_t how, const uint8_t *data, size_t size, char paths[2][4096]) {
    static const char *const names[2][3] = {{"l.txt", "l.tsv", "l.jsonl"},
                                            {"r.txt", "r.tsv", "r.jsonl"}};
    const uint8_t *const     split = (how & 4) != 0 ? memchr(data, 1, size) : NULL;
    const size_t             n_left = split != NULL ? (size_t)(split - data) : size;
    (void)snprintf(paths[0], sizeof paths[0], "%s", fuzz_file(names[0][how % 3], data, n_left));
    if (split != NULL) {
        (void)snprintf(paths[1], sizeof paths[1], "%s",
                       fuzz_file(names[1][how % 3], split + 1, size - n_left - 1));
    }
    return split != NULL ? 2 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const left_field[] = {"a"};
    static const char *const right_field[] = {"b"};
    static char              paths[2][4096];
    char                     vocab_path[4096];
    if (size == 0) {
        return 0;
    }
    const uint8_t     how = data[0];
    const bool        is_chain = (how & 8) != 0;
    const size_t      n_files = write_sides(how, data + 1, size - 1, paths);
    const char *const left = paths[0];
    const char *const right = paths[1];
    (void)snprintf(vocab_path, sizeof vocab_path, "%s",
                   fuzz_file("vocab.txt", (const uint8_t *)vocab, sizeof vocab - 1));
    const bt_data_config config = {.paths = &left,
                                   .n_paths = 1,
                                   .right_paths = &right,
                                   .n_right_paths = n_files - 1,
                                   .global_batch_size = 3,
                                   .shuffle_buffer_size = 1,
                                   .table = how % 3 == 0 ? BT_TABLE_LINES : BT_TABLE_NONE};
    const bt_data_schema schema = {.seq_length = 6,
                                   .pairing = is_chain ? BT_PAIRING_CHAIN : BT_PAIRING_ROWS,
                                   .vocab_size = 10,
                                   .type_vocab_size = 2,
                                   .include_example_id = is_chain,
                                   .text = {.fields = left_field,
                                            .n_fields = 1,
                                            .right_fields = right_field,
                                            .n_right_fields = (how & 16) != 0 ? 0 : 1,
                                            .vocab_file = vocab_path,
                                            .rules = BT_TEXT_TF}};
    bt_data_stream      *stream = NULL;
    bt_error             err = BT_ERROR_INIT;
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    if (bt_data_open(&config, &schema, &stream, &err) == BT_OK) {
        const bt_status rc = read_rows(stream, &err);
        if (rc != BT_OK && rc != BT_E_FORMAT && rc != BT_E_NOMEM) {
            (void)fprintf(stderr, "%s\n", err.msg);
            abort();
        }
        if (is_chain && rc == BT_OK) {
            read_texts(stream);
        }
    } else if (err.msg[0] == '\0') {
        abort();
    }
    bt_data_close(stream);
    return 0;
}
