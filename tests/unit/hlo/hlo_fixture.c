/* SPDX-License-Identifier: Apache-2.0
 *
 * See hlo_fixture.h. */
#include "hlo_fixture.h"
#include "bt/base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "test_pjrt_run.h"

/* The layout's array of a role, or NULL. */
static void *array_of(hlo_layout *l, bt_hlo_role role) {
    switch ((int)role) {
    case BT_HLO_IDS:
        return l->ids;
    case BT_HLO_TYPES:
        return l->types;
    case BT_HLO_POSITIONS:
        return l->positions;
    case BT_HLO_TOKENS:
        return l->tokens;
    case BT_HLO_SEGMENTS:
        return l->segments;
    case BT_HLO_KEY_MASK:
        return l->key_mask;
    case BT_HLO_FIRST_SLOTS:
        return l->first_slots;
    case BT_HLO_SEQUENCES:
        return l->sequences;
    case BT_HLO_INT_LABELS:
        return l->int_labels;
    case BT_HLO_FLOAT_LABELS:
        return l->float_labels;
    case BT_HLO_WEIGHTS:
        return l->weights;
    case BT_HLO_NUMBERS:
        return l->numbers;
    case BT_HLO_SEED:
        return l->seed;
    case BT_HLO_N_LAYERS:
        return &l->n_layers;
    default:
        return NULL;
    }
}

/* Each sequence after the one before, or in the next row where the row has no room for it. Returns
 * how many rows. */
static int64_t place(const bt_batch *batch, int64_t n_slots, int32_t *first_slots) {
    int64_t at = 0;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        const int64_t n = batch->offsets[b + 1] - batch->offsets[b];
        at = at % n_slots + n > n_slots ? (at / n_slots + 1) * n_slots : at;
        first_slots[b] = (int32_t)at;
        at += n;
    }
    return (at + n_slots - 1) / n_slots;
}

void hlo_lay_out(hlo_layout *l, const bt_model *model, const bt_batch *batch, bool training) {
    static int32_t first_slots[HLO_TEST_MAX_SLOTS];
    const int64_t  S = 2 * batch->seq_length + 3;
    bt_hlo_input   in = {.model = model,
                         .batch = batch,
                         .n_slots = S,
                         .n_rows = (batch->n_seqs + 1) / 2 + 1,
                         .n_seqs = batch->n_seqs + 2,
                         .is_training = training};
    memset(l, 0, sizeof *l);
    l->S = S;
    l->B = in.n_seqs;
    l->R = in.n_rows;
    assert_true(l->R * S <= HLO_TEST_MAX_SLOTS);
    assert_true(place(batch, S, first_slots) < in.n_rows);
    in.first_slots = first_slots;
    for (int64_t b = 0; b < batch->n_seqs; b++) {
        for (int64_t t = batch->offsets[b]; t < batch->offsets[b + 1]; t++) {
            l->slots[t] = first_slots[b] + t - batch->offsets[b];
        }
    }
    for (int role = 0; role < BT_HLO_N_ROLES; role++) {
        void *const array = array_of(l, (bt_hlo_role)role);
        const bool  has_it = (role != BT_HLO_INT_LABELS || batch->int_labels != NULL) &&
                            (role != BT_HLO_FLOAT_LABELS || batch->float_labels != NULL);
        if (array != NULL && has_it) {
            (void)bt_hlo_fill(&in, (bt_hlo_role)role, array);
        }
    }
    l->numbers[BT_HLO_WEIGHT_SUM] = (float)bt_hlo_weight_sum(&in);
    l->numbers[BT_HLO_LOSS_SCALE] = 1;
}

void hlo_own_logits(float *own, const float *logits, const hlo_layout *l, const bt_model *model,
                    const bt_batch *batch) {
    const int64_t n_pairs = batch->n_seqs / 2;
    const int64_t C = model->head.num_classes;
    if (model->head.loss == BT_LOSS_RANKING) {
        for (int64_t i = 0; i < n_pairs * n_pairs; i++) {
            own[i] = logits[i / n_pairs * (l->B / 2) + i % n_pairs];
        }
    } else if (model->head.kind == BT_HEAD_TOKENS) {
        for (int64_t t = 0; t < batch->n_tokens; t++) {
            memcpy(own + t * C, logits + l->slots[t] * C, (size_t)C * sizeof *own);
        }
    } else {
        memcpy(own, logits, (size_t)bt_model_n_logits(model, batch) * sizeof *own);
    }
}

