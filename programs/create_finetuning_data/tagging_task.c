/* SPDX-License-Identifier: Apache-2.0
 *
 * Tagging: PAN-X and UDPOS as the real tool makes them (docs/model_garden/data.md section 1,
 * "Tagging"), and any CoNLL file, whose labels are those of the training file ("O" first, then by
 * their bytes) or given. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/log.h"
#include "bt/base/number.h"
#include "bt/text.h"
#include "data_task.h"

const char *const tagging_panx_languages[] = {
    "ar", "he", "vi", "id", "jv", "ms", "tl", "eu", "ml", "ta", "te", "af", "nl", "en",
    "de", "el", "bn", "hi", "mr", "ur", "fa", "fr", "it", "pt", "es", "bg", "ru", "ja",
    "ka", "ko", "th", "sw", "yo", "my", "zh", "kk", "tr", "et", "fi", "hu", NULL};
const char *const tagging_udpos_languages[] = {"af", "ar", "bg", "de", "el", "en", "es", "et", "eu",
                                               "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja",
                                               "kk", "ko", "mr", "nl", "pt", "ru", "ta", "te", "th",
                                               "tl", "tr", "ur", "vi", "yo", "zh", NULL};
static const char *const panx_labels[] = {"O",     "B-PER", "I-PER", "B-LOC",
                                          "I-LOC", "B-ORG", "I-ORG", NULL};
static const char *const udpos_labels[] = {"ADJ",   "ADP",   "ADV", "AUX",  "CCONJ", "DET",
                                           "INTJ",  "NOUN",  "NUM", "PART", "PRON",  "PROPN",
                                           "PUNCT", "SCONJ", "SYM", "VERB", "X",     NULL};

struct tagging_config {
    const char *const *labels; /* NULL: CoNLL */
    /* More than English: whatever train-*.tsv there are, in the file system's order (as the real
     * tool's glob gives them); else every language of the list, English first. */
    bool lists_files;
};
const tagging_config tagging_conll = {0};
const tagging_config tagging_panx = {.labels = panx_labels};
const tagging_config tagging_udpos = {.labels = udpos_labels, .lists_files = true};

static const char *const file_stems[DATA_N_SPLITS] = {"train", "dev", "test"};

/* The first of these that is in --input_data_dir is a CoNLL split. */
enum { MAX_STEMS = 3 };
static const char *const conll_stems[DATA_N_SPLITS][MAX_STEMS + 1] = {
    {"train"}, {"dev", "valid", "validation"}, {"test"}};
static const char *const conll_endings[] = {".tsv",   ".txt",  ".conll",  ".bio",
                                            ".iob",   ".iob2", ".conllu", ".conllup",
                                            ".jsonl", ".json", ".ndjson"};
static const char *const conll_2003[DATA_N_SPLITS] = {"eng.train", "eng.testa", "eng.testb"};

typedef struct tagging_run {
    const tagging_config *config;
    const data_task      *task;
    bt_text_word_form     form;
    bt_text_labels        labels;
    char                 *columns; /* owned: what the form's names point into */
} tagging_run;

/* Rows: sentences. */

typedef struct sentence_source {
    const tagging_run *run;
    const data_part   *part;
    size_t             next_input;
    bt_text_word_file *reader;
    int64_t            sentence_id; /* in the file */
    bt_str             words;       /* an LF after each */
    bt_str             labels;      /* int32_t */
    int64_t            n_unlabelled;
    int64_t            first_unlabelled; /* its line */
} sentence_source;

static bt_status add_word(sentence_source *s, const bt_text_word_line *word, bt_error *err) {
    const tagging_run *const run = s->run;
    int64_t                  id = 0;
    const bool               needs_label = run->form.is_conll && s->part->split != DATA_TEST;
    if (word->label != NULL || needs_label) {
        BT_TRY(bt_text_labels_find(&run->labels, s->reader, word, &id, err));
    } else {
        s->first_unlabelled =
            s->n_unlabelled == 0 ? bt_text_word_file_line(s->reader) : s->first_unlabelled;
        s->n_unlabelled++;
    }
    const int32_t label = (int32_t)id;
    BT_TRY(bt_str_append_n(&s->words, word->word, word->n_word, err));
    BT_TRY(bt_str_append_char(&s->words, '\n', err));
    return bt_str_append_n(&s->labels, &label, sizeof label, err);
}

