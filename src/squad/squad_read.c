/* SPDX-License-Identifier: Apache-2.0
 *
 * SQuAD JSON -> questions. Everything that later rooms rely on is checked here, with the place in
 * words: these files are one line long, so a line number would say nothing. Keys that nobody reads
 * may be anything. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/crc32c.h"
#include "bt/base/log.h"
#include "bt/base/map.h"
#include "bt/base/stop.h"
#include "bt/fs.h"

#include "squad_internal.h"

enum { MAX_ITEMS = 1 << 30, MAX_CONTEXT_BYTES = 1 << 30 };

/* One file that is being read. */
typedef struct squad_file {
    bt_squad_set *set;
    const char   *name;
    bt_squad_use  use;
    bool          version_2;
    bool          is_flat;      /* an object is a question with its text (Hugging Face) */
    int64_t       n_unanswered; /* questions without an answer, and of how many */
    int64_t       n_read;
    bt_error      first_unanswered; /* training, not version 2 */
    char         *text;             /* decoded strings, one after the other, each with a NUL */
    size_t        n_text;
    size_t        cap_text;
    bt_map       *ids; /* of the whole set; NULL in training */
    bt_error     *err;
} squad_file;

void bt_squad_set_deinit(bt_squad_set *set) {
    squad_memory *const memory = set->memory;
    for (size_t i = 0; memory != NULL && i < memory->n_buffers; i++) {
        bt_free(memory->buffers[i]);
    }
    bt_free(memory != NULL ? memory->buffers : NULL);
    bt_free(memory);
    bt_free(set->paragraphs);
    bt_free(set->questions);
    bt_free(set->answers);
    bt_free(set->words);
    *set = (bt_squad_set){0};
}

/* The set owns the memory from here on, also after a failure. */
static bt_status own_buffer(bt_squad_set *set, char *buffer, const char *name, bt_error *err) {
    bt_status rc = BT_OK;
    if (set->memory == NULL) {
        set->memory = bt_calloc_array(1, sizeof *set->memory);
    }
    squad_memory *const memory = set->memory;
    rc = buffer == NULL || memory == NULL
             ? BT_FAIL(err, BT_E_NOMEM, "%s: out of memory for its texts", name)
             : bt_grow(&memory->buffers, &memory->cap_buffers, memory->n_buffers + 1,
                       sizeof *memory->buffers, MAX_ITEMS, err);
    if (rc != BT_OK) {
        bt_free(buffer);
        return rc;
    }
    memory->buffers[memory->n_buffers++] = buffer;
    return BT_OK;
}

/* Puts the place of a paragraph (and, id not NULL, of a question in it) before the message. */
static bt_status blame(const bt_squad_paragraph *paragraph, const char *id, bt_error *err) {
    enum { SHOWN_TITLE = 60, SHOWN_ID = 80 };
    char question[SHOWN_ID + 32] = "";
    if (id != NULL) {
        (void)snprintf(question, sizeof question, ", question '%.*s'", SHOWN_ID, id);
    }
    if (paragraph->number == 0) {
        return bt_error_prefix(err, "%s: item %" PRId64 "%s", paragraph->file, paragraph->article,
                               question);
    }
    return bt_error_prefix(err, "%s: article %" PRId64 "%s%.*s%s, paragraph %" PRId64 "%s",
                           paragraph->file, paragraph->article,
                           paragraph->title[0] != '\0' ? " ('" : "", SHOWN_TITLE, paragraph->title,
                           paragraph->title[0] != '\0' ? "')" : "", paragraph->number, question);
}

bt_status bt_squad_blame(const bt_squad_set *set, int64_t question, bt_error *err) {
    const bt_squad_question *const q = &set->questions[question];
    return blame(&set->paragraphs[q->paragraph], q->id.bytes, err);
}

