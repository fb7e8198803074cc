/* SPDX-License-Identifier: Apache-2.0
 *
 * The kept rows, and what the metrics counted, as members of an object of JSON (docs/formats.md,
 * "eval_details.json"). Where the texts of rows are not at hand, they are put together from their
 * pieces, as the model read them. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "report_rows.h"

/* Bars of the lengths. */
enum { LENGTH_BARS = 24, CELLS_MOST = 100 };

static bt_status put_number(bt_str *json, double value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    return bt_str_append(json, isfinite(value) ? bt_f64_repr(value, text) : "null", err);
}

static bt_status put_lengths(bt_str *json, const bt_report_rows *rows, bt_error *err) {
    const int64_t S = rows->config.seq_length;
    const int64_t step = (S + LENGTH_BARS - 1) / LENGTH_BARS;
    BT_TRY(bt_str_appendf(json, err,
                          ", \"rows\": %" PRId64 ", \"length_step\": %" PRId64 ", \"lengths\": [",
                          rows->n_rows, step));
    for (int64_t begin = 1; begin <= S; begin += step) {
        int64_t n = begin == 1 ? rows->lengths[0] : 0;
        for (int64_t i = begin; i < begin + step && i <= S; i++) {
            n += rows->lengths[i];
        }
        BT_TRY(bt_str_appendf(json, err, "%s%" PRId64, begin > 1 ? ", " : "", n));
    }
    return bt_str_append(json, "]", err);
}

/* A piece as text: "##ing" goes on with the word before. */
static const char *piece_text(const bt_text_vocab *vocab, int32_t id, bool *goes_on) {
    const bool        is_known = vocab != NULL && id >= 0 && id < bt_text_vocab_size(vocab);
    const char *const piece = is_known ? bt_text_vocab_piece(vocab, id, NULL) : "";
    *goes_on = bt_str_starts_with(piece, "##") && piece[2] != '\0';
    return *goes_on ? piece + 2 : piece;
}

static bool is_special(const char *piece) {
    return bt_str_equal(piece, "[CLS]") || bt_str_equal(piece, "[SEP]") ||
           bt_str_equal(piece, "[PAD]");
}

static bt_status put_piece(bt_str *text, const bt_text_vocab *vocab, int32_t id, bool is_begun,
                           bt_error *err) {
    bool              goes_on = false;
    const char *const piece = piece_text(vocab, id, &goes_on);
    if (is_begun && !goes_on) {
        BT_TRY(bt_str_append_char(text, ' ', err));
    }
    return vocab != NULL ? bt_str_append(text, piece, err)
                         : bt_str_appendf(text, err, "%" PRId32, id);
}

static bt_status put_text(bt_str *json, const bt_str *text, bool *is_first, bt_error *err) {
    BT_TRY(bt_str_append(json, *is_first ? "" : ", ", err));
    *is_first = false;
    return bt_text_append_json_ascii(json, bt_str_text(text), text->len, err);
}

/* The texts between the marks. */
static bt_status put_pieces(bt_str *json, const kept_row *row, const bt_text_vocab *vocab,
                            bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    bool      is_first = true;
    bool      is_begun = false;
    for (int64_t i = 0; i < row->n; i++) {
        bool       goes_on = false;
        const bool is_mark = is_special(piece_text(vocab, row->ids[i], &goes_on));
        if (!is_mark) {
            BT_CHECK(put_piece(&text, vocab, row->ids[i], is_begun, err));
        }
        is_begun = !is_mark;
        if (text.len > 0 && (is_mark || i + 1 == row->n)) {
            BT_CHECK(put_text(json, &text, &is_first, err));
            bt_str_clear(&text);
        }
    }
done:
    bt_str_deinit(&text);
    return rc;
}

static bt_status put_texts(bt_str *json, const kept_row *row, const bt_report_texts *texts,
                           bt_error *err) {
    const bt_text_span *spans = NULL;
    size_t              n = 0;
    BT_TRY(bt_str_append(json, ", \"texts\": [", err));
    if (texts->read != NULL) {
        BT_TRY(texts->read(texts->context, row->place, &spans, &n, err));
    }
    for (size_t i = 0; i < n; i++) {
        BT_TRY(bt_str_append(json, i > 0 ? ", " : "", err));
        BT_TRY(bt_text_append_json_ascii(json, spans[i].text, spans[i].n_bytes, err));
    }
    if (n == 0) {
        BT_TRY(put_pieces(json, row, texts->vocab, err));
    }
    return bt_str_append(json, "]", err);
}