/* Unlabelled words in a test file are usual; elsewhere the user may not have meant them. */
static void close_input(sentence_source *s) {
    if (s->n_unlabelled > 0 && s->part->split != DATA_TEST) {
        bt_log(BT_LOG_WARNING,
               "%s: words without a label, which count as %s: %" PRId64
               ", the first at line %" PRId64,
               bt_text_word_file_path(s->reader), s->run->labels.names[0], s->n_unlabelled,
               s->first_unlabelled);
    }
    bt_text_word_file_tell(s->reader, "--tagging_repair_bio");
    bt_text_word_file_close(s->reader);
    s->reader = NULL;
    s->n_unlabelled = 0;
}

static bt_status open_next_input(sentence_source *s, bt_error *err) {
    s->sentence_id = 0;
    return bt_text_word_file_open(&s->reader, s->part->inputs[s->next_input++], &s->run->form, err);
}

/* Words up to the sentence's end; *end: the file's end came. */
static bt_status read_sentence(sentence_source *s, bool *end, bt_error *err) {
    bool is_break = false;
    bt_str_clear(&s->words);
    bt_str_clear(&s->labels);
    while (!is_break || s->words.len == 0) {
        bt_text_word_line word = {0};
        is_break = false;
        BT_TRY(bt_text_word_file_next(s->reader, &word, &is_break, end, err));
        if (*end) {
            return BT_OK;
        }
        if (!is_break) {
            BT_TRY(add_word(s, &word, err));
        }
    }
    return BT_OK;
}

static bt_status next_row(void *state, example_row *row, bool *end, bt_error *err) {
    sentence_source *const s = state;
    *end = false;
    for (;;) {
        bool file_end = false;
        if (s->reader == NULL && s->next_input == s->part->n_inputs) {
            *end = true;
            return BT_OK;
        }
        if (s->reader == NULL) {
            BT_TRY(open_next_input(s, err));
        }
        BT_TRY(read_sentence(s, &file_end, err));
        row->id = s->sentence_id++;
        if (file_end) {
            close_input(s);
        }
        if (s->words.len > 0) {
            row->a = bt_str_text(&s->words);
            row->n_a = s->words.len;
            row->b = bt_str_text(&s->labels);
            row->n_b = s->labels.len;
            return BT_OK;
        }
    }
}

static void close_source(void *state) {
    sentence_source *const s = state;
    bt_text_word_file_close(s->reader);
    bt_str_deinit(&s->words);
    bt_str_deinit(&s->labels);
    bt_free(s);
}

static bt_status open_source(const data_job *job, const data_part *part, const void *context,
                             example_source *out, bt_error *err) {
    sentence_source *const s = bt_calloc_array(1, sizeof *s);
    (void)job;
    if (s == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the input");
    }
    s->run = context;
    s->part = part;
    *out = (example_source){.state = s, .next = next_row, .close = close_source};
    return BT_OK;
}

/* "train-de.tsv" of stem "train" -> "de", if --languages wants it. */
static bool is_wanted_file(const data_job *job, const char *name, const char *stem) {
    char         language[32];
    const size_t n_stem = strlen(stem);
    const size_t n = strlen(name);
    if (!bt_str_starts_with(name, stem) || name[n_stem] != '-' || !bt_str_ends_with(name, ".tsv") ||
        n < n_stem + 5 || n - n_stem - 5 >= sizeof language) {
        return false;
    }
    memcpy(language, name + n_stem + 1, n - n_stem - 5);
    language[n - n_stem - 5] = '\0';
    return data_uses_language(job, language);
}

