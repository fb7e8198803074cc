/* SPDX-License-Identifier: Apache-2.0
 *
 * optim: updates against the real program's (own goldens: every optimizer and way of clipping;
 * shared goldens: the first step of real BERT tasks), threads, refusals, memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/bytes.h"
#include "bt/base/pool.h"
#include "bt/base/rng.h"
#include "bt/base/str.h"
#include "optim_fixture.h"

/* A run: table, buffers, one optimizer. */

typedef struct run {
    bt_param_table   table;
    bt_conf         *conf;
    bt_optim        *optim;
    bt_optim_buffers buffers;
    float           *word_rows; /* owned where buffers.word_rows is set */
    int32_t         *word_ids;
} run;

static float *new_flat(const run *r, float value) {
    const size_t n = (size_t)r->table.n_elements;
    float *const flat = bt_alloc_array(n, sizeof(float));
    assert_non_null(flat);
    for (size_t i = 0; i < n; i++) {
        flat[i] = value;
    }
    return flat;
}

/* r->table and r->conf are there */
static void open_run(run *r) {
    r->optim = fixture_optim(r->conf, &r->table);
    r->buffers.param = new_flat(r, 0.0F);
    r->buffers.grad = new_flat(r, 0.0F);
    for (int32_t s = 0; s < bt_optim_n_slots(r->optim); s++) {
        r->buffers.slots[s] = new_flat(r, bt_optim_slot_init(r->optim, s));
    }
    r->buffers.average = bt_optim_has_average(r->optim) ? new_flat(r, 0.0F) : NULL;
}

static void close_run(run *r) {
    bt_free(r->buffers.param);
    bt_free(r->buffers.grad);
    bt_free(r->buffers.average);
    for (int32_t s = 0; s < BT_OPTIM_MAX_SLOTS; s++) {
        bt_free(r->buffers.slots[s]);
    }
    bt_free(r->word_rows);
    bt_free(r->word_ids);
    bt_optim_free(r->optim);
    bt_conf_free(r->conf);
    bt_param_table_deinit(&r->table);
}

static const bt_param *find_param(const run *r, const char *name) {
    const int64_t index = bt_param_table_find(&r->table, name);
    if (index < 0) {
        fail_msg("no parameter %s", name);
    }
    return &r->table.params[index];
}

/* The buffer that a golden calls `what`: var, average or a slot. */
static const float *buffer_of(const run *r, const char *what) {
    if (strcmp(what, "var") == 0) {
        return r->buffers.param;
    }
    if (strcmp(what, "average") == 0) {
        return r->buffers.average;
    }
    for (int32_t s = 0; s < bt_optim_n_slots(r->optim); s++) {
        if (strcmp(bt_optim_slot_name(r->optim, s), what) == 0) {
            return r->buffers.slots[s];
        }
    }
    return NULL;
}

static void copy_json(float *out, const json_t *array) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        out[i] = (float)json_number_value(json_array_get(array, i));
    }
}

static void add_params(run *r, const json_t *shapes) {
    const char *name = NULL;
    json_t     *shape = NULL;
    assert_ok(bt_param_table_init(&r->table, 8, err));
    json_object_foreach((json_t *)shapes, name, shape) {
        int64_t dim[BT_MAX_RANK] = {0};
        for (size_t i = 0; i < json_array_size(shape); i++) {
            dim[i] = json_integer_value(json_array_get(shape, i));
        }
        fixture_add_param(&r->table, name, (int32_t)json_array_size(shape), dim, true);
    }
}

/* Fills grad, and the word rows where the optimizer wants them; returns the rows' sum of squares.
 */
