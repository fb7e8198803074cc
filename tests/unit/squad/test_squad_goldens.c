/* SPDX-License-Identifier: Apache-2.0
 *
 * The squad room against Model Garden's own runs: windows, records, answers from given logits,
 * scores, and the functions alone. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/str.h"
#include "bt/wire/example.h"
#include "bt/wire/tfrecord.h"
#include "sha256.h"
#include "squad_answers.h"
#include "squad_fixture.h"
#include "squad_score.h"

static const char *golden(const char *name, char path[TEST_PATH_MAX]) {
    char relative[256];
    (void)snprintf(relative, sizeof relative, "goldens/data/squad_eval/%s", name);
    const char *const found = test_shared_path(relative);
    if (found == NULL) {
        return NULL;
    }
    (void)snprintf(path, TEST_PATH_MAX, "%s", found);
    return path;
}

#define GOLDEN_OR_SKIP(name, path)                                                                 \
    if (golden((name), (path)) == NULL) {                                                          \
        test_skip("Model Garden's goldens are not here");                                          \
    }

static void dev_fixture(squad_fixture *f, bool version_2, int64_t length, int64_t stride,
                        int64_t query) {
    char json[TEST_PATH_MAX];
    char vocab[TEST_PATH_MAX];
    (void)golden(version_2 ? "dev_v2.json" : "dev_v1.json", json);
    (void)snprintf(vocab, sizeof vocab, "%s", test_shared_path("goldens/data/vocab/uncased.txt"));
    squad_fixture_init(f, &(squad_case){.json = json,
                                        .vocab = vocab,
                                        .do_lower_case = true,
                                        .use = BT_SQUAD_EVALUATE,
                                        .version_2 = version_2,
                                        .options = {length, stride, query, false}});
}

/* First 16 hex digits of the sha256 of the tokens, U+001F between. */
static void hash_tokens(const squad_fixture *f, int64_t i, char out[17]) {
    int32_t       ids[1024];
    int32_t       segments[1024];
    bt_str        text = BT_STR_INIT;
    const int64_t n = bt_squad_window_tokens(f->windows, i, ids, segments);
    for (int64_t t = 0; t < n; t++) {
        if (t > 0) {
            assert_ok(bt_str_append_char(&text, '\x1f', err));
        }
        assert_ok(bt_str_append(&text, bt_text_vocab_piece(f->vocab, ids[t], NULL), err));
    }
    sha256_16(text.data, text.len, out);
    bt_str_deinit(&text);
}

/* The window as gen_squad_eval.py's feats() describes it, in json.dumps' bytes, keys sorted. */
static void describe_window(const squad_fixture *f, int64_t i, bt_str *out) {
    const bt_squad_window *const w = bt_squad_window_at(f->windows, i);
    const int64_t                first = w->n_query + 2;
    char                         hash[17];
    hash_tokens(f, i, hash);
    assert_ok(bt_str_appendf(out, err,
                             "{\"doc_span_index\": %d, \"example_index\": %" PRId64
                             ", \"first_doc_token\": %" PRId64 ", \"max_context\": \"",
                             w->number, w->question, first));
    for (int64_t t = first; t < first + w->n_doc; t++) {
        const bool is_max = bt_squad_window_is_max_context(f->windows, i, t);
        assert_ok(bt_str_append_char(out, is_max ? '1' : '0', err));
    }
    assert_ok(bt_str_appendf(
        out, err, "\", \"n_doc_tokens\": %d, \"n_tokens\": %" PRId64 ", \"token_to_orig\": [",
        w->n_doc, bt_squad_window_length(f->windows, i)));
    for (int64_t t = first; t < first + w->n_doc; t++) {
        assert_ok(bt_str_appendf(out, err, "%s%" PRId64, t > first ? ", " : "",
                                 bt_squad_window_word(f->windows, i, t)));
    }
    assert_ok(bt_str_appendf(out, err,
                             "], \"tokens_sha256_16\": \"%s\", \"unique_id\": %" PRId64 "}", hash,
                             BT_SQUAD_FIRST_ID + i));
}

