/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.json as Hugging Face's library tokenizers reads it: what the tokenizer here makes of a
 * text, that one makes too. Special pieces are added tokens there only where the vocabulary here
 * says that they are found in texts: added tokens are never letters. */
#include <inttypes.h>

#include "bt/base/json_text.h"
#include "text_internal.h"

static bt_status put_added(const bt_text_vocab *vocab, bt_str *out, bt_error *err) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    size_t                   n = 0;
    const text_added *const  added = text_vocab_added(vocab, &n);
    BT_TRY(bt_str_append(out, " \"added_tokens\": [", err));
    for (size_t i = 0; i < n; i++) {
        bool is_special = false;
        for (size_t j = 0; j < BT_ARRAY_LEN(special); j++) {
            is_special = is_special || bt_str_equal(added[i].text, special[j]);
        }
        BT_TRY(bt_str_appendf(
            out, err, "%s\n  {\"id\": %" PRId32 ", \"content\": ", i > 0 ? "," : "", added[i].id));
        BT_TRY(bt_str_append_json(out, added[i].text, err));
        BT_TRY(bt_str_appendf(out, err,
                              ", \"single_word\": %s, \"lstrip\": false, \"rstrip\": false, "
                              "\"normalized\": %s, \"special\": %s}",
                              added[i].single_word ? "true" : "false",
                              added[i].is_raw ? "false" : "true", is_special ? "true" : "false"));
    }
    return bt_str_append(out, n > 0 ? "\n ],\n" : "],\n", err);
}

static bt_status put_treatment(const bt_text_options *options, bt_str *out, bt_error *err) {
    const char *const accents = options->accents == BT_TEXT_ACCENTS_BY_CASE ? "null"
                                : options->accents == BT_TEXT_ACCENTS_KEPT  ? "false"
                                                                            : "true";
    return bt_str_appendf(
        out, err,
        " \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, "
        "\"handle_chinese_chars\": %s, \"strip_accents\": %s, \"lowercase\": %s},\n"
        " \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"},\n",
        options->chinese_joined ? "false" : "true", accents,
        options->do_lower_case ? "true" : "false");
}

/* [CLS] a [SEP], [CLS] a [SEP] b [SEP] */
static bt_status put_template(int32_t cls, int32_t sep, bt_str *out, bt_error *err) {
#define SPECIAL(id, type) "{\"SpecialToken\": {\"id\": \"" id "\", \"type_id\": " type "}}"
#define TEXT(id, type) "{\"Sequence\": {\"id\": \"" id "\", \"type_id\": " type "}}"
#define SINGLE SPECIAL("[CLS]", "0") ", " TEXT("A", "0") ", " SPECIAL("[SEP]", "0")
    return bt_str_appendf(out, err,
                          " \"post_processor\": {\"type\": \"TemplateProcessing\",\n"
                          "  \"single\": [" SINGLE "],\n"
                          "  \"pair\": [" SINGLE ", " TEXT("B", "1") ", " SPECIAL(
                              "[SEP]", "1") "],\n"
                                            "  \"special_tokens\": {\n"
                                            "   \"[CLS]\": {\"id\": \"[CLS]\", \"ids\": [%" PRId32
                                            "], \"tokens\": [\"[CLS]\"]},\n"
                                            "   \"[SEP]\": {\"id\": \"[SEP]\", \"ids\": [%" PRId32
                                            "], \"tokens\": [\"[SEP]\"]}}},\n",
                          cls, sep);
#undef SINGLE
#undef TEXT
#undef SPECIAL
}

/* A piece that stands twice has the number of the last line, as in the vocabulary. */
static bt_status put_pieces(const bt_text_vocab *vocab, bt_str *out, bt_error *err) {
    bool is_first = true;
    for (int32_t i = 0; i < bt_text_vocab_size(vocab); i++) {
        size_t            n = 0;
        int32_t           id = -1;
        const char *const piece = bt_text_vocab_piece(vocab, i, &n);
        if (n == 0 || !bt_text_vocab_find(vocab, piece, n, &id) || id != i) {
            continue;
        }
        BT_TRY(bt_str_append(out, is_first ? "\n   " : ",\n   ", err));
        BT_TRY(bt_str_append_json(out, piece, err));
        BT_TRY(bt_str_appendf(out, err, ": %" PRId32, i));
        is_first = false;
    }
    return BT_OK;
}

bt_status bt_text_write_tokenizer_json(const bt_text_vocab *vocab, const bt_text_options *options,
                                       int64_t max_length, bt_str *out, bt_error *err) {
    int32_t cls = 0;
    int32_t sep = 0;
    int32_t pad = 0;
    if (!bt_text_vocab_find(vocab, "[CLS]", 5, &cls) ||
        !bt_text_vocab_find(vocab, "[SEP]", 5, &sep)) {
        return BT_FAIL(err, BT_E_FORMAT, "the vocabulary has no [CLS] or no [SEP]");
    }
    if (!bt_text_vocab_find(vocab, "[PAD]", 5, &pad)) {
        pad = 0; /* what fills up by Python's rules */
    }
    BT_TRY(
        bt_str_appendf(out, err,
                       "{\n \"version\": \"1.0\",\n"
                       " \"truncation\": {\"direction\": \"Right\", \"max_length\": %" PRId64 ", "
                       "\"strategy\": \"LongestFirst\", \"stride\": 0},\n"
                       " \"padding\": {\"strategy\": \"BatchLongest\", \"direction\": \"Right\", "
                       "\"pad_to_multiple_of\": null, \"pad_id\": %" PRId32 ", \"pad_type_id\": 0, "
                       "\"pad_token\": \"[PAD]\"},\n",
                       max_length, pad));
    BT_TRY(put_added(vocab, out, err));
    BT_TRY(put_treatment(options, out, err));
    BT_TRY(put_template(cls, sep, out, err));
    BT_TRY(bt_str_appendf(
        out, err,
        " \"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true},\n"
        " \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", "
        "\"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": %" PRIu32 ",\n"
        "  \"vocab\": {",
        text_vocab_rules(vocab) == BT_TEXT_TF ? (uint32_t)TEXT_WORD_MAX_BYTES
                                              : text_vocab_longest_word(vocab)));
    BT_TRY(put_pieces(vocab, out, err));
    return bt_str_append(out, "\n  }\n }\n}\n", err);
}

bool bt_text_vocab_finds_special(const bt_text_vocab *vocab) {
    size_t n = 0;
    (void)text_vocab_added(vocab, &n);
    return n > 0;
}
