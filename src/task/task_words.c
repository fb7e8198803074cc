/* SPDX-License-Identifier: Apache-2.0
 *
 * The words behind the records of a tagger: the files that create-finetuning-data read, walked in
 * the order of the records. A word without text has no piece, so no prediction, and is left out
 * here too. */
#include <stdio.h>

#include "bt/text.h"
#include "task_internal.h"

#define SECTION "task.validation_data."

struct task_words {
    bt_conf_str_list   paths; /* borrowed from conf */
    bt_text_word_form  form;
    size_t             next_path;
    bt_text_word_file *file; /* or NULL: between files */
    bt_str             word;
    bool               starts; /* the next word begins a sentence */
};

/* ---- life ------------------------------------------------------------------------------------ */

static bt_status read_form(const bt_conf *conf, const bt_task_labels *labels,
                           bt_text_word_form *form, bt_error *err) {
    const char *format = "";
    int64_t     column = 0;
    BT_TRY(bt_conf_get_str(conf, SECTION "words_format", &format, err));
    BT_TRY(bt_conf_get_i64(conf, SECTION "words_column", &column, err));
    if (column > INT32_MAX) {
        return BT_FAIL(err, BT_E_CONFIG, SECTION "words_column: no file has %" PRId64 " columns",
                       column);
    }
    const bool is_told = format[0] != '\0';
    /* of the label nothing is wanted: the word's neighbour stands for it */
    *form = (bt_text_word_form){
        .is_conll = bt_str_equal_nocase(is_told ? format : labels->processor, "conll"),
        .word_column = (int)column - 1,
        .label_column = column == 1 ? BT_TEXT_LAST_COLUMN : 0,
        .conll_advice = SECTION "words_format=conll",
        .columns_advice = SECTION "words_column"};
    return BT_OK;
}

bt_status task_words_create(const bt_conf *conf, const bt_task_labels *labels, task_words **out,
                            bt_error *err) {
    bt_conf_str_list paths = {0};
    BT_TRY(bt_conf_get_str_list(conf, SECTION "words_path", &paths, err));
    if (paths.n == 0) {
        return BT_OK;
    }
    for (size_t i = 0; i < paths.n; i++) {
        BT_TRY(bt_fs_require_file(paths.items[i], NULL, err));
    }
    task_words *const words = bt_calloc_array(1, sizeof *words);
    if (words == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the words of " SECTION "words_path");
    }
    words->paths = paths;
    words->starts = true;
    const bt_status rc = read_form(conf, labels, &words->form, err);
    if (rc != BT_OK) {
        task_words_free(words);
        return rc;
    }
    *out = words;
    return BT_OK;
}

void task_words_free(task_words *words) {
    if (words != NULL) {
        bt_text_word_file_close(words->file);
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

/* ---- walking --------------------------------------------------------------------------------- */

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
    return BT_OK;
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
