/* SPDX-License-Identifier: Apache-2.0
 *
 * The words behind the records of a tagger: the files that create-finetuning-data read, walked in
 * the order of the records. A word without text has no piece, so no prediction, and is left out
 * here too. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/alloc.h"
#include "bt/text.h"
#include "task_internal.h"

#define SECTION "task.validation_data."

struct task_words {
    bt_fs_names        paths; /* owned */
    bt_text_word_form  form;
    size_t             next_path;
    bt_text_word_file *file; /* or NULL: between files */
    bt_str             word;
    bool               starts;     /* the next word begins a sentence */
    bool               has_label;  /* the last word */
    bool               are_tagged; /* the file is the input, whose words may have labels */
};

static bt_status get_column(const bt_conf *conf, const char *section, const char *key, int *out,
                            bt_error *err) {
    char    path[128];
    int64_t column = 0;
    (void)snprintf(path, sizeof path, "%s.%s", section, key);
    BT_TRY(bt_conf_get_i64(conf, path, &column, err));
    if (column > INT32_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, "%s: no file has %" PRId64 " columns", path, column);
    }
    *out = (int)column - 1;
    return BT_OK;
}

/* NULL: null or empty. */
static bt_status get_text(const bt_conf *conf, const char *section, const char *key,
                          const char **out, bt_error *err) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s.%s", section, key);
    *out = NULL;
    if (!bt_conf_is_null(conf, path)) {
        BT_TRY(bt_conf_get_str(conf, path, out, err));
    }
    *out = bt_str_equal(*out, "") ? NULL : *out;
    return BT_OK;
}

bt_status task_read_word_form(const bt_conf *conf, const char *section, bt_text_word_form *form,
                              bt_error *err) {
    char        path[128];
    const char *format = "";
    *form = (bt_text_word_form){
        .conll_advice = "words_format=conll",
        .columns_advice =
            "words_column, label_column, or by name words_column_name, label_column_name",
        .labels_advice = "task.class_names"};
    (void)snprintf(form->encoding.key, sizeof form->encoding.key, "%s.encoding", section);
    BT_TRY(get_text(conf, section, "encoding", &form->encoding.name, err));
    (void)snprintf(path, sizeof path, "%s.words_format", section);
    BT_TRY(bt_conf_get_str(conf, path, &format, err));
    form->is_conll = !bt_str_equal(format, "plain");
    (void)snprintf(path, sizeof path, "%s.repair_bio", section);
    BT_TRY(bt_conf_get_bool(conf, path, &form->repair_bio, err));
    BT_TRY(get_text(conf, section, "words_column_name", &form->word_name, err));
    BT_TRY(get_text(conf, section, "label_column_name", &form->label_name, err));
    BT_TRY(get_column(conf, section, "words_column", &form->word_column, err));
    return get_column(conf, section, "label_column", &form->label_column, err); /* -1: the last */
}

static bt_status read_form(const bt_conf *conf, const bt_task_labels *labels,
                           bt_text_word_form *form, bt_error *err) {
    const char *format = "";
    BT_TRY(task_read_word_form(conf, "task.validation_data", form, err));
    BT_TRY(bt_conf_get_str(conf, SECTION "words_format", &format, err));
    form->is_conll = bt_str_equal_nocase(format[0] != '\0' ? format : labels->processor, "conll");
    /* of the label nothing is wanted: the word's neighbour stands for it */
    form->label_column = form->word_column == 0 ? BT_TEXT_LAST_COLUMN : 0;
    form->label_name = NULL;
    form->conll_advice = SECTION "words_format=conll";
    form->columns_advice = SECTION "words_column";
    return BT_OK;
}

