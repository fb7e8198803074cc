/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the data room. rows: where numbered rows come from (record files, tables of text,
 * ...), behind a small table of functions. encoder: raw text -> tokens. order: (epoch, place) ->
 * row number. slot: the batch under construction, to which a row is appended. stream: the loop over
 * these three in a thread of its own, and the hand-over to the caller. */
#ifndef BT_DATA_INTERNAL_H
#define BT_DATA_INTERNAL_H

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/data.h"
#include "bt/fs.h"
#include "bt/tensor.h"
#include "bt/wire/example.h"

/* Slot and row. */

/* One batch and its buffers, sized once for the largest batch there can be. Its rows are
 * sequences: a pair is two of them. */
typedef struct data_slot {
    bt_batch       batch;
    int64_t       *offsets; /* [cap_rows+1] */
    int32_t       *ids;     /* [cap_rows*S] as types, positions, key_mask */
    int32_t       *types;
    int32_t       *positions;
    uint8_t       *key_mask;
    int32_t       *int_labels;   /* CLASS [cap_rows], SPAN [2*cap_rows], TOKENS [cap_rows*S] */
    float         *row_weights;  /* [cap_rows] with weight_field */
    float         *float_labels; /* FLOAT [cap_rows], MULTI [cap_rows*C] */
    int64_t       *example_ids;
    int64_t       *sentence_ids; /* [2,cap_rows]: sentences, then their pieces */
    int64_t        cap_rows;
    int64_t        n_rows;    /* under construction */
    bool           is_masked; /* some token of it may not be attended to */
    bt_data_cursor after;     /* the cursor when this batch has been delivered */
    double         make_seconds;
} data_slot;

/* One row before it is packed; what its source fills in. Borrowed for the call. */
typedef struct data_row {
    int64_t        n;       /* tokens: 1 to seq_length */
    const int64_t *ids;     /* [n] */
    const int64_t *types;   /* [n] */
    const int64_t *mask;    /* [n] 0 or 1; NULL: all 1, and padding (if kept) is added up to S */
    int64_t        pad_id;  /* of that padding */
    int64_t        label;   /* CLASS */
    float          score;   /* FLOAT */
    const float   *targets; /* MULTI: [n_classes] */
    float          weight;  /* weight_field */
    const int64_t *token_labels; /* TOKENS: [n] */
    int64_t        start;        /* SPAN: places among the n tokens, which may not be masked */
    int64_t        end;
    int64_t        example_id;  /* include_example_id */
    int64_t        sentence_id; /* include_sentence_id, as the next */
    int64_t        sub_sentence_id;
} data_row;

bt_status data_slot_init(data_slot *slot, const bt_data_schema *schema, int64_t cap_rows,
                         bt_error *err);
void      data_slot_deinit(data_slot *slot);
void      data_slot_clear(data_slot *slot);
/* Checks everything that the model will index with, then packs the row after those that are
 * there. On failure the slot is as it was. */
bt_status data_slot_append(data_slot *slot, const bt_data_schema *schema, const data_row *row,
                           bt_error *err);
/* Takes back the last row; was_masked: slot->is_masked before it. */
void data_slot_take_back(data_slot *slot, bool was_masked);
/* Fills slot->batch from the rows so far. */
void data_slot_finish(data_slot *slot, const bt_data_schema *schema);

/* Rows.
 * A kind of input is a struct that begins with data_rows, and the functions of data_rows_ops. Its
 * open function fills n_rows and parts and knows where each row stands, so that any row can be had
 * at any time: order, cursor, reading ahead and skipping are the stream's and the same for all. */

/* A file (or another part that is interleaved with others): rows first .. first + n_rows - 1. */
typedef struct data_part {
    char   *path; /* owned; for messages too */
    int64_t first;
    int64_t n_rows;
} data_part;

typedef struct data_rows data_rows;

