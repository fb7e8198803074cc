/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema tables: data sections.
 * One row a key: name, type, flags, default, range, meaning. Names and defaults are those of Model
 * Garden 2.19.1; EXT marks keys of our own. Keys stand in sorted order. */
#include "conf_schema.h"

#define WHY_INPUT "batches are made by threads of our own"
#define WHY_SERVICE "tf.data service is not supported"
#define WHY_TFDS "TensorFlow Datasets cannot be read"

static const conf_key data_keys[] = {
    KEY_IGNORED("apply_tf_data_service_before_batching", T_BOOL, 0, "false", RULE_NONE,
                "where tf.data service is applied", WHY_SERVICE),
    KEY_IGNORED("autotune_algorithm", T_STR, NULLABLE, NULL, RULE_NONE, "how tf.data tunes itself",
                WHY_INPUT),
    KEY("block_length", T_INT, 0, "1", RULE_GE1,
        "examples read from one file before the next, with several files"),
    KEY_IGNORED("cache", T_BOOL, 0, "false", RULE_NONE, "keep parsed examples in memory",
                "records stay in files, which the system caches; batches are the same"),
    KEY("cycle_length", T_INT, NULLABLE, NULL, RULE_GE1,
        "files read at the same time (null = chosen)"),
    KEY_IGNORED("deterministic", T_BOOL, NULLABLE, NULL, RULE_NONE,
                "keep the order of examples fixed (null = true)",
                "the order of examples is always fixed"),
    KEY("drop_remainder", T_BOOL, 0, "true", RULE_NONE,
        "drop the last batch when it is smaller than the others"),
    KEY_IGNORED("enable_shared_tf_data_service_between_parallel_trainers", T_BOOL, 0, "false",
                RULE_NONE, "share one tf.data service among trainers", WHY_SERVICE),
    KEY_REFUSED("enable_tf_data_service", T_BOOL, 0, "false", RULE_NONE,
                "use tf.data service when an address is given",
                "tf.data service is not supported; set it to false"),
    KEY("epochs", T_INT, EXT | NULLABLE, NULL, RULE_GE1,
        "with train_steps 0 or null: steps = epochs * rows / global_batch_size"),
    KEY("global_batch_size", T_INT, 0, "0", RULE_GE0, "examples per step, over all replicas"),
    KEY("input_path", T_PATHS, NULLABLE | PATH, "", RULE_NONE,
        "record files: a path, a pattern with * or ?, several separated by commas, or a list"),
    KEY("is_training", T_BOOL, NULLABLE, NULL, RULE_NONE, "shuffle and repeat, for training"),
    KEY_IGNORED("prefetch_buffer_size", T_INT, NULLABLE, NULL, RULE_NONE,
                "batches prepared ahead (null = chosen)",
                "as many batches are prepared ahead as the steps need"),
    KEY_IGNORED("ram_budget", T_INT, NULLABLE, NULL, RULE_NONE, "tf.data's memory limit",
                WHY_INPUT),
    KEY("seed", T_INT, NULLABLE, NULL, RULE_NONE,
        "seed of the shuffle (null = the fixed default seed)"),
    KEY_IGNORED("sharding", T_BOOL, 0, "true", RULE_NONE, "split the input over several pipelines",
                "several processes divide each batch (docs/scaling.md), not the files"),
    KEY("shuffle_buffer_size", T_INT, 0, "100", RULE_GE1,
        "examples among which the shuffle draws; 1 keeps the order"),
    KEY("skip_bad_records", T_INT, EXT, "0", RULE_GE0, "how many damaged records may be skipped"),
    KEY_IGNORED("tf_data_service_address", T_STR, NULLABLE, NULL, RULE_NONE,
                "address of tf.data service; the flag --tf_data_service sets it", WHY_SERVICE),
    KEY_IGNORED("tf_data_service_job_name", T_STR, NULLABLE, NULL, RULE_NONE,
                "name of the tf.data service job", WHY_SERVICE),
    KEY_IGNORED("tfds_as_supervised", T_BOOL, 0, "false", RULE_NONE,
                "TFDS setting: (input, label) pairs", WHY_TFDS),
    KEY_IGNORED("tfds_data_dir", T_STR, NULLABLE | PATH, "", RULE_NONE, "folder of TFDS data sets",
                WHY_TFDS),
    KEY_REFUSED(
        "tfds_name", T_STR, NULLABLE, "", RULE_NONE,
        "name of a TFDS data set, instead of input_path",
        "TensorFlow Datasets cannot be read; make TFRecords with create-finetuning-data and set "
        "input_path"),
    KEY_IGNORED("tfds_skip_decoding_feature", T_STR, NULLABLE, "", RULE_NONE,
                "TFDS features that stay encoded", WHY_TFDS),
    KEY_IGNORED("tfds_split", T_STR, NULLABLE, "", RULE_NONE, "split of the TFDS data set",
                WHY_TFDS),
    KEY_IGNORED("trainer_id", T_STR, NULLABLE, NULL, RULE_NONE,
                "name of this trainer for a shared tf.data service", WHY_SERVICE),
};
const conf_class conf_class_data = {"official.core.config_definitions.DataConfig", NULL, data_keys,
                                    BT_ARRAY_LEN(data_keys), false};

