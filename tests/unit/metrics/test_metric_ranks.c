/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics of a dual encoder: recall at k, batch size and mean reciprocal rank of batches of
 * scores against Model Garden's, across save and load; scores that are not finite; wrong requests.
 */
#include "test_tensors.h"

#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/metrics.h"

static bt_status try_create(const char *const *names, size_t n_names, bt_metrics **out,
                            bt_error *err) {
    const bt_metrics_config config = {.names = names, .n_names = n_names, .n_classes = 0};
    return bt_metrics_create(&config, out, err);
}

static bt_metrics *create(const char *const *names, size_t n_names) {
    bt_metrics *metrics = NULL;
    assert_ok(try_create(names, n_names, &metrics, err));
    return metrics;
}

static bt_status add(bt_metrics *metrics, const float *scores, int64_t n_pairs, bt_error *err) {
    const bt_batch batch = {.n_seqs = 2 * n_pairs};
    return bt_metrics_update(metrics, &batch, scores, err);
}

/* The whole state into a fresh set. */
static bt_metrics *save_and_load(bt_metrics *metrics, const char *const *names, size_t n_names) {
    bt_str            bytes = BT_STR_INIT;
    bt_metrics *const other = create(names, n_names);
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    bt_reader reader = bt_reader_make(bytes.data, bytes.len);
    assert_ok(bt_metrics_load(other, &reader, err));
    assert_int_equal(bt_reader_left(&reader), 0);
    bt_str_deinit(&bytes);
    bt_metrics_free(metrics);
    return other;
}

static void check_values(const bt_metrics *metrics, const json_t *want, const char *title) {
    bt_metric_value values[BT_METRIC_MAX];
    const size_t    n = bt_metrics_compute(metrics, values);
    assert_int_equal(n, json_object_size(want));
    for (size_t i = 0; i < n; i++) {
        const json_t *const value = json_object_get(want, values[i].name);
        assert_non_null(value);
        const double number = json_number_value(value);
        test_close_f64(&values[i].value, &number, 1, 0, 2e-7, title); /* Keras: float32 */
    }
}

/* batches: lists of scores, each of a square. */
static void check_case(const char *title, const json_t *batches, const json_t *want, bool reload) {
    static float scores[4096];
    const char  *names[BT_METRIC_MAX];
    size_t       n_names = 0;
    const char  *name = NULL;
    json_t      *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)want, name, value) {
        names[n_names++] = name;
    }
    bt_metrics *metrics = create(names, n_names);
    for (size_t b = 0; b < json_array_size(batches); b++) {
        const json_t *const list = json_array_get(batches, b);
        const size_t        n = json_array_size(list);
        assert_true(n <= BT_ARRAY_LEN(scores));
        for (size_t i = 0; i < n; i++) {
            scores[i] = (float)json_number_value(json_array_get(list, i));
        }
        assert_ok(add(metrics, scores, (int64_t)lround(sqrt((double)n)), err));
        if (reload) {
            metrics = save_and_load(metrics, names, n_names);
        }
    }
    check_values(metrics, want, title);
    bt_metrics_free(metrics);
}

static void test_values_are_model_gardens(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/ranks.json"));
    json_t *const cases = json_object_get(root, "cases");
    const char   *title = NULL;
    json_t       *entry = NULL;
    json_object_foreach(cases, title, entry) {
        check_case(title, json_object_get(entry, "batches"), json_object_get(entry, "values"),
                   false);
        check_case(title, json_object_get(entry, "batches"), json_object_get(entry, "values"),
                   true);
    }
    assert_int_equal(json_object_size(cases), 3);
    json_decref(root);
}

