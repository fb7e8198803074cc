/* SPDX-License-Identifier: Apache-2.0
 *
 * How many large products a pass makes: query, key and value are one each way where all tokens
 * ask, and two where only first tokens do. */
#include <string.h>

#include "exec_cpu_internal.h"
#include "toy.h"

enum {
    /* attention's output and the feed-forward's two: one product forward, two backward */
    OTHERS = 3,
    HEAD = 2, /* pooler and classes */
};

static int64_t products_of(toy *t, bool trains) {
    bt_step_result              result;
    const bt_nn_products *const products = &exec_cpu_of(t->f.exec)->nn.products;
    const int64_t               before = products->n_calls;
    if (trains) {
        assert_ok(bt_exec_train_step(t->f.exec, &t->batch.batch, 0, 11, &result, err));
    } else {
        assert_ok(bt_exec_evaluate(t->f.exec, &t->batch.batch, &result, err));
    }
    return products->n_calls - before;
}

static void check(const bt_encoder_config *encoder, const bt_head_config *head, int64_t head_layers,
                  int64_t forward, int64_t backward) {
    toy t;
    toy_open(&t, encoder, head, true, 2);
    if (exec_cpu_of(t.f.exec)->nn.product != NULL) {
        assert_int_equal(products_of(&t, false), forward + head_layers);
        assert_int_equal(products_of(&t, true), forward + head_layers + backward + 2 * head_layers);
    }
    fixture_close(&t.f);
}

static void test_products_of_a_pass(void **state) {
    (void)state;
    const bt_encoder_config encoder = toy_encoder();
    const bt_head_config    classes = toy_head(BT_HEAD_ENCODER_POOLER, BT_LOSS_SOFTMAX, 2);
    const bt_head_config    tokens = toy_head(BT_HEAD_TOKENS, BT_LOSS_TOKENS, 2);
    assert_int_equal(encoder.num_layers, 2);
    check(&encoder, &tokens, 1, 2 * (1 + OTHERS), 2 * 2 * (1 + OTHERS));
    check(&encoder, &classes, HEAD, 1 + OTHERS + 2 + OTHERS, 2 * (1 + OTHERS + 2 + OTHERS));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products_of_a_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
