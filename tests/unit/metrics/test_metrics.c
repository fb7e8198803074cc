/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: values against Model Garden's, in batches of any size, across save and load; and the
 * sentences for what cannot be. */
#include "metric_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/metrics.h"

typedef struct examples {
    int64_t  n;
    int64_t  n_classes;
    float   *logits;
    int32_t *classes; /* one of the two */
    float   *scores;
} examples;

static bt_status try_create(const char *const *names, size_t n_names, int64_t n_classes,
                            bt_metrics **out, bt_error *err) {
    const bt_metrics_config config = {.names = names, .n_names = n_names, .n_classes = n_classes};
    return bt_metrics_create(&config, out, err);
}

static bt_metrics *create(const char *const *names, size_t n_names, int64_t n_classes) {
    bt_metrics *metrics = NULL;
    assert_ok(try_create(names, n_names, n_classes, &metrics, err));
    return metrics;
}

/* A batch of n sentences: metrics read no tokens. */
static bt_status add(bt_metrics *metrics, const float *logits, const int32_t *classes,
                     const float *scores, int64_t n, bt_error *err) {
    const bt_batch batch = {.n_seqs = n, .int_labels = classes, .float_labels = scores};
    return bt_metrics_update(metrics, &batch, logits, err);
}

static void update(bt_metrics *metrics, const examples *e, int64_t first, int64_t n) {
    assert_ok(add(metrics, e->logits + first * e->n_classes,
                  e->classes != NULL ? e->classes + first : NULL,
                  e->scores != NULL ? e->scores + first : NULL, n, err));
}

static void check_value(double got, const json_t *want, double tolerance, const char *what) {
    if (json_is_string(want)) {
        assert_string_equal(json_string_value(want), "nan");
        assert_true(isnan(got));
        return;
    }
    const double number = json_number_value(want);
    test_close_f64(&got, &number, 1, tolerance, 0.0, what);
}

/* MANIFEST: f1 and mcc 1e-12, Keras 1e-6, Pearson 1e-6 (float32 in scipy), Spearman 1e-12 */
static double tolerance_of(const char *name) {
    const bool exact = strcmp(name, "f1") == 0 || strcmp(name, "matthews_corrcoef") == 0 ||
                       strcmp(name, "spearman") == 0;
    return exact ? 1e-12 : 1e-6;
}

/* Metrics of classes know how many predictions they saw. */
static void check_count(const bt_metrics *metrics, int64_t want) {
    int64_t n = 0;
    if (bt_metrics_prediction_counts(metrics, &n) != NULL) {
        assert_int_equal(n, want);
    }
}

/* want: object name -> value. Whole, in batches of 7, and with a save and load in the middle. */
static void check_case(const examples *e, const json_t *want, const char *title) {
    const char *names[BT_METRIC_MAX];
    size_t      n_names = 0;
    const char *key = NULL;
    json_t     *value = NULL;
    json_object_foreach((json_t *)want, key, value) {
        names[n_names++] = key;
    }
    for (int way = 0; way < 3; way++) {
        bt_metrics   *metrics = create(names, n_names, e->n_classes);
        const int64_t batch = way == 0 ? e->n : 7;
        for (int64_t first = 0; first < e->n; first += batch) {
            update(metrics, e, first, e->n - first < batch ? e->n - first : batch);
            if (way == 2) {
                bt_str bytes = BT_STR_INIT;
                assert_ok(bt_metrics_save(metrics, &bytes, err));
                bt_metrics_free(metrics);
                metrics = create(names, n_names, e->n_classes);
                bt_reader reader = bt_reader_make(bt_str_text(&bytes), bytes.len);
                assert_ok(bt_metrics_load(metrics, &reader, err));
                assert_int_equal(bt_reader_left(&reader), 0);
                bt_str_deinit(&bytes);
            }
        }
        check_count(metrics, e->n);
        bt_metric_value values[BT_METRIC_MAX];
        assert_int_equal(bt_metrics_compute(metrics, values), n_names);
        for (size_t i = 0; i < n_names; i++) {
            char what[160];
            (void)snprintf(what, sizeof what, "%s %s", title, names[i]);
            assert_string_equal(values[i].name, names[i]);
            check_value(values[i].value, json_object_get(want, names[i]), tolerance_of(names[i]),
                        what);
        }
        bt_metrics_free(metrics);
    }
}

