/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that clip and update, on the CPU plug-in, against bt_optim_apply: every rule with its
 * options, three updates from the same gradients. Then one whose gradient is not finite, which must
 * leave every bit as it was. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/rng.h"
#include "hlo_fixture.h"

enum { N_UPDATES = 3 };

static const char *const rules[] = {
    "{\"type\": \"adamw\", \"adamw\": {\"weight_decay_rate\": 0.3, \"exclude_from_weight_decay\": "
    "[\"layer_norm\", \"bias\", \"layer_1/output\"], \"gradient_clip_norm\": 1.0}}",
    "{\"type\": \"adam\", \"adam\": {\"amsgrad\": true, \"clipnorm\": 0.5}}",
    "{\"type\": \"adamw_experimental\", \"adamw_experimental\": {\"weight_decay\": 0.1, "
    "\"global_clipnorm\": 0.7}}",
    "{\"type\": \"lamb\", \"lamb\": {\"weight_decay_rate\": 0.2, \"exclude_from_weight_decay\": "
    "[\"layer_norm\", \"layer_0/.*query\"]}}",
    "{\"type\": \"sgd\", \"sgd\": {\"momentum\": 0.9, \"nesterov\": true, \"decay\": 0.01}}",
    "{\"type\": \"sgd_experimental\", \"sgd_experimental\": {}}",
    "{\"type\": \"rmsprop\", \"rmsprop\": {\"momentum\": 0.5, \"centered\": true, \"rho\": 0.8}}",
    "{\"type\": \"rmsprop\", \"rmsprop\": {\"centered\": true}}",
    "{\"type\": \"adagrad\", \"adagrad\": {\"initial_accumulator_value\": 0.1}}",
    "{\"type\": \"lars\", \"lars\": {\"momentum\": 0.9, \"eeta\": 0.01, \"weight_decay_rate\": "
    "0.1, \"exclude_from_layer_adaptation\": [\"bias\"]}}",
    "{\"type\": \"lars\", \"lars\": {\"momentum\": 0.9, \"eeta\": 0.01, \"classic_momentum\": "
    "false, \"nesterov\": true}}",
};

static fixture f;

static float drawn(uint32_t what, uint64_t i) {
    return bt_rng_uniform(bt_rng_key_make(3, what, 0, BT_SITE_INIT), i) - 0.5F;
}

static void open_rule(const char *rule, bool has_average) {
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "{\"optimizer\": %s, \"learning_rate\": {\"type\": \"polynomial\", "
                   "\"polynomial\": {\"initial_learning_rate\": 0.01, \"decay_steps\": 30, "
                   "\"end_learning_rate\": 0.0}}, \"warmup\": {\"type\": \"polynomial\", "
                   "\"polynomial\": {\"warmup_steps\": 2}}%s}",
                   rule, has_average ? ", \"ema\": {\"average_decay\": 0.9}" : "");
    json_t *const           optimizer = json_loads(text, 0, NULL);
    const bt_encoder_config encoder = fixture_encoder();
    const bt_head_config    head = {
           .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3};
    assert_non_null(optimizer);
    fixture_open(&f, &encoder, &head, optimizer, "ref", 1);
    json_decref(optimizer);
}

/* Parameters at random places, and a gradient that some rows of the word table do not have. */
static void draw(float *flat, uint32_t what) {
    for (int64_t i = 0; i < f.model->table.n_params; i++) {
        const bt_param *const p = &f.model->table.params[i];
        for (int64_t k = 0; k < p->n_elements; k++) {
            const bool is_absent = p->is_word_embedding && what > 0 && k / p->dim[1] % 3 == 0;
            flat[p->offset + k] = is_absent ? 0 : drawn(what, (uint64_t)(p->offset + k));
        }
    }
}

static void set_numbers(hlo_run *run, int64_t step, double word_sum_sq) {
    hlo_layout             l = {0};
    const bt_optim_numbers n = bt_optim_get_numbers(f.optim, step);
    l.numbers[BT_HLO_LOSS_SCALE] = 1;
    l.numbers[BT_HLO_LR] = n.lr;
    l.numbers[BT_HLO_ALPHA] = n.alpha;
    l.numbers[BT_HLO_CORRECTION_1] = n.correction_1;
    l.numbers[BT_HLO_CORRECTION_2] = n.correction_2;
    l.numbers[BT_HLO_ONE_MINUS_AVERAGE_DECAY] = n.one_minus_average_decay;
    hlo_run_set_layout(run, 0, &l);
    for (size_t i = 0; i < run->program->n_args; i++) {
        if (run->program->args[i].role == BT_HLO_SUMS) {
            ((float *)run->args[i])[0] = 0.25F;
            ((float *)run->args[i])[1] = (float)word_sum_sq;
        }
    }
}

static void compare(const hlo_run *run, bt_hlo_role role, int32_t slot, const float *want,
                    const char *what) {
    const bt_param_table *const table = &f.model->table;
    float *const                flat = bt_alloc_array((size_t)table->n_elements, sizeof *flat);
    assert_non_null(flat);
    memcpy(flat, want, (size_t)table->n_elements * sizeof *flat);
    hlo_run_get_state(run, f.model, role, slot, flat);
    for (int64_t i = 0; i < table->n_params; i++) {
        const bt_param *const p = &table->params[i];
        char                  text[256];
        (void)snprintf(text, sizeof text, "%s: %s of %s", bt_optim_name(f.optim), what, p->name);
        test_close_f32(flat + p->offset, want + p->offset, (size_t)p->n_elements, 2e-6, 2e-5, text);
    }
    bt_free(flat);
}