static double load_gradient(run *r, const json_t *step, bool word_is_dense) {
    const char *name = NULL;
    json_t     *values = NULL;
    memset(r->buffers.grad, 0, (size_t)r->table.n_elements * sizeof(float));
    json_object_foreach(json_object_get(step, "grads"), name, values) {
        copy_json(r->buffers.grad + find_param(r, name)->offset, values);
    }
    const bt_param *const word = find_param(r, "word_embeddings/embeddings");
    const json_t *const   ids = json_object_get(step, "ids");
    const json_t *const   rows = json_object_get(step, "rows");
    const size_t          n_rows = json_array_size(ids);
    const size_t          width = (size_t)word->dim[1];
    if (r->word_rows == NULL) {
        r->word_rows = bt_alloc_array(n_rows * width, sizeof(float));
        r->word_ids = bt_alloc_array(n_rows, sizeof(int32_t));
        assert_non_null(r->word_rows);
        assert_non_null(r->word_ids);
    }
    copy_json(r->word_rows, rows);
    float *const dense = r->buffers.grad + word->offset;
    double       sum_sq = 0.0;
    for (size_t i = 0; i < n_rows; i++) {
        r->word_ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
        for (size_t j = 0; j < width; j++) {
            const float g = r->word_rows[i * width + j];
            dense[(size_t)r->word_ids[i] * width + j] += g;
            sum_sq += (double)g * (double)g;
        }
    }
    if (bt_optim_needs_word_rows(r->optim)) {
        r->buffers.word_rows = r->word_rows;
        r->buffers.word_ids = r->word_ids;
        r->buffers.n_word_rows = (int64_t)n_rows;
    }
    if (word_is_dense) {
        sum_sq = 0.0;
        for (int64_t i = 0; i < word->n_elements; i++) {
            sum_sq += (double)dense[i] * (double)dense[i];
        }
    }
    return sum_sq;
}

static void compare_saved(const run *r, const json_t *saved, const char *title, size_t step) {
    const char *name = NULL;
    const char *what = NULL;
    json_t     *buffers = NULL;
    json_t     *values = NULL;
    json_object_foreach((json_t *)saved, name, buffers) {
        json_object_foreach(buffers, what, values) {
            float        want[64];
            char         text[192];
            const float *buffer = buffer_of(r, what);
            const size_t n = json_array_size(values);
            assert_true(n <= BT_ARRAY_LEN(want));
            copy_json(want, values);
            (void)snprintf(text, sizeof text, "%s step %zu %s %s", title, step, what, name);
            if (buffer == NULL) {
                fail_msg("%s: the optimizer has no such slot", text);
            }
            test_close_f32(buffer + find_param(r, name)->offset, want, n, 2e-7, 2e-6, text);
        }
    }
}

static void run_case(const json_t *root, const char *title, const json_t *entry, bt_pool *pool) {
    run                 r = {0};
    const char         *name = NULL;
    json_t             *values = NULL;
    const json_t *const config = json_object_get(entry, "config");
    const json_t *const steps = json_object_get(root, "steps");
    const bool          is_lars = strncmp(title, "lars", 4) == 0;
    add_params(&r, json_object_get(root, "shapes"));
    r.conf = fixture_conf_of(config);
    open_run(&r);
    json_object_foreach(json_object_get(root, "variables"), name, values) {
        copy_json(r.buffers.param + find_param(&r, name)->offset, values);
    }
    for (size_t s = 0; s < json_array_size(steps); s++) {
        const double  sum_sq = load_gradient(&r, json_array_get(steps, s), is_lars);
        double        norm = 0.0;
        bool          applied = false;
        char          key[8];
        const json_t *saved = NULL;
        bt_optim_apply(r.optim, &r.buffers, (int64_t)s, sum_sq, pool, &norm, &applied);
        assert_true(applied && norm > 0.0);
        (void)snprintf(key, sizeof key, "%zu", s + 1);
        saved = json_object_get(json_object_get(entry, "saved"), key);
        if (saved != NULL) {
            compare_saved(&r, saved, title, s + 1);
        }
    }
    close_run(&r);
}

static void test_updates_are_model_gardens(void **state) {
    (void)state;
    json_t *const root = test_read_json(test_source_path("tests/goldens/optim/steps.json"));
    const char   *title = NULL;
    json_t       *entry = NULL;
    size_t        n_cases = 0;
    bt_pool      *pool = NULL;
    assert_ok(bt_pool_create(&pool, 3, err));
    json_object_foreach(json_object_get(root, "cases"), title, entry) {
        run_case(root, title, entry, NULL);
        run_case(root, title, entry, pool);
        n_cases++;
    }
    assert_int_equal(n_cases, 35);
    bt_pool_free(pool);
    json_decref(root);
}

/* Shared goldens: the first step of real tasks. */

