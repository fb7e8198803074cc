/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the longest step fits a device, before any is made: its program is compiled, and what the
 * compiler says of its memory held against what the device has. Where it does not fit, fewer
 * sequences are tried, each with its own program, until some do. */
#include <inttypes.h>

#include "bt/base/log.h"
#include "bt/base/stop.h"
#include "exec_pjrt_internal.h"

/* Below the half of what a device has an estimate is believed: docs/devices.md holds it against
 * compiled programs. And compilations take a minute each. */
enum { CLEARLY_BELOW = 2, MOST_TRIES = 5 };

/* Programs of one kind, and what stays on a device beside theirs. */
typedef struct fit_kind {
    bt_hlo_what what;
    int32_t     n_replicas;
    uint64_t    beside_bytes;
} fit_kind;

/* What a step with so many sequences on each device takes of it. */
typedef struct step_size {
    int64_t  n_seqs;
    bool     is_known; /* false: the compiler saw itself that it does not fit */
    uint64_t n_bytes;
} step_size;

static bt_status count_bytes(const exec_program *program, uint64_t *n_bytes, bt_error *err) {
    bt_pjrt_memory m;
    BT_TRY(bt_pjrt_program_memory(program->compiled, &m, err));
    const int64_t all =
        m.argument_bytes + m.result_bytes - m.donated_bytes + m.temporary_bytes + m.code_bytes;
    *n_bytes = all > 0 ? (uint64_t)all : 0;
    return BT_OK;
}

static bt_status size_step(exec_pjrt *exec, const bt_exec_memory *plan, const fit_kind *kind,
                           int64_t n_seqs, step_size *out, bt_error *err) {
    exec_bucket   bucket;
    exec_program *program = NULL;
    bt_error      why = BT_ERROR_INIT;
    *out = (step_size){.n_seqs = n_seqs, .is_known = true};
    BT_TRY(exec_bucket_of_full(n_seqs, plan->length, 1, EXEC_BY_TOKENS, &bucket, err));
    bt_hlo_config config = {.what = kind->what, .has_labels = true, .n_replicas = kind->n_replicas};
    BT_TRY(exec_program_config(exec, &bucket, &config, err));
    const bt_status rc = exec_program_need(exec, &config, &program, &why);
    if (rc == BT_E_NOMEM) {
        bt_log(BT_LOG_DEBUG, "%s", why.msg);
        out->is_known = false;
        return BT_OK;
    }
    if (rc != BT_OK) {
        return BT_FAIL(err, rc, "%s", why.msg);
    }
    BT_TRY(count_bytes(program, &out->n_bytes, err));
    out->n_bytes += kind->beside_bytes;
    return BT_OK;
}

/* Where what grows with the sequences has room; always fewer than there were. */
static int64_t choose_fewer(const bt_exec_memory *plan, const step_size *tried) {
    const uint64_t fixed = plan->variables + plan->slots;
    int64_t        n = tried->n_seqs / 2;
    if (tried->is_known && plan->available <= fixed) {
        return 0;
    }
    if (tried->is_known && tried->n_bytes > fixed) {
        const double share = (double)(plan->available - fixed) / (double)(tried->n_bytes - fixed);
        n = (int64_t)((double)tried->n_seqs * share);
    }
    return n < tried->n_seqs ? n : tried->n_seqs - 1;
}

static bool fits(const bt_exec_memory *plan, const step_size *size) {
    return size->is_known && size->n_bytes <= plan->available;
}

static bt_status find_largest(exec_pjrt *exec, const bt_exec_memory *plan, const fit_kind *kind,
                              step_size *at, bt_error *err) {
    for (int32_t i = 0; i < MOST_TRIES && at->n_seqs > 0 && !fits(plan, at); i++) {
        BT_TRY(bt_stop_check(err));
        const int64_t fewer = choose_fewer(plan, at);
        if (fewer < 1) {
            at->n_seqs = 0;
            break;
        }
        BT_TRY(size_step(exec, plan, kind, fewer, at, err));
    }
    if (!fits(plan, at)) {
        at->n_seqs = 0;
    }
    return BT_OK;
}

static uint64_t sum(const bt_exec_memory *plan) {
    return plan->variables + plan->gradients + plan->slots + plan->activations + plan->scratch;
}

static bt_status measure(exec_pjrt *exec, bt_exec_memory *plan, const fit_kind *kind,
                         bt_error *err) {
    const int64_t n_seqs = (plan->n_seqs + kind->n_replicas - 1) / kind->n_replicas;
    step_size     longest;
    if (sum(plan) <= plan->available / CLEARLY_BELOW) {
        return BT_OK;
    }
    bt_log(BT_LOG_INFO,
           "%s of %" PRId64 " sequences of %" PRId64
           " tokens may not fit: its program is compiled to see",
           kind->what == BT_HLO_EVALUATE ? "an evaluation" : "a step", plan->n_seqs, plan->length);
    BT_TRY(size_step(exec, plan, kind, n_seqs, &longest, err));
    const uint64_t kept = plan->variables + plan->slots;
    plan->is_measured = true;
    plan->gradients = 0; /* of what a program takes for a while */
    plan->scratch = 0;
    plan->activations = !longest.is_known        ? UINT64_MAX - kept
                        : longest.n_bytes > kept ? longest.n_bytes - kept
                                                 : 0;
    if (!fits(plan, &longest)) {
        BT_TRY(find_largest(exec, plan, kind, &longest, err));
    }
    plan->largest_seqs = longest.n_seqs * kind->n_replicas;
    plan->largest_tokens = plan->largest_seqs * plan->length;
    return BT_OK;
}

bt_status exec_pjrt_measure_memory(bt_exec *base, bt_exec_memory *plan, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    const bool       in_parts = exec->part_seqs > 0;
    const fit_kind   kind = {.what = in_parts ? BT_HLO_ACCUMULATE : BT_HLO_TRAIN,
                             .n_replicas = exec->n_replicas,
                             .beside_bytes = in_parts ? plan->slots : 0};
    return measure(exec, plan, &kind, err);
}

bt_status exec_pjrt_measure_evaluation(bt_exec *base, int64_t n_seqs, int64_t length,
                                       bt_exec_memory *plan, bt_error *err) {
    exec_pjrt *const exec = exec_pjrt_of(base);
    *plan = exec_pjrt_plan_evaluation(exec, n_seqs, length);
    const fit_kind kind = {.what = BT_HLO_EVALUATE,
                           .n_replicas = exec_is_of_all_pairs(exec->model) ? 1 : exec->n_replicas,
                           .beside_bytes = plan->slots};
    return measure(exec, plan, &kind, err);
}
