/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of words with labels (CoNLL, CoNLL-U, lines of JSON) as rows: the sequences that
 * create-finetuning-data makes records of. They are made once, at open, and kept in a file without
 * a name in TMPDIR; 8 bytes a row stay in memory. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/size.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "data_census.h"

typedef struct words_rows {
    data_rows             base;
    const bt_data_schema *schema; /* borrowed, as the next */
    const char           *section;
    bt_text_vocab        *vocab;
    bt_text_tokenizer    *tokenizer;
    bt_text_scratch      *scratch;
    bt_text_word_packer   packer;
    bt_text_labels        labels;
    bt_fs_scratch        *store;
    int64_t              *places; /* [n_rows] in the store */
    size_t                cap_places;
    int32_t              *numbers;  /* [2*S] ids, then labels, of a sequence in the making */
    int64_t              *columns;  /* [3*S] ids, labels, types (all 0) of the row that is read */
    bt_str                words;    /* of a sentence, an LF after each */
    bt_str                word_ids; /* their labels, int32_t */
    int64_t               sentence_id;
    data_census           census;     /* of sentences */
    int64_t              *tag_counts; /* [labels.n] */
} words_rows;

/* What is before a row's ids and labels in the store. */
typedef struct row_head {
    int64_t n;
    int64_t sentence_id;
    int64_t sub_sentence_id;
    int64_t number; /* of the sentence, through all files: that of its name */
} row_head;

static bt_status read_row(words_rows *rows, int64_t row, row_head *head, bt_error *err) {
    const int64_t S = rows->schema->seq_length;
    const int64_t at = rows->places[row];
    BT_TRY(bt_fs_scratch_read(rows->store, at, head, sizeof *head, err));
    if (head->n < 1 || head->n > S) {
        return BT_FAIL(err, BT_E_RESOURCE, "what was kept of %s in TMPDIR was changed",
                       rows->base.parts[0].path);
    }
    BT_TRY(bt_fs_scratch_read(rows->store, at + (int64_t)sizeof *head, rows->numbers,
                              2 * (size_t)head->n * sizeof *rows->numbers, err));
    for (int64_t t = 0; t < head->n; t++) {
        rows->columns[t] = rows->numbers[t];
        rows->columns[S + t] = rows->numbers[head->n + t];
    }
    return BT_OK;
}

static bt_status append_sequence(data_rows *base, int64_t row, data_slot *slot, bool *is_damaged,
                                 bt_error *err) {
    words_rows *const rows = (words_rows *)base;
    const int64_t     S = rows->schema->seq_length;
    row_head          head = {0};
    *is_damaged = false;
    BT_TRY(read_row(rows, row, &head, err));
    const data_row made = {.n = head.n,
                           .ids = rows->columns,
                           .types = rows->columns + 2 * S,
                           .token_labels = rows->columns + S,
                           .example_id = row,
                           .sentence_id = head.sentence_id,
                           .sub_sentence_id = head.sub_sentence_id};
    return data_slot_append(slot, rows->schema, &made, err);
}

static void close_words(data_rows *base) {
    words_rows *const rows = (words_rows *)base;
    bt_fs_scratch_close(rows->store);
    bt_text_labels_deinit(&rows->labels);
    bt_text_scratch_free(rows->scratch);
    bt_text_tokenizer_free(rows->tokenizer);
    bt_text_vocab_free(rows->vocab);
    bt_str_deinit(&rows->words);
    bt_str_deinit(&rows->word_ids);
    data_census_deinit(&rows->census);
    bt_free(rows->tag_counts);
    bt_free(rows->places);
    bt_free(rows->numbers);
    bt_free(rows->columns);
    data_rows_deinit(base);
    bt_free(rows);
}

static const data_rows_ops words_ops = {.append = append_sequence, .close = close_words};

