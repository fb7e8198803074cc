/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs: compiled when a batch first needs one, and run on the devices. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "exec_pjrt_internal.h"

bt_status exec_program_config(const exec_pjrt *exec, const exec_bucket *bucket,
                              bt_hlo_config *config, bt_error *err) {
    const bool updates = config->what == BT_HLO_UPDATE; /* the same whatever the batch was */
    config->n_rows = updates ? 1 : bucket->n_rows;
    config->n_slots = updates ? 2 : bucket->n_slots;
    config->n_seqs = updates ? 2 : bucket->n_seqs;
    config->n_longest = updates ? 0 : bucket->n_longest;
    config->precision = exec->precision;
    config->recompute = exec->recompute;
    return bt_hlo_attention_choose(exec->model, exec->attention,
                                   bt_pjrt_client_platform(exec->client), config, err);
}

static bool is_same(const bt_hlo_config *a, const bt_hlo_config *b) {
    return a->what == b->what && a->n_rows == b->n_rows && a->n_slots == b->n_slots &&
           a->n_seqs == b->n_seqs && a->precision == b->precision && a->n_longest == b->n_longest &&
           a->attention == b->attention && a->has_key_mask == b->has_key_mask &&
           a->has_labels == b->has_labels && a->recompute == b->recompute &&
           a->n_replicas == b->n_replicas;
}

void exec_program_free(exec_program *program) {
    if (program != NULL) {
        bt_pjrt_program_free(program->compiled);
        bt_hlo_program_free(program->hlo);
        bt_free(program);
    }
}

static void name_program(const bt_hlo_config *config, char *name, size_t size) {
    static const char *const what[] = {
        [BT_HLO_TRAIN] = "a training step",  [BT_HLO_GRADIENTS] = "gradients",
        [BT_HLO_ACCUMULATE] = "gradients",   [BT_HLO_UPDATE] = "an update",
        [BT_HLO_EVALUATE] = "an evaluation", [BT_HLO_ENCODE] = "an encoder",
    };
    (void)snprintf(name, size, "%s of %" PRId64 " x %" PRId64 " slots", what[config->what],
                   config->n_rows, config->n_slots);
    if (config->what == BT_HLO_UPDATE) { /* the same whatever the batch was */
        (void)snprintf(name, size, "%s", what[config->what]);
    }
}

static bt_status compile(exec_pjrt *exec, exec_program *program, bt_error *err) {
    char       name[96];
    const bool updates =
        program->config.what == BT_HLO_TRAIN || program->config.what == BT_HLO_UPDATE;
    BT_TRY(bt_hlo_program_create(exec->model, updates ? exec->optim : NULL, &program->config,
                                 &program->hlo, err));
    name_program(&program->config, name, sizeof name);
    const bt_pjrt_compile_options options = {.n_replicas = program->config.n_replicas,
                                             .name = name,
                                             .flags = exec->flags,
                                             .n_flags = exec->n_flags,
                                             .cache_folder = exec->cache_folder};
    BT_TRY(bt_pjrt_compile(exec->client, program->hlo->text, program->hlo->n_bytes, &options,
                           &program->compiled, err));
    if ((size_t)bt_pjrt_program_n_results(program->compiled) != program->hlo->n_results) {
        return BT_FAIL(err, BT_E_INTERNAL, "a compiled program has %" PRId32 " results, not %zu",
                       bt_pjrt_program_n_results(program->compiled), program->hlo->n_results);
    }
    return BT_OK;
}

bt_status exec_program_need(exec_pjrt *exec, const bt_hlo_config *config, exec_program **out,
                            bt_error *err) {
    for (size_t i = 0; i < exec->n_programs; i++) {
        if (is_same(&exec->programs[i]->config, config)) {
            *out = exec->programs[i];
            return BT_OK;
        }
    }
    BT_TRY(bt_grow(&exec->programs, &exec->programs_cap, exec->n_programs + 1,
                   sizeof *exec->programs, SIZE_MAX, err));
    exec_program *const program = bt_calloc_array(1, sizeof *program);
    if (program == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for a program");
    }
    program->config = *config;
    const bt_status rc = compile(exec, program, err);
    if (rc != BT_OK) {
        exec_program_free(program);
        return rc;
    }
    exec->programs[exec->n_programs++] = program;
    *out = program;
    return BT_OK;
}

