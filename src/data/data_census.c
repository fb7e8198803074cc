/* SPDX-License-Identifier: Apache-2.0
 *
 * What a table's texts are, counted while its rows are parsed for the first time: rows without
 * text, tokens that seq_length cuts off, [UNK], and a name of each row's texts by which two
 * sections are compared. Tokens are counted of the first rows only, so that a run on millions of
 * rows starts as fast as before. */
#include "data_census.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLE_BYTES = 1 << 20 };

void data_census_deinit(data_census *census) {
    data_names_deinit(&census->names);
    *census = (data_census){0};
}

bool data_is_blank(const char *text, size_t n) {
    size_t i = 0;
    while (i < n && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n')) {
        i++;
    }
    return i == n;
}

uint64_t data_census_name(const bt_text_span *texts, size_t n) {
    uint64_t name = 0;
    for (size_t t = 0; t < n; t++) {
        name = data_name_add(name, texts[t].text, texts[t].n_bytes);
    }
    return name;
}

bt_status data_census_sample(data_census *census, data_encoder *encoder, const bt_text_span *texts,
                             bt_error *err) {
    const bt_data_schema *const schema = encoder->schema;
    bt_data_census *const       facts = &census->facts;
    int64_t                     n_marks = 1; /* [CLS], and a [SEP] after each text */
    int64_t                     n_pieces = 0;
    for (size_t t = 0; t < schema->text.n_fields; t++) {
        const int32_t *ids = NULL;
        size_t         n = 0;
        BT_TRY(bt_text_encode(encoder->tokenizer, encoder->scratch, texts[t].text, texts[t].n_bytes,
                              &ids, &n, err));
        for (size_t i = 0; i < n; i++) {
            facts->n_unknown += ids[i] == census->unknown ? 1 : 0;
        }
        n_pieces += (int64_t)n;
        n_marks += schema->text.rules == BT_TEXT_TF || t == 0 || n > 0 ? 1 : 0;
        census->n_sampled_bytes += (int64_t)texts[t].n_bytes;
    }
    const int64_t room = schema->seq_length - n_marks;
    facts->n_tokens += n_pieces;
    facts->n_lost += n_pieces > room ? n_pieces - room : 0;
    facts->n_cut += n_pieces > room ? 1 : 0;
    facts->n_sampled++;
    return BT_OK;
}

bt_status data_census_begin(data_census *census, const char *unit, const char *lack,
                            const bt_text_vocab *vocab, const bt_data_schema *schema,
                            bt_error *err) {
    const bool is_there = bt_text_vocab_find(vocab, "[UNK]", 5, &census->unknown);
    BT_ASSERT(is_there); /* the tokenizer was made */
    census->facts.unit = unit;
    census->facts.lack = lack;
    census->facts.letters = bt_text_vocab_case(vocab);
    census->facts.case_key = "lower_case";
    census->facts.lower_case = schema->text.lower_case;
    census->facts.vocab_file = schema->text.vocab_file;
    return is_there ? BT_OK : BT_FAIL(err, BT_E_INTERNAL, "a tokenizer without [UNK]");
}

void data_census_miss(bt_data_census *facts, const char *path, int64_t line) {
    if (facts->n_without_text++ == 0) {
        (void)snprintf(facts->first_without_text, sizeof facts->first_without_text, "%s:%" PRId64,
                       path, line);
    }
}

bt_status data_census_begin_rows(data_census *census, const data_encoder *encoder, bt_error *err) {
    return data_census_begin(census, "row", "have an empty text", encoder->vocab, encoder->schema,
                             err);
}

bool data_census_names(const bt_data_schema *schema) {
    return schema->label_kind != BT_LABEL_NONE || schema->is_compared;
}

bool data_census_wants(const data_census *census) {
    return census->facts.n_sampled < DATA_CENSUS_SAMPLE && census->n_sampled_bytes < SAMPLE_BYTES;
}

bt_status data_census_add(data_census *census, data_encoder *encoder, const bt_text_span *texts,
                          const char *path, size_t part, int64_t line, bt_error *err) {
    const size_t          n = encoder->schema->text.n_fields;
    bt_data_census *const facts = &census->facts;
    bool                  is_empty = false;
    if (facts->n_rows == 0) {
        BT_TRY(data_census_begin_rows(census, encoder, err));
    }
    for (size_t t = 0; t < n; t++) {
        is_empty = is_empty || data_is_blank(texts[t].text, texts[t].n_bytes);
    }
    if (is_empty) {
        census->first_part = facts->n_without_text == 0 ? part : census->first_part;
        census->first_line = facts->n_without_text == 0 ? line : census->first_line;
        data_census_miss(facts, path, line);
    }
    facts->n_rows++;
    if (data_census_names(encoder->schema)) {
        BT_TRY(data_names_put(&census->names, data_census_name(texts, n), err));
    }
    return data_census_wants(census) ? data_census_sample(census, encoder, texts, err) : BT_OK;
}
