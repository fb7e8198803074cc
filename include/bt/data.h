/* SPDX-License-Identifier: Apache-2.0
 *
 * data: files -> batches of packed tokens: records of tokens, records of raw text, tables of raw
 * text. Sources, globs, shuffle, repeat, feature schema, packing, prefetch, resumable cursor.
 * Semantics: docs/model_garden/config.md 5.5, docs/model_garden/data.md section 3. The order of the
 * data is a pure function of (seed, epoch, index), so a cursor is three numbers and seeking is
 * instant. */
#ifndef BT_DATA_H
#define BT_DATA_H

#include "bt/base/arena.h"
#include "bt/conf.h"
#include "bt/fs.h"
#include "bt/squad.h"
#include "bt/tensor.h"
#include "bt/text.h"

typedef enum bt_label_kind {
    BT_LABEL_NONE,
    BT_LABEL_CLASS,
    BT_LABEL_FLOAT,
    BT_LABEL_TOKENS,
    BT_LABEL_SPAN,
    BT_LABEL_MULTI, /* any number of the classes: [B,C] of numbers in [0,1] */
} bt_label_kind;

/* How rows hold the two sides of a dual encoder's pairs. With right_paths the right sides are in
 * files of their own, one row beside the other; without, each row has both. Raw text has its fields
 * (bt_data_text); tokens are input_ids, input_mask, segment_ids in files of one side, and else
 * left_word_ids, left_mask, left_type_ids, and the same of the right. */
typedef enum bt_pairing {
    BT_PAIRING_NONE, /* no pairs: a row is one sequence, input_ids, input_mask, segment_ids */
    BT_PAIRING_ROWS, /* a row is a pair: two sequences of the batch, the left one first */
    /* For predictions: the left sides of all rows, then the right sides, each a row. The sides may
     * differ in number. Without right_paths there are left sides only where a row has no more: in
     * lines, in records without the right side's features, and where right_fields are none. */
    BT_PAIRING_CHAIN,
} bt_pairing;

typedef enum bt_side { BT_SIDE_NONE, BT_SIDE_LEFT, BT_SIDE_RIGHT } bt_side;

/* Rows are the windows of SQuAD files. A row's example_id is its window's number. */
typedef struct bt_data_squad {
    const char     *vocab_file; /* NULL: the rows are not these */
    bool            do_lower_case;
    bt_text_accents accents;
    bool            chinese_joined;
    int64_t         doc_stride;
    int64_t         max_query_length;
    bool            version_2;
    bt_squad_use    use;      /* not for training: the rows end, and no remainder is dropped */
    int64_t         max_rows; /* an evaluation reads no more than these first ones; 0: all, and then
                               * windows of like length stand together */
} bt_data_squad;

/* How the texts of a row become its tokens, where rows are raw text. */
enum { BT_DATA_MAX_TEXTS = 16 };
typedef struct bt_data_text {
    /* Where the texts of a row are, in their order. Records: string features. Tables: names of
     * columns (keys of JSON objects), or their numbers from 1; when all are numbers (the label's
     * too), the table has no row of names. */
    const char *const *fields;
    size_t             n_fields; /* at most BT_DATA_MAX_TEXTS; 0: rows are tokens already */
    const char        *key;      /* that names them, for messages; NULL: text_fields */
    /* Pairs: fields are of the left side, these of the right. */
    const char *const *right_fields;
    size_t             n_right_fields;
    const char        *right_key;
    const char        *vocab_file;
    bool               tables_only; /* rows of records are tokens all the same (pairs) */
    bool               lower_case;
    bt_text_accents    accents;
    bool               chinese_joined;
    /* BT_TEXT_PYTHON: the tokens that create-finetuning-data makes, of one or two texts.
     * BT_TEXT_TF: those of the experiments that read raw text, of any number of texts. */
    bt_text_rules rules;
} bt_data_text;

enum { BT_DATA_MAX_LABEL_FIELDS = 128 };

/* Rows are sequences of labelled words, of files as bt_text_word_file reads them; vocabulary and
 * case are those of bt_data_text, the labels label_names. */
typedef struct bt_data_words {
    bool              is_used;
    bool              needs_labels; /* a word without one is an error; else it has the first one */
    bt_text_word_form form;
} bt_data_words;