static bt_pjrt_shape shape_of(const bt_hlo_tensor *t, size_t *n_bytes) {
    bt_pjrt_shape shape = {.dtype = t->dtype, .rank = t->rank};
    int64_t       n = 0;
    memcpy(shape.dim, t->dim, sizeof t->dim);
    assert_true(bt_dims_count(t->dim, t->rank, &n));
    *n_bytes = (size_t)n * bt_dtype_size(t->dtype);
    return shape;
}

static void **allocate(const bt_hlo_tensor *tensors, size_t n, int32_t n_replicas) {
    void **const arrays = bt_calloc_array(n * (size_t)n_replicas + 1, sizeof *arrays);
    assert_non_null(arrays);
    for (size_t i = 0; i < n * (size_t)n_replicas; i++) {
        size_t n_bytes = 0;
        (void)shape_of(&tensors[i % n], &n_bytes);
        arrays[i] = bt_calloc_array(n_bytes + 1, 1);
        assert_non_null(arrays[i]);
    }
    return arrays;
}

/* Half the time to compile, and the same numbers but for rounding. */
static bt_pjrt_program *compile(const bt_hlo_program *p, int32_t n_replicas) {
    static const bt_pjrt_option flags[] = {
        {.name = "xla_backend_optimization_level", .type = BT_PJRT_OPTION_INT, .number = 0},
        {.name = "xla_llvm_disable_expensive_passes", .type = BT_PJRT_OPTION_BOOL, .number = 1},
    };
    const bt_pjrt_compile_options options = {
        .n_replicas = n_replicas, .flags = flags, .n_flags = BT_ARRAY_LEN(flags)};
    bt_pjrt_program *compiled = NULL;
    assert_ok(bt_pjrt_compile(test_pjrt_client(), p->text, p->n_bytes, &options, &compiled, err));
    return compiled;
}

void (*hlo_run_change)(bt_hlo_program *program, const bt_model *model, const bt_hlo_config *config);

void hlo_run_open(hlo_run *run, const bt_model *model, const bt_optim *optim,
                  const bt_hlo_config *config) {
    memset(run, 0, sizeof *run);
    run->n_replicas = config->n_replicas;
    assert_ok(bt_hlo_program_create(model, optim, config, &run->program, err));
    if (hlo_run_change != NULL) {
        hlo_run_change(run->program, model, config);
    }
    const bt_hlo_program *const p = run->program;
    const char *const dump = getenv("BT_TEST_DUMP_HLO"); /* for whom it does not compile */
    if (dump != NULL) {
        test_write_file(dump, p->text, p->n_bytes);
    }
    run->compiled = compile(p, config->n_replicas);
    run->args = allocate(p->args, p->n_args, run->n_replicas);
    run->results = allocate(p->results, p->n_results, run->n_replicas);
}

void hlo_run_close(hlo_run *run) {
    for (size_t i = 0; i < run->program->n_args * (size_t)run->n_replicas; i++) {
        bt_free(run->args[i]);
    }
    for (size_t i = 0; i < run->program->n_results * (size_t)run->n_replicas; i++) {
        bt_free(run->results[i]);
    }
    bt_free(run->args);
    bt_free(run->results);
    bt_pjrt_program_free(run->compiled);
    bt_hlo_program_free(run->program);
}

void hlo_run_set_state(hlo_run *run, const bt_model *model, bt_hlo_role role, int32_t slot,
                       const float *flat) {
    const bt_hlo_program *const p = run->program;
    for (size_t i = 0; i < p->n_args * (size_t)run->n_replicas; i++) {
        const bt_hlo_tensor *const t = &p->args[i % p->n_args];
        size_t                     n_bytes = 0;
        if (t->role == role && t->slot == slot) {
            (void)shape_of(t, &n_bytes);
            memset(run->args[i], 0, n_bytes);
            if (flat != NULL) {
                bt_hlo_stack(&p->variables[t->variable], &model->table, flat, run->args[i]);
            }
        }
    }
}

