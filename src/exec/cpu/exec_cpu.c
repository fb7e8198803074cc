/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU engine: what it owns, and its flat buffers as the trainer reads and writes them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/base/fp.h"
#include "exec_cpu_int8.h"
#include "exec_cpu_panels.h"

enum { COPY_CHUNK = 1 << 20 };

bt_status exec_need_gradients(exec_cpu *exec, bt_error *err) {
    return exec->base.grad != NULL
               ? BT_OK
               : exec_flat_create(exec->pool, &exec->model->table, 0, &exec->base.grad, err);
}

/* Gradients and slots are for what is trained: the rest of them, which begins as zeros, is never
 * touched and takes no memory. */
static uint64_t flat_bytes(const exec_cpu *exec, bool has_params, bool has_average,
                           int32_t n_trained) {
    const bt_param_table *const table = &exec->model->table;
    return ((uint64_t)table->n_elements * ((uint64_t)has_params + (uint64_t)has_average) +
            (uint64_t)bt_param_table_n_trained(table) * (uint64_t)n_trained) *
           sizeof(float);
}

/* Of the flat buffers together, before one of them is touched. */
static bt_status check_room(const exec_cpu *exec, bt_error *err) {
    const bt_optim *const optim = exec->optim;
    const uint64_t n_bytes = flat_bytes(exec, true, optim != NULL && bt_optim_has_average(optim),
                                        optim == NULL ? 0 : 1 + bt_optim_n_slots(optim)) -
                             (uint64_t)exec_panels_saved_bytes(exec); /* which may be below 0 */
    const uint64_t left = exec_memory_left(exec);
    if (n_bytes <= left) {
        return BT_OK;
    }
    return BT_FAIL(err, BT_E_NOMEM,
                   "out of memory: the model has %" PRId64 " parameters, which take %.2f GiB with "
                   "%s, and %.2f GiB are left: a smaller model, or more memory, helps",
                   exec->model->table.n_elements, (double)n_bytes / 0x1p30,
                   optim == NULL ? "nothing else" : "their gradients and the optimizer's slots",
                   (double)left / 0x1p30);
}

static bt_status alloc_state(exec_cpu *exec, bt_error *err) {
    const size_t L = (size_t)exec->model->encoder.num_layers;
    exec->acts.layers = bt_calloc_array(L, sizeof *exec->acts.layers);
    if (exec->acts.layers == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the plan of a step");
    }
    BT_TRY(check_room(exec, err));
    BT_TRY(exec->panels.n > 0
               ? exec_flat_reserve(&exec->model->table, &exec->base.param, err)
               : exec_flat_create(exec->pool, &exec->model->table, 0, &exec->base.param, err));
    if (exec->optim == NULL) {
        return BT_OK;
    }
    BT_TRY(exec_need_gradients(exec, err));
    BT_TRY(bt_optim_rows_create(exec->optim, &exec->rows, err));
    for (int32_t i = 0; i < bt_optim_n_slots(exec->optim); i++) {
        BT_TRY(exec_flat_create(exec->pool, &exec->model->table, bt_optim_slot_init(exec->optim, i),
                                &exec->base.slots[i], err));
    }
    if (bt_optim_has_average(exec->optim)) {
        BT_TRY(exec_flat_create(exec->pool, &exec->model->table, 0, &exec->base.average, err));
    }
    return BT_OK;
}

static int32_t n_threads_of(const bt_exec_config *config) {
    return config->n_threads > 0 ? config->n_threads : bt_n_physical_cores();
}

static bt_status check_config(const bt_exec_config *config, bt_error *err) {
    if (config->use_blas && config->precision != BT_PRECISION_F32) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.matmul: BLAS multiplies in float32 only: set it to auto, or "
                       "runtime.mixed_precision_dtype to float32");
    }
    if (config->use_blas && config->pin.pin != BT_PIN_NONE) {
        return BT_FAIL(err, BT_E_CONFIG,
                       "runtime.pin: a BLAS has threads of its own, which are not pinned: set "
                       "runtime.matmul to auto, or runtime.pin to none");
    }
    return BT_OK;
}

bt_status bt_exec_check_processors(const bt_exec_config *config, bt_error *err) {
    bt_kern kern;
    BT_TRY(check_config(config, err));
    BT_TRY(bt_kern_select(config->isa, &kern, err));
    return config->pin.pin == BT_PIN_NONE
               ? BT_OK
               : bt_pool_check_pin(n_threads_of(config), config->pin, err);
}

/* *out NULL: BLAS, which is then loaded. */
static bt_status choose_products(const bt_exec_config *config, const bt_kern *kern,
                                 const bt_kern_product **out, bt_error *err) {
    const bt_kern_product *const own = &kern->products[config->precision];
    *out = config->use_blas || own->rows == 0 ? NULL : own;
    return *out == NULL ? bt_kern_blas_load(err) : BT_OK;
}

/* Panels of float32 would take twice the memory. */
static bool keeps_packs(const bt_kern_product *kern) {
    return kern != NULL && kern->pack_a16 != NULL && kern->element_bytes == sizeof(uint16_t);
}