static void check_window(const squad_fixture *f, int64_t i, const json_t *want) {
    bt_str text = BT_STR_INIT;
    describe_window(f, i, &text);
    json_t *const got = json_loads(text.data, 0, NULL);
    if (json_equal(got, want) != 1) {
        fail_msg("window %" PRId64 ": got %s", i, text.data);
    }
    json_decref(got);
    bt_str_deinit(&text);
}

static void test_windows(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        char          path[TEST_PATH_MAX];
        squad_fixture f;
        GOLDEN_OR_SKIP(version == 1 ? "features_v1.jsonl" : "features_v2.jsonl", path);
        dev_fixture(&f, version == 2, 384, 128, 64);
        size_t      n_bytes = 0;
        char *const lines = test_read_file(path, &n_bytes);
        int64_t     n = 0;
        for (char *at = lines; at < lines + n_bytes; n++) {
            char *const lf = memchr(at, '\n', (size_t)(lines + n_bytes - at));
            assert_non_null(lf);
            json_t *const want = json_loadb(at, (size_t)(lf - at), 0, NULL);
            check_window(&f, n, want);
            json_decref(want);
            at = lf + 1;
        }
        assert_int_equal(n, bt_squad_n_windows(f.windows));
        bt_free(lines);
        squad_fixture_deinit(&f);
    }
}

static void check_combination(const json_t *combination) {
    squad_fixture f;
    bt_str        text = BT_STR_INIT;
    char          hex[17];
    dev_fixture(&f, false, json_integer_value(json_object_get(combination, "seq_length")),
                json_integer_value(json_object_get(combination, "doc_stride")),
                json_integer_value(json_object_get(combination, "query_length")));
    const int64_t n = bt_squad_n_windows(f.windows);
    assert_int_equal(n, json_integer_value(json_object_get(combination, "n_features")));
    size_t  k = 0;
    json_t *first = NULL;
    json_array_foreach(json_object_get(combination, "first"), k, first) {
        check_window(&f, (int64_t)k, first);
    }
    for (int64_t i = 0; i < n; i++) {
        assert_ok(bt_str_append(&text, i == 0 ? "[" : ", ", err));
        describe_window(&f, i, &text);
    }
    assert_ok(bt_str_append(&text, "]", err));
    sha256_16(text.data, text.len, hex);
    assert_memory_equal(hex, json_string_value(json_object_get(combination, "all_sha256")), 16);
    bt_str_deinit(&text);
    squad_fixture_deinit(&f);
}

static void test_combinations(void **state) {
    (void)state;
    char path[TEST_PATH_MAX];
    GOLDEN_OR_SKIP("span_combos.json", path);
    json_t *const combinations = test_read_json(path);
    assert_true(json_array_size(combinations) >= 5);
    for (size_t i = 0; i < json_array_size(combinations); i++) {
        check_combination(json_array_get(combinations, i));
    }
    json_decref(combinations);
}

static void test_eval_records(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        char          path[TEST_PATH_MAX];
        char          got_path[TEST_PATH_MAX];
        squad_fixture f;
        GOLDEN_OR_SKIP(version == 1 ? "eval_v1.tf_record" : "eval_v2.tf_record", path);
        const char *const folder = test_temp_dir();
        dev_fixture(&f, version == 2, 384, 128, 64);
        assert_ok(bt_squad_write_eval_records(f.windows, 32, folder, err));
        (void)snprintf(got_path, sizeof got_path, "%s/eval.tf_record", folder);
        size_t      n_got = 0;
        size_t      n_want = 0;
        char *const got = test_read_file(got_path, &n_got);
        char *const want = test_read_file(path, &n_want);
        assert_int_equal(n_got, n_want);
        assert_memory_equal(got, want, n_want);
        bt_free(got);
        bt_free(want);
        squad_fixture_deinit(&f);
    }
}

static int64_t unique_id_of(const bt_record *record) {
    bt_example example = BT_EXAMPLE_INIT;
    int64_t    id = 0;
    assert_ok(bt_example_parse(&example, record->data, err));
    assert_ok(bt_example_get_i64(&example, "unique_ids", &id, 1, err));
    bt_example_deinit(&example);
    return id;
}

