/* SPDX-License-Identifier: Apache-2.0
 *
 * What training takes of the machine's memory, known before it is taken. */
#include "bt/base/memory.h"
#include "bt/base/size.h"
#include "exec_cpu_internal.h"

enum { MOST_SEQS_LOG2 = 40 };

static uint64_t saturated_sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t exec_memory_left(const exec_cpu *exec) {
    const uint64_t limit = exec->memory_limit != 0 ? exec->memory_limit : bt_memory_available("");
    const uint64_t held = exec->memory_limit != 0 ? bt_exec_memory_bytes(&exec->base) : 0;
    const uint64_t taken = saturated_sum(held, exec->reserved_bytes);
    return limit == UINT64_MAX ? limit : limit > taken ? limit - taken : 0;
}

void exec_cpu_reserve_memory(bt_exec *base, uint64_t n_bytes) {
    exec_cpu_of(base)->reserved_bytes = n_bytes;
}

/* Bytes of buffers and scratch; UINT64_MAX: beyond counting. */
static uint64_t step_bytes(const exec_cpu *exec, const exec_shape *shape) {
    const size_t acts = exec_acts_bytes(exec, shape);
    return acts == SIZE_MAX ? UINT64_MAX : saturated_sum(acts, exec_scratch_bytes(exec, shape));
}

/* Whether a step fits into the room, with n sequences or tokens in place of the shape's. */
typedef bool (*fits_fn)(const exec_cpu *exec, int64_t n, exec_shape shape, uint64_t room);

/* The largest n that does; 0: none. */
static int64_t search(const exec_cpu *exec, fits_fn fits, exec_shape shape, uint64_t room) {
    int64_t n = 0;
    for (int64_t bit = INT64_C(1) << MOST_SEQS_LOG2; bit > 0; bit /= 2) {
        n += fits(exec, n + bit, shape, room) ? bit : 0;
    }
    return n;
}

/* n sequences, each as long as the longest. */
static bool seqs_fit(const exec_cpu *exec, int64_t n, exec_shape shape, uint64_t room) {
    shape.n_seqs = n;
    return bt_i64_mul(n, shape.max_length, &shape.n_tokens) && step_bytes(exec, &shape) <= room;
}

static bool tokens_fit(const exec_cpu *exec, int64_t n, exec_shape shape, uint64_t room) {
    shape.n_tokens = n;
    return step_bytes(exec, &shape) <= room;
}

bt_exec_memory exec_cpu_plan_memory(bt_exec *base, int64_t n_seqs, int64_t length) {
    exec_cpu *const exec = exec_cpu_of(base);
    const int64_t   part = exec->parts.max_seqs;
    const uint64_t  flat = (uint64_t)exec->model->table.n_elements * sizeof *exec->base.param;
    bt_exec_memory  m = {
         .variables = flat + exec->packs.n_bytes,
         .n_seqs = part > 0 && part < n_seqs ? part : n_seqs,
         .length = length,
         .available = saturated_sum(bt_exec_memory_bytes(&exec->base), exec_memory_left(exec))};
    if (exec->optim != NULL) {
        const uint64_t trained =
            (uint64_t)bt_param_table_n_trained(&exec->model->table) * sizeof *exec->base.param;
        m.gradients = trained;
        m.slots = trained * (uint64_t)bt_optim_n_slots(exec->optim) +
                  (bt_optim_has_average(exec->optim) ? flat : 0);
    }
    exec_shape shape = {.for_training = true, .n_seqs = m.n_seqs, .max_length = length};
    if (!bt_i64_mul(m.n_seqs, length, &shape.n_tokens)) {
        shape.n_tokens = INT64_MAX; /* more than can be counted */
    }
    m.activations = exec_acts_bytes(exec, &shape);
    m.scratch = m.activations == SIZE_MAX ? 0 : exec_scratch_bytes(exec, &shape);
    const uint64_t fixed = m.variables + m.gradients + m.slots;
    const uint64_t room = m.available > fixed ? m.available - fixed : 0;
    const uint64_t step = saturated_sum(m.activations, m.scratch);
    m.left_here = room > step ? room - step : 0;
    m.largest_seqs = search(exec, seqs_fit, shape, room);
    m.largest_tokens = search(exec, tokens_fit, shape, room);
    if (exec->model->head.loss == BT_LOSS_RANKING) {
        m.largest_seqs = m.largest_seqs / 2 * 2;
    }
    return m;
}
