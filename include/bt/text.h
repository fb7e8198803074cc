/* SPDX-License-Identifier: Apache-2.0
 *
 * text: from bytes to WordPiece ids, exactly as the two tokenizers of Model Garden
 * (docs/model_garden/data.md section 2). Vocabulary, basic tokenizer, WordPiece, and [CLS] a [SEP]
 * b [SEP].
 *
 * Threads: a vocabulary and a tokenizer never change after they were made and may be shared; every
 * thread needs a bt_text_scratch of its own. Results are borrowed from the scratch until its next
 * use. */
#ifndef BT_TEXT_H
#define BT_TEXT_H

#include "bt/base/map.h"
#include "bt/base/str.h"
#include "bt/fs.h"

/* Vocabulary. */

/* Whose rules a vocabulary and its tokenizers follow. */
typedef enum bt_text_rules {
    BT_TEXT_PYTHON, /* FullTokenizer (Unicode 14.0): the data tool, SQuAD */
    /* tensorflow-text's BertTokenizer layer: the experiments that read raw text, dual encoder.
     * NFKC case folding, other characters that split, words of more than 100 bytes are [UNK] */
    BT_TEXT_TF,
} bt_text_rules;

typedef struct bt_text_vocab bt_text_vocab;

/* One piece a line, id = line number from 0; every CR dropped, lines stripped of Unicode white
 * space, the last of several equal lines gives the id. Errors: BT_E_IO missing, a folder,
 * unreadable; BT_E_FORMAT empty, not UTF-8 (file:line), larger than BT_TEXT_VOCAB_MAX_BYTES. */
BT_MUST_USE bt_status bt_text_vocab_load(bt_text_vocab **out, const char *path, bt_error *err);
/* A path that ends in .json is Hugging Face's tokenizer.json: its model.vocab, tokens that were
 * added and the longest word. BT_E_UNSUPPORTED, by name: its tokenizer is not WordPiece, or treats
 * characters in another way than BERT's. */
/* The same from bytes in memory (copied); name is used in messages only. */
BT_MUST_USE bt_status bt_text_vocab_parse(bt_text_vocab **out, const void *bytes, size_t n_bytes,
                                          const char *name, bt_error *err);
/* The same by the rules of tensorflow-text's lookup table: lines are not stripped (every CR is
 * dropped); empty lines (but at the end) and equal ones are BT_E_FORMAT. */
BT_MUST_USE bt_status bt_text_vocab_load_as(bt_text_vocab **out, const char *path,
                                            bt_text_rules rules, bt_error *err);
BT_MUST_USE bt_status bt_text_vocab_parse_as(bt_text_vocab **out, const void *bytes, size_t n_bytes,
                                             const char *name, bt_text_rules rules, bt_error *err);
void                  bt_text_vocab_free(bt_text_vocab *vocab);
#define BT_TEXT_VOCAB_MAX_BYTES ((size_t)32 << 20)

/* The pieces of such a file, one a line, without looking at them. The caller bt_free()s *lines. */
BT_MUST_USE bt_status bt_text_vocab_read_lines(const char *path, char **lines, size_t *n_bytes,
                                               bt_error *err);

int32_t bt_text_vocab_size(const bt_text_vocab *vocab); /* lines: ids are 0..size-1 */
/* NUL-terminated, borrowed from the vocabulary; its length, if n is not NULL, in *n. id in range.
 */
const char      *bt_text_vocab_piece(const bt_text_vocab *vocab, int32_t id, size_t *n);
BT_MUST_USE bool bt_text_vocab_find(const bt_text_vocab *vocab, const char *piece, size_t n,
                                    int32_t *id);

/* Against the table of a model (its rows): BT_E_CONFIG when it has more pieces, empty lines at the
 * end left out; BT_E_FORMAT when [CLS] or another special piece is in two lines, or lines hold
 * more than pieces. Fewer pieces, empty and repeated lines are told as warnings. path: for
 * messages.
 */
BT_MUST_USE bt_status bt_text_vocab_check(const bt_text_vocab *vocab, const char *path,
                                          int64_t table_size, bt_error *err);