static bt_status keep_sequence(void *context, size_t n, int64_t number, bt_error *err) {
    words_rows *const rows = context;
    const row_head    head = {(int64_t)n, rows->sentence_id, number,
                              (int64_t)rows->census.names.n - 1};
    const size_t      S = (size_t)rows->schema->seq_length;
    data_part *const  part = &rows->base.parts[rows->base.n_parts - 1];
    bt_data_census   *facts = &rows->census.facts;
    facts->n_divided += number == 1 ? 1 : 0;
    facts->n_tokens += (int64_t)n - 2; /* [CLS], [SEP] */
    for (size_t i = 1; i + 1 < n; i++) {
        facts->n_unknown += rows->numbers[i] == rows->census.unknown ? 1 : 0;
    }
    BT_TRY(bt_grow(&rows->places, &rows->cap_places, (size_t)rows->base.n_rows + 1,
                   sizeof *rows->places, SIZE_MAX / 16, err));
    rows->places[rows->base.n_rows++] = bt_fs_scratch_size(rows->store);
    part->n_rows++;
    BT_TRY(bt_fs_scratch_append(rows->store, &head, sizeof head, err));
    BT_TRY(bt_fs_scratch_append(rows->store, rows->numbers, n * sizeof *rows->numbers, err));
    return bt_fs_scratch_append(rows->store, rows->numbers + S, n * sizeof *rows->numbers, err);
}

static bt_status keep_sentence(words_rows *rows, bt_error *err) {
    const bt_text_word_room room = {.scratch = rows->scratch,
                                    .ids = rows->numbers,
                                    .labels = rows->numbers + rows->schema->seq_length,
                                    .take = keep_sequence,
                                    .context = rows};
    if (rows->words.len == 0) {
        return BT_OK;
    }
    rows->census.facts.n_rows++;
    rows->census.facts.n_sampled++;
    BT_TRY(data_names_put(&rows->census.names,
                          data_name_add(0, bt_str_text(&rows->words), rows->words.len), err));
    data_rows_add_content(&rows->base, rows->words.data, rows->words.len);
    data_rows_add_content(&rows->base, rows->word_ids.data, rows->word_ids.len);
    BT_TRY(bt_text_pack_words(&rows->packer, &room, bt_str_text(&rows->words), rows->words.len,
                              bt_str_text(&rows->word_ids), err));
    rows->sentence_id++;
    bt_str_clear(&rows->words);
    bt_str_clear(&rows->word_ids);
    return BT_OK;
}

static bt_status add_word(words_rows *rows, const bt_text_word_file *file,
                          const bt_text_word_line *word, bt_error *err) {
    int64_t id = 0;
    if (word->label != NULL || rows->schema->words.needs_labels) {
        BT_TRY(bt_text_labels_find(&rows->labels, file, word, &id, err));
    }
    const int32_t label = (int32_t)id;
    rows->tag_counts[label] += word->label != NULL ? 1 : 0;
    rows->census.facts.n_empty_words += word->n_word == 0 ? 1 : 0;
    BT_TRY(bt_str_append_n(&rows->words, word->word, word->n_word, err));
    BT_TRY(bt_str_append_char(&rows->words, '\n', err));
    return bt_str_append_n(&rows->word_ids, &label, sizeof label, err);
}

static bt_status read_file(words_rows *rows, const char *path, bt_error *err) {
    bt_text_word_file *file = NULL;
    bt_status          rc = BT_OK;
    bool               end = false;
    const bool         is_json = bt_text_is_word_json(path);
    BT_TRY(bt_fs_require_file(path, NULL, err));
    BT_TRY(bt_text_word_file_open(&file, path, &rows->schema->words.form, err));
    rows->sentence_id = 0;
    while (!end) {
        bt_text_word_line word = {0};
        bool              is_break = false;
        BT_CHECK(bt_stop_check(err));
        BT_CHECK(bt_text_word_file_next(file, &word, &is_break, &end, err));
        if (is_break && is_json && rows->words.len == 0) { /* of lines, one more empty line */
            rows->census.facts.n_rows++;
            data_census_miss(&rows->census.facts, path, bt_text_word_file_line(file));
        }
        if (end || is_break) {
            BT_CHECK(keep_sentence(rows, err));
        } else {
            BT_CHECK(add_word(rows, file, &word, err));
        }
    }
    bt_text_word_file_tell(file, "the key repair_bio");
done:
    bt_text_word_file_close(file);
    return rc;
}

