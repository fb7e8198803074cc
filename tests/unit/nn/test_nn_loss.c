/* SPDX-License-Identifier: Apache-2.0
 *
 * Each loss's gradient against finite differences of its value, and what weights and smoothing
 * mean. */
#include <math.h>
#include <string.h>

#include "bt/nn.h"
#include "test_random.h"
#include "test_support.h"

static void fill(float *x, int64_t n, uint64_t seed, double size) {
    const bt_rng_key key = bt_rng_key_make(seed, 5, 0, BT_SITE_INIT);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)(test_normal(key, (uint64_t)i) * size);
    }
}

static const int32_t class_labels[6] = {0, 2, 1, 1, 0, 2};
static const int32_t token_labels[6] = {0, -1, 2, -1, 1, 0};
static const int64_t span_offsets[4] = {0, 4, 5, 12};
static const int32_t span_labels[6] = {3, 0, 2, 0, 0, 6};
static const float   float_labels[5] = {0.5F, -1, 2, 0, 3.5F};

static const double class_weights[3] = {0.25, 3, 0};

static double loss_classes(float *d, const float *x) {
    return bt_nn_class_loss(d, x, class_labels, NULL, 6, 3);
}
static double loss_tokens(float *d, const float *x) {
    return bt_nn_class_loss(d, x, token_labels, NULL, 6, 3);
}
static double loss_smoothed(float *d, const float *x) {
    const bt_nn_class_rule rule = {.smoothing = 0.3};
    return bt_nn_class_loss(d, x, class_labels, &rule, 6, 3);
}
static double loss_weighted(float *d, const float *x) {
    const bt_nn_class_rule rule = {.weights = class_weights};
    return bt_nn_class_loss(d, x, class_labels, &rule, 6, 3);
}
static double loss_tokens_weighted_smoothed(float *d, const float *x) {
    const bt_nn_class_rule rule = {.smoothing = 0.1, .weights = class_weights};
    return bt_nn_class_loss(d, x, token_labels, &rule, 6, 3);
}
static double loss_span(float *d, const float *x) {
    return bt_nn_span_loss(d, x, span_labels, span_labels + 3, span_offsets, 3, 3);
}
static double loss_mse(float *d, const float *x) {
    const bt_nn_row_rule rule = {.all = 5};
    return bt_nn_mse_loss(d, x, float_labels, 5, &rule);
}
static double loss_pairs(float *d, const float *x) {
    return bt_nn_mse_all_pairs_loss(d, x, float_labels, 5, 5);
}

static double loss_sigmoid(float *d, const float *x) {
    static const float   targets[] = {1, 0, 0.25F, 0, 1, 1, 0, 0, 0.5F, 0, 1, 0};
    const bt_nn_row_rule rule = {.all = 4};
    return bt_nn_sigmoid_loss(d, x, targets, 4, 3, &rule);
}
static const float row_weights[] = {2, 0, 0.5F, 1, 3, 0.25F};
static double      loss_weighted_rows(float *d, const float *x) {
         const bt_nn_class_rule rule = {.rows = row_weights, .weights = class_weights};
         return bt_nn_class_loss(d, x, class_labels, &rule, 6, 3);
}
static double loss_weighted_mse(float *d, const float *x) {
    const bt_nn_row_rule rule = {.rows = row_weights, .all = bt_nn_rows_weight(row_weights, 5)};
    return bt_nn_mse_loss(d, x, float_labels, 5, &rule);
}
static double loss_weighted_sigmoid(float *d, const float *x) {
    static const float   targets[] = {1, 0, 0.25F, 0, 1, 1, 0, 0, 0.5F, 0, 1, 0};
    const bt_nn_row_rule rule = {.rows = row_weights, .all = bt_nn_rows_weight(row_weights, 4)};
    return bt_nn_sigmoid_loss(d, x, targets, 4, 3, &rule);
}

static double loss_ranking(float *d, const float *x) {
    return bt_nn_ranking_loss(d, x, 4, false);
}
static double loss_ranking_both_ways(float *d, const float *x) {
    return bt_nn_ranking_loss(d, x, 4, true);
}