/* A parameter for each w/NAME; gradient where there is grad/NAME. */
static void add_golden_params(run *r, const json_t *header, const test_tensors *tensors) {
    const char *key = NULL;
    json_t     *entry = NULL;
    assert_ok(bt_param_table_init(&r->table, 100, err));
    json_object_foreach((json_t *)header, key, entry) {
        char name[200];
        if (strncmp(key, "w/", 2) != 0) {
            continue;
        }
        (void)snprintf(name, sizeof name, "grad/%s", key + 2);
        const json_t *const shape = json_object_get(entry, "shape");
        int64_t             dim[BT_MAX_RANK] = {0};
        for (size_t i = 0; i < json_array_size(shape); i++) {
            dim[i] = json_integer_value(json_array_get(shape, i));
        }
        fixture_add_param(&r->table, key + 2, (int32_t)json_array_size(shape), dim,
                          test_tensors_has(tensors, name));
    }
}

static void load_flat(const run *r, float *flat, const test_tensors *tensors, const char *prefix) {
    for (int64_t i = 0; i < r->table.n_params; i++) {
        const bt_param *const p = &r->table.params[i];
        char                  name[200];
        size_t                n = 0;
        (void)snprintf(name, sizeof name, "%s/%s", prefix, p->name);
        if (test_tensors_has(tensors, name)) {
            const float *const values = test_tensors_f32(tensors, name, &n);
            assert_int_equal(n, p->n_elements);
            memcpy(flat + p->offset, values, n * sizeof(float));
        }
    }
}

static double word_rows_sum_sq(const test_tensors *tensors) {
    size_t             n = 0;
    double             sum = 0.0;
    const float *const rows =
        test_tensors_f32(tensors, "grad_slices_values/word_embeddings/embeddings", &n);
    for (size_t i = 0; i < n; i++) {
        sum += (double)rows[i] * (double)rows[i];
    }
    return sum;
}

/* MANIFEST: variables abs 2e-6 after one step, m abs 1e-6, v abs 1e-8 + rel 2e-5. The gradient is
 * the golden's own, so noise tensors agree too. */
static void compare_first_step(const run *r, const test_tensors *tensors) {
    static const struct {
        const char *prefix;
        const char *what;
        double      abs;
        double      rel;
    } rows[] = {{"step1/var", "var", 2e-6, 0.0},
                {"step1/m", "m", 1e-6, 0.0},
                {"step1/v", "v", 1e-8, 2e-5},
                {"step1/average", "average", 5e-6, 0.0}};
    size_t n_compared = 0;
    for (size_t k = 0; k < BT_ARRAY_LEN(rows); k++) {
        for (int64_t i = 0; i < r->table.n_params; i++) {
            const bt_param *const p = &r->table.params[i];
            char                  name[200];
            size_t                n = 0;
            (void)snprintf(name, sizeof name, "%s/%s", rows[k].prefix, p->name);
            if (test_tensors_has(tensors, name)) {
                const float *const want = test_tensors_f32(tensors, name, &n);
                test_close_f32(buffer_of(r, rows[k].what) + p->offset, want, n, rows[k].abs,
                               rows[k].rel, name);
                n_compared++;
            }
        }
    }
    assert_true(n_compared >= (size_t)(3 * r->table.n_params - 4));
}

/* path: without .safetensors and .json */
static void check_first_step(const char *path) {
    char name[TEST_PATH_MAX + 16];
    run  r = {0};
    (void)snprintf(name, sizeof name, "%s.safetensors", path);
    test_tensors *const tensors = test_tensors_open(name);
    (void)snprintf(name, sizeof name, "%s.json", path);
    json_t *const config = test_read_json(name);
    add_golden_params(&r, test_tensors_header(tensors), tensors);
    r.conf = fixture_conf_of(json_object_get(config, "optimizer"));
    open_run(&r);
    load_flat(&r, r.buffers.param, tensors, "w");
    load_flat(&r, r.buffers.grad, tensors, "grad");
    double norm = 0.0;
    bool   applied = false;
    bt_optim_apply(r.optim, &r.buffers, 0, word_rows_sum_sq(tensors), NULL, &norm, &applied);
    assert_true(applied);
    const double want = (double)*test_tensors_f32(tensors, "global_norm", NULL);
    test_close_f64(&norm, &want, 1, 0.0, 5e-6, path);
    compare_first_step(&r, tensors);
    close_run(&r);
    json_decref(config);
    test_tensors_close(tensors);
}

