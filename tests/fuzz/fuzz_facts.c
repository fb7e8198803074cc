/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies beside weights and says how text is treated: tokenizer.json, tokenizer_config.json,
 * vocab.txt, apart by NULs (an empty one is not there), then a text. A folder that is taken
 * has a vocabulary by which every id of the text is one of its pieces. */
#include <stdio.h>
#include <stdlib.h>

#include "bt/base/log.h"
#include "bt/text.h"
#include "fuzz_file.h"
#include "fuzz_targets.h"

static const char *const names[] = {"facts/tokenizer.json", "facts/tokenizer_config.json",
                                    "facts/vocab.txt"};

static void check(bt_status rc, const bt_error *err) {
    const bool is_meant = rc == BT_OK || rc == BT_E_FORMAT || rc == BT_E_UNSUPPORTED ||
                          rc == BT_E_NOMEM || rc == BT_E_IO;
    if (!is_meant || (rc != BT_OK && err->msg[0] == '\0')) {
        (void)fprintf(stderr, "%d: %s\n", (int)rc, err->msg);
        abort();
    }
}

static bt_status encode(const bt_text_facts *facts, const char *text, size_t n, bt_error *err) {
    bt_status             rc = BT_OK;
    bt_text_vocab        *vocab = NULL;
    bt_text_tokenizer    *tokenizer = NULL;
    bt_text_scratch      *scratch = NULL;
    const int32_t        *ids = NULL;
    size_t                n_ids = 0;
    const bt_text_options options = {.do_lower_case = facts->lower_case > 0,
                                     .accents = facts->strip_accents < 0
                                                    ? BT_TEXT_ACCENTS_BY_CASE
                                                    : (bt_text_accents)(1 + facts->strip_accents),
                                     .chinese_joined = facts->chinese_chars == 0};
    BT_CHECK(bt_text_vocab_load(&vocab, facts->vocab_file, err));
    BT_CHECK(bt_text_tokenizer_create_as(&tokenizer, vocab, &options, err));
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(bt_text_encode(tokenizer, scratch, text, n, &ids, &n_ids, err));
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || ids[i] >= bt_text_vocab_size(vocab)) {
            abort();
        }
    }
done:
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    bt_text_vocab_free(vocab);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_error             err = BT_ERROR_INIT;
    bt_text_facts        facts;
    const char *const    folder = fuzz_folder("facts");
    const uint8_t *const text = fuzz_files(names, BT_ARRAY_LEN(names), data, data + size);
    bt_log_setup("fuzz", BT_LOG_TEXT, BT_LOG_ERROR);
    bt_status rc = bt_text_read_facts(folder, &facts, &err);
    check(rc, &err);
    if (rc != BT_OK) {
        return 0;
    }
    if (facts.lower_case < -1 || facts.lower_case > 1 || facts.strip_accents < -1 ||
        facts.strip_accents > 1 || facts.chinese_chars < -1 || facts.chinese_chars > 1 ||
        facts.max_length < 0) {
        abort();
    }
    if (facts.vocab_file != NULL) {
        rc = encode(&facts, (const char *)text, (size_t)(data + size - text), &err);
        check(rc, &err);
    }
    bt_text_facts_deinit(&facts);
    return 0;
}