/* Those of words_path; of an input that is words with tags, its own. */
static bt_status find_files(const bt_conf *conf, const bt_data_words *input, task_words *words,
                            bt_error *err) {
    bt_conf_str_list paths = {0};
    BT_TRY(bt_conf_get_str_list(conf, SECTION "words_path", &paths, err));
    if (paths.n > 0 && input->is_used) {
        return BT_FAIL(err, BT_E_CONFIG,
                       SECTION "words_path: input_path names words with tags already");
    }
    if (input->is_used) {
        const char *held_out = "";
        if (!bt_conf_is_null(conf, SECTION "held_out")) {
            BT_TRY(bt_conf_get_str(conf, SECTION "held_out", &held_out, err));
        }
        if (held_out[0] != '\0') { /* rows and words would not go together */
            return BT_FAIL(err, BT_E_CONFIG,
                           SECTION "held_out: predictions are made of all words of a file: name it "
                                   "with --predict, or set held_out to ''");
        }
        return bt_data_list_files(conf, "task.validation_data", &words->paths, err);
    }
    for (size_t i = 0; i < paths.n; i++) {
        BT_TRY(bt_fs_require_file(paths.items[i], NULL, err));
        BT_TRY(bt_grow(&words->paths.items, &words->paths.cap, i + 1, sizeof *words->paths.items,
                       SIZE_MAX / 16, err));
        words->paths.items[i] = bt_strdup(paths.items[i]);
        if (words->paths.items[i] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for " SECTION "words_path");
        }
        words->paths.n++;
    }
    return BT_OK;
}

bt_status task_words_create(const bt_conf *conf, const bt_task_labels *labels,
                            const bt_data_words *input, task_words **out, bt_error *err) {
    task_words *words = bt_calloc_array(1, sizeof *words);
    bt_status   rc = BT_OK;
    if (words == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the words of " SECTION "words_path");
    }
    words->starts = true;
    BT_CHECK(find_files(conf, input, words, err));
    words->are_tagged = input->is_used;
    if (input->is_used) {
        words->form = input->form;
    } else if (words->paths.n > 0) {
        BT_CHECK(read_form(conf, labels, &words->form, err));
    }
    if (words->paths.n > 0) {
        *out = words;
        words = NULL;
    }
done:
    task_words_free(words);
    return rc;
}

void task_words_free(task_words *words) {
    if (words != NULL) {
        bt_text_word_file_close(words->file);
        bt_fs_names_deinit(&words->paths);
        bt_str_deinit(&words->word);
        bt_free(words);
    }
}

bt_status task_words_rewind(task_words *words, bt_error *err) {
    bt_text_word_file_close(words->file);
    words->file = NULL;
    words->starts = true;
    words->next_path = 1;
    return bt_text_word_file_open(&words->file, words->paths.items[0], &words->form, err);
}

static bt_status open_next(task_words *words, bt_error *err) {
    bt_text_word_file_close(words->file);
    words->file = NULL;
    words->starts = true;
    return bt_text_word_file_open(&words->file, words->paths.items[words->next_path++],
                                  &words->form, err);
}

static bt_status keep_word(task_words *words, const bt_text_word_line *line, const char **word,
                           bool *starts, bt_error *err) {
    bt_str_clear(&words->word);
    BT_TRY(bt_str_append_n(&words->word, line->word, line->n_word, err));
    *word = bt_str_text(&words->word);
    *starts = words->starts;
    words->starts = false;
    words->has_label = line->label != NULL;
    return BT_OK;
}

bool task_words_has_label(const task_words *words) {
    return !words->are_tagged || words->has_label;
}

bt_status task_words_next(task_words *words, const char **word, bool *starts, bt_error *err) {
    *word = NULL;
    for (;;) {
        bt_text_word_line line = {0};
        bool              is_break = false;
        bool              end = false;
        BT_TRY(bt_text_word_file_next(words->file, &line, &is_break, &end, err));
        if (end && words->next_path == words->paths.n) {
            return BT_OK;
        }
        if (end) {
            BT_TRY(open_next(words, err));
        } else if (is_break) {
            words->starts = true;
        } else if (line.n_word > 0) {
            return keep_word(words, &line, word, starts, err);
        }
    }
}

const char *task_words_place(const task_words *words, char buffer[TASK_WORDS_PLACE_MAX]) {
    (void)snprintf(buffer, TASK_WORDS_PLACE_MAX, "%.480s:%" PRId64,
                   bt_text_word_file_path(words->file), bt_text_word_file_line(words->file));
    return buffer;
}
