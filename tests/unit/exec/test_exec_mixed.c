/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixed precision against the real Model Garden under its mixed policies, with every product kernel
 * of every instruction set of this machine, and these against each other. Model Garden rounds every
 * activation as well. Where there is a float32 golden of the same seed, both must be as near to it
 * as Model Garden is by tests/goldens/model_garden/numerics/MANIFEST.md, hence to each other
 * within twice that. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exec_cpu_internal.h"
#include "task_goldens.h"

enum { MAX_PARAMS = 1 << 16, MAX_LOGITS = 64, MAX_STEPS = 8 };

typedef struct tolerances {
    double logits, losses, gradients, variables; /* gradients: and first moments */
} tolerances;

typedef struct golden_row {
    const char  *path;
    const char  *plain; /* path of the float32 golden of the same seed, or NULL */
    bool         own;
    bt_precision precision;
    int64_t      n_batches;
    tolerances   tol; /* of the one against the plain golden, else against its own */
} golden_row;

static const golden_row golden_rows[] = {
    /* a sign of a gradient may flip: the variables' tolerance is the sum of the rates; the first
     * two are outside the repository */
    {"goldens/numerics/mixed_precision/sentence_prediction_mixed_bfloat16",
     "goldens/numerics/tasks/sentence_prediction_3class",
     false,
     BT_PRECISION_BF16,
     4,
     {2.7e-2, 7e-3, 1.2e-2, 2.1e-3}},
    /* not clipped, so that the trajectory leaves that of float32 */
    {"goldens/numerics/mixed_precision/sentence_prediction_mixed_float16",
     "goldens/numerics/tasks/sentence_prediction_3class",
     false,
     BT_PRECISION_F16,
     4,
     {4.9e-3, 1.4e-2, 1.5e-3, 2.1e-3}},
    {"goldens/numerics/mixed_precision/sentence_prediction_mixed_bfloat16",
     NULL,
     false,
     BT_PRECISION_BF16,
     4,
     {8e-2, 1.4e-2, 3e-2, 2.1e-3}},
    {"goldens/numerics/mixed_precision/sentence_prediction_mixed_float16",
     NULL,
     false,
     BT_PRECISION_F16,
     4,
     {1e-2, 2e-3, 6e-3, 2.1e-3}},
    {"tests/goldens/engine/classes_bfloat16",
     NULL,
     true,
     BT_PRECISION_BF16,
     2,
     {4e-2, 2e-2, 6e-2, 4e-3}},
    {"tests/goldens/engine/classes_float16",
     NULL,
     true,
     BT_PRECISION_F16,
     2,
     {4e-3, 2e-3, 6e-3, 4e-3}},
    {"tests/goldens/engine/classes_float16_fixed",
     NULL,
     true,
     BT_PRECISION_F16,
     2,
     {4e-3, 2e-3, 6e-3, 4e-3}},
};

/* Two engines that differ in the kernel of a product: a factor on the edge between two numbers of
 * the precision may fall to either side, so what comes of it differs by one digit of a few terms.
 * Stated in docs/numerics.md. */
static const struct {
    double logits, gradients;
} portable[] = {[BT_PRECISION_BF16] = {1e-2, 5e-3}, [BT_PRECISION_F16] = {2e-3, 1e-3}};

typedef struct golden_case {
    const golden_row *row;
    test_tensors     *tensors;
    test_tensors     *plain; /* NULL: there is none */
    json_t           *config;
    bt_encoder_config encoder;
    bt_head_config    head;
    int64_t           B, S;
} golden_case;

static bool golden_open(golden_case *c, const golden_row *row) {
    const char *const found = row->own             ? test_source_path(row->path)
                              : row->plain != NULL ? test_outside_path(row->path)
                                                   : test_shared_path(row->path);
    char              path[TEST_PATH_MAX + 16];
    if (found == NULL) {
        return false;
    }
    *c = (golden_case){
        .row = row,
        .head = {.kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 3}};
    (void)snprintf(path, sizeof path, "%s.safetensors", found);
    c->tensors = test_tensors_open(path);
    (void)snprintf(path, sizeof path, "%s.json", found);
    c->config = test_read_json(path);
    c->encoder = task_read_encoder(c->config);
    if (row->plain != NULL) {
        (void)snprintf(path, sizeof path, "%s.safetensors", test_outside_path(row->plain));
        c->plain = test_tensors_open(path);
    }
    c->B = json_integer_value(json_object_get(c->config, "batch"));
    c->S = json_integer_value(json_object_get(c->config, "seq"));
    return true;
}

