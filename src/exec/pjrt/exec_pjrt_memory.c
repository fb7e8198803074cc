/* SPDX-License-Identifier: Apache-2.0
 *
 * What training takes of a device's memory, estimated from what programs keep of each layer
 * (docs/devices.md); what a compiler makes of it is known only once it has compiled. */
#include "bt/base/memory.h"
#include "bt/base/size.h"
#include "exec_pjrt_internal.h"

/* Slots of a row by the length of records, mostly (exec_pjrt_bucket.c). */
enum { ROW_LENGTHS = 2 };

/* Bytes that a step keeps of a token, and those that it needs for a while. */
static uint64_t kept_bytes(const bt_encoder_config *e, bt_precision precision, bool recompute) {
    const int64_t of_product = precision == BT_PRECISION_F32 ? 4 : 2;
    const int64_t of_layer = recompute ? e->hidden_size * 4
                                       : (4 * e->hidden_size + e->intermediate_size) * of_product +
                                             2 * e->hidden_size * 4 + e->num_attention_heads * 4;
    return (uint64_t)(e->num_layers * of_layer + 4 * e->embedding_size * 4);
}

static uint64_t passing_bytes(const bt_encoder_config *e, int64_t length) {
    return (uint64_t)(6 * e->hidden_size + 3 * e->intermediate_size +
                      3 * e->num_attention_heads * length) *
           4;
}

double exec_pjrt_step_bytes(const bt_model *model, const bt_exec_config *config, bool trains,
                            int64_t n_rows, int64_t n_slots) {
    const bt_encoder_config *const e = &model->encoder;
    const uint64_t kept = trains ? kept_bytes(e, config->precision, config->recompute) : 0;
    return (double)(n_rows * n_slots) * (double)(kept + passing_bytes(e, n_slots));
}

/* That programs may take of a device; -1: it has no memory of its own, or does not tell. */
static int64_t device_bytes(const exec_pjrt *exec) {
    bt_pjrt_device device = {.limit_bytes = -1};
    bt_error       unknown = BT_ERROR_INIT;
    return bt_pjrt_client_device(exec->client, 0, &device, &unknown) == BT_OK &&
                   device.limit_bytes > 0
               ? device.limit_bytes
               : -1;
}

/* Devices whose memory is this process's tell no limit of their own. */
static void count_available(exec_pjrt *exec, bt_exec_memory *m) {
    const int64_t  device = device_bytes(exec);
    const uint64_t here = exec->memory_limit > 0 ? exec->memory_limit : bt_memory_available("");
    const uint64_t taken = exec->reserved_bytes + bt_exec_memory_bytes(&exec->base);
    m->is_of_device = device > 0;
    m->left_here = here > taken ? here - taken : 0; /* buffers that nobody has written are not yet
                                                     * there */
    m->available = device > 0                    ? (uint64_t)device
                   : here > exec->reserved_bytes ? here - exec->reserved_bytes
                                                 : 0;
}

/* The state, and tokens of one device. */
static bt_exec_memory plan_state(const exec_pjrt *exec, int64_t n_seqs, int64_t length,
                                 int64_t *n_tokens) {
    const uint64_t flat = (uint64_t)exec->model->table.n_elements * sizeof *exec->base.param;
    bt_exec_memory m = {.variables = flat, .n_seqs = n_seqs, .length = length};
    if (exec->optim != NULL) {
        m.slots = flat * ((uint64_t)bt_optim_n_slots(exec->optim) +
                          (bt_optim_has_average(exec->optim) ? 1 : 0));
    }
    if (!bt_i64_mul(n_seqs, length, n_tokens) || *n_tokens > INT32_MAX) {
        *n_tokens = INT32_MAX; /* more than devices take */
    }
    *n_tokens = (*n_tokens + exec->n_replicas - 1) / exec->n_replicas;
    return m;
}

bt_exec_memory exec_pjrt_plan_evaluation(exec_pjrt *exec, int64_t n_seqs, int64_t length) {
    int64_t        n_tokens = 0;
    bt_exec_memory m = plan_state(exec, n_seqs, length, &n_tokens);
    m.scratch = (uint64_t)n_tokens * passing_bytes(&exec->model->encoder, ROW_LENGTHS * length);
    count_available(exec, &m);
    return m;
}

bt_exec_memory exec_pjrt_plan_memory(bt_exec *base, int64_t n_seqs, int64_t length) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    const int64_t    part = exec->part_seqs;
    int64_t          n_tokens = 0;
    bt_exec_memory   m =
        plan_state(exec, part > 0 && part < n_seqs ? part : n_seqs, length, &n_tokens);
    const bt_encoder_config *const e = &exec->model->encoder;
    const uint64_t                 passing = passing_bytes(e, ROW_LENGTHS * length);
    const uint64_t                 kept = kept_bytes(e, exec->precision, exec->recompute);
    m.gradients = exec->optim != NULL ? m.variables : 0;
    m.activations = (uint64_t)n_tokens * kept;
    m.scratch = (uint64_t)n_tokens * passing;
    count_available(exec, &m);
    const uint64_t fixed = m.variables + m.gradients + m.slots;
    const uint64_t room = m.available > fixed ? m.available - fixed : 0;
    const uint64_t most = room / (kept + passing);
    m.largest_tokens = (int64_t)(most < INT32_MAX ? most : INT32_MAX) * exec->n_replicas;
    m.largest_seqs = length > 0 ? m.largest_tokens / length : 0;
    return m;
}
