/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: what scikit-learn computes of the same predictions, in batches of any size and across
 * save and load; classes in names; the data that figures are drawn from. */
#include "metric_json.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/stop.h"
#include "bt/base/str.h"
#include "bt/metrics.h"

typedef struct examples {
    int64_t  n;
    int64_t  n_classes;
    float   *logits;
    int32_t *classes;
    float   *numbers; /* the labels as they are: of scores, and of sets [n,n_classes] */
    bool     are_sets;
} examples;

static void read_examples(examples *e, const json_t *entry) {
    const json_t *const labels = json_object_get(entry, "labels");
    const char *const   unit = json_string_value(json_object_get(entry, "unit"));
    e->n_classes = json_integer_value(json_object_get(entry, "num_classes"));
    e->are_sets = strcmp(unit, "set") == 0;
    e->n = (int64_t)json_array_size(labels) / (e->are_sets ? e->n_classes : 1);
    e->numbers = floats_of(labels);
    e->logits = floats_of(json_object_get(entry, "predictions"));
    e->classes = bt_alloc_array((size_t)e->n + 1, sizeof *e->classes);
    assert_non_null(e->classes);
    for (int64_t i = 0; i < e->n; i++) {
        e->classes[i] = (int32_t)json_number_value(json_array_get(labels, (size_t)i));
    }
}

static void free_examples(examples *e) {
    bt_free(e->logits);
    bt_free(e->classes);
    bt_free(e->numbers);
}

static bt_metrics *create(const bt_metrics_config *config) {
    bt_metrics *metrics = NULL;
    assert_ok(bt_metrics_create(config, &metrics, err));
    return metrics;
}

static void add(bt_metrics *metrics, const examples *e, int64_t first, int64_t n) {
    const bt_batch batch = {
        .n_seqs = n,
        .int_labels = e->classes + first,
        .float_labels =
            e->numbers != NULL ? e->numbers + first * (e->are_sets ? e->n_classes : 1) : NULL};
    assert_ok(bt_metrics_update(metrics, &batch, e->logits + first * e->n_classes, err));
}

static bt_metrics *save_and_load(bt_metrics *metrics, const bt_metrics_config *config) {
    bt_str            bytes = BT_STR_INIT;
    bt_metrics *const other = create(config);
    assert_ok(bt_metrics_save(metrics, &bytes, err));
    bt_reader reader = bt_reader_make(bt_str_text(&bytes), bytes.len);
    assert_ok(bt_metrics_load(other, &reader, err));
    assert_int_equal(bt_reader_left(&reader), 0);
    bt_str_deinit(&bytes);
    bt_metrics_free(metrics);
    return other;
}

static void check_value(const bt_metric_value *got, const json_t *want, const char *title) {
    char what[160];
    (void)snprintf(what, sizeof what, "%s %s", title, got->name);
    if (json_is_string(want)) {
        const double nothing = 0;
        assert_string_equal(json_string_value(want), "nan");
        if (!isnan(got->value)) {
            test_close_f64(&got->value, &nothing, 1, 0, 0, what);
            fail();
        }
        return;
    }
    const double number = json_number_value(want);
    assert_non_null(want);
    test_close_f64(&got->value, &number, 1, 1e-12, 1e-14, what);
}

static void check_values(const bt_metrics *metrics, const json_t *want, const char *title) {
    bt_metric_value values[BT_METRIC_MAX];
    const size_t    n = bt_metrics_compute(metrics, values);
    assert_int_equal(n, json_object_size(want));
    for (size_t i = 0; i < n; i++) {
        check_value(&values[i], json_object_get(want, values[i].name), title);
    }
}

static void check_case(const examples *e, const json_t *want, const char *title) {
    const char *names[BT_METRIC_MAX];
    size_t      n_names = 0;
    const char *key = NULL;
    json_t     *value = NULL;
    json_object_foreach((json_t *)want, key, value) {
        names[n_names++] = key;
    }
    const bt_metrics_config config = {.names = names,
                                      .n_names = n_names,
                                      .n_classes = e->n_classes,
                                      .threshold = 0.5,
                                      .unit = e->are_sets ? BT_METRIC_OF_LABEL_SETS
                                                          : BT_METRIC_OF_SEQUENCES};
    for (int way = 0; way < 3; way++) { /* whole, in batches of 7, and going on in between */
        bt_metrics   *metrics = create(&config);
        const int64_t batch = way == 0 ? e->n : 7;
        add(metrics, e, 0, e->n);
        bt_metrics_reset(metrics);
        for (int64_t first = 0; first < e->n; first += batch) {
            add(metrics, e, first, e->n - first < batch ? e->n - first : batch);
            metrics = way == 2 ? save_and_load(metrics, &config) : metrics;
        }
        check_values(metrics, want, title);
        bt_metrics_free(metrics);
    }
}

