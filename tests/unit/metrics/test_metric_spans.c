/* SPDX-License-Identifier: Apache-2.0
 *
 * start_position_accuracy and end_position_accuracy: a packed batch by hand, across save and load,
 * against Model Garden's, and labels that cannot be. */
#include "test_tensors.h"

#include <string.h>

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/metrics.h"

static const char *const names[] = {"start_position_accuracy", "end_position_accuracy"};

static bt_metrics *create(void) {
    const bt_metrics_config config = {
        .names = names, .n_names = 2, .n_classes = 2, .unit = BT_METRIC_OF_TOKENS};
    bt_metrics *metrics = NULL;
    assert_ok(bt_metrics_create(&config, &metrics, err));
    return metrics;
}

static void check(const bt_metrics *metrics, double start, double end) {
    bt_metric_value values[BT_METRIC_MAX];
    assert_int_equal(bt_metrics_compute(metrics, values), 2);
    assert_string_equal(values[0].name, names[0]);
    assert_string_equal(values[1].name, names[1]);
    test_close_f64(&values[0].value, &start, 1, 1e-15, 0, names[0]);
    test_close_f64(&values[1].value, &end, 1, 1e-15, 0, names[1]);
}

/* Three sequences of 3, 1 and 2 tokens; the first of equal scores counts. */
static void test_by_hand(void **state) {
    (void)state;
    static const int64_t offsets[] = {0, 3, 4, 6};
    static const float   logits[] = {1, 5, 7, 5, 2, 9, -1, -1, 3, 4, 3, 8};
    static const int32_t labels[] = {1, 0, 1, /* ends: */ 0, 0, 1};
    bt_batch    batch = {.n_seqs = 3, .n_tokens = 6, .offsets = offsets, .int_labels = labels};
    bt_metrics *metrics = create();
    check(metrics, 0, 0);
    assert_ok(bt_metrics_update(metrics, &batch, logits, err));
    check(metrics, 2.0 / 3, 2.0 / 3);
    bt_str      bytes = BT_STR_INIT;
    bt_metrics *other = create();
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    bt_reader reader = bt_reader_make(bytes.data, bytes.len);
    assert_ok(bt_metrics_load(other, &reader, err));
    assert_ok(bt_metrics_update(other, &batch, logits, err));
    check(other, 2.0 / 3, 2.0 / 3);
    bt_metrics_reset(other);
    check(other, 0, 0);
    bt_str_deinit(&bytes);
    bt_metrics_free(other);

    static const int32_t beyond[] = {1, 1, 1, 0, 0, 1};
    batch.int_labels = beyond;
    assert_fails(bt_metrics_update(metrics, &batch, logits, err), BT_E_FORMAT, "label 1");
    batch.int_labels = NULL;
    assert_fails(bt_metrics_update(metrics, &batch, logits, err), BT_E_CONFIG, "labels");
    bt_metrics_free(metrics);
}

enum { MAX_TOKENS = 4096 };

static void test_golden(void **state) {
    (void)state;
    const char *const path = test_shared_path("goldens/numerics/metrics/inputs.safetensors");
    if (path == NULL) {
        test_skip("Model Garden's goldens are not here");
    }
    test_tensors *const inputs = test_tensors_open(path);
    json_t *const       results =
        test_read_json(test_shared_path("goldens/numerics/metrics/results.json"));
    const json_t *const  want = json_object_get(results, "squad_positions");
    size_t               n_seqs = 0;
    size_t               n_logits = 0;
    const int32_t *const starts =
        test_tensors_i32(inputs, "squad_positions/start_positions", &n_seqs);
    const int32_t *const ends = test_tensors_i32(inputs, "squad_positions/end_positions", NULL);
    const float *const   start_logits =
        test_tensors_f32(inputs, "squad_positions/start_logits", &n_logits);
    const float *const end_logits = test_tensors_f32(inputs, "squad_positions/end_logits", NULL);
    const int64_t      S = (int64_t)(n_logits / n_seqs);
    bt_metrics *const  metrics = create();
    static float       logits[2 * MAX_TOKENS];
    static int32_t     labels[2 * MAX_TOKENS];
    static int64_t     offsets[MAX_TOKENS];
    assert_true(n_logits <= MAX_TOKENS);
    for (size_t i = 0; i < n_logits; i++) {
        logits[2 * i] = start_logits[i];
        logits[2 * i + 1] = end_logits[i];
    }
    for (size_t b = 0; b < n_seqs; b++) {
        labels[b] = starts[b];
        labels[n_seqs + b] = ends[b];
        offsets[b + 1] = offsets[b] + S;
    }
    const bt_batch batch = {.n_seqs = (int64_t)n_seqs,
                            .n_tokens = (int64_t)n_logits,
                            .offsets = offsets,
                            .int_labels = labels};
    assert_ok(bt_metrics_update(metrics, &batch, logits, err));
    bt_metric_value values[BT_METRIC_MAX];
    assert_int_equal(bt_metrics_compute(metrics, values), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *const value = json_object_get(json_object_get(want, "results"), names[i]);
        const double        number = json_number_value(json_object_get(value, "value"));
        test_close_f64(&values[i].value, &number, 1, 1e-6, 0, names[i]);
    }
    bt_metrics_free(metrics);
    json_decref(results);
    test_tensors_close(inputs);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand),
                                       cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
