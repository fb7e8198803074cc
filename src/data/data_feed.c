/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows from memory instead of files: texts, words or questions as a caller has them become the same
 * tokens, in the same batches, as rows of a table, of a file of words or of SQuAD's. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "data_internal.h"

struct bt_data_feed {
    bt_data_feed_config config;
    bt_data_schema      schema; /* as rows are made here: of one sequence, without labels */
    size_t              n_fields;
    data_encoder        encoder;
    bt_text_word_packer packer;
    int32_t            *numbers; /* owned; [2*S] ids and labels, or ids and segments */
    int64_t            *columns; /* owned; [3*S] ids, labels or segments, types (all 0) */
    data_slot           slot;
    bt_str              no_labels; /* an int32_t of 0 a word */
    int64_t             n;         /* rows given */
};

/* What of the schema is about files, sides and labels does not matter here. */
static void adapt_schema(bt_data_feed *feed) {
    bt_data_schema *const      schema = &feed->schema;
    const bt_data_squad *const squad = &schema->squad;
    const bool                 is_squad = squad->vocab_file != NULL;
    schema->pairing = BT_PAIRING_NONE;
    schema->label_kind = schema->words.is_used ? BT_LABEL_TOKENS : BT_LABEL_NONE;
    schema->n_classes = 0;
    schema->weight_field = NULL;
    schema->include_sentence_id = false;
    schema->include_example_id = true;
    schema->text.n_right_fields = 0;
    if (is_squad) { /* one tokenizer, whoever needs it */
        schema->text = (bt_data_text){.vocab_file = squad->vocab_file,
                                      .lower_case = squad->do_lower_case,
                                      .accents = squad->accents,
                                      .chinese_joined = squad->chinese_joined,
                                      .rules = BT_TEXT_PYTHON};
    } else if (schema->words.is_used) {
        schema->text.rules = BT_TEXT_PYTHON;
    }
    feed->n_fields = schema->text.n_fields;
    schema->text.n_fields = is_squad ? 2 : feed->n_fields > 0 ? feed->n_fields : 1;
}

static bt_status make_room(bt_data_feed *feed, bt_error *err) {
    size_t       n = 0;
    const size_t S = (size_t)feed->schema.seq_length;
    if (bt_size_mul(S, 3, &n)) {
        feed->numbers = bt_alloc_array(n, sizeof *feed->numbers);
        feed->columns = bt_calloc_array(n, sizeof *feed->columns);
    }
    return feed->numbers != NULL && feed->columns != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for a row of seq_length %zu", S);
}

static bt_status set_up(bt_data_feed *feed, bt_error *err) {
    adapt_schema(feed);
    BT_TRY(data_encoder_init(&feed->encoder, &feed->schema, feed->config.section, err));
    BT_TRY(make_room(feed, err));
    if (feed->schema.words.is_used) {
        BT_TRY(bt_text_word_packer_init(&feed->packer, feed->encoder.tokenizer,
                                        feed->schema.seq_length, err));
    }
    return data_slot_init(&feed->slot, &feed->schema, feed->config.n_rows, err);
}

bt_status bt_data_feed_create(const bt_data_feed_config *config, bt_data_feed **out,
                              bt_error *err) {
    bt_data_feed *const feed = bt_calloc_array(1, sizeof *feed);
    if (feed == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for rows");
    }
    feed->config = *config;
    feed->schema = *config->schema;
    const bt_status rc = set_up(feed, err);
    if (rc != BT_OK) {
        bt_data_feed_free(feed);
        return rc;
    }
    *out = feed;
    return BT_OK;
}

void bt_data_feed_free(bt_data_feed *feed) {
    if (feed == NULL) {
        return;
    }
    data_slot_deinit(&feed->slot);
    data_encoder_deinit(&feed->encoder);
    bt_str_deinit(&feed->no_labels);
    bt_free(feed->numbers);
    bt_free(feed->columns);
    bt_free(feed);
}

size_t bt_data_feed_least_texts(const bt_data_feed *feed) {
    return feed->n_fields > 0 ? feed->n_fields : 1;
}

