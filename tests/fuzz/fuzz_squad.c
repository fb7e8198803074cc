/* SPDX-License-Identifier: Apache-2.0
 *
 * SQuAD JSON, the windows that are cut from it, and answers and scores for them. */
#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/squad.h"
#include "fuzz_targets.h"
#include "squad_internal.h"

enum { LENGTH = 12 };

static void answer(const bt_squad_windows *windows, const bt_squad_set *set, bt_error *err) {
    static const float            scores[LENGTH] = {1, 3, 2, 5, 4, 9, 8, 8, 7, 6, 3, 2};
    const bt_squad_answer_options options = {3, 5, 0.0, true, true};
    bt_squad_answers             *answers = NULL;
    bt_squad_scores_v2            v2;
    bt_squad_prediction *const    predictions =
        bt_alloc_array((size_t)set->n_questions, sizeof *predictions);
    if (predictions != NULL && bt_squad_answers_create(&answers, windows, &options, err) == BT_OK) {
        for (int64_t i = 0; i < bt_squad_n_windows(windows); i++) {
            bt_squad_answers_add(answers, i, scores, scores, 1, LENGTH);
        }
        if (bt_squad_answers_finish(answers, err) == BT_OK) {
            for (int64_t q = 0; q < set->n_questions; q++) {
                predictions[q] = bt_squad_answers_prediction(answers, q);
            }
            (void)(bt_squad_score_v2(set, predictions, &v2, err) == BT_OK);
        }
    }
    bt_squad_answers_free(answers);
    bt_free(predictions);
}

static void cut_and_answer(const bt_squad_set *set, bt_error *err) {
    static const char             pieces[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##c\nthe\ncat\n.\n";
    const bt_squad_window_options options = {LENGTH, 4, 3, false};
    bt_text_vocab                *vocab = NULL;
    bt_text_tokenizer            *tokenizer = NULL;
    bt_squad_windows             *windows = NULL;
    if (bt_text_vocab_parse(&vocab, pieces, sizeof pieces - 1, "v", err) == BT_OK &&
        bt_text_tokenizer_create(&tokenizer, vocab, true, err) == BT_OK &&
        bt_squad_windows_create(&windows, set, tokenizer, &options, err) == BT_OK) {
        answer(windows, set, err);
    }
    bt_squad_windows_free(windows);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_log_setup("fuzz_squad", BT_LOG_TEXT, BT_LOG_ERROR); /* warnings of each input are noise */
    (void)squad_has_unanswered((const char *)data, size);
    for (int use = BT_SQUAD_TRAIN; use <= BT_SQUAD_PREDICT; use++) {
        bt_error     err = BT_ERROR_INIT;
        bt_squad_set set = {0};
        if (bt_squad_parse(&set, (const char *)data, size, "fuzz", (bt_squad_use)use, size % 2 == 1,
                           &err) == BT_OK) {
            cut_and_answer(&set, &err);
        }
        bt_squad_set_deinit(&set);
    }
    return 0;
}