/* What a record must hold; made by the task. Strings are borrowed for the life of the stream. */
typedef struct bt_data_schema {
    int64_t       seq_length;
    bt_data_squad squad;
    bt_pairing    pairing;
    bt_side       side;        /* private: the one of a pair that is read from a row */
    bool          is_compared; /* private: its rows are those of another section, perhaps */
    bt_label_kind label_kind;
    const char   *label_field; /* feature key: "label_ids" */
    int64_t       n_classes;   /* CLASS: labels must be in [0,n); 0: not checked */
    int64_t       vocab_size;  /* ids must be in [0,V) */
    int64_t       type_vocab_size;
    int64_t       max_positions;
    bool          include_sentence_id; /* read sentence_id and sub_sentence_id */
    bool          include_example_id;  /* of a chain: the row's number on its side without one */
    bool          keep_padding;        /* pack all seq_length tokens, padding under key_mask 0 */
    bt_data_text  text;
    bt_data_words words;
    /* CLASS labels of tables, in the order of their ids; NULL: not known. Then numbers are ids, and
     * where learns_labels is true, other labels are sorted and numbered: see
     * bt_data_label_names. */
    const char *const *label_names;
    size_t             n_label_names;
    const char        *label_source;  /* who says so, for messages, or NULL */
    bool               only_by_name;  /* numbers are never ids: rows trained the model by name */
    bool               learns_labels; /* the rows train a model */
    /* MULTI labels of tables: a column for each class, of numbers in [0,1]; or in label_field the
     * names (or numbers) of the classes that apply, as a JSON list or with the separator between
     * them. */
    const char *const *label_fields;
    size_t             n_label_fields; /* at most BT_DATA_MAX_LABEL_FIELDS; 0: there are none */
    char               label_separator;
    const char *weight_field; /* column or float feature: how much a row counts; NULL: all alike */
} bt_data_schema;

/* How a table is written. Rows are numbered through all files; a file may be gzip'd (.gz). Another
 * character than tab or comma separates the columns where config.delimiter says so, where the first
 * line is "sep=;", or where only with it (comma, semicolon, tab) the first row has the columns that
 * are wanted. UTF-8; what a byte order mark or config.encoding says is converted. Line ends: LF, CR
 * LF, or CR alone in the whole file. */
typedef enum bt_data_table {
    BT_TABLE_NONE,  /* records */
    BT_TABLE_TSV,   /* as GLUE: tabs between fields, no quoting */
    BT_TABLE_CSV,   /* RFC 4180: commas, quotes doubled within quotes, fields of several lines; a
                     * quote inside a field that does not begin with one is text */
    BT_TABLE_JSONL, /* one JSON object a line */
    BT_TABLE_LINES, /* a line is a text of one side of pairs, empty ones too */
} bt_data_table;

/* Rows that are held out of training, by seed: of a table a share of each label, of pairs a share
 * of all; of words with tags whole sentences; of SQuAD's questions those of whole articles, where
 * there are 10 or more, else of whole paragraphs. */
typedef enum bt_held_out { BT_HELD_OUT_ALL, BT_HELD_OUT_WITHOUT, BT_HELD_OUT_ONLY } bt_held_out;

enum { BT_DATA_NO_QUOTE = '\n' }; /* bt_data_config.quote: nothing is quoted */

/* Keys of train_data / validation_data that the stream obeys, filled by bt_data_config_read. */
typedef struct bt_data_config {
    const char *const *paths; /* input_path as written: commas split, globs not yet expanded */
    size_t             n_paths;
    const char *const *right_paths; /* right_input_path, where the section has it */
    size_t             n_right_paths;
    int64_t            global_batch_size;
    int64_t       shuffle_buffer_size; /* 1: file order; more: exact shuffle of the whole epoch */
    int64_t       cycle_length;        /* 0: null */
    int64_t       block_length;
    int64_t       skip_bad_records;
    int64_t       epochs; /* 0: null */
    uint64_t      seed;
    bool          is_training; /* repeat for ever and shuffle */
    bool          drop_remainder;
    bool          gzip;      /* file_type: tfrecord_compressed */
    bt_data_table table;     /* file_type: tsv, csv, jsonl; NONE: by the extension of each path */
    char          delimiter; /* of TSV and CSV; 0: as above */
    char          quote;     /* of TSV and CSV; 0: a double quote in CSV, none in TSV */
    const char   *encoding;  /* of texts; NULL: UTF-8, or what a byte order mark says */
    const char   *encoding_key; /* what sets it, for messages; NULL: SECTION.encoding */
    bt_held_out   held_out;     /* which rows are read: all, or without or only those held out */
    double        held_out_share;
    int64_t       held_out_fold; /* which of 1/share parts */
    uint64_t      held_out_seed;
    /* Where what is learned by reading a large input through is kept for the next start: "auto"
     * (beside it, else in the user's cache) or a folder; "none" or NULL: nowhere. */
    const char *index;
    bool        index_is_fixed; /* none is written: a dry run */
    const char *section;        /* "task.train_data", for messages; NULL: "the data" */
} bt_data_config;

