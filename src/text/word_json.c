/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentences as objects of JSON, as Hugging Face's datasets write them: {"tokens": ["Anna",
 * "lives"], "ner_tags": ["B-PER", "O"]}; one a line, in a list, or in a list that is a member. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "word_file.h"

static const char *const word_keys[] = {"tokens", "words"};
static const char *const label_keys[] = {"ner_tags", "ner", "tags", "labels", "pos_tags"};

void word_json_deinit(bt_text_word_file *r) {
    json_decref(r->sentence);
    r->sentence = NULL;
}

/* The first of the keys that is there; NULL: none. */
static const json_t *find(const json_t *object, const char *const *keys, size_t n,
                          const char **key) {
    for (size_t i = 0; i < n; i++) {
        const json_t *const value = json_object_get(object, keys[i]);
        if (value != NULL && !json_is_null(value)) {
            *key = keys[i];
            return value;
        }
    }
    return NULL;
}

static bt_status check_sentence(const bt_text_word_file *r, bt_error *err) {
    const char         *word_key = "";
    const char         *label_key = "";
    const json_t *const words = find(r->sentence, word_keys, BT_ARRAY_LEN(word_keys), &word_key);
    const json_t *const labels =
        find(r->sentence, label_keys, BT_ARRAY_LEN(label_keys), &label_key);
    if (!json_is_array(words)) {
        return BT_FAIL(err, BT_E_FORMAT, "%s%s",
                       words == NULL ? "neither tokens nor words is there" : word_key,
                       words == NULL ? ", the list of a sentence's words"
                                     : " is not a list of words");
    }
    if (labels != NULL && json_array_size(labels) != json_array_size(words)) {
        return BT_FAIL(err, BT_E_FORMAT, "%zu in %s, but %zu in %s", json_array_size(words),
                       word_key, json_array_size(labels), label_key);
    }
    return BT_OK;
}

/* The next line that is not empty, from its { on. */
static bt_status read_sentence_line(bt_text_word_file *r, const char **text, size_t *n, bool *end,
                                    bt_error *err) {
    do {
        BT_TRY(word_file_read_line(r, text, n, end, err));
        if (!*end && r->line == 1 && *n >= 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) {
            *text += 3;
            *n -= 3;
        }
    } while (!*end && strspn(*text, " \t") == *n);
    return BT_OK;
}

/* *root NULL: no JSON, and *problem says why. */
static bt_status load(bt_text_word_file *r, const char *text, size_t n, json_t **root,
                      json_error_t *problem, bt_error *err) {
    static const char *const keys[] = {"tokens", "words",  "ner_tags", "ner",
                                       "tags",   "labels", "pos_tags"};
    const size_t             flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    bool                     ok = false;
    BT_TRY(bt_json_load(text, n, flags, root, problem, err));
    if (*root != NULL) {
        return BT_OK;
    }
    BT_TRY(bt_text_json_blank_others(text, n, keys, BT_ARRAY_LEN(keys), &r->blanked, &ok, err));
    return ok ? bt_json_load(bt_str_text(&r->blanked), r->blanked.len, flags, root, NULL, err)
              : BT_OK;
}

static bt_status load_sentence(bt_text_word_file *r, const char *text, size_t n, bt_error *err) {
    json_t      *root = NULL;
    json_error_t problem = {0};
    BT_TRY(load(r, text, n, &root, &problem, err));
    r->sentence = root;
    r->next_word = 0;
    if (root == NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "not JSON: %s", problem.text);
    }
    if (!json_is_object(root)) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "expected an object {\"tokens\": [...], \"ner_tags\": [...]}");
    }
    return check_sentence(r, err);
}

bt_status word_json_open(bt_text_word_file *r, const char *head, size_t n, bt_error *err) {
    const size_t list = bt_text_find_items(head, n, word_keys, BT_ARRAY_LEN(word_keys));
    r->is_values = list != SIZE_MAX || bt_text_is_values(head, n);
    BT_TRY(bt_text_values_of_stream(&r->values, bt_text_word_file_path(r), r->stream,
                                    WORD_ITEM_MAX_BYTES, err));
    return list != SIZE_MAX ? bt_text_values_enter(r->values, list, err) : BT_OK;
}

