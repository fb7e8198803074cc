/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine on devices (the CPU plug-in's) against the real Model Garden (goldens/numerics), the
 * project's own goldens and the CPU engine: through bt/exec.h, as training calls it. Programs
 * compile for seconds, so each case is a run of this program, and some
 * are run with BT_LONG_TESTS=1 only (their programs are those of test_hlo_goldens):
 * test_exec_devices [long] CASE, or CASE/N: N sequences of a batch at a time */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/number.h"
#include "bt/base/time.h"
#include "bt/hlo.h"
#include "devices_fixture.h"
#include "task_goldens.h"

static const char          *case_name;
static task_case            the_case;
static const bt_exec_config plain;

static void open_case(const char *name) {
    const task_row *const row = task_find(name);
    if (row == NULL) {
        fail_msg("no case %s", name);
    }
    task_case_open(&the_case, row, "ref", true, 0);
}

/* The case that was opened; closes it. */
static void run_golden(bool is_whole, const bt_exec_config *config) {
    the_case.engine = "devices";
    fixture_to_devices(&the_case.f, 1, config);
    if (is_whole) {
        task_run_layers(&the_case);
        task_run_gradients(&the_case);
    }
    task_run_trajectory(&the_case);
    task_case_close(&the_case);
}

static void test_golden_matches(void **state) {
    (void)state;
    char              name[64];
    const char *const slash = strchr(case_name, '/');
    const int         n = slash != NULL ? (int)(slash - case_name) : (int)strlen(case_name);
    bt_exec_config    config = {.part_seqs = 0};
    (void)snprintf(name, sizeof name, "%.*s", n, case_name);
    assert_true(slash == NULL || bt_parse_i64(slash + 1, &config.part_seqs));
    open_case(name);
    const task_row *const row = the_case.row;
    run_golden(slash == NULL, &config);
    if (row->place != TASK_GARDEN) {
        return;
    }
    const task_row outside = task_outside(row);
    if (task_is_here(&outside)) {
        task_case_open(&the_case, &outside, "ref", true, 0);
        run_golden(slash == NULL, &config);
    }
}

/* Every layer of every encoder. Two programs each: where padding stays there is a mask of keys. */
static void test_encoders_match(void **state) {
    (void)state;
    for (size_t i = 0; i < n_encoder_rows; i++) {
        encoder_case c;
        encoder_case_open(&c, &encoder_rows[i], "ref");
        c.engine = "devices";
        fixture_to_devices(&c.f, 1, &plain);
        encoder_case_run(&c, true);
        if (i == 0) {
            encoder_case_run(&c, false);
        }
        encoder_case_close(&c);
    }
}

static void compare_flat(const bt_model *model, const float *got, const float *want, double abs_tol,
                         const char *what) {
    for (int64_t i = 0; i < model->table.n_params; i++) {
        const bt_param *const p = &model->table.params[i];
        char                  name[512];
        (void)snprintf(name, sizeof name, "%s of %s", what, p->name);
        const bool is_noise = strstr(p->name, "key/bias") != NULL; /* its true gradient is 0 */
        test_close_f32(got + p->offset, want + p->offset, (size_t)p->n_elements,
                       is_noise ? 2e-4 : abs_tol, 0, name);
    }
}

static void compare_engines(bt_exec *got, bt_exec *want, const fixture *f) {
    compare_flat(f->model, settled(got, bt_exec_params(got)), settled(want, bt_exec_params(want)),
                 3e-6, "value");
    for (int32_t i = 0; i < bt_optim_n_slots(f->optim); i++) {
        compare_flat(f->model, bt_exec_slot(got, i), bt_exec_slot(want, i), 2e-6, "slot");
    }
    if (bt_optim_has_average(f->optim)) {
        compare_flat(f->model, bt_exec_average(got), bt_exec_average(want), 3e-6, "average");
    }
}

/* Model Garden's ema case with dropout everywhere, on both engines. */
static void open_pair(fixture *cpu, fixture *devices, const bt_exec_config *config) {
    const task_row *const row = task_find("sentence_prediction_ema");
    task_case             other;
    open_case("sentence_prediction_ema");
    the_case.f.model->encoder.dropout_rate = 0.2F;
    the_case.f.model->encoder.attention_dropout_rate = 0.2F;
    the_case.f.model->head.dropout_rate = 0.2F;
    *cpu = the_case.f;
    task_case_open(&other, row, "ref", true, 0);
    other.f.model->encoder = cpu->model->encoder;
    other.f.model->head = cpu->model->head;
    fixture_to_devices(&other.f, 1, config);
    *devices = other.f;
    json_decref(other.config);
    test_tensors_close(other.golden);
}

static void step_both(fixture *cpu, fixture *devices, int64_t step) {
    bt_step_result a;
    bt_step_result b;
    task_case_pack(&the_case, step);
    assert_ok(bt_exec_train_step(cpu->exec, &the_case.batch.batch, step, 7, &a, err));
    assert_ok(bt_exec_train_step(devices->exec, &the_case.batch.batch, step, 7, &b, err));
    test_close_f64(&b.loss, &a.loss, 1, 1e-5, 1e-5, "loss");
    test_close_f64(&b.grad_norm, &a.grad_norm, 1, 0, 2e-5, "norm");
    assert_int_equal(b.n_nonfinite, 0);
    assert_int_equal(b.n_tokens, a.n_tokens);
    test_close_f32(b.logits, a.logits, (size_t)bt_model_n_logits(cpu->model, &the_case.batch.batch),
                   2e-5, 0, "logits");
}

static void evaluate_both(fixture *cpu, fixture *devices) {
    bt_step_result a;
    bt_step_result b;
    assert_ok(bt_exec_evaluate(cpu->exec, &the_case.batch.batch, &a, err));
    assert_ok(bt_exec_evaluate(devices->exec, &the_case.batch.batch, &b, err));
    test_close_f64(&b.loss, &a.loss, 1, 1e-5, 1e-5, "loss of an evaluation");
    test_close_f32(b.logits, a.logits, (size_t)bt_model_n_logits(cpu->model, &the_case.batch.batch),
                   2e-5, 0, "logits of an evaluation");
}

/* The state of one engine goes on in the other, and back. */
static void hand_over(bt_exec *from, bt_exec *to, const fixture *f) {
    bt_exec_copy(to, bt_exec_params(to), settled(from, bt_exec_params(from)));
    for (int32_t i = 0; i < bt_optim_n_slots(f->optim); i++) {
        bt_exec_copy(to, bt_exec_slot(to, i), bt_exec_slot(from, i));
    }
    bt_exec_copy(to, bt_exec_average(to), bt_exec_average(from));
    assert_ok(bt_exec_changed(to, err));
}

/* A number that is none in one weight: nothing changes, and the step says so. */
static void check_nonfinite(fixture *devices) {
    const size_t   n = (size_t)devices->model->table.n_elements;
    const int64_t  at = devices->model->table.params[devices->model->embedding_norm.beta].offset;
    bt_step_result result;
    float *const   before = bt_alloc_array(n, sizeof *before);
    float *const   params = settled(devices->exec, bt_exec_params(devices->exec));
    const float    was = params[at];
    assert_non_null(before);
    params[at] = NAN;
    assert_ok(bt_exec_changed(devices->exec, err));
    memcpy(before, params, n * sizeof *before);
    assert_ok(bt_exec_train_step(devices->exec, &the_case.batch.batch, 4, 7, &result, err));
    assert_int_equal(result.n_nonfinite, 1);
    assert_false(result.is_skipped);
    assert_true(isnan(result.loss));
    assert_ok(bt_exec_settle(devices->exec, err));
    assert_memory_equal(before, params, n * sizeof *before);
    params[at] = was;
    assert_ok(bt_exec_changed(devices->exec, err));
    bt_free(before);
}

static void test_engines_agree(void **state) {
    (void)state;
    fixture cpu;
    fixture devices;
    open_pair(&cpu, &devices, &plain);
    for (int64_t step = 0; step < 3; step++) {
        step_both(&cpu, &devices, step);
    }
    compare_engines(devices.exec, cpu.exec, &cpu);
    evaluate_both(&cpu, &devices);
    assert_ok(bt_exec_swap_averages(cpu.exec, err));
    assert_ok(bt_exec_swap_averages(devices.exec, err));
    evaluate_both(&cpu, &devices);
    assert_ok(bt_exec_swap_averages(cpu.exec, err));
    assert_ok(bt_exec_swap_averages(devices.exec, err));
    hand_over(devices.exec, cpu.exec, &cpu);
    step_both(&cpu, &devices, 3);
    hand_over(cpu.exec, devices.exec, &cpu);
    step_both(&cpu, &devices, 4);
    compare_engines(devices.exec, cpu.exec, &cpu);
    check_nonfinite(&devices);
    step_both(&cpu, &devices, 5);
    compare_engines(devices.exec, cpu.exec, &cpu);
    fixture_close(&devices);
    task_case_close(&the_case);
}

/* Dropout and all, from parts of another number of sequences than divides the batch. */
static void test_engines_agree_in_parts(void **state) {
    (void)state;
    fixture cpu;
    fixture devices;
    open_pair(&cpu, &devices, &(bt_exec_config){.part_seqs = 4});
    for (int64_t step = 0; step < 3; step++) {
        step_both(&cpu, &devices, step);
    }
    compare_engines(devices.exec, cpu.exec, &cpu);
    check_nonfinite(&devices);
    step_both(&cpu, &devices, 3);
    fixture_close(&devices);
    task_case_close(&the_case);
}

/* What a step gave, kept. */
typedef struct outcome {
    double  loss, norm;
    float   logits[FIXTURE_MAX_SEQS * 4];
    int32_t labels[FIXTURE_MAX_SEQS];
    int64_t n_tokens;
} outcome;

static void keep_outcome(outcome *out, const bt_step_result *result, const bt_batch *batch) {
    const int64_t n = bt_model_n_logits(the_case.f.model, batch);
    assert_true(n <= (int64_t)BT_ARRAY_LEN(out->logits));
    memset(out, 0, sizeof *out);
    out->loss = result->loss;
    out->norm = result->grad_norm;
    out->n_tokens = batch->n_tokens;
    memcpy(out->logits, result->logits, (size_t)n * sizeof *out->logits);
    memcpy(out->labels, batch->int_labels, (size_t)batch->n_seqs * sizeof *out->labels);
}

enum { N_AHEAD = 12 };

/* depth 1: each step ends before the next begins. Else the batch's memory is another's at once. */
static void make_steps(bt_exec *exec, int32_t depth, outcome *outcomes) {
    int64_t n_begun = 0;
    for (int64_t step = 0; step < N_AHEAD; step++) {
        const bt_batch *batch = NULL;
        bt_step_result  result;
        while (n_begun < N_AHEAD && n_begun - step < depth) {
            task_case_pack(&the_case, n_begun);
            assert_ok(bt_exec_train_begin(exec, &the_case.batch.batch, n_begun, 7, err));
            n_begun++;
        }
        if (depth > 1) {
            memset(&the_case.batch, 0, sizeof the_case.batch);
        }
        assert_ok(bt_exec_train_end(exec, &result, &batch, err));
        keep_outcome(&outcomes[step], &result, batch);
    }
}

/* As before the first step. */
static void start_again(void) {
    const fixture *const f = &the_case.f;
    for (int32_t i = 0; i < bt_optim_n_slots(f->optim); i++) {
        memset(settled(f->exec, bt_exec_slot(f->exec, i)), 0,
               (size_t)f->model->table.n_elements * sizeof(float));
    }
    fixture_load(&the_case.f, the_case.golden, "w/");
    assert_ok(bt_exec_changed(f->exec, err));
}

static void test_steps_ahead_are_the_same(void **state) {
    (void)state;
    static outcome  one[N_AHEAD];
    static outcome  ahead[N_AHEAD];
    const bt_batch *batch = NULL;
    bt_step_result  result;
    open_case("sentence_prediction_3class");
    assert_int_equal(bt_exec_train_depth(the_case.f.exec), 1);
    assert_fails(bt_exec_train_end(the_case.f.exec, &result, &batch, err), BT_E_INTERNAL,
                 "not begun");
    fixture_to_devices(&the_case.f, 1, &plain);
    bt_exec *const exec = the_case.f.exec;
    const int32_t  depth = bt_exec_train_depth(exec);
    assert_in_range(depth, 2, N_AHEAD - 1);
    assert_fails(bt_exec_train_end(exec, &result, &batch, err), BT_E_INTERNAL, "not begun");
    make_steps(exec, 1, one);
    start_again();
    make_steps(exec, depth, ahead);
    assert_memory_equal(one, ahead, sizeof one);
    assert_true(one[0].loss != one[N_AHEAD - 1].loss);
    for (int32_t i = 0; i < depth; i++) {
        task_case_pack(&the_case, i);
        assert_ok(bt_exec_train_begin(exec, &the_case.batch.batch, i, 7, err));
    }
    assert_fails(bt_exec_train_begin(exec, &the_case.batch.batch, depth, 7, err), BT_E_INTERNAL,
                 "under way");
    task_case_close(&the_case); /* with all that is under way */
}

/* For docs/devices.md: while the host begins a step, a device at depth 1 has nothing to do. */
static void test_time_between_steps(void **state) {
    (void)state;
    enum { N_STEPS = 400 };
    open_case("sentence_prediction_3class");
    fixture_to_devices(&the_case.f, 1, &plain);
    bt_exec *const exec = the_case.f.exec;
    const int32_t  depths[] = {1, bt_exec_train_depth(exec), 1, bt_exec_train_depth(exec)};
    for (size_t i = 0; i < BT_ARRAY_LEN(depths); i++) {
        double        in_begin = 0;
        int64_t       n_begun = 0;
        const double  start = bt_time_monotonic();
        const int32_t depth = depths[i];
        for (int64_t step = 0; step < N_STEPS; step++) {
            const bt_batch *batch = NULL;
            bt_step_result  result;
            for (; n_begun < N_STEPS && n_begun - step < depth; n_begun++) {
                const double before = bt_time_monotonic();
                assert_ok(bt_exec_train_begin(exec, &the_case.batch.batch, n_begun, 7, err));
                in_begin += bt_time_monotonic() - before;
            }
            assert_ok(bt_exec_train_end(exec, &result, &batch, err));
        }
        const double all = bt_time_monotonic() - start;
        print_message("%" PRId32 " under way: %.0f us a step, of which %.0f us to begin it\n",
                      depth, all / (double)N_STEPS * 1e6, in_begin / (double)N_STEPS * 1e6);
    }
    task_case_close(&the_case);
}

static void compare_two_replicas(const bt_exec_config *config) {
    open_case("sentence_prediction_3class");
    test_tensors *const golden =
        test_tensors_open(test_shared_path("goldens/numerics/tasks/two_replicas.safetensors"));
    const float *const losses = test_tensors_f32(golden, "replica_losses", NULL);
    fixture_to_replicas(&the_case.f, 2, config);
    for (int64_t step = 0; step < 5; step++) {
        bt_step_result result;
        const double   want = (double)(losses[2 * step] + losses[2 * step + 1]) / 2;
        task_case_pack(&the_case, step);
        assert_ok(
            bt_exec_train_step(the_case.f.exec, &the_case.batch.batch, step, 1, &result, err));
        test_close_f64(&result.loss, &want, 1, 1e-5, 1e-5, "mean of the replicas' losses");
        assert_int_equal(result.n_nonfinite, 0);
        if (step == 0 || step == 4) {
            task_compare_replicas(&the_case, golden, step + 1);
        }
    }
    test_tensors_close(golden);
    task_case_close(&the_case);
}

static void test_two_replicas_match(void **state) {
    (void)state;
    compare_two_replicas(&plain);
}

/* Each clips what its own parts add up to. */
static void test_two_replicas_in_parts_match(void **state) {
    (void)state;
    compare_two_replicas(&(bt_exec_config){.part_seqs = 4});
}

static json_t *unclipped(void) {
    return json_loads("{\"optimizer\": {\"type\": \"adam\", \"adam\": {}}}", 0, NULL);
}

/* The case's model and weights with an optimizer that does not clip, on this many devices; 0: on
 * the CPU engine. */
static void open_unclipped(fixture *f, int32_t n_replicas) {
    json_t *const adam = unclipped();
    fixture_open(f, &the_case.f.model->encoder, &the_case.f.model->head, adam, "ref", 1);
    json_decref(adam);
    fixture_load(f, the_case.golden, "w/");
    if (n_replicas > 0) {
        fixture_to_devices(f, n_replicas, &plain);
    }
}

/* The first n sequences of a batch, each with a weight. */
static bt_batch first_of(int64_t number, int64_t n) {
    static const float weights[FIXTURE_MAX_SEQS] = {1, 0.5F, 2, 0, 3, 0.25F};
    task_case_pack(&the_case, number);
    bt_batch batch = the_case.batch.batch;
    batch.n_seqs = n;
    batch.n_tokens = batch.offsets[n];
    batch.row_weights = weights;
    return batch;
}

static void compare_whole(const fixture *cpu, const fixture *devices, const bt_batch *batch,
                          int64_t step) {
    bt_step_result a;
    bt_step_result b;
    const size_t   n = (size_t)bt_model_n_logits(cpu->model, batch);
    assert_ok(bt_exec_train_step(cpu->exec, batch, step, 7, &a, err));
    assert_ok(bt_exec_train_step(devices->exec, batch, step, 7, &b, err));
    test_close_f64(&b.loss, &a.loss, 1, 1e-5, 1e-5, "loss of all shares");
    test_close_f32(b.logits, a.logits, n, 2e-5, 0, "logits of all shares");
    assert_ok(bt_exec_evaluate(cpu->exec, batch, &a, err));
    assert_ok(bt_exec_evaluate(devices->exec, batch, &b, err));
    test_close_f64(&b.loss, &a.loss, 1, 1e-5, 1e-5, "loss of an evaluation");
    test_close_f32(b.logits, a.logits, n, 2e-5, 0, "logits of an evaluation");
}

/* Where nobody clips, shares of other numbers of sequences and weights, or of none, are the whole
 * batch. */
static void compare_shares(int32_t n_devices, const int64_t batches[2][2]) {
    fixture cpu;
    fixture devices;
    open_case("sentence_prediction_3class");
    open_unclipped(&cpu, 0);
    open_unclipped(&devices, n_devices);
    for (int64_t step = 0; step < 2; step++) {
        const bt_batch batch = first_of(batches[step][0], batches[step][1]);
        compare_whole(&cpu, &devices, &batch, step);
    }
    compare_engines(devices.exec, cpu.exec, &cpu);
    fixture_close(&cpu);
    fixture_close(&devices);
    task_case_close(&the_case);
}

/* Batches whose shares have one shape, so that one program is compiled. */
static void test_two_shares_are_the_whole(void **state) {
    (void)state;
    compare_shares(2, (const int64_t[2][2]){{1, 4}, {2, 3}});
}

static void test_four_shares_are_the_whole(void **state) {
    (void)state;
    compare_shares(4, (const int64_t[2][2]){{3, 5}, {0, 3}});
}

/* The mean of both halves' gradients, each over its own pairs. */
static void mean_of_halves(const fixture *cpu, const bt_batch *whole, double *loss, float *mean) {
    const int64_t n = whole->n_seqs / 2;
    *loss = 0;
    for (int half = 0; half < 2; half++) {
        bt_step_result result;
        int64_t        offsets[FIXTURE_MAX_SEQS + 1];
        const int64_t  first = whole->offsets[half * n];
        bt_batch       batch = *whole;
        for (int64_t b = 0; b <= n; b++) {
            offsets[b] = whole->offsets[half * n + b] - first;
        }
        batch.n_seqs = n;
        batch.n_tokens = offsets[n];
        batch.offsets = offsets;
        batch.ids += first;
        batch.types += first;
        batch.positions += first;
        assert_ok(bt_exec_gradients(cpu->exec, &batch, 0, 7, &result, err));
        *loss += result.loss / 2;
        for (int64_t i = 0; i < cpu->model->table.n_elements; i++) {
            mean[i] += bt_exec_gradient(cpu->exec)[i] / 2;
        }
    }
}

/* Scores of pairs in one share are those of the whole batch; others were not made. */
static void compare_scores(const float *got, const float *all, int64_t n_pairs) {
    for (int64_t i = 0; i < n_pairs * n_pairs; i++) {
        const bool  of_one_share = i / n_pairs / (n_pairs / 2) == i % n_pairs / (n_pairs / 2);
        const float want = of_one_share ? all[i] : -FLT_MAX;
        test_close_f32(&got[i], &want, 1, 2e-5, 0, "score of a pair");
    }
}

static void test_pairs_of_a_share_count_alone(void **state) {
    (void)state;
    fixture        cpu;
    fixture        devices;
    bt_step_result all;
    bt_step_result result;
    double         loss = 0;
    open_case("dual_encoder");
    open_unclipped(&cpu, 0);
    open_unclipped(&devices, 2);
    bt_batch batch = the_case.batch.batch; /* of 7 pairs */
    batch.n_seqs = 12;
    batch.n_tokens = batch.offsets[12];
    const size_t n = (size_t)cpu.model->table.n_elements;
    float *const mean = bt_calloc_array(n, sizeof *mean);
    assert_non_null(mean);
    mean_of_halves(&cpu, &batch, &loss, mean);
    assert_ok(bt_exec_train_step(devices.exec, &batch, 0, 7, &result, err));
    test_close_f64(&result.loss, &loss, 1, 1e-5, 1e-5, "mean loss of the shares");
    assert_ok(bt_exec_gradients(cpu.exec, &batch, 0, 7, &all, err));
    compare_scores(result.logits, all.logits, batch.n_seqs / 2);
    for (size_t i = 0; i < n; i++) {
        mean[i] *= 0.1F; /* the first moment after one step */
    }
    compare_flat(cpu.model, settled(devices.exec, bt_exec_slot(devices.exec, 0)), mean, 1e-6,
                 "first moment");
    assert_fails(bt_exec_train_step(devices.exec, &the_case.batch.batch, 1, 7, &result, err),
                 BT_E_CONFIG, "7 pairs has no equal shares");
    bt_free(mean);
    fixture_close(&cpu);
    fixture_close(&devices);
    task_case_close(&the_case);
}

enum { PLANNED_SEQS = 32, PLANNED_LENGTH = 64 };

/* What the compiler says of the step that the plan is for. */
static bt_pjrt_memory compiled_memory(const fixture *f, const bt_exec_config *config) {
    const bt_exec_devices         devices = devices_of_test(1);
    const bt_hlo_config           step = {.what = BT_HLO_TRAIN,
                                          .n_rows = PLANNED_SEQS / 2,
                                          .n_slots = 2 * PLANNED_LENGTH,
                                          .n_seqs = PLANNED_SEQS,
                                          .precision = config->precision,
                                          .has_labels = true,
                                          .recompute = config->recompute,
                                          .n_replicas = 1};
    const bt_pjrt_compile_options options = {
        .n_replicas = 1, .flags = devices.flags, .n_flags = devices.n_flags};
    bt_hlo_program  *program = NULL;
    bt_pjrt_program *compiled = NULL;
    bt_pjrt_memory   memory;
    assert_ok(bt_hlo_program_create(f->model, f->optim, &step, &program, err));
    assert_ok(bt_pjrt_compile(test_pjrt_client(), program->text, program->n_bytes, &options,
                              &compiled, err));
    assert_ok(bt_pjrt_program_memory(compiled, &memory, err));
    bt_pjrt_program_free(compiled);
    bt_hlo_program_free(program);
    return memory;
}

/* The estimate before a step, and what a compiler made of the step. */
static void test_memory_is_as_planned(void **state) {
    (void)state;
    static const bt_exec_config configs[] = {{.precision = BT_PRECISION_F32},
                                             {.precision = BT_PRECISION_F32, .recompute = true}};
    const bt_head_config        head = {
               .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3};
    bt_encoder_config encoder = fixture_encoder();
    json_t *const     adam = unclipped();
    encoder.hidden_size = encoder.embedding_size = 128;
    encoder.intermediate_size = 512;
    encoder.num_layers = 6;
    encoder.max_position_embeddings = PLANNED_LENGTH;
    for (size_t i = 0; i < BT_ARRAY_LEN(configs); i++) {
        fixture f;
        fixture_open(&f, &encoder, &head, adam, "ref", 1);
        fixture_to_devices(&f, 1, &configs[i]);
        const bt_exec_memory plan = bt_exec_plan_memory(f.exec, PLANNED_SEQS, PLANNED_LENGTH);
        const bt_pjrt_memory m = compiled_memory(&f, &configs[i]);
        const double         step = (double)(plan.activations + plan.scratch + plan.gradients);
        const double         kept = (double)(plan.variables + plan.slots);
        print_message("planned %.1f MB beside the state, compiled %.1f; state %.2f, arguments "
                      "%.2f\n",
                      step / 1e6, (double)m.temporary_bytes / 1e6, kept / 1e6,
                      (double)m.argument_bytes / 1e6);
        assert_true(step > (double)m.temporary_bytes / 1.5 &&
                    step < (double)m.temporary_bytes * 1.5);
        assert_true(kept > (double)m.argument_bytes * 0.9 && kept < (double)m.argument_bytes * 1.1);
        fixture_close(&f);
    }
    json_decref(adam);
}

static void test_what_is_not_offered_is_refused(void **state) {
    (void)state;
    open_case("own_classes");
    const fixture *const f = &the_case.f;
    bt_exec             *exec = NULL;
    bt_exec_devices      devices = devices_of_test(TEST_PJRT_N_DEVICES + 1);
    assert_fails(bt_exec_create_pjrt(f->model, f->optim, &plain, &devices, &exec, err),
                 BT_E_BACKEND, "devices are requested");
    devices = (bt_exec_devices){.plugin = "/nonexistent/plugin.so"};
    assert_fails(bt_exec_create_pjrt(f->model, f->optim, &plain, &devices, &exec, err),
                 BT_E_BACKEND, "/nonexistent/plugin.so: no such file");
    task_case_close(&the_case);
}

/* What does not add up over the parts of a batch. */
static void refuse_parts(const char *name, bool clips, bool all_pairs, const char *words) {
    static const char    optimizer[] = "{\"optimizer\": {\"type\": \"adam\", \"adam\": "
                                       "{\"clipvalue\": 0.5}}}";
    const bt_exec_config config = {.part_seqs = 2};
    bt_exec_devices      devices = devices_of_test(1);
    bt_exec             *exec = NULL;
    open_case(name);
    fixture *const f = &the_case.f;
    fixture        clipping = {0};
    json_t *const  json = json_loads(optimizer, 0, NULL);
    if (clips) {
        fixture_open(&clipping, &f->model->encoder, &f->model->head, json, "ref", 1);
    }
    if (all_pairs) {
        f->model->head.loss = BT_LOSS_MSE_ALL_PAIRS;
    }
    assert_fails(bt_exec_create_pjrt(f->model, clips ? clipping.optim : f->optim, &config, &devices,
                                     &exec, err),
                 BT_E_UNSUPPORTED, words);
    if (clips) {
        fixture_close(&clipping);
    }
    json_decref(json);
    task_case_close(&the_case);
}

static void test_parts_that_do_not_add_up_are_refused(void **state) {
    (void)state;
    refuse_parts("own_classes", true, false, "gradient_accumulation_steps: clipvalue");
    refuse_parts("own_pairs", false, false, "each pair");
    refuse_parts("own_classes", false, true, "all pairs");
}

/* One of these, or a golden. */
static int run_case(const char *name) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoders_match),
        cmocka_unit_test(test_engines_agree),
        cmocka_unit_test(test_engines_agree_in_parts),
        cmocka_unit_test(test_steps_ahead_are_the_same),
        cmocka_unit_test(test_time_between_steps),
        cmocka_unit_test(test_two_replicas_match),
        cmocka_unit_test(test_two_replicas_in_parts_match),
        cmocka_unit_test(test_two_shares_are_the_whole),
        cmocka_unit_test(test_four_shares_are_the_whole),
        cmocka_unit_test(test_pairs_of_a_share_count_alone),
        cmocka_unit_test(test_memory_is_as_planned),
        cmocka_unit_test(test_what_is_not_offered_is_refused),
        cmocka_unit_test(test_parts_that_do_not_add_up_are_refused),
    };
    struct CMUnitTest one[] = {cmocka_unit_test(test_golden_matches)};
    case_name = name;
    for (size_t k = 0; k < BT_ARRAY_LEN(tests); k++) {
        const char *const function = tests[k].name + strlen("test_");
        one[0] = strcmp(function, name) == 0 ? tests[k] : one[0];
    }
    return cmocka_run_group_tests_name(name, one, NULL, NULL);
}

int main(int argc, char **argv) {
    return test_pjrt_cases(argc, argv, run_case);
}