/* Words of a tagger: a piece with a label begins one. [word, label, prediction, probability] */
static bt_status put_words(bt_str *json, const kept_row *row, const bt_text_vocab *vocab,
                           bt_error *err) {
    bt_status rc = BT_OK;
    bt_str    text = BT_STR_INIT;
    BT_CHECK(bt_str_append(json, ", \"words\": [", err));
    for (int64_t i = 0, n = 0; i < row->n; i++) {
        if (row->labels[i] < 0) {
            continue;
        }
        bt_str_clear(&text);
        BT_CHECK(put_piece(&text, vocab, row->ids[i], false, err));
        for (int64_t k = i + 1; k < row->n && row->labels[k] < 0; k++) {
            bool              goes_on = false;
            const char *const piece = piece_text(vocab, row->ids[k], &goes_on);
            BT_CHECK(is_special(piece) ? BT_OK : bt_str_append(&text, piece, err));
        }
        BT_CHECK(bt_str_append(json, n++ > 0 ? ", [" : "[", err));
        BT_CHECK(bt_text_append_json_ascii(json, bt_str_text(&text), text.len, err));
        BT_CHECK(bt_str_appendf(json, err, ", %" PRId32 ", %" PRId32 ", ", row->labels[i],
                                row->found[i]));
        BT_CHECK(put_number(json, row->chances[i], err));
        BT_CHECK(bt_str_append(json, "]", err));
    }
    BT_CHECK(bt_str_append(json, "]", err));
done:
    bt_str_deinit(&text);
    return rc;
}

/* The classes that apply, those that were found, and the probabilities of all of either. */
static bt_status put_sets(bt_str *json, const kept_row *row, int64_t n_classes, bt_error *err) {
    bool is_first = true;
    BT_TRY(bt_str_append(json, ", \"sets\": [", err));
    for (int64_t c = 0; c < n_classes; c++) {
        if (row->labels[c] != 0 || row->found[c] != 0) {
            BT_TRY(bt_str_appendf(json, err, "%s[%" PRId64 ", %s, %s, ", is_first ? "" : ", ", c,
                                  row->labels[c] != 0 ? "true" : "false",
                                  row->found[c] != 0 ? "true" : "false"));
            BT_TRY(put_number(json, row->chances[c], err));
            BT_TRY(bt_str_append(json, "]", err));
            is_first = false;
        }
    }
    return bt_str_append(json, "]", err);
}

static bt_status put_row(bt_str *json, const bt_report_rows *rows, const kept_row *row,
                         const bt_report_texts *texts, bt_error *err) {
    static const char *const pairs[] = {
        [BT_REPORT_CLASSES] = "probabilities", [BT_REPORT_SCORES] = "scores"};
    const bt_report_kind kind = rows->config.kind;
    BT_TRY(bt_str_appendf(json, err, "\n  {\"row\": %" PRId64 ", \"wrong\": ", row->place + 1));
    BT_TRY(put_number(json, row->wrong, err));
    if (kind == BT_REPORT_CLASSES) {
        BT_TRY(bt_str_appendf(json, err, ", \"label\": %" PRId32 ", \"prediction\": %" PRId32,
                              row->labels[0], row->found[0]));
    }
    if (kind == BT_REPORT_CLASSES || kind == BT_REPORT_SCORES) {
        BT_TRY(bt_str_appendf(json, err, ", \"%s\": [", pairs[kind]));
        BT_TRY(put_number(json, row->chances[0], err));
        BT_TRY(bt_str_append(json, ", ", err));
        BT_TRY(put_number(json, row->chances[1], err));
        BT_TRY(bt_str_append(json, "]", err));
    }
    if (kind == BT_REPORT_LABEL_SETS) {
        BT_TRY(put_sets(json, row, rows->config.n_classes, err));
    }
    BT_TRY(kind == BT_REPORT_TAGS ? put_words(json, row, texts->vocab, err)
                                  : put_texts(json, row, texts, err));
    return bt_str_append(json, "}", err);
}

static int by_wrong(const void *a, const void *b) {
    const kept_row *const x = *(const kept_row *const *)a;
    const kept_row *const y = *(const kept_row *const *)b;
    if (x->wrong != y->wrong) {
        return x->wrong > y->wrong ? -1 : 1;
    }
    return (x->place > y->place) - (x->place < y->place);
}

static bt_status put_rows(bt_str *json, const bt_report_rows *rows, const bt_report_texts *texts,
                          bt_error *err) {
    const size_t     n = (size_t)rows->n_kept;
    const kept_row **sorted = bt_alloc_array(n, sizeof *sorted);
    bt_status        rc = BT_OK;
    if (sorted == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the rows of the report");
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &rows->kept[i];
    }
    qsort(sorted, n, sizeof *sorted, by_wrong);
    BT_CHECK(bt_str_append(json, ", \"mistakes\": [", err));
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(bt_str_append(json, i > 0 ? "," : "", err));
        BT_CHECK(put_row(json, rows, sorted[i], texts, err));
    }
    BT_CHECK(bt_str_append(json, "]", err));
