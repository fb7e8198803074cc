/* SPDX-License-Identifier: Apache-2.0
 *
 * What a line of bert-train predict holds: texts apart by tabs, or an object of JSON with them. */
#include <jansson.h>
#include <string.h>

#include "bert_train_short.h"
#include "bt/base/json_text.h"
#include "bt/base/str.h"
#include "bt/fs.h"
#include "command_predict.h"

static const char *const question_fields[] = {"question", "context"};

typedef struct row_texts {
    bt_text_span spans[BT_DATA_MAX_TEXTS];
    size_t       n;
} row_texts;

static size_t least_texts(const predict_run *run) {
    return run->kind == PREDICT_QUESTIONS ? 2 : bt_data_feed_least_texts(run->feed);
}

static size_t most_texts(const predict_run *run) {
    return run->kind == PREDICT_QUESTIONS ? 2 : bt_data_feed_most_texts(run->feed);
}

/* A tab within the only text that there is stays in it. */
static bt_status split_line(const predict_run *run, const char *line, size_t n, row_texts *out,
                            bt_error *err) {
    const size_t most = most_texts(run);
    size_t       n_found = 0;
    for (const char *at = line;; n_found++) {
        const char *const tab = most > 1 ? memchr(at, '\t', n - (size_t)(at - line)) : NULL;
        if (n_found < BT_DATA_MAX_TEXTS) {
            out->spans[n_found] = (bt_text_span){
                .text = at, .n_bytes = tab != NULL ? (size_t)(tab - at) : n - (size_t)(at - line)};
        }
        if (tab == NULL) {
            break;
        }
        at = tab + 1;
    }
    out->n = n_found + 1;
    if (out->n < least_texts(run) || out->n > most) {
        return BT_FAIL(err, BT_E_FORMAT, "%zu texts apart by tabs, but %s%zu %s expected%s", out->n,
                       least_texts(run) < most ? "at most " : "", most, most == 1 ? "is" : "are",
                       run->kind == PREDICT_QUESTIONS ? " (question and context)" : "");
    }
    return BT_OK;
}

static bt_status take_text(const json_t *root, const char *key, bt_text_span *out, bt_error *err) {
    const json_t *const value = json_object_get(root, key);
    if (!json_is_string(value)) {
        return BT_FAIL(err, BT_E_FORMAT, "'%s' is not a text", key);
    }
    *out = (bt_text_span){.text = json_string_value(value), .n_bytes = json_string_length(value)};
    return memchr(out->text, '\0', out->n_bytes) == NULL
               ? BT_OK
               : BT_FAIL(err, BT_E_FORMAT, "'%s' holds a NUL", key);
}

static bool has_all(const json_t *root, const char *const *keys, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (keys[i] == NULL || json_object_get(root, keys[i]) == NULL) {
            return false;
        }
    }
    return n > 0;
}

/* Which keys hold the texts: those of the configuration, else names that say what they hold. */
static size_t choose_keys(const predict_run *run, const json_t *root, const char *const **keys) {
    if (run->kind == PREDICT_QUESTIONS) {
        *keys = question_fields;
        return has_all(root, question_fields, 2) ? 2 : 0;
    }
    if (has_all(root, run->fields.items, run->fields.n)) {
        *keys = run->fields.items;
        return run->fields.n;
    }
    for (size_t i = 0; i < SHORT_N_KNOWN_TEXTS; i++) {
        const size_t n = short_known_texts[i][1] != NULL ? 2 : 1;
        *keys = short_known_texts[i];
        if (n >= least_texts(run) && n <= most_texts(run) && has_all(root, *keys, n)) {
            return n;
        }
    }
    return 0;
}

static bt_status read_object(const predict_run *run, const json_t *root, row_texts *out,
                             bt_error *err) {
    const char *const *keys = NULL;
    const size_t       n = choose_keys(run, root, &keys);
    if (n == 0) {
        char wanted[BT_LIST_MAX] = "";
        if (run->kind == PREDICT_QUESTIONS) {
            bt_list_all(wanted, sizeof wanted, question_fields, 2);
        } else if (run->fields.n > 0) {
            bt_list_all(wanted, sizeof wanted, run->fields.items, run->fields.n);
        } else {
            bt_list_all(wanted, sizeof wanted,
                        most_texts(run) > 1 ? short_known_texts[0] : short_known_texts[6],
                        most_texts(run) > 1 ? 2 : 1);
        }
        return BT_FAIL(err, BT_E_FORMAT, "the object has no %s: name the keys with --text", wanted);
    }
    for (out->n = 0; out->n < n; out->n++) {
        BT_TRY(take_text(root, keys[out->n], &out->spans[out->n], err));
    }
    return BT_OK;
}

static bt_status keep_id(const json_t *root, bt_str *out, bt_error *err) {
    const json_t *const id = root != NULL ? json_object_get(root, "id") : NULL;
    bt_str_clear(out);
    return id != NULL ? bt_json_append(out, id, JSON_ENCODE_ANY | JSON_COMPACT, err) : BT_OK;
}

/* Words. */

/* A line end inside of a word would part it. */
static bt_status add_word(predict_pending *pending, const char *word, size_t n, bt_error *err) {
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append_char(&pending->words, word[i] == '\n' ? ' ' : word[i], err));
    }
    pending->n_words++;
    return bt_str_append_char(&pending->words, '\n', err);
}