static void test_values_are_model_gardens(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/cases.json"));
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_cases = 0;
    json_object_foreach(json_object_get(root, "cases"), title, entry) {
        const json_t *const labels = json_object_get(entry, "labels");
        examples            e = {
                       .n = (int64_t)json_array_size(labels),
                       .n_classes = json_integer_value(json_object_get(entry, "num_classes")),
                       .logits = floats_of(json_object_get(entry, "predictions")),
                       .scores = floats_of(labels),
        };
        e.classes = bt_alloc_array((size_t)e.n, sizeof *e.classes);
        assert_non_null(e.classes);
        for (int64_t i = 0; i < e.n; i++) {
            e.classes[i] = (int32_t)e.scores[i];
        }
        check_case(&e, json_object_get(entry, "values"), title);
        bt_free(e.logits);
        bt_free(e.scores);
        bt_free(e.classes);
        n_cases++;
    }
    assert_int_equal(n_cases, 8);
    json_decref(root);
}

/* Names in results.json that are metrics of ours. */
static json_t *wanted_values(const json_t *results) {
    static const struct {
        const char *golden;
        const char *ours;
    } rows[] = {
        {"cls_accuracy", "cls_accuracy"},
        {"auc", "auc"},
        {"f1", "f1"},
        {"matthews_corrcoef", "matthews_corrcoef"},
        {"pearson_spearman_corr", "pearson_spearman_corr"},
        {"pearson (scipy, as called)", "pearson"},
        {"spearman (scipy, as called)", "spearman"},
    };
    json_t *const want = json_object();
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        const json_t *const value = json_object_get(results, rows[i].golden);
        if (value != NULL) {
            assert_int_equal(json_object_set(want, rows[i].ours, json_object_get(value, "value")),
                             0);
        }
    }
    return want;
}

static void test_shared_goldens_hold(void **state) {
    (void)state;
    const char *const inputs = test_shared_path("goldens/numerics/metrics/inputs.safetensors");
    const char *const results = test_shared_path("goldens/numerics/metrics/results.json");
    if (inputs == NULL) {
        test_skip("Model Garden's goldens (../shared) are not here");
    }
    test_tensors *const tensors = test_tensors_open(inputs);
    json_t *const       root = test_read_json(results);
    const char         *title = NULL;
    json_t             *entry = NULL;
    size_t              n_cases = 0;
    json_object_foreach(root, title, entry) {
        char          logits_name[96];
        char          labels_name[96];
        size_t        n_logits = 0;
        size_t        n = 0;
        const int64_t n_classes = json_integer_value(json_object_get(entry, "num_classes"));
        examples      e = {.n_classes = n_classes};
        (void)snprintf(labels_name, sizeof labels_name, "%s/labels", title);
        (void)snprintf(logits_name, sizeof logits_name, "%s/%s", title,
                       n_classes == 1 ? "predictions" : "logits");
        if (n_classes == 0) {
            continue; /* another task's metrics */
        }
        e.logits = (float *)test_tensors_f32(tensors, logits_name, &n_logits);
        if (n_classes == 1) {
            e.scores = (float *)test_tensors_f32(tensors, labels_name, &n);
        } else {
            e.classes = (int32_t *)test_tensors_i32(tensors, labels_name, &n);
        }
        e.n = (int64_t)n;
        json_t *const want = wanted_values(json_object_get(entry, "results"));
        check_case(&e, want, title);
        json_decref(want);
        n_cases++;
    }
    assert_int_equal(n_cases, 10);
    json_decref(root);
    test_tensors_close(tensors);
}

static void test_predictions_are_counted_and_reset(void **state) {
    (void)state;
    static const char *const names[] = {"cls_accuracy"};
    static const float       logits[] = {1, 0, 0, 0, 1, 2, 5, 5, 5, 0, 3, 0};
    static const int32_t     labels[] = {0, 2, 1, 1};
    bt_metrics *const        metrics = create(names, 1, 3);
    assert_ok(add(metrics, logits, labels, NULL, 4, err));
    int64_t              n = 0;
    const int64_t *const counts = bt_metrics_prediction_counts(metrics, &n);
    assert_int_equal(n, 4);
    assert_int_equal(counts[0], 2); /* the first of equals wins */
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
    bt_metric_value value[BT_METRIC_MAX];
    assert_int_equal(bt_metrics_compute(metrics, value), 1);
    assert_true(value[0].value == 0.75);
    bt_metrics_reset(metrics);
    assert_int_equal(bt_metrics_prediction_counts(metrics, &n)[0], 0);
    assert_int_equal(n, 0);
    assert_int_equal(bt_metrics_compute(metrics, value), 1);
    assert_true(value[0].value == 0.0);
    bt_metrics_free(metrics);
}

