/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of the tokenizer: tokenizer.json holds all of it, tokenizer_config.json tells
 * transformers to take it as it is, vocab.txt is for programs that read only that. */
#include <inttypes.h>

#include <string.h>

#include "bt/base/log.h"
#include "export_internal.h"

/* BertTokenizer of transformers 5 would build another tokenizer from the vocabulary, with words of
 * at most 100 characters. */
#define AS_IT_IS "PreTrainedTokenizerFast"

static const char *flag(bool value) {
    return value ? "true" : "false";
}

static bt_status put_json(const bt_export_text *text, bt_export_folder *folder, bt_error *err) {
    bt_str    json = BT_STR_INIT;
    bt_status rc =
        bt_text_write_tokenizer_json(text->vocab, &text->options, text->max_length, &json, err);
    if (rc == BT_OK) {
        rc = export_folder_put(folder, "tokenizer.json", &json, err);
    }
    bt_str_deinit(&json);
    return rc;
}

/* The special tokens that the vocabulary has: others would be added to it. */
static bt_status put_special(const bt_text_vocab *vocab, bt_str *out, bt_error *err) {
    static const struct {
        const char *key;
        const char *piece;
    } rows[] = {{"unk_token", "[UNK]"},
                {"sep_token", "[SEP]"},
                {"pad_token", "[PAD]"},
                {"cls_token", "[CLS]"},
                {"mask_token", "[MASK]"}};
    bool is_first = true;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        int32_t id = 0;
        if (bt_text_vocab_find(vocab, rows[i].piece, strlen(rows[i].piece), &id)) {
            BT_TRY(bt_str_appendf(out, err, "%s  \"%s\": \"%s\"", is_first ? "" : ",\n",
                                  rows[i].key, rows[i].piece));
            is_first = false;
        }
    }
    return BT_OK;
}

static bt_status make_config(const bt_export_text *text, bt_str *out, bt_error *err) {
    const bt_text_options *const options = &text->options;
    BT_TRY(bt_str_appendf(
        out, err,
        "{\n  \"tokenizer_class\": \"" AS_IT_IS "\",\n"
        "  \"model_input_names\": [\"input_ids\", \"token_type_ids\", \"attention_mask\"],\n"
        "  \"model_max_length\": %" PRId64 ",\n  \"do_lower_case\": %s,\n"
        "  \"strip_accents\": %s,\n  \"tokenize_chinese_chars\": %s,\n"
        "  \"split_special_tokens\": %s,\n  \"clean_up_tokenization_spaces\": true,\n",
        text->max_length, flag(options->do_lower_case),
        options->accents == BT_TEXT_ACCENTS_BY_CASE
            ? "null"
            : flag(options->accents == BT_TEXT_ACCENTS_STRIPPED),
        flag(!options->chinese_joined), flag(!bt_text_vocab_finds_special(text->vocab))));
    BT_TRY(put_special(text->vocab, out, err));
    return bt_str_append(out, "\n}\n", err);
}

static bt_status put_config(const bt_export_text *text, bt_export_folder *folder, bt_error *err) {
    bt_str    out = BT_STR_INIT;
    bt_status rc = make_config(text, &out, err);
    if (rc == BT_OK) {
        rc = export_folder_put(folder, "tokenizer_config.json", &out, err);
    }
    bt_str_deinit(&out);
    return rc;
}

static bt_status put_map(const bt_export_text *text, bt_export_folder *folder, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    out = BT_STR_INIT;
    BT_CHECK(bt_str_append(&out, "{\n", err));
    BT_CHECK(put_special(text->vocab, &out, err));
    BT_CHECK(bt_str_append(&out, "\n}\n", err));
    BT_CHECK(export_folder_put(folder, "special_tokens_map.json", &out, err));
done:
    bt_str_deinit(&out);
    return rc;
}

static bt_status put_vocab(const bt_text_vocab *vocab, bt_export_folder *folder, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    out = BT_STR_INIT;
    for (int32_t i = 0; i < bt_text_vocab_size(vocab); i++) {
        BT_CHECK(bt_str_append(&out, bt_text_vocab_piece(vocab, i, NULL), err));
        BT_CHECK(bt_str_append_char(&out, '\n', err));
    }
    BT_CHECK(export_folder_put(folder, "vocab.txt", &out, err));
done:
    bt_str_deinit(&out);
    return rc;
}

bt_status export_put_tokenizer(const bt_export_source *source, bt_export_folder *folder,
                               bt_error *err) {
    const bt_export_text *const text = &source->text;
    if (text->vocab == NULL) {
        bt_log(BT_LOG_WARNING,
               "the model was trained on tokens, and nothing says which vocabulary made them: "
               "there is no tokenizer in the export (task.train_data.vocab_file=vocab.txt and, "
               "where the case was kept, task.train_data.lower_case=false give it one)");
        return BT_OK;
    }
    if (text->rules == BT_TEXT_TF) {
        bt_log(BT_LOG_WARNING,
               "the model was trained with the tokenizer of tensorflow-text (text_rules), of which "
               "tokenizer.json can say all but its case folding: texts with characters like "
               "U+00DF, U+FB01 or U+FF21 become other tokens there");
    }
    BT_TRY(put_json(text, folder, err));
    BT_TRY(put_config(text, folder, err));
    BT_TRY(put_map(text, folder, err));
    return put_vocab(text->vocab, folder, err);
}
