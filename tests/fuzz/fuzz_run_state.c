/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own state in a checkpoint: the first byte says of which metrics it is. What is read is gone
 * on with: the data from the cursor, the metrics by another batch and their values; metrics are
 * saved and read again to the same bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/metrics.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"
#include "run_state.h"

enum { N_SETS = 6, N_SEQS = 2, N_TOKENS = 4, MAX_LOGITS = 3 * N_TOKENS, N_ROWS = 5 };

static const char *const names_of_two[] = {"cls_accuracy", "auc", "f1", "matthews_corrcoef"};
static const char *const names_of_three[] = {"cls_accuracy", "matthews_corrcoef"};
static const char *const names_of_scores[] = {"pearson_spearman_corr", "mean_squared_error"};
static const char *const names_of_pairs[] = {"batch_size_per_core", "left_recall_at_1",
                                             "right_recall_at_3", "left_mrr", "right_mrr"};
static const char *const names_of_tags[] = {"f1", "precision", "recall", "accuracy"};
static const char *const names_of_spans[] = {"start_position_accuracy", "end_position_accuracy"};
static const char *const tags[] = {"O", "B-X", "I-X"};

static const bt_metrics_config sets[N_SETS] = {
    {.names = names_of_two,
     .n_names = BT_ARRAY_LEN(names_of_two),
     .n_classes = 2,
     .unit = BT_METRIC_OF_SEQUENCES},
    {.names = names_of_three,
     .n_names = BT_ARRAY_LEN(names_of_three),
     .n_classes = 3,
     .unit = BT_METRIC_OF_SEQUENCES},
    {.names = names_of_scores,
     .n_names = BT_ARRAY_LEN(names_of_scores),
     .n_classes = 1,
     .unit = BT_METRIC_OF_SEQUENCES},
    {.names = names_of_pairs,
     .n_names = BT_ARRAY_LEN(names_of_pairs),
     .n_classes = 0,
     .unit = BT_METRIC_OF_SEQUENCES},
    {.names = names_of_tags,
     .n_names = BT_ARRAY_LEN(names_of_tags),
     .n_classes = 3,
     .unit = BT_METRIC_OF_TOKENS,
     .class_names = tags},
    {.names = names_of_spans,
     .n_names = BT_ARRAY_LEN(names_of_spans),
     .n_classes = 2,
     .unit = BT_METRIC_OF_TOKENS},
};

static void update(bt_metrics *metrics) {
    static const int64_t offsets[N_SEQS + 1] = {0, 2, N_TOKENS};
    static const int32_t labels[N_TOKENS] = {1, 0, 1, 1};
    static const float   scores[N_SEQS] = {0.5F, -1.0F};
    static const float   logits[MAX_LOGITS] = {1, 2, 3, 3, 2, 1, 0, 5, 0, 1, 1, 7};
    const bt_batch       batch = {.n_seqs = N_SEQS,
                                  .n_rows = N_SEQS,
                                  .n_tokens = N_TOKENS,
                                  .max_tokens = 2,
                                  .seq_length = 2,
                                  .offsets = offsets,
                                  .int_labels = labels,
                                  .float_labels = scores};
    if (bt_metrics_update(metrics, &batch, logits, NULL) != BT_OK) {
        abort();
    }
}

static void save(const bt_metrics *metrics, bt_str *bytes) {
    if (bt_metrics_save(metrics, bytes, NULL) != BT_OK) {
        abort();
    }
}

/* The state of the metrics, which was loaded, is saved and loaded without a change. */
static void check_again(bt_metrics *metrics) {
    bt_str first = BT_STR_INIT;
    bt_str second = BT_STR_INIT;
    save(metrics, &first);
    bt_reader reader = bt_reader_make(first.data, first.len);
    if (bt_metrics_load(metrics, &reader, NULL) != BT_OK || bt_reader_left(&reader) != 0) {
        abort();
    }
    save(metrics, &second);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0) {
        abort();
    }
    bt_str_deinit(&first);
    bt_str_deinit(&second);
}

static void read_metrics(const bt_metrics_config *set, bt_reader *bytes) {
    bt_metrics     *metrics = NULL;
    bt_metric_value values[BT_METRIC_MAX];
    bt_error        err = BT_ERROR_INIT;
    if (bt_metrics_create(set, &metrics, &err) != BT_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    if (bt_metrics_load(metrics, bytes, &err) == BT_OK) {
        check_again(metrics);
    } else if (err.msg[0] == '\0') {
        abort();
    }
    (void)bt_metrics_compute(metrics, values);
    update(metrics);
    (void)bt_metrics_compute(metrics, values);
    bt_metrics_free(metrics);
}

static bt_data_stream *stream;

static void close_stream(void) {
    bt_data_close(stream);
}

/* A training set of N_ROWS rows, opened once. */
static void open_stream(void) {
    static const char        vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n";
    static const char        rows[] = "a\t0\na\t1\na\t0\na\t1\na\t0\n";
    static const char *const fields[] = {"1"};
    static const char       *path;
    bt_error                 err = BT_ERROR_INIT;
    path = fuzz_file("t.tsv", (const uint8_t *)rows, sizeof rows - 1);
    const bt_data_config config = {.paths = &path,
                                   .n_paths = 1,
                                   .global_batch_size = 2,
                                   .shuffle_buffer_size = 10,
                                   .is_training = true};
    const bt_data_schema schema = {
        .seq_length = 4,
        .label_kind = BT_LABEL_CLASS,
        .label_field = "2",
        .n_classes = 2,
        .vocab_size = 5,
        .type_vocab_size = 2,
        .learns_labels = true,
        .text = {.fields = fields,
                 .n_fields = 1,
                 .vocab_file = fuzz_file("vocab.txt", (const uint8_t *)vocab, sizeof vocab - 1)}};
    if (bt_data_open(&config, &schema, &stream, &err) != BT_OK ||
        bt_data_n_rows(stream) != N_ROWS || atexit(close_stream) != 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        abort();
    }
}

static void read_data(bt_data_cursor cursor) {
    const bt_batch *batch = NULL;
    bool            end = false;
    bt_error        err = BT_ERROR_INIT;
    if (stream == NULL) {
        open_stream();
    }
    if (bt_data_seek(stream, cursor, &err) != BT_OK) {
        if (err.msg[0] == '\0') {
            abort();
        }
        return;
    }
    if (bt_data_next_batch(stream, &batch, &end, &err) != BT_OK || end || batch->n_seqs < 1) {
        (void)fprintf(stderr, "%s\n", err.msg);
        abort();
    }
}

/* A run adds to them: not to what would overflow. */
static void check_counts(const run_state *state) {
    const chunk_sums *const c = &state->course.chunk;
    const int64_t           counts[] = {c->start_step,
                                        c->n_steps,
                                        c->n_examples,
                                        c->n_tokens,
                                        c->n_padded,
                                        c->n_skipped,
                                        state->n_rows,
                                        state->scale.n_good,
                                        state->course.early_stop.n_worse,
                                        state->course.save_base + 1,
                                        state->course.recovery_trials};
    for (size_t i = 0; i < BT_ARRAY_LEN(counts); i++) {
        if (counts[i] < 0 || counts[i] > INT64_MAX / 2) {
            abort();
        }
    }
    if (!isfinite(state->scale.factor)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    run_state state = {0};
    if (size == 0) {
        return 0;
    }
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    bt_reader reader = bt_reader_make(data + 1, size - 1);
    if (!run_state_read(&reader, &state)) {
        return 0;
    }
    check_counts(&state);
    read_data(state.cursor);
    read_metrics(&sets[data[0] % N_SETS], &reader);
    return 0;
}
