/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts of a row -> its tokens, by either set of rules (bt/text.h). The vocabulary is checked
 * once against the model, so that no row can fail but for want of memory. */
#include <inttypes.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "data_internal.h"

static bt_status check_text(const bt_data_schema *schema, const char *section, bt_error *err) {
    const bt_data_text *const text = &schema->text;
    const char *const         key = text->key != NULL ? text->key : "text_fields";
    if (text->n_fields > BT_DATA_MAX_TEXTS ||
        (text->rules == BT_TEXT_PYTHON && text->n_fields > 2)) {
        return BT_FAIL(err, BT_E_CONFIG, "%s.%s: expected at most %d fields, got %zu", section, key,
                       text->rules == BT_TEXT_PYTHON ? 2 : BT_DATA_MAX_TEXTS, text->n_fields);
    }
    if ((int64_t)text->n_fields > schema->type_vocab_size) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.%s has %zu fields, but the model's type_vocab_size is %" PRId64
                       ": each text needs a segment type of its own",
                       section, key, text->n_fields, schema->type_vocab_size);
    }
    if (schema->seq_length < (int64_t)text->n_fields + 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.seq_length is %" PRId64 ": [CLS] and a [SEP] for each text need %zu",
                       section, schema->seq_length, text->n_fields + 1);
    }
    return BT_OK;
}

bt_status data_load_vocab(const data_vocab_wish *wish, bt_text_vocab **vocab,
                          bt_text_tokenizer **tokenizer, bt_error *err) {
    BT_TRY(bt_text_vocab_load_as(vocab, wish->path, wish->rules, err));
    BT_TRY(bt_text_vocab_check(*vocab, wish->path, wish->vocab_size, err));
    const bt_status rc = bt_text_tokenizer_create_as(tokenizer, *vocab, &wish->options, err);
    return rc == BT_E_FORMAT ? bt_error_prefix(err, "%s", wish->path) : rc;
}

static bt_status load_vocab(data_encoder *encoder, const char *section, bt_error *err) {
    const bt_data_text *const text = &encoder->schema->text;
    const data_vocab_wish     wish = {.path = text->vocab_file,
                                      .rules = text->rules,
                                      .vocab_size = encoder->schema->vocab_size,
                                      .options = {.do_lower_case = text->lower_case,
                                                  .accents = text->accents,
                                                  .chinese_joined = text->chinese_joined}};
    if (text->vocab_file == NULL || text->vocab_file[0] == '\0') {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.vocab_file is empty, and raw text needs the vocabulary that the model "
                       "was trained with",
                       section);
    }
    const bt_status rc = data_load_vocab(&wish, &encoder->vocab, &encoder->tokenizer, err);
    return rc == BT_OK
               ? rc
               : bt_error_prefix(err, "%s%s", section, rc == BT_E_UNSUPPORTED ? "" : ".vocab_file");
}

bt_status data_encoder_init(data_encoder *encoder, const bt_data_schema *schema,
                            const char *section, bt_error *err) {
    *encoder = (data_encoder){.schema = schema};
    BT_TRY(check_text(schema, section, err));
    BT_TRY(load_vocab(encoder, section, err));
    BT_TRY(bt_text_scratch_create(&encoder->scratch, err));
    size_t n = 0;
    if (!bt_size_mul((size_t)schema->seq_length, 2, &n) ||
        (encoder->ids = bt_alloc_array(n, sizeof *encoder->ids)) == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a row of seq_length %" PRId64,
                       schema->seq_length);
    }
    encoder->types = encoder->ids + schema->seq_length;
    return BT_OK;
}

void data_encoder_deinit(data_encoder *encoder) {
    bt_text_scratch_free(encoder->scratch);
    bt_text_tokenizer_free(encoder->tokenizer);
    bt_text_vocab_free(encoder->vocab);
    bt_free(encoder->ids);
    *encoder = (data_encoder){0};
}

bt_status data_encode(data_encoder *encoder, const bt_text_span *texts, data_row *row,
                      bt_error *err) {
    const bt_data_schema *const schema = encoder->schema;
    const size_t                n_texts = schema->text.n_fields;
    bt_text_pair                pair;
    if (schema->text.rules == BT_TEXT_TF) {
        BT_TRY(bt_text_pack(encoder->tokenizer, encoder->scratch, texts, n_texts,
                            schema->seq_length, &pair, err));
    } else {
        const bt_text_span b = n_texts > 1 ? texts[1] : (bt_text_span){0};
        BT_TRY(bt_text_encode_pair(encoder->tokenizer, encoder->scratch, texts[0].text,
                                   texts[0].n_bytes, b.text, b.n_bytes, schema->seq_length, &pair,
                                   err));
    }
    for (size_t i = 0; i < pair.n; i++) {
        encoder->ids[i] = pair.ids[i];
        encoder->types[i] = pair.segments[i];
    }
    row->n = (int64_t)pair.n;
    row->ids = encoder->ids;
    row->types = encoder->types;
    row->mask = NULL;
    row->pad_id = bt_text_tokenizer_pad_id(encoder->tokenizer);
    return BT_OK;
}