/* Keys of ours of all sections of which a part can be held out. */
#define HELD_OUT_KEYS                                                                              \
    KEY("held_out", T_STR, EXT | NULLABLE, "", &(const conf_rule)CHOICES("|without|only"),         \
        "text: without reads the rows that are not held out, only those that are (empty: all), "   \
        "held_out_share of them, drawn by held_out_seed: of a table so much of each label, of "    \
        "words whole sentences, of questions whole articles"),                                     \
        KEY("held_out_fold", T_INT, EXT, "0", RULE_GE0,                                            \
            "which of the shares is held out: of 0.2 one of 0 to 4 (cross-validation)"),           \
        KEY("held_out_seed", T_INT, EXT, "0", RULE_GE0, "which rows are held out"),                \
        KEY("held_out_share", T_FLOAT, EXT, "0.0", RULE_RATE,                                      \
            "share of the rows that is held out")

/* Of all sections that texts can be in. */
#define KEY_ENCODING(WHAT)                                                                         \
    KEY("encoding", T_STR, EXT | NULLABLE, "", RULE_NONE,                                          \
        WHAT ": how text is encoded, a name as iconv knows it: windows-1252, utf-16le, ... "       \
             "(empty: UTF-8, or what a byte order mark says)")

/* Keys of ours of all sections that tables can be in. */
static const conf_key table_data_keys[] = {
    KEY("delimiter", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "tsv, csv: what separates the columns, one character or tab (empty: tab or comma, or what "
        "a "
        "line sep=; or the row of names shows)"),
    KEY_ENCODING("tables"),
    HELD_OUT_KEYS,
    KEY("quote", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "tsv, csv: the character around fields that hold others, or none (empty: a double quote in "
        "csv, none in tsv)"),
    KEY("strip_accents", T_BOOL, EXT | NULLABLE, NULL, RULE_NONE,
        "raw text: take accents off (null: where its case is lowered, as BERT does)"),
    KEY("tokenize_chinese_chars", T_BOOL, EXT, "true", RULE_NONE,
        "raw text: each Chinese character is a word of its own"),
};
static const conf_class conf_class_table_data = {"official.core.config_definitions.DataConfig",
                                                 &conf_class_data, table_data_keys,
                                                 BT_ARRAY_LEN(table_data_keys), false};

