/* SPDX-License-Identifier: Apache-2.0
 *
 * What --train decides beside columns: the tags of words, the version of SQuAD's questions, the
 * rows that are held out, epochs and learning rates. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bert_train_short.h"
#include "bt/base/json_text.h"
#include "bt/base/number.h"
#include "bt/task.h"

#define RATE "trainer.optimizer_config.learning_rate"

/* What README.md says: of sentences and pairs the rate of most recipes, of tags and answers, whose
 * heads have more to learn, the largest that BERT's authors tried. */
static const struct {
    const char *key; /* that only the task has */
    const char *epochs;
    const char *rate;
} recipes[] = {
    {TRAIN ".doc_stride", "2", "5.0e-05"},
    {TRAIN ".words_column", "3", "5.0e-05"},
    {TRAIN ".input_path", "3", "2.0e-05"},
};

/* Epochs, and a rate that rises for a tenth of the steps and falls to 0 in a straight line. */
bt_status short_decide_steps(short_run *run, bt_error *err) {
    const char *const type = bt_conf_type_of_oneof(run->conf, RATE);
    size_t            i = 0;
    while (!bt_conf_has(run->conf, recipes[i].key) && i + 1 < BT_ARRAY_LEN(recipes)) {
        i++;
    }
    if (!short_is_written(run, "trainer.train_steps")) {
        BT_TRY(short_decide(run, TRAIN ".epochs", recipes[i].epochs, "--train", err));
    }
    return type != NULL && bt_str_equal(type, "polynomial") && !short_is_written(run, RATE ".type")
               ? short_decide(run, RATE ".polynomial.initial_learning_rate", recipes[i].rate,
                              "--train", err)
               : BT_OK;
}

/* The best checkpoint is kept, as Model Garden's recipes of these tasks do. */
static bt_status decide_best(short_run *run, const char *metric, bt_error *err) {
    static const char        folder[] = "trainer.best_checkpoint_export_subdir";
    static const char *const keys[] = {folder, "trainer.best_checkpoint_eval_metric",
                                       "trainer.best_checkpoint_metric_comp"};
    for (size_t i = 0; i < BT_ARRAY_LEN(keys); i++) {
        if (short_is_written(run, keys[i])) { /* they go together */
            return BT_OK;
        }
    }
    BT_TRY(short_decide(run, folder, BT_TRAIN_BEST_SUBDIR, "--train", err));
    BT_TRY(short_decide(run, keys[1], metric, "--train", err));
    return short_decide(run, keys[2], "higher", "--train", err);
}

/* --text and --label are numbers, or the names that a file's line # global.columns gives. */
static bt_status put_column(const short_run *run, const char *flag, const char *key,
                            const column_list *columns, bt_error *err) {
    static const char *const sections[] = {TRAIN, VALIDATION};
    int64_t                  number = 0;
    if (columns->n == 0) {
        return BT_OK;
    }
    const bool is_number = bt_parse_i64(columns->items[0], &number);
    if (columns->n > 1 || (is_number && number < 1)) {
        return BT_FAIL(
            err, BT_E_CONFIG,
            "--%s=%s: expected one column of the words' file, its number from 1 or a name "
            "of its line # global.columns",
            flag, short_flag(run, flag));
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(sections); i++) {
        char path[PATH_MAX_BYTES];
        (void)snprintf(path, sizeof path, "%s.%s%s", sections[i], key, is_number ? "" : "_name");
        BT_TRY(short_put(run, flag, path, columns->items, 1, false, err));
    }
    return BT_OK;
}

static bool says_entities(const bt_text_labels *tags) {
    for (size_t i = 0; i < tags->n; i++) {
        const char *const tag = tags->names[i];
        if (!bt_str_equal(tag, "O") && (strchr("BIES", tag[0]) == NULL || tag[1] != '-')) {
            return false;
        }
    }
    return true;
}

static bt_status decide_tags(short_run *run, const bt_text_labels *tags, bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    list = BT_STR_INIT;
    BT_CHECK(bt_str_append_char(&list, '[', err));
    for (size_t i = 0; i < tags->n; i++) {
        BT_CHECK(bt_str_append(&list, i > 0 ? ", " : "", err));
        BT_CHECK(bt_str_append_json(&list, tags->names[i], err));
    }
    BT_CHECK(bt_str_append_char(&list, ']', err));
    BT_CHECK(short_decide(run, "task.class_names", bt_str_text(&list), "--train", err));
done:
    bt_str_deinit(&list);
    return rc;
}

