/* SPDX-License-Identifier: Apache-2.0
 *
 * The weights of an engine that only evaluates. They are read by products alone, so each is kept in
 * panels, as products read them, in place of its floats: packed once, and not once a product. In
 * bfloat16 that is half of the bytes, where the processor has no such products, too (then a product
 * widens what it reads). A weight is taken when its values are there, one after the other from one
 * place, so that the floats of all of them are never there together. */
#include "exec_cpu_panels.h"

#include <string.h>

#include "bt/base/alloc.h"
#include "bt/nn/dense_int8.h"
#include "exec_cpu_int8.h"

enum { PANELS_A_TASK = 4 };

/* 0: it is not in panels. */
static size_t panel_bytes(const exec_panels *panels, int32_t i) {
    const bt_nn_packed *const packed = &panels->weights[i].as_is;
    if (panels->is_8_bit[i]) {
        return 0;
    }
    const size_t n = bt_nn_packed_bytes(packed->kern, packed->K, packed->N);
    return exec_panels_room(packed->is_halved ? n / 2 : n);
}

/* In the order of the table, each once. */
static void list_weight(exec_cpu *exec, const exec_weight *weight) {
    exec_panels *const           panels = &exec->panels;
    const bt_kern_product *const kern = exec->nn.product;
    const int64_t                param = weight->dense.kernel;
    int32_t                      i = panels->n;
    if (param < 0) {
        return;
    }
    while (i > 0 && panels->params[i - 1] > param) {
        i--;
    }
    if (i > 0 && panels->params[i - 1] == param) {
        return;
    }
    const size_t n_after = (size_t)(panels->n - i);
    memmove(&panels->params[i + 1], &panels->params[i], n_after * sizeof *panels->params);
    memmove(&panels->weights[i + 1], &panels->weights[i], n_after * sizeof *panels->weights);
    memmove(&panels->is_8_bit[i + 1], &panels->is_8_bit[i], n_after * sizeof *panels->is_8_bit);
    panels->is_8_bit[i] = exec_int8_has(exec, weight);
    panels->params[i] = param;
    panels->weights[i] = (bt_nn_weight){
        .as_is = {
            .kern = kern, .K = weight->K, .N = weight->N, .is_halved = bt_nn_can_halve(kern)}};
    panels->n++;
}

/* A BLAS packs as it likes; what is merged into a kernel before it is rounded comes after it. */
bt_status exec_panels_list(exec_cpu *exec, bt_error *err) {
    exec_panels *const panels = &exec->panels;
    const int64_t      n_weights = exec_n_weights(exec->model);
    const size_t       most = (size_t)n_weights;
    if (exec->nn.product == NULL || (exec->int8 != NULL && exec->model->encoder.lora.rank > 0)) {
        return BT_OK;
    }
    panels->weights = bt_calloc_array(most, sizeof *panels->weights);
    panels->params = bt_calloc_array(most, sizeof *panels->params);
    panels->is_8_bit = bt_calloc_array(most, sizeof *panels->is_8_bit);
    panels->is_taken = bt_calloc_array(most, sizeof *panels->is_taken);
    if (panels->weights == NULL || panels->params == NULL || panels->is_8_bit == NULL ||
        panels->is_taken == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "out of memory for the list of weights");
    }
    for (int64_t i = 0; i < n_weights; i++) {
        const exec_weight weight = exec_weight_at(exec->model, i);
        list_weight(exec, &weight);
    }
    for (int32_t i = 0; i < panels->n; i++) {
        panels->n_bytes += panel_bytes(panels, i);
    }
    return BT_OK;
}

static size_t weight_floats(const bt_nn_weight *weight) {
    return (size_t)weight->as_is.K * (size_t)weight->as_is.N;
}

static size_t most_floats(const exec_panels *panels) {
    size_t most = 0;
    for (int32_t i = 0; i < panels->n; i++) {
        const size_t n = weight_floats(&panels->weights[i]);
        most = n > most ? n : most;
    }
    return most;
}

