/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: curves of precision and recall over fixed thresholds, against those that TensorBoard's
 * own summary computed of the same predictions (tests/make_goldens/make_pr_curves.py). */
#include "metric_json.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/metrics.h"

enum { N_VALUES = BT_METRIC_CURVE_FIGURES * BT_METRIC_THRESHOLDS };

static void check_curves(const json_t *entry, const json_t *want) {
    const int64_t n_classes = json_integer_value(json_object_get(entry, "num_classes"));
    const bool    are_sets = strcmp(json_string_value(json_object_get(entry, "unit")), "set") == 0;
    const bt_metrics_config config = {.n_classes = n_classes,
                                      .threshold = 0.5,
                                      .draws_curves = true,
                                      .unit = are_sets ? BT_METRIC_OF_LABEL_SETS
                                                       : BT_METRIC_OF_SEQUENCES};
    bt_metrics             *metrics = NULL;
    float *const            labels = floats_of(json_object_get(entry, "labels"));
    float *const            logits = floats_of(json_object_get(entry, "predictions"));
    const int64_t  n = (int64_t)json_array_size(json_object_get(entry, "predictions")) / n_classes;
    int32_t *const classes = bt_calloc_array((size_t)n + 1, sizeof *classes);
    float          got[N_VALUES];
    for (int64_t i = 0; i < n && !are_sets; i++) {
        classes[i] = (int32_t)labels[i];
    }
    const bt_batch batch = {.n_seqs = n, .int_labels = classes, .float_labels = labels};
    assert_ok(bt_metrics_create(&config, &metrics, err));
    assert_false(bt_metrics_get_pr_curve(metrics, 0, got)); /* no rows yet */
    assert_ok(bt_metrics_update(metrics, &batch, logits, err));
    for (int64_t c = 0; c < n_classes; c++) {
        float *const values = floats_of(json_array_get(want, (size_t)c));
        assert_true(bt_metrics_get_pr_curve(metrics, c, got));
        assert_memory_equal(got, values, sizeof got);
        bt_free(values);
    }
    bt_metrics_free(metrics);
    bt_free(labels);
    bt_free(logits);
    bt_free(classes);
}

static void test_curves_are_tensorboards(void **state) {
    (void)state;
    json_t *const cases = test_read_json(test_source_path("tests/goldens/metrics/classes.json"));
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/pr_curves.json"));
    const char   *title = NULL;
    json_t       *want = NULL;
    size_t        n = 0;
    json_object_foreach(json_object_get(root, "curves"), title, want) {
        check_curves(json_object_get(json_object_get(cases, "cases"), title), want);
        n++;
    }
    assert_int_equal(n, 4);
    json_decref(cases);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_curves_are_tensorboards)};
    return cmocka_run_group_tests_name("metric_curves", tests, NULL, NULL);
}