/* How many pieces have a capital letter (A-Z), how many small ones alone; [X] does not count. */
typedef struct bt_text_vocab_letters {
    int32_t n_capital;
    int32_t n_small;
} bt_text_vocab_letters;
bt_text_vocab_letters bt_text_vocab_case(const bt_text_vocab *vocab);

/* Tokenizer. */

typedef struct bt_text_tokenizer bt_text_tokenizer;
typedef struct bt_text_scratch   bt_text_scratch;

/* The vocabulary is borrowed and must outlive the tokenizer, which follows its rules. BT_E_FORMAT
 * when it lacks [CLS], [SEP] or [UNK], or by the rules of tensorflow-text [PAD]. */
BT_MUST_USE bt_status bt_text_tokenizer_create(bt_text_tokenizer **out, const bt_text_vocab *vocab,
                                               bool do_lower_case, bt_error *err);
/* What becomes of accents (characters of class Mn, after canonical decomposition). */
typedef enum bt_text_accents {
    BT_TEXT_ACCENTS_BY_CASE, /* taken off where case is lowered: BERT's rule */
    BT_TEXT_ACCENTS_KEPT,
    BT_TEXT_ACCENTS_STRIPPED,
} bt_text_accents;
typedef struct bt_text_options {
    bool            do_lower_case;
    bt_text_accents accents;
    bool            chinese_joined; /* Chinese characters are letters, no words of their own */
} bt_text_options;
/* The same with other options than BERT's, by Python's rules. BT_E_UNSUPPORTED: by
 * tensorflow-text's rules. */
BT_MUST_USE bt_status bt_text_tokenizer_create_as(bt_text_tokenizer    **out,
                                                  const bt_text_vocab   *vocab,
                                                  const bt_text_options *options, bt_error *err);
void                  bt_text_tokenizer_free(bt_text_tokenizer *tokenizer);
const bt_text_vocab  *bt_text_tokenizer_vocab(const bt_text_tokenizer *tokenizer);
/* The id that fills a sequence up: 0 by Python's rules, else that of [PAD]. */
int32_t bt_text_tokenizer_pad_id(const bt_text_tokenizer *tokenizer);

BT_MUST_USE bt_status bt_text_scratch_create(bt_text_scratch **out, bt_error *err);
void                  bt_text_scratch_free(bt_text_scratch *scratch);

/* Ids of a text given as bytes; invalid UTF-8 is dropped as bytes.decode('utf-8', 'ignore') does
 * (tensorflow-text: becomes U+FFFD in lower case, stays otherwise). Fails for want of memory only.
 */
BT_MUST_USE bt_status bt_text_encode(const bt_text_tokenizer *tokenizer, bt_text_scratch *scratch,
                                     const char *text, size_t n_bytes, const int32_t **ids,
                                     size_t *n_ids, bt_error *err);
/* The same for code points (which may be lone surrogates, as JSON escapes can make them), by
 * Python's rules only. */
BT_MUST_USE bt_status bt_text_encode_codepoints(const bt_text_tokenizer *tokenizer,
                                                bt_text_scratch *scratch, const uint32_t *text,
                                                size_t n, const int32_t **ids, size_t *n_ids,
                                                bt_error *err);

/* [CLS] a [SEP] or [CLS] a [SEP] b [SEP], cut by the data tool's rule: the last piece of the longer
 * one goes first, of b when they are equal. b == NULL or without pieces: absent. */
typedef struct bt_text_pair {
    const int32_t *ids;      /* [n] */
    const int32_t *segments; /* [n] 0 up to the first [SEP], 1 after it */
    size_t         n;
} bt_text_pair;
/* BT_E_CONFIG: max_seq_length below 2, or below 3 with a second text. */
BT_MUST_USE bt_status bt_text_encode_pair(const bt_text_tokenizer *tokenizer,
                                          bt_text_scratch *scratch, const char *a, size_t a_bytes,
                                          const char *b, size_t b_bytes, int64_t max_seq_length,
                                          bt_text_pair *out, bt_error *err);

/* [CLS] t1 [SEP] t2 [SEP] ..., each text by its own segment number, cut as BertPackInputs does: the
 * texts take turns to keep one more piece until max_seq_length is full. A text without pieces
 * keeps its [SEP]. BT_E_CONFIG: max_seq_length has no room for [CLS] and a [SEP] each. */
