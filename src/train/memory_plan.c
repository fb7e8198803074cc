/* SPDX-License-Identifier: Apache-2.0
 *
 * What the run will take of the machine's memory, said before the first step: a batch that does not
 * fit should be known then, not when the rows happen to be long. */
#include <inttypes.h>
#include <stdio.h>

#include "bt/base/log.h"
#include "run_checks.h"

const char *run_size_text(char out[RUN_SIZE_TEXT], uint64_t n_bytes) {
    static const struct {
        double      size;
        const char *name;
    } units[] = {{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}};
    for (size_t i = 0; i < BT_ARRAY_LEN(units); i++) {
        if ((double)n_bytes >= units[i].size) {
            (void)snprintf(out, RUN_SIZE_TEXT, "%.1f %s", (double)n_bytes / units[i].size,
                           units[i].name);
            return out;
        }
    }
    (void)snprintf(out, RUN_SIZE_TEXT, "%" PRIu64 " bytes", n_bytes);
    return out;
}

/* copy: what saving takes beside, of the same memory; 0: nothing. */
static void say(const bt_exec_memory *m, uint64_t all, uint64_t copy) {
    char variables[RUN_SIZE_TEXT];
    char gradients[RUN_SIZE_TEXT];
    char slots[RUN_SIZE_TEXT];
    char activations[RUN_SIZE_TEXT];
    char scratch[RUN_SIZE_TEXT];
    char sum[RUN_SIZE_TEXT];
    char size[RUN_SIZE_TEXT];
    char saving[64] = "";
    char largest[96] = "";
    if (m->available != UINT64_MAX) {
        (void)snprintf(largest, sizeof largest, " of %s; %" PRId64 " such sequences would fit",
                       run_size_text(size, m->available + copy), m->largest_seqs);
    }
    if (copy > 0) {
        (void)snprintf(saving, sizeof saving, ", the copy that is saved %s",
                       run_size_text(size, copy));
    }
    bt_log(BT_LOG_INFO,
           "memory%s: variables %s, gradients %s, slots %s, activations up to %s (%" PRId64
           " sequences of %" PRId64 " tokens), scratch %s%s: up to %s%s",
           m->is_of_device ? " of each device" : "", run_size_text(variables, m->variables),
           run_size_text(gradients, m->gradients), run_size_text(slots, m->slots),
           run_size_text(activations, m->activations), m->n_seqs, m->length,
           run_size_text(scratch, m->scratch), saving, run_size_text(sum, all + copy), largest);
}

/* What a compiled program takes is not divided as ours would be. */
static void say_measured(const bt_exec_memory *m, uint64_t all) {
    char variables[RUN_SIZE_TEXT];
    char slots[RUN_SIZE_TEXT];
    char step[RUN_SIZE_TEXT];
    char sum[RUN_SIZE_TEXT];
    char size[RUN_SIZE_TEXT];
    bt_log(BT_LOG_INFO,
           "memory of each device: variables %s, slots %s, a step of %" PRId64
           " sequences of %" PRId64 " tokens %s as it was compiled: up to %s of %s",
           run_size_text(variables, m->variables), run_size_text(slots, m->slots), m->n_seqs,
           m->length, run_size_text(step, m->activations), run_size_text(sum, all),
           run_size_text(size, m->available));
}

/* Room for the copy beside the longest step, or saves between the steps. The copy is of this
 * process's memory, wherever the steps are made. */
static bool plan_saving(bt_exec *exec, uint64_t wanted, uint64_t left) {
    if (wanted == 0) {
        return false;
    }
    if (wanted > left) {
        char size[RUN_SIZE_TEXT];
        char there[RUN_SIZE_TEXT];
        bt_log(BT_LOG_INFO,
               "checkpoints are written between the steps, not during them: the copy of the state "
               "that this takes is %s, and %s are left",
               run_size_text(size, wanted), run_size_text(there, left));
        return false;
    }
    bt_exec_reserve_memory(exec, wanted);
    return true;
}

static uint64_t sum(const bt_exec_memory *m) {
    return m->variables + m->gradients + m->slots + m->activations + m->scratch;
}

static bool is_of_pairs(const bt_task_plan *plan) {
    return plan->head.loss == BT_LOSS_RANKING;
}

/* Devices are asked before the first step: one that has no room takes the state along. section:
 * whose batch it is. */
