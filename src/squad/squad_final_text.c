/* SPDX-License-Identifier: Apache-2.0
 *
 * From predicted word pieces back to a part of the original text (squad_lib's get_final_text): the
 * original is tokenised again; where that only adds spaces, characters correspond one to one. */
#include <string.h>

#include "squad_internal.h"

/* " ".join of the basic tokenizer's words, at the end of out. */
static bt_status join_tokens(bt_text_scratch *scratch, bt_squad_text text, bool do_lower_case,
                             bt_str *out, bt_error *err) {
    const bt_text_word *words = NULL;
    size_t              n = 0;
    BT_TRY(bt_text_split_words(scratch, text.bytes, text.n_bytes, do_lower_case, true, &words, &n,
                               err));
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            BT_TRY(bt_str_append_char(out, ' ', err));
        }
        BT_TRY(bt_str_append_n(out, words[i].bytes, words[i].n_bytes, err));
    }
    return BT_OK;
}

static bool is_codepoint_start(char c) {
    return ((unsigned char)c & 0xC0) != 0x80;
}

/* Characters that are not a space (U+0020 only). */
static size_t count_visible(const char *text, size_t n_bytes) {
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        n += is_codepoint_start(text[i]) && text[i] != ' ' ? 1 : 0;
    }
    return n;
}

/* Byte where visible character `number` begins; n_bytes after the last. */
static size_t visible_at(const char *text, size_t n_bytes, size_t number) {
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        if (is_codepoint_start(text[i]) && text[i] != ' ' && n++ == number) {
            return i;
        }
    }
    return n_bytes;
}

/* The original between the characters that stand at the ends of tokens[at, at + n). */
static bt_squad_text project(bt_squad_text original, const char *tokens, size_t at, size_t n) {
    const size_t first = count_visible(tokens, at);
    const size_t last = first + count_visible(tokens + at, n) - 1;
    const size_t begin = visible_at(original.bytes, original.n_bytes, first);
    size_t       end = visible_at(original.bytes, original.n_bytes, last) + 1;
    while (end < original.n_bytes && !is_codepoint_start(original.bytes[end])) {
        end++;
    }
    return (bt_squad_text){original.bytes + begin, end - begin};
}

bt_status bt_squad_final_text(bt_text_scratch *scratch, bt_squad_text predicted,
                              bt_squad_text original, bool do_lower_case, bt_str *out,
                              bt_error *err) {
    bt_squad_text answer = original;
    bt_str        tokens = BT_STR_INIT;
    bt_status     rc = BT_OK;
    if (predicted.n_bytes > 0 && predicted.bytes[0] != ' ' &&
        predicted.bytes[predicted.n_bytes - 1] != ' ') { /* at a space no character stands */
        BT_CHECK(join_tokens(scratch, original, do_lower_case, &tokens, err));
        const char *const joined = bt_str_text(&tokens);
        const int64_t     at = squad_find(joined, tokens.len, predicted.bytes, predicted.n_bytes);
        if (at >= 0 &&
            count_visible(joined, tokens.len) == count_visible(original.bytes, original.n_bytes)) {
            answer = project(original, joined, (size_t)at, predicted.n_bytes);
        }
    }
    rc = bt_str_append_n(out, answer.bytes, answer.n_bytes, err);
done:
    bt_str_deinit(&tokens);
    return rc;
}