static void test_first_steps_of_tasks_hold(void **state) {
    (void)state;
    static const char *const cases[] = {"sentence_prediction_3class",
                                        "sentence_prediction_lamb",
                                        "sentence_prediction_ema",
                                        "regression",
                                        "squad",
                                        "tagging"};
    for (size_t i = 0; i < BT_ARRAY_LEN(cases); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "goldens/numerics/tasks/%s", cases[i]);
        check_first_step(test_shared_path(path));
        if (test_outside_path(path) != NULL) { /* the same of larger models */
            check_first_step(test_outside_path(path));
        }
    }
}

/* What an engine gives when clipvalue is set: here some rows, several of them for one id. */
static void add_word_rows(run *r) {
    enum { N_ROWS = 50 };
    const int64_t    width = find_param(r, "word_embeddings/embeddings")->dim[1];
    const bt_rng_key key = bt_rng_key_make(4, 0, 0, BT_SITE_INIT);
    r->word_rows = bt_alloc_array((size_t)(N_ROWS * width), sizeof(float));
    r->word_ids = bt_alloc_array(N_ROWS, sizeof(int32_t));
    assert_non_null(r->word_rows);
    assert_non_null(r->word_ids);
    for (int64_t i = 0; i < N_ROWS * width; i++) {
        r->word_rows[i] = 0.01F * (bt_rng_uniform(key, (uint64_t)i) - 0.4F);
    }
    for (int32_t i = 0; i < N_ROWS; i++) {
        r->word_ids[i] = (i * i) % 7;
    }
    r->buffers.word_rows = r->word_rows;
    r->buffers.word_ids = r->word_ids;
    r->buffers.n_word_rows = N_ROWS;
}

static void open_large(run *r, const char *optimizer_config) {
    static const struct {
        const char *name;
        int32_t     rank;
        int64_t     dim[2];
        bool        has_gradient;
    } rows[] = {
        {"word_embeddings/embeddings", 2, {1009, 97}, true},
        {"transformer/layer_0/output/kernel", 2, {331, 223}, true},
        {"transformer/layer_0/output/bias", 1, {223}, true},
        {"pooler_transform/kernel", 2, {31, 31}, false},
    };
    static const char base[] =
        "{\"learning_rate\": {\"type\": \"constant\", \"constant\": {\"learning_rate\": 0.01}}, "
        "\"warmup\": {\"type\": null}}";
    assert_ok(bt_param_table_init(&r->table, 8, err));
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        fixture_add_param(&r->table, rows[i].name, rows[i].rank, rows[i].dim, rows[i].has_gradient);
    }
    r->conf = fixture_conf(base, optimizer_config);
    open_run(r);
    if (bt_optim_needs_word_rows(r->optim)) {
        add_word_rows(r);
    }
    const bt_rng_key key = bt_rng_key_make(3, 0, 0, BT_SITE_INIT);
    for (int64_t p = 0; p < r->table.n_params; p++) {
        const bt_param *const param = &r->table.params[p];
        for (int64_t i = param->offset; i < param->offset + param->n_elements; i++) {
            r->buffers.param[i] = bt_rng_uniform(key, (uint64_t)i) - 0.5F;
            if (param->has_gradient && i % 97 != 13) {
                r->buffers.grad[i] = 0.01F * (bt_rng_uniform(key, (uint64_t)i + 1000003) - 0.4F);
            }
        }
    }
}

