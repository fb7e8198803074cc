/* SPDX-License-Identifier: Apache-2.0
 *
 * What a table's texts are, counted while its rows are taken apart for the first time: rows without
 * text, tokens that seq_length cuts off, [UNK], and a name of each row's texts by which two
 * sections are compared. Tokens are counted of the first rows only, so that a run on millions of
 * rows starts as fast as before. */
#include "data_census.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_ROWS = 1000, SAMPLE_BYTES = 1 << 20 };

void bt_data_census_deinit(data_census *census) {
    bt_free(census->names);
    *census = (data_census){0};
}

/* ---- counting ----------------------------------------------------------------------------------
 */

static bool is_blank(bt_text_span text) {
    for (size_t i = 0; i < text.n_bytes; i++) {
        if (strchr(" \t\r\n", text.text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* FNV-1a of 64 bits, with the texts' lengths: "ab","c" is not "a","bc". Never 0. */
static uint64_t name_of(const bt_text_span *texts, size_t n) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < texts[t].n_bytes; i++) {
            h = (h ^ (unsigned char)texts[t].text[i]) * UINT64_C(1099511628211);
        }
        h = (h ^ texts[t].n_bytes) * UINT64_C(1099511628211);
    }
    return h | 1;
}

static bt_status put_name(data_census *census, uint64_t name, bt_error *err) {
    BT_TRY(bt_grow(&census->names, &census->cap, census->n + 1, sizeof *census->names,
                   SIZE_MAX / 16, err));
    census->names[census->n++] = name;
    return BT_OK;
}

static bt_status count_tokens(data_census *census, data_encoder *encoder, const bt_text_span *texts,
                              bt_error *err) {
    const bt_data_schema *const schema = encoder->schema;
    bt_data_census *const       facts = &census->facts;
    int64_t                     n_marks = 1; /* [CLS], and a [SEP] behind each text */
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

static bt_status begin(data_census *census, const data_encoder *encoder, bt_error *err) {
    const bool is_there = bt_text_vocab_find(encoder->vocab, "[UNK]", 5, &census->unknown);
    BT_ASSERT(is_there); /* the tokenizer was made */
    census->facts.letters = bt_text_vocab_case(encoder->vocab);
    census->facts.lower_case = encoder->schema->text.lower_case;
    census->facts.vocab_file = encoder->schema->text.vocab_file;
    return is_there ? BT_OK : BT_FAIL(err, BT_E_INTERNAL, "a tokenizer without [UNK]");
}

bt_status bt_data_census_add(data_census *census, data_encoder *encoder, const bt_text_span *texts,
                             const char *path, int64_t line, bt_error *err) {
    const size_t          n = encoder->schema->text.n_fields;
    bt_data_census *const facts = &census->facts;
    bool                  is_empty = false;
    if (facts->n_rows == 0) {
        BT_TRY(begin(census, encoder, err));
    }
    for (size_t t = 0; t < n; t++) {
        is_empty = is_empty || is_blank(texts[t]);
    }
    if (is_empty && facts->n_without_text == 0) {
        (void)snprintf(facts->first_without_text, sizeof facts->first_without_text, "%s:%" PRId64,
                       path, line);
    }
    facts->n_without_text += is_empty ? 1 : 0;
    facts->n_rows++;
    if (encoder->schema->label_kind != BT_LABEL_NONE) {
        BT_TRY(put_name(census, name_of(texts, n), err));
    }
    return facts->n_sampled < SAMPLE_ROWS && census->n_sampled_bytes < SAMPLE_BYTES
               ? count_tokens(census, encoder, texts, err)
               : BT_OK;
}

bt_status bt_data_census_skip(data_census *census, bt_error *err) {
    return put_name(census, 0, err);
}

/* ---- comparing ---------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b) {
    const uint64_t *const x = a;
    const uint64_t *const y = b;
    return (*x > *y) - (*x < *y);
}

bt_status data_census_shared(const data_census *of, const data_census *among, int64_t *n,
                             int64_t *first, bt_error *err) {
    *n = 0;
    *first = -1;
    if (of->n == 0 || among->n == 0) {
        return BT_OK;
    }
    uint64_t *const sorted = bt_alloc_array(among->n, sizeof *sorted);
    if (sorted == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a comparison of %zu rows", among->n);
    }
    memcpy(sorted, among->names, among->n * sizeof *sorted);
    qsort(sorted, among->n, sizeof *sorted, compare_names);
    for (size_t i = 0; i < of->n; i++) {
        if (of->names[i] != 0 &&
            bsearch(&of->names[i], sorted, among->n, sizeof *sorted, compare_names) != NULL) {
            *first = *n == 0 ? (int64_t)i : *first;
            *n += 1;
        }
    }
    bt_free(sorted);
    return BT_OK;
}