static void check_padding(const squad_fixture *f, const char *folder, const json_t *row) {
    const json_t       *last_ids = json_object_get(row, "last_unique_ids");
    char                path[TEST_PATH_MAX];
    bt_tfrecord_reader *reader = NULL;
    bt_record           record;
    bool                end = false;
    int64_t             n = 0;
    int64_t             last[3] = {0};
    assert_ok(bt_squad_write_eval_records(
        f->windows, json_integer_value(json_object_get(row, "global_batch_size")), folder, err));
    (void)snprintf(path, sizeof path, "%s/eval.tf_record", folder);
    assert_ok(bt_tfrecord_open(path, BT_COMPRESSION_NONE, &reader, err));
    for (;; n++) {
        assert_ok(bt_tfrecord_next(reader, &record, &end, err));
        if (end) {
            break;
        }
        last[n % 3] = unique_id_of(&record);
    }
    assert_int_equal(n, json_integer_value(json_object_get(row, "n_records")));
    for (int64_t k = 0; k < 3; k++) {
        assert_int_equal(last[(n - 3 + k) % 3],
                         json_integer_value(json_array_get(last_ids, (size_t)k)));
    }
    bt_tfrecord_close(reader);
}

static void test_padding_of_eval_records(void **state) {
    (void)state;
    char          path[TEST_PATH_MAX];
    squad_fixture f;
    GOLDEN_OR_SKIP("eval_padding.json", path);
    json_t *const     rows = test_read_json(path);
    const char *const folder = test_temp_dir();
    dev_fixture(&f, false, 384, 128, 64);
    assert_true(json_array_size(rows) > 10);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        check_padding(&f, folder, json_array_get(rows, i));
    }
    json_decref(rows);
    squad_fixture_deinit(&f);
}

static json_t *golden_json(const char *kind, const char *suffix) {
    char name[128];
    char path[TEST_PATH_MAX];
    (void)snprintf(name, sizeof name, "%s_%s.json", kind, suffix);
    return golden(name, path) == NULL ? NULL : test_read_json(path);
}

static void check_candidates(const bt_squad_answers *answers, int64_t question, const json_t *want,
                             const char *id) {
    const int64_t n = bt_squad_answers_n_candidates(answers, question);
    if (n != (int64_t)json_array_size(want)) {
        fail_msg("%s: %" PRId64 " candidates, expected %zu", id, n, json_array_size(want));
    }
    for (int64_t k = 0; k < n; k++) {
        const bt_squad_candidate got = bt_squad_answers_candidate(answers, question, k);
        const json_t *const      entry = json_array_get(want, (size_t)k);
        check_squad_text(got.text, json_object_get(entry, "text"), id);
        check_squad_number(got.probability, json_object_get(entry, "probability"), id);
        assert_true((double)got.start_logit ==
                    json_number_value(json_object_get(entry, "start_logit")));
        assert_true((double)got.end_logit ==
                    json_number_value(json_object_get(entry, "end_logit")));
    }
}

static void check_metrics(const bt_squad_set *set, const bt_squad_prediction *predictions,
                          bool version_2, const json_t *task, const json_t *all) {
    if (!version_2) {
        bt_squad_scores_v1 v1;
        assert_ok(bt_squad_score_v1(set, predictions, &v1, err));
        check_squad_number(v1.exact_match, json_object_get(task, "exact_match"), "exact_match");
        check_squad_number(v1.f1, json_object_get(task, "final_f1"), "final_f1");
        return;
    }
    bt_squad_scores_v2 s;
    assert_ok(bt_squad_score_v2(set, predictions, &s, err));
    const struct {
        const char *name;
        double      value;
        bool        is_of_task;
    } rows[] = {
        {"exact", s.exact, false},
        {"f1", s.f1, false},
        {"total", (double)s.total, false},
        {"HasAns_exact", s.has_answer_exact, false},
        {"HasAns_f1", s.has_answer_f1, false},
        {"HasAns_total", (double)s.has_answer_total, false},
        {"NoAns_exact", s.no_answer_exact, false},
        {"NoAns_f1", s.no_answer_f1, false},
        {"NoAns_total", (double)s.no_answer_total, false},
        {"final_exact", s.best_exact, false},
        {"final_exact_thresh", s.best_exact_threshold, false},
        {"final_f1", s.best_f1, false},
        {"final_f1_thresh", s.best_f1_threshold, false},
        {"pr_exact_ap", s.exact_ap, false},
        {"pr_f1_ap", s.f1_ap, false},
        {"pr_oracle_ap", s.oracle_ap, false},
        {"exact_match", s.best_exact, true},
        {"exact_match_threshold", s.best_exact_threshold, true},
        {"final_f1", s.best_f1 / 100.0, true},
        {"f1_threshold", s.best_f1_threshold, true},
        {"has_answer_exact_match", s.has_answer_exact, true},
        {"has_answer_f1", s.has_answer_f1, true},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const json_t *const want = json_object_get(rows[i].is_of_task ? task : all, rows[i].name);
        if (want != NULL) {
            check_squad_number(rows[i].value, want, rows[i].name);
        } else if (!rows[i].is_of_task) {
            assert_true(rows[i].value != rows[i].value || rows[i].value == 0); /* NaN, or a count */
        }
    }
}

