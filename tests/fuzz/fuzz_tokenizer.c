/* SPDX-License-Identifier: Apache-2.0
 *
 * A vocabulary and a text, in memory: the first byte gives the rules, the vocabulary ends at the
 * first NUL. Every id that comes out is one of the vocabulary's. */
#include <stdlib.h>
#include <string.h>

#include "bt/text.h"
#include "fuzz_targets.h"

static bt_status encode(const bt_text_vocab *vocab, bool lower, const char *text, size_t n,
                        bt_error *err) {
    bt_status          rc = BT_OK;
    bt_text_tokenizer *tokenizer = NULL;
    bt_text_scratch   *scratch = NULL;
    const int32_t     *ids = NULL;
    size_t             n_ids = 0;
    BT_CHECK(bt_text_tokenizer_create(&tokenizer, vocab, lower, err));
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(bt_text_encode(tokenizer, scratch, text, n, &ids, &n_ids, err));
    for (size_t i = 0; i < n_ids; i++) {
        size_t n_piece = 0;
        if (ids[i] < 0 || ids[i] >= bt_text_vocab_size(vocab) ||
            strlen(bt_text_vocab_piece(vocab, ids[i], &n_piece)) > n_piece) {
            abort();
        }
    }
done:
    bt_text_scratch_free(scratch);
    bt_text_tokenizer_free(tokenizer);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_error       err = BT_ERROR_INIT;
    bt_text_vocab *vocab = NULL;
    if (size < 2) {
        return 0;
    }
    const bt_text_rules  rules = (data[0] & 1) != 0 ? BT_TEXT_TF : BT_TEXT_PYTHON;
    const uint8_t *const nul = memchr(data + 1, 0, size - 1);
    const uint8_t *const text = nul != NULL ? nul + 1 : data + size;
    const size_t         n_vocab = (size_t)((nul != NULL ? nul : data + size) - (data + 1));
    bt_status rc = bt_text_vocab_parse_as(&vocab, data + 1, n_vocab, "vocab.txt", rules, &err);
    if (rc == BT_OK) {
        rc = encode(vocab, (data[0] & 2) != 0, (const char *)text, (size_t)(data + size - text),
                    &err);
    }
    if (rc != BT_OK && rc != BT_E_FORMAT && rc != BT_E_NOMEM) {
        abort();
    }
    bt_text_vocab_free(vocab);
    return 0;
}