static void golden_close(golden_case *c) {
    test_tensors_close(c->tensors);
    if (c->plain != NULL) {
        test_tensors_close(c->plain);
    }
    json_decref(c->config);
}

static void pack_batch(const golden_case *c, int64_t k, fixture_batch *out) {
    char           name[64];
    const int32_t *columns[4];
    const char    *names[4] = {"input_word_ids", "input_mask", "input_type_ids", "label_ids"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "batch%" PRId64 "/%s", k, names[i]);
        columns[i] = test_tensors_i32(c->tensors, name, NULL);
    }
    fixture_pack(out, columns[0], columns[1], columns[2], c->B, c->S, true);
    memcpy(out->int_labels, columns[3], (size_t)c->B * sizeof *out->int_labels);
    out->batch.int_labels = out->int_labels;
}

/* An engine that multiplies with `product`; NULL: with the one that the precision chooses. */
static void open_engine(fixture *f, const golden_case *c, bt_precision precision, const char *isa,
                        const bt_kern_product *product, bool with_optim) {
    json_t *const optimizer = with_optim ? json_object_get(c->config, "optimizer") : NULL;
    json_t *const scale = json_object_get(c->config, "loss_scale"); /* a number, or "dynamic" */
    fixture_open(f, &c->encoder, &c->head, optimizer, isa, 2);
    fixture_in_precision(f, optimizer, isa, precision,
                         json_is_number(scale) ? json_number_value(scale) : 0);
    if (product != NULL) {
        exec_cpu_of(f->exec)->nn.product = product;
    }
    fixture_load(f, c->tensors, "w/");
}

/* Against the golden and, where there is one, that of float32; their distance is tol at most. */
static void compare(const golden_case *c, const char *name, const float *got, size_t n,
                    double tol) {
    char   what[1024];
    size_t n_wanted = 0;
    (void)snprintf(what, sizeof what, "%s: %s", c->row->path, name);
    if (c->plain != NULL) {
        test_close_f32(got, test_tensors_f32(c->plain, name, NULL), n, tol, 0, what);
        tol *= 2;
    }
    const float *const want = test_tensors_f32(c->tensors, name, &n_wanted);
    assert_true(n <= n_wanted);
    test_close_f32(got, want, n, tol, 0, what);
}

/* The key's bias has no gradient but rounding noise, so Adam moves it either way. */
static void compare_params(const fixture *f, const golden_case *c, const char *prefix,
                           const float *flat, double tol) {
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        const bool            noise = strstr(param->name, "self_attention/key/bias") != NULL;
        char                  name[512];
        (void)snprintf(name, sizeof name, "%s%s", prefix, param->tf_name);
        if (param->has_gradient) {
            compare(c, name, flat + param->offset, (size_t)param->n_elements,
                    noise ? 2 * tol : tol);
        }
    }
}

/* What one engine gives for the first batch. */
typedef struct outcome {
    float logits[MAX_LOGITS];
    float gradients[MAX_PARAMS];
} outcome;

static void run_gradients(const golden_case *c, bt_precision precision, const char *isa,
                          const bt_kern_product *product, outcome *out) {
    static fixture_batch batch;
    fixture              f;
    bt_step_result       result;
    open_engine(&f, c, precision, isa, product, false);
    pack_batch(c, 0, &batch);
    assert_ok(bt_exec_gradients(f.exec, &batch.batch, 0, 1, &result, err));
    assert_true(f.model->table.n_elements <= MAX_PARAMS);
    memset(out, 0, sizeof *out);
    memcpy(out->logits, result.logits, (size_t)(3 * c->B) * sizeof *out->logits);
    bt_exec_copy(f.exec, out->gradients, settled(f.exec, bt_exec_gradient(f.exec)));
    if (precision != BT_PRECISION_F32) {
        const float loss = (float)result.loss;
        compare(c, "loss", &loss, 1, c->row->tol.losses);
        compare(c, "out/logits", out->logits, (size_t)(3 * c->B), c->row->tol.logits);
        compare_params(&f, c, "grad/", out->gradients, c->row->tol.gradients);
    }
    fixture_close(&f);
}