void bt_exec_choose_blas(const char *library, int32_t n_threads) {
    bt_kern_blas_choose(library, n_threads);
}

bool bt_exec_has_blas(void) {
    return bt_kern_blas_is_loaded();
}

static void cpu_destroy(bt_exec *base) {
    exec_cpu *const exec = exec_cpu_of(base);
    exec_acts_deinit(&exec->acts);
    exec_packs_deinit(&exec->packs);
    exec_panels_deinit(&exec->panels);
    exec_parts_deinit(&exec->parts);
    exec_ranks_deinit(&exec->ranks);
    exec_lanes_free(exec->lanes);
    exec_int8_free(exec->int8);
    bt_free(exec->nn.partials);
    bt_free(exec->nn.thread_scratch);
    bt_free(exec->nn.panels);
    bt_free(exec->base.param);
    bt_free(exec->base.grad);
    bt_free(exec->grad_kinds);
    bt_free(exec->base.average);
    for (int32_t i = 0; i < BT_OPTIM_MAX_SLOTS; i++) {
        bt_free(exec->base.slots[i]);
    }
    bt_optim_rows_free(exec->rows);
    bt_pool_free(exec->pool);
    bt_free(exec);
}

bt_optim_buffers exec_optim_buffers(exec_cpu *exec) {
    bt_optim_buffers buffers = {.param = exec->base.param,
                                .grad = exec->base.grad,
                                .average = exec->base.average,
                                .rows = exec->rows};
    memcpy(buffers.slots, exec->base.slots, sizeof buffers.slots);
    if (exec->packs.block != NULL) {
        buffers.written = exec_packs_written;
        buffers.written_context = exec;
    }
    return buffers;
}

static bt_status cpu_settle(bt_exec *base, bt_error *err) {
    exec_cpu *const exec = exec_cpu_of(base);
    (void)err;
    if (exec->rows != NULL) {
        const bt_optim_buffers buffers = exec_optim_buffers(exec);
        const bt_fp_state      before = bt_fp_flush(); /* these are steps, made late */
        bt_optim_rows_settle(exec->rows, &buffers, exec->pool);
        bt_fp_set(before);
    }
    return BT_OK;
}

/* The steps read the very buffers that the caller wrote into, but for what is kept of them. */
static bt_status cpu_changed(bt_exec *base, bt_error *err) {
    exec_cpu *const exec = exec_cpu_of(base);
    BT_TRY(exec_panels_check_open(exec, err));
    BT_TRY(exec_panels_close(exec, err));
    exec_packs_forget(exec);
    return exec_int8_finish(exec, err);
}

typedef struct copy_job {
    float       *to;
    const float *from;
    int64_t      n;
} copy_job;

static void copy_task(void *context, int64_t task, int32_t thread) {
    const copy_job *const job = context;
    const bt_pool_piece   piece = bt_pool_piece_of(job->n, COPY_CHUNK, task);
    (void)thread;
    memcpy(job->to + piece.first, job->from + piece.first, (size_t)piece.n * sizeof *job->to);
}

static void cpu_copy(bt_exec *base, float *to, const float *from) {
    exec_cpu *const exec = exec_cpu_of(base);
    copy_job        job = {.to = to, .from = from, .n = exec->model->table.n_elements};
    if (to == base->param) {
        BT_ASSERT(!exec->panels.is_closed);
        exec_packs_forget(exec);
    }
    bt_pool_run(exec->pool, bt_pool_n_pieces(job.n, COPY_CHUNK), copy_task, &job);
}

/* Values, not pointers: a buffer that the caller holds stays what it was. */
static bt_status cpu_swap_averages(bt_exec *base, bt_error *err) {
    exec_cpu *const exec = exec_cpu_of(base);
    if (exec->base.average == NULL) {
        return BT_FAIL(err, BT_E_INTERNAL, "this optimizer keeps no moving average to swap");
    }
    exec_packs_forget(exec);
    exec_swap(exec->base.param, exec->base.average, exec->model->table.n_elements);
    return BT_OK;
}

static size_t cpu_memory_bytes(const bt_exec *base) {
    const exec_cpu *const exec = exec_cpu_seen(base);
    int32_t               n_trained = exec->base.grad != NULL;
    for (int32_t i = 0; i < BT_OPTIM_MAX_SLOTS; i++) {
        n_trained += exec->base.slots[i] != NULL;
    }
    return (size_t)flat_bytes(exec, exec->base.param != NULL, exec->base.average != NULL,
                              n_trained) -
           exec->released_bytes + exec_int8_bytes(exec->int8) +
           (size_t)exec->acts.n_floats * sizeof(float) + exec->scratch_bytes + exec->packs.n_bytes +
           (exec->panels.block != NULL ? exec->panels.n_bytes : 0) + exec_lanes_bytes(exec->lanes) +
           (size_t)exec->parts.n_logits * sizeof(float) +
           (size_t)exec->parts.n_offsets * sizeof(int64_t) +
           (size_t)exec->ranks.cap_rows * sizeof(float);
}