static const conf_key sentence_prediction_data_keys[] = {
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed|tsv|csv|jsonl"),
        "records (compressed: GZIP), or tables of text; files called .tsv, .csv, .jsonl, .json (or "
        "that and .gz) are tables whatever this key says"),
    KEY("global_batch_size", T_INT, 0, "32", RULE_GE0, "examples per step, over all replicas"),
    KEY("include_example_id", T_BOOL, 0, "false", RULE_NONE, "read example_id from the records"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("label_field", T_STR, 0, "label_ids", RULE_NONE,
        "feature that holds the label; with text_fields the default is label"),
    KEY("label_fields", T_STR_LIST, EXT | NULLABLE, NULL, RULE_NONE,
        "several labels a row: a column of numbers from 0 to 1 for each class"),
    KEY_IGNORED("label_name", T_STR_LIST, NULLABLE | PAIR, NULL, RULE_NONE,
                "[a, b]: also give label a the name b",
                "records of one label are read by label_field alone"),
    KEY("label_separator", T_STR, EXT, ",", RULE_NONE,
        "several labels a row: the sign between those of label_field"),
    KEY("label_type", T_STR, 0, "int", &(const conf_rule)CHOICES("int|float"),
        "type of the label feature"),
    KEY("lower_case", T_BOOL, EXT, "true", RULE_NONE,
        "with text_fields: lower the text's case before tokenizing"),
    KEY("seq_length", T_INT, 0, "128", RULE_GE1, "tokens per example, padding included"),
    KEY("text_fields", T_STR_LIST, EXT | NULLABLE, NULL, RULE_NONE,
        "raw text: columns or features that hold it, one or two, by name or (columns) by number "
        "from 1; tokenized as create-finetuning-data does"),
    KEY("vocab_file", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "with text_fields: vocabulary, one piece a line (empty: that of task.init_checkpoint's "
        "folder, or of task.hub_module_url)"),
    KEY("weight_field", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "training: column or float feature that says how much a row counts (empty: all alike)"),
};
const conf_class conf_class_sentence_prediction_data = {
    "official.nlp.data.sentence_prediction_dataloader.SentencePredictionDataConfig",
    &conf_class_table_data, sentence_prediction_data_keys,
    BT_ARRAY_LEN(sentence_prediction_data_keys), false};

static const conf_key sentence_prediction_text_data_keys[] = {
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed|tsv|csv|jsonl"),
        "records (compressed: GZIP), or tables of text; files called .tsv, .csv, .jsonl, .json (or "
        "that and .gz) are tables whatever this key says"),
    KEY("global_batch_size", T_INT, 0, "32", RULE_GE0, "examples per step, over all replicas"),
    KEY("include_example_id", T_BOOL, 0, "false", RULE_NONE, "read example_id from the records"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("label_field", T_STR, 0, "label", RULE_NONE, "feature or column that holds the label"),
    KEY("label_fields", T_STR_LIST, EXT | NULLABLE, NULL, RULE_NONE,
        "several labels a row: a column of numbers from 0 to 1 for each class"),
    KEY("label_separator", T_STR, EXT, ",", RULE_NONE,
        "several labels a row: the sign between those of label_field"),
    KEY("label_type", T_STR, 0, "int", &(const conf_rule)CHOICES("int|float"),
        "type of the label feature"),
    KEY("lower_case", T_BOOL, 0, "true", RULE_NONE, "lower the text's case before tokenizing"),
    KEY_REFUSED("preprocessing_hub_module_url", T_STR, NULLABLE | PATH, "", RULE_NONE,
                "TF Hub module that tokenizes, instead of vocab_file",
                "preprocessing modules cannot be read; name the vocabulary in vocab_file"),
    KEY("seq_length", T_INT, 0, "128", RULE_GE1, "tokens per example, padding included"),
    KEY("text_fields", T_STR_LIST, NULLABLE, NULL, RULE_NONE,
        "features or columns that hold the text, by name; columns also by number from 1"),
    KEY("text_rules", T_STR, EXT, "tensorflow", &(const conf_rule)CHOICES("tensorflow|bert"),
        "raw text: whose rules make the tokens, tensorflow-text's, as Model Garden's, or BERT's "
        "own, "
        "as Hugging Face's and create-finetuning-data's"),
    KEY_REFUSED("tokenization", T_STR, 0, "WordPiece",
                &(const conf_rule)CHOICES("WordPiece|SentencePiece"), "WordPiece or SentencePiece",
                "SentencePiece is not supported; set it to WordPiece"),
    KEY("vocab_file", T_STR, NULLABLE | PATH, "", RULE_NONE,
        "vocabulary, one piece a line (empty: that of task.init_checkpoint's folder, or of "
        "task.hub_module_url)"),
    KEY("weight_field", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "training: column or float feature that says how much a row counts (empty: all alike)"),
};
const conf_class conf_class_sentence_prediction_text_data = {
    "official.nlp.data.sentence_prediction_dataloader.SentencePredictionTextDataConfig",
    &conf_class_table_data, sentence_prediction_text_data_keys,
    BT_ARRAY_LEN(sentence_prediction_text_data_keys), false};