static bt_status refuse_on_devices(const run_config *config, const bt_task_plan *plan,
                                   const bt_exec_memory *m, const char *section, bt_error *err) {
    const bool    trains = bt_str_equal(section, "train_data");
    const int64_t largest = is_of_pairs(plan) ? m->largest_seqs / 2 : m->largest_seqs;
    char          takes[RUN_SIZE_TEXT] = "more than there is";
    char          there[RUN_SIZE_TEXT];
    char          fits[128] = "not even one such sequence fits";
    if (m->activations < UINT64_MAX / 2) {
        (void)run_size_text(takes, sum(m));
    }
    if (largest > 0) {
        (void)snprintf(fits, sizeof fits,
                       "task.%s.global_batch_size=%" PRId64 " is the largest found to fit", section,
                       largest);
    }
    return BT_FAIL(
        err, BT_E_NOMEM,
        "out of memory on the device: %s with %" PRId64 " sequences of %" PRId64
        " tokens takes %s of the %s that programs may take of each device: %s%s%s%s",
        trains ? "a step" : "an evaluation", m->n_seqs, m->length, takes,
        run_size_text(there, m->available), fits,
        !trains || config->recompute ? "" : "; runtime.recompute=true takes less",
        !trains || run_config_precision(config) != BT_PRECISION_F32
            ? ""
            : ", so does runtime.mixed_precision_dtype=bfloat16",
        trains ? " (trainer.gradient_accumulation_steps makes one update of several batches)" : "");
}

bt_status memory_check_evaluation(bt_exec *exec, const run_config *config, const bt_task_plan *plan,
                                  const bt_data_schema *schema, bt_error *err) {
    bt_exec_memory m;
    const int64_t  n = config->validation_data.global_batch_size * (is_of_pairs(plan) ? 2 : 1);
    BT_TRY(bt_exec_measure_evaluation(exec, n, schema->seq_length, &m, err));
    return m.is_measured && m.largest_seqs < m.n_seqs
               ? refuse_on_devices(config, plan, &m, "validation_data", err)
               : BT_OK;
}

/* Rows are mostly shorter than seq_length, so what does not fit at the worst may never come. */
bt_status memory_plan(bt_exec *exec, const run_config *config, const bt_task_plan *plan,
                      int32_t n_ranks, uint64_t wanted, bool *has_room, bt_error *err) {
    const bt_data_config *const data = &config->train_data;
    const int64_t               n_rows = (data->global_batch_size + n_ranks - 1) / n_ranks;
    const int64_t               n_seqs = n_rows * (is_of_pairs(plan) ? 2 : 1);
    const int64_t               length = plan->train_schema.seq_length;
    bt_exec_memory              m = bt_exec_plan_memory(exec, n_seqs, length);
    *has_room = plan_saving(exec, wanted, m.left_here);
    if (*has_room) {
        m = bt_exec_plan_memory(exec, n_seqs, length); /* of what is left then */
    }
    BT_TRY(bt_exec_measure_memory(exec, &m, err));
    if (m.is_measured && m.largest_seqs < m.n_seqs) {
        return refuse_on_devices(config, plan, &m, "train_data", err);
    }
    if (m.is_measured) {
        say_measured(&m, sum(&m));
        return BT_OK;
    }
    say(&m, sum(&m), m.is_of_device || !*has_room ? 0 : wanted);
    if (m.largest_tokens < m.n_seqs) {
        char available[RUN_SIZE_TEXT];
        return BT_FAIL(err, BT_E_NOMEM,
                       "out of memory: not even sequences of one token fit into the %s that are "
                       "there, %" PRId64
                       " of them at a time: choose a smaller task.train_data.global_batch_size "
                       "(trainer.gradient_accumulation_steps makes one update of several batches)",
                       run_size_text(available, m.available), m.n_seqs);
    }
    if (m.largest_seqs < m.n_seqs) {
        bt_log(BT_LOG_WARNING,
               "%" PRId64 " sequences with more than %" PRId64
               " tokens together will be refused for want of memory; %" PRId64 " of %" PRId64
               " tokens would always fit (task.train_data.global_batch_size, with "
               "trainer.gradient_accumulation_steps for the same update%s)",
               m.n_seqs, m.largest_tokens, m.largest_seqs, m.length,
               config->recompute ? "" : "; runtime.recompute");
    }
    return BT_OK;
}
