/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents -> windows (squad_lib's convert_examples_to_features). The original tokenises a context
 * again for each of its questions; here each word is tokenised once, and a window is a few numbers:
 * its tokens are put together when they are asked for. */
#include <inttypes.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/stop.h"
#include "squad_internal.h"

enum {
    N_SEPARATORS = 3, /* [CLS], [SEP], [SEP] */
    MAX_TOKENS = 1 << 30,
};

struct bt_squad_windows {
    const bt_squad_set      *set;       /* borrowed */
    const bt_text_tokenizer *tokenizer; /* borrowed */
    bt_squad_window_options  options;
    int32_t                  cls;
    int32_t                  sep;
    int32_t                 *doc_ids;   /* of all contexts */
    int32_t                 *doc_words; /* [the same] number of the word in its paragraph */
    size_t                   n_doc;
    size_t                   cap_doc_ids;
    size_t                   cap_doc_words;
    int64_t                 *doc_first; /* [n_paragraphs+1] */
    int32_t                 *query_ids; /* of all questions, cut to max_query_length */
    size_t                   n_query;
    size_t                   cap_query_ids;
    int64_t                 *query_first; /* [n_questions+1] */
    int64_t                  n_cut;       /* questions that were longer than max_query_length */
    bt_squad_window         *windows;
    size_t                   n_windows;
    size_t                   cap_windows;
    int64_t                 *window_first; /* [n_questions+1] */
};

int64_t bt_squad_n_windows(const bt_squad_windows *windows) {
    return (int64_t)windows->n_windows;
}

const bt_squad_window *bt_squad_window_at(const bt_squad_windows *windows, int64_t i) {
    BT_ASSERT(i >= 0 && (size_t)i < windows->n_windows);
    return &windows->windows[i];
}

const bt_squad_set *bt_squad_windows_set(const bt_squad_windows *windows) {
    return windows->set;
}

const bt_squad_window_options *bt_squad_windows_options(const bt_squad_windows *windows) {
    return &windows->options;
}

const bt_text_vocab *squad_vocab(const bt_squad_windows *windows) {
    return bt_text_tokenizer_vocab(windows->tokenizer);
}

static int64_t count(const int32_t *ids, size_t n, int32_t id) {
    int64_t found = 0;
    for (size_t i = 0; i < n; i++) {
        found += ids[i] == id ? 1 : 0;
    }
    return found;
}

bt_squad_tokens bt_squad_windows_count(const bt_squad_windows *windows, int32_t id) {
    return (bt_squad_tokens){.n = (int64_t)windows->n_doc + (int64_t)windows->n_query,
                             .n_id = count(windows->doc_ids, windows->n_doc, id) +
                                     count(windows->query_ids, windows->n_query, id),
                             .n_cut = windows->n_cut};
}

void bt_squad_windows_of(const bt_squad_windows *windows, int64_t question, int64_t *first,
                         int64_t *end) {
    *first = windows->window_first[question];
    *end = windows->window_first[question + 1];
}

void squad_document(const bt_squad_windows *windows, int64_t question, const int32_t **ids,
                    const int32_t **words, int64_t *n) {
    const int64_t paragraph = windows->set->questions[question].paragraph;
    const int64_t first = windows->doc_first[paragraph];
    *ids = windows->doc_ids + first;
    *words = windows->doc_words + first;
    *n = windows->doc_first[paragraph + 1] - first;
}

int64_t bt_squad_window_length(const bt_squad_windows *windows, int64_t i) {
    const bt_squad_window *const w = bt_squad_window_at(windows, i);
    return (int64_t)w->n_query + w->n_doc + N_SEPARATORS;
}

/* Where the document begins in a sequence. */
static int64_t doc_place(const bt_squad_windows *windows, const bt_squad_window *w) {
    return windows->options.xlnet_format ? 0 : (int64_t)w->n_query + 2;
}

int64_t bt_squad_window_word(const bt_squad_windows *windows, int64_t i, int64_t place) {
    const bt_squad_window *const w = bt_squad_window_at(windows, i);
    const int64_t                in_doc = place - doc_place(windows, w);
    const int32_t               *ids = NULL;
    const int32_t               *words = NULL;
    int64_t                      n = 0;
    if (in_doc < 0 || in_doc >= w->n_doc) {
        return -1;
    }
    squad_document(windows, w->question, &ids, &words, &n);
    return words[w->doc_start + in_doc];
}

/* The original's double arithmetic, which decides between equals. */
bool bt_squad_window_is_max_context(const bt_squad_windows *windows, int64_t i, int64_t place) {
    const bt_squad_window *const this_one = bt_squad_window_at(windows, i);
    const int64_t position = this_one->doc_start + place - doc_place(windows, this_one);
    int64_t       first = 0;
    int64_t       end = 0;
    int64_t       best = -1;
    double        best_score = 0;
    bt_squad_windows_of(windows, this_one->question, &first, &end);
    for (int64_t k = first; k < end; k++) {
        const bt_squad_window *const w = &windows->windows[k];
        const int64_t                left = position - w->doc_start;
        const int64_t                right = w->doc_start + w->n_doc - 1 - position;
        if (left < 0 || right < 0) {
            continue;
        }
        const double score = (double)(left < right ? left : right) + 0.01 * (double)w->n_doc;
        if (best < 0 || score > best_score) {
            best = k;
            best_score = score;
        }
    }
    return best == i;
}

static int64_t put_run(int32_t *ids, int32_t *segments, int64_t at, const int32_t *run, int64_t n,
                       int32_t segment) {
    memcpy(ids + at, run, (size_t)n * sizeof *ids);
    for (int64_t k = 0; k < n; k++) {
        segments[at + k] = segment;
    }
    return at + n;
}

int64_t bt_squad_window_tokens(const bt_squad_windows *windows, int64_t i, int32_t *ids,
                               int32_t *segments) {
    const bt_squad_window *const w = bt_squad_window_at(windows, i);
    const int32_t *const         query = windows->query_ids + windows->query_first[w->question];
    const int32_t               *doc = NULL;
    const int32_t               *words = NULL;
    int64_t                      n_doc = 0;
    int64_t                      n = 0;
    squad_document(windows, w->question, &doc, &words, &n_doc);
    doc += w->doc_start;
    if (windows->options.xlnet_format) {
        n = put_run(ids, segments, n, doc, w->n_doc, 0);
        n = put_run(ids, segments, n, &windows->sep, 1, 0);
        n = put_run(ids, segments, n, query, w->n_query, 1);
        n = put_run(ids, segments, n, &windows->sep, 1, 1);
        return put_run(ids, segments, n, &windows->cls, 1, 2);
    }
    n = put_run(ids, segments, n, &windows->cls, 1, 0);
    n = put_run(ids, segments, n, query, w->n_query, 0);
    n = put_run(ids, segments, n, &windows->sep, 1, 0);
    n = put_run(ids, segments, n, doc, w->n_doc, 1);
    return put_run(ids, segments, n, &windows->sep, 1, 1);
}

/* Making: tokens. */

static bt_status add_ids(int32_t **ids, size_t *n, size_t *cap, const int32_t *more, size_t n_more,
                         bt_error *err) {
    if (n_more == 0) {
        return BT_OK;
    }
    BT_TRY(bt_grow(ids, cap, *n + n_more, sizeof **ids, MAX_TOKENS, err));
    memcpy(*ids + *n, more, n_more * sizeof **ids);
    *n += n_more;
    return BT_OK;
}

/* Room for one: so that no address is ever made from NULL. */
static bt_status begin_tokens(bt_squad_windows *w, bt_error *err) {
    BT_TRY(bt_grow(&w->doc_ids, &w->cap_doc_ids, 1, sizeof *w->doc_ids, MAX_TOKENS, err));
    BT_TRY(bt_grow(&w->doc_words, &w->cap_doc_words, 1, sizeof *w->doc_words, MAX_TOKENS, err));
    return bt_grow(&w->query_ids, &w->cap_query_ids, 1, sizeof *w->query_ids, MAX_TOKENS, err);
}

static bt_status tokenize_context(bt_squad_windows *w, const bt_squad_paragraph *paragraph,
                                  bt_text_scratch *scratch, bt_error *err) {
    for (int64_t i = 0; i < paragraph->n_words; i++) {
        const bt_squad_word word = w->set->words[paragraph->first_word + i];
        const int32_t      *ids = NULL;
        size_t              n = 0;
        BT_TRY(bt_text_encode(w->tokenizer, scratch, paragraph->context.bytes + word.begin,
                              word.end - word.begin, &ids, &n, err));
        BT_TRY(bt_grow(&w->doc_words, &w->cap_doc_words, w->n_doc + n, sizeof *w->doc_words,
                       MAX_TOKENS, err));
        for (size_t k = 0; k < n; k++) {
            w->doc_words[w->n_doc + k] = (int32_t)i;
        }
        BT_TRY(add_ids(&w->doc_ids, &w->n_doc, &w->cap_doc_ids, ids, n, err));
    }
    return BT_OK;
}

static bt_status tokenize_contexts(bt_squad_windows *w, bt_text_scratch *scratch, bt_error *err) {
    const int64_t n = w->set->n_paragraphs;
    w->doc_first = bt_alloc_array((size_t)n + 1, sizeof *w->doc_first);
    if (w->doc_first == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " paragraphs", n);
    }
    for (int64_t i = 0; i < n; i++) {
        w->doc_first[i] = (int64_t)w->n_doc;
        BT_TRY(bt_stop_check(err));
        BT_TRY(tokenize_context(w, &w->set->paragraphs[i], scratch, err));
    }
    w->doc_first[n] = (int64_t)w->n_doc;
    return BT_OK;
}