static void test_values_are_scikit_learns(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/classes.json"));
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_cases = 0;
    json_object_foreach(json_object_get(root, "cases"), title, entry) {
        examples e = {0};
        read_examples(&e, entry);
        check_case(&e, json_object_get(entry, "values"), title);
        free_examples(&e);
        n_cases++;
    }
    assert_int_equal(n_cases, 28);
    json_decref(root);
}

/* Three classes; labels 0 1 2 1, predictions 0 1 1 0. */
static const float   small_logits[] = {2, 1, 0, 0, 1, 0, 0, 3, 1, 4, 0, 0};
static const int32_t small_labels[] = {0, 1, 2, 1};

static examples small(void) {
    return (examples){.n = 4,
                      .n_classes = 3,
                      .logits = (float *)small_logits,
                      .classes = (int32_t *)small_labels};
}

/* want: NAME_ci_low, NAME_ci_high, ... */
static void check_intervals(const examples *e, const json_t *entry, const char *title) {
    const json_t *const want = json_object_get(entry, "intervals");
    char                text[BT_METRIC_MAX][BT_METRIC_NAME_MAX];
    const char         *names[BT_METRIC_MAX];
    size_t              n_names = 0;
    const char         *key = NULL;
    json_t             *value = NULL;
    json_object_foreach((json_t *)want, key, value) {
        char *const name = text[n_names];
        (void)snprintf(name, sizeof text[0], "%s", key);
        char *const end = strstr(name, "_ci_low");
        if (end != NULL) {
            *end = '\0';
            names[n_names++] = name;
        }
    }
    const bt_metrics_config config = {
        .names = names,
        .n_names = n_names,
        .n_classes = e->n_classes,
        .n_bootstrap = json_integer_value(json_object_get(entry, "samples")),
        .bootstrap_seed = (uint64_t)json_integer_value(json_object_get(entry, "seed"))};
    bt_metrics *const metrics = create(&config);
    bt_metric_value   values[BT_METRIC_MAX];
    add(metrics, e, 0, e->n);
    assert_int_equal(bt_metrics_compute(metrics, values), 3 * n_names);
    for (size_t i = n_names; i < 3 * n_names; i++) {
        check_value(&values[i], json_object_get(want, values[i].name), title);
    }
    bt_metrics_free(metrics);
}

static void test_intervals_are_those_of_numpy(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/classes.json"));
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_cases = 0;
    json_object_foreach(json_object_get(root, "cases"), title, entry) {
        if (json_object_get(entry, "intervals") != NULL) {
            examples e = {0};
            read_examples(&e, entry);
            check_intervals(&e, entry, title);
            free_examples(&e);
            n_cases++;
        }
    }
    assert_int_equal(n_cases, 5);
    json_decref(root);
}