static void test_losses_match_differences(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double (*loss)(float *d, const float *x);
        int64_t n;
    } rows[] = {{"classes", loss_classes, 18},
                {"tokens", loss_tokens, 18},
                {"smoothed classes", loss_smoothed, 18},
                {"weighted classes", loss_weighted, 18},
                {"weighted and smoothed tokens", loss_tokens_weighted_smoothed, 18},
                {"span", loss_span, 24},
                {"mse", loss_mse, 5},
                {"sigmoid", loss_sigmoid, 12},
                {"weighted rows", loss_weighted_rows, 18},
                {"weighted mse", loss_weighted_mse, 5},
                {"weighted sigmoid", loss_weighted_sigmoid, 12},
                {"mse over all pairs", loss_pairs, 5},
                {"ranking", loss_ranking, 16},
                {"ranking both ways", loss_ranking_both_ways, 16}};
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        float x[24];
        float d[24];
        fill(x, rows[i].n, 3, 2);
        const double value = rows[i].loss(d, x);
        assert_true(value == rows[i].loss(NULL, x));
        for (int64_t k = 0; k < rows[i].n; k++) {
            const float  centre = x[k];
            const double h = 0.0078125;
            x[k] = centre + (float)h;
            const double up = rows[i].loss(NULL, x);
            x[k] = centre - (float)h;
            const double down = rows[i].loss(NULL, x);
            x[k] = centre;
            const double want = (up - down) / (2 * h);
            const double got = (double)d[k];
            test_close_f64(&got, &want, 1, 2e-5, 1e-4, rows[i].name);
        }
    }
}

static void test_losses_of_nothing(void **state) {
    (void)state;
    const int32_t          none[2] = {-1, -1};
    const int32_t          weightless[2] = {2, 2};
    const float            x[6] = {1, 2, 3, 4, 5, 6};
    float                  d[6] = {1, 1, 1, 1, 1, 1};
    const float            zero[6] = {0};
    const bt_nn_class_rule rule = {.smoothing = 0.1, .weights = class_weights};
    assert_true(bt_nn_class_loss(d, x, none, NULL, 2, 3) == 0);
    assert_memory_equal(d, zero, sizeof d);
    d[4] = 1;
    assert_true(bt_nn_class_loss(d, x, weightless, &rule, 2, 3) == 0);
    assert_memory_equal(d, zero, sizeof d);
    const float with_nan[3] = {1, NAN, 2};
    assert_true(isnan(bt_nn_class_loss(d, with_nan, class_labels, NULL, 1, 3)));
}

/* A weight of 2 is the row twice; the scale of all weights is nothing; the loss of a smoothed
 * target is that much of the plain loss and the rest of the mean loss over all classes. */
static void test_class_rules_mean_what_they_say(void **state) {
    (void)state;
    const int32_t          labels[3] = {0, 1, 1};
    const int32_t          repeated[5] = {0, 1, 1, 1, 1};
    const double           weights[2] = {1, 2};
    const double           halves[2] = {0.5, 1};
    const bt_nn_class_rule twice = {.weights = weights};
    const bt_nn_class_rule same = {.weights = halves};
    float                  x[10];
    fill(x, 6, 11, 2);
    memcpy(x + 6, x + 2, 4 * sizeof *x);
    const double want = bt_nn_class_loss(NULL, x, repeated, NULL, 5, 2);
    double       got = bt_nn_class_loss(NULL, x, labels, &twice, 3, 2);
    test_close_f64(&got, &want, 1, 1e-15, 1e-14, "weight 2");
    got = bt_nn_class_loss(NULL, x, labels, &same, 3, 2);
    test_close_f64(&got, &want, 1, 1e-15, 1e-14, "weights of another scale");
    const bt_nn_class_rule smooth = {.smoothing = 0.2};
    double                 plain[3];
    for (int32_t c = 0; c < 3; c++) {
        plain[c] = bt_nn_class_loss(NULL, x, &c, NULL, 1, 3);
    }
    const int32_t label = 1;
    const double  smoothed = 0.8 * plain[1] + 0.2 * (plain[0] + plain[1] + plain[2]) / 3;
    got = bt_nn_class_loss(NULL, x, &label, &smooth, 1, 3);
    test_close_f64(&got, &smoothed, 1, 1e-15, 1e-14, "smoothing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_match_differences),
        cmocka_unit_test(test_losses_of_nothing),
        cmocka_unit_test(test_class_rules_mean_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