static bt_status add_listed_files(const data_job *job, data_part *part, const char *stem,
                                  bt_error *err) {
    bt_fs_names names = BT_FS_NAMES_INIT;
    bt_status   rc = bt_fs_list_unsorted(job->input_dir, &names, err);
    for (size_t i = 0; rc == BT_OK && i < names.n; i++) {
        if (is_wanted_file(job, names.items[i], stem)) {
            rc = data_add_input(part, job->input_dir, names.items[i], NULL, err);
        }
    }
    bt_fs_names_deinit(&names);
    if (rc == BT_OK && part->n_inputs == 0) {
        rc = BT_FAIL(err, BT_E_IO, "%s: no files %s-LANGUAGE.tsv there", job->input_dir, stem);
    }
    return rc;
}

static bt_status add_language_file(const data_job *job, data_part *part, int split,
                                   const char *language, bt_error *err) {
    bt_str    name = BT_STR_INIT;
    bt_status rc = bt_str_appendf(&name, err, "%s-%s.tsv", file_stems[split], language);
    if (rc == BT_OK) {
        rc = data_add_input(part, job->input_dir, bt_str_text(&name), NULL, err);
    }
    bt_str_deinit(&name);
    return rc;
}

static bt_status add_train_or_dev(data_job *job, const tagging_run *run, int split, bt_error *err) {
    static const char *const only_english[] = {"tagging_only_use_en_train", "only_use_en_dev"};
    const char *const *const languages = run->task->languages;
    data_part               *part = NULL;
    BT_TRY(data_add_part(job, split, NULL, &part, err));
    if (bt_flags_bool(job->flags, only_english[split])) {
        return add_language_file(job, part, split, "en", err);
    }
    if (run->config->lists_files) {
        return add_listed_files(job, part, file_stems[split], err);
    }
    if (data_uses_language(job, "en")) {
        BT_TRY(add_language_file(job, part, split, "en", err));
    }
    for (size_t i = 0; languages[i] != NULL; i++) {
        if (!bt_str_equal(languages[i], "en") && data_uses_language(job, languages[i])) {
            BT_TRY(add_language_file(job, part, split, languages[i], err));
        }
    }
    return BT_OK;
}

static bt_status add_tests(data_job *job, const tagging_run *run, bt_error *err) {
    for (size_t i = 0; run->task->languages[i] != NULL; i++) {
        const char *const language = run->task->languages[i];
        data_part        *part = NULL;
        if (data_uses_language(job, language)) {
            BT_TRY(data_add_part(job, DATA_TEST, language, &part, err));
            BT_TRY(add_language_file(job, part, DATA_TEST, language, err));
        }
    }
    return BT_OK;
}

/* CoNLL: its files, columns and labels. */

static bt_status find_conll_file(const data_job *job, int split, char found[DATA_NAME_BYTES],
                                 bt_error *err) {
    bool is_there = false;
    for (size_t s = 0; conll_stems[split][s] != NULL; s++) {
        for (size_t i = 0; i < BT_ARRAY_LEN(conll_endings) && !is_there; i++) {
            char name[DATA_NAME_BYTES] = "";
            (void)snprintf(name, sizeof name, "%s%s", conll_stems[split][s], conll_endings[i]);
            BT_TRY(data_find_file(job->input_dir, name, found, &is_there, err));
        }
    }
    if (!is_there) {
        BT_TRY(data_find_file(job->input_dir, conll_2003[split], found, &is_there, err));
    }
    return is_there ? BT_OK
                    : BT_FAIL(err, BT_E_IO,
                              "%s: no %s file there; looked for %s.tsv, .txt, .conll, .bio, .iob, "
                              ".conllu, .jsonl, .json (also .gz, .bz2, .xz, .zst, .zip) and %s",
                              job->input_dir, data_split_names[split], conll_stems[split][0],
                              conll_2003[split]);
}