static void check_variant(const squad_fixture *f, const test_tensors *logits,
                          const json_t *variant) {
    const char *const   suffix = json_string_value(json_object_get(variant, "suffix"));
    const json_t *const args = json_object_get(variant, "args");
    const bool          version_2 = json_is_true(json_object_get(args, "version_2_with_negative"));
    const bt_squad_answer_options options = {
        .n_best_size = json_integer_value(json_object_get(args, "n_best_size")),
        .max_answer_length = json_integer_value(json_object_get(args, "max_answer_length")),
        .null_score_diff_threshold =
            json_number_value(json_object_get(args, "null_score_diff_threshold")),
        .version_2 = version_2,
        .do_lower_case = json_is_true(json_object_get(args, "do_lower_case"))};
    const int64_t        length = json_integer_value(json_object_get(args, "seq_length"));
    const float *const   starts = test_tensors_f32(logits, "start_logits", NULL);
    const float *const   ends = test_tensors_f32(logits, "end_logits", NULL);
    const int64_t        n = bt_squad_n_windows(f->windows);
    bt_squad_answers    *answers = NULL;
    bt_squad_prediction *predictions =
        bt_alloc_array((size_t)f->set.n_questions, sizeof *predictions);
    json_t *const want = golden_json("predictions", suffix);
    json_t *const nbest = golden_json("nbest", suffix);
    json_t *const odds = version_2 ? golden_json("null_odds", suffix) : NULL;
    assert_ok(bt_squad_answers_create(&answers, f->windows, &options, err));
    for (int64_t i = n - 1; i >= 0; i--) { /* the order of windows does not matter */
        bt_squad_answers_add(answers, i, starts + i * length, ends + i * length, 1, length);
    }
    assert_int_equal(bt_squad_answers_n_windows(answers), n);
    assert_ok(bt_squad_answers_finish(answers, err));
    assert_int_equal(json_object_size(want), f->set.n_questions);
    for (int64_t q = 0; q < f->set.n_questions; q++) {
        const char *const id = f->set.questions[q].id.bytes;
        predictions[q] = bt_squad_answers_prediction(answers, q);
        check_squad_text(predictions[q].text, json_object_get(want, id), id);
        check_candidates(answers, q, json_object_get(nbest, id), id);
        if (version_2) {
            assert_true(predictions[q].null_odds == json_number_value(json_object_get(odds, id)));
        }
    }
    check_metrics(&f->set, predictions, version_2, json_object_get(variant, "task_metrics"),
                  json_object_get(variant, "evaluate_result"));
    bt_squad_answers_free(answers);
    bt_free(predictions);
    json_decref(want);
    json_decref(nbest);
    json_decref(odds);
}

static void test_answers(void **state) {
    (void)state;
    char path[TEST_PATH_MAX];
    GOLDEN_OR_SKIP("expected_metrics.json", path);
    json_t *const       expected = test_read_json(path);
    const json_t *const variants = json_object_get(expected, "variants");
    assert_int_equal(json_array_size(variants), 7);
    for (int version = 1; version <= 2; version++) {
        squad_fixture f;
        (void)golden(version == 1 ? "logits_v1.safetensors" : "logits_v2.safetensors", path);
        test_tensors *const logits = test_tensors_open(path);
        dev_fixture(&f, version == 2, 384, 128, 64);
        for (size_t i = 0; i < json_array_size(variants); i++) {
            const json_t *const variant = json_array_get(variants, i);
            const bool          is_v2 = json_is_true(
                         json_object_get(json_object_get(variant, "args"), "version_2_with_negative"));
            if (is_v2 == (version == 2)) {
                check_variant(&f, logits, variant);
            }
        }
        test_tensors_close(logits);
        squad_fixture_deinit(&f);
    }
    json_decref(expected);
}