static const char *kind_name(const json_t *value) {
    if (value == NULL) {
        return "nothing (the key is missing)";
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static bt_status refuse_value(const squad_file *f, const char *key, const char *want,
                              const json_t *value) {
    return BT_FAIL(f->err, BT_E_FORMAT, "%s: expected %s, got %s", key, want, kind_name(value));
}

static bt_status get_list(squad_file *f, const json_t *object, const char *key, json_t **out) {
    *out = json_object_get(object, key);
    return json_is_array(*out) ? BT_OK : refuse_value(f, key, "a list", *out);
}

/* Copies a text. The buffer has room: a string takes more bytes in the file than decoded. */
static bt_squad_text keep_text(squad_file *f, const json_t *string) {
    const size_t n = json_string_length(string);
    char *const  at = f->text + f->n_text;
    BT_ASSERT(n < f->cap_text - f->n_text);
    memcpy(at, json_string_value(string), n);
    at[n] = '\0';
    f->n_text += n + 1;
    return (bt_squad_text){at, n};
}

static bt_status get_text(squad_file *f, const json_t *object, const char *key,
                          bt_squad_text *out) {
    const json_t *const value = json_object_get(object, key);
    if (!json_is_string(value)) {
        return refuse_value(f, key, "a text", value);
    }
    *out = keep_text(f, value);
    return BT_OK;
}

/* Annotation tools write numbers: read as the text that the key of an answer's file would be. */
static bt_status get_id(squad_file *f, const json_t *qa, bt_squad_text *out) {
    const json_t *const value = json_object_get(qa, "id");
    if (!json_is_integer(value)) {
        return get_text(f, qa, "id", out);
    }
    /* the number takes as many bytes in the file, and one of those after it is for the NUL */
    char *const at = f->text + f->n_text;
    const int   n =
        snprintf(at, f->cap_text - f->n_text, "%" PRId64, (int64_t)json_integer_value(value));
    BT_ASSERT(n > 0 && (size_t)n < f->cap_text - f->n_text);
    f->n_text += (size_t)n + 1;
    *out = (bt_squad_text){at, (size_t)n};
    return BT_OK;
}

/* The answers as a list of objects, whose reference is the caller's. Hugging Face's form is an
 * object of two lists, {"text": [...], "answer_start": [...]}. */
static bt_status get_answers(squad_file *f, const json_t *qa, json_t **out) {
    json_t *const value = json_object_get(qa, "answers");
    json_t *const texts = json_object_get(value, "text");
    json_t *const starts = json_object_get(value, "answer_start");
    if (!json_is_array(texts)) {
        *out = json_incref(value);
        return json_is_array(value) ? BT_OK : refuse_value(f, "answers", "a list", value);
    }
    const size_t n = json_array_size(texts);
    if (starts != NULL && json_array_size(starts) != n) {
        return BT_FAIL(f->err, BT_E_FORMAT, "answers: %zu in text, %zu in answer_start", n,
                       json_array_size(starts));
    }
    *out = json_array();
    for (size_t i = 0; *out != NULL && i < n; i++) {
        json_t *const answer = json_pack("{s:O, s:O*}", "text", json_array_get(texts, i),
                                         "answer_start", json_array_get(starts, i));
        if (json_array_append_new(*out, answer) != 0) {
            json_decref(*out);
            *out = NULL;
        }
    }
    return *out != NULL ? BT_OK : BT_FAIL(f->err, BT_E_NOMEM, "out of memory for its answers");
}

/* true and false, or 1 and 0 as some writers put it; the flat form has no such key */
static bt_status get_is_impossible(squad_file *f, const json_t *qa, size_t n_answers, bool *out) {
    const json_t *const value = json_object_get(qa, "is_impossible");
    if (f->is_flat && value == NULL) {
        *out = n_answers == 0;
        return BT_OK;
    }
    const json_int_t number = json_integer_value(value);
    if (json_is_boolean(value) || (json_is_integer(value) && (number == 0 || number == 1))) {
        *out = json_is_true(value) || number == 1;
        return BT_OK;
    }
    return refuse_value(f, "is_impossible",
                        "true or false (version_2_with_negative reads SQuAD 2.0)", value);
}

static bt_status add_answer(squad_file *f, const json_t *answer, bt_squad_question *question) {
    bt_squad_set *const set = f->set;
    bt_squad_text       text = {0};
    if (!json_is_object(answer)) {
        return refuse_value(f, "answers", "objects with a text", answer);
    }
    BT_TRY(get_text(f, answer, "text", &text));
    BT_TRY(bt_grow(&set->answers, &set->memory->caps[CAP_ANSWERS], (size_t)set->n_answers + 1,
                   sizeof *set->answers, MAX_ITEMS, f->err));
    set->answers[set->n_answers++] = text;
    question->n_answers++;
    return BT_OK;
}

/* Counted, and refused with their number when the file is through. */
static bt_status note_unanswered(squad_file *f, const bt_squad_paragraph *paragraph,
                                 const bt_squad_question *question) {
    if (f->n_unanswered++ == 0) {
        (void)BT_FAIL(&f->first_unanswered, BT_E_FORMAT,
                      "answers: expected exactly 1, as training needs, got 0");
        (void)blame(paragraph, question->id.bytes, &f->first_unanswered);
    }
    return BT_OK;
}

static bt_status read_training_answers(squad_file *f, const json_t *answers,
                                       const bt_squad_paragraph *paragraph,
                                       bt_squad_question *question, bool *is_there) {
    const size_t n = json_array_size(answers);
    if (n == 0 && !f->version_2) {
        return note_unanswered(f, paragraph, question);
    }
    if (n != 1) {
        return BT_FAIL(f->err, BT_E_FORMAT,
                       "answers: expected exactly 1, as training needs, got %zu", n);
    }
    const json_t *const answer = json_array_get(answers, 0);
    const json_t *const start = json_object_get(answer, "answer_start");
    BT_TRY(add_answer(f, answer, question));
    if (!json_is_integer(start)) {
        return refuse_value(f, "answer_start", "an integer", start);
    }
    return squad_find_answer(f->set, paragraph, f->set->answers[question->first_answer],
                             json_integer_value(start), question, is_there, f->err);
}

static bt_status read_training_answer(squad_file *f, const json_t *qa,
                                      const bt_squad_paragraph *paragraph,
                                      bt_squad_question *question, bool *is_there) {
    json_t   *answers = NULL;
    bool      is_impossible = false;
    bt_status rc = BT_OK;
    if (f->version_2 && !f->is_flat) { /* what an impossible one has for answers is not read */
        BT_TRY(get_is_impossible(f, qa, 0, &is_impossible));
    }
    if (!is_impossible) {
        BT_CHECK(get_answers(f, qa, &answers));
    }
    if (f->version_2 && f->is_flat) {
        BT_CHECK(get_is_impossible(f, qa, json_array_size(answers), &is_impossible));
    }
    if (is_impossible) {
        f->n_unanswered++;
    } else {
        rc = read_training_answers(f, answers, paragraph, question, is_there);
    }
done:
    json_decref(answers);
    return rc;
}

static bt_status read_gold_answers(squad_file *f, const json_t *qa, bt_squad_question *question) {
    json_t   *answers = NULL;
    bt_status rc = BT_OK;
    if (json_object_get(qa, "answers") == NULL && f->use == BT_SQUAD_PREDICT) {
        return BT_OK;
    }
    BT_CHECK(get_answers(f, qa, &answers));
    for (size_t i = 0; i < json_array_size(answers); i++) {
        BT_CHECK(add_answer(f, json_array_get(answers, i), question));
    }
    if (question->n_answers == 0 && f->use == BT_SQUAD_EVALUATE && !f->version_2) {
        rc = BT_FAIL(f->err, BT_E_FORMAT,
                     "answers: expected at least 1, got none (is this SQuAD 2.0? then set "
                     "version_2_with_negative)");
    }
done:
    json_decref(answers);
    return rc;
}

static bt_status check_id(squad_file *f, const bt_squad_question *question) {
    int64_t before = 0;
    if (f->ids == NULL) {
        return BT_OK;
    }
    if (bt_map_get(f->ids, question->id.bytes, question->id.n_bytes, &before)) {
        return BT_FAIL(f->err, BT_E_FORMAT,
                       "id: question %" PRId64
                       " has the same one; predictions are identified by it",
                       before + 1);
    }
    return bt_map_put(f->ids, question->id.bytes, question->id.n_bytes, f->set->n_questions,
                      f->err);
}

static bt_status parse_question(squad_file *f, const json_t *qa,
                                const bt_squad_paragraph *paragraph, bt_squad_question *question,
                                bool *is_there) {
    if (!json_is_object(qa)) {
        return refuse_value(f, "qas", "objects with id, question and answers", qa);
    }
    f->n_read++;
    BT_TRY(get_id(f, qa, &question->id));
    BT_TRY(get_text(f, qa, "question", &question->text));
    BT_TRY(check_id(f, question));
    return f->use == BT_SQUAD_TRAIN ? read_training_answer(f, qa, paragraph, question, is_there)
                                    : read_gold_answers(f, qa, question);
}

/* An answer that is not where the file says: the question is left out, as Model Garden does. */
static void skip_question(squad_file *f, const bt_squad_paragraph *paragraph,
                          const bt_squad_question *question) {
    enum { SHOWN = 3 };
    bt_error told = BT_ERROR_INIT;
    if (f->set->n_skipped++ < SHOWN) {
        (void)bt_error_make(&told, BT_E_FORMAT, __FILE__, __LINE__,
                            "'%.60s' is not at answer_start; the question is left out",
                            f->set->answers[question->first_answer].bytes);
        (void)blame(paragraph, question->id.bytes, &told);
        bt_log(BT_LOG_WARNING, "%s", told.msg);
    }
    f->set->n_answers = question->first_answer;
}

static bt_status read_question(squad_file *f, const json_t *qa,
                               const bt_squad_paragraph *paragraph) {
    bt_squad_set *const set = f->set;
    bt_squad_question   question = {.paragraph = set->n_paragraphs - 1,
                                    .first_answer = set->n_answers,
                                    .first_word = 0,
                                    .last_word = -1};
    bool                is_there = true;
    if (parse_question(f, qa, paragraph, &question, &is_there) != BT_OK) {
        return blame(paragraph, question.id.bytes, f->err);
    }
    if (!is_there) {
        skip_question(f, paragraph, &question);
        return BT_OK;
    }
    BT_TRY(bt_grow(&set->questions, &set->memory->caps[CAP_QUESTIONS], (size_t)set->n_questions + 1,
                   sizeof *set->questions, MAX_ITEMS, f->err));
    set->questions[set->n_questions++] = question;
    return BT_OK;
}

static bt_status take_context(squad_file *f, const json_t *json, bt_squad_paragraph *paragraph) {
    BT_TRY(get_text(f, json, "context", &paragraph->context));
    if (paragraph->context.n_bytes > MAX_CONTEXT_BYTES) {
        return BT_FAIL(f->err, BT_E_FORMAT, "context: %zu bytes, at most %d can be read",
                       paragraph->context.n_bytes, MAX_CONTEXT_BYTES);
    }
    return squad_split_context(f->set, paragraph, f->err);
}

static bt_status parse_paragraph(squad_file *f, const json_t *json, bt_squad_paragraph *paragraph,
                                 json_t **qas) {
    if (!json_is_object(json)) {
        return refuse_value(f, "paragraphs", "objects with context and qas", json);
    }
    BT_TRY(take_context(f, json, paragraph));
    return get_list(f, json, "qas", qas);
}

static bt_status read_paragraph(squad_file *f, const json_t *json, bt_squad_paragraph paragraph) {
    bt_squad_set *const set = f->set;
    json_t             *qas = NULL;
    if (parse_paragraph(f, json, &paragraph, &qas) != BT_OK) {
        return blame(&paragraph, NULL, f->err);
    }
    BT_TRY(bt_grow(&set->paragraphs, &set->memory->caps[CAP_PARAGRAPHS],
                   (size_t)set->n_paragraphs + 1, sizeof *set->paragraphs, MAX_ITEMS, f->err));
    set->paragraphs[set->n_paragraphs++] = paragraph;
    for (size_t i = 0; i < json_array_size(qas); i++) {
        BT_TRY(read_question(f, json_array_get(qas, i), &paragraph));
    }
    return BT_OK;
}

static bt_status read_article(squad_file *f, const json_t *json, int64_t number) {
    json_t             *paragraphs = NULL;
    const json_t *const title = json_object_get(json, "title");
    bt_squad_paragraph  paragraph = {.file = f->name, .title = "", .article = number};
    if (json_is_string(title)) {
        paragraph.title = keep_text(f, title).bytes;
    }
    const bt_status rc = json_is_object(json)
                             ? get_list(f, json, "paragraphs", &paragraphs)
                             : refuse_value(f, "data", "objects with paragraphs", json);
    if (rc != BT_OK) {
        return bt_error_prefix(f->err, "%s: article %" PRId64, f->name, number);
    }
    for (size_t i = 0; i < json_array_size(paragraphs); i++) {
        BT_TRY(bt_stop_check(f->err));
        paragraph.number = (int64_t)i + 1;
        BT_TRY(read_paragraph(f, json_array_get(paragraphs, i), paragraph));
    }
    return BT_OK;
}

/* The flat form.
 * An object is a question with the text that it asks of, as datasets has it: id, context, question,
 * answers. */

/* Questions of one text usually follow each other: it is kept once. */
static bt_status keep_context(squad_file *f, const json_t *item, bt_squad_paragraph *paragraph) {
    bt_squad_set *const set = f->set;
    const json_t *const context = json_object_get(item, "context");
    if (set->n_paragraphs > 0) {
        const bt_squad_paragraph *const last = &set->paragraphs[set->n_paragraphs - 1];
        if (last->file == f->name && json_string_length(context) == last->context.n_bytes &&
            json_is_string(context) &&
            memcmp(json_string_value(context), last->context.bytes, last->context.n_bytes) == 0) {
            const int64_t number = paragraph->article;
            *paragraph = *last;
            paragraph->article = number;
            return BT_OK;
        }
    }
    BT_TRY(take_context(f, item, paragraph));
    BT_TRY(bt_grow(&set->paragraphs, &set->memory->caps[CAP_PARAGRAPHS],
                   (size_t)set->n_paragraphs + 1, sizeof *set->paragraphs, MAX_ITEMS, f->err));
    set->paragraphs[set->n_paragraphs++] = *paragraph;
    return BT_OK;
}

static bt_status read_item(squad_file *f, const json_t *item, int64_t number) {
    bt_squad_paragraph paragraph = {.file = f->name, .title = "", .article = number};
    const bt_status    rc = json_is_object(item)
                                ? keep_context(f, item, &paragraph)
                                : refuse_value(f, "data", "objects with context and question", item);
    return rc == BT_OK ? read_question(f, item, &paragraph) : blame(&paragraph, NULL, f->err);
}

static bool is_flat(const json_t *items) {
    const json_t *const first = json_array_get(items, 0);
    return json_is_string(json_object_get(first, "context")) &&
           json_object_get(first, "paragraphs") == NULL;
}

static bt_status read_articles(squad_file *f, json_t *root) {
    json_t *const data = json_is_array(root) ? root : json_object_get(root, "data");
    if (json_is_string(json_object_get(root, "context"))) {
        f->is_flat = true; /* lines, of which there is one */
        return read_item(f, root, 1);
    }
    if (!json_is_array(data) || (data == root && !is_flat(data))) {
        return BT_FAIL(f->err, BT_E_FORMAT,
                       "%s: not a SQuAD file: expected an object with a list \"data\" of articles, "
                       "or a list (or lines) of objects with id, context, question and answers",
                       f->name);
    }
    f->is_flat = is_flat(data);
    for (size_t i = 0; i < json_array_size(data); i++) {
        BT_TRY(bt_stop_check(f->err));
        BT_TRY(f->is_flat ? read_item(f, json_array_get(data, i), (int64_t)i + 1)
                          : read_article(f, json_array_get(data, i), (int64_t)i + 1));
    }
    return BT_OK;
}

static bool is_blank(const char *line, size_t n) {
    while (n > 0 && (*line == ' ' || *line == '\t' || *line == '\r')) {
        line++;
        n--;
    }
    return n == 0;
}

/* *root NULL: no JSON, and *problem says why. What is under other keys may be anything that
 * Python writes. */
static bt_status load(const char *json, size_t n, json_t **root, json_error_t *problem,
                      bt_error *err) {
    static const char *const keys[] = {
        "data",     "title",   "paragraphs",   "context",       "qas", "id",
        "question", "answers", "answer_start", "is_impossible", "text"};
    const size_t flags = JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    bt_str       blanked = BT_STR_INIT;
    bool         ok = false;
    BT_TRY(bt_json_load(json, n, flags, root, problem, err));
    if (*root != NULL) {
        return BT_OK;
    }
    bt_status rc = bt_text_json_blank_others(json, n, keys, BT_ARRAY_LEN(keys), &blanked, &ok, err);
    if (rc == BT_OK && ok) {
        rc = bt_json_load(bt_str_text(&blanked), blanked.len, flags, root, NULL, err);
    }
    bt_str_deinit(&blanked);
    return rc;
}

/* One more item of the list; false: the line is none. */
static bt_status load_line(json_t *list, const char *line, size_t n, json_error_t *problem,
                           bool *ok, bt_error *err) {
    json_t *item = NULL;
    BT_TRY(load(line, n, &item, problem, err));
    *ok = json_is_object(item);
    if (!*ok) {
        json_decref(item);
        return BT_OK;
    }
    return json_array_append_new(list, item) == 0
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for its questions");
}

/* An object a line -> a list of them. *list NULL: it is not that; *problem is changed only where
 * the first line is one and another is not. */
static bt_status load_lines(const char *json, size_t n_bytes, json_t **list, json_error_t *problem,
                            bt_error *err) {
    bt_status         rc = BT_OK;
    json_t           *items = json_array();
    const char *const end = json + n_bytes;
    bool              ok = items != NULL;
    rc = ok ? BT_OK : BT_FAIL(err, BT_E_NOMEM, "out of memory for its questions");
    for (int line = 1; ok && rc == BT_OK && json < end; line++) {
        const char *const lf = memchr(json, '\n', (size_t)(end - json));
        const size_t      n = (size_t)((lf != NULL ? lf : end) - json);
        json_error_t      own = {0};
        rc = is_blank(json, n) ? BT_OK : load_line(items, json, n, &own, &ok, err);
        if (!ok && json_array_size(items) > 0) {
            *problem = own;
            problem->line = line;
        }
        json += n + (lf != NULL ? 1 : 0);
    }
    *list = ok && rc == BT_OK && json_array_size(items) > 0 ? items : NULL;
    if (*list == NULL) {
        json_decref(items);
    }
    return rc;
}

/* A byte order mark is not JSON, but some editors put one there. */
static json_t *load_json(const char *json, size_t n_bytes, const char *name, bt_error *err) {
    static const char mark[] = "\xEF\xBB\xBF";
    json_error_t      problem = {0};
    if (n_bytes >= 3 && memcmp(json, mark, 3) == 0) {
        json += 3;
        n_bytes -= 3;
    }
    json_t   *root = NULL;
    bt_status rc = load(json, n_bytes, &root, &problem, err);
    if (rc == BT_OK && root == NULL) {
        rc = load_lines(json, n_bytes, &root, &problem, err);
    }
    if (rc != BT_OK) {
        (void)bt_error_prefix(err, "%s", name);
    } else if (root == NULL) {
        (void)BT_FAIL(err, BT_E_FORMAT, "%s:%d:%d: not JSON: %s (byte %d)", name, problem.line,
                      problem.column, problem.text, problem.position);
    }
    return root;
}

/* Training data whose questions have no answer are told in numbers, or refused with them. */
static bt_status tell_unanswered(squad_file *f) {
    if (f->n_unanswered > 0 && !f->version_2) {
        return BT_FAIL(
            f->err, BT_E_FORMAT,
            "%.250s: %" PRId64 " of its %" PRId64
            " questions are so: set version_2_with_negative where they are meant to have "
            "none (SQuAD 2.0), or take them out",
            f->first_unanswered.msg, f->n_unanswered, f->n_read);
    }
    if (f->n_unanswered > 0) {
        bt_log(BT_LOG_INFO, "%s: %" PRId64 " of its %" PRId64 " questions have no answer", f->name,
               f->n_unanswered, f->n_read);
    }
    return BT_OK;
}

/* The set's ids so far, to notice one that comes again; NULL in training, where nobody asks. */
static bt_status map_ids(squad_file *f) {
    if (f->use == BT_SQUAD_TRAIN) {
        return BT_OK;
    }
    BT_TRY(bt_map_create(&f->ids, 1024, f->err));
    for (int64_t i = 0; i < f->set->n_questions; i++) {
        const bt_squad_text id = f->set->questions[i].id;
        BT_TRY(bt_map_put(f->ids, id.bytes, id.n_bytes, i, f->err));
    }
    return BT_OK;
}

bt_status bt_squad_parse(bt_squad_set *set, const char *json, size_t n_bytes, const char *name,
                         bt_squad_use use, bool version_2, bt_error *err) {
    bt_error      own = BT_ERROR_INIT; /* places are put before messages: there must be one */
    squad_file    f = {.set = set, .use = use, .version_2 = version_2, .err = &own};
    bt_status     rc = BT_OK;
    json_t       *root = NULL;
    char         *kept_name = bt_strdup(name);
    const int64_t n_skipped = set->n_skipped;
    f.name = kept_name;
    BT_CHECK(own_buffer(set, kept_name, name, &own));
    f.cap_text = n_bytes + 1;
    f.text = bt_alloc(f.cap_text);
    BT_CHECK(own_buffer(set, f.text, name, &own));
    BT_CHECK(map_ids(&f));
    root = load_json(json, n_bytes, name, &own);
    if (root == NULL) {
        rc = own.code;
        goto done;
    }
    BT_CHECK(read_articles(&f, root));
    BT_CHECK(tell_unanswered(&f));
    if (set->n_skipped > n_skipped) {
        bt_log(BT_LOG_WARNING, "%s: questions left out for that reason: %" PRId64, name,
               set->n_skipped - n_skipped);
    }
done:
    json_decref(root);
    bt_map_free(f.ids);
    if (rc != BT_OK && err != NULL) {
        *err = own;
    }
    return rc;
}

bt_status bt_squad_read(bt_squad_set *set, const char *path, const bt_text_encoding *encoding,
                        bt_squad_use use, bool version_2, bt_error *err) {
    bt_status   rc = BT_OK;
    squad_bytes file;
    BT_CHECK(squad_bytes_open(&file, path, encoding, err));
    const size_t n_valid = bt_text_utf8_valid_prefix(file.bytes, file.n);
    if (n_valid < file.n) {
        char advice[BT_TEXT_ADVICE_MAX];
        rc = BT_FAIL(err, BT_E_FORMAT, "%s: byte %zu (0x%02x) is not valid UTF-8%s", path,
                     n_valid + 1, (unsigned)(unsigned char)file.bytes[n_valid],
                     bt_text_encoding_advice(encoding->key, file.bytes, file.n, n_valid, advice));
        goto done;
    }
    set->content = bt_crc32c(set->content, file.bytes, file.n);
    rc = bt_squad_parse(set, file.bytes, file.n, path, use, version_2, err);
done:
    squad_bytes_close(&file);
    return rc;
}