static bt_status tokenize_questions(bt_squad_windows *w, bt_text_scratch *scratch, bt_error *err) {
    const int64_t n = w->set->n_questions;
    const size_t  most = (size_t)w->options.max_query_length;
    w->query_first = bt_alloc_array((size_t)n + 1, sizeof *w->query_first);
    w->window_first = bt_alloc_array((size_t)n + 1, sizeof *w->window_first);
    if (w->query_first == NULL || w->window_first == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for %" PRId64 " questions", n);
    }
    for (int64_t i = 0; i < n; i++) {
        const bt_squad_text text = w->set->questions[i].text;
        const int32_t      *ids = NULL;
        size_t              n_ids = 0;
        w->query_first[i] = (int64_t)w->n_query;
        BT_TRY(bt_stop_check(err));
        BT_TRY(bt_text_encode(w->tokenizer, scratch, text.bytes, text.n_bytes, &ids, &n_ids, err));
        w->n_cut += n_ids > most ? 1 : 0;
        BT_TRY(add_ids(&w->query_ids, &w->n_query, &w->cap_query_ids, ids,
                       n_ids < most ? n_ids : most, err));
    }
    w->query_first[n] = (int64_t)w->n_query;
    return BT_OK;
}

/* Making: the answer in tokens. */

typedef struct token_span {
    int64_t first;
    int64_t last; /* below first: none */
} token_span;