typedef struct bt_text_span {
    const char *text;
    size_t      n_bytes;
} bt_text_span;
BT_MUST_USE bt_status bt_text_pack(const bt_text_tokenizer *tokenizer, bt_text_scratch *scratch,
                                   const bt_text_span *texts, size_t n_texts,
                                   int64_t max_seq_length, bt_text_pair *out, bt_error *err);

/* What the files of a tokenizer say. */

/* Of a folder as Hugging Face's libraries write it: tokenizer.json, tokenizer_config.json,
 * vocab.txt; -1, 0 and NULL where they say nothing. */
typedef struct bt_text_facts {
    char   *vocab_file; /* owned: tokenizer.json, else vocab.txt */
    char   *said_by;    /* owned: the file that says how text is treated */
    int8_t  lower_case, strip_accents, chinese_chars;
    int64_t max_length; /* of a sequence */
} bt_text_facts;
/* BT_E_UNSUPPORTED, by name: a tokenizer that is not BERT's. */
BT_MUST_USE bt_status bt_text_read_facts(const char *folder, bt_text_facts *out, bt_error *err);
void                  bt_text_facts_deinit(bt_text_facts *facts);

/* The other way: tokenizer.json of a tokenizer with this vocabulary and treatment, which cuts texts
 * at max_length, appended to out. By tensorflow-text's rules texts with characters that its NFKC
 * case folding changes become other tokens there. BT_E_FORMAT: no [CLS] or [SEP]. */
BT_MUST_USE bt_status bt_text_write_tokenizer_json(const bt_text_vocab   *vocab,
                                                   const bt_text_options *options,
                                                   int64_t max_length, bt_str *out, bt_error *err);
/* Are "[SEP]" and its like in a text the pieces, as where they are added tokens of a
 * tokenizer.json? Else they are letters like others. */
bool bt_text_vocab_finds_special(const bt_text_vocab *vocab);

/* Basic tokenizer: words before WordPiece. */

typedef struct bt_text_word {
    const char *bytes;        /* UTF-8 (a lone surrogate as its three bytes); not NUL-terminated */
    size_t      n_bytes;      /* >= 1 */
    size_t      n_codepoints; /* >= 1 */
} bt_text_word;

/* BasicTokenizer(do_lower_case, split_on_punc) of the same text. */
BT_MUST_USE bt_status bt_text_split_words(bt_text_scratch *scratch, const char *text,
                                          size_t n_bytes, bool do_lower_case, bool split_on_punc,
                                          const bt_text_word **words, size_t *n_words,
                                          bt_error *err);
BT_MUST_USE bt_status bt_text_split_words_as(bt_text_scratch *scratch, const char *text,
                                             size_t n_bytes, const bt_text_options *options,
                                             const bt_text_word **words, size_t *n_words,
                                             bt_error *err); /* splits at punctuation */
BT_MUST_USE bt_status bt_text_split_words_codepoints(bt_text_scratch *scratch, const uint32_t *text,
                                                     size_t n, bool do_lower_case,
                                                     bool split_on_punc, const bt_text_word **words,
                                                     size_t *n_words, bt_error *err);

/* The words of tensorflow-text's BasicTokenizer. In cased texts bytes that are not UTF-8 stay. */
BT_MUST_USE bt_status bt_text_split_words_tf(bt_text_scratch *scratch, const char *text,
                                             size_t n_bytes, bool do_lower_case,
                                             const bt_text_word **words, size_t *n_words,
                                             bt_error *err);

/* Files of text.
 * Their bytes as UTF-8: unpacked (gzip, bzip2, xz, zstd, zip; by the first bytes), converted, lines
 * that end with CR as lines. */

/* What a user says of the encoding: NULL: UTF-8, or what a byte order mark says. */
enum { BT_TEXT_KEY_MAX = 96 };
typedef struct bt_text_encoding {
    const char *name;                 /* borrowed */
    char        key[BT_TEXT_KEY_MAX]; /* what sets it, for messages: "task.train_data.encoding" */
} bt_text_encoding;