size_t bt_data_feed_most_texts(const bt_data_feed *feed) {
    const int64_t n_types = feed->schema.type_vocab_size;
    return feed->n_fields > 0 ? feed->n_fields : n_types > 1 ? 2 : 1;
}

bt_status bt_data_feed_flush(bt_data_feed *feed, bt_error *err) {
    if (feed->slot.n_rows == 0) {
        return BT_OK;
    }
    data_slot_finish(&feed->slot, &feed->schema);
    const bt_status rc = feed->config.take(feed->config.context, &feed->slot.batch, err);
    data_slot_clear(&feed->slot);
    return rc;
}

static bt_status append(bt_data_feed *feed, const data_row *row, bt_error *err) {
    BT_TRY(data_slot_append(&feed->slot, &feed->schema, row, err));
    feed->n++;
    return feed->slot.n_rows == feed->slot.cap_rows ? bt_data_feed_flush(feed, err) : BT_OK;
}

bt_status bt_data_feed_texts(bt_data_feed *feed, const bt_text_span *texts, size_t n,
                             bt_error *err) {
    data_row row = {.example_id = feed->n};
    BT_ASSERT(n >= bt_data_feed_least_texts(feed) && n <= bt_data_feed_most_texts(feed));
    feed->schema.text.n_fields = n;
    BT_TRY(data_encode(&feed->encoder, texts, &row, err));
    return append(feed, &row, err);
}

/* What the packer filled becomes a row: n tokens, and what stands beside each of them. */
static bt_status append_numbers(bt_data_feed *feed, size_t n, data_row *row, bt_error *err) {
    const size_t S = (size_t)feed->schema.seq_length;
    for (size_t t = 0; t < n; t++) {
        feed->columns[t] = feed->numbers[t];
        feed->columns[S + t] = feed->numbers[S + t];
    }
    row->n = (int64_t)n;
    row->ids = feed->columns;
    return append(feed, row, err);
}

static bt_status take_sequence(void *context, size_t n, int64_t number, bt_error *err) {
    bt_data_feed *const feed = context;
    const int64_t       S = feed->schema.seq_length;
    data_row            row = {
                   .types = feed->columns + 2 * S, .token_labels = feed->columns + S, .example_id = feed->n};
    (void)number;
    return append_numbers(feed, n, &row, err);
}

bt_status bt_data_feed_words(bt_data_feed *feed, const char *words, size_t n_bytes, bt_error *err) {
    const int32_t           zero = 0;
    const bt_text_word_room room = {.scratch = feed->encoder.scratch,
                                    .ids = feed->numbers,
                                    .labels = feed->numbers + feed->schema.seq_length,
                                    .take = take_sequence,
                                    .context = feed};
    bt_str_clear(&feed->no_labels);
    for (size_t i = 0; i < n_bytes; i++) {
        if (words[i] == '\n') {
            BT_TRY(bt_str_append_n(&feed->no_labels, &zero, sizeof zero, err));
        }
    }
    return n_bytes == 0 ? BT_OK
                        : bt_text_pack_words(&feed->packer, &room, words, n_bytes,
                                             bt_str_text(&feed->no_labels), err);
}

bt_status bt_data_feed_make_windows(bt_data_feed *feed, const bt_squad_set *set,
                                    bt_squad_windows **out, bt_error *err) {
    const bt_squad_window_options options = {.max_seq_length = feed->schema.seq_length,
                                             .doc_stride = feed->schema.squad.doc_stride,
                                             .max_query_length =
                                                 feed->schema.squad.max_query_length};
    return bt_squad_windows_create(out, set, feed->encoder.tokenizer, &options, err);
}

bt_status bt_data_feed_windows(bt_data_feed *feed, const bt_squad_windows *windows, bt_error *err) {
    const int64_t S = feed->schema.seq_length;
    for (int64_t i = 0; i < bt_squad_n_windows(windows); i++) {
        const int64_t n = bt_squad_window_tokens(windows, i, feed->numbers, feed->numbers + S);
        data_row      row = {.types = feed->columns + S, .example_id = i};
        BT_TRY(append_numbers(feed, (size_t)n, &row, err));
    }
    return bt_data_feed_flush(feed, err);
}