static int64_t first_token_of(const int32_t *words, int64_t n, int64_t word) {
    int64_t low = 0;
    int64_t high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (words[middle] < word) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The tokens of the answer's words, or fewer: the first place among them where exactly the answer's
 * own tokens stand ("1895" in "(1895-1943)."). */
static bt_status find_answer_tokens(const bt_squad_windows *w, const bt_squad_question *question,
                                    bt_text_scratch *scratch, token_span *span, bt_error *err) {
    const int64_t        paragraph = question->paragraph;
    const int64_t        first = w->doc_first[paragraph];
    const int64_t        n = w->doc_first[paragraph + 1] - first;
    const int32_t *const ids = w->doc_ids + first;
    const int32_t *const words = w->doc_words + first;
    const int32_t       *answer_ids = NULL;
    size_t               n_answer = 0;
    span->first = first_token_of(words, n, question->first_word);
    span->last = first_token_of(words, n, question->last_word + 1) - 1;
    const bt_squad_text answer = w->set->answers[question->first_answer];
    BT_TRY(bt_text_encode(w->tokenizer, scratch, answer.bytes, answer.n_bytes, &answer_ids,
                          &n_answer, err));
    for (int64_t at = span->first; n_answer > 0 && at + (int64_t)n_answer - 1 <= span->last; at++) {
        if (memcmp(ids + at, answer_ids, n_answer * sizeof *ids) == 0) {
            *span = (token_span){at, at + (int64_t)n_answer - 1};
            break;
        }
    }
    return BT_OK;
}

static void place_answer(const bt_squad_windows *w, const token_span *span,
                         bt_squad_window *window) {
    const int64_t shift = doc_place(w, window) - window->doc_start;
    window->has_answer =
        span->first >= window->doc_start && span->last <= window->doc_start + window->n_doc - 1;
    if (window->has_answer) {
        window->answer_start = (int32_t)(span->first + shift);
        window->answer_end = (int32_t)(span->last + shift);
    }
}

/* Making: windows. */

static bt_status check_room(const bt_squad_windows *w, int64_t n_query, int64_t n_doc,
                            bt_error *err) {
    const bt_squad_window_options *const o = &w->options;
    const int64_t                        room = o->max_seq_length - n_query - N_SEPARATORS;
    if (n_doc > 0 && room <= 0) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "sequences of %" PRId64 " tokens have no room for the document: the "
                       "question takes %" PRId64 " and the separators %d; make them longer or the "
                       "question (at most %" PRId64 " tokens) shorter",
                       o->max_seq_length, n_query, N_SEPARATORS, o->max_query_length);
    }
    if (n_doc > room && o->doc_stride < 1) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "doc_stride is %" PRId64 ", but the document has %" PRId64
                       " tokens and a window holds %" PRId64 ": expected at least 1",
                       o->doc_stride, n_doc, room);
    }
    return BT_OK;
}