static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    static const char *const configs[] = {
        "{\"optimizer\": {\"type\": \"adamw\"}, \"ema\": {\"average_decay\": 0.9}}",
        ("{\"optimizer\": {\"type\": \"lamb\", "
         "\"lamb\": {\"clipnorm\": 0.1, \"clipvalue\": 0.004}}}"),
        "{\"optimizer\": {\"type\": \"sgd\", \"sgd\": {\"momentum\": 0.9}}}",
        "{\"optimizer\": {\"type\": \"lars\", \"lars\": {\"global_clipnorm\": 0.3}}}",
    };
    for (size_t c = 0; c < BT_ARRAY_LEN(configs); c++) {
        run plain = {0};
        open_large(&plain, configs[c]);
        double norm = 0.0;
        bool   applied = false;
        bt_optim_apply(plain.optim, &plain.buffers, 0, 7.0, NULL, &norm, &applied);
        for (int32_t n_threads = 1; n_threads <= 5; n_threads += 2) {
            run      threaded = {0};
            bt_pool *pool = NULL;
            double   again = 0.0;
            open_large(&threaded, configs[c]);
            assert_ok(bt_pool_create(&pool, n_threads, err));
            const uint64_t n_calls = bt_alloc_count();
            bt_optim_apply(threaded.optim, &threaded.buffers, 0, 7.0, pool, &again, &applied);
            assert_int_equal(bt_alloc_count(), n_calls); /* no heap in a step */
            assert_true(again == norm);
            const size_t n_bytes = (size_t)plain.table.n_elements * sizeof(float);
            assert_memory_equal(plain.buffers.param, threaded.buffers.param, n_bytes);
            for (int32_t s = 0; s < bt_optim_n_slots(plain.optim); s++) {
                assert_memory_equal(plain.buffers.slots[s], threaded.buffers.slots[s], n_bytes);
            }
            if (plain.buffers.average != NULL) {
                assert_memory_equal(plain.buffers.average, threaded.buffers.average, n_bytes);
            }
            bt_pool_free(pool);
            close_run(&threaded);
        }
        /* what has no gradient does not move */
        run                   fresh = {0};
        const bt_param *const pooler = find_param(&plain, "pooler_transform/kernel");
        open_large(&fresh, configs[c]);
        assert_memory_equal(fresh.buffers.param + pooler->offset,
                            plain.buffers.param + pooler->offset,
                            (size_t)pooler->n_elements * sizeof(float));
        close_run(&fresh);
        close_run(&plain);
    }
}

static void test_nonfinite_gradients_change_nothing(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < BT_ARRAY_LEN(bad); i++) {
        run r = {0};
        run fresh = {0};
        open_large(&r, "{\"ema\": {\"average_decay\": 0.9}}");
        open_large(&fresh, "{\"ema\": {\"average_decay\": 0.9}}");
        double norm = 0.0;
        bool   applied = true;
        r.buffers.grad[find_param(&r, "transformer/layer_0/output/bias")->offset + 5] = bad[i];
        bt_optim_apply(r.optim, &r.buffers, 0, 1.0, NULL, &norm, &applied);
        assert_false(applied);
        assert_true(!isfinite(norm));
        const size_t n_bytes = (size_t)r.table.n_elements * sizeof(float);
        assert_memory_equal(r.buffers.param, fresh.buffers.param, n_bytes);
        assert_memory_equal(r.buffers.slots[0], fresh.buffers.slots[0], n_bytes);
        assert_memory_equal(r.buffers.average, fresh.buffers.average, n_bytes);
        /* a norm of the word rows that no float32 holds */
        r.buffers.grad[find_param(&r, "transformer/layer_0/output/bias")->offset + 5] = 0.0F;
        bt_optim_apply(r.optim, &r.buffers, 0, 1e80, NULL, &norm, &applied);
        assert_false(applied);
        close_run(&r);
        close_run(&fresh);
    }
}

static void test_optimizers_describe_themselves(void **state) {
    (void)state;
    static const struct {
        const char *config;
        const char *name;
        const char *text; /* slots and stored scalars */
    } rows[] = {
        {"{}", "adamw", "m v | beta_1=0.9 beta_2=0.999 decay=0 learning_rate=0.01 "},
        {"{\"optimizer\": {\"type\": \"adam\", \"adam\": {\"amsgrad\": true}}}", "adam",
         "m v vhat | beta_1=0.9 beta_2=0.999 decay=0 learning_rate=0.01 "},
        {"{\"optimizer\": {\"type\": \"sgd\"}}", "sgd", "| decay=0 momentum=0 learning_rate=0.01 "},
        {"{\"optimizer\": {\"type\": \"adam_experimental\"}}", "adam_experimental", "m v | "},
        {"{\"optimizer\": {\"type\": \"adagrad\"}}", "adagrad",
         "accumulator | decay=0 learning_rate=0.01 "},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        run    r = {0};
        bt_str text = BT_STR_INIT;
        open_large(&r, rows[i].config);
        for (int32_t s = 0; s < bt_optim_n_slots(r.optim); s++) {
            assert_ok(bt_str_appendf(&text, err, "%s ", bt_optim_slot_name(r.optim, s)));
        }
        assert_ok(bt_str_append(&text, "| ", err));
        for (int32_t h = 0; h < bt_optim_n_hypers(r.optim); h++) {
            float             value = 0.0F;
            const char *const name = bt_optim_hyper(r.optim, h, &value);
            assert_ok(bt_str_appendf(&text, err, "%s=%g ", name, (double)value));
        }
        assert_string_equal(bt_optim_name(r.optim), rows[i].name);
        assert_string_equal(bt_str_text(&text), rows[i].text);
        assert_false(bt_optim_needs_word_rows(r.optim));
        bt_str_deinit(&text);
        close_run(&r);
    }
}