static const conf_key qa_data_keys[] = {
    KEY("do_lower_case", T_BOOL, 0, "true", RULE_NONE, "lower the text's case before tokenizing"),
    KEY("doc_stride", T_INT, 0, "128", RULE_GE1,
        "tokens between the starts of two windows of a long document"),
    KEY_ENCODING("SQuAD files"),
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed"),
        "how record files are compressed (compressed: GZIP)"),
    KEY("global_batch_size", T_INT, 0, "48", RULE_GE0, "examples per step, over all replicas"),
    HELD_OUT_KEYS,
    KEY("input_path", T_PATHS, NULLABLE | PATH, "", RULE_NONE,
        "training: record files, or SQuAD files that end in .json or .jsonl (or that and .gz, "
        "...); "
        "evaluation: SQuAD files"),
    KEY("input_preprocessed_data_path", T_STR, NULLABLE | PATH, "", RULE_NONE,
        "folder for the evaluation's windows as records (empty = they are not written)"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE,
        "shuffle and repeat, for training; an evaluation never does"),
    KEY("query_length", T_INT, 0, "64", RULE_GE0, "longest question in tokens"),
    KEY("seq_length", T_INT, 0, "384", RULE_GE1, "tokens per example, padding included"),
    KEY("strip_accents", T_BOOL, EXT | NULLABLE, NULL, RULE_NONE,
        "raw text: take accents off (null: where its case is lowered, as BERT does)"),
    KEY_REFUSED("tokenization", T_STR, 0, "WordPiece",
                &(const conf_rule)CHOICES("WordPiece|SentencePiece"), "WordPiece or SentencePiece",
                "SentencePiece is not supported; set it to WordPiece"),
    KEY("tokenize_chinese_chars", T_BOOL, EXT, "true", RULE_NONE,
        "raw text: each Chinese character is a word of its own"),
    KEY("version_2_with_negative", T_BOOL, 0, "false", RULE_NONE,
        "SQuAD 2: questions may have no answer"),
    KEY("vocab_file", T_STR, NULLABLE | PATH, "", RULE_NONE,
        "vocabulary, one piece a line; SQuAD files are tokenised with it (empty: with that of "
        "task.hub_module_url)"),
    KEY_REFUSED("xlnet_format", T_BOOL, 0, "false", RULE_NONE,
                "order of features as XLNet wants it", "XLNet is not supported; set it to false"),
};
const conf_class conf_class_qa_data = {
    "official.nlp.data.question_answering_dataloader.QADataConfig", &conf_class_data, qa_data_keys,
    BT_ARRAY_LEN(qa_data_keys), false};