/* The bytes of the next sentence. Errors name their place. */
static bt_status find_sentence(bt_text_word_file *r, const char **text, size_t *n, bool *end,
                               bt_error *err) {
    if (!r->is_values) {
        return read_sentence_line(r, text, n, end, err);
    }
    BT_TRY(bt_text_values_next(r->values, text, n, end, err));
    if (*end) {
        return BT_OK;
    }
    const bt_text_place place = bt_text_values_place(r->values);
    r->line = place.line;
    r->column = place.column;
    const size_t n_valid = bt_text_utf8_valid_prefix(*text, *n);
    return n_valid == *n ? BT_OK : word_file_refuse_byte(r, *text, *n, n_valid, err);
}

static bool has_nul(const json_t *text) {
    return strlen(json_string_value(text)) != json_string_length(text);
}

static bt_status read_label(bt_text_word_file *r, const json_t *label, bt_text_word_line *word,
                            bt_error *err) {
    if (json_is_string(label) && !has_nul(label)) {
        word->label = json_string_value(label);
        word->n_label = json_string_length(label);
        return BT_OK;
    }
    if (!json_is_integer(label)) {
        return BT_FAIL(err, BT_E_FORMAT, "the label of word %zu is neither a name nor a number",
                       r->next_word);
    }
    word->n_label =
        (size_t)snprintf(r->id, sizeof r->id, "%" PRId64, (int64_t)json_integer_value(label));
    word->label = r->id;
    word->label_is_id = true;
    return BT_OK;
}

static bt_status take_word(bt_text_word_file *r, bt_text_word_line *word, bool *is_break,
                           bt_error *err) {
    const char         *key = NULL;
    const json_t *const words = find(r->sentence, word_keys, BT_ARRAY_LEN(word_keys), &key);
    const json_t *const labels = find(r->sentence, label_keys, BT_ARRAY_LEN(label_keys), &key);
    if (r->next_word == json_array_size(words)) {
        word_json_deinit(r);
        *is_break = true;
        return BT_OK;
    }
    const json_t *const text = json_array_get(words, r->next_word);
    const json_t *const label = json_array_get(labels, r->next_word);
    r->next_word++;
    if (!json_is_string(text) || has_nul(text) ||
        strpbrk(json_string_value(text), "\n\r") != NULL) {
        return BT_FAIL(err, BT_E_FORMAT, "word %zu is %s", r->next_word,
                       !json_is_string(text) ? "not text"
                       : has_nul(text)       ? "a text with a NUL character"
                                             : "of several lines");
    }
    *word =
        (bt_text_word_line){.word = json_string_value(text), .n_word = json_string_length(text)};
    return labels != NULL ? read_label(r, label, word, err) : BT_OK;
}

bt_status word_json_next(bt_text_word_file *r, bt_text_word_line *word, bool *is_break, bool *end,
                         bt_error *err) {
    bt_status rc = BT_OK;
    *end = false;
    *is_break = false;
    if (r->sentence == NULL) {
        const char *text = NULL;
        size_t      n = 0;
        BT_TRY(find_sentence(r, &text, &n, end, err));
        rc = *end ? BT_OK : load_sentence(r, text, n, err);
    }
    if (rc == BT_OK && !*end) {
        rc = take_word(r, word, is_break, err);
    }
    if (rc == BT_OK || r->is_values) {
        return rc == BT_OK ? BT_OK
                           : bt_error_prefix(err, "%s:%" PRId64 ":%" PRId64,
                                             bt_text_word_file_path(r), r->line, r->column);
    }
    return bt_error_prefix(err, "%s:%" PRId64, bt_text_word_file_path(r), r->line);
}
