/* SPDX-License-Identifier: Apache-2.0
 *
 * Training programs compiled for GPUs and TPUs that are not here, with the plug-ins of
 * tools/get_pjrt.sh where they were fetched: a small one on two replicas; with BT_LONG_TESTS=1
 * BERT-base, whose temporary memory is held to what docs/devices.md says. Nothing of results or
 * speed. And, with BT_LONG_TESTS=1, how long BERT-base takes to compile for processors.
 * usage: test_hlo_ahead cuda|tpu|cpu [ROW [TARGET]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bt/base/alloc.h"
#include "bt/hlo.h"
#include "bt/pjrt.h"
#include "test_pjrt_run.h"

static bt_pjrt_plugin *plugin;
static const char     *target_name;
static const char     *only; /* the row of that name; NULL: all */

typedef struct step_row {
    const char  *what;
    int64_t      H, L, NH, n_rows, n_slots;
    bool         recompute;
    int32_t      n_replicas;
    double       temporary_bytes; /* at most */
    bool         is_long;
    bt_attention attention;
} step_row;

static const step_row gpu_rows[] = {
    {"small", 32, 2, 4, 4, 128, false, 2, 64e6, false, BT_ATTENTION_XLA},
    {"small, kernels", 64, 2, 1, 4, 72, false, 2, 64e6, false, BT_ATTENTION_TRITON},
    {"small, cuDNN", 64, 2, 1, 4, 72, false, 1, 64e6, true, BT_ATTENTION_CUDNN},
    {"BERT-base", 768, 12, 12, 128, 128, false, 1, 6e9, true, BT_ATTENTION_XLA},
    {"BERT-base, recomputed", 768, 12, 12, 128, 128, true, 1, 2e9, true, BT_ATTENTION_XLA},
    {"BERT-base, kernels", 768, 12, 12, 128, 128, false, 1, 6e9, true, BT_ATTENTION_TRITON},
    {"BERT-base, kernels, recomputed", 768, 12, 12, 128, 128, true, 1, 2e9, true,
     BT_ATTENTION_TRITON},
    {"BERT-base, cuDNN", 768, 12, 12, 128, 128, false, 1, 6e9, true, BT_ATTENTION_CUDNN},
    {"SQuAD", 768, 12, 12, 16, 768, false, 1, 6e9, true, BT_ATTENTION_XLA},
    {"SQuAD, kernels", 768, 12, 12, 16, 768, false, 1, 4e9, true, BT_ATTENTION_TRITON},
};
static const step_row tpu_rows[] = {
    {"small", 32, 2, 4, 4, 128, false, 2, 64e6, false, BT_ATTENTION_XLA},
    {"BERT-base", 768, 12, 12, 32, 128, false, 1, 2e9, true, BT_ATTENTION_XLA},
};

static const step_row cpu_row = {"BERT-base",     768, 12, 12, 4, 128, false, 1, 2e9, true,
                                 BT_ATTENTION_XLA};
static const double   cpu_seconds = 20;

static bool is_long(void) {
    const char *const value = getenv("BT_LONG_TESTS");
    return value != NULL && strcmp(value, "1") == 0;
}

static bt_hlo_program *make_step(const step_row *row) {
    const bt_encoder_config encoder = {.vocab_size = row->is_long ? 30522 : 200,
                                       .hidden_size = row->H,
                                       .embedding_size = row->H,
                                       .num_layers = row->L,
                                       .num_attention_heads = row->NH,
                                       .intermediate_size = 4 * row->H,
                                       .max_position_embeddings = 512,
                                       .type_vocab_size = 2,
                                       .dropout_rate = 0.1F,
                                       .attention_dropout_rate =
                                           row->attention == BT_ATTENTION_CUDNN ? 0 : 0.1F,
                                       .initializer_range = 0.02F};
    const bt_head_config    head = {.kind = BT_HEAD_POOLER_DENSE,
                                    .loss = BT_LOSS_SOFTMAX,
                                    .num_classes = 3,
                                    .dropout_rate = 0.1F};
    const bt_hlo_config     config = {.what = BT_HLO_TRAIN,
                                      .n_rows = row->n_rows,
                                      .n_slots = row->n_slots,
                                      .n_seqs = 2 * row->n_rows,
                                      .n_longest = 384,
                                      .precision =
                                      row == &cpu_row ? BT_PRECISION_F32 : BT_PRECISION_BF16,
                                      .recompute = row->recompute,
                                      .attention = row->attention,
                                      .n_replicas = row->n_replicas};
    const bt_conf_args      args = {.experiment = "bert/sentence_prediction"};
    const bt_optim_derived  derived = {.train_steps = 30, .warmup_steps = 5};
    bt_conf_errors          errors = BT_CONF_ERRORS_INIT;
    bt_conf                *conf = NULL;
    bt_model               *model = NULL;
    bt_optim               *optim = NULL;
    bt_hlo_program         *program = NULL;
    assert_ok(bt_conf_build(&args, &conf, &errors, err));
    assert_ok(bt_model_create(&encoder, &head, &model, err));
    assert_ok(bt_optim_create(conf, &derived, &model->table, &optim, err));
    assert_ok(bt_hlo_program_create(model, optim, &config, &program, err));
    bt_optim_free(optim);
    bt_model_free(model);
    bt_conf_errors_deinit(&errors);
    bt_conf_free(conf);
    return program;
}

