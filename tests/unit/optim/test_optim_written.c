/* SPDX-License-Identifier: Apache-2.0
 *
 * What an update tells of the parameters that it wrote: each element of what is trained once, with
 * the value that it has at the end, whatever the optimizer; nothing where nothing was applied. */
#include <math.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/pool.h"
#include "optim_fixture.h"

enum { N_BUFFERS = 3 + BT_OPTIM_MAX_SLOTS };

typedef struct run {
    bt_param_table   table;
    bt_conf         *conf;
    bt_optim        *optim;
    bt_optim_buffers buffers;
    float           *flat[N_BUFFERS]; /* what buffers point to */
    float           *told;            /* the values as they were told */
    uint8_t         *n_told;
} run;

static void hear(void *context, int64_t param, int64_t first, int64_t n) {
    const run *const      r = context;
    const bt_param *const p = &r->table.params[param];
    assert_true(first >= 0 && n > 0 && first + n <= p->n_elements);
    memcpy(r->told + p->offset + first, r->buffers.param + p->offset + first,
           (size_t)n * sizeof *r->told);
    for (int64_t i = 0; i < n; i++) {
        r->n_told[p->offset + first + i]++;
    }
}

static float *new_flat(const run *r, int buffer) {
    const int64_t n = r->table.n_elements;
    float *const  flat = bt_alloc_array((size_t)n, sizeof *flat);
    assert_non_null(flat);
    for (int64_t i = 0; i < n; i++) {
        flat[i] = 0.01F * (float)((i + buffer) % 37 + 1);
    }
    return flat;
}

static void open_run(run *r, const char *config) {
    static const int64_t words[2] = {1009, 97};
    static const int64_t kernel[2] = {331, 223}; /* three chunks, which end within rows */
    static const int64_t bias[1] = {223};
    memset(r, 0, sizeof *r);
    assert_ok(bt_param_table_init(&r->table, 4, err));
    fixture_add_param(&r->table, "word_embeddings/embeddings", 2, words, true);
    fixture_add_param(&r->table, "transformer/layer_0/output/kernel", 2, kernel, true);
    fixture_add_param(&r->table, "transformer/layer_0/output/bias", 1, bias, true);
    fixture_add_param(&r->table, "pooler_transform/kernel", 2, kernel, false);
    r->conf = fixture_conf("{\"warmup\": {\"type\": null}}", config);
    r->optim = fixture_optim(r->conf, &r->table);
    for (int i = 0; i < N_BUFFERS; i++) {
        r->flat[i] = new_flat(r, i);
    }
    r->buffers = (bt_optim_buffers){.param = r->flat[0],
                                    .grad = r->flat[1],
                                    .average = r->flat[2],
                                    .written = hear,
                                    .written_context = r};
    memcpy(r->buffers.slots, r->flat + 3, sizeof r->buffers.slots);
    r->told = bt_calloc_array((size_t)r->table.n_elements, sizeof *r->told);
    r->n_told = bt_calloc_array((size_t)r->table.n_elements, 1);
    assert_true(r->told != NULL && r->n_told != NULL);
}

static void close_run(run *r) {
    for (int i = 0; i < N_BUFFERS; i++) {
        bt_free(r->flat[i]);
    }
    bt_free(r->told);
    bt_free(r->n_told);
    bt_optim_free(r->optim);
    bt_conf_free(r->conf);
    bt_param_table_deinit(&r->table);
}

/* n: how often an element of what is trained was told */
static void check(const run *r, int n) {
    for (int64_t p = 0; p < r->table.n_params; p++) {
        const bt_param *const param = &r->table.params[p];
        for (int64_t i = param->offset; i < param->offset + param->n_elements; i++) {
            assert_int_equal(r->n_told[i], param->has_gradient ? n : 0);
            assert_true(r->n_told[i] == 0 || r->told[i] == r->buffers.param[i]);
        }
    }
}

static void update(run *r, bt_pool *pool, bool is_broken) {
    double norm = 0;
    bool   applied = false;
    bt_optim_apply(r->optim, &r->buffers, 0, is_broken ? NAN : 7.0, pool, &norm, &applied);
    assert_true(applied == !is_broken);
}

static void test_each_element_is_told_once(void **state) {
    static const char *const configs[] = {
        "{\"optimizer\": {\"type\": \"adamw\"}, \"ema\": {\"average_decay\": 0.9}}",
        "{\"optimizer\": {\"type\": \"adamw\"}, \"layer_decay\": 0.5}",
        "{\"optimizer\": {\"type\": \"adam\", \"adam\": {\"amsgrad\": true}}}",
        "{\"optimizer\": {\"type\": \"adam\", \"adam\": {\"global_clipnorm\": 0.5}}}",
        "{\"optimizer\": {\"type\": \"lamb\"}}",
        "{\"optimizer\": {\"type\": \"lars\"}}",
        "{\"optimizer\": {\"type\": \"sgd\", \"sgd\": {\"momentum\": 0.9}}}",
        "{\"optimizer\": {\"type\": \"rmsprop\"}}",
        "{\"optimizer\": {\"type\": \"adagrad\"}}",
    };
    bt_pool *pool = NULL;
    (void)state;
    assert_ok(bt_pool_create(&pool, 3, err));
    for (size_t c = 0; c < BT_ARRAY_LEN(configs); c++) {
        run r;
        open_run(&r, configs[c]);
        update(&r, pool, true);
        check(&r, 0);
        update(&r, pool, false);
        check(&r, 1);
        if (bt_optim_is_by_parameter(r.optim)) {
            r.buffers.is_of_clipped = true;
            bt_optim_apply_part(r.optim, &r.buffers, 1, 1, r.table.n_params, pool);
            bt_optim_apply_part(r.optim, &r.buffers, 1, 0, 1, pool);
            check(&r, 2);
        }
        close_run(&r);
    }
    bt_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_element_is_told_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