/* What the files are: file_type, else their extensions, which must agree. Patterns are looked up.
 */
BT_MUST_USE bt_status bt_data_find_table(const bt_data_config *config, bt_data_table *out,
                                         bt_error *err);

/* The files that a section's input_path names, patterns looked up. The caller deinits out. */
BT_MUST_USE bt_status bt_data_list_files(const bt_conf *conf, const char *section, bt_fs_names *out,
                                         bt_error *err);

/* Do the first bytes of a file look like text? Those of records do not. */
bool bt_data_is_text_file(const char *path);

/* What can be said of a table before anything is decided about its use. Owned. */
typedef struct bt_data_survey {
    bt_data_table table; /* NONE: records; then the rest is empty */
    char        **columns;
    size_t        n_columns;
    char         *label; /* the column of the labels; NULL: none of the names is there */
    int64_t       n_rows;
    int64_t       n_lists;    /* rows whose label is a list of some: several labels a row */
    size_t        n_labels;   /* different ones; integers count by value where all are integers */
    bool          are_scores; /* numbers, with fractions among them */
    char          first_label[64];
} bt_data_survey;

/* fields: columns that the user named (texts). labels: names one of which, the first that is there,
 * is the label's column. Rows that cannot be read are left to bt_data_open, which refuses them. */
BT_MUST_USE bt_status bt_data_survey_read(const bt_data_config *config, const char *const *fields,
                                          size_t n_fields, const char *const *labels,
                                          size_t n_labels, bt_data_survey *out, bt_error *err);
/* The same without a look at labels: columns and, in label, the first of names that is there. */
BT_MUST_USE bt_status bt_data_survey_columns(const bt_data_config *config, const char *const *names,
                                             size_t n_names, bt_data_survey *out, bt_error *err);
void                  bt_data_survey_deinit(bt_data_survey *survey);

typedef struct bt_data_stream bt_data_stream;

/* Position in a stream: everything that resume needs. All zeros: the beginning. */
typedef struct bt_data_cursor {
    uint64_t epoch;
    uint64_t index;     /* places of this epoch's order already used, damaged records included */
    uint64_t n_skipped; /* damaged records among them: skip_bad_records limits them per epoch, so
                         * that a record which is damaged in every epoch counts once */
} bt_data_cursor;

/* delimiter: a character, "tab" or \t; quote: the same, or "none"; NULL: not said. What is wrong
 * with them, and *key which; NULL: nothing. */
const char *bt_data_set_separators(bt_data_config *config, const char *delimiter, const char *quote,
                                   const char **key);

/* What is wrong or missing in the data sections that the mode reads, without a look at a file. */
BT_MUST_USE bt_status bt_data_check(const bt_conf_check *check);
/* section: "task.train_data" or "task.validation_data" (borrowed). Strings live in conf and arena.
 */
BT_MUST_USE bt_status bt_data_config_read(const bt_conf *conf, const char *section,
                                          uint64_t default_seed, bt_arena *arena,
                                          bt_data_config *out, bt_error *err);
/* What the kind of input decides, whatever the keys say: an evaluation of SQuAD files reads them
 * once and to their end (Model Garden's is_training is true there, unless it is set). */
void bt_data_config_fit(bt_data_config *config, const bt_data_schema *schema);
/* Opens the files, indexes their records (offsets only; checks the framing as it goes) and checks
 * the first record of each against the schema, so that a wrong seq_length is found before any
 * work. Tables are read through once: every row is parsed, and every label is known, before
 * training. No record at all is an error. Keeps nothing of config; schema's strings stay borrowed.
 * A batch of at least 1 and a length within the model's positions are taken for granted
 * (bt_data_check, bt_task_check).
 *
 * Order, per epoch: training with shuffle_buffer_size > 1 is one exact shuffle of all records,
 * named by (seed, epoch). Otherwise file order; with several files, cycle_length files are
 * interleaved in blocks of block_length (null or 1: file after file). Training epochs follow each
 * other without a seam: a batch may hold the end of one and the start of the next. */