static bt_status split_words(predict_pending *pending, const char *text, size_t n, bt_error *err) {
    const char *const end = text + n;
    const char       *word = NULL;
    for (const char *at = text; at < end;) {
        const char *const begin = at;
        uint32_t          c = 0;
        const bool        is_space = bt_text_read_utf8(&at, end, &c) && bt_text_is_space(c);
        if (is_space && word != NULL) {
            BT_TRY(add_word(pending, word, (size_t)(begin - word), err));
        }
        word = is_space ? NULL : word != NULL ? word : begin;
    }
    return word != NULL ? add_word(pending, word, (size_t)(end - word), err) : BT_OK;
}

static bt_status read_words(predict_pending *pending, const json_t *root, bt_error *err) {
    const json_t *list = json_object_get(root, "words");
    list = list != NULL ? list : json_object_get(root, "tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *const word = json_array_get(list, i);
        if (!json_is_string(word)) {
            return BT_FAIL(err, BT_E_FORMAT, "word %zu is not a text", i + 1);
        }
        BT_TRY(add_word(pending, json_string_value(word), json_string_length(word), err));
    }
    return BT_OK;
}

static bt_status take_words(predict_run *run, const char *line, size_t n, const json_t *root,
                            bt_error *err) {
    if (run->n == run->cap) {
        BT_TRY(bt_data_feed_flush(run->feed, err));
    }
    predict_pending *const pending = predict_push(run);
    BT_TRY(keep_id(root, &pending->id, err));
    if (root == NULL) {
        BT_TRY(split_words(pending, line, n, err));
    } else if (json_is_array(json_object_get(root, "words")) ||
               json_is_array(json_object_get(root, "tokens"))) {
        BT_TRY(read_words(pending, root, err));
    } else {
        row_texts texts = {.n = 0};
        BT_TRY(read_object(run, root, &texts, err));
        BT_TRY(split_words(pending, texts.spans[0].text, texts.spans[0].n_bytes, err));
    }
    BT_TRY(bt_data_feed_words(run->feed, bt_str_text(&pending->words), pending->words.len, err));
    return predict_answer_wordless(run, err);
}

/* Questions. */

static bt_status append_json_n(bt_str *out, const bt_text_span *span, bt_error *err) {
    bt_str    text = BT_STR_INIT;
    bt_status rc = bt_str_append_n(&text, span->text, span->n_bytes, err);
    if (rc == BT_OK) {
        rc = bt_str_append_json(out, bt_str_text(&text), err);
    }
    bt_str_deinit(&text);
    return rc;
}

/* As a file of SQuAD, flat. */
static bt_status write_question(bt_str *json, const row_texts *texts, bt_error *err) {
    bt_str_clear(json);
    BT_TRY(bt_str_append(json, "[{\"id\": \"1\", \"question\": ", err));
    BT_TRY(append_json_n(json, &texts->spans[0], err));
    BT_TRY(bt_str_append(json, ", \"context\": ", err));
    BT_TRY(append_json_n(json, &texts->spans[1], err));
    return bt_str_append(json, "}]", err);
}

static bt_status ask(predict_run *run, const row_texts *texts, const char *id, bt_error *err) {
    bt_status               rc = BT_OK;
    bt_squad_set            set = {0};
    bt_squad_windows       *windows = NULL;
    bt_squad_answer_options options = {0};
    BT_CHECK(bt_task_squad_options(run->conf, &run->plan->prediction_schema.squad, &options, err));
    BT_CHECK(write_question(&run->json, texts, err));
    BT_CHECK(bt_squad_parse(&set, bt_str_text(&run->json), run->json.len, "the question",
                            BT_SQUAD_PREDICT, options.version_2, err));
    BT_CHECK(bt_data_feed_make_windows(run->feed, &set, &windows, err));
    BT_CHECK(bt_squad_answers_create(&run->answers, windows, &options, err));
    BT_CHECK(bt_data_feed_windows(run->feed, windows, err));
    BT_CHECK(bt_squad_answers_finish(run->answers, err));
    rc = predict_answer_question(run, id, err);
done:
    bt_squad_answers_free(run->answers);
    run->answers = NULL;
    bt_squad_windows_free(windows);
    bt_squad_set_deinit(&set);
    return rc;
}

/* All. */

static bt_status take_row(predict_run *run, const char *line, size_t n, const json_t *root,
                          bt_error *err) {
    row_texts texts = {.n = 0};
    if (run->kind == PREDICT_WORDS) {
        return take_words(run, line, n, root, err);
    }
    BT_TRY(root != NULL ? read_object(run, root, &texts, err)
                        : split_line(run, line, n, &texts, err));
    if (run->kind == PREDICT_QUESTIONS) {
        bt_str    id = BT_STR_INIT;
        bt_status rc = keep_id(root, &id, err);
        rc = rc == BT_OK ? ask(run, &texts, bt_str_text(&id), err) : rc;
        bt_str_deinit(&id);
        return rc;
    }
    predict_pending *const pending = predict_push(run);
    BT_TRY(keep_id(root, &pending->id, err));
    return bt_data_feed_texts(run->feed, texts.spans, texts.n, err);
}

bt_status predict_take_line(predict_run *run, const char *line, size_t n, bt_error *err) {
    json_t      *root = NULL;
    json_error_t problem;
    if (!run->is_json_in) {
        return take_row(run, line, n, NULL, err);
    }
    BT_TRY(bt_json_load(line, n, 0, &root, &problem, err));
    if (root == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "it is not JSON: %s", problem.text);
    }
    const bt_status rc = json_is_object(root)
                             ? take_row(run, line, n, root, err)
                             : BT_FAIL(err, BT_E_FORMAT, "an object is expected: {\"text\": ...}");
    json_decref(root);
    return rc;
}
