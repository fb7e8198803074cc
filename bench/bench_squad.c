/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures what an evaluation of SQuAD does beside the model: reading the file, cutting windows,
 * and answers and scores from made-up logits. One thread. Prints one JSON object.
 *
 *     bench_squad dev-v1.1.json vocab.txt [--seq_length=384] [--doc_stride=128] [--query_length=64]
 */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "bt/base/time.h"
#include "bt/cli.h"
#include "bt/squad.h"

enum { MAX_LENGTH = 4096 };

typedef struct bench {
    bt_text_vocab     *vocab;
    bt_text_tokenizer *tokenizer;
    bt_squad_set       set;
    bt_squad_windows  *windows;
    bt_squad_answers  *answers;
    double             read_seconds;
    double             window_seconds;
    double             answer_seconds;
    double             score_seconds;
    bt_squad_scores_v1 scores;
    double             tokens_per_window;
} bench;

static const bt_flag_def flag_defs[] = {
    {.name = "seq_length", .kind = BT_FLAG_INT, .default_text = "384", .help = "of a window"},
    {.name = "doc_stride", .kind = BT_FLAG_INT, .default_text = "128", .help = "between windows"},
    {.name = "query_length", .kind = BT_FLAG_INT, .default_text = "64", .help = "of a question"},
};
static const bt_flag_table flag_table = {.program = "bench_squad",
                                         .summary = "bench_squad dev-v1.1.json vocab.txt",
                                         .defs = flag_defs,
                                         .n_defs = BT_ARRAY_LEN(flag_defs)};

static bt_status check_lengths(const bt_flags *flags, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(flag_defs); i++) {
        const int64_t value = bt_flags_int(flags, flag_defs[i].name);
        if (value < 0 || value > MAX_LENGTH) {
            return BT_FAIL(err, BT_E_CONFIG, "--%s=%" PRId64 ": expected 0 to %d",
                           flag_defs[i].name, value, (int)MAX_LENGTH);
        }
    }
    return BT_OK;
}

static bt_status make_windows(bench *b, const bt_flags *flags, bt_error *err) {
    const char *const            *args = NULL;
    const bt_squad_window_options options = {bt_flags_int(flags, "seq_length"),
                                             bt_flags_int(flags, "doc_stride"),
                                             bt_flags_int(flags, "query_length"), false};
    if (bt_flags_args(flags, &args) != 2) {
        return BT_FAIL(err, BT_E_CONFIG, "expected JSON and VOCAB (see --help)");
    }
    BT_TRY(check_lengths(flags, err));
    BT_TRY(bt_text_vocab_load(&b->vocab, args[1], err));
    BT_TRY(bt_text_tokenizer_create(&b->tokenizer, b->vocab, true, err));
    const double start = bt_time_monotonic();
    BT_TRY(bt_squad_read(&b->set, args[0], &(bt_text_encoding){0}, BT_SQUAD_EVALUATE, false, err));
    const double read = bt_time_monotonic();
    BT_TRY(bt_squad_windows_create(&b->windows, &b->set, b->tokenizer, &options, err));
    b->read_seconds = read - start;
    b->window_seconds = bt_time_monotonic() - read;
    return BT_OK;
}

/* Logits on which twenty places stand out, as those of a model do. */
static bt_status make_answers(bench *b, bt_error *err) {
    const bt_squad_answer_options options = {20, 30, 0.0, false, true};
    static float                  starts[MAX_LENGTH];
    static float                  ends[MAX_LENGTH];
    const double                  start = bt_time_monotonic();
    BT_TRY(bt_squad_answers_create(&b->answers, b->windows, &options, err));
    for (int64_t i = 0; i < bt_squad_n_windows(b->windows); i++) {
        const int64_t n = bt_squad_window_length(b->windows, i);
        b->tokens_per_window += (double)n / (double)bt_squad_n_windows(b->windows);
        const bt_rng_key key = bt_rng_key_make(1, (uint64_t)i, 0, 2);
        for (int64_t t = 0; t < n; t++) {
            starts[t] = 10 * bt_rng_uniform(key, (uint64_t)t);
            ends[t] = 10 * bt_rng_uniform(key, (uint64_t)(t > 3 ? t - 3 : t));
        }
        bt_squad_answers_add(b->answers, i, starts, ends, 1, n);
    }
    BT_TRY(bt_squad_answers_finish(b->answers, err));
    b->answer_seconds = bt_time_monotonic() - start;
    return BT_OK;
}

static bt_status score(bench *b, bt_error *err) {
    const int64_t              n = b->set.n_questions;
    const double               start = bt_time_monotonic();
    bt_squad_prediction *const predictions = bt_alloc_array((size_t)n, sizeof *predictions);
    if (predictions == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " predictions", n);
    }
    for (int64_t q = 0; q < n; q++) {
        predictions[q] = bt_squad_answers_prediction(b->answers, q);
    }
    const bt_status rc = bt_squad_score_v1(&b->set, predictions, &b->scores, err);
    b->score_seconds = bt_time_monotonic() - start;
    bt_free(predictions);
    return rc;
}

static bt_status measure(bench *b, const bt_flags *flags, bt_str *out, bt_error *err) {
    BT_TRY(make_windows(b, flags, err));
    BT_TRY(make_answers(b, err));
    BT_TRY(score(b, err));
    return bt_str_appendf(out, err,
                          "{\"questions\": %" PRId64 ", \"windows\": %" PRId64
                          ", \"tokens_per_window\": %.1f, \"read_s\": %.3f, \"windows_s\": %.3f, "
                          "\"answers_s\": %.3f, \"scores_s\": %.3f, \"answers_mib\": %.1f}\n",
                          b->set.n_questions, bt_squad_n_windows(b->windows), b->tokens_per_window,
                          b->read_seconds, b->window_seconds, b->answer_seconds, b->score_seconds,
                          (double)bt_squad_answers_memory_bytes(b->answers) / 0x1p20);
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    bench     b = {0};
    bt_str    out = BT_STR_INIT;
    bt_status rc = measure(&b, flags, &out, err);
    (void)status;
    if (rc == BT_OK) {
        rc = bt_cli_print(&out, BT_READER_NEEDS_ALL, err);
    }
    bt_str_deinit(&out);
    bt_squad_answers_free(b.answers);
    bt_squad_windows_free(b.windows);
    bt_squad_set_deinit(&b.set);
    bt_text_tokenizer_free(b.tokenizer);
    bt_text_vocab_free(b.vocab);
    return rc;
}

int main(int argc, char **argv) {
    static const bt_cli_program program = {.flags = &flag_table, .run = run};
    return bt_cli_run(&program, argc, argv);
}