typedef struct bt_text_source {
    bool    is_unpacked; /* the bytes [begin, end) of *scratch; else those of the file itself */
    int64_t begin;
    int64_t end;
    bt_str  head; /* owned: the first of them, at most 64 KiB */
} bt_text_source;

/* *scratch is created when it is needed; the caller owns it. BT_E_FORMAT: the key contradicts the
 * mark, the file is cut, an archive of several, columns (bt_text_refuse_columns), or no text. What
 * is read but once takes pipes (bt_fs_is_pipe): their bytes go to *scratch. Others, and what is
 * packed in a pipe, are refused (BT_E_IO). */
BT_MUST_USE bt_status bt_text_source_open(const char *path, const bt_text_encoding *encoding,
                                          bool takes_pipes, bt_fs_scratch **scratch,
                                          bt_text_source *out, bt_error *err);
void                  bt_text_source_deinit(bt_text_source *source);
BT_MUST_USE bt_status bt_text_source_stream(const bt_text_source *source, const char *path,
                                            const bt_fs_scratch *scratch, bt_fs_stream **out,
                                            bt_error *err);

/* What to do about the byte at of text that is not UTF-8; "" or a text. */
enum { BT_TEXT_ADVICE_MAX = 160 };
const char *bt_text_encoding_advice(const char *key, const char *text, size_t n, size_t at,
                                    char advice[BT_TEXT_ADVICE_MAX]);
/* Bytes of ".gz", ".bz2", ".xz", ".zst" or ".zip" where the path [n] ends so, in any case; else 0.
 */
size_t bt_text_packed_suffix(const char *path, size_t n);
/* A file that begins as one packed with bzip2, xz, zstd or zip, whose name does not say what is in
 * it: BT_E_FORMAT with the names that do. */
BT_MUST_USE bt_status bt_text_refuse_packed(const char *path, bt_error *err);
/* Parquet, Arrow, Feather and Excel files, by name or first bytes: BT_E_FORMAT with the command
 * that makes a table of them. head may be NULL. */
BT_MUST_USE bt_status bt_text_refuse_columns(const char *path, const char *head, size_t n,
                                             bt_error *err);

/* Objects of JSON one after the other. */

/* The objects of a list, [{...}, {...}], or one after the other over any number of lines, as pretty
 * printers write them. Only where each ends is looked for: what is inside is checked by whoever
 * parses it. */
typedef struct bt_text_values bt_text_values;

/* Does the file that begins so hold anything else than an object a line? */
bool bt_text_is_values(const char *head, size_t n);
/* The stream, which stays the caller's, is at its beginning. An object of more than max_bytes is
 * refused. *values is made where it is NULL, else used again; the caller frees it. */
BT_MUST_USE bt_status bt_text_values_of_stream(bt_text_values **values, const char *path,
                                               bt_fs_stream *stream, size_t max_bytes,
                                               bt_error *err);
/* {"data": [{...}, ...]}: where in the head the list begins whose objects have one of the keys;
 * SIZE_MAX: there is none, or the object itself has one. enter: the values are those of the list.
 */
size_t bt_text_find_items(const char *head, size_t n, const char *const *keys, size_t n_keys);
BT_MUST_USE bt_status bt_text_values_enter(bt_text_values *values, size_t at, bt_error *err);
/* The same of bytes, which stay the caller's. is_whole: a file's, so that a mark or a list may
 * stand at the beginning. */
BT_MUST_USE bt_status bt_text_values_of_bytes(bt_text_values **values, const char *path,
                                              const char *bytes, size_t n, bool is_whole,
                                              size_t max_bytes, bt_error *err);
void                  bt_text_values_free(bt_text_values *values);
/* *object, borrowed until the next call; *end: there is none. Errors name file, line and column. */
BT_MUST_USE bt_status bt_text_values_next(bt_text_values *values, const char **object, size_t *n,
                                          bool *end, bt_error *err);
typedef struct bt_text_place {
    int64_t byte;
    int64_t line, column; /* from 1 */
} bt_text_place;
/* Where the object that was given last begins. */
bt_text_place bt_text_values_place(const bt_text_values *values);
/* A copy of JSON without the values of other keys, in all its objects: null stands for them, so
 * that NaN, long integers and half surrogate pairs there matter to nobody. *ok is false where it is
 * not JSON even in Python's eyes. */