/* Adam's first moment tells whether the gradient was clipped, which the update itself hardly does.
 */
static void compare_moments(const fixture *f, const golden_case *c, int64_t n_steps) {
    const float *const flat = settled(f->exec, bt_exec_slot(f->exec, 0));
    for (int64_t i = 0; i < f->model->table.n_params; i++) {
        const bt_param *const param = &f->model->table.params[i];
        char                  name[512];
        (void)snprintf(name, sizeof name, "step%" PRId64 "/m/%s", n_steps, param->tf_name);
        if (param->has_gradient && test_tensors_has(c->tensors, name)) {
            test_close_f32(flat + param->offset, test_tensors_f32(c->tensors, name, NULL),
                           (size_t)param->n_elements, c->row->tol.gradients, 0, name);
        }
    }
}

/* The scale after the step; goldens of our own have it. */
static void compare_scale(const fixture *f, const golden_case *c, int64_t step) {
    if (test_tensors_has(c->tensors, "loss_scales")) {
        const float  wanted = test_tensors_f32(c->tensors, "loss_scales", NULL)[step];
        const double got = bt_exec_get_loss_scale(f->exec).factor;
        test_close_f64(&got, &(const double){(double)wanted}, 1, 0, 0, "loss scale");
    }
}

static void run_steps(const golden_case *c, const char *isa, const bt_kern_product *product) {
    static fixture_batch batch;
    fixture              f;
    char                 prefix[32];
    float                losses[MAX_STEPS];
    const int64_t        n_steps = json_integer_value(json_object_get(c->config, "steps"));
    assert_true(n_steps <= MAX_STEPS);
    open_engine(&f, c, c->row->precision, isa, product, true);
    for (int64_t step = 0; step < n_steps; step++) {
        bt_step_result result;
        pack_batch(c, step % c->row->n_batches, &batch);
        assert_ok(bt_exec_train_step(f.exec, &batch.batch, step, 1, &result, err));
        losses[step] = (float)result.loss;
        compare_scale(&f, c, step);
        compare_moments(&f, c, step + 1);
    }
    compare(c, "losses", losses, (size_t)n_steps, c->row->tol.losses);
    (void)snprintf(prefix, sizeof prefix, "step%" PRId64 "/var/", n_steps);
    compare_params(&f, c, prefix, settled(f.exec, bt_exec_params(f.exec)), c->row->tol.variables);
    fixture_close(&f);
}

static double largest_difference(const float *a, const float *b, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double apart = fabs((double)a[i] - (double)b[i]);
        largest = apart > largest ? apart : largest; /* gcc 12.2 for ARM dies of fmax here */
    }
    return largest;
}

/* The products are rounded at all: float32 gives other numbers. */
static void check_is_rounded(const golden_case *c, const outcome *rounded) {
    static outcome plain;
    run_gradients(c, BT_PRECISION_F32, "ref", NULL, &plain);
    const double far = c->row->precision == BT_PRECISION_BF16 ? 1e-3 : 1e-4;
    assert_true(largest_difference(plain.logits, rounded->logits, MAX_LOGITS) > far / 2);
    assert_true(largest_difference(plain.gradients, rounded->gradients, MAX_PARAMS) > far / 2);
}