static void test_impossible_optimizers_are_sentences(void **state) {
    (void)state;
    static const struct {
        const char *config;
        const char *text;
    } rows[] = {
        {"{\"optimizer\": {\"type\": null}}", "name the type of the optimizer"},
        {"{\"optimizer\": {\"type\": \"slide\"}}", "'slide': Model Garden"},
        {"{\"optimizer\": {\"type\": \"adafactor\"}}", "'adafactor': Model"},
        {"{\"optimizer\": {\"type\": \"adafactor_keras\"}}", "'adafactor_keras': its second"},
        {"{\"optimizer\": {\"adamw\": {\"clipnorm\": 1.0, \"global_clipnorm\": 2.0}}}",
         "set either clipnorm or global_clipnorm, not both"},
        {"{\"ema\": {}, \"optimizer\": {\"type\": \"adam_experimental\"}}",
         "ema: adam_experimental: a moving average cannot wrap"},
        {"{\"ema\": {\"clipnorm\": 1.0}}", "ema.clipnorm: 1.0: it has no effect"},
        {"{\"optimizer\": {\"adamw\": {\"exclude_from_weight_decay\": [\"a\\\\m\"]}}}",
         "pattern 'a\\m': bad escape \\m at position 1"},
        {"{\"optimizer\": {\"adamw\": {\"exclude_from_weight_decay\": [\"*a\"]}}}",
         "nothing to repeat at position 0"},
        {"{\"optimizer\": {\"adamw\": {\"exclude_from_weight_decay\": [\"(a\"]}}}",
         "missing ), unterminated subpattern at position 0"},
        {"{\"optimizer\": {\"adamw\": {\"exclude_from_weight_decay\": [\"(?<=a*)b\"]}}}",
         "look-behind requires fixed-width pattern"},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        fixture_refuses(rows[i].config, rows[i].text);
    }
}

/* Which parameters move with a zero gradient: those that decay. */
static bool pattern_excludes_bias(const char *pattern) {
    char config[256];
    run  r = {0};
    (void)snprintf(config, sizeof config,
                   "{\"optimizer\": {\"adamw\": {\"weight_decay_rate\": 0.5, "
                   "\"exclude_from_weight_decay\": [\"%s\"]}}}",
                   pattern);
    open_large(&r, config);
    memset(r.buffers.grad, 0, (size_t)r.table.n_elements * sizeof(float));
    const int64_t place = find_param(&r, "transformer/layer_0/output/bias")->offset + 3;
    const float   before = r.buffers.param[place];
    double        norm = 0.0;
    bool          applied = false;
    bt_optim_apply(r.optim, &r.buffers, 0, 0.0, NULL, &norm, &applied);
    assert_true(applied && norm == 0.0);
    const bool excluded = r.buffers.param[place] == before;
    close_run(&r);
    return excluded;
}

static void test_patterns_search_as_python_does(void **state) {
    (void)state;
    static const struct {
        const char *pattern; /* as JSON writes it; the name is transformer/layer_0/output/bias:0 */
        bool        matches;
    } rows[] = {
        {"bias", true},
        {"Bias", false},
        {"^bias", false},
        {"bias:0$", true},
        {"bias$", false},
        {"layer_\\\\d/out", true},
        {"layer_[\\\\d]/\\\\w+/b", true},
        {"layer\\\\s", false},
        {"(?:kernel|bias):", true},
        {"(kernel)", false},
        {"o.t.*?s", true},
        {"[^/]{4}:0", true},
        {"u{2,}", false},
        {"layer_0\\\\.", false},
        {"lay(x|)er", true},
        {"", true},
        {"(?i)BIAS", true},
        {"(?<=output/)bias", true},
        {"(?<!output/)bias", false},
        {"(?P<a>t)pu(?P=a)/bias:0\\\\Z", true},
        {"(?x) bias : 0 # the end", true},
    };
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        if (pattern_excludes_bias(rows[i].pattern) != rows[i].matches) {
            fail_msg("pattern '%s': expected %s", rows[i].pattern,
                     rows[i].matches ? "a match" : "no match");
        }
    }
}