/* "WORD,LABEL": numbers from 1, or names. The texts belong to the run. */
static bt_status parse_columns(tagging_run *run, const char *text, bt_error *err) {
    bt_text_word_form *const form = &run->form;
    int64_t                  word = 0;
    int64_t                  label = 0;
    run->columns = bt_strdup(text);
    if (run->columns == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for --tagging_columns");
    }
    char *const comma = strchr(run->columns, ',');
    bool        is_good =
        comma != NULL && comma > run->columns && comma[1] != '\0' && strchr(comma + 1, ',') == NULL;
    if (is_good) {
        *comma = '\0';
        const bool is_number = bt_parse_i64(run->columns, &word);
        is_good = is_number == bt_parse_i64(comma + 1, &label) &&
                  strcmp(run->columns, comma + 1) != 0 &&
                  (!is_number || (word >= 1 && label >= 1 && word <= 64 && label <= 64));
        form->word_name = is_number ? NULL : run->columns;
        form->label_name = is_number ? NULL : comma + 1;
        form->word_column = is_number ? (int)word - 1 : 0;
        form->label_column = is_number ? (int)label - 1 : BT_TEXT_LAST_COLUMN;
    }
    return is_good ? BT_OK
                   : BT_FAIL(err, BT_E_CONFIG,
                             "--tagging_columns=%s: expected the numbers of two columns, of the "
                             "word and of the label, e.g. 1,4, or their names (CoNLL-U Plus)",
                             text);
}

static bt_status add_conll(data_job *job, tagging_run *run, bt_error *err) {
    const char *const columns = data_path_flag(job->flags, "tagging_columns");
    const char *const given = data_path_flag(job->flags, "tagging_labels");
    run->form.is_conll = true;
    run->form.encoding = job->encoding;
    run->form.repair_bio = bt_flags_bool(job->flags, "tagging_repair_bio");
    run->form.label_column = BT_TEXT_LAST_COLUMN;
    if (columns != NULL) {
        BT_TRY(parse_columns(run, columns, err));
    }
    for (int split = DATA_TRAIN; split < DATA_N_SPLITS; split++) {
        char       name[DATA_NAME_BYTES] = "";
        data_part *part = NULL;
        if (job->paths[split] != NULL) {
            BT_TRY(find_conll_file(job, split, name, err));
            BT_TRY(data_add_part(job, split, NULL, &part, err));
            BT_TRY(data_add_input(part, job->input_dir, name, NULL, err));
        }
    }
    if (given != NULL) {
        return bt_text_labels_parse(&run->labels, given, "--tagging_labels", err);
    }
    char  name[DATA_NAME_BYTES] = "";
    char *path = NULL;
    BT_TRY(find_conll_file(job, DATA_TRAIN, name, err));
    BT_TRY(bt_fs_join(job->input_dir, name, &path, err));
    const bt_status rc = bt_text_labels_collect(
        &run->labels, (const char *const *)&path, 1, &run->form,
        "the labels of the training file; give all with --tagging_labels", err);
    bt_free(path);
    return rc;
}

static bt_status add_xtreme(data_job *job, tagging_run *run, bt_error *err) {
    size_t n = 0;
    while (run->config->labels[n] != NULL) {
        n++;
    }
    BT_TRY(bt_text_labels_add(&run->labels, run->config->labels, n, "the task's labels", err));
    for (int split = DATA_TRAIN; split <= DATA_EVAL; split++) {
        if (job->paths[split] != NULL) {
            BT_TRY(add_train_or_dev(job, run, split, err));
        }
    }
    return job->paths[DATA_TEST] == NULL ? BT_OK : add_tests(job, run, err);
}

static bt_status put_test_sizes(const data_job *job, meta_data *meta, bt_error *err) {
    bool is_open = false;
    for (size_t i = 0; i < job->n_parts; i++) {
        const data_part *const part = &job->parts[i];
        if (part->split == DATA_TEST && part->language == NULL) {
            return meta_put_int(meta, "test_data_size", part->n_records, err);
        }
        if (part->split == DATA_TEST) {
            if (!is_open) {
                BT_TRY(meta_open_map(meta, "test_data_size", err));
                is_open = true;
            }
            BT_TRY(meta_put_int(meta, part->language, part->n_records, err));
        }
    }
    return is_open ? meta_close(meta, err) : BT_OK;
}