/* As the user writes a class and as we do, also one that is called by its number. */
static void test_values_are_found_by_either_name(void **state) {
    (void)state;
    static const char *const classes[] = {"very good", "so, so",
                                          "a label of more than forty bytes, which has a number"};
    static const char *const names[] = {"f1/*", "f1/very good", "cls_accuracy"};
    const bt_metrics_config  config = {
         .names = names, .n_names = 3, .n_classes = 3, .class_names = classes};
    static const char *const found[][2] = {
        {"f1/very good", "f1/very_good"},
        {"f1/very_good", "f1/very_good"},
        {"f1/so, so", "f1/so__so"},
        {"f1/a label of more than forty bytes, which has a number", "f1/number/2"},
        {"f1/number/2", "f1/number/2"},
        {"cls_accuracy", "cls_accuracy"}};
    bt_metrics *const metrics = create(&config);
    bt_metric_value   values[BT_METRIC_MAX];
    char              name[BT_METRIC_NAME_MAX];
    for (size_t i = 0; i < BT_ARRAY_LEN(found); i++) {
        assert_ok(bt_metrics_find_name(metrics, &config, found[i][0], name, err));
        assert_string_equal(name, found[i][1]);
    }
    assert_fails(bt_metrics_find_name(metrics, &config, "f1/*", name, err), BT_E_CONFIG,
                 "'f1/very_good', 'f1/so__so', 'f1/number/2'");
    assert_fails(bt_metrics_find_name(metrics, &config, "recall/so, so", name, err), BT_E_CONFIG,
                 "task.metrics may ask for it");
    assert_int_equal(bt_metrics_class_stem(config.unit, 3, "f1/so, so"), 3);
    assert_int_equal(bt_metrics_class_stem(config.unit, 3, "f1_macro"), 0);
    /* "f1/very good" is one of "each" */
    assert_int_equal(bt_metrics_compute(metrics, values), 4);
    bt_metrics_free(metrics);
}

static double number_of(const json_t *entry, const char *name) {
    return json_number_value(json_object_get(entry, name));
}

static double value_called(const bt_metrics *metrics, const char *name) {
    bt_metric_value values[BT_METRIC_MAX];
    const size_t    n = bt_metrics_compute(metrics, values);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(values[i].name, name) == 0) {
            return values[i].value;
        }
    }
    fail();
    return 0;
}

/* The threshold is scikit-learn's best, and what the set gives then is by it. */
static void check_threshold(const examples *e, const char *metric, const json_t *want,
                            const char *title) {
    const char             *names[] = {metric};
    const bt_metrics_config config = {.names = names,
                                      .n_names = 1,
                                      .n_classes = e->n_classes,
                                      .threshold = 0.5,
                                      .decides = true,
                                      .unit = e->are_sets ? BT_METRIC_OF_LABEL_SETS
                                                          : BT_METRIC_OF_SEQUENCES};
    bt_metrics *const       metrics = create(&config);
    double                  threshold = 0;
    const double            wanted = number_of(want, "threshold");
    const double            value = number_of(want, "value");
    add(metrics, e, 0, e->n);
    const double before = value_called(metrics, metric);
    assert_true(bt_metrics_can_choose(config.unit, e->n_classes, metric));
    assert_ok(bt_metrics_choose_threshold(metrics, metric, 1.0, &threshold, err));
    test_close_f64(&threshold, &wanted, 1, 1e-7, 0, title);
    bt_metrics_apply_threshold(metrics, threshold, 1.0);
    const double after = value_called(metrics, metric);
    test_close_f64(&after, &value, 1, 1e-12, 0, title);
    assert_true(after >= before);
    bt_metrics_reset(metrics);
    add(metrics, e, 0, e->n);
    assert_true(value_called(metrics, metric) == before);
    bt_metrics_free(metrics);
}

static void check_temperature(const examples *e, const json_t *entry, const char *title) {
    static const char *const names[] = {"log_loss"};
    const bt_metrics_config  config = {
         .names = names, .n_names = 1, .n_classes = e->n_classes, .decides = true};
    bt_metrics *const metrics = create(&config);
    double            got[2] = {0};
    const double      wanted = number_of(entry, "temperature");
    const double      want[2] = {number_of(entry, "log_loss_calibrated"),
                                 number_of(entry, "ece_calibrated")};
    assert_true(isnan(bt_metrics_fit_temperature(metrics)));
    add(metrics, e, 0, e->n);
    const double fitted = bt_metrics_fit_temperature(metrics);
    test_close_f64(&fitted, &wanted, 1, 0, 1e-6, title); /* how sharply a minimum can be seen */
    assert_ok(bt_metrics_calibrated(metrics, wanted, &got[0], &got[1], err));
    test_close_f64(got, want, 2, 1e-12, 1e-14, title);
    assert_true(got[0] <= value_called(metrics, "log_loss"));
    bt_metrics_free(metrics);
}