/* Tags whose names are known from elsewhere, or will be, are not asked for. */
static bool has_tags(const short_run *run) {
    const char *meta = "";
    bool        takes_head = false;
    return short_is_written(run, "task.class_names") ||
           (bt_conf_get_str(run->conf, "task.meta_data_path", &meta, NULL) == BT_OK &&
            meta[0] != '\0') ||
           (bt_conf_get_bool(run->conf, "task.init_head", &takes_head, NULL) == BT_OK &&
            takes_head);
}

static bt_status use_tags(short_run *run, const char *input, const bt_text_labels *tags,
                          bt_error *err) {
    if (tags->n_sentences == 1 && tags->n_words > 500) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %" PRId64 " lines and no empty one between sentences: expected a word "
                       "and its tag a line; a table of sentences is for bert/sentence_prediction",
                       input, tags->n_words);
    }
    if (tags->n < 2) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: every word has the same tag '%s', so there is nothing to tell apart: "
                       "is it the column of the tags (--label=NUMBER)?",
                       input, tags->names[0]);
    }
    if (tags->n > 1000) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "%s: %zu different tags (one is '%s'): is it the column of the tags "
                       "(--label=NUMBER)? If it is, name them in task.class_names",
                       input, tags->n, tags->names[0]);
    }
    BT_TRY(decide_tags(run, tags, err));
    return decide_best(run, says_entities(tags) ? "f1" : "accuracy", err);
}

static const char words_advice[] =
    "words with tags are files called .conll, .conllu, .bio, .txt, .tsv or .jsonl (or file_type "
    "conll); a table of sentences is for bert/sentence_prediction";

static bt_status use_word_files(short_run *run, const char *input, bt_error *err) {
    bt_text_labels tags = {0};
    bool           are_words = false;
    bt_status      rc = bt_task_read_tags(run->conf, &are_words, has_tags(run) ? NULL : &tags, err);
    if (rc == BT_OK && are_words && tags.n > 0) {
        rc = use_tags(run, input, &tags, err);
    }
    bt_text_labels_deinit(&tags);
    if (rc == BT_OK && !are_words) {
        rc = short_use_records(run, input, words_advice, err);
    }
    if (rc != BT_OK || !are_words) {
        return rc;
    }
    /* a long sentence, which is several rows, is one where it is judged */
    BT_TRY(short_decide(run, VALIDATION ".include_sentence_id", "true", "--train", err));
    return short_use_text(run, input, err);
}

bt_status short_use_words(short_run *run, const char *input, const column_list *texts,
                          const column_list *labels, bt_error *err) {
    BT_TRY(put_column(run, "text", "words_column", texts, err));
    BT_TRY(put_column(run, "label", "label_column", labels, err));
    static const char *const flags[] = {"--train", "--eval", "--predict"};
    for (size_t i = 0; i < BT_ARRAY_LEN(flags); i++) { /* the experiment's default is none at all */
        if (short_flag(run, flags[i] + 2) != NULL) {
            BT_TRY(short_decide_both(run, "global_batch_size", "32", flags[i], err));
        }
    }
    if (short_flag(run, "eval") != NULL || short_flag(run, "predict") != NULL) {
        bool are_words = false;
        BT_TRY(bt_task_are_words(run->conf, VALIDATION, &are_words, err));
        BT_TRY(are_words ? BT_OK : short_refuse_text(run, VALIDATION, words_advice, err));
    }
    return input != NULL ? use_word_files(run, input, err) : BT_OK;
}

bt_status short_use_questions(short_run *run, const char *input, bt_error *err) {
    bool are_questions = false;
    bool any_unanswered = false;
    BT_TRY(bt_task_find_unanswered(run->conf, &are_questions, &any_unanswered, err));
    if (!are_questions) {
        return short_use_records(run, input, "questions are SQuAD's files, called .json or .jsonl",
                                 err);
    }
    if (any_unanswered) {
        BT_TRY(short_decide_both(run, "version_2_with_negative", "true", "--train", err));
    }
    BT_TRY(decide_best(run, "final_f1", err));
    return short_use_text(run, input, err);
}
