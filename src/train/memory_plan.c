/* SPDX-License-Identifier: Apache-2.0
 *
 * What the run will take of the machine's memory, said before the first step: a batch that does not
 * fit should be known then, not when the rows happen to be long. */
#include <stdio.h>

#include "run.h"

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

/* copy: what saving takes beside; 0: nothing. */
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
           "memory: variables %s, gradients %s, slots %s, activations up to %s (%" PRId64
           " sequences of %" PRId64 " tokens), scratch %s%s: up to %s%s",
           run_size_text(variables, m->variables), run_size_text(gradients, m->gradients),
           run_size_text(slots, m->slots), run_size_text(activations, m->activations), m->n_seqs,
           m->length, run_size_text(scratch, m->scratch), saving, run_size_text(sum, all + copy),
           largest);
}

/* Is there going to be a save that is not the run's last act? */
static bool saves_before_the_end(const train_run *run) {
    const int64_t end = run->config.train_steps;
    return checkpoints_are_on(run) &&
           (run->config.steps_per_loop < end || next_evaluation(run) < end);
}

/* Room for the copy beside the longest step, or saves between the steps. */
static bt_status plan_saving(train_run *run, const bt_exec_memory *m, uint64_t all, uint64_t *copy,
                             bt_error *err) {
    const uint64_t wanted = saves_before_the_end(run) ? saver_wanted_bytes(run) : 0;
    const uint64_t left = m->available > all ? m->available - all : 0;
    *copy = 0;
    if (wanted == 0) {
        return BT_OK;
    }
    if (wanted > left) {
        char size[RUN_SIZE_TEXT];
        char there[RUN_SIZE_TEXT];
        bt_log(BT_LOG_INFO,
               "checkpoints are written between the steps, not beside them: the copy of the state "
               "that this takes is %s, and %s are left",
               run_size_text(size, wanted), run_size_text(there, left));
        return BT_OK;
    }
    bt_exec_reserve_memory(run->exec, wanted);
    *copy = wanted;
    return saver_create(run, err);
}

/* Rows are mostly shorter than seq_length, so what does not fit at the worst may never come. */
bt_status memory_plan(train_run *run, bt_error *err) {
    const bt_data_config *const data = &run->config.train_data;
    const bool                  pairs = run->plan.head.loss == BT_LOSS_RANKING;
    const int64_t               n_seqs = data->global_batch_size * (pairs ? 2 : 1);
    const int64_t               length = run->plan.train_schema.seq_length;
    bt_exec_memory              m = bt_exec_plan_memory(run->exec, n_seqs, length);
    const uint64_t all = m.variables + m.gradients + m.slots + m.activations + m.scratch;
    uint64_t       copy = 0;
    BT_TRY(plan_saving(run, &m, all, &copy, err));
    if (copy > 0) {
        m = bt_exec_plan_memory(run->exec, n_seqs, length); /* of what is left then */
    }
    say(&m, all, copy);
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
               run->config.recompute ? "" : "; runtime.recompute");
    }
    return BT_OK;
}