static const conf_key tagging_data_keys[] = {
    KEY_ENCODING("words with tags, words_path"),
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed|conll"),
        "records (compressed: GZIP), or words with tags: files called .conll, .conllu, .conllup, "
        ".bio, .iob, "
        ".txt, .tsv, .jsonl, .json (or that and .gz, ...) are words with tags whatever this key "
        "says"),
    HELD_OUT_KEYS,
    KEY("include_sentence_id", T_BOOL, 0, "false", RULE_NONE, "read sentence_id from the records"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("label_column", T_INT, EXT, "0", RULE_GE0,
        "words with tags: which column holds the tag, from 1 (0: the last; of CoNLL-U UPOS)"),
    KEY("label_column_name", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "the same by the name that the file's line # global.columns gives it (CoNLL-U Plus)"),
    KEY("lower_case", T_BOOL, EXT, "true", RULE_NONE,
        "words with tags: lower their case before tokenizing"),
    KEY("repair_bio", T_BOOL, EXT, "false", RULE_NONE,
        "words with tags: let entities that begin with I- begin with B-"),
    KEY("seq_length", T_INT, 0, "128", RULE_GE1, "tokens per example, padding included"),
    KEY("strip_accents", T_BOOL, EXT | NULLABLE, NULL, RULE_NONE,
        "words: take accents off (null: where their case is lowered, as BERT does)"),
    KEY("tokenize_chinese_chars", T_BOOL, EXT, "true", RULE_NONE,
        "words: each Chinese character is a word of its own"),
    KEY("vocab_file", T_STR, EXT | NULLABLE | PATH, "", RULE_NONE,
        "words with tags: vocabulary, one piece a line (empty: that of task.hub_module_url)"),
    KEY("words_column", T_INT, EXT, "1", RULE_GE1,
        "words with tags, words_path: which column holds the word"),
    KEY("words_column_name", T_STR, EXT | NULLABLE, "", RULE_NONE,
        "the same by name (CoNLL-U Plus)"),
    KEY("words_format", T_STR, EXT | NULLABLE, "", &(const conf_rule)CHOICES("|plain|conll"),
        "of words_path: plain (word TAB tag) or conll (empty = as the meta data say, else plain); "
        "of words with tags: conll where it is empty"),
    KEY("words_path", T_PATHS, EXT | NULLABLE | PATH, "", RULE_NONE,
        "predict: the text that the records were made of, a word a line; then words are written "
        "with their tags"),
};
const conf_class conf_class_tagging_data = {
    "official.nlp.data.tagging_dataloader.TaggingDataConfig", &conf_class_data, tagging_data_keys,
    BT_ARRAY_LEN(tagging_data_keys), false};

static const conf_key dual_encoder_data_keys[] = {
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed|tsv|csv|jsonl|lines"),
        "records (compressed: GZIP), tables of text, or texts of one side, a line each; files "
        "called "
        ".tsv, .csv, .jsonl (or that and .gz) are tables whatever this key says"),
    KEY("global_batch_size", T_INT, 0, "32", RULE_GE0,
        "pairs per step, over all replicas: each side has the others as negatives"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("left_text_fields", T_STR_LIST, TUPLE, "left_input", RULE_NONE,
        "raw text: features or columns that hold the left text, by name; columns also by number "
        "from 1"),
    KEY("lower_case", T_BOOL, 0, "true", RULE_NONE, "lower the text's case before tokenizing"),
    KEY_REFUSED("preprocessing_hub_module_url", T_STR, NULLABLE | PATH, "", RULE_NONE,
                "TF Hub module that tokenizes, instead of vocab_file",
                "preprocessing modules cannot be read; name the vocabulary in vocab_file"),
    KEY("right_input_path", T_PATHS, EXT | NULLABLE | PATH, "", RULE_NONE,
        "files of the right sides, row for row, when input_path holds the left sides only"),
    KEY("right_text_fields", T_STR_LIST, TUPLE, "right_input", RULE_NONE,
        "the same of the right text; none: predictions of the left side only"),
    KEY("seq_length", T_INT, 0, "128", RULE_GE1, "tokens per side, padding included"),
    KEY("text_rules", T_STR, EXT, "tensorflow", &(const conf_rule)CHOICES("tensorflow|bert"),
        "raw text: whose rules make the tokens, tensorflow-text's, as Model Garden's, or BERT's "
        "own, "
        "as Hugging Face's and create-finetuning-data's"),
    KEY("vocab_file", T_STR, NULLABLE | PATH, "", RULE_NONE,
        "raw text: vocabulary, one piece a line, or a tokenizer.json; empty: records hold ids, and "
        "tables have that of task.init_checkpoint's folder, or of task.hub_module_url"),
};
const conf_class conf_class_dual_encoder_data = {
    "official.nlp.data.dual_encoder_dataloader.DualEncoderDataConfig", &conf_class_table_data,
    dual_encoder_data_keys, BT_ARRAY_LEN(dual_encoder_data_keys), false};

