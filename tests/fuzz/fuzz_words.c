/* SPDX-License-Identifier: Apache-2.0
 *
 * Labelled words as files in the wild have them: the first byte says whether the rest is CoNLL
 * (columns chosen, BIO mended) or JSON. A word of CoNLL lies on one line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/text.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

static bt_status read_all(bt_text_word_file *file, bool is_conll, bt_error *err) {
    for (;;) {
        bt_text_word_line word = {0};
        bool              is_break = false;
        bool              end = false;
        BT_TRY(bt_text_word_file_next(file, &word, &is_break, &end, err));
        if (end) {
            return BT_OK;
        }
        const bool holds_break = word.n_word > 0 && memchr(word.word, '\n', word.n_word) != NULL;
        if (!is_break && ((is_conll && holds_break) || (word.label == NULL && word.n_label != 0))) {
            (void)fprintf(stderr, "line %" PRId64 ": %zu bytes, label %d %zu: '%.*s'\n",
                          bt_text_word_file_line(file), word.n_word, word.label != NULL,
                          word.n_label, (int)word.n_word, word.word);
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_error           err = BT_ERROR_INIT;
    bt_text_word_file *file = NULL;
    char               path[4096];
    if (size == 0) {
        return 0;
    }
    const uint8_t           how = data[0];
    const bt_text_word_form form = {.is_conll = true,
                                    .repair_bio = (how & 2) != 0,
                                    .word_column = (how >> 2) & 3,
                                    .label_column =
                                        (how & 16) != 0 ? (how >> 5) & 7 : BT_TEXT_LAST_COLUMN,
                                    .conll_advice = "CONLL",
                                    .columns_advice = "COLUMNS",
                                    .labels_advice = "LABELS"};
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    (void)snprintf(path, sizeof path, "%s",
                   fuzz_file((how & 1) != 0 ? "w.jsonl" : "w.conll", data + 1, size - 1));
    bt_status rc = bt_text_word_file_open(&file, path, &form, &err);
    if (rc == BT_OK) {
        rc = read_all(file, (how & 1) == 0, &err);
    }
    if ((rc != BT_OK && rc != BT_E_FORMAT && rc != BT_E_UNSUPPORTED && rc != BT_E_NOMEM &&
         rc != BT_E_IO) ||
        (rc != BT_OK && err.msg[0] == '\0')) {
        (void)fprintf(stderr, "%d: %s\n", (int)rc, err.msg);
        abort();
    }
    bt_text_word_file_close(file);
    return 0;
}