BT_MUST_USE bt_status bt_text_json_blank_others(const char *text, size_t n, const char *const *keys,
                                                size_t n_keys, bt_str *out, bool *ok,
                                                bt_error *err);

/* Files of words with labels. */

/* One word a line with its label, sentences apart by empty lines. Two forms: PAN-X's and UDPOS's,
 * exactly as Model Garden's data tool reads them (one or two columns, tab between; a line of spaces
 * is a word), and what CoNLL files look like in the wild (columns separated by tabs or spaces,
 * lines of spaces between sentences, -DOCSTART- lines left out). Strict UTF-8; every CR is dropped.
 *
 * CoNLL's comments are left out: "# key = value", "#begin document", "#end document"; in a line
 * with tabs whatever begins with # and a space ("# id 4711 TAB domain=en"); before the first word
 * of a sentence also what begins so and has no tab where the file's first word has, or another
 * number of columns. So a word # is one, as every word that begins with #. CoNLL-U (ten columns,
 * the first a number): ranges (1-2) and empty nodes (1.1) are left out, and unless columns are
 * given the word is FORM and the label UPOS. CoNLL-U Plus: a first line "# global.columns = ID FORM
 * ..." names the columns; unless they are given, the label is that of the one column that CoNLL-U
 * does not have, or UPOS. All words of a file (of a sentence, where columns are given) have as many
 * columns.
 *
 * Files called .jsonl, .ndjson or .json (or so and packed) hold sentences, {"tokens": [...],
 * "ner_tags": [...]}: an object a line, in a list, or in the list that is a member of one object
 * ({"data": [...]}). Words of tokens or words, labels of ner_tags, ner, tags, labels or pos_tags,
 * names or numbers of classes.
 *
 * Read through bt_text_source_open: packed, or of another encoding. */
enum { BT_TEXT_LAST_COLUMN = -1 };
typedef struct bt_text_word_form {
    bool             is_conll;
    bool             repair_bio;   /* CoNLL, JSON: an entity that begins with I- begins with B- */
    int              word_column;  /* CoNLL: from 0 */
    int              label_column; /* CoNLL: from 0, or BT_TEXT_LAST_COLUMN */
    const char      *word_name;    /* CoNLL-U Plus: the columns by name, or NULL */
    const char      *label_name;
    const char      *conll_advice;   /* what a user sets to read CoNLL's form, for messages */
    const char      *columns_advice; /* ... and its columns */
    const char      *labels_advice;  /* ... and the names of labels that are numbers */
    bt_text_encoding encoding;
} bt_text_word_form;

/* Both texts without surrounding white space; not NUL-terminated. */
typedef struct bt_text_word_line {
    const char *word;
    size_t      n_word;
    const char *label; /* NULL: the line has none */
    size_t      n_label;
    bool        label_is_id; /* JSON: the label is a number, a class's */
} bt_text_word_line;

typedef struct bt_text_word_file bt_text_word_file;

/* By its extension: sentences in JSON. */
bool bt_text_is_word_json(const char *path);
/* form is borrowed until the file is closed. */
BT_MUST_USE bt_status bt_text_word_file_open(bt_text_word_file **out, const char *path,
                                             const bt_text_word_form *form, bt_error *err);
void                  bt_text_word_file_close(bt_text_word_file *file); /* accepts NULL */
/* The next line: a word (borrowed until the next call), *is_break between sentences, or *end. */
BT_MUST_USE bt_status bt_text_word_file_next(bt_text_word_file *file, bt_text_word_line *word,
                                             bool *is_break, bool *end, bt_error *err);
const char           *bt_text_word_file_path(const bt_text_word_file *file);
int64_t bt_text_word_file_line(const bt_text_word_file *file); /* of the last line, from 1 */
const bt_text_word_form *bt_text_word_file_form(const bt_text_word_file *file);
/* Says in a line each what was left out so far, and how many entities begin with I-. */
void bt_text_word_file_tell(const bt_text_word_file *file, const char *repair_advice);