/* Of one weight at a time the floats are there, too: panels of float32 take more than the floats.
 */
int64_t exec_panels_saved_bytes(const exec_cpu *exec) {
    const exec_panels *const panels = &exec->panels;
    int64_t                  n = -(int64_t)(most_floats(panels) * sizeof(float) + panels->n_bytes);
    for (int32_t i = 0; i < panels->n; i++) {
        const bt_nn_packed *const as_is = &panels->weights[i].as_is;
        n += (int64_t)(weight_floats(&panels->weights[i]) * sizeof(float));
        n -= panels->is_8_bit[i] ? (int64_t)bt_nn_int8_bytes(as_is->K, as_is->N) : 0;
    }
    return n;
}

static bt_status alloc_panels(exec_cpu *exec, bt_error *err) {
    exec_panels *const panels = &exec->panels;
    const size_t       n_threads = (size_t)bt_pool_n_threads(exec->pool);
    const bool         halves = panels->weights[0].as_is.is_halved;
    panels->block = bt_alloc_array(1, panels->n_bytes);
    panels->floats = bt_alloc_array(most_floats(panels), sizeof *panels->floats);
    if (halves) {
        panels->scratch = bt_alloc_array(n_threads, bt_nn_halving_bytes(exec->nn.product));
    }
    return panels->block != NULL && panels->floats != NULL && (!halves || panels->scratch != NULL)
               ? BT_OK
               : BT_FAIL(err, BT_E_NOMEM, "out of memory for %zu bytes of weights",
                         panels->n_bytes);
}

static float *floats_in_buffer(const exec_cpu *exec, int32_t i) {
    return exec->base.param + exec->model->table.params[exec->panels.params[i]].offset;
}

bt_status exec_panels_create(exec_cpu *exec, bt_error *err) {
    exec_panels *const panels = &exec->panels;
    size_t             used = 0;
    BT_TRY(alloc_panels(exec, err));
    for (int32_t i = 0; i < panels->n; i++) {
        bt_nn_weight *const weight = &panels->weights[i];
        weight->b = floats_in_buffer(exec, i);
        weight->as_is.panels = panels->is_8_bit[i] ? NULL : panels->block + used;
        used += panel_bytes(panels, i);
        /* neighbours that are written would take huge pages, and with them this */
        bt_alloc_release(floats_in_buffer(exec, i), weight_floats(weight) * sizeof(float));
    }
    exec->nn.weights = panels->weights;
    exec->nn.n_weights = panels->n;
    exec->nn.only_panels = true;
    return BT_OK;
}

void exec_panels_deinit(exec_panels *panels) {
    bt_free(panels->weights);
    bt_free(panels->params);
    bt_free(panels->is_8_bit);
    bt_free(panels->is_taken);
    bt_free(panels->block);
    bt_free(panels->floats);
    bt_free(panels->scratch);
    memset(panels, 0, sizeof *panels);
}

typedef struct pack_job {
    const exec_cpu     *exec;
    const bt_nn_weight *weight;
    const float        *from;
} pack_job;

static void pack_task(void *context, int64_t task, int32_t thread) {
    const pack_job *const     job = context;
    const exec_cpu *const     exec = job->exec;
    const bt_nn_packed *const packed = &job->weight->as_is;
    const bt_pool_piece       piece =
        bt_pool_piece_of(bt_nn_packed_n_panels(packed), PANELS_A_TASK, task);
    const size_t n_scratch = bt_nn_halving_bytes(exec->nn.product) / sizeof *exec->panels.scratch;
    if (packed->is_halved) {
        bt_nn_pack_halved(packed, &exec->kern, job->from, packed->N, piece.first, piece.end,
                          exec->panels.scratch + (size_t)thread * n_scratch);
    } else {
        bt_nn_pack(packed, job->from, packed->N, BT_KERN_N, piece.first, piece.end);
    }
}

