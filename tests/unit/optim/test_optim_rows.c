/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the word table that wait make the same updates as rows that do not: equal bits of
 * parameters and slots, over more steps than can wait, with rows that are never touched, with all
 * rows settled in between, after a step that was not applied and after a jump to another step. */
#include "bt/base/alloc.h"
#include "bt/base/pool.h"
#include "optim_fixture.h"
#include "test_random.h"

#include <math.h>
#include <string.h>

enum { N_ROWS = 23, WIDTH = 19, N_STEPS = 1100, N_IDS = 5, MAX_FLOATS = 1 << 10 };

typedef struct side {
    bt_param_table   table;
    bt_conf         *conf;
    bt_optim        *optim;
    bt_optim_rows   *rows; /* NULL: every row in every step */
    bt_optim_buffers buffers;
    float            param[MAX_FLOATS], grad[MAX_FLOATS], m[MAX_FLOATS], v[MAX_FLOATS];
} side;

static const char config[] = "{\"learning_rate\": {\"polynomial\": {\"initial_learning_rate\": "
                             "0.01, \"decay_steps\": 2000}},"
                             " \"warmup\": {\"polynomial\": {\"warmup_steps\": 7}}}";

static void side_open(side *s, const char *optimizer, bool waits) {
    static const int64_t words[2] = {N_ROWS, WIDTH};
    static const int64_t other[1] = {WIDTH};
    memset(s, 0, sizeof *s);
    assert_ok(bt_param_table_init(&s->table, 2, err));
    fixture_add_param(&s->table, "word_embeddings/embeddings", 2, words, true);
    fixture_add_param(&s->table, "layer_norm/gamma", 1, other, true);
    s->conf = fixture_conf(config, optimizer);
    s->optim = fixture_optim(s->conf, &s->table);
    assert_true(s->table.n_elements <= MAX_FLOATS);
    s->buffers = (bt_optim_buffers){.param = s->param, .grad = s->grad, .slots = {s->m, s->v}};
    if (waits) {
        assert_ok(bt_optim_rows_create(s->optim, &s->rows, err));
        assert_non_null(s->rows);
        s->buffers.rows = s->rows;
    }
    for (int64_t i = 0; i < s->table.n_elements; i++) {
        s->param[i] = 0.01F * (float)(i % 37) - 0.1F;
    }
}

static void side_close(side *s) {
    bt_optim_rows_free(s->rows);
    bt_optim_free(s->optim);
    bt_conf_free(s->conf);
    bt_param_table_deinit(&s->table);
}

/* ids of the last three rows are never drawn; a NaN in the gradient: the step is not applied */
static void side_step(side *s, bt_pool *pool, int64_t step, bool is_broken) {
    const bt_rng_key key = bt_rng_key_make(3, (uint64_t)step, 0, BT_SITE_INIT);
    int32_t          ids[N_IDS];
    bool             applied = false;
    double           norm = 0;
    memset(s->grad, 0, sizeof s->grad);
    for (uint64_t i = 0; i < N_IDS; i++) {
        ids[i] = (int32_t)(bt_rng_uniform(key, i) * (N_ROWS - 3));
        for (uint64_t c = 0; c < WIDTH; c++) {
            s->grad[ids[i] * WIDTH + (int64_t)c] += (float)test_normal(key, 100 + i * WIDTH + c);
        }
    }
    if (s->rows != NULL) {
        bt_optim_rows_begin(s->rows, &s->buffers, step, pool);
        bt_optim_rows_read(s->rows, &s->buffers, ids, N_IDS, pool);
    }
    bt_optim_apply(s->optim, &s->buffers, step, is_broken ? NAN : 2.0, pool, &norm, &applied);
    assert_true(applied == !is_broken);
}

static void compare(side *dense, side *waiting, bt_pool *pool) {
    const size_t n_bytes = (size_t)dense->table.n_elements * sizeof(float);
    bt_optim_rows_settle(waiting->rows, &waiting->buffers, pool);
    assert_memory_equal(dense->param, waiting->param, n_bytes);
    assert_memory_equal(dense->m, waiting->m, n_bytes);
    assert_memory_equal(dense->v, waiting->v, n_bytes);
}

static void run_both(const char *optimizer) {
    static side dense, waiting;
    bt_pool    *pool = NULL;
    assert_ok(bt_pool_create(&pool, 3, err));
    side_open(&dense, optimizer, false);
    side_open(&waiting, optimizer, true);
    for (int64_t i = 0; i < N_STEPS; i++) {
        const int64_t step = i < 40 ? i : i + 500; /* as after a restore of another checkpoint */
        side_step(&dense, pool, step, i == 20);
        side_step(&waiting, pool, step, i == 20);
        if (i == 9 || i == 300) {
            compare(&dense, &waiting, pool);
        }
    }
    compare(&dense, &waiting, pool);
    side_close(&dense);
    side_close(&waiting);
    bt_pool_free(pool);
}

static void test_rows_wait_exactly(void **state) {
    (void)state;
    run_both("{\"optimizer\": {\"type\": \"adamw\"}}");
    run_both("{\"optimizer\": {\"type\": \"adamw\", \"adamw\": {\"weight_decay_rate\": 0.0}}}");
    run_both("{\"optimizer\": {\"type\": \"adam\"}}");
}

static void test_some_optimizers_do_not_wait(void **state) {
    static const char *const configs[] = {
        "{\"optimizer\": {\"type\": \"lamb\"}}",
        "{\"optimizer\": {\"type\": \"sgd\"}}",
        "{\"optimizer\": {\"type\": \"adam\", \"adam\": {\"amsgrad\": true}}}",
        "{\"optimizer\": {\"type\": \"adam\", \"adam\": {\"clipvalue\": 0.5}}}",
        "{\"ema\": {}}",
    };
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(configs); i++) {
        static side    s;
        bt_optim_rows *rows = NULL;
        side_open(&s, configs[i], false);
        assert_ok(bt_optim_rows_create(s.optim, &rows, err));
        assert_null(rows);
        side_close(&s);
    }
}

static void test_memory_may_run_out(void **state) {
    static side s;
    (void)state;
    side_open(&s, "{\"optimizer\": {\"type\": \"adamw\"}}", false);
    for (uint64_t k = 1; k <= 5; k++) {
        bt_optim_rows *rows = NULL;
        bt_alloc_fail_at(k, true);
        assert_fails(bt_optim_rows_create(s.optim, &rows, err), BT_E_NOMEM, "word table");
        bt_alloc_fail_at(0, false);
        assert_null(rows);
    }
    side_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_wait_exactly),
        cmocka_unit_test(test_some_optimizers_do_not_wait),
        cmocka_unit_test(test_memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