static void test_odd_scores_give_nan_not_a_crash(void **state) {
    (void)state;
    static const char *const names[] = {"pearson", "spearman", "mean_squared_error"};
    static const float       labels[] = {1, 2, 3};
    const float              with_nan[] = {1, NAN, 3};
    bt_metrics *const        metrics = create(names, 3, 1);
    bt_metric_value          values[BT_METRIC_MAX];
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    assert_true(isnan(values[0].value) && isnan(values[1].value) && values[2].value == 0.0);
    assert_ok(add(metrics, labels, NULL, labels, 1, err));
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    assert_true(isnan(values[0].value) && isnan(values[1].value));
    assert_ok(add(metrics, with_nan, NULL, labels, 3, err));
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    assert_true(isnan(values[0].value) && isnan(values[1].value) && isnan(values[2].value));
    bt_metrics_reset(metrics);
    assert_ok(add(metrics, labels, NULL, labels, 3, err));
    bt_alloc_fail_at(1, true);
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    bt_alloc_fail_at(0, false);
    assert_true(fabs(values[0].value - 1.0) < 1e-12 && isnan(values[1].value));
    bt_metrics_free(metrics);
}

static void test_extreme_logits_find_a_bucket(void **state) {
    (void)state;
    static const char *const names[] = {"auc"};
    const float   logits[] = {NAN, 0, INFINITY, 0, 0, INFINITY, -INFINITY, 0, 3e38F, -3e38F, 0, 1};
    const int32_t labels[] = {0, 0, 1, 1, 0, 1};
    bt_metrics *const metrics = create(names, 1, 2);
    bt_metric_value   value[BT_METRIC_MAX];
    assert_ok(add(metrics, logits, labels, NULL, 6, err));
    assert_int_equal(bt_metrics_compute(metrics, value), 1);
    assert_true(value[0].value >= 0.0 && value[0].value <= 1.0);
    bt_metrics_free(metrics);
}

static void test_wrong_requests_are_sentences(void **state) {
    (void)state;
    static const char *const unknown[] = {"accuracy"};
    static const char *const f1[] = {"f1"};
    static const char *const scores[] = {"pearson"};
    static const char *const classes[] = {"cls_accuracy"};
    const char              *many[BT_METRIC_MAX + 1];
    static const int32_t     bad_label[] = {2};
    static const float       logits[] = {0, 1};
    bt_metrics              *metrics = NULL;
    for (size_t i = 0; i < BT_ARRAY_LEN(many); i++) {
        many[i] = "cls_accuracy";
    }
    assert_fails(try_create(unknown, 1, 2, &metrics, err), BT_E_CONFIG,
                 "no metric has the name 'accuracy'; known are cls_accuracy, auc");
    assert_fails(try_create(f1, 1, 3, &metrics, err), BT_E_CONFIG,
                 "metric f1 needs num_classes 2, but the model has 3");
    assert_fails(try_create(scores, 1, 2, &metrics, err), BT_E_CONFIG, "regression");
    assert_fails(try_create(classes, 1, 0, &metrics, err), BT_E_CONFIG, "but the model has 0");
    assert_fails(try_create(many, BT_ARRAY_LEN(many), 2, &metrics, err), BT_E_CONFIG, "at most");
    assert_null(metrics);
    metrics = create(classes, 1, 2);
    assert_fails(add(metrics, logits, bad_label, NULL, 1, err), BT_E_FORMAT,
                 "label 2 of example 0");
    assert_fails(add(metrics, logits, NULL, logits, 1, err), BT_E_CONFIG, "needs class labels");
    bt_metrics_free(metrics);
}