/* Predictions by id; na_probs may be NULL: all 0. */
static bt_squad_prediction *predictions_of(const bt_squad_set *set, const json_t *texts,
                                           const json_t *na_probs) {
    bt_squad_prediction *const predictions =
        bt_calloc_array((size_t)set->n_questions, sizeof *predictions);
    for (int64_t q = 0; q < set->n_questions; q++) {
        const json_t *const text = json_object_get(texts, set->questions[q].id.bytes);
        predictions[q].is_missing = text == NULL;
        if (text != NULL) {
            predictions[q].text = squad_text_of(text);
            predictions[q].null_odds =
                json_number_value(json_object_get(na_probs, set->questions[q].id.bytes));
        }
    }
    return predictions;
}

static void check_known(const json_t *row, const json_t *na_probs, const char *key,
                        bool version_2) {
    const json_t *const want = json_object_get(row, key);
    char                path[TEST_PATH_MAX];
    bt_squad_set        set = {0};
    (void)golden(json_string_value(json_object_get(row, "dataset")), path);
    /* as version 2, so that both kinds of file can be read */
    assert_ok(bt_squad_read(&set, path, &(bt_text_encoding){0}, BT_SQUAD_EVALUATE, true, err));
    bt_squad_prediction *const predictions =
        predictions_of(&set, json_object_get(row, "predictions"), na_probs);
    if (json_object_get(want, "error") != NULL) { /* max() of no answer, in version 1.1 */
        bt_squad_scores_v1 v1;
        assert_false(version_2);
        assert_fails(bt_squad_score_v1(&set, predictions, &v1, err), BT_E_FORMAT, "question");
    } else {
        check_metrics(&set, predictions, version_2, version_2 ? NULL : want, want);
    }
    bt_free(predictions);
    bt_squad_set_deinit(&set);
}

static void test_known_scores(void **state) {
    (void)state;
    char path[TEST_PATH_MAX];
    GOLDEN_OR_SKIP("known_scores.json", path);
    json_t *const rows = test_read_json(path);
    assert_int_equal(json_array_size(rows), 12);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *const row = json_array_get(rows, i);
        check_known(row, NULL, "v1_1", false);
        check_known(row, NULL, "v2_0", true);
        check_known(row, json_object_get(row, "na_probs"), "v2_0_with_na", true);
    }
    json_decref(rows);
}

/* goldens/numerics has sets of its own, made by another hand. */
static void check_numerics(const char *name, const json_t *row) {
    const bool    version_2 = json_is_true(json_object_get(row, "version2"));
    json_t *const file = json_pack("{s:O}", "data", json_object_get(row, "dataset"));
    char *const   text = json_dumps(file, 0);
    bt_squad_set  set = {0};
    assert_ok(bt_squad_parse(&set, text, strlen(text), name, BT_SQUAD_EVALUATE, true, err));
    bt_squad_prediction *const predictions = predictions_of(
        &set, json_object_get(row, "predictions"), json_object_get(row, "scores_diff"));
    check_metrics(&set, predictions, version_2, json_object_get(row, "reported_by_task"),
                  json_object_get(row, "evaluate"));
    bt_free(predictions);
    bt_squad_set_deinit(&set);
    free(text); /* jansson's memory */
    json_decref(file);
}

static void check_normalize(bt_text_scratch *scratch, const json_t *row) {
    bt_str got = BT_STR_INIT;
    assert_ok(squad_normalize(scratch, squad_text_of(json_array_get(row, 0)), &got, err));
    for (size_t k = 1; k < json_array_size(row); k++) { /* both versions have the same function */
        check_squad_text((bt_squad_text){bt_str_text(&got), got.len}, json_array_get(row, k),
                         "normalize");
    }
    bt_str_deinit(&got);
}