/* The state of the engine that is not used as one: its flat buffers. */
static bt_optim_buffers buffers_of(float *gradient) {
    bt_optim_buffers b = {
        .param = bt_exec_params(f.exec), .grad = gradient, .average = bt_exec_average(f.exec)};
    for (int32_t i = 0; i < bt_optim_n_slots(f.optim); i++) {
        b.slots[i] = bt_exec_slot(f.exec, i);
    }
    return b;
}

static double word_sum_of_squares(const float *flat) {
    double sum = 0;
    for (int64_t i = 0; i < f.model->table.n_params; i++) {
        const bt_param *const p = &f.model->table.params[i];
        for (int64_t k = 0; p->is_word_embedding && k < p->n_elements; k++) {
            sum += (double)flat[p->offset + k] * (double)flat[p->offset + k];
        }
    }
    return sum * 0.75; /* any other number than that of the sum of equal ids */
}

static void load_state(hlo_run *run, const bt_optim_buffers *b) {
    hlo_run_set_state(run, f.model, BT_HLO_PARAM, 0, b->param);
    for (int32_t i = 0; i < bt_optim_n_slots(f.optim); i++) {
        hlo_run_set_state(run, f.model, BT_HLO_SLOT, i, b->slots[i]);
    }
    if (b->average != NULL) {
        hlo_run_set_state(run, f.model, BT_HLO_AVERAGE, 0, b->average);
    }
}

static void compare_states(const hlo_run *run, const bt_optim_buffers *b) {
    compare(run, BT_HLO_PARAM, 0, b->param, "param");
    for (int32_t i = 0; i < bt_optim_n_slots(f.optim); i++) {
        compare(run, BT_HLO_SLOT, i, b->slots[i], bt_optim_slot_name(f.optim, i));
    }
    if (b->average != NULL) {
        compare(run, BT_HLO_AVERAGE, 0, b->average, "average");
    }
}

/* All that was donated came back as it was, but the sum of gradients, which is 0 again. */
static void leaves_all_as_it_was(hlo_run *run, float *gradient, const bt_optim_buffers *b) {
    load_state(run, b);
    gradient[f.model->table.params[4].offset + 1] = NAN;
    hlo_run_set_state(run, f.model, BT_HLO_GRADIENT, 0, gradient);
    hlo_run_step(run);
    assert_true(hlo_run_result(run, 0, BT_HLO_OUTCOME, NULL)[2] == 1);
    const bt_hlo_program *const p = run->program;
    float *const array = bt_alloc_array((size_t)f.model->table.n_elements, sizeof *array);
    assert_non_null(array);
    for (size_t i = 0; i < p->n_results; i++) {
        const bt_hlo_tensor *const t = &p->results[i];
        if (t->takes_place < 0 || t->variable < 0) {
            continue;
        }
        const bt_hlo_variable *const v = &p->variables[t->variable];
        if (t->role == BT_HLO_GRADIENT) { /* the next sum begins */
            memset(array, 0, (size_t)v->n_elements * sizeof *array);
        } else {
            bt_hlo_stack(v, &f.model->table,
                         t->role == BT_HLO_PARAM  ? b->param
                         : t->role == BT_HLO_SLOT ? b->slots[t->slot]
                                                  : b->average,
                         array);
        }
        assert_memory_equal(run->results[i], array, (size_t)v->n_elements * sizeof *array);
    }
    bt_free(array);
}

static void run_rule(const char *rule, bool has_average) {
    open_rule(rule, has_average);
    const size_t n = (size_t)f.model->table.n_elements;
    float *const gradient = bt_calloc_array(n, sizeof *gradient);
    assert_non_null(gradient);
    const bt_optim_buffers b = buffers_of(gradient);
    const bt_hlo_config    config = {
           .what = BT_HLO_UPDATE, .n_rows = 2, .n_slots = 8, .n_seqs = 4, .n_replicas = 1};
    hlo_run run;
    draw(b.param, 0);
    hlo_run_open(&run, f.model, f.optim, &config);
    load_state(&run, &b);
    for (int64_t step = 0; step < N_UPDATES; step++) {
        double norm = 0;
        bool   applied = false;
        draw(gradient, (uint32_t)step + 1);
        const double word_sum_sq = word_sum_of_squares(gradient);
        hlo_run_set_state(&run, f.model, BT_HLO_GRADIENT, 0, gradient);
        set_numbers(&run, step, word_sum_sq);
        hlo_run_step(&run);
        bt_optim_apply(f.optim, &b, step, word_sum_sq, NULL, &norm, &applied);
        assert_true(applied);
        const float *const outcome = hlo_run_result(&run, 0, BT_HLO_OUTCOME, NULL);
        assert_true(outcome[0] == 0.25F && outcome[2] == 0);
        const double got = (double)outcome[1];
        test_close_f64(&got, &norm, 1, 0, 2e-6, "norm");
        compare_states(&run, &b);
    }
    leaves_all_as_it_was(&run, gradient, &b);
    hlo_run_close(&run);
    bt_free(gradient);
    fixture_close(&f);
}

static void test_updates_are_those_of_optim(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rules); i += test_is_slow() ? 3 : 1) {
        run_rule(rules[i], i == 0); /* most of the time is the compiler's */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_updates_are_those_of_optim)};
    if (test_pjrt_client() == NULL) { /* which has said why */
        return TEST_SKIP_EXIT;
    }
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    test_pjrt_exit(rc);
}