static const conf_key pretrain_data_keys[] = {
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed"),
        "how record files are compressed (compressed: GZIP)"),
    KEY("global_batch_size", T_INT, 0, "512", RULE_GE0, "examples per step, over all replicas"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("max_predictions_per_seq", T_INT, 0, "76", RULE_GE1, "masked words per example"),
    KEY("seq_length", T_INT, 0, "512", RULE_GE1, "tokens per example, padding included"),
    KEY("use_next_sentence_label", T_BOOL, 0, "true", RULE_NONE, "read next_sentence_labels"),
    KEY("use_position_id", T_BOOL, 0, "false", RULE_NONE, "read position_ids"),
    KEY("use_v2_feature_names", T_BOOL, 0, "false", RULE_NONE,
        "records name features input_word_ids and input_type_ids"),
};
const conf_class conf_class_pretrain_data = {
    "official.nlp.data.pretrain_dataloader.BertPretrainDataConfig", &conf_class_data,
    pretrain_data_keys, BT_ARRAY_LEN(pretrain_data_keys), false};

static const conf_key pretrain_dynamic_data_keys[] = {
    KEY_IGNORED("deterministic", T_BOOL, 0, "false", RULE_NONE,
                "keep the order of examples fixed (null = true)",
                "the order of examples is always fixed"),
    KEY("enable_round_robin_tf_data_service", T_BOOL, 0, "false", RULE_NONE,
        "tf.data service setting; ignored"),
    KEY("global_batch_size", T_INT, 0, "512", RULE_GE0, "examples per step, over all replicas"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("seq_bucket_lengths", T_INT_LIST, TUPLE, "128, 256, 384, 512", RULE_NONE,
        "upper bounds of the length buckets"),
    KEY("seq_bucket_window_scale", T_INT, 0, "8", RULE_GE1, "how many batches a bucket gathers"),
    KEY_IGNORED("tf_data_service_job_name", T_STR, 0, "bert_pretrain", RULE_NONE,
                "name of the tf.data service job", WHY_SERVICE),
    KEY("use_next_sentence_label", T_BOOL, 0, "true", RULE_NONE, "read next_sentence_labels"),
    KEY("use_position_id", T_BOOL, 0, "false", RULE_NONE, "read position_ids"),
    KEY("use_v2_feature_names", T_BOOL, 0, "false", RULE_NONE,
        "records name features input_word_ids and input_type_ids"),
};
const conf_class conf_class_pretrain_dynamic_data = {
    "official.nlp.data.pretrain_dynamic_dataloader.BertPretrainDataConfig", &conf_class_data,
    pretrain_dynamic_data_keys, BT_ARRAY_LEN(pretrain_dynamic_data_keys), false};

static const conf_key pretrain_text_data_keys[] = {
    KEY("doc_batch_size", T_INT, 0, "8", RULE_GE1, "documents tokenized together"),
    KEY("file_type", T_STR, 0, "tfrecord",
        &(const conf_rule)CHOICES("tfrecord|tfrecord_compressed"),
        "how record files are compressed (compressed: GZIP)"),
    KEY("global_batch_size", T_INT, 0, "512", RULE_GE0, "examples per step, over all replicas"),
    KEY("is_training", T_BOOL, 0, "true", RULE_NONE, "shuffle and repeat, for training"),
    KEY("masking_rate", T_FLOAT, 0, "0.15", RULE_0_TO_1, "share of tokens that are masked"),
    KEY("max_predictions_per_seq", T_INT, 0, "76", RULE_GE1, "masked words per example"),
    KEY("seq_length", T_INT, 0, "512", RULE_GE1, "tokens per example, padding included"),
    KEY("text_field_names", T_STR_LIST, NULLABLE, "text", RULE_NONE, "features that hold the text"),
    KEY("use_next_sentence_label", T_BOOL, 0, "true", RULE_NONE, "read next_sentence_labels"),
    KEY("use_whole_word_masking", T_BOOL, 0, "false", RULE_NONE,
        "mask all pieces of a word together"),
    KEY("vocab_file_path", T_STR, NULLABLE | PATH, "", RULE_NONE, "vocabulary, one piece a line"),
};
const conf_class conf_class_pretrain_text_data = {
    "official.nlp.data.pretrain_text_dataloader.BertPretrainTextDataConfig", &conf_class_data,
    pretrain_text_data_keys, BT_ARRAY_LEN(pretrain_text_data_keys), false};