static void test_scores_of_numerics(void **state) {
    (void)state;
    static const char *const names[] = {"v1_a", "v1_b", "v2_a", "v2_b"};
    const char *const        path = test_shared_path("goldens/numerics/metrics/squad.json");
    bt_text_scratch         *scratch = NULL;
    if (path == NULL) {
        test_skip("Model Garden's goldens are not here");
    }
    json_t *const       all = test_read_json(path);
    const json_t *const normalized = json_object_get(all, "normalize");
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        check_numerics(names[i], json_object_get(all, names[i]));
    }
    assert_ok(bt_text_scratch_create(&scratch, err));
    assert_true(json_array_size(normalized) > 10);
    for (size_t i = 0; i < json_array_size(normalized); i++) {
        check_normalize(scratch, json_array_get(normalized, i));
    }
    bt_text_scratch_free(scratch);
    json_decref(all);
}

static void check_compare(bt_text_scratch *scratch, const json_t *row) {
    for (int version = 1; version <= 2; version++) {
        const json_t *const want_em = json_object_get(row, version == 1 ? "v1_em" : "v2_em");
        bool                exact = false;
        double              f1 = -1;
        assert_ok(squad_compare(scratch, squad_text_of(json_object_get(row, "pred")),
                                squad_text_of(json_object_get(row, "gold")), version == 2, &exact,
                                &f1, err));
        check_squad_number(f1, json_object_get(row, version == 1 ? "v1_f1" : "v2_f1"), "f1");
        assert_int_equal(exact, json_is_true(want_em) || json_integer_value(want_em) == 1);
    }
}

static void check_final_text(bt_text_scratch *scratch, const json_t *row) {
    const json_t *const want = json_object_get(row, "final");
    bt_str              got = BT_STR_INIT;
    assert_non_null(want);
    assert_ok(bt_squad_final_text(scratch, squad_text_of(json_object_get(row, "pred")),
                                  squad_text_of(json_object_get(row, "orig")),
                                  json_is_true(json_object_get(row, "do_lower_case")), &got, err));
    check_squad_text((bt_squad_text){bt_str_text(&got), got.len}, want, "final text");
    bt_str_deinit(&got);
}

static void check_softmax(bt_text_scratch *scratch, const json_t *row) {
    const json_t *const scores = json_object_get(row, "scores_float32");
    const size_t        n = json_array_size(scores);
    nbest_entry         entries[16] = {{0}};
    (void)scratch;
    assert_true(n <= BT_ARRAY_LEN(entries));
    for (size_t i = 0; i < n; i++) {
        entries[i].start_logit = (float)json_number_value(json_array_get(scores, i));
    }
    squad_softmax(entries, n);
    for (size_t i = 0; i < n; i++) {
        check_squad_number(entries[i].probability, json_array_get(json_object_get(row, "probs"), i),
                           "softmax");
    }
}

static void test_functions(void **state) {
    (void)state;
    static const struct {
        const char *key;
        void (*check)(bt_text_scratch *scratch, const json_t *row);
        size_t least;
    } rows[] = {{"normalize_answer", check_normalize, 25},
                {"f1_and_exact", check_compare, 100},
                {"get_final_text", check_final_text, 250},
                {"softmax", check_softmax, 20}};
    char             path[TEST_PATH_MAX];
    bt_text_scratch *scratch = NULL;
    GOLDEN_OR_SKIP("functions.json", path);
    json_t *const functions = test_read_json(path);
    assert_ok(bt_text_scratch_create(&scratch, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const json_t *const list = json_object_get(functions, rows[i].key);
        assert_true(json_array_size(list) >= rows[i].least);
        for (size_t k = 0; k < json_array_size(list); k++) {
            rows[i].check(scratch, json_array_get(list, k));
        }
    }
    bt_text_scratch_free(scratch);
    json_decref(functions);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_eval_records),
        cmocka_unit_test(test_padding_of_eval_records),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_known_scores),
        cmocka_unit_test(test_scores_of_numerics),
        cmocka_unit_test(test_functions),
    };
    int rc = cmocka_run_group_tests_name("made-up text", tests, NULL, NULL);
    if (test_outside_path("goldens/data/squad_eval") != NULL) {
        test_prefer_outside(true);
        rc |= cmocka_run_group_tests_name("text outside the repository", tests, NULL, NULL);
    }
    return rc;
}