typedef struct data_rows_ops {
    /* Appends row number `row` to the slot. On failure the slot is as it was, and the message says
     * file, place and what is wrong. *is_damaged: the bytes themselves are wrong, so that
     * skip_bad_records may skip the row; a sound row that says what the model cannot take never
     * is. One caller at a time, not always of the same thread. */
    bt_status (*append)(data_rows *rows, int64_t row, data_slot *slot, bool *is_damaged,
                        bt_error *err);
    /* The texts of row number `row`, borrowed until the next call. NULL: it has none. */
    bt_status (*texts)(data_rows *rows, int64_t row, const bt_text_span **texts, size_t *n,
                       bt_error *err);
    /* The class of row number `row`. NULL: only slots have it. */
    bt_status (*label)(data_rows *rows, int64_t row, int64_t *label, float *score, bt_error *err);
    /* Where row number `row` is: "FILE:LINE". NULL: not known. */
    bt_status (*where)(data_rows *rows, int64_t row, bt_str *out, bt_error *err);
    /* Frees all that it owns, and rows itself (data_rows_deinit does the common part). */
    void (*close)(data_rows *rows);
} data_rows_ops;

struct data_rows {
    const data_rows_ops *ops;
    int64_t              n_rows;
    data_part           *parts; /* owned; in the order of their rows */
    size_t               n_parts;
    size_t               cap_parts;
    /* What is known of its texts, the kind's own; NULL: nothing. Two: the sides of pairs. */
    const bt_data_census     *census[2];
    const struct data_names  *names;      /* likewise, of rows of the same kind only */
    const struct data_labels *labels;     /* likewise: what its labels mean */
    const int64_t            *tag_counts; /* likewise: words of each tag; NULL: no tags */
    size_t                    n_tag_counts;
    const char *const        *label_names; /* the kind's own; NULL: labels are numbers */
    size_t                    n_label_names;
    bool                      is_known;    /* from an index: its files need not all be looked at */
    bool                      has_content; /* content is known */
    uint32_t                  content; /* crc32c that names what the files say; the kind's own */
};

/* is_used [n_rows]: the rows that config.held_out wants. told: what the line says of it, without
 * the section's name; behind a "\n" what a warning does, where there is one. */
bt_status data_split_draw(data_rows *rows, const bt_data_config *config, bool *is_used,
                          bt_str *told, bt_error *err);
/* The same of n things without labels, called what (NULL: nothing is told), numbered from 0. */
bt_status data_split_units(int64_t n, const char *what, const bt_data_config *config, bool *is_used,
                           bt_error *err);
/* Of SQuAD's questions, which are filtered, before their windows are made. */
bt_status data_squad_split(bt_squad_set *set, const bt_data_config *config, bt_error *err);
/* Picks the kind of input, opens it and learns its rows. No row at all is an error. */
bt_status data_rows_open(const bt_data_config *config, const bt_data_schema *schema,
                         data_rows **out, bt_error *err);
void      data_rows_close(data_rows *rows); /* accepts NULL */
/* *n = 0: rows of this kind have no texts. */
bt_status data_rows_texts(data_rows *rows, int64_t row, const bt_text_span **texts, size_t *n,
                          bt_error *err);

bt_data_table data_table_by_name(const char *path);
/* What the section says of the encoding. */
bt_text_encoding data_encoding(const bt_data_config *config);
/* delimiter, quote and encoding where they say nothing: BT_E_CONFIG. */
bt_status data_check_table_keys(const bt_data_config *config, bt_data_table table, bt_error *err);

/* For the kinds. One part a path of config, patterns expanded; first and n_rows are 0 yet. */
bt_status data_rows_expand(data_rows *rows, const bt_data_config *config, bt_error *err);
/* One more part. */
bt_status data_rows_add_path(data_rows *rows, const char *path, bt_error *err);
void      data_rows_deinit(data_rows *rows);
/* While they are read for the first time anyway: a row, or what names many. */
void data_rows_add_content(data_rows *rows, const void *bytes, size_t n);
/* Index of the part that holds the row. */
size_t data_rows_part_of(const data_rows *rows, int64_t row);

/* The files of the parts, opened when they are needed; thousands of shards must not exhaust the
 * process's descriptors. */
typedef struct data_open_files {
    bt_file **files; /* owned; [n], NULL: not open */
    size_t    n;
    size_t    n_open;
    size_t    next_to_close; /* clock hand, when more are wanted than may be open */
} data_open_files;
bt_status data_open_files_init(data_open_files *open, size_t n, bt_error *err);
void      data_open_files_deinit(data_open_files *open);
/* *file is borrowed until the next call. */
bt_status data_open_files_get(data_open_files *open, const data_rows *rows, size_t part,
                              bt_file **file, bt_error *err);