done:
    bt_free(sorted);
    return rc;
}

bt_status bt_report_rows_append(const bt_report_rows *rows, const bt_report_texts *texts,
                                bt_str *json, bt_error *err) {
    BT_TRY(put_lengths(json, rows, err));
    if (rows->config.kind == BT_REPORT_LENGTHS) {
        return BT_OK;
    }
    if (rows->config.kind != BT_REPORT_SCORES) {
        BT_TRY(bt_str_appendf(json, err, ", \"wrong_rows\": %" PRId64, rows->n_wrong));
    }
    return put_rows(json, rows, texts, err);
}

static bt_status put_counts(bt_str *json, const char *key, const int64_t *counts, int64_t n,
                            bt_error *err) {
    BT_TRY(bt_str_appendf(json, err, ", \"%s\": [", key));
    for (int64_t i = 0; i < n; i++) {
        BT_TRY(bt_str_appendf(json, err, "%s%" PRId64, i > 0 ? ", " : "", counts[i]));
    }
    return bt_str_append(json, "]", err);
}

/* Of more classes than a table has room for the cells that are not 0 off the diagonal, largest
 * first: [label, prediction, count]. */
typedef struct pair_count {
    int64_t label, prediction, n;
} pair_count;

static int by_count(const void *a, const void *b) {
    const pair_count *const x = a;
    const pair_count *const y = b;
    if (x->n != y->n) {
        return x->n > y->n ? -1 : 1;
    }
    const int64_t d = x->label != y->label ? x->label - y->label : x->prediction - y->prediction;
    return (d > 0) - (d < 0);
}

static bt_status put_pairs(bt_str *json, const bt_metrics_confusion *c, bt_error *err) {
    const int64_t n = c->n_classes;
    pair_count   *pairs = NULL;
    size_t        n_pairs = 0;
    size_t        cap = 0;
    bt_status     rc = BT_OK;
    for (int64_t i = 0; c->cells != NULL && i < n * n; i++) {
        if (i / n != i % n && c->cells[i] > 0) {
            BT_CHECK(bt_grow(&pairs, &cap, n_pairs + 1, sizeof *pairs, SIZE_MAX / 64, err));
            pairs[n_pairs++] = (pair_count){i / n, i % n, c->cells[i]};
        }
    }
    if (n_pairs > 0) {
        qsort(pairs, n_pairs, sizeof *pairs, by_count);
    }
    BT_CHECK(bt_str_append(json, ", \"pairs\": [", err));
    for (size_t i = 0; i < n_pairs && i < CELLS_MOST; i++) {
        BT_CHECK(bt_str_appendf(json, err, "%s[%" PRId64 ", %" PRId64 ", %" PRId64 "]",
                                i > 0 ? ", " : "", pairs[i].label, pairs[i].prediction,
                                pairs[i].n));
    }
    BT_CHECK(bt_str_append(json, "]", err));
done:
    bt_free(pairs);
    return rc;
}

static bt_status put_confusion(bt_str *json, const bt_metrics_confusion *c, bt_error *err) {
    enum { TABLE_MOST = 12 };
    const int64_t n = c->n_classes;
    BT_TRY(put_counts(json, "labelled", c->labelled, n, err));
    BT_TRY(put_counts(json, "predicted", c->predicted, n, err));
    BT_TRY(put_counts(json, "correct", c->correct, n, err));
    return c->cells != NULL && n <= TABLE_MOST ? put_counts(json, "confusion", c->cells, n * n, err)
                                               : put_pairs(json, c, err);
}

static bt_status put_calibration(bt_str *json, const bt_metrics_calibration *c, bt_error *err) {
    BT_TRY(bt_str_append(json, ", \"calibration_error\": ", err));
    BT_TRY(put_number(json, c->expected_error, err));
    BT_TRY(bt_str_append(json, ", \"calibration\": [", err));
    for (size_t i = 0; i < BT_METRIC_BINS; i++) {
        BT_TRY(bt_str_appendf(json, err, "%s[%" PRId64 ", %" PRId64 ", ", i > 0 ? ", " : "",
                              c->counts[i], c->correct[i]));
        BT_TRY(put_number(json, c->probabilities[i], err));
        BT_TRY(bt_str_append(json, "]", err));
    }
    return bt_str_append(json, "]", err);
}

bt_status bt_report_metrics_append(const bt_metrics *metrics, bt_str *json, bt_error *err) {
    bt_metrics_confusion   confusion;
    bt_metrics_calibration calibration;
    if (bt_metrics_get_confusion(metrics, &confusion)) {
        BT_TRY(put_confusion(json, &confusion, err));
    }
    return bt_metrics_get_calibration(metrics, &calibration)
               ? put_calibration(json, &calibration, err)
               : BT_OK;
}