/* Does it stay on the devices? */
static bool is_kept(const bt_hlo_tensor *t) {
    return t->variable >= 0 || t->role == BT_HLO_SUMS;
}

/* One of what comes with the batch: the host's copy is free again afterwards. */
static bt_status upload_input(exec_pjrt *exec, const exec_flight *flight, int32_t replica,
                              int32_t part, const bt_hlo_tensor *t, bt_pjrt_buffer **out,
                              bt_error *err) {
    const bt_pjrt_shape shape = exec_shape_of(t);
    int64_t             n = 0;
    if (!bt_dims_count(t->dim, t->rank, &n) || bt_dtype_size(t->dtype) > sizeof *exec->scratch) {
        return BT_FAIL(err, BT_E_INTERNAL, "a program reads an input of role %d of %s",
                       (int)t->role, bt_dtype_name(t->dtype));
    }
    BT_TRY(exec_need_floats(&exec->scratch, &exec->scratch_cap, n, err));
    exec_feed_fill(exec, flight, replica, part, t->role, exec->scratch);
    return bt_pjrt_upload(exec->client, replica, &shape, exec->scratch, out, err);
}

/* A run's arguments: what they come from, and lists of them in the program's order. */
typedef struct arguments {
    const exec_flight *flight;
    int32_t            part;
    bt_pjrt_buffer   **lists[EXEC_PJRT_MAX_REPLICAS];
} arguments;

static bt_status gather_arguments(exec_pjrt *exec, const exec_program *program, arguments *args,
                                  bt_error *err) {
    const bt_hlo_program *const hlo = program->hlo;
    for (size_t i = 0; i < hlo->n_args; i++) {
        const bt_hlo_tensor *const t = &hlo->args[i];
        exec_array                *array = NULL;
        if (is_kept(t)) {
            BT_TRY(exec_array_need(exec, hlo, t, &array, err));
        }
        for (int32_t r = 0; r < program->config.n_replicas; r++) {
            if (array != NULL) {
                args->lists[r][i] = array->buffers[r]; /* which stays its own */
            } else {
                BT_TRY(upload_input(exec, args->flight, r, args->part, t, &args->lists[r][i], err));
            }
        }
    }
    return BT_OK;
}

static void free_inputs(exec_pjrt *exec, const exec_program *program, arguments *args) {
    for (int32_t r = 0; r < program->config.n_replicas; r++) {
        for (size_t i = 0; args->lists[r] != NULL && i < program->hlo->n_args; i++) {
            if (!is_kept(&program->hlo->args[i])) {
                bt_pjrt_buffer_free(exec->client, args->lists[r][i]);
            }
        }
        bt_free(args->lists[r]);
    }
}

/* The new arrays take the donated ones' places, whose handles wait among the results: the CPU
 * plug-in gives one back only when the run that it was donated to is over. */
static bt_status take_donated(exec_pjrt *exec, const exec_program *program, exec_results *results,
                              bt_error *err) {
    const bt_hlo_program *const hlo = program->hlo;
    for (size_t i = 0; i < hlo->n_results; i++) {
        const bt_hlo_tensor *const t = &hlo->results[i];
        exec_array                *array = NULL;
        if (t->takes_place < 0) {
            continue;
        }
        exec->is_ahead = true;
        BT_TRY(exec_array_need(exec, hlo, t, &array, err));
        for (int32_t r = 0; r < program->config.n_replicas; r++) {
            bt_pjrt_buffer *const donated = array->buffers[r];
            array->buffers[r] = results->buffers[r][i];
            results->buffers[r][i] = donated;
        }
    }
    return BT_OK;
}