static bt_status add_windows(bt_squad_windows *w, int64_t number, bt_text_scratch *scratch,
                             bt_error *err) {
    const bt_squad_question *const question = &w->set->questions[number];
    const int64_t                  n_query = w->query_first[number + 1] - w->query_first[number];
    const int64_t n_doc = w->doc_first[question->paragraph + 1] - w->doc_first[question->paragraph];
    const int64_t room = w->options.max_seq_length - n_query - N_SEPARATORS;
    const bool    has_answer = question->last_word >= question->first_word;
    token_span    span = {0, -1};
    BT_TRY(check_room(w, n_query, n_doc, err));
    if (has_answer) {
        BT_TRY(find_answer_tokens(w, question, scratch, &span, err));
    }
    for (int64_t start = 0, k = 0; start < n_doc; k++) {
        const int64_t   left = n_doc - start;
        bt_squad_window window = {.question = number,
                                  .number = (int32_t)k,
                                  .n_query = (int32_t)n_query,
                                  .doc_start = (int32_t)start,
                                  .n_doc = (int32_t)(left < room ? left : room)};
        if (has_answer) {
            place_answer(w, &span, &window);
        }
        BT_TRY(bt_grow(&w->windows, &w->cap_windows, w->n_windows + 1, sizeof *w->windows,
                       MAX_TOKENS, err));
        w->windows[w->n_windows++] = window;
        if (window.n_doc == left) {
            break;
        }
        start += window.n_doc < w->options.doc_stride ? window.n_doc : w->options.doc_stride;
    }
    return BT_OK;
}

static bt_status make_windows(bt_squad_windows *w, bt_error *err) {
    bt_status        rc = BT_OK;
    bt_text_scratch *scratch = NULL;
    const int64_t    n = w->set->n_questions;
    BT_CHECK(bt_text_scratch_create(&scratch, err));
    BT_CHECK(begin_tokens(w, err));
    BT_CHECK(tokenize_contexts(w, scratch, err));
    BT_CHECK(tokenize_questions(w, scratch, err));
    for (int64_t i = 0; i < n; i++) {
        BT_CHECK(bt_stop_check(err));
        w->window_first[i] = (int64_t)w->n_windows;
        rc = add_windows(w, i, scratch, err);
        if (rc != BT_OK) {
            rc = bt_squad_blame(w->set, i, err);
            goto done;
        }
    }
    w->window_first[n] = (int64_t)w->n_windows;
done:
    bt_text_scratch_free(scratch);
    return rc;
}

static bool find_piece(const bt_text_tokenizer *tokenizer, const char *piece, int32_t *id) {
    return bt_text_vocab_find(bt_text_tokenizer_vocab(tokenizer), piece, strlen(piece), id);
}

bt_status bt_squad_windows_create(bt_squad_windows **out, const bt_squad_set *set,
                                  const bt_text_tokenizer       *tokenizer,
                                  const bt_squad_window_options *options, bt_error *err) {
    bt_status         rc = BT_OK;
    bt_squad_windows *w = bt_calloc_array(1, sizeof *w);
    if (w == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for windows");
    }
    *w = (bt_squad_windows){.set = set, .tokenizer = tokenizer, .options = *options};
    if (!find_piece(tokenizer, "[CLS]", &w->cls) || !find_piece(tokenizer, "[SEP]", &w->sep)) {
        rc = BT_FAIL(err, BT_E_INTERNAL, "a tokenizer without [CLS] and [SEP]");
        goto done;
    }
    BT_CHECK(make_windows(w, err));
    *out = w;
    w = NULL;
done:
    bt_squad_windows_free(w);
    return rc;
}

void bt_squad_windows_free(bt_squad_windows *windows) {
    if (windows != NULL) {
        bt_free(windows->doc_ids);
        bt_free(windows->doc_words);
        bt_free(windows->doc_first);
        bt_free(windows->query_ids);
        bt_free(windows->query_first);
        bt_free(windows->windows);
        bt_free(windows->window_first);
        bt_free(windows);
    }
}