static void test_thresholds_and_temperatures_are_the_best(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/metrics/classes.json"));
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_thresholds = 0;
    size_t        n_temperatures = 0;
    json_object_foreach(json_object_get(root, "cases"), title, entry) {
        const char *metric = NULL;
        json_t     *want = NULL;
        examples    e = {0};
        read_examples(&e, entry);
        json_object_foreach(json_object_get(entry, "thresholds"), metric, want) {
            check_threshold(&e, metric, want, title);
            n_thresholds++;
        }
        if (json_object_get(entry, "temperature") != NULL) {
            check_temperature(&e, entry, title);
            n_temperatures++;
        }
        free_examples(&e);
    }
    assert_int_equal(n_thresholds, 4 * 5 + 3 * 2);
    assert_int_equal(n_temperatures, 5);
    json_decref(root);
}

static void test_what_cannot_choose(void **state) {
    (void)state;
    assert_true(bt_metrics_can_choose(BT_METRIC_OF_SEQUENCES, 2, "f1"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_SEQUENCES, 3, "f1_macro"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_SEQUENCES, 2, "recall"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_SEQUENCES, 2, "roc_auc"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_SEQUENCES, 2, "log_loss"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_SEQUENCES, 2, "nonsense"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_LABEL_SETS, 2, "exact_match"));
    assert_false(bt_metrics_can_choose(BT_METRIC_OF_LABEL_SETS, 2, "f1_samples"));
    const float              bad[] = {NAN, 0};
    static const char *const names[] = {"f1"};
    const bt_metrics_config  config = {
         .names = names, .n_names = 1, .n_classes = 2, .decides = true};
    const examples odd = {
        .n = 1, .n_classes = 2, .logits = (float *)bad, .classes = (int32_t *)small_labels};
    bt_metrics *const metrics = create(&config);
    double            threshold = 0;
    add(metrics, &odd, 0, 1);
    assert_ok(bt_metrics_choose_threshold(metrics, "f1", 1.0, &threshold, err));
    assert_true(isnan(threshold) && isnan(bt_metrics_fit_temperature(metrics)));
    bt_alloc_fail_at(1, true);
    assert_int_equal(bt_metrics_choose_threshold(metrics, "f1", 1.0, &threshold, NULL), BT_E_NOMEM);
    bt_alloc_fail_at(0, false);
    bt_metrics_free(metrics);
}

/* Of no rows, of NaN, and without memory there are ends, which are NaN. */
static void test_intervals_that_cannot_be_are_nan(void **state) {
    (void)state;
    static const char *const names[] = {"f1_macro", "log_loss"};
    const bt_metrics_config  config = {
         .names = names, .n_names = 2, .n_classes = 3, .n_bootstrap = 10};
    const float     bad[] = {NAN, 0, 0};
    bt_metric_value values[BT_METRIC_MAX];
    bt_metrics     *metrics = create(&config);
    const examples  e = small();
    for (int way = 0; way < 3; way++) {
        if (way > 0) {
            add(metrics, &e, 0, e.n);
        }
        if (way == 2) {
            const examples odd = {
                .n = 1, .n_classes = 3, .logits = (float *)bad, .classes = (int32_t *)small_labels};
            add(metrics, &odd, 0, 1);
        }
        bt_alloc_fail_at(way == 1 ? 5 : 0, way == 1);
        assert_int_equal(bt_metrics_compute(metrics, values), 6);
        bt_alloc_fail_at(0, false);
        for (size_t i = 2; i < 6; i++) {
            assert_true(isnan(values[i].value));
        }
        assert_string_equal(values[2].name, "f1_macro_ci_low");
        bt_metrics_reset(metrics);
    }
    add(metrics, &e, 0, e.n);
    assert_int_equal(bt_metrics_compute(metrics, values), 6);
    assert_true(values[2].value <= values[0].value && values[0].value <= values[3].value);
    bt_metrics_free(metrics);
}

/* Without a stop these would be numbers, in the end; values themselves are there all the same. */
static void test_a_stop_ends_the_samples(void **state) {
    (void)state;
    static const char *const names[] = {"f1_macro"};
    const bt_metrics_config  config = {
         .names = names, .n_names = 1, .n_classes = 3, .n_bootstrap = 10000000};
    bt_metric_value   values[BT_METRIC_MAX];
    bt_metrics *const metrics = create(&config);
    const examples    e = small();
    add(metrics, &e, 0, e.n);
    bt_stop_set(SIGTERM);
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    bt_stop_set(0);
    assert_true(!isnan(values[0].value));
    assert_true(isnan(values[1].value) && isnan(values[2].value));
    bt_metrics_free(metrics);
}

