/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures an input alone: opening it, and one pass over its rows in shuffled batches of 32 with
 * nobody to train on them. Records of tokens, or raw text where fields are named. Prints one JSON
 * object.
 *
 *     bench_input PATH [VOCAB FIELD...]      e.g. bench_input train.tsv vocab.txt sentence */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/time.h"
#include "bt/data.h"

static bt_status read_epoch(bt_data_stream *stream, int64_t *n_tokens, bt_error *err) {
    while (bt_data_get_cursor(stream).epoch == 0) {
        const bt_batch *batch = NULL;
        bool            end = false;
        BT_TRY(bt_data_next_batch(stream, &batch, &end, err));
        *n_tokens += batch->n_tokens;
    }
    return BT_OK;
}

static bt_status measure(int argc, char **argv, bt_error *err) {
    const char *const    path = argv[1];
    const size_t         n_fields = argc > 3 ? (size_t)(argc - 3) : 0;
    const bt_data_config config = {.paths = &path,
                                   .n_paths = 1,
                                   .global_batch_size = 32,
                                   .shuffle_buffer_size = 100,
                                   .is_training = true};
    const bt_data_schema schema = {.seq_length = 128,
                                   .label_kind = BT_LABEL_NONE,
                                   .vocab_size = INT32_MAX,
                                   .type_vocab_size = 2,
                                   .text = {.fields = (const char *const *)argv + 3,
                                            .n_fields = n_fields,
                                            .vocab_file = n_fields > 0 ? argv[2] : "",
                                            .lower_case = true}};
    bt_status            rc = BT_OK;
    bt_data_stream      *stream = NULL;
    int64_t              n_tokens = 0;
    const double         start = bt_time_monotonic();
    BT_CHECK(bt_data_open(&config, &schema, &stream, err));
    const double opened = bt_time_monotonic();
    BT_CHECK(read_epoch(stream, &n_tokens, err));
    const double seconds = bt_time_monotonic() - opened;
    (void)printf("{\"rows\": %" PRId64 ", \"open_seconds\": %.3f, \"rows_per_second\": %.0f, "
                 "\"tokens_per_row\": %.1f}\n",
                 bt_data_n_rows(stream), opened - start, (double)bt_data_n_rows(stream) / seconds,
                 (double)n_tokens / (double)bt_data_n_rows(stream));
done:
    bt_data_close(stream);
    return rc;
}

int main(int argc, char **argv) {
    bt_error err = BT_ERROR_INIT;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_input PATH [VOCAB FIELD...]\n");
        return 2;
    }
    if (measure(argc, argv, &err) != BT_OK) {
        (void)fprintf(stderr, "bench_input: error: %s\n", err.msg);
        return bt_status_exit_code(err.code);
    }
    return 0;
}