/* The kinds: *out is created, or NULL after a failure. section and schema are borrowed for the
 * life of the rows. */
bt_status data_records_open(const bt_data_config *config, const bt_data_schema *schema,
                            data_rows **out, bt_error *err);

bt_status data_squad_open(const bt_data_config *config, const bt_data_schema *schema,
                          data_rows **out, bt_error *err);
bt_status data_words_open(const bt_data_config *config, const bt_data_schema *schema,
                          data_rows **out, bt_error *err);
/* NULL: rows of another kind. */
const bt_squad_windows *data_squad_rows_windows(const data_rows *rows);
bt_status               data_table_open(const bt_data_config *config, const bt_data_schema *schema,
                                        bt_data_table table, data_rows **out, bt_error *err);

/* Does the first record that config names have this feature? */
bt_status data_records_have(const bt_data_config *config, const char *key, bool *out,
                            bt_error *err);
/* Two of these as one: pairs of rows, or one after the other (BT_PAIRING_...). Not yet known which
 * kind of input the sides are. */
bt_status data_pairs_open(const bt_data_config *config, const bt_data_schema *schema,
                          data_rows **out, bt_error *err);
/* BT_PAIRING_CHAIN: rows of the left side; else all. */
int64_t data_pairs_n_left(const data_rows *rows);

typedef struct data_census data_census;
typedef struct data_names  data_names;

/* Raw text. */

typedef struct data_vocab_wish {
    const char     *path;
    bt_text_rules   rules;
    int64_t         vocab_size; /* of the model */
    bt_text_options options;
} data_vocab_wish;

/* A vocabulary that was checked against the model, and what makes tokens of it: both the caller's,
 * also after a failure. Errors name the file. */
bt_status data_load_vocab(const data_vocab_wish *wish, bt_text_vocab **vocab,
                          bt_text_tokenizer **tokenizer, bt_error *err);

typedef struct data_encoder {
    const bt_data_schema *schema;
    bt_text_vocab        *vocab;
    bt_text_tokenizer    *tokenizer;
    bt_text_scratch      *scratch;
    int64_t              *ids; /* [S] as types; one allocation, owned by ids */
    int64_t              *types;
} data_encoder;

/* Zero-initialise; deinit also after a failure. Reads schema->text.vocab_file and checks it against
 * the model. */
bt_status data_encoder_init(data_encoder *encoder, const bt_data_schema *schema,
                            const char *section, bt_error *err);
void      data_encoder_deinit(data_encoder *encoder);
/* The texts of one row [schema->text.n_fields] -> ids and types of *row, which borrows them. */
bt_status data_encode(data_encoder *encoder, const bt_text_span *texts, data_row *row,
                      bt_error *err);

/* Examples.
 * What tf.Examples of records are decoded with. */

typedef struct data_decoder {
    const bt_data_schema *schema;
    const char           *section; /* for messages */
    bt_example            example;
    data_encoder          encoder; /* of raw text */
    int64_t              *ids;     /* [S] as mask, types, labels; one allocation, owned by ids */
    int64_t              *mask;
    int64_t              *types;
    int64_t              *labels;
    float                *targets; /* owned; MULTI: [n_classes] */
} data_decoder;

bt_status data_decoder_init(data_decoder *decoder, const bt_data_schema *schema,
                            const char *section, bt_error *err);
void      data_decoder_deinit(data_decoder *decoder);
/* Parses decoder->example from the record. BT_E_FORMAT: damage. */
bt_status data_decoder_parse(data_decoder *decoder, bt_bytes bytes, bt_error *err);
/* The features that the schema asks for -> *row, which borrows from the decoder. Any failure here
 * is a record that says something that the model cannot take. */
bt_status data_decoder_read(data_decoder *decoder, data_row *row, bt_error *err);

/* Order. */

typedef struct data_order {
    int64_t   n_rows;
    uint64_t  seed;
    bool      shuffle;
    uint32_t *interleaved; /* owned; [n_rows], or NULL: as the source numbers them */
} data_order;

bt_status data_order_init(data_order *order, const data_rows *rows, const bt_data_config *config,
                          bt_error *err);
void      data_order_deinit(data_order *order);
int64_t   data_order_at(const data_order *order, uint64_t epoch, uint64_t index);

#endif