static void test_confusion_is_given_as_data(void **state) {
    (void)state;
    static const char *const names[] = {"f1_macro"};
    static const int64_t     cells[] = {1, 0, 0, 1, 1, 0, 0, 1, 0};
    const bt_metrics_config  config = {.names = names, .n_names = 1, .n_classes = 3};
    const examples           e = small();
    bt_metrics_confusion     got;
    bt_metrics_calibration   calibration;
    bt_metrics *const        metrics = create(&config);
    add(metrics, &e, 0, e.n);
    assert_true(bt_metrics_get_confusion(metrics, &got));
    assert_int_equal(got.n, 4);
    assert_int_equal(got.n_classes, 3);
    assert_memory_equal(got.cells, cells, sizeof cells);
    assert_int_equal(got.labelled[1], 2);
    assert_int_equal(got.predicted[1], 2);
    assert_int_equal(got.correct[1], 1);
    assert_false(bt_metrics_get_calibration(metrics, &calibration));
    bt_metrics_free(metrics);
}

/* Beyond so many classes there is no matrix, but everything else. */
static void test_many_classes_have_no_matrix(void **state) {
    (void)state;
    enum { MANY = BT_METRIC_CONFUSION_MAX + 1 };
    static const char *const names[] = {"f1_macro", "precision/*", "recall/1000"};
    const bt_metrics_config  config = {
         .names = names, .n_names = BT_ARRAY_LEN(names), .n_classes = MANY};
    static float         logits[MANY];
    const int32_t        label = MANY - 1;
    bt_metric_value      values[BT_METRIC_MAX];
    bt_metrics_confusion got;
    bt_metrics *const    metrics = create(&config);
    logits[MANY - 1] = 1;
    const bt_batch batch = {.n_seqs = 1, .int_labels = &label};
    assert_ok(bt_metrics_update(metrics, &batch, logits, err));
    assert_true(bt_metrics_get_confusion(metrics, &got));
    assert_null(got.cells);
    assert_int_equal(got.correct[MANY - 1], 1);
    assert_int_equal(bt_metrics_compute(metrics, values), 2); /* each of 1001 is left out */
    assert_string_equal(values[1].name, "recall/1000");
    assert_true(values[0].value == 1.0 && values[1].value == 1.0);
    bt_metrics_free(metrics);
}

static void test_calibration_is_given_as_data(void **state) {
    (void)state;
    static const char *const names[] = {"ece"};
    const bt_metrics_config  config = {.names = names, .n_names = 1, .n_classes = 2};
    const float              logits[] = {0, 0, 0, 100, 100, 0};
    const int32_t            labels[] = {0, 1, 1};
    const examples           e = {
                  .n = 3, .n_classes = 2, .logits = (float *)logits, .classes = (int32_t *)labels};
    bt_metrics_calibration got;
    bt_metrics_confusion   confusion;
    bt_metrics *const      metrics = create(&config);
    assert_true(bt_metrics_get_calibration(metrics, &got));
    assert_true(got.n == 0 && isnan(got.expected_error));
    add(metrics, &e, 0, e.n);
    assert_true(bt_metrics_get_calibration(metrics, &got));
    assert_int_equal(got.n, 3);
    assert_int_equal(got.counts[7], 1); /* 7/15 < 0.5 <= 8/15 */
    assert_int_equal(got.correct[7], 1);
    assert_int_equal(got.counts[14], 2);
    assert_int_equal(got.correct[14], 1);
    assert_true(got.probabilities[7] == 0.5 && isnan(got.probabilities[0]));
    assert_true(fabs(got.expected_error - 0.5) < 1e-12); /* |1 - 0.5|/3 + |1 - 2|/3 */
    assert_false(bt_metrics_get_confusion(metrics, &confusion));
    bt_metrics_free(metrics);
}

/* Class names in names of metrics. */

static void check_names(const char *const *classes, const char *const *want) {
    static const char *const names[] = {"f1/*"};
    const bt_metrics_config  config = {
         .names = names, .n_names = 1, .n_classes = 3, .class_names = classes};
    bt_metric_value   values[BT_METRIC_MAX];
    bt_metrics *const metrics = create(&config);
    assert_int_equal(bt_metrics_compute(metrics, values), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(values[i].name, want[i]);
    }
    bt_metrics_free(metrics);
}

