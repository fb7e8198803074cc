/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics of tags: seqeval's numbers, over records, over sentences that several records make up,
 * and over whole batches as Model Garden does; in batches, across save and load. */
#include "test_tensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/metrics.h"

static const char *const names[] = {
    "f1",           "precision",      "recall",          "accuracy",
    "f1_macro",     "f1_weighted",    "precision_macro", "precision_weighted",
    "recall_macro", "recall_weighted"};
static const char *const of_types[] = {"f1/*", "precision/*", "recall/*"};

enum { MAX_TOKENS = 512, MAX_CLASSES = 24, MAX_SEQS = 64 };

typedef struct tagged_batch {
    bt_batch batch;
    int64_t  offsets[MAX_SEQS + 1];
    int64_t  sentences[MAX_SEQS];
    int64_t  pieces[MAX_SEQS];
    int32_t  labels[MAX_TOKENS];
    float    logits[MAX_TOKENS * MAX_CLASSES];
} tagged_batch;

static void add_token(tagged_batch *b, int32_t label, int64_t prediction, int64_t n_classes) {
    int64_t *const n = &b->batch.n_tokens;
    assert_true(*n < MAX_TOKENS && n_classes <= MAX_CLASSES);
    b->labels[*n] = label;
    for (int64_t c = 0; c < n_classes; c++) {
        b->logits[*n * n_classes + c] = c == prediction ? 2.0F : -0.25F * (float)c;
    }
    (*n)++;
}

/* One more sequence; a token that is not a first piece is before every word. */
static void add_sequence(tagged_batch *b, const json_t *labels, const json_t *predictions,
                         int64_t n_classes) {
    assert_true(b->batch.n_seqs < MAX_SEQS);
    for (size_t i = 0; i < json_array_size(labels); i++) {
        add_token(b, -1, (int64_t)i % n_classes, n_classes);
        add_token(b, (int32_t)json_integer_value(json_array_get(labels, i)),
                  json_integer_value(json_array_get(predictions, i)), n_classes);
    }
    add_token(b, -1, 0, n_classes);
    b->batch.n_seqs++;
    b->offsets[b->batch.n_seqs] = b->batch.n_tokens;
}

static void clear(tagged_batch *b) {
    *b = (tagged_batch){0};
    b->batch.offsets = b->offsets;
    b->batch.int_labels = b->labels;
}

static bt_metrics *create(const json_t *class_names, bool bug_compatible, int64_t *n_classes) {
    const char *list[MAX_CLASSES];
    const char *all[BT_ARRAY_LEN(names) + BT_ARRAY_LEN(of_types)];
    memcpy(all, names, sizeof names);
    memcpy(all + BT_ARRAY_LEN(names), of_types, sizeof of_types);
    bt_metrics *metrics = NULL;
    *n_classes = (int64_t)json_array_size(class_names);
    for (int64_t c = 0; c < *n_classes; c++) {
        list[c] = json_string_value(json_array_get(class_names, (size_t)c));
    }
    const bt_metrics_config config = {.names = all,
                                      .n_names = BT_ARRAY_LEN(all),
                                      .n_classes = *n_classes,
                                      .unit = BT_METRIC_OF_TOKENS,
                                      .class_names = list,
                                      .bug_compatible = bug_compatible};
    assert_ok(bt_metrics_create(&config, &metrics, err));
    return metrics;
}

static void check_values(const bt_metrics *metrics, const json_t *want, const char *title) {
    bt_metric_value values[BT_METRIC_MAX];
    assert_true(bt_metrics_compute(metrics, values) >= BT_ARRAY_LEN(names));
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        char          what[160];
        const json_t *entry = json_object_get(want, names[i]);
        if (entry == NULL && i >= 4) {
            continue; /* Model Garden has not computed it */
        }
        entry = json_is_object(entry) ? json_object_get(entry, "value") : entry;
        assert_true(json_is_number(entry));
        const double number = json_number_value(entry);
        (void)snprintf(what, sizeof what, "%s %s", title, names[i]);
        assert_string_equal(values[i].name, names[i]);
        test_close_f64(&values[i].value, &number, 1, 1e-12, 0.0, what);
    }
}

static void save_and_load(bt_metrics *from, bt_metrics *to) {
    bt_str bytes = BT_STR_INIT;
    assert_ok(bt_metrics_save(from, &bytes, err));
    bt_reader reader = bt_reader_make(bt_str_text(&bytes), bytes.len);
    assert_ok(bt_metrics_load(to, &reader, err));
    assert_int_equal(bt_reader_left(&reader), 0);
    bt_str_deinit(&bytes);
}