/* Of each row, or of each sentence by its number through all files. */
typedef struct words_split {
    int64_t *sentence_of; /* [n_rows] */
    bool    *is_used;     /* [sentences] */
} words_split;

static bt_status read_sentences(words_rows *rows, int64_t *sentence_of, bt_error *err) {
    for (int64_t row = 0; row < rows->base.n_rows; row++) {
        row_head head = {0};
        BT_TRY(bt_fs_scratch_read(rows->store, rows->places[row], &head, sizeof head, err));
        sentence_of[row] = head.number;
    }
    return BT_OK;
}

/* Keeps the rows and names of the sentences that are used. */
static bt_status keep_sentences(words_rows *rows, const words_split *split, bt_error *err) {
    int64_t n = 0;
    for (size_t p = 0; p < rows->base.n_parts; p++) {
        data_part *const part = &rows->base.parts[p];
        const int64_t    first = n;
        for (int64_t row = part->first; row < part->first + part->n_rows; row++) {
            if (split->is_used[split->sentence_of[row]]) {
                rows->places[n++] = rows->places[row];
            }
        }
        part->first = first;
        part->n_rows = n - first;
    }
    rows->base.n_rows = n;
    return data_names_keep(&rows->census.names, split->is_used, err);
}

static bt_status count_kept(words_rows *rows, bt_error *err) {
    const int64_t S = rows->schema->seq_length;
    memset(rows->tag_counts, 0, rows->labels.n * sizeof *rows->tag_counts);
    for (int64_t row = 0; row < rows->base.n_rows; row++) {
        row_head head = {0};
        BT_TRY(read_row(rows, row, &head, err));
        for (int64_t t = 0; t < head.n; t++) {
            if (rows->columns[S + t] >= 0) {
                rows->tag_counts[rows->columns[S + t]]++;
            }
        }
    }
    return BT_OK;
}

/* Whole sentences, by their numbers through all files. */
static bt_status split_sentences(words_rows *rows, const bt_data_config *config, bt_error *err) {
    const size_t n = rows->census.names.n;
    words_split  split = {.sentence_of =
                              bt_alloc_array((size_t)rows->base.n_rows, sizeof *split.sentence_of),
                          .is_used = bt_calloc_array(n, sizeof *split.is_used)};
    bt_status    rc = split.sentence_of != NULL && split.is_used != NULL
                          ? read_sentences(rows, split.sentence_of, err)
                          : BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu sentences", n);
    if (rc == BT_OK) {
        rc = data_split_units((int64_t)n, "sentences", config, split.is_used, err);
    }
    if (rc == BT_OK) {
        rc = keep_sentences(rows, &split, err);
    }
    if (rc == BT_OK) {
        rc = count_kept(rows, err);
    }
    bt_free(split.sentence_of);
    bt_free(split.is_used);
    return rc;
}