/* The labels of words, by id. */
typedef struct bt_text_labels {
    bt_map     *ids;   /* name -> id */
    char      **names; /* [n] by id */
    size_t      n;
    size_t      cap;
    const char *from;    /* where they come from, for messages; borrowed */
    int64_t     n_words; /* of collect: of the files */
    int64_t     n_sentences;
} bt_text_labels;

BT_MUST_USE bt_status bt_text_labels_init(bt_text_labels *labels, bt_error *err);
void                  bt_text_labels_deinit(bt_text_labels *labels);
/* In their order. */
BT_MUST_USE bt_status bt_text_labels_add(bt_text_labels *labels, const char *const *names, size_t n,
                                         const char *from, bt_error *err);
/* Those of files, where every word must have one: "O" first, the others by their bytes. */
BT_MUST_USE bt_status bt_text_labels_collect(bt_text_labels *labels, const char *const *paths,
                                             size_t n, const bt_text_word_form *form,
                                             const char *from, bt_error *err);
/* "O,B-PER,..." or "@FILE" with one a line. */
BT_MUST_USE bt_status bt_text_labels_parse(bt_text_labels *labels, const char *text,
                                           const char *from, bt_error *err);
/* The id of the word's label; BT_E_FORMAT with file and line when it has none or another one. */
BT_MUST_USE bt_status bt_text_labels_find(const bt_text_labels    *labels,
                                          const bt_text_word_file *file,
                                          const bt_text_word_line *word, int64_t *id,
                                          bt_error *err);

/* Sentences of labelled words as sequences: [CLS], the pieces of as many whole words as fit, [SEP];
 * the first piece of a word has its label, all else -1. */
enum { BT_TEXT_MIN_WORD_SEQ_LENGTH = 3 };
typedef struct bt_text_word_packer {
    const bt_text_tokenizer *tokenizer; /* borrowed */
    int64_t                  max_seq_length;
    int32_t                  cls;
    int32_t                  sep;
    int32_t                  unk;
} bt_text_word_packer;
BT_MUST_USE bt_status bt_text_word_packer_init(bt_text_word_packer     *packer,
                                               const bt_text_tokenizer *tokenizer,
                                               int64_t max_seq_length, bt_error *err);

/* Where they go: ids and labels [max_seq_length] hold the n tokens of sequence `number` of the
 * sentence, from 0, while take is called. */
typedef struct bt_text_word_room {
    bt_text_scratch *scratch;
    int32_t         *ids;
    int32_t         *labels;
    bt_status (*take)(void *context, size_t n, int64_t number, bt_error *err);
    void *context;
} bt_text_word_room;
/* words: an LF after each; labels: an int32_t each, aligned or not. */
BT_MUST_USE bt_status bt_text_pack_words(const bt_text_word_packer *packer,
                                         const bt_text_word_room *room, const char *words,
                                         size_t n_bytes, const void *labels, bt_error *err);

/* UTF-8. */

/* Number of leading bytes that are valid UTF-8 (== n when all are): no surrogates, no overlong
 * forms. */
size_t bt_text_utf8_valid_prefix(const char *text, size_t n);
/* Reads the code point at *at (before end) and moves after it. false: no valid one starts there,
 * and *at has moved one byte on. */
BT_MUST_USE bool bt_text_read_utf8(const char **at, const char *end, uint32_t *c);
/* UTF-8 as a JSON string with its quotes, as Python's json.dumps writes it: all ASCII. Bytes that
 * are not UTF-8 become U+FFFD. */
BT_MUST_USE bt_status bt_text_append_json_ascii(bt_str *out, const char *text, size_t n,
                                                bt_error *err);

/* Characters and texts as Python's str sees them. */

bool bt_text_is_space(uint32_t c); /* str.isspace() */
bool bt_text_is_word(uint32_t c);  /* \w of re: str.isalnum() or the underscore */
/* str.lower() of valid UTF-8 (other bytes are dropped): one for one, but U+0130, and a capital
 * sigma by its place. Borrowed from the scratch. */
BT_MUST_USE bt_status bt_text_lower(bt_text_scratch *scratch, const char *text, size_t n_bytes,
                                    const char **out, size_t *n_out, bt_error *err);

#endif
