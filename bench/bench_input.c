/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures an input alone: opening it, and one pass over its rows in shuffled batches of 32 with
 * nobody to train on them. Records of tokens, or raw text where fields are named. Prints one JSON
 * object.
 *
 *     bench_input PATH [VOCAB FIELD...]      e.g. bench_input train.tsv vocab.txt sentence */
#include <inttypes.h>

#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/cli.h"
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

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const   *args = NULL;
    const size_t         n_args = bt_flags_args(flags, &args);
    const char *const    path = n_args > 0 ? args[0] : NULL;
    const size_t         n_fields = n_args > 2 ? n_args - 2 : 0;
    const bt_data_config config = {.paths = &path,
                                   .n_paths = 1,
                                   .global_batch_size = 32,
                                   .shuffle_buffer_size = 100,
                                   .is_training = true};
    const bt_data_schema schema = {.seq_length = 128,
                                   .label_kind = BT_LABEL_NONE,
                                   .vocab_size = INT32_MAX,
                                   .type_vocab_size = 2,
                                   .text = {.fields = n_fields > 0 ? args + 2 : NULL,
                                            .n_fields = n_fields,
                                            .vocab_file = n_fields > 0 ? args[1] : "",
                                            .lower_case = true}};
    bt_status            rc = BT_OK;
    bt_data_stream      *stream = NULL;
    bt_str               out = BT_STR_INIT;
    int64_t              n_tokens = 0;
    const double         start = bt_time_monotonic();
    (void)status;
    if (path == NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "expected PATH [VOCAB FIELD...] (see --help)");
    }
    BT_CHECK(bt_data_open(&config, &schema, &stream, err));
    const double opened = bt_time_monotonic();
    BT_CHECK(read_epoch(stream, &n_tokens, err));
    const double seconds = bt_time_monotonic() - opened;
    BT_CHECK(bt_str_appendf(&out, err,
                            "{\"rows\": %" PRId64 ", \"open_seconds\": %.3f, \"rows_per_second\": "
                            "%.0f, \"tokens_per_row\": %.1f}\n",
                            bt_data_n_rows(stream), opened - start,
                            (double)bt_data_n_rows(stream) / seconds,
                            (double)n_tokens / (double)bt_data_n_rows(stream)));
    rc = bt_cli_print(&out, BT_READER_NEEDS_ALL, err);
done:
    bt_str_deinit(&out);
    bt_data_close(stream);
    return rc;
}

int main(int argc, char **argv) {
    static const bt_flag_table  flag_table = {.program = "bench_input",
                                              .summary = "bench_input PATH [VOCAB FIELD...]\n"
                                                          "bench_input train.tsv vocab.txt sentence"};
    static const bt_cli_program program = {.flags = &flag_table, .run = run};
    return bt_cli_run(&program, argc, argv);
}