static void pack(exec_cpu *exec, const bt_nn_weight *weight, const float *from) {
    pack_job      job = {.exec = exec, .weight = weight, .from = from};
    const int64_t n_panels = bt_nn_packed_n_panels(&weight->as_is);
    bt_pool_run(exec->pool, bt_pool_n_pieces(n_panels, PANELS_A_TASK), pack_task, &job);
}

static bt_status round_to_8_bits(exec_cpu *exec, int32_t i, const float *from, bt_error *err) {
    const bt_nn_packed *const as_is = &exec->panels.weights[i].as_is;
    const exec_weight         weight = {
                .dense.kernel = exec->panels.params[i], .K = as_is->K, .N = as_is->N};
    return exec_int8_round(exec, &weight, from, err);
}

/* From where they were placed, or from the buffer, which is then given back. Only weights that are
 * to be in 8 bits can fail. */
static bt_status take(exec_cpu *exec, int32_t i, bt_error *err) {
    exec_panels *const  panels = &exec->panels;
    bt_nn_weight *const weight = &panels->weights[i];
    const bool          is_placed = panels->placed == i + 1;
    const float *const  from = is_placed ? panels->floats : floats_in_buffer(exec, i);
    const size_t        n_bytes = weight_floats(weight) * sizeof(float);
    if (panels->is_8_bit[i]) {
        BT_TRY(round_to_8_bits(exec, i, from, err));
    } else {
        pack(exec, weight, from);
    }
    if (!is_placed) {
        bt_alloc_release(floats_in_buffer(exec, i), n_bytes);
    }
    exec->released_bytes += panels->is_taken[i] ? 0 : n_bytes;
    panels->is_taken[i] = true;
    panels->placed = 0;
    return BT_OK;
}

/* -1: it has no panels. */
static int32_t find(const exec_panels *panels, int64_t param) {
    int32_t i = panels->n - 1;
    while (i >= 0 && panels->params[i] != param) {
        i--;
    }
    return i;
}

float *exec_cpu_place(bt_exec *base, int64_t param) {
    exec_cpu *const exec = exec_cpu_of(base);
    const int32_t   i = find(&exec->panels, param);
    BT_ASSERT(!exec->panels.is_closed);
    if (i < 0) {
        return base->param + exec->model->table.params[param].offset;
    }
    exec->panels.placed = i + 1;
    return exec->panels.floats;
}

bt_status exec_panels_check_none(const exec_cpu *exec, bt_error *err) {
    return exec->panels.n > 0
               ? BT_FAIL(err, BT_E_INTERNAL, "the weights of this engine are for evaluations only")
               : BT_OK;
}

bt_status exec_panels_check_open(const exec_cpu *exec, bt_error *err) {
    return exec->panels.is_closed || exec_int8_is_whole(exec)
               ? BT_FAIL(err, BT_E_INTERNAL,
                         "the weights of this engine have their values, and no floats any more")
               : BT_OK;
}

bt_status exec_cpu_take(bt_exec *base, int64_t param, bt_error *err) {
    exec_cpu *const exec = exec_cpu_of(base);
    const int32_t   i = find(&exec->panels, param);
    BT_TRY(exec_panels_check_open(exec, err));
    return i >= 0 ? take(exec, i, err) : BT_OK;
}

bt_status exec_panels_close(exec_cpu *exec, bt_error *err) {
    exec_panels *const panels = &exec->panels;
    for (int32_t i = 0; i < panels->n && !panels->is_closed; i++) {
        if (!panels->is_taken[i]) {
            BT_TRY(take(exec, i, err));
        }
    }
    bt_free(panels->floats);
    bt_free(panels->scratch);
    panels->floats = NULL;
    panels->scratch = NULL;
    panels->is_closed = panels->n > 0;
    return BT_OK;
}