static bt_status load_vocab(words_rows *rows, bt_error *err) {
    const bt_data_schema *const schema = rows->schema;
    const char *const           path = schema->text.vocab_file;
    if (path == NULL || path[0] == '\0') {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s.vocab_file is empty, and words need the vocabulary that the model was "
                       "trained with",
                       rows->section);
    }
    const data_vocab_wish wish = {.path = path,
                                  .rules = BT_TEXT_PYTHON,
                                  .vocab_size = schema->vocab_size,
                                  .options = {.do_lower_case = schema->text.lower_case,
                                              .accents = schema->text.accents,
                                              .chinese_joined = schema->text.chinese_joined}};
    if (data_load_vocab(&wish, &rows->vocab, &rows->tokenizer, err) != BT_OK) {
        return bt_error_prefix(err, "%s.vocab_file", rows->section);
    }
    BT_TRY(bt_text_scratch_create(&rows->scratch, err));
    const bt_status rc =
        bt_text_word_packer_init(&rows->packer, rows->tokenizer, schema->seq_length, err);
    return rc == BT_OK ? BT_OK : bt_error_prefix(err, "%s.seq_length", rows->section);
}

static bt_status make_room(words_rows *rows, bt_error *err) {
    size_t n = 0;
    if (bt_size_mul((size_t)rows->schema->seq_length, 3, &n)) {
        rows->numbers = bt_alloc_array(n, sizeof *rows->numbers);
        rows->columns = bt_calloc_array(n, sizeof *rows->columns);
    }
    if (rows->numbers == NULL || rows->columns == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a sequence of %" PRId64,
                       rows->schema->seq_length);
    }
    return BT_OK;
}

static bt_status take_labels(words_rows *rows, bt_error *err) {
    const bt_data_schema *const schema = rows->schema;
    BT_TRY(bt_text_labels_init(&rows->labels, err));
    BT_TRY(bt_text_labels_add(
        &rows->labels, schema->label_names, schema->n_label_names,
        schema->label_source != NULL ? schema->label_source : "task.class_names", err));
    rows->tag_counts = bt_calloc_array(rows->labels.n + 1, sizeof *rows->tag_counts);
    return rows->tag_counts != NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu tags", rows->labels.n);
}

static bt_status open_words(words_rows *rows, const bt_data_config *config, bt_error *err) {
    data_rows named = {0}; /* the files of input_path */
    bt_status rc = BT_OK;
    BT_TRY(make_room(rows, err));
    BT_TRY(load_vocab(rows, err));
    BT_TRY(take_labels(rows, err));
    BT_TRY(data_census_begin(&rows->census, "sentence", "have no words", rows->vocab, rows->schema,
                             err));
    BT_CHECK(data_rows_expand(&named, config, err));
    BT_CHECK(bt_fs_scratch_create(named.parts[0].path, &rows->store, err));
    for (size_t i = 0; i < named.n_parts; i++) {
        BT_CHECK(data_rows_add_path(&rows->base, named.parts[i].path, err));
        rows->base.parts[i].first = rows->base.n_rows;
        BT_CHECK(read_file(rows, named.parts[i].path, err));
    }
    BT_CHECK(bt_fs_scratch_flush(rows->store, err));
    rows->base.census[0] = &rows->census.facts;
    rows->base.names = &rows->census.names;
    rows->base.tag_counts = rows->tag_counts;
    rows->base.n_tag_counts = rows->labels.n;
    rows->census.facts.n_made = rows->base.n_rows;
    if (rows->base.n_rows == 0) {
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: no words%s", named.parts[0].path,
                     named.n_parts > 1 ? ", nor in the other files of input_path" : "");
        goto done;
    }
    if (config->held_out != BT_HELD_OUT_ALL) {
        rc = split_sentences(rows, config, err);
    }
done:
    data_rows_deinit(&named);
    return rc;
}

bt_status data_words_open(const bt_data_config *config, const bt_data_schema *schema,
                          data_rows **out, bt_error *err) {
    words_rows *const rows = bt_calloc_array(1, sizeof *rows);
    *out = NULL;
    if (rows == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for files of words");
    }
    rows->base.ops = &words_ops;
    rows->schema = schema;
    rows->section = config->section != NULL ? config->section : "the data";
    const bt_status rc = open_words(rows, config, err);
    if (rc != BT_OK) {
        close_words(&rows->base);
        return rc;
    }
    *out = &rows->base;
    return BT_OK;
}
