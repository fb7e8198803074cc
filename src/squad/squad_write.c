/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of predictions, byte for byte as Python's json.dumps(..., indent=4) writes them:
 * ASCII only, floats in their shortest form. */
#include <math.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/fs.h"

#include "squad_answers.h"

enum { FLUSH_BYTES = 1 << 16 };

static bt_status put_string(bt_str *out, bt_squad_text text, bt_error *err) {
    return bt_text_append_json_ascii(out, text.bytes, text.n_bytes, err);
}

static bt_status put_number(bt_str *out, double value, bt_error *err) {
    char text[BT_F64_TEXT_MAX];
    if (isfinite(value)) {
        return bt_str_append(out, bt_f64_repr(value, text), err);
    }
    return bt_str_append(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity", err);
}

typedef bt_status (*put_value)(const bt_squad_answers *answers, int64_t question, bt_str *out,
                               bt_error *err);

static bt_status put_prediction(const bt_squad_answers *answers, int64_t question, bt_str *out,
                                bt_error *err) {
    return put_string(out, bt_squad_answers_prediction(answers, question).text, err);
}

static bt_status put_null_odds(const bt_squad_answers *answers, int64_t question, bt_str *out,
                               bt_error *err) {
    return put_number(out, bt_squad_answers_prediction(answers, question).null_odds, err);
}

static bt_status put_candidate(const bt_squad_candidate *candidate, bt_str *out, bt_error *err) {
    BT_TRY(bt_str_append(out, "        {\n            \"text\": ", err));
    BT_TRY(put_string(out, candidate->text, err));
    BT_TRY(bt_str_append(out, ",\n            \"probability\": ", err));
    BT_TRY(put_number(out, candidate->probability, err));
    BT_TRY(bt_str_append(out, ",\n            \"start_logit\": ", err));
    BT_TRY(put_number(out, (double)candidate->start_logit, err));
    BT_TRY(bt_str_append(out, ",\n            \"end_logit\": ", err));
    BT_TRY(put_number(out, (double)candidate->end_logit, err));
    return bt_str_append(out, "\n        }", err);
}

static bt_status put_nbest(const bt_squad_answers *answers, int64_t question, bt_str *out,
                           bt_error *err) {
    const int64_t n = bt_squad_answers_n_candidates(answers, question);
    BT_TRY(bt_str_append(out, "[\n", err));
    for (int64_t k = 0; k < n; k++) {
        const bt_squad_candidate candidate = bt_squad_answers_candidate(answers, question, k);
        BT_TRY(put_candidate(&candidate, out, err));
        BT_TRY(bt_str_append(out, k + 1 < n ? ",\n" : "\n", err));
    }
    return bt_str_append(out, "    ]", err);
}

static bt_status put_questions(const bt_squad_answers *answers, const bt_squad_set *set,
                               put_value put, bt_fs_writer *writer, bt_str *text, bt_error *err) {
    const int64_t n = set->n_questions;
    BT_TRY(bt_str_append(text, n == 0 ? "{" : "{\n", err));
    for (int64_t q = 0; q < n; q++) {
        BT_TRY(bt_str_append(text, "    ", err));
        BT_TRY(put_string(text, set->questions[q].id, err));
        BT_TRY(bt_str_append(text, ": ", err));
        BT_TRY(put(answers, q, text, err));
        BT_TRY(bt_str_append(text, q + 1 < n ? ",\n" : "\n", err));
        if (text->len >= FLUSH_BYTES) {
            BT_TRY(bt_fs_writer_write(writer, text->data, text->len, err));
            bt_str_clear(text);
        }
    }
    BT_TRY(bt_str_append(text, "}\n", err));
    return bt_fs_writer_write(writer, text->data, text->len, err);
}

static bt_status write_file(const bt_squad_answers *answers, const char *folder, const char *name,
                            put_value put, bt_fs_writer **writer, bt_error *err) {
    const bt_squad_set *const set = bt_squad_windows_set(answers->windows);
    bt_status                 rc = BT_OK;
    char                     *path = NULL;
    bt_str                    text = BT_STR_INIT;
    BT_CHECK(bt_fs_join(folder, name, &path, err));
    BT_CHECK(bt_fs_sweep(folder, name, err));
    BT_CHECK(bt_fs_writer_create(path, writer, err));
    BT_CHECK(put_questions(answers, set, put, *writer, &text, err));
done:
    bt_str_deinit(&text);
    bt_free(path);
    return rc;
}

bt_status bt_squad_answers_write(const bt_squad_answers *answers, const char *folder,
                                 bt_error *err) {
    static const struct {
        const char *name;
        put_value   put;
    } files[] = {{"predictions.json", put_prediction},
                 {"nbest_predictions.json", put_nbest},
                 {"null_odds.json", put_null_odds}}; /* the last only of version 2 */
    bt_fs_writer *writers[BT_ARRAY_LEN(files)] = {NULL};
    const size_t  n = BT_ARRAY_LEN(files) - (answers->options.version_2 ? 0 : 1);
    bt_status     rc = BT_OK;
    BT_CHECK(bt_fs_finish_commits(folder, err)); /* before a sweep: it names temporary files */
    for (size_t i = 0; i < n; i++) {
        BT_CHECK(write_file(answers, folder, files[i].name, files[i].put, &writers[i], err));
    }
    BT_CHECK(bt_fs_writers_commit(writers, n, err));
done:
    for (size_t i = 0; i < n; i++) {
        bt_fs_writer_abort(writers[i]);
    }
    return rc;
}