static void test_names_of_classes_are_written_plainly(void **state) {
    (void)state;
    static const char long_name[] = "a name of more than forty bytes, which is too long";
    static const struct {
        const char *classes[3];
        const char *want[3];
    } rows[] = {
        {{"neg", "pos", "it's"}, {"f1/neg", "f1/pos", "f1/it_s"}},
        {{"a b", "a\"b", "c"}, {"f1/number/0", "f1/number/1", "f1/c"}},
        {{"*", "v1.0-x", ".."}, {"f1/_", "f1/v1.0-x", "f1/__"}},
        {{"très", "猫", long_name}, {"f1/très", "f1/猫", "f1/number/2"}},
    };
    static const char *const numbers[] = {"f1/0", "f1/1", "f1/2"};
    check_names(NULL, numbers);
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (i != 2) {
            check_names(rows[i].classes, rows[i].want);
        }
    }
    /* a class may be called as each of them is */
    static const char *const names[] = {"f1/*", "f1/.."};
    const bt_metrics_config  config = {
         .names = names, .n_names = 2, .n_classes = 3, .class_names = rows[2].classes};
    bt_metric_value   values[BT_METRIC_MAX];
    bt_metrics *const metrics = create(&config);
    assert_int_equal(bt_metrics_compute(metrics, values), 2);
    assert_string_equal(values[0].name, "f1/_");
    assert_string_equal(values[1].name, "f1/__");
    bt_metrics_free(metrics);
}

static void test_unknown_classes_are_refused(void **state) {
    (void)state;
    static const char *const named[] = {"recall/maybe"};
    static const char *const numbered[] = {"recall/3"};
    static const char *const classes[] = {"no", "yes", "both"};
    bt_metrics              *metrics = NULL;
    bt_metrics_config        config = {
               .names = named, .n_names = 1, .n_classes = 3, .class_names = classes};
    assert_fails(bt_metrics_create(&config, &metrics, err), BT_E_CONFIG,
                 "metric recall/maybe: no class has that name; there are 'no', 'yes', 'both'");
    config.class_names = NULL;
    config.names = numbered;
    assert_fails(bt_metrics_create(&config, &metrics, err), BT_E_CONFIG,
                 "metric recall/3: the classes have no names here, and their numbers are 0 to 2");
    assert_null(metrics);
}

static void test_too_many_values_are_refused(void **state) {
    (void)state;
    const char *names[70] = {"f1/*", "precision/*", "recall/*", "roc_auc/*", "average_precision/*"};
    const bt_metrics_config config = {
        .names = names, .n_names = 70, .n_classes = BT_METRIC_CLASSES_MAX};
    bt_metrics *metrics = NULL;
    for (size_t i = 5; i < BT_ARRAY_LEN(names); i++) {
        names[i] = "top_k_accuracy_at_2";
    }
    assert_fails(bt_metrics_create(&config, &metrics, err), BT_E_CONFIG, "at most 160 metrics");
}

static void test_what_fits_is_listed(void **state) {
    (void)state;
    const char *names[BT_METRIC_MAX] = {"cls_accuracy", "auc"};
    size_t      n = 2;
    bt_metrics_list(BT_METRIC_OF_SEQUENCES, 2, false, names, &n);
    assert_true(n > 2 && n < 12);
    const size_t n_default = n;
    bt_metrics_list(BT_METRIC_OF_SEQUENCES, 2, false, names, &n);
    assert_int_equal(n, n_default); /* each once */
    bt_metrics_list(BT_METRIC_OF_SEQUENCES, 2, true, names, &n);
    assert_true(n > n_default);
    const bt_metrics_config config = {.names = names, .n_names = n, .n_classes = 2};
    bt_metrics_free(create(&config)); /* all of them together */
    for (size_t i = 2; i < n; i++) {
        assert_true(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 2, names[i]));
    }
    assert_true(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 3, "f1/whatever"));
    assert_true(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 3, "top_k_accuracy_at_3"));
    assert_false(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 3, "top_k_accuracy_at_0"));
    assert_false(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 3, "f1/"));
    assert_false(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 3, "f1"));
    assert_false(bt_metrics_can(BT_METRIC_OF_SEQUENCES, 1, "f1_macro"));
    assert_false(bt_metrics_can(BT_METRIC_OF_TOKENS, 2, "start_position_accuracy"));
}