BT_MUST_USE bt_status bt_data_open(const bt_data_config *config, const bt_data_schema *schema,
                                   bt_data_stream **out, bt_error *err);
void                  bt_data_close(bt_data_stream *stream);
int64_t               bt_data_n_rows(const bt_data_stream *stream); /* records in all files */
/* Names what the rows say, wherever their files lie: 1 << 32 | a crc32c of them in their order; 0:
 * not known. Taken while the files are read at open, which costs nothing more. */
uint64_t bt_data_content(const bt_data_stream *stream);
/* BT_PAIRING_CHAIN: how many of the rows are left sides. Else all. */
int64_t bt_data_n_left_rows(const bt_data_stream *stream);
/* The texts of a row of one sequence, borrowed until the next call; *n is 0 where rows are not read
 * from tables of text. Ends the reading ahead: seek before the next batch. */
BT_MUST_USE bt_status bt_data_row_texts(bt_data_stream *stream, int64_t row,
                                        const bt_text_span **texts, size_t *n, bt_error *err);
/* The row at a place of the first epoch (bt_batch.first_record counts places). */
int64_t bt_data_row_at(const bt_data_stream *stream, int64_t place);
/* "row 5 (FILE:7)", of the row at a place of any epoch, for messages: its number among all rows,
 * and where it is known, and can still be read, its file. Ends the reading ahead. */
BT_MUST_USE bt_status bt_data_say_row(bt_data_stream *stream, int64_t place, bt_str *out,
                                      bt_error *err);
/* The class of a row of a table: ends the reading ahead, too. */
BT_MUST_USE bt_status bt_data_row_label(bt_data_stream *stream, int64_t row, int64_t *label,
                                        bt_error *err);
/* The score of a row of a table, where labels are scores. */
BT_MUST_USE bt_status bt_data_row_score(bt_data_stream *stream, int64_t row, float *score,
                                        bt_error *err);
/* The names of the classes in the order of their ids, where the labels of a table are names: those
 * of the schema, or what was learned. *n = 0: labels are numbers. Borrowed until close. */
const char *const *bt_data_label_names(const bt_data_stream *stream, size_t *n);
/* Counts how often each label 0 .. n_classes-1 occurs: one pass over the rows in their order, of
 * CLASS labels or of TOKENS ones (negative ones do not count). Damaged records are left out where
 * skip_bad_records allows any, else an error as from next_batch. Does not move the cursor. */
BT_MUST_USE bt_status bt_data_count_labels(bt_data_stream *stream, int64_t n_classes,
                                           int64_t *counts, bt_error *err);
/* Of questions. */
typedef struct bt_data_squad_facts {
    int64_t n_cut;        /* longer than query_length */
    int64_t n_wordless;   /* their text has no word, so that there is no row */
    int64_t n_unanswered; /* evaluation: without answer */
    int64_t n_hidden;     /* training: no window shows the whole answer */
    int64_t n_blind;      /* training, windows: the question has an answer, which they lack */
    int64_t n_absent;     /* evaluation: no answer of theirs occurs in the text ... */
    int64_t n_searched;   /* ... among so many, at most 1,000 */
} bt_data_squad_facts;

/* What was seen of the texts when the input was opened. Of the tokens of tables: of the first rows
 * only, at most 1,000. */
typedef struct bt_data_census {
    const char           *unit; /* what is counted: "row", "sentence" of words, "question" */
    const char           *lack; /* what those without text do: "have an empty text" */
    int64_t               n_rows;
    int64_t               n_without_text;          /* rows of which a text is empty */
    char                  first_without_text[256]; /* "FILE:LINE" */
    int64_t               n_sampled;
    int64_t               n_tokens;  /* of their texts */
    int64_t               n_unknown; /* [UNK] among them */
    int64_t               n_cut;     /* rows that are longer than seq_length */
    int64_t               n_lost;    /* tokens that are cut off */
    int64_t               n_divided; /* sentences, questions: longer, and so several rows */
    int64_t               n_made;    /* rows of sentences, before any are held out */
    int64_t               n_empty_words;
    bt_data_squad_facts   squad;
    bt_text_vocab_letters letters;
    bool                  lower_case;
    const char           *case_key; /* that says so */
    const char           *vocab_file;
} bt_data_census;
/* side: 0, or 1 for the right one of pairs. NULL: nothing is known. Borrowed until close. */
const bt_data_census *bt_data_get_census(const bt_data_stream *stream, size_t side);
/* Which rows of one input have exactly the texts of a row of another (pairs: both texts; sentences:
 * all words; records: length and checksum). n_of 0: of inputs of different kinds that is not known.
 * */