static bt_status put_meta(const data_job *job, const tagging_run *run, meta_data *meta,
                          bt_error *err) {
    const int64_t n_eval = data_split_records(job, DATA_EVAL);
    BT_TRY(meta_open_map(meta, NULL, err));
    BT_TRY(meta_put_int(meta, "train_data_size", data_split_records(job, DATA_TRAIN), err));
    BT_TRY(meta_put_int(meta, "max_seq_length", job->max_seq_length, err));
    BT_TRY(meta_put_int(meta, "num_labels", (int64_t)run->labels.n, err));
    BT_TRY(meta_put_text(meta, "task_type", "tagging", err));
    BT_TRY(meta_put_text(meta, "label_type", "int", err));
    BT_TRY(meta_open_list(meta, "label_shape", err));
    BT_TRY(meta_put_int(meta, NULL, job->max_seq_length, err));
    BT_TRY(meta_close(meta, err));
    if (n_eval > 0) {
        BT_TRY(meta_put_int(meta, "eval_data_size", n_eval, err));
    }
    BT_TRY(put_test_sizes(job, meta, err));
    BT_TRY(meta_open_list(meta, "label_list", err));
    for (size_t i = 0; i < run->labels.n; i++) {
        BT_TRY(meta_put_text(meta, NULL, run->labels.names[i], err));
    }
    BT_TRY(meta_close(meta, err));
    BT_TRY(meta_put_text(meta, "processor_type", run->task->processor, err));
    return meta_close(meta, err);
}

static bt_status check_flags(const data_job *job, const data_task *task, bt_error *err) {
    static const char *const    conll_flags[] = {"tagging_labels", "tagging_columns"};
    const tagging_config *const config = task->config;
    BT_TRY(data_require_output(job, 1U << DATA_TRAIN | 1U << DATA_EVAL | 1U << DATA_TEST, err));
    for (size_t i = 0; config->labels != NULL && i < BT_ARRAY_LEN(conll_flags); i++) {
        if (data_path_flag(job->flags, conll_flags[i]) != NULL) {
            return BT_FAIL(err, BT_E_CONFIG, "--%s is for --tagging_task_name=conll, not for %s",
                           conll_flags[i], task->name);
        }
    }
    if (config->labels != NULL && bt_flags_bool(job->flags, "tagging_repair_bio")) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--tagging_repair_bio is for --tagging_task_name=conll, not for %s",
                       task->name);
    }
    if (job->max_seq_length < BT_TEXT_MIN_WORD_SEQ_LENGTH) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "--max_seq_length=%" PRId64 " is too small: a word with [CLS] and [SEP] "
                       "needs at least %d",
                       job->max_seq_length, BT_TEXT_MIN_WORD_SEQ_LENGTH);
    }
    return data_require_input_dir(job, task,
                                  config->labels == NULL ? "train.tsv, dev.tsv, test.tsv or .txt"
                                                         : "train-en.tsv, dev-en.tsv, test-en.tsv",
                                  err);
}

bt_status run_tagging(data_job *job, const data_task *task, meta_data *meta, bt_error *err) {
    bt_status              rc = BT_OK;
    bt_text_word_packer    packer = {0};
    const example_settings settings = {.convert = convert_sentence, .context = &packer};
    tagging_run            run = {.config = task->config,
                                  .task = task,
                                  .form = {.conll_advice = "--tagging_task_name=conll",
                                           .columns_advice = "--tagging_columns=WORD,LABEL",
                                           .labels_advice = "--tagging_labels"}};
    BT_CHECK(check_flags(job, task, err));
    BT_CHECK(bt_text_word_packer_init(&packer, job->tokenizer, job->max_seq_length, err));
    BT_CHECK(bt_text_labels_init(&run.labels, err));
    BT_CHECK(run.config->labels == NULL ? add_conll(job, &run, err) : add_xtreme(job, &run, err));
    BT_CHECK(data_write_parts(job, &settings, open_source, &run, err));
    rc = put_meta(job, &run, meta, err);
done:
    bt_text_labels_deinit(&run.labels);
    bt_free(run.columns);
    return rc;
}