static void test_damaged_states_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"pearson_spearman_corr"};
    static const char *const others[] = {"pearson"};
    static const float       labels[] = {1, 2, 3};
    bt_metrics *const        metrics = create(names, 1, 1);
    bt_metrics *const        other = create(others, 1, 1);
    bt_str                   bytes = BT_STR_INIT;
    assert_ok(add(metrics, labels, NULL, labels, 3, err));
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    for (size_t n = 0; n < bytes.len; n++) { /* cut anywhere */
        bt_reader reader = bt_reader_make(bytes.data, n);
        assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "bytes left");
    }
    bt_metric_value value[BT_METRIC_MAX];
    assert_int_equal(bt_metrics_compute(metrics, value), 1);
    assert_true(isnan(value[0].value)); /* as after a reset */
    bt_reader reader = bt_reader_make(bytes.data, bytes.len);
    assert_fails(bt_metrics_load(other, &reader, err), BT_E_FORMAT, "other metrics");
    bytes.data[0] ^= 1;
    reader = bt_reader_make(bytes.data, bytes.len);
    assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "not one");
    bytes.data[0] ^= 1;
    bytes.data[4 * 8 - 1] |= (char)0x80; /* sign of the first count */
    reader = bt_reader_make(bytes.data, bytes.len);
    assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "count from 0");
    bytes.data[4 * 8 - 1] = 0;
    bytes.data[11 * 8 - 2] = 0x10; /* 2^52 pairs */
    reader = bt_reader_make(bytes.data, bytes.len);
    assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "announced");
    bt_str_deinit(&bytes);
    bt_metrics_free(metrics);
    bt_metrics_free(other);
}

/* What was loaded is added to: a state of more than can be counted would overflow then. */
static void test_impossible_counts_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {"cls_accuracy", "auc"};
    static const int32_t     labels[] = {0, 1};
    static const float       logits[] = {1, 0, 0, 1};
    enum { N_HEAD = 3 };
    bt_metrics *const metrics = create(names, 2, 2);
    bt_str            bytes = BT_STR_INIT;
    assert_ok(add(metrics, logits, labels, NULL, 2, err));
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    for (size_t at = (size_t)8 * N_HEAD; at < bytes.len; at += 8) {
        static const uint64_t counts[] = {INT64_MAX, UINT64_MAX, (UINT64_C(1) << 53) + 1};
        uint8_t *const        word = (uint8_t *)bytes.data + at;
        const uint64_t        good = bt_load_u64le(word);
        for (size_t i = 0; i < BT_ARRAY_LEN(counts); i++) {
            bt_store_u64le(word, counts[i]);
            bt_reader reader = bt_reader_make(bytes.data, bytes.len);
            assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "count from 0");
        }
        bt_store_u64le(word, good);
    }
    bt_str_deinit(&bytes);
    bt_metrics_free(metrics);
}

static void test_running_out_of_memory_is_clean(void **state) {
    (void)state;
    static const char *const names[] = {"pearson_spearman_corr"};
    static const float       labels[] = {1, 2, 3};
    bool                     done = false;
    for (uint64_t k = 1; !done; k++) {
        assert_true(k < 50);
        bt_metrics *metrics = NULL;
        bt_str      bytes = BT_STR_INIT;
        bt_error    error = BT_ERROR_INIT;
        bt_alloc_fail_at(k, true);
        bt_status status = try_create(names, 1, 1, &metrics, &error);
        if (status == BT_OK) {
            status = add(metrics, labels, NULL, labels, 3, &error);
        }
        if (status == BT_OK) {
            status = bt_metrics_save(metrics, &bytes, &error);
        }
        bt_alloc_fail_at(0, false);
        done = status == BT_OK;
        assert_true(done || status == BT_E_NOMEM);
        bt_str_deinit(&bytes);
        bt_metrics_free(metrics);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_model_gardens),
        cmocka_unit_test(test_shared_goldens_hold),
        cmocka_unit_test(test_predictions_are_counted_and_reset),
        cmocka_unit_test(test_odd_scores_give_nan_not_a_crash),
        cmocka_unit_test(test_extreme_logits_find_a_bucket),
        cmocka_unit_test(test_wrong_requests_are_sentences),
        cmocka_unit_test(test_damaged_states_are_refused),
        cmocka_unit_test(test_impossible_counts_are_refused),
        cmocka_unit_test(test_running_out_of_memory_is_clean),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