/* After a run that failed: did it take what was donated along? */
static void look_for_losses(exec_pjrt *exec) {
    for (size_t i = 0; i < exec->n_arrays; i++) {
        for (int32_t r = 0; r < exec->n_replicas; r++) {
            bool     is_gone = true;
            bt_error problem = BT_ERROR_INIT;
            if (bt_pjrt_is_gone(exec->client, exec->arrays[i].buffers[r], &is_gone, &problem) !=
                    BT_OK ||
                is_gone) {
                exec->is_lost = true;
                return;
            }
        }
    }
}

/* Lists of n buffers for each replica. */
static bt_status need_lists(const exec_program *program, size_t n, bt_pjrt_buffer **lists[],
                            bt_error *err) {
    for (int32_t r = 0; r < program->config.n_replicas; r++) {
        lists[r] = bt_calloc_array(n, sizeof *lists[r]);
        if (lists[r] == NULL) {
            return BT_FAIL(err, BT_E_NOMEM, "out of memory for a program's %zu arrays", n);
        }
    }
    return BT_OK;
}

bt_status exec_program_run(exec_pjrt *exec, exec_program *program, const exec_flight *flight,
                           int32_t part, exec_results *results, bt_error *err) {
    bt_status              rc = BT_OK;
    arguments              args = {.flight = flight, .part = part};
    bt_pjrt_buffer *const *arg_lists[EXEC_PJRT_MAX_REPLICAS] = {NULL};
    *results = (exec_results){.program = program};
    BT_CHECK(need_lists(program, program->hlo->n_args, args.lists, err));
    BT_CHECK(need_lists(program, program->hlo->n_results, results->buffers, err));
    BT_CHECK(gather_arguments(exec, program, &args, err));
    memcpy(arg_lists, args.lists, sizeof args.lists);
    const bt_pjrt_run run = {
        .args = arg_lists, .n_args = program->hlo->n_args, .results = results->buffers};
    rc = bt_pjrt_execute(program->compiled, &run, err);
    if (rc != BT_OK) {
        look_for_losses(exec);
        goto done;
    }
    BT_CHECK(take_donated(exec, program, results, err));
done:
    free_inputs(exec, program, &args);
    return rc;
}

void exec_results_deinit(exec_pjrt *exec, exec_results *results) {
    for (int32_t r = 0; results->program != NULL && r < results->program->config.n_replicas; r++) {
        for (size_t i = 0; results->buffers[r] != NULL && i < results->program->hlo->n_results;
             i++) {
            bt_pjrt_buffer_free(exec->client, results->buffers[r][i]);
        }
        bt_free(results->buffers[r]);
    }
}

static bool donates(const bt_hlo_program *hlo) {
    for (size_t i = 0; i < hlo->n_results; i++) {
        if (hlo->results[i].takes_place >= 0) {
            return true;
        }
    }
    return false;
}

bt_status exec_result_download(exec_pjrt *exec, const exec_results *results, int32_t replica,
                               bt_hlo_role role, bt_error *err) {
    const bt_hlo_program *const hlo = results->program->hlo;
    for (size_t i = 0; i < hlo->n_results; i++) {
        int64_t n = 0;
        if (hlo->results[i].role != role ||
            !bt_dims_count(hlo->results[i].dim, hlo->results[i].rank, &n)) {
            continue;
        }
        BT_TRY(exec_need_floats(&exec->scratch, &exec->scratch_cap, n, err));
        const bt_status rc =
            bt_pjrt_download(exec->client, results->buffers[replica][i], exec->scratch,
                             (size_t)n * sizeof *exec->scratch, err);
        exec->is_lost = exec->is_lost || (rc != BT_OK && donates(hlo));
        return rc;
    }
    return BT_FAIL(err, BT_E_INTERNAL, "a program has no result of role %d", (int)role);
}