static void compile_step(const step_row *row) {
    const bt_pjrt_compile_options options = {.n_replicas = row->n_replicas};
    bt_hlo_program *const         step = make_step(row);
    bt_pjrt_target                target;
    bt_pjrt_topology             *topology = NULL;
    bt_pjrt_program              *program = NULL;
    bt_pjrt_memory                memory;
    assert_ok(bt_pjrt_target_parse(target_name, &target, err));
    assert_ok(bt_pjrt_topology_create(plugin, &target, &topology, err));
    assert_ok(bt_pjrt_compile_ahead(topology, step->text, step->n_bytes, &options, &program, err));
    assert_ok(bt_pjrt_program_memory(program, &memory, err));
    print_message("%s for %s: compiled in %.1f s; %lld bytes of arguments, %lld donated, %lld "
                  "temporary; %.1f GFLOP\n",
                  row->what, target_name, bt_pjrt_program_seconds(program),
                  (long long)memory.argument_bytes, (long long)memory.donated_bytes,
                  (long long)memory.temporary_bytes, step->product_flops / 1e9);
    assert_true((double)memory.temporary_bytes <= row->temporary_bytes);
    assert_true(memory.donated_bytes > memory.argument_bytes / 2); /* all of the state */
    bt_pjrt_program_free(program);
    bt_pjrt_topology_free(topology);
    bt_pjrt_target_deinit(&target);
    bt_hlo_program_free(step);
}

static void compile_all(const step_row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (only != NULL ? strcmp(only, rows[i].what) == 0 : !rows[i].is_long || is_long()) {
            compile_step(&rows[i]);
        }
    }
}

static void test_steps_compile_for_gpus(void **state) {
    (void)state;
    target_name = target_name != NULL ? target_name : "h100:2";
    compile_all(gpu_rows, BT_ARRAY_LEN(gpu_rows));
}

static void test_steps_compile_for_tpus(void **state) {
    (void)state;
    target_name = target_name != NULL ? target_name : "v5e:2x2";
    compile_all(tpu_rows, BT_ARRAY_LEN(tpu_rows));
}

/* Measured, so only on demand: on another machine, or a busy one, it takes longer. */
static void test_a_step_compiles_for_processors_in_time(void **state) {
    (void)state;
    const bt_pjrt_option one = {
        .name = "cpu_device_count", .type = BT_PJRT_OPTION_INT, .number = 1};
    const bt_pjrt_compile_options options = {.n_replicas = 1};
    bt_hlo_program *const         step = make_step(&cpu_row);
    bt_pjrt_client               *client = NULL;
    bt_pjrt_program              *program = NULL;
    assert_ok(bt_pjrt_client_create(plugin, &one, 1, &client, err));
    const clock_t began = clock();
    assert_ok(bt_pjrt_compile(client, step->text, step->n_bytes, &options, &program, err));
    const double processor = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message("BERT-base (4 x 128 slots, float32) for processors: compiled in %.1f s, %.1f s "
                  "of a processor\n",
                  bt_pjrt_program_seconds(program), processor);
    assert_true(processor < cpu_seconds);
    bt_pjrt_program_free(program);
    bt_pjrt_client_free(client);
    bt_hlo_program_free(step);
}

typedef struct kind_row {
    const char       *name;
    bt_pjrt_kind      kind;
    bt_pjrt_purpose   purpose;
    bool              is_long;
    struct CMUnitTest test;
} kind_row;

int main(int argc, char **argv) {
    const kind_row kinds[] = {
        {"cuda", BT_PJRT_CUDA, BT_PJRT_TO_COMPILE, false,
         cmocka_unit_test(test_steps_compile_for_gpus)},
        {"tpu", BT_PJRT_TPU, BT_PJRT_TO_COMPILE, false,
         cmocka_unit_test(test_steps_compile_for_tpus)},
        {"cpu", BT_PJRT_CPU, BT_PJRT_TO_RUN, true,
         cmocka_unit_test(test_a_step_compiles_for_processors_in_time)},
    };
    const kind_row *row = kinds;
    char           *path = NULL;
    bt_error        why = BT_ERROR_INIT;
    for (size_t i = 0; argc > 1 && i < BT_ARRAY_LEN(kinds); i++) {
        row = strcmp(argv[1], kinds[i].name) == 0 ? &kinds[i] : row;
    }
    only = argc > 2 ? argv[2] : NULL;
    target_name = argc > 3 ? argv[3] : NULL;
    if (row->is_long && !is_long()) {
        (void)printf("SKIPPED: only with BT_LONG_TESTS=1\n");
        return TEST_SKIP_EXIT;
    }
    if (!bt_pjrt_is_built_in() || bt_pjrt_plugin_find(row->kind, &path, &why) != BT_OK) {
        (void)printf("SKIPPED: %s\n",
                     bt_pjrt_is_built_in() ? why.msg : "built without PJRT plug-ins");
        return TEST_SKIP_EXIT;
    }
    if (bt_pjrt_plugin_open(path, row->purpose, &plugin, &why) != BT_OK) {
        (void)fprintf(stderr, "%s\n", why.msg);
        return 1;
    }
    bt_free(path);
    const struct CMUnitTest tests[] = {row->test};
    const int               rc = cmocka_run_group_tests(tests, NULL, NULL);
    test_pjrt_exit(rc);
}
