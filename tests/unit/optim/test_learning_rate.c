/* SPDX-License-Identifier: Apache-2.0
 *
 * optim: every schedule and warm-up against the rates of the real program, and the refusals. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optim_fixture.h"

/* MANIFEST: rel 3e-7; cosine: abs 3e-9 of the initial rate. NaN must be NaN. */
static void check_rate(float got, double want, double largest, const char *title, int64_t step) {
    char what[128];
    (void)snprintf(what, sizeof what, "%s at step %" PRId64, title, step);
    if (isnan(want)) {
        if (!isnan(got)) {
            fail_msg("%s: expected NaN, got %g", what, (double)got);
        }
        return;
    }
    const bool   is_cosine = strstr(title, "cosine") != NULL;
    const double value = (double)got;
    test_close_f64(&value, &want, 1, is_cosine ? 3e-9 * largest : 0.0, 3e-7, what);
}

static double number_of(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* {title: {config, steps, lr}} as in goldens/config/lr_schedules.json */
static size_t check_schedules(const char *path) {
    json_t *const root = test_read_json(path);
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_cases = 0;
    json_object_foreach(root, title, entry) {
        const json_t *const steps = json_object_get(entry, "steps");
        const json_t *const rates = json_object_get(entry, "lr");
        if (steps == NULL || rates == NULL) {
            continue;
        }
        bt_conf *const  conf = fixture_conf_of(json_object_get(entry, "config"));
        bt_optim *const optim = fixture_optim(conf, NULL);
        double          largest = 0.0;
        for (size_t i = 0; i < json_array_size(rates); i++) {
            largest = fmax(largest, fabs(number_of(json_array_get(rates, i))));
        }
        for (size_t i = 0; i < json_array_size(rates); i++) {
            const int64_t step = json_integer_value(json_array_get(steps, i));
            check_rate(bt_optim_learning_rate(optim, step), number_of(json_array_get(rates, i)),
                       largest, title, step);
        }
        bt_optim_free(optim);
        bt_conf_free(conf);
        n_cases++;
    }
    json_decref(root);
    return n_cases;
}

static void test_own_schedules_hold(void **state) {
    (void)state;
    assert_int_equal(check_schedules(test_source_path("tests/goldens/optim/rates.json")), 17);
}

static void test_shared_probes_hold(void **state) {
    (void)state;
    const char *const path = test_shared_path("goldens/config/lr_schedules.json");
    if (path == NULL) {
        test_skip("Model Garden's goldens (../shared) are not here");
    }
    assert_true(check_schedules(path) >= 10);
}

static void test_shared_schedules_hold(void **state) {
    (void)state;
    const char *const tensors_path = test_shared_path("goldens/numerics/lr/lr.safetensors");
    const char *const configs_path = test_shared_path("goldens/numerics/lr/lr.json");
    if (tensors_path == NULL) {
        test_skip("Model Garden's goldens (../shared) are not here");
    }
    test_tensors *const tensors = test_tensors_open(tensors_path);
    json_t *const       root = test_read_json(configs_path);
    const char         *title = NULL;
    json_t             *entry = NULL;
    size_t              n_cases = 0;
    json_object_foreach(root, title, entry) {
        if (strncmp(title, "legacy", 6) == 0) {
            continue; /* official.nlp.optimization, which train.py does not use */
        }
        char name[96];
        (void)snprintf(name, sizeof name, "%s/steps", title);
        size_t               n = 0;
        const int64_t *const steps = test_tensors_i64(tensors, name, &n);
        (void)snprintf(name, sizeof name, "%s/lr", title);
        const float *const rates = test_tensors_f32(tensors, name, NULL);
        bt_conf *const     conf = fixture_conf_of(entry);
        bt_optim *const    optim = fixture_optim(conf, NULL);
        double             largest = 0.0;
        for (size_t i = 0; i < n; i++) {
            const double rate = fabs((double)rates[i]);
            largest = rate > largest ? rate : largest; /* gcc 12.2 for ARM dies of fmax here */
        }
        for (size_t i = 0; i < n; i++) {
            check_rate(bt_optim_learning_rate(optim, steps[i]), (double)rates[i], largest, title,
                       steps[i]);
        }
        bt_optim_free(optim);
        bt_conf_free(conf);
        n_cases++;
    }
    assert_int_equal(n_cases, 34);
    json_decref(root);
    test_tensors_close(tensors);
}

static void test_nulls_take_the_derived_steps(void **state) {
    (void)state;
    bt_conf *const conf = fixture_conf(
        "{\"learning_rate\": {\"polynomial\": {\"initial_learning_rate\": 1.0}}}", NULL);
    bt_param_table table = {0};
    bt_optim      *optim = NULL;
    assert_ok(bt_optim_create(conf, &(bt_optim_derived){.train_steps = 100, .warmup_steps = 10},
                              &table, &optim, err));
    assert_true(fabsf(bt_optim_learning_rate(optim, 0) - 0.09F) < 1e-7F);
    assert_true(fabsf(bt_optim_learning_rate(optim, 10) - 0.9F) < 1e-7F);
    assert_true(bt_optim_learning_rate(optim, 100) == 0.0F);
    bt_optim_free(optim);
    /* an evaluation trains no steps; its rate is still a number */
    assert_ok(bt_optim_create(conf, &(bt_optim_derived){0}, &table, &optim, err));
    assert_true(isfinite(bt_optim_learning_rate(optim, 0)));
    bt_optim_free(optim);
    bt_conf_free(conf);
}

static void test_impossible_schedules_are_sentences(void **state) {
    (void)state;
    static const struct {
        const char *config;
        const char *text;
    } rows[] = {
        {"{\"learning_rate\": {\"type\": null}}", "name the type of the learning rate"},
        {"{\"learning_rate\": {\"polynomial\": {\"initial_learning_rate\": null}}}",
         "the 'polynomial' rate needs this number"},
        {"{\"learning_rate\": {\"type\": \"stepwise\", \"stepwise\": {\"boundaries\": [1, 2], "
         "\"values\": [0.1, 0.2]}}}",
         "one value more"},
        {"{\"learning_rate\": {\"type\": \"stepwise\"}}", "set the values and boundaries"},
        {"{\"learning_rate\": {\"type\": \"stepwise\", \"stepwise\": {\"boundaries\": [2, 2], "
         "\"values\": [0.1, 0.2, 0.3]}}}",
         "boundaries must grow"},
        {"{\"learning_rate\": {\"type\": \"step_cosine_with_offset\", "
         "\"step_cosine_with_offset\": {\"boundaries\": [0, 50], \"values\": [0.1, 0.2]}}}",
         "not a number from the last boundary (50)"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        fixture_refuses(rows[i].config, rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_schedules_hold),
        cmocka_unit_test(test_shared_probes_hold),
        cmocka_unit_test(test_shared_schedules_hold),
        cmocka_unit_test(test_nulls_take_the_derived_steps),
        cmocka_unit_test(test_impossible_schedules_are_sentences),
    };
    return cmocka_run_group_tests_name("learning_rate", tests, NULL, NULL);
}