/* Model Garden's golden: every batch is one sequence there. */
static void test_shared_goldens_hold(void **state) {
    (void)state;
    const char *const path = test_shared_path("goldens/numerics/metrics/seqeval.json");
    if (path == NULL) {
        test_skip("Model Garden's goldens (../shared) are not here");
    }
    static tagged_batch b;
    json_t *const       root = test_read_json(path);
    const char         *title = NULL;
    json_t             *entry = NULL;
    size_t              n_cases = 0;
    json_object_foreach(root, title, entry) {
        const json_t *const labels = json_object_get(entry, "label_ids_per_batch");
        const json_t *const guesses = json_object_get(entry, "predict_ids_per_batch");
        for (int way = 0; way < 2; way++) { /* one sequence a batch: both ways are the same */
            int64_t     n_classes = 0;
            bt_metrics *metrics =
                create(json_object_get(entry, "class_names"), way == 1, &n_classes);
            for (size_t i = 0; i < json_array_size(labels); i++) {
                clear(&b);
                add_sequence(&b, json_array_get(labels, i), json_array_get(guesses, i), n_classes);
                assert_ok(bt_metrics_update(metrics, &b.batch, b.logits, err));
            }
            check_values(metrics, json_object_get(entry, "results"), title);
            bt_metrics_free(metrics);
        }
        n_cases++;
    }
    assert_int_equal(n_cases, 11);
    json_decref(root);
}

/* Of each type, after the values by name; one that does not occur is not in the golden. */
static void check_types(const bt_metrics *metrics, const json_t *types, const char *title) {
    bt_metric_value values[BT_METRIC_MAX];
    const size_t    n = bt_metrics_compute(metrics, values);
    size_t          n_found = 0;
    for (size_t i = BT_ARRAY_LEN(names); i < n; i++) {
        char              figure[16];
        char              what[200];
        const char *const slash = strchr(values[i].name, '/');
        const json_t     *type = json_object_get(types, slash + 1);
        (void)snprintf(figure, sizeof figure, "%.*s", (int)(slash - values[i].name),
                       values[i].name);
        (void)snprintf(what, sizeof what, "%s %s", title, values[i].name);
        const double number = type != NULL ? json_number_value(json_object_get(type, figure)) : 0;
        test_close_f64(&values[i].value, &number, 1, 1e-12, 0.0, what);
        n_found += type != NULL ? 1 : 0;
    }
    assert_int_equal(n_found, 3 * json_object_size(types));
}

/* way: "records", "sentences" (their numbers are given), "batches" (Model Garden's). */
static void check_case(const json_t *entry, const char *way, int64_t batch_size,
                       const char *title) {
    static tagged_batch b;
    int64_t             n_classes = 0;
    const json_t *const records = json_object_get(entry, "rows");
    const json_t *const class_names = json_object_get(entry, "names");
    const bool          joins = strcmp(way, "batches") == 0;
    bt_metrics         *metrics = create(class_names, joins, &n_classes);
    int64_t             n_words = 0;
    clear(&b);
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *const record = json_array_get(records, i);
        b.sentences[b.batch.n_seqs] = json_integer_value(json_object_get(record, "sentence"));
        b.pieces[b.batch.n_seqs] = json_integer_value(json_object_get(record, "piece"));
        n_words += (int64_t)json_array_size(json_object_get(record, "labels"));
        add_sequence(&b, json_object_get(record, "labels"), json_object_get(record, "predictions"),
                     n_classes);
        if (b.batch.n_seqs == batch_size || i + 1 == json_array_size(records)) {
            b.batch.sentence_ids = strcmp(way, "sentences") == 0 ? b.sentences : NULL;
            b.batch.sub_sentence_ids = strcmp(way, "sentences") == 0 ? b.pieces : NULL;
            assert_ok(bt_metrics_update(metrics, &b.batch, b.logits, err));
            bt_metrics *const other = create(class_names, joins, &n_classes);
            save_and_load(metrics, other);
            bt_metrics_free(metrics);
            metrics = other;
            clear(&b);
        }
    }
    char what[96];
    (void)snprintf(what, sizeof what, "%s by %s, batch %d", title, way, (int)batch_size);
    check_values(metrics, json_object_get(entry, way), what);
    int64_t n = 0;
    assert_non_null(bt_metrics_prediction_counts(metrics, &n));
    assert_int_equal(n, n_words);
    check_types(metrics, json_object_get(json_object_get(entry, way), "types"), what);
    bt_metrics_reset(metrics);
    bt_metric_value values[BT_METRIC_MAX];
    assert_true(bt_metrics_compute(metrics, values) > BT_ARRAY_LEN(names));
    assert_true(values[0].value == 0.0 && values[3].value == 0.0);
    bt_metrics_free(metrics);
}