typedef struct bt_data_shared {
    int64_t n;
    int64_t n_of;  /* among so many */
    int64_t first; /* number of the first of them */
} bt_data_shared;
BT_MUST_USE bt_status bt_data_count_shared(const bt_data_stream *of, const bt_data_stream *among,
                                           bt_data_shared *out, bt_error *err);
/* Adds how often each class occurs in a table, each tag in files of words, or either in the first
 * records, to counts [n_classes]; returns how many rows were counted, 0: there are no classes. */
int64_t bt_data_class_counts(const bt_data_stream *stream, int64_t *counts, int64_t n_classes);
/* *batch is borrowed until the next call of next_batch, seek or close; *end = true (and no batch)
 * when a non-training stream is through. Errors name file, record number, byte, expected and got;
 * they come after the batches before them, and again at every further call until a seek. A thread
 * of its own reads ahead: it starts with the first call and changes nothing in what is delivered.
 *
 * A row holds the tokens whose input_mask is 1, unless the first one is masked or the schema keeps
 * padding: then all seq_length of them, under key_mask. Labels: CLASS and FLOAT [B]; TOKENS [T],
 * packed like the tokens; SPAN [2,B] (starts, then ends), as places among the row's kept tokens. */
BT_MUST_USE bt_status bt_data_next_batch(bt_data_stream *stream, const bt_batch **batch, bool *end,
                                         bt_error *err);
/* The cursor after the last delivered batch (read-ahead not counted). Give it to seek on a stream
 * of the same files, config and seed, and the same batches follow as if nothing had happened. */
bt_data_cursor        bt_data_get_cursor(const bt_data_stream *stream);
BT_MUST_USE bt_status bt_data_seek(bt_data_stream *stream, bt_data_cursor cursor, bt_error *err);
/* The windows that are its rows; NULL unless they are those of SQuAD files. */
const bt_squad_windows *bt_data_squad_windows(const bt_data_stream *stream);
/* Seconds that callers waited in bt_data_next_batch so far; and that the reading thread spent on
 * making the batches that were delivered so far. */
double bt_data_wait_seconds(const bt_data_stream *stream);
double bt_data_make_seconds(const bt_data_stream *stream);

/* Rows that a caller gives one by one, of predictions: made into batches as those of files are, and
 * handed over when a batch is full or the caller wants it. */
typedef struct bt_data_feed bt_data_feed;
typedef struct bt_data_feed_config {
    const bt_data_schema *schema;  /* of predictions; its strings are borrowed */
    const char           *section; /* for messages */
    int64_t               n_rows;  /* of a batch at most */
    bt_status (*take)(void *context, const bt_batch *batch, bt_error *err);
    void *context;
} bt_data_feed_config;
BT_MUST_USE bt_status bt_data_feed_create(const bt_data_feed_config *config, bt_data_feed **out,
                                          bt_error *err);
void                  bt_data_feed_free(bt_data_feed *feed); /* accepts NULL */
/* How many texts a row may have: what the schema says, or, where it names none, one or two. */
size_t bt_data_feed_least_texts(const bt_data_feed *feed);
size_t bt_data_feed_most_texts(const bt_data_feed *feed);
/* One row, of n texts. */
BT_MUST_USE bt_status bt_data_feed_texts(bt_data_feed *feed, const bt_text_span *texts, size_t n,
                                         bt_error *err);
/* A sentence of words, an LF after each: as many rows as its tokens need, none without words. The
 * first token of each word has the label 0, the others -1. */
BT_MUST_USE bt_status bt_data_feed_words(bt_data_feed *feed, const char *words, size_t n_bytes,
                                         bt_error *err);
/* The windows of questions; the caller frees them, before the set. */
BT_MUST_USE bt_status bt_data_feed_make_windows(bt_data_feed *feed, const bt_squad_set *set,
                                                bt_squad_windows **out, bt_error *err);
/* All of them, each a row whose example_id is its number; then what is left is handed over. */
BT_MUST_USE bt_status bt_data_feed_windows(bt_data_feed *feed, const bt_squad_windows *windows,
                                           bt_error *err);
/* Hands over what is there, if anything. */
BT_MUST_USE bt_status bt_data_feed_flush(bt_data_feed *feed, bt_error *err);

#endif