static void check_variant(const golden_case *c, const char *isa, const bt_kern_product *product,
                          const outcome *first) {
    static outcome other;
    char           what[256];
    run_gradients(c, c->row->precision, isa, product, &other);
    run_steps(c, isa, product);
    (void)snprintf(what, sizeof what, "%s with %s against ref", isa,
                   product != NULL ? product->name : "its own");
    test_close_f32(other.logits, first->logits, MAX_LOGITS, portable[c->row->precision].logits, 0,
                   what);
    test_close_f32(other.gradients, first->gradients, MAX_PARAMS,
                   portable[c->row->precision].gradients, 0, what);
}

static void run_isa(const golden_case *c, const char *isa, const outcome *first) {
    bt_kern         kern;
    bt_kern_product product;
    assert_ok(bt_kern_select(isa, &kern, err));
    check_variant(c, isa, NULL, first);
    for (int i = 0;
         c->row->precision == BT_PRECISION_BF16 && bt_kern_bf16_variant(&kern, i, &product); i++) {
        check_variant(c, isa, &product, first);
    }
}

static void run_rows(bool own) {
    static outcome first;
    for (size_t i = 0; i < BT_ARRAY_LEN(golden_rows); i++) {
        golden_case c;
        if (golden_rows[i].own != own) {
            continue;
        }
        if (!golden_open(&c, &golden_rows[i])) {
            continue; /* an extra that a clone lacks */
        }
        run_gradients(&c, c.row->precision, "ref", NULL, &first);
        check_is_rounded(&c, &first);
        for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
            run_isa(&c, *isa, &first);
        }
        golden_close(&c);
    }
}

static void test_own_goldens_match(void **state) {
    (void)state;
    run_rows(true);
}

static void test_shared_goldens_match(void **state) {
    (void)state;
    run_rows(false);
}

/* A head so steep that gradients overflow: the same updates are skipped, with the same scales. */
static void test_overflow_skips_updates(void **state) {
    (void)state;
    static const golden_row row = {"tests/goldens/engine/classes_float16_overflow",
                                   NULL,
                                   true,
                                   BT_PRECISION_F16,
                                   2,
                                   {1e-2, 1e-2, 5e-2, 4e-3}};
    golden_case             c;
    assert_true(golden_open(&c, &row));
    for (const char *const *isa = fixture_isas(); *isa != NULL; isa++) {
        run_steps(&c, *isa, NULL);
    }
    golden_close(&c);
}

/* What an update that overflows leaves: everything but the scale; and that it is told. */
static void test_skipped_step_changes_nothing(void **state) {
    (void)state;
    static float            before[MAX_PARAMS];
    static fixture_batch    batch;
    golden_case             c;
    fixture                 f;
    bt_step_result          result;
    static const golden_row row = {
        "tests/goldens/engine/classes_float16", NULL, true, BT_PRECISION_F16, 2, {0, 0, 0, 0}};
    assert_true(golden_open(&c, &row));
    open_engine(&f, &c, BT_PRECISION_F16, "auto", NULL, true);
    const size_t bytes = (size_t)f.model->table.n_elements * sizeof *before;
    pack_batch(&c, 0, &batch);
    bt_exec_copy(f.exec, before, settled(f.exec, bt_exec_params(f.exec)));
    bt_exec_set_loss_scale(f.exec, (bt_loss_scale){.factor = 0x1p40, .n_good = 7});
    assert_ok(bt_exec_train_step(f.exec, &batch.batch, 0, 1, &result, err));
    assert_true(result.is_skipped && result.n_nonfinite > 0);
    assert_memory_equal(settled(f.exec, bt_exec_params(f.exec)), before, bytes);
    assert_true(bt_exec_get_loss_scale(f.exec).factor == 0x1p39);
    assert_int_equal(bt_exec_get_loss_scale(f.exec).n_good, 0);
    bt_exec_set_loss_scale(f.exec, (bt_loss_scale){.factor = 0x1p15, .n_good = 1998});
    for (int64_t step = 1; step < 3; step++) {
        assert_ok(bt_exec_train_step(f.exec, &batch.batch, step, 1, &result, err));
        assert_true(!result.is_skipped && result.n_nonfinite == 0);
    }
    assert_true(bt_exec_get_loss_scale(f.exec).factor == 0x1p16); /* 2000 good ones */
    assert_int_equal(bt_exec_get_loss_scale(f.exec).n_good, 0);
    fixture_close(&f);
    golden_close(&c);
}