static void test_own_goldens_hold(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/entities.json"));
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_cases = 0;
    json_object_foreach(root, title, entry) {
        const int64_t batch = json_integer_value(json_object_get(entry, "batch"));
        check_case(entry, "batches", batch, title);
        for (int64_t size = 1; size <= 8; size++) { /* does not depend on the batch size */
            check_case(entry, "records", size, title);
            check_case(entry, "sentences", size, title);
        }
        n_cases++;
    }
    assert_int_equal(n_cases, 9);
    json_decref(root);
}

static void test_names_of_other_units_are_unknown(void **state) {
    (void)state;
    static const char *const matthews[] = {"matthews_corrcoef"};
    static const char *const tags[] = {"O", "B"};
    bt_metrics              *metrics = NULL;
    bt_metrics_config        config = {.names = matthews,
                                       .n_names = 1,
                                       .n_classes = 2,
                                       .unit = BT_METRIC_OF_TOKENS,
                                       .class_names = tags};
    assert_fails(bt_metrics_create(&config, &metrics, err), BT_E_CONFIG,
                 "no metric has the name 'matthews_corrcoef'; known are f1, precision, recall, "
                 "accuracy");
    config.names = names;
    config.n_names = BT_ARRAY_LEN(names);
    assert_ok(bt_metrics_create(&config, &metrics, err));
    static tagged_batch b;
    clear(&b);
    add_token(&b, 2, 0, 2);
    b.batch.n_seqs = 1;
    b.offsets[1] = 1;
    assert_fails(bt_metrics_update(metrics, &b.batch, b.logits, err), BT_E_FORMAT,
                 "label 2 of example 0 is not in [0, 2)");
    b.batch.int_labels = NULL;
    assert_fails(bt_metrics_update(metrics, &b.batch, b.logits, err), BT_E_CONFIG,
                 "needs class labels");
    bt_metrics_free(metrics);
}

static void test_memory_may_run_out(void **state) {
    (void)state;
    static const char *const tags[] = {"O", "B-a"};
    const bt_metrics_config  config = {.names = names,
                                       .n_names = BT_ARRAY_LEN(names),
                                       .n_classes = 2,
                                       .unit = BT_METRIC_OF_TOKENS,
                                       .class_names = tags};
    bool                     done = false;
    for (uint64_t k = 1; !done; k++) {
        bt_metrics *metrics = NULL;
        bt_error    error = BT_ERROR_INIT;
        assert_true(k < 20);
        bt_alloc_fail_at(k, true);
        const bt_status rc = bt_metrics_create(&config, &metrics, &error);
        bt_alloc_fail_at(0, false);
        done = rc == BT_OK;
        assert_true(done || rc == BT_E_NOMEM);
        bt_metrics_free(metrics);
    }
}

/* The walks are gone on with: places and numbers of more than can be counted would overflow. */
static void test_impossible_places_are_refused(void **state) {
    (void)state;
    static const char *const tags[] = {"O", "B"};
    static const size_t      counted[] = {0, 3, 6, 7, 10, 11}; /* of the words of entities */
    enum { N_BEFORE = 10 };                                    /* head, and counts of tokens */
    const bt_metrics_config config = {.names = names,
                                      .n_names = BT_ARRAY_LEN(names),
                                      .n_classes = 2,
                                      .unit = BT_METRIC_OF_TOKENS,
                                      .class_names = tags};
    bt_metrics             *metrics = NULL;
    bt_str                  bytes = BT_STR_INIT;
    assert_ok(bt_metrics_create(&config, &metrics, err));
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(counted); i++) {
        uint8_t *const word = (uint8_t *)bytes.data + 8 * (N_BEFORE + counted[i]);
        bt_store_u64le(word, INT64_MAX);
        bt_reader reader = bt_reader_make(bytes.data, bytes.len);
        assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "count from 0");
        bt_store_u64le(word, 0);
    }
    bt_str_deinit(&bytes);
    bt_metrics_free(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_goldens_hold),
        cmocka_unit_test(test_own_goldens_hold),
        cmocka_unit_test(test_names_of_other_units_are_unknown),
        cmocka_unit_test(test_impossible_places_are_refused),
        cmocka_unit_test(test_memory_may_run_out),
    };
    return cmocka_run_group_tests_name("metrics of tags", tests, NULL, NULL);
}
