/* SPDX-License-Identifier: Apache-2.0
 *
 * A vocabulary against the table of a model: what would be read without a word and mean something
 * else is refused, or said. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/log.h"
#include "bt/text.h"

static const char *const specials[] = {"[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"};

typedef struct vocab_facts {
    int32_t n;         /* lines without the empty ones at the end */
    int32_t n_empty;   /* among them */
    int32_t empty;     /* the first of those */
    int32_t n_repeats; /* lines whose piece is in a later one too */
    int32_t repeat;    /* the first of those */
} vocab_facts;

static const char *piece_at(const bt_text_vocab *vocab, int32_t id) {
    return bt_text_vocab_piece(vocab, id, NULL);
}

static vocab_facts look(const bt_text_vocab *vocab) {
    vocab_facts facts = {.n = bt_text_vocab_size(vocab)};
    while (facts.n > 0 && piece_at(vocab, facts.n - 1)[0] == '\0') {
        facts.n--;
    }
    for (int32_t i = facts.n - 1; i >= 0; i--) {
        size_t            n_bytes = 0;
        int32_t           last = i;
        const char *const piece = bt_text_vocab_piece(vocab, i, &n_bytes);
        if (n_bytes == 0) {
            facts.n_empty++;
            facts.empty = i;
        } else if (bt_text_vocab_find(vocab, piece, n_bytes, &last) && last != i) {
            facts.n_repeats++;
            facts.repeat = i;
        }
    }
    return facts;
}

/* [CLS] twice: the last one counts, and the weights know the other. */
static bt_status refuse_special_twice(const bt_text_vocab *vocab, int32_t first, int32_t n,
                                      const char *path, bt_error *err) {
    for (size_t s = 0; s < BT_ARRAY_LEN(specials); s++) {
        int32_t last = 0;
        if (!bt_text_vocab_find(vocab, specials[s], strlen(specials[s]), &last)) {
            continue;
        }
        for (int32_t i = first; i < n; i++) {
            if (i != last && strcmp(piece_at(vocab, i), specials[s]) == 0) {
                return BT_FAIL(err, BT_E_FORMAT,
                               "%s:%" PRId32 ": %s again, which line %" PRId32
                               " is already: which of the two did the model learn? Remove the "
                               "other without moving the lines after it",
                               path, last + 1, specials[s], i + 1);
            }
        }
    }
    return BT_OK;
}

/* "[CLS]\t101", "[CLS]": 101: lines that hold more than a piece. */
static bt_status refuse_more_than_pieces(const bt_text_vocab *vocab, const char *path,
                                         bt_error *err) {
    int32_t id = 0;
    if (bt_text_vocab_find(vocab, specials[0], strlen(specials[0]), &id)) {
        return BT_OK;
    }
    for (int32_t i = 0; i < bt_text_vocab_size(vocab); i++) {
        const char *const piece = piece_at(vocab, i);
        if (strstr(piece, specials[0]) != NULL) {
            return BT_FAIL(err, BT_E_FORMAT,
                           "%s:%" PRId32 ": '%.60s': a vocabulary has a piece in each line and "
                           "nothing else (%s), its id is the number of the line",
                           path, i + 1, piece, specials[0]);
        }
    }
    return BT_OK;
}

static void remark(const bt_text_vocab *vocab, const vocab_facts *facts, const char *path,
                   int64_t table_size) {
    const int32_t n_lines = bt_text_vocab_size(vocab);
    if (n_lines > facts->n) {
        bt_log(BT_LOG_WARNING,
               "%s: %" PRId32 " empty line%s at the end (from line %" PRId32 " on): left out", path,
               n_lines - facts->n, n_lines - facts->n == 1 ? "" : "s", facts->n + 1);
    }
    if (facts->n_empty > 0) {
        bt_log(BT_LOG_WARNING,
               "%s:%" PRId32 ": an empty line, which counts as a piece (there %s %" PRId32
               "): are the ids after it right?",
               path, facts->empty + 1, facts->n_empty == 1 ? "is" : "are", facts->n_empty);
    }
    if (facts->n_repeats > 0) {
        bt_log(BT_LOG_WARNING,
               "%s:%" PRId32 ": '%.60s' is in a later line as well, which counts, as in Model "
               "Garden (%" PRId32 " such lines)",
               path, facts->repeat + 1, piece_at(vocab, facts->repeat), facts->n_repeats);
    }
    if (facts->n < table_size) {
        bt_log(BT_LOG_WARNING,
               "%s has %" PRId32 " pieces, the model's table %" PRId64
               " rows (vocab_size): is it the vocabulary that the model was trained with?",
               path, facts->n, table_size);
    }
}

bt_status bt_text_vocab_check(const bt_text_vocab *vocab, const char *path, int64_t table_size,
                              bt_error *err) {
    const vocab_facts facts = look(vocab);
    BT_TRY(refuse_more_than_pieces(vocab, path, err));
    if (facts.n_repeats > 0) {
        BT_TRY(refuse_special_twice(vocab, facts.repeat, facts.n, path, err));
    }
    if (facts.n > table_size) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "%s has %" PRId32 " pieces, but the model's vocab_size is %" PRId64
                       ": name the vocabulary that the model was trained with",
                       path, facts.n, table_size);
    }
    remark(vocab, &facts, path, table_size);
    return BT_OK;
}

bt_text_vocab_letters bt_text_vocab_case(const bt_text_vocab *vocab) {
    bt_text_vocab_letters letters = {0};
    for (int32_t i = 0; i < bt_text_vocab_size(vocab); i++) {
        const char *piece = piece_at(vocab, i);
        bool        has_capital = false;
        bool        has_small = false;
        if (piece[0] == '[') { /* [CLS], [unused1] */
            continue;
        }
        for (; *piece != '\0'; piece++) {
            has_capital = has_capital || (*piece >= 'A' && *piece <= 'Z');
            has_small = has_small || (*piece >= 'a' && *piece <= 'z');
        }
        letters.n_capital += has_capital ? 1 : 0;
        letters.n_small += has_small && !has_capital ? 1 : 0;
    }
    return letters;
}