/* The bounds of the scale, and where there is none. */
static void test_scale_has_bounds(void **state) {
    (void)state;
    exec_scale scale;
    exec_scale_init(&scale, BT_PRECISION_F16, 0);
    scale.now = (bt_loss_scale){.factor = 1.5};
    assert_true(exec_scale_update(&scale, false));
    assert_true(scale.now.factor == 1);
    assert_false(exec_scale_update(&scale, false)); /* no scale is at fault: the run must stop */
    assert_true(scale.now.factor == 1);
    scale.now = (bt_loss_scale){.factor = 0x1p127, .n_good = 1999};
    assert_false(exec_scale_update(&scale, true));
    assert_true(scale.now.factor == 0x1p127 && scale.now.n_good == 0);
    exec_scale_init(&scale, BT_PRECISION_F16, 1000);
    assert_false(exec_scale_update(&scale, false));
    assert_true(scale.now.factor == 1000);
    exec_scale_init(&scale, BT_PRECISION_BF16, 1000);
    assert_true(scale.now.factor == 1);
}

/* Waiting rows, parts of a batch and clipping by value see unscaled gradients too. */
static void test_gradients_are_unscaled_everywhere(void **state) {
    (void)state;
    static const double     scales[] = {1, 1024};
    static float            got[2][MAX_PARAMS];
    static const golden_row row = {
        "tests/goldens/engine/classes_float16", NULL, true, BT_PRECISION_F16, 2, {0, 0, 0, 0}};
    for (int clips = 0; clips < 2; clips++) {
        golden_case c;
        assert_true(golden_open(&c, &row));
        if (clips == 1) {
            json_t *const optimizer = json_object_get(
                json_object_get(json_object_get(c.config, "optimizer"), "optimizer"), "adamw");
            assert_int_equal(json_object_set_new(optimizer, "clipvalue", json_real(0.01)), 0);
        }
        for (int i = 0; i < 2; i++) {
            static fixture_batch batch;
            fixture              f;
            bt_step_result       result;
            assert_int_equal(json_object_set_new(c.config, "loss_scale", json_real(scales[i])), 0);
            open_engine(&f, &c, BT_PRECISION_F16, "auto", NULL, true);
            for (int64_t step = 0; step < 4; step++) {
                pack_batch(&c, step % 2, &batch);
                assert_ok(bt_exec_train_step(f.exec, &batch.batch, step, 1, &result, err));
            }
            bt_exec_copy(f.exec, got[i], settled(f.exec, bt_exec_slot(f.exec, 1)));
            fixture_close(&f);
        }
        /* subnormal float16s are rounded more coarsely without a scale */
        test_close_f32(got[1], got[0], MAX_PARAMS, 1e-5, 1e-2, "v");
        golden_close(&c);
    }
}

/* BLAS knows one precision. */
static void test_blas_is_refused(void **state) {
    (void)state;
    const bt_encoder_config e = fixture_encoder();
    const bt_head_config    head = {
           .kind = BT_HEAD_POOLER_DENSE, .loss = BT_LOSS_SOFTMAX, .num_classes = 2};
    const bt_exec_config config = {
        .n_threads = 1, .use_blas = true, .precision = BT_PRECISION_BF16};
    bt_model *model = NULL;
    bt_exec  *exec = NULL;
    assert_ok(bt_model_create(&e, &head, &model, err));
    assert_fails(bt_exec_create_cpu(model, NULL, &config, &exec, err), BT_E_CONFIG,
                 "multiplies in float32 only");
    assert_null(exec);
    bt_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_goldens_match),
        cmocka_unit_test(test_shared_goldens_match),
        cmocka_unit_test(test_overflow_skips_updates),
        cmocka_unit_test(test_skipped_step_changes_nothing),
        cmocka_unit_test(test_scale_has_bounds),
        cmocka_unit_test(test_gradients_are_unscaled_everywhere),
        cmocka_unit_test(test_blas_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