void hlo_run_set_layout(hlo_run *run, int32_t replica, hlo_layout *l) {
    const bt_hlo_program *const p = run->program;
    for (size_t i = 0; i < p->n_args; i++) {
        const void *const array = array_of(l, p->args[i].role);
        size_t            n_bytes = 0;
        if (array != NULL) {
            (void)shape_of(&p->args[i], &n_bytes);
            memcpy(run->args[(size_t)replica * p->n_args + i], array, n_bytes);
        }
    }
}

static void upload_all(hlo_run *run, int32_t replica, bt_pjrt_buffer **buffers) {
    const bt_hlo_program *const p = run->program;
    for (size_t i = 0; i < p->n_args; i++) {
        size_t              n_bytes = 0;
        const bt_pjrt_shape shape = shape_of(&p->args[i], &n_bytes);
        assert_ok(bt_pjrt_upload(test_pjrt_client(), replica, &shape,
                                 run->args[(size_t)replica * p->n_args + i], &buffers[i], err));
    }
}

static void download_all(hlo_run *run, int32_t replica, bt_pjrt_buffer *const *buffers) {
    const bt_hlo_program *const p = run->program;
    for (size_t i = 0; i < p->n_results; i++) {
        const bt_hlo_tensor *const t = &p->results[i];
        size_t                     n_bytes = 0;
        void *const                array = run->results[(size_t)replica * p->n_results + i];
        (void)shape_of(t, &n_bytes);
        assert_ok(bt_pjrt_download(test_pjrt_client(), buffers[i], array, n_bytes, err));
        if (t->takes_place >= 0) {
            memcpy(run->args[(size_t)replica * p->n_args + (size_t)t->takes_place], array, n_bytes);
        }
    }
}

void hlo_run_step(hlo_run *run) {
    enum { MAX_REPLICAS = 2, MAX_BUFFERS = 256 };
    const bt_hlo_program *const  p = run->program;
    static bt_pjrt_buffer       *args[MAX_REPLICAS][MAX_BUFFERS];
    static bt_pjrt_buffer       *results[MAX_REPLICAS][MAX_BUFFERS];
    bt_pjrt_buffer *const *const arg_lists[MAX_REPLICAS] = {args[0], args[1]};
    bt_pjrt_buffer **const       result_lists[MAX_REPLICAS] = {results[0], results[1]};
    assert_true(p->n_args <= MAX_BUFFERS && p->n_results <= MAX_BUFFERS);
    assert_true(run->n_replicas <= MAX_REPLICAS);
    for (int32_t r = 0; r < run->n_replicas; r++) {
        upload_all(run, r, args[r]);
    }
    const bt_pjrt_run job = {
        .args = arg_lists, .n_args = p->n_args, .results = result_lists, .wait = true};
    assert_ok(bt_pjrt_execute(run->compiled, &job, err));
    for (int32_t r = 0; r < run->n_replicas; r++) {
        download_all(run, r, results[r]);
        for (size_t i = 0; i < p->n_args; i++) {
            bt_pjrt_buffer_free(test_pjrt_client(), args[r][i]);
        }
        for (size_t i = 0; i < p->n_results; i++) {
            bt_pjrt_buffer_free(test_pjrt_client(), results[r][i]);
        }
    }
}

const float *hlo_run_result(const hlo_run *run, int32_t replica, bt_hlo_role role, size_t *n) {
    const bt_hlo_program *const p = run->program;
    for (size_t i = 0; i < p->n_results; i++) {
        if (p->results[i].role == role) {
            size_t n_bytes = 0;
            (void)shape_of(&p->results[i], &n_bytes);
            if (n != NULL) {
                *n = n_bytes / sizeof(float);
            }
            return run->results[(size_t)replica * p->n_results + i];
        }
    }
    fail_msg("the program has no result of role %d", (int)role);
    return NULL;
}

void hlo_run_get_state(const hlo_run *run, const bt_model *model, bt_hlo_role role, int32_t slot,
                       float *flat) {
    const bt_hlo_program *const p = run->program;
    for (size_t i = 0; i < p->n_results; i++) {
        const bt_hlo_tensor *const t = &p->results[i];
        if (t->role == role && t->slot == slot) {
            bt_hlo_unstack(&p->variables[t->variable], &model->table, run->results[i], flat);
        }
    }
}