/* A logit that is NaN leaves no value that looks like a number. */
static void test_nan_makes_probabilities_nan(void **state) {
    (void)state;
    static const char *const names[] = {"log_loss",
                                        "brier_score",
                                        "ece",
                                        "top_k_accuracy",
                                        "roc_auc_ovr",
                                        "roc_auc/0",
                                        "average_precision_macro"};
    enum { N = BT_ARRAY_LEN(names) };
    const bt_metrics_config config = {.names = names, .n_names = N, .n_classes = 3};
    const float             odd[][3] = {{NAN, 0, 0}, {0, NAN, 0}, {0, INFINITY, 0}};
    for (size_t i = 0; i < BT_ARRAY_LEN(odd); i++) {
        bt_metric_value values[BT_METRIC_MAX];
        const examples  e = small();
        const examples  bad = {
             .n = 1, .n_classes = 3, .logits = (float *)odd[i], .classes = (int32_t *)small_labels};
        bt_metrics *metrics = create(&config);
        assert_int_equal(bt_metrics_compute(metrics, values), N);
        assert_true(isnan(values[0].value)); /* of nothing */
        add(metrics, &e, 0, e.n);
        add(metrics, &bad, 0, 1);
        metrics = save_and_load(metrics, &config);
        assert_int_equal(bt_metrics_compute(metrics, values), N);
        for (size_t k = 0; k < N; k++) {
            assert_true(isnan(values[k].value));
        }
        bt_metrics_free(metrics);
    }
}

/* Each call for memory fails once, in making a set, in what it is given and in saving it. */
static void test_out_of_memory_is_a_sentence(void **state) {
    (void)state;
    const char *names[BT_METRIC_MAX];
    size_t      n_names = 0;
    bt_metrics_list(BT_METRIC_OF_SEQUENCES, 3, true, names, &n_names);
    const bt_metrics_config config = {.names = names, .n_names = n_names, .n_classes = 3};
    const examples          e = small();
    const bt_batch          batch = {.n_seqs = e.n, .int_labels = e.classes};
    bt_status               rc = BT_E_NOMEM;
    for (uint64_t at = 1; rc != BT_OK; at++) {
        bt_error    error = BT_ERROR_INIT;
        bt_metrics *metrics = NULL;
        bt_str      bytes = BT_STR_INIT;
        bt_alloc_fail_at(at, false);
        rc = bt_metrics_create(&config, &metrics, &error);
        rc = rc == BT_OK ? bt_metrics_update(metrics, &batch, e.logits, &error) : rc;
        rc = rc == BT_OK ? bt_metrics_save(metrics, &bytes, &error) : rc;
        bt_alloc_fail_at(0, false);
        assert_true(rc == BT_OK || rc == BT_E_NOMEM);
        assert_true(at < 100);
        bt_metrics_free(metrics);
        bt_str_deinit(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_scikit_learns),
        cmocka_unit_test(test_intervals_are_those_of_numpy),
        cmocka_unit_test(test_values_are_found_by_either_name),
        cmocka_unit_test(test_thresholds_and_temperatures_are_the_best),
        cmocka_unit_test(test_what_cannot_choose),
        cmocka_unit_test(test_intervals_that_cannot_be_are_nan),
        cmocka_unit_test(test_a_stop_ends_the_samples),
        cmocka_unit_test(test_confusion_is_given_as_data),
        cmocka_unit_test(test_many_classes_have_no_matrix),
        cmocka_unit_test(test_calibration_is_given_as_data),
        cmocka_unit_test(test_names_of_classes_are_written_plainly),
        cmocka_unit_test(test_unknown_classes_are_refused),
        cmocka_unit_test(test_too_many_values_are_refused),
        cmocka_unit_test(test_what_fits_is_listed),
        cmocka_unit_test(test_nan_makes_probabilities_nan),
        cmocka_unit_test(test_out_of_memory_is_a_sentence),
    };
    return cmocka_run_group_tests_name("metric_classes", tests, NULL, NULL);
}
