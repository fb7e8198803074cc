/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts as words, and where an answer is among them (squad_lib's read_squad_examples). */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "squad_internal.h"

enum { NARROW_NO_BREAK_SPACE = 0x202F, MAX_WORDS = 1 << 30 };

/* What separates words: fewer characters than Unicode has spaces. */
static bool is_blank(uint32_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == NARROW_NO_BREAK_SPACE;
}

bt_status squad_split_context(bt_squad_set *set, bt_squad_paragraph *paragraph, bt_error *err) {
    const char *const begin = paragraph->context.bytes;
    const char *const end = begin + paragraph->context.n_bytes;
    const char       *at = begin;
    bool              in_word = false;
    paragraph->first_word = set->n_words;
    while (at < end) {
        const char *const start = at;
        uint32_t          c = 0;
        if (!bt_text_read_utf8(&at, end, &c)) {
            continue; /* JSON is valid UTF-8 */
        }
        if (is_blank(c)) {
            in_word = false;
        } else if (!in_word) {
            in_word = true;
            BT_TRY(bt_grow(&set->words, &set->memory->caps[CAP_WORDS], (size_t)set->n_words + 1,
                           sizeof *set->words, MAX_WORDS, err));
            set->words[set->n_words++] = (bt_squad_word){
                .begin = (uint32_t)(start - begin), .first = (uint32_t)paragraph->n_codepoints};
        }
        if (in_word) {
            set->words[set->n_words - 1].end = (uint32_t)(at - begin);
        }
        paragraph->n_codepoints++;
    }
    paragraph->n_words = set->n_words - paragraph->first_word;
    return BT_OK;
}

/* The last word that begins at or before a code point; -1 before the first. */
static int64_t word_at(const bt_squad_word *words, int64_t n, int64_t codepoint) {
    int64_t low = -1;
    int64_t high = n;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if ((int64_t)words[middle].first <= codepoint) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

bt_status squad_join_words(const bt_squad_set *set, const bt_squad_paragraph *paragraph,
                           int64_t first, int64_t last, bt_str *out, bt_error *err) {
    for (int64_t i = first; i <= last; i++) {
        const bt_squad_word word = set->words[paragraph->first_word + i];
        if (i > first) {
            BT_TRY(bt_str_append_char(out, ' ', err));
        }
        BT_TRY(bt_str_append_n(out, paragraph->context.bytes + word.begin, word.end - word.begin,
                               err));
    }
    return BT_OK;
}

int64_t squad_find(const char *text, size_t n_bytes, const char *part, size_t n_part) {
    if (n_part == 0) {
        return 0;
    }
    if (n_bytes == 0) { /* then text may be NULL */
        return -1;
    }
    for (size_t at = 0; at + n_part <= n_bytes; at++) {
        const char *const first = memchr(text + at, part[0], n_bytes - n_part - at + 1);
        if (first == NULL) {
            return -1;
        }
        at = (size_t)(first - text);
        if (memcmp(first, part, n_part) == 0) {
            return (int64_t)at;
        }
    }
    return -1;
}

bool bt_squad_answer_occurs(const bt_squad_set *set, int64_t question) {
    const bt_squad_question *const q = &set->questions[question];
    const bt_squad_text            context = set->paragraphs[q->paragraph].context;
    bool                           occurs = false;
    for (int64_t k = 0; k < q->n_answers && !occurs; k++) {
        const bt_squad_text answer = set->answers[q->first_answer + k];
        occurs = squad_find(context.bytes, context.n_bytes, answer.bytes, answer.n_bytes) >= 0;
    }
    return occurs;
}

/* " ".join(text.split()), and how many code points the text has. */
static bt_status collapse_blanks(bt_squad_text text, bt_str *out, int64_t *n_codepoints,
                                 bt_error *err) {
    const char       *at = text.bytes;
    const char *const end = at + text.n_bytes;
    bool              is_pending = false;
    *n_codepoints = 0;
    while (at < end) {
        const char *const start = at;
        uint32_t          c = 0;
        if (!bt_text_read_utf8(&at, end, &c)) {
            continue;
        }
        *n_codepoints += 1;
        if (bt_text_is_space(c)) {
            is_pending = out->len > 0;
            continue;
        }
        if (is_pending) {
            BT_TRY(bt_str_append_char(out, ' ', err));
            is_pending = false;
        }
        BT_TRY(bt_str_append_n(out, start, (size_t)(at - start), err));
    }
    return BT_OK;
}

static bt_status check_place(const bt_squad_paragraph *paragraph, const bt_str *cleaned,
                             int64_t start, int64_t n_codepoints, bt_error *err) {
    if (cleaned->len == 0) {
        return BT_FAIL(err, BT_E_FORMAT, "answers: the text is empty: nothing to learn from");
    }
    if (start < 0 || start > paragraph->n_codepoints - n_codepoints) {
        return BT_FAIL(err, BT_E_FORMAT,
                       "answer_start: got %" PRId64 ", but an answer of length %" PRId64
                       " in a context of length %" PRId64 " (characters) starts at 0 to %" PRId64,
                       start, n_codepoints, paragraph->n_codepoints,
                       paragraph->n_codepoints - n_codepoints);
    }
    return BT_OK;
}

bt_status squad_find_answer(const bt_squad_set *set, const bt_squad_paragraph *paragraph,
                            bt_squad_text text, int64_t start, bt_squad_question *question,
                            bool *is_there, bt_error *err) {
    const bt_squad_word *const words = set->words + paragraph->first_word;
    bt_status                  rc = BT_OK;
    bt_str                     cleaned = BT_STR_INIT;
    bt_str                     actual = BT_STR_INIT;
    int64_t                    n_codepoints = 0;
    BT_CHECK(collapse_blanks(text, &cleaned, &n_codepoints, err));
    BT_CHECK(check_place(paragraph, &cleaned, start, n_codepoints, err));
    question->first_word = word_at(words, paragraph->n_words, start);
    question->last_word = word_at(words, paragraph->n_words, start + n_codepoints - 1);
    if (question->first_word < 0) { /* before the first word; in Python -1 is the last one */
        question->first_word = paragraph->n_words - 1;
    }
    BT_CHECK(
        squad_join_words(set, paragraph, question->first_word, question->last_word, &actual, err));
    *is_there = squad_find(actual.data, actual.len, cleaned.data, cleaned.len) >= 0;
done:
    bt_str_deinit(&cleaned);
    bt_str_deinit(&actual);
    return rc;
}