static void test_running_out_of_memory_is_clean(void **state) {
    (void)state;
    run r = {0};
    /* the pattern needs more than PCRE2's stack: a search asks for memory, too */
    open_large(&r, "{\"learning_rate\": {\"type\": \"stepwise\", \"stepwise\": {\"boundaries\": "
                   "[1], \"values\": [0.1, 0.2]}}, \"optimizer\": {\"adamw\": "
                   "{\"exclude_from_weight_decay\": [\"(?i)((([a-z]|_|/)*?)*?)*?bias:1\"]}}}");
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        assert_true(k < 400);
        bt_optim *optim = NULL;
        bt_error  error = BT_ERROR_INIT;
        bt_alloc_fail_at(k, true);
        const bt_status status =
            bt_optim_create(r.conf, &(bt_optim_derived){0}, &r.table, &optim, &error);
        bt_alloc_fail_at(0, false);
        done = status == BT_OK;
        assert_true(done || status == BT_E_NOMEM);
        bt_optim_free(optim);
    }
    close_run(&r);
}

/* Of a model of two layers; the last parameter is the head's. */
static void open_layers(run *r, bt_encoder_type type) {
    static const char *const names[] = {"word_embeddings/embeddings", "transformer/layer_0/x/bias",
                                        "transformer/layer_1/x/bias", "pooler_transform/bias",
                                        "sentence_prediction/logits/bias"};
    assert_ok(bt_param_table_init(&r->table, 8, err));
    r->table.keras.encoder = type;
    for (size_t i = 0; i < BT_ARRAY_LEN(names); i++) {
        fixture_add_param(&r->table, names[i], 2, (const int64_t[]){2, 2}, true);
        r->table.params[i].depth = i < 3 ? (int32_t)i : 3;
        r->table.params[i].is_encoder = i < 4;
    }
}

static void test_layers_have_rates_of_their_own(void **state) {
    (void)state;
    static const float want[] = {0.125F, 0.25F, 0.5F, 1, 10};
    run                r = {0};
    bt_str             text = BT_STR_INIT;
    open_layers(&r, BT_ENCODER_BERT);
    r.conf = fixture_conf("{\"layer_decay\": 0.5, \"head_multiplier\": 10}", NULL);
    open_run(&r);
    for (size_t i = 0; i < BT_ARRAY_LEN(want); i++) {
        assert_true(bt_optim_multiplier(r.optim, (int64_t)i) == want[i]);
    }
    assert_ok(bt_optim_append_multipliers(r.optim, &text, err));
    assert_string_equal(bt_str_text(&text),
                        "embeddings 0.125, layers.0 0.25, layers.1 0.5, pooler 1, head 10");
    bt_str_deinit(&text);
    close_run(&r);
    r = (run){0};
    open_layers(&r, BT_ENCODER_ALBERT);
    r.conf = fixture_conf("{\"layer_decay\": 0.5}", NULL);
    const bt_optim_derived derived = {.train_steps = 1};
    assert_fails(bt_optim_create(r.conf, &derived, &r.table, &r.optim, err), BT_E_CONFIG,
                 "ALBERT's layers share one set of parameters");
    bt_conf_free(r.conf);
    bt_param_table_deinit(&r.table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_have_rates_of_their_own),
        cmocka_unit_test(test_updates_are_model_gardens),
        cmocka_unit_test(test_first_steps_of_tasks_hold),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
        cmocka_unit_test(test_nonfinite_gradients_change_nothing),
        cmocka_unit_test(test_optimizers_describe_themselves),
        cmocka_unit_test(test_impossible_optimizers_are_sentences),
        cmocka_unit_test(test_patterns_search_as_python_does),
        cmocka_unit_test(test_running_out_of_memory_is_clean),
    };
    return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