static void test_shared_goldens_hold(void **state) {
    (void)state;
    static const char *const names[] = {
        "batch_size_per_core", "left_recall_at_1",  "right_recall_at_1", "left_recall_at_3",
        "right_recall_at_3",   "left_recall_at_10", "right_recall_at_10"};
    static const char *const batches[] = {"dual_encoder/batch0_left_logits",
                                          "dual_encoder/batch1_left_logits",
                                          "dual_encoder/batch2_left_logits"};
    const char *const inputs = test_shared_path("goldens/numerics/metrics/inputs.safetensors");
    const char *const results = test_shared_path("goldens/numerics/metrics/results.json");
    if (inputs == NULL) {
        test_skip("Model Garden's goldens (../shared) are not here");
    }
    test_tensors *const tensors = test_tensors_open(inputs);
    json_t *const       root = test_read_json(results);
    json_t *const       want = json_object_get(json_object_get(root, "dual_encoder"), "results");
    bt_metrics         *metrics = create(names, BT_ARRAY_LEN(names));
    bt_metric_value     values[BT_METRIC_MAX];
    for (size_t b = 0; b < BT_ARRAY_LEN(batches); b++) {
        size_t             n = 0;
        const float *const scores = test_tensors_f32(tensors, batches[b], &n);
        assert_ok(add(metrics, scores, (int64_t)lround(sqrt((double)n)), err));
    }
    assert_int_equal(bt_metrics_compute(metrics, values), BT_ARRAY_LEN(names));
    assert_int_equal(json_object_size(want), BT_ARRAY_LEN(names));
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        const double number =
            json_number_value(json_object_get(json_object_get(want, names[i]), "value"));
        assert_string_equal(values[i].name, names[i]);
        test_close_f64(&values[i].value, &number, 1, 1e-7, 0, names[i]);
    }
    bt_metrics_free(metrics);
    json_decref(root);
    test_tensors_close(tensors);
}

/* As tf.math.in_top_k: where a score is not finite, nobody can say. */
static void test_odd_scores_are_misses(void **state) {
    (void)state;
    static const char *const names[] = {"left_recall_at_9", "right_recall_at_9", "left_mrr"};
    const float              scores[9] = {5, 0, 0, 0, 5, NAN, 0, INFINITY, 5};
    bt_metrics *const        metrics = create(names, 3);
    bt_metric_value          values[BT_METRIC_MAX];
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    assert_true(values[0].value == 0 && values[2].value == 0); /* of nothing */
    assert_ok(add(metrics, scores, 3, err));
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    assert_true(values[0].value == 1.0 / 3 && values[1].value == 1.0 / 3);
    assert_true(values[2].value == 1.0 / 3);
    bt_metrics_reset(metrics);
    assert_ok(add(metrics, scores, 1, err));
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    assert_true(values[0].value == 1 && values[1].value == 1 && values[2].value == 1);
    int64_t n = 1;
    assert_null(bt_metrics_prediction_counts(metrics, &n));
    bt_metrics_free(metrics);
}

static void test_wrong_requests_are_sentences(void **state) {
    (void)state;
    static const char *const wrong[] = {"left_recall_at_0", "left_recall_at_", "left_recall_at_1.5",
                                        "left_recall"};
    static const char *const classes[] = {"cls_accuracy"};
    static const char *const pairs[] = {"left_mrr"};
    const bt_metrics_config  config = {.names = pairs, .n_names = 1, .n_classes = 2};
    bt_metrics              *metrics = NULL;
    for (size_t i = 0; i < BT_ARRAY_LEN(wrong); i++) {
        assert_fails(try_create(&wrong[i], 1, &metrics, err), BT_E_CONFIG, "left_recall_at_K");
    }
    assert_fails(try_create(classes, 1, &metrics, err), BT_E_CONFIG, "num_classes of 2 or more");
    assert_fails(bt_metrics_create(&config, &metrics, err), BT_E_CONFIG, "scores of pairs");
    assert_null(metrics);
}

static void test_trouble_is_reported(void **state) {
    (void)state;
    static const char *const names[] = {"left_mrr"};
    const float              scores[4] = {1, 0, 0, 1};
    bt_metrics *const        metrics = create(names, 1);
    bt_metric_value          values[BT_METRIC_MAX];
    bt_str                   bytes = BT_STR_INIT;
    bt_alloc_fail_at(1, false);
    assert_fails(add(metrics, scores, 2, err), BT_E_NOMEM, "");
    bt_alloc_fail_at(0, false);
    assert_ok(add(metrics, scores, 2, err));
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    for (size_t n = 0; n < bytes.len; n++) { /* cut anywhere */
        bt_reader reader = bt_reader_make(bytes.data, n);
        assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT, "bytes left");
    }
    assert_int_equal(bt_metrics_compute(metrics, values), 1);
    assert_true(values[0].value == 0); /* as after a reset */
    bytes.data[8 * 4] = 3;             /* pairs: one more than there are ranks */
    bt_reader reader = bt_reader_make(bytes.data, bytes.len);
    assert_fails(bt_metrics_load(metrics, &reader, err), BT_E_FORMAT,
                 "ranks of 2 pairs are not those of 3");
    bt_str_deinit(&bytes);
    bt_metrics_free(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_model_gardens),
        cmocka_unit_test(test_shared_goldens_hold),
        cmocka_unit_test(test_odd_scores_are_misses),
        cmocka_unit_test(test_wrong_requests_are_sentences),
        cmocka_unit_test(test_trouble_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