static const char *cpu_describe(const bt_exec *base) {
    return exec_cpu_seen(base)->description;
}

static const exec_engine cpu_engine = {
    .destroy = cpu_destroy,
    .train_depth = exec_cpu_train_depth,
    .train_begin = exec_cpu_train_begin,
    .train_end = exec_cpu_train_end,
    .gradients = exec_cpu_gradients,
    .evaluate = exec_cpu_evaluate,
    .window_tokens = exec_cpu_window_tokens,
    .evaluate_window = exec_cpu_evaluate_window,
    .encode = exec_cpu_encode,
    .settle = cpu_settle,
    .changed = cpu_changed,
    .copy = cpu_copy,
    .swap_averages = cpu_swap_averages,
    .place = exec_cpu_place,
    .take = exec_cpu_take,
    .get_loss_scale = exec_cpu_get_loss_scale,
    .set_loss_scale = exec_cpu_set_loss_scale,
    .reserve_memory = exec_cpu_reserve_memory,
    .memory_bytes = cpu_memory_bytes,
    .measure_peaks = exec_cpu_measure_peaks,
    .round_weights = exec_cpu_round_weights,
    .plan_memory = exec_cpu_plan_memory,
    .describe = cpu_describe,
};

static const char *const pin_words[] = {
    [BT_PIN_NONE] = "", [BT_PIN_CORES] = " pinned to cores", [BT_PIN_NODES] = " pinned to nodes"};

void exec_cpu_note_products(exec_cpu *exec, const char *in_encoder) {
    const int32_t     n_threads = bt_pool_n_threads(exec->pool);
    const char *const products =
        exec->nn.product != NULL ? exec->nn.product->name : bt_kern_blas_describe();
    (void)snprintf(exec->description, sizeof exec->description,
                   "cpu, %" PRId32 " thread%s%s, %s, matmul: %s%s%s", n_threads,
                   n_threads == 1 ? "" : "s", pin_words[exec->pin], exec->kern.isa,
                   in_encoder != NULL ? in_encoder : "",
                   in_encoder != NULL ? " in the encoder, elsewhere " : "", products);
}

bt_status bt_exec_create_cpu(const bt_model *model, const bt_optim *optim,
                             const bt_exec_config *config, bt_exec **out, bt_error *err) {
    bt_status rc = BT_OK;
    BT_ASSERT(optim == NULL || !(config->rounds_to_8_bits || config->only_evaluates));
    BT_ASSERT(config->only_evaluates || !config->in_8_bits);
    BT_TRY(check_config(config, err));
    BT_TRY(exec_check_model(model, err));
    BT_TRY(exec_check_parts(model, optim, config, err));
    exec_cpu *exec = bt_calloc_array(1, sizeof *exec);
    if (exec == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the engine");
    }
    exec->base.engine = &cpu_engine;
    exec->base.model = model;
    exec->model = model;
    exec->optim = optim;
    const int32_t n_threads = n_threads_of(config);
    BT_CHECK(bt_kern_select(config->isa, &exec->kern, err));
    exec->base.isa = exec->kern.isa;
    BT_CHECK(bt_pool_create(&exec->pool, n_threads, err));
    exec->nn.kern = &exec->kern;
    exec->nn.pool = exec->pool;
    exec->precision = config->precision;
    exec->recompute = config->recompute;
    exec->rounds_to_8_bits = config->rounds_to_8_bits;
    /* adapters add to what a product made, in float32, before it is rounded */
    exec->is_16 = config->precision == BT_PRECISION_BF16 && !config->rounds_to_8_bits &&
                  model->encoder.lora.rank == 0;
    exec->memory_limit = config->memory_limit;
    bt_kern_blas_choose(NULL, n_threads);
    BT_CHECK(choose_products(config, &exec->kern, &exec->nn.product, err));
    if (config->pin.pin != BT_PIN_NONE) {
        BT_CHECK(bt_pool_pin(exec->pool, config->pin, err));
    }
    BT_CHECK(config->in_8_bits ? exec_int8_begin(exec, err) : BT_OK);
    BT_CHECK(config->only_evaluates ? exec_panels_list(exec, err) : BT_OK);
    BT_CHECK(alloc_state(exec, err));
    BT_CHECK(exec_gradients_plan(exec, err));
    if (exec->panels.n > 0) {
        BT_CHECK(exec_panels_create(exec, err));
    } else if (keeps_packs(exec->nn.product) && exec->int8 == NULL) {
        BT_CHECK(exec_packs_create(exec, err));
    }
    BT_CHECK(exec_ranks_init(exec, config, err));
    exec->parts.max_seqs = config->part_seqs;
    exec_scale_init(&exec->scale, config->precision, config->loss_scale);
    exec->pin = config->pin.pin;
    exec_cpu_note_products(exec, NULL);
    *out = &exec->base;
    exec = NULL;
done:
    if (exec != NULL) {
        cpu_destroy(&exec->base);
    }
    return rc;
}

const char *bt_exec_build_info(void) {
    return bt_kern_build_info();
}
